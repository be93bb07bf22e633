//! The calls of the uncontended path, as raw N-API functions: no promise, no thread hop, and no allocation
//! beyond what N-API itself does. Each gets its [`Face`] as callback data, takes short strings or numbers
//! and returns a number.

use crate::binding::args::{Args, MOST_ARGS};
use crate::binding::face::{self, Face};
use crate::binding::process::tell;
use crate::local::queue::Ticket;
use crate::send::lock::{Outcome, Which};
use crate::time::{self, Moment, Nanos};
use napi::sys;
use once_cell::sync::Lazy;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// The answer of one call.
enum Answer {
    Number(f64),
    Bool(bool),
}

/// A call: what it does with a face and its arguments.
trait Call {
    const NAME: &'static str;
    fn run(face: &Face, args: &Args) -> Answer;
}

/// The one way into a raw call: reads the arguments, keeps panics in, hands the answer back.
unsafe extern "C" fn guarded<C: Call>(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let mut args = Args { env, count: MOST_ARGS, values: [ptr::null_mut(); MOST_ARGS] };
    let mut data: *mut c_void = ptr::null_mut();
    // SAFETY: Node passes a valid environment and call; the array has as many places as `count` says.
    unsafe {
        sys::napi_get_cb_info(
            env,
            info,
            &raw mut args.count,
            args.values.as_mut_ptr(),
            ptr::null_mut(),
            &raw mut data,
        )
    };
    // SAFETY: `data` is the face that `install` passed; the object that carries this function keeps it.
    let face = unsafe { &*data.cast_const().cast::<Face>() };
    let mut result = ptr::null_mut();
    match catch_unwind(AssertUnwindSafe(|| C::run(face, &args))) {
        Ok(Answer::Number(number)) => {
            // SAFETY: `env` is valid and `result` is writable.
            unsafe { sys::napi_create_double(env, number, &raw mut result) };
        }
        Ok(Answer::Bool(yes)) => {
            // SAFETY: as above.
            unsafe { sys::napi_get_boolean(env, yes, &raw mut result) };
        }
        Err(_) => {
            let text = c"chainlock: internal error";
            // SAFETY: `env` is valid and both texts are C strings.
            unsafe { sys::napi_throw_error(env, c"ERR_LOCK_INTERNAL".as_ptr(), text.as_ptr()) };
        }
    }
    result
}

/// `tryAcquire(layer, message?)`: the token, or a refusal code with its details in the scratch array.
struct TryAcquire;
impl Call for TryAcquire {
    const NAME: &'static str = "tryAcquire";
    #[inline]
    fn run(face: &Face, args: &Args) -> Answer {
        let layer = args.name(0);
        let message = if args.count > 1 { args.message(1) } else { None };
        let done = face.lock.try_acquire(face.caller, layer.as_ref(), message, time::now());
        Answer::Number(match tell(done, None).0 {
            Ok(token) => token as f64,
            Err(refused) => face.put_refusal(0, &refused),
        })
    }
}

/// How long the first in line looks on before its thread goes back to its event loop: about as long as
/// waking a sleeping thread takes.
const PATIENCE: Nanos = Nanos(20_000);
/// On a single core the holder could not go on meanwhile.
static CORES: Lazy<usize> = Lazy::new(|| std::thread::available_parallelism().map_or(1, usize::from));

