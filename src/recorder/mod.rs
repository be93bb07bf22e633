//! The recorder: what happens to every lock, on its way to the journal.
//!
//! # Policy
//! * Use: [`note`], under the mutex of whatever it happened to, so that the events of one lock stand in their order.
//! * Cost: one relaxed load while nobody records. Otherwise a record of 64 bytes in a ring that was allocated
//!   before; no allocation but for a label, no system call but to wake a reader that sleeps.
//! * Promised: no lock waits for whoever reads. What finds the ring full is dropped and counted.
//! * Not promised: one order over different locks beyond that of their times.
//!
//! Whoever reads (`journal`) takes the records out and makes rows of them.

pub mod event;
pub mod ring;
pub mod texts;

use crate::sync::{Arc, Mutex, Ordering, StaticU64};
use crate::time::{self, Nanos};
use event::{Event, Of, Record, What};
use once_cell::sync::OnceCell;
use ring::{PLACES, Pushed, Ring};
use std::thread::Thread;
use texts::{Text, Texts};

/// One ring and its texts. The process has one; tests have their own.
#[derive(Debug)]
pub struct Recorder {
    ring: Ring,
    texts: Texts,
    reader: Mutex<Reader>,
}

#[derive(Debug, Default)]
struct Reader {
    /// Somebody reads, or is about to.
    is_taken: bool,
    thread: Option<Thread>,
    /// When the old generation of texts may go: everything before this was read.
    old_until: Option<u64>,
}

/// A bit for each kind that is written down.
static ON: StaticU64 = StaticU64::new(0);
static PROCESS: OnceCell<Arc<Recorder>> = OnceCell::new();
static LAST_NUMBER: StaticU64 = StaticU64::new(0);

/// Whether anybody records.
#[inline(always)]
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed) != 0
}

/// Writes an event down, if somebody records.
#[inline(always)]
pub fn note<'a>(event: impl FnOnce() -> Event<'a>) {
    if is_on() {
        note_now(&event());
    }
}

#[inline(always)]
fn note_now(event: &Event<'_>) {
    let is_wanted = ON.load(Ordering::Relaxed) >> event.what as u64 & 1 != 0;
    if let Some(recorder) = PROCESS.get().filter(|_| is_wanted) {
        recorder.note(event);
    }
}

/// A process of the registry has another status.
pub fn status(id: &str, status: &str, name: &str, thread_id: u64) {
    note(|| Event {
        thread_id: Some(thread_id),
        label: Text::Plain(id),
        other: Text::Plain(status),
        ..Event::new(Of::Registry, What::Status, time::now(), (Text::Plain(name), None))
    });
}

/// The process's recorder.
pub fn for_process() -> Arc<Recorder> {
    PROCESS.get_or_init(|| Arc::new(Recorder::new(PLACES))).clone()
}

/// From now on what is of these kinds is written down (a bit for each).
pub fn switch_on(kinds: u64) {
    ON.store(kinds, Ordering::Relaxed);
}

/// From now on nothing is written down. Those that are at it finish.
pub fn switch_off() {
    ON.store(0, Ordering::Relaxed);
}

/// The next number of an event of this process, for ever.
pub fn next_number() -> u64 {
    LAST_NUMBER.fetch_add(1, Ordering::Relaxed) + 1
}

impl Recorder {
    pub fn new(places: usize) -> Self {
        Self { ring: Ring::new(places), texts: Texts::default(), reader: Mutex::default() }
    }

    #[inline(always)]
    pub fn note(&self, event: &Event<'_>) {
        // The numbers of the texts are looked up only now that the place is reserved (see `texts`).
        if self.ring.push(|| event.pack(&self.texts)) == Pushed::Wake {
            self.wake();
        }
    }

    /// Wakes whoever reads.
    #[cold]
    pub fn wake(&self) {
        if let Some(thread) = &self.reader.lock().thread {
            thread.unpark();
        }
    }

    /// Makes the caller the one who may read, until it leaves; false while another one does.
    pub fn claim(&self) -> bool {
        !std::mem::replace(&mut self.reader.lock().is_taken, true)
    }

    /// The calling thread reads from now on.
    pub fn attend(&self) {
        self.reader.lock().thread = Some(std::thread::current());
    }

    /// Nobody reads any more.
    pub fn leave(&self) {
        let mut reader = self.reader.lock();
        (reader.thread, reader.is_taken) = (None, false);
    }

    /// Records that are not read yet.
    pub fn pending(&self) -> u64 {
        self.ring.reserved().saturating_sub(self.ring.head())
    }

    pub fn is_half_full(&self) -> bool {
        self.pending() as usize > PLACES / 2
    }

    /// How many events were ever noted: whoever waits for one waits for what was reserved by now.
    pub fn noted(&self) -> u64 {
        self.ring.reserved_now()
    }

    /// How many of them were read.
    pub fn read(&self) -> u64 {
        self.ring.head()
    }

    pub fn dropped(&self) -> u64 {
        self.ring.dropped()
    }

    /// When the oldest unread event was.
    pub fn oldest(&self) -> Option<Nanos> {
        self.ring.read(self.ring.head()).map(|words| Nanos(words[0]))
    }

    /// Hands over the next records, at most `most`, each with the way to its texts; how many.
    pub fn drain(&self, most: usize, mut each: impl FnMut(Record, &Texts)) -> usize {
        let from = self.ring.head();
        let mut at = from;
        while at < from + most as u64
            && let Some(words) = self.ring.read(at)
        {
            if let Some(record) = Record::unpack(words) {
                each(record, &self.texts);
            }
            at += 1;
        }
        self.ring.free(at);
        self.turn_texts_over(at);
        (at - from) as usize
    }

    fn turn_texts_over(&self, read: u64) {
        let mut reader = self.reader.lock();
        if reader.old_until.is_some_and(|until| read >= until) {
            reader.old_until = None;
            self.texts.drop_old();
        }
        if reader.old_until.is_none() && self.texts.is_crowded() {
            self.texts.turn_over();
            reader.old_until = Some(self.ring.reserved_now());
        }
    }

    /// Sleeps until somebody notes something or wakes it; at once awake when there is something.
    pub fn sleep(&self) {
        if self.ring.fall_asleep(self.ring.head()) {
            std::thread::park();
            self.ring.wake_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_readable_over_generations() {
        let recorder = Recorder::new(1_024);
        let mut seen = 0;
        for round in 0..200 {
            for number in 0..1_000 {
                let name = format!("{round}:{number}");
                let lock = (Text::Plain(&name), None);
                recorder.note(&Event::new(Of::Lock, What::Acquired, Nanos(number), lock));
            }
            let read = recorder.drain(usize::MAX >> 1, |record, texts| {
                let name = texts.text(record.lock).map(|text| text.to_string());
                assert_eq!(name, Some(format!("{round}:{}", record.at.0)));
                seen += 1;
            });
            assert_eq!(read, 1_000);
        }
        assert_eq!((seen, recorder.dropped(), recorder.pending()), (200_000, 0, 0));
    }
}
