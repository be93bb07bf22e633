//! How several copies of chainlock in one process become one.
//!
//! Two installed copies are two libraries with two sets of statics. The one that was loaded first is the
//! home: a later one asks it to register its functions a second time, for the later one's JavaScript, and
//! never uses its own. The order of loading is the loader's, so that two threads that load two copies at
//! the same moment agree on the home.
//!
//! Only copies that speak the same protocol can do that. The protocol number changes with every change of
//! the functions between JavaScript and the native code; copies of different numbers fail loudly.

use crate::sys::images::{Found, find_symbol_in_order};
use napi::bindgen_prelude::*;
use napi::{JsValue, sys};
use std::ptr;

pub const VERSION: &str = env!("CHAINLOCK_VERSION");
const MAGIC: [u8; 8] = *b"CHNLHOME";
const PROTOCOL: u32 = 4;

type Register = unsafe extern "C" fn(sys::napi_env, sys::napi_value) -> sys::napi_value;

unsafe extern "C" {
    /// napi's own module entry, in this very library.
    fn napi_register_module_v1(env: sys::napi_env, exports: sys::napi_value) -> sys::napi_value;
}

/// What a copy shows to others. The first two fields never change their place.
#[repr(C)]
struct Home {
    magic: [u8; 8],
    protocol: u32,
    version_length: u32,
    version: *const u8,
    register: Register,
}

// SAFETY: all of it is constant.
unsafe impl Sync for Home {}

#[unsafe(no_mangle)]
static chainlock_home: Home = Home {
    magic: MAGIC,
    protocol: PROTOCOL,
    version_length: VERSION.len() as u32,
    version: VERSION.as_ptr(),
    register: napi_register_module_v1,
};

impl Home {
    fn version(&self) -> String {
        // SAFETY: a home of any protocol points to its version's bytes, which live as long as its library.
        let bytes = unsafe { std::slice::from_raw_parts(self.version, self.version_length as usize) };
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// See [`crate::binding::calls::adopt`].
pub fn adopt(env: Env) -> Result<Option<Object<'static>>> {
    let copies = find_symbol_in_order(c"chainlock_home");
    let Some(first) = copies.first() else { return Ok(None) };
    if ptr::eq(first.address.cast(), &raw const chainlock_home) {
        return Ok(None);
    }
    // SAFETY: the symbol is a `Home` of a library that stays loaded; its first fields have a fixed place.
    let home = unsafe { &*first.address.cast::<Home>() };
    // The compiler knows our own constant; what the loader mapped is what counts.
    // SAFETY: reads one aligned word of our own static.
    let protocol = unsafe { (&raw const chainlock_home.protocol).read_volatile() };
    if home.magic != MAGIC || home.protocol != protocol {
        return Err(mismatch(first, home, protocol, &copies));
    }
    let exports = Object::new(&env)?;
    // SAFETY: the home's own module entry, with this call's environment and a fresh object.
    let registered = unsafe { (home.register)(env.raw(), exports.raw()) };
    let exports = if registered.is_null() { exports.raw() } else { registered };
    Ok(Some(Object::from_raw(env.raw(), exports)))
}

fn mismatch(first: &Found, home: &Home, protocol: u32, copies: &[Found]) -> Error {
    let own = copies.iter().find(|copy| ptr::eq(copy.address.cast(), &raw const chainlock_home));
    let own = own.map_or("(this copy)", |copy| copy.path.as_str());
    Error::new(
        Status::GenericFailure,
        format!(
            "two incompatible copies of chainlock in one process cannot share their locks: \
             {} is version {} (protocol {}), {own} is version {VERSION} (protocol {protocol}); \
             install one version for both",
            first.path,
            home.version(),
            home.protocol,
        ),
    )
}
