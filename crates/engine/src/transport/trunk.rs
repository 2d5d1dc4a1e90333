//! The media connection of a trunk, a link between two servers.
//!
//! What two browsers would find out by SDP is fixed here, as version 1 of the protocol: payload
//! types, header extensions, who dials. The receiver of a stream chooses its SSRCs and says them
//! by a message outside of the engine, so media flows half a round trip after it was demanded.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::config::{DtlsCert, Fingerprint};
use str0m::format::{Codec as WireCodec, CodecConfig, FormatParams};
use str0m::media::{Frequency, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol as WireProtocol, TcpType};
use str0m::rtp::{Extension, ExtensionMap, Ssrc};
use str0m::{Candidate, IceCreds, Rtc, RtcConfig};
use umbrella_media::{Kind, Spatial};

use crate::api::{
    ACTIVE_TCP_PORT, BranchStream, FeedStream, LocalAddress, Path, Protocol, TrunkParameters,
};
use crate::arena::Key;
use crate::egress::{ExtensionIds, Opened, Resends, StreamConfig};
use crate::producer::Producer;
use crate::reflect::Bucket;

use super::sdp::write::candidate_lines;
use super::{Life, Transport, config};

/// How often receivers report, and how often an end without media says that it is there. By that,
/// [`crate::secure`] learns that the peer has moved to another path.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// Addresses of the other server that are tried.
const MAX_CANDIDATES: usize = 16;
/// Reflectors that are asked for one connection.
const MAX_REFLECTORS: usize = 4;
/// Addresses under which they may see us. A NAT that restarts adds one.
const MAX_REFLEXIVE: usize = 16;
/// Addresses of which the other end has not told, but checks come from them: that of a NAT which
/// has restarted, or what somebody makes up who wants us to send to others. So many are listened to
/// at first, and one more each time.
const STRANGERS: u32 = 8;
const STRANGER_INTERVAL: Duration = Duration::from_secs(10);
/// An introduced connection that has not come up by then will not: there is a hole in both NATs as
/// soon as each end has sent, or there never is.
const INTRODUCED_PATIENCE: Duration = Duration::from_secs(18);
/// How often each end of an introduced connection checks that the other one consents (RFC 7675
/// section 5.1), and how many checks in a row are lost before the path is given up. Both ends do
/// it, and for each pair of addresses that works, so that str0m's three seconds would cost more than
/// all else on an idle link. It is given up 22 to 30 seconds after the last answer; the RFC wants no
/// more than 30.
const CONSENT_INTERVAL: Duration = Duration::from_millis(7500);
const MAX_CHECKS_LOST: usize = 6;
/// If there is no path over UDP by then, TCP is tried as well. Media over TCP wait for whatever was
/// lost before them, so nobody should have them who need not.
const TCP_AFTER: Duration = Duration::from_secs(4);
/// A stream that nobody wants any more is still received for so long, and dropped: its sender is
/// yet to learn of it, and must not take what arrives for lost.
const LINGER: Duration = Duration::from_secs(1);
/// So many of them.
const MAX_LEAVING: usize = 64;

/// str0m's names for all audio, and all video, of a trunk. They are never on the wire.
const AUDIO: &str = "audio";
const VIDEO: &str = "video";

/// Header extensions of version 1.
const AUDIO_LEVEL: u8 = 1;
const TRANSPORT_CC: u8 = 3;
const PLAYOUT_DELAY: u8 = 5;
const CAPTURE_TIME: u8 = 8;
const DEPENDENCY: u8 = 9;
const ORIENTATION: u8 = 13;

/// Video payload types of version 1: of the media, of its resends.
const VP8: (u8, u8) = (96, 97);
const VP9_PROFILE_0: (u8, u8) = (98, 99);
const VP9_PROFILE_2: (u8, u8) = (100, 101);
const H264_MODE_1: (u8, u8) = (108, 109);
const H264_MODE_0: (u8, u8) = (124, 120);
const H265: (u8, u8) = (102, 103);
const AV1: (u8, u8) = (45, 46);
/// Constrained baseline, level 3.1: what is said where nobody can say what is really sent.
const H264_PROFILE: u32 = 0x42_e01f;

