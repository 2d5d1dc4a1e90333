//! What holds for all bytes that strangers send. Fuzz targets look for bytes for which it does
//! not, tests repeat what they have found.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use umbrella_media::{Codec, Delivery, GopLimits, Kind, Layer, Spatial};

use crate::api::*;
use crate::demux::requested_ufrag;
use crate::reflect::{Answer, Asked, TransactionId, read_answer};
use crate::secure::DatagramKind;
use crate::source::{SourceOptions, SourcePacket};
use crate::worker::{Identity, Worker, WorkerConfig};

pub use crate::egress::fuzzing::{feedback, header};
pub use crate::secure::fuzzing::{correcting, opening};
pub use crate::transport::sdp::fuzzing::description;

/// Looks for our user name in a datagram, or for a plain request or answer. What comes after the
/// first byte is also the name in a proper request, behind as many attributes as that byte says.
///
/// # Panics
/// If a name is found that is not there, or one that is there is not found; if a check is taken for
/// a plain request, or the answer to one is large or says something else.
pub fn stun(data: &[u8]) {
    let _ = read_answer(data);
    if let Some(asked) = Asked::read(data) {
        assert_eq!(requested_ufrag(data), None);
        let from = SocketAddr::from(([192, 0, 2, 1], 5000));
        let answer = Answer::new(from, asked);
        assert!(answer.bytes().len() <= data.len() + 12);
        let seen_as = read_answer(answer.bytes()).map(|(_, seen_as)| seen_as);
        assert_eq!(seen_as, Some(from));
    }
    if let Some(name) = requested_ufrag(data) {
        let named = [name.as_bytes(), b":"].concat();
        assert!(data.windows(named.len()).any(|window| window == named));
    }
    let Some((&before, name)) = data.split_first() else {
        return;
    };
    let name = String::from_utf8_lossy(&name[..name.len().min(500)]);
    let request = request(&name, before);
    let ours = name.split_once(':').map(|(ours, _)| ours);
    assert_eq!(requested_ufrag(&request), ours);
    assert_eq!(Asked::read(&request), None);
    for end in 0..request.len() {
        assert_eq!(requested_ufrag(&request[..end]), None, "cut at {end}");
    }
}

/// A binding request with a user name.
fn request(name: &str, before: u8) -> Vec<u8> {
    let mut data = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
    data.extend([7; 12]);
    for length in 0..before % 8 {
        data.extend([0x80, 0x22, 0, length]);
        data.resize(data.len() + usize::from(length).next_multiple_of(4), 6);
    }
    data.extend([0, 6]);
    data.extend((name.len() as u16).to_be_bytes());
    data.extend(name.as_bytes());
    data.resize(data.len().next_multiple_of(4), 0);
    let length = (data.len() - 20) as u16;
    data[2..4].copy_from_slice(&length.to_be_bytes());
    data
}

/// Few enough for an input to reach them.
const TRANSPORTS: usize = 4;
const SECTIONS: usize = 8;
/// A worker with nothing to do must say so before it was asked this often.
const POLLS: usize = 10_000;

/// A worker, and what peers and its owner throw at it. Each step is a byte that says what, a byte
/// that says to whom, two bytes of length and so many bytes of text or datagram.
///
/// # Panics
/// If the worker exceeds its limits, does not come to rest, sends media without keys, writes a
/// description that cannot be read, or keeps something of a peer that is gone.
pub fn worker(now: Instant, data: &[u8]) {
    let mut rig = Rig::new(now);
    let mut rest = data;
    while let [step, whom, high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (body, tail) = tail.split_at(length.min(tail.len()));
        rest = tail;
        rig.step(*step, u64::from(*whom), body);
        rig.settle();
    }
    rig.close_all();
}

struct Rig {
    worker: Worker,
    now: Instant,
    /// Peer connections that the worker should know, with their user name.
    open: HashMap<TransportId, String>,
    sections: Vec<(TransportId, String)>,
    /// Producers that have no transport, or outlive it.
    feeds: HashSet<ProducerId>,
    statistics: Option<Box<Statistics>>,
    /// The last question to a reflector.
    question: Option<(Path, TransactionId)>,
    next: u64,
}

