//! AV1, the RTP payload specification of AOMedia, without its dependency descriptor.

use crate::{Spatial, Temporal};

use super::Descriptor;
use super::bits::Bytes;

/// Reads one packet. `None` if the aggregation header or the first OBU header is missing.
///
/// Without a dependency descriptor nothing says where a temporal layer may be added, so what is
/// found here only lets key frames be recognised and upper layers be left out.
pub fn parse(payload: &[u8], marker: bool) -> Option<Descriptor> {
    let mut bytes = Bytes::new(payload);
    // Section 4.4: Z, Y, W (2 bits), N.
    let header = bytes.byte()?;
    let continues = header & 0x80 != 0;
    let elements = header >> 4 & 3;
    let new_sequence = header & 0x08 != 0;
    let mut found = Descriptor {
        frame_end: marker,
        ..Descriptor::PLAIN
    };
    if continues {
        bytes.byte()?;
        return Some(found);
    }
    if elements != 1 {
        leb128(&mut bytes)?;
    }
    // AV1 section 5.3.2: forbidden bit, type (4 bits), extension flag, size flag.
    let unit = bytes.byte()?;
    if unit & 0x80 != 0 {
        return None;
    }
    if unit & 0x04 != 0 {
        let layers = bytes.byte()?;
        found.temporal = Temporal::new(layers >> 5);
        found.spatial = Spatial::new(layers >> 3 & 3).unwrap_or(Spatial::HIGH);
    }
    found.key_frame = new_sequence;
    found.spatial_switch = new_sequence;
    found.temporal_switch = new_sequence.then_some(Temporal::ALL);
    found.frame_start = new_sequence;
    Some(found)
}

/// AV1 section 4.10.5: seven bits a byte, at most eight bytes.
fn leb128(bytes: &mut Bytes<'_>) -> Option<u64> {
    let mut value = 0;
    for index in 0..8 {
        let byte = bytes.byte()?;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_coded_sequence_is_a_key_frame() {
        assert!(parse(&[0x18, 0x0a, 0x0b], false).unwrap().key_frame);
        assert!(!parse(&[0x10, 0x32, 0x0b], false).unwrap().key_frame);
        assert!(
            !parse(&[0x98, 0x0a, 0x0b], false).unwrap().key_frame,
            "a continuation"
        );
    }

    #[test]
    fn layer_ids_are_read_behind_a_size() {
        let parsed = parse(&[0x00, 0x81, 0x01, 0x36, 0b0100_1000, 1], true).unwrap();
        assert_eq!(
            (parsed.temporal, parsed.spatial),
            (Temporal::new(2), Spatial::MEDIUM)
        );
    }

    #[test]
    fn rubbish_is_not_understood() {
        for payload in [
            &[][..],
            &[0x10],
            &[0x10, 0x80],
            &[0x80],
            &[0; 1],
            &[0, 0xff, 0xff],
        ] {
            assert_eq!(parse(payload, false), None, "{payload:?}");
        }
    }
}
