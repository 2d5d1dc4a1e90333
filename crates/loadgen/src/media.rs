//! Synthetic tracks: payloads with correct codec headers, and nothing that a decoder could use.

use std::time::Duration;

use crate::stamp::{self, Stamp};

/// Bytes of payload that a packet has at most: what libwebrtc leaves of an MTU of 1200.
pub const MAX_PAYLOAD: usize = 1160;

/// How much larger a key frame is than the others.
const KEY_FRAME_FACTOR: usize = 4;

/// Milliseconds of sound in a packet.
const AUDIO_FRAME: Duration = Duration::from_millis(20);

/// A codec for pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum VideoCodec {
    /// RFC 7741.
    Vp8,
    /// RFC 6184, packetization mode 1.
    H264,
}

/// One encoding of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// The stream's id (RFC 8852) of a simulcast encoding.
    pub rid: Option<&'static str>,
    /// Bits of payload per second.
    pub bitrate: u64,
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
}

/// A track to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Track {
    /// Opus, 50 packets a second.
    Audio {
        /// Bits of payload per second.
        bitrate: u64,
    },
    /// Pictures in one encoding or several, lowest first.
    Video {
        /// How they are packed.
        codec: VideoCodec,
        /// Frames per second.
        fps: u32,
        /// Lowest first.
        layers: Vec<Layer>,
    },
}

impl Track {
    /// Three encodings with the usual proportions, of which the highest has `bitrate`.
    pub fn simulcast(codec: VideoCodec, fps: u32, bitrate: u64) -> Track {
        let layer = |rid, divisor, scale: u16| Layer {
            rid: Some(rid),
            bitrate: bitrate / divisor,
            width: 1280 / scale,
            height: 720 / scale,
        };
        Track::Video {
            codec,
            fps,
            layers: vec![layer("q", 10, 4), layer("h", 3, 2), layer("f", 1, 1)],
        }
    }

    /// One encoding.
    pub fn single(codec: VideoCodec, fps: u32, bitrate: u64) -> Track {
        Track::Video {
            codec,
            fps,
            layers: vec![Layer {
                rid: None,
                bitrate,
                width: 1280,
                height: 720,
            }],
        }
    }

    /// Whether it is sound.
    pub fn is_audio(&self) -> bool {
        matches!(self, Track::Audio { .. })
    }

    /// Time between two frames.
    pub fn interval(&self) -> Duration {
        match self {
            Track::Audio { .. } => AUDIO_FRAME,
            Track::Video { fps, .. } => Duration::from_secs(1) / (*fps).max(1),
        }
    }

    /// Its encodings' stream ids, lowest first.
    pub fn rids(&self) -> Vec<Option<&'static str>> {
        match self {
            Track::Audio { .. } => vec![None],
            Track::Video { layers, .. } => layers.iter().map(|layer| layer.rid).collect(),
        }
    }

    /// Sizes of the packets of an ordinary frame of one encoding, all the same: how often, and
    /// how many bytes of payload.
    pub fn packets(&self, layer: usize) -> (usize, usize) {
        match self {
            Track::Audio { .. } => (1, self.frame_bytes(layer)),
            Track::Video { .. } => split(self.frame_bytes(layer)),
        }
    }

    fn frame_bytes(&self, layer: usize) -> usize {
        let bitrate = match self {
            Track::Audio { bitrate } => *bitrate,
            Track::Video { layers, .. } => layers.get(layer).map_or(0, |layer| layer.bitrate),
        };
        (bitrate as f64 / 8.0 * self.interval().as_secs_f64()) as usize
    }
}

/// How many packets of how many bytes carry a frame.
fn split(bytes: usize) -> (usize, usize) {
    // Key frames' headers and the stamp need some room.
    let bytes = bytes.max(100);
    let count = bytes.div_ceil(MAX_PAYLOAD);
    (count, bytes.div_ceil(count))
}

/// A packet's payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Codec header, filling and stamp.
    pub bytes: Vec<u8>,
    /// The last packet of a frame.
    pub marker: bool,
}

/// Makes the packets of one encoding of one track.
#[derive(Debug, Clone)]
pub struct Encoder {
    track: u32,
    layer: u8,
    frame: u32,
    number: u32,
    key_frame_wanted: bool,
}

impl Encoder {
    /// `track` and `layer` are those of [`Stamp`].
    pub fn new(track: u32, layer: u8) -> Encoder {
        Encoder {
            track,
            layer,
            frame: 0,
            number: 0,
            key_frame_wanted: true,
        }
    }

