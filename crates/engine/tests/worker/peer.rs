//! A stock str0m peer that publishes, and notes what it gets.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use str0m::bwe::{Bitrate, BweKind};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::format::Codec;
use str0m::media::{
    Direction, KeyframeRequestKind, MediaKind, Mid, Rid, Simulcast, SimulcastLayer,
};
use str0m::net::Receive;
use str0m::rtp::{ExtensionValues, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};
use umbrella_engine::{Protocol, TransportId};

/// A track to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Publish {
    Audio,
    Video,
    Simulcast,
}

/// A media packet as the peer got it.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) at: Instant,
    pub(crate) ssrc: u32,
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) payload_type: u8,
    pub(crate) payload: Vec<u8>,
    pub(crate) audio_level: Option<i8>,
}

impl Got {
    /// The encoding and the frame that the sender has written into the payload.
    pub(crate) fn stamp(&self) -> (u8, u32) {
        let tail = &self.payload[self.payload.len() - 5..];
        (
            tail[0],
            u32::from_be_bytes([tail[1], tail[2], tail[3], tail[4]]),
        )
    }

    pub(crate) fn is_key_frame(&self) -> bool {
        self.payload.get(4).is_some_and(|byte| byte & 1 == 0)
    }
}

/// What it sends in one section.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) mid: Mid,
    pub(crate) what: Publish,
    pub(crate) paused: bool,
    encodings: Vec<Encoding>,
    due: Instant,
    /// Between two frames.
    every: Duration,
    /// Instead of VP8.
    codec: Option<Codec>,
}

impl Sending {
    /// The encoder gives up an encoding, the last one.
    pub(crate) fn drop_encoding(&mut self, encoding: usize) {
        self.encodings.truncate(encoding);
    }

    /// The encoder sends two encodings under each other's names.
    pub(crate) fn swap(&mut self, one: usize, other: usize) {
        let rid = self.encodings[one].rid;
        self.encodings[one].rid = self.encodings[other].rid;
        self.encodings[other].rid = rid;
        for encoding in [one, other] {
            self.encodings[encoding].key_frame = true;
        }
    }

    /// Frames come at another pace, on the same clock.
    pub(crate) fn hurry(&mut self, every: Duration) {
        self.every = every;
    }

    /// The encoder begins anew: with other numbers, and a key frame.
    pub(crate) fn restart(&mut self, encoding: usize, numbers: Numbers) {
        let encoding = &mut self.encodings[encoding];
        (encoding.seq, encoding.timestamp) = (numbers.seq, numbers.timestamp);
        (encoding.frame, encoding.key_frame) = (numbers.frame, true);
    }

    /// From now on it packs H.264.
    pub(crate) fn change_codec(&mut self) {
        self.codec = Some(Codec::H264);
    }
}

/// Where an encoder begins to count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) frame: u32,
}

#[derive(Debug)]
struct Encoding {
    rid: Option<Rid>,
    seq: u64,
    timestamp: u32,
    frame: u32,
    key_frame: bool,
    requests: u32,
}

pub(crate) struct Peer {
    pub(crate) rtc: Rtc,
    pub(crate) transport: TransportId,
    pub(crate) protocol: Protocol,
    pub(crate) address: SocketAddr,
    pub(crate) got: Vec<Got>,
    /// What the last sender report says of each SSRC: a time of day, and the timestamp then.
    pub(crate) clocks: HashMap<u32, (SystemTime, u32)>,
    pub(crate) data: Vec<(String, Vec<u8>)>,
    pub(crate) open: HashMap<String, ChannelId>,
    pub(crate) sending: Vec<Sending>,
    pub(crate) connected: bool,
    pub(crate) closed: bool,
    pub(crate) offers: u32,
    /// `a=msid` of the sections in the last answer or offer that it got.
    pub(crate) named: HashMap<String, String>,
    pub(crate) last_description: String,
    /// What it thinks that its link carries, in bit/s.
    pub(crate) estimate: u64,
    /// It sends no key frame, whoever asks for one.
    pub(crate) stubborn: bool,
    /// Packets of each frame.
    pub(crate) packets_per_frame: usize,
    /// Bytes of each packet, by encoding.
    pub(crate) packet_sizes: [usize; 3],
    pending: Option<SdpPendingOffer>,
    /// Written, but not yet on its way.
    unsent: Vec<(SocketAddr, Vec<u8>)>,
    due: Instant,
    now: Instant,
}

