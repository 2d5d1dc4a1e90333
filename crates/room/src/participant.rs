//! Who may come in, and who is told that somebody came, changed or left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::access::Access;
use crate::command::{Join, ParticipantChange};
use crate::effect::{Effect, Notification, Refusal, Snapshot};
use crate::mesh::Share;
use crate::model::{
    Identity, LeaveReason, NodeId, ParticipantId, ParticipantState, ParticipantView, RoomView,
};
use crate::quality::Rating;
use crate::room::{Audience, Room};
use crate::roster::{ParticipantKey, TrackKey};
use crate::sight::Sight;
use crate::subscription::Subscription;

/// Somebody in the room.
#[derive(Debug)]
pub(crate) struct Participant {
    /// What others see of it, shared with all who were told.
    pub(crate) view: Arc<ParticipantView>,
    /// Which cameras it may see.
    pub(crate) sight: Sight,
    /// How it was last told that the room is, if it does not see all cameras.
    pub(crate) room_shown: Option<Arc<RoomView>>,
    /// Subscribes to everything that it has not said otherwise of.
    pub(crate) auto_subscribe: bool,
    /// Will say what it shows.
    pub(crate) adaptive_stream: bool,
    /// What it publishes, pending tracks included, oldest first.
    pub(crate) tracks: Vec<TrackKey>,
    /// Whom it lets have them.
    pub(crate) access: Arc<Access>,
    /// Whose server it is at; `None` is here.
    pub(crate) origin: Option<NodeId>,
    /// How good its connection is.
    pub(crate) rating: Rating,
    /// What it wishes and has of open tracks.
    pub(crate) subscriptions: BTreeMap<TrackKey, Subscription>,
}

impl Room {
    /// Whether somebody may come in now. Ask before [`Command::Join`](crate::Command::Join), while
    /// the client can still be told why not; a refused join that is handled all the same is sent
    /// away at once.
    pub fn admit(&self, join: &Join) -> Result<(), Refusal> {
        if self.roster.by_id(&join.id).is_some() {
            return Err(Refusal::Duplicate);
        }
        // Whoever is replaced makes room for its successor.
        let replaced = self.roster.by_identity(&join.identity);
        let staying = || {
            self.roster
                .participants
                .iter()
                .filter(|(key, _)| Some(**key) != replaced)
        };
        let full = |count: usize, bound: u32| bound > 0 && count >= bound as usize;
        let hidden = join.permission.hidden;
        if full(staying().count(), self.config.limits.participants)
            || !hidden && full(self.visible(replaced), self.config.max_participants)
        {
            return Err(Refusal::RoomFull);
        }
        let limits = &self.config.limits;
        limits.check_name(&join.name)?;
        limits.check_metadata(&join.metadata)?;
        limits.check_attributes(&join.attributes)
    }

    /// Whether [`Moderation::Update`](crate::command::Moderation::Update) finds its participant
    /// and is within the limits. An update that is not is ignored as a whole.
    pub fn admit_change(
        &self,
        identity: &Identity,
        change: &ParticipantChange,
    ) -> Result<(), Refusal> {
        let participant = self.participant(identity).ok_or(Refusal::NotFound)?;
        self.changed_view(participant, change).map(|_| ())
    }

    /// [`Command::Join`](crate::Command::Join).
    pub(crate) fn join(&mut self, now: Instant, join: Join) {
        match self.admit(&join) {
            Ok(()) => {}
            // Not a second one: the same stay.
            Err(Refusal::Duplicate) => return,
            Err(
                Refusal::RoomFull
                | Refusal::NoMemory
                | Refusal::LimitExceeded
                | Refusal::NotAllowed
                | Refusal::NotFound,
            ) => {
                self.send_away(join.id, LeaveReason::Misbehaved);
                return;
            }
        }
        let mut join = join;
        if let Some(earlier) = self.roster.by_identity(&join.identity) {
            join.joined_at_ms = self.give_way(now, earlier, join.joined_at_ms);
        }
        let key = self.roster.insert(self.newcomer(join));
        self.welcome(key);
        self.announce_unchanged(key, Audience::Others);
        self.settle_participant(key);
        self.census(now);
    }

    /// [`Command::Leave`](crate::Command::Leave).
    pub(crate) fn leave(&mut self, now: Instant, id: &ParticipantId, reason: LeaveReason) {
        if let Some(key) = self.roster.by_id(id) {
            self.part_with(now, key, reason);
        }
    }

