//! Media: what is heard and seen.

use std::time::Duration;

use umbrella_engine::{ConsumerId, Limits, Report, Request};
use umbrella_media::{Codec, Delivery, Kind, Layer, Spatial, Temporal};

use super::network::Network;
use super::peer::{Got, Publish};
use super::{SECOND, assert_seamless, connect, since, started, track};

fn up_to(spatial: Spatial) -> Delivery {
    Delivery {
        paused: false,
        layer: Layer {
            spatial,
            temporal: Temporal::ALL,
        },
        ..Delivery::FULL
    }
}

const PAUSED: Delivery = Delivery {
    paused: true,
    ..Delivery::FULL
};

/// The encodings in the order in which they were seen.
fn encodings(got: &[Got]) -> Vec<u8> {
    let mut seen: Vec<u8> = got.iter().map(|packet| packet.stamp().0).collect();
    seen.dedup();
    seen
}

/// A publisher and a viewer, each with one connection, and all of the track on its way.
fn watched(seed: u64, publish: Publish) -> (Network, usize, usize, ConsumerId) {
    let mut net = Network::new(seed);
    let camera = net.join(&[publish], 0, 0);
    let viewer = net.join(&[], 0, 1);
    connect(&mut net);
    let track = track(&mut net, camera, 0);
    let consumer = net.consume(viewer, &track, Delivery::FULL);
    assert!(net.until(3 * SECOND, |net| started(net, consumer)));
    (net, camera, viewer, consumer)
}

#[test]
fn nothing_is_heard_over_one_connection() {
    let mut net = Network::new(30);
    let speaker = net.join(&[Publish::Audio], 3, 3);
    let listener = net.join(&[Publish::Audio], 3, 3);
    connect(&mut net);
    let mic = track(&mut net, speaker, 0);
    assert_eq!((mic.kind, mic.name.as_str()), (Kind::Audio, "Audio"));
    assert_eq!(mic.codecs.first(), Some(&Codec::Opus));
    let consumer = net.consume(listener, &mic, Delivery::FULL);
    assert!(net.until(2 * SECOND, |net| started(net, consumer)));
    net.run(3 * SECOND);
    let got = &net.peers[listener].got;
    assert!(got.len() > 140);
    assert_seamless(got);
    assert!(got.iter().all(|packet| packet.audio_level == Some(-20)));
    let codec = |r: &Report| {
        matches!(
            r,
            Report::ProducerCodec {
                codec: Codec::Opus,
                ..
            }
        )
    };
    assert!(net.reports.iter().any(codec));
    let loud = net.reports.iter().find_map(|report| match report {
        Report::AudioLevels(levels) => levels.iter().find(|l| l.producer == mic.producer).copied(),
        _ => None,
    });
    assert_eq!(loud.map(|l| (l.level, l.voice)), Some((20, 1.0)));
    assert!(net.peers[speaker].got.is_empty(), "nobody hears himself");
}

#[test]
fn nothing_is_heard_over_two_connections() {
    let mut net = Network::new(31);
    let speaker = net.join(&[Publish::Audio], 0, 0);
    let listener = net.subscribe_peer();
    connect(&mut net);
    let mic = track(&mut net, speaker, 0);
    let consumer = net.consume(listener, &mic, Delivery::FULL);
    assert!(net.until(2 * SECOND, |net| started(net, consumer)));
    net.run(3 * SECOND);
    assert!(net.peers[listener].got.len() > 140);
    assert_seamless(&net.peers[listener].got);
    let names: Vec<_> = net.peers[listener].named.values().cloned().collect();
    assert_eq!(names, [format!("PA_{speaker} TR_{}", mic.producer)]);
}

