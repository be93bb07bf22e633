//! How a request is told that it does not get its key.

use crate::lease::desk::Desk;
use crate::lease::desk::line::Line;
use crate::lease::fault::{Fault, HolderView};
use crate::lease::manager::shown::in_the_way;
use crate::lease::rules::Refusal;
use crate::lease::send::Refused;
use crate::time::Nanos;

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

fn named(holder: &HolderView) -> String {
    format!("{:?} (host {}, pid {}, token {})", holder.worker, holder.host, holder.pid, holder.token)
}

/// Its time is over, and the store has said nothing against it. `silent`: nor anything else, for so long.
pub fn timed_out(desk: &Desk, line: Option<&Line>, ms: u64, silent: Option<Nanos>) -> Fault {
    const CODE: &str = "ERR_LOCK_TIMEOUT";
    let key = line.map(|line| format!("{:?}", line.key));
    let holder = line.and_then(|line| holder(desk, line));
    let why = match silent {
        Some(silent) => {
            let shown = desk.store.shown();
            let about = key.map(|key| format!(", key {key}")).unwrap_or_default();
            let by = holder.map_or("is not known".into(), |holder| format!("was {} at last", named(&holder)));
            let (silent, most) = (silent.whole_ms(), desk.request_timeout.whole_ms());
            format!(
                "{shown}{about}: the lease was not granted within {ms} ms, because the store has not answered for \
                 {silent} ms; who holds it {by} (is the server reachable? It is given {most} ms to answer, by \
                 requestTimeoutMs)"
            )
        }
        None => {
            let about = key.map(|key| format!(" on key {key}")).unwrap_or_default();
            let by = holder.map(|holder| format!("; it is held by {}", named(&holder))).unwrap_or_default();
            format!("the lease{about} was not granted within {ms} ms{by}")
        }
    };
    match line {
        Some(line) => about(desk, line, CODE, why),
        None => Fault::new(CODE, why),
    }
}

pub fn held(desk: &Desk, line: &Line) -> Fault {
    let by = holder(desk, line).map_or("somebody else".into(), |holder| named(&holder));
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
