//! The calls of the named locks that are made in a loop, as raw N-API functions: no promise, no thread hop,
//! and for a lock that is free no allocation. A target is a resource's number, or the name of a read/write
//! lock; a weight is 0 for exclusive, 1 for shared, or a semaphore's permits.

use crate::binding::args::{Args, LabelRoom, NameRoom};
use crate::binding::entry::{self, Answer, Call, put};
use crate::binding::locks_face::{self, LocksFace, MOST_ANCESTORS, ticket_of};
use crate::binding::mailbox::Told;
use crate::binding::process::{PROCESS, tell_named, tell_next};
use crate::binding::thread::MOST_TOLD;
use crate::local::claim::{Ask, Done};
use crate::time::{self, Nanos};
use napi::sys;

/// Which hold is meant.
#[inline]
fn slot_and_token(args: &Args) -> (u32, u64) {
    (args.index(0) as u32, args.count(1).unwrap_or(0))
}

/// Timeouts that stand for the settings of the process.
const READ_DEFAULT: f64 = -2.0;
const WRITE_DEFAULT: f64 = -3.0;

/// The moment at which a request gives up: −1, any other negative number of milliseconds or none is never.
pub fn deadline(timeout_ms: Option<f64>, now: Nanos) -> Nanos {
    let settings = &PROCESS.named.settings;
    let timeout_ms = match timeout_ms {
        Some(READ_DEFAULT) => Some(settings.read_timeout_ms()),
        Some(WRITE_DEFAULT) => Some(settings.write_timeout_ms()),
        given => given,
    };
    timeout_ms.filter(|ms| *ms >= 0.0).map_or(Nanos::FOREVER, |ms| now.plus(Nanos::from_ms(ms)))
}

/// The answer to what gives units back, or makes them free.
#[inline(always)]
pub fn given_back(face: &LocksFace, done: Done<bool>) -> f64 {
    let (released, to_fetch) = tell_named(done, Some(&face.seat.mailbox));
    (if released { locks_face::RELEASED } else { 0.0 }) + if to_fetch { locks_face::FETCH } else { 0.0 }
}

/// `tryAcquire(target, weight, label?)`: the token, with the hold's slot in the scratch array.
struct TryAcquire;
impl Call for TryAcquire {
    type Face = LocksFace;
    const NAME: &'static str = "tryAcquire";
    #[inline]
    fn run(face: &LocksFace, args: &Args) -> Answer {
        let now = time::now();
        let (mut name, mut room) = (NameRoom::default(), LabelRoom::default());
        let Some(target) = args.target(0, &mut name) else { return Answer::Number(locks_face::UNAVAILABLE) };
        let weight = args.count(1).unwrap_or(0);
        let label = if args.count > 2 { args.label(2, &mut room) } else { None };
        let grant = PROCESS.named.try_acquire(face.seat.caller, target, weight, label.as_deref(), now);
        Answer::Number(match grant {
            Some(grant) => face.put_grant(grant, now),
            None => locks_face::UNAVAILABLE,
        })
    }
}

/// `request(target, weight, timeoutMs, priority, flags, ancestors, label?, class?)`: as `tryAcquire`, or
/// waiting: then the ticket and whether the answer can be fetched already are in the scratch array. Without what
/// comes after `timeoutMs` it is one that is made outside of all holds, and costs little more than `tryAcquire`.
struct Request;
impl Call for Request {
    type Face = LocksFace;
    const NAME: &'static str = "request";
    const ARGS: usize = 8;
    fn run(face: &LocksFace, args: &Args) -> Answer {
        let now = time::now();
        let mut name = NameRoom::default();
        let Some(target) = args.target(0, &mut name) else { return Answer::Number(locks_face::UNAVAILABLE) };
        let weight = args.count(1).unwrap_or(0);
        if args.count <= 3 {
            let give_up = || deadline(args.number(2), now);
            let done = PROCESS.named.request_plainly(face.seat.caller, target, weight, give_up, now);
            return Answer::Number(face.put_outcome(tell_named(done, None).0, now));
        }
        let (mut label, mut class) = (LabelRoom::default(), LabelRoom::default());
        let label = if args.count > 6 { args.label(6, &mut label) } else { None };
        let class = if args.count > 7 { args.label(7, &mut class) } else { None };
        let mut tokens = [0; MOST_ANCESTORS];
        let flags = args.whole(4) as u32;
        let site = face.site.take();
        let ask = Ask {
            deadline: deadline(args.number(2), now),
            priority: args.whole(3),
            steal: flags & locks_face::STEAL != 0,
            web: flags & locks_face::WEB != 0,
            sync: flags & locks_face::SYNC != 0,
            ancestors: face.ancestors(args.count(5).unwrap_or(0), &mut tokens),
            label: label.as_deref(),
            class: class.as_deref(),
            site: site.as_deref(),
        };
        let done = PROCESS.named.request(face.seat.caller, target, weight, ask, now);
        Answer::Number(face.put_outcome(tell_named(done, None).0, now))
    }
}

