//! RTP payloads to pictures.

use bytes::{Buf as _, Bytes};

use super::{AccessUnit, Coding, MAX_PICTURE, is_key_frame};

/// NAL units of a picture at most: more than slices that anybody makes.
const MAX_UNITS: usize = 1024;

/// A picture has more than 8 MiB or 1024 NAL units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a picture of more than {} MiB", MAX_PICTURE >> 20)]
pub struct TooLarge;

/// Puts pictures together from RTP payloads that come in their order: RFC 6184 without
/// interleaving, RFC 7798 without decoding order numbers.
///
/// Forgives what cameras do: start codes inside of payloads, and no marker at the end of a picture.
#[derive(Debug)]
pub struct Depacketizer {
    coding: Coding,
    units: Vec<Bytes>,
    pub(super) size: usize,
    /// A NAL unit of which the end has not come yet.
    pub(super) fragment: Option<Vec<u8>>,
    /// Of the picture that is being put together.
    timestamp: Option<i64>,
    /// Something of this picture is missing.
    damaged: bool,
    /// Something since the last picture is missing.
    lost: bool,
}

impl Depacketizer {
    /// At the beginning of a stream.
    pub fn new(coding: Coding) -> Depacketizer {
        Depacketizer {
            coding,
            units: Vec::new(),
            size: 0,
            fragment: None,
            timestamp: None,
            damaged: false,
            lost: false,
        }
    }

    /// Takes a payload; `lost` says that others before it are missing. Gives the pictures that are
    /// complete with it, two at most. A picture with a gap is left out.
    ///
    /// # Errors
    ///
    /// If a picture is too large. What there was of it is forgotten.
    pub fn push(
        &mut self,
        payload: Bytes,
        timestamp: i64,
        marker: bool,
        lost: bool,
    ) -> Result<Vec<AccessUnit>, TooLarge> {
        let mut done = Vec::new();
        if self.timestamp.is_some_and(|before| before != timestamp) {
            // Without a marker nobody knows whether what is missing was its end.
            self.damaged |= lost || self.fragment.is_some();
            done.extend(self.finish());
        }
        if lost {
            self.lost = true;
            self.damaged = true;
            self.fragment = None;
        }
        self.timestamp = Some(timestamp);
        if self.read(payload).is_none() {
            // What is not understood could have been anything.
            self.damaged = true;
        }
        if self.size > MAX_PICTURE || self.units.len() > MAX_UNITS {
            self.damaged = true;
            self.finish();
            return Err(TooLarge);
        }
        if marker {
            self.damaged |= self.fragment.is_some();
            done.extend(self.finish());
        }
        Ok(done)
    }

    /// Ends the picture.
    fn finish(&mut self) -> Option<AccessUnit> {
        let units = std::mem::take(&mut self.units);
        let damaged = std::mem::take(&mut self.damaged);
        let timestamp = self.timestamp.take();
        self.size = 0;
        self.fragment = None;
        self.lost |= damaged;
        if damaged || units.is_empty() {
            return None;
        }
        Some(AccessUnit {
            key_frame: is_key_frame(self.coding, &units),
            units,
            timestamp: timestamp?,
            after_loss: std::mem::take(&mut self.lost),
        })
    }

    fn read(&mut self, mut payload: Bytes) -> Option<()> {
        let first = *payload.first()?;
        match (self.coding, first & 0x1f, first >> 1 & 0x3f) {
            (Coding::H264, 24, _) => {
                payload.advance(1);
                self.aggregated(payload)
            }
            (Coding::H264, 28, _) => {
                let kind = *payload.get(1)?;
                let header = [first & 0xe0 | kind & 0x1f, 0];
                self.piece(&header[..1], kind, payload.get(2..)?)
            }
            (Coding::H264, 25..=27 | 29.., _) => None,
            (Coding::H265, _, 48) => {
                payload.get(..2)?;
                payload.advance(2);
                self.aggregated(payload)
            }
            (Coding::H265, _, 49) => {
                let (second, kind) = (*payload.get(1)?, *payload.get(2)?);
                let header = [first & 0x81 | (kind & 0x3f) << 1, second];
                self.piece(&header, kind, payload.get(3..)?)
            }
            (Coding::H265, _, 50..) => None,
            (Coding::H264 | Coding::H265, _, _) => {
                self.unit(payload);
                Some(())
            }
        }
    }

    fn aggregated(&mut self, mut payload: Bytes) -> Option<()> {
        while !payload.is_empty() {
            let size = usize::from(u16::from_be_bytes([*payload.first()?, *payload.get(1)?]));
            payload.advance(2);
            if size > payload.len() {
                return None;
            }
            let unit = payload.split_to(size);
            self.unit(unit);
            if self.units.len() > MAX_UNITS {
                return None;
            }
        }
        Some(())
    }

    /// A piece of a NAL unit with this header; the first bits of `kind` say which.
    fn piece(&mut self, header: &[u8], kind: u8, body: &[u8]) -> Option<()> {
        let (start, end) = (kind & 0x80 != 0, kind & 0x40 != 0);
        if start {
            // The end of the one before is missing.
            self.damaged |= self.fragment.is_some();
            self.fragment = Some(header.to_vec());
            self.size += header.len();
        }
        let fragment = self.fragment.as_mut()?;
        self.size += body.len();
        if self.size > MAX_PICTURE {
            return None;
        }
        fragment.extend_from_slice(body);
        if end {
            let unit = self.fragment.take()?;
            self.size -= unit.len();
            self.unit(unit.into());
        }
        Some(())
    }

    /// A whole NAL unit, or several with start codes before or between them. Inside of one there is
    /// none: its bytes are written so (H.264 section 7.4.1).
    fn unit(&mut self, mut unit: Bytes) {
        while let Some(at) = start_code(&unit) {
            let before = unit.split_to(at);
            unit.advance(3);
            self.add(before);
        }
        self.add(unit);
    }

    fn add(&mut self, mut unit: Bytes) {
        // Zeros before a start code belong to that, and at the end to nobody.
        let content = unit.iter().rposition(|&byte| byte != 0);
        unit.truncate(content.map_or(0, |last| last + 1));
        if self.coding.role(&unit).is_some() {
            self.size += unit.len();
            self.units.push(unit);
        }
    }
}

fn start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|window| window == [0, 0, 1])
}
