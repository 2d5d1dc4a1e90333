//! What is refused where memory is bounded, and who is told.

use umbrella_room::command::{Join, NewTrack, SubscriptionReport};
use umbrella_room::effect::Refusal;
use umbrella_room::model::{Identity, ParticipantId, RoomName, TrackId};
use umbrella_room::{Command, Notification};

use super::handle::SessionId;
use super::session::Event;
use super::{Control, rooms};
use crate::memory::{NoMemory, Work, cost};

/// How often what a participant says of itself is kept: in its token, in the room, and while it is encoded.
const COPIES: u64 = 6;

impl Control {
    /// What somebody costs who joins, with all that is there to be seen and heard. Nothing if it takes the
    /// place of an earlier stay here, which had all that.
    fn cost_of_joining(&self, room: &RoomName, who: &Identity) -> u64 {
        let replaces = |entry: &rooms::Entry| {
            let mut here = entry.room.participants_here();
            here.any(|member| member.identity == *who)
        };
        if self.rooms.get(room).is_some_and(replaces) {
            return 0;
        }
        let members = self.rooms.get(room).into_iter();
        let members = members.flat_map(|entry| entry.room.participants());
        let tracks: usize = members.map(|member| member.tracks.len()).sum();
        cost::PARTICIPANT + tracks as u64 * cost::SUBSCRIPTION
    }

    /// Whether there is memory for somebody in a room.
    pub(super) fn affords(&self, room: &RoomName, who: &Identity) -> Result<(), NoMemory> {
        match self.cost_of_joining(room, who) {
            0 => Ok(()),
            cost => self.settings.memory.look(cost),
        }
    }

    /// The same, with all that it says of itself; counts it in if it comes.
    pub(super) fn affords_join(
        &self,
        room: &RoomName,
        join: &Join,
        comes: bool,
    ) -> Result<(), NoMemory> {
        let known = self.cost_of_joining(room, &join.identity);
        if known == 0 {
            return Ok(());
        }
        let attributes = join.attributes.iter();
        let attributes = attributes.map(|(key, value)| key.len() + value.len());
        let said = join.metadata.len() + attributes.sum::<usize>();
        let cost = known + COPIES * said as u64;
        let memory = &self.settings.memory;
        memory.look(cost)?;
        if comes {
            memory.promise(cost);
        }
        Ok(())
    }

    /// Something that a client asks the room for. A track for which there is no memory is refused here.
    pub(super) fn ask(&mut self, id: SessionId, room: RoomName, command: Command) {
        if let Command::Publish { track, .. } = &command
            && !self.affords_track(&room, track)
        {
            let notification = Notification::TrackRefused {
                client_id: track.client_id.clone(),
                reason: Refusal::NoMemory,
            };
            self.tell(id, Event::Notify(notification));
            return;
        }
        self.commands.push_back((room, command));
    }

    /// With all who may want to have it.
    fn affords_track(&self, room: &RoomName, track: &NewTrack) -> bool {
        let entry = self.rooms.get(room);
        let others = entry.map_or(0, |entry| entry.room.participants_here().count());
        let cost = cost::track(track.kind) + others as u64 * cost::SUBSCRIPTION;
        self.settings.memory.admit(Work::Track, cost).is_ok()
    }

    /// Whether there is memory for one more subscription; if not, the subscriber is told.
    pub(super) fn affords_subscription(
        &mut self,
        room: &RoomName,
        participant: &ParticipantId,
        track: &TrackId,
    ) -> bool {
        let memory = &self.settings.memory;
        let affords = memory.begin(Work::Subscription, cost::SUBSCRIPTION).is_ok();
        if !affords {
            let report = SubscriptionReport::Failed { codec: None };
            let command = Command::Subscription {
                participant: participant.clone(),
                track: track.clone(),
                report,
            };
            self.commands.push_back((room.clone(), command));
        }
        affords
    }
}
