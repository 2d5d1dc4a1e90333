//! Servers on one clock, and what travels between them.

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use umbrella_engine::{ACTIVE_TCP_PORT, Limits, Path, Protocol};
use umbrella_media::GopLimits;

use super::super::network::{Network, Track};
use super::*;

/// How far the servers' clocks are let go ahead of each other.
const TICK: Duration = Duration::from_millis(1);
/// From one server to another.
const LATENCY: Duration = Duration::from_millis(10);
/// From the SSRC of a stream to that of its resends.
pub(crate) const REPAIR: u32 = 1_000_000;

/// What a server has sent over UDP, wherever to.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) from: usize,
    pub(crate) to: SocketAddr,
    /// The whole of it, if it is STUN.
    pub(crate) stun: Vec<u8>,
}

/// Two ends of a trunk: which server, and its transport.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    ends: [(usize, TransportId); 2],
}

impl Link {
    pub(crate) fn end(&self, net: usize) -> TransportId {
        let end = self.ends.iter().find(|end| end.0 == net);
        end.expect("an end there").1
    }
}

struct Flying {
    arrives: Instant,
    to: usize,
    path: Path,
    data: Vec<u8>,
}

pub(crate) struct Mesh {
    pub(crate) nets: Vec<Network>,
    /// Share of media that is lost between servers.
    pub(crate) loss: f64,
    /// From one server to another, bits per second. What waits for more than 300 ms is lost.
    pub(crate) narrow: Option<(usize, usize, u64)>,
    /// Nothing travels between servers.
    pub(crate) cut: bool,
    /// Nothing travels over UDP.
    pub(crate) no_udp: bool,
    /// What was sent over TCP.
    pub(crate) frames: u64,
    /// Datagrams and bytes from one server to another.
    pub(crate) carried: [[(u64, u64); 4]; 4],
    free_at: Instant,
    flying: VecDeque<Flying>,
    hidden: Vec<usize>,
    /// Of those behind a NAT, whose NAT lets in only what comes from where they have sent to
    /// (RFC 4787 section 5, "address and port-dependent filtering").
    guarded: Vec<usize>,
    /// Outer addresses, and who may send there.
    holes: HashSet<(SocketAddr, SocketAddr)>,
    /// The ports by which others see servers behind NATs, whomever these send to.
    pub(crate) outer_ports: [u16; 4],
    /// Two servers between which nothing travels.
    pub(crate) parted: Option<(usize, usize)>,
    pub(crate) sent: Vec<Sent>,
    /// Links for which a third server carries messages.
    introduced: Vec<Link>,
    /// Reports that it has looked at.
    carried_on: [usize; 4],
    random: u64,
    next_transport: u64,
}

pub(crate) fn stream(ssrc: u32, encoding: Spatial) -> FeedStream {
    FeedStream {
        encoding,
        ssrc,
        repair_ssrc: Some(ssrc + REPAIR),
    }
}

pub(crate) fn address(net: usize) -> SocketAddr {
    SocketAddr::from(([10, 1, 0, net as u8 + 1], 40_000))
}

/// Of servers that have two. No NAT changes it.
fn second_address(net: usize) -> SocketAddr {
    SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, net as u16 + 1], 40_000))
}

impl Mesh {
    pub(crate) fn new(seed: u64, servers: usize) -> Mesh {
        Mesh::with_addresses(seed, servers, |net| vec![address(net)])
    }

    /// Servers with an IPv4 and an IPv6 address.
    pub(crate) fn dual(seed: u64, servers: usize) -> Mesh {
        let both = |net| vec![address(net), second_address(net)];
        Mesh::with_addresses(seed, servers, both)
    }

    fn with_addresses(
        seed: u64,
        servers: usize,
        addresses: impl Fn(usize) -> Vec<SocketAddr>,
    ) -> Mesh {
        let net = |net| Network::at_all(&addresses(net), seed + net as u64, Limits::default());
        let mut nets: Vec<Network> = (0..servers).map(net).collect();
        let now = nets.iter().map(|net| net.now).max().unwrap();
        nets.iter_mut().for_each(|net| net.set_clock(now));
        Mesh {
            nets,
            loss: 0.0,
            narrow: None,
            cut: false,
            no_udp: false,
            frames: 0,
            carried: [[(0, 0); 4]; 4],
            free_at: now,
            flying: VecDeque::new(),
            hidden: Vec::new(),
            guarded: Vec::new(),
            holes: HashSet::new(),
            outer_ports: [1234; 4],
            parted: None,
            sent: Vec::new(),
            introduced: Vec::new(),
            carried_on: [0; 4],
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            next_transport: 1000,
        }
    }

