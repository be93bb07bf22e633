//! Waiting for a key: told of changes where the store can, and always with a timer at the known expiry. What is told
//! is judged here, without a request, so that of many who wait only the one whose turn it is writes.

use crate::lease::desk::line::Known;
use crate::lease::manager::acquire::Wanted;
use crate::lease::manager::chase::Chase;
use crate::lease::manager::decide::verdict;
use crate::lease::manager::shown::in_the_way;
use crate::lease::page::sheet::{WaitRow, Waits};
use crate::lease::record::Who;
use crate::lease::rules::Verdict;
use crate::lease::runtime;
use crate::lease::store::Caps;
use crate::time::Nanos;
use std::time::Duration;

/// How often it is looked whether a holder's process of this machine lives.
const LIFE: Nanos = Nanos(40_000_000);
/// Even who is told of changes looks from time to time: a connection may be dead without anybody knowing.
const SAFETY: Nanos = Nanos(10_000_000_000);
/// At an expiry those who stand further behind look later, each by this much.
const BEHIND: Nanos = Nanos(15_000_000);
const MOST_BEHIND: Nanos = Nanos(300_000_000);
/// Where nobody stands in line, chance keeps them apart.
const APART: Nanos = Nanos(200_000_000);

/// Why a pause ends.
enum Next {
    /// Judge again what is known.
    Judge,
    /// Look at the store.
    Look,
}

impl Chase<'_> {
    /// Until there is a reason to try again, or the request is given up.
    pub(super) async fn wait(&self) {
        let caps = self.desk().store.caps().clone();
        let began = self.desk().now();
        let _shown = self.show();
        runtime::rest();
        let mut looks_after = self.first_look(&caps);
        loop {
            if self.wanted.cancel.is_given_up() {
                return;
            }
            let seq = self.line.seq();
            // In doubt: somebody has to look.
            let Some(known) = self.line.known() else { return };
            let Verdict::Busy { left } = verdict(self.desk(), &known, &self.waiter.ask.borrow()) else {
                return;
            };
            let (pause, next) = self.pause_until(&caps, &known, left, began.plus(looks_after));
            tokio::select! {
                () = self.line.after(seq) => {}
                () = tokio::time::sleep(Duration::from_nanos(pause.0)) => {
                    if matches!(next, Next::Look) {
                        return self.line.forget();
                    }
                }
                () = self.wanted.cancel.given_up() => return,
            }
            looks_after = looks_after.max(self.first_look(&caps));
        }
    }

    /// For others to see, as long as it waits.
    fn show(&self) -> Option<WaitRow> {
        let Wanted { request, checked, who, began, .. } = self.wanted;
        let known = self.line.last_known();
        self.desk().sheet.waits(&Waits {
            key: &self.line.key,
            mode: request.mode,
            worker: &who.worker,
            ttl_ms: checked.ttl_ms,
            since: *began,
            deadline: request.timeout_ms.map_or(Nanos::FOREVER, |ms| began.plus(Nanos::from_ms(ms as f64))),
            holder: known.and_then(|known| in_the_way(self.desk(), &known)),
        })
    }

    /// After how long a waiter looks without being told.
    fn first_look(&self, caps: &Caps) -> Nanos {
        let stands = self.is_standing();
        // A release tells those who watch only when somebody stands in line.
        if self.line.is_watched() && stands {
            return SAFETY;
        }
        self.by_chance(caps)
    }

    fn by_chance(&self, caps: &Caps) -> Nanos {
        let (least, most) = caps.poll;
        let (least, most) = (Nanos(least.as_nanos() as u64), Nanos(most.as_nanos() as u64));
        least.plus(self.desk().outside.part_of(most.since(least)))
    }

    fn pause_until(&self, caps: &Caps, known: &Known, left: Option<u64>, look_at: Nanos) -> (Nanos, Next) {
        let now = self.desk().now();
        let mut pause = look_at.since(now);
        match left {
            // Only the store knows when a session ends, and nobody is told.
            None => pause = pause.min(self.by_chance(caps)),
            Some(left) => {
                let over = known.heard.plus(Nanos(left.saturating_mul(1_000_000))).plus(self.behind(known));
                pause = pause.min(over.since(now));
            }
        }
        if let Some(left) = self.sessions_left(caps, known) {
            pause = pause.min(left.plus(self.desk().outside.part_of(APART)));
        }
        if caps.local && pause > LIFE && self.waits_for_processes(known) {
            return (LIFE, Next::Judge);
        }
        (pause, Next::Look)
    }

    /// Until the first of the sessions ends that the record names, if nobody renews it and the store can say so.
    fn sessions_left(&self, caps: &Caps, known: &Known) -> Option<Nanos> {
        if !caps.sessions {
            return None;
        }
        let sessions = known.record.sessions();
        let left = sessions.iter().filter_map(|session| self.desk().store.session_left(session));
        left.min().map(|left| Nanos(left.as_nanos() as u64))
    }

    /// So that not all who wait look at the instant of an expiry.
    fn behind(&self, known: &Known) -> Nanos {
        let place = known.record.place(&self.waiter.ask.borrow().nonce);
        let before = place.unwrap_or(known.record.queue.len()) as u64;
        Nanos(BEHIND.0 * before).min(MOST_BEHIND)
    }

    /// Whether somebody else's process of this machine is in the way.
    fn waits_for_processes(&self, known: &Known) -> bool {
        let own = &self.desk().outside.who;
        let is_other = |who: &Who| who.space == own.space && who.pid != own.pid;
        let record = &known.record;
        record.holds.iter().any(|hold| is_other(&hold.who))
            || record.queue.iter().any(|one| is_other(&one.who))
    }
}
