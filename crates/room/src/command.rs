//! What can happen to a room.

use std::collections::BTreeMap;
use std::sync::Arc;

use umbrella_media::{Codec, Kind};

use crate::mesh::{Data, LayerDemand, Order, Person};
use crate::model::{
    ClientFacts, Identity, LeaveReason, NodeId, ParticipantId, ParticipantKind, Permission, Source,
    TrackId, TrackSettings, VideoLayer,
};
use crate::quality::{Measured, QualityView};
use crate::sight::Sight;

/// What can happen to a room. Commands about participants or tracks that are gone are ignored:
/// they crossed with the effect that said so.
#[derive(Debug, Clone)]
pub enum Command {
    /// Somebody with a valid token is at the door.
    Join(Box<Join>),
    /// Somebody is gone, by will or by fault.
    Leave {
        /// Who.
        participant: ParticipantId,
        /// Why.
        reason: LeaveReason,
    },
    /// Media is up.
    MediaConnected {
        /// Whose.
        participant: ParticipantId,
    },
    /// Somebody who had lost its signalling connection is back, and may have missed anything.
    Resume {
        /// Who.
        participant: ParticipantId,
    },
    /// What somebody believes to publish, after it was away.
    ConfirmTracks {
        /// Who.
        participant: ParticipantId,
        /// What.
        tracks: Vec<TrackId>,
    },
    /// Somebody wants to publish a track.
    Publish {
        /// Who.
        participant: ParticipantId,
        /// What.
        track: Box<NewTrack>,
    },
    /// The engine has a producer for a published track: it can be subscribed to.
    TrackOpened {
        /// Which track.
        track: TrackId,
        /// What it will probably be encoded in.
        codec: Option<Codec>,
    },
    /// The engine has seen what a track is encoded in.
    TrackCodec {
        /// Which track.
        track: TrackId,
        /// What it is encoded in.
        codec: Codec,
    },
    /// The publisher has stopped a track.
    Unpublish {
        /// Which track.
        track: TrackId,
    },
    /// The publisher mutes or unmutes a track of its own.
    Mute {
        /// Who.
        participant: ParticipantId,
        /// Which track.
        track: TrackId,
        /// On or off.
        muted: bool,
    },
    /// The publisher corrects what it said of a track.
    UpdateTrack {
        /// Who.
        participant: ParticipantId,
        /// Which track.
        track: TrackId,
        /// What has changed.
        change: TrackChange,
    },
    /// Subscribe to tracks or stop it.
    Subscribe {
        /// Who.
        participant: ParticipantId,
        /// Which tracks.
        tracks: Vec<TrackId>,
        /// On or off.
        subscribe: bool,
    },
    /// How a subscriber wants to see tracks.
    SetTrackSettings {
        /// Who.
        participant: ParticipantId,
        /// Which tracks.
        tracks: Vec<TrackId>,
        /// How.
        settings: TrackSettings,
    },
    /// A publisher says who may have its tracks; until then everybody may.
    AllowSubscribers {
        /// Whose tracks.
        participant: ParticipantId,
        /// Who.
        allowed: AllowedSubscribers,
    },
    /// What has become of a subscription.
    Subscription {
        /// Whose.
        participant: ParticipantId,
        /// To which track.
        track: TrackId,
        /// What has become of it.
        report: SubscriptionReport,
    },
    /// A participant changes what others see of it; needs
    /// [`Permission::update_own_metadata`].
    UpdateSelf {
        /// Who.
        participant: ParticipantId,
        /// The client's number of this request.
        request: u32,
        /// What changes.
        change: ParticipantChange,
    },
    /// A data message.
    Data {
        /// From whom; `None` from the server.
        from: Option<ParticipantId>,
        /// To whom; empty means everybody else.
        to: Vec<Identity>,
        /// Over which kind of channel.
        reliability: Reliability,
        /// The message as it goes out.
        payload: Arc<[u8]>,
    },
    /// How loud tracks were in the last interval.
    AudioLevels(Vec<TrackLoudness>),
    /// How good connections were in the last interval.
    Measured(Vec<(ParticipantId, Measured)>),
    /// Nothing comes from somebody, who may be back; or it is back.
    ConnectionLost {
        /// Who.
        participant: ParticipantId,
        /// Lost or back.
        lost: bool,
    },
    /// A moderator or the operator does something.
    Moderate(Moderation),
    /// Another server has told something.
    Remote {
        /// Which server it is about.
        origin: NodeId,
        /// What.
        remote: Remote,
    },
}

/// What another server has told.
#[derive(Debug, Clone, PartialEq)]
pub enum Remote {
    /// A participant there, as it is now.
    Person(Box<Person>),
    /// It has left, or can no longer be reached.
    Gone {
        /// Who.
        participant: ParticipantId,
        /// Why.
        reason: LeaveReason,
    },
    /// A data message from there.
    Data(Box<Data>),
    /// How loud tracks there are.
    Levels(Arc<[TrackLoudness]>),
    /// How good connections there are.
    Qualities(Arc<[QualityView]>),
    /// What other servers want of a track here.
    Demanded {
        /// Which.
        track: TrackId,
        /// How much of it.
        layers: LayerDemand,
    },
    /// The way from there does not carry a track, or does so again.
    Starved {
        /// Which.
        track: TrackId,
        /// Whether nothing comes.
        starved: bool,
    },
    /// Something is to be done to a participant here.
    Order {
        /// Who.
        participant: ParticipantId,
        /// What.
        order: Order,
    },
    /// What belongs to the room as a whole has changed.
    State {
        /// The application's own.
        metadata: String,
        /// At most so many participants that are not hidden; 0 leaves it to the limits.
        max_participants: u32,
        /// It was ended for everybody.
        closed: bool,
    },
}

