//! A room on several workers: producers that live on another one.
//!
//! A worker with a subscriber of such a producer keeps a *mirror* of it: a producer whose packets
//! come from the producer's home through the owner of both, each packet once however many
//! subscribers there are. The payload is shared, never copied. The mirror has its own history, so
//! a resend never leaves its worker; only wishes for key frames go home.
//!
//! A mirror is made by its first consumer and ends with its last, or with the producer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::format::PayloadParams;
use umbrella_media::{
    Codec, Delivery, GopCache, GopLimits, Kind, Layers, Packet, Reports, Spatial,
};

use crate::api::{ConsumerId, ProducerId, TransportId};
use crate::arena::Key;
use crate::clock::PublisherClock;
use crate::consumer::Outlet;
use crate::producer::{Origin, Producer};
use crate::transport::{Source, Transport, local};

use super::Worker;

/// A home that does not answer is asked again after this time: it may learn of its producer
/// later than we do …
const RETRY: Duration = Duration::from_millis(100);
/// … but not for ever.
const ATTEMPTS: u32 = 100;

/// What one worker has to say to another about a producer; carried by their owner
/// ([`Worker::poll_relay`], [`Input::Relay`](crate::Input::Relay)).
#[derive(Debug, Clone)]
pub struct Relay {
    producer: ProducerId,
    message: Message,
}

#[derive(Debug, Clone)]
enum Message {
    /// To the home: a mirror has begun; the answer is [`Message::State`].
    Wanted,
    /// To the home: the mirror has ended.
    Unwanted,
    /// To the home: somebody needs a key frame of this encoding.
    KeyFrameWanted(Spatial),
    /// To mirrors: what else there is to know.
    State(Box<State>),
    /// To mirrors: what comes next of this encoding (of all of them) does not go on where it was.
    Restarted(Option<Spatial>),
    /// To mirrors: packets that arrived together.
    Packets(Arc<[Arc<Packet>]>),
    /// To a mirror: what has come since the last key frames, for its cache.
    Cached(Box<GopCache>),
    /// To mirrors: the producer has ended.
    Closed,
}

/// What consumers need to know of their producer besides its packets.
#[derive(Debug, Clone)]
struct State {
    kind: Kind,
    stereo: bool,
    codec: Option<Codec>,
    live: Layers,
    /// How the publisher announces what it sends.
    formats: Vec<(Codec, PayloadParams)>,
    reports: Reports,
    clock: PublisherClock,
    cache: Option<GopLimits>,
}

/// A producer's life as a mirror.
#[derive(Debug)]
pub(crate) struct Mirror {
    home: usize,
    pub(crate) clock: PublisherClock,
    /// What arrives at the home, as it last said.
    pub(crate) live: Layers,
    formats: Vec<(Codec, PayloadParams)>,
}

/// A mirror whose home has not answered yet, and who waits for it.
#[derive(Debug)]
pub(super) struct Awaited {
    home: usize,
    attempts: u32,
    consumers: Vec<Waiting>,
}

/// A consumer that is to be opened.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: ConsumerId,
    pub(super) transport: TransportId,
    pub(super) outlet: Outlet,
    pub(super) delivery: Delivery,
}

impl Relay {
    /// Whether it is media: where there is no room for all, this goes first, and is missed as
    /// packets on the way are.
    pub fn is_media(&self) -> bool {
        match self.message {
            Message::Packets(_) | Message::Cached(_) => true,
            Message::Wanted
            | Message::Unwanted
            | Message::KeyFrameWanted(_)
            | Message::State(_)
            | Message::Restarted(_)
            | Message::Closed => false,
        }
    }
}

impl Mirror {
    pub(super) fn params(&self, codec: Codec) -> Option<PayloadParams> {
        let mut formats = self.formats.iter();
        formats
            .find(|(of, _)| *of == codec)
            .map(|(_, params)| *params)
    }

    /// The home announces one codec at a time: whoever alternates is known with all.
    fn learn(&mut self, state: &State) {
        self.clock = state.clock;
        self.live = state.live;
        for (codec, params) in &state.formats {
            self.formats.retain(|(known, _)| known != codec);
            self.formats.push((*codec, *params));
        }
    }
}

