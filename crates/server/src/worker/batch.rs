//! Sending to many peers with one system call.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};
use umbrella_engine::Transmit;

/// Messages that wait for one another, and that one system call takes at most.
const MESSAGES: usize = 64;

/// Sends through the socket of one address family: a message for each run of datagrams
/// (`UDP_SEGMENT`), and as many messages as possible with one `sendmmsg`.
///
/// All messages of one call share their control messages, so runs are put together by the size
/// of their segments and by the address that they leave from. What goes to one peer stays in
/// order.
pub(super) struct Batch {
    /// For messages of one datagram, and for those of several: room for a control message that
    /// is not used would be sent as an invalid one.
    headers: [MultiHeaders<SockaddrStorage>; 2],
    addresses: Vec<Option<SockaddrStorage>>,
}

/// A run of datagrams that waits.
#[derive(Clone, Copy)]
struct Message<'a> {
    class: Class,
    transmit: Transmit<'a>,
}

/// What messages of one system call have in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    /// Which message for its peer it is: the second must not overtake the first.
    round: usize,
    from: IpAddr,
    /// 0 for a single datagram.
    segment: u16,
}

impl Batch {
    pub(super) fn new(v6: bool) -> Batch {
        let (alone, segmented) = match v6 {
            false => (
                nix::cmsg_space!(in_pktinfo),
                nix::cmsg_space!(in_pktinfo, u16),
            ),
            true => (
                nix::cmsg_space!(in6_pktinfo),
                nix::cmsg_space!(in6_pktinfo, u16),
            ),
        };
        Batch {
            headers: [alone, segmented]
                .map(|space| MultiHeaders::preallocate(MESSAGES, Some(space))),
            addresses: Vec::with_capacity(MESSAGES),
        }
    }

    /// Sends all; `failed` gets what could not be sent.
    pub(super) fn send<'a>(
        &mut self,
        socket: RawFd,
        transmits: impl Iterator<Item = Transmit<'a>>,
        mut failed: impl FnMut(&Transmit<'a>, Errno),
    ) {
        let mut waiting: Vec<Message<'a>> = Vec::new();
        let mut round = 0;
        for transmit in transmits {
            if waiting.len() == MESSAGES {
                self.send_waiting(socket, &mut waiting, &mut failed);
            }
            // What goes to one peer comes together.
            let last = waiting.last().map(|last| last.transmit.path.remote);
            round = match last == Some(transmit.path.remote) {
                true => round + 1,
                false => 0,
            };
            let class = Class::of(&transmit, round);
            waiting.push(Message { class, transmit });
        }
        self.send_waiting(socket, &mut waiting, &mut failed);
    }

    fn send_waiting<'a>(
        &mut self,
        socket: RawFd,
        waiting: &mut Vec<Message<'a>>,
        failed: &mut impl FnMut(&Transmit<'a>, Errno),
    ) {
        waiting.sort_by_key(|message| message.class);
        for same in waiting.chunk_by(|a, b| a.class == b.class) {
            self.send_class(socket, same, failed);
        }
        waiting.clear();
    }

