//! How fast something has been in the last seconds.

use std::time::{Duration, Instant};

const BUCKETS: usize = 8;
const BUCKET_MS: u64 = 250;
const BUCKET: Duration = Duration::from_millis(BUCKET_MS);
const PER_SECOND: u64 = 1000 / BUCKET_MS;

/// Bits per second over the last two seconds, in constant time and space.
#[derive(Debug, Clone)]
pub(super) struct RateMeter {
    bytes: [u64; BUCKETS],
    /// Counted from `start`.
    bucket: u64,
    start: Instant,
}

impl RateMeter {
    pub(super) fn new(now: Instant) -> RateMeter {
        RateMeter {
            bytes: [0; BUCKETS],
            bucket: 0,
            start: now,
        }
    }

    pub(super) fn add(&mut self, now: Instant, bytes: usize) {
        let bucket = self.bucket_at(now);
        if bucket > self.bucket {
            for skipped in (self.bucket + 1..=bucket).take(BUCKETS) {
                self.bytes[place(skipped)] = 0;
            }
            if bucket - self.bucket > BUCKETS as u64 {
                self.bytes = [0; BUCKETS];
            }
            self.bucket = bucket;
        }
        self.bytes[place(self.bucket)] += bytes as u64;
    }

    /// Bits per second.
    pub(super) fn rate(&self, now: Instant) -> u64 {
        let current = self.bucket_at(now).max(self.bucket);
        let oldest = (current + 1).saturating_sub(BUCKETS as u64);
        let bytes: u64 = (oldest..=self.bucket)
            .map(|bucket| self.bytes[place(bucket)])
            .sum();
        let begun = self.start + BUCKET * u32::try_from(oldest).unwrap_or(u32::MAX);
        let span = now.saturating_duration_since(begun).max(BUCKET);
        bytes * 8 * 1000 / span.as_millis() as u64
    }

    fn bucket_at(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.start);
        elapsed.as_secs() * PER_SECOND + u64::from(elapsed.subsec_millis()) / BUCKET_MS
    }
}

fn place(bucket: u64) -> usize {
    (bucket % BUCKETS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_has_its_rate_and_a_stopped_one_fades() {
        let start = Instant::now();
        let mut meter = RateMeter::new(start);
        let mut now = start;
        for _ in 0..500 {
            meter.add(now, 1250); // 10 kbit every 10 ms
            now += Duration::from_millis(10);
        }
        let rate = meter.rate(now);
        assert!((950_000..1_050_000).contains(&rate), "{rate}");
        let fading = meter.rate(now + Duration::from_secs(1));
        assert!(fading < rate * 2 / 3, "{fading}");
        assert_eq!(meter.rate(now + Duration::from_secs(3)), 0);
        now += Duration::from_secs(100);
        meter.add(now, 125);
        assert!(meter.rate(now) <= 4000);
    }
}
