//! The one packet type between a producer and its consumers.

use std::sync::Arc;
use std::time::Instant;

use crate::{Codec, Descriptor, Spatial};

/// A received RTP packet, decrypted and parsed once, then shared by all its consumers.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Extended sequence number: 16 bits from the wire, the rest counted roll-overs.
    pub seq: u64,
    /// RTP timestamp in units of the codec's clock, as on the wire.
    pub timestamp: u32,
    /// The marker bit: last packet of a picture, or first of a talk spurt.
    pub marker: bool,
    /// What the payload is.
    pub codec: Codec,
    /// Which simulcast encoding this came from; `LOW` for a track with a single encoding.
    pub encoding: Spatial,
    /// What the payload and the dependency descriptor say, read once.
    pub descriptor: Descriptor,
    /// The payload without RTP header, padding and extensions.
    pub payload: Arc<[u8]>,
    /// When the datagram was read from the socket.
    pub received: Instant,
    /// RFC 6464.
    pub audio_level: Option<AudioLevel>,
    /// Coordination of video orientation (3GPP TS 26.114): the byte as it is.
    pub orientation: Option<u8>,
    /// `abs-capture-time` as it is: 8 bytes of NTP time, or 16 with the clock offset.
    pub capture_time: Option<Arc<[u8]>>,
    /// `playout-delay`: minimum and maximum in units of 10 ms.
    pub playout_delay: Option<(u16, u16)>,
    /// The AV1 dependency descriptor as it is.
    pub dependency: Option<Arc<[u8]>>,
}

/// The audio level of one packet, RFC 6464.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioLevel {
    /// Loudness in -dBov: 0 is the loudest, 127 is silence.
    pub level: u8,
    /// The encoder's opinion whether this is voice.
    pub voice: bool,
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::Parser;

    /// A packet of sound that says nothing.
    pub(crate) fn packet(seq: u64, received: Instant) -> Packet {
        let payload: Arc<[u8]> = Arc::from([0u8; 10]);
        Packet {
            seq,
            timestamp: 0,
            marker: false,
            codec: Codec::Opus,
            encoding: Spatial::LOW,
            descriptor: Parser::new(Codec::Opus).parse(&payload, true, None),
            payload,
            received,
            audio_level: None,
            orientation: None,
            capture_time: None,
            playout_delay: None,
            dependency: None,
        }
    }
}
