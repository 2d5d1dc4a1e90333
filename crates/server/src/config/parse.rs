//! Turns what is written into what is meant, or says what is wrong with it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::acme::{self, AcmeConfig};
use super::camera;
use super::file::{Auth, FileConfig, Http, Limits, Media, Metrics, Rooms, Server, Tls, Webhook};
use super::keys::SECTIONS;
use super::mdns;
use super::read::Written;
use super::reload::Source;
use super::trunk;
use super::turn;
use super::webhook::MAX_URLS;
use super::{
    CertificateFiles, Config, ConfigError, ConfiguredKey, Environment, HttpConfig, LimitsConfig,
    Listen, MediaConfig, MetricsConfig, PublicHost, RoomsConfig, StunServer, TlsConfig,
    WebhookConfig, WebhookUrl,
};
use crate::memory::MIB;
use crate::net::Cidr;

/// Shortest secret that is accepted: shorter ones of API keys can be guessed from a token.
pub(super) const MIN_SECRET_CHARS: usize = 16;

/// The server itself takes about 20, and a password that is hashed 19 more.
const LEAST_MEMORY_MB: u32 = 48;

pub(super) fn check(written: Written, env: &Environment) -> Result<Config, ConfigError> {
    let Written { values, file } = written;
    let source = Source(values.clone());
    let blame = Blame { file, env };
    let FileConfig {
        server,
        http,
        tls,
        acme,
        media,
        turn,
        rooms,
        auth,
        metrics,
        webhook,
        trunk,
        mdns,
        limits,
        camera,
    } = values;
    let (name, data_dir, log) = check_server(&server, &blame)?;
    let keys = check_auth(&auth, &blame)?;
    let webhook = check_webhook(&webhook, &keys, &blame)?;
    let acme = acme::check(&acme, &tls, server.cloud, &blame)?;
    let mut http = check_http(&http, server.cloud, &blame)?;
    if http.public_host.is_none() {
        http.public_host = acme.as_ref().map(AcmeConfig::public_host);
    }
    Ok(Config {
        file: blame.file.clone(),
        name,
        data_dir,
        cloud: server.cloud,
        log,
        http,
        acme,
        tls: check_tls(&tls, &blame)?,
        media: check_media(&media, &blame)?,
        turn: turn::check(&turn, &blame)?,
        rooms: check_rooms(&rooms),
        keys,
        metrics: check_metrics(&metrics, &blame)?,
        webhook,
        trunk: trunk::check(&trunk, &blame)?,
        mdns: mdns::check(&mdns, server.cloud, &blame)?,
        cameras: camera::check(&camera, &blame)?,
        limits: check_limits(&limits, &blame)?,
        written: source,
    })
}

/// Knows where a value came from.
pub(super) struct Blame<'a> {
    file: Option<PathBuf>,
    env: &'a Environment,
}

impl Blame<'_> {
    pub(super) fn error(
        &self,
        section: &str,
        name: &str,
        problem: impl Into<String>,
    ) -> ConfigError {
        let variable = SECTIONS
            .iter()
            .filter(|s| s.name == section)
            .flat_map(|s| s.keys)
            .find(|k| k.name == name)
            .map(|k| k.env)
            .filter(|env| self.env.contains_key(*env));
        let dot = if name.is_empty() { "" } else { "." };
        let origin = match (variable, &self.file) {
            (Some(variable), _) => variable.to_owned(),
            (None, Some(file)) => format!("{}: {section}{dot}{name}", file.display()),
            (None, None) => format!("{section}{dot}{name}"),
        };
        ConfigError::BadValue {
            origin,
            problem: problem.into(),
        }
    }
}

fn check_server(
    server: &Server,
    blame: &Blame<'_>,
) -> Result<(String, PathBuf, String), ConfigError> {
    let name = server.name.trim();
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        return Err(blame.error("server", "name", "expected 1 to 64 characters"));
    }
    let log = server.log.trim();
    if let Err(error) = log.parse::<tracing_subscriber::filter::Targets>() {
        return Err(blame.error(
            "server",
            "log",
            format!("`{log}` is not a log filter ({error}); write error, warn, info or debug"),
        ));
    }
    let data_dir = match server.data_dir.trim() {
        "" => default_data_dir(blame.env).ok_or_else(|| {
            blame.error(
                "server",
                "data_dir",
                "there is no home directory; set UMBRELLA_DATA_DIR or server.data_dir",
            )
        })?,
        path => PathBuf::from(path),
    };
    Ok((name.to_owned(), data_dir, log.to_owned()))
}

