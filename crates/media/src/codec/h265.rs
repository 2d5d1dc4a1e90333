//! H.265, RFC 7798.

use crate::Temporal;

use super::Descriptor;
use super::bits::Bytes;

const AGGREGATION: u8 = 48;
const FRAGMENT: u8 = 49;
const PACI: u8 = 50;
/// As for H.264: more NAL units than this in one packet are not looked at.
const MAX_AGGREGATED: usize = 32;

/// Reads one packet. `None` if it is not what RFC 7798 describes, without decoding order numbers.
pub fn parse(payload: &[u8], marker: bool) -> Option<Descriptor> {
    let mut bytes = Bytes::new(payload);
    let header = bytes.u16()?;
    let temporal = temporal(header)?;
    let mut found = Descriptor {
        frame_end: marker,
        temporal,
        ..Descriptor::PLAIN
    };
    match kind(header) {
        0..AGGREGATION => unit(kind(header), temporal, bytes.rest(), &mut found),
        AGGREGATION => aggregate(&mut bytes, &mut found)?,
        FRAGMENT => {
            let fragment = bytes.byte()?;
            if fragment & 0x80 != 0 {
                unit(fragment & 0x3f, temporal, bytes.rest(), &mut found);
            }
        }
        PACI => {}
        _ => return None,
    }
    if found.key_frame {
        found.temporal_switch = Some(Temporal::ALL);
        found.spatial_switch = true;
    }
    Some(found)
}

/// The type of a NAL unit, H.265 table 7-1.
fn kind(header: u16) -> u8 {
    (header >> 9 & 0x3f) as u8
}

/// The header holds the temporal id plus one; 0 is forbidden, and so is a set first bit.
fn temporal(header: u16) -> Option<Temporal> {
    let plus_one = (header & 7) as u8;
    (header & 0x8000 == 0 && plus_one > 0).then(|| Temporal::new(plus_one - 1))
}

fn unit(kind: u8, temporal: Temporal, body: &[u8], found: &mut Descriptor) {
    // The first field of a slice header is first_slice_segment_in_pic_flag.
    let first_slice = body.first().is_some_and(|byte| byte & 0x80 != 0);
    match kind {
        // TSA: every higher layer can be added; STSA: this one (H.265 section 7.4.2.2).
        2 | 3 if first_slice => found.temporal_switch = Some(Temporal::ALL),
        4 | 5 if first_slice => found.temporal_switch = Some(temporal),
        // BLA, IDR, CRA and what is reserved for more of them.
        16..=23 if first_slice => found.key_frame = true,
        // Video and sequence parameter sets.
        32 | 33 => found.key_frame = true,
        _ => {}
    }
    found.frame_start |= first_slice && kind < 32 || matches!(kind, 32 | 33 | 35);
}

fn aggregate(bytes: &mut Bytes<'_>, found: &mut Descriptor) -> Option<()> {
    for _ in 0..MAX_AGGREGATED {
        if bytes.rest().is_empty() {
            break;
        }
        let size = bytes.u16()?;
        let mut inner = Bytes::new(bytes.slice(usize::from(size))?);
        let header = inner.u16()?;
        unit(kind(header), temporal(header)?, inner.rest(), found);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_are_found_alone_aggregated_and_in_fragments() {
        let alone = [19 << 1, 1, 0x80];
        let aggregated = [48 << 1, 1, 0, 3, 32 << 1, 1, 9, 0, 3, 33 << 1, 1, 9];
        let fragment = [49 << 1, 1, 0x80 | 19, 0x80];
        for payload in [&alone[..], &aggregated, &fragment] {
            let parsed = parse(payload, false).unwrap();
            assert!(parsed.key_frame && parsed.frame_start, "{payload:?}");
        }
        let second_fragment = [49 << 1, 1, 19, 0x80];
        assert!(!parse(&second_fragment, false).unwrap().key_frame);
    }

    #[test]
    fn temporal_access_pictures_are_places_to_switch() {
        let tsa = parse(&[2 << 1, 2, 0x80], true).unwrap();
        assert_eq!(
            (tsa.temporal, tsa.temporal_switch),
            (Temporal::new(1), Some(Temporal::ALL))
        );
        let stepwise = parse(&[4 << 1, 3, 0x80], true).unwrap();
        assert_eq!(stepwise.temporal_switch, Some(Temporal::new(2)));
    }

    #[test]
    fn rubbish_is_not_understood() {
        for payload in [
            &[][..],
            &[2],
            &[2, 0],
            &[0x82, 1],
            &[51 << 1, 1],
            &[48 << 1, 1, 0, 9],
        ] {
            assert_eq!(parse(payload, false), None, "{payload:?}");
        }
    }
}
