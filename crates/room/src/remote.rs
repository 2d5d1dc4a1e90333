//! Participants at other servers, and what other servers are told of those here.
//!
//! Who is elsewhere is in the roster like everybody, with [`Participant::origin`] set: seen,
//! subscribed to, counted. What differs is that nobody here can be told to do something for them:
//! that goes to their own server as an [`Order`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use umbrella_media::Kind;

use crate::backup::Backup;
use crate::command::Remote;
use crate::effect::Notification;
use crate::mesh::{LayerDemand, Order, Person, PersonTrack, Share};
use crate::model::{Identity, LeaveReason, NodeId, ParticipantId, ParticipantView, TrackId};
use crate::participant::Participant;
use crate::quality::{QualityView, Rating};
use crate::room::{Audience, Room};
use crate::roster::{ParticipantKey, TrackKey};
use crate::sight::Sight;
use crate::track::{Announced, Track, TrackState};

/// What other servers are told.
impl Room {
    /// Tells other servers of somebody here, as it is.
    pub(crate) fn share_participant(&mut self, key: ParticipantKey) {
        let Some(participant) = self.roster.participants.get(&key) else {
            return;
        };
        if participant.origin.is_some() {
            return;
        }
        let share = Share::Person(Box::new(self.person(participant)));
        self.shares.push_back(share);
    }

    /// Somebody as servers know it.
    fn person(&self, participant: &Participant) -> Person {
        let tracks = participant.tracks.iter();
        let tracks = tracks.filter_map(|key| self.roster.tracks.get(key));
        let tracks = tracks.filter(|track| track.is_open()).map(|track| {
            let first = track.first.and_then(|key| self.roster.tracks.get(&key));
            PersonTrack {
                view: track.view.clone(),
                backup: track.backup.codec(),
                backup_of: first.map(|first| first.view.id.clone()),
            }
        });
        let mut view = participant.view.clone();
        if !view.tracks.is_empty() {
            Arc::make_mut(&mut view).tracks.clear();
        }
        Person {
            view,
            tracks: tracks.collect(),
            access: participant.access.clone(),
        }
    }

    /// As [`Room::share_participant`], after a change that clients are not told of.
    pub(crate) fn share_change(&mut self, key: ParticipantKey) {
        if let Some(participant) = self.roster.participants.get_mut(&key) {
            Arc::make_mut(&mut participant.view).version += 1;
        }
        self.share_participant(key);
    }

    /// Tells other servers how good connections here are, of some.
    pub(crate) fn share_qualities(&mut self, changed: &[ParticipantKey]) {
        let changed = changed
            .iter()
            .filter_map(|key| self.roster.participants.get(key));
        let here = changed.filter(|participant| participant.origin.is_none());
        let qualities: Vec<_> = here.filter_map(Participant::quality).collect();
        if !qualities.is_empty() {
            let share = Share::Qualities(qualities.into());
            self.shares.push_back(share);
        }
    }

    /// Tells other servers what belongs to the room as a whole.
    pub(crate) fn share_state(&mut self, closed: bool) {
        self.shares.push_back(Share::State {
            metadata: self.config.metadata.clone(),
            max_participants: self.config.max_participants,
            closed,
        });
    }

    /// Leaves something to the server of somebody elsewhere. False if it is here.
    pub(crate) fn order(&mut self, key: ParticipantKey, order: impl FnOnce() -> Order) -> bool {
        let participant = self.roster.participants.get(&key);
        let elsewhere = participant.and_then(|it| Some((it, it.origin.clone()?)));
        let Some((participant, origin)) = elsewhere else {
            return false;
        };
        let participant = participant.view.id.clone();
        self.shares.push_back(Share::Order {
            origin,
            participant,
            order: order(),
        });
        true
    }
}

/// What other servers tell.
impl Room {
    /// [`Command::Remote`](crate::Command::Remote).
    pub(crate) fn remote(&mut self, now: Instant, origin: NodeId, remote: Remote) {
        match remote {
            Remote::Person(person) => self.remote_person(now, origin, *person),
            Remote::Gone {
                participant,
                reason,
            } => self.remote_gone(now, &origin, &participant, reason),
            Remote::Data(data) => self.relay_remote(&origin, *data),
            Remote::Levels(levels) => self.remote_levels(now, &origin, &levels),
            Remote::Qualities(qualities) => self.remote_qualities(&origin, &qualities),
            Remote::Demanded { track, layers } => self.demanded(&track, layers),
            Remote::Starved { track, starved } => self.remote_starved(&track, starved),
            Remote::Order { participant, order } => self.obey(now, &participant, order),
            Remote::State {
                metadata,
                max_participants,
                closed,
            } => self.remote_state(now, metadata, max_participants, closed),
        }
    }