    /// [`Command::MediaConnected`](crate::Command::MediaConnected).
    pub(crate) fn media_connected(&mut self, id: &ParticipantId) {
        let Some((key, participant)) = self.roster.find(id) else {
            return;
        };
        if participant.view.state == ParticipantState::Joined {
            Arc::make_mut(&mut participant.view).state = ParticipantState::Active;
            self.announce(key, Audience::Everybody);
        }
    }

    /// [`Command::UpdateSelf`](crate::Command::UpdateSelf).
    pub(crate) fn update_self(
        &mut self,
        id: &ParticipantId,
        request: u32,
        change: &ParticipantChange,
    ) {
        let Some((key, participant)) = self.roster.find(id) else {
            return;
        };
        let result = if participant.view.permission.update_own_metadata {
            self.change(key, change)
        } else {
            Err(Refusal::NotAllowed)
        };
        self.notify(id.clone(), Notification::Response { request, result });
    }

    /// Changes what others see of somebody, and tells them if anything is different.
    pub(crate) fn change(
        &mut self,
        key: ParticipantKey,
        change: &ParticipantChange,
    ) -> Result<(), Refusal> {
        let participant = self
            .roster
            .participants
            .get(&key)
            .ok_or(Refusal::NotFound)?;
        let view = self.changed_view(&participant.view, change)?;
        if view != *participant.view {
            if let Some(participant) = self.roster.participants.get_mut(&key) {
                participant.view = Arc::new(view);
            }
            self.announce(key, Audience::Everybody);
        }
        Ok(())
    }

    /// Somebody here leaves for good: nobody of the same identity follows.
    pub(crate) fn part_with(&mut self, now: Instant, key: ParticipantKey, reason: LeaveReason) {
        let participant = self.roster.participants.get(&key);
        let identity = participant.map(|participant| participant.view.identity.clone());
        self.remove(now, key, reason);
        if let Some(identity) = identity {
            self.bring_back(now, &identity);
        }
        self.end_if_empty(now);
    }

    /// Takes somebody out with all tracks and subscriptions, and tells the others.
    pub(crate) fn remove(&mut self, now: Instant, key: ParticipantKey, reason: LeaveReason) {
        if let Some(view) = self.take_out(now, key, reason)
            && !view.permission.hidden
        {
            self.tell(&[view], |_| true);
        }
        self.census(now);
    }

    /// Takes somebody out with all tracks and subscriptions. The others are not told.
    pub(crate) fn take_out(
        &mut self,
        now: Instant,
        key: ParticipantKey,
        reason: LeaveReason,
    ) -> Option<Arc<ParticipantView>> {
        self.close_subscriptions(key);
        for track in self.roster.participants.get(&key)?.tracks.clone() {
            self.end_track(now, track);
        }
        self.speakers.leave(key);
        self.floor.leave(key);
        let mut participant = self.roster.remove(key)?;
        let id = participant.view.id.clone();
        if participant.origin.is_some() {
            Arc::make_mut(&mut participant.view).part(reason);
            self.departures.note(now, &participant.view);
            return Some(participant.view);
        }
        self.shares.push_back(Share::Gone {
            participant: id.clone(),
            reason,
        });
        match reason {
            // It knows, or can no longer be told.
            LeaveReason::Asked | LeaveReason::SignalLost => {
                self.effects.push_back(Effect::Disconnect {
                    participant: id,
                    reason,
                });
            }
            LeaveReason::DuplicateIdentity
            | LeaveReason::Removed
            | LeaveReason::RoomDeleted
            | LeaveReason::ServerShutdown
            | LeaveReason::ConnectionLost
            | LeaveReason::Misbehaved
            | LeaveReason::StateMismatch => self.send_away(id, reason),
        }
        Arc::make_mut(&mut participant.view).part(reason);
        self.departures.note(now, &participant.view);
        Some(participant.view)
    }

    /// Says that nobody is left here, once. Those elsewhere are nobody's any more.
    pub(crate) fn end_if_empty(&mut self, now: Instant) {
        if self.is_empty() {
            self.forget_elsewhere(now);
            self.room_due = None;
            self.speakers.clear();
            self.effects.push_back(Effect::Empty);
        }
    }

