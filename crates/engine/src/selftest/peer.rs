//! One peer connection of a stock str0m.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::format::Codec;
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::Receive;
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite, Ssrc};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc};
use umbrella_media::Kind;

use super::media::{Content, MediaPacket, PACKETS};
use crate::api::{Channel, Protocol};
use crate::transport::offering::label;

/// Media time between two packets of audio, or two pictures, in milliseconds.
const AUDIO_MS: u32 = 10;
const VIDEO_MS: u32 = 25;

/// What a peer cannot go on with. Nothing more comes of it then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PeerError(String);

impl PeerError {
    fn new(error: impl std::fmt::Display) -> PeerError {
        PeerError(error.to_string())
    }
}

/// What a peer notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// ICE has found a path.
    Found,
    /// DTLS is through, and the other end is the one that was announced.
    Connected,
    /// A data channel can be used.
    ChannelOpen(Channel),
    /// A data message.
    Data(Channel, Vec<u8>),
    /// A packet of media.
    Media(MediaPacket),
    /// It was asked for a key frame, which is what it sends next.
    KeyFrameWanted,
    /// The other end has closed the connection.
    Closed,
}

/// What a peer wants.
#[derive(Debug)]
pub enum PeerOutput {
    /// One datagram is to be sent; over TCP it needs its RFC 4571 length.
    Transmit {
        /// Where.
        to: SocketAddr,
        /// Its bytes.
        data: Vec<u8>,
    },
    /// Something has happened.
    Event(PeerEvent),
    /// Nothing more, until something arrives or it is this time.
    Timeout(Instant),
}

/// A client's end of a connection. Every call that takes the time or changes something is followed
/// by [`Peer::poll`] until it says [`PeerOutput::Timeout`].
pub struct Peer {
    rtc: Rtc,
    protocol: Protocol,
    address: SocketAddr,
    pending: Option<SdpPendingOffer>,
    channels: Vec<(Channel, ChannelId)>,
    sending: Vec<Sending>,
    /// The video that comes.
    seen: Option<Ssrc>,
    events: VecDeque<PeerEvent>,
}

/// A track that is sent.
struct Sending {
    kind: Kind,
    mid: Mid,
    /// Of its next packet.
    number: u64,
    timestamp: u32,
    key_frame: bool,
}

impl Peer {
    /// One that is reached at an address, by a protocol.
    ///
    /// # Errors
    /// If the address is none that ICE can use.
    pub fn new(protocol: Protocol, address: SocketAddr, now: Instant) -> Result<Peer, PeerError> {
        let mut rtc = Rtc::builder()
            .set_rtp_mode(true)
            .set_crypto_provider(str0m::crypto::from_feature_flags().into())
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .build(now);
        let over = match protocol {
            Protocol::Udp => "udp",
            Protocol::Tcp => "tcp",
        };
        let candidate = Candidate::host(address, over).map_err(PeerError::new)?;
        rtc.add_local_candidate(candidate);
        Ok(Peer {
            rtc,
            protocol,
            address,
            pending: None,
            channels: Vec::new(),
            sending: Vec::new(),
            seen: None,
            events: VecDeque::new(),
        })
    }

    /// An offer to send audio and video, with a reliable and a lossy data channel.
    ///
    /// # Errors
    /// None that is known.
    pub fn offer(&mut self) -> Result<String, PeerError> {
        let mut api = self.rtc.sdp_api();
        api.add_channel(label(Channel::Reliable).into());
        api.add_channel_with_config(ChannelConfig {
            label: label(Channel::Lossy).into(),
            ordered: false,
            reliability: Reliability::MaxRetransmits { retransmits: 0 },
            ..ChannelConfig::default()
        });
        for kind in [Kind::Audio, Kind::Video] {
            let media = match kind {
                Kind::Audio => MediaKind::Audio,
                Kind::Video => MediaKind::Video,
            };
            let mid = api.add_media(media, Direction::SendOnly, None, None, None);
            self.sending.push(Sending {
                kind,
                mid,
                number: 0,
                timestamp: 0,
                key_frame: true,
            });
        }
        let nothing = || PeerError::new("there is nothing to offer");
        let (offer, pending) = api.apply().ok_or_else(nothing)?;
        self.pending = Some(pending);
        Ok(offer.to_sdp_string())
    }

