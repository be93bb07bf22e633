//! How a request is told that it does not get its key.

use crate::lease::desk::Desk;
use crate::lease::desk::line::Line;
use crate::lease::fault::{Fault, HolderView};
use crate::lease::manager::shown::in_the_way;
use crate::lease::rules::Refusal;
use crate::lease::send::Refused;

/// Who holds it, as far as that was heard.
fn holder(desk: &Desk, line: &Line) -> Option<HolderView> {
    line.last_known().and_then(|known| in_the_way(desk, &known))
}

fn about(desk: &Desk, line: &Line, code: &'static str, why: String) -> Fault {
    let mut fault = Fault::new(code, why);
    fault.key = Some(line.key.to_string());
    fault.holder = holder(desk, line).map(Box::new);
    fault
}

pub fn held(desk: &Desk, line: &Line) -> Fault {
    let by = holder(desk, line).map_or("somebody else".into(), |holder| {
        format!("{:?} (host {}, pid {}, token {})", holder.worker, holder.host, holder.pid, holder.token)
    });
    about(desk, line, "ERR_LOCK_LEASE_HELD", format!("the key {:?} is held by {by}", line.key))
}

pub fn refused(desk: &Desk, line: &Line, refusal: &Refusal) -> Fault {
    let key = &line.key;
    let (code, why) = match refusal {
        Refusal::Send(refused) => return send_refused(desk, line, refused),
        Refusal::OtherPermits(others) => (
            "ERR_LOCK_INVALID_ARGUMENT",
            format!("the key {key:?} is a semaphore of {others} permits; ask with the same number"),
        ),
        Refusal::Moved(_) => (
            "ERR_LOCK_TOKEN_MOVED",
            format!("the key {key:?} is no longer held with the expected token; look again before stealing"),
        ),
        Refusal::Full => {
            ("ERR_LOCK_STORE_UNSUPPORTED", format!("as many hold the key {key:?} as a record can name"))
        }
    };
    about(desk, line, code, why)
}

/// By a rule of the send lock; the code is the rule: those who ask make a result of it, or an error.
fn send_refused(desk: &Desk, line: &Line, refused: &Refused) -> Fault {
    let mut fault = Fault::new(refused.why, refused.why);
    fault.key = Some(line.key.to_string());
    fault.holder = holder(desk, line).filter(|holder| !holder.stale).map(Box::new);
    fault.retry_after_ms = refused.left_ms;
    fault
}
