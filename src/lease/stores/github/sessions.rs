//! Sessions: one ref per process and ttl, renewed by one commit for all of its locks. A record's hold names one.
//!
//! A session is over when its last commit is older than its ttl and the slack, on GitHub's clock, or when its ref is not
//! there. Whoever takes a lock from it moves the session's ref to the lock's new commit *in the same write*: either the
//! holder's renewal lands first and nothing is taken, or the session can never be renewed again. So neither a late
//! renewal nor a read that lags behind gives one lock to two.
//!
//! What ended sessions leave behind is removed a day later by any process that opens one. That is safe at any time: a
//! ref that is not there cannot be renewed, and is a session that is over.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::SLACK;
use super::api::Deadline;
use super::message::{self, Kind};
use super::moves::{Landed, Move};
use super::place::Place;
use super::refs::Tip;
use crate::lease::store::StoreError;
use crate::time::{Nanos, boot_now};

/// How long what has ended stays, for people who look.
const KEPT_MS: u64 = 24 * 3_600_000;
/// How many are removed at once.
const MOST_REMOVED: usize = 100;
/// Of how many sessions of others it is remembered how they were seen.
const MOST_SEEN: usize = 1024;
/// Who still lived when it should have ended is looked at again after this, not at once.
const SOONEST: Duration = Duration::from_millis(250);

/// A session of this process.
#[derive(Clone, Debug)]
struct Own {
    tip: Rc<str>,
    ttl: Duration,
    /// From the instant before the last renewal left that landed.
    until: Nanos,
    /// Of the last renewal nobody knows whether it has landed.
    is_in_doubt: bool,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It may still be renewed from here: who takes a lock of it must stop that.
    At(Option<Rc<str>>),
    /// Its ref lies elsewhere already.
    ForGood,
}

#[derive(Debug, Default)]
pub struct Sessions {
    own: RefCell<HashMap<String, Own>>,
    /// As the last look found them.
    ended: RefCell<HashMap<String, End>>,
    /// Of others that were seen alive: the second of GitHub's clock, in ms, in which they will have ended.
    lasting: RefCell<HashMap<String, u64>>,
    has_tidied: RefCell<bool>,
}

impl Sessions {
    pub async fn open(&self, place: &Place, ttl: Duration) -> Result<String, StoreError> {
        let by = place.api.deadline();
        let (id, sent) = (message::random(), boot_now());
        let text = message::of_session(&id, ttl.as_millis() as u64);
        let base = place.base_to_write(by).await?;
        let made = place.write_commit(&text, &[], by).await?;
        let one =
            Move { name: place.names.of_session(base, &id), before: None, after: Some(made.oid.clone()) };
        match place.move_all(&[one], by).await? {
            Landed::All => {
                let own = Own { tip: made.oid, ttl, until: sent.plus(nanos(ttl)), is_in_doubt: false };
                self.own.borrow_mut().insert(id.clone(), own);
                Ok(id)
            }
            Landed::Refused(why) => Err(place.explain_refusal(why, by).await),
            Landed::Elsewhere(_) => Err(StoreError::Unavailable {
                why: "the session was there already".into(),
                retry_after: None,
            }),
        }
    }

