//! A worker's sockets: UDP and a TCP listener on one port, for IPv4 and, where the machine has
//! it, for IPv6.
//!
//! The two families have sockets of their own, as addresses of one family mapped into the other
//! would have to be unmapped everywhere.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::bail;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Room for bursts in the kernel: at 100 Mbit/s these are some 300 ms. The kernel may give less
/// (`net.core.rmem_max`, `net.core.wmem_max`).
pub(super) const BUFFER: usize = 4 * 1024 * 1024;

/// Connections over TCP that wait to be accepted.
const BACKLOG: i32 = 128;

/// Who can reach a worker's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Whoever reaches the machine.
    Everybody,
    /// Only processes on this machine.
    ThisMachine,
}

impl Reach {
    fn addresses(self) -> (Ipv4Addr, Ipv6Addr) {
        match self {
            Reach::Everybody => (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED),
            Reach::ThisMachine => (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST),
        }
    }
}

/// The sockets of one family.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) udp: std::net::UdpSocket,
    pub(super) tcp: std::net::TcpListener,
}

/// The sockets of one worker.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) port: u16,
    pub(super) v4: Pair,
    pub(super) v6: Option<Pair>,
}

/// Binds to the first free port from `first` to `last`.
pub(super) fn bind(
    first: u32,
    last: u16,
    interfaces: &[IpAddr],
    reach: Reach,
) -> anyhow::Result<Sockets> {
    let wants_v6 = interfaces.iter().any(IpAddr::is_ipv6);
    for port in first..=u32::from(last) {
        let Ok(port) = u16::try_from(port) else { break };
        match bind_port(port, wants_v6, reach) {
            Ok(sockets) => return Ok(sockets),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tracing::info!(port, "port is in use, trying the next one for media");
            }
            Err(error) => bail!("cannot open port {port} for media: {error}"),
        }
    }
    bail!(
        "no port from {first} to {last} is free for media (UDP and TCP): stop what uses them, or \
         change media.min_port and media.max_port (UMBRELLA_MIN_PORT, UMBRELLA_MAX_PORT)"
    )
}

fn bind_port(port: u16, wants_v6: bool, reach: Reach) -> io::Result<Sockets> {
    let (v4, v6) = reach.addresses();
    let v4 = bind_pair(SocketAddr::new(v4.into(), port))?;
    let v6 = match bind_pair(SocketAddr::new(v6.into(), port)) {
        Ok(pair) => Some(pair),
        Err(error) if wants_v6 => return Err(error),
        Err(_) => None,
    };
    Ok(Sockets { port, v4, v6 })
}

fn bind_pair(address: SocketAddr) -> io::Result<Pair> {
    let domain = Domain::for_address(address);
    let udp = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    let tcp = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    for socket in [&udp, &tcp] {
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
    }
    // Connections of a server that has just ended must not keep the port from the next one.
    tcp.set_reuse_address(true)?;
    // What the kernel refuses here costs bursts, not function.
    let _ = udp.set_recv_buffer_size(BUFFER);
    let _ = udp.set_send_buffer_size(BUFFER);
    let address = SockAddr::from(address);
    udp.bind(&address)?;
    tcp.bind(&address)?;
    tcp.listen(BACKLOG)?;
    Ok(Pair {
        udp: udp.into(),
        tcp: tcp.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_in_use_is_passed_over_and_none_left_says_what_to_do() {
        let taken = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = bind(u32::from(port), port, &[], Reach::Everybody)
            .unwrap_err()
            .to_string();
        assert!(error.contains("UMBRELLA_MIN_PORT"), "{error}");
        // Ports above may be taken too, by anybody: all that matters is that it is another one.
        if let Ok(sockets) = bind(
            u32::from(port),
            port.saturating_add(50),
            &[],
            Reach::Everybody,
        ) {
            assert_ne!(sockets.port, port);
        }
    }
}
