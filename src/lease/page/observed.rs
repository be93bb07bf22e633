//! A store that is watched: whether it answers, and how far its clock is from this machine's. It changes nothing of
//! what is asked and answered.

use crate::lease::page::sheet::Sheet;
use crate::lease::store::{
    Caps, Clock, Key, Pending, Seen, Shortcut, Store, StoreError, Swap, Swapped, Watch,
};
use crate::registry::text::Text;
use crate::time::{self, Nanos};
use std::rc::Rc;
use std::time::Duration;

/// A better look at the store's clock replaces an older one; any look does after this.
const STALE_LOOK: Nanos = Nanos(60_000_000_000);

#[derive(Debug)]
pub struct Observed {
    store: Rc<dyn Store>,
    sheet: Rc<Sheet>,
}

/// When a request left.
struct Asked {
    at: Nanos,
    epoch_ms: f64,
}

impl Observed {
    pub fn new(store: Rc<dyn Store>, sheet: Rc<Sheet>) -> Rc<Observed> {
        Rc::new(Observed { store, sheet })
    }

    fn ask(&self) -> Asked {
        Asked { at: time::boot_now(), epoch_ms: time::epoch_ms() }
    }

    /// What came of it; `clock` is the store's, in ms, where the answer says it.
    fn told<T>(&self, asked: &Asked, result: &Result<T, StoreError>, clock: impl FnOnce(&T) -> u64) {
        let now = time::boot_now();
        match result {
            Ok(answer) => {
                self.sheet.answered(now);
                if self.store.caps().clock == Clock::Server {
                    self.look_at_clock(asked, now, clock(answer));
                }
            }
            Err(StoreError::Unknown(why) | StoreError::Unavailable { why, .. }) => {
                self.sheet.unanswered(now, why);
            }
            Err(error) => {
                self.sheet.answered(now);
                self.sheet.complained(why_of(error));
            }
        }
    }

    fn look_at_clock(&self, asked: &Asked, now: Nanos, clock_ms: u64) {
        if clock_ms == 0 {
            return;
        }
        let half = now.since(asked.at).0 / 2;
        let slack = self.store.caps().slack.as_nanos() as u64;
        // In whole milliseconds at best.
        let error = half.saturating_add(slack).saturating_add(1_000_000);
        let ours_ms = asked.epoch_ms + Nanos(half).as_ms();
        let skew = ((clock_ms as f64 - ours_ms) * 1e6) as i64;
        self.sheet.clock_is(skew, error, now);
    }
}

fn why_of(error: &StoreError) -> &str {
    match error {
        StoreError::Unknown(why)
        | StoreError::Unavailable { why, .. }
        | StoreError::Denied(why)
        | StoreError::Foreign(why)
        | StoreError::Newer(why)
        | StoreError::ReadOnly(why)
        | StoreError::Unsupported(why) => why,
    }
}

fn newest(seen: &[Seen]) -> u64 {
    seen.iter().map(|seen| seen.now).max().unwrap_or(0)
}

fn clock_in(swapped: &Swapped) -> u64 {
    match swapped {
        Swapped::Won(written) => written.iter().map(|written| written.at).max().unwrap_or(0),
        Swapped::Lost(seen) => newest(seen),
    }
}

impl Sheet {
    fn answered(&self, now: Nanos) {
        let Some(row) = self.store() else { return };
        row.last_answer.set(now.0);
        if row.reach.get() != 1 {
            row.sequence.write(|| {
                row.reach.set(1);
                row.since.set(now.0);
                row.failures.set(0);
            });
        }
    }

    fn unanswered(&self, now: Nanos, why: &str) {
        let Some(row) = self.store() else { return };
        row.sequence.write(|| {
            if row.reach.get() != 2 {
                row.reach.set(2);
                row.since.set(now.0);
            }
            row.failures.add(1);
            row.error.set(&Text::cut(why));
        });
    }

    /// It was reached, and did not do it.
    fn complained(&self, why: &str) {
        if let Some(row) = self.store() {
            row.sequence.write(|| row.error.set(&Text::cut(why)));
        }
    }

    fn clock_is(&self, skew: i64, error: u64, now: Nanos) {
        let Some(row) = self.store() else { return };
        let seen = Nanos(row.skew_at.get());
        if seen == Nanos::NEVER || now.since(seen) >= STALE_LOOK || error <= row.skew_error.get() {
            row.sequence.write(|| {
                row.skew.set(skew as u64);
                row.skew_error.set(error);
                row.skew_at.set(now.0);
            });
        }
    }
}

impl Store for Observed {
    fn caps(&self) -> &Caps {
        self.store.caps()
    }

    fn shown(&self) -> &str {
        self.store.shown()
    }

    fn read<'a>(&'a self, keys: &'a [Key]) -> Pending<'a, Result<Vec<Seen>, StoreError>> {
        Box::pin(async move {
            let asked = self.ask();
            let result = self.store.read(keys).await;
            self.told(&asked, &result, |seen| newest(seen));
            result
        })
    }

    fn swap<'a>(&'a self, swaps: &'a [Swap]) -> Pending<'a, Result<Swapped, StoreError>> {
        Box::pin(async move {
            let asked = self.ask();
            let result = self.store.swap(swaps).await;
            self.told(&asked, &result, clock_in);
            result
        })
    }

    fn swap_each<'a>(&'a self, swaps: &'a [Swap]) -> Pending<'a, Vec<Result<Swapped, StoreError>>> {
        Box::pin(async move {
            let asked = self.ask();
            let answers = self.store.swap_each(swaps).await;
            let spoken = answers.iter().find(|answer| answer.is_ok()).or(answers.first());
            spoken.into_iter().for_each(|answer| self.told(&asked, answer, clock_in));
            answers
        })
    }

    fn list<'a>(&'a self, prefix: &'a str, most: usize) -> Pending<'a, Result<Vec<(Key, Seen)>, StoreError>> {
        Box::pin(async move {
            let asked = self.ask();
            let result = self.store.list(prefix, most).await;
            self.told(&asked, &result, |_| 0);
            result
        })
    }

    fn watch<'a>(&'a self, key: &'a Key) -> Pending<'a, Result<Box<dyn Watch>, StoreError>> {
        self.store.watch(key)
    }

    fn open_session(&self, ttl: Duration) -> Pending<'_, Result<String, StoreError>> {
        Box::pin(async move {
            let asked = self.ask();
            let result = self.store.open_session(ttl).await;
            self.told(&asked, &result, |_| 0);
            result
        })
    }

    fn renew_session<'a>(&'a self, session: &'a str) -> Pending<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let asked = self.ask();
            let result = self.store.renew_session(session).await;
            self.told(&asked, &result, |_| 0);
            result
        })
    }

    fn session_left(&self, session: &str) -> Option<Duration> {
        self.store.session_left(session)
    }

    fn close_session<'a>(&'a self, session: &'a str) -> Pending<'a, Result<(), StoreError>> {
        self.store.close_session(session)
    }

    /// What a user's own thread does there is not seen here.
    fn shortcut(&self) -> Pending<'_, Result<Option<Box<dyn Shortcut>>, StoreError>> {
        self.store.shortcut()
    }

    fn upkeep(&self) {
        self.store.upkeep();
    }

    fn shows(&self) -> bool {
        self.store.shows()
    }

    fn show<'a>(&'a self, key: &'a Key, body: &'a str) -> Pending<'a, ()> {
        self.store.show(key, body)
    }

    fn close(&self) -> Pending<'_, ()> {
        self.store.close()
    }
}
