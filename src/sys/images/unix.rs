//! Linux (`dl_iterate_phdr`) and macOS (`_dyld_get_image_name`); both list in load order.

use super::Found;
use std::ffi::{CStr, CString, c_void};

/// Every loaded `.node` library that exports `symbol`, the first loaded first.
pub fn find_symbol_in_order(symbol: &CStr) -> Vec<Found> {
    addon_paths().into_iter().filter_map(|path| look_up(path, symbol)).collect()
}

/// What the program, or a library that it was linked with, exports by that name; null for nothing.
pub fn of_program(symbol: &CStr) -> *const c_void {
    // SAFETY: `symbol` is a C string; the call only looks.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr()) }
}

fn look_up(path: CString, symbol: &CStr) -> Option<Found> {
    // SAFETY: `path` is a C string; NOLOAD only hands out what is loaded already. The reference that it
    // takes is kept on purpose: a library that we point into must stay.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    if handle.is_null() {
        return None;
    }
    // SAFETY: `handle` is open and `symbol` is a C string.
    let address = unsafe { libc::dlsym(handle, symbol.as_ptr()) };
    (!address.is_null()).then(|| Found { address, path: path.to_string_lossy().into_owned() })
}

fn is_addon(path: &CStr) -> bool {
    path.to_bytes().ends_with(b".node")
}

#[cfg(target_os = "linux")]
fn addon_paths() -> Vec<CString> {
    unsafe extern "C" fn collect(
        info: *mut libc::dl_phdr_info,
        _size: libc::size_t,
        paths: *mut libc::c_void,
    ) -> libc::c_int {
        // SAFETY: the loader passes a valid record for the length of this call.
        let name = unsafe { (*info).dlpi_name };
        if !name.is_null() {
            // SAFETY: the loader's names are C strings that live as long as the library.
            let name = unsafe { CStr::from_ptr(name) };
            if is_addon(name) {
                // SAFETY: `paths` is the vector that `addon_paths` passed, and only this call uses it now.
                let paths = unsafe { &mut *paths.cast::<Vec<CString>>() };
                paths.push(name.to_owned());
            }
        }
        0
    }
    let mut paths: Vec<CString> = Vec::new();
    let target = (&raw mut paths).cast();
    // SAFETY: `collect` has the callback's signature and does not unwind; `target` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(collect), target) };
    paths
}

#[cfg(target_os = "macos")]
fn addon_paths() -> Vec<CString> {
    #[expect(deprecated, reason = "libc points to another crate for two stable functions of dyld")]
    // SAFETY: takes nothing and only counts.
    let count = unsafe { libc::_dyld_image_count() };
    (0..count)
        .filter_map(|index| {
            #[expect(deprecated, reason = "as above")]
            // SAFETY: any index is allowed; one past the end gives null.
            let name = unsafe { libc::_dyld_get_image_name(index) };
            if name.is_null() {
                return None;
            }
            // SAFETY: dyld's names are C strings that live as long as the image.
            let name = unsafe { CStr::from_ptr(name) };
            is_addon(name).then(|| name.to_owned())
        })
        .collect()
}
