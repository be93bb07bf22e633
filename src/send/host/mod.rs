//! A send lock that all processes of the user share.
//!
//! # Policy
//! * Use: `SendLock::join_host`, once per process. From then on every operation runs the very steps of the very
//!   book, on the state that lies in a file of the private directory, one process at a time.
//! * Decided by: the kernel's `flock` on that file for the length of one operation (microseconds; bounded, so that
//!   a process that is stopped in the middle hangs nobody), and the state in it. The mapped page carries what
//!   people read, and never decides.
//! * Death: each process keeps one byte of the file locked; the kernel frees it, and whoever comes next takes back
//!   what the dead one held (`process_exit`) and takes it out of the line. Dying inside of an operation leaves the
//!   old state or the new one.
//! * Time: nanoseconds of the system's monotonic clock, the same for all processes of one boot. After another boot
//!   nobody holds and no cooldown runs, and tokens go on growing.
//! * Not promised: anything against the user's own will (another program may delete or overwrite the file: then a
//!   typed error), between users, between machines.
//!
//! Lock order: the process's mutex of the book → the file's lock → this home's own mutex. Nothing foreign is called
//! under them. Other processes are woken after all of them are open.

mod answer;
mod codec;
mod fault;
mod image;
mod joining;
mod life;
pub mod outside;
pub mod place;
mod store;
#[cfg(all(test, not(any(feature = "portable", feature = "loom", feature = "shuttle"))))]
#[path = "../../tests/send_host/mod.rs"]
mod tests;

pub use answer::Answer;
pub use fault::Fault;
pub use life::Watcher;

use crate::local::departures::{Caller, ProcessId, RowId};
use crate::name::ShortText;
use crate::send::book::{Book, Effects, Member};
use crate::send::dedup::Sent;
use crate::send::lock::{Done, Which};
use crate::sync::{Mutex, Ordering, StaticU64};
use crate::sys::host_file::{Directory, Waker};
use crate::table::layout::{HostPage, SendPage};
use crate::time::{self, Nanos};
use image::Era;
use std::collections::HashMap;
use std::path::PathBuf;
use store::{Point, Store};

/// How long an operation waits for another process's to end.
const PATIENCE: Nanos = Nanos(1_000_000_000);
/// And how long after it has waited in vain.
const IMPATIENCE: Nanos = Nanos(5_000_000);
/// Layer rows of a shared lock are told from here on: a thread that joined unawares knows that they are others.
pub const FIRST_ROW: usize = 1_024;
/// When to look again at a state that could not be had.
const AGAIN: Nanos = Nanos(250_000_000);

/// What a process has of a lock that it shares.
#[derive(Debug)]
pub struct Home {
    name: String,
    path: PathBuf,
    directory: Directory,
    store: Store,
    page: &'static HostPage,
    era: Era,
    me: Member,
    /// The layers by the numbers that they had before.
    old_layers: Vec<ShortText>,
    inside: Mutex<Inside>,
    /// Operations that were refused for want of the state, in a row.
    refused: StaticU64,
    #[cfg(test)]
    dies_at: Mutex<Option<Point>>,
}

#[derive(Debug, Default)]
struct Inside {
    /// The state that the process's book is a copy of; 0 for none.
    sequence: u64,
    /// Its bytes, and how many records of the log it counts.
    image: Vec<u8>,
    logged: u64,
    wakers: HashMap<u32, (ProcessId, Waker)>,
    last_fault: Option<Fault>,
    /// What could not be done when it was asked for, and must be.
    owed: Vec<Owed>,
}

#[derive(Clone, Copy, Debug)]
enum Owed {
    Release { caller: Caller, token: u64, sent: bool },
    Depart(RowId),
}

impl Home {
    pub fn page(&self) -> &SendPage {
        &self.page.send
    }

    /// Runs one operation on the shared state.
    // Cold, so that the process's own lock keeps its straight path.
    #[cold]
    #[inline(never)]
    pub fn change<T: Answer>(
        &self,
        book: &mut Book,
        now: Nanos,
        step: impl FnOnce(&mut Book, &SendPage, &mut Effects, Nanos) -> T,
    ) -> Done<T> {
        let mut effects = Effects::default();
        let visit = match self.enter(book) {
            Ok(visit) => visit,
            Err(fault) => return self.refuse(fault, now),
        };
        // The clock was read before the state was ours: somebody may have been here since.
        let now = now.max(book.latest);
        book.latest = now;
        let page = self.page();
        let events = page.events.written();
        let answer = page.sequence.write(|| {
            self.reap(book, page, now, &mut effects);
            step(book, page, &mut effects, now)
        });
        self.sort_mail(book, &mut effects);
        let wake_at = book.next_due();
        if let Err(fault) = visit.leave(book) {
            return self.refuse(fault, now);
        }
        self.wake_others(book, page.events.written() != events);
        Done { answer, tell: effects.tell, notes: effects.notes, wake_at, unavailable: false }
    }

    /// Looks at the shared state; where that cannot be had, at the last that was seen of it.
    // Cold, so that the process's own lock keeps its straight path.
    #[cold]
    #[inline(never)]
    pub fn look<T>(&self, book: &mut Book, view: impl FnOnce(&mut Book, &SendPage) -> T) -> T {
        match self.enter(book) {
            Ok(visit) => {
                let seen = view(book, self.page());
                visit.end();
                seen
            }
            Err(fault) => {
                self.inside.lock().last_fault = Some(fault);
                view(book, self.page())
            }
        }
    }

