//! The clocks, read nowhere else. Everything that is compared is monotonic; wall time is made only at the
//! moment somebody looks, from an age, so that a jump of the wall clock changes no decision and no order.

use crate::sync::{Ordering, StaticU64};
use crate::sys::clock::{monotonic_ns, since_boot_ns};
use once_cell::sync::Lazy;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds on the system's monotonic clock, a day ahead: the same for all processes of one boot, so that
/// they can compare times. `Nanos::NEVER` (zero) is before everything: the day between lets ages older than
/// the system be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

const START: u64 = 86_400 * 1_000_000_000;
const PER_MS: u64 = 1_000_000;

/// One moment on std's clock and on ours.
static ORIGIN: Lazy<(Instant, Nanos)> =
    Lazy::new(|| (Instant::now(), Nanos(START + monotonic_ns().unwrap_or(0))));

impl Nanos {
    pub const NEVER: Nanos = Nanos(0);
    pub const FOREVER: Nanos = Nanos(u64::MAX);

    /// Whole and fractional milliseconds to nanoseconds; what does not fit is "for ever".
    pub fn from_ms(ms: f64) -> Nanos {
        Nanos((ms * PER_MS as f64) as u64)
    }

    pub fn as_ms(self) -> f64 {
        self.0 as f64 / PER_MS as f64
    }

    /// Whole milliseconds, rounded down: what people read.
    pub fn whole_ms(self) -> u64 {
        self.0 / PER_MS
    }

    #[inline]
    pub fn since(self, earlier: Nanos) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }

    #[inline]
    pub fn plus(self, span: Nanos) -> Nanos {
        Nanos(self.0.saturating_add(span.0))
    }

    /// The same instant as the system counts it: what lies in files of a documented format.
    pub fn system(self) -> u64 {
        self.0.wrapping_sub(START)
    }

    /// An instant that another process has told; what is from another boot may be anything.
    pub fn from_system(ns: u64) -> Nanos {
        Nanos(ns.wrapping_add(START))
    }

    pub fn duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// The instant on the system's monotonic clock, for a timer; `None` when it is out of its reach.
    pub fn instant(self) -> Option<Instant> {
        let (origin, at) = *ORIGIN;
        origin.checked_add(Duration::from_nanos(self.since(at).0))
    }
}

/// Now, on the monotonic clock.
#[inline]
pub fn now() -> Nanos {
    match monotonic_ns() {
        Some(ns) => Nanos(START + ns),
        None => Nanos(START + ORIGIN.0.elapsed().as_nanos() as u64),
    }
}

/// Now, on a clock that also runs while the machine sleeps, where there is one. Not to be compared with [`now`].
#[inline]
pub fn boot_now() -> Nanos {
    match since_boot_ns() {
        Some(ns) => Nanos(START + ns),
        None => now(),
    }
}

/// Now, on the wall clock: milliseconds since 1970. Only for people; nothing decides by it.
pub fn epoch_ms() -> f64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(span) => span.as_nanos() as f64 / PER_MS as f64,
        Err(before) => -(before.duration().as_nanos() as f64 / PER_MS as f64),
    }
}

/// The epoch time of something that was so long after the boot.
pub fn epoch_of_boot(after_boot: Duration) -> Option<f64> {
    let ago = Duration::from_nanos(since_boot_ns()?).saturating_sub(after_boot);
    Some((epoch_ms() - ago.as_secs_f64() * 1_000.0).floor())
}

/// Milliseconds on a clock that all processes of this boot share, and that runs while the machine sleeps; `None` where
/// there is none.
pub fn ms_since_boot() -> Option<u64> {
    Some(since_boot_ns()? / PER_MS)
}

/// An epoch time as people and logs write it: `2026-11-21T08:01:02.345Z`.
pub fn iso(epoch_ms: f64) -> String {
    let ms = epoch_ms.max(0.0) as u64;
    let (days, in_day) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = civil(days as i64);
    let (hour, minute, second) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1_000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", in_day % 1_000)
}