/// What a peer connection knows because it is a trunk's.
#[derive(Debug)]
pub(crate) struct Trunk {
    dials: bool,
    /// Both ends look for each other.
    introduced: bool,
    /// The other end's parameters have come.
    met: bool,
    /// Candidates that were taken.
    candidates: Vec<(Protocol, SocketAddr)>,
    /// Where checks came from though they are no candidate, the oldest first.
    strangers: VecDeque<(Protocol, SocketAddr)>,
    welcome: Bucket,
    /// Who may be asked how it sees us.
    reflectors: Vec<SocketAddr>,
    /// How we are seen from outside, and by which socket of ours.
    reflexive: Vec<(SocketAddr, SocketAddr)>,
    /// From where connections over TCP are made.
    active: Vec<SocketAddr>,
    /// Candidates over TCP wait until then for a path over UDP; `None` once they need not.
    tcp_at: Option<Instant>,
    held: Vec<Candidate>,
    /// What arrives, by the SSRC of the media.
    declared: HashMap<u32, Declared>,
    /// What may still arrive though nobody wants it, the oldest first; until when.
    leaving: VecDeque<(FeedStream, Option<Instant>)>,
}

/// A stream that a feed expects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declared {
    pub(crate) producer: Key<Producer>,
    pub(crate) encoding: Spatial,
    repair_ssrc: Option<u32>,
}

/// Why what was said about a trunk cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TrunkError {
    #[error("it is no trunk")]
    NoTrunk,
    #[error("the other server has already said how it is reached")]
    Twice,
    #[error("the other server's ICE user name or password is not one (RFC 8839 section 5.4)")]
    Credentials,
    #[error("the other server's fingerprint is not `sha-256` and 32 bytes in hexadecimal digits")]
    Fingerprint,
    #[error("DTLS does not start")]
    Dtls,
    #[error("a stream has an SSRC that is 0 or in use on this link, or an encoding twice")]
    Stream,
    #[error("there are too many streams on this link")]
    TooMany,
}

impl Trunk {
    /// Tells a new connection all that SDP would.
    pub(super) fn new(
        rtc: &mut Rtc,
        dials: bool,
        introduced: bool,
        addresses: &[LocalAddress],
        now: Instant,
    ) -> Trunk {
        let mut api = rtc.direct_api();
        api.set_ice_controlling(dials);
        api.enable_twcc_feedback();
        api.declare_media(AUDIO.into(), MediaKind::Audio);
        api.declare_media(VIDEO.into(), MediaKind::Video);
        // Nothing is ever sent on it but its reports; see `REPORT_INTERVAL`.
        let ssrc = api.new_ssrc();
        api.declare_stream_tx(ssrc, None, AUDIO.into(), None);
        Trunk {
            dials,
            introduced,
            met: false,
            candidates: Vec::new(),
            strangers: VecDeque::new(),
            welcome: Bucket::new(STRANGER_INTERVAL, STRANGERS),
            reflectors: Vec::new(),
            reflexive: Vec::new(),
            active: active_addresses(addresses),
            tcp_at: dials.then(|| now + TCP_AFTER),
            held: Vec::new(),
            declared: HashMap::new(),
            leaving: VecDeque::new(),
        }
    }

    /// How long it is tried at most to bring it up.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.introduced.then_some(INTRODUCED_PATIENCE)
    }

    /// The stream with an SSRC, if a feed expects it.
    pub(crate) fn declared(&self, ssrc: u32) -> Option<Declared> {
        self.declared.get(&ssrc).copied()
    }

    /// Whether a feed may have these streams here, in place of those that it has.
    fn check(
        &self,
        producer: Key<Producer>,
        streams: &[FeedStream],
        most: usize,
    ) -> Result<(), TrunkError> {
        let others = || self.declared.iter().filter(|(_, d)| d.producer != producer);
        if others().count() + streams.len() > most {
            return Err(TrunkError::TooMany);
        }
        let mut taken: Vec<u32> = others()
            .flat_map(|(ssrc, d)| [Some(*ssrc), d.repair_ssrc])
            .flatten()
            .collect();
        for (index, stream) in streams.iter().enumerate() {
            for ssrc in [Some(stream.ssrc), stream.repair_ssrc]
                .into_iter()
                .flatten()
            {
                if ssrc == 0 || taken.contains(&ssrc) {
                    return Err(TrunkError::Stream);
                }
                taken.push(ssrc);
            }
            let before = &streams[..index];
            if before.iter().any(|it| it.encoding == stream.encoding) {
                return Err(TrunkError::Stream);
            }
        }
        Ok(())
    }
}

