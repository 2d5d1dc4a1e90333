//! One peer connection of a synthetic participant: a socket, str0m, and the tracks through it.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use nix::sys::socket::{setsockopt, sockopt};
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::config::DtlsCert;
use str0m::crypto::CryptoProvider;
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid, Pt, Rid, Simulcast, SimulcastLayer};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc, RtcError};

use crate::account::{Fate, Layers, Sequence};
use crate::clock::Clock;
use crate::loss::{Loss, Network};
use crate::media::{Encoder, Payload, Track, VideoCodec};
use crate::stamp::Stamp;
use crate::tally::Tally;

/// Largest run of datagrams (GRO) that one read yields.
const BUFFER: usize = 64 * 1024;

/// Bytes that may wait in a socket: enough for everything that comes while others are served.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// Tracks that have been quiet for longer do not flow.
const SILENCE: Duration = Duration::from_secs(1);

/// What went wrong with a connection.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The session description of the server does not fit.
    #[error("cannot negotiate: {0}")]
    Negotiation(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Rtc(#[from] RtcError),
    /// The socket cannot be used.
    #[error("cannot use a socket: {0}")]
    Socket(#[from] io::Error),
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// A request came for a connection that is not there.
    #[error("there is no such connection")]
    Unknown,
}

/// What all connections share.
pub(crate) struct Common {
    pub(crate) local: IpAddr,
    pub(crate) loss: Loss,
    pub(crate) crypto: Arc<CryptoProvider>,
    pub(crate) certificate: DtlsCert,
}

/// Buffers for one batched read.
pub(crate) struct Buffers {
    bytes: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
}

impl Buffers {
    pub(crate) fn new() -> Buffers {
        Buffers {
            bytes: vec![0; BUFFER * BATCH_SIZE],
            meta: [RecvMeta::default(); BATCH_SIZE],
        }
    }
}

/// A track that is sent.
struct Sending {
    track: Track,
    mid: Mid,
    encodings: Vec<Encoding>,
}

struct Encoding {
    rid: Option<Rid>,
    seq: u64,
    encoder: Encoder,
}

/// A track that comes.
#[derive(Default)]
struct Receiving {
    layers: Layers,
    last: Option<Instant>,
}

pub(crate) struct Peer {
    rtc: Rtc,
    pub(crate) socket: UdpSocket,
    state: UdpSocketState,
    address: SocketAddr,
    network: Network,
    sending: Vec<Sending>,
    pending: Option<SdpPendingOffer>,
    receiving: HashMap<u32, Receiving>,
    /// By SSRC.
    wire: HashMap<u32, Sequence>,
    /// When its participant began to join.
    started: Instant,
    ice: IceConnectionState,
    pub(crate) connected: Option<Duration>,
    pub(crate) first_media: Option<Duration>,
    /// When str0m wants to be asked again.
    pub(crate) due: Instant,
}

impl Peer {
    /// `number` is unique in a thread.
    pub(crate) fn new(common: &Common, started: Instant, number: u64) -> Result<Peer, PeerError> {
        let socket = std::net::UdpSocket::bind((common.local, 0))?;
        socket.set_nonblocking(true)?;
        // Only root may go beyond the system's bound; without it the system's bound has to do.
        if setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER).is_err() {
            let _ = setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER);
        }
        let address = socket.local_addr()?;
        let state = UdpSocketState::new((&socket).into())?;
        let now = Instant::now();
        let mut rtc = Rtc::builder()
            .set_rtp_mode(true)
            .set_crypto_provider(common.crypto.clone())
            .set_dtls_cert(common.certificate.clone())
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .enable_h264(true)
            .build(now);
        let candidate = Candidate::host(address, "udp")
            .map_err(|error| PeerError::Negotiation(error.to_string()))?;
        rtc.add_local_candidate(candidate);
        Ok(Peer {
            rtc,
            socket: UdpSocket::from_std(socket),
            state,
            address,
            network: Network::new(common.loss, number),
            sending: Vec::new(),
            pending: None,
            receiving: HashMap::new(),
            wire: HashMap::new(),
            started,
            ice: IceConnectionState::New,
            connected: None,
            first_media: None,
            due: now,
        })
    }

    /// Describes tracks to publish, each with its id in `a=msid` and its number in stamps.
    pub(crate) fn offer(&mut self, tracks: &[(String, u32, Track)]) -> Result<String, PeerError> {
        let mut api = self.rtc.sdp_api();
        for (id, number, track) in tracks {
            let (kind, rids) = (kind(track), track.rids());
            let simulcast = (rids.len() > 1).then(|| Simulcast {
                send: rids
                    .iter()
                    .flatten()
                    .map(|rid| SimulcastLayer::new(rid))
                    .collect(),
                recv: vec![],
            });
            let (stream, name) = (Some("load".to_owned()), Some(id.clone()));
            let mid = api.add_media(kind, Direction::SendOnly, stream, name, simulcast);
            let encodings = rids.into_iter().zip(0u8..).map(|(rid, layer)| Encoding {
                rid: rid.map(Rid::from),
                seq: 1000,
                encoder: Encoder::new(*number, layer),
            });
            self.sending.push(Sending {
                track: track.clone(),
                mid,
                encodings: encodings.collect(),
            });
        }
        let nothing = || PeerError::Negotiation("nothing to offer".into());
        let (offer, pending) = api.apply().ok_or_else(nothing)?;
        self.pending = Some(pending);
        Ok(offer.to_sdp_string())
    }

    pub(crate) fn take_answer(&mut self, sdp: &str) -> Result<(), PeerError> {
        let pending = self.pending.take().ok_or(PeerError::Unknown)?;
        let answer = SdpAnswer::from_sdp_string(sdp)
            .map_err(|error| PeerError::Negotiation(error.to_string()))?;
        self.rtc.sdp_api().accept_answer(pending, answer)?;
        Ok(())
    }

    pub(crate) fn answer(&mut self, sdp: &str) -> Result<String, PeerError> {
        let offer = SdpOffer::from_sdp_string(sdp)
            .map_err(|error| PeerError::Negotiation(error.to_string()))?;
        Ok(self.rtc.sdp_api().accept_offer(offer)?.to_sdp_string())
    }

    /// Time between the frames of each track that it sends.
    pub(crate) fn intervals(&self) -> Vec<Duration> {
        self.sending.iter().map(|it| it.track.interval()).collect()
    }

    /// Reads all that has come.
    pub(crate) fn receive(
        &mut self,
        buffers: &mut Buffers,
        tally: &mut Tally,
    ) -> Result<(), PeerError> {
        let Buffers { bytes, meta } = buffers;
        let mut slices: Vec<IoSliceMut<'_>> =
            bytes.chunks_mut(BUFFER).map(IoSliceMut::new).collect();
        loop {
            let count = match self.state.recv((&self.socket).into(), &mut slices, meta) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // What the kernel reports of datagrams sent before.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error.into()),
            };
            let clock = Clock::read();
            for (meta, buffer) in meta.iter().zip(&slices).take(count) {
                let (at, ns) = clock.arrival(meta.timestamp);
                for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                    tally.datagrams.received += 1;
                    if self.network.loses() {
                        tally.datagrams.received_lost += 1;
                        continue;
                    }
                    self.take(at, ns, meta.addr, datagram, tally)?;
                }
            }
        }
    }

    fn take(
        &mut self,
        at: Instant,
        ns: u64,
        from: SocketAddr,
        datagram: &[u8],
        tally: &mut Tally,
    ) -> Result<(), PeerError> {
        if let Some((seq, ssrc)) = rtp(datagram) {
            tally.packets_out += 1;
            tally.bytes_out += datagram.len() as u64;
            self.wire
                .entry(ssrc)
                .and_modify(|sequence| sequence.record_rtp(seq))
                .or_insert_with(|| Sequence::new(u64::from(seq) + 0x1_0000));
        }
        let Ok(receive) = Receive::new(Protocol::Udp, from, self.address, datagram) else {
            return Ok(());
        };
        self.rtc.handle_input(Input::Receive(at, receive))?;
        self.drain(at, ns, tally)
    }

    /// Lets time pass.
    pub(crate) fn handle_timeout(&mut self, tally: &mut Tally) -> Result<(), PeerError> {
        let clock = Clock::read();
        self.rtc.handle_input(Input::Timeout(clock.now))?;
        self.drain(clock.now, clock.monotonic_ns(), tally)
    }

    /// Sends the next frame of a track in all its encodings.
    pub(crate) fn send_frame(&mut self, index: usize, tally: &mut Tally) -> Result<(), PeerError> {
        if self.connected.is_none() {
            return Ok(());
        }
        let clock = Clock::read();
        let Some(sending) = self.sending.get_mut(index) else {
            return Ok(());
        };
        let Some(pt) = payload_type(&self.rtc, &sending.track) else {
            return Ok(());
        };
        for encoding in &mut sending.encodings {
            let ticks = if sending.track.is_audio() { 48.0 } else { 90.0 };
            let interval = sending.track.interval().as_secs_f64() * 1000.0;
            let frame = f64::from(encoding.encoder.frame());
            let timestamp = (frame * interval * ticks) as u64 as u32;
            let payloads = encoding
                .encoder
                .next_frame(&sending.track, clock.monotonic_ns());
            let mut api = self.rtc.direct_api();
            let Some(stream) = api.stream_tx_by_mid(sending.mid, encoding.rid) else {
                continue;
            };
            for payload in payloads {
                let audio = sending.track.is_audio();
                let write = packet(pt, encoding.seq, timestamp, clock.now, payload, audio);
                encoding.seq += 1;
                stream.write_rtp(write);
            }
        }
        self.rtc.handle_input(Input::Timeout(clock.now))?;
        self.drain(clock.now, clock.monotonic_ns(), tally)
    }

    fn drain(&mut self, at: Instant, ns: u64, tally: &mut Tally) -> Result<(), PeerError> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(due) => {
                    self.due = due;
                    return Ok(());
                }
                Output::Transmit(transmit) => {
                    let contents: &[u8] = &transmit.contents;
                    if rtp(contents).is_some() {
                        tally.packets_in += 1;
                        tally.bytes_in += contents.len() as u64;
                    }
                    tally.datagrams.sent += 1;
                    if self.network.loses() {
                        tally.datagrams.sent_lost += 1;
                        continue;
                    }
                    let sent = self.state.try_send(
                        (&self.socket).into(),
                        &quinn_udp::Transmit {
                            destination: transmit.destination,
                            ecn: None,
                            contents,
                            segment_size: None,
                            src_ip: None,
                        },
                    );
                    tally.unsent += u64::from(sent.is_err());
                }
                Output::Event(event) => self.on_event(event, at, ns, tally)?,
            }
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "not our enum: most of its events are of no interest here"
    )]
    fn on_event(
        &mut self,
        event: Event,
        at: Instant,
        ns: u64,
        tally: &mut Tally,
    ) -> Result<(), PeerError> {
        match event {
            Event::RtpPacket(packet) => self.on_packet(&packet, at, ns, tally),
            Event::IceConnectionStateChange(state) => self.ice = state,
            Event::Connected => self.connected = Some(at - self.started),
            Event::KeyframeRequest(request) => {
                tally.key_frame_requests += 1;
                let sending = self.sending.iter_mut().filter(|it| it.mid == request.mid);
                for encoding in sending.flat_map(|it| &mut it.encodings) {
                    if encoding.rid == request.rid {
                        encoding.encoder.want_key_frame();
                    }
                }
            }
            Event::Closed => return Err(PeerError::Closed),
            _ => {}
        }
        Ok(())
    }

    fn on_packet(&mut self, packet: &RtpPacket, at: Instant, ns: u64, tally: &mut Tally) {
        let Some(stamp) = Stamp::parse(&packet.payload) else {
            return;
        };
        tally.took(ns.saturating_sub(stamp.sent_ns));
        self.first_media.get_or_insert_with(|| at - self.started);
        let receiving = self.receiving.entry(stamp.track).or_default();
        receiving.layers.record(stamp.layer, stamp.number);
        receiving.last = Some(at);
    }

    /// Tracks that come.
    pub(crate) fn tracks(&self) -> usize {
        self.receiving.len()
    }

    /// What keeps it from being connected; `None` if it is.
    pub(crate) fn waits_for(&self) -> Option<String> {
        let since = self.started.elapsed().as_secs_f64();
        self.connected
            .is_none()
            .then(|| format!("joined {since:.1} s ago, ICE is {:?}", self.ice))
    }

    /// Begins a measurement.
    pub(crate) fn forget(&mut self) {
        self.receiving.clear();
        self.wire.clear();
    }

    /// Adds what came of what should have.
    pub(crate) fn account(&self, now: Instant, tally: &mut Tally) {
        for receiving in self.receiving.values() {
            tally.media.add(&receiving.layers.fate());
            // The first packet of a track is no switch, but its layer may not be the lowest.
            tally.layer_switches += receiving.layers.switches;
            let quiet = receiving.last.is_none_or(|last| now - last > SILENCE);
            tally.silent_tracks += u64::from(quiet);
        }
        tally.tracks += self.receiving.len() as u64;
        let mut wire = Fate::default();
        for sequence in self.wire.values() {
            wire.add(&sequence.fate());
        }
        tally.wire.add(&wire);
    }

    /// Tells the other side that it is over.
    pub(crate) fn close(&mut self, tally: &mut Tally) {
        let clock = Clock::read();
        // It goes away in any case.
        let _ = self.rtc.close();
        let _ = self.drain(clock.now, clock.monotonic_ns(), tally);
    }
}

