//! A claim: one request for one lock or several, which becomes a hold when it is granted. Request and hold
//! are one record in one place, so that a grant is one change of state and can be neither lost nor doubled.
//!
//! | state | is in the queues | counts as used | leaves by |
//! |---|---|---|---|
//! | waiting | yes | no | grant, timeout, cancel, deadlock, its thread's end |
//! | held | no | yes | release, steal, force, its thread's end |
//! | outside | no | no | the end of a wait for another kind of lock (the send lock) |
//!
//! Invariant: a place's number never comes back as the same ticket or token, because both carry or are a
//! count that only grows.

use crate::local::departures::Caller;
use crate::local::names::Ref;
use crate::sync::Arc;
use crate::time::Nanos;

/// The weight of an exclusive hold of a read/write lock: its whole capacity.
pub const ALL: u64 = u32::MAX as u64;
/// Ahead of every request that users can make: a hold that waits to become exclusive.
pub const UPGRADE: i32 = i32::MAX;

/// What a request asks of one resource. Weights: 0 is exclusive, otherwise that many units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub resource: Ref,
    pub weight: u64,
}

/// What a claim is for: nearly always one thing.
#[derive(Clone, Debug)]
pub enum Parts {
    One(Part),
    Many(Box<[Part]>),
}

impl Parts {
    #[inline]
    pub fn as_slice(&self) -> &[Part] {
        match self {
            Parts::One(part) => std::slice::from_ref(part),
            Parts::Many(parts) => parts,
        }
    }

    pub fn is_many(&self) -> bool {
        matches!(self, Parts::Many(_))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Waiting,
    Held,
    /// Waits for a lock that is not in this book.
    Outside,
}

/// How a request wants to be treated.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// `FOREVER` waits without end.
    pub deadline: Nanos,
    pub priority: i32,
    /// Takes the lock from whoever holds it.
    pub steal: bool,
    /// A standard Web Locks request: never refused for a deadlock.
    pub web: bool,
    /// Its thread stands still until the answer.
    pub sync: bool,
    /// The tokens of the holds inside of whose callbacks it is made; the send lock's are negative.
    pub ancestors: &'a [i64],
    pub label: Option<&'a str>,
    pub class: Option<&'a str>,
    /// Where in the program it is made; only for the order of locks.
    pub site: Option<&'a str>,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Self {
            deadline: Nanos::FOREVER,
            priority: 0,
            steal: false,
            web: false,
            sync: false,
            ancestors: &[],
            label: None,
            class: None,
            site: None,
        }
    }
}

#[derive(Debug)]
pub struct Claim {
    pub state: State,
    pub web: bool,
    pub sync: bool,
    /// Whether its row in the table is written, or would be, if it had one.
    pub has_row: bool,
    pub priority: i32,
    pub parts: Parts,
    pub caller: Caller,
    /// Arrival, over all requests of the process.
    pub sequence: u64,
    /// The fencing token; 0 while waiting.
    pub token: u64,
    /// When it was made; when it was granted, for a hold.
    pub since: Nanos,
    pub deadline: Nanos,
    /// What most claims have not: they stay small, because every hold writes one.
    pub extra: Option<Box<Extra>>,
}

#[derive(Debug, Default)]
pub struct Extra {
    pub label: Option<Arc<str>>,
    pub class: Option<Arc<str>>,
    pub ancestors: Box<[i64]>,
    /// The place of the hold that wants to become exclusive.
    pub upgrades: Option<u32>,
    /// Its rank, when it was let past somebody.
    pub let_past: Option<Rank>,
}

/// Where a claim stands in a queue: by priority, then by arrival; the last part puts those who were let past
/// a request before it.
pub type Rank = (i32, u64, u64);

/// The last part of the rank of a claim that stands where it came.
pub const IN_TURN: u64 = u64::MAX;

impl Claim {
    #[inline]
    pub fn rank(&self) -> Rank {
        // Higher priorities first; the smallest number has no positive counterpart, and none may ask for it.
        let in_turn = (self.priority.saturating_neg(), self.sequence, IN_TURN);
        self.let_past().unwrap_or(in_turn)
    }