    pub async fn renew(&self, place: &Place, id: &str) -> Result<bool, StoreError> {
        let by = place.api.deadline();
        let name = place.names.of_session(place.base_to_write(by).await?, id);
        // Twice, because a renewal whose answer was lost may have landed.
        for _ in 0..2 {
            self.settle(place, &name, id, by).await?;
            let Some(own) = self.living(id) else { return Ok(false) };
            let sent = boot_now();
            let text = message::of_session(id, own.ttl.as_millis() as u64);
            let made = place.write_commit(&text, std::slice::from_ref(&own.tip), by).await?;
            let one = Move { name: name.clone(), before: Some(own.tip), after: Some(made.oid.clone()) };
            let landed = place.move_all(&[one], by).await;
            if let (Err(StoreError::Unknown(_)), Some(own)) = (&landed, self.own.borrow_mut().get_mut(id)) {
                own.is_in_doubt = true;
            }
            match landed? {
                Landed::All => {
                    self.moved(id, made.oid, Some(sent.plus(nanos(own.ttl))));
                    return Ok(true);
                }
                Landed::Refused(why) => return Err(place.explain_refusal(why, by).await),
                Landed::Elsewhere(mut seen) => {
                    let tip = seen.tips.pop().flatten();
                    match tip.filter(|tip| is_of(tip, id)) {
                        Some(mine) => self.moved(id, mine.oid, None),
                        None => {
                            self.own.borrow_mut().remove(id);
                            return Ok(false);
                        }
                    }
                }
            }
        }
        Err(StoreError::Unavailable { why: "the session's ref moves by itself".into(), retry_after: None })
    }

    /// After an answer that did not come: a heartbeat of ours that landed is where the next one begins.
    async fn settle(&self, place: &Place, name: &str, id: &str, by: Deadline) -> Result<(), StoreError> {
        if self.living(id).is_some_and(|own| own.is_in_doubt) {
            let seen = place.tips_now(&[name.to_owned()], by).await?;
            if let Some(mine) = seen.tips.into_iter().flatten().find(|tip| is_of(tip, id)) {
                self.moved(id, mine.oid, None);
            }
        }
        Ok(())
    }

