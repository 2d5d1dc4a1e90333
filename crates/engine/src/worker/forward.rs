//! From a producer to its consumers, and back for what they ask for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::media::Mid;
use umbrella_media::codec::red;
use umbrella_media::{Codec, Layers, Packet, Spatial};

use crate::api::{ConsumerError, Report};
use crate::arena::Key;
use crate::clock::{PublisherClock, to_ntp};
use crate::consumer::{Consumer, Decision, Forward};
use crate::egress::{ClockPoint, StreamId};
use crate::producer::{KeyFrameRequest, Origin, Producer};
use crate::transport::{Touched, Transport, local};

use super::{Worker, touch};

/// Seconds from the NTP epoch (1900) to the Unix epoch.
const NTP_TO_UNIX: Duration = Duration::from_secs(2_208_988_800);
/// Shortest time between two key frame requests, whatever is configured.
const MIN_KEY_FRAME_INTERVAL: Duration = Duration::from_millis(10);

/// Packets that wait at a producer at most, if whoever drives the worker never polls.
const MAX_BURST: usize = 256;

/// The packets of one producer that arrived together, on their way to its consumers.
///
/// A consumer gets all of them before the next one gets any. With hundreds of consumers no cache
/// holds the state of all, so going through them packet by packet would fetch everything from
/// memory again for each packet.
struct Passage<'a> {
    now: Instant,
    producer: &'a Producer,
    clock: PublisherClock,
    burst: &'a [Arc<Packet>],
    /// The packets of the burst without redundancy, for whom it must be taken off.
    plain: Vec<Option<Arc<Packet>>>,
    reports: &'a mut VecDeque<Report>,
    /// Encodings of which a consumer misses a key frame.
    needs: [bool; Spatial::COUNT],
    /// Those who miss a key frame of a producer that keeps its last one.
    wishes: Vec<(Key<Consumer>, Spatial)>,
}

/// Where a consumer got stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passed {
    /// It has seen the whole burst.
    All { sent: bool },
    /// It does not know how the codec of this packet is announced.
    Stranger { at: usize },
}

impl Worker {
    /// Keeps a packet until [`Worker::forward_bursts`].
    pub(super) fn enqueue(&mut self, now: Instant, key: Key<Producer>, packet: Arc<Packet>) {
        let Some(producer) = self.producers.get_mut(key) else {
            return;
        };
        if producer.burst.is_empty() {
            self.bursts.push(key);
        }
        producer.burst.push(packet);
        if producer.burst.len() >= MAX_BURST {
            self.forward_burst(now, key);
        }
    }

    /// Sends what has come since the last time to all who want it.
    pub(super) fn forward_bursts(&mut self, now: Instant) {
        let mut keys = std::mem::take(&mut self.bursts);
        for key in keys.drain(..) {
            self.forward_burst(now, key);
        }
        self.bursts = keys;
    }

    /// Sends what has come from one producer to all who want it. To be called before anything
    /// changes that its packets have not seen.
    pub(super) fn forward_burst(&mut self, now: Instant, key: Key<Producer>) {
        let Some(producer) = self.producers.get_mut(key) else {
            return;
        };
        let mut burst = std::mem::take(&mut producer.burst);
        if !burst.is_empty() {
            self.forward(now, key, &burst);
            self.relay_burst(key, &burst);
        }
        burst.clear();
        if let Some(producer) = self.producers.get_mut(key) {
            producer.burst = burst; // its memory serves again
        }
    }

    fn forward(&mut self, now: Instant, key: Key<Producer>, burst: &[Arc<Packet>]) {
        let mut strangers = Vec::new();
        let Some(producer) = self.producers.get(key) else {
            return;
        };
        let clock = self.clock_of(producer);
        let reports = &mut self.reports;
        let mut passage = Passage::new(now, producer, clock, burst, reports);
        for route in &producer.routes {
            let Some(consumer) = self.consumers.get_mut(*route) else {
                continue;
            };
            let key = consumer.transport;
            let Some(transport) = self.transports.get_mut(key) else {
                continue;
            };
            match passage.pass(*route, consumer, transport) {
                Passed::All { sent: false } => continue,
                Passed::All { sent: true } => {}
                Passed::Stranger { at } => strangers.push((*route, at)),
            }
            let (transports, touched) = (&mut self.transports, &mut self.touched);
            touch(transports, touched, key, Touched::ToSend);
        }
        let (needs, wishes) = (passage.needs, passage.wishes);
        self.want_key_frames(now, key, needs);
        self.need_all(now, wishes);
        for (consumer, at) in strangers {
            self.forward_to_stranger(now, key, consumer, &burst[at..]);
        }
    }

