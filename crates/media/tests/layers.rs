//! The selector on streams with layers inside of them, and on streams that it cannot read.

mod common;

use std::time::{Duration, Instant};

use common::packet;
use umbrella_media::{
    Codec, Delivery, Descriptor, Kind, Layer, Layers, Liveness, Packet, Parser, Rewriter, Selector,
    Spatial, Temporal, Verdict,
};

const SPATIALS: [Spatial; 3] = [Spatial::LOW, Spatial::MEDIUM, Spatial::HIGH];

/// One packet per layer frame of a picture with three spatial layers.
fn picture(number: u64, key: bool, temporal: u8, up: bool) -> [Packet; 3] {
    let start = Instant::now();
    SPATIALS.map(|spatial| {
        let seq = 100 + number * 3 + spatial.index() as u64;
        let marker = spatial == Spatial::HIGH;
        let descriptor = Descriptor {
            key_frame: key && spatial == Spatial::LOW,
            frame_start: true,
            frame_end: true,
            spatial,
            temporal: Temporal::new(temporal),
            temporal_switch: (up || key).then_some(Temporal::ALL),
            spatial_switch: key,
            ..Descriptor::PLAIN
        };
        let timestamp = 3000 * number as u32;
        Packet {
            timestamp,
            marker,
            descriptor,
            ..packet(Codec::Vp9, seq, &[1], start)
        }
    })
}

fn want(spatial: Spatial, temporal: u8) -> Delivery {
    Delivery {
        paused: false,
        layer: Layer {
            spatial,
            temporal: Temporal::new(temporal),
        },
        ..Delivery::FULL
    }
}

/// Which of a picture's spatial layers are forwarded, and with which marker bits.
fn forwarded(selector: &mut Selector, picture: &[Packet]) -> Vec<(usize, bool)> {
    picture
        .iter()
        .filter_map(|packet| match selector.admit(packet) {
            Verdict::Drop => None,
            Verdict::Forward { marker } | Verdict::Start { marker } => {
                Some((packet.descriptor.spatial.index(), marker))
            }
        })
        .collect()
}

#[test]
fn picture_without_its_upper_layers_ends_with_a_marker() {
    let mut selector = Selector::new(Kind::Video, want(Spatial::MEDIUM, 7));
    let shown = forwarded(&mut selector, &picture(0, true, 0, false));
    assert_eq!(shown, [(0, false), (1, true)]);
    selector.configure(want(Spatial::LOW, 7));
    assert_eq!(
        forwarded(&mut selector, &picture(1, false, 0, false)),
        [(0, true)]
    );
    assert_eq!(selector.needs_key_frame(), None);
}

#[test]
fn upper_spatial_layers_come_back_at_a_key_picture_only() {
    let mut selector = Selector::new(Kind::Video, want(Spatial::LOW, 7));
    forwarded(&mut selector, &picture(0, true, 0, false));
    selector.configure(want(Spatial::HIGH, 7));
    assert_eq!(selector.needs_key_frame(), Some(Spatial::LOW));
    assert_eq!(
        forwarded(&mut selector, &picture(1, false, 0, true)),
        [(0, true)]
    );
    let all = [(0, false), (1, false), (2, true)];
    assert_eq!(forwarded(&mut selector, &picture(2, true, 0, false)), all);
    assert_eq!(selector.needs_key_frame(), None);
    assert_eq!(
        selector.layer().map(|layer| layer.spatial),
        Some(Spatial::HIGH)
    );
}

#[test]
fn pictures_are_never_cut_by_a_wish_that_comes_in_their_middle() {
    let mut selector = Selector::new(Kind::Video, Delivery::FULL);
    forwarded(&mut selector, &picture(0, true, 0, false));
    let next = picture(1, false, 2, true);
    assert_eq!(forwarded(&mut selector, &next[..1]), [(0, false)]);
    selector.configure(want(Spatial::LOW, 0));
    assert_eq!(
        forwarded(&mut selector, &next[1..]),
        [(1, false), (2, true)]
    );
    assert_eq!(forwarded(&mut selector, &picture(2, false, 2, true)), []);
    assert_eq!(
        forwarded(&mut selector, &picture(3, false, 0, false)),
        [(0, true)]
    );
}

