//! Sessions, where holds name one instead of counting time: one per ttl for the whole process. Renewing it renews
//! everything that names it; what it cannot tell is whether a hold was taken away by force, so the records are looked
//! at as well.

use crate::lease::desk::Desk;
use crate::lease::desk::line::Known;
use crate::lease::keeper::lease::Lease;
use crate::lease::keeper::loss::{clear_all, lose, missing, renewed, tell_risk, watch_risk};
use crate::lease::keeper::{Duty, Keeper};
use crate::lease::store::{Key, StoreError};
use crate::time::Nanos;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

const SOONEST: Nanos = Nanos(50_000_000);
const LATEST: Nanos = Nanos(2_000_000_000);

#[derive(Debug)]
pub struct Session {
    pub name: String,
    pub ttl_ms: u64,
    pub renewed: Cell<Nanos>,
    pub deadline: Cell<Nanos>,
    pub is_over: Cell<bool>,
}

impl Session {
    fn ttl(&self) -> Nanos {
        Nanos(self.ttl_ms.saturating_mul(1_000_000))
    }

    /// Renewed by a request that left then.
    fn kept_from(&self, sent: Nanos) {
        self.renewed.set(sent);
        self.deadline.set(sent.plus(self.ttl()));
    }

    pub async fn close(&self, desk: &Desk) {
        self.deadline.set(Nanos::NEVER);
        if !self.is_over.replace(true) {
            // It ends by itself otherwise.
            let _ = desk.store.close_session(&self.name).await;
        }
    }
}

/// The session of this ttl, opened if need be.
pub async fn session(desk: &Rc<Desk>, ttl_ms: u64) -> Result<Rc<Session>, StoreError> {
    let usable = |keeper: &Keeper| {
        let sessions = keeper.sessions.borrow();
        sessions.get(&ttl_ms).filter(|one| !one.is_over.get() && desk.now() < one.deadline.get()).cloned()
    };
    if let Some(session) = usable(&desk.keeper) {
        return Ok(session);
    }
    let _turn = desk.keeper.opening.lock().await;
    if let Some(session) = usable(&desk.keeper) {
        return Ok(session);
    }
    let sent = desk.now();
    let name = desk.store.open_session(Duration::from_millis(ttl_ms)).await?;
    desk.hears();
    let session = Rc::new(Session {
        name,
        ttl_ms,
        renewed: Cell::new(sent),
        deadline: Cell::new(sent),
        is_over: Cell::new(false),
    });
    session.kept_from(sent);
    desk.keeper.sessions.borrow_mut().insert(ttl_ms, session.clone());
    desk.keeper.add(sent.plus(Nanos(session.ttl().0 / 3)), Duty::Session(session.clone()));
    Ok(session)
}

/// Whether it lives, after a write was refused that needed it.
pub async fn verify(desk: &Rc<Desk>, session: &Rc<Session>) -> Result<(), StoreError> {
    let sent = desk.now();
    let lives = desk.store.renew_session(&session.name).await?;
    desk.hears();
    answered(desk, session, sent, lives);
    Ok(())
}

/// A renewal that left at `sent` was answered. Once its deadline has passed nothing brings it back: those who held
/// under it have been told, and others may be next.
fn answered(desk: &Rc<Desk>, session: &Rc<Session>, sent: Nanos, lives: bool) -> bool {
    let goes_on = lives && !session.is_over.get() && desk.now() < session.deadline.get();
    match goes_on {
        true => session.kept_from(sent),
        false => ended(desk, session),
    }
    goes_on
}

fn leases(desk: &Desk, session: &Rc<Session>) -> Vec<Rc<Lease>> {
    let leases = desk.keeper.leases.borrow();
    let of_it = |lease: &&Rc<Lease>| lease.session.as_ref().is_some_and(|one| Rc::ptr_eq(one, session));
    leases.iter().map(|one| &one.0).filter(of_it).cloned().collect()
}

fn ended(desk: &Rc<Desk>, session: &Rc<Session>) {
    session.is_over.set(true);
    session.deadline.set(Nanos::NEVER);
    forget(desk, session);
    for lease in leases(desk, session) {
        lose(desk, &lease, "session", None);
    }
}

fn forget(desk: &Desk, session: &Rc<Session>) {
    let mut sessions = desk.keeper.sessions.borrow_mut();
    if sessions.get(&session.ttl_ms).is_some_and(|one| Rc::ptr_eq(one, session)) {
        sessions.remove(&session.ttl_ms);
    }
}

/// Its time to be renewed has come.
pub async fn renew(desk: Rc<Desk>, session: Rc<Session>) {
    if session.is_over.get() {
        return;
    }
    // The map and this task: nobody has used it for a third of its ttl.
    if Rc::strong_count(&session) <= 2 {
        forget(&desk, &session);
        return session.close(&desk).await;
    }
    let held = leases(&desk, &session);
    for lease in held.iter().filter(|lease| !lease.client.loop_is_alive(desk.now())) {
        lose(&desk, lease, "loop", None);
        clear_all(&desk, lease);
    }
    let sent = desk.now();
    if sent >= session.deadline.get() {
        return ended(&desk, &session);
    }
    held.iter().for_each(|lease| watch_risk(&desk, lease, sent));
    let third = Nanos(session.ttl().0 / 3);
    let next = match desk.store.renew_session(&session.name).await {
        Ok(lives) => {
            if !answered(&desk, &session, sent, lives) {
                return;
            }
            for lease in leases(&desk, &session) {
                lease.client.answered(desk.now().since(sent));
                renewed(&desk, &lease);
            }
            tokio::task::spawn_local(look_for_stolen(desk.clone(), session.clone()));
            sent.plus(Nanos(third.0 - desk.outside.part_of(Nanos(third.0 / 10)).0))
        }
        Err(_) => {
            for lease in leases(&desk, &session) {
                lease.client.renewal_failed(&lease);
                tell_risk(&desk, &lease);
            }
            let left = Nanos(session.deadline.get().since(desk.now()).0 / 8);
            let pause = left.min(LATEST).max(SOONEST);
            desk.now().plus(Nanos(pause.0 / 2)).plus(desk.outside.part_of(pause))
        }
    };
    desk.keeper.add(next, Duty::Session(session));
}

/// Whether the holds are still in their records.
async fn look_for_stolen(desk: Rc<Desk>, session: Rc<Session>) {
    // What cannot be looked at now is looked at the next time.
    let _ = look_at(&desk, &leases(&desk, &session)).await;
}

/// Looks at the records of the leases; those that are not in theirs are lost.
pub async fn look_at(desk: &Rc<Desk>, leases: &[Rc<Lease>]) -> Result<(), StoreError> {
    let parts = leases.iter().flat_map(|lease| lease.parts.iter().map(move |part| (lease, part)));
    let parts: Vec<_> = parts.collect();
    let keys: Vec<Key> = parts.iter().map(|(_, part)| part.line.key.clone()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let seen = desk.store.read(&keys).await?;
    for ((lease, part), seen) in parts.into_iter().zip(seen) {
        let Ok(known) = Known::read(seen, desk.now()) else { continue };
        // An answer from before the grant says nothing.
        let is_later = known.told(known.record.token) >= part.token;
        if is_later && known.record.hold(&lease.nonce).is_none() && lease.is_held(desk.now()) {
            missing(desk, lease, part, &known);
        }
    }
    Ok(())
}
