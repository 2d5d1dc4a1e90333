//! A publisher's clock, as seen from ours.

use std::time::Duration;

/// How a publisher's clock (the NTP time in its sender reports) relates to ours.
///
/// One offset serves all of its tracks, so whatever error it has is the same for audio and video,
/// and they stay in sync at the subscribers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PublisherClock {
    /// Ours minus the publisher's, in 1/2^32 s; `None` before the first report.
    offset: Option<i64>,
}

/// Larger differences mean that the publisher has set its clock: start anew. 1/2^32 s.
const STEP: i64 = 2 << 32;
/// How much of a delay beyond the smallest is followed: clocks drift slowly.
const DRIFT_SHIFT: u32 = 6;

impl PublisherClock {
    /// The clock of what happens here.
    pub(crate) const OURS: PublisherClock = PublisherClock { offset: Some(0) };

    /// A sender report that says `theirs` came in at `ours`; both NTP, 32.32 bits.
    ///
    /// A report is late by its time on the way, never early. So the smallest difference is
    /// nearest to the truth, and larger ones pull only weakly.
    pub(crate) fn note(&mut self, theirs: u64, ours: u64) {
        let seen = ours.wrapping_sub(theirs) as i64;
        let offset = match self.offset {
            Some(offset) => {
                let difference = seen.wrapping_sub(offset);
                let set_anew = difference.unsigned_abs() > STEP as u64;
                if set_anew || difference <= 0 {
                    seen
                } else {
                    offset + (difference >> DRIFT_SHIFT)
                }
            }
            None => seen,
        };
        self.offset = Some(offset);
    }

    /// A moment of the publisher's clock on ours.
    pub(crate) fn ours(&self, theirs: u64) -> Option<u64> {
        self.offset.map(|offset| theirs.wrapping_add(offset as u64))
    }
}

/// NTP time, 32.32 bits, of a duration since the NTP epoch, and back.
pub(crate) fn to_ntp(since_epoch: Duration) -> u64 {
    let fraction = (u64::from(since_epoch.subsec_nanos()) << 32) / 1_000_000_000;
    since_epoch.as_secs() << 32 | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_report_hardly_moves_the_clock_and_a_new_clock_is_followed() {
        let second = 1u64 << 32;
        let mut clock = PublisherClock::default();
        clock.note(100 * second, 5000 * second);
        clock.note(101 * second, 5001 * second + second / 2);
        let moved = clock.ours(101 * second).expect("known") - 5001 * second;
        assert!(moved < second / 100, "half a second late, moved by {moved}");
        clock.note(900 * second, 5002 * second);
        assert_eq!(clock.ours(901 * second), Some(5003 * second));
    }
}
