//! The messages of the server API in both forms.

use prost::Message;
use serde_json::{Value, json};
use umbrella_wire::client::{
    AudioTrackFeature, DisconnectReason, ParticipantInfo, ParticipantPermission, ParticipantTracks,
    Room, SimulcastCodecInfo, TrackInfo, TrackSource, TrackType, VideoLayer, VideoQuality,
    data_packet, participant_info,
};
use umbrella_wire::server as wire;

use super::failure::{Code, Failure};
use super::json::{BadField, Fields, FromJson, ToJson, named};

/// The form in which a call and its answer are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Protobuf,
    Json,
}

impl Format {
    pub(super) fn of(content_type: &str) -> Option<Format> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/protobuf") {
            Some(Format::Protobuf)
        } else if kind.eq_ignore_ascii_case("application/json") {
            Some(Format::Json)
        } else {
            None
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Format::Protobuf => "application/protobuf",
            Format::Json => "application/json",
        }
    }

    pub(super) fn read<T: Message + Default + FromJson>(self, body: &[u8]) -> Result<T, Failure> {
        let malformed = |why: String| Failure::new(Code::Malformed, why);
        match self {
            Format::Protobuf => T::decode(body).map_err(|error| malformed(error.to_string())),
            Format::Json => {
                let fields = Fields::parse(body).map_err(|error| malformed(error.to_string()));
                T::from_json(&mut fields?).map_err(|error| malformed(error.to_string()))
            }
        }
    }

    pub(super) fn write(self, message: &(impl Message + ToJson)) -> Vec<u8> {
        match self {
            Format::Protobuf => message.encode_to_vec(),
            Format::Json => message.to_json().to_string().into_bytes(),
        }
    }
}

impl FromJson for wire::CreateRoomRequest {
    fn from_json(fields: &mut Fields) -> Result<Self, BadField> {
        Ok(Self {
            name: fields.text("name")?,
            empty_timeout: fields.number("emptyTimeout")?,
            max_participants: fields.number("maxParticipants")?,
            metadata: fields.text("metadata")?,
            departure_timeout: fields.number("departureTimeout")?,
        })
    }
}

impl FromJson for wire::ListRoomsRequest {
    fn from_json(fields: &mut Fields) -> Result<Self, BadField> {
        Ok(Self {
            names: fields.texts("names")?,
        })
    }
}

impl FromJson for wire::DeleteRoomRequest {
    fn from_json(fields: &mut Fields) -> Result<Self, BadField> {
        Ok(Self {
            room: fields.text("room")?,
        })
    }
}

impl FromJson for wire::ListParticipantsRequest {
    fn from_json(fields: &mut Fields) -> Result<Self, BadField> {
        Ok(Self {
            room: fields.text("room")?,
        })
    }
}

impl FromJson for wire::RoomParticipantIdentity {
    fn from_json(fields: &mut Fields) -> Result<Self, BadField> {
        Ok(Self {
            room: fields.text("room")?,
            identity: fields.text("identity")?,
        })
    }
}

impl FromJson for wire::MuteRoomTrackRequest {
    fn from_json(fields: &mut Fields) -> Result<Self, BadField> {
        Ok(Self {
            room: fields.text("room")?,
            identity: fields.text("identity")?,
            track_sid: fields.text("trackSid")?,
            muted: fields.flag("muted")?,
        })
    }
}

impl FromJson for wire::UpdateParticipantRequest {
    fn from_json(fields: &mut Fields) -> Result<Self, BadField> {
        Ok(Self {
            room: fields.text("room")?,
            identity: fields.text("identity")?,
            metadata: fields.text("metadata")?,
            permission: fields.message("permission")?,
            name: fields.text("name")?,
            attributes: fields.pairs("attributes")?,
        })
    }
}

impl FromJson for ParticipantPermission {
    fn from_json(fields: &mut Fields) -> Result<Self, BadField> {
        Ok(Self {
            can_subscribe: fields.flag("canSubscribe")?,
            can_publish: fields.flag("canPublish")?,
            can_publish_data: fields.flag("canPublishData")?,
            hidden: fields.flag("hidden")?,
            recorder: fields.flag("recorder")?,
            can_publish_sources: fields.choices("canPublishSources", TrackSource::from_str_name)?,
            can_update_metadata: fields.flag("canUpdateMetadata")?,
        })
    }
}

impl FromJson for wire::UpdateRoomMetadataRequest {
    fn from_json(fields: &mut Fields) -> Result<Self, BadField> {
        Ok(Self {
            room: fields.text("room")?,
            metadata: fields.text("metadata")?,
        })
    }
}

impl FromJson for wire::SendDataRequest {
    fn from_json(fields: &mut Fields) -> Result<Self, BadField> {
        Ok(Self {
            room: fields.text("room")?,
            data: fields.bytes("data")?,
            kind: fields.choice("kind", data_packet::Kind::from_str_name)?,
            destination_sids: fields.texts("destinationSids")?,
            topic: fields.optional_text("topic")?,
            destination_identities: fields.texts("destinationIdentities")?,
        })
    }
}

