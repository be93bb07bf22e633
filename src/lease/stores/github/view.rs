//! What an issue shows of its lock: a label, an assignee, and one comment that is edited and never followed by another.
//! It is for people. It is written after the lock has moved, as well as it goes, and nothing reads it back: the list of
//! comments is only asked where ours is.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::api::{Deadline, Failure};
use super::dates;
use super::message::shown;
use super::place::Place;
use crate::lease::http::Method;
use crate::lease::record::{Hold, Record};
use crate::lease::store::Key;
use crate::time::{Nanos, now};

const LABEL: &str = "locked";
/// GitHub asks for a second between writes that people see.
const PAUSE: Duration = Duration::from_secs(1);
/// An issue takes 2,500 comments.
const PAGES: u32 = 25;
const PER_PAGE: usize = 100;
/// A comment takes 65,536 characters.
const MOST_HOLDS: usize = 10;
const MOST_JSON: usize = 50_000;

#[derive(Debug)]
pub struct View {
    /// What is still to be shown; a newer state takes the place of an older one.
    waiting: RefCell<HashMap<Key, Record>>,
    turn: Semaphore,
    last_write: RefCell<Nanos>,
    comments: RefCell<HashMap<Key, u64>>,
}

impl Default for View {
    fn default() -> Self {
        View {
            waiting: RefCell::default(),
            turn: Semaphore::new(1),
            last_write: RefCell::new(Nanos::NEVER),
            comments: RefCell::default(),
        }
    }
}

impl View {
    pub async fn show(&self, place: &Place, key: &Key, body: &str) {
        let Ok(record) = Record::read(body, 0) else { return };
        if !is_issue(key) {
            return;
        }
        self.waiting.borrow_mut().insert(key.clone(), record);
        let Ok(_turn) = self.turn.acquire().await else { return };
        // Somebody may have shown it while this waited for its turn.
        let waiting = self.waiting.borrow_mut().remove(key);
        if let Some(record) = waiting {
            // What cannot be shown is not: the lock does not depend on it.
            drop(self.write_all(place, key, &record).await);
        }
    }

    /// Until all that was to be shown so far is.
    pub async fn shown(&self) {
        // Who has asked may not have come to stand in line yet; the line is fair.
        tokio::task::yield_now().await;
        drop(self.turn.acquire().await);
    }

    async fn write_all(&self, place: &Place, key: &Key, record: &Record) -> Result<(), Failure> {
        let issue = format!("{}/issues/{key}", place.path);
        let is_held = !record.holds.is_empty();
        self.comment(place, key, &issue, record).await?;
        let login = place.repository(place.api.deadline()).await.ok().and_then(|known| known.login.clone());
        let people = login.map(|login| json!({ "assignees": [login] }));
        if is_held {
            self.write(place, Method::POST, &format!("{issue}/labels"), json!({ "labels": [LABEL] })).await?;
            if let Some(people) = people {
                self.write(place, Method::POST, &format!("{issue}/assignees"), people).await?;
            }
            return Ok(());
        }
        match self.write(place, Method::DELETE, &format!("{issue}/labels/{LABEL}"), Value::Null).await {
            Ok(_) | Err(Failure::Missing { .. }) => {}
            Err(failure) => return Err(failure),
        }
        if let Some(people) = people {
            self.write(place, Method::DELETE, &format!("{issue}/assignees"), people).await?;
        }
        Ok(())
    }

    async fn comment(&self, place: &Place, key: &Key, issue: &str, record: &Record) -> Result<(), Failure> {
        let text = json!({ "body": text_of(key, record) });
        let known = self.comments.borrow().get(key).copied();
        let found = match known {
            Some(id) => Some(id),
            None => self.find(place, key, issue, place.api.deadline()).await?,
        };
        if let Some(id) = found {
            let path = format!("{}/issues/comments/{id}", place.path);
            match self.write(place, Method::PATCH, &path, text.clone()).await {
                // Somebody has removed it.
                Err(Failure::Missing { .. }) => {}
                Err(failure) => return Err(failure),
                Ok(_) => {
                    self.comments.borrow_mut().insert(key.clone(), id);
                    return Ok(());
                }
            }
        }
        self.comments.borrow_mut().remove(key);
        // Nobody needs to be told that what was never shown is free.
        if !record.holds.is_empty() {
            let made = self.write(place, Method::POST, &format!("{issue}/comments"), text).await?;
            if let Some(id) = made["id"].as_u64() {
                self.comments.borrow_mut().insert(key.clone(), id);
            }
        }
        Ok(())
    }

    /// Ours is the first that begins with the mark.
    async fn find(
        &self,
        place: &Place,
        key: &Key,
        issue: &str,
        by: Deadline,
    ) -> Result<Option<u64>, Failure> {
        let mark = mark_of(key);
        for page in 1..=PAGES {
            let path = format!("{issue}/comments?per_page={PER_PAGE}&page={page}");
            let answer = place.api.get(&path, by).await?;
            let comments = answer.body.as_array().cloned().unwrap_or_default();
            let is_ours =
                |comment: &&Value| comment["body"].as_str().is_some_and(|body| body.starts_with(&mark));
            if let Some(ours) = comments.iter().find(is_ours) {
                return Ok(ours["id"].as_u64());
            }
            if comments.len() < PER_PAGE {
                break;
            }
        }
        Ok(None)
    }

