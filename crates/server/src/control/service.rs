//! What applications see and do over the server API.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use umbrella_room::command::{Moderation, ParticipantChange, Reliability};
use umbrella_room::effect::Refusal;
use umbrella_room::model::{
    Identity, LeaveReason, ParticipantId, ParticipantView, Permission, RoomName, RoomView, TrackId,
    TrackView,
};
use umbrella_room::{Command, Sight};

use super::handle::{AdminError, Handle, Message};
use super::rooms::{Entry, Stay};
use super::{Control, Phase};
use crate::auth::Bearer;

/// What an application wants of a room; `None` leaves it as it is or as it is configured.
#[derive(Debug, Clone, Default)]
pub struct RoomSettings {
    /// How long it stays though nobody comes.
    pub empty_timeout: Option<Duration>,
    /// How long it stays after the last participant has left.
    pub departure_timeout: Option<Duration>,
    /// At most so many participants.
    pub max_participants: Option<u32>,
    /// The application's own.
    pub metadata: Option<String>,
}

/// A room as applications see it.
#[derive(Debug, Clone)]
pub struct RoomState {
    /// As participants see it.
    pub view: RoomView,
    /// How long it stays though nobody comes.
    pub empty_timeout: Duration,
    /// How long it stays after the last participant has left.
    pub departure_timeout: Duration,
}

/// A data message from the server.
#[derive(Debug, Clone)]
pub struct ServerData {
    /// To whom; with `stays` empty as well to everybody.
    pub to: Vec<Identity>,
    /// To whom, by their stays.
    pub stays: Vec<ParticipantId>,
    /// Over which kind of channel.
    pub reliability: Reliability,
    /// The message as it goes out.
    pub payload: Arc<[u8]>,
}

type Reply<T> = oneshot::Sender<Result<T, AdminError>>;

/// What an application asks for.
#[derive(Debug)]
pub(super) enum Service {
    Make(RoomSettings, Reply<RoomState>),
    List(oneshot::Sender<Vec<RoomState>>),
    Participants(Reply<Vec<Arc<ParticipantView>>>),
    End(Reply<()>),
    SetMetadata(String, Reply<RoomState>),
    Mute {
        identity: Identity,
        track: TrackId,
        muted: bool,
        reply: Reply<TrackView>,
    },
    Update {
        identity: Identity,
        change: ParticipantChange,
        permission: Option<Permission>,
        reply: Reply<Arc<ParticipantView>>,
    },
    LetPublish {
        identity: Identity,
        publish: bool,
        reply: Reply<Arc<ParticipantView>>,
    },
    Subscribe {
        identity: Identity,
        tracks: Vec<TrackId>,
        subscribe: bool,
        reply: Reply<()>,
    },
    Send(ServerData, Reply<()>),
}

/// Calls of the server API.
impl Handle {
    /// Makes a room, or changes one that exists.
    ///
    /// # Errors
    ///
    /// If too many rooms exist or the metadata is too large.
    pub async fn make_room(
        &self,
        room: &str,
        settings: RoomSettings,
    ) -> Result<RoomState, AdminError> {
        self.serve(room, |reply| Service::Make(settings, reply))
            .await
    }

    /// Every room, by name.
    pub async fn room_states(&self) -> Vec<RoomState> {
        let room = RoomName::new("");
        let sight = self.sight();
        self.ask(|reply| Message::Service(room, sight, Service::List(reply)))
            .await
            .unwrap_or_default()
    }

    /// Everybody in a room, oldest first, hidden ones included.
    ///
    /// # Errors
    ///
    /// If there is no such room.
    pub async fn participants(&self, room: &str) -> Result<Vec<Arc<ParticipantView>>, AdminError> {
        self.serve(room, Service::Participants).await
    }

    /// Sends everybody away and ends the room; a permanent one stays, empty.
    ///
    /// # Errors
    ///
    /// If there is no such room.
    pub async fn end_room(&self, room: &str) -> Result<(), AdminError> {
        self.serve(room, Service::End).await
    }

    /// Changes a room's metadata.
    ///
    /// # Errors
    ///
    /// If there is no such room or it is too large.
    pub async fn set_room_metadata(
        &self,
        room: &str,
        metadata: String,
    ) -> Result<RoomState, AdminError> {
        self.serve(room, |reply| Service::SetMetadata(metadata, reply))
            .await
    }

