//! What was sent under which transport-wide number, and what became of it.
//!
//! Numbers and times of the peer become results, as [`crate::congestion`] wants them.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::twcc::TwccReport;
use crate::congestion::PacketResult;

/// One packet with a transport-wide number, as it left. There are thousands for each connection,
/// so it has 12 bytes.
#[derive(Debug, Clone, Copy)]
struct SendRecord {
    /// When it was handed to the socket, in µs as [`Feedback::micros`] counts them.
    sent: u32,
    /// One more than the number of the probe that it belongs to: so 0 can stand for none.
    cluster: Option<NonZeroU32>,
    /// Bytes of the datagram.
    size: u16,
    /// What the peer has said of it.
    fate: Fate,
}

/// What a peer has said of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing.
    Unknown,
    /// That it was not there. It may be late.
    Missing,
    /// That it has it.
    Received,
}

/// What the peer's feedback says of the path to it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FeedbackStatistics {
    /// Packets that were sent with a transport-wide number.
    pub sent: u64,
    /// Of these, packets that the peer has reported, each counted once.
    pub received: u64,
    /// Bytes of the packets that the peer has reported.
    pub received_bytes: u64,
    /// Transport-wide reports.
    pub reports: u64,
    /// Reports that never came or came in another order.
    pub reports_missed: u64,
    /// Share of packets missing in recent reports, 0 to 1, smoothed.
    pub missing: f32,
    /// The peer's own estimate in bits per second, if it makes one.
    pub remb: Option<u64>,
}

/// The record of what was sent. When full, or after [`Feedback::KEEP`], the oldest are
/// forgotten, and a report on them says nothing.
#[derive(Debug)]
pub struct Feedback {
    records: VecDeque<SendRecord>,
    /// When the last record was made, on the clock and in µs that wrap: records are younger than
    /// a wrap takes.
    last: (Instant, u32),
    /// The unwrapped number of the first record.
    first: u64,
    last_feedback: Option<u8>,
    /// The last reference time, as the peer said it and without wraps, in units of 64 ms.
    reference: Option<(i32, i64)>,
    /// Reused for the results of a report.
    results: Vec<PacketResult>,
    statistics: FeedbackStatistics,
}

/// Microseconds of the units in reports.
const REFERENCE_US: i64 = 64_000;
const DELTA_US: i64 = 250;

const KEEP_US: u32 = Feedback::KEEP.as_micros() as u32;
/// Well before µs in 32 bits wrap.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Weight of the newest report in the smoothed share of missing packets.
const SMOOTHING: f32 = 0.1;

impl Feedback {
    /// How long a record is kept. A report that is older than this is of no use.
    pub const KEEP: Duration = Duration::from_secs(2);
    /// How many records are kept: two seconds at 80 Mbit/s. Less than half of the number space,
    /// so that a number names one record.
    pub const MAX_RECORDS: usize = 16_384;

    pub(super) fn new(now: Instant) -> Feedback {
        Feedback {
            records: VecDeque::new(),
            last: (now, 0),
            first: 0,
            last_feedback: None,
            reference: None,
            results: Vec::new(),
            statistics: FeedbackStatistics::default(),
        }
    }

    /// What the peer's feedback says.
    pub fn statistics(&self) -> FeedbackStatistics {
        self.statistics
    }

    /// The number that the next packet will carry.
    pub(super) fn next_number(&self) -> u16 {
        (self.first + self.records.len() as u64) as u16
    }

    /// A datagram of `size` bytes has left with [`Feedback::next_number`], for a probe perhaps.
    pub(super) fn sent(&mut self, now: Instant, size: usize, cluster: Option<u32>) {
        let sent = self.micros(now);
        while let Some(oldest) = self.records.front() {
            let stale = sent.wrapping_sub(oldest.sent) > KEEP_US;
            if !stale && self.records.len() < Feedback::MAX_RECORDS {
                break;
            }
            self.records.pop_front();
            self.first += 1;
        }
        self.records.push_back(SendRecord {
            sent,
            cluster: cluster.and_then(|id| NonZeroU32::new(id.wrapping_add(1))),
            size: u16::try_from(size).unwrap_or(u16::MAX),
            fate: Fate::Unknown,
        });
        self.statistics.sent += 1;
    }

