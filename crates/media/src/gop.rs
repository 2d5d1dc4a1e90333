//! Pictures since the last key frame, for those who begin to watch between two.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::{Packet, Spatial};

/// How much is kept of one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GopLimits {
    /// Bytes of all encodings together, with what the packets themselves take.
    pub bytes: usize,
    /// From a key frame to the newest packet, by times of arrival.
    pub age: Duration,
}

impl Default for GopLimits {
    /// Ten seconds at 6 Mbit/s fit, and the longest usual distance of key frames. More pictures than
    /// come in half a minute are too many to be decoded while somebody waits.
    fn default() -> Self {
        GopLimits {
            bytes: 8 * 1024 * 1024,
            age: Duration::from_secs(30),
        }
    }
}

/// The packets of each encoding of one track since its last key frame: a whole group of pictures
/// as far as it has come, or its key frame alone, or nothing. Where a group exceeds the limits it is
/// cut down to its key frame, and nothing is added before the next one.
///
/// The packets are shared with the history, so what is counted here may be counted there too.
#[derive(Debug, Clone)]
pub struct GopCache {
    limits: GopLimits,
    groups: [Group; Spatial::COUNT],
}

/// What is kept of one encoding.
#[derive(Debug, Clone, Default)]
struct Group {
    /// In the order of their numbers, the beginning of a key frame first; empty before one.
    packets: VecDeque<Arc<Packet>>,
    bytes: usize,
    /// The highest number that has come, kept or not.
    highest: Option<u64>,
    /// Nothing is kept but the key frame.
    cut: bool,
}

/// What a packet takes besides its payload: itself, the counts of both references, its place.
const OVERHEAD: usize = size_of::<Packet>() + 4 * size_of::<usize>() + size_of::<Arc<Packet>>();
/// A group with no more payload than this holds no picture yet, but parameter sets that were given
/// a timestamp of their own. The key frame after them does not begin another group.
const PARAMETERS: usize = 1024;

impl GopCache {
    /// Nothing is kept yet.
    pub fn new(limits: GopLimits) -> Self {
        GopCache {
            limits,
            groups: Default::default(),
        }
    }

    /// The limits that it was made with.
    pub fn limits(&self) -> GopLimits {
        self.limits
    }

    /// Takes a packet that has arrived, in any order.
    pub fn insert(&mut self, packet: &Arc<Packet>) {
        let group = &mut self.groups[packet.encoding.index()];
        group.insert(packet);
        if group.age() > self.limits.age {
            group.cut();
        }
        while self.bytes() > self.limits.bytes {
            // The smaller pictures are worth more than their size.
            if let Some(largest) = self.groups.iter_mut().max_by_key(|group| group.bytes) {
                let before = largest.bytes;
                largest.cut();
                if largest.bytes == before {
                    largest.clear();
                }
            }
        }
    }

    /// Takes what another cache of the same track has of those encodings that are wanted.
    pub fn adopt(&mut self, other: &GopCache, wanted: impl Fn(Spatial) -> bool) {
        for packet in other.packets().filter(|packet| wanted(packet.encoding)) {
            self.insert(packet);
        }
        for (group, other) in self.groups.iter_mut().zip(&other.groups) {
            let same = |a: &Group, b: &Group| a.first() == b.first() && b.cut;
            if same(group, other) {
                group.cut();
            }
        }
    }

    /// Whether nothing but the key frame of an encoding is kept, as the rest was too much.
    pub fn is_cut(&self, encoding: Spatial) -> bool {
        self.groups[encoding.index()].cut
    }

    /// The beginning of the last key frame of an encoding.
    pub fn first(&self, encoding: Spatial) -> Option<&Arc<Packet>> {
        self.groups[encoding.index()].packets.front()
    }

    /// The newest packet of an encoding.
    pub fn newest(&self, encoding: Spatial) -> Option<&Arc<Packet>> {
        self.groups[encoding.index()].packets.back()
    }

    /// The packets of an encoding from a number on, in order.
    pub fn from(&self, encoding: Spatial, seq: u64) -> impl Iterator<Item = &Arc<Packet>> {
        let packets = &self.groups[encoding.index()].packets;
        packets.range(packets.partition_point(|kept| kept.seq < seq)..)
    }

