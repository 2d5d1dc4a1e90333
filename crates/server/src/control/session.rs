//! The registry of sessions: who is connected, over which peer connections, and the way to them.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::mpsc;
use umbrella_engine::{
    Channel, ConsumerId, Negotiation, OpenSection, Protocol, PublishOptions, Section, TransportId,
};
use umbrella_media::{Codec, Kind};
use umbrella_room::Notification;
use umbrella_room::command::Join;
use umbrella_room::model::{Identity, LeaveReason, ParticipantId, RoomName, TrackId};

use super::data::PendingData;
use super::handle::{Joining, Links, SessionId, SocketId};
use crate::auth::Bearer;

/// Events that wait for a session's client. A session that falls behind by so many does not read
/// its socket, and is ended: nobody else waits for it.
const OUTBOX: usize = 1024;

impl SessionId {
    /// A new name.
    pub(crate) fn next() -> SessionId {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        SessionId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What a session's client is to be told.
#[derive(Debug)]
pub enum Event {
    /// By the room.
    Notify(Notification),
    /// The answer to its offer.
    Answer {
        /// The client's number of the offer.
        offer: u32,
        /// The text.
        sdp: String,
        /// Every section that carries something for the client.
        sections: Vec<Section>,
    },
    /// Our offer.
    Offer {
        /// Our number of it.
        offer: u32,
        /// The text.
        sdp: String,
        /// Every section that carries something for the client.
        sections: Vec<Section>,
    },
    /// It should offer again, with that many more sections to receive in.
    SectionsWanted {
        /// More for audio.
        audio: u32,
        /// More for video.
        video: u32,
    },
    /// It goes on with the session that it had.
    Resumed {
        /// The number of its last reliable data message that has arrived, 0 if none has.
        last_message: u32,
    },
    /// It was not let in.
    Refused(super::Admission),
    /// The session is over: nothing comes after this.
    End(LeaveReason),
}

impl Event {
    pub(super) fn answer(offer: u32, sdp: String, sections: Vec<Section>) -> Event {
        Event::Answer {
            offer,
            sdp,
            sections,
        }
    }

    pub(super) fn offer(offer: u32, sdp: String, sections: Vec<Section>) -> Event {
        Event::Offer {
            offer,
            sdp,
            sections,
        }
    }
}

/// The sending end of a session's bounded queue of events.
pub type Outbox = mpsc::Sender<Event>;

/// A session's bounded queue of events.
pub fn outbox() -> (Outbox, mpsc::Receiver<Event>) {
    mpsc::channel(OUTBOX)
}

/// One of a session's peer connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The only one.
    Single,
    /// The client sends on it.
    Publisher,
    /// The client receives on it.
    Subscriber,
}

impl Role {
    pub(super) fn negotiation(self) -> Negotiation {
        match self {
            Role::Single | Role::Publisher => Negotiation::PeerOffers,
            Role::Subscriber => Negotiation::WeOffer,
        }
    }
}

/// A peer connection as its session sees it.
#[derive(Debug)]
pub(super) struct Transport {
    pub(super) id: TransportId,
    pub(super) role: Role,
    /// Over what it was connected last; `None` before it came up for the first time.
    pub(super) connected: Option<Protocol>,
    /// Nothing comes over it any more.
    pub(super) interrupted: bool,
}

/// A track that was accepted and has no section yet.
#[derive(Debug)]
pub(super) struct Announced {
    pub(super) track: TrackId,
    pub(super) client_id: String,
    pub(super) kind: Kind,
    /// What it is to be sent with, if the client's offer has it.
    pub(super) codec: Option<Codec>,
    /// Opus: whether it may stop while nobody speaks.
    pub(super) dtx: bool,
}

/// The way to a session's client.
#[derive(Debug)]
pub(super) enum Signal {
    /// There is a socket.
    Open {
        /// Where everything for it goes.
        outbox: Outbox,
    },
    /// The client has lost its socket, and may come back with another one until then. What it is
    /// told meanwhile is not kept: all of it is said anew.
    Lost {
        /// When the session ends.
        until: Instant,
    },
    /// Nobody is told over a socket: it is a camera of this server.
    Camera {
        /// Which one.
        id: String,
    },
}

/// One client, connected or expected back.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) room: RoomName,
    pub(super) participant: ParticipantId,
    pub(super) identity: Identity,
    pub(super) bearer: Bearer,
    /// Whether its token, or an application since, lets it publish: moderators of the page can
    /// give it back, not more.
    pub(super) may_publish: bool,
    pub(super) client: String,
    pub(super) worker: usize,
    pub(super) links: Links,
    pub(super) stream_names: bool,
    pub(super) signal: Signal,
    /// The number of its present socket, or of its last one.
    pub(super) sockets: u32,
    pub(super) transports: Vec<Transport>,
    /// When it came in.
    pub(super) joined: Instant,
    /// Whether the room was told that media is up.
    pub(super) active: bool,
    /// Whether the room was told that nothing comes from it.
    pub(super) lost: bool,
    /// Whether the room was told that it goes.
    pub(super) leaving: bool,
    /// Oldest first.
    pub(super) announced: VecDeque<Announced>,
    /// Oldest first.
    pub(super) sections: VecDeque<OpenSection>,
    /// What it publishes, with a section or without.
    pub(super) tracks: Vec<TrackId>,
    pub(super) consumers: HashMap<TrackId, ConsumerId>,
    pub(super) data: PendingData,
}

