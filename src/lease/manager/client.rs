//! A manager on the I/O thread: what it has open at its desk, and how it counts and tells what happens.

use crate::lease::desk::Desk;
use crate::lease::fault::Fault;
use crate::lease::keeper::lease::Lease;
use crate::lease::keeper::loss::lose;
use crate::lease::keeper::telling;
use crate::lease::manager::acquire::{self, Cancel};
use crate::lease::manager::release;
use crate::lease::manager::shared::Shared;
use crate::lease::manager::shortcut;
use crate::lease::manager::statistics::Counters;
use crate::lease::manager::types::{Granted, LeaseId, Lost, Released, Reply, Request, RequestId};
use crate::lease::record::Who;
use crate::lease::send::How;
use crate::lease::store::StoreError;
use crate::sync::Arc;
use crate::time::Nanos;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

pub struct Client {
    pub desk: Rc<Desk>,
    pub shared: Arc<Shared>,
    /// Of requests that say nothing else.
    pub worker: Rc<str>,
    pub node: Option<Rc<str>>,
    pub requests: RefCell<HashMap<RequestId, Rc<Cancel>>>,
    /// The same for all whose requests say the same.
    last_who: RefCell<Rc<Who>>,
    pub is_closed: Cell<bool>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.shared.id).finish_non_exhaustive()
    }
}

impl Client {
    pub fn new(desk: Rc<Desk>, shared: Arc<Shared>) -> Rc<Client> {
        desk.managers.set(desk.managers.get() + 1);
        let (requests, last_who) = Default::default();
        let worker = shared.opening.worker.as_str().into();
        let node = shared.opening.node.as_deref().map(Rc::from);
        Rc::new(Client { desk, shared, worker, node, requests, last_who, is_closed: Cell::new(false) })
    }

    /// What it holds.
    pub fn leases(&self) -> Vec<Rc<Lease>> {
        let leases = self.desk.keeper.leases.borrow();
        leases.iter().map(|one| &one.0).filter(|lease| self.has(lease)).cloned().collect()
    }

    fn lease(&self, id: LeaseId) -> Option<Rc<Lease>> {
        self.desk.keeper.leases.borrow().get(&id).map(|one| one.0.clone()).filter(|lease| self.has(lease))
    }

    fn has(&self, lease: &Lease) -> bool {
        lease.client.shared.id == self.shared.id
    }

    /// Without its time, one for many leases.
    pub fn who_like(&self, who: &Who) -> Rc<Who> {
        let timeless = Who { at: 0, ..who.clone() };
        let mut last = self.last_who.borrow_mut();
        if **last != timeless {
            *last = Rc::new(timeless);
        }
        last.clone()
    }

    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub fn fault(&self, error: &StoreError, key: Option<&str>) -> Fault {
        Fault::of(error, self.desk.store.shown(), key)
    }

    pub fn closed_fault() -> Fault {
        Fault::new("ERR_LOCK_LEASE_CLOSED", "the lease manager is closed")
    }

    pub fn acquire(self: &Rc<Self>, id: RequestId, request: Request, reply: Reply<Granted>) {
        if self.is_closed.get() {
            return reply(Err(Self::closed_fault()));
        }
        let cancel = Rc::new(Cancel::default());
        self.requests.borrow_mut().insert(id, cancel.clone());
        let client = self.clone();
        tokio::task::spawn_local(async move {
            acquire::run(&client, request, cancel, reply).await;
            client.requests.borrow_mut().remove(&id);
        });
    }

    pub fn abort(&self, id: RequestId) {
        if let Some(cancel) = self.requests.borrow().get(&id) {
            cancel.give_up(Fault::new("ERR_LOCK_ABORTED", "the request was aborted"));
        }
    }

    pub fn renew(self: &Rc<Self>, id: LeaseId, reply: Reply<u64>) {
        let Some(lease) = self.lease(id) else {
            return reply(Err(Fault::new("ERR_LOCK_LEASE_LOST", "the lease is no longer held")));
        };
        let client = self.clone();
        tokio::task::spawn_local(async move { reply(release::renew_now(&client.desk, &lease).await) });
    }