/// The configuration of one connection.
///
/// The end that dials is a full ICE agent: it may be behind a NAT, and checks the addresses that
/// the other server has told. That is safe because this server's operator has entered that server;
/// still it is believed a few addresses only. The end that is dialled stays lite, for the reasons
/// that [`config::rtc_config`] gives: it answers, and sends nowhere by itself.
///
/// Where the two were introduced to each other, both may be behind NATs, which let in only what
/// comes from where they have sent to. So both must check, and both believe a few addresses; each
/// has heard of the other from a server that its operator has chosen.
pub(super) fn rtc_config(certificate: &DtlsCert, dials: bool, introduced: bool) -> RtcConfig {
    let mut config = RtcConfig::new()
        .set_rtp_mode(true)
        .set_ice_lite(!dials && !introduced)
        .set_dtls_cert(certificate.clone())
        .clear_codecs()
        // RED can be had in no other way. Its number and that of Opus are in the test below.
        .enable_opus(true, true)
        .enable_pcmu(true, false)
        .enable_pcma(true, false)
        .enable_g722(true, false)
        .set_rtcp_report_interval_audio(REPORT_INTERVAL)
        .set_extension_map(extensions());
    add_video(config.codec_config());
    if introduced {
        config.set_max_stun_rto(CONSENT_INTERVAL);
        config.set_max_stun_retransmits(MAX_CHECKS_LOST);
    }
    config
}

pub(super) fn add_video(codecs: &mut CodecConfig) {
    let mut add = |(pt, rtx): (u8, u8), codec, format| {
        let rate = Frequency::NINETY_KHZ;
        codecs.add_config(pt.into(), Some(rtx.into()), codec, rate, None, format);
    };
    let profile = |profile| FormatParams {
        profile_id: Some(profile),
        ..FormatParams::default()
    };
    add(VP8, WireCodec::Vp8, FormatParams::default());
    add(VP9_PROFILE_0, WireCodec::Vp9, profile(0));
    add(VP9_PROFILE_2, WireCodec::Vp9, profile(2));
    add(AV1, WireCodec::Av1, FormatParams::default());
    let (pt, rtx) = H264_MODE_1;
    codecs.add_h264(pt.into(), Some(rtx.into()), true, H264_PROFILE);
    let (pt, rtx) = H264_MODE_0;
    codecs.add_h264(pt.into(), Some(rtx.into()), false, H264_PROFILE);
    // Main profile, main tier, level 6.0.
    let (pt, rtx) = H265;
    codecs.add_h265(pt.into(), Some(rtx.into()), 1, 0, 180);
}

/// No `mid` and no `rid` among them: what an SSRC is was said before, and a packet cannot claim
/// anything else.
fn extensions() -> ExtensionMap {
    let mut map = ExtensionMap::empty();
    map.set(AUDIO_LEVEL, Extension::AudioLevel);
    map.set(TRANSPORT_CC, Extension::TransportSequenceNumber);
    map.set(PLAYOUT_DELAY, Extension::PlayoutDelay);
    map.set(CAPTURE_TIME, Extension::AbsoluteCaptureTime);
    let dependency = Extension::with_serializer(config::DEPENDENCY_URI, config::DependencyReader);
    map.set(DEPENDENCY, dependency);
    map.set(ORIENTATION, Extension::VideoOrientation);
    map
}

const EXTENSION_IDS: ExtensionIds = ExtensionIds {
    mid: None,
    transport_cc: Some(TRANSPORT_CC),
    abs_send_time: None,
    audio_level: Some(AUDIO_LEVEL),
    orientation: Some(ORIENTATION),
    playout_delay: Some(PLAYOUT_DELAY),
    capture_time: Some(CAPTURE_TIME),
    dependency: Some(DEPENDENCY),
};

/// str0m's name for what is of a kind.
pub(crate) fn section(kind: Kind) -> Mid {
    match kind {
        Kind::Audio => AUDIO.into(),
        Kind::Video => VIDEO.into(),
    }
}

/// What a trunk does with its connection. Of other transports, nothing comes of it.
impl Transport {
    /// How the other end reaches this one.
    pub(crate) fn trunk_parameters(&mut self, addresses: &[LocalAddress]) -> TrunkParameters {
        let api = self.connection.rtc().direct_api();
        let IceCreds { ufrag, pass } = api.local_ice_credentials();
        let lines = candidate_lines(addresses);
        let lines = lines.lines().filter_map(|line| line.strip_prefix("a="));
        let candidates = lines.filter(|line| line.starts_with("candidate:"));
        TrunkParameters {
            ufrag,
            password: pass,
            fingerprint: api.local_dtls_fingerprint().to_string(),
            candidates: candidates.map(str::to_owned).collect(),
        }
    }