    fn refuse<T: Answer>(&self, fault: Fault, now: Nanos) -> Done<T> {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.inside.lock().last_fault = Some(fault);
        let (tell, notes) = (Vec::new(), Vec::new());
        Done { answer: T::unavailable(), tell, notes, wake_at: now.plus(AGAIN), unavailable: true }
    }

    /// What was last wrong, for the error of whoever was refused.
    pub fn fault(&self) -> (PathBuf, Option<Fault>) {
        (self.path.clone(), self.inside.lock().last_fault.clone())
    }

    /// Takes the file's lock and brings the book up to date.
    fn enter(&self, book: &mut Book) -> Result<Visit<'_>, Fault> {
        self.take_lock()?;
        let mut visit = Visit { home: self, sequence: 0, was_cut_short: false };
        // Before the page is touched: what was cut off is not there any more.
        self.store.check()?;
        visit.was_cut_short = self.page.intent.get() != 0;
        visit.bring_up_to_date(book)?;
        Ok(visit)
    }

    fn take_lock(&self) -> Result<(), Fault> {
        // Whoever was refused a moment ago does not wait as long again.
        let patience = if self.refused.load(Ordering::Relaxed) > 0 { IMPATIENCE } else { PATIENCE };
        let mut started = None;
        for round in 0u32.. {
            if self.store.file.try_lock()? {
                return Ok(());
            }
            let started = *started.get_or_insert_with(time::now);
            if time::now().since(started) >= patience {
                break;
            }
            match round {
                0..100 => std::hint::spin_loop(),
                100..120 => std::thread::yield_now(),
                _ => std::thread::sleep(Nanos(u64::from(round.min(1_000)) * 1_000).duration()),
            }
        }
        Err(Fault::busy())
    }

    #[cfg(test)]
    fn passes(&self, point: Point) -> Result<(), Fault> {
        if *self.dies_at.lock() == Some(point) { Err(Fault::busy()) } else { Ok(()) }
    }

    #[cfg(not(test))]
    fn passes(&self, _point: Point) -> Result<(), Fault> {
        Ok(())
    }

    /// What a numbered layer means here.
    #[cold]
    pub fn meant<'a>(&'a self, which: Which<'a>) -> Which<'a> {
        match which {
            Which::Numbered(row) if row >= FIRST_ROW => Which::Numbered(row - FIRST_ROW),
            Which::Numbered(row) => Which::Layer(self.old_layers.get(row).unwrap_or(&ShortText::EMPTY), None),
            other => other,
        }
    }

    /// The name of a layer by a number from before.
    pub fn old_layer(&self, row: usize) -> Option<&ShortText> {
        self.old_layers.get(row)
    }
}

/// One operation under the file's lock, which ends with it.
struct Visit<'a> {
    home: &'a Home,
    /// The state that the book is a copy of.
    sequence: u64,
    /// Whether the operation before died in the middle.
    was_cut_short: bool,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.home.store.file.unlock();
    }
}

impl Visit<'_> {
    fn bring_up_to_date(&mut self, book: &mut Book) -> Result<(), Fault> {
        let home = self.home;
        let mut inside = home.inside.lock();
        let newest =
            home.store.newest(self.was_cut_short)?.ok_or_else(|| Fault::damaged("it has no state"))?;
        if newest.sequence != inside.sequence {
            let bytes = home.store.payload(newest)?;
            let image = image::decode(&bytes).ok_or_else(|| Fault::damaged("its bytes were changed"))?;
            // What this process knows of the log it has not to read again, unless its last visit failed.
            let knows = inside.sequence != 0 && inside.logged <= image.logged;
            let (mut sent, from) =
                if knows { (std::mem::take(&mut book.sent), inside.logged) } else { (Sent::told(), 0) };
            inside.sequence = 0;
            home.store.logged(from, image.logged)?.into_iter().for_each(|news| sent.follow(news));
            let recording = std::mem::take(&mut book.recording);
            *book = Book { sent, recording, ..image.book };
            (inside.sequence, inside.logged, inside.image) = (newest.sequence, image.logged, bytes);
        }
        // Until this visit ends well, the book is no copy of what lies in the file.
        (self.sequence, inside.sequence) = (newest.sequence, 0);
        drop(inside);
        if self.was_cut_short {
            home.republish(book);
        }
        home.page.intent.set(newest.sequence + 1);
        home.refused.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Writes the changed state; then nobody is in the middle any more.
    fn leave(mut self, book: &mut Book) -> Result<(), Fault> {
        let home = self.home;
        let mut inside = home.inside.lock();
        let logged = inside.logged;
        let news = book.sent.take_news();
        let image = image::encode(home.era, book, logged + news.len() as u64);
        let decided = |image: &[u8]| image.len().saturating_sub(image::LATEST);
        let is_same = image[..decided(&image)] == inside.image[..decided(&inside.image)];
        if !is_same || !news.is_empty() || self.was_cut_short {
            home.passes(Point::BeforeLog)?;
            home.store.log(logged, &news)?;
            home.store.commit(self.sequence + 1, &image, |point| home.passes(point))?;
            self.sequence += 1;
            (inside.logged, inside.image) = (logged + news.len() as u64, image);
        }
        drop(inside);
        self.end();
        Ok(())
    }

    fn end(self) {
        self.home.inside.lock().sequence = self.sequence;
        // A look that came after a death leaves it to the next operation to write a whole state.
        self.home.page.intent.set(u64::from(self.was_cut_short && self.home.is_torn()));
    }
}
