//! A connection of ours and a stock str0m client on a virtual network: seeded, with delay,
//! jitter and loss, and a virtual clock.

mod client;
mod profile;
mod wire;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use str0m::change::{SdpAnswer, SdpOffer};
use str0m::crypto::dtls::SrtpProfile;
use str0m::format::Codec as WireCodec;
use str0m::media::Mid;
use str0m::{Candidate, Event, Rtc};
use umbrella_engine::egress::{
    Egress, EgressConfig, ExtensionIds, FeedbackEvent, Format, NtpClock, Resends, Slab,
    StreamConfig, StreamId,
};
use umbrella_engine::secure::{Connection, Crypto, Out};
use umbrella_engine::{Path, Protocol};
use umbrella_media::{AudioLevel, Codec, Descriptor, Kind, Outgoing, Packet, Patch, Spatial};

pub(crate) use client::Client;
pub(crate) use wire::{To, Wire};

/// What a test wants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) profile: SrtpProfile,
    pub(crate) seed: u64,
    /// The client offers itself as the DTLS client, so our keys come second.
    pub(crate) client_active: bool,
    /// The client sends audio and video too.
    pub(crate) publish: bool,
    pub(crate) video: usize,
    pub(crate) audio: usize,
    /// Share of packets lost once connected.
    pub(crate) loss: f64,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            profile: SrtpProfile::AEAD_AES_128_GCM,
            seed: 1,
            client_active: false,
            publish: false,
            video: 1,
            audio: 1,
            loss: 0.0,
        }
    }
}

/// A stream from us to the client.
pub(crate) struct Track {
    pub(crate) mid: Mid,
    pub(crate) ssrc: u32,
    pub(crate) kind: Kind,
    pub(crate) stream: StreamId,
    pub(crate) first: u64,
    pub(crate) next: u64,
    config: StreamConfig,
    due: Instant,
    pub(crate) muted: bool,
}

impl Track {
    fn interval(&self) -> Duration {
        match self.kind {
            Kind::Audio => Duration::from_millis(20),
            Kind::Video => Duration::from_micros(33_333),
        }
    }
}

pub(crate) struct Pair {
    pub(crate) setup: Setup,
    pub(crate) server: Connection,
    pub(crate) egress: Egress,
    pub(crate) client: Client,
    pub(crate) wire: Wire,
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    pub(crate) tracks: Vec<Track>,
    /// Media of the client that has reached us.
    pub(crate) received: HashSet<(u32, u64)>,
    /// Media of the client whose payload was damaged.
    pub(crate) damaged: usize,
    pub(crate) key_frames_wanted: Vec<StreamId>,
    pub(crate) formats: (Format, Format),
    pub(crate) media: bool,
    offer: String,
    down: Vec<(Mid, Kind)>,
    written: HashMap<(StreamId, u64), (Arc<Packet>, Outgoing)>,
    server_due: Instant,
    connected: bool,
}

/// The shortest time between two timeouts, in case one says "now".
const GRAIN: Duration = Duration::from_micros(100);
pub(crate) const VIDEO_BURST: u64 = 4;

pub(crate) fn server_address() -> SocketAddr {
    SocketAddr::from(([1, 1, 1, 1], 1000))
}

pub(crate) fn client_address() -> SocketAddr {
    SocketAddr::from(([2, 2, 2, 2], 2000))
}

pub(crate) fn server_path() -> Path {
    Path {
        protocol: Protocol::Udp,
        local: server_address(),
        remote: client_address(),
    }
}

/// The payload names its packet, so that any mix-up is seen.
pub(crate) fn payload(ssrc: u32, seq: u64, len: usize) -> Arc<[u8]> {
    let mut bytes = vec![ssrc as u8 ^ seq as u8; len];
    bytes[..4].copy_from_slice(&ssrc.to_be_bytes());
    bytes[4..12].copy_from_slice(&seq.to_be_bytes());
    bytes.into()
}

pub(crate) fn is_intact(payload: &[u8], ssrc: u32, seq: u64) -> bool {
    let fill = ssrc as u8 ^ seq as u8;
    payload[..4] == ssrc.to_be_bytes()
        && payload[4..12] == seq.to_be_bytes()
        && payload[12..].iter().all(|byte| *byte == fill)
}

