//! From notifications to a client's messages.

use std::time::{SystemTime, UNIX_EPOCH};

use umbrella_engine::Section;
use umbrella_media::{Codec, Kind, Spatial};
use umbrella_room::Notification;
use umbrella_room::effect::{Refusal, Snapshot};
use umbrella_room::model::{
    LeaveReason, ParticipantId, ParticipantKind, ParticipantState, ParticipantView, Permission,
    RoomView, Source, Speaker, TrackId, TrackView, VideoLayer,
};
use umbrella_room::quality::{Quality, QualityView};
use umbrella_wire::client::{
    self as wire, AddTrackRequest, ConnectionQuality, ConnectionQualityInfo,
    ConnectionQualityUpdate, DisconnectReason, JoinResponse, LeaveRequest,
    MediaSectionsRequirement, MuteTrackRequest, ParticipantInfo, ParticipantPermission,
    ParticipantUpdate, Ping, Pong, ReconnectResponse, RequestResponse, RoomUpdate, ServerInfo,
    SessionDescription, SimulcastCodecInfo, SpeakerInfo, SpeakersChanged, StreamState,
    StreamStateInfo, StreamStateUpdate, SubscribedCodec, SubscribedQuality,
    SubscribedQualityUpdate, SubscriptionError, SubscriptionPermissionUpdate, SubscriptionResponse,
    TrackInfo, TrackPublishedResponse, TrackSource, TrackSubscribed, TrackType,
    TrackUnpublishedResponse, VideoQuality, leave_request::Action, participant_info,
    request_response, signal_response::Message,
};

use crate::control::Links;
use crate::turn::IceServer;

/// Seconds between a client's pings.
const PING_INTERVAL_S: i32 = 5;

/// Seconds without an answer to a ping after which a client takes the connection for lost.
const PING_TIMEOUT_S: i32 = 15;

/// What clients choose features by. A higher protocol would make them open data channels with
/// numbers agreed beforehand, a version of 1.13.6 or higher send scalable codecs as simulcast.
const COMPATIBLE_VERSION: &str = "1.13.5";
const COMPATIBLE_PROTOCOL: i32 = 17;

/// The first message of a client that is in.
pub(super) fn joined(snapshot: &Snapshot, links: Links, relays: Vec<IceServer>) -> Message {
    let subscriber_first = Links::Two {
        subscriber_first: true,
    };
    Message::Join(JoinResponse {
        room: Some(room(&snapshot.room)),
        participant: Some(participant(&snapshot.participant)),
        other_participants: snapshot.others.iter().map(|p| participant(p)).collect(),
        server_version: COMPATIBLE_VERSION.into(),
        ice_servers: ice_servers(relays),
        subscriber_primary: links == subscriber_first,
        ping_timeout: PING_TIMEOUT_S,
        ping_interval: PING_INTERVAL_S,
        server_info: Some(server_info()),
        enabled_publish_codecs: Vec::new(),
        fast_publish: true,
    })
}

/// The first message of a client that goes on with its session.
pub(super) fn resumed(last_message: u32, relays: Vec<IceServer>) -> Message {
    Message::Reconnect(ReconnectResponse {
        ice_servers: ice_servers(relays),
        server_info: Some(server_info()),
        last_message_seq: last_message,
    })
}

fn ice_servers(servers: Vec<IceServer>) -> Vec<wire::IceServer> {
    let server = |server: IceServer| wire::IceServer {
        urls: server.urls,
        username: server.username,
        credential: server.credential,
    };
    servers.into_iter().map(server).collect()
}

fn server_info() -> ServerInfo {
    ServerInfo {
        version: COMPATIBLE_VERSION.into(),
        protocol: COMPATIBLE_PROTOCOL,
        ..Default::default()
    }
}

