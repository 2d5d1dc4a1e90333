//! What each layer of a track costs.

use std::time::{Duration, Instant};

use umbrella_media::{Layer, Layers, Packet, Spatial, Temporal};

/// Steps of the frame rate that are told apart: the base, the next one, all above.
const TEMPORALS: usize = 3;
/// The highest layer of each step.
const STEPS: [Temporal; TEMPORALS] = [Temporal::BASE, Temporal::new(1), Temporal::ALL];
/// How long bytes are counted.
const WINDOW: Duration = Duration::from_secs(1);
/// A first window may be as short: it begins with a key frame, which says little of what follows.
const FIRST: Duration = Duration::from_millis(500);
/// Weight of a new window. So the mean goes back about five seconds, and a burst of one second
/// does not push others off a path that carries both on the average.
const WEIGHT: f64 = 0.2;
/// Header, extensions, tag: what a packet has besides its payload.
const OVERHEAD: u32 = 50;

/// Bits per second of each layer of a producer by itself, as they arrive.
#[derive(Debug)]
pub(crate) struct LayerRates {
    bytes: [[u32; TEMPORALS]; Spatial::COUNT],
    began: Option<Instant>,
    rates: [[f64; TEMPORALS]; Spatial::COUNT],
}

impl LayerRates {
    pub(crate) fn new() -> Self {
        LayerRates {
            bytes: Default::default(),
            began: None,
            rates: Default::default(),
        }
    }

    /// Counts a packet that has arrived.
    pub(crate) fn add(&mut self, now: Instant, packet: &Packet) {
        let began = *self.began.get_or_insert(now);
        if now.saturating_duration_since(began) >= WINDOW {
            self.close(now, began);
        }
        let spatial = packet.encoding.max(packet.descriptor.spatial).index();
        let temporal = step_of(packet.descriptor.temporal);
        let bytes = &mut self.bytes[spatial][temporal];
        *bytes = bytes.saturating_add(packet.payload.len() as u32 + OVERHEAD);
    }

    /// Makes a picture cost so much, half of it at the lowest frame rate.
    #[cfg(test)]
    pub(super) fn set(&mut self, spatial: Spatial, rate: u64) {
        let rate = rate as f64;
        self.rates[spatial.index()] = [rate / 2.0, rate / 4.0, rate / 4.0];
    }

    fn close(&mut self, now: Instant, began: Instant) {
        let seconds = now.saturating_duration_since(began).as_secs_f64();
        for (rates, bytes) in self.rates.iter_mut().zip(&mut self.bytes) {
            // A layer that has just begun, or begins again.
            let new = rates.iter().all(|rate| *rate < 1.0);
            for (rate, bytes) in rates.iter_mut().zip(bytes) {
                let measured = f64::from(std::mem::take(bytes)) * 8.0 / seconds;
                let weight = if new { 1.0 } else { WEIGHT };
                *rate += (measured - *rate) * weight;
            }
        }
        self.began = Some(now);
    }

    /// Bits per second of one layer by itself; before the first window has closed, what the
    /// window has so far.
    fn of(&self, now: Instant, spatial: Spatial, temporal: usize) -> u64 {
        let rate = self.rates[spatial.index()][temporal];
        let bytes = f64::from(self.bytes[spatial.index()][temporal]);
        let elapsed = self
            .began
            .map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        let unmeasured = self.rates[spatial.index()].iter().all(|rate| *rate < 1.0);
        let rate = match unmeasured {
            true => bytes * 8.0 / elapsed.max(FIRST).as_secs_f64(),
            false => rate,
        };
        rate as u64
    }

    /// Everything that arrives, in bits per second.
    pub(crate) fn total(&self, now: Instant) -> u64 {
        let places = (0..).map_while(Spatial::new);
        places
            .flat_map(|spatial| (0..TEMPORALS).map(move |temporal| (spatial, temporal)))
            .map(|(spatial, temporal)| self.of(now, spatial, temporal))
            .sum()
    }
}

