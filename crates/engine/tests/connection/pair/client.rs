//! A stock str0m client that notes what it sees.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::rtcp::Rtcp;
use str0m::rtp::{RawPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};
use umbrella_media::Kind;

use super::{
    GRAIN, Setup, client_address, is_intact, media_time, payload, profile, server_address,
};

pub(crate) struct Client {
    pub(crate) rtc: Rtc,
    pending: Option<SdpPendingOffer>,
    due: Instant,
    /// Sections in which the client sends, until there are streams for them.
    offered: Vec<(Mid, Kind)>,
    up: Vec<Published>,
    /// Sections in which we send audio.
    audio: HashSet<Mid>,
    /// SSRC and sequence number of media, as str0m gives it out: resends included.
    pub(crate) received: HashSet<(u32, u16)>,
    pub(crate) damaged: usize,
    /// Packets whose header extensions were not what they should be.
    pub(crate) wrong_headers: usize,
    /// Sender reports, and by how many seconds the worst of them was wrong.
    pub(crate) sender_reports: HashSet<u32>,
    pub(crate) worst_report: f64,
    /// SSRCs that said goodbye.
    pub(crate) goodbyes: usize,
    pub(crate) key_frame_requests: usize,
    pub(crate) closed: bool,
}

/// A stream from the client to us.
pub(crate) struct Published {
    mid: Mid,
    pub(crate) ssrc: u32,
    kind: Kind,
    first: u64,
    pub(crate) next: u64,
    due: Instant,
}

impl Published {
    pub(crate) fn sent(&self) -> impl Iterator<Item = (u32, u64)> {
        (self.first..self.next).map(|seq| (self.ssrc, seq))
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }
}

impl Client {
    pub(crate) fn new(setup: &Setup, now: Instant) -> Client {
        let mut rtc = Rtc::builder()
            .set_crypto_provider(Arc::new(profile::forced(setup.profile)))
            .set_rtp_mode(true)
            .enable_raw_packets(true)
            .build(now);
        rtc.add_local_candidate(Candidate::host(client_address(), "udp").unwrap());
        Client {
            rtc,
            pending: None,
            due: now,
            offered: vec![],
            up: vec![],
            audio: HashSet::new(),
            received: HashSet::new(),
            damaged: 0,
            wrong_headers: 0,
            sender_reports: HashSet::new(),
            worst_report: 0.0,
            goodbyes: 0,
            key_frame_requests: 0,
            closed: false,
        }
    }

    /// The client offers all sections, as in the single-connection topology.
    pub(crate) fn offer(&mut self, setup: &Setup) -> (String, Vec<(Mid, Kind)>) {
        let mut api = self.rtc.sdp_api();
        if setup.publish {
            for kind in [Kind::Video, Kind::Audio] {
                let stream = Some("me".into());
                let mid = api.add_media(media(kind), Direction::SendOnly, stream, None, None);
                self.offered.push((mid, kind));
            }
        }
        let kinds = [Kind::Video].repeat(setup.video).into_iter();
        let down: Vec<_> = kinds
            .chain([Kind::Audio].repeat(setup.audio))
            .map(|kind| {
                let mid = api.add_media(media(kind), Direction::RecvOnly, None, None, None);
                (mid, kind)
            })
            .collect();
        let (offer, pending) = api.apply().unwrap();
        self.pending = Some(pending);
        let audio = down.iter().filter(|(_, kind)| *kind == Kind::Audio);
        self.audio = audio.map(|(mid, _)| *mid).collect();
        (offer.to_sdp_string(), down)
    }

    pub(crate) fn accept(&mut self, answer: SdpAnswer) {
        let pending = self.pending.take().unwrap();
        self.rtc.sdp_api().accept_answer(pending, answer).unwrap();
        for (mid, kind) in self.offered.drain(..) {
            let mut api = self.rtc.direct_api();
            let ssrc = *api.stream_tx_by_mid(mid, None).unwrap().ssrc();
            let first = 65_300;
            let due = self.due;
            self.up.push(Published {
                mid,
                ssrc,
                kind,
                first,
                next: first,
                due,
            });
        }
    }

    pub(crate) fn restart_ice(&mut self) -> SdpOffer {
        let mut api = self.rtc.sdp_api();
        api.ice_restart(true);
        let (offer, pending) = api.apply().unwrap();
        self.pending = Some(pending);
        SdpOffer::from_sdp_string(&offer.to_sdp_string()).unwrap()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.rtc.is_connected()
    }

