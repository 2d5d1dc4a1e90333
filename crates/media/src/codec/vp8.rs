//! VP8, RFC 7741. The payload descriptor is outside of end-to-end encryption, and so is, with the
//! usual clients, the beginning of the frame.

use crate::Temporal;

use super::bits::Bytes;
use super::{Descriptor, Detail, Size};

/// The numbers in a payload descriptor that must be continuous at the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PictureIds {
    /// Where in the payload the first of the fields below is. They follow each other.
    pub offset: u8,
    /// The picture id (section 4.2), of 15 or of 7 bits.
    pub picture: Option<PictureId>,
    /// TL0PICIDX.
    pub tl0: Option<u8>,
    /// The byte of TID, Y and KEYIDX, as it is.
    pub layer: Option<u8>,
}

/// A picture id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureId {
    /// 7 bits in one byte.
    Short(u8),
    /// 15 bits in two bytes.
    Long(u16),
}

/// Reads one packet. `None` if it does not hold a payload descriptor and a byte of VP8.
pub fn parse(payload: &[u8], marker: bool) -> Option<Descriptor> {
    let mut bytes = Bytes::new(payload);
    let first = bytes.byte()?;
    let extended = first & 0x80 != 0;
    let non_reference = first & 0x20 != 0;
    let frame_start = first & 0x17 == 0x10;
    let extensions = if extended { bytes.byte()? } else { 0 };
    let offset = bytes.position() as u8;
    let picture = match extensions & 0x80 != 0 {
        true => Some(picture_id(&mut bytes)?),
        false => None,
    };
    let tl0 = match extensions & 0x40 != 0 {
        true => Some(bytes.byte()?),
        false => None,
    };
    let layer = match extensions & 0x30 != 0 {
        true => Some(bytes.byte()?),
        false => None,
    };
    // TID and Y mean something only with the T bit (section 4.2).
    let tid_and_sync = layer.filter(|_| extensions & 0x20 != 0);
    let temporal = Temporal::new(tid_and_sync.map_or(0, |byte| byte >> 6));
    let sync = tid_and_sync.is_some_and(|byte| byte & 0x20 != 0);
    let frame = bytes.rest();
    // Section 4.3: the inverse key frame flag is the lowest bit of the frame's first byte.
    let key_frame = frame_start && frame.first()? & 1 == 0;
    Some(Descriptor {
        key_frame,
        frame_start,
        frame_end: marker,
        temporal,
        temporal_switch: match (key_frame, sync) {
            (true, _) => Some(Temporal::ALL),
            (false, true) => Some(temporal),
            (false, false) => None,
        },
        spatial_switch: key_frame,
        discardable: non_reference,
        size: if key_frame { size(frame) } else { None },
        detail: Detail::Vp8(PictureIds {
            offset,
            picture,
            tl0,
            layer,
        }),
        ..Descriptor::PLAIN
    })
}

fn picture_id(bytes: &mut Bytes<'_>) -> Option<PictureId> {
    let first = bytes.byte()?;
    if first & 0x80 == 0 {
        return Some(PictureId::Short(first));
    }
    Some(PictureId::Long(u16::from_be_bytes([
        first & 0x7f,
        bytes.byte()?,
    ])))
}

/// The size in a key frame's header, RFC 6386 section 9.1. The upper two bits of both numbers
/// ask for scaling at the receiver.
fn size(frame: &[u8]) -> Option<Size> {
    let header = frame.get(..10)?;
    if header[3..6] != [0x9d, 0x01, 0x2a] {
        return None;
    }
    let number = |at: usize| u32::from(u16::from_le_bytes([header[at], header[at + 1]]) & 0x3fff);
    Some(Size {
        width: number(6),
        height: number(8),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_frame_640x360() -> Vec<u8> {
        let mut payload = vec![0x90, 0xe0, 0x81, 0x02, 0x33, 0x25];
        payload.extend([
            0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01, 7,
        ]);
        payload
    }

    #[test]
    fn key_frame_says_its_size_and_numbers() {
        let parsed = parse(&key_frame_640x360(), false).unwrap();
        assert!(parsed.key_frame && parsed.frame_start && !parsed.frame_end);
        assert_eq!(
            parsed.size,
            Some(Size {
                width: 640,
                height: 360
            })
        );
        assert_eq!(parsed.temporal_switch, Some(Temporal::ALL));
        let Detail::Vp8(ids) = parsed.detail else {
            panic!("{parsed:?}")
        };
        assert_eq!(ids.offset, 2);
        assert_eq!(ids.picture, Some(PictureId::Long(0x102)));
        assert_eq!((ids.tl0, ids.layer), (Some(0x33), Some(0x25)));
    }

    #[test]
    fn later_partitions_and_packets_are_no_key_frames() {
        for first in [0x91u8, 0x80, 0x97] {
            let mut payload = key_frame_640x360();
            payload[0] = first;
            assert!(!parse(&payload, false).unwrap().key_frame, "{first:#x}");
        }
    }

    #[test]
    fn layer_sync_lets_a_temporal_layer_be_added() {
        let delta = [0xb0, 0xf0, 0x05, 0x07, 0xa3, 0x01];
        let parsed = parse(&delta, true).unwrap();
        assert!(!parsed.key_frame && parsed.frame_end && parsed.discardable);
        assert_eq!(parsed.temporal, Temporal::new(2));
        assert_eq!(parsed.temporal_switch, Some(Temporal::new(2)));
        let Detail::Vp8(ids) = parsed.detail else {
            panic!("{parsed:?}")
        };
        assert_eq!(ids.picture, Some(PictureId::Short(5)));
    }

    #[test]
    fn temporal_id_without_its_flag_is_ignored() {
        let only_key_index = [0x90, 0x10, 0xe3, 0x01];
        let parsed = parse(&only_key_index, false).unwrap();
        assert_eq!(
            (parsed.temporal, parsed.temporal_switch),
            (Temporal::BASE, None)
        );
    }

    #[test]
    fn a_descriptor_cut_anywhere_is_not_understood() {
        let whole = key_frame_640x360();
        for len in 0..7 {
            assert_eq!(parse(&whole[..len], false), None, "{len}");
        }
    }
}
