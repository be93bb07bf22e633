//! The thread that writes: gathers for a moment, takes what is in the ring, and writes it in one transaction.

use crate::journal::fault::Fault;
use crate::journal::row::{Author, COLUMNS, Row, Words};
use crate::journal::upkeep::{Upkeep, take_over, trim};
use crate::journal::{Settings, Shared};
use crate::recorder::event::{Event, Of, Record, What};
use crate::recorder::texts::{Text, Texts};
use crate::recorder::{self, Recorder};
use crate::sync::{Arc, Ordering};
use crate::time::{self, Moment, Nanos};
use rusqlite::{Connection, TransactionBehavior};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Rows of one transaction at most: others want to write, too.
const AT_ONCE: usize = 10_000;
/// When to try again after trouble.
const AGAIN: Nanos = Nanos(250_000_000);
/// Upkeep is due after so many rows, or so long after the last time.
const UPKEEP_ROWS: usize = 20_000;
const UPKEEP_EVERY: Nanos = Nanos(1_000_000_000);
/// Texts that are remembered by their numbers.
const MOST_TEXTS: usize = 65_536;
/// How long the last checkpoint waits for others.
const LAST_BUSY: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct Writer {
    connection: Connection,
    settings: Settings,
    recorder: Arc<Recorder>,
    shared: Arc<Shared>,
    upkeep: Option<Upkeep>,
    author: Author,
    words: Words,
    texts: HashMap<u32, Option<Arc<str>>>,
    /// Taken out of the ring and not yet written.
    rows: Vec<Row>,
    /// Dropped events that have a row.
    told_dropped: u64,
    rows_since_upkeep: usize,
    upkeep_at: Nanos,
    fails: bool,
}

impl Writer {
    pub fn new(
        connection: Connection,
        settings: Settings,
        recorder: Arc<Recorder>,
        shared: Arc<Shared>,
        upkeep: Option<Upkeep>,
        author: Author,
    ) -> Self {
        let (words, texts, rows) = (Words::default(), HashMap::new(), Vec::new());
        let (told_dropped, rows_since_upkeep, upkeep_at) = (shared.dropped_before, 0, Nanos::NEVER);
        Self {
            connection,
            settings,
            recorder,
            shared,
            upkeep,
            author,
            words,
            texts,
            rows,
            told_dropped,
            rows_since_upkeep,
            upkeep_at,
            fails: false,
        }
    }

    pub fn run(mut self) {
        self.recorder.attend();
        // A bug in here must not take the process with it.
        let _ = catch_unwind(AssertUnwindSafe(|| while self.turn() {}));
        // Whoever waits, or comes, hears that nobody is here any more.
        *self.shared.orders.lock() = None;
        if let Some(page) = self.shared.page {
            page.open.set(0);
        }
        // Last: the next one begins at once.
        self.recorder.leave();
    }

    /// One look at the ring, and what follows; false when it was the last.
    fn turn(&mut self) -> bool {
        self.gather();
        loop {
            let taken = self.take();
            self.write();
            self.answer();
            if taken < AT_ONCE {
                break;
            }
        }
        self.maintain();
        let is_last = self.is_closing();
        if is_last {
            self.leave();
        }
        !is_last
    }

    fn is_closing(&self) -> bool {
        self.shared.closing.load(Ordering::Relaxed) != 0
    }

    fn is_wanted(&self) -> bool {
        self.is_closing() || self.shared.orders.lock().as_ref().is_some_and(|orders| !orders.is_empty())
    }

    /// Sleeps while there is nothing, and then until it is worth a transaction, or somebody asks for one.
    fn gather(&mut self) {
        if self.fails {
            return self.rest(AGAIN, |_| false);
        }
        while self.recorder.pending() == 0 && !self.is_wanted() && !self.owes_drops() {
            self.recorder.sleep();
        }
        self.rest(self.settings.flush, |recorder| recorder.is_half_full());
    }

    fn rest(&self, span: Nanos, is_enough: impl Fn(&Recorder) -> bool) {
        let until = time::now().plus(span);
        loop {
            let now = time::now();
            if now >= until || is_enough(&self.recorder) || self.is_wanted() {
                return;
            }
            std::thread::park_timeout(until.since(now).duration());
        }
    }

    fn owes_drops(&self) -> bool {
        self.recorder.dropped() != self.told_dropped
    }