impl Pair {
    /// Both ends, with the offer and the answer exchanged.
    pub(crate) fn new(setup: Setup) -> Pair {
        let crypto = Crypto::new(profile::forced(setup.profile));
        let start = Instant::now() + Duration::from_secs(1000);
        let clock = NtpClock::new(
            start,
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000),
        );
        let config = Rtc::builder().set_rtp_mode(true);
        let mut server = Connection::build(config, &crypto, start).unwrap();
        server
            .rtc()
            .add_local_candidate(Candidate::host(server_address(), "udp").unwrap());
        let mut client = Client::new(&setup, start);
        let (offer, down) = client.offer(&setup);
        let offer = if setup.client_active {
            offer.replace("a=setup:actpass", "a=setup:active")
        } else {
            offer
        };
        let parsed = SdpOffer::from_sdp_string(&offer).unwrap();
        let answer = server.rtc().sdp_api().accept_offer(parsed).unwrap();
        client.accept(SdpAnswer::from_sdp_string(&answer.to_sdp_string()).unwrap());
        let formats = (
            format(&mut server, WireCodec::Vp8),
            format(&mut server, WireCodec::Opus),
        );
        let egress = Egress::new(
            EgressConfig {
                cname: "umbrella".into(),
                clock,
                seed: setup.seed,
            },
            start,
        );
        Pair {
            wire: Wire::new(setup.seed, setup.profile),
            setup,
            server,
            egress,
            client,
            now: start,
            start,
            tracks: vec![],
            received: HashSet::new(),
            damaged: 0,
            key_frames_wanted: vec![],
            formats,
            media: true,
            offer,
            down,
            written: HashMap::new(),
            server_due: start,
            connected: false,
        }
    }

    /// Runs until both ends are connected and all tracks are open.
    pub(crate) fn connect(setup: Setup) -> Pair {
        let mut pair = Pair::new(setup);
        let end = pair.start + Duration::from_secs(10);
        while !pair.connected {
            assert!(pair.now < end, "no connection");
            pair.step(end);
        }
        pair.wire.loss = setup.loss;
        pair
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step(end);
        }
    }

    /// A new exchange of offer and answer with new ICE credentials. Signalling takes no time.
    pub(crate) fn restart_ice(&mut self) {
        let offer = self.client.restart_ice();
        let answer = self.server.rtc().sdp_api().accept_offer(offer).unwrap();
        self.drain_server();
        self.client
            .accept(SdpAnswer::from_sdp_string(&answer.to_sdp_string()).unwrap());
        self.drain_client();
    }

    /// Closes a track and opens it again, as a new consumer in the same section.
    pub(crate) fn reopen(&mut self, track: usize) {
        let track = &mut self.tracks[track];
        self.egress.close_stream(track.stream);
        let opened = self.egress.open_stream(self.now, &track.config).unwrap();
        assert_eq!(opened.next_seq, track.next);
        track.stream = opened.stream;
    }

    pub(crate) fn drain_server(&mut self) {
        loop {
            let (egress, now) = (&mut self.egress, self.now);
            match self
                .server
                .poll(&mut |ssrc| egress.sender_info(now, ssrc))
                .unwrap()
            {
                Out::Timeout(at) => {
                    self.server_due = at.max(now + GRAIN);
                    return;
                }
                Out::Datagram(datagram) => {
                    assert_eq!(datagram.path, server_path());
                    self.wire.send(now, To::Client, datagram.data);
                }
                Out::Event(Event::RtpPacket(packet)) => {
                    let (ssrc, seq) = (*packet.header.ssrc, *packet.seq_no);
                    self.damaged += usize::from(!is_intact(&packet.payload, ssrc, seq));
                    self.received.insert((ssrc, seq));
                }
                Out::Event(_) => {}
            }
        }
    }

    pub(crate) fn drain_client(&mut self) {
        for datagram in self.client.drain(self.now) {
            self.wire.send(self.now, To::Server, datagram);
        }
    }

    /// Seals and sends what is due, and answers what the client has asked for.
    pub(crate) fn flush(&mut self) {
        while let Some(event) = self.egress.poll_event() {
            match event {
                FeedbackEvent::KeyFrameWanted { stream } => self.key_frames_wanted.push(stream),
                FeedbackEvent::Resend { stream, seq } => {
                    let (packet, outgoing) = &self.written[&(stream, seq)];
                    self.egress
                        .resend(self.now, stream, packet, *outgoing, self.formats.0);
                }
            }
        }
        let Some(sealer) = self.server.sealer() else {
            return;
        };
        for datagram in self.egress.flush(self.now, sealer, &mut Slab::default()) {
            self.wire.send(self.now, To::Client, datagram.to_vec());
        }
    }

    /// Feeds a datagram to the server as if it had just arrived.
    pub(crate) fn inject(&mut self, data: &[u8]) {
        let (egress, now) = (&mut self.egress, self.now);
        let mut rtcp = |plain: &[u8]| egress.handle_rtcp(now, plain);
        self.server
            .handle_datagram(now, server_path(), data, &mut rtcp)
            .unwrap();
        self.drain_server();
        self.flush();
    }

    fn step(&mut self, end: Instant) {
        if self.server_due <= self.now {
            self.server.handle_timeout(self.now).unwrap();
        }
        self.drain_server();
        self.client.tick(self.now);
        self.drain_client();
        if !self.connected && self.server.rtc().is_connected() && self.client.is_connected() {
            self.connected = true;
            self.open_tracks();
        }
        if self.connected && self.media {
            self.write_media();
            if self.setup.publish {
                self.client.publish(self.now, self.start);
                self.drain_client();
            }
        }
        self.flush();
        self.now = self.next_moment().clamp(self.now, end);
        while let Some((to, data)) = self.wire.arrival(self.now) {
            match to {
                To::Client => {
                    self.client.receive(self.now, &data);
                    self.drain_client();
                }
                To::Server => self.inject(&data),
            }
        }
    }

    fn next_moment(&self) -> Instant {
        let mut next = self.server_due.min(self.client.due());
        next = next.min(self.wire.next().unwrap_or(next));
        if self.connected {
            let paced = self.egress.next_timeout().unwrap_or(next);
            next = next.min(paced.max(self.now + GRAIN));
        }
        if self.connected && self.media {
            let due = self.tracks.iter().map(|track| track.due).min();
            next = next.min(due.unwrap_or(next));
            if self.setup.publish {
                next = next.min(self.client.publish_due());
            }
        }
        next
    }

    fn open_tracks(&mut self) {
        for (i, (mid, kind)) in self.down.clone().into_iter().enumerate() {
            let (ssrc, rtx) = {
                let mut api = self.server.rtc().direct_api();
                let stream = api
                    .stream_tx_by_mid(mid, None)
                    .expect("declared by the answer");
                (*stream.ssrc(), stream.rtx().map(|ssrc| *ssrc))
            };
            let resends = match (kind, rtx) {
                (Kind::Video, Some(ssrc)) => Resends::Rtx { ssrc },
                (Kind::Video, None) => Resends::Never,
                (Kind::Audio, _) => Resends::Sealed,
            };
            let config = StreamConfig {
                ssrc,
                kind,
                mid: mid.to_string(),
                extensions: extension_ids(&self.offer, &mid.to_string()),
                resends,
            };
            let opened = self.egress.open_stream(self.now, &config).unwrap();
            // Just below the roll-over, so that it happens in every test.
            let first = 65_400;
            self.tracks.push(Track {
                mid,
                ssrc,
                kind,
                stream: opened.stream,
                first,
                next: first,
                config,
                due: self.now + Duration::from_micros(1300 * i as u64),
                muted: false,
            });
        }
    }

    fn write_media(&mut self) {
        let (now, start) = (self.now, self.start);
        for track in self.tracks.iter_mut().filter(|track| track.due <= now) {
            let (burst, size, format, codec) = match track.kind {
                Kind::Video => (VIDEO_BURST, 1100, self.formats.0, Codec::Vp8),
                Kind::Audio => (1, 120, self.formats.1, Codec::Opus),
            };
            let timestamp = media_time(track.due - start, format.clock_rate);
            for i in 0..burst {
                if track.muted {
                    break;
                }
                let seq = track.next;
                track.next += 1;
                let level = AudioLevel {
                    level: 42,
                    voice: true,
                };
                let packet = Arc::new(Packet {
                    seq,
                    timestamp,
                    marker: false,
                    codec,
                    encoding: Spatial::LOW,
                    descriptor: Descriptor::PLAIN,
                    payload: payload(track.ssrc, seq, size),
                    received: track.due,
                    audio_level: (track.kind == Kind::Audio).then_some(level),
                    orientation: None,
                    capture_time: None,
                    playout_delay: None,
                    dependency: None,
                });
                let marker = i + 1 == burst;
                let (patch, frame_number) = (Patch::NONE, None);
                let outgoing = Outgoing {
                    seq,
                    timestamp,
                    marker,
                    patch,
                    frame_number,
                };
                self.egress
                    .write(now, track.stream, &packet, outgoing, format);
                self.written.insert((track.stream, seq), (packet, outgoing));
            }
            track.due += track.interval();
        }
    }
}