/// What the engine says of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionReport {
    /// Media is on its way.
    Started,
    /// The subscriber's path no longer carries even the least of the track (true), or does so
    /// again.
    Starved(bool),
    /// The engine could not serve it, and has given it up.
    Failed {
        /// What the subscriber cannot decode; `None` for any other reason.
        codec: Option<Codec>,
    },
}

/// Somebody with a valid token is at the door.
#[derive(Debug, Clone)]
pub struct Join {
    /// A new id for this stay.
    pub id: ParticipantId,
    /// Who.
    pub identity: Identity,
    /// Shown to people.
    pub name: String,
    /// The application's own.
    pub metadata: String,
    /// The application's own, by key.
    pub attributes: BTreeMap<String, String>,
    /// What kind of thing it is.
    pub kind: ParticipantKind,
    /// What it may do.
    pub permission: Permission,
    /// Which cameras it may see.
    pub sight: Sight,
    /// Milliseconds since the Unix epoch.
    pub joined_at_ms: u64,
    /// Subscribe to everything that is published.
    pub auto_subscribe: bool,
    /// The client will say what it shows: video starts small until then.
    pub adaptive_stream: bool,
    /// To relay.
    pub client: ClientFacts,
    /// To relay.
    pub capabilities: Vec<i32>,
}

/// A track that somebody wants to publish.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTrack {
    /// A new id for it.
    pub id: TrackId,
    /// The client's own name for it, echoed to it alone.
    pub client_id: String,
    /// Audio or video.
    pub kind: Kind,
    /// Where it comes from.
    pub source: Source,
    /// Shown to people.
    pub name: String,
    /// The stream that it belongs to.
    pub stream: String,
    /// Starts muted.
    pub muted: bool,
    /// Codec announced, if any.
    pub codec: Option<Codec>,
    /// Another codec that the publisher would send for those who cannot decode the first.
    pub backup: Option<Codec>,
    /// It is such a codec, of this track.
    pub backup_of: Option<TrackId>,
    /// Pixels of the largest layer.
    pub width: u32,
    /// Pixels of the largest layer.
    pub height: u32,
    /// Lowest first.
    pub layers: Vec<VideoLayer>,
    /// Opus without discontinuous transmission.
    pub disable_dtx: bool,
    /// Two channels.
    pub stereo: bool,
    /// Opus without redundancy.
    pub disable_red: bool,
    /// Relayed.
    pub encryption: i32,
    /// Relayed.
    pub audio_features: Vec<i32>,
}

/// A correction of a published track.
#[derive(Debug, Clone, PartialEq)]
pub enum TrackChange {
    /// The picture's size in pixels has changed.
    Video {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// Audio features have changed.
    Audio {
        /// The publisher's numbers.
        features: Vec<i32>,
    },
}

/// What others see of a participant; `None` leaves as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ParticipantChange {
    /// Shown to people.
    pub name: Option<String>,
    /// The application's own.
    pub metadata: Option<String>,
    /// Merged by key; an empty value removes the key.
    pub attributes: BTreeMap<String, String>,
}

/// Who may have somebody's tracks.
#[derive(Debug, Clone, PartialEq)]
pub enum AllowedSubscribers {
    /// Whoever is in.
    Everybody,
    /// These and nobody else. Who is listed twice may have what either entry allows.
    Listed(Vec<Allowance>),
}

/// What one other may have. It names somebody by stay or by identity; an entry that names nobody,
/// or two different ones, allows nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Allowance {
    /// A present stay.
    pub participant: Option<ParticipantId>,
    /// Whoever has this identity, also if it joins later.
    pub identity: Option<Identity>,
    /// Which tracks; `None` is all, those included that are published later.
    pub tracks: Option<Vec<TrackId>>,
}

/// How a data message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reliability {
    /// In order, resent until it arrives.
    Reliable,
    /// Sent once.
    Lossy,
}

/// How loud a track was.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackLoudness {
    /// Which.
    pub track: TrackId,
    /// -dBov, 0 (loud) to 127 (silent).
    pub level: u8,
    /// Share of packets that held voice, 0 to 1.
    pub voice: f32,
}

/// What a moderator or the operator does; the door has checked that they may.
#[derive(Debug, Clone)]
pub enum Moderation {
    /// Send somebody away.
    Remove {
        /// Whom.
        identity: Identity,
    },
    /// Mute or unmute somebody's track.
    Mute {
        /// Which track.
        track: TrackId,
        /// On or off.
        muted: bool,
    },
    /// Change what others see of somebody, and what they may do.
    Update {
        /// Whom.
        identity: Identity,
        /// What changes.
        change: ParticipantChange,
        /// What they may do from now on.
        permission: Option<Permission>,
    },
    /// Change the room's metadata.
    SetRoomMetadata {
        /// The application's own.
        metadata: String,
    },
    /// Let in more or fewer from now on; those who are in stay.
    SetMaxParticipants {
        /// At most so many that are not hidden; 0 leaves it to the limits.
        max_participants: u32,
    },
    /// End the room for everybody.
    Close {
        /// What they are told.
        reason: LeaveReason,
    },
}
