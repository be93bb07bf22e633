//! The layout, in bytes. `docs/formats/table.md` describes it; the asserts at the foot hold it still.
//! All-zero bytes are a valid, empty table, so that fresh memory needs no initialising.

use crate::metrics::histogram::Histogram;
use crate::name::ShortText;
use crate::raw::hold_word::HoldWord;
use crate::raw::seqlock::SeqLock;
use crate::sync::Field;
use crate::table::named::NamedPage;
use crate::table::ring::Ring;

/// "CHAINLK" and a zero, read as a little-endian word.
pub const MAGIC: u64 = u64::from_le_bytes(*b"CHAINLK\0");
/// Changes with every change of the layout or of the meaning of a field.
pub const LAYOUT_VERSION: u64 = 3;

/// Threads that have a row; the rest work all the same and are only not shown.
pub const ROWS: usize = 256;
/// Layers that have a row of their own; the rest are counted together in the last row.
pub const LAYERS: usize = 64;
/// The most history records that can be kept, whatever `historyLimit` asks for.
pub const HISTORY: usize = if SMALL { 8 } else { 1_000 };
/// Recent events of every kind, for subscribers and for onlookers.
pub const EVENTS: usize = if SMALL { 8 } else { 1_024 };
/// Waiters for the send lock that are shown.
pub const LINE: usize = 16;
/// Under loom and shuttle every stamp of a ring is an object to keep track of.
pub(super) const SMALL: bool = cfg!(any(feature = "loom", feature = "shuttle"));

#[repr(C)]
#[derive(Debug, Default)]
pub struct Header {
    pub magic: Field,
    pub layout_version: Field,
    pub pid: Field,
    pub size: Field,
    /// Of the package.
    pub version: TextField,
}

/// One thread that has chainlock loaded: `state` is 0 for a free row, 1 for a live thread.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Row {
    pub state: Field,
    pub generation: Field,
    /// `worker_threads.threadId`; 0 is the main thread.
    pub thread_id: Field,
    pub since: Field,
}

/// A [`ShortText`] in shared memory.
#[repr(C)]
#[derive(Debug, Default)]
pub struct TextField {
    len: Field,
    words: [Field; 8],
}

impl TextField {
    #[inline]
    pub fn set(&self, text: &ShortText) {
        let (len, words) = text.parts();
        self.len.set(len);
        for (field, word) in self.words.iter().zip(words) {
            field.set(*word);
        }
    }

    pub fn get(&self) -> ShortText {
        let mut words = [0; 8];
        for (word, field) in words.iter_mut().zip(&self.words) {
            *word = field.get();
        }
        // What lies behind the text is left over from a longer one.
        let len = self.len.get().min(64);
        for (index, word) in words.iter_mut().enumerate() {
            let kept = (len as usize).saturating_sub(index * 8).min(8);
            *word &= if kept == 8 { u64::MAX } else { (1 << (kept * 8)) - 1 };
        }
        ShortText::from_words(len, words)
    }
}

/// What is counted; reset together by `resetMetrics()`.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Counters {
    pub acquisitions: Field,
    pub releases: Field,
    pub blocked_cooldown: Field,
    pub blocked_held: Field,
    pub blocked_duplicate_message: Field,
    pub refused_unknown_layer: Field,
    pub forced_manual: Field,
    pub forced_timeout: Field,
    pub forced_stale_timeout: Field,
    pub forced_thread_exit: Field,
    pub late_releases: Field,
    pub overdue: Field,
    pub joins: Field,
    pub waits: Field,
    pub wait_timeouts: Field,
    pub wait_aborts: Field,
    pub queue_full: Field,
    /// Taken back from a process that ended; only where processes share the lock.
    pub forced_process_exit: Field,
}