/// RTP time since the start.
pub(crate) fn media_time(since: Duration, rate: u32) -> u32 {
    (since.as_nanos() * u128::from(rate) / 1_000_000_000) as u32
}

fn format(server: &mut Connection, codec: WireCodec) -> Format {
    let config = server.rtc().codec_config();
    let params = config.find(|params| params.spec().codec == codec).unwrap();
    Format {
        payload_type: *params.pt(),
        rtx_payload_type: params.resend().map(|pt| *pt),
        clock_rate: params.spec().clock_rate.get(),
    }
}

fn extension_ids(offer: &str, mid: &str) -> ExtensionIds {
    let name = format!("a=mid:{mid}");
    let mut sections = offer.split("\r\nm=");
    let section = sections
        .find(|section| section.lines().any(|line| line == name))
        .unwrap();
    let id = |end: &str| {
        section.lines().find_map(|line| {
            let (id, uri) = line.strip_prefix("a=extmap:")?.split_once(' ')?;
            uri.ends_with(end).then(|| id.parse().unwrap())
        })
    };
    ExtensionIds {
        mid: id("sdes:mid"),
        transport_cc: id("transport-wide-cc-extensions-01"),
        abs_send_time: id("abs-send-time"),
        audio_level: id("ssrc-audio-level"),
        ..ExtensionIds::default()
    }
}
