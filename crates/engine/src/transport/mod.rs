//! One peer connection.

pub(crate) mod channels;
pub(crate) mod config;
pub(crate) mod local;
pub(crate) mod negotiation;
pub(crate) mod offering;
mod options;
pub(crate) mod replays;
pub(crate) mod sdp;
pub(crate) mod section;
pub(crate) mod trunk;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use str0m::Candidate;
use str0m::config::DtlsCert;
use str0m::format::{Codec as WireCodec, CodecConfig, PayloadParams};
use str0m::media::{Mid, Rid};
use str0m::rtp::{Extension, ExtensionMap};
use umbrella_media::{Codec, Kind, Spatial};

use crate::allocation::Allotment;
use crate::api::{Limits, LocalAddress, Negotiation as Mode, Path, Protocol, Traffic, TransportId};
use crate::arena::Key;
use crate::clock::PublisherClock;
use crate::consumer::{Berth, Consumer, Formats};
use crate::egress::{
    Egress, EgressConfig, ExtensionIds, Format, NtpClock, Opened, Resends, StreamConfig, StreamId,
};
use crate::producer::Producer;
use crate::secure::{BuildError, Connection, Crypto};

use self::channels::Channels;
use self::negotiation::{Negotiation, Role};
use self::offering::Offerer;
use self::replays::Replays;
use self::sdp::write::{CNAME, candidate_lines};
use self::trunk::Trunk;

/// One peer connection.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) id: TransportId,
    pub(crate) connection: Connection,
    pub(crate) egress: Egress,
    pub(crate) negotiation: Negotiation,
    pub(crate) channels: Channels,
    /// It is the media connection of a trunk.
    pub(crate) trunk: Option<Box<Trunk>>,
    pub(crate) life: Life,
    pub(crate) clock: PublisherClock,
    /// Which encoding arrives under which SSRC.
    pub(crate) sources: HashMap<u32, Source>,
    /// What it can be sent of the pictures that it wants.
    pub(crate) allotment: Allotment,
    /// Who is sent what waited in a cache.
    pub(crate) replays: Replays,
    /// Whose streams the egress has.
    pub(crate) streams: HashMap<StreamId, Key<Consumer>>,
    /// Consumers that may send as soon as the connection is up.
    pub(crate) ready: Vec<(Key<Consumer>, Berth)>,
    /// When str0m wants to be called.
    pub(crate) engine_at: Instant,
    /// Whether it waits in the worker's list of transports to be driven, and for what.
    pub(crate) touched: Touched,
    /// What has come from the peer, and gone to it.
    pub(crate) received: Traffic,
    pub(crate) sent: Traffic,
}

/// Where a peer connection is in its life. It is removed when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// ICE and DTLS have never been up; it ends at this time.
    Connecting { until: Instant },
    /// All is well.
    Connected,
    /// ICE has started anew; it ends at this time.
    Restarting { until: Instant },
    /// ICE has lost the peer; it ends at this time.
    Interrupted { until: Instant },
}

/// What a transport waits for in the worker's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Touched {
    /// It is not in the list.
    No,
    /// There are packets to send. That concerns the egress alone: str0m, which takes longer to
    /// ask than a packet takes to seal, has nothing to say.
    ToSend,
    /// Anything else has happened to it.
    ToDrive,
}

/// What arrives under an SSRC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub(crate) producer: Key<Producer>,
    pub(crate) encoding: Spatial,
    pub(crate) rid: Option<Rid>,
    /// The last payload type, and what it means.
    pub(crate) payload_type: u8,
    pub(crate) codec: Codec,
}

/// Why a connection ends that never began.
pub(crate) const NEVER_UP: &str = "media never came up";

/// SSRCs of which we keep track; a peer that exceeds this begins anew.
const MAX_SOURCES: usize = 512;

/// What transports of a worker have in common.
#[derive(Debug)]
pub(crate) struct Common<'a> {
    pub(crate) crypto: &'a Crypto,
    pub(crate) certificate: &'a DtlsCert,
    pub(crate) addresses: &'a [LocalAddress],
    pub(crate) limits: &'a Limits,
    pub(crate) clock: NtpClock,
}

