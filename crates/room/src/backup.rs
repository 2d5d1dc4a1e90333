//! A second codec of a picture, for those who cannot decode the first.
//!
//! A publisher names it with its track, and sends it only once it is asked to: when somebody cannot
//! decode the first. Here it is a track of its own, with its own layers, subscribers and demand, of
//! which nobody is told: to its subscribers, and to its publisher, it has the name of the first.

use std::time::Instant;

use umbrella_media::{Codec, Spatial};

use crate::command::NewTrack;
use crate::effect::{Notification, Refusal};
use crate::mesh::Order;
use crate::model::TrackId;
use crate::room::Room;
use crate::roster::{ParticipantKey, TrackKey};
use crate::track::Track;

/// What there is of a second codec.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Backup {
    /// The publisher has named none.
    #[default]
    None,
    /// It would send this one.
    Offered(Codec),
    /// It was asked to.
    Asked(Codec),
    /// It does, by this track.
    Sent(Codec, TrackKey),
}

impl Backup {
    /// The track that carries it.
    pub(crate) fn track(self) -> Option<TrackKey> {
        match self {
            Backup::Sent(_, key) => Some(key),
            Backup::None | Backup::Offered(_) | Backup::Asked(_) => None,
        }
    }

    pub(crate) fn codec(self) -> Option<Codec> {
        match self {
            Backup::Offered(codec) | Backup::Asked(codec) | Backup::Sent(codec, _) => Some(codec),
            Backup::None => None,
        }
    }
}

impl Room {
    /// Somebody cannot decode a track: its publisher is asked for the other codec, once.
    pub(crate) fn ask_for_backup(&mut self, key: TrackKey, undecodable: Codec) {
        let Some(track) = self.roster.tracks.get_mut(&key) else {
            return;
        };
        if let Backup::Offered(codec) = track.backup
            && codec != undecodable
        {
            track.backup = Backup::Asked(codec);
            let (to, id) = (track.publisher_id.clone(), track.view.id.clone());
            let (publisher, track) = (track.publisher, id.clone());
            let codec_of = undecodable;
            let order = || Order::Undecodable {
                track,
                codec: codec_of,
            };
            if self.order(publisher, order) {
                return;
            }
            let notification = Notification::LayersWanted {
                track: id,
                codec: Some(codec),
                highest: Some(Spatial::HIGH),
            };
            self.notify(to, notification);
        } else if let Some(backup) = track.backup.track() {
            self.settle_track(backup);
        }
    }

    /// The publisher sends the other codec. Only what it was asked for, and only of its own.
    pub(crate) fn publish_backup(
        &mut self,
        publisher: ParticipantKey,
        first: &TrackId,
        new: NewTrack,
    ) -> Result<(), Refusal> {
        let (first_key, track) = self.roster.find_track(first).ok_or(Refusal::NotFound)?;
        let asked = matches!(track.backup, Backup::Asked(codec) if Some(codec) == new.codec);
        if track.publisher != publisher || !asked {
            return Err(Refusal::NotAllowed);
        }
        let new = NewTrack {
            source: track.view.source,
            name: track.view.name.clone(),
            stream: track.view.stream.clone(),
            muted: track.view.muted,
            kind: track.view.kind,
            backup: None,
            ..new
        };
        let codec = track.backup.codec();
        let key = self.accept(publisher, new, Some(first_key))?;
        if let (Some(track), Some(codec)) = (self.roster.tracks.get_mut(&first_key), codec) {
            track.backup = Backup::Sent(codec, key);
        }
        Ok(())
    }

    /// A track has ended: with the first codec the second one ends; with the second, those who
    /// watched it have nothing.
    pub(crate) fn end_backup(&mut self, now: Instant, ended: &Track) {
        if let Some(backup) = ended.backup.track() {
            self.end_track(now, backup);
        }
        let first = ended.first.and_then(|key| self.roster.tracks.get_mut(&key));
        if let Some(first) = first {
            // Who offers once may be asked again.
            first.backup = match first.backup.codec() {
                Some(codec) => Backup::Offered(codec),
                None => Backup::None,
            };
        }
    }
}
