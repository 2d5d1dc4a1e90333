//! Packets of pictures and of sound, made once for all cameras.

use std::time::Duration;

use super::{Plan, Sound};
use crate::random::Random;

/// Bytes of an RTP payload: what cameras put into an Ethernet frame.
const MAX_PAYLOAD: usize = 1400;

/// How much larger a key frame is than another picture.
const KEY_FRAME_FACTOR: usize = 12;

/// Main profile, 1920 by 1080, and the picture parameter set of the same maker.
const SPS: [u8; 25] = [
    0x67, 0x4d, 0x00, 0x29, 0x9a, 0x64, 0x03, 0xc0, 0x11, 0x3f, 0x2c, 0xd4, 0x04, 0x04, 0x05, 0x00,
    0x00, 0x03, 0x03, 0xe8, 0x00, 0x00, 0xea, 0x60, 0x04,
];
const PPS: [u8; 4] = [0x68, 0xee, 0x3c, 0x80];

/// Header of a slice of an instantaneous refresh; the bits of the second byte are first_mb_in_slice
/// 0 and slice_type 7, intra (H.264 section 7.3.3).
const KEY_SLICE: [u8; 2] = [0x65, 0x88];
/// The same of slice_type 0, predicted.
const SLICE: [u8; 2] = [0x41, 0xc0];

/// RFC 6184 section 5.8.
const FU_A: u8 = 28;

/// Two seconds of noise in ADTS: 16 kHz, mono, 32 kbit/s.
const NOISE: &[u8] = include_bytes!("noise-16000-mono.aac");

/// Samples of an access unit of AAC.
const AAC_SAMPLES: u32 = 1024;
const AAC_RATE: u32 = 16_000;

/// Samples of a packet of G.711, 20 ms.
const PCMU_SAMPLES: u32 = 160;
const PCMU_RATE: u32 = 8000;

/// Of pictures (RFC 6184 section 8.2.1).
const VIDEO_RATE: u32 = 90_000;

/// What all cameras send, over and over.
#[derive(Debug)]
pub(super) struct Media {
    /// From one key frame to the next.
    pub(super) pictures: Reel,
    pub(super) sound: Option<Reel>,
    /// Of streams: what an SDP says of them (RFC 8866), in the order of the reels.
    pub(super) description: String,
}

/// Frames at a fixed pace.
#[derive(Debug)]
pub(super) struct Reel {
    /// Of each frame the payloads of its packets.
    pub(super) frames: Vec<Vec<Vec<u8>>>,
    pub(super) interval: Duration,
    /// Of the stream's clock, from one frame to the next.
    pub(super) ticks: u32,
    /// Payload type.
    pub(super) kind: u8,
    /// Whether the last packet of a frame says that it is.
    pub(super) marked: bool,
}

impl Media {
    pub(super) fn new(plan: &Plan) -> Media {
        let mut description = String::from(
            "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
             a=fmtp:96 packetization-mode=1\r\na=control:stream=0\r\n",
        );
        let sound = match plan.sound {
            Sound::None => None,
            Sound::Pcmu => {
                description.push_str("m=audio 0 RTP/AVP 0\r\na=control:stream=1\r\n");
                Some(pcmu())
            }
            Sound::Aac => {
                description.push_str(
                    "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000/1\r\n\
                     a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;\
                     indexlength=3;indexdeltalength=3;config=1408\r\na=control:stream=1\r\n",
                );
                Some(aac())
            }
        };
        Media {
            pictures: pictures(plan),
            sound,
            description,
        }
    }
}

fn pictures(plan: &Plan) -> Reel {
    let fps = plan.fps.max(1);
    let interval = Duration::from_secs(1) / fps;
    let count = (plan.key_frames.as_secs_f64() * f64::from(fps)).round();
    let count = (count as usize).max(1);
    let bytes = plan.bitrate as f64 / 8.0 / f64::from(fps) * count as f64;
    let each = bytes as usize / (count - 1 + KEY_FRAME_FACTOR);
    let mut random = Random::of(1, 0);
    let frame = |index| match index {
        0 => {
            let mut payloads = vec![SPS.to_vec(), PPS.to_vec()];
            payloads.extend(slice(KEY_SLICE, each * KEY_FRAME_FACTOR, &mut random));
            payloads
        }
        _ => slice(SLICE, each, &mut random),
    };
    Reel {
        frames: (0..count).map(frame).collect(),
        interval,
        ticks: VIDEO_RATE / fps,
        kind: 96,
        marked: true,
    }
}

