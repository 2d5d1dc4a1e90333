//! How much arrives.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packets that arrived in this time count.
pub(super) const WINDOW: Duration = Duration::from_millis(750);
const WINDOW_US: i64 = WINDOW.as_micros() as i64;
/// Fewer packets, or a shorter time, say nothing.
const FEWEST: usize = 8;
const SHORTEST: f64 = 0.2;
/// A span that is longer by less than this is jitter.
const EVEN: f64 = 1.08;

/// Bits per second that the peer has received over the last three quarters of a second.
///
/// Bytes count over the longer of both spans, that in which they were sent and that in which
/// they arrived: what a queue lets go at once does not look like a fast path.
#[derive(Debug, Default)]
pub(super) struct Throughput {
    packets: VecDeque<(i64, Instant, usize)>,
    bytes: usize,
}

impl Throughput {
    /// A packet of `size` bytes has arrived at `arrival` (µs on the peer's clock).
    pub(super) fn add(&mut self, sent: Instant, arrival: i64, size: usize) {
        if let Some((last, ..)) = self.packets.back()
            && arrival.abs_diff(*last) > WINDOW_US as u64
        {
            // Silence, or the peer's clock has jumped.
            self.packets.clear();
            self.bytes = 0;
        }
        self.packets.push_back((arrival, sent, size));
        self.bytes += size;
        while let Some((oldest, _, size)) = self.packets.front()
            && arrival.saturating_sub(*oldest) > WINDOW_US
        {
            self.bytes -= size;
            self.packets.pop_front();
        }
    }

    /// Bits per second; `None` while too little has arrived.
    pub(super) fn rate(&self) -> Option<u64> {
        self.rate_from(0, self.bytes)
    }

    /// The same of packets only that left after this time.
    pub(super) fn rate_since(&self, time: Instant) -> Option<u64> {
        let before = |packet: &&(i64, Instant, usize)| packet.1 < time;
        let older = self.packets.iter().take_while(before);
        let (count, bytes) = older.fold((0, 0), |(n, sum), (.., size)| (n + 1, sum + size));
        self.rate_from(count, self.bytes - bytes)
    }

    /// Whether packets arrive about as fast as they were sent: then the path has carried them, and
    /// what arrives says nothing of what else it would.
    pub(super) fn is_even(&self) -> bool {
        let Some((arrived, sent)) = self.spans(0) else {
            return false;
        };
        self.packets.len() >= FEWEST && sent >= SHORTEST && arrived <= sent * EVEN
    }

    /// Seconds in which the packets from one on have arrived, and in which they were sent.
    fn spans(&self, index: usize) -> Option<(f64, f64)> {
        let (first, last) = (self.packets.get(index)?, self.packets.back()?);
        let arrived = Duration::from_micros(last.0.saturating_sub(first.0).max(0) as u64);
        let sent = last.1.saturating_duration_since(first.1);
        Some((arrived.as_secs_f64(), sent.as_secs_f64()))
    }

    fn rate_from(&self, index: usize, bytes: usize) -> Option<u64> {
        let (arrived, sent) = self.spans(index)?;
        let span = arrived.max(sent);
        if self.packets.len() - index < FEWEST || span < SHORTEST {
            return None;
        }
        // The first packet marks the beginning; its bytes were on the way before.
        Some(((bytes - self.packets.get(index)?.2) as f64 * 8.0 / span) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_out_of_a_queue_looks_like_a_fast_path() {
        let start = Instant::now();
        let mut throughput = Throughput::default();
        for n in 0..100u32 {
            let sent = start + Duration::from_millis(10) * n;
            throughput.add(sent, 2_000_000 + i64::from(n) * 100, 1250);
        }
        // Sent at 1 Mbit/s; arrived within 10 ms.
        let rate = throughput.rate().unwrap();
        assert!((980_000..1_020_000).contains(&rate), "{rate}");
    }

    #[test]
    fn what_was_sent_before_a_jump_counts_after_it() {
        let start = Instant::now();
        let mut throughput = Throughput::default();
        let jump = start + Duration::from_millis(500);
        for n in 0..100u32 {
            let sent = start + Duration::from_millis(10) * n;
            assert!(n > 50 || throughput.rate_since(jump).is_none());
            let size = if sent < jump { 500 } else { 1250 };
            throughput.add(sent, i64::from(n) * 10_000, size);
        }
        let rate = throughput.rate_since(jump).unwrap();
        assert!((980_000..1_020_000).contains(&rate), "{rate}");
    }

    #[test]
    fn little_or_old_traffic_says_something() {
        let start = Instant::now();
        let mut throughput = Throughput::default();
        assert_eq!(throughput.rate(), None);
        for n in 0..20u32 {
            throughput.add(start, i64::from(n) * 20_000, 1250);
        }
        assert!(throughput.rate().is_some());
        throughput.add(start, 60_000_000, 1250);
        assert_eq!(throughput.rate(), None);
    }
}
