//! What the synthetic participants have sent and got.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::account::Fate;

/// Longest latency that is told apart, in microseconds.
const LONGEST_US: u64 = 60_000_000;

/// What went through our own sockets, and what of it the network lost that they pretend to have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Datagrams {
    /// By us, lost ones included.
    pub sent: u64,
    /// Of these, lost on purpose.
    pub sent_lost: u64,
    /// By us, lost ones included.
    pub received: u64,
    /// Of these, lost on purpose.
    pub received_lost: u64,
}

/// Counters of one measurement. Packets are RTP packets, bytes those of their datagrams; in and
/// out are the server's.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Sent to the server.
    pub packets_in: u64,
    /// Sent to the server.
    pub bytes_in: u64,
    /// Got from the server, resends and padding included.
    pub packets_out: u64,
    /// Got from the server.
    pub bytes_out: u64,
    /// By the packets' own numbers, after resends: what an application sees.
    pub media: Fate,
    /// By RTP sequence numbers, before resends: what the wire did.
    pub wire: Fate,
    /// From the publisher's thread to the subscriber's socket, microseconds.
    pub latency_us: Histogram<u64>,
    /// Key frames that the server asked for.
    pub key_frame_requests: u64,
    /// Times that a subscriber was moved to another layer.
    pub layer_switches: u64,
    /// Tracks that came, of all subscribers together.
    pub tracks: u64,
    /// Tracks whose last packet is older than a second at the end.
    pub silent_tracks: u64,
    /// Datagrams that our own socket had no room for.
    pub unsent: u64,
    /// All that went through our sockets.
    pub datagrams: Datagrams,
}

impl Default for Tally {
    fn default() -> Tally {
        // Bounds that are known to be good: lowest 1, highest at least twice that, 3 digits.
        let latency_us = Histogram::new_with_bounds(1, LONGEST_US, 3);
        Tally {
            packets_in: 0,
            bytes_in: 0,
            packets_out: 0,
            bytes_out: 0,
            media: Fate::default(),
            wire: Fate::default(),
            latency_us: latency_us.expect("good bounds"),
            key_frame_requests: 0,
            layer_switches: 0,
            tracks: 0,
            silent_tracks: 0,
            unsent: 0,
            datagrams: Datagrams::default(),
        }
    }
}

impl Tally {
    /// Notes how long one packet took.
    pub(crate) fn took(&mut self, ns: u64) {
        self.latency_us.saturating_record((ns / 1000).max(1));
    }

    /// Both together.
    pub fn add(&mut self, other: &Tally) {
        self.packets_in += other.packets_in;
        self.bytes_in += other.bytes_in;
        self.packets_out += other.packets_out;
        self.bytes_out += other.bytes_out;
        self.media.add(&other.media);
        self.wire.add(&other.wire);
        // Same bounds, so that nothing can be out of range.
        let _ = self.latency_us.add(&other.latency_us);
        self.key_frame_requests += other.key_frame_requests;
        self.layer_switches += other.layer_switches;
        self.tracks += other.tracks;
        self.silent_tracks += other.silent_tracks;
        self.unsent += other.unsent;
        self.datagrams.sent += other.datagrams.sent;
        self.datagrams.sent_lost += other.datagrams.sent_lost;
        self.datagrams.received += other.datagrams.received;
        self.datagrams.received_lost += other.datagrams.received_lost;
    }
}

/// How far the participants of a run have come.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Connections that are up now.
    pub connected: usize,
    /// Connections that broke.
    pub failed: usize,
    /// Why the last one broke.
    pub failure: Option<String>,
    /// Tracks that come now, of all subscribers together.
    pub tracks: usize,
    /// From a participant's first byte to its connection being up, for each connection so far.
    pub joins: Vec<Duration>,
    /// From a subscriber's first byte to the first packet of media.
    pub first_media: Vec<Duration>,
}

impl Progress {
    /// Both together.
    pub fn add(&mut self, other: Progress) {
        self.connected += other.connected;
        self.failed += other.failed;
        self.failure = other.failure.or(self.failure.take());
        self.tracks += other.tracks;
        self.joins.extend(other.joins);
        self.first_media.extend(other.first_media);
    }
}

/// The value below which a share of the samples lies, in milliseconds: nearest rank, `share`
/// between 0 and 1. 0 without samples.
pub fn percentile_ms(samples: &mut [Duration], share: f64) -> f64 {
    samples.sort_unstable();
    let rank = (samples.len() as f64 * share).ceil() as usize;
    let value = samples.get(rank.saturating_sub(1));
    value.map_or(0.0, |value| value.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_and_not_beyond_them() {
        let mut samples: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile_ms(&mut samples, 0.5), 50.0);
        assert_eq!(percentile_ms(&mut samples, 0.99), 99.0);
        assert_eq!(percentile_ms(&mut samples, 1.0), 100.0);
        assert_eq!(percentile_ms(&mut samples, 0.0), 1.0);
        assert_eq!(percentile_ms(&mut [], 0.5), 0.0);
    }

    #[test]
    fn threads_are_summed_up_without_losing_the_worst() {
        let (mut one, mut two) = (Tally::default(), Tally::default());
        one.took(1_000_000);
        two.took(90_000_000_000);
        one.packets_out = 1;
        two.packets_out = 2;
        one.add(&two);
        assert_eq!(one.packets_out, 3);
        assert_eq!(one.latency_us.len(), 2);
        assert!(one.latency_us.max() >= LONGEST_US - LONGEST_US / 100);
    }
}
