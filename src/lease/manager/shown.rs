//! Records as users see them.

use crate::lease::desk::Desk;
use crate::lease::desk::line::Known;
use crate::lease::fault::HolderView;
use crate::lease::manager::types::{Status, StolenView};
use crate::lease::record::{Hold, Term, Who};
use crate::lease::rules::View;

pub fn holder_view(view: &View<'_>, known: &Known, hold: &Hold) -> HolderView {
    let Hold { token, mode, term, who, meta, handed, .. } = hold;
    let Who { worker, node, host, pid, at, .. } = who.clone();
    HolderView {
        worker: worker.to_string(),
        node: node.map(|node| node.to_string()),
        host: host.to_string(),
        pid,
        token: known.told(*token),
        mode: *mode,
        ttl_ms: handed.unwrap_or(term.ttl_ms),
        acquired_at: at,
        expires_in_ms: left(view, term),
        stale: view.is_over(term, who),
        meta: meta.as_ref().map(ToString::to_string),
    }
}

fn left(view: &View<'_>, term: &Term) -> Option<u64> {
    term.session.is_none().then(|| term.until.saturating_sub(view.now))
}

pub fn status(desk: &Desk, known: &Known) -> Status {
    desk.judge(known, |view| {
        let record = &known.record;
        let holds: Vec<HolderView> = record.holds.iter().map(|hold| holder_view(view, known, hold)).collect();
        let waiters = record.queue.iter().filter(|ticket| !view.is_over(&ticket.term, &ticket.who)).count();
        Status {
            stale: !holds.is_empty() && holds.iter().all(|hold| hold.stale),
            waiters: waiters as u64,
            token: if record.token == 0 { 0 } else { known.told(record.token) },
            stolen: record.stolen.as_ref().map(|stolen| StolenView {
                token: known.told(stolen.token),
                by: stolen.by.worker.to_string(),
                reason: stolen.reason.clone(),
            }),
            written_ms_ago: (known.at > 0).then(|| known.now.saturating_sub(known.at)),
            holds,
        }
    })
}

/// Who is in the way: the first that holds it.
pub fn in_the_way(desk: &Desk, known: &Known) -> Option<HolderView> {
    desk.judge(known, |view| {
        let holds = &known.record.holds;
        let living = holds.iter().find(|hold| !view.is_over(&hold.term, &hold.who));
        living.or(holds.first()).map(|hold| holder_view(view, known, hold))
    })
}
