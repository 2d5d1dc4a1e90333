//! The state of one core: transports, producers, consumers, and what is due when.

mod allocate;
mod drive;
mod forward;
mod media;
mod mirror;
mod reflect;
mod replay;
mod requests;
mod source;
mod statistics;
mod trunk;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use str0m::config::DtlsCert;

use crate::api::{
    ConsumerId, Input, Limits, LocalAddress, Loudness, Output, Path, ProducerId, Protocol, Report,
    Transmit, TransportId,
};
use crate::arena::{Arena, Key};
use crate::consumer::Consumer;
use crate::deadline::Deadlines;
use crate::demux::Demux;
use crate::egress::{NtpClock, Slab};
use crate::producer::Producer;
use crate::reflect::Reflection;
use crate::secure::{Crypto, DatagramKind};
use crate::totals::{ByKind, Totals};
use crate::transport::{Common, Touched, Transport};

pub use self::mirror::Relay;

use self::mirror::Awaited;
pub(crate) use self::mirror::Mirror;

/// What all workers of a process have in common: the DTLS certificate.
///
/// One certificate is enough: peers learn its fingerprint over signalling, and making one for
/// every peer connection would cost milliseconds each.
#[derive(Clone)]
pub struct Identity {
    certificate: DtlsCert,
}

impl Identity {
    /// Makes a new self-signed certificate; `None` if the crypto library cannot.
    pub fn generate() -> Option<Identity> {
        let provider = str0m::crypto::from_feature_flags().dtls_provider;
        provider
            .generate_certificate()
            .map(|certificate| Identity { certificate })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It holds the private key.
        f.write_str("Identity")
    }
}

/// How a worker is set up.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Where peers reach it. All of them are written into SDP, the first as the best.
    pub addresses: Vec<LocalAddress>,
    /// Bounds on what a peer can make it do.
    pub limits: Limits,
    /// The certificate shared with the other workers.
    pub identity: Identity,
}

/// One core's peers.
///
/// All that a datagram or a request changes is done in [`Worker::handle`]; whatever follows from
/// it (answers of str0m, packets that may leave, deadlines) is done once for a whole batch in
/// [`Worker::poll`], and only for the transports that were touched.
#[derive(Debug)]
pub struct Worker {
    config: WorkerConfig,
    crypto: Crypto,
    clock: NtpClock,
    demux: Demux,
    transports: Arena<Transport>,
    producers: Arena<Producer>,
    consumers: Arena<Consumer>,
    transport_keys: HashMap<TransportId, Key<Transport>>,
    producer_keys: HashMap<ProducerId, Key<Producer>>,
    consumer_keys: HashMap<ConsumerId, Key<Consumer>>,
    /// Producers with packets that were not yet forwarded.
    bursts: Vec<Key<Producer>>,
    /// Transports that something has happened to.
    touched: Vec<Key<Transport>>,
    deadlines: Deadlines<Key<Transport>>,
    /// When publishers are to be asked for key frames.
    requests: Deadlines<Key<Producer>>,
    /// Audio tracks that were heard since the last report.
    heard: Vec<Key<Producer>>,
    levels_at: Option<Instant>,
    /// Producers of other workers that have not answered yet, and when they are asked again.
    awaited: HashMap<ProducerId, Awaited>,
    ask_homes_at: Option<Instant>,
    /// How others see us.
    reflection: Reflection,
    /// To other workers.
    relays: VecDeque<(usize, Relay)>,
    reports: VecDeque<Report>,
    out: Outgoing,
    counts: Counts,
    /// What those have counted that are gone, and what was never theirs.
    past: Totals,
    /// What was said of packets that did not come: it never falls.
    lost_said: ByKind<u64>,
}

/// What a worker wants to send: runs of datagrams for one path.
#[derive(Debug, Clone)]
pub struct Transmits<'a> {
    slab: &'a [u8],
    datagrams: &'a [(Path, Range<usize>)],
}

impl<'a> Iterator for Transmits<'a> {
    type Item = Transmit<'a>;

    fn next(&mut self) -> Option<Transmit<'a>> {
        let (path, first) = self.datagrams.first()?;
        let count = run_length(self.datagrams);
        let end = self.datagrams[count - 1].1.end;
        self.datagrams = &self.datagrams[count..];
        Some(Transmit {
            path: *path,
            data: &self.slab[first.start..end],
            segment: first.len(),
        })
    }
}