    pub fn release(self: &Rc<Self>, id: LeaseId, how: How, reply: Reply<Released>) {
        let Some(lease) = self.lease(id) else {
            self.desk.sheet.let_go(id);
            return reply(Ok(Released { released: false, reason: Some("released") }));
        };
        let client = self.clone();
        tokio::task::spawn_local(async move { reply(Ok(release::release(&client, &lease, how).await)) });
    }

    /// Gives everything up; the desk goes with its last manager.
    pub async fn close(self: &Rc<Self>, is_releasing: bool) {
        if self.is_closed.replace(true) {
            return;
        }
        let way = shortcut::close(self);
        for cancel in self.requests.borrow().values() {
            cancel.give_up(Self::closed_fault());
        }
        let leases = self.leases();
        let mut releases = Vec::new();
        for lease in leases {
            if is_releasing {
                let client = self.clone();
                releases.push(tokio::task::spawn_local(async move {
                    release::release(&client, &lease, How::Released).await;
                }));
            } else {
                lose(&self.desk, &lease, "closed", None);
            }
        }
        for release in releases {
            // It has been tried.
            let _ = release.await;
        }
        let limit = self.desk.request_timeout.duration();
        let _ = tokio::time::timeout(limit, self.wound_up()).await;
        let _ = tokio::time::timeout(limit, shortcut::let_go(way)).await;
        self.desk.managers.set(self.desk.managers.get().saturating_sub(1));
        if self.desk.managers.get() == 0 {
            let _ = tokio::time::timeout(limit, self.desk.close()).await;
        }
    }

    /// Until the requests have given up their places.
    async fn wound_up(&self) {
        while !self.requests.borrow().is_empty() || self.desk.clearing.get() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }

    pub fn granted(&self, lease: &Lease, stale: u32) {
        let counters = self.counters();
        Counters::more(&counters.acquisitions);
        self.desk.sheet.count(|counts| &counts.acquisitions);
        Counters::more(&counters.held);
        counters.stale_claimed.add(u64::from(stale));
        telling::granted(lease);
    }

    /// It is held no longer, for whatever reason.
    fn ended(&self, lease: &Lease, now: Nanos) {
        Counters::less(&self.counters().held);
        self.counters().holding.record(now.since(lease.since));
    }

    pub fn released(&self, lease: &Lease, now: Nanos) {
        self.ended(lease, now);
        Counters::more(&self.counters().releases);
        self.desk.sheet.count(|counts| &counts.releases);
        telling::released(lease, now);
    }

    pub fn lost(&self, lease: &Lease, lost: Lost, now: Nanos) {
        self.lost_silently(lease, lost.cause, now);
        self.shared.events.lost(lease.id, lost);
    }

    /// Its holder has released it already.
    pub fn lost_silently(&self, lease: &Lease, cause: &str, now: Nanos) {
        self.ended(lease, now);
        Counters::more(&self.counters().lost);
        Counters::more(self.counters().lost_by(cause));
        self.desk.sheet.count_loss(cause);
        telling::lost(lease, cause, now);
    }

    pub fn risk(&self, lease: &Lease, left: Nanos) {
        Counters::more(&self.counters().risks);
        self.shared.events.risk(lease.id, left.whole_ms());
    }

    pub fn renewed(&self, lease: &Lease, left: Nanos) {
        self.shared.events.renewed(lease.id, left.whole_ms());
    }

    pub fn answered(&self, span: Nanos) {
        Counters::more(&self.counters().renewals);
        self.counters().renewing.record(span);
        self.desk.sheet.renewing(span);
    }

    pub fn renewal_failed(&self, lease: &Lease) {
        Counters::more(&self.counters().failed_renewals);
        self.desk.sheet.count(|counts| &counts.failed_renewals);
        self.desk.sheet.renewal_failed(lease);
    }

    /// Whether its event loop has answered lately, where that is asked for.
    pub fn loop_is_alive(&self, now: Nanos) -> bool {
        let limit = self.shared.opening.require_loop_alive_ms;
        limit.is_none_or(|limit| now.since(self.shared.beat()).whole_ms() <= limit)
    }
}