impl FromJson for wire::UpdateSubscriptionsRequest {
    fn from_json(fields: &mut Fields) -> Result<Self, BadField> {
        Ok(Self {
            room: fields.text("room")?,
            identity: fields.text("identity")?,
            track_sids: fields.texts("trackSids")?,
            subscribe: fields.flag("subscribe")?,
            participant_tracks: fields.messages("participantTracks")?,
        })
    }
}

impl FromJson for ParticipantTracks {
    fn from_json(fields: &mut Fields) -> Result<Self, BadField> {
        Ok(Self {
            participant_sid: fields.text("participantSid")?,
            track_sids: fields.texts("trackSids")?,
        })
    }
}

impl ToJson for wire::Nothing {
    fn to_json(&self) -> Value {
        json!({})
    }
}

impl ToJson for wire::ListRoomsResponse {
    fn to_json(&self) -> Value {
        json!({ "rooms": self.rooms.to_json() })
    }
}

impl ToJson for wire::ListParticipantsResponse {
    fn to_json(&self) -> Value {
        json!({ "participants": self.participants.to_json() })
    }
}

impl ToJson for wire::MuteRoomTrackResponse {
    fn to_json(&self) -> Value {
        json!({ "track": self.track.to_json() })
    }
}

impl ToJson for Room {
    fn to_json(&self) -> Value {
        json!({
            "sid": self.sid,
            "name": self.name,
            "emptyTimeout": self.empty_timeout,
            "departureTimeout": self.departure_timeout,
            "maxParticipants": self.max_participants,
            "creationTime": self.creation_time.to_string(),
            "creationTimeMs": self.creation_time_ms.to_string(),
            "metadata": self.metadata,
            "numParticipants": self.num_participants,
            "numPublishers": self.num_publishers,
            "activeRecording": self.active_recording,
        })
    }
}

// The client's capabilities are left out: libraries refuse names and numbers that they do not know.
impl ToJson for ParticipantInfo {
    fn to_json(&self) -> Value {
        use participant_info::{Kind, State};
        json!({
            "sid": self.sid,
            "identity": self.identity,
            "state": named(self.state, State::as_str_name),
            "tracks": self.tracks.to_json(),
            "metadata": self.metadata,
            "joinedAt": self.joined_at.to_string(),
            "joinedAtMs": self.joined_at_ms.to_string(),
            "name": self.name,
            "version": self.version,
            "permission": self.permission.to_json(),
            "isPublisher": self.is_publisher,
            "kind": named(self.kind, Kind::as_str_name),
            "attributes": self.attributes,
            "disconnectReason": named(self.disconnect_reason, DisconnectReason::as_str_name),
        })
    }
}

impl ToJson for ParticipantPermission {
    fn to_json(&self) -> Value {
        let sources = self.can_publish_sources.iter();
        let sources = sources.map(|source| named(*source, TrackSource::as_str_name));
        json!({
            "canSubscribe": self.can_subscribe,
            "canPublish": self.can_publish,
            "canPublishData": self.can_publish_data,
            "canPublishSources": sources.collect::<Value>(),
            "hidden": self.hidden,
            "recorder": self.recorder,
            "canUpdateMetadata": self.can_update_metadata,
        })
    }
}

impl ToJson for TrackInfo {
    fn to_json(&self) -> Value {
        let features = self.audio_features.iter();
        let features = features.map(|feature| named(*feature, AudioTrackFeature::as_str_name));
        json!({
            "sid": self.sid,
            "type": named(self.r#type, TrackType::as_str_name),
            "name": self.name,
            "muted": self.muted,
            "width": self.width,
            "height": self.height,
            "simulcast": self.simulcast,
            "disableDtx": self.disable_dtx,
            "source": named(self.source, TrackSource::as_str_name),
            "layers": self.layers.to_json(),
            "mimeType": self.mime_type,
            "mid": self.mid,
            "codecs": self.codecs.to_json(),
            "stereo": self.stereo,
            "disableRed": self.disable_red,
            "encryption": self.encryption,
            "stream": self.stream,
            "audioFeatures": features.collect::<Value>(),
        })
    }
}

impl ToJson for SimulcastCodecInfo {
    fn to_json(&self) -> Value {
        json!({
            "mimeType": self.mime_type,
            "mid": self.mid,
            "cid": self.cid,
            "layers": self.layers.to_json(),
        })
    }
}

impl ToJson for VideoLayer {
    fn to_json(&self) -> Value {
        json!({
            "quality": named(self.quality, VideoQuality::as_str_name),
            "width": self.width,
            "height": self.height,
            "bitrate": self.bitrate,
            "ssrc": self.ssrc,
            "spatialLayer": self.spatial_layer,
            "rid": self.rid,
        })
    }
}
