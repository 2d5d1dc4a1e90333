//! Whom a participant may see: everybody, but for cameras that it was not let in for.
//!
//! To whom a camera is not shown, it does not exist. [`Room::shown_to`] stands before every client
//! and takes out of whatever it is told what it may not see, so nobody who tells something has to
//! think of it. Media and data do not come that way: `subscription.rs` and `data.rs` ask
//! [`Participant::sees`].

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::effect::Notification;
use crate::model::{Identity, ParticipantId, ParticipantKind, ParticipantView, RoomView};
use crate::participant::Participant;
use crate::room::Room;
use crate::roster::{ParticipantKey, TrackKey};

/// Which cameras somebody may see, for as long as it stays. A camera is whoever is of kind
/// [`ParticipantKind::Ingress`]; all others are seen by everybody. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Sight {
    /// All of them.
    #[default]
    All,
    /// Those of these identities, now or later, and no others.
    Only(Arc<BTreeSet<Identity>>),
}

impl Sight {
    /// Those of these identities and no others.
    pub fn only(cameras: impl IntoIterator<Item = Identity>) -> Sight {
        Sight::Only(Arc::new(cameras.into_iter().collect()))
    }

    /// Whether somebody is seen. Who is hidden by its
    /// [`permission`](crate::model::Permission::hidden) is another matter.
    pub fn shows(&self, somebody: &ParticipantView) -> bool {
        match self {
            Sight::All => true,
            Sight::Only(cameras) => {
                somebody.kind != ParticipantKind::Ingress || cameras.contains(&somebody.identity)
            }
        }
    }
}

impl Participant {
    /// Whether it may know of somebody; of itself it may.
    pub(crate) fn sees(&self, somebody: &ParticipantView) -> bool {
        self.sight.shows(somebody) || somebody.id == self.view.id
    }
}

impl Room {
    /// [`Room::view`], as if those who are not seen were not in.
    pub fn view_for(&self, sight: &Sight) -> RoomView {
        self.tally(|somebody| sight.shows(somebody)).0
    }

    /// What is left of a notification for somebody, if anything.
    pub(crate) fn shown_to(
        &mut self,
        key: ParticipantKey,
        notification: Notification,
    ) -> Option<Notification> {
        let viewer = self.roster.participants.get(&key)?;
        if viewer.sight == Sight::All {
            return Some(notification);
        }
        let knows = |id: &ParticipantId| self.knows(viewer, id);
        match notification {
            Notification::Joined(mut snapshot) => {
                snapshot.others.retain(|view| viewer.sees(view));
                snapshot.room = self.tally(|somebody| viewer.sees(somebody)).0;
                self.note_shown(key, Arc::new(snapshot.room.clone()));
                Some(Notification::Joined(snapshot))
            }
            Notification::Participants(mut views) => {
                views.retain(|view| viewer.sees(view));
                (!views.is_empty()).then_some(Notification::Participants(views))
            }
            Notification::Room(_) => {
                let view = Arc::new(self.tally(|somebody| viewer.sees(somebody)).0);
                // Nothing has changed but of those whom it does not see.
                if viewer.room_shown.as_ref() == Some(&view) {
                    return None;
                }
                self.note_shown(key, view.clone());
                Some(Notification::Room(view))
            }
            Notification::Speakers(all) => {
                retain(all, |speaker| knows(&speaker.participant)).map(Notification::Speakers)
            }
            Notification::Qualities(all) => {
                retain(all, |quality| knows(&quality.participant)).map(Notification::Qualities)
            }
            Notification::StreamPaused { ref publisher, .. }
            | Notification::SubscriptionAllowed { ref publisher, .. } => {
                knows(publisher).then_some(notification)
            }
            // About itself, its own tracks, or a track that was sent to it.
            Notification::TrackPublished { .. }
            | Notification::TrackRefused { .. }
            | Notification::TrackUnpublished { .. }
            | Notification::TrackSubscribed { .. }
            | Notification::LayersWanted { .. }
            | Notification::TrackMuted { .. }
            | Notification::SubscriptionFailed { .. }
            | Notification::Response { .. }
            | Notification::Leave(_) => Some(notification),
        }
    }

    /// Whether somebody may know of a track.
    pub(crate) fn sees_track(&self, key: ParticipantKey, track: TrackKey) -> bool {
        let Some(viewer) = self.roster.participants.get(&key) else {
            return false;
        };
        if viewer.sight == Sight::All {
            return true;
        }
        let track = self.roster.tracks.get(&track);
        let publisher = track.and_then(|track| self.roster.participants.get(&track.publisher));
        publisher.is_some_and(|publisher| viewer.sees(&publisher.view))
    }

    /// Somebody has lost what it was told: it is told anew how the room is.
    pub(crate) fn forget_shown(&mut self, key: ParticipantKey) {
        if let Some(viewer) = self.roster.participants.get_mut(&key) {
            viewer.room_shown = None;
        }
    }

    fn note_shown(&mut self, key: ParticipantKey, view: Arc<RoomView>) {
        if let Some(viewer) = self.roster.participants.get_mut(&key) {
            viewer.room_shown = Some(view);
        }
    }

    /// Whether an id is of somebody, present or gone a moment ago, of whom a viewer may know. What
    /// nobody remembers is not told.
    fn knows(&self, viewer: &Participant, id: &ParticipantId) -> bool {
        let gone = || self.departures.view(id);
        let view = self.participant_by_id(id).or_else(gone);
        view.is_some_and(|view| viewer.sees(view))
    }
}

fn retain<T: Clone>(all: Arc<[T]>, keep: impl Fn(&T) -> bool) -> Option<Arc<[T]>> {
    if all.iter().all(&keep) {
        return Some(all);
    }
    let rest: Arc<[T]> = all.iter().filter(|it| keep(it)).cloned().collect();
    (!rest.is_empty()).then_some(rest)
}
