//! GitHub: a record is the message of a commit, and the commit is the tip of a ref of its own. `docs/leases.md` says what
//! it is good for: few locks that are held for minutes or hours, with a history that people can read.
//!
//! # How it keeps the store's promises
//! * A record moves by `updateRefs`, which compares the object ids of all refs and moves all of them or none. A random
//!   number in every commit makes its id the writer's own.
//! * The clock is GitHub's: the date that it gives a commit, and the `Date` of its answers. Both have whole seconds, hence
//!   the slack.
//! * A process keeps its holds by one session (`sessions.rs`), so that a hundred locks cost as much as one.
//! * What an issue shows (`view.rs`) is for people, and is never read back.

mod api;
mod clock;
mod dates;
mod limit;
mod message;
mod moves;
mod names;
mod place;
mod refs;
mod sessions;
#[cfg(test)]
mod tests;
mod view;

use std::rc::Rc;
use std::time::Duration;

use api::Deadline;
use message::{Kind, Strange};
use moves::{Landed, Move};
use place::Place;
use refs::{Sight, Tip};
use sessions::{End, Sessions};
use view::View;

use crate::lease::address::Setup;
use crate::lease::record::Record;
use crate::lease::store::{
    Caps, Clock, Hint, Key, Pending, Seen, Store, StoreError, Swap, Swapped, Version, Watch, Written, listed,
};

/// Two clocks of whole seconds.
const SLACK: Duration = Duration::from_secs(2);
/// What a heartbeat of two requests can keep.
const MIN_TTL: Duration = Duration::from_secs(6);
const POLL: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(15));

pub fn open(setup: &Setup) -> Result<Rc<dyn Store>, StoreError> {
    let place = Place::new(setup)?;
    let shown = match place.api.host() {
        "api.github.com" => format!("github:{}/{}", place.owner, place.repo),
        host => format!("github:{}/{} at {host}", place.owner, place.repo),
    };
    let by_update_refs = !place.api.rest_only;
    let caps = Caps {
        engine: "github",
        clock: Clock::Server,
        min_ttl: MIN_TTL,
        slack: SLACK,
        sessions: by_update_refs,
        multi: by_update_refs,
        push: false,
        queue: false,
        poll: POLL,
        local: false,
        may_double_grant: false,
    };
    let view = setup.show_on_issue.then(View::default);
    Ok(Rc::new(Github { caps, shown, place: Rc::new(place), sessions: Rc::default(), view }))
}

#[derive(Debug)]
struct Github {
    caps: Caps,
    shown: String,
    place: Rc<Place>,
    sessions: Rc<Sessions>,
    view: Option<View>,
}

impl Github {
    fn names(&self, keys: &[Key], base: &str) -> Vec<String> {
        keys.iter().map(|key| self.place.names.of_key(base, key)).collect()
    }

