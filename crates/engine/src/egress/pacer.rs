//! How fast video leaves.

use std::time::{Duration, Instant};

use super::rate::RateMeter;

/// How fast video and resends of one connection leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pacing {
    /// Three times what was written lately, at least 10 Mbit/s, and fast enough that what is
    /// queued leaves within a quarter of a second.
    #[default]
    Automatic,
    /// The same, but no faster than this many bits per second, unless what is queued would wait
    /// for too long.
    UpTo(u64),
    /// This many bits per second.
    Fixed(u64),
}

/// A budget of bytes that fills with time. One packet may overdraw it.
#[derive(Debug)]
pub(super) struct Pacer {
    pacing: Pacing,
    /// What was written, for [`Pacing::Automatic`].
    written: RateMeter,
    budget: i64,
    filled: Instant,
}

/// Packets leave in bursts of at most this long at the pacing rate.
pub(super) const TICK: Duration = Duration::from_millis(5);
const MIN_RATE: u64 = 10_000_000;
const HEADROOM: u64 = 3;
/// 1 / the longest time that a packet should wait.
const DRAINS_PER_SECOND: u64 = 4;
/// A usual frame leaves at once, by one system call: it would arrive in one queue anyway. Only
/// what is larger, key frames above all, is spread. Browsers allow themselves up to 63 kB.
const MIN_BURST: u64 = 16_000;

impl Pacer {
    pub(super) fn new(now: Instant) -> Pacer {
        Pacer {
            pacing: Pacing::Automatic,
            written: RateMeter::new(now),
            budget: MIN_BURST as i64,
            filled: now,
        }
    }

    pub(super) fn set(&mut self, pacing: Pacing) {
        self.pacing = pacing;
    }

    /// Something was put into the queue.
    pub(super) fn written(&mut self, now: Instant, bytes: usize) {
        self.written.add(now, bytes);
    }

    /// Bits per second that were put into the queue lately.
    pub(super) fn written_rate(&self, now: Instant) -> u64 {
        self.written.rate(now)
    }

    /// Fills the budget for the time that has passed; `queued` bytes wait.
    pub(super) fn fill(&mut self, now: Instant, queued: usize) {
        let rate = self.rate(now, queued);
        let elapsed = now.saturating_duration_since(self.filled).min(TICK * 2);
        let gained = rate.saturating_mul(elapsed.as_micros() as u64) / 8_000_000;
        let burst = (rate / 8 * TICK.as_millis() as u64 / 1000).max(MIN_BURST);
        let gained = i64::try_from(gained).unwrap_or(i64::MAX);
        let burst = i64::try_from(burst).unwrap_or(i64::MAX);
        self.budget = self.budget.saturating_add(gained).min(burst);
        self.filled = self.filled.max(now);
    }

    pub(super) fn may_send(&self) -> bool {
        self.budget > 0
    }

    pub(super) fn spend(&mut self, bytes: usize) {
        self.budget = self
            .budget
            .saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// When there will be budget for what waits after a flush.
    pub(super) fn next_tick(&self) -> Instant {
        self.filled + TICK
    }

    fn automatic(&self, now: Instant, queued: usize, most: u64) -> u64 {
        let drain = queued as u64 * 8 * DRAINS_PER_SECOND;
        let ample = (self.written.rate(now) * HEADROOM).max(MIN_RATE);
        ample.min(most).max(drain)
    }

    fn rate(&self, now: Instant, queued: usize) -> u64 {
        match self.pacing {
            Pacing::Fixed(rate) => rate,
            Pacing::Automatic => self.automatic(now, queued, u64::MAX),
            Pacing::UpTo(most) => self.automatic(now, queued, most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_pause_earns_no_burst() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start);
        pacer.set(Pacing::Fixed(8_000_000)); // 1000 bytes per ms
        pacer.fill(start + Duration::from_secs(60), 100_000);
        assert_eq!(pacer.budget, MIN_BURST as i64);
        pacer.spend(17_000);
        assert!(!pacer.may_send());
        pacer.fill(
            start + Duration::from_secs(60) + Duration::from_millis(2),
            100_000,
        );
        assert_eq!(pacer.budget, 1_000);
    }

    #[test]
    fn a_full_queue_is_drained_in_a_quarter_of_a_second() {
        let start = Instant::now();
        let mut pacer = Pacer::new(start);
        assert_eq!(pacer.rate(start, 0), MIN_RATE);
        assert_eq!(pacer.rate(start, 1_000_000), 32_000_000);
        for i in 0..100 {
            pacer.written(start + Duration::from_millis(10 * i), 12_500); // 10 Mbit/s
        }
        let rate = pacer.rate(start + Duration::from_secs(1), 0);
        assert!((28_000_000..33_000_000).contains(&rate), "{rate}");
    }
}