    /// Moves the clock of the records on to `now`.
    fn micros(&mut self, now: Instant) -> u32 {
        let (at, micros) = &mut self.last;
        let passed = now.saturating_duration_since(*at);
        if passed > LONGEST_PAUSE {
            // All are stale, and the count must not come round to where they seem fresh.
            self.first += self.records.len() as u64;
            self.records.clear();
        }
        // What is cut off is not lost: the time on the clock lags by as much.
        let whole = passed.as_micros() as u64;
        *micros = micros.wrapping_add(whole as u32);
        *at += Duration::from_micros(whole);
        *micros
    }

    /// A report of the peer; what it says of packets that nothing was known of before.
    pub(super) fn report(&mut self, report: &TwccReport) -> &[PacketResult] {
        if let Some(last) = self.last_feedback {
            let step = report.feedback.wrapping_sub(last);
            self.statistics.reports_missed += u64::from(step.wrapping_sub(1).min(127));
        }
        self.last_feedback = Some(report.feedback);
        self.statistics.reports += 1;
        self.take_results(report);
        if report.count > 0 {
            let missing = 1.0 - report.received.len() as f32 / f32::from(report.count);
            let old = self.statistics.missing;
            self.statistics.missing = old + SMOOTHING * (missing - old);
        }
        &self.results
    }

    /// Goes through the records that the report covers. What it claims beyond them costs nothing.
    fn take_results(&mut self, report: &TwccReport) {
        self.results.clear();
        let reference = self.unwrap_reference(report.reference);
        let ahead = i64::from(report.base.wrapping_sub(self.first as u16) as i16);
        let from = ahead.max(0);
        let to = (ahead + i64::from(report.count)).min(self.records.len() as i64);
        let mut arrivals = report.received.iter().peekable();
        for index in from..to {
            let offset = (index - ahead) as u16;
            let number = report.base.wrapping_add(offset);
            let before = |number: u16| number.wrapping_sub(report.base) < offset;
            while arrivals.next_if(|arrival| before(arrival.number)).is_some() {}
            let arrival = arrivals
                .next_if(|arrival| arrival.number == number)
                .map(|arrival| reference * REFERENCE_US + i64::from(arrival.at) * DELTA_US);
            let Some(record) = self.records.get_mut(index as usize) else {
                return;
            };
            let fate = match arrival {
                Some(_) => Fate::Received,
                None => Fate::Missing,
            };
            // Reports may overlap: a packet arrives once, and is missing once at most.
            let news = match record.fate {
                Fate::Unknown => true,
                Fate::Missing => fate == Fate::Received,
                Fate::Received => false,
            };
            if !news {
                continue;
            }
            record.fate = fate;
            if fate == Fate::Received {
                self.statistics.received += 1;
                self.statistics.received_bytes += u64::from(record.size);
            }
            let (last, micros) = self.last;
            let ago = Duration::from_micros(micros.wrapping_sub(record.sent).into());
            self.results.push(PacketResult {
                sent: last.checked_sub(ago).unwrap_or(last),
                size: record.size.into(),
                arrival,
                cluster: record.cluster.map(|id| id.get() - 1),
            });
        }
    }

    /// A reference time without wraps (24 bits: every 12 days).
    fn unwrap_reference(&mut self, reference: i32) -> i64 {
        let unwrapped = match self.reference {
            None => i64::from(reference),
            Some((last, unwrapped)) => {
                // The difference as a number of 24 bits with a sign.
                let step = (reference.wrapping_sub(last) << 8) >> 8;
                unwrapped + i64::from(step)
            }
        };
        self.reference = Some((reference, unwrapped));
        unwrapped
    }

