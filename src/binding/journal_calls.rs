//! The journal, as `#[napi]` functions. SQLite runs on libuv's pool or on the journal's own threads; what opens or
//! closes one, and what flushes at the end of the process, does so at once.

use crate::binding::calls::failed;
use crate::binding::process::PROCESS;
use crate::journal::fault::{CLOSED, Fault};
use crate::journal::reader::{Query, Reader};
use crate::journal::{self, Settings};
use crate::recorder::event::What;
use crate::sync::{Arc, Mutex};
use crate::time::Nanos;
use napi::bindgen_prelude::*;
use napi::{Env, Task};
use napi_derive::napi;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// How long the end of a thread waits for what is to be written.
const LAST_PATIENCE: Nanos = Nanos(2_000_000_000);

thread_local! {
    /// How many openings this thread has not given up.
    static OPENINGS: Cell<u32> = const { Cell::new(0) };
    /// Whether the thread's end gives them up.
    static IS_HOOKED: Cell<bool> = const { Cell::new(false) };
}

/// What was wrong.
#[napi(object)]
pub struct JournalFault {
    pub code: String,
    pub message: String,
}

impl From<Fault> for JournalFault {
    fn from(fault: Fault) -> Self {
        Self { code: fault.code.into(), message: fault.message }
    }
}

/// How to keep it, checked by the caller.
#[napi(object)]
pub struct JournalSettings {
    pub max_rows: f64,
    pub max_age_ms: f64,
    pub flush_ms: f64,
    /// The kinds of events to write, by their places in `journalKinds()`; all without it.
    pub kinds: Option<Vec<u32>>,
}

/// How far it is. Times in ms.
#[napi(object)]
pub struct JournalStats {
    pub written: f64,
    pub dropped: f64,
    pub pending: f64,
    pub lag_ms: f64,
    pub trouble: Option<JournalFault>,
}

/// What to read. Times in ms since 1970.
#[napi(object)]
pub struct JournalQuery {
    pub since: Option<f64>,
    pub until: Option<f64>,
    pub lock: Option<String>,
    pub layer: Option<String>,
    pub kind: Option<String>,
    pub after: Option<f64>,
    pub limit: u32,
}

fn query_of(given: JournalQuery) -> Query {
    // Rows are in whole microseconds (`Moment::epoch_ns_of`).
    let ns = |ms: f64| ((ms * 1e3).round() as i64).saturating_mul(1_000);
    Query {
        since: given.since.map(ns),
        until: given.until.map(ns),
        lock: given.lock,
        layer: given.layer,
        kind: given.kind,
        after: given.after.map(|after| after as i64),
        limit: given.limit,
    }
}

type Answer = std::result::Result<Option<String>, Fault>;
type Work = Box<dyn FnOnce() -> Answer + Send>;

/// Work for libuv's pool. Its answer is a text, null for none, or a [`JournalFault`].
pub struct JournalTask(Option<Work>);

impl Task for JournalTask {
    type Output = Answer;
    type JsValue = Either<Option<String>, JournalFault>;

    fn compute(&mut self) -> Result<Answer> {
        let Some(work) = self.0.take() else { return Err(failed("a journal's work was done twice")) };
        // A panic on the pool would end the process.
        catch_unwind(AssertUnwindSafe(work)).map_err(|_| failed("a bug in the journal"))
    }

    fn resolve(&mut self, _env: Env, answer: Answer) -> Result<Self::JsValue> {
        Ok(match answer {
            Ok(text) => Either::A(text),
            Err(fault) => Either::B(fault.into()),
        })
    }
}

fn later(work: impl FnOnce() -> Answer + Send + 'static) -> AsyncTask<JournalTask> {
    AsyncTask::new(JournalTask(Some(Box::new(work))))
}

/// The kinds of events, in the order of their codes.
#[napi(catch_unwind)]
pub fn journal_kinds() -> Vec<&'static str> {
    What::ALL.iter().map(|(_, word)| *word).collect()
}

/// Opens the process's journal, or shares it. Null when it is open. A worker's opening ends with the worker at
/// latest, also when that is terminated; the main thread's with the process, which closes nothing.
#[napi(catch_unwind)]
pub fn journal_open(
    env: Env,
    path: String,
    settings: JournalSettings,
    is_worker: bool,
) -> Result<Option<JournalFault>> {
    if is_worker && !IS_HOOKED.get() {
        env.add_env_cleanup_hook((), |()| leave())?;
        IS_HOOKED.set(true);
    }
    let kinds =
        settings.kinds.map_or(u64::MAX, |kinds| kinds.iter().fold(0, |bits, kind| bits | 1 << (kind & 63)));
    let settings = Settings {
        kinds,
        max_rows: settings.max_rows as u64,
        max_age: Nanos::from_ms(settings.max_age_ms),
        flush: Nanos::from_ms(settings.flush_ms),
    };
    let opened = journal::open(Path::new(&path), settings, PROCESS.journal);
    OPENINGS.set(OPENINGS.get() + u32::from(opened.is_ok()));
    Ok(opened.err().map(JournalFault::from))
}