const LABELS: [&str; 2] = ["_reliable", "_lossy"];

impl Peer {
    pub(crate) fn new(
        transport: TransportId,
        protocol: Protocol,
        address: SocketAddr,
        estimating: bool,
        now: Instant,
    ) -> Peer {
        let mut config = Rtc::builder()
            .set_rtp_mode(true)
            .set_crypto_provider(str0m::crypto::from_feature_flags().into());
        if estimating {
            config = config.enable_bwe(Some(Bitrate::kbps(300)));
        }
        let mut rtc = config.build(now);
        rtc.bwe().set_bitrate(Bitrate::ZERO, Bitrate::mbps(5));
        let candidate = match protocol {
            Protocol::Udp => Candidate::host(address, "udp").unwrap(),
            Protocol::Tcp => Candidate::host(address, "tcp").unwrap(),
        };
        rtc.add_local_candidate(candidate);
        Peer {
            rtc,
            transport,
            protocol,
            address,
            got: Vec::new(),
            clocks: HashMap::new(),
            data: Vec::new(),
            open: HashMap::new(),
            sending: Vec::new(),
            connected: false,
            closed: false,
            offers: 0,
            named: HashMap::new(),
            last_description: String::new(),
            stubborn: false,
            packets_per_frame: 2,
            packet_sizes: [900; 3],
            estimate: 0,
            pending: None,
            unsent: Vec::new(),
            due: now,
            now,
        }
    }

    pub(crate) fn first_offer(
        &mut self,
        publish: &[Publish],
        audio: usize,
        video: usize,
    ) -> String {
        let mut api = self.rtc.sdp_api();
        api.add_channel(LABELS[0].into());
        api.add_channel_with_config(ChannelConfig {
            label: LABELS[1].into(),
            ordered: false,
            reliability: Reliability::MaxRetransmits { retransmits: 0 },
            ..Default::default()
        });
        for what in publish {
            let kind = match what {
                Publish::Audio => MediaKind::Audio,
                Publish::Video | Publish::Simulcast => MediaKind::Video,
            };
            let rids: &[&str] = match what {
                Publish::Simulcast => &["q", "h", "f"],
                Publish::Audio | Publish::Video => &[],
            };
            let simulcast = (!rids.is_empty()).then(|| {
                let send = rids.iter().map(|rid| SimulcastLayer::new(rid)).collect();
                Simulcast { send, recv: vec![] }
            });
            let track = Some(format!("{what:?}"));
            let stream = Some("mine".into());
            let mid = api.add_media(kind, Direction::SendOnly, stream, track, simulcast);
            let rids: Vec<Option<Rid>> = match rids.is_empty() {
                true => vec![None],
                false => rids.iter().map(|rid| Some((*rid).into())).collect(),
            };
            let encodings = rids.into_iter().map(|rid| Encoding {
                rid,
                seq: 65_000,
                timestamp: 0,
                frame: 0,
                key_frame: true,
                requests: 0,
            });
            self.sending.push(Sending {
                mid,
                what: *what,
                paused: false,
                encodings: encodings.collect(),
                due: self.now,
                every: Duration::from_millis(match what {
                    Publish::Audio => 20,
                    Publish::Video | Publish::Simulcast => 33,
                }),
                codec: None,
            });
        }
        for _ in 0..audio {
            api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        }
        for _ in 0..video {
            api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        }
        let (offer, pending) = api.apply().unwrap();
        self.pending = Some(pending);
        self.offers += 1;
        offer.to_sdp_string()
    }

