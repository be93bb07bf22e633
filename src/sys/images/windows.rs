//! Windows: `K32EnumProcessModules` lists in load order.

use super::Found;
use std::ffi::{CStr, c_void};
use std::mem::size_of;

type Module = *mut c_void;

unsafe extern "system" {
    fn GetCurrentProcess() -> *mut c_void;
    fn K32EnumProcessModules(process: *mut c_void, modules: *mut Module, bytes: u32, needed: *mut u32)
    -> i32;
    fn GetProcAddress(module: Module, name: *const i8) -> *const c_void;
    fn GetModuleHandleW(name: *const u16) -> Module;
    fn GetModuleFileNameW(module: Module, name: *mut u16, size: u32) -> u32;
}

/// Every loaded `.node` library that exports `symbol`, the first loaded first.
pub fn find_symbol_in_order(symbol: &CStr) -> Vec<Found> {
    modules()
        .into_iter()
        .filter_map(|module| {
            let path = path_of(module);
            if !path.ends_with(".node") {
                return None;
            }
            // SAFETY: `module` is loaded, and addons are never unloaded under us; `symbol` is a C string.
            let address = unsafe { GetProcAddress(module, symbol.as_ptr().cast()) };
            (!address.is_null()).then_some(Found { address, path })
        })
        .collect()
}

/// What the program exports by that name; null for nothing.
pub fn of_program(symbol: &CStr) -> *const c_void {
    // SAFETY: null asks for the program itself, which is never unloaded.
    let program = unsafe { GetModuleHandleW(std::ptr::null()) };
    // SAFETY: `program` is loaded; `symbol` is a C string.
    unsafe { GetProcAddress(program, symbol.as_ptr().cast()) }
}

fn modules() -> Vec<Module> {
    let mut modules: Vec<Module> = vec![std::ptr::null_mut(); 4096];
    let room = (modules.len() * size_of::<Module>()) as u32;
    let mut needed = 0;
    // SAFETY: takes nothing and gives a constant that needs no closing.
    let process = unsafe { GetCurrentProcess() };
    // SAFETY: `modules` has `room` bytes and `needed` is writable.
    let listed = unsafe { K32EnumProcessModules(process, modules.as_mut_ptr(), room, &raw mut needed) };
    modules.truncate(if listed == 0 { 0 } else { needed.min(room) as usize / size_of::<Module>() });
    modules
}

fn path_of(module: Module) -> String {
    let mut name = vec![0u16; 32_768];
    // SAFETY: `name` has as many units as it says.
    let length = unsafe { GetModuleFileNameW(module, name.as_mut_ptr(), name.len() as u32) };
    String::from_utf16_lossy(&name[..length as usize])
}
