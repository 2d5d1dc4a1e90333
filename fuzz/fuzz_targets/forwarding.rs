//! Packets with any contents and any numbers through parser, selector and rewriter.
//!
//! Each packet is: sequence number (2 bytes), flags, timestamp step, length, payload.
#![no_main]

use std::collections::HashSet;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use umbrella_media::{
    Codec, Delivery, Kind, Layer, Packet, Parser, Rewriter, Selector, Spatial, Temporal,
};

const CODECS: [Codec; 5] = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::H265, Codec::Av1];

fuzz_target!(|data: &[u8]| {
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
            received: Instant::now(),
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
});
