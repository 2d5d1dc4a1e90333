//! The configuration as it is written: one field for each key of [`super::keys`], with its default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct FileConfig {
    pub(super) server: Server,
    pub(super) http: Http,
    pub(super) tls: Tls,
    pub(super) acme: Acme,
    pub(super) media: Media,
    pub(super) turn: Turn,
    pub(super) rooms: Rooms,
    pub(super) auth: Auth,
    pub(super) metrics: Metrics,
    pub(super) webhook: Webhook,
    pub(super) trunk: Trunk,
    pub(super) mdns: Mdns,
    pub(super) limits: Limits,
    pub(super) camera: Vec<Camera>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) data_dir: String,
    pub(super) cloud: bool,
    pub(super) log: String,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            name: "Umbrella".to_owned(),
            data_dir: String::new(),
            cloud: false,
            log: "info".to_owned(),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Http {
    pub(super) listen: String,
    pub(super) prefix: String,
    pub(super) public_host: String,
    pub(super) trusted_proxies: Vec<String>,
    pub(super) max_connections: u32,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: ":8081".to_owned(),
            prefix: String::new(),
            public_host: String::new(),
            trusted_proxies: vec!["auto".to_owned()],
            max_connections: 4096,
        }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) certificate: String,
    pub(super) private_key: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Acme {
    pub(super) domains: Vec<String>,
    pub(super) email: String,
    pub(super) accept_terms: bool,
    pub(super) directory: String,
    pub(super) ca_file: String,
}

impl Default for Acme {
    fn default() -> Self {
        Self {
            domains: Vec::new(),
            email: String::new(),
            accept_terms: false,
            directory: "letsencrypt".to_owned(),
            ca_file: String::new(),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Media {
    pub(super) min_port: u32,
    pub(super) max_port: u32,
    pub(super) public_ips: Vec<String>,
    pub(super) advertise_lan: bool,
    pub(super) udp: bool,
    pub(super) tcp: bool,
    pub(super) workers: u32,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            min_port: 40_000,
            max_port: 49_999,
            public_ips: Vec::new(),
            advertise_lan: true,
            udp: true,
            tcp: true,
            workers: 0,
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Turn {
    pub(super) urls: Vec<String>,
    pub(super) secret: String,
    pub(super) ttl_s: u32,
    pub(super) username: String,
    pub(super) password: String,
    pub(super) stun_urls: Vec<String>,
}

impl Default for Turn {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            secret: String::new(),
            ttl_s: 12 * 3600,
            username: String::new(),
            password: String::new(),
            stun_urls: Vec::new(),
        }
    }
}

/// Without secret and password.
impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Turn({} urls)", self.urls.len())
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Rooms {
    pub(super) auto_create: bool,
    pub(super) empty_timeout_s: u32,
    pub(super) departure_timeout_s: u32,
    pub(super) loudest: u32,
}

impl Default for Rooms {
    fn default() -> Self {
        Self {
            auto_create: true,
            empty_timeout_s: 300,
            departure_timeout_s: 20,
            loudest: 50,
        }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Auth {
    pub(super) keys: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Metrics {
    pub(super) token: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Webhook {
    pub(super) urls: Vec<String>,
    pub(super) api_key: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Trunk {
    pub(super) name: String,
    pub(super) role: String,
    pub(super) direct: bool,
    pub(super) to: Vec<TrunkTo>,
    pub(super) allow: Vec<TrunkAllow>,
}

impl Default for Trunk {
    fn default() -> Self {
        Self {
            name: String::new(),
            role: "media".to_owned(),
            direct: true,
            to: Vec::new(),
            allow: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Mdns {
    pub(super) enabled: bool,
    pub(super) name: String,
}

impl Default for Mdns {
    fn default() -> Self {
        Self {
            enabled: true,
            name: String::new(),
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TrunkTo {
    pub(super) url: String,
    pub(super) secret: String,
    pub(super) rooms: Vec<String>,
    pub(super) moderate: bool,
    pub(super) insecure: bool,
}

impl Default for TrunkTo {
    fn default() -> Self {
        Self {
            url: String::new(),
            secret: String::new(),
            rooms: Vec::new(),
            moderate: true,
            insecure: false,
        }
    }
}

/// Without the secret.
impl std::fmt::Debug for TrunkTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TrunkTo({})", self.url)
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TrunkAllow {
    pub(super) name: String,
    pub(super) secret: String,
    pub(super) rooms: Vec<String>,
    pub(super) moderate: bool,
    pub(super) expires: String,
}

impl Default for TrunkAllow {
    fn default() -> Self {
        Self {
            name: String::new(),
            secret: String::new(),
            rooms: Vec::new(),
            moderate: true,
            expires: String::new(),
        }
    }
}

/// Without the secret.
impl std::fmt::Debug for TrunkAllow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TrunkAllow({})", self.name)
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Camera {
    pub(super) name: String,
    pub(super) room: String,
    pub(super) url: String,
    pub(super) sub_url: String,
    pub(super) transport: String,
    pub(super) audio: bool,
    pub(super) always_on: bool,
    pub(super) pin: Vec<String>,
}

impl Default for Camera {
    fn default() -> Self {
        Self {
            name: String::new(),
            room: String::new(),
            url: String::new(),
            sub_url: String::new(),
            transport: "tcp".to_owned(),
            audio: true,
            always_on: false,
            pin: Vec::new(),
        }
    }
}

/// Without addresses: they may hold passwords.
impl std::fmt::Debug for Camera {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Camera({})", self.name)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) memory_mb: u32,
    pub(super) participants_per_room: u32,
    pub(super) rooms: u32,
    pub(super) tracks_per_participant: u32,
    pub(super) sockets: u32,
    pub(super) sockets_per_address: u32,
    pub(super) message_bytes: u32,
    pub(super) messages_per_second: u32,
    pub(super) offers_per_minute: u32,
    pub(super) data_message_bytes: u32,
    pub(super) tcp_connections: u32,
    pub(super) tcp_connections_per_address: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_mb: 0,
            participants_per_room: 500,
            rooms: 1000,
            tracks_per_participant: 32,
            sockets: 4096,
            sockets_per_address: 256,
            message_bytes: 512 * 1024,
            messages_per_second: 100,
            offers_per_minute: 240,
            data_message_bytes: 64 * 1024,
            tcp_connections: 2048,
            tcp_connections_per_address: 64,
        }
    }
}