    pub(super) fn remb(&mut self, bitrate: u64) {
        self.statistics.remb = Some(bitrate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::twcc::Arrival;

    /// 100 bytes have left.
    fn send(feedback: &mut Feedback, now: Instant) {
        feedback.sent(now, 100, None);
    }

    fn report(feedback: u8, base: u16, count: u16, received: &[u16]) -> TwccReport {
        let received = received
            .iter()
            .map(|number| Arrival {
                number: *number,
                at: 0,
            })
            .collect();
        TwccReport {
            base,
            count,
            feedback,
            received,
            reference: 0,
        }
    }

    #[test]
    fn overlapping_reports_count_a_packet_once_over_the_wrap() {
        let now = Instant::now();
        let mut feedback = Feedback {
            first: 65_530,
            ..Feedback::new(now)
        };
        for _ in 0..10 {
            send(&mut feedback, now);
        }
        assert_eq!(feedback.next_number(), 4);
        feedback.report(&report(1, 65_530, 4, &[65_530, 65_533]));
        feedback.report(&report(2, 65_531, 9, &[65_533, 2, 3]));
        feedback.report(&report(5, 4, 2, &[4, 5]));
        let statistics = feedback.statistics();
        assert_eq!((statistics.sent, statistics.received), (10, 4));
        assert_eq!(statistics.received_bytes, 400);
        assert_eq!((statistics.reports, statistics.reports_missed), (3, 2));
    }

    #[test]
    fn packet_is_lost_twice_or_never_arrives_after_all() {
        let now = Instant::now();
        let mut feedback = Feedback::new(now);
        for _ in 0..4 {
            send(&mut feedback, now);
        }
        let arrived = |results: &[PacketResult]| -> Vec<bool> {
            results.iter().map(|r| r.arrival.is_some()).collect()
        };
        let first = feedback.report(&report(1, 0, 3, &[0, 2]));
        assert_eq!(arrived(first), [true, false, true]);
        assert!(arrived(feedback.report(&report(2, 0, 3, &[0, 2]))).is_empty());
        let late = feedback.report(&report(3, 1, 3, &[1, 2, 3]));
        assert_eq!(arrived(late), [true, true]);
        // Claims beyond what was sent, and of long ago.
        assert!(arrived(feedback.report(&report(4, 60_000, 65_535, &[]))).is_empty());
    }

    #[test]
    fn reference_time_wraps_into_another_age() {
        let now = Instant::now();
        let mut feedback = Feedback::new(now);
        let mut at = |reference: i32, number: u16| {
            send(&mut feedback, now);
            let mut report = report(1, number, 1, &[number]);
            report.reference = reference;
            feedback.report(&report)[0].arrival.unwrap()
        };
        let last = at(0x7f_ffff, 0);
        // 24 bits with a sign, as the reader gives them.
        assert_eq!(at(-0x80_0000, 1) - last, REFERENCE_US);
        assert_eq!(at(0x7f_ffff, 2), last);
    }

    #[test]
    fn records_are_bounded_in_time_and_number() {
        let now = Instant::now();
        let mut feedback = Feedback::new(now);
        for _ in 0..Feedback::MAX_RECORDS + 10 {
            send(&mut feedback, now);
        }
        assert_eq!(feedback.records.len(), Feedback::MAX_RECORDS);
        assert_eq!(feedback.first, 10);
        send(&mut feedback, now + Duration::from_secs(3));
        assert_eq!(feedback.records.len(), 1);
        assert_eq!(feedback.next_number(), (Feedback::MAX_RECORDS + 11) as u16);
    }

    #[test]
    fn records_of_an_hour_ago_seem_fresh() {
        let start = Instant::now();
        let mut feedback = Feedback::new(start);
        send(&mut feedback, start);
        // As long as 32 bits of µs, and a little.
        let wrap = Duration::from_micros(1 << 32);
        let later = start + wrap + Duration::from_millis(10);
        send(&mut feedback, later);
        assert_eq!(feedback.records.len(), 1);
        assert_eq!(feedback.next_number(), 2);
        let results = feedback.report(&report(1, 0, 2, &[0, 1]));
        let sent: Vec<Instant> = results.iter().map(|result| result.sent).collect();
        assert_eq!(sent, [later]);
    }

    #[test]
    fn a_record_grows_with_every_packet_of_every_connection() {
        assert_eq!(size_of::<SendRecord>(), 12);
    }
}
