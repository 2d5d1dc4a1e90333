//! Under which name this machine is announced.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use mdns_sd::{ScopedIp, ServiceDaemon};

use super::Lan;

/// How long others have to say that a name is theirs, with all addresses that it has: enough for a
/// second question, since nobody has to answer twice within a second (RFC 6762 section 6).
const PATIENCE: Duration = Duration::from_millis(1300);

/// Names that are tried: `box`, `box-2` and so on.
const MAX_TRIES: u32 = 20;

/// Who answers for the name that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Nobody but this server.
    Own(String),
    /// Another program on this machine, with these addresses.
    Shared(String, Vec<IpAddr>),
}

impl Place {
    /// The name, with `.local`.
    pub(super) fn host(&self) -> &str {
        match self {
            Place::Own(host) | Place::Shared(host, _) => host,
        }
    }
}

/// Looks for the first of `NAME.local`, `NAME-2.local`, … that no other machine answers for, from
/// the try `first` on, which counts from 1. The second is which try it was.
pub(super) async fn choose(
    lan: &Lan,
    daemon: &ServiceDaemon,
    name: &str,
    first: u32,
) -> (Place, u32) {
    let mut number = first;
    loop {
        let host = nth(name, number);
        let found = lan.ask(daemon, &host, PATIENCE, PATIENCE).await;
        if found.is_empty() || number >= MAX_TRIES {
            return (Place::Own(host), number);
        }
        if let Some(addresses) = ours(&found, &own_addresses()) {
            return (Place::Shared(host, addresses), number);
        }
        number += 1;
    }
}

fn nth(name: &str, number: u32) -> String {
    match number {
        0 | 1 => format!("{name}.local"),
        _ => format!("{name}-{number}.local"),
    }
}

fn own_addresses() -> HashSet<IpAddr> {
    let found = if_addrs::get_if_addrs().unwrap_or_default();
    found.iter().map(if_addrs::Interface::ip).collect()
}

/// What was answered, if all of it leads to this machine.
fn ours(found: &HashSet<ScopedIp>, own: &HashSet<IpAddr>) -> Option<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = found.iter().map(ScopedIp::to_ip_addr).collect();
    addresses.sort();
    addresses.dedup();
    addresses
        .iter()
        .all(|ip| own.contains(ip))
        .then_some(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn another_machines_name_is_taken_for_ours() {
        let own = HashSet::from([ip("10.0.0.5"), ip("fe80::5"), ip("127.0.0.1")]);
        let said = |ips: &[&str]| ours(&ips.iter().map(|it| ip(it).into()).collect(), &own);
        assert_eq!(said(&["10.0.0.5"]), Some(vec![ip("10.0.0.5")]));
        assert_eq!(said(&["fe80::5", "10.0.0.5"]).unwrap().len(), 2);
        assert_eq!(said(&["10.0.0.6"]), None);
        assert_eq!(said(&["10.0.0.5", "10.0.0.6"]), None);
    }

    #[test]
    fn the_second_name_has_a_two() {
        assert_eq!(nth("box", 1), "box.local");
        assert_eq!(nth("box", 2), "box-2.local");
    }
}
