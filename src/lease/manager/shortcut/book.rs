//! What was granted at once and is not kept yet, and the I/O thread's part in it: it opens and closes the shortcuts, and
//! takes over what is held for longer than a moment.

use crate::lease::few::Few;
use crate::lease::keeper;
use crate::lease::keeper::lease::{Lease, Part};
use crate::lease::manager::cell::LeaseCell;
use crate::lease::manager::client::Client;
use crate::lease::manager::client_of;
use crate::lease::manager::shared::Shared;
use crate::lease::manager::shortcut::steps::Alone;
use crate::lease::manager::statistics::{AtOnce, Counters, Statistics};
use crate::lease::manager::types::LeaseId;
use crate::lease::record::Nonce;
use crate::lease::store::Shortcut;
use crate::sync::{Arc, Mutex, Ordering, StaticU64};
use crate::time::{self, Nanos};
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

/// Who has held for so long, or for this part of its ttl, is kept by the I/O thread.
const MOMENT: Nanos = Nanos(100_000_000);
const PART: u64 = 8;
/// With this grant a manager has a shortcut opened: who takes one lease in its life needs none.
const OPENS: u64 = 2;

#[derive(Debug, Default)]
pub(super) enum Way {
    #[default]
    Unopened,
    /// And how many wait in this process for some key.
    Open(Box<dyn Shortcut>, Arc<StaticU64>),
    /// The store has none, or the manager has gone.
    Closed,
}

/// A way that nobody goes any more.
#[derive(Debug)]
pub struct Unused(pub(super) Way);

/// What a manager's handle and its client have in common for this.
#[derive(Debug, Default)]
pub struct Short {
    /// Held for as long as a transaction takes.
    pub(super) way: Mutex<Way>,
    book: Mutex<Book>,
    /// Grants of the I/O thread since the start, or since a shortcut broke.
    grants: StaticU64,
}

#[derive(Debug, Default)]
struct Book {
    granted: HashMap<LeaseId, Own>,
    /// When the I/O thread looks what it has to take over; none when it does not.
    next_look: Option<Nanos>,
    done: AtOnce,
    /// Of the pairs so many are on the page.
    shown: u64,
}

/// A lease that the I/O thread knows nothing of.
#[derive(Debug)]
pub(super) struct Own {
    pub id: LeaseId,
    pub key: Box<str>,
    pub nonce: Nonce,
    pub token: u64,
    pub sent: Nanos,
    pub since: Nanos,
    pub until: Nanos,
    pub ttl: Nanos,
    pub has_delay: bool,
    pub alone: Option<Alone>,
    pub cell: Arc<LeaseCell>,
}

impl Own {
    /// When the I/O thread is to have it.
    fn due(&self) -> Nanos {
        self.since.plus(MOMENT.min(Nanos(self.ttl.0 / PART)))
    }
}

impl Short {
    pub fn statistics(&self, counters: &Counters) -> Statistics {
        let mut book = self.book.lock();
        book.done.held = book.granted.len() as u64;
        counters.read(&book.done)
    }

    /// From now on this way is gone, unless there is another or the manager has ended; what is left over.
    fn opened(&self, opened: Way) -> Way {
        let mut way = self.way.lock();
        if matches!(*way, Way::Unopened) { std::mem::replace(&mut *way, opened) } else { opened }
    }

    pub(super) fn count(&self, waited: Nanos, stale: u32) {
        let mut book = self.book.lock();
        book.done.acquiring.record(waited);
        book.done.stale_claimed += u64::from(stale);
    }

    pub(super) fn count_pair(&self, held: Nanos) {
        let mut book = self.book.lock();
        book.done.pairs += 1;
        book.done.holding.record(held);
    }

    /// Pairs that are not on the page yet; now they are.
    fn to_be_shown(&self) -> u64 {
        let mut book = self.book.lock();
        let pairs = book.done.pairs;
        pairs - std::mem::replace(&mut book.shown, pairs)
    }

    /// There is no shortcut any more; so many grants later there will be another one.
    pub(super) fn count_anew(&self) {
        self.grants.store(0, Ordering::Relaxed);
    }

