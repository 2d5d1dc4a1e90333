//! Where a camera is, and who may look.

use std::fmt;

use url::{Host, Url};

/// Bytes of an address that somebody enters.
const MAX: usize = 1024;

/// Names in a query or path by which some makers pass users and passwords.
const SECRETS: [&str; 8] = [
    "user", "username", "usr", "password", "passwd", "pwd", "pass", "token",
];

/// An address of a camera's stream. Shows no password, neither as `Display` nor as `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    secure: bool,
    host: Host<String>,
    port: u16,
    /// Begins with `/`; with the query.
    path: String,
    credentials: Option<Credentials>,
}

/// Who may look.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// Secret.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// What is wrong with an address. Does not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// More than 1024 bytes.
    #[error("an address has at most 1024 characters")]
    Long,
    /// A line break, for instance.
    #[error("an address has no line breaks and no spaces; write a space as %20")]
    Control,
    /// HTTP, for instance.
    #[error("a camera's address begins with rtsp:// or rtsps://")]
    Scheme,
    /// None, or none that can be one.
    #[error("this is no address of a camera, as rtsp://user:password@192.168.1.20/stream1")]
    Host,
    /// A part that means nothing to a camera.
    #[error("an address has nothing behind #; write it as %23 if it belongs to the address")]
    Fragment,
}

impl Address {
    /// Reads `rtsp://USER:PASSWORD@HOST:PORT/PATH` or `rtsps://…`. User and password may be written
    /// with percent signs, and need not: what is before the last `@` belongs to them.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for whoever entered it.
    pub fn parse(text: &str) -> Result<Address, BadAddress> {
        let text = text.trim();
        if text.len() > MAX {
            return Err(BadAddress::Long);
        }
        if text
            .chars()
            .any(|char| char.is_control() || char.is_whitespace())
        {
            return Err(BadAddress::Control);
        }
        let (scheme, rest) = text.split_once("://").ok_or(BadAddress::Scheme)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "rtsp" => false,
            "rtsps" => true,
            _ => return Err(BadAddress::Scheme),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (credentials, authority) = match authority.rsplit_once('@') {
            Some((who, authority)) => (Credentials::parse(who), authority),
            None => (None, authority),
        };
        if path.contains('#') || authority.contains('#') {
            return Err(BadAddress::Fragment);
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        // A scheme of the web, for its rules of hosts.
        let url = Url::parse(&format!("http://{authority}")).map_err(|_| BadAddress::Host)?;
        let host = url.host().ok_or(BadAddress::Host)?.to_owned();
        let usual = if secure { 322 } else { 554 };
        // What is written, since the web's own port would not be told.
        let port = match authority.rsplit_once(':') {
            Some((_, port)) if !port.contains(']') => port.parse().map_err(|_| BadAddress::Host)?,
            _ => usual,
        };
        let address = Address {
            secure,
            host,
            port,
            path: format!("{slash}{path}"),
            credentials,
        };
        address.url(None).map(|_| address).ok_or(BadAddress::Host)
    }

    /// The same with others' credentials, as they are kept apart.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Option<Credentials>) -> Address {
        self.credentials = credentials;
        self
    }

    /// Who may look, if it says so.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Whether it is reached by TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// A name, or an address without brackets.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        }
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The whole address but for user and password, to be kept. The path may hold secrets: to be
    /// shown, there is `Display`.
    pub(crate) fn without_credentials(&self) -> String {
        let scheme = if self.secure { "rtsps" } else { "rtsp" };
        format!("{scheme}://{}:{}{}", self.host, self.port, self.path)
    }

    /// Whether what is sent there comes to the same place, and as well protected.
    pub(crate) fn is_same_place(&self, other: &Address) -> bool {
        self.host == other.host && self.port == other.port && self.secure == other.secure
    }

    /// What a camera is asked for, with another authority if there is one on the way. Never holds
    /// credentials of ours.
    pub(super) fn url(&self, authority: Option<&str>) -> Option<Url> {
        let own = format!("{}:{}", self.host, self.port);
        let authority = authority.unwrap_or(&own);
        Url::parse(&format!("rtsp://{authority}{}", self.path)).ok()
    }

    /// Where a camera sends us instead. Credentials in it count for nothing.
    ///
    /// # Errors
    ///
    /// If it is no camera's address.
    pub(super) fn redirected(&self, location: &str) -> Result<Address, BadAddress> {
        let target = if location.contains("://") {
            Address::parse(location)?
        } else {
            let path = location.trim_start_matches('/');
            Address::parse(&format!("rtsp://{}:{}/{path}", self.host, self.port)).map(|target| {
                Address {
                    secure: self.secure,
                    ..target
                }
            })?
        };
        Ok(target.with_credentials(self.credentials.clone()))
    }
}

