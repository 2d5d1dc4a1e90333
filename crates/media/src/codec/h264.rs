//! H.264, RFC 6184.

use super::bits::{Bits, Bytes};
use super::{Descriptor, Size};

const SLICE: u8 = 1;
const IDR: u8 = 5;
const SPS: u8 = 7;
const ACCESS_UNIT_DELIMITER: u8 = 9;
const STAP_A: u8 = 24;
const STAP_B: u8 = 25;
const FU_A: u8 = 28;
const FU_B: u8 = 29;
/// An access unit has few NAL units before its picture: more than this are not looked at.
const MAX_AGGREGATED: usize = 32;

/// Reads one packet. `None` if it is not what RFC 6184 describes.
pub fn parse(payload: &[u8], marker: bool) -> Option<Descriptor> {
    let (&header, body) = payload.split_first()?;
    let mut found = Descriptor {
        frame_end: marker,
        discardable: header & 0x60 == 0,
        ..Descriptor::PLAIN
    };
    match header & 0x1f {
        1..=23 => unit(header, body, &mut found),
        STAP_A => aggregate(body, &mut found)?,
        STAP_B => aggregate(body.get(2..)?, &mut found)?,
        // Multi-time aggregation is for interleaved mode, which nobody negotiates here.
        26 | 27 => {}
        FU_A => fragment(body, 0, &mut found)?,
        FU_B => fragment(body, 2, &mut found)?,
        _ => return None,
    }
    found.spatial_switch = found.key_frame;
    Some(found)
}

/// One NAL unit, or the beginning of one.
fn unit(header: u8, body: &[u8], found: &mut Descriptor) {
    // The first field of a slice header is first_mb_in_slice: 0 is written as a single 1 bit.
    let first_slice = body.first().is_some_and(|byte| byte & 0x80 != 0);
    match header & 0x1f {
        IDR if first_slice => {
            found.key_frame = true;
            found.frame_start = true;
        }
        SLICE if first_slice => found.frame_start = true,
        SPS => {
            found.key_frame = true;
            found.frame_start = true;
            found.size = sequence_size(body);
        }
        ACCESS_UNIT_DELIMITER => found.frame_start = true,
        _ => {}
    }
}

/// Section 5.7.1: NAL units, each after its size.
fn aggregate(body: &[u8], found: &mut Descriptor) -> Option<()> {
    let mut bytes = Bytes::new(body);
    for _ in 0..MAX_AGGREGATED {
        if bytes.rest().is_empty() {
            break;
        }
        let size = bytes.u16()?;
        let (&header, body) = bytes.slice(usize::from(size))?.split_first()?;
        unit(header, body, found);
    }
    Some(())
}

/// Section 5.8: a piece of a NAL unit; `skip` is the length of the decoding order number.
fn fragment(body: &[u8], skip: usize, found: &mut Descriptor) -> Option<()> {
    let (&header, rest) = body.split_first()?;
    if header & 0x80 != 0 {
        unit(header, rest.get(skip..)?, found);
    }
    Some(())
}

/// Whether sequence parameter sets of a profile say how chroma is sampled (section 7.3.2.1.1).
pub(crate) const fn has_chroma(profile: u8) -> bool {
    matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    )
}

/// The picture size in a sequence parameter set (H.264 sections 7.3.2.1.1 and 7.4.2.1.1), less
/// the cropping. `None` if it is cut off or uses what a browser never sends.
fn sequence_size(sps: &[u8]) -> Option<Size> {
    let mut buffer = [0u8; 64];
    let mut bits = Bits::new(unescape(sps, &mut buffer));
    let profile = bits.take(8)? as u8;
    bits.skip(16)?;
    bits.exp_golomb()?;
    let mut chroma = 1;
    if has_chroma(profile) {
        chroma = bits.exp_golomb()?;
        if chroma == 3 {
            bits.skip(1)?;
        }
        bits.exp_golomb()?;
        bits.exp_golomb()?;
        bits.skip(1)?;
        if bits.bit()? {
            return None; // Scaling matrices.
        }
    }
    bits.exp_golomb()?;
    skip_picture_order(&mut bits)?;
    bits.exp_golomb()?;
    bits.skip(1)?;
    let width = bits.exp_golomb()?.checked_add(1)?.checked_mul(16)?;
    let map_units = bits.exp_golomb()?.checked_add(1)?;
    let fields = 2 - bits.take(1)?;
    let height = map_units.checked_mul(16)?.checked_mul(fields)?;
    if fields == 2 {
        bits.skip(1)?;
    }
    bits.skip(1)?;
    crop(&mut bits, Size { width, height }, chroma, fields)
}

