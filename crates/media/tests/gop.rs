//! What a cache of pictures keeps, on streams of all sorts.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use umbrella_media::{
    Codec, Delivery, Descriptor, Edge, GopCache, GopLimits, Kind, Outgoing, Packet, Rewriter,
    Selector, Spatial,
};

/// A packet of a picture: key or not, and its size.
fn packet(
    start: Instant,
    (encoding, seq): (Spatial, u64),
    (frame, first): (u32, bool),
    (key, size): (bool, usize),
) -> Arc<Packet> {
    let payload = vec![1; size];
    let received = start + Duration::from_millis(u64::from(frame) * 40);
    let mut packet = common::packet(Codec::H264, seq, &payload, received);
    packet.encoding = encoding;
    packet.timestamp = frame.wrapping_mul(3600);
    packet.descriptor = Descriptor {
        key_frame: key && first,
        frame_start: first,
        ..Descriptor::PLAIN
    };
    Arc::new(packet)
}

/// Pictures of two encodings: whether they are key frames, of how many packets of which size.
fn pictures() -> impl Strategy<Value = Vec<(bool, bool, u64, usize)>> {
    let picture = (
        any::<bool>(),
        prop::bool::weighted(0.1),
        1u64..6,
        600usize..1200,
    );
    prop::collection::vec(picture, 1..150)
}

/// The packets of these pictures, in order.
fn stream(start: Instant, pictures: &[(bool, bool, u64, usize)]) -> Vec<Arc<Packet>> {
    let mut next = [1u64; 2];
    let mut packets = Vec::new();
    for (frame, (main, key, count, size)) in pictures.iter().enumerate() {
        let encoding = if *main { Spatial::MEDIUM } else { Spatial::LOW };
        let seq = &mut next[usize::from(*main)];
        for index in 0..*count {
            let name = (encoding, *seq);
            packets.push(packet(
                start,
                name,
                (frame as u32, index == 0),
                (*key, *size),
            ));
            *seq += 1;
        }
    }
    packets
}

fn numbers<'a>(packets: impl Iterator<Item = &'a Arc<Packet>>) -> Vec<u64> {
    packets.map(|packet| packet.seq).collect()
}

/// What holds whatever comes.
fn check(cache: &GopCache) {
    let limits = cache.limits();
    assert!(cache.bytes() <= limits.bytes);
    for encoding in [Spatial::LOW, Spatial::MEDIUM, Spatial::HIGH] {
        let kept: Vec<_> = cache.from(encoding, 0).collect();
        let holes = kept.windows(2).any(|pair| pair[1].seq != pair[0].seq + 1);
        assert_eq!(cache.is_whole(encoding), !kept.is_empty() && !holes);
        let cost: usize = kept.iter().map(|packet| GopCache::cost(packet)).sum();
        assert_eq!(cost, cache.bytes_of(encoding));
        let (Some(first), Some(last)) = (kept.first(), kept.last()) else {
            continue;
        };
        assert!(first.descriptor.key_frame, "half a group");
        assert!(last.received - first.received <= limits.age);
        assert!(kept.windows(2).all(|pair| pair[0].seq < pair[1].seq));
        assert_eq!(cache.first(encoding).map(|it| it.seq), Some(first.seq));
        assert_eq!(cache.newest(encoding).map(|it| it.seq), Some(last.seq));
        for packet in &kept {
            let found = cache.get(encoding, packet.seq);
            assert!(found.is_some_and(|found| Arc::ptr_eq(found, packet)));
        }
    }
}

