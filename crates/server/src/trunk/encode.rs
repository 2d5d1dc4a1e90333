//! From messages to frames for a neighbour.

use umbrella_media::{Codec, Kind, Priority};
use umbrella_room::access::{Access, AllowedTracks};
use umbrella_room::command::TrackLoudness;
use umbrella_room::mesh::{
    Data, DataNumber, Life, Message, NodeState, Order, Person, PersonTrack, RoomState, Route,
};
use umbrella_room::model::{
    Identity, LeaveReason, NodeId, ParticipantId, ParticipantKind, ParticipantState, Permission,
    RoomName, Source, TrackId, VideoLayer,
};
use umbrella_room::quality::{Quality, QualityView};
use umbrella_wire::trunk::{self as wire, Frame, frame::Message as Wire, order::What};

use super::decode::{Stream, TEXT, TRACKS, addressees};

/// Writes a message. `None` for [`Message::Demand`], as only [`encode_demand`] is told of SSRCs,
/// and for a data message that is larger than neighbours take: they would end the link.
pub(crate) fn encode(message: &Message) -> Option<Frame> {
    Some(framed(match message {
        Message::Demand { .. } => return None,
        Message::Route(it) => route(it),
        Message::Unroute {
            room,
            origin,
            ended,
        } => unroute(room, origin, *ended),
        Message::Follow {
            room,
            origin,
            data,
            number,
        } => follow(room, origin, *data, *number),
        Message::Followed {
            room,
            origin,
            number,
        } => followed(room, origin, *number),
        Message::Unfollow { room, origin } => unfollow(room, origin),
        Message::Person {
            room,
            origin,
            person: it,
        } => person(room, origin, it),
        Message::Gone {
            room,
            origin,
            participant,
            reason,
        } => gone(room, origin, participant, *reason),
        Message::Synced { room, origin } => synced(room, origin),
        Message::Starved {
            room,
            origin,
            track,
            starved: it,
        } => starved(room, origin, track, *it),
        Message::Data {
            room,
            origin,
            data: it,
        } => data(room, origin, it)?,
        Message::Levels {
            room,
            origin,
            levels: it,
        } => levels(room, origin, it),
        Message::Qualities {
            room,
            origin,
            qualities: it,
        } => qualities(room, origin, it),
        Message::Order {
            room,
            origin,
            participant,
            order: it,
            hops,
        } => order(room, origin, participant, it, *hops),
        Message::State(it) => room_state(it),
        Message::Node(it) => node(it),
    }))
}

/// Writes what is wanted of a track from now on, and where it is expected.
pub(crate) fn encode_demand(
    room: &RoomName,
    origin: &NodeId,
    track: &TrackId,
    streams: &[Stream],
) -> Frame {
    framed(Wire::Demand(wire::Demand {
        room: room.to_string(),
        origin: origin.to_string(),
        track: track.to_string(),
        streams: streams.iter().map(stream).collect(),
    }))
}

/// Writes how our end of the media connection is reached.
pub(crate) fn encode_media_parameters(
    generation: u32,
    ufrag: &str,
    password: &str,
    fingerprint: &str,
    candidates: &[String],
) -> Frame {
    framed(Wire::MediaParameters(wire::MediaParameters {
        generation,
        ufrag: ufrag.into(),
        password: password.into(),
        fingerprint: fingerprint.into(),
        candidates: candidates.to_vec(),
    }))
}

/// Writes a further address of an end of the media connection.
pub(crate) fn encode_media_candidate(generation: u32, candidate: &str) -> Frame {
    framed(Wire::MediaCandidate(wire::MediaCandidate {
        generation,
        candidate: candidate.into(),
    }))
}

fn framed(message: Wire) -> Frame {
    let message = Some(message);
    Frame { message }
}

fn route(route: &Route) -> Wire {
    Wire::Route(wire::Route {
        room: route.room.to_string(),
        incarnation: route.life.incarnation,
        path: route.path.iter().map(NodeId::to_string).collect(),
        rtt_ms: route.rtt_ms,
        media: route.media,
        serial: route.life.serial,
        silent: route.silent,
    })
}

