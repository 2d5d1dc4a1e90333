//! Selector and rewriter together, as a consumer uses them: what a subscriber's decoder gets
//! from publishers that switch, drop, lose and reorder.

#![allow(
    clippy::unwrap_used,
    reason = "a helper's panic fails the test that called it"
)]

mod common;

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use common::{Random, Vp8, packet};
use proptest::prelude::*;
use umbrella_media::codec::vp8::PictureId;
use umbrella_media::codec::{Detail, Parser};
use umbrella_media::{
    Codec, Delivery, Kind, Layer, Outgoing, Packet, Reports, Rewriter, Selector, SequenceMap,
    Spatial, Temporal, Verdict,
};

/// A consumer, with everything that it sent.
struct Consumer {
    selector: Selector,
    rewriter: Rewriter,
    sent: SequenceMap,
    reports: Reports,
    out: BTreeMap<u64, (Packet, Outgoing)>,
}

impl Consumer {
    fn new(wanted: Delivery) -> Consumer {
        Consumer {
            selector: Selector::new(Kind::Video, wanted),
            rewriter: Rewriter::new(1000, 77_000),
            sent: SequenceMap::new(1024),
            reports: [None; Spatial::COUNT],
            out: BTreeMap::new(),
        }
    }

    fn take(&mut self, packet: &Packet) -> Option<Outgoing> {
        let verdict = self.selector.admit(packet);
        let outgoing = self.rewriter.rewrite(packet, verdict, &self.reports)?;
        self.sent.insert(packet, &outgoing);
        let before = self.out.insert(outgoing.seq, (packet.clone(), outgoing));
        assert!(
            before.is_none(),
            "sequence number {} used twice",
            outgoing.seq
        );
        Some(outgoing)
    }

    fn want(&mut self, spatial: Spatial, temporal: u8) {
        let layer = Layer {
            spatial,
            temporal: Temporal::new(temporal),
        };
        self.selector.configure(Delivery {
            layer,
            ..Delivery::FULL
        });
    }
}

/// The numbers in a VP8 payload as the receiver sees them.
fn numbers(packet: &Packet, outgoing: &Outgoing) -> (u16, u8, u8, bool) {
    let mut payload = packet.payload.to_vec();
    outgoing.patch.apply(&mut payload);
    let parsed = Parser::new(Codec::Vp8).parse(&payload, outgoing.marker, None);
    let Detail::Vp8(ids) = parsed.detail else {
        panic!("not VP8: {parsed:?}")
    };
    let Some(PictureId::Long(picture)) = ids.picture else {
        panic!("no picture id")
    };
    (
        picture,
        ids.tl0.unwrap(),
        ids.layer.unwrap() >> 6,
        parsed.key_frame,
    )
}

/// What must hold of a VP8 stream without loss, whatever was selected.
fn assert_decodable(out: &BTreeMap<u64, (Packet, Outgoing)>) {
    let mut last: Option<(u64, u32, u16, u8, Spatial)> = None;
    for (seq, (packet, outgoing)) in out {
        let (picture, tl0, temporal, key) = numbers(packet, outgoing);
        let Some((last_seq, last_time, last_picture, last_tl0, encoding)) = last else {
            assert!(key, "the first packet begins a key frame");
            last = Some((*seq, outgoing.timestamp, picture, tl0, packet.encoding));
            continue;
        };
        assert_eq!(*seq, last_seq + 1, "a gap in the sequence numbers");
        let elapsed = outgoing.timestamp.wrapping_sub(last_time) as i32;
        let step = picture.wrapping_sub(last_picture) & 0x7fff;
        assert_eq!(
            elapsed > 0,
            step == 1,
            "a picture is a timestamp: {elapsed}, {step}"
        );
        assert!(
            elapsed >= 0 && step <= 1,
            "timestamps {elapsed}, picture ids {step}"
        );
        let tl0_step = tl0.wrapping_sub(last_tl0);
        assert_eq!(tl0_step, u8::from(step == 1 && temporal == 0), "TL0PICIDX");
        assert!(
            encoding == packet.encoding || key,
            "a new encoding begins with a key frame"
        );
        last = Some((*seq, outgoing.timestamp, picture, tl0, packet.encoding));
    }
}

