//! From a client's messages to commands.

use prost::Message as _;
use serde::Deserialize;
use umbrella_media::{Codec, Kind, Layer, Spatial, Temporal};
use umbrella_room::Command;
use umbrella_room::command::{
    Allowance, AllowedSubscribers, NewTrack, ParticipantChange, TrackChange,
};
use umbrella_room::model::{Identity, ParticipantId, Source, TrackId, TrackSettings, VideoLayer};
use umbrella_wire::client::{
    AddTrackRequest, AudioTrackFeature, Ping, PublishDataTrackRequest, RequestResponse,
    SignalRequest, SignalTarget, SubscriptionPermission, SyncState, TrackPermission, TrackSource,
    TrackType, TrickleRequest, UpdateParticipantMetadata, UpdateSubscription, UpdateTrackSettings,
    VideoQuality, request_response, signal_request,
};

use crate::control::{SessionInput, random_name};

/// Tracks that one message may name.
const TRACKS: usize = 1024;

/// Layers that one track may announce.
const LAYERS: usize = 8;

/// What a client's message asks for.
#[derive(Debug)]
pub(super) enum Request {
    /// Something for the room or the engine.
    Input(SessionInput),
    /// Several things at once.
    Inputs(Vec<SessionInput>),
    /// A session description, which is dear.
    Description(SessionInput),
    /// A ping in the old form.
    OldPing,
    /// A ping.
    Ping(Ping),
    /// Something that is refused at once.
    Refuse(Box<RequestResponse>),
    /// The client goes.
    Leave,
    /// Nothing that concerns us: of a later protocol, out of date, or for tests of SDKs.
    Ignore,
}

/// A message that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRequest {
    #[error("a message is not valid protobuf")]
    NotProtobuf,
    #[error("a message names too many tracks")]
    TooManyTracks,
}

/// Reads one message.
pub(super) fn request(message: &[u8], me: &ParticipantId) -> Result<Request, BadRequest> {
    use signal_request::Message;
    let request = SignalRequest::decode(message).map_err(|_| BadRequest::NotProtobuf)?;
    let Some(message) = request.message else {
        return Ok(Request::Ignore);
    };
    Ok(match message {
        Message::Offer(it) => Request::Description(SessionInput::Offer {
            offer: it.id,
            sdp: it.sdp,
        }),
        Message::Answer(it) => Request::Description(SessionInput::Answer {
            offer: it.id,
            sdp: it.sdp,
        }),
        Message::Trickle(it) => candidate(&it),
        Message::AddTrack(it) => add_track(it, me),
        Message::Mute(it) => command(Command::Mute {
            participant: me.clone(),
            track: TrackId::new(it.sid),
            muted: it.muted,
        }),
        Message::Subscription(it) => command(subscribe(it, me)?),
        Message::TrackSetting(it) => track_settings(it, me)?,
        Message::Leave(_) => Request::Leave,
        Message::UpdateMetadata(it) => update_self(it, me),
        Message::UpdateAudioTrack(it) => command(Command::UpdateTrack {
            participant: me.clone(),
            track: TrackId::new(it.track_sid),
            change: TrackChange::Audio {
                features: it.features,
            },
        }),
        Message::UpdateVideoTrack(it) => command(Command::UpdateTrack {
            participant: me.clone(),
            track: TrackId::new(it.track_sid),
            change: TrackChange::Video {
                width: it.width,
                height: it.height,
            },
        }),
        Message::Ping(_) => Request::OldPing,
        Message::PingReq(ping) => Request::Ping(ping),
        Message::PublishDataTrackRequest(it) => Request::Refuse(Box::new(no_data_track(it))),
        Message::SubscriptionPermission(it) => allowed_subscribers(it, me)?,
        Message::SyncState(it) => sync_state(it, me)?,
        Message::Simulate(_) => Request::Ignore,
    })
}

