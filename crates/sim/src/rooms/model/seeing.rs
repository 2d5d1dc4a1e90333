//! Who should know of whom.

use umbrella_room::Sight;
use umbrella_room::command::Join;
use umbrella_room::model::{ParticipantId, ParticipantKind, TrackId};

use super::{Model, Person};

/// Whether somebody may see another one, present or gone, hidden or not.
fn may_see(viewer: &Join, other: &Join) -> bool {
    let is_camera = other.kind == ParticipantKind::Ingress;
    match &viewer.sight {
        Sight::Only(cameras) if is_camera && viewer.id != other.id => {
            cameras.iter().any(|camera| *camera == other.identity)
        }
        Sight::Only(_) | Sight::All => true,
    }
}

impl Model {
    /// Whether somebody who is in may know of another one, who may have left.
    pub(crate) fn sees(&self, viewer: &ParticipantId, other: &ParticipantId) -> bool {
        let (viewer, other) = (self.visitors.get(viewer), self.visitors.get(other));
        viewer.zip(other).is_some_and(|(a, b)| may_see(a, b))
    }

    pub(super) fn sees_track(&self, viewer: &ParticipantId, track: &TrackId) -> bool {
        let owner = self.owner(track);
        owner.is_some_and(|owner| self.sees(viewer, owner))
    }

    /// Everybody whom somebody should see, itself not among them.
    pub(crate) fn visible_to(&self, id: &ParticipantId) -> impl Iterator<Item = &Person> {
        let id = id.clone();
        let seen = move |person: &&Person| {
            *person.id() != id && !person.hidden() && self.sees(&id, person.id())
        };
        self.people.iter().filter(seen)
    }

    /// Participants, publishers, recording.
    pub(crate) fn counts(&self) -> (u32, u32, bool) {
        self.counts_of(|_| true)
    }

    /// As [`Model::counts`], as somebody should be told.
    pub(crate) fn counts_for(&self, viewer: &ParticipantId) -> (u32, u32, bool) {
        self.counts_of(|person| self.sees(viewer, person.id()))
    }

    fn counts_of(&self, known: impl Fn(&Person) -> bool) -> (u32, u32, bool) {
        let known: Vec<_> = self.people.iter().filter(|it| known(it)).collect();
        let seen = known.iter().filter(|person| !person.hidden());
        let publishers = seen.clone().filter(|person| {
            self.pieces
                .iter()
                .any(|piece| piece.open && piece.owner == *person.id())
        });
        let mut recorders = known.iter().filter(|it| it.join.permission.recorder);
        let recording = recorders.next().is_some();
        (seen.count() as u32, publishers.count() as u32, recording)
    }
}