    /// An offer with more free sections, or none.
    pub(crate) fn next_offer(&mut self, audio: usize, video: usize) -> String {
        let mut api = self.rtc.sdp_api();
        for _ in 0..audio {
            api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        }
        for _ in 0..video {
            api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        }
        if audio + video == 0 {
            // str0m offers only what changes; a browser offers whenever it is asked to.
            api.ice_restart(true);
        }
        let (offer, pending) = api.apply().unwrap();
        self.pending = Some(pending);
        self.offers += 1;
        offer.to_sdp_string()
    }

    /// Stops to send in a section.
    pub(crate) fn stop_offer(&mut self, mid: Mid) -> String {
        let mut api = self.rtc.sdp_api();
        api.set_direction(mid, Direction::Inactive);
        let (offer, pending) = api.apply().unwrap();
        self.pending = Some(pending);
        self.sending.retain(|sending| sending.mid != mid);
        self.offers += 1;
        offer.to_sdp_string()
    }

    pub(crate) fn take_answer(&mut self, sdp: &str) {
        self.note(sdp);
        let Some(pending) = self.pending.take() else {
            return;
        };
        // str0m ignores a section that becomes active again (a browser does not), so the test
        // tells it that all of its receive-only sections are.
        let answer = SdpAnswer::from_sdp_string(&sdp.replace("a=inactive", "a=sendonly")).unwrap();
        self.rtc.sdp_api().accept_answer(pending, answer).unwrap();
        self.due = self.now;
    }

    pub(crate) fn answer(&mut self, sdp: &str) -> String {
        self.note(sdp);
        let offer = SdpOffer::from_sdp_string(sdp).unwrap();
        let answer = self.rtc.sdp_api().accept_offer(offer).unwrap();
        self.due = self.now;
        answer.to_sdp_string()
    }

    pub(crate) fn send(&mut self, label: &str, data: &[u8]) {
        let id = self.open[label];
        assert!(self.rtc.channel(id).unwrap().write(true, data).unwrap());
        self.due = self.now;
    }

    pub(crate) fn request_key_frame(&mut self, ssrc: u32) {
        let mut api = self.rtc.direct_api();
        api.stream_rx(&ssrc.into())
            .unwrap()
            .request_keyframe(KeyframeRequestKind::Pli);
        self.due = self.now;
    }

    /// How often the worker has asked for key frames of an encoding.
    pub(crate) fn key_frame_requests(&self, sending: usize, encoding: usize) -> u32 {
        self.sending[sending].encodings[encoding].requests
    }

    pub(crate) fn due(&self) -> Instant {
        let sending = self
            .sending
            .iter()
            .filter(|_| self.connected)
            .map(|sending| sending.due);
        sending.chain([self.due]).min().unwrap()
    }

    pub(crate) fn receive(&mut self, now: Instant, from: SocketAddr, at: SocketAddr, data: &[u8]) {
        let protocol = match self.protocol {
            Protocol::Udp => str0m::net::Protocol::Udp,
            Protocol::Tcp => str0m::net::Protocol::Tcp,
        };
        self.now = now;
        self.due = now;
        if let Ok(receive) = Receive::new(protocol, from, at, data) {
            self.rtc.handle_input(Input::Receive(now, receive)).unwrap();
            self.events();
        }
    }

    /// What it sends now.
    pub(crate) fn drive(&mut self, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
        self.now = now;
        let mut out = self.poll();
        if self.connected {
            for index in 0..self.sending.len() {
                while self.sending[index].due <= now {
                    self.publish(index, &mut out);
                }
            }
        }
        self.rtc.handle_input(Input::Timeout(now)).unwrap();
        out.extend(self.poll());
        out
    }

