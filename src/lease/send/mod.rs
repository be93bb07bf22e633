//! The send lock between machines: the rules of the send lock (`crate::send::rules`, this very code) over the record
//! of one key. The hold is a lease, so a dead process loses it with its ttl; the rest of the lock's state lies in the
//! same record, so that one write decides both.
//!
//! Pure, as the rules of leases: from (record, request, the store's time) to what is to be written. A decision on an
//! old record is safe, because everything that the store's time alone decides goes from refused to granted.

pub mod shown;
pub mod state;
#[cfg(test)]
mod tests;

use crate::lease::record::{Hold, Nonce, Record, Stolen, Who};
use crate::lease::rules::{self as lease_rules, Ask, Refusal as LeaseRefusal, Verdict, View};
use crate::lease::send::state::{End, Settings, State, nanos};
use crate::send::rules::{self, Due, Expiry, Refusal, Request};
use crate::send::{REASON_PROCESS_EXIT, REASON_STALE, REASON_TIMEOUT};
use crate::time::Nanos;
use serde_json::{Map, Value};

/// Its holder could not renew it in time, and took it out itself.
pub const REASON_LOST: &str = "lost";

/// What a request for the send lock says besides being one for a lease.
#[derive(Clone, Debug)]
pub struct SendAsk {
    pub layer: String,
    /// A hash of the message.
    pub message: Option<String>,
    /// In force when there are none yet.
    pub first: Settings,
    /// It stands in line rather than being refused for a cooldown or a holder.
    pub waits: bool,
}

/// Why a request was refused, and what the clock alone could change about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// `unknown_layer`, `cooldown`, `held`, `duplicate_message`.
    pub why: &'static str,
    pub left_ms: Option<u64>,
}

/// How a hold, or a place in line, is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Released,
    /// Released by somebody who says that nothing was sent; or granted to nobody.
    Unsent,
    /// It had lasted for as long as it may.
    Overrun,
    /// Its holder has lost it.
    Lost,
}

/// What to do about a request for the send lock.
pub fn acquire(record: &Record, view: &View<'_>, ask: &Ask, of: &SendAsk) -> Verdict {
    if record.hold(&ask.nonce).is_some_and(|hold| !view.is_over(&hold.term, &hold.who)) {
        return Verdict::Mine;
    }
    let mut next = record.clone();
    let mut state = next.state.take().map_or_else(|| State::new(of.first.clone()), |state| *state);
    let had_hold = state.hold.is_some();
    lapse(&mut state, record, view);
    let request = Request {
        layer_known: state.settings.knows(&of.layer),
        sent_before: state.sent_before(of.message.as_ref(), view.now),
    };
    let (in_force, now) = (state.settings.rules(), nanos(view.now));
    let decision = rules::decide(&in_force, &state.seen(view.now), &request, now);
    if let Due::End(expiry) = decision.first {
        take_away(&mut next, &mut state, &ask.who, reason_of(expiry));
    }
    let has_ended = had_hold && state.hold.is_none();
    let refusal = match decision.verdict {
        rules::Verdict::Acquire if lease_rules::is_my_turn(&next, view, ask) => {
            return granted(next, state, view, ask, of);
        }
        // Those who wait in line go first.
        rules::Verdict::Acquire => Refusal::Held,
        rules::Verdict::Refuse(refusal) => refusal,
    };
    let left = match refusal {
        Refusal::Cooldown { left } | Refusal::DuplicateMessage { left } => left,
        Refusal::Held => rules::hold_end(&in_force, &state.seen(view.now)).since(now),
        Refusal::UnknownLayer => Nanos::FOREVER,
    };
    next.state = Some(Box::new(state));
    let may_wait = of.waits && matches!(refusal, Refusal::Cooldown { .. } | Refusal::Held);
    match (may_wait, has_ended) {
        (true, _) => match lease_rules::stand(&next, view, ask, in_ms(left)) {
            // An end that is not written has not happened.
            Verdict::Busy { .. } if has_ended => Verdict::Stand { record: next },
            verdict => verdict,
        },
        (false, true) => Verdict::Ended { record: next, refusal: refused(refusal, left) },
        (false, false) => Verdict::Refuse(refused(refusal, left)),
    }
}