    pub(crate) fn published(&self) -> &[Published] {
        &self.up
    }

    pub(crate) fn request_key_frame(&mut self, now: Instant, ssrc: u32) {
        let mut api = self.rtc.direct_api();
        api.stream_rx(&ssrc.into())
            .unwrap()
            .request_keyframe(KeyframeRequestKind::Pli);
        self.due = now;
    }

    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    pub(crate) fn publish_due(&self) -> Instant {
        self.up.iter().map(|up| up.due).min().unwrap()
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        if self.due <= now {
            self.rtc.handle_input(Input::Timeout(now)).unwrap();
        }
    }

    pub(crate) fn receive(&mut self, now: Instant, data: &[u8]) {
        let receive = Receive::new(Protocol::Udp, server_address(), client_address(), data);
        self.rtc
            .handle_input(Input::Receive(now, receive.unwrap()))
            .unwrap();
    }

    pub(crate) fn drain(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut out = vec![];
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(at) => {
                    self.due = at.max(now + GRAIN);
                    return out;
                }
                Output::Transmit(transmit) => out.push(transmit.contents.into()),
                Output::Event(event) => self.note(event),
            }
        }
    }

    pub(crate) fn publish(&mut self, now: Instant, start: Instant) {
        let config = self.rtc.codec_config();
        let pt = |codec| {
            config
                .find(|params| params.spec().codec == codec)
                .unwrap()
                .pt()
        };
        let (vp8, opus) = (pt(Codec::Vp8), pt(Codec::Opus));
        for up in &mut self.up {
            while up.due <= now {
                let (burst, size, pt, rate, interval) = match up.kind {
                    Kind::Video => (4, 1000, vp8, 90_000, Duration::from_micros(33_333)),
                    Kind::Audio => (1, 120, opus, 48_000, Duration::from_millis(20)),
                };
                // The sections were made before anything was connected.
                up.due = up.due.max(now);
                let timestamp = media_time(up.due - start, rate);
                for i in 0..burst {
                    let mut api = self.rtc.direct_api();
                    let stream = api.stream_tx_by_mid(up.mid, None).unwrap();
                    let load = payload(up.ssrc, up.next, size);
                    let write = RtpWrite::new(pt, up.next.into(), timestamp, up.due, load);
                    stream.write_rtp(
                        write
                            .marker(i + 1 == burst)
                            .nackable(up.kind == Kind::Video),
                    );
                    up.next += 1;
                }
                up.due += interval;
                self.rtc.handle_input(Input::Timeout(now)).unwrap();
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::RtpPacket(packet) => {
                let (ssrc, seq) = (*packet.header.ssrc, *packet.seq_no);
                // The roll-over counter of both ends starts with the first packet.
                let named = u64::from_be_bytes(packet.payload[4..12].try_into().unwrap());
                let same = named as u16 == seq as u16;
                self.damaged += usize::from(!(same && is_intact(&packet.payload, ssrc, named)));
                let values = &packet.header.ext_vals;
                let is_audio = values.mid.is_some_and(|mid| self.audio.contains(&mid));
                let right = values.mid.is_some()
                    && values.transport_cc.is_some()
                    && values.abs_send_time.is_some()
                    && is_audio == values.audio_level.is_some()
                    && values.audio_level.is_none_or(|level| level == -42)
                    && is_audio == (values.voice_activity == Some(true));
                self.wrong_headers += usize::from(!right);
                self.received.insert((ssrc, seq as u16));
            }
            Event::SenderFeedback(report) => {
                let info = report.sender_info;
                self.sender_reports.insert(*info.ssrc);
                let epoch = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
                let since = info.ntp_time.duration_since(epoch).unwrap().as_secs_f64();
                let audio = self.audio.contains(&report.mid);
                let rate = if audio { 48_000.0 } else { 90_000.0 };
                let error = info.rtp_time.numer() as u32 as f64 / rate - since;
                self.worst_report = self.worst_report.max(error.abs());
            }
            Event::KeyframeRequest(_) => self.key_frame_requests += 1,
            Event::RawPacket(raw) => {
                if let RawPacket::RtcpRx(Rtcp::Goodbye(goodbye)) = *raw {
                    self.goodbyes += goodbye.reports.len();
                }
            }
            Event::Closed => self.closed = true,
            _ => {}
        }
    }
}

fn media(kind: Kind) -> MediaKind {
    match kind {
        Kind::Audio => MediaKind::Audio,
        Kind::Video => MediaKind::Video,
    }
}
