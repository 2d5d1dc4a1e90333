//! An egress and what its peer sees of it.

mod headers;
mod lies;
mod pacing;
mod probing;
mod reports;
mod resends;
mod streams;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use proptest::prelude::*;
use umbrella_media::{AudioLevel, Codec, Descriptor, Kind, Outgoing, Packet, Patch, Spatial};

use super::queue::MAX_VIDEO_BYTES;
use super::twcc::tests::write as write_report;
use super::*;
use crate::secure::testing::{Reader, Rtp, sealer};

const VIDEO: u32 = 1000;
const VIDEO_RTX: u32 = 1001;
const AUDIO: u32 = 2000;
const VP8: Format = Format {
    payload_type: 96,
    rtx_payload_type: Some(97),
    clock_rate: 90_000,
};
const OPUS: Format = Format {
    payload_type: 111,
    rtx_payload_type: None,
    clock_rate: 48_000,
};

/// An egress and the eyes of its peer.
struct Rig {
    egress: Egress,
    sealer: Sealer,
    reader: Reader,
    now: Instant,
}

enum Datagram {
    Rtp(Rtp),
    Rtcp(Vec<u8>),
}

impl Rig {
    fn new() -> Rig {
        let now = Instant::now() + Duration::from_secs(100);
        let clock = NtpClock::new(now, SystemTime::UNIX_EPOCH);
        let egress = Egress::new(
            EgressConfig {
                cname: "umbrella".into(),
                clock,
                seed: 1,
            },
            now,
        );
        Rig {
            egress,
            sealer: sealer(),
            reader: Reader::new(),
            now,
        }
    }

    fn open(&mut self, ssrc: u32, kind: Kind, resends: Resends) -> Opened {
        let config = StreamConfig {
            ssrc,
            kind,
            mid: "7".into(),
            extensions: ids(),
            resends,
        };
        self.egress.open_stream(self.now, &config).unwrap()
    }

    fn open_video(&mut self) -> Opened {
        self.open(VIDEO, Kind::Video, Resends::Rtx { ssrc: VIDEO_RTX })
    }

    fn open_audio(&mut self) -> Opened {
        self.open(AUDIO, Kind::Audio, Resends::Sealed)
    }

    fn write(&mut self, stream: StreamId, seq: u64, size: usize) {
        let format = match self.egress.streams.get(stream).map(|stream| stream.kind) {
            Some(Kind::Audio) => OPUS,
            Some(Kind::Video) | None => VP8,
        };
        let packet = packet(seq, size, self.now);
        self.egress
            .write(self.now, stream, &packet, outgoing(seq), format);
    }

    fn raw(&mut self) -> Vec<Vec<u8>> {
        self.egress
            .flush(self.now, &mut self.sealer, &mut Slab::default())
            .map(<[u8]>::to_vec)
            .collect()
    }

    fn flush(&mut self) -> Vec<Datagram> {
        let raw = self.raw();
        raw.iter()
            .map(|datagram| match datagram[1] {
                200..=207 => Datagram::Rtcp(self.reader.rtcp(datagram)),
                _ => Datagram::Rtp(self.reader.rtp(datagram, 0)),
            })
            .collect()
    }

    fn media(&mut self) -> Vec<Rtp> {
        let flushed = self.flush().into_iter();
        flushed
            .filter_map(|datagram| match datagram {
                Datagram::Rtp(rtp) => Some(rtp),
                Datagram::Rtcp(_) => None,
            })
            .collect()
    }

    fn reports(&mut self) -> Vec<Vec<u8>> {
        let flushed = self.flush().into_iter();
        flushed
            .filter_map(|datagram| match datagram {
                Datagram::Rtp(_) => None,
                Datagram::Rtcp(rtcp) => Some(rtcp),
            })
            .collect()
    }

    /// When something is to be sent; waiting for feedback that does not come is another matter.
    fn next_send(&self) -> Option<Instant> {
        let soon = self.now + Duration::from_secs(1);
        self.egress.next_timeout().filter(|at| *at < soon)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn nack(&mut self, ssrc: u32, seqs: impl IntoIterator<Item = u16>) -> Vec<FeedbackEvent> {
        let mut body = vec![];
        for seq in seqs {
            body.extend_from_slice(&seq.to_be_bytes());
            body.extend_from_slice(&[0, 0]);
        }
        self.feed(&feedback(205, 1, ssrc, &body))
    }

    fn feed(&mut self, rtcp: &[u8]) -> Vec<FeedbackEvent> {
        self.egress.handle_rtcp(self.now, rtcp);
        std::iter::from_fn(|| self.egress.poll_event()).collect()
    }
}

fn ids() -> ExtensionIds {
    ExtensionIds {
        mid: Some(4),
        transport_cc: Some(3),
        abs_send_time: Some(2),
        audio_level: Some(1),
        orientation: Some(13),
        playout_delay: Some(5),
        capture_time: Some(6),
        dependency: Some(12),
    }
}

fn packet(seq: u64, size: usize, received: Instant) -> Arc<Packet> {
    Arc::new(Packet {
        seq,
        timestamp: 0,
        marker: false,
        codec: Codec::Vp8,
        encoding: Spatial::LOW,
        descriptor: Descriptor::PLAIN,
        payload: vec![seq as u8; size].into(),
        received,
        audio_level: None,
        orientation: None,
        capture_time: None,
        playout_delay: None,
        dependency: None,
    })
}

/// Ten packets to a frame.
fn outgoing(seq: u64) -> Outgoing {
    let timestamp = ((seq / 10) as u32).wrapping_mul(3000);
    Outgoing {
        seq,
        timestamp,
        marker: seq % 10 == 9,
        patch: Patch::NONE,
        frame_number: None,
    }
}

fn feedback(kind: u8, format: u8, ssrc: u32, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80 | format, kind, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(body);
    let words = (packet.len() / 4 - 1) as u16;
    packet[2..4].copy_from_slice(&words.to_be_bytes());
    packet
}

/// The peer's own estimate, in bits per second.
fn remb(bitrate: u64) -> Vec<u8> {
    let mut body = b"REMB".to_vec();
    let mantissa = (bitrate >> 4) as u32;
    body.push(1);
    body.push(4 << 2 | (mantissa >> 16) as u8);
    body.extend_from_slice(&(mantissa as u16).to_be_bytes());
    body.extend_from_slice(&VIDEO.to_be_bytes());
    feedback(206, 15, 0, &body)
}

fn video_config() -> StreamConfig {
    StreamConfig {
        ssrc: VIDEO,
        kind: Kind::Video,
        mid: "7".into(),
        extensions: ids(),
        resends: Resends::Rtx { ssrc: VIDEO_RTX },
    }
}
