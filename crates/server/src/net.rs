//! Addresses: networks, this machine's interfaces, and what is advertised for media.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use umbrella_engine::{LocalAddress, Protocol};

use crate::config::{Config, Listen, MediaConfig, PublicHost};
use crate::tls::Names;

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
/// ones, which mean nothing without an interface, nor those of networks of containers. Loopback comes last.
///
/// # Errors
///
/// If the system does not say.
pub fn interface_addresses() -> io::Result<Vec<IpAddr>> {
    let found = if_addrs::get_if_addrs()?;
    let found = found
        .into_iter()
        .filter(|interface| !leads_to_containers(&interface.name));
    Ok(reachable(found.map(|interface| interface.ip())))
}

/// Whether this is the name of a bridge that Docker or Podman makes for each network. Only containers of
/// this machine are behind it, and they reach its other addresses as well; where there are dozens, every
/// client would try them all.
fn leads_to_containers(interface: &str) -> bool {
    let is_hex = |text: &str| text.len() == 12 && text.bytes().all(|it| it.is_ascii_hexdigit());
    let is_number = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
    matches!(interface, "docker0" | "docker_gwbridge")
        || interface.strip_prefix("br-").is_some_and(is_hex)
        || interface.strip_prefix("podman").is_some_and(is_number)
        || interface.strip_prefix("cni-podman").is_some_and(is_number)
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

/// An address of this machine as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenAs {
    /// What others see.
    pub ip: IpAddr,
    /// The interface's own.
    pub base: IpAddr,
}

/// How an advertised address is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The operator has written it.
    Configured,
    /// A STUN server has told it.
    Stun,
    /// An interface has it.
    Interface,
}

impl Source {
    /// In a word, for people.
    pub fn word(self) -> &'static str {
        match self {
            Source::Configured => "configured",
            Source::Stun => "by STUN",
            Source::Interface => "interface",
        }
    }
}

/// What is advertised for media.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advertised {
    /// Of each worker.
    pub workers: Vec<Vec<LocalAddress>>,
    /// Each of the addresses, and how it is known; best first.
    pub sources: Vec<(IpAddr, Source)>,
}

impl Advertised {
    /// `ports` are those of the workers, `found` is what STUN servers have told.
    pub fn new(
        config: &MediaConfig,
        interfaces: &[IpAddr],
        found: &[SeenAs],
        ports: &[u16],
    ) -> Advertised {
        let of = |port: &u16| media_addresses(config, interfaces, found, *port);
        let workers: Vec<_> = ports.iter().map(of).collect();
        let mut sources: Vec<(IpAddr, Source)> = Vec::new();
        for address in workers.iter().flatten() {
            let ip = address.advertised.ip();
            if sources.iter().all(|(known, _)| *known != ip) {
                let source = if config.public_ips.contains(&ip) {
                    Source::Configured
                } else if interfaces.contains(&ip) {
                    Source::Interface
                } else {
                    Source::Stun
                };
                sources.push((ip, source));
            }
        }
        Advertised { workers, sources }
    }

    /// Each address and how it is known, for people.
    pub fn known(&self) -> String {
        let known = self.sources.iter();
        let known = known.map(|(ip, source)| format!("{ip} ({})", source.word()));
        known.collect::<Vec<_>>().join(", ")
    }

    /// As `udp 192.0.2.1:40000`.
    pub fn texts(&self) -> Vec<String> {
        let text = |a: &LocalAddress| match a.protocol {
            Protocol::Udp => format!("udp {}", a.advertised),
            Protocol::Tcp => format!("tcp {}", a.advertised),
        };
        self.workers.iter().flatten().map(text).collect()
    }

    /// Those that are advertised for UDP.
    pub fn udp(&self) -> Vec<SocketAddr> {
        let all = self.workers.iter().flatten();
        let udp = all.filter(|it| it.protocol == Protocol::Udp);
        udp.map(|it| it.advertised).collect()
    }
}