    /// The next frame of pictures is a key frame.
    pub fn want_key_frame(&mut self) {
        self.key_frame_wanted = true;
    }

    /// Frames made so far.
    pub fn frame(&self) -> u32 {
        self.frame
    }

    /// The next frame; `now_ns` is what [`Stamp`] wants.
    pub fn next_frame(&mut self, track: &Track, now_ns: u64) -> Vec<Payload> {
        let bytes = track.frame_bytes(usize::from(self.layer));
        let key = self.key_frame_wanted;
        let mut payloads = match track {
            Track::Audio { .. } => vec![opus(bytes)],
            Track::Video { codec, layers, .. } => {
                self.key_frame_wanted = false;
                let (count, size) = split(if key { bytes * KEY_FRAME_FACTOR } else { bytes });
                let pixels = layers.get(usize::from(self.layer));
                let pixels = pixels.map_or((640, 360), |layer| (layer.width, layer.height));
                (0..count)
                    .map(|at| match codec {
                        VideoCodec::Vp8 => vp8(size, self.frame, at == 0, key, pixels),
                        VideoCodec::H264 => h264(size, at, count, key),
                    })
                    .collect()
            }
        };
        self.frame = self.frame.wrapping_add(1);
        for payload in &mut payloads {
            self.stamp(payload, now_ns);
        }
        let last = payloads.len();
        let numbered = payloads.into_iter().zip(1..);
        numbered
            .map(|(bytes, at)| Payload {
                bytes,
                marker: at == last && !track.is_audio(),
            })
            .collect()
    }

    fn stamp(&mut self, payload: &mut [u8], sent_ns: u64) {
        let stamp = Stamp {
            track: self.track,
            layer: self.layer,
            number: self.number,
            sent_ns,
        };
        stamp.write(payload);
        self.number = self.number.wrapping_add(1);
    }
}

/// RFC 7587: a packet's first byte tells mode and length, here 20 ms of hybrid sound.
fn opus(bytes: usize) -> Vec<u8> {
    let mut payload = vec![0x55; bytes.max(stamp::LEN + 1)];
    payload[0] = 0x78;
    payload
}

/// RFC 7741, 4.2: a descriptor with picture id (15 bits), TL0PICIDX and temporal layer, as
/// libwebrtc writes it for simulcast; then the first bytes of a frame (RFC 6386, 9.1).
fn vp8(bytes: usize, frame: u32, start: bool, key: bool, pixels: (u16, u16)) -> Vec<u8> {
    let [.., high, low] = frame.to_be_bytes();
    let mut payload = Vec::with_capacity(bytes);
    payload.extend([
        0x80 | if start { 0x10 } else { 0 },
        0xe0,
        0x80 | high & 0x7f,
        low,
        low, // every frame is of the base layer, so each has its own TL0PICIDX
        0x20,
    ]);
    if start {
        payload.extend([u8::from(!key), 0, 0]);
        if key {
            payload.extend([0x9d, 0x01, 0x2a]);
            payload.extend(pixels.0.to_le_bytes());
            payload.extend(pixels.1.to_le_bytes());
        }
    }
    payload.resize(bytes.max(payload.len() + stamp::LEN), 0x55);
    payload
}

/// Constrained baseline, level 3.1, 640 by 480.
const SPS: [u8; 14] = [
    0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x1e, 0xd0, 0x0f, 0x08, 0x84, 0x6a,
];
const PPS: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];
const IDR: u8 = 0x65;
const SLICE: u8 = 0x61;

/// RFC 6184, 5.7 and 5.8: the parameter sets of a key frame in a packet of their own, and one
/// slice, in fragments where it needs several packets.
fn h264(bytes: usize, at: usize, count: usize, key: bool) -> Vec<u8> {
    let mut payload = Vec::with_capacity(bytes);
    let unit = if key { IDR } else { SLICE };
    // A key frame's first packet carries the parameter sets, the slice begins with its second.
    let (begin, alone) = (usize::from(key), count == 1 + usize::from(key));
    if key && at == 0 {
        payload.push(0x78);
        for set in [SPS.as_slice(), PPS.as_slice()] {
            payload.extend((set.len() as u16).to_be_bytes());
            payload.extend(set);
        }
        let rest = bytes.saturating_sub(payload.len() + 2).max(stamp::LEN + 1);
        payload.extend((rest as u16).to_be_bytes());
        // The stamp lies in a unit of filler data; a lone packet carries the slice instead.
        payload.push(if count == 1 { IDR } else { 0x0c });
        payload.extend(std::iter::repeat_n(0x80, rest - 1));
        return payload;
    }
    if alone {
        payload.push(unit);
    } else {
        let start = if at == begin { 0x80 } else { 0 };
        let end = if at + 1 == count { 0x40 } else { 0 };
        payload.extend([unit & 0x60 | 28, start | end | unit & 0x1f]);
    }
    // The first bit is first_mb_in_slice = 0: the slice begins the picture.
    payload.push(0x80);
    payload.resize(bytes.max(payload.len() + stamp::LEN), 0x55);
    payload
}

