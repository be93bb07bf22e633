//! What Redis and the way to it say, as a store's errors: above all whether a write may have happened.

use crate::lease::store::StoreError;
use redis::{ErrorKind, RedisError, ServerError};

/// What was going on when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Nothing was asked yet.
    Connect,
    Read,
    Write,
}

/// Codes that a script's error of Redis before 7 carries inside its text.
const INNER: [&str; 8] =
    ["WRONGTYPE", "NOPERM", "READONLY", "OOM", "MISCONF", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN"];

/// The way to the server failed, or it refused: no answer to a write means that it may have happened.
pub fn failed(error: &RedisError, doing: Doing) -> StoreError {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => {
            let code = error.code().unwrap_or("ERR");
            by_code(code, error.detail().unwrap_or_default())
        }
        ErrorKind::AuthenticationFailed => {
            StoreError::Denied(error.detail().unwrap_or("the server refused the credentials").to_owned())
        }
        _ => unanswered(&format!("the connection broke: {error}"), doing),
    }
}

/// No answer came.
pub fn unanswered(why: &str, doing: Doing) -> StoreError {
    match doing {
        Doing::Write => StoreError::Unknown(why.to_owned()),
        Doing::Connect | Doing::Read => StoreError::Unavailable { why: why.to_owned(), retry_after: None },
    }
}

/// The server answered with an error: nothing was written. A script is refused at its first write or not at all.
pub fn refused(error: &ServerError) -> StoreError {
    by_code(error.code(), error.details().unwrap_or_default())
}

/// An answer that no Redis gives.
pub fn strange(what: &str) -> StoreError {
    StoreError::Foreign(format!("the server answered {what}, which is not how Redis answers here"))
}

fn by_code(code: &str, text: &str) -> StoreError {
    let inner = INNER.into_iter().find(|inner| code == "ERR" && text.contains(inner));
    let code = inner.unwrap_or(code);
    let said = format!("{code} {text}");
    match code {
        "NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED" => StoreError::Denied(said),
        "READONLY" => StoreError::ReadOnly(format!("{said} (this server is a replica)")),
        "WRONGTYPE" => StoreError::Foreign(format!("a value that is no string lies under the key: {said}")),
        "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "OOM" | "BUSY" | "MISCONF" | "NOREPLICAS" => {
            unanswered(&said, Doing::Read)
        }
        "ERR" if text.contains("max number of clients") => unanswered(&said, Doing::Read),
        "MOVED" | "ASK" | "CROSSSLOT" => {
            let advice =
                "a cluster shares its slots out: name the node that has this namespace, or a single server";
            StoreError::Unsupported(format!("{said} ({advice})"))
        }
        _ => StoreError::Unsupported(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_kind() {
        let kinds = [
            ("NOAUTH", "Authentication required.", "Denied"),
            ("NOPERM", "this user has no permissions", "Denied"),
            ("DENIED", "Redis is running in protected mode", "Denied"),
            ("READONLY", "You can't write against a read only replica.", "ReadOnly"),
            ("LOADING", "Redis is loading the dataset in memory", "Unavailable"),
            ("OOM", "command not allowed when used memory > 'maxmemory'.", "Unavailable"),
            ("ERR", "max number of clients reached", "Unavailable"),
            ("MOVED", "1234 127.0.0.1:7001", "Unsupported"),
            ("ERR", "unknown command 'EVALSHA'", "Unsupported"),
            ("ERR", "Error running script: @user_script:3: WRONGTYPE Operation against a key", "Foreign"),
        ];
        for (code, text, kind) in kinds {
            let error = by_code(code, text);
            assert!(format!("{error:?}").starts_with(kind), "{code} {text}: {error:?}");
        }
    }

    #[test]
    fn only_a_write_without_an_answer_may_have_happened() {
        assert!(matches!(unanswered("x", Doing::Write), StoreError::Unknown(_)));
        assert!(matches!(unanswered("x", Doing::Read), StoreError::Unavailable { .. }));
        assert!(matches!(unanswered("x", Doing::Connect), StoreError::Unavailable { .. }));
    }
}