impl Credentials {
    fn parse(text: &str) -> Option<Credentials> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        (!text.is_empty()).then(|| Credentials {
            user: decoded(user),
            password: decoded(password),
        })
    }
}

/// Without percent signs; as it is if that makes no sense.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = (first == b'%').then(|| tail.get(..2)).flatten();
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// Without credentials, also where makers hide them in path and query.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual) = if self.secure {
            ("rtsps", 322)
        } else {
            ("rtsp", 554)
        };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port != usual {
            write!(f, ":{}", self.port)?;
        }
        let mut key = "";
        for part in self.path.split_inclusive(['/', '?', '&', '=', ';', '_']) {
            let (text, end) =
                part.split_at(part.trim_end_matches(['/', '?', '&', '=', ';', '_']).len());
            let is_secret = SECRETS
                .iter()
                .any(|secret| key.eq_ignore_ascii_case(secret));
            match is_secret && !text.is_empty() {
                true => write!(f, "…{end}")?,
                false => write!(f, "{text}{end}")?,
            }
            // A value goes on over what separates other parts, but not over the next key.
            if end == "=" || (is_secret && matches!(end, "_" | ";" | "/")) {
                key = if is_secret { key } else { text };
            } else {
                key = "";
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(text: &str) -> (String, String) {
        let address = Address::parse(text).unwrap();
        let Credentials { user, password } = address.credentials.clone().unwrap();
        assert!(!format!("{address} {address:?} {:?}", address.credentials).contains(&password));
        (user, password)
    }

    #[test]
    fn password_with_special_characters_is_cut_off() {
        let pair = |user: &str, password: &str| (user.to_owned(), password.to_owned());
        assert_eq!(who("rtsp://a:secr3t@10.0.0.9/x"), pair("a", "secr3t"));
        assert_eq!(who("rtsp://a:p@ss#w:rd@10.0.0.9/x"), pair("a", "p@ss#w:rd"));
        assert_eq!(
            who("rtsp://a:p%40ss%2Fw%25@cam.local"),
            pair("a", "p@ss/w%")
        );
        assert_eq!(
            who("RTSP://a:100%25%zz@[fe80::1]:8554/x?y=1"),
            pair("a", "100%%zz")
        );
        let none = Address::parse("rtsp://10.0.0.9/x@y").unwrap();
        assert_eq!(none.credentials(), None);
    }

    #[test]
    fn password_in_the_address_is_shown() {
        let shown = |text: &str| Address::parse(text).unwrap().to_string();
        assert_eq!(
            shown("rtsp://u:hunter2@10.0.0.9:554/a/b"),
            "rtsp://10.0.0.9/a/b"
        );
        assert_eq!(shown("rtsps://u:hunter2@cam:554/a"), "rtsps://cam:554/a");
        assert_eq!(shown("rtsps://cam/a?c=1&s=2"), "rtsps://cam/a?c=1&s=2");
        for hidden in [
            "rtsp://cam/user=admin&password=hunter2&channel=1",
            "rtsp://cam/user=admin_password=hunter2_channel=1_stream=0.sdp",
            "rtsp://cam/live?channel=1&PWD=hunter2",
            "rtsp://cam/live?token=hunter2&x=1",
            "rtsp://cam/live?password=hunt_hunter2/er2",
        ] {
            let shown = shown(hidden);
            assert!(
                !shown.contains("hunter2") && !shown.contains("admin"),
                "{shown}"
            );
        }
    }

    #[test]
    fn address_of_something_else_is_dialled() {
        for (text, wrong) in [
            ("http://cam/x", BadAddress::Scheme),
            ("exec:rm", BadAddress::Scheme),
            ("cam/x", BadAddress::Scheme),
            ("file:///etc/passwd", BadAddress::Scheme),
            ("rtsp://", BadAddress::Host),
            ("rtsp://u:p@/x", BadAddress::Host),
            ("rtsp://cam:0x1/x", BadAddress::Host),
            ("rtsp://cam:99999/x", BadAddress::Host),
            ("rtsp://cam/x\r\nDESCRIBE", BadAddress::Control),
            ("rtsp://cam/x y", BadAddress::Control),
            ("rtsp://cam/x#audio=no", BadAddress::Fragment),
        ] {
            assert_eq!(Address::parse(text), Err(wrong), "{text}");
        }
        let long = format!("rtsp://cam/{}", "x".repeat(MAX));
        assert_eq!(Address::parse(&long), Err(BadAddress::Long));
        let cam = Address::parse("rtsp://cam:80/x").unwrap();
        assert_eq!((cam.port(), cam.host().as_str()), (80, "cam"));
        assert_eq!(cam.url(None).unwrap().as_str(), "rtsp://cam:80/x");
    }
}