#[cfg(test)]
mod tests {
    use umbrella_media::{Codec, Descriptor, Parser};

    use super::*;

    fn parse(codec: Codec, payloads: &[Payload]) -> Vec<Descriptor> {
        let mut parser = Parser::new(codec);
        let each = payloads.iter();
        each.map(|payload| parser.parse(&payload.bytes, payload.marker, None))
            .collect()
    }

    fn frames(codec: VideoCodec, bitrate: u64) -> (Vec<Payload>, Vec<Payload>) {
        let track = Track::single(codec, 30, bitrate);
        let mut encoder = Encoder::new(9, 0);
        (encoder.next_frame(&track, 1), encoder.next_frame(&track, 2))
    }

    #[test]
    fn a_server_sees_the_key_frame_and_where_frames_begin_and_end() {
        let codecs = [
            (VideoCodec::Vp8, Codec::Vp8),
            (VideoCodec::H264, Codec::H264),
        ];
        for (codec, parsed_as) in codecs {
            for bitrate in [30_000, 300_000, 2_000_000] {
                let (key, delta) = frames(codec, bitrate);
                let seen = parse(parsed_as, &key);
                assert!(
                    seen[0].key_frame && seen[0].frame_start,
                    "{codec:?} {bitrate}"
                );
                let seen = parse(parsed_as, &delta);
                assert!(seen[0].frame_start, "{codec:?} {bitrate}");
                assert!(
                    seen.iter().all(|seen| !seen.key_frame),
                    "{codec:?} {bitrate}"
                );
                for frame in [key, delta] {
                    assert!(frame.last().unwrap().marker);
                    assert_eq!(frame.iter().filter(|packet| packet.marker).count(), 1);
                }
            }
        }
    }

    #[test]
    fn numbers_have_no_gaps_across_frames() {
        let (key, delta) = frames(VideoCodec::Vp8, 1_000_000);
        let numbers = key.iter().chain(&delta);
        let numbers = numbers.map(|packet| Stamp::parse(&packet.bytes).unwrap().number);
        let numbers: Vec<u32> = numbers.collect();
        assert_eq!(numbers, (0..numbers.len() as u32).collect::<Vec<_>>());
    }

    #[test]
    fn a_track_has_the_bitrate_that_was_asked_for() {
        let track = Track::single(VideoCodec::Vp8, 30, 1_000_000);
        let mut encoder = Encoder::new(0, 0);
        encoder.next_frame(&track, 0);
        let bytes: usize = (0..30)
            .flat_map(|_| encoder.next_frame(&track, 0))
            .map(|packet| packet.bytes.len())
            .sum();
        assert!((120_000..130_000).contains(&bytes), "{bytes}");
        assert_eq!(track.packets(0), (4, 1042));
        let audio = Track::Audio { bitrate: 32_000 };
        assert_eq!(audio.packets(0), (1, 80));
    }

    #[test]
    fn packets_of_a_frame_fit_the_path() {
        for bitrate in [50_000, 1_000_000, 4_000_000] {
            let (key, delta) = frames(VideoCodec::H264, bitrate);
            let largest = key.iter().chain(&delta).map(|packet| packet.bytes.len());
            assert!(largest.max().unwrap() <= MAX_PAYLOAD + 8);
        }
    }

    #[test]
    fn a_key_frame_comes_when_it_is_asked_for() {
        let track = Track::single(VideoCodec::Vp8, 30, 500_000);
        let mut encoder = Encoder::new(0, 0);
        let mut is_key = || parse(Codec::Vp8, &encoder.next_frame(&track, 0))[0].key_frame;
        assert!(is_key() && !is_key());
        encoder.want_key_frame();
        let mut is_key = || parse(Codec::Vp8, &encoder.next_frame(&track, 0))[0].key_frame;
        assert!(is_key() && !is_key());
    }
}
