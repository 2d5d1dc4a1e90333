//! What must hold for whatever somebody on the local network announces.

use mdns_sd::ServiceInfo;

use super::SERVICE;
use super::nearby::read;
use crate::trunk::Address;

/// Reads bytes as an announcement: its host, `v`, `tls`, `id`, `name` and `path`, each ended by a zero.
///
/// # Panics
/// If something comes out that leads out of the network, or that does more to a page or a terminal than
/// to be read there.
pub fn announcement(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut parts = text.split('\0');
    let host = parts.next().unwrap_or_default();
    let txt: Vec<_> = ["v", "tls", "id", "name", "path"]
        .into_iter()
        .zip(parts)
        .collect();
    let port = u16::try_from(text.len()).unwrap_or_default();
    let Ok(service) = ServiceInfo::new(SERVICE, "a", host, "10.0.0.9", port, &txt[..]) else {
        return;
    };
    let Some(found) = read(&service.as_resolved_service()) else {
        return;
    };
    assert!(found.node.is_ascii() && found.node.len() <= 64);
    assert!((1..=253).contains(&found.name.chars().count()));
    assert!(!found.name.chars().any(char::is_control));
    assert!(found.url.starts_with("https://"), "{}", found.url);
    let authority = found.url["https://".len()..].split('/').next();
    let host = authority.and_then(|it| it.split(':').next());
    assert!(
        host.is_some_and(|host| host.ends_with(".local")),
        "{}",
        found.url
    );
    let again = Address::parse(&found.url, false).map(|address| address.to_string());
    assert_eq!(again.ok(), Some(found.url));
}