#[test]
fn a_picture_begins_in_the_middle_or_never() {
    for over_two in [false, true] {
        let mut net = Network::new(32);
        let camera = net.join(&[Publish::Video], 0, 0);
        let viewer = if over_two {
            net.subscribe_peer()
        } else {
            net.join(&[], 0, 3)
        };
        connect(&mut net);
        net.run(3 * SECOND);
        let track = track(&mut net, camera, 0);
        let asked = net.now;
        let consumer = net.consume(viewer, &track, Delivery::FULL);
        assert!(net.until(2 * SECOND, |net| started(net, consumer)));
        assert!(net.now - asked < SECOND, "late joiners wait");
        net.run(2 * SECOND);
        let got = &net.peers[viewer].got;
        assert!(got[0].is_key_frame() && got.len() > 100);
        assert_seamless(got);
    }
}

#[test]
fn a_tile_that_changes_its_size_freezes() {
    let mut net = Network::new(33);
    let camera = net.join(&[Publish::Simulcast], 0, 0);
    let viewer = net.join(&[], 0, 3);
    connect(&mut net);
    let track = track(&mut net, camera, 0);
    let consumer = net.consume(viewer, &track, up_to(Spatial::LOW));
    assert!(net.until(3 * SECOND, |net| started(net, consumer)));
    net.run(2 * SECOND);
    assert_eq!(encodings(&net.peers[viewer].got), [0]);
    for (wanted, index) in [(Spatial::HIGH, 2), (Spatial::MEDIUM, 1), (Spatial::LOW, 0)] {
        let from = net.now;
        net.request(Request::ConfigureConsumer {
            consumer,
            delivery: up_to(wanted),
        });
        net.run(2 * SECOND);
        let got = since(&net.peers[viewer], from);
        assert_eq!(
            got.last().unwrap().stamp().0,
            index,
            "layer {index} does not come"
        );
        let first = got.iter().find(|packet| packet.stamp().0 == index).unwrap();
        assert!(first.is_key_frame(), "a layer begins without a key frame");
        assert!(
            first.at - from < Duration::from_millis(700),
            "the switch takes too long"
        );
        let gap = got
            .windows(2)
            .map(|pair| pair[1].at - pair[0].at)
            .max()
            .unwrap();
        assert!(
            gap < Duration::from_millis(150),
            "the picture stands still for {gap:?}"
        );
    }
    assert_seamless(&net.peers[viewer].got);
}

#[test]
fn many_viewers_ask_for_many_key_frames() {
    let mut net = Network::new(34);
    let camera = net.join(&[Publish::Video], 0, 0);
    let viewers: Vec<_> = (0..20).map(|_| net.join(&[], 0, 1)).collect();
    connect(&mut net);
    net.run(SECOND);
    let track = track(&mut net, camera, 0);
    let before = net.peers[camera].key_frame_requests(0, 0);
    let consumers: Vec<_> = viewers
        .iter()
        .map(|viewer| net.consume(*viewer, &track, Delivery::FULL))
        .collect();
    let all = |net: &Network| consumers.iter().all(|consumer| started(net, *consumer));
    assert!(net.until(3 * SECOND, all));
    let asked = net.peers[camera].key_frame_requests(0, 0) - before;
    assert!(asked <= 2, "{asked} requests");
    // And one that asks all the time gets no more than the limit allows.
    let before = net.peers[camera].key_frame_requests(0, 0);
    net.run(SECOND / 10);
    let ssrc = net.peers[viewers[0]].got[0].ssrc;
    for _ in 0..100 {
        net.peers[viewers[0]].request_key_frame(ssrc);
        net.run(SECOND / 50);
    }
    let asked = net.peers[camera].key_frame_requests(0, 0) - before;
    let most = 2000 / Limits::default().key_frame_interval.as_millis() as u32 + 1;
    assert!(
        (2..=most).contains(&asked),
        "{asked} requests in two seconds"
    );
}

#[test]
fn lost_packets_are_not_sent_again() {
    let (mut net, _, viewer, _) = watched(35, Publish::Video);
    net.loss = 0.05;
    net.run(10 * SECOND);
    net.loss = 0.0;
    net.run(2 * SECOND);
    let mut seqs: Vec<u64> = net.peers[viewer]
        .got
        .iter()
        .map(|packet| packet.seq)
        .collect();
    seqs.sort_unstable();
    seqs.dedup();
    let span = seqs.last().unwrap() - seqs[0] + 1;
    let missing = span - seqs.len() as u64;
    assert!(
        span > 600 && missing * 200 < span,
        "{missing} of {span} packets are missing"
    );
}

