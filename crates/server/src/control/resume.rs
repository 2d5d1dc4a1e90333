//! Clients that lose their network and come back: their session waits for them, with all that
//! they publish and receive, and the others do not see them leave.

use std::time::{Duration, Instant};

use umbrella_engine::Request;
use umbrella_room::Command;
use umbrella_room::model::{Identity, LeaveReason, ParticipantId, RoomName};

use super::handle::{Links, SessionId, SocketId};
use super::session::{Event, Outbox, Role, Signal};
use super::{Control, Phase};

/// How long a session waits for its client, from the last sign of life. Longer than it takes to
/// notice that a network is gone, and shorter than others put up with a picture that stands still.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody wants to go on.
#[derive(Debug)]
pub struct Resuming {
    /// In which room.
    pub room: RoomName,
    /// With which stay.
    pub participant: ParticipantId,
    /// Who, by the token.
    pub identity: Identity,
    /// How its peer connections are laid out.
    pub links: Links,
    /// Where everything for this session goes from now on.
    pub outbox: Outbox,
}

impl Control {
    /// A socket is gone, and its client has not said good-bye.
    pub(super) fn lost(&mut self, now: Instant, socket: SocketId, heard: Instant) {
        if self.sessions.at(socket).is_none() {
            return;
        }
        let Some(session) = self.sessions.get_mut(socket.session) else {
            return;
        };
        // Who has never had media has nothing to come back to.
        if !session.active || self.phase == Phase::ShuttingDown {
            self.give_up(socket.session, LeaveReason::SignalLost);
            return;
        }
        let until = (heard + PATIENCE).max(now);
        session.signal = Signal::Lost { until };
        tracing::info!(room = %session.room, identity = %session.identity,
            "signalling is lost; the client may come back");
        self.waiting.insert((until, socket.session));
        self.note_lost(socket.session);
    }

    /// Ends the sessions whose clients have not come back.
    pub(super) fn give_up_lost(&mut self, now: Instant) {
        while let Some((until, id)) = self.waiting.first().copied()
            && until <= now
        {
            self.waiting.pop_first();
            self.give_up(id, LeaveReason::SignalLost);
        }
    }

    /// Lets a client go on with its session, over another socket.
    ///
    /// # Errors
    /// Why it cannot: the session is over, or is somebody else's.
    pub(super) fn resume(
        &mut self,
        now: Instant,
        resuming: Resuming,
    ) -> Result<SocketId, LeaveReason> {
        let session = self.resumable(&resuming)?;
        let id = session.id;
        let before = std::mem::replace(
            &mut session.signal,
            Signal::Open {
                outbox: resuming.outbox,
            },
        );
        session.sockets += 1;
        let socket = SocketId {
            session: id,
            number: session.sockets,
        };
        let last_message = session.data.received();
        tracing::info!(room = %session.room, identity = %session.identity, "resumed");
        if let Signal::Lost { until } = before {
            self.waiting.remove(&(until, id));
        }
        self.tell(id, Event::Resumed { last_message });
        self.note_lost(id);
        let participant = resuming.participant;
        let resume = Command::Resume { participant };
        self.commands.push_back((resuming.room, resume));
        self.pump(now);
        self.restart_ice(id);
        Ok(socket)
    }

    fn resumable(
        &mut self,
        resuming: &Resuming,
    ) -> Result<&mut super::session::Session, LeaveReason> {
        let departure = self
            .rooms
            .get(&resuming.room)
            .and_then(|entry| entry.room.departure(&resuming.participant));
        let session = self.sessions.of_mut(&resuming.participant);
        let session = session.filter(|session| {
            session.room == resuming.room
                && session.identity == resuming.identity
                && session.links == resuming.links
                && !session.leaving
                && session.camera().is_none()
        });
        session.ok_or(match departure {
            Some(
                reason @ (LeaveReason::Removed
                | LeaveReason::RoomDeleted
                | LeaveReason::DuplicateIdentity
                | LeaveReason::Misbehaved),
            ) => reason,
            Some(
                LeaveReason::Asked
                | LeaveReason::ServerShutdown
                | LeaveReason::ConnectionLost
                | LeaveReason::SignalLost
                | LeaveReason::StateMismatch,
            )
            | None => LeaveReason::StateMismatch,
        })
    }

    /// Where we offer, we have to: the client does the same with its own offers.
    fn restart_ice(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let worker = session.worker;
        if let Some(transport) = session.transport(Role::Subscriber).map(|t| t.id) {
            self.request(worker, Request::RestartIce { transport });
        }
    }
}
