//! Who should receive what, and what publishers have to send for it.

use std::collections::{BTreeMap, BTreeSet};

use umbrella_media::{Delivery, Kind, Layer, Priority, Spatial, Temporal};
use umbrella_room::command::AllowedSubscribers;
use umbrella_room::model::{ParticipantId, Source, TrackId, TrackView};

use super::{Model, Person, Piece};

impl Model {
    /// Whether a track's publisher lets somebody have it.
    fn lets(&self, piece: &Piece, somebody: &Person) -> bool {
        let owner = self.person(&piece.owner);
        let Some(guests) = owner.and_then(|owner| owner.guests.as_ref()) else {
            return true;
        };
        guests.iter().any(|guest| {
            let named = match &guest.identity {
                Some(identity) => somebody.join.identity == *identity,
                None => guest.participant.as_ref() == Some(somebody.id()),
            };
            let tracks = guest.tracks.as_ref();
            named && tracks.is_none_or(|tracks| tracks.contains(&piece.view.id))
        })
    }

    /// The tracks that somebody may not have.
    pub(crate) fn forbidden(&self, id: &ParticipantId) -> BTreeSet<TrackId> {
        let Some(person) = self.person(id) else {
            return BTreeSet::new();
        };
        let others = self.pieces.iter();
        let others = others.filter(|piece| piece.open && piece.owner != *id);
        let others = others.filter(|piece| self.sees(id, &piece.owner));
        let forbidden = others.filter(|piece| !self.lets(piece, person));
        forbidden.map(|piece| piece.view.id.clone()).collect()
    }

    /// What should flow, and how much of it.
    pub(crate) fn flows(&self) -> BTreeMap<(ParticipantId, TrackId), Delivery> {
        let mut flows = BTreeMap::new();
        for piece in self.pieces.iter().filter(|piece| piece.open) {
            let track = &piece.view.id;
            for person in &self.people {
                let wished = *person
                    .wishes
                    .get(track)
                    .unwrap_or(&person.join.auto_subscribe);
                let flows_to = *person.id() != piece.owner
                    && person.join.permission.subscribe
                    && wished
                    && self.sees(person.id(), &piece.owner)
                    && self.lets(piece, person)
                    && !person.failed.contains(track);
                if flows_to {
                    let delivery = expected_delivery(person, &piece.view);
                    flows.insert((person.id().clone(), track.clone()), delivery);
                }
            }
        }
        flows
    }

    /// The highest layer of each video track that somebody should get, and `None` of those that
    /// nobody should.
    pub(crate) fn wanted(&self) -> BTreeMap<TrackId, Option<Spatial>> {
        let flows = self.flows();
        let open = self.pieces.iter().filter(|piece| piece.open);
        let video = open.filter(|piece| piece.view.kind == Kind::Video);
        let wanted = video.map(|piece| {
            let of_piece = flows
                .iter()
                .filter(|((_, track), _)| *track == piece.view.id);
            let running = of_piece.filter(|(_, delivery)| !delivery.paused);
            let most = running.map(|(_, delivery)| delivery.layer.spatial).max();
            (piece.view.id.clone(), most.map(|most| piece.nearest(most)))
        });
        wanted.collect()
    }

    pub(super) fn allow(&mut self, id: &ParticipantId, allowed: &AllowedSubscribers) {
        let guests = match allowed {
            AllowedSubscribers::Everybody => None,
            AllowedSubscribers::Listed(list) => {
                // Whose two names are of two people is nobody.
                let meant = list.iter().filter(|guest| {
                    let stay = guest.participant.as_ref().and_then(|id| self.person(id));
                    let (Some(stay), Some(identity)) = (stay, &guest.identity) else {
                        return true;
                    };
                    stay.join.identity == *identity
                });
                Some(meant.cloned().collect())
            }
        };
        if let Some(person) = self.person_mut(id) {
            person.guests = guests;
        }
        // A failed subscription ends with the right to have one.
        for id in self.ids() {
            let forbidden = self.forbidden(&id);
            if let Some(person) = self.person_mut(&id) {
                person.failed.retain(|track| !forbidden.contains(track));
            }
        }
    }
}

impl Piece {
    /// What its publisher has to send for somebody to get this layer, or the next best one.
    fn nearest(&self, layer: Spatial) -> Spatial {
        let announced = self.view.layers.iter();
        let announced: Vec<_> = announced.filter_map(|l| Spatial::new(l.quality)).collect();
        match announced[..] {
            [] | [_] => Spatial::HIGH,
            [lowest, ..] => announced
                .into_iter()
                .filter(|a| *a <= layer)
                .max()
                .unwrap_or(lowest),
        }
    }

    /// What its publisher sends until it is asked for less.
    pub(crate) fn everything(&self) -> Spatial {
        self.nearest(Spatial::HIGH)
    }
}

/// The rule in other words: the layers that are large enough, the smallest of these.
fn expected_delivery(person: &Person, track: &TrackView) -> Delivery {
    let settings = person.settings.get(&track.id);
    let large = settings.is_some_and(|s| s.width >= 960 || s.height >= 540);
    let priority = match (track.kind, track.source) {
        (Kind::Video, Source::ScreenShare) => Priority::Screen,
        (Kind::Video, _) if large => Priority::Large,
        _ => Priority::Normal,
    };
    let Some(settings) = settings else {
        let small = track.kind == Kind::Video && person.join.adaptive_stream;
        let spatial = if small { Spatial::LOW } else { Spatial::HIGH };
        return Delivery {
            paused: false,
            layer: Layer {
                spatial,
                temporal: Temporal::ALL,
            },
            priority,
            floor: Spatial::LOW,
        };
    };
    let paused = settings.disabled;
    if track.kind == Kind::Audio {
        return Delivery {
            paused,
            layer: Layer::TOP,
            priority,
            floor: Spatial::LOW,
        };
    }
    let (mut spatial, mut temporal) = (2, 7);
    if settings.width > 0 || settings.height > 0 {
        for layer in track.layers.iter().rev() {
            let by_width = settings.width > 0
                && layer.width > 0
                && f64::from(settings.width) <= f64::from(layer.width) * 1.125;
            let by_height = settings.height > 0
                && layer.height > 0
                && f64::from(settings.height) <= f64::from(layer.height) * 1.125;
            if by_width || by_height {
                spatial = layer.quality;
            }
        }
    } else if let Some(layer) = settings.quality {
        spatial = layer.spatial.index() as u8;
        temporal = layer.temporal.id();
    }
    if settings.frame_rate > 0 && settings.frame_rate <= 15 {
        temporal = temporal.min(1);
    }
    if settings.frame_rate > 0 && settings.frame_rate <= 8 {
        temporal = 0;
    }
    let spatial = Spatial::new(spatial).unwrap_or(Spatial::HIGH);
    Delivery {
        paused,
        layer: Layer {
            spatial,
            temporal: Temporal::new(temporal),
        },
        priority,
        floor: Spatial::LOW,
    }
}
