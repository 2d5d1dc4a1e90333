//! What was sent under which sequence number.

use std::time::{Duration, Instant};

use crate::{Packet, Spatial};

use super::{Outgoing, Patch};

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
///
/// There is one for each track of each subscriber, so an entry has 20 bytes: numbers are kept
/// without what follows from their neighbours.
#[derive(Debug, Clone)]
pub struct SequenceMap {
    /// Grows until it holds [`KEEP`] of what is sent, at most to the capacity.
    ring: Box<[Entry]>,
    capacity: usize,
    /// The number and the time from which on the ring has been filled this time.
    filled: Option<(u64, Instant)>,
    /// The number noted last of each encoding: the upper bits of those in the ring.
    sources: [u64; Spatial::COUNT],
}

/// A packet that was sent.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// The lower bits of the outgoing number.
    seq: u32,
    /// The lower bits of the number at the source.
    source: u32,
    timestamp: u32,
    /// The bytes of a patch, or a frame number: no codec has both.
    change: [u8; Patch::MAX],
    patch_offset: u8,
    patch_len: u8,
    /// What the bits below say, and the encoding in the lowest two bits.
    flags: u8,
}

/// Receivers do not ask for what is older.
const KEEP: Duration = Duration::from_secs(2);
const SMALLEST: usize = 128;

const ENCODING: u8 = 3;
const USED: u8 = 1 << 2;
const MARKER: u8 = 1 << 3;
const FRAME_NUMBER: u8 = 1 << 4;

impl SequenceMap {
    /// `capacity` is rounded up to a power of two, between 16 and 32768.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(16, 32_768).next_power_of_two();
        SequenceMap {
            ring: vec![Entry::default(); capacity.min(SMALLEST)].into_boxed_slice(),
            capacity,
            filled: None,
            sources: [0; Spatial::COUNT],
        }
    }

    /// Notes a packet that is being sent.
    pub fn insert(&mut self, packet: &Packet, outgoing: &Outgoing) {
        self.insert_at(packet, outgoing, packet.received);
    }

    /// The same of a packet that arrived long before it is sent, at `now`.
    pub fn insert_at(&mut self, packet: &Packet, outgoing: &Outgoing, now: Instant) {
        self.sources[packet.encoding.index()] = packet.seq;
        self.grow_if_short(outgoing.seq, now);
        let slot = &mut self.ring[outgoing.seq as usize & (self.ring.len() - 1)];
        let newer =
            slot.flags & USED != 0 && (slot.seq.wrapping_sub(outgoing.seq as u32) as i32) > 0;
        if !newer {
            *slot = Entry::new(packet, outgoing);
        }
    }

    /// Doubles the ring if it was full before its time.
    fn grow_if_short(&mut self, seq: u64, now: Instant) {
        let (first, since) = *self.filled.get_or_insert((seq, now));
        if seq < first.saturating_add(self.ring.len() as u64) {
            return;
        }
        if self.ring.len() >= self.capacity || now.saturating_duration_since(since) >= KEEP {
            self.filled = Some((seq, now));
            return;
        }
        let mut ring = vec![Entry::default(); self.ring.len() * 2].into_boxed_slice();
        for entry in self.ring.iter().filter(|entry| entry.flags & USED != 0) {
            ring[entry.seq as usize & (ring.len() - 1)] = *entry;
        }
        self.ring = ring;
    }

    /// The packet with an extended sequence number.
    pub fn get(&self, seq: u64) -> Option<Sent> {
        let entry = &self.ring[seq as usize & (self.ring.len() - 1)];
        if entry.flags & USED == 0 || entry.seq != seq as u32 {
            return None;
        }
        let encoding = Spatial::new(entry.flags & ENCODING)?;
        let latest = self.sources[encoding.index()];
        let ahead = entry.source.wrapping_sub(latest as u32) as i32;
        Some(Sent {
            encoding,
            source: latest.wrapping_add_signed(ahead.into()),
            outgoing: entry.outgoing(seq),
        })
    }
}

impl Entry {
    fn new(packet: &Packet, outgoing: &Outgoing) -> Entry {
        let mut flags = USED | packet.encoding.index() as u8;
        if outgoing.marker {
            flags |= MARKER;
        }
        let patch = outgoing.patch;
        let mut change = patch.bytes;
        if let Some(number) = outgoing.frame_number {
            flags |= FRAME_NUMBER;
            change[..2].copy_from_slice(&number.to_be_bytes());
        }
        Entry {
            seq: outgoing.seq as u32,
            source: packet.seq as u32,
            timestamp: outgoing.timestamp,
            change,
            patch_offset: patch.offset,
            patch_len: patch.len,
            flags,
        }
    }

    fn outgoing(&self, seq: u64) -> Outgoing {
        let [high, low, ..] = self.change;
        let frame_number = self.flags & FRAME_NUMBER != 0;
        let patch = Patch {
            offset: self.patch_offset,
            len: self.patch_len,
            bytes: self.change,
        };
        Outgoing {
            seq,
            timestamp: self.timestamp,
            marker: self.flags & MARKER != 0,
            patch: if frame_number { Patch::NONE } else { patch },
            frame_number: frame_number.then(|| u16::from_be_bytes([high, low])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::testing::packet;

    #[test]
    fn a_quick_stream_forgets_too_soon_or_a_slow_one_keeps_too_much() {
        let start = Instant::now();
        let size_at = |per_second: u64| {
            let mut sent = SequenceMap::new(1024);
            for seq in 0..per_second * 20 {
                let received = start + Duration::from_micros(seq * 1_000_000 / per_second);
                let packet = packet(seq, received);
                let outgoing = Outgoing {
                    seq: seq + 1_000_000,
                    timestamp: seq as u32,
                    marker: false,
                    patch: Patch::NONE,
                    frame_number: None,
                };
                sent.insert(&packet, &outgoing);
                // Also just after it has grown.
                let second_ago = outgoing.seq - seq.min(per_second.min(900));
                assert_eq!(
                    sent.get(second_ago).map(|s| s.source + 1_000_000),
                    Some(second_ago)
                );
            }
            sent.ring.len()
        };
        assert_eq!([10, 40, 400, 2000].map(size_at), [128, 128, 1024, 1024]);
    }

    #[test]
    fn an_entry_grows_with_every_track_of_every_subscriber() {
        assert_eq!(size_of::<Entry>(), 20);
    }
}