impl Rig {
    fn new(now: Instant) -> Rig {
        // Making one takes longer than all the rest.
        static IDENTITY: OnceLock<Identity> = OnceLock::new();
        let identity = IDENTITY.get_or_init(|| Identity::generate().expect("a certificate"));
        let address = |protocol| LocalAddress {
            protocol,
            advertised: SocketAddr::from(([203, 0, 113, 1], 40_000)),
            base: SocketAddr::from(([10, 0, 0, 1], 40_000)),
        };
        let config = WorkerConfig {
            addresses: vec![address(Protocol::Udp), address(Protocol::Tcp)],
            limits: Limits {
                transports: TRANSPORTS,
                sections: SECTIONS,
                ..Limits::default()
            },
            identity: identity.clone(),
        };
        Rig {
            worker: Worker::new(config, now, SystemTime::UNIX_EPOCH),
            now,
            open: HashMap::new(),
            sections: Vec::new(),
            feeds: HashSet::new(),
            statistics: None,
            question: None,
            next: 0,
        }
    }

    fn step(&mut self, step: u8, whom: u64, body: &[u8]) {
        let transport = TransportId(whom % 6);
        if step >= TRUNKS {
            self.next += 1;
            self.of_trunks(step - TRUNKS, whom, transport, body);
            return;
        }
        if step >= SOURCES {
            self.of_sources(step - SOURCES, whom, body);
            return;
        }
        let text = || String::from_utf8_lossy(body).into_owned();
        match step % 16 {
            0 | 1 => {
                let path = path(whom);
                self.datagram(path, body);
            }
            2 => {
                let name = self.open.get(&transport).cloned().unwrap_or_default();
                let name = format!("{name}:{}", text());
                let data = &request(&name, step >> 5);
                let path = path(whom);
                self.datagram(path, data);
            }
            3 => self.now += Duration::from_millis(whom * whom),
            4 => self.request(Request::OpenTransport {
                transport,
                negotiation: match whom & 64 {
                    0 => Negotiation::PeerOffers,
                    _ => Negotiation::WeOffer,
                },
                channels: whom & 128 != 0,
            }),
            5 | 6 => self.request(Request::RemoteOffer {
                transport,
                offer: whom as u32,
                sdp: text(),
                options: Vec::new(),
            }),
            7 | 8 => self.request(Request::RemoteAnswer {
                transport,
                offer: 0,
                sdp: text(),
            }),
            _ => self.order(step % 16, whom, transport, body),
        }
    }

    fn datagram(&mut self, path: Path, data: &[u8]) {
        self.input(Input::Datagram {
            path,
            data,
            arrived: self.now,
        });
    }

    /// What an owner asks for, with names that may or may not exist.
    fn order(&mut self, step: u8, whom: u64, transport: TransportId, body: &[u8]) {
        self.next += 1;
        let (producer, consumer) = (ProducerId(whom % 16), ConsumerId(whom % 16));
        let request = match step {
            9 => {
                let section = self
                    .sections
                    .get(whom as usize % self.sections.len().max(1));
                let Some((transport, mid)) = section.cloned() else {
                    return;
                };
                Request::OpenProducer {
                    producer: ProducerId(self.next % 16),
                    transport,
                    mid,
                }
            }
            10 => Request::OpenConsumer {
                consumer: ConsumerId(self.next % 16),
                transport,
                producer: ProducerId(whom / 16),
                home: whom.is_multiple_of(5).then_some(1),
                label: Label {
                    stream: "PA_1".into(),
                    track: format!("TR_{whom}"),
                },
                delivery: Delivery::FULL,
            },
            11 => Request::CloseProducer { producer },
            12 if whom.is_multiple_of(3) => Request::QuietProducer {
                producer,
                quiet: whom.is_multiple_of(2),
            },
            12 => Request::CloseConsumer { consumer },
            13 => Request::CloseTransport { transport },
            14 => Request::RestartIce { transport },
            _ => Request::SendData {
                transport,
                channel: Channel::Reliable,
                data: Arc::from(body),
            },
        };
        self.request(request);
    }

    /// What an owner asks for on behalf of a camera, which may say anything.
    fn of_sources(&mut self, step: u8, whom: u64, body: &[u8]) {
        const CODECS: [Codec; 6] = [
            Codec::H264,
            Codec::H265,
            Codec::Vp8,
            Codec::Opus,
            Codec::Pcma,
            Codec::Red,
        ];
        let producer = ProducerId(whom % 16);
        let request = match step {
            0 | 1 => {
                self.feeds.insert(producer);
                Request::OpenSource {
                    producer,
                    options: SourceOptions {
                        codec: CODECS[whom as usize / 16 % CODECS.len()],
                        encodings: body.first().copied().unwrap_or(2).into(),
                        stereo: step == 1,
                        cache: GopLimits {
                            bytes: body.len() * 64,
                            age: Duration::from_millis(whom * 20),
                        },
                    },
                }
            }
            2 => Request::SourceRestart {
                producer,
                encoding: Spatial::new(whom as u8 / 16 % 3).unwrap_or_default(),
            },
            _ => Request::SourcePackets {
                producer,
                packets: self.handed(body),
            },
        };
        self.request(request);
    }

