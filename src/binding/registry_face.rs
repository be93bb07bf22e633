//! A thread's view of the registry of processes: how a state becomes numbers and texts for JavaScript, and who is
//! told of changes: listeners of all of them, the journal of every new status.
//!
//! While anybody listens or a journal is open, changes are made and told under the list of listeners, so that they are
//! told in the order in which they happened. Nobody who reads ever waits for that.

use crate::binding::entry::Seated;
use crate::binding::mailbox::{self, Told};
use crate::binding::thread::Seat;
use crate::local::departures::RowId;
use crate::recorder;
use crate::registry::entry::Entry;
use crate::registry::memory;
use crate::registry::status::{Refused, Status};
use crate::registry::text::Text;
use crate::sync::{Arc, Mutex, Ordering, StaticU64};
use crate::time::{self, Moment, Nanos};
use once_cell::sync::Lazy;

/// Numbers of a state: status, revision, thread, pid, exit code (NaN for none), and four times (0 for none).
pub const NUMBERS: usize = 9;
/// Texts of a state, each ended by a line feed, which no cleaned text has: id, name, kind, signal, reason, command,
/// directory, arguments (each of them ended by a zero byte).
pub const TEXTS: usize = 8;
/// A thread that does not fetch is told of so many changes; then it is told how many it has missed.
const MOST_UNFETCHED: u64 = 10_000;

/// What became of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Registered = 1,
    Changed = 2,
    Removed = 3,
}

/// One change, as it is told.
#[derive(Debug)]
pub struct Change {
    pub what: What,
    pub numbers: [f64; NUMBERS],
    pub texts: Vec<u8>,
}

#[derive(Debug)]
struct Listener {
    mailbox: u64,
    /// Changes that it was not told of, because it did not fetch.
    missed: u64,
}

static LISTENERS: Lazy<Mutex<Vec<Listener>>> = Lazy::new(Mutex::default);
/// How many there are: looked at before every change.
static COUNT: StaticU64 = StaticU64::new(0);

#[derive(Debug)]
pub struct RegistryFace {
    pub seat: Seat,
}

impl Seated for RegistryFace {
    #[inline]
    fn seat(&self) -> &Seat {
        &self.seat
    }
}

impl RegistryFace {
    pub fn new(seat: Seat) -> Self {
        Self { seat }
    }

    /// Whether changes are told to this thread.
    pub fn listen(&self, wanted: bool) {
        let mailbox = self.seat.mailbox.id;
        let mut listeners = LISTENERS.lock();
        listeners.retain(|listener| listener.mailbox != mailbox);
        if wanted {
            listeners.push(Listener { mailbox, missed: 0 });
        }
        COUNT.store(listeners.len() as u64, Ordering::Relaxed);
    }

    /// Leaves a state in the scratch array; its texts.
    pub fn put_entry(&self, entry: &Entry, moment: &Moment) -> String {
        for (place, number) in numbers_of(entry, moment).into_iter().enumerate() {
            self.seat.put(place, number);
        }
        let mut texts = Vec::new();
        push_texts(entry, &mut texts);
        text_of(texts)
    }

    /// Leaves the reason of a refusal in the scratch array: its number, and the status that stands in the way.
    pub fn put_refusal(&self, refused: Refused) {
        let (number, status) = match refused {
            Refused::UnknownId => (1, 0),
            Refused::DuplicateId => (2, 0),
            Refused::Finished(status) => (3, status as u64),
            Refused::Backwards(status) => (4, status as u64),
            Refused::Full => (5, 0),
        };
        self.seat.put(0, f64::from(number));
        self.seat.put(1, status as f64);
    }
}

/// A state's numbers, with its times in milliseconds since 1970.
pub fn numbers_of(entry: &Entry, moment: &Moment) -> [f64; NUMBERS] {
    let at = |at: Nanos| if at == Nanos::NEVER { 0.0 } else { moment.epoch_of(at) };
    [
        entry.status.map_or(0.0, |status| status as u64 as f64),
        entry.revision as f64,
        entry.thread_id as f64,
        entry.pid as f64,
        entry.exit_code.map_or(f64::NAN, |code| code as f64),
        at(entry.registered_at),
        at(entry.started_at),
        at(entry.ended_at),
        at(entry.updated_at),
    ]
}

pub fn push_texts(entry: &Entry, into: &mut Vec<u8>) {
    push(&entry.id, into);
    push(&entry.name, into);
    push(&entry.kind, into);
    push(&entry.signal, into);
    push(&entry.reason, into);
    push(&entry.command, into);
    push(&entry.dir, into);
    push(&entry.args, into);
}

#[inline]
fn push<const WORDS: usize>(text: &Text<WORDS>, into: &mut Vec<u8>) {
    text.push_to(into);
    into.push(b'\n');
}

pub fn text_of(bytes: Vec<u8>) -> String {
    // What lies in our own registry was a text when it was put there.
    String::from_utf8(bytes).unwrap_or_else(|wrong| String::from_utf8_lossy(wrong.as_bytes()).into_owned())
}

/// What the journal says of a process that is no longer there.
const REMOVED: &str = "removed";

/// Does something to the registry, and tells every listener and the journal what it reports.
pub fn telling<R>(act: impl FnOnce(&mut dyn FnMut(What, &Entry)) -> R) -> R {
    if COUNT.load(Ordering::Relaxed) == 0 && !recorder::is_on() {
        return act(&mut |_, _| {});
    }
    let mut listeners = LISTENERS.lock();
    let moment = Moment::read();
    act(&mut |what, entry| {
        record(what, entry);
        if listeners.is_empty() {
            return;
        }
        let mut texts = Vec::new();
        push_texts(entry, &mut texts);
        let change = Arc::new(Change { what, numbers: numbers_of(entry, &moment), texts });
        for listener in listeners.iter_mut() {
            if mailbox::unfetched(listener.mailbox) < MOST_UNFETCHED {
                let missed = std::mem::take(&mut listener.missed);
                let told = Told::Registry { change: change.clone(), missed };
                mailbox::post(listener.mailbox, [told]);
            } else {
                listener.missed += 1;
            }
        }
    })
}

/// Tells the journal what a process is from now on.
fn record(what: What, entry: &Entry) {
    let is_news = what != What::Changed || entry.before != entry.status;
    if !recorder::is_on() || !is_news {
        return;
    }
    let [mut id, mut name] = [Vec::new(), Vec::new()];
    entry.id.push_to(&mut id);
    entry.name.push_to(&mut name);
    if name.is_empty() {
        name.clone_from(&id);
    }
    let status = entry.status.filter(|_| what != What::Removed).map_or(REMOVED, Status::word);
    recorder::status(&text_of(id), status, &text_of(name), entry.thread_id);
}

/// A thread has ended.
pub fn depart(row: RowId) {
    if let Some(registry) = memory::existing() {
        telling(|tell| {
            registry.depart(row.to_word(), time::now(), |entry| tell(What::Changed, entry));
        });
    }
}
