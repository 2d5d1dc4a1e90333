//! How the rest of the server talks to the owner of the rooms.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use umbrella_engine::LocalAddress;
use umbrella_room::command::Join;
use umbrella_room::model::{Identity, LeaveReason, RoomName};
use umbrella_room::{Command, Sight};

use super::Bounds;
use super::camera::CameraMessage;
use super::outside::Question;
use super::probe::Offer;
use super::resume::Resuming;
use super::service::Service;
use super::session::Outbox;
use crate::auth::Bearer;
use crate::camera::{CameraSpec, CameraStatus};
use crate::http::api::{Held, RoomDetail, RoomSummary, Topology, WorkerStatus};
use crate::memory::{Memory, NoMemory};
use crate::metrics::{Doors, Snapshot};
use crate::net::Advertised;
use crate::trunk::LinkEvent;

/// How many messages wait for the owner of the rooms. When it is full, who sends waits: a
/// session then reads nothing from its socket, so that a flood slows down its own source.
pub(super) const INBOX: usize = 1024;

/// How long [`Handle::shutdown`] waits for clients to be told.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(3);

/// A way to the owner of the rooms. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    inbox: mpsc::Sender<Message>,
    /// What is advertised for media.
    advertised: Arc<Mutex<Arc<Advertised>>>,
    ports: Arc<[u16]>,
    doors: Arc<Doors>,
    memory: Memory,
    /// Whom the calls of whoever has it concern: of others nothing is said, and nothing is done to
    /// them.
    sight: Sight,
}

/// Names a signalling connection; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub(super) u64);

/// Names one socket of a session: a client that loses its network comes back with another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketId {
    pub(super) session: SessionId,
    pub(super) number: u32,
}

impl SocketId {
    /// The first one of a session.
    pub(crate) fn first(session: SessionId) -> SocketId {
        SocketId { session, number: 0 }
    }
}

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Population {
    /// Rooms.
    pub(crate) rooms: usize,
    /// Participants of all of them.
    pub(crate) participants: u64,
}

/// Somebody comes in.
#[derive(Debug)]
pub struct Joining {
    /// To which room; made if it does not exist and the configuration allows it.
    pub room: RoomName,
    /// Who.
    pub join: Box<Join>,
    /// Who stands behind the token.
    pub bearer: Bearer,
    /// How its peer connections are laid out.
    pub links: Links,
    /// SDK and version, for people.
    pub client: String,
    /// Whether streams may be named after the publisher's streams, so that audio and video play
    /// in sync. Firefox makes up track ids of its own, and needs the track in the stream's name.
    pub stream_names: bool,
    /// Where everything for this session goes.
    pub outbox: Outbox,
}

/// How a session's peer connections are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// One connection; the client offers.
    One,
    /// One to publish, on which the client offers, and one to subscribe, on which we offer.
    Two {
        /// The subscriber's connection comes first and carries our data; otherwise each is made
        /// when it is needed and data goes over the publisher's.
        subscriber_first: bool,
    },
}

/// What a session sends.
#[derive(Debug)]
pub enum SessionInput {
    /// For the room.
    Command(Box<Command>),
    /// An offer for the connection on which the client offers.
    Offer {
        /// The client's number.
        offer: u32,
        /// The text.
        sdp: String,
    },
    /// An answer to our offer.
    Answer {
        /// Our number.
        offer: u32,
        /// The text.
        sdp: String,
    },
    /// An ICE candidate.
    Candidate {
        /// Whether it is for the connection on which we offer.
        subscriber: bool,
        /// `candidate:…`.
        candidate: String,
    },
}

/// Why nobody may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Admission {
    /// The room does not exist, and may not be made by joining.
    #[error("requested room does not exist")]
    NoSuchRoom,
    /// As many as may are in.
    #[error("the room is full")]
    RoomFull,
    /// As many rooms as may be exist.
    #[error("too many rooms")]
    TooManyRooms,
    /// What the token says of the participant is beyond the limits.
    #[error("name, metadata or attributes are too large")]
    LimitExceeded,
    /// The token does not allow it.
    #[error("the token does not allow it")]
    NotAllowed,
    /// A guest whom a moderator has removed a while ago.
    #[error("a moderator has removed this guest from the room")]
    Removed,
    /// The server has no memory left for one more.
    #[error("{NoMemory}")]
    NoMemory,
    /// The server is going down.
    #[error("the server is shutting down")]
    ShuttingDown,
}

impl From<NoMemory> for Admission {
    fn from(NoMemory: NoMemory) -> Admission {
        Admission::NoMemory
    }
}

