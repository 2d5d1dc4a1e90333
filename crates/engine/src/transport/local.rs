//! How media that no peer has announced are announced to subscribers.

use std::sync::OnceLock;

use str0m::format::{CodecConfig, PayloadParams};
use umbrella_media::Codec;

use super::trunk::add_video;

/// The parameters of a codec, as over a trunk. H.264 is packed in mode 1: it is the first of both
/// in the table.
pub(crate) fn params(codec: Codec) -> Option<PayloadParams> {
    static TABLE: OnceLock<CodecConfig> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let mut table = CodecConfig::empty();
        table.enable_opus(true, true);
        table.enable_pcmu(true, false);
        table.enable_pcma(true, false);
        table.enable_g722(true, false);
        add_video(&mut table);
        table
    });
    let mut params = table.params().iter();
    params
        .find(|params| super::codec(params.spec().codec) == Some(codec))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_is_announced_as_something_else() {
        for codec in [
            Codec::Opus,
            Codec::Pcmu,
            Codec::Pcma,
            Codec::G722,
            Codec::H264,
            Codec::H265,
        ] {
            let params = params(codec).expect("known");
            assert_eq!(super::super::codec(params.spec().codec), Some(codec));
        }
        let mode = params(Codec::H264)
            .unwrap()
            .spec()
            .format
            .packetization_mode;
        assert_eq!(mode, Some(1));
        assert!(params(Codec::Red).is_none());
    }
}