    fn send_away(&mut self, id: ParticipantId, reason: LeaveReason) {
        self.notify(id.clone(), Notification::Leave(reason));
        self.effects.push_back(Effect::Disconnect {
            participant: id,
            reason,
        });
    }

    fn newcomer(&self, join: Join) -> Participant {
        let mut capabilities = join.capabilities;
        capabilities.truncate(self.config.limits.relayed);
        let mut attributes = join.attributes;
        attributes.retain(|_, value| !value.is_empty());
        Participant {
            view: Arc::new(ParticipantView {
                id: join.id,
                identity: join.identity,
                name: join.name,
                metadata: join.metadata,
                attributes,
                kind: join.kind,
                state: ParticipantState::Joined,
                joined_at_ms: join.joined_at_ms,
                version: 1,
                permission: join.permission,
                publishing: false,
                client: join.client,
                capabilities,
                left: None,
                tracks: Vec::new(),
            }),
            sight: join.sight,
            room_shown: None,
            auto_subscribe: join.auto_subscribe,
            adaptive_stream: join.adaptive_stream,
            tracks: Vec::new(),
            access: Arc::default(),
            origin: None,
            rating: Rating::default(),
            subscriptions: BTreeMap::new(),
        }
    }

    /// The first thing that a newcomer hears: everything that is so far.
    fn welcome(&mut self, key: ParticipantKey) {
        let Some(participant) = self.roster.participants.get(&key) else {
            return;
        };
        let to = participant.view.id.clone();
        let others = self
            .roster
            .participants
            .iter()
            .filter(|(other, participant)| **other != key && !participant.view.permission.hidden);
        let snapshot = Snapshot {
            room: self.view(),
            participant: participant.view.clone(),
            others: others
                .map(|(_, participant)| participant.view.clone())
                .collect(),
        };
        self.notify(to.clone(), Notification::Joined(Box::new(snapshot)));
        if let Some(speakers) = self.speakers.current() {
            self.notify(to.clone(), Notification::Speakers(speakers));
        }
        if let Some(qualities) = self.qualities(key) {
            self.notify(to, qualities);
        }
    }

    fn changed_view(
        &self,
        view: &ParticipantView,
        change: &ParticipantChange,
    ) -> Result<ParticipantView, Refusal> {
        let limits = &self.config.limits;
        let mut view = view.clone();
        if let Some(name) = &change.name {
            limits.check_name(name)?;
            view.name.clone_from(name);
        }
        if let Some(metadata) = &change.metadata {
            limits.check_metadata(metadata)?;
            view.metadata.clone_from(metadata);
        }
        for (key, value) in &change.attributes {
            if value.is_empty() {
                view.attributes.remove(key);
            } else {
                view.attributes.insert(key.clone(), value.clone());
            }
        }
        limits.check_attributes(&view.attributes)?;
        Ok(view)
    }

    /// Those who are not hidden, one excepted.
    fn visible(&self, except: Option<ParticipantKey>) -> usize {
        let seen = |(key, participant): &(&ParticipantKey, &Participant)| {
            Some(**key) != except && !participant.view.permission.hidden
        };
        self.roster.participants.iter().filter(seen).count()
    }
}

impl ParticipantView {
    /// The last that others see of somebody who becomes hidden.
    pub(crate) fn vanished(&self) -> ParticipantView {
        let mut last = self.clone();
        last.part(LeaveReason::Asked);
        last.permission.hidden = false;
        last
    }

    /// Makes it the last view of this stay.
    pub(crate) fn part(&mut self, reason: LeaveReason) {
        self.version += 1;
        self.state = ParticipantState::Left;
        self.left = Some(reason);
        self.publishing = false;
        self.tracks.clear();
    }
}

/// How many there are, as the room's view says it. Yields how many of them record.
pub(crate) fn count<'a>(
    participants: impl Iterator<Item = &'a Participant>,
    view: &mut RoomView,
) -> usize {
    let mut recorders = 0;
    (view.participants, view.publishers) = (0, 0);
    for Participant {
        view: participant, ..
    } in participants
    {
        recorders += usize::from(participant.permission.recorder);
        if !participant.permission.hidden {
            view.participants += 1;
            view.publishers += u32::from(participant.publishing);
        }
    }
    view.recording = recorders > 0;
    recorders
}