    fn remote_person(&mut self, now: Instant, origin: NodeId, person: Person) {
        let id = person.view.id.clone();
        if let Some(key) = self.roster.by_id(&id) {
            if self.is_at(key, &origin) && self.is_the_same(key, &person.view) {
                self.update_remote(now, key, person);
            }
            return;
        }
        if let Some((known, _)) = self.superseded.get(&id) {
            if *known == origin {
                self.superseded.insert(id, (origin, person));
            }
            return;
        }
        if let Some(present) = self.roster.by_identity(&person.view.identity) {
            let stays = self.roster.participants.get(&present).map(|it| &it.view);
            if stays.is_some_and(|present| !is_later(&person.view, present)) {
                self.superseded.insert(id, (origin, person));
                return;
            }
            self.supersede(now, present);
        }
        self.add_remote(now, origin, person);
    }

    fn is_at(&self, key: ParticipantKey, origin: &NodeId) -> bool {
        let participant = self.roster.participants.get(&key);
        participant.is_some_and(|it| it.origin.as_ref() == Some(origin))
    }

    /// A stay is of one identity and kind from its beginning to its end: who may see it goes by them.
    fn is_the_same(&self, key: ParticipantKey, now: &ParticipantView) -> bool {
        let before = self.roster.participants.get(&key).map(|it| &it.view);
        before.is_some_and(|it| it.identity == now.identity && it.kind == now.kind)
    }

    /// Somebody comes in here, of whose identity there is one already: that one goes. Yields when
    /// the new one has joined: later, whatever the clock of the other server shows.
    pub(crate) fn give_way(
        &mut self,
        now: Instant,
        earlier: ParticipantKey,
        joined_at_ms: u64,
    ) -> u64 {
        let participant = self.roster.participants.get(&earlier);
        let before = participant.filter(|it| it.origin.is_some());
        let before = before.map_or(0, |it| it.view.joined_at_ms);
        self.supersede(now, earlier);
        joined_at_ms.max(before.saturating_add(1))
    }

    /// Takes somebody out whose identity has joined again. One elsewhere is taken out by its own
    /// server, too, as soon as that knows; until then it is kept aside.
    fn supersede(&mut self, now: Instant, key: ParticipantKey) {
        let kept = self.kept_aside(key);
        self.remove(now, key, LeaveReason::DuplicateIdentity);
        if let Some((origin, person)) = kept {
            let id = person.view.id.clone();
            self.superseded.insert(id, (origin, person));
        }
    }

    fn kept_aside(&self, key: ParticipantKey) -> Option<(NodeId, Person)> {
        let participant = self.roster.participants.get(&key)?;
        let origin = participant.origin.clone()?;
        Some((origin, self.person(participant)))
    }

    fn add_remote(&mut self, now: Instant, origin: NodeId, person: Person) {
        let key = self.roster.insert(Participant {
            view: person.view.clone(),
            sight: Sight::All,
            room_shown: None,
            auto_subscribe: false,
            adaptive_stream: false,
            tracks: Vec::new(),
            access: person.access.clone(),
            origin: Some(origin),
            rating: Rating::default(),
            subscriptions: Default::default(),
        });
        self.update_remote(now, key, person);
    }

    /// Makes what is known of somebody elsewhere what its server says.
    fn update_remote(&mut self, now: Instant, key: ParticipantKey, person: Person) {
        let Person {
            view,
            tracks,
            access,
        } = person;
        let known = self.roster.participants.get_mut(&key);
        let Some(known) = known else {
            return;
        };
        let was_hidden = known.view.permission.hidden;
        known.view = view;
        known.access = access;
        let names: BTreeSet<_> = tracks.iter().map(|it| it.view.id.clone()).collect();
        for track_key in self.roster.tracks_of(key) {
            let track = self.roster.tracks.get(&track_key);
            if track.is_some_and(|track| !names.contains(&track.view.id)) {
                self.end_track(now, track_key);
            }
        }
        // Tracks come after their first codec.
        let (first, further): (Vec<_>, Vec<_>) =
            tracks.into_iter().partition(|it| it.backup_of.is_none());
        for track in first.into_iter().chain(further) {
            self.remote_track(now, key, track);
        }
        self.settle_remote(now, key, was_hidden);
    }

