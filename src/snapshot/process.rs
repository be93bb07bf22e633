//! All of one table.

use crate::local::departures;
use crate::name::clean;
use crate::snapshot::named::{self, Wanted};
use crate::snapshot::send;
use crate::snapshot::views::{JournalView, ProcessView, RowView, TableView};
use crate::table::layout::{JournalPage, Table};
use crate::table::named::{CLAIMS, SLOTS};
use crate::time::{Moment, Nanos};

/// What a table says of its process. A send lock that it shares with others is shown by their file, not here.
pub fn view(table: &Table, pid: u32, wanted: Wanted, moment: Moment) -> ProcessView {
    let page = &table.named;
    let (locks, outside) = named::locks(page, pid, wanted, moment);
    let rows: Vec<RowView> = table
        .rows
        .iter()
        .filter(|row| row.state.get() == departures::LIVE)
        .map(|row| RowView {
            thread_id: row.thread_id.get(),
            generation: row.generation.get(),
            since_ns: row.since.get(),
            since_at_ms: moment.epoch_of(Nanos(row.since.get())),
            native_id: row.native_id.get(),
            silent_ms: row.silent_for(moment.now).map(Nanos::as_ms),
            live: true,
        })
        .collect();
    let version = table.header.version.get();
    ProcessView {
        pid,
        layout_version: table.header.layout_version.get(),
        version: (!version.is_empty()).then(|| version.to_text()),
        is_own: pid == std::process::id(),
        now_ns: moment.now.0,
        table: TableView {
            slots: SLOTS as u64,
            used: page.slots_used.get(),
            unshown: page.unshown.get(),
            claims: CLAIMS as u64,
            claims_used: page.claims_used.get(),
            claims_unshown: page.claims_unshown.get(),
            rows: table.rows.len() as u64,
            rows_used: rows.len() as u64,
        },
        rows,
        send: (table.header.shares_send.get() == 0)
            .then(|| send::lock(&table.send, &outside, wanted, moment)),
        locks,
        deadlocks: page.deadlocks.get(),
        order_inversions: page.order_inversions.get(),
        journal: journal(&table.journal, moment.now),
    }
}

fn journal(page: &JournalPage, now: Nanos) -> Option<JournalView> {
    let (newest, written) = (Nanos(page.last_event_at.get()), Nanos(page.last_written_at.get()));
    (page.open.get() == 1).then(|| JournalView {
        path: clean(&page.path()).into_owned(),
        pending: page.pending.get(),
        written: page.written.get(),
        dropped: page.dropped.get(),
        lag_ms: if newest > written { now.since(newest).as_ms() } else { 0.0 },
    })
}