    /// How the other end is reached.
    pub(crate) fn meet(&mut self, parameters: &TrunkParameters) -> Result<(), TrunkError> {
        let trunk = self.trunk.as_mut().ok_or(TrunkError::NoTrunk)?;
        if trunk.met {
            return Err(TrunkError::Twice);
        }
        let credentials = credentials(parameters).ok_or(TrunkError::Credentials)?;
        let fingerprint = fingerprint(&parameters.fingerprint).ok_or(TrunkError::Fingerprint)?;
        trunk.met = true;
        let dials = trunk.dials;
        let mut api = self.connection.rtc().direct_api();
        api.set_remote_ice_credentials(credentials);
        api.set_remote_fingerprint(fingerprint);
        api.start_dtls(dials).map_err(|_| TrunkError::Dtls)?;
        for candidate in parameters.candidates.iter().take(MAX_CANDIDATES) {
            self.add_remote_candidate(candidate);
        }
        Ok(())
    }

    /// An address of the other end. Where the two were not introduced, only the end that dials has
    /// any use for it.
    pub(crate) fn add_remote_candidate(&mut self, text: &str) {
        /// Real ones are about 100 bytes long.
        const MAX_LENGTH: usize = 512;
        let Some(trunk) = self
            .trunk
            .as_mut()
            .filter(|it| (it.dials || it.introduced) && it.met)
        else {
            return;
        };
        if text.len() > MAX_LENGTH {
            return;
        }
        let Ok(candidate) = Candidate::from_sdp_string(text) else {
            return;
        };
        let address = candidate.addr();
        let protocol = match (candidate.proto(), candidate.tcptype()) {
            (WireProtocol::Udp, _) => Protocol::Udp,
            // The end that dials makes the connection.
            (WireProtocol::Tcp, Some(TcpType::Passive)) if trunk.dials => Protocol::Tcp,
            (WireProtocol::Tcp | WireProtocol::SslTcp | WireProtocol::Tls, _) => return,
        };
        let many = trunk.candidates.len() >= MAX_CANDIDATES;
        if !is_usable(address) || many || trunk.candidates.contains(&(protocol, address)) {
            return;
        }
        trunk.candidates.push((protocol, address));
        if protocol == Protocol::Tcp && trunk.tcp_at.is_some() {
            trunk.held.push(candidate);
        } else {
            self.connection.rtc().add_remote_candidate(candidate);
        }
    }

    /// Whether STUN from there is listened to. An agent that is not lite checks in turn where
    /// requests come from, and who sends them can make that up.
    pub(crate) fn listens_to(&mut self, now: Instant, path: Path, stun: &[u8]) -> bool {
        const BINDING_REQUEST: [u8; 2] = [0, 1];
        let in_use = self.connection.path().map(|it| it.remote);
        let Some(trunk) = self.trunk.as_mut().filter(|it| it.introduced) else {
            return true;
        };
        let from = (path.protocol, path.remote);
        let known = trunk.candidates.contains(&from)
            || trunk.strangers.contains(&from)
            || in_use == Some(path.remote);
        if known || !stun.starts_with(&BINDING_REQUEST) {
            return true;
        }
        let welcome = trunk.welcome.take(now);
        if welcome {
            if trunk.strangers.len() >= STRANGERS as usize {
                trunk.strangers.pop_front();
            }
            trunk.strangers.push_back(from);
        }
        welcome
    }

    /// Who may be asked how it sees us. Only both ends of an introduced trunk have any use for it.
    pub(crate) fn add_reflectors(&mut self, reflectors: &[SocketAddr]) {
        let Some(trunk) = self.trunk.as_mut().filter(|it| it.introduced) else {
            return;
        };
        for reflector in reflectors {
            if is_usable(*reflector)
                && trunk.reflectors.len() < MAX_REFLECTORS
                && !trunk.reflectors.contains(reflector)
            {
                trunk.reflectors.push(*reflector);
            }
        }
    }

    pub(crate) fn reflectors(&self) -> &[SocketAddr] {
        self.trunk.as_ref().map_or(&[], |it| &it.reflectors)
    }