    /// The last key frame of an encoding, as far as it has come.
    pub fn key_frame(&self, encoding: Spatial) -> impl Iterator<Item = &Arc<Packet>> {
        let packets = &self.groups[encoding.index()].packets;
        let timestamp = packets.front().map(|first| first.timestamp);
        packets
            .iter()
            .take_while(move |packet| Some(packet.timestamp) == timestamp)
    }

    /// The packet of an encoding with this number.
    pub fn get(&self, encoding: Spatial, seq: u64) -> Option<&Arc<Packet>> {
        let mut from = self.from(encoding, seq);
        from.next().filter(|packet| packet.seq == seq)
    }

    /// Whether no packet of an encoding is missing.
    pub fn is_whole(&self, encoding: Spatial) -> bool {
        let packets = &self.groups[encoding.index()].packets;
        match (packets.front(), packets.back()) {
            (Some(first), Some(last)) => last.seq - first.seq + 1 == packets.len() as u64,
            _ => false,
        }
    }

    /// Bytes of one encoding, with what its packets themselves take.
    pub fn bytes_of(&self, encoding: Spatial) -> usize {
        self.groups[encoding.index()].bytes
    }

    /// Bytes of all encodings.
    pub fn bytes(&self) -> usize {
        self.groups.iter().map(|group| group.bytes).sum()
    }

    /// Everything that is kept, by encoding and in order.
    pub fn packets(&self) -> impl Iterator<Item = &Arc<Packet>> {
        self.groups.iter().flat_map(|group| &group.packets)
    }

    /// What comes next of an encoding does not go on where it was.
    pub fn forget(&mut self, encoding: Spatial) {
        self.groups[encoding.index()] = Group::default();
    }

    /// The same of all encodings.
    pub fn clear(&mut self) {
        self.groups = Default::default();
    }

    /// What a packet takes of [`GopLimits::bytes`].
    pub fn cost(packet: &Packet) -> usize {
        packet.payload.len() + OVERHEAD
    }
}

impl Group {
    fn insert(&mut self, packet: &Arc<Packet>) {
        let late = self.highest.is_some_and(|highest| packet.seq <= highest);
        self.highest = self.highest.max(Some(packet.seq));
        match self.packets.front() {
            // What has come after a key frame that is late is not here.
            None if late || !packet.descriptor.key_frame => return,
            None => {}
            Some(first) if packet.timestamp == first.timestamp => {}
            Some(first) if packet.seq < first.seq => return,
            Some(_) if packet.descriptor.key_frame && self.has_picture() => {
                self.forget_before(packet.seq);
                self.cut = false;
            }
            Some(_) if self.cut => return,
            Some(_) => {}
        }
        let place = match late {
            true => self.packets.partition_point(|kept| kept.seq < packet.seq),
            false => self.packets.len(),
        };
        let same = self.packets.get(place);
        if same.is_none_or(|same| same.seq != packet.seq) {
            self.packets.insert(place, packet.clone());
            self.bytes += GopCache::cost(packet);
        }
    }

    fn has_picture(&self) -> bool {
        self.bytes - self.packets.len() * OVERHEAD > PARAMETERS
    }

    fn forget_before(&mut self, seq: u64) {
        while let Some(first) = self.packets.front()
            && first.seq < seq
        {
            self.bytes -= GopCache::cost(first);
            self.packets.pop_front();
        }
    }

    fn age(&self) -> Duration {
        match (self.packets.front(), self.packets.back()) {
            (Some(first), Some(last)) => last.received.saturating_duration_since(first.received),
            _ => Duration::ZERO,
        }
    }

    /// The number of its first packet.
    fn first(&self) -> Option<u64> {
        self.packets.front().map(|first| first.seq)
    }

    /// Leaves the key frame alone. The memory of the rest goes, too: the next group may be far smaller.
    fn cut(&mut self) {
        let timestamp = self.packets.front().map(|first| first.timestamp);
        self.packets
            .retain(|packet| Some(packet.timestamp) == timestamp);
        self.packets.shrink_to_fit();
        self.bytes = self.packets.iter().map(|it| GopCache::cost(it)).sum();
        self.cut = true;
        if !self.has_picture() {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.packets = VecDeque::new();
        (self.bytes, self.cut) = (0, false);
    }
}
