//! The shared libraries loaded into this process, in the order in which they were loaded: how one copy of
//! chainlock finds another, and what the program itself lets its libraries call.

#[cfg(all(any(target_os = "linux", target_os = "macos"), not(feature = "portable")))]
mod unix;
#[cfg(all(any(target_os = "linux", target_os = "macos"), not(feature = "portable")))]
pub use unix::{find_symbol_in_order, of_program};

#[cfg(all(windows, not(feature = "portable")))]
mod windows;
#[cfg(all(windows, not(feature = "portable")))]
pub use windows::{find_symbol_in_order, of_program};

#[cfg(any(not(any(target_os = "linux", target_os = "macos", windows)), feature = "portable"))]
mod portable;
#[cfg(any(not(any(target_os = "linux", target_os = "macos", windows)), feature = "portable"))]
pub use portable::{find_symbol_in_order, of_program};

/// A symbol of a loaded library, and the library's path.
#[derive(Debug)]
pub struct Found {
    pub address: *const std::ffi::c_void,
    pub path: String,
}