#[test]
fn long_group_leaves_nothing_or_keeps_out_the_next() {
    let start = Instant::now();
    let limits = GopLimits {
        age: Duration::from_secs(1),
        ..GopLimits::default()
    };
    let (mut cache, mut other) = (GopCache::new(limits), GopCache::new(limits));
    let mut seq = 0;
    // 26 pictures take more than a second.
    for frame in 0..60u32 {
        let key = frame % 50 == 0;
        for first in [true, false] {
            seq += 1;
            let name = (Spatial::LOW, seq);
            cache.insert(&packet(start, name, (frame, first), (key, 2000)));
        }
        let (kept, is_cut) = (numbers(cache.packets()), cache.is_cut(Spatial::LOW));
        match frame {
            0..=25 => assert_eq!((kept.len() as u64, is_cut), (seq, false)),
            26..=49 => assert_eq!((kept, is_cut), (vec![1, 2], true)),
            _ => assert_eq!((kept[0], is_cut), (101, false)),
        }
        // Who has it of another one has a picture from there on, and no rest without a beginning.
        if frame == 40 {
            other.adopt(&cache, |_| true);
        } else if frame > 40 {
            let last = seq;
            for (seq, first) in [(last - 1, true), (last, false)] {
                other.insert(&packet(
                    start,
                    (Spatial::LOW, seq),
                    (frame, first),
                    (key, 2000),
                ));
            }
            assert_eq!(numbers(other.packets()), numbers(cache.packets()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    /// Of each encoding there is all since the last key frame, or that alone, or nothing.
    #[test]
    fn whole_groups_are_kept_or_their_key_frames_or_nothing(pictures in pictures(), bytes in 0usize..120_000, age in 0u64..6000) {
        let start = Instant::now();
        let limits = GopLimits { bytes, age: Duration::from_millis(age) };
        let mut cache = GopCache::new(limits);
        let packets = stream(start, &pictures);
        for (index, packet) in packets.iter().enumerate() {
            cache.insert(packet);
            check(&cache);
            let encoding = packet.encoding;
            let came: Vec<_> = packets[..=index].iter().filter(|p| p.encoding == encoding).collect();
            let group = came.iter().rposition(|packet| packet.descriptor.key_frame);
            let group = group.map_or(&[][..], |at| &came[at..]);
            let (kept, group) = (numbers(cache.from(encoding, 0)), numbers(group.iter().copied()));
            // The very first picture of a group may be so small that the next is taken for its
            // main part.
            let whole = kept.ends_with(&group) && !cache.is_cut(encoding);
            let cut = cache.is_cut(encoding) && kept == numbers(cache.key_frame(encoding));
            prop_assert!(kept.is_empty() || whole || cut, "{} kept of {}", kept.len(), group.len());
        }
    }

    /// Within the limits nothing is missing.
    #[test]
    fn groups_within_the_limits_are_kept(pictures in pictures()) {
        let start = Instant::now();
        let mut cache = GopCache::new(GopLimits::default());
        let packets = stream(start, &pictures);
        packets.iter().for_each(|packet| cache.insert(packet));
        for encoding in [Spatial::LOW, Spatial::MEDIUM] {
            let came: Vec<_> = packets.iter().filter(|p| p.encoding == encoding).collect();
            let group = came.iter().rposition(|packet| packet.descriptor.key_frame);
            let kept = numbers(cache.from(encoding, 0));
            match group {
                Some(at) => prop_assert!(kept.ends_with(&numbers(came[at..].iter().copied()))),
                None => prop_assert!(kept.is_empty()),
            }
        }
    }

    /// What comes late, twice or never makes no half groups, and is put where it belongs.
    #[test]
    fn packets_that_come_late_find_their_place(
        pictures in pictures(),
        late in prop::collection::vec(0usize..40, 600),
        bytes in 50_000usize..400_000,
    ) {
        let start = Instant::now();
        let mut cache = GopCache::new(GopLimits { bytes, ..GopLimits::default() });
        let packets = stream(start, &pictures);
        let mut order: Vec<(usize, &Arc<Packet>)> = packets
            .iter()
            .enumerate()
            .filter(|(index, _)| late[index % late.len()] != 39)
            .map(|(index, packet)| (index + late[index % late.len()] / 8, packet))
            .collect();
        order.sort_by_key(|(at, _)| *at);
        for (_, packet) in order {
            cache.insert(packet);
            cache.insert(packet);
            check(&cache);
        }
    }
}

/// A viewer who is sent what is in a cache from time to time, and otherwise what is live.
struct Viewer {
    selector: Selector,
    rewriter: Rewriter,
    /// What it has got, with the picture that each was of.
    got: Vec<(Outgoing, u32)>,
}

impl Viewer {
    fn take(&mut self, packet: &Packet, edge: Option<Edge<'_>>) {
        let verdict = self.selector.admit(packet);
        let reports = Default::default();
        let out = match edge {
            None => self.rewriter.rewrite(packet, verdict, &reports),
            Some(edge) => self.rewriter.replay(packet, verdict, &reports, edge),
        };
        self.got.extend(out.map(|out| (out, packet.timestamp)));
    }

    /// All that is kept, a packet in so many microseconds.
    fn replay(&mut self, cache: &GopCache, now: Instant, each: u64) {
        let Some(newest) = cache.newest(Spatial::LOW) else {
            return;
        };
        self.selector.restart_encoding(Spatial::LOW);
        for (index, packet) in cache.from(Spatial::LOW, 0).enumerate() {
            let now = now + Duration::from_micros(each * index as u64);
            self.take(packet, Some(Edge { newest, now }));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    /// Numbers have no hole, times never go back, and no two pictures have the same.
    #[test]
    fn what_is_sent_anew_and_what_is_live_fit_together(
        keys in prop::collection::vec(prop::bool::weighted(0.1), 20..150),
        replays in prop::collection::vec((0usize..150, 0u64..300), 1..5),
        delays in prop::collection::vec(0u64..40, 150),
    ) {
        let start = Instant::now();
        let mut cache = GopCache::new(GopLimits::default());
        let mut viewer = Viewer {
            selector: Selector::new(Kind::Video, Delivery::FULL),
            rewriter: Rewriter::new(65_000, u32::MAX - 100_000),
            got: Vec::new(),
        };
        let pictures: Vec<_> = keys.iter().map(|key| (false, *key, 3, 900)).collect();
        for (index, packet) in stream(start, &pictures).iter().enumerate() {
            let mut packet = Packet::clone(packet);
            let frame = index / 3;
            packet.received += Duration::from_millis(delays[frame]);
            let packet = Arc::new(packet);
            cache.insert(&packet);
            viewer.take(&packet, None);
            let due = replays.iter().find(|(at, _)| *at == frame && index % 3 == 2);
            if let Some((_, each)) = due {
                viewer.replay(&cache, packet.received + Duration::from_millis(1), *each);
            }
        }
        for pair in viewer.got.windows(2) {
            let [(one, first), (other, second)] = pair else { unreachable!() };
            prop_assert_eq!(other.seq, one.seq + 1);
            let step = other.timestamp.wrapping_sub(one.timestamp) as i32;
            // The very picture that was the newest may be sent anew as the first.
            prop_assert!(step >= 0 && (step == 0) <= (first == second), "{} between {:?}", step, pair);
        }
    }
}

#[test]
fn parameters_with_a_timestamp_of_their_own_belong_to_the_key_frame_after_them() {
    let start = Instant::now();
    let mut cache = GopCache::new(GopLimits::default());
    let name = |seq| (Spatial::LOW, seq);
    cache.insert(&packet(start, name(1), (1, true), (true, 20)));
    cache.insert(&packet(start, name(2), (2, true), (true, 1100)));
    assert_eq!(cache.first(Spatial::LOW).map(|first| first.seq), Some(1));
    cache.insert(&packet(start, name(3), (3, true), (true, 20)));
    assert_eq!(cache.first(Spatial::LOW).map(|first| first.seq), Some(3));
    cache.forget(Spatial::LOW);
    assert_eq!(cache.bytes(), 0);
}

#[test]
fn the_small_pictures_of_a_camera_go_because_of_its_large_ones() {
    let start = Instant::now();
    let limits = GopLimits {
        bytes: 20_000,
        ..GopLimits::default()
    };
    let mut cache = GopCache::new(limits);
    let small = packet(start, (Spatial::LOW, 1), (0, true), (true, 1000));
    cache.insert(&small);
    for seq in 1..30 {
        let name = (Spatial::MEDIUM, seq);
        cache.insert(&packet(start, name, (0, seq == 1), (true, 1200)));
        check(&cache);
    }
    assert!(cache.first(Spatial::MEDIUM).is_none());
    assert_eq!(numbers(cache.from(Spatial::LOW, 0)), [1]);
}
