//! What a worker says of itself: figures of everything, or sums.

use std::time::Instant;

use umbrella_media::{Kind, Spatial};

use crate::api::{ConsumerStatistics, Protocol, Report, Statistics, TransportStatistics};
use crate::consumer::{Consumer, Grant};
use crate::producer::Producer;
use crate::totals::{ByKind, Present, Totals};
use crate::transport::Transport;

use super::Worker;
use super::allocate::best_within;

/// Figures of everything: a list of all peers.
impl Worker {
    pub(super) fn report_statistics(&mut self, now: Instant) {
        let statistics = Box::new(self.statistics(now));
        self.reports.push_back(Report::Statistics(statistics));
    }

    fn statistics(&self, now: Instant) -> Statistics {
        let transports = self.transports.values();
        let homes = self
            .producers
            .values()
            .filter(|producer| !producer.is_mirror());
        Statistics {
            datagrams: self.counts.datagrams,
            bytes: self.counts.bytes,
            strays: self.counts.strays,
            transports: transports
                .map(|transport| TransportStatistics {
                    transport: transport.id,
                    connected: transport.is_connected(),
                    path: transport.connection.path(),
                    rtt: transport.egress.round_trip(),
                    bandwidth: bandwidth(transport),
                    received: transport.received,
                    sent: transport.sent,
                })
                .collect(),
            producers: homes
                .map(|producer| {
                    let home = producer
                        .transport()
                        .and_then(|key| self.transports.get(key));
                    producer.statistics(now, home.map(|it| it.id))
                })
                .collect(),
            consumers: self
                .consumers
                .values()
                .map(|consumer| self.consumer_statistics(now, consumer))
                .collect(),
        }
    }

    fn consumer_statistics(&self, now: Instant, consumer: &Consumer) -> ConsumerStatistics {
        let transport = self.transports.get(consumer.transport);
        let producer = self.producers.get(consumer.producer);
        let egress = transport.map(|transport| &transport.egress);
        let stream = consumer.stream().zip(egress);
        let figures = stream.and_then(|(stream, egress)| egress.statistics(now, stream));
        let figures = figures.unwrap_or_default();
        let wanted = consumer.wanted();
        ConsumerStatistics {
            consumer: consumer.id,
            transport: transport.map(|transport| transport.id),
            producer: producer.map(|producer| producer.id),
            kind: consumer.kind(),
            packets: figures.packets,
            bytes: figures.bytes,
            resent: figures.resent,
            lost: figures.lost,
            loss: figures.loss,
            jitter: figures.jitter,
            wanted,
            possible: producer
                .and_then(|it| best_within(it.live(), wanted.layer, consumer.target(it.live()))),
            starved: consumer.granted() == Grant::Nothing,
            layer: consumer.layer(),
            bitrate: figures.bitrate,
        }
    }
}

/// Sums: as many numbers for a thousand peers as for one.
impl Worker {
    pub(super) fn report_totals(&mut self) {
        let mut totals = self.past;
        totals.datagrams = self.counts.datagrams;
        totals.bytes = self.counts.bytes;
        totals.strays = self.counts.strays;
        for transport in self.transports.values() {
            totals.add_transport(transport);
        }
        for producer in self.producers.values() {
            totals.add_producer(producer);
        }
        for consumer in self.consumers.values() {
            totals.add_consumer(consumer);
        }
        self.keep_from_falling(&mut totals);
        totals.present = self.present();
        self.reports.push_back(Report::Totals(Box::new(totals)));
    }

    /// A packet that comes late was lost and no longer is: the count stands still until others
    /// are lost.
    fn keep_from_falling(&mut self, totals: &mut Totals) {
        for (said, lost) in [
            (&mut self.lost_said.audio, &mut totals.received.audio.lost),
            (&mut self.lost_said.video, &mut totals.received.video.lost),
        ] {
            *said = (*said).max(*lost);
            *lost = *said;
        }
    }

    fn present(&self) -> Present {
        let mut present = Present::default();
        for transport in self.transports.values() {
            let path = transport.connection.path();
            match path.filter(|_| transport.is_connected()) {
                None => present.connecting += 1,
                Some(path) => {
                    match path.protocol {
                        Protocol::Udp => present.udp += 1,
                        Protocol::Tcp => present.tcp += 1,
                    }
                    if !transport.streams.is_empty() {
                        present.paths.note(bandwidth(transport));
                    }
                }
            }
        }
        let producers = self.producers.values();
        present.producers = count(producers.filter(|it| !it.is_mirror()).map(|it| it.kind));
        present.consumers = count(self.consumers.values().map(Consumer::kind));
        let pictures = self.consumers.values();
        for consumer in pictures.filter(|consumer| consumer.kind() == Kind::Video) {
            present.paused += u64::from(consumer.granted() == Grant::Nothing);
            present.shown[shown(consumer.layer().map(|layer| layer.spatial))] += 1;
        }
        present
    }
}

/// What those add who end, and those who live.
impl Totals {
    pub(super) fn add_transport(&mut self, transport: &Transport) {
        self.sent = self.sent + transport.egress.sent();
        let counters = transport.egress.counters();
        self.asked_by_peers += counters.asked();
        self.nacks_ignored += counters.nacks_ignored;
        self.asked_of_peers += transport.connection.counters().asked;
    }

    pub(super) fn add_producer(&mut self, producer: &Producer) {
        // What a mirror gets has arrived at its home.
        if !producer.is_mirror() {
            *self.received.of_mut(producer.kind) += producer.received();
        }
    }

    pub(super) fn add_consumer(&mut self, consumer: &Consumer) {
        self.layer_switches += consumer.layer_switches();
    }
}

fn bandwidth(transport: &Transport) -> Option<u64> {
    let bandwidth = transport.egress.bandwidth();
    bandwidth.is_informed().then(|| bandwidth.estimate())
}

fn count(kinds: impl Iterator<Item = Kind>) -> ByKind<u64> {
    let mut counts = ByKind::default();
    for kind in kinds {
        *counts.of_mut(kind) += 1;
    }
    counts
}

/// The place in [`Present::shown`].
fn shown(layer: Option<Spatial>) -> usize {
    layer.map_or(0, |layer| 1 + layer.index().min(Spatial::COUNT - 1))
}