    /// A reflector sees our socket at `base` under this address. The candidate for the other end,
    /// if that is news (RFC 8445 section 5.1.1.2).
    pub(crate) fn add_reflexive(
        &mut self,
        seen_as: SocketAddr,
        base: SocketAddr,
    ) -> Option<String> {
        let trunk = self.trunk.as_mut()?;
        let known = trunk.reflexive.contains(&(seen_as, base));
        if known || !is_usable(seen_as) || trunk.reflexive.len() >= MAX_REFLEXIVE {
            return None;
        }
        // One that str0m refuses (another family than the base, broadcast) is a lie.
        let candidate = Candidate::server_reflexive(seen_as, base, "udp").ok()?;
        trunk.reflexive.push((seen_as, base));
        let candidate = self.connection.rtc().add_local_candidate(candidate)?;
        Some(candidate.to_sdp_string())
    }

    /// When TCP is to be tried.
    pub(crate) fn tcp_at(&self) -> Option<Instant> {
        let trunk = self.trunk.as_ref()?;
        let connecting = matches!(self.life, Life::Connecting { .. });
        trunk.tcp_at.filter(|_| connecting)
    }

    /// Tries TCP, if it is time.
    pub(crate) fn try_tcp(&mut self, now: Instant) {
        if self.tcp_at().is_none_or(|at| now < at) {
            return;
        }
        let Some(trunk) = &mut self.trunk else {
            return;
        };
        trunk.tcp_at = None;
        let rtc = self.connection.rtc();
        for address in &trunk.active {
            let candidate = Candidate::builder().tcp().tcptype(TcpType::Active);
            // One that str0m refuses (unspecified, multicast) is none to connect from either.
            if let Ok(candidate) = candidate.host(*address).build() {
                rtc.add_local_candidate(candidate);
            }
        }
        for candidate in trunk.held.drain(..) {
            rtc.add_remote_candidate(candidate);
        }
    }

    /// Whether a feed may have these streams here.
    pub(crate) fn check_feed(
        &self,
        producer: Key<Producer>,
        streams: &[FeedStream],
        most: usize,
    ) -> Result<(), TrunkError> {
        let trunk = self.trunk.as_ref().ok_or(TrunkError::NoTrunk)?;
        trunk.check(producer, streams, most)
    }

    /// A feed expects a stream that was checked.
    pub(crate) fn expect(&mut self, producer: Key<Producer>, kind: Kind, stream: FeedStream) {
        let Some(trunk) = &mut self.trunk else {
            return;
        };
        let declared = Declared {
            producer,
            encoding: stream.encoding,
            repair_ssrc: stream.repair_ssrc,
        };
        trunk.declared.insert(stream.ssrc, declared);
        let names = |it: &FeedStream| [Some(it.ssrc), it.repair_ssrc];
        let wanted = names(&stream);
        let clashes = |it: &FeedStream| {
            let mut theirs = names(it).into_iter().flatten();
            theirs.any(|ssrc| wanted.contains(&Some(ssrc)))
        };
        let mut api = self.connection.rtc().direct_api();
        trunk.leaving.retain(|(left, _)| {
            let clashes = clashes(left);
            if clashes {
                api.remove_stream_rx(left.ssrc.into());
            }
            !clashes
        });
        let repair = stream.repair_ssrc.map(Ssrc::from);
        // Both sections were declared when the connection was made.
        let receiver = api.expect_stream_rx(stream.ssrc.into(), repair, section(kind), None);
        // Audio is sent again under its own SSRC.
        receiver.suppress_nack(kind == Kind::Video && repair.is_none());
    }

    /// A feed no longer expects a stream.
    pub(crate) fn leave(&mut self, stream: FeedStream) {
        let Some(trunk) = &mut self.trunk else {
            return;
        };
        trunk.declared.remove(&stream.ssrc);
        self.sources.remove(&stream.ssrc);
        trunk.leaving.push_back((stream, None));
    }

    /// Forgets streams that ended a while ago.
    pub(crate) fn forget_left(&mut self, now: Instant) {
        let Some(trunk) = &mut self.trunk else {
            return;
        };
        for (_, until) in &mut trunk.leaving {
            until.get_or_insert(now + LINGER);
        }
        while let Some((stream, until)) = trunk.leaving.front()
            && (until.is_some_and(|at| at <= now) || trunk.leaving.len() > MAX_LEAVING)
        {
            let mut api = self.connection.rtc().direct_api();
            api.remove_stream_rx(stream.ssrc.into());
            trunk.leaving.pop_front();
        }
    }

