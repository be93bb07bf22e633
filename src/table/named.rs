//! The layout of what the table shows of the named locks and semaphores (`docs/formats/table.md`). The book of
//! the named locks has its own, larger truth; this is what it publishes of it (`local::shown`).
//!
//! A lock has a slot: its name, its state in a few versions of which the newest counts, and its statistics,
//! which are counted nowhere else. Its first holders and those who wait behind them stand in the state itself,
//! so that they belong together. Who is one of many, or has something to tell besides, has a row of its own.

use crate::metrics::timing::Timing;
use crate::raw::seqlock::SeqLock;
use crate::raw::versions::Versions;
use crate::sync::Field;
use crate::table::layout::{EVENTS, SMALL, TextField};
use crate::table::ring::{Code, Ring};

/// Locks that are shown; more work all the same.
pub const SLOTS: usize = if SMALL { 4 } else { 4_096 };
/// Requests and holds that may have a row.
pub const CLAIMS: usize = if SMALL { 16 } else { 16_384 };
/// Copies of a lock's state: so many changes may fall into somebody's reading of it, less two.
pub const VERSIONS: usize = 4;
/// Holders, and behind them waiters, that stand in the state itself.
pub const FIRST: usize = 4;
/// Locks that a row names.
pub const PARTS: usize = 4;
/// Words of a name.
const NAME_WORDS: usize = 23;
/// The most bytes of a name that are shown.
pub const NAME_BYTES: usize = NAME_WORDS * 8;

/// Stands for "in no slot".
pub const NO_SLOT: u32 = u32::MAX;

/// A longer text in shared memory: UTF-8, as its maker wrote it.
#[repr(C)]
#[derive(Debug, Default)]
pub struct NameField {
    /// Bytes of the whole text; those that lie here are at most [`NAME_BYTES`].
    len: Field,
    words: [Field; NAME_WORDS],
}

impl NameField {
    pub fn set(&self, text: &str) {
        let mut end = text.len().min(NAME_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.len.set(text.len() as u64);
        let mut chunks = text.as_bytes()[..end].chunks(8);
        for field in &self.words {
            let Some(chunk) = chunks.next() else { break };
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            field.set(u64::from_le_bytes(bytes));
        }
        // A text that ends before the room does is closed, for who cannot know where it was cut.
        if let Some(field) = self.words.get(end.div_ceil(8)) {
            field.set(0);
        }
    }

    /// What lies here, and whether that is less than the whole text. Not cleaned.
    pub fn get(&self) -> (String, bool) {
        let len = self.len.get();
        let mut bytes = [0; NAME_BYTES];
        let shown = (len as usize).min(NAME_BYTES);
        for (chunk, field) in bytes.chunks_exact_mut(8).zip(&self.words).take(shown.div_ceil(8)) {
            chunk.copy_from_slice(&field.get().to_le_bytes());
        }
        let cut = len > NAME_BYTES as u64;
        let shown = &bytes[..shown];
        // A cut text ends with the zeroes that its last character had no room for.
        let end = if cut {
            shown.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
        } else {
            shown.len()
        };
        (String::from_utf8_lossy(&shown[..end]).into_owned(), cut)
    }
}

/// A holder, or a waiter behind the holders, in a lock's state.
#[repr(C)]
#[derive(Debug, Default)]
pub struct FirstPlace {
    /// What it asks for: 0 exclusive, otherwise that many units; bit 32 marks a hold.
    pub what: Field,
    /// Its thread's row: place in the low 32 bits, generation in the high ones.
    pub thread_row: Field,
    pub thread_id: Field,
    /// The token of a hold, the arrival of a waiter.
    pub number: Field,
    pub since: Field,
    /// Its row among the claims; rows that are not written say so themselves.
    pub claim: Field,
}

/// Marks a hold in [`FirstPlace::what`].
pub const IS_HOLD: u64 = 1 << 32;

/// Everything that changes when a lock changes hands.
#[repr(C)]
#[derive(Debug, Default)]
pub struct LockState {
    /// Units that there are; 2³² − 1 for a read/write lock.
    pub capacity: Field,
    /// Units in use: all of them under an exclusive hold.
    pub used: Field,
    pub holders: Field,
    pub waiters: Field,
    /// The token of the last grant.
    pub last_token: Field,
    /// The first holders, in the order of their grants, then the first waiters, in the order of the queue.
    pub first: [FirstPlace; FIRST],
}

/// What is counted of one mode.
#[repr(C)]
#[derive(Debug, Default)]
pub struct ModeStatistics {
    pub acquisitions: Field,
    pub releases: Field,
    pub timeouts: Field,
    pub errors: Field,
    pub aborts: Field,
    pub steals: Field,
    pub forced: Field,
    pub deaths: Field,
    pub deadlocks: Field,
    pub contended: Field,
    pub wait: Timing,
    pub hold: Timing,
}

impl ModeStatistics {
    fn counts(&self) -> [&Field; 10] {
        [
            &self.acquisitions,
            &self.releases,
            &self.timeouts,
            &self.errors,
            &self.aborts,
            &self.steals,
            &self.forced,
            &self.deaths,
            &self.deadlocks,
            &self.contended,
        ]
    }

