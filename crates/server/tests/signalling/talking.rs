//! What clients ask for and are told once they are in.

use std::collections::BTreeMap;

use umbrella_wire::client::signal_request::Message as Ask;
use umbrella_wire::client::signal_response::Message;
use umbrella_wire::client::{
    AddTrackRequest, DisconnectReason, LeaveRequest, ParticipantInfo, TrackSource, TrackType,
    UpdateParticipantMetadata, participant_info, request_response,
};

use crate::client::{Client, join, open, v0};
use crate::server::Server;

fn microphone(cid: &str) -> Ask {
    Ask::AddTrack(AddTrackRequest {
        cid: cid.into(),
        r#type: TrackType::Audio.into(),
        source: TrackSource::Microphone.into(),
        ..Default::default()
    })
}

/// The next news of somebody.
async fn news(client: &mut Client, identity: &str) -> ParticipantInfo {
    client
        .until(|message| match message {
            Message::Update(update) => update
                .participants
                .into_iter()
                .find(|p| p.identity == identity),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn metadata_reaches_the_others_and_is_acknowledged() {
    let server = Server::start().await;
    let (mut alice, _) = join(&server, "kitchen", "alice").await;
    let (mut bob, _) = join(&server, "kitchen", "bob").await;
    news(&mut alice, "bob").await;
    bob.send(Ask::UpdateMetadata(UpdateParticipantMetadata {
        metadata: "hungry".into(),
        name: "Bob".into(),
        attributes: BTreeMap::from([("hand".into(), "up".into())]),
        request_id: 9,
    }))
    .await;
    let response = bob
        .until(|message| match message {
            Message::RequestResponse(response) => Some(response),
            _ => None,
        })
        .await;
    assert_eq!(response.request_id, 9);
    assert_eq!(response.reason(), request_response::Reason::Ok);
    let seen = news(&mut alice, "bob").await;
    assert_eq!((&*seen.metadata, &*seen.name), ("hungry", "Bob"));
    assert_eq!(seen.attributes["hand"], "up");
}

#[tokio::test]
async fn who_may_not_change_itself_is_told_so() {
    let server = Server::start().await;
    let token = server.token_with("kitchen", "bob", |claims| {
        claims.video.can_update_own_metadata = None;
    });
    let mut bob = open(&server, &v0(&token)).await.unwrap();
    bob.joined().await;
    bob.send(Ask::UpdateMetadata(UpdateParticipantMetadata {
        name: "Admin".into(),
        request_id: 3,
        ..Default::default()
    }))
    .await;
    let reason = bob
        .until(|message| match message {
            Message::RequestResponse(response) => Some(response.reason()),
            _ => None,
        })
        .await;
    assert_eq!(reason, request_response::Reason::NotAllowed);
}

#[tokio::test]
async fn watcher_cannot_publish() {
    let server = Server::start().await;
    let token = server.token_with("kitchen", "bob", |claims| {
        claims.video.can_publish = Some(false);
    });
    let mut bob = open(&server, &v0(&token)).await.unwrap();
    assert!(
        !bob.joined()
            .await
            .participant
            .unwrap()
            .permission
            .unwrap()
            .can_publish
    );
    bob.send(microphone("mic")).await;
    let refused = bob
        .until(|message| match message {
            Message::RequestResponse(response) => Some(response),
            Message::TrackPublished(_) => panic!("published"),
            _ => None,
        })
        .await;
    assert_eq!(refused.reason(), request_response::Reason::NotAllowed);
    assert!(matches!(
        refused.request,
        Some(request_response::Request::AddTrack(track)) if track.cid == "mic"
    ));
}

#[tokio::test]
async fn administrator_sees_mutes_and_removes() {
    let server = Server::start().await;
    let (mut alice, _) = join(&server, "kitchen", "alice").await;
    alice.send(microphone("mic")).await;
    let track = alice
        .until(|message| match message {
            Message::TrackPublished(published) => published.track,
            _ => None,
        })
        .await;
    let control = &server.control;
    control
        .mute_track("kitchen", &track.sid, true)
        .await
        .unwrap();
    let muted = alice
        .until(|message| match message {
            Message::Mute(mute) => Some(mute),
            _ => None,
        })
        .await;
    assert!(muted.muted && muted.sid == track.sid);
    assert!(
        control
            .mute_track("kitchen", "TR_none", true)
            .await
            .is_err()
    );
    let room = control.room("kitchen").await.unwrap();
    assert_eq!(room.participants[0].identity, "alice");
    assert_eq!(room.participants[0].client, "go 2.0.0");
    assert_eq!(control.workers().await.len(), 1);
    control
        .remove_participant("kitchen", "alice")
        .await
        .unwrap();
    let leave = alice.end().await.leave.unwrap();
    assert_eq!(leave.reason(), DisconnectReason::ParticipantRemoved);
    assert!(
        control
            .remove_participant("kitchen", "alice")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn deleted_room_sends_everybody_away() {
    let server = Server::start().await;
    let (alice, _) = join(&server, "kitchen", "alice").await;
    server.control.delete_room("kitchen").await.unwrap();
    let leave = alice.end().await.leave.unwrap();
    assert_eq!(leave.reason(), DisconnectReason::RoomDeleted);
    assert!(server.control.room("kitchen").await.is_none());
    assert!(server.control.delete_room("kitchen").await.is_err());
}

#[tokio::test]
async fn leaving_is_seen_at_once() {
    let server = Server::start().await;
    let (mut alice, _) = join(&server, "kitchen", "alice").await;
    let (mut bob, _) = join(&server, "kitchen", "bob").await;
    news(&mut alice, "bob").await;
    bob.send(Ask::Leave(LeaveRequest::default())).await;
    let left = news(&mut alice, "bob").await;
    assert_eq!(left.state(), participant_info::State::Disconnected);
    assert_eq!(left.disconnect_reason(), DisconnectReason::ClientInitiated);
}