/// Days since 1970 to a Gregorian date, by H. Hinnant's `civil_from_days` (years begin in March, so that
/// the leap day comes last).
fn civil(days: i64) -> (i64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let in_era = shifted.rem_euclid(146_097);
    let year_of_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u64, day as u64)
}

/// Both clocks, read together: translates between monotonic instants and wall time at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now: Nanos,
    /// The wall clock's lead over the monotonic one, in ms.
    lead_ms: f64,
}

/// The lead, as the bits of an f64. It is kept, so that an instant reads the same however often somebody
/// looks, until the wall clock is set.
static LEAD: StaticU64 = StaticU64::new(0);
/// A larger change of the lead is a clock that was set, or two readings with a pause between.
const SET_MS: f64 = 20.0;
/// Readings further apart than this say nothing about a clock.
const TOGETHER: Nanos = Nanos(PER_MS);

impl Moment {
    /// A moment of a clock of one's own.
    pub fn at(now: Nanos, epoch_ms: f64) -> Self {
        Self { now, lead_ms: epoch_ms - now.as_ms() }
    }

    pub fn read() -> Self {
        let now = now();
        let kept = f64::from_bits(LEAD.load(Ordering::Relaxed));
        if (epoch_ms() - now.as_ms() - kept).abs() <= SET_MS {
            return Self { now, lead_ms: kept };
        }
        let lead_ms = measure_lead().unwrap_or(kept);
        LEAD.store(lead_ms.to_bits(), Ordering::Relaxed);
        Self { now, lead_ms }
    }

    /// Epoch milliseconds, whole, of a monotonic instant, as the wall clock stands at this moment.
    pub fn epoch_of(&self, at: Nanos) -> f64 {
        (self.lead_ms + at.as_ms()).floor()
    }

    /// The same in nanoseconds, in whole microseconds: no wall clock is more exact, and as milliseconds with
    /// fractions they come back as they were.
    pub fn epoch_ns_of(&self, at: Nanos) -> i64 {
        let ns = ((self.lead_ms * PER_MS as f64) as i64).saturating_add_unsigned(at.0);
        ns - ns.rem_euclid(1_000)
    }

    /// The monotonic instant of an epoch time; the future becomes now, the distant past the beginning.
    pub fn nanos_of(&self, epoch_ms: f64) -> Nanos {
        let at = Nanos::from_ms((epoch_ms - self.lead_ms).max(0.0));
        at.min(self.now).max(Nanos(1))
    }
}

/// The lead, from two readings that nothing came between; `None` when something always did.
fn measure_lead() -> Option<f64> {
    (0..100).find_map(|_| {
        let before = now();
        let epoch_ms = epoch_ms();
        (now().since(before) < TOGETHER).then(|| epoch_ms - before.as_ms())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_translates_both_ways() {
        let moment = Moment::at(Nanos::from_ms(90_000_000.0), 1_000_000.0);
        let earlier = Nanos::from_ms(89_999_000.0);
        assert_eq!(moment.epoch_of(earlier), 999_000.0);
        assert_eq!(moment.nanos_of(999_000.0), earlier);
        assert_eq!(moment.nanos_of(2_000_000.0), moment.now, "the future is now");
        assert_eq!(moment.nanos_of(-1e18), Nanos(1), "the distant past is the beginning, never NEVER");
    }

    #[test]
    fn an_instant_reads_the_same_however_often_somebody_looks() {
        let at = now();
        let first = Moment::read().epoch_of(at);
        assert!((0..10_000).all(|_| Moment::read().epoch_of(at) == first));
    }

    #[test]
    fn dates_are_written_as_javascript_writes_them() {
        for (ms, text) in [
            (0.0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123.0, "2000-02-29T00:00:00.123Z"),
            (1_795_248_061_999.0, "2026-11-21T08:01:01.999Z"),
        ] {
            assert_eq!(iso(ms), text);
        }
    }

    #[test]
    fn the_clock_does_not_run_backwards() {
        let first = now();
        assert!(now() >= first && first.0 >= START);
    }
}
