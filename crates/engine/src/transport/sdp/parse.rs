//! What we must know of a peer's description before str0m sees it.
//!
//! str0m parses and negotiates. This pass is for what it does not tell (track ids, the order of
//! simulcast encodings), for what it would take amiss, and for bounds.

use std::collections::HashMap;

use umbrella_media::{Codec, Kind};

use crate::api::Limits;

/// Why a description cannot be used: the peer's fault, in words for it and the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SdpError {
    #[error("the session description has {0} bytes, more than {1}")]
    TooLong(usize, usize),
    #[error("the session description has more than {0} media sections")]
    TooManySections(usize),
    #[error("media section {0} has no usable a=mid (1 to 16 letters or digits)")]
    BadMid(usize),
    #[error("mid {0} is used by two media sections")]
    SameMid(String),
    #[error("media section {0} is neither audio, video nor application")]
    UnknownMedia(usize),
    #[error("payload type {0} means two different things")]
    PayloadTypeClash(u8),
    #[error("payload type {0} is out of range")]
    BadPayloadType(String),
    #[error("the DTLS certificate has changed; a new connection is needed for that")]
    CertificateChanged,
    #[error("there is no a=fingerprint")]
    NoFingerprint,
    #[error("the session description was not understood: {0}")]
    NotUnderstood(String),
    #[error("the session description contradicts itself")]
    Contradiction,
    #[error("it does not answer our offer")]
    Unexpected,
}

/// A peer's description, read as far as we need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    /// In the order of the text; the position is the index of the m-line.
    pub(crate) sections: Vec<PeerSection>,
    /// `sha-256 AB:CD…`, lower case, sorted.
    pub(crate) fingerprints: Vec<String>,
    /// What str0m gets: the same without what it does not need to know.
    pub(crate) text: String,
}

/// What a section is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Audio,
    Video,
    Application,
}

impl Media {
    pub(crate) fn kind(self) -> Option<Kind> {
        match self {
            Media::Audio => Some(Kind::Audio),
            Media::Video => Some(Kind::Video),
            Media::Application => None,
        }
    }
}

/// One section of a peer's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PeerSection {
    pub(crate) mid: String,
    pub(crate) media: Media,
    /// The peer sends in it.
    pub(crate) sends: bool,
    /// The peer wants to receive in it.
    pub(crate) receives: bool,
    /// Port 0 and not a part of the bundle.
    pub(crate) rejected: bool,
    /// The track id of `a=msid`, empty if there is none.
    pub(crate) track: String,
    /// The names of the simulcast encodings that it sends, in its order.
    pub(crate) rids: Vec<String>,
    /// In its order of preference.
    pub(crate) codecs: Vec<Codec>,
    /// Its Opus has two channels.
    pub(crate) stereo: bool,
}

/// Longest `mid` that str0m keeps apart from another.
const MID_LENGTH: usize = 16;
/// Encodings of one track.
const MAX_RIDS: usize = 8;

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// If it breaks a bound, or is such that str0m would confuse parts of it.
    pub(crate) fn parse(sdp: &str, limits: &Limits) -> Result<Description, SdpError> {
        if sdp.len() > limits.sdp {
            return Err(SdpError::TooLong(sdp.len(), limits.sdp));
        }
        let mut reader = Reader::default();
        for line in sdp.lines() {
            reader.line(line.trim_end(), limits)?;
        }
        reader.finish()
    }
}

#[derive(Debug, Default)]
struct Reader {
    text: String,
    sections: Vec<PeerSection>,
    bundle: Vec<String>,
    fingerprints: Vec<String>,
    /// Of all sections: in a bundle a payload type has one meaning.
    payloads: HashMap<u8, Payload>,
    /// Of the present section.
    order: Vec<u8>,
    direction: (bool, bool),
    port: u32,
}

