//! Claims, queues and cycles in JSON, for errors and for those who look. Names are UTF-16 and may hold lone
//! surrogates, which JSON can write and no Rust string can hold; so the texts are put together here.

use crate::local::book::Book;
use crate::local::claim::{Claim, State};
use crate::local::deadlock::{Blocker, Cycle};
use crate::local::lock_order::Sight;
use crate::local::names::Ref;
use crate::local::resource::Kind;
use crate::local::statistics::Mode;
use crate::sync::Arc;
use crate::time::Nanos;
use std::fmt::Write;

/// What the send lock is called among the named locks.
pub const SEND_LOCK: &str = "send lock";
/// The most holders that an error names.
const MOST_HOLDERS: usize = 8;

/// A name as a JSON string.
pub fn quoted(name: &[u16]) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push('"');
    for unit in name {
        match (u8::try_from(*unit), char::from_u32(u32::from(*unit))) {
            (Ok(b'"' | b'\\'), Some(sign)) => text.extend(['\\', sign]),
            (Ok(0x20..=0x7e), Some(sign)) => text.push(sign),
            _ => {
                // Writing to a String does not fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text.push('"');
    text
}

/// A text as a JSON string, or null.
pub fn quoted_text(text: Option<&str>) -> String {
    text.map_or_else(|| "null".into(), |text| quoted(&text.encode_utf16().collect::<Vec<u16>>()))
}

pub fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

pub fn mode_word(weight: u64) -> &'static str {
    match Mode::of(weight) {
        Mode::Exclusive => "exclusive",
        Mode::Shared => "shared",
    }
}

/// What a claim is for: name (null without one), kind, mode (null for a semaphore) and weight.
fn subject(book: &Book, claim: &Claim) -> String {
    if claim.state == State::Outside {
        return format!(r#""name":"{SEND_LOCK}","kind":"send","mode":"exclusive","weight":1"#);
    }
    let parts = claim.parts.as_slice();
    let entry = parts.first().and_then(|part| book.names.entry(part.resource));
    let names: Vec<String> = parts.iter().map(|part| name_of(book, part.resource)).collect();
    let name = names.first().map_or("null", String::as_str);
    let weight = claim.weight();
    let (kind, mode) = match entry.map(|entry| entry.kind) {
        Some(Kind::Semaphore) => ("semaphore", "null".into()),
        _ => ("lock", format!(r#""{}""#, mode_word(if claim.upgrades().is_some() { 0 } else { weight }))),
    };
    let all =
        if names.len() > 1 { format!(r#","names":{}"#, list(names.iter().cloned())) } else { String::new() };
    let units = if kind == "semaphore" { weight } else { 1 };
    format!(r#""name":{name},"kind":"{kind}","mode":{mode},"weight":{units}{all}"#)
}

pub fn name_of(book: &Book, at: Ref) -> String {
    book.names.name(at).map_or_else(|| "null".into(), |name| quoted(name))
}

/// A hold.
pub fn holder(book: &Book, claim: &Claim, now: Nanos) -> String {
    format!(
        r#"{{{},"label":{},"threadId":{},"token":{},"heldMs":{}}}"#,
        subject(book, claim),
        quoted_text(claim.label().map(AsRef::as_ref)),
        claim.caller.thread_id,
        claim.token,
        now.since(claim.since).as_ms(),
    )
}

/// The place of a waiting claim in its (first) queue, from 1; 0 outside of any.
pub fn position(book: &Book, slot: u32, claim: &Claim) -> usize {
    let resource = claim.parts.as_slice().first().and_then(|part| book.names.resource(part.resource));
    let place = resource.and_then(|resource| resource.queue.values().position(|&other| other == slot));
    place.map_or(0, |place| place + 1)
}

/// A waiting claim.
pub fn waiting(book: &Book, slot: u32, now: Nanos) -> String {
    let Some(claim) = book.claims.get(slot) else { return "null".into() };
    waiting_at(book, claim, position(book, slot, claim), now)
}

/// The same, where its place in line is known.
pub fn waiting_at(book: &Book, claim: &Claim, position: usize, now: Nanos) -> String {
    format!(
        r#"{{{},"label":{},"threadId":{},"position":{position},"priority":{},"waitedMs":{}}}"#,
        subject(book, claim),
        quoted_text(claim.label().map(AsRef::as_ref)),
        claim.caller.thread_id,
        if claim.upgrades().is_some() { 0 } else { claim.priority },
        now.since(claim.since).as_ms(),
    )
}

/// Who holds a resource, and how many wait: what a waiter is told that gives up.
pub fn in_the_way(book: &Book, at: Ref, now: Nanos) -> Arc<str> {
    let Some(resource) = book.names.resource(at) else {
        return r#"{"holders":[],"holderCount":0,"waiters":0}"#.into();
    };
    let holds = resource.holds.iter().take(MOST_HOLDERS).filter_map(|&slot| book.claims.get(slot));
    let holders = list(holds.map(|claim| holder(book, claim, now)));
    let (count, waiters) = (resource.holds.len(), resource.queue.len());
    format!(r#"{{"holders":{holders},"holderCount":{count},"waiters":{waiters}}}"#).into()
}

/// A cycle of waits.
pub fn cycle(book: &Book, cycle: &Cycle, now: Nanos) -> String {
    let edges = cycle.iter().map(|&(slot, blocker)| {
        let request = waiting(book, slot, now);
        match blocker {
            Blocker::Hold(hold) => {
                let holder = book.claims.get(hold).map_or_else(|| "null".into(), |claim| holder(book, claim, now));
                format!(r#"{{"request":{request},"heldBy":{holder}}}"#)
            }
            Blocker::Send(token) => format!(
                r#"{{"request":{request},"heldBy":{{"name":"{SEND_LOCK}","kind":"send","mode":"exclusive","weight":1,"label":null,"threadId":null,"token":{token},"heldMs":null}}}}"#
            ),
            Blocker::Ahead(other) => {
                format!(r#"{{"request":{request},"heldBy":null,"behind":{}}}"#, waiting(book, other, now))
            }
        }
    });
    list(edges)
}

/// The text of a refusal for a deadlock.
pub fn deadlock(book: &Book, found: &Cycle, now: Nanos) -> Arc<str> {
    format!(r#"{{"cycle":{}}}"#, cycle(book, found, now)).into()
}

fn sight(sight: &Sight) -> String {
    format!(
        r#"{{"held":{},"then":{},"chain":{},"threadId":{},"label":{},"site":{}}}"#,
        quoted(&sight.held),
        quoted(&sight.then),
        list(sight.chain.iter().map(|name| quoted(name))),
        sight.thread_id,
        quoted_text(sight.label.as_deref()),
        quoted_text(sight.site.as_deref()),
    )
}

/// An inversion of the order of two classes: the first sight of the one, and the present one.
pub fn disorder(first: &Sight, now: &Sight) -> Arc<str> {
    format!(r#"{{"first":{},"now":{}}}"#, sight(first), sight(now)).into()
}
