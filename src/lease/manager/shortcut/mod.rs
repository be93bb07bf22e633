//! What a user's own thread does by itself where the store has a shortcut: a grant that needs no waiting, and the release
//! of what was held for a moment only. Whatever is not so simple is left to the I/O thread, which decides anew.
//!
//! A lease that was granted so lies in the book, and is of whoever takes it out: its user's thread, to give it back, or
//! the I/O thread, to keep it from then on. The latter does so soon, long before anything of it is due.

mod book;
mod steps;

pub use book::{Short, close, let_go, open};

use crate::lease::desk::outside::Outside;
use crate::lease::manager::acquire::ask;
use crate::lease::manager::cell::LeaseCell;
use crate::lease::manager::check::check;
use crate::lease::manager::release::clear_unsettled;
use crate::lease::manager::shared::next_id;
use crate::lease::manager::types::{Granted, LeaseId, Opening, Request, Strategy};
use crate::lease::manager::{Manager, client_of};
use crate::lease::record::Who;
use crate::lease::rules::Ask;
use crate::lease::runtime;
use crate::lease::store::{Caps, Hindered, Key};
use crate::recorder;
use crate::sync::{Arc, Ordering};
use crate::time::{self, Nanos};
use book::{Own, Unused, Way, look, take_over};
use std::rc::Rc;
use steps::{Taken, free, take};

thread_local! {
    /// Clock, chance and name, of a user's thread.
    static OUTSIDE: Outside = Outside::real();
}

impl Manager {
    /// Grants on the calling thread what needs no waiting; none: ask with [`Manager::acquire`], which also says why.
    pub fn acquire_at_once(&self, request: &Request) -> Option<Granted> {
        let began = time::boot_now();
        // Until the lease is in the book, so that a manager that is closed finds all of its leases there.
        let mut way = self.shared.shortcut.way.lock();
        let Way::Open(shortcut, waiting) = &mut *way else { return None };
        // What is written down is written down by the I/O thread.
        if recorder::is_on() || !is_plain(request) || waiting.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let (key, ask, number) = self.asked(request, shortcut.caps())?;
        match take(shortcut.as_mut(), &key, &ask, number) {
            Ok(taken) => {
                let granted = self.granted(began, &key, &ask, taken?);
                if shortcut.wants_upkeep() {
                    self.upkeep();
                }
                granted
            }
            Err(Hindered::Busy) => None,
            Err(Hindered::Broken) => {
                self.give_up(std::mem::take(&mut *way));
                self.clear(&key, &ask);
                None
            }
        }
    }

    /// Gives back on the calling thread what was granted so, as long as the I/O thread has not taken it over and nobody
    /// stands in line; whether it did.
    pub fn release_at_once(&self, lease: LeaseId) -> bool {
        let short = &self.shared.shortcut;
        let Some(own) = short.out(lease) else { return false };
        let now = time::boot_now();
        if !own.cell.is_held(now) || !self.give_back(&own) {
            self.enter(own);
            return false;
        }
        own.cell.release();
        short.count_pair(now.since(own.since));
        true
    }

    /// The I/O thread has the lease from now on, whatever it is asked next.
    pub(super) fn keep_on(&self, lease: LeaseId) {
        let Some(own) = self.shared.shortcut.out(lease) else { return };
        let shared = self.shared.clone();
        // Without an I/O thread it expires.
        let _ = runtime::run(move || take_over(&shared, vec![own]));
    }

    /// What is asked of the rules, and a number for the record; none for what is refused.
    fn asked(&self, request: &Request, caps: &Caps) -> Option<(Key, Ask, u64)> {
        let opening = &self.shared.opening;
        let checked = check(request, opening, caps).ok()?;
        let key = checked.keys.first()?.0.as_str().into();
        let of_outside = |outside: &Outside| {
            let who = who(request, opening, outside);
            (key, ask(request, &checked, who, outside.nonce()), outside.number())
        };
        OUTSIDE.try_with(of_outside).ok()
    }

