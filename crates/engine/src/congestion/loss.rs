//! The rate that loss allows.
//!
//! A path loses packets for two reasons: it always loses a share (radio), or more is sent than it
//! carries. The pair of both, inherent loss and bandwidth, that explains the last observations
//! best is looked for; only the second is a reason to send less. This is the second version of
//! the loss-based estimate of browsers; the first, which only counts, shrinks for ever on a path
//! that always loses a tenth.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Observations that count, and how long each is.
const OBSERVATIONS: usize = 15;
const OBSERVATION: Duration = Duration::from_millis(250);
/// Weight of an observation against the next newer one.
const AGEING: f64 = 0.9;
/// Fewer say nothing.
const FEWEST: usize = 3;
/// Inherent loss at first, and at least.
const INHERENT: f64 = 0.01;
const LEAST_INHERENT: f64 = 0.001;
/// Inherent loss is at most this, and more at low rates by this many bits per second.
const MOST_INHERENT: f64 = 0.05;
const INHERENT_BALANCE: f64 = 100_000.0;
/// Of two explanations as good the one with more bandwidth is taken.
const LINEAR_BIAS: f64 = 0.0002;
const LOG_BIAS: f64 = 0.02;
const NEWTON_STEP: f64 = 0.75;
/// What is tried against the present bandwidth.
const FACTORS: [f64; 3] = [1.02, 1.0, 0.95];
/// Growth within one interval while loss limits the rate.
const RAMP_UP: f64 = 1.3;
const RAMP_INTERVAL: Duration = Duration::from_millis(300);

/// What became of the packets of a quarter of a second.
#[derive(Debug, Clone, Copy, Default)]
struct Observation {
    bytes: f64,
    lost: f64,
    /// Bits per second.
    sent: f64,
}

/// A pair that may explain what was observed.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    inherent: f64,
    bandwidth: f64,
}

/// The rate that loss allows.
#[derive(Debug)]
pub(super) struct LossControl {
    /// The newest first.
    observations: VecDeque<Observation>,
    partial: Observation,
    began: Option<Instant>,
    ended: Option<Instant>,
    best: Candidate,
    ramp: (f64, Option<Instant>),
    /// What was lost lately.
    share: f64,
}

impl LossControl {
    pub(super) fn new(rate: u64) -> LossControl {
        let bandwidth = rate as f64;
        LossControl {
            observations: VecDeque::with_capacity(OBSERVATIONS + 1),
            partial: Observation::default(),
            began: None,
            ended: None,
            best: Candidate {
                inherent: INHERENT,
                bandwidth,
            },
            ramp: (bandwidth, None),
            share: 0.0,
        }
    }

    /// A packet that was sent then has arrived or is missing.
    pub(super) fn add(&mut self, sent: Instant, size: usize, arrived: bool) {
        self.partial.bytes += size as f64;
        if !arrived {
            self.partial.lost += size as f64;
        }
        self.began = Some(self.began.map_or(sent, |began| began.min(sent)));
        self.ended = Some(self.ended.map_or(sent, |ended| ended.max(sent)));
    }

    /// The rate that loss allows beside what the delay allows; `None` if loss is no limit.
    pub(super) fn update(&mut self, now: Instant, delay: u64, arrived: Option<u64>) -> Option<u64> {
        let delay = delay as f64;
        if !self.complete() {
            return self.limit(delay);
        }
        if self.observations.len() < FEWEST {
            self.best.bandwidth = delay;
            return None;
        }
        self.share = self.average_loss();
        let loss = self.share;
        let arrived = arrived.map(|rate| rate as f64);
        let mut best = self.search(delay, arrived);
        if loss > best.inherent {
            // More is lost than the path explains: no time to send more.
            best.bandwidth = best.bandwidth.min(self.best.bandwidth);
        }
        if best.bandwidth < self.best.bandwidth {
            // What arrives, arrives: the path carries at least that.
            let floor = arrived.unwrap_or(0.0).min(self.best.bandwidth);
            best.bandwidth = best.bandwidth.max(floor);
        }
        best.bandwidth = self.ramped(now, best.bandwidth);
        best.bandwidth = best.bandwidth.min(instant_bound(loss)).min(delay);
        self.best = best;
        self.limit(delay)
    }

    /// The share that was lost lately, the worst and the best quarter of a second left out.
    pub(super) fn share(&self) -> f64 {
        self.share
    }

    /// Lowers the rate to what another part of the control knows.
    pub(super) fn set(&mut self, rate: u64) {
        self.best.bandwidth = rate as f64;
    }

    fn limit(&self, delay: f64) -> Option<u64> {
        (self.best.bandwidth < delay).then_some(self.best.bandwidth as u64)
    }

    /// Ends an observation that is long enough.
    fn complete(&mut self) -> bool {
        let (Some(began), Some(ended)) = (self.began, self.ended) else {
            return false;
        };
        let span = ended.saturating_duration_since(began);
        if span < OBSERVATION {
            return false;
        }
        let mut observation = std::mem::take(&mut self.partial);
        observation.sent = observation.bytes * 8.0 / span.as_secs_f64();
        self.observations.push_front(observation);
        self.observations.truncate(OBSERVATIONS);
        (self.began, self.ended) = (None, None);
        true
    }

