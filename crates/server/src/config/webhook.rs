//! Who is told what happens in rooms.

use std::fmt;

use url::{Host, Url};

/// At most so many receivers: each gets every event.
pub(super) const MAX_URLS: usize = 16;

/// Who is told what happens in rooms.
#[derive(Debug, Clone, Default)]
pub struct WebhookConfig {
    /// Where to; empty is nobody.
    pub urls: Vec<WebhookUrl>,
    /// The API key that signs, of the configuration or made on the page.
    pub api_key: String,
}

/// An address that events are posted to. Path and query may hold a secret: whatever is shown of it
/// is without them.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    url: Url,
    host: String,
    port: u16,
}

impl WebhookUrl {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without the address.
    pub fn parse(text: &str) -> Result<WebhookUrl, &'static str> {
        let url = Url::parse(text.trim());
        let url = url.map_err(|_| "is not an address like https://example.org/hook")?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("begins with neither http:// nor https://");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "has a user or a password, which would not be sent: the signature takes their place",
            );
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(ip)) => ip.to_string(),
            Some(Host::Ipv6(ip)) => ip.to_string(),
            None => return Err("has no host"),
        };
        let port = url.port_or_known_default().ok_or("has no port")?;
        Ok(WebhookUrl { url, host, port })
    }

    /// Whether it is reached by TLS.
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// A name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host as the receiver is to read it: with brackets, and with a port that is not the usual
    /// one.
    pub fn host_header(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// What is asked for there. May hold a secret.
    pub fn path_and_query(&self) -> String {
        let path = self.url.path();
        match self.url.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        write!(f, "{}://{host}:{}", self.url.scheme(), self.port)
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
