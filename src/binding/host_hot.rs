//! The calls of the host locks that are made in a loop, as raw N-API functions. A file is its number in the
//! face; a weight is 0 for exclusive, 1 for shared.

use crate::binding::args::{Args, LabelRoom, NameRoom};
use crate::binding::entry::{self, Answer, Call, put};
use crate::binding::host_face::{HostFace, UNAVAILABLE};
use crate::binding::mailbox::Told;
use crate::binding::process::{PROCESS, tell_named};
use crate::binding::thread::MOST_TOLD;
use crate::binding::timer;
use crate::host::turns;
use crate::time::{self, Nanos};
use napi::sys;

/// `tryAcquire(target, file, weight, label?)`: the named lock of the process and the kernel's, or neither; the
/// token, with the named hold's slot and token, the instant, the hold and whether the last holder died in the
/// scratch array.
struct TryAcquire;
impl Call for TryAcquire {
    type Face = HostFace;
    const NAME: &'static str = "tryAcquire";
    const ARGS: usize = 4;
    #[inline]
    fn run(face: &HostFace, args: &Args) -> Answer {
        let now = time::now();
        let (mut name, mut room) = (NameRoom::default(), LabelRoom::default());
        let file = args.index(1) as u32;
        let (Some(target), Some(lock)) = (args.target(0, &mut name), face.lock(file)) else {
            return Answer::Number(UNAVAILABLE);
        };
        let weight = args.count(2).unwrap_or(0);
        let label = if args.count > 3 { args.label(3, &mut room) } else { None };
        let grant = PROCESS.named.try_acquire(face.seat.caller, target, weight, label.as_deref(), now);
        let Some(grant) = grant else { return Answer::Number(UNAVAILABLE) };
        let answer = match lock.take(&face.ask(weight, label.as_deref()), now) {
            turns::Answer::Taken(taken) => {
                face.seat.put(0, f64::from(grant.slot));
                face.seat.put(1, grant.token as f64);
                return Answer::Number(face.put_taken(file, &taken));
            }
            turns::Answer::Held => UNAVAILABLE,
            turns::Answer::Fault(fault) => face.put_fault(&fault),
        };
        tell_named(PROCESS.named.release(grant.slot, grant.token, false, time::now()), None);
        Answer::Number(answer)
    }
}

/// `take(file, weight, label?)`: the kernel's lock alone, for who has the named one.
struct Take;
impl Call for Take {
    type Face = HostFace;
    const NAME: &'static str = "take";
    fn run(face: &HostFace, args: &Args) -> Answer {
        let mut room = LabelRoom::default();
        let file = args.index(0) as u32;
        let Some(lock) = face.lock(file) else { return Answer::Number(UNAVAILABLE) };
        let label = if args.count > 2 { args.label(2, &mut room) } else { None };
        Answer::Number(
            match lock.take(&face.ask(args.count(1).unwrap_or(0), label.as_deref()), time::now()) {
                turns::Answer::Taken(taken) => face.put_taken(file, &taken),
                turns::Answer::Held => UNAVAILABLE,
                turns::Answer::Fault(fault) => face.put_fault(&fault),
            },
        )
    }
}

/// `wait(file, weight, timeoutMs, label?)`: as `take`, or it waits; a negative timeout is none.
struct Wait;
impl Call for Wait {
    type Face = HostFace;
    const NAME: &'static str = "wait";
    const ARGS: usize = 4;
    fn run(face: &HostFace, args: &Args) -> Answer {
        let mut room = LabelRoom::default();
        let file = args.index(0) as u32;
        let Some(lock) = face.lock(file) else { return Answer::Number(UNAVAILABLE) };
        let label = if args.count > 3 { args.label(3, &mut room) } else { None };
        let ask = face.ask(args.count(1).unwrap_or(0), label.as_deref());
        let now = time::now();
        let timeout = args.number(2).filter(|ms| *ms >= 0.0);
        let deadline = timeout.map_or(Nanos::FOREVER, |ms| now.plus(Nanos::from_ms(ms)));
        let requested = PROCESS.host.request(&lock, &ask, deadline, now);
        timer::arm(deadline);
        Answer::Number(face.put_requested(file, requested))
    }
}

/// `wants(file)`: the ticket of a wait that is made in the process's own line; only a deadlock answers it.
struct Wants;
impl Call for Wants {
    type Face = HostFace;
    const NAME: &'static str = "wants";
    fn run(face: &HostFace, args: &Args) -> Answer {
        let file = args.index(0) as u32;
        let Some(lock) = face.lock(file) else { return Answer::Number(UNAVAILABLE) };
        let ticket = PROCESS.host.watch(&lock, &face.ask(0, None), time::now());
        face.waits(ticket, file);
        Answer::Number(ticket as f64)
    }
}