    fn settle_remote(&mut self, now: Instant, key: ParticipantKey, was_hidden: bool) {
        let tracks = self.roster.tracks_of(key);
        let open = tracks.iter().filter_map(|key| self.roster.tracks.get(key));
        let open = open.filter(|track| track.first.is_none());
        let open: Vec<_> = open.map(|track| track.view.clone()).collect();
        let Some(known) = self.roster.participants.get_mut(&key) else {
            return;
        };
        let access = known.access.clone();
        let view = Arc::make_mut(&mut known.view);
        view.publishing = !open.is_empty();
        view.tracks = open;
        if view.permission.hidden && !was_hidden {
            let last = view.vanished();
            self.departures.note(now, &last);
            self.tell(&[Arc::new(last)], |_| true);
        }
        self.announce_unchanged(key, Audience::Others);
        for track in tracks {
            if let Some(known) = self.roster.tracks.get_mut(&track) {
                known.access = access.clone();
            }
            self.settle_track(track);
        }
        self.census(now);
    }

    fn remote_track(&mut self, now: Instant, key: ParticipantKey, track: PersonTrack) {
        let PersonTrack {
            view,
            backup,
            backup_of,
        } = track;
        let Some(known) = self.roster.by_track(&view.id) else {
            let first = backup_of.as_ref().and_then(|it| self.roster.by_track(it));
            // Not the second codec of a track that is not there.
            if first.is_some() || backup_of.is_none() {
                self.add_remote_track(key, view, backup, first);
            }
            return;
        };
        let Some(track) = self.roster.tracks.get_mut(&known) else {
            return;
        };
        // Another one's track by that name.
        if track.publisher != key {
            return;
        }
        let (codec, muted) = (track.view.codec, track.view.muted);
        let changed = codec != view.codec;
        let falls_silent = view.muted && !muted;
        track.view = view;
        self.floor.changed = true;
        if changed {
            self.retry_failed(known);
        }
        if falls_silent {
            self.silence_if_mute(now, key);
        }
    }

    fn add_remote_track(
        &mut self,
        key: ParticipantKey,
        view: crate::model::TrackView,
        backup: Option<umbrella_media::Codec>,
        first: Option<TrackKey>,
    ) {
        let Some(publisher) = self.roster.participants.get(&key) else {
            return;
        };
        let first_track = first.and_then(|first| self.roster.tracks.get(&first));
        let shown = first_track.map(|first| first.view.id.clone());
        let track = Track {
            publisher: key,
            publisher_id: publisher.view.id.clone(),
            shown: shown.unwrap_or_else(|| view.id.clone()),
            announced: Announced::of(&view),
            client_id: String::new(),
            view,
            access: publisher.access.clone(),
            state: TrackState::Open {
                subscribers: BTreeSet::new(),
                noticed: true,
            },
            backup: backup.map_or(Backup::None, Backup::Offered),
            first,
            quiet: false,
        };
        let track_key = self.roster.insert_track(track);
        if let Some(first) = first.and_then(|first| self.roster.tracks.get_mut(&first))
            && let Some(codec) = first.backup.codec()
        {
            first.backup = Backup::Sent(codec, track_key);
        }
        self.demand.reach.insert(track_key);
        self.floor.changed = true;
    }

    fn remote_gone(
        &mut self,
        now: Instant,
        origin: &NodeId,
        id: &ParticipantId,
        reason: LeaveReason,
    ) {
        if self
            .superseded
            .get(id)
            .is_some_and(|(known, _)| known == origin)
        {
            self.superseded.remove(id);
        }
        let Some(key) = self.roster.by_id(id).filter(|key| self.is_at(*key, origin)) else {
            return;
        };
        let participant = self.roster.participants.get(&key);
        let identity = participant.map(|it| it.view.identity.clone());
        self.remove(now, key, reason);
        if let Some(identity) = identity {
            self.bring_back(now, &identity);
        }
    }

    /// Who had to give way to somebody who is gone is there again, unless it has left meanwhile.
    pub(crate) fn bring_back(&mut self, now: Instant, identity: &Identity) {
        if self.roster.by_identity(identity).is_some() {
            return;
        }
        let same = self
            .superseded
            .values()
            .filter(|(_, it)| it.view.identity == *identity);
        let latest = same.max_by(|(_, a), (_, b)| order_of(&a.view).cmp(&order_of(&b.view)));
        let Some((origin, person)) = latest.cloned() else {
            return;
        };
        self.superseded.remove(&person.view.id);
        self.add_remote(now, origin, person);
    }

