//! Redundant audio, RFC 2198: the newest packet with older ones before it.

use std::ops::Range;

use super::bits::Bytes;

/// More blocks than this in a packet are not redundancy but an attack.
const MAX_BLOCKS: usize = 32;

/// The newest block of a packet: what a receiver without redundancy needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Primary {
    /// Its own payload type, as the publisher numbers it.
    pub payload_type: u8,
    /// Where it is in the payload.
    pub range: Range<usize>,
}

/// Finds the newest block. `None` if the packet does not follow RFC 2198 section 3.
pub fn primary(payload: &[u8]) -> Option<Primary> {
    let mut bytes = Bytes::new(payload);
    let mut redundant = 0usize;
    for _ in 0..MAX_BLOCKS {
        let header = bytes.byte()?;
        if header & 0x80 == 0 {
            let start = bytes.position() + redundant;
            let range = start..payload.len();
            return (start <= payload.len()).then_some(Primary {
                payload_type: header & 0x7f,
                range,
            });
        }
        // 14 bits of age, then 10 of length.
        bytes.byte()?;
        redundant += usize::from(bytes.u16()? & 0x3ff);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_block_comes_after_the_redundant_ones() {
        // One redundant block of 3 bytes, 960 ticks old, then the primary.
        let payload = [0x80 | 111, 0x0f, 0x00, 3, 111, 1, 2, 3, 9, 8];
        let found = primary(&payload).unwrap();
        assert_eq!(
            (found.payload_type, &payload[found.range]),
            (111, &[9u8, 8][..])
        );
        assert_eq!(primary(&[111, 5]).unwrap().range, 1..2);
    }

    #[test]
    fn lengths_past_the_end_are_refused() {
        assert_eq!(primary(&[0x80 | 111, 0, 0, 200, 111, 1]), None);
        assert_eq!(primary(&[0x80 | 111, 0, 0]), None);
        assert_eq!(primary(&[]), None);
        assert_eq!(primary(&[0xff; 200]), None);
    }
}
