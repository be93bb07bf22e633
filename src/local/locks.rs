//! The named locks: the book behind its one mutex.
//!
//! # Policy
//! * Use: read/write locks and semaphores, by name or by handle, for all threads of the process.
//! * Modes: shared and exclusive; a semaphore's requests carry a weight.
//! * Promised: decided and recorded in one critical section; first come, first served within a priority; a
//!   waiter is granted, told a reason, or taken out by its thread's end, and exactly one of these.
//! * Not promised: anything between processes; that a holder gives back.
//!
//! Every method takes the time as an argument and returns [`Done`] where somebody may have to be told.
//! Nothing is called from in here while the mutex is held.

use crate::local::asking::{ask_for, bare, claim_for, extra, refuse_inside, wait};
use crate::local::book::{Book, units};
use crate::local::claim::{ALL, Ask, Claim, Done, Grant, Outcome, Part, Parts, State, UPGRADE};
use crate::local::deadlock;
use crate::local::departures::{Caller, RowId};
use crate::local::forcing::Taking;
use crate::local::names::{Ref, Target};
use crate::local::resource::Kind;
use crate::local::settings::{Change, Settings};
use crate::local::shown::Shown;
use crate::local::statistics::Operation;
use crate::recorder::event::What;
use crate::recorder::is_on;
use crate::sync::{Arc, Mutex};
use crate::table::named::NamedPage;
use crate::time::Nanos;

#[derive(Debug)]
pub struct Locks {
    book: Mutex<Book>,
    pub settings: Settings,
}

impl Locks {
    /// `send_token` tells who holds the process's send lock: its token, 0 for nobody.
    pub fn new(send_token: fn() -> u64) -> Self {
        Self::with(send_token, Shown::default())
    }

    /// The same, shown to everybody who looks.
    pub fn in_table(send_token: fn() -> u64, page: &'static NamedPage) -> Self {
        Self::with(send_token, Shown::on(page))
    }

    fn with(send_token: fn() -> u64, shown: Shown) -> Self {
        Self { book: Mutex::new(Book::new(send_token, shown)), settings: Settings::default() }
    }

    #[inline(always)]
    pub(super) fn change<T>(&self, now: Nanos, step: impl FnOnce(&mut Book, Nanos) -> T) -> Done<T> {
        let mut book = self.book.lock();
        // The clock was read before the mutex was ours: somebody may have been here since.
        let now = now.max(book.latest);
        book.latest = now;
        let answer = step(&mut book, now);
        book.show_changes();
        let wake_at = book.next_due();
        let tell = std::mem::take(&mut book.tell);
        Done { answer, tell, wake_at }
    }

    pub(super) fn look<T>(&self, view: impl FnOnce(&mut Book) -> T) -> T {
        let mut book = self.book.lock();
        let answer = view(&mut book);
        book.show_changes();
        answer
    }

    /// Opens a handle; `None` for a semaphore that has other permits.
    pub fn open(&self, kind: Kind, name: Option<&[u16]>, permits: u64) -> Option<Ref> {
        let capacity = if kind == Kind::ReadWrite { ALL } else { permits };
        self.look(|book| {
            let at = book.names.find_or_make(kind, name, capacity);
            let is_idle = book.names.entry(at).is_some_and(|entry| {
                entry.handles == 0 && entry.live().is_none_or(|resource| resource.is_free())
            });
            let entry = book.names.entry(at)?;
            if entry.capacity != capacity && !is_idle {
                return None;
            }
            book.names.set_capacity(at, capacity);
            book.names.hold_open(at);
            Some(at)
        })
    }

    pub fn close(&self, at: Ref) {
        self.look(|book| book.names.close(at));
    }

    /// Asks without waiting; those who wait go first.
    #[inline]
    pub fn try_acquire(
        &self,
        caller: Caller,
        target: Target<'_>,
        weight: u64,
        label: Option<&str>,
        now: Nanos,
    ) -> Option<Grant> {
        let mut book = self.book.lock();
        let now = now.max(book.latest);
        book.latest = now;
        let resource = book.names.resolve(target)?;
        let part = Part { resource, weight };
        let grant = book.try_hold(part, bare(caller, Parts::One(part), extra(label, None, &[]), now), now);
        if grant.is_none() && is_on() {
            book.tell_part(What::Blocked, part, caller.thread_id, label, now);
        }
        grant
    }

    /// Asks and, if need be, waits.
    pub fn request(
        &self,
        caller: Caller,
        target: Target<'_>,
        weight: u64,
        ask: Ask<'_>,
        now: Nanos,
    ) -> Done<Outcome> {
        self.change(now, |book, now| {
            let Some(resource) = book.names.resolve(target) else { return Outcome::QueueFull };
            ask_for(book, caller, Parts::One(Part { resource, weight }), &ask, now)
        })
    }

