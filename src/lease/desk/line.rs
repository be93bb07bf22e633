//! One key, as this process knows it: the last record that was seen, whose turn it is to write, who waits here, and
//! what of ours lies in the record.

use crate::lease::desk::rest::Rest;
use crate::lease::desk::watch::Watching;
use crate::lease::few::Few;
use crate::lease::keeper::DutyKey;
use crate::lease::keeper::lease::{Lease, Place};
use crate::lease::record::{Nonce, Record, Strange};
use crate::lease::rules::Ask;
use crate::lease::store::{Key, Seen, StoreError, Version};
use crate::time::Nanos;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::task::AbortHandle;

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

    /// A token of its record as users see it.
    pub fn told(&self, token: u64) -> u64 {
        self.record.told(token, self.base)
    }

    pub fn read(seen: Seen, heard: Nanos) -> Result<Known, StoreError> {
        if seen.version == Version::Absent {
            return Ok(Known::of(seen, Record::default(), heard));
        }
        let mut record = Record::read(&seen.body, seen.at).map_err(|strange| match strange {
            Strange::Foreign(why) => StoreError::Foreign(why),
            Strange::Newer(version) => {
                StoreError::Newer(format!("the record has format {version}, this chainlock knows 1"))
            }
        })?;
        record.counts.settle(seen.base);
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

/// The last record.
#[derive(Debug)]
enum Memory {
    Nothing,
    All(Box<Known>),
    Rest(Rest),
}

impl Memory {
    fn version(&self) -> Option<Version> {
        match self {
            Memory::Nothing => None,
            Memory::All(known) => Some(known.version.clone()),
            Memory::Rest(rest) => Some(rest.version()),
        }
    }

    fn known(&self) -> Option<Known> {
        match self {
            Memory::Nothing => None,
            Memory::All(known) => Some(Known::clone(known)),
            Memory::Rest(rest) => Some(rest.known()),
        }
    }
}

/// Of a key that somebody waits for here, or has.
#[derive(Debug, Default)]
struct Crowd {
    changed: Notify,
    waiting: RefCell<Few<Rc<Waiter>>>,
    watching: Watching,
}

/// Small when nothing is going on: thousands may be held.
#[derive(Debug)]
pub struct Line {
    pub key: Key,
    turn: Mutex<()>,
    known: RefCell<Memory>,
    /// Something has changed, and nobody has said what.
    doubt: Cell<bool>,
    seq: Cell<u32>,
    crowd: OnceCell<Box<Crowd>>,
    pub kept: RefCell<Few<Kept>>,
    /// When `kept` is to be renewed; none when nothing is.
    pub due: Cell<Option<DutyKey>>,
    /// For throwing away what nobody has used for long.
    pub used: Cell<u64>,
}

impl Line {
    pub fn new(key: Key) -> Line {
        Line {
            key,
            turn: Mutex::new(()),
            known: RefCell::new(Memory::Nothing),
            doubt: Cell::new(false),
            seq: Cell::new(0),
            crowd: OnceCell::new(),
            kept: RefCell::default(),
            due: Cell::new(None),
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
        if self.doubt.get() { None } else { self.last_known() }
    }

    /// Also when something has changed since: for messages.
    pub fn last_known(&self) -> Option<Known> {
        self.known.borrow().known()
    }

    pub fn learn(&self, known: Known) {
        let is_news = self.known.borrow().version().as_ref() != Some(&known.version);
        self.doubt.set(false);
        *self.known.borrow_mut() = Memory::All(Box::new(known));
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
        match (self.known.borrow().version(), version) {
            (Some(Version::Number(known)), Version::Number(other)) => known > *other,
            _ => false,
        }
    }

    /// The lease is all that lies in the record, mostly: then less is kept of it.
    pub fn rest(&self, lease: &Rc<Lease>) {
        let mut known = self.known.borrow_mut();
        if !lease.cell.is_over()
            && let Memory::All(all) = &*known
            && let Some(rest) = Rest::of(all, lease)
        {
            *known = Memory::Rest(rest);
        }
    }

    /// No lease may be kept by what is known.
    pub fn wake(&self) {
        let mut known = self.known.borrow_mut();
        if let Memory::Rest(rest) = &*known {
            *known = Memory::All(Box::new(rest.known()));
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
        self.seq.set(self.seq.get().wrapping_add(1));
        if let Some(crowd) = self.crowd.get() {
            crowd.changed.notify_waiters();
        }
    }

    pub fn seq(&self) -> u32 {
        self.seq.get()
    }

    /// Until something is learnt after `seq`.
    pub async fn after(&self, seq: u32) {
        let crowd = self.crowd();
        loop {
            let changed = crowd.changed.notified();
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

    fn crowd(&self) -> &Crowd {
        self.crowd.get_or_init(Box::default)
    }

    /// Those who wait here, in the order in which they came.
    pub fn waiters(&self) -> Vec<Rc<Waiter>> {
        self.crowd.get().map_or_else(Vec::new, |crowd| crowd.waiting.borrow().to_vec())
    }

    pub fn is_waited_for(&self) -> bool {
        self.crowd.get().is_some_and(|crowd| !crowd.waiting.borrow().is_empty())
    }

    /// Whether it did not wait yet.
    pub fn add_waiter(&self, waiter: &Rc<Waiter>) -> bool {
        let mut waiting = self.crowd().waiting.borrow_mut();
        let is_new = !waiting.iter().any(|other| Rc::ptr_eq(other, waiter));
        if is_new {
            waiting.push(waiter.clone());
        }
        is_new
    }

    /// Whether it has waited.
    pub fn drop_waiter(&self, waiter: &Rc<Waiter>) -> bool {
        let Some(crowd) = self.crowd.get() else { return false };
        let mut waiting = crowd.waiting.borrow_mut();
        let before = waiting.len();
        waiting.retain(|other| !Rc::ptr_eq(other, waiter));
        waiting.len() < before
    }

    pub fn is_watched(&self) -> bool {
        self.crowd.get().is_some_and(|crowd| crowd.watching.is_on())
    }

    /// How it is watched from now on.
    pub fn watched_by(&self, task: AbortHandle) {
        self.crowd().watching.set(task);
    }

    pub fn stop_watching(&self) {
        if let Some(crowd) = self.crowd.get() {
            crowd.watching.stop();
        }
    }

    pub fn is_idle(&self) -> bool {
        self.kept.borrow().is_empty() && !self.is_waited_for() && self.turn.try_lock().is_ok()
    }
}