    async fn look(&self, keys: &[Key]) -> Result<Vec<Seen>, StoreError> {
        let by = self.place.api.deadline();
        let base = self.place.base(by).await?;
        let names = self.names(keys, base);
        let mut seen = all_seen(keys, self.place.tips(&names, by).await?)?;
        let sessions: Vec<Vec<String>> = seen.iter().map(sessions_of).collect();
        let mut ids: Vec<String> = sessions.iter().flatten().cloned().collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(seen);
        }
        if !self.caps.sessions {
            return Err(StoreError::Unsupported(
                "another process holds it by a session; all processes must use `?refs=rest`, or none".into(),
            ));
        }
        let gone = self.sessions.ended(&self.place, &ids, by).await?;
        for (seen, named) in seen.iter_mut().zip(sessions) {
            seen.gone = named.into_iter().filter(|id| gone.contains(id)).collect();
        }
        Ok(seen)
    }

    async fn exchange(&self, swaps: &[Swap]) -> Result<Swapped, StoreError> {
        if swaps.len() > 1 && !self.caps.multi {
            return Err(StoreError::Unsupported("several keys at once need `updateRefs`".into()));
        }
        let by = self.place.api.deadline();
        let base = self.place.base_to_write(by).await?;
        let keys: Vec<Key> = swaps.iter().map(|swap| swap.key.clone()).collect();
        let names = self.names(&keys, base);
        let Some(expected) = expected(swaps) else { return Ok(Swapped::Lost(Vec::new())) };
        // That there is nothing is a guess more often than not, and a look is cheaper than two writes in vain.
        if expected.iter().any(Option::is_none) {
            let seen = self.place.tips_now(&names, by).await?;
            if are_elsewhere(&expected, &seen) {
                return Ok(Swapped::Lost(all_seen(&keys, seen)?));
            }
        }
        let Some(ended) = self.guards(swaps, by).await? else { return Ok(Swapped::Lost(Vec::new())) };
        let commits = self.commits(swaps, &expected, &ended, by).await?;
        let mut moves: Vec<Move> = Vec::with_capacity(swaps.len() + ended.len());
        for ((name, before), made) in names.into_iter().zip(expected).zip(&commits) {
            moves.push(Move { name, before, after: Some(made.oid.clone()) });
        }
        for (id, tip) in &ended {
            let name = self.place.names.of_session(base, id);
            moves.push(Move {
                name,
                before: tip.clone(),
                after: commits.first().map(|made| made.oid.clone()),
            });
        }
        match self.place.move_all(&moves, by).await? {
            Landed::All => Ok(Swapped::Won(self.written(&moves, commits))),
            Landed::Elsewhere(mut seen) => {
                seen.tips.truncate(keys.len());
                Ok(Swapped::Lost(all_seen(&keys, seen)?))
            }
            Landed::Refused(why) => Err(self.place.explain_refusal(why, by).await),
        }
    }

    fn written(&self, moves: &[Move], commits: Vec<Tip>) -> Vec<Written> {
        let mut written = Vec::with_capacity(commits.len());
        for (one, made) in moves.iter().zip(commits) {
            self.place.memory.keep(&one.name, &made, None);
            written.push(Written { version: Version::Object(made.oid), base: 0, at: made.at });
        }
        written
    }

    /// The sessions that this write ends for good, with their tips; none when one of its conditions does not hold.
    async fn guards(
        &self,
        swaps: &[Swap],
        by: Deadline,
    ) -> Result<Option<Vec<(String, Option<Rc<str>>)>>, StoreError> {
        for id in swaps.iter().flat_map(|swap| &swap.alive) {
            if !self.sessions.is_alive_here(id) {
                return Ok(None);
            }
        }
        let mut ids: Vec<&String> = swaps.iter().flat_map(|swap| &swap.gone).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut ended = Vec::with_capacity(ids.len());
        for id in ids {
            match self.sessions.end(&self.place, id, by).await? {
                Some(End::At(tip)) => ended.push((id.clone(), tip)),
                Some(End::ForGood) => {}
                None => return Ok(None),
            }
        }
        Ok(Some(ended))
    }

    /// One per record. The first is also where the ended sessions' refs go, so their tips are its parents.
    async fn commits(
        &self,
        swaps: &[Swap],
        expected: &[Option<Rc<str>>],
        ended: &[(String, Option<Rc<str>>)],
        by: Deadline,
    ) -> Result<Vec<Tip>, StoreError> {
        let mut commits = Vec::with_capacity(swaps.len());
        for (swap, before) in swaps.iter().zip(expected) {
            let mut parents: Vec<Rc<str>> = before.iter().cloned().collect();
            if commits.is_empty() {
                parents.extend(ended.iter().filter_map(|(_, tip)| tip.clone()));
            }
            let text = message::of_lock(&swap.key, &swap.body);
            commits.push(self.place.write_commit(&text, &parents, by).await?);
        }
        Ok(commits)
    }

    async fn find(&self, prefix: &str, most: usize) -> Result<Vec<(Key, Seen)>, StoreError> {
        let by = self.place.api.deadline();
        let base = self.place.base(by).await?;
        let below = self.place.names.of_prefix(base, prefix);
        let wanted = |name: &str, tip: &Tip| {
            message::read(&tip.message).is_ok_and(|message| {
                let key: Key = message.name.as_str().into();
                let is_there = self.place.names.of_key(base, &key) == name;
                message.kind == Kind::Lock && is_there && key.starts_with(prefix)
            })
        };
        let (found, now) = self.place.tips_below(&below, most, wanted, by).await?;
        let mut all = Vec::with_capacity(found.len());
        for (_, tip) in found {
            let key: Key = message::read(&tip.message).map_or("".into(), |message| message.name.into());
            if let Some(seen) = listed(seen(&key, Some(tip), now)).transpose()? {
                all.push((key, seen));
            }
        }
        Ok(all)
    }
}

