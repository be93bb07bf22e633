//! The keeper: one task per desk that knows what is to be done when. It tells holders at their deadlines, and has
//! leases, places in line and sessions renewed in time; with nothing to keep it sleeps.

pub mod lease;
pub mod loss;
pub mod renewal;
pub mod session;
pub mod telling;

use crate::lease::desk::Desk;
use crate::lease::desk::line::{Kept, Line};
use crate::lease::keeper::lease::{ById, Lease};
use crate::lease::keeper::session::Session;
use crate::time::Nanos;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU64;
use std::rc::Rc;
use tokio::sync::{Mutex, Notify};
use tokio::task::AbortHandle;

/// When, and a number that tells duties of one instant apart.
pub type DutyKey = (Nanos, NonZeroU64);

/// Timers fire a little late; a holder is told a little early.
const EARLY: Nanos = Nanos(2_000_000);
/// Renewals that are due within this may go together.
const TOGETHER: Nanos = Nanos(1_000_000_000);

#[derive(Debug)]
pub enum Duty {
    /// Renew what of ours lies in that record; so much earlier than it is due, if others are renewed just then.
    Renew(Rc<Line>, Nanos),
    /// Tell of the risk, unless a renewal that left at that time or later has been answered.
    Risk(Rc<Lease>, Nanos),
    Session(Rc<Session>),
}

#[derive(Debug, Default)]
pub struct Keeper {
    duties: RefCell<BTreeMap<DutyKey, Duty>>,
    count: Cell<u64>,
    /// No lease comes to its deadline before that; nothing when none is held.
    ends: Cell<Option<Nanos>>,
    changed: Notify,
    task: RefCell<Option<AbortHandle>>,
    pub leases: RefCell<HashSet<ById>>,
    /// By their ttl in ms; the mutex is for who opens one.
    pub sessions: RefCell<HashMap<u64, Rc<Session>>>,
    pub opening: Mutex<()>,
}

impl Keeper {
    pub fn add(&self, at: Nanos, duty: Duty) -> DutyKey {
        let key = (at, NonZeroU64::MIN.saturating_add(self.count.get()));
        self.count.set(key.1.get());
        if self.first().is_none_or(|first| at < first) {
            self.changed.notify_one();
        }
        self.duties.borrow_mut().insert(key, duty);
        key
    }

    pub fn remove(&self, key: Option<DutyKey>) {
        if let Some(key) = key {
            self.duties.borrow_mut().remove(&key);
        }
    }

    fn first(&self) -> Option<Nanos> {
        let duty = self.duties.borrow().first_key_value().map(|((at, _), _)| *at);
        duty.into_iter().chain(self.ends.get()).min()
    }

    /// A lease has this deadline. All of them are looked at when the first may have come: those that are renewed come
    /// to theirs never, and need no place in the order.
    fn watch_end(&self, deadline: Nanos) {
        let at = Nanos(deadline.0.saturating_sub(EARLY.0));
        if self.first().is_none_or(|first| at < first) {
            self.changed.notify_one();
        }
        self.ends.set(Some(self.ends.get().map_or(at, |other| other.min(at))));
    }

    /// Those that have come to their deadlines; the others are watched on.
    fn ended(&self, now: Nanos) -> Vec<Rc<Lease>> {
        self.ends.set(None);
        let mut ended = Vec::new();
        for ById(lease) in self.leases.borrow().iter() {
            match lease.cell.deadline() {
                deadline if deadline <= now.plus(EARLY) => ended.push(lease.clone()),
                deadline => self.watch_end(deadline),
            }
        }
        ended
    }

    /// What is due, and the renewals that will be soon.
    fn due(&self, now: Nanos) -> Vec<Duty> {
        let mut duties = self.duties.borrow_mut();
        let reach = (now.plus(TOGETHER), NonZeroU64::MAX);
        let is_due = |key: &DutyKey, duty: &Duty| match duty {
            Duty::Renew(_, early) => key.0.since(now) <= *early,
            _ => key.0 <= now,
        };
        let keys: Vec<DutyKey> =
            duties.range(..=reach).filter(|(key, duty)| is_due(key, duty)).map(|(key, _)| *key).collect();
        keys.iter().filter_map(|key| duties.remove(key)).collect()
    }

    pub async fn stop(&self, desk: &Desk) {
        if let Some(task) = self.task.borrow_mut().take() {
            task.abort();
        }
        self.duties.borrow_mut().clear();
        let sessions: Vec<Rc<Session>> = self.sessions.borrow_mut().drain().map(|(_, one)| one).collect();
        for session in sessions {
            session.close(desk).await;
        }
    }
}

pub fn start(desk: &Rc<Desk>) {
    let task = tokio::task::spawn_local(keep(desk.clone()));
    *desk.keeper.task.borrow_mut() = Some(task.abort_handle());
}

async fn keep(desk: Rc<Desk>) {
    loop {
        let now = desk.now();
        match desk.keeper.first() {
            Some(at) if at <= now => serve(&desk, now),
            Some(at) => {
                tokio::select! {
                    () = tokio::time::sleep(at.since(now).duration()) => {}
                    () = desk.keeper.changed.notified() => {}
                }
            }
            None => desk.keeper.changed.notified().await,
        }
    }
}

fn serve(desk: &Rc<Desk>, now: Nanos) {
    if desk.keeper.ends.get().is_some_and(|at| at <= now) {
        desk.keeper.ended(now).iter().for_each(|lease| loss::at_deadline(desk, lease));
    }
    let mut lines = Vec::new();
    for duty in desk.keeper.due(now) {
        match duty {
            Duty::Risk(lease, sent) => loss::at_risk(desk, &lease, sent),
            Duty::Renew(line, _) => {
                line.due.set(None);
                lines.push(line);
            }
            Duty::Session(session) => {
                tokio::task::spawn_local(session::renew(desk.clone(), session));
            }
        }
    }
    if !lines.is_empty() {
        tokio::task::spawn_local(renewal::renew(desk.clone(), lines));
    }
}

/// From now on the lease is kept.
pub fn hold(desk: &Desk, lease: &Rc<Lease>) {
    desk.keeper.leases.borrow_mut().insert(ById(lease.clone()));
    desk.sheet.holds(lease);
    desk.keeper.watch_end(lease.cell.deadline());
    for part in lease.parts.iter() {
        if lease.session.is_none() {
            part.line.drop_kept(&lease.nonce);
            part.line.kept.borrow_mut().push(Kept::Hold(lease.clone()));
            renewal::plan(desk, &part.line);
        }
        part.line.rest(lease);
    }
}

/// From now on it is not, and nobody hears of it again.
pub fn drop_lease(desk: &Desk, lease: &Lease) {
    let mut leases = desk.keeper.leases.borrow_mut();
    leases.remove(&lease.id);
    if leases.is_empty() {
        desk.keeper.ends.set(None);
    }
    drop(leases);
    desk.sheet.dropped(lease, desk.now());
    desk.keeper.remove(lease.risk.take());
    for part in lease.parts.iter() {
        part.line.wake();
        part.line.drop_kept(&lease.nonce);
        renewal::plan(desk, &part.line);
    }
}
