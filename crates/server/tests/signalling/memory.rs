//! What is refused where memory is bounded. What is resident is not read here: what was promised decides.

use umbrella_wire::client::signal_request::Message as Ask;
use umbrella_wire::client::signal_response::Message;
use umbrella_wire::client::{AddTrackRequest, TrackType, request_response};

use crate::client::{join, open, v0};
use crate::server::{Options, Server};

/// One participant fits beside the memory for a password, and not two.
async fn server_for_one() -> Server {
    let mut options = Options::default();
    options.limits.memory = Some(19 * 1024 * 1024 + 300 * 1024);
    Server::with(options).await
}

#[tokio::test]
async fn newcomer_is_let_in_without_memory_or_not_told_why() {
    let server = server_for_one().await;
    let (mut alice, _) = join(&server, "kitchen", "alice").await;
    for room in ["kitchen", "cellar"] {
        let path = v0(&server.token(room, "bob"));
        for path in [path.replacen("/rtc", "/rtc/validate", 1), path] {
            let (status, why) = open(&server, &path).await.unwrap_err();
            assert_eq!(status, 503);
            assert!(why.contains("no memory left for more"), "{why}");
        }
    }
    alice.is_well().await;
}

#[tokio::test]
async fn who_is_in_cannot_come_back_while_memory_is_tight() {
    let server = server_for_one().await;
    let (_alice, _) = join(&server, "kitchen", "alice").await;
    let refused = open(&server, &v0(&server.token("kitchen", "bob"))).await;
    assert_eq!(refused.unwrap_err().0, 503);
    // As after a reload of the page. The same name in another room is somebody else.
    let (mut again, _) = join(&server, "kitchen", "alice").await;
    again.is_well().await;
    let elsewhere = open(&server, &v0(&server.token("cellar", "alice"))).await;
    assert_eq!(elsewhere.unwrap_err().0, 503);
}

#[tokio::test]
async fn a_track_is_published_without_memory_or_its_publisher_waits_for_ever() {
    let server = server_for_one().await;
    let (mut alice, _) = join(&server, "kitchen", "alice").await;
    alice
        .send(Ask::AddTrack(AddTrackRequest {
            cid: "cam".into(),
            r#type: TrackType::Video.into(),
            ..Default::default()
        }))
        .await;
    let response = alice
        .until(|message| match message {
            Message::RequestResponse(response) => Some(response),
            Message::TrackPublished(_) => panic!("it is published"),
            _ => None,
        })
        .await;
    assert_eq!(response.reason(), request_response::Reason::LimitExceeded);
    assert!(response.message.contains("no memory"), "{response:?}");
    assert!(matches!(
        response.request,
        Some(request_response::Request::AddTrack(track)) if track.cid == "cam"
    ));
    alice.is_well().await;
}
