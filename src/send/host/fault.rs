//! What can be wrong with the state that processes share, as an error that people read.

use crate::private_folder::Refused;
use crate::sys::errno;
use std::io::{Error, ErrorKind};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The code that JavaScript gives it.
    pub code: &'static str,
    /// What is wrong, and what to do; the path stands before it.
    pub message: String,
    /// The system's word for it, where it refused.
    pub errno: Option<&'static str>,
}

const DELETE: &str = "end the processes that share the lock, delete the file, and start them again";

impl Fault {
    fn new(code: &'static str, message: String) -> Self {
        Self { code, message, errno: None }
    }

    pub fn unsafe_place(what: &str) -> Self {
        Self::new("ERR_LOCK_FILE_UNSAFE", what.into())
    }

    pub fn foreign(what: &str) -> Self {
        Self::new("ERR_LOCK_FILE_FOREIGN", what.into())
    }

    pub fn damaged(what: &str) -> Self {
        Self::new("ERR_LOCK_FILE_FOREIGN", format!("{what}; {DELETE}"))
    }

    pub fn deleted() -> Self {
        Self::new("ERR_LOCK_FILE_IO", format!("it was deleted while processes shared it; {DELETE}"))
    }

    pub fn full() -> Self {
        Self::new("ERR_LOCK_FILE_IO", "its state is larger than the file has room for".into())
    }

    pub fn busy() -> Self {
        let who = "another process has been in the middle of an operation for a second: it is stopped (SIGSTOP, \
                   a debugger, a frozen container); let it go on, or end it";
        Self::new("ERR_LOCK_BUSY", who.into())
    }

    pub fn scope(message: String) -> Self {
        Self::new("ERR_LOCK_SCOPE", message)
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::System(_, error) => error.into(),
            Refused::Unsafe(what) => {
                Self::unsafe_place(&format!("the private folder cannot be used: {what}"))
            }
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        if error.kind() == ErrorKind::Unsupported {
            let message = "a lock that processes share is built for Linux only; use scope: 'process'";
            return Self::new("ERR_LOCK_UNSUPPORTED", message.into());
        }
        let errno = errno::name(&error).unwrap_or("EIO");
        // A link, a pipe without a reader, a directory: what was planted there is not opened.
        let code = if matches!(errno, "ELOOP" | "ENXIO" | "EISDIR") {
            "ERR_LOCK_FILE_UNSAFE"
        } else {
            "ERR_LOCK_FILE_IO"
        };
        Self { errno: Some(errno), ..Self::new(code, format!("the system refused: {error}")) }
    }
}
