//! The rate that the delay allows: additive and multiplicative increase, multiplicative decrease.

use std::time::{Duration, Instant};

use super::trend::Usage;

/// Growth for each second while the path's capacity is unknown (gcc-02 section 5.5).
const GROWTH: f64 = 1.08;
/// What is kept of the rate that arrived while a queue grew.
const BACKOFF: f64 = 0.85;
/// The rate does not grow beyond this much of what arrives: unused capacity proves nothing.
const HEADROOM: f64 = 1.5;
const HEADROOM_BITS: f64 = 10_000.0;
/// Shortest and longest time between two decreases: about a round trip.
const REPEAT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));
/// Response of the whole loop beyond the round trip.
const RESPONSE: Duration = Duration::from_millis(100);
/// Bits per second by which an additive increase grows at least, for each second: one that has
/// little must not stay there while others hold the queue.
const SLOWEST: f64 = 15_000.0;
/// A path that was full is taken to be so for this long, up to this much of what arrived then.
const CROWDED: (Duration, f64) = (Duration::from_secs(30), 1.5);
const FRAMES_PER_SECOND: f64 = 30.0;
const PACKET_BITS: f64 = 1_200.0 * 8.0;

/// Where the control is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A queue empties, or has just been noticed.
    Hold,
    Increase,
}

/// The rate that the delay allows, in bits per second.
#[derive(Debug)]
pub(super) struct RateControl {
    rate: f64,
    state: State,
    /// When the rate was changed last.
    changed: Option<Instant>,
    decreased: Option<Instant>,
    /// When a queue grew last, and what arrived meanwhile.
    overused: Option<(Instant, f64)>,
    capacity: Capacity,
}

impl RateControl {
    pub(super) fn new(rate: u64) -> RateControl {
        RateControl {
            rate: rate as f64,
            state: State::Increase,
            changed: None,
            decreased: None,
            overused: None,
            capacity: Capacity::default(),
        }
    }

    pub(super) fn rate(&self) -> u64 {
        self.rate as u64
    }

    /// A queue grew lately at about this rate: the path is full, or others share it.
    pub(super) fn is_crowded(&self, now: Instant) -> bool {
        self.overused.is_some_and(|(at, rate)| {
            now.saturating_duration_since(at) < CROWDED.0 && self.rate < CROWDED.1 * rate
        })
    }

    /// A probe has proven this rate.
    pub(super) fn set(&mut self, now: Instant, rate: u64) {
        self.rate = rate as f64;
        self.changed = Some(now);
    }

    /// Lowers the rate to what another part of the control knows.
    pub(super) fn limit(&mut self, rate: u64) {
        self.rate = self.rate.min(rate as f64);
    }

    /// Feedback says that `arrived` bits per second arrive. True if the rate was lowered.
    pub(super) fn update(
        &mut self,
        now: Instant,
        usage: Usage,
        arrived: Option<u64>,
        round_trip: Duration,
        bounds: (u64, u64),
    ) -> bool {
        let arrived = arrived.map(|rate| rate as f64);
        let lowered = match usage {
            Usage::Over => self.decrease(now, arrived, round_trip),
            Usage::Under => {
                self.state = State::Hold;
                self.changed = Some(now);
                false
            }
            Usage::Normal => {
                if self.state == State::Hold {
                    self.state = State::Increase;
                    self.changed = Some(now);
                }
                self.increase(now, arrived, round_trip);
                false
            }
        };
        self.rate = self.rate.clamp(bounds.0 as f64, bounds.1 as f64);
        lowered
    }

    fn increase(&mut self, now: Instant, arrived: Option<f64>, round_trip: Duration) {
        let last = self.changed.replace(now).unwrap_or(now);
        let elapsed = now.saturating_duration_since(last).as_secs_f64().min(1.0);
        if arrived.is_some_and(|rate| self.capacity.is_above(rate)) {
            self.capacity = Capacity::default();
        }
        let grown = match self.capacity.mean {
            Some(_) => self.rate + self.additive(round_trip) * elapsed,
            None => self.rate * GROWTH.powf(elapsed).max(1.0) + 1_000.0 * elapsed,
        };
        // The bound stops growth, it never lowers the rate.
        let most = arrived.map_or(grown, |rate| HEADROOM * rate + HEADROOM_BITS);
        self.rate = grown.min(most).max(self.rate);
    }