impl Session {
    /// The session of somebody who comes in.
    pub(super) fn new(id: SessionId, now: Instant, worker: usize, joining: &Joining) -> Session {
        let signal = Signal::Open {
            outbox: joining.outbox.clone(),
        };
        Session {
            bearer: joining.bearer,
            client: joining.client.clone(),
            links: joining.links,
            stream_names: joining.stream_names,
            ..Session::within(id, now, worker, &joining.room, &joining.join, signal)
        }
    }

    /// The session of a camera.
    pub(super) fn of_camera(
        id: SessionId,
        now: Instant,
        worker: usize,
        room: &RoomName,
        join: &Join,
    ) -> Session {
        let camera = join.identity.to_string();
        let signal = Signal::Camera { id: camera };
        Session {
            active: true,
            client: "camera".to_owned(),
            ..Session::within(id, now, worker, room, join, signal)
        }
    }

    fn within(
        id: SessionId,
        now: Instant,
        worker: usize,
        room: &RoomName,
        join: &Join,
        signal: Signal,
    ) -> Session {
        Session {
            id,
            room: room.clone(),
            participant: join.id.clone(),
            identity: join.identity.clone(),
            bearer: Bearer::Application,
            may_publish: join.permission.publish,
            client: String::new(),
            worker,
            links: Links::One,
            stream_names: false,
            signal,
            sockets: 0,
            transports: Vec::new(),
            joined: now,
            active: false,
            lost: false,
            leaving: false,
            announced: VecDeque::new(),
            sections: VecDeque::new(),
            tracks: Vec::new(),
            consumers: HashMap::new(),
            data: PendingData::new(now),
        }
    }

    /// Where what its client is told goes, if there is a socket.
    pub(super) fn outbox(&self) -> Option<&Outbox> {
        match &self.signal {
            Signal::Open { outbox } => Some(outbox),
            Signal::Lost { .. } | Signal::Camera { .. } => None,
        }
    }

    /// Which camera it is, if it is one.
    pub(super) fn camera(&self) -> Option<&str> {
        match &self.signal {
            Signal::Camera { id } => Some(id),
            Signal::Open { .. } | Signal::Lost { .. } => None,
        }
    }

    pub(super) fn transport(&self, role: Role) -> Option<&Transport> {
        self.transports.iter().find(|t| t.role == role)
    }

