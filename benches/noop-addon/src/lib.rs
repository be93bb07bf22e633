//! Hand-registered N-API functions that do nothing: the price of a call from JavaScript, and no more.
//!
//! * `nothing()` takes nothing and returns `true`.
//! * `text(string)` copies a short string out and returns `true`.
//!
//! As an addon it is as good as empty, so it is also what loading an addon costs.

use napi_sys as sys;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;

/// Room for the longest layer id and the closing zero.
const TEXT_BYTES: usize = 72;

unsafe extern "C" fn nothing(env: sys::napi_env, _info: sys::napi_callback_info) -> sys::napi_value {
    yes(env)
}

unsafe extern "C" fn text(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let mut count = 1;
    let mut argument: sys::napi_value = ptr::null_mut();
    // SAFETY: Node passes a valid environment and call; there is room for the one argument asked for.
    unsafe { sys::napi_get_cb_info(env, info, &mut count, &mut argument, ptr::null_mut(), ptr::null_mut()) };
    let mut bytes = [0 as c_char; TEXT_BYTES];
    let mut length = 0;
    // SAFETY: the argument is of this call; the buffer has as many bytes as it says.
    unsafe { sys::napi_get_value_string_utf8(env, argument, bytes.as_mut_ptr(), TEXT_BYTES, &mut length) };
    std::hint::black_box(&bytes);
    yes(env)
}

fn yes(env: sys::napi_env) -> sys::napi_value {
    let mut value = ptr::null_mut();
    // SAFETY: `env` is of the present call; `value` is writable.
    unsafe { sys::napi_get_boolean(env, true, &mut value) };
    value
}

fn method(
    name: &CStr,
    callback: unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> sys::napi_value,
) -> sys::napi_property_descriptor {
    sys::napi_property_descriptor {
        utf8name: name.as_ptr(),
        name: ptr::null_mut(),
        method: Some(callback),
        getter: None,
        setter: None,
        value: ptr::null_mut(),
        attributes: sys::PropertyAttributes::enumerable,
        data: ptr::null_mut::<c_void>(),
    }
}

/// What Node calls when it loads the file.
///
/// # Safety
///
/// Only Node calls this, with an environment and an object of that environment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn napi_register_module_v1(
    env: sys::napi_env,
    exports: sys::napi_value,
) -> sys::napi_value {
    // SAFETY: the process that loads this file carries the N-API symbols; nothing was called before.
    #[cfg(not(target_family = "wasm"))]
    let _host = unsafe { sys::setup() };
    let methods = [method(c"nothing", nothing), method(c"text", text)];
    // SAFETY: `env` and `exports` are of the present call; as many descriptors as said are passed.
    unsafe { sys::napi_define_properties(env, exports, methods.len(), methods.as_ptr()) };
    exports
}
