//! A server without page and database: workers, rooms and signalling.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use umbrella_server::auth::{Authority, Claims, Grants};
use umbrella_server::clock::unix_seconds;
use umbrella_server::config::{
    ConfiguredKey, LimitsConfig, MediaConfig, RoomsConfig, TurnConfig, WebhookConfig, WebhookUrl,
};
use umbrella_server::control::{self, Handle};
use umbrella_server::mdns::Lan;
use umbrella_server::memory::Memory;
use umbrella_server::webhook::Webhooks;
use umbrella_server::{signal, worker};

pub(crate) const KEY: &str = "devkey";
pub(crate) const SECRET: &str = "a secret of a developer, long enough";

/// What a test may want otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) auto_create: bool,
    pub(crate) limits: LimitsConfig,
    /// Where events go.
    pub(crate) webhooks: Vec<String>,
    /// Relays that clients are told of.
    pub(crate) turn: TurnConfig,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            auto_create: true,
            limits: LimitsConfig {
                memory: None,
                participants_per_room: 100,
                rooms: 100,
                tracks_per_participant: 8,
                sockets: 200,
                sockets_per_address: 100,
                message_bytes: 64 * 1024,
                messages_per_second: 100,
                offers_per_minute: 60,
                data_message_bytes: 16 * 1024,
                tcp_connections: 16,
                tcp_connections_per_address: 16,
            },
            webhooks: Vec::new(),
            turn: TurnConfig::default(),
        }
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) control: Handle,
    pub(crate) webhooks: Option<Webhooks>,
    authority: Arc<Authority>,
}

impl Server {
    pub(crate) async fn start() -> Server {
        Server::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Server {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let workers = worker::start(&worker::Settings {
            media: MediaConfig {
                workers: Some(1),
                min_port: 47_000,
                max_port: 47_999,
                public_ips: Vec::new(),
                stun: Vec::new(),
                advertise_lan: true,
                udp: true,
                tcp: true,
            },
            interfaces: vec![loopback],
            reach: worker::Reach::Everybody,
            limits: umbrella_engine::Limits::default(),
            tcp: worker::TcpLimits {
                connections: 16,
                per_address: 16,
            },
        })
        .unwrap();
        let key = |key: &str, secret: &str| ConfiguredKey {
            key: key.to_owned(),
            secret: secret.to_owned(),
        };
        let authority = Arc::new(Authority::new(
            &key("umbrella-page", "the page's own secret, long enough"),
            &[key(KEY, SECRET)],
        ));
        let urls = options.webhooks.iter();
        let webhook = WebhookConfig {
            urls: urls.map(|url| WebhookUrl::parse(url).unwrap()).collect(),
            api_key: KEY.to_owned(),
        };
        let webhooks = Webhooks::start(&webhook, &authority, &Lan::default()).unwrap();
        let (news, webhooks) = webhooks.unzip();
        let control = control::start(
            control::Settings {
                rooms: RoomsConfig {
                    auto_create: options.auto_create,
                    empty_timeout: Duration::from_secs(60),
                    departure_timeout: Duration::from_secs(60),
                    loudest: 50,
                },
                max_rooms: options.limits.rooms,
                limits: umbrella_room::Limits {
                    participants: options.limits.participants_per_room,
                    tracks: options.limits.tracks_per_participant as usize,
                    ..umbrella_room::Limits::default()
                },
                news,
                mesh: Default::default(),
                memory: Memory::new(options.limits.memory),
            },
            workers,
        );
        let (_, limits) = tokio::sync::watch::channel(options.limits);
        let router =
            signal::livekit::router(control.clone(), authority.clone(), limits, options.turn);
        let listener = tokio::net::TcpListener::bind((loopback, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Server {
            address,
            control,
            webhooks,
            authority,
        }
    }

    pub(crate) fn token(&self, room: &str, identity: &str) -> String {
        self.token_with(room, identity, |_| {})
    }

    pub(crate) fn token_with(
        &self,
        room: &str,
        identity: &str,
        change: impl FnOnce(&mut Claims),
    ) -> String {
        let mut claims = Claims {
            iss: KEY.to_owned(),
            sub: identity.to_owned(),
            name: identity.to_uppercase(),
            exp: unix_seconds() + 600,
            video: Grants {
                room_join: true,
                room: room.to_owned(),
                can_update_own_metadata: Some(true),
                ..Grants::default()
            },
            ..Claims::default()
        };
        change(&mut claims);
        self.authority.issue(claims).unwrap()
    }
}
