//! What is known of the local network.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mdns_sd::{HostnameResolutionEvent, Receiver, ScopedIp, ServiceDaemon};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::nearby::{Found, Nearby};

/// How long the network has to answer for a name.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long to wait for more addresses when one has come: those of IPv6 come in a packet of their
/// own.
const GRACE: Duration = Duration::from_millis(150);

/// Addresses of one name.
const MAX_ADDRESSES: usize = 16;

/// Why a host cannot be connected to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreached {
    /// Its name cannot be looked up.
    #[error("looking up the name: {0}")]
    Name(io::Error),
    /// Its name has no address.
    #[error("the name has no address")]
    NoAddress,
    /// The address that was tried last does not accept connections.
    #[error("connecting: {1}")]
    Refused(SocketAddr, io::Error),
    /// The address that was tried last does not answer in time.
    #[error("connecting: it takes too long")]
    Silent,
}

/// The local network, as far as it is known. Cheap to clone. The default knows nothing of it, and
/// looks up names as the system does.
#[derive(Clone, Default)]
pub struct Lan(Arc<Shared>);

#[derive(Default)]
struct Shared {
    daemon: Mutex<Option<ServiceDaemon>>,
    /// One question for a name at a time: the library would forget the first of two.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    nearby: Mutex<Nearby>,
}

impl std::fmt::Debug for Lan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lan").finish_non_exhaustive()
    }
}

impl Lan {
    /// The addresses of a name, or the address that `host` is, with the port.
    ///
    /// A name that ends in `.local` is asked for on the local network (RFC 6762 section 3), for 3 s
    /// at most. If nobody answers, and for all other names, it is the system that looks: some
    /// networks have a name server for `.local`. At most 16.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let daemon = self.daemon().filter(|_| is_local(host));
        if let Some(daemon) = daemon {
            let found = self.ask(&daemon, host, PATIENCE, GRACE).await;
            let found = usable(&found, port);
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let found = tokio::net::lookup_host((host, port)).await?;
        Ok(found.take(MAX_ADDRESSES).collect())
    }

    /// Connects to the first of a host's addresses ([`Lan::lookup`]) that lets it, each within
    /// `patience`.
    ///
    /// # Errors
    ///
    /// What went wrong with the last one.
    pub(crate) async fn connect(
        &self,
        host: &str,
        port: u16,
        patience: Duration,
    ) -> Result<TcpStream, Unreached> {
        let found = self.lookup(host, port).await.map_err(Unreached::Name)?;
        let mut last = Unreached::NoAddress;
        for address in found {
            match timeout(patience, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = Unreached::Refused(address, error),
                Err(_) => last = Unreached::Silent,
            }
        }
        Err(last)
    }

    /// Whether the network is listened to.
    pub(crate) fn is_on(&self) -> bool {
        self.daemon().is_some()
    }

    /// Servers of our kind, in order of their names.
    pub(crate) fn servers(&self) -> Vec<Found> {
        self.nearby().list()
    }

    pub(super) fn nearby(&self) -> MutexGuard<'_, Nearby> {
        locked(&self.0.nearby)
    }

    pub(super) fn set_daemon(&self, daemon: Option<ServiceDaemon>) {
        *locked(&self.0.daemon) = daemon;
    }

    fn daemon(&self) -> Option<ServiceDaemon> {
        locked(&self.0.daemon).clone()
    }

    /// Asks the network for the addresses of a name, for `patience`, or for `grace` after the first
    /// one has come.
    pub(super) async fn ask(
        &self,
        daemon: &ServiceDaemon,
        host: &str,
        patience: Duration,
        grace: Duration,
    ) -> HashSet<ScopedIp> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let turn = {
            let mut turns = locked(&self.0.turns);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(host.clone()).or_default())
        };
        let _turn = turn.lock().await;
        let host = format!("{host}.");
        // If nobody waits any more, the library ends it by itself.
        let limit = u64::try_from(patience.as_millis()).ok();
        let Ok(events) = daemon.resolve_hostname(&host, limit) else {
            return HashSet::new();
        };
        let found = collect(&events, patience, grace).await;
        let _ = daemon.stop_resolve_hostname(&host);
        found
    }
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn collect(
    events: &Receiver<HostnameResolutionEvent>,
    patience: Duration,
    grace: Duration,
) -> HashSet<ScopedIp> {
    let mut end = Instant::now() + patience;
    let mut found = HashSet::new();
    while let Ok(Ok(event)) = timeout_at(end, events.recv_async()).await {
        if let HostnameResolutionEvent::AddressesFound(_, some) = event {
            let room = MAX_ADDRESSES.saturating_sub(found.len());
            found.extend(some.into_iter().take(room));
            end = end.min(Instant::now() + grace);
        } else if matches!(event, HostnameResolutionEvent::SearchTimeout(_)) {
            break;
        }
    }
    found
}

