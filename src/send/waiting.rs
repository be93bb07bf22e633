//! Waiting for the send lock: joining the line, leaving it, and running out of time in it.

use crate::local::departures::RowId;
use crate::local::queue::Ticket;
use crate::name::ShortText;
use crate::recorder::event::What;
use crate::recorder::is_on;
use crate::send::book::{Book, Effects, Waiter};
use crate::send::config::MAX_WAITERS;
use crate::send::dedup::MessageKey;
use crate::send::lock::{Caller, Delivery, Done, NOBODY, Outcome, SendLock, Told, known};
use crate::send::rules::{self, Refusal};
use crate::table::layout::SendPage;
use crate::time::Nanos;

impl Book {
    /// Shows those who wait, as many as there is room for; called whenever the line changes.
    pub fn show_line(&self, page: &SendPage) {
        page.waiters.set(self.queue.len() as u64);
        for (row, (_, waiter)) in page.line.iter().zip(self.queue.iter()) {
            row.layer_row.set(waiter.layer.row as u64);
            row.pid.set(u64::from(waiter.caller.row.process.pid()));
            row.thread_row.set(waiter.caller.row.to_word());
            row.thread_id.set(waiter.caller.thread_id);
            row.since.set(waiter.since.0);
            row.deadline.set(waiter.deadline.0);
        }
    }
}

impl SendLock {
    /// Asks and, if need be, waits in line until `deadline`; the answer to a waiter comes as a delivery.
    pub fn request(
        &self,
        caller: Caller,
        layer: Option<&ShortText>,
        message: Option<MessageKey>,
        deadline: Nanos,
        now: Nanos,
    ) -> Done<Outcome> {
        self.change(now, |book, page, effects, now| {
            let Some(layer) = known(book, page, layer) else {
                let refused = book.refuse(page, &NOBODY, caller, Refusal::UnknownLayer, now, effects);
                return Outcome::Refused(refused);
            };
            book.settle(page, now, effects);
            let ask = Waiter { layer, caller, message, since: now, deadline };
            let must_wait = book.holder.is_some()
                || !book.queue.is_empty()
                || rules::cooldown_left(&book.settings.rules, &book.state, now).is_some();
            if !must_wait {
                return match book.attempt(page, &ask, now, effects) {
                    Ok(token) => Outcome::Granted(token),
                    Err(refused) => Outcome::Refused(refused),
                };
            }
            if book.queue.len() >= MAX_WAITERS {
                page.counters.queue_full.add(1);
                if is_on() {
                    book.tell_waiter(What::Refused, &ask, now);
                }
                return Outcome::QueueFull;
            }
            if is_on() {
                book.tell_waiter(What::Waiting, &ask, now);
            }
            let ticket = book.queue.push(ask);
            if deadline < Nanos::FOREVER {
                book.deadlines.insert((deadline, ticket));
            }
            book.show_line(page);
            page.counters.waits.add(1);
            Outcome::Waiting(ticket)
        })
    }

    /// Whether the waiter is the first in line, for a hold of another thread, and only for that.
    pub fn is_next(&self, ticket: Ticket, row: RowId) -> bool {
        self.look(|book, _| {
            let is_first = book.queue.iter().next().is_some_and(|(first, _)| first == ticket);
            is_first && book.holder.is_some_and(|holder| holder.caller.row != row)
        })
    }

    /// Takes a waiter out of the line; false when its answer is on the way already.
    pub fn cancel(&self, ticket: Ticket, now: Nanos) -> Done<bool> {
        self.change(now, |book, page, effects, now| {
            let Some(waiter) = book.queue.remove(ticket) else { return false };
            book.deadlines.remove(&(waiter.deadline, ticket));
            book.show_line(page);
            page.counters.wait_aborts.add(1);
            if is_on() {
                book.tell_waiter(What::Aborted, &waiter, now);
            }
            book.settle(page, now, effects);
            true
        })
    }
}

/// Tells everybody whose time is up, in one pass over the line.
pub(super) fn expire_waiters(book: &mut Book, page: &SendPage, now: Nanos, effects: &mut Effects) {
    let holder = book.holder_view(now);
    let mut late = Vec::new();
    for (index, (ticket, waiter)) in book.queue.iter().enumerate() {
        if waiter.deadline <= now {
            late.push((ticket, waiter.deadline, waiter.caller, index + 1));
        }
    }
    for (ticket, deadline, caller, position) in late {
        if let Some(waiter) = book.queue.remove(ticket).filter(|_| is_on()) {
            book.tell_waiter(What::TimedOut, &waiter, now);
        }
        book.deadlines.remove(&(deadline, ticket));
        page.counters.wait_timeouts.add(1);
        effects.tell.push(Delivery::to(&caller, Told::TimedOut { ticket, position, holder }));
    }
    book.show_line(page);
}