    /// The server's answer to [`Peer::offer`].
    ///
    /// # Errors
    /// If it does not fit.
    pub fn take_answer(&mut self, sdp: &str) -> Result<(), PeerError> {
        let pending = self.pending.take();
        let pending = pending.ok_or_else(|| PeerError::new("an answer without an offer"))?;
        let answer = SdpAnswer::from_sdp_string(sdp).map_err(PeerError::new)?;
        let api = self.rtc.sdp_api();
        api.accept_answer(pending, answer).map_err(PeerError::new)
    }

    /// Answers an offer of the server.
    ///
    /// # Errors
    /// If it cannot be understood.
    pub fn answer(&mut self, sdp: &str) -> Result<String, PeerError> {
        let offer = SdpOffer::from_sdp_string(sdp).map_err(PeerError::new)?;
        let answer = self.rtc.sdp_api().accept_offer(offer);
        Ok(answer.map_err(PeerError::new)?.to_sdp_string())
    }

    /// A datagram, or a frame of a connection over TCP, has arrived. What is nothing that WebRTC
    /// knows is passed over.
    ///
    /// # Errors
    /// If the connection cannot go on.
    pub fn receive(
        &mut self,
        from: SocketAddr,
        data: &[u8],
        now: Instant,
    ) -> Result<(), PeerError> {
        let protocol = match self.protocol {
            Protocol::Udp => str0m::net::Protocol::Udp,
            Protocol::Tcp => str0m::net::Protocol::Tcp,
        };
        let Ok(receive) = Receive::new(protocol, from, self.address, data) else {
            return Ok(());
        };
        let input = Input::Receive(now, receive);
        self.rtc.handle_input(input).map_err(PeerError::new)
    }

