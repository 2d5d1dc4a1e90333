//! The camera.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use md5::{Digest as _, Md5};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use umbrella_media::nal::{Coding, Packetizer};

pub(super) const USER: &str = "admin";
pub(super) const PASSWORD: &str = "hunter2";

/// Full HD by one maker, 1280x720 by another.
pub(super) const SPS: &str = "674d00299a6403c0113f2cd404040500000303e80000ea6004";
pub(super) const SPS_720: &str = "674d001f95a814016e40";
pub(super) const PPS: &str = "68ee3c80";
const VPS_265: &str = "40010c01ffff01600000030000030000030000030096ac09";
const SPS_265: &str =
    "420101016000000300b0000003000003005aa0058201e1636b92452fcdc14181410000030001000003000ca1";
const PPS_265: &str = "4401c0f2c68d03b340";

const TONE: &[u8] = include_bytes!("../audio/tone-16000-mono.aac");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Video {
    /// Parameter sets in the description and before key frames.
    H264,
    InBandOnly,
    DescribedOnly,
    BFrames,
    H265,
    Jpeg,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audio {
    None,
    Aac,
    Pcmu,
    Opus,
    G726,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Auth {
    None,
    Basic,
    Md5,
    Sha256,
    Never,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Quirk {
    None,
    BadDescription,
    WrongBase,
    UnknownChannel,
    Rubbish,
    EndlessHeaders,
    SlowDrip,
    /// What is said of the description's length.
    Length(&'static str),
    Redirect(String),
    /// To `/moved` on the same host.
    Moved,
    /// Hangs up after so many pictures.
    Closes(usize),
    SilentAfterPlay,
    NeverAnswers,
    TimestampJumps,
    SequenceResets,
    Resizes,
    Oversized,
    OtherProtocol,
    Status(&'static str),
    ManyStreams,
    NoKeyFrames,
}

#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) video: Video,
    pub(super) audio: Audio,
    pub(super) auth: Auth,
    pub(super) quirk: Quirk,
}

impl Default for Script {
    fn default() -> Script {
        Script {
            video: Video::H264,
            audio: Audio::None,
            auth: Auth::None,
            quirk: Quirk::None,
        }
    }
}

/// What has happened to a camera.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) connections: AtomicUsize,
    pub(super) open: AtomicUsize,
    pub(super) requests: Mutex<Vec<String>>,
}

pub(super) struct Rig {
    pub(super) address: SocketAddr,
    pub(super) seen: Arc<Seen>,
    task: tokio::task::JoinHandle<()>,
}

impl Rig {
    pub(super) async fn start(script: Script) -> Rig {
        Rig::with_tls(script, None).await
    }

    pub(super) async fn with_tls(script: Script, tls: Option<tokio_rustls::TlsAcceptor>) -> Rig {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let own = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                own.connections.fetch_add(1, Ordering::Relaxed);
                own.open.fetch_add(1, Ordering::Relaxed);
                let (script, seen, tls) = (script.clone(), Arc::clone(&own), tls.clone());
                tokio::spawn(async move {
                    let cam = Cam::new(script, address, Arc::clone(&seen));
                    match tls {
                        None => cam.serve(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                cam.serve(stream).await;
                            }
                        }
                    }
                    seen.open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Rig {
            address,
            seen,
            task,
        }
    }

    /// With `USER:PASSWORD@`, or without.
    pub(super) fn url(&self, who: &str) -> String {
        format!("rtsp://{who}{}/live", self.address)
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    pub(super) fn open(&self) -> usize {
        self.seen.open.load(Ordering::Relaxed)
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Cam {
    script: Script,
    address: SocketAddr,
    seen: Arc<Seen>,
    /// Of each stream: the client's port, and ours.
    udp: Vec<(UdpSocket, u16)>,
    /// Where reports go.
    reports: Vec<UdpSocket>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str) -> Bytes {
    let text: String = text.chars().filter(|char| !char.is_whitespace()).collect();
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes(text))
}

impl Cam {
    fn new(script: Script, address: SocketAddr, seen: Arc<Seen>) -> Cam {
        Cam {
            script,
            address,
            seen,
            udp: Vec::new(),
            reports: Vec::new(),
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut self, mut stream: S) {
        let mut pending = Vec::new();
        loop {
            let Some(request) = read_request(&mut stream, &mut pending).await else {
                return;
            };
            let method = request.split(' ').next().unwrap().to_owned();
            self.seen.requests.lock().unwrap().push(request.clone());
            if self.misbehaves(&mut stream, &method).await {
                return;
            }
            let answer = self.answer(&method, &request).await;
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            if method == "PLAY" && answer.starts_with("RTSP/1.0 200") {
                self.play(&mut stream).await;
                return;
            }
        }
    }

    /// Whether the connection is over with that.
    async fn misbehaves(&self, stream: &mut (impl AsyncWrite + Unpin), method: &str) -> bool {
        match &self.script.quirk {
            Quirk::NeverAnswers => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                true
            }
            Quirk::OtherProtocol => {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                true
            }
            Quirk::EndlessHeaders => {
                let _ = stream.write_all(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n").await;
                while stream
                    .write_all(b"X-Again: and again and again\r\n")
                    .await
                    .is_ok()
                {}
                true
            }
            Quirk::SlowDrip => {
                for byte in b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nServer: one byte at a time"
                    .iter()
                    .cycle()
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    if stream.write_all(&[*byte]).await.is_err() {
                        break;
                    }
                }
                true
            }
            Quirk::Rubbish if method == "PLAY" => {
                let _ = stream.write_all(&[b'x'; 100]).await;
                true
            }
            _ => false,
        }
    }

    async fn answer(&mut self, method: &str, request: &str) -> String {
        let header = |name: &str| {
            let mut lines = request.lines().filter_map(|line| line.split_once(": "));
            lines
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.to_owned())
        };
        let sequence = header("CSeq").unwrap();
        let say = |status: &str, rest: &str| {
            format!("RTSP/1.0 {status}\r\nCSeq: {sequence}\r\n{rest}\r\n")
        };
        let target = request.split(' ').nth(1).unwrap();
        match &self.script.quirk {
            Quirk::Status(status) => return say(status, ""),
            Quirk::Redirect(to) => return say("302 Found", &format!("Location: {to}\r\n")),
            Quirk::Moved if method == "DESCRIBE" && !target.contains("/moved") => {
                let to = format!("Location: rtsp://{}/moved\r\n", self.address);
                return say("302 Found", &to);
            }
            _ => {}
        }
        if !self
            .script
            .auth
            .allows(method, header("Authorization").as_deref())
        {
            let how = match self.script.auth {
                Auth::Basic => "Basic realm=\"cam\"".to_owned(),
                Auth::Sha256 => {
                    "Digest realm=\"cam\", qop=\"auth\", algorithm=SHA-256, nonce=\"abc\""
                        .to_owned()
                }
                Auth::Md5 | Auth::Never | Auth::None => {
                    "Digest realm=\"cam\", nonce=\"abc\"".to_owned()
                }
            };
            return say("401 Unauthorized", &format!("WWW-Authenticate: {how}\r\n"));
        }
        match method {
            "DESCRIBE" => {
                let description = self.description();
                let length = match self.script.quirk {
                    Quirk::Length(length) => length.to_owned(),
                    _ => description.len().to_string(),
                };
                let base = match self.script.quirk {
                    Quirk::WrongBase => "rtsp://192.0.2.99:1/elsewhere/".to_owned(),
                    _ => format!("rtsp://{}/live/", self.address),
                };
                let head = format!(
                    "Content-Base: {base}\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n"
                );
                say("200 OK", &head) + &description
            }
            "SETUP" => {
                let transport = self.transport(header("Transport").unwrap()).await;
                let rest = format!("Session: 12;timeout=60\r\nTransport: {transport}\r\n");
                say("200 OK", &rest)
            }
            _ => say(
                "200 OK",
                "Session: 12\r\nRTP-Info: url=rubbish;seq=1;rtptime=77\r\n",
            ),
        }
    }

    /// What is answered to a wanted transport.
    async fn transport(&mut self, wanted: String) -> String {
        let Some((_, ports)) = wanted.split_once("client_port=") else {
            return wanted;
        };
        let client: u16 = ports.split('-').next().unwrap().parse().unwrap();
        let (socket, reports) = udp_pair().await;
        let own = socket.local_addr().unwrap().port();
        self.reports.push(reports);
        self.udp.push((socket, client));
        // Packets must come from the camera, whatever it says.
        format!("{wanted};source=192.0.2.99;server_port={own}-{}", own + 1)
    }

    fn description(&self) -> String {
        if self.script.quirk == Quirk::BadDescription {
            return "v=0\r\nm=what is this\u{0}\r\n".to_owned();
        }
        let mut text =
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=cam\r\nt=0 0\r\na=control:*\r\n".to_owned();
        let sets = format!(";sprop-parameter-sets={},{}", base64(SPS), base64(PPS));
        let h264 = |sets: &str| {
            format!(
                "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1{sets}\r\na=control:trackID=0\r\n"
            )
        };
        text += &match self.script.video {
            Video::H264 | Video::DescribedOnly | Video::BFrames => h264(&sets),
            Video::InBandOnly => h264(""),
            Video::H265 => {
                "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=control:trackID=0\r\n"
                    .to_owned()
            }
            Video::Jpeg => "m=video 0 RTP/AVP 26\r\na=control:trackID=0\r\n".to_owned(),
            Video::None => String::new(),
        };
        text += match self.script.audio {
            Audio::None => "",
            Audio::Aac => {
                "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000/1\r\na=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1408\r\na=control:trackID=1\r\n"
            }
            Audio::Pcmu => "m=audio 0 RTP/AVP 0\r\na=control:trackID=1\r\n",
            Audio::Opus => {
                "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\na=control:trackID=1\r\n"
            }
            Audio::G726 => {
                "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 G726-32/8000\r\na=control:trackID=1\r\n"
            }
        };
        if self.script.quirk == Quirk::ManyStreams {
            text += &"m=application 0 RTP/AVP 98\r\na=rtpmap:98 vnd.onvif.metadata/90000\r\na=control:trackID=9\r\n".repeat(100);
        }
        text
    }

    async fn play<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut S) {
        if self.script.quirk == Quirk::SilentAfterPlay {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return;
        }
        let coding = match self.script.video {
            Video::H265 => Coding::H265,
            _ => Coding::H264,
        };
        let mut sender = Sender::new(coding);
        let mut ticker = tokio::time::interval(Duration::from_millis(5));
        let mut buffer = [0; 512];
        for picture in 0usize.. {
            tokio::select! {
                read = stream.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => return,
                    // A TEARDOWN, for instance: hang up.
                    Ok(_) => return,
                },
                _ = ticker.tick() => {}
            }
            if self.script.quirk == Quirk::Closes(picture) {
                return;
            }
            if self.script.quirk == Quirk::UnknownChannel {
                let mut packet = vec![b'$', 77, 0, 9];
                packet.extend([b'$'; 9]);
                let _ = stream.write_all(&packet).await;
            }
            if self.script.quirk == Quirk::SequenceResets && picture == 20 {
                sender.sequences = [40_000; 2];
            }
            sender.timestamp = sender.timestamp.wrapping_add(3600);
            if self.script.quirk == Quirk::TimestampJumps && picture % 7 == 6 {
                sender.timestamp = sender.timestamp.wrapping_sub(1_000_000_000);
            }
            let mut packets = sender.picture(&self.picture(picture));
            packets.extend(self.sound(picture, &mut sender));
            for (track, packet) in packets {
                if !self.send(stream, track, &packet).await {
                    return;
                }
            }
        }
    }

    async fn send(
        &self,
        stream: &mut (impl AsyncWrite + Unpin),
        track: usize,
        packet: &[u8],
    ) -> bool {
        if let Some((socket, port)) = self.udp.get(track) {
            return socket.send_to(packet, ("127.0.0.1", *port)).await.is_ok();
        }
        let mut framed = vec![b'$', 2 * track as u8];
        framed.extend((packet.len() as u16).to_be_bytes());
        framed.extend(packet);
        stream.write_all(&framed).await.is_ok()
    }

    /// A key frame first and then each tenth.
    fn picture(&self, index: usize) -> Vec<Bytes> {
        let slice = |header: &[u8], first: u8, len: usize| {
            let mut unit = header.to_vec();
            unit.push(first);
            unit.resize(len, 0x55);
            Bytes::from(unit)
        };
        let key = index.is_multiple_of(10) && self.script.quirk != Quirk::NoKeyFrames;
        if self.script.quirk == Quirk::Oversized && index == 1 {
            return vec![slice(&[0x41], 0xc0, 9 << 20)];
        }
        let sps = match self.script.quirk {
            Quirk::Resizes if index >= 20 => SPS_720,
            _ => SPS,
        };
        match self.script.video {
            Video::H265 if key => vec![
                bytes(VPS_265),
                bytes(SPS_265),
                bytes(PPS_265),
                slice(&[38, 1], 0x80, 9000),
            ],
            Video::H265 => vec![slice(&[2, 1], 0xd0, 300)],
            Video::DescribedOnly if key => vec![slice(&[0x65], 0x88, 9000)],
            _ if key => vec![bytes(sps), bytes(PPS), slice(&[0x65], 0x88, 9000)],
            Video::BFrames if index % 3 == 2 => vec![slice(&[0x01], 0xa0, 300)],
            _ => vec![slice(&[0x41], 0xc0, 300)],
        }
    }

    /// As much as belongs to 40 ms, more or less.
    fn sound(&self, index: usize, sender: &mut Sender) -> Vec<(usize, Vec<u8>)> {
        let (step, payload) = match self.script.audio {
            Audio::None | Audio::G726 => return Vec::new(),
            Audio::Pcmu => (320, vec![0xd5; 320]),
            Audio::Opus => (1920, vec![0xfc, 1, 2, 3]),
            Audio::Aac => (1024, aac_packet(index)),
        };
        let packet = sender.packet(1, sender.sound, true, &payload);
        sender.sound = sender.sound.wrapping_add(step);
        vec![(1, packet)]
    }
}

fn aac_packet(index: usize) -> Vec<u8> {
    let units = adts(TONE);
    let unit = units[index % units.len()];
    let mut payload = vec![0, 16];
    payload.extend(((unit.len() as u16) << 3).to_be_bytes());
    payload.extend(unit);
    payload
}

/// The access units of a file.
pub(super) fn adts(mut file: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    while file.len() > 7 {
        let length =
            usize::from(file[3] & 3) << 11 | usize::from(file[4]) << 3 | usize::from(file[5] >> 5);
        units.push(&file[7..length]);
        file = &file[length..];
    }
    units
}

struct Sender {
    packetizer: Packetizer,
    sequences: [u16; 2],
    timestamp: u32,
    sound: u32,
}

impl Sender {
    fn new(coding: Coding) -> Sender {
        Sender {
            // What browsers do not get through every network.
            packetizer: Packetizer::new(coding, 1400),
            sequences: [65_500; 2],
            timestamp: 0xffff_0000,
            sound: 5,
        }
    }

    fn picture(&mut self, units: &[Bytes]) -> Vec<(usize, Vec<u8>)> {
        // Made anew, so that it adds nothing that it remembers.
        let payloads = self.packetizer.clone().packetize(units);
        let last = payloads.len() - 1;
        let each = payloads.iter().enumerate();
        each.map(|(index, payload)| (0, self.packet(0, self.timestamp, index == last, payload)))
            .collect()
    }

    fn packet(&mut self, track: usize, timestamp: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
        let sequence = self.sequences[track];
        self.sequences[track] = sequence.wrapping_add(1);
        let mut packet = vec![0x80, u8::from(marker) << 7 | (96 + track as u8)];
        packet.extend(sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend([0, 0, 0, 9 + track as u8]);
        packet.extend(payload);
        packet
    }
}

async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    pending: &mut Vec<u8>,
) -> Option<String> {
    let mut buffer = [0; 2048];
    loop {
        if let Some(end) = pending.windows(4).position(|window| window == b"\r\n\r\n") {
            let request: Vec<u8> = pending.drain(..end + 4).collect();
            return String::from_utf8(request).ok();
        }
        match stream.read(&mut buffer).await {
            Ok(length @ 1..) => pending.extend(&buffer[..length]),
            Ok(0) | Err(_) => return None,
        }
    }
}

impl Auth {
    fn allows(self, method: &str, authorization: Option<&str>) -> bool {
        let hash = |text: String| match self {
            Auth::Sha256 => {
                hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()).as_ref())
            }
            _ => hex(&Md5::digest(text)),
        };
        match (self, authorization) {
            (Auth::None, _) => true,
            (Auth::Never, _) | (_, None) => false,
            (Auth::Basic, Some(given)) => {
                use base64::Engine as _;
                let pair = format!("{USER}:{PASSWORD}");
                given
                    == format!(
                        "Basic {}",
                        base64::engine::general_purpose::STANDARD.encode(pair)
                    )
            }
            (Auth::Md5 | Auth::Sha256, Some(given)) => {
                let field = |name: &str| {
                    let mut fields = given.trim_start_matches("Digest ").split(", ");
                    let found = fields.find_map(|field| field.strip_prefix(&format!("{name}=")));
                    found.unwrap_or_default().trim_matches('"').to_owned()
                };
                let secret = hash(format!("{USER}:cam:{PASSWORD}"));
                let request = hash(format!("{method}:{}", field("uri")));
                let middle = match field("qop").as_str() {
                    "" => field("nonce"),
                    qop => format!(
                        "{}:{}:{}:{qop}",
                        field("nonce"),
                        field("nc"),
                        field("cnonce")
                    ),
                };
                field("response") == hash(format!("{secret}:{middle}:{request}"))
            }
        }
    }
}

/// Two ports in a row.
async fn udp_pair() -> (UdpSocket, UdpSocket) {
    loop {
        let first = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        if let Some(next) = port.checked_add(1)
            && let Ok(second) = UdpSocket::bind(("127.0.0.1", next)).await
        {
            return (first, second);
        }
    }
}
