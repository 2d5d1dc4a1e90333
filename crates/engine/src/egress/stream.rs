//! One consumer's stream on its way to the peer.

use std::time::{Duration, Instant};

use umbrella_media::Kind;

use super::clock::{ClockPoint, NtpClock, middle};
use super::header::{ExtensionIds, Template};
use super::rate::RateMeter;
use super::rtcp::ReportBlock;
use super::{Format, StreamStatistics};
use crate::secure::{RtpIndex, SealError, Sealer, SenderInfo};
use crate::totals::Sent;

/// How packets of a stream are sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resends {
    /// Not at all: nothing was negotiated.
    Never,
    /// On an SSRC of their own (RFC 4588).
    Rtx {
        /// That SSRC.
        ssrc: u32,
    },
    /// As the very bytes that were sent before; for the last 64 packets, from the first request
    /// on: most receivers never ask, and copying every packet for each of them would cost more
    /// than sealing it.
    Sealed,
}

/// How a stream looks to its receiver.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// Its SSRC.
    pub ssrc: u32,
    /// Audio leaves at once, video at the pacer's pace.
    pub kind: Kind,
    /// The `mid` of its section.
    pub mid: String,
    /// The ids of the receiver's header extensions.
    pub extensions: ExtensionIds,
    /// What answers a NACK.
    pub resends: Resends,
}

/// The life of one SSRC under the keys of one connection. It survives the stream: if the SSRC
/// comes back, its sequence numbers go on, and no number is used twice.
#[derive(Debug)]
pub(super) struct Lane {
    ssrc: u32,
    index: Option<RtpIndex>,
    /// One more than the highest sequence number so far.
    pub(super) next_seq: u64,
    /// For sender reports.
    packets: u32,
    octets: u32,
    pub(super) last: Option<Last>,
    /// The most packets that the peer has ever reported as lost.
    lost: u32,
}

/// The last packet that was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last {
    pub(super) timestamp: u32,
    pub(super) rate: u32,
    /// When the packet came in, or should have: its timestamp belongs to this moment.
    pub(super) received: Instant,
    pub(super) sent: Instant,
}

impl Lane {
    pub(super) fn new(ssrc: u32) -> Lane {
        Lane {
            ssrc,
            index: None,
            next_seq: first_seq(ssrc),
            packets: 0,
            octets: 0,
            last: None,
            lost: 0,
        }
    }

    /// Numbers below the highest that were never sent, because they never came: the peer counts
    /// them as lost.
    fn gaps(&self) -> u32 {
        let numbers = self.next_seq - first_seq(self.ssrc);
        (numbers as u32).wrapping_sub(self.packets)
    }

    pub(super) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The packet index under the sealer's keys.
    pub(super) fn index(&mut self, sealer: &mut Sealer) -> Result<&mut RtpIndex, SealError> {
        if self
            .index
            .as_ref()
            .is_some_and(|index| index.epoch() != sealer.epoch())
        {
            self.index = None;
        }
        match &mut self.index {
            Some(index) => Ok(index),
            empty => Ok(empty.insert(sealer.open_ssrc(self.ssrc)?)),
        }
    }

    /// `first` says that it is the first packet of a stream, whose media clock is a new one.
    pub(super) fn sent(&mut self, payload: usize, last: Last, first: bool) {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload as u32);
        // A late packet must not turn the media clock back.
        let newer = |old: Last| last.timestamp.wrapping_sub(old.timestamp) as i32 >= 0;
        if first || self.last.is_none_or(newer) {
            self.last = Some(last);
        }
    }

    /// A timestamp for the first packet of a new stream on this SSRC: the old one, moved on by
    /// the time that has passed.
    pub(super) fn next_timestamp(&self, now: Instant) -> u32 {
        match self.last {
            Some(last) => {
                let passed = now.saturating_duration_since(last.sent);
                let ticks = passed.as_micros() * u128::from(last.rate) / 1_000_000;
                last.timestamp.wrapping_add(ticks as u32).wrapping_add(1)
            }
            None => self.ssrc.wrapping_mul(0x85EB_CA6B),
        }
    }
}

/// Where an SSRC begins to count. Random as the SSRC is, and low: a receiver that misses the first
/// packets still guesses the roll-over counter right (RFC 3711 section 3.3.1).
fn first_seq(ssrc: u32) -> u64 {
    u64::from(ssrc.wrapping_mul(0x9E37_79B1) >> 17) + 1
}