/// A picture of one slice of about so many bytes, in one packet or in fragments of it. Its content
/// has no zeros, so that nothing in it looks like a start code.
fn slice(header: [u8; 2], bytes: usize, random: &mut Random) -> Vec<Vec<u8>> {
    let content = std::iter::repeat_with(|| random.bits() as u8 | 1);
    let unit: Vec<u8> = header
        .into_iter()
        .chain(content)
        .take(bytes.max(64))
        .collect();
    if unit.len() <= MAX_PAYLOAD {
        return vec![unit];
    }
    let (first, body) = (unit[0], &unit[1..]);
    let pieces = body.chunks(MAX_PAYLOAD - 2);
    let last = pieces.len() - 1;
    let fragment = |(index, piece): (usize, &[u8])| {
        let (start, end) = (u8::from(index == 0) << 7, u8::from(index == last) << 6);
        let mut payload = vec![first & 0x60 | FU_A, start | end | first & 0x1f];
        payload.extend_from_slice(piece);
        payload
    };
    pieces.enumerate().map(fragment).collect()
}

fn pcmu() -> Reel {
    let mut random = Random::of(1, 1);
    let mut packet = || {
        let samples = std::iter::repeat_with(|| random.bits() as u8);
        vec![samples.take(PCMU_SAMPLES as usize).collect()]
    };
    Reel {
        frames: (0..50).map(|_| packet()).collect(),
        interval: Duration::from_secs(1) * PCMU_SAMPLES / PCMU_RATE,
        ticks: PCMU_SAMPLES,
        kind: 0,
        marked: false,
    }
}

fn aac() -> Reel {
    Reel {
        frames: access_units(NOISE)
            .map(|unit| vec![aac_packet(unit)])
            .collect(),
        interval: Duration::from_secs(1) * AAC_SAMPLES / AAC_RATE,
        ticks: AAC_SAMPLES,
        kind: 97,
        marked: true,
    }
}

/// RFC 3640 section 3.2: one access unit behind its size, which has 13 bits, and an index of 3.
fn aac_packet(unit: &[u8]) -> Vec<u8> {
    let mut payload = vec![0, 16];
    payload.extend(((unit.len() as u16) << 3).to_be_bytes());
    payload.extend_from_slice(unit);
    payload
}

/// Of a file in ADTS without checksums (ISO/IEC 13818-7 section 6.2).
fn access_units(mut file: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let head: &[u8; 7] = file.first_chunk()?;
        let length =
            usize::from(head[3] & 3) << 11 | usize::from(head[4]) << 3 | usize::from(head[5]) >> 5;
        let unit = file.get(head.len()..length)?;
        file = &file[length..];
        Some(unit)
    })
}

#[cfg(test)]
mod tests {
    use umbrella_media::nal::{Coding, Depacketizer, has_bidirectional_slices};

    use super::*;

    const PLAN: Plan = Plan {
        bitrate: 2_000_000,
        fps: 25,
        key_frames: Duration::from_secs(3),
        sound: Sound::Aac,
    };

    #[test]
    fn a_server_takes_the_pictures_for_others_than_they_are() {
        let media = Media::new(&PLAN);
        let mut depacketizer = Depacketizer::new(Coding::H264);
        let (mut bytes, mut keys) = (0, Vec::new());
        for (index, frame) in media.pictures.frames.iter().enumerate() {
            let last = frame.len() - 1;
            for (at, payload) in frame.iter().enumerate() {
                assert!(payload.len() <= MAX_PAYLOAD);
                bytes += payload.len();
                let done = depacketizer
                    .push(payload.clone().into(), index as i64, at == last, false)
                    .unwrap();
                assert_eq!(done.len(), usize::from(at == last));
                for unit in done {
                    assert!(!has_bidirectional_slices(Coding::H264, &unit.units));
                    assert_eq!(unit.units.len(), if unit.key_frame { 3 } else { 1 });
                    keys.push(unit.key_frame);
                }
            }
        }
        assert_eq!(keys.len(), 75);
        assert!(keys[0] && !keys[1..].contains(&true));
        let bitrate = bytes as f64 * 8.0 / 3.0;
        assert!((1.98e6..2.02e6).contains(&bitrate), "{bitrate}");
    }

    #[test]
    fn all_of_the_sound_is_taken_from_the_file() {
        let units: Vec<_> = access_units(NOISE).collect();
        assert!(units.len() > 30, "{}", units.len());
        let headers = 7 * units.len();
        assert_eq!(
            units.iter().map(|unit| unit.len()).sum::<usize>() + headers,
            NOISE.len()
        );
    }
}
