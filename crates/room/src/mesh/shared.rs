//! A room as linked servers share it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::command::Remote;
use crate::model::{NodeId, RoomName};

use super::link::LinkId;
use super::message::{DataNumber, Life, Message, RoomState};
use super::origin::{Origin, Source};
use super::{Mesh, Output};

/// How long the end of a life is remembered: for so long, old news of it can be under way.
const REMEMBERED: Duration = Duration::from_secs(30);

/// Ends of lives that are remembered.
const ENDS: usize = 256;

/// A room as linked servers share it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Somebody is in it here.
    pub(super) used: bool,
    pub(super) origins: BTreeMap<NodeId, Origin>,
    pub(super) state: Option<RoomState>,
    /// When it is looked at again although nothing has happened.
    pub(super) scheduled: Option<Instant>,
    /// Links over which somebody is heard of, or hears of somebody here.
    pub(super) depends: BTreeSet<LinkId>,
    ends: BTreeMap<NodeId, (Life, Instant)>,
    /// The last data messages of origins that are forgotten: what was held up somewhere would be
    /// read again.
    read: BTreeMap<NodeId, (DataNumber, Instant)>,
}

impl Shared {
    /// When something has to be done although nothing has happened.
    pub(super) fn due(&self) -> Option<Instant> {
        let origins = self.origins.values().filter_map(Origin::due);
        let ends = self.ends.values().map(|(_, until)| *until);
        let read = self.read.values().map(|(_, until)| *until);
        origins.chain(ends).chain(read).min()
    }

    /// What [`Shared::depends`] should be.
    pub(super) fn dependencies(&self) -> BTreeSet<LinkId> {
        self.origins
            .values()
            .flat_map(Origin::dependencies)
            .collect()
    }

    /// What was read of an origin before it was forgotten.
    pub(super) fn read_of(&self, origin: &NodeId) -> Option<DataNumber> {
        self.read.get(origin).map(|(last, _)| *last)
    }

    /// Participants elsewhere.
    pub(super) fn people(&self) -> usize {
        let away = |origin: &&Origin| matches!(origin.source, Source::Away(_));
        let away = self.origins.values().filter(away);
        away.map(|origin| origin.people.len()).sum()
    }

    /// Bytes of what participants elsewhere say of themselves.
    pub(super) fn described(&self) -> usize {
        let away = |origin: &&Origin| matches!(origin.source, Source::Away(_));
        let away = self.origins.values().filter(away);
        away.map(|origin| origin.described).sum()
    }

    /// The last life of an origin that it has ended itself.
    pub(super) fn ended(&self, now: Instant, origin: &NodeId) -> Option<Life> {
        let (life, until) = self.ends.get(origin)?;
        (*until > now).then_some(*life)
    }

    pub(super) fn note_end(&mut self, now: Instant, origin: &NodeId, life: Life) {
        let life = self
            .ended(now, origin)
            .map_or(life, |known| known.max(life));
        if self.ends.len() < ENDS || self.ends.contains_key(origin) {
            self.ends.insert(origin.clone(), (life, now + REMEMBERED));
        }
    }

    /// Forgets origins that nobody can reach.
    pub(super) fn forget(&mut self, now: Instant) {
        self.ends.retain(|_, (_, until)| *until > now);
        self.read.retain(|_, (_, until)| *until > now);
        let read = &mut self.read;
        self.origins.retain(|node, origin| {
            let forgotten = origin.is_forgotten();
            if let Some(last) = origin.last_read().filter(|_| forgotten)
                && read.len() < ENDS
            {
                read.insert(node.clone(), (last, now + REMEMBERED));
            }
            !forgotten
        });
        // Nobody is in it anywhere: the next who come begin anew.
        if !self.used && self.origins.is_empty() {
            self.state = None;
        }
    }

    /// Whether nothing is left to know of it.
    pub(super) fn is_forgotten(&self) -> bool {
        let remembered = !self.ends.is_empty() || !self.read.is_empty();
        !self.used && self.origins.is_empty() && !remembered
    }
}

/// What belongs to a room as a whole.
impl Mesh {
    pub(super) fn share_state(
        &mut self,
        room: &RoomName,
        metadata: String,
        max_participants: u32,
        closed: bool,
    ) {
        let shared = self.rooms.entry(room.clone()).or_default();
        let known = shared.state.as_ref().map_or(0, |state| state.version);
        // What we have said before may have been forgotten here, and not elsewhere.
        self.stated = known.max(self.stated).saturating_add(1);
        shared.state = Some(RoomState {
            room: room.clone(),
            version: self.stated,
            node: self.config.node.clone(),
            incarnation: self.config.incarnation,
            metadata,
            max_participants,
            closed,
        });
        self.tell_state(room, |_| true);
    }

    /// A neighbour has said how a room is: what is new goes on.
    pub(super) fn state(&mut self, from: LinkId, state: RoomState) {
        let room = state.room.clone();
        let Some(shared) = self.rooms.get_mut(&room) else {
            return;
        };
        if !state.node.is_sound() {
            return;
        }
        if let Some(known) = shared.state.as_ref().filter(|it| !state.is_newer_than(it)) {
            if known.is_newer_than(&state) {
                // Whoever says so has not heard of it, or has forgotten it.
                let message = Message::State(known.clone());
                self.outputs.push_back(Output::Send {
                    link: from,
                    message,
                });
            }
            return;
        }
        shared.state = Some(state);
        self.tell_state(&room, |link| link != from);
        self.tell_state_here(&room);
    }

    pub(super) fn tell_state(&mut self, room: &RoomName, whom: impl Fn(LinkId) -> bool) {
        let state = self.rooms.get(room).and_then(|it| it.state.clone());
        let Some(state) = state else {
            return;
        };
        for (link, known) in &self.links {
            if whom(*link) && known.neighbour.rooms.allow(room.as_str()) {
                self.outputs.push_back(Output::Send {
                    link: *link,
                    message: Message::State(state.clone()),
                });
            }
        }
    }

    pub(super) fn tell_state_here(&mut self, room: &RoomName) {
        let Some(shared) = self.rooms.get(room).filter(|shared| shared.used) else {
            return;
        };
        if let Some(state) = &shared.state {
            self.outputs.push_back(Output::Room {
                room: room.clone(),
                origin: state.node.clone(),
                remote: Box::new(Remote::State {
                    metadata: state.metadata.clone(),
                    max_participants: state.max_participants,
                    closed: state.closed,
                }),
            });
        }
    }
}
