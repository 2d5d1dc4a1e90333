//! Cameras in rooms: who sees them, and when they are connected.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use umbrella_room::model::{ParticipantKind, ParticipantState, ParticipantView};
use umbrella_server::camera::{
    Address, CameraSpec, CameraStatus, Mode, Options, Setup, State, Streams,
};
use umbrella_server::trunk::Trust;
use umbrella_wire::client::signal_response::Message;
use umbrella_wire::client::{ParticipantInfo, participant_info};

use crate::client::{Client, join, open, v0};
use crate::rig::{Audio, Auth, Quirk, Rig, Script};
use crate::server::Server;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
const ROOM: &str = "yard";
const ID: &str = "CA_gate";

fn trust() -> Trust {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["nobody".to_owned()]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let own = params.self_signed(&key).unwrap();
    roots.add(own.der().clone()).unwrap();
    Trust::new(roots).unwrap()
}

fn camera(rig: &Rig, mode: Mode) -> CameraSpec {
    let address = Address::parse(&rig.url("admin:hunter2@")).unwrap();
    CameraSpec {
        id: ID.to_owned(),
        name: "Gate".to_owned(),
        room: ROOM.to_owned(),
        streams: Streams {
            main: Setup {
                options: Options::new(address, trust()),
                mode,
            },
            sub: None,
        },
    }
}

