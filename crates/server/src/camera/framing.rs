//! The bytes of a camera's RTSP connection, RFC 2326: bounded before anybody reads them.

use std::net::IpAddr;

use super::reason::{Reason, Step};

/// Bytes of the status line and headers of a message.
const MAX_HEAD: usize = 16 * 1024;

/// Bytes of the body of a message: descriptions of cameras have a few thousand.
const MAX_BODY: usize = 64 * 1024;

/// Section 10.12: a packet between messages begins so.
const INTERLEAVED: u8 = b'$';

/// What comes from a camera, cut into messages and packets without keeping more than a head.
#[derive(Debug)]
pub(super) struct Framing {
    state: State,
    /// The camera's own address: where its packets come from and ours go to, whatever it says.
    source: IpAddr,
    /// Where the camera sends us instead.
    redirect: Option<String>,
    /// Whether anything of RTSP has come.
    spoken: bool,
}

#[derive(Debug)]
enum State {
    Between,
    /// The header of a packet: channel and length.
    Packet(Vec<u8>),
    Head(Vec<u8>),
    /// So many bytes are still to come of a packet or a body.
    Rest(usize),
}

impl Framing {
    pub(super) fn new(source: IpAddr) -> Framing {
        Framing {
            state: State::Between,
            source,
            redirect: None,
            spoken: false,
        }
    }

    /// Where the camera sends us instead, if it does.
    pub(super) fn redirect(&mut self) -> Option<String> {
        self.redirect.take()
    }

    /// Whether a whole head or packet has come.
    pub(super) fn has_spoken(&self) -> bool {
        self.spoken
    }

    /// Takes bytes, gives what may be passed on.
    ///
    /// # Errors
    ///
    /// If a message is longer than anybody needs, or what comes is not RTSP.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<u8>, Reason> {
        let mut out = Vec::with_capacity(bytes.len() + 64);
        while let Some(&first) = bytes.first() {
            match std::mem::replace(&mut self.state, State::Between) {
                State::Between if first == INTERLEAVED => {
                    self.state = State::Packet(Vec::with_capacity(4));
                }
                // Some cameras leave empty lines between messages.
                State::Between if matches!(first, b'\r' | b'\n') => bytes = &bytes[1..],
                State::Between => self.state = State::Head(Vec::new()),
                State::Packet(mut header) => {
                    header.push(first);
                    bytes = &bytes[1..];
                    self.state = State::Packet(header);
                    self.packet(&mut out);
                }
                State::Head(mut head) => {
                    head.push(first);
                    bytes = &bytes[1..];
                    self.state = self.head(head, &mut out)?;
                }
                State::Rest(left) => {
                    let (now, later) = bytes.split_at(left.min(bytes.len()));
                    out.extend_from_slice(now);
                    bytes = later;
                    if left > now.len() {
                        self.state = State::Rest(left - now.len());
                    }
                }
            }
        }
        Ok(out)
    }

    fn packet(&mut self, out: &mut Vec<u8>) {
        let State::Packet(header) = &self.state else {
            return;
        };
        if let [_, _, high, low] = header[..] {
            out.extend_from_slice(header);
            self.spoken = true;
            self.state = match usize::from(u16::from_be_bytes([high, low])) {
                0 => State::Between,
                length => State::Rest(length),
            };
        }
    }

    /// Until its empty line.
    fn head(&mut self, head: Vec<u8>, out: &mut Vec<u8>) -> Result<State, Reason> {
        if head.len() > MAX_HEAD {
            return Err(Reason::TooMuchText);
        }
        // A message begins with its name or its version; anything else is another protocol.
        if head.len() == 5 && !(head.starts_with(b"RTSP/") || head.iter().all(is_method)) {
            let what = "what comes is neither a message nor a packet".to_owned();
            let step = Step::Stream;
            return Err(match self.spoken {
                true => Reason::Protocol { step, what },
                false => Reason::NotRtsp,
            });
        }
        if !head.ends_with(b"\n\n") && !head.ends_with(b"\n\r\n") {
            return Ok(State::Head(head));
        }
        self.spoken = true;
        let text = String::from_utf8_lossy(&head);
        let length = self.read(&text)?;
        out.extend_from_slice(self.rewritten(&text).as_bytes());
        Ok(match length {
            0 => State::Between,
            length => State::Rest(length),
        })
    }

    /// The length of the body.
    fn read(&mut self, head: &str) -> Result<usize, Reason> {
        let status = head
            .strip_prefix("RTSP/")
            .and_then(|rest| rest.split_whitespace().nth(1))
            .and_then(|status| status.parse::<u16>().ok());
        let header = |name: &str| {
            let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
            lines
                .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim())
        };
        if status.is_some_and(|status| (300..400).contains(&status)) {
            self.redirect = Some(header("Location").unwrap_or_default().to_owned());
        }
        let length = header("Content-Length").map_or(Ok(0), str::parse::<usize>);
        match length {
            Ok(length) if length <= MAX_BODY => Ok(length),
            Ok(_) => Err(Reason::TooMuchText),
            Err(_) => Err(Reason::Protocol {
                step: Step::Stream,
                what: "a message without a sensible length".to_owned(),
            }),
        }
    }

    /// With our own idea of where packets come from: a camera that names another host would have us
    /// send packets to that. Port 65535 has none after it for RTCP.
    fn rewritten(&self, head: &str) -> String {
        let mut out = String::with_capacity(head.len() + 32);
        for line in head.split_inclusive('\n') {
            let is_transport = line
                .split_once(':')
                .is_some_and(|(key, _)| key.trim().eq_ignore_ascii_case("Transport"));
            if !is_transport || !line.contains("server_port") {
                out.push_str(line);
                continue;
            }
            let parts = line.trim_end().split(';').filter(|part| {
                let part = part.trim();
                !part.starts_with("source=") && !part.starts_with("server_port=65535")
            });
            out.push_str(&parts.collect::<Vec<_>>().join(";"));
            out.push_str(&format!(";source={}\r\n", self.source));
        }
        out
    }
}

