//! What the mutex of the named locks guards, and the steps that change it: grant, wait, leave, end.
//!
//! The rule, in one place ([`Book::serve`]): the first in a queue is granted as soon as the units that it
//! wants are free; nobody goes past it. Shared requests next to each other are so granted together, and
//! neither kind starves. A request for several resources is granted when it is first in each of their queues
//! and fits everywhere; by priority and arrival it stands the same way in all of them.

use crate::local::claim::{
    ALL, Claim, Claims, Delivery, Grant, How, IN_TURN, Part, Parts, State, Told, UPGRADE,
};
use crate::local::deadlines::Deadlines;
use crate::local::deadlock::Graph;
use crate::local::departures::Caller;
use crate::local::forcing::Taking;
use crate::local::lock_order::LockOrder;
use crate::local::names::{Names, Ref};
use crate::local::resource::Resource;
use crate::local::shown::Shown;
use crate::local::statistics::{Mode, Operation, Record};
use crate::recorder::event::What;
use crate::recorder::is_on;
use crate::sync::Arc;
use crate::table::named::{Event, FIRST};
use crate::time::Nanos;
use std::collections::VecDeque;

#[derive(Debug)]
pub struct Book {
    pub names: Names,
    pub claims: Claims,
    /// Waiting claims that do not wait for ever.
    pub deadlines: Deadlines,
    pub graph: Graph,
    pub order: LockOrder,
    pub last_token: u64,
    pub last_sequence: u64,
    /// Falls with everyone who is let past another: the last one goes first.
    pub last_let_past: u64,
    /// The latest moment at which anything was done; the time of the locks does not run backwards.
    pub latest: Nanos,
    /// What the present step leaves to be told when the mutex is open again.
    pub tell: Vec<Delivery>,
}

/// The units that a weight stands for.
#[inline]
pub fn units(weight: u64) -> u64 {
    if weight == 0 { ALL } else { weight }
}

impl Book {
    pub fn new(send_token: fn() -> u64, shown: Shown) -> Self {
        Self {
            names: Names::shown_on(shown),
            claims: Claims::default(),
            deadlines: Deadlines::default(),
            graph: Graph::new(send_token),
            order: LockOrder::default(),
            last_token: 0,
            last_sequence: 0,
            last_let_past: IN_TURN,
            latest: Nanos::NEVER,
            tell: Vec::new(),
        }
    }

    #[inline]
    pub fn next_token(&mut self) -> u64 {
        self.last_token += 1;
        self.last_token
    }

    #[inline]
    pub fn next_sequence(&mut self) -> u64 {
        self.last_sequence += 1;
        self.last_sequence
    }

    /// Whether the units of all parts are free, whoever waits.
    #[inline]
    pub fn fits(&self, parts: &[Part]) -> bool {
        parts.iter().all(|part| {
            let Some(entry) = self.names.entry(part.resource) else { return true };
            let wanted = units(part.weight);
            entry.live().map_or(wanted <= entry.capacity, |resource| resource.fits(wanted))
        })
    }

    /// Whether a newcomer would go past nobody but those of lower priority.
    #[inline]
    pub fn would_be_first(&self, parts: &[Part], priority: i32) -> bool {
        parts.iter().all(|part| {
            let first = self.names.resource(part.resource).and_then(|live| live.queue.first_key_value());
            first.is_none_or(|((negated, _, _), _)| *negated > priority.saturating_neg())
        })
    }

    /// Makes a hold of a claim that has no place yet, and whose units are free.
    #[inline]
    pub fn hold_at_once(&mut self, mut claim: Claim, now: Nanos) -> Grant {
        let token = self.next_token();
        claim.state = State::Held;
        claim.token = token;
        claim.since = now;
        let (mode, thread_id) = (Mode::of(claim.weight()), claim.caller.thread_id);
        let record = Record { at: now, what: Operation::Acquired, mode, thread_id, token, span: Nanos(0) };
        let label = claim.label().filter(|_| is_on()).cloned();
        if let Parts::One(part) = claim.parts {
            let slot = self.claims.insert(claim);
            self.take(slot, part, record, label.as_ref());
            self.show_if_needed(slot);
            if self.names.resource(part.resource).is_some_and(|live| live.slot.is_none()) {
                self.show_late(slot, part.resource);
            }
            return Grant { slot, token };
        }
        let parts = claim.parts.clone();
        let slot = self.claims.insert(claim);
        for part in parts.as_slice() {
            self.take(slot, *part, Record { mode: Mode::of(part.weight), ..record }, label.as_ref());
        }
        self.show_if_needed(slot);
        Grant { slot, token }
    }