    /// It is later.
    ///
    /// # Errors
    /// If the connection cannot go on.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), PeerError> {
        let input = Input::Timeout(now);
        self.rtc.handle_input(input).map_err(PeerError::new)
    }

    /// Sends the next packet of the audio, or the next picture of the video: 10 ms, or 25 ms, after
    /// the one before by the media's clock. Pictures are key frames only at first and when the
    /// server has asked for one.
    ///
    /// # Errors
    /// If the track was not agreed on.
    pub fn send_media(&mut self, kind: Kind, now: Instant) -> Result<(), PeerError> {
        let (codec, packets, step) = match kind {
            Kind::Audio => (Codec::Opus, 1, AUDIO_MS * 48),
            Kind::Video => (Codec::Vp8, PACKETS, VIDEO_MS * 90),
        };
        let refused = || PeerError::new(format!("the server takes no {codec:?}"));
        let params = self.rtc.codec_config().find(|it| it.spec().codec == codec);
        let pt = params.map(|it| it.pt()).ok_or_else(refused)?;
        let sending = self.sending.iter_mut().find(|it| it.kind == kind);
        let sending = sending.ok_or_else(refused)?;
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(sending.mid, None);
        let stream = stream.ok_or_else(refused)?;
        for _ in 0..packets {
            let content = Content {
                kind,
                number: sending.number,
                key_frame: kind == Kind::Video && sending.key_frame,
            };
            let audio = kind == Kind::Audio;
            let values = ExtensionValues {
                audio_level: audio.then_some(-40),
                voice_activity: audio.then_some(true),
                ..ExtensionValues::default()
            };
            // The sequence number wraps on the way.
            let number = 65_500 + sending.number;
            let timestamp = sending.timestamp;
            let payload = content.payload();
            let write = RtpWrite::new(pt, number.into(), timestamp, now, payload);
            let write = write.marker(content.is_last()).nackable(!audio);
            stream.write_rtp(write.ext_vals(values));
            sending.number += 1;
        }
        sending.timestamp = sending.timestamp.wrapping_add(step);
        sending.key_frame = false;
        self.handle_timeout(now)
    }

    /// Asks the sender of the video that comes, if any does, for a key frame.
    pub fn request_key_frame(&mut self) {
        let mut api = self.rtc.direct_api();
        let stream = self.seen.and_then(|ssrc| api.stream_rx(&ssrc));
        if let Some(stream) = stream {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }

    /// Sends a data message; it is lost if the channel is not open, or full.
    ///
    /// # Errors
    /// If the connection cannot go on.
    pub fn send_data(&mut self, channel: Channel, data: &[u8]) -> Result<(), PeerError> {
        let id = self.channels.iter().find(|(known, _)| *known == channel);
        match id.and_then(|(_, id)| self.rtc.channel(*id)) {
            Some(mut channel) => channel.write(true, data).map(drop).map_err(PeerError::new),
            None => Ok(()),
        }
    }

    /// What comes of what was done to it.
    ///
    /// # Errors
    /// If the connection cannot go on.
    pub fn poll(&mut self) -> Result<PeerOutput, PeerError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(PeerOutput::Event(event));
            }
            match self.rtc.poll_output().map_err(PeerError::new)? {
                Output::Timeout(at) => return Ok(PeerOutput::Timeout(at)),
                Output::Transmit(transmit) => {
                    return Ok(PeerOutput::Transmit {
                        to: transmit.destination,
                        data: transmit.contents.to_vec(),
                    });
                }
                Output::Event(event) => self.note(event),
            }
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "not our enum: most of its events are of no interest here"
    )]
    fn note(&mut self, event: Event) {
        let noted = match event {
            Event::IceConnectionStateChange(
                IceConnectionState::Connected | IceConnectionState::Completed,
            ) => Some(PeerEvent::Found),
            Event::Connected => Some(PeerEvent::Connected),
            Event::ChannelOpen(id, name) => self.opened(id, &name),
            Event::ChannelData(message) => {
                let channel = self.channels.iter().find(|(_, id)| *id == message.id);
                channel.map(|(channel, _)| PeerEvent::Data(*channel, message.data))
            }
            Event::KeyframeRequest(request) => {
                let asked = self.sending.iter_mut().find(|it| it.mid == request.mid);
                asked.map(|sending| {
                    sending.key_frame = true;
                    PeerEvent::KeyFrameWanted
                })
            }
            Event::RtpPacket(packet) => self.arrived(packet),
            Event::Closed => Some(PeerEvent::Closed),
            _ => None,
        };
        self.events.extend(noted);
    }

    fn opened(&mut self, id: ChannelId, name: &str) -> Option<PeerEvent> {
        let all = [Channel::Reliable, Channel::Lossy, Channel::DataTrack];
        let channel = all.into_iter().find(|channel| label(*channel) == name)?;
        self.channels.push((channel, id));
        Some(PeerEvent::ChannelOpen(channel))
    }

    fn arrived(&mut self, packet: RtpPacket) -> Option<PeerEvent> {
        let pt = packet.header.payload_type;
        let params = self.rtc.codec_config().find(|it| it.pt() == pt)?;
        let kind = match params.spec().codec == Codec::Opus {
            true => Kind::Audio,
            false => Kind::Video,
        };
        if kind == Kind::Video {
            self.seen = Some(packet.header.ssrc);
        }
        Some(PeerEvent::Media(MediaPacket {
            kind,
            sequence: *packet.seq_no,
            payload: packet.payload.to_vec(),
        }))
    }
}

impl std::fmt::Debug for Peer {
    /// Without str0m's state, in which there are keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut f = f.debug_struct("Peer");
        f.field("protocol", &self.protocol);
        f.field("address", &self.address).finish_non_exhaustive()
    }
}
