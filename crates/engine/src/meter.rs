//! How many bits per second, at the cost of an addition per packet.

use std::time::{Duration, Instant};

/// Counts bytes over the last one to two windows.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    began: Instant,
    bytes: u64,
    /// Bits per second in the window before.
    previous: Option<u64>,
}

const WINDOW: Duration = Duration::from_secs(2);

impl Meter {
    pub(crate) fn new(now: Instant) -> Self {
        Meter {
            began: now,
            bytes: 0,
            previous: None,
        }
    }

    pub(crate) fn add(&mut self, now: Instant, bytes: usize) {
        if now.saturating_duration_since(self.began) >= WINDOW {
            self.previous = Some(self.bits_per_second(now));
            self.began = now;
            self.bytes = 0;
        }
        self.bytes += bytes as u64;
    }

    pub(crate) fn bits_per_second(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.began);
        if elapsed < WINDOW
            && let Some(previous) = self.previous
        {
            return previous;
        }
        // A short beginning would exaggerate.
        let micros = elapsed.max(WINDOW / 4).as_micros();
        u64::try_from(u128::from(self.bytes) * 8_000_000 / micros).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_and_falls_to_zero_in_silence() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut meter = Meter::new(start);
        for ms in (0..10_000).step_by(10) {
            meter.add(at(ms), 1250);
        }
        let rate = meter.bits_per_second(at(10_000));
        assert!((950_000..1_050_000).contains(&rate), "{rate}");
        assert!(meter.bits_per_second(at(1_000_000)) < 5_000);
    }
}
