//! What servers tell each other over a link.

use std::sync::Arc;

use crate::access::Access;
use crate::command::{ParticipantChange, TrackLoudness};
use crate::model::{
    Identity, LeaveReason, NodeId, ParticipantId, ParticipantView, Permission, RoomName, TrackId,
    TrackView,
};
use crate::quality::QualityView;
use umbrella_media::Codec;

use super::demand::LayerDemand;
use super::topology::NodeState;

/// What servers tell each other over a link. Messages that do not fit the state of things are
/// ignored: they crossed with the message that changed it.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// An origin can be heard of through the sender.
    Route(Route),
    /// It no longer can.
    Unroute {
        /// Which room.
        room: RoomName,
        /// Who.
        origin: NodeId,
        /// The origin itself has said so: whatever was announced of this life or an earlier one is
        /// void, from whomever it came.
        ended: Option<Life>,
    },
    /// The sender wants to hear of an origin's participants.
    Follow {
        /// Which room.
        room: RoomName,
        /// Who.
        origin: NodeId,
        /// The last data message that it has; those that came after it, and are still known, are
        /// to be sent again. `None` if it has none and wants only new ones.
        data: Option<DataNumber>,
        /// Never used twice by the sender.
        number: u64,
    },
    /// What is said of the origin from here on answers that [`Message::Follow`]; what came before
    /// was meant for an earlier one.
    Followed {
        /// Which room.
        room: RoomName,
        /// Who.
        origin: NodeId,
        /// The number of the `Follow`.
        number: u64,
    },
    /// The sender does not want to any more.
    Unfollow {
        /// Which room.
        room: RoomName,
        /// Who.
        origin: NodeId,
    },
    /// A participant of an origin as it is now.
    Person {
        /// Which room.
        room: RoomName,
        /// Where it takes part.
        origin: NodeId,
        /// As it is.
        person: Box<Person>,
    },
    /// It has left.
    Gone {
        /// Which room.
        room: RoomName,
        /// Where it took part.
        origin: NodeId,
        /// Who.
        participant: ParticipantId,
        /// Why.
        reason: LeaveReason,
    },
    /// All participants of an origin have been named since `Follow`.
    Synced {
        /// Which room.
        room: RoomName,
        /// Whose.
        origin: NodeId,
    },
    /// What the sender wants of a track from now on.
    Demand {
        /// Which room.
        room: RoomName,
        /// Where it is published.
        origin: NodeId,
        /// What.
        track: TrackId,
        /// How much of it.
        layers: LayerDemand,
    },
    /// The link does not carry what is wanted of a track, or does so again.
    Starved {
        /// Which room.
        room: RoomName,
        /// Where it is published.
        origin: NodeId,
        /// What.
        track: TrackId,
        /// Whether nothing is sent.
        starved: bool,
    },
    /// A data message.
    Data {
        /// Which room.
        room: RoomName,
        /// Where it comes from.
        origin: NodeId,
        /// The message.
        data: Data,
    },
    /// How loud tracks of an origin are.
    Levels {
        /// Which room.
        room: RoomName,
        /// Where they are published.
        origin: NodeId,
        /// Who is not named is silent.
        levels: Arc<[TrackLoudness]>,
    },
    /// How good connections of an origin's participants are.
    Qualities {
        /// Which room.
        room: RoomName,
        /// Where they take part.
        origin: NodeId,
        /// Of those of whom it has changed.
        qualities: Arc<[QualityView]>,
    },
    /// Something that a participant's own server has to do.
    Order {
        /// Which room.
        room: RoomName,
        /// Where it takes part.
        origin: NodeId,
        /// Who.
        participant: ParticipantId,
        /// What.
        order: Order,
        /// How many more servers it may pass.
        hops: u32,
    },
    /// What belongs to a room as a whole.
    State(RoomState),
    /// A server and its links.
    Node(NodeState),
}

/// One life of an origin in a room. Later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life {
    /// The server's run; a later run has a greater number.
    pub incarnation: u64,
    /// Counted up whenever somebody is in the room again after nobody was.
    pub serial: u64,
}

/// How an origin is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Which room.
    pub room: RoomName,
    /// Which life of the origin.
    pub life: Life,
    /// From the origin to the sender of this, both included.
    pub path: Arc<[NodeId]>,
    /// Sum of the round-trip times of its links in milliseconds.
    pub rtt_ms: u32,
    /// Media can pass on the whole way.
    pub media: bool,
    /// Nothing comes over one of its links for the time being.
    pub silent: bool,
}

/// A participant as servers know it.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// What others see of it. Tracks are in [`Person::tracks`] instead, as there are more of them.
    pub view: Arc<ParticipantView>,
    /// Every track that can be had, further codecs included.
    pub tracks: Vec<PersonTrack>,
    /// Whom it lets have them.
    pub access: Arc<Access>,
}

