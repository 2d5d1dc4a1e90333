//! What one packet costs: parsing once per packet, selecting and rewriting once per consumer.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use umbrella_media::{
    Codec, Delivery, Kind, Layer, Packet, Parser, Rewriter, Selector, SequenceMap, Spatial,
    Temporal, Verdict,
};

const FRAMES: u16 = 512;
const PACKETS_PER_FRAME: u16 = 4;

/// Some seconds of VP8 with three temporal layers, beginning with a key frame.
fn vp8_payloads() -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    for frame in 0..FRAMES {
        let temporal: u8 = [0, 2, 1, 2][usize::from(frame % 4)];
        let [high, low] = frame.to_be_bytes();
        for index in 0..PACKETS_PER_FRAME {
            let first = if index == 0 { 0x90 } else { 0x80 };
            let mut payload = vec![0; 1100];
            let layer = temporal << 6 | 0x20;
            payload[..7].copy_from_slice(&[
                first,
                0xf0,
                0x80 | high,
                low,
                (frame / 4) as u8,
                layer,
                u8::from(frame > 0),
            ]);
            payloads.push(payload);
        }
    }
    payloads
}

fn packets() -> Vec<Packet> {
    let start = Instant::now();
    let mut parser = Parser::new(Codec::Vp8);
    let packets = vp8_payloads()
        .into_iter()
        .zip(0u32..)
        .map(|(payload, index)| {
            let (frame, place) = (index / 4, index % 4);
            let marker = place == 3;
            Packet {
                seq: 1000 + u64::from(index),
                timestamp: 3000 * frame,
                marker,
                codec: Codec::Vp8,
                encoding: Spatial::LOW,
                descriptor: parser.parse(&payload, marker, None),
                payload: Arc::from(payload),
                received: start + Duration::from_millis(33) * frame,
                audio_level: None,
                orientation: None,
                capture_time: None,
                playout_delay: None,
                dependency: None,
            }
        });
    packets.collect()
}

fn parse(c: &mut Criterion) {
    let payloads = vp8_payloads();
    c.bench_function("parse 2048 packets of VP8", |b| {
        let mut parser = Parser::new(Codec::Vp8);
        b.iter(|| {
            for payload in &payloads {
                black_box(parser.parse(black_box(payload), false, None));
            }
        });
    });
    let fragment = [0x7c, 0x05, 0x88, 0x80];
    c.bench_function("parse a fragment of H.264", |b| {
        let mut parser = Parser::new(Codec::H264);
        b.iter(|| parser.parse(black_box(&fragment), false, None));
    });
}

fn half_the_frames() -> Delivery {
    let layer = Layer {
        spatial: Spatial::LOW,
        temporal: Temporal::new(1),
    };
    Delivery {
        layer,
        ..Delivery::FULL
    }
}

fn select(c: &mut Criterion) {
    let packets = packets();
    c.bench_function("select from 2048 packets", |b| {
        b.iter(|| {
            let mut selector = Selector::new(Kind::Video, half_the_frames());
            for packet in &packets {
                black_box(selector.admit(black_box(packet)));
            }
        });
    });
}

fn rewrite(c: &mut Criterion) {
    let packets = packets();
    let mut selector = Selector::new(Kind::Video, half_the_frames());
    let verdicts: Vec<Verdict> = packets
        .iter()
        .map(|packet| selector.admit(packet))
        .collect();
    c.bench_function("rewrite 2048 packets, half of them dropped", |b| {
        let mut sent = SequenceMap::new(1024);
        b.iter(|| {
            let mut rewriter = Rewriter::new(1, 1);
            for (packet, verdict) in packets.iter().zip(&verdicts) {
                if let Some(outgoing) = rewriter.rewrite(packet, *verdict, &[None; 3]) {
                    sent.insert(packet, &outgoing);
                }
            }
            black_box(rewriter.next())
        });
    });
}

criterion_group!(benches, parse, select, rewrite);
criterion_main!(benches);
