//! What the owner hands in.

use std::sync::Arc;
use std::time::Instant;

use umbrella_media::{Packet, SenderReport, Spatial};

use crate::api::{ProducerId, Report};
use crate::arena::Key;
use crate::producer::{KeyFrameRequest, Origin, Producer};
use crate::source::{Local, SourceClock, SourceOptions, SourcePacket};

use super::Worker;

impl Worker {
    pub(super) fn open_source(&mut self, id: ProducerId, options: &SourceOptions) {
        if self.producer_keys.contains_key(&id) {
            return;
        }
        let codec = options.codec;
        let origin = Origin::Local(Local::new(options));
        let history = self.config.limits.history;
        let producer = Producer::new(id, origin, codec.kind(), &[], options.stereo, history);
        let mut producer = producer.keep(Some(options.cache));
        // Sections can be asked for before there is a packet.
        producer.codec = Some(codec);
        let key = self.producers.insert(producer);
        self.producer_keys.insert(id, key);
        let producer = id;
        self.reports
            .push_back(Report::ProducerCodec { producer, codec });
    }

    /// Packets of a source. There is no look-up but the one by the name.
    pub(super) fn source_packets(
        &mut self,
        now: Instant,
        id: ProducerId,
        packets: Vec<SourcePacket>,
    ) {
        let Some(key) = self.producer_keys.get(&id).copied() else {
            return;
        };
        for packet in packets {
            self.source_packet(now, key, packet);
        }
    }

    fn source_packet(&mut self, now: Instant, key: Key<Producer>, handed: SourcePacket) {
        let Some(producer) = self.producers.get_mut(key) else {
            return;
        };
        let paused = producer.paused;
        let Origin::Local(local) = &mut producer.origin else {
            return;
        };
        if !local.accepts(&handed) {
            local.refused += 1;
            return;
        }
        if paused {
            return;
        }
        let codec = local.codec;
        let Some((seq, clock)) = local.number(now, &handed) else {
            return;
        };
        let SourcePacket {
            encoding,
            timestamp,
            marker,
            payload,
            ..
        } = handed;
        let parser = producer.parser(encoding, None, encoding.index() as u32, codec, now);
        let descriptor = parser.parse(&payload, marker, None);
        let packet = Arc::new(Packet {
            seq,
            timestamp,
            marker,
            codec,
            encoding,
            descriptor,
            payload,
            received: now,
            audio_level: None,
            orientation: None,
            capture_time: None,
            playout_delay: None,
            dependency: None,
        });
        if let Some(clock) = clock {
            self.tell_clock(key, encoding, clock);
        }
        self.arrive(now, key, packet, false);
    }

    /// What the sender reports of other publishers say, once a second.
    fn tell_clock(&mut self, key: Key<Producer>, encoding: Spatial, clock: SourceClock) {
        let report = SenderReport {
            time: self.clock.since_unix(clock.at),
            rtp: clock.rtp,
        };
        if let Some(producer) = self.producers.get_mut(key) {
            producer.report_on(encoding, report);
        }
        self.set_clocks(key);
        self.relay_state(key);
    }

    /// What comes next of an encoding of a source does not go on where it was.
    pub(super) fn restart_source(&mut self, now: Instant, id: ProducerId, encoding: Spatial) {
        let Some(key) = self.producer_keys.get(&id).copied() else {
            return;
        };
        // What has come so far belongs before the change.
        self.forward_burst(now, key);
        let Some(producer) = self.producers.get_mut(key) else {
            return;
        };
        let Origin::Local(local) = &mut producer.origin else {
            return;
        };
        if !local.has(encoding) {
            return;
        }
        local.restart(encoding);
        producer.forget(encoding);
        self.restart_encoding(key, encoding);
        self.relay_restart(key, Some(encoding));
    }

    /// Tells the owner that key frames of a source are missed.
    pub(super) fn ask_owner(&mut self, producer: ProducerId, requests: &[KeyFrameRequest]) {
        for request in requests {
            let encoding = request.encoding;
            self.reports
                .push_back(Report::KeyFrameWanted { producer, encoding });
        }
    }
}
