//! A request from its start to its one answer. What it does in the store is never cut off in the middle: when its
//! caller has given up, it hears so at once, and the rest winds up behind its back.

use crate::lease::desk::line::Line;
use crate::lease::fault::Fault;
use crate::lease::keeper;
use crate::lease::keeper::lease::{Lease, Part};
use crate::lease::keeper::session::Session;
use crate::lease::manager::cell::LeaseCell;
use crate::lease::manager::check::{Checked, check};
use crate::lease::manager::client::Client;
use crate::lease::manager::refusal;
use crate::lease::manager::release::clear_later;
use crate::lease::manager::send;
use crate::lease::manager::several;
use crate::lease::manager::shared::next_id;
use crate::lease::manager::shortcut;
use crate::lease::manager::statistics::Counters;
use crate::lease::manager::trouble;
use crate::lease::manager::types::{Granted, LeaseId, Reply, Request, Strategy};
use crate::lease::record::{Nonce, Who};
use crate::lease::rules::{Ask, Force};
use crate::lease::store::StoreError;
use crate::sync::Arc;
use crate::time::{self, Nanos};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tokio::sync::Notify;

/// That a request's caller wants it no longer.
#[derive(Debug, Default)]
pub struct Cancel {
    fault: RefCell<Option<Fault>>,
    told: Notify,
}

impl Cancel {
    /// The first reason counts.
    pub fn give_up(&self, fault: Fault) {
        self.fault.borrow_mut().get_or_insert(fault);
        self.told.notify_waiters();
    }

    pub fn fault(&self) -> Option<Fault> {
        self.fault.borrow().clone()
    }

    pub fn is_given_up(&self) -> bool {
        self.fault.borrow().is_some()
    }

    pub async fn given_up(&self) {
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if self.is_given_up() {
                return;
            }
            told.await;
        }
    }
}

/// What is wanted, checked.
#[derive(Debug)]
pub struct Wanted {
    pub request: Request,
    pub checked: Checked,
    pub who: Who,
    pub cancel: Rc<Cancel>,
    pub began: Nanos,
    pub retries: Cell<u32>,
    pub has_conflict: Cell<bool>,
    /// Since when it waits for the store, and not for somebody who holds the key.
    pub asking: Cell<Option<Nanos>>,
    /// Why the store was not reached the last time, while that lasts.
    pub trouble: RefCell<Option<StoreError>>,
    /// The key that is waited for.
    pub line: RefCell<Option<Rc<Line>>>,
}

impl Wanted {
    pub fn ask(&self, nonce: Nonce) -> Ask {
        ask(&self.request, &self.checked, self.who.clone(), nonce)
    }

    pub fn asks(&self, now: Nanos) {
        self.asking.set(self.asking.get().or(Some(now)));
    }

    pub fn ttl(&self) -> Nanos {
        Nanos(self.checked.ttl_ms.saturating_mul(1_000_000))
    }
}

/// What is asked of the rules.
pub fn ask(request: &Request, checked: &Checked, who: Who, nonce: Nonce) -> Ask {
    Ask {
        nonce,
        mode: request.mode,
        ttl_ms: checked.ttl_ms,
        delay_ms: request.delay_ms,
        session: None,
        who,
        meta: checked.meta.clone(),
        ticket_ttl_ms: None,
        force: match request.strategy {
            Strategy::Force => Force::Anybody,
            Strategy::Steal { token } => Force::Token(token),
            _ => Force::No,
        },
        reason: request.reason.clone(),
        send: request.send.clone(),
    }
}

/// A key that was granted.
#[derive(Debug)]
pub struct Won {
    pub line: Rc<Line>,
    pub nonce: Nonce,
    /// As users see it.
    pub token: u64,
    /// When the write left, and when what it granted is over.
    pub sent: Nanos,
    pub until: Nanos,
    pub session: Option<Rc<Session>>,
    pub stale: u32,
    pub stolen: u32,
}

pub async fn run(client: &Rc<Client>, request: Request, cancel: Rc<Cancel>, reply: Reply<Granted>) {
    let desk = &client.desk;
    let checked = match check(&request, &client.shared.opening, desk.store.caps()) {
        Ok(checked) => checked,
        Err(fault) => {
            Counters::more(&client.counters().failed);
            return reply(Err(fault));
        }
    };
    let wanted = Rc::new(wanted(client, request, checked, cancel));
    let mut pursuit = std::pin::pin!(several::pursue(client, &wanted));
    let timeout = async {
        match wanted.request.timeout_ms {
            Some(ms) => tokio::time::sleep(std::time::Duration::from_millis(ms)).await,
            None => std::future::pending().await,
        }
    };
    let done = tokio::select! {
        biased;
        done = &mut pursuit => Some(done),
        () = wanted.cancel.given_up() => None,
        () = timeout => {
            wanted.cancel.give_up(timed_out(client, &wanted));
            None
        }
        fault = trouble::is_too_silent(client, &wanted) => {
            wanted.cancel.give_up(fault);
            None
        }
    };
    match done {
        // It may have been given up in the very moment in which it was granted.
        Some(Ok(won)) if wanted.cancel.is_given_up() => {
            let fault = wanted.cancel.fault().unwrap_or_else(Client::closed_fault);
            count_failure(client, &fault);
            won.iter().for_each(|won| clear_later(desk, &won.line, &won.nonce, wanted.ttl()));
            reply(Err(fault));
        }
        Some(done) => answer(client, &wanted, done, reply),
        None => {
            let fault = wanted.cancel.fault().unwrap_or_else(Client::closed_fault);
            count_failure(client, &fault);
            reply(Err(Fault { retries: wanted.retries.get(), ..fault }));
            if let Ok(won) = pursuit.await {
                won.iter().for_each(|won| clear_later(desk, &won.line, &won.nonce, wanted.ttl()));
            }
        }
    }
}

