//! One room on two workers.

use std::time::Duration;

use umbrella_engine::{ConsumerId, ProducerId, Relay, Report, Request};
use umbrella_media::Delivery;

use super::network::{Network, Track};
use super::peer::{Got, Publish};
use super::{SECOND, assert_seamless, connect, since, started, track};

/// How long a relay takes at most.
const TICK: Duration = Duration::from_millis(1);

/// Two workers, and what goes from one to the other.
pub(crate) struct House {
    pub(crate) nets: [Network; 2],
    /// Media relays from worker to worker so far.
    media: usize,
}

impl House {
    pub(crate) fn new(seed: u64) -> House {
        let mut first = Network::new(seed);
        let second = Network::beside(&mut first, seed + 1);
        House {
            nets: [first, second],
            media: 0,
        }
    }

    pub(crate) fn run(&mut self, time: Duration) {
        self.until(time, |_| false);
    }

    pub(crate) fn until(&mut self, limit: Duration, done: impl Fn(&House) -> bool) -> bool {
        let end = self.nets[0].now + limit;
        while !done(self) {
            if self.nets[0].now >= end {
                return false;
            }
            for net in &mut self.nets {
                net.run(TICK);
            }
            for from in 0..2 {
                while let Some((to, relay)) = self.nets[from].worker.poll_relay() {
                    self.media += usize::from(relay.is_media());
                    self.nets[to].take_relay(from, relay);
                }
            }
        }
        true
    }

    /// Packets that a peer of the second worker got since a moment.
    fn got(&self, peer: usize, at: std::time::Instant) -> Vec<Got> {
        since(&self.nets[1].peers[peer], at)
    }

    pub(crate) fn now(&self) -> std::time::Instant {
        self.nets[0].now
    }
}

/// A camera on the first worker, and a peer on the second that sees it.
fn watched(seed: u64, publish: Publish) -> (House, Track, usize, ConsumerId) {
    let mut house = House::new(seed);
    let camera = house.nets[0].join(&[publish], 0, 0);
    let viewer = house.nets[1].join(&[], 2, 2);
    house.nets.iter_mut().for_each(connect);
    let end = house.nets.iter().map(|net| net.now).max().unwrap();
    for net in &mut house.nets {
        net.run(end - net.now);
    }
    let mut track = track(&mut house.nets[0], camera, 0);
    let behind = house.nets[0].now - house.nets[1].now;
    house.nets[1].run(behind);
    track.home = Some(0);
    let consumer = house.nets[1].consume(viewer, &track, Delivery::FULL);
    let seen = |house: &House| started(&house.nets[1], consumer);
    assert!(house.until(3 * SECOND, seen), "nothing is seen");
    (house, track, viewer, consumer)
}

#[test]
fn nothing_is_seen_or_heard_of_somebody_on_another_worker() {
    for (seed, publish) in [
        (1, Publish::Video),
        (2, Publish::Simulcast),
        (3, Publish::Audio),
    ] {
        let (mut house, _, viewer, _) = watched(seed, publish);
        let at = house.now();
        house.run(3 * SECOND);
        let got = house.got(viewer, at);
        assert!(got.len() > 80, "{} packets", got.len());
        assert_seamless(&got);
        // The publisher's own figures are given once.
        house.nets[1].request(Request::Statistics);
        house.run(TICK);
        let none = house.nets[1].reports.iter().any(|report| match report {
            Report::Statistics(statistics) => statistics.producers.is_empty(),
            _ => false,
        });
        assert!(none);
    }
}

#[test]
fn every_viewer_costs_another_copy_between_workers() {
    let (mut house, track, _, _) = watched(4, Publish::Video);
    let count = |house: &mut House| {
        let before = house.media;
        house.run(2 * SECOND);
        house.media - before
    };
    let one = count(&mut house);
    for _ in 0..4 {
        let viewer = house.nets[1].join(&[], 0, 1);
        house.run(SECOND);
        house.nets[1].consume(viewer, &track, Delivery::FULL);
    }
    house.run(SECOND);
    let five = count(&mut house);
    assert!(
        one > 0 && five <= one + one / 10 + 2,
        "{one} for one, {five} for five"
    );
}

#[test]
fn somebody_who_comes_late_waits_for_a_key_frame_for_ever() {
    let (mut house, track, _, _) = watched(5, Publish::Video);
    house.run(3 * SECOND);
    let camera = track.peer;
    let asked = house.nets[0].peers[camera].key_frame_requests(0, 0);
    let late = house.nets[1].join(&[], 0, 1);
    house.run(SECOND);
    let at = house.now();
    let consumer = house.nets[1].consume(late, &track, Delivery::FULL);
    let seen = |house: &House| started(&house.nets[1], consumer);
    assert!(house.until(SECOND, seen));
    house.run(SECOND);
    let got = house.got(late, at);
    assert!(got.first().is_some_and(Got::is_key_frame));
    assert_seamless(&got);
    let asked = house.nets[0].peers[camera].key_frame_requests(0, 0) - asked;
    assert!((1..=2).contains(&asked), "asked {asked} times");
}

