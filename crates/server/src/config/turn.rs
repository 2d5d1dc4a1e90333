//! Relays for clients whose network lets nothing else through.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::ConfigError;
use super::file::Turn;
use super::parse::{Blame, MIN_SECRET_CHARS, is_host_name};

/// At most so many addresses: a client asks all of them before it is connected.
const MAX_URLS: usize = 16;

/// Shortest time that credentials may be valid for, in seconds: as long as the token of a guest.
const MIN_TTL_S: u32 = 3600;

/// What clients are told of relays; nothing by default.
#[derive(Debug, Clone, Default)]
pub struct TurnConfig {
    /// Relays, if there are any.
    pub relays: Option<Relays>,
    /// Servers that tell a client its address.
    pub stun: Vec<IceUrl>,
}

/// Relays that take the same credentials.
#[derive(Debug, Clone)]
pub struct Relays {
    /// Where they are; at least one.
    pub urls: Vec<IceUrl>,
    /// What they ask for.
    pub credentials: Credentials,
}

/// What a relay asks for.
#[derive(Clone)]
pub enum Credentials {
    /// Credentials of limited time, made with a secret that the relay knows too
    /// (draft-uberti-behave-turn-rest-00).
    Shared {
        /// The secret.
        secret: String,
        /// How long they are valid, in seconds.
        ttl_s: u32,
    },
    /// The same for everybody and always.
    Fixed {
        /// The user.
        username: String,
        /// The password, secret.
        password: String,
    },
}

/// Without secret and password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared { ttl_s, .. } => write!(f, "Shared({ttl_s} s)"),
            Self::Fixed { username, .. } => write!(f, "Fixed({username})"),
        }
    }
}

/// The address of a TURN server (RFC 7065) or of a STUN server (RFC 7064), as clients are given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceUrl(String);

impl IceUrl {
    /// Reads the address of a relay, as `turns:turn.example.org:443`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without the address: it may hold a password by mistake.
    pub fn turn(text: &str) -> Result<IceUrl, &'static str> {
        let (scheme, rest) = split(text, ["turn", "turns"])
            .ok_or("is not an address like turn:turn.example.org:3478 or turns:turn.example.org")?;
        let (authority, transport) = match rest.split_once('?') {
            Some((authority, query)) => (authority, Some(query.to_ascii_lowercase())),
            None => (rest, None),
        };
        let authority = read_authority(authority)?;
        let query = match transport.as_deref() {
            None => "",
            // Clients speak TLS to it over TCP whatever is written.
            Some("transport=udp") if scheme == "turns" => {
                return Err(
                    "asks for turns: over UDP, which browsers do not speak: leave \
                            ?transport=udp out",
                );
            }
            Some("transport=udp") => "?transport=udp",
            Some("transport=tcp") => "?transport=tcp",
            Some(_) => return Err("has a query other than ?transport=udp or ?transport=tcp"),
        };
        Ok(IceUrl(format!("{scheme}:{authority}{query}")))
    }

    /// Reads the address of a STUN server, as `stun:stun.example.org:3478`.
    ///
    /// # Errors
    ///
    /// As [`IceUrl::turn`].
    pub fn stun(text: &str) -> Result<IceUrl, &'static str> {
        let (scheme, rest) = split(text, ["stun", "stuns"])
            .ok_or("is not an address like stun:stun.example.org:3478")?;
        if rest.contains('?') {
            return Err("has a query: addresses of STUN servers have none");
        }
        Ok(IceUrl(format!("{scheme}:{}", read_authority(rest)?)))
    }
}

/// A server that is asked by STUN how this one is seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StunServer {
    /// A host name or an address.
    pub host: String,
    /// The UDP port.
    pub port: u16,
}

impl StunServer {
    /// The port that is meant where none is written (RFC 8489 section 8.1).
    const PORT: u16 = 3478;

    /// Reads `stun:HOST` or `stun:HOST:PORT`.
    ///
    /// # Errors
    ///
    /// As [`IceUrl::stun`].
    pub fn read(text: &str) -> Result<StunServer, &'static str> {
        let url = IceUrl::stun(text)?.0;
        let authority = url
            .strip_prefix("stun:")
            .ok_or("is asked over UDP: write stun: for stuns:")?;
        let is_bare = authority.ends_with(']');
        let (host, port) = match authority.rsplit_once(':').filter(|_| !is_bare) {
            Some((host, port)) => (host, port.parse().map_err(|_| "has a wrong port")?),
            None => (authority, StunServer::PORT),
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(StunServer { host, port })
    }
}

impl fmt::Display for StunServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StunServer { host, port } = self;
        match host.contains(':') {
            true => write!(f, "stun:[{host}]:{port}"),
            false => write!(f, "stun:{host}:{port}"),
        }
    }
}

