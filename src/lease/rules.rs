//! The rules of leases, in pure functions from (record, request, the store's time) to what is to be written. No clock,
//! no store, no memory: the simulator and the model run this very code.
//!
//! A record is only ever written on top of the version that was read, so what was decided from it still holds when the
//! write lands: nobody has renewed, released or queued meanwhile. Time has only gone on, which can make a hold expired
//! that was not, never the reverse.

use core::fmt;

use crate::lease::hand_over::claim;
use crate::lease::record::{Hold, MAX_HOLDS, MAX_TICKETS, Mode, Nonce, Record, Stolen, Term, Ticket, Who};
use crate::lease::send::{self, Refused, SendAsk};

/// From where a record is judged.
pub struct View<'a> {
    /// When it was read, in ms on the store's clock.
    pub now: u64,
    /// Added to every term: the grain of that clock.
    pub slack: u64,
    /// Sessions that the store says have ended.
    pub gone: &'a [String],
    /// Whether a holder's process is known to be dead, by who can see that.
    pub dead: &'a dyn Fn(&Who) -> bool,
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("now", &self.now).field("gone", &self.gone).finish_non_exhaustive()
    }
}

impl View<'_> {
    /// Whether what a term says is over.
    pub fn is_over(&self, term: &Term, who: &Who) -> bool {
        let by_time = match &term.session {
            Some(session) => self.gone.contains(session),
            None => self.now > term.until.saturating_add(self.slack),
        };
        by_time || (self.dead)(who)
    }

    /// Until it may be over, in ms from now; none when only the store knows (a session).
    pub fn left(&self, term: &Term) -> Option<u64> {
        match term.session {
            Some(_) => None,
            None => Some(term.until.saturating_add(self.slack + 1).saturating_sub(self.now)),
        }
    }

    /// How long an expired hold still keeps the key closed.
    fn delay_left(&self, hold: &Hold) -> u64 {
        let opens = hold.term.until.saturating_add(self.slack).saturating_add(hold.delay_ms);
        if hold.delay_ms == 0 { 0 } else { opens.saturating_add(1).saturating_sub(self.now) }
    }
}

/// Whom an acquisition may take the key from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Force {
    /// From nobody but those whose terms are over.
    No,
    /// From whoever holds it.
    Anybody,
    /// From the hold with this token (as the record counts), and from no other.
    Token(u64),
}

#[derive(Clone, Debug)]
pub struct Ask {
    pub nonce: Nonce,
    pub mode: Mode,
    pub ttl_ms: u64,
    pub delay_ms: u64,
    /// The session that the hold shall name, where the store has sessions.
    pub session: Option<String>,
    pub who: Who,
    pub meta: Option<Box<serde_json::Value>>,
    /// Take a place in line when the key is not to be had, with a ticket of this ttl.
    pub ticket_ttl_ms: Option<u64>,
    pub force: Force,
    pub reason: Option<String>,
    /// It is for the send lock, whose rules decide.
    pub send: Option<SendAsk>,
}

