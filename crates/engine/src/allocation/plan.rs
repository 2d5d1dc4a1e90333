//! Who gets how much: pure functions of a budget and of what there is to choose from.
//!
//! What can be given is one fixed sequence of steps: first the lowest rung of each track, in the
//! order of priority; then, priority by priority, rounds in which each track gets one rung more.
//! What fits is a prefix of that sequence. So more budget never means less for anybody, and no
//! track goes without for the sake of a less important one. See `docs/allocation.md`.

use std::cmp::Reverse;

use umbrella_media::{Priority, Spatial};

use super::rates::Ladder;

/// What a track can be given: a rung of its ladder, or nothing.
pub(crate) type Share = Option<usize>;

/// A track to be shown.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) priority: Priority,
    pub(crate) ladder: Ladder,
}

impl Offer {
    pub(crate) fn cost(&self, share: Share) -> u64 {
        let rung = share.and_then(|index| self.ladder.rungs().get(index));
        rung.map_or(0, |rung| rung.cost)
    }

    /// Another one begins with a key frame.
    fn size(&self, share: Share) -> Option<Spatial> {
        let rung = self.ladder.rungs().get(share?);
        rung.map(|rung| rung.layer.spatial)
    }

    /// The highest rung; `None` while nothing of it has arrived.
    pub(crate) fn top(&self) -> Share {
        self.ladder.rungs().len().checked_sub(1)
    }

    fn above(&self, share: Share) -> Option<usize> {
        let next = share.map_or(0, |index| index + 1);
        (next < self.ladder.rungs().len()).then_some(next)
    }
}

/// What all of it costs, in bits per second.
pub(crate) fn total(offers: &[Offer], shares: &[Share]) -> u64 {
    let costs = offers.iter().zip(shares);
    costs.map(|(offer, share)| offer.cost(*share)).sum()
}

/// Goes on from `shares` as far as `budget` allows, step by step, and stops at the first one that
/// does not fit; or that makes one more picture larger when those that were made so cost more than
/// `burst` with it: key frames of all of them come at once.
pub(crate) fn fill(budget: u64, burst: u64, offers: &[Offer], shares: &mut [Share]) {
    let mut left = match budget.checked_sub(total(offers, shares)) {
        Some(left) => left,
        None => return,
    };
    let mut order: Vec<usize> = (0..offers.len()).collect();
    order.sort_by_key(|index| Reverse(offers[*index].priority));
    let mut enlarged = vec![0; offers.len()];
    let mut climb = |index: usize, next: usize, shares: &mut [Share]| {
        let offer = &offers[index];
        let more = offer.cost(Some(next)) - offer.cost(shares[index]);
        let others = enlarged.iter().sum::<u64>() - enlarged[index];
        let larger = offer.size(Some(next)) > offer.size(shares[index]);
        let at_once = !larger || others == 0 || others + offer.cost(Some(next)) <= burst;
        match left.checked_sub(more).filter(|_| at_once) {
            Some(rest) => {
                left = rest;
                if larger {
                    enlarged[index] = offer.cost(Some(next));
                }
                shares[index] = Some(next);
                true
            }
            None => false,
        }
    };
    for index in &order {
        if shares[*index].is_none() && offers[*index].top().is_some() && !climb(*index, 0, shares) {
            return;
        }
    }
    for class in order.chunk_by(|a, b| offers[*a].priority == offers[*b].priority) {
        // The lowest first, so that a round brings those up that are behind.
        while let Some((next, index)) = class
            .iter()
            .filter_map(|index| Some((offers[*index].above(shares[*index])?, *index)))
            .min()
        {
            if !climb(index, next, shares) {
                return;
            }
        }
    }
}

/// Takes away until it fits: the least important first, of equals the one that has the most; and
/// the last rung only when nobody has a second one, and if `may_pause`.
pub(crate) fn trim(budget: u64, may_pause: bool, offers: &[Offer], shares: &mut [Share]) {
    while total(offers, shares) > budget {
        let costs = |index: &usize| offers[*index].cost(shares[*index]) > 0;
        let indices = || (0..offers.len()).filter(costs);
        let above_base = indices().filter(|index| shares[*index] > Some(0));
        let key = |index: &usize| (Reverse(offers[*index].priority), shares[*index], *index);
        let bases = || indices().filter(|_| may_pause).max_by_key(key);
        let Some(index) = above_base.max_by_key(key).or_else(bases) else {
            return;
        };
        shares[index] = shares[index].and_then(|share| share.checked_sub(1));
    }
}
