//! The wait-for graph: which waits can never end.
//!
//! Nodes are waiting claims. A claim waits for holds that use the units it wants; a hold waits for the
//! requests that were made inside of its callback (they carry its token as an ancestor), or for any request
//! that its thread stands still for. Nothing is looked at but on a wait with ancestors: a request that no
//! hold waits for can close no cycle.
//!
//! Method: graph reduction (R. Holt, "Some deadlock properties of computer systems", 1972). All claims that
//! can be reached are taken as stuck; a claim whose units would be free if all holds that nothing stuck hangs
//! under were given back is not, and is taken out; what is left when nobody can be taken out is stuck for
//! good. That is exact for locks and for semaphores, where one cycle alone proves nothing.

use crate::local::book::{Book, units};
use crate::local::claim::{Claim, IN_TURN, Rank, State, UPGRADE};
use crate::local::departures::RowId;
use crate::local::names::Ref;
use crate::local::resource::Resource;
use std::collections::{HashMap, HashSet, VecDeque};

#[derive(Debug)]
pub struct Graph {
    /// The waiting claims under each hold's token; the send lock's tokens are negative.
    under: HashMap<i64, Vec<u32>>,
    /// Those for which a thread stands still.
    blocking: HashMap<RowId, Vec<u32>>,
    /// Who holds the send lock, 0 for nobody.
    send_token: fn() -> u64,
}

/// What a claim waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocker {
    Hold(u32),
    Send(u64),
    /// A request for several resources ahead in the queue.
    Ahead(u32),
}

/// Claims of which each waits for the next, and the last for the first.
pub type Cycle = Vec<(u32, Blocker)>;

impl Graph {
    pub fn new(send_token: fn() -> u64) -> Self {
        Self { under: HashMap::new(), blocking: HashMap::new(), send_token }
    }

    pub fn add(&mut self, slot: u32, claim: &Claim) {
        for &token in claim.ancestors() {
            self.under.entry(token).or_default().push(slot);
        }
        if claim.sync {
            self.blocking.entry(claim.caller.row).or_default().push(slot);
        }
    }

    pub fn remove(&mut self, slot: u32, claim: &Claim) {
        for token in claim.ancestors() {
            remove_from(&mut self.under, *token, slot);
        }
        if claim.sync {
            remove_from(&mut self.blocking, claim.caller.row, slot);
        }
    }

    /// The waiting claims that a hold waits for.
    fn under_hold<'a>(&'a self, claim: &Claim) -> impl Iterator<Item = u32> + 'a {
        let blocking = self.blocking.get(&claim.caller.row);
        self.under_token(claim.token as i64).chain(blocking.into_iter().flatten().copied())
    }

    fn under_token(&self, token: i64) -> impl Iterator<Item = u32> + '_ {
        self.under.get(&token).into_iter().flatten().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.under.is_empty() && self.blocking.is_empty()
    }
}

fn remove_from<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Vec<u32>>, key: K, slot: u32) {
    let Some(slots) = map.get_mut(&key) else { return };
    if let Some(at) = slots.iter().rposition(|&other| other == slot) {
        slots.swap_remove(at);
    }
    if slots.is_empty() {
        map.remove(&key);
    }
}

/// The cycle that a waiting claim is part of, if it can never be granted.
pub fn cycle_of(book: &Book, slot: u32) -> Option<Cycle> {
    let stuck = stuck_with(book, slot);
    if !stuck.contains(&slot) { None } else { shortest_cycle(book, slot, &stuck) }
}

/// The waiting claims that a hold waits for.
pub fn inside(book: &Book, hold: u32) -> Vec<u32> {
    waits_of(book, Blocker::Hold(hold))
}

/// Whether a waiting claim can have made a wait endless by coming: something hangs under a hold of those
/// inside of which it was made, or under one of the requests that it went past.
pub fn may_close_a_cycle(book: &Book, slot: u32) -> bool {
    let Some(claim) = book.claims.get(slot) else { return false };
    let goes_past = |at: Ref| {
        let last = book.names.resource(at).and_then(|resource| resource.queue.last_key_value());
        last.is_some_and(|(_, &last)| last != slot)
    };
    claim.sync
        || !claim.ancestors().is_empty()
        || !book.graph.is_empty() && claim.parts.as_slice().iter().any(|part| goes_past(part.resource))
}