#[test]
fn a_busy_server_makes_publishers_believe_that_their_link_is_slow() {
    let estimate = |stall| {
        let mut net = Network::new(40);
        net.estimating = true;
        let camera = net.join(&[Publish::Video], 0, 0);
        connect(&mut net);
        net.stall = stall;
        net.run(15 * SECOND);
        net.peers[camera].estimate
    };
    let (prompt, late) = (estimate(Duration::ZERO), estimate(SECOND / 30));
    assert!(
        late * 10 > prompt * 8,
        "{late} bit/s instead of {prompt} bit/s"
    );
}

#[test]
fn a_hidden_tile_costs_bandwidth() {
    let (mut net, _, viewer, consumer) = watched(36, Publish::Simulcast);
    net.run(SECOND);
    net.request(Request::ConfigureConsumer {
        consumer,
        delivery: PAUSED,
    });
    net.run(SECOND / 2);
    let from = net.now;
    net.run(SECOND);
    assert!(since(&net.peers[viewer], from).is_empty());
    let from = net.now;
    net.request(Request::ConfigureConsumer {
        consumer,
        delivery: Delivery::FULL,
    });
    net.run(2 * SECOND);
    let got = since(&net.peers[viewer], from);
    assert!(
        got.len() > 80 && got[0].is_key_frame(),
        "it does not come back"
    );
    assert_seamless(&net.peers[viewer].got);
}

#[test]
fn a_muted_track_is_heard() {
    let mut net = Network::new(37);
    let speaker = net.join(&[Publish::Audio, Publish::Video], 0, 0);
    let listener = net.join(&[], 1, 1);
    connect(&mut net);
    let tracks = [track(&mut net, speaker, 0), track(&mut net, speaker, 1)];
    let consumers = [0, 1].map(|i| net.consume(listener, &tracks[i], Delivery::FULL));
    let all = |net: &Network| consumers.iter().all(|consumer| started(net, *consumer));
    assert!(net.until(5 * SECOND, all));
    for track in &tracks {
        net.request(Request::PauseProducer {
            producer: track.producer,
            paused: true,
        });
    }
    net.run(SECOND / 2);
    let from = net.now;
    net.run(SECOND);
    assert!(since(&net.peers[listener], from).is_empty());
    let from = net.now;
    for track in &tracks {
        net.request(Request::PauseProducer {
            producer: track.producer,
            paused: false,
        });
    }
    net.run(2 * SECOND);
    let got = since(&net.peers[listener], from);
    let (audio, video): (Vec<Got>, Vec<Got>) = got
        .into_iter()
        .partition(|packet| packet.payload_type == 111);
    assert!(audio.len() > 90 && video.len() > 80);
    assert!(video[0].is_key_frame());
}

#[test]
fn a_layer_that_stops_takes_the_picture_with_it() {
    let (mut net, camera, viewer, _) = watched(38, Publish::Simulcast);
    net.run(3 * SECOND);
    assert_eq!(net.peers[viewer].got.last().unwrap().stamp().0, 2);
    net.peers[camera].sending[0].drop_encoding(2);
    net.run(4 * SECOND);
    let last = net.peers[viewer].got.last().unwrap();
    assert!(net.now - last.at < SECOND / 5, "the picture stands still");
    assert_eq!(last.stamp().0, 1);
    assert_seamless(&net.peers[viewer].got);
}

#[test]
fn layers_that_change_their_names_take_the_picture_with_them() {
    let (mut net, camera, viewer, _) = watched(40, Publish::Simulcast);
    net.run(3 * SECOND);
    for _ in 0..3 {
        net.peers[camera].sending[0].swap(0, 2);
        net.run(4 * SECOND);
        let last = net.peers[viewer].got.last().unwrap();
        assert!(net.now - last.at < SECOND / 5, "the picture stands still");
    }
    assert!(
        net.reports
            .iter()
            .all(|it| !matches!(it, Report::Closed { .. }))
    );
}

