//! The methods of the server API: what a token must allow, and what is done.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use umbrella_room::command::{ParticipantChange, Reliability};
use umbrella_room::model::{Identity, ParticipantId, ParticipantView, Permission, Source, TrackId};
use umbrella_wire::client::{
    DataPacket, ParticipantPermission, Room, TrackSource, UserPacket, data_packet,
};
use umbrella_wire::server as wire;

use super::super::door::NAME;
use super::super::encode;
use super::failure::{Code, Failure};
use super::messages::Format;
use crate::auth::{Bearer, Claims};
use crate::control::{AdminError, Handle, RoomSettings, RoomState, ServerData};

/// One call of somebody with a valid token.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// Sees as much as the token allows.
    pub(super) control: Handle,
    pub(super) claims: &'a Claims,
    pub(super) bearer: Bearer,
    pub(super) format: Format,
    pub(super) body: &'a [u8],
}

type Answer = Result<Vec<u8>, Failure>;

impl Call<'_> {
    /// The body of the answer.
    pub(super) async fn answer(&self, method: &str) -> Answer {
        match method {
            "CreateRoom" => self.create_room().await,
            "ListRooms" => self.list_rooms().await,
            "DeleteRoom" => self.delete_room().await,
            "ListParticipants" => self.list_participants().await,
            "GetParticipant" => self.get_participant().await,
            "RemoveParticipant" => self.remove_participant().await,
            "MutePublishedTrack" => self.mute_published_track().await,
            "UpdateParticipant" => self.update_participant().await,
            "UpdateRoomMetadata" => self.update_room_metadata().await,
            "SendData" => self.send_data().await,
            "UpdateSubscriptions" => self.update_subscriptions().await,
            _ => {
                let why = "this server does not have that method";
                Err(Failure::new(Code::Unimplemented, why))
            }
        }
    }

    async fn create_room(&self) -> Answer {
        let request: wire::CreateRoomRequest = self.format.read(self.body)?;
        self.may_create()?;
        check_name("name", &request.name)?;
        let seconds = |s: u32| (s > 0).then(|| Duration::from_secs(s.into()));
        let settings = RoomSettings {
            empty_timeout: seconds(request.empty_timeout),
            departure_timeout: seconds(request.departure_timeout),
            max_participants: (request.max_participants > 0).then_some(request.max_participants),
            metadata: (!request.metadata.is_empty()).then_some(request.metadata),
        };
        let state = self.control.make_room(&request.name, settings).await?;
        Ok(self.format.write(&room(&state)))
    }

    async fn list_rooms(&self) -> Answer {
        let request: wire::ListRoomsRequest = self.format.read(self.body)?;
        if !self.claims.video.room_list {
            return Err(lacks("roomList"));
        }
        let wanted = |state: &&RoomState| {
            let name = state.view.name.as_str();
            request.names.is_empty() || request.names.iter().any(|wanted| wanted == name)
        };
        let states = self.control.room_states().await;
        let rooms = states.iter().filter(wanted).map(room).collect();
        Ok(self.format.write(&wire::ListRoomsResponse { rooms }))
    }

    async fn delete_room(&self) -> Answer {
        let request: wire::DeleteRoomRequest = self.format.read(self.body)?;
        self.may_create()?;
        self.control.end_room(&request.room).await?;
        Ok(self.nothing())
    }

    async fn list_participants(&self) -> Answer {
        let request: wire::ListParticipantsRequest = self.format.read(self.body)?;
        self.may_moderate(&request.room).await?;
        let participants = match self.control.participants(&request.room).await {
            // Applications ask before anybody has come, and expect nobody.
            Err(AdminError::NoSuchRoom) => Vec::new(),
            found => found?,
        };
        let participants = participants.iter().map(|p| encode::participant(p));
        Ok(self.format.write(&wire::ListParticipantsResponse {
            participants: participants.collect(),
        }))
    }

    async fn get_participant(&self) -> Answer {
        let request: wire::RoomParticipantIdentity = self.format.read(self.body)?;
        self.may_moderate(&request.room).await?;
        let everybody = self.control.participants(&request.room).await?;
        let mut everybody = everybody.iter();
        let found = everybody.find(|p| p.identity.as_str() == request.identity);
        let found = found.ok_or(AdminError::NoSuchParticipant)?;
        Ok(self.format.write(&encode::participant(found)))
    }

    async fn remove_participant(&self) -> Answer {
        let request: wire::RoomParticipantIdentity = self.format.read(self.body)?;
        self.may_moderate(&request.room).await?;
        let (room, identity) = (&request.room, &request.identity);
        self.control.remove_participant(room, identity).await?;
        Ok(self.nothing())
    }

    async fn mute_published_track(&self) -> Answer {
        let request: wire::MuteRoomTrackRequest = self.format.read(self.body)?;
        self.may_moderate(&request.room).await?;
        if !request.muted {
            self.must_be_application("switches somebody's microphone or camera on")?;
        }
        let (room, identity) = (&request.room, &request.identity);
        let muted = self
            .control
            .mute_track_of(room, identity, &request.track_sid, request.muted);
        let track = Some(encode::track_info(&muted.await?, ""));
        Ok(self.format.write(&wire::MuteRoomTrackResponse { track }))
    }

    async fn update_participant(&self) -> Answer {
        let request: wire::UpdateParticipantRequest = self.format.read(self.body)?;
        self.may_moderate(&request.room).await?;
        if self.bearer != Bearer::Application {
            return self.let_publish(&request).await;
        }
        let change = ParticipantChange {
            name: (!request.name.is_empty()).then_some(request.name),
            metadata: (!request.metadata.is_empty()).then_some(request.metadata),
            attributes: request.attributes,
        };
        let permission = request.permission.as_ref().map(permission).transpose()?;
        let (room, identity) = (&request.room, &request.identity);
        let updated = self
            .control
            .update_participant(room, identity, change, permission);
        Ok(self.format.write(&encode::participant(&*updated.await?)))
    }

    /// What moderators of the page can change of somebody. Of the permission only `canPublish`
    /// counts: the rest stays as the token has it.
    async fn let_publish(&self, request: &wire::UpdateParticipantRequest) -> Answer {
        let changes_more = !request.name.is_empty()
            || !request.metadata.is_empty()
            || !request.attributes.is_empty();
        let (false, Some(permission)) = (changes_more, &request.permission) else {
            let what = "changes more of a participant than whether it may publish";
            self.must_be_application(what)?;
            return Err(Failure::invalid("permission is missing"));
        };
        let (room, identity) = (&request.room, &request.identity);
        let publish = permission.can_publish;
        let updated = self.control.let_publish(room, identity, publish).await?;
        Ok(self.format.write(&encode::participant(&updated)))
    }

    async fn update_room_metadata(&self) -> Answer {
        let request: wire::UpdateRoomMetadataRequest = self.format.read(self.body)?;
        self.must_be_application("changes the metadata of a room")?;
        self.may_moderate(&request.room).await?;
        let changed = self
            .control
            .set_room_metadata(&request.room, request.metadata);
        Ok(self.format.write(&room(&changed.await?)))
    }

    async fn send_data(&self) -> Answer {
        let request: wire::SendDataRequest = self.format.read(self.body)?;
        self.must_be_application("sends data in the server's name")?;
        self.may_moderate(&request.room).await?;
        let reliability = match data_packet::Kind::try_from(request.kind) {
            Ok(data_packet::Kind::Reliable) => Reliability::Reliable,
            Ok(data_packet::Kind::Lossy) => Reliability::Lossy,
            Err(_) => return Err(Failure::invalid("there is no such kind of data")),
        };
        let packet = DataPacket {
            kind: request.kind,
            user: Some(UserPacket {
                payload: request.data,
                topic: request.topic,
                ..UserPacket::default()
            }),
            ..DataPacket::default()
        };
        let identities = request.destination_identities.into_iter();
        let stays = request.destination_sids.into_iter();
        let data = ServerData {
            to: identities.map(Identity::new).collect(),
            stays: stays.map(ParticipantId::new).collect(),
            reliability,
            payload: packet.encode_to_vec().into(),
        };
        self.control.send_data(&request.room, data).await?;
        Ok(self.nothing())
    }

    async fn update_subscriptions(&self) -> Answer {
        let request: wire::UpdateSubscriptionsRequest = self.format.read(self.body)?;
        self.must_be_application("changes the subscriptions of others")?;
        self.may_moderate(&request.room).await?;
        let of_others = request.participant_tracks.into_iter();
        let tracks = of_others.flat_map(|of_one| of_one.track_sids);
        let tracks = request.track_sids.into_iter().chain(tracks);
        let tracks = tracks.map(TrackId::new).collect();
        let (room, identity) = (&request.room, &request.identity);
        let changed = self
            .control
            .subscribe(room, identity, tracks, request.subscribe);
        changed.await?;
        Ok(self.nothing())
    }

    fn nothing(&self) -> Vec<u8> {
        self.format.write(&wire::Nothing {})
    }

    fn may_create(&self) -> Result<(), Failure> {
        if self.claims.video.room_create {
            return Ok(());
        }
        Err(lacks("roomCreate"))
    }

    /// Tokens that this server issued to the admin or by an invite reach people, in browsers. They
    /// allow what the page offers to moderators, and only while their bearer is in the room: who
    /// was removed moderates no more, though the token is still valid.
    async fn may_moderate(&self, room: &str) -> Result<(), Failure> {
        self.has_room_admin(room)?;
        if self.bearer == Bearer::Application {
            return Ok(());
        }
        let me = |view: &Arc<ParticipantView>| view.identity.as_str() == self.claims.sub;
        match self.control.participants(room).await {
            Ok(everybody) if everybody.iter().any(me) => Ok(()),
            Ok(_) | Err(_) => {
                let why = "moderators have to be in the room";
                Err(Failure::new(Code::PermissionDenied, why))
            }
        }
    }

    /// For what the page does not offer to its moderators.
    fn must_be_application(&self, what: &str) -> Result<(), Failure> {
        if self.bearer == Bearer::Application {
            return Ok(());
        }
        let why = format!("only a token that was signed with an API key {what}");
        Err(Failure::new(Code::PermissionDenied, why))
    }

    fn has_room_admin(&self, room: &str) -> Result<(), Failure> {
        let grants = &self.claims.video;
        if !grants.room_admin {
            return Err(lacks("roomAdmin"));
        }
        if room.is_empty() || grants.room != room {
            let why = "the token is for another room";
            return Err(Failure::new(Code::PermissionDenied, why));
        }
        Ok(())
    }
}

