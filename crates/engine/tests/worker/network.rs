//! A worker and stock str0m peers on a seeded network with a virtual clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use umbrella_engine::{
    ConsumerId, Identity, Input, Label, Limits, LocalAddress, Negotiation, OpenSection, Output,
    Path, ProducerId, Protocol, Relay, Report, Request, TransportId, Worker, WorkerConfig,
};
use umbrella_media::{Codec, Delivery, Kind};

use super::peer::{Peer, Publish};

/// What travels.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct InFlight {
    /// When its receiver looks at it.
    read: Instant,
    arrives: Instant,
    order: u64,
    /// `None` is the worker.
    to: Option<usize>,
    protocol: Protocol,
    from: SocketAddr,
    at: SocketAddr,
    data: Vec<u8>,
}

pub(crate) struct Network {
    pub(crate) now: Instant,
    pub(crate) worker: Worker,
    pub(crate) peers: Vec<Peer>,
    /// Everything that was reported, in order.
    pub(crate) reports: Vec<Report>,
    /// Tracks: who sends them, in which section, and their producer.
    pub(crate) tracks: Vec<Track>,
    /// Share of datagrams that are lost, of all but handshakes.
    pub(crate) loss: f64,
    pub(crate) latency: Duration,
    /// The worker's thread gets the processor only so often; zero is at once.
    pub(crate) stall: Duration,
    /// Whether peers that join from now on estimate their bandwidth.
    pub(crate) estimating: bool,
    /// A peer behind a slow link, bits per second to it. What waits for more than a third of a
    /// second is lost.
    pub(crate) narrow: Option<(usize, u64)>,
    link_free_at: Instant,
    /// A peer that does not answer offers.
    pub(crate) deaf: Option<TransportId>,
    /// Peers that nothing reaches, and from which nothing arrives.
    pub(crate) dark: Vec<usize>,
    /// A peer whose datagrams are written down.
    pub(crate) tapped: Option<usize>,
    pub(crate) tape: Vec<Vec<u8>>,
    /// A peer whose reports never arrive.
    pub(crate) mute: Option<usize>,
    /// Calls of `poll` so far.
    pub(crate) polls: u64,
    flying: BinaryHeap<Reverse<InFlight>>,
    order: u64,
    random: u64,
    worker_at: Instant,
    next_id: u64,
    start: Instant,
    /// Where the worker is reached.
    address: SocketAddr,
    /// What the worker has sent to nobody here.
    pub(crate) outside: Vec<(Path, Vec<u8>)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Track {
    pub(crate) peer: usize,
    pub(crate) mid: String,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) codecs: Vec<Codec>,
    pub(crate) producer: ProducerId,
    /// The worker that it lives on, if that is another one.
    pub(crate) home: Option<usize>,
}

pub(crate) fn udp() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 40_000))
}

/// RTCP, by its packet types (RFC 5761, section 4).
pub(crate) fn is_report(datagram: &[u8]) -> bool {
    datagram.len() > 1 && (128..192).contains(&datagram[0]) && (192..224).contains(&datagram[1])
}

/// RTP.
pub(crate) fn is_media(datagram: &[u8]) -> bool {
    datagram.len() > 1 && (128..192).contains(&datagram[0]) && !is_report(datagram)
}

impl Network {
    pub(crate) fn new(seed: u64) -> Network {
        Network::with_limits(seed, Limits::default())
    }

    pub(crate) fn with_limits(seed: u64, limits: Limits) -> Network {
        Network::at(udp(), seed, limits)
    }

    pub(crate) fn at(address: SocketAddr, seed: u64, limits: Limits) -> Network {
        Network::at_all(&[address], seed, limits)
    }

    /// A worker with several addresses, the first of which peers use.
    pub(crate) fn at_all(addresses: &[SocketAddr], seed: u64, limits: Limits) -> Network {
        let reached_at = addresses[0];
        let now = Instant::now() + Duration::from_secs(3600);
        let address = |protocol, at: &SocketAddr| LocalAddress {
            protocol,
            advertised: *at,
            base: *at,
        };
        let over = |protocol| addresses.iter().map(move |at| address(protocol, at));
        let config = WorkerConfig {
            addresses: over(Protocol::Udp).chain(over(Protocol::Tcp)).collect(),
            limits,
            identity: Identity::generate().unwrap(),
        };
        Network {
            now,
            start: now,
            address: reached_at,
            outside: Vec::new(),
            worker: Worker::new(config, now, SystemTime::now()),
            peers: Vec::new(),
            reports: Vec::new(),
            tracks: Vec::new(),
            loss: 0.0,
            latency: Duration::from_millis(10),
            stall: Duration::ZERO,
            estimating: false,
            narrow: None,
            link_free_at: now,
            deaf: None,
            dark: Vec::new(),
            tapped: None,
            tape: Vec::new(),
            mute: None,
            polls: 0,
            flying: BinaryHeap::new(),
            order: 0,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            worker_at: now,
            next_id: 1,
        }
    }

