//! The named locks of a table: what its slots, rows and events say, put together.
//!
//! A state shows counts and the first holders and waiters together, as they were at one moment. Who stands
//! behind them, and what they have to tell, lies in rows of their own, which go on meanwhile. So the lists are
//! taken only when they agree with the counts; where they do not, after a few looks, those that the state
//! itself names are shown, and the lock is marked as torn.

use crate::metrics::timing::{Durations, Timing};
use crate::snapshot::rows::{Row, Rows};
use crate::snapshot::views::{EventView, HolderView, LockView, TimesView, WaiterView};
use crate::sync::Field;
use crate::table::layout::EVENTS;
use crate::table::named::{
    Event, FIRST, IS_HOLD, LockSlot, LockState, ModeStatistics, NamedPage, SLOTS, event_row,
};
use crate::table::ring::Record;
use crate::time::{Moment, Nanos};
use std::collections::HashMap;

/// So often is looked at the same thing again that changed meanwhile.
pub const LOOKS: usize = 4;
/// Events of one lock.
const MOST_EVENTS: usize = 10;
/// The units of a read/write lock.
const ALL: u64 = u32::MAX as u64;

/// What is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Also every free lock, not only those where something went wrong lately, and every bucket of their times.
    pub all: bool,
}

/// A place of a state, copied.
#[derive(Clone, Copy, Debug, Default)]
struct First {
    is_hold: bool,
    weight: u64,
    thread_row: u64,
    thread_id: u64,
    number: u64,
    since: Nanos,
    claim: u64,
}

/// A state, copied.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    capacity: u64,
    used: u64,
    holders: u64,
    waiters: u64,
    last_token: u64,
    first: [First; FIRST],
}

impl State {
    fn copy(state: &LockState) -> Self {
        let mut first = [First::default(); FIRST];
        let (holders, waiters) = (state.holders.get(), state.waiters.get());
        let count = holders.saturating_add(waiters).min(FIRST as u64) as usize;
        for (copy, place) in first.iter_mut().zip(&state.first).take(count) {
            let what = place.what.get();
            *copy = First {
                is_hold: what & IS_HOLD != 0,
                weight: what & !IS_HOLD & ALL,
                thread_row: place.thread_row.get(),
                thread_id: place.thread_id.get(),
                number: place.number.get(),
                since: Nanos(place.since.get()),
                claim: place.claim.get(),
            };
        }
        let (capacity, used, last_token) = (state.capacity.get(), state.used.get(), state.last_token.get());
        Self { capacity, used, holders, waiters, last_token, first }
    }

    /// Whether the claim in that place is one of the first.
    fn names(&self, claim: u64) -> bool {
        [true, false].into_iter().any(|is_hold| self.firsts(is_hold).any(|first| first.claim == claim))
    }

    fn firsts(&self, is_hold: bool) -> impl Iterator<Item = &First> {
        let count = self.holders.saturating_add(self.waiters).min(FIRST as u64) as usize;
        self.first[..count].iter().filter(move |first| first.is_hold == is_hold)
    }
}

/// The send lock is waited for inside of holds of named locks: by thread and layer, the tokens of these.
pub type Outside = Vec<(u64, Option<String>, Vec<i64>)>;

/// The named locks of a page, and who waits for the send lock inside of them.
pub fn locks(page: &NamedPage, pid: u32, wanted: Wanted, moment: Moment) -> (Vec<LockView>, Outside) {
    let mut rows = Rows::read(page);
    let end = (page.slots_end.get() as usize).min(SLOTS);
    let mut events = events_by_slot(page);
    let mut found = Vec::new();
    for (number, slot) in page.locks[..end].iter().enumerate() {
        let number = number as u32;
        let records = events.remove(&event_row(number)).unwrap_or_default();
        // What went wrong is told also when nobody holds or waits any more.
        let is_told = wanted.all || records.iter().any(|record| is_trouble(record.kind));
        if let Some(mut lock) = lock(page, slot, number, &mut rows, (wanted, is_told), moment) {
            lock.holders.iter_mut().for_each(|holder| holder.pid = Some(pid));
            lock.waiters.iter_mut().for_each(|waiter| waiter.pid = Some(pid));
            let of_it = records.into_iter().filter(|record| is_about(record, &lock));
            let mut last: Vec<EventView> =
                of_it.take(MOST_EVENTS).map(|record| event(&record, moment)).collect();
            last.reverse();
            lock.events = last;
            found.push(lock);
        }
    }
    let outside = rows.rows.iter().filter(|row| row.is_outside);
    let outside = outside.map(|row| (row.thread_id, row.label(), row.inside())).collect();
    (found, outside)
}

