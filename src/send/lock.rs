//! The send lock itself: the book under its mutex, the page in the table, and who is to be told.
//!
//! Every method takes the time as an argument and returns [`Done`]: the answer, the deliveries to waiting
//! threads, and when the clock next makes something due. Whoever calls tells and arms; nothing is called
//! from in here while the mutex is held.

pub use crate::local::departures::Caller;
use crate::local::departures::RowId;
use crate::local::queue::Ticket;
use crate::name::ShortText;
use crate::raw::hold_word::HoldState;
use crate::send::book::{Book, Effects, End, Waiter};
use crate::send::config::{Change, LayersChange, Settings};
use crate::send::dedup::MessageKey;
use crate::send::layers::{self, Layer};
use crate::send::rules::Refusal;
use crate::send::waiting;
use crate::sync::Mutex;
use crate::table::layout::SendPage;
use crate::table::ring::Record;
use crate::time::Nanos;

/// What a refused asker should know about the one in the way.
#[derive(Clone, Copy, Debug)]
pub struct HolderView {
    pub token: u64,
    /// The holding layer's row in the table.
    pub layer_row: usize,
    pub thread_id: u64,
    pub held: Nanos,
}

#[derive(Clone, Copy, Debug)]
pub struct Refused {
    pub refusal: Refusal,
    pub holder: Option<HolderView>,
    /// When asking again can first succeed by the clock alone; `FOREVER` when it never can.
    pub retry_after: Nanos,
}

/// Something for a waiting thread.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    pub mailbox: u64,
    pub what: Told,
}

#[derive(Clone, Copy, Debug)]
pub enum Told {
    Granted {
        ticket: Ticket,
        token: u64,
        since: Nanos,
    },
    Refused {
        ticket: Ticket,
        refused: Refused,
    },
    TimedOut {
        ticket: Ticket,
        /// Place in line when time ran out, from 1.
        position: usize,
        holder: Option<HolderView>,
    },
    /// The hold was taken away from its living holder.
    Lost {
        token: u64,
    },
}

/// An answer and what follows from it.
#[derive(Debug)]
pub struct Done<T> {
    pub answer: T,
    pub tell: Vec<Delivery>,
    pub notes: Vec<Record>,
    pub wake_at: Nanos,
}

/// What became of a request that may wait.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    Granted(u64),
    Waiting(Ticket),
    Refused(Refused),
    QueueFull,
}

/// Which hold is given back.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// The grant with this token, whoever asks.
    Token(u64),
    /// This layer's hold, taken by the calling thread; with a token, exactly that grant.
    Layer(&'a ShortText, Option<u64>),
    /// The hold of the layer with this number, taken by the calling thread.
    Numbered(usize),
}

/// One send lock. The page lies in the process's table, or, for an independent one, on its own.
#[derive(Debug)]
pub struct SendLock {
    book: Mutex<Book>,
    page: Page,
}

#[derive(Debug)]
enum Page {
    InTable(&'static SendPage),
    Own(Box<SendPage>),
}

impl SendLock {
    pub fn in_table(page: &'static SendPage) -> Self {
        Self::with_page(Page::InTable(page))
    }

    pub fn independent() -> Self {
        Self::with_page(Page::Own(Box::default()))
    }

    fn with_page(page: Page) -> Self {
        let lock = Self { book: Mutex::new(Book::new()), page };
        lock.configure(&Change::default(), Nanos::NEVER);
        lock
    }

    pub fn page(&self) -> &SendPage {
        match &self.page {
            Page::InTable(page) => page,
            Page::Own(page) => page,
        }
    }

    /// Runs one operation: inside the mutex, inside the page's sequence.
    // Inlined into the hot calls for the same reason as `try_as`.
    #[inline(always)]
    pub(super) fn change<T>(
        &self,
        now: Nanos,
        step: impl FnOnce(&mut Book, &SendPage, &mut Effects, Nanos) -> T,
    ) -> Done<T> {
        let page = self.page();
        let mut effects = Effects::default();
        let mut book = self.book.lock();
        // The clock was read before the mutex was ours: somebody may have been here since.
        let now = now.max(book.latest);
        book.latest = now;
        let answer = page.sequence.write(|| step(&mut book, page, &mut effects, now));
        let wake_at = book.next_due();
        drop(book);
        Done { answer, tell: effects.tell, notes: effects.notes, wake_at }
    }

