//! The numbers that a consumer sees: sequence numbers, timestamps and picture ids that go on
//! without a break whatever the selector does.

mod sent;

use std::time::Duration;

use crate::select::Verdict;
use crate::{Packet, Spatial};

pub use sent::{Sent, SequenceMap};

/// What a publisher's sender report says of one encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderReport {
    /// The publisher's clock, since any moment that is the same for all of its encodings.
    pub time: Duration,
    /// The RTP timestamp at that time.
    pub rtp: u32,
}

/// The latest sender report of each encoding.
pub type Reports = [Option<SenderReport>; Spatial::COUNT];

/// A packet as it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    /// Extended sequence number.
    pub seq: u64,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
    /// Bytes of the payload to replace.
    pub patch: Patch,
    /// The frame number to write into bytes 1 and 2 of the dependency descriptor.
    pub frame_number: Option<u16>,
}

/// A few bytes of a payload to replace; the payload itself is shared and never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Patch {
    offset: u8,
    len: u8,
    bytes: [u8; Patch::MAX],
}

impl Patch {
    /// Most bytes in a patch: a long VP8 picture id, TL0PICIDX, and TID with KEYIDX.
    pub const MAX: usize = 4;
    /// Changes nothing.
    pub const NONE: Patch = Patch {
        offset: 0,
        len: 0,
        bytes: [0; Patch::MAX],
    };

    /// Where in the payload the new bytes go, counted from its first byte.
    pub fn offset(&self) -> usize {
        usize::from(self.offset)
    }

    /// The new bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len).min(Self::MAX)]
    }

    /// Writes the new bytes into a copy of the payload.
    pub fn apply(&self, payload: &mut [u8]) {
        let end = self.offset() + self.bytes().len();
        if let Some(place) = payload.get_mut(self.offset()..end) {
            place.copy_from_slice(self.bytes());
        }
    }
}

/// Gives the packets of one consumer their outgoing numbers.
#[derive(Debug, Clone)]
pub struct Rewriter {
    next_seq: u64,
    offset: Option<(Spatial, u64, u32)>,
    timestamp: u32,
}

impl Rewriter {
    /// The first packet gets these numbers. To go on where another consumer of the same SSRC
    /// ended, pass its [`Rewriter::next`].
    pub fn new(seq: u64, timestamp: u32) -> Self {
        Rewriter {
            next_seq: seq,
            offset: None,
            timestamp,
        }
    }

    /// Gives a packet its outgoing numbers, after [`crate::Selector::admit`] has decided about
    /// it; dropped packets come here too, to close the gap that they leave. `None` if it is not
    /// to be sent: dropped, from before a switch, too old, or sent already.
    pub fn rewrite(
        &mut self,
        packet: &Packet,
        verdict: Verdict,
        reports: &Reports,
    ) -> Option<Outgoing> {
        let _ = reports;
        let marker = match verdict {
            Verdict::Drop => return None,
            Verdict::Forward { marker } => marker,
            Verdict::Start { marker } => {
                let seq = self.next_seq.wrapping_sub(packet.seq);
                let timestamp = self.timestamp.wrapping_sub(packet.timestamp);
                self.offset = Some((packet.encoding, seq, timestamp));
                marker
            }
        };
        let (_, seq, timestamp) = self.offset.filter(|(e, ..)| *e == packet.encoding)?;
        let seq = packet.seq.wrapping_add(seq);
        self.next_seq = self.next_seq.max(seq + 1);
        self.timestamp = packet.timestamp.wrapping_add(timestamp);
        let timestamp = self.timestamp;
        Some(Outgoing {
            seq,
            timestamp,
            marker,
            patch: Patch::NONE,
            frame_number: None,
        })
    }

    /// Sequence number and timestamp with which another consumer of the same SSRC may go on.
    pub fn next(&self) -> (u64, u32) {
        (self.next_seq, self.timestamp.wrapping_add(1))
    }

    /// The encoding that is being sent and what is added to its timestamps (modulo 2³²): to
    /// turn the publisher's sender reports into ours.
    pub fn timestamp_offset(&self) -> Option<(Spatial, u32)> {
        self.offset
            .map(|(encoding, _, timestamp)| (encoding, timestamp))
    }
}