impl Transport {
    pub(crate) fn new(
        id: TransportId,
        mode: Mode,
        channels: bool,
        common: &Common<'_>,
        now: Instant,
    ) -> Result<Transport, BuildError> {
        let (config, dials) = match mode {
            Mode::PeerOffers | Mode::WeOffer => {
                let config = config::rtc_config(common.certificate, common.limits);
                (config, false)
            }
            Mode::Trunk { dials, introduced } => {
                let config = trunk::rtc_config(common.certificate, dials, introduced);
                (config, dials)
            }
        };
        let mut connection = Connection::build(config, common.crypto, now)?;
        for (protocol, base) in bases(common.addresses) {
            if dials && protocol == Protocol::Tcp {
                continue; // a passive one: nobody calls whoever dials
            }
            let name = match protocol {
                Protocol::Udp => "udp",
                Protocol::Tcp => "tcp",
            };
            // One that str0m refuses (unspecified, multicast) is of no use to a peer either.
            if let Ok(candidate) = Candidate::host(base, name) {
                connection.rtc().add_local_candidate(candidate);
            }
        }
        let (role, trunk) = match mode {
            Mode::PeerOffers => (Role::Answerer(Default::default()), None),
            Mode::WeOffer => (Role::Offerer(Offerer::new(channels)), None),
            Mode::Trunk { dials, introduced } => {
                let trunk = Trunk::new(connection.rtc(), dials, introduced, common.addresses, now);
                (Role::Nobody, Some(Box::new(trunk)))
            }
        };
        let patience = trunk.as_ref().and_then(|it| it.patience());
        let patience = patience.unwrap_or(common.limits.connect_timeout);
        let egress = EgressConfig {
            cname: CNAME.into(),
            clock: common.clock,
            seed: id.0.wrapping_mul(0x9E37_79B9_7F4A_7C15),
        };
        Ok(Transport {
            id,
            connection,
            egress: Egress::new(egress, now),
            negotiation: Negotiation::new(role, candidate_lines(common.addresses)),
            channels: Channels::new(common.limits.channel_buffer),
            trunk,
            life: Life::Connecting {
                until: now + patience.min(common.limits.connect_timeout),
            },
            clock: PublisherClock::default(),
            sources: HashMap::new(),
            allotment: Allotment::default(),
            replays: Replays::default(),
            streams: HashMap::new(),
            ready: Vec::new(),
            engine_at: now,
            touched: Touched::No,
            received: Traffic::default(),
            sent: Traffic::default(),
        })
    }

    /// The user name that STUN requests for this connection carry.
    pub(crate) fn ufrag(&mut self) -> String {
        self.connection
            .rtc()
            .direct_api()
            .local_ice_credentials()
            .ufrag
    }

    pub(crate) fn is_connected(&self) -> bool {
        match self.life {
            Life::Connected | Life::Restarting { .. } => true,
            Life::Connecting { .. } | Life::Interrupted { .. } => false,
        }
    }

    /// Which section and encoding an SSRC belongs to, as str0m has found out.
    pub(crate) fn stream_of(&mut self, ssrc: u32) -> Option<(Mid, Option<Rid>)> {
        let mut api = self.connection.rtc().direct_api();
        api.stream_rx(&ssrc.into())
            .map(|stream| (stream.mid(), stream.rid()))
    }

    pub(crate) fn remember_source(&mut self, ssrc: u32, source: Source) {
        if self.sources.len() >= MAX_SOURCES && !self.sources.contains_key(&ssrc) {
            self.sources.clear();
        }
        self.sources.insert(ssrc, source);
    }

    /// What a payload type of the peer means.
    pub(crate) fn codec_of(&mut self, payload_type: u8) -> Option<Codec> {
        let pt = payload_type.into();
        let mut params = self.connection.rtc().codec_config().params().iter();
        let params = params.find(|p| p.pt() == pt || p.red() == Some(pt))?;
        if params.red() == Some(pt) {
            return Some(Codec::Red);
        }
        codec(params.spec().codec)
    }

