//! The room: commands in, effects out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::command::Command;
use crate::dynacast::Demand;
use crate::effect::{Effect, Notification, Refusal};
use crate::floor::Floor;
use crate::limits::Limits;
use crate::mesh::{Person, Share};
use crate::model::{
    Identity, NodeId, ParticipantId, ParticipantView, RoomName, RoomView, TrackId, TrackView,
};
use crate::participant::count;
use crate::resume::Departures;
use crate::roster::{ParticipantKey, Roster};
use crate::speakers::Speakers;

/// Participants who come and go within this time are counted together.
const ROOM_DELAY: Duration = Duration::from_millis(500);

/// What a room is from its start.
#[derive(Debug, Clone)]
pub struct RoomConfig {
    /// This life of the room, `RM_…`.
    pub sid: String,
    /// Its name.
    pub name: RoomName,
    /// The application's own.
    pub metadata: String,
    /// Seconds since the Unix epoch.
    pub created_at_s: u64,
    /// At most so many participants that are not hidden; 0 leaves it to [`Limits::participants`].
    pub max_participants: u32,
    /// Bounds on participants.
    pub limits: Limits,
}

/// Why a room wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Participants came or went, and the others are to be told the new number.
    RoomChanged,
    /// Somebody's loudness falls, or a change of speakers waits to be told.
    Speakers,
    /// A publisher sends more than anybody wants.
    Layers,
}

/// One room.
///
/// After every [`handle`](Room::handle) and [`handle_timeout`](Room::handle_timeout) the owner
/// drains [`poll_effect`](Room::poll_effect) and carries the effects out in order, does the same with
/// [`poll_share`](Room::poll_share), and then asks for [`next_timeout`](Room::next_timeout).
#[derive(Debug)]
pub struct Room {
    pub(crate) config: RoomConfig,
    pub(crate) roster: Roster,
    pub(crate) speakers: Speakers,
    pub(crate) floor: Floor,
    pub(crate) demand: Demand,
    pub(crate) departures: Departures,
    /// Who is elsewhere and has to give way to a later one of the same identity.
    pub(crate) superseded: BTreeMap<ParticipantId, (NodeId, Person)>,
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) shares: VecDeque<Share>,
    /// When everybody is to be told of new counts.
    pub(crate) room_due: Option<Instant>,
    /// The view that was last counted.
    counted: RoomView,
    /// Recorders that were in then: not everybody sees all of them.
    recorders: usize,
}

/// Who is told of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Those who see the participant, and itself.
    Everybody,
    /// Those who see the participant, but not itself: its client made the change, or was told in
    /// another way, and might take a late echo for an order.
    Others,
}

impl Room {
    /// An empty room.
    pub fn new(config: RoomConfig) -> Room {
        Room {
            counted: RoomView {
                sid: config.sid.clone(),
                name: config.name.clone(),
                metadata: config.metadata.clone(),
                max_participants: config.max_participants,
                created_at_s: config.created_at_s,
                participants: 0,
                publishers: 0,
                recording: false,
            },
            recorders: 0,
            config,
            roster: Roster::default(),
            speakers: Speakers::default(),
            floor: Floor::default(),
            demand: Demand::default(),
            departures: Departures::default(),
            superseded: BTreeMap::new(),
            effects: VecDeque::new(),
            shares: VecDeque::new(),
            room_due: None,
        }
    }