fn default_data_dir(env: &Environment) -> Option<PathBuf> {
    let absolute = |name: &str| env.get(name).map(PathBuf::from).filter(|p| p.is_absolute());
    if is_root() {
        return Some(PathBuf::from("/var/lib/umbrella"));
    }
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("umbrella"))
}

/// Whether this process runs as root: its `/proc/self` then belongs to user 0. Without `/proc`
/// it is taken for an ordinary user.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

fn check_http(http: &Http, cloud: bool, blame: &Blame<'_>) -> Result<HttpConfig, ConfigError> {
    let listen =
        parse_listen(&http.listen).map_err(|problem| blame.error("http", "listen", problem))?;
    let prefix =
        parse_prefix(&http.prefix).map_err(|problem| blame.error("http", "prefix", problem))?;
    let public_host = match http.public_host.trim() {
        "" => None,
        text => Some(
            parse_public_host(text)
                .map_err(|problem| blame.error("http", "public_host", problem))?,
        ),
    };
    let trusted_proxies = parse_proxies(&http.trusted_proxies, cloud)
        .map_err(|problem| blame.error("http", "trusted_proxies", problem))?;
    if http.max_connections < 16 {
        return Err(blame.error("http", "max_connections", "expected at least 16"));
    }
    Ok(HttpConfig {
        listen,
        prefix,
        public_host,
        trusted_proxies,
        max_connections: http.max_connections as usize,
    })
}

fn parse_listen(text: &str) -> Result<Listen, String> {
    let text = text.trim();
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Listen::One(address));
    }
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        return Ok(Listen::All(port));
    }
    if let Some(port) = text.strip_prefix("localhost:").and_then(|p| p.parse().ok()) {
        return Ok(Listen::One(SocketAddr::from(([127, 0, 0, 1], port))));
    }
    Err(format!(
        "`{text}` is not an address to listen on; write `:8081`, `127.0.0.1:8081` or `[::1]:8081`"
    ))
}

fn parse_prefix(text: &str) -> Result<String, String> {
    let trimmed = text.trim().trim_matches('/');
    if trimmed.is_empty() {
        return Ok(String::new());
    }
    let plain = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b))
    };
    if trimmed.len() > 200 || !trimmed.split('/').all(plain) {
        return Err(format!(
            "`{text}` is not a path prefix; write letters, digits, - _ . ~ and /, as `/umbrella`"
        ));
    }
    Ok(format!("/{trimmed}"))
}

fn parse_public_host(text: &str) -> Result<PublicHost, String> {
    let wrong = || {
        format!("`{text}` is not a host name; write `meet.example.org` or `meet.example.org:8443`")
    };
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(PublicHost {
            host: ip.to_string(),
            port: None,
        });
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(PublicHost {
            host: address.ip().to_string(),
            port: Some(address.port()),
        });
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port.parse::<u16>().map_err(|_| wrong())?)),
        None => (text, None),
    };
    if !is_host_name(host) {
        return Err(wrong());
    }
    Ok(PublicHost {
        host: host.to_ascii_lowercase(),
        port,
    })
}

/// RFC 1123, section 2.1.
pub(super) fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn parse_proxies(list: &[String], cloud: bool) -> Result<Vec<Cidr>, String> {
    let mut networks = Vec::new();
    for text in list {
        if text == "auto" {
            if cloud {
                networks.extend(Cidr::loopback_and_private());
            }
            continue;
        }
        networks.push(text.parse::<Cidr>().map_err(|_| {
            format!("`{text}` is neither `auto` nor an address or network like `10.0.0.0/8`")
        })?);
    }
    Ok(networks)
}