/// Reads an announced track; `None` if it is none of ours.
pub(super) fn new_track(request: AddTrackRequest) -> Option<NewTrack> {
    let kind = match request.r#type() {
        TrackType::Audio => Kind::Audio,
        TrackType::Video => Kind::Video,
        TrackType::Data => return None,
    };
    let source = match request.source() {
        TrackSource::Unknown => Source::Unknown,
        TrackSource::Camera => Source::Camera,
        TrackSource::Microphone => Source::Microphone,
        TrackSource::ScreenShare => Source::ScreenShare,
        TrackSource::ScreenShareAudio => Source::ScreenShareAudio,
    };
    let has = |feature: AudioTrackFeature| request.audio_features.contains(&feature.into());
    // A request that names a track brings a further codec of it.
    let backup_of = Some(request.sid.clone()).filter(|sid| !sid.is_empty());
    let favourite = request.simulcast_codecs.first();
    let backup = request.simulcast_codecs.get(1);
    let layers = match favourite {
        Some(codec) if !codec.layers.is_empty() => &codec.layers,
        _ => &request.layers,
    };
    Some(NewTrack {
        id: TrackId::new(random_name("TR_")),
        kind,
        source,
        muted: request.muted,
        codec: favourite
            .and_then(|favourite| Codec::from_mime(&favourite.codec))
            .filter(|codec| codec.kind() == kind),
        backup: backup
            .and_then(|backup| Codec::from_mime(&backup.codec))
            .filter(|codec| codec.kind() == kind),
        backup_of: backup_of.map(TrackId::new),
        width: request.width,
        height: request.height,
        layers: layers.iter().take(LAYERS).map(video_layer).collect(),
        disable_dtx: request.disable_dtx || has(AudioTrackFeature::TfNoDtx),
        stereo: request.stereo || has(AudioTrackFeature::TfStereo),
        disable_red: request.disable_red,
        encryption: request.encryption,
        client_id: request.cid,
        name: request.name,
        stream: request.stream,
        audio_features: request.audio_features,
    })
}

fn command(command: Command) -> Request {
    Request::Input(SessionInput::Command(Box::new(command)))
}

fn add_track(request: AddTrackRequest, me: &ParticipantId) -> Request {
    match new_track(request) {
        Some(track) => command(Command::Publish {
            participant: me.clone(),
            track: Box::new(track),
        }),
        None => Request::Ignore,
    }
}

fn video_layer(layer: &umbrella_wire::client::VideoLayer) -> VideoLayer {
    VideoLayer {
        quality: match layer.quality() {
            VideoQuality::Low | VideoQuality::Off => 0,
            VideoQuality::Medium => 1,
            VideoQuality::High => 2,
        },
        width: layer.width,
        height: layer.height,
        bitrate: layer.bitrate,
        rid: layer.rid.chars().take(16).collect(),
    }
}

/// `RTCIceCandidateInit`, as far as it matters.
#[derive(Deserialize)]
struct CandidateInit {
    #[serde(default)]
    candidate: String,
}

fn candidate(trickle: &TrickleRequest) -> Request {
    match serde_json::from_str::<CandidateInit>(&trickle.candidate_init) {
        Ok(init) if !init.candidate.is_empty() => Request::Input(SessionInput::Candidate {
            subscriber: trickle.target() == SignalTarget::Subscriber,
            candidate: init.candidate,
        }),
        // The end of candidates, or something that a later client means.
        Ok(_) | Err(_) => Request::Ignore,
    }
}

fn tracks(sids: Vec<String>) -> Result<Vec<TrackId>, BadRequest> {
    if sids.len() > TRACKS {
        return Err(BadRequest::TooManyTracks);
    }
    Ok(sids.into_iter().map(TrackId::new).collect())
}

fn subscribe(update: UpdateSubscription, me: &ParticipantId) -> Result<Command, BadRequest> {
    let mut sids = update.track_sids;
    for of_participant in update.participant_tracks {
        for sid in of_participant.track_sids {
            if !sids.contains(&sid) {
                sids.push(sid);
            }
            if sids.len() > TRACKS {
                return Err(BadRequest::TooManyTracks);
            }
        }
    }
    Ok(Command::Subscribe {
        participant: me.clone(),
        tracks: tracks(sids)?,
        subscribe: update.subscribe,
    })
}