    /// Packets of four bytes that say what they are, and a payload up to the next.
    fn handed(&self, body: &[u8]) -> Vec<SourcePacket> {
        let mut packets = Vec::new();
        let mut rest = body;
        while let [what, timestamp, capture, length, tail @ ..] = rest {
            let (payload, tail) = tail.split_at(usize::from(*length).min(tail.len()));
            rest = tail;
            let capture = Duration::from_secs(u64::from(*capture) * 1000);
            packets.push(SourcePacket {
                encoding: Spatial::new(what % 3).unwrap_or_default(),
                timestamp: u32::from(*timestamp) << 24,
                capture: match what & 64 {
                    0 => self.now + capture,
                    _ => self.now.checked_sub(capture).unwrap_or(self.now),
                },
                marker: what & 128 != 0,
                payload: match *length {
                    255 => vec![*what; SourcePacket::LARGEST + 1].into(),
                    _ => payload.into(),
                },
            });
        }
        packets
    }

    /// What an owner asks for on behalf of another server.
    fn of_trunks(&mut self, step: u8, whom: u64, transport: TransportId, body: &[u8]) {
        let text = String::from_utf8_lossy(body).into_owned();
        let (producer, consumer) = (ProducerId(whom % 16), ConsumerId(whom % 16));
        let request = match step {
            0 | 1 => Request::OpenTransport {
                transport,
                negotiation: Negotiation::Trunk {
                    dials: step == 1,
                    introduced: whom & 64 != 0,
                },
                channels: whom & 128 != 0,
            },
            2 | 3 => Request::TrunkParameters {
                transport,
                parameters: parameters(&text, step == 3),
            },
            4 if whom & 128 != 0 => Request::Reflect {
                transport,
                reflectors: body.iter().map(|it| path(u64::from(*it)).remote).collect(),
            },
            4 if whom & 32 != 0 => return self.answer_question(body),
            4 if whom & 16 != 0 => Request::LookOutside {
                local: path(0).local,
                reflector: path(whom).remote,
            },
            4 => Request::RemoteCandidate {
                transport,
                candidate: text,
            },
            5 | 6 => {
                self.feeds.insert(producer);
                Request::OpenFeed {
                    producer,
                    kind: if step == 5 { Kind::Video } else { Kind::Audio },
                    stereo: whom & 16 != 0,
                    cache: (whom & 32 != 0).then(GopLimits::default),
                }
            }
            7..=10 => Request::ConnectFeed {
                producer,
                source: (step < 10).then(|| FeedSource {
                    transport: TransportId(whom / 16 % 6),
                    streams: streams(body),
                }),
            },
            11..=13 => Request::OpenBranch {
                consumer: ConsumerId(self.next % 16),
                transport,
                producer: ProducerId(whom / 16),
                home: whom.is_multiple_of(5).then_some(1),
                stream: BranchStream {
                    ssrc: body.first().copied().unwrap_or(0).into(),
                    repair_ssrc: body.get(1).map(|ssrc| (*ssrc).into()),
                },
                delivery: delivery(body),
            },
            14 => Request::ConfigureConsumer {
                consumer,
                delivery: delivery(body),
            },
            _ => Request::PauseProducer {
                producer,
                paused: whom & 16 != 0,
            },
        };
        self.request(request);
    }

    /// A reflector answers.
    fn answer_question(&mut self, body: &[u8]) {
        let Some((path, id)) = self.question else {
            return;
        };
        let seen_as = match body {
            [a, b, c, d, port, ..] => SocketAddr::from(([*a, *b, *c, *d], u16::from(*port))),
            _ => SocketAddr::from(([203, 0, 113, 9], 40_000)),
        };
        let asked = Asked::plain(id);
        self.datagram(path, Answer::new(seen_as, asked).bytes());
    }

    fn request(&mut self, request: Request) {
        if let Request::OpenTransport { transport, .. } = &request {
            self.open.entry(*transport).or_default();
        }
        if let Request::CloseTransport { transport } = &request {
            self.open.remove(transport);
            self.sections.retain(|section| section.0 != *transport);
        }
        self.input(Input::Request(request));
    }

    fn input(&mut self, input: Input<'_>) {
        self.worker.handle(self.now, input);
    }

