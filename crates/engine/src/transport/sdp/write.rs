//! What is changed in a description that str0m has written before the peer gets it.

use umbrella_media::Codec;

use crate::api::{Label, LocalAddress, Protocol};

/// The canonical name of all that we send (RFC 3550 section 6.5.1): it is on one clock.
pub(crate) const CNAME: &str = "umbrella";

/// What becomes of one media section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan<'a> {
    /// Nothing of ours is in it.
    AsItIs,
    /// The peer sends in it; we never do.
    Receive {
        /// The peer's Opus has two channels.
        stereo: bool,
        /// What the peer shall send with: it takes what is listed first.
        favourite: Option<Codec>,
        /// Its Opus may stop while nobody speaks.
        dtx: bool,
    },
    /// Nobody sends in it.
    Silent,
    /// One of our consumers uses it.
    Carry {
        /// How the peer sees it.
        label: &'a Label,
        /// Its Opus has two channels.
        stereo: bool,
    },
}

/// Rewrites a description of str0m. `plan` says for each `mid` what becomes of it.
pub(crate) fn rewrite<'a>(
    sdp: &str,
    candidates: &str,
    mut plan: impl FnMut(&str) -> Plan<'a>,
) -> String {
    let mut out = String::with_capacity(sdp.len() + candidates.len() + 256);
    let (session, sections) = split(sdp);
    for line in session.lines() {
        // str0m lists its own stream names here.
        match line.starts_with("a=msid-semantic:") {
            true => push(&mut out, "a=msid-semantic: WMS *"),
            false => push(&mut out, line),
        }
    }
    let mut candidates = Some(candidates);
    for section in sections {
        let mid = section.lines().find_map(|line| line.strip_prefix("a=mid:"));
        let plan = mid.map_or(Plan::AsItIs, |mid| plan(mid.trim()));
        // RFC 9143 section 7.1.3: with BUNDLE, candidates stand in the first section in use.
        let disabled = section.split(' ').nth(1) == Some("0");
        for line in section.lines() {
            if line.starts_with("a=candidate:") || line == "a=end-of-candidates" {
                continue;
            }
            if line.starts_with("a=ice-ufrag:")
                && !disabled
                && let Some(candidates) = candidates.take()
            {
                out.push_str(candidates);
            }
            rewrite_line(&mut out, line, plan, section);
        }
    }
    out
}

/// Our candidates as SDP lines, each with its line end; the best first.
///
/// Every one is called a host candidate, even where a NAT maps it one to one: for the peer there
/// is no difference, and an ICE-lite agent has no others (RFC 8445 section 5.2).
pub(crate) fn candidate_lines(addresses: &[LocalAddress]) -> String {
    let mut lines = String::new();
    for (index, address) in addresses.iter().enumerate() {
        // RFC 8445 section 5.1.2.1; RFC 6544 section 4.2 wants UDP before TCP.
        let local_preference = 65_535 - index.min(8191) as u32;
        let (transport, type_preference, suffix) = match address.protocol {
            Protocol::Udp => ("udp", 126, ""),
            Protocol::Tcp => ("tcp", 90, " tcptype passive"),
        };
        let priority = (type_preference << 24) | (local_preference << 8) | 255;
        let (ip, port) = (address.advertised.ip(), address.advertised.port());
        lines.push_str(&format!(
            "a=candidate:{index} 1 {transport} {priority} {ip} {port} typ host{suffix}\r\n"
        ));
    }
    lines.push_str("a=end-of-candidates\r\n");
    lines
}

