//! What a desk writes onto the page: its store, its leases, and its requests that wait. A desk without a page writes
//! nothing, and so does one for which there was no place.

use crate::lease::fault::HolderView;
use crate::lease::keeper::lease::{Lease, Part};
use crate::lease::manager::LeaseId;
use crate::lease::manager::cell::CAUSES;
use crate::lease::page::book::Book;
use crate::lease::page::layout::{Counts, LeaseRow, StoreRow};
use crate::lease::record::Mode;
use crate::registry::text::Text;
use crate::sync::Field;
use crate::time::Nanos;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    Free = 0,
    Held = 1,
    Waiting = 2,
    Lost = 3,
}

/// The word that says what a row is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct What {
    pub state: State,
    /// 0 exclusive, 1 shared, 2 permits.
    pub mode: u8,
    /// Of the losses: the place in `CAUSES`.
    pub cause: u8,
    /// The store's row.
    pub store: u8,
    /// Renewals in a row that failed; stops at its largest number.
    pub failures: u16,
    /// Of the whole key.
    pub key_bytes: u16,
}

impl What {
    pub fn word(self) -> u64 {
        let bytes = [self.state as u8, self.mode, self.cause, self.store];
        u64::from(u32::from_le_bytes(bytes))
            | u64::from(self.failures) << 32
            | u64::from(self.key_bytes) << 48
    }

    pub fn of(word: u64) -> What {
        let [state, mode, cause, store] = (word as u32).to_le_bytes();
        let state = match state {
            1 => State::Held,
            2 => State::Waiting,
            3 => State::Lost,
            _ => State::Free,
        };
        What { state, mode, cause, store, failures: (word >> 32) as u16, key_bytes: (word >> 48) as u16 }
    }
}

fn mode_of(mode: Mode) -> (u8, u64) {
    match mode {
        Mode::Exclusive => (0, 0),
        Mode::Shared => (1, 0),
        Mode::Permit(permits) => (2, u64::from(permits) << 32),
    }
}

/// A request that waits.
#[derive(Debug)]
pub struct Waits<'a> {
    pub key: &'a str,
    pub mode: Mode,
    pub worker: &'a str,
    pub ttl_ms: u64,
    pub since: Nanos,
    pub deadline: Nanos,
    pub holder: Option<HolderView>,
}

#[derive(Debug, Default)]
pub struct Sheet {
    book: Option<Rc<Book>>,
    store: Option<usize>,
    /// Where the first key of each lease is, and the others of those that have several.
    rows: RefCell<HashMap<LeaseId, u32>>,
    more: RefCell<HashMap<LeaseId, Vec<u32>>>,
}

/// A part without a place.
const NOWHERE: u32 = u32::MAX;

impl Sheet {
    pub fn new(book: Rc<Book>, engine: &str, shown: &str) -> Rc<Sheet> {
        let store = book.open_store(engine, shown);
        Rc::new(Sheet { book: Some(book), store, ..Sheet::default() })
    }

    /// Of a desk that is not shown.
    pub fn nowhere() -> Rc<Sheet> {
        Rc::default()
    }

    pub fn close(&self) {
        let leases: Vec<LeaseId> = self.rows.borrow().keys().copied().collect();
        leases.into_iter().for_each(|lease| self.let_go(lease));
        if let (Some(book), Some(store)) = (&self.book, self.store) {
            book.close_store(store);
        }
    }

