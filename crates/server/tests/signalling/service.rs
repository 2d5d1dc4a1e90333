//! The server API: what applications may ask, and what participants notice of it.

use prost::Message as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use umbrella_server::auth::Grants;
use umbrella_wire::client::signal_request::Message as Ask;
use umbrella_wire::client::signal_response::Message;
use umbrella_wire::client::{AddTrackRequest, DisconnectReason, Room, TrackSource, TrackType};
use umbrella_wire::server::{CreateRoomRequest, ListRoomsResponse};

use crate::client::{Client, join, open, v0};
use crate::server::{Options, Server};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/protobuf";

/// One request over a connection of its own: status and body.
async fn exchange(server: &Server, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let length = body.len();
    let head = format!("{head}host: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // A server that refuses a body early may close the connection before all of it is written.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse();
    (status.unwrap(), answer[end + 4..].to_vec())
}

fn head(method: &str, token: &str, content_type: &str) -> String {
    format!(
        "POST /twirp/livekit.RoomService/{method} HTTP/1.1\r\n\
         authorization: Bearer {token}\r\ncontent-type: {content_type}\r\n"
    )
}

pub(crate) async fn call(server: &Server, token: &str, method: &str, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let (status, answer) = exchange(server, &head(method, token, JSON), body.as_bytes()).await;
    (status, serde_json::from_slice(&answer).unwrap())
}

/// The answer to a call that must work.
pub(crate) async fn ask(server: &Server, token: &str, method: &str, body: Value) -> Value {
    let (status, answer) = call(server, token, method, &body).await;
    assert_eq!(status, 200, "{method}: {answer}");
    answer
}

fn grants(server: &Server, video: Grants) -> String {
    server.token_with("", "", |claims| claims.video = video)
}

fn manager(server: &Server) -> String {
    grants(
        server,
        Grants {
            room_create: true,
            room_list: true,
            ..Grants::default()
        },
    )
}

fn moderator(server: &Server, room: &str) -> String {
    grants(
        server,
        Grants {
            room_admin: true,
            room: room.to_owned(),
            ..Grants::default()
        },
    )
}

/// Announces a microphone; its id.
pub(crate) async fn publish(client: &mut Client) -> String {
    let track = AddTrackRequest {
        cid: "mic".into(),
        r#type: TrackType::Audio.into(),
        source: TrackSource::Microphone.into(),
        ..Default::default()
    };
    client.send(Ask::AddTrack(track)).await;
    let published = client
        .until(|message| match message {
            Message::TrackPublished(published) => published.track,
            _ => None,
        })
        .await;
    published.sid
}

#[tokio::test]
async fn room_of_an_application_is_not_as_it_was_asked_for() {
    let server = Server::start().await;
    let token = manager(&server);
    let made = ask(
        &server,
        &token,
        "CreateRoom",
        json!({
            "name": "kitchen", "emptyTimeout": 600, "departure_timeout": "30",
            "maxParticipants": 2, "metadata": "m", "somethingNew": {"a": [1]}
        }),
    )
    .await;
    assert!(made["sid"].as_str().unwrap().starts_with("RM_"));
    assert_eq!(
        (&made["emptyTimeout"], &made["departureTimeout"]),
        (&json!(600), &json!(30))
    );
    assert_eq!(
        (&made["maxParticipants"], &made["metadata"]),
        (&json!(2), &json!("m"))
    );
    assert!(
        made["creationTime"].is_string(),
        "JSON has no 64-bit numbers"
    );

    let again = CreateRoomRequest {
        name: "kitchen".into(),
        metadata: "n".into(),
        ..Default::default()
    };
    let request = head("CreateRoom", &token, PROTOBUF);
    let (status, answer) = exchange(&server, &request, &again.encode_to_vec()).await;
    assert_eq!(status, 200);
    let room = Room::decode(&*answer).unwrap();
    assert_eq!(
        (&*room.metadata, room.max_participants, room.empty_timeout),
        ("n", 2, 600)
    );
    assert_eq!(json!(room.sid), made["sid"], "it is the same room");

    ask(&server, &token, "CreateRoom", json!({"name": "hall"})).await;
    let (_, answer) = exchange(&server, &head("ListRooms", &token, PROTOBUF), b"").await;
    assert_eq!(ListRoomsResponse::decode(&*answer).unwrap().rooms.len(), 2);
    let listed = ask(
        &server,
        &token,
        "ListRooms",
        json!({"names": ["hall", "attic"]}),
    )
    .await;
    assert_eq!(listed["rooms"].as_array().unwrap().len(), 1);
    assert_eq!(listed["rooms"][0]["name"], "hall");
}

#[tokio::test]
async fn more_come_in_than_the_application_wants() {
    let server = Server::with(Options {
        auto_create: false,
        ..Options::default()
    })
    .await;
    let token = manager(&server);
    let request = json!({"name": "kitchen", "maxParticipants": 1});
    ask(&server, &token, "CreateRoom", request).await;
    let (_alice, joined) = join(&server, "kitchen", "alice").await;
    assert_eq!(joined.room.unwrap().max_participants, 1);
    let bob = open(&server, &v0(&server.token("kitchen", "bob"))).await;
    assert!(bob.unwrap_err().1.contains("full"));
    let request = json!({"name": "kitchen", "maxParticipants": 2});
    ask(&server, &token, "CreateRoom", request).await;
    join(&server, "kitchen", "bob").await;
}

#[tokio::test]
async fn caller_gets_more_than_its_grants_allow() {
    const NONE: (u16, &str) = (401, "unauthenticated");
    const FEW: (u16, &str) = (403, "permission_denied");
    let server = Server::start().await;
    let (manager, moderator) = (manager(&server), moderator(&server, "kitchen"));
    let participant = server.token("kitchen", "alice");
    let of_both = server.token_with("kitchen", "mo", |claims| claims.video.room_admin = true);
    let (_in_the_hall, _) = join(&server, "hall", "bob").await;
    let (room, hall) = (
        json!({"room": "kitchen"}),
        json!({"room": "hall", "identity": "bob"}),
    );
    for (token, method, body, answer) in [
        ("", "ListRooms", &json!({}), NONE),
        ("rubbish", "ListRooms", &json!({}), NONE),
        (&*moderator, "ListRooms", &json!({}), FEW),
        (&*participant, "ListParticipants", &room, FEW),
        (&*manager, "ListParticipants", &room, FEW),
        (&*moderator, "DeleteRoom", &room, FEW),
        (&*moderator, "ListParticipants", &hall, FEW),
        (&*of_both, "ListParticipants", &hall, FEW),
        (&*of_both, "RemoveParticipant", &hall, FEW),
        (&*of_both, "MutePublishedTrack", &hall, FEW),
        (&*of_both, "UpdateParticipant", &hall, FEW),
        (&*moderator, "ListParticipants", &json!({}), FEW),
    ] {
        refused(&server, token, (method, body), answer).await;
    }
}

#[tokio::test]
async fn wrong_call_is_not_explained() {
    const WRONG: (u16, &str) = (400, "invalid_argument");
    const MALFORMED: (u16, &str) = (400, "malformed");
    const MISSING: (u16, &str) = (404, "not_found");
    let server = Server::start().await;
    let (manager, moderator) = (manager(&server), moderator(&server, "kitchen"));
    let room = json!({"room": "kitchen"});
    let someone = json!({"room": "kitchen", "identity": "nobody"});
    let long = json!({"name": "x".repeat(257)});
    for (token, method, body, answer) in [
        (&manager, "CreateRoom", &json!({}), WRONG),
        (&manager, "CreateRoom", &long, WRONG),
        (&manager, "CreateRoom", &json!({"name": 7}), MALFORMED),
        (&manager, "CreateRoom", &json!([]), MALFORMED),
        (&manager, "DeleteRoom", &room, MISSING),
        (&moderator, "GetParticipant", &someone, MISSING),
        (&moderator, "RemoveParticipant", &someone, MISSING),
        (
            &manager,
            "MoveParticipant",
            &json!({}),
            (501, "unimplemented"),
        ),
    ] {
        refused(&server, token, (method, body), answer).await;
    }
    let nobody = ask(&server, &moderator, "ListParticipants", room).await;
    assert_eq!(nobody, json!({"participants": []}));
}

async fn refused(
    server: &Server,
    token: &str,
    (method, body): (&str, &Value),
    (status, code): (u16, &str),
) {
    let (got, answer) = call(server, token, method, body).await;
    assert_eq!(
        (got, &answer["code"]),
        (status, &json!(code)),
        "{method}: {answer}"
    );
    assert!(answer["msg"].as_str().is_some_and(|text| !text.is_empty()));
}

#[tokio::test]
async fn path_that_is_no_method_is_taken_for_one() {
    let server = Server::start().await;
    let auth = format!("authorization: Bearer {}\r\n", manager(&server));
    let json_type = "content-type: application/json\r\n";
    for head in [
        format!("POST /twirp/livekit.Egress/ListEgress HTTP/1.1\r\n{auth}{json_type}"),
        format!("POST /twirp/livekit.RoomService/A/B HTTP/1.1\r\n{auth}{json_type}"),
        format!("GET /twirp/livekit.RoomService/ListRooms HTTP/1.1\r\n{auth}{json_type}"),
        format!("POST /twirp/livekit.RoomService/ListRooms HTTP/1.1\r\n{auth}"),
    ] {
        let (status, answer) = exchange(&server, &head, b"{}").await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(
            (status, &answer["code"]),
            (404, &json!("bad_route")),
            "{head}"
        );
    }
}

#[tokio::test]
async fn rubbish_or_a_flood_of_bytes_costs_more_than_the_call() {
    let server = Server::start().await;
    let token = manager(&server);
    for (content_type, body) in [
        (PROTOBUF, vec![0xff; 64]),
        (JSON, b"[".repeat(100_000)),
        (JSON, vec![b' '; 600 * 1024]),
    ] {
        let (status, _) = exchange(&server, &head("CreateRoom", &token, content_type), &body).await;
        assert_eq!(status, 400);
    }
    let moderator = moderator(&server, "kitchen");
    join(&server, "kitchen", "alice").await;
    let metadata = "x".repeat(65 * 1024);
    let request = json!({"room": "kitchen", "metadata": metadata});
    let (status, answer) = call(&server, &moderator, "UpdateRoomMetadata", &request).await;
    assert_eq!((status, &answer["code"]), (400, &json!("invalid_argument")));
}

#[tokio::test]
async fn application_changes_somebody_who_does_not_learn_of_it() {
    let server = Server::start().await;
    let (mut alice, joined) = join(&server, "kitchen", "alice").await;
    let token = moderator(&server, "kitchen");
    let answer = ask(
        &server,
        &token,
        "UpdateParticipant",
        json!({
            "room": "kitchen", "identity": "alice", "metadata": "m", "attributes": {"hand": "up"},
            "permission": {"canSubscribe": true, "canPublishSources": ["MICROPHONE", 1]}
        }),
    )
    .await;
    assert_eq!(answer["sid"], joined.participant.unwrap().sid);
    assert_eq!(
        (&answer["name"], &answer["metadata"]),
        (&json!("ALICE"), &json!("m"))
    );
    let permission = &answer["permission"];
    assert_eq!(permission["canPublish"], false);
    assert_eq!(
        permission["canPublishSources"],
        json!(["MICROPHONE", "CAMERA"])
    );
    let me = alice
        .until(|message| match message {
            Message::Update(update) => update.participants.into_iter().find(|p| {
                let permission = p.permission.as_ref();
                p.identity == "alice" && permission.is_some_and(|p| !p.can_publish)
            }),
            _ => None,
        })
        .await;
    assert_eq!((&*me.metadata, &*me.attributes["hand"]), ("m", "up"));
    let fresh = alice
        .until(|message| match message {
            Message::RefreshToken(token) => Some(token),
            _ => None,
        })
        .await;
    let room = json!({"room": "kitchen", "metadata": "party"});
    ask(&server, &token, "UpdateRoomMetadata", room).await;
    let room = alice.until(|message| match message {
        Message::RoomUpdate(update) => update.room.filter(|room| room.metadata == "party"),
        _ => None,
    });
    assert_eq!(room.await.name, "kitchen");
    // It does not get its rights back by coming anew.
    let mut again = open(&server, &v0(&fresh)).await.unwrap();
    let me = again.joined().await.participant.unwrap();
    assert!(!me.permission.unwrap().can_publish);
    assert_eq!(&*me.metadata, "m");
}

#[tokio::test]
async fn muted_track_is_another_ones() {
    let server = Server::start().await;
    let (mut alice, _) = join(&server, "kitchen", "alice").await;
    let (_bob, _) = join(&server, "kitchen", "bob").await;
    let token = moderator(&server, "kitchen");
    let track = publish(&mut alice).await;
    let mute = |identity: &str| json!({"room": "kitchen", "identity": identity, "trackSid": track, "muted": true});
    let (status, _) = call(&server, &token, "MutePublishedTrack", &mute("bob")).await;
    assert_eq!(status, 404);
    let answer = ask(&server, &token, "MutePublishedTrack", mute("alice")).await;
    assert_eq!(
        (&answer["track"]["sid"], &answer["track"]["muted"]),
        (&json!(track), &json!(true))
    );
    let told = alice.until(|message| match message {
        Message::Mute(mute) => Some((mute.sid, mute.muted)),
        _ => None,
    });
    assert_eq!(told.await, (track, true));
}

#[tokio::test]
async fn message_for_somebody_who_has_left_is_refused_or_a_large_one_sent() {
    let server = Server::start().await;
    let (_alice, _) = join(&server, "kitchen", "alice").await;
    let token = moderator(&server, "kitchen");
    let message = json!({
        "room": "kitchen", "data": "aGVsbG8", "kind": "LOSSY", "destinationSids": ["PA_gone"]
    });
    assert_eq!(ask(&server, &token, "SendData", message).await, json!({}));
    let message = json!({"room": "kitchen", "data": "A".repeat(100_000)});
    let (status, answer) = call(&server, &token, "SendData", &message).await;
    assert_eq!((status, &answer["code"]), (400, &json!("invalid_argument")));
    let wish = json!({
        "room": "kitchen", "identity": "alice", "trackSids": ["TR_gone"],
        "participantTracks": [{"participantSid": "PA_gone", "trackSids": ["TR_gone"]}]
    });
    assert_eq!(
        ask(&server, &token, "UpdateSubscriptions", wish).await,
        json!({})
    );
}

#[tokio::test]
async fn removed_participant_or_those_of_a_deleted_room_stay() {
    let server = Server::start().await;
    let (alice, _) = join(&server, "kitchen", "alice").await;
    let (bob, _) = join(&server, "kitchen", "bob").await;
    let token = moderator(&server, "kitchen");
    let bobs = json!({"room": "kitchen", "identity": "bob"});
    assert_eq!(
        ask(&server, &token, "GetParticipant", bobs.clone()).await["state"],
        "JOINED"
    );
    ask(&server, &token, "RemoveParticipant", bobs).await;
    let leave = bob.end().await.leave.unwrap();
    assert_eq!(leave.reason(), DisconnectReason::ParticipantRemoved);
    let manager = manager(&server);
    ask(&server, &manager, "DeleteRoom", json!({"room": "kitchen"})).await;
    let leave = alice.end().await.leave.unwrap();
    assert_eq!(leave.reason(), DisconnectReason::RoomDeleted);
    let listed = ask(&server, &manager, "ListRooms", json!({})).await;
    assert_eq!(listed, json!({"rooms": []}));
}

#[tokio::test]
async fn application_ends_a_room_that_the_operator_keeps() {
    let server = Server::start().await;
    server.control.create_room("kitchen", true).await.unwrap();
    let (alice, _) = join(&server, "kitchen", "alice").await;
    let manager = manager(&server);
    ask(&server, &manager, "DeleteRoom", json!({"room": "kitchen"})).await;
    alice.end().await;
    let room = &server.control.rooms().await[0];
    assert!(room.permanent && room.participants == 0);
}
