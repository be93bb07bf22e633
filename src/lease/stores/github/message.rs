//! What a commit says: a line for people, an empty line, a line that says what it is, and the record as it was given.
//!
//! ```text
//! lock 42: held by worker-1 (token 7)
//!
//! {"chainlock":1,"kind":"lock","name":"42","nonce":"…"}
//! {"v":1,"write":…,"token":7,"holds":[…]}
//! ```
//!
//! The nonce makes every commit another object: two workers of one account that write the same bytes in the same second
//! would otherwise make one commit, and both would see it win.

use std::hash::{BuildHasher, RandomState};

use serde::{Deserialize, Serialize};

use crate::lease::record::Record;

const VERSION: u32 = 1;
/// How much of a name stands in the line for people.
const SHOWN: usize = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A key's record.
    Lock,
    /// One heartbeat of a process.
    Session,
    /// The mark that says where the locks lie.
    Home,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    chainlock: u32,
    kind: Kind,
    /// The whole key, the session or the namespace.
    name: String,
    nonce: String,
    /// Of a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub kind: Kind,
    pub name: String,
    pub ttl_ms: u64,
    /// Of a lock: the record's text.
    pub body: &'a str,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Strange {
    Foreign,
    Newer,
}

/// Of a key, with its record.
pub fn of_lock(key: &str, body: &str) -> String {
    let subject = format!("lock {}: {}", shown(key), state_of(body));
    format!("{subject}\n\n{}\n{body}", head(Kind::Lock, key, None))
}

pub fn of_session(id: &str, ttl_ms: u64) -> String {
    let subject = format!("session {}: alive for {} s", shown(id), ttl_ms.div_ceil(1_000));
    format!("{subject}\n\n{}", head(Kind::Session, id, Some(ttl_ms)))
}

pub fn of_home(namespace: &str) -> String {
    let subject = format!("The locks of {} lie beside this ref", shown(namespace));
    format!("{subject}\n\n{}", head(Kind::Home, namespace, None))
}

fn head(kind: Kind, name: &str, ttl_ms: Option<u64>) -> String {
    let nonce = random();
    let head = Head { chainlock: VERSION, kind, name: name.into(), nonce, ttl_ms };
    // Of texts and numbers only: it cannot fail.
    serde_json::to_string(&head).unwrap_or_default()
}

/// 128 bits from the system's randomness, as digits: machines that start alike must not draw alike.
pub fn random() -> String {
    let draw = || RandomState::new().hash_one(VERSION);
    format!("{:016x}{:016x}", draw(), draw())
}

/// Nothing in it is trusted.
pub fn read(message: &str) -> Result<Message<'_>, Strange> {
    #[derive(Deserialize)]
    struct Version {
        chainlock: u32,
    }
    let rest = message.split_once("\n\n").ok_or(Strange::Foreign)?.1;
    let (line, body) = rest.split_once('\n').unwrap_or((rest, ""));
    let Ok(head) = serde_json::from_str::<Head>(line) else {
        return Err(match serde_json::from_str::<Version>(line) {
            Ok(version) if version.chainlock > VERSION => Strange::Newer,
            _ => Strange::Foreign,
        });
    };
    if head.chainlock != VERSION {
        return Err(Strange::Newer);
    }
    // Git likes a last line that ends; a record has no such end.
    let body = body.trim_end_matches('\n');
    Ok(Message { kind: head.kind, name: head.name, ttl_ms: head.ttl_ms.unwrap_or(0), body })
}

fn state_of(body: &str) -> String {
    let Ok(record) = serde_json::from_str::<Record>(body) else { return "written".into() };
    match record.holds.as_slice() {
        [] => format!("free (last token {})", record.token),
        [hold] => format!("held by {} (token {})", shown(&hold.who.worker), hold.token),
        holds => format!("held by {} (last token {})", holds.len(), record.token),
    }
}

/// One line that calls nobody, names no issue and opens no markup.
pub fn shown(text: &str) -> String {
    let harmless = |c: char| c.is_alphanumeric() || " -_.:/+=".contains(c);
    text.chars().take(SHOWN).map(|c| if harmless(c) { c } else { '·' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was_given() {
        let body = "{\"v\":1,\"write\":5,\"token\":7,\"holds\":[]}";
        let text = of_lock("a\n\n{\"chainlock\":1}\n@you #1", body);
        let message = read(&text).unwrap();
        assert_eq!(
            (message.kind, &*message.name, message.body),
            (Kind::Lock, "a\n\n{\"chainlock\":1}\n@you #1", body)
        );
        assert_eq!(read(&format!("{text}\n")).unwrap().body, body);
        assert!(text.starts_with("lock a··"), "{text}");
        assert!(text.lines().next().unwrap().ends_with("free (last token 7)"));
    }

    #[test]
    fn the_same_twice_is_not_the_same() {
        assert_ne!(of_lock("a", "{}"), of_lock("a", "{}"));
        assert_ne!(of_session("a", 1), of_session("a", 1));
    }

    #[test]
    fn what_is_not_ours_says_so() {
        for text in ["", "Begin", "Begin\n\nwith words", "a\n\n{\"chainlock\":1}", "a\n\n{}\n{}"] {
            assert_eq!(read(text), Err(Strange::Foreign), "{text}");
        }
        let newer = of_lock("a", "{}").replace("\"chainlock\":1", "\"chainlock\":2");
        assert_eq!(read(&newer), Err(Strange::Newer));
        assert_eq!(read("a\n\n{\"chainlock\":2,\"other\":1}"), Err(Strange::Newer));
    }
}