    fn forward_to_stranger(
        &mut self,
        now: Instant,
        key: Key<Producer>,
        consumer_key: Key<Consumer>,
        burst: &[Arc<Packet>],
    ) {
        if !self.introduce(key, consumer_key, burst[0].codec) {
            return;
        }
        let Some(producer) = self.producers.get(key) else {
            return;
        };
        let clock = self.clock_of(producer);
        let Some(consumer) = self.consumers.get_mut(consumer_key) else {
            return;
        };
        let to = consumer.transport;
        let Some(transport) = self.transports.get_mut(to) else {
            return;
        };
        let mut passage = Passage::new(now, producer, clock, burst, &mut self.reports);
        let passed = passage.pass(consumer_key, consumer, transport);
        let (needs, wishes) = (passage.needs, passage.wishes);
        self.want_key_frames(now, key, needs);
        self.need_all(now, wishes);
        self.touch_to_send(to);
        if let Passed::Stranger { at } = passed
            && at > 0
        {
            // The codec has changed within the burst.
            self.forward_to_stranger(now, key, consumer_key, &burst[at..]);
        }
    }

    /// The layers that arrive have changed.
    pub(super) fn set_live(&mut self, now: Instant, key: Key<Producer>, live: Layers) {
        let Some(producer) = self.producers.get_mut(key) else {
            return;
        };
        let mut needs = Vec::new();
        for route in &producer.routes {
            if let Some(consumer) = self.consumers.get_mut(*route) {
                consumer.set_live(live);
                let needed = consumer.needs_key_frame();
                needs.extend(needed.map(|encoding| (*route, encoding)));
            }
        }
        self.need_all(now, needs);
    }

    /// Asks for what a consumer is missing.
    pub(super) fn want_for(&mut self, now: Instant, key: Key<Consumer>) {
        if let Some(consumer) = self.consumers.get(key)
            && let Some(encoding) = consumer.needs_key_frame()
        {
            self.need(now, key, encoding);
        }
    }

    /// A subscriber has lost the picture.
    pub(super) fn on_picture_loss(&mut self, now: Instant, key: Key<Transport>, stream: StreamId) {
        let streams = self.transports.get(key).map(|it| &it.streams);
        let Some(key) = streams.and_then(|streams| streams.get(&stream)).copied() else {
            return;
        };
        if let Some(consumer) = self.consumers.get(key)
            && let Some(encoding) = consumer.encoding().or_else(|| consumer.needs_key_frame())
        {
            self.need(now, key, encoding);
        }
    }

    /// A subscriber misses a packet.
    pub(super) fn resend(&mut self, now: Instant, key: Key<Transport>, stream: StreamId, seq: u64) {
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        let consumer = transport
            .streams
            .get(&stream)
            .and_then(|key| self.consumers.get(*key));
        let Some(consumer) = consumer else {
            return;
        };
        if let Some((encoding, source, outgoing, format)) = consumer.sent(seq)
            && let Some(producer) = self.producers.get(consumer.producer)
            && let Some(packet) = producer.packet(encoding, source)
        {
            transport
                .egress
                .resend(now, stream, packet, outgoing, format);
            self.touch_to_send(key);
        }
    }

    /// Sends the key frame requests that are due.
    pub(super) fn ask_for_key_frames(&mut self, now: Instant, key: Key<Producer>) {
        let interval = self
            .config
            .limits
            .key_frame_interval
            .max(MIN_KEY_FRAME_INTERVAL);
        let Some(producer) = self.producers.get_mut(key) else {
            return;
        };
        let id = producer.id;
        let due: Vec<_> = producer.due_requests(now, interval).collect();
        match producer.origin {
            Origin::Peer { .. } | Origin::Feed(_) | Origin::Local(_) if producer.paused => {}
            Origin::Peer { transport, mid } => self.ask_peer(now, transport, mid, &due),
            Origin::Feed(_) => self.ask_source(now, key, &due),
            Origin::Local(_) => self.ask_owner(id, &due),
            Origin::Mirror(_) => {
                let due: Vec<Spatial> = due.iter().map(|request| request.encoding).collect();
                self.tell_home(key, &due);
            }
        }
        self.schedule_requests(key);
    }

