//! Where another server is.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

/// What the door of trunks is called, below the prefix.
const DOOR: &str = "/wsb";

/// Bytes of an address that somebody enters.
const MAX: usize = 512;

/// Where another server listens for trunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    secure: bool,
    host: String,
    port: u16,
    /// With brackets, and with a port that is not the usual one.
    authority: String,
    /// Empty, or begins with `/` and does not end with one.
    prefix: String,
}

impl Address {
    /// Reads `wss://HOST/PREFIX/wsb`, `https://HOST/PREFIX`, or `HOST` alone. Without TLS only
    /// this machine is dialled, unless `insecure` says that this is meant.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for whoever entered it.
    pub fn parse(text: &str, insecure: bool) -> Result<Address, String> {
        const WRONG: &str = "this is no address of a server, as https://meet.example.org";
        let text = text.trim();
        if text.len() > MAX {
            return Err(format!("an address has at most {MAX} characters"));
        }
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("https://{text}"))
        };
        let url = url.map_err(|_| WRONG)?;
        let secure = match url.scheme() {
            "wss" | "https" => true,
            "ws" | "http" => false,
            _ => return Err("an address begins with https://, wss://, http:// or ws://".into()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("an address holds no user and no password".into());
        }
        let host = url.host().ok_or(WRONG)?;
        if !secure && !insecure && !is_loopback(&host) {
            return Err(
                "without TLS anybody on the way could listen: use https://, or say that this is \
                 meant"
                    .into(),
            );
        }
        let usual = if secure { 443 } else { 80 };
        let port = url.port().unwrap_or(usual);
        let mut authority = url.host_str().unwrap_or_default().to_owned();
        if port != usual {
            authority.push_str(&format!(":{port}"));
        }
        Ok(Address {
            secure,
            host: plain(&host),
            port,
            authority,
            prefix: prefix(&url)?,
        })
    }

    /// Whether it is reached by TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// A name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The door as a WebSocket's address.
    pub fn door(&self) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        format!("{scheme}://{}{}{DOOR}", self.authority, self.prefix)
    }
}

/// As people know it: the same for every way to write it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.prefix)
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => IpAddr::V6(*ip).to_canonical().is_loopback(),
    }
}

fn plain(host: &Host<&str>) -> String {
    match host {
        Host::Domain(name) => (*name).to_owned(),
        Host::Ipv4(ip) => ip.to_string(),
        Host::Ipv6(ip) => ip.to_string(),
    }
}

/// The door's own name may be there, or the page's: that is what stands in a browser.
fn prefix(url: &Url) -> Result<String, String> {
    let path = url.path().trim_end_matches('/');
    if let Some(prefix) = path.strip_suffix("/sfu") {
        return Ok(prefix.trim_end_matches('/').to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("an address has no part that begins with ? or #".into());
    }
    let prefix = path.strip_suffix(DOOR).unwrap_or(path);
    Ok(prefix.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String) {
        let address = Address::parse(text, false).unwrap();
        (address.to_string(), address.door())
    }

    #[test]
    fn address_as_people_write_it_leads_nowhere() {
        for text in [
            "meet.example.org/u",
            "https://meet.example.org/u",
            "https://meet.example.org:443/u/",
            "wss://Meet.example.org/u/wsb",
            "wss://meet.example.org/u/wsb/",
            "https://meet.example.org/u/sfu#/admin/servers",
        ] {
            let (shown, door) = read(text);
            assert_eq!(shown, "https://meet.example.org/u", "{text}");
            assert_eq!(door, "wss://meet.example.org/u/wsb", "{text}");
        }
        assert_eq!(read("box.local:8081").1, "wss://box.local:8081/wsb");
        assert_eq!(read("https://[fd00::1]/").1, "wss://[fd00::1]/wsb");
        assert_eq!(
            Address::parse("[fd00::1]", false).unwrap().host(),
            "fd00::1"
        );
    }

    #[test]
    fn secret_crosses_the_network_in_the_clear_by_mistake() {
        for text in ["http://box.local", "ws://192.0.2.1:80/wsb"] {
            assert!(Address::parse(text, false).unwrap_err().contains("TLS"));
            assert!(!Address::parse(text, true).unwrap().is_secure());
        }
        for text in [
            "http://localhost:8081",
            "ws://127.0.0.1",
            "http://[::1]:81/u",
        ] {
            assert!(
                Address::parse(text, false)
                    .unwrap()
                    .door()
                    .starts_with("ws://")
            );
        }
    }

    #[test]
    fn something_else_is_taken_for_an_address() {
        for text in [
            "",
            "ftp://a",
            "https://",
            "https://user:word@a",
            "https://a/?x=1",
            "https://a/u#x",
            "a b",
            &"a".repeat(600),
        ] {
            assert!(Address::parse(text, true).is_err(), "{text}");
        }
    }
}
