//! Whether a thread that has nothing to do looks on for a moment before it sleeps. Waking a sleeping thread takes longer
//! than most of what it is woken for; so while one thing has followed the other quickly for a while, it looks on. A
//! store that is far away, one request now and then, or a machine whose cores others want, costs no looking at all:
//! there something always takes longer.

use crate::time::Nanos;
use std::cell::Cell;

/// What comes within this was worth looking on: a few times as long as waking a thread takes.
const SOON: Nanos = Nanos(150_000);
/// So many in a row must have come soon.
const ENOUGH: u32 = 32;

#[derive(Debug)]
pub struct Patience {
    /// On a single core nobody else could go on meanwhile.
    has_cores: bool,
    last: Cell<Nanos>,
    /// How many in a row have come soon.
    streak: Cell<u32>,
}

impl Patience {
    pub fn new(cores: usize) -> Patience {
        Patience { has_cores: cores > 1, last: Cell::new(Nanos::NEVER), streak: Cell::new(0) }
    }

    /// Something was to do.
    pub fn came(&self, now: Nanos) {
        let pause = now.since(self.last.replace(now));
        self.streak.set(if pause <= SOON { self.streak.get().saturating_add(1) } else { 0 });
    }

    /// Whether to look on.
    pub fn lasts(&self, now: Nanos) -> bool {
        self.has_cores && self.streak.get() >= ENOUGH && now.since(self.last.get()) < SOON
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: u64 = 1_000;

    /// After things that came so many µs after each other, and the last of them.
    fn after(cores: usize, pauses: impl IntoIterator<Item = u64>) -> (Patience, Nanos) {
        let patience = Patience::new(cores);
        let mut last = Nanos(1_000_000 * US);
        for pause in pauses {
            last = last.plus(Nanos(pause * US));
            patience.came(last);
        }
        (patience, last)
    }

    fn looks_on_for(us: u64, (patience, last): &(Patience, Nanos)) -> bool {
        patience.lasts(last.plus(Nanos(us * US)))
    }

    #[test]
    fn where_one_thing_follows_the_other_it_looks_on_but_not_for_long() {
        let busy = after(2, [50; 40]);
        assert!(looks_on_for(149, &busy));
        assert!(!looks_on_for(150, &busy));
    }

    #[test]
    fn a_few_in_a_row_or_one_now_and_then_cost_no_looking() {
        assert!(!looks_on_for(0, &after(2, [50; 20])));
        assert!(!looks_on_for(0, &after(2, [300; 100])));
    }

    #[test]
    fn one_that_took_longer_ends_it() {
        let (all, late) = ([50; 40], [50; 20]);
        assert!(!looks_on_for(0, &after(2, all.into_iter().chain([200]).chain(late))));
        assert!(looks_on_for(0, &after(2, all.into_iter().chain([200]).chain(all))));
    }

    #[test]
    fn on_one_core_nobody_looks_on() {
        assert!(!looks_on_for(0, &after(1, [50; 40])));
    }
}
