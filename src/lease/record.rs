//! The record: what lies under a key in every store, as JSON. `docs/formats/lease-record.md` describes it.
//!
//! Its times are milliseconds on the store's clock. Nobody knows that clock at the moment of writing, so the term
//! that a write begins says `until: 0`, and readers count from the instant at which the store wrote it. Its tokens
//! count from 1; where they are shown the store's `base` (zero nearly everywhere) is added, or an earlier one: `counts`.

pub use crate::lease::nonce::Nonce;

use crate::lease::counts::Counts;
use crate::lease::send::state::State;
use serde::{Deserialize, Serialize};
use std::rc::Rc;

/// The format's version.
pub const VERSION: u32 = 1;
/// The largest record that is written or read.
pub const MAX_BYTES: usize = 256 * 1024;
/// How many may stand in line; who comes then looks again from time to time.
pub const MAX_TICKETS: usize = 256;
/// How many may hold at once: permits, or shared holds.
pub const MAX_HOLDS: usize = 256;
/// The largest metadata, as JSON.
pub const MAX_META: usize = 4 * 1024;
/// The longest key, in UTF-8 bytes.
pub const MAX_KEY: usize = 512;
/// The largest token: with the one after it JavaScript would confuse it.
pub const MAX_TOKEN: u64 = (1 << 53) - 2;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Exclusive,
    Shared,
    /// One of so many permits.
    Permit(u32),
}

/// Until when something counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Term {
    pub ttl_ms: u64,
    /// On the store's clock; 0 in a stored record: `ttl_ms` after the store wrote this record.
    pub until: u64,
    /// It counts as long as this session does; `until` says nothing then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
}

/// Whose it is: for people, and for those who can see that its process is gone. The texts that a record has in many
/// places are shared, so that a copy of it costs little.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Who {
    pub worker: Rc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Rc<str>>,
    pub host: Rc<str>,
    pub pid: u32,
    /// When the process started, as its system counts; with `space` it tells a pid from its next bearer.
    #[serde(default)]
    pub started: u64,
    /// The boot and the pid namespace in which `pid` means something.
    #[serde(default)]
    pub space: Rc<str>,
    /// Milliseconds since 1970 on the holder's wall clock. For people: nothing decides by it.
    pub at: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    pub nonce: Nonce,
    pub token: u64,
    pub mode: Mode,
    pub term: Term,
    /// After an expiry nobody gets the key for so long.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delay_ms: u64,
    pub who: Who,
    /// The user's, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Box<serde_json::Value>>,
    /// Somebody else has handed it over, and its term is still that of the place in line: the first renewal makes it
    /// last for so many ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed: Option<u64>,
}

/// A place in line: a lease itself, so that a dead waiter costs its own ttl at the most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    pub nonce: Nonce,
    pub mode: Mode,
    pub term: Term,
    pub who: Who,
    /// What its hold shall be like, if others may hand the key over to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Box<Claim>>,
}

/// What a hold has beside what its place in line has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    pub ttl_ms: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delay_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Box<serde_json::Value>>,
}

/// A hold that was taken away, for its holder and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stolen {
    pub token: u64,
    pub by: Who,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    pub v: u32,
    /// Random, new in every write: two writes are never the same bytes.
    pub write: u64,
    /// The last token that was granted; it only grows.
    pub token: u64,
    /// Which of its tokens count from an earlier base of the store.
    #[serde(default, skip_serializing_if = "Counts::is_empty")]
    pub counts: Counts,
    #[serde(default)]
    pub holds: Vec<Hold>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queue: Vec<Ticket>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stolen: Option<Box<Stolen>>,
    /// What the send lock keeps under a key of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Box<State>>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Why a text is no record of ours.
#[derive(Debug, PartialEq, Eq)]
pub enum Strange {
    /// Not written by chainlock, or damaged.
    Foreign(String),
    /// Written by a newer chainlock.
    Newer(u32),
}

