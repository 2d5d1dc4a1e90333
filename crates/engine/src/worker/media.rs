//! From a publisher's packets and reports to its producer.

use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use str0m::media::SenderFeedback;
use str0m::rtp::{ExtensionValues, RtpPacket};
use umbrella_media::{AudioLevel, Kind, Packet, SenderReport, Spatial};

use crate::api::Report;
use crate::arena::Key;
use crate::clock::to_ntp;
use crate::producer::Producer;
use crate::transport::config::Dependency;
use crate::transport::{Source, Transport};

use super::Worker;

/// Seconds from the NTP epoch (1900) to the Unix epoch.
const NTP_TO_UNIX: u64 = 2_208_988_800;

impl Worker {
    /// A packet of a publisher.
    pub(super) fn on_rtp(&mut self, now: Instant, key: Key<Transport>, rtp: RtpPacket) {
        let Some(source) = self.source_of(key, &rtp) else {
            return;
        };
        let Some(producer) = self.producers.get_mut(source.producer) else {
            return;
        };
        if producer.paused {
            return;
        }
        let ssrc = *rtp.header.ssrc;
        let replaced = producer.is_replaced(source.encoding, ssrc, source.codec);
        if replaced {
            self.forward_burst(now, source.producer);
        }
        let Some(producer) = self.producers.get_mut(source.producer) else {
            return;
        };
        let dependency = rtp.header.ext_vals.user_values.get::<Dependency>();
        let parser = producer.parser(source.encoding, source.rid, ssrc, source.codec, now);
        let descriptor = parser.parse(
            &rtp.payload,
            rtp.header.marker,
            dependency.map(|dependency| &dependency.0[..]),
        );
        let dependency = dependency.map(|dependency| dependency.0.clone());
        let values = &rtp.header.ext_vals;
        let packet = Arc::new(Packet {
            seq: *rtp.seq_no,
            timestamp: rtp.header.timestamp,
            marker: rtp.header.marker,
            codec: source.codec,
            encoding: source.encoding,
            descriptor,
            received: now,
            audio_level: audio_level(values),
            orientation: values
                .video_orientation
                .map(|orientation| orientation as u8),
            capture_time: values.abs_capture_time.as_ref().map(capture_time),
            playout_delay: playout_delay(values),
            dependency,
            payload: rtp.payload,
        });
        self.arrive(now, source.producer, packet, replaced);
    }

    /// A packet of a producer that lives here. `replaced` says that it does not go on where its
    /// encoding was.
    pub(super) fn arrive(
        &mut self,
        now: Instant,
        key: Key<Producer>,
        packet: Arc<Packet>,
        replaced: bool,
    ) {
        let Some(producer) = self.producers.get_mut(key) else {
            return;
        };
        let Some(arrival) = producer.receive(now, &packet) else {
            return;
        };
        let (id, quiet) = (producer.id, producer.quiet);
        let audible = packet.audio_level.is_some() && producer.kind == Kind::Audio;
        if audible && !std::mem::replace(&mut producer.heard, true) {
            self.note_heard(now, key);
        }
        if let Some(codec) = arrival.codec {
            let producer = id;
            self.reports
                .push_back(Report::ProducerCodec { producer, codec });
            self.relay_state(key);
        }
        if replaced {
            self.restart_routes(key);
            self.relay_restart(key, Some(packet.encoding));
        }
        if let Some(live) = arrival.live {
            self.forward_burst(now, key);
            self.set_live(now, key, live);
        }
        if !quiet {
            self.enqueue(now, key, packet);
        }
    }

    /// Something is heard of a producer for the first time in this interval.
    fn note_heard(&mut self, now: Instant, key: Key<Producer>) {
        self.heard.push(key);
        let interval = self.config.limits.level_interval;
        self.levels_at = self.levels_at.or(Some(now + interval));
    }

