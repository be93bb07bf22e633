//! One key, as this process knows it: the last record that was seen, whose turn it is to write, who waits here, and
//! what of ours lies in the record.

use crate::lease::desk::watch::Watching;
use crate::lease::keeper::DutyKey;
use crate::lease::keeper::lease::{Lease, Place};
use crate::lease::record::{Nonce, Record, Strange};
use crate::lease::rules::Ask;
use crate::lease::store::{Key, Seen, StoreError, Version};
use crate::time::Nanos;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tokio::sync::{Mutex, MutexGuard, Notify};

/// A record that was seen, or written by us.
#[derive(Clone, Debug)]
pub struct Known {
    pub version: Version,
    pub base: u64,
    pub at: u64,
    /// The store's clock has come to this at least.
    pub now: u64,
    pub record: Rc<Record>,
    /// Sessions that had ended; none when that was not asked.
    pub gone: Option<Vec<String>>,
    /// Those of which the store has said so unasked: what comes with a hint counts until somebody asks.
    pub ended: Vec<String>,
    /// When it came, on our clock.
    pub heard: Nanos,
}

impl Known {
    /// What a key that was never seen is taken for.
    pub fn absent(heard: Nanos) -> Known {
        Known::of(Seen::absent(0), Record::default(), heard)
    }

    fn of(seen: Seen, record: Record, heard: Nanos) -> Known {
        let Seen { version, base, at, now, gone: ended, .. } = seen;
        Known { version, base, at, now, record: Rc::new(record), gone: None, ended, heard }
    }

    pub fn read(seen: Seen, heard: Nanos) -> Result<Known, StoreError> {
        if seen.version == Version::Absent {
            return Ok(Known::of(seen, Record::default(), heard));
        }
        let record = Record::read(&seen.body, seen.at).map_err(|strange| match strange {
            Strange::Foreign(why) => StoreError::Foreign(why),
            Strange::Newer(version) => {
                StoreError::Newer(format!("the record has format {version}, this chainlock knows 1"))
            }
        })?;
        Ok(Known::of(seen, record, heard))
    }
}

/// A request that waits for this key.
#[derive(Debug)]
pub struct Waiter {
    pub ask: RefCell<Ask>,
    /// When the first write that may grant it left.
    pub sent: Cell<Option<Nanos>>,
    /// When the first write left that may have put it in line, as long as none has been answered.
    pub stood: Cell<Option<Nanos>>,
}

/// What of ours lies in a record and must be kept alive.
#[derive(Clone, Debug)]
pub enum Kept {
    Hold(Rc<Lease>),
    Place(Rc<Place>),
}

impl Kept {
    pub fn nonce(&self) -> &Nonce {
        match self {
            Kept::Hold(lease) => &lease.nonce,
            Kept::Place(place) => &place.nonce,
        }
    }
}

#[derive(Debug)]
pub struct Line {
    pub key: Key,
    turn: Mutex<()>,
    known: RefCell<Option<Known>>,
    /// Something has changed, and nobody has said what.
    doubt: Cell<bool>,
    seq: Cell<u64>,
    changed: Notify,
    pub waiting: RefCell<Vec<Rc<Waiter>>>,
    pub kept: RefCell<Vec<Kept>>,
    /// When `kept` is to be renewed; none when nothing is.
    pub due: Cell<Option<DutyKey>>,
    pub watching: Watching,
    /// For throwing away what nobody has used for long.
    pub used: Cell<u64>,
}

impl Line {
    pub fn new(key: Key) -> Line {
        Line {
            key,
            turn: Mutex::new(()),
            known: RefCell::new(None),
            doubt: Cell::new(false),
            seq: Cell::new(0),
            changed: Notify::new(),
            waiting: RefCell::default(),
            kept: RefCell::default(),
            due: Cell::new(None),
            watching: Watching::default(),
            used: Cell::new(0),
        }
    }

    /// Who writes; in the order of asking.
    pub async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    pub fn free_turn(&self) -> Option<MutexGuard<'_, ()>> {
        self.turn.try_lock().ok()
    }

    /// The last record, unless something has changed since.
    pub fn known(&self) -> Option<Known> {
        if self.doubt.get() { None } else { self.known.borrow().clone() }
    }

    /// Also when something has changed since: for messages.
    pub fn last_known(&self) -> Option<Known> {
        self.known.borrow().clone()
    }

    pub fn learn(&self, known: Known) {
        let is_news = self.known.borrow().as_ref().is_none_or(|old| old.version != known.version);
        self.doubt.set(false);
        *self.known.borrow_mut() = Some(known);
        if is_news {
            self.tell();
        }
    }

    /// What we have written ourselves: somebody may have written on top of it meanwhile, and told us sooner.
    pub fn learn_own(&self, known: Known) {
        if !self.knows_newer(&known.version) {
            self.learn(known);
        }
    }

    pub fn knows_newer(&self, version: &Version) -> bool {
        let known = self.known.borrow();
        match (known.as_ref().map(|known| &known.version), version) {
            (Some(Version::Number(known)), Version::Number(other)) => known > other,
            _ => false,
        }
    }

    /// Nothing is certain any more.
    pub fn forget(&self) {
        self.doubt.set(true);
        self.tell();
    }

    pub fn is_in_doubt(&self) -> bool {
        self.doubt.get()
    }

    fn tell(&self) {
        self.seq.set(self.seq.get() + 1);
        self.changed.notify_waiters();
    }

    pub fn seq(&self) -> u64 {
        self.seq.get()
    }

    /// Until something is learnt after `seq`.
    pub async fn after(&self, seq: u64) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.seq.get() != seq {
                return;
            }
            changed.await;
        }
    }

    pub fn drop_kept(&self, nonce: &Nonce) {
        self.kept.borrow_mut().retain(|kept| kept.nonce() != nonce);
    }

    pub fn drop_waiter(&self, waiter: &Rc<Waiter>) {
        self.waiting.borrow_mut().retain(|other| !Rc::ptr_eq(other, waiter));
    }

    pub fn is_idle(&self) -> bool {
        self.kept.borrow().is_empty() && self.waiting.borrow().is_empty() && self.turn.try_lock().is_ok()
    }
}
