//! What is said to etcd's JSON gateway, and what it says: keys and values in base64, 64-bit numbers as texts, fields
//! left out where they are zero.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::lease::store::{Seen, StoreError, Swap, Version};

/// Where things lie: `<namespace>/lease/<key>` and `<namespace>/session/<id>`.
#[derive(Debug)]
pub struct Names {
    records: String,
    sessions: String,
}

impl Names {
    pub fn new(namespace: &str) -> Names {
        Names { records: format!("{namespace}/lease/"), sessions: format!("{namespace}/session/") }
    }

    pub fn record(&self, key: &str) -> String {
        encode(&format!("{}{key}", self.records))
    }

    pub fn session(&self, session: &str) -> String {
        encode(&format!("{}{session}", self.sessions))
    }

    /// The range of all keys that begin so.
    pub fn records(&self, prefix: &str) -> (String, String) {
        range(&format!("{}{prefix}", self.records))
    }

    pub fn sessions(&self) -> (String, String) {
        range(&self.sessions)
    }

    /// The key of a record or the id of a session, from what the server calls it.
    pub fn place(&self, key: &str) -> Option<Place> {
        let name = String::from_utf8(decode(key)?).ok()?;
        match name.strip_prefix(&self.records) {
            Some(key) => Some(Place::Record(key.to_owned())),
            None => name.strip_prefix(&self.sessions).map(|id| Place::Session(id.to_owned())),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    Record(String),
    Session(String),
}

fn encode(text: &str) -> String {
    STANDARD.encode(text)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// From a prefix up to, and without, the first name that no longer begins so. UTF-8 has no byte 255.
fn range(prefix: &str) -> (String, String) {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    (encode(prefix), STANDARD.encode(end))
}

pub fn look(key: &str) -> Value {
    json!({ "request_range": { "key": key } })
}

pub fn count(key: &str) -> Value {
    json!({ "request_range": { "key": key, "count_only": true } })
}

/// A write that happens only if every record is as it was seen and every guard holds; else what is there.
pub fn conditional(
    names: &Names,
    swaps: &[Swap],
    alive: &[String],
    gone: &[String],
) -> Result<Value, StoreError> {
    let mut conditions = Vec::with_capacity(swaps.len() + alive.len() + gone.len());
    let (mut puts, mut looks) = (Vec::with_capacity(swaps.len()), Vec::with_capacity(swaps.len()));
    for swap in swaps {
        let key = names.record(&swap.key);
        let revision = match &swap.expect {
            Version::Absent => 0,
            Version::Number(revision) => *revision,
            Version::Object(_) => return Err(StoreError::Foreign("a version of another store".into())),
        };
        conditions.push(json!({
            "key": key, "target": "MOD", "result": "EQUAL", "mod_revision": revision.to_string(),
        }));
        puts.push(json!({ "request_put": { "key": key, "value": encode(&swap.body) } }));
        looks.push(look(&key));
    }
    let guard = |session: &String, result: &str| {
        let key = names.session(session);
        json!({ "key": key, "target": "CREATE", "result": result, "create_revision": "0" })
    };
    conditions.extend(alive.iter().map(|session| guard(session, "GREATER")));
    conditions.extend(gone.iter().map(|session| guard(session, "EQUAL")));
    Ok(json!({ "compare": conditions, "success": puts, "failure": looks }))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Header {
    #[serde(deserialize_with = "number")]
    pub revision: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Pair {
    pub key: String,
    pub value: String,
    #[serde(deserialize_with = "number")]
    pub mod_revision: u64,
}

impl Pair {
    /// A record as a store shows it. Sessions are its clock, so there is no time in it.
    pub fn seen(&self) -> Result<Seen, StoreError> {
        let text = decode(&self.value).and_then(|bytes| String::from_utf8(bytes).ok());
        let body = text.ok_or_else(|| StoreError::Foreign("what lies under the key is no text".into()))?;
        Ok(Seen { version: Version::Number(self.mod_revision), body: body.into(), ..Seen::absent(0) })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Range {
    pub kvs: Vec<Pair>,
    #[serde(deserialize_with = "number")]
    pub count: u64,
}

impl Range {
    pub fn seen(&self) -> Result<Seen, StoreError> {
        self.kvs.first().map_or_else(|| Ok(Seen::absent(0)), Pair::seen)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Op {
    pub response_range: Option<Range>,
    pub response_txn: Option<Txn>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Txn {
    pub header: Header,
    pub succeeded: bool,
    pub responses: Vec<Op>,
}

impl Txn {
    pub fn ranges(&self) -> impl Iterator<Item = &Range> {
        self.responses.iter().filter_map(|op| op.response_range.as_ref())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Lease {
    #[serde(rename = "ID", deserialize_with = "number")]
    pub id: u64,
    /// Left out, or not above zero: there is no such lease.
    #[serde(rename = "TTL", deserialize_with = "number")]
    pub ttl: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Token {
    pub token: String,
}

/// A line of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Line<T: Default> {
    pub result: Option<T>,
    pub error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Watched {
    pub created: bool,
    pub canceled: bool,
    pub cancel_reason: String,
    pub events: Vec<Event>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Event {
    /// Left out for a write.
    pub r#type: String,
    pub kv: Pair,
}

/// What is negative counts as zero: only a ttl is, when there is none.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = match &value {
        Value::String(text) => text.parse::<i128>().ok(),
        value => value.as_i64().map(i128::from),
    };
    let number = number.ok_or_else(|| serde::de::Error::custom("a number was expected"))?;
    u64::try_from(number.max(0)).map_err(serde::de::Error::custom)
}
