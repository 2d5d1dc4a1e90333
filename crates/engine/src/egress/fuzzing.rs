//! What holds for every feedback of a peer, and for every header that is written for it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use umbrella_media::{AudioLevel, Codec, Descriptor, Kind, Outgoing, Packet, Patch, Spatial};

use super::header::{Fields, Template};
use super::twcc::TwccReport;
use super::*;
use crate::secure::testing::{extensions, sealer};

const VIDEO: Format = Format {
    payload_type: 96,
    rtx_payload_type: Some(97),
    clock_rate: 90_000,
};
const AUDIO: Format = Format {
    payload_type: 111,
    rtx_payload_type: None,
    clock_rate: 48_000,
};

/// An egress with a video stream (SSRC 1, resends on 2) and an audio stream (SSRC 3), and
/// whatever its peer says. Each step is a byte and a length; what the byte says is written, let
/// out or waited for, or so many bytes are RTCP.
///
/// # Panics
/// If feedback makes us send what was never sent, or figures become impossible.
pub fn feedback(now: Instant, data: &[u8]) {
    let mut rig = Rig::new(now + Duration::from_secs(1));
    let mut rest = data;
    while let [step, length, tail @ ..] = rest {
        rest = tail;
        let length = usize::from(*length);
        match step % 4 {
            0 => rig.write(usize::from(step >> 2) % 2, length),
            1 => rig.flush(),
            2 => rig.now += Duration::from_millis(length as u64),
            _ => {
                let (rtcp, tail) = rest.split_at(length.min(rest.len()));
                rest = tail;
                read(rtcp);
                rig.hear(rtcp);
            }
        }
    }
    rig.flush();
    rig.check();
}

/// What can be said of a compound packet by itself.
fn read(compound: &[u8]) {
    let mut items = 0;
    let _ = rtcp::read(compound, &mut |item| {
        items += 1;
        let Item::TransportCc(packet) = item else {
            return;
        };
        let mut report = TwccReport::default();
        if report.read(packet).is_err() {
            return;
        }
        assert!(report.received.len() <= packet.len());
        let mut least = 0;
        for arrival in &report.received {
            let place = arrival.number.wrapping_sub(report.base);
            assert!(place < report.count, "{arrival:?} of {report:?}");
            assert!(place >= least, "{arrival:?} comes twice in {report:?}");
            least = place.saturating_add(1);
        }
    });
    assert!(items <= compound.len() / 4);
}

struct Rig {
    egress: Egress,
    sealer: Sealer,
    streams: [(Opened, u64, Format); 2],
    now: Instant,
}

impl Rig {
    fn new(now: Instant) -> Rig {
        let config = EgressConfig {
            cname: "umbrella".into(),
            clock: NtpClock::new(now, SystemTime::UNIX_EPOCH),
            seed: 1,
        };
        let mut egress = Egress::new(config, now);
        egress.set_demand(now, 5_000_000);
        let mut open = |ssrc, kind, resends, format| {
            let config = StreamConfig {
                ssrc,
                kind,
                mid: "0".into(),
                extensions: ExtensionIds {
                    transport_cc: Some(3),
                    ..Default::default()
                },
                resends,
            };
            let opened = egress.open_stream(now, &config).expect("SSRCs differ");
            (opened, opened.next_seq, format)
        };
        let streams = [
            open(1, Kind::Video, Resends::Rtx { ssrc: 2 }, VIDEO),
            open(3, Kind::Audio, Resends::Sealed, AUDIO),
        ];
        Rig {
            egress,
            sealer: sealer(),
            streams,
            now,
        }
    }

    fn write(&mut self, stream: usize, size: usize) {
        let (opened, seq, format) = &mut self.streams[stream];
        let packet = packet(*seq, size, self.now);
        let sent = outgoing(*seq);
        *seq += 1;
        self.egress
            .write(self.now, opened.stream, &packet, sent, *format);
    }

    fn flush(&mut self) {
        let mut slab = Slab::default();
        for datagram in self.egress.flush(self.now, &mut self.sealer, &mut slab) {
            assert!(!datagram.is_empty());
        }
    }

    fn hear(&mut self, rtcp: &[u8]) {
        self.egress.handle_rtcp(self.now, rtcp);
        while let Some(event) = self.egress.poll_event() {
            match event {
                FeedbackEvent::KeyFrameWanted { stream } => {
                    let known = self.streams.iter();
                    assert!(known.into_iter().any(|(o, ..)| o.stream == stream));
                }
                FeedbackEvent::Resend { stream, seq } => {
                    let (opened, next, format) = self.streams[0];
                    assert_eq!(stream, opened.stream, "audio resends by itself");
                    let sent = opened.next_seq..next;
                    assert!(sent.contains(&seq), "{seq} was never sent, only {sent:?}");
                    let packet = packet(seq, 9, self.now);
                    self.egress
                        .resend(self.now, stream, &packet, outgoing(seq), format);
                }
            }
        }
    }

