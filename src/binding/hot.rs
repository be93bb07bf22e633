//! The calls of the uncontended path of a send lock, as raw N-API functions: no promise, no thread hop, and
//! no allocation beyond what N-API itself does.

use crate::binding::args::Args;
use crate::binding::entry::{self, Answer, Call, put};
use crate::binding::face::{self, Face};
use crate::binding::mailbox::Told;
use crate::binding::process::tell;
use crate::binding::thread::{MOST_TOLD, SCRATCH};
use crate::local::queue::Ticket;
use crate::send::lock::{Outcome, Which};
use crate::time::{self, Moment, Nanos};
use napi::sys;

/// `tryAcquire(layer, message?)`: the token, or a refusal code with its details in the scratch array.
struct TryAcquire;
impl Call for TryAcquire {
    type Face = Face;
    const NAME: &'static str = "tryAcquire";
    #[inline]
    fn run(face: &Face, args: &Args) -> Answer {
        let layer = args.name(0);
        let message = if args.count > 1 { args.message(1) } else { None };
        let done = face.lock.try_acquire(face.seat.caller, layer.as_ref(), message, time::now());
        let unavailable = done.unavailable;
        Answer::Number(match tell(done, None).0 {
            Ok(token) => token as f64,
            Err(_) if unavailable => face::UNAVAILABLE,
            Err(refused) => face.put_refusal(0, &refused),
        })
    }
}

/// `request(layer, timeoutMs, message?)`: as `tryAcquire`, or waiting: then the ticket and whether the answer
/// can be fetched already are in the scratch array. A negative timeout waits for ever.
struct Request;
impl Call for Request {
    type Face = Face;
    const NAME: &'static str = "request";
    fn run(face: &Face, args: &Args) -> Answer {
        let now = time::now();
        let layer = args.name(0);
        let timeout = args.number(1).filter(|ms| *ms >= 0.0);
        let deadline = timeout.map_or(Nanos::FOREVER, |ms| now.plus(Nanos::from_ms(ms)));
        let message = if args.count > 2 { args.message(2) } else { None };
        let done = face.lock.request(face.seat.caller, layer.as_ref(), message, deadline, now);
        let unavailable = done.unavailable;
        Answer::Number(match tell(done, None).0 {
            Outcome::Granted(token) => token as f64,
            Outcome::Waiting(ticket) => {
                face.seat.put(0, ticket.to_number() as f64);
                let soon = face.lock.is_next(ticket, face.seat.caller.row);
                face.seat.put(1, f64::from(u8::from(soon && face.seat.mailbox.attend())));
                face::WAITING
            }
            Outcome::Refused(_) if unavailable => face::UNAVAILABLE,
            Outcome::Refused(refused) => face.put_refusal(0, &refused),
            Outcome::QueueFull => face::QUEUE_FULL,
        })
    }
}

/// The bits of a release's answer.
const RELEASED: f64 = 1.0;
/// A request of this very thread was granted: fetch it now.
const FETCH: f64 = 2.0;

#[inline(always)]
fn release(face: &Face, which: Which<'_>, sent: bool) -> Answer {
    let done = face.lock.release(face.seat.caller, which, sent, time::now());
    let (released, to_fetch) = tell(done, Some(&face.seat.mailbox));
    Answer::Number(if released { RELEASED } else { 0.0 } + if to_fetch { FETCH } else { 0.0 })
}

/// `layerNumber(layer)`: by which the two calls below know it; negative when it has none.
struct LayerNumber;
impl Call for LayerNumber {
    type Face = Face;
    const NAME: &'static str = "layerNumber";
    fn run(face: &Face, args: &Args) -> Answer {
        let number = args.name(0).and_then(|layer| face.lock.layer_number(&layer));
        Answer::Number(number.map_or(-1.0, |number| number as f64))
    }
}

/// `tryAcquireNumbered(number)`: as `tryAcquire`, without a string to copy and look up.
struct TryAcquireNumbered;
impl Call for TryAcquireNumbered {
    type Face = Face;
    const NAME: &'static str = "tryAcquireNumbered";
    #[inline]
    fn run(face: &Face, args: &Args) -> Answer {
        let done = face.lock.try_acquire_numbered(face.seat.caller, args.index(0), time::now());
        let unavailable = done.unavailable;
        Answer::Number(match tell(done, None).0 {
            Ok(token) => token as f64,
            Err(_) if unavailable => face::UNAVAILABLE,
            Err(refused) => face.put_refusal(0, &refused),
        })
    }
}

/// `releaseNumbered(number)`.
struct ReleaseNumbered;
impl Call for ReleaseNumbered {
    type Face = Face;
    const NAME: &'static str = "releaseNumbered";
    #[inline]
    fn run(face: &Face, args: &Args) -> Answer {
        release(face, Which::Numbered(args.index(0)), true)
    }
}