    /// Another worker of the same owner: its clock is that of the first, its names are others.
    pub(crate) fn beside(first: &mut Network, seed: u64) -> Network {
        let mut second = Network::new(seed);
        first.now = first.now.max(second.now);
        second.now = first.now;
        second.next_id += 1_000_000;
        second
    }

    /// Something that another worker says.
    pub(crate) fn take_relay(&mut self, from: usize, relay: Relay) {
        self.worker.handle(self.now, Input::Relay { from, relay });
        self.worker_at = self.now;
    }

    /// A peer that offers: data channels, what it publishes, and free sections.
    pub(crate) fn join(&mut self, publish: &[Publish], audio: usize, video: usize) -> usize {
        self.join_over(Protocol::Udp, publish, audio, video)
    }

    pub(crate) fn join_over(
        &mut self,
        protocol: Protocol,
        publish: &[Publish],
        audio: usize,
        video: usize,
    ) -> usize {
        let peer = self.add_peer(protocol, Negotiation::PeerOffers);
        let offer = self.peers[peer].first_offer(publish, audio, video);
        self.send_offer(peer, offer);
        peer
    }

    /// A peer to which we offer.
    pub(crate) fn subscribe_peer(&mut self) -> usize {
        self.add_peer(Protocol::Udp, Negotiation::WeOffer)
    }

    pub(crate) fn add_peer(&mut self, protocol: Protocol, negotiation: Negotiation) -> usize {
        let index = self.peers.len();
        let transport = TransportId(index as u64 + 1);
        let (ip, port) = (
            [10, 0, 1 + (index / 200) as u8, (index % 200) as u8 + 1],
            5000,
        );
        self.peers.push(Peer::new(
            transport,
            protocol,
            SocketAddr::from((ip, port)),
            self.estimating,
            self.now,
        ));
        let channels = true;
        self.request(Request::OpenTransport {
            transport,
            negotiation,
            channels,
        });
        index
    }

    pub(crate) fn send_offer(&mut self, peer: usize, sdp: String) {
        let transport = self.peers[peer].transport;
        let offer = self.peers[peer].offers;
        self.request(Request::RemoteOffer {
            transport,
            offer,
            sdp,
            options: Vec::new(),
        });
    }

    pub(crate) fn request(&mut self, request: Request) {
        self.worker.handle(self.now, Input::Request(request));
        self.worker_at = self.now;
    }

    pub(crate) fn consume(&mut self, peer: usize, track: &Track, delivery: Delivery) -> ConsumerId {
        let consumer = ConsumerId(self.id());
        let label = Label {
            stream: format!("PA_{}", track.peer),
            track: format!("TR_{}", track.producer),
        };
        let (transport, producer) = (self.peers[peer].transport, track.producer);
        self.request(Request::OpenConsumer {
            consumer,
            transport,
            producer,
            home: track.home,
            label,
            delivery,
        });
        consumer
    }

    pub(crate) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Runs until it is so, at most for `limit`.
    pub(crate) fn until(&mut self, limit: Duration, done: impl Fn(&Network) -> bool) -> bool {
        let end = self.now + limit;
        while !done(self) {
            if self.now >= end {
                return false;
            }
            self.step(end);
        }
        true
    }

    pub(crate) fn run(&mut self, time: Duration) {
        self.until(time, |_| false);
    }

    /// Runs, and gives all reports so far.
    pub(crate) fn reports_after(&mut self, time: Duration) -> impl Iterator<Item = &Report> {
        self.run(time);
        self.reports.iter()
    }

    /// The clock of another one, which began at about the same time.
    pub(crate) fn set_clock(&mut self, now: Instant) {
        (self.now, self.start) = (now, now);
    }

    /// Bytes from anywhere to the worker.
    pub(crate) fn throw(&mut self, from: SocketAddr, data: &[u8]) {
        let path = Path {
            protocol: Protocol::Udp,
            local: self.address,
            remote: from,
        };
        self.throw_over(path, data);
    }

    pub(crate) fn throw_over(&mut self, path: Path, data: &[u8]) {
        let arrived = self.now;
        self.worker.handle(
            self.now,
            Input::Datagram {
                path,
                data,
                arrived,
            },
        );
        self.worker_at = self.now;
    }

    /// Time passes for everybody, and nobody does anything meanwhile.
    pub(crate) fn sleep(&mut self, time: Duration) {
        self.now += time;
        self.flying.clear();
        for peer in &mut self.peers {
            peer.skip_to(self.now);
        }
    }

    fn step(&mut self, end: Instant) {
        let flying = self.flying.peek().map(|next| next.0.read);
        let peers = self.peers.iter().map(Peer::due);
        let next = peers
            .chain(flying)
            .chain([self.worker_at])
            .min()
            .unwrap_or(end);
        self.now = next.clamp(self.now, end);
        while self
            .flying
            .peek()
            .is_some_and(|next| next.0.read <= self.now)
        {
            if let Some(Reverse(packet)) = self.flying.pop() {
                self.deliver(packet);
            }
        }
        if self.worker_at <= self.now {
            self.worker.handle(self.now, Input::Timeout);
            self.drive_worker();
        }
        for peer in 0..self.peers.len() {
            if self.peers[peer].due() <= self.now {
                self.drive_peer(peer);
            }
        }
    }

