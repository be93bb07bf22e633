//! A log-linear histogram of durations: 16 buckets an octave from 1 µs to 71 minutes, so that a
//! percentile is wrong by at most 1/16 (6.25 %). Fixed size, no allocation, a few instructions a record.
//! The bucket scheme is that of G. Tene's HdrHistogram, reduced to powers of two.

use crate::sync::Field;
use crate::time::Nanos;

const SUB_BITS: u32 = 4;
const SUB: u64 = 1 << SUB_BITS;
const OCTAVES: u64 = 28;
/// Buckets 0..16 hold 0–15 µs exactly; then 16 an octave; the last one takes all that is longer.
pub const BUCKETS: usize = (SUB + OCTAVES * SUB) as usize;

#[repr(C)]
#[derive(Debug)]
pub struct Histogram {
    count: Field,
    total_ns: Field,
    max_ns: Field,
    /// Two 32-bit counts a word would halve this; a page is cheaper than the shifting.
    buckets: [Field; BUCKETS],
}

/// What a histogram says, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    pub count: u64,
    pub avg_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

#[inline]
fn bucket_of(micros: u64) -> usize {
    if micros < SUB {
        return micros as usize;
    }
    let octave = 63 - micros.leading_zeros() - SUB_BITS;
    let within = (micros >> octave) - SUB;
    let index = SUB + u64::from(octave) * SUB + within;
    (index as usize).min(BUCKETS - 1)
}

/// The largest number of microseconds that falls into the bucket.
fn upper_edge(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < SUB {
        return bucket;
    }
    let octave = (bucket - SUB) / SUB;
    let within = (bucket - SUB) % SUB;
    ((SUB + within + 1) << octave) - 1
}

impl Histogram {
    pub fn new() -> Self {
        Self {
            count: Field::default(),
            total_ns: Field::default(),
            max_ns: Field::default(),
            buckets: std::array::from_fn(|_| Field::default()),
        }
    }

    /// Counts one duration. One writer at a time.
    #[inline]
    pub fn record(&self, span: Nanos) {
        self.count.add(1);
        self.total_ns.add(span.0);
        if span.0 > self.max_ns.get() {
            self.max_ns.set(span.0);
        }
        self.buckets[bucket_of(span.0 / 1_000)].add(1);
    }

    pub fn clear(&self) {
        self.count.set(0);
        self.total_ns.set(0);
        self.max_ns.set(0);
        for bucket in &self.buckets {
            bucket.set(0);
        }
    }

    /// What both have counted.
    pub fn plus(&self, other: &Histogram) -> Histogram {
        let sum = |one: &Field, other: &Field| Field::new(one.get().wrapping_add(other.get()));
        Histogram {
            count: sum(&self.count, &other.count),
            total_ns: sum(&self.total_ns, &other.total_ns),
            max_ns: Field::new(self.max_ns.get().max(other.max_ns.get())),
            buckets: std::array::from_fn(|bucket| sum(&self.buckets[bucket], &other.buckets[bucket])),
        }
    }

    pub fn summary(&self) -> Summary {
        let count = self.count.get();
        if count == 0 {
            return Summary::default();
        }
        let max_ms = Nanos(self.max_ns.get()).as_ms();
        let [p50_ms, p90_ms, p99_ms] = self.percentiles(count, [0.50, 0.90, 0.99]).map(|ms| ms.min(max_ms));
        let avg_ms = Nanos(self.total_ns.get() / count).as_ms();
        Summary { count, avg_ms, p50_ms, p90_ms, p99_ms, max_ms }
    }

    /// The sum of all durations.
    pub fn total(&self) -> Nanos {
        Nanos(self.total_ns.get())
    }

    /// The buckets that hold something: their upper edge in ms, and how many were no longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let counts = self.buckets.iter().map(Field::get).enumerate().filter(|(_, count)| *count > 0);
        counts.scan(0, |seen: &mut u64, (bucket, count)| {
            *seen = seen.saturating_add(count);
            Some(((upper_edge(bucket) + 1) as f64 / 1_000.0, *seen))
        })
    }

    /// The upper edges of the buckets in which those shares lie, in ms; the shares ascend.
    fn percentiles<const N: usize>(&self, count: u64, shares: [f64; N]) -> [f64; N] {
        let ranks = shares.map(|share| ((count as f64 * share).ceil() as u64).max(1));
        let mut found = [f64::INFINITY; N];
        let (mut seen, mut next) = (0u64, 0);
        for (index, bucket) in self.buckets.iter().enumerate() {
            // What is read may be another process's, or garbage.
            seen = bucket.get().saturating_add(seen);
            while next < N && seen >= ranks[next] {
                found[next] = (upper_edge(index) + 1) as f64 / 1_000.0;
                next += 1;
            }
            if next == N {
                break;
            }
        }
        found
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_bucket_holds_its_own_upper_edge() {
        for bucket in 0..BUCKETS - 1 {
            assert_eq!(bucket_of(upper_edge(bucket)), bucket);
            assert_eq!(bucket_of(upper_edge(bucket) + 1), bucket + 1);
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn an_empty_histogram_says_nothing() {
        assert_eq!(Histogram::new().summary(), Summary::default());
    }

    #[test]
    fn two_together_say_what_one_would_that_had_counted_all() {
        let [one, other, all] = [(); 3].map(|()| Histogram::new());
        for (index, micros) in [3, 40, 40, 7_000, 90_000_000].into_iter().enumerate() {
            let part = if index % 2 == 0 { &one } else { &other };
            part.record(Nanos(micros * 1_000));
            all.record(Nanos(micros * 1_000));
        }
        assert_eq!(one.plus(&other).summary(), all.summary());
    }

    proptest! {
        #[test]
        fn percentiles_are_within_a_sixteenth(mut spans in proptest::collection::vec(0u64..1_200_000_000_000, 1..400)) {
            let histogram = Histogram::new();
            for &span in &spans {
                histogram.record(Nanos(span));
            }
            spans.sort_unstable();
            let summary = histogram.summary();
            for (share, told) in [(0.50, summary.p50_ms), (0.90, summary.p90_ms), (0.99, summary.p99_ms)] {
                let rank = ((spans.len() as f64 * share).ceil() as usize).max(1);
                let exact = Nanos(spans[rank - 1]).as_ms();
                prop_assert!(told >= exact - 1e-9 && told <= exact * (1.0 + 1.0 / 16.0) + 0.0011, "{told} for {exact}");
            }
            prop_assert_eq!(summary.max_ms, Nanos(*spans.last().unwrap()).as_ms());
        }
    }
}
