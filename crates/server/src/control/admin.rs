//! What the administrator sees and does.

use std::collections::HashMap;
use std::time::Instant;

use tokio::sync::oneshot;
use umbrella_media::Kind;
use umbrella_room::command::Moderation;
use umbrella_room::model::{
    Identity, LeaveReason, ParticipantKind, ParticipantState, ParticipantView, RoomName, Source,
    TrackId, TrackView,
};
use umbrella_room::{Command, Sight};

use super::handle::{Admin, AdminError};
use super::rooms::Entry;
use super::{Bounds, Control, Phase};
use crate::auth::Bearer;
use crate::http::api::{
    Held, LayerDetail, ParticipantDetail, RoomDetail, RoomSummary, TrackDetail, WorkerStatus,
};

impl Control {
    pub(super) fn admin(&mut self, now: Instant, request: Admin) {
        match request {
            Admin::Rooms(reply) => answer(reply, self.summaries()),
            Admin::Details(reply) => {
                self.statistics.look(now);
                let subscribers = self.names.subscribers();
                let details = self.rooms.iter();
                let details = details.map(|(name, entry)| self.detail(name, entry, &subscribers));
                answer(reply, details.collect());
            }
            Admin::Room(room, reply) => {
                self.statistics.look(now);
                let subscribers = self.names.subscribers();
                let entry = self.rooms.get(&room);
                answer(
                    reply,
                    entry.map(|entry| self.detail(&room, entry, &subscribers)),
                );
            }
            Admin::Create {
                room,
                permanent,
                reply,
            } => answer(reply, self.create(now, &room, permanent)),
            Admin::Delete(room, reply) => answer(reply, self.delete(now, &room)),
            Admin::Remove {
                room,
                identity,
                sight,
                reply,
            } => answer(reply, self.remove(now, room, &identity, &sight)),
            Admin::KeptOut {
                room,
                identity,
                reply,
            } => answer(reply, self.sanctions.kept_out(now, &room, &identity)),
            Admin::Affords {
                room,
                identity,
                reply,
            } => answer(reply, self.affords(&room, &identity)),
            Admin::Mute {
                room,
                track,
                muted,
                reply,
            } => answer(reply, self.mute(room, &track, muted)),
            Admin::Workers(reply) => {
                self.statistics.look(now);
                answer(reply, self.worker_status());
            }
            Admin::Held(reply) => {
                self.statistics.look(now);
                answer(reply, self.held());
            }
            Admin::Topology(reply) => {
                self.statistics.look(now);
                answer(reply, self.topology(now));
            }
        }
    }

    /// A configuration has changed.
    pub(super) fn set_bounds(&mut self, now: Instant, bounds: Bounds) {
        self.settings.rooms = bounds.rooms;
        self.settings.max_rooms = bounds.max_rooms;
        self.settings.limits = bounds.limits;
        let names: Vec<_> = self.rooms.iter().map(|(name, _)| name.clone()).collect();
        for name in names {
            if let Some(entry) = self.rooms.get_mut(&name) {
                entry.room.set_limits(self.settings.limits.clone());
                entry.room.handle_timeout(now);
            }
            self.carry_out(now, &name);
        }
    }

    fn summaries(&self) -> Vec<RoomSummary> {
        let rooms = self.rooms.iter();
        rooms.map(|(name, entry)| summary(name, entry)).collect()
    }

    fn create(
        &mut self,
        now: Instant,
        room: &RoomName,
        permanent: bool,
    ) -> Result<RoomSummary, AdminError> {
        if self.phase == Phase::ShuttingDown {
            return Err(AdminError::ShuttingDown);
        }
        if self.rooms.get(room).is_some() {
            if !(permanent && self.rooms.keep(room)) {
                return Err(AdminError::RoomExists);
            }
        } else if self.rooms_are_full() {
            return Err(AdminError::TooManyRooms);
        } else {
            self.make_room(now, room, permanent);
        }
        let entry = self.rooms.get(room).ok_or(AdminError::NoSuchRoom)?;
        Ok(summary(room, entry))
    }

    fn delete(&mut self, now: Instant, room: &RoomName) -> Result<(), AdminError> {
        self.rooms.get(room).ok_or(AdminError::NoSuchRoom)?;
        let reason = LeaveReason::RoomDeleted;
        let close = Command::Moderate(Moderation::Close { reason });
        self.commands.push_back((room.clone(), close));
        self.pump(now);
        self.remove_room(room);
        tracing::info!(%room, "room deleted");
        Ok(())
    }

    fn remove(
        &mut self,
        now: Instant,
        room: RoomName,
        identity: &str,
        sight: &Sight,
    ) -> Result<(), AdminError> {
        let identity = Identity::new(identity);
        let participant = self.someone((&room, sight), &identity)?.id.clone();
        let session = self.sessions.of(&participant);
        if session.is_some_and(|session| session.bearer == Bearer::Guest) {
            self.sanctions.keep_out(now, &room, &identity);
        }
        let remove = Command::Moderate(Moderation::Remove { identity });
        self.commands.push_back((room, remove));
        Ok(())
    }