    fn granted(&self, began: Nanos, key: &str, ask: &Ask, taken: Taken) -> Option<Granted> {
        let (now, ttl) = (time::boot_now(), ttl(ask));
        let limit = self.shared.opening.max_hold_ms.map(|ms| now.plus(Nanos(ms.saturating_mul(1_000_000))));
        let until = limit.unwrap_or(Nanos::FOREVER);
        let deadline = taken.sent.plus(ttl).min(until);
        if now >= deadline {
            self.clear(key, ask);
            return None;
        }
        let (id, waited) = (LeaseId(next_id()), now.since(began));
        let cell = Arc::new(LeaseCell::new(deadline));
        self.shared.shortcut.count(waited, taken.stale);
        self.enter(Own {
            id,
            key: key.into(),
            nonce: ask.nonce.clone(),
            token: taken.token,
            sent: taken.sent,
            since: now,
            until,
            ttl,
            has_delay: ask.delay_ms > 0,
            alone: taken.alone,
            cell: cell.clone(),
        });
        Some(Granted {
            lease: id,
            tokens: vec![taken.token],
            cell,
            retries: 0,
            waited_ms: waited.as_ms(),
            stale_claimed: taken.stale > 0,
        })
    }

    fn enter(&self, own: Own) {
        if let Some(at) = self.shared.shortcut.enter(own) {
            let shared = self.shared.clone();
            // As above.
            let _ = runtime::run(move || drop(tokio::task::spawn_local(look(shared, at))));
        }
    }

    fn give_back(&self, own: &Own) -> bool {
        let mut way = self.shared.shortcut.way.lock();
        let Way::Open(shortcut, waiting) = &mut *way else { return false };
        if waiting.load(Ordering::Relaxed) > 0 {
            return false;
        }
        let Ok(number) = OUTSIDE.try_with(Outside::number) else { return false };
        match free(shortcut.as_mut(), &own.key.as_ref().into(), &own.nonce, own.alone.as_ref(), number) {
            Ok(is_free) => is_free,
            Err(Hindered::Busy) => false,
            Err(Hindered::Broken) => {
                self.give_up(std::mem::take(&mut *way));
                false
            }
        }
    }

    /// Closing may sync: not here. The I/O thread opens another one in time.
    fn give_up(&self, way: Way) {
        self.shared.shortcut.count_anew();
        let _ = runtime::run(move || drop(tokio::task::spawn_local(let_go(Unused(way)))));
    }

    /// A hold that nobody has may lie in the record.
    fn clear(&self, key: &str, ask: &Ask) {
        let (shared, ttl) = (self.shared.clone(), ttl(ask));
        let (key, nonce) = (key.to_owned(), ask.nonce.clone());
        let _ = runtime::run(move || {
            if let Ok(client) = client_of(&shared) {
                let line = client.desk.line(&key);
                clear_unsettled(&client.desk, &line, &nonce, ttl);
            }
        });
    }

    fn upkeep(&self) {
        let shared = self.shared.clone();
        let _ = runtime::run(move || {
            if let Ok(client) = client_of(&shared) {
                client.desk.store.upkeep();
            }
        });
    }
}

/// Whether it is for one key, and takes nothing from anybody.
fn is_plain(request: &Request) -> bool {
    let by_force = matches!(request.strategy, Strategy::Force | Strategy::Steal { .. });
    request.keys.len() == 1 && request.send.is_none() && !by_force
}

fn ttl(ask: &Ask) -> Nanos {
    Nanos(ask.ttl_ms.saturating_mul(1_000_000))
}

fn who(request: &Request, opening: &Opening, outside: &Outside) -> Who {
    Who {
        worker: request.worker.as_deref().unwrap_or(&opening.worker).into(),
        node: request.node.as_deref().or(opening.node.as_deref()).map(Rc::from),
        at: time::epoch_ms() as u64,
        ..Who::clone(&outside.who)
    }
}