fn lock(
    page: &NamedPage,
    slot: &LockSlot,
    number: u32,
    rows: &mut Rows,
    (wanted, also_free): (Wanted, bool),
    moment: Moment,
) -> Option<LockView> {
    let mut torn = None;
    // First with the rows that were read for all.
    for _ in 0..=LOOKS {
        let whole = slot.identity.read(|| {
            let kind = slot.kind.get();
            if kind == 0 {
                return Some(None);
            }
            let state = slot.newest.read(|place| State::copy(&slot.states[place]))?;
            let is_free = state.holders == 0 && state.waiters == 0;
            Some((also_free || !is_free).then(|| (kind, state, name_of(slot))))
        });
        let Some(whole) = whole.flatten() else { continue };
        let (kind, state, name) = whole?;
        let mut view = LockView {
            name: name.as_ref().map(|(name, _)| name.clone()),
            name_cut: name.is_some_and(|(_, is_cut)| is_cut),
            kind: if kind == 2 { "semaphore" } else { "lock" },
            scope: "process",
            slot: Some(number),
            permits: (kind == 2).then_some(state.capacity),
            used: if kind == 2 { state.used } else { state.holders },
            holder_count: state.holders,
            waiter_count: state.waiters,
            last_token: state.last_token,
            ..LockView::default()
        };
        let is_whole = people(&mut view, number, &state, rows, moment);
        view.state = if state.holders > 0 {
            "held"
        } else if state.waiters > 0 {
            "waiting"
        } else {
            "free"
        };
        view.mode = match (kind, state.used) {
            (2, _) | (_, 0) => None,
            (_, ALL) => Some("exclusive"),
            _ => Some("shared"),
        };
        if is_whole {
            figures(&mut view, slot, wanted);
            return Some(view);
        }
        view.torn = true;
        torn = Some(view);
        if !rows.read_again(page) {
            break;
        }
    }
    let mut view = torn?;
    figures(&mut view, slot, wanted);
    Some(view)
}

fn name_of(slot: &LockSlot) -> Option<(String, bool)> {
    (slot.has_name.get() != 0).then(|| slot.name.get())
}

/// Puts in who holds and who waits; whether that agrees with what the state says.
fn people(view: &mut LockView, slot: u32, state: &State, rows: &Rows, moment: Moment) -> bool {
    let is_lock = view.kind == "lock";
    let mode = |weight: u64| if is_lock && weight == 0 { "exclusive" } else { "shared" };
    let units = |weight: u64| if weight == 0 { ALL } else { weight };
    let weight_of = |weight: u64| if is_lock { 1 } else { weight };

    let mut holders: Vec<HolderView> = state
        .firsts(true)
        .map(|first| HolderView {
            thread_id: first.thread_id,
            thread_row: first.thread_row,
            label: rows.of(first.claim, first.is_hold, first.number).and_then(|row| row.label()),
            token: first.number,
            mode: mode(first.weight),
            weight: weight_of(first.weight),
            since_at_ms: moment.epoch_of(first.since),
            ..HolderView::default()
        })
        .collect();
    let mut used: u64 = state.firsts(true).map(|first| units(first.weight)).fold(0, u64::saturating_add);
    if state.holders > holders.len() as u64 {
        // Grants are in order: who comes behind the first has a later one, and nobody one after the last.
        let after = holders.last().map_or(0, |holder| holder.token);
        let is_behind = |row: &Row| row.token > after && row.token <= state.last_token;
        let rest = rows.in_slot(slot, true).filter(|(row, _)| is_behind(row) && !state.names(row.at));
        let mut rest: Vec<_> = rest.collect();
        rest.sort_by_key(|(row, _)| row.token);
        used = rest.iter().map(|(_, weight)| units(*weight)).fold(used, u64::saturating_add);
        holders.extend(rest.into_iter().map(|(row, weight)| HolderView {
            thread_id: row.thread_id,
            thread_row: row.thread_row,
            label: row.label(),
            token: row.token,
            mode: mode(weight),
            weight: weight_of(weight),
            since_at_ms: moment.epoch_of(row.since),
            ..HolderView::default()
        }));
    }

    let waiter = |first: &First, row: Option<&Row>| WaiterView {
        thread_id: first.thread_id,
        thread_row: first.thread_row,
        label: row.and_then(Row::label),
        // Who upgrades wants all that others have, and so to be exclusive.
        mode: if row.is_some_and(|row| row.upgrades != 0) { "exclusive" } else { mode(first.weight) },
        weight: weight_of(first.weight),
        since_at_ms: moment.epoch_of(first.since),
        deadline_at_ms: row
            .map(|row| row.deadline)
            .filter(|at| *at != Nanos::FOREVER)
            .map(|at| moment.epoch_of(at)),
        priority: row.filter(|row| row.upgrades == 0).map_or(0, |row| row.priority),
        inside_of: row.map(Row::inside).unwrap_or_default(),
        ..WaiterView::default()
    };
    let mut waiters: Vec<WaiterView> = state
        .firsts(false)
        .map(|first| waiter(first, rows.of(first.claim, first.is_hold, first.number)))
        .collect();
    if state.waiters > waiters.len() as u64 {
        let mut rest: Vec<_> = rows.in_slot(slot, false).filter(|(row, _)| !state.names(row.at)).collect();
        rest.sort_by_key(|(row, _)| (row.priority.saturating_neg(), row.arrival, row.let_past));
        waiters.extend(rest.into_iter().map(|(row, weight)| {
            let first = First {
                is_hold: false,
                weight,
                thread_row: row.thread_row,
                thread_id: row.thread_id,
                number: row.arrival,
                since: row.since,
                claim: row.at,
            };
            waiter(&first, Some(row))
        }));
    }
    let is_whole =
        holders.len() as u64 == state.holders && waiters.len() as u64 == state.waiters && used == state.used;
    if !is_whole {
        // Only what belongs together for certain.
        holders.truncate(state.firsts(true).count());
        waiters.truncate(state.firsts(false).count());
    }
    for (index, waiter) in waiters.iter_mut().enumerate() {
        waiter.position = index as u64 + 1;
    }
    (view.holders, view.waiters) = (holders, waiters);
    is_whole
}

