//! From a producer to its consumers, and back for what they ask for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use umbrella_media::codec::red;
use umbrella_media::{Codec, Layers, Packet, Spatial};

use crate::api::{ConsumerError, Report};
use crate::arena::Key;
use crate::clock::to_ntp;
use crate::consumer::{Consumer, Decision};
use crate::egress::{ClockPoint, StreamId};
use crate::producer::Producer;
use crate::transport::{Touched, Transport};

use super::{Worker, touch};

/// Seconds from the NTP epoch (1900) to the Unix epoch.
const NTP_TO_UNIX: Duration = Duration::from_secs(2_208_988_800);
/// Shortest time between two key frame requests, whatever is configured.
const MIN_KEY_FRAME_INTERVAL: Duration = Duration::from_millis(10);

/// What one packet has left to do once all routes have seen it.
#[derive(Debug, Default)]
struct Aftermath {
    /// Encodings of which a consumer misses a key frame.
    needs: [bool; Spatial::COUNT],
    /// Consumers for which an encoding begins.
    begun: Vec<Key<Consumer>>,
    /// Consumers that do not know how the codec is announced.
    strangers: Vec<Key<Consumer>>,
}

impl Worker {
    /// Sends a packet to all who want it.
    pub(super) fn forward(&mut self, now: Instant, key: Key<Producer>, packet: &Arc<Packet>) {
        let mut after = Aftermath::default();
        let mut plain = None;
        let Some(producer) = self.producers.get(key) else {
            return;
        };
        for route in &producer.routes {
            let Some(consumer) = self.consumers.get_mut(*route) else {
                continue;
            };
            let forward = match consumer.admit(packet, &producer.reports) {
                Decision::Send(forward) => forward,
                Decision::Skip { needs } => {
                    if let Some(encoding) = needs {
                        after.needs[encoding.index()] = true;
                    }
                    continue;
                }
                Decision::FormatUnknown => {
                    after.strangers.push(*route);
                    continue;
                }
            };
            let sent = match forward.formats.strip {
                true => plain.get_or_insert_with(|| without_redundancy(packet)),
                false => packet,
            };
            if forward.first {
                let consumer = consumer.id;
                self.reports.push_back(Report::ConsumerStarted { consumer });
            }
            if forward.begins {
                after.begun.push(*route);
            }
            if let Some(transport) = self.transports.get_mut(consumer.transport) {
                let format = forward.formats.format;
                transport
                    .egress
                    .write(now, forward.stream, sent, forward.outgoing, format);
            }
            let (transports, touched) = (&mut self.transports, &mut self.touched);
            touch(transports, touched, consumer.transport, Touched::ToSend);
        }
        self.settle(now, key, packet, after);
    }

    /// The layers that arrive have changed.
    pub(super) fn set_live(&mut self, now: Instant, key: Key<Producer>, live: Layers) {
        let Some(producer) = self.producers.get_mut(key) else {
            return;
        };
        let interval = self.config.limits.key_frame_interval;
        for route in &producer.routes {
            if let Some(consumer) = self.consumers.get_mut(*route) {
                consumer.set_live(live);
            }
        }
        let needs = producer
            .routes
            .iter()
            .filter_map(|route| self.consumers.get(*route));
        let needs: Vec<Spatial> = needs.filter_map(Consumer::needs_key_frame).collect();
        for encoding in needs {
            producer.want_key_frame(now, encoding, interval);
        }
        self.schedule_requests(key);
    }

    /// Asks for what a consumer is missing.
    pub(super) fn want_for(&mut self, now: Instant, key: Key<Consumer>) {
        if let Some(consumer) = self.consumers.get(key)
            && let Some(encoding) = consumer.needs_key_frame()
        {
            self.want_key_frame(now, consumer.producer, encoding);
        }
    }