    /// Opens a stream under the SSRCs that the other end has chosen.
    pub(crate) fn open_branch(
        &mut self,
        now: Instant,
        stream: BranchStream,
        kind: Kind,
    ) -> Option<Opened> {
        self.trunk.as_ref()?;
        if stream.ssrc == 0 || stream.repair_ssrc == Some(0) {
            return None;
        }
        let resends = match (kind, stream.repair_ssrc) {
            (Kind::Video, Some(ssrc)) => Resends::Rtx { ssrc },
            (Kind::Video, None) => Resends::Never,
            (Kind::Audio, _) => Resends::Sealed,
        };
        let config = StreamConfig {
            ssrc: stream.ssrc,
            kind,
            mid: String::new(),
            extensions: EXTENSION_IDS,
            resends,
        };
        self.egress.open_stream(now, &config).ok()
    }

    /// Asks the other end for a key frame.
    pub(crate) fn request_key_frame_of(&mut self, ssrc: u32) {
        let mut api = self.connection.rtc().direct_api();
        if let Some(stream) = api.stream_rx(&ssrc.into()) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }
}

/// Whether datagrams can go there.
fn is_usable(address: SocketAddr) -> bool {
    address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast()
}

/// One for each address family: a connection finds its own way out.
fn active_addresses(addresses: &[LocalAddress]) -> Vec<SocketAddr> {
    let families = [SocketAddr::is_ipv4, SocketAddr::is_ipv6];
    let first = |is: fn(&SocketAddr) -> bool| {
        let address = addresses.iter().find(|address| is(&address.base))?;
        Some(SocketAddr::new(address.base.ip(), ACTIVE_TCP_PORT))
    };
    families.into_iter().filter_map(first).collect()
}

/// RFC 8839 section 5.4: letters, digits, `+` and `/`, so many of them.
fn credentials(parameters: &TrunkParameters) -> Option<IceCreds> {
    let proper = |text: &str, least| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        (least..=256).contains(&text.len()) && text.bytes().all(known)
    };
    let both = proper(&parameters.ufrag, 4) && proper(&parameters.password, 22);
    both.then(|| IceCreds {
        ufrag: parameters.ufrag.clone(),
        pass: parameters.password.clone(),
    })
}

fn fingerprint(text: &str) -> Option<Fingerprint> {
    const LENGTH: usize = "sha-256 ".len() + 32 * 3 - 1;
    if text.len() != LENGTH || !text.is_ascii() {
        return None;
    }
    let (function, digits) = text.split_once(' ')?;
    let digit = |digit: char| digit.is_ascii_hexdigit();
    let proper = |byte: &str| byte.len() == 2 && byte.chars().all(digit);
    let known = function.eq_ignore_ascii_case("sha-256") && digits.split(':').all(proper);
    let mut fingerprint: Fingerprint = known.then(|| text.parse().ok())??;
    fingerprint.hash_func = "sha-256".into();
    Some(fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_versions_of_the_server_number_codecs_differently() {
        let certificate = str0m::crypto::from_feature_flags()
            .dtls_provider
            .generate_certificate()
            .expect("a certificate");
        let mut config = rtc_config(&certificate, true, false);
        let params = config.codec_config().params().iter();
        let table: Vec<(u8, Option<u8>, Option<u8>)> = params
            .map(|p| (*p.pt(), p.resend().map(|pt| *pt), p.red().map(|pt| *pt)))
            .collect();
        let video = [
            VP8,
            VP9_PROFILE_0,
            VP9_PROFILE_2,
            AV1,
            H264_MODE_1,
            H264_MODE_0,
            H265,
        ];
        let video = video.map(|(pt, rtx)| (pt, Some(rtx), None));
        let audio = [
            (111, None, Some(63)),
            (0, None, None),
            (8, None, None),
            (9, None, None),
        ];
        assert_eq!(table, [&audio[..], &video[..]].concat());
    }

    #[test]
    fn what_packets_say_of_themselves_is_lost_on_the_link() {
        assert_eq!(super::super::extension_ids(&extensions()), EXTENSION_IDS);
    }

    #[test]
    fn a_text_that_is_no_fingerprint_is_taken_for_one() {
        let good = format!("sha-256 {}", ["0A"; 32].join(":"));
        assert!(fingerprint(&good).is_some());
        let short = format!("sha-256 {}", ["0A"; 31].join(":"));
        let signed = good.replacen("0A", "+A", 1);
        let other = good.replacen("sha-256", "sha-512", 1);
        for bad in ["", "sha-256", &short, &signed, &other, &good[1..]] {
            assert!(fingerprint(bad).is_none(), "{bad}");
        }
    }
}
