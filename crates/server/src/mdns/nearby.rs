//! Servers of our kind on the local network. Anybody there can say anything.

use std::collections::BTreeMap;

use mdns_sd::{ResolvedService, ServiceEvent};

use super::VERSION;
use crate::trunk::Address;

/// Servers that are kept; of more, nothing is.
const MAX_SERVERS: usize = 64;

/// Characters of a name that is shown.
const MAX_NAME: usize = 64;

/// Bytes of an id. Ours are shorter.
const MAX_ID: usize = 64;

/// A server of our kind, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its id.
    pub(crate) node: String,
    /// Its name, at most 64 characters, none of which is a control character.
    pub(crate) name: String,
    /// Where it is joined.
    pub(crate) url: String,
}

/// All of them, by the name of the service.
#[derive(Debug, Default)]
pub(super) struct Nearby(BTreeMap<String, Found>);

impl Nearby {
    pub(super) fn note(&mut self, event: ServiceEvent) {
        if let ServiceEvent::ServiceResolved(service) = event {
            match read(&service) {
                Some(found) => self.put(service.fullname, found),
                None => self.remove(&service.fullname),
            }
        } else if let ServiceEvent::ServiceRemoved(_, fullname) = event {
            self.remove(&fullname);
        }
    }

    fn put(&mut self, fullname: String, found: Found) {
        let fullname = fullname.to_lowercase();
        if self.0.len() < MAX_SERVERS || self.0.contains_key(&fullname) {
            self.0.insert(fullname, found);
        }
    }

    fn remove(&mut self, fullname: &str) {
        self.0.remove(&fullname.to_lowercase());
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn list(&self) -> Vec<Found> {
        let mut all: Vec<Found> = self.0.values().cloned().collect();
        all.sort_by(|a, b| (&a.name, &a.url, &a.node).cmp(&(&b.name, &b.url, &b.node)));
        all.dedup();
        all
    }
}

/// What a server says of itself, if that makes sense.
pub(super) fn read(service: &ResolvedService) -> Option<Found> {
    let text = |key: &str| service.get_property_val_str(key);
    if text("v")? != VERSION || text("tls")? != "1" {
        return None;
    }
    let host = host(&service.host)?;
    let node = text("id").filter(|id| is_id(id))?;
    let path = text("path").unwrap_or_default();
    let name = text("name").map(shown).filter(|name| !name.is_empty());
    Some(Found {
        node: node.to_owned(),
        name: name.unwrap_or_else(|| host.clone()),
        url: url(&host, service.port, path)?,
    })
}

fn host(written: &str) -> Option<String> {
    let host = written.strip_suffix('.').unwrap_or(written);
    let plain = |label: &str| {
        let fits = (1..=63).contains(&label.len());
        fits && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let host = host.to_ascii_lowercase();
    let usable = host.len() <= 253 && host.ends_with(".local") && host.split('.').all(plain);
    usable.then_some(host)
}

fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(plain)
}

fn url(host: &str, port: u16, path: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~/".contains(&b);
    let fits = path.is_empty() || path.starts_with('/');
    if port == 0 || path.len() > 200 || !fits || !path.bytes().all(plain) {
        return None;
    }
    let address = Address::parse(&format!("https://{host}:{port}{path}"), false).ok()?;
    Some(address.to_string())
}

/// Without what would do something to a page or a terminal: control characters, and those that
/// turn the direction of what follows.
fn shown(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let kept = text.chars().filter(|c| !c.is_control() && !turns(*c));
    let kept: String = kept.take(MAX_NAME).collect();
    kept.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use mdns_sd::ServiceInfo;

    use super::*;
    use crate::mdns::SERVICE;

    fn service(instance: &str, host: &str, port: u16, txt: &[(&str, &str)]) -> ResolvedService {
        ServiceInfo::new(SERVICE, instance, host, "10.0.0.9", port, txt)
            .unwrap()
            .as_resolved_service()
    }

    const TXT: [(&str, &str); 5] = [
        ("v", "1"),
        ("tls", "1"),
        ("id", "ND_abc"),
        ("name", "Workshop"),
        ("path", "/u"),
    ];

    fn with(key: &'static str, value: &str) -> Option<Found> {
        let mut txt = TXT;
        let mut place = txt.iter_mut().filter(|(name, _)| *name == key);
        let value: &'static str = Box::leak(value.to_owned().into_boxed_str());
        place.next().unwrap().1 = value;
        read(&service("a", "box.local.", 8081, &txt))
    }

    #[test]
    fn a_server_says_where_it_is_joined() {
        let found = read(&service("a", "Box.local.", 8081, &TXT)).unwrap();
        assert_eq!(found.url, "https://box.local:8081/u");
        assert_eq!(
            (found.node.as_str(), found.name.as_str()),
            ("ND_abc", "Workshop")
        );
        let nameless = with("name", "\u{7}\u{202e}").unwrap();
        assert_eq!(nameless.name, "box.local");
    }

    #[test]
    fn a_stranger_writes_onto_the_page_or_leads_elsewhere() {
        assert_eq!(
            with("name", "a\u{1b}[2Jb\u{202e}c\r\n").unwrap().name,
            "a[2Jbc"
        );
        let long = with("name", &"ö".repeat(100)).unwrap();
        assert_eq!(long.name.chars().count(), MAX_NAME);
        for (key, value) in [
            ("v", "2"),
            ("tls", "0"),
            ("id", "<b>"),
            ("id", ""),
            ("path", "u"),
            ("path", "/u?x=1"),
            ("path", "/u@evil.example"),
            ("path", "/\r\n"),
        ] {
            assert_eq!(with(key, value), None, "{key} {value:?}");
        }
        for host in ["evil.example.", "a b.local.", "x@y.local.", "a..local."] {
            assert_eq!(read(&service("a", host, 8081, &TXT)), None, "{host}");
        }
        assert_eq!(read(&service("a", "box.local.", 0, &TXT)), None);
    }

    #[test]
    fn a_thousand_servers_are_kept() {
        let mut nearby = Nearby::default();
        let note = |nearby: &mut Nearby, at: usize, host: &str| {
            let service = service(&format!("s{at}"), host, 8081, &TXT);
            nearby.note(ServiceEvent::ServiceResolved(Box::new(service)));
        };
        for at in 0..1000 {
            note(&mut nearby, at, &format!("box-{at}.local."));
        }
        assert_eq!(nearby.list().len(), MAX_SERVERS);
        // One that is known may move, and one that has gone makes room.
        note(&mut nearby, 0, "moved.local.");
        assert!(nearby.list().iter().any(|it| it.url.contains("moved")));
        let gone = ServiceEvent::ServiceRemoved(SERVICE.into(), format!("S0.{SERVICE}"));
        nearby.note(gone);
        assert_eq!(nearby.list().len(), MAX_SERVERS - 1);
    }
}