/// The object ids that the swaps expect; none when one is no version of ours.
fn expected(swaps: &[Swap]) -> Option<Vec<Option<Rc<str>>>> {
    let one = |swap: &Swap| match &swap.expect {
        Version::Absent => Some(None),
        Version::Object(oid) => Some(Some(oid.clone())),
        Version::Number(_) => None,
    };
    swaps.iter().map(one).collect()
}

fn are_elsewhere(expected: &[Option<Rc<str>>], seen: &Sight) -> bool {
    let mut pairs = expected.iter().zip(&seen.tips);
    pairs.any(|(expected, tip)| expected.as_ref() != tip.as_ref().map(|tip| &tip.oid))
}

fn all_seen(keys: &[Key], sight: Sight) -> Result<Vec<Seen>, StoreError> {
    keys.iter().zip(sight.tips).map(|(key, tip)| seen(key, tip, sight.now)).collect()
}

fn seen(key: &Key, tip: Option<Tip>, now: u64) -> Result<Seen, StoreError> {
    let Some(tip) = tip else { return Ok(Seen::absent(now)) };
    let foreign = |what: &str| StoreError::Foreign(format!("commit {} is {what}", tip.oid));
    let message = match message::read(&tip.message) {
        Ok(message) if message.kind == Kind::Lock && message.name == **key => message,
        Ok(_) => return Err(foreign("of another key")),
        Err(Strange::Foreign) => return Err(foreign("no record of chainlock")),
        Err(Strange::Newer) => return Err(StoreError::Newer(format!("commit {} is newer", tip.oid))),
    };
    let (version, body) = (Version::Object(tip.oid.clone()), message.body.into());
    // The answer's clock may be a moment behind that of the commit.
    Ok(Seen { version, base: 0, at: tip.at, now: now.max(tip.at), body, gone: Vec::new() })
}

fn sessions_of(seen: &Seen) -> Vec<String> {
    Record::read(&seen.body, seen.at).map(|record| record.sessions()).unwrap_or_default()
}

/// Nobody is told here: who waits looks again from time to time.
#[derive(Debug)]
struct Silence;

impl Watch for Silence {
    fn next(&mut self) -> Pending<'_, Hint> {
        Box::pin(std::future::pending())
    }
}

impl Store for Github {
    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn shown(&self) -> &str {
        &self.shown
    }

    fn read<'a>(&'a self, keys: &'a [Key]) -> Pending<'a, Result<Vec<Seen>, StoreError>> {
        Box::pin(self.look(keys))
    }

    fn swap<'a>(&'a self, swaps: &'a [Swap]) -> Pending<'a, Result<Swapped, StoreError>> {
        Box::pin(self.exchange(swaps))
    }

    fn list<'a>(&'a self, prefix: &'a str, most: usize) -> Pending<'a, Result<Vec<(Key, Seen)>, StoreError>> {
        Box::pin(self.find(prefix, most))
    }

    fn watch<'a>(&'a self, _key: &'a Key) -> Pending<'a, Result<Box<dyn Watch>, StoreError>> {
        Box::pin(async { Ok(Box::new(Silence) as Box<dyn Watch>) })
    }

    fn open_session(&self, ttl: Duration) -> Pending<'_, Result<String, StoreError>> {
        if !self.caps.sessions {
            return Box::pin(async { Err(StoreError::Unsupported("sessions need `updateRefs`".into())) });
        }
        Box::pin(async move {
            let id = self.sessions.open(&self.place, ttl).await?;
            let (sessions, place) = (self.sessions.clone(), self.place.clone());
            tokio::task::spawn_local(async move { sessions.tidy(&place).await });
            Ok(id)
        })
    }

    fn renew_session<'a>(&'a self, session: &'a str) -> Pending<'a, Result<bool, StoreError>> {
        Box::pin(self.sessions.renew(&self.place, session))
    }

    fn session_left(&self, session: &str) -> Option<Duration> {
        self.sessions.left(&self.place, session)
    }

    fn close_session<'a>(&'a self, session: &'a str) -> Pending<'a, Result<(), StoreError>> {
        Box::pin(self.sessions.close(&self.place, session))
    }

    fn shows(&self) -> bool {
        self.view.is_some()
    }

    fn show<'a>(&'a self, key: &'a Key, body: &'a str) -> Pending<'a, ()> {
        Box::pin(async move {
            if let Some(view) = &self.view {
                view.show(&self.place, key, body).await;
            }
        })
    }

    fn close(&self) -> Pending<'_, ()> {
        Box::pin(async {
            if let Some(view) = &self.view {
                view.shown().await;
            }
            self.place.api.let_go();
        })
    }
}
