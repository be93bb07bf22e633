//! The layout, in bytes. `docs/formats/table.md` describes it; the asserts at the foot hold it still.
//! All-zero bytes are a valid, empty table, so that fresh memory needs no initialising.

use crate::metrics::histogram::Histogram;
use crate::name::{ShortText, clean};
use crate::raw::hold_word::HoldWord;
use crate::raw::seqlock::SeqLock;
use crate::sync::Field;
use crate::table::named::NamedPage;
use crate::table::ring::Ring;
use crate::time::Nanos;

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
    /// 1: the process shares its send lock with others. It lies in their file then, and `send` here is idle.
    pub shares_send: Field,
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
    /// The system's number of the thread; 0 for unknown.
    pub native_id: Field,
    /// The instant from which its event loop is overdue. In the past: the loop has not turned since. In the future:
    /// it polls, and a timer ends that by then. 0: it polls without a timer, or nobody knows.
    pub busy_since: Field,
}

impl Row {
    /// How long the event loop has not turned, if that is known.
    pub fn silent_for(&self, now: Nanos) -> Option<Nanos> {
        let since = Nanos(self.busy_since.get());
        (since != Nanos::NEVER && since < now).then(|| now.since(since))
    }
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

/// The journal, as far as an onlooker wants to know: written by the thread that writes the journal.
#[repr(C)]
#[derive(Debug)]
pub struct JournalPage {
    /// 0 none, 1 open.
    pub open: Field,
    pub path_len: Field,
    pub path: [Field; PATH_WORDS],
    /// Events that were noted and are not in the file, when the thread last looked.
    pub pending: Field,
    pub written: Field,
    pub dropped: Field,
    pub last_written_at: Field,
    pub last_event_at: Field,
}

/// Words of the journal's path: what is longer is cut.
pub const PATH_WORDS: usize = 25;

impl Default for JournalPage {
    fn default() -> Self {
        Self {
            open: Field::default(),
            path_len: Field::default(),
            path: std::array::from_fn(|_| Field::default()),
            pending: Field::default(),
            written: Field::default(),
            dropped: Field::default(),
            last_written_at: Field::default(),
            last_event_at: Field::default(),
        }
    }
}

impl JournalPage {
    pub fn set_path(&self, path: &str) {
        let mut end = path.len().min(PATH_WORDS * 8);
        while !path.is_char_boundary(end) {
            end -= 1;
        }
        for (field, bytes) in self.path.iter().zip(path.as_bytes()[..end].chunks(8)) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            field.set(u64::from_le_bytes(word));
        }
        self.path_len.set(end as u64);
    }

    /// The path, from words that somebody else may have written.
    pub fn path(&self) -> String {
        let bytes: Vec<u8> = self.path.iter().flat_map(|field| field.get().to_le_bytes()).collect();
        let len = (self.path_len.get() as usize).min(bytes.len());
        clean(&String::from_utf8_lossy(&bytes[..len])).into_owned()
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
    pub journal: JournalPage,
}

#[cfg(not(any(feature = "loom", feature = "shuttle")))]
const _: () = {
    use crate::table::named::{ClaimRow, LockState};
    use std::mem::{align_of, offset_of, size_of};
    assert!(size_of::<Header>() == 112);
    assert!(size_of::<Row>() == 48);
    assert!(size_of::<TextField>() == 72);
    assert!(size_of::<LayerRow>() == 104);
    assert!(offset_of!(Table, rows) == 112);
    assert!(offset_of!(Table, send) == 112 + 48 * ROWS);
    assert!(align_of::<Table>() == 8);
    assert!(size_of::<LockState>() == 232);
    assert!(size_of::<ClaimRow>() == 216);
    assert!(size_of::<Table>() < 24 << 20, "what is never touched costs nothing");
    assert!(size_of::<SendPage>() < 1 << 20, "an independent one lies on the heap");
};
