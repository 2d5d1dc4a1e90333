//! From a neighbour's frames to messages.
//!
//! A neighbour has proved that it knows a secret, which does not mean that it is well. So
//! everything is bounded here, and what does not fit ends the link with the reason. A number of an
//! enumeration that a later version has added is no fault: it becomes the closest thing that is
//! known, or the least that it can allow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use umbrella_media::{Codec, Kind, Priority, Spatial, Temporal};
use umbrella_room::access::{Access, AllowedTracks};
use umbrella_room::command::{ParticipantChange, TrackLoudness};
use umbrella_room::mesh::{
    Data, DataNumber, Life, Message, NodeLink, NodeState, Order, Person, PersonTrack, RoomState,
    Route,
};
use umbrella_room::model::{
    ClientFacts, Identity, LeaveReason, NodeId, ParticipantId, ParticipantKind, ParticipantState,
    ParticipantView, Permission, RoomName, Source, TrackId, TrackView, VideoLayer,
};
use umbrella_room::quality::{Quality, QualityView};
use umbrella_wire::trunk::{self as wire, Frame, frame};

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;

/// Bytes of the id of a server, a participant or a track.
const ID: usize = 64;
/// Bytes of any name: a room's, a participant's, a track's, a server's.
const NAME: usize = 256;
/// Bytes of metadata, of all attributes of a participant together, and of a data message.
pub(super) const TEXT: usize = 64 * 1024;
/// Bytes of the name of a simulcast encoding.
const RID: usize = 64;
/// Bytes of a line of what describes a media connection.
const LINE: usize = 512;
/// Tracks of a participant, further codecs included.
pub(super) const TRACKS: usize = 64;
/// Layers of a track, and streams that it is demanded in.
const LAYERS: usize = Spatial::COUNT;
/// Sources that a participant may publish. There are few, but tokens may repeat them.
const SOURCES: usize = 1024;
/// Entries of any list of numbers that is relayed unread.
const RELAYED: usize = 32;
/// Entries of the list of whom a publisher lets have its tracks.
const ALLOWANCES: usize = 1024;
/// Tracks whose loudness, and participants whose quality, is told at once.
const LEVELS: usize = 4096;
/// Links of a server.
const LINKS: usize = 128;
/// Servers on a way.
const PATH: usize = 16;
/// Candidates of a media connection that are told at once.
const CANDIDATES: usize = 32;
/// What counts up has so far to go that it never wraps, whoever counts on from it.
const HIGHEST: u64 = u64::MAX / 2;
const HIGHEST_VERSION: u32 = u32::MAX / 2;
/// The year 2110: nobody has joined later.
const LATEST_MS: u64 = 4_417_977_600_000;

/// What a frame after `Welcome` means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Incoming {
    /// Something for the mesh; never [`Message::Demand`].
    Mesh(Message),
    /// What the neighbour wants of a track from now on, and where it expects it.
    Demand {
        /// Which room.
        room: RoomName,
        /// Where it is published.
        origin: NodeId,
        /// What.
        track: TrackId,
        /// Lowest layer first; none is nothing any more.
        streams: Vec<Stream>,
    },
    /// How the neighbour's end of the media connection is reached.
    MediaParameters {
        /// Another one than before: it begins anew.
        generation: u32,
        /// ICE user name fragment.
        ufrag: String,
        /// ICE password.
        password: String,
        /// `sha-256 AA:BB:…`.
        fingerprint: String,
        /// `candidate:…`.
        candidates: Vec<String>,
    },
    /// A further address of it.
    MediaCandidate {
        /// Of which connection.
        generation: u32,
        /// `candidate:…`.
        candidate: String,
    },
}

/// One layer of a track, or its sound, on its own SSRC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stream {
    /// Which layer; the lowest for sound.
    pub(crate) spatial: Spatial,
    /// The highest frame rate.
    pub(crate) temporal: Temporal,
    /// It may be sent in a lower layer, down to this one, where the link does not carry it.
    pub(crate) floor: Spatial,
    /// What it is worth where not everything fits.
    pub(crate) priority: Priority,
    /// Where it is expected.
    pub(crate) ssrc: u32,
    /// Where it is expected when it is sent again; `None` for sound.
    pub(crate) repair_ssrc: Option<u32>,
}

