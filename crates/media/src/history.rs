//! The latest packets of one encoding, for resends and for late starters.

use std::sync::Arc;

use crate::{Kind, Packet};

/// The latest packets of one producer's encoding by extended sequence number. Bounded in
/// packets: a new one takes the place of the one that is older by the capacity. Gaps stay gaps,
/// and may be filled late.
#[derive(Debug, Clone)]
pub struct History {
    ring: Box<[Option<Arc<Packet>>]>,
    highest: Option<u64>,
}

impl History {
    /// Packets to keep of an encoding: about 2 s of video at 4 Mbit/s, or 2.5 s of audio.
    pub const fn default_capacity(kind: Kind) -> usize {
        match kind {
            Kind::Audio => 128,
            Kind::Video => 1024,
        }
    }

    /// `capacity` is rounded up to a power of two, between 16 and 32768.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(16, 32_768).next_power_of_two();
        History {
            ring: vec![None; capacity].into_boxed_slice(),
            highest: None,
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
        self.ring[slot] = Some(packet);
        self.highest = self.highest.max(Some(seq));
        true
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
    }

    fn slot(&self, seq: u64) -> usize {
        seq as usize & (self.ring.len() - 1)
    }
}