    /// Lets the worker say all that it has to say.
    fn settle(&mut self) {
        self.input(Input::Timeout);
        for _ in 0..POLLS {
            match self.worker.poll(self.now) {
                Output::Report(report) => self.hear(report),
                Output::Transmit => self.take_transmits(),
                Output::Timeout(at) => {
                    assert!(at >= self.now);
                    self.take_transmits();
                    return;
                }
            }
        }
        panic!("the worker does not come to rest");
    }

    fn take_transmits(&mut self) {
        let transmits = self.worker.transmits();
        let datagrams = transmits.flat_map(|t| t.datagrams().map(move |it| (t.path, it)));
        for (path, datagram) in datagrams {
            if let Some(id) = question_of(datagram) {
                self.question = Some((path, id));
            }
            let kind = DatagramKind::of(datagram);
            let plain = matches!(kind, DatagramKind::Stun | DatagramKind::Dtls);
            assert!(plain, "{kind:?} leaves without keys");
        }
        self.worker.forget_transmits();
        // There is no other worker: what lives there never answers.
        while self.worker.poll_relay().is_some() {}
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Answer { transport, sdp, .. } | Report::Offer { transport, sdp, .. } => {
                self.hear_description(transport, &sdp);
            }
            Report::SectionOpened(section) => {
                self.sections.push((section.transport, section.mid));
            }
            Report::SectionClosed { transport, mid, .. } => {
                self.sections
                    .retain(|section| *section != (transport, mid.clone()));
            }
            Report::Closed { transport, .. } => {
                self.open.remove(&transport);
                self.sections.retain(|section| section.0 != transport);
            }
            Report::TrunkParameters {
                transport,
                parameters,
            } => {
                self.open.insert(transport, parameters.ufrag);
            }
            Report::Connected { .. } => panic!("nobody knows the keys"),
            Report::Statistics(statistics) => self.statistics = Some(statistics),
            Report::Refused { .. }
            | Report::Candidate { .. }
            | Report::SeenAs { .. }
            | Report::SectionsWanted { .. }
            | Report::Interrupted { .. }
            | Report::ProducerCodec { .. }
            | Report::KeyFrameWanted { .. }
            | Report::ConsumerStarted { .. }
            | Report::ConsumerStarved { .. }
            | Report::ConsumerFailed { .. }
            | Report::Data { .. }
            | Report::ChannelOpen { .. }
            | Report::AudioLevels(_)
            | Report::Totals(_) => {}
        }
    }

    fn hear_description(&mut self, transport: TransportId, sdp: &str) {
        let name = sdp
            .lines()
            .find_map(|line| line.strip_prefix("a=ice-ufrag:"));
        let known = self.open.get_mut(&transport).expect("not of a closed one");
        *known = name.unwrap_or_default().to_owned();
        let mids = sdp.lines().filter_map(|line| line.strip_prefix("a=mid:"));
        let mids: Vec<&str> = mids.collect();
        let sections = sdp.lines().filter(|line| line.starts_with("m=")).count();
        assert_eq!(mids.len(), sections, "{sdp}");
        assert!(sections <= SECTIONS, "{sections} sections");
        let unique: HashSet<&&str> = mids.iter().collect();
        assert_eq!(unique.len(), mids.len(), "{sdp}");
    }

    fn statistics(&mut self) -> Box<Statistics> {
        self.request(Request::Statistics);
        self.settle();
        self.statistics.take().expect("an answer")
    }

    fn close_all(&mut self) {
        let statistics = self.statistics();
        assert!(statistics.transports.len() <= TRANSPORTS);
        let theirs = statistics.transports.iter().map(|it| it.transport);
        let theirs: HashSet<TransportId> = theirs.collect();
        let ours: HashSet<TransportId> = self.open.keys().copied().collect();
        assert_eq!(theirs, ours, "the owner knows what is open");
        for transport in ours {
            self.request(Request::CloseTransport { transport });
        }
        for producer in self.statistics().producers {
            let is_feed = self.feeds.contains(&producer.producer) && producer.transport.is_none();
            assert!(is_feed, "a producer of a closed transport is left");
            let producer = producer.producer;
            self.request(Request::CloseProducer { producer });
        }
        let left = self.statistics();
        let left = (
            left.transports.len(),
            left.producers.len(),
            left.consumers.len(),
        );
        assert_eq!(left, (0, 0, 0), "something of closed transports is left");
    }
}

/// Steps from this one on are about cameras, …
const SOURCES: u8 = 232;
/// … and from this one on about trunks.
const TRUNKS: u8 = 240;