/// Between workers.
impl Worker {
    /// What is to be told another worker: which one, by the owner's numbers, and what.
    pub fn poll_relay(&mut self) -> Option<(usize, Relay)> {
        self.relays.pop_front()
    }

    pub(super) fn handle_relay(&mut self, now: Instant, from: usize, relay: Relay) {
        let Relay { producer, message } = relay;
        let key = self.producer_keys.get(&producer).copied();
        match (message, key) {
            (Message::State(state), key) => self.on_state(now, producer, from, key, &state),
            (Message::Wanted, Some(key)) => self.add_mirror(now, key, from),
            (Message::Unwanted, Some(key)) => {
                if let Some(producer) = self.producers.get_mut(key) {
                    producer.mirrors.retain(|mirror| *mirror != from);
                }
            }
            (Message::KeyFrameWanted(encoding), Some(key)) => {
                self.forward_burst(now, key);
                self.send_cached(key, from, |it| it == encoding);
                self.want_key_frame(now, key, encoding);
            }
            (Message::Restarted(encoding), Some(key)) => self.on_restarted(now, key, encoding),
            (Message::Packets(packets), Some(key)) => self.on_mirrored(now, key, &packets),
            (Message::Cached(cache), Some(key)) => self.on_cached(now, key, &cache),
            (Message::Closed, Some(key)) => self.close_producer(key),
            // It has ended here meanwhile, or is not known yet: then the mirror asks again.
            (
                Message::Wanted
                | Message::Unwanted
                | Message::KeyFrameWanted(_)
                | Message::Restarted(_)
                | Message::Packets(_)
                | Message::Cached(_)
                | Message::Closed,
                None,
            ) => {}
        }
    }

    /// A consumer of a producer that lives on another worker.
    pub(super) fn await_mirror(
        &mut self,
        now: Instant,
        producer: ProducerId,
        home: usize,
        consumer: Waiting,
    ) {
        let awaited = self.awaited.entry(producer).or_insert_with(|| Awaited {
            home,
            attempts: 0,
            consumers: Vec::new(),
        });
        awaited.consumers.push(consumer);
        if awaited.consumers.len() == 1 {
            self.tell(home, producer, Message::Wanted);
            self.ask_homes_at = self.ask_homes_at.or(Some(now + RETRY));
        }
    }

    /// Asks those homes again that have not answered.
    pub(super) fn ask_homes(&mut self, now: Instant) {
        let Worker {
            awaited, relays, ..
        } = self;
        awaited.retain(|producer, awaited| {
            awaited.attempts += 1;
            let message = Message::Wanted;
            let producer = *producer;
            relays.push_back((awaited.home, Relay { producer, message }));
            awaited.attempts < ATTEMPTS
        });
        self.ask_homes_at = (!self.awaited.is_empty()).then(|| now + RETRY);
    }

    /// A consumer may still wait for its mirror.
    pub(super) fn waiting(&mut self, id: ConsumerId) -> Option<&mut Waiting> {
        let mut all = self.awaited.values_mut().flat_map(|a| &mut a.consumers);
        all.find(|waiting| waiting.id == id)
    }

    /// Nobody waits any more on behalf of what `gone` names.
    pub(super) fn stop_waiting(&mut self, gone: impl Fn(&Waiting) -> bool) {
        let Worker {
            awaited, relays, ..
        } = self;
        awaited.retain(|producer, awaited| {
            awaited.consumers.retain(|waiting| !gone(waiting));
            if awaited.consumers.is_empty() {
                let (producer, message) = (*producer, Message::Unwanted);
                relays.push_back((awaited.home, Relay { producer, message }));
            }
            !awaited.consumers.is_empty()
        });
    }

    /// A mirror whose last consumer has gone ends.
    pub(super) fn end_if_unused(&mut self, key: Key<Producer>) {
        let unused = self.producers.get(key).and_then(|producer| {
            let Origin::Mirror(mirror) = &producer.origin else {
                return None;
            };
            producer
                .routes
                .is_empty()
                .then_some((producer.id, mirror.home))
        });
        if let Some((producer, home)) = unused {
            self.close_producer(key);
            self.tell(home, producer, Message::Unwanted);
        }
    }

