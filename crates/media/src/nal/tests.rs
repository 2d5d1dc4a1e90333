use bytes::Bytes;
use proptest::prelude::*;

use super::parameters::SliceKind;
use super::*;
use crate::codec::Size;
use crate::codec::{h264, h265};

// What cameras of these makers send; the last three are H.265.
const DAHUA: &str = "6764001eac2c6a82c0f69b828082a0000003002000000303d08000";
const HIKVISION: &str = "674d00299a6403c0113f2cd404040500000303e80000ea6004";
const REOLINK: &str = "67640033ace802800b59";
const BUNNY: &str = "6742c01ed903c56840000003004000000c03c58b92";
const FOSCAM: &str = "674d001f95a814016e40";
const SMALL_265: &str = "42010101600000030090000003000003003fa005020171652e49324bb2";
const LARGE_265: &str =
    "420101016000000300000300000300000300baa00120200511fe5aee44888bf2dcd404040402";
const TIMED_265: &str =
    "420101016000000300b0000003000003005aa0058201e1636b92452fcdc14181410000030001000003000ca1";

fn bytes(hex: &str) -> Bytes {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

fn parsed(coding: Coding, hex: &str) -> SequenceParameters {
    SequenceParameters::parse(coding, &bytes(hex)).unwrap()
}

/// A slice of H.264 that begins a picture: `kind` is slice_type as an exp-golomb code.
fn slice(header: u8, code: u8, len: usize) -> Bytes {
    let mut unit = vec![header, 0x80 | code];
    unit.extend((2..len).map(|at| 1 + (at % 250) as u8));
    unit.into()
}

fn idr(len: usize) -> Bytes {
    slice(0x65, 0b000_1000, len)
}

fn unit_265(kind: u8, len: usize) -> Bytes {
    let mut unit = vec![kind << 1, 1, 0x80];
    unit.extend((3..len).map(|at| 1 + (at % 250) as u8));
    unit.into()
}

#[test]
fn size_of_a_camera_is_wrong() {
    let size = |coding, hex| {
        let Size { width, height } = parsed(coding, hex).size;
        (width, height)
    };
    assert_eq!(size(Coding::H264, DAHUA), (704, 480));
    assert_eq!(size(Coding::H264, HIKVISION), (1920, 1080));
    assert_eq!(size(Coding::H264, REOLINK), (2560, 1440));
    assert_eq!(size(Coding::H264, BUNNY), (240, 160));
    assert_eq!(size(Coding::H264, FOSCAM), (1280, 720));
    assert_eq!(size(Coding::H265, SMALL_265), (640, 368));
    assert_eq!(size(Coding::H265, LARGE_265), (2304, 1296));
    assert_eq!(size(Coding::H265, TIMED_265), (704, 480));
}

#[test]
fn frame_rate_of_a_camera_is_wrong() {
    let rate = |coding, hex| parsed(coding, hex).frame_rate.map(FrameRate::per_second);
    assert_eq!(rate(Coding::H264, DAHUA), Some(15.0));
    assert_eq!(rate(Coding::H264, HIKVISION), Some(30.0));
    assert_eq!(rate(Coding::H264, BUNNY), Some(24.0));
    assert_eq!(rate(Coding::H264, REOLINK), None);
    assert_eq!(rate(Coding::H265, SMALL_265), None);
    assert_eq!(rate(Coding::H265, TIMED_265), Some(12.0));
}

#[test]
fn profile_and_level_are_named_wrongly() {
    let named = |coding, hex| {
        let found = parsed(coding, hex);
        (found.profile_name(coding), found.level)
    };
    assert_eq!(named(Coding::H264, DAHUA), ("High", 30));
    assert_eq!(named(Coding::H264, BUNNY), ("Constrained Baseline", 30));
    assert_eq!(named(Coding::H264, HIKVISION), ("Main", 41));
    assert_eq!(named(Coding::H265, LARGE_265), ("Main", 186));
}

#[test]
fn camera_without_b_frames_is_accused_of_them() {
    let reordering = |coding, hex| parsed(coding, hex).reordering;
    assert_eq!(reordering(Coding::H264, BUNNY), Reordering::Never);
    assert_eq!(reordering(Coding::H264, REOLINK), Reordering::Possible);
    assert_eq!(reordering(Coding::H265, SMALL_265), Reordering::Never);
    // slice_type as in table 7-6 (0, 1, 2, 5, 6, 7), behind the single bit of first_mb_in_slice.
    let codes = [
        (0b100_0000, SliceKind::Predicted),
        (0b010_0000, SliceKind::Bidirectional),
        (0b011_0000, SliceKind::Intra),
        (0b001_1000, SliceKind::Predicted),
        (0b001_1100, SliceKind::Bidirectional),
        (0b000_1000, SliceKind::Intra),
    ];
    for (code, kind) in codes {
        let read = parameters::slice_kind(&slice(0x41, code, 40));
        assert_eq!(read, Some(kind), "{code:#b}");
    }
    let predicted = slice(0x41, 0b100_0000, 40);
    let bidirectional = slice(0x01, 0b010_0000, 40);
    assert!(!has_bidirectional_slices(
        Coding::H264,
        std::slice::from_ref(&predicted)
    ));
    assert!(has_bidirectional_slices(
        Coding::H264,
        &[predicted, bidirectional]
    ));
}

/// The pictures that come out of these payloads.
fn depacketized(coding: Coding, payloads: &[Bytes]) -> Vec<AccessUnit> {
    let mut depacketizer = Depacketizer::new(coding);
    let last = payloads.len().saturating_sub(1);
    let each = payloads.iter().enumerate();
    each.flat_map(|(index, payload)| {
        let pushed = depacketizer.push(payload.clone(), 7, index == last, false);
        pushed.unwrap()
    })
    .collect()
}

#[test]
fn viewer_who_comes_later_never_learns_the_parameters() {
    let (sps, pps) = (bytes(HIKVISION), bytes("68ee3c80"));
    let mut packetizer = Packetizer::new(Coding::H264, DEFAULT_PAYLOAD);
    assert!(packetizer.learn(&sps) && packetizer.learn(&pps) && !packetizer.learn(&pps));
    assert!(packetizer.is_ready());
    for _ in 0..2 {
        let payloads = packetizer.packetize(&[bytes("09f0"), idr(3000)]);
        let first = h264::parse(&payloads[0], false).unwrap();
        assert!(first.key_frame && payloads[0][0] & 0x1f == 24);
        assert_eq!(first.size.map(|size| size.height), Some(1080));
        let pictures = depacketized(Coding::H264, &payloads);
        assert_eq!(pictures[0].units, [sps.clone(), pps.clone(), idr(3000)]);
        assert!(pictures[0].key_frame);
    }
    // What comes in band counts from then on, and is not sent twice.
    let other = bytes(FOSCAM);
    packetizer.packetize(&[other.clone(), pps.clone(), idr(10)]);
    let pictures = depacketized(Coding::H264, &packetizer.packetize(&[idr(10)]));
    assert_eq!(pictures[0].units, [other, pps, idr(10)]);
}

#[test]
fn key_frames_of_h265_go_without_their_three_parameter_sets() {
    let sets = [bytes("40010c01"), bytes(LARGE_265), bytes("4401c0f2")];
    let mut packetizer = Packetizer::new(Coding::H265, DEFAULT_PAYLOAD);
    for set in sets.iter().rev() {
        packetizer.learn(set);
    }
    let payloads = packetizer.packetize(&[unit_265(19, 5000)]);
    assert!(h265::parse(&payloads[0], false).unwrap().key_frame);
    let pictures = depacketized(Coding::H265, &payloads);
    assert_eq!(pictures[0].units[..3], sets);
    assert!(pictures[0].key_frame);
    let payloads = packetizer.packetize(&[unit_265(1, 5000)]);
    assert!(!depacketized(Coding::H265, &payloads)[0].key_frame);
}

#[test]
fn start_codes_inside_of_payloads_reach_the_browser() {
    let mut payload = vec![0, 0, 0, 1];
    payload.extend(bytes(HIKVISION));
    payload.extend([0, 0, 0, 1, 0x68, 0xee, 0x3c, 0x80, 0, 0, 1]);
    payload.extend(idr(20));
    let pictures = depacketized(Coding::H264, &[payload.into()]);
    assert_eq!(
        pictures[0].units,
        [bytes(HIKVISION), bytes("68ee3c80"), idr(20)]
    );
    assert_eq!(pictures[0].annex_b()[..5], [0, 0, 0, 1, 0x67]);
}

#[test]
fn picture_with_a_hole_is_shown() {
    let mut packetizer = Packetizer::new(Coding::H264, 200);
    let payloads = packetizer.packetize(&[idr(1000)]);
    let mut depacketizer = Depacketizer::new(Coding::H264);
    let last = payloads.len() - 1;
    for (index, payload) in payloads.iter().enumerate().filter(|(index, _)| *index != 2) {
        let pushed = depacketizer.push(payload.clone(), 0, index == last, index == 3);
        assert_eq!(pushed, Ok(Vec::new()));
    }
    let next = depacketizer.push(idr(30), 3000, true, false).unwrap();
    assert!(next[0].after_loss);
    let next = depacketizer.push(idr(30), 6000, true, false).unwrap();
    assert!(!next[0].after_loss);
}

#[test]
fn camera_without_markers_shows_nothing() {
    let mut depacketizer = Depacketizer::new(Coding::H264);
    let pushed = depacketizer.push(idr(30), 0, false, false);
    assert_eq!(pushed, Ok(Vec::new()));
    let next = depacketizer.push(idr(40), 3000, false, false).unwrap();
    assert_eq!((next[0].timestamp, next[0].size()), (0, 30));
}

#[test]
fn picture_without_end_eats_all_memory() {
    let mut depacketizer = Depacketizer::new(Coding::H264);
    let piece = Bytes::from(vec![1; 60_000]);
    let mut payload = vec![28, 0x85];
    payload.extend(&piece);
    let mut pushed = depacketizer.push(payload.clone().into(), 0, false, false);
    payload[1] = 5;
    let payload = Bytes::from(payload);
    let mut count = 0;
    while pushed.is_ok() {
        count += 1;
        pushed = depacketizer.push(payload.clone(), 0, false, false);
    }
    assert!((139..142).contains(&count), "{count}");
    assert!(depacketizer.size == 0 && depacketizer.fragment.is_none());
}

#[test]
fn intra_pictures_of_cameras_without_refresh_are_no_place_to_begin() {
    let intra = slice(0x61, 0b011_0000, 40);
    let units = [bytes(HIKVISION), bytes("68ee3c80"), intra.clone()];
    assert!(is_key_frame(Coding::H264, &units));
    assert!(!is_key_frame(Coding::H264, &[intra]));
    let predicted = slice(0x61, 0b100_0000, 40);
    assert!(!is_key_frame(Coding::H264, &[units[0].clone(), predicted]));
}

fn unit_strategy(coding: Coding) -> impl Strategy<Value = Bytes> {
    let kinds: &[u8] = match coding {
        Coding::H264 => &[1, 5, 6, 7, 8],
        Coding::H265 => &[1, 19, 32, 33, 34, 39],
    };
    let kinds = proptest::sample::select(kinds);
    // Bytes that need no escaping, in units of any length up to many packets.
    (kinds, 3usize..9000, 1u8..255).prop_map(move |(kind, len, seed)| {
        let mut unit = match coding {
            Coding::H264 => vec![0x60 | kind],
            Coding::H265 => vec![kind << 1, 1],
        };
        unit.extend((unit.len()..len).map(|at| seed.wrapping_add((at % 7) as u8) | 1));
        unit.into()
    })
}

fn codings() -> impl Strategy<Value = (Coding, Vec<Bytes>)> {
    proptest::sample::select(vec![Coding::H264, Coding::H265]).prop_flat_map(|coding| {
        let units = proptest::collection::vec(unit_strategy(coding), 1..12);
        (Just(coding), units)
    })
}

proptest! {
    #[test]
    fn packets_do_not_fit_the_path_or_lose_bytes((coding, units) in codings(), max in 64usize..1500) {
        let mut packetizer = Packetizer::new(coding, max);
        let complete = packetizer.clone().complete(&units);
        let payloads = packetizer.packetize(&units);
        prop_assert!(payloads.iter().all(|payload| payload.len() <= max && !payload.is_empty()));
        for payload in &payloads {
            let understood = match coding {
                Coding::H264 => h264::parse(payload, false),
                Coding::H265 => h265::parse(payload, false),
            };
            prop_assert!(understood.is_some());
        }
        let pictures = depacketized(coding, &payloads);
        prop_assert_eq!(pictures.len(), usize::from(!complete.is_empty()));
        for picture in pictures {
            prop_assert_eq!(&picture.units, &complete);
        }
    }

    #[test]
    fn bytes_of_a_stranger_break_a_parser(data in proptest::collection::vec(any::<u8>(), 0..600)) {
        crate::fuzzing::nal(&data);
    }

    #[test]
    fn parameters_that_are_cut_or_bent_break_the_parser(
        which in 0usize..8,
        at in 0usize..60,
        byte: u8,
        len in 0usize..60,
    ) {
        let sets = [DAHUA, HIKVISION, REOLINK, BUNNY, FOSCAM, SMALL_265, LARGE_265, TIMED_265];
        let coding = if which < 5 { Coding::H264 } else { Coding::H265 };
        let mut set = bytes(sets[which]).to_vec();
        if let Some(target) = set.get_mut(at) {
            *target = byte;
        }
        set.truncate(len);
        let read = SequenceParameters::parse(coding, &set);
        prop_assert!(read.is_none_or(|read| read.size.width <= 16_384 && read.size.height > 0));
    }
}