/// What a client believes after it was away. Descriptions are not looked at: both sides have kept
/// their connections, and offer anew.
fn sync_state(state: SyncState, me: &ParticipantId) -> Result<Request, BadRequest> {
    if state.publish_tracks.len() > TRACKS {
        return Err(BadRequest::TooManyTracks);
    }
    let published = state.publish_tracks.into_iter();
    let published = published.filter_map(|published| published.track);
    let confirm = Command::ConfirmTracks {
        participant: me.clone(),
        tracks: published.map(|track| TrackId::new(track.sid)).collect(),
    };
    let subscribe = subscribe(state.subscription.unwrap_or_default(), me)?;
    let inputs = [confirm, subscribe].map(|it| SessionInput::Command(Box::new(it)));
    Ok(Request::Inputs(inputs.into()))
}

fn allowed_subscribers(
    permission: SubscriptionPermission,
    me: &ParticipantId,
) -> Result<Request, BadRequest> {
    let allowed = if permission.all_participants {
        AllowedSubscribers::Everybody
    } else {
        let list = permission.track_permissions.into_iter();
        AllowedSubscribers::Listed(list.map(allowance).collect::<Result<_, _>>()?)
    };
    Ok(command(Command::AllowSubscribers {
        participant: me.clone(),
        allowed,
    }))
}

fn allowance(permission: TrackPermission) -> Result<Allowance, BadRequest> {
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok(Allowance {
        participant: given(permission.participant_sid).map(ParticipantId::new),
        identity: given(permission.participant_identity).map(Identity::new),
        tracks: if permission.all_tracks {
            None
        } else {
            Some(tracks(permission.track_sids)?)
        },
    })
}

fn track_settings(update: UpdateTrackSettings, me: &ParticipantId) -> Result<Request, BadRequest> {
    let (spatial, off) = match update.quality() {
        VideoQuality::Low => (Spatial::LOW, false),
        VideoQuality::Medium => (Spatial::MEDIUM, false),
        VideoQuality::High => (Spatial::HIGH, false),
        VideoQuality::Off => (Spatial::LOW, true),
    };
    let settings = TrackSettings {
        disabled: update.disabled || off,
        width: update.width,
        height: update.height,
        quality: Some(Layer {
            spatial,
            temporal: Temporal::ALL,
        }),
        frame_rate: update.fps,
    };
    Ok(command(Command::SetTrackSettings {
        participant: me.clone(),
        tracks: tracks(update.track_sids)?,
        settings,
    }))
}

/// Clients always send name and metadata, whatever they change: an empty one means no change.
fn update_self(update: UpdateParticipantMetadata, me: &ParticipantId) -> Request {
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    command(Command::UpdateSelf {
        participant: me.clone(),
        request: update.request_id,
        change: ParticipantChange {
            name: given(update.name),
            metadata: given(update.metadata),
            attributes: update.attributes,
        },
    })
}

fn no_data_track(request: PublishDataTrackRequest) -> RequestResponse {
    RequestResponse {
        request_id: 0,
        reason: request_response::Reason::UnsupportedType.into(),
        message: "data tracks are not supported".into(),
        request: Some(request_response::Request::PublishDataTrack(request)),
    }
}

#[cfg(test)]
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "anything else fails the test"
)]
mod tests {
    use umbrella_wire::client::{LeaveRequest, ParticipantTracks, SimulcastCodec};

    use super::*;

    fn me() -> ParticipantId {
        ParticipantId::new("PA_1")
    }

    fn read(message: signal_request::Message) -> Result<Request, BadRequest> {
        let message = Some(message);
        request(&SignalRequest { message }.encode_to_vec(), &me())
    }

