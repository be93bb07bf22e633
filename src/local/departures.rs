//! The threads that have chainlock loaded, and their leaving. A thread is a row; a row is named by place
//! and generation, so that what a gone thread held is never taken for a newcomer's.

use crate::sync::Mutex;
use crate::sys::process;
use crate::table::layout::{ROWS, Row};
use crate::time::Nanos;
use once_cell::sync::Lazy;
use std::hash::{BuildHasher, RandomState};

/// Names one thread, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowId {
    pub place: u32,
    pub generation: u32,
    pub process: ProcessId,
}

/// Names one process among those that share a lock, for good: its pid, and a random number, because pids come
/// again and two namespaces have the same ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessId(pub u64);

static THIS_PROCESS: Lazy<ProcessId> = Lazy::new(|| {
    let random = RandomState::new().hash_one(std::process::id());
    ProcessId(random << 32 | u64::from(std::process::id()))
});

impl ProcessId {
    pub fn this() -> Self {
        *THIS_PROCESS
    }

    pub fn pid(self) -> u32 {
        self.0 as u32
    }
}

impl RowId {
    /// A thread of this process.
    pub fn here(place: u32, generation: u32) -> Self {
        Self { place, generation, process: ProcessId::this() }
    }

    /// As one word for the table.
    pub fn to_word(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.place)
    }
}

/// Who calls: the thread, and where to tell it something later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub row: RowId,
    pub thread_id: u64,
    pub mailbox: u64,
}

const FREE: u64 = 0;
pub const LIVE: u64 = 1;

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    live: bool,
}

/// All rows of the process. The first [`ROWS`] are shown in the table; more work, unseen.
#[derive(Debug)]
pub struct Rows {
    slots: Mutex<Vec<Slot>>,
    shown: &'static [Row; ROWS],
}

impl Rows {
    pub fn new(shown: &'static [Row; ROWS]) -> Self {
        Self { slots: Mutex::new(Vec::new()), shown }
    }

    /// A thread arrives.
    pub fn arrive(&self, thread_id: u64, now: Nanos) -> RowId {
        let mut slots = self.slots.lock();
        let place = slots.iter().position(|slot| !slot.live).unwrap_or_else(|| {
            slots.push(Slot::default());
            slots.len() - 1
        });
        let slot = &mut slots[place];
        slot.live = true;
        slot.generation += 1;
        let id = RowId::here(place as u32, slot.generation);
        if let Some(row) = self.shown.get(place) {
            row.generation.set(u64::from(id.generation));
            row.thread_id.set(thread_id);
            row.since.set(now.0);
            row.native_id.set(process::thread_number());
            row.busy_since.set(Nanos::NEVER.0);
            row.state.set(LIVE);
        }
        id
    }

    /// The shown threads that live.
    pub fn live_rows(&self) -> impl Iterator<Item = &'static Row> + use<> {
        self.shown.iter().filter(|row| row.state.get() == LIVE)
    }

    /// Where a thread is shown, if it is.
    pub fn shown(&self, id: RowId) -> Option<&'static Row> {
        self.shown.get(id.place as usize)
    }

    /// A thread has left; false when it had left before.
    pub fn leave(&self, id: RowId) -> bool {
        let mut slots = self.slots.lock();
        match slots.get_mut(id.place as usize) {
            Some(slot) if slot.live && slot.generation == id.generation => slot.live = false,
            _ => return false,
        }
        if let Some(row) = self.shown.get(id.place as usize) {
            row.state.set(FREE);
        }
        true
    }

    pub fn live(&self) -> usize {
        self.slots.lock().iter().filter(|slot| slot.live).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_place_is_another_row() {
        let rows = Rows::new(Box::leak(Box::new(std::array::from_fn(|_| Row::default()))));
        let first = rows.arrive(1, Nanos(1));
        assert!(rows.leave(first));
        assert!(!rows.leave(first), "leaving twice is leaving once");
        let second = rows.arrive(2, Nanos(2));
        assert_eq!(first.place, second.place);
        assert_ne!(first, second);
        assert!(!rows.leave(first), "the first one's leaving does not touch the second");
        assert_eq!(rows.live(), 1);
    }

    #[test]
    fn more_threads_than_rows() {
        let rows = Rows::new(Box::leak(Box::new(std::array::from_fn(|_| Row::default()))));
        let ids: Vec<RowId> = (0..ROWS as u64 + 10).map(|n| rows.arrive(n, Nanos(n))).collect();
        assert!(ids.into_iter().all(|id| rows.leave(id)));
    }
}
