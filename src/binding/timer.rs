//! The native clock: one thread with a current-thread tokio runtime that sleeps until something is due.
//! It needs no event loop, so a hold is taken away in time though its holder's loop is blocked.
//!
//! Arming costs nothing as long as the thread wakes early enough anyway: only an earlier time than the one
//! it sleeps for wakes it. A hold of the default settings is armed once in five minutes, not once a hold.

use crate::binding::process::PROCESS;
use crate::sync::{Ordering, StaticU64};
use crate::time::{self, Nanos};
use once_cell::sync::{Lazy, OnceCell};
use std::panic::catch_unwind;
use tokio::sync::Notify;

/// When the thread looks next; `FOREVER` while it has nothing to wait for.
static ARMED: StaticU64 = StaticU64::new(u64::MAX);
static WAKE: Lazy<Notify> = Lazy::new(Notify::new);
static STARTED: OnceCell<bool> = OnceCell::new();

/// Sees to it that the clock looks at `at` or before.
#[inline]
pub fn arm(at: Nanos) {
    if at.0 < ARMED.load(Ordering::Relaxed) {
        arm_earlier(at);
    }
}

#[cold]
fn arm_earlier(at: Nanos) {
    STARTED.get_or_init(|| {
        std::thread::Builder::new().name("chainlock-timer".into()).stack_size(256 * 1024).spawn(run).is_ok()
    });
    ARMED.fetch_min(at.0, Ordering::Relaxed);
    // A permit is kept when the thread is not waiting yet, so no arming is ever lost; the orderings that
    // matter are those inside `Notify` and the locks that the thread then looks at.
    WAKE.notify_one();
}

fn run() {
    // Without a runtime there is no native clock; every call still settles what is due.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
    runtime.block_on(async {
        loop {
            // Whoever arms from here on is not covered by the look below and wakes us again.
            let asked = Nanos(ARMED.swap(u64::MAX, Ordering::Relaxed));
            // The clock must go on, whatever one look has met.
            let next = catch_unwind(|| PROCESS.tick()).unwrap_or(Nanos::FOREVER);
            // The time that was asked for stands, though the hold it was for may be over: the next hold
            // will want a later one, and need not wake us.
            let next = if asked > time::now() { next.min(asked) } else { next };
            ARMED.fetch_min(next.0, Ordering::Relaxed);
            sleep_until(next).await;
        }
    });
}

async fn sleep_until(next: Nanos) {
    match next.instant() {
        _ if next == Nanos::FOREVER => WAKE.notified().await,
        Some(instant) => {
            tokio::select! {
                () = tokio::time::sleep_until(instant.into()) => {}
                () = WAKE.notified() => {}
            }
        }
        None => WAKE.notified().await,
    }
}
