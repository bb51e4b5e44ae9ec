//! [`Histogram`]: latencies of millions of calls in a few kilobytes. It has 16 buckets
//! for each power of two, so that a bucket's width is at most a sixteenth of its times.

/// Bits of a time that select the bucket within a power of two.
const SUB_BITS: u32 = 4;
const SUB: usize = 1 << SUB_BITS;
/// The number of buckets for any `u64`.
const BUCKETS: usize = SUB * (u64::BITS - SUB_BITS + 1) as usize;

/// How often each time was seen.
#[derive(Clone)]
pub(crate) struct Histogram {
    buckets: Box<[u64]>,
    samples: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            buckets: vec![0; BUCKETS].into(),
            samples: 0,
            max: 0,
        }
    }
}

impl Histogram {
    /// Counts one time, in nanoseconds.
    #[inline]
    pub(crate) fn record(&mut self, ns: u64) {
        self.buckets[bucket(ns)] += 1;
        self.samples += 1;
        self.max = self.max.max(ns);
    }

    /// Adds all that `other` has counted.
    pub(crate) fn merge(&mut self, other: &Histogram) {
        for (own, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *own += theirs;
        }
        self.samples += other.samples;
        self.max = self.max.max(other.max);
    }

    /// How many times were counted.
    pub(crate) fn samples(&self) -> u64 {
        self.samples
    }

    /// The longest time, in nanoseconds: exact.
    pub(crate) fn max(&self) -> f64 {
        self.max as f64
    }

    /// The time in nanoseconds that the share `q` (0 to 1) of all does not
    /// exceed: the middle of its bucket; 0 when there are none.
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        let rank = ((q * self.samples as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle(index).min(self.max());
            }
        }
        0.0
    }
}

/// Below 16 every time has its own bucket; from there on a bucket is found by
/// the highest bit and the four below it.
fn bucket(ns: u64) -> usize {
    if ns < SUB as u64 {
        return ns as usize;
    }
    let shift = u64::BITS - 1 - ns.leading_zeros() - SUB_BITS;
    SUB * (shift as usize + 1) + (ns >> shift) as usize % SUB
}

fn middle(bucket: usize) -> f64 {
    if bucket < SUB {
        return bucket as f64;
    }
    let width = ((bucket / SUB - 1) as f64).exp2();
    let lowest = (SUB + bucket % SUB) as f64 * width;
    lowest + (width - 1.0) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_bucket_and_times_stay_in_order() {
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        let times =
            (0..64).flat_map(|bit| [0, 1, 2].map(|more| (1u64 << bit).saturating_add(more)));
        let mut times: Vec<u64> = times.collect();
        times.sort_unstable();
        assert!(times.is_sorted_by_key(|ns| bucket(*ns)));
    }

    #[test]
    fn a_bucket_is_near_its_times() {
        for ns in (0..20_000).chain([1_000_003, 123_456_789_012, 1 << 50]) {
            let off = (middle(bucket(ns)) - ns as f64).abs();
            assert!(off <= ns as f64 / 32.0, "{ns}: off by {off}");
        }
    }

    #[test]
    fn quantiles_of_what_was_counted() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0.0);
        (1..=10).for_each(|ns| histogram.record(ns));
        assert_eq!(histogram.quantile(0.5), 5.0);
        assert_eq!(histogram.quantile(0.9), 9.0);
        assert_eq!(histogram.quantile(0.99), 10.0);
        assert_eq!(histogram.max(), 10.0);
        // A quantile is never above the longest.
        histogram.record(1 << 20);
        assert_eq!(histogram.quantile(1.0), f64::from(1 << 20));
    }

    #[test]
    fn merging_counts_all() {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        (0..99).for_each(|_| one.record(3));
        other.record(7);
        one.merge(&other);
        assert_eq!(one.samples(), 100);
        assert_eq!(one.quantile(0.99), 3.0);
        assert_eq!(one.quantile(0.999), 7.0);
        assert_eq!(one.max(), 7.0);
    }
}
