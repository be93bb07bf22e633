//! The system's errors by the names that people look up.

use std::io;

/// The name, where it is one that a lock or a file can meet.
pub fn name(error: &io::Error) -> Option<&'static str> {
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
const NAMES: [(i32, &str); 22] = [
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
    (libc::EOPNOTSUPP, "EOPNOTSUPP"),
];