    /// A sender report of a publisher.
    pub(super) fn on_sender_report(&mut self, key: Key<Transport>, feedback: &SenderFeedback) {
        let info = &feedback.sender_info;
        let Ok(since_unix) = info.ntp_time.duration_since(UNIX_EPOCH) else {
            return;
        };
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        let theirs = to_ntp(since_unix + std::time::Duration::from_secs(NTP_TO_UNIX));
        transport
            .clock
            .note(theirs, self.clock.ntp(feedback.received_at));
        let report = SenderReport {
            time: since_unix,
            rtp: info.rtp_time.numer() as u32,
        };
        let declared = match &transport.trunk {
            Some(trunk) => {
                let declared = trunk.declared(*info.ssrc);
                declared.map(|it| (it.producer, Some(it.encoding)))
            }
            None => {
                let section = transport.negotiation.inbound(&feedback.mid.to_string());
                let producer = section.and_then(|(inbound, _)| inbound.producer);
                producer.map(|producer| (producer, None))
            }
        };
        let Some((producer_key, encoding)) = declared else {
            return;
        };
        let Some(producer) = self.producers.get_mut(producer_key) else {
            return;
        };
        match encoding {
            Some(encoding) => producer.report_on(encoding, report),
            None => producer.report(feedback.rid, report),
        }
        self.set_clocks(producer_key);
        self.relay_state(producer_key);
    }

    /// Which encoding a packet is of; `None` if nobody has opened a producer for it.
    fn source_of(&mut self, key: Key<Transport>, rtp: &RtpPacket) -> Option<Source> {
        let ssrc = *rtp.header.ssrc;
        let payload_type = *rtp.header.payload_type;
        let transport = self.transports.get_mut(key)?;
        if let Some(source) = transport.sources.get(&ssrc)
            && source.payload_type == payload_type
        {
            return Some(*source);
        }
        let codec = transport.codec_of(payload_type)?;
        let known = transport.sources.get(&ssrc).copied();
        let source = match known {
            Some(source) => Source {
                payload_type,
                codec,
                ..source
            },
            None => {
                let (producer, encoding, rid) = match &transport.trunk {
                    Some(trunk) => {
                        let declared = trunk.declared(ssrc)?;
                        (declared.producer, declared.encoding, None)
                    }
                    None => {
                        let (mid, rid) = transport.stream_of(ssrc)?;
                        let producer = transport.negotiation.inbound(&mid)?.0.producer?;
                        let encoding = self.producers.get(producer)?.encoding_of(rid)?;
                        (producer, encoding, rid)
                    }
                };
                Source {
                    producer,
                    encoding,
                    rid,
                    payload_type,
                    codec,
                }
            }
        };
        // Sound where a picture was announced would confuse whoever looks.
        if transport.trunk.is_some() && self.producers.get(source.producer)?.kind != codec.kind() {
            return None;
        }
        transport.remember_source(ssrc, source);
        Some(source)
    }

    /// One encoding of what a publisher sends does not go on where it was.
    pub(super) fn restart_encoding(&mut self, key: Key<Producer>, encoding: Spatial) {
        let Some(producer) = self.producers.get(key) else {
            return;
        };
        for route in &producer.routes {
            if let Some(consumer) = self.consumers.get_mut(*route) {
                consumer.restart_encoding(encoding);
            }
        }
    }

    /// What a publisher sends does not go on where it was.
    pub(super) fn restart_routes(&mut self, key: Key<Producer>) {
        let Some(producer) = self.producers.get(key) else {
            return;
        };
        for route in &producer.routes {
            if let Some(consumer) = self.consumers.get_mut(*route) {
                consumer.restart();
            }
        }
    }
}

/// RFC 6464: str0m has it as a negative number of decibels.
fn audio_level(values: &ExtensionValues) -> Option<AudioLevel> {
    let level = values.audio_level?.unsigned_abs().min(127);
    Some(AudioLevel {
        level,
        voice: values.voice_activity.unwrap_or(false),
    })
}

/// As it is on the wire: NTP time, and perhaps the offset of the capturing clock.
fn capture_time(value: &str0m::rtp::AbsCaptureTime) -> Arc<[u8]> {
    let since_unix = value
        .capture_time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let ntp = to_ntp(since_unix + std::time::Duration::from_secs(NTP_TO_UNIX));
    match value.clock_offset {
        Some(offset) => [ntp.to_be_bytes(), offset.to_be_bytes()].concat().into(),
        None => ntp.to_be_bytes().as_slice().into(),
    }
}

/// In units of 10 ms.
fn playout_delay(values: &ExtensionValues) -> Option<(u16, u16)> {
    const MAX: f64 = 4095.0;
    let units = |seconds: f64| (seconds * 100.0).round().clamp(0.0, MAX) as u16;
    let (min, max) = (values.play_delay_min?, values.play_delay_max?);
    Some((units(min.as_seconds()), units(max.as_seconds())))
}