/// Everybody among those reachable from a claim who can never be granted. Whoever is found to be grantable makes
/// those be looked at again that wait for it, and nobody else: a chain costs its length.
fn stuck_with(book: &Book, from: u32) -> HashSet<u32> {
    let mut stuck = HashSet::from([from]);
    let mut waits_for_it: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut work = vec![from];
    while let Some(slot) = work.pop() {
        // What an upgrade waits for does not hang under its own hold, but whether it fits does.
        let base = book.claims.get(slot).and_then(Claim::upgrades).map(Blocker::Hold);
        for next in base.into_iter().flat_map(|base| waits_of(book, base)) {
            waits_for_it.entry(next).or_default().push(slot);
        }
        for blocker in blockers(book, slot) {
            for next in waits_of(book, blocker) {
                waits_for_it.entry(next).or_default().push(slot);
                if stuck.insert(next) {
                    work.push(next);
                }
            }
        }
    }
    let mut work: Vec<u32> = stuck.iter().copied().collect();
    while let Some(slot) = work.pop() {
        if stuck.contains(&slot) && can_be_granted(book, slot, &stuck) {
            stuck.remove(&slot);
            work.extend(waits_for_it.get(&slot).into_iter().flatten());
        }
    }
    stuck
}

/// The claims that must be granted before a blocker can go away.
fn waits_of(book: &Book, blocker: Blocker) -> Vec<u32> {
    match blocker {
        Blocker::Hold(slot) => {
            book.claims.get(slot).map_or_else(Vec::new, |hold| book.graph.under_hold(hold).collect())
        }
        Blocker::Send(token) => book.graph.under_token(-(token as i64)).collect(),
        // First it, and then what its thread stands still for.
        Blocker::Ahead(slot) => {
            let row = book.claims.get(slot).map(|claim| claim.caller.row);
            let blocking = row.and_then(|row| book.graph.blocking.get(&row)).into_iter().flatten();
            std::iter::once(slot).chain(blocking.copied().filter(|&other| other != slot)).collect()
        }
    }
}

/// Everything that stands between a claim and its grant.
fn blockers(book: &Book, slot: u32) -> Vec<Blocker> {
    let Some(claim) = book.claims.get(slot) else { return Vec::new() };
    if claim.state == State::Outside {
        let token = (book.graph.send_token)();
        return if token == 0 { Vec::new() } else { vec![Blocker::Send(token)] };
    }
    let mut found = Vec::new();
    for part in claim.parts.as_slice() {
        let Some(resource) = book.names.resource(part.resource) else { continue };
        // Who upgrades waits for the others, not for the hold that it has.
        let others = resource.holds.iter().filter(|&&hold| claim.upgrades() != Some(hold));
        found.extend(others.map(|&hold| Blocker::Hold(hold)));
        found.extend(ahead(book, claim, part.resource).map(Blocker::Ahead));
    }
    found
}

/// Those before a claim in a queue of whom more is to be known than what they want, because all else that
/// they wait for the claim waits for as well: requests for several resources, requests whose thread stands
/// still, upgrades, and those that came later and went past it.
fn ahead<'a>(book: &'a Book, claim: &Claim, at: Ref) -> impl Iterator<Item = u32> + 'a {
    let (rank, resource) = (claim.rank(), book.names.resource(at));
    let (negated, sequence, _) = rank;
    let some_are_special = |resource: &&Resource| {
        resource.many > 0 || !book.graph.blocking.is_empty() || book.last_let_past != IN_TURN
    };
    let is_special = move |slot: u32| {
        let ahead = book.claims.get(slot)?;
        let was_let_past = ahead.rank().2 != IN_TURN;
        Some(ahead.parts.is_many() || was_let_past || book.graph.blocking.contains_key(&ahead.caller.row))
    };
    let special = resource
        .filter(some_are_special)
        .into_iter()
        .flat_map(move |resource| resource.queue.range(..rank).map(|(_, &slot)| slot));
    let preferred = resource.into_iter().flat_map(move |resource| resource.queue.range(..(negated, 0, 0)));
    let counts = move |((priority, other, _), _): &(&Rank, &u32)| *priority == -UPGRADE || *other > sequence;
    special
        .filter(move |&slot| is_special(slot) == Some(true))
        .chain(preferred.filter(counts).map(|(_, &slot)| slot))
}