#[derive(Debug, Default)]
struct Payload {
    /// `vp8/90000`, lower case.
    name: String,
    /// Of a resend payload: what it resends.
    resends: Option<u8>,
}

impl Reader {
    fn line(&mut self, line: &str, limits: &Limits) -> Result<(), SdpError> {
        if let Some(rest) = line.strip_prefix("m=") {
            self.end_section()?;
            if self.sections.len() >= limits.sections {
                return Err(SdpError::TooManySections(limits.sections));
            }
            self.begin_section(rest)?;
        } else if let Some((name, value)) = attribute(line) {
            if is_needless(name) {
                return Ok(());
            }
            match self.sections.is_empty() {
                true => self.session_attribute(name, value),
                false => self.section_attribute(name, value)?,
            }
        }
        if !line.is_empty() {
            self.text.push_str(line);
            self.text.push_str("\r\n");
        }
        Ok(())
    }

    fn begin_section(&mut self, rest: &str) -> Result<(), SdpError> {
        let mut words = rest.split(' ');
        let media = match words.next() {
            Some("audio") => Media::Audio,
            Some("video") => Media::Video,
            Some("application") => Media::Application,
            _ => return Err(SdpError::UnknownMedia(self.sections.len())),
        };
        self.port = words.next().and_then(|port| port.parse().ok()).unwrap_or(0);
        self.order.clear();
        if media != Media::Application {
            for word in words.skip(1) {
                self.order.push(payload_type(word)?);
            }
        }
        // RFC 8866 section 6.7: sendrecv unless said otherwise.
        self.direction = (true, true);
        self.sections.push(PeerSection {
            mid: String::new(),
            media,
            sends: false,
            receives: false,
            rejected: false,
            track: String::new(),
            rids: Vec::new(),
            codecs: Vec::new(),
            stereo: false,
        });
        Ok(())
    }

    fn session_attribute(&mut self, name: &str, value: &str) {
        match name {
            "group" => {
                let mut words = value.split_ascii_whitespace();
                if words.next() == Some("BUNDLE") {
                    self.bundle = words.map(str::to_owned).collect();
                }
            }
            "fingerprint" => self.fingerprints.push(value.to_ascii_lowercase()),
            _ => {}
        }
    }

    fn section_attribute(&mut self, name: &str, value: &str) -> Result<(), SdpError> {
        let index = self.sections.len() - 1;
        let section = &mut self.sections[index];
        match name {
            "mid" => section.mid = value.to_owned(),
            "sendrecv" => self.direction = (true, true),
            "sendonly" => self.direction = (true, false),
            "recvonly" => self.direction = (false, true),
            "inactive" => self.direction = (false, false),
            "msid" => {
                section.track = value.split(' ').nth(1).unwrap_or_default().to_owned();
            }
            "fingerprint" => {
                let fingerprint = value.to_ascii_lowercase();
                if !self.fingerprints.contains(&fingerprint) {
                    self.fingerprints.push(fingerprint);
                }
            }
            "simulcast" => section.rids = sent_rids(value),
            "rtpmap" => self.rtpmap(value)?,
            "fmtp" => self.fmtp(value)?,
            _ => {}
        }
        Ok(())
    }

    fn rtpmap(&mut self, value: &str) -> Result<(), SdpError> {
        let Some((pt, name)) = value.split_once(' ') else {
            return Ok(());
        };
        let pt = payload_type(pt)?;
        let name = name.trim().to_ascii_lowercase();
        let known = self.payloads.entry(pt).or_default();
        if !known.name.is_empty() && known.name != name {
            return Err(SdpError::PayloadTypeClash(pt));
        }
        known.name = name;
        Ok(())
    }

