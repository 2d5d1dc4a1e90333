//! What a publisher is asked to send: no layer that nobody wants.
//!
//! Of every video track it is counted how many open subscriptions want which layer at most; those
//! that are paused want nothing. More is asked for at once. Less is asked for only when it has
//! been enough for a while: people scroll back, and a layer that begins anew costs a key frame.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use umbrella_media::{Delivery, Spatial};

use crate::effect::Notification;
use crate::model::VideoLayer;
use crate::reach::Reach;
use crate::room::Room;
use crate::roster::TrackKey;

/// How long something is still sent that nobody wants. What is wanted may fall again meanwhile,
/// so that the last of it stops after twice this time at the latest.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);

/// What is wanted of all video tracks that are open.
#[derive(Debug, Default)]
pub(crate) struct Demand {
    tracks: BTreeMap<TrackKey, TrackDemand>,
    /// Tracks of which something else is wanted than when it was last looked at them.
    changed: BTreeSet<TrackKey>,
    /// [`Falling::at`] of those that have it.
    due: BTreeSet<(Instant, TrackKey)>,
    /// What is wanted of tracks that come from other servers.
    pub(crate) reach: Reach,
}

/// What is wanted of one track.
#[derive(Debug)]
struct TrackDemand {
    /// What the publisher can switch on and off, lowest first; at least one.
    choice: Vec<Spatial>,
    /// Subscriptions by the highest layer that each wants.
    wanted: [usize; Spatial::COUNT],
    /// The highest layer that other servers want.
    links: Option<Spatial>,
    /// The highest layer that the publisher sends as far as it was asked; `None` is nothing.
    asked: Option<Spatial>,
    falling: Option<Falling>,
}

/// The publisher sends more than is wanted.
#[derive(Debug, Clone, Copy)]
struct Falling {
    /// When it is asked for less.
    at: Instant,
    /// The most that was wanted since this began.
    to: Option<Spatial>,
}

impl Room {
    /// What is due of [`Reason::Layers`](crate::Reason::Layers).
    pub(crate) fn layers_due(&mut self, now: Instant) {
        while let Some((at, key)) = self.demand.due.first().copied()
            && at <= now
        {
            let asked = self.demand.update(key, |track| track.fall(now));
            self.ask_publisher(key, asked);
        }
    }

    /// Looks at the tracks of which something else is wanted than before.
    pub(crate) fn settle_layers(&mut self, now: Instant) {
        while let Some(key) = self.demand.changed.pop_first() {
            let asked = self.demand.update(key, |track| track.settle(now));
            self.ask_publisher(key, asked);
        }
        self.settle_reach(now);
    }

    fn ask_publisher(&mut self, key: TrackKey, asked: Option<Asked>) {
        if let (Some(Asked(highest)), Some(track)) = (asked, self.roster.tracks.get(&key)) {
            let notification = Notification::LayersWanted {
                track: track.shown.clone(),
                codec: track.announced_codec(),
                highest,
            };
            self.notify(track.publisher_id.clone(), notification);
        }
    }
}

/// Something new that a publisher is asked for.
#[derive(Debug)]
struct Asked(Option<Spatial>);

impl Demand {
    /// A video track is open: its publisher begins with everything.
    pub(crate) fn insert(&mut self, key: TrackKey, layers: &[VideoLayer]) {
        let announced = layers.iter().filter_map(|l| Spatial::new(l.quality));
        let mut choice: Vec<_> = announced.collect();
        if choice.len() <= 1 {
            // It is sent or not, whatever its quality is called.
            choice = vec![Spatial::HIGH];
        }
        let track = TrackDemand {
            asked: choice.last().copied(),
            choice,
            wanted: [0; Spatial::COUNT],
            links: None,
            falling: None,
        };
        self.tracks.insert(key, track);
        self.changed.insert(key);
    }

    /// A track has ended.
    pub(crate) fn remove(&mut self, key: TrackKey) {
        let falling = self.tracks.remove(&key).and_then(|track| track.falling);
        if let Some(falling) = falling {
            self.due.remove(&(falling.at, key));
        }
        self.changed.remove(&key);
        self.reach.remove(key);
    }

    /// Other servers want something else of a track.
    pub(crate) fn set_links(&mut self, key: TrackKey, highest: Option<Spatial>) {
        if let Some(track) = self.tracks.get_mut(&key)
            && track.links != highest
        {
            track.links = highest;
            self.changed.insert(key);
        }
    }

    /// A subscriber needs something else of a track than before, without a new delivery.
    pub(crate) fn look_at(&mut self, key: TrackKey) {
        self.reach.look_at(key);
    }

    /// A subscription gets something else than before; `None` is a closed one.
    pub(crate) fn change(&mut self, key: TrackKey, old: Option<Delivery>, new: Option<Delivery>) {
        if old != new {
            self.reach.look_at(key);
        }
        let wanted = |delivery: Option<Delivery>| delivery.filter(|d| !d.paused);
        let layer = |delivery| wanted(delivery).map(|delivery| delivery.layer.spatial);
        let (old, new) = (layer(old), layer(new));
        let Some(track) = self.tracks.get_mut(&key).filter(|_| old != new) else {
            return;
        };
        if let Some(old) = old {
            track.wanted[old.index()] -= 1;
        }
        if let Some(new) = new {
            track.wanted[new.index()] += 1;
        }
        self.changed.insert(key);
    }

    /// The highest layer of a video track that its publisher sends, as far as it was asked.
    pub(crate) fn asked(&self, key: TrackKey) -> Option<Option<Spatial>> {
        self.tracks.get(&key).map(|track| track.asked)
    }

    /// When [`Room::layers_due`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        let here = self.due.first().map(|(at, _)| *at);
        [here, self.reach.due()].into_iter().flatten().min()
    }

    /// Does something to a track, and notes when it is due.
    fn update(
        &mut self,
        key: TrackKey,
        change: impl Fn(&mut TrackDemand) -> Option<Asked>,
    ) -> Option<Asked> {
        let track = self.tracks.get_mut(&key)?;
        if let Some(falling) = track.falling {
            self.due.remove(&(falling.at, key));
        }
        let asked = change(track);
        if let Some(falling) = track.falling {
            self.due.insert((falling.at, key));
        }
        asked
    }
}

impl TrackDemand {
    /// The highest layer that somebody wants, as far as the publisher has it.
    fn highest(&self) -> Option<Spatial> {
        let here = self.wanted.iter().rposition(|count| *count > 0);
        let elsewhere = self.links.map(Spatial::index);
        let highest = here.max(elsewhere)?;
        let has = |layer: &&Spatial| layer.index() <= highest;
        let choice = self.choice.iter();
        choice.rev().find(has).or(self.choice.first()).copied()
    }

    fn settle(&mut self, now: Instant) -> Option<Asked> {
        let wanted = self.highest();
        if wanted < self.asked {
            let falling = self.falling.get_or_insert(Falling {
                at: now + PATIENCE,
                to: wanted,
            });
            falling.to = falling.to.max(wanted);
            return None;
        }
        self.falling = None;
        if wanted == self.asked {
            return None;
        }
        self.asked = wanted;
        Some(Asked(wanted))
    }

    /// Asks for as little as was enough for a while; what is wanted now may be even less.
    fn fall(&mut self, now: Instant) -> Option<Asked> {
        let falling = self.falling.take()?;
        self.asked = falling.to;
        self.settle(now);
        Some(Asked(falling.to))
    }
}
