//! Giving back: what of ours lies in a record is taken out of it, and a request of this process that is next gets the
//! key in the same write.

use crate::lease::desk::Desk;
use crate::lease::desk::change::{Changed, Failed, Step, Write, change};
use crate::lease::desk::line::{Known, Line};
use crate::lease::fault::Fault;
use crate::lease::hand_over::{HandedOver, hand_over};
use crate::lease::keeper::lease::Lease;
use crate::lease::keeper::loss::explain;
use crate::lease::keeper::{drop_lease, renewal, session};
use crate::lease::manager::client::Client;
use crate::lease::manager::types::Released;
use crate::lease::record::{Mode, Nonce, Record};
use crate::lease::rules::{self, Force, Verdict};
use crate::lease::send::{self, How};
use crate::lease::store::StoreError;
use crate::time::Nanos;
use std::rc::Rc;

/// It could not be given back in time; it is tried on until it expires.
const UNAVAILABLE: &str = "unavailable";
/// Pauses between tries; they double.
const SOONEST: Nanos = Nanos(10_000_000);
const LATEST: Nanos = Nanos(1_000_000_000);

/// Gives the lease back. Nothing is sent when it is known to be lost.
pub async fn release(client: &Rc<Client>, lease: &Rc<Lease>, how: How) -> Released {
    let desk = &client.desk;
    let now = desk.now();
    if lease.cell.is_over() || !lease.is_held(now) {
        return Released { released: false, reason: lease.cell.cause(now).or(Some("released")) };
    }
    lease.cell.release();
    drop_lease(desk, lease);
    let until = now.plus(lease.ttl);
    // Tasks of their own: they go on when the caller is not kept waiting any longer.
    let parts: Vec<_> = (0..lease.parts.len())
        .map(|index| tokio::task::spawn_local(release_part(desk.clone(), lease.clone(), index, how, until)))
        .collect();
    let done = desk.release_limit.within(async {
        let mut reason = None;
        for part in parts {
            reason = reason.or(part.await.unwrap_or(Some(UNAVAILABLE)));
        }
        reason
    });
    let reason = done.await.unwrap_or(Some(UNAVAILABLE));
    match reason {
        None | Some(UNAVAILABLE) => client.released(lease, desk.now()),
        Some(cause) => client.lost_silently(lease, cause, desk.now()),
    }
    Released { released: reason.is_none(), reason }
}

/// Why it could not be given back, if it could not.
async fn release_part(
    desk: Rc<Desk>,
    lease: Rc<Lease>,
    index: usize,
    how: How,
    until: Nanos,
) -> Option<&'static str> {
    let part = lease.parts.get(index)?;
    match clear(&desk, &part.line, &lease.nonce, Clearing { is_unsettled: false, how }, until).await {
        Some((true, _)) => None,
        Some((false, known)) => Some(explain(&desk, part, &known).0),
        None => Some(UNAVAILABLE),
    }
}

/// Renews at once; how many ms are left then.
pub async fn renew_now(desk: &Rc<Desk>, lease: &Rc<Lease>) -> Result<u64, Fault> {
    let sent = desk.now();
    let key = lease.parts.first().map(|part| &*part.line.key);
    match &lease.session {
        Some(session) => {
            let verified = session::verify(desk, session).await;
            let fault = |error| lease.client.fault(&error, key);
            verified.map_err(fault)?;
            session::look_at(desk, std::slice::from_ref(lease)).await.map_err(fault)?;
        }
        None => {
            for part in lease.parts.iter() {
                renewal::renew_one(desk, &part.line).await;
            }
        }
    }
    let now = desk.now();
    if let Some(cause) = lease.cell.cause(now) {
        return Err(Fault::new("ERR_LOCK_LEASE_LOST", format!("the lease is lost: {cause}")));
    }
    let renewed = lease.renewed();
    if renewed < sent {
        let error = StoreError::Unavailable { why: "the renewal has failed".into(), retry_after: None };
        return Err(lease.client.fault(&error, key));
    }
    Ok(lease.cell.remaining(now).whole_ms())
}

/// Takes a hold or a place out of the record behind its user's back; it expires by itself when that fails.
pub fn clear_later(desk: &Rc<Desk>, line: &Rc<Line>, nonce: &Nonce, ttl: Nanos) {
    spawn_clear(desk, line, nonce, ttl, Clearing { is_unsettled: false, how: How::Unsent });
}

