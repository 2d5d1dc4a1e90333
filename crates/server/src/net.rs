//! Addresses: networks, this machine's interfaces, and what is advertised for media.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use umbrella_engine::{LocalAddress, Protocol};

use crate::config::MediaConfig;

/// Most addresses that are advertised: machines full of bridges have dozens, and every one
/// costs each client connectivity checks.
const MAX_ADVERTISED_IPS: usize = 12;

/// A network, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Loopback, private (RFC 1918), link-local and unique local networks.
    pub fn loopback_and_private() -> Vec<Self> {
        let v4 = |a, b, bits| Self {
            address: IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)),
            bits,
        };
        let v6 = |first, last, bits| Self {
            address: IpAddr::V6(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, last)),
            bits,
        };
        vec![
            v4(127, 0, 8),
            v4(10, 0, 8),
            v4(172, 16, 12),
            v4(192, 168, 16),
            v4(169, 254, 16),
            v6(0, 1, 128),
            v6(0xfc00, 0, 7),
            v6(0xfe80, 0, 10),
        ]
    }

    /// Whether an address belongs to it. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                net.to_bits() & mask == ip.to_bits() & mask
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.bits))
                    .unwrap_or(0);
                net.to_bits() & mask == ip.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Not a network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address or a network like 10.0.0.0/8")]
pub struct NotACidr;

impl FromStr for Cidr {
    type Err = NotACidr;

    fn from_str(text: &str) -> Result<Self, NotACidr> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| NotACidr)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotACidr)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return Err(NotACidr);
        }
        Ok(Self { address, bits })
    }
}

/// The addresses of this machine that others may reach: neither unspecified nor IPv6 link-local
/// ones, which mean nothing without an interface. Loopback comes last.
///
/// # Errors
///
/// If the system does not say.
pub fn interface_addresses() -> io::Result<Vec<IpAddr>> {
    let found = if_addrs::get_if_addrs()?;
    Ok(reachable(found.into_iter().map(|interface| interface.ip())))
}

fn reachable(found: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = found
        .filter(|ip| !ip.is_unspecified() && !is_link_local(*ip))
        .collect();
    addresses.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6(), *ip));
    addresses.dedup();
    addresses
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        // 169.254 is what a direct cable or a misconfigured network gets: better than nothing.
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// The addresses of one worker that are written into SDP, best first.
///
/// `interfaces` comes from [`interface_addresses`], `port` is the worker's. Public addresses
/// that no interface has are taken for 1:1 NAT to the first interface of that family. Loopback
/// is advertised only if there is nothing else.
pub fn media_addresses(
    config: &MediaConfig,
    interfaces: &[IpAddr],
    port: u16,
) -> Vec<LocalAddress> {
    let mut pairs: Vec<(IpAddr, IpAddr)> = Vec::new();
    for public in &config.public_ips {
        if let Some(base) = base_of(*public, interfaces) {
            pairs.push((*public, base));
        }
    }
    if config.advertise_lan {
        let others = interfaces.iter().any(|ip| !ip.is_loopback()) || !pairs.is_empty();
        for ip in interfaces {
            let known = pairs.iter().any(|(advertised, _)| advertised == ip);
            if !known && !(others && ip.is_loopback()) {
                pairs.push((*ip, *ip));
            }
        }
    }
    pairs.truncate(MAX_ADVERTISED_IPS);
    let mut protocols = Vec::new();
    if config.udp {
        protocols.push(Protocol::Udp);
    }
    if config.tcp {
        protocols.push(Protocol::Tcp);
    }
    protocols
        .iter()
        .flat_map(|protocol| {
            pairs.iter().map(|(advertised, base)| LocalAddress {
                protocol: *protocol,
                advertised: SocketAddr::new(*advertised, port),
                base: SocketAddr::new(*base, port),
            })
        })
        .collect()
}

fn base_of(public: IpAddr, interfaces: &[IpAddr]) -> Option<IpAddr> {
    if interfaces.contains(&public) {
        return Some(public);
    }
    interfaces
        .iter()
        .copied()
        .find(|ip| ip.is_ipv4() == public.is_ipv4())
}