    /// The same outside of all holds, with nothing else to say; for what is free as cheap as not waiting.
    #[inline]
    pub fn request_plainly(
        &self,
        caller: Caller,
        target: Target<'_>,
        weight: u64,
        deadline: impl FnOnce() -> Nanos,
        now: Nanos,
    ) -> Done<Outcome> {
        self.change(now, |book, now| {
            let Some(resource) = book.names.resolve(target) else { return Outcome::QueueFull };
            let part = Part { resource, weight };
            if let Some(grant) = book.try_hold(part, bare(caller, Parts::One(part), None, now), now) {
                return Outcome::Granted(grant);
            }
            ask_for(book, caller, Parts::One(part), &Ask { deadline: deadline(), ..Ask::default() }, now)
        })
    }

    /// For several read/write locks: all of them or none.
    pub fn request_all(
        &self,
        caller: Caller,
        targets: &[(Vec<u16>, u64)],
        ask: Ask<'_>,
        now: Nanos,
    ) -> Done<Outcome> {
        self.change(now, |book, now| {
            let mut parts: Vec<Part> = Vec::with_capacity(targets.len());
            for (name, weight) in targets {
                let resource = book.names.find_or_make(Kind::ReadWrite, Some(name), ALL);
                match parts.iter_mut().find(|part| part.resource == resource) {
                    // Named twice: the stronger mode is what is meant.
                    Some(part) => part.weight = part.weight.min(*weight),
                    None => parts.push(Part { resource, weight: *weight }),
                }
            }
            let parts = match parts[..] {
                [part] => Parts::One(part),
                _ => Parts::Many(parts.into_boxed_slice()),
            };
            ask_for(book, caller, parts, &ask, now)
        })
    }

    /// Gives a hold back; false when it is not there any more.
    #[inline]
    pub fn release(&self, slot: u32, token: u64, failed: bool, now: Nanos) -> Done<bool> {
        let what = if failed { Operation::Failed } else { Operation::Released };
        self.change(now, |book, now| book.claims.held(slot, token).is_some() && book.end(slot, what, now))
    }

    /// Takes a waiter out of the queue; false when its answer is on the way already.
    pub fn cancel(&self, ticket: u64, now: Nanos) -> Done<bool> {
        self.change(now, |book, now| {
            let slot = book.claims.waiting(ticket);
            slot.is_some_and(|slot| book.leave(slot, Operation::Aborted, now).is_some())
        })
    }

    #[inline]
    pub fn holds(&self, slot: u32, token: u64) -> bool {
        self.look(|book| book.claims.held(slot, token).is_some())
    }

    /// An exclusive hold becomes shared; false when there is no such hold.
    pub fn downgrade(&self, slot: u32, token: u64, now: Nanos) -> Done<bool> {
        self.change(now, |book, now| {
            let Some(claim) = book.claims.held(slot, token) else { return false };
            if claim.parts.as_slice().iter().any(|part| part.weight != 0) {
                return false;
            }
            let parts = claim.parts.clone();
            book.change_mode(slot, 1, Operation::Downgraded, now);
            book.serve_all(&parts, now);
            true
        })
    }

    /// A shared hold that is the only one becomes exclusive, without waiting; not while somebody waits inside
    /// of it, maybe for what it then has.
    pub fn try_upgrade(&self, slot: u32, token: u64, now: Nanos) -> bool {
        self.look(|book| {
            let Some(claim) = book.claims.held(slot, token) else { return false };
            if claim.parts.as_slice().iter().all(|part| part.weight == 0) {
                return true;
            }
            let is_alone = claim.parts.as_slice().iter().all(|part| {
                let used = book.names.resource(part.resource).map(|resource| resource.used);
                used == Some(units(part.weight))
            });
            if is_alone && deadlock::inside(book, slot).is_empty() {
                book.make_exclusive(slot, now.max(book.latest));
                return true;
            }
            false
        })
    }

    /// The same, waiting for the other holders to go. A second one that wants to is refused: each would
    /// wait for the other's hold.
    pub fn upgrade(&self, slot: u32, token: u64, ask: Ask<'_>, now: Nanos) -> Done<Outcome> {
        self.change(now, |book, now| {
            let Some(claim) = book.claims.held(slot, token) else { return Outcome::QueueFull };
            let (caller, label) = (claim.caller, claim.label().cloned());
            let Parts::One(part) = claim.parts else { return Outcome::QueueFull };
            let rest = Part { weight: ALL - units(part.weight), ..part };
            if part.weight == 0 || book.fits(&[rest]) {
                if part.weight != 0 {
                    book.make_exclusive(slot, now);
                    refuse_inside(book, slot, now);
                }
                return Outcome::Granted(Grant { slot, token });
            }
            let mut ancestors = vec![token as i64];
            ancestors.extend(ask.ancestors.iter().filter(|&&other| other != token as i64));
            let ask = Ask { ancestors: &ancestors, priority: UPGRADE, ..ask };
            let mut claim = claim_for(book, caller, Parts::One(rest), &ask, now);
            if let Some(extra) = &mut claim.extra {
                extra.label = label;
                extra.upgrades = Some(slot);
            }
            let outcome = wait(book, claim, now);
            refuse_inside(book, slot, now);
            outcome
        })
    }