    /// The uncontended path: one resource, one look at it.
    #[inline(always)]
    pub fn try_hold(&mut self, part: Part, claim: Claim, now: Nanos) -> Option<Grant> {
        let Self { names, claims, last_token, .. } = self;
        let resource = names.live(part.resource)?;
        // Who does not wait goes past those only who said that they are less urgent than usual.
        let would_overtake = resource.queue.first_key_value().is_some_and(|((negated, ..), _)| *negated <= 0);
        if would_overtake || !resource.fits(units(part.weight)) {
            return None;
        }
        *last_token += 1;
        let token = *last_token;
        let thread_id = claim.caller.thread_id;
        let label = claim.label().filter(|_| is_on()).cloned();
        let is_plain = claim.extra.is_none() && resource.holds.len() < FIRST;
        let slot = claims.insert(Claim { state: State::Held, token, ..claim });
        resource.take(slot, units(part.weight), token);
        let (what, mode) = (Operation::Acquired, Mode::of(part.weight));
        let record = Record { at: now, what, mode, thread_id, token, span: Nanos(0) };
        resource.note(record, label.as_ref());
        match &resource.slot {
            Some(shown) if is_plain => shown.show_hold(slot, part, resource, claims),
            Some(_) => self.show_hold(slot, part.resource),
            None => self.show_late(slot, part.resource),
        }
        Some(Grant { slot, token })
    }

    #[inline]
    fn take(&mut self, slot: u32, part: Part, record: Record, label: Option<&Arc<str>>) {
        if let Some(resource) = self.names.live(part.resource) {
            resource.take(slot, units(part.weight), record.token);
            resource.note(record, label);
        }
        self.names.changed(part.resource);
    }

    /// Puts a claim into the queues. Answers its place.
    pub fn enqueue(&mut self, claim: Claim) -> u32 {
        let (rank, deadline) = (claim.rank(), claim.deadline);
        let parts = claim.parts.clone();
        let slot = self.claims.insert(claim);
        for part in parts.as_slice() {
            let Some(resource) = self.names.live(part.resource) else { continue };
            resource.queue.insert(rank, slot);
            resource.many += usize::from(parts.is_many());
            resource.statistics.mode(Mode::of(part.weight)).contended.add(1);
            self.names.changed(part.resource);
        }
        if deadline < Nanos::FOREVER {
            self.deadlines.add(deadline, self.claims.ticket(slot));
        }
        if let Some(claim) = self.claims.get(slot) {
            self.graph.add(slot, claim);
            self.tell_event(claim, Event::Waiting, Nanos(0), claim.since);
            if is_on() {
                self.tell_request(What::Waiting, claim, claim.since);
            }
        }
        self.show_claim(slot);
        slot
    }

    /// Takes a waiting claim out of its queues, its place and the graph; who waits behind it is not served
    /// yet.
    pub fn unqueue(&mut self, slot: u32) -> Option<Claim> {
        let claim = self.remove_claim(slot)?;
        self.graph.remove(slot, &claim);
        self.out_of_queues(&claim);
        if claim.deadline < Nanos::FOREVER {
            self.deadlines.left(&self.claims);
        }
        Some(claim)
    }

    pub(super) fn out_of_queues(&mut self, claim: &Claim) {
        let rank = claim.rank();
        for part in claim.parts.as_slice() {
            let Some(resource) = self.names.changed(part.resource) else { continue };
            if resource.queue.remove(&rank).is_some() {
                resource.many -= usize::from(claim.parts.is_many());
            }
        }
    }

