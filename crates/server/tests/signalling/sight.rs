//! Guests who see only some of the cameras.

use serde_json::{Value, json};
use umbrella_server::auth::{Grants, OwnClaims};
use umbrella_wire::client::JoinResponse;
use umbrella_wire::client::signal_response::Message;

use crate::client::{Client, open, v0};
use crate::server::Server;
use crate::service::{ask, call, publish};

/// A token of somebody who sees these cameras.
fn token(server: &Server, identity: &str, cameras: Option<&[&str]>, guest: bool) -> String {
    server.token_with("yard", identity, |claims| {
        if guest {
            claims.iss = String::new();
        }
        let cameras = cameras.map(|all| all.iter().map(|id| (*id).to_owned()).collect());
        claims.umbrella = cameras.map(|cameras| OwnClaims {
            cameras: Some(cameras),
        });
        claims.video = Grants {
            room_admin: true,
            room_list: true,
            ..claims.video.clone()
        };
    })
}

async fn camera(server: &Server, identity: &str) -> Client {
    let token = server.token_with("yard", identity, |claims| {
        claims.kind = "ingress".to_owned();
    });
    let mut client = open(server, &v0(&token)).await.unwrap();
    client.joined().await;
    client
}

async fn come(server: &Server, token: &str) -> (Client, JoinResponse) {
    let mut client = open(server, &v0(token)).await.unwrap();
    let joined = client.joined().await;
    (client, joined)
}

fn names(joined: &JoinResponse) -> Vec<&str> {
    let others = joined.other_participants.iter();
    others.map(|other| other.identity.as_str()).collect()
}

/// Everything that a client is told until it is answered.
async fn heard(client: &mut Client) -> String {
    client
        .send(umbrella_wire::client::signal_request::Message::PingReq(
            umbrella_wire::client::Ping::default(),
        ))
        .await;
    let mut all = String::new();
    client
        .until(|message| {
            all += &format!("{message:?}\n");
            matches!(message, Message::PongResp(_)).then_some(())
        })
        .await;
    all
}

#[tokio::test]
async fn guest_learns_of_cameras_that_its_token_does_not_name() {
    let server = Server::start().await;
    let mut front = camera(&server, "CA_front").await;
    let mut back = camera(&server, "CA_back").await;
    let some = token(&server, "gus", Some(&["CA_front"]), true);
    let (mut gus, joined) = come(&server, &some).await;
    assert_eq!(names(&joined), ["CA_front"]);
    assert_eq!(joined.room.as_ref().unwrap().num_participants, 2);
    let (_, blind) = come(&server, &token(&server, "eve", Some(&[]), true)).await;
    assert_eq!(names(&blind), ["gus"]);
    let (_ann, all) = come(&server, &token(&server, "ann", None, true)).await;
    assert_eq!(&names(&all)[..3], ["CA_front", "CA_back", "gus"]);
    publish(&mut front).await;
    publish(&mut back).await;
    let back_too = camera(&server, "CA_garage").await;
    drop(back_too);
    let told = heard(&mut gus).await;
    assert!(told.contains("ann"), "{told}");
    assert!(
        !told.contains("CA_back") && !told.contains("CA_garage"),
        "{told}"
    );

    // Whoever comes back with the token that it was given sees no more.
    let fresh = told_token(&told);
    let sid = joined.participant.unwrap().sid;
    let path = format!("{}&reconnect=1&sid={sid}", v0(&fresh));
    let mut again = open(&server, &path).await.unwrap();
    let told = heard(&mut again).await;
    assert!(
        told.contains("CA_front") && !told.contains("CA_back"),
        "{told}"
    );
    let (_, joined) = come(&server, &told_token(&told)).await;
    assert!(names(&joined).contains(&"CA_front"));
    assert!(!names(&joined).contains(&"CA_back"));
}

/// The last token that a client was given.
fn told_token(told: &str) -> String {
    let (_, token) = told.rsplit_once("RefreshToken(\"").unwrap();
    token.split('"').next().unwrap().to_owned()
}

fn about(identity: &str) -> Value {
    json!({"room": "yard", "identity": identity})
}

#[tokio::test]
async fn moderator_acts_on_a_camera_that_it_does_not_see() {
    let server = Server::start().await;
    let mut cameras = Vec::new();
    let mut tracks = Vec::new();
    for identity in ["CA_front", "CA_back"] {
        let mut camera = camera(&server, identity).await;
        tracks.push(publish(&mut camera).await);
        cameras.push(camera);
    }
    for guest in [true, false] {
        let some = token(&server, "mo", Some(&["CA_front"]), guest);
        let _mo = come(&server, &some).await;
        let listed = ask(&server, &some, "ListParticipants", about("")).await;
        let listed = listed["participants"].as_array().unwrap().iter();
        let listed: Vec<_> = listed.map(|it| it["identity"].as_str().unwrap()).collect();
        assert_eq!(listed, ["CA_front", "mo"]);
        let mut muted = about("CA_back");
        muted["trackSid"] = json!(tracks[1]);
        muted["muted"] = json!(true);
        let mut silenced = about("CA_back");
        silenced["permission"] = json!({"canPublish": false});
        for (method, body) in [
            ("GetParticipant", about("CA_back")),
            ("RemoveParticipant", about("CA_back")),
            ("MutePublishedTrack", muted.clone()),
            ("UpdateParticipant", silenced),
        ] {
            // Just as if nobody were there.
            let mut nobody = body.clone();
            nobody["identity"] = json!("CA_none");
            let refused = call(&server, &some, method, &body).await;
            assert_eq!(refused, call(&server, &some, method, &nobody).await);
            assert_eq!((refused.0, &refused.1["code"]), (404, &json!("not_found")));
        }
        // Nor by naming somebody else.
        muted["identity"] = json!("CA_front");
        let (status, _) = call(&server, &some, "MutePublishedTrack", &muted).await;
        assert_eq!(status, 404);
        muted["trackSid"] = json!(tracks[0]);
        ask(&server, &some, "MutePublishedTrack", muted).await;
        let all = token(&server, "boss", None, false);
        for (token, count) in [(some, 2), (all, 3)] {
            let rooms = ask(&server, &token, "ListRooms", json!({})).await;
            assert_eq!(rooms["rooms"][0]["numParticipants"], count);
        }
    }
    let all = token(&server, "mo", None, false);
    ask(&server, &all, "RemoveParticipant", about("CA_back")).await;
}

#[tokio::test]
async fn token_with_too_many_cameras_is_cut_short() {
    let server = Server::start().await;
    let many = ["CA_x"; 65];
    let refused = open(&server, &v0(&token(&server, "gus", Some(&many), false))).await;
    let (status, why) = refused.unwrap_err();
    assert_eq!(status, 401);
    assert!(why.contains("too many cameras (umbrella.cameras)"), "{why}");
}
