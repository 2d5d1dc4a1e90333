//! AAC in RTP, RFC 3640 in its mode AAC-hbr: the only one that cameras have.

use bytes::Bytes;

/// Bytes of an access unit at most: a mono or stereo one has 6144 bits for each channel.
const MAX_UNIT: usize = 2048;

/// Samples of an access unit.
pub(crate) const SAMPLES: i64 = 1024;

/// Takes AAC access units out of RTP payloads.
#[derive(Debug, Default)]
pub(crate) struct AccessUnits {
    /// A unit that takes several packets, and its size.
    fragment: Option<(Vec<u8>, usize)>,
}

impl AccessUnits {
    /// The units of a payload; each is 1024 samples later than the one before it. `lost` says that
    /// packets before it are missing. `None` if the payload is not what the RFC says.
    pub(crate) fn read(&mut self, payload: &Bytes, lost: bool) -> Option<Vec<Bytes>> {
        if lost {
            self.fragment = None;
        }
        // Section 3.2.1: the length of all headers in bits, then 13 bits of size and 3 of index.
        let bits = usize::from(u16::from_be_bytes([*payload.first()?, *payload.get(1)?]));
        if bits == 0 || bits % 16 != 0 {
            return None;
        }
        let headers = payload.get(2..2 + bits / 8)?;
        let mut rest = payload.slice(2 + bits / 8..);
        let mut units = Vec::new();
        for header in headers.chunks_exact(2) {
            let size = usize::from(u16::from_be_bytes([header[0], header[1]]) >> 3);
            if size > MAX_UNIT {
                return None;
            }
            if size > rest.len() {
                // Section 3.2.3.2: pieces of a single unit, each with the size of the whole.
                return (headers.len() == 2).then(|| self.piece(&rest, size));
            }
            self.fragment = None;
            units.push(rest.split_to(size));
        }
        Some(units)
    }

    fn piece(&mut self, piece: &Bytes, size: usize) -> Vec<Bytes> {
        let (mut unit, whole) = self.fragment.take().unwrap_or_default();
        if whole != size {
            unit.clear();
        }
        unit.extend_from_slice(piece);
        if unit.len() < size {
            self.fragment = Some((unit, size));
            return Vec::new();
        }
        unit.truncate(size);
        vec![unit.into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_of_several_units_in_a_packet_or_packets_for_a_unit_is_lost() {
        let mut units = AccessUnits::default();
        let two = Bytes::from_static(&[0, 32, 0, 2 << 3, 0, 3 << 3, 1, 2, 3, 4, 5]);
        let read = units.read(&two, false).unwrap();
        assert_eq!(read, [&[1u8, 2][..], &[3, 4, 5]]);
        let piece = |bytes: &'static [u8]| Bytes::from_static(bytes);
        let first = piece(&[0, 16, 0, 4 << 3, 1, 2, 3]);
        assert_eq!(units.read(&first, false).unwrap(), [] as [Bytes; 0]);
        let second = piece(&[0, 16, 0, 4 << 3, 4]);
        assert_eq!(units.read(&second, false).unwrap(), [&[1u8, 2, 3, 4][..]]);
    }

    #[test]
    fn lengths_past_the_end_are_read() {
        for payload in [
            &[][..],
            &[0],
            &[0, 0, 1],
            &[0, 15, 1],
            &[255, 255, 1],
            &[0, 16, 255, 255],
        ] {
            let read = AccessUnits::default().read(&Bytes::from_static(payload), false);
            assert_eq!(read, None, "{payload:?}");
        }
    }
}
