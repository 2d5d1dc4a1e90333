//! What is wanted of tracks that come from other servers: no layer that nobody here wants.
//!
//! As with publishers here (`dynacast.rs`), more is asked for at once, and less only when it has
//! been enough for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use umbrella_media::{Delivery, Kind, Spatial, Temporal};

use crate::dynacast::PATIENCE;
use crate::mesh::{LayerDemand, LayerWish, Share};
use crate::room::Room;
use crate::roster::TrackKey;
use crate::track::{Track, TrackState};

/// What is wanted of all tracks that come from other servers.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    tracks: BTreeMap<TrackKey, Asked>,
    /// Tracks of which something else may be wanted than when it was last looked at them.
    changed: BTreeSet<TrackKey>,
    due: BTreeSet<(Instant, TrackKey)>,
}

/// What was asked for of one track.
#[derive(Debug, Default)]
struct Asked {
    asked: LayerDemand,
    /// Less is wanted: when that is asked for, and the most that was wanted since.
    falling: Option<(Instant, LayerDemand)>,
}

impl Reach {
    /// A track is there from now on.
    pub(crate) fn insert(&mut self, key: TrackKey) {
        self.tracks.insert(key, Asked::default());
        self.changed.insert(key);
    }

    /// A track has ended.
    pub(crate) fn remove(&mut self, key: TrackKey) {
        if let Some(Asked {
            falling: Some((at, _)),
            ..
        }) = self.tracks.remove(&key)
        {
            self.due.remove(&(at, key));
        }
        self.changed.remove(&key);
    }

    /// Something else may be wanted of a track.
    pub(crate) fn look_at(&mut self, key: TrackKey) {
        if self.tracks.contains_key(&key) {
            self.changed.insert(key);
        }
    }

    /// When [`Room::settle_reach`] has something to do although nothing has changed.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What is to be asked for now, if that is something else than before.
    fn settle(&mut self, key: TrackKey, wanted: LayerDemand, now: Instant) -> Option<LayerDemand> {
        let track = self.tracks.get_mut(&key)?;
        let before = track.asked;
        if let Some((at, least)) = track.falling.take() {
            self.due.remove(&(at, key));
            if at <= now {
                track.asked = least;
            } else {
                track.falling = Some((at, least.join(wanted)));
            }
        }
        track.asked = track.asked.join(wanted);
        if track.asked == wanted {
            track.falling = None;
        } else {
            let falling = track.falling.get_or_insert((now + PATIENCE, wanted));
            self.due.insert((falling.0, key));
        }
        (track.asked != before).then_some(track.asked)
    }
}

impl Room {
    /// Asks other servers for what is wanted here.
    pub(crate) fn settle_reach(&mut self, now: Instant) {
        while let Some((at, key)) = self.demand.reach.due.first().copied()
            && at <= now
        {
            self.demand.reach.due.remove(&(at, key));
            self.demand.reach.changed.insert(key);
        }
        while let Some(key) = self.demand.reach.changed.pop_first() {
            let Some(track) = self.roster.tracks.get(&key) else {
                continue;
            };
            let wanted = self.wanted_here(key, track);
            let (publisher, id) = (track.publisher, track.view.id.clone());
            let asked = self.demand.reach.settle(key, wanted, now);
            let publisher = self.roster.participants.get(&publisher);
            let origin = publisher.and_then(|publisher| publisher.origin.clone());
            if let (Some(layers), Some(origin)) = (asked, origin) {
                let track = id;
                self.shares.push_back(Share::Demand {
                    origin,
                    track,
                    layers,
                });
            }
        }
    }

    fn wanted_here(&self, key: TrackKey, track: &Track) -> LayerDemand {
        let TrackState::Open { subscribers, .. } = &track.state else {
            return LayerDemand::NONE;
        };
        if track.quiet {
            return LayerDemand::NONE;
        }
        let participants = subscribers
            .iter()
            .filter_map(|it| self.roster.participants.get(it));
        let subscriptions = participants.filter_map(|it| it.subscriptions.get(&key));
        let wanted = subscriptions.filter_map(|subscription| subscription.demand());
        wanted.fold(LayerDemand::NONE, |all, (delivery, limited)| {
            all.join(layers_of(track, delivery, limited))
        })
    }
}

/// The layers that one subscriber needs.
fn layers_of(track: &Track, delivery: Delivery, limited: bool) -> LayerDemand {
    let wish = LayerWish {
        temporal: delivery.layer.temporal,
        priority: delivery.priority,
    };
    if track.view.kind == Kind::Audio {
        let temporal = Temporal::ALL;
        return LayerDemand::of(Spatial::LOW, LayerWish { temporal, ..wish });
    }
    let announced = track.view.layers.iter();
    let announced = announced.filter_map(|layer| Spatial::new(layer.quality));
    let choice: Vec<_> = announced.collect();
    if choice.len() <= 1 {
        return LayerDemand::of(Spatial::HIGH, wish);
    }
    let wanted = delivery.layer.spatial;
    let fits = |layer: &&Spatial| **layer <= wanted;
    let best = choice.iter().rev().find(fits).or(choice.first());
    let best = best.copied().unwrap_or(wanted);
    let below = choice.into_iter().filter(|layer| limited && *layer < best);
    below.chain([best]).fold(LayerDemand::NONE, |all, layer| {
        all.join(LayerDemand::of(layer, wish))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roster::Roster;
    use umbrella_media::Priority;

    fn layer(spatial: Spatial) -> LayerDemand {
        let wish = LayerWish {
            temporal: Temporal::ALL,
            priority: Priority::Normal,
        };
        LayerDemand::of(spatial, wish)
    }

    #[test]
    fn scrolling_back_and_forth_costs_a_key_frame_each_time() {
        let (mut reach, now) = (Reach::default(), Instant::now());
        let key = Roster::track_key_for_tests(1);
        reach.insert(key);
        let (low, high) = (layer(Spatial::LOW), layer(Spatial::HIGH));
        assert_eq!(reach.settle(key, high, now), Some(high));
        // Less is wanted: for a while both are sent.
        assert_eq!(reach.settle(key, low, now), Some(low.join(high)));
        let later = now + PATIENCE / 2;
        assert_eq!(reach.settle(key, high, later), None);
        assert_eq!(reach.due(), Some(now + PATIENCE));
        // What was wanted in between is asked for a while longer.
        let end = now + PATIENCE;
        assert_eq!(reach.settle(key, high, end), None);
        assert_eq!(reach.settle(key, high, end + PATIENCE), Some(high));
        assert_eq!(reach.due(), None);
        assert_eq!(reach.settle(key, LayerDemand::NONE, end + PATIENCE), None);
        let gone = end + 2 * PATIENCE;
        let none = LayerDemand::NONE;
        assert_eq!(reach.settle(key, none, gone), Some(none));
    }
}
