//! The machine's clocks, side by side.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// One moment on all clocks that are needed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) now: Instant,
    monotonic: Duration,
    real: Duration,
}

impl Clock {
    pub(crate) fn read() -> Clock {
        Clock {
            now: Instant::now(),
            monotonic: read(ClockId::CLOCK_MONOTONIC),
            real: read(ClockId::CLOCK_REALTIME),
        }
    }

    /// `CLOCK_MONOTONIC` in nanoseconds.
    pub(crate) fn monotonic_ns(&self) -> u64 {
        self.monotonic.as_nanos() as u64
    }

    /// When the kernel got a datagram, as an instant and in nanoseconds of `CLOCK_MONOTONIC`.
    /// Kernels stamp in real time; without a stamp it is now.
    pub(crate) fn arrival(&self, stamp: Option<Duration>) -> (Instant, u64) {
        let ago = stamp.map_or(Duration::ZERO, |stamp| self.real.saturating_sub(stamp));
        let at = self.now.checked_sub(ago).unwrap_or(self.now);
        (at, self.monotonic.saturating_sub(ago).as_nanos() as u64)
    }
}

/// Zero where there is no such clock.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waited_in_a_queue_is_dated_back() {
        let clock = Clock::read();
        let (at, ns) = clock.arrival(Some(clock.real - Duration::from_millis(5)));
        assert_eq!(clock.now - at, Duration::from_millis(5));
        assert_eq!(clock.monotonic_ns() - ns, 5_000_000);
        assert_eq!(clock.arrival(None).0, clock.now);
        // A clock that was set back does not make packets come from the future.
        let (at, _) = clock.arrival(Some(clock.real + Duration::from_secs(1)));
        assert_eq!(at, clock.now);
    }
}
