//! Host locks: locks between the processes of one machine.
//!
//! **Use.** Whoever has the named lock of the same path in the process comes here for the second half: the
//! kernel's lock on the lock file. **Modes**: shared and exclusive. **Promised**: the kernel's `flock` decides,
//! so that a lock is free the moment its process is gone, whatever it was doing; the file is never removed; the
//! next holder is told when the one before it died. Who waits for the kernel does so in one native thread per
//! lock file, never per waiter; the kernel wakes it. **Not promised**: an order between processes beyond the
//! kernel's own, which is first come, first served among those who wait. **Lock order**: the registry → a lock's
//! state; nothing that may wait runs under either, and no callback.
//!
//! The content of a lock file (`page`) decides nothing: it tells people who holds, it carries the fencing token,
//! and it says that somebody waits, so that the last holder lets others go first.

pub mod deadlock;
pub mod directory;
pub mod file;
pub mod locks;
mod memory;
pub mod outside;
pub mod page;
mod recording;
pub mod report;
pub mod shown;
mod state;
pub mod threads;
pub mod turns;
mod wants;

use crate::sys::errno;
use serde::Serialize;
use std::io;
use std::path::Path;

/// What is wrong with a lock file, for the user.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    pub code: &'static str,
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno: Option<&'static str>,
    pub message: String,
}

pub const UNSAFE: &str = "ERR_LOCK_FILE_UNSAFE";
pub const FOREIGN: &str = "ERR_LOCK_FILE_FOREIGN";
pub const IO: &str = "ERR_LOCK_FILE_IO";
pub const NETWORK: &str = "ERR_LOCK_NETWORK_FS";
pub const UNSUPPORTED: &str = "ERR_LOCK_UNSUPPORTED";

impl Fault {
    pub fn new(code: &'static str, path: &Path, why: impl Into<String>) -> Self {
        Self { code, path: path.display().to_string(), errno: None, message: why.into() }
    }

    /// What the system has said, when it was asked to do `what`.
    pub fn of_system(path: &Path, what: &str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::Unsupported {
            return Self::new(UNSUPPORTED, path, "host locks are not there on this platform yet");
        }
        let errno = errno::name(error);
        let told = errno.map_or_else(|| error.to_string(), |name| format!("{name}, {}", advice(name)));
        Self { errno, ..Self::new(IO, path, format!("cannot {what}: {told}")) }
    }
}

/// What a user can do about an error of the system.
fn advice(errno: &str) -> &'static str {
    match errno {
        "ENOENT" => "the folder does not exist; make it first",
        "ENOTDIR" => "a part of the path is not a folder",
        "EACCES" | "EPERM" => "this user may not; choose a path that it may write to",
        "EROFS" => "the file system is read-only; choose another place",
        "ENOSPC" | "EDQUOT" => "the disk is full",
        "EMFILE" | "ENFILE" => "too many files are open; raise the limit or close some",
        "ENAMETOOLONG" => "the path is too long",
        "ELOOP" => "it is a symbolic link, which is not followed",
        "EISDIR" => "it is a folder",
        _ => "the system refuses",
    }
}
