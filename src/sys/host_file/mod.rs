//! A file that processes of one user share: opened without following links, locked as a whole for one
//! operation and byte by byte for a life, mapped in part; and the pipes by which they wake each other.

use std::ptr::NonNull;

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub use linux::{Directory, HostFile, Waker, Watch};

#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub use portable::{Directory, HostFile, Waker, Watch};

/// What the system says about an open file or directory.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub is_regular: bool,
    pub is_directory: bool,
    /// The permission bits.
    pub mode: u32,
    pub user: u32,
    /// How many names it has; 0 when it was deleted.
    pub links: u64,
    pub size: u64,
}

/// Memory of a file, mapped for the life of the process. Only this door makes one.
#[derive(Debug)]
pub struct Mapped {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: the memory is never unmapped, and whoever gives it a type sees to the sharing.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    pub fn parts(&self) -> (NonNull<u8>, usize) {
        (self.start, self.size)
    }
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Woken {
    /// Somebody wrote into the pipe.
    pub called: bool,
    /// A watched process has ended.
    pub ended: bool,
}
