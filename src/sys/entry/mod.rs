//! One entry of a directory, as somebody's lock: which it is and when it was touched, touching it, marking it
//! with who made it, and exchanging it for another without a moment in which the name is free.

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub use linux::{Pinned, exchange, facts, is_open_in, mark_of, try_flock};

#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub use portable::{Pinned, exchange, facts, is_open_in, mark_of, try_flock};

/// The system's number of an error; [`UNSUPPORTED`] where this platform has no such call.
pub type Errno = i32;

/// No system has this number.
pub const UNSUPPORTED: Errno = 100_000;

/// Which entry it is, and its state. While the entry is open, no other has its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub device: u64,
    pub inode: u64,
    /// When it was touched: seconds and nanoseconds.
    pub touched: (i64, i64),
}