fn figures(view: &mut LockView, slot: &LockSlot, wanted: Wanted) {
    // Somebody else's numbers may be too large to be added.
    let both = |field: fn(&ModeStatistics) -> &Field| {
        slot.modes.iter().map(|mode| field(mode).get()).fold(0, u64::saturating_add)
    };
    view.acquisitions = both(|mode| &mode.acquisitions);
    view.releases = both(|mode| &mode.releases);
    view.errors = both(|mode| &mode.errors);
    view.contended = both(|mode| &mode.contended);
    view.timeouts = both(|mode| &mode.timeouts);
    view.aborts = both(|mode| &mode.aborts);
    view.forced = both(|mode| &mode.forced);
    view.stolen = both(|mode| &mode.steals).saturating_sub(view.forced);
    view.recoveries = both(|mode| &mode.deaths);
    view.deadlocks = both(|mode| &mode.deadlocks);
    let [exclusive, shared] = &slot.modes;
    view.wait = times([&exclusive.wait, &shared.wait], wanted);
    view.hold = times([&exclusive.hold, &shared.hold], wanted);
}

fn times(timings: [&Timing; 2], wanted: Wanted) -> TimesView {
    let mut durations = Durations::default();
    timings.iter().for_each(|timing| durations.add(timing));
    let summary = durations.summary();
    TimesView {
        count: durations.count,
        total_ms: durations.total.as_ms(),
        p50_ms: summary.p50_ms,
        p99_ms: summary.p99_ms,
        max_ms: summary.max_ms,
        buckets: wanted.all.then(|| durations.cumulative().collect()),
    }
}

/// The last events of each slot, newest first.
fn events_by_slot(page: &NamedPage) -> HashMap<u64, Vec<Record<Event>>> {
    let mut by_slot: HashMap<u64, Vec<Record<Event>>> = HashMap::new();
    for stamp in page.events.stamps(EVENTS, 0).rev() {
        let of_slot = by_slot.entry(page.events.row_of(stamp)).or_default();
        if of_slot.len() < MOST_EVENTS
            && let Some(record) = page.events.read(stamp)
        {
            of_slot.push(record);
        }
    }
    by_slot
}

/// A slot has had other locks before; an event tells the name.
fn is_about(record: &Record<Event>, lock: &LockView) -> bool {
    let name = lock.name.as_deref().unwrap_or_default();
    record.layer == crate::name::ShortText::cut(name)
}

fn is_trouble(event: Event) -> bool {
    use Event::{Deadlock, Forced, Order, Recovered, Stolen, TimedOut};
    matches!(event, Deadlock | Forced | Order | Recovered | Stolen | TimedOut)
}

fn event(record: &Record<Event>, moment: Moment) -> EventView {
    let text = (!record.other.is_empty()).then(|| record.other.to_text());
    // Of an order that was turned round, the record has the other lock.
    let (label, other) = if record.kind == Event::Order { (None, text) } else { (text, None) };
    EventView {
        at_ms: moment.epoch_of(record.at),
        kind: match record.kind {
            Event::Acquired => "acquired",
            Event::Forced => "forced",
            Event::Recovered => "recovered",
            Event::Waiting => "waiting",
            Event::TimedOut => "timed_out",
            Event::Aborted => "aborted",
            Event::Stolen => "stolen",
            Event::Deadlock => "deadlock",
            Event::Order => "order",
            Event::Failed => "failed",
            Event::Downgraded => "downgraded",
            Event::Upgraded => "upgraded",
        },
        layer: None,
        label,
        thread_id: record.thread_id,
        token: (record.token != 0).then_some(record.token),
        span_ms: record.held.map(Nanos::as_ms),
        other,
    }
}
