//! Everybody and everything in a room, found by key, by id and by identity.
//!
//! Keys are counted up and never used again, so walking a map by key walks it by age, and the
//! order of effects does not depend on a hash.

use std::collections::{BTreeMap, HashMap};

use crate::model::{Identity, ParticipantId, TrackId};
use crate::participant::Participant;
use crate::track::Track;

/// A participant in this room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ParticipantKey(u64);

/// A track in this room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TrackKey(u64);

/// Everybody and everything in a room.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// Everybody, by the order of joining. Only [`Roster`] adds and removes.
    pub(crate) participants: BTreeMap<ParticipantKey, Participant>,
    /// Every track, pending ones included, oldest first. Only [`Roster`] adds and removes.
    pub(crate) tracks: BTreeMap<TrackKey, Track>,
    by_id: HashMap<ParticipantId, ParticipantKey>,
    by_identity: HashMap<Identity, ParticipantKey>,
    by_track: HashMap<TrackId, TrackKey>,
    next: u64,
}

impl ParticipantKey {
    /// One that no roster has given out.
    #[cfg(test)]
    pub(crate) fn for_tests(number: u64) -> ParticipantKey {
        ParticipantKey(number)
    }
}

impl Roster {
    /// A key that no roster has given out.
    #[cfg(test)]
    pub(crate) fn track_key_for_tests(number: u64) -> TrackKey {
        TrackKey(number)
    }

    /// The key of a stay.
    pub(crate) fn by_id(&self, id: &ParticipantId) -> Option<ParticipantKey> {
        self.by_id.get(id).copied()
    }

    /// The key of an identity's present stay.
    pub(crate) fn by_identity(&self, identity: &Identity) -> Option<ParticipantKey> {
        self.by_identity.get(identity).copied()
    }

    /// The key of a track.
    pub(crate) fn by_track(&self, track: &TrackId) -> Option<TrackKey> {
        self.by_track.get(track).copied()
    }

    /// Those who are at this server, by the order of joining.
    pub(crate) fn here(&self) -> impl Iterator<Item = (&ParticipantKey, &Participant)> {
        let here = |(_, participant): &(_, &Participant)| participant.origin.is_none();
        self.participants.iter().filter(here)
    }

    /// Whether somebody is at another server.
    pub(crate) fn is_elsewhere(&self, id: &ParticipantId) -> bool {
        let participant = self.by_id(id).and_then(|key| self.participants.get(&key));
        participant.is_some_and(|participant| participant.origin.is_some())
    }

    /// Somebody's tracks, pending ones included, oldest first.
    pub(crate) fn tracks_of(&self, key: ParticipantKey) -> Vec<TrackKey> {
        let participant = self.participants.get(&key);
        participant.map_or(Vec::new(), |participant| participant.tracks.clone())
    }

    /// A participant and its key.
    pub(crate) fn find(
        &mut self,
        id: &ParticipantId,
    ) -> Option<(ParticipantKey, &mut Participant)> {
        let key = self.by_id(id)?;
        Some((key, self.participants.get_mut(&key)?))
    }

    /// A track and its key.
    pub(crate) fn find_track(&mut self, id: &TrackId) -> Option<(TrackKey, &mut Track)> {
        let key = self.by_track(id)?;
        Some((key, self.tracks.get_mut(&key)?))
    }

    /// Adds somebody whose id and identity are not there yet.
    pub(crate) fn insert(&mut self, participant: Participant) -> ParticipantKey {
        let key = ParticipantKey(self.next_key());
        self.by_id.insert(participant.view.id.clone(), key);
        self.by_identity
            .insert(participant.view.identity.clone(), key);
        self.participants.insert(key, participant);
        key
    }

    /// Takes somebody out, whose tracks have been taken out before.
    pub(crate) fn remove(&mut self, key: ParticipantKey) -> Option<Participant> {
        let participant = self.participants.remove(&key)?;
        debug_assert!(
            participant.tracks.is_empty(),
            "tracks of {} stay",
            participant.view.id
        );
        self.by_id.remove(&participant.view.id);
        self.by_identity.remove(&participant.view.identity);
        Some(participant)
    }

    /// Adds a track whose id is not there yet to its publisher.
    pub(crate) fn insert_track(&mut self, track: Track) -> TrackKey {
        let key = TrackKey(self.next_key());
        if let Some(publisher) = self.participants.get_mut(&track.publisher) {
            publisher.tracks.push(key);
        }
        self.by_track.insert(track.view.id.clone(), key);
        self.tracks.insert(key, track);
        key
    }

    /// Takes a track out, and with it what anybody wished of it.
    pub(crate) fn remove_track(&mut self, key: TrackKey) -> Option<Track> {
        let track = self.tracks.remove(&key)?;
        self.by_track.remove(&track.view.id);
        if let Some(publisher) = self.participants.get_mut(&track.publisher) {
            publisher.tracks.retain(|k| *k != key);
        }
        for participant in self.participants.values_mut() {
            participant.subscriptions.remove(&key);
        }
        Some(track)
    }

    fn next_key(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
