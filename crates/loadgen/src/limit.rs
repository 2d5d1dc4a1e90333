//! The limit: what the same packets cost when nothing is done but to seal and to send them.
//!
//! AES-128-GCM as SRTP uses it (RFC 7714) and the best batched sending that the kernel has:
//! `sendmmsg` whose messages carry a whole burst to one destination (`UDP_SEGMENT`, udp(7)).

use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};
use quinn_udp::UdpSocketState;

use crate::clock::thread_cpu;

/// Bytes of RTP header with the extensions that servers send.
const HEADER: usize = 20;
const TAG: usize = 16;

/// Sockets to send to.
const DESTINATIONS: usize = 64;

/// Packets that belong together, to one destination.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    /// How many.
    pub packets: usize,
    /// Bytes of payload of each.
    pub payload: usize,
    /// How often it comes.
    pub per_second: f64,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// A socket or a thread cannot be had.
    #[error("cannot measure the limit: {0}")]
    Io(#[from] std::io::Error),
    /// Sealing failed.
    #[error("cannot seal a packet")]
    Seal,
}

impl From<aws_lc_rs::error::Unspecified> for LimitError {
    fn from(_: aws_lc_rs::error::Unspecified) -> LimitError {
        LimitError::Seal
    }
}

/// Microseconds of CPU per packet of a mixture of bursts; each kind is measured for `each`.
///
/// # Errors
///
/// No sockets, or sealing fails.
pub fn measure(bursts: &[Burst], each: Duration) -> Result<f64, LimitError> {
    let bench = Bench::new()?;
    let (mut cost, mut packets) = (0.0, 0.0);
    for burst in bursts {
        let per_second = burst.per_second * burst.packets as f64;
        cost += per_second * bench.run(burst, each)?;
        packets += per_second;
    }
    Ok(if packets > 0.0 { cost / packets } else { 0.0 })
}

struct Bench {
    socket: UdpSocket,
    destinations: Vec<Option<SockaddrIn>>,
    key: LessSafeKey,
    over: Arc<AtomicBool>,
}

impl Bench {
    fn new() -> Result<Bench, LimitError> {
        let over = Arc::new(AtomicBool::new(false));
        let mut receivers = Vec::new();
        let mut destinations = Vec::new();
        for _ in 0..DESTINATIONS {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_nonblocking(true)?;
            // The options of a participant's socket: without GRO the kernel would cut each burst
            // into packets at the sender's expense.
            UdpSocketState::new((&socket).into())?;
            let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, socket.local_addr()?.port());
            destinations.push(Some(SockaddrIn::from(address)));
            receivers.push(socket);
        }
        let stop = over.clone();
        std::thread::Builder::new()
            .name("drain".into())
            .spawn(move || drain(&receivers, &stop))?;
        Ok(Bench {
            socket: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?,
            destinations,
            key: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[7; 16])?),
            over,
        })
    }

    /// Microseconds of this thread's CPU per packet.
    fn run(&self, burst: &Burst, time: Duration) -> Result<f64, LimitError> {
        let size = HEADER + burst.payload + TAG;
        // A datagram with its segments must fit 64 KiB.
        let packets = burst.packets.clamp(1, (60_000 / size).max(1));
        let mut slab = vec![0u8; size * packets * DESTINATIONS];
        let source = vec![0x55u8; burst.payload];
        let segment = u16::try_from(size).unwrap_or(u16::MAX);
        let segments = [ControlMessage::UdpGsoSegments(&segment)];
        let control: &[ControlMessage<'_>] = if packets > 1 { &segments } else { &[] };
        // Room for a control message that is not used would be sent as an invalid one.
        let space = (packets > 1).then(|| nix::cmsg_space!(u16));
        let mut headers = MultiHeaders::preallocate(DESTINATIONS, space);
        let (mut sent, mut index) = (0u64, 0u64);
        let (begun, cpu) = (Instant::now(), thread_cpu());
        while begun.elapsed() < time {
            for packet in slab.chunks_exact_mut(size) {
                self.seal(packet, &source, index)?;
                index += 1;
            }
            let slices: Vec<[IoSlice<'_>; 1]> = slab
                .chunks_exact(size * packets)
                .map(|run| [IoSlice::new(run)])
                .collect();
            sendmmsg(
                self.socket.as_raw_fd(),
                &mut headers,
                slices.iter(),
                &self.destinations,
                control,
                MsgFlags::empty(),
            )
            .map_err(std::io::Error::from)?;
            // A blocking socket takes all of them, or reports an error.
            sent += (DESTINATIONS * packets) as u64;
        }
        let cpu = thread_cpu().saturating_sub(cpu);
        Ok(cpu.as_secs_f64() * 1e6 / sent.max(1) as f64)
    }

    fn seal(&self, packet: &mut [u8], source: &[u8], index: u64) -> Result<(), LimitError> {
        let (header, rest) = packet.split_at_mut(HEADER);
        let (payload, tag) = rest.split_at_mut(source.len());
        header[..8].copy_from_slice(&index.to_be_bytes());
        payload.copy_from_slice(source);
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&index.to_be_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let key = &self.key;
        let sealed = key.seal_in_place_separate_tag(nonce, Aad::from(&header), payload)?;
        tag.copy_from_slice(sealed.as_ref());
        Ok(())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Reads and forgets, as often as the synthetic participants read.
fn drain(sockets: &[UdpSocket], over: &AtomicBool) {
    let mut buffer = [0; 2048];
    while !over.load(Ordering::Relaxed) {
        for socket in sockets {
            while socket.recv(&mut buffer).is_ok() {}
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixtures_are_weighted_by_packets() {
        let burst = |packets, payload, per_second| Burst {
            packets,
            payload,
            per_second,
        };
        let each = Duration::from_millis(20);
        assert_eq!(measure(&[], each).unwrap(), 0.0);
        let mixed = [burst(4, 1000, 30.0), burst(1, 80, 50.0)];
        let cost = measure(&mixed, each).unwrap();
        assert!(cost > 0.0 && cost < 1000.0, "{cost}");
    }
}
