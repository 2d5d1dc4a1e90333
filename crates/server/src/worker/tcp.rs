//! ICE-TCP (RFC 6544): connections of clients whose network blocks UDP (we are passive), and to
//! other servers where that is so (we are active), with frames of RFC 4571.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use umbrella_engine::{ACTIVE_TCP_PORT, Path, Protocol};

use super::TcpLimits;
use super::framing::{self, FrameTooLong, Frames};

/// A connection that has not begun with a STUN message by then is closed.
const FIRST_FRAME: Duration = Duration::from_secs(10);

/// A connection on which nothing arrives for so long is closed: ICE consent checks (RFC 7675)
/// come every few seconds.
const IDLE: Duration = Duration::from_secs(60);

/// Connections to other servers at a time, and attempts to make one within so long. The engine asks
/// for them only on behalf of links that the operator has entered, and asks again and again.
const DIALS: usize = 8;
const DIAL_WINDOW: Duration = Duration::from_secs(10);

/// Bytes that wait for a slow peer. What comes when it is full is dropped, frame by frame, as a
/// full link would drop datagrams.
const WRITE_BUFFER: usize = 256 * 1024;

/// Reads of one connection before others have their turn.
const READ_BUDGET: usize = 8;

/// RFC 8489, section 5.
const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// All connections of a worker.
#[derive(Debug)]
pub(super) struct Connections {
    limits: TcpLimits,
    by_token: HashMap<Token, Connection>,
    by_path: HashMap<(SocketAddr, SocketAddr), Token>,
    by_address: HashMap<IpAddr, usize>,
    next: usize,
    /// When connections to other servers were tried lately, the oldest first.
    dials: VecDeque<Instant>,
    scratch: Vec<u8>,
    /// Frames for peers that do not read.
    pub(super) dropped: u64,
    /// Connections that were one too many.
    pub(super) refused: u64,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    path: Path,
    incoming: Frames,
    /// What waits to be written.
    outgoing: Vec<u8>,
    written: usize,
    trust: Trust,
}

/// Whether a connection has shown what it is.
#[derive(Debug, Clone, Copy)]
enum Trust {
    /// Not yet; closed at this time.
    Unproven { until: Instant },
    /// It has sent a STUN message first.
    Ice { heard: Instant },
}

/// Whether a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Everything that was there was read.
    Drained,
    /// There may be more to read.
    More,
    /// It is over.
    Over,
}

impl Connections {
    /// `first` is the token of the first connection.
    pub(super) fn new(limits: TcpLimits, first: Token) -> Connections {
        Connections {
            limits,
            by_token: HashMap::new(),
            by_path: HashMap::new(),
            by_address: HashMap::new(),
            next: first.0,
            dials: VecDeque::new(),
            scratch: vec![0; 16 * 1024],
            dropped: 0,
            refused: 0,
        }
    }

    /// Accepts what waits, within the limits.
    pub(super) fn accept(&mut self, now: Instant, listener: &TcpListener, registry: &Registry) {
        loop {
            match listener.accept() {
                Ok((stream, remote)) => {
                    if let Err(error) = self.add(now, stream, remote, registry) {
                        tracing::debug!(%error, "cannot use an accepted connection");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        tracing::warn!(%error, "cannot accept connections for media");
                    }
                    return;
                }
            }
        }
    }

    fn add(
        &mut self,
        now: Instant,
        stream: TcpStream,
        remote: SocketAddr,
        registry: &Registry,
    ) -> io::Result<()> {
        let of_address = self.by_address.get(&remote.ip()).copied().unwrap_or(0);
        if self.by_token.len() >= self.limits.connections || of_address >= self.limits.per_address {
            // Dropping closes it.
            self.refused += 1;
            return Ok(());
        }
        let path = Path {
            protocol: Protocol::Tcp,
            local: stream.local_addr()?,
            remote,
        };
        self.keep(now, stream, path, registry)?;
        Ok(())
    }