    /// Puts a server behind a NAT.
    pub(crate) fn hide(&mut self, net: usize) {
        self.hidden.push(net);
    }

    /// Puts a server behind a NAT that lets nobody in who was not sent to.
    pub(crate) fn guard(&mut self, net: usize) {
        self.hide(net);
        self.guarded.push(net);
    }

    pub(crate) fn now(&self) -> Instant {
        self.nets[0].now
    }

    pub(crate) fn run(&mut self, time: Duration) {
        self.until(time, |_| false);
    }

    pub(crate) fn until(&mut self, limit: Duration, done: impl Fn(&Mesh) -> bool) -> bool {
        let end = self.now() + limit;
        while !done(self) {
            if self.now() >= end {
                return false;
            }
            for net in 0..self.nets.len() {
                self.nets[net].run(TICK);
                for (path, data) in std::mem::take(&mut self.nets[net].outside) {
                    match path.protocol {
                        Protocol::Udp => self.send(net, path.remote, data),
                        Protocol::Tcp => self.send_frame(net, path, data),
                    }
                }
            }
            self.deliver();
            self.relay();
            self.introduce_candidates();
        }
        true
    }

    /// What connections over TCP do.
    fn send_frame(&mut self, from: usize, path: Path, data: Vec<u8>) {
        self.frames += 1;
        if self.cut {
            return;
        }
        let to = |at: SocketAddr| (0..self.nets.len()).find(|net| address(*net).ip() == at.ip());
        let Some(to) = to(path.remote) else {
            return;
        };
        let active = path.local.port() == ACTIVE_TCP_PORT;
        // No NAT lets connections in.
        if self.parts(from, to) || active && self.hidden.contains(&to) {
            return;
        }
        let (remote, local) = match active {
            true => (SocketAddr::new(path.local.ip(), 50_000), path.remote),
            false => {
                let local = SocketAddr::new(path.remote.ip(), ACTIVE_TCP_PORT);
                (path.local, local)
            }
        };
        let protocol = Protocol::Tcp;
        self.flying.push_back(Flying {
            arrives: self.now() + LATENCY,
            to,
            path: Path {
                protocol,
                local,
                remote,
            },
            data,
        });
    }

    fn send(&mut self, from: usize, to: SocketAddr, data: Vec<u8>) {
        let is_stun = data.first().is_some_and(|first| *first < 4);
        self.sent.push(Sent {
            from,
            to,
            stun: if is_stun { data.clone() } else { Vec::new() },
        });
        if self.hidden.contains(&from) {
            self.holes.insert((self.outer(from), to));
        }
        let like = to;
        let reached = |net: &usize| to == self.seen_as(*net, like);
        let Some(to) = (0..self.nets.len()).find(reached) else {
            return;
        };
        let (datagrams, bytes) = &mut self.carried[from][to];
        // The header of IPv6 has 20 bytes more than that of IPv4.
        let longer = if like.is_ipv6() { 20 } else { 0 };
        (*datagrams, *bytes) = (*datagrams + 1, *bytes + longer + data.len() as u64);
        let media = data.first().is_some_and(|first| (128..192).contains(first));
        if self.parts(from, to) || self.cut || self.no_udp || media && self.chance() < self.loss {
            return;
        }
        let now = self.now();
        let mut arrives = now + LATENCY;
        if let Some((a, b, rate)) = self.narrow
            && (a, b) == (from, to)
        {
            let free = self.free_at.max(now);
            if free - now > Duration::from_millis(300) {
                return;
            }
            let bits = (data.len() as u64 + 28) * 8;
            self.free_at = free + Duration::from_micros(bits * 1_000_000 / rate);
            arrives = self.free_at + LATENCY;
        }
        let path = Path {
            protocol: Protocol::Udp,
            local: match like.is_ipv6() {
                true => second_address(to),
                false => address(to),
            },
            remote: self.seen_as(from, like),
        };
        self.flying.push_back(Flying {
            arrives,
            to,
            path,
            data,
        });
    }

