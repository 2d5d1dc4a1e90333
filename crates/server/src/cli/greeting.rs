//! What a person at the terminal sees when the server is up.

use std::collections::BTreeSet;

/// Adds lines under a title.
pub(super) fn push(text: &mut String, title: &str, lines: &[String]) {
    for (index, line) in lines.iter().enumerate() {
        let title = if index == 0 { title } else { "" };
        text.push_str(&format!("  {title:<8} {line}\n"));
    }
}

/// Advertised addresses (`udp 192.0.2.1:40000`), gathered: each worker has all of them, at a
/// port of its own.
pub(super) fn media_lines(addresses: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut hosts = Vec::new();
    for (protocol, title) in [("udp ", "UDP"), ("tcp ", "TCP")] {
        let mut ports = BTreeSet::new();
        for address in addresses.iter().filter_map(|a| a.strip_prefix(protocol)) {
            let Some((host, port)) = address.rsplit_once(':') else {
                continue;
            };
            if !hosts.contains(&host) {
                hosts.push(host);
            }
            ports.extend(port.parse::<u16>());
        }
        if !ports.is_empty() {
            lines.push(format!("{title} {}", ranges(&ports)));
        }
    }
    let joined = lines.join(", ");
    vec![joined, format!("at {}", hosts.join(", "))]
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
    use super::*;

    #[test]
    fn many_workers_do_not_make_a_long_message() {
        let mut addresses = Vec::new();
        for port in [40_000, 40_001, 40_002, 40_007] {
            for host in ["192.0.2.1", "[2001:db8::1]"] {
                addresses.push(format!("udp {host}:{port}"));
                addresses.push(format!("tcp {host}:{port}"));
            }
        }
        assert_eq!(
            media_lines(&addresses),
            [
                "UDP 40000-40002 40007, TCP 40000-40002 40007",
                "at 192.0.2.1, [2001:db8::1]"
            ]
        );
    }
}
