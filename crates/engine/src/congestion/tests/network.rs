//! A network in virtual time: links with queues that drop at their tail, and flows across them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::media::Media;
use super::tcp::Tcp;

/// The defaults of RFC 8867 section 4.
const QUEUE: Duration = Duration::from_millis(300);
/// How often senders look at what is to be sent.
const TICK: Duration = Duration::from_millis(1);
const SAMPLE: Duration = Duration::from_millis(100);

/// A link in one direction.
#[derive(Debug, Clone)]
pub(super) struct Link {
    /// From when on it carries how many bits per second.
    pub(super) capacity: Vec<(f64, f64)>,
    /// The longest that a packet may wait for it.
    pub(super) queue: Duration,
    /// Share that is lost besides.
    pub(super) loss: f64,
}

/// What flows cross.
#[derive(Debug, Clone)]
pub(super) struct Network {
    pub(super) links: Vec<Link>,
    /// Share of the reports that is lost besides.
    pub(super) feedback_loss: f64,
    /// Largest extra delay of a packet; none overtakes another of its flow.
    pub(super) jitter: Duration,
    pub(super) random: u64,
}

/// One sender and its receiver.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    pub(super) kind: Kind,
    /// One way, queues apart.
    pub(super) delay: Duration,
    /// When it sends, in seconds.
    pub(super) active: Vec<(f64, f64)>,
    /// The links that its packets cross, and those that its receiver's do.
    pub(super) out: Vec<usize>,
    pub(super) back: Vec<usize>,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// A picture; the source has so many bits per second at most.
    Media { most: u64 },
    /// So many cameras, of which an allocator chooses the sizes.
    Pictures { count: usize },
    /// A long transfer.
    LongTcp,
    /// Transfers of 100 kB to 1 MB, each after a pause (RFC 8867 section 4.2.3).
    ShortTcp,
}

/// What happened to a flow in a tenth of a second.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    pub(super) at: f64,
    pub(super) estimate: f64,
    /// Bits per second that arrived.
    pub(super) arrived: f64,
    /// The longest that a packet has waited in queues, in seconds.
    pub(super) queued: f64,
}

/// A packet on its way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Packet {
    pub(super) size: usize,
    pub(super) cargo: Cargo,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cargo {
    /// From sender to receiver: counted per flow.
    Data(u64),
    /// From receiver to sender: the first number that it tells of, and which arrived when.
    Report(u64, Vec<(u64, Instant)>),
}

/// A packet that reaches the end of a hop. The order of fields is that of time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: Instant,
    /// Of two at one time the one that was sent first.
    order: u64,
    flow: usize,
    hop: usize,
    waited: Duration,
    packet: Packet,
}

enum Sender {
    Media(Box<Media>),
    Tcp(Tcp),
}

struct Running {
    sender: Sender,
    sample: Sample,
    last_arrival: [Instant; 2],
}

/// Runs flows over a network; the samples of each.
pub(super) fn run(network: &mut Network, flows: &[Flow], seconds: f64) -> Vec<Vec<Sample>> {
    let start = Instant::now();
    let mut running: Vec<Running> = flows
        .iter()
        .enumerate()
        .map(|(n, flow)| Running::new(start, &flow.kind, n as u64 + network.random))
        .collect();
    let mut samples = vec![Vec::new(); flows.len()];
    let mut events = Events::new(start, network, flows);
    let (mut now, mut next_sample) = (start, start + SAMPLE);
    while (now - start).as_secs_f64() < seconds {
        events.pass(now, &mut running);
        let time = (now - start).as_secs_f64();
        for (index, flow) in flows.iter().enumerate() {
            let mut active = flow.active.iter();
            let active = active.any(|(from, to)| (*from..*to).contains(&time));
            for packet in running[index].tick(now, active, &mut events) {
                events.send(now, index, packet);
            }
        }
        if now >= next_sample {
            next_sample += SAMPLE;
            for (running, samples) in running.iter_mut().zip(&mut samples) {
                samples.push(running.sampled(time));
            }
        }
        now += TICK;
    }
    samples
}

/// What is on its way, and what decides about it.
pub(super) struct Events<'a> {
    start: Instant,
    network: &'a mut Network,
    flows: &'a [Flow],
    /// From when on each link is free.
    free: Vec<Instant>,
    heap: BinaryHeap<Reverse<Event>>,
    order: u64,
}

