//! The registry of processes: who was started, by which command, and what became of it.
//!
//! * Use: short facts about many processes, changed by some threads and read by all, and by other processes.
//! * A state is immutable. A change writes a new one into a free record and swaps the entry's word for one that
//!   names it ([`current`]); where somebody was quicker, it begins anew from what is there then. So no change is
//!   lost, nobody waits for anybody, and a thread that stands still in the middle of a change holds up nobody.
//! * A reader copies what the word names and looks at the word again. The word never comes again, so a copy that
//!   it outlasts is of one state: never the status of one moment with the end time of another.
//! * Order of fences: who takes a record out of the pool passes a release fence before it writes; who reads one
//!   passes an acquire fence before it looks at the word again. A reader that saw a later writer's word therefore
//!   sees that the entry no longer names the record.
//! * Not promised: a reader may be made to look again as often as its entry changes meanwhile; the order of two
//!   threads' changes of two entries.
//!
//! [`status`] the rules; [`current`] the word; [`pool`] free places; [`index`] by id; [`text`], [`layout`],
//! [`entry`] what lies where; [`reading`], [`changing`] the operations; [`memory`] where the bytes are;
//! [`outside`] the registries of other processes.

pub mod changing;
pub mod current;
pub mod entry;
pub mod index;
pub mod layout;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
pub mod memory;
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
pub mod outside;
pub mod pool;
pub mod reading;
pub mod status;
pub mod text;
