//! How busy a worker is and what it has dropped, for others to read.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long figures are averaged.
const WINDOW: Duration = Duration::from_secs(2);

/// The figures of the last complete window, written by the worker thread alone.
#[derive(Debug, Default)]
pub(crate) struct Load {
    busy_permille: AtomicU32,
    datagrams_in: AtomicU32,
    datagrams_out: AtomicU32,
    /// The fields of [`Counts`], written before the answer to a request for totals.
    counts: [AtomicU64; 6],
}

/// What a worker thread has counted since it started, beside its engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Time spent working, in microseconds.
    pub(crate) busy_us: u64,
    /// Datagrams that the kernel did not take.
    pub(crate) udp_dropped: u64,
    /// Frames for peers over TCP that do not read.
    pub(crate) tcp_dropped: u64,
    /// Connections over TCP that were one too many.
    pub(crate) tcp_refused: u64,
    /// Bursts of media that another worker had no room for.
    pub(crate) relays_dropped: u64,
    /// Reports that the owner had no room for.
    pub(crate) reports_dropped: u64,
}

/// One reading of [`Load`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
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

    /// Written by the worker thread alone, when somebody asks.
    pub(super) fn publish(&self, counts: Counts) {
        let Counts {
            busy_us,
            udp_dropped,
            tcp_dropped,
            tcp_refused,
            relays_dropped,
            reports_dropped,
        } = counts;
        let values = [
            busy_us,
            udp_dropped,
            tcp_dropped,
            tcp_refused,
            relays_dropped,
            reports_dropped,
        ];
        for (slot, value) in self.counts.iter().zip(values) {
            slot.store(value, Ordering::Relaxed);
        }
    }

    /// What was published last.
    pub(crate) fn counts(&self) -> Counts {
        let [
            busy_us,
            udp_dropped,
            tcp_dropped,
            tcp_refused,
            relays_dropped,
            reports_dropped,
        ] = std::array::from_fn(|index| self.counts[index].load(Ordering::Relaxed));
        Counts {
            busy_us,
            udp_dropped,
            tcp_dropped,
            tcp_refused,
            relays_dropped,
            reports_dropped,
        }
    }
}

/// Measures a worker thread from inside.
#[derive(Debug)]
pub(super) struct Meter {
    since: Instant,
    busy: Duration,
    /// Of all windows before.
    busy_before: Duration,
    pub(super) received: u64,
    pub(super) sent: u64,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Meter {
        Meter {
            since: now,
            busy: Duration::ZERO,
            busy_before: Duration::ZERO,
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
        *self = Meter {
            busy_before: self.busy_before + self.busy,
            ..Meter::new(to)
        };
    }

    /// Time spent working since the start, in microseconds.
    pub(super) fn busy_us(&self) -> u64 {
        u64::try_from((self.busy_before + self.busy).as_micros()).unwrap_or(u64::MAX)
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
        // The next window begins anew, and the sum goes on.
        let begun = start + WINDOW;
        meter.worked(begun, begun + Duration::from_millis(250), &load);
        assert_eq!(meter.busy_us(), 750_000);
    }

    #[test]
    fn one_count_is_read_as_another() {
        let counts = Counts {
            busy_us: 1,
            udp_dropped: 2,
            tcp_dropped: 3,
            tcp_refused: 4,
            relays_dropped: 5,
            reports_dropped: 6,
        };
        let load = Load::default();
        load.publish(counts);
        assert_eq!(load.counts(), counts);
    }
}
