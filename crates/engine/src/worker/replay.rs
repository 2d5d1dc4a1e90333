//! The pictures since the last key frame, for those who begin to watch between two.
//!
//! Nothing waits in a queue meanwhile: a consumer has a place in its producer's cache, from which
//! its transport takes as much at a time as the path carries, until it has come up to what is live.
//! See `docs/decisions/0012-cameras-in-the-engine.md`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use umbrella_media::{Edge, GopCache, Packet, Spatial};

use crate::api::Report;
use crate::arena::Key;
use crate::consumer::{Consumer, Decision};
use crate::producer::Producer;
use crate::transport::Transport;
use crate::transport::replays::{Extent, Replays};

use super::Worker;
use super::forward::{set_clock, write};

/// A replay that will not have come up to what is live this long after its beginning …
const TRIAL: Duration = Duration::from_secs(1);
/// … and will not have in this time either is given up: what it shows is old, and holds up others.
const PATIENCE: Duration = Duration::from_secs(1);
/// However near it is: something has stood in its way, and a picture that stands is worse than one
/// that begins with the next key frame.
const LONGEST: Duration = Duration::from_secs(5);

/// A picture that stands until the next key frame may be so old.
const STILL: Duration = Duration::from_secs(60);
/// Of a path that nothing is known of yet.
const ROUND_TRIP: Duration = Duration::from_millis(50);

/// How far a replay has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A picture of so many bytes was sent.
    Sent(usize),
    /// There is nothing more to be sent of it.
    Over,
}

impl Worker {
    /// A consumer misses a key frame: it gets the last one, or the publisher is asked for another.
    pub(super) fn need(&mut self, now: Instant, key: Key<Consumer>, encoding: Spatial) {
        if self.begin_replay(now, key, encoding) {
            return;
        }
        if let Some(producer) = self.consumers.get(key).map(|it| it.producer) {
            self.want_key_frame(now, producer, encoding);
        }
    }

    pub(super) fn need_all(&mut self, now: Instant, needs: Vec<(Key<Consumer>, Spatial)>) {
        for (consumer, encoding) in needs {
            self.need(now, consumer, encoding);
        }
    }

    /// False if a consumer has to wait for the next key frame.
    fn begin_replay(&mut self, now: Instant, key: Key<Consumer>, encoding: Spatial) -> bool {
        let Some(consumer) = self.consumers.get(key) else {
            return true; // nobody waits any more
        };
        let (to, from) = (consumer.transport, consumer.producer);
        let Some(producer) = self.producers.get(from) else {
            return true;
        };
        let cache = producer.cache.as_ref();
        let Some(first) = cache.and_then(|cache| cache.first(encoding)) else {
            return false;
        };
        // Who has lost the picture would lose it again where the cache has a hole.
        let lost = consumer.encoding() == Some(encoding);
        let sound = |it: &GopCache| it.is_whole(encoding) && !it.is_cut(encoding);
        let useless = lost && !cache.is_some_and(sound) || is_old(cache, now, encoding);
        let round_trip = self
            .transports
            .get(to)
            .and_then(|it| it.egress.round_trip());
        let round_trip = round_trip.unwrap_or(ROUND_TRIP);
        if useless || !consumer.may_replay(now, encoding, first.seq, round_trip) {
            // What is under way need not be asked for.
            return consumer.is_replaying(encoding);
        }
        let (seq, codec) = (first.seq, first.codec);
        let waits = cache.map_or(0, |cache| bits(cache.bytes_of(encoding)));
        let Some(extent) = self.affordable(now, to, consumer, producer, encoding) else {
            return false;
        };
        if !consumer.knows(codec) && !self.introduce(from, key, codec) {
            return self.consumers.get(key).is_none();
        }
        let Some(transport) = self.transports.get_mut(to) else {
            return true;
        };
        let Some(consumer) = self.consumers.get_mut(key) else {
            return true;
        };
        consumer.begin_replay(now, encoding, seq, extent);
        let informed = transport.egress.bandwidth().is_informed();
        transport.replays.begin(now, key, informed);
        transport.replays.expect(waits);
        transport.allotment.look_at(now); // more is in demand
        self.touch_to_send(to);
        true
    }

