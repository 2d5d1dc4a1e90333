//! One parser for all codecs.

use super::{Codec, Descriptor, Kind};

/// Reads the packets of one encoding. It keeps what a later packet needs to be understood, so
/// every encoding has its own, and packets go through it once, in the order of arrival.
#[derive(Debug, Clone)]
pub struct Parser {
    codec: Codec,
}

impl Parser {
    /// A parser for one encoding.
    pub fn new(codec: Codec) -> Self {
        Parser { codec }
    }

    /// What it parses. An encoding that changes its codec gets a new parser.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Reads one packet: its payload (without RTP padding), marker bit, and dependency
    /// descriptor extension. Never fails: what cannot be read is [`Descriptor::OPAQUE`].
    pub fn parse(&mut self, payload: &[u8], marker: bool, dependency: Option<&[u8]>) -> Descriptor {
        let _ = (payload, dependency);
        match self.codec.kind() {
            Kind::Audio => Descriptor::PLAIN,
            Kind::Video => Descriptor {
                frame_end: marker,
                ..Descriptor::OPAQUE
            },
        }
    }
}