    fn mute(&mut self, room: RoomName, track: &str, muted: bool) -> Result<(), AdminError> {
        let entry = self.rooms.get(&room).ok_or(AdminError::NoSuchRoom)?;
        let track = TrackId::new(track);
        entry.room.track(&track).ok_or(AdminError::NoSuchTrack)?;
        let mute = Command::Moderate(Moderation::Mute { track, muted });
        self.commands.push_back((room, mute));
        Ok(())
    }

    fn worker_status(&self) -> Vec<WorkerStatus> {
        let mut transports = vec![0; self.workers.len()];
        for session in self.sessions.iter() {
            transports[session.worker] += session.transports.len() as u32;
        }
        let workers = self.workers.iter().enumerate();
        workers
            .map(|(index, worker)| {
                let load = worker.load();
                WorkerStatus {
                    index: index as u32,
                    port: worker.port(),
                    busy: load.busy,
                    transports: transports[index],
                    datagrams_in: load.datagrams_in,
                    datagrams_out: load.datagrams_out,
                    strays: self.statistics.strays(index),
                }
            })
            .collect()
    }

    fn held(&self) -> Held {
        let rooms = self.rooms.iter();
        let participants = rooms.map(|(_, entry)| entry.room.participants().count());
        let transports = self.sessions.iter().map(|session| session.transports.len());
        let workers = self.statistics.held();
        let tasks = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        Held {
            rooms: self.rooms.len() as u32,
            participants: participants.sum::<usize>() as u32,
            sessions: self.sessions.iter().count() as u32,
            transports: transports.sum::<usize>() as u32,
            tracks: self.names.tracks() as u32,
            subscriptions: self.names.subscriptions() as u32,
            deadlines: (self.rooms.deadlines() + self.closing.len()) as u32,
            worker_transports: workers.map(|held| held.transports as u32),
            worker_producers: workers.map(|held| held.producers as u32),
            worker_consumers: workers.map(|held| held.consumers as u32),
            tasks: tasks as u32,
        }
    }

    fn detail(
        &self,
        name: &RoomName,
        entry: &Entry,
        subscribers: &HashMap<&TrackId, u32>,
    ) -> RoomDetail {
        let participants = entry.room.participants();
        RoomDetail {
            summary: summary(name, entry),
            participants: participants
                .map(|view| self.participant(view, subscribers))
                .collect(),
        }
    }

    fn participant(
        &self,
        view: &ParticipantView,
        subscribers: &HashMap<&TrackId, u32>,
    ) -> ParticipantDetail {
        let session = self.sessions.of(&view.id);
        let rtt = session.and_then(|session| {
            let transports = session.transports.iter();
            transports.filter_map(|t| self.statistics.rtt(t.id)).min()
        });
        ParticipantDetail {
            identity: view.identity.to_string(),
            name: view.name.clone(),
            state: match view.state {
                ParticipantState::Joined => "joined",
                ParticipantState::Active => "active",
                ParticipantState::Left => "left",
            }
            .to_owned(),
            hidden: view.permission.hidden,
            camera: view.kind == ParticipantKind::Ingress,
            joined_at_ms: view.joined_at_ms,
            client: session.map(|s| s.client.clone()).unwrap_or_default(),
            protocol: session.map(|s| s.protocol().to_owned()).unwrap_or_default(),
            rtt_ms: rtt.map(|rtt| rtt.as_secs_f32() * 1000.0),
            tracks: view
                .tracks
                .iter()
                .map(|track| self.track(track, subscribers))
                .collect(),
            subscriptions: session.map_or(0, |s| s.consumers.len() as u32),
        }
    }

    fn track(&self, view: &TrackView, subscribers: &HashMap<&TrackId, u32>) -> TrackDetail {
        let producer = self.names.producer(&view.id);
        let measured = producer.map_or(&[][..], |p| self.statistics.encodings(p));
        let count = measured.len().max(view.layers.len());
        let layers = (0..count).map(|index| {
            let announced = view.layers.get(index);
            let measured = measured.get(index);
            LayerDetail {
                width: announced.map_or(0, |layer| layer.width),
                height: announced.map_or(0, |layer| layer.height),
                bitrate: measured.map_or(0, |encoding| encoding.bitrate),
                lost: measured.map_or(0, |encoding| encoding.lost),
            }
        });
        TrackDetail {
            id: view.id.to_string(),
            kind: kind_name(view.kind).to_owned(),
            source: source_name(view.source).to_owned(),
            name: view.name.clone(),
            codec: view.codec.map(|c| c.mime().to_owned()).unwrap_or_default(),
            muted: view.muted,
            layers: layers.collect(),
            subscribers: subscribers.get(&view.id).copied().unwrap_or(0),
        }
    }
}

/// As the page's API says it.
pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Audio => "audio",
        Kind::Video => "video",
    }
}

/// As the page's API says it.
pub(super) fn source_name(source: Source) -> &'static str {
    match source {
        Source::Unknown => "unknown",
        Source::Camera => "camera",
        Source::Microphone => "microphone",
        Source::ScreenShare => "screen_share",
        Source::ScreenShareAudio => "screen_share_audio",
    }
}

fn summary(name: &RoomName, entry: &Entry) -> RoomSummary {
    let view = entry.room.view();
    RoomSummary {
        name: name.to_string(),
        permanent: entry.permanent,
        participants: view.participants,
        publishers: view.publishers,
        created_at: view.created_at_s,
    }
}

fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    // Who asked may be gone.
    let _ = reply.send(value);
}
