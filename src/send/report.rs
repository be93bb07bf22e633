//! What people read: `getMetrics()`, `getLockStatus()` and the history, as JSON. Names and formats of the
//! first group are those of the JavaScript module that chainlock replaces; everything else stands beside.

use crate::name::ShortText;
use crate::send::book::Book;
use crate::send::layers::OTHERS;
use crate::send::lock::SendLock;
use crate::send::rules;
use crate::table::layout::{Counters, EVENTS, LAYERS, SendPage};
use crate::table::ring::{Kind, Record};
use crate::time::Moment;
use serde::Serialize;

const RECENT: usize = 10;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Totals {
    total_acquisitions: u64,
    total_releases: u64,
    duplicates_blocked: u64,
    force_releases: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    timestamp: f64,
    layer_id: String,
    success: bool,
    action: String,
    duration: Option<u64>,
    lock_state: EntryState,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryState {
    is_sending: bool,
    current_layer: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    is_sending_to_claude: bool,
    sending_layer_id: Option<String>,
    lock_start_time: Option<f64>,
    lock_age: Option<u64>,
    metrics: Totals,
    token: Option<u64>,
    thread_id: Option<u64>,
    pid: Option<u32>,
    scope: &'static str,
    overdue: bool,
    cooldown_remaining: u64,
    waiters: u64,
    last_send_time: f64,
}

impl SendLock {
    /// The numbers of `getMetrics()`, for a face that knows [`metric_names`]; then the number of the first layer
    /// row (0, or another where processes share the lock: a face tells by it what it knows), a count of layers
    /// and four counts each; then the first stamp and the number of the recent records and five numbers each:
    /// kind, epoch ms, duration (−1: none), layer row, row of the other (−2: none; −1: only as a text).
    pub fn metrics(&self, moment: Moment, mut put: impl FnMut(f64)) {
        self.look(|book, page| {
            numbers(book, page, |_, value| put(value));
            let base = self.first_row() as u64;
            put(base as f64);
            let layers = &page.layers.0[..(page.layer_count.get() as usize).min(LAYERS)];
            put(layers.len() as f64);
            for row in layers {
                for field in [&row.acquisitions, &row.releases, &row.blocked, &row.forced] {
                    put(field.get() as f64);
                }
            }
            let stamps = page.history.stamps(RECENT.min(book.settings.history_limit), book.history_after);
            put(*stamps.start() as f64);
            put(stamps.clone().count() as f64);
            for record in stamps.filter_map(|stamp| page.history.read::<Kind>(stamp)) {
                put(record.kind as u64 as f64);
                put(moment.epoch_of(record.at));
                put(record.held.map_or(-1.0, |held| held.whole_ms() as f64));
                put(if record.layer_row < OTHERS as u64 { (base + record.layer_row) as f64 } else { -1.0 });
                let other_is_row = record.other.is_empty() || record.other_row < OTHERS as u64;
                put(if record.other.is_empty() {
                    -2.0
                } else if other_is_row {
                    base.wrapping_add(record.other_row) as f64
                } else {
                    -1.0
                });
            }
        });
    }

    /// `getLockStatus()`.
    pub fn status_json(&self, moment: Moment) -> String {
        self.look(|book, page| {
            let holder = book.holder;
            let last = book.state.last_acquired;
            let left = rules::cooldown_left(&book.settings.rules, &book.state, moment.now);
            let status = Status {
                is_sending_to_claude: holder.is_some(),
                sending_layer_id: holder.map(|holder| holder.layer.name.to_text()),
                lock_start_time: holder.map(|holder| moment.epoch_of(holder.since)),
                lock_age: holder.map(|holder| moment.now.since(holder.since).whole_ms()),
                metrics: totals(&page.counters),
                token: holder.map(|holder| holder.token),
                thread_id: holder.map(|holder| holder.caller.thread_id),
                pid: holder.map(|holder| holder.caller.row.process.pid()),
                scope: if self.is_shared() { "host" } else { "process" },
                overdue: book.state.hold.is_some_and(|hold| hold.overdue),
                cooldown_remaining: left.map_or(0, |left| left.0.div_ceil(1_000_000)),
                waiters: book.queue.len() as u64,
                last_send_time: if last.0 == 0 { 0.0 } else { moment.epoch_of(last) },
            };
            to_json(&status)
        })
    }

    /// `lockHistory`: everything that is kept, oldest first.
    pub fn history_json(&self, moment: Moment) -> String {
        self.look(|book, page| {
            let entries: Vec<Entry> =
                history(book, page, book.settings.history_limit).map(|r| entry(&r, moment)).collect();
            to_json(&entries)
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Events {
    /// The newest record; where the next reading starts.
    last: u64,
    /// Records that were overwritten before anybody fetched them.
    lost: u64,
    events: Vec<Event>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    name: &'static str,
    timestamp: f64,
    layer_id: String,
    token: u64,
    thread_id: u64,
    held_ms: Option<f64>,
    reason: Option<String>,
    holder: Option<String>,
}

impl SendLock {
    /// The history's records from `first` on, as [`Self::history_json`] has them.
    pub fn entries_json(&self, first: u64, count: usize, moment: Moment) -> String {
        self.look(|_, page| {
            let records = (first..).take(count).filter_map(|stamp| page.history.read(stamp));
            to_json(&records.map(|record| entry(&record, moment)).collect::<Vec<Entry>>())
        })
    }

    /// The events after record `after`, oldest first.
    pub fn events_json(&self, after: u64, moment: Moment) -> String {
        self.look(|_, page| {
            let last = page.events.written();
            let events: Vec<Event> = page.events.latest(EVENTS, after).map(|r| event(&r, moment)).collect();
            let lost = last.saturating_sub(after).saturating_sub(events.len() as u64);
            to_json(&Events { last, lost, events })
        })
    }

    /// The newest record: where a reader starts that wants only what comes.
    pub fn last_event(&self) -> u64 {
        self.look(|_, page| page.events.written())
    }
}

fn event(record: &Record, moment: Moment) -> Event {
    let other = || (!record.other.is_empty()).then(|| record.other.to_text());
    let (name, reason, holder) = match record.kind {
        Kind::Acquired => ("acquired", None, None),
        Kind::Released => ("released", None, None),
        Kind::BlockedHeld => ("blocked", Some("held".into()), other()),
        Kind::BlockedCooldown => ("blocked", Some("cooldown".into()), other()),
        Kind::BlockedDuplicateMessage => ("blocked", Some("duplicate_message".into()), other()),
        Kind::Overdue => ("overdue", None, None),
        Kind::Forced => ("forced", other(), None),
        Kind::Recovered => ("recovered", other(), None),
    };
    Event {
        name,
        timestamp: moment.epoch_of(record.at),
        layer_id: record.layer.to_text(),
        token: record.token,
        thread_id: record.thread_id,
        held_ms: record.held.map(|held| held.as_ms()),
        reason,
        holder,
    }
}

/// The name of what happened, as the history has it.
pub fn action(kind: Kind, reason: &ShortText) -> String {
    match kind {
        Kind::Acquired => "acquired".into(),
        Kind::Released => "released".into(),
        Kind::BlockedHeld | Kind::BlockedDuplicateMessage => "duplicate_blocked".into(),
        Kind::BlockedCooldown => "cooldown_blocked".into(),
        Kind::Overdue => "overdue".into(),
        Kind::Forced | Kind::Recovered => format!("force_released_{}", reason.to_text()),
    }
}

fn to_json(value: &impl Serialize) -> String {
    // Only maps with keys that are not strings and failing writers can fail; there are none of either.
    serde_json::to_string(value).unwrap_or_default()
}

fn totals(counters: &Counters) -> Totals {
    Totals {
        total_acquisitions: counters.acquisitions.get(),
        total_releases: counters.releases.get(),
        duplicates_blocked: counters.blocked_held.get()
            + counters.blocked_cooldown.get()
            + counters.blocked_duplicate_message.get(),
        force_releases: counters.forced_manual.get()
            + counters.forced_timeout.get()
            + counters.forced_stale_timeout.get()
            + counters.forced_thread_exit.get()
            + counters.forced_process_exit.get(),
    }
}

/// Every number of `getMetrics()` with its name: the one place that lists them.
fn numbers(book: &Book, page: &SendPage, mut put: impl FnMut(&'static str, f64)) {
    let counters = &page.counters;
    let totals = totals(counters);
    let (held_ms, held_count) = history_durations(book, page);
    let mut count = |name, value: u64| put(name, value as f64);
    count("totalAcquisitions", totals.total_acquisitions);
    count("totalReleases", totals.total_releases);
    count("duplicatesBlocked", totals.duplicates_blocked);
    count("forceReleases", totals.force_releases);
    count("historyDurationMs", held_ms);
    count("historyDurations", held_count);
    count("refusedByReason.held", counters.blocked_held.get());
    count("refusedByReason.cooldown", counters.blocked_cooldown.get());
    count("refusedByReason.duplicate_message", counters.blocked_duplicate_message.get());
    count("refusedByReason.unknown_layer", counters.refused_unknown_layer.get());
    count("forcedByReason.manual", counters.forced_manual.get());
    count("forcedByReason.timeout", counters.forced_timeout.get());
    count("forcedByReason.stale_timeout", counters.forced_stale_timeout.get());
    count("forcedByReason.thread_exit", counters.forced_thread_exit.get());
    count("forcedByReason.process_exit", counters.forced_process_exit.get());
    count("lateReleases", counters.late_releases.get());
    count("overdue", counters.overdue.get());
    count("joins", counters.joins.get());
    count("waits", counters.waits.get());
    count("waitTimeouts", counters.wait_timeouts.get());
    count("waitAborts", counters.wait_aborts.get());
    count("queueFull", counters.queue_full.get());
    for (names, histogram) in [(WAIT_TIMES, &page.wait_times), (HOLD_TIMES, &page.hold_times)] {
        let summary = histogram.summary();
        put(names[0], summary.count as f64);
        put(names[1], summary.avg_ms);
        put(names[2], summary.p50_ms);
        put(names[3], summary.p90_ms);
        put(names[4], summary.p99_ms);
        put(names[5], summary.max_ms);
    }
}

const WAIT_TIMES: [&str; 6] = [
    "waitTimes.count",
    "waitTimes.avgMs",
    "waitTimes.p50Ms",
    "waitTimes.p90Ms",
    "waitTimes.p99Ms",
    "waitTimes.maxMs",
];
const HOLD_TIMES: [&str; 6] = [
    "holdTimes.count",
    "holdTimes.avgMs",
    "holdTimes.p50Ms",
    "holdTimes.p90Ms",
    "holdTimes.p99Ms",
    "holdTimes.maxMs",
];

/// The names of the numbers that [`SendLock::metrics`] puts first, in their order; a dot is a level.
pub fn metric_names() -> Vec<&'static str> {
    let mut names = Vec::new();
    numbers(&Book::new(), &SendPage::default(), |name, _| names.push(name));
    names
}

fn history<'a>(book: &Book, page: &'a SendPage, most: usize) -> impl Iterator<Item = Record> + 'a {
    page.history.latest(most.min(book.settings.history_limit), book.history_after)
}

/// The ended holds in the history, in whole milliseconds, those of no length left out: their sum and
/// number, of which the JavaScript module gave the mean.
fn history_durations(book: &Book, page: &SendPage) -> (u64, u64) {
    let (mut total, mut count) = (0u64, 0u64);
    for held in page.history.latest_held(book.settings.history_limit, book.history_after) {
        total += held.whole_ms();
        count += u64::from(held.whole_ms() > 0);
    }
    (total, count)
}

fn entry(record: &Record, moment: Moment) -> Entry {
    let layer = record.layer.to_text();
    let blocker = || (!record.other.is_empty()).then(|| record.other.to_text());
    let (success, current_layer) = match record.kind {
        Kind::Acquired => (true, Some(layer.clone())),
        Kind::BlockedHeld | Kind::BlockedDuplicateMessage | Kind::BlockedCooldown => (false, blocker()),
        Kind::Released | Kind::Overdue | Kind::Forced | Kind::Recovered => (true, None),
    };
    Entry {
        timestamp: moment.epoch_of(record.at),
        layer_id: layer,
        success,
        action: action(record.kind, &record.other),
        duration: record.held.map(|held| held.whole_ms()),
        lock_state: EntryState { is_sending: current_layer.is_some(), current_layer },
    }
}
