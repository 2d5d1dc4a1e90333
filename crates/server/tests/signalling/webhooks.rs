//! What applications are told of rooms. Here nobody's media comes up: meetings are tested with real
//! clients.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use base64::Engine as _;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use umbrella_server::control::RoomSettings;

use crate::client::join;
use crate::server::{KEY, Options, SECRET, Server};

/// Far more than anything here takes: it is there so that a failure ends.
const PATIENCE: Duration = Duration::from_secs(30);

/// An application that takes events.
struct Receiver {
    url: String,
    events: mpsc::UnboundedReceiver<Value>,
}

/// How it answers.
struct Answers {
    events: mpsc::UnboundedSender<Value>,
    count: AtomicUsize,
    /// By the event's name, and how many events came before; 0 is no answer at all.
    status: fn(&str, usize) -> u16,
}

impl Receiver {
    async fn start(status: fn(&str, usize) -> u16) -> Receiver {
        let (sender, events) = mpsc::unbounded_channel();
        let answers = Arc::new(Answers {
            events: sender,
            count: AtomicUsize::new(0),
            status,
        });
        let router = Router::new().fallback(take).with_state(answers);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?key=1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Receiver { url, events }
    }

    async fn next(&mut self) -> Value {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        event.expect("an event comes").unwrap()
    }

    /// The names of the next events.
    async fn names(&mut self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..count {
            names.push(self.next().await["event"].as_str().unwrap().to_owned());
        }
        names
    }
}

async fn take(
    State(answers): State<Arc<Answers>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(header::HeaderName, &'static str); 1]) {
    assert_eq!(uri.to_string(), "/hook?key=1");
    assert_eq!(headers[header::CONTENT_TYPE], "application/webhook+json");
    check(headers[header::AUTHORIZATION].to_str().unwrap(), &body);
    let event: Value = serde_json::from_slice(&body).unwrap();
    let before = answers.count.fetch_add(1, Ordering::Relaxed);
    let status = (answers.status)(event["event"].as_str().unwrap(), before);
    answers.events.send(event).unwrap();
    if status == 0 {
        std::future::pending::<()>().await;
    }
    let elsewhere = [(header::LOCATION, "/elsewhere")];
    (StatusCode::from_u16(status).unwrap(), elsewhere)
}

/// As the SDKs do it.
fn check(token: &str, body: &[u8]) {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[KEY]);
    validation.validate_nbf = true;
    let key = DecodingKey::from_secret(SECRET.as_bytes());
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap();
    let hash = base64::engine::general_purpose::STANDARD.encode(digest(&SHA256, body));
    assert_eq!(claims.claims["sha256"], hash);
}

async fn server(receivers: &[&Receiver]) -> Server {
    Server::with(Options {
        webhooks: receivers.iter().map(|r| r.url.clone()).collect(),
        ..Options::default()
    })
    .await
}

/// Begins a room and ends it.
async fn room(server: &Server, name: &str) {
    let settings = RoomSettings::default();
    server.control.make_room(name, settings).await.unwrap();
    server.control.end_room(name).await.unwrap();
}

#[tokio::test]
async fn application_does_not_know_who_failed_to_come_into_which_room() {
    let mut receiver = Receiver::start(|_, _| 200).await;
    let server = server(&[&receiver]).await;
    let (client, joined) = join(&server, "kitchen", "ann").await;
    let started = receiver.next().await;
    assert_eq!(started["event"], "room_started");
    assert_eq!(started["room"]["name"], "kitchen");
    assert_eq!(started["room"]["sid"], joined.room.unwrap().sid);
    assert!(started["createdAt"].is_string());
    assert_eq!(started.get("participant"), None);

    drop(client);
    let aborted = receiver.next().await;
    assert_eq!(aborted["event"], "participant_connection_aborted");
    let participant = &aborted["participant"];
    assert_eq!(participant["identity"], "ann");
    assert_eq!(participant["sid"], joined.participant.unwrap().sid);
    assert_eq!(participant["state"], "DISCONNECTED");
    assert_eq!(participant["disconnectReason"], "SIGNAL_CLOSE");

    server.control.end_room("kitchen").await.unwrap();
    let finished = receiver.next().await;
    assert_eq!(finished["event"], "room_finished");
    assert_eq!(finished["room"]["sid"], started["room"]["sid"]);
    let ids: BTreeSet<_> = [&started, &aborted, &finished]
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .into();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| id.starts_with("EV_")), "{ids:?}");
}

#[tokio::test]
async fn event_is_lost_or_becomes_another_one_when_the_receiver_fails() {
    let mut receiver = Receiver::start(|_, before| if before < 2 { 500 } else { 200 }).await;
    let server = server(&[&receiver]).await;
    room(&server, "kitchen").await;
    let first = receiver.next().await;
    assert_eq!(first["event"], "room_started");
    assert_eq!(receiver.next().await, first, "the same event, with its id");
    assert_eq!(receiver.next().await, first);
    assert_eq!(receiver.names(1).await, ["room_finished"]);
}

#[tokio::test]
async fn receiver_that_never_answers_holds_up_another_or_a_room() {
    let silent = Receiver::start(|_, _| 0).await;
    let mut other = Receiver::start(|_, _| 200).await;
    let server = server(&[&silent, &other]).await;
    let start = Instant::now();
    for name in ["a", "b", "c"] {
        room(&server, name).await;
    }
    let names = other.names(6).await;
    assert_eq!(names[..2], ["room_started", "room_finished"]);
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "one attempt takes 5 s"
    );
}

#[tokio::test]
async fn receiver_sends_events_elsewhere_or_holds_up_the_next_by_a_refusal() {
    let mut receiver = Receiver::start(|name, before| match (name, before) {
        (_, 0) => 307,
        ("room_started", _) => 400,
        _ => 200,
    })
    .await;
    let server = server(&[&receiver]).await;
    room(&server, "a").await;
    room(&server, "b").await;
    let names = receiver.names(4).await;
    let each_once = ["room_started", "room_finished"];
    assert_eq!(names, [each_once, each_once].concat());
}

#[tokio::test]
async fn ends_of_rooms_are_not_told_when_the_server_stops() {
    let mut receiver = Receiver::start(|_, _| 200).await;
    let mut server = server(&[&receiver]).await;
    let (client, _) = join(&server, "kitchen", "ann").await;
    let gone = tokio::spawn(client.end());
    server.control.shutdown().await;
    server.webhooks.take().unwrap().finish().await;
    gone.await.unwrap();
    let mut names = Vec::new();
    while let Ok(event) = receiver.events.try_recv() {
        names.push(event["event"].as_str().unwrap().to_owned());
    }
    let told = [
        "room_started",
        "participant_connection_aborted",
        "room_finished",
    ];
    assert_eq!(names, told);
}