    pub fn let_past(&self) -> Option<Rank> {
        self.extra.as_ref()?.let_past
    }

    pub fn ancestors(&self) -> &[i64] {
        self.extra.as_ref().map_or(&[], |extra| &extra.ancestors)
    }

    pub fn label(&self) -> Option<&Arc<str>> {
        self.extra.as_ref()?.label.as_ref()
    }

    pub fn class(&self) -> Option<&Arc<str>> {
        self.extra.as_ref()?.class.as_ref()
    }

    pub fn upgrades(&self) -> Option<u32> {
        self.extra.as_ref()?.upgrades
    }

    /// The units that it uses, or would, of the first thing that it is for.
    pub fn weight(&self) -> u64 {
        self.parts.as_slice().first().map_or(0, |part| part.weight)
    }
}

/// A grant: where the hold lies, and its fencing token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub slot: u32,
    pub token: u64,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    Granted(Grant),
    /// Its ticket, and whether it is next, behind a hold of another thread.
    Waiting(u64, bool),
    QueueFull,
    /// It would wait for ever, for a cycle of waits; as JSON.
    Deadlock(Arc<str>),
    /// It would wait for ever for a hold inside of which it was made; as JSON.
    SelfDeadlock(Arc<str>),
    /// It turns the order of two classes of locks round; as JSON.
    Disorder(Arc<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Stolen,
    Forced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    Deadlock,
    Disorder,
}

/// What a thread is told later.
#[derive(Clone, Debug)]
pub enum Told {
    Granted { ticket: u64, token: u64, slot: u32, waited: Nanos, at: Nanos },
    TimedOut { ticket: u64, position: usize, waited: Nanos, report: Arc<str> },
    Lost { slot: u32, token: u64, how: How },
    Deadlocked { ticket: u64, report: Arc<str> },
    Warned { report: Arc<str>, which: Warning },
}

#[derive(Clone, Debug)]
pub struct Delivery {
    pub mailbox: u64,
    pub what: Told,
}

/// The answer of an operation, who is to be told, and when the clock next makes something due.
#[derive(Debug)]
pub struct Done<T> {
    pub answer: T,
    pub tell: Vec<Delivery>,
    pub wake_at: Nanos,
}

#[derive(Debug)]
struct Place {
    /// Grows with every claim that comes here.
    generation: u32,
    claim: Option<Claim>,
}

/// All claims, by place.
#[derive(Debug, Default)]
pub struct Claims {
    places: Vec<Place>,
    free: Vec<u32>,
    /// Where a new place's generation starts: above every generation that a given-back place had.
    first_generation: u32,
    /// How many have left since memory was last given back.
    removed: usize,
}

/// So many places are never worth giving back.
const SMALL: usize = 4_096;

/// 21 bits of place in a ticket, above it the generation: a safe integer for JavaScript.
const PLACE_BITS: u32 = 21;

impl Claims {
    /// The most claims that there can be.
    pub const MOST: usize = 1 << PLACE_BITS;