    /// Wishes for key frames go home.
    pub(super) fn tell_home(&mut self, key: Key<Producer>, encodings: &[Spatial]) {
        let Some(producer) = self.producers.get(key) else {
            return;
        };
        if let Origin::Mirror(mirror) = &producer.origin {
            let (home, producer) = (mirror.home, producer.id);
            for encoding in encodings {
                self.tell(home, producer, Message::KeyFrameWanted(*encoding));
            }
        }
    }

    /// Passes on what has arrived together.
    pub(super) fn relay_burst(&mut self, key: Key<Producer>, burst: &[Arc<Packet>]) {
        self.tell_mirrors(key, || Message::Packets(burst.into()));
    }

    pub(super) fn relay_restart(&mut self, key: Key<Producer>, encoding: Option<Spatial>) {
        self.tell_mirrors(key, || Message::Restarted(encoding));
    }

    pub(super) fn relay_end(&mut self, producer: &Producer) {
        for mirror in &producer.mirrors {
            self.tell(*mirror, producer.id, Message::Closed);
        }
    }

    /// Something has changed that consumers must know.
    pub(super) fn relay_state(&mut self, key: Key<Producer>) {
        let mirrored = self
            .producers
            .get(key)
            .is_some_and(|p| !p.mirrors.is_empty());
        if mirrored && let Some(state) = self.state_of(key) {
            self.tell_mirrors(key, || Message::State(Box::new(state.clone())));
        }
    }

    fn add_mirror(&mut self, now: Instant, key: Key<Producer>, to: usize) {
        // What has come so far is in the cache, and must not come there a second time.
        self.forward_burst(now, key);
        let Some(state) = self.state_of(key) else {
            return;
        };
        let Some(producer) = self.producers.get_mut(key) else {
            return;
        };
        let new = !producer.mirrors.contains(&to);
        if new {
            producer.mirrors.push(to);
        }
        let id = producer.id;
        self.tell(to, id, Message::State(Box::new(state)));
        if new {
            self.send_cached(key, to, |_| true);
        }
    }

    /// Sends a mirror what it has not, or has lost: a queue between workers may be full.
    fn send_cached(&mut self, key: Key<Producer>, to: usize, wanted: impl Fn(Spatial) -> bool) {
        let Some(producer) = self.producers.get(key) else {
            return;
        };
        if let Some(cache) = &producer.cache {
            let mut cached = GopCache::new(cache.limits());
            cached.adopt(cache, wanted);
            if cached.bytes() > 0 {
                self.tell(to, producer.id, Message::Cached(Box::new(cached)));
            }
        }
    }

    /// `None` for what is a mirror itself.
    fn state_of(&mut self, key: Key<Producer>) -> Option<State> {
        let producer = self.producers.get(key)?;
        if producer.is_mirror() {
            return None;
        }
        // A feed may have no source yet.
        let transport = producer.transport();
        let transport = transport.and_then(|key| self.transports.get_mut(key));
        let (formats, clock) = match (transport, &producer.origin) {
            (Some(transport), _) => (sent_by(transport, key), transport.clock),
            (None, Origin::Local(local)) => {
                let params = local::params(local.codec).map(|params| (local.codec, params));
                (params.into_iter().collect(), PublisherClock::OURS)
            }
            (None, Origin::Peer { .. } | Origin::Mirror(_) | Origin::Feed(_)) => Default::default(),
        };
        Some(State {
            kind: producer.kind,
            stereo: producer.stereo,
            codec: producer.codec,
            live: producer.live(),
            formats,
            reports: producer.reports,
            clock,
            cache: producer.cache.as_ref().map(GopCache::limits),
        })
    }

