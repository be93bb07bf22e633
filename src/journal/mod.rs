//! The journal: what the recorder has, in an SQLite file that outlives the process.
//!
//! # Policy
//! * Use: [`open`], once per process; whoever opens the same file again shares it. [`reader::Reader`] for everybody
//!   who only looks, also from another process.
//! * Promised: no lock waits for the disk. What was noted is in the file a moment later (`flush`), in whole
//!   transactions: after the death of its process, the file has a beginning of that process's events, without gaps;
//!   what is missing is of the last moment. A file that is not ours, damaged or too new is left as it is.
//! * Several processes write one file; SQLite orders their transactions.
//! * Not promised: anything that the ring could not take, which is counted and told; one order over processes beyond
//!   that of their clocks; that a loss of power takes nothing (`synchronous = NORMAL`).
//!
//! Two threads: `chainlock-journal` writes, `chainlock-upkeep` makes checkpoints and removes old rows.

pub mod fault;
pub mod reader;
pub mod row;
pub mod schema;
mod upkeep;
mod writer;

use crate::recorder::{self, Recorder};
use crate::sync::{Arc, Mutex, Ordering, StaticU64};
use crate::sys::process;
use crate::table::layout::JournalPage;
use crate::time::{self, Nanos};
use fault::Fault;
use once_cell::sync::Lazy;
use row::Author;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use writer::Writer;

/// How a journal is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub max_rows: u64,
    pub max_age: Nanos,
    /// A bit for each kind of event that is written down.
    pub kinds: u64,
    /// How long events are gathered before they are written together.
    pub flush: Nanos,
}

/// A journal that this process writes.
#[derive(Debug)]
pub struct Journal {
    pub path: PathBuf,
    settings: Settings,
    recorder: Arc<Recorder>,
    shared: Arc<Shared>,
    /// Receives when the writer has ended.
    ended: Mutex<Receiver<()>>,
}

/// What the writer and those who ask it share.
#[derive(Debug)]
struct Shared {
    /// `None` when the writer has ended: nobody would answer.
    orders: Mutex<Option<Vec<Order>>>,
    closing: StaticU64,
    written: StaticU64,
    /// Taken out of the ring and not yet in the file; and when the first of them was.
    in_hand: StaticU64,
    oldest_in_hand: StaticU64,
    /// What was dropped before it was opened.
    dropped_before: u64,
    trouble: Mutex<Option<Fault>>,
    page: Option<&'static JournalPage>,
}

/// Somebody waits until everything that was noted by then is in the file.
#[derive(Debug)]
struct Order {
    until: u64,
    answer: Sender<Result<(), Fault>>,
}

/// How far the journal is.
#[derive(Clone, Debug)]
pub struct Stats {
    pub written: u64,
    pub dropped: u64,
    pub pending: u64,
    /// How old the oldest event is that is not in the file; nothing when all are.
    pub lag: Nanos,
    /// Why nothing can be written at the moment.
    pub trouble: Option<Fault>,
}

/// A journal, and how many have it open.
type Shares = (Arc<Journal>, usize);

/// The process's journal.
static OPEN: Lazy<Mutex<Option<Shares>>> = Lazy::new(Mutex::default);

/// Opens the process's journal, or shares it.
pub fn open(path: &Path, settings: Settings, page: &'static JournalPage) -> Result<(), Fault> {
    let mut open = OPEN.lock();
    if let Some((journal, users)) = open.as_mut() {
        if journal.path != path {
            let message = format!(
                "this process writes the journal {} already; close that one first",
                journal.path.display()
            );
            return Err(Fault::new(fault::OPEN, message));
        }
        if journal.settings != settings {
            let message = format!(
                "this process writes the journal {} already, with other settings; close it first, or open it with the \
                 same",
                journal.path.display()
            );
            return Err(Fault::new(fault::OPEN, message));
        }
        *users += 1;
        return Ok(());
    }
    let journal = Journal::start(path, settings, recorder::for_process(), Some(page))?;
    *open = Some((Arc::new(journal), 1));
    recorder::switch_on(settings.kinds);
    Ok(())
}

/// The process's journal.
pub fn current() -> Option<Arc<Journal>> {
    OPEN.lock().as_ref().map(|(journal, _)| journal.clone())
}

/// One of those who opened it does not want it any more; with the last one it is closed. Waits until what was noted
/// is written, but not longer than `patience`.
pub fn close(patience: Nanos) -> Result<(), Fault> {
    let journal = {
        let mut open = OPEN.lock();
        let Some((_, users)) = open.as_mut() else { return Ok(()) };
        *users -= 1;
        if *users > 0 {
            return Ok(());
        }
        recorder::switch_off();
        open.take().map(|(journal, _)| journal)
    };
    journal.map_or(Ok(()), |journal| journal.close(patience))
}

