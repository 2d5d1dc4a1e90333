//! A picture to RTP payloads.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{Coding, Role, is_key_frame, parameters};

/// Bytes of an RTP payload that pass nearly every path, with room for what is put around them.
pub const DEFAULT_PAYLOAD: usize = 1200;

/// Payloads below this cannot hold what every payload must.
const SMALLEST: usize = 64;

/// Parameter sets that are kept: more than any camera has. The oldest goes.
const MAX_SETS: usize = 16;

/// Bytes of a parameter set that is kept. With everything that may be in one it has some hundred.
const MAX_SET: usize = 4096;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const AGGREGATION: u8 = 48;
const FRAGMENT: u8 = 49;

/// Makes RTP payloads of pictures: RFC 6184 in non-interleaved mode (packetization-mode 1), RFC
/// 7798 without decoding order numbers. Remembers the parameter sets, and puts them before each key
/// frame: somebody may begin there.
#[derive(Debug, Clone)]
pub struct Packetizer {
    coding: Coding,
    max: usize,
    sets: Vec<(Role, u32, Bytes)>,
}

impl Packetizer {
    /// With payloads of so many bytes at most, and never less than 64.
    pub fn new(coding: Coding, max: usize) -> Packetizer {
        Packetizer {
            coding,
            max: max.max(SMALLEST),
            sets: Vec::new(),
        }
    }

    /// Remembers a parameter set, instead of what had its number before. Says whether that is new.
    /// Anything else, and what is too large to be one, is left alone.
    pub fn learn(&mut self, unit: &Bytes) -> bool {
        let Some(role) = self
            .coding
            .role(unit)
            .filter(|role| role.is_parameter_set())
        else {
            return false;
        };
        if unit.len() > MAX_SET {
            return false;
        }
        let id = parameters::set_id(self.coding, role, unit);
        let known = self
            .sets
            .iter_mut()
            .find(|set| (set.0, set.1) == (role, id));
        match known {
            Some(set) if set.2 == *unit => return false,
            Some(set) => set.2 = unit.clone(),
            None => {
                if self.sets.len() == MAX_SETS {
                    self.sets.remove(0);
                }
                self.sets.push((role, id, unit.clone()));
            }
        }
        // The sets that others refer to come first.
        self.sets.sort_by_key(|set| (set.0, set.1));
        true
    }

    /// Whether enough is known for a key frame to be decoded.
    pub fn is_ready(&self) -> bool {
        let has = |role| self.sets.iter().any(|set| set.0 == role);
        match self.coding {
            Coding::H264 => has(Role::Sps) && has(Role::Pps),
            Coding::H265 => has(Role::Vps) && has(Role::Sps) && has(Role::Pps),
        }
    }

    /// The sequence parameter set that is known.
    pub fn sequence_parameter_set(&self) -> Option<&Bytes> {
        self.sets
            .iter()
            .find(|set| set.0 == Role::Sps)
            .map(|set| &set.2)
    }

    /// The NAL units of a picture as they are sent: with the parameter sets if it is a key frame,
    /// without delimiters, filling and what is no NAL unit.
    pub fn complete(&mut self, units: &[Bytes]) -> Vec<Bytes> {
        for unit in units {
            self.learn(unit);
        }
        let key_frame = is_key_frame(self.coding, units);
        let mut all = Vec::with_capacity(units.len() + self.sets.len());
        if key_frame {
            all.extend(self.sets.iter().map(|set| set.2.clone()));
        }
        all.extend(
            units
                .iter()
                .filter(|unit| self.is_sent(unit, key_frame))
                .cloned(),
        );
        all
    }

    fn is_sent(&self, unit: &Bytes, key_frame: bool) -> bool {
        match self.coding.role(unit) {
            None | Some(Role::Padding) => false,
            // It is before the key frame already, unless it was too large to be remembered.
            Some(Role::Vps | Role::Sps | Role::Pps) => !key_frame || unit.len() > MAX_SET,
            Some(Role::KeySlice | Role::Slice | Role::Other) => true,
        }
    }