/// What is wrong with a frame: the neighbour's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// Something that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A text or a list of bytes.
    #[error("{0} is too long")]
    TooLong(&'static str),
    /// A list.
    #[error("there are too many {0}")]
    TooMany(&'static str),
    /// Something else than visible ASCII.
    #[error("{0} has characters that do not belong there")]
    BadText(&'static str),
    /// A number.
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
    /// Two of a kind that must differ.
    #[error("two of the {0} are the same")]
    Twice(&'static str),
}

/// Reads a frame. `None` is nothing that concerns the rooms: it is of a later version, or about
/// the link itself.
///
/// # Errors
/// It does not make sense, or is larger than anything may be: the link must end.
pub(crate) fn decode(frame: Frame) -> Result<Option<Incoming>, DecodeError> {
    use frame::Message as Wire;
    let Some(message) = frame.message else {
        return Ok(None);
    };
    let message = match message {
        Wire::Hello(_)
        | Wire::Challenge(_)
        | Wire::Proof(_)
        | Wire::Welcome(_)
        | Wire::Refused(_)
        | Wire::Ping(_)
        | Wire::Pong(_)
        | Wire::Bye(_)
        | Wire::Introduction(_)
        | Wire::Relayed(_) => return Ok(None),
        Wire::Demand(it) => return demand(it).map(Some),
        Wire::MediaParameters(it) => return media_parameters(it).map(Some),
        Wire::MediaCandidate(it) => {
            return Ok(Some(Incoming::MediaCandidate {
                generation: it.generation,
                candidate: line(it.candidate, "a candidate")?,
            }));
        }
        Wire::Order(it) => return Ok(order(it)?.map(Incoming::Mesh)),
        Wire::Route(it) => route(it)?,
        Wire::Unroute(it) => unroute(it)?,
        Wire::Follow(it) => follow(it)?,
        Wire::Unfollow(it) => {
            let (room, origin) = place(it.room, it.origin)?;
            Message::Unfollow { room, origin }
        }
        Wire::Person(it) => person(it)?,
        Wire::Gone(it) => gone(it)?,
        Wire::Followed(it) => {
            let (room, origin) = place(it.room, it.origin)?;
            let number = it.number;
            Message::Followed {
                room,
                origin,
                number,
            }
        }
        Wire::Synced(it) => {
            let (room, origin) = place(it.room, it.origin)?;
            Message::Synced { room, origin }
        }
        Wire::Starved(it) => starved(it)?,
        Wire::Data(it) => data(it)?,
        Wire::Levels(it) => levels(it)?,
        Wire::Qualities(it) => qualities(it)?,
        Wire::RoomState(it) => room_state(it)?,
        Wire::Node(it) => node_state(it)?,
    };
    Ok(Some(Incoming::Mesh(message)))
}

fn route(it: wire::Route) -> Result<Message, DecodeError> {
    // In an `Unroute`, 0 is none.
    if it.incarnation == 0 {
        return Err(DecodeError::Missing("the run of a way's origin"));
    }
    at_most(it.path.len(), PATH, "servers on a way")?;
    let path: Vec<_> = it.path.into_iter().map(node).collect::<Result<_, _>>()?;
    if path.is_empty() {
        return Err(DecodeError::Missing("a way's origin"));
    }
    Ok(Message::Route(Route {
        room: room(it.room)?,
        life: Life {
            incarnation: it.incarnation,
            serial: count(it.serial, "the serial of a life")?,
        },
        path: path.into(),
        rtt_ms: it.rtt_ms,
        media: it.media,
        silent: it.silent,
    }))
}

fn unroute(it: wire::Unroute) -> Result<Message, DecodeError> {
    let (room, origin) = place(it.room, it.origin)?;
    let serial = count(it.serial, "the serial of a life")?;
    let ended = (it.incarnation != 0).then_some(Life {
        incarnation: it.incarnation,
        serial,
    });
    Ok(Message::Unroute {
        room,
        origin,
        ended,
    })
}

fn follow(it: wire::Follow) -> Result<Message, DecodeError> {
    let (room, origin) = place(it.room, it.origin)?;
    let data = it.data.map(data_number).transpose()?;
    Ok(Message::Follow {
        room,
        origin,
        data,
        number: it.number,
    })
}

fn data_number(it: wire::DataNumber) -> Result<DataNumber, DecodeError> {
    Ok(DataNumber {
        incarnation: it.incarnation,
        number: count(it.number, "the number of a data message")?,
    })
}

fn person(it: wire::Person) -> Result<Message, DecodeError> {
    let kind = participant_kind(it.kind());
    let (room, origin) = place(it.room, it.origin)?;
    at_most(it.capabilities.len(), RELAYED, "capabilities")?;
    at_most(it.tracks.len(), TRACKS, "tracks of a participant")?;
    let tracks = it.tracks.into_iter().map(person_track);
    let tracks = tracks.collect::<Result<Vec<_>, _>>()?;
    distinct(tracks.iter().map(|track| &track.view.id), "tracks")?;
    let permission = it
        .permission
        .ok_or(DecodeError::Missing("what a participant may do"))?;
    if it.version > HIGHEST_VERSION {
        return Err(DecodeError::OutOfRange("a participant's version"));
    }
    let view = ParticipantView {
        id: participant(it.sid)?,
        identity: identity(it.identity)?,
        name: name(it.name)?,
        metadata: text(it.metadata, TEXT, "metadata")?,
        attributes: attributes(it.attributes)?,
        kind,
        state: match it.active {
            true => ParticipantState::Active,
            false => ParticipantState::Joined,
        },
        joined_at_ms: joined_at(it.joined_at_ms)?,
        version: it.version,
        permission: permission_of(permission)?,
        publishing: tracks.iter().any(|track| track.backup_of.is_none()),
        client: ClientFacts {
            client_protocol: it.client_protocol,
        },
        capabilities: it.capabilities,
        left: None,
        // The mesh wants them beside it.
        tracks: Vec::new(),
    };
    let access = it.access.map(access).transpose()?.unwrap_or_default();
    Ok(Message::Person {
        room,
        origin,
        person: Box::new(Person {
            view: Arc::new(view),
            tracks,
            access: Arc::new(access),
        }),
    })
}

/// What a later version has added is like a person's client to everybody.
fn participant_kind(kind: wire::ParticipantKind) -> ParticipantKind {
    match kind {
        wire::ParticipantKind::Standard => ParticipantKind::Standard,
        wire::ParticipantKind::Ingress => ParticipantKind::Ingress,
        wire::ParticipantKind::Egress => ParticipantKind::Egress,
        wire::ParticipantKind::Sip => ParticipantKind::Sip,
        wire::ParticipantKind::Agent => ParticipantKind::Agent,
    }
}

fn joined_at(ms: i64) -> Result<u64, DecodeError> {
    let ms = u64::try_from(ms).ok().filter(|ms| *ms < LATEST_MS);
    ms.ok_or(DecodeError::OutOfRange("when a participant has joined"))
}

fn permission_of(it: wire::Permission) -> Result<Permission, DecodeError> {
    at_most(it.sources.len(), SOURCES, "sources")?;
    // One that is not known allows only tracks without a known source. Were it left out, the list
    // could become empty, which allows all.
    let sources = it.sources.into_iter();
    let sources = sources.map(|number| wire::Source::try_from(number).unwrap_or_default());
    Ok(Permission {
        subscribe: it.subscribe,
        publish: it.publish,
        publish_data: it.publish_data,
        sources: sources.map(source).collect(),
        update_own_metadata: it.update_own_metadata,
        hidden: it.hidden,
        recorder: it.recorder,
    })
}

fn source(source: wire::Source) -> Source {
    match source {
        wire::Source::Unknown => Source::Unknown,
        wire::Source::Camera => Source::Camera,
        wire::Source::Microphone => Source::Microphone,
        wire::Source::ScreenShare => Source::ScreenShare,
        wire::Source::ScreenShareAudio => Source::ScreenShareAudio,
    }
}

/// One that a later version has added is as good as not known yet: nobody here can be offered it.
fn codec(codec: wire::Codec) -> Option<Codec> {
    Some(match codec {
        wire::Codec::Unknown => return None,
        wire::Codec::Opus => Codec::Opus,
        wire::Codec::Red => Codec::Red,
        wire::Codec::Pcmu => Codec::Pcmu,
        wire::Codec::Pcma => Codec::Pcma,
        wire::Codec::G722 => Codec::G722,
        wire::Codec::Vp8 => Codec::Vp8,
        wire::Codec::Vp9 => Codec::Vp9,
        wire::Codec::H264 => Codec::H264,
        wire::Codec::H265 => Codec::H265,
        wire::Codec::Av1 => Codec::Av1,
    })
}

fn person_track(it: wire::Track) -> Result<PersonTrack, DecodeError> {
    let kind = match it.video {
        true => Kind::Video,
        false => Kind::Audio,
    };
    let of_kind = |number| codec(number).filter(|codec| codec.kind() == kind);
    let (present, backup) = (of_kind(it.codec()), of_kind(it.backup()));
    let source = source(it.source());
    at_most(it.audio_features.len(), RELAYED, "audio features")?;
    let layers = layers(it.layers)?;
    let backup_of = Some(it.backup_of).filter(|first| !first.is_empty());
    Ok(PersonTrack {
        view: TrackView {
            id: track(it.sid)?,
            kind,
            source,
            name: name(it.name)?,
            stream: text(it.stream, NAME, "a stream's name")?,
            muted: it.muted,
            codec: present,
            width: it.width,
            height: it.height,
            simulcast: kind == Kind::Video && layers.len() > 1,
            layers,
            disable_dtx: it.disable_dtx,
            stereo: it.stereo,
            disable_red: it.disable_red,
            encryption: it.encryption,
            audio_features: it.audio_features,
        },
        backup,
        backup_of: backup_of.map(track).transpose()?,
    })
}

/// In order, each quality once, and none that no [`Spatial`] can name: as a room has them of its
/// own tracks.
fn layers(all: Vec<wire::Layer>) -> Result<Vec<VideoLayer>, DecodeError> {
    at_most(all.len(), LAYERS, "layers of a track")?;
    let mut layers = Vec::with_capacity(all.len());
    for it in all {
        let quality = u8::try_from(it.quality).ok();
        let Some(quality) = quality.filter(|quality| Spatial::new(*quality).is_some()) else {
            continue;
        };
        layers.push(VideoLayer {
            quality,
            width: it.width,
            height: it.height,
            bitrate: it.bitrate,
            rid: text(it.rid, RID, "the name of an encoding")?,
        });
    }
    layers.sort_by_key(|layer| layer.quality);
    layers.dedup_by_key(|layer| layer.quality);
    Ok(layers)
}

/// Entries that name nobody, or two at once, allow nothing.
fn access(it: wire::Access) -> Result<Access, DecodeError> {
    at_most(it.allowances.len(), ALLOWANCES, "allowances")?;
    let mut stays = BTreeMap::new();
    let mut identities = BTreeMap::new();
    for it in it.allowances {
        at_most(it.tracks.len(), TRACKS, "tracks of an allowance")?;
        let tracks = match it.all {
            true => AllowedTracks::All,
            false => {
                let tracks = it.tracks.into_iter().map(track);
                AllowedTracks::Some(tracks.collect::<Result<BTreeSet<_>, _>>()?)
            }
        };
        let known = match (it.sid.is_empty(), it.identity.is_empty()) {
            (false, true) => stays.insert(participant(it.sid)?, tracks).is_some(),
            (true, false) => identities.insert(identity(it.identity)?, tracks).is_some(),
            (true, true) | (false, false) => false,
        };
        if known {
            return Err(DecodeError::Twice("allowances"));
        }
    }
    Ok(Access::Listed { stays, identities })
}

fn gone(it: wire::Gone) -> Result<Message, DecodeError> {
    // Whatever a later version has added: it has left.
    let reason = match it.reason() {
        wire::LeaveReason::Asked => LeaveReason::Asked,
        wire::LeaveReason::DuplicateIdentity => LeaveReason::DuplicateIdentity,
        wire::LeaveReason::Removed => LeaveReason::Removed,
        wire::LeaveReason::RoomDeleted => LeaveReason::RoomDeleted,
        wire::LeaveReason::ServerShutdown => LeaveReason::ServerShutdown,
        wire::LeaveReason::ConnectionLost => LeaveReason::ConnectionLost,
        wire::LeaveReason::SignalLost => LeaveReason::SignalLost,
        wire::LeaveReason::Misbehaved => LeaveReason::Misbehaved,
        wire::LeaveReason::StateMismatch => LeaveReason::StateMismatch,
    };
    let (room, origin) = place(it.room, it.origin)?;
    Ok(Message::Gone {
        room,
        origin,
        participant: participant(it.sid)?,
        reason,
    })
}

fn demand(it: wire::Demand) -> Result<Incoming, DecodeError> {
    let (room, origin) = place(it.room, it.origin)?;
    at_most(it.streams.len(), LAYERS, "streams")?;
    let streams = it.streams.iter().map(stream);
    let mut streams = streams.collect::<Result<Vec<_>, _>>()?;
    distinct(streams.iter().map(|it| it.spatial), "layers of a demand")?;
    let repair = streams.iter().filter_map(|it| it.repair_ssrc);
    distinct(streams.iter().map(|it| it.ssrc).chain(repair), "SSRCs")?;
    streams.sort_by_key(|stream| stream.spatial);
    Ok(Incoming::Demand {
        room,
        origin,
        track: track(it.track)?,
        streams,
    })
}

fn stream(it: &wire::Stream) -> Result<Stream, DecodeError> {
    let layer = |number: u32, what| {
        let layer = u8::try_from(number).ok().and_then(Spatial::new);
        layer.ok_or(DecodeError::OutOfRange(what))
    };
    let spatial = layer(it.spatial, "the layer of a stream")?;
    let floor = layer(it.floor, "the lowest layer of a stream")?;
    if floor > spatial {
        return Err(DecodeError::OutOfRange("the lowest layer of a stream"));
    }
    if it.ssrc == 0 {
        return Err(DecodeError::Missing("the SSRC of a stream"));
    }
    let all = u32::from(Temporal::ALL.id());
    let temporal = u8::try_from(it.temporal.min(all)).map_or(Temporal::ALL, Temporal::new);
    Ok(Stream {
        spatial,
        temporal,
        floor,
        // One of a later version gets no privilege.
        priority: match it.priority() {
            wire::Priority::Normal => Priority::Normal,
            wire::Priority::Speaker => Priority::Speaker,
            wire::Priority::Large => Priority::Large,
            wire::Priority::Screen => Priority::Screen,
        },
        ssrc: it.ssrc,
        repair_ssrc: Some(it.repair_ssrc).filter(|ssrc| *ssrc != 0),
    })
}

fn starved(it: wire::Starved) -> Result<Message, DecodeError> {
    let (room, origin) = place(it.room, it.origin)?;
    Ok(Message::Starved {
        room,
        origin,
        track: track(it.track)?,
        starved: it.starved,
    })
}

fn data(it: wire::Data) -> Result<Message, DecodeError> {
    let (room, origin) = place(it.room, it.origin)?;
    at_most_long(it.payload.len(), TEXT, "a data message")?;
    let to = addressees(it.to.iter().map(String::as_str));
    at_most_long(to, TEXT, "the list of a data message's addressees")?;
    let from = Some(it.from).filter(|from| !from.is_empty());
    Ok(Message::Data {
        room,
        origin,
        data: Data {
            number: it.number.map(data_number).transpose()?,
            from: from.map(participant).transpose()?,
            // A client has written them: one that nobody can have is not the neighbour's fault.
            // Nor may it be left out, as an empty list means everybody.
            to: it.to.into_iter().map(Identity::new).collect(),
            payload: it.payload.into(),
        },
    })
}

/// The least that addressees have taken in the message that a client sent.
pub(super) fn addressees<'a>(to: impl Iterator<Item = &'a str>) -> usize {
    to.map(|identity| identity.len() + 2).sum()
}

fn levels(it: wire::Levels) -> Result<Message, DecodeError> {
    let (room, origin) = place(it.room, it.origin)?;
    at_most(it.levels.len(), LEVELS, "levels")?;
    let silence = 127;
    let levels = it.levels.into_iter().map(|it| {
        Ok(TrackLoudness {
            track: track(it.track)?,
            level: u8::try_from(it.level).map_or(silence, |level| level.min(silence)),
            voice: within(it.voice, 0.0, 1.0, "the share of voice")?,
        })
    });
    Ok(Message::Levels {
        room,
        origin,
        levels: levels.collect::<Result<_, _>>()?,
    })
}

fn qualities(it: wire::Qualities) -> Result<Message, DecodeError> {
    let (room, origin) = place(it.room, it.origin)?;
    at_most(it.qualities.len(), LEVELS, "qualities")?;
    let qualities = it.qualities.into_iter().filter_map(|it| {
        // Of one that a later version has added nothing can be shown.
        let quality = match it.quality() {
            wire::ConnectionQuality::Unknown => return None,
            wire::ConnectionQuality::Lost => Quality::Lost,
            wire::ConnectionQuality::Poor => Quality::Poor,
            wire::ConnectionQuality::Good => Quality::Good,
            wire::ConnectionQuality::Excellent => Quality::Excellent,
        };
        Some(quality_view(it, quality))
    });
    Ok(Message::Qualities {
        room,
        origin,
        qualities: qualities.collect::<Result<_, _>>()?,
    })
}

fn quality_view(it: wire::Quality, quality: Quality) -> Result<QualityView, DecodeError> {
    Ok(QualityView {
        participant: participant(it.sid)?,
        quality,
        score: within(it.score, 1.0, 4.5, "the score of a connection")?,
    })
}

/// `None` if a later version has added what is to be done.
fn order(it: wire::Order) -> Result<Option<Message>, DecodeError> {
    use wire::order::What;
    let order = match it.what {
        None => return Ok(None),
        Some(What::Mute(it)) => Order::Mute {
            track: track(it.track)?,
            muted: it.muted,
        },
        Some(What::Remove(wire::Remove {})) => Order::Remove,
        Some(What::Update(it)) => Order::Update {
            change: ParticipantChange {
                name: it.name.map(name).transpose()?,
                metadata: it
                    .metadata
                    .map(|it| text(it, TEXT, "metadata"))
                    .transpose()?,
                attributes: attributes(it.attributes)?,
            },
            permission: it.permission.map(permission_of).transpose()?,
        },
        Some(What::Undecodable(it)) => {
            // Of a codec that is not known here nothing can be said.
            let Some(codec) = codec(it.codec()) else {
                return Ok(None);
            };
            let track = track(it.track)?;
            Order::Undecodable { track, codec }
        }
    };
    let (room, origin) = place(it.room, it.origin)?;
    Ok(Some(Message::Order {
        room,
        origin,
        participant: participant(it.participant)?,
        order,
        hops: it.hops,
    }))
}

fn room_state(it: wire::RoomState) -> Result<Message, DecodeError> {
    Ok(Message::State(RoomState {
        room: room(it.room)?,
        version: count(it.version, "the version of a room")?,
        node: node(it.node)?,
        incarnation: it.incarnation,
        metadata: text(it.metadata, TEXT, "metadata")?,
        max_participants: it.max_participants,
        closed: it.closed,
    }))
}

fn node_state(it: wire::Node) -> Result<Message, DecodeError> {
    at_most(it.links.len(), LINKS, "links of a server")?;
    let links = it.links.into_iter().map(|it| {
        Ok(NodeLink {
            node: node(it.node)?,
            rtt_ms: it.rtt_ms,
            media: it.media,
        })
    });
    Ok(Message::Node(NodeState {
        node: node(it.node)?,
        incarnation: it.incarnation,
        version: count(it.version, "the version of a server")?,
        name: name(it.name)?,
        software: text(it.software, NAME, "a server's software")?,
        media: it.media,
        links: links.collect::<Result<_, _>>()?,
    }))
}

fn media_parameters(it: wire::MediaParameters) -> Result<Incoming, DecodeError> {
    at_most(it.candidates.len(), CANDIDATES, "candidates")?;
    let candidates = it.candidates.into_iter();
    let candidates = candidates.map(|it| line(it, "a candidate"));
    Ok(Incoming::MediaParameters {
        generation: it.generation,
        ufrag: line(it.ufrag, "a user name fragment")?,
        password: line(it.password, "a password")?,
        fingerprint: line(it.fingerprint, "a fingerprint")?,
        candidates: candidates.collect::<Result<_, _>>()?,
    })
}

fn place(in_room: String, origin: String) -> Result<(RoomName, NodeId), DecodeError> {
    Ok((room(in_room)?, node(origin)?))
}

fn room(name: String) -> Result<RoomName, DecodeError> {
    let name = text(given(name, "a room's name")?, NAME, "a room's name")?;
    Ok(RoomName::new(name))
}

fn identity(name: String) -> Result<Identity, DecodeError> {
    let name = text(given(name, "an identity")?, NAME, "an identity")?;
    Ok(Identity::new(name))
}

fn node(text: String) -> Result<NodeId, DecodeError> {
    id(text, "a server's id").map(NodeId::new)
}

fn participant(text: String) -> Result<ParticipantId, DecodeError> {
    id(text, "a participant's id").map(ParticipantId::new)
}

fn track(text: String) -> Result<TrackId, DecodeError> {
    id(text, "a track's id").map(TrackId::new)
}

/// Also what ends up in logs, and in lines of a protocol.
fn id(id: String, what: &'static str) -> Result<String, DecodeError> {
    let id = text(given(id, what)?, ID, what)?;
    match id.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(id),
        false => Err(DecodeError::BadText(what)),
    }
}

/// What becomes part of a line of a session description must not become two.
fn line(line: String, what: &'static str) -> Result<String, DecodeError> {
    let line = text(given(line, what)?, LINE, what)?;
    let belongs = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    match line.bytes().all(belongs) {
        true => Ok(line),
        false => Err(DecodeError::BadText(what)),
    }
}

fn given(text: String, what: &'static str) -> Result<String, DecodeError> {
    match text.is_empty() {
        true => Err(DecodeError::Missing(what)),
        false => Ok(text),
    }
}

fn name(name: String) -> Result<String, DecodeError> {
    text(name, NAME, "a name")
}

fn text(text: String, bound: usize, what: &'static str) -> Result<String, DecodeError> {
    at_most_long(text.len(), bound, what).map(|()| text)
}

type Attributes = BTreeMap<String, String>;

fn attributes(all: Attributes) -> Result<Attributes, DecodeError> {
    let bytes = all.iter().map(|(key, value)| key.len() + value.len());
    at_most_long(bytes.sum(), TEXT, "all attributes together").map(|()| all)
}

fn at_most_long(bytes: usize, bound: usize, what: &'static str) -> Result<(), DecodeError> {
    match bytes <= bound {
        true => Ok(()),
        false => Err(DecodeError::TooLong(what)),
    }
}

fn at_most(entries: usize, bound: usize, what: &'static str) -> Result<(), DecodeError> {
    match entries <= bound {
        true => Ok(()),
        false => Err(DecodeError::TooMany(what)),
    }
}

fn count(number: u64, what: &'static str) -> Result<u64, DecodeError> {
    match number <= HIGHEST {
        true => Ok(number),
        false => Err(DecodeError::OutOfRange(what)),
    }
}

fn within(number: f32, low: f32, high: f32, what: &'static str) -> Result<f32, DecodeError> {
    match number.is_finite() {
        true => Ok(number.clamp(low, high)),
        false => Err(DecodeError::OutOfRange(what)),
    }
}

fn distinct<T: Ord>(all: impl Iterator<Item = T>, what: &'static str) -> Result<(), DecodeError> {
    let mut seen = BTreeSet::new();
    for one in all {
        if !seen.insert(one) {
            return Err(DecodeError::Twice(what));
        }
    }
    Ok(())
}