fn check_tls(tls: &Tls, blame: &Blame<'_>) -> Result<TlsConfig, ConfigError> {
    let files = match (tls.certificate.trim(), tls.private_key.trim()) {
        ("", "") => None,
        ("", _) => {
            return Err(blame.error("tls", "certificate", "is missing: tls.private_key is given"));
        }
        (_, "") => {
            return Err(blame.error("tls", "private_key", "is missing: tls.certificate is given"));
        }
        (certificate, private_key) => Some(CertificateFiles {
            certificate: PathBuf::from(certificate),
            private_key: PathBuf::from(private_key),
        }),
    };
    Ok(TlsConfig { files })
}

fn check_media(media: &Media, blame: &Blame<'_>) -> Result<MediaConfig, ConfigError> {
    let port = |name: &str, number: u32| {
        u16::try_from(number)
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| {
                blame.error(
                    "media",
                    name,
                    format!("{number} is not a port; expected 1 to 65535"),
                )
            })
    };
    let min_port = port("min_port", media.min_port)?;
    let mut max_port = port("max_port", media.max_port)?;
    if max_port < min_port {
        // Somebody who only moves the first port above our own default bound means no less.
        let default = Media::default();
        if media.max_port != default.max_port {
            return Err(blame.error(
                "media",
                "max_port",
                format!("{max_port} is below min_port, which is {min_port}"),
            ));
        }
        max_port = u16::MAX;
    }
    let workers = match media.workers {
        0 => None,
        n if n > 1024 => {
            return Err(blame.error("media", "workers", "expected 0 (automatic) to 1024"));
        }
        n => Some(n as usize),
    };
    if !media.udp && !media.tcp {
        return Err(blame.error("media", "tcp", "udp and tcp cannot both be off"));
    }
    let (public_ips, stun) = parse_public_ips(&media.public_ips)
        .map_err(|problem| blame.error("media", "public_ips", problem))?;
    if public_ips.is_empty() && stun.is_empty() && !media.advertise_lan {
        return Err(blame.error(
            "media",
            "advertise_lan",
            "is off and there are no public_ips: no client could connect; give public_ips",
        ));
    }
    Ok(MediaConfig {
        workers,
        min_port,
        max_port,
        public_ips,
        stun,
        advertise_lan: media.advertise_lan,
        udp: media.udp,
        tcp: media.tcp,
    })
}

/// Who is asked for the public address, at most.
const MAX_STUN_SERVERS: usize = 4;

/// Addresses, and those who are asked for more of them.
fn parse_public_ips(list: &[String]) -> Result<(Vec<IpAddr>, Vec<StunServer>), String> {
    let (mut ips, mut servers) = (Vec::new(), Vec::new());
    for text in list {
        let is_server = text.split_once(':').is_some_and(|(scheme, _)| {
            ["stun", "stuns"]
                .iter()
                .any(|it| scheme.eq_ignore_ascii_case(it))
        });
        if is_server {
            let server = StunServer::read(text).map_err(|why| format!("`{text}` {why}"))?;
            if !servers.contains(&server) {
                servers.push(server);
            }
            continue;
        }
        let ip: IpAddr = text.parse().map_err(|_| {
            format!(
                "`{text}` is not an IP address; write it like 203.0.113.7, or who tells it like \
                 stun:stun.example.org:3478"
            )
        })?;
        if ip.is_unspecified() || ip.is_multicast() {
            return Err(format!("`{text}` is no address that a client can send to"));
        }
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    if servers.len() > MAX_STUN_SERVERS {
        return Err(format!("has more than {MAX_STUN_SERVERS} STUN servers"));
    }
    Ok((ips, servers))
}

fn check_rooms(rooms: &Rooms) -> RoomsConfig {
    RoomsConfig {
        auto_create: rooms.auto_create,
        empty_timeout: Duration::from_secs(rooms.empty_timeout_s.into()),
        departure_timeout: Duration::from_secs(rooms.departure_timeout_s.into()),
        loudest: rooms.loudest as usize,
    }
}

fn check_auth(auth: &Auth, blame: &Blame<'_>) -> Result<Vec<ConfiguredKey>, ConfigError> {
    let mut keys = Vec::new();
    for (key, secret) in &auth.keys {
        let plain = |b: u8| b.is_ascii_graphic();
        if key.is_empty() || key.len() > 64 || !key.bytes().all(plain) {
            return Err(blame.error(
                "auth",
                "keys",
                "a key has 1 to 64 visible ASCII characters and no space",
            ));
        }
        if key.starts_with(crate::auth::INTERNAL_KEY_PREFIX) {
            return Err(blame.error(
                "auth",
                "keys",
                format!(
                    "`{key}` begins with `{}`, which is reserved",
                    crate::auth::INTERNAL_KEY_PREFIX
                ),
            ));
        }
        if secret.chars().count() < MIN_SECRET_CHARS {
            return Err(blame.error(
                "auth",
                "keys",
                format!("the secret of `{key}` is shorter than {MIN_SECRET_CHARS} characters; make one with `openssl rand -hex 32`"),
            ));
        }
        keys.push(ConfiguredKey {
            key: key.clone(),
            secret: secret.clone(),
        });
    }
    Ok(keys)
}

fn check_metrics(metrics: &Metrics, blame: &Blame<'_>) -> Result<MetricsConfig, ConfigError> {
    let token = metrics.token.trim();
    if token.is_empty() {
        return Ok(MetricsConfig::default());
    }
    let fits = token.len() >= MIN_SECRET_CHARS && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        return Err(blame.error(
            "metrics",
            "token",
            format!("a token has at least {MIN_SECRET_CHARS} visible ASCII characters and no space; make one with `openssl rand -hex 32`"),
        ));
    }
    Ok(MetricsConfig {
        token: Some(token.to_owned()),
    })
}

