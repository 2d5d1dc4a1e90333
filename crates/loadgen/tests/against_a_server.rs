//! The synthetic participants against a real server of ours, all in one process.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails is a test that fails"
)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use umbrella_loadgen::loss::Loss;
use umbrella_loadgen::media::VideoCodec;
use umbrella_loadgen::report::Report;
use umbrella_loadgen::run::{Dialect, Options, run};
use umbrella_loadgen::token::Key;
use umbrella_loadgen::{Plan, Quality, Scenario};
use umbrella_server::auth::Authority;
use umbrella_server::config::{ConfiguredKey, LimitsConfig, MediaConfig, RoomsConfig};
use umbrella_server::{control, signal, worker};

const KEY: &str = "loadkey";
const SECRET: &str = "the secret of a load generator, long enough";

/// A server without page and database: workers, rooms and signalling.
async fn start(threads: usize) -> (SocketAddr, control::Handle) {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let workers = worker::start(&worker::Settings {
        media: MediaConfig {
            workers: Some(threads),
            min_port: 48_000,
            max_port: 48_999,
            public_ips: Vec::new(),
            advertise_lan: true,
            udp: true,
            tcp: false,
        },
        interfaces: vec![loopback],
        limits: umbrella_engine::Limits::default(),
        tcp: worker::TcpLimits {
            connections: 16,
            per_address: 16,
        },
    });
    let limits = LimitsConfig {
        participants_per_room: 100,
        rooms: 100,
        tracks_per_participant: 8,
        sockets: 200,
        sockets_per_address: 100,
        message_bytes: 64 * 1024,
        messages_per_second: 100,
        offers_per_minute: 600,
        data_message_bytes: 16 * 1024,
        tcp_connections: 16,
        tcp_connections_per_address: 16,
    };
    let settings = control::Settings {
        rooms: RoomsConfig {
            auto_create: true,
            empty_timeout: Duration::from_secs(60),
            departure_timeout: Duration::from_secs(60),
        },
        max_rooms: limits.rooms,
        limits: umbrella_room::Limits::default(),
        news: None,
    };
    let control = control::start(settings, workers.unwrap());
    let key = |key: &str, secret: &str| ConfiguredKey {
        key: key.to_owned(),
        secret: secret.to_owned(),
    };
    let page = key("umbrella-page", "the page's own secret, long enough");
    let authority = Arc::new(Authority::new(&page, &[key(KEY, SECRET)]));
    let router = signal::livekit::router(control.clone(), authority, limits);
    let listener = tokio::net::TcpListener::bind((loopback, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, control)
}

async fn measure(plan: Plan) -> Report {
    measure_with_loss(plan, Loss::default()).await
}

async fn measure_with_loss(plan: Plan, loss: Loss) -> Report {
    let (address, _control) = start(1).await;
    measure_at(address, plan, loss).await
}

async fn measure_at(address: SocketAddr, plan: Plan, loss: Loss) -> Report {
    let options = Options {
        dialect: Dialect::Livekit,
        url: format!("ws://{address}").parse().unwrap(),
        bind: None,
        insecure: false,
        key: Key {
            key: KEY.to_owned(),
            secret: SECRET.to_owned(),
        },
        room: "load".to_owned(),
        plan,
        warm_up: Duration::from_millis(500),
        duration: Duration::from_secs(3),
        server_pid: Some(std::process::id()),
        threads: 1,
        limit: false,
        loss,
    };
    run(&options).await.unwrap()
}

fn plan(scenario: Scenario, publishers: u32, subscribers: u32) -> Plan {
    Plan {
        scenario,
        publishers,
        subscribers,
        rooms: 1,
        stay: Duration::from_secs(1),
        period: Duration::from_millis(1500),
        full_house: Duration::from_millis(500),
        bitrate: 500_000,
        audio_bitrate: 32_000,
        fps: 30,
        codec: VideoCodec::Vp8,
        quality: None,
        join_within: Duration::from_millis(300),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_reaches_every_subscriber_without_loss() {
    let report = measure(plan(Scenario::Broadcast, 1, 3)).await;
    assert_eq!(report.failures, Vec::<String>::new());
    assert_eq!((report.lost, report.duplicates), (0, 0), "{report:?}");
    // Three subscribers with picture and sound each.
    assert_eq!((report.tracks, report.tracks_expected), (6, 6));
    assert!(report.packets_in > 50, "{report:?}");
    // The edges of the measurement cut some packets off for the one or the other side.
    let (out, expected) = (report.packets_out, report.packets_in * 3);
    assert!(out.abs_diff(expected) * 10 < expected, "{out} {expected}");
    assert!(report.latency_ms.p50 > 0.0 && report.latency_ms.p50 <= report.latency_ms.max);
    assert!(report.join_ms.p50 > 0.0);
    assert!(report.rss_peak_kb > Some(0) && report.server_cpu_us_per_packet > Some(0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_in_a_meeting_gets_the_encoding_that_they_asked_for() {
    let meeting = Plan {
        codec: VideoCodec::H264,
        quality: Some(Quality::Low),
        ..plan(Scenario::Meeting, 3, 0)
    };
    let report = measure(meeting).await;
    assert_eq!(report.failures, Vec::<String>::new());
    assert_eq!((report.tracks, report.tracks_expected), (12, 12));
    assert_eq!((report.lost, report.silent_tracks), (0, 0), "{report:?}");
    // The lowest of three encodings is a tenth of the highest.
    assert!(report.bytes_out < report.bytes_in * 2, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_datagrams_stay_lost() {
    let loss = Loss {
        share: 0.05,
        seed: 7,
    };
    let report = measure_with_loss(plan(Scenario::Broadcast, 1, 2), loss).await;
    assert_eq!(report.failures, Vec::<String>::new());
    let datagrams = report.datagrams;
    assert!(
        datagrams.received_lost > 0 && datagrams.sent_lost > 0,
        "{report:?}"
    );
    assert!(report.wire_loss > 0.01, "{report:?}");
    // What was missing has been sent again, most of it.
    assert!(report.loss < report.wire_loss, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_and_goes_is_not_let_in_again() {
    let soak = Plan {
        rooms: 2,
        stay: Duration::from_millis(500),
        ..plan(Scenario::Soak, 2, 1)
    };
    let report = measure(soak).await;
    let turnover = report.turnover.clone().unwrap();
    assert_eq!(turnover.reasons, Vec::<String>::new());
    assert!(turnover.stays >= 12 && turnover.rooms >= 2, "{turnover:?}");
    assert!(report.packets_out > 0, "{report:?}");
    // Two who publish and watch, and one who watches, in each of two rooms.
    let full: Vec<usize> = report.full_houses.iter().map(|it| it.connections).collect();
    assert_eq!(full, [10, 10]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_core_carries_a_large_room_while_the_others_rest() {
    let (address, control) = start(2).await;
    let crowd = Plan {
        bitrate: 60_000,
        fps: 10,
        join_within: Duration::from_secs(2),
        ..plan(Scenario::Broadcast, 1, 90)
    };
    let most = tokio::spawn(async move {
        let mut most = [0, 0];
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let workers = control.workers().await;
            let now = [0, 1].map(|index| workers[index].transports);
            if now == [0, 0] && most != [0, 0] {
                return most;
            }
            most = [most[0].max(now[0]), most[1].max(now[1])];
        }
    });
    let report = measure_at(address, crowd, Loss::default()).await;
    assert_eq!(report.failures, Vec::<String>::new());
    assert_eq!((report.tracks, report.tracks_expected), (180, 180));
    assert_eq!(
        (report.lost, report.duplicates, report.silent_tracks),
        (0, 0, 0)
    );
    let most = most.await.unwrap();
    assert!(most[0].abs_diff(most[1]) <= 12, "connections: {most:?}");
}