/// What is to be sent, back to back.
#[derive(Debug, Default)]
struct Outgoing {
    slab: Slab,
    /// Where each datagram of the slab goes.
    datagrams: Vec<(Path, Range<usize>)>,
}

#[derive(Debug, Default)]
struct Counts {
    datagrams: (u64, u64),
    bytes: (u64, u64),
    strays: u64,
}

/// `UDP_SEGMENT` takes no more datagrams, and no more bytes, at a time.
const MAX_SEGMENTS: usize = 64;
const MAX_RUN: usize = 65_000;
/// What is sealed is sent while the processor's cache still holds it: with hundreds of subscribers
/// one frame of video comes to megabytes.
const BATCH: usize = 128 * 1024;
/// The answer to "when?" if nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

impl Worker {
    /// An idle worker. `wall` is the time of day at `now`.
    pub fn new(config: WorkerConfig, now: Instant, wall: SystemTime) -> Worker {
        // Its parts live as long as the process anyway.
        static CRYPTO: OnceLock<Crypto> = OnceLock::new();
        let crypto = CRYPTO.get_or_init(|| Crypto::new(str0m::crypto::from_feature_flags()));
        Worker {
            config,
            crypto: crypto.clone(),
            clock: NtpClock::new(now, wall),
            demux: Demux::default(),
            transports: Arena::new(),
            producers: Arena::new(),
            consumers: Arena::new(),
            transport_keys: HashMap::new(),
            producer_keys: HashMap::new(),
            consumer_keys: HashMap::new(),
            bursts: Vec::new(),
            touched: Vec::new(),
            deadlines: Deadlines::new(),
            requests: Deadlines::new(),
            heard: Vec::new(),
            levels_at: None,
            awaited: HashMap::new(),
            ask_homes_at: None,
            reflection: Reflection::new(),
            relays: VecDeque::new(),
            reports: VecDeque::new(),
            out: Outgoing::default(),
            counts: Counts::default(),
            past: Totals::default(),
            lost_said: ByKind::default(),
        }
    }

    /// Takes one input. Many may be taken before the next [`Worker::poll`].
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Datagram {
                path,
                data,
                arrived,
            } => self.handle_datagram(now, arrived.min(now), path, data),
            Input::Request(request) => {
                self.forward_bursts(now);
                self.handle_request(now, request);
            }
            Input::Relay { from, relay } => self.handle_relay(now, from, relay),
            Input::Timeout => {}
        }
    }

    /// What the worker has to say; to be called until it is [`Output::Timeout`].
    pub fn poll(&mut self, now: Instant) -> Output {
        self.forward_bursts(now);
        self.wake_due(now);
        // Driving one transport may touch others, or make a request to its publisher due.
        while let Some(key) = self.touched.pop() {
            self.drive(now, key);
            self.forward_bursts(now);
            if self.touched.is_empty() {
                self.wake_due(now);
            }
            if self.out.slab.bytes().len() >= BATCH {
                return Output::Transmit;
            }
        }
        if let Some(report) = self.reports.pop_front() {
            return Output::Report(report);
        }
        let next = [
            self.deadlines.next(),
            self.requests.next(),
            self.levels_at,
            self.ask_homes_at,
            self.reflection.next(),
        ];
        let next = next.into_iter().flatten().min().unwrap_or(now + IDLE);
        Output::Timeout(next.max(now))
    }

    /// What is to be sent. The order matters among what has one path.
    pub fn transmits(&self) -> Transmits<'_> {
        Transmits {
            slab: self.out.slab.bytes(),
            datagrams: &self.out.datagrams,
        }
    }

    /// Forgets what [`Worker::transmits`] has given.
    pub fn forget_transmits(&mut self) {
        self.out.slab.clear();
        self.out.datagrams.clear();
    }

    fn handle_datagram(&mut self, now: Instant, arrived: Instant, path: Path, data: &[u8]) {
        self.counts.datagrams.0 += 1;
        self.counts.bytes.0 += data.len() as u64;
        let path = Transport::normalize(path, &self.config.addresses);
        if DatagramKind::of(data) == DatagramKind::Stun {
            self.handle_stun(now, arrived, path, data);
            return;
        }
        let Some(key) = self.demux.route(path, data) else {
            self.counts.strays += 1;
            return;
        };
        self.receive((now, arrived), key, path, data);
    }

    /// Deadlines that have come.
    fn wake_due(&mut self, now: Instant) {
        while let Some(key) = self.deadlines.pop_due(now) {
            // Most deadlines are the pacer's.
            let due = self.transports.get(key).is_some_and(|t| t.is_due(now));
            let what = if due {
                Touched::ToDrive
            } else {
                Touched::ToSend
            };
            touch(&mut self.transports, &mut self.touched, key, what);
        }
        while let Some(key) = self.requests.pop_due(now) {
            self.ask_for_key_frames(now, key);
        }
        if self.levels_at.is_some_and(|at| at <= now) {
            self.report_levels();
        }
        if self.ask_homes_at.is_some_and(|at| at <= now) {
            self.ask_homes(now);
        }
        self.ask_due(now);
    }

    fn report_levels(&mut self) {
        self.levels_at = None;
        let mut levels = Vec::with_capacity(self.heard.len());
        for key in self.heard.drain(..) {
            let Some(producer) = self.producers.get_mut(key) else {
                continue;
            };
            producer.heard = false;
            if let Some(level) = producer.meter.take() {
                let (level, voice) = (level.level, level.voice);
                levels.push(Loudness {
                    producer: producer.id,
                    level,
                    voice,
                });
            }
        }
        if !levels.is_empty() {
            self.reports.push_back(Report::AudioLevels(levels));
        }
    }

    fn touch(&mut self, key: Key<Transport>) {
        touch(
            &mut self.transports,
            &mut self.touched,
            key,
            Touched::ToDrive,
        );
    }

    fn touch_to_send(&mut self, key: Key<Transport>) {
        let (transports, touched) = (&mut self.transports, &mut self.touched);
        touch(transports, touched, key, Touched::ToSend);
    }

    fn common(&self) -> Common<'_> {
        Common {
            crypto: &self.crypto,
            certificate: &self.config.identity.certificate,
            addresses: &self.config.addresses,
            limits: &self.config.limits,
            clock: self.clock,
        }
    }
}