    /// The parameters of a payload type of the peer.
    pub(crate) fn params_of(&mut self, payload_type: u8) -> Option<PayloadParams> {
        let pt = payload_type.into();
        let mut params = self.connection.rtc().codec_config().params().iter();
        params
            .find(|p| p.pt() == pt || p.red() == Some(pt))
            .copied()
    }

    /// The parameters under which a producer of the peer sends a codec.
    pub(crate) fn params_from(
        &mut self,
        producer: Key<Producer>,
        codec: Codec,
    ) -> Option<PayloadParams> {
        let mut sources = self.sources.values();
        let source = sources.find(|s| s.producer == producer && s.codec == codec)?;
        self.params_of(source.payload_type)
    }

    /// Opens a stream in a section that both sides have agreed on.
    pub(crate) fn open_stream(&mut self, now: Instant, mid: Mid, kind: Kind) -> Option<Opened> {
        let rtc = self.connection.rtc();
        let extensions = extension_ids(rtc.media(mid)?.remote_extmap());
        let mut api = rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, None)?;
        let (ssrc, rtx) = (*stream.ssrc(), stream.rtx().map(|ssrc| *ssrc));
        let resends = match (kind, rtx) {
            (Kind::Video, Some(ssrc)) => Resends::Rtx { ssrc },
            (Kind::Video, None) => Resends::Never,
            (Kind::Audio, _) => Resends::Sealed,
        };
        let config = StreamConfig {
            ssrc,
            kind,
            mid: mid.to_string(),
            extensions,
            resends,
        };
        self.egress.open_stream(now, &config).ok()
    }

    /// How a codec of a publisher, described by `params`, is announced in a section.
    pub(crate) fn formats(
        &mut self,
        mid: Mid,
        codec: Codec,
        params: &PayloadParams,
    ) -> Option<Formats> {
        let rtc = self.connection.rtc();
        let table = rtc.codec_config().params().iter().copied();
        let usable: Vec<PayloadParams> = match &self.trunk {
            Some(_) => table.collect(),
            None => {
                let negotiated = rtc.media(mid)?.remote_pts();
                table.filter(|p| negotiated.contains(&p.pt())).collect()
            }
        };
        let matched = match_params(usable, params)?;
        let plain = Format {
            payload_type: *matched.pt(),
            rtx_payload_type: matched.resend().map(|pt| *pt),
            clock_rate: codec.clock_rate(),
        };
        if codec != Codec::Red {
            return Some(Formats {
                codec,
                format: plain,
                strip: false,
            });
        }
        // The blocks inside name the publisher's payload type for Opus.
        match matched.red().filter(|_| matched.pt() == params.pt()) {
            Some(red) => {
                let format = Format {
                    payload_type: *red,
                    rtx_payload_type: None,
                    ..plain
                };
                Some(Formats {
                    codec,
                    format,
                    strip: false,
                })
            }
            None => Some(Formats {
                codec,
                format: plain,
                strip: true,
            }),
        }
    }

    /// Asks the peer for a key frame.
    pub(crate) fn request_key_frame(&mut self, mid: Mid, rid: Option<Rid>) {
        let mut api = self.connection.rtc().direct_api();
        if let Some(stream) = api.stream_rx_by_mid(mid, rid) {
            stream.request_keyframe(str0m::media::KeyframeRequestKind::Pli);
        }
    }

    /// The next time at which it must be looked at although nothing arrives, str0m and egress
    /// aside.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let life = match self.life {
            Life::Connecting { until }
            | Life::Restarting { until }
            | Life::Interrupted { until } => Some(until),
            Life::Connected => None,
        };
        let negotiation = self.negotiation.ask_at().or(self.negotiation.offer_at());
        [life, negotiation, self.tcp_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether there is more to do than to send.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.engine_at <= now || self.next_deadline().is_some_and(|at| at <= now)
    }

    /// Why it must end now.
    pub(crate) fn failure(&self, now: Instant) -> Option<&'static str> {
        match self.life {
            Life::Connecting { until } if until <= now => Some(NEVER_UP),
            Life::Restarting { until } | Life::Interrupted { until } if until <= now => {
                Some("media was lost for too long")
            }
            Life::Connecting { .. }
            | Life::Restarting { .. }
            | Life::Interrupted { .. }
            | Life::Connected => self.negotiation.failure(now),
        }
    }

    /// The addresses that are ours, as a datagram may name them: see [`Path::local`].
    pub(crate) fn normalize(path: Path, addresses: &[LocalAddress]) -> Path {
        let same = |a: &&LocalAddress| a.protocol == path.protocol && a.advertised == path.local;
        let is_base = |a: &LocalAddress| a.protocol == path.protocol && a.base == path.local;
        if addresses.iter().any(is_base) {
            return path;
        }
        let local = addresses.iter().find(same).map_or(path.local, |a| a.base);
        Path { local, ..path }
    }
}