/// Why an administrator's call had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// No such room.
    #[error("there is no such room")]
    NoSuchRoom,
    /// The participant's own token does not allow it.
    #[error("the token of that participant does not allow it")]
    NotGranted,
    /// No such participant.
    #[error("there is no such participant")]
    NoSuchParticipant,
    /// No such track.
    #[error("there is no such track")]
    NoSuchTrack,
    /// The room exists already and is permanent.
    #[error("the room exists already")]
    RoomExists,
    /// As many rooms as may be exist.
    #[error("too many rooms")]
    TooManyRooms,
    /// Beyond the limits.
    #[error("the name, the metadata, the attributes or the message are too large")]
    TooLarge,
    /// The server is going down.
    #[error("the server is shutting down")]
    ShuttingDown,
}

/// What the owner of the rooms receives.
#[derive(Debug)]
pub(super) enum Message {
    Check {
        room: RoomName,
        join: Box<Join>,
        bearer: Bearer,
        /// Or only asks.
        comes: bool,
        reply: oneshot::Sender<Result<(), Admission>>,
    },
    Join {
        session: SessionId,
        joining: Box<Joining>,
    },
    Resume {
        resuming: Box<Resuming>,
        reply: oneshot::Sender<Result<SocketId, LeaveReason>>,
    },
    Input {
        socket: SocketId,
        input: SessionInput,
    },
    Hangup {
        socket: SocketId,
        reason: LeaveReason,
    },
    Lost {
        socket: SocketId,
        heard: Instant,
    },
    Admin(Admin),
    Bounds(Box<Bounds>),
    LookOutside(Question),
    Probe(Offer),
    Advertise(Vec<Vec<LocalAddress>>),
    Metrics(oneshot::Sender<Snapshot>),
    Link(LinkEvent),
    Camera(CameraMessage),
    Service(RoomName, Sight, Service),
    Shutdown(oneshot::Sender<()>),
}

/// What an administrator asks for.
#[derive(Debug)]
pub(super) enum Admin {
    Rooms(oneshot::Sender<Vec<RoomSummary>>),
    Details(oneshot::Sender<Vec<RoomDetail>>),
    Room(RoomName, oneshot::Sender<Option<RoomDetail>>),
    Create {
        room: RoomName,
        permanent: bool,
        reply: oneshot::Sender<Result<RoomSummary, AdminError>>,
    },
    Delete(RoomName, oneshot::Sender<Result<(), AdminError>>),
    Remove {
        room: RoomName,
        identity: String,
        sight: Sight,
        reply: oneshot::Sender<Result<(), AdminError>>,
    },
    Mute {
        room: RoomName,
        track: String,
        muted: bool,
        reply: oneshot::Sender<Result<(), AdminError>>,
    },
    KeptOut {
        room: RoomName,
        identity: Identity,
        reply: oneshot::Sender<Option<Duration>>,
    },
    Affords {
        room: RoomName,
        identity: Identity,
        reply: oneshot::Sender<Result<(), NoMemory>>,
    },
    Workers(oneshot::Sender<Vec<WorkerStatus>>),
    Held(oneshot::Sender<Held>),
    Topology(oneshot::Sender<Topology>),
}

impl Handle {
    pub(super) fn new(
        inbox: mpsc::Sender<Message>,
        ports: Arc<[u16]>,
        advertised: Advertised,
        memory: Memory,
    ) -> Handle {
        Handle {
            inbox,
            advertised: Arc::new(Mutex::new(Arc::new(advertised))),
            ports,
            doors: Arc::default(),
            memory,
            sight: Sight::All,
        }
    }

    /// The same for somebody who does not see everybody. To its calls about participants (those of
    /// the server API, and [`Handle::remove_participant`]) nobody else exists.
    pub fn seeing(&self, sight: Sight) -> Handle {
        Handle {
            sight,
            ..self.clone()
        }
    }

    /// What is advertised for media.
    pub fn advertised(&self) -> Arc<Advertised> {
        let advertised = self.advertised.lock();
        Arc::clone(&advertised.unwrap_or_else(PoisonError::into_inner))
    }

    /// The workers' ports, UDP and TCP.
    pub(crate) fn media_ports(&self) -> &[u16] {
        &self.ports
    }

    /// From now on this is advertised to new peers.
    pub(crate) async fn advertise(&self, advertised: Advertised) {
        let workers = advertised.workers.clone();
        {
            let now = self.advertised.lock();
            *now.unwrap_or_else(PoisonError::into_inner) = Arc::new(advertised);
        }
        self.tell(Message::Advertise(workers)).await;
    }

