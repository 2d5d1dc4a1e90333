//! What real clients get of a camera.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a helper that fails is a test that fails"
)]

#[allow(dead_code, reason = "a part of what cameras can do is enough here")]
#[path = "../../server/src/camera/tests/rig.rs"]
mod rig;
#[allow(dead_code, reason = "a part of it is enough here")]
mod server;

use std::time::{Duration, Instant};

use rig::{Audio, Rig, Script};
use umbrella_loadgen::Scenario;
use umbrella_loadgen::camera::{Cameras, Plan, Sound};
use umbrella_loadgen::loss::Loss;
use umbrella_loadgen::run::run;
use umbrella_server::camera::{Address, CameraSpec, Mode, Options, Setup, State, Streams};
use umbrella_server::trunk::Trust;

fn camera(url: &str) -> CameraSpec {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["nobody".to_owned()]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let own = params.self_signed(&key).unwrap();
    roots.add(own.der().clone()).unwrap();
    let address = Address::parse(url).unwrap();
    let main = Setup {
        options: Options::new(address, Trust::new(roots).unwrap()),
        mode: Mode::OnDemand,
    };
    CameraSpec {
        id: "CA_gate".to_owned(),
        name: "Gate".to_owned(),
        room: server::ROOM.to_owned(),
        streams: Streams { main, sub: None },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn camera_is_seen_in_the_list_and_nothing_comes() {
    let (address, control) = server::start(1).await;
    let rig = Rig::start(Script {
        audio: Audio::Aac,
        ..Script::default()
    })
    .await;
    control.set_camera(camera(&rig.url(""))).await;
    // It is left alone first, so that whoever comes has it connected.
    let begin = Instant::now();
    while rig.connections() == 0 || rig.open() > 0 {
        assert!(begin.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let plan = server::plan(Scenario::Broadcast, 0, 2);
    let report = run(&server::options(address, plan, Loss::default())).await;
    let report = report.unwrap();
    assert_eq!(report.failures, Vec::<String>::new());
    // Two hundred pictures a second and their sound, for each of them. They bear no stamps, so
    // only datagrams are counted.
    assert!(report.packets_out > 1000, "{report:?}");
    assert_eq!((report.joined, report.wire_loss), (2, 0.0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prepared_camera_is_refused() {
    let (address, control) = server::start(1).await;
    let plan = Plan {
        bitrate: 2_000_000,
        fps: 25,
        key_frames: Duration::from_secs(1),
        sound: Sound::Aac,
    };
    let any = "127.0.0.1:0".parse().unwrap();
    let cameras = Cameras::open(any, 2, &plan).await.unwrap();
    let urls = cameras.urls().unwrap();
    tokio::spawn(cameras.serve());
    control.set_camera(camera(&urls[1])).await;
    let begin = Instant::now();
    loop {
        let states: Vec<State> = control
            .cameras()
            .await
            .into_iter()
            .map(|it| it.state)
            .collect();
        if let [State::Live { audio, notes, .. }] = &states[..] {
            assert!(audio.is_some() && notes.is_empty(), "{states:?}");
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{states:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let plan = server::plan(Scenario::Broadcast, 0, 1);
    let report = run(&server::options(address, plan, Loss::default())).await;
    let report = report.unwrap();
    assert_eq!(report.failures, Vec::<String>::new());
    // Nine packets in a picture, and fifty of sound in a second.
    assert!(report.packets_out > 400, "{report:?}");
}