/// Our addresses as ICE knows them, each once.
fn bases(addresses: &[LocalAddress]) -> Vec<(Protocol, SocketAddr)> {
    let mut bases = Vec::new();
    for address in addresses {
        let base = (address.protocol, address.base);
        if !bases.contains(&base) {
            bases.push(base);
        }
    }
    bases
}

#[expect(clippy::wildcard_enum_match_arm, reason = "str0m's enum, which grows")]
fn codec(codec: WireCodec) -> Option<Codec> {
    match codec {
        WireCodec::Opus => Some(Codec::Opus),
        WireCodec::PCMU => Some(Codec::Pcmu),
        WireCodec::PCMA => Some(Codec::Pcma),
        WireCodec::G722 => Some(Codec::G722),
        WireCodec::Vp8 => Some(Codec::Vp8),
        WireCodec::Vp9 => Some(Codec::Vp9),
        WireCodec::H264 => Some(Codec::H264),
        WireCodec::H265 => Some(Codec::H265),
        WireCodec::Av1 => Some(Codec::Av1),
        _ => None,
    }
}

/// The subscriber's payload that fits a publisher's best. For H.264 a subscriber that has not
/// announced the publisher's very profile gets it nevertheless, if only the packetization mode
/// fits: decoders know more profiles than browsers announce, and the alternative is no picture.
#[expect(clippy::wildcard_enum_match_arm, reason = "str0m's enum, which grows")]
fn match_params(usable: Vec<PayloadParams>, params: &PayloadParams) -> Option<PayloadParams> {
    let (spec, format) = (params.spec(), params.spec().format);
    let candidates = CodecConfig::new_from_payload_params(usable);
    if let Some(found) = candidates.match_params(*params) {
        return Some(*found);
    }
    let mode = |p: &PayloadParams| p.spec().format.packetization_mode.unwrap_or(0);
    let similar = |p: &&PayloadParams| {
        let other = p.spec();
        other.codec == spec.codec
            && match spec.codec {
                WireCodec::H264 => mode(p) == mode(params),
                WireCodec::Vp9 => {
                    other.format.profile_id.unwrap_or(0) == format.profile_id.unwrap_or(0)
                }
                WireCodec::Vp8 | WireCodec::Opus | WireCodec::Av1 => true,
                _ => false,
            }
    };
    candidates.params().iter().find(similar).copied()
}

fn extension_ids(map: &ExtensionMap) -> ExtensionIds {
    let id = |extension| map.id_of(extension);
    ExtensionIds {
        mid: id(Extension::RtpMid),
        transport_cc: id(Extension::TransportSequenceNumber),
        abs_send_time: id(Extension::AbsoluteSendTime),
        audio_level: id(Extension::AudioLevel),
        orientation: id(Extension::VideoOrientation),
        playout_delay: id(Extension::PlayoutDelay),
        capture_time: id(Extension::AbsoluteCaptureTime),
        dependency: id(Extension::with_serializer(
            config::DEPENDENCY_URI,
            config::DependencyReader,
        )),
    }
}
