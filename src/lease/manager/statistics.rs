//! What a manager has done: counted on the I/O thread, read from any.

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
            pub fn read(&self) -> Statistics {
                Statistics {
                    $($name: self.$name.get(),)*
                    acquire: self.acquiring.summary(),
                    renew: self.renewing.summary(),
                    hold: self.holding.summary(),
                }
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
