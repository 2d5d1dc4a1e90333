//! One parser for all codecs.

use super::dependency::{Dependency, Reader};
use super::{Codec, Descriptor, Detail, av1, h264, h265, vp8, vp9};
use crate::Temporal;

/// Every encoding begins with a key frame, and each new subscriber asks for another. If none was
/// recognised in so many packets, then none can be: the payload hides its structure, and waiting
/// for a key frame would be for ever.
const UNRECOGNISABLE_AFTER: u32 = 1000;

/// Reads the packets of one encoding. It keeps what a later packet needs to be understood, so
/// every encoding has its own, and packets go through it once, in the order of arrival.
#[derive(Debug, Clone)]
pub struct Parser {
    codec: Codec,
    dependency: Reader,
    key_frames: KeyFrames,
}

/// Whether key frames of this encoding can be recognised.
#[derive(Debug, Clone, Copy)]
enum KeyFrames {
    /// Perhaps: so many packets have come without one.
    Awaited(u32),
    /// Yes: there was one.
    Recognised,
    /// No.
    Hidden,
}

impl Parser {
    /// A parser for one encoding.
    pub fn new(codec: Codec) -> Self {
        Parser {
            codec,
            dependency: Reader::new(),
            key_frames: KeyFrames::Awaited(0),
        }
    }

    /// What it parses. An encoding that changes its codec gets a new parser.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Reads one packet: its payload (without RTP padding), marker bit, and dependency
    /// descriptor extension. Never fails: what cannot be read is [`Descriptor::OPAQUE`].
    pub fn parse(&mut self, payload: &[u8], marker: bool, dependency: Option<&[u8]>) -> Descriptor {
        let found = match self.codec {
            Codec::Opus | Codec::Red | Codec::Pcmu | Codec::Pcma | Codec::G722 => {
                return Descriptor::PLAIN;
            }
            // Their own descriptors say all there is to know.
            Codec::Vp8 => vp8::parse(payload, marker),
            Codec::Vp9 => vp9::parse(payload),
            Codec::H264 => self.explain(h264::parse(payload, marker), dependency),
            Codec::H265 => self.explain(h265::parse(payload, marker), dependency),
            Codec::Av1 => self.explain(av1::parse(payload, marker), dependency),
        };
        let opaque = Descriptor {
            frame_end: marker,
            ..Descriptor::OPAQUE
        };
        self.doubt(found.unwrap_or(opaque), opaque)
    }

    /// What a dependency descriptor says goes before what the payload says: it is never
    /// encrypted, and knows more.
    fn explain(&mut self, payload: Option<Descriptor>, data: Option<&[u8]>) -> Option<Descriptor> {
        let Some(said) = data.and_then(|data| self.dependency.read(data)) else {
            return payload;
        };
        let Dependency {
            frame_start,
            frame_end,
            ..
        } = said;
        let detail = Detail::Dependency(said.targets);
        if !said.known {
            let found = payload.unwrap_or(Descriptor::OPAQUE);
            return Some(Descriptor {
                frame_start,
                frame_end,
                detail,
                ..found
            });
        }
        Some(Descriptor {
            key_frame: said.key_frame,
            frame_start,
            frame_end,
            spatial: said.spatial,
            temporal: said.temporal,
            temporal_switch: said.key_frame.then_some(Temporal::ALL),
            spatial_switch: said.key_frame,
            size: said.size.filter(|_| said.key_frame),
            detail,
            ..payload.unwrap_or(Descriptor::PLAIN)
        })
    }

    fn doubt(&mut self, found: Descriptor, opaque: Descriptor) -> Descriptor {
        self.key_frames = match self.key_frames {
            _ if found.key_frame => KeyFrames::Recognised,
            KeyFrames::Awaited(packets) if packets >= UNRECOGNISABLE_AFTER => KeyFrames::Hidden,
            KeyFrames::Awaited(packets) => KeyFrames::Awaited(packets + 1),
            same @ (KeyFrames::Recognised | KeyFrames::Hidden) => same,
        };
        match self.key_frames {
            KeyFrames::Awaited(_) | KeyFrames::Recognised => found,
            // Numbers that must be continuous are rewritten all the same.
            KeyFrames::Hidden => Descriptor {
                detail: found.detail,
                ..opaque
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::dependency::tests::key_l2t1;

    #[test]
    fn encrypted_payload_does_not_hide_what_the_dependency_descriptor_says() {
        let mut parser = Parser::new(Codec::Av1);
        let parsed = parser.parse(&[], false, Some(&key_l2t1(1)));
        assert!(parsed.understood && parsed.key_frame);
        assert!(matches!(parsed.detail, Detail::Dependency(_)));
    }

    #[test]
    fn stream_whose_key_frames_are_hidden_becomes_opaque() {
        let mut parser = Parser::new(Codec::H264);
        let delta = [0x61, 0x88];
        let understood = |parser: &mut Parser| parser.parse(&delta, true, None).understood;
        assert!((0..UNRECOGNISABLE_AFTER).all(|_| understood(&mut parser)));
        assert!(!understood(&mut parser));
        assert!(
            parser.parse(&[0x65, 0x88], true, None).key_frame,
            "one is recognised after all"
        );
        assert!((0..2 * UNRECOGNISABLE_AFTER).all(|_| understood(&mut parser)));
    }
}
