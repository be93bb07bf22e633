//! One resource: a read/write lock or a semaphore. Both are one thing, a capacity of which holds use
//! units: a shared hold of a read/write lock uses one, an exclusive hold all of them. So there is one rule:
//! the first in the queue is granted when its units are free, and nobody goes past it.

use crate::local::claim::{ALL, Rank};
use crate::local::shown::Slot;
use crate::local::statistics::Statistics;
use crate::recorder::texts::Kept;
use crate::sync::Arc;
use std::collections::{BTreeMap, VecDeque};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    ReadWrite,
    Semaphore,
}

/// What a resource has as long as somebody holds it, waits for it, or its statistics are kept.
#[derive(Debug)]
pub struct Resource {
    pub capacity: u64,
    /// Units that holds use. May exceed the capacity after it was made smaller.
    pub used: u64,
    /// The places of the holds, in the order of their grants, which is that of their tokens.
    pub holds: VecDeque<u32>,
    /// The places of those who wait, in the order in which they are served.
    pub queue: BTreeMap<Rank, u32>,
    /// How many of them want several resources.
    pub many: usize,
    pub statistics: Statistics,
    /// The token of the last grant.
    pub last_token: u64,
    /// Where the table shows it.
    pub slot: Option<Slot>,
    /// Whether the present step has changed what is shown of it.
    pub is_changed: bool,
    /// How busy it was lately: decides whose statistics are kept.
    pub heat: u32,
    /// Where it stands among the kept ones.
    pub kept: Option<u32>,
    pub(super) name: Option<Arc<[u16]>>,
    pub(super) kind: Kind,
    /// Its name in the recorder.
    pub(super) recorded: Kept,
}

impl Resource {
    pub fn new(kind: Kind, name: Option<Arc<[u16]>>, capacity: u64, slot: Option<Slot>) -> Self {
        let statistics = slot.as_ref().map(|slot| Statistics::in_table(slot.figures()));
        Self {
            capacity,
            used: 0,
            holds: VecDeque::new(),
            queue: BTreeMap::new(),
            many: 0,
            statistics: statistics.unwrap_or_default(),
            last_token: 0,
            slot,
            is_changed: false,
            heat: 0,
            kept: None,
            name,
            kind,
            recorded: Kept::default(),
        }
    }

    pub fn is_free(&self) -> bool {
        self.holds.is_empty() && self.queue.is_empty()
    }

    #[inline]
    pub fn fits(&self, units: u64) -> bool {
        self.used.saturating_add(units) <= self.capacity
    }

    #[inline]
    pub fn take(&mut self, slot: u32, units: u64, token: u64) {
        self.used += units;
        self.last_token = token;
        self.holds.push_back(slot);
        self.heat = self.heat.saturating_add(1);
    }

    #[inline]
    pub fn give_back(&mut self, slot: u32, units: u64, is_older: impl Fn(u32) -> bool) {
        self.used -= units;
        // The last and the first are the likeliest: holds are nested, or wander from one to the next.
        if self.holds.back() == Some(&slot) {
            self.holds.pop_back();
        } else if self.holds.front() == Some(&slot) {
            self.holds.pop_front();
        } else {
            self.give_back_between(slot, is_older);
        }
    }

    fn give_back_between(&mut self, slot: u32, is_older: impl Fn(u32) -> bool) {
        let at = self.holds.partition_point(|&hold| hold != slot && is_older(hold));
        if self.holds.get(at) == Some(&slot) {
            self.holds.remove(at);
        }
    }

    pub fn is_exclusive(&self) -> bool {
        self.capacity == ALL && self.used == ALL
    }

    /// The first of those who wait.
    #[inline]
    pub fn first(&self) -> Option<u32> {
        self.queue.first_key_value().map(|(_, &slot)| slot)
    }
}