    fn parts(&self, from: usize, to: usize) -> bool {
        let between = |(a, b)| [(a, b), (b, a)].contains(&(from, to));
        self.parted.is_some_and(between)
    }

    /// Servers may as well be workers of one owner, who numbers them as we do.
    fn relay(&mut self) {
        for from in 0..self.nets.len() {
            while let Some((to, relay)) = self.nets[from].worker.poll_relay() {
                self.nets[to].take_relay(from, relay);
            }
        }
    }

    fn deliver(&mut self) {
        let now = self.now();
        let mut kept = VecDeque::new();
        for packet in std::mem::take(&mut self.flying) {
            match packet.arrives <= now {
                true if !self.is_let_in(&packet) => {}
                true => self.nets[packet.to].throw_over(packet.path, &packet.data),
                false => kept.push_back(packet),
            }
        }
        self.flying = kept;
    }

    /// What others see of a server behind a NAT.
    pub(crate) fn outer(&self, net: usize) -> SocketAddr {
        SocketAddr::from(([198, 51, 100, net as u8 + 1], self.outer_ports[net]))
    }

    /// What others see of a server, of the family of an address.
    fn seen_as(&self, net: usize, like: SocketAddr) -> SocketAddr {
        match (like, self.hidden.contains(&net)) {
            (SocketAddr::V6(_), _) => second_address(net),
            (SocketAddr::V4(_), true) => self.outer(net),
            (SocketAddr::V4(_), false) => address(net),
        }
    }

    fn is_let_in(&self, packet: &Flying) -> bool {
        let through = (self.outer(packet.to), packet.path.remote);
        let by_nat = packet.path.protocol == Protocol::Udp && packet.path.remote.is_ipv4();
        !by_nat || !self.guarded.contains(&packet.to) || self.holes.contains(&through)
    }

    fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }

    /// One server dials another.
    pub(crate) fn link(&mut self, from: usize, to: usize) -> Link {
        self.link_as((from, to), false, Duration::ZERO)
    }

    /// Two servers are brought together by a third one.
    pub(crate) fn introduce(&mut self, from: usize, to: usize) -> Link {
        self.introduce_slowly(from, to, Duration::ZERO)
    }

    /// Each message takes so long.
    pub(crate) fn introduce_slowly(&mut self, from: usize, to: usize, by: Duration) -> Link {
        let link = self.link_as((from, to), true, by);
        self.introduced.push(link);
        link
    }

    /// Both ends of a link ask a server how it sees them.
    pub(crate) fn reflect(&mut self, link: Link, by: usize) {
        for (net, transport) in link.ends {
            self.nets[net].request(Request::Reflect {
                transport,
                reflectors: vec![address(by)],
            });
        }
    }

    /// Brings what one end has found out to the other one.
    fn introduce_candidates(&mut self) {
        for net in 0..self.nets.len() {
            let seen = std::mem::replace(&mut self.carried_on[net], self.nets[net].reports.len());
            let news = self.nets[net].reports[seen..].iter();
            let news = news.filter_map(|report| match report {
                Report::Candidate {
                    transport,
                    candidate,
                } => Some((*transport, candidate.clone())),
                _ => None,
            });
            for (from, candidate) in news.collect::<Vec<_>>() {
                let links = self.introduced.iter();
                let mut links = links.filter(|link| link.ends.contains(&(net, from)));
                let link = links.next().expect("a link");
                let other = link.ends.iter().find(|end| **end != (net, from));
                let (to, transport) = *other.expect("another end");
                self.nets[to].request(Request::RemoteCandidate {
                    transport,
                    candidate,
                });
            }
        }
    }

    fn link_as(&mut self, (from, to): (usize, usize), introduced: bool, slow: Duration) -> Link {
        let ends = [(from, true), (to, false)].map(|(net, dials)| {
            self.next_transport += 1;
            let transport = TransportId(self.next_transport);
            self.nets[net].request(Request::OpenTransport {
                transport,
                negotiation: Negotiation::Trunk { dials, introduced },
                channels: false,
            });
            (net, transport)
        });
        self.run(TICK);
        for (one, other) in [(0, 1), (1, 0)] {
            self.run(slow);
            let said = self.parameters(ends[one]);
            let (net, transport) = ends[other];
            self.nets[net].request(Request::TrunkParameters {
                transport,
                parameters: said,
            });
        }
        Link { ends }
    }

    fn parameters(&self, (net, of): (usize, TransportId)) -> TrunkParameters {
        let reports = self.nets[net].reports.iter();
        let mut said = reports.rev().filter_map(|report| match report {
            Report::TrunkParameters {
                transport,
                parameters,
            } if *transport == of => Some(parameters.clone()),
            _ => None,
        });
        said.next().expect("parameters")
    }

    /// Waits until all links are up, and everybody is connected.
    pub(crate) fn connect(&mut self, links: &[Link]) {
        let up = |mesh: &Mesh| {
            let ends = links.iter().flat_map(|link| link.ends);
            let people = mesh.nets.iter().flat_map(|net| &net.peers);
            ends.into_iter().all(|(net, it)| mesh.is_connected(net, it))
                && people.into_iter().all(|peer| peer.connected)
        };
        assert!(self.until(5 * SECOND, up), "somebody does not connect");
    }

    pub(crate) fn is_connected(&self, net: usize, of: TransportId) -> bool {
        let reports = self.nets[net].reports.iter().rev();
        let mut states = reports.filter_map(|report| match report {
            Report::Connected { transport, .. } if *transport == of => Some(true),
            Report::Interrupted { transport } if *transport == of => Some(false),
            Report::Closed { transport, .. } if *transport == of => Some(false),
            _ => None,
        });
        states.next() == Some(true)
    }

    pub(crate) fn track(&mut self, net: usize, peer: usize, index: usize) -> Track {
        let of = |mesh: &Mesh| {
            let mut tracks = mesh.nets[net].tracks.iter().filter(|t| t.peer == peer);
            tracks.nth(index).cloned()
        };
        assert!(self.until(5 * SECOND, |mesh| of(mesh).is_some()));
        of(self).unwrap()
    }

    pub(crate) fn feed(&mut self, net: usize, kind: Kind) -> ProducerId {
        self.feed_with(net, kind, None)
    }

    pub(crate) fn feed_with(
        &mut self,
        net: usize,
        kind: Kind,
        cache: Option<GopLimits>,
    ) -> ProducerId {
        let producer = ProducerId(self.nets[net].id());
        self.nets[net].request(Request::OpenFeed {
            producer,
            kind,
            stereo: false,
            cache,
        });
        producer
    }

    pub(crate) fn connect_feed(
        &mut self,
        net: usize,
        producer: ProducerId,
        source: Option<(TransportId, Vec<FeedStream>)>,
    ) {
        let source = source.map(|(transport, streams)| FeedSource { transport, streams });
        self.nets[net].request(Request::ConnectFeed { producer, source });
    }

    pub(crate) fn branch(
        &mut self,
        net: usize,
        transport: TransportId,
        producer: ProducerId,
        stream: FeedStream,
        delivery: Delivery,
    ) -> ConsumerId {
        self.branch_of((net, transport), (producer, None), stream, delivery)
    }

    /// A branch of a producer that may live on another worker.
    pub(crate) fn branch_of(
        &mut self,
        (net, transport): (usize, TransportId),
        (producer, home): (ProducerId, Option<usize>),
        stream: FeedStream,
        delivery: Delivery,
    ) -> ConsumerId {
        let consumer = ConsumerId(self.nets[net].id());
        self.nets[net].request(Request::OpenBranch {
            consumer,
            transport,
            producer,
            home,
            stream: BranchStream {
                ssrc: stream.ssrc,
                repair_ssrc: stream.repair_ssrc,
            },
            delivery,
        });
        consumer
    }

    /// Shows a producer to somebody on its server.
    pub(crate) fn consume(&mut self, net: usize, peer: usize, producer: ProducerId) -> ConsumerId {
        self.consume_from(net, peer, (producer, None))
    }

    /// Shows a producer to somebody who may be on another worker.
    pub(crate) fn consume_from(
        &mut self,
        net: usize,
        peer: usize,
        (producer, home): (ProducerId, Option<usize>),
    ) -> ConsumerId {
        let track = Track {
            peer,
            mid: String::new(),
            kind: Kind::Video,
            name: String::new(),
            codecs: Vec::new(),
            producer,
            home,
        };
        self.nets[net].consume(peer, &track, Delivery::FULL)
    }
}
