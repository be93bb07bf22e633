//! What a manager's handle and its client on the I/O thread have in common.

use crate::lease::manager::shortcut::Short;
use crate::lease::manager::statistics::Counters;
use crate::lease::manager::types::{Events, Opening};
use crate::lease::store::Caps;
use crate::sync::{Arc, Field, Ordering, StaticU64};
use crate::time::Nanos;
use once_cell::sync::OnceCell;
use std::fmt;

static LAST_ID: StaticU64 = StaticU64::new(0);

/// Unique in the process, for managers, requests and leases.
pub fn next_id() -> u64 {
    LAST_ID.fetch_add(1, Ordering::Relaxed) + 1
}

pub struct Shared {
    pub id: u64,
    pub opening: Opening,
    pub events: Arc<dyn Events>,
    pub counters: Counters,
    pub shortcut: Short,
    /// What the store promises, as soon as somebody has asked.
    pub caps: OnceCell<Caps>,
    /// When the event loop answered last, on the boot clock.
    beat: Field,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("id", &self.id).field("opening", &self.opening).finish_non_exhaustive()
    }
}

impl Shared {
    pub fn new(opening: Opening, events: Arc<dyn Events>, now: Nanos) -> Arc<Shared> {
        let (counters, shortcut) = Default::default();
        let (id, caps, beat) = (next_id(), OnceCell::new(), Field::new(now.0));
        Arc::new(Shared { id, opening, events, counters, shortcut, caps, beat })
    }

    pub fn beats(&self, now: Nanos) {
        self.beat.set(now.0);
    }

    pub fn beat(&self) -> Nanos {
        Nanos(self.beat.get())
    }
}
