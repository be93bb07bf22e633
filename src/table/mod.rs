//! The lock table: all lock state of the process in one block of memory with a fixed layout
//! (`docs/formats/table.md`), which another process may map read-only and look at.
//!
//! Whoever writes is inside the mutex of the lock concerned; whoever reads from outside trusts nothing:
//! bounds and stamps are checked, text is cut and cleaned again.

pub mod layout;
pub mod memory;
pub mod named;
pub mod ring;