    /// Mutes or unmutes a track of somebody.
    ///
    /// # Errors
    ///
    /// If there is no such room, nobody like that is in, or has no such track.
    pub async fn mute_track_of(
        &self,
        room: &str,
        identity: &str,
        track: &str,
        muted: bool,
    ) -> Result<TrackView, AdminError> {
        self.serve(room, |reply| Service::Mute {
            identity: Identity::new(identity),
            track: TrackId::new(track),
            muted,
            reply,
        })
        .await
    }

    /// Changes what others see of somebody, and what they may do.
    ///
    /// # Errors
    ///
    /// If there is no such room, nobody like that is in, or it is too large.
    pub async fn update_participant(
        &self,
        room: &str,
        identity: &str,
        change: ParticipantChange,
        permission: Option<Permission>,
    ) -> Result<Arc<ParticipantView>, AdminError> {
        self.serve(room, |reply| Service::Update {
            identity: Identity::new(identity),
            change,
            permission,
            reply,
        })
        .await
    }

    /// Takes from somebody the right to publish, or gives it back, as a moderator of the page may:
    /// nobody gets more than its own token allows. Guests do not get it back by a reload.
    ///
    /// # Errors
    ///
    /// If there is no such room, nobody like that is in, or its token does not allow it.
    pub async fn let_publish(
        &self,
        room: &str,
        identity: &str,
        publish: bool,
    ) -> Result<Arc<ParticipantView>, AdminError> {
        self.serve(room, |reply| Service::LetPublish {
            identity: Identity::new(identity),
            publish,
            reply,
        })
        .await
    }

    /// Subscribes somebody to tracks, or stops it. Tracks that are gone are passed over.
    ///
    /// # Errors
    ///
    /// If there is no such room or nobody like that is in.
    pub async fn subscribe(
        &self,
        room: &str,
        identity: &str,
        tracks: Vec<TrackId>,
        subscribe: bool,
    ) -> Result<(), AdminError> {
        self.serve(room, |reply| Service::Subscribe {
            identity: Identity::new(identity),
            tracks,
            subscribe,
            reply,
        })
        .await
    }

    /// Sends a data message. Receivers who are not in are passed over.
    ///
    /// # Errors
    ///
    /// If there is no such room or the message is too large.
    pub async fn send_data(&self, room: &str, data: ServerData) -> Result<(), AdminError> {
        self.serve(room, |reply| Service::Send(data, reply)).await
    }

    async fn serve<T>(
        &self,
        room: &str,
        service: impl FnOnce(Reply<T>) -> Service,
    ) -> Result<T, AdminError> {
        let room = RoomName::new(room);
        let sight = self.sight();
        self.ask(|reply| Message::Service(room, sight, service(reply)))
            .await
            .unwrap_or(Err(AdminError::ShuttingDown))
    }
}

impl Control {
    // Who asked may be gone when the answer comes.
    pub(super) fn serve(&mut self, now: Instant, room: &RoomName, sight: &Sight, service: Service) {
        match service {
            Service::Make(settings, reply) => {
                let _ = reply.send(self.make_or_change(now, room, sight, settings));
            }
            Service::List(reply) => {
                let rooms = self.rooms.iter();
                let _ = reply.send(rooms.map(|(_, entry)| state(entry, sight)).collect());
            }
            Service::Participants(reply) => {
                let seen = |view: &&Arc<ParticipantView>| sight.shows(view);
                let everybody = |entry: &Entry| {
                    let participants = entry.room.participants();
                    participants.filter(seen).cloned().collect()
                };
                let _ = reply.send(self.entry(room).map(everybody));
            }
            Service::End(reply) => {
                let _ = reply.send(self.end(now, room));
            }
            Service::SetMetadata(metadata, reply) => {
                let _ = reply.send(self.set_metadata(now, room, sight, metadata));
            }
            Service::Mute {
                identity,
                track,
                muted,
                reply,
            } => {
                let _ = reply.send(self.mute_of(now, (room, sight), &identity, &track, muted));
            }
            Service::Update {
                identity,
                change,
                permission,
                reply,
            } => {
                let _ = reply.send(self.update(now, (room, sight), identity, change, permission));
            }
            Service::LetPublish {
                identity,
                publish,
                reply,
            } => {
                let _ = reply.send(self.let_publish(now, (room, sight), identity, publish));
            }
            Service::Subscribe {
                identity,
                tracks,
                subscribe,
                reply,
            } => {
                let _ =
                    reply.send(self.subscribe(now, (room, sight), &identity, tracks, subscribe));
            }
            Service::Send(data, reply) => {
                let _ = reply.send(self.send(now, room, data));
            }
        }
    }