/// The same when a write may still be on its way that puts it there: the record is moved on in any case, so that the
/// late write finds another version than it expects.
pub fn clear_unsettled(desk: &Rc<Desk>, line: &Rc<Line>, nonce: &Nonce, ttl: Nanos) {
    spawn_clear(desk, line, nonce, ttl, Clearing { is_unsettled: true, how: How::Unsent });
}

/// The same for a hold that was lost.
pub fn clear_lost(desk: &Rc<Desk>, line: &Rc<Line>, nonce: &Nonce, ttl: Nanos, how: How) {
    spawn_clear(desk, line, nonce, ttl, Clearing { is_unsettled: false, how });
}

/// What is known of what is taken out.
#[derive(Clone, Copy)]
struct Clearing {
    /// A write may still be on its way that puts it there.
    is_unsettled: bool,
    how: How,
}

fn spawn_clear(desk: &Rc<Desk>, line: &Rc<Line>, nonce: &Nonce, ttl: Nanos, clearing: Clearing) {
    let (desk, line, nonce) = (desk.clone(), line.clone(), nonce.clone());
    desk.clearing.set(desk.clearing.get() + 1);
    tokio::task::spawn_local(async move {
        let until = desk.now().plus(ttl);
        // Whether it was there is of no interest.
        let _ = clear(&desk, &line, &nonce, clearing, until).await;
        desk.clearing.set(desk.clearing.get().saturating_sub(1));
    });
}

/// Whether it was there, and the record then; none when the store could not be reached until `until`.
async fn clear(
    desk: &Rc<Desk>,
    line: &Rc<Line>,
    nonce: &Nonce,
    clearing: Clearing,
    until: Nanos,
) -> Option<(bool, Known)> {
    let Clearing { mut is_unsettled, how } = clearing;
    let mut was_sent = false;
    let mut pause = SOONEST;
    loop {
        let began = desk.now();
        let turn = line.turn().await;
        let changed = change(desk, line, began, |known| match send::release(&known.record, nonce, how) {
            Some(next) => Step::Write(handed_over(desk, line, known, next), (true, known.clone())),
            None if is_unsettled => {
                Step::Write(Write::new(Record::clone(&known.record)), (false, known.clone()))
            }
            None => Step::Keep((false, known.clone())),
        });
        let changed = changed.await;
        drop(turn);
        match changed {
            // Not there any more after a write whose answer did not come: that write has done it.
            Ok(Changed { answer: (was_there, known), .. }) => return Some((was_there || was_sent, known)),
            Err(Failed::Store(StoreError::Unknown(_))) => {
                is_unsettled = true;
                was_sent = true;
            }
            Err(Failed::Guarded | Failed::Store(StoreError::Unavailable { .. })) => {}
            Err(Failed::Store(_)) => return None,
        }
        let now = desk.now();
        if now >= until || desk.is_closed.get() {
            return None;
        }
        tokio::time::sleep(desk.outside.part_of(pause).plus(Nanos(1_000_000)).duration()).await;
        pause = Nanos(pause.0.saturating_mul(2)).min(LATEST);
    }
}

/// The record without what is given back, and already with those who are next: a request of this process, or else those
/// of others.
pub fn handed_over(desk: &Desk, line: &Line, known: &Known, next: Record) -> Write {
    for waiter in line.waiters() {
        let ask = waiter.ask.borrow();
        if ask.force != Force::No {
            continue;
        }
        let verdict = desk.judge(known, |view| rules::acquire(&next, view, &ask));
        if let Verdict::Grant { record, ended, .. } = verdict {
            if waiter.sent.get().is_none() {
                waiter.sent.set(Some(desk.now()));
            }
            let alive = ask.session.iter().cloned().collect();
            // Nobody else can go on beside an exclusive hold.
            let wake = ask.mode != Mode::Exclusive && !record.queue.is_empty();
            return Write { record, wake, alive, gone: ended };
        }
    }
    let passed = desk.now().since(known.heard).whole_ms();
    match desk.judge(known, |view| hand_over(&next, view, passed)) {
        // Those who were given it have to hear of it.
        Some(HandedOver { record, alive, gone }) => Write { record, wake: true, alive, gone },
        None => Write::waking(next),
    }
}