    /// A waiting claim leaves unserved: it is counted, and those behind it get their chance.
    pub fn leave(&mut self, slot: u32, what: Operation, now: Nanos) -> Option<Claim> {
        let claim = self.unqueue(slot)?;
        self.note(&claim, what, now);
        self.serve_all(&claim.parts, now);
        Some(claim)
    }

    /// A hold ends: its units are free again, and the next are served. False when there is none.
    #[inline(always)]
    pub fn end(&mut self, slot: u32, what: Operation, now: Nanos) -> bool {
        let Self { names, claims, .. } = self;
        let Some(claim) = claims.get(slot) else { return false };
        if let Parts::One(part) = claim.parts
            && let Some(resource) = names.resource_mut(part.resource)
            && resource.queue.is_empty()
        {
            let (mode, thread_id, token) = (Mode::of(part.weight), claim.caller.thread_id, claim.token);
            let span = now.since(claim.since);
            resource.note(Record { at: now, what, mode, thread_id, token, span }, claim.label());
            resource.give_back(slot, units(part.weight), |hold| claims.is_older(hold, token));
            let is_usual = !claim.has_row && what == Operation::Released;
            match &resource.slot {
                Some(shown) if is_usual => shown.show_end(part.resource, resource, claims),
                None if is_usual => {}
                _ => self.show_end(slot, part.resource, what, now),
            }
            let Self { names, claims, .. } = self;
            claims.clear(slot);
            names.settle(part.resource);
            return true;
        }
        self.end_contended(slot, what, now)
    }

    fn end_contended(&mut self, slot: u32, what: Operation, now: Nanos) -> bool {
        let Some(claim) = self.remove_claim(slot) else { return false };
        self.note(&claim, what, now);
        for part in claim.parts.as_slice() {
            let Some(resource) = self.names.changed(part.resource) else { continue };
            let (claims, token) = (&self.claims, claim.token);
            resource.give_back(slot, units(part.weight), |hold| claims.is_older(hold, token));
            self.answer_upgrades_of(slot, part.resource, now);
        }
        self.serve_all(&claim.parts, now);
        true
    }

    /// Answers the upgrades that wait for a hold: it is exclusive now; or it is gone, and they get no token.
    fn answer_upgrades_of(&mut self, base: u32, at: Ref, now: Nanos) {
        let Some(resource) = self.names.resource(at) else { return };
        let token = self.claims.get(base).map_or(0, |hold| hold.token);
        let upgrades = resource.queue.iter().take_while(|((priority, ..), _)| *priority == -UPGRADE);
        let is_its = |slot: &u32| self.claims.get(*slot).is_some_and(|claim| claim.upgrades() == Some(base));
        let its: Vec<u32> = upgrades.map(|(_, &slot)| slot).filter(is_its).collect();
        for slot in its {
            let ticket = self.claims.ticket(slot);
            let Some(claim) = self.unqueue(slot) else { continue };
            let waited = now.since(claim.since);
            self.tell(claim.caller, Told::Granted { ticket, token, slot: base, waited, at: now });
        }
    }

    pub fn tell(&mut self, caller: Caller, what: Told) {
        self.tell.push(Delivery { mailbox: caller.mailbox, what });
    }

    #[inline]
    pub fn serve_all(&mut self, parts: &Parts, now: Nanos) {
        for part in parts.as_slice() {
            self.serve(part.resource, now);
            self.names.settle(part.resource);
        }
    }

    /// Grants the first in the queue as long as that is possible.
    #[inline]
    pub fn serve(&mut self, at: Ref, now: Nanos) {
        if self.names.resource(at).is_some_and(|resource| !resource.queue.is_empty()) {
            self.serve_queue(at, now);
        }
    }

    fn serve_queue(&mut self, at: Ref, now: Nanos) {
        let mut work = vec![at];
        while let Some(at) = work.pop() {
            while let Some(slot) = self.names.resource(at).and_then(Resource::first) {
                let Some(claim) = self.claims.get(slot) else { break };
                if !self.is_first_everywhere(slot, claim) || !self.fits(claim.parts.as_slice()) {
                    break;
                }
                if let Parts::Many(parts) = &claim.parts {
                    work.extend(parts.iter().map(|part| part.resource).filter(|&other| other != at));
                }
                self.grant(slot, now);
            }
        }
    }

