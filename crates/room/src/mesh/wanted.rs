//! What is wanted of an origin's tracks: here, and by neighbours.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::command::Remote;
use crate::model::{ParticipantView, TrackId, TrackView};

use super::demand::LayerDemand;
use super::link::LinkId;
use super::message::{Message, Person};
use super::origin::{Away, Origin, Source};
use super::{Output, Surroundings};

/// Tracks of which something can be wanted before they are known.
const EARLY_DEMANDS: usize = 4096;

/// What is wanted of one track.
#[derive(Debug, Default)]
pub(super) struct TrackDemand {
    pub(super) here: LayerDemand,
    pub(super) links: BTreeMap<LinkId, LayerDemand>,
    /// What was asked for upstream.
    pub(super) asked: LayerDemand,
    pub(super) starved: bool,
}

impl Origin {
    /// A track of one of its participants.
    pub(super) fn track(&self, track: &TrackId) -> Option<&TrackView> {
        let mut people = self.people.values();
        let tracks = people.find_map(|it| it.tracks.iter().find(|it| it.view.id == *track));
        tracks.map(|track| &track.view)
    }

    /// Whose track it is.
    pub(super) fn publisher(&self, track: &TrackId) -> Option<&Arc<ParticipantView>> {
        let mut people = self.people.values();
        let has = |person: &&Person| person.tracks.iter().any(|it| it.view.id == *track);
        people.find(has).map(|person| &person.view)
    }

    /// Whether one of its participants publishes a track.
    pub(super) fn has_track(&self, track: &TrackId) -> bool {
        self.tracks.contains(track)
    }

    /// What is wanted here.
    pub(super) fn demand_here(
        &mut self,
        track: &TrackId,
        layers: LayerDemand,
        around: &mut Surroundings<'_>,
    ) {
        if !self.demands.contains_key(track) && !self.has_track(track) {
            return;
        }
        self.demands.entry(track.clone()).or_default().here = layers;
        self.settle_demand(track, around);
    }

    /// What a neighbour wants.
    pub(super) fn demand_from(
        &mut self,
        link: LinkId,
        track: &TrackId,
        layers: LayerDemand,
        around: &mut Surroundings<'_>,
    ) {
        // Who follows through here may know more than has been named here so far.
        let early = !self.is_synced() && self.demands.len() < EARLY_DEMANDS;
        if !self.followers.contains_key(&link) || !self.has_track(track) && !early {
            return;
        }
        let demand = self.demands.entry(track.clone()).or_default();
        let before = demand.links.insert(link, layers).unwrap_or_default();
        if layers.is_none() {
            demand.links.remove(&link);
        }
        if before != layers {
            self.carry(link, track, layers, around);
            self.settle_demand(track, around);
        }
    }

    /// A track is known from now on, of which something may have been wanted before.
    pub(super) fn begin_track(&self, track: &TrackId, around: &mut Surroundings<'_>) {
        let Some(demand) = self.demands.get(track) else {
            return;
        };
        for (link, layers) in &demand.links {
            self.carry(*link, track, *layers, around);
        }
        if let Source::Away(Away {
            following: Some(link),
            ..
        }) = self.source
        {
            around.send(link, self.demand_of(track, demand.asked));
        }
    }

    pub(super) fn carry(
        &self,
        link: LinkId,
        track: &TrackId,
        layers: LayerDemand,
        around: &mut Surroundings<'_>,
    ) {
        if !self.has_track(track) && !layers.is_none() {
            return;
        }
        around.outputs.push_back(Output::Carry {
            link,
            room: self.room.clone(),
            origin: self.node.clone(),
            track: track.clone(),
            layers,
        });
        let starved = self.demands.get(track).is_some_and(|it| it.starved);
        if starved && !layers.is_none() {
            around.send(link, self.starved_message(track, true));
        }
    }

    pub(super) fn demand_of(&self, track: &TrackId, layers: LayerDemand) -> Message {
        Message::Demand {
            room: self.room.clone(),
            origin: self.node.clone(),
            track: track.clone(),
            layers,
        }
    }

    fn starved_message(&self, track: &TrackId, starved: bool) -> Message {
        Message::Starved {
            room: self.room.clone(),
            origin: self.node.clone(),
            track: track.clone(),
            starved,
        }
    }

    /// What a neighbour wanted it wants no more.
    pub(super) fn drop_demand_of(&mut self, link: LinkId, around: &mut Surroundings<'_>) {
        let wants = |(track, demand): (&TrackId, &TrackDemand)| {
            demand.links.contains_key(&link).then(|| track.clone())
        };
        for track in self.demands.iter().filter_map(wants).collect::<Vec<_>>() {
            if let Some(demand) = self.demands.get_mut(&track) {
                demand.links.remove(&link);
            }
            self.carry(link, &track, LayerDemand::NONE, around);
            self.settle_demand(&track, around);
        }
    }

    /// Asks for what is wanted by anybody, or tells the room of its own track.
    pub(super) fn settle_demand(&mut self, track: &TrackId, around: &mut Surroundings<'_>) {
        let Some(demand) = self.demands.get_mut(track) else {
            return;
        };
        let links = demand.links.values();
        let all = links.fold(demand.here, |all, link| all.join(*link));
        let before = std::mem::replace(&mut demand.asked, all);
        if all.is_none() {
            self.demands.remove(track);
        }
        if all == before {
            return;
        }
        match &self.source {
            Source::Here { .. } => around.outputs.push_back(Output::Room {
                room: self.room.clone(),
                origin: self.node.clone(),
                remote: Box::new(Remote::Demanded {
                    track: track.clone(),
                    layers: all,
                }),
            }),
            Source::Away(away) => {
                if let Some(link) = away.following {
                    around.send(link, self.demand_of(track, all));
                }
            }
        }
    }

    pub(super) fn end_track(&mut self, track: &TrackId, around: &mut Surroundings<'_>) {
        self.tracks.remove(track);
        around.ended.push(track.clone());
        let Some(demand) = self.demands.remove(track) else {
            return;
        };
        for link in demand.links.into_keys() {
            self.carry(link, track, LayerDemand::NONE, around);
        }
        // A neighbour that has been asked anew meanwhile may still have it.
        if let Source::Away(Away {
            following: Some(link),
            ..
        }) = self.source
        {
            around.send(link, self.demand_of(track, LayerDemand::NONE));
        }
    }

    /// The way to here does not carry a track, or does so again.
    pub(super) fn starved(
        &mut self,
        track: &TrackId,
        starved: bool,
        around: &mut Surroundings<'_>,
    ) {
        let Some(demand) = self.demands.get_mut(track) else {
            return;
        };
        if std::mem::replace(&mut demand.starved, starved) == starved {
            return;
        }
        let links: Vec<_> = demand.links.keys().copied().collect();
        for link in links {
            around.send(link, self.starved_message(track, starved));
        }
        let track = track.clone();
        self.tell_room(Remote::Starved { track, starved }, around);
    }
}