/// What another server says of itself: a line each, or candidates alone.
fn parameters(text: &str, proper: bool) -> TrunkParameters {
    let mut lines = text.lines().map(str::to_owned);
    let mut line = |proper_one: &str| match proper {
        true => proper_one.to_owned(),
        false => lines.next().unwrap_or_default(),
    };
    TrunkParameters {
        ufrag: line("user"),
        password: line("twenty+two/characters+"),
        fingerprint: line(&format!("sha-256 {}", ["A0"; 32].join(":"))),
        candidates: lines.collect(),
    }
}

/// The name of a plain request.
fn question_of(datagram: &[u8]) -> Option<TransactionId> {
    Asked::read(datagram)?;
    datagram.get(8..20)?.try_into().ok()
}

/// Three bytes each.
fn streams(body: &[u8]) -> Vec<FeedStream> {
    let stream = |bytes: &[u8]| FeedStream {
        encoding: Spatial::new(bytes[0] % 3).unwrap_or_default(),
        ssrc: bytes[1].into(),
        repair_ssrc: (bytes[0] & 128 == 0).then_some(bytes[2].into()),
    };
    body.chunks_exact(3).map(stream).collect()
}

fn delivery(body: &[u8]) -> Delivery {
    let spatial = |at: usize| Spatial::new(body.get(at).copied().unwrap_or(0) % 3);
    Delivery {
        layer: Layer {
            spatial: spatial(2).unwrap_or_default(),
            ..Layer::TOP
        },
        floor: spatial(3).unwrap_or_default(),
        paused: body.get(4).is_some_and(|byte| byte & 1 == 1),
        ..Delivery::FULL
    }
}

fn path(whom: u64) -> Path {
    let protocol = match whom & 1 {
        0 => Protocol::Udp,
        _ => Protocol::Tcp,
    };
    Path {
        protocol,
        local: SocketAddr::from(([10, 0, 0, 1], 40_000)),
        remote: SocketAddr::from(([192, 0, 2, (whom >> 1) as u8], 5000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a target on all of its seeds, and on what it has found.
    fn replay(target: &str, run: impl Fn(&[u8])) {
        let dir = format!("{}/../../fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
        let mut files = 0;
        for entry in std::fs::read_dir(&dir).expect("seeds") {
            run(&std::fs::read(entry.unwrap().path()).unwrap());
            files += 1;
        }
        assert!(files > 0, "{dir} is empty");
    }

    #[test]
    fn descriptions_that_once_broke_something() {
        replay("description", description);
    }

    #[test]
    fn stun_that_once_broke_something() {
        replay("stun", stun);
    }

    #[test]
    fn rtcp_that_once_broke_something() {
        replay("correcting", correcting);
        replay("opening", opening);
        replay("feedback", |data| feedback(Instant::now(), data));
    }

    #[test]
    fn headers_that_once_broke_something() {
        replay("header", |data| header(Instant::now(), data));
    }

    /// Bytes without end, the same for a seed (xorshift).
    fn noise(seed: u64) -> impl FnMut() -> u8 {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 33) as u8
        }
    }

    #[test]
    fn another_server_breaks_this_one_by_what_it_says() {
        for seed in 1..60u64 {
            let mut next = noise(seed);
            let mut data = Vec::new();
            for _ in 0..150 {
                let step = match next() {
                    0..=200 => TRUNKS + next() % 16,
                    other => other % 16,
                };
                let length = next() % 12;
                data.extend([step, next(), 0, length]);
                data.extend((0..length).map(|_| next() % 8));
            }
            worker(Instant::now(), &data);
        }
    }

    #[test]
    fn a_camera_breaks_a_worker_by_what_it_sends() {
        for seed in 1..60u64 {
            let mut next = noise(seed);
            let mut data = Vec::new();
            for _ in 0..150 {
                let step = match next() {
                    0..=180 => SOURCES + next() % 8,
                    181..=220 => TRUNKS + next() % 16,
                    other => other % 16,
                };
                let length = next() % 120;
                data.extend([step, next() % 64, 0, length]);
                // First bytes of key frames and of others, as often as anything else.
                data.extend((0..length).map(|_| match next() {
                    byte @ 0..128 => {
                        [0x67, 0x65, 0x41, 0x88, 24, 0x7c, 1, 2][usize::from(byte % 8)]
                    }
                    byte => byte % 32,
                }));
            }
            worker(Instant::now(), &data);
        }
    }

    #[test]
    fn peers_that_once_broke_a_worker() {
        replay("worker", |data| worker(Instant::now(), data));
    }
}