/// Puts a transport on the list of those to be driven.
fn touch(
    transports: &mut Arena<Transport>,
    touched: &mut Vec<Key<Transport>>,
    key: Key<Transport>,
    what: Touched,
) {
    if let Some(transport) = transports.get_mut(key) {
        if transport.touched == Touched::No {
            touched.push(key);
        }
        transport.touched = transport.touched.max(what);
    }
}

/// How many datagrams from the first on can be sent by one system call.
fn run_length(datagrams: &[(Path, Range<usize>)]) -> usize {
    let Some((path, first)) = datagrams.first() else {
        return 0;
    };
    if path.protocol == Protocol::Tcp {
        return 1;
    }
    let mut count = 1;
    for (next, range) in datagrams[1..].iter().take(MAX_SEGMENTS - 1) {
        let too_long = range.end - first.start > MAX_RUN;
        if next != path || range.len() > first.len() || too_long {
            break;
        }
        count += 1;
        if range.len() < first.len() {
            break; // only the last may be shorter
        }
    }
    count
}

impl Outgoing {
    fn push(&mut self, path: Path, datagram: &[u8]) -> usize {
        let start = self.slab.bytes().len();
        self.slab.push(datagram);
        self.datagrams.push((path, start..start + datagram.len()));
        datagram.len()
    }
}

impl Counts {
    fn sent(&mut self, bytes: usize) {
        self.datagrams.1 += 1;
        self.bytes.1 += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_of_one_size_for_one_path_go_out_together() {
        let path = |port| Path {
            protocol: Protocol::Udp,
            local: SocketAddr::from(([10, 0, 0, 1], 1)),
            remote: SocketAddr::from(([10, 0, 0, 2], port)),
        };
        let mut out = Outgoing::default();
        for (port, size) in [(1, 10), (1, 10), (1, 4), (1, 10), (2, 10), (2, 12)] {
            out.push(path(port), &vec![0; size]);
        }
        let mut runs = Vec::new();
        let mut rest = &out.datagrams[..];
        while !rest.is_empty() {
            runs.push(run_length(rest));
            rest = &rest[run_length(rest)..];
        }
        assert_eq!(runs, [3, 1, 1, 1]);
        let many = vec![(path(1), 0..10); 200];
        assert_eq!(run_length(&many), MAX_SEGMENTS);
    }

    use std::net::SocketAddr;
}
