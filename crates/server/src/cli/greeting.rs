//! What a person at the terminal sees when the server is up.

use std::collections::BTreeSet;

use umbrella_engine::Protocol;

use crate::net::Advertised;

/// Adds lines under a title.
pub(super) fn push(text: &mut String, title: &str, lines: &[String]) {
    for (index, line) in lines.iter().enumerate() {
        let title = if index == 0 { title } else { "" };
        text.push_str(&format!("  {title:<8} {line}\n"));
    }
}

/// Advertised addresses, gathered: each worker has all of them, at a port of its own.
pub(super) fn media_lines(advertised: &Advertised) -> Vec<String> {
    if advertised.sources.is_empty() {
        return vec![
            "at no address yet: no STUN server of media.public_ips has answered".to_owned(),
        ];
    }
    let mut lines = Vec::new();
    for (protocol, title) in [(Protocol::Udp, "UDP"), (Protocol::Tcp, "TCP")] {
        let all = advertised.workers.iter().flatten();
        let theirs = all.filter(|it| it.protocol == protocol);
        let ports: BTreeSet<u16> = theirs.map(|it| it.advertised.port()).collect();
        if !ports.is_empty() {
            lines.push(format!("{title} {}", ranges(&ports)));
        }
    }
    let joined = lines.join(", ");
    vec![joined, format!("at {}", advertised.known())]
}

fn ranges(ports: &BTreeSet<u16>) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for port in ports {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *port => *last = *port,
            Some(_) | None => ranges.push((*port, *port)),
        }
    }
    let texts: Vec<String> = ranges
        .iter()
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    texts.join(" ")
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use umbrella_engine::LocalAddress;

    use super::*;
    use crate::net::Source;

    #[test]
    fn many_workers_do_not_make_a_long_message() {
        let port = |port| {
            ["192.0.2.1", "2001:db8::1"]
                .into_iter()
                .flat_map(move |ip: &str| {
                    let address = SocketAddr::new(ip.parse().unwrap(), port);
                    [Protocol::Udp, Protocol::Tcp].map(|protocol| LocalAddress {
                        protocol,
                        advertised: address,
                        base: address,
                    })
                })
        };
        let ports = [40_000, 40_001, 40_002, 40_007];
        let advertised = Advertised {
            workers: ports.map(|it| port(it).collect()).to_vec(),
            sources: vec![
                ("192.0.2.1".parse().unwrap(), Source::Stun),
                ("2001:db8::1".parse().unwrap(), Source::Interface),
            ],
        };
        assert_eq!(
            media_lines(&advertised),
            [
                "UDP 40000-40002 40007, TCP 40000-40002 40007",
                "at 192.0.2.1 (by STUN), 2001:db8::1 (interface)"
            ]
        );
    }
}
