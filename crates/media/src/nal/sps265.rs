//! The sequence parameter set of H.265, section 7.3.2.2 and annex E.

use super::parameters::{FrameRate, Reordering, SequenceParameters, cropped, skip_appearance};
use crate::codec::bits::Bits;

/// Section 7.4.3.2.1: `num_short_term_ref_pic_sets` is not more.
const MAX_SETS: u32 = 64;

/// Pictures that a set refers to: not more than are kept (section 7.4.8).
const MAX_REFERENCES: u32 = 16;

pub(super) fn id(mut bits: Bits<'_>) -> Option<u32> {
    tiers(&mut bits)?;
    bits.exp_golomb()
}

/// Profile and level, up to the id.
struct Tiers {
    profile: u8,
    level: u8,
    sub_layers: u32,
}

fn tiers(bits: &mut Bits<'_>) -> Option<Tiers> {
    bits.skip(4)?;
    let sub_layers = bits.take(3)?;
    bits.skip(1)?;
    bits.skip(3)?;
    let profile = bits.take(5)? as u8;
    // Compatibility flags, and 48 bits of constraints.
    bits.skip(32 + 48)?;
    let level = bits.take(8)? as u8;
    let mut present = [(false, false); 8];
    for layer in present.iter_mut().take(sub_layers as usize) {
        *layer = (bits.bit()?, bits.bit()?);
    }
    if sub_layers > 0 {
        bits.skip(2 * (8 - sub_layers))?;
    }
    for (profile, level) in present.iter().take(sub_layers as usize) {
        bits.skip(if *profile { 88 } else { 0 })?;
        bits.skip(if *level { 8 } else { 0 })?;
    }
    Some(Tiers {
        profile,
        level,
        sub_layers,
    })
}

pub(super) fn parse(mut bits: Bits<'_>) -> Option<SequenceParameters> {
    let tiers = tiers(&mut bits)?;
    bits.exp_golomb()?;
    let chroma = bits.exp_golomb()?;
    if chroma == 3 {
        bits.skip(1)?;
    }
    let (width, height) = (bits.exp_golomb()?, bits.exp_golomb()?);
    let mut crop = [0; 4];
    if bits.bit()? {
        for edge in &mut crop {
            *edge = bits.exp_golomb()?;
        }
    }
    let units = match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let size = cropped((width, height), crop, units)?;
    bits.exp_golomb()?;
    bits.exp_golomb()?;
    let order_bits = bits.exp_golomb()?.checked_add(4)?;
    let reordered = reordered(&mut bits, tiers.sub_layers)?;
    Some(SequenceParameters {
        size,
        profile: tiers.profile,
        constraints: 0,
        level: tiers.level,
        frame_rate: frame_rate(&mut bits, order_bits),
        reordering: match u8::try_from(reordered).ok()? {
            0 => Reordering::Never,
            count => Reordering::Announced(count),
        },
    })
}

/// `sps_max_num_reorder_pics` of the highest sub-layer.
fn reordered(bits: &mut Bits<'_>, sub_layers: u32) -> Option<u32> {
    let all = bits.bit()?;
    let mut reordered = 0;
    for _ in if all { 0 } else { sub_layers }..=sub_layers {
        bits.exp_golomb()?;
        reordered = bits.exp_golomb()?;
        bits.exp_golomb()?;
    }
    Some(reordered)
}

/// It is at the very end.
fn frame_rate(bits: &mut Bits<'_>, order_bits: u32) -> Option<FrameRate> {
    for _ in 0..6 {
        bits.exp_golomb()?;
    }
    if bits.bit()? && bits.bit()? {
        scaling_lists(bits)?;
    }
    bits.skip(2)?;
    if bits.bit()? {
        bits.skip(8)?;
        bits.exp_golomb()?;
        bits.exp_golomb()?;
        bits.skip(1)?;
    }
    reference_sets(bits)?;
    if bits.bit()? {
        let count = bits.exp_golomb()?;
        if count > 32 || order_bits > 16 {
            return None;
        }
        bits.skip(count * (order_bits + 1))?;
    }
    bits.skip(2)?;
    if !bits.bit()? {
        return None;
    }
    usability(bits)
}

/// Section 7.3.4.
fn scaling_lists(bits: &mut Bits<'_>) -> Option<()> {
    for size in 0..4u32 {
        let mut matrix = 0;
        while matrix < 6 {
            if !bits.bit()? {
                bits.exp_golomb()?;
            } else {
                if size > 1 {
                    bits.signed_exp_golomb()?;
                }
                for _ in 0..64.min(1u32 << (4 + (size << 1))) {
                    bits.signed_exp_golomb()?;
                }
            }
            matrix += if size == 3 { 3 } else { 1 };
        }
    }
    Some(())
}

/// Section 7.3.7: each set may be written as a difference to the one before.
fn reference_sets(bits: &mut Bits<'_>) -> Option<()> {
    let count = bits.exp_golomb()?;
    if count > MAX_SETS {
        return None;
    }
    let mut pictures = 0;
    for index in 0..count {
        if index > 0 && bits.bit()? {
            bits.skip(1)?;
            bits.exp_golomb()?;
            let mut kept = 0;
            for _ in 0..=pictures {
                let used = bits.bit()?;
                if used || bits.bit()? {
                    kept += 1;
                }
            }
            pictures = kept;
        } else {
            let (negative, positive) = (bits.exp_golomb()?, bits.exp_golomb()?);
            pictures = negative.checked_add(positive)?;
            if pictures > MAX_REFERENCES {
                return None;
            }
            for _ in 0..pictures {
                bits.exp_golomb()?;
                bits.skip(1)?;
            }
        }
    }
    Some(())
}

/// Section E.2.1, as far as the clock.
fn usability(bits: &mut Bits<'_>) -> Option<FrameRate> {
    skip_appearance(bits)?;
    bits.skip(3)?;
    if bits.bit()? {
        for _ in 0..4 {
            bits.exp_golomb()?;
        }
    }
    if !bits.bit()? {
        return None;
    }
    let (units, scale) = (bits.take(32)?, bits.take(32)?);
    FrameRate::new(scale, units)
}