fn unroute(room: &RoomName, origin: &NodeId, ended: Option<Life>) -> Wire {
    Wire::Unroute(wire::Unroute {
        room: room.to_string(),
        origin: origin.to_string(),
        incarnation: ended.map_or(0, |life| life.incarnation),
        serial: ended.map_or(0, |life| life.serial),
    })
}

fn follow(room: &RoomName, origin: &NodeId, data: Option<DataNumber>, number: u64) -> Wire {
    Wire::Follow(wire::Follow {
        room: room.to_string(),
        origin: origin.to_string(),
        data: data.map(data_number),
        number,
    })
}

fn followed(room: &RoomName, origin: &NodeId, number: u64) -> Wire {
    Wire::Followed(wire::Followed {
        room: room.to_string(),
        origin: origin.to_string(),
        number,
    })
}

fn data_number(number: DataNumber) -> wire::DataNumber {
    wire::DataNumber {
        incarnation: number.incarnation,
        number: number.number,
    }
}

fn unfollow(room: &RoomName, origin: &NodeId) -> Wire {
    Wire::Unfollow(wire::Unfollow {
        room: room.to_string(),
        origin: origin.to_string(),
    })
}

fn person(room: &RoomName, origin: &NodeId, person: &Person) -> Wire {
    let view = &person.view;
    let kind = match view.kind {
        ParticipantKind::Standard => wire::ParticipantKind::Standard,
        ParticipantKind::Ingress => wire::ParticipantKind::Ingress,
        ParticipantKind::Egress => wire::ParticipantKind::Egress,
        ParticipantKind::Sip => wire::ParticipantKind::Sip,
        ParticipantKind::Agent => wire::ParticipantKind::Agent,
    };
    // More would end the link, so a server that allows more shows the first ones only.
    let tracks = person.tracks.iter().take(TRACKS);
    Wire::Person(wire::Person {
        room: room.to_string(),
        origin: origin.to_string(),
        sid: view.id.to_string(),
        identity: view.identity.to_string(),
        name: view.name.clone(),
        metadata: view.metadata.clone(),
        attributes: view.attributes.clone(),
        kind: kind.into(),
        active: match view.state {
            ParticipantState::Active => true,
            ParticipantState::Joined | ParticipantState::Left => false,
        },
        joined_at_ms: i64::try_from(view.joined_at_ms).unwrap_or(i64::MAX),
        version: view.version,
        permission: Some(permission(&view.permission)),
        client_protocol: view.client.client_protocol,
        capabilities: view.capabilities.clone(),
        tracks: tracks.map(person_track).collect(),
        access: access(&person.access),
    })
}

fn permission(permission: &Permission) -> wire::Permission {
    let sources = permission.sources.iter();
    wire::Permission {
        subscribe: permission.subscribe,
        publish: permission.publish,
        publish_data: permission.publish_data,
        sources: sources.map(|it| source(*it).into()).collect(),
        update_own_metadata: permission.update_own_metadata,
        hidden: permission.hidden,
        recorder: permission.recorder,
    }
}

fn source(source: Source) -> wire::Source {
    match source {
        Source::Unknown => wire::Source::Unknown,
        Source::Camera => wire::Source::Camera,
        Source::Microphone => wire::Source::Microphone,
        Source::ScreenShare => wire::Source::ScreenShare,
        Source::ScreenShareAudio => wire::Source::ScreenShareAudio,
    }
}

fn codec(codec: Codec) -> wire::Codec {
    match codec {
        Codec::Opus => wire::Codec::Opus,
        Codec::Red => wire::Codec::Red,
        Codec::Pcmu => wire::Codec::Pcmu,
        Codec::Pcma => wire::Codec::Pcma,
        Codec::G722 => wire::Codec::G722,
        Codec::Vp8 => wire::Codec::Vp8,
        Codec::Vp9 => wire::Codec::Vp9,
        Codec::H264 => wire::Codec::H264,
        Codec::H265 => wire::Codec::H265,
        Codec::Av1 => wire::Codec::Av1,
    }
}