/// Whether a key that is named here exists is known only with the database.
fn check_webhook(
    webhook: &Webhook,
    keys: &[ConfiguredKey],
    blame: &Blame<'_>,
) -> Result<WebhookConfig, ConfigError> {
    if webhook.urls.len() > MAX_URLS {
        let problem = format!("there are more than {MAX_URLS}");
        return Err(blame.error("webhook", "urls", problem));
    }
    let mut urls = Vec::new();
    for (index, text) in webhook.urls.iter().enumerate() {
        // The address itself is not shown: it may hold a secret.
        let url = WebhookUrl::parse(text).map_err(|problem| {
            blame.error("webhook", "urls", format!("entry {} {problem}", index + 1))
        })?;
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    let api_key = match (webhook.api_key.trim(), keys) {
        (_, _) if urls.is_empty() => String::new(),
        ("", [only]) => only.key.clone(),
        ("", _) => {
            let problem =
                "is missing: say which API key signs, as auth.keys does not have just one";
            return Err(blame.error("webhook", "api_key", problem));
        }
        (name, _) if name.starts_with(crate::auth::INTERNAL_KEY_PREFIX) => {
            let problem = "is the server's own key, which nobody could check";
            return Err(blame.error("webhook", "api_key", problem));
        }
        (name, _) => name.to_owned(),
    };
    Ok(WebhookConfig { urls, api_key })
}

fn check_limits(limits: &Limits, blame: &Blame<'_>) -> Result<LimitsConfig, ConfigError> {
    let at_least = |name: &str, value: u32, bound: u32| {
        if value < bound {
            return Err(blame.error(
                "limits",
                name,
                format!("{value} is too small; expected at least {bound}"),
            ));
        }
        Ok(value)
    };
    let memory = match limits.memory_mb {
        0 => None,
        mb => Some(u64::from(at_least("memory_mb", mb, LEAST_MEMORY_MB)?) * MIB),
    };
    Ok(LimitsConfig {
        memory,
        participants_per_room: limits.participants_per_room,
        rooms: limits.rooms,
        tracks_per_participant: at_least(
            "tracks_per_participant",
            limits.tracks_per_participant,
            1,
        )?,
        sockets: at_least("sockets", limits.sockets, 1)?,
        sockets_per_address: at_least("sockets_per_address", limits.sockets_per_address, 1)?,
        message_bytes: at_least("message_bytes", limits.message_bytes, 16 * 1024)?,
        messages_per_second: at_least("messages_per_second", limits.messages_per_second, 5)?,
        offers_per_minute: at_least("offers_per_minute", limits.offers_per_minute, 10)?,
        data_message_bytes: at_least("data_message_bytes", limits.data_message_bytes, 1024)?,
        tcp_connections: at_least("tcp_connections", limits.tcp_connections, 1)?,
        tcp_connections_per_address: at_least(
            "tcp_connections_per_address",
            limits.tcp_connections_per_address,
            1,
        )?,
    })
}