    /// Free (0), so many units in use, or exclusively held (−1).
    #[inline]
    pub fn state(&self, target: Target<'_>) -> i64 {
        self.look(|book| {
            let resource = book.names.look_up(target).and_then(|at| book.names.resource(at));
            resource.map_or(0, |resource| if resource.is_exclusive() { -1 } else { resource.used as i64 })
        })
    }

    /// Gives a semaphore another number of permits; holds that are too many then stay until they are given
    /// back.
    pub fn resize(&self, at: Ref, permits: u64, now: Nanos) -> Done<()> {
        self.change(now, |book, now| {
            book.names.set_capacity(at, permits);
            book.serve(at, now);
        })
    }

    /// Permits, those in use, and the requests that wait.
    pub fn semaphore_state(&self, at: Ref) -> (u64, u64, u64) {
        self.look(|book| {
            let capacity = book.names.entry(at).map_or(0, |entry| entry.capacity);
            let live = book.names.resource(at);
            live.map_or((capacity, 0, 0), |live| (capacity, live.used, live.queue.len() as u64))
        })
    }

    /// Ends every hold of a read/write lock; how many.
    pub fn force_release(&self, name: &[u16], reason: &str, now: Nanos) -> Done<u64> {
        self.change(now, |book, now| {
            let Some(at) = book.names.find(Kind::ReadWrite, name) else { return 0 };
            let mut touched = vec![at];
            let ended = book.evict(at, Taking::by_force(reason), now, &mut touched);
            book.serve_touched(&touched, now);
            ended
        })
    }

    /// Sends away those whose time is up.
    pub fn tick(&self, now: Nanos) -> Done<()> {
        self.change(now, Book::expire)
    }

    /// A thread has ended: its waiters leave, its holds are recovered, the next go on.
    pub fn depart(&self, row: RowId, now: Nanos) -> Done<()> {
        self.drop_all(|caller| caller.row == row, now)
    }

    /// A copy of the package in a thread that goes on is garbage, and with it every guard of its own.
    pub fn depart_face(&self, mailbox: u64, now: Nanos) -> Done<()> {
        self.drop_all(|caller| caller.mailbox == mailbox, now)
    }

    fn drop_all(&self, is_gone: impl Fn(&Caller) -> bool, now: Nanos) -> Done<()> {
        self.change(now, |book, now| {
            let of_row = |claim: &Claim| is_gone(&claim.caller);
            let gone: Vec<(u32, State)> = book
                .claims
                .iter()
                .filter(|(_, claim)| of_row(claim))
                .map(|(s, claim)| (s, claim.state))
                .collect();
            // First those who wait, so that nothing is granted to the dead.
            let mut left = Vec::new();
            for &(slot, _) in gone.iter().filter(|(_, state)| *state != State::Held) {
                let Some(claim) = book.unqueue(slot) else { continue };
                book.note(&claim, Operation::Died, now);
                left.push(claim.parts);
            }
            for (slot, _) in gone.iter().filter(|(_, state)| *state == State::Held) {
                book.end(*slot, Operation::Died, now);
            }
            for parts in left {
                book.serve_all(&parts, now);
            }
        })
    }

    /// A request for another kind of lock, the send lock, waits inside of holds of these: it takes part in
    /// the graph until `wait_outside_over`. Its number, or the report of the deadlock that it would be.
    pub fn wait_outside(
        &self,
        caller: Caller,
        ancestors: &[i64],
        label: &str,
        now: Nanos,
    ) -> Done<Result<u64, Arc<str>>> {
        self.change(now, |book, now| {
            let ask = Ask { ancestors, label: Some(label), ..Ask::default() };
            let mut claim = claim_for(book, caller, Parts::Many(Box::default()), &ask, now);
            claim.state = State::Outside;
            match wait(book, claim, now) {
                Outcome::Waiting(ticket, _) => Ok(ticket),
                Outcome::Deadlock(report) | Outcome::SelfDeadlock(report) | Outcome::Disorder(report) => {
                    Err(report)
                }
                // There is no queue that could be full, and nothing that could be granted.
                Outcome::QueueFull | Outcome::Granted(_) => Ok(0),
            }
        })
    }

    pub fn wait_outside_over(&self, ticket: u64) {
        self.look(|book| {
            if let Some(slot) = book.claims.waiting(ticket) {
                book.unqueue(slot);
            }
        });
    }

    /// Changes settings, for everybody at once. Another level forgets the orders seen so far.
    pub fn configure(&self, change: &Change) {
        self.settings.apply(change);
        if let Some(level) = change.order {
            self.look(|book| book.order.set_level(level));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Locks {
        /// The book, for the proofs.
        pub fn peek<T>(&self, view: impl FnOnce(&Book) -> T) -> T {
            self.look(|book| view(book))
        }
    }
}