    pub(super) fn out(&self, lease: LeaseId) -> Option<Own> {
        self.book.lock().granted.remove(&lease)
    }

    /// Puts it into the book; when the I/O thread must look sooner than it means to, then when.
    pub(super) fn enter(&self, own: Own) -> Option<Nanos> {
        let (due, mut book) = (own.due(), self.book.lock());
        book.granted.insert(own.id, own);
        let is_sooner = book.next_look.is_none_or(|at| due < at);
        is_sooner.then(|| *book.next_look.insert(due))
    }

    /// What is due, and the time of the next look; none when another look has taken the place of this one.
    fn due(&self, at: Nanos) -> Option<(Vec<Own>, Option<Nanos>)> {
        let (now, mut book) = (time::boot_now(), self.book.lock());
        if book.next_look != Some(at) {
            return None;
        }
        let due: Vec<LeaseId> =
            book.granted.values().filter(|own| own.due() <= now).map(|own| own.id).collect();
        let due = due.iter().filter_map(|id| book.granted.remove(id)).collect();
        book.next_look = book.granted.values().map(Own::due).min();
        Some((due, book.next_look))
    }
}

/// A grant of the I/O thread: who asks again and again has a shortcut opened.
pub fn open(client: &Rc<Client>) {
    if client.shared.shortcut.grants.fetch_add(1, Ordering::Relaxed) + 1 != OPENS {
        return;
    }
    let client = client.clone();
    tokio::task::spawn_local(async move {
        let opened = match client.desk.store.shortcut().await {
            Ok(Some(shortcut)) => Way::Open(shortcut, client.desk.waiting.clone()),
            Ok(None) => Way::Closed,
            Err(_) => return client.shared.shortcut.count_anew(),
        };
        let unused = client.shared.shortcut.opened(opened);
        let_go(Unused(unused)).await;
    });
}

/// Nothing is granted at once any more, and what was is kept from now on. The way is to be let go.
pub fn close(client: &Rc<Client>) -> Unused {
    let short = &client.shared.shortcut;
    let way = std::mem::replace(&mut *short.way.lock(), Way::Closed);
    let left: Vec<Own> = short.book.lock().granted.drain().map(|(_, own)| own).collect();
    left.into_iter().for_each(|own| adopt(client, own));
    Unused(way)
}

/// Closes a connection, which may take long.
pub async fn let_go(way: Unused) {
    if matches!(way.0, Way::Open(..)) {
        let _ = tokio::task::spawn_blocking(move || drop(way)).await;
    }
}

/// Takes over what has lain in the book for a while.
pub(super) async fn look(shared: Arc<Shared>, mut at: Nanos) {
    loop {
        tokio::time::sleep(at.since(time::boot_now()).duration()).await;
        let Some((due, next)) = shared.shortcut.due(at) else { return };
        take_over(&shared, due);
        match next {
            Some(next) => at = next,
            None => return,
        }
    }
}

pub(super) fn take_over(shared: &Arc<Shared>, due: Vec<Own>) {
    if let Ok(client) = client_of(shared) {
        let pairs = shared.shortcut.to_be_shown();
        client.desk.sheet.count_all(|counts| &counts.acquisitions, pairs);
        client.desk.sheet.count_all(|counts| &counts.releases, pairs);
        due.into_iter().for_each(|own| adopt(&client, own));
    }
}

fn adopt(client: &Rc<Client>, own: Own) {
    let Own { id, key, nonce, token, sent, since, until, ttl, has_delay, cell, .. } = own;
    let line = client.desk.line(&key);
    let part = Part { line, token, renewed: Cell::new(sent), until: Cell::new(sent.plus(ttl)) };
    let lease = Rc::new(Lease {
        id,
        nonce,
        ttl,
        parts: Few::One(part),
        cell,
        since,
        until,
        has_delay,
        session: None,
        client: client.clone(),
        risk_is_told: Cell::new(false),
        is_stalled: Cell::new(false),
        risk: Cell::new(None),
    });
    // A stale hold that it has taken over was counted at once.
    client.granted(&lease, 0);
    keeper::hold(&client.desk, &lease);
}
