//! A key frame as a browser's decoder takes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use umbrella_media::Codec;

use crate::http::api::CameraStill;

/// Bytes of a picture that is shown; nobody waits for more.
const MAX: usize = 2 * 1024 * 1024;

/// NAL units with the parameter sets among them.
pub(super) fn still(codec: Codec, units: &[Bytes]) -> Option<CameraStill> {
    let codec = match codec {
        Codec::H264 => avc(units)?,
        Codec::H265 => hevc(units)?,
        Codec::Opus
        | Codec::Red
        | Codec::Pcmu
        | Codec::Pcma
        | Codec::G722
        | Codec::Vp8
        | Codec::Vp9
        | Codec::Av1 => return None,
    };
    let size: usize = units.iter().map(|unit| unit.len() + 4).sum();
    if size > MAX {
        return None;
    }
    let mut stream = Vec::with_capacity(size);
    for unit in units {
        stream.extend_from_slice(&[0, 0, 0, 1]);
        stream.extend_from_slice(unit);
    }
    Some(CameraStill {
        codec,
        annex_b: STANDARD.encode(stream),
    })
}

/// RFC 6381 section 3.3: profile, constraints and level are the first bytes of the parameter set.
fn avc(units: &[Bytes]) -> Option<String> {
    let set = units
        .iter()
        .find(|unit| unit.first().is_some_and(|it| it & 31 == 7))?;
    let [profile, constraints, level] = *set.get(1..4)? else {
        return None;
    };
    Some(format!("avc1.{profile:02X}{constraints:02X}{level:02X}"))
}

/// ISO/IEC 14496-15 annex E.3; the bytes are those of H.265 section 7.3.3.
fn hevc(units: &[Bytes]) -> Option<String> {
    let set = units
        .iter()
        .find(|unit| unit.first().is_some_and(|it| it >> 1 & 63 == 33))?;
    // Two bytes of header, and one before the profile.
    let plain = unescaped(set.get(3..)?, 12);
    let [first, c0, c1, c2, c3, constraints @ .., level] = plain.as_slice() else {
        return None;
    };
    let space = ["", "A", "B", "C"][usize::from(first >> 6)];
    let tier = if first >> 5 & 1 == 1 { 'H' } else { 'L' };
    let compatibility = u32::from_be_bytes([*c0, *c1, *c2, *c3]).reverse_bits();
    let mut text = format!("hev1.{space}{}.{compatibility:X}.{tier}{level}", first & 31);
    let used = constraints.iter().rposition(|byte| *byte != 0);
    for byte in constraints.iter().take(used.map_or(0, |last| last + 1)) {
        text.push_str(&format!(".{byte:X}"));
    }
    Some(text)
}

/// The first bytes without those that keep start codes away (H.265 section 7.4.2).
fn unescaped(bytes: &[u8], count: usize) -> Vec<u8> {
    let mut plain = Vec::with_capacity(count);
    let mut zeros = 0;
    for byte in bytes {
        if plain.len() == count {
            break;
        }
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        plain.push(*byte);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoder_is_asked_for_another_profile() {
        let set = Bytes::from_static(&[0x67, 0x4d, 0x00, 0x29, 0x9a]);
        let picture = Bytes::from_static(&[0x65, 1]);
        let shown = still(Codec::H264, &[set, picture.clone()]).unwrap();
        assert_eq!(shown.codec, "avc1.4D0029");
        let bytes = STANDARD.decode(shown.annex_b).unwrap();
        assert!(bytes.starts_with(&[0, 0, 0, 1, 0x67]) && bytes.ends_with(&[0, 0, 0, 1, 0x65, 1]));
        assert!(still(Codec::H264, &[picture]).is_none());
        // Main profile, level 3.1, progressive and not packed, with the bytes that keep start
        // codes away.
        let set = Bytes::from_static(&[
            0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00,
            0x00, 0x03, 0x00, 0x5d, 0xa0,
        ]);
        let shown = still(Codec::H265, &[set]).unwrap();
        assert_eq!(shown.codec, "hev1.1.6.L93.90");
    }
}
