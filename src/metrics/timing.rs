//! A small histogram of durations, of which one writer at a time counts and anybody may read, also from
//! outside: 4 buckets an octave from 1 µs to 71 minutes, so that a percentile is at most a quarter too high.
//! The bucket scheme is that of `histogram`, with fewer buckets, two to a word, because there is one of these
//! for every mode of every busy name.

use crate::sync::Field;
use crate::time::Nanos;

const SUB_BITS: u32 = 2;
const SUB: u64 = 1 << SUB_BITS;
const OCTAVES: u64 = 30;
const BUCKETS: usize = (SUB + OCTAVES * SUB) as usize;
/// Words of two buckets each.
const PAIRS: usize = BUCKETS / 2;

#[repr(C)]
#[derive(Debug)]
pub struct Timing {
    count: Field,
    total_ns: Field,
    /// The shortest, plus 1; 0 for none.
    least_ns: Field,
    max_ns: Field,
    /// Bucket 2n in the low half of word n, bucket 2n + 1 in the high one; they stop at their largest number.
    pairs: [Field; PAIRS],
}

/// A copy of one or several timings, added up.
#[derive(Clone, Debug)]
pub struct Durations {
    pub count: u64,
    pub total: Nanos,
    min: Nanos,
    pub max: Nanos,
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
        Self {
            count: Field::default(),
            total_ns: Field::default(),
            least_ns: Field::default(),
            max_ns: Field::default(),
            pairs: std::array::from_fn(|_| Field::default()),
        }
    }
}

impl Default for Durations {
    fn default() -> Self {
        Self { count: 0, total: Nanos(0), min: Nanos::FOREVER, max: Nanos(0), buckets: [0; BUCKETS] }
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
    /// Counts one duration. One writer at a time.
    #[inline]
    pub fn record(&self, span: Nanos) {
        self.count.add(1);
        self.total_ns.add(span.0);
        let least = span.0.saturating_add(1);
        if self.least_ns.get().wrapping_sub(1) >= least {
            self.least_ns.set(least);
        }
        if span.0 > self.max_ns.get() {
            self.max_ns.set(span.0);
        }
        let bucket = bucket_of(span.0 / 1_000);
        let (pair, shift) = (&self.pairs[bucket / 2], 32 * (bucket % 2));
        if (pair.get() >> shift) as u32 != u32::MAX {
            pair.add(1 << shift);
        }
    }

    fn fields(&self) -> impl Iterator<Item = &Field> {
        [&self.count, &self.total_ns, &self.least_ns, &self.max_ns].into_iter().chain(&self.pairs)
    }

    pub fn clear(&self) {
        if self.count.get() > 0 {
            self.fields().for_each(|field| field.set(0));
        }
    }

    pub fn copy_from(&self, other: &Timing) {
        self.fields().zip(other.fields()).for_each(|(field, from)| field.set(from.get()));
    }

    pub fn summary(&self) -> TimingSummary {
        let mut durations = Durations::default();
        durations.add(self);
        durations.summary()
    }
}

impl Durations {
    /// Adds what a timing has counted; whatever its words say, nothing overflows.
    pub fn add(&mut self, timing: &Timing) {
        let count = timing.count.get();
        if count == 0 {
            return;
        }
        self.count = self.count.saturating_add(count);
        self.total = self.total.plus(Nanos(timing.total_ns.get()));
        if let Some(least) = timing.least_ns.get().checked_sub(1) {
            self.min = self.min.min(Nanos(least));
        }
        self.max = self.max.max(Nanos(timing.max_ns.get()));
        for (buckets, pair) in self.buckets.chunks_exact_mut(2).zip(&timing.pairs) {
            let pair = pair.get();
            if pair != 0 {
                buckets[0] = buckets[0].saturating_add(pair as u32);
                buckets[1] = buckets[1].saturating_add((pair >> 32) as u32);
            }
        }
    }

    pub fn summary(&self) -> TimingSummary {
        if self.count == 0 {
            return TimingSummary::default();
        }
        let max_ms = self.max.as_ms();
        // Somebody else's words may contradict each other.
        let min_ms = self.min.as_ms().min(max_ms);
        let [p50, p99] = self.percentiles_us([0.50, 0.99]);
        let within = |us: u64| (us as f64 / 1_000.0).clamp(min_ms, max_ms);
        TimingSummary {
            min_ms,
            avg_ms: Nanos(self.total.0 / self.count).as_ms(),
            max_ms,
            p50_ms: within(p50),
            p99_ms: within(p99),
        }
    }

    /// The upper edges of the buckets in which those shares lie; the shares ascend.
    fn percentiles_us(&self, shares: [f64; 2]) -> [u64; 2] {
        let ranks = shares.map(|share| ((self.count as f64 * share).ceil() as u64).max(1));
        let mut found = [end_of(BUCKETS - 1); 2];
        let (mut seen, mut next) = (0, 0);
        for (bucket, &count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            seen += u64::from(count);
            while next < 2 && seen >= ranks[next] {
                found[next] = end_of(bucket);
                next += 1;
            }
        }
        found
    }

    /// The buckets that hold something: their upper edge in ms, and how many were no longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let held = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        held.scan(0, |seen, (bucket, &count)| {
            *seen += u64::from(count);
            Some((end_of(bucket) as f64 / 1_000.0, *seen))
        })
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

    #[test]
    fn several_are_added_up_and_a_full_bucket_stays_full() {
        let (one, other) = (Timing::default(), Timing::default());
        one.record(Nanos(500_000));
        one.record(Nanos(0));
        other.record(Nanos(3_000_000));
        let mut both = Durations::default();
        both.add(&one);
        both.add(&other);
        let TimingSummary { min_ms, max_ms, .. } = both.summary();
        assert_eq!((both.count, both.total, min_ms, max_ms), (3, Nanos(3_500_000), 0.0, 3.0));
        let cumulative: Vec<u64> = both.cumulative().map(|(_, seen)| seen).collect();
        assert_eq!(cumulative, [1, 2, 3]);
        one.pairs[0].set(u64::from(u32::MAX));
        one.record(Nanos(0));
        assert_eq!(one.pairs[0].get(), u64::from(u32::MAX), "nothing runs over into the next bucket");
        one.clear();
        assert_eq!(one.summary(), TimingSummary::default());
    }

    proptest! {
        #[test]
        fn percentiles_are_at_most_a_quarter_too_high(mut spans in proptest::collection::vec(0u64..1_200_000_000_000, 1..300)) {
            let timing = Timing::default();
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