/// `within(ticket, hold)`: says that the wait is made inside of that hold.
struct Within;
impl Call for Within {
    type Face = HostFace;
    const NAME: &'static str = "within";
    fn run(face: &HostFace, args: &Args) -> Answer {
        let hold = args.number(1).and_then(|hold| face.hold(hold));
        let (Some(ticket), Some((lock, hold))) = (args.count(0), hold) else { return Answer::Bool(false) };
        timer::arm(PROCESS.host.within(ticket, &lock, hold));
        Answer::Bool(true)
    }
}

/// `release(hold, slot, token, failed)`: the kernel's lock, then the named one of the process, in one call; whether
/// the first was held. Without what comes after `hold`, the kernel's alone.
struct Release;
impl Call for Release {
    type Face = HostFace;
    const NAME: &'static str = "release";
    const ARGS: usize = 4;
    #[inline]
    fn run(face: &HostFace, args: &Args) -> Answer {
        let hold = args.number(0).and_then(|hold| face.hold(hold));
        let released = hold.is_some_and(|(lock, hold)| PROCESS.host.release(&lock, hold));
        if args.count > 1 {
            let (slot, token) = (args.index(1) as u32, args.count(2).unwrap_or(0));
            tell_named(PROCESS.named.release(slot, token, args.whole(3) != 0, time::now()), None);
        }
        Answer::Bool(released)
    }
}

/// `refuse(hold)`: gives back a hold that nobody wanted any more; whoever comes next is told what this one was told.
struct Refuse;
impl Call for Refuse {
    type Face = HostFace;
    const NAME: &'static str = "refuse";
    fn run(face: &HostFace, args: &Args) -> Answer {
        let hold = args.number(0).and_then(|hold| face.hold(hold));
        Answer::Bool(hold.is_some_and(|(lock, hold)| PROCESS.host.refuse(&lock, hold)))
    }
}

/// `holds(hold)`: whether that grant still stands.
struct Holds;
impl Call for Holds {
    type Face = HostFace;
    const NAME: &'static str = "holds";
    #[inline]
    fn run(face: &HostFace, args: &Args) -> Answer {
        let hold = args.number(0).and_then(|hold| face.hold(hold));
        Answer::Bool(hold.is_some_and(|(lock, hold)| lock.has_hold(hold)))
    }
}

/// `cancel(ticket)`: whether the request still waited; if not, its answer comes.
struct Cancel;
impl Call for Cancel {
    type Face = HostFace;
    const NAME: &'static str = "cancel";
    fn run(face: &HostFace, args: &Args) -> Answer {
        let ticket = args.count(0).unwrap_or(0);
        let waited = PROCESS.host.cancel(ticket);
        if waited {
            face.forget(ticket);
            timer::arm(PROCESS.host.wake_at());
        }
        Answer::Bool(waited)
    }
}

/// `fetch()`: moves deliveries into the scratch array; how many. Zero means that the mailbox is empty.
struct Fetch;
impl Call for Fetch {
    type Face = HostFace;
    const NAME: &'static str = "fetch";
    fn run(face: &HostFace, _args: &Args) -> Answer {
        let mut told = Vec::new();
        let count = face.seat.mailbox.take(MOST_TOLD, |_, one| told.push(one));
        for (index, one) in told.into_iter().enumerate() {
            if let Told::Host(one) = one {
                face.put_told(index, one);
            }
        }
        Answer::Number(count as f64)
    }
}

/// `poll(ticket)`: the same for the answer to that ticket alone.
struct Poll;
impl Call for Poll {
    type Face = HostFace;
    const NAME: &'static str = "poll";
    fn run(face: &HostFace, args: &Args) -> Answer {
        let ticket = args.count(0);
        let is_it = |told: &Told| matches!(told, Told::Host(told) if Some(told.ticket()) == ticket);
        let Some(Told::Host(told)) = face.seat.mailbox.take_where(is_it) else { return Answer::Number(0.0) };
        face.put_told(0, told);
        Answer::Number(1.0)
    }
}

/// Puts every raw call onto `target`, with `face` as its data. The face must outlive the functions.
pub fn install(env: sys::napi_env, target: sys::napi_value, face: *const HostFace) -> sys::napi_status {
    let calls = [
        put::<TryAcquire>,
        put::<Take>,
        put::<Wait>,
        put::<Wants>,
        put::<Within>,
        put::<Release>,
        put::<Refuse>,
        put::<Holds>,
        put::<Cancel>,
        put::<Fetch>,
        put::<Poll>,
    ];
    entry::install(env, target, face, &calls)
}