fn rewrite_line(out: &mut String, line: &str, plan: Plan<'_>, section: &str) {
    let is_opus = |line: &str| {
        line.strip_prefix("a=fmtp:")
            .and_then(|rest| rest.split_once(' '))
            .is_some_and(|(pt, _)| payloads(section, Codec::Opus).next() == Some(pt))
    };
    match plan {
        Plan::AsItIs => push(out, line),
        Plan::Receive {
            stereo,
            favourite,
            dtx,
        } => match line {
            "a=sendrecv" => push(out, "a=recvonly"),
            "a=sendonly" => push(out, "a=inactive"),
            line if is_ours_to_say(line) => {}
            line if line.starts_with("m=") => match favourite {
                Some(codec) => push(out, &put_first(line, section, codec)),
                None => push(out, line),
            },
            line if is_opus(line) => {
                let stereo = if stereo { ";stereo=1" } else { "" };
                let dtx = if dtx { ";usedtx=1" } else { "" };
                push(out, &format!("{line}{stereo}{dtx}"));
            }
            line => push(out, line),
        },
        Plan::Silent => match line {
            "a=sendrecv" | "a=sendonly" | "a=recvonly" => push(out, "a=inactive"),
            line if is_ours_to_say(line) => {}
            line => push(out, line),
        },
        Plan::Carry { label, stereo } => {
            let Label { stream, track } = label;
            if line == "a=sendrecv" {
                push(out, "a=sendonly");
            } else if line.starts_with("a=msid:") {
                push(out, &format!("a=msid:{stream} {track}"));
            } else if let Some((ssrc, attribute)) = line
                .strip_prefix("a=ssrc:")
                .and_then(|rest| rest.split_once(' '))
            {
                match attribute.starts_with("msid:") {
                    true => push(out, &format!("a=ssrc:{ssrc} msid:{stream} {track}")),
                    false => push(out, &format!("a=ssrc:{ssrc} cname:{CNAME}")),
                }
            } else if stereo && is_opus(line) {
                push(out, &format!("{line};sprop-stereo=1"));
            } else {
                push(out, line);
            }
        }
    }
}

/// Lines that describe what we send.
fn is_ours_to_say(line: &str) -> bool {
    line.starts_with("a=msid:") || line.starts_with("a=ssrc:") || line.starts_with("a=ssrc-group:")
}

/// The payload types of a codec in a section.
fn payloads(section: &str, codec: Codec) -> impl Iterator<Item = &str> {
    section.lines().filter_map(move |line| {
        let (pt, name) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
        let name = name.split('/').next()?;
        (Codec::from_mime(name) == Some(codec)).then_some(pt)
    })
}

/// An m-line whose list of payload types begins with those of a codec.
fn put_first(line: &str, section: &str, codec: Codec) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    // m=KIND PORT PROTOCOL PAYLOAD…
    if let Some(listed) = words.get_mut(3..) {
        listed.sort_by_key(|pt| !payloads(section, codec).any(|of_codec| of_codec == *pt));
    }
    words.join(" ")
}

