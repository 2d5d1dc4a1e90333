//! To which transport a datagram belongs.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::api::{Path, Protocol};
use crate::arena::Key;
use crate::secure::DatagramKind;
use crate::transport::Transport;

/// Remote addresses that one transport may have at a time: its candidates, and a few NAT
/// rebindings. The oldest gives way.
const ADDRESSES_PER_TRANSPORT: usize = 16;

/// To which transport a datagram belongs. A look-up in a map or two, never a scan: random
/// datagrams cost their sender more than us.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    by_address: HashMap<(Protocol, SocketAddr), Key<Transport>>,
    by_ufrag: HashMap<String, Key<Transport>>,
    /// What to take out of the maps when a transport goes.
    names: HashMap<Key<Transport>, Names>,
}

#[derive(Debug, Default)]
struct Names {
    ufrag: Option<String>,
    addresses: Vec<(Protocol, SocketAddr)>,
}

impl Demux {
    /// The transport of a datagram, `None` for a stray.
    ///
    /// A STUN request says itself whose it is, whatever address it comes from; the rest goes by
    /// an address that [`Demux::bind_address`] has learned.
    pub(crate) fn route(&self, path: Path, data: &[u8]) -> Option<Key<Transport>> {
        let kind = DatagramKind::of(data);
        // Nobody listens at port 0, and a kernel that is told to send there calls the request
        // invalid, which looks as if it could not send in batches at all.
        if kind == DatagramKind::Other || path.remote.port() == 0 {
            return None;
        }
        if kind == DatagramKind::Stun
            && let Some(ufrag) = requested_ufrag(data)
        {
            return self.by_ufrag.get(ufrag).copied();
        }
        self.by_address.get(&(path.protocol, path.remote)).copied()
    }

    /// The transport listens to this ICE user name from now on, and to no other.
    pub(crate) fn bind_ufrag(&mut self, ufrag: String, transport: Key<Transport>) {
        let names = self.names.entry(transport).or_default();
        if names.ufrag.as_ref() == Some(&ufrag) {
            return;
        }
        if let Some(old) = names.ufrag.replace(ufrag.clone()) {
            self.by_ufrag.remove(&old);
        }
        self.by_ufrag.insert(ufrag, transport);
    }

    /// The owner of an address, if it has one.
    pub(crate) fn owner(&self, path: Path) -> Option<Key<Transport>> {
        self.by_address.get(&(path.protocol, path.remote)).copied()
    }

    /// The peer at `path.remote` has proven to be the transport's: it knows the ICE password.
    pub(crate) fn bind_address(&mut self, path: Path, transport: Key<Transport>) {
        let address = (path.protocol, path.remote);
        match self.by_address.insert(address, transport) {
            Some(owner) if owner == transport => return,
            Some(owner) => {
                if let Some(names) = self.names.get_mut(&owner) {
                    names.addresses.retain(|a| *a != address);
                }
            }
            None => {}
        }
        let names = self.names.entry(transport).or_default();
        if names.addresses.len() >= ADDRESSES_PER_TRANSPORT {
            let oldest = names.addresses.remove(0);
            self.by_address.remove(&oldest);
        }
        names.addresses.push(address);
    }

    /// The transport is gone.
    pub(crate) fn forget(&mut self, transport: Key<Transport>) {
        let Some(names) = self.names.remove(&transport) else {
            return;
        };
        if let Some(ufrag) = names.ufrag {
            self.by_ufrag.remove(&ufrag);
        }
        for address in names.addresses {
            self.by_address.remove(&address);
        }
    }
}