    pub fn clear(&self) {
        self.counts().iter().for_each(|field| field.set(0));
        self.wait.clear();
        self.hold.clear();
    }

    pub fn copy_from(&self, other: &ModeStatistics) {
        self.counts().iter().zip(other.counts()).for_each(|(field, from)| field.set(from.get()));
        self.wait.copy_from(&other.wait);
        self.hold.copy_from(&other.hold);
    }
}

/// One lock.
#[repr(C)]
#[derive(Debug, Default)]
pub struct LockSlot {
    /// Odd while the slot gets another lock.
    pub identity: SeqLock,
    /// 0 free, 1 a read/write lock, 2 a semaphore.
    pub kind: Field,
    /// 0 for one that only its handle knows.
    pub has_name: Field,
    pub name: NameField,
    pub newest: Versions<VERSIONS>,
    pub states: [LockState; VERSIONS],
    /// Of exclusive holds, then of shared ones.
    pub modes: [ModeStatistics; 2],
}

/// A request or a hold that is one of several, or has more to tell than a place in a state has room for.
#[repr(C)]
#[derive(Debug, Default)]
pub struct ClaimRow {
    pub sequence: SeqLock,
    /// 0 free, 1 waiting, 2 held, 3 waiting for the send lock.
    pub state: Field,
    /// The locks that it is for, at most [`PARTS`] of them.
    pub parts: Field,
    /// Each with its slot in the low 32 bits (all ones: in none), and what it asks for in the high ones.
    pub part: [Field; PARTS],
    pub thread_row: Field,
    pub thread_id: Field,
    /// Of a hold; 0 for a waiter.
    pub token: Field,
    /// When it came among all requests of the process.
    pub arrival: Field,
    pub since: Field,
    /// The largest number for none.
    pub deadline: Field,
    /// A signed number; the larger is served first.
    pub priority: Field,
    /// Who was let past a request of the same rank stands before it: the smaller first.
    pub let_past: Field,
    /// The token of the hold that wants to become exclusive; 0 for none.
    pub upgrades: Field,
    /// The innermost two holds inside of which it was made, by token; negative is the send lock's; 0 for none.
    pub inside: [Field; 2],
    pub label: TextField,
}

/// All that is shown of the named locks.
#[repr(C)]
#[derive(Debug)]
pub struct NamedPage {
    /// Slots that were ever used: nobody needs to look behind them.
    pub slots_end: Field,
    pub slots_used: Field,
    /// Locks that had to do without a slot, at present.
    pub unshown: Field,
    /// The same of the rows of claims.
    pub claims_end: Field,
    pub claims_used: Field,
    pub claims_unshown: Field,
    /// Deadlocks found, and inversions of the order of locks.
    pub deadlocks: Field,
    pub order_inversions: Field,
    pub locks: [LockSlot; SLOTS],
    pub claims: [ClaimRow; CLAIMS],
    /// What was contended, slow or out of order.
    pub events: Ring<EVENTS>,
}

/// What happened to a named lock. A pair that nobody waited for leaves no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Event {
    /// Granted after a wait.
    Acquired = 1,
    /// Taken away on somebody's order.
    Forced = 7,
    /// Taken back from a thread that ended.
    Recovered = 8,
    /// Began to wait.
    Waiting = 9,
    TimedOut = 10,
    Aborted = 11,
    /// Taken away by a request that asked so.
    Stolen = 12,
    /// Refused, because the wait would have been for ever.
    Deadlock = 13,
    /// Asked for against the order of locks.
    Order = 14,
    /// Released after its callback had thrown.
    Failed = 15,
    Downgraded = 16,
    Upgraded = 17,
}

impl Code for Event {
    const ALL: &'static [Self] = {
        use Event::*;
        &[
            Acquired, Forced, Recovered, Waiting, TimedOut, Aborted, Stolen, Deadlock, Order, Failed,
            Downgraded, Upgraded,
        ]
    };

    fn code(self) -> u64 {
        self as u64
    }
}

/// The number that stands for a slot where an event names a layer's row.
pub fn event_row(slot: u32) -> u64 {
    FIRST_LOCK_ROW + u64::from(slot)
}

/// The slot of an event.
pub fn slot_of(event_row: u64) -> Option<u32> {
    event_row.checked_sub(FIRST_LOCK_ROW).and_then(|slot| u32::try_from(slot).ok())
}

/// Behind the rows of the send lock's layers, whose names are there for good.
const FIRST_LOCK_ROW: u64 = crate::table::layout::LAYERS as u64;