    pub(super) fn look<T>(&self, view: impl FnOnce(&mut Book, &SendPage) -> T) -> T {
        view(&mut self.book.lock(), self.page())
    }

    /// Asks without waiting. Those who wait in line go first.
    #[inline]
    pub fn try_acquire(
        &self,
        caller: Caller,
        layer: Option<&ShortText>,
        message: Option<MessageKey>,
        now: Nanos,
    ) -> Done<Result<u64, Refused>> {
        self.try_as(caller, |book, page| known(book, page, layer), message, now)
    }

    /// The same, for a layer whose number is known.
    #[inline]
    pub fn try_acquire_numbered(&self, caller: Caller, row: usize, now: Nanos) -> Done<Result<u64, Refused>> {
        self.try_as(caller, |book, _| book.layers.numbered(row), None, now)
    }

    // Inlined into both, so that names and answers are not copied from frame to frame.
    #[inline(always)]
    fn try_as(
        &self,
        caller: Caller,
        find: impl FnOnce(&mut Book, &SendPage) -> Option<Layer>,
        message: Option<MessageKey>,
        now: Nanos,
    ) -> Done<Result<u64, Refused>> {
        self.change(now, |book, page, effects, now| {
            let Some(layer) = find(book, page) else {
                return Err(book.refuse(page, &NOBODY, caller, Refusal::UnknownLayer, now, effects));
            };
            if !book.queue.is_empty() {
                book.settle(page, now, effects);
            }
            let ask = Waiter { layer, caller, message, since: now, deadline: Nanos::FOREVER };
            book.attempt(page, &ask, now, effects)
        })
    }

    /// Gives a hold back; false when it is not the caller's to give. `sent: false` says that its message
    /// was not sent after all.
    #[inline(always)]
    pub fn release(&self, caller: Caller, which: Which<'_>, sent: bool, now: Nanos) -> Done<bool> {
        self.change(now, |book, page, effects, now| {
            let is_theirs = book.holder.as_ref().is_some_and(|holder| match which {
                Which::Token(token) => holder.token == token,
                Which::Numbered(row) => holder.layer.row == row && holder.caller.row == caller.row,
                Which::Layer(layer, token) => {
                    holder.layer.name == *layer
                        && match token {
                            Some(token) => holder.token == token,
                            None => holder.caller.row == caller.row,
                        }
                }
            });
            if is_theirs {
                book.end(page, End::Released { sent }, now, effects);
                if !book.queue.is_empty() {
                    book.settle(page, now, effects);
                }
                return true;
            }
            let late = match which {
                Which::Token(token) => book.was_evicted(caller.row, None, Some(token)),
                Which::Layer(layer, token) => book.was_evicted(caller.row, Some(layer), token),
                Which::Numbered(row) => book
                    .layers
                    .name_of(row)
                    .is_some_and(|name| book.was_evicted(caller.row, Some(&name), None)),
            };
            page.counters.late_releases.add(u64::from(late));
            false
        })
    }

    /// Takes the hold away from whoever has it, on somebody's order.
    pub fn force_release(&self, reason: ShortText, now: Nanos) -> Done<bool> {
        self.change(now, |book, page, effects, now| {
            let was_held = book.holder.is_some();
            book.end(page, End::Forced(reason), now, effects);
            book.settle(page, now, effects);
            was_held
        })
    }

    /// Does what the clock has made due: overdue, expiry, waiters whose time is up, the next in line.
    /// Answers whether a hold was ended.
    pub fn tick(&self, now: Nanos) -> Done<bool> {
        self.change(now, |book, page, effects, now| {
            let before = book.holder.map(|holder| holder.token);
            book.settle(page, now, effects);
            if book.deadlines.first().is_some_and(|(deadline, _)| *deadline <= now) {
                waiting::expire_waiters(book, page, now, effects);
            }
            before.is_some() && book.holder.map(|holder| holder.token) != before
        })
    }