fn is_method(byte: &u8) -> bool {
    byte.is_ascii_uppercase() || matches!(byte, b'_' | b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing() -> Framing {
        Framing::new([192, 0, 2, 7].into())
    }

    const OK: &str = "RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 3\r\n\r\nabc";

    #[test]
    fn bytes_change_when_they_come_one_by_one() {
        let mut stream = OK.as_bytes().to_vec();
        stream.extend([b'$', 1, 0, 2, b'$', b'R', b'$', 0, 0, 0, b'\r', b'\n']);
        stream.extend(OK.as_bytes());
        let whole = framing().push(&stream).unwrap();
        let mut one = framing();
        let single: Vec<_> = stream
            .iter()
            .flat_map(|byte| one.push(&[*byte]).unwrap())
            .collect();
        assert_eq!(whole, single);
        stream.drain(OK.len() + 10..OK.len() + 12);
        assert_eq!(whole, stream);
    }

    #[test]
    fn camera_fills_our_memory_with_headers_or_a_description() {
        let mut drip = framing();
        drip.push(b"RTSP/1.0 200 OK\r\n").unwrap();
        let ended = (0..10_000).find_map(|_| drip.push(b"X-Y: zzzzzzz\r\n").err());
        assert_eq!(ended, Some(Reason::TooMuchText));
        let long = b"RTSP/1.0 200 OK\r\nContent-Length: 999999999\r\n\r\n";
        assert_eq!(framing().push(long), Err(Reason::TooMuchText));
        let wrong = b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n";
        assert!(matches!(
            framing().push(wrong),
            Err(Reason::Protocol { .. })
        ));
    }

    #[test]
    fn web_server_is_waited_for() {
        for other in [
            "HTTP/1.1 400 Bad",
            "SSH-2.0-x\r\n",
            "\u{16}\u{3}\u{1}xx\u{0}",
        ] {
            assert_eq!(
                framing().push(other.as_bytes()),
                Err(Reason::NotRtsp),
                "{other}"
            );
        }
        assert!(
            framing()
                .push(b"SET_PARAMETER rtsp://x RTSP/1.0\r\n")
                .is_ok()
        );
    }

    #[test]
    fn camera_aims_our_packets_at_somebody_else() {
        let setup = "RTSP/1.0 200 OK\r\nTransport: RTP/AVP;unicast;client_port=1-2;\
                     source=10.9.9.9;server_port=5000-5001\r\n\r\n";
        let out = framing().push(setup.as_bytes()).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(
            !out.contains("10.9.9.9") && out.contains(";source=192.0.2.7\r\n"),
            "{out}"
        );
        let out = framing().push(setup.replace("5000-5001", "65535-0").as_bytes());
        assert!(
            !String::from_utf8(out.unwrap())
                .unwrap()
                .contains("server_port")
        );
    }
}