    fn deliver(&mut self, packet: InFlight) {
        let InFlight {
            to,
            protocol,
            from,
            at,
            data,
            arrives,
            ..
        } = packet;
        match to {
            None => {
                let path = Path {
                    protocol,
                    local: at,
                    remote: from,
                };
                self.worker.handle(
                    self.now,
                    Input::Datagram {
                        path,
                        data: &data,
                        arrived: arrives,
                    },
                );
                self.worker_at = self.now;
            }
            Some(peer) if self.dark.contains(&peer) => {}
            Some(peer) => self.peers[peer].receive(self.now, from, at, &data),
        }
    }

    fn drive_worker(&mut self) {
        loop {
            self.polls += 1;
            match self.worker.poll(self.now) {
                Output::Timeout(at) => {
                    assert!(
                        at > self.now,
                        "the worker wants to be called at once, for ever"
                    );
                    self.worker_at = at;
                    break;
                }
                Output::Report(report) => self.on_report(report),
                Output::Transmit => self.carry(),
            }
        }
        self.carry();
    }

    /// Puts on the wire what the worker sends.
    fn carry(&mut self) {
        let mut sent = Vec::new();
        for transmit in self.worker.transmits() {
            let datagrams = transmit.datagrams();
            sent.extend(datagrams.map(|data| (transmit.path, data.to_vec())));
        }
        self.worker.forget_transmits();
        for (path, data) in sent {
            let to = self
                .peers
                .iter()
                .position(|peer| peer.address == path.remote);
            match to {
                Some(to) => self.fly(Some(to), path.protocol, path.local, path.remote, data),
                None => self.outside.push((path, data)),
            }
        }
    }

    fn drive_peer(&mut self, peer: usize) {
        let (protocol, address) = (self.peers[peer].protocol, self.peers[peer].address);
        for (to, data) in self.peers[peer].drive(self.now) {
            if self.dark.contains(&peer) || self.mute == Some(peer) && is_report(&data) {
                continue;
            }
            if self.tapped == Some(peer) {
                self.tape.push(data.clone());
            }
            self.fly(None, protocol, address, to, data);
        }
    }

    fn fly(
        &mut self,
        to: Option<usize>,
        protocol: Protocol,
        from: SocketAddr,
        at: SocketAddr,
        data: Vec<u8>,
    ) {
        let media = data.first().is_some_and(|first| (128..192).contains(first));
        if media && protocol == Protocol::Udp && self.chance() < self.loss {
            return;
        }
        self.order += 1;
        let mut arrives = self.now + self.latency;
        if let Some((peer, rate)) = self.narrow
            && to == Some(peer)
        {
            let free = self.link_free_at.max(self.now);
            if free - self.now > Duration::from_millis(333) {
                return;
            }
            let bits = (data.len() as u64 + 28) * 8;
            self.link_free_at = free + Duration::from_micros(bits * 1_000_000 / rate);
            arrives = self.link_free_at + self.latency;
        }
        let order = self.order;
        let read = match to {
            None if !self.stall.is_zero() => {
                let turns = (arrives - self.start).as_nanos() / self.stall.as_nanos() + 1;
                self.start + self.stall * turns as u32
            }
            None | Some(_) => arrives,
        };
        self.flying.push(Reverse(InFlight {
            read,
            arrives,
            order,
            to,
            protocol,
            from,
            at,
            data,
        }));
    }

    fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }

    fn peer_of(&self, transport: TransportId) -> usize {
        transport.0 as usize - 1
    }

    /// What the server would do.
    fn on_report(&mut self, report: Report) {
        match &report {
            Report::Answer { transport, sdp, .. } => {
                let peer = self.peer_of(*transport);
                self.peers[peer].take_answer(sdp);
            }
            Report::Offer { transport, .. } if self.deaf == Some(*transport) => {}
            Report::Offer { transport, .. } if self.dark.contains(&self.peer_of(*transport)) => {}
            Report::Offer {
                transport,
                offer,
                sdp,
                ..
            } => {
                let peer = self.peer_of(*transport);
                let sdp = self.peers[peer].answer(sdp);
                let (transport, offer) = (*transport, *offer);
                self.request(Request::RemoteAnswer {
                    transport,
                    offer,
                    sdp,
                });
            }
            Report::SectionsWanted {
                transport,
                audio,
                video,
            } => {
                let peer = self.peer_of(*transport);
                let offer = self.peers[peer].next_offer(*audio as usize, *video as usize);
                self.send_offer(peer, offer);
            }
            Report::SectionOpened(section) => {
                let OpenSection {
                    transport,
                    mid,
                    kind,
                    track: name,
                    codecs,
                } = section.clone();
                let peer = self.peer_of(transport);
                let producer = ProducerId(self.id());
                let section = mid.clone();
                self.tracks.push(Track {
                    peer,
                    mid,
                    kind,
                    name,
                    codecs,
                    producer,
                    home: None,
                });
                self.request(Request::OpenProducer {
                    producer,
                    transport,
                    mid: section,
                });
            }
            _ => {}
        }
        self.reports.push(report);
    }
}
