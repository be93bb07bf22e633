//! Lock files: opening them without being led astray, the kernel's locks on them, and their mapped content.

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub use linux::{Directory, LockFile, MAX_PATH_NOTE, user_id};

#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub use portable::{Directory, LockFile, MAX_PATH_NOTE, user_id};

use std::io;

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

/// The number of a system error, and its name where it is one that people look up.
pub fn errno_name(error: &io::Error) -> Option<&'static str> {
    #[cfg(unix)]
    {
        NAMES.iter().find(|(number, _)| error.raw_os_error() == Some(*number)).map(|(_, name)| *name)
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        None
    }
}

#[cfg(unix)]
const NAMES: [(i32, &str); 21] = [
    (libc::EACCES, "EACCES"),
    (libc::EPERM, "EPERM"),
    (libc::ENOENT, "ENOENT"),
    (libc::ENOTDIR, "ENOTDIR"),
    (libc::EISDIR, "EISDIR"),
    (libc::EEXIST, "EEXIST"),
    (libc::ELOOP, "ELOOP"),
    (libc::ENAMETOOLONG, "ENAMETOOLONG"),
    (libc::EROFS, "EROFS"),
    (libc::ENOSPC, "ENOSPC"),
    (libc::EDQUOT, "EDQUOT"),
    (libc::EFBIG, "EFBIG"),
    (libc::EIO, "EIO"),
    (libc::EMFILE, "EMFILE"),
    (libc::ENFILE, "ENFILE"),
    (libc::ENOMEM, "ENOMEM"),
    (libc::ENOLCK, "ENOLCK"),
    (libc::ESTALE, "ESTALE"),
    (libc::EINTR, "EINTR"),
    (libc::EINVAL, "EINVAL"),
    (libc::ENXIO, "ENXIO"),
];