/// Our user name fragment in a STUN binding request: what stands before the colon of its USERNAME
/// (RFC 8445 section 7.2.2). `None` for anything else.
pub(crate) fn requested_ufrag(data: &[u8]) -> Option<&str> {
    const BINDING_REQUEST: [u8; 2] = [0, 1];
    const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
    const USERNAME: u16 = 6;
    if data.get(..2)? != BINDING_REQUEST || data.get(4..8)? != MAGIC_COOKIE {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([data[2], data[3]]));
    let mut attributes = data.get(20..20 + length)?;
    while let Some((head, rest)) = attributes.split_at_checked(4) {
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if kind == USERNAME {
            let name = std::str::from_utf8(rest.get(..length)?).ok()?;
            return name.split_once(':').map(|(ours, _)| ours);
        }
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Arena;

    fn request(username: &str) -> Vec<u8> {
        let mut data = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
        data.extend([7; 12]);
        // PRIORITY first: the order of attributes is free.
        data.extend([0, 0x24, 0, 4, 1, 2, 3, 4]);
        data.extend([0, 6, 0, username.len() as u8]);
        data.extend(username.as_bytes());
        data.resize(data.len().next_multiple_of(4), 0);
        let length = (data.len() - 20) as u16;
        data[2..4].copy_from_slice(&length.to_be_bytes());
        data
    }

    fn path(port: u16) -> Path {
        let local = SocketAddr::from(([10, 0, 0, 1], 40_000));
        Path {
            protocol: Protocol::Udp,
            local,
            remote: SocketAddr::from(([10, 0, 0, 2], port)),
        }
    }

    /// Keys of transports that are never looked up.
    fn keys() -> (Key<Transport>, Key<Transport>) {
        let mut arena: Arena<()> = Arena::new();
        let (a, b) = (arena.insert(()), arena.insert(()));
        (a.cast(), b.cast())
    }

    #[test]
    fn a_request_finds_its_transport_from_any_address() {
        let (a, b) = keys();
        let mut demux = Demux::default();
        demux.bind_ufrag("aaaa".into(), a);
        demux.bind_ufrag("bbbb".into(), b);
        demux.bind_address(path(1), a);
        assert_eq!(demux.route(path(1), &request("bbbb:x")), Some(b));
        assert_eq!(demux.route(path(9), &request("aaaa:x")), Some(a));
        assert_eq!(demux.route(path(9), &request("cccc:x")), None);
        assert_eq!(demux.route(path(1), &[128, 96, 0, 0]), Some(a));
        assert_eq!(demux.route(path(9), &[128, 96, 0, 0]), None);
        assert_eq!(demux.route(path(1), &[99; 40]), None);
        demux.bind_ufrag("dddd".into(), a);
        assert_eq!(
            demux.route(path(9), &request("aaaa:x")),
            None,
            "after an ICE restart"
        );
    }

    #[test]
    fn a_peer_at_port_0_takes_batches_away_from_all() {
        let (a, _) = keys();
        let mut demux = Demux::default();
        demux.bind_ufrag("aaaa".into(), a);
        assert_eq!(demux.route(path(0), &request("aaaa:x")), None);
        assert_eq!(demux.route(path(1), &request("aaaa:x")), Some(a));
    }

    #[test]
    fn closed_transports_and_many_addresses_leave_nothing_behind() {
        let (a, b) = keys();
        let mut demux = Demux::default();
        for port in 0..1000 {
            demux.bind_address(path(port), a);
        }
        assert_eq!(demux.by_address.len(), ADDRESSES_PER_TRANSPORT);
        demux.bind_address(path(999), b);
        demux.bind_ufrag("aaaa".into(), a);
        demux.forget(a);
        assert_eq!(demux.route(path(999), &[20; 40]), Some(b));
        demux.forget(b);
        assert!(demux.by_address.is_empty() && demux.by_ufrag.is_empty());
        assert!(demux.names.is_empty());
    }

    #[test]
    fn broken_stun_is_not_read_beyond_its_end() {
        let whole = request("aaaa:x");
        for end in 0..whole.len() {
            assert_eq!(requested_ufrag(&whole[..end]), None);
        }
        let mut long = whole.clone();
        long[31] = 255;
        assert_eq!(requested_ufrag(&long), None);
        assert_eq!(requested_ufrag(&request("no colon")), None);
    }
}
