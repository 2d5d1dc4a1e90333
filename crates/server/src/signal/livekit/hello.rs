//! What a client says of itself in the URL with which it connects.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use prost::Message as _;
use umbrella_room::model::ParticipantId;
use umbrella_wire::client::{
    AddTrackRequest, ClientInfo, ConnectionSettings, JoinRequest, SessionDescription,
    WrappedJoinRequest, client_info::Sdk, wrapped_join_request::Compression,
};

use crate::control::Links;
use crate::protobuf::{Field, Malformed};

/// Bytes of a join request once it is unpacked: an offer with hundreds of sections fits.
const JOIN_REQUEST: u64 = 1024 * 1024;

/// Tracks that a client may bring along. Each takes two bytes on the way and hundreds in memory.
pub(super) const TRACKS: usize = 256;

/// Clients of older protocols wait for the publisher's connection instead of the subscriber's.
const SUBSCRIBER_FIRST: i32 = 3;

/// Clients of older protocols take what follows the publisher in a stream's name for a track.
const STREAM_NAMES: i32 = 10;

/// What a client says of itself.
#[derive(Debug)]
pub(super) struct Hello {
    pub(super) links: Links,
    pub(super) sdk: String,
    pub(super) version: String,
    pub(super) protocol: i32,
    pub(super) browser: String,
    pub(super) client_protocol: i32,
    pub(super) capabilities: Vec<i32>,
    pub(super) auto_subscribe: bool,
    pub(super) adaptive_stream: bool,
    /// It wants to go on with a stay that it had: this one.
    pub(super) resume: Option<ParticipantId>,
    pub(super) metadata: String,
    pub(super) attributes: BTreeMap<String, String>,
    /// Tracks that the offer carries.
    pub(super) add_tracks: Vec<AddTrackRequest>,
    pub(super) offer: Option<SessionDescription>,
}

/// Not a join request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadHello {
    #[error("the parameter join_request is missing")]
    Missing,
    #[error("join_request is not base64")]
    NotBase64,
    #[error("join_request is not a join request")]
    NotProtobuf,
    #[error("join_request cannot be unpacked, or is too large")]
    NotGzip,
    #[error("join_request brings too many tracks")]
    TooManyTracks,
}

/// The parameters of `/rtc`.
pub(super) fn v0(query: &HashMap<String, String>) -> Hello {
    let text = |key: &str| query.get(key).cloned().unwrap_or_default();
    let number = |key: &str| query.get(key).and_then(|v| v.parse().ok()).unwrap_or(0);
    let is_on = |value: &String| value == "1" || value.eq_ignore_ascii_case("true");
    let switch = |key: &str, default: bool| query.get(key).map_or(default, is_on);
    let protocol = number("protocol");
    Hello {
        links: Links::Two {
            subscriber_first: protocol >= SUBSCRIBER_FIRST,
        },
        sdk: text("sdk"),
        version: text("version"),
        protocol,
        browser: text("browser"),
        client_protocol: number("client_protocol"),
        capabilities: Vec::new(),
        auto_subscribe: switch("auto_subscribe", true),
        adaptive_stream: switch("adaptive_stream", false),
        resume: resumed(switch("reconnect", false), text("sid")),
        metadata: String::new(),
        attributes: BTreeMap::new(),
        add_tracks: Vec::new(),
        offer: None,
    }
}

/// The parameters of `/rtc/v1`.
pub(super) fn v1(query: &HashMap<String, String>) -> Result<Hello, BadHello> {
    let parameter = query.get("join_request").ok_or(BadHello::Missing)?;
    let request = unpack(parameter)?;
    let client = request.client_info.unwrap_or_default();
    let settings = request.connection_settings.unwrap_or(ConnectionSettings {
        auto_subscribe: true,
        adaptive_stream: false,
    });
    Ok(Hello {
        links: Links::One,
        sdk: sdk_name(&client),
        version: client.version,
        protocol: client.protocol,
        browser: client.browser,
        client_protocol: client.client_protocol,
        capabilities: client.capabilities,
        auto_subscribe: settings.auto_subscribe,
        adaptive_stream: settings.adaptive_stream,
        resume: resumed(request.reconnect, request.participant_sid),
        metadata: request.metadata,
        attributes: request.participant_attributes,
        add_tracks: request.add_track_requests,
        offer: request.publisher_offer,
    })
}

