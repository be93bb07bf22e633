//! What is asked for, checked once: against what there is at all, and against what the store promises.

use crate::lease::fault::Fault;
use crate::lease::manager::types::{Opening, Request, Strategy};
use crate::lease::record::{MAX_HOLDS, MAX_KEY, MAX_META, Mode};
use crate::lease::store::Caps;

/// The most keys of one request.
pub const MOST_KEYS: usize = 64;
/// The longest worker and node names, in bytes.
pub const MOST_NAME: usize = 256;
/// 30 days: a lease that lives longer is no lease.
pub const MOST_TTL_MS: u64 = 30 * 24 * 3_600_000;

/// A request that can be kept.
#[derive(Debug)]
pub struct Checked {
    /// Sorted, each with its place in the request.
    pub keys: Vec<(String, usize)>,
    pub ttl_ms: u64,
    pub fair: bool,
    pub meta: Option<Box<serde_json::Value>>,
}

fn invalid(message: String) -> Fault {
    Fault::new("ERR_LOCK_INVALID_ARGUMENT", message)
}

fn unsupported(caps: &Caps, what: String) -> Fault {
    Fault::new("ERR_LOCK_STORE_UNSUPPORTED", format!("{}: {what}", caps.engine))
}

pub fn check(request: &Request, opening: &Opening, caps: &Caps) -> Result<Checked, Fault> {
    let keys = keys(&request.keys)?;
    let ttl_ms = request.ttl_ms.unwrap_or(opening.ttl_ms);
    let least = (caps.min_ttl.as_millis() as u64).max(1);
    if ttl_ms > MOST_TTL_MS || ttl_ms == 0 {
        return Err(invalid(format!("ttlMs is {ttl_ms}; 1 to {MOST_TTL_MS} are allowed")));
    }
    if ttl_ms < least {
        let what =
            format!("a ttl of {ttl_ms} ms is shorter than this store can keep; the least is {least} ms");
        return Err(unsupported(caps, what));
    }
    if let Mode::Permit(permits) = request.mode
        && !(1..=MAX_HOLDS as u32).contains(&permits)
    {
        return Err(invalid(format!("permits is {permits}; 1 to {MAX_HOLDS} are allowed")));
    }
    if request.fair == Some(true) && !caps.queue {
        return Err(unsupported(caps, "it keeps no waiting line (fair: true)".into()));
    }
    if request.delay_ms > 0 && caps.sessions {
        return Err(unsupported(caps, "it cannot keep a key closed after an expiry (lockDelayMs)".into()));
    }
    if request.delay_ms > MOST_TTL_MS {
        return Err(invalid(format!(
            "lockDelayMs is {}; at most {MOST_TTL_MS} is allowed",
            request.delay_ms
        )));
    }
    if matches!(request.strategy, Strategy::Steal { .. }) && keys.len() != 1 {
        return Err(invalid("a token names the holder of one key; steal one key at a time".into()));
    }
    for (name, text) in
        [("workerId", &request.worker), ("nodeId", &request.node), ("reason", &request.reason)]
    {
        let length = text.as_ref().map_or(0, String::len);
        if length > MOST_NAME {
            return Err(invalid(format!("{name} has {length} bytes; at most {MOST_NAME} are allowed")));
        }
    }
    let fair = request.strategy == Strategy::Wait && caps.queue && request.fair != Some(false);
    Ok(Checked { keys, ttl_ms, fair, meta: meta(request.meta.as_deref())? })
}

fn keys(keys: &[String]) -> Result<Vec<(String, usize)>, Fault> {
    if !(1..=MOST_KEYS).contains(&keys.len()) {
        return Err(invalid(format!("{} keys; 1 to {MOST_KEYS} are allowed", keys.len())));
    }
    let mut sorted: Vec<(String, usize)> = Vec::with_capacity(keys.len());
    for (place, key) in keys.iter().enumerate() {
        key_is_allowed(key)?;
        sorted.push((key.clone(), place));
    }
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| matches!(pair, [one, other] if one.0 == other.0)) {
        return Err(invalid("a key is named twice".into()));
    }
    Ok(sorted)
}

pub fn key_is_allowed(key: &str) -> Result<(), Fault> {
    match key.len() {
        0 => Err(invalid("key is empty; 1 to 512 bytes of UTF-8 are allowed".into())),
        length if length > MAX_KEY => {
            Err(invalid(format!("key has {length} bytes of UTF-8; 1 to {MAX_KEY} are allowed")))
        }
        _ => Ok(()),
    }
}

fn meta(text: Option<&str>) -> Result<Option<Box<serde_json::Value>>, Fault> {
    let Some(text) = text else { return Ok(None) };
    if text.len() > MAX_META {
        return Err(invalid(format!(
            "the metadata has {} bytes as JSON; at most {MAX_META} are allowed",
            text.len()
        )));
    }
    let value = serde_json::from_str(text);
    value.map(Some).map_err(|error| invalid(format!("the metadata is not JSON: {error}")))
}