/// One way to show a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rung {
    /// Up to this layer.
    pub(crate) layer: Layer,
    /// Bits per second.
    pub(crate) cost: u64,
}

/// The ways to show a track to one subscriber, the cheapest first; each costs more than the one
/// before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ladder {
    rungs: [Rung; Ladder::MAX],
    len: usize,
}

impl Ladder {
    /// Three frame rates of the smallest picture. Of larger ones not the lowest: a smaller
    /// picture that moves is better than a larger one that stutters.
    const MAX: usize = TEMPORALS + (Spatial::COUNT - 1) * (TEMPORALS - 1);

    /// No way at all: nothing has arrived yet.
    pub(crate) const EMPTY: Ladder = Ladder {
        rungs: [Rung {
            layer: Layer::BASE,
            cost: 0,
        }; Ladder::MAX],
        len: 0,
    };

    /// What of `live` can be shown to somebody who wants no more than `wanted`, no less than
    /// `floor`, and `target` most of all. A layer of which the rate is not known yet is none: it
    /// might be anything.
    pub(crate) fn new(
        rates: &LayerRates,
        now: Instant,
        live: Layers,
        wanted: Layer,
        (floor, target): (Spatial, Option<Spatial>),
    ) -> Ladder {
        let mut ladder = Ladder::EMPTY;
        if target.is_none() {
            return ladder;
        }
        let scalable = live.is_scalable();
        let mut below = 0;
        for spatial in (0..).map_while(Spatial::new) {
            let exists = match scalable {
                true => spatial <= live.top_spatial() && spatial <= wanted.spatial,
                false => {
                    let within = spatial >= floor && spatial <= wanted.spatial;
                    live.has_encoding(spatial) && (within || target == Some(spatial))
                }
            };
            if exists {
                let costs = STEPS.map(|temporal| rates.of(now, spatial, step_of(temporal)));
                if scalable && spatial < floor {
                    below += costs.iter().sum::<u64>();
                    continue;
                }
                let whole = ladder.add(spatial, wanted.temporal, below, costs);
                below = if scalable { whole } else { 0 };
            }
        }
        ladder
    }

    /// Adds the frame rates of one picture size, up to the wanted one, on top of what `below`
    /// costs. Returns what all of it costs.
    fn add(
        &mut self,
        spatial: Spatial,
        wanted: Temporal,
        below: u64,
        costs: [u64; TEMPORALS],
    ) -> u64 {
        let most = step_of(wanted);
        let has_more = costs[1..=most].iter().any(|cost| *cost > 0);
        let larger = self.len > 0;
        let mut cost = below;
        let wanted_steps = STEPS.iter().zip(costs).take(most + 1).enumerate();
        for (index, (step, own)) in wanted_steps {
            cost += own;
            let stutters = larger && index == 0 && has_more;
            if own > 0 && !stutters {
                let temporal = if index == most { wanted } else { *step };
                let layer = Layer { spatial, temporal };
                self.push(Rung { layer, cost });
            }
        }
        cost
    }

    /// A ladder of these rungs.
    #[cfg(test)]
    pub(crate) fn of(rungs: impl Iterator<Item = Rung>) -> Ladder {
        let mut ladder = Ladder::EMPTY;
        rungs.for_each(|rung| ladder.push(rung));
        ladder
    }

    pub(crate) fn rungs(&self) -> &[Rung] {
        &self.rungs[..self.len]
    }

    fn push(&mut self, rung: Rung) {
        // What is better and costs no more replaces what is worse.
        while self
            .rungs()
            .last()
            .is_some_and(|last| last.cost >= rung.cost)
        {
            self.len -= 1;
        }
        if let Some(place) = self.rungs.get_mut(self.len) {
            *place = rung;
            self.len += 1;
        }
    }
}

/// The step of the frame rate that a temporal layer belongs to.
fn step_of(temporal: Temporal) -> usize {
    usize::from(temporal.id()).min(TEMPORALS - 1)
}
