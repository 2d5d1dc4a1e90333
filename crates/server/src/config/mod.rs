//! Configuration: defaults, overridden by `umbrella.toml`, overridden by the environment.

mod acme;
mod camera;
mod file;
mod keys;
mod mdns;
mod parse;
mod print;
mod read;
mod reload;
mod trunk;
mod turn;
mod webhook;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cameras;
use crate::net::Cidr;

pub use acme::AcmeConfig;
pub use mdns::MdnsConfig;
pub use print::{default_toml, reference};
pub use read::{find_file, unknown_variables};
pub use reload::{Live, Reloaded};
pub use trunk::{TrunkAllow, TrunkConfig, TrunkTo};
pub use turn::{Credentials, IceUrl, Relays, StunServer, TurnConfig};
pub use webhook::{WebhookConfig, WebhookUrl};

/// The name of the file that is read from the working directory when no other is named.
pub const FILE_NAME: &str = "umbrella.toml";

/// The environment, as far as it matters: injected so that tests need not change their own.
pub type Environment = BTreeMap<String, String>;

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// Shown in the page's head.
    pub name: String,
    /// Where everything that outlives a restart is kept.
    pub data_dir: PathBuf,
    /// Plain HTTP for a reverse proxy in front.
    pub cloud: bool,
    /// A filter of `tracing`.
    pub log: String,
    /// Where the page, the API and the signalling are served.
    pub http: HttpConfig,
    /// Certificates.
    pub tls: TlsConfig,
    /// A certificate by ACME, if one is wanted.
    pub acme: Option<AcmeConfig>,
    /// Where media goes.
    pub media: MediaConfig,
    /// What clients are told of relays.
    pub turn: TurnConfig,
    /// How rooms come and go.
    pub rooms: RoomsConfig,
    /// API keys from file and environment.
    pub keys: Vec<ConfiguredKey>,
    /// Who may read figures.
    pub metrics: MetricsConfig,
    /// Who is told what happens in rooms.
    pub webhook: WebhookConfig,
    /// Other servers with which rooms are shared.
    pub trunk: TrunkConfig,
    /// The local network without a name server.
    pub mdns: MdnsConfig,
    /// Cameras in rooms, besides those that are set on the page.
    pub cameras: Vec<cameras::Settings>,
    /// What clients may ask for.
    pub limits: LimitsConfig,
    /// What it was made of.
    written: reload::Source,
}

/// Where the page, the API and the signalling are served.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// What to listen on.
    pub listen: Listen,
    /// Empty, or a path that begins with `/` and does not end with one.
    pub prefix: String,
    /// Host, or host and port, of links for people outside.
    pub public_host: Option<PublicHost>,
    /// Whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Connections at a time.
    pub max_connections: usize,
}

/// What to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// All addresses of the machine, this port.
    All(u16),
    /// One address.
    One(SocketAddr),
}

impl Listen {
    /// The TCP port; 0 lets the system choose one.
    pub fn port(self) -> u16 {
        match self {
            Self::All(port) => port,
            Self::One(address) => address.port(),
        }
    }

    /// What to bind to, best first: a machine without IPv6 cannot bind to the first.
    pub fn candidates(self) -> Vec<SocketAddr> {
        match self {
            Self::All(port) => vec![
                SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port),
                SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port),
            ],
            Self::One(address) => vec![address],
        }
    }
}

/// Name, and port if it differs from the usual one, under which people reach the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicHost {
    /// A host name or an address.
    pub host: String,
    /// The port, if one was given.
    pub port: Option<u16>,
}

/// Certificates.
#[derive(Debug, Clone, Default)]
pub struct TlsConfig {
    /// Certificate chain and private key, if configured.
    pub files: Option<CertificateFiles>,
}

/// A certificate chain and its private key, in PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub private_key: PathBuf,
}

