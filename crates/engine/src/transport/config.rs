//! How str0m is set up for one peer connection.

use std::sync::Arc;
use std::time::Duration;

use str0m::RtcConfig;
use str0m::config::DtlsCert;
use str0m::rtp::{Extension, ExtensionMap, ExtensionSerializer, ExtensionValues};

use crate::api::Limits;

/// How often str0m reports on audio.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// URI of the dependency descriptor extension, AV1 RTP specification appendix A.
pub(crate) const DEPENDENCY_URI: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

/// The configuration of one connection.
///
/// ICE is lite: peers can reach us or there is no call at all, so our own connectivity checks
/// could find nothing that theirs do not. Without them a peer cannot make us send to addresses of
/// its choice (it could name hosts inside of the operator's network), and an idle connection
/// costs nothing but the peer's consent checks, by which we notice that it is gone.
///
/// RTCP goes out every second for audio too, not every five: it is how [`crate::secure`] learns
/// that the peer has moved to another path.
pub(crate) fn rtc_config(certificate: &DtlsCert, limits: &Limits) -> RtcConfig {
    RtcConfig::new()
        .set_rtp_mode(true)
        .set_ice_lite(true)
        .set_dtls_cert(certificate.clone())
        .clear_codecs()
        .enable_opus(true, true)
        .enable_pcmu(true, false)
        .enable_pcma(true, false)
        .enable_g722(true, false)
        .enable_vp8(true)
        .enable_vp9(true)
        .enable_h264(true)
        .enable_av1(true)
        .enable_h265(true)
        .set_rtcp_report_interval_audio(REPORT_INTERVAL)
        .set_extension_map(extensions())
        .set_sctp_max_message_size(u32::try_from(limits.data_message).unwrap_or(u32::MAX))
        .set_sctp_max_buffered_amount(limits.channel_buffer)
}

/// The header extensions that we understand or pass on. The numbers are those of Chromium where
/// it has a habit; a peer that offers has its own way.
fn extensions() -> ExtensionMap {
    let mut map = ExtensionMap::empty();
    map.set(1, Extension::AudioLevel);
    map.set(2, Extension::AbsoluteSendTime);
    map.set(3, Extension::TransportSequenceNumber);
    map.set(4, Extension::RtpMid);
    map.set(5, Extension::PlayoutDelay);
    map.set(8, Extension::AbsoluteCaptureTime);
    map.set(
        9,
        Extension::with_serializer(DEPENDENCY_URI, DependencyReader),
    );
    map.set(10, Extension::RtpStreamId);
    map.set(11, Extension::RepairedRtpStreamId);
    map.set(13, Extension::VideoOrientation);
    map
}

/// The dependency descriptor of a received packet, as it is.
#[derive(Debug, Clone)]
pub(crate) struct Dependency(pub(crate) Arc<[u8]>);

/// Lets str0m hand us the dependency descriptor.
#[derive(Debug)]
pub(crate) struct DependencyReader;

/// Longest descriptor that is passed on; the longest that libwebrtc writes is about 100 bytes.
const MAX_DEPENDENCY: usize = 255;

impl ExtensionSerializer for DependencyReader {
    fn write_to(&self, _: &mut [u8], _: &ExtensionValues) -> usize {
        0 // str0m sends no media
    }

    fn parse_value(&self, value: &[u8], values: &mut ExtensionValues) -> bool {
        if value.is_empty() || value.len() > MAX_DEPENDENCY {
            return false;
        }
        values.user_values.set(Dependency(value.into()));
        true
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        false
    }
}
