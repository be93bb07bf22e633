//! Where the page's bytes lie: a sealed memory file that others may map read-only where the system has such a thing,
//! ordinary memory elsewhere. Made with the first store; only what is used takes room.

use crate::lease::page::layout::{LAYOUT_VERSION, LeasePage, MAGIC};
use crate::sync::{Ordering, fence};
use crate::sys::foreign_memory::ForeignMemory;
use crate::sys::{map, process};
use once_cell::sync::OnceCell;
use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::mem::size_of;

/// What the memory file is called.
pub const FILE: &str = "chainlock-leases";

static PAGE: OnceCell<&LeasePage> = OnceCell::new();

/// The process's page.
pub fn page() -> &'static LeasePage {
    PAGE.get_or_init(|| {
        begun(map::shared_zeroed(size_of::<LeasePage>(), FILE).map_or_else(zeroed, |start| {
            // SAFETY: page-aligned memory of at least as many zero bytes, which are a valid `LeasePage` (all fields are
            // words), mapped for the life of the process.
            unsafe { &*start.cast::<LeasePage>().as_ptr() }
        }))
    })
}

/// The process's page, if it has used a store.
pub fn existing() -> Option<&'static LeasePage> {
    PAGE.get().copied()
}

fn begun(page: &'static LeasePage) -> &'static LeasePage {
    let header = &page.header;
    header.layout_version.set(LAYOUT_VERSION);
    header.pid.set(u64::from(std::process::id()));
    header.start.set(process::own().start);
    header.size.set(size_of::<LeasePage>() as u64);
    // The magic comes last. Pairs with the acquire fence that a reader puts after reading it: who finds the magic
    // finds the rest.
    fence(Ordering::Release);
    header.magic.set(MAGIC);
    page
}

/// Ordinary memory, of which the system gives what is touched.
fn zeroed() -> &'static LeasePage {
    let layout = Layout::new::<LeasePage>();
    // SAFETY: the layout is not empty.
    let start = unsafe { alloc_zeroed(layout) };
    if start.is_null() {
        handle_alloc_error(layout);
    }
    // SAFETY: aligned memory of as many zero bytes, which are a valid `LeasePage`; never freed.
    unsafe { &*start.cast::<LeasePage>().cast_const() }
}

/// A page by itself, which stays for ever: for proofs.
pub fn apart() -> &'static LeasePage {
    begun(zeroed())
}

/// Another process's memory as a page; `None` when it is too short for one. Nothing in it is to be trusted.
pub fn foreign(memory: &ForeignMemory) -> Option<&LeasePage> {
    let (start, size) = memory.parts();
    if size < size_of::<LeasePage>() {
        return None;
    }
    // SAFETY: page-aligned, readable memory of enough bytes, for as long as `memory` lives. Any bytes are a valid
    // `LeasePage`, and it is only loaded from: all fields are atomic words.
    Some(unsafe { &*start.cast::<LeasePage>().as_ptr() })
}