#[derive(Deserialize)]
struct Head {
    v: u32,
}

impl Record {
    /// From what a store holds, written at `at` on its clock. Nothing in it is trusted.
    pub fn read(body: &str, at: u64) -> Result<Record, Strange> {
        if body.len() > MAX_BYTES {
            return Err(Strange::Foreign(format!("{} bytes, more than a record has", body.len())));
        }
        let foreign = |error: serde_json::Error| Strange::Foreign(format!("it is no lease record: {error}"));
        let mut record: Record = match serde_json::from_str(body) {
            Ok(record) => record,
            Err(error) => {
                return Err(match serde_json::from_str::<Head>(body) {
                    Ok(head) if head.v > VERSION => Strange::Newer(head.v),
                    _ => foreign(error),
                });
            }
        };
        if record.v != VERSION {
            return Err(Strange::Newer(record.v));
        }
        if record.holds.len() > MAX_HOLDS || record.queue.len() > MAX_TICKETS {
            return Err(Strange::Foreign("more holds or tickets than a record has".into()));
        }
        if record.token > MAX_TOKEN {
            return Err(Strange::Foreign("a token beyond what JavaScript can count".into()));
        }
        if record.holds.iter().any(|hold| hold.token == 0 || hold.token > record.token) {
            return Err(Strange::Foreign("a hold whose token was never granted".into()));
        }
        if !record.counts.fit(record.token) {
            return Err(Strange::Foreign("tokens that count from nothing that can be".into()));
        }
        record.settle(at);
        Ok(record)
    }

    /// Counts the terms that its own write began from the instant of that write.
    pub fn settle(&mut self, at: u64) {
        for term in self.terms() {
            if term.until == 0 {
                term.until = at.saturating_add(term.ttl_ms);
            }
        }
        if let Some(state) = &mut self.state {
            state.settle(at);
        }
    }

    /// One of its tokens as users see it.
    pub fn told(&self, token: u64, base: u64) -> u64 {
        self.counts.told(token, base)
    }

    /// To be called before it is written on top of a record whose last token was `last`, with that record's base.
    pub fn note_base(&mut self, last: u64, base: u64) {
        if base == 0 {
            return;
        }
        let holds = self.holds.iter().map(|hold| hold.token);
        let stolen = self.stolen.iter().map(|stolen| stolen.token);
        let sent = self.state.iter().flat_map(|state| state.tokens());
        let needed: Vec<u64> = holds.chain(stolen).chain(sent).collect();
        self.counts.note(last, base, &needed);
    }

    /// As it is stored, with a fresh `write`.
    pub fn text(&mut self, write: u64) -> Result<String, String> {
        self.v = VERSION;
        self.write = write;
        let text = serde_json::to_string(self).map_err(|error| error.to_string())?;
        if text.len() > MAX_BYTES {
            return Err(format!(
                "the record would have {} bytes; at most {MAX_BYTES} are allowed",
                text.len()
            ));
        }
        Ok(text)
    }

    fn terms(&mut self) -> impl Iterator<Item = &mut Term> {
        let holds = self.holds.iter_mut().map(|hold| &mut hold.term);
        holds.chain(self.queue.iter_mut().map(|ticket| &mut ticket.term))
    }

    pub fn hold(&self, nonce: &Nonce) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.nonce == *nonce)
    }

    pub fn place(&self, nonce: &Nonce) -> Option<usize> {
        self.queue.iter().position(|ticket| ticket.nonce == *nonce)
    }

    /// The sessions that it names.
    pub fn sessions(&self) -> Vec<String> {
        let holds = self.holds.iter().filter_map(|hold| hold.term.session.clone());
        let mut all: Vec<String> =
            holds.chain(self.queue.iter().filter_map(|ticket| ticket.term.session.clone())).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The same of a stored record; of what is no record, none.
    pub fn sessions_in(body: &str) -> Vec<String> {
        Record::read(body, 0).map(|record| record.sessions()).unwrap_or_default()
    }
}