impl fmt::Display for IceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn split<'a>(text: &'a str, schemes: [&'static str; 2]) -> Option<(&'static str, &'a str)> {
    let (written, rest) = text.trim().split_once(':')?;
    let scheme = schemes
        .into_iter()
        .find(|scheme| written.eq_ignore_ascii_case(scheme))?;
    Some((scheme, rest))
}

/// Host and port, as they are to be written.
fn read_authority(text: &str) -> Result<String, &'static str> {
    if text.starts_with('/') {
        return Err("has slashes: write the host just after the colon, as turn:turn.example.org");
    }
    if text.contains('@') {
        return Err("has a user: that goes into turn.username, the password into turn.password");
    }
    let wrong = "has no host such as turn.example.org, 203.0.113.7 or [2001:db8::7]";
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(wrong)?;
        let address: Ipv6Addr = address.parse().map_err(|_| wrong)?;
        let port = match port {
            "" => None,
            port => Some(port.strip_prefix(':').ok_or(wrong)?),
        };
        (format!("[{address}]"), port)
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        (read_host(host).ok_or(wrong)?, port)
    };
    match port {
        None => Ok(host),
        Some(port) => match port.parse::<u16>() {
            Ok(port) if port > 0 => Ok(format!("{host}:{port}")),
            Ok(_) | Err(_) => Err("has a port that is not 1 to 65535"),
        },
    }
}

fn read_host(text: &str) -> Option<String> {
    // What looks like an IPv4 address has to be one.
    let digits = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let fits = match digits {
        true => text.parse::<Ipv4Addr>().is_ok(),
        false => is_host_name(text),
    };
    fits.then(|| text.to_ascii_lowercase())
}

pub(super) fn check(written: &Turn, blame: &Blame<'_>) -> Result<TurnConfig, ConfigError> {
    let wrong = |name: &str, problem: String| blame.error("turn", name, problem);
    let urls = read_all(&written.urls, IceUrl::turn).map_err(|why| wrong("urls", why))?;
    let stun = read_all(&written.stun_urls, IceUrl::stun).map_err(|why| wrong("stun_urls", why))?;
    let credentials =
        check_credentials(written).map_err(|(name, why)| wrong(name, why.to_owned()))?;
    let relays = match (urls.is_empty(), credentials) {
        (true, None) => None,
        (true, Some(_)) => {
            let why = "is empty, but credentials for a relay are given".to_owned();
            return Err(wrong("urls", why));
        }
        (false, None) => {
            let why = "is missing: give the relay's static-auth-secret, or turn.username and \
                       turn.password";
            return Err(wrong("secret", why.to_owned()));
        }
        (false, Some(credentials)) => Some(Relays { urls, credentials }),
    };
    Ok(TurnConfig { relays, stun })
}

fn read_all(
    written: &[String],
    read: fn(&str) -> Result<IceUrl, &'static str>,
) -> Result<Vec<IceUrl>, String> {
    if written.len() > MAX_URLS {
        return Err(format!("there are more than {MAX_URLS}"));
    }
    let mut urls = Vec::new();
    for (index, text) in written.iter().enumerate() {
        // The address itself is not shown: it may hold a password by mistake.
        let url = read(text).map_err(|why| format!("entry {} {why}", index + 1))?;
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    Ok(urls)
}

fn check_credentials(written: &Turn) -> Result<Option<Credentials>, (&'static str, &'static str)> {
    let [secret, username, password] =
        [&written.secret, &written.username, &written.password].map(|text| text.trim());
    let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if written.ttl_s < MIN_TTL_S {
        return Err(("ttl_s", "is too small; expected at least 3600"));
    }
    match (secret, username, password) {
        ("", "", "") => Ok(None),
        ("", "", _) => Err(("username", "is missing: turn.password is given")),
        ("", _, "") => Err(("password", "is missing: turn.username is given")),
        ("", username, _) if username.len() > 256 || !visible(username) => {
            let why = "a user has at most 256 visible ASCII characters and no space";
            Err(("username", why))
        }
        ("", username, password) => Ok(Some(Credentials::Fixed {
            username: username.to_owned(),
            password: password.to_owned(),
        })),
        // Each client sees a pair of name and credential, and can try short secrets on it at home.
        (secret, "", "") if secret.len() < MIN_SECRET_CHARS || !visible(secret) => Err((
            "secret",
            "a secret has at least 16 visible ASCII characters and no space; make one with \
             `openssl rand -hex 32`",
        )),
        (secret, "", "") => Ok(Some(Credentials::Shared {
            secret: secret.to_owned(),
            ttl_s: written.ttl_s,
        })),
        (_, _, _) => Err((
            "secret",
            "is given besides turn.username or turn.password: a relay takes one or the other",
        )),
    }
}