    pub fn store(&self) -> Option<&'static StoreRow> {
        self.book.as_ref()?.store(self.store?)
    }

    pub fn count(&self, which: impl FnOnce(&Counts) -> &Field) {
        self.count_all(which, 1);
    }

    pub fn count_all(&self, which: impl FnOnce(&Counts) -> &Field, more: u64) {
        if let Some(row) = self.store() {
            which(&row.counts).add(more);
        }
    }

    pub fn count_loss(&self, cause: &str) {
        let place = CAUSES.iter().position(|known| *known == cause).unwrap_or(0);
        self.count(|counts| counts.losses()[place]);
    }

    /// A renewal was answered after so long.
    pub fn renewing(&self, span: Nanos) {
        if let Some(row) = self.store() {
            row.counts.renewals.add(1);
            row.renew.record(span);
        }
    }

    /// It is held from now on.
    pub fn holds(&self, lease: &Lease) {
        let (Some(book), Some(store)) = (&self.book, self.store) else { return };
        let mut more = Vec::new();
        for (index, part) in lease.parts.iter().enumerate() {
            let place = book.take().unwrap_or(NOWHERE);
            if let Some(row) = book.row(place) {
                write_hold(row, store, lease, part);
            }
            match index {
                0 => drop(self.rows.borrow_mut().insert(lease.id, place)),
                _ => more.push(place),
            }
        }
        if !more.is_empty() {
            self.more.borrow_mut().insert(lease.id, more);
        }
    }

    fn each(&self, lease: LeaseId, mut change: impl FnMut(usize, &LeaseRow)) {
        let Some(book) = &self.book else { return };
        let first = self.rows.borrow().get(&lease).copied();
        let more = self.more.borrow();
        let others = more.get(&lease).map(Vec::as_slice).unwrap_or_default();
        for (index, place) in first.iter().chain(others).enumerate() {
            if let Some(row) = book.row(*place) {
                row.sequence.write(|| change(index, row));
            }
        }
    }

    pub fn renewed(&self, lease: &Lease) {
        let (deadline, renewed) = (lease.cell.deadline(), lease.renewed());
        self.each(lease.id, |index, row| {
            row.deadline.set(deadline.0);
            row.renewed.set(renewed.0);
            row.what.set(What { failures: 0, ..What::of(row.what.get()) }.word());
            if let Some(part) = lease.parts.get(index) {
                row.counts.set((row.counts.get() & !LOW) | in_line(part));
            }
        });
    }

    pub fn renewal_failed(&self, lease: &Lease) {
        self.each(lease.id, |_, row| {
            let what = What::of(row.what.get());
            row.what.set(What { failures: what.failures.saturating_add(1), ..what }.word());
        });
    }

    /// It is not kept any more: given back, or lost, and then it stays until its holder lets go.
    pub fn dropped(&self, lease: &Lease, now: Nanos) {
        let cause = lease.cell.cause(now).filter(|cause| *cause != "closed");
        let Some(cause) = cause else { return self.let_go(lease.id) };
        let cause = CAUSES.iter().position(|known| *known == cause).unwrap_or(0) as u8;
        let lost_at = now.min(lease.cell.deadline());
        self.each(lease.id, |_, row| {
            row.what.set(What { state: State::Lost, cause, ..What::of(row.what.get()) }.word());
            row.deadline.set(lost_at.0);
        });
    }

    /// Who has what was lost.
    pub fn lost_to(&self, lease: LeaseId, worker: &str) {
        let worker = Text::cut(worker);
        self.each(lease, |_, row| row.other.set(&worker));
    }

    /// Its holder has heard of the loss, or does not care.
    pub fn let_go(&self, lease: LeaseId) {
        let Some(book) = &self.book else { return };
        let first = self.rows.borrow_mut().remove(&lease);
        let more = self.more.borrow_mut().remove(&lease).unwrap_or_default();
        first.into_iter().chain(more).for_each(|place| book.give(place));
    }

    /// Shown as long as the answer lives.
    pub fn waits(&self, waits: &Waits<'_>) -> Option<WaitRow> {
        let (book, store) = (self.book.as_ref()?, self.store?);
        let place = book.take()?;
        let row = book.row(place)?;
        row.sequence.write(|| {
            let (mode, permits) = mode_of(waits.mode);
            row.lease.set(0);
            row.token.set(waits.holder.as_ref().map_or(0, |holder| holder.token));
            row.ttl_ms.set(waits.ttl_ms);
            row.counts.set(permits);
            row.since.set(waits.since.0);
            row.deadline.set(waits.deadline.0);
            row.renewed.set(0);
            row.key.set(&Text::cut(waits.key));
            row.worker.set(&Text::cut(waits.worker));
            row.other.set(&Text::cut(waits.holder.as_ref().map_or("", |holder| &holder.worker)));
            row.what.set(what(State::Waiting, mode, store, waits.key).word());
        });
        Some(WaitRow { book: book.clone(), place })
    }
}

/// The row of a request; it goes with this.
#[derive(Debug)]
pub struct WaitRow {
    book: Rc<Book>,
    place: u32,
}

impl Drop for WaitRow {
    fn drop(&mut self) {
        self.book.give(self.place);
    }
}

const LOW: u64 = u32::MAX as u64;

/// Who stood in line when the record was seen last.
fn in_line(part: &Part) -> u64 {
    part.line.last_known().map_or(0, |known| known.record.queue.len() as u64)
}

fn what(state: State, mode: u8, store: usize, key: &str) -> What {
    What { state, mode, store: store as u8, key_bytes: key.len() as u16, ..What::default() }
}

fn write_hold(row: &LeaseRow, store: usize, lease: &Lease, part: &Part) {
    let known = part.line.last_known();
    let hold = known.as_ref().and_then(|known| known.record.hold(&lease.nonce));
    let (mode, permits) = mode_of(hold.map_or(Mode::Exclusive, |hold| hold.mode));
    let worker = hold.map_or(&*lease.client.worker, |hold| &*hold.who.worker);
    row.sequence.write(|| {
        row.lease.set(lease.id.0);
        row.token.set(part.token);
        row.ttl_ms.set(lease.ttl.whole_ms());
        row.counts.set(permits | in_line(part));
        row.since.set(lease.since.0);
        row.deadline.set(lease.cell.deadline().0);
        row.renewed.set(lease.renewed().0);
        row.key.set(&Text::cut(&part.line.key));
        row.worker.set(&Text::cut(worker));
        row.other.set(&Text::default());
        row.what.set(what(State::Held, mode, store, &part.line.key).word());
    });
}