impl Hello {
    /// Firefox makes up track ids, and finds its track by the stream's name.
    pub(super) fn stream_names(&self) -> bool {
        self.protocol >= STREAM_NAMES && !self.browser.eq_ignore_ascii_case("firefox")
    }

    /// SDK and version, for people.
    pub(super) fn client(&self) -> String {
        let parts = [&self.sdk, &self.version, &self.browser];
        let parts = parts.iter().filter(|part| !part.is_empty());
        let text: Vec<String> = parts.map(|part| harmless(part)).collect();
        text.join(" ")
    }
}

/// The stay that a client wants to go on with. One that names none cannot have it back, but must
/// not be taken for somebody who joins.
fn resumed(reconnect: bool, participant: String) -> Option<ParticipantId> {
    reconnect.then(|| ParticipantId::new(participant))
}

/// What a client says of itself is written into logs and onto the admin's page.
fn harmless(text: &str) -> String {
    let printable = |c: &char| !c.is_control();
    text.chars().filter(printable).take(32).collect()
}

fn sdk_name(client: &ClientInfo) -> String {
    match client.sdk() {
        Sdk::Unknown => String::new(),
        known @ (Sdk::Js
        | Sdk::Swift
        | Sdk::Android
        | Sdk::Flutter
        | Sdk::Go
        | Sdk::Unity
        | Sdk::ReactNative
        | Sdk::Rust
        | Sdk::Python
        | Sdk::Cpp
        | Sdk::UnityWeb
        | Sdk::Node
        | Sdk::Unreal
        | Sdk::Esp32
        | Sdk::Dotnet) => known.as_str_name().to_ascii_lowercase(),
    }
}

/// Base64 (either alphabet, padded or not) of a [`WrappedJoinRequest`].
fn unpack(parameter: &str) -> Result<JoinRequest, BadHello> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    // A plus sign that was not escaped has become a space.
    let url_safe: String = parameter
        .trim_end()
        .chars()
        .map(|c| match c {
            '+' | ' ' => '-',
            '/' => '_',
            other => other,
        })
        .collect();
    let wrapped = ENGINE.decode(url_safe).map_err(|_| BadHello::NotBase64)?;
    let wrapped = WrappedJoinRequest::decode(&*wrapped).map_err(|_| BadHello::NotProtobuf)?;
    let unpacked = match wrapped.compression() {
        Compression::None => wrapped.join_request,
        Compression::Gzip => inflate(&wrapped.join_request)?,
    };
    let tracks = tracks(&unpacked).map_err(|_| BadHello::NotProtobuf)?;
    if tracks > TRACKS {
        return Err(BadHello::TooManyTracks);
    }
    JoinRequest::decode(&*unpacked).map_err(|_| BadHello::NotProtobuf)
}

/// How many tracks a join request brings, before it is decoded.
fn tracks(request: &[u8]) -> Result<usize, Malformed> {
    const ADD_TRACK_REQUESTS: u32 = 5;
    let (mut rest, mut tracks) = (request, 0);
    while !rest.is_empty() {
        let field = Field::take(&mut rest)?;
        tracks += usize::from(field.number == ADD_TRACK_REQUESTS);
    }
    Ok(tracks)
}