impl Person {
    /// About how many bytes it takes to keep.
    pub(super) fn size(&self) -> usize {
        let view = &self.view;
        let attributes = view.attributes.iter();
        let attributes: usize = attributes.map(|(key, value)| key.len() + value.len()).sum();
        let tracks = self.tracks.iter().map(|it| it.view.name.len());
        let tracks: usize = tracks.map(|name| name + size_of::<PersonTrack>()).sum();
        let texts = view.name.len() + view.metadata.len() + attributes + tracks;
        texts + size_of::<ParticipantView>()
    }
}

/// A track as servers know it.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonTrack {
    /// What others see of it.
    pub view: TrackView,
    /// Another codec that its publisher would send for those who cannot decode this one.
    pub backup: Option<Codec>,
    /// It is such a codec, of this track.
    pub backup_of: Option<TrackId>,
}

/// The place of a data message among those of its origin: later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataNumber {
    /// The origin's run.
    pub incarnation: u64,
    /// Counted up, from 1.
    pub number: u64,
}

/// A data message between servers.
#[derive(Debug, Clone, PartialEq)]
pub struct Data {
    /// `None` for one that may be lost.
    pub number: Option<DataNumber>,
    /// From whom; `None` from the server.
    pub from: Option<ParticipantId>,
    /// To whom; empty means everybody else.
    pub to: Vec<Identity>,
    /// The message as it goes out.
    pub payload: Arc<[u8]>,
}

/// Something that a participant's own server has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Mute or unmute its track.
    Mute {
        /// Which.
        track: TrackId,
        /// On or off.
        muted: bool,
    },
    /// Send it away.
    Remove,
    /// Change what others see of it, and what it may do.
    Update {
        /// What changes.
        change: ParticipantChange,
        /// What it may do from now on.
        permission: Option<Permission>,
    },
    /// Somebody cannot decode its track.
    Undecodable {
        /// Which.
        track: TrackId,
        /// What it is encoded in.
        codec: Codec,
    },
}

impl Order {
    /// Whether only moderators may want it.
    pub fn is_moderation(&self) -> bool {
        match self {
            Order::Mute { .. } | Order::Remove | Order::Update { .. } => true,
            Order::Undecodable { .. } => false,
        }
    }
}

/// What belongs to a room as a whole. The highest version counts; of equals that of the greater
/// node, in its latest run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomState {
    /// Which room.
    pub room: RoomName,
    /// Counted up with every change.
    pub version: u64,
    /// Who has made this version.
    pub node: NodeId,
    /// In which run.
    pub incarnation: u64,
    /// The application's own.
    pub metadata: String,
    /// At most so many participants that are not hidden; 0 leaves it to the limits.
    pub max_participants: u32,
    /// It was ended for everybody.
    pub closed: bool,
}

impl RoomState {
    pub(crate) fn is_newer_than(&self, other: &RoomState) -> bool {
        let order = |state: &RoomState| (state.version, state.node.clone(), state.incarnation);
        order(self) > order(other)
    }
}

impl Message {
    /// The room that it is about, if it is about one.
    pub fn room(&self) -> Option<&RoomName> {
        match self {
            Message::Node(_) => None,
            Message::Route(route) => Some(&route.room),
            Message::State(state) => Some(&state.room),
            Message::Unroute { room, .. }
            | Message::Follow { room, .. }
            | Message::Unfollow { room, .. }
            | Message::Person { room, .. }
            | Message::Gone { room, .. }
            | Message::Followed { room, .. }
            | Message::Synced { room, .. }
            | Message::Demand { room, .. }
            | Message::Starved { room, .. }
            | Message::Data { room, .. }
            | Message::Levels { room, .. }
            | Message::Qualities { room, .. }
            | Message::Order { room, .. } => Some(room),
        }
    }

    /// The origin that it is about, if it is about one.
    pub fn origin(&self) -> Option<&NodeId> {
        match self {
            Message::Route(route) => route.origin(),
            Message::State(_) | Message::Node(_) => None,
            Message::Unroute { origin, .. }
            | Message::Follow { origin, .. }
            | Message::Unfollow { origin, .. }
            | Message::Person { origin, .. }
            | Message::Gone { origin, .. }
            | Message::Followed { origin, .. }
            | Message::Synced { origin, .. }
            | Message::Demand { origin, .. }
            | Message::Starved { origin, .. }
            | Message::Data { origin, .. }
            | Message::Levels { origin, .. }
            | Message::Qualities { origin, .. }
            | Message::Order { origin, .. } => Some(origin),
        }
    }
}
