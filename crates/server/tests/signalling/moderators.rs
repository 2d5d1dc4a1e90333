//! Moderators of the page: people with a token that this server issued, not applications.

use serde_json::{Value, json};
use umbrella_server::auth::Grants;
use umbrella_wire::client::DisconnectReason;

use crate::client::{Client, open, v0};
use crate::server::Server;
use crate::service::{ask, call, publish};

const FEW: (u16, &str) = (403, "permission_denied");

/// A token as the page gets it by an invite.
fn guest(server: &Server, identity: &str, publishes: bool, moderates: bool) -> String {
    server.token_with("kitchen", identity, |claims| {
        claims.iss = String::new();
        claims.video = Grants {
            room_join: true,
            room: "kitchen".to_owned(),
            room_admin: moderates,
            can_publish: Some(publishes),
            ..Grants::default()
        };
    })
}

async fn come(server: &Server, token: &str) -> Client {
    let mut client = open(server, &v0(token)).await.unwrap();
    client.joined().await;
    client
}

async fn refused(server: &Server, token: &str, method: &str, body: Value) {
    let (status, answer) = call(server, token, method, &body).await;
    assert_eq!((status, answer["code"].as_str().unwrap()), FEW, "{method}");
}

fn about(identity: &str) -> Value {
    json!({"room": "kitchen", "identity": identity})
}

fn may_publish(identity: &str, can_publish: bool) -> Value {
    json!({"room": "kitchen", "identity": identity, "permission": {"canPublish": can_publish}})
}

#[tokio::test]
async fn moderator_of_the_page_gets_what_only_applications_may() {
    let server = Server::start().await;
    let token = guest(&server, "guest-mo", true, true);
    let _mo = come(&server, &token).await;
    let mut ann = come(&server, &guest(&server, "guest-ann", true, false)).await;
    let track = publish(&mut ann).await;
    let mute = |muted: bool| {
        let mut body = about("guest-ann");
        body["trackSid"] = json!(track);
        body["muted"] = json!(muted);
        body
    };
    ask(&server, &token, "MutePublishedTrack", mute(true)).await;
    let renamed = json!({"room": "kitchen", "identity": "guest-ann", "name": "Ape"});
    let hidden = json!({"room": "kitchen", "identity": "guest-ann", "name": "x",
        "permission": {"canPublish": true, "hidden": true}});
    for (method, body) in [
        ("MutePublishedTrack", mute(false)),
        ("UpdateParticipant", renamed),
        ("UpdateParticipant", hidden),
        (
            "UpdateRoomMetadata",
            json!({"room": "kitchen", "metadata": "m"}),
        ),
        ("SendData", json!({"room": "kitchen", "data": "aGk="})),
        ("UpdateSubscriptions", about("guest-ann")),
        ("DeleteRoom", json!({"room": "kitchen"})),
        ("CreateRoom", json!({"name": "attic"})),
        ("ListRooms", json!({})),
    ] {
        refused(&server, &token, method, body).await;
    }
    let plain = guest(&server, "guest-ann", true, false);
    refused(&server, &plain, "RemoveParticipant", about("guest-mo")).await;
}

#[tokio::test]
async fn moderator_who_is_not_in_the_room_acts_on_it() {
    let server = Server::start().await;
    let token = guest(&server, "guest-mo", true, true);
    refused(&server, &token, "ListParticipants", about("")).await;
    let mo = come(&server, &token).await;
    let _ann = come(&server, &guest(&server, "guest-ann", true, false)).await;
    ask(&server, &token, "GetParticipant", about("guest-ann")).await;
    let removed = server.control.remove_participant("kitchen", "guest-mo");
    removed.await.unwrap();
    mo.end().await;
    refused(&server, &token, "RemoveParticipant", about("guest-ann")).await;
}

#[tokio::test]
async fn permission_to_publish_comes_back_by_a_reload_or_exceeds_the_token() {
    let server = Server::start().await;
    let moderator = guest(&server, "guest-mo", true, true);
    let _mo = come(&server, &moderator).await;
    let (ann, walter) = (
        guest(&server, "guest-ann", true, false),
        guest(&server, "guest-walter", false, false),
    );
    let _walter = come(&server, &walter).await;
    let more = may_publish("guest-walter", true);
    refused(&server, &moderator, "UpdateParticipant", more).await;

    let first = come(&server, &ann).await;
    let change = |allowed| may_publish("guest-ann", allowed);
    let answer = ask(&server, &moderator, "UpdateParticipant", change(false)).await;
    let permission = &answer["permission"];
    assert_eq!(permission["canPublish"], false);
    assert_eq!(permission["canSubscribe"], true, "the rest stays");
    let second = come(&server, &ann).await;
    first.end().await;
    let allowed = async || {
        let answer = ask(&server, &moderator, "GetParticipant", about("guest-ann")).await;
        answer["permission"]["canPublish"] == true
    };
    assert!(!allowed().await, "a second tab gives it back");
    drop(second);
    let _third = come(&server, &ann).await;
    assert!(!allowed().await, "a reload gives it back");
    ask(&server, &moderator, "UpdateParticipant", change(true)).await;
    assert!(allowed().await);
}

#[tokio::test]
async fn removed_guest_comes_back_at_once_or_an_applications_participant_does_not() {
    let server = Server::start().await;
    let moderator = guest(&server, "guest-mo", true, true);
    let _mo = come(&server, &moderator).await;
    let ann = guest(&server, "guest-ann", true, false);
    let app = server.token("kitchen", "guest-of-an-application");
    for (token, identity, comes_back) in [
        (&ann, "guest-ann", false),
        (&app, "guest-of-an-application", true),
    ] {
        let client = come(&server, token).await;
        ask(&server, &moderator, "RemoveParticipant", about(identity)).await;
        let leave = client.end().await.leave.unwrap();
        assert_eq!(leave.reason(), DisconnectReason::ParticipantRemoved);
        assert_eq!(open(&server, &v0(token)).await.is_ok(), comes_back);
        let kept_out = server.control.kept_out("kitchen", identity).await;
        assert_eq!(kept_out.is_none(), comes_back);
    }
    server.control.delete_room("kitchen").await.unwrap();
    come(&server, &ann).await;
}