    /// How the media time of a producer relates to the time of day, to its consumers.
    pub(super) fn set_clocks(&mut self, key: Key<Producer>) {
        let Some(producer) = self.producers.get(key) else {
            return;
        };
        let publisher = self.clock_of(producer);
        for route in &producer.routes {
            if let Some(consumer) = self.consumers.get(*route)
                && let Some(transport) = self.transports.get_mut(consumer.transport)
            {
                set_clock(consumer, producer, publisher, transport);
            }
        }
    }

    fn ask_peer(
        &mut self,
        now: Instant,
        key: Key<Transport>,
        mid: Mid,
        requests: &[KeyFrameRequest],
    ) {
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        for request in requests {
            transport.request_key_frame(mid, request.rid);
        }
        self.pump(now, key);
        self.touch(key);
    }

    pub(super) fn clock_of(&self, producer: &Producer) -> PublisherClock {
        match &producer.origin {
            Origin::Peer { .. } | Origin::Feed(_) => {
                let transport = producer
                    .transport()
                    .and_then(|key| self.transports.get(key));
                transport.map_or_else(PublisherClock::default, |t| t.clock)
            }
            Origin::Mirror(mirror) => mirror.clock,
            Origin::Local(_) => PublisherClock::OURS,
        }
    }

    pub(super) fn want_key_frame(&mut self, now: Instant, key: Key<Producer>, encoding: Spatial) {
        let interval = self.config.limits.key_frame_interval;
        let Some(producer) = self.producers.get_mut(key) else {
            return;
        };
        if producer.is_mirror() && !producer.has(encoding) {
            // Perhaps nothing comes at all until somebody asks: a screen on which nothing moves.
            self.tell_home(key, &[encoding]);
            return;
        }
        producer.want_key_frame(now, encoding, interval);
        self.schedule_requests(key);
    }

    fn schedule_requests(&mut self, key: Key<Producer>) {
        if let Some(at) = self.producers.get(key).and_then(Producer::next_request) {
            self.requests.set(key, at);
        }
    }

    fn want_key_frames(&mut self, now: Instant, key: Key<Producer>, needs: [bool; Spatial::COUNT]) {
        for (encoding, needed) in (0..).map_while(Spatial::new).zip(needs) {
            if needed {
                self.want_key_frame(now, key, encoding);
            }
        }
    }

    /// Tells a consumer how the codec of its publisher is announced to its subscriber. False if
    /// it cannot be, which ends the consumer.
    pub(super) fn introduce(
        &mut self,
        key: Key<Producer>,
        consumer_key: Key<Consumer>,
        codec: Codec,
    ) -> bool {
        let Some(producer) = self.producers.get(key) else {
            return false;
        };
        let params = match &producer.origin {
            Origin::Mirror(mirror) => mirror.params(codec),
            Origin::Local(_) => local::params(codec),
            Origin::Peer { .. } | Origin::Feed(_) => {
                let publisher = producer.transport();
                let publisher = publisher.and_then(|key| self.transports.get_mut(key));
                publisher.and_then(|publisher| publisher.params_from(key, codec))
            }
        };
        let Some(consumer) = self.consumers.get_mut(consumer_key) else {
            return false;
        };
        let Some(mid) = consumer.mid() else {
            return false; // it waits for its section
        };
        let subscriber = self.transports.get_mut(consumer.transport);
        let formats = subscriber
            .zip(params)
            .and_then(|(t, params)| t.formats(mid, codec, &params));
        match formats {
            Some(formats) => {
                consumer.set_formats(formats);
                true
            }
            None => {
                self.fail_consumer(consumer_key, ConsumerError::CodecUnsupported(codec));
                false
            }
        }
    }
}

impl<'a> Passage<'a> {
    fn new(
        now: Instant,
        producer: &'a Producer,
        clock: PublisherClock,
        burst: &'a [Arc<Packet>],
        reports: &'a mut VecDeque<Report>,
    ) -> Self {
        Passage {
            now,
            producer,
            clock,
            burst,
            plain: Vec::new(),
            reports,
            needs: [false; Spatial::COUNT],
            wishes: Vec::new(),
        }
    }