#[test]
fn publisher_that_sends_no_key_frame_is_asked_without_end_or_never_again() {
    let (mut net, camera, viewer, _) = watched(41, Publish::Video);
    net.peers[camera].stubborn = true;
    let asked = net.peers[camera].key_frame_requests(0, 0);
    // Somebody comes late, and nobody gets a picture to begin with.
    let late = net.join(&[], 0, 1);
    assert!(net.until(5 * SECOND, |net| net.peers[late].connected));
    let track = net.tracks[0].clone();
    let consumer = net.consume(late, &track, Delivery::FULL);
    net.run(60 * SECOND);
    let asked = net.peers[camera].key_frame_requests(0, 0) - asked;
    assert!(
        (5..=121).contains(&asked),
        "asked {asked} times in a minute"
    );
    assert!(!started(&net, consumer));
    let last = net.peers[viewer].got.last().unwrap();
    assert!(net.now - last.at < SECOND / 5, "others lose their picture");
    net.peers[camera].stubborn = false;
    net.run(3 * SECOND);
    assert!(started(&net, consumer), "the picture never comes");
}

#[test]
fn figures_do_not_add_up() {
    let mut net = Network::new(39);
    let speaker = net.join(&[Publish::Audio], 0, 0);
    let listener = net.join(&[], 1, 0);
    connect(&mut net);
    let mic = track(&mut net, speaker, 0);
    let consumer = net.consume(listener, &mic, Delivery::FULL);
    assert!(net.until(3 * SECOND, |net| started(net, consumer)));
    net.run(10 * SECOND);
    net.request(Request::Statistics);
    net.run(SECOND / 10);
    let figures = net.reports.iter().find_map(|report| match report {
        Report::Statistics(figures) => Some(figures.clone()),
        _ => None,
    });
    let figures = figures.unwrap();
    assert_eq!((figures.transports.len(), figures.producers.len()), (2, 1));
    assert!(
        figures
            .transports
            .iter()
            .all(|transport| transport.connected)
    );
    let sent = &figures.consumers[0];
    let got = net.peers[listener].got.len() as u64;
    assert!(
        sent.packets.abs_diff(got) < 10,
        "{} sent, {got} arrived",
        sent.packets
    );
    // 65 bytes every 20 ms.
    assert!((24_000..28_000).contains(&sent.bitrate), "{}", sent.bitrate);
    assert!((24_000..28_000).contains(&figures.producers[0].encodings[0].bitrate));
    assert!(figures.datagrams.0 > 500 && figures.datagrams.1 > 500);
}

#[test]
fn one_of_a_crowd_who_is_not_forwarded_is_never_noticed_again() {
    let mut net = Network::new(39);
    let speaker = net.join(&[Publish::Audio], 0, 0);
    let listener = net.join(&[], 1, 0);
    connect(&mut net);
    let mic = track(&mut net, speaker, 0);
    let consumer = net.consume(listener, &mic, Delivery::FULL);
    assert!(net.until(5 * SECOND, |net| started(net, consumer)));
    let producer = mic.producer;
    let quiet = true;
    net.request(Request::QuietProducer { producer, quiet });
    net.run(SECOND / 2);
    let from = net.now;
    let reports = net.reports.len();
    net.run(SECOND);
    assert!(since(&net.peers[listener], from).is_empty());
    let heard =
        |report: &Report| matches!(report, Report::AudioLevels(levels) if !levels.is_empty());
    assert!(net.reports[reports..].iter().filter(|it| heard(it)).count() >= 4);
    let from = net.now;
    let quiet = false;
    net.request(Request::QuietProducer { producer, quiet });
    net.run(SECOND);
    let got = since(&net.peers[listener], from);
    assert!(got.len() > 45, "{}", got.len());
    assert_seamless(&net.peers[listener].got);
}
