//! Producers whose packets the owner hands in: a camera that is reached by other means than WebRTC.

use std::sync::Arc;
use std::time::{Duration, Instant};

use umbrella_media::{Codec, GopLimits, Spatial};

/// What a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceOptions {
    /// What it sends, with a payload as in RTP: H.264 by RFC 6184 in packetization mode 1, H.265 by
    /// RFC 7798 without decoding order numbers, audio by RFC 7587 and RFC 3551. Another codec is
    /// another source.
    pub codec: Codec,
    /// How many encodings it has, from [`Spatial::LOW`] on: 1 to 3, audio always 1. What is beyond
    /// is taken for the nearest.
    pub encodings: usize,
    /// Its Opus has two channels.
    pub stereo: bool,
    /// How much of its pictures is kept for those who begin to watch; audio needs none. All of one
    /// camera's encodings share it.
    pub cache: GopLimits,
}

/// A packet of a source.
#[derive(Debug, Clone)]
pub struct SourcePacket {
    /// Which encoding it is of, [`Spatial::LOW`] for audio.
    pub encoding: Spatial,
    /// RTP timestamp in units of the codec's clock. The packets of one picture have the same.
    pub timestamp: u32,
    /// When what it holds was captured, or came: on one clock for all sources of a camera, whose
    /// sound and pictures are played in sync by it. It need not be exact: see `SourceClock`.
    pub capture: Instant,
    /// The last packet of a picture, or the first of a talk spurt.
    pub marker: bool,
    /// The RTP payload: shared from here on, and never copied before it is encrypted.
    pub payload: Arc<[u8]>,
}

impl SourcePacket {
    /// Bytes of the largest payload. Those that are to cross the Internet should have no more than
    /// 1200.
    pub const LARGEST: usize = 1500;
}

/// What is known of a source besides what all producers have.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) codec: Codec,
    encodings: Vec<Numbering>,
    pub(crate) refused: u64,
}

/// One encoding.
#[derive(Debug, Clone, Copy, Default)]
struct Numbering {
    /// It goes on over restarts, so that no number means two packets to those who miss one.
    next_seq: u64,
    clock: Option<SourceClock>,
    /// When the clock was last told to consumers.
    told: Option<(Instant, SourceClock)>,
}

/// How timestamps of one encoding relate to the time at which things happened.
///
/// Where the owner knows when something was captured this is exact. Where it knows only when a
/// packet came, what was quickest on its way is nearest to the truth, and what was slower pulls
/// only weakly; the sound and the pictures of a camera come over one connection, so what is left of
/// the delay is the same for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SourceClock {
    /// Timestamp …
    pub(crate) rtp: u32,
    /// … of what was captured then.
    pub(crate) at: Instant,
}

/// A clock that is off by more was set anew, in µs.
const STEP: i64 = 2_000_000;
/// Of a delay beyond the least, so much is followed with each packet.
const DRIFT: i64 = 128;
/// Consumers are told so often …
const TELL: Duration = Duration::from_secs(1);
/// … or when the clock is off by more than this, in µs.
const SHIFT: i64 = 20_000;

impl Local {
    pub(crate) fn new(options: &SourceOptions) -> Local {
        let encodings = match options.codec.kind() {
            umbrella_media::Kind::Audio => 1,
            umbrella_media::Kind::Video => options.encodings.clamp(1, Spatial::COUNT),
        };
        Local {
            codec: options.codec,
            encodings: vec![Numbering::default(); encodings],
            refused: 0,
        }
    }

    /// Whether a packet can be used.
    pub(crate) fn accepts(&self, packet: &SourcePacket) -> bool {
        let size = packet.payload.len();
        let fits = (1..=SourcePacket::LARGEST).contains(&size);
        fits && self.has(packet.encoding)
    }

    pub(crate) fn has(&self, encoding: Spatial) -> bool {
        encoding.index() < self.encodings.len()
    }

    /// The number of a packet that is accepted, and what its clock says if it is time to say it.
    pub(crate) fn number(
        &mut self,
        now: Instant,
        packet: &SourcePacket,
    ) -> Option<(u64, Option<SourceClock>)> {
        let rate = self.codec.clock_rate();
        let encoding = self.encodings.get_mut(packet.encoding.index())?;
        let seq = encoding.next_seq;
        encoding.next_seq += 1;
        let clock = match encoding.clock {
            Some(clock) => clock.follow(packet, rate),
            None => SourceClock {
                rtp: packet.timestamp,
                at: packet.capture,
            },
        };
        encoding.clock = Some(clock);
        let due = encoding.told.is_none_or(|(at, told)| {
            let shifted = told.behind(&clock, rate).abs() > SHIFT;
            shifted || now.saturating_duration_since(at) >= TELL
        });
        if due {
            encoding.told = Some((now, clock));
        }
        Some((seq, due.then_some(clock)))
    }

    /// What comes next of an encoding has another clock.
    pub(crate) fn restart(&mut self, encoding: Spatial) {
        if let Some(encoding) = self.encodings.get_mut(encoding.index()) {
            (encoding.clock, encoding.told) = (None, None);
        }
    }
}

impl SourceClock {
    /// The clock after a packet.
    fn follow(&self, packet: &SourcePacket, rate: u32) -> SourceClock {
        let seen = SourceClock {
            rtp: packet.timestamp,
            at: packet.capture,
        };
        let late = self.behind(&seen, rate);
        if late <= 0 || late > STEP {
            return seen;
        }
        let follow = u64::try_from(late - late / DRIFT).unwrap_or_default();
        SourceClock {
            at: seen
                .at
                .checked_sub(Duration::from_micros(follow))
                .unwrap_or(seen.at),
            ..seen
        }
    }

    /// By how many µs another clock is behind this one: the same happens later on it.
    fn behind(&self, other: &SourceClock, rate: u32) -> i64 {
        let ticks = i64::from(other.rtp.wrapping_sub(self.rtp) as i32);
        let expected = ticks * 1_000_000 / i64::from(rate.max(1));
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let passed = match other.at.checked_duration_since(self.at) {
            Some(later) => micros(later),
            None => -micros(self.at.duration_since(other.at)),
        };
        passed.saturating_sub(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_that_come_late_make_sound_and_pictures_drift_apart() {
        let start = Instant::now() + Duration::from_secs(100);
        let mut clock = SourceClock { rtp: 0, at: start };
        for frame in 1..1000u32 {
            // Every packet is late, by up to 60 ms, but for each seventh.
            let late = u64::from(frame % 7) * 10;
            let packet = SourcePacket {
                encoding: Spatial::LOW,
                timestamp: frame * 3600,
                capture: start + Duration::from_millis(u64::from(frame) * 40 + late),
                marker: true,
                payload: Arc::from([1u8]),
            };
            clock = clock.follow(&packet, 90_000);
        }
        let true_one = SourceClock { rtp: 0, at: start };
        let late = true_one.behind(&clock, 90_000);
        assert!((0..5_000).contains(&late), "{late} µs");
    }

    #[test]
    fn a_camera_that_sets_its_clock_is_out_of_sync_for_minutes() {
        let start = Instant::now() + Duration::from_secs(100);
        let clock = SourceClock { rtp: 0, at: start };
        for capture in [
            start - Duration::from_secs(50),
            start + Duration::from_secs(50),
        ] {
            let packet = SourcePacket {
                encoding: Spatial::LOW,
                timestamp: 3600,
                capture,
                marker: true,
                payload: Arc::from([1u8]),
            };
            assert_eq!(clock.follow(&packet, 90_000).at, capture);
        }
    }
}