#[test]
fn frame_rate_rises_at_a_switching_point() {
    let mut selector = Selector::new(Kind::Video, want(Spatial::HIGH, 0));
    forwarded(&mut selector, &picture(0, true, 0, false));
    selector.configure(Delivery::FULL);
    assert_eq!(forwarded(&mut selector, &picture(1, false, 2, false)), []);
    assert_eq!(
        forwarded(&mut selector, &picture(2, false, 1, true)).len(),
        3
    );
    assert_eq!(
        forwarded(&mut selector, &picture(3, false, 2, false)).len(),
        3
    );
}

#[test]
fn layer_that_nobody_sends_is_not_asked_for_again_and_again() {
    let mut selector = Selector::new(Kind::Video, want(Spatial::HIGH, 7));
    forwarded(&mut selector, &picture(0, true, 0, false)[..2]);
    assert_eq!(selector.needs_key_frame(), None);
    selector.configure(want(Spatial::LOW, 7));
    forwarded(&mut selector, &picture(1, false, 0, false)[..2]);
    selector.configure(want(Spatial::HIGH, 7));
    assert_eq!(
        selector.needs_key_frame(),
        Some(Spatial::LOW),
        "the middle one is sent"
    );
}

fn single(encoding: Spatial, seq: u64, descriptor: Descriptor) -> Packet {
    let plain = packet(Codec::H264, seq, &[1], Instant::now());
    Packet {
        encoding,
        timestamp: seq as u32,
        marker: true,
        descriptor,
        ..plain
    }
}

fn key() -> Descriptor {
    Descriptor {
        key_frame: true,
        frame_start: true,
        frame_end: true,
        ..Descriptor::PLAIN
    }
}

#[test]
fn stopped_encoding_is_left_for_another_and_kept_if_there_is_none() {
    let mut selector = Selector::new(Kind::Video, Delivery::FULL);
    selector.admit(&single(Spatial::HIGH, 1, key()));
    selector.set_live(Layers::NONE);
    assert_eq!(selector.encoding(), Some(Spatial::HIGH));
    let mut low = Layers::NONE;
    low.insert(Spatial::LOW, Spatial::LOW);
    selector.set_live(low);
    assert_eq!(
        (selector.encoding(), selector.needs_key_frame()),
        (None, Some(Spatial::LOW))
    );
    let start = selector.admit(&single(Spatial::LOW, 9, key()));
    assert!(matches!(start, Verdict::Start { .. }));
}

#[test]
fn any_lower_encoding_is_shown_while_the_wanted_one_is_awaited() {
    let mut selector = Selector::new(Kind::Video, Delivery::FULL);
    let mut all = Layers::NONE;
    SPATIALS
        .into_iter()
        .for_each(|encoding| all.insert(encoding, Spatial::LOW));
    selector.set_live(all);
    assert_eq!(selector.needs_key_frame(), Some(Spatial::HIGH));
    assert!(matches!(
        selector.admit(&single(Spatial::LOW, 1, key())),
        Verdict::Start { .. }
    ));
    assert_eq!(selector.needs_key_frame(), Some(Spatial::HIGH));
    let delta = single(Spatial::HIGH, 1, Descriptor::PLAIN);
    assert_eq!(selector.admit(&delta), Verdict::Drop);
    assert!(matches!(
        selector.admit(&single(Spatial::LOW, 2, Descriptor::PLAIN)),
        Verdict::Forward { .. }
    ));
    assert!(matches!(
        selector.admit(&single(Spatial::HIGH, 2, key())),
        Verdict::Start { .. }
    ));
    assert_eq!(
        selector.admit(&single(Spatial::LOW, 3, key())),
        Verdict::Drop
    );
}

#[test]
fn stream_that_cannot_be_read_is_forwarded_as_it_is() {
    let mut selector = Selector::new(Kind::Video, want(Spatial::LOW, 0));
    for seq in 1..4 {
        let verdict = selector.admit(&single(Spatial::LOW, seq, Descriptor::OPAQUE));
        assert_ne!(verdict, Verdict::Drop, "{seq}");
    }
    selector.configure(Delivery::FULL);
    // The other encoding is taken up after the end of a picture.
    let mut seen = Vec::new();
    for seq in 10..13 {
        seen.push(selector.admit(&single(Spatial::HIGH, seq, Descriptor::OPAQUE)));
    }
    assert_eq!(seen[0], Verdict::Drop);
    assert!(matches!(
        seen[1..],
        [Verdict::Start { .. }, Verdict::Forward { .. }]
    ));
}

