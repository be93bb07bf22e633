//! What can be wrong with a journal, with the code that users see.

use rusqlite::ErrorCode;
use std::fmt;
use std::path::Path;

/// Another journal is open in this process.
pub const OPEN: &str = "ERR_JOURNAL_OPEN";
/// It was closed.
pub const CLOSED: &str = "ERR_JOURNAL_CLOSED";
/// No journal of chainlock.
pub const FOREIGN: &str = "ERR_JOURNAL_FOREIGN";
/// Of a newer chainlock.
pub const VERSION: &str = "ERR_JOURNAL_VERSION";
/// Its bytes were changed or lost.
pub const DAMAGED: &str = "ERR_JOURNAL_DAMAGED";
/// The system or SQLite would not do that.
pub const IO: &str = "ERR_JOURNAL_IO";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: &'static str,
    pub message: String,
}

impl Fault {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub fn io(step: &str, error: &std::io::Error) -> Self {
        Self::new(IO, format!("{step}: {error}"))
    }

    pub fn damaged(what: &str) -> Self {
        Self::new(DAMAGED, format!("{what}; it was damaged after it was written"))
    }

    /// The same, of that file.
    pub fn of(self, path: &Path) -> Self {
        Self { message: format!("the journal {}: {}", path.display(), self.message), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error::{
            FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error,
        };
        let code = match &error {
            InvalidColumnType(..)
            | FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | Utf8Error(..) => {
                return Self::damaged("a row has what no row has");
            }
            other => other.sqlite_error_code(),
        };
        match code {
            Some(ErrorCode::NotADatabase) => Self::new(FOREIGN, "it is no SQLite database"),
            Some(ErrorCode::DatabaseCorrupt) => Self::damaged("SQLite cannot read it"),
            _ => Self::new(IO, format!("SQLite says: {error}")),
        }
    }
}
