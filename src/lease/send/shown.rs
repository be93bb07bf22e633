//! The send lock between machines as its users see it: JSON, with ages instead of times, because only the store knows
//! its clock.

use crate::lease::record::Record;
use crate::lease::rules::View;
use crate::lease::send::hold_of;
use crate::lease::send::state::{Past, Settings, State};
use crate::send::rules::{self, Due};
use serde_json::{Value, json};

/// `did`: whether the call that asks has changed something.
pub fn shown(record: &Record, base: u64, view: &View<'_>, first: &Settings, did: bool) -> Value {
    let new = State::new(first.clone());
    let state = record.state.as_deref().unwrap_or(&new);
    let (in_force, seen, now) = (state.settings.rules(), state.seen(view.now), super::state::nanos(view.now));
    let due = rules::due(&in_force, &seen, now);
    let stands = state.stands(record, view) && !matches!(due, Due::End(_));
    let ago = |at: u64| view.now.saturating_sub(at);
    let hold = hold_of(record).zip(state.hold.as_ref()).filter(|_| stands).map(|(hold, held)| {
        json!({
            "layerId": held.layer,
            "token": record.told(held.token, base),
            "workerId": hold.who.worker,
            "nodeId": hold.who.node,
            "host": hold.who.host,
            "pid": hold.who.pid,
            "heldMs": ago(held.since),
            "overdue": due == Due::Overdue,
        })
    });
    let waiting = record.queue.iter().filter(|ticket| !view.is_over(&ticket.term, &ticket.who)).count();
    let cooldown = rules::cooldown_left(&in_force, &seen, now).map_or(0, |left| left.0.div_ceil(1_000_000));
    json!({
        "did": did,
        "settings": state.settings,
        "hold": hold,
        "cooldownMs": cooldown,
        "waiters": waiting,
        "lastToken": if record.token == 0 { 0 } else { record.told(record.token, base) },
        "lastAcquiredMs": state.last_acquired.map(ago),
        "counts": state.counts,
        "history": state.history.iter().map(|past| past_of(past, record.told(past.token, base), &ago)).collect::<Vec<_>>(),
    })
}

fn past_of(past: &Past, token: u64, ago: &dyn Fn(u64) -> u64) -> Value {
    json!({
        "layerId": past.layer,
        "token": token,
        "action": past.action,
        "agoMs": ago(past.at),
        "durationMs": past.since.map(|since| past.at.saturating_sub(since)),
    })
}