#[test]
fn empty_packets_are_not_forwarded() {
    let mut selector = Selector::new(Kind::Video, Delivery::FULL);
    selector.admit(&single(Spatial::LOW, 1, key()));
    let probe = Packet {
        payload: [].into(),
        ..single(Spatial::LOW, 2, Descriptor::OPAQUE)
    };
    assert_eq!(selector.admit(&probe), Verdict::Drop);
}

#[test]
fn encoding_is_live_until_others_have_gone_on_without_it() {
    let timeout = Duration::from_secs(2);
    let start = Instant::now();
    let at = |encoding, seconds| Packet {
        received: start + Duration::from_secs(seconds),
        ..single(encoding, seconds, key())
    };
    let mut liveness = Liveness::new();
    assert!(liveness.note(&at(Spatial::LOW, 0), timeout));
    assert!(liveness.note(&at(Spatial::HIGH, 0), timeout));
    assert!(!liveness.note(&at(Spatial::LOW, 1), timeout));
    assert!(liveness.live(timeout).has_encoding(Spatial::HIGH));
    liveness.note(&at(Spatial::LOW, 2), timeout);
    assert!(!liveness.live(timeout).has_encoding(Spatial::HIGH));
    assert!(liveness.note(&at(Spatial::HIGH, 3), timeout), "it is back");
    assert!(liveness.live(timeout).has_encoding(Spatial::LOW));
}

/// The dependency descriptor of a key frame, frame number 7: two spatial layers that depend on
/// each other in key pictures only (L2T1_KEY). Templates: 62 is the lower layer in a key picture,
/// 63 in others; 0 is the upper layer in a key picture, 1 in others.
const KEY: [u8; 23] = [
    0xfe, 0x00, 0x07, 0x87, 0xc1, 0x23, 0xa8, 0x22, 0x45, 0x04, 0x5a, 0x00, 0x00, 0x00, 0x01, 0x02,
    0x7f, 0x01, 0x67, 0x04, 0xff, 0x02, 0xcf,
];

/// A publisher of such a stream.
struct Av1 {
    parser: Parser,
    encoding: Spatial,
    frame: u16,
}

impl Av1 {
    fn new(encoding: Spatial, frame: u16) -> Av1 {
        Av1 {
            parser: Parser::new(Codec::Av1),
            encoding,
            frame,
        }
    }

    /// A picture: one packet for each of its two layers.
    fn picture(&mut self, key: bool) -> [Packet; 2] {
        let timestamp = u32::from(self.frame) * 1500;
        [(62, 63), (0, 1)].map(|(in_key_picture, in_others)| {
            let template = if key { in_key_picture } else { in_others };
            self.frame += 1;
            let [high, low] = self.frame.to_be_bytes();
            let mut dependency = vec![0xc0 | template, high, low];
            if template == 62 {
                dependency.extend(&KEY[3..]);
            }
            let marker = template < 2;
            let descriptor = self.parser.parse(&[0x10, 1], marker, Some(&dependency));
            let plain = packet(Codec::Av1, self.frame.into(), &[0x10, 1], Instant::now());
            let encoding = self.encoding;
            Packet {
                encoding,
                timestamp,
                marker,
                descriptor,
                ..plain
            }
        })
    }
}

#[test]
fn described_layers_change_where_the_description_allows_it() {
    let mut publisher = Av1::new(Spatial::LOW, 7);
    let mut selector = Selector::new(Kind::Video, want(Spatial::LOW, 7));
    let mut show = |selector: &mut Selector, key| forwarded(selector, &publisher.picture(key));
    assert_eq!(show(&mut selector, true), [(0, true)]);
    assert_eq!(show(&mut selector, false), [(0, true)]);
    selector.configure(want(Spatial::HIGH, 7));
    assert_eq!(
        show(&mut selector, false),
        [(0, true)],
        "an upper frame needs the one before"
    );
    assert_eq!(selector.needs_key_frame(), Some(Spatial::LOW));
    assert_eq!(show(&mut selector, true), [(0, false), (1, true)]);
    assert_eq!(
        selector.needs_key_frame(),
        None,
        "there is no third layer to wait for"
    );
    assert_eq!(
        show(&mut selector, false),
        [(1, true)],
        "the upper layer needs no lower one"
    );
    selector.configure(want(Spatial::LOW, 7));
    assert_eq!(show(&mut selector, false), [(1, true)]);
    assert_eq!(
        selector.needs_key_frame(),
        Some(Spatial::LOW),
        "lower frames are missing too"
    );
    assert_eq!(show(&mut selector, true), [(0, true)]);
    assert_eq!(selector.needs_key_frame(), None);
}

