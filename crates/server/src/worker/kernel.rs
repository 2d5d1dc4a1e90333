//! What this machine's kernel does for workers, found by the means of the workers themselves.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use serde::Serialize;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use umbrella_engine::{Path, Protocol, Transmit};

use super::batch::Batch;
use super::ports;

/// The kernel begins to stamp a moment after it was asked to.
const TRIES: u32 = 5;

/// Bytes of a datagram in a run.
const SEGMENT: usize = 100;

/// How long a datagram to oneself is waited for.
const PATIENCE: Duration = Duration::from_millis(200);

/// What the kernel does, beyond what it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Kernel {
    /// Several datagrams are sent as one (UDP GSO, `UDP_SEGMENT`). Without it each is a message of
    /// its own.
    pub(crate) gso: bool,
    /// Several datagrams are read as one (UDP GRO).
    pub(crate) gro: bool,
    /// Datagrams say when they have arrived (`SO_TIMESTAMPNS`). Without it a busy server takes its
    /// own delay for the network's.
    pub(crate) receive_times: bool,
    /// Bytes that wait in a socket at most, as the kernel counts them.
    pub(crate) receive_buffer: usize,
    /// What workers ask for.
    pub(crate) wanted_buffer: usize,
}

impl Kernel {
    /// Sends datagrams from this process to itself, and looks at how they come.
    ///
    /// # Errors
    ///
    /// If sockets cannot be used.
    pub(crate) async fn probe() -> io::Result<Kernel> {
        let (from, _) = socket()?;
        let (at, state) = socket()?;
        let to = at.local_addr()?;
        let taken = sends_segments(&from, to);
        let came = read(&at, &state).await?;
        let mut receive_times = false;
        for _ in 0..TRIES {
            from.send_to(b"when", to).await?;
            let came = read(&at, &state).await?;
            receive_times |= came.is_some_and(|it| it.timestamp.is_some());
        }
        Ok(Kernel {
            // What does not know of segments may send them as one long datagram.
            gso: taken && came.is_some_and(|it| it.stride == SEGMENT),
            gro: state.gro_segments() > 1,
            receive_times,
            // Twice of what was asked for, as half is for the kernel's own needs (socket(7)).
            receive_buffer: state.recv_buffer_size((&at).into())? / 2,
            wanted_buffer: ports::BUFFER,
        })
    }
}

fn socket() -> io::Result<(UdpSocket, UdpSocketState)> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let state = UdpSocketState::new((&socket).into())?;
    // What the kernel refuses is what is to be found out.
    let _ = state.set_recv_buffer_size((&socket).into(), ports::BUFFER);
    socket.set_nonblocking(true)?;
    Ok((UdpSocket::from_std(socket)?, state))
}

/// Whether a run of datagrams is taken.
fn sends_segments(from: &UdpSocket, to: SocketAddr) -> bool {
    let path = Path {
        protocol: Protocol::Udp,
        local: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
        remote: to,
    };
    let run = Transmit {
        path,
        data: &[0; 3 * SEGMENT],
        segment: SEGMENT,
    };
    let mut taken = true;
    Batch::new(false).send(from.as_raw_fd(), [run].into_iter(), |_, _| taken = false);
    taken
}

/// The first of the datagrams that are there, if any comes.
async fn read(at: &UdpSocket, state: &UdpSocketState) -> io::Result<Option<RecvMeta>> {
    let read = at.async_io(Interest::READABLE, || {
        let mut bytes = vec![[0; 2048]; BATCH_SIZE];
        let mut slices: Vec<_> = bytes.iter_mut().map(|it| IoSliceMut::new(it)).collect();
        let mut meta = [RecvMeta::default(); BATCH_SIZE];
        let count = state.recv(at.into(), &mut slices, &mut meta)?;
        Ok(meta[..count].first().copied())
    });
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(result) => result,
        Err(_) => Ok(None),
    }
}
