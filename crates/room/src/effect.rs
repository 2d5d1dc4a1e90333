//! What follows from a command.

use std::sync::Arc;

use umbrella_media::{Codec, Delivery, Spatial};

use crate::command::Reliability;
use crate::model::{
    LeaveReason, ParticipantId, ParticipantView, RoomView, Speaker, TrackId, TrackView,
};
use crate::quality::QualityView;

/// What the owner of a room has to do, in this order.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Tell a participant's client something.
    Notify {
        /// Whom.
        to: ParticipantId,
        /// What.
        notification: Notification,
    },
    /// A participant is gone: close its transports after telling it.
    Disconnect {
        /// Whom.
        participant: ParticipantId,
        /// Why.
        reason: LeaveReason,
    },
    /// Start to forward a track to a subscriber.
    OpenConsumer {
        /// To whom.
        subscriber: ParticipantId,
        /// Whose.
        publisher: ParticipantId,
        /// What.
        track: TrackId,
        /// The name under which the subscriber knows it.
        shown: TrackId,
        /// How much of it.
        delivery: Delivery,
    },
    /// Forward more or less of a track.
    ConfigureConsumer {
        /// To whom.
        subscriber: ParticipantId,
        /// What.
        track: TrackId,
        /// How much of it.
        delivery: Delivery,
    },
    /// Forward a track no longer.
    CloseConsumer {
        /// To whom.
        subscriber: ParticipantId,
        /// What.
        track: TrackId,
    },
    /// Drop what arrives of a track, or let it through again.
    PauseProducer {
        /// What.
        track: TrackId,
        /// Drop or not.
        paused: bool,
    },
    /// Measure what arrives of a track and forward nothing, as others are louder; or forward it
    /// again.
    QuietProducer {
        /// What.
        track: TrackId,
        /// Quiet or heard.
        quiet: bool,
    },
    /// A track has ended.
    CloseProducer {
        /// What.
        track: TrackId,
    },
    /// Send a data message.
    SendData {
        /// To whom, each once.
        to: Vec<ParticipantId>,
        /// Over which kind of channel.
        reliability: Reliability,
        /// The message.
        payload: Arc<[u8]>,
    },
    /// Nobody is left here.
    Empty,
}

/// What a participant's client is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Notification {
    /// It is in. Always the first.
    Joined(Box<Snapshot>),
    /// Others, or itself, have changed. Always before media of somebody new.
    /// The views are shared between all who are told, so their encoding can be as well.
    Participants(Vec<Arc<ParticipantView>>),
    /// Its track was accepted.
    TrackPublished {
        /// The client's own name for it.
        client_id: String,
        /// What others will see.
        track: Box<TrackView>,
        /// If it is a further codec: of this track, under whose name clients know it.
        first: Option<TrackId>,
    },
    /// Its track was refused.
    TrackRefused {
        /// The client's own name for it.
        client_id: String,
        /// Why.
        reason: Refusal,
    },
    /// Its track was ended by somebody else.
    TrackUnpublished {
        /// Which.
        track: TrackId,
    },
    /// Somebody hears or sees its track for the first time.
    TrackSubscribed {
        /// Which.
        track: TrackId,
    },
    /// What of its video track is wanted: it need not send more. Until it is told otherwise,
    /// everything is.
    LayersWanted {
        /// Which.
        track: TrackId,
        /// What it has announced, or is known, to send it with.
        codec: Option<Codec>,
        /// This layer and those below it; `None` is nothing at all.
        highest: Option<Spatial>,
    },
    /// It has to mute or unmute its track: a moderator did so.
    TrackMuted {
        /// Which.
        track: TrackId,
        /// On or off.
        muted: bool,
    },
    /// It cannot have a track.
    SubscriptionFailed {
        /// Which.
        track: TrackId,
        /// What it cannot decode; `None` for any other reason.
        codec: Option<Codec>,
    },
    /// A track is not sent because the path does not carry it, or is sent again.
    StreamPaused {
        /// Whose.
        publisher: ParticipantId,
        /// Which.
        track: TrackId,
        /// Not sent, or sent.
        paused: bool,
    },
    /// The publisher does not let it have a track, or lets it have it again. Until it is told
    /// otherwise it may.
    SubscriptionAllowed {
        /// Whose.
        publisher: ParticipantId,
        /// Which.
        track: TrackId,
        /// May it or not.
        allowed: bool,
    },
    /// The room has changed.
    Room(Arc<RoomView>),
    /// Who has begun to speak, changed in loudness, or stopped.
    Speakers(Arc<[Speaker]>),
    /// How good connections are, of those of whom it has changed.
    Qualities(Arc<[QualityView]>),
    /// The answer to a numbered request.
    Response {
        /// The client's number.
        request: u32,
        /// How it went.
        result: Result<(), Refusal>,
    },
    /// It has to go.
    Leave(LeaveReason),
}

/// What somebody learns on joining.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The room.
    pub room: RoomView,
    /// Itself.
    pub participant: Arc<ParticipantView>,
    /// Everybody else who is not hidden.
    pub others: Vec<Arc<ParticipantView>>,
}

/// Why something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The token does not allow it.
    NotAllowed,
    /// There is no such thing.
    NotFound,
    /// A configured limit is reached.
    LimitExceeded,
    /// It is already there.
    Duplicate,
    /// The room is full.
    RoomFull,
    /// The server has no memory left for it. Not decided here, but told as all other refusals are.
    NoMemory,
}