/// What the room says; `None` for what is said otherwise.
pub(super) fn notification(notification: &Notification) -> Option<Message> {
    Some(match notification {
        Notification::Participants(views) => Message::Update(ParticipantUpdate {
            participants: views.iter().map(|view| participant(view)).collect(),
        }),
        Notification::TrackPublished {
            client_id,
            track,
            first,
        } => published(client_id, track, first.as_ref()),
        Notification::TrackRefused { client_id, reason } => refused_track(client_id, *reason),
        Notification::TrackUnpublished { track } => {
            Message::TrackUnpublished(TrackUnpublishedResponse {
                track_sid: track.to_string(),
            })
        }
        Notification::TrackSubscribed { track } => Message::TrackSubscribed(TrackSubscribed {
            track_sid: track.to_string(),
        }),
        Notification::LayersWanted {
            track,
            codec,
            highest,
        } => layers_wanted(track, *codec, *highest),
        Notification::TrackMuted { track, muted } => Message::Mute(MuteTrackRequest {
            sid: track.to_string(),
            muted: *muted,
        }),
        Notification::SubscriptionFailed { track, codec } => subscription_failed(track, *codec),
        Notification::StreamPaused {
            publisher,
            track,
            paused,
        } => stream_state(publisher, track, *paused),
        Notification::SubscriptionAllowed {
            publisher,
            track,
            allowed,
        } => Message::SubscriptionPermissionUpdate(SubscriptionPermissionUpdate {
            participant_sid: publisher.to_string(),
            track_sid: track.to_string(),
            allowed: *allowed,
        }),
        Notification::Room(view) => Message::RoomUpdate(RoomUpdate {
            room: Some(room(view)),
        }),
        Notification::Speakers(speakers) => Message::SpeakersChanged(SpeakersChanged {
            speakers: speakers.iter().map(speaker).collect(),
        }),
        Notification::Qualities(views) => Message::ConnectionQuality(ConnectionQualityUpdate {
            updates: views.iter().map(quality).collect(),
        }),
        Notification::Response { request, result } => Message::RequestResponse(RequestResponse {
            request_id: *request,
            reason: reason(*result).into(),
            ..Default::default()
        }),
        Notification::Joined(_) | Notification::Leave(_) => return None,
    })
}

/// A further codec has the name of the first.
fn published(client_id: &str, track: &TrackView, first: Option<&TrackId>) -> Message {
    let mut info = track_info(track, client_id);
    if let Some(first) = first {
        info.sid = first.to_string();
    }
    Message::TrackPublished(TrackPublishedResponse {
        cid: client_id.into(),
        track: Some(info),
    })
}

fn quality(view: &QualityView) -> ConnectionQualityInfo {
    let quality = match view.quality {
        Quality::Lost => ConnectionQuality::Lost,
        Quality::Poor => ConnectionQuality::Poor,
        Quality::Good => ConnectionQuality::Good,
        Quality::Excellent => ConnectionQuality::Excellent,
    };
    ConnectionQualityInfo {
        participant_sid: view.participant.to_string(),
        quality: quality.into(),
        score: view.score,
    }
}

/// The client has to go, to stay away or to come anew.
pub(super) fn leave(reason: LeaveReason) -> Message {
    let action = match reason {
        LeaveReason::Asked
        | LeaveReason::DuplicateIdentity
        | LeaveReason::Removed
        | LeaveReason::RoomDeleted
        | LeaveReason::Misbehaved => Action::Disconnect,
        LeaveReason::ServerShutdown
        | LeaveReason::ConnectionLost
        | LeaveReason::SignalLost
        | LeaveReason::StateMismatch => Action::Reconnect,
    };
    Message::Leave(LeaveRequest {
        can_reconnect: action != Action::Disconnect,
        reason: disconnect_reason(reason).into(),
        action: action.into(),
    })
}

/// The client was not let in after all.
pub(super) fn not_admitted() -> Message {
    Message::Leave(LeaveRequest {
        can_reconnect: false,
        reason: DisconnectReason::JoinFailure.into(),
        action: Action::Disconnect.into(),
    })
}

