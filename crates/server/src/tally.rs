//! Counting what goes wrong, and saying so seldom: a fault that repeats must not fill the log.

use std::time::{Duration, Instant};

/// Between two words on the same fault.
const INTERVAL: Duration = Duration::from_secs(60);

/// A count that is told once a minute at most.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    untold: u64,
    told: Option<Instant>,
}

impl Tally {
    /// Counts, and yields how many there were since they were last told, if it is time to tell.
    pub(crate) fn add(&mut self, now: Instant, count: u64) -> Option<u64> {
        self.untold += count;
        let soon = self.told.is_some_and(|at| now < at + INTERVAL);
        if self.untold == 0 || soon {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_that_repeats_fills_the_log_or_is_forgotten() {
        let start = Instant::now();
        let mut tally = Tally::default();
        assert_eq!(tally.add(start, 0), None);
        assert_eq!(tally.add(start, 1), Some(1));
        assert_eq!(tally.add(start + INTERVAL / 2, 3), None);
        assert_eq!(tally.add(start + INTERVAL, 1), Some(4));
    }
}