fn spatial(index: u64) -> Spatial {
    Spatial::new(index as u8).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn decoder_never_sees_a_seam_however_layers_are_switched(seed in 1u64..u64::MAX) {
        let mut random = Random(seed);
        let start = Instant::now();
        let mut encodings: Vec<_> =
            (0..3).map(|index| Vp8::new(spatial(index), random.below(1 << 40))).collect();
        let mut consumer = Consumer::new(Delivery::FULL);
        for _ in 0..400 {
            if random.percent(5) {
                consumer.want(spatial(random.below(3)), random.below(4) as u8);
            }
            for (index, encoding) in encodings.iter_mut().enumerate() {
                if consumer.selector.needs_key_frame() == Some(encoding.encoding) && random.percent(40) {
                    encoding.request_key_frame();
                }
                consumer.reports[index] = random.percent(50).then(|| encoding.report());
                for packet in encoding.frame(start) {
                    consumer.take(&packet);
                }
            }
        }
        assert_decodable(&consumer.out);
        prop_assert!(consumer.out.len() > 50);
    }

    #[test]
    fn loss_disorder_and_duplicates_never_repeat_a_number_or_go_back_over_a_switch(seed in 1u64..u64::MAX) {
        let mut highest = 0;
        let mut random = Random(seed);
        let start = Instant::now();
        let mut encodings: Vec<_> =
            (0..3).map(|index| Vp8::new(spatial(index), random.below(1 << 40))).collect();
        let mut consumer = Consumer::new(Delivery::FULL);
        let mut late: Vec<Packet> = Vec::new();
        let mut before: HashMap<(Spatial, u64), u64> = HashMap::new();
        for _ in 0..300 {
            if random.percent(8) {
                consumer.want(spatial(random.below(3)), random.below(4) as u8);
            }
            let mut arriving = Vec::new();
            for encoding in &mut encodings {
                if consumer.selector.needs_key_frame() == Some(encoding.encoding) {
                    encoding.request_key_frame();
                }
                arriving.extend(encoding.frame(start));
            }
            let mut duplicates = Vec::new();
            arriving.retain(|packet| match random.below(10) {
                0 => false,
                1 => { late.push(packet.clone()); false }
                2 => { duplicates.push(packet.clone()); true }
                _ => true,
            });
            arriving.extend(duplicates);
            while !late.is_empty() && random.percent(30) {
                arriving.push(late.swap_remove(random.below(late.len() as u64) as usize));
            }
            for packet in arriving {
                // `take` asserts that no number is used twice.
                if let Some(outgoing) = consumer.take(&packet) {
                    let key = (packet.encoding, packet.seq);
                    prop_assert!(before.insert(key, outgoing.seq).is_none_or(|old| old < outgoing.seq));
                    highest = highest.max(outgoing.seq);
                    let sent = consumer.sent.get(outgoing.seq);
                    // A packet that is later than a quick stream keeps may have lost its place.
                    prop_assert!(sent.is_some() || highest - outgoing.seq >= 128);
                    if let Some(sent) = sent {
                        prop_assert_eq!((sent.source, sent.encoding), (packet.seq, packet.encoding));
                        prop_assert_eq!(sent.outgoing, outgoing);
                    }
                }
            }
        }
        let mut newest: Option<(Spatial, u32)> = None;
        for (packet, outgoing) in consumer.out.values() {
            if let Some((encoding, timestamp)) = newest {
                let step = outgoing.timestamp.wrapping_sub(timestamp) as i32;
                prop_assert!(step >= 0 && (encoding == packet.encoding || step > 0), "{step}");
            }
            newest = Some((packet.encoding, outgoing.timestamp));
        }
    }

    #[test]
    fn nothing_breaks_whatever_packets_say(
        packets in prop::collection::vec(
            (0u64..6000, any::<u32>(), any::<bool>(), 0u8..3, prop::collection::vec(any::<u8>(), 0..24),
             prop::option::of(prop::collection::vec(any::<u8>(), 0..40))),
            0..200,
        ),
        codec in prop::sample::select(vec![Codec::Vp8, Codec::Vp9, Codec::H264, Codec::H265, Codec::Av1]),
    ) {
        let start = Instant::now();
        let mut consumer = Consumer::new(Delivery::FULL);
        let mut parser = Parser::new(codec);
        for (seq, timestamp, marker, encoding, payload, dependency) in packets {
            let descriptor = parser.parse(&payload, marker, dependency.as_deref());
            let plain = packet(codec, seq, &payload, start);
            let encoding = spatial(encoding.into());
            consumer.take(&Packet { timestamp, marker, encoding, descriptor, ..plain });
        }
    }
}