    fn entry(&self, room: &RoomName) -> Result<&Entry, AdminError> {
        self.rooms.get(room).ok_or(AdminError::NoSuchRoom)
    }

    /// Somebody in a room, for whoever sees so much of it.
    pub(super) fn someone(
        &self,
        (room, sight): (&RoomName, &Sight),
        identity: &Identity,
    ) -> Result<&Arc<ParticipantView>, AdminError> {
        let found = self.entry(room)?.room.participant(identity);
        let found = found.filter(|view| sight.shows(view));
        found.ok_or(AdminError::NoSuchParticipant)
    }

    fn command(&mut self, now: Instant, room: &RoomName, command: Command) {
        self.commands.push_back((room.clone(), command));
        self.pump(now);
    }

    fn moderate(&mut self, now: Instant, room: &RoomName, moderation: Moderation) {
        self.command(now, room, Command::Moderate(moderation));
    }

    fn make_or_change(
        &mut self,
        now: Instant,
        room: &RoomName,
        sight: &Sight,
        settings: RoomSettings,
    ) -> Result<RoomState, AdminError> {
        if self.phase == Phase::ShuttingDown {
            return Err(AdminError::ShuttingDown);
        }
        let metadata = settings.metadata.as_deref();
        if metadata.is_some_and(|text| text.len() > self.settings.limits.metadata) {
            return Err(AdminError::TooLarge);
        }
        if self.rooms.get(room).is_none() {
            if self.rooms_are_full() {
                return Err(AdminError::TooManyRooms);
            }
            self.make_room(now, room, false);
        }
        let stay = self.entry(room)?.stay;
        let stay = Stay {
            empty: settings.empty_timeout.unwrap_or(stay.empty),
            departure: settings.departure_timeout.unwrap_or(stay.departure),
        };
        self.rooms.set_stay(room, now, stay);
        if let Some(max_participants) = settings.max_participants {
            self.moderate(
                now,
                room,
                Moderation::SetMaxParticipants { max_participants },
            );
        }
        match settings.metadata {
            Some(metadata) => self.set_metadata(now, room, sight, metadata),
            None => self.entry(room).map(|entry| state(entry, sight)),
        }
    }

    fn end(&mut self, now: Instant, room: &RoomName) -> Result<(), AdminError> {
        let permanent = self.entry(room)?.permanent;
        let reason = LeaveReason::RoomDeleted;
        self.moderate(now, room, Moderation::Close { reason });
        if !permanent {
            self.remove_room(room);
        }
        tracing::info!(%room, permanent, "room ended by an application");
        Ok(())
    }

    fn set_metadata(
        &mut self,
        now: Instant,
        room: &RoomName,
        sight: &Sight,
        metadata: String,
    ) -> Result<RoomState, AdminError> {
        self.entry(room)?.room.admit_metadata(&metadata)?;
        self.moderate(now, room, Moderation::SetRoomMetadata { metadata });
        self.entry(room).map(|entry| state(entry, sight))
    }

    fn mute_of(
        &mut self,
        now: Instant,
        (room, sight): (&RoomName, &Sight),
        identity: &Identity,
        track: &TrackId,
        muted: bool,
    ) -> Result<TrackView, AdminError> {
        self.someone((room, sight), identity)?;
        match self.entry(room)?.room.track(track) {
            Some((publisher, _)) if publisher.identity == *identity => {}
            Some(_) | None => return Err(AdminError::NoSuchTrack),
        }
        let mute = Moderation::Mute {
            track: track.clone(),
            muted,
        };
        self.moderate(now, room, mute);
        let found = self.entry(room)?.room.track(track);
        found
            .map(|(_, view)| view.clone())
            .ok_or(AdminError::NoSuchTrack)
    }

