//! A small histogram of durations for a book under a mutex: 4 buckets an octave from 1 µs to 71 minutes, so
//! that a percentile is at most a quarter too high. The bucket scheme is that of `histogram`, with fewer
//! buckets, because there is one of these for every mode of every busy name.

use crate::time::Nanos;

const SUB_BITS: u32 = 2;
const SUB: u64 = 1 << SUB_BITS;
const OCTAVES: u64 = 30;
const BUCKETS: usize = (SUB + OCTAVES * SUB) as usize;

#[derive(Debug)]
pub struct Timing {
    count: u64,
    total_ns: u64,
    min_ns: u64,
    max_ns: u64,
    buckets: [u32; BUCKETS],
}

/// What a timing says, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TimingSummary {
    pub min_ms: f64,
    pub avg_ms: f64,
    pub max_ms: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { count: 0, total_ns: 0, min_ns: u64::MAX, max_ns: 0, buckets: [0; BUCKETS] }
    }
}

#[inline]
fn bucket_of(micros: u64) -> usize {
    if micros < SUB {
        return micros as usize;
    }
    let octave = 63 - micros.leading_zeros() - SUB_BITS;
    let within = (micros >> octave) - SUB;
    ((SUB + u64::from(octave) * SUB + within) as usize).min(BUCKETS - 1)
}

/// The first number of microseconds above the bucket.
fn end_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < SUB {
        return bucket + 1;
    }
    let (octave, within) = ((bucket - SUB) / SUB, (bucket - SUB) % SUB);
    (SUB + within + 1) << octave
}

impl Timing {
    #[inline]
    pub fn record(&mut self, span: Nanos) {
        self.count += 1;
        self.total_ns = self.total_ns.wrapping_add(span.0);
        self.min_ns = self.min_ns.min(span.0);
        self.max_ns = self.max_ns.max(span.0);
        let bucket = &mut self.buckets[bucket_of(span.0 / 1_000)];
        *bucket = bucket.saturating_add(1);
    }

    pub fn summary(&self) -> TimingSummary {
        if self.count == 0 {
            return TimingSummary::default();
        }
        let (min_ms, max_ms) = (Nanos(self.min_ns).as_ms(), Nanos(self.max_ns).as_ms());
        let at = |share: f64| (self.percentile_us(share) as f64 / 1_000.0).clamp(min_ms, max_ms);
        TimingSummary {
            min_ms,
            avg_ms: Nanos(self.total_ns / self.count).as_ms(),
            max_ms,
            p50_ms: at(0.50),
            p99_ms: at(0.99),
        }
    }

    /// The upper edge of the bucket in which that share lies.
    fn percentile_us(&self, share: f64) -> u64 {
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = self.buckets.iter().position(|&bucket| {
            seen += u64::from(bucket);
            seen >= rank
        });
        end_of(reached.unwrap_or(BUCKETS - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for bucket in 0..BUCKETS - 1 {
            assert_eq!(bucket_of(end_of(bucket) - 1), bucket);
            assert_eq!(bucket_of(end_of(bucket)), bucket + 1);
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn nothing_recorded_says_nothing() {
        assert_eq!(Timing::default().summary(), TimingSummary::default());
    }

    proptest! {
        #[test]
        fn percentiles_are_at_most_a_quarter_too_high(mut spans in proptest::collection::vec(0u64..1_200_000_000_000, 1..300)) {
            let mut timing = Timing::default();
            spans.iter().for_each(|&span| timing.record(Nanos(span)));
            spans.sort_unstable();
            let summary = timing.summary();
            for (share, told) in [(0.50, summary.p50_ms), (0.99, summary.p99_ms)] {
                let rank = ((spans.len() as f64 * share).ceil() as usize).max(1);
                let exact = Nanos(spans[rank - 1]).as_ms();
                prop_assert!(told >= exact - 1e-9 && told <= exact * 1.25 + 0.0011, "{told} for {exact}");
            }
            prop_assert_eq!(summary.max_ms, Nanos(*spans.last().unwrap()).as_ms());
            prop_assert_eq!(summary.min_ms, Nanos(spans[0]).as_ms());
        }
    }
}
