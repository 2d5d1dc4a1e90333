//! Wall-clock time in the formats of RTP.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds from the NTP epoch (1900) to the Unix epoch.
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// Translates instants to NTP time. It is anchored once, so that a clock that is set during a
/// call tears nothing apart.
#[derive(Debug, Clone, Copy)]
pub struct NtpClock {
    instant: Instant,
    /// Since the NTP epoch.
    wall: Duration,
}

impl NtpClock {
    /// `wall` is the time of day at `now`.
    pub fn new(now: Instant, wall: SystemTime) -> NtpClock {
        let unix = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        NtpClock {
            instant: now,
            wall: unix + Duration::from_secs(NTP_TO_UNIX),
        }
    }

    /// The time of day, since the Unix epoch.
    pub fn since_unix(&self, at: Instant) -> Duration {
        self.since_ntp(at)
            .saturating_sub(Duration::from_secs(NTP_TO_UNIX))
    }

    fn since_ntp(&self, at: Instant) -> Duration {
        match at.checked_duration_since(self.instant) {
            Some(later) => self.wall.saturating_add(later),
            None => self.wall.saturating_sub(self.instant.duration_since(at)),
        }
    }

    /// NTP time, 32.32 bits of seconds (RFC 5905 section 6).
    pub fn ntp(&self, at: Instant) -> u64 {
        let wall = self.since_ntp(at);
        let fraction = (u64::from(wall.subsec_nanos()) << 32) / 1_000_000_000;
        wall.as_secs() << 32 | fraction
    }
}

/// One moment on two clocks: how the media time of a stream relates to the time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockPoint {
    /// Our time of day ([`NtpClock::ntp`]), 32.32 bits.
    pub ntp: u64,
    /// The RTP timestamp, as we send it, of what was captured then.
    pub rtp: u32,
}

impl ClockPoint {
    /// The RTP timestamp at another time, in units of `rate` Hz.
    pub(super) fn rtp_at(&self, ntp: u64, rate: u32) -> u32 {
        // Modulo 2^32 in the end, so the sign takes care of itself.
        let elapsed = i128::from(ntp.wrapping_sub(self.ntp) as i64);
        let ticks = (elapsed * i128::from(rate)) >> 32;
        self.rtp.wrapping_add(ticks as u32)
    }
}

/// `abs-send-time`: 6.18 bits of seconds.
pub(super) fn abs_send_time(ntp: u64) -> [u8; 3] {
    let [_, a, b, c] = ((ntp >> 14) as u32).to_be_bytes();
    [a, b, c]
}

/// The middle 32 bits (16.16 seconds), as in LSR and DLSR (RFC 3550 section 6.4.1).
pub(super) fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_counts_from_1900_in_both_directions() {
        let now = Instant::now() + Duration::from_secs(1000);
        let clock = NtpClock::new(now, UNIX_EPOCH + Duration::from_millis(1500));
        assert_eq!(clock.ntp(now), (NTP_TO_UNIX + 1) << 32 | 1 << 31);
        let earlier = now - Duration::from_millis(500);
        assert_eq!(clock.ntp(earlier), (NTP_TO_UNIX + 1) << 32);
        assert_eq!(
            clock.ntp(now + Duration::from_millis(500)),
            (NTP_TO_UNIX + 2) << 32
        );
    }

    #[test]
    fn media_time_runs_in_both_directions_over_the_wrap() {
        let point = ClockPoint {
            ntp: 10 << 32,
            rtp: u32::MAX - 1,
        };
        assert_eq!(point.rtp_at(11 << 32, 90_000), 89_998);
        assert_eq!(point.rtp_at(9 << 32, 90_000), u32::MAX - 90_001);
    }
}
