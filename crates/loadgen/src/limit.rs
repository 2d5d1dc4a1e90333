//! The limit: what the same packets cost when nothing is done but to seal and to send them.
//!
//! AES-128-GCM as SRTP uses it (RFC 7714) and the best batched sending that the kernel has:
//! `sendmmsg` whose messages carry a whole burst to one destination (`UDP_SEGMENT`, udp(7)).
//!
//! It is measured twice. In a tight loop, where all caches are warm and nobody sleeps, a packet
//! costs the least that it can cost. At the pace of the scenario, to as many receivers, who sleep
//! until something comes, it costs what no server can do without.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, sendmmsg};
use quinn_udp::UdpSocketState;

use crate::clock::thread_cpu;

/// Bytes of RTP header with the extensions that servers send.
const HEADER: usize = 20;
const TAG: usize = 16;

/// Sockets that the tight loop sends to; more at a time are not sent to by one system call.
const DESTINATIONS: usize = 64;

/// How often what sends at a pace looks whether it is to end, at least.
const NAP: Duration = Duration::from_millis(10);

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

/// Microseconds of CPU per packet of a mixture of bursts, in a tight loop; each kind is measured
/// for `each`.
///
/// # Errors
///
/// No sockets, or sealing fails.
pub fn measure(bursts: &[Burst], each: Duration) -> Result<f64, LimitError> {
    let bench = Bench::new(DESTINATIONS, Receivers::Busy)?;
    let (mut cost, mut packets) = (0.0, 0.0);
    for burst in bursts {
        let per_second = burst.per_second * burst.packets as f64;
        cost += per_second * bench.run(burst, each)?;
        packets += per_second;
    }
    Ok(if packets > 0.0 { cost / packets } else { 0.0 })
}

/// Microseconds of CPU per packet when each of `destinations` gets the bursts as often as they
/// come, for `time`. What waiting for the next burst costs is part of it.
///
/// # Errors
///
/// No sockets, or sealing fails.
pub fn measure_at_pace(
    bursts: &[Burst],
    destinations: usize,
    time: Duration,
) -> Result<f64, LimitError> {
    Bench::new(destinations.max(1), Receivers::Asleep)?.run_at_pace(bursts, time)
}

/// How those who receive spend their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Receivers {
    /// They look at their sockets all the time.
    Busy,
    /// They wait until one can be read, as participants do.
    Asleep,
}

struct Bench {
    socket: UdpSocket,
    destinations: Vec<Option<SockaddrIn>>,
    /// The key of each destination.
    keys: Vec<LessSafeKey>,
    over: Arc<AtomicBool>,
}

impl Bench {
    fn new(destinations: usize, kind: Receivers) -> Result<Bench, LimitError> {
        let over = Arc::new(AtomicBool::new(false));
        let mut receivers = Vec::new();
        let mut addresses = Vec::new();
        for _ in 0..destinations {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_nonblocking(true)?;
            // The options of a participant's socket: without GRO the kernel would cut each burst
            // into packets at the sender's expense.
            UdpSocketState::new((&socket).into())?;
            let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, socket.local_addr()?.port());
            addresses.push(Some(SockaddrIn::from(address)));
            receivers.push(socket);
        }
        let stop = over.clone();
        let thread = std::thread::Builder::new().name("drain".into());
        match kind {
            Receivers::Busy => thread.spawn(move || drain(&receivers, &stop))?,
            Receivers::Asleep => {
                let poll = Poll::new()?;
                for (index, socket) in receivers.iter().enumerate() {
                    let mut source = SourceFd(&socket.as_raw_fd());
                    let registry = poll.registry();
                    registry.register(&mut source, Token(index), Interest::READABLE)?;
                }
                thread.spawn(move || wait_and_drain(poll, &receivers, &stop))?
            }
        };
        let keys = (0..destinations).map(|index| {
            let key = (index as u128).to_be_bytes();
            UnboundKey::new(&AES_128_GCM, &key).map(LessSafeKey::new)
        });
        Ok(Bench {
            socket: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?,
            destinations: addresses,
            keys: keys.collect::<Result<_, _>>()?,
            over,
        })
    }

    /// Microseconds of this thread's CPU per packet.
    fn run(&self, burst: &Burst, time: Duration) -> Result<f64, LimitError> {
        let mut sender = Sender::new(burst);
        let (mut sent, mut index) = (0, 0);
        let (begun, cpu) = (Instant::now(), thread_cpu());
        while begun.elapsed() < time {
            sent += self.send_to_all(&mut sender, &mut index)?;
        }
        Ok(per_packet(cpu, sent))
    }

    /// Microseconds of this thread's CPU per packet.
    fn run_at_pace(&self, bursts: &[Burst], time: Duration) -> Result<f64, LimitError> {
        let begun = Instant::now();
        let mut senders: Vec<(Sender, Duration, Instant)> = bursts
            .iter()
            .filter(|burst| burst.per_second > 0.0)
            .map(|burst| {
                let interval = Duration::from_secs_f64(1.0 / burst.per_second);
                (Sender::new(burst), interval, begun)
            })
            .collect();
        let (mut sent, mut index) = (0, 0);
        let cpu = thread_cpu();
        while begun.elapsed() < time {
            for (sender, interval, at) in &mut senders {
                if *at <= Instant::now() {
                    sent += self.send_to_all(sender, &mut index)?;
                    *at += *interval;
                }
            }
            let next = senders.iter().map(|(_, _, at)| *at).min();
            let now = Instant::now();
            let nap = next.map_or(NAP, |at| at.saturating_duration_since(now).min(NAP));
            if !nap.is_zero() {
                std::thread::sleep(nap);
            }
        }
        Ok(per_packet(cpu, sent))
    }

    /// Seals a burst for each destination, and sends them. Says how many packets these were.
    fn send_to_all(&self, sender: &mut Sender, index: &mut u64) -> Result<u64, LimitError> {
        let mut sent = 0;
        let keys = self.keys.chunks(DESTINATIONS);
        for (destinations, keys) in self.destinations.chunks(DESTINATIONS).zip(keys) {
            let bytes = sender.size * sender.packets * destinations.len();
            let slab = &mut sender.slab[..bytes];
            let run = sender.size * sender.packets;
            for (run, key) in slab.chunks_exact_mut(run).zip(keys) {
                for packet in run.chunks_exact_mut(sender.size) {
                    seal(key, packet, &sender.source, *index)?;
                    *index += 1;
                }
            }
            let slices: Vec<[IoSlice<'_>; 1]> = slab
                .chunks_exact(run)
                .map(|run| [IoSlice::new(run)])
                .collect();
            let segments = [ControlMessage::UdpGsoSegments(&sender.segment)];
            let control: &[ControlMessage<'_>] = match sender.packets > 1 {
                true => &segments,
                false => &[],
            };
            let (socket, flags) = (self.socket.as_raw_fd(), MsgFlags::empty());
            let headers = &mut sender.headers;
            sendmmsg(socket, headers, slices.iter(), destinations, control, flags)
                .map_err(io::Error::from)?;
            // A blocking socket takes all of them, or reports an error.
            sent += (destinations.len() * sender.packets) as u64;
        }
        Ok(sent)
    }
}