    /// How much of a replay a path carries within a second. Of one on which nothing has been held
    /// back so far not enough is known to say no.
    fn affordable(
        &self,
        now: Instant,
        to: Key<Transport>,
        consumer: &Consumer,
        producer: &Producer,
        encoding: Spatial,
    ) -> Option<Extent> {
        let (transport, cache) = (self.transports.get(to)?, producer.cache.as_ref()?);
        let (allotment, bandwidth) = (&transport.allotment, transport.egress.bandwidth());
        let black = consumer.encoding().is_none();
        if cache.is_cut(encoding) {
            return black.then_some(Extent::KeyFrame);
        }
        if !allotment.holds_back() || allotment.has_plenty(bandwidth) {
            return Some(Extent::Everything);
        }
        let whole = bits(cache.bytes_of(encoding));
        let spare = Replays::rate(now, bandwidth, now).saturating_sub(producer.rates.total(now));
        if whole <= spare {
            return Some(Extent::Everything);
        }
        let picture = cache.key_frame(encoding).map(|it| GopCache::cost(it)).sum();
        (black && bits(picture) <= bandwidth.estimate()).then_some(Extent::KeyFrame)
    }

    /// Sends as much of what waits in caches as a path carries now.
    pub(super) fn replay(&mut self, now: Instant, to: Key<Transport>) {
        let Some(transport) = self.transports.get_mut(to) else {
            return;
        };
        if transport.replays.is_empty() {
            return;
        }
        let bandwidth = transport.egress.bandwidth();
        transport.replays.fill(now, bandwidth);
        let mut waiting = transport.replays.take();
        // First a picture for everybody, …
        waiting.retain(|key| {
            let begun = self.consumers.get(*key).is_some_and(Consumer::has_begun);
            if begun || !self.has_room(to, Replays::ROOM) {
                return true;
            }
            match self.replay_picture(now, *key) {
                Step::Sent(bytes) => {
                    self.spend(to, bytes);
                    true
                }
                Step::Over => false,
            }
        });
        // … then one after the other.
        self.give_up(now, to, &mut waiting);
        let mut current = waiting.first().copied();
        while let Some(key) = current.filter(|_| self.may_send_more(to)) {
            match self.replay_picture(now, key) {
                Step::Sent(bytes) => self.spend(to, bytes),
                Step::Over => {
                    waiting.remove(0);
                    current = waiting.first().copied();
                }
            }
        }
        let left = waiting.iter().filter_map(|key| self.left(*key)).sum();
        if let Some(transport) = self.transports.get_mut(to) {
            transport.replays.put_back(waiting, left);
        }
    }

    fn spend(&mut self, to: Key<Transport>, bytes: usize) {
        if let Some(transport) = self.transports.get_mut(to) {
            transport.replays.spend(bytes);
        }
    }

    fn has_room(&self, to: Key<Transport>, most: usize) -> bool {
        let transport = self.transports.get(to);
        transport.is_some_and(|it| it.egress.waiting() < most)
    }

    fn may_send_more(&self, to: Key<Transport>) -> bool {
        let transport = self.transports.get(to);
        transport.is_some_and(|it| it.replays.may_send()) && self.has_room(to, Replays::NEXT)
    }

    /// Bits of a replay that are still to be sent.
    fn left(&self, key: Key<Consumer>) -> Option<u64> {
        let consumer = self.consumers.get(key)?;
        let producer = self.producers.get(consumer.producer)?;
        let (encoding, sent) = consumer.replayed()?;
        let whole = producer.cache.as_ref()?.bytes_of(encoding);
        Some(bits(whole.saturating_sub(sent)))
    }