#[test]
fn a_screen_that_does_not_change_stays_black_on_another_worker() {
    let (mut house, track, viewer, consumer) = watched(11, Publish::Video);
    let camera = track.peer;
    house.run(2 * SECOND);
    house.nets[1].request(Request::CloseConsumer { consumer });
    house.nets[0].peers[camera].sending[0].paused = true;
    let before = house.nets[0].peers[camera].key_frame_requests(0, 0);
    house.run(SECOND);
    let asked = house.nets[0].peers[camera].key_frame_requests(0, 0);
    assert_eq!(asked, before, "nobody watches");
    let consumer = house.nets[1].consume(viewer, &track, Delivery::FULL);
    house.run(SECOND);
    let asked = house.nets[0].peers[camera].key_frame_requests(0, 0) - asked;
    assert!((1..=3).contains(&asked), "asked {asked} times");
    house.nets[0].peers[camera].sending[0].paused = false;
    let seen = |house: &House| started(&house.nets[1], consumer);
    assert!(house.until(SECOND, seen));
}

#[test]
fn packets_that_a_viewer_has_lost_are_not_resent_from_its_worker() {
    let (mut house, _, viewer, _) = watched(6, Publish::Video);
    house.nets[1].loss = 0.05;
    let at = house.now();
    house.run(5 * SECOND);
    house.nets[1].loss = 0.0;
    house.run(SECOND);
    let mut got = house.got(viewer, at);
    got.sort_by_key(|packet| packet.seq);
    got.dedup_by_key(|packet| packet.seq);
    let (first, last) = (got.first().unwrap().seq, got.last().unwrap().seq);
    let missing = (last - first + 1) as usize - got.len();
    assert!(missing * 1000 <= got.len(), "{missing} of {}", got.len());
}

#[test]
fn packets_cross_that_nobody_watches() {
    let (mut house, track, viewer, consumer) = watched(7, Publish::Video);
    house.nets[1].request(Request::CloseConsumer { consumer });
    house.run(Duration::from_millis(50));
    let before = house.media;
    house.run(2 * SECOND);
    assert_eq!(house.media, before);
    // And whoever comes back sees it again.
    let again = house.nets[1].consume(viewer, &track, Delivery::FULL);
    let seen = |house: &House| started(&house.nets[1], again);
    assert!(house.until(SECOND, seen));
}

#[test]
fn a_track_that_has_ended_is_waited_for_and_its_section_never_freed() {
    let (mut house, track, viewer, _) = watched(8, Publish::Video);
    let producer = track.producer;
    house.nets[0].request(Request::CloseProducer { producer });
    house.run(SECOND);
    let at = house.now();
    house.run(SECOND);
    assert!(house.got(viewer, at).is_empty());
    house.nets[1].request(Request::Statistics);
    house.run(TICK);
    let none = house.nets[1].reports.iter().any(|report| match report {
        Report::Statistics(statistics) => statistics.consumers.is_empty(),
        _ => false,
    });
    assert!(none, "its consumers have ended");
}

#[test]
fn a_viewer_whose_worker_hears_of_a_track_first_never_sees_it() {
    let mut house = House::new(9);
    let camera = house.nets[0].join(&[Publish::Video], 0, 0);
    let viewer = house.nets[1].join(&[], 0, 1);
    // The harness opens the producer as soon as its section is there, under this name.
    let producer = ProducerId(2);
    let early = Track {
        peer: camera,
        mid: String::new(),
        kind: umbrella_media::Kind::Video,
        name: String::new(),
        codecs: Vec::new(),
        producer,
        home: Some(0),
    };
    let paused = Delivery {
        paused: true,
        ..Delivery::FULL
    };
    let consumer = house.nets[1].consume(viewer, &early, paused);
    let delivery = Delivery::FULL;
    house.nets[1].request(Request::ConfigureConsumer { consumer, delivery });
    let dropped = house.nets[1].consume(viewer, &early, Delivery::FULL);
    house.nets[1].request(Request::CloseConsumer { consumer: dropped });
    let seen = |house: &House| started(&house.nets[1], consumer);
    assert!(house.until(5 * SECOND, seen), "never seen");
    assert_eq!(house.nets[0].tracks[0].producer, producer);
    house.run(SECOND);
    assert!(!started(&house.nets[1], dropped));
}

#[test]
fn relays_that_are_lost_or_late_end_more_than_a_picture() {
    let (mut house, track, viewer, _) = watched(10, Publish::Simulcast);
    // Media that found no room.
    for _ in 0..200 {
        for net in &mut house.nets {
            net.run(TICK);
        }
        let mut kept: Vec<(usize, usize, Relay)> = Vec::new();
        for from in 0..2 {
            while let Some((to, relay)) = house.nets[from].worker.poll_relay() {
                kept.push((from, to, relay));
            }
        }
        for (from, to, relay) in kept.into_iter().filter(|(.., relay)| !relay.is_media()) {
            house.nets[to].take_relay(from, relay);
        }
    }
    let at = house.now();
    house.run(4 * SECOND);
    let got = house.got(viewer, at);
    assert!(
        got.iter().any(Got::is_key_frame),
        "the picture does not come back"
    );
    // What belongs to nobody.
    let producer = track.producer;
    house.nets[1].request(Request::CloseProducer { producer });
    house.run(SECOND);
}