    /// Begins a connection to another server, if it may be; what is to be sent waits for it.
    fn dial(&mut self, now: Instant, path: Path, registry: &Registry) -> Option<Token> {
        if path.local.port() != ACTIVE_TCP_PORT {
            return None; // the peer has gone, and it was the one who connected
        }
        let old = |at: &Instant| now.saturating_duration_since(*at) >= DIAL_WINDOW;
        while self.dials.front().is_some_and(old) {
            self.dials.pop_front();
        }
        if self.dials.len() >= DIALS {
            return None;
        }
        let dialled = |it: &&Connection| it.path.local.port() == ACTIVE_TCP_PORT;
        if self.by_token.values().filter(dialled).count() >= DIALS {
            return None;
        }
        self.dials.push_back(now);
        let stream = TcpStream::connect(path.remote);
        match stream.and_then(|stream| self.keep(now, stream, path, registry)) {
            Ok(token) => Some(token),
            Err(error) => {
                tracing::debug!(%error, remote = %path.remote, "cannot connect for media");
                None
            }
        }
    }

    fn keep(
        &mut self,
        now: Instant,
        mut stream: TcpStream,
        path: Path,
        registry: &Registry,
    ) -> io::Result<Token> {
        stream.set_nodelay(true)?;
        let Path { local, remote, .. } = path;
        let token = Token(self.next);
        self.next += 1;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let connection = Connection {
            stream,
            path,
            incoming: Frames::default(),
            outgoing: Vec::new(),
            written: 0,
            trust: Trust::Unproven {
                until: now + FIRST_FRAME,
            },
        };
        self.by_token.insert(token, connection);
        self.by_path.insert((local, remote), token);
        *self.by_address.entry(remote.ip()).or_default() += 1;
        Ok(token)
    }

    /// Reads a connection and hands over its frames.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        token: Token,
        mut each: impl FnMut(Path, &[u8]),
    ) -> Progress {
        let Some(connection) = self.by_token.get_mut(&token) else {
            return Progress::Over;
        };
        let progress = connection.receive(now, &mut self.scratch, &mut each);
        if progress == Progress::Over {
            self.close(token);
        }
        progress
    }

    /// Writes what waits for a connection.
    pub(super) fn writable(&mut self, token: Token) {
        let Some(connection) = self.by_token.get_mut(&token) else {
            return;
        };
        if connection.flush().is_err() {
            self.close(token);
        }
    }

    /// Sends one frame; over a connection that is made for it, if the engine says so by the path.
    pub(super) fn send(&mut self, now: Instant, path: Path, data: &[u8], registry: &Registry) {
        let known = self.by_path.get(&(path.local, path.remote)).copied();
        let Some(token) = known.or_else(|| self.dial(now, path, registry)) else {
            return;
        };
        let Some(connection) = self.by_token.get_mut(&token) else {
            return;
        };
        match connection.send(data) {
            Ok(taken) => self.dropped += u64::from(!taken),
            Err(_) => self.close(token),
        }
    }

    /// Closes what has been silent for too long. Called now and then: a scan.
    pub(super) fn sweep(&mut self, now: Instant) {
        let over: Vec<Token> = self
            .by_token
            .iter()
            .filter(|(_, connection)| connection.is_over(now))
            .map(|(token, _)| *token)
            .collect();
        for token in over {
            self.close(token);
        }
    }

    fn close(&mut self, token: Token) {
        let Some(connection) = self.by_token.remove(&token) else {
            return;
        };
        let Path { local, remote, .. } = connection.path;
        self.by_path.remove(&(local, remote));
        if let Some(count) = self.by_address.get_mut(&remote.ip()) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&remote.ip());
            }
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.by_token.len()
    }
}