fn person_track(track: &PersonTrack) -> wire::Track {
    let view = &track.view;
    let known = |it: Option<Codec>| it.map_or(wire::Codec::Unknown, codec).into();
    let backup_of = track.backup_of.as_ref();
    wire::Track {
        sid: view.id.to_string(),
        video: view.kind == Kind::Video,
        source: source(view.source).into(),
        name: view.name.clone(),
        stream: view.stream.clone(),
        muted: view.muted,
        codec: known(view.codec),
        width: view.width,
        height: view.height,
        layers: view.layers.iter().map(layer).collect(),
        disable_dtx: view.disable_dtx,
        stereo: view.stereo,
        disable_red: view.disable_red,
        encryption: view.encryption,
        audio_features: view.audio_features.clone(),
        backup: known(track.backup),
        backup_of: backup_of.map(TrackId::to_string).unwrap_or_default(),
    }
}

fn layer(layer: &VideoLayer) -> wire::Layer {
    wire::Layer {
        quality: layer.quality.into(),
        width: layer.width,
        height: layer.height,
        bitrate: layer.bitrate,
        rid: layer.rid.clone(),
    }
}

fn access(access: &Access) -> Option<wire::Access> {
    let (stays, identities) = match access {
        Access::Everybody => return None,
        Access::Listed { stays, identities } => (stays, identities),
    };
    let stays = stays.iter().map(|(stay, tracks)| wire::Allowance {
        sid: stay.to_string(),
        ..allowance(tracks)
    });
    let identities = identities.iter().map(|(identity, tracks)| wire::Allowance {
        identity: identity.to_string(),
        ..allowance(tracks)
    });
    let allowances = stays.chain(identities).collect();
    Some(wire::Access { allowances })
}

fn allowance(tracks: &AllowedTracks) -> wire::Allowance {
    let (tracks, all) = match tracks {
        AllowedTracks::All => (Vec::new(), true),
        AllowedTracks::Some(tracks) => (tracks.iter().map(TrackId::to_string).collect(), false),
    };
    wire::Allowance {
        tracks,
        all,
        ..Default::default()
    }
}

fn gone(room: &RoomName, origin: &NodeId, sid: &ParticipantId, reason: LeaveReason) -> Wire {
    let reason = match reason {
        LeaveReason::Asked => wire::LeaveReason::Asked,
        LeaveReason::DuplicateIdentity => wire::LeaveReason::DuplicateIdentity,
        LeaveReason::Removed => wire::LeaveReason::Removed,
        LeaveReason::RoomDeleted => wire::LeaveReason::RoomDeleted,
        LeaveReason::ServerShutdown => wire::LeaveReason::ServerShutdown,
        LeaveReason::ConnectionLost => wire::LeaveReason::ConnectionLost,
        LeaveReason::SignalLost => wire::LeaveReason::SignalLost,
        LeaveReason::Misbehaved => wire::LeaveReason::Misbehaved,
        LeaveReason::StateMismatch => wire::LeaveReason::StateMismatch,
    };
    Wire::Gone(wire::Gone {
        room: room.to_string(),
        origin: origin.to_string(),
        sid: sid.to_string(),
        reason: reason.into(),
    })
}

fn synced(room: &RoomName, origin: &NodeId) -> Wire {
    Wire::Synced(wire::Synced {
        room: room.to_string(),
        origin: origin.to_string(),
    })
}

fn stream(stream: &Stream) -> wire::Stream {
    let priority = match stream.priority {
        Priority::Normal => wire::Priority::Normal,
        Priority::Speaker => wire::Priority::Speaker,
        Priority::Large => wire::Priority::Large,
        Priority::Screen => wire::Priority::Screen,
    };
    wire::Stream {
        spatial: stream.spatial.index() as u32,
        temporal: stream.temporal.id().into(),
        floor: stream.floor.index() as u32,
        priority: priority.into(),
        ssrc: stream.ssrc,
        repair_ssrc: stream.repair_ssrc.unwrap_or(0),
    }
}