/// Whether a claim would be granted once every hold is given back under which nothing is stuck.
fn can_be_granted(book: &Book, slot: u32, stuck: &HashSet<u32>) -> bool {
    let Some(claim) = book.claims.get(slot) else { return true };
    let hangs = |blocker| waits_of(book, blocker).iter().any(|slot| stuck.contains(slot));
    if claim.state == State::Outside {
        return !blockers(book, slot).into_iter().any(hangs);
    }
    claim.parts.as_slice().iter().all(|part| {
        let Some(resource) = book.names.resource(part.resource) else { return true };
        let stay: u64 = resource
            .holds
            .iter()
            .filter(|&&hold| hangs(Blocker::Hold(hold)))
            .filter_map(|&hold| book.claims.get(hold))
            .map(|hold| used_by(hold, part.resource))
            .sum();
        let wanted = most_wanted_up_to(book, claim, part.resource);
        let fits = stay.saturating_add(wanted) <= resource.capacity.max(wanted);
        let mut ahead = ahead(book, claim, part.resource);
        fits && !ahead.any(|slot| hangs(Blocker::Ahead(slot)) || hangs_upgraded(book, slot, hangs))
    })
}

/// Whether a hold will be exclusive, once its upgrade is granted, and not end.
fn hangs_upgraded(book: &Book, slot: u32, hangs: impl Fn(Blocker) -> bool) -> bool {
    book.claims.get(slot).and_then(Claim::upgrades).is_some_and(|base| hangs(Blocker::Hold(base)))
}

fn used_by(hold: &Claim, at: Ref) -> u64 {
    hold.parts.as_slice().iter().filter(|part| part.resource == at).map(|part| units(part.weight)).sum()
}

/// The most that a claim, or anybody before it in the queue, wants: nobody goes past another, so whoever
/// stands before must fit first.
fn most_wanted_up_to(book: &Book, claim: &Claim, at: Ref) -> u64 {
    let Some(resource) = book.names.resource(at) else { return 0 };
    let mut most = used_by(claim, at);
    for (_, &slot) in resource.queue.range(..claim.rank()) {
        if most >= resource.capacity {
            break;
        }
        most = most.max(book.claims.get(slot).map_or(0, |other| used_by(other, at)));
    }
    most
}

/// The shortest way from a stuck claim back to itself.
fn shortest_cycle(book: &Book, start: u32, stuck: &HashSet<u32>) -> Option<Cycle> {
    let mut came_from: HashMap<u32, (u32, Blocker)> = HashMap::new();
    let mut work = VecDeque::from([start]);
    while let Some(slot) = work.pop_front() {
        for blocker in blockers(book, slot) {
            for next in waits_of(book, blocker) {
                if next == start {
                    return Some(way_back(&came_from, start, (slot, blocker)));
                }
                if stuck.contains(&next) && !came_from.contains_key(&next) {
                    came_from.insert(next, (slot, blocker));
                    work.push_back(next);
                }
            }
        }
    }
    None
}

fn way_back(came_from: &HashMap<u32, (u32, Blocker)>, start: u32, last: (u32, Blocker)) -> Cycle {
    let mut cycle = vec![last];
    let mut at = last.0;
    while at != start {
        let Some(&step) = came_from.get(&at) else { break };
        cycle.push(step);
        at = step.0;
    }
    cycle.reverse();
    cycle
}

/// A claim of a cycle and the request for several resources behind which it stands, without holding anything
/// that this one wants: it could as well go first.
pub fn behind_several(book: &Book, cycle: &Cycle) -> Option<(u32, u32)> {
    cycle.iter().find_map(|&(slot, blocker)| match blocker {
        Blocker::Ahead(other) if book.claims.get(other).is_some_and(|claim| claim.parts.is_many()) => {
            Some((slot, other))
        }
        _ => None,
    })
}

/// The youngest request of a cycle that may be refused.
pub fn victim(book: &Book, cycle: &Cycle) -> Option<u32> {
    let refusable = cycle.iter().filter_map(|(slot, _)| Some((*slot, book.claims.get(*slot)?)));
    refusable.filter(|(_, claim)| !claim.web).max_by_key(|(_, claim)| claim.sequence).map(|(slot, _)| slot)
}

/// Every cycle there is at present, each once.
pub fn all_cycles(book: &Book) -> Vec<Cycle> {
    let mut seen: HashSet<u32> = HashSet::new();
    let mut cycles = Vec::new();
    if book.graph.is_empty() {
        return cycles;
    }
    for (slot, claim) in book.claims.iter() {
        let may_wait = claim.state != State::Held && (claim.sync || !claim.ancestors().is_empty());
        if !may_wait || seen.contains(&slot) {
            continue;
        }
        if let Some(cycle) = cycle_of(book, slot) {
            seen.extend(cycle.iter().map(|(slot, _)| *slot));
            cycles.push(cycle);
        }
    }
    cycles
}
