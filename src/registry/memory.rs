//! Where a registry's bytes lie: a sealed memory file that others may map read-only where the system has such a
//! thing, ordinary memory elsewhere. Made at the first use; only what is used takes room.

use crate::registry::layout::{LAYOUT_VERSION, MAGIC, Registry};
use crate::sync::{Ordering, fence};
use crate::sys::foreign_memory::ForeignMemory;
use crate::sys::{map, process};
use once_cell::sync::OnceCell;
use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::hash::{BuildHasher, RandomState};
use std::mem::size_of;

/// What the memory file is called.
pub const FILE: &str = "chainlock-registry";

static REGISTRY: OnceCell<&Registry> = OnceCell::new();

/// The process's registry.
#[inline]
pub fn registry() -> &'static Registry {
    REGISTRY.get_or_init(|| {
        begun(map::shared_zeroed(size_of::<Registry>(), FILE).map_or_else(zeroed, |start| {
            // SAFETY: page-aligned memory of at least as many zero bytes, which are a valid `Registry` (all fields
            // are words), mapped for the life of the process.
            unsafe { &*start.cast::<Registry>().as_ptr() }
        }))
    })
}

/// The process's registry, if anybody has used it.
pub fn existing() -> Option<&'static Registry> {
    REGISTRY.get().copied()
}

fn begun(registry: &'static Registry) -> &'static Registry {
    let header = &registry.header;
    header.layout_version.set(LAYOUT_VERSION);
    header.pid.set(u64::from(std::process::id()));
    header.start.set(process::own().start);
    header.size.set(size_of::<Registry>() as u64);
    header.seed.set(RandomState::new().hash_one(std::process::id()));
    // The magic comes last. Pairs with the acquire fence that a reader puts after reading it: who finds the magic
    // finds the rest.
    fence(Ordering::Release);
    header.magic.set(MAGIC);
    registry
}

/// Ordinary memory, of which the system gives what is touched.
fn zeroed() -> &'static Registry {
    let layout = Layout::new::<Registry>();
    // SAFETY: the layout is not empty.
    let start = unsafe { alloc_zeroed(layout) };
    if start.is_null() {
        handle_alloc_error(layout);
    }
    // SAFETY: aligned memory of as many zero bytes, which are a valid `Registry`; never freed.
    unsafe { &*start.cast::<Registry>().cast_const() }
}

/// A registry by itself, which stays for ever: for proofs and figures.
pub fn apart() -> &'static Registry {
    begun(zeroed())
}

/// Another process's memory as a registry; `None` when it is too short for one. Nothing in it is to be trusted.
pub fn foreign(memory: &ForeignMemory) -> Option<&Registry> {
    let (start, size) = memory.parts();
    if size < size_of::<Registry>() {
        return None;
    }
    // SAFETY: page-aligned, readable memory of enough bytes, for as long as `memory` lives. Any bytes are a valid
    // `Registry`, and it is only loaded from: all fields are atomic words.
    Some(unsafe { &*start.cast::<Registry>().as_ptr() })
}
