//! The sequence parameter set of H.264, section 7.3.2.1.1 and annex E.

use super::parameters::{FrameRate, Reordering, SequenceParameters, cropped, skip_appearance};
use crate::codec::bits::Bits;
use crate::codec::h264::has_chroma;

const BASELINE: u8 = 66;

pub(super) fn parse(mut bits: Bits<'_>) -> Option<SequenceParameters> {
    let [profile, constraints, level] = [bits.take(8)?, bits.take(8)?, bits.take(8)?];
    let profile = profile as u8;
    bits.exp_golomb()?;
    let chroma = if has_chroma(profile) {
        chroma(&mut bits)?
    } else {
        1
    };
    bits.exp_golomb()?;
    let order = picture_order(&mut bits)?;
    bits.exp_golomb()?;
    bits.skip(1)?;
    let width = macroblocks(&mut bits)?;
    let map_units = macroblocks(&mut bits)?;
    let frames_only = bits.bit()?;
    if !frames_only {
        bits.skip(1)?;
    }
    let rows = if frames_only { 1 } else { 2 };
    let height = map_units.checked_mul(rows)?;
    bits.skip(1)?;
    let mut crop = [0; 4];
    if bits.bit()? {
        for edge in &mut crop {
            *edge = bits.exp_golomb()?;
        }
    }
    let (unit_x, unit_y) = match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let size = cropped((width, height), crop, (unit_x, unit_y * rows))?;
    // Some cameras break off here, or write nonsense: the rest is worth having, not more.
    let usability = usability(&mut bits).unwrap_or_default();
    let reordering = match usability.reordered {
        _ if order == 2 || profile == BASELINE => Reordering::Never,
        Some(0) => Reordering::Never,
        Some(count) => Reordering::Announced(count),
        None => Reordering::Possible,
    };
    Some(SequenceParameters {
        size,
        profile,
        constraints: constraints as u8,
        level: level as u8,
        frame_rate: usability.frame_rate,
        reordering,
    })
}

/// Length in pixels of a number of macroblocks less one.
fn macroblocks(bits: &mut Bits<'_>) -> Option<u32> {
    bits.exp_golomb()?.checked_add(1)?.checked_mul(16)
}

/// Reads `chroma_format_idc` and skips what comes with it.
fn chroma(bits: &mut Bits<'_>) -> Option<u32> {
    let chroma = bits.exp_golomb()?;
    if chroma == 3 {
        bits.skip(1)?;
    }
    bits.exp_golomb()?;
    bits.exp_golomb()?;
    bits.skip(1)?;
    if bits.bit()? {
        let lists = if chroma == 3 { 12 } else { 8 };
        for index in 0..lists {
            if bits.bit()? {
                scaling_list(bits, if index < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(chroma)
}

/// Section 7.3.2.1.1.1.
fn scaling_list(bits: &mut Bits<'_>, size: u32) -> Option<()> {
    let (mut last, mut next) = (8i32, 8i32);
    for _ in 0..size {
        if next != 0 {
            let delta = bits.signed_exp_golomb()?;
            next = last.wrapping_add(delta) & 0xff;
        }
        if next != 0 {
            last = next;
        }
    }
    Some(())
}

/// Reads `pic_order_cnt_type` and skips what comes with it.
fn picture_order(bits: &mut Bits<'_>) -> Option<u32> {
    let order = bits.exp_golomb()?;
    match order {
        0 => {
            bits.exp_golomb()?;
        }
        1 => {
            bits.skip(1)?;
            bits.exp_golomb()?;
            bits.exp_golomb()?;
            let cycle = bits.exp_golomb()?;
            if cycle > 255 {
                return None;
            }
            for _ in 0..cycle {
                bits.exp_golomb()?;
            }
        }
        2 => {}
        _ => return None,
    }
    Some(order)
}

/// What is wanted of the video usability information, section E.1.1.
#[derive(Debug, Default)]
struct Usability {
    frame_rate: Option<FrameRate>,
    reordered: Option<u8>,
}

fn usability(bits: &mut Bits<'_>) -> Option<Usability> {
    let mut found = Usability::default();
    if !bits.bit()? {
        return Some(found);
    }
    skip_appearance(bits)?;
    if bits.bit()? {
        let (units, scale) = (bits.take(32)?, bits.take(32)?);
        bits.skip(1)?;
        // Two ticks are a frame.
        found.frame_rate = units.checked_mul(2).and_then(|u| FrameRate::new(scale, u));
    }
    found.reordered = restriction(bits);
    Some(found)
}

/// `max_num_reorder_frames`, if it is said.
fn restriction(bits: &mut Bits<'_>) -> Option<u8> {
    let nal = bits.bit()?;
    if nal {
        hypothetical_decoder(bits)?;
    }
    let vcl = bits.bit()?;
    if vcl {
        hypothetical_decoder(bits)?;
    }
    if nal || vcl {
        bits.skip(1)?;
    }
    bits.skip(1)?;
    if !bits.bit()? {
        return None;
    }
    bits.skip(1)?;
    for _ in 0..4 {
        bits.exp_golomb()?;
    }
    u8::try_from(bits.exp_golomb()?).ok()
}

/// Skips section E.1.2.
fn hypothetical_decoder(bits: &mut Bits<'_>) -> Option<()> {
    let count = bits.exp_golomb()?;
    if count > 31 {
        return None;
    }
    bits.skip(8)?;
    for _ in 0..=count {
        bits.exp_golomb()?;
        bits.exp_golomb()?;
        bits.skip(1)?;
    }
    bits.skip(20)
}
