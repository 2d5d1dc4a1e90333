//! One connection to a camera.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, Interval, interval_at};

use super::media::{Media, Reel};

/// Bytes of requests that wait to be understood.
const MAX_PENDING: usize = 16 * 1024;

/// Serves one who has connected until either side has enough.
pub(super) async fn serve(stream: TcpStream, media: Arc<Media>, count: u32) {
    let _ = stream.set_nodelay(true);
    let connection = Connection {
        stream,
        media,
        count,
        number: 0,
        pending: Vec::new(),
        streams: Vec::new(),
    };
    // Whoever watches has gone away.
    let _ = connection.run().await;
}

struct Connection {
    stream: TcpStream,
    media: Arc<Media>,
    /// Of all cameras.
    count: u32,
    /// Which camera it is, from 1.
    number: u32,
    pending: Vec<u8>,
    /// Those that were set up, in that order.
    streams: Vec<Stream>,
}

/// One stream on its way.
struct Stream {
    sound: bool,
    to: To,
    sequence: u16,
    timestamp: u32,
    next: usize,
}

/// How packets go.
enum To {
    /// Between messages, on this channel (RFC 2326 section 10.12).
    Channel(u8),
    /// By themselves.
    Port(UdpSocket),
}

impl Connection {
    async fn run(mut self) -> io::Result<()> {
        loop {
            let request = self.request().await?;
            let plays = request.starts_with("PLAY ");
            self.answer(&request).await?;
            if plays {
                return self.play().await;
            }
        }
    }

    /// The next whole request. May be dropped while it waits.
    async fn request(&mut self) -> io::Result<String> {
        let mut buffer = [0; 2048];
        loop {
            let end = self.pending.windows(4).position(|it| it == b"\r\n\r\n");
            if let Some(end) = end {
                let request: Vec<u8> = self.pending.drain(..end + 4).collect();
                return Ok(String::from_utf8_lossy(&request).into_owned());
            }
            match self.stream.read(&mut buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ if self.pending.len() > MAX_PENDING => {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                length => self.pending.extend_from_slice(&buffer[..length]),
            }
        }
    }

    async fn answer(&mut self, request: &str) -> io::Result<()> {
        let mut words = request.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let rest = match method {
            "DESCRIBE" => {
                self.number = number(target);
                let body = format!(
                    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=camera\r\nt=0 0\r\na=control:*\r\n{}",
                    self.media.description
                );
                let length = body.len();
                format!(
                    "Content-Base: {target}/\r\nContent-Type: application/sdp\r\n\
                     Content-Length: {length}\r\n\r\n{body}"
                )
            }
            "SETUP" => {
                let transport = self.set_up(target, header(request, "Transport")).await?;
                format!("Session: 12;timeout=60\r\nTransport: {transport}\r\n\r\n")
            }
            _ => "Session: 12\r\n\r\n".to_owned(),
        };
        let sequence = header(request, "CSeq");
        let answer = format!("RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n{rest}");
        self.stream.write_all(answer.as_bytes()).await
    }

    /// What is answered to a wanted transport.
    async fn set_up(&mut self, target: &str, wanted: &str) -> io::Result<String> {
        let parameter = |name: &str| {
            let mut each = wanted.split(';').filter_map(|it| it.split_once('='));
            let (_, range) = each.find(|(key, _)| *key == name)?;
            range.split('-').next()?.parse::<u16>().ok()
        };
        let (to, transport) = match parameter("client_port") {
            Some(port) => {
                let local = SocketAddr::new(self.stream.local_addr()?.ip(), 0);
                let socket = UdpSocket::bind(local).await?;
                let peer = SocketAddr::new(self.stream.peer_addr()?.ip(), port);
                socket.connect(peer).await?;
                let own = socket.local_addr()?.port();
                let next = own.wrapping_add(1);
                let transport = format!("{wanted};server_port={own}-{next}");
                (To::Port(socket), transport)
            }
            None => {
                let channel = parameter("interleaved").unwrap_or(0);
                (To::Channel(channel as u8), wanted.to_owned())
            }
        };
        self.streams.push(Stream {
            sound: target.ends_with("=1"),
            to,
            sequence: 0,
            timestamp: 0,
            next: 0,
        });
        Ok(transport)
    }

    /// Sends until whoever watches is gone. Each camera has its key frames at a time of its own.
    async fn play(mut self) -> io::Result<()> {
        let media = Arc::clone(&self.media);
        let each = media.pictures.frames.len();
        let phase = self.number % self.count.max(1);
        let shift = media.pictures.interval * phase / self.count.max(1);
        for stream in &mut self.streams {
            if !stream.sound {
                stream.next = each * phase as usize / self.count.max(1) as usize;
            }
        }
        let mut pictures = pace(media.pictures.interval, shift);
        let sound = media.sound.as_ref();
        let mut sounds = pace(
            sound.map_or(Duration::from_secs(1), |it| it.interval),
            shift,
        );
        loop {
            tokio::select! {
                request = self.request() => {
                    let request = request?;
                    self.answer(&request).await?;
                    if request.starts_with("TEARDOWN ") {
                        return Ok(());
                    }
                }
                _ = pictures.tick() => self.frame(false, Some(&media.pictures)).await?,
                _ = sounds.tick() => self.frame(true, sound).await?,
            }
        }
    }

    /// The next frame of pictures or of sound, packet after packet, as a camera sends it.
    async fn frame(&mut self, sound: bool, reel: Option<&Reel>) -> io::Result<()> {
        let stream = self.streams.iter_mut().find(|it| it.sound == sound);
        let Some((stream, reel)) = stream.zip(reel) else {
            return Ok(());
        };
        let frame = &reel.frames[stream.next % reel.frames.len()];
        let mut packet = Vec::with_capacity(1500);
        for (index, payload) in frame.iter().enumerate() {
            let marked = reel.marked && index + 1 == frame.len();
            packet.clear();
            if let To::Channel(channel) = stream.to {
                packet.extend([b'$', channel]);
                packet.extend((payload.len() as u16 + 12).to_be_bytes());
            }
            // RFC 3550 section 5.1.
            packet.extend([0x80, u8::from(marked) << 7 | reel.kind]);
            packet.extend(stream.sequence.to_be_bytes());
            packet.extend(stream.timestamp.to_be_bytes());
            packet.extend([0, 0, 0, 9 + u8::from(sound)]);
            packet.extend_from_slice(payload);
            stream.sequence = stream.sequence.wrapping_add(1);
            match &stream.to {
                To::Channel(_) => self.stream.write_all(&packet).await?,
                // Nobody listens yet, or not any more: the connection will say so.
                To::Port(socket) => drop(socket.send(&packet).await),
            }
        }
        stream.timestamp = stream.timestamp.wrapping_add(reel.ticks);
        stream.next += 1;
        Ok(())
    }
}

fn pace(interval: Duration, shift: Duration) -> Interval {
    interval_at(Instant::now() + shift, interval)
}

/// Which camera a request is about: `rtsp://HOST:PORT/NUMBER`.
fn number(target: &str) -> u32 {
    let last = target.trim_end_matches('/').rsplit('/').next();
    last.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Empty if there is none.
fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let mut lines = request.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map_or("", |(_, value)| value.trim())
}