#[test]
fn packet_that_comes_late_gets_the_number_that_was_left_for_it() {
    let start = Instant::now();
    let mut publisher = Vp8::new(Spatial::LOW, 9);
    publisher.packets_per_frame = 3;
    let mut consumer = Consumer::new(Delivery::FULL);
    let first: Vec<_> = publisher.frame(start);
    let missing = &first[1];
    consumer.take(&first[0]);
    consumer.take(&first[2]);
    consumer.want(Spatial::HIGH, 0);
    for _ in 0..8 {
        for packet in publisher.frame(start) {
            consumer.take(&packet);
        }
    }
    assert_eq!(consumer.take(missing).unwrap().seq, 1001);
    assert_eq!(consumer.take(missing), None, "a duplicate");
    assert_decodable(&consumer.out);
}

#[test]
fn key_frame_whose_beginning_comes_late_is_used_with_what_followed() {
    let start = Instant::now();
    let mut publisher = Vp8::new(Spatial::LOW, 3);
    publisher.packets_per_frame = 4;
    let mut consumer = Consumer::new(Delivery::FULL);
    let frame = publisher.frame(start);
    assert!(
        frame[1..]
            .iter()
            .all(|packet| consumer.take(packet).is_none())
    );
    assert_eq!(
        consumer.selector.admit(&frame[0]),
        Verdict::Start { marker: false }
    );
    let mut consumer = Consumer::new(Delivery::FULL);
    consumer.take(&frame[0]).unwrap();
    assert!(
        frame[1..]
            .iter()
            .all(|packet| consumer.take(packet).is_some())
    );
    assert_decodable(&consumer.out);
}

#[test]
fn temporal_layers_come_back_only_at_a_sync_frame() {
    let start = Instant::now();
    let mut publisher = Vp8::new(Spatial::LOW, 3);
    let mut consumer = Consumer::new(Delivery::FULL);
    consumer.want(Spatial::LOW, 0);
    let mut temporals = Vec::new();
    for frame in 0..16 {
        if frame == 7 {
            // In the middle of a cycle: the next frame of layer 2 is no sync frame.
            consumer.want(Spatial::LOW, 2);
        }
        for packet in publisher.frame(start) {
            if consumer.take(&packet).is_some() {
                temporals.push((frame, packet.descriptor.temporal.id()));
            }
        }
    }
    let expected = [
        (0, 0),
        (4, 0),
        (8, 0),
        (9, 2),
        (10, 1),
        (11, 2),
        (12, 0),
        (13, 2),
        (14, 1),
        (15, 2),
    ];
    assert_eq!(temporals, expected);
    assert_decodable(&consumer.out);
}

#[test]
fn resuming_begins_with_a_key_frame_and_keeps_time() {
    let start = Instant::now();
    let mut publisher = Vp8::new(Spatial::LOW, 3);
    let mut consumer = Consumer::new(Delivery::FULL);
    for packet in publisher.frame(start) {
        consumer.take(&packet).unwrap();
    }
    consumer.selector.configure(Delivery {
        paused: true,
        ..Delivery::FULL
    });
    assert_eq!(consumer.selector.needs_key_frame(), None);
    for _ in 0..89 {
        publisher
            .frame(start)
            .iter()
            .for_each(|packet| assert!(consumer.take(packet).is_none()));
    }
    consumer.selector.configure(Delivery::FULL);
    assert_eq!(consumer.selector.needs_key_frame(), Some(Spatial::LOW));
    assert!(
        publisher
            .frame(start)
            .iter()
            .all(|packet| consumer.take(packet).is_none())
    );
    publisher.request_key_frame();
    let key = publisher.frame(start);
    let resumed = consumer.take(&key[0]).unwrap();
    assert_eq!((resumed.seq, resumed.timestamp), (1001, 77_000 + 91 * 3000));
    assert_decodable(&consumer.out);
}