pub(super) fn offer(offer: u32, sdp: String, sections: Vec<Section>) -> Message {
    Message::Offer(description("offer", offer, sdp, sections))
}

pub(super) fn answer(offer: u32, sdp: String, sections: Vec<Section>) -> Message {
    Message::Answer(description("answer", offer, sdp, sections))
}

pub(super) fn sections_wanted(audio: u32, video: u32) -> Message {
    Message::MediaSectionsRequirement(MediaSectionsRequirement {
        num_audios: audio,
        num_videos: video,
    })
}

pub(super) fn pong(ping: &Ping) -> Message {
    Message::PongResp(Pong {
        last_ping_timestamp: ping.timestamp,
        timestamp: unix_millis(),
    })
}

pub(super) fn old_pong() -> Message {
    Message::Pong(unix_millis())
}

fn unix_millis() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |d| d.as_millis() as i64)
}

fn description(kind: &str, id: u32, sdp: String, sections: Vec<Section>) -> SessionDescription {
    SessionDescription {
        r#type: kind.into(),
        sdp,
        id,
        mid_to_track_id: sections.into_iter().map(|s| (s.mid, s.track)).collect(),
    }
}

pub(super) fn room(view: &RoomView) -> wire::Room {
    let created = i64::try_from(view.created_at_s).unwrap_or(0);
    wire::Room {
        sid: view.sid.clone(),
        name: view.name.to_string(),
        max_participants: view.max_participants,
        creation_time: created,
        creation_time_ms: created.saturating_mul(1000),
        metadata: view.metadata.clone(),
        num_participants: view.participants,
        num_publishers: view.publishers,
        active_recording: view.recording,
        ..Default::default()
    }
}

pub(super) fn participant(view: &ParticipantView) -> ParticipantInfo {
    let state = match view.state {
        ParticipantState::Joined => participant_info::State::Joined,
        ParticipantState::Active => participant_info::State::Active,
        ParticipantState::Left => participant_info::State::Disconnected,
    };
    let kind = match view.kind {
        ParticipantKind::Standard => participant_info::Kind::Standard,
        ParticipantKind::Ingress => participant_info::Kind::Ingress,
        ParticipantKind::Egress => participant_info::Kind::Egress,
        ParticipantKind::Sip => participant_info::Kind::Sip,
        ParticipantKind::Agent => participant_info::Kind::Agent,
    };
    let joined_at_ms = i64::try_from(view.joined_at_ms).unwrap_or(0);
    let left = view.left.map(disconnect_reason);
    ParticipantInfo {
        sid: view.id.to_string(),
        identity: view.identity.to_string(),
        state: state.into(),
        tracks: view.tracks.iter().map(|t| track_info(t, "")).collect(),
        metadata: view.metadata.clone(),
        joined_at: joined_at_ms / 1000,
        joined_at_ms,
        name: view.name.clone(),
        version: view.version,
        permission: Some(permission(&view.permission)),
        is_publisher: view.publishing,
        kind: kind.into(),
        attributes: view.attributes.clone(),
        disconnect_reason: left.unwrap_or(DisconnectReason::UnknownReason).into(),
        client_protocol: view.client.client_protocol,
        capabilities: view.capabilities.clone(),
    }
}

fn permission(permission: &Permission) -> ParticipantPermission {
    let sources = permission.sources.iter();
    ParticipantPermission {
        can_subscribe: permission.subscribe,
        can_publish: permission.publish,
        can_publish_data: permission.publish_data,
        hidden: permission.hidden,
        recorder: permission.recorder,
        can_publish_sources: sources.map(|s| source(*s).into()).collect(),
        can_update_metadata: permission.update_own_metadata,
    }
}

fn source(source: Source) -> TrackSource {
    match source {
        Source::Unknown => TrackSource::Unknown,
        Source::Camera => TrackSource::Camera,
        Source::Microphone => TrackSource::Microphone,
        Source::ScreenShare => TrackSource::ScreenShare,
        Source::ScreenShareAudio => TrackSource::ScreenShareAudio,
    }
}

