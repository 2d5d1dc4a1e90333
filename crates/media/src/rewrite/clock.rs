//! Timestamps that go on over a switch.

use std::time::{Duration, Instant};

use crate::{Packet, Spatial};

use super::{Reports, SenderReport};

/// What clocks say of the time between two packets is believed as far as it agrees with when
/// they arrived; more than this is a broken clock or a stale report.
const TOLERANCE: Duration = Duration::from_secs(1);

/// Packets of one source that are further apart than this have a broken clock between them, unless
/// as much time has passed. Less may be a hole in the stream, told of by a packet that waited.
const LEAP: Duration = Duration::from_secs(10);

/// What is added to the timestamps of one source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) encoding: Spatial,
    /// Added to every timestamp, modulo 2³².
    pub(super) offset: u32,
    /// What would be added if time could stand still: a switch may come so soon that the new
    /// source has to be put later than it is. The next switch starts from here, so that this
    /// does not add up.
    ideal: u32,
    /// The packet with the highest timestamp so far: what it left with, when it arrived.
    highest: u32,
    received: Instant,
}

impl Clock {
    /// The first source: its first packet leaves with `timestamp`.
    pub(super) fn new(packet: &Packet, timestamp: u32) -> Self {
        let offset = timestamp.wrapping_sub(packet.timestamp);
        Clock {
            encoding: packet.encoding,
            offset,
            ideal: offset,
            highest: timestamp,
            received: packet.received,
        }
    }

    /// The next source, from a packet on; or the same one after a pause.
    pub(super) fn switch(&self, packet: &Packet, reports: &Reports) -> Clock {
        let rate = packet.codec.clock_rate();
        let before = self.highest.wrapping_sub(self.offset);
        let arrival = ticks(
            packet.received.saturating_duration_since(self.received),
            rate,
        );
        let elapsed = match self.encoding == packet.encoding {
            true => Some(i64::from(packet.timestamp.wrapping_sub(before) as i32)),
            false => between(
                (reports[self.encoding.index()], before),
                (reports[packet.encoding.index()], packet.timestamp),
                rate,
            ),
        };
        let tolerance = ticks(TOLERANCE, rate);
        let elapsed = elapsed.filter(|elapsed| (elapsed - arrival).abs() <= tolerance);
        let ideal_out = before
            .wrapping_add(self.ideal)
            .wrapping_add(elapsed.unwrap_or(arrival) as u32);
        let ahead = ideal_out.wrapping_sub(self.highest) as i32;
        let least = self.highest.wrapping_add(1);
        let out = if ahead < 1 { least } else { ideal_out };
        let behind = i64::from(out.wrapping_sub(ideal_out));
        let ideal_out = if behind <= tolerance { ideal_out } else { out };
        Clock {
            encoding: packet.encoding,
            offset: out.wrapping_sub(packet.timestamp),
            ideal: ideal_out.wrapping_sub(packet.timestamp),
            highest: out,
            received: packet.received,
        }
    }

    /// Whether the next packet of the same source is of another clock: its encoder has begun anew.
    pub(super) fn is_broken_by(&self, packet: &Packet) -> bool {
        let rate = packet.codec.clock_rate();
        let elapsed = packet
            .timestamp
            .wrapping_add(self.offset)
            .wrapping_sub(self.highest) as i32;
        let (elapsed, leap) = (i64::from(elapsed), ticks(LEAP, rate));
        if (0..=leap).contains(&elapsed) {
            return false;
        }
        let arrival = ticks(
            packet.received.saturating_duration_since(self.received),
            rate,
        );
        // Pictures may be sent in another order than they are shown in.
        elapsed < -ticks(TOLERANCE, rate) || elapsed - arrival > leap
    }

    /// The timestamp with which a packet leaves.
    pub(super) fn stamp(&mut self, packet: &Packet) -> u32 {
        let timestamp = packet.timestamp.wrapping_add(self.offset);
        if timestamp.wrapping_sub(self.highest) as i32 > 0 {
            self.highest = timestamp;
            self.received = packet.received;
        }
        timestamp
    }

    /// The first packet that comes by itself after others were sent anew ([`super::replay`]): it
    /// leaves after them, though it may have been quicker on its way to us than the newest of them.
    pub(super) fn go_on(&mut self, packet: &Packet) {
        let least = self.highest.wrapping_add(1);
        let behind = least.wrapping_sub(packet.timestamp.wrapping_add(self.offset));
        if behind as i32 > 0 {
            self.offset = self.offset.wrapping_add(behind);
        }
    }

    /// A packet leaves at `now` with a timestamp that is not its own.
    pub(super) fn note(&mut self, timestamp: u32, now: Instant) {
        self.highest = timestamp;
        self.received = now;
    }

    pub(super) fn highest(&self) -> u32 {
        self.highest
    }
}

/// Ticks between two timestamps of different sources, if both have been tied to one clock.
fn between(
    (first, from): (Option<SenderReport>, u32),
    (second, to): (Option<SenderReport>, u32),
    rate: u32,
) -> Option<i64> {
    let (first, second) = (first?, second?);
    let reports = match second.time >= first.time {
        true => ticks(second.time - first.time, rate),
        false => -ticks(first.time - second.time, rate),
    };
    let since = |at: u32, report: SenderReport| i64::from(at.wrapping_sub(report.rtp) as i32);
    Some(reports + since(to, second) - since(from, first))
}

pub(super) fn ticks(time: Duration, rate: u32) -> i64 {
    let ticks = (time.as_nanos() * u128::from(rate) + 500_000_000) / 1_000_000_000;
    // Beyond a quarter of the timestamps' range, later and earlier cannot be told apart.
    ticks.min(1 << 30) as i64
}
