//! Datagrams in and out, in batches where the kernel can.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use mio::net::UdpSocket;
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use umbrella_engine::{Path, Protocol, Transmit};

/// Largest datagram or coalesced run of datagrams (GRO) that one read yields.
const BUFFER: usize = 64 * 1024;

/// One UDP socket on a wildcard address.
#[derive(Debug)]
pub(super) struct Udp {
    pub(super) socket: UdpSocket,
    state: UdpSocketState,
    port: u16,
    /// The kernel's buffer was full: datagrams lost here.
    pub(super) dropped: u64,
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
        Ok(Udp {
            socket: UdpSocket::from_std(socket),
            state,
            port,
            dropped: 0,
        })
    }

    /// Reads one batch and hands over its datagrams; false when there is nothing to read.
    pub(super) fn receive(
        &self,
        buffers: &mut Buffers,
        mut each: impl FnMut(Path, &[u8]),
    ) -> io::Result<bool> {
        let Buffers { bytes, meta } = buffers;
        let mut slices: Vec<IoSliceMut<'_>> =
            bytes.chunks_mut(BUFFER).map(IoSliceMut::new).collect();
        let count = match self.state.recv((&self.socket).into(), &mut slices, meta) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if is_passing(&error) => return Ok(true),
            Err(error) => return Err(error),
        };
        for (meta, buffer) in meta.iter().zip(&slices).take(count) {
            let Some(local) = meta.dst_ip else { continue };
            let path = Path {
                protocol: Protocol::Udp,
                local: SocketAddr::new(local, self.port),
                remote: meta.addr,
            };
            let data = &buffer[..meta.len];
            for datagram in data.chunks(meta.stride.max(1)) {
                each(path, datagram);
            }
        }
        Ok(true)
    }

    /// Sends datagrams of one size to one peer. What the kernel has no room for is lost, as it
    /// would be on any full link: media is resent on request.
    pub(super) fn send(&mut self, transmit: &Transmit<'_>) {
        let segment = transmit.segment.max(1);
        let most = segment * self.state.max_gso_segments().max(1);
        for contents in transmit.data.chunks(most) {
            let sent = self.state.try_send(
                (&self.socket).into(),
                &quinn_udp::Transmit {
                    destination: transmit.path.remote,
                    ecn: None,
                    contents,
                    segment_size: (contents.len() > segment).then_some(segment),
                    src_ip: Some(transmit.path.local.ip()),
                },
            );
            if let Err(error) = sent {
                self.dropped += contents.len().div_ceil(segment) as u64;
                // Networks come and go: the peer's ICE finds out.
                tracing::trace!(%error, remote = %transmit.path.remote, "cannot send");
            }
        }
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
