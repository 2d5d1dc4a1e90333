//! Publishers for tests: packets as real encoders number them, with the loss and disorder that a
//! test asks for.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use umbrella_media::codec::Parser;
use umbrella_media::{Codec, Packet, SenderReport, Spatial};

/// One VP8 encoding with three temporal layers (0, 2, 1, 2), of which the publisher's key frames
/// can be asked for.
pub(crate) struct Vp8 {
    pub(crate) encoding: Spatial,
    pub(crate) packets_per_frame: u64,
    parser: Parser,
    seq: u64,
    timestamp: u32,
    picture: u16,
    tl0: u8,
    key_index: u8,
    frame: u64,
    cycle: usize,
    want_key: bool,
}

impl Vp8 {
    pub(crate) fn new(encoding: Spatial, seed: u64) -> Vp8 {
        Vp8 {
            encoding,
            packets_per_frame: 1 + encoding.index() as u64,
            parser: Parser::new(Codec::Vp8),
            seq: 5000 + seed % 60_000,
            timestamp: (seed.wrapping_mul(2_654_435_761) >> 3) as u32,
            picture: (seed.wrapping_mul(40_503) % 0x8000) as u16,
            tl0: seed as u8,
            key_index: (seed % 32) as u8,
            frame: 0,
            cycle: 0,
            want_key: true,
        }
    }

    pub(crate) fn request_key_frame(&mut self) {
        self.want_key = true;
    }

    /// Its timestamps jump.
    pub(crate) fn set_clock_ahead(&mut self, ticks: u32) {
        self.timestamp = self.timestamp.wrapping_add(ticks);
    }

    /// What a sender report of this encoding says, on a clock shared by all encodings.
    pub(crate) fn report(&self) -> SenderReport {
        SenderReport {
            time: frame_time(self.frame),
            rtp: self.timestamp,
        }
    }

    /// The packets of the next frame, 30 a second.
    pub(crate) fn frame(&mut self, start: Instant) -> Vec<Packet> {
        let key = std::mem::take(&mut self.want_key);
        if key {
            self.cycle = 0;
        }
        let (temporal, sync) = [(0, false), (2, true), (1, true), (2, false)][self.cycle % 4];
        if temporal == 0 {
            self.tl0 = self.tl0.wrapping_add(1);
        }
        self.key_index = (self.key_index + u8::from(key)) & 31;
        let layer = temporal << 6 | u8::from(sync) << 5 | self.key_index;
        let packets = (0..self.packets_per_frame)
            .map(|index| self.packet(start, index, key, layer))
            .collect();
        self.frame += 1;
        self.cycle += 1;
        self.picture = (self.picture + 1) & 0x7fff;
        self.timestamp = self.timestamp.wrapping_add(3000);
        packets
    }

    fn packet(&mut self, start: Instant, index: u64, key: bool, layer: u8) -> Packet {
        let [high, low] = self.picture.to_be_bytes();
        let first = if index == 0 { 0x90 } else { 0x80 };
        let payload = [
            first,
            0xf0,
            0x80 | high,
            low,
            self.tl0,
            layer,
            u8::from(!key),
            index as u8,
            7,
        ];
        let marker = index + 1 == self.packets_per_frame;
        let descriptor = self.parser.parse(&payload, marker, None);
        self.seq += 1;
        Packet {
            timestamp: self.timestamp,
            marker,
            encoding: self.encoding,
            descriptor,
            ..packet(
                Codec::Vp8,
                self.seq,
                &payload,
                start + frame_time(self.frame),
            )
        }
    }
}

/// A packet with nothing special about it.
pub(crate) fn packet(codec: Codec, seq: u64, payload: &[u8], received: Instant) -> Packet {
    Packet {
        seq,
        timestamp: 0,
        marker: false,
        codec,
        encoding: Spatial::LOW,
        descriptor: Parser::new(codec).parse(payload, false, None),
        payload: Arc::from(payload),
        received,
        audio_level: None,
        orientation: None,
        capture_time: None,
        playout_delay: None,
        dependency: None,
    }
}

/// When a frame was captured.
pub(crate) fn frame_time(frame: u64) -> Duration {
    Duration::from_nanos(1_000_000_000 / 30 * frame)
}

/// A generator of numbers that are the same for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end.max(1)
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
