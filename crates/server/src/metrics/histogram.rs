//! How long something took, in buckets.

use std::time::Duration;

/// Upper ends of the buckets, inclusive, in milliseconds. A join takes the time of a few round
/// trips and of one DTLS handshake; half a minute is all that a connection gets.
pub(super) const BOUNDS_MS: [u32; 10] =
    [100, 250, 500, 750, 1000, 1500, 2500, 5000, 10_000, 30_000];

/// Counts since the start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Histogram {
    /// Each with what fell into it and into no smaller one.
    buckets: [u64; BOUNDS_MS.len()],
    /// Beyond the last bound.
    beyond: u64,
    sum: Duration,
}

impl Histogram {
    pub(crate) fn observe(&mut self, took: Duration) {
        let fits = |bound: &u32| took <= Duration::from_millis(u64::from(*bound));
        match BOUNDS_MS.iter().position(fits) {
            Some(bucket) => self.buckets[bucket] += 1,
            None => self.beyond += 1,
        }
        self.sum += took;
    }

    /// Upper ends in seconds, each with all that took no longer.
    pub(super) fn cumulated(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut below = 0;
        BOUNDS_MS
            .iter()
            .zip(self.buckets)
            .map(move |(bound, count)| {
                below += count;
                (f64::from(*bound) / 1000.0, below)
            })
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum::<u64>() + self.beyond
    }

    pub(super) fn sum(&self) -> Duration {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_lacks_what_was_faster() {
        let mut histogram = Histogram::default();
        for ms in [50, 100, 101, 30_000, 31_000] {
            histogram.observe(Duration::from_millis(ms));
        }
        let counts: Vec<(f64, u64)> = histogram.cumulated().collect();
        assert_eq!(counts[..2], [(0.1, 2), (0.25, 3)]);
        assert_eq!(counts.last(), Some(&(30.0, 4)));
        assert_eq!(histogram.count(), 5);
        assert_eq!(histogram.sum(), Duration::from_millis(61_251));
    }
}
