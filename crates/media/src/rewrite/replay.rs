//! Timestamps of pictures that waited in a cache and are sent faster than they were made.
//!
//! A receiver learns from timestamps and arrivals how its clock relates to the sender's: libwebrtc
//! fits a line through all frames since the stream began (`TimestampExtrapolator`, a Kalman filter
//! of offset *and slope* that starts with little doubt of either being what the frames say). Old
//! timestamps would make it believe that the path has ten seconds of delay, and it would stay
//! behind by them, or run through them in time lapse; timestamps all alike would make it believe
//! that time stands still, and it would hold back the live pictures that follow for seconds. So a
//! picture gets the timestamp of the moment at which it is sent, on the line on which live
//! pictures are: each is on time when it arrives, is decoded at once, and nothing is to be unlearnt
//! when the live ones follow. Sender reports, which tie that line to the time of day, hold
//! throughout, so sound that goes on meanwhile is in sync.

use std::collections::VecDeque;
use std::time::Instant;

use crate::Packet;

use super::clock::{Clock, ticks};

/// What is live while others are sent anew.
#[derive(Debug, Clone, Copy)]
pub struct Edge<'a> {
    /// The newest packet of the encoding.
    pub newest: &'a Packet,
    /// The present.
    pub now: Instant,
}

/// Pictures of which packets may still come late, from a link that is slow to resend: what is
/// older has come, or never will.
const FRAMES: usize = 32;
/// A packet that is so many numbers later than the last one sent anew has no such neighbours.
const LATE: u64 = 512;

/// The timestamps of what was sent anew.
#[derive(Debug, Clone)]
pub(super) struct Replay {
    /// With which timestamp the newest packet would have left when it came, and when that was.
    base: (u32, Instant),
    /// The latest pictures: their own timestamps, and those that they were given.
    frames: VecDeque<(u32, u32)>,
    last: u64,
    /// Something has come by itself since.
    over: bool,
}

impl Replay {
    /// `newest` would leave by `clock`.
    pub(super) fn new(newest: &Packet, clock: &Clock) -> Replay {
        Replay {
            base: (newest.timestamp.wrapping_add(clock.offset), newest.received),
            frames: VecDeque::new(),
            last: 0,
            over: false,
        }
    }

    /// Gives the picture of a packet that leaves at `now` its timestamp.
    pub(super) fn pace(&mut self, packet: &Packet, now: Instant, clock: &mut Clock) {
        self.last = self.last.max(packet.seq);
        if self.stamp(packet).is_some() {
            return;
        }
        let (base, at) = self.base;
        let since = ticks(now.saturating_duration_since(at), packet.codec.clock_rate());
        let on_time = base.wrapping_add(since as u32);
        let least = clock.highest().wrapping_add(1);
        let early = least.wrapping_sub(on_time) as i32 > 0;
        let timestamp = if early { least } else { on_time };
        clock.note(timestamp, now);
        if self.frames.len() == FRAMES {
            self.frames.pop_front();
        }
        self.frames.push_back((packet.timestamp, timestamp));
    }

    /// The timestamp that the picture of a packet was given.
    pub(super) fn stamp(&self, packet: &Packet) -> Option<u32> {
        let mut frames = self.frames.iter().rev();
        let found = frames.find(|(own, _)| *own == packet.timestamp);
        found.map(|(_, given)| *given)
    }

    /// Whether a packet belongs before the last one that was sent anew.
    pub(super) fn is_before_end(&self, packet: &Packet) -> bool {
        packet.seq < self.last
    }

    /// Whether a packet is the first that comes by itself.
    pub(super) fn ends_before(&mut self, packet: &Packet) -> bool {
        packet.seq > self.last && !std::mem::replace(&mut self.over, true)
    }

    /// Whether what was sent anew matters no more.
    pub(super) fn is_forgotten_at(&self, packet: &Packet) -> bool {
        packet.seq > self.last + LATE
    }
}