    pub async fn close(&self, place: &Place, id: &str) -> Result<(), StoreError> {
        let Some(own) = self.own.borrow_mut().remove(id) else { return Ok(()) };
        let by = place.api.deadline();
        let name = place.names.of_session(place.base_to_write(by).await?, id);
        let mut before = own.tip;
        for _ in 0..2 {
            let one = Move { name: name.clone(), before: Some(before), after: None };
            match place.move_all(&[one], by).await? {
                Landed::Elsewhere(mut seen) => match seen.tips.pop().flatten() {
                    Some(tip) if is_of(&tip, id) => before = tip.oid,
                    _ => return Ok(()),
                },
                Landed::All | Landed::Refused(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Own, and not past its deadline. A write that lands later names a session that is over, or is ended for good: the
    /// hold in it is nobody's, and its holder, whose deadline is the session's, has given it up before.
    pub fn is_alive_here(&self, id: &str) -> bool {
        self.living(id).is_some()
    }

    fn living(&self, id: &str) -> Option<Own> {
        let own = self.own.borrow().get(id).cloned();
        own.filter(|own| boot_now() < own.until)
    }

    fn moved(&self, id: &str, tip: Rc<str>, until: Option<Nanos>) {
        if let Some(own) = self.own.borrow_mut().get_mut(id) {
            own.tip = tip;
            own.until = until.unwrap_or(own.until);
            own.is_in_doubt = false;
        }
    }

    /// Which of them have ended; how is remembered for the write that says so.
    pub async fn ended(
        &self,
        place: &Place,
        ids: &[String],
        by: Deadline,
    ) -> Result<Vec<String>, StoreError> {
        let others: Vec<&String> = ids.iter().filter(|id| !self.is_alive_here(id)).collect();
        if others.is_empty() {
            return Ok(Vec::new());
        }
        let base = place.base(by).await?;
        let names: Vec<String> = others.iter().map(|id| place.names.of_session(base, id)).collect();
        let seen = place.tips(&names, by).await?;
        let mut gone = Vec::new();
        for (id, tip) in others.into_iter().zip(seen.tips) {
            match end_of(tip.as_ref(), id, seen.now) {
                Ok(end) => {
                    self.lasting.borrow_mut().remove(id);
                    remember(&self.ended, id, end);
                    gone.push(id.clone());
                }
                Err(ends) => remember(&self.lasting, id, ends),
            }
        }
        Ok(gone)
    }

    /// In how long a session of another process ends, unless it is renewed.
    pub fn left(&self, place: &Place, id: &str) -> Option<Duration> {
        let ends = self.lasting.borrow().get(id).copied()?;
        place.api.until(ends).map(|left| left.max(SOONEST))
    }

    /// How a session ended, as the last look found it; none when it lives. The write that uses it forgets it.
    pub async fn end(&self, place: &Place, id: &str, by: Deadline) -> Result<Option<End>, StoreError> {
        let known = self.ended.borrow_mut().remove(id);
        if known.is_some() {
            return Ok(known);
        }
        self.ended(place, std::slice::from_ref(&id.to_owned()), by).await?;
        Ok(self.ended.borrow_mut().remove(id))
    }

    /// Once per process: removes what ended long ago. What fails is left to the next.
    pub async fn tidy(&self, place: &Place) {
        if self.has_tidied.replace(true) {
            return;
        }
        let by = place.api.deadline();
        let Ok(base) = place.base(by).await else { return };
        let below = place.names.of_sessions(base);
        let Ok((found, now)) = place.tips_below(&below, MOST_REMOVED, |_, _| true, by).await else { return };
        let old = found.into_iter().filter(|(_, tip)| {
            let ttl_ms = message::read(&tip.message).map_or(0, |message| message.ttl_ms);
            now > tip.at.saturating_add(ttl_ms).saturating_add(KEPT_MS)
        });
        let moves: Vec<Move> =
            old.map(|(name, tip)| Move { name, before: Some(tip.oid), after: None }).collect();
        if !moves.is_empty() {
            drop(place.move_all(&moves, by).await);
        }
    }
}

fn is_of(tip: &Tip, id: &str) -> bool {
    matches!(message::read(&tip.message), Ok(read) if read.kind == Kind::Session && read.name == id)
}

fn remember<T>(known: &RefCell<HashMap<String, T>>, id: &str, what: T) {
    let mut known = known.borrow_mut();
    if known.len() >= MOST_SEEN {
        known.clear();
    }
    known.insert(id.to_owned(), what);
}

/// How it has ended, or when GitHub's clock will say so.
fn end_of(tip: Option<&Tip>, id: &str, now: u64) -> Result<End, u64> {
    let Some(tip) = tip else { return Ok(End::At(None)) };
    if !is_of(tip, id) {
        return Ok(End::ForGood);
    }
    let ttl_ms = message::read(&tip.message).map_or(0, |message| message.ttl_ms);
    let over = tip.at.saturating_add(ttl_ms).saturating_add(SLACK.as_millis() as u64);
    match now > over {
        true => Ok(End::At(Some(tip.oid.clone()))),
        false => Err((over / 1_000).saturating_add(1).saturating_mul(1_000)),
    }
}

fn nanos(span: Duration) -> Nanos {
    Nanos(span.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tip(message: String, at: u64) -> Tip {
        Tip { oid: "c0ffee".into(), at, message: message.into() }
    }

    #[test]
    fn a_session_ends_after_its_ttl_and_the_slack_and_not_before() {
        let beat = tip(message::of_session("a", 6_000), 1_000_000);
        let end = |now| end_of(Some(&beat), "a", now);
        assert_eq!(end(1_000_000), Err(1_009_000));
        assert_eq!(end(1_008_000), Err(1_009_000), "two whole seconds are the clock's grain");
        assert_eq!(end(1_009_000), Ok(End::At(Some("c0ffee".into()))));
    }

    #[test]
    fn where_no_heartbeat_of_it_lies_it_has_ended() {
        assert_eq!(end_of(None, "a", 5), Ok(End::At(None)));
        for other in [message::of_lock("a", "{}"), message::of_session("b", 6_000), "words".into()] {
            assert_eq!(end_of(Some(&tip(other, 5)), "a", 5), Ok(End::ForGood));
        }
    }
}
