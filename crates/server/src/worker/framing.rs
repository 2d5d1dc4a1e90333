//! Frames of RFC 4571: a length of two bytes, and so many bytes.

/// Largest frame that makes sense: what fits into a datagram, with room for a large session key
/// exchange or data message.
pub(crate) const LARGEST_FRAME: usize = 16 * 1024;

/// What has arrived of a stream of frames and was not taken.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    /// Where the next frame begins.
    at: usize,
}

/// The peer announces a frame that nobody would send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameTooLong;

impl Frames {
    /// More of the stream has arrived. What is there should be taken first.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub(crate) fn take(&mut self) -> Result<Option<&[u8]>, FrameTooLong> {
        let Some((length, rest)) = self.bytes[self.at..].split_first_chunk::<2>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if length > LARGEST_FRAME {
            return Err(FrameTooLong);
        }
        let frame = rest.get(..length);
        if frame.is_some() {
            self.at += 2 + length;
        }
        Ok(frame)
    }
}

/// Appends a frame to a stream; false if it is too long for one, and then nothing is appended.
pub(crate) fn put(out: &mut Vec<u8>, frame: &[u8]) -> bool {
    let Ok(length) = u16::try_from(frame.len()) else {
        return false;
    };
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(frame);
    true
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing {
    use super::*;

    /// Reads a stream of frames in pieces. The first byte is the size of the pieces, the rest the
    /// stream; it is also cut into frames of that size, which are written and read back.
    ///
    /// # Panics
    /// If it matters where a stream is cut, or a frame that was written is not read.
    pub fn framing(data: &[u8]) {
        let Some((&piece, stream)) = data.split_first() else {
            return;
        };
        let piece = usize::from(piece) + 1;
        let whole = read(stream, stream.len().max(1));
        assert_eq!(whole, read(stream, piece), "pieces of {piece} bytes");
        assert_eq!(whole, read(stream, 1), "byte by byte");
        let mut written = Vec::new();
        let frames: Vec<&[u8]> = stream.chunks(16 * piece).collect();
        for frame in &frames {
            assert!(put(&mut written, frame));
        }
        let (back, bad) = read(&written, piece);
        assert!(!bad && back == frames);
    }

    /// All frames, and whether the stream ended with one that is too long.
    fn read(stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, bool) {
        let mut frames = Frames::default();
        let mut taken = Vec::new();
        for bytes in stream.chunks(piece) {
            frames.push(bytes);
            assert!(frames.bytes.len() <= 2 + LARGEST_FRAME + bytes.len());
            loop {
                match frames.take() {
                    Ok(Some(frame)) => taken.push(frame.to_vec()),
                    Ok(None) => break,
                    Err(FrameTooLong) => return (taken, true),
                }
            }
        }
        (taken, false)
    }
}
