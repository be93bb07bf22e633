//! Doors for replacing and extending files: everything by the name of an entry in an open directory, nothing
//! through a link, no policy, no retries. Who holds a file's lock is told by the kernel, which frees it when
//! the holder is gone.

#[cfg(all(unix, not(feature = "portable")))]
mod unix;
#[cfg(all(unix, not(feature = "portable")))]
pub use unix::*;

#[cfg(any(not(unix), feature = "portable"))]
mod portable;
#[cfg(any(not(unix), feature = "portable"))]
pub use portable::*;

/// An error of the system by its usual name, such as `ENOSPC`; what has none is `UNKNOWN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub &'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    Link,
    Fifo,
    Socket,
    Device,
}

/// What the system says of an entry or of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub kind: Kind,
    pub inode: u64,
    /// How many names it has; 0 when the last one was removed.
    pub links: u64,
    pub size: u64,
    /// The permission bits alone.
    pub mode: u32,
    pub user: u32,
    pub group: u32,
}