#[test]
fn switch_between_encodings_keeps_the_publishers_time() {
    let start = Instant::now();
    let (mut low, mut high) = (Vp8::new(Spatial::LOW, 3), Vp8::new(Spatial::HIGH, 12_345));
    let mut consumer = Consumer::new(Delivery::FULL);
    for frame in 0..300 {
        consumer.want(
            if frame % 20 < 10 {
                Spatial::LOW
            } else {
                Spatial::HIGH
            },
            7,
        );
        for publisher in [&mut low, &mut high] {
            if consumer.selector.needs_key_frame() == Some(publisher.encoding) {
                publisher.request_key_frame();
            }
            consumer.reports[publisher.encoding.index()] = Some(publisher.report());
            for packet in publisher.frame(start) {
                consumer.take(&packet);
            }
        }
    }
    assert_decodable(&consumer.out);
    // Thirty switches, and the last frame is where it would be without any: not a frame late.
    let (_, last) = consumer.out.values().next_back().unwrap();
    let drift = last.timestamp.wrapping_sub(77_000) as i32 - 299 * 3000;
    assert!((0..=2).contains(&drift), "{drift}");
}

#[test]
fn audio_starts_at_once_and_closes_the_gap_of_a_pause() {
    let start = Instant::now();
    let mut selector = Selector::new(Kind::Audio, Delivery::FULL);
    let mut rewriter = Rewriter::new(1, 0);
    let mut out = Vec::new();
    for seq in 100..110u64 {
        selector.configure(Delivery {
            paused: (103..106).contains(&seq),
            ..Delivery::FULL
        });
        let received = start + std::time::Duration::from_millis(20 * seq);
        let timestamp = 960 * seq as u32;
        let packet = Packet {
            timestamp,
            ..packet(Codec::Opus, seq, &[0xf8, 1], received)
        };
        let verdict = selector.admit(&packet);
        out.extend(
            rewriter
                .rewrite(&packet, verdict, &[None; 3])
                .map(|o| (o.seq, o.timestamp)),
        );
    }
    let expected: Vec<_> = [0u32, 1, 2, 6, 7, 8, 9]
        .iter()
        .zip(1..)
        .map(|(n, seq)| (seq, n * 960))
        .collect();
    assert_eq!(out, expected);
}

#[test]
fn publisher_that_sets_its_clock_back_freezes_the_picture() {
    let start = Instant::now();
    let mut publisher = Vp8::new(Spatial::LOW, 11);
    let mut consumer = Consumer::new(Delivery::FULL);
    let mut last: Option<(u64, u32)> = None;
    // Numbers and SSRC go on, nothing else tells of it.
    for jump in [
        0,
        0x8000_0000,
        100_000u32.wrapping_neg(),
        0x4000_0000,
        200_000u32.wrapping_neg(),
    ] {
        publisher.set_clock_ahead(jump);
        for _ in 0..60 {
            for packet in publisher.frame(start) {
                let outgoing = consumer.take(&packet).unwrap();
                if let Some((seq, timestamp)) = last {
                    assert_eq!(outgoing.seq, seq + 1);
                    let step = outgoing.timestamp.wrapping_sub(timestamp);
                    assert!(step <= 6000, "after a jump of {jump:#x} by {}", step as i32);
                }
                last = Some((outgoing.seq, outgoing.timestamp));
            }
        }
    }
}

#[test]
fn stream_that_is_interrupted_loses_its_time() {
    let start = Instant::now();
    let mut publisher = Vp8::new(Spatial::LOW, 12);
    let mut consumer = Consumer::new(Delivery::FULL);
    let times = |publisher: &mut Vp8, frames: usize| {
        let packets: Vec<_> = (0..frames).flat_map(|_| publisher.frame(start)).collect();
        packets
    };
    let before = times(&mut publisher, 10);
    let before = before.iter().map(|packet| consumer.take(packet).unwrap());
    let before = before.last().unwrap();
    // A minute that never comes; the key frame that follows it goes on where time is.
    times(&mut publisher, 1800);
    publisher.request_key_frame();
    let after = consumer.take(&times(&mut publisher, 1)[0]).unwrap();
    assert_eq!(after.timestamp.wrapping_sub(before.timestamp), 1801 * 3000);
    assert!((before.seq + 2..=before.seq + 1801).contains(&after.seq));
}
