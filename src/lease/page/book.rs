//! Which rows of a page are free. Only the I/O thread has one.

use crate::lease::page::layout::{LEASES, LeasePage, LeaseRow, STORES, StoreRow};
use crate::lease::page::memory;
use crate::registry::text::Text;
use std::cell::RefCell;
use std::rc::Rc;

const OPEN: u64 = 1;
const CLOSED: u64 = 2;

#[derive(Debug)]
pub struct Book {
    page: &'static LeasePage,
    /// Places of leases that came back.
    free: RefCell<Vec<u32>>,
}

thread_local! {
    static OWN: Rc<Book> = Rc::new(Book::of(memory::page()));
}

impl Book {
    /// Whatever lay there before is gone: nobody else writes, and this thread has written nothing yet.
    pub fn of(page: &'static LeasePage) -> Book {
        page.leases[..in_use(page.header.leases_end.get(), LEASES)].iter().for_each(wipe);
        for row in &page.stores[..in_use(page.header.stores_end.get(), STORES)] {
            row.sequence.write(|| row.state.set(CLOSED));
        }
        page.header.leases_end.set(0);
        Book { page, free: RefCell::default() }
    }

    /// The process's, on its I/O thread.
    pub fn own() -> Rc<Book> {
        OWN.with(Rc::clone)
    }

    pub fn row(&self, place: u32) -> Option<&'static LeaseRow> {
        self.page.leases.get(place as usize)
    }

    pub fn store(&self, place: usize) -> Option<&'static StoreRow> {
        self.page.stores.get(place)
    }

    /// A place for a lease; `None` when there is no more, which is counted.
    pub fn take(&self) -> Option<u32> {
        if let Some(place) = self.free.borrow_mut().pop() {
            return Some(place);
        }
        let header = &self.page.header;
        let end = header.leases_end.get();
        if end as usize >= LEASES {
            header.unshown_leases.add(1);
            return None;
        }
        header.leases_end.set(end + 1);
        Some(end as u32)
    }

    pub fn give(&self, place: u32) {
        if let Some(row) = self.row(place) {
            wipe(row);
            self.free.borrow_mut().push(place);
        }
    }

    /// A place for a store: the one that it had before, a new one, or that of a store nobody uses any more.
    pub fn open_store(&self, engine: &str, shown: &str) -> Option<usize> {
        let header = &self.page.header;
        let shown = Text::cut(shown);
        let end = in_use(header.stores_end.get(), STORES);
        let rows = &self.page.stores[..end];
        let is_closed = |row: &StoreRow| row.state.get() == CLOSED;
        if let Some(place) = rows.iter().position(|row| is_closed(row) && is_of(row, &shown)) {
            rows[place].sequence.write(|| rows[place].state.set(OPEN));
            return Some(place);
        }
        let place = match end {
            STORES => rows.iter().position(is_closed),
            fresh => {
                header.stores_end.set(fresh as u64 + 1);
                Some(fresh)
            }
        };
        let Some(place) = place else {
            header.unshown_stores.add(1);
            return None;
        };
        let row = self.page.stores.get(place)?;
        row.sequence.write(|| {
            row.clear();
            row.engine.set(&Text::cut(engine));
            row.shown.set(&shown);
            row.state.set(OPEN);
        });
        Some(place)
    }

    pub fn close_store(&self, place: usize) {
        if let Some(row) = self.store(place) {
            row.sequence.write(|| row.state.set(CLOSED));
        }
    }
}

fn in_use(end: u64, all: usize) -> usize {
    (end as usize).min(all)
}

fn wipe(row: &LeaseRow) {
    row.sequence.write(|| row.what.set(0));
}

fn is_of(row: &StoreRow, shown: &Text<{ crate::lease::page::layout::SHOWN }>) -> bool {
    let mut there = Text::default();
    row.shown.get(&mut there);
    there.is_same(shown)
}

impl StoreRow {
    /// Another store's row from now on.
    fn clear(&self) {
        let words = [&self.reach, &self.since, &self.last_answer, &self.failures, &self.skew];
        let more = [&self.skew_error, &self.skew_at];
        words.into_iter().chain(more).chain(self.counts.fields()).for_each(|field| field.set(0));
        self.error.set(&Text::default());
        self.renew.clear();
    }
}
