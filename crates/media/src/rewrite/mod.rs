//! The numbers that a consumer sees: sequence numbers, timestamps and picture ids that go on
//! without a break whatever the selector does.

mod clock;
mod pictures;
mod ranges;
mod replay;
mod sent;
mod window;

use std::time::Duration;

use crate::select::Verdict;
use crate::{Detail, Packet, Spatial};

use clock::Clock;
use pictures::Pictures;
use ranges::{Place, Ranges};
use replay::Replay;
use window::Window;

pub use replay::Edge;
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

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(usize::from(self.len)) {
            *place = byte;
            self.len += 1;
        }
    }

    /// Writes the new bytes into a copy of the payload.
    pub fn apply(&self, payload: &mut [u8]) {
        let end = self.offset() + self.bytes().len();
        if let Some(place) = payload.get_mut(self.offset()..end) {
            place.copy_from_slice(self.bytes());
        }
    }
}

/// A source that runs further ahead than this in one step has been interrupted: its lost packets
/// are too old to be of use, and one missing number tells the receiver as much as thousands.
const MAX_JUMP: u64 = 2048;

/// Gives the packets of one consumer their outgoing numbers.
///
/// Sequence numbers have no gap where the selector dropped something, and have one where a packet
/// has not come from the publisher: it fits in when it comes late.
#[derive(Debug, Clone)]
pub struct Rewriter {
    next_seq: u64,
    next_timestamp: u32,
    source: Option<Source>,
    window: Window,
    pictures: Pictures,
    frames: Frames,
}

/// What is being sent.
#[derive(Debug, Clone)]
struct Source {
    seqs: Ranges,
    clock: Clock,
    /// Its first packets were sent anew.
    replay: Option<Box<Replay>>,
}