/// The part before the first m-line, and the sections.
fn split(sdp: &str) -> (&str, Vec<&str>) {
    let mut starts: Vec<usize> = sdp.match_indices("\nm=").map(|(at, _)| at + 1).collect();
    let session = &sdp[..starts.first().copied().unwrap_or(sdp.len())];
    starts.push(sdp.len());
    (
        session,
        starts
            .windows(2)
            .map(|pair| &sdp[pair[0]..pair[1]])
            .collect(),
    )
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0\r\na=msid-semantic: WMS x y\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=candidate:1 1 udp 1 10.0.0.1 1 typ host\r\n\
        a=ice-ufrag:abcd\r\na=mid:0\r\na=sendonly\r\na=msid:x t\r\na=rtpmap:111 opus/48000/2\r\n\
        a=fmtp:111 minptime=10;useinbandfec=1\r\na=ssrc:5 cname:z\r\na=ssrc:5 msid:x t\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=ice-ufrag:abcd\r\na=mid:1\r\na=sendonly\r\n\
        a=msid:y u\r\na=ssrc:6 cname:w\r\na=ssrc:7 cname:w\r\na=ssrc-group:FID 6 7\r\n";

    fn plain(sdp: &str) -> Vec<&str> {
        sdp.lines().collect()
    }

    #[test]
    fn a_consumer_is_named_and_its_audio_and_video_share_a_stream() {
        let label = |track: &str| Label {
            stream: "PA_1".into(),
            track: track.into(),
        };
        let (mic, cam) = (label("TR_a"), label("TR_v"));
        let out = rewrite(SDP, "a=candidate:ours\r\n", |mid| Plan::Carry {
            label: if mid == "0" { &mic } else { &cam },
            stereo: true,
        });
        for line in [
            "a=msid:PA_1 TR_a",
            "a=msid:PA_1 TR_v",
            "a=ssrc:5 msid:PA_1 TR_a",
            "a=ssrc:6 cname:umbrella",
            "a=ssrc-group:FID 6 7",
            "a=fmtp:111 minptime=10;useinbandfec=1;sprop-stereo=1",
        ] {
            assert!(plain(&out).contains(&line), "{line} in {out}");
        }
        assert_eq!(out.matches("a=candidate").count(), 1);
        assert!(out.find("a=candidate:ours") < out.find("m=video"));
    }

    #[test]
    fn a_free_section_is_inactive_and_names_nobody() {
        let out = rewrite(SDP, "", |_| Plan::Silent);
        assert_eq!(out.matches("a=inactive").count(), 2);
        assert!(!out.contains("msid:") && !out.contains("a=ssrc"));
    }

    #[test]
    fn a_publisher_is_told_of_dtx_and_stereo_and_hears_nothing_from_us() {
        let sdp = SDP.replace("a=sendonly", "a=sendrecv");
        let plan = |dtx| Plan::Receive {
            stereo: true,
            favourite: None,
            dtx,
        };
        let out = rewrite(&sdp, "", |_| plan(false));
        assert!(out.contains("useinbandfec=1;stereo=1\r\n"));
        let out = rewrite(&sdp, "", |_| plan(true));
        assert!(out.contains("useinbandfec=1;stereo=1;usedtx=1\r\n"));
        assert_eq!(out.matches("a=recvonly").count(), 2);
        assert!(!out.contains("a=ssrc"));
    }

    #[test]
    fn a_publisher_sends_with_another_codec_than_it_asked_for() {
        let sdp = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 97 45 98 99\r\na=mid:0\r\na=recvonly\r\n\
            a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=rtpmap:45 AV1/90000\r\n\
            a=rtpmap:98 H264/90000\r\na=rtpmap:99 H264/90000\r\n";
        let first = |favourite| {
            let out = rewrite(sdp, "", |_| Plan::Receive {
                stereo: false,
                favourite,
                dtx: true,
            });
            out.lines().nth(1).map(str::to_owned)
        };
        let line = |payloads: &str| Some(format!("m=video 9 UDP/TLS/RTP/SAVPF {payloads}"));
        assert_eq!(first(Some(Codec::H264)), line("98 99 96 97 45"));
        assert_eq!(first(Some(Codec::Vp8)), line("96 97 45 98 99"));
        assert_eq!(first(Some(Codec::Vp9)), line("96 97 45 98 99"));
        assert_eq!(first(None), line("96 97 45 98 99"));
    }

    #[test]
    fn candidates_move_on_when_the_first_section_is_rejected() {
        let sdp = SDP.replace("m=audio 9", "m=audio 0");
        let out = rewrite(&sdp, "a=candidate:ours\r\n", |_| Plan::AsItIs);
        assert!(out.find("a=candidate:ours") > out.find("m=video"));
    }

    #[test]
    fn udp_is_preferred_over_tcp_and_advertised_addresses_are_named() {
        let address = |protocol, advertised: &str, base: &str| LocalAddress {
            protocol,
            advertised: advertised.parse().expect("address"),
            base: base.parse().expect("address"),
        };
        let lines = candidate_lines(&[
            address(Protocol::Udp, "203.0.113.5:40000", "10.0.0.1:40000"),
            address(Protocol::Tcp, "[2001:db8::1]:40000", "[2001:db8::1]:40000"),
        ]);
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(
            lines,
            [
                "a=candidate:0 1 udp 2130706431 203.0.113.5 40000 typ host",
                "a=candidate:1 1 tcp 1526726399 2001:db8::1 40000 typ host tcptype passive",
                "a=end-of-candidates"
            ]
        );
    }
}