    pub(super) fn transport_mut(&mut self, id: TransportId) -> Option<&mut Transport> {
        self.transports.iter_mut().find(|t| t.id == id)
    }

    /// How the client wants to send the tracks that it has announced and not offered yet.
    pub(super) fn publish_options(&self) -> Vec<PublishOptions> {
        let options = |announced: &Announced| PublishOptions {
            track: announced.client_id.clone(),
            kind: announced.kind,
            codec: announced.codec,
            dtx: announced.dtx,
        };
        self.announced.iter().map(options).collect()
    }

    /// The connection on which the client offers.
    pub(super) fn offering_role(&self) -> Role {
        match self.links {
            Links::One => Role::Single,
            Links::Two { .. } => Role::Publisher,
        }
    }

    /// The connection on which the client receives.
    pub(super) fn receiving_role(&self) -> Role {
        match self.links {
            Links::One => Role::Single,
            Links::Two { .. } => Role::Subscriber,
        }
    }

    /// The connection over which data goes to the client.
    pub(super) fn data_role(&self) -> Role {
        match self.links {
            Links::One => Role::Single,
            Links::Two {
                subscriber_first: true,
            } => Role::Subscriber,
            Links::Two {
                subscriber_first: false,
            } => Role::Publisher,
        }
    }

    /// What the client is connected over, for people.
    pub(super) fn protocol(&self) -> &'static str {
        let protocols = || self.transports.iter().filter_map(|t| t.connected);
        if protocols().any(|p| p == Protocol::Tcp) {
            "tcp"
        } else if protocols().next().is_some() {
            "udp"
        } else {
            ""
        }
    }
}

/// Everybody who is connected.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_id: HashMap<SessionId, Session>,
    by_participant: HashMap<ParticipantId, SessionId>,
    by_transport: HashMap<TransportId, SessionId>,
}

impl Sessions {
    pub(super) fn insert(&mut self, session: Session) {
        self.by_participant
            .insert(session.participant.clone(), session.id);
        self.by_id.insert(session.id, session);
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.by_id.remove(&id)?;
        self.by_participant.remove(&session.participant);
        for transport in &session.transports {
            self.by_transport.remove(&transport.id);
        }
        Some(session)
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.by_id.get_mut(&id)
    }

    /// The session that a socket serves: none if it has another one by now.
    pub(super) fn at(&self, socket: SocketId) -> Option<&Session> {
        let session = self.by_id.get(&socket.session)?;
        (session.sockets == socket.number).then_some(session)
    }

    pub(super) fn of(&self, participant: &ParticipantId) -> Option<&Session> {
        self.by_id.get(self.by_participant.get(participant)?)
    }

    pub(super) fn of_mut(&mut self, participant: &ParticipantId) -> Option<&mut Session> {
        self.by_id.get_mut(self.by_participant.get(participant)?)
    }

    pub(super) fn with_transport(&mut self, transport: TransportId) -> Option<&mut Session> {
        self.by_id.get_mut(self.by_transport.get(&transport)?)
    }

    /// Notes a new peer connection of a session.
    pub(super) fn add_transport(&mut self, id: SessionId, transport: TransportId, role: Role) {
        if let Some(session) = self.by_id.get_mut(&id) {
            session.transports.push(Transport {
                id: transport,
                role,
                connected: None,
                interrupted: false,
            });
            self.by_transport.insert(transport, id);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.by_id.values()
    }
}

/// The channels that a session's client has open for us.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct OpenChannels {
    reliable: bool,
    lossy: bool,
}

impl OpenChannels {
    pub(super) fn open(&mut self, channel: Channel) {
        match channel {
            Channel::Reliable => self.reliable = true,
            Channel::Lossy => self.lossy = true,
            Channel::DataTrack => {}
        }
    }

    pub(super) fn is_open(self, channel: Channel) -> bool {
        match channel {
            Channel::Reliable => self.reliable,
            Channel::Lossy => self.lossy,
            Channel::DataTrack => false,
        }
    }
}
