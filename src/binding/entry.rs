//! The one way into a raw N-API call: its arguments are read, panics are kept in, its answer is handed back.
//! A call gets its face as callback data, takes strings or numbers and returns a number.

use crate::binding::args::{Args, MOST_ARGS};
use crate::binding::thread::Seat;
use napi::sys;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// The answer of one call.
#[derive(Debug)]
pub enum Answer {
    Number(f64),
    /// Made faster than any other number.
    Small(i32),
    Bool(bool),
}

/// What a raw call is made through.
pub trait Seated {
    fn seat(&self) -> &Seat;
}

/// A call: what it does with a face and its arguments.
pub trait Call {
    type Face: Seated;
    const NAME: &'static str;
    /// How many arguments it takes at most.
    const ARGS: usize = 3;
    fn run(face: &Self::Face, args: &Args) -> Answer;
}

/// The one way into a raw call: reads the arguments, keeps panics in, hands the answer back.
unsafe extern "C" fn guarded<C: Call>(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let mut args = Args { env, count: C::ARGS.min(MOST_ARGS), values: [ptr::null_mut(); MOST_ARGS] };
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
    let face = unsafe { &*data.cast_const().cast::<C::Face>() };
    let mut result = ptr::null_mut();
    let call = || {
        face.seat().felt();
        C::run(face, &args)
    };
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Answer::Number(number)) => {
            // SAFETY: `env` is valid and `result` is writable.
            unsafe { sys::napi_create_double(env, number, &raw mut result) };
        }
        Ok(Answer::Small(number)) => {
            // SAFETY: as above.
            unsafe { sys::napi_create_int32(env, number, &raw mut result) };
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

/// How a call is put onto an object, with its face as its data.
pub type Put<F> = fn(sys::napi_env, sys::napi_value, *const F) -> sys::napi_status;

/// Puts calls onto `target`; the status of the first that fails.
pub fn install<F>(
    env: sys::napi_env,
    target: sys::napi_value,
    face: *const F,
    calls: &[Put<F>],
) -> sys::napi_status {
    let mut statuses = calls.iter().map(|put| put(env, target, face));
    statuses.find(|status| *status != sys::Status::napi_ok).unwrap_or(sys::Status::napi_ok)
}

/// See [`Put`].
pub fn put<C: Call>(env: sys::napi_env, target: sys::napi_value, face: *const C::Face) -> sys::napi_status {
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