/// Where media goes.
#[derive(Debug, Clone)]
pub struct MediaConfig {
    /// Worker threads; `None` is one for each core.
    pub workers: Option<usize>,
    /// Port of the first worker, UDP and TCP.
    pub min_port: u16,
    /// Highest port that a worker may use, inclusive.
    pub max_port: u16,
    /// Addresses that reach this machine from outside and are not on its interfaces.
    pub public_ips: Vec<IpAddr>,
    /// Who is asked for such addresses, the most believed first.
    pub stun: Vec<StunServer>,
    /// Advertise the interfaces' own addresses too.
    pub advertise_lan: bool,
    /// Advertise UDP.
    pub udp: bool,
    /// Advertise TCP.
    pub tcp: bool,
}

impl MediaConfig {
    /// How many worker threads there are to be.
    pub fn worker_count(&self) -> usize {
        let ports = usize::from(self.max_port - self.min_port) + 1;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.workers.unwrap_or(cores).clamp(1, ports)
    }
}

/// How rooms come and go.
#[derive(Debug, Clone)]
pub struct RoomsConfig {
    /// Make a room when the first participant joins.
    pub auto_create: bool,
    /// How long a room lives that nobody has joined.
    pub empty_timeout: Duration,
    /// How long a room lives after the last participant has left.
    pub departure_timeout: Duration,
    /// Participants of one room whose sound is forwarded at a time; 0 is all.
    pub loudest: usize,
}

/// An API key from file or environment.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfiguredKey {
    /// The key, public.
    pub key: String,
    /// The secret.
    pub secret: String,
}

impl std::fmt::Debug for ConfiguredKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConfiguredKey({})", self.key)
    }
}

/// Who may read figures, besides the admin.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MetricsConfig {
    /// A bearer token, secret.
    pub token: Option<String>,
}

impl std::fmt::Debug for MetricsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        f.debug_struct("MetricsConfig")
            .field("token", &token)
            .finish()
    }
}

/// What one client, or all of them together, may ask for.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// Bytes of memory that the server stays below; `None` is unbounded.
    pub memory: Option<u64>,
    /// Participants in one room; 0 is unbounded.
    pub participants_per_room: u32,
    /// Rooms at a time; 0 is unbounded.
    pub rooms: u32,
    /// Tracks that one participant may publish at a time.
    pub tracks_per_participant: u32,
    /// Signalling connections at a time.
    pub sockets: u32,
    /// Signalling connections at a time from one address (one /64 for IPv6).
    pub sockets_per_address: u32,
    /// Bytes of one signalling message.
    pub message_bytes: u32,
    /// Signalling messages of one client on average; four times as many at once.
    pub messages_per_second: u32,
    /// Session descriptions of one client on average.
    pub offers_per_minute: u32,
    /// Bytes of one data message between participants.
    pub data_message_bytes: u32,
    /// Media connections over TCP at a time, for each worker.
    pub tcp_connections: u32,
    /// The same from one address.
    pub tcp_connections_per_address: u32,
}

/// Why the configuration cannot be used. Says which key and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}; check the path given by --config or UMBRELLA_CONFIG")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path} is not valid TOML: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// With line and column.
        message: String,
    },
    /// There is no such key.
    #[error(
        "{origin}: unknown key `{key}`{hint}; `umbrella config --print-defaults` lists all keys"
    )]
    UnknownKey {
        /// File or environment.
        origin: String,
        /// The key as written.
        key: String,
        /// A key that resembles it.
        hint: String,
    },
    /// A value cannot be used.
    #[error("{origin}: {problem}")]
    BadValue {
        /// Which key or variable.
        origin: String,
        /// What is wrong and what is expected.
        problem: String,
    },
}

impl Config {
    /// Reads the configuration.
    ///
    /// `file` is the file that was asked for; without one, `UMBRELLA_CONFIG` and then
    /// [`FILE_NAME`] in the working directory are tried.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or anything in it, or in the environment, is unknown or wrong.
    pub fn load(file: Option<&Path>, env: &Environment) -> Result<Self, ConfigError> {
        let written = read::read(file, env)?;
        parse::check(written, env)
    }

    /// The environment of this process.
    pub fn process_environment() -> Environment {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
