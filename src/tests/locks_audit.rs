//! What must be true of the named locks' book between any two operations, read off the book itself.

use crate::local::book::{Book, units};
use crate::local::claim::{Claim, State};
use crate::local::locks::Locks;
use crate::local::names::Ref;
use crate::local::resource::{Kind, Resource};
use crate::time::Nanos;

/// Who holds and who waits for one resource, as (slot, token) and tickets.
#[derive(Debug, Default)]
pub struct Line {
    pub holds: Vec<(u32, u64)>,
    pub queue: Vec<u64>,
    pub used: u64,
}

pub fn line(locks: &Locks, at: Ref) -> Line {
    locks.peek(|book| {
        let Some(live) = book.names.resource(at) else { return Line::default() };
        let token = |slot| book.claims.get(slot).expect("a hold has a claim").token;
        Line {
            holds: live.holds.iter().map(|&slot| (slot, token(slot))).collect(),
            queue: live.queue.values().map(|&slot| book.claims.ticket(slot)).collect(),
            used: live.used,
        }
    })
}

pub fn audit(locks: &Locks) {
    locks.peek(|book| {
        for (at, entry) in book.names.iter() {
            if let Some(live) = entry.live() {
                audit_resource(book, at, live, entry.kind);
            }
        }
        for (slot, claim) in book.claims.iter() {
            audit_claim(book, slot, claim);
        }
        let timed = |claim: &Claim| claim.state == State::Waiting && claim.deadline < Nanos::FOREVER;
        let waiting = book.claims.iter().filter(|(_, claim)| timed(claim)).count();
        assert_eq!(book.deadlines.len(), waiting, "one deadline for each waiter that has one");
        let listens =
            |claim: &Claim| claim.state != State::Held && (claim.sync || !claim.ancestors().is_empty());
        let graph_is_needed = book.claims.iter().any(|(_, claim)| listens(claim));
        assert_eq!(
            book.graph.is_empty(),
            !graph_is_needed,
            "the graph knows those who wait, and no one else"
        );
        assert!(book.tell.is_empty(), "what is to be told was handed over");
    });
}

fn audit_resource(book: &Book, at: Ref, live: &Resource, kind: Kind) {
    let mut used = 0;
    let mut newest = 0;
    for &slot in &live.holds {
        let hold = book.claims.get(slot).expect("a hold has a claim");
        assert_eq!(hold.state, State::Held);
        assert!(hold.token > newest, "later grants have larger tokens");
        newest = hold.token;
        used += units_at(hold, at);
    }
    assert_eq!(live.used, used, "the units used are those of the holds");
    assert!(kind == Kind::Semaphore || used <= live.capacity, "one writer or many readers");
    let mut many = 0;
    for (rank, &slot) in &live.queue {
        let waiter = book.claims.get(slot).expect("a waiter has a claim");
        assert_eq!((waiter.state, waiter.rank()), (State::Waiting, *rank));
        assert!(units_at(waiter, at) > 0);
        many += usize::from(waiter.parts.is_many());
    }
    assert_eq!(live.many, many);
    if let Some(&slot) = live.queue.values().next() {
        let claim = book.claims.get(slot).expect("a waiter has a claim");
        let is_first = claim
            .parts
            .as_slice()
            .iter()
            .all(|part| book.names.resource(part.resource).and_then(Resource::first) == Some(slot));
        assert!(!is_first || !book.fits(claim.parts.as_slice()), "nobody waits for what is free");
    }
}

fn units_at(claim: &Claim, at: Ref) -> u64 {
    let parts = claim.parts.as_slice().iter().filter(|part| part.resource == at);
    parts.map(|part| units(part.weight)).sum()
}

fn audit_claim(book: &Book, slot: u32, claim: &Claim) {
    assert_eq!(claim.state == State::Held, claim.token != 0, "holds have tokens, and only they");
    assert!(claim.token <= book.last_token);
    for part in claim.parts.as_slice() {
        let live = book.names.resource(part.resource).expect("a claim keeps its resource alive");
        let held = live.holds.iter().filter(|&&hold| hold == slot).count();
        let queued = live.queue.values().filter(|&&waiter| waiter == slot).count();
        let expected = if claim.state == State::Held { (1, 0) } else { (0, 1) };
        assert_eq!((held, queued), expected, "a claim holds or waits, and does so once");
    }
    if claim.state == State::Waiting && claim.deadline < Nanos::FOREVER {
        assert!(
            book.deadlines.has(claim.deadline, book.claims.ticket(slot)),
            "whoever gives up some time is listed"
        );
    }
}
