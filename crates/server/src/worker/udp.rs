//! Datagrams in and out, in batches where the kernel can.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::net::UdpSocket;
use nix::errno::Errno;
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use umbrella_engine::{Path, Protocol, Transmit};

use super::batch::Batch;

/// Largest datagram or coalesced run of datagrams (GRO) that one read yields.
const BUFFER: usize = 64 * 1024;

/// The kernel's time of arrival is believed when it is not longer ago than this: the time of day
/// may have been set meanwhile.
const OLDEST: Duration = Duration::from_secs(1);

/// One UDP socket on a wildcard address.
pub(super) struct Udp {
    pub(super) socket: UdpSocket,
    state: UdpSocketState,
    batch: Batch,
    port: u16,
    /// The kernel's buffer was full: datagrams lost here.
    pub(super) dropped: u64,
}

/// A datagram that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Datagram<'a> {
    pub(super) path: Path,
    pub(super) data: &'a [u8],
    /// When the batch was read.
    pub(super) now: Instant,
    /// When the kernel got it: the thread may have been waiting for a processor since.
    pub(super) arrived: Instant,
}

/// Buffers for one batched read. The pages of unused ones are never touched.
pub(super) struct Buffers {
    bytes: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
}

impl Buffers {
    pub(super) fn new() -> Buffers {
        Buffers {
            bytes: vec![0; BUFFER * BATCH_SIZE],
            meta: [RecvMeta::default(); BATCH_SIZE],
        }
    }
}

impl Udp {
    pub(super) fn new(socket: std::net::UdpSocket, port: u16) -> io::Result<Udp> {
        let state = UdpSocketState::new((&socket).into())?;
        let v6 = socket.local_addr()?.is_ipv6();
        Ok(Udp {
            socket: UdpSocket::from_std(socket),
            state,
            batch: Batch::new(v6),
            port,
            dropped: 0,
        })
    }

    /// Reads one batch and hands over its datagrams; false when there is nothing to read.
    pub(super) fn receive(
        &self,
        buffers: &mut Buffers,
        mut each: impl FnMut(Datagram<'_>),
    ) -> io::Result<bool> {
        let Buffers { bytes, meta } = buffers;
        let mut chunks = bytes.chunks_mut(BUFFER);
        let mut slices: [_; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let count = match self.state.recv((&self.socket).into(), &mut slices, meta) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if is_passing(&error) => return Ok(true),
            Err(error) => return Err(error),
        };
        let clock = Clock::read();
        for (meta, buffer) in meta.iter().zip(&slices).take(count) {
            let Some(local) = meta.dst_ip else { continue };
            let path = Path {
                protocol: Protocol::Udp,
                local: SocketAddr::new(local, self.port),
                remote: meta.addr,
            };
            let arrived = clock.instant(meta.timestamp);
            for data in buffer[..meta.len].chunks(meta.stride.max(1)) {
                each(Datagram {
                    path,
                    data,
                    now: clock.now,
                    arrived,
                });
            }
        }
        Ok(true)
    }

    /// Sends all. What the kernel has no room for is lost, as it would be on any full link: media
    /// is resent on request.
    pub(super) fn send<'a>(&mut self, transmits: impl Iterator<Item = Transmit<'a>>) {
        let Udp {
            socket,
            state,
            batch,
            dropped,
            ..
        } = self;
        let fd = socket.as_raw_fd();
        batch.send(fd, transmits, |transmit, error| {
            *dropped += match matches!(error, Errno::EAGAIN | Errno::ENOBUFS) {
                true => transmit.datagrams().len() as u64,
                // Networks come and go: the peer's ICE finds out. But there are network cards
                // that refuse nothing but segments.
                false => send_one_by_one(socket, state, transmit),
            };
        });
    }
}

/// Sends the datagrams of a run in whatever pieces the kernel takes; says how many it does not.
fn send_one_by_one(socket: &UdpSocket, state: &UdpSocketState, transmit: &Transmit<'_>) -> u64 {
    let mut dropped = 0;
    for contents in transmit.datagrams() {
        let sent = state.try_send(
            socket.into(),
            &quinn_udp::Transmit {
                destination: transmit.path.remote,
                ecn: None,
                contents,
                segment_size: None,
                src_ip: Some(transmit.path.local.ip()),
            },
        );
        if let Err(error) = sent {
            dropped += 1;
            tracing::debug!(%error, remote = %transmit.path.remote, "cannot send");
        }
    }
    dropped
}

/// One moment on both clocks: the kernel stamps datagrams with the time of day.
struct Clock {
    now: Instant,
    time_of_day: Duration,
}

impl Clock {
    fn read() -> Clock {
        let now = Instant::now();
        let time_of_day = SystemTime::now().duration_since(UNIX_EPOCH);
        Clock {
            now,
            time_of_day: time_of_day.unwrap_or_default(),
        }
    }

    /// When something with a time stamp of the kernel's arrived; now, if there is no sense in it.
    fn instant(&self, stamp: Option<Duration>) -> Instant {
        stamp
            .and_then(|stamp| self.time_of_day.checked_sub(stamp))
            .filter(|ago| *ago <= OLDEST)
            .and_then(|ago| self.now.checked_sub(ago))
            .unwrap_or(self.now)
    }
}

/// What a read reports of datagrams sent before, or of an interruption.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_the_clock_makes_datagrams_arrive_in_another_year() {
        let clock = Clock {
            now: Instant::now(),
            time_of_day: Duration::from_secs(1_000_000),
        };
        let ago = |stamp: Duration| clock.now - clock.instant(Some(stamp));
        let ms = Duration::from_millis;
        assert_eq!(ago(ms(999_999_980)), ms(20));
        assert_eq!(ago(ms(1_000_000_020)), ms(0));
        assert_eq!(ago(ms(900_000_000)), ms(0));
        assert_eq!(clock.instant(None), clock.now);
    }

    #[test]
    fn late_thread_takes_its_own_lateness_for_the_networks() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let udp = Udp::new(socket, address.port()).unwrap();
        let from = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut arrivals = Vec::new();
        // The kernel begins to stamp a moment after it was asked to: the first one may be unstamped.
        for _ in 0..3 {
            from.send_to(b"datagram", address).unwrap();
            std::thread::sleep(Duration::from_millis(30));
        }
        let mut buffers = Buffers::new();
        while udp
            .receive(&mut buffers, |datagram| arrivals.push(datagram.arrived))
            .unwrap()
        {}
        // All were read at once.
        assert_eq!(arrivals.len(), 3);
        assert!(arrivals[2] - arrivals[1] >= Duration::from_millis(25));
    }
}
