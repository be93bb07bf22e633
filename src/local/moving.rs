//! What changes a claim where it is: a hold gets another mode, a waiter another place in line.

use crate::local::book::{Book, units};
use crate::local::claim::{Claim, Part, Parts, Rank};
use crate::local::statistics::{Mode, Operation, Record};
use crate::time::Nanos;

/// A claim that was let past another, and where it stood before.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    ticket: u64,
    rank: Option<Rank>,
}

impl Move {
    /// The place of the claim, as long as it waits.
    pub fn slot(&self, book: &Book) -> Option<u32> {
        book.claims.waiting(self.ticket)
    }
}

impl Book {
    /// Lets a waiting claim past another. A request for several resources stands in queues of resources that
    /// are free, as long as one is not; who holds that one and asks for another goes first, or both would wait
    /// for ever. Answers what undoes it.
    pub fn let_past(&mut self, slot: u32, before: u32, now: Nanos) -> Option<Move> {
        let (priority, sequence, _) = self.claims.get(before).map(Claim::rank)?;
        let undo = Move { ticket: self.claims.ticket(slot), rank: self.claims.get(slot)?.let_past() };
        self.last_let_past -= 1;
        self.put_at(slot, Some((priority, sequence, self.last_let_past)), now);
        Some(undo)
    }

    /// Undoes a move, unless the claim was granted by it.
    pub fn undo(&mut self, made: &Move, now: Nanos) {
        if let Some(slot) = self.claims.waiting(made.ticket) {
            self.put_at(slot, made.rank, now);
        }
    }

    fn put_at(&mut self, slot: u32, rank: Option<Rank>, now: Nanos) {
        let Some(mut claim) = self.claims.take(slot) else { return };
        self.out_of_queues(&claim);
        claim.extra.get_or_insert_default().let_past = rank;
        let (rank, parts) = (claim.rank(), claim.parts.clone());
        for part in parts.as_slice() {
            let Some(resource) = self.names.changed(part.resource) else { continue };
            resource.queue.insert(rank, slot);
            resource.many += usize::from(parts.is_many());
        }
        self.claims.put_back(slot, claim);
        self.show_claim(slot);
        self.serve_all(&parts, now);
    }

    /// A shared hold becomes exclusive; the units that it lacks are free.
    pub fn make_exclusive(&mut self, slot: u32, now: Nanos) {
        self.change_mode(slot, 0, Operation::Upgraded, now);
    }

    /// Gives every part of a hold another weight.
    pub fn change_mode(&mut self, slot: u32, weight: u64, what: Operation, now: Nanos) {
        let Some(claim) = self.claims.get(slot) else { return };
        let (thread_id, token, span) = (claim.caller.thread_id, claim.token, now.since(claim.since));
        let label = claim.label().cloned();
        let mut parts = claim.parts.clone();
        let each: &mut [Part] = match &mut parts {
            Parts::One(part) => std::slice::from_mut(part),
            Parts::Many(parts) => parts,
        };
        for part in each {
            let Some(resource) = self.names.changed(part.resource) else { continue };
            let mode = Mode::of(part.weight);
            resource.note(Record { at: now, what, mode, thread_id, token, span }, label.as_ref());
            resource.statistics.begin_other_mode(Mode::of(weight));
            resource.used = resource.used - units(part.weight) + units(weight);
            part.weight = weight;
        }
        if let Some(claim) = self.claims.get_mut(slot) {
            claim.parts = parts;
            claim.since = now;
        }
        self.tell_change(slot, what, span, now);
    }
}
