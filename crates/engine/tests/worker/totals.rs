//! The sums that monitoring sees.

use umbrella_engine::{Present, Report, Request, Totals};
use umbrella_media::{Delivery, Layer, Spatial};

use super::network::Network;
use super::peer::{Numbers, Publish};
use super::{SECOND, connect, started, track};

fn totals(net: &mut Network) -> Totals {
    net.request(Request::Totals);
    net.run(SECOND / 10);
    let totals = net.reports.iter().rev().find_map(|report| match report {
        Report::Totals(totals) => Some(**totals),
        _ => None,
    });
    totals.unwrap()
}

/// All that only counts.
fn counters(totals: &Totals) -> [u64; 26] {
    let (received, sent) = (&totals.received, &totals.sent);
    let (by, of) = (&totals.asked_by_peers, &totals.asked_of_peers);
    [
        totals.datagrams.0,
        totals.datagrams.1,
        totals.bytes.0,
        totals.bytes.1,
        received.audio.packets,
        received.audio.bytes,
        received.audio.lost,
        received.video.packets,
        received.video.bytes,
        received.video.lost,
        received.video.key_frames,
        sent.audio.packets,
        sent.audio.bytes,
        sent.audio.lost,
        sent.video.packets,
        sent.video.bytes,
        sent.video.resent,
        sent.video.dropped,
        sent.video.lost,
        by.packets,
        by.picture_losses,
        of.packets,
        of.picture_losses + of.full_intras,
        totals.nacks_ignored,
        totals.layer_switches,
        totals.pauses,
    ]
}

fn assert_no_fall(before: &Totals, after: &Totals) {
    for (index, (old, new)) in counters(before)
        .into_iter()
        .zip(counters(after))
        .enumerate()
    {
        assert!(old <= new, "counter {index} falls from {old} to {new}");
    }
}

/// Somebody with a microphone and a camera, and two who listen and watch.
fn call(seed: u64) -> (Network, usize, [usize; 2]) {
    let mut net = Network::new(seed);
    let speaker = net.join(&[Publish::Audio, Publish::Simulcast], 0, 0);
    let viewers = [net.join(&[], 1, 1), net.join(&[], 1, 1)];
    connect(&mut net);
    let tracks = [0, 1].map(|index| track(&mut net, speaker, index));
    for viewer in viewers {
        for track in &tracks {
            let consumer = net.consume(viewer, track, Delivery::FULL);
            assert!(net.until(5 * SECOND, |net| started(net, consumer)));
        }
    }
    (net, speaker, viewers)
}

#[test]
fn counters_fall_when_somebody_leaves_or_begins_anew() {
    let (mut net, speaker, viewers) = call(70);
    net.loss = 0.03;
    // Peers report on sound every five seconds; most pictures are repaired.
    net.run(12 * SECOND);
    let mut before = totals(&mut net);
    assert!(before.sent.audio.lost > 0 && before.received.audio.lost > 0);
    assert!(before.asked_by_peers.packets > 0 && before.asked_of_peers.packets > 0);
    net.loss = 0.0;
    // An encoding under another SSRC, with other numbers.
    let numbers = Numbers {
        seq: 30_000,
        timestamp: 1,
        frame: 0,
    };
    net.peers[speaker].change_ssrc(1, 0, 0xABCD);
    net.peers[speaker].sending[1].restart(0, numbers);
    for leaving in [None, Some(viewers[0]), Some(speaker), Some(viewers[1])] {
        if let Some(leaving) = leaving {
            let transport = net.peers[leaving].transport;
            net.request(Request::CloseTransport { transport });
        }
        net.run(SECOND);
        let after = totals(&mut net);
        assert_no_fall(&before, &after);
        before = after;
    }
    assert_eq!(before.present, Present::default(), "nobody is left");
    let sent = before.sent.audio.packets + before.sent.video.packets;
    assert!(sent > 1000, "{before:?}");
}

#[test]
fn late_packet_makes_a_count_of_lost_ones_fall() {
    let (mut net, ..) = call(71);
    let mut before = totals(&mut net);
    net.loss = 0.1;
    for _ in 0..100 {
        net.run(SECOND / 20);
        let after = totals(&mut net);
        assert_no_fall(&before, &after);
        before = after;
    }
    assert!(before.received.audio.lost > 0, "{before:?}");
}