    /// A thread has ended: its waiters leave the line, its hold is taken back at once.
    pub fn depart(&self, row: RowId, now: Nanos) -> Done<bool> {
        self.change(now, |book, page, effects, now| {
            for (ticket, waiter) in book.queue.drain_where(|waiter| waiter.caller.row == row) {
                book.deadlines.remove(&(waiter.deadline, ticket));
            }
            page.waiters.set(book.queue.len() as u64);
            let held = book.holder.is_some_and(|holder| holder.caller.row == row);
            if held {
                book.end(page, End::ThreadExit, now, effects);
            }
            book.settle(page, now, effects);
            held
        })
    }

    /// Changes settings, for everybody at once.
    pub fn configure(&self, change: &Change, now: Nanos) -> Done<()> {
        self.change(now, |book, page, effects, now| {
            book.settings.apply(change);
            book.after_settings(page, now);
            match &change.layers {
                Some(LayersChange::Any) => book.layers.allow_any(),
                Some(LayersChange::Only(names)) => book.layers.allow(names),
                Some(LayersChange::Add(name)) => book.layers.edit(|names| names.push(*name)),
                Some(LayersChange::Remove(name)) => {
                    book.layers.edit(|names| names.retain(|listed| listed != name));
                }
                None => {}
            }
            page.layer_count.set(book.layers.publish(&page.layers));
            book.settings.publish(book.layers.any(), &page.rules);
            book.settle(page, now, effects);
        })
    }

    /// Sets when the last acquisition was; `NEVER` skips the cooldown.
    pub fn set_last_acquired(&self, at: Nanos, now: Nanos) -> Done<()> {
        self.change(now, |book, page, effects, now| {
            book.state.last_acquired = at;
            book.state.last_ended = at;
            page.last_acquired.set(at.0);
            page.last_ended.set(at.0);
            book.settle(page, now, effects);
        })
    }

    /// The number of a layer that has one: it keeps it as long as the lock lives.
    pub fn layer_number(&self, layer: &ShortText) -> Option<usize> {
        self.look(|book, _| book.layers.number_of(layer))
    }

    pub fn knows(&self, layer: &ShortText) -> bool {
        self.look(|book, _| book.layers.allows(layer))
    }

    pub fn reset_metrics(&self) {
        self.look(|book, page| {
            page.counters.clear();
            page.wait_times.clear();
            page.hold_times.clear();
            for row in &page.layers.0 {
                layers::clear(row);
            }
            book.history_after = page.history.written();
        });
    }

    /// The state in one word, without the mutex: what `isSendLocked()` and `guard.check()` read.
    #[inline]
    pub fn state(&self) -> HoldState {
        self.page().word.read()
    }

    pub fn settings(&self) -> Settings {
        self.look(|book, _| book.settings)
    }

    /// The layer that holds with that token.
    pub fn holder_layer(&self, token: u64) -> Option<ShortText> {
        self.look(|book, _| {
            book.holder.filter(|holder| holder.token == token).map(|holder| holder.layer.name)
        })
    }

    /// Whether anybody may ask, and the listed layers.
    pub fn layers(&self) -> (bool, Vec<ShortText>) {
        self.look(|book, _| (book.layers.any(), book.layers.listed()))
    }
}

/// Counts the nameless; a refused stranger's name goes nowhere.
pub(super) const NOBODY: Layer = Layer { name: ShortText::EMPTY, row: 0 };

#[inline]
pub(super) fn known(book: &mut Book, page: &SendPage, layer: Option<&ShortText>) -> Option<Layer> {
    let found = book.layers.find(layer?)?;
    if found.row as u64 >= page.layer_count.get() {
        page.layer_count.set(book.layers.publish(&page.layers));
    }
    Some(found)
}
