//! The state of a send lock that processes share, looked at from outside: the file is only read, without its lock. Who
//! holds and who waits is what the newest state says; counts, times and events are the page's, which people read.

use super::image::{self, Image};
use super::joining::era_now;
use super::store::{LIVES_AT, PAGE_AT, PAGE_SIZE, Store};
use crate::metrics::histogram::Histogram;
use crate::name::clean;
use crate::send::rules;
use crate::sync::Field;
use crate::sys::peek::{Kind, Lock, Locks, Mounts, Refused, open};
use crate::sys::process;
use crate::table::layout::{LAYERS, SendPage};
use crate::table::memory::host_page_in;
use crate::table::ring::{Kind as Happened, Record};
use crate::time::{Moment, Nanos};
use serde::Serialize;
use std::path::Path;

/// How often a file is read again in which somebody was writing.
const READINGS: usize = 8;
/// Events that are told.
const RECENT: usize = 10;

/// A shared send lock, or why its file was not looked into.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    pub path: String,
    pub name: Option<String>,
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<&'static str>,
    pub state: &'static str,
    pub mode: Option<&'static str>,
    pub permits: Option<u64>,
    pub used: u64,
    pub holders: Vec<HolderView>,
    pub holder_count: usize,
    pub waiters: Vec<WaiterView>,
    pub waiter_count: usize,
    /// The processes that share it.
    pub members: Vec<u32>,
    pub last_token: u64,
    pub acquisitions: u64,
    pub contended: u64,
    pub timeouts: u64,
    pub aborts: u64,
    pub forced: u64,
    pub recoveries: u64,
    pub wait: Times,
    pub hold: Times,
    pub events: Vec<EventView>,
    pub send: SendView,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HolderView {
    pub pid: u32,
    pub thread_id: u64,
    pub layer: String,
    pub token: u64,
    pub mode: &'static str,
    pub weight: u32,
    pub since_at_ms: f64,
    pub command: Option<String>,
    pub alive: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WaiterView {
    pub position: usize,
    pub pid: u32,
    pub thread_id: u64,
    pub layer: String,
    pub mode: &'static str,
    pub weight: u32,
    pub since_at_ms: f64,
    pub deadline_at_ms: Option<f64>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Times {
    pub count: u64,
    pub total_ms: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    pub at_ms: f64,
    pub kind: &'static str,
    pub layer: String,
    pub thread_id: u64,
    pub token: Option<u64>,
    pub span_ms: Option<f64>,
    pub other: Option<String>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendView {
    pub cooldown_ms: f64,
    pub cooldown_left_ms: f64,
    pub timeout_ms: Option<f64>,
    pub force_after_ms: Option<f64>,
    pub due_timeout_ms: Option<f64>,
    pub due_force_ms: Option<f64>,
    pub duplicates_suppressed: u64,
    pub blocked_held: u64,
    pub blocked_cooldown: u64,
    pub refused_unknown_layer: u64,
    pub queue_full: u64,
    pub forced_by_reason: ForcedView,
    pub layers: Vec<LayerView>,
    pub overdue: u64,
    pub late_releases: u64,
}

#[derive(Debug, Default, Serialize)]
pub struct ForcedView {
    pub manual: u64,
    pub timeout: u64,
    pub stale_timeout: u64,
    pub thread_exit: u64,
    pub process_exit: u64,
}

#[derive(Debug, Serialize)]
pub struct LayerView {
    pub layer: String,
    pub acquisitions: u64,
    pub releases: u64,
    pub blocked: u64,
    pub forced: u64,
}

/// The name of the lock whose state lies in a file that is called so.
pub fn name_of(file: &str) -> Option<&str> {
    file.strip_prefix("send-")?.strip_suffix(".state")
}

/// Looks at the state of that path. `kernel` is the kernel's list of locks, where there is one.
pub fn look(path: &Path, kernel: Option<&Locks>, mounts: &mut Mounts, moment: Moment) -> View {
    let name = path.file_name().and_then(|file| name_of(file.to_str()?));
    let mut view = View {
        path: clean(&path.display().to_string()).into_owned(),
        name: name.map(|name| clean(name).into_owned()),
        kind: "send",
        state: "free",
        ..View::default()
    };
    let seen = match open(path) {
        Ok(seen) => seen,
        Err(refused) => {
            view.skipped = Some(Refused::word(refused));
            return view;
        }
    };
    let locks = kernel.map(|kernel| kernel.of(&seen.key(mounts)));
    let (image, page) = match read(|into, at| seen.read_at(into, at)) {
        Ok(found) => found,
        Err(reason) => {
            view.skipped = Some(reason);
            return view;
        }
    };
    // After another boot nobody holds: only settings and tokens have gone on.
    if image.era == era_now() {
        tell_of_book(&mut view, &image, locks, moment);
    }
    view.last_token = image.book.last_token;
    if let Some(page) = host_page_in(&page) {
        tell_of_page(&mut view, &page.send, moment);
    }
    view
}

/// The newest state, whole, and the words of the page.
fn read(at: impl Fn(&mut [u8], u64) -> bool) -> Result<(Image, Vec<Field>), &'static str> {
    let mut reason = "torn";
    for _ in 0..READINGS {
        match Store::newest_of(&at) {
            Ok(bytes) => match image::decode(&bytes) {
                Some(image) => {
                    let mut page = vec![0; PAGE_SIZE];
                    let word = |chunk: &[u8]| Field::new(chunk.try_into().map_or(0, u64::from_le_bytes));
                    return if at(&mut page, PAGE_AT) {
                        Ok((image, page.chunks_exact(8).map(word).collect()))
                    } else {
                        Err("torn")
                    };
                }
                None => reason = "torn",
            },
            Err(why) => reason = why,
        }
    }
    Err(reason)
}

fn tell_of_book(view: &mut View, image: &Image, locks: Option<&[Lock]>, moment: Moment) {
    let book = &image.book;
    let lives = |pid: u32| {
        let member = book.processes.iter().find(|member| member.process.pid() == pid)?;
        let is_locked =
            |lock: &Lock| lock.kind == Kind::OpenFile && lock.start == LIVES_AT + u64::from(member.slot);
        Some(locks?.iter().any(is_locked))
    };
    let ms = |span: Nanos| span.as_ms();
    view.members = book.processes.iter().map(|member| member.process.pid()).collect();
    let rules = &book.settings.rules;
    if let Some(holder) = book.holder {
        let pid = holder.caller.row.process.pid();
        let in_ours = book.processes.iter().any(|member| {
            member.process == holder.caller.row.process
                && member.pid_namespace == process::own().pid_namespace
        });
        view.state = "held";
        view.mode = Some("exclusive");
        view.used = 1;
        view.holders = vec![HolderView {
            pid,
            thread_id: holder.caller.thread_id,
            layer: holder.layer.name.to_text(),
            token: holder.token,
            mode: "exclusive",
            weight: 1,
            since_at_ms: moment.epoch_of(holder.since),
            command: if in_ours {
                process::command_of(pid).map(|text| clean(&text).into_owned())
            } else {
                None
            },
            alive: lives(pid),
        }];
        // Less than nothing when it is over; never has no time.
        let left = |span: Nanos| {
            let (at, now) = (holder.since.plus(span), moment.now);
            (at != Nanos::FOREVER).then(|| ms(at.since(now)) - ms(now.since(at)))
        };
        (view.send.due_timeout_ms, view.send.due_force_ms) = (left(rules.timeout), left(rules.force_after));
    }
    let left = rules::cooldown_left(rules, &book.state, moment.now);
    view.send.cooldown_left_ms = left.map_or(0.0, ms);
    view.holder_count = view.holders.len();
    view.waiter_count = book.queue.len();
    view.waiters = book
        .queue
        .iter()
        .enumerate()
        .map(|(index, (_, waiter))| WaiterView {
            position: index + 1,
            pid: waiter.caller.row.process.pid(),
            thread_id: waiter.caller.thread_id,
            layer: waiter.layer.name.to_text(),
            mode: "exclusive",
            weight: 1,
            since_at_ms: moment.epoch_of(waiter.since),
            deadline_at_ms: (waiter.deadline < Nanos::FOREVER).then(|| moment.epoch_of(waiter.deadline)),
        })
        .collect();
    if view.holders.is_empty() {
        view.state = match (left, view.waiters.is_empty()) {
            (Some(_), _) => "cooldown",
            (None, false) => "waiting",
            (None, true) => "free",
        };
    }
    view.send.cooldown_ms = ms(rules.cooldown);
    let unless_never = |span: Nanos| (span != Nanos::FOREVER).then(|| ms(span));
    view.send.timeout_ms = unless_never(rules.timeout);
    view.send.force_after_ms = unless_never(rules.force_after);
}

fn tell_of_page(view: &mut View, page: &SendPage, moment: Moment) {
    let counters = &page.counters;
    let forced = ForcedView {
        manual: counters.forced_manual.get(),
        timeout: counters.forced_timeout.get(),
        stale_timeout: counters.forced_stale_timeout.get(),
        thread_exit: counters.forced_thread_exit.get(),
        process_exit: counters.forced_process_exit.get(),
    };
    view.acquisitions = counters.acquisitions.get();
    view.contended = counters.waits.get();
    view.timeouts = counters.wait_timeouts.get();
    view.aborts = counters.wait_aborts.get();
    view.forced = forced.manual.wrapping_add(forced.timeout).wrapping_add(forced.stale_timeout);
    view.recoveries = forced.thread_exit.wrapping_add(forced.process_exit);
    (view.wait, view.hold) = (times(&page.wait_times), times(&page.hold_times));
    view.events = page.events.latest(RECENT, 0).map(|record| event(&record, moment)).collect();
    let layers =
        &page.layers.0[..usize::try_from(page.layer_count.get()).map_or(LAYERS, |count| count.min(LAYERS))];
    view.send = SendView {
        duplicates_suppressed: counters.blocked_duplicate_message.get(),
        blocked_held: counters.blocked_held.get(),
        blocked_cooldown: counters.blocked_cooldown.get(),
        refused_unknown_layer: counters.refused_unknown_layer.get(),
        queue_full: counters.queue_full.get(),
        forced_by_reason: forced,
        layers: layers
            .iter()
            .map(|row| LayerView {
                layer: row.name.get().to_text(),
                acquisitions: row.acquisitions.get(),
                releases: row.releases.get(),
                blocked: row.blocked.get(),
                forced: row.forced.get(),
            })
            .collect(),
        overdue: counters.overdue.get(),
        late_releases: counters.late_releases.get(),
        ..std::mem::take(&mut view.send)
    };
}

fn times(histogram: &Histogram) -> Times {
    let summary = histogram.summary();
    Times {
        count: summary.count,
        total_ms: summary.avg_ms * summary.count as f64,
        p50_ms: summary.p50_ms,
        p99_ms: summary.p99_ms,
        max_ms: summary.max_ms,
    }
}

fn event(record: &Record, moment: Moment) -> EventView {
    EventView {
        at_ms: moment.epoch_of(record.at),
        kind: match record.kind {
            Happened::Acquired => "acquired",
            Happened::Released => "released",
            Happened::BlockedHeld | Happened::BlockedCooldown | Happened::BlockedDuplicateMessage => {
                "blocked"
            }
            Happened::Overdue => "overdue",
            Happened::Forced => "forced",
            Happened::Recovered => "recovered",
        },
        layer: record.layer.to_text(),
        thread_id: record.thread_id,
        token: (record.token != 0).then_some(record.token),
        span_ms: record.held.map(Nanos::as_ms),
        other: match record.kind {
            Happened::BlockedCooldown => Some("cooldown".into()),
            Happened::BlockedDuplicateMessage => Some("duplicate_message".into()),
            _ => (!record.other.is_empty()).then(|| record.other.to_text()),
        },
    }
}