    fn is_first_everywhere(&self, slot: u32, claim: &Claim) -> bool {
        claim
            .parts
            .as_slice()
            .iter()
            .all(|part| self.names.resource(part.resource).and_then(Resource::first) == Some(slot))
    }

    /// A waiting claim becomes a hold, in its place.
    fn grant(&mut self, slot: u32, now: Nanos) {
        let (ticket, token) = (self.claims.ticket(slot), self.last_token + 1);
        let Some(claim) = self.claims.get(slot) else { return };
        if let (Some(base), Parts::One(part)) = (claim.upgrades(), &claim.parts) {
            let at = part.resource;
            self.make_exclusive(base, now);
            self.answer_upgrades_of(base, at, now);
            return;
        }
        self.last_token = token;
        self.graph.remove(slot, claim);
        let (rank, deadline, caller) = (claim.rank(), claim.deadline, claim.caller);
        let (parts, waited) = (claim.parts.clone(), now.since(claim.since));
        let label = claim.label().filter(|_| is_on()).cloned();
        for part in parts.as_slice() {
            let Some(resource) = self.names.resource_mut(part.resource) else { continue };
            resource.queue.remove(&rank);
            resource.many -= usize::from(parts.is_many());
            let (what, mode, thread_id) = (Operation::Acquired, Mode::of(part.weight), caller.thread_id);
            let record = Record { at: now, what, mode, thread_id, token, span: waited };
            self.take(slot, *part, record, label.as_ref());
        }
        if let Some(claim) = self.claims.get_mut(slot) {
            claim.state = State::Held;
            claim.token = token;
            claim.since = now;
            // It is no wait any more; its label and class stay.
            if let Some(extra) = &mut claim.extra {
                extra.ancestors = Box::default();
            }
        }
        self.show_grant(slot, waited, now);
        if deadline < Nanos::FOREVER {
            self.deadlines.left(&self.claims);
        }
        self.tell(caller, Told::Granted { ticket, token, slot, waited, at: now });
    }

    /// Takes a resource away from all of its holders, and tells them. Answers how many they were. Nobody is
    /// served yet, here or in what they held besides (`touched`): a thief goes before the queue.
    pub fn evict(&mut self, at: Ref, taking: Taking<'_>, now: Nanos, touched: &mut Vec<Ref>) -> u64 {
        let holds = self.names.resource(at).map_or_else(VecDeque::new, |resource| resource.holds.clone());
        for &slot in &holds {
            self.evict_hold(slot, taking, now, touched);
        }
        holds.len() as u64
    }

    /// Takes one hold away from its holder, and tells it; the rest as in [`Book::evict`].
    pub fn evict_hold(&mut self, slot: u32, taking: Taking<'_>, now: Nanos, touched: &mut Vec<Ref>) {
        let Taking { how, why } = taking;
        let what = match how {
            How::Stolen => Operation::Stolen,
            How::Forced => Operation::Forced,
        };
        let Some(claim) = self.remove_claim(slot) else { return };
        self.note_why(&claim, what, why, now);
        for part in claim.parts.as_slice() {
            let Some(resource) = self.names.changed(part.resource) else { continue };
            let (claims, token) = (&self.claims, claim.token);
            resource.give_back(slot, units(part.weight), |hold| claims.is_older(hold, token));
            self.answer_upgrades_of(slot, part.resource, now);
            touched.push(part.resource);
        }
        self.tell(claim.caller, Told::Lost { slot, token: claim.token, how });
    }

    /// Serves what [`Book::evict`] has left.
    pub fn serve_touched(&mut self, touched: &[Ref], now: Nanos) {
        for &at in touched {
            self.serve(at, now);
            self.names.settle(at);
        }
    }

    #[inline]
    pub fn next_due(&self) -> Nanos {
        self.deadlines.next()
    }
}