/// Waits until something is so, and says how long that took.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> (T, Duration) {
    let begin = Instant::now();
    loop {
        if let Some(found) = look().await {
            return (found, begin.elapsed());
        }
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn seen(server: &Server) -> Option<std::sync::Arc<ParticipantView>> {
    let all = server.control.participants(ROOM).await.ok()?;
    all.into_iter().find(|it| it.identity.as_str() == ID)
}

async fn status(server: &Server) -> CameraStatus {
    let mut all = server.control.cameras().await;
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// The camera once it has a number of tracks.
async fn published(server: &Server, tracks: usize) -> std::sync::Arc<ParticipantView> {
    let (view, _) = until("tracks", async || {
        seen(server)
            .await
            .filter(|view| view.tracks.len() == tracks)
    })
    .await;
    view
}

fn state(view: &ParticipantView) -> &str {
    &view.attributes["umbrella.camera.state"]
}

/// The next news of the camera of which something holds.
async fn news(
    client: &mut Client,
    holds: impl Fn(&HashMap<String, String>) -> bool,
) -> ParticipantInfo {
    let of = |message| match message {
        Message::Update(update) => {
            let mut all = update.participants.into_iter();
            all.find(|it| it.identity == ID && holds(&it.attributes.clone().into_iter().collect()))
        }
        _ => None,
    };
    client.until(of).await
}

#[tokio::test]
async fn camera_is_connected_while_nobody_watches_or_late_when_somebody_does() {
    let server = Server::start().await;
    let rig = Rig::start(Script {
        audio: Audio::Aac,
        ..Script::default()
    })
    .await;
    server
        .control
        .set_camera(camera(&rig, Mode::OnDemand))
        .await;
    let first = published(&server, 2).await;
    assert_eq!(first.kind, ParticipantKind::Ingress);
    assert_eq!(
        (first.state, &*first.name),
        (ParticipantState::Active, "Gate")
    );
    let video = &first.tracks[0];
    assert_eq!((video.width, video.height), (1920, 1080));
    assert_eq!(state(&first), "live");
    // Nobody is there: it is left alone after a while, and keeps its tracks.
    let closed = async || (rig.open() == 0).then_some(());
    let ((), took) = until("left alone", closed).await;
    assert!(
        took > Duration::from_secs(5) && took < Duration::from_secs(15),
        "{took:?}"
    );
    let (idle, _) = until("idle", async || {
        seen(&server).await.filter(|view| state(view) == "idle")
    })
    .await;
    assert_eq!((&idle.id, idle.tracks.len()), (&first.id, 2));
    assert!(!status(&server).await.watched);
    // Somebody looks.
    let (alice, welcome) = join(&server, ROOM, "alice").await;
    let shown = &welcome.other_participants[0];
    assert_eq!((&*shown.identity, shown.tracks.len()), (ID, 2));
    assert_eq!(shown.kind(), participant_info::Kind::Ingress);
    let ((), took) = until("connected", async || (rig.open() > 0).then_some(())).await;
    assert!(took < Duration::from_millis(1500), "{took:?}");
    let (live, _) = until("media", async || {
        let status = status(&server).await;
        (status.bitrate > 0 && status.cached_bytes > 0).then_some(status)
    })
    .await;
    assert!(
        live.watched && matches!(live.state, State::Live { .. }),
        "{live:?}"
    );
    assert!(live.video.is_some() && live.audio.is_some());
    // And goes.
    drop(alice);
    let ((), took) = until("left alone again", closed).await;
    assert!(
        took > Duration::from_secs(5) && took < Duration::from_secs(15),
        "{took:?}"
    );
    assert_eq!(seen(&server).await.unwrap().id, first.id);
}

#[tokio::test]
async fn tile_of_a_camera_vanishes_when_its_connection_breaks() {
    let server = Server::start().await;
    let rig = Rig::start(Script {
        quirk: Quirk::Closes(40),
        ..Script::default()
    })
    .await;
    let (mut alice, _) = join(&server, ROOM, "alice").await;
    server
        .control
        .set_camera(camera(&rig, Mode::OnDemand))
        .await;
    let is = |state: &'static str| {
        move |attributes: &HashMap<String, String>| {
            attributes.get("umbrella.camera.state").map(String::as_str) == Some(state)
        }
    };
    let first = news(&mut alice, is("live")).await;
    for _ in 0..2 {
        let away = news(&mut alice, is("reconnecting")).await;
        assert_eq!((&away.sid, away.tracks.len()), (&first.sid, 1));
        assert!(
            away.attributes["umbrella.camera.why"].contains("closed"),
            "{away:?}"
        );
        let retry: u64 = away.attributes["umbrella.camera.retry"].parse().unwrap();
        assert!(retry.abs_diff(umbrella_server::clock::unix_seconds()) < 40);
        let back = news(&mut alice, is("live")).await;
        assert_eq!((&back.sid, &back.tracks), (&first.sid, &away.tracks));
        assert!(!back.attributes.contains_key("umbrella.camera.why"));
    }
}

#[tokio::test]
async fn wrong_password_is_shown_or_the_camera_missing() {
    let server = Server::start().await;
    let rig = Rig::start(Script {
        auth: Auth::Never,
        ..Script::default()
    })
    .await;
    server
        .control
        .set_camera(camera(&rig, Mode::OnDemand))
        .await;
    let (view, _) = until("refused", async || {
        seen(&server).await.filter(|view| state(view) == "refused")
    })
    .await;
    let why = &view.attributes["umbrella.camera.why"];
    assert!(why.contains("password"), "{why}");
    let text = format!("{view:?} {:?}", status(&server).await);
    assert!(!text.contains("hunter2"), "{text}");
    // Nobody else is taken for it.
    let token = server.token(ROOM, ID);
    let refused = open(&server, &v0(&token)).await.err();
    assert!(refused.is_some());
    server.control.remove_camera(ID).await;
    assert!(seen(&server).await.is_none());
    assert!(server.control.cameras().await.is_empty());
}

#[tokio::test]
async fn muted_camera_goes_on_or_a_removed_one_never_comes_back() {
    let server = Server::start().await;
    let rig = Rig::start(Script::default()).await;
    let mut spec = camera(&rig, Mode::Always);
    server.control.set_camera(spec.clone()).await;
    let view = published(&server, 1).await;
    let track = view.tracks[0].id.clone();
    let mute = server.control.mute_track(ROOM, track.as_str(), true);
    mute.await.unwrap();
    assert!(published(&server, 1).await.tracks[0].muted);
    for publish in [false, true] {
        let permission = server.control.let_publish(ROOM, ID, publish);
        permission.await.unwrap();
        published(&server, usize::from(publish)).await;
    }
    assert!(published(&server, 1).await.tracks[0].muted);
    let remove = server.control.remove_participant(ROOM, ID);
    remove.await.unwrap();
    until("gone", async || seen(&server).await.is_none().then_some(())).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(seen(&server).await.is_none());
    until("let go", async || (rig.open() == 0).then_some(())).await;
    spec.name = "Front gate".to_owned();
    server.control.set_camera(spec.clone()).await;
    let back = published(&server, 1).await;
    assert_eq!(back.name, "Front gate");
    assert!(back.id != view.id && back.tracks[0].muted);
    // The name of one that is there, and its room.
    spec.name = "Gate".to_owned();
    let connections = rig.connections();
    server.control.set_camera(spec.clone()).await;
    until("renamed", async || {
        seen(&server)
            .await
            .filter(|it| it.name == "Gate" && it.id == back.id)
    })
    .await;
    assert_eq!(rig.connections(), connections, "connected anew for a name");
    server.control.delete_room(ROOM).await.unwrap();
    until("ended", async || {
        seen(&server).await.is_none().then_some(())
    })
    .await;
    let _alice = join(&server, ROOM, "alice").await;
    published(&server, 1).await;
}

#[tokio::test]
async fn substream_is_not_a_layer() {
    let server = Server::start().await;
    let rig = Rig::start(Script {
        audio: Audio::Pcmu,
        ..Script::default()
    })
    .await;
    let mut spec = camera(&rig, Mode::OnDemand);
    spec.streams.sub = Some(Address::parse(&rig.url("")).unwrap());
    server.control.set_camera(spec).await;
    let view = published(&server, 2).await;
    let video = &view.tracks[0];
    assert!(video.simulcast);
    let qualities: Vec<u8> = video.layers.iter().map(|layer| layer.quality).collect();
    assert_eq!(qualities, [0, 1]);
    let (_alice, _) = join(&server, ROOM, "alice").await;
    until("both layers", async || {
        let status = status(&server).await;
        let live = status
            .layers
            .iter()
            .filter(|(_, it)| matches!(it, State::Live { .. }));
        (live.count() == 2 && rig.open() == 2).then_some(())
    })
    .await;
}
