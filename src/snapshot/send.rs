//! The send lock of a table: who holds it and who waits, what the rules make due, what was counted.

use crate::metrics::histogram::Histogram;
use crate::name::ShortText;
use crate::send::config::Settings;
use crate::send::layers::OTHERS;
use crate::send::rules::{self, Hold, State};
use crate::snapshot::named::{LOOKS, Outside, Wanted};
use crate::snapshot::views::{
    EventView, ForcedView, HolderView, LayerView, LockView, SendView, TimesView, WaiterView,
};
use crate::table::layout::{LAYERS, LINE, SendPage};
use crate::table::ring::{Kind, Record};
use crate::time::{Moment, Nanos};

/// Events that are told.
const MOST_EVENTS: usize = 10;

/// What belongs together of a page.
struct Hot {
    is_held: bool,
    is_overdue: bool,
    token: u64,
    holder: HolderView,
    since: Nanos,
    last_acquired: Nanos,
    last_ended: Nanos,
    waiter_count: u64,
    waiters: Vec<WaiterView>,
}

fn copy(page: &SendPage, moment: Moment) -> Hot {
    let word = page.word.read();
    let waiter_count = page.waiters.get();
    let since = Nanos(page.held_since.get());
    let waiters = page.line.iter().take(waiter_count.min(LINE as u64) as usize).enumerate();
    Hot {
        is_held: word.is_held(),
        is_overdue: word.is_overdue(),
        token: word.token(),
        holder: HolderView {
            pid: u32::try_from(page.holder_pid.get()).ok(),
            thread_id: page.holder_thread.get(),
            thread_row: page.holder_row.get(),
            layer: text(&page.holder_layer.get()),
            label: None,
            token: word.token(),
            mode: "exclusive",
            weight: 1,
            since_at_ms: moment.epoch_of(since),
        },
        since,
        last_acquired: Nanos(page.last_acquired.get()),
        last_ended: Nanos(page.last_ended.get()),
        waiter_count,
        waiters: waiters
            .map(|(index, row)| WaiterView {
                position: index as u64 + 1,
                pid: u32::try_from(row.pid.get()).ok(),
                thread_id: row.thread_id.get(),
                thread_row: row.thread_row.get(),
                layer: layer(page, row.layer_row.get()),
                label: None,
                mode: "exclusive",
                weight: 1,
                since_at_ms: moment.epoch_of(Nanos(row.since.get())),
                deadline_at_ms: at_ms(Nanos(row.deadline.get()), moment),
                priority: 0,
                inside_of: Vec::new(),
            })
            .collect(),
    }
}

fn text(text: &ShortText) -> Option<String> {
    (!text.is_empty()).then(|| text.to_text())
}

fn at_ms(at: Nanos, moment: Moment) -> Option<f64> {
    (at != Nanos::FOREVER).then(|| moment.epoch_of(at))
}

/// The name of a layer; those that share the last row have none there.
fn layer(page: &SendPage, row: u64) -> Option<String> {
    let row = usize::try_from(row).ok().filter(|row| *row < OTHERS)?;
    text(&page.layers.0[row].name.get())
}