    /// A subscriber has lost the picture.
    pub(super) fn on_picture_loss(&mut self, now: Instant, key: Key<Transport>, stream: StreamId) {
        let consumer = self
            .transports
            .get(key)
            .and_then(|t| t.streams.get(&stream));
        if let Some(consumer) = consumer.and_then(|key| self.consumers.get(*key))
            && let Some(encoding) = consumer.encoding().or_else(|| consumer.needs_key_frame())
        {
            self.want_key_frame(now, consumer.producer, encoding);
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
        let transport_key = producer.transport;
        let due: Vec<_> = producer.due_requests(now, interval).collect();
        if let Some(transport) = self
            .transports
            .get_mut(transport_key)
            .filter(|_| !producer.paused)
        {
            for request in due {
                transport.request_key_frame(request);
            }
            self.pump(now, transport_key);
            self.touch(transport_key);
        }
        self.schedule_requests(key);
    }

    /// How the media time of a producer relates to the time of day, to its consumers.
    pub(super) fn set_clocks(&mut self, key: Key<Producer>) {
        let routes = self
            .producers
            .get(key)
            .map(|producer| producer.routes.clone());
        for route in routes.unwrap_or_default() {
            self.set_clock(route);
        }
    }

    fn set_clock(&mut self, key: Key<Consumer>) {
        let Some(consumer) = self.consumers.get(key) else {
            return;
        };
        let Some(producer) = self.producers.get(consumer.producer) else {
            return;
        };
        let publisher = self.transports.get(producer.transport).map(|t| t.clock);
        let offset = consumer.timestamp_offset();
        if let Some((stream, encoding, offset)) = offset
            && let Some(report) = producer.reports[encoding.index()]
            && let Some(ntp) = publisher.and_then(|c| c.ours(to_ntp(report.time + NTP_TO_UNIX)))
            && let Some(transport) = self.transports.get_mut(consumer.transport)
        {
            let rtp = report.rtp.wrapping_add(offset);
            transport.egress.set_clock(stream, ClockPoint { ntp, rtp });
        }
    }

    fn want_key_frame(&mut self, now: Instant, key: Key<Producer>, encoding: Spatial) {
        let interval = self.config.limits.key_frame_interval;
        if let Some(producer) = self.producers.get_mut(key) {
            producer.want_key_frame(now, encoding, interval);
            self.schedule_requests(key);
        }
    }

    fn schedule_requests(&mut self, key: Key<Producer>) {
        if let Some(at) = self.producers.get(key).and_then(Producer::next_request) {
            self.requests.set(key, at);
        }
    }

    fn settle(&mut self, now: Instant, key: Key<Producer>, packet: &Arc<Packet>, after: Aftermath) {
        for (encoding, needed) in (0..).map_while(Spatial::new).zip(after.needs) {
            if needed {
                self.want_key_frame(now, key, encoding);
            }
        }
        for consumer in after.strangers {
            if self.introduce(key, consumer, packet.codec) {
                self.send_to(now, consumer, packet);
            }
        }
        for consumer in after.begun {
            self.catch_up(now, key, consumer, packet);
        }
    }

    /// Tells a consumer how the codec of its publisher is announced to its subscriber. False if
    /// it cannot be, which ends the consumer.
    fn introduce(&mut self, key: Key<Producer>, consumer_key: Key<Consumer>, codec: Codec) -> bool {
        let Some(producer) = self.producers.get(key) else {
            return false;
        };
        let payload_type = self
            .transports
            .get(producer.transport)
            .and_then(|transport| {
                let mut sources = transport.sources.values();
                sources
                    .find(|s| s.producer == key && s.codec == codec)
                    .map(|s| s.payload_type)
            });
        let publisher = self.transports.get_mut(producer.transport);
        let params = publisher
            .zip(payload_type)
            .and_then(|(t, pt)| t.params_of(pt));
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

    /// Sends what has come after the packet with which an encoding begins for a consumer: that
    /// packet was late, and without the later ones the picture would have a hole.
    fn catch_up(
        &mut self,
        now: Instant,
        key: Key<Producer>,
        consumer: Key<Consumer>,
        first: &Arc<Packet>,
    ) {
        self.set_clock(consumer);
        let Some(producer) = self.producers.get(key) else {
            return;
        };
        for packet in producer.after(first.encoding, first.seq) {
            self.send_to(now, consumer, &packet);
        }
    }

    /// Sends a packet to one consumer.
    fn send_to(&mut self, now: Instant, key: Key<Consumer>, packet: &Arc<Packet>) {
        let Some(consumer) = self.consumers.get_mut(key) else {
            return;
        };
        let Some(producer) = self.producers.get(consumer.producer) else {
            return;
        };
        let forward = match consumer.admit(packet, &producer.reports) {
            Decision::Send(forward) => forward,
            Decision::Skip { needs } => {
                if let Some(encoding) = needs {
                    let producer = consumer.producer;
                    self.want_key_frame(now, producer, encoding);
                }
                return;
            }
            Decision::FormatUnknown => return,
        };
        if forward.first {
            let consumer = consumer.id;
            self.reports.push_back(Report::ConsumerStarted { consumer });
        }
        let stripped = forward.formats.strip.then(|| without_redundancy(packet));
        let to = consumer.transport;
        if let Some(transport) = self.transports.get_mut(to) {
            let sent = stripped.as_ref().unwrap_or(packet);
            let format = forward.formats.format;
            transport
                .egress
                .write(now, forward.stream, sent, forward.outgoing, format);
        }
        self.touch_to_send(to);
        if forward.begins {
            self.set_clock(key);
        }
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
