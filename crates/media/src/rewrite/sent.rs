//! What was sent under which sequence number.

use crate::{Packet, Spatial};

use super::Outgoing;

/// A packet that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The encoding that it came from.
    pub encoding: Spatial,
    /// Its extended sequence number there: the key to that encoding's [`crate::History`].
    pub source: u64,
    /// How it was sent.
    pub outgoing: Outgoing,
}

/// The latest packets of one consumer by outgoing sequence number, so that a resend can be made
/// from the history that all consumers share. When full, the oldest are forgotten.
#[derive(Debug, Clone)]
pub struct SequenceMap {
    ring: Box<[Option<Sent>]>,
    highest: Option<u64>,
}

impl SequenceMap {
    /// `capacity` is rounded up to a power of two, between 16 and 32768.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(16, 32_768).next_power_of_two();
        SequenceMap {
            ring: vec![None; capacity].into_boxed_slice(),
            highest: None,
        }
    }

    /// Notes a packet that is being sent.
    pub fn insert(&mut self, packet: &Packet, outgoing: Outgoing) {
        let seq = outgoing.seq;
        let slot = self.slot(seq);
        if self.ring[slot].is_some_and(|old| old.outgoing.seq > seq) {
            return;
        }
        self.ring[slot] = Some(Sent {
            encoding: packet.encoding,
            source: packet.seq,
            outgoing,
        });
        self.highest = self.highest.max(Some(seq));
    }

    /// The packet with an extended sequence number.
    pub fn get(&self, seq: u64) -> Option<&Sent> {
        self.ring[self.slot(seq)]
            .as_ref()
            .filter(|sent| sent.outgoing.seq == seq)
    }

    /// The packet with a sequence number as in a NACK: the one that was sent most recently.
    pub fn get_wire(&self, seq: u16) -> Option<&Sent> {
        let highest = self.highest?;
        let behind = u64::from((highest as u16).wrapping_sub(seq));
        self.get(highest.checked_sub(behind)?)
    }

    /// The highest extended sequence number noted so far.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }

    fn slot(&self, seq: u64) -> usize {
        seq as usize & (self.ring.len() - 1)
    }
}
