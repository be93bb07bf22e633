//! What an error of the server or of the connection means for a request.

use tokio_postgres::Error;

use crate::lease::store::StoreError;

/// What a request does: an answer that did not come is unknown for a write, and nothing at all for a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
}

pub fn unavailable(why: impl Into<String>) -> StoreError {
    StoreError::Unavailable { why: why.into(), retry_after: None }
}

/// No answer.
pub fn unanswered(kind: Kind, why: String) -> StoreError {
    match kind {
        Kind::Read => unavailable(why),
        Kind::Write => StoreError::Unknown(why),
    }
}

pub fn state_of(error: &Error) -> Option<&str> {
    error.code().map(tokio_postgres::error::SqlState::code)
}

/// Whether the server says that nothing was written because of others: lost.
pub fn is_lost(error: &Error) -> bool {
    // Not everything moved (the division in `sql.rs`), changed by others in a stricter isolation, a deadlock.
    matches!(state_of(error), Some("22012" | "40001" | "40P01"))
}

/// Of a request that was sent. The server's word that it refused a statement is certain.
pub fn of_request(kind: Kind, error: &Error) -> StoreError {
    let Some(state) = state_of(error) else {
        return unanswered(kind, words(error));
    };
    match state {
        "57P01" | "57P02" | "57P03" | "57P05" => unanswered(kind, words(error)),
        _ if state.starts_with("08") || state.starts_with("XX") => unanswered(kind, words(error)),
        _ => of_state(state, words(error)),
    }
}

/// Of a connection that was not made.
pub fn of_connecting(error: &Error) -> StoreError {
    match state_of(error) {
        Some(state) => of_state(state, words(error)),
        None => unavailable(words(error)),
    }
}

fn of_state(state: &str, why: String) -> StoreError {
    match state {
        "42501" => StoreError::Denied(why),
        "25006" => StoreError::ReadOnly(why),
        "42P01" | "42703" | "42804" | "42883" | "42809" | "23502" | "23514" => StoreError::Foreign(why),
        "3F000" => StoreError::Denied(format!("{why}: the search_path names no schema that is there")),
        "3D000" => StoreError::Denied(why),
        "22021" | "22P05" => StoreError::Unsupported(format!("this database cannot hold the key: {why}")),
        "0A000" => StoreError::Unsupported(why),
        _ if state.starts_with("28") => StoreError::Denied(why),
        _ => unavailable(why),
    }
}

/// The server's own words; of the driver's the whole chain. Neither knows the password.
fn words(error: &Error) -> String {
    if let Some(told) = error.as_db_error() {
        return format!("PostgreSQL says: {} ({})", crate::name::clean(told.message()), told.code().code());
    }
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}
