//! How long packets wait in queues on the way.

use std::time::{Duration, Instant};

/// The shortest delay is looked for over this time, and over as long again before.
const EPOCH: Duration = Duration::from_secs(15);

/// The delay beyond the shortest that was seen lately.
///
/// Both clocks run on their own, so only differences mean something, and the shortest delay is
/// forgotten after a while: clocks drift, and paths change.
#[derive(Debug, Default)]
pub(super) struct Queueing {
    /// When time on both clocks began for us.
    origin: Option<(Instant, i64)>,
    epoch: Option<Instant>,
    shortest: Option<i64>,
    before: Option<i64>,
    /// The shortest delay in the feedback that is being read.
    present: Option<i64>,
    wait: Duration,
}

impl Queueing {
    /// A packet has arrived at `arrival` (µs on the peer's clock).
    pub(super) fn add(&mut self, sent: Instant, arrival: i64) {
        let (began, first) = *self.origin.get_or_insert((sent, arrival));
        let since = match sent.checked_duration_since(began) {
            Some(after) => after.as_micros() as i64,
            None => -(began.saturating_duration_since(sent).as_micros() as i64),
        };
        // The peer's clock says what it likes.
        let delay = arrival.saturating_sub(first).saturating_sub(since);
        self.present = Some(self.present.map_or(delay, |least| least.min(delay)));
    }

    /// The feedback is read.
    pub(super) fn update(&mut self, now: Instant) {
        let Some(present) = self.present.take() else {
            return;
        };
        let epoch = *self.epoch.get_or_insert(now);
        if now.saturating_duration_since(epoch) >= EPOCH {
            self.epoch = Some(now);
            self.before = self.shortest.take();
        }
        let shortest = self.shortest.map_or(present, |least| least.min(present));
        self.shortest = Some(shortest);
        let base = self.before.map_or(shortest, |before| before.min(shortest));
        self.wait = Duration::from_micros(present.saturating_sub(base).max(0) as u64);
    }

    /// What packets of the last feedback have waited at least.
    pub(super) fn wait(&self) -> Duration {
        self.wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_path_is_taken_for_a_queue_for_ever() {
        let start = Instant::now();
        let mut queueing = Queueing::default();
        let waits: Vec<Duration> = (0..800u32)
            .map(|n| {
                let sent = start + Duration::from_millis(50) * n;
                let delay = if n < 100 { 30_000 } else { 90_000 };
                queueing.add(sent, 5_000_000 + i64::from(n) * 50_000 + delay);
                queueing.update(sent);
                queueing.wait()
            })
            .collect();
        assert_eq!(waits[99], Duration::ZERO);
        assert_eq!(waits[100], Duration::from_millis(60));
        assert_eq!(waits[799], Duration::ZERO);
    }
}