/// One consumer's stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) kind: Kind,
    pub(super) template: Template,
    pub(super) lane: Lane,
    pub(super) rtx: Option<Lane>,
    pub(super) sealed: Option<SealedRing>,
    pub(super) throttle: Throttle,
    pub(super) rate: RateMeter,
    pub(super) clock: Option<ClockPoint>,
    pub(super) reported: Option<Instant>,
    pub(super) counts: Counts,
    pub(super) quality: Quality,
    /// A key frame is wanted and nobody has been told yet.
    pub(super) key_frame_wanted: bool,
    pub(super) last_full_intra: Option<u8>,
    /// The sequence number of the first packet of this stream.
    first_seq: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) resent: u64,
    pub(super) dropped: u64,
    /// As the peer reports.
    pub(super) lost: u64,
}

/// What the peer's receiver reports say.
#[derive(Debug, Default)]
pub(super) struct Quality {
    loss: f32,
    jitter: u32,
    round_trip: Option<Duration>,
}

/// No real path is longer than this.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(30);
/// A sender report of a stream is sent about as often while it sends.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// A media clock that moved by more is told to the peer at once, in 1/2^32 s: 20 ms.
const CLOCK_SHIFT: u64 = (1 << 32) / 50;

impl Stream {
    pub(super) fn new(config: &StreamConfig, lane: Lane, rtx: Option<Lane>, now: Instant) -> Self {
        Stream {
            kind: config.kind,
            template: Template::new(&config.mid, config.extensions),
            first_seq: lane.next_seq,
            lane,
            rtx,
            sealed: (config.resends == Resends::Sealed).then(SealedRing::default),
            throttle: Throttle::default(),
            rate: RateMeter::new(now),
            clock: None,
            reported: None,
            counts: Counts::default(),
            quality: Quality::default(),
            key_frame_wanted: false,
            last_full_intra: None,
        }
    }

    /// What a sender report says of this stream at `now`; `None` if it has not sent.
    pub(super) fn sender_info(&self, clock: &NtpClock, now: Instant) -> Option<SenderInfo> {
        let last = self.lane.last?;
        if self.counts.packets == 0 {
            return None; // what was sent on this SSRC was another stream
        }
        let ntp = clock.ntp(now);
        let fallback = || ClockPoint {
            ntp: clock.ntp(last.received),
            rtp: last.timestamp,
        };
        let rtp = self.clock.unwrap_or_else(fallback).rtp_at(ntp, last.rate);
        Some(SenderInfo {
            ntp,
            rtp,
            packets: self.lane.packets,
            octets: self.lane.octets,
        })
    }

    pub(super) fn report_due(&self, now: Instant) -> bool {
        match self.reported {
            Some(at) => now.saturating_duration_since(at) >= REPORT_INTERVAL,
            None => true,
        }
    }

    pub(super) fn set_clock(&mut self, point: ClockPoint) {
        let rate = self.lane.last.map_or(1, |last| last.rate).max(1);
        let moved = match self.clock {
            Some(old) => {
                let ticks = old.rtp_at(point.ntp, rate).wrapping_sub(point.rtp) as i32;
                (u64::from(ticks.unsigned_abs()) << 32) / u64::from(rate) > CLOCK_SHIFT
            }
            None => true,
        };
        if moved {
            self.reported = None;
        }
        self.clock = Some(point);
    }

    pub(super) fn report_block(&mut self, block: &ReportBlock, ntp: u64) -> Option<Duration> {
        self.quality.loss = f32::from(block.fraction_lost) / 256.0;
        self.quality.jitter = block.jitter;
        self.note_lost(block.lost);
        if block.last_report == 0 {
            return None;
        }
        // RFC 3550 section 6.4.1, in 1/65536 s.
        let ticks = middle(ntp)
            .wrapping_sub(block.last_report)
            .wrapping_sub(block.delay);
        let micros = u64::from(ticks) * 1_000_000 / 65_536;
        // Clocks that differ a little make a short round trip slightly negative.
        let micros = if ticks > u32::MAX - 65_536 / 10 {
            0
        } else {
            micros
        };
        let round_trip = Duration::from_micros(micros);
        if round_trip > MAX_ROUND_TRIP {
            return None;
        }
        self.quality.round_trip = Some(round_trip);
        Some(round_trip)
    }

    /// What the peer's count of lost packets adds to ours. It goes on when the SSRC is given to
    /// another stream, may fall when packets come twice, and is believed up to what was sent. What
    /// has not come to us is not lost on the way to the peer.
    fn note_lost(&mut self, reported: i32) {
        let reported = u32::try_from(reported).unwrap_or(0);
        let reported = reported.saturating_sub(self.lane.gaps());
        let more = reported.saturating_sub(self.lane.lost);
        self.lane.lost += more;
        self.counts.lost = (self.counts.lost + u64::from(more)).min(self.counts.packets);
    }

    /// What was sent, and what became of it.
    pub(super) fn sent(&self) -> Sent {
        Sent {
            packets: self.counts.packets,
            bytes: self.counts.bytes,
            resent: self.counts.resent,
            dropped: self.counts.dropped,
            lost: self.counts.lost,
        }
    }