    fn command_of(message: signal_request::Message) -> Command {
        match read(message).unwrap() {
            Request::Input(SessionInput::Command(command)) => *command,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn requests_of_later_protocols_are_ignored() {
        // Field 999, length-delimited, three bytes.
        let future = [0xba, 0x3e, 3, 1, 2, 3];
        assert!(matches!(request(&future, &me()), Ok(Request::Ignore)));
        assert!(matches!(request(&[], &me()), Ok(Request::Ignore)));
    }

    #[test]
    fn rubbish_is_refused() {
        assert_eq!(
            request(&[0xff; 40], &me()).unwrap_err(),
            BadRequest::NotProtobuf
        );
    }

    #[test]
    fn favourite_codec_brings_its_layers() {
        let layer = umbrella_wire::client::VideoLayer {
            quality: VideoQuality::High.into(),
            width: 1280,
            ..Default::default()
        };
        let track = new_track(AddTrackRequest {
            cid: "c".into(),
            r#type: TrackType::Video.into(),
            simulcast_codecs: vec![SimulcastCodec {
                codec: "vp8".into(),
                layers: vec![layer; 100],
                ..Default::default()
            }],
            ..Default::default()
        })
        .unwrap();
        assert_eq!(track.codec, Some(Codec::Vp8));
        assert_eq!(track.layers.len(), LAYERS);
        assert_eq!((track.layers[0].quality, track.layers[0].width), (2, 1280));
    }

    #[test]
    fn candidates_that_do_not_parse_are_ignored() {
        let trickle = |init: &str| {
            read(signal_request::Message::Trickle(TrickleRequest {
                candidate_init: init.into(),
                ..Default::default()
            }))
        };
        for init in ["", "{}", "[1]", "{\"candidate\":\"\"}", "{\"candidate\":7}"] {
            assert!(matches!(trickle(init), Ok(Request::Ignore)), "{init}");
        }
        let good = trickle(
            "{\"candidate\":\"candidate:1 1 udp 1 192.0.2.1 9 typ host\",\"sdpMid\":\"0\"}",
        );
        assert!(matches!(
            good,
            Ok(Request::Input(SessionInput::Candidate { .. }))
        ));
    }

    #[test]
    fn subscriptions_in_both_forms_are_one() {
        let both = command_of(signal_request::Message::Subscription(UpdateSubscription {
            track_sids: vec!["TR_1".into()],
            subscribe: true,
            participant_tracks: vec![ParticipantTracks {
                participant_sid: "PA_2".into(),
                track_sids: vec!["TR_1".into(), "TR_2".into()],
            }],
        }));
        match both {
            Command::Subscribe { tracks, .. } => assert_eq!(tracks.len(), 2),
            other => panic!("{other:?}"),
        }
        let many = signal_request::Message::Subscription(UpdateSubscription {
            track_sids: vec!["TR_1".into(); TRACKS + 1],
            ..Default::default()
        });
        assert_eq!(read(many).unwrap_err(), BadRequest::TooManyTracks);
    }

    #[test]
    fn empty_list_of_permissions_lets_nobody_in() {
        let allowed = |permission| match command_of(
            signal_request::Message::SubscriptionPermission(permission),
        ) {
            Command::AllowSubscribers { allowed, .. } => allowed,
            other => panic!("{other:?}"),
        };
        let nobody = SubscriptionPermission::default();
        assert_eq!(allowed(nobody), AllowedSubscribers::Listed(Vec::new()));
        let everybody = SubscriptionPermission {
            all_participants: true,
            ..Default::default()
        };
        assert_eq!(allowed(everybody), AllowedSubscribers::Everybody);
        let of_nobody = TrackPermission {
            track_sids: vec!["TR_1".into()],
            ..Default::default()
        };
        let listed = SubscriptionPermission {
            track_permissions: vec![of_nobody],
            ..Default::default()
        };
        let nothing = Allowance {
            participant: None,
            identity: None,
            tracks: Some(vec![TrackId::new("TR_1")]),
        };
        assert_eq!(allowed(listed), AllowedSubscribers::Listed(vec![nothing]));
    }

    #[test]
    fn leaving_is_understood() {
        let leave = signal_request::Message::Leave(LeaveRequest::default());
        assert!(matches!(read(leave), Ok(Request::Leave)));
    }

    proptest::proptest! {
        #[test]
        fn no_message_panics(bytes: Vec<u8>) {
            let _ = request(&bytes, &me());
        }
    }
}
