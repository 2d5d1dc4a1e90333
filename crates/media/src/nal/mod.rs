//! H.264 and H.265 as sources other than browsers have it: whole pictures of NAL units, from RTP
//! and to RTP, and what their parameter sets say.
//!
//! A browser's packets are forwarded as they are. A camera's are taken apart and put together
//! again: its packets may be too large for a path that the camera does not know, and its parameter
//! sets may come once, or in its description only.

use bytes::Bytes;

use crate::Codec;

mod depacketizer;
mod packetizer;
mod parameters;
mod sps264;
mod sps265;
#[cfg(test)]
mod tests;

pub use depacketizer::{Depacketizer, TooLarge};
pub use packetizer::{DEFAULT_PAYLOAD, Packetizer};
pub use parameters::{FrameRate, Reordering, SequenceParameters};

/// Bytes of the NAL units of a picture at most.
pub const MAX_PICTURE: usize = 8 << 20;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// ITU-T H.264, RFC 6184.
    H264,
    /// ITU-T H.265, RFC 7798.
    H265,
}

impl Coding {
    /// As everywhere else.
    pub const fn codec(self) -> Codec {
        match self {
            Coding::H264 => Codec::H264,
            Coding::H265 => Codec::H265,
        }
    }

    /// Bytes of a NAL unit's header.
    const fn header(self) -> usize {
        match self {
            Coding::H264 => 1,
            Coding::H265 => 2,
        }
    }

    /// What a NAL unit is. `None` if it has no content, breaks the header's rules, or is of a type
    /// that only means something in RTP.
    pub fn role(self, unit: &[u8]) -> Option<Role> {
        let header = unit.get(..self.header())?;
        if unit.len() == header.len() && !self.may_be_empty(header[0]) || header[0] & 0x80 != 0 {
            return None;
        }
        match self {
            Coding::H264 => role_264(header[0] & 0x1f),
            Coding::H265 if header[1] & 7 == 0 => None,
            Coding::H265 => role_265(header[0] >> 1 & 0x3f),
        }
    }

    /// The ends of a sequence and of a stream are headers only.
    const fn may_be_empty(self, first: u8) -> bool {
        match self {
            Coding::H264 => matches!(first & 0x1f, 10 | 11),
            Coding::H265 => matches!(first >> 1 & 0x3f, 36 | 37),
        }
    }
}

/// What a NAL unit is, as far as forwarding cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Video parameter set, H.265 only.
    Vps,
    /// Sequence parameter set.
    Sps,
    /// Picture parameter set.
    Pps,
    /// Part of a picture at which decoding can begin.
    KeySlice,
    /// Part of another picture.
    Slice,
    /// Delimiters and filling, which no receiver of RTP needs.
    Padding,
    /// Anything else.
    Other,
}

impl Role {
    /// Whether it must be known before a key frame can be decoded.
    pub const fn is_parameter_set(self) -> bool {
        matches!(self, Role::Vps | Role::Sps | Role::Pps)
    }
}

/// H.264 table 7-1; 0 and 24 to 31 are for packets (RFC 6184 table 1).
const fn role_264(kind: u8) -> Option<Role> {
    Some(match kind {
        0 | 24.. => return None,
        5 => Role::KeySlice,
        1..=4 => Role::Slice,
        7 => Role::Sps,
        8 => Role::Pps,
        9 | 12 => Role::Padding,
        _ => Role::Other,
    })
}

/// H.265 table 7-1; 48 and above are for packets (RFC 7798 section 4.4).
const fn role_265(kind: u8) -> Option<Role> {
    Some(match kind {
        48.. => return None,
        16..=23 => Role::KeySlice,
        0..=15 => Role::Slice,
        32 => Role::Vps,
        33 => Role::Sps,
        34 => Role::Pps,
        35 | 38 => Role::Padding,
        _ => Role::Other,
    })
}

/// The NAL units of one picture, without start codes and lengths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessUnit {
    /// In the order in which they are decoded.
    pub units: Vec<Bytes>,
    /// In units of the stream's clock, as it was told.
    pub timestamp: i64,
    /// Whether decoding can begin here, given the parameter sets.
    pub key_frame: bool,
    /// Whether something before it is missing.
    pub after_loss: bool,
}

impl AccessUnit {
    /// Bytes of all NAL units.
    pub fn size(&self) -> usize {
        self.units.iter().map(Bytes::len).sum()
    }

    /// With start codes, as a decoder takes it (H.264 annex B, H.265 annex B).
    pub fn annex_b(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size() + 4 * self.units.len());
        for unit in &self.units {
            bytes.extend([0, 0, 0, 1]);
            bytes.extend_from_slice(unit);
        }
        bytes
    }
}

/// Whether decoding can begin at these NAL units. Some cameras never send what the standard calls
/// an instantaneous refresh, but intra pictures, with the parameter sets before them.
fn is_key_frame(coding: Coding, units: &[Bytes]) -> bool {
    let roles = || units.iter().map(|unit| (coding.role(unit), unit));
    if roles().any(|(role, _)| role == Some(Role::KeySlice)) {
        return true;
    }
    let has_parameters = roles().any(|(role, _)| role == Some(Role::Sps));
    let mut slices = roles()
        .filter(|(role, _)| *role == Some(Role::Slice))
        .peekable();
    coding == Coding::H264
        && has_parameters
        && slices.peek().is_some()
        && slices
            .all(|(_, unit)| parameters::slice_kind(unit) == Some(parameters::SliceKind::Intra))
}

/// Whether a picture has slices that refer to later pictures: the B-frames of H.264. H.265 encoders
/// write such slices without meaning it, so its parameter sets say more, see [`Reordering`].
pub fn has_bidirectional_slices(coding: Coding, units: &[Bytes]) -> bool {
    coding == Coding::H264
        && units.iter().any(|unit| {
            coding.role(unit) == Some(Role::Slice)
                && parameters::slice_kind(unit) == Some(parameters::SliceKind::Bidirectional)
        })
}