    /// Growth is bounded within each interval.
    fn ramped(&mut self, now: Instant, bandwidth: f64) -> f64 {
        let (from, since) = self.ramp;
        let over = since.is_none_or(|at| now.saturating_duration_since(at) >= RAMP_INTERVAL);
        if over || bandwidth < from {
            self.ramp = (self.best.bandwidth.min(bandwidth), Some(now));
        }
        bandwidth.min(self.ramp.0 * RAMP_UP)
    }

    /// The share that is lost, the worst and the best observation left out.
    fn average_loss(&self) -> f64 {
        let ratio = |o: &Observation| o.lost / o.bytes.max(1.0);
        let mut ratios: Vec<(f64, &Observation)> =
            self.observations.iter().map(|o| (ratio(o), o)).collect();
        ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
        let inner = match ratios.len() {
            0..=4 => &ratios[..],
            count => &ratios[1..count - 1],
        };
        let (lost, bytes) = inner
            .iter()
            .fold((0.0, 0.0), |(l, b), (_, o)| (l + o.lost, b + o.bytes));
        lost / bytes.max(1.0)
    }

    fn search(&self, delay: f64, arrived: Option<f64>) -> Candidate {
        let present = self.best.bandwidth;
        let candidates = FACTORS
            .iter()
            .map(|factor| factor * present)
            .chain(arrived)
            .chain([delay]);
        let mut best = (f64::NEG_INFINITY, self.best);
        for bandwidth in candidates {
            let mut candidate = Candidate {
                inherent: self.best.inherent,
                bandwidth: bandwidth.min(delay),
            };
            self.fit(&mut candidate);
            let merit = self.merit(&candidate);
            if merit > best.0 {
                best = (merit, candidate);
            }
        }
        best.1
    }

    /// One step of Newton's method towards the inherent loss that fits the bandwidth.
    fn fit(&self, candidate: &mut Candidate) {
        let (mut first, mut second) = (0.0, 0.0);
        self.weighted(|weight, o| {
            let p = candidate.loss_at(o.sent);
            let (lost, kept) = (o.lost / 1e3, (o.bytes - o.lost) / 1e3);
            first += weight * (lost / p - kept / (1.0 - p));
            second -= weight * (lost / (p * p) + kept / ((1.0 - p) * (1.0 - p)));
        });
        candidate.inherent -= NEWTON_STEP * first / second.min(-1e-6);
        let most = MOST_INHERENT + INHERENT_BALANCE / candidate.bandwidth.max(1.0);
        candidate.inherent = candidate
            .inherent
            .clamp(LEAST_INHERENT, most.clamp(LEAST_INHERENT, 1.0));
    }

    /// How well a candidate explains what was observed: its log-likelihood, with a bias.
    fn merit(&self, candidate: &Candidate) -> f64 {
        let kilobits = candidate.bandwidth / 1e3;
        let bias = LINEAR_BIAS * kilobits + LOG_BIAS * kilobits.ln_1p();
        let mut merit = 0.0;
        self.weighted(|weight, o| {
            let p = candidate.loss_at(o.sent);
            let (lost, kept) = (o.lost / 1e3, (o.bytes - o.lost) / 1e3);
            merit += weight * (lost * p.ln() + kept * (1.0 - p).ln() + bias * (lost + kept));
        });
        merit
    }

    fn weighted(&self, mut each: impl FnMut(f64, &Observation)) {
        let mut weight = 1.0;
        for observation in &self.observations {
            each(weight, observation);
            weight *= AGEING;
        }
    }
}

impl Candidate {
    /// The share that is lost of what is sent at a rate: the excess, and of the rest the
    /// inherent share.
    fn loss_at(&self, sent: f64) -> f64 {
        let excess = match sent > self.bandwidth {
            true => (sent - self.bandwidth) / sent,
            false => 0.0,
        };
        (self.inherent + (1.0 - self.inherent) * excess).clamp(1e-6, 1.0 - 1e-6)
    }
}

/// Heavy loss bounds the rate at once.
fn instant_bound(loss: f64) -> f64 {
    match loss > MOST_INHERENT {
        true => INHERENT_BALANCE / (loss - MOST_INHERENT),
        false => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit after a while of sending at what is allowed over a path.
    fn after(seconds: u32, delay: u64, loss: impl Fn(f64) -> f64) -> u64 {
        let start = Instant::now();
        let mut control = LossControl::new(delay);
        let mut rate = delay as f64;
        for n in 0..seconds * 20 {
            let now = start + Duration::from_millis(50) * n;
            let lost = loss(rate);
            let packets = (rate * 0.05 / 8.0 / 1000.0).max(1.0) as u32;
            for packet in 0..packets {
                let missing = f64::from(packet) < f64::from(packets) * lost;
                control.add(now, 1000, !missing);
            }
            let arrived = Some((rate * (1.0 - lost)) as u64);
            let limit = control.update(now, delay, arrived);
            rate = limit.map_or(delay, |limit| limit.min(delay)) as f64;
        }
        rate as u64
    }

    #[test]
    fn radio_that_always_loses_some_halves_the_rate() {
        assert_eq!(after(20, 2_000_000, |_| 0.0), 2_000_000);
        assert!(after(20, 2_000_000, |_| 0.04) > 1_600_000);
    }

    #[test]
    fn path_that_drops_what_is_too_much_is_flooded() {
        let capacity = 1_000_000.0;
        let rate = after(20, 4_000_000, |rate| ((rate - capacity) / rate).max(0.0));
        assert!((800_000..1_150_000).contains(&rate), "{rate}");
    }
}