/// Whether a name is one of the local network.
fn is_local(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let end = host.len().checked_sub(".local".len());
    end.and_then(|end| host.get(end..))
        .is_some_and(|end| end.eq_ignore_ascii_case(".local"))
}

/// What may be connected to of what was answered: IPv4 first, link-local IPv6 last.
fn usable(found: &HashSet<ScopedIp>, port: u16) -> Vec<SocketAddr> {
    let mut addresses = BTreeSet::new();
    for ip in found {
        let scope = if let ScopedIp::V6(ip) = ip {
            ip.scope_id().index
        } else {
            0
        };
        let ip = ip.to_ip_addr();
        if !is_believable(ip) {
            continue;
        }
        let (rank, address) = match ip {
            IpAddr::V4(_) => (0, SocketAddr::new(ip, port)),
            IpAddr::V6(v6) if v6.is_unicast_link_local() => {
                (2, SocketAddrV6::new(v6, port, 0, scope).into())
            }
            IpAddr::V6(_) => (1, SocketAddr::new(ip, port)),
        };
        addresses.insert((rank, address));
    }
    addresses.into_iter().map(|(_, address)| address).collect()
}

/// Whether somebody on the network can be there. Whoever answers could otherwise lead this server
/// to what listens on this machine only.
fn is_believable(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let nobody = match ip {
        IpAddr::V4(ip) => ip.octets()[0] == 0 || ip == Ipv4Addr::BROADCAST,
        IpAddr::V6(ip) => ip == Ipv6Addr::UNSPECIFIED || ip.to_ipv4_mapped().is_some(),
    };
    !nobody && !ip.is_loopback() && !ip.is_multicast()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> HashSet<ScopedIp> {
        let parsed = texts.iter().map(|ip| ip.parse::<IpAddr>().unwrap());
        parsed.map(ScopedIp::from).collect()
    }

    #[test]
    fn a_neighbour_leads_the_server_to_itself_or_to_everybody() {
        let found = ips(&[
            "127.0.0.1",
            "127.8.8.8",
            "::1",
            "::ffff:127.0.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.251",
            "255.255.255.255",
            "ff02::fb",
        ]);
        assert_eq!(usable(&found, 80), []);
    }

    #[test]
    fn an_address_of_one_link_is_tried_before_one_of_the_site() {
        let found = ips(&["fe80::1", "fd00::1", "169.254.1.1", "10.0.0.9"]);
        let order: Vec<String> = usable(&found, 80).iter().map(|a| a.to_string()).collect();
        assert_eq!(
            order,
            [
                "10.0.0.9:80",
                "169.254.1.1:80",
                "[fd00::1]:80",
                "[fe80::1]:80"
            ]
        );
    }

    #[test]
    fn names_of_the_internet_are_asked_for_on_the_local_network() {
        for local in ["cam.local", "CAM.Local.", "a.b.local"] {
            assert!(is_local(local), "{local}");
        }
        for other in [
            "local",
            "cam.local.example.org",
            "camlocal",
            "10.0.0.9",
            "ü.loca",
        ] {
            assert!(!is_local(other), "{other}");
        }
    }

    #[tokio::test]
    async fn an_address_is_looked_up_without_a_network() {
        let found = Lan::default().lookup("127.0.0.1", 554).await.unwrap();
        assert_eq!(found, ["127.0.0.1:554".parse().unwrap()]);
    }
}
