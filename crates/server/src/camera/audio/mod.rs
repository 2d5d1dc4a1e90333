//! The sound of a camera: passed on where browsers play it, AAC made Opus where they do not.

mod access_units;
mod resampler;
mod transcoder;

use std::time::Duration;

use bytes::Bytes;
use umbrella_media::Codec;

pub(super) use access_units::{AccessUnits, SAMPLES};
pub use transcoder::Transcoder;

use super::clock::Placed;

/// What is sent of a camera's sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioFormat {
    /// Opus, G.711 or G.722.
    pub codec: Codec,
    /// 1 or 2; G.711 and G.722 have one.
    pub channels: u8,
    /// What the camera sends, for people: `AAC, 16000 Hz, mono`.
    pub source: String,
}

/// A packet of sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sound {
    /// The RTP payload.
    pub payload: Bytes,
    /// In units of the codec's clock.
    pub timestamp: u32,
    /// Since the epoch of the camera, as for pictures.
    pub captured: Duration,
    /// Whether something is missing before it, or nothing was before it.
    pub begins: bool,
}

/// Passes on what a camera sends: pieces of `max` bytes at most. With G.711 and G.722 a byte takes
/// one unit of the clock.
pub(super) fn pass(
    codec: Codec,
    payload: &Bytes,
    placed: Placed,
    begins: bool,
    max: usize,
) -> Vec<Sound> {
    // An Opus packet cannot be cut.
    let max = if codec == Codec::Opus {
        payload.len().max(1)
    } else {
        max
    };
    let pieces = (0..payload.len()).step_by(max);
    pieces
        .map(|start| {
            let micros = start as u64 * 1_000_000 / u64::from(codec.clock_rate());
            Sound {
                payload: payload.slice(start..payload.len().min(start + max)),
                timestamp: placed.timestamp.wrapping_add(start as u32),
                captured: Placed::since_epoch(placed.captured) + Duration::from_micros(micros),
                begins: begins && start == 0,
            }
        })
        .collect()
}
