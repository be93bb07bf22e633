//! A row of the journal: what it says, its check sum, and the event that people get of it.

use crate::recorder::event::{Mode, Of, Record, What};
use crate::sync::Arc;
use crate::time::{Moment, iso};
use rusqlite::{Row as SqlRow, Statement, params};
use serde::Serialize;

/// One row but its check sum. Times are nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: i64,
    /// Since 1970.
    pub at: i64,
    /// On the system's monotonic clock.
    pub monotonic: i64,
    pub pid: i64,
    /// With the pid it says which process that was.
    pub started: i64,
    /// The number of the event in its process.
    pub seq: i64,
    pub thread: Option<i64>,
    pub lock_kind: Arc<str>,
    pub lock: Option<Arc<str>>,
    pub kind: Arc<str>,
    pub layer: Option<Arc<str>>,
    pub label: Option<Arc<str>>,
    pub mode: Option<Arc<str>>,
    pub token: Option<i64>,
    pub span: Option<i64>,
    pub other: Option<Arc<str>>,
}

/// The columns, in the order of the struct; the check sum comes last.
pub const COLUMNS: &str = "id, at_ns, mono_ns, pid, started, seq, thread, lock_kind, lock, kind, layer, label, mode, \
                           token, span_ns, other, sum";

/// The words of the format, made once: a row takes a count of them and no copy.
#[derive(Debug)]
pub struct Words {
    what: Vec<Arc<str>>,
    of: Vec<Arc<str>>,
    mode: Vec<Arc<str>>,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            what: What::ALL.iter().map(|(_, word)| Arc::from(*word)).collect(),
            of: Of::ALL.iter().map(|(_, word)| Arc::from(*word)).collect(),
            mode: Mode::ALL.iter().map(|(_, word)| Arc::from(*word)).collect(),
        }
    }
}

/// Which process writes.
#[derive(Clone, Copy, Debug)]
pub struct Author {
    pub pid: i64,
    pub started: i64,
}

impl Row {
    /// Of a record; its `id` is given when it is written.
    pub fn of(
        record: &Record,
        (author, seq): (Author, u64),
        moment: &Moment,
        words: &Words,
        mut text: impl FnMut(u32) -> Option<Arc<str>>,
    ) -> Row {
        Row {
            id: 0,
            at: moment.epoch_ns_of(record.at),
            monotonic: record.at.system() as i64,
            pid: author.pid,
            started: author.started,
            seq: seq as i64,
            thread: record.thread_id.map(|thread| thread as i64),
            lock_kind: words.of[record.of as usize].clone(),
            lock: text(record.lock),
            kind: words.what[record.what as usize].clone(),
            layer: text(record.layer),
            label: text(record.label),
            mode: record.mode.map(|mode| words.mode[mode as usize].clone()),
            token: Some(record.token as i64).filter(|token| *token != 0),
            span: record.span.map(|span| span.0.min(i64::MAX as u64) as i64),
            other: text(record.other),
        }
    }

    pub fn insert(&self, statement: &mut Statement<'_>) -> rusqlite::Result<usize> {
        statement.execute(params![
            self.id,
            self.at,
            self.monotonic,
            self.pid,
            self.started,
            self.seq,
            self.thread,
            &*self.lock_kind,
            self.lock.as_deref(),
            &*self.kind,
            self.layer.as_deref(),
            self.label.as_deref(),
            self.mode.as_deref(),
            self.token,
            self.span,
            self.other.as_deref(),
            self.sum(),
        ])
    }

    /// A row as it lies in the file; `None` when its check sum says that it is not what was written.
    pub fn read(row: &SqlRow<'_>) -> rusqlite::Result<Option<Row>> {
        let read = Row {
            id: row.get(0)?,
            at: row.get(1)?,
            monotonic: row.get(2)?,
            pid: row.get(3)?,
            started: row.get(4)?,
            seq: row.get(5)?,
            thread: row.get(6)?,
            lock_kind: row.get(7)?,
            lock: row.get(8)?,
            kind: row.get(9)?,
            layer: row.get(10)?,
            label: row.get(11)?,
            mode: row.get(12)?,
            token: row.get(13)?,
            span: row.get(14)?,
            other: row.get(15)?,
        };
        let sum: i64 = row.get(16)?;
        Ok((sum == read.sum()).then_some(read))
    }

    /// FNV-1a over all columns: numbers as eight bytes, texts with their length before them, 0xff for what is
    /// missing. SQLite has no check sums of its own outside of the write-ahead log.
    fn sum(&self) -> i64 {
        let mut sum = Sum::default();
        for number in [self.id, self.at, self.monotonic, self.pid, self.started, self.seq] {
            sum.add(&number.to_le_bytes());
        }
        for number in [self.thread, self.token, self.span] {
            sum.add_if(number.map(i64::to_le_bytes).as_ref().map(|bytes| &bytes[..]));
        }
        let texts = [&self.lock, &self.layer, &self.label, &self.mode, &self.other];
        for text in texts.into_iter().map(Option::as_deref).chain([Some(&*self.lock_kind), Some(&*self.kind)])
        {
            sum.add_if(text.map(str::as_bytes));
        }
        sum.0 as i64
    }

    pub fn event(&self) -> Event<'_> {
        let at_ms = self.at as f64 / 1e6;
        Event {
            id: self.id,
            at: iso(at_ms),
            at_ms,
            pid: self.pid,
            thread_id: self.thread,
            lock: self.lock.as_deref(),
            lock_kind: &self.lock_kind,
            kind: &self.kind,
            layer: self.layer.as_deref(),
            label: self.label.as_deref(),
            mode: self.mode.as_deref(),
            token: self.token,
            span_ms: self.span.map(|span| span as f64 / 1e6),
            other: self.other.as_deref(),
        }
    }
}

#[derive(Debug)]
struct Sum(u64);

impl Default for Sum {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn add_if(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => {
                self.add(&(bytes.len() as u32).to_le_bytes());
                self.add(bytes);
            }
            None => self.add(&[0xff]),
        }
    }
}

/// A row as JavaScript gets it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event<'a> {
    id: i64,
    at: String,
    at_ms: f64,
    pid: i64,
    thread_id: Option<i64>,
    lock: Option<&'a str>,
    lock_kind: &'a str,
    kind: &'a str,
    layer: Option<&'a str>,
    label: Option<&'a str>,
    mode: Option<&'a str>,
    token: Option<i64>,
    span_ms: Option<f64>,
    other: Option<&'a str>,
}
