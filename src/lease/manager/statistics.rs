//! What a manager has done: counted on the I/O thread, or under the shortcut's mutex; read from any.

use crate::metrics::histogram::{Histogram, Summary};
use crate::sync::Field;

macro_rules! counts {
    ($($(#[$text:meta])* $name:ident),* $(,)?) => {
        /// The counters; one writer, the I/O thread.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$text])* pub $name: Field,)*
            pub acquiring: Histogram,
            pub renewing: Histogram,
            pub holding: Histogram,
        }

        /// The same as plain numbers, at one moment.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Statistics {
            $($(#[$text])* pub $name: u64,)*
            /// From the request to the grant.
            pub acquire: Summary,
            /// From the renewal's request to its answer.
            pub renew: Summary,
            /// From the grant to the release or loss.
            pub hold: Summary,
        }

        impl Counters {
            /// With what was done at once.
            pub fn read(&self, at_once: &AtOnce) -> Statistics {
                let counted = Statistics {
                    $($name: self.$name.get(),)*
                    acquire: self.acquiring.plus(&at_once.acquiring).summary(),
                    renew: self.renewing.summary(),
                    hold: self.holding.plus(&at_once.holding).summary(),
                };
                at_once.on_top_of(counted)
            }
        }
    };
}

counts! {
    /// Grants. `acquisitions = releases + lost + held`.
    acquisitions,
    releases,
    /// Requests that did not get their keys at the first look.
    conflicts,
    /// Tries of `Strategy::Retry` after the first.
    retries,
    /// Requests that ended without a grant.
    failed,
    timeouts,
    aborted,
    /// Expired holds that grants of ours have taken over.
    stale_claimed,
    /// Live holds that we have taken by force, and by token.
    forced,
    stolen,
    lost,
    lost_expired,
    lost_stolen,
    lost_gone,
    lost_session,
    lost_max_hold,
    lost_loop,
    lost_closed,
    renewals,
    failed_renewals,
    risks,
    /// Writes whose answer did not come.
    unknown,
    /// Grants whose deadline had passed when their answer came: given back, and asked for anew.
    late_grants,
    /// At this moment.
    held,
    waiting,
}

/// What was begun without the I/O thread. Who takes a lease over from here counts it from then on.
#[derive(Debug, Default)]
pub struct AtOnce {
    /// Granted and given back.
    pub pairs: u64,
    /// Expired holds that they, or those that are held, have taken over.
    pub stale_claimed: u64,
    pub held: u64,
    pub acquiring: Histogram,
    pub holding: Histogram,
}

impl AtOnce {
    fn on_top_of(&self, counted: Statistics) -> Statistics {
        Statistics {
            acquisitions: counted.acquisitions + self.pairs + self.held,
            releases: counted.releases + self.pairs,
            stale_claimed: counted.stale_claimed + self.stale_claimed,
            held: counted.held + self.held,
            ..counted
        }
    }
}

impl Counters {
    pub fn more(field: &Field) {
        field.add(1);
    }

    pub fn less(field: &Field) {
        field.set(field.get().saturating_sub(1));
    }

    pub fn lost_by(&self, cause: &str) -> &Field {
        match cause {
            "stolen" => &self.lost_stolen,
            "gone" => &self.lost_gone,
            "session" => &self.lost_session,
            "maxHold" => &self.lost_max_hold,
            "loop" => &self.lost_loop,
            "closed" => &self.lost_closed,
            _ => &self.lost_expired,
        }
    }
}