    fn fmtp(&mut self, value: &str) -> Result<(), SdpError> {
        let Some((pt, parameters)) = value.split_once(' ') else {
            return Ok(());
        };
        let pt = payload_type(pt)?;
        for parameter in parameters.split(';') {
            match parameter.trim().split_once('=') {
                Some(("apt", resends)) => {
                    let resends = payload_type(resends)?;
                    let known = self.payloads.entry(pt).or_default();
                    if known.resends.is_some_and(|other| other != resends) {
                        return Err(SdpError::PayloadTypeClash(pt));
                    }
                    known.resends = Some(resends);
                }
                Some(("stereo" | "sprop-stereo", "1")) => {
                    if let Some(section) = self.sections.last_mut() {
                        section.stereo = true;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn end_section(&mut self) -> Result<(), SdpError> {
        let index = self.sections.len();
        let Some((section, earlier)) = self.sections.split_last_mut() else {
            return Ok(());
        };
        let mid = &section.mid;
        let plain = mid.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if mid.is_empty() || mid.len() > MID_LENGTH || !plain {
            return Err(SdpError::BadMid(index - 1));
        }
        if earlier.iter().any(|other| other.mid == *mid) {
            return Err(SdpError::SameMid(mid.clone()));
        }
        section.rejected = self.port == 0 && !self.bundle.contains(mid);
        (section.sends, section.receives) = match section.rejected {
            true => (false, false),
            false => self.direction,
        };
        for pt in &self.order {
            let codec = match self.payloads.get(pt) {
                Some(payload) => payload.name.split('/').next().and_then(Codec::from_mime),
                None => static_codec(*pt),
            };
            if let Some(codec) = codec
                && !section.codecs.contains(&codec)
            {
                section.codecs.push(codec);
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Description, SdpError> {
        self.end_section()?;
        self.check_resends()?;
        if self.fingerprints.is_empty() {
            return Err(SdpError::NoFingerprint);
        }
        self.fingerprints.sort();
        Ok(Description {
            sections: self.sections,
            fingerprints: self.fingerprints,
            text: self.text,
        })
    }

    /// str0m gives every codec a resend payload of its own, and asserts so.
    fn check_resends(&self) -> Result<(), SdpError> {
        let mut seen = HashMap::new();
        for (pt, payload) in &self.payloads {
            if let Some(main) = payload.resends
                && (main == *pt || seen.insert(main, *pt).is_some())
            {
                return Err(SdpError::PayloadTypeClash(*pt));
            }
        }
        Ok(())
    }
}

/// `a=name:value` or `a=name`.
fn attribute(line: &str) -> Option<(&str, &str)> {
    let attribute = line.strip_prefix("a=")?;
    Some(attribute.split_once(':').unwrap_or((attribute, "")))
}

/// Candidates are of no use to an ICE-lite agent, and may hold names that do not resolve. An
/// SCTP handshake carried in SDP would tie us to a draft whose rules for later offers vary.
fn is_needless(name: &str) -> bool {
    matches!(
        name,
        "candidate" | "end-of-candidates" | "remote-candidates" | "sctp-init"
    )
}

fn payload_type(word: &str) -> Result<u8, SdpError> {
    let bad = || SdpError::BadPayloadType(word.chars().take(8).collect());
    match word.trim().parse::<u8>() {
        Ok(pt) if pt < 128 => Ok(pt),
        _ => Err(bad()),
    }
}

/// RFC 3551 section 6, table 4.
fn static_codec(pt: u8) -> Option<Codec> {
    match pt {
        0 => Some(Codec::Pcmu),
        8 => Some(Codec::Pcma),
        9 => Some(Codec::G722),
        _ => None,
    }
}

/// The encodings that a peer sends: `a=simulcast:send q;~h;f recv …` (RFC 8853 section 5.1). Of
/// alternatives (`a,b`) the first counts; `~` means that it starts paused.
fn sent_rids(value: &str) -> Vec<String> {
    let mut words = value.split_ascii_whitespace();
    while let (Some(direction), Some(list)) = (words.next(), words.next()) {
        if direction == "send" {
            let rids = list.split(';').filter_map(|rid| rid.split(',').next());
            return rids
                .map(|rid| rid.trim_start_matches('~').to_owned())
                .filter(|rid| !rid.is_empty())
                .take(MAX_RIDS)
                .collect();
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
        a=group:BUNDLE 0 1\r\na=fingerprint:sha-256 AB:CD\r\n";

    fn parse(body: &str) -> Result<Description, SdpError> {
        Description::parse(&format!("{HEAD}{body}"), &Limits::default())
    }

    #[test]
    fn tracks_encodings_and_codecs_are_read() {
        let sdp = "m=audio 9 UDP/TLS/RTP/SAVPF 63 111 0\r\na=mid:0\r\na=sendonly\r\n\
            a=msid:stream mic\r\na=rtpmap:63 red/48000/2\r\na=rtpmap:111 opus/48000/2\r\n\
            a=fmtp:111 minptime=10;sprop-stereo=1\r\na=candidate:1 1 udp 1 x.local 1 typ host\r\n\
            m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:1\r\na=sendonly\r\na=msid:- cam\r\n\
            a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
            a=simulcast:send q;~h;f\r\n";
        let description = parse(sdp).expect("valid");
        let [audio, video] = &description.sections[..] else {
            panic!("two sections");
        };
        assert_eq!(audio.codecs, [Codec::Red, Codec::Opus, Codec::Pcmu]);
        assert!(audio.stereo && audio.sends && !audio.receives && audio.track == "mic");
        assert_eq!(video.rids, ["q", "h", "f"]);
        assert_eq!(
            (video.track.as_str(), &video.codecs[..]),
            ("cam", &[Codec::Vp8][..])
        );
        assert!(!description.text.contains("candidate"));
    }

    #[test]
    fn what_str0m_would_assert_on_is_refused() {
        let video = "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:0\r\n";
        let two_names = format!("{video}a=rtpmap:96 VP8/90000\r\na=rtpmap:96 H264/90000\r\n");
        assert_eq!(
            parse(&two_names).err(),
            Some(SdpError::PayloadTypeClash(96))
        );
        let two_resends = format!("{video}a=fmtp:97 apt=96\r\na=fmtp:98 apt=96\r\n");
        assert!(matches!(
            parse(&two_resends).err(),
            Some(SdpError::PayloadTypeClash(_))
        ));
        assert!(matches!(
            parse("m=video 9 UDP/TLS/RTP/SAVPF 200\r\na=mid:0\r\n").err(),
            Some(SdpError::BadPayloadType(_))
        ));
        assert_eq!(
            parse("m=audio 9 X 0\r\na=mid:12345678901234567\r\n").err(),
            Some(SdpError::BadMid(0))
        );
        assert_eq!(
            parse("m=text 9 X 0\r\na=mid:0\r\n").err(),
            Some(SdpError::UnknownMedia(0))
        );
        let limits = Limits {
            sections: 1,
            ..Limits::default()
        };
        let sdp = format!("{HEAD}m=audio 9 X 0\r\na=mid:0\r\nm=audio 9 X 0\r\na=mid:1\r\n");
        assert_eq!(
            Description::parse(&sdp, &limits).err(),
            Some(SdpError::TooManySections(1))
        );
    }

    #[test]
    fn a_rejected_section_neither_sends_nor_receives() {
        let sdp = "m=audio 0 X 0\r\na=mid:1\r\nm=video 0 X 96\r\na=mid:7\r\na=sendonly\r\n";
        let description = parse(sdp).expect("valid");
        assert!(
            !description.sections[0].rejected,
            "port 0 inside of the bundle"
        );
        assert!(description.sections[1].rejected && !description.sections[1].sends);
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(text in "(m=|a=|mid|rtpmap|fmtp|simulcast|:|;|,|=|audio|96|apt| |\r\n|~|[a-z0-9])*") {
            let _ = Description::parse(&text, &Limits::default());
        }
    }
}
