//! The latest packets of one encoding, for resends and for late starters.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{Kind, Packet};

/// Packets of sound that are kept of an encoding: 2.5 s.
const AUDIO: usize = 128;

/// How much is kept of an encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Packets of video, rounded up to a power of two, between 16 and 32768.
    pub video: usize,
    /// What is older than this when a new packet comes is of no use to any receiver. Low rates would
    /// keep half a minute otherwise, and that is most of the memory of a large meeting.
    pub age: Duration,
}

impl Default for HistoryLimits {
    /// About 2 s of video at 4 Mbit/s.
    fn default() -> Self {
        HistoryLimits {
            video: 1024,
            age: Duration::from_secs(3),
        }
    }
}

/// The latest packets of one producer's encoding by extended sequence number. Bounded in
/// packets, of which a new one takes the place of the one that is older by the capacity, and in
/// time. Gaps stay gaps, and may be filled late.
#[derive(Debug, Clone)]
pub struct History {
    ring: Box<[Option<Arc<Packet>>]>,
    age: Duration,
    highest: Option<u64>,
    /// No number below is in the ring because of its age.
    oldest: u64,
}

impl History {
    /// Nothing is kept yet.
    pub fn new(kind: Kind, limits: HistoryLimits) -> Self {
        let capacity = match kind {
            Kind::Audio => AUDIO,
            Kind::Video => limits.video.clamp(16, 32_768).next_power_of_two(),
        };
        History {
            ring: vec![None; capacity].into_boxed_slice(),
            age: limits.age,
            highest: None,
            oldest: 0,
        }
    }

    /// Keeps a packet. False if it is not new: it is there already, or too old.
    pub fn insert(&mut self, packet: Arc<Packet>) -> bool {
        let seq = packet.seq;
        let slot = self.slot(seq);
        if self.ring[slot].as_ref().is_some_and(|kept| kept.seq >= seq) {
            return false;
        }
        if self
            .highest
            .is_some_and(|highest| highest - seq.min(highest) >= self.ring.len() as u64)
        {
            return false;
        }
        let now = packet.received;
        self.ring[slot] = Some(packet);
        self.highest = self.highest.max(Some(seq));
        self.forget_old(now);
        true
    }

    /// Each number is looked at once or twice in its life.
    fn forget_old(&mut self, now: Instant) {
        let Some(highest) = self.highest else { return };
        let first = (highest + 1).saturating_sub(self.ring.len() as u64);
        self.oldest = self.oldest.max(first);
        while self.oldest < highest {
            let slot = self.slot(self.oldest);
            if let Some(packet) = &self.ring[slot]
                && packet.seq == self.oldest
            {
                if now.saturating_duration_since(packet.received) <= self.age {
                    return;
                }
                self.ring[slot] = None;
            }
            self.oldest += 1;
        }
    }

    /// The packet with this extended sequence number, if it is still there.
    pub fn get(&self, seq: u64) -> Option<&Arc<Packet>> {
        self.ring[self.slot(seq)]
            .as_ref()
            .filter(|packet| packet.seq == seq)
    }

    /// The packets after `seq`, oldest first, gaps skipped.
    pub fn after(&self, seq: u64) -> impl Iterator<Item = &Arc<Packet>> {
        let end = self.highest.map_or(0, |highest| highest + 1);
        let start = (seq + 1).max(end.saturating_sub(self.ring.len() as u64));
        (start..end.max(start)).filter_map(|seq| self.get(seq))
    }

    /// The highest extended sequence number seen so far.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Forgets everything: the encoding is sent anew with other sequence numbers.
    pub fn clear(&mut self) {
        self.ring.fill(None);
        self.highest = None;
        self.oldest = 0;
    }

    fn slot(&self, seq: u64) -> usize {
        seq as usize & (self.ring.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::testing::packet;

    #[test]
    fn a_slow_stream_is_kept_for_half_a_minute() {
        let start = Instant::now();
        let at = |seq: u64| start + Duration::from_millis(seq * 25);
        let mut history = History::new(Kind::Video, HistoryLimits::default());
        for seq in (0..2000).filter(|seq| seq % 50 != 7) {
            assert!(history.insert(Arc::new(packet(seq, at(seq)))));
            let kept = history.ring.iter().flatten().count();
            assert!(kept <= 121, "{kept} packets after {seq}");
            let before = seq.saturating_sub(100);
            assert_eq!(history.get(before).is_some(), before % 50 != 7);
        }
        // What comes late still finds its place.
        assert!(history.insert(Arc::new(packet(1957, at(2000)))));
        assert!(history.get(1957).is_some());
        // A pause ages all but the newest.
        history.insert(Arc::new(packet(2001, at(2000) + Duration::from_secs(60))));
        assert_eq!(history.ring.iter().flatten().count(), 1);
    }
}