    fn publish(&mut self, index: usize, out: &mut Vec<(SocketAddr, Vec<u8>)>) {
        let Sending {
            mid, what, every, ..
        } = self.sending[index];
        let audio = what == Publish::Audio;
        let h264 = self.sending[index].codec.map(|_| self.h264());
        let at = self.sending[index].due;
        self.sending[index].due = at + every;
        if self.sending[index].paused {
            return;
        }
        for encoding in 0..self.sending[index].encodings.len() {
            let packets = if audio { 1 } else { self.packets_per_frame };
            for packet in 0..packets {
                let state = &mut self.sending[index].encodings[encoding];
                let key_frame = state.key_frame;
                let (rid, seq, frame) = (state.rid, state.seq, state.frame);
                state.seq += 1;
                let payload = match (audio, h264) {
                    (true, _) => opus(frame),
                    (false, None) => {
                        let size = self.packet_sizes[encoding];
                        vp8(encoding as u8, frame, (packet == 0, key_frame), size)
                    }
                    (false, Some(_)) => self::h264(frame, key_frame && packet == 0),
                };
                let values = ExtensionValues {
                    audio_level: audio.then_some(-20),
                    voice_activity: audio.then_some(true),
                    ..Default::default()
                };
                let timestamp = state.timestamp.wrapping_add(77 * encoding as u32);
                let pt = h264.unwrap_or(if audio { 111 } else { 96 });
                let write = RtpWrite::new(pt.into(), seq.into(), timestamp, self.now, payload)
                    .marker(!audio && packet + 1 == packets)
                    .nackable(!audio)
                    .ext_vals(values);
                let mut api = self.rtc.direct_api();
                if let Some(stream) = api.stream_tx_by_mid(mid, rid) {
                    stream.write_rtp(write);
                }
                // One mutation, then its output.
                self.rtc.handle_input(Input::Timeout(self.now)).unwrap();
                out.extend(self.poll());
            }
            let state = &mut self.sending[index].encodings[encoding];
            state.key_frame = false;
            state.frame += 1;
            let ticks = if audio { 48 } else { 90 };
            let step = every.as_micros() as u64 * ticks / 1000;
            state.timestamp = state.timestamp.wrapping_add(step as u32);
        }
    }

    /// The SSRC of what it sends.
    pub(crate) fn ssrc(&mut self, sending: usize, encoding: usize) -> u32 {
        let Sending { mid, encodings, .. } = &self.sending[sending];
        let (mid, rid) = (*mid, encodings[encoding].rid);
        let mut api = self.rtc.direct_api();
        *api.stream_tx_by_mid(mid, rid).unwrap().ssrc()
    }

    /// Sends under another SSRC from now on, without telling anybody.
    pub(crate) fn change_ssrc(&mut self, sending: usize, encoding: usize, ssrc: u32) {
        let Sending { mid, encodings, .. } = &self.sending[sending];
        let (mid, rid) = (*mid, encodings[encoding].rid);
        let mut api = self.rtc.direct_api();
        let resends = api.stream_tx_by_mid(mid, rid).unwrap().rtx();
        let resends = resends.map(|_| api.new_ssrc());
        api.reset_stream_tx(mid, rid, ssrc.into(), resends).unwrap();
    }

    fn h264(&self) -> u8 {
        let mut codecs = self.rtc.codec_config().iter();
        let params = codecs.find(|params| {
            let spec = params.spec();
            spec.codec == Codec::H264 && spec.format.packetization_mode == Some(1)
        });
        *params.unwrap().pt()
    }

    /// What should have been sent until then is not sent.
    pub(crate) fn skip_to(&mut self, now: Instant) {
        self.now = now;
        for sending in &mut self.sending {
            sending.due = now;
        }
    }

    fn events(&mut self) {
        // Datagrams stay inside until it is driven: only events are taken here.
        self.unsent = self.poll();
        self.due = self.now;
    }