/// A worker has ended.
fn leave() {
    let _ = catch_unwind(|| {
        for _ in 0..OPENINGS.try_with(Cell::take).unwrap_or(0) {
            // Nobody is left who could be told.
            let _ = journal::close(LAST_PATIENCE);
        }
    });
}

/// This thread gives up one opening, unless its end has done so.
fn give_up() {
    OPENINGS.set(OPENINGS.get().saturating_sub(1));
}

/// Gives up one opening; the last one closes. Waits at most so long for what is to be written.
#[napi(catch_unwind, ts_return_type = "Promise<JournalFault | null>")]
pub fn journal_close(patience_ms: f64) -> AsyncTask<JournalTask> {
    give_up();
    later(move || journal::close(Nanos::from_ms(patience_ms)).map(|()| None))
}

#[napi(catch_unwind)]
pub fn journal_close_sync(patience_ms: f64) -> Option<JournalFault> {
    give_up();
    journal::close(Nanos::from_ms(patience_ms)).err().map(JournalFault::from)
}

/// Until everything that happened before the call is in the file.
#[napi(catch_unwind, ts_return_type = "Promise<JournalFault | null>")]
pub fn journal_flush() -> AsyncTask<JournalTask> {
    let ordered = journal::current().map(|journal| journal.order_flush());
    later(move || match ordered.map(|ordered| ordered.recv()) {
        Some(Ok(answer)) => answer.map(|()| None),
        Some(Err(_)) | None => Err(Fault::new(CLOSED, "the journal was closed meanwhile")),
    })
}

/// The same at once, but not longer than so; nothing when there is no journal.
#[napi(catch_unwind)]
pub fn journal_flush_sync(patience_ms: f64) -> Option<JournalFault> {
    journal::current()?.flush(Nanos::from_ms(patience_ms)).err().map(JournalFault::from)
}

#[napi(catch_unwind)]
pub fn journal_stats() -> Option<JournalStats> {
    let stats = journal::current()?.stats();
    Some(JournalStats {
        written: stats.written as f64,
        dropped: stats.dropped as f64,
        pending: stats.pending as f64,
        lag_ms: stats.lag.as_ms(),
        trouble: stats.trouble.map(JournalFault::from),
    })
}

type Shared = Arc<Mutex<Reader>>;

/// Opens a journal to read: the reader, or why not.
#[napi(catch_unwind, ts_return_type = "ExternalObject<unknown> | JournalFault")]
pub fn journal_reader(path: String) -> Either<External<Shared>, JournalFault> {
    match Reader::open(Path::new(&path)) {
        Ok(reader) => Either::A(External::new(Arc::new(Mutex::new(reader)))),
        Err(fault) => Either::B(fault.into()),
    }
}

/// The events, as a JSON array.
#[napi(
    catch_unwind,
    ts_args_type = "reader: ExternalObject<unknown>, query: JournalQuery",
    ts_return_type = "Promise<string | JournalFault>"
)]
pub fn journal_read(reader: &External<Shared>, query: JournalQuery) -> AsyncTask<JournalTask> {
    let reader = Arc::clone(reader);
    later(move || reader.lock().query(&query_of(query)).map(Some))
}

/// The next events; null when nothing was written since nothing was found.
#[napi(
    catch_unwind,
    ts_args_type = "reader: ExternalObject<unknown>, query: JournalQuery",
    ts_return_type = "Promise<string | JournalFault | null>"
)]
pub fn journal_news(reader: &External<Shared>, query: JournalQuery) -> AsyncTask<JournalTask> {
    let reader = Arc::clone(reader);
    later(move || reader.lock().news(&query_of(query)))
}

/// The number of the newest event, as a text.
#[napi(
    catch_unwind,
    ts_args_type = "reader: ExternalObject<unknown>",
    ts_return_type = "Promise<string | JournalFault>"
)]
pub fn journal_newest(reader: &External<Shared>) -> AsyncTask<JournalTask> {
    let reader = Arc::clone(reader);
    later(move || reader.lock().newest().map(|id| Some(id.to_string())))
}

/// What SQLite finds wrong in the whole file, as a JSON array of lines.
#[napi(
    catch_unwind,
    ts_args_type = "reader: ExternalObject<unknown>",
    ts_return_type = "Promise<string | JournalFault>"
)]
pub fn journal_check(reader: &External<Shared>) -> AsyncTask<JournalTask> {
    let reader = Arc::clone(reader);
    later(move || reader.lock().check().map(|found| serde_json::to_string(&found).ok()))
}