/// `request(layer, timeoutMs, message?)`: as `tryAcquire`, or waiting: then the ticket and whether the answer
/// can be fetched already are in the scratch array. A negative timeout waits for ever.
struct Request;
impl Call for Request {
    const NAME: &'static str = "request";
    fn run(face: &Face, args: &Args) -> Answer {
        let now = time::now();
        let layer = args.name(0);
        let timeout = args.number(1).filter(|ms| *ms >= 0.0);
        let deadline = timeout.map_or(Nanos::FOREVER, |ms| now.plus(Nanos::from_ms(ms)));
        let message = if args.count > 2 { args.message(2) } else { None };
        let done = face.lock.request(face.caller, layer.as_ref(), message, deadline, now);
        Answer::Number(match tell(done, None).0 {
            Outcome::Granted(token) => token as f64,
            Outcome::Waiting(ticket) => {
                face.put(0, ticket.to_number() as f64);
                let soon = *CORES > 1 && face.lock.is_next(ticket, face.caller.row);
                face.put(1, f64::from(u8::from(soon && face.mailbox.attend(PATIENCE))));
                face::WAITING
            }
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
    let done = face.lock.release(face.caller, which, sent, time::now());
    let (released, to_fetch) = tell(done, Some(face.caller.mailbox));
    Answer::Number(if released { RELEASED } else { 0.0 } + if to_fetch { FETCH } else { 0.0 })
}

/// `layerNumber(layer)`: by which the two calls below know it; negative when it has none.
struct LayerNumber;
impl Call for LayerNumber {
    const NAME: &'static str = "layerNumber";
    fn run(face: &Face, args: &Args) -> Answer {
        let number = args.name(0).and_then(|layer| face.lock.layer_number(&layer));
        Answer::Number(number.map_or(-1.0, |number| number as f64))
    }
}

/// `tryAcquireNumbered(number)`: as `tryAcquire`, without a string to copy and look up.
struct TryAcquireNumbered;
impl Call for TryAcquireNumbered {
    const NAME: &'static str = "tryAcquireNumbered";
    #[inline]
    fn run(face: &Face, args: &Args) -> Answer {
        let done = face.lock.try_acquire_numbered(face.caller, args.index(0), time::now());
        Answer::Number(match tell(done, None).0 {
            Ok(token) => token as f64,
            Err(refused) => face.put_refusal(0, &refused),
        })
    }
}

/// `releaseNumbered(number)`.
struct ReleaseNumbered;
impl Call for ReleaseNumbered {
    const NAME: &'static str = "releaseNumbered";
    #[inline]
    fn run(face: &Face, args: &Args) -> Answer {
        release(face, Which::Numbered(args.index(0)), true)
    }
}

/// `release(layer, token?)`.
struct Release;
impl Call for Release {
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
    const NAME: &'static str = "join";
    fn run(face: &Face, args: &Args) -> Answer {
        let token = args.number(0).map_or(0, |token| token as u64);
        let layer = args.name(1);
        let message = if args.count > 2 { args.message(2) } else { None };
        let done = face.lock.join(face.caller, token, layer.as_ref(), message, time::now());
        Answer::Number(match tell(done, None).0 {
            Some(Ok(())) => 0.0,
            Some(Err(refused)) => face.put_refusal(0, &refused),
            None => face::ENDED,
        })
    }
}

/// `forget(token, message)`: the message of a call that joined was not sent after all.
struct Forget;
impl Call for Forget {
    const NAME: &'static str = "forget";
    fn run(face: &Face, args: &Args) -> Answer {
        let (token, message) = (args.number(0), args.message(1));
        Answer::Bool(match (token, message) {
            (Some(token), Some(message)) => face.lock.forget_message(token as u64, message),
            _ => false,
        })
    }
}

/// `cancel(ticket)`: whether the request was still in line.
struct Cancel;
impl Call for Cancel {
    const NAME: &'static str = "cancel";
    fn run(face: &Face, args: &Args) -> Answer {
        let ticket = args.number(0).map_or(u64::MAX, |number| number as u64);
        Answer::Bool(tell(face.lock.cancel(Ticket::from_number(ticket), time::now()), None).0)
    }
}

/// `isLocked()`.
struct IsLocked;
impl Call for IsLocked {
    const NAME: &'static str = "isLocked";
    #[inline]
    fn run(face: &Face, _args: &Args) -> Answer {
        Answer::Bool(face.lock.state().is_held())
    }
}

/// `holds(token)`: whether that grant still stands.
struct Holds;
impl Call for Holds {
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
    const NAME: &'static str = "fetch";
    fn run(face: &Face, _args: &Args) -> Answer {
        let mut count = 0;
        while (count + 1) * face::TOLD_SIZE <= face::SCRATCH {
            let Some(told) = face.mailbox.take() else { break };
            face.put_told(count, &told);
            count += 1;
        }
        Answer::Number(count as f64)
    }
}

/// `metrics()`: writes the numbers into the scratch array; how many.
struct Metrics;
impl Call for Metrics {
    const NAME: &'static str = "metrics";
    fn run(face: &Face, _args: &Args) -> Answer {
        let mut count = 0;
        face.lock.metrics(Moment::read(), |value| {
            if count < face::SCRATCH {
                face.put(count, value);
            }
            count += 1;
        });
        Answer::Number(count as f64)
    }
}

/// Puts every raw call onto `target`, with `face` as its data. The face must outlive the functions.
pub fn install(env: sys::napi_env, target: sys::napi_value, face: *const Face) -> sys::napi_status {
    let statuses = [
        put::<TryAcquire>(env, target, face),
        put::<LayerNumber>(env, target, face),
        put::<TryAcquireNumbered>(env, target, face),
        put::<ReleaseNumbered>(env, target, face),
        put::<Request>(env, target, face),
        put::<Release>(env, target, face),
        put::<ReleaseToken>(env, target, face),
        put::<Join>(env, target, face),
        put::<Forget>(env, target, face),
        put::<Cancel>(env, target, face),
        put::<IsLocked>(env, target, face),
        put::<Holds>(env, target, face),
        put::<Fetch>(env, target, face),
        put::<Metrics>(env, target, face),
    ];
    statuses.into_iter().find(|status| *status != sys::Status::napi_ok).unwrap_or(sys::Status::napi_ok)
}

fn put<C: Call>(env: sys::napi_env, target: sys::napi_value, face: *const Face) -> sys::napi_status {
    let property = sys::napi_property_descriptor {
        utf8name: ptr::null(),
        name: match text(env, C::NAME) {
            Ok(name) => name,
            Err(status) => return status,
        },
        method: Some(guarded::<C>),
        getter: None,
        setter: None,
        value: ptr::null_mut(),
        attributes: sys::PropertyAttributes::enumerable,
        data: face.cast_mut().cast(),
    };
    // SAFETY: `env` and `target` are of the present call; one descriptor is passed and read.
    unsafe { sys::napi_define_properties(env, target, 1, &raw const property) }
}

fn text(env: sys::napi_env, text: &str) -> Result<sys::napi_value, sys::napi_status> {
    let mut value = ptr::null_mut();
    // SAFETY: `text` has as many bytes as it says; `value` is writable.
    let status = unsafe {
        sys::napi_create_string_utf8(env, text.as_ptr().cast(), text.len() as isize, &raw mut value)
    };
    if status == sys::Status::napi_ok { Ok(value) } else { Err(status) }
}
