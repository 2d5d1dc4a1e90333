//! The nouns: participants, tracks, grants.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use umbrella_media::{Codec, Kind, Layer};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps the text; the door that parsed it has checked its length.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                $name(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// One stay of one participant, `PA_…`; new at every join, unique in all sites.
    ParticipantId
);
name!(
    /// One published track, `TR_…`; unique in all sites.
    TrackId
);
name!(
    /// Who a participant is, as the token says; unique in a room.
    Identity
);
name!(
    /// The name of a room.
    RoomName
);
name!(
    /// A server, for as long as its data directory lives.
    NodeId
);

/// What kind of thing takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ParticipantKind {
    /// A person's client.
    Standard,
    /// A source that was brought in, such as a camera.
    Ingress,
    /// A recorder.
    Egress,
    /// A telephone.
    Sip,
    /// A program.
    Agent,
}

/// Where a track comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Not said.
    Unknown,
    /// A camera.
    Camera,
    /// A microphone.
    Microphone,
    /// A shared screen's picture.
    ScreenShare,
    /// A shared screen's sound.
    ScreenShareAudio,
}

/// What a participant may do, from its token, and changed by moderators later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Receive tracks.
    pub subscribe: bool,
    /// Send tracks.
    pub publish: bool,
    /// Send data messages.
    pub publish_data: bool,
    /// The sources it may publish; empty means all.
    pub sources: Vec<Source>,
    /// Change its own name, metadata and attributes.
    pub update_own_metadata: bool,
    /// Take part unseen by the others.
    pub hidden: bool,
    /// A recorder: others may be told that they are recorded.
    pub recorder: bool,
}

impl Permission {
    /// May publish this source.
    pub fn may_publish(&self, source: Source) -> bool {
        self.publish && (self.sources.is_empty() || self.sources.contains(&source))
    }
}

/// What is relayed between clients without being understood here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientFacts {
    /// The client-to-client protocol (RPC, streams) that it speaks.
    pub client_protocol: i32,
}

/// A participant as others see it.
#[derive(Debug, Clone, PartialEq)]
pub struct ParticipantView {
    /// This stay.
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
    /// Where it is in its life.
    pub state: ParticipantState,
    /// Milliseconds since the Unix epoch.
    pub joined_at_ms: u64,
    /// Grows with every change, so that a late message can be told from a new one.
    pub version: u32,
    /// What it may do.
    pub permission: Permission,
    /// Whether it sends at least one track.
    pub publishing: bool,
    /// Capabilities to relay: the client's own numbers.
    pub client: ClientFacts,
    /// Further capabilities to relay, as the client gave them.
    pub capabilities: Vec<i32>,
    /// Why it left, once it has.
    pub left: Option<LeaveReason>,
    /// Its published tracks, oldest first.
    pub tracks: Vec<TrackView>,
}

/// A participant's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParticipantState {
    /// The signalling connection is up.
    Joined,
    /// Media is up as well.
    Active,
    /// Gone.
    Left,
}

/// Why a participant left or was made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LeaveReason {
    /// It said so.
    Asked,
    /// The same identity has joined anew.
    DuplicateIdentity,
    /// A moderator removed it.
    Removed,
    /// The room was deleted.
    RoomDeleted,
    /// The server is going down; the client should come back.
    ServerShutdown,
    /// Media never came up, or was lost for too long.
    ConnectionLost,
    /// The signalling connection broke.
    SignalLost,
    /// It broke the protocol or a limit.
    Misbehaved,
    /// Its state does not fit ours; it should join anew.
    StateMismatch,
}

/// A track as others see it.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackView {
    /// This track.
    pub id: TrackId,
    /// Audio or video.
    pub kind: Kind,
    /// Where it comes from.
    pub source: Source,
    /// Shown to people.
    pub name: String,
    /// The publisher's name of the stream it belongs to.
    pub stream: String,
    /// Silenced by its publisher or a moderator.
    pub muted: bool,
    /// What it is encoded in, once known.
    pub codec: Option<Codec>,
    /// Size of the largest layer in pixels, 0 if not said.
    pub width: u32,
    /// Size of the largest layer in pixels, 0 if not said.
    pub height: u32,
    /// The layers that the publisher announced, lowest first.
    pub layers: Vec<VideoLayer>,
    /// More than one encoding.
    pub simulcast: bool,
    /// Opus without discontinuous transmission.
    pub disable_dtx: bool,
    /// Two channels.
    pub stereo: bool,
    /// Opus without redundancy.
    pub disable_red: bool,
    /// End-to-end encryption, as the publisher's number: not ours to read.
    pub encryption: i32,
    /// Audio features, as the publisher's numbers.
    pub audio_features: Vec<i32>,
}

/// One announced layer of a video track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoLayer {
    /// 0 lowest to 2 highest.
    pub quality: u8,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Bits per second, 0 if not said.
    pub bitrate: u32,
    /// The simulcast encoding's name, empty if not said.
    pub rid: String,
}

/// How a subscriber wants to see a track: adaptive stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackSettings {
    /// Not shown at all now.
    pub disabled: bool,
    /// The size of its tile in pixels; 0 if not said.
    pub width: u32,
    /// The size of its tile in pixels; 0 if not said.
    pub height: u32,
    /// The highest layer wanted when no size is said.
    pub quality: Option<Layer>,
    /// Frames per second, 0 if not said.
    pub frame_rate: u32,
}

/// A room as participants see it.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomView {
    /// This life of the room, `RM_…`.
    pub sid: String,
    /// Its name.
    pub name: RoomName,
    /// The application's own.
    pub metadata: String,
    /// At most so many participants; 0 is unbounded.
    pub max_participants: u32,
    /// Seconds since the Unix epoch.
    pub created_at_s: u64,
    /// Participants that are not hidden.
    pub participants: u32,
    /// Of these, the ones that publish.
    pub publishers: u32,
    /// A recorder takes part.
    pub recording: bool,
}

/// One who speaks.
#[derive(Debug, Clone, PartialEq)]
pub struct Speaker {
    /// Who.
    pub participant: ParticipantId,
    /// 0 (silent) to 1 (loudest).
    pub level: f32,
    /// Whether it speaks now; false exactly once, when it has stopped.
    pub active: bool,
}