    /// Applies a command.
    pub fn handle(&mut self, now: Instant, command: Command) {
        self.apply(now, command);
        self.settle_floor(now);
        self.settle_layers(now);
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The next thing that concerns other servers, in order. An owner without any may throw them
    /// away.
    pub fn poll_share(&mut self) -> Option<Share> {
        self.shares.pop_front()
    }

    /// When to call [`handle_timeout`](Room::handle_timeout), and why.
    pub fn next_timeout(&self) -> Option<(Instant, Reason)> {
        let room = self.room_due.map(|at| (at, Reason::RoomChanged));
        let speakers = self.speakers.due().map(|at| (at, Reason::Speakers));
        let floor = self.floor.due().map(|at| (at, Reason::Speakers));
        let layers = self.demand.due().map(|at| (at, Reason::Layers));
        let all = [room, speakers, floor, layers];
        all.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.room_due.is_some_and(|at| at <= now) {
            self.tell_room();
        }
        if self.speakers.due().is_some_and(|at| at <= now) {
            self.speakers_due(now);
        }
        self.settle_floor(now);
        self.settle_layers(now);
        self.layers_due(now);
    }

    /// The room as participants see it.
    pub fn view(&self) -> RoomView {
        self.tally(|_| true).0
    }

    /// The room as if only those were in for whom it holds, and how many of them record.
    pub(crate) fn tally(&self, seen: impl Fn(&ParticipantView) -> bool) -> (RoomView, usize) {
        let mut view = self.counted.clone();
        view.metadata.clone_from(&self.config.metadata);
        view.max_participants = self.config.max_participants;
        let everybody = self.roster.participants.values();
        let recorders = count(everybody.filter(|it| seen(&it.view)), &mut view);
        (view, recorders)
    }

    /// From now on these bounds hold. Who and what is there already stays, also beyond them.
    pub fn set_limits(&mut self, limits: Limits) {
        self.config.limits = limits;
        self.floor.changed = true;
    }

    /// Whether [`Moderation::SetRoomMetadata`](crate::command::Moderation::SetRoomMetadata) is
    /// within the limits. What is not is ignored.
    pub fn admit_metadata(&self, metadata: &str) -> Result<(), Refusal> {
        self.config.limits.check_metadata(metadata)
    }

    /// Nobody is in here, not even hidden. Who is at other servers does not count.
    pub fn is_empty(&self) -> bool {
        self.roster.here().next().is_none()
    }

    /// Everybody in the order of joining. Hidden ones are among them, as
    /// `permission.hidden` says: this is for administrators.
    pub fn participants(&self) -> impl Iterator<Item = &Arc<ParticipantView>> {
        self.roster
            .participants
            .values()
            .map(|participant| &participant.view)
    }

    /// As [`Room::participants`], only those at this server.
    pub fn participants_here(&self) -> impl Iterator<Item = &Arc<ParticipantView>> {
        self.roster.here().map(|(_, participant)| &participant.view)
    }

    /// Somebody by identity, hidden or not.
    pub fn participant(&self, identity: &Identity) -> Option<&Arc<ParticipantView>> {
        let key = self.roster.by_identity(identity)?;
        Some(&self.roster.participants.get(&key)?.view)
    }

    /// Somebody by the id of the stay, hidden or not.
    pub fn participant_by_id(&self, id: &ParticipantId) -> Option<&Arc<ParticipantView>> {
        let key = self.roster.by_id(id)?;
        Some(&self.roster.participants.get(&key)?.view)
    }

    /// The server that somebody is at; `None` if that is this one, or nobody like that is in.
    pub fn origin(&self, id: &ParticipantId) -> Option<&NodeId> {
        let key = self.roster.by_id(id)?;
        self.roster.participants.get(&key)?.origin.as_ref()
    }

    /// A track, opened or not, and its publisher.
    pub fn track(&self, id: &TrackId) -> Option<(&Arc<ParticipantView>, &TrackView)> {
        let track = self.roster.tracks.get(&self.roster.by_track(id)?)?;
        Some((
            &self.roster.participants.get(&track.publisher)?.view,
            &track.view,
        ))
    }

    fn apply(&mut self, now: Instant, command: Command) {
        match command {
            Command::Join(join) => self.join(now, *join),
            Command::Leave {
                participant,
                reason,
            } => self.leave(now, &participant, reason),
            Command::MediaConnected { participant } => self.media_connected(&participant),
            Command::Resume { participant } => self.resume(now, &participant),
            Command::ConfirmTracks {
                participant,
                tracks,
            } => self.confirm_tracks(&participant, tracks),
            Command::Publish { participant, track } => self.publish(&participant, *track),
            Command::TrackOpened { track, codec } => self.track_opened(now, &track, codec),
            Command::TrackCodec { track, codec } => self.track_codec(&track, codec),
            Command::Unpublish { track } => self.unpublish(now, &track),
            Command::Mute {
                participant,
                track,
                muted,
            } => self.mute_own(now, &participant, &track, muted),
            Command::UpdateTrack {
                participant,
                track,
                change,
            } => self.update_track(&participant, &track, change),
            Command::Subscribe {
                participant,
                tracks,
                subscribe,
            } => self.subscribe(&participant, &tracks, subscribe),
            Command::SetTrackSettings {
                participant,
                tracks,
                settings,
            } => self.set_settings(&participant, &tracks, settings),
            Command::AllowSubscribers {
                participant,
                allowed,
            } => self.allow_subscribers(&participant, allowed),
            Command::Subscription {
                participant,
                track,
                report,
            } => self.subscription_report(&participant, &track, report),
            Command::UpdateSelf {
                participant,
                request,
                change,
            } => self.update_self(&participant, request, &change),
            Command::Data {
                from,
                to,
                reliability,
                payload,
            } => self.relay(from.as_ref(), &to, reliability, payload),
            Command::AudioLevels(levels) => self.audio_levels(now, &levels),
            Command::Measured(all) => self.measured(all),
            Command::ConnectionLost { participant, lost } => self.lost(&participant, lost),
            Command::Moderate(moderation) => self.moderate(now, moderation),
            Command::Remote { origin, remote } => self.remote(now, origin, remote),
        }
    }

    /// Tells a participant something, as far as it may know it. Who is elsewhere has no client here.
    pub(crate) fn notify(&mut self, to: ParticipantId, notification: Notification) {
        if self.roster.is_elsewhere(&to) {
            return;
        }
        // Who is not in (any more) is told only that it has to go.
        let shown = match self.roster.by_id(&to) {
            Some(key) => self.shown_to(key, notification),
            None => Some(notification),
        };
        if let Some(notification) = shown {
            self.effects.push_back(Effect::Notify { to, notification });
        }
    }

    /// Tells everybody the same, as far as they may know it.
    pub(crate) fn notify_everybody(&mut self, notification: &Notification) {
        self.notify_those(notification, |_| true);
    }

    fn notify_those(&mut self, notification: &Notification, whom: impl Fn(ParticipantKey) -> bool) {
        let here = self.roster.here();
        let those = here.filter(|(key, _)| whom(**key));
        let those: Vec<_> = those.map(|(key, it)| (*key, it.view.id.clone())).collect();
        for (key, to) in those {
            if let Some(notification) = self.shown_to(key, notification.clone()) {
                self.effects.push_back(Effect::Notify { to, notification });
            }
        }
    }

    /// Brings a participant's view up to date, as a new version, and tells of it.
    pub(crate) fn announce(&mut self, key: ParticipantKey, audience: Audience) {
        let Some(participant) = self.roster.participants.get_mut(&key) else {
            return;
        };
        let tracks = participant
            .tracks
            .iter()
            .filter_map(|key| self.roster.tracks.get(key));
        let open: Vec<_> = tracks
            .filter(|track| track.is_open() && track.first.is_none())
            .map(|track| track.view.clone())
            .collect();
        let view = Arc::make_mut(&mut participant.view);
        view.version += 1;
        view.publishing = !open.is_empty();
        view.tracks = open;
        self.announce_unchanged(key, audience);
    }

    /// Tells of a participant as it is. Of a hidden one nobody is told but itself, and other
    /// servers.
    pub(crate) fn announce_unchanged(&mut self, key: ParticipantKey, audience: Audience) {
        self.share_participant(key);
        let Some(participant) = self.roster.participants.get(&key) else {
            return;
        };
        let hidden = participant.view.permission.hidden;
        let view = participant.view.clone();
        self.tell(&[view], |other| {
            if other == key {
                audience == Audience::Everybody
            } else {
                !hidden
            }
        });
    }

    /// Tells some of participants.
    pub(crate) fn tell(
        &mut self,
        views: &[Arc<ParticipantView>],
        whom: impl Fn(ParticipantKey) -> bool,
    ) {
        self.notify_those(&Notification::Participants(views.to_vec()), whom);
    }

    /// Tells everybody how the room is now.
    pub(crate) fn tell_room(&mut self) {
        self.room_due = None;
        let view = self.view();
        self.counted.clone_from(&view);
        self.notify_everybody(&Notification::Room(Arc::new(view)));
    }

    /// Somebody came or went, or began or ceased to publish: if that changes the counts, everybody
    /// is told soon. Also when they change back before that, as newcomers have seen them between.
    pub(crate) fn census(&mut self, now: Instant) {
        let (view, recorders) = self.tally(|_| true);
        if view != self.counted || recorders != self.recorders {
            (self.counted, self.recorders) = (view, recorders);
            self.room_due.get_or_insert(now + ROOM_DELAY);
        }
    }
}
