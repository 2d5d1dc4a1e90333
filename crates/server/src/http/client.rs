//! Who is on the other end of a request, through trusted proxies.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::net::Cidr;

/// How a connection arrived; the listener attaches it to each of its requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) peer: SocketAddr,
    pub(super) tls: bool,
}

/// The client of a request. Attached to every request, as is `ConnectInfo` with the same address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// Its address: the peer's, or what trusted proxies say of it.
    pub ip: IpAddr,
    /// Whether it came over TLS, to us or to a trusted proxy.
    pub https: bool,
    /// The host, and port, that it asked for.
    pub host: Option<String>,
}

/// Attaches [`ClientInfo`] to a request.
pub(super) async fn attach(
    State(trusted): State<std::sync::Arc<[Cidr]>>,
    mut request: Request,
    next: Next,
) -> Response {
    let arrival = request.extensions().get::<Arrival>().copied();
    let arrival = arrival.unwrap_or(Arrival {
        peer: SocketAddr::from(([0, 0, 0, 0], 0)),
        tls: false,
    });
    let info = client_info(arrival, request.headers(), &trusted);
    let address = SocketAddr::new(info.ip, arrival.peer.port());
    request.extensions_mut().insert(ConnectInfo(address));
    request.extensions_mut().insert(info);
    next.run(request).await
}

fn client_info(arrival: Arrival, headers: &HeaderMap, trusted: &[Cidr]) -> ClientInfo {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|net| net.contains(ip));
    let peer = arrival.peer.ip().to_canonical();
    let host = text(headers, header::HOST.as_str());
    if !is_trusted(peer) {
        return ClientInfo {
            ip: peer,
            https: arrival.tls,
            host,
        };
    }
    // Each proxy adds the address of whom it heard from on the right. What stands to the left of
    // the first address that is not a proxy of ours was written by the client itself.
    let mut ip = peer;
    for hop in forwarded_for(headers).iter().rev() {
        let Some(hop) = hop else { break };
        ip = *hop;
        if !is_trusted(*hop) {
            break;
        }
    }
    let proto = text(headers, "x-forwarded-proto");
    ClientInfo {
        ip,
        https: proto.map_or(arrival.tls, |proto| proto == "https" || proto == "wss"),
        host: text(headers, "x-forwarded-host").or(host),
    }
}

/// The last value of a header that is a list.
fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    let last = value.rsplit(',').next()?.trim();
    (!last.is_empty()).then(|| last.to_ascii_lowercase())
}

fn forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|hop| {
            let hop = hop.trim();
            hop.parse::<IpAddr>()
                .or_else(|_| hop.parse::<SocketAddr>().map(|a| a.ip()))
                .ok()
                .map(|ip| ip.to_canonical())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(peer: &str, trusted: &[&str], headers: &[(&'static str, &str)]) -> ClientInfo {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let arrival = Arrival {
            peer: SocketAddr::new(peer.parse().unwrap(), 1),
            tls: false,
        };
        let trusted: Vec<Cidr> = trusted.iter().map(|t| t.parse().unwrap()).collect();
        client_info(arrival, &map, &trusted)
    }

    const FORGED: &[(&str, &str)] = &[
        ("host", "meet.example.org"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
    ];

    #[test]
    fn a_stranger_cannot_forge_its_address() {
        let info = info("203.0.113.9", &["10.0.0.0/8"], FORGED);
        assert_eq!(info.ip.to_string(), "203.0.113.9");
        assert_eq!(info.host.as_deref(), Some("meet.example.org"));
        assert!(!info.https);
    }

    #[test]
    fn a_trusted_proxy_is_believed() {
        let info = info("10.0.0.1", &["10.0.0.0/8"], FORGED);
        assert_eq!(info.ip.to_string(), "1.2.3.4");
        assert_eq!(info.host.as_deref(), Some("evil.example"));
        assert!(info.https);
    }

    #[test]
    fn what_the_client_wrote_before_the_proxy_is_ignored() {
        let headers = [("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.0.0.2")];
        assert_eq!(
            info("10.0.0.1", &["10.0.0.0/8"], &headers).ip.to_string(),
            "203.0.113.9"
        );
        let headers = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-for", "203.0.113.9:555"),
        ];
        assert_eq!(
            info("10.0.0.1", &["10.0.0.0/8"], &headers).ip.to_string(),
            "203.0.113.9"
        );
        let headers = [("x-forwarded-for", "6.6.6.6, unknown")];
        assert_eq!(
            info("10.0.0.1", &["10.0.0.0/8"], &headers).ip.to_string(),
            "10.0.0.1"
        );
    }
}