pub(super) fn track_info(view: &TrackView, client_id: &str) -> TrackInfo {
    let kind = match view.kind {
        Kind::Audio => TrackType::Audio,
        Kind::Video => TrackType::Video,
    };
    let layers: Vec<wire::VideoLayer> = view.layers.iter().map(layer).collect();
    let codec = |codec: Codec| SimulcastCodecInfo {
        mime_type: codec.mime().into(),
        cid: client_id.into(),
        layers: layers.clone(),
        ..Default::default()
    };
    TrackInfo {
        sid: view.id.to_string(),
        r#type: kind.into(),
        name: view.name.clone(),
        muted: view.muted,
        width: view.width,
        height: view.height,
        simulcast: view.simulcast,
        disable_dtx: view.disable_dtx,
        source: source(view.source).into(),
        mime_type: view.codec.map(Codec::mime).unwrap_or_default().into(),
        mid: String::new(),
        codecs: view.codec.map(codec).into_iter().collect(),
        layers,
        stereo: view.stereo,
        disable_red: view.disable_red,
        encryption: view.encryption,
        stream: view.stream.clone(),
        audio_features: view.audio_features.clone(),
    }
}

fn layer(layer: &VideoLayer) -> wire::VideoLayer {
    let quality = match layer.quality {
        0 => VideoQuality::Low,
        1 => VideoQuality::Medium,
        _ => VideoQuality::High,
    };
    wire::VideoLayer {
        quality: quality.into(),
        width: layer.width,
        height: layer.height,
        bitrate: layer.bitrate,
        rid: layer.rid.clone(),
        spatial_layer: i32::from(layer.quality),
        ..Default::default()
    }
}

/// Newer clients go by the codec, and would send a further one if its name were not theirs.
fn layers_wanted(track: &TrackId, codec: Option<Codec>, highest: Option<Spatial>) -> Message {
    let layers = [
        (VideoQuality::Low, Spatial::LOW),
        (VideoQuality::Medium, Spatial::MEDIUM),
        (VideoQuality::High, Spatial::HIGH),
    ];
    let quality = |(quality, layer): (VideoQuality, Spatial)| SubscribedQuality {
        quality: quality.into(),
        enabled: Some(layer) <= highest,
    };
    let qualities: Vec<_> = layers.into_iter().map(quality).collect();
    let codec = codec.map(|codec| SubscribedCodec {
        codec: bare_name(codec),
        qualities: qualities.clone(),
    });
    Message::SubscribedQualityUpdate(SubscribedQualityUpdate {
        track_sid: track.to_string(),
        subscribed_qualities: qualities,
        subscribed_codecs: codec.into_iter().collect(),
    })
}

/// `vp8`, as clients call it.
fn bare_name(codec: Codec) -> String {
    let mime = codec.mime();
    let name = mime.split_once('/').map_or(mime, |(_, name)| name);
    name.to_ascii_lowercase()
}

fn speaker(speaker: &Speaker) -> SpeakerInfo {
    SpeakerInfo {
        sid: speaker.participant.to_string(),
        level: speaker.level,
        active: speaker.active,
    }
}

fn subscription_failed(track: &TrackId, codec: Option<Codec>) -> Message {
    let error = match codec {
        Some(_) => SubscriptionError::SeCodecUnsupported,
        None => SubscriptionError::SeUnknown,
    };
    Message::SubscriptionResponse(SubscriptionResponse {
        track_sid: track.to_string(),
        err: error.into(),
    })
}

fn stream_state(publisher: &ParticipantId, track: &TrackId, paused: bool) -> Message {
    let state = match paused {
        true => StreamState::Paused,
        false => StreamState::Active,
    };
    Message::StreamStateUpdate(StreamStateUpdate {
        stream_states: vec![StreamStateInfo {
            participant_sid: publisher.to_string(),
            track_sid: track.to_string(),
            state: state.into(),
        }],
    })
}

