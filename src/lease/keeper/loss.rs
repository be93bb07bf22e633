//! The end of leases that nobody released, and the telling of it.

use crate::lease::desk::Desk;
use crate::lease::desk::line::Known;
use crate::lease::fault::HolderView;
use crate::lease::keeper::lease::{Lease, Part};
use crate::lease::keeper::{Duty, drop_lease};
use crate::lease::manager::release::clear_lost;
use crate::lease::manager::shown::holder_view;
use crate::lease::manager::types::Lost;
use crate::lease::send::How;
use crate::time::Nanos;
use std::rc::Rc;

/// Its deadline has come.
pub fn at_deadline(desk: &Rc<Desk>, lease: &Rc<Lease>) {
    let deadline = lease.cell.deadline();
    let cause = match () {
        () if deadline >= lease.until => "maxHold",
        () if lease.is_stalled.get() => "loop",
        () => "expired",
    };
    lose(desk, lease, cause, None);
    // Its time was over, not its term: the key need not wait for that.
    if cause == "maxHold" {
        clear_all(desk, lease);
    }
}

/// The lease is lost: it is no longer kept, and its holder hears of it, once.
pub fn lose(desk: &Desk, lease: &Rc<Lease>, cause: &'static str, by: Option<HolderView>) {
    if !lease.cell.is_over() {
        lease.cell.lose(cause);
        drop_lease(desk, lease);
        if let Some(by) = &by {
            desk.sheet.lost_to(lease.id, &by.worker);
        }
        lease.client.lost(lease, Lost { cause, by }, desk.now());
    }
}

/// One of its keys was found without it.
pub fn missing(desk: &Rc<Desk>, lease: &Rc<Lease>, part: &Part, known: &Known) {
    let (cause, by) = explain(desk, part, known);
    lose(desk, lease, cause, by);
    clear_all(desk, lease);
}

/// Why a hold is not in a record.
pub fn explain(desk: &Desk, part: &Part, known: &Known) -> (&'static str, Option<HolderView>) {
    let (record, token) = (&known.record, part.token);
    let next = record.holds.iter().find(|hold| known.told(hold.token) > token);
    let by = next.map(|hold| desk.judge(known, |view| holder_view(view, known, hold)));
    let last = known.told(record.token);
    match &record.stolen {
        Some(stolen) if known.told(stolen.token) == token => ("stolen", by),
        _ if last < token || record.counts.forgot(token, known.base) => ("gone", None),
        _ if by.is_some() => ("expired", by),
        _ if last > token => ("expired", None),
        _ => ("gone", None),
    }
}

/// What of it may still lie in records, is taken out in the background.
pub fn clear_all(desk: &Rc<Desk>, lease: &Lease) {
    if lease.has_delay {
        // It expires, and then the key stays closed for as long as was asked.
        return;
    }
    let how = if lease.cell.cause(desk.now()) == Some("maxHold") { How::Overrun } else { How::Lost };
    for part in lease.parts.iter() {
        clear_lost(desk, &part.line, &lease.nonce, lease.ttl, how);
    }
}

pub fn at_risk(desk: &Desk, lease: &Rc<Lease>, sent: Nanos) {
    lease.risk.set(None);
    if lease.renewed() < sent {
        tell_risk(desk, lease);
    }
}

/// Once until the next renewal that succeeds.
pub fn tell_risk(desk: &Desk, lease: &Lease) {
    if !lease.risk_is_told.replace(true) {
        lease.client.risk(lease, lease.cell.remaining(desk.now()));
    }
}

/// A renewal has left: there is a risk when half of what is left has gone without an answer.
pub fn watch_risk(desk: &Desk, lease: &Rc<Lease>, sent: Nanos) {
    desk.keeper.remove(lease.risk.take());
    let half = Nanos(lease.cell.remaining(sent).0 / 2);
    lease.risk.set(Some(desk.keeper.add(sent.plus(half), Duty::Risk(lease.clone(), sent))));
}

/// Its term began anew with a write that left at `sent`.
pub fn renewed(desk: &Rc<Desk>, lease: &Rc<Lease>) {
    let now = desk.now();
    if !lease.is_held(now) {
        // Too late: it was told as lost, or is about to be. What has been renewed is of no use to anybody.
        return clear_all(desk, lease);
    }
    desk.keeper.remove(lease.risk.take());
    lease.risk_is_told.set(false);
    lease.is_stalled.set(false);
    lease.cell.extend(lease.deadline());
    desk.sheet.renewed(lease);
    lease.client.renewed(lease, lease.cell.remaining(now));
}