    /// Bits per second for each second, near the capacity: one packet for each response time.
    fn additive(&self, round_trip: Duration) -> f64 {
        let frame = self.rate / FRAMES_PER_SECOND;
        let packet = frame / (frame / PACKET_BITS).ceil().max(1.0);
        let response = 2.0 * (round_trip + RESPONSE).as_secs_f64();
        (packet / response).max(SLOWEST)
    }

    fn decrease(&mut self, now: Instant, arrived: Option<f64>, round_trip: Duration) -> bool {
        let since = self.decreased.map(|at| now.saturating_duration_since(at));
        let soon = since.is_some_and(|since| since < round_trip.clamp(REPEAT.0, REPEAT.1));
        if soon && arrived.is_none_or(|rate| rate >= 0.5 * self.rate) {
            return false;
        }
        let mut lower = match arrived {
            Some(rate) => BACKOFF * rate,
            None => 0.5 * self.rate,
        };
        if lower > self.rate
            && let Some(capacity) = self.capacity.mean
        {
            lower = BACKOFF * capacity;
        }
        let lowered = lower < self.rate;
        self.rate = self.rate.min(lower);
        if let Some(rate) = arrived {
            self.capacity.overused_at(rate);
            self.overused = Some((now, rate));
        }
        self.state = State::Hold;
        self.changed = Some(now);
        self.decreased = Some(now);
        lowered
    }
}

/// What arrived whenever a queue grew: the path's capacity.
#[derive(Debug, Default)]
struct Capacity {
    mean: Option<f64>,
    /// Normalised by the mean.
    variance: f64,
}

const CAPACITY_WEIGHT: f64 = 0.05;
const CAPACITY_VARIANCE: (f64, f64) = (0.4, 2.5);

impl Capacity {
    /// In kbit/s, as the constants of the variance want it.
    fn deviation(&self, mean: f64) -> f64 {
        (self.variance * mean / 1e3).sqrt() * 1e3
    }

    fn is_above(&self, rate: f64) -> bool {
        let above = |mean| rate > mean + 3.0 * self.deviation(mean);
        self.mean.is_some_and(above)
    }

    fn overused_at(&mut self, rate: f64) {
        let below = |mean| rate < mean - 3.0 * self.deviation(mean);
        let mean = match self.mean.filter(|mean| !below(*mean)) {
            None => {
                self.variance = CAPACITY_VARIANCE.0;
                rate
            }
            Some(mean) => {
                let mean = mean + CAPACITY_WEIGHT * (rate - mean);
                let off = (mean - rate) / 1e3;
                let normalised = off * off / (mean / 1e3).max(1.0);
                self.variance += CAPACITY_WEIGHT * (normalised - self.variance);
                self.variance = self
                    .variance
                    .clamp(CAPACITY_VARIANCE.0, CAPACITY_VARIANCE.1);
                mean
            }
        };
        self.mean = Some(mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(50);
    const BOUNDS: (u64, u64) = (30_000, 100_000_000);

    fn after(seconds: u32, arrives: impl Fn(u64) -> u64) -> u64 {
        let start = Instant::now();
        let mut control = RateControl::new(1_000_000);
        for n in 0..seconds * 20 {
            let now = start + RTT * n;
            let arrived = Some(arrives(control.rate()));
            control.update(now, Usage::Normal, arrived, RTT, BOUNDS);
        }
        control.rate()
    }

    #[test]
    fn rate_grows_on_unused_capacity_without_end() {
        assert!(after(10, |rate| rate) > 2_000_000);
        assert_eq!(after(60, |_| 400_000), 1_000_000, "growth is not proven");
        assert_eq!(after(60, |_| 1_000_000), 1_510_000);
    }

    #[test]
    fn one_queue_lowers_the_rate_once_in_a_round_trip() {
        let start = Instant::now();
        let mut control = RateControl::new(2_000_000);
        let ms = Duration::from_millis(1);
        let arrived = Some(1_000_000);
        assert!(control.update(start, Usage::Over, arrived, RTT, BOUNDS));
        assert_eq!(control.rate(), 850_000);
        let arrived = Some(900_000);
        assert!(!control.update(start + 20 * ms, Usage::Over, arrived, RTT, BOUNDS));
        assert!(control.update(start + 60 * ms, Usage::Over, arrived, RTT, BOUNDS));
        assert_eq!(control.rate(), 765_000);
    }

    #[test]
    fn decrease_makes_the_rate_larger() {
        let start = Instant::now();
        let mut control = RateControl::new(500_000);
        control.update(start, Usage::Over, Some(5_000_000), RTT, BOUNDS);
        assert_eq!(control.rate(), 500_000);
    }
}
