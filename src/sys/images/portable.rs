//! Where loaded libraries cannot be listed, no other copy is ever found, and nothing of the program.

use super::Found;
use std::ffi::{CStr, c_void};

pub fn find_symbol_in_order(_symbol: &CStr) -> Vec<Found> {
    Vec::new()
}

pub fn of_program(_symbol: &CStr) -> *const c_void {
    std::ptr::null()
}
