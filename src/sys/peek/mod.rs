//! Looking at files, and at the kernel's own list of file locks, without changing anything: nothing is made, locked,
//! mapped, followed or waited for.

mod locks;
pub use locks::{Kind, Lock, Locks};

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub use linux::{Mounts, Seen, is_mapped_by, open, text_of_locks};

#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub use portable::{Mounts, Seen, is_mapped_by, open, text_of_locks};

/// By what the kernel's list names a file: the device of its file system, and its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub device: (u32, u32),
    pub inode: u64,
}

/// Why a file was not looked into, in a word for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Gone,
    Permission,
    /// A link, a folder, a FIFO, a device.
    NotAFile,
    OtherUser,
    /// The system would not.
    Unreadable,
}

impl Refused {
    pub fn word(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Permission => "permission",
            Self::NotAFile => "not_a_file",
            Self::OtherUser => "other_user",
            Self::Unreadable => "unreadable",
        }
    }
}
