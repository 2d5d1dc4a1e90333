//! What a synthetic packet says of itself: the last bytes of its payload.
//!
//! It stands behind a valid codec header, so that servers parse and rewrite what they would of a
//! real one, and at the end, because rewriting may change the length of what is in front.

/// Bytes of a stamp.
pub const LEN: usize = 21;

const MAGIC: [u8; 4] = *b"UmLg";

/// One packet of one layer of one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Which track: unique in a run.
    pub track: u32,
    /// Index of the encoding within its track, lowest first.
    pub layer: u8,
    /// Counts the packets of this layer from 0, without gaps.
    pub number: u32,
    /// `CLOCK_MONOTONIC` of this machine when it was sent, in nanoseconds.
    pub sent_ns: u64,
}

impl Stamp {
    /// Writes it over the end of `payload`, which must have room for it.
    pub fn write(&self, payload: &mut [u8]) {
        let Some(start) = payload.len().checked_sub(LEN) else {
            debug_assert!(false, "a payload without room for its stamp");
            return;
        };
        let end = &mut payload[start..];
        end[..4].copy_from_slice(&MAGIC);
        end[4..8].copy_from_slice(&self.track.to_be_bytes());
        end[8] = self.layer;
        end[9..13].copy_from_slice(&self.number.to_be_bytes());
        end[13..].copy_from_slice(&self.sent_ns.to_be_bytes());
    }

    /// Reads it from the end of `payload`; `None` if there is none.
    pub fn parse(payload: &[u8]) -> Option<Stamp> {
        let end: &[u8; LEN] = payload.last_chunk()?;
        let four = |at: usize| <[u8; 4]>::try_from(end.get(at..at + 4)?).ok();
        if four(0)? != MAGIC {
            return None;
        }
        Some(Stamp {
            track: u32::from_be_bytes(four(4)?),
            layer: end[8],
            number: u32::from_be_bytes(four(9)?),
            sent_ns: u64::from_be_bytes(*end.last_chunk()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        track: 0x0102_0304,
        layer: 2,
        number: 0xfffe_0000,
        sent_ns: 0x0a0b_0c0d_0e0f_1011,
    };

    #[test]
    fn a_stamp_is_not_lost_when_the_header_in_front_changes_its_length() {
        let mut payload = vec![7; 100];
        STAMP.write(&mut payload);
        assert_eq!(Stamp::parse(&payload), Some(STAMP));
        assert_eq!(Stamp::parse(&payload[3..]), Some(STAMP));
        assert_eq!(payload[..100 - LEN], [7; 100 - LEN]);
    }

    #[test]
    fn foreign_packets_are_not_taken_for_ours() {
        assert_eq!(Stamp::parse(&[]), None);
        assert_eq!(Stamp::parse(&MAGIC), None);
        assert_eq!(Stamp::parse(&[0; 200]), None);
    }
}
