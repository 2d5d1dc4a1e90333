//! What belongs to one transport.

use std::time::{Duration, Instant};

use super::{Allocator, Budget, Outcome};
use crate::arena::Key;
use crate::congestion::{BandwidthEstimator, Usage};
use crate::consumer::Consumer;

/// What one subscriber is sent of all that it wants.
#[derive(Debug)]
pub(crate) struct Allotment {
    pub(crate) video: Vec<Key<Consumer>>,
    pub(crate) audio: Vec<Key<Consumer>>,
    pub(crate) allocator: Allocator,
    /// Bits per second of what is sent, sound included.
    total: u64,
    satisfied: bool,
    held_back: bool,
    looked: Option<Instant>,
    next: Option<Instant>,
}

/// Even if the estimate falls with every packet, it is not looked at more often.
const SHORTEST: Duration = Duration::from_millis(50);
/// Beyond twice of what is sent: the most that a picture usually costs when it is made larger.
const SPARE: u64 = 2_000_000;
/// Below this share of what is sent there is no time to wait.
const FAR_BELOW: (u64, u64) = (7, 10);

impl Default for Allotment {
    fn default() -> Self {
        Allotment {
            video: Vec::new(),
            audio: Vec::new(),
            allocator: Allocator::default(),
            total: 0,
            satisfied: true,
            held_back: false,
            looked: None,
            next: None,
        }
    }
}

impl Allotment {
    /// Forgets a consumer that is gone.
    pub(crate) fn remove(&mut self, consumer: Key<Consumer>) {
        self.video.retain(|other| *other != consumer);
        self.audio.retain(|other| *other != consumer);
    }

    /// When it wants to be looked at.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        self.next
    }

    /// Something has changed.
    pub(crate) fn look_at(&mut self, now: Instant) {
        self.next = Some(self.next.map_or(now, |next| next.min(now)));
    }

    pub(crate) fn is_due(&self, now: Instant, bandwidth: &BandwidthEstimator) -> bool {
        let Some(next) = self.next else {
            return false;
        };
        if now >= next {
            return true;
        }
        let crowded = bandwidth.estimate() < self.total && bandwidth.is_informed();
        let looked = |at| now.saturating_duration_since(at) < SHORTEST;
        crowded && !self.looked.is_some_and(looked)
    }

    /// Whether a larger picture surely fits, so that nobody need wait for a look.
    pub(crate) fn has_plenty(&self, bandwidth: &BandwidthEstimator) -> bool {
        !bandwidth.is_informed() || bandwidth.estimate() >= self.total * 2 + SPARE
    }

    /// Nothing is held back.
    pub(crate) fn is_satisfied(&self) -> bool {
        self.satisfied
    }

    /// Somebody has less than there is, because of the path.
    pub(crate) fn holds_back(&self) -> bool {
        self.held_back
    }

    /// What pictures may cost, besides sound of `audio` bits per second.
    pub(crate) fn budget(
        &self,
        now: Instant,
        bandwidth: &BandwidthEstimator,
        audio: u64,
    ) -> Budget {
        let estimate = bandwidth.estimate();
        let (below, of) = FAR_BELOW;
        Budget {
            rate: bandwidth
                .is_informed()
                .then(|| estimate.saturating_sub(audio)),
            silent: bandwidth.is_silent(now),
            congested: bandwidth.is_congested(),
            pressed: bandwidth.usage() == Usage::Over || estimate < self.total / of * below,
        }
    }

    /// It was decided that `total` bits per second are sent.
    pub(crate) fn decided(&mut self, now: Instant, outcome: Outcome, total: u64) {
        self.total = total;
        self.satisfied = outcome.satisfied;
        self.held_back = outcome.held_back;
        self.looked = Some(now);
        let idle = self.video.is_empty();
        self.next = (!idle).then(|| now + outcome.next_look());
    }
}