/// `release(layer, token?)`.
struct Release;
impl Call for Release {
    type Face = Face;
    const NAME: &'static str = "release";
    #[inline]
    fn run(face: &Face, args: &Args) -> Answer {
        let token = if args.count > 1 { args.number(1) } else { None };
        match args.name(0) {
            Some(layer) => release(face, Which::Layer(&layer, token.map(|token| token as u64)), true),
            None => Answer::Number(0.0),
        }
    }
}

/// `releaseToken(token, sent)`: what a guard calls.
struct ReleaseToken;
impl Call for ReleaseToken {
    type Face = Face;
    const NAME: &'static str = "releaseToken";
    #[inline]
    fn run(face: &Face, args: &Args) -> Answer {
        let sent = args.number(1) != Some(0.0);
        match args.number(0) {
            Some(token) => release(face, Which::Token(token as u64), sent),
            None => Answer::Number(0.0),
        }
    }
}

/// `join(token, layer, message?)`: 0, a refusal code as `tryAcquire` gives it, or that the hold has ended.
struct Join;
impl Call for Join {
    type Face = Face;
    const NAME: &'static str = "join";
    fn run(face: &Face, args: &Args) -> Answer {
        let token = args.number(0).map_or(0, |token| token as u64);
        let layer = args.name(1);
        let message = if args.count > 2 { args.message(2) } else { None };
        let done = face.lock.join(face.seat.caller, token, layer.as_ref(), message, time::now());
        let unavailable = done.unavailable;
        Answer::Number(match tell(done, None).0 {
            None if unavailable => face::UNAVAILABLE,
            Some(Ok(())) => 0.0,
            Some(Err(refused)) => face.put_refusal(0, &refused),
            None => face::ENDED,
        })
    }
}

/// `forget(token, message)`: the message of a call that joined was not sent after all.
struct Forget;
impl Call for Forget {
    type Face = Face;
    const NAME: &'static str = "forget";
    fn run(face: &Face, args: &Args) -> Answer {
        let (token, message) = (args.number(0), args.message(1));
        Answer::Bool(match (token, message) {
            (Some(token), Some(message)) => {
                tell(face.lock.forget_message(token as u64, message, time::now()), None).0
            }
            _ => false,
        })
    }
}

/// `cancel(ticket)`: whether the request was still in line.
struct Cancel;
impl Call for Cancel {
    type Face = Face;
    const NAME: &'static str = "cancel";
    fn run(face: &Face, args: &Args) -> Answer {
        let ticket = args.number(0).map_or(u64::MAX, |number| number as u64);
        Answer::Bool(tell(face.lock.cancel(Ticket::from_number(ticket), time::now()), None).0)
    }
}

/// `isLocked()`.
struct IsLocked;
impl Call for IsLocked {
    type Face = Face;
    const NAME: &'static str = "isLocked";
    #[inline]
    fn run(face: &Face, _args: &Args) -> Answer {
        Answer::Bool(face.lock.state().is_held())
    }
}

/// `holds(token)`: whether that grant still stands.
struct Holds;
impl Call for Holds {
    type Face = Face;
    const NAME: &'static str = "holds";
    #[inline]
    fn run(face: &Face, args: &Args) -> Answer {
        let state = face.lock.state();
        Answer::Bool(args.number(0).is_some_and(|token| state.is_held_by(token as u64)))
    }
}

/// `fetch()`: moves deliveries into the scratch array; how many. Zero means that the mailbox is empty.
struct Fetch;
impl Call for Fetch {
    type Face = Face;
    const NAME: &'static str = "fetch";
    fn run(face: &Face, _args: &Args) -> Answer {
        let count = face.seat.mailbox.take(MOST_TOLD, |index, told| {
            if let Told::Send(told) = told {
                face.put_told(index, &told);
            }
        });
        Answer::Number(count as f64)
    }
}

/// `metrics()`: writes the numbers into the scratch array; how many.
struct Metrics;
impl Call for Metrics {
    type Face = Face;
    const NAME: &'static str = "metrics";
    fn run(face: &Face, _args: &Args) -> Answer {
        let mut count = 0;
        face.lock.metrics(Moment::read(), |value| {
            if count < SCRATCH {
                face.seat.put(count, value);
            }
            count += 1;
        });
        Answer::Number(count as f64)
    }
}

/// Puts every raw call onto `target`, with `face` as its data. The face must outlive the functions.
pub fn install(env: sys::napi_env, target: sys::napi_value, face: *const Face) -> sys::napi_status {
    let calls = [
        put::<TryAcquire>,
        put::<LayerNumber>,
        put::<TryAcquireNumbered>,
        put::<ReleaseNumbered>,
        put::<Request>,
        put::<Release>,
        put::<ReleaseToken>,
        put::<Join>,
        put::<Forget>,
        put::<Cancel>,
        put::<IsLocked>,
        put::<Holds>,
        put::<Fetch>,
        put::<Metrics>,
    ];
    entry::install(env, target, face, &calls)
}