impl Connection {
    fn receive(
        &mut self,
        now: Instant,
        scratch: &mut [u8],
        each: &mut impl FnMut(Path, &[u8]),
    ) -> Progress {
        for _ in 0..READ_BUDGET {
            match self.stream.read(scratch) {
                Ok(0) => return Progress::Over,
                Ok(count) => {
                    self.incoming.push(&scratch[..count]);
                    if !self.take_frames(now, each) {
                        return Progress::Over;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Progress::Drained;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Progress::Over,
            }
        }
        Progress::More
    }

    /// False when the peer does not speak ICE.
    fn take_frames(&mut self, now: Instant, each: &mut impl FnMut(Path, &[u8])) -> bool {
        loop {
            let frame = match self.incoming.take() {
                Ok(Some(frame)) => frame,
                Ok(None) => return true,
                Err(FrameTooLong) => return false,
            };
            if matches!(self.trust, Trust::Unproven { .. }) && !is_stun(frame) {
                return false;
            }
            self.trust = Trust::Ice { heard: now };
            if !frame.is_empty() {
                each(self.path, frame);
            }
        }
    }

    /// False if there is no room for it.
    fn send(&mut self, data: &[u8]) -> io::Result<bool> {
        let waiting = self.outgoing.len() - self.written;
        if waiting + 2 + data.len() > WRITE_BUFFER || !framing::put(&mut self.outgoing, data) {
            return Ok(false);
        }
        self.flush()?;
        Ok(true)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.written < self.outgoing.len() {
            match self.stream.write(&self.outgoing[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The handshake of a connection that was accepted, or begun, a moment ago.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => break,
                Err(error) => return Err(error),
            }
        }
        // Moving what is left costs less than letting the buffer grow.
        if self.written == self.outgoing.len() || self.written > WRITE_BUFFER / 2 {
            self.outgoing.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }

    fn is_over(&self, now: Instant) -> bool {
        match self.trust {
            Trust::Unproven { until } => until <= now,
            Trust::Ice { heard } => heard + IDLE <= now,
        }
    }
}

/// RFC 7983 and RFC 8489: the first byte is 0 to 3, and the cookie is in its place.
fn is_stun(frame: &[u8]) -> bool {
    frame.len() >= 20 && frame[0] <= 3 && frame[4..8] == STUN_COOKIE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stun() -> Vec<u8> {
        let mut frame = vec![0, 20, 0, 1, 0, 0];
        frame.extend_from_slice(&STUN_COOKIE);
        frame.extend_from_slice(&[7; 12]);
        frame
    }

    struct Rig {
        poll: mio::Poll,
        listener: TcpListener,
        connections: Connections,
    }

    fn rig(limits: TcpLimits) -> Rig {
        let poll = mio::Poll::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Rig {
            poll,
            listener,
            connections: Connections::new(limits, Token(10)),
        }
    }

    const ROOMY: TcpLimits = TcpLimits {
        connections: 10,
        per_address: 10,
    };

    impl Rig {
        fn connect(&mut self, now: Instant) -> (std::net::TcpStream, Token) {
            let address = self.listener.local_addr().unwrap();
            let stream = std::net::TcpStream::connect(address).unwrap();
            let token = Token(self.connections.next);
            self.connections
                .accept(now, &self.listener, self.poll.registry());
            (stream, token)
        }

        fn send(&mut self, now: Instant, path: Path, data: &[u8]) {
            let registry = self.poll.registry();
            self.connections.send(now, path, data, registry);
        }

        /// Reads until `count` frames are there or the connection is over.
        fn frames(&mut self, now: Instant, token: Token, count: usize) -> (Vec<Vec<u8>>, Progress) {
            let mut frames = Vec::new();
            loop {
                let progress = self
                    .connections
                    .receive(now, token, |_, frame| frames.push(frame.to_vec()));
                if progress == Progress::Over || frames.len() >= count {
                    return (frames, progress);
                }
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn frames_cut_anywhere_arrive_whole() {
        let (mut rig, now) = (rig(ROOMY), Instant::now());
        let (mut peer, token) = rig.connect(now);
        let mut bytes = stun();
        bytes.extend_from_slice(&[0, 3, 20, 1, 2]);
        bytes.extend_from_slice(&[0, 1, 128]);
        let mut seen = Vec::new();
        for byte in bytes {
            peer.write_all(&[byte]).unwrap();
            let progress = rig
                .connections
                .receive(now, token, |_, frame| seen.push(frame.to_vec()));
            assert_ne!(progress, Progress::Over);
        }
        let (rest, _) = rig.frames(now, token, 3 - seen.len());
        seen.extend(rest);
        assert_eq!(seen, [stun()[2..].to_vec(), vec![20, 1, 2], vec![128]]);
    }

    #[test]
    fn peer_that_does_not_begin_with_stun_is_closed() {
        let (mut rig, now) = (rig(ROOMY), Instant::now());
        let (mut peer, token) = rig.connect(now);
        peer.write_all(b"\0\x10GET / HTTP/1.1\r\n").unwrap();
        let (frames, progress) = rig.frames(now, token, 1);
        assert!(frames.is_empty());
        assert_eq!(progress, Progress::Over);
        assert_eq!(rig.connections.len(), 0);
    }

    #[test]
    fn silent_peers_do_not_stay() {
        let (mut rig, now) = (rig(ROOMY), Instant::now());
        let (_silent, _) = rig.connect(now);
        let (mut peer, token) = rig.connect(now);
        peer.write_all(&stun()).unwrap();
        rig.frames(now, token, 1);
        rig.connections.sweep(now + FIRST_FRAME);
        assert_eq!(rig.connections.len(), 1);
        rig.connections.sweep(now + IDLE);
        assert_eq!(rig.connections.len(), 0);
        assert!(rig.connections.by_address.is_empty() && rig.connections.by_path.is_empty());
    }

    #[test]
    fn servers_that_do_not_answer_are_called_without_end() {
        let (mut rig, now) = (rig(ROOMY), Instant::now());
        let path = |port: u16, remote: SocketAddr| Path {
            protocol: Protocol::Tcp,
            local: SocketAddr::from(([127, 0, 0, 1], port)),
            remote,
        };
        // Only the engine's own mark makes us call anybody.
        let there = rig.listener.local_addr().unwrap();
        rig.send(now, path(40_000, there), &stun()[2..]);
        assert_eq!(rig.connections.len(), 0);
        let nobody = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        for port in 1..100 {
            rig.send(now, path(ACTIVE_TCP_PORT, nobody(port)), &stun()[2..]);
        }
        assert_eq!(rig.connections.dials.len(), DIALS);
        rig.connections.sweep(now + FIRST_FRAME);
        assert_eq!(rig.connections.len(), 0);
        // One that is there is reached, later.
        let later = now + DIAL_WINDOW;
        rig.send(later, path(ACTIVE_TCP_PORT, there), &stun()[2..]);
        assert_eq!(rig.connections.len(), 1);
        let (mut stream, _) = loop {
            match rig.listener.accept() {
                Ok(accepted) => break accepted,
                Err(_) => std::thread::yield_now(),
            }
        };
        let token = Token(rig.connections.next - 1);
        let mut got = Vec::new();
        while got.len() < stun().len() {
            rig.connections.writable(token);
            let mut some = [0; 64];
            if let Ok(count) = stream.read(&mut some) {
                got.extend_from_slice(&some[..count]);
            }
        }
        assert_eq!(got, stun());
    }

    #[test]
    fn one_address_cannot_take_all_connections() {
        let limits = TcpLimits {
            connections: 10,
            per_address: 2,
        };
        let (mut rig, now) = (rig(limits), Instant::now());
        let _peers: Vec<_> = (0..5).map(|_| rig.connect(now)).collect();
        assert_eq!((rig.connections.len(), rig.connections.refused), (2, 3));
    }

    #[test]
    fn peer_that_does_not_read_costs_bounded_memory() {
        let (mut rig, now) = (rig(ROOMY), Instant::now());
        let (mut peer, token) = rig.connect(now);
        peer.write_all(&stun()).unwrap();
        rig.frames(now, token, 1);
        let path = rig.connections.by_token[&token].path;
        for _ in 0..20_000 {
            rig.send(now, path, &[9; 1200]);
        }
        let connection = &rig.connections.by_token[&token];
        assert!(connection.outgoing.len() <= 2 * WRITE_BUFFER);
        assert!(rig.connections.dropped > 10_000, "nobody would know");
        // What it reads in the end is still a sequence of whole frames.
        let mut head = [0; 2 + 1200 + 2];
        peer.read_exact(&mut head).unwrap();
        assert_eq!(head[..3], [4, 176, 9]);
        assert_eq!(head[1202..], [4, 176]);
    }

    #[test]
    fn peer_that_does_not_read_holds_up_the_others() {
        let (mut rig, now) = (rig(ROOMY), Instant::now());
        let mut peers: Vec<_> = (0..2).map(|_| rig.connect(now)).collect();
        for (peer, token) in &mut peers {
            peer.write_all(&stun()).unwrap();
            rig.frames(now, *token, 1);
        }
        let paths = [0, 1].map(|index: usize| rig.connections.by_token[&peers[index].1].path);
        // The first one never reads; the second one gets all of its own, each in its turn.
        let mut frame = [0; 2 + 1200];
        for round in 0..5000u16 {
            rig.send(now, paths[0], &[9; 1200]);
            rig.send(now, paths[1], &[round as u8; 1200]);
            peers[1].0.read_exact(&mut frame).unwrap();
            assert_eq!((frame[2], frame[1201]), (round as u8, round as u8));
        }
        let waiting = |token: Token| rig.connections.by_token[&token].outgoing.len();
        assert!(waiting(peers[0].1) <= 2 * WRITE_BUFFER);
        assert_eq!(waiting(peers[1].1), 0);
    }
}