#[derive(Clone, Debug)]
pub enum Verdict {
    /// It is held by this very request already: an answer was lost.
    Mine,
    /// Write this, and it is held with `record.token`. `ended` are the sessions of those whose terms were over.
    Grant {
        record: Record,
        ended: Vec<String>,
        stale: u32,
        stolen: u32,
    },
    /// Write this, and the request stands in line.
    Stand {
        record: Record,
    },
    /// Nothing to write. Look again after a change, or after so many ms at the latest, if that is known.
    Busy {
        left: Option<u64>,
    },
    Refuse(Refusal),
    /// Write this, and it is refused: by the way something has ended.
    Ended {
        record: Record,
        refusal: Refusal,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The semaphore has another number of permits.
    OtherPermits(u32),
    /// The hold to be stolen is not there any more; the record's token is this one.
    Moved(u64),
    /// As many hold it as a record can name.
    Full,
    /// By the rules of the send lock.
    Send(Refused),
}

/// What to do about a request for a key.
pub fn acquire(record: &Record, view: &View, ask: &Ask) -> Verdict {
    if let Some(of) = &ask.send {
        return send::acquire(record, view, ask, of);
    }
    if record.hold(&ask.nonce).is_some_and(|hold| !view.is_over(&hold.term, &hold.who)) {
        return Verdict::Mine;
    }
    if let Mode::Permit(permits) = ask.mode {
        let other = living(record, view).find_map(|hold| match hold.mode {
            Mode::Permit(others) if others != permits => Some(others),
            _ => None,
        });
        if let Some(others) = other {
            return Verdict::Refuse(Refusal::OtherPermits(others));
        }
    }
    match ask.force {
        Force::No => {}
        Force::Anybody => return granted(record, view, ask, |_| true),
        Force::Token(token) => {
            return match living(record, view).any(|hold| hold.token == token) {
                true => granted(record, view, ask, |hold| hold.token == token || !fit(hold.mode, ask.mode)),
                false => Verdict::Refuse(Refusal::Moved(record.token)),
            };
        }
    }
    let closed = record.holds.iter().filter(|hold| view.is_over(&hold.term, &hold.who));
    let delay = closed.map(|hold| view.delay_left(hold)).max().unwrap_or(0);
    if delay == 0 && is_my_turn(record, view, ask) {
        return granted(record, view, ask, |_| false);
    }
    stand(record, view, ask, delay)
}

fn living<'a>(record: &'a Record, view: &'a View) -> impl Iterator<Item = &'a Hold> {
    record.holds.iter().filter(|hold| !view.is_over(&hold.term, &hold.who))
}

/// Whether two holds may be side by side, numbers left aside.
fn fit(one: Mode, other: Mode) -> bool {
    !matches!((one, other), (Mode::Exclusive, _) | (_, Mode::Exclusive))
        && matches!((one, other), (Mode::Shared, Mode::Shared) | (Mode::Permit(_), Mode::Permit(_)))
}

/// Whether a mode may be added to those that hold.
fn fits(holding: &[Mode], mode: Mode) -> bool {
    let room = match mode {
        Mode::Permit(permits) => holding.len() < permits as usize,
        Mode::Exclusive => holding.is_empty(),
        Mode::Shared => true,
    };
    room && holding.iter().all(|held| fit(*held, mode))
}

/// Whether everybody who stands before the request, and then the request, can hold together with those who do.
pub fn is_my_turn(record: &Record, view: &View, ask: &Ask) -> bool {
    let mut holding: Vec<Mode> = living(record, view).map(|hold| hold.mode).collect();
    for ticket in &record.queue {
        if ticket.nonce == ask.nonce {
            break;
        }
        if view.is_over(&ticket.term, &ticket.who) {
            continue;
        }
        if !fits(&holding, ticket.mode) {
            return false;
        }
        holding.push(ticket.mode);
    }
    fits(&holding, ask.mode)
}

/// The record with the request's hold in place of those that are over, and of those that it takes.
pub fn granted(record: &Record, view: &View, ask: &Ask, taken: impl Fn(&Hold) -> bool) -> Verdict {
    let mut next = record.clone();
    let mut ended = Vec::new();
    let (mut stale, mut stolen) = (0, 0);
    next.holds.retain(|hold| {
        if view.is_over(&hold.term, &hold.who) {
            stale += 1;
            ended.extend(hold.term.session.clone());
            return false;
        }
        if taken(hold) {
            stolen += 1;
            let (by, reason) = (ask.who.clone(), ask.reason.clone());
            next.stolen = Some(Box::new(Stolen { token: hold.token, by, reason }));
            return false;
        }
        true
    });
    next.queue.retain(|ticket| ticket.nonce != ask.nonce && !view.is_over(&ticket.term, &ticket.who));
    if next.holds.len() >= MAX_HOLDS {
        return Verdict::Refuse(Refusal::Full);
    }
    next.token += 1;
    // A key is held for long by one, mostly: no room for more.
    next.holds.reserve_exact(1);
    next.holds.push(Hold {
        nonce: ask.nonce.clone(),
        token: next.token,
        mode: ask.mode,
        term: fresh(ask.ttl_ms, &ask.session),
        delay_ms: ask.delay_ms,
        who: ask.who.clone(),
        meta: ask.meta.clone(),
        handed: None,
    });
    ended.sort_unstable();
    ended.dedup();
    Verdict::Grant { record: next, ended, stale, stolen }
}

/// Counts from the write that carries it.
fn fresh(ttl_ms: u64, session: &Option<String>) -> Term {
    Term { ttl_ms, until: 0, session: session.clone() }
}

/// A place in line for the request, if it can have one and has none. `delay` is how long the key stays closed.
pub fn stand(record: &Record, view: &View, ask: &Ask, delay: u64) -> Verdict {
    let stands = record.place(&ask.nonce);
    if let (None, Some(ttl_ms), true) = (stands, ask.ticket_ttl_ms, record.queue.len() < MAX_TICKETS) {
        let mut next = record.clone();
        next.queue.push(Ticket {
            nonce: ask.nonce.clone(),
            mode: ask.mode,
            term: fresh(ttl_ms, &ask.session),
            who: ask.who.clone(),
            claim: claim(ask),
        });
        return Verdict::Stand { record: next };
    }
    let before = &record.queue[..stands.unwrap_or(record.queue.len())];
    let holds = living(record, view).map(|hold| view.left(&hold.term).map(|left| left + hold.delay_ms));
    let tickets = before
        .iter()
        .filter(|ticket| !view.is_over(&ticket.term, &ticket.who))
        .map(|ticket| view.left(&ticket.term));
    let left = holds.chain(tickets).flatten().chain((delay > 0).then_some(delay)).min();
    Verdict::Busy { left }
}

/// What to write so that a hold's term begins anew, with all of its length; none when it is not there, or over.
pub fn renew(record: &Record, view: &View, nonce: &Nonce) -> Option<Record> {
    let held = record.hold(nonce).filter(|hold| !view.is_over(&hold.term, &hold.who))?;
    let (token, mut next) = (held.token, record.clone());
    let hold = next.holds.iter_mut().find(|hold| hold.token == token)?;
    hold.term.until = 0;
    hold.term.ttl_ms = hold.handed.take().unwrap_or(hold.term.ttl_ms);
    Some(next)
}

/// What to write so that a hold, or a place in line, is given up; none when there is neither.
pub fn release(record: &Record, nonce: &Nonce) -> Option<Record> {
    if record.hold(nonce).is_none() && record.place(nonce).is_none() {
        return None;
    }
    let mut next = record.clone();
    next.holds.retain(|hold| hold.nonce != *nonce);
    next.queue.retain(|ticket| ticket.nonce != *nonce);
    Some(next)
}

/// What to write so that a place in line goes on counting, or the hold that it was handed over; none when it is not
/// there: the request asks anew.
pub fn stay(record: &Record, nonce: &Nonce) -> Option<Record> {
    let mut next = record.clone();
    let place = next.queue.iter_mut().find(|ticket| ticket.nonce == *nonce).map(|ticket| &mut ticket.term);
    let handed = next.holds.iter_mut().find(|hold| hold.nonce == *nonce && hold.handed.is_some());
    place.or(handed.map(|hold| &mut hold.term))?.until = 0;
    Some(next)
}