impl Counters {
    pub fn clear(&self) {
        for field in [
            &self.acquisitions,
            &self.releases,
            &self.blocked_cooldown,
            &self.blocked_held,
            &self.blocked_duplicate_message,
            &self.refused_unknown_layer,
            &self.forced_manual,
            &self.forced_timeout,
            &self.forced_stale_timeout,
            &self.forced_thread_exit,
            &self.late_releases,
            &self.overdue,
            &self.joins,
            &self.waits,
            &self.wait_timeouts,
            &self.wait_aborts,
            &self.queue_full,
            &self.forced_process_exit,
        ] {
            field.set(0);
        }
    }
}

/// Per-layer counts.
#[repr(C)]
#[derive(Debug, Default)]
pub struct LayerRow {
    pub name: TextField,
    pub acquisitions: Field,
    pub releases: Field,
    pub blocked: Field,
    pub forced: Field,
}

/// The rules in force, in nanoseconds and codes.
#[repr(C)]
#[derive(Debug, Default)]
pub struct RuleFields {
    pub cooldown: Field,
    pub timeout: Field,
    pub force_after: Field,
    pub dedup_window: Field,
    /// 0 from the acquisition, 1 from the release.
    pub cooldown_from: Field,
    /// 0 report, 1 release.
    pub on_timeout: Field,
    pub history_limit: Field,
    /// 0 the listed layers, 1 any layer.
    pub any_layer: Field,
}

/// One of those who wait for the send lock.
#[repr(C)]
#[derive(Debug, Default)]
pub struct LineRow {
    /// The layer's row in `layers`.
    pub layer_row: Field,
    /// The process and the thread's row, as the holder's.
    pub pid: Field,
    pub thread_row: Field,
    pub thread_id: Field,
    pub since: Field,
    /// The largest number for none.
    pub deadline: Field,
}

/// One send lock.
#[repr(C)]
#[derive(Debug, Default)]
pub struct SendPage {
    pub sequence: SeqLock,
    pub word: HoldWord,
    pub holder_layer: TextField,
    pub holder_row: Field,
    pub holder_thread: Field,
    pub held_since: Field,
    pub last_acquired: Field,
    pub last_ended: Field,
    pub waiters: Field,
    pub rules: RuleFields,
    pub counters: Counters,
    pub layer_count: Field,
    pub layers: LayerRows,
    pub wait_times: Histogram,
    pub hold_times: Histogram,
    pub history: Ring<HISTORY>,
    pub events: Ring<EVENTS>,
    /// The first of those who wait, in order.
    pub line: [LineRow; LINE],
    /// The process of the present hold, or of the last one.
    pub holder_pid: Field,
}

/// A send lock that processes share, as it lies in their file.
#[repr(C)]
#[derive(Debug, Default)]
pub struct HostPage {
    /// Not 0 while an operation is under way: who finds it so comes after one that died in the middle.
    pub intent: Field,
    pub send: SendPage,
}

/// The layer rows; a type of its own only because `Default` stops at 32 elements.
#[repr(transparent)]
#[derive(Debug)]
pub struct LayerRows(pub [LayerRow; LAYERS]);

impl Default for LayerRows {
    fn default() -> Self {
        Self(std::array::from_fn(|_| LayerRow::default()))
    }
}

/// The whole table.
#[repr(C)]
#[derive(Debug)]
pub struct Table {
    pub header: Header,
    pub rows: [Row; ROWS],
    pub send: SendPage,
    pub named: NamedPage,
}

#[cfg(not(any(feature = "loom", feature = "shuttle")))]
const _: () = {
    use crate::table::named::{ClaimRow, LockState};
    use std::mem::{align_of, offset_of, size_of};
    assert!(size_of::<Header>() == 104);
    assert!(size_of::<Row>() == 32);
    assert!(size_of::<TextField>() == 72);
    assert!(size_of::<LayerRow>() == 104);
    assert!(offset_of!(Table, rows) == 104);
    assert!(offset_of!(Table, send) == 104 + 32 * ROWS);
    assert!(align_of::<Table>() == 8);
    assert!(size_of::<LockState>() == 232);
    assert!(size_of::<ClaimRow>() == 216);
    assert!(size_of::<Table>() < 24 << 20, "what is never touched costs nothing");
    assert!(size_of::<SendPage>() < 1 << 20, "an independent one lies on the heap");
};
