//! A server of ours to put load on, and how much of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use umbrella_loadgen::loss::Loss;
use umbrella_loadgen::media::VideoCodec;
use umbrella_loadgen::run::{Dialect, Options};
use umbrella_loadgen::token::Key;
use umbrella_loadgen::{Plan, Scenario};
use umbrella_server::auth::Authority;
use umbrella_server::config::{ConfiguredKey, LimitsConfig, MediaConfig, RoomsConfig};
use umbrella_server::memory::Memory;
use umbrella_server::{control, signal, worker};

/// Where everybody goes.
pub(crate) const ROOM: &str = "load";
const KEY: &str = "loadkey";
const SECRET: &str = "the secret of a load generator, long enough";

/// A server without page and database: workers, rooms and signalling.
pub(crate) async fn start(threads: usize) -> (SocketAddr, control::Handle) {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let workers = worker::start(&worker::Settings {
        media: MediaConfig {
            workers: Some(threads),
            min_port: 48_000,
            max_port: 48_999,
            public_ips: Vec::new(),
            stun: Vec::new(),
            advertise_lan: true,
            udp: true,
            tcp: false,
        },
        interfaces: vec![loopback],
        reach: worker::Reach::Everybody,
        limits: umbrella_engine::Limits::default(),
        tcp: worker::TcpLimits {
            connections: 16,
            per_address: 16,
        },
    });
    let limits = LimitsConfig {
        memory: None,
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
            loudest: 50,
        },
        max_rooms: limits.rooms,
        limits: umbrella_room::Limits::default(),
        news: None,
        mesh: Default::default(),
        memory: Memory::new(None),
    };
    let control = control::start(settings, workers.unwrap());
    let key = |key: &str, secret: &str| ConfiguredKey {
        key: key.to_owned(),
        secret: secret.to_owned(),
    };
    let page = key("umbrella-page", "the page's own secret, long enough");
    let authority = Arc::new(Authority::new(&page, &[key(KEY, SECRET)]));
    let (_, limits) = tokio::sync::watch::channel(limits);
    let router = signal::livekit::router(control.clone(), authority, limits, Default::default());
    let listener = tokio::net::TcpListener::bind((loopback, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, control)
}

pub(crate) fn options(address: SocketAddr, plan: Plan, loss: Loss) -> Options {
    Options {
        dialect: Dialect::Livekit,
        url: format!("ws://{address}").parse().unwrap(),
        watch_url: None,
        bind: None,
        insecure: false,
        key: Key {
            key: KEY.to_owned(),
            secret: SECRET.to_owned(),
        },
        room: ROOM.to_owned(),
        plan,
        publisher_spacing: Duration::from_millis(50),
        warm_up: Duration::from_millis(500),
        duration: Duration::from_secs(3),
        server_pid: Some(std::process::id()),
        threads: 1,
        limit: false,
        loss,
    }
}

pub(crate) fn plan(scenario: Scenario, publishers: u32, subscribers: u32) -> Plan {
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