    /// The RTP payloads of one picture. The last one gets the marker. None if nothing of the
    /// picture is to be sent.
    pub fn packetize(&mut self, units: &[Bytes]) -> Vec<Bytes> {
        let units = self.complete(units);
        // All headers and everything that is not a NAL unit as it is share one allocation.
        let mut room = BytesMut::with_capacity(self.room(&units));
        let mut payloads = Vec::new();
        let mut rest = units.as_slice();
        while let Some((first, others)) = rest.split_first() {
            let together = self.fitting(rest);
            if together > 1 {
                payloads.push(self.aggregate(&rest[..together], &mut room));
                rest = &rest[together..];
                continue;
            }
            if first.len() <= self.max {
                payloads.push(first.clone());
            } else {
                self.fragment(first, &mut room, &mut payloads);
            }
            rest = others;
        }
        payloads
    }

    /// How much is written at most.
    fn room(&self, units: &[Bytes]) -> usize {
        let header = self.coding.header() + 1;
        let bytes = |unit: &Bytes| unit.len() + header * (unit.len() / (self.max - header) + 2);
        units.iter().map(bytes).sum()
    }

    /// How many of the next NAL units go into one payload: RFC 6184 section 5.7.1, RFC 7798
    /// section 4.4.2. Each has its size before it.
    fn fitting(&self, units: &[Bytes]) -> usize {
        let mut size = self.coding.header();
        let fits = |unit: &&Bytes| {
            size += 2 + unit.len();
            size <= self.max
        };
        units.iter().take_while(fits).count()
    }

    fn aggregate(&self, units: &[Bytes], room: &mut BytesMut) -> Bytes {
        match self.coding {
            Coding::H264 => {
                // NRI is the highest of those inside.
                let importance = units.iter().map(|unit| unit[0] & 0x60).max();
                room.put_u8(importance.unwrap_or_default() | STAP_A);
            }
            Coding::H265 => {
                // Layer and temporal id are the lowest of those inside.
                let ids = |unit: &Bytes| u16::from_be_bytes([unit[0], unit[1]]) & 0x1ff;
                let layer = units.iter().map(|unit| ids(unit) >> 3).min();
                let temporal = units.iter().map(|unit| ids(unit) & 7).min();
                let ids = layer.unwrap_or_default() << 3 | temporal.unwrap_or(1);
                room.put_u16(u16::from(AGGREGATION) << 9 | ids);
            }
        }
        for unit in units {
            // It fits, so its size does.
            room.put_u16(unit.len() as u16);
            room.put_slice(unit);
        }
        room.split().freeze()
    }

    /// RFC 6184 section 5.8, RFC 7798 section 4.4.3: pieces of about the same size.
    fn fragment(&self, unit: &Bytes, room: &mut BytesMut, payloads: &mut Vec<Bytes>) {
        let header = self.coding.header();
        let (head, body) = unit.split_at(header);
        let most = self.max - header - 1;
        let size = body.len().div_ceil(body.len().div_ceil(most));
        let last = body.len().div_ceil(size) - 1;
        for (index, piece) in body.chunks(size).enumerate() {
            let start = u8::from(index == 0) << 7;
            let end = u8::from(index == last) << 6;
            match self.coding {
                Coding::H264 => {
                    room.put_u8(head[0] & 0x60 | FU_A);
                    room.put_u8(start | end | head[0] & 0x1f);
                }
                Coding::H265 => {
                    room.put_u8(head[0] & 0x81 | FRAGMENT << 1);
                    room.put_u8(head[1]);
                    room.put_u8(start | end | head[0] >> 1 & 0x3f);
                }
            }
            room.put_slice(piece);
            payloads.push(room.split().freeze());
        }
    }
}
