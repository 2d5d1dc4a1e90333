//! What was sent under which transport-wide number, and what became of it.
//!
//! This is the seam for send-side congestion control: it sees every [`SendRecord`] and every
//! [`TwccReport`]. So far it keeps simple statistics.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::StreamId;
use super::twcc::TwccReport;

/// One packet with a transport-wide number, as it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendRecord {
    /// When it was handed to the socket.
    pub sent: Instant,
    /// Bytes of the datagram.
    pub size: u16,
    /// The stream that it belongs to.
    pub stream: StreamId,
    /// The peer has said that it has it.
    pub received: bool,
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
#[derive(Debug, Default)]
pub struct Feedback {
    records: VecDeque<SendRecord>,
    /// The unwrapped number of the first record.
    first: u64,
    last_feedback: Option<u8>,
    statistics: FeedbackStatistics,
}

/// Weight of the newest report in the smoothed share of missing packets.
const SMOOTHING: f32 = 0.1;

impl Feedback {
    /// How long a record is kept. A report that is older than this is of no use.
    pub const KEEP: Duration = Duration::from_secs(2);
    /// How many records are kept: two seconds at 80 Mbit/s. Less than half of the number space,
    /// so that a number names one record.
    pub const MAX_RECORDS: usize = 16_384;

    /// What the peer's feedback says.
    pub fn statistics(&self) -> FeedbackStatistics {
        self.statistics
    }

    /// The number that the next packet will carry.
    pub(super) fn next_number(&self) -> u16 {
        (self.first + self.records.len() as u64) as u16
    }

    /// A packet has left with [`Feedback::next_number`].
    pub(super) fn sent(&mut self, record: SendRecord) {
        let now = record.sent;
        while let Some(oldest) = self.records.front() {
            let stale = now.saturating_duration_since(oldest.sent) > Feedback::KEEP;
            if !stale && self.records.len() < Feedback::MAX_RECORDS {
                break;
            }
            self.records.pop_front();
            self.first += 1;
        }
        self.records.push_back(record);
        self.statistics.sent += 1;
    }

    /// A report of the peer.
    pub(super) fn report(&mut self, report: &TwccReport) {
        if let Some(last) = self.last_feedback {
            let step = report.feedback.wrapping_sub(last);
            self.statistics.reports_missed += u64::from(step.wrapping_sub(1).min(127));
        }
        self.last_feedback = Some(report.feedback);
        self.statistics.reports += 1;
        for arrival in &report.received {
            let ahead = u64::from(arrival.number.wrapping_sub(self.first as u16));
            let Some(record) = self.records.get_mut(ahead as usize) else {
                continue;
            };
            // Reports may overlap: a packet counts once.
            if !record.received {
                record.received = true;
                self.statistics.received += 1;
                self.statistics.received_bytes += u64::from(record.size);
            }
        }
        if report.count > 0 {
            let missing = 1.0 - report.received.len() as f32 / f32::from(report.count);
            let old = self.statistics.missing;
            self.statistics.missing = old + SMOOTHING * (missing - old);
        }
    }

    pub(super) fn remb(&mut self, bitrate: u64) {
        self.statistics.remb = Some(bitrate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::twcc::Arrival;

    fn record(sent: Instant) -> SendRecord {
        SendRecord {
            sent,
            size: 100,
            stream: StreamId::default(),
            received: false,
        }
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
            ..Feedback::default()
        };
        for _ in 0..10 {
            feedback.sent(record(now));
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
    fn records_are_bounded_in_time_and_number() {
        let now = Instant::now();
        let mut feedback = Feedback::default();
        for _ in 0..Feedback::MAX_RECORDS + 10 {
            feedback.sent(record(now));
        }
        assert_eq!(feedback.records.len(), Feedback::MAX_RECORDS);
        assert_eq!(feedback.first, 10);
        feedback.sent(record(now + Duration::from_secs(3)));
        assert_eq!(feedback.records.len(), 1);
        assert_eq!(feedback.next_number(), (Feedback::MAX_RECORDS + 11) as u16);
    }
}
