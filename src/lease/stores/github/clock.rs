//! GitHub's clock, seen from here. It tells whole seconds, in every answer; but an answer was made after its question
//! left and before it came, and after a few of them it is known to a fraction of a second when the next one begins.
//!
//! It only says when a look is worth it. What has expired, the dates in GitHub's own answers say.

use std::time::Duration;

use crate::time::Nanos;

const SECOND: i128 = 1_000_000_000;
const PER_MS: i128 = 1_000_000;

/// By how much GitHub's clock is ahead of this machine's: at least, and less than.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    least: i128,
    below: i128,
}

#[derive(Debug, Default)]
pub struct ClockThere(Option<Ahead>);

impl ClockThere {
    /// An answer of that time, in whole seconds, to a question that left at `sent`.
    pub fn told(&mut self, date_ms: u64, sent: Nanos, heard: Nanos) {
        let date = i128::from(date_ms) * PER_MS;
        let said = Ahead { least: date - i128::from(heard.0), below: date + SECOND - i128::from(sent.0) };
        let both = self
            .0
            .map(|known| Ahead { least: known.least.max(said.least), below: known.below.min(said.below) });
        // They do not agree when a clock has been set, or runs at another speed: then the newest counts.
        self.0 = both.filter(|both| both.least < both.below).or(Some(said));
    }

    /// How long until it shows that time at the latest; none while nothing is known of it.
    pub fn until(&self, then_ms: u64, now: Nanos) -> Option<Duration> {
        let left = i128::from(then_ms) * PER_MS - i128::from(now.0) - self.0?.least;
        Some(Duration::from_nanos(u64::try_from(left.max(0)).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its clock is 1,000 s and 300 ms ahead of ours; a question takes 40 ms there and 60 ms back.
    fn ask(clock: &mut ClockThere, at_ms: u64) {
        let there = at_ms + 40 + 1_000_300;
        let ns = |ms: u64| Nanos(ms * 1_000_000);
        clock.told(there / 1_000 * 1_000, ns(at_ms), ns(at_ms + 100));
    }

    fn until(clock: &ClockThere, then_ms: u64, now_ms: u64) -> u64 {
        clock.until(then_ms, Nanos(now_ms * 1_000_000)).unwrap().as_millis() as u64
    }

    #[test]
    fn whole_seconds_are_told_apart_after_some_answers() {
        let mut clock = ClockThere::default();
        assert_eq!(clock.until(5, Nanos(0)), None);
        ask(&mut clock, 500);
        assert_eq!(until(&clock, 1_002_000, 600), 2_000, "one answer may be a second late");
        for round in 0..20 {
            ask(&mut clock, 600 + 130 * round);
        }
        let left = until(&clock, 1_010_000, 3_200);
        assert!((6_500..6_600).contains(&left), "{left}");
        assert_eq!(until(&clock, 1_000_000, 3_200), 0);
    }

    #[test]
    fn a_clock_that_was_set_is_believed_at_once() {
        let mut clock = ClockThere::default();
        for round in 0..20 {
            ask(&mut clock, 130 * round);
        }
        clock.told(500_000, Nanos(3_000_000_000), Nanos(3_100_000_000));
        assert_eq!(until(&clock, 501_000, 3_100), 1_000);
    }
}