    /// Something has happened to a link of a trunk. Waits while the owner of the rooms is busy, so
    /// that a flood slows down its own source.
    pub async fn link(&self, event: LinkEvent) {
        // Gone only when the server ends.
        let _ = self.inbox.send(Message::Link(event)).await;
    }

    /// From now on these bounds hold.
    pub async fn set_bounds(&self, bounds: Bounds) {
        self.tell(Message::Bounds(Box::new(bounds))).await;
    }

    /// A camera takes part from now on, or is another one: at most
    /// [`MAX_CAMERAS`](crate::camera::MAX_CAMERAS). How it gets on is told by [`Handle::cameras`].
    pub async fn set_camera(&self, spec: CameraSpec) {
        let spec = Box::new(spec);
        self.tell(Message::Camera(CameraMessage::Set(spec))).await;
    }

    /// A camera takes part no longer.
    pub async fn remove_camera(&self, id: &str) {
        let id = id.to_owned();
        self.tell(Message::Camera(CameraMessage::Remove(id))).await;
    }

    /// A camera that waits for its next attempt is tried at once.
    pub async fn retry_camera(&self, id: &str) {
        let id = id.to_owned();
        self.tell(Message::Camera(CameraMessage::Retry(id))).await;
    }

    /// Every camera, by id. Bit rates come with the second answer within ten seconds.
    pub async fn cameras(&self) -> Vec<CameraStatus> {
        self.ask(|reply| Message::Camera(CameraMessage::List(reply)))
            .await
            .unwrap_or_default()
    }

    /// Every room, by name.
    pub async fn rooms(&self) -> Vec<RoomSummary> {
        self.ask(|reply| Message::Admin(Admin::Rooms(reply)))
            .await
            .unwrap_or_default()
    }

    /// How many rooms there are, with how many in them; `None` if the server is going down.
    pub(crate) async fn population(&self) -> Option<Population> {
        let rooms = self
            .ask(|reply| Message::Admin(Admin::Rooms(reply)))
            .await?;
        Some(Population {
            rooms: rooms.len(),
            participants: rooms.iter().map(|room| u64::from(room.participants)).sum(),
        })
    }

    /// Every room with everybody in it, by name.
    pub async fn details(&self) -> Vec<RoomDetail> {
        self.ask(|reply| Message::Admin(Admin::Details(reply)))
            .await
            .unwrap_or_default()
    }

    /// One room with everybody in it; `None` if there is no such room.
    pub async fn room(&self, room: &str) -> Option<RoomDetail> {
        let room = RoomName::new(room);
        self.ask(|reply| Message::Admin(Admin::Room(room, reply)))
            .await
            .flatten()
    }

    /// Makes a room. A permanent one stays while nobody is in; one that exists becomes permanent.
    ///
    /// # Errors
    ///
    /// If it exists and is as wanted, or too many rooms exist.
    pub async fn create_room(
        &self,
        room: &str,
        permanent: bool,
    ) -> Result<RoomSummary, AdminError> {
        let room = RoomName::new(room);
        self.ask(|reply| {
            Message::Admin(Admin::Create {
                room,
                permanent,
                reply,
            })
        })
        .await
        .unwrap_or(Err(AdminError::ShuttingDown))
    }

    /// Ends a room for everybody in it.
    ///
    /// # Errors
    ///
    /// If there is no such room.
    pub async fn delete_room(&self, room: &str) -> Result<(), AdminError> {
        let room = RoomName::new(room);
        self.ask(|reply| Message::Admin(Admin::Delete(room, reply)))
            .await
            .unwrap_or(Err(AdminError::ShuttingDown))
    }

    /// How much longer a guest is kept out of a room since a moderator has removed it; `None` if
    /// it may come in.
    pub async fn kept_out(&self, room: &str, identity: &str) -> Option<Duration> {
        let (room, identity) = (RoomName::new(room), Identity::new(identity));
        let ask = |reply| {
            Message::Admin(Admin::KeptOut {
                room,
                identity,
                reply,
            })
        };
        self.ask(ask).await.flatten()
    }

    /// Whether there is memory for somebody to come into a room; also if the server is going down, which
    /// whoever comes is told then.
    ///
    /// # Errors
    ///
    /// If there is not.
    pub(crate) async fn affords(&self, room: &str, identity: &str) -> Result<(), NoMemory> {
        let (room, identity) = (RoomName::new(room), Identity::new(identity));
        let ask = |reply| {
            Message::Admin(Admin::Affords {
                room,
                identity,
                reply,
            })
        };
        self.ask(ask).await.unwrap_or(Ok(()))
    }

