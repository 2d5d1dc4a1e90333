//! What one client believes of a room, by what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use umbrella_media::Spatial;
use umbrella_room::model::{
    ParticipantId, ParticipantState, ParticipantView, RoomView, Speaker, TrackId,
};
use umbrella_room::quality::{Quality, QualityView};

use super::model::{Model, without_tracks};

/// What a client believes.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) room: Arc<RoomView>,
    pub(super) me: Arc<ParticipantView>,
    pub(super) others: BTreeMap<ParticipantId, Arc<ParticipantView>>,
    pub(super) speakers: BTreeMap<ParticipantId, f32>,
    /// How much of its tracks it was last asked to send.
    pub(super) asked: BTreeMap<TrackId, Option<Spatial>>,
    /// How good connections are.
    pub(super) qualities: BTreeMap<ParticipantId, Quality>,
    /// What it may not have.
    pub(super) forbidden: BTreeSet<TrackId>,
    /// What is not sent to it because its path does not carry it.
    pub(super) paused: BTreeSet<TrackId>,
    pub(super) dismissed: bool,
}

impl Client {
    pub(super) fn learn(
        &mut self,
        id: &ParticipantId,
        view: &Arc<ParticipantView>,
        departed: &BTreeMap<ParticipantId, u32>,
    ) -> Result<(), String> {
        if view.id == *id {
            let newer = view.version > self.me.version;
            self.me = view.clone();
            return if newer {
                Ok(())
            } else {
                Err(format!("{id} gets old news of itself"))
            };
        }
        let known = self.others.get(&view.id).map(|view| view.version);
        // All are told of the same departure; after it only a newer version counts.
        let newest = known.or_else(|| {
            departed
                .get(&view.id)
                .copied()
                .filter(|_| view.state != ParticipantState::Left)
        });
        if newest.is_some_and(|newest| view.version <= newest) {
            return Err(format!("{id} gets old news of {}", view.id));
        }
        if view.state != ParticipantState::Left {
            self.others.insert(view.id.clone(), view.clone());
            return Ok(());
        }
        match self.others.remove(&view.id) {
            Some(_) if view.left.is_some() => Ok(()),
            Some(_) => Err(format!("{} has left for no reason", view.id)),
            None => Err(format!("{} has left and was not there", view.id)),
        }
    }

    /// Takes in how somebody is, known before or not.
    pub(super) fn recall(&mut self, id: &ParticipantId, view: &Arc<ParticipantView>) {
        if view.id == *id {
            self.me = view.clone();
            return;
        }
        self.others
            .retain(|_, other| other.identity != view.identity);
        if view.state != ParticipantState::Left {
            self.others.insert(view.id.clone(), view.clone());
        }
    }

    pub(super) fn rate(&mut self, id: &ParticipantId, views: &[QualityView]) -> Result<(), String> {
        if views.is_empty() {
            return Err(format!("{id} is told of nobody's connection"));
        }
        let views = views.iter();
        let rated = views.map(|view| (view.participant.clone(), view.quality));
        self.qualities.extend(rated);
        match self.qualities.get(id) {
            Some(Quality::Lost) => Err(format!("{id} is told that it is lost")),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn pause(&mut self, track: &TrackId, paused: bool) {
        if paused {
            self.paused.insert(track.clone());
        } else {
            self.paused.remove(track);
        }
    }

    pub(super) fn send(
        &mut self,
        track: &TrackId,
        highest: Option<Spatial>,
        again: bool,
    ) -> Result<(), String> {
        match self.asked.insert(track.clone(), highest) {
            Some(before) if before == highest && !again => {
                Err(format!("{track}: nothing new is asked"))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn permit(
        &mut self,
        publisher: &ParticipantId,
        track: &TrackId,
        allowed: bool,
        again: bool,
    ) -> Result<(), String> {
        let tracks = self.others.get(publisher).map(|view| &view.tracks);
        if tracks.is_none_or(|tracks| tracks.iter().all(|view| view.id != *track)) {
            return Err(format!("may have {track}, or not, and does not know it"));
        }
        if !allowed {
            self.forbidden.insert(track.clone());
        } else if !self.forbidden.remove(track) && !again {
            return Err(format!("{track} is allowed and was not forbidden"));
        }
        Ok(())
    }

    pub(super) fn hear(&mut self, speakers: &[Speaker], again: bool) -> Result<(), String> {
        if speakers.is_empty() {
            return Err("is told that nobody has begun or ended to speak".to_owned());
        }
        for speaker in speakers {
            if !(0.0..=1.0).contains(&speaker.level) {
                return Err(format!("loudness of {speaker:?}"));
            }
            let before = if speaker.active {
                self.speakers
                    .insert(speaker.participant.clone(), speaker.level)
            } else {
                self.speakers.remove(&speaker.participant)
            };
            if before == speaker.active.then_some(speaker.level) && !again {
                return Err(format!("{speaker:?} is no news"));
            }
        }
        Ok(())
    }

    pub(super) fn compare(
        &self,
        id: &ParticipantId,
        model: &Model,
        truth: &BTreeMap<ParticipantId, ParticipantView>,
    ) -> Result<(), String> {
        let me = truth
            .get(id)
            .map(|view| without_tracks(&Arc::new(view.clone())));
        if me != Some(without_tracks(&self.me)) {
            return Err(format!("{id} believes of itself {:?}, not {me:?}", self.me));
        }
        let forbidden = model.forbidden(id);
        let present = |track: &&TrackId| model.is_open(track);
        let believed: BTreeSet<_> = self.forbidden.iter().filter(present).cloned().collect();
        if believed != forbidden {
            return Err(format!(
                "{id} believes {believed:?} forbidden, not {forbidden:?}"
            ));
        }
        let mut seen = 0;
        for person in model.visible_to(id) {
            let (Some(belief), Some(truth)) =
                (self.others.get(person.id()), truth.get(person.id()))
            else {
                return Err(format!("{id} does not see {}", person.id()));
            };
            if !same(belief, truth) {
                return Err(format!("{id} believes {belief:?}, not {truth:?}"));
            }
            seen += 1;
        }
        if seen == self.others.len() {
            Ok(())
        } else {
            Err(format!(
                "{id} sees somebody whom it should not: {:?}",
                self.others.keys()
            ))
        }
    }
}

/// The same but for the version.
fn same(belief: &ParticipantView, truth: &ParticipantView) -> bool {
    let ParticipantView {
        id,
        identity,
        name,
        metadata,
        attributes,
        kind,
        state,
        joined_at_ms,
        version: _,
        permission,
        publishing,
        client,
        capabilities,
        left,
        tracks,
    } = belief;
    *id == truth.id
        && *identity == truth.identity
        && *name == truth.name
        && *metadata == truth.metadata
        && *attributes == truth.attributes
        && *kind == truth.kind
        && *state == truth.state
        && *joined_at_ms == truth.joined_at_ms
        && *permission == truth.permission
        && *publishing == truth.publishing
        && *client == truth.client
        && *capabilities == truth.capabilities
        && *left == truth.left
        && *tracks == truth.tracks
}