    async fn write(&self, place: &Place, method: Method, path: &str, body: Value) -> Result<Value, Failure> {
        let since = now().since(*self.last_write.borrow()).duration();
        tokio::time::sleep(PAUSE.saturating_sub(since)).await;
        let answer = place.api.write(method, path, body, place.api.deadline()).await;
        self.last_write.replace(now());
        answer.map(|answer| answer.body)
    }
}

/// `42`, and not `042`.
fn is_issue(key: &Key) -> bool {
    key.len() <= 10
        && !key.starts_with('0')
        && !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_digit())
}

fn mark_of(key: &Key) -> String {
    format!("<!-- chainlock:lock:{key} -->")
}

fn text_of(key: &Key, record: &Record) -> String {
    let says = match record.holds.as_slice() {
        [] => format!("Free. The last token was {}.", record.token),
        [hold] => format!(
            "Locked by `{}` on `{}` (token {}) since {}.",
            shown(&hold.who.worker),
            shown(&hold.who.host),
            hold.token,
            dates::shown(hold.who.at)
        ),
        holds => format!("Locked by {} (last token {}).", holds.len(), record.token),
    };
    let note = "This comment follows the lock and does not move it; changing it changes nothing.";
    let holds: Vec<&Hold> = record.holds.iter().take(MOST_HOLDS).collect();
    let json = in_fence(&holds, true);
    let json = if json.len() > MOST_JSON { in_fence(&holds, false) } else { json };
    let fence = if holds.is_empty() { String::new() } else { format!("\n\n```json\n{json}\n```") };
    format!("{}\n{says}{fence}\n\n{note}", mark_of(key))
}

/// What has a meaning in Markdown or HTML stands in texts only, where JSON can say it in another way.
fn in_fence(holds: &[&Hold], with_meta: bool) -> String {
    let shown: Vec<Value> = holds
        .iter()
        .map(|hold| {
            json!({
                "worker": hold.who.worker,
                "node": hold.who.node,
                "host": hold.who.host,
                "pid": hold.who.pid,
                "token": hold.token,
                "mode": hold.mode,
                "ttlMs": hold.term.ttl_ms,
                "acquiredAt": dates::shown(hold.who.at),
                "meta": if with_meta { hold.meta.clone() } else { None },
            })
        })
        .collect();
    let text = serde_json::to_string_pretty(&shown).unwrap_or_default();
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '`' | '@' | '#' => safe += &format!("\\u{:04x}", u32::from(c)),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::record::{Mode, Nonce, Term, Who};

    fn held_by(worker: &str, meta: Value) -> Record {
        let who =
            Who { worker: worker.into(), host: "host`\n@all".into(), at: 784_111_777_000, ..Who::default() };
        let (nonce, term) = (Nonce::default(), Term { ttl_ms: 300_000, ..Term::default() });
        let hold = Hold {
            nonce,
            token: 7,
            mode: Mode::Exclusive,
            term,
            delay_ms: 0,
            who,
            meta: Some(Box::new(meta)),
            handed: None,
        };
        Record { token: 7, holds: vec![hold], ..Record::default() }
    }

    #[test]
    fn issue_numbers_are_shown_and_other_keys_are_not() {
        for (key, is) in
            [("42", true), ("042", false), ("", false), ("4 2", false), ("٤", false), ("-1", false)]
        {
            assert_eq!(is_issue(&key.into()), is, "{key}");
        }
    }

    #[test]
    fn nothing_in_it_ends_the_fence_or_calls_anybody() {
        let evil = "```\n--> <script> @octo #1 </script> <!-- chainlock:lock:43 -->";
        let text = text_of(&"42".into(), &held_by(evil, json!({ "note": evil, evil: 1 })));
        assert_eq!(text.matches("```").count(), 2, "{text}");
        assert_eq!(text.matches("-->").count(), 1, "{text}");
        assert!(!text.contains('@') && !text.contains('#') && !text.contains("<script"), "{text}");
        let json = text.split("```json\n").nth(1).unwrap().split("\n```").next().unwrap();
        let read: Value = serde_json::from_str(json).unwrap();
        assert_eq!(read[0]["worker"], evil);
        assert_eq!(read[0]["meta"]["note"], evil);
        assert_eq!(read[0]["acquiredAt"], "1994-11-06T08:49:37Z");
    }

    #[test]
    fn it_fits_into_a_comment() {
        let mut record = held_by("w", json!({ "text": "`".repeat(4_000) }));
        record.holds = vec![record.holds[0].clone(); 200];
        assert!(text_of(&"42".into(), &record).chars().count() < 65_536);
    }
}
