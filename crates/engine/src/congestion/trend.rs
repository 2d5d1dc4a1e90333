//! Whether a queue on the way grows.

use std::collections::VecDeque;
use std::time::Instant;

use super::groups::Deltas;

/// What the delay says of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Usage {
    /// Nothing grows.
    #[default]
    Normal,
    /// A queue grows: more is sent than the path carries.
    Over,
    /// A queue empties.
    Under,
}

/// Groups over which the slope is taken.
const WINDOW: usize = 20;
/// Weight of the past in the smoothed delay.
const SMOOTHING: f64 = 0.9;
const GAIN: f64 = 4.0;
/// Groups that count in the trend's weight.
const MOST_GROUPS: u32 = 60;
/// How long there must be too much before it is said, in milliseconds.
const PATIENCE_MS: f64 = 10.0;
/// The threshold follows the trend: up by this share for each millisecond, …
const UP: f64 = 0.0087;
/// … and down by this one.
const DOWN: f64 = 0.039;
/// A spike this far above the threshold does not move it.
const SPIKE: f64 = 15.0;
const THRESHOLD: f64 = 12.5;
const THRESHOLDS: (f64, f64) = (6.0, 600.0);

/// The slope of the delay over the last groups, compared with a threshold that adapts
/// (gcc-02 sections 5.4 and 5.5, with the constants that browsers use today).
#[derive(Debug)]
pub(super) struct Trend {
    /// Arrival in ms since the first one, smoothed delay in ms.
    window: VecDeque<(f64, f64)>,
    arrival: f64,
    delay: f64,
    smoothed: f64,
    groups: u32,
    threshold: f64,
    adapted: Option<Instant>,
    last_slope: f64,
    /// For how long there has been too much, in ms, and in how many groups.
    over: Option<(f64, u32)>,
    usage: Usage,
}

impl Default for Trend {
    fn default() -> Trend {
        Trend {
            window: VecDeque::with_capacity(WINDOW + 1),
            arrival: 0.0,
            delay: 0.0,
            smoothed: 0.0,
            groups: 0,
            threshold: THRESHOLD,
            adapted: None,
            last_slope: 0.0,
            over: None,
            usage: Usage::Normal,
        }
    }
}

impl Trend {
    /// What the delay says now.
    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// A group is complete.
    pub(super) fn add(&mut self, now: Instant, deltas: Deltas) {
        self.groups = (self.groups + 1).min(1000);
        self.arrival += deltas.arrived;
        self.delay += deltas.arrived - deltas.sent;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.delay;
        self.window.push_back((self.arrival, self.smoothed));
        if self.window.len() > WINDOW {
            self.window.pop_front();
        }
        let slope = match self.window.len() {
            WINDOW => slope(&self.window).unwrap_or(self.last_slope),
            _ => self.last_slope,
        };
        self.judge(now, slope, deltas.sent);
    }

    fn judge(&mut self, now: Instant, slope: f64, sent: f64) {
        if self.groups < 2 {
            return;
        }
        let weighted = f64::from(self.groups.min(MOST_GROUPS)) * slope * GAIN;
        if weighted > self.threshold {
            let (time, groups) = match self.over {
                // It began somewhere within this group.
                None => (sent / 2.0, 1),
                Some((time, groups)) => (time + sent, groups + 1),
            };
            self.over = Some((time, groups));
            if time > PATIENCE_MS && groups > 1 && slope >= self.last_slope {
                self.over = Some((0.0, 0));
                self.usage = Usage::Over;
            }
        } else {
            self.over = None;
            self.usage = match weighted < -self.threshold {
                true => Usage::Under,
                false => Usage::Normal,
            };
        }
        self.last_slope = slope;
        self.adapt(now, weighted.abs());
    }

    /// The threshold follows what is usual on this path: competing TCP makes delay swing, and
    /// a fixed threshold would starve beside it.
    fn adapt(&mut self, now: Instant, weighted: f64) {
        let last = self.adapted.replace(now).unwrap_or(now);
        if weighted > self.threshold + SPIKE {
            return;
        }
        let k = if weighted < self.threshold { DOWN } else { UP };
        let elapsed = now.saturating_duration_since(last).as_secs_f64() * 1e3;
        self.threshold += k * (weighted - self.threshold) * elapsed.min(100.0);
        self.threshold = self.threshold.clamp(THRESHOLDS.0, THRESHOLDS.1);
    }
}

/// Least squares; `None` if all arrived at one time.
fn slope(points: &VecDeque<(f64, f64)>) -> Option<f64> {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let (over, under) = points.iter().fold((0.0, 0.0), |(over, under), p| {
        (over + (p.0 - x) * (p.1 - y), under + (p.0 - x).powi(2))
    });
    (under > 0.0).then(|| over / under)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Groups every 20 ms, each of which takes `grows` ms longer than the one before.
    fn usage_after(groups: u32, grows: impl Fn(u32) -> f64) -> Usage {
        let start = Instant::now();
        let mut trend = Trend::default();
        for n in 0..groups {
            let deltas = Deltas {
                sent: 20.0,
                arrived: 20.0 + grows(n),
            };
            trend.add(start + Duration::from_millis(20) * n, deltas);
        }
        trend.usage()
    }

    #[test]
    fn growing_queue_is_noticed_and_an_even_path_is_none() {
        assert_eq!(usage_after(60, |_| 0.0), Usage::Normal);
        assert_eq!(usage_after(60, |_| 1.5), Usage::Over);
        assert_eq!(usage_after(60, |_| -1.5), Usage::Under);
    }

    #[test]
    fn jitter_is_taken_for_a_queue() {
        let jitter = |n| if n % 2 == 0 { 4.0 } else { -4.0 };
        assert_eq!(usage_after(200, jitter), Usage::Normal);
    }
}
