//! What lies on the pages of this process and of others, as data for JSON. Nothing there is trusted: every number is
//! checked before it is used, and every text is cut and cleaned again.

use crate::lease::manager::cell::CAUSES;
use crate::lease::page::layout::{
    Counts, KEY, LAYOUT_VERSION, LEASES, LeasePage, LeaseRow, MAGIC, STORES, StoreRow, WORKER,
};
use crate::lease::page::memory::{FILE, existing, foreign};
use crate::lease::page::sheet::{State, What};
use crate::metrics::timing::Durations;
use crate::registry::text::{Text, TextField};
use crate::sync::{Ordering, fence};
use crate::sys::foreign_memory::ForeignMemory;
use crate::time::{self, Moment, Nanos};
use serde::Serialize;
use std::mem::size_of;

/// A writer that does its worst can spoil so many copies of one row; then it is left out.
const MOST_LOOKS: usize = 100;
const FOREVER: u64 = u64::MAX;

/// What one process does with stores. Instants are epoch milliseconds, spans milliseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PageView {
    pub pid: u32,
    pub stores: Vec<StoreView>,
    pub leases: Vec<LeaseView>,
    pub unshown_stores: u64,
    pub unshown_leases: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreView {
    pub place: usize,
    pub engine: String,
    pub shown: String,
    pub open: bool,
    pub reach: &'static str,
    pub since_at_ms: Option<f64>,
    pub answered_at_ms: Option<f64>,
    pub failures: u64,
    pub error: Option<String>,
    pub skew_ms: Option<f64>,
    pub skew_error_ms: Option<f64>,
    pub skew_at_ms: Option<f64>,
    pub counts: CountsView,
    pub renew: RenewView,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CountsView {
    pub acquisitions: u64,
    pub releases: u64,
    pub timeouts: u64,
    pub aborts: u64,
    pub refused: u64,
    pub failed: u64,
    pub conflicts: u64,
    pub renewals: u64,
    pub failed_renewals: u64,
    /// In the order of the causes.
    pub lost: [u64; 7],
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RenewView {
    pub count: u64,
    pub total_ms: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buckets: Option<Vec<(f64, u64)>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseView {
    pub place: usize,
    /// The store's.
    pub store: usize,
    pub lease: u64,
    pub key: String,
    pub key_cut: bool,
    pub state: &'static str,
    pub cause: Option<&'static str>,
    /// Lost, and its process has not seen it yet.
    pub untold: bool,
    pub mode: &'static str,
    pub permits: u64,
    pub worker: Option<String>,
    pub other: Option<String>,
    pub token: u64,
    pub ttl_ms: u64,
    pub waiters: u64,
    pub failures: u64,
    pub since_at_ms: f64,
    pub held_ms: f64,
    pub renewed_ms_ago: Option<f64>,
    /// Until the deadline; of what was lost, since then; none for ever.
    pub left_ms: Option<f64>,
    pub lost_ms_ago: Option<f64>,
}

/// The page of a process, its own or another's; `None` where there is none to be seen.
pub fn of(pid: u32, all: bool) -> Option<PageView> {
    if pid == std::process::id() {
        return existing().and_then(|page| read(page, pid, all));
    }
    let memory = ForeignMemory::of(pid, FILE).ok()??;
    read(foreign(&memory)?, pid, all)
}

/// Instants of the boot clock as people count them.
struct Now {
    boot: Nanos,
    slept: Nanos,
    moment: Moment,
}

impl Now {
    fn read() -> Now {
        let (boot, moment) = (time::boot_now(), Moment::read());
        // In whole milliseconds: the two were not read at once.
        let slept = boot.since(moment.now).plus(Nanos(500_000)).whole_ms();
        Now { boot, slept: Nanos(slept.saturating_mul(1_000_000)), moment }
    }

    fn epoch_of(&self, at: u64) -> f64 {
        self.moment.epoch_of(Nanos(at).since(self.slept))
    }

    fn told(&self, at: u64) -> Option<f64> {
        (at != 0 && at != FOREVER).then(|| self.epoch_of(at))
    }
}

/// What lies in memory.
pub fn read(page: &LeasePage, pid: u32, all: bool) -> Option<PageView> {
    let header = &page.header;
    if header.magic.get() != MAGIC {
        return None;
    }
    // Pairs with the release fence in `memory::begun`.
    fence(Ordering::Acquire);
    let is_ours =
        header.layout_version.get() == LAYOUT_VERSION && header.size.get() == size_of::<LeasePage>() as u64;
    // Of another pid namespace, numbers of processes mean nothing here.
    if !is_ours || header.pid.get() != u64::from(pid) {
        return None;
    }
    let now = Now::read();
    let stores = page.stores.iter().take((header.stores_end.get() as usize).min(STORES)).enumerate();
    let leases = page.leases.iter().take((header.leases_end.get() as usize).min(LEASES)).enumerate();
    Some(PageView {
        pid,
        stores: stores.filter_map(|(place, row)| store(place, row, &now, all)).collect(),
        leases: leases.filter_map(|(place, row)| lease(place, row, &now)).collect(),
        unshown_stores: header.unshown_stores.get(),
        unshown_leases: header.unshown_leases.get(),
    })
}

fn text<const WORDS: usize>(field: &TextField<WORDS>) -> Text<WORDS> {
    let mut text = Text::default();
    field.get(&mut text);
    text
}

fn store(place: usize, row: &StoreRow, now: &Now, all: bool) -> Option<StoreView> {
    let copy = || {
        let state = row.state.get();
        (state == 1 || state == 2).then(|| StoreView {
            place,
            engine: text(&row.engine).to_text(),
            shown: text(&row.shown).to_text(),
            open: state == 1,
            reach: ["unused", "up", "down"].get(row.reach.get() as usize).unwrap_or(&"unused"),
            since_at_ms: now.told(row.since.get()),
            answered_at_ms: now.told(row.last_answer.get()),
            failures: row.failures.get(),
            error: Some(text(&row.error)).filter(|error| !error.is_empty()).map(|error| error.to_text()),
            skew_ms: (row.skew_at.get() != 0).then(|| row.skew.get() as i64 as f64 / 1e6),
            skew_error_ms: (row.skew_at.get() != 0).then(|| row.skew_error.get() as f64 / 1e6),
            skew_at_ms: now.told(row.skew_at.get()),
            counts: counts(&row.counts),
            renew: renewals(row, all),
        })
    };
    (0..MOST_LOOKS).find_map(|_| row.sequence.read(copy)).flatten()
}

fn counts(counts: &Counts) -> CountsView {
    CountsView {
        acquisitions: counts.acquisitions.get(),
        releases: counts.releases.get(),
        timeouts: counts.timeouts.get(),
        aborts: counts.aborts.get(),
        refused: counts.refused.get(),
        failed: counts.failed.get(),
        conflicts: counts.conflicts.get(),
        renewals: counts.renewals.get(),
        failed_renewals: counts.failed_renewals.get(),
        lost: counts.losses().map(|field| field.get()),
    }
}

fn renewals(row: &StoreRow, all: bool) -> RenewView {
    let mut durations = Durations::default();
    durations.add(&row.renew);
    let summary = durations.summary();
    RenewView {
        count: durations.count,
        total_ms: durations.total.as_ms(),
        p50_ms: summary.p50_ms,
        p99_ms: summary.p99_ms,
        max_ms: summary.max_ms,
        buckets: all.then(|| durations.cumulative().collect()),
    }
}

struct Copied {
    what: What,
    lease: u64,
    token: u64,
    ttl_ms: u64,
    counts: u64,
    since: u64,
    deadline: u64,
    renewed: u64,
    key: Text<KEY>,
    worker: Text<WORKER>,
    other: Text<WORKER>,
}

fn lease(place: usize, row: &LeaseRow, now: &Now) -> Option<LeaseView> {
    let copy = || {
        let what = What::of(row.what.get());
        (what.state != State::Free).then(|| Copied {
            what,
            lease: row.lease.get(),
            token: row.token.get(),
            ttl_ms: row.ttl_ms.get(),
            counts: row.counts.get(),
            since: row.since.get(),
            deadline: row.deadline.get(),
            renewed: row.renewed.get(),
            key: text(&row.key),
            worker: text(&row.worker),
            other: text(&row.other),
        })
    };
    let copied = (0..MOST_LOOKS).find_map(|_| row.sequence.read(copy)).flatten()?;
    Some(view(place, &copied, now))
}

fn view(place: usize, copied: &Copied, now: &Now) -> LeaseView {
    let Copied { what, lease, token, ttl_ms, counts, since, deadline, renewed, key, worker, other } = copied;
    let deadline = Nanos(*deadline);
    // Its process stands still, or it would know.
    let is_untold = what.state == State::Held && now.boot >= deadline;
    let is_lost = is_untold || what.state == State::Lost;
    let end = if is_lost { now.boot.min(deadline) } else { now.boot };
    let named = |text: &Text<WORKER>| (!text.is_empty()).then(|| text.to_text());
    LeaseView {
        place,
        store: usize::from(what.store),
        lease: *lease,
        key_cut: usize::from(what.key_bytes) > Text::<KEY>::MOST,
        key: key.to_text(),
        state: match what.state {
            _ if is_lost => "lost",
            State::Waiting => "waiting",
            _ => "held",
        },
        cause: is_lost.then(|| CAUSES.get(usize::from(what.cause)).copied().unwrap_or(CAUSES[0])),
        untold: is_untold,
        mode: ["exclusive", "shared", "permits"].get(usize::from(what.mode)).unwrap_or(&"exclusive"),
        permits: counts >> 32,
        worker: named(worker),
        other: named(other),
        token: *token,
        ttl_ms: *ttl_ms,
        waiters: counts & u64::from(u32::MAX),
        failures: u64::from(what.failures),
        since_at_ms: now.epoch_of(*since),
        held_ms: end.since(Nanos(*since)).as_ms(),
        renewed_ms_ago: (*renewed != 0).then(|| now.boot.since(Nanos(*renewed)).as_ms()),
        left_ms: (!is_lost && deadline.0 != FOREVER).then(|| deadline.since(now.boot).as_ms()),
        lost_ms_ago: is_lost.then(|| now.boot.since(deadline).as_ms()),
    }
}