    // Inlined, so that the claim is written in its place and not copied there.
    #[inline(always)]
    pub fn insert(&mut self, claim: Claim) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: self.first_generation, claim: None });
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[slot as usize];
        place.generation = place.generation.wrapping_add(1);
        place.claim = Some(claim);
        slot
    }

    pub fn remove(&mut self, slot: u32) -> Option<Claim> {
        let claim = self.places.get_mut(slot as usize)?.claim.take()?;
        self.give_back(slot);
        Some(claim)
    }

    /// Takes a claim out of its place for a change, which stays its own; see `put_back`.
    pub fn take(&mut self, slot: u32) -> Option<Claim> {
        self.places.get_mut(slot as usize)?.claim.take()
    }

    pub fn put_back(&mut self, slot: u32, claim: Claim) {
        if let Some(place) = self.places.get_mut(slot as usize) {
            place.claim = Some(claim);
        }
    }

    /// The same for a claim that nobody looks at any more: it is not moved.
    #[inline]
    pub fn clear(&mut self, slot: u32) {
        if let Some(place) = self.places.get_mut(slot as usize) {
            place.claim = None;
            self.give_back(slot);
        }
    }

    #[inline]
    fn give_back(&mut self, slot: u32) {
        self.free.push(slot);
        self.removed += 1;
        if self.places.len() > SMALL && self.free.len() > self.places.len() / 8 * 7 {
            self.shrink();
        }
    }

    /// After a crowd its memory goes back, as far as nobody stands behind the empty places.
    #[cold]
    fn shrink(&mut self) {
        // Seldom enough that looking through all places costs nothing, seen over all claims.
        if self.removed < self.places.len() / 64 {
            return;
        }
        self.removed = 0;
        let kept = self.places.iter().rposition(|place| place.claim.is_some()).map_or(0, |last| last + 1);
        let highest = self.places[kept..].iter().map(|place| place.generation).max().unwrap_or(0);
        self.first_generation = self.first_generation.max(highest.wrapping_add(1));
        self.places.truncate(kept);
        self.places.shrink_to_fit();
        self.free.retain(|&slot| (slot as usize) < kept);
        self.free.shrink_to_fit();
    }

    #[inline]
    pub fn get(&self, slot: u32) -> Option<&Claim> {
        self.places.get(slot as usize)?.claim.as_ref()
    }

    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Claim> {
        self.places.get_mut(slot as usize)?.claim.as_mut()
    }

    /// The hold in that place, if it is the one with that token.
    #[inline]
    pub fn held(&self, slot: u32, token: u64) -> Option<&Claim> {
        self.get(slot).filter(|claim| claim.state == State::Held && claim.token == token)
    }

    /// Whether the hold in that place was granted before the one with that token.
    pub fn is_older(&self, slot: u32, token: u64) -> bool {
        self.get(slot).is_some_and(|claim| claim.token < token)
    }

    pub fn ticket(&self, slot: u32) -> u64 {
        u64::from(self.places[slot as usize].generation) << PLACE_BITS | u64::from(slot)
    }

    /// The place of the request with that ticket, as long as it waits.
    pub fn waiting(&self, ticket: u64) -> Option<u32> {
        let slot = (ticket & ((1 << PLACE_BITS) - 1)) as u32;
        let place = self.places.get(slot as usize)?;
        let waits = place.claim.as_ref().is_some_and(|claim| claim.state != State::Held);
        (waits && self.ticket(slot) == ticket).then_some(slot)
    }

    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &Claim)> {
        self.places.iter().enumerate().filter_map(|(slot, place)| Some((slot as u32, place.claim.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::asking::bare;
    use crate::local::departures::RowId;

    #[test]
    fn places_go_back_behind_the_last_claim_and_tickets_stay_unique() {
        let caller = Caller { row: RowId::here(0, 1), thread_id: 0, mailbox: 0 };
        let enter = |claims: &mut Claims| {
            let slot = claims.insert(bare(caller, Parts::Many(Box::default()), None, Nanos(1)));
            claims.ticket(slot)
        };
        let mut claims = Claims::default();
        let old: Vec<u64> = (0..8_000).map(|_| enter(&mut claims)).collect();
        assert!(claims.len() == 8_000 && !claims.is_empty());
        (1..8_000)
            .rev()
            .for_each(|slot| assert!(claims.remove(slot).is_some() && claims.remove(slot).is_none()));
        assert_eq!((claims.len(), claims.waiting(old[0])), (1, Some(0)));
        assert!(claims.places.len() <= 1_000 && claims.free.len() == claims.places.len() - 1);
        let new: Vec<u64> = (0..8_000).map(|_| enter(&mut claims)).collect();
        assert!(old[1..].iter().all(|&ticket| claims.waiting(ticket).is_none() && !new.contains(&ticket)));
        assert_eq!(claims.len(), 8_001);
    }
}