    /// Sends somebody away. A guest is kept out for a while.
    ///
    /// # Errors
    ///
    /// If there is no such room or nobody like that is in.
    pub async fn remove_participant(&self, room: &str, identity: &str) -> Result<(), AdminError> {
        let (room, identity) = (RoomName::new(room), identity.to_owned());
        self.ask(|reply| {
            Message::Admin(Admin::Remove {
                room,
                identity,
                sight: self.sight.clone(),
                reply,
            })
        })
        .await
        .unwrap_or(Err(AdminError::ShuttingDown))
    }

    /// Mutes or unmutes somebody's track.
    ///
    /// # Errors
    ///
    /// If there is no such room or no such track in it.
    pub async fn mute_track(&self, room: &str, track: &str, muted: bool) -> Result<(), AdminError> {
        let (room, track) = (RoomName::new(room), track.to_owned());
        self.ask(|reply| {
            Message::Admin(Admin::Mute {
                room,
                track,
                muted,
                reply,
            })
        })
        .await
        .unwrap_or(Err(AdminError::ShuttingDown))
    }

    /// The load of every worker.
    pub async fn workers(&self) -> Vec<WorkerStatus> {
        self.ask(|reply| Message::Admin(Admin::Workers(reply)))
            .await
            .unwrap_or_default()
    }

    /// What is held for clients.
    pub async fn held(&self) -> Held {
        self.ask(|reply| Message::Admin(Admin::Held(reply)))
            .await
            .unwrap_or_default()
    }

    /// The servers that are linked to this one, directly or not, and what flows over its own links;
    /// `None` if the server is going down. Bit rates come with the second answer within ten
    /// seconds.
    pub async fn topology(&self) -> Option<Topology> {
        self.ask(|reply| Message::Admin(Admin::Topology(reply)))
            .await
    }

    /// Figures of now, of all workers; `None` if too many ask at once, or the server is going down.
    pub(crate) async fn metrics(&self) -> Option<Snapshot> {
        self.ask(Message::Metrics).await
    }

    /// Whether there is memory for more.
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Counts of who is turned away.
    pub(crate) fn doors(&self) -> &Arc<Doors> {
        &self.doors
    }

    /// Tells every client to come back later, lets nobody in any more, and stops the workers.
    /// Returns when clients have been told, after three seconds at the latest.
    pub async fn shutdown(&self) {
        let told = self.ask(Message::Shutdown);
        if tokio::time::timeout(SHUTDOWN_PATIENCE, told).await.is_err() {
            tracing::warn!("some clients were not told of the shutdown in time");
        }
    }

    /// Whether somebody could come in now. Asked at the door, where a refusal can still be
    /// explained over HTTP. Who `comes` is counted on from now on where memory is bounded: there is no
    /// good way to explain anything later.
    pub(crate) async fn check(
        &self,
        room: RoomName,
        join: Box<Join>,
        bearer: Bearer,
        comes: bool,
    ) -> Result<(), Admission> {
        let ask = |reply| Message::Check {
            room,
            join,
            bearer,
            comes,
            reply,
        };
        self.ask(ask).await.unwrap_or(Err(Admission::ShuttingDown))
    }

    /// Brings somebody in. Whether it worked arrives in the outbox.
    pub(crate) async fn join(&self, session: SessionId, joining: Box<Joining>) -> bool {
        self.tell(Message::Join { session, joining }).await
    }

    /// Lets somebody go on with a session, over a new socket.
    ///
    /// # Errors
    /// If there is no such session any more, and why.
    pub(crate) async fn resume(&self, resuming: Box<Resuming>) -> Result<SocketId, LeaveReason> {
        self.ask(|reply| Message::Resume { resuming, reply })
            .await
            .unwrap_or(Err(LeaveReason::ServerShutdown))
    }

    /// Something that a session's client wants. Waits while the inbox is full.
    pub(crate) async fn input(&self, socket: SocketId, input: SessionInput) -> bool {
        self.tell(Message::Input { socket, input }).await
    }

    /// A session's client is gone for good.
    pub(crate) async fn hangup(&self, socket: SocketId, reason: LeaveReason) {
        self.tell(Message::Hangup { socket, reason }).await;
    }

    /// A socket is gone, of which nothing was heard since a time; its client may come back.
    pub(crate) async fn lost(&self, socket: SocketId, heard: Instant) {
        self.tell(Message::Lost { socket, heard }).await;
    }

    pub(super) fn sight(&self) -> Sight {
        self.sight.clone()
    }

    pub(super) async fn tell(&self, message: Message) -> bool {
        self.inbox.send(message).await.is_ok()
    }

    pub(super) async fn ask<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<T>) -> Message,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        if !self.tell(message(reply)).await {
            return None;
        }
        answer.await.ok()
    }
}
