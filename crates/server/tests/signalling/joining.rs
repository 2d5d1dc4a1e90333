//! Who is let in, and what they learn first.

use umbrella_wire::client::leave_request::Action;
use umbrella_wire::client::signal_response::Message;
use umbrella_wire::client::{
    AddTrackRequest, ClientInfo, DisconnectReason, JoinRequest, TrackType, participant_info,
};

use crate::client::{join, open, v0, v1};
use crate::server::{Options, Server};

#[tokio::test]
async fn first_message_has_all_that_clients_choke_on() {
    let server = Server::start().await;
    let (mut client, join) = join(&server, "kitchen", "alice").await;
    let room = join.room.unwrap();
    assert!(room.sid.starts_with("RM_") && room.name == "kitchen");
    let me = join.participant.unwrap();
    assert!(me.sid.starts_with("PA_"));
    assert_eq!((&*me.identity, &*me.name), ("alice", "ALICE"));
    let permission = me.permission.unwrap();
    assert!(permission.can_publish && permission.can_subscribe && permission.can_publish_data);
    assert!(join.ping_interval > 0 && join.ping_timeout > join.ping_interval);
    assert!(join.subscriber_primary);
    let info = join.server_info.unwrap();
    assert!(!info.version.is_empty() && info.protocol == 17);
    let mut offered = false;
    let mut fresh = None;
    while !offered || fresh.is_none() {
        match client.next().await.unwrap() {
            Message::Offer(offer) => {
                assert!(offer.id > 0 && offer.sdp.contains("a=candidate:"));
                offered = true;
            }
            Message::RefreshToken(token) => fresh = Some(token),
            other => drop(other),
        }
    }
    open(&server, &v0(&fresh.unwrap())).await.unwrap();
}

#[tokio::test]
async fn one_connection_joins_without_an_offer_of_ours() {
    let server = Server::start().await;
    let token = server.token("kitchen", "alice");
    let request = JoinRequest {
        client_info: Some(ClientInfo {
            protocol: 17,
            client_protocol: 3,
            capabilities: vec![2, 77],
            ..Default::default()
        }),
        add_track_requests: vec![AddTrackRequest {
            cid: "cam".into(),
            r#type: TrackType::Video.into(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut client = open(&server, &v1(&token, request)).await.unwrap();
    let join = client.joined().await;
    assert!(!join.subscriber_primary);
    let me = join.participant.unwrap();
    assert_eq!((me.client_protocol, me.capabilities), (3, vec![2, 77]));
    let track = client
        .until(|message| match message {
            Message::TrackPublished(published) => Some(published),
            Message::Offer(_) => panic!("the client offers"),
            _ => None,
        })
        .await;
    assert_eq!(track.cid, "cam");
    assert!(track.track.unwrap().sid.starts_with("TR_"));
}

#[tokio::test]
async fn those_who_are_in_and_those_who_come_see_each_other() {
    let server = Server::start().await;
    let (mut alice, _) = join(&server, "kitchen", "alice").await;
    let (bob, seen) = join(&server, "kitchen", "bob").await;
    let others: Vec<_> = seen
        .other_participants
        .iter()
        .map(|p| &*p.identity)
        .collect();
    assert_eq!(others, ["alice"]);
    let update = |message| match message {
        Message::Update(update) => update
            .participants
            .into_iter()
            .find(|p| p.identity == "bob"),
        _ => None,
    };
    let came = alice.until(update).await;
    drop(bob);
    let left = alice
        .until(|message| update(message).filter(|p| p.state() != participant_info::State::Joined))
        .await;
    assert_eq!(left.state(), participant_info::State::Disconnected);
    assert!(left.version > came.version);
}

#[tokio::test]
async fn refusal_comes_before_the_socket_opens_and_says_why() {
    let server = Server::start().await;
    let no_join = server.token_with("r", "a", |claims| claims.video.room_join = false);
    let no_room = server.token_with("", "a", |_| {});
    let nobody = server.token_with("r", "", |_| {});
    let expired = server.token_with("r", "a", |claims| claims.exp = 1);
    let good = server.token("r", "a");
    for (path, status, word) in [
        ("/rtc".to_owned(), 401, "token"),
        ("/rtc/v1".to_owned(), 401, "token"),
        (v0("rubbish"), 401, "malformed"),
        (v0(&expired), 401, "expired"),
        (v0(&nobody), 401, "identity"),
        (v0(&no_join), 403, "roomJoin"),
        (v0(&no_room), 403, "room"),
        (format!("{}&room=other", v0(&good)), 403, "another room"),
        (format!("/rtc/v1?access_token={good}"), 400, "join_request"),
        (
            format!("/rtc/v1?access_token={good}&join_request=AAAA"),
            400,
            "join_request",
        ),
    ] {
        let (got, reason) = open(&server, &path).await.unwrap_err();
        assert_eq!(got, status, "{path}: {reason}");
        assert!(reason.contains(word), "{path}: {reason}");
    }
    assert!(server.control.rooms().await.is_empty());
}

#[tokio::test]
async fn room_that_may_not_be_made_by_joining_is_missing() {
    let server = Server::with(Options {
        auto_create: false,
        ..Options::default()
    })
    .await;
    let path = v0(&server.token("kitchen", "alice"));
    let (status, reason) = open(&server, &path).await.unwrap_err();
    assert_eq!(status, 404);
    assert!(reason.contains("requested room does not exist"), "{reason}");
    server.control.create_room("kitchen", true).await.unwrap();
    open(&server, &path).await.unwrap();
}

#[tokio::test]
async fn full_room_lets_nobody_in() {
    let mut options = Options::default();
    options.limits.participants_per_room = 1;
    let server = Server::with(options).await;
    let (_alice, _) = join(&server, "kitchen", "alice").await;
    let (status, reason) = open(&server, &v0(&server.token("kitchen", "bob")))
        .await
        .unwrap_err();
    assert_eq!((status, &*reason), (403, "the room is full"));
}

#[tokio::test]
async fn later_of_two_with_one_identity_wins() {
    let server = Server::start().await;
    let (first, _) = join(&server, "kitchen", "alice").await;
    let (mut second, _) = join(&server, "kitchen", "alice").await;
    let leave = first.end().await.leave.unwrap();
    assert_eq!(leave.reason(), DisconnectReason::DuplicateIdentity);
    assert_eq!(leave.action(), Action::Disconnect);
    second.is_well().await;
}

#[tokio::test]
async fn resuming_is_declined_so_that_the_client_joins_anew() {
    let server = Server::start().await;
    let path = format!(
        "{}&reconnect=1&sid=PA_x",
        v0(&server.token("kitchen", "alice"))
    );
    let leave = open(&server, &path)
        .await
        .unwrap()
        .end()
        .await
        .leave
        .unwrap();
    assert_eq!(leave.action(), Action::Reconnect);
    assert_eq!(leave.reason(), DisconnectReason::StateMismatch);
}

#[tokio::test]
async fn clients_come_back_after_a_shutdown() {
    let server = Server::start().await;
    let (client, _) = join(&server, "kitchen", "alice").await;
    let control = server.control.clone();
    let (end, ()) = tokio::join!(client.end(), control.shutdown());
    let leave = end.leave.unwrap();
    assert_eq!(leave.reason(), DisconnectReason::ServerShutdown);
    assert_eq!(leave.action(), Action::Reconnect);
    let (status, _) = open(&server, &v0(&server.token("kitchen", "alice")))
        .await
        .unwrap_err();
    assert_eq!(status, 503);
}
