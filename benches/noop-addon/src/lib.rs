//! Hand-registered N-API functions that do nothing: the price of a call from JavaScript, and no more.
//!
//! * `nothing()` takes nothing and returns `true`.
//! * `text(string)` copies a short string out and returns `true`.
//! * `numbers(…)` reads up to three numbers and returns `true`.
//! * `allocated()` does something: it returns how many bytes the process has from `malloc`, and −1 where that
//!   cannot be asked. It has nothing to do with the price of a call, and lives here because it needs to be native.
//! * `flockPairs(fd, count)` takes and gives back the kernel's lock on a file so many times, without JavaScript in
//!   between, and returns how often that was granted; 0 where there is no such lock.
//! * `replace(path)` does something, too: it replaces a file by 4 KiB with the fewest system calls that make that
//!   durable, and looks at nothing. It returns whether that worked.
//!
//! As an addon it is as good as empty, so it is also what loading an addon costs.

use napi_sys as sys;
use std::ffi::{CStr, c_char, c_void};
use std::fs::{File, OpenOptions, rename};
use std::io::{self, Write};
use std::path::Path;
use std::ptr;

/// Room for the longest layer id and the closing zero.
const TEXT_BYTES: usize = 72;
const MOST_NUMBERS: usize = 3;
const LONGEST_PATH: usize = 4_096;
const CONTENT: [u8; 4_096] = [b'x'; 4_096];

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

unsafe extern "C" fn numbers(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let mut count = MOST_NUMBERS;
    let mut arguments: [sys::napi_value; MOST_NUMBERS] = [ptr::null_mut(); MOST_NUMBERS];
    // SAFETY: Node passes a valid environment and call; there is room for as many arguments as asked for.
    unsafe {
        sys::napi_get_cb_info(
            env,
            info,
            &mut count,
            arguments.as_mut_ptr(),
            ptr::null_mut(),
            ptr::null_mut(),
        );
    }
    let mut values = [0.0; MOST_NUMBERS];
    for (value, argument) in values.iter_mut().zip(arguments).take(count) {
        // SAFETY: the argument is of this call; `value` is writable.
        unsafe { sys::napi_get_value_double(env, argument, value) };
    }
    std::hint::black_box(&values);
    yes(env)
}

unsafe extern "C" fn allocated(env: sys::napi_env, _info: sys::napi_callback_info) -> sys::napi_value {
    let mut value = ptr::null_mut();
    // SAFETY: `env` is of the present call; `value` is writable.
    unsafe { sys::napi_create_double(env, heap::allocated(), &mut value) };
    value
}

unsafe extern "C" fn flock_pairs(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let mut count = 2;
    let mut arguments: [sys::napi_value; 2] = [ptr::null_mut(); 2];
    // SAFETY: Node passes a valid environment and call; there is room for as many arguments as asked for.
    unsafe {
        sys::napi_get_cb_info(env, info, &mut count, arguments.as_mut_ptr(), ptr::null_mut(), ptr::null_mut())
    };
    let mut numbers = [0u32; 2];
    for (number, argument) in numbers.iter_mut().zip(arguments) {
        // SAFETY: the argument is of this call; `number` is writable.
        unsafe { sys::napi_get_value_uint32(env, argument, number) };
    }
    let granted = kernel::flock_pairs(numbers[0] as i32, numbers[1]);
    let mut value = ptr::null_mut();
    // SAFETY: `env` is of the present call; `value` is writable.
    unsafe { sys::napi_create_uint32(env, granted, &mut value) };
    value
}

#[cfg(target_os = "linux")]
mod kernel {
    const EXCLUSIVE: i32 = 2;
    const WITHOUT_WAITING: i32 = 4;
    const UNLOCK: i32 = 8;

    unsafe extern "C" {
        safe fn flock(fd: i32, operation: i32) -> i32;
    }

    pub fn flock_pairs(fd: i32, count: u32) -> u32 {
        let mut granted = 0;
        for _ in 0..count {
            granted += u32::from(flock(fd, EXCLUSIVE | WITHOUT_WAITING) == 0);
            flock(fd, UNLOCK);
        }
        granted
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    pub fn flock_pairs(_fd: i32, _count: u32) -> u32 {
        0
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod heap {
    /// What glibc tells of its heap; ten counts, in the order of its manual.
    #[repr(C)]
    struct Mallinfo2 {
        fields: [usize; 10],
    }

    const MAPPED: usize = 4;
    const IN_USE: usize = 7;

    unsafe extern "C" {
        safe fn mallinfo2() -> Mallinfo2;
    }

    pub fn allocated() -> f64 {
        let fields = mallinfo2().fields;
        (fields[MAPPED] + fields[IN_USE]) as f64
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod heap {
    pub fn allocated() -> f64 {
        -1.0
    }
}

unsafe extern "C" fn replace(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let mut count = 1;
    let mut argument: sys::napi_value = ptr::null_mut();
    // SAFETY: Node passes a valid environment and call; there is room for the one argument asked for.
    unsafe { sys::napi_get_cb_info(env, info, &mut count, &mut argument, ptr::null_mut(), ptr::null_mut()) };
    let mut bytes = [0_u8; LONGEST_PATH];
    let mut length = 0;
    let room = bytes.as_mut_ptr().cast();
    // SAFETY: the argument is of this call; the buffer has as many bytes as it says.
    unsafe { sys::napi_get_value_string_utf8(env, argument, room, LONGEST_PATH, &mut length) };
    let is_done = std::str::from_utf8(&bytes[..length]).is_ok_and(|path| replaced(Path::new(path)).is_ok());
    let mut value = ptr::null_mut();
    // SAFETY: `env` is of the present call; `value` is writable.
    unsafe { sys::napi_get_boolean(env, is_done, &mut value) };
    value
}

fn replaced(path: &Path) -> io::Result<()> {
    let temp = path.with_extension("raw");
    let mut file = OpenOptions::new().write(true).create_new(true).open(&temp)?;
    file.write_all(&CONTENT)?;
    file.sync_all()?;
    rename(&temp, path)?;
    File::open(path.parent().unwrap_or(path))?.sync_all()
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
    let methods = [
        method(c"nothing", nothing),
        method(c"text", text),
        method(c"numbers", numbers),
        method(c"allocated", allocated),
        method(c"flockPairs", flock_pairs),
        method(c"replace", replace),
    ];
    // SAFETY: `env` and `exports` are of the present call; as many descriptors as said are passed.
    unsafe { sys::napi_define_properties(env, exports, methods.len(), methods.as_ptr()) };
    exports
}