impl Rewriter {
    /// The first packet gets these numbers. To go on where another consumer of the same SSRC
    /// ended, pass its [`Rewriter::next`], the timestamp advanced by the time since.
    pub fn new(seq: u64, timestamp: u32) -> Self {
        Rewriter {
            next_seq: seq,
            next_timestamp: timestamp,
            source: None,
            window: Window::new(seq),
            pictures: Pictures::default(),
            frames: Frames::default(),
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
        match verdict {
            Verdict::Drop => {
                self.follow(packet, reports);
                self.skip(packet);
                None
            }
            Verdict::Start { marker } => {
                self.begin(packet, reports);
                self.forward(packet, marker)
            }
            Verdict::Forward { marker } => {
                self.follow(packet, reports);
                self.forward(packet, marker)
            }
        }
    }

    /// As [`Rewriter::rewrite`], of a packet that waited in a [`crate::GopCache`]: it gets a
    /// timestamp as if it had just come. All packets from [`Verdict::Start`] on come here up to
    /// the newest, and what comes after goes to [`Rewriter::rewrite`].
    pub fn replay(
        &mut self,
        packet: &Packet,
        verdict: Verdict,
        reports: &Reports,
        edge: Edge<'_>,
    ) -> Option<Outgoing> {
        let marker = match verdict {
            Verdict::Drop => {
                self.skip(packet);
                return None;
            }
            Verdict::Start { marker } => {
                let clock = match &self.source {
                    Some(source) => source.clock.switch(edge.newest, reports),
                    None => Clock::new(edge.newest, self.next_timestamp),
                };
                let replay = Replay::new(edge.newest, &clock);
                self.change(packet, clock, Some(Box::new(replay)));
                marker
            }
            Verdict::Forward { marker } => marker,
        };
        let source = self.source_of(packet)?;
        if let Some(replay) = &mut source.replay {
            replay.pace(packet, edge.now, &mut source.clock);
        }
        self.forward(packet, marker)
    }

    /// Sequence number and timestamp with which another consumer of the same SSRC may go on.
    pub fn next(&self) -> (u64, u32) {
        let timestamp = self
            .source
            .as_ref()
            .map(|source| source.clock.highest().wrapping_add(1));
        (self.next_seq, timestamp.unwrap_or(self.next_timestamp))
    }

    /// The encoding that is being sent and what is added to its timestamps (modulo 2³²): to
    /// turn the publisher's sender reports into ours.
    pub fn timestamp_offset(&self) -> Option<(Spatial, u32)> {
        self.source
            .as_ref()
            .map(|source| (source.clock.encoding, source.clock.offset))
    }

    fn begin(&mut self, packet: &Packet, reports: &Reports) {
        let clock = match &self.source {
            Some(source) => source.clock.switch(packet, reports),
            None => Clock::new(packet, self.next_timestamp),
        };
        self.change(packet, clock, None);
    }

    /// Another source begins with a packet, or the same one again.
    fn change(&mut self, packet: &Packet, clock: Clock, replay: Option<Box<Replay>>) {
        self.source = Some(Source {
            seqs: Ranges::new(packet.seq, self.next_seq),
            clock,
            replay,
        });
        match &packet.descriptor.detail {
            Detail::Vp8(ids) => self.pictures.begin(ids),
            Detail::Dependency(targets) => self.frames.begin(targets.frame_number),
            Detail::None => {}
        }
    }

    fn skip(&mut self, packet: &Packet) {
        let Some(source) = self.source_of(packet) else {
            return;
        };
        source.seqs.skip(packet.seq);
        if let Detail::Vp8(ids) = &packet.descriptor.detail {
            // An empty packet belongs to no picture, and has no such detail.
            self.pictures.skip(ids);
        }
    }

    fn forward(&mut self, packet: &Packet, marker: bool) -> Option<Outgoing> {
        let source = self.source_of(packet)?;
        let in_order = packet.seq >= source.seqs.highest();
        let patch = match &packet.descriptor.detail {
            Detail::Vp8(ids) => match self.pictures.place(ids, in_order) {
                Some(patch) => patch,
                None => {
                    self.skip(packet);
                    return None;
                }
            },
            Detail::Dependency(_) | Detail::None => Patch::NONE,
        };
        let source = self.source_of(packet)?;
        let Place::Out(seq) = source.seqs.place(packet.seq) else {
            return None;
        };
        source.seqs.note(packet.seq);
        if !self.window.claim(seq) {
            return None;
        }
        self.next_seq = self.next_seq.max(seq + 1);
        let timestamp = self.source_of(packet)?.stamp(packet)?;
        let frame_number = match &packet.descriptor.detail {
            Detail::Dependency(targets) => self.frames.place(targets.frame_number),
            Detail::Vp8(_) | Detail::None => None,
        };
        Some(Outgoing {
            seq,
            timestamp,
            marker,
            patch,
            frame_number,
        })
    }

    /// Puts the source anew where its numbers or its clock have jumped.
    fn follow(&mut self, packet: &Packet, reports: &Reports) {
        let next_seq = self.next_seq;
        let Some(source) = self.source_of(packet) else {
            return;
        };
        let highest = source.seqs.highest();
        let numbers = packet.seq > highest + MAX_JUMP;
        let clock = packet.seq > highest && source.clock.is_broken_by(packet);
        if numbers || clock {
            // What was before has no place any more; of what is missing one number tells.
            let first = next_seq + u64::from(packet.seq > highest + 1);
            source.seqs = Ranges::new(packet.seq, first);
        }
        if clock {
            source.clock = source.clock.switch(packet, reports);
        }
    }

    /// The source, if the packet is of it.
    fn source_of(&mut self, packet: &Packet) -> Option<&mut Source> {
        let source = self.source.as_mut();
        source.filter(|source| source.clock.encoding == packet.encoding)
    }
}

impl Source {
    /// The timestamp with which a packet leaves; `None` if its picture was sent too long ago.
    fn stamp(&mut self, packet: &Packet) -> Option<u32> {
        if let Some(replay) = &mut self.replay {
            if let Some(timestamp) = replay.stamp(packet) {
                return Some(timestamp);
            }
            if replay.is_before_end(packet) {
                return None;
            }
            if replay.ends_before(packet) {
                self.clock.go_on(packet);
            }
            if replay.is_forgotten_at(packet) {
                self.replay = None;
            }
        }
        Some(self.clock.stamp(packet))
    }
}

/// The frame numbers of dependency descriptors: a receiver refuses a key frame whose number is
/// lower than that of the one before, so they go on over a switch. Gaps do no harm: frames name
/// what they need by distance.
#[derive(Debug, Clone, Copy, Default)]
struct Frames {
    offset: u16,
    highest: Option<u16>,
}

impl Frames {
    fn begin(&mut self, number: u16) {
        if let Some(highest) = self.highest {
            self.offset = highest.wrapping_add(1).wrapping_sub(number);
        }
    }

    fn place(&mut self, number: u16) -> Option<u16> {
        let out = number.wrapping_add(self.offset);
        let newer = self
            .highest
            .is_none_or(|highest| out.wrapping_sub(highest) as i16 > 0);
        if newer {
            self.highest = Some(out);
        }
        (self.offset != 0).then_some(out)
    }
}
