//! The layout, in bytes; `docs/formats/registry.md` describes it, and the asserts at the foot hold it still.
//! All-zero bytes are a valid, empty registry, so that fresh memory needs no initialising, and what was never
//! used is never touched.

use crate::registry::pool::Pool;
use crate::registry::text::TextField;
use crate::sync::{AtomicU64, Field};

/// "CHAINRG" and a zero, read as a little-endian word.
pub const MAGIC: u64 = u64::from_le_bytes(*b"CHAINRG\0");
/// Changes with every change of the layout or of the meaning of a field.
pub const LAYOUT_VERSION: u64 = 1;

/// Under loom every word is an object to keep track of.
const SMALL: bool = cfg!(any(feature = "loom", feature = "shuttle"));

/// Processes that can be registered at a time.
pub const ENTRIES: usize = if SMALL { 2 } else { 16_384 };
/// States: one for each entry, and as many writers may be about to swap theirs in.
pub const RECORDS: usize = ENTRIES + if SMALL { 3 } else { 1_024 };
/// Places of the index by id; a quarter of them is in use at most.
pub const INDEX: usize = if SMALL { 4 } else { 65_536 };
/// An id begins at a cache line of the index …
pub const GROUP: usize = if SMALL { 4 } else { 8 };
/// … and lies within so many places from there.
pub const WINDOW: usize = if SMALL { 4 } else { 32 };

/// The longest texts, in words of eight bytes.
pub const ID: usize = if SMALL { 1 } else { 8 };
pub const NAME: usize = if SMALL { 1 } else { 8 };
pub const KIND: usize = if SMALL { 1 } else { 4 };
pub const SIGNAL: usize = if SMALL { 1 } else { 2 };
pub const REASON: usize = if SMALL { 1 } else { 16 };
pub const COMMAND: usize = if SMALL { 1 } else { 64 };
pub const DIR: usize = if SMALL { 1 } else { 64 };
pub const ARGS: usize = if SMALL { 1 } else { 128 };

#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Header {
    pub magic: Field,
    pub layout_version: Field,
    pub pid: Field,
    pub size: Field,
    /// When the process started, in clock ticks since the boot; with the pid it names the process.
    pub start: Field,
    /// A number that nobody outside knows, so that nobody can choose ids that lie in one place of the index.
    pub seed: Field,
    /// How many changes there have been; each has its number.
    pub changes: AtomicU64,
    pub free_entries: Pool,
    pub free_records: Pool,
}

/// One process, whatever its state: a cache line of its own, so that those who look at one are not slowed by
/// those who change another.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Slot {
    /// See [`crate::registry::current`].
    pub current: AtomicU64,
    /// While it is free: what lies under it in the stack.
    pub below: Field,
}

/// One state of one process. Immutable while an entry's word names it.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Record {
    /// While it is free: what lies under it in the stack.
    pub below: Field,
    /// The number of the change that registered the process: the order of a list.
    pub registered_as: Field,
    /// The number of the change that made this state.
    pub changed_as: Field,
    /// How many states the process has had, from 1.
    pub revision: Field,
    /// The row of the thread that registered it: place in the low half, generation in the high one.
    pub owner: Field,
    pub thread_id: Field,
    /// 0 where nobody has said.
    pub pid: Field,
    /// 0 for none, otherwise the code plus 2^32.
    pub exit_code: Field,
    /// Instants; 0 for what has not happened.
    pub registered_at: Field,
    pub started_at: Field,
    pub ended_at: Field,
    pub updated_at: Field,
    pub id: TextField<ID>,
    pub name: TextField<NAME>,
    pub kind: TextField<KIND>,
    pub signal: TextField<SIGNAL>,
    pub reason: TextField<REASON>,
    pub command: TextField<COMMAND>,
    pub dir: TextField<DIR>,
    /// Each argument ends in a zero byte.
    pub args: TextField<ARGS>,
}

/// The whole registry.
#[repr(C)]
#[derive(Debug)]
pub struct Registry {
    pub header: Header,
    /// By id: a part of its hash in the high half, the entry's place and one in the low half; 0 for none.
    pub index: [AtomicU64; INDEX],
    pub entries: [Slot; ENTRIES],
    pub records: [Record; RECORDS],
}

#[cfg(not(any(feature = "loom", feature = "shuttle")))]
const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<Header>() == 128);
    assert!(size_of::<Slot>() == 64);
    assert!(offset_of!(Record, id) == 96);
    assert!(size_of::<Record>() == 2_560);
    assert!(offset_of!(Registry, index) == 128);
    assert!(offset_of!(Registry, entries) == 128 + 8 * INDEX);
    assert!(offset_of!(Registry, records) == 128 + 8 * INDEX + 64 * ENTRIES);
    assert!(size_of::<Registry>() == 128 + 8 * INDEX + 64 * ENTRIES + 2_560 * RECORDS);
};