/// How long a new journal waits for the writer of the one before, which may still be at its last transaction.
const PATIENCE: Nanos = Nanos(10_000_000_000);

/// The recorder has one reader at a time: two would take each other's events.
fn claim(recorder: &Recorder) -> Result<(), Fault> {
    let until = time::now().plus(PATIENCE);
    while !recorder.claim() {
        if time::now() >= until {
            return Err(Fault::new(fault::OPEN, "the one that was closed before it is still being written"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Which process this is.
fn author() -> Author {
    static STARTED: Lazy<i64> = Lazy::new(|| match process::own().start {
        0 => time::epoch_ms() as i64,
        ticks => ticks as i64,
    });
    Author { pid: i64::from(std::process::id()), started: *STARTED }
}

impl Journal {
    pub fn start(
        path: &Path,
        settings: Settings,
        recorder: Arc<Recorder>,
        page: Option<&'static JournalPage>,
    ) -> Result<Self, Fault> {
        let connection = schema::open_to_write(path).map_err(|fault| fault.of(path))?;
        claim(&recorder).map_err(|fault| fault.of(path))?;
        // What came after the last one was closed belongs to none.
        recorder.drain(usize::MAX >> 1, |_, _| {});
        let shared = Arc::new(Shared {
            orders: Mutex::new(Some(Vec::new())),
            closing: StaticU64::new(0),
            written: StaticU64::new(0),
            in_hand: StaticU64::new(0),
            oldest_in_hand: StaticU64::new(0),
            dropped_before: recorder.dropped(),
            trouble: Mutex::default(),
            page,
        });
        let (end, ended) = channel();
        let upkeep = upkeep::start(path, settings);
        let writer = Writer::new(connection, settings, recorder.clone(), shared.clone(), upkeep, author());
        if let Some(page) = page {
            page.set_path(&path.to_string_lossy());
            for field in
                [&page.pending, &page.written, &page.dropped, &page.last_written_at, &page.last_event_at]
            {
                field.set(0);
            }
            page.open.set(1);
        }
        let thread = std::thread::Builder::new().name("chainlock-journal".into());
        let started = thread.spawn(move || {
            writer.run();
            // Nobody may be there to hear it.
            let _ = end.send(());
        });
        if let Err(error) = started {
            page.into_iter().for_each(|page| page.open.set(0));
            recorder.leave();
            return Err(Fault::io("start its thread", &error).of(path));
        }
        let ended = Mutex::new(ended);
        Ok(Self { path: path.to_owned(), settings, recorder, shared, ended })
    }

    /// Whoever receives has all that was noted until now in the file, or hears why not.
    pub fn order_flush(&self) -> Receiver<Result<(), Fault>> {
        let (answer, receiver) = channel();
        if let Some(orders) = self.shared.orders.lock().as_mut() {
            orders.push(Order { until: self.recorder.noted(), answer });
        }
        self.recorder.wake();
        receiver
    }

    /// The same, waiting; but not longer than `patience`.
    pub fn flush(&self, patience: Nanos) -> Result<(), Fault> {
        let answer = self.order_flush().recv_timeout(patience.duration());
        let late = "what was noted could not be written in time";
        answer.unwrap_or_else(|_| Err(Fault::new(fault::IO, late))).map_err(|fault| fault.of(&self.path))
    }

    pub fn stats(&self) -> Stats {
        let Shared { written, in_hand, oldest_in_hand, dropped_before, trouble, .. } = &*self.shared;
        let in_hand = in_hand.load(Ordering::Relaxed);
        let oldest = match in_hand {
            0 => self.recorder.oldest(),
            _ => Some(Nanos(oldest_in_hand.load(Ordering::Relaxed))),
        };
        Stats {
            written: written.load(Ordering::Relaxed),
            dropped: self.recorder.dropped() - dropped_before,
            pending: in_hand + self.recorder.pending(),
            lag: oldest.map_or(Nanos(0), |oldest| time::now().since(oldest)),
            trouble: trouble.lock().clone(),
        }
    }

    pub fn close(&self, patience: Nanos) -> Result<(), Fault> {
        let flushed = self.flush(patience);
        self.shared.closing.store(1, Ordering::Relaxed);
        self.recorder.wake();
        // When it does not end in time, its process goes on without it.
        let _ = self.ended.lock().recv_timeout(patience.duration());
        flushed
    }
}