/// The send lock of a page.
pub fn lock(page: &SendPage, outside: &Outside, wanted: Wanted, moment: Moment) -> LockView {
    let whole = (0..LOOKS).find_map(|look| {
        if look > 1 {
            // A writer was stopped in the middle, for a moment.
            std::thread::yield_now();
        }
        page.sequence.read(|| copy(page, moment))
    });
    let torn = whole.is_none();
    let mut hot = whole.unwrap_or_else(|| copy(page, moment));
    tell_inside(&mut hot.waiters, outside);
    let rules = Settings::published(&page.rules);
    let hold = hot.is_held.then_some(Hold { since: hot.since, overdue: hot.is_overdue });
    let state = State { hold, last_acquired: hot.last_acquired, last_ended: hot.last_ended };
    let now = moment.now;
    let cooldown_left = rules::cooldown_left(&rules, &state, now);
    let counters = &page.counters;
    let forced = ForcedView {
        manual: counters.forced_manual.get(),
        timeout: counters.forced_timeout.get(),
        stale_timeout: counters.forced_stale_timeout.get(),
        thread_exit: counters.forced_thread_exit.get(),
        process_exit: counters.forced_process_exit.get(),
    };
    let sum = |numbers: &[u64]| numbers.iter().fold(0, |sum: u64, number| sum.saturating_add(*number));
    let duplicates = counters.blocked_duplicate_message.get();
    let blocked = [counters.blocked_held.get(), counters.blocked_cooldown.get()];
    LockView {
        name: Some("send".into()),
        kind: "send",
        scope: "process",
        state: match (hot.is_held, cooldown_left, hot.waiter_count) {
            (true, _, _) => "held",
            (false, Some(_), _) => "cooldown",
            (false, None, 0) => "free",
            (false, None, _) => "waiting",
        },
        mode: hot.is_held.then_some("exclusive"),
        used: u64::from(hot.is_held),
        holder_count: u64::from(hot.is_held),
        holders: hot.is_held.then_some(hot.holder).into_iter().collect(),
        waiter_count: hot.waiter_count,
        waiters: hot.waiters,
        torn,
        last_token: hot.token,
        acquisitions: counters.acquisitions.get(),
        releases: counters.releases.get(),
        contended: counters.waits.get(),
        timeouts: counters.wait_timeouts.get(),
        aborts: counters.wait_aborts.get(),
        forced: sum(&[forced.manual, forced.timeout, forced.stale_timeout]),
        recoveries: sum(&[forced.thread_exit, forced.process_exit]),
        wait: times(&page.wait_times, wanted),
        hold: times(&page.hold_times, wanted),
        events: page.events.latest(MOST_EVENTS, 0).map(|record| event(&record, moment)).collect(),
        send: Some(SendView {
            cooldown_ms: rules.cooldown.as_ms(),
            cooldown_left_ms: cooldown_left.map_or(0.0, Nanos::as_ms),
            timeout_ms: span_ms(rules.timeout),
            force_after_ms: span_ms(rules.force_after),
            due_timeout_ms: hold.and_then(|hold| left(hold.since.plus(rules.timeout), now)),
            due_force_ms: hold.and_then(|hold| left(hold.since.plus(rules.force_after), now)),
            is_overdue: hot.is_overdue,
            duplicates_suppressed: sum(&[blocked[0], blocked[1], duplicates]),
            blocked_held: blocked[0],
            blocked_cooldown: blocked[1],
            refused_unknown_layer: counters.refused_unknown_layer.get(),
            queue_full: counters.queue_full.get(),
            joins: counters.joins.get(),
            forced_by_reason: forced,
            layers: layers(page),
            overdue: counters.overdue.get(),
            late_releases: counters.late_releases.get(),
        }),
        ..LockView::default()
    }
}

/// A rule that says "never" has no span.
fn span_ms(span: Nanos) -> Option<f64> {
    (span != Nanos::FOREVER).then(|| span.as_ms())
}

/// What is left until then; less than nothing when it is over.
fn left(at: Nanos, now: Nanos) -> Option<f64> {
    (at != Nanos::FOREVER).then(|| at.since(now).as_ms() - now.since(at).as_ms())
}

fn layers(page: &SendPage) -> Vec<LayerView> {
    let rows = &page.layers.0[..(page.layer_count.get() as usize).min(LAYERS)];
    let view = |row: &crate::table::layout::LayerRow| LayerView {
        layer: row.name.get().to_text(),
        acquisitions: row.acquisitions.get(),
        releases: row.releases.get(),
        blocked: row.blocked.get(),
        forced: row.forced.get(),
    };
    rows.iter().map(view).collect()
}

/// A request for the send lock that waits inside of named holds has a row among the claims: the first of its
/// thread and layer.
fn tell_inside(waiters: &mut [WaiterView], outside: &Outside) {
    let mut outside: Vec<_> = outside.iter().collect();
    for waiter in waiters {
        let is_its = |(thread_id, layer, _): &&(u64, Option<String>, Vec<i64>)| {
            *thread_id == waiter.thread_id && *layer == waiter.layer
        };
        if let Some(at) = outside.iter().position(is_its) {
            waiter.inside_of = outside.swap_remove(at).2.clone();
        }
    }
}

fn times(histogram: &Histogram, wanted: Wanted) -> TimesView {
    let summary = histogram.summary();
    TimesView {
        count: summary.count,
        total_ms: histogram.total().as_ms(),
        p50_ms: summary.p50_ms,
        p99_ms: summary.p99_ms,
        max_ms: summary.max_ms,
        buckets: wanted.all.then(|| histogram.cumulative().collect()),
    }
}

fn event(record: &Record, moment: Moment) -> EventView {
    let other = text(&record.other);
    let (kind, other) = match record.kind {
        Kind::Acquired => ("acquired", None),
        Kind::Released => ("released", None),
        Kind::BlockedHeld => ("blocked", other),
        Kind::BlockedCooldown => ("blocked", Some("cooldown".into())),
        Kind::BlockedDuplicateMessage => ("blocked", Some("duplicate_message".into())),
        Kind::Overdue => ("overdue", None),
        Kind::Forced => ("forced", other),
        Kind::Recovered => ("recovered", other),
    };
    EventView {
        at_ms: moment.epoch_of(record.at),
        kind,
        layer: text(&record.layer),
        label: None,
        thread_id: record.thread_id,
        token: (record.token != 0).then_some(record.token),
        span_ms: record.held.map(Nanos::as_ms),
        other,
    }
}