fn inflate(packed: &[u8]) -> Result<Vec<u8>, BadHello> {
    let mut unpacked = Vec::new();
    let decoder = flate2::read::GzDecoder::new(packed);
    decoder
        .take(JOIN_REQUEST + 1)
        .read_to_end(&mut unpacked)
        .map_err(|_| BadHello::NotGzip)?;
    if unpacked.len() as u64 > JOIN_REQUEST {
        return Err(BadHello::NotGzip);
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};

    use super::*;

    fn query(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        let pairs = pairs.iter();
        pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    fn request() -> JoinRequest {
        JoinRequest {
            client_info: Some(ClientInfo {
                sdk: Sdk::Js.into(),
                version: "2.23.0".into(),
                protocol: 17,
                browser: "Chrome".into(),
                capabilities: vec![1, 99],
                ..Default::default()
            }),
            connection_settings: Some(ConnectionSettings {
                auto_subscribe: true,
                adaptive_stream: true,
            }),
            publisher_offer: Some(SessionDescription {
                sdp: "v=0\r\n".repeat(500),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn wrapped(join_request: Vec<u8>, compression: Compression) -> Vec<u8> {
        let compression = compression.into();
        WrappedJoinRequest {
            compression,
            join_request,
        }
        .encode_to_vec()
    }

    #[test]
    fn join_request_is_understood_however_it_is_packed() {
        let plain = wrapped(request().encode_to_vec(), Compression::None);
        let packed = wrapped(gzip(&request().encode_to_vec()), Compression::Gzip);
        for bytes in [plain, packed] {
            for text in [
                URL_SAFE.encode(&bytes),
                URL_SAFE_NO_PAD.encode(&bytes),
                STANDARD.encode(&bytes),
                STANDARD.encode(&bytes).replace('+', " "),
            ] {
                let hello = v1(&query(&[("join_request", &text)])).unwrap();
                assert_eq!(hello.client(), "js 2.23.0 Chrome");
                assert_eq!(hello.capabilities, [1, 99]);
                assert!(hello.adaptive_stream && hello.stream_names());
                assert_eq!(hello.offer, request().publisher_offer);
            }
        }
    }

    #[test]
    fn bomb_is_not_unpacked() {
        let bomb = wrapped(gzip(&vec![0; 64 * 1024 * 1024]), Compression::Gzip);
        let text = URL_SAFE.encode(bomb);
        let refused = v1(&query(&[("join_request", &text)])).unwrap_err();
        assert_eq!(refused, BadHello::NotGzip);
    }

    #[test]
    fn few_bytes_become_tracks_without_number() {
        let with_tracks = |count| {
            let request = JoinRequest {
                add_track_requests: vec![AddTrackRequest::default(); count],
                ..Default::default()
            };
            let packed = wrapped(gzip(&request.encode_to_vec()), Compression::Gzip);
            v1(&query(&[("join_request", &URL_SAFE.encode(packed))]))
        };
        assert_eq!(with_tracks(TRACKS).unwrap().add_tracks.len(), TRACKS);
        let refused = with_tracks(500_000).unwrap_err();
        assert_eq!(refused, BadHello::TooManyTracks);
    }

    #[test]
    fn rubbish_is_refused_with_the_reason() {
        assert_eq!(v1(&query(&[])).unwrap_err(), BadHello::Missing);
        for (text, why) in [
            ("%%%", BadHello::NotBase64),
            ("_____w", BadHello::NotProtobuf),
        ] {
            assert_eq!(v1(&query(&[("join_request", text)])).unwrap_err(), why);
        }
        let torn = wrapped(vec![0x1f, 0x8b, 0, 0], Compression::Gzip);
        let text = URL_SAFE.encode(torn);
        assert_eq!(
            v1(&query(&[("join_request", &text)])).unwrap_err(),
            BadHello::NotGzip
        );
    }

    #[test]
    fn old_clients_wait_for_the_publishers_connection() {
        let esp32 = v0(&query(&[("protocol", "1"), ("sdk", "esp32")]));
        let subscriber_first = |hello: &Hello| hello.links;
        assert_eq!(
            subscriber_first(&esp32),
            Links::Two {
                subscriber_first: false
            }
        );
        assert!(esp32.auto_subscribe);
        let swift = v0(&query(&[("protocol", "16"), ("auto_subscribe", "0")]));
        assert_eq!(
            subscriber_first(&swift),
            Links::Two {
                subscriber_first: true
            }
        );
        assert!(!swift.auto_subscribe && swift.stream_names());
    }

    #[test]
    fn firefox_finds_its_track_by_the_streams_name() {
        let firefox = v0(&query(&[("protocol", "17"), ("browser", "Firefox")]));
        assert!(!firefox.stream_names());
    }

    proptest::proptest! {
        #[test]
        fn no_parameter_panics(text: String, bytes: Vec<u8>) {
            let _ = v1(&query(&[("join_request", &text)]));
            let _ = v1(&query(&[("join_request", &URL_SAFE.encode(&bytes))]));
            let packed = wrapped(bytes, Compression::Gzip);
            let _ = v1(&query(&[("join_request", &URL_SAFE.encode(packed))]));
        }
    }
}