fn skip_picture_order(bits: &mut Bits<'_>) -> Option<()> {
    match bits.exp_golomb()? {
        0 => {
            bits.exp_golomb()?;
        }
        1 => {
            bits.skip(1)?;
            bits.signed_exp_golomb()?;
            bits.signed_exp_golomb()?;
            let count = bits.exp_golomb()?;
            for _ in 0..count.min(255) {
                bits.signed_exp_golomb()?;
            }
        }
        _ => {}
    }
    Some(())
}

fn crop(bits: &mut Bits<'_>, size: Size, chroma: u32, fields: u32) -> Option<Size> {
    if !bits.bit()? {
        return Some(size);
    }
    let [left, right, top, bottom] = [
        bits.exp_golomb()?,
        bits.exp_golomb()?,
        bits.exp_golomb()?,
        bits.exp_golomb()?,
    ];
    let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
    let unit_y = if chroma == 1 { 2 * fields } else { fields };
    let cut_x = left.checked_add(right)?.checked_mul(unit_x)?;
    let cut_y = top.checked_add(bottom)?.checked_mul(unit_y)?;
    let (width, height) = (
        size.width.checked_sub(cut_x)?,
        size.height.checked_sub(cut_y)?,
    );
    Some(Size { width, height })
}

/// Removes emulation prevention bytes (H.264 section 7.3.1) from as much as fits.
fn unescape<'a>(data: &[u8], buffer: &'a mut [u8; 64]) -> &'a [u8] {
    let mut len = 0;
    let mut zeros = 0;
    for &byte in data {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        let Some(place) = buffer.get_mut(len) else {
            break;
        };
        *place = byte;
        len += 1;
    }
    &buffer[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Baseline, level 3.1, 1280x720, as x264 writes it.
    const SPS_720P: [u8; 23] = [
        0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xec, 0x04, 0x40, 0x00, 0x00, 0x03, 0x00,
        0x40, 0x00, 0x00, 0x0f, 0x03, 0xc6, 0x0c, 0xa8,
    ];

    #[test]
    fn sequence_parameters_begin_a_key_frame_and_say_its_size() {
        let parsed = parse(&SPS_720P, false).unwrap();
        assert!(parsed.key_frame);
        assert_eq!(
            parsed.size,
            Some(Size {
                width: 1280,
                height: 720
            })
        );
    }

    #[test]
    fn key_frame_inside_of_an_aggregate_is_found() {
        let mut payload = vec![0x78, 0, SPS_720P.len() as u8];
        payload.extend(SPS_720P);
        payload.extend([0, 4, 0x68, 0xce, 0x3c, 0x80]);
        let parsed = parse(&payload, false).unwrap();
        assert!(parsed.key_frame && parsed.size.is_some());
    }

    #[test]
    fn only_the_first_fragment_of_the_first_slice_is_a_key_frame() {
        assert!(parse(&[0x7c, 0x85, 0x88, 0x80], false).unwrap().key_frame);
        assert!(!parse(&[0x7c, 0x05, 0x88, 0x80], false).unwrap().key_frame);
        assert!(!parse(&[0x7c, 0x85, 0x08, 0x80], false).unwrap().key_frame);
        assert!(!parse(&[0x7c, 0x81, 0x88, 0x80], false).unwrap().key_frame);
        assert!(parse(&[0x65, 0x88], true).unwrap().key_frame);
    }

    #[test]
    fn unreferenced_pictures_can_be_left_out() {
        assert!(parse(&[0x01, 0x88], true).unwrap().discardable);
        assert!(!parse(&[0x61, 0x88], true).unwrap().discardable);
    }

    #[test]
    fn rubbish_is_not_understood() {
        for payload in [
            &[][..],
            &[0x00, 1],
            &[0x1e, 1],
            &[0x1f, 1],
            &[0x78, 0, 9, 1],
            &[0x7c],
        ] {
            assert_eq!(parse(payload, false), None, "{payload:?}");
        }
    }
}