    fn send_class<'a>(
        &mut self,
        socket: RawFd,
        mut messages: &[Message<'a>],
        failed: &mut impl FnMut(&Transmit<'a>, Errno),
    ) {
        while let Some(first) = messages.first() {
            let error = match self.call(socket, first.class, messages) {
                Ok(sent) => {
                    messages = &messages[sent.min(messages.len())..];
                    if sent > 0 {
                        continue; // if one has failed, it comes first now and says why
                    }
                    Errno::EAGAIN
                }
                Err(Errno::EINTR) => continue,
                Err(error) => error,
            };
            // A full socket is full for all; otherwise the next peer is another matter.
            let lost = match error == Errno::EAGAIN {
                true => messages.len(),
                false => 1,
            };
            let (these, rest) = messages.split_at(lost);
            for message in these {
                failed(&message.transmit, error);
            }
            messages = rest;
        }
    }

    /// How many were sent.
    fn call(
        &mut self,
        socket: RawFd,
        class: Class,
        messages: &[Message<'_>],
    ) -> nix::Result<usize> {
        let slices: Vec<[IoSlice<'_>; 1]> = messages
            .iter()
            .map(|message| [IoSlice::new(message.transmit.data)])
            .collect();
        let remotes = messages.iter().map(|m| Some(m.transmit.path.remote.into()));
        self.addresses.clear();
        self.addresses.extend(remotes);
        let (mut v4, mut v6) = (v4_source(), v6_source());
        let source = match class.from {
            IpAddr::V4(ip) => {
                v4.ipi_spec_dst.s_addr = u32::from_ne_bytes(ip.octets());
                ControlMessage::Ipv4PacketInfo(&v4)
            }
            IpAddr::V6(ip) => {
                v6.ipi6_addr.s6_addr = ip.octets();
                ControlMessage::Ipv6PacketInfo(&v6)
            }
        };
        let both = [source, ControlMessage::UdpGsoSegments(&class.segment)];
        let [alone, segmented] = &mut self.headers;
        let (headers, control) = match class.segment {
            0 => (alone, &both[..1]),
            _ => (segmented, &both[..]),
        };
        let flags = MsgFlags::MSG_DONTWAIT;
        let sent = sendmmsg(socket, headers, &slices, &self.addresses, control, flags)?;
        Ok(sent.count())
    }
}

impl Class {
    fn of(transmit: &Transmit<'_>, round: usize) -> Class {
        let several = transmit.data.len() > transmit.segment;
        let (local, remote) = (transmit.path.local.ip(), transmit.path.remote.ip());
        // There is room for an address of the socket's family and for no other.
        let from = match (local, remote) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => local,
            (IpAddr::V6(_), IpAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.into(),
            (IpAddr::V4(_), IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Class {
            round,
            from,
            segment: match several {
                true => u16::try_from(transmit.segment).unwrap_or(u16::MAX),
                false => 0,
            },
        }
    }
}

/// Any interface.
fn v4_source() -> in_pktinfo {
    let nowhere = in_addr { s_addr: 0 };
    in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: nowhere,
        ipi_addr: nowhere,
    }
}

/// Any interface.
fn v6_source() -> in6_pktinfo {
    in6_pktinfo {
        ipi6_addr: in6_addr { s6_addr: [0; 16] },
        ipi6_ifindex: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};
    use std::os::fd::AsRawFd as _;

    use super::*;
    use umbrella_engine::{Path, Protocol};

    fn transmit<'a>(to: SocketAddr, data: &'a [u8], segment: usize) -> Transmit<'a> {
        let ip = match to {
            SocketAddr::V4(_) => "127.0.0.1".parse().unwrap(),
            SocketAddr::V6(_) => "::1".parse().unwrap(),
        };
        let path = Path {
            protocol: Protocol::Udp,
            local: SocketAddr::new(ip, 1),
            remote: to,
        };
        Transmit {
            path,
            data,
            segment,
        }
    }

    fn received(socket: &UdpSocket) -> Vec<Vec<u8>> {
        let mut buffer = [0; 100];
        socket.set_nonblocking(true).unwrap();
        std::iter::from_fn(|| {
            socket
                .recv(&mut buffer)
                .ok()
                .map(|len| buffer[..len].to_vec())
        })
        .collect()
    }

    fn everybody_gets_everything(any: &str) {
        let Ok(socket) = UdpSocket::bind((any, 0)) else {
            return; // a machine without IPv6
        };
        let v6 = socket.local_addr().unwrap().is_ipv6();
        let local = if v6 { "::1" } else { "127.0.0.1" };
        let peers: Vec<UdpSocket> = (0..150)
            .map(|_| UdpSocket::bind((local, 0)).unwrap())
            .collect();
        let mut data = Vec::new();
        let transmits = peers.iter().enumerate().flat_map(|(index, peer)| {
            let to = peer.local_addr().unwrap();
            let runs: &[(&[u8], usize)] = match index % 3 {
                0 => &[(b"aabbc", 2), (b"d", 1), (b"eeff", 2)],
                1 => &[(b"a", 1), (b"bbccd", 2)],
                _ => &[(b"a", 1)],
            };
            runs.iter()
                .map(move |(data, segment)| transmit(to, data, *segment))
        });
        data.extend(transmits);
        let mut batch = Batch::new(v6);
        batch.send(socket.as_raw_fd(), data.into_iter(), |transmit, error| {
            panic!("{error}: {transmit:?}")
        });
        for (index, peer) in peers.iter().enumerate() {
            let expected: &[&[u8]] = match index % 3 {
                0 => &[b"aa", b"bb", b"c", b"d", b"ee", b"ff"],
                1 => &[b"a", b"bb", b"cc", b"d"],
                _ => &[b"a"],
            };
            assert_eq!(received(peer), expected, "peer {index}");
        }
    }

    #[test]
    fn datagrams_overtake_one_another_or_go_to_the_wrong_peer() {
        everybody_gets_everything("0.0.0.0");
        everybody_gets_everything("::");
    }

    #[test]
    fn a_local_address_of_another_family_is_written_where_there_is_no_room_for_it() {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut odd = transmit(peer.local_addr().unwrap(), b"data", 4);
        odd.path.local = "[::1]:1".parse().unwrap();
        let none = |transmit: &Transmit<'_>, error| panic!("{error}: {transmit:?}");
        Batch::new(false).send(socket.as_raw_fd(), [odd].into_iter(), none);
        assert_eq!(received(&peer), [b"data"]);
    }

    #[test]
    fn an_unreachable_peer_keeps_the_others_waiting() {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let peers = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let to = |peer: usize| peers[peer].local_addr().unwrap();
        // A broadcast address is refused to a socket that has not asked for it.
        let refused = "255.255.255.255:9".parse().unwrap();
        let all = [to(0), to(1), refused, to(2), refused];
        let transmits = all.map(|to| transmit(to, b"data", 4));
        let mut lost = Vec::new();
        Batch::new(false).send(
            socket.as_raw_fd(),
            transmits.into_iter(),
            |transmit, error| lost.push((transmit.path.remote, error)),
        );
        assert_eq!(lost.len(), 2);
        assert!(
            lost.iter().all(|(remote, _)| *remote == refused),
            "{lost:?}"
        );
        for peer in &peers {
            assert_eq!(received(peer), [b"data"]);
        }
    }
}