    /// The extended sequence number behind the 16 bits in a NACK; `None` for what this stream
    /// has not sent lately.
    pub(super) fn extend(&self, seq: u16) -> Option<u64> {
        let highest = self.lane.next_seq.checked_sub(1)?;
        let behind = u64::from((highest as u16).wrapping_sub(seq));
        let extended = highest.checked_sub(behind)?;
        (behind < MAX_NACK_AGE && extended >= self.first_seq).then_some(extended)
    }

    pub(super) fn statistics(&self, now: Instant) -> StreamStatistics {
        let rate = self.lane.last.map_or(0, |last| last.rate);
        let jitter = match u64::from(self.quality.jitter).checked_mul(1_000_000) {
            Some(micros) if rate > 0 => Some(Duration::from_micros(micros / u64::from(rate))),
            Some(_) | None => None,
        };
        StreamStatistics {
            packets: self.counts.packets,
            bytes: self.counts.bytes,
            resent: self.counts.resent,
            dropped: self.counts.dropped,
            lost: self.counts.lost,
            loss: self.quality.loss,
            jitter,
            round_trip: self.quality.round_trip,
            bitrate: self.rate.rate(now),
        }
    }

    pub(super) fn rtx_payload_type(&self, format: Format) -> Option<u8> {
        self.rtx.as_ref().and(format.rtx_payload_type)
    }
}

/// Older packets are not sent again: nobody waits for them any more.
const MAX_NACK_AGE: u64 = 4096;

/// Limits resends, so that a NACK storm costs little and a lossy peer cannot double its traffic.
#[derive(Debug)]
pub(super) struct Throttle {
    /// When a packet was sent again, by sequence number modulo the size. Empty until the first
    /// NACK.
    recent: Vec<Option<(u64, Instant)>>,
    /// Bytes that may be sent again: half of what was sent. Taken when a resend is granted, at
    /// the mean size of a packet, so that even requests for packets that are gone are bounded.
    budget: i64,
    mean_size: i64,
    /// Packets below are not sent again: a frame was dropped, and a key frame is on its way.
    floor: u64,
}

const RECENT: usize = 256;
const BUDGET_START: i64 = 64 * 1024;
const BUDGET_MAX: i64 = 512 * 1024;

impl Default for Throttle {
    fn default() -> Self {
        Throttle {
            recent: Vec::new(),
            budget: BUDGET_START,
            mean_size: 0,
            floor: 0,
        }
    }
}

impl Throttle {
    pub(super) fn sent(&mut self, bytes: usize) {
        let bytes = bytes as i64;
        self.budget = (self.budget + bytes / 2).min(BUDGET_MAX);
        // Rounded up, so that it is never free.
        self.mean_size += (bytes - self.mean_size + 7).div_euclid(8);
    }

    /// Bytes of a packet, as the last ones were.
    pub(super) fn mean_size(&self) -> i64 {
        self.mean_size
    }

    pub(super) fn raise_floor(&mut self, seq: u64) {
        self.floor = self.floor.max(seq);
    }

    /// Whether a packet may be sent again now; if so it may not for the next `interval`.
    pub(super) fn admit(&mut self, now: Instant, seq: u64, interval: Duration) -> bool {
        if self.budget <= 0 || seq < self.floor {
            return false;
        }
        if self.recent.is_empty() {
            self.recent = vec![None; RECENT];
        }
        let slot = &mut self.recent[seq as usize % RECENT];
        let again = slot.is_some_and(|(other, at)| {
            other == seq && now.saturating_duration_since(at) < interval
        });
        if !again {
            *slot = Some((seq, now));
            self.budget -= self.mean_size;
        }
        !again
    }
}

/// The last packets as they left, for streams without RTX: with the same sequence number, only
/// the same bytes may be sent again.
#[derive(Debug, Default)]
pub(super) struct SealedRing {
    packets: Vec<(u64, Vec<u8>)>,
}

const SEALED: usize = 64;
/// Larger packets are not kept: such streams are audio.
const MAX_SEALED: usize = 1500;

impl SealedRing {
    /// Somebody has asked: packets are kept from now on.
    pub(super) fn begin(&mut self) {
        if self.packets.is_empty() {
            self.packets.resize_with(SEALED, Default::default);
        }
    }

    pub(super) fn keep(&mut self, seq: u64, sealed: &[u8]) {
        if self.packets.is_empty() || sealed.len() > MAX_SEALED {
            return;
        }
        let (kept, bytes) = &mut self.packets[seq as usize % SEALED];
        *kept = seq;
        bytes.clear();
        bytes.extend_from_slice(sealed);
    }

    pub(super) fn get(&self, seq: u64) -> Option<&[u8]> {
        let (kept, bytes) = self.packets.get(seq as usize % SEALED)?;
        (*kept == seq && !bytes.is_empty()).then_some(bytes)
    }
}