#[test]
fn sums_differ_from_what_was_heard_and_seen() {
    let (mut net, speaker, viewers) = call(72);
    net.run(5 * SECOND);
    let totals = totals(&mut net);
    let got: usize = viewers.iter().map(|it| net.peers[*it].got.len()).sum();
    let sent = totals.sent.audio.packets + totals.sent.video.packets;
    // Padding of probes arrives too, and is no media.
    assert!(sent.abs_diff(got as u64) < 60, "{sent} sent, {got} got");
    let (audio, video) = (totals.received.audio, totals.received.video);
    // 50 a second, to two listeners.
    assert!(audio.packets > 250, "{audio:?}");
    assert!(totals.sent.audio.packets.abs_diff(2 * audio.packets) < 50);
    // Three encodings come, and one goes out to each.
    assert!(video.packets > totals.sent.video.packets / 2, "{video:?}");
    assert!(video.key_frames >= 3 && video.key_frames < 100, "{video:?}");
    assert_eq!((audio.lost, video.lost), (0, 0));
    let asked = totals.asked_of_peers;
    assert!(asked.picture_losses + asked.full_intras > 0, "{asked:?}");
    let present = totals.present;
    assert_eq!((present.udp, present.tcp, present.connecting), (3, 0, 0));
    assert_eq!((present.producers.audio, present.producers.video), (1, 1));
    assert_eq!((present.consumers.audio, present.consumers.video), (2, 2));
    assert_eq!((present.shown, present.paused), ([0, 0, 0, 2], 0));
    let known: u64 = present.paths.bands.iter().sum();
    assert_eq!(known + present.paths.unknown, 2, "two have something sent");
    assert_eq!(net.peers[speaker].got.len(), 0);
}

#[test]
fn another_layer_is_no_switch_and_the_first_one_is() {
    let mut net = Network::new(73);
    let camera = net.join(&[Publish::Simulcast], 0, 0);
    let viewer = net.join(&[], 0, 1);
    connect(&mut net);
    let track = track(&mut net, camera, 0);
    net.run(SECOND);
    let consumer = net.consume(viewer, &track, up_to(Spatial::LOW));
    assert!(net.until(5 * SECOND, |net| started(net, consumer)));
    net.run(SECOND);
    assert_eq!(totals(&mut net).layer_switches, 0, "it has begun");
    for (top, switches) in [(Spatial::HIGH, 1), (Spatial::LOW, 2), (Spatial::LOW, 2)] {
        let delivery = up_to(top);
        net.request(Request::ConfigureConsumer { consumer, delivery });
        net.run(3 * SECOND);
        assert_eq!(totals(&mut net).layer_switches, switches, "{top:?}");
    }
    net.request(Request::CloseConsumer { consumer });
    assert_eq!(totals(&mut net).layer_switches, 2, "it has ended");
}

fn up_to(spatial: Spatial) -> Delivery {
    Delivery {
        layer: Layer {
            spatial,
            ..Layer::TOP
        },
        ..Delivery::FULL
    }
}

#[test]
fn quality_of_a_track_cannot_be_told() {
    let (mut net, ..) = call(74);
    net.loss = 0.05;
    // Peers report on sound every five seconds.
    net.run(12 * SECOND);
    net.request(Request::Statistics);
    net.run(SECOND / 10);
    let figures = net.reports.iter().rev().find_map(|report| match report {
        Report::Statistics(figures) => Some(figures.clone()),
        _ => None,
    });
    let figures = figures.unwrap();
    let transports: Vec<_> = figures.transports.iter().map(|it| it.transport).collect();
    for producer in &figures.producers {
        assert!(transports.contains(&producer.transport.unwrap()));
        assert!(!producer.paused);
    }
    for consumer in &figures.consumers {
        assert!(transports.contains(&consumer.transport.unwrap()));
        let of = figures
            .producers
            .iter()
            .find(|producer| Some(producer.producer) == consumer.producer);
        assert_eq!(of.unwrap().kind, consumer.kind);
        assert_eq!(consumer.wanted, Delivery::FULL);
        // Pictures are sent again, and what arrives then is no longer lost.
        let lost = (consumer.lost + consumer.resent) as f64 / consumer.packets as f64;
        assert!((0.01..0.15).contains(&lost), "{consumer:?}");
        assert!(!consumer.starved && consumer.jitter.is_some());
        if consumer.kind == umbrella_media::Kind::Video {
            assert_eq!(consumer.possible, Some(Spatial::HIGH), "{consumer:?}");
            assert!(consumer.layer.is_some());
        }
    }
    assert!(figures.transports.iter().any(|it| it.rtt.is_some()));
}
