//! The named locks for those who look: snapshots, statistics, status and present deadlocks, as JSON.

use crate::local::book::Book;
use crate::local::claim::{Claim, State};
use crate::local::deadlock;
use crate::local::locks::Locks;
use crate::local::names::{Entry, Ref};
use crate::local::report::{self, list, name_of, quoted_text};
use crate::local::resource::{Kind, Resource};
use crate::local::statistics::{Mode, Operation, Record, Statistics};
use crate::metrics::timing::TimingSummary;
use crate::table::named::ModeStatistics;
use crate::time::{Moment, Nanos};

/// Names that begin so are chainlock's own, and not shown to Web Locks callers.
const OWN: u16 = b'-' as u16;

impl Locks {
    /// What a Web Locks `query()` answers; with `detail`, who and since when.
    pub fn query_json(&self, detail: bool, moment: Moment) -> String {
        self.look(|book| {
            let locks = || {
                book.names
                    .iter()
                    .filter(|(_, entry)| entry.kind == Kind::ReadWrite && is_shown(entry))
                    .filter_map(|(at, entry)| Some((at, entry.live()?)))
            };
            let held = locks().flat_map(|(at, live)| live.holds.iter().map(move |&slot| (at, slot)));
            // By token, which is the order of the grants.
            let mut held: Vec<(u64, String)> =
                held.filter_map(|(at, slot)| held_item(book, at, slot, detail, moment)).collect();
            held.sort_by_key(|(token, _)| *token);
            let mut pending: Vec<(u64, String)> = Vec::new();
            for (at, live) in locks() {
                let line = live.queue.values().enumerate();
                pending.extend(
                    line.filter_map(|(index, &slot)| pending_item(book, at, slot, index + 1, detail, moment)),
                );
            }
            pending.sort_by_key(|(sequence, _)| *sequence);
            let texts = |items: Vec<(u64, String)>| list(items.into_iter().map(|(_, text)| text));
            format!(r#"{{"held":{},"pending":{}}}"#, texts(held), texts(pending))
        })
    }

    /// The statistics of one name, lock and semaphore, or of all that are kept.
    pub fn statistics_json(&self, name: Option<&[u16]>, moment: Moment) -> String {
        self.look(|book| list(named(book, name).map(|(at, entry)| statistics_item(book, at, entry, moment))))
    }

    /// The statistics of what a handle is for.
    pub fn statistics_of_json(&self, at: Ref, moment: Moment) -> String {
        self.look(|book| {
            let entry = book.names.entry(at);
            entry.map_or_else(|| "null".into(), |entry| statistics_item(book, at, entry, moment))
        })
    }

    pub fn reset_statistics(&self, name: Option<&[u16]>) {
        self.look(|book| {
            let all: Vec<Ref> = named(book, name).map(|(at, _)| at).collect();
            for at in all {
                if let Some(resource) = book.names.resource_mut(at) {
                    resource.statistics.clear();
                }
            }
        });
    }

    /// Who holds and who waits, by name.
    pub fn status_json(&self, name: Option<&[u16]>, moment: Moment) -> String {
        self.look(|book| {
            let nameless = book.names.iter().filter(|(_, entry)| name.is_none() && entry.name.is_none());
            let busy = named(book, name)
                .chain(nameless)
                .filter(|(_, entry)| name.is_some() || entry.live().is_some_and(|live| !live.is_free()));
            list(busy.map(|(at, entry)| status_item(book, at, entry, moment)))
        })
    }

    /// The present cycles of waits, and the waits that are older than that.
    pub fn deadlocks_json(&self, older_than: Nanos, moment: Moment) -> String {
        self.look(|book| {
            let cycles = deadlock::all_cycles(book);
            let cycles = list(
                cycles
                    .iter()
                    .map(|cycle| format!(r#"{{"cycle":{}}}"#, report::cycle(book, cycle, moment.now))),
            );
            let is_old = |(_, claim): &(u32, &Claim)| {
                claim.state == State::Waiting && moment.now.since(claim.since) >= older_than
            };
            let mut old: Vec<(u32, &Claim)> = book.claims.iter().filter(is_old).collect();
            old.sort_by_key(|(_, claim)| (claim.since, claim.sequence));
            let waits = list(old.into_iter().map(|(slot, claim)| {
                let at = claim.parts.as_slice().first().map(|part| part.resource);
                let holders = at.map_or_else(|| "null".into(), |at| report::in_the_way(book, at, moment.now));
                format!(r#"{{"request":{},"inTheWay":{holders}}}"#, report::waiting(book, slot, moment.now))
            }));
            format!(r#"{{"cycles":{cycles},"longWaits":{waits}}}"#)
        })
    }
}

fn is_shown(entry: &Entry) -> bool {
    entry.name.as_ref().is_some_and(|name| name.first() != Some(&OWN))
}

/// The entries of that name, or all that have one.
fn named<'a>(book: &'a Book, name: Option<&'a [u16]>) -> impl Iterator<Item = (Ref, &'a Entry)> {
    let (one, all) = match name {
        Some(name) => {
            let found = [Kind::ReadWrite, Kind::Semaphore].map(|kind| book.names.find(kind, name));
            let entries = found.into_iter().flatten().filter_map(|at| Some((at, book.names.entry(at)?)));
            (Some(entries), None)
        }
        None => (None, Some(book.names.iter().filter(|(_, entry)| is_shown(entry)))),
    };
    one.into_iter().flatten().chain(all.into_iter().flatten())
}

fn held_item(book: &Book, at: Ref, slot: u32, detail: bool, moment: Moment) -> Option<(u64, String)> {
    let claim = book.claims.get(slot)?;
    let weight = claim.parts.as_slice().iter().find(|part| part.resource == at)?.weight;
    let mut text = format!(
        r#"{{"name":{},"mode":"{}","clientId":"{}""#,
        name_of(book, at),
        report::mode_word(weight),
        client_id(claim.caller.thread_id),
    );
    if detail {
        text += &format!(
            r#","threadId":{},"pid":{},"label":{},"token":{},"acquiredAt":{},"heldMs":{}"#,
            claim.caller.thread_id,
            std::process::id(),
            quoted_text(claim.label().map(AsRef::as_ref)),
            claim.token,
            moment.epoch_of(claim.since),
            moment.now.since(claim.since).as_ms(),
        );
    }
    text.push('}');
    Some((claim.token, text))
}

fn pending_item(
    book: &Book,
    at: Ref,
    slot: u32,
    position: usize,
    detail: bool,
    moment: Moment,
) -> Option<(u64, String)> {
    let claim = book.claims.get(slot)?;
    let weight = claim.parts.as_slice().iter().find(|part| part.resource == at)?.weight;
    // Who upgrades wants all that others have, and so to be exclusive.
    let weight = if claim.upgrades().is_some() { 0 } else { weight };
    let mut text = format!(
        r#"{{"name":{},"mode":"{}","clientId":"{}""#,
        name_of(book, at),
        report::mode_word(weight),
        client_id(claim.caller.thread_id),
    );
    if detail {
        text += &format!(
            r#","threadId":{},"pid":{},"label":{},"requestedAt":{},"waitedMs":{},"position":{position},"priority":{}"#,
            claim.caller.thread_id,
            std::process::id(),
            quoted_text(claim.label().map(AsRef::as_ref)),
            moment.epoch_of(claim.since),
            moment.now.since(claim.since).as_ms(),
            if claim.upgrades().is_some() { 0 } else { claim.priority },
        );
    }
    text.push('}');
    Some((claim.sequence, text))
}

/// One per thread and process: what Web Locks calls a client.
fn client_id(thread_id: u64) -> String {
    format!("{}:{thread_id}", std::process::id())
}

fn kind_word(entry: &Entry) -> &'static str {
    match entry.kind {
        Kind::ReadWrite => "lock",
        Kind::Semaphore => "semaphore",
    }
}

fn statistics_item(book: &Book, at: Ref, entry: &Entry, moment: Moment) -> String {
    let none = Statistics::default();
    let live = entry.live();
    let statistics = live.map_or(&none, |live| &live.statistics);
    format!(
        r#"{{"name":{},"kind":"{}","modes":{{"shared":{},"exclusive":{}}},"holders":{},"waiters":{},"operations":{}}}"#,
        name_of(book, at),
        kind_word(entry),
        mode_item(statistics.of(Mode::Shared)),
        mode_item(statistics.of(Mode::Exclusive)),
        live.map_or(0, |live| live.holds.len()),
        live.map_or(0, |live| live.queue.len()),
        list(statistics.operations().map(|record| operation_item(record, moment))),
    )
}

fn mode_item(statistics: Option<&ModeStatistics>) -> String {
    let none = ModeStatistics::default();
    let of = statistics.unwrap_or(&none);
    format!(
        r#"{{"acquisitions":{},"releases":{},"timeouts":{},"errors":{},"aborts":{},"steals":{},"deaths":{},"deadlocks":{},"contended":{},"wait":{},"hold":{}}}"#,
        of.acquisitions.get(),
        of.releases.get(),
        of.timeouts.get(),
        of.errors.get(),
        of.aborts.get(),
        of.steals.get(),
        of.deaths.get(),
        of.deadlocks.get(),
        of.contended.get(),
        timing_item(of.wait.summary()),
        timing_item(of.hold.summary()),
    )
}

fn timing_item(summary: TimingSummary) -> String {
    let TimingSummary { min_ms, avg_ms, max_ms, p50_ms, p99_ms } = summary;
    format!(r#"{{"minMs":{min_ms},"avgMs":{avg_ms},"maxMs":{max_ms},"p50Ms":{p50_ms},"p99Ms":{p99_ms}}}"#)
}

fn operation_item(record: &Record, moment: Moment) -> String {
    let word = match record.what {
        Operation::Acquired => "acquired",
        Operation::Released => "released",
        Operation::Failed => "failed",
        Operation::TimedOut => "timed_out",
        Operation::Aborted => "aborted",
        Operation::Stolen => "stolen",
        Operation::Forced => "forced",
        Operation::Died => "died",
        Operation::Deadlocked => "deadlocked",
        Operation::Downgraded => "downgraded",
        Operation::Upgraded => "upgraded",
    };
    let mode = match record.mode {
        Mode::Exclusive => "exclusive",
        Mode::Shared => "shared",
    };
    format!(
        r#"{{"at":{},"operation":"{word}","mode":"{mode}","threadId":{},"token":{},"ms":{}}}"#,
        moment.epoch_of(record.at),
        record.thread_id,
        if record.token == 0 { "null".into() } else { record.token.to_string() },
        record.span.as_ms(),
    )
}

fn status_item(book: &Book, at: Ref, entry: &Entry, moment: Moment) -> String {
    let now = moment.now;
    let none = Resource::new(entry.kind, None, entry.capacity, None);
    let live = entry.live().unwrap_or(&none);
    let holders = live.holds.iter().filter_map(|&slot| book.claims.get(slot));
    let waiters = live.queue.values().enumerate();
    let waiters = waiters
        .filter_map(|(index, &slot)| Some(report::waiting_at(book, book.claims.get(slot)?, index + 1, now)));
    let permits = match entry.kind {
        Kind::ReadWrite => String::new(),
        Kind::Semaphore => {
            format!(r#""permits":{},"available":{},"#, live.capacity, live.capacity.saturating_sub(live.used))
        }
    };
    format!(
        r#"{{"name":{},"kind":"{}",{permits}"holders":{},"waiters":{}}}"#,
        name_of(book, at),
        kind_word(entry),
        list(holders.map(|claim| report::holder(book, claim, now))),
        list(waiters),
    )
}