    /// Takes the burst to one consumer.
    fn pass(
        &mut self,
        key: Key<Consumer>,
        consumer: &mut Consumer,
        transport: &mut Transport,
    ) -> Passed {
        let mut any = false;
        for (at, packet) in self.burst.iter().enumerate() {
            match consumer.admit(packet, &self.producer.reports) {
                Decision::Send(forward) => {
                    any = true;
                    self.send(consumer, transport, &forward, at);
                    if forward.begins {
                        let egress = &mut transport.egress;
                        egress.forget_before(forward.stream, forward.outgoing.seq);
                        self.begin(consumer, transport, at);
                    }
                }
                Decision::Skip {
                    needs: Some(needed),
                } if self.producer.cache.is_some() => {
                    if self.wishes.last().is_none_or(|(last, _)| *last != key) {
                        self.wishes.push((key, needed));
                    }
                }
                Decision::Skip { needs } => self.need(needs),
                Decision::FormatUnknown => return Passed::Stranger { at },
            }
        }
        Passed::All { sent: any }
    }

    fn send(
        &mut self,
        consumer: &Consumer,
        transport: &mut Transport,
        forward: &Forward,
        at: usize,
    ) {
        if forward.first {
            let consumer = consumer.id;
            self.reports.push_back(Report::ConsumerStarted { consumer });
        }
        let now = self.now;
        let packet = match forward.formats.strip {
            true => self.plain(at),
            false => &self.burst[at],
        };
        write(now, transport, forward, packet);
    }

    /// An encoding begins for a consumer: what has come of it since must follow. The packet of
    /// the burst with which it begins was late, and without the later ones that were there before
    /// it the picture would have a hole.
    fn begin(&mut self, consumer: &mut Consumer, transport: &mut Transport, at: usize) {
        set_clock(consumer, self.producer, self.clock, transport);
        let first = &self.burst[at];
        let to_come = &self.burst[at + 1..];
        for packet in self.producer.after(first.encoding, first.seq) {
            if to_come.iter().any(|other| Arc::ptr_eq(other, packet)) {
                continue;
            }
            match consumer.admit(packet, &self.producer.reports) {
                Decision::Send(forward) => {
                    let stripped = forward.formats.strip.then(|| without_redundancy(packet));
                    let packet = stripped.as_ref().unwrap_or(packet);
                    write(self.now, transport, &forward, packet);
                }
                Decision::Skip { needs } => self.need(needs),
                Decision::FormatUnknown => return,
            }
        }
    }

    fn need(&mut self, encoding: Option<Spatial>) {
        if let Some(encoding) = encoding {
            self.needs[encoding.index()] = true;
        }
    }

    /// A packet of the burst without redundancy; taken off once for all who need it.
    fn plain(&mut self, at: usize) -> &Arc<Packet> {
        if self.plain.is_empty() {
            self.plain.resize(self.burst.len(), None);
        }
        self.plain[at].get_or_insert_with(|| without_redundancy(&self.burst[at]))
    }
}

pub(super) fn write(
    now: Instant,
    transport: &mut Transport,
    forward: &Forward,
    packet: &Arc<Packet>,
) {
    let (outgoing, format) = (forward.outgoing, forward.formats.format);
    let egress = &mut transport.egress;
    egress.write(now, forward.stream, packet, outgoing, format);
}

/// Tells a consumer's egress how the media time of its producer relates to the time of day.
pub(super) fn set_clock(
    consumer: &Consumer,
    producer: &Producer,
    publisher: PublisherClock,
    transport: &mut Transport,
) {
    if let Some((stream, encoding, offset)) = consumer.timestamp_offset()
        && let Some(report) = producer.reports[encoding.index()]
        && let Some(ntp) = publisher.ours(to_ntp(report.time + NTP_TO_UNIX))
    {
        let rtp = report.rtp.wrapping_add(offset);
        transport.egress.set_clock(stream, ClockPoint { ntp, rtp });
    }
}

/// An audio packet for a subscriber that knows no redundancy: its newest block.
fn without_redundancy(packet: &Arc<Packet>) -> Arc<Packet> {
    match red::primary(&packet.payload) {
        Some(primary) => Arc::new(Packet {
            codec: Codec::Opus,
            payload: packet.payload.get(primary.range).unwrap_or_default().into(),
            ..Packet::clone(packet)
        }),
        // End-to-end encryption may hide the structure: then nothing can be taken off.
        None => packet.clone(),
    }
}
