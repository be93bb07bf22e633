//! From what the rules say about a request to what is done about it.

use crate::lease::desk::Desk;
use crate::lease::desk::change::{Step, Write};
use crate::lease::desk::line::{Known, Waiter};
use crate::lease::manager::chase::Outcome;
use crate::lease::rules::{self, Ask, Force, Verdict};
use crate::time::Nanos;

/// What the rules say, and what is to be written for it.
pub fn decide(desk: &Desk, known: &Known, waiter: &Waiter, is_watched: bool) -> Step<Outcome> {
    match verdict(desk, known, &waiter.ask.borrow()) {
        Verdict::Mine => {
            let ask = waiter.ask.borrow();
            let hold = known.record.hold(&ask.nonce);
            if hold.is_some_and(|hold| hold.term.session != ask.session) {
                return Step::Leave(Outcome::Orphaned);
            }
            let token = hold.map_or(0, |hold| known.told(hold.token));
            let handed = hold.filter(|hold| hold.handed.is_some());
            let handed = handed.map(|hold| Nanos(hold.term.ttl_ms.saturating_mul(1_000_000)));
            Step::Leave(Outcome::Granted { token, sent: None, handed, stale: 0, stolen: 0 })
        }
        Verdict::Grant { record, ended, stale, stolen } => {
            if waiter.sent.get().is_none() {
                waiter.sent.set(Some(desk.now()));
            }
            let token = record.token;
            let alive = waiter.ask.borrow().session.iter().cloned().collect();
            let write = Write { alive, gone: ended, ..Write::new(record) };
            Step::Write(write, Outcome::Granted { token, sent: None, handed: None, stale, stolen })
        }
        Verdict::Stand { .. } | Verdict::Busy { .. } if !is_watched => Step::Leave(Outcome::Watch),
        Verdict::Stand { record } => {
            if waiter.stood.get().is_none() {
                waiter.stood.set(Some(desk.now()));
            }
            let alive = waiter.ask.borrow().session.iter().cloned().collect();
            Step::Write(Write { alive, ..Write::new(record) }, Outcome::Busy)
        }
        Verdict::Busy { .. } => Step::Keep(Outcome::Busy),
        Verdict::Refuse(refusal) => Step::Keep(Outcome::Refused(refusal)),
        Verdict::Ended { record, refusal } => Step::Write(Write::waking(record), Outcome::Refused(refusal)),
    }
}

/// The rules, with the token as the record counts it.
pub fn verdict(desk: &Desk, known: &Known, ask: &Ask) -> Verdict {
    desk.judge(known, |view| match ask.force {
        Force::Token(token) => {
            // No hold has the token 0.
            let meant = known.record.holds.iter().find(|hold| known.told(hold.token) == token);
            let force = Force::Token(meant.map_or(0, |hold| hold.token));
            rules::acquire(&known.record, view, &Ask { force, ..ask.clone() })
        }
        _ => rules::acquire(&known.record, view, ask),
    })
}
