//! What viewers behind slow links see.

use std::time::{Duration, Instant};

use umbrella_engine::{ConsumerId, Report};
use umbrella_media::{Delivery, Priority};

use super::network::Network;
use super::peer::{Got, Publish};
use super::{SECOND, connect, since, started, track};

/// A camera in three encodings of about 220, 560 and 1180 kbit/s, and viewers of it.
fn watched_by(seed: u64, viewers: usize) -> (Network, Vec<(usize, ConsumerId)>) {
    let mut net = Network::new(seed);
    let camera = net.join(&[Publish::Simulcast], 0, 0);
    net.peers[camera].packets_per_frame = 4;
    net.peers[camera].packet_sizes = [120, 470, 1120];
    let viewers: Vec<usize> = (0..viewers).map(|_| net.join(&[], 0, 1)).collect();
    connect(&mut net);
    let track = track(&mut net, camera, 0);
    let mut consume = |viewer| (viewer, net.consume(viewer, &track, Delivery::FULL));
    let viewers: Vec<_> = viewers.into_iter().map(&mut consume).collect();
    for (_, consumer) in &viewers {
        assert!(net.until(3 * SECOND, |net| started(net, *consumer)));
    }
    (net, viewers)
}

fn encoding(got: &[Got]) -> Option<u8> {
    got.last().map(|packet| packet.stamp().0)
}

/// The longest time without a packet.
fn freeze(got: &[Got], from: Instant, to: Instant) -> Duration {
    let times = got.iter().map(|packet| packet.at).chain([to]);
    let mut last = from;
    let mut longest = Duration::ZERO;
    for at in times {
        longest = longest.max(at - last);
        last = at;
    }
    longest
}

#[test]
fn picture_freezes_when_the_link_of_a_viewer_gets_slow() {
    let (mut net, viewers) = watched_by(70, 2);
    let [(slow, _), (fast, _)] = viewers[..] else {
        unreachable!();
    };
    net.run(10 * SECOND);
    assert_eq!(
        encoding(&net.peers[slow].got),
        Some(2),
        "not even on a fast link"
    );
    let dropped = net.now;
    net.narrow = Some((slow, 850_000));
    net.run(3 * SECOND);
    let settled = net.now;
    net.run(20 * SECOND);
    let got = since(&net.peers[slow], settled);
    assert!(
        got.iter().all(|packet| packet.stamp().0 < 2),
        "too much for the link"
    );
    assert_eq!(encoding(&got), Some(1), "less than the link carries");
    let got = since(&net.peers[slow], dropped);
    let longest = freeze(&got, dropped, net.now);
    assert!(longest < SECOND, "the picture froze for {longest:?}");

    net.narrow = None;
    assert!(
        net.until(15 * SECOND, |net| encoding(&net.peers[slow].got) == Some(2)),
        "the picture stays small for ever"
    );
    let got = since(&net.peers[fast], dropped);
    assert!(
        got.iter().all(|packet| packet.stamp().0 == 2),
        "others suffer"
    );
}

#[test]
fn picture_stands_still_and_nobody_says_why() {
    let (mut net, viewers) = watched_by(71, 1);
    let (viewer, consumer) = viewers[0];
    net.run(5 * SECOND);
    let starved = |net: &Network| {
        let last = net.reports.iter().rev().find_map(|report| match report {
            Report::ConsumerStarved {
                consumer: of,
                starved,
            } if *of == consumer => Some(*starved),
            _ => None,
        });
        last == Some(true)
    };
    net.narrow = Some((viewer, 90_000));
    assert!(net.until(10 * SECOND, starved), "nobody is told");
    net.run(3 * SECOND);
    let paused = net.now;
    net.run(5 * SECOND);
    let media: usize = since(&net.peers[viewer], paused)
        .iter()
        .map(|packet| packet.payload.len())
        .sum();
    assert!(
        media < 90_000 / 8 * 5,
        "{media} bytes of a track that is paused"
    );
    net.narrow = None;
    assert!(
        net.until(20 * SECOND, |net| !starved(net)),
        "paused for ever"
    );
    assert!(
        net.until(15 * SECOND, |net| encoding(&net.peers[viewer].got)
            == Some(2)),
        "the picture stays small for ever"
    );
}

#[test]
fn thumbnail_takes_the_bandwidth_of_what_is_shown_large() {
    let mut net = Network::new(72);
    let cameras: Vec<usize> = (0..3)
        .map(|_| net.join(&[Publish::Simulcast], 0, 0))
        .collect();
    for camera in &cameras {
        net.peers[*camera].packets_per_frame = 4;
        net.peers[*camera].packet_sizes = [120, 470, 1120];
    }
    let viewer = net.join(&[], 0, 3);
    connect(&mut net);
    net.narrow = Some((viewer, 2_400_000));
    for (index, camera) in cameras.iter().enumerate() {
        let track = track(&mut net, *camera, 0);
        let priority = match index {
            0 => Priority::Large,
            _ => Priority::Normal,
        };
        let delivery = Delivery {
            priority,
            ..Delivery::FULL
        };
        let consumer = net.consume(viewer, &track, delivery);
        assert!(net.until(5 * SECOND, |net| started(net, consumer)));
    }
    let first = net.peers[viewer].got[0].ssrc;
    net.run(25 * SECOND);
    let from = net.now;
    net.run(5 * SECOND);
    let got = since(&net.peers[viewer], from);
    let mut shown: Vec<(u32, u8)> = got.iter().map(|p| (p.ssrc, p.stamp().0)).collect();
    shown.sort_unstable();
    shown.dedup();
    let large: Vec<u32> = shown
        .iter()
        .filter(|(_, encoding)| *encoding == 2)
        .map(|(ssrc, _)| *ssrc)
        .collect();
    assert_eq!(large, [first], "{shown:?}");
    assert!(!shown.contains(&(first, 0)) && !shown.contains(&(first, 1)));
}