fn refused_track(client_id: &str, refusal: Refusal) -> Message {
    Message::RequestResponse(RequestResponse {
        request_id: 0,
        reason: reason(Err(refusal)).into(),
        message: match refusal {
            Refusal::NotAllowed => "the token does not allow to publish this track",
            Refusal::LimitExceeded => "too many tracks, or names that are too long",
            Refusal::Duplicate => "the track is published already",
            Refusal::NoMemory => "the server has no memory left for another track; try again later",
            Refusal::NotFound | Refusal::RoomFull => "the track cannot be published",
        }
        .into(),
        request: Some(request_response::Request::AddTrack(AddTrackRequest {
            cid: client_id.into(),
            ..Default::default()
        })),
    })
}

fn reason(result: Result<(), Refusal>) -> request_response::Reason {
    match result {
        Ok(()) => request_response::Reason::Ok,
        Err(Refusal::NotAllowed) => request_response::Reason::NotAllowed,
        Err(Refusal::NotFound) => request_response::Reason::NotFound,
        Err(Refusal::LimitExceeded | Refusal::RoomFull | Refusal::NoMemory) => {
            request_response::Reason::LimitExceeded
        }
        Err(Refusal::Duplicate) => request_response::Reason::DuplicateName,
    }
}

fn disconnect_reason(reason: LeaveReason) -> DisconnectReason {
    match reason {
        LeaveReason::Asked => DisconnectReason::ClientInitiated,
        LeaveReason::DuplicateIdentity => DisconnectReason::DuplicateIdentity,
        LeaveReason::Removed => DisconnectReason::ParticipantRemoved,
        LeaveReason::RoomDeleted => DisconnectReason::RoomDeleted,
        LeaveReason::ServerShutdown => DisconnectReason::ServerShutdown,
        LeaveReason::ConnectionLost => DisconnectReason::ConnectionTimeout,
        LeaveReason::SignalLost => DisconnectReason::SignalClose,
        LeaveReason::Misbehaved => DisconnectReason::UnknownReason,
        LeaveReason::StateMismatch => DisconnectReason::StateMismatch,
    }
}

#[cfg(test)]
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "anything else fails the test"
)]
mod tests {
    use super::*;

    #[test]
    fn publisher_is_told_of_its_codec_by_the_name_that_it_knows() {
        let told = |codec, highest| match layers_wanted(&TrackId::new("TR_1"), codec, highest) {
            Message::SubscribedQualityUpdate(update) => update,
            other => panic!("{other:?}"),
        };
        let on = |qualities: &[SubscribedQuality]| -> Vec<bool> {
            qualities.iter().map(|quality| quality.enabled).collect()
        };
        let medium = told(Some(Codec::Vp8), Some(Spatial::MEDIUM));
        assert_eq!(medium.subscribed_codecs[0].codec, "vp8");
        let all = [
            &medium.subscribed_codecs[0].qualities,
            &medium.subscribed_qualities,
        ];
        assert!(all.iter().all(|list| on(list) == [true, true, false]));
        let off = told(Some(Codec::H264), None);
        assert_eq!(on(&off.subscribed_codecs[0].qualities), [false; 3]);
        assert!(told(None, Some(Spatial::HIGH)).subscribed_codecs.is_empty());
    }

    #[test]
    fn clients_come_back_after_a_restart_and_stay_away_after_a_removal() {
        let action = |reason| match leave(reason) {
            Message::Leave(leave) => (leave.action(), leave.can_reconnect),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            action(LeaveReason::ServerShutdown),
            (Action::Reconnect, true)
        );
        assert_eq!(action(LeaveReason::Removed), (Action::Disconnect, false));
        assert_eq!(
            action(LeaveReason::DuplicateIdentity),
            (Action::Disconnect, false)
        );
    }
}