    /// Ends those that would take too long.
    fn give_up(&mut self, now: Instant, to: Key<Transport>, waiting: &mut Vec<Key<Consumer>>) {
        let Some(transport) = self.transports.get(to) else {
            return;
        };
        let rate = transport
            .replays
            .current_rate(now, transport.egress.bandwidth());
        let mut before = 0;
        waiting.retain(|key| {
            let Some(left) = self.left(*key) else {
                return true; // it ends by itself
            };
            let Some(consumer) = self.consumers.get_mut(*key) else {
                return false;
            };
            let live = self.producers.get(consumer.producer);
            let live = live.map_or(0, |producer| producer.rates.total(now));
            let spare = rate.saturating_sub(live);
            let in_time = before + left <= spare * PATIENCE.as_secs();
            let limit = match in_time || !consumer.has_begun() {
                true => LONGEST,
                false => TRIAL,
            };
            if !consumer.replays_since(now, limit) {
                before += left;
                return true;
            }
            consumer.abandon_replay();
            false
        });
    }

    /// Sends the next picture of a replay.
    fn replay_picture(&mut self, now: Instant, key: Key<Consumer>) -> Step {
        let Some(from) = self.consumers.get(key).map(|it| it.producer) else {
            return Step::Over;
        };
        let Some(producer) = self.producers.get(from) else {
            return Step::Over;
        };
        let clock = self.clock_of(producer);
        let Some(consumer) = self.consumers.get_mut(key) else {
            return Step::Over;
        };
        let Some(transport) = self.transports.get_mut(consumer.transport) else {
            return Step::Over;
        };
        let Some((encoding, next, extent)) = consumer.next_of_replay(producer.cache.as_ref())
        else {
            consumer.abandon_replay();
            return Step::Over;
        };
        let mut bytes = 0;
        for packet in picture(producer, encoding, next) {
            let newest = producer.cache.as_ref().and_then(|it| it.newest(encoding));
            let newest = newest.unwrap_or(packet);
            bytes += GopCache::cost(packet);
            match consumer.admit_again(packet, &producer.reports, Edge { newest, now }) {
                Decision::Send(forward) => {
                    if forward.first {
                        let consumer = consumer.id;
                        self.reports.push_back(Report::ConsumerStarted { consumer });
                    }
                    write(now, transport, &forward, packet);
                    if forward.begins {
                        let egress = &mut transport.egress;
                        egress.forget_before(forward.stream, forward.outgoing.seq);
                        set_clock(consumer, producer, clock, transport);
                    }
                }
                Decision::Skip { .. } => {}
                Decision::FormatUnknown => {
                    consumer.abandon_replay();
                    return Step::Over;
                }
            }
        }
        if bytes == 0 {
            consumer.end_replay();
            return Step::Over;
        }
        if consumer.encoding() != Some(encoding) {
            consumer.end_replay(); // it does not want it any more
            return Step::Over;
        }
        if extent == Extent::KeyFrame {
            consumer.abandon_replay();
            return Step::Over;
        }
        Step::Sent(bytes)
    }
}

/// Whether all that is kept is a picture of so long ago that nobody would take it for what happens.
fn is_old(cache: Option<&GopCache>, now: Instant, encoding: Spatial) -> bool {
    let cut = cache.filter(|cache| cache.is_cut(encoding));
    let first = cut.and_then(|cache| cache.first(encoding));
    first.is_some_and(|it| now.saturating_duration_since(it.received) > STILL)
}

/// The packets of the picture to which a number belongs, from that on.
fn picture(producer: &Producer, encoding: Spatial, seq: u64) -> impl Iterator<Item = &Arc<Packet>> {
    let cache = producer.cache.iter();
    let mut packets = cache
        .flat_map(move |cache| cache.from(encoding, seq))
        .peekable();
    let timestamp = packets.peek().map(|first| first.timestamp);
    packets.take_while(move |packet| Some(packet.timestamp) == timestamp)
}

fn bits(bytes: usize) -> u64 {
    bytes as u64 * 8
}
