//! What a holder knows of its lease at any instant, without the I/O thread: a deadline and a state, read from any
//! thread while the I/O thread writes.

use crate::sync::Field;
use crate::time::Nanos;

const HELD: u64 = 0;
const RELEASED: u64 = 1;
/// The causes of `Lost`; a state is the place in here, plus 2. The page counts them in this order.
pub const CAUSES: [&str; 7] = ["expired", "stolen", "gone", "session", "maxHold", "loop", "closed"];

/// Each word says something true by itself, so no order between them is needed: a deadline that is seen late is an
/// earlier one, and what ends a lease is never taken back.
#[derive(Debug)]
pub struct LeaseCell {
    /// On `time::boot_now`, which runs through suspends.
    deadline: Field,
    state: Field,
}

impl LeaseCell {
    pub fn new(deadline: Nanos) -> Self {
        Self { deadline: Field::new(deadline.0), state: Field::new(HELD) }
    }

    pub fn deadline(&self) -> Nanos {
        Nanos(self.deadline.get())
    }

    /// Until the deadline; nothing when it is no longer held.
    pub fn remaining(&self, now: Nanos) -> Nanos {
        match self.state.get() {
            HELD => self.deadline().since(now),
            _ => Nanos(0),
        }
    }

    /// It was granted and is not held any more, and nobody has released it.
    pub fn is_lost(&self, now: Nanos) -> bool {
        match self.state.get() {
            HELD => now >= self.deadline(),
            state => state != RELEASED,
        }
    }

    /// Released or told as lost.
    pub fn is_over(&self) -> bool {
        self.state.get() != HELD
    }

    pub fn is_released(&self) -> bool {
        self.state.get() == RELEASED
    }

    pub fn is_held(&self, now: Nanos) -> bool {
        self.state.get() == HELD && now < self.deadline()
    }

    /// Why it is lost, as `Lost::cause` says; none while it is held, and after its release.
    pub fn cause(&self, now: Nanos) -> Option<&'static str> {
        match self.state.get() {
            HELD if now < self.deadline() => None,
            HELD => Some(CAUSES[0]),
            state => CAUSES.get(state.checked_sub(2)? as usize).copied(),
        }
    }

    /// Only the I/O thread; only onwards.
    pub(in crate::lease) fn extend(&self, deadline: Nanos) {
        if deadline > self.deadline() {
            self.deadline.set(deadline.0);
        }
    }

    /// Only the I/O thread, or who has not handed it over yet; the first end counts.
    pub(in crate::lease) fn release(&self) {
        if self.state.get() == HELD {
            self.state.set(RELEASED);
        }
    }

    pub(in crate::lease) fn lose(&self, cause: &str) {
        if self.state.get() == HELD {
            let place = CAUSES.iter().position(|known| *known == cause).unwrap_or(0);
            self.state.set(place as u64 + 2);
        }
    }
}
