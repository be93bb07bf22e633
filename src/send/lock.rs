//! The send lock itself: the book under its mutex, the page in the table, and who is to be told.
//!
//! Every method takes the time as an argument and returns [`Done`]: the answer, the deliveries to waiting
//! threads, and when the clock next makes something due. Whoever calls tells and arms; nothing is called
//! from in here while the mutex is held.

pub use crate::local::departures::Caller;
use crate::local::departures::RowId;
use crate::name::ShortText;
use crate::raw::hold_word::HoldState;
use crate::recorder::event::What;
use crate::recorder::is_on;
pub use crate::send::answers::{Delivery, Done, HolderView, Outcome, Refused, Told, Which};
use crate::send::book::{Book, Effects, End, Waiter};
use crate::send::config::{Change, LayersChange, Settings};
use crate::send::dedup::MessageKey;
use crate::send::host::{Answer, Home};
use crate::send::layers::{self, Layer};
use crate::send::recording::{Recording, SEND};
use crate::send::rules::Refusal;
use crate::send::waiting;
use crate::sync::Mutex;
use crate::table::layout::SendPage;
use crate::time::Nanos;
use once_cell::sync::OnceCell;

/// One send lock. The page lies in the process's table, or, for an independent one, on its own; when the
/// process has joined others, in the file that they share, and the book is a copy of the one there.
#[derive(Debug)]
pub struct SendLock {
    pub(super) book: Mutex<Book>,
    page: Page,
    pub(super) home: OnceCell<Home>,
}

#[derive(Debug)]
enum Page {
    InTable(&'static SendPage),
    Own(Box<SendPage>),
}

impl SendLock {
    pub fn in_table(page: &'static SendPage) -> Self {
        let lock = Self::with_page(Page::InTable(page));
        lock.book.lock().recording = Recording::named(SEND);
        lock
    }

    pub fn independent() -> Self {
        Self::with_page(Page::Own(Box::default()))
    }

    fn with_page(page: Page) -> Self {
        let lock = Self { book: Mutex::new(Book::new()), page, home: OnceCell::new() };
        lock.configure(&Change::default(), Nanos::NEVER);
        lock
    }

    #[inline]
    pub fn page(&self) -> &SendPage {
        match self.home.get() {
            Some(home) => home.page(),
            None => self.own_page(),
        }
    }

    #[inline]
    pub(super) fn own_page(&self) -> &SendPage {
        match &self.page {
            Page::InTable(page) => page,
            Page::Own(page) => page,
        }
    }

    /// Runs one operation: inside the mutex, inside the page's sequence.
    // Inlined into the hot calls for the same reason as `try_as`.
    #[inline(always)]
    pub(super) fn change<T: Answer>(
        &self,
        now: Nanos,
        step: impl FnOnce(&mut Book, &SendPage, &mut Effects, Nanos) -> T,
    ) -> Done<T> {
        let mut effects = Effects::default();
        let mut book = self.book.lock();
        if let Some(home) = self.home.get() {
            return home.change(&mut book, now, step);
        }
        let page = self.own_page();
        // The clock was read before the mutex was ours: somebody may have been here since.
        let now = now.max(book.latest);
        book.latest = now;
        let answer = page.sequence.write(|| step(&mut book, page, &mut effects, now));
        let wake_at = book.next_due();
        drop(book);
        Done { answer, tell: effects.tell, notes: effects.notes, wake_at, unavailable: false }
    }

    pub(super) fn look<T>(&self, view: impl FnOnce(&mut Book, &SendPage) -> T) -> T {
        let mut book = self.book.lock();
        match self.home.get() {
            Some(home) => home.look(&mut book, view),
            None => view(&mut book, self.own_page()),
        }
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
        self.try_as(caller, |book, page| self.numbered(book, page, row), None, now)
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
        let which = self.meant(which);
        let mut done = self.release_now(caller, which, sent, now);
        if done.unavailable {
            self.release_later(caller, which, sent, &mut done);
        }
        done
    }

    #[inline(always)]
    pub(super) fn release_now(&self, caller: Caller, which: Which<'_>, sent: bool, now: Nanos) -> Done<bool> {
        self.change(now, |book, page, effects, now| {
            if book.holder.as_ref().is_some_and(|holder| which.is(holder, caller)) {
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

    /// The same, if the hold is still the one with that token. Whether it was ended; and it, or the one that
    /// there is instead.
    pub fn force_release_token(
        &self,
        token: u64,
        reason: ShortText,
        now: Nanos,
    ) -> Done<Option<(bool, HolderView)>> {
        self.change(now, |book, page, effects, now| {
            book.settle(page, now, effects);
            let holder = book.holder_view(now)?;
            let is_meant = holder.token == token;
            if is_meant {
                book.end(page, End::Forced(reason), now, effects);
                book.settle(page, now, effects);
            }
            Some((is_meant, holder))
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
        let done = self.depart_now(row, now);
        if done.unavailable {
            self.depart_later(row);
        }
        done
    }

    pub(super) fn depart_now(&self, row: RowId, now: Nanos) -> Done<bool> {
        self.change(now, |book, page, effects, now| {
            for (ticket, waiter) in book.queue.drain_where(|waiter| waiter.caller.row == row) {
                if is_on() {
                    book.tell_waiter(What::Aborted, &waiter, now);
                }
                book.deadlines.remove(&(waiter.deadline, ticket));
            }
            book.show_line(page);
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
        self.look(|book, _| book.layers.number_of(layer)).map(|row| self.first_row() + row)
    }

    pub fn knows(&self, layer: &ShortText) -> bool {
        self.look(|book, _| book.layers.allows(layer))
    }

    pub fn reset_metrics(&self, now: Nanos) -> Done<()> {
        self.change(now, |book, page, _, _| {
            page.counters.clear();
            page.wait_times.clear();
            page.hold_times.clear();
            for row in &page.layers.0 {
                layers::clear(row);
            }
            book.history_after = page.history.written();
        })
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