fn starved(room: &RoomName, origin: &NodeId, track: &TrackId, starved: bool) -> Wire {
    Wire::Starved(wire::Starved {
        room: room.to_string(),
        origin: origin.to_string(),
        track: track.to_string(),
        starved,
    })
}

/// `None` if it is larger than neighbours take.
fn data(room: &RoomName, origin: &NodeId, data: &Data) -> Option<Wire> {
    let to = addressees(data.to.iter().map(Identity::as_str));
    let from = data.from.as_ref();
    (data.payload.len() <= TEXT && to <= TEXT).then(|| {
        Wire::Data(wire::Data {
            room: room.to_string(),
            origin: origin.to_string(),
            number: data.number.map(data_number),
            from: from.map(ParticipantId::to_string).unwrap_or_default(),
            to: data.to.iter().map(Identity::to_string).collect(),
            payload: data.payload.to_vec(),
        })
    })
}

fn levels(room: &RoomName, origin: &NodeId, levels: &[TrackLoudness]) -> Wire {
    let levels = levels.iter().map(|it| wire::Level {
        track: it.track.to_string(),
        level: it.level.into(),
        voice: it.voice,
    });
    Wire::Levels(wire::Levels {
        room: room.to_string(),
        origin: origin.to_string(),
        levels: levels.collect(),
    })
}

fn qualities(room: &RoomName, origin: &NodeId, views: &[QualityView]) -> Wire {
    let qualities = views.iter().map(|view| {
        let quality = match view.quality {
            Quality::Lost => wire::ConnectionQuality::Lost,
            Quality::Poor => wire::ConnectionQuality::Poor,
            Quality::Good => wire::ConnectionQuality::Good,
            Quality::Excellent => wire::ConnectionQuality::Excellent,
        };
        wire::Quality {
            sid: view.participant.to_string(),
            quality: quality.into(),
            score: view.score,
        }
    });
    Wire::Qualities(wire::Qualities {
        room: room.to_string(),
        origin: origin.to_string(),
        qualities: qualities.collect(),
    })
}

fn order(
    room: &RoomName,
    origin: &NodeId,
    participant: &ParticipantId,
    order: &Order,
    hops: u32,
) -> Wire {
    let what = match order {
        Order::Mute { track, muted } => What::Mute(wire::Mute {
            track: track.to_string(),
            muted: *muted,
        }),
        Order::Remove => What::Remove(wire::Remove {}),
        Order::Update {
            change,
            permission: new,
        } => What::Update(wire::Update {
            name: change.name.clone(),
            metadata: change.metadata.clone(),
            attributes: change.attributes.clone(),
            permission: new.as_ref().map(permission),
        }),
        Order::Undecodable { track, codec: it } => What::Undecodable(wire::Undecodable {
            track: track.to_string(),
            codec: codec(*it).into(),
        }),
    };
    Wire::Order(wire::Order {
        room: room.to_string(),
        origin: origin.to_string(),
        participant: participant.to_string(),
        hops,
        what: Some(what),
    })
}

fn room_state(state: &RoomState) -> Wire {
    Wire::RoomState(wire::RoomState {
        room: state.room.to_string(),
        version: state.version,
        node: state.node.to_string(),
        incarnation: state.incarnation,
        metadata: state.metadata.clone(),
        max_participants: state.max_participants,
        closed: state.closed,
    })
}

fn node(state: &NodeState) -> Wire {
    let links = state.links.iter().map(|link| wire::NodeLink {
        node: link.node.to_string(),
        rtt_ms: link.rtt_ms,
        media: link.media,
    });
    Wire::Node(wire::Node {
        node: state.node.to_string(),
        incarnation: state.incarnation,
        version: state.version,
        name: state.name.clone(),
        software: state.software.clone(),
        media: state.media,
        links: links.collect(),
    })
}
