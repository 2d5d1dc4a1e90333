//! VP9, RFC 9628. All that is read here is in the payload descriptor, outside of end-to-end
//! encryption.

use crate::{Spatial, Temporal};

use super::bits::Bytes;
use super::{Descriptor, Size};

/// Reads one packet. `None` if the payload descriptor is cut off.
pub fn parse(payload: &[u8]) -> Option<Descriptor> {
    let mut bytes = Bytes::new(payload);
    let flags = bytes.byte()?;
    let [
        has_picture_id,
        predicted,
        has_layers,
        flexible,
        begin,
        end,
        has_structure,
        _,
    ] = std::array::from_fn(|bit| flags & (0x80 >> bit) != 0);
    if has_picture_id && bytes.byte()? & 0x80 != 0 {
        bytes.byte()?;
    }
    let mut layers = 0;
    if has_layers {
        layers = bytes.byte()?;
        if !flexible {
            bytes.byte()?; // TL0PICIDX
        }
    }
    if flexible && predicted {
        skip_references(&mut bytes)?;
    }
    let size = match has_structure {
        true => scalability_structure(&mut bytes)?,
        false => None,
    };
    bytes.byte()?;
    let spatial = Spatial::new(layers >> 1 & 7).unwrap_or(Spatial::HIGH);
    let key_frame = begin && !predicted && spatial == Spatial::LOW;
    let up_switch = layers & 0x10 != 0;
    Some(Descriptor {
        key_frame,
        frame_start: begin,
        frame_end: end,
        spatial,
        temporal: Temporal::new(layers >> 5),
        // Section 4.2: no later picture of a higher temporal layer needs one from before.
        temporal_switch: (up_switch || key_frame).then_some(Temporal::ALL),
        spatial_switch: begin && !predicted,
        size,
        ..Descriptor::PLAIN
    })
}

/// Up to three P_DIFF, the last without its N bit.
fn skip_references(bytes: &mut Bytes<'_>) -> Option<()> {
    for _ in 0..3 {
        if bytes.byte()? & 1 == 0 {
            return Some(());
        }
    }
    Some(())
}

/// Skips the scalability structure; the size of its largest layer, if it says it.
fn scalability_structure(bytes: &mut Bytes<'_>) -> Option<Option<Size>> {
    let flags = bytes.byte()?;
    let mut size: Option<Size> = None;
    if flags & 0x10 != 0 {
        for _ in 0..=flags >> 5 {
            let layer = Size {
                width: u32::from(bytes.u16()?),
                height: u32::from(bytes.u16()?),
            };
            if size.is_none_or(|largest| layer.width >= largest.width) {
                size = Some(layer);
            }
        }
    }
    if flags & 0x08 != 0 {
        let pictures = bytes.byte()?;
        for _ in 0..pictures {
            let references = bytes.byte()? >> 2 & 3;
            bytes.slice(usize::from(references))?;
        }
    }
    Some(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_picture_of_three_spatial_layers() {
        // I, L, B, V; picture id 300; TID 0, SID 0; TL0PICIDX; three sizes, one picture group.
        let mut payload = vec![0b1010_1010, 0x81, 0x2c, 0x00, 0x09, 0b0101_1000];
        for (width, height) in [(320u16, 180u16), (640, 360), (1280, 720)] {
            payload.extend(width.to_be_bytes());
            payload.extend(height.to_be_bytes());
        }
        payload.extend([1, 0b0001_0100, 1, 0xaa]);
        let parsed = parse(&payload).unwrap();
        assert!(parsed.key_frame && parsed.frame_start && !parsed.frame_end);
        assert_eq!(
            parsed.size,
            Some(Size {
                width: 1280,
                height: 720
            })
        );
        assert_eq!(parsed.temporal_switch, Some(Temporal::ALL));
    }

    #[test]
    fn upper_layer_of_a_key_picture_is_a_place_to_switch_but_no_key_frame() {
        let parsed = parse(&[0b1010_1100, 0x05, 0b0000_0011, 0x09, 0xaa]).unwrap();
        assert_eq!(parsed.spatial, Spatial::MEDIUM);
        assert!(parsed.spatial_switch && !parsed.key_frame && parsed.frame_end);
    }

    #[test]
    fn flexible_mode_references_are_skipped() {
        // I, P, L, F, B, E; short id; TID 2 with U, SID 0; three references; payload.
        let payload = [0b1111_1100, 0x05, 0b0101_0000, 0x03, 0x05, 0x06, 0xaa];
        let parsed = parse(&payload).unwrap();
        assert_eq!(parsed.temporal, Temporal::new(2));
        assert_eq!(parsed.temporal_switch, Some(Temporal::ALL));
        assert!(!parsed.key_frame && !parsed.spatial_switch);
        for len in 0..payload.len() {
            assert_eq!(parse(&payload[..len]), None, "{len}");
        }
    }
}