    /// Takes out of the ring what one transaction may take; how many that were.
    fn take(&mut self) -> usize {
        if !self.rows.is_empty() {
            // After trouble: these come first, and more would only lie in memory.
            return 0;
        }
        let moment = Moment::read();
        let (author, words, texts, rows) = (self.author, &self.words, &mut self.texts, &mut self.rows);
        if texts.len() > MOST_TEXTS {
            texts.clear();
        }
        let mut add = |record: &Record, source: &Texts| {
            let text = |number| match number {
                0 => None,
                number => texts.entry(number).or_insert_with(|| source.text(number)).clone(),
            };
            rows.push(Row::of(record, (author, recorder::next_number()), &moment, words, text));
        };
        let (mut oldest, mut newest) = (None, None);
        let taken = self.recorder.drain(AT_ONCE, |record, source| {
            oldest.get_or_insert(record.at);
            newest = Some(record.at);
            add(&record, source);
        });
        let dropped = self.recorder.dropped();
        if dropped != self.told_dropped {
            let (at, count) = (time::now(), (dropped - self.told_dropped).to_string());
            self.told_dropped = dropped;
            oldest.get_or_insert(at);
            let texts = Texts::default();
            let event = Event {
                other: Text::Plain(&count),
                ..Event::new(Of::Journal, What::Dropped, at, (Text::None, None))
            };
            if let Some(record) = Record::unpack(event.pack(&texts)) {
                let row = Row::of(&record, (author, recorder::next_number()), &moment, words, |number| {
                    texts.text(number)
                });
                rows.push(row);
            }
        }
        self.shared.oldest_in_hand.store(oldest.map_or(0, |at| at.0), Ordering::Relaxed);
        self.shared.in_hand.store(self.rows.len() as u64, Ordering::Relaxed);
        self.show(newest, None);
        taken
    }

    fn write(&mut self) {
        if self.rows.is_empty() {
            return;
        }
        let written = insert(&self.connection, &mut self.rows);
        self.fails = written.is_err();
        *self.shared.trouble.lock() = written.err();
        if self.fails {
            return;
        }
        self.shared.written.fetch_add(self.rows.len() as u64, Ordering::Relaxed);
        self.rows_since_upkeep += self.rows.len();
        self.rows.clear();
        self.shared.in_hand.store(0, Ordering::Relaxed);
        self.show(None, Some(time::now()));
    }

    /// Shows onlookers how far it is.
    fn show(&self, last_event_at: Option<Nanos>, last_written_at: Option<Nanos>) {
        let Some(page) = self.shared.page else { return };
        page.pending.set(self.rows.len() as u64 + self.recorder.pending());
        page.written.set(self.shared.written.load(Ordering::Relaxed));
        page.dropped.set(self.recorder.dropped() - self.shared.dropped_before);
        if let Some(at) = last_event_at {
            page.last_event_at.set(at.0);
        }
        if let Some(at) = last_written_at {
            page.last_written_at.set(at.0);
        }
    }

    /// Answers those whose events are in the file, or who cannot be helped.
    fn answer(&mut self) {
        let read = self.recorder.read();
        let trouble = self.shared.trouble.lock().clone();
        let mut orders = self.shared.orders.lock();
        let Some(orders) = orders.as_mut() else { return };
        for order in orders.extract_if(.., |order| order.until <= read || trouble.is_some()) {
            // Whoever asked may be gone.
            let _ = order.answer.send(trouble.clone().map_or(Ok(()), Err));
        }
    }

    fn maintain(&mut self) {
        let now = time::now();
        let is_due = self.rows_since_upkeep >= UPKEEP_ROWS || now.since(self.upkeep_at) >= UPKEEP_EVERY;
        if is_due && self.rows_since_upkeep > 0 {
            (self.rows_since_upkeep, self.upkeep_at) = (0, now);
            // It is at it already when it has no room for another order.
            let _ = self.upkeep.as_ref().map(|(orders, _)| orders.try_send(()));
        }
    }

    /// The last one leaves a small file, if nobody is in the way.
    fn leave(&mut self) {
        if let Some((orders, thread)) = self.upkeep.take() {
            drop(orders);
            // It says nothing that anybody wants to hear.
            let _ = thread.join();
        }
        let tidy = self.connection.busy_timeout(LAST_BUSY).map_err(Fault::from);
        let tidy = tidy.and_then(|()| trim(&self.connection, &self.settings));
        let _ = tidy.and_then(|()| take_over(&self.connection, "TRUNCATE"));
    }
}

/// Writes the rows, all or none, numbered from the newest on.
fn insert(connection: &Connection, rows: &mut [Row]) -> Result<(), Fault> {
    let work = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let newest: i64 = work.query_row("SELECT coalesce(max(id), 0) FROM events", [], |row| row.get(0))?;
    let sql = format!(
        "INSERT INTO events ({COLUMNS}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17)"
    );
    let mut statement = work.prepare(&sql)?;
    for (row, id) in rows.iter_mut().zip(newest + 1..) {
        row.id = id;
        row.insert(&mut statement)?;
    }
    drop(statement);
    work.commit()?;
    Ok(())
}