impl<'a> Events<'a> {
    fn new(start: Instant, network: &'a mut Network, flows: &'a [Flow]) -> Events<'a> {
        Events {
            start,
            free: vec![start; network.links.len()],
            network,
            flows,
            heap: BinaryHeap::new(),
            order: 0,
        }
    }

    /// Everything that happens until `now`.
    fn pass(&mut self, now: Instant, running: &mut [Running]) {
        while let Some(Reverse(event)) = self.heap.pop_if_due(now) {
            let flow = &self.flows[event.flow];
            let route = match event.packet.cargo {
                Cargo::Data(_) => &flow.out,
                Cargo::Report(..) => &flow.back,
            };
            match route.get(event.hop) {
                Some(link) => self.cross(*link, event),
                None if event.hop == route.len() => self.travel(event, running),
                None => self.arrive(event, running),
            }
        }
    }

    fn send(&mut self, now: Instant, flow: usize, packet: Packet) {
        self.push(Event {
            at: now,
            order: 0,
            flow,
            hop: 0,
            waited: Duration::ZERO,
            packet,
        });
    }

    fn cross(&mut self, index: usize, mut event: Event) {
        let time = (event.at - self.start).as_secs_f64();
        let lost = self.network.chance();
        let link = &self.network.links[index];
        let begins = event.at.max(self.free[index]);
        if begins - event.at > link.queue || lost < link.loss {
            return;
        }
        let bits = event.packet.size as f64 * 8.0;
        self.free[index] = begins + Duration::from_secs_f64(bits / link.capacity_at(time));
        event.waited += begins - event.at;
        event.at = self.free[index];
        event.hop += 1;
        self.push(event);
    }

    /// All links are crossed: what remains is the way's length, and jitter.
    fn travel(&mut self, mut event: Event, running: &mut [Running]) {
        let jitter = self.network.jitter.mul_f64(self.network.chance());
        let back = matches!(event.packet.cargo, Cargo::Report(..));
        let last = &mut running[event.flow].last_arrival[usize::from(back)];
        event.at = (event.at + self.flows[event.flow].delay + jitter).max(*last);
        *last = event.at;
        event.hop += 1;
        self.push(event);
    }

    fn arrive(&mut self, event: Event, running: &mut [Running]) {
        let running = &mut running[event.flow];
        match event.packet.cargo {
            Cargo::Data(number) => {
                running.sample.arrived += event.packet.size as f64 * 8.0;
                running.sample.queued = running.sample.queued.max(event.waited.as_secs_f64());
                if let Some(answer) = running.received(event.at, number) {
                    self.send(event.at, event.flow, answer);
                }
            }
            Cargo::Report(..) if self.network.chance() < self.network.feedback_loss => {}
            Cargo::Report(from, arrivals) => running.told(event.at, from, &arrivals),
        }
    }

    fn push(&mut self, mut event: Event) {
        self.order += 1;
        event.order = self.order;
        self.heap.push(Reverse(event));
    }
}

trait PopIfDue {
    fn pop_if_due(&mut self, now: Instant) -> Option<Reverse<Event>>;
}

impl PopIfDue for BinaryHeap<Reverse<Event>> {
    fn pop_if_due(&mut self, now: Instant) -> Option<Reverse<Event>> {
        self.peek().filter(|event| event.0.at <= now)?;
        self.pop()
    }
}

impl Link {
    pub(super) fn new(capacity: &[(f64, f64)]) -> Link {
        Link {
            capacity: capacity.to_vec(),
            queue: QUEUE,
            loss: 0.0,
        }
    }

    fn capacity_at(&self, time: f64) -> f64 {
        let now = self.capacity.iter().rev().find(|(from, _)| *from <= time);
        now.map_or(1e6, |(_, capacity)| *capacity)
    }
}

impl Network {
    fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl Running {
    fn new(now: Instant, kind: &Kind, seed: u64) -> Running {
        let sender = match kind {
            Kind::Media { most } => Sender::Media(Box::new(Media::new(now, *most, seed))),
            Kind::Pictures { count } => Sender::Media(Box::new(Media::pictures(now, *count, seed))),
            Kind::LongTcp => Sender::Tcp(Tcp::long(now)),
            Kind::ShortTcp => Sender::Tcp(Tcp::short(now)),
        };
        Running {
            sender,
            sample: Sample::default(),
            last_arrival: [now; 2],
        }
    }

    /// What sender and receiver send of their own accord.
    fn tick(&mut self, now: Instant, active: bool, events: &mut Events<'_>) -> Vec<Packet> {
        match &mut self.sender {
            Sender::Media(media) => media.tick(now, active),
            Sender::Tcp(tcp) => tcp.tick(now, active, &mut || events.network.chance()),
        }
    }

    fn received(&mut self, at: Instant, number: u64) -> Option<Packet> {
        match &mut self.sender {
            Sender::Media(media) => {
                media.received(at, number);
                None
            }
            Sender::Tcp(_) => Some(Packet {
                size: 60,
                cargo: Cargo::Report(number, vec![(number, at)]),
            }),
        }
    }

    fn told(&mut self, at: Instant, from: u64, arrivals: &[(u64, Instant)]) {
        match &mut self.sender {
            Sender::Media(media) => media.told(at, from, arrivals),
            Sender::Tcp(tcp) => {
                for (number, _) in arrivals {
                    tcp.acknowledged(at, *number);
                }
            }
        }
    }

    fn sampled(&mut self, at: f64) -> Sample {
        let sample = std::mem::take(&mut self.sample);
        let estimate = match &self.sender {
            Sender::Media(media) => media.estimate() as f64,
            Sender::Tcp(_) => 0.0,
        };
        Sample {
            at,
            estimate,
            arrived: sample.arrived * 10.0,
            queued: sample.queued,
        }
    }
}
