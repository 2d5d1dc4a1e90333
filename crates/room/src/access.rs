//! Whom a publisher lets have its tracks.
//!
//! Everybody, until it says otherwise. What it lists is taken as far as it makes sense: entries
//! that name nobody, or two at once, and tracks that are not its own, allow nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::command::{Allowance, AllowedSubscribers};
use crate::model::{Identity, ParticipantId, ParticipantView, TrackId};
use crate::room::Room;
use crate::roster::ParticipantKey;

/// Allowances that one publisher can list; further ones are ignored.
const ALLOWANCES: usize = 1024;

/// Whom a publisher lets have its tracks.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Access {
    /// Whoever is in.
    #[default]
    Everybody,
    /// These and nobody else.
    Listed {
        /// Present stays.
        stays: BTreeMap<ParticipantId, AllowedTracks>,
        /// Whoever has the identity, now or later.
        identities: BTreeMap<Identity, AllowedTracks>,
    },
}

/// Which tracks somebody may have.
#[derive(Debug, Clone, PartialEq)]
pub enum AllowedTracks {
    /// All, those included that come later.
    All,
    /// These.
    Some(BTreeSet<TrackId>),
}

impl Access {
    /// Whether somebody may have a track.
    pub(crate) fn allows(&self, somebody: &ParticipantView, track: &TrackId) -> bool {
        match self {
            Access::Everybody => true,
            Access::Listed { stays, identities } => {
                let of_stay = stays.get(&somebody.id);
                let of_identity = identities.get(&somebody.identity);
                let mut allowed = of_stay.into_iter().chain(of_identity);
                allowed.any(|tracks| tracks.contain(track))
            }
        }
    }
}

impl AllowedTracks {
    fn contain(&self, track: &TrackId) -> bool {
        match self {
            AllowedTracks::All => true,
            AllowedTracks::Some(tracks) => tracks.contains(track),
        }
    }

    fn join(&mut self, other: AllowedTracks) {
        match (&mut *self, other) {
            (AllowedTracks::All, _) => {}
            (AllowedTracks::Some(_), AllowedTracks::All) => *self = AllowedTracks::All,
            (AllowedTracks::Some(tracks), AllowedTracks::Some(more)) => tracks.extend(more),
        }
    }
}

impl Room {
    /// [`Command::AllowSubscribers`](crate::Command::AllowSubscribers).
    pub(crate) fn allow_subscribers(&mut self, id: &ParticipantId, allowed: AllowedSubscribers) {
        let Some(key) = self.roster.by_id(id) else {
            return;
        };
        let access = match allowed {
            AllowedSubscribers::Everybody => Access::Everybody,
            AllowedSubscribers::Listed(list) => self.listed(key, list),
        };
        let Some(publisher) = self.roster.participants.get_mut(&key) else {
            return;
        };
        if *publisher.access == access {
            return;
        }
        let access = Arc::new(access);
        publisher.access = access.clone();
        for track_key in publisher.tracks.clone() {
            if let Some(track) = self.roster.tracks.get_mut(&track_key) {
                track.access = access.clone();
            }
            self.settle_track(track_key);
        }
        self.share_change(key);
    }

    fn listed(&self, publisher: ParticipantKey, list: Vec<Allowance>) -> Access {
        let mut stays = BTreeMap::new();
        let mut identities = BTreeMap::new();
        for allowance in list.into_iter().take(ALLOWANCES) {
            let tracks = self.allowed_tracks(publisher, allowance.tracks);
            let named = allowance.participant.as_ref();
            let present = named.and_then(|id| self.participant_by_id(id));
            match (present, allowance.identity) {
                // It names two.
                (Some(present), Some(identity)) if present.identity != identity => {}
                (_, Some(identity)) => add(&mut identities, identity, tracks),
                (Some(present), None) => add(&mut stays, present.id.clone(), tracks),
                (None, None) => {}
            }
        }
        Access::Listed { stays, identities }
    }

    fn allowed_tracks(
        &self,
        publisher: ParticipantKey,
        tracks: Option<Vec<TrackId>>,
    ) -> AllowedTracks {
        let Some(tracks) = tracks else {
            return AllowedTracks::All;
        };
        let own = |id: &TrackId| {
            let track = self
                .roster
                .by_track(id)
                .and_then(|key| self.roster.tracks.get(&key));
            track.is_some_and(|track| track.publisher == publisher)
        };
        AllowedTracks::Some(tracks.into_iter().filter(own).collect())
    }
}

/// Who is listed twice may have what either entry allows.
fn add<K: Ord>(list: &mut BTreeMap<K, AllowedTracks>, whom: K, tracks: AllowedTracks) {
    match list.get_mut(&whom) {
        Some(allowed) => allowed.join(tracks),
        None => {
            list.insert(whom, tracks);
        }
    }
}