    /// Nobody is here any more: those elsewhere are forgotten, and nobody is told.
    pub(crate) fn forget_elsewhere(&mut self, now: Instant) {
        self.superseded.clear();
        for key in self.roster.participants.keys().copied().collect::<Vec<_>>() {
            self.take_out(now, key, LeaveReason::SignalLost);
        }
    }

    fn remote_qualities(&mut self, origin: &NodeId, qualities: &[QualityView]) {
        let mut changed = Vec::new();
        for quality in qualities {
            let key = self.roster.by_id(&quality.participant);
            let Some(key) = key.filter(|key| self.is_at(*key, origin)) else {
                continue;
            };
            if let Some(participant) = self.roster.participants.get_mut(&key) {
                participant.rating.given = Some(quality.clone());
                changed.push(key);
            }
        }
        self.tell_quality(&changed);
    }

    /// The publisher of a track here is asked for what others want.
    fn demanded(&mut self, track: &TrackId, layers: LayerDemand) {
        let Some((key, track)) = self.roster.find_track(track) else {
            return;
        };
        if track.view.kind == Kind::Video {
            self.demand.set_links(key, layers.highest());
        }
        if !layers.is_none() {
            self.notice(key);
        }
    }

    /// The publisher is told once that somebody is there.
    pub(crate) fn notice(&mut self, key: TrackKey) {
        let Some(track) = self.roster.tracks.get_mut(&key) else {
            return;
        };
        let TrackState::Open { noticed, .. } = &mut track.state else {
            return;
        };
        // Of the other codec it knows, as it was asked for it.
        if std::mem::replace(noticed, true) || track.first.is_some() {
            return;
        }
        let (to, track) = (track.publisher_id.clone(), track.view.id.clone());
        self.notify(to, Notification::TrackSubscribed { track });
    }

    fn remote_starved(&mut self, id: &TrackId, starved: bool) {
        let Some((_, track)) = self.roster.find_track(id) else {
            return;
        };
        let TrackState::Open { subscribers, .. } = &track.state else {
            return;
        };
        let subscribers = subscribers.clone();
        for key in subscribers {
            let participant = self.roster.participants.get(&key);
            if let Some(subscriber) = participant.map(|it| it.view.id.clone()) {
                self.path_starved(&subscriber, id, starved);
            }
        }
    }

    /// A moderator elsewhere, or a server whose people cannot decode a track, wants something. The
    /// door has checked that it may.
    fn obey(&mut self, now: Instant, id: &ParticipantId, order: Order) {
        let Some(key) = self
            .roster
            .by_id(id)
            .filter(|_| !self.roster.is_elsewhere(id))
        else {
            return;
        };
        let own = |room: &Room, track: &TrackId| {
            let key = room.roster.by_track(track)?;
            let track = room.roster.tracks.get(&key)?;
            (track.publisher_id == *id).then_some((key, track.view.muted))
        };
        match order {
            Order::Mute { track, muted } => {
                if let Some((key, was_muted)) = own(self, &track)
                    && was_muted != muted
                {
                    self.mute_here(now, key, muted);
                }
            }
            Order::Remove => {
                self.part_with(now, key, LeaveReason::Removed);
            }
            Order::Update { change, permission } => {
                self.update_here(now, key, &change, permission);
            }
            Order::Undecodable { track, codec } => {
                if let Some((key, _)) = own(self, &track) {
                    self.ask_for_backup(key, codec);
                }
            }
        }
    }

    fn remote_state(
        &mut self,
        now: Instant,
        metadata: String,
        max_participants: u32,
        closed: bool,
    ) {
        if closed {
            self.close(now, LeaveReason::RoomDeleted);
            return;
        }
        if self.config.limits.check_metadata(&metadata).is_err() {
            return;
        }
        let changed =
            self.config.metadata != metadata || self.config.max_participants != max_participants;
        self.config.metadata = metadata;
        self.config.max_participants = max_participants;
        if changed {
            self.tell_room();
        }
    }
}

/// Which of two of the same identity stays: the one that has joined later.
fn is_later(a: &ParticipantView, b: &ParticipantView) -> bool {
    order_of(a) > order_of(b)
}

fn order_of(view: &ParticipantView) -> (u64, &ParticipantId) {
    (view.joined_at_ms, &view.id)
}