/// Microseconds of CPU that this thread has used since `begin`, per packet.
fn per_packet(begin: Duration, sent: u64) -> f64 {
    match sent {
        0 => 0.0,
        _ => thread_cpu().saturating_sub(begin).as_secs_f64() * 1e6 / sent as f64,
    }
}

fn seal(key: &LessSafeKey, packet: &mut [u8], source: &[u8], index: u64) -> Result<(), LimitError> {
    let (header, rest) = packet.split_at_mut(HEADER);
    let (payload, tag) = rest.split_at_mut(source.len());
    header[..8].copy_from_slice(&index.to_be_bytes());
    payload.copy_from_slice(source);
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&index.to_be_bytes());
    let nonce = Nonce::assume_unique_for_key(nonce);
    let sealed = key.seal_in_place_separate_tag(nonce, Aad::from(&header), payload)?;
    tag.copy_from_slice(sealed.as_ref());
    Ok(())
}

/// What sending one kind of burst needs.
struct Sender {
    size: usize,
    packets: usize,
    segment: u16,
    source: Vec<u8>,
    slab: Vec<u8>,
    headers: MultiHeaders<SockaddrIn>,
}

impl Sender {
    fn new(burst: &Burst) -> Sender {
        let size = HEADER + burst.payload + TAG;
        // A datagram with its segments must fit 64 KiB.
        let packets = burst.packets.clamp(1, (60_000 / size).max(1));
        // Room for a control message that is not used would be sent as an invalid one.
        let space = (packets > 1).then(|| nix::cmsg_space!(u16));
        Sender {
            size,
            packets,
            segment: u16::try_from(size).unwrap_or(u16::MAX),
            source: vec![0x55; burst.payload],
            slab: vec![0; size * packets * DESTINATIONS],
            headers: MultiHeaders::preallocate(DESTINATIONS, space),
        }
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

/// Reads and forgets what has come, whenever something has.
fn wait_and_drain(mut poll: Poll, sockets: &[UdpSocket], over: &AtomicBool) {
    let mut buffer = [0; 65_536];
    let mut events = Events::with_capacity(256);
    while !over.load(Ordering::Relaxed) {
        if poll.poll(&mut events, Some(NAP)).is_err() {
            continue; // interrupted
        }
        for event in &events {
            if let Some(socket) = sockets.get(event.token().0) {
                while socket.recv(&mut buffer).is_ok() {}
            }
        }
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
        assert_eq!(measure_at_pace(&[], 3, each).unwrap(), 0.0);
        let paced = measure_at_pace(&[burst(4, 1000, 100.0)], 100, each).unwrap();
        assert!(paced > 0.0 && paced < 1000.0, "{paced}");
    }
}