fn granted(next: Record, mut state: State, view: &View<'_>, ask: &Ask, of: &SendAsk) -> Verdict {
    match lease_rules::granted(&next, view, ask, |_| false) {
        Verdict::Grant { mut record, ended, stale, stolen } => {
            state.acquire(record.token, &of.layer, of.message.as_ref(), view.now);
            record.state = Some(Box::new(state));
            Verdict::Grant { record, ended, stale, stolen }
        }
        other => other,
    }
}

/// A hold whose lease is over, or was taken out of the record by other means, has ended.
fn lapse(state: &mut State, record: &Record, view: &View<'_>) {
    if state.hold.is_some() && !state.stands(record, view) {
        state.end(End::Forced(REASON_PROCESS_EXIT));
    }
}

fn reason_of(expiry: Expiry) -> &'static str {
    match expiry {
        Expiry::Timeout => REASON_TIMEOUT,
        Expiry::Stale => REASON_STALE,
    }
}

/// Ends the hold of a living holder, who finds that out when it renews.
fn take_away(next: &mut Record, state: &mut State, by: &Who, reason: &str) {
    let token = state.hold.as_ref().map(|held| held.token);
    next.holds.retain(|hold| Some(hold.token) != token);
    if let Some(token) = token {
        let reason = Some(format!("force_released_{reason}"));
        next.stolen = Some(Box::new(Stolen { token, by: by.clone(), reason }));
    }
    state.end(End::Forced(reason));
}

fn in_ms(span: Nanos) -> u64 {
    span.0.div_ceil(1_000_000)
}

fn refused(refusal: Refusal, left: Nanos) -> LeaseRefusal {
    let why = match refusal {
        Refusal::UnknownLayer => "unknown_layer",
        Refusal::Cooldown { .. } => "cooldown",
        Refusal::Held => "held",
        Refusal::DuplicateMessage { .. } => "duplicate_message",
    };
    LeaseRefusal::Send(Refused { why, left_ms: (left != Nanos::FOREVER).then(|| in_ms(left)) })
}

/// What to write so that a hold, or a place in line, is given up, in any record; none when there is neither.
pub fn release(record: &Record, nonce: &Nonce, how: How) -> Option<Record> {
    let held = record.hold(nonce).map(|hold| hold.token);
    let mut next = lease_rules::release(record, nonce)?;
    if let Some(state) = next.state.as_mut()
        && held.is_some()
        && state.hold.as_ref().map(|hold| hold.token) == held
    {
        let over = if state.settings.force_release_ms <= state.settings.timeout_ms
            || state.settings.on_timeout == state::Overdue::Report
        {
            REASON_STALE
        } else {
            REASON_TIMEOUT
        };
        state.end(match how {
            How::Released => End::Released,
            How::Unsent => End::Unsent,
            How::Overrun => End::Forced(over),
            How::Lost => End::Forced(REASON_LOST),
        });
    }
    Some(next)
}

/// What to write so that nobody holds it; none when nobody does.
pub fn force(record: &Record, view: &View<'_>, by: &Who, reason: &str) -> Option<Record> {
    let mut next = record.clone();
    let mut state = *next.state.take()?;
    state.hold.as_ref()?;
    match state.stands(record, view) {
        true => take_away(&mut next, &mut state, by, reason),
        false => lapse(&mut state, record, view),
    }
    next.state = Some(Box::new(state));
    Some(next)
}

/// What to write so that these settings are in force; none when they make no sense.
pub fn configure(record: &Record, first: &Settings, change: &Map<String, Value>) -> Option<Record> {
    let mut next = record.clone();
    let state = next.state.get_or_insert_with(|| Box::new(State::new(first.clone())));
    state.settings = state.settings.changed(change)?;
    Some(next)
}

/// The lease that is the lock's hold.
pub fn hold_of(record: &Record) -> Option<&Hold> {
    let token = record.state.as_ref()?.hold.as_ref()?.token;
    record.holds.iter().find(|hold| hold.token == token)
}