/// The addresses of one worker that are written into SDP, best first.
///
/// `interfaces` comes from [`interface_addresses`], `found` from STUN servers, `port` is the
/// worker's. Public addresses that no interface has are taken for 1:1 NAT: configured ones to the
/// first interface of that family, others to the one from which was asked. Loopback is advertised
/// only if there is nothing else.
pub fn media_addresses(
    config: &MediaConfig,
    interfaces: &[IpAddr],
    found: &[SeenAs],
    port: u16,
) -> Vec<LocalAddress> {
    let mut pairs: Vec<(IpAddr, IpAddr)> = Vec::new();
    for public in &config.public_ips {
        if let Some(base) = base_of(*public, interfaces) {
            pairs.push((*public, base));
        }
    }
    for SeenAs { ip, base } in found {
        if pairs.iter().all(|(advertised, _)| advertised != ip) {
            pairs.push((*ip, *base));
        }
    }
    if config.advertise_lan {
        let others = interfaces.iter().any(|ip| !ip.is_loopback()) || !pairs.is_empty();
        for ip in interfaces {
            let known = pairs.iter().any(|(advertised, _)| advertised == ip);
            let wanted = !ip.is_loopback() || !others;
            if wanted && !known {
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

/// Where the page can be opened. Interfaces come and go, so that this is asked anew each time.
#[derive(Debug)]
pub struct PageAddresses {
    listen: Listen,
    port: u16,
    cloud: bool,
    public_host: Option<PublicHost>,
    public_ips: Vec<IpAddr>,
    /// Names of the public authority's certificate, for which the own one stands in.
    domains: Vec<String>,
    /// Public ones that others have told.
    found_ips: Mutex<Vec<IpAddr>>,
    prefix: String,
    host_name: Option<String>,
    /// The machine's name in `.local`: what is, or is about to be, announced. Others may announce
    /// it where this server does not.
    local_name: Mutex<Option<String>>,
}

impl PageAddresses {
    /// `port` is the one that is listened on, which the configuration may have left open.
    pub fn new(config: &Config, port: u16) -> Self {
        let host_name = host_name();
        let local = match config.mdns.enabled {
            true => Some(config.mdns.name.clone()),
            false => host_name.clone(),
        };
        Self {
            listen: config.http.listen,
            port,
            cloud: config.cloud,
            public_host: config.http.public_host.clone(),
            public_ips: config.media.public_ips.clone(),
            domains: config
                .acme
                .as_ref()
                .map_or_else(Vec::new, |acme| acme.domains.clone()),
            found_ips: Mutex::default(),
            prefix: config.http.prefix.clone(),
            host_name,
            local_name: Mutex::new(local.map(|name| format!("{name}.local"))),
        }
    }

    /// Sets the name in `.local` under which the page is found from now on.
    pub fn set_local_name(&self, name: &str) {
        *self.local_name() = Some(name.to_owned());
    }

    /// Sets the public addresses that others have told.
    pub fn set_found_ips(&self, ips: Vec<IpAddr>) {
        *self.found_ips() = ips;
    }

    fn found_ips(&self) -> MutexGuard<'_, Vec<IpAddr>> {
        self.found_ips
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn local_name(&self) -> MutexGuard<'_, Option<String>> {
        self.local_name
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The page's URLs, the one for people outside first.
    pub fn urls(&self) -> Vec<String> {
        self.urls_with(&interface_addresses().unwrap_or_default())
    }

    /// What the server's own certificate has to be for.
    pub fn names(&self) -> Names {
        let mut names = Names::default();
        names.hosts.insert("localhost".to_owned());
        names.hosts.extend(self.host_name.clone());
        names.hosts.extend(self.local_name().clone());
        if let Some(public) = &self.public_host {
            match public.host.parse::<IpAddr>() {
                Ok(ip) => names.addresses.insert(ip),
                Err(_) => names.hosts.insert(public.host.clone()),
            };
        }
        names.hosts.extend(self.domains.iter().cloned());
        names.addresses.extend(&self.public_ips);
        names.addresses.extend(&*self.found_ips());
        names.addresses.extend([
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ]);
        names
            .addresses
            .extend(interface_addresses().unwrap_or_default());
        names
    }

    fn urls_with(&self, interfaces: &[IpAddr]) -> Vec<String> {
        let mut urls = Vec::new();
        if let Some(PublicHost { host, port }) = &self.public_host {
            // A proxy in front usually serves at the usual port; without one we serve ourselves.
            let port = port.unwrap_or(if self.cloud { 443 } else { self.port });
            urls.push(self.url("https", &bracketed(host), port));
        }
        let scheme = if self.cloud { "http" } else { "https" };
        urls.extend(
            self.local_hosts(interfaces)
                .iter()
                .map(|host| self.url(scheme, host, self.port)),
        );
        urls
    }

    fn local_hosts(&self, interfaces: &[IpAddr]) -> Vec<String> {
        if let Listen::One(address) = self.listen
            && !address.ip().is_unspecified()
        {
            return if address.ip().is_loopback() {
                vec!["localhost".to_owned(), bracketed(&address.ip().to_string())]
            } else {
                vec![bracketed(&address.ip().to_string())]
            };
        }
        let mut hosts = vec!["localhost".to_owned()];
        if self.cloud {
            return hosts;
        }
        hosts.extend(self.local_name().clone());
        let lan: Vec<&IpAddr> = interfaces.iter().filter(|ip| !ip.is_loopback()).collect();
        let has_v4 = lan.iter().any(|ip| ip.is_ipv4());
        // Nobody types IPv6 addresses where there are others.
        let shown = lan.iter().filter(|ip| ip.is_ipv4() || !has_v4);
        hosts.extend(shown.map(|ip| bracketed(&ip.to_string())));
        hosts
    }

    fn url(&self, scheme: &str, host: &str, port: u16) -> String {
        let usual = if scheme == "https" { 443 } else { 80 };
        let port = if port == usual {
            String::new()
        } else {
            format!(":{port}")
        };
        format!("{scheme}://{host}{port}{}/sfu", self.prefix)
    }
}

/// An IPv6 address as it stands in a URL.
fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
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
            stun: Vec::new(),
            advertise_lan,
            udp: true,
            tcp: false,
        }
    }

    fn advertised(config: &MediaConfig, interfaces: &[&str]) -> Vec<String> {
        media_addresses(config, &ips(interfaces), &[], 40_000)
            .iter()
            .map(|a| format!("{}<{}", a.advertised.ip(), a.base.ip()))
            .collect()
    }

    #[test]
    fn every_client_tries_the_networks_of_containers() {
        for bridge in [
            "docker0",
            "docker_gwbridge",
            "br-0a1b2c3d4e5f",
            "podman0",
            "cni-podman1",
        ] {
            assert!(leads_to_containers(bridge), "{bridge}");
        }
        // OpenWrt's networks are bridges too.
        for other in ["eth0", "br-lan", "br-guest", "br0", "podlan", "lo"] {
            assert!(!leads_to_containers(other), "{other}");
        }
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
    fn address_that_others_tell_is_not_advertised() {
        let [outside, own] = ["203.0.113.7", "192.0.2.1"].map(|ip| ip.parse().unwrap());
        let interfaces = ips(&["10.0.0.5", "172.17.0.1", "192.0.2.1"]);
        let base = interfaces[1];
        let found = [SeenAs { ip: outside, base }, SeenAs { ip: own, base: own }];
        let config = config(&["198.51.100.1"], true);
        let advertised = Advertised::new(&config, &interfaces, &found, &[40_000, 40_001]);
        let texts: Vec<String> = advertised.workers[0]
            .iter()
            .map(|it| format!("{}<{}", it.advertised, it.base.ip()))
            .collect();
        let wanted = [
            "198.51.100.1:40000<10.0.0.5",
            "203.0.113.7:40000<172.17.0.1",
            "192.0.2.1:40000<192.0.2.1",
            "10.0.0.5:40000<10.0.0.5",
            "172.17.0.1:40000<172.17.0.1",
        ];
        assert_eq!(texts, wanted);
        let words = advertised.sources.iter().map(|(_, source)| source.word());
        let words: Vec<&str> = words.collect();
        let own = "interface";
        assert_eq!(words, ["configured", "by STUN", own, own, own]);
        assert_eq!(advertised.udp().len(), 10);
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
            media_addresses(config, &ips(&["10.0.0.5"]), &[], 1)
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
            media_addresses(&config(&[], true), &many, &[], 1).len(),
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

    fn page(cloud: bool, listen: Listen, public_host: Option<PublicHost>) -> PageAddresses {
        PageAddresses {
            listen,
            port: 8081,
            cloud,
            public_host,
            public_ips: Vec::new(),
            domains: Vec::new(),
            found_ips: Mutex::default(),
            prefix: "/u".to_owned(),
            host_name: Some("box".to_owned()),
            local_name: Mutex::new(Some("box.local".to_owned())),
        }
    }

    #[test]
    fn own_certificate_that_stands_in_for_a_public_one_is_for_other_names() {
        let page = PageAddresses {
            domains: vec!["meet.example.org".to_owned()],
            ..page(false, Listen::All(8081), None)
        };
        assert!(page.names().hosts.contains("meet.example.org"));
    }

    #[test]
    fn the_page_is_found_on_the_lan_by_name_and_address() {
        let urls = page(false, Listen::All(8081), None).urls_with(&ips(&[
            "10.0.0.5",
            "fd00::5",
            "127.0.0.1",
        ]));
        assert_eq!(
            urls,
            [
                "https://localhost:8081/u/sfu",
                "https://box.local:8081/u/sfu",
                "https://10.0.0.5:8081/u/sfu"
            ]
        );
    }

    #[test]
    fn a_name_of_another_machine_is_told() {
        let page = page(false, Listen::All(8081), None);
        page.set_local_name("box-2.local");
        let urls = page.urls_with(&ips(&["10.0.0.5"]));
        assert_eq!(urls[1], "https://box-2.local:8081/u/sfu");
        let hosts = page.names().hosts;
        assert!(hosts.contains("box-2.local") && hosts.contains("box"));
        assert!(!hosts.contains("box.local"));
    }

    #[test]
    fn in_the_cloud_the_public_name_comes_first_without_our_port() {
        let host = PublicHost {
            host: "meet.example.org".to_owned(),
            port: None,
        };
        let urls = page(true, Listen::All(8081), Some(host)).urls_with(&ips(&["10.0.0.5"]));
        assert_eq!(
            urls,
            [
                "https://meet.example.org/u/sfu",
                "http://localhost:8081/u/sfu"
            ]
        );
    }

    #[test]
    fn only_the_address_that_is_listened_on_is_told() {
        let listen = Listen::One("[fd00::5]:8081".parse().unwrap());
        let urls = page(false, listen, None).urls_with(&ips(&["10.0.0.5", "fd00::5"]));
        assert_eq!(urls, ["https://[fd00::5]:8081/u/sfu"]);
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
