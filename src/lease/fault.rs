//! What can go wrong with a lease, as users get it: a stable code, a sentence, and what belongs to it.

use crate::lease::record::Mode;
use crate::lease::store::StoreError;

/// Who is in the way, for an error or a status.
#[derive(Clone, Debug, PartialEq)]
pub struct HolderView {
    pub worker: String,
    pub node: Option<String>,
    pub host: String,
    pub pid: u32,
    pub token: u64,
    pub mode: Mode,
    pub ttl_ms: u64,
    /// Milliseconds since 1970 on the holder's wall clock.
    pub acquired_at: u64,
    /// Until it expires; none when only the store knows.
    pub expires_in_ms: Option<u64>,
    pub stale: bool,
    /// JSON.
    pub meta: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub code: &'static str,
    /// Says engine, key and advice; never a secret.
    pub message: String,
    pub key: Option<String>,
    pub holder: Option<Box<HolderView>>,
    pub retry_after_ms: Option<u64>,
    /// How often the request was tried again before.
    pub retries: u32,
}

impl Fault {
    pub fn new(code: &'static str, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into(), key: None, holder: None, retry_after_ms: None, retries: 0 }
    }

    /// Of a store, about a key.
    pub fn of(error: &StoreError, shown: &str, key: Option<&str>) -> Fault {
        let (code, why, advice) = match error {
            StoreError::Unknown(why) => {
                ("ERR_LOCK_STORE_UNAVAILABLE", why, "no answer came in time; is the server reachable?")
            }
            StoreError::Unavailable { why, retry_after: Some(_) } => {
                ("ERR_LOCK_STORE_UNAVAILABLE", why, "ask again after that, and less often")
            }
            StoreError::Unavailable { why, .. } => {
                ("ERR_LOCK_STORE_UNAVAILABLE", why, "is the server running, and is the address right?")
            }
            StoreError::Denied(why) => ("ERR_LOCK_STORE_DENIED", why, access(shown)),
            StoreError::Foreign(why) => ("ERR_LOCK_STORE_FOREIGN", why, elsewhere(shown)),
            StoreError::Newer(why) => {
                ("ERR_LOCK_STORE_VERSION", why, "a newer chainlock wrote it; update this one")
            }
            StoreError::ReadOnly(why) => ("ERR_LOCK_STORE_READ_ONLY", why, "leases must be able to write"),
            StoreError::Unsupported(why) => {
                ("ERR_LOCK_STORE_UNSUPPORTED", why, "choose another store or option")
            }
        };
        let about = key.map(|key| format!(", key {key:?}")).unwrap_or_default();
        let mut fault = Fault::new(code, format!("{shown}{about}: {why} ({advice})"));
        fault.key = key.map(str::to_owned);
        if let StoreError::Unavailable { retry_after, .. } = error {
            fault.retry_after_ms = retry_after.map(|after| after.as_millis() as u64);
        }
        fault
    }
}

fn is_file(shown: &str) -> bool {
    shown.starts_with("sqlite:")
}

fn access(shown: &str) -> &'static str {
    match is_file(shown) {
        true => "this user must be able to read and write the file and its folder",
        false => "check user, password or token",
    }
}

fn elsewhere(shown: &str) -> &'static str {
    match is_file(shown) {
        true => "name another file or namespace, or remove what lies there",
        false => "use another namespace, or remove what lies there",
    }
}
