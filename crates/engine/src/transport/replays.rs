//! Who is sent what waited in a cache, and how fast.

use std::time::{Duration, Instant};

use crate::arena::Key;
use crate::congestion::BandwidthEstimator;
use crate::consumer::Consumer;

/// How much of what waits is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it, and then what is live.
    Everything,
    /// One picture, which stands until the next key frame.
    KeyFrame,
}

/// The consumers of one transport that have not come up to what is live.
#[derive(Debug, Default)]
pub(crate) struct Replays {
    /// In the order in which they are served.
    consumers: Vec<Key<Consumer>>,
    /// Bytes that may be sent now; one picture may overdraw it.
    budget: i64,
    filled: Option<Instant>,
    began: Option<Instant>,
    demand: u64,
}

/// Between two looks: as often as the pacer.
const TICK: Duration = Duration::from_millis(5);
/// A look that comes late makes up for no more than this.
const LONGEST: Duration = Duration::from_millis(20);
/// Behind a key frame there is a pause, in which it passes a path that is as slow as the estimate; but
/// no longer than this: estimates begin low.
const DEBT: Duration = Duration::from_millis(250);
/// Bytes that are sent behind the key frames before the receiver has told anything …
const BLIND: i64 = 32_000;
/// … for this long. One that tells nothing by then never will …
const SILENCE: Duration = Duration::from_millis(500);
/// … and gets so many bits per second, as the pacer gives it.
const GUESS: u64 = 10_000_000;
/// Bits per second for which there are probes, whatever waits.
const MOST_DEMAND: u64 = 20_000_000;

impl Replays {
    /// Bytes of video that may wait in the egress when a key frame is added: more of it would hold
    /// up what is live.
    pub(crate) const ROOM: usize = 512 * 1024;
    /// The same of any other picture: it has the timestamp of the moment at which it is added, so
    /// it should not wait.
    pub(crate) const NEXT: usize = 16 * 1024;

    /// Somebody begins, or begins again.
    pub(crate) fn begin(&mut self, now: Instant, consumer: Key<Consumer>, informed: bool) {
        if self.consumers.is_empty() {
            self.budget = if informed { 0 } else { BLIND };
            (self.filled, self.began) = (Some(now), Some(now));
        }
        if !self.consumers.contains(&consumer) {
            self.consumers.push(consumer);
        }
    }

    /// So many bits more are waited for.
    pub(crate) fn expect(&mut self, bits: u64) {
        self.demand = self.demand.saturating_add(bits).min(MOST_DEMAND);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.consumers.is_empty()
    }

    /// Bits per second on a path, if the first replay began at `began`. A little more than the
    /// estimate, which follows what arrives, and far less where that does not get through. Never
    /// nothing: a path that always loses much would have a picture that stands.
    pub(crate) fn rate(now: Instant, bandwidth: &BandwidthEstimator, began: Instant) -> u64 {
        match bandwidth.is_informed() {
            true if bandwidth.is_congested() => bandwidth.estimate() / 2,
            true => bandwidth.estimate() / 4 * 5,
            false if now.saturating_duration_since(began) < SILENCE => 0,
            false => GUESS,
        }
    }

    /// Bits per second now.
    pub(crate) fn current_rate(&self, now: Instant, bandwidth: &BandwidthEstimator) -> u64 {
        Replays::rate(now, bandwidth, self.began.unwrap_or(now))
    }

    /// Fills the budget for the time that has passed.
    pub(crate) fn fill(&mut self, now: Instant, bandwidth: &BandwidthEstimator) {
        let rate = self.current_rate(now, bandwidth);
        let bytes_in = |time: Duration| {
            let bytes = u128::from(rate) * time.as_micros() / 8_000_000;
            i64::try_from(bytes).unwrap_or(i64::MAX)
        };
        let passed = self.filled.map(|at| now.saturating_duration_since(at));
        let most = bytes_in(LONGEST).max(self.budget);
        let gained = bytes_in(passed.unwrap_or_default().min(LONGEST));
        self.budget = self.budget.max(-bytes_in(DEBT));
        self.budget = self.budget.saturating_add(gained).min(most);
        self.filled = Some(now);
    }

    pub(crate) fn may_send(&self) -> bool {
        self.budget > 0
    }

    pub(crate) fn spend(&mut self, bytes: usize) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.budget = self.budget.saturating_sub(bytes);
    }

    /// Those who are served; to be put back.
    pub(crate) fn take(&mut self) -> Vec<Key<Consumer>> {
        std::mem::take(&mut self.consumers)
    }

    /// Those who are left, and the bits that they wait for.
    pub(crate) fn put_back(&mut self, consumers: Vec<Key<Consumer>>, left: u64) {
        self.consumers = consumers;
        self.demand = left.min(MOST_DEMAND);
    }

    /// What would be sent besides what is live if the path carried it, in bits per second.
    pub(crate) fn demand(&self) -> u64 {
        self.demand
    }

    /// When more of it is due.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        let filled = self.filled.filter(|_| !self.is_empty());
        filled.map(|at| at + TICK)
    }
}