fn lacks(grant: &str) -> Failure {
    let why = format!("the token does not have the grant {grant}");
    Failure::new(Code::PermissionDenied, why)
}

fn check_name(field: &str, name: &str) -> Result<(), Failure> {
    if (1..=NAME).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Failure::invalid(format!(
        "{field} has 1 to {NAME} bytes and no control characters"
    )))
}

pub(super) fn room(state: &RoomState) -> Room {
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    Room {
        empty_timeout: seconds(state.empty_timeout),
        departure_timeout: seconds(state.departure_timeout),
        ..encode::room(&state.view)
    }
}

fn permission(wanted: &ParticipantPermission) -> Result<Permission, Failure> {
    let sources = wanted.can_publish_sources.iter();
    let source = |number: &i32| match TrackSource::try_from(*number) {
        Ok(TrackSource::Unknown) => Ok(Source::Unknown),
        Ok(TrackSource::Camera) => Ok(Source::Camera),
        Ok(TrackSource::Microphone) => Ok(Source::Microphone),
        Ok(TrackSource::ScreenShare) => Ok(Source::ScreenShare),
        Ok(TrackSource::ScreenShareAudio) => Ok(Source::ScreenShareAudio),
        Err(_) => Err(Failure::invalid("there is no such source")),
    };
    Ok(Permission {
        subscribe: wanted.can_subscribe,
        publish: wanted.can_publish,
        publish_data: wanted.can_publish_data,
        sources: sources.map(source).collect::<Result<_, _>>()?,
        update_own_metadata: wanted.can_update_metadata,
        hidden: wanted.hidden,
        recorder: wanted.recorder,
    })
}
