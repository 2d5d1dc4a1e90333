//! Events as receivers get them: the JSON form of LiveKit's `WebhookEvent`.

use std::time::Instant;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::control::{Happening, News, random_name};
use crate::signal::livekit::{participant_json, room_json, track_json};

/// One event, on its way to every receiver.
#[derive(Debug)]
pub(super) struct Event {
    /// When it was made.
    pub(super) made: Instant,
    /// What is posted: the same bytes at every attempt, with the event's id in them.
    pub(super) body: Bytes,
}

impl Event {
    pub(super) fn new(made: Instant, news: &News) -> Event {
        let body = Bytes::from(json(&random_name("EV_"), news).to_string());
        Event { made, body }
    }
}

fn json(id: &str, news: &News) -> Value {
    let (name, participant, track) = match &news.happening {
        Happening::RoomStarted => ("room_started", None, None),
        Happening::RoomFinished => ("room_finished", None, None),
        Happening::ParticipantJoined(who) => ("participant_joined", Some(who), None),
        Happening::ParticipantLeft(who) => ("participant_left", Some(who), None),
        Happening::ConnectionAborted(who) => ("participant_connection_aborted", Some(who), None),
        Happening::TrackPublished(who, track) => ("track_published", Some(who), Some(track)),
        Happening::TrackUnpublished(who, track) => ("track_unpublished", Some(who), Some(track)),
    };
    let mut event = Map::new();
    event.insert("event".into(), name.into());
    event.insert("id".into(), id.into());
    // A 64-bit number, which JSON does not have.
    event.insert("createdAt".into(), news.at_s.to_string().into());
    event.insert("room".into(), room_json(&news.room));
    if let Some(participant) = participant {
        event.insert("participant".into(), participant_json(participant));
    }
    if let Some(track) = track {
        event.insert("track".into(), track_json(track));
    }
    Value::Object(event)
}
