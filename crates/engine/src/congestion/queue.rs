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
    /// The delay that the last feedback told of, and the shortest that counts.
    delay: i64,
    base: i64,
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
        self.base = self.before.map_or(shortest, |before| before.min(shortest));
        self.delay = present;
    }

    /// What packets of the last feedback have waited at least.
    pub(super) fn wait(&self) -> Duration {
        self.beyond(self.base)
    }

    fn beyond(&self, base: i64) -> Duration {
        Duration::from_micros(self.delay.saturating_sub(base).max(0) as u64)
    }
}

/// A queue that is longer than this, for so long, is too long though it does not grow: flows that
/// share a bottleneck get used to each other's queue.
const TOO_LONG: (Duration, Duration) = (Duration::from_millis(80), Duration::from_millis(250));
/// How often a long queue is looked at, and what is left of one that empties meanwhile: one that
/// is ours alone loses 15 % of the time when we send 15 % less than arrives.
const LOOK: Duration = Duration::from_secs(2);
const EMPTYING: f64 = 0.9;
/// A queue that did not empty in so many looks in a row is that of others.
const LOOKS: u32 = 3;
/// For how long they are blamed for a queue that did not look like theirs; for how long they are
/// not after that was wrong, twice as long each time up to the second.
const BLAME: Duration = Duration::from_secs(30);
const ACQUITTAL: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(300));

/// Tells a queue that we fill from one that others do: TCP fills every one that it finds, and
/// whatever we leave.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Since when the queue has been long.
    since: Option<Instant>,
    long: bool,
    /// The shortest delay at that time. While others hold the queue it may be forgotten for what
    /// they have made of it; that is no sign that they are gone.
    base: Option<i64>,
    looked: Option<(Instant, Duration)>,
    unchanged: u32,
    /// Until when others are blamed though the queue did not look like theirs.
    blamed: Option<Instant>,
    /// Until when they are not, and for how long the next time.
    acquitted: Option<Instant>,
    acquittal: Duration,
}

impl Standing {
    pub(super) fn update(&mut self, now: Instant, queueing: &Queueing) {
        self.blamed = self.blamed.filter(|until| now < *until);
        self.acquitted = self.acquitted.filter(|until| now < *until);
        if queueing.wait() <= TOO_LONG.0 {
            (self.since, self.long) = (None, false);
        } else {
            let since = *self.since.get_or_insert(now);
            self.long = now.saturating_duration_since(since) >= TOO_LONG.1;
        }
        if self.long || self.base.is_some() {
            self.look(now, queueing);
        }
    }

    /// There is a queue that is too long.
    pub(super) fn is_long(&self) -> bool {
        self.long
    }

    /// And it stays whatever we do.
    pub(super) fn is_of_others(&self) -> bool {
        self.acquitted.is_none() && (self.unchanged >= LOOKS || self.blamed.is_some())
    }

    /// The queue grows though we send next to nothing: we may have begun when it was full, and
    /// know no shortest delay.
    pub(super) fn blame_others(&mut self, now: Instant) {
        self.blamed = Some(now + BLAME);
    }

    /// So much is lost that the queue is full of what we send ourselves.
    pub(super) fn acquit_others(&mut self, now: Instant) {
        if !self.is_of_others() {
            return;
        }
        let acquittal = self.acquittal.max(ACQUITTAL.0);
        *self = Standing {
            acquitted: Some(now + acquittal),
            acquittal: (2 * acquittal).min(ACQUITTAL.1),
            ..Standing::default()
        };
    }

    fn look(&mut self, now: Instant, queueing: &Queueing) {
        let wait = queueing.beyond(*self.base.get_or_insert(queueing.base));
        if wait <= TOO_LONG.0 {
            (self.base, self.looked, self.unchanged) = (None, None, 0);
            return;
        }
        let (at, before) = *self.looked.get_or_insert((now, wait));
        if now.saturating_duration_since(at) < LOOK {
            return;
        }
        self.looked = Some((now, wait));
        if wait >= before.mul_f64(EMPTYING) {
            self.unchanged += 1;
        } else if self.unchanged < LOOKS {
            self.unchanged = 0;
        }
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

    /// Whether a queue is long, and of others, after so many seconds if it is so long at each.
    fn judged(seconds: u32, wait: impl Fn(f64) -> f64) -> (bool, bool) {
        let start = Instant::now();
        let (mut queueing, mut standing) = (Queueing::default(), Standing::default());
        for n in 0..seconds * 20 {
            let time = f64::from(n) / 20.0;
            let now = start + Duration::from_millis(50) * n;
            let wait = if n == 0 { 0.0 } else { wait(time) };
            queueing.add(now, ((time + wait) * 1e6) as i64);
            queueing.update(now);
            standing.update(now, &queueing);
        }
        (standing.is_long(), standing.is_of_others())
    }

    #[test]
    fn queue_of_our_own_is_taken_for_that_of_others() {
        assert_eq!(judged(14, |_| 0.07), (false, false));
        assert_eq!(judged(5, |_| 0.2), (true, false));
        // It fills for two seconds, and then empties as we send 15 % less than arrives.
        let ours = |time: f64| if time < 2.0 { time } else { 2.3 - 0.15 * time };
        assert_eq!(judged(14, ours), (true, false));
        assert_eq!(judged(15, ours), (false, false));
    }

    #[test]
    fn tcp_in_a_queue_goes_unnoticed() {
        assert_eq!(judged(8, |_| 0.3), (true, true));
        // It gives way for a moment once in ten seconds. That the shortest delay is forgotten
        // does not mean that it is gone.
        let saw = |time: f64| 0.2 + 0.01 * (time % 10.0);
        assert_eq!(judged(14, saw), (true, true));
        assert!(judged(90, saw).1);
        let gone = |time: f64| if time < 50.0 { saw(time) } else { 0.01 };
        assert_eq!(judged(51, gone), (false, false));
    }
}