    fn poll(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut out = std::mem::take(&mut self.unsent);
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(at) => {
                    self.due = at.max(self.now + Duration::from_micros(100));
                    return out;
                }
                Output::Transmit(t) => out.push((t.destination, t.contents.to_vec())),
                Output::Event(event) => self.on_event(event),
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected => {
                self.connected = true;
                for sending in &mut self.sending {
                    sending.due = self.now;
                }
            }
            Event::Closed => self.closed = true,
            Event::ChannelOpen(id, label) => {
                self.open.insert(label, id);
            }
            Event::ChannelData(message) => {
                let label = self.open.iter().find(|(_, id)| **id == message.id);
                let label = label.map(|(label, _)| label.clone()).unwrap_or_default();
                self.data.push((label, message.data));
            }
            Event::EgressBitrateEstimate(BweKind::Twcc { estimate, .. }) => {
                self.estimate = estimate.as_u64();
            }
            Event::KeyframeRequest(request) => {
                let sending = self.sending.iter_mut().find(|s| s.mid == request.mid);
                let encodings = sending.into_iter().flat_map(|s| &mut s.encodings);
                for encoding in encodings.filter(|e| e.rid == request.rid) {
                    encoding.key_frame |= !self.stubborn;
                    encoding.requests += 1;
                }
            }
            Event::SenderFeedback(feedback) => {
                let info = feedback.sender_info;
                let clock = (info.ntp_time, info.rtp_time.numer() as u32);
                self.clocks.insert(*info.ssrc, clock);
            }
            Event::RtpPacket(packet) => {
                let ssrc = *packet.header.ssrc;
                self.got.push(Got {
                    at: self.now,
                    ssrc,
                    seq: *packet.seq_no,
                    timestamp: packet.header.timestamp,
                    payload_type: *packet.header.payload_type,
                    payload: packet.payload.to_vec(),
                    audio_level: packet.header.ext_vals.audio_level,
                });
            }
            _ => {}
        }
    }

    fn note(&mut self, sdp: &str) {
        self.last_description = sdp.into();
        self.named.clear();
        let mut mid = String::new();
        let mut msid = None;
        for line in sdp.lines().chain(["m="]) {
            if line.starts_with("m=") {
                if let Some(msid) = msid.take() {
                    self.named.insert(std::mem::take(&mut mid), msid);
                }
            } else if let Some(value) = line.strip_prefix("a=mid:") {
                mid = value.into();
            } else if let Some(value) = line.strip_prefix("a=msid:") {
                msid = Some(String::from(value));
            }
        }
    }
}

fn opus(frame: u32) -> Vec<u8> {
    let mut payload = vec![0x78; 60];
    payload.extend([0]);
    payload.extend(frame.to_be_bytes());
    payload
}

/// An H.264 packet (RFC 6184): parameters before a key frame, or a slice.
fn h264(frame: u32, key_frame: bool) -> Vec<u8> {
    let mut payload = match key_frame {
        // One packet with an SPS, a PPS and the beginning of an IDR slice (STAP-A).
        true => vec![
            24, 0, 9, 0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xe9, 0, 4, 0x68, 0xce, 0x38,
            0x80, 0, 40, 0x65, 0xb8,
        ],
        false => vec![0x41, 0x9a],
    };
    payload.resize(60, 0x11);
    payload.extend([9]);
    payload.extend(frame.to_be_bytes());
    payload
}

/// A VP8 packet (RFC 7741): descriptor with a 15-bit picture id, and the first bytes of a frame.
fn vp8(encoding: u8, frame: u32, (start, key_frame): (bool, bool), size: usize) -> Vec<u8> {
    let [.., high, low] = frame.to_be_bytes();
    let mut payload = vec![
        0x80 | if start { 0x10 } else { 0 },
        0x80,
        0x80 | high & 0x7f,
        low,
    ];
    payload.extend([u8::from(!key_frame), 0, 0]);
    if key_frame {
        let width = 320u16 << encoding;
        payload.extend([0x9d, 0x01, 0x2a]);
        payload.extend(width.to_le_bytes());
        payload.extend((width / 2).to_le_bytes());
    }
    payload.resize(size, 0x55);
    payload.extend([encoding]);
    payload.extend(frame.to_be_bytes());
    payload
}