fn kind(track: &Track) -> MediaKind {
    if track.is_audio() {
        MediaKind::Audio
    } else {
        MediaKind::Video
    }
}

fn payload_type(rtc: &Rtc, track: &Track) -> Option<Pt> {
    let codec = match track {
        Track::Audio { .. } => Codec::Opus,
        Track::Video { codec, .. } => match codec {
            VideoCodec::Vp8 => Codec::Vp8,
            VideoCodec::H264 => Codec::H264,
        },
    };
    let params = rtc.codec_config().find(|params| {
        let spec = params.spec();
        // Fragments need packetization mode 1 (RFC 6184, 6.3).
        spec.codec == codec && (codec != Codec::H264 || spec.format.packetization_mode == Some(1))
    });
    params.map(|params| params.pt())
}

fn packet(
    pt: Pt,
    seq: u64,
    timestamp: u32,
    now: Instant,
    payload: Payload,
    audio: bool,
) -> RtpWrite {
    let values = ExtensionValues {
        audio_level: audio.then_some(-40),
        voice_activity: audio.then_some(true),
        ..ExtensionValues::default()
    };
    RtpWrite::new(pt, seq.into(), timestamp, now, payload.bytes)
        .marker(payload.marker)
        .nackable(!audio)
        .ext_vals(values)
}

/// Sequence number and SSRC, if it is an RTP packet and no RTCP (RFC 5761, 4; RFC 7983).
fn rtp(datagram: &[u8]) -> Option<(u16, u32)> {
    let head: &[u8; 12] = datagram.first_chunk()?;
    if head[0] & 0xc0 != 0x80 || (192..=223).contains(&head[1]) {
        return None;
    }
    let seq = u16::from_be_bytes([head[2], head[3]]);
    let ssrc = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
    Some((seq, ssrc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_and_handshakes_are_not_counted_as_media() {
        let mut datagram = [0u8; 20];
        datagram[0] = 0x80;
        datagram[1] = 0x80 | 96;
        datagram[3] = 7;
        datagram[11] = 9;
        assert_eq!(rtp(&datagram), Some((7, 9)));
        datagram[1] = 200;
        assert_eq!(rtp(&datagram), None);
        datagram[0] = 22;
        assert_eq!(rtp(&datagram), None);
        assert_eq!(rtp(&[0x80, 96]), None);
    }
}
