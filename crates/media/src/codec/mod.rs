//! Codecs, and what a forwarder must know of a payload without decoding it.

pub mod av1;
pub(crate) mod bits;
pub mod dependency;
mod descriptor;
pub mod h264;
pub mod h265;
pub mod opus;
mod parser;
pub mod red;
pub mod vp8;
pub mod vp9;

pub use descriptor::{Descriptor, Detail, Size};
pub use parser::Parser;

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Sound: never paused, never dropped for video.
    Audio,
    /// Pictures, perhaps in several layers.
    Video,
}

/// The payload formats that are forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// Opus with redundancy, RFC 2198.
    Red,
    /// G.711 µ-law, RFC 3551.
    Pcmu,
    /// G.711 A-law, RFC 3551.
    Pcma,
    /// G.722, RFC 3551 (its RTP clock is 8000 Hz although it samples at 16000 Hz).
    G722,
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// RFC 6184.
    H264,
    /// RFC 7798.
    H265,
    /// The AOMedia RTP payload specification for AV1.
    Av1,
}

impl Codec {
    /// Audio or video.
    pub const fn kind(self) -> Kind {
        match self {
            Codec::Opus | Codec::Red | Codec::Pcmu | Codec::Pcma | Codec::G722 => Kind::Audio,
            Codec::Vp8 | Codec::Vp9 | Codec::H264 | Codec::H265 | Codec::Av1 => Kind::Video,
        }
    }

    /// The RTP clock in Hz.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Codec::Opus | Codec::Red => 48_000,
            Codec::Pcmu | Codec::Pcma | Codec::G722 => 8_000,
            Codec::Vp8 | Codec::Vp9 | Codec::H264 | Codec::H265 | Codec::Av1 => 90_000,
        }
    }

    /// The media type as in SDP and in the client protocol, e.g. `video/VP8`.
    pub const fn mime(self) -> &'static str {
        match self {
            Codec::Opus => "audio/opus",
            Codec::Red => "audio/red",
            Codec::Pcmu => "audio/PCMU",
            Codec::Pcma => "audio/PCMA",
            Codec::G722 => "audio/G722",
            Codec::Vp8 => "video/VP8",
            Codec::Vp9 => "video/VP9",
            Codec::H264 => "video/H264",
            Codec::H265 => "video/H265",
            Codec::Av1 => "video/AV1",
        }
    }

    /// The codec of a media type, in any case (`Video/vp8`), or of a bare name (`vp8`).
    pub fn from_mime(mime: &str) -> Option<Codec> {
        const ALL: [Codec; 10] = [
            Codec::Opus,
            Codec::Red,
            Codec::Pcmu,
            Codec::Pcma,
            Codec::G722,
            Codec::Vp8,
            Codec::Vp9,
            Codec::H264,
            Codec::H265,
            Codec::Av1,
        ];
        ALL.into_iter().find(|codec| {
            let (kind, name) = codec.mime().split_once('/').unwrap_or_default();
            match mime.split_once('/') {
                Some((k, n)) => k.eq_ignore_ascii_case(kind) && n.eq_ignore_ascii_case(name),
                None => mime.eq_ignore_ascii_case(name),
            }
        })
    }
}
