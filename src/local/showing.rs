//! What a step of the book leaves in the table: the states of the locks that it has changed, the rows of
//! claims, and what happened out of the usual.

use crate::local::asking::{bare, extra};
use crate::local::book::Book;

use crate::local::claim::{Claim, Parts};
use crate::local::departures::Caller;
use crate::local::names::{Names, Ref};
use crate::local::statistics::{Mode, Operation, Record};
use crate::name::{self, ShortText};
use crate::table::named::{Event, FIRST, NO_SLOT, event_row};
use crate::table::ring;
use crate::time::Nanos;

impl Book {
    /// Shows what the present step has changed; to be called at its end.
    #[inline(always)]
    pub fn show_changes(&mut self) {
        if !self.names.shown.changed.is_empty() {
            self.show_all();
        }
    }

    #[cold]
    fn show_all(&mut self) {
        let mut changed = std::mem::take(&mut self.names.shown.changed);
        for at in changed.drain(..) {
            let Some(resource) = self.names.resource_mut(at) else { continue };
            resource.is_changed = false;
            if let Some(slot) = &resource.slot {
                slot.show(at, resource, &self.claims);
            }
        }
        self.names.shown.changed = changed;
    }

    /// Writes the row of a claim, as it is now.
    pub fn show_claim(&mut self, at: u32) {
        if self.names.shown.page.is_none() {
            return;
        }
        let Some(claim) = self.claims.get(at) else { return };
        let base = claim.upgrades().and_then(|base| self.claims.get(base)).map_or(0, |base| base.token);
        show_claim(&self.names, at, claim, base);
        if let Some(claim) = self.claims.get_mut(at) {
            claim.has_row = true;
        }
    }

    /// A hold was granted at once: it has a row when it is none of the first, or has something to tell.
    pub(super) fn show_if_needed(&mut self, at: u32) {
        let Some(claim) = self.claims.get(at) else { return };
        let is_first = |at: Ref| self.names.resource(at).is_none_or(|live| live.holds.len() <= FIRST);
        if claim.extra.is_some() || !claim.parts.as_slice().iter().all(|part| is_first(part.resource)) {
            self.show_claim(at);
        }
    }

    /// The same for one lock, by the short way.
    #[cold]
    pub(super) fn show_hold(&mut self, at: u32, of: Ref) {
        self.show_if_needed(at);
        self.names.changed(of);
        self.show_changes();
    }

    /// A lock that was free is held. When it came to life all slots were taken; it gets one that is free by now.
    #[cold]
    pub(super) fn show_late(&mut self, at: u32, of: Ref) {
        if !self.names.shown.has_room() {
            return;
        }
        let Some(entry) = self.names.entry(of) else { return };
        // The rows of others do not name the slot.
        if entry.live().is_none_or(|live| live.holds.len() != 1 || !live.queue.is_empty()) {
            return;
        }
        let (kind, name) = (entry.kind, entry.name.clone());
        let slot = self.names.shown.take_late(kind, name.as_deref());
        if let (Some(slot), Some(live)) = (slot, self.names.resource_mut(of)) {
            live.statistics.move_to(slot.figures());
            live.slot = Some(slot);
        }
        self.show_hold(at, of);
    }

    /// A hold that nobody waits for ends, and is not there any more.
    #[cold]
    pub(super) fn show_end(&mut self, at: u32, of: Ref, what: Operation, now: Nanos) {
        self.names.changed(of);
        let Some(claim) = self.claims.get(at) else { return };
        if claim.has_row {
            self.names.shown.clear_claim(at);
        }
        if let Some(event) = event_of(what) {
            self.tell_event(claim, event, now.since(claim.since), now);
        }
    }

    /// A wait has ended with a grant.
    pub(super) fn show_grant(&mut self, at: u32, waited: Nanos, now: Nanos) {
        self.show_claim(at);
        if let Some(claim) = self.claims.get(at) {
            self.tell_event(claim, Event::Acquired, waited, now);
        }
    }

    pub(super) fn count_deadlock(&self) {
        if let Some(page) = self.names.shown.page {
            page.deadlocks.add(1);
        }
    }

