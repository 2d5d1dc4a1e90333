//! Who lost its signalling connection and is back: whatever it may have missed is said again.
//!
//! Nobody knows which of the last messages arrived, so what is said does not depend on it: how
//! things are now, and who has left lately. All of it can be heard twice without harm.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::effect::Notification;
use crate::model::{LeaveReason, ParticipantId, ParticipantView, Speaker, TrackId};
use crate::room::Room;
use crate::roster::ParticipantKey;
use crate::track::{Track, TrackState};

/// Who left longer ago is forgotten: nobody comes back after so long.
const MEMORY: Duration = Duration::from_secs(60);

/// Departures that a room remembers. Of a room that more leave within [`MEMORY`], somebody who
/// comes back may show some of them a while longer.
const DEPARTURES: usize = 4096;

/// Who has left lately, the last one last.
#[derive(Debug, Default)]
pub(crate) struct Departures(VecDeque<(Instant, Arc<ParticipantView>)>);

impl Departures {
    /// Remembers somebody by its last view. What others need no longer is left out.
    pub(crate) fn note(&mut self, now: Instant, view: &ParticipantView) {
        self.forget(now);
        if self.0.len() >= DEPARTURES {
            self.0.pop_front();
        }
        let view = ParticipantView {
            name: String::new(),
            metadata: String::new(),
            attributes: Default::default(),
            capabilities: Vec::new(),
            ..view.clone()
        };
        self.0.push_back((now, Arc::new(view)));
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, _)) = self.0.front()
            && *at + MEMORY < now
        {
            self.0.pop_front();
        }
    }

    /// The last view of somebody who has left lately.
    pub(crate) fn view(&self, id: &ParticipantId) -> Option<&Arc<ParticipantView>> {
        self.views().rev().find(|view| view.id == *id)
    }

    fn views(&self) -> impl DoubleEndedIterator<Item = &Arc<ParticipantView>> {
        self.0.iter().map(|(_, view)| view)
    }
}

impl Room {
    /// Why somebody who is not in any more has left, if that was lately.
    pub fn departure(&self, id: &ParticipantId) -> Option<LeaveReason> {
        if self.roster.by_id(id).is_some() {
            return None;
        }
        self.departures.view(id)?.left
    }

    /// [`Command::Resume`](crate::Command::Resume).
    pub(crate) fn resume(&mut self, now: Instant, id: &ParticipantId) {
        let Some(key) = self.roster.by_id(id) else {
            return;
        };
        self.departures.forget(now);
        self.forget_shown(key);
        let tracks = self.reminders_of_own(key);
        // Before its own view: a client that finds itself muted there, and is not, unmutes.
        let mut reminders = tracks;
        reminders.push(Notification::Participants(self.company(key)));
        reminders.push(Notification::Room(Arc::new(self.view())));
        reminders.extend(self.voices().map(Notification::Speakers));
        reminders.extend(self.qualities(key));
        reminders.extend(self.reminders_of_subscriptions(key));
        for reminder in reminders {
            self.notify(id.clone(), reminder);
        }
    }

    /// [`Command::ConfirmTracks`](crate::Command::ConfirmTracks): the publisher hears of those that
    /// have ended.
    pub(crate) fn confirm_tracks(&mut self, id: &ParticipantId, tracks: Vec<TrackId>) {
        let Some(key) = self.roster.by_id(id) else {
            return;
        };
        for track in tracks {
            let known = self.roster.by_track(&track);
            let known = known.and_then(|key| self.roster.tracks.get(&key));
            if known.is_none_or(|known| known.publisher != key) {
                self.notify(id.clone(), Notification::TrackUnpublished { track });
            }
        }
    }

    /// Who has left lately, who is in, and itself. Who has left and is back is not said to have
    /// left: clients go by the identity.
    fn company(&self, key: ParticipantKey) -> Vec<Arc<ParticipantView>> {
        let viewer = self.roster.participants.get(&key);
        let is_seen = |view: &ParticipantView| {
            let present = self.participant(&view.identity).zip(viewer);
            present.is_some_and(|(it, viewer)| !it.permission.hidden && viewer.sees(it))
        };
        let gone = self
            .departures
            .views()
            .filter(|view| !view.permission.hidden && !is_seen(view));
        let others = self.roster.participants.iter();
        let others = others
            .filter(|(other, participant)| **other == key || !participant.view.permission.hidden)
            .map(|(_, participant)| &participant.view);
        gone.chain(others).cloned().collect()
    }

    /// Who speaks and who does not (any more).
    fn voices(&self) -> Option<Arc<[Speaker]>> {
        let current = self.speakers.current().unwrap_or_default();
        let speaks = |id: &ParticipantId| current.iter().any(|speaker| speaker.participant == *id);
        // Whoever could have spoken.
        let present = self.roster.participants.values().map(|it| &it.view);
        let known = present.chain(self.departures.views());
        let silent = known
            .filter(|view| !view.permission.hidden && !speaks(&view.id))
            .map(|view| Speaker {
                participant: view.id.clone(),
                level: 0.0,
                active: false,
            });
        let voices: Vec<_> = current.iter().cloned().chain(silent).collect();
        (!voices.is_empty()).then(|| voices.into())
    }

    fn reminders_of_own(&self, key: ParticipantKey) -> Vec<Notification> {
        let Some(participant) = self.roster.participants.get(&key) else {
            return Vec::new();
        };
        let mut reminders = Vec::new();
        for track_key in &participant.tracks {
            let Some(track) = self.roster.tracks.get(track_key) else {
                continue;
            };
            reminders.extend(track.reminders());
            let asked = self.demand.asked(*track_key);
            reminders.extend(asked.map(|highest| Notification::LayersWanted {
                track: track.shown.clone(),
                codec: track.announced_codec(),
                highest,
            }));
        }
        reminders
    }

    fn reminders_of_subscriptions(&self, key: ParticipantKey) -> Vec<Notification> {
        let participant = self.roster.participants.get(&key);
        let subscriptions = participant.into_iter().flat_map(|p| &p.subscriptions);
        let reminders = subscriptions.filter_map(|(track_key, subscription)| {
            let track = self.roster.tracks.get(track_key)?;
            Some(subscription.reminders(&track.publisher_id, track.shown.clone()))
        });
        reminders.flatten().collect()
    }
}

impl Track {
    /// What its publisher may have missed.
    fn reminders(&self) -> impl Iterator<Item = Notification> {
        let track = || self.shown.clone();
        let first = self.first.map(|_| track());
        let (accepted, noticed) = match &self.state {
            TrackState::Pending => (true, false),
            TrackState::Open { noticed, .. } => (false, *noticed),
        };
        let accepted = accepted.then(|| Notification::TrackPublished {
            client_id: self.client_id().to_owned(),
            track: Box::new(self.view.clone()),
            first: first.clone(),
        });
        let muted = self.view.muted.then(|| Notification::TrackMuted {
            track: track(),
            muted: true,
        });
        let noticed = noticed.then(|| Notification::TrackSubscribed { track: track() });
        [accepted, muted, noticed].into_iter().flatten()
    }
}
