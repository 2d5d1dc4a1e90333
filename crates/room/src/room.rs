//! The room: commands in, effects out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::command::{Command, Join, ParticipantChange};
use crate::effect::{Effect, Refusal};
use crate::limits::Limits;
use crate::model::{
    Identity, ParticipantId, ParticipantView, RoomName, RoomView, TrackId, TrackView,
};

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
}

/// One room.
///
/// After every [`handle`](Room::handle) and [`handle_timeout`](Room::handle_timeout) the owner
/// drains [`poll_effect`](Room::poll_effect) and carries the effects out in order, and then asks
/// for [`next_timeout`](Room::next_timeout).
#[derive(Debug)]
pub struct Room {
    config: RoomConfig,
    effects: VecDeque<Effect>,
}

impl Room {
    /// An empty room.
    pub fn new(config: RoomConfig) -> Room {
        Room {
            config,
            effects: VecDeque::new(),
        }
    }

    /// Whether somebody may come in now. Ask before [`Command::Join`], while the client can still
    /// be told why not; a refused join that is handled all the same is sent away at once.
    pub fn admit(&self, _join: &Join) -> Result<(), Refusal> {
        Ok(())
    }

    /// Whether [`Moderation::Update`](crate::command::Moderation::Update) would be within the
    /// limits. An update beyond them is ignored.
    pub fn admit_change(
        &self,
        _identity: &Identity,
        _change: &ParticipantChange,
    ) -> Result<(), Refusal> {
        Ok(())
    }

    /// Applies a command.
    pub fn handle(&mut self, _now: Instant, _command: Command) {}

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`handle_timeout`](Room::handle_timeout) at the latest, and why.
    pub fn next_timeout(&self) -> Option<(Instant, Reason)> {
        None
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// The room as participants see it.
    pub fn view(&self) -> RoomView {
        RoomView {
            sid: self.config.sid.clone(),
            name: self.config.name.clone(),
            metadata: self.config.metadata.clone(),
            max_participants: self.config.max_participants,
            created_at_s: self.config.created_at_s,
            participants: 0,
            publishers: 0,
            recording: false,
        }
    }

    /// Nobody is in, not even hidden.
    pub fn is_empty(&self) -> bool {
        true
    }

    /// Everybody in the order of joining. Hidden ones are among them, as
    /// `permission.hidden` says: this is for administrators.
    pub fn participants(&self) -> impl Iterator<Item = &Arc<ParticipantView>> {
        std::iter::empty()
    }

    /// Somebody by identity, hidden or not.
    pub fn participant(&self, _identity: &Identity) -> Option<&Arc<ParticipantView>> {
        None
    }

    /// Somebody by the id of the stay, hidden or not.
    pub fn participant_by_id(&self, _id: &ParticipantId) -> Option<&Arc<ParticipantView>> {
        None
    }

    /// A track, opened or not, and its publisher.
    pub fn track(&self, _id: &TrackId) -> Option<(&Arc<ParticipantView>, &TrackView)> {
        None
    }
}
