//! What each subscriber gets where its path does not carry all that it wants.
//!
//! One [`Allocator`] belongs to one transport. [`plan`] says what fits; this says when to act on
//! it, so that pictures do not flap: down when it must be, up when it lasts. The rules and what was
//! rejected are in `docs/allocation.md`.

mod allotment;
mod plan;
mod rates;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::time::{Duration, Instant};

pub(crate) use self::allotment::Allotment;
pub(crate) use self::plan::{Offer, Share, total};
#[cfg(test)]
pub(crate) use self::rates::Rung;
pub(crate) use self::rates::{Ladder, LayerRates};

/// What is to be done, from an [`Allocator`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// What would be sent if the path carried it, in bits per second.
    pub(crate) demand: u64,
    /// Everybody has all that there is.
    pub(crate) satisfied: bool,
    /// Somebody has less than there is.
    pub(crate) held_back: bool,
}

/// What the path of a subscriber carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Bits per second; `None` if the receiver tells us nothing, and then everything is sent.
    pub(crate) rate: Option<u64>,
    /// Queues are growing: there is no time to wait.
    pub(crate) pressed: bool,
    /// What is sent does not get through, as far as is known: a low estimate may have other reasons,
    /// loss above all.
    pub(crate) congested: bool,
    /// The receiver no longer answers. If nothing were sent to it any more, it would have nothing
    /// to answer when it is back.
    pub(crate) silent: bool,
}

/// Decides for one subscriber.
#[derive(Debug, Default)]
pub(crate) struct Allocator {
    /// Since when there is too much.
    over: Option<Instant>,
    /// Since when there is room for more.
    room: Option<Instant>,
    /// The last time something was taken away, and whether something was given since.
    fell: Option<Instant>,
    climbed: Option<Instant>,
    /// That was because somebody waited for it: what comes of it says little of what lasts.
    eagerly: bool,
    /// After a fall nothing is given for so long.
    rest: Duration,
    /// Since when nothing gets through, at every look.
    jammed: Option<Instant>,
}

/// Too much for a moment is borne for so long, if no queue grows.
const PATIENCE: Duration = Duration::from_millis(500);
/// Before a picture goes altogether, nothing must have got through for so long. That it goes is
/// worse than some delay, and an estimate may be low because nothing has proven more yet, or for
/// losses that have nothing to do with us.
const STARVATION: Duration = Duration::from_secs(2);
/// Room must have lasted this long.
const LASTING: Duration = Duration::from_secs(1);
/// Between two climbs.
const DWELL: Duration = Duration::from_secs(2);
/// After a fall; each one that follows a climb doubles it.
const REST: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// After so long without a fall all is forgotten.
const FORGET: Duration = Duration::from_secs(30);
/// What is to be given must fit into this share of the budget.
const ROOM: (u64, u64) = (5, 6);
/// Several pictures that are made larger at once cost this part of what is spare at most: each begins
/// with a key frame, of many times the size of what follows. More of them make a queue, which is taken
/// for a path that does not carry what was given, and all of it is taken away again.
const BURST: u64 = 4;
/// A look while something is missing, and while nothing is.
const LOOK: Duration = Duration::from_millis(200);
const CALM: Duration = Duration::from_secs(1);

impl Outcome {
    /// How long until the next look.
    pub(crate) fn next_look(self) -> Duration {
        if self.satisfied { CALM } else { LOOK }
    }
}

impl Allocator {
    /// Changes `shares`, which say what each of `offers` has now. `eager` says that somebody
    /// waits: a new track, or a tile that was made larger. `unknown` says that some of what is
    /// wanted has not arrived, so that its cost is not known.
    pub(crate) fn decide(
        &mut self,
        now: Instant,
        budget: Budget,
        (eager, unknown): (bool, bool),
        offers: &[Offer],
        shares: &mut [Share],
    ) -> Outcome {
        let tops: Vec<Share> = offers.iter().map(Offer::top).collect();
        let everything = plan::total(offers, &tops);
        self.jammed = budget.congested.then_some(self.jammed.unwrap_or(now));
        match budget.rate {
            None => shares.copy_from_slice(&tops),
            Some(rate) if plan::total(offers, shares) > rate => {
                self.room = None;
                let over = *self.over.get_or_insert(now);
                if budget.pressed || has_passed(now, over, PATIENCE) {
                    let jammed = |since| has_passed(now, since, STARVATION);
                    let starves = self.jammed.is_some_and(jammed);
                    let before = shares.to_vec();
                    plan::trim(rate, starves && !budget.silent, offers, shares);
                    if before != shares {
                        self.fall(now);
                    }
                }
            }
            Some(rate) => {
                self.over = None;
                self.climb(now, rate, eager, offers, shares);
            }
        }
        let held_back = *shares != tops[..];
        let satisfied = !unknown && !held_back;
        self.try_again(now, offers, shares);
        // With the margin that the last step needs, or the prober would rest just below it.
        let (room, of) = ROOM;
        let demand = match satisfied {
            true => everything,
            false => everything * of / room,
        };
        Outcome {
            demand,
            satisfied,
            held_back,
        }
    }

    /// A picture that has gone has nothing to lose: when all gets through again it is tried, the
    /// more rarely the more often that was in vain, whatever the estimate says. Otherwise one that
    /// is low for no reason would keep it away for ever, as nothing is sent that could prove more.
    fn try_again(&mut self, now: Instant, offers: &[Offer], shares: &mut [Share]) {
        let rest = self.rest.max(REST.0);
        let rested = |since| has_passed(now, since, rest);
        if self.jammed.is_some() || !self.fell.is_none_or(rested) {
            return;
        }
        let missing = (0..offers.len()).filter(|index| shares[*index].is_none());
        if let Some(index) = missing.max_by_key(|index| (offers[*index].priority, Reverse(*index)))
        {
            shares[index] = Some(0);
            self.climbed = Some(now);
            self.eagerly = false;
            self.fell = Some(now); // the next one has its turn later
            self.over = None;
        }
    }

    fn fall(&mut self, now: Instant) {
        let factor = if self.climbed.is_some() && !self.eagerly {
            2
        } else {
            1
        };
        let longer = self.rest * factor;
        self.rest = longer.clamp(REST.0, REST.1);
        self.climbed = None;
        self.fell = Some(now);
    }

    fn climb(
        &mut self,
        now: Instant,
        rate: u64,
        eager: bool,
        offers: &[Offer],
        shares: &mut [Share],
    ) {
        let (room, of) = ROOM;
        let mut more = shares.to_vec();
        let spare = rate.saturating_sub(plan::total(offers, shares));
        plan::fill(rate / of * room, spare / BURST, offers, &mut more);
        if more == shares {
            self.room = None;
            return;
        }
        if self.fell.is_some_and(|at| has_passed(now, at, FORGET)) {
            (self.fell, self.rest) = (None, Duration::ZERO);
        }
        let since = *self.room.get_or_insert(now);
        let lasting = has_passed(now, since, LASTING);
        let waited = |at: Option<Instant>, time| at.is_none_or(|at| has_passed(now, at, time));
        // A picture that stands still is worse than one that may have to be taken away again.
        let missing = shares
            .iter()
            .zip(&more)
            .any(|(old, new)| old.is_none() && new.is_some());
        let rested = waited(self.fell, self.rest) && waited(self.climbed, DWELL);
        if eager || (lasting && (rested || missing)) {
            shares.copy_from_slice(&more);
            self.climbed = Some(now);
            self.eagerly = eager;
            self.room = None;
        }
    }
}

fn has_passed(now: Instant, since: Instant, time: Duration) -> bool {
    now.saturating_duration_since(since) >= time
}