    fn on_state(
        &mut self,
        now: Instant,
        id: ProducerId,
        home: usize,
        key: Option<Key<Producer>>,
        state: &State,
    ) {
        let key = match key {
            Some(key) => key,
            None => {
                if !self.awaited.contains_key(&id) {
                    return; // whoever wanted it is gone, and has said so
                }
                let mirror = Mirror {
                    home,
                    clock: state.clock,
                    live: state.live,
                    formats: Vec::new(),
                };
                let origin = Origin::Mirror(mirror);
                let (kind, history) = (state.kind, self.config.limits.history);
                let producer = Producer::new(id, origin, kind, &[], state.stereo, history);
                let mut producer = producer.keep(state.cache);
                producer.codec = state.codec;
                let key = self.producers.insert(producer);
                self.producer_keys.insert(id, key);
                key
            }
        };
        let Some(producer) = self.producers.get_mut(key) else {
            return;
        };
        let Origin::Mirror(mirror) = &mut producer.origin else {
            return; // it lives here: some worker errs
        };
        mirror.learn(state);
        producer.reports = state.reports;
        self.set_clocks(key);
        if let Some(awaited) = self.awaited.remove(&id) {
            for waiting in awaited.consumers {
                let Waiting {
                    id: consumer,
                    transport,
                    outlet,
                    delivery,
                } = waiting;
                self.open_consumer(now, consumer, (transport, id, None), outlet, delivery);
            }
            self.end_if_unused(key);
        }
    }

    fn on_restarted(&mut self, now: Instant, key: Key<Producer>, encoding: Option<Spatial>) {
        self.forward_burst(now, key);
        let Some(producer) = self.producers.get_mut(key) else {
            return;
        };
        match encoding {
            Some(encoding) => {
                producer.forget(encoding);
                self.restart_encoding(key, encoding);
            }
            None => {
                if let Some(cache) = &mut producer.cache {
                    cache.clear();
                }
                self.restart_routes(key);
            }
        }
    }

    /// What a mirror would have, had it been there before and lost nothing. Nobody is sent it but as
    /// [`super::replay`] does.
    fn on_cached(&mut self, now: Instant, key: Key<Producer>, cached: &GopCache) {
        let Some(producer) = self.producers.get_mut(key) else {
            return;
        };
        if let Some(cache) = &mut producer.cache
            && matches!(producer.origin, Origin::Mirror(_))
        {
            cache.adopt(cached, |_| true);
        }
        for consumer in producer.routes.clone() {
            self.want_for(now, consumer);
        }
    }

    fn on_mirrored(&mut self, now: Instant, key: Key<Producer>, packets: &[Arc<Packet>]) {
        for packet in packets {
            let Some(producer) = self.producers.get_mut(key) else {
                return;
            };
            if !producer.is_mirror() {
                return; // it lives here: some worker errs
            }
            producer.parser(packet.encoding, None, 0, packet.codec, now);
            let Some(arrival) = producer.receive(now, packet) else {
                continue;
            };
            if let Some(live) = arrival.live {
                self.forward_burst(now, key);
                self.set_live(now, key, live);
            }
            self.enqueue(now, key, packet.clone());
        }
    }

    fn tell_mirrors(&mut self, key: Key<Producer>, message: impl Fn() -> Message) {
        let Some(producer) = self.producers.get(key) else {
            return;
        };
        let mut one = None;
        for mirror in &producer.mirrors {
            let message = one.get_or_insert_with(&message).clone();
            let producer = producer.id;
            self.relays
                .push_back((*mirror, Relay { producer, message }));
        }
    }

    fn tell(&mut self, worker: usize, producer: ProducerId, message: Message) {
        self.relays.push_back((worker, Relay { producer, message }));
    }
}

/// What a producer has sent, and how its transport announces that.
fn sent_by(transport: &mut Transport, producer: Key<Producer>) -> Vec<(Codec, PayloadParams)> {
    let mut sent: Vec<(Codec, u8)> = Vec::new();
    let theirs = |source: &&Source| source.producer == producer;
    for source in transport.sources.values().filter(theirs) {
        if !sent.iter().any(|(codec, _)| *codec == source.codec) {
            sent.push((source.codec, source.payload_type));
        }
    }
    sent.into_iter()
        .filter_map(|(codec, pt)| Some((codec, transport.params_of(pt)?)))
        .collect()
}