/// The name of this machine without its domain, if it has one that can be used in a URL.
pub fn host_name() -> Option<String> {
    let full = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .ok()?;
    let name = full.trim().split('.').next()?.to_ascii_lowercase();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let usable = !name.is_empty()
        && name.len() <= 63
        && name != "localhost"
        && name.bytes().all(plain)
        && !name.starts_with('-')
        && !name.ends_with('-');
    usable.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    fn config(public: &[&str], advertise_lan: bool) -> MediaConfig {
        MediaConfig {
            workers: None,
            min_port: 40_000,
            max_port: 40_010,
            public_ips: ips(public),
            advertise_lan,
            udp: true,
            tcp: false,
        }
    }

    fn advertised(config: &MediaConfig, interfaces: &[&str]) -> Vec<String> {
        media_addresses(config, &ips(interfaces), 40_000)
            .iter()
            .map(|a| format!("{}<{}", a.advertised.ip(), a.base.ip()))
            .collect()
    }

    #[test]
    fn lan_and_wan_are_both_advertised() {
        assert_eq!(
            advertised(
                &config(&["203.0.113.7"], true),
                &["10.0.0.5", "fd00::5", "127.0.0.1"]
            ),
            [
                "203.0.113.7<10.0.0.5",
                "10.0.0.5<10.0.0.5",
                "fd00::5<fd00::5"
            ]
        );
    }

    #[test]
    fn lan_can_be_switched_off_and_an_own_public_address_is_its_own_base() {
        assert_eq!(
            advertised(
                &config(&["203.0.113.7"], false),
                &["10.0.0.5", "203.0.113.7"]
            ),
            ["203.0.113.7<203.0.113.7"]
        );
    }

    #[test]
    fn public_address_of_a_family_that_the_machine_lacks_is_left_out() {
        assert_eq!(
            advertised(&config(&["2001:db8::7"], true), &["10.0.0.5"]),
            ["10.0.0.5<10.0.0.5"]
        );
    }

    #[test]
    fn loopback_is_advertised_only_when_nothing_else_exists() {
        assert_eq!(
            advertised(&config(&[], true), &["127.0.0.1"]),
            ["127.0.0.1<127.0.0.1"]
        );
        assert_eq!(
            advertised(&config(&[], true), &["10.0.0.5", "127.0.0.1"]),
            ["10.0.0.5<10.0.0.5"]
        );
    }

    #[test]
    fn udp_comes_before_tcp_and_either_can_be_switched_off() {
        let mut both = config(&[], true);
        both.tcp = true;
        let protocols = |config: &MediaConfig| -> Vec<Protocol> {
            media_addresses(config, &ips(&["10.0.0.5"]), 1)
                .iter()
                .map(|a| a.protocol)
                .collect()
        };
        assert_eq!(protocols(&both), [Protocol::Udp, Protocol::Tcp]);
        both.udp = false;
        assert_eq!(protocols(&both), [Protocol::Tcp]);
    }

    #[test]
    fn a_machine_full_of_bridges_does_not_flood_the_description() {
        let many: Vec<IpAddr> = (0..100).map(|i| IpAddr::from([172, 17, i, 1])).collect();
        assert_eq!(
            media_addresses(&config(&[], true), &many, 1).len(),
            MAX_ADVERTISED_IPS
        );
    }

    #[test]
    fn link_local_and_duplicates_are_left_out_and_loopback_is_last() {
        let found = ips(&[
            "127.0.0.1",
            "fe80::1",
            "10.0.0.5",
            "::",
            "10.0.0.5",
            "fd00::1",
        ]);
        assert_eq!(
            reachable(found.into_iter()),
            ips(&["10.0.0.5", "fd00::1", "127.0.0.1"])
        );
    }

    #[test]
    fn networks_contain_what_they_say() {
        let contains = |net: &str, ip: &str| {
            net.parse::<Cidr>()
                .unwrap()
                .contains(ip.parse::<IpAddr>().unwrap())
        };
        assert!(contains("10.0.0.0/8", "10.255.0.1"));
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("0.0.0.0/0", "203.0.113.7"));
        assert!(!contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1"));
        assert!(!contains("192.0.2.1", "192.0.2.2"));
        for wrong in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0/8",
            "x/8",
            "10.0.0.0/-1",
        ] {
            assert!(wrong.parse::<Cidr>().is_err(), "{wrong}");
        }
    }
}
