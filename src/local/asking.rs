//! What becomes of a request: granted, put in line, or refused at once.

use crate::local::book::Book;
use crate::local::claim::{Ask, Claim, Claims, Extra, How, Outcome, Part, Parts, State, Told, Warning};
use crate::local::deadlock::Cycle;
use crate::local::departures::Caller;
use crate::local::forcing::Taking;
use crate::local::lock_order::{self, Disorder, Level};
use crate::local::moving::Move;
use crate::local::statistics::Operation;
use crate::local::{deadlock, report};
use crate::recorder::event::What;
use crate::recorder::is_on;
use crate::sync::Arc;
use crate::time::Nanos;

/// The most that may wait for one lock.
pub const MAX_WAITERS: usize = 200_000;
/// So often may somebody be let past another for one request; those who let each other past wait for ever.
const MOST_MOVES: usize = 64;

/// A claim that neither waits nor is asked anything.
#[inline(always)]
pub(super) fn bare(caller: Caller, parts: Parts, extra: Option<Box<Extra>>, now: Nanos) -> Claim {
    Claim {
        state: State::Waiting,
        web: false,
        sync: false,
        has_row: false,
        priority: 0,
        parts,
        caller,
        sequence: 0,
        token: 0,
        since: now,
        deadline: Nanos::FOREVER,
        extra,
    }
}

/// What a claim has beside the usual.
#[inline]
pub(super) fn extra(label: Option<&str>, class: Option<&str>, ancestors: &[i64]) -> Option<Box<Extra>> {
    if label.is_none() && class.is_none() && ancestors.is_empty() {
        return None;
    }
    let (label, class) = (label.map(Arc::from), class.map(Arc::from));
    Some(Box::new(Extra { label, class, ancestors: ancestors.into(), ..Extra::default() }))
}

pub(super) fn claim_for(book: &mut Book, caller: Caller, parts: Parts, ask: &Ask<'_>, now: Nanos) -> Claim {
    Claim {
        web: ask.web,
        sync: ask.sync,
        priority: ask.priority,
        sequence: book.next_sequence(),
        deadline: ask.deadline,
        ..bare(caller, parts, extra(ask.label, ask.class, ask.ancestors), now)
    }
}

pub(super) fn ask_for(book: &mut Book, caller: Caller, parts: Parts, ask: &Ask<'_>, now: Nanos) -> Outcome {
    // Who does not wait cannot deadlock.
    let may_wait = !ask.steal && ask.deadline > now;
    if may_wait
        && book.order.level != Level::Off
        && let Some(Disorder { report, held }) = lock_order::look_at(book, caller, &parts, ask)
    {
        book.tell_disorder(caller, &parts, &held, now);
        if is_on() {
            let asked = bare(caller, parts.clone(), extra(ask.label, None, &[]), now);
            book.tell_request(What::Order, &asked, now);
        }
        if book.order.level == Level::Error {
            parts.as_slice().iter().for_each(|part| book.names.settle(part.resource));
            return Outcome::Disorder(report);
        }
        book.tell(caller, Told::Warned { report, which: Warning::Disorder });
    }
    let mut touched = Vec::new();
    if ask.steal {
        for part in parts.as_slice() {
            book.evict(part.resource, Taking { how: How::Stolen, why: None }, now, &mut touched);
        }
    } else if !book.would_be_first(parts.as_slice(), ask.priority) || !book.fits(parts.as_slice()) {
        if is_full(book, &parts) {
            if is_on() {
                let asked = bare(caller, parts, extra(ask.label, None, &[]), now);
                book.tell_request(What::Refused, &asked, now);
            }
            return Outcome::QueueFull;
        }
        let claim = claim_for(book, caller, parts, ask, now);
        return wait(book, claim, now);
    }
    let claim = bare(caller, parts, extra(ask.label, ask.class, &[]), now);
    let grant = book.hold_at_once(claim, now);
    book.serve_touched(&touched, now);
    Outcome::Granted(grant)
}

fn is_full(book: &Book, parts: &Parts) -> bool {
    let is_long = |part: &Part| {
        book.names.resource(part.resource).is_some_and(|resource| resource.queue.len() >= MAX_WAITERS)
    };
    book.claims.len() + 1 >= Claims::MOST || parts.as_slice().iter().any(is_long)
}

/// Joins the queue, unless that would be for ever.
pub(super) fn wait(book: &mut Book, claim: Claim, now: Nanos) -> Outcome {
    let caller = claim.caller;
    let slot = book.enqueue(claim);
    let ticket = book.claims.ticket(slot);
    let may_close_a_cycle = deadlock::may_close_a_cycle(book, slot);
    let (mut moves, mut may_move) = (Vec::new(), true);
    while may_close_a_cycle && let Some(cycle) = cycle_after(book, ticket, &moves) {
        let in_the_way = deadlock::behind_several(book, &cycle).filter(|_| may_move);
        if let Some((behind, before)) = in_the_way {
            moves.extend(book.let_past(behind, before, now));
            may_move = moves.len() < MOST_MOVES;
            continue;
        }
        if !moves.is_empty() {
            // It helped nobody.
            moves.drain(..).rev().for_each(|made| book.undo(&made, now));
            may_move = false;
            continue;
        }
        may_move = true;
        book.count_deadlock();
        let report = report::deadlock(book, &cycle, now);
        match deadlock::victim(book, &cycle) {
            Some(victim) if victim == slot => {
                book.leave(slot, Operation::Deadlocked, now);
                let own = cycle.len() == 1;
                return if own { Outcome::SelfDeadlock(report) } else { Outcome::Deadlock(report) };
            }
            Some(victim) => refuse(book, victim, report, now),
            // Standard Web Locks requests hang, as the standard says; the program is told.
            None => {
                book.tell(caller, Told::Warned { report, which: Warning::Deadlock });
                break;
            }
        }
    }
    Outcome::Waiting(ticket, is_next(book, slot, caller))
}

/// A cycle that a request has closed, or the moves that were made for it.
fn cycle_after(book: &Book, ticket: u64, moves: &[Move]) -> Option<Cycle> {
    let asked = book.claims.waiting(ticket);
    let moved = moves.iter().filter_map(|made| made.slot(book));
    asked.into_iter().chain(moved).find_map(|slot| deadlock::cycle_of(book, slot))
}

fn refuse(book: &mut Book, slot: u32, report: Arc<str>, now: Nanos) {
    let ticket = book.claims.ticket(slot);
    if let Some(claim) = book.leave(slot, Operation::Deadlocked, now) {
        book.tell(claim.caller, Told::Deadlocked { ticket, report });
    }
}

/// A hold is exclusive now, or will be: who waits inside of it for what it then has would wait for ever.
pub(super) fn refuse_inside(book: &mut Book, hold: u32, now: Nanos) {
    for slot in deadlock::inside(book, hold) {
        let Some(cycle) = deadlock::cycle_of(book, slot) else { continue };
        if let Some(victim) = deadlock::victim(book, &cycle) {
            let report = report::deadlock(book, &cycle, now);
            refuse(book, victim, report, now);
        }
    }
}

/// Whether a waiter is first in line behind one hold of another thread.
fn is_next(book: &Book, slot: u32, caller: Caller) -> bool {
    let Some(Parts::One(part)) = book.claims.get(slot).map(|claim| &claim.parts) else { return false };
    let Some(resource) = book.names.resource(part.resource) else { return false };
    let holder = resource.holds.front().and_then(|&hold| book.claims.get(hold));
    resource.first() == Some(slot)
        && resource.holds.len() == 1
        && holder.is_some_and(|holder| holder.caller.row != caller.row)
}