fn wanted(client: &Client, request: Request, checked: Checked, cancel: Rc<Cancel>) -> Wanted {
    let began = client.desk.now();
    let who = Who {
        worker: request.worker.as_ref().map_or_else(|| client.worker.clone(), |name| name.as_str().into()),
        node: request.node.as_ref().map(|name| name.as_str().into()).or_else(|| client.node.clone()),
        at: time::epoch_ms() as u64,
        ..Who::clone(&client.desk.outside.who)
    };
    Wanted {
        request,
        checked,
        who,
        cancel,
        began,
        retries: Cell::new(0),
        has_conflict: Cell::new(false),
        asking: Cell::new(Some(began)),
        trouble: RefCell::default(),
        line: RefCell::default(),
    }
}

fn count_failure(client: &Client, fault: &Fault) {
    let counters = client.counters();
    Counters::more(&counters.failed);
    client.desk.sheet.count(|counts| match fault.code {
        "ERR_LOCK_TIMEOUT" => &counts.timeouts,
        "ERR_LOCK_ABORTED" => &counts.aborts,
        "ERR_LOCK_LEASE_HELD" => &counts.refused,
        _ => &counts.failed,
    });
    match fault.code {
        "ERR_LOCK_TIMEOUT" => Counters::more(&counters.timeouts),
        "ERR_LOCK_ABORTED" => Counters::more(&counters.aborted),
        _ => {}
    }
}

/// Names who is in the way; or the store, when that is why.
fn timed_out(client: &Client, wanted: &Wanted) -> Fault {
    let line = wanted.line.borrow();
    match wanted.trouble.borrow().as_ref() {
        Some(error) => client.fault(error, line.as_ref().map(|line| &*line.key)),
        None => {
            let ms = wanted.request.timeout_ms.unwrap_or_default();
            refusal::timed_out(&client.desk, line.as_deref(), ms, trouble::silence(&client.desk, wanted))
        }
    }
}

fn answer(client: &Rc<Client>, wanted: &Wanted, done: Result<Vec<Won>, Fault>, reply: Reply<Granted>) {
    let won = match done {
        Ok(won) => won,
        Err(fault) => {
            count_failure(client, &fault);
            return reply(Err(Fault { retries: wanted.retries.get(), ..fault }));
        }
    };
    let stale = won.iter().map(|won| won.stale).sum();
    let taken = won.iter().map(|won| u64::from(won.stolen)).sum();
    let lease = lease_of(client, wanted, &won);
    let counters = client.counters();
    match wanted.request.strategy {
        Strategy::Steal { .. } => counters.stolen.add(taken),
        _ => counters.forced.add(taken),
    }
    let now = client.desk.now();
    counters.acquiring.record(now.since(wanted.began));
    client.granted(&lease, stale);
    keeper::hold(&client.desk, &lease);
    shortcut::open(client);
    reply(Ok(Granted {
        lease: lease.id,
        tokens: tokens(wanted, &won),
        cell: lease.cell.clone(),
        retries: wanted.retries.get(),
        waited_ms: now.since(wanted.began).as_ms(),
        stale_claimed: stale > 0,
    }));
}

fn lease_of(client: &Rc<Client>, wanted: &Wanted, won: &[Won]) -> Rc<Lease> {
    let opening = &client.shared.opening;
    let since = client.desk.now();
    let limit = opening.max_hold_ms.map(|ms| since.plus(Nanos(ms.saturating_mul(1_000_000))));
    let parts = won.iter().map(|won| Part {
        line: won.line.clone(),
        token: won.token,
        renewed: Cell::new(won.sent),
        until: Cell::new(won.until),
    });
    let (parts, session) = (parts.collect(), won.iter().find_map(|won| won.session.clone()));
    let mut lease = Lease {
        id: LeaseId(next_id()),
        nonce: won.first().map(|won| won.nonce.clone()).unwrap_or_default(),
        ttl: wanted.ttl(),
        parts,
        cell: Arc::new(LeaseCell::new(Nanos::NEVER)),
        since,
        until: send::until(wanted, won).min(limit.unwrap_or(Nanos::FOREVER)),
        has_delay: wanted.request.delay_ms > 0,
        session,
        client: client.clone(),
        risk_is_told: Cell::new(false),
        is_stalled: Cell::new(false),
        risk: Cell::new(None),
    };
    lease.cell = Arc::new(LeaseCell::new(lease.deadline()));
    Rc::new(lease)
}

/// In the order of the request's keys.
fn tokens(wanted: &Wanted, won: &[Won]) -> Vec<u64> {
    let mut tokens = vec![0; won.len()];
    for ((_, place), won) in wanted.checked.keys.iter().zip(won) {
        if let Some(slot) = tokens.get_mut(*place) {
            *slot = won.token;
        }
    }
    tokens
}

/// When what was granted is over for its holder.
pub fn deadline(won: &Won) -> Nanos {
    match &won.session {
        Some(session) => session.deadline.get(),
        None => won.until,
    }
}