/// `release(slot, token, failed)`: whether it was held, and whether there is something to fetch, or handed over.
struct Release;
impl Call for Release {
    type Face = LocksFace;
    const NAME: &'static str = "release";
    #[inline]
    fn run(face: &LocksFace, args: &Args) -> Answer {
        let (slot, token) = slot_and_token(args);
        let failed = args.count > 2 && args.whole(2) != 0;
        let done = PROCESS.named.release(slot, token, failed, time::now());
        Answer::Number(face.put_next(tell_next(done, &face.seat.mailbox)))
    }
}

/// `cancel(ticket)`: whether the request still waited.
struct Cancel;
impl Call for Cancel {
    type Face = LocksFace;
    const NAME: &'static str = "cancel";
    fn run(_face: &LocksFace, args: &Args) -> Answer {
        let ticket = args.count(0).unwrap_or(u64::MAX);
        Answer::Bool(tell_named(PROCESS.named.cancel(ticket, time::now()), None).0)
    }
}

/// `holds(slot, token)`: whether that grant still stands.
struct Holds;
impl Call for Holds {
    type Face = LocksFace;
    const NAME: &'static str = "holds";
    #[inline]
    fn run(_face: &LocksFace, args: &Args) -> Answer {
        let (slot, token) = slot_and_token(args);
        Answer::Bool(PROCESS.named.holds(slot, token))
    }
}

/// `downgrade(slot, token)`: answers as `release`.
struct Downgrade;
impl Call for Downgrade {
    type Face = LocksFace;
    const NAME: &'static str = "downgrade";
    fn run(face: &LocksFace, args: &Args) -> Answer {
        let (slot, token) = slot_and_token(args);
        Answer::Number(given_back(face, PROCESS.named.downgrade(slot, token, time::now())))
    }
}

/// `tryUpgrade(slot, token)`: whether the hold is exclusive now.
struct TryUpgrade;
impl Call for TryUpgrade {
    type Face = LocksFace;
    const NAME: &'static str = "tryUpgrade";
    fn run(_face: &LocksFace, args: &Args) -> Answer {
        let (slot, token) = slot_and_token(args);
        Answer::Bool(PROCESS.named.try_upgrade(slot, token, time::now()))
    }
}

/// `upgrade(slot, token, timeoutMs, ancestors)`: 1 when the hold is exclusive now, otherwise as `request`;
/// then the grant is told with the hold's own token and slot.
struct Upgrade;
impl Call for Upgrade {
    type Face = LocksFace;
    const NAME: &'static str = "upgrade";
    const ARGS: usize = 4;
    fn run(face: &LocksFace, args: &Args) -> Answer {
        let now = time::now();
        let (slot, token) = slot_and_token(args);
        let mut tokens = [0; MOST_ANCESTORS];
        let ask = Ask {
            deadline: deadline(args.number(2), now),
            ancestors: face.ancestors(args.count(3).unwrap_or(0), &mut tokens),
            ..Ask::default()
        };
        let done = PROCESS.named.upgrade(slot, token, ask, now);
        let answer = face.put_outcome(tell_named(done, None).0, now);
        Answer::Number(if answer > 0.0 { 1.0 } else { answer })
    }
}

/// `state(target)`: 0 for free, the units in use, −1 for exclusively held.
struct State;
impl Call for State {
    type Face = LocksFace;
    const NAME: &'static str = "state";
    #[inline]
    fn run(_face: &LocksFace, args: &Args) -> Answer {
        let mut name = NameRoom::default();
        let target = args.target(0, &mut name);
        Answer::Number(target.map_or(0.0, |target| PROCESS.named.state(target) as f64))
    }
}

/// `fetch()`: moves deliveries into the scratch array; how many. Zero means that the mailbox is empty.
struct Fetch;
impl Call for Fetch {
    type Face = LocksFace;
    const NAME: &'static str = "fetch";
    fn run(face: &LocksFace, _args: &Args) -> Answer {
        let count = face.seat.mailbox.take(MOST_TOLD, |index, told| {
            if let Told::Locks(told) = told {
                face.put_told(index, &told);
            }
        });
        Answer::Number(count as f64)
    }
}

/// `poll(ticket)`: the same for the answer to that ticket alone.
struct Poll;
impl Call for Poll {
    type Face = LocksFace;
    const NAME: &'static str = "poll";
    fn run(face: &LocksFace, args: &Args) -> Answer {
        let ticket = args.count(0);
        let is_it = |told: &Told| match told {
            Told::Locks(told) => ticket.is_some() && ticket_of(told) == ticket,
            Told::Send(_) | Told::Host(_) | Told::Lease(_) | Told::Registry { .. } => false,
        };
        let Some(Told::Locks(told)) = face.seat.mailbox.take_where(is_it) else { return Answer::Number(0.0) };
        face.put_told(0, &told);
        Answer::Number(1.0)
    }
}

/// Puts every raw call onto `target`, with `face` as its data. The face must outlive the functions.
pub fn install(env: sys::napi_env, target: sys::napi_value, face: *const LocksFace) -> sys::napi_status {
    let calls = [
        put::<TryAcquire>,
        put::<Request>,
        put::<Release>,
        put::<Cancel>,
        put::<Holds>,
        put::<Downgrade>,
        put::<TryUpgrade>,
        put::<Upgrade>,
        put::<State>,
        put::<Fetch>,
        put::<Poll>,
    ];
    entry::install(env, target, face, &calls)
}
