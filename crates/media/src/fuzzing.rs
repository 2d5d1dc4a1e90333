//! What holds for all packets that strangers send. Fuzz targets look for packets for which it does
//! not, tests repeat what they have found.

use std::collections::HashSet;
use std::time::Instant;

use bytes::Bytes;

use crate::codec::dependency::Reader;
use crate::codec::{av1, h264, h265, opus, red, vp8, vp9};
use crate::nal::{AccessUnit, Coding, Depacketizer, Packetizer, SequenceParameters};
use crate::{Codec, Delivery, Kind, Layer, Packet, Parser, Rewriter, Selector, Spatial, Temporal};

const CODECS: [Codec; 5] = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::H265, Codec::Av1];

/// Reads a payload. The first byte chooses the codec, the rest is the payload.
///
/// # Panics
/// If the main block of a redundant payload is not inside of it.
pub fn payload(data: &[u8]) {
    let Some((&choice, payload)) = data.split_first() else {
        return;
    };
    let marker = choice & 0x80 != 0;
    match choice & 0x7f {
        0 => drop(vp8::parse(payload, marker)),
        1 => drop(vp9::parse(payload)),
        2 => drop(h264::parse(payload, marker)),
        3 => drop(h265::parse(payload, marker)),
        4 => drop(av1::parse(payload, marker)),
        5 => drop(opus::parse(payload)),
        6 => {
            if let Some(primary) = red::primary(payload) {
                assert!(payload.get(primary.range).is_some());
            }
        }
        _ => {}
    }
}

/// Reads a row of dependency descriptors: each is a length byte and so many bytes.
///
/// # Panics
/// If a descriptor that was refused has changed what later ones mean, or one says that somebody
/// can switch to a layer that has no need of it.
pub fn dependency(data: &[u8]) {
    let mut reader = Reader::new();
    let mut rest = data;
    while let Some((&len, tail)) = rest.split_first() {
        let (descriptor, tail) = tail.split_at(usize::from(len).min(tail.len()));
        rest = tail;
        let before = reader.clone();
        let Some(read) = reader.read(descriptor) else {
            assert_eq!(format!("{before:?}"), format!("{reader:?}"));
            continue;
        };
        assert!(read.known || !read.key_frame);
        assert_eq!(
            read.targets.frame_number.to_be_bytes(),
            descriptor[1..3],
            "the rewriter replaces these two bytes"
        );
    }
}

/// Forwards packets with any contents and any numbers through parser, selector and rewriter. Each
/// is: sequence number (2 bytes), flags, timestamp step, length, payload.
///
/// # Panics
/// If a sequence number is used twice, or a rewritten header does not fit its payload.
pub fn forwarding(now: Instant, data: &[u8]) {
    let Some((&choice, mut rest)) = data.split_first() else {
        return;
    };
    let codec = CODECS[usize::from(choice) % CODECS.len()];
    let mut parser = Parser::new(codec);
    let mut selector = Selector::new(Kind::Video, Delivery::FULL);
    let mut rewriter = Rewriter::new(1, 0);
    let mut used = HashSet::new();
    let mut timestamp = 0u32;
    while let [high, low, flags, step, len, tail @ ..] = rest {
        let (payload, tail) = tail.split_at(usize::from(*len).min(tail.len()));
        rest = tail;
        timestamp = timestamp.wrapping_add(u32::from(*step) << 8);
        let spatial = |bits: u8| Spatial::new(bits & 3).unwrap_or(Spatial::HIGH);
        if flags & 0x40 != 0 {
            let layer = Layer {
                spatial: spatial(*flags),
                temporal: Temporal::new(flags >> 2),
            };
            selector.configure(Delivery {
                paused: flags & 0x20 != 0,
                layer,
                ..Delivery::FULL
            });
            continue;
        }
        let marker = flags & 0x80 != 0;
        let dependency = (flags & 0x10 != 0).then_some(payload);
        let packet = Packet {
            seq: u64::from(u16::from_be_bytes([*high, *low])),
            timestamp,
            marker,
            codec,
            encoding: spatial(*flags),
            descriptor: parser.parse(payload, marker, dependency),
            payload: payload.into(),
            received: now,
            audio_level: None,
            orientation: None,
            capture_time: None,
            playout_delay: None,
            dependency: None,
        };
        let verdict = selector.admit(&packet);
        if let Some(outgoing) = rewriter.rewrite(&packet, verdict, &[None; 3]) {
            assert!(used.insert(outgoing.seq), "{} used twice", outgoing.seq);
            outgoing.patch.apply(&mut payload.to_vec());
        }
    }
}

/// Takes what a camera sends apart, and puts it together again. The first byte chooses the codec
/// and the size of packets; then for each payload: two bytes of length (the upper bits are the
/// marker, a loss and a new timestamp), and so many bytes.
///
/// # Panics
/// If packets are too large, not understood by the forwarder, or hold something else than before.
pub fn nal(data: &[u8]) {
    let Some((&choice, mut rest)) = data.split_first() else {
        return;
    };
    let coding = match choice & 1 {
        0 => Coding::H264,
        _ => Coding::H265,
    };
    let _ = SequenceParameters::parse(coding, rest);
    let max = 64 + 8 * usize::from(choice >> 1);
    let mut packetizer = Packetizer::new(coding, max);
    let mut depacketizer = Depacketizer::new(coding);
    let mut timestamp = 0;
    while let [flags, low, tail @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([flags & 0x0f, *low]));
        let (payload, tail) = tail.split_at(len.min(tail.len()));
        rest = tail;
        timestamp += i64::from(flags & 0x20 != 0) * 3000;
        let payload = Bytes::copy_from_slice(payload);
        let pushed = depacketizer.push(payload, timestamp, flags & 0x80 != 0, flags & 0x40 != 0);
        for picture in pushed.into_iter().flatten() {
            repacketize(coding, max, &mut packetizer, &picture);
        }
    }
}

fn repacketize(coding: Coding, max: usize, packetizer: &mut Packetizer, picture: &AccessUnit) {
    let complete = packetizer.complete(&picture.units);
    let payloads = packetizer.packetize(&picture.units);
    let mut again = Depacketizer::new(coding);
    let mut units = Vec::new();
    for (index, payload) in payloads.iter().enumerate() {
        assert!(payload.len() <= max && !payload.is_empty());
        let understood = match coding {
            Coding::H264 => h264::parse(payload, false).is_some(),
            Coding::H265 => h265::parse(payload, false).is_some(),
        };
        assert!(understood, "{payload:?}");
        let marker = index + 1 == payloads.len();
        let pushed = again.push(payload.clone(), 0, marker, false);
        units.extend(
            pushed
                .into_iter()
                .flatten()
                .flat_map(|picture| picture.units),
        );
    }
    assert_eq!(units, complete);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a target on all of its seeds, and on what it has found.
    fn replay(target: &str, run: impl Fn(&[u8])) {
        let dir = format!("{}/../../fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
        let mut files = 0;
        for entry in std::fs::read_dir(&dir).expect("seeds") {
            run(&std::fs::read(entry.unwrap().path()).unwrap());
            files += 1;
        }
        assert!(files > 0, "{dir} is empty");
    }

    #[test]
    fn packets_that_once_broke_something() {
        replay("payload", payload);
        replay("dependency", dependency);
        replay("nal", nal);
        replay("forwarding", |data| forwarding(Instant::now(), data));
    }
}