    fn check(&self) {
        let path = self.egress.feedback().statistics();
        assert!(path.received <= path.sent);
        assert!((0.0..=1.0).contains(&path.missing), "{path:?}");
        for (opened, ..) in &self.streams {
            let figures = self.egress.statistics(self.now, opened.stream);
            let figures = figures.expect("the stream is open");
            assert!((0.0..=1.0).contains(&figures.loss), "{figures:?}");
        }
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
        payload: vec![0; size].into(),
        received,
        audio_level: None,
        orientation: None,
        capture_time: None,
        playout_delay: None,
        dependency: None,
    })
}

fn outgoing(seq: u64) -> Outgoing {
    Outgoing {
        seq,
        timestamp: 0,
        marker: false,
        patch: Patch::NONE,
        frame_number: None,
    }
}

/// Writes a header with the ids that a receiver has chosen for the values that a publisher has
/// sent: eight ids, flags, five bytes of values, lengths of `mid` and of the two long values.
///
/// # Panics
/// If a receiver reads anything else than what was written.
pub fn header(now: Instant, data: &[u8]) {
    let Some((head, long)) = data.split_first_chunk::<17>() else {
        return;
    };
    let ids = ids(head);
    let flags = head[8];
    let has = |bit: u8| flags >> bit & 1 == 1;
    let mid = "m".repeat(usize::from(head[14]));
    let value = |length: u8| -> Arc<[u8]> {
        let long = long.iter().chain(std::iter::repeat(&7));
        long.take(length.into()).copied().collect()
    };
    let mut packet = Packet::clone(&packet(0, 1, now));
    packet.audio_level = has(0).then_some(AudioLevel {
        level: head[9] & 0x7f,
        voice: has(1),
    });
    packet.orientation = has(2).then_some(head[10]);
    packet.playout_delay = has(3).then_some((head[11].into(), head[12].into()));
    packet.capture_time = has(4).then(|| value(head[15]));
    packet.dependency = has(5).then(|| value(head[16]));
    let fields = Fields {
        payload_type: head[13] & 0x7f,
        marker: has(6),
        timestamp: 0x0102_0304,
        transport_cc: 0xabcd,
        abs_send_time: [1, 2, 3],
        frame_number: None,
    };
    let mut out = Vec::new();
    Template::new(&mid, ids).write(&packet, fields, &mut out);
    let (length, read) = extensions(&out);
    assert_eq!(length, out.len());
    check_extensions(&read, ids, &mid, &packet);
}

/// Eight ids, each used once.
fn ids(head: &[u8; 17]) -> ExtensionIds {
    let mut taken = HashSet::from([0]);
    let id = std::array::from_fn::<_, 8, _>(|at| Some(head[at]).filter(|id| taken.insert(*id)));
    ExtensionIds {
        mid: id[0],
        transport_cc: id[1],
        abs_send_time: id[2],
        audio_level: id[3],
        orientation: id[4],
        playout_delay: id[5],
        capture_time: id[6],
        dependency: id[7],
    }
}

fn check_extensions(read: &[(u8, Vec<u8>)], ids: ExtensionIds, mid: &str, packet: &Packet) {
    let level = packet.audio_level;
    let delay = packet.playout_delay;
    let delay = delay.map(|(min, max)| u32::from(min) << 12 | u32::from(max));
    let long = |value: &Option<Arc<[u8]>>| value.as_ref().map(|it| it.to_vec());
    let written = [
        (ids.mid, Some(mid.as_bytes().to_vec())),
        (ids.transport_cc, Some(vec![0xab, 0xcd])),
        (ids.abs_send_time, Some(vec![1, 2, 3])),
        (
            ids.audio_level,
            level.map(|it| vec![u8::from(it.voice) << 7 | it.level]),
        ),
        (ids.orientation, packet.orientation.map(|byte| vec![byte])),
        (
            ids.playout_delay,
            delay.map(|it| it.to_be_bytes()[1..].to_vec()),
        ),
        (ids.capture_time, long(&packet.capture_time)),
        (ids.dependency, long(&packet.dependency)),
    ];
    for (id, value) in written {
        let Some(id) = id else { continue };
        let of_id = read.iter().filter(|(other, _)| *other == id);
        let mut of_id = of_id.map(|(_, value)| value).filter(|it| !it.is_empty());
        let wanted = value.filter(|value| !value.is_empty());
        assert_eq!(of_id.next(), wanted.as_ref(), "extension {id}");
        assert_eq!(of_id.next(), None, "extension {id} comes once");
    }
}