    /// A request turns the order of locks round: it is made inside of the hold of that name.
    pub(super) fn tell_disorder(&mut self, caller: Caller, parts: &Parts, held: &[u16], now: Nanos) {
        let Some(page) = self.names.shown.page else { return };
        page.order_inversions.add(1);
        let held = String::from_utf16_lossy(held);
        let claim = bare(caller, parts.clone(), extra(Some(&name::clean(&held)), None, &[]), now);
        // It may be the first request for it.
        for part in parts.as_slice() {
            self.names.live(part.resource);
        }
        self.tell_event(&claim, Event::Order, Nanos(0), now);
    }

    /// Takes a claim out of its place, and its row away.
    pub(super) fn remove_claim(&mut self, at: u32) -> Option<Claim> {
        let claim = self.claims.remove(at)?;
        if claim.has_row {
            self.names.shown.clear_claim(at);
        }
        Some(claim)
    }

    /// Counts what happened to a claim, and tells of it.
    pub fn note(&mut self, claim: &Claim, what: Operation, now: Nanos) {
        self.note_why(claim, what, None, now);
    }

    /// The same for what somebody had a reason for.
    pub fn note_why(&mut self, claim: &Claim, what: Operation, why: Option<&str>, now: Nanos) {
        let span = now.since(claim.since);
        for part in claim.parts.as_slice() {
            let Some(resource) = self.names.resource_mut(part.resource) else { continue };
            let mode = Mode::of(part.weight);
            let (thread_id, token) = (claim.caller.thread_id, claim.token);
            resource.note_why(Record { at: now, what, mode, thread_id, token, span }, claim.label(), why);
        }
        if let Some(event) = event_of(what) {
            self.tell_event(claim, event, span, now);
        }
    }

    /// The same for a hold that stays one, and is counted already.
    pub(super) fn tell_change(&mut self, at: u32, what: Operation, span: Nanos, now: Nanos) {
        let Some(claim) = self.claims.get(at) else { return };
        if let Some(event) = event_of(what) {
            self.tell_event(claim, event, span, now);
        }
        if claim.has_row {
            self.show_claim(at);
        }
    }

    /// Leaves a record for those who look, for each lock of a claim.
    pub fn tell_event(&self, claim: &Claim, event: Event, span: Nanos, now: Nanos) {
        for part in claim.parts.as_slice() {
            tell_event(&self.names, part.resource, claim, event, span, now);
        }
    }
}

/// The same for one lock.
pub(super) fn tell_event(names: &Names, at: Ref, claim: &Claim, kind: Event, span: Nanos, now: Nanos) {
    let (Some(page), Some(slot)) = (names.shown.page, names.resource(at).and_then(|live| live.slot.as_ref()))
    else {
        return;
    };
    page.events.push(&ring::Record {
        kind,
        at: now,
        token: claim.token,
        held: Some(span),
        thread_id: claim.caller.thread_id,
        layer: slot.name,
        layer_row: event_row(slot.number),
        other: claim.label().map_or(ShortText::EMPTY, |label| ShortText::cut(label)),
        other_row: ring::NO_ROW,
    });
}

pub(super) fn show_claim(names: &Names, at: u32, claim: &Claim, base: u64) {
    let slot_of = |at: Ref| names.resource(at)?.slot.as_ref().map(|slot| slot.number);
    let parts = claim.parts.as_slice().iter();
    let parts = parts.map(|part| (slot_of(part.resource).unwrap_or(NO_SLOT), part.weight));
    names.shown.show_claim(at, claim, base, parts);
}

/// What is told of an operation; a release is the usual end of every hold, and a grant is told where it ends
/// a wait.
fn event_of(what: Operation) -> Option<Event> {
    match what {
        Operation::Acquired | Operation::Released => None,
        Operation::Failed => Some(Event::Failed),
        Operation::TimedOut => Some(Event::TimedOut),
        Operation::Aborted => Some(Event::Aborted),
        Operation::Stolen => Some(Event::Stolen),
        Operation::Forced => Some(Event::Forced),
        Operation::Died => Some(Event::Recovered),
        Operation::Deadlocked => Some(Event::Deadlock),
        Operation::Downgraded => Some(Event::Downgraded),
        Operation::Upgraded => Some(Event::Upgraded),
    }
}
