//! What parameter sets and slice headers say.

use super::{Coding, Role, sps264, sps265};
use crate::codec::Size;
use crate::codec::bits::Bits;

/// Bytes that are looked at. Behind them is nothing that anybody needs.
const MAX_READ: usize = 2048;

/// What is known of the pictures of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceParameters {
    /// Pixels that are shown, from 1 to 16384 each.
    pub size: Size,
    /// `profile_idc` or `general_profile_idc`.
    pub profile: u8,
    /// The constraint flags of H.264, as in the second byte; 0 for H.265.
    pub constraints: u8,
    /// `level_idc` or `general_level_idc`: 31 is 3.1 with H.264, 93 is 3.1 with H.265.
    pub level: u8,
    /// As the encoder says; many say nothing or something else.
    pub frame_rate: Option<FrameRate>,
    /// Whether pictures may be shown in another order.
    pub reordering: Reordering,
}

/// Pictures per second as a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRate {
    /// Never 0.
    pub numerator: u32,
    /// Never 0.
    pub denominator: u32,
}

impl FrameRate {
    /// `None` for what no camera does: nothing, or more than a thousand a second.
    pub(super) fn new(numerator: u32, denominator: u32) -> Option<FrameRate> {
        let sane = numerator > 0
            && denominator > 0
            && u64::from(numerator) <= 1000 * u64::from(denominator)
            && numerator.saturating_mul(100) >= denominator;
        sane.then_some(FrameRate {
            numerator,
            denominator,
        })
    }

    /// Pictures per second.
    pub fn per_second(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }
}

/// Whether pictures are shown in another order than they are sent: no browser shows that well in a
/// call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reordering {
    /// They are not.
    Never,
    /// Nothing forbids it.
    Possible,
    /// So many pictures at most come earlier than they are shown.
    Announced(u8),
}

impl SequenceParameters {
    /// Reads a sequence parameter set, with its NAL unit header. `None` if it is cut off, breaks
    /// the rules, or says a size that nobody has.
    pub fn parse(coding: Coding, unit: &[u8]) -> Option<SequenceParameters> {
        if coding.role(unit)? != Role::Sps {
            return None;
        }
        let bytes = unescape(unit.get(coding.header()..)?);
        let bits = Bits::new(&bytes);
        match coding {
            Coding::H264 => sps264::parse(bits),
            Coding::H265 => sps265::parse(bits),
        }
    }

    /// As people and SDP name it: the profile's name.
    pub fn profile_name(&self, coding: Coding) -> &'static str {
        match (coding, self.profile) {
            (Coding::H264, 66) if self.constraints & 0x40 != 0 => "Constrained Baseline",
            (Coding::H264, 66) => "Baseline",
            (Coding::H264, 77) => "Main",
            (Coding::H264, 88) => "Extended",
            (Coding::H264, 100) => "High",
            (Coding::H264, 110) => "High 10",
            (Coding::H264, 122) => "High 4:2:2",
            (Coding::H264, 244) => "High 4:4:4",
            (Coding::H265, 1) => "Main",
            (Coding::H265, 2) => "Main 10",
            (Coding::H265, 3) => "Main Still Picture",
            (Coding::H264 | Coding::H265, _) => "unknown",
        }
    }
}

/// Removes emulation prevention bytes (H.264 section 7.3.1, H.265 section 7.3.1.1): 3 after two
/// zeros.
fn unescape(bytes: &[u8]) -> Vec<u8> {
    let bytes = bytes.get(..MAX_READ).unwrap_or(bytes);
    let mut plain = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for &byte in bytes {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        plain.push(byte);
    }
    plain
}

/// The number by which others refer to a parameter set; 0 if it does not say it.
pub(super) fn set_id(coding: Coding, role: Role, unit: &[u8]) -> u32 {
    let bytes = unescape(unit.get(coding.header()..).unwrap_or_default());
    let mut bits = Bits::new(&bytes);
    let id = match (coding, role) {
        (_, Role::Pps) => bits.exp_golomb(),
        (Coding::H264, Role::Sps) => bits.skip(24).and_then(|()| bits.exp_golomb()),
        (Coding::H265, Role::Vps) => bits.take(4),
        (Coding::H265, Role::Sps) => sps265::id(bits),
        (Coding::H264, Role::Vps) => None,
        (_, Role::KeySlice | Role::Slice | Role::Padding | Role::Other) => None,
    };
    id.unwrap_or_default()
}

/// What the macroblocks of an H.264 slice may refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SliceKind {
    Predicted,
    Bidirectional,
    Intra,
}

/// H.264 section 7.3.3: first_mb_in_slice, slice_type (table 7-6).
pub(super) fn slice_kind(unit: &[u8]) -> Option<SliceKind> {
    let bytes = unescape(unit.get(1..unit.len().min(16))?);
    let mut bits = Bits::new(&bytes);
    bits.exp_golomb()?;
    match bits.exp_golomb()? {
        0 | 3 | 5 | 8 => Some(SliceKind::Predicted),
        1 | 6 => Some(SliceKind::Bidirectional),
        2 | 4 | 7 | 9 => Some(SliceKind::Intra),
        _ => None,
    }
}

/// Skips what both codecs say first of a picture's usability, and alike: the shape of its pixels, its
/// colours, and where its chroma samples lie (H.264 and H.265, section E.2.1).
pub(super) fn skip_appearance(bits: &mut Bits<'_>) -> Option<()> {
    /// `aspect_ratio_idc` that has its ratio behind it.
    const EXTENDED_RATIO: u32 = 255;
    if bits.bit()? && bits.take(8)? == EXTENDED_RATIO {
        bits.skip(32)?;
    }
    if bits.bit()? {
        bits.skip(1)?;
    }
    if bits.bit()? {
        bits.skip(4)?;
        if bits.bit()? {
            bits.skip(24)?;
        }
    }
    if bits.bit()? {
        bits.exp_golomb()?;
        bits.exp_golomb()?;
    }
    Some(())
}

/// The size less the cropping. `None` for what no picture has.
pub(super) fn cropped(
    (width, height): (u32, u32),
    [left, right, top, bottom]: [u32; 4],
    (unit_x, unit_y): (u32, u32),
) -> Option<Size> {
    let less = |length: u32, from: u32, to: u32, unit: u32| {
        length.checked_sub(from.checked_add(to)?.checked_mul(unit)?)
    };
    let size = Size {
        width: less(width, left, right, unit_x)?,
        height: less(height, top, bottom, unit_y)?,
    };
    let sane = |length| (1..=16_384).contains(&length);
    (sane(size.width) && sane(size.height)).then_some(size)
}
