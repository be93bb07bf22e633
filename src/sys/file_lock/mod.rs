//! Lock files: opening them without being led astray, the kernel's locks on them, and their mapped content.

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub use linux::{Directory, LockFile, MAX_PATH_NOTE, Sleeper};

#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub use portable::{Directory, LockFile, MAX_PATH_NOTE, Sleeper};

/// Where the bytes of those who wait begin, one for each pid; far behind the content, where byte locks need no bytes.
pub const WAITING_BYTES: i64 = 1 << 40;

/// What the system says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub device: u64,
    pub inode: u64,
    pub kind: FileKind,
    /// The permission bits.
    pub mode: u32,
    pub user: u32,
    pub links: u64,
    pub size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    File,
    Directory,
    Link,
    Fifo,
    Device,
    Socket,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelMode {
    Shared,
    Exclusive,
}