    fn update(
        &mut self,
        now: Instant,
        (room, sight): (&RoomName, &Sight),
        identity: Identity,
        change: ParticipantChange,
        permission: Option<Permission>,
    ) -> Result<Arc<ParticipantView>, AdminError> {
        let participant = self.someone((room, sight), &identity)?.id.clone();
        self.entry(room)?.room.admit_change(&identity, &change)?;
        if let Some(permission) = &permission {
            self.note_granted(room, &identity, &participant, permission.publish);
        }
        let update = Moderation::Update {
            identity: identity.clone(),
            change,
            permission,
        };
        self.moderate(now, room, update);
        self.someone((room, sight), &identity).cloned()
    }

    /// An application's word counts more than the token, and than that of a moderator before.
    fn note_granted(
        &mut self,
        room: &RoomName,
        identity: &Identity,
        participant: &ParticipantId,
        publish: bool,
    ) {
        if let Some(session) = self.sessions.of_mut(participant) {
            session.may_publish = publish;
        }
        self.sanctions.lift(room, identity);
    }

    fn let_publish(
        &mut self,
        now: Instant,
        (room, sight): (&RoomName, &Sight),
        identity: Identity,
        publish: bool,
    ) -> Result<Arc<ParticipantView>, AdminError> {
        let view = Arc::clone(self.someone((room, sight), &identity)?);
        let session = self.sessions.of(&view.id);
        // Of somebody at another server, that one knows what the token allows.
        let elsewhere = self.entry(room)?.room.origin(&view.id).is_some();
        if publish && !elsewhere && !session.is_some_and(|session| session.may_publish) {
            return Err(AdminError::NotGranted);
        }
        if publish {
            self.sanctions.lift(room, &identity);
        } else if session.is_some_and(|session| session.bearer == Bearer::Guest) {
            self.sanctions.silence(now, room, &identity);
        }
        let permission = Permission {
            publish,
            ..view.permission.clone()
        };
        let update = Moderation::Update {
            identity: identity.clone(),
            change: ParticipantChange::default(),
            permission: Some(permission),
        };
        self.moderate(now, room, update);
        self.someone((room, sight), &identity).cloned()
    }

    fn subscribe(
        &mut self,
        now: Instant,
        (room, sight): (&RoomName, &Sight),
        identity: &Identity,
        tracks: Vec<TrackId>,
        subscribe: bool,
    ) -> Result<(), AdminError> {
        let participant = self.someone((room, sight), identity)?.id.clone();
        let command = Command::Subscribe {
            participant,
            tracks,
            subscribe,
        };
        self.command(now, room, command);
        Ok(())
    }

    fn send(&mut self, now: Instant, room: &RoomName, data: ServerData) -> Result<(), AdminError> {
        let entry = self.entry(room)?;
        if data.payload.len() > self.settings.limits.data_message {
            return Err(AdminError::TooLarge);
        }
        let everybody = data.to.is_empty() && data.stays.is_empty();
        let stays = data.stays.iter();
        let named = stays.filter_map(|id| entry.room.participant_by_id(id));
        let named = named.map(|view| view.identity.clone());
        let to: Vec<Identity> = data.to.into_iter().chain(named).collect();
        // An empty list is everybody: a message for somebody who has left is for nobody.
        if to.is_empty() && !everybody {
            return Ok(());
        }
        let command = Command::Data {
            from: None,
            to,
            reliability: data.reliability,
            payload: data.payload,
        };
        self.command(now, room, command);
        Ok(())
    }
}

impl From<Refusal> for AdminError {
    fn from(refusal: Refusal) -> AdminError {
        match refusal {
            Refusal::NotFound => AdminError::NoSuchParticipant,
            Refusal::LimitExceeded
            | Refusal::NotAllowed
            | Refusal::Duplicate
            | Refusal::NoMemory
            | Refusal::RoomFull => AdminError::TooLarge,
        }
    }
}

/// A room as somebody is told of it who sees so much.
pub(super) fn state(entry: &Entry, sight: &Sight) -> RoomState {
    RoomState {
        view: entry.room.view_for(sight),
        empty_timeout: entry.stay.empty,
        departure_timeout: entry.stay.departure,
    }
}
