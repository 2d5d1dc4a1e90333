//! Clients that come back with another socket.

use umbrella_server::clock::unix_seconds;
use umbrella_server::config::{Credentials, IceUrl, Relays, TurnConfig};
use umbrella_wire::client::leave_request::Action;
use umbrella_wire::client::signal_request::Message as Ask;
use umbrella_wire::client::signal_response::Message;
use umbrella_wire::client::{
    AddTrackRequest, DisconnectReason, IceServer, LeaveRequest, ParticipantInfo, SyncState,
    TrackInfo, TrackPublishedResponse, TrackType, participant_info,
};

use crate::client::{Client, join, open, v0};
use crate::server::{Options, Server};

/// Somebody asks for the session of a stay.
async fn resume(server: &Server, room: &str, identity: &str, sid: &str) -> Client {
    let path = v0(&server.token(room, identity));
    let path = format!("{path}&reconnect=1&sid={sid}");
    open(server, &path).await.unwrap()
}

async fn refusal(server: &Server, room: &str, identity: &str, sid: &str) -> LeaveRequest {
    let client = resume(server, room, identity, sid).await;
    client.end().await.leave.expect("it is told to leave")
}

/// The next one who is said to have left.
async fn departure(client: &mut Client) -> ParticipantInfo {
    client
        .until(|message| match message {
            Message::Update(update) => update
                .participants
                .into_iter()
                .find(|p| p.state() == participant_info::State::Disconnected),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn who_comes_back_has_to_join_anew() {
    let server = Server::start().await;
    let (mut alice, _) = join(&server, "kitchen", "alice").await;
    let (bob, joined) = join(&server, "kitchen", "bob").await;
    let sid = joined.participant.unwrap().sid;
    let mut again = resume(&server, "kitchen", "bob", &sid).await;
    match again.next().await {
        Some(Message::Reconnect(reconnect)) => {
            assert_eq!(reconnect.last_message_seq, 0);
            assert!(reconnect.server_info.is_some());
        }
        other => panic!("the first message is {other:?}"),
    }
    let present = again
        .until(|message| match message {
            Message::Update(update) => Some(update.participants),
            _ => None,
        })
        .await;
    let names: Vec<_> = present.iter().map(|p| p.identity.as_str()).collect();
    assert_eq!(names, ["alice", "bob"]);
    // The earlier socket ends, and nothing else with it.
    bob.end().await;
    again.is_well().await;
    again
        .send(Ask::AddTrack(AddTrackRequest {
            cid: "mic".into(),
            r#type: TrackType::Audio.into(),
            ..Default::default()
        }))
        .await;
    again
        .until(|message| matches!(message, Message::TrackPublished(_)).then_some(()))
        .await;
    again.send(Ask::Leave(LeaveRequest::default())).await;
    let left = departure(&mut alice).await;
    assert_eq!(left.disconnect_reason(), DisconnectReason::ClientInitiated);
}

/// The only relay that is said, with the time at which its credentials end.
fn relay(servers: &[IceServer]) -> (u64, IceServer) {
    let [relay] = servers else {
        panic!("{servers:?}")
    };
    let (expiry, _) = relay.username.split_once(':').unwrap();
    (expiry.parse().unwrap(), relay.clone())
}

#[tokio::test]
async fn who_comes_back_has_no_fresh_credentials_for_the_relay() {
    let server = Server::with(Options {
        turn: TurnConfig {
            relays: Some(Relays {
                urls: vec![IceUrl::turn("turn:relay.example.org?transport=tcp").unwrap()],
                credentials: Credentials::Shared {
                    secret: "a secret of the relay and us".to_owned(),
                    ttl_s: 7200,
                },
            }),
            stun: Vec::new(),
        },
        ..Options::default()
    })
    .await;
    let until = unix_seconds() + 7200;
    let (_bob, joined) = join(&server, "kitchen", "bob").await;
    let (expiry, first) = relay(&joined.ice_servers);
    assert!((until..until + 30).contains(&expiry), "{first:?}");
    assert_eq!(first.urls, ["turn:relay.example.org?transport=tcp"]);
    let sid = joined.participant.unwrap().sid;
    let mut again = resume(&server, "kitchen", "bob", &sid).await;
    let Some(Message::Reconnect(reconnect)) = again.next().await else {
        panic!("the session does not go on")
    };
    let (expiry, second) = relay(&reconnect.ice_servers);
    assert!((until..until + 30).contains(&expiry), "{second:?}");
    assert!(first.username != second.username && first.credential != second.credential);
}

#[tokio::test]
async fn clients_are_sent_to_servers_that_nobody_has_configured() {
    let server = Server::start().await;
    let (_bob, joined) = join(&server, "kitchen", "bob").await;
    assert_eq!(joined.ice_servers, []);
}

#[tokio::test]
async fn stranger_takes_over_a_session() {
    let server = Server::start().await;
    let (mut alice, joined) = join(&server, "kitchen", "alice").await;
    let sid = joined.participant.unwrap().sid;
    let (_mallory, _) = join(&server, "cellar", "mallory").await;
    for (room, identity) in [("kitchen", "mallory"), ("cellar", "alice")] {
        let leave = refusal(&server, room, identity, &sid).await;
        assert_eq!(leave.action(), Action::Reconnect);
        assert_eq!(leave.reason(), DisconnectReason::StateMismatch);
    }
    alice.is_well().await;
}

#[tokio::test]
async fn removed_person_comes_back_by_itself() {
    let server = Server::start().await;
    let (_alice, _) = join(&server, "kitchen", "alice").await;
    let (_bob, joined) = join(&server, "kitchen", "bob").await;
    let sid = joined.participant.unwrap().sid;
    let control = &server.control;
    control.remove_participant("kitchen", "bob").await.unwrap();
    let leave = refusal(&server, "kitchen", "bob", &sid).await;
    assert_eq!(leave.action(), Action::Disconnect);
    assert_eq!(leave.reason(), DisconnectReason::ParticipantRemoved);
}

#[tokio::test]
async fn two_with_one_identity_throw_each_other_out_for_ever() {
    let server = Server::start().await;
    let (_first, joined) = join(&server, "kitchen", "alice").await;
    let sid = joined.participant.unwrap().sid;
    let (mut second, _) = join(&server, "kitchen", "alice").await;
    let leave = refusal(&server, "kitchen", "alice", &sid).await;
    assert_eq!(leave.action(), Action::Disconnect);
    assert_eq!(leave.reason(), DisconnectReason::DuplicateIdentity);
    second.is_well().await;
}

#[tokio::test]
async fn who_never_had_media_is_waited_for() {
    let server = Server::start().await;
    let (mut alice, _) = join(&server, "kitchen", "alice").await;
    let (bob, _) = join(&server, "kitchen", "bob").await;
    drop(bob);
    let left = departure(&mut alice).await;
    assert_eq!(left.identity, "bob");
}

#[tokio::test]
async fn client_goes_on_with_a_track_that_has_ended() {
    let server = Server::start().await;
    let (_bob, joined) = join(&server, "kitchen", "bob").await;
    let sid = joined.participant.unwrap().sid;
    let mut again = resume(&server, "kitchen", "bob", &sid).await;
    let track = TrackPublishedResponse {
        cid: "camera".into(),
        track: Some(TrackInfo {
            sid: "TR_gone".into(),
            ..Default::default()
        }),
    };
    again
        .send(Ask::SyncState(SyncState {
            publish_tracks: vec![track],
            ..Default::default()
        }))
        .await;
    let ended = again
        .until(|message| match message {
            Message::TrackUnpublished(ended) => Some(ended.track_sid),
            _ => None,
        })
        .await;
    assert_eq!(ended, "TR_gone");
}
