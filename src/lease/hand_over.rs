//! The direct hand-over, as a pure function: who gives a key back grants it, in the same write, to those in line whose
//! turn it is. They hear of it and hold it, without a request of their own.
//!
//! Each is granted just what its own request would be granted on this record, with a token of its own. Only the term is
//! another one: that of its place in line, as it stands. So the hold lasts no longer than what the waiter itself has
//! promised to the store, and the waiter counts from its own last renewal of that place, whenever it hears of the
//! grant. Its first renewal gives the hold the length that was asked for.

use crate::lease::record::{Claim, Nonce, Record, Term, Ticket};
use crate::lease::rules::{self, Ask, Force, Verdict, View};

/// A claim with more metadata than this (as JSON) is not made: a line of them would fill the record.
const MOST_META: usize = 256;

/// What to write so that it is handed over.
#[derive(Debug)]
pub struct HandedOver {
    pub record: Record,
    /// Sessions that the new holds name.
    pub alive: Vec<String>,
    /// Sessions of the holds that were over.
    pub gone: Vec<String>,
}

/// What a place in line says of the hold that it waits for; none when only the request itself may take it.
pub fn claim(ask: &Ask) -> Option<Box<Claim>> {
    let is_small = ask.meta.as_ref().is_none_or(|meta| meta.to_string().len() <= MOST_META);
    let may_be_granted = ask.send.is_none() && ask.force == Force::No && is_small;
    let claim = || Claim { ttl_ms: ask.ttl_ms, delay_ms: ask.delay_ms, meta: ask.meta.clone() };
    may_be_granted.then(claim).map(Box::new)
}

/// Grants what is to be had to as many as can hold it together, in their order; none when that is nobody. So many ms
/// have gone since the record was judged to be new.
pub fn hand_over(record: &Record, view: &View<'_>, passed_ms: u64) -> Option<HandedOver> {
    // A send lock has rules of its own.
    if record.state.is_some() {
        return None;
    }
    let mut done: Option<HandedOver> = None;
    loop {
        let current = done.as_ref().map_or(record, |done| &done.record);
        let first = current.queue.iter().find(|ticket| !view.is_over(&ticket.term, &ticket.who));
        let Some((nonce, term, ask)) = first.and_then(|ticket| request(ticket, view, passed_ms)) else {
            break;
        };
        let Verdict::Grant { mut record, ended, .. } = rules::acquire(current, view, &ask) else { break };
        settle(&mut record, &nonce, term);
        let (mut alive, mut gone) = done.map(|done| (done.alive, done.gone)).unwrap_or_default();
        alive.extend(ask.session);
        gone.extend(ended);
        done = Some(HandedOver { record, alive, gone });
    }
    done
}

/// The request behind a place in line, unless that has too little time left to be of use: then it acts by itself.
fn request(ticket: &Ticket, view: &View<'_>, passed_ms: u64) -> Option<(Nonce, Term, Ask)> {
    let Claim { ttl_ms, delay_ms, meta } = ticket.claim.as_deref()?.clone();
    let Ticket { nonce, mode, term, who, .. } = ticket.clone();
    let left = term.until.saturating_sub(view.now.saturating_add(passed_ms));
    if term.session.is_none() && left < term.ttl_ms / 2 {
        return None;
    }
    let session = term.session.clone();
    let (force, reason, send) = (Force::No, None, None);
    let ask = Ask {
        nonce: nonce.clone(),
        mode,
        ttl_ms,
        delay_ms,
        session,
        who,
        meta,
        ticket_ttl_ms: None,
        force,
        reason,
        send,
    };
    Some((nonce, term, ask))
}

/// A session's hold is complete; any other goes on with the term that its place in line has.
fn settle(record: &mut Record, nonce: &Nonce, term: Term) {
    let granted = record.holds.iter_mut().find(|hold| hold.nonce == *nonce);
    if let Some(hold) = granted.filter(|_| term.session.is_none()) {
        hold.handed = Some(hold.term.ttl_ms);
        hold.term = term;
    }
}