#[test]
fn frame_numbers_go_on_when_another_encoding_is_taken_up() {
    let (mut low, mut high) = (Av1::new(Spatial::LOW, 9000), Av1::new(Spatial::HIGH, 7));
    let mut selector = Selector::new(Kind::Video, want(Spatial::LOW, 7));
    let mut rewriter = Rewriter::new(1, 0);
    let mut send = |selector: &mut Selector, packets: [Packet; 2]| {
        packets.map(|packet| {
            let verdict = selector.admit(&packet);
            rewriter
                .rewrite(&packet, verdict, &[None; 3])
                .map(|out| (out.seq, out.frame_number))
        })
    };
    assert_eq!(
        send(&mut selector, low.picture(true))[0],
        Some((1, None)),
        "left as it is"
    );
    selector.configure(Delivery::FULL);
    let switched = send(&mut selector, high.picture(true));
    assert_eq!(switched, [Some((2, Some(9002))), Some((3, Some(9003)))]);
    assert_eq!(send(&mut selector, low.picture(false)), [None, None]);
}

#[test]
fn crowded_path_gets_every_frame_until_the_smaller_picture_begins() {
    let frame = |encoding, seq, temporal: u8, key_frame| {
        single(
            encoding,
            seq,
            Descriptor {
                key_frame,
                temporal: Temporal::new(temporal),
                temporal_switch: Some(Temporal::ALL),
                ..key()
            },
        )
    };
    for hurries in [false, true] {
        let mut selector = Selector::new(Kind::Video, Delivery::FULL);
        let admit = |selector: &mut Selector, packet: Packet| match selector.admit(&packet) {
            Verdict::Drop => false,
            Verdict::Forward { .. } | Verdict::Start { .. } => true,
        };
        admit(&mut selector, frame(Spatial::LOW, 10, 0, false));
        assert!(admit(&mut selector, frame(Spatial::HIGH, 20, 0, true)));
        assert!(admit(&mut selector, frame(Spatial::HIGH, 21, 2, false)));
        selector.configure(want(Spatial::LOW, 7));
        selector.hurry(hurries);
        assert_eq!(
            admit(&mut selector, frame(Spatial::HIGH, 22, 2, false)),
            !hurries
        );
        assert!(admit(&mut selector, frame(Spatial::HIGH, 23, 0, false)));
        assert!(admit(&mut selector, frame(Spatial::LOW, 11, 0, true)));
        assert!(
            admit(&mut selector, frame(Spatial::LOW, 12, 2, false)),
            "for ever slow"
        );
    }
}

#[test]
fn switches_are_counted_where_nothing_is_switched() {
    let mut selector = Selector::new(Kind::Video, want(Spatial::LOW, 7));
    forwarded(&mut selector, &picture(0, true, 0, false));
    forwarded(&mut selector, &picture(1, false, 0, false));
    assert_eq!(selector.switches(), 0, "it has begun");
    selector.configure(want(Spatial::HIGH, 7));
    forwarded(&mut selector, &picture(2, false, 0, false));
    assert_eq!(selector.switches(), 0, "it waits for a key frame");
    forwarded(&mut selector, &picture(3, true, 0, false));
    assert_eq!(selector.switches(), 1);
    selector.configure(want(Spatial::HIGH, 0));
    forwarded(&mut selector, &picture(4, false, 0, false));
    assert_eq!(selector.switches(), 2, "a lower frame rate");
    selector.configure(PAUSED);
    selector.configure(want(Spatial::HIGH, 0));
    forwarded(&mut selector, &picture(5, true, 0, false));
    assert_eq!(selector.switches(), 2, "a pause has ended");

    // One encoding after another; what is above the top layer of an encoding is no layer.
    let mut selector = Selector::new(Kind::Video, want(Spatial::HIGH, 7));
    selector.admit(&single(Spatial::LOW, 10, key()));
    selector.configure(want(Spatial::MEDIUM, 7));
    selector.admit(&single(Spatial::LOW, 11, key()));
    assert_eq!(selector.switches(), 0);
    selector.admit(&single(Spatial::MEDIUM, 20, key()));
    assert_eq!(selector.switches(), 1);
}

const PAUSED: Delivery = Delivery {
    paused: true,
    ..Delivery::FULL
};
