//! How busy a worker is, for others to read.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long figures are averaged.
const WINDOW: Duration = Duration::from_secs(2);

/// The figures of the last complete window, written by the worker thread alone.
#[derive(Debug, Default)]
pub(crate) struct Load {
    busy_permille: AtomicU32,
    datagrams_in: AtomicU32,
    datagrams_out: AtomicU32,
}

/// One reading of [`Load`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reading {
    /// Share of time spent working, 0 to 1.
    pub(crate) busy: f32,
    /// Datagrams and frames received per second.
    pub(crate) datagrams_in: u32,
    /// Datagrams and frames sent per second.
    pub(crate) datagrams_out: u32,
}

impl Load {
    /// The figures of the last complete window.
    pub(crate) fn read(&self) -> Reading {
        Reading {
            busy: self.busy_permille.load(Ordering::Relaxed) as f32 / 1000.0,
            datagrams_in: self.datagrams_in.load(Ordering::Relaxed),
            datagrams_out: self.datagrams_out.load(Ordering::Relaxed),
        }
    }
}

/// Measures a worker thread from inside.
#[derive(Debug)]
pub(super) struct Meter {
    since: Instant,
    busy: Duration,
    pub(super) received: u64,
    pub(super) sent: u64,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Meter {
        Meter {
            since: now,
            busy: Duration::ZERO,
            received: 0,
            sent: 0,
        }
    }

    /// Counts one round of work, and publishes the figures when a window is complete.
    pub(super) fn worked(&mut self, from: Instant, to: Instant, load: &Load) {
        self.busy += to.saturating_duration_since(from);
        let window = to.saturating_duration_since(self.since);
        if window < WINDOW {
            return;
        }
        let share = self.busy.as_secs_f64() / window.as_secs_f64();
        let rate = |count: u64| (count as f64 / window.as_secs_f64()).round() as u32;
        let permille = (share * 1000.0).min(1000.0) as u32;
        load.busy_permille.store(permille, Ordering::Relaxed);
        load.datagrams_in
            .store(rate(self.received), Ordering::Relaxed);
        load.datagrams_out.store(rate(self.sent), Ordering::Relaxed);
        *self = Meter::new(to);
    }

    /// When figures should be published even if nothing happens until then.
    pub(super) fn deadline(&self) -> Instant {
        self.since + WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_the_share_of_time_spent_working() {
        let start = Instant::now();
        let load = Load::default();
        let mut meter = Meter::new(start);
        meter.received = 200;
        meter.worked(start, start + Duration::from_millis(500), &load);
        assert_eq!(load.read().busy, 0.0);
        meter.worked(start + WINDOW, start + WINDOW, &load);
        assert_eq!(load.read().busy, 0.25);
        assert_eq!(load.read().datagrams_in, 100);
    }
}
