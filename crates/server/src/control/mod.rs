//! The owner of all rooms: one task that carries commands in and effects out.
//!
//! Sessions and administrators reach it through a [`Handle`] (a bounded inbox), workers through
//! bounded channels of reports. It alone knows both rooms and the engine: a room's effects become
//! the engine's requests, the engine's reports become a room's commands.

mod admin;
mod camera;
mod chronicle;
pub(crate) mod data;
mod handle;
mod media;
mod memory;
mod metrics;
mod outside;
mod probe;
mod quality;
mod resume;
mod rooms;
mod sanctions;
mod service;
mod session;
mod statistics;
mod trunk;

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use rand::Rng as _;
use tokio::sync::{mpsc, oneshot};
use umbrella_engine::Request;
use umbrella_room::command::{Join, Moderation};
use umbrella_room::effect::Refusal;
use umbrella_room::mesh::MeshConfig;
use umbrella_room::model::{LeaveReason, ParticipantId, RoomName};
use umbrella_room::{Command, Effect, Limits, Notification, RoomConfig};

use self::camera::Cameras;
use self::chronicle::Chronicle;
use self::handle::Message;
use self::metrics::Metrics;
use self::quality::Qualities;
use self::rooms::{Due, Rooms, Stay};
use self::sanctions::Sanctions;
use self::session::{Role, Session, Sessions, Signal};
use self::statistics::Statistics;
use crate::auth::Bearer;
use crate::clock::unix_seconds;
use crate::config::RoomsConfig;
use crate::memory::Memory;
use crate::tasks;
use crate::worker::{FromWorker, Link, Workers};

pub use self::chronicle::{Happening, News, NewsSender, news};
pub(crate) use self::data::Budget;
pub use self::handle::{
    AdminError, Admission, Handle, Joining, Links, SessionId, SessionInput, SocketId,
};
pub use self::resume::Resuming;
pub use self::service::{RoomSettings, RoomState, ServerData};
pub use self::session::{Event, Outbox, outbox};

/// Messages and reports that are taken from a queue before the other queue has its turn.
const BATCH: usize = 64;

/// A room with so many sessions on the worker where it began puts further ones on others too.
const SPREAD_FROM: usize = 50;

/// When a worker's queue is full, how long until it is tried again.
const RETRY: Duration = Duration::from_millis(2);

/// How rooms come and go.
#[derive(Debug, Clone)]
pub struct Settings {
    /// When rooms are made and when they go.
    pub rooms: RoomsConfig,
    /// Rooms at a time; 0 is unbounded.
    pub max_rooms: u32,
    /// Bounds on participants.
    pub limits: Limits,
    /// Who is told what happens in rooms, if anybody.
    pub news: Option<NewsSender>,
    /// What this server is to others.
    pub mesh: MeshConfig,
    /// Whether there is memory for more.
    pub memory: Memory,
}

/// The part of [`Settings`] that can change while the server runs.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// When rooms are made and when they go; the times count for rooms that begin afterwards.
    pub rooms: RoomsConfig,
    /// Rooms at a time; 0 is unbounded.
    pub max_rooms: u32,
    /// Bounds on participants, also in rooms that exist.
    pub limits: Limits,
}

/// Starts the owner of the rooms. It runs until [`Handle::shutdown`].
///
/// Must be called within a tokio runtime.
pub fn start(mut settings: Settings, workers: Workers) -> Handle {
    let (sender, inbox) = mpsc::channel(handle::INBOX);
    let advertised = workers.advertised();
    let (links, reports) = workers.split();
    let ports = links.iter().map(Link::port).collect();
    let (mesh, memory) = (settings.mesh.clone(), settings.memory.clone());
    let control = Control {
        chronicle: Chronicle::new(settings.news.take()),
        settings,
        rooms: Rooms::default(),
        sessions: Sessions::default(),
        sanctions: Sanctions::default(),
        names: media::Names::default(),
        statistics: Statistics::new(links.len()),
        qualities: Qualities::new(links.len()),
        metrics: Metrics::new(links.len()),
        trunks: trunk::Trunks::new(mesh),
        cameras: Cameras::new(sender.downgrade()),
        outside: Vec::new(),
        probes: probe::Probes::default(),
        workers: links,
        commands: VecDeque::new(),
        closing: VecDeque::new(),
        waiting: BTreeSet::new(),
        phase: Phase::Running,
    };
    tasks::spawn(control.run(inbox, reports));
    Handle::new(sender, ports, advertised, memory)
}

/// A new random name with a prefix that says what it names, e.g. `PA_`.
pub(crate) fn random_name(prefix: &str) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = rand::rng();
    let mut name = String::with_capacity(prefix.len() + 13);
    name.push_str(prefix);
    for _ in 0..13 {
        name.push(char::from(LETTERS[random.random_range(0..LETTERS.len())]));
    }
    name
}

/// Whether anybody is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    ShuttingDown,
}

/// Whether the task goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    GoOn,
    Stop,
}

/// The state of the owner of all rooms.
#[derive(Debug)]
struct Control {
    settings: Settings,
    rooms: Rooms,
    sessions: Sessions,
    sanctions: Sanctions,
    names: media::Names,
    statistics: Statistics,
    qualities: Qualities,
    metrics: Metrics,
    chronicle: Chronicle,
    trunks: trunk::Trunks,
    cameras: Cameras,
    /// Who waits for how we are seen from outside.
    outside: Vec<outside::Question>,
    probes: probe::Probes,
    workers: Vec<Link>,
    /// Commands that follow from what was just done; empty when the task waits.
    commands: VecDeque<(RoomName, Command)>,
    /// Sessions that have lost a peer connection, and when they end: in this order.
    closing: VecDeque<(Instant, SessionId)>,
    /// Sessions whose client has lost its socket, and when they end.
    waiting: BTreeSet<(Instant, SessionId)>,
    phase: Phase,
}

impl Control {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Message>,
        mut reports: mpsc::Receiver<FromWorker>,
    ) {
        let mut messages = Vec::with_capacity(BATCH);
        let mut reported = Vec::with_capacity(BATCH);
        loop {
            let deadline = self.next_deadline().map(tokio::time::Instant::from_std);
            tokio::select! {
                count = inbox.recv_many(&mut messages, BATCH) => if count == 0 { return },
                count = reports.recv_many(&mut reported, BATCH) => if count == 0 { return },
                () = sleep_until(deadline) => self.handle_timeout(Instant::now()),
            }
            let now = Instant::now();
            for message in messages.drain(..) {
                if self.handle(now, message) == Next::Stop {
                    self.stop().await;
                    return;
                }
            }
            for report in reported.drain(..) {
                self.handle_worker(now, report);
            }
            self.settle_camera_sound();
            self.flush_workers();
            self.tell_feeders();
        }
    }

    fn handle(&mut self, now: Instant, message: Message) -> Next {
        match message {
            Message::Check {
                room,
                join,
                bearer,
                comes,
                reply,
            } => {
                let admitted = self.admit(now, &room, &join, bearer);
                let affords = || self.affords_join(&room, &join, comes);
                let _ = reply.send(admitted.and_then(|()| Ok(affords()?)));
            }
            Message::Join { session, joining } => self.join(now, session, *joining),
            Message::Resume { resuming, reply } => {
                let _ = reply.send(self.resume(now, *resuming));
            }
            Message::Input { socket, input } => self.input(socket, input),
            Message::Hangup { socket, reason } => {
                if self.sessions.at(socket).is_some() {
                    self.give_up(socket.session, reason);
                }
            }
            Message::Lost { socket, heard } => self.lost(now, socket, heard),
            Message::Admin(request) => self.admin(now, request),
            Message::Bounds(bounds) => self.set_bounds(now, *bounds),
            Message::LookOutside(question) => self.look_outside(question),
            Message::Probe(offer) => self.open_probe(now, offer),
            Message::Advertise(workers) => self.advertise(workers),
            Message::Metrics(reply) => self.scrape(now, reply),
            Message::Link(event) => self.link(now, event),
            Message::Camera(message) => self.camera(now, message),
            Message::Service(room, sight, request) => self.serve(now, &room, &sight, request),
            Message::Shutdown(reply) => {
                self.shut_down(now, reply);
                return Next::Stop;
            }
        }
        self.pump(now);
        Next::GoOn
    }

    fn handle_worker(&mut self, now: Instant, from: FromWorker) {
        match from {
            FromWorker::Report { worker, report } => self.report(now, worker, report),
            FromWorker::Died { worker } => self.worker_died(worker),
        }
        self.pump(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(due) = self.rooms.due(now) {
            match due {
                Due::Timeout(room) => {
                    if let Some(entry) = self.rooms.get_mut(&room) {
                        entry.room.handle_timeout(now);
                    }
                    self.carry_out(now, &room);
                }
                Due::Expired(room) => {
                    tracing::info!(%room, "room ends: nobody is in");
                    self.remove_room(&room);
                }
            }
        }
        while let Some((at, id)) = self.closing.front().copied()
            && at <= now
        {
            self.closing.pop_front();
            self.give_up(id, LeaveReason::ConnectionLost);
        }
        self.give_up_lost(now);
        self.close_old_probes(now);
        self.trunks_due(now);
        self.cameras_due(now);
        self.look_at_qualities(now);
        self.answer_scrapes(now);
        if self.statistics.due(now) {
            for worker in 0..self.workers.len() {
                self.request(worker, Request::Statistics);
            }
        }
        self.pump(now);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let behind = self.workers.iter().any(Link::is_behind);
        let retry = behind.then(|| Instant::now() + RETRY);
        let closing = self.closing.front().map(|(at, _)| *at);
        let (rooms, statistics) = (self.rooms.next_deadline(), self.statistics.deadline());
        let waiting = self.waiting.first().map(|(until, _)| *until);
        let (qualities, metrics) = (self.qualities.deadline(), self.metrics.deadline());
        let (trunks, cameras) = (self.trunks.deadline(), self.cameras.deadline());
        let probes = self.probes.deadline();
        let all = [
            probes, rooms, statistics, metrics, qualities, closing, waiting, retry, trunks, cameras,
        ];
        all.into_iter().flatten().min()
    }
}

/// Coming and going.
impl Control {
    fn admit(
        &self,
        now: Instant,
        room: &RoomName,
        join: &Join,
        bearer: Bearer,
    ) -> Result<(), Admission> {
        if self.phase == Phase::ShuttingDown {
            return Err(Admission::ShuttingDown);
        }
        let kept_out = || self.sanctions.kept_out(now, room, &join.identity);
        if bearer == Bearer::Guest && kept_out().is_some() {
            return Err(Admission::Removed);
        }
        if self.cameras.has(room, &join.identity) {
            return Err(Admission::NotAllowed);
        }
        match self.rooms.get(room) {
            Some(entry) => entry.room.admit(join).map_err(|refusal| match refusal {
                Refusal::RoomFull => Admission::RoomFull,
                Refusal::LimitExceeded => Admission::LimitExceeded,
                Refusal::NoMemory => Admission::NoMemory,
                Refusal::NotAllowed | Refusal::NotFound | Refusal::Duplicate => {
                    Admission::NotAllowed
                }
            }),
            None if !self.settings.rooms.auto_create => Err(Admission::NoSuchRoom),
            None if self.rooms_are_full() => Err(Admission::TooManyRooms),
            None => Ok(()),
        }
    }

    fn rooms_are_full(&self) -> bool {
        let most = self.settings.max_rooms as usize;
        most > 0 && self.rooms.len() >= most
    }

    fn join(&mut self, now: Instant, id: SessionId, mut joining: Joining) {
        let admitted = self.admit(now, &joining.room, &joining.join, joining.bearer);
        if let Err(refused) = admitted {
            let _ = joining.outbox.try_send(Event::Refused(refused));
            return;
        }
        if self.rooms.get(&joining.room).is_none() {
            self.make_room(now, &joining.room, false);
        }
        let Some(entry) = self.rooms.get(&joining.room) else {
            return;
        };
        let worker = self.worker_for(&joining.room, entry.worker);
        tracing::info!(room = %joining.room, identity = %joining.join.identity,
            participant = %joining.join.id, client = joining.client, worker, "joined");
        self.sessions
            .insert(Session::new(id, now, worker, &joining));
        let silent = self.is_silent(now, &joining);
        joining.join.permission.publish &= !silent;
        // Its session ends with the last sender, so none is kept here.
        drop(joining.outbox);
        let identity = joining.join.identity.clone();
        let (room, participant) = (joining.room, joining.join.id.clone());
        self.rooms.occupied(&room);
        self.trunks.mesh.use_room(now, &room, true);
        self.qualities.begin(now);
        self.commands
            .push_back((room.clone(), Command::Join(joining.join)));
        self.pump(now);
        let entry = self.rooms.get(&room);
        if entry.is_none_or(|e| e.room.participant_by_id(&participant).is_none()) {
            self.disconnect(now, &participant, LeaveReason::Misbehaved);
            self.emptied(now, &room);
            return;
        }
        if silent {
            // The stay that this one follows has ended by now.
            self.sanctions.silence(now, &room, &identity);
        }
        self.metrics.joined();
        self.cameras_keep_company(now, &room);
        // What the client needs from the start, also when there is nothing to receive yet.
        match joining.links {
            Links::One => self.transport(id, Role::Single),
            Links::Two {
                subscriber_first: true,
            } => self.transport(id, Role::Subscriber),
            Links::Two {
                subscriber_first: false,
            } => None,
        };
    }

    /// Whether a moderator has taken from somebody who comes in what the token allows.
    fn is_silent(&self, now: Instant, joining: &Joining) -> bool {
        let (room, identity) = (&joining.room, &joining.join.identity);
        joining.bearer == Bearer::Guest && self.sanctions.is_silent(now, room, identity)
    }

    fn make_room(&mut self, now: Instant, name: &RoomName, permanent: bool) {
        let worker = self.least_loaded();
        tracing::info!(room = %name, worker, permanent, "room begins");
        let config = RoomConfig {
            sid: random_name("RM_"),
            name: name.clone(),
            metadata: String::new(),
            created_at_s: unix_seconds(),
            max_participants: 0,
            limits: self.settings.limits.clone(),
        };
        let stay = Stay {
            empty: self.settings.rooms.empty_timeout,
            departure: self.settings.rooms.departure_timeout,
        };
        self.rooms.insert(now, config, worker, permanent, stay);
        if let Some(entry) = self.rooms.get(name) {
            self.chronicle.begun(name, entry);
        }
    }

    /// Forgets a room in which nobody is any more.
    fn remove_room(&mut self, name: &RoomName) {
        if let Some(entry) = self.rooms.remove(name) {
            self.chronicle.ended(name, &entry);
        }
        self.sanctions.forget(name);
    }

    /// The worker for one more session in a room. A room stays on one worker while it is small,
    /// as handing packets to another worker costs; a large one spreads over all of them.
    fn worker_for(&self, room: &RoomName, home: usize) -> usize {
        let mut there = self
            .sessions
            .iter()
            .filter(|s| s.room == *room && s.worker == home);
        match there.nth(SPREAD_FROM - 1) {
            Some(_) => self.least_loaded(),
            None => home,
        }
    }

    /// The worker with the fewest sessions, and among those with the fewest rooms.
    fn least_loaded(&self) -> usize {
        let mut load: Vec<(bool, usize, usize)> =
            self.workers.iter().map(|w| (w.is_dead(), 0, 0)).collect();
        for session in self.sessions.iter() {
            load[session.worker].1 += 1;
        }
        for (_, entry) in self.rooms.iter() {
            load[entry.worker].2 += 1;
        }
        (0..load.len()).min_by_key(|w| load[*w]).unwrap_or(0)
    }

    fn input(&mut self, socket: SocketId, input: SessionInput) {
        let id = socket.session;
        let Some(session) = self.sessions.at(socket) else {
            return;
        };
        let (worker, room) = (session.worker, session.room.clone());
        match input {
            SessionInput::Command(command) => self.ask(id, room, *command),
            SessionInput::Offer { offer, sdp } => {
                let options = session.publish_options();
                if let Some(transport) = self.transport(id, session.offering_role()) {
                    self.request(
                        worker,
                        Request::RemoteOffer {
                            transport,
                            offer,
                            sdp,
                            options,
                        },
                    );
                }
            }
            SessionInput::Answer { offer, sdp } => {
                if let Some(transport) = session.transport(Role::Subscriber).map(|t| t.id) {
                    self.request(
                        worker,
                        Request::RemoteAnswer {
                            transport,
                            offer,
                            sdp,
                        },
                    );
                }
            }
            SessionInput::Candidate {
                subscriber,
                candidate,
            } => {
                let role = if subscriber {
                    session.receiving_role()
                } else {
                    session.offering_role()
                };
                if let Some(transport) = session.transport(role).map(|t| t.id) {
                    self.request(
                        worker,
                        Request::RemoteCandidate {
                            transport,
                            candidate,
                        },
                    );
                }
            }
        }
    }

    /// A session is over by fault or will of its client, or because media failed. The room hears
    /// of it once.
    fn give_up(&mut self, id: SessionId, reason: LeaveReason) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        if std::mem::replace(&mut session.leaving, true) {
            return;
        }
        let participant = session.participant.clone();
        self.commands.push_back((
            session.room.clone(),
            Command::Leave {
                participant,
                reason,
            },
        ));
    }

    fn misbehaved(&mut self, id: SessionId, why: &str) {
        if let Some(session) = self.sessions.get(id) {
            tracing::warn!(room = %session.room, identity = %session.identity, why,
                "client broke the protocol");
        }
        self.give_up(id, LeaveReason::Misbehaved);
    }

    fn disconnect(&mut self, now: Instant, participant: &ParticipantId, reason: LeaveReason) {
        let Some(id) = self.sessions.of(participant).map(|session| session.id) else {
            return;
        };
        let Some(session) = self.sessions.remove(id) else {
            return;
        };
        tracing::info!(room = %session.room, identity = %session.identity,
            participant = %session.participant, ?reason, "left");
        if session.camera().is_none() {
            self.metrics.left(reason);
        }
        self.sanctions.left(now, &session.room, &session.identity);
        self.close_media(&session);
        // If it is full the client does not read; with the sender gone the socket is closed.
        match session.signal {
            Signal::Open { outbox } => drop(outbox.try_send(Event::End(reason))),
            Signal::Lost { until } => drop(self.waiting.remove(&(until, id))),
            Signal::Camera { id: camera } => self.camera_left(now, &camera, id, reason),
        }
    }

    fn shut_down(&mut self, now: Instant, reply: oneshot::Sender<()>) {
        self.phase = Phase::ShuttingDown;
        self.cameras.close();
        let outboxes = self.sessions.iter().filter_map(Session::outbox);
        let outboxes: Vec<Outbox> = outboxes.cloned().collect();
        let rooms: Vec<RoomName> = self.rooms.iter().map(|(name, _)| name.clone()).collect();
        for room in &rooms {
            let reason = LeaveReason::ServerShutdown;
            let close = Command::Moderate(Moderation::Close { reason });
            self.commands.push_back((room.clone(), close));
        }
        self.pump(now);
        self.flush_workers();
        for room in &rooms {
            self.remove_room(room);
        }
        self.chronicle.close();
        tasks::spawn(async move {
            for outbox in outboxes {
                outbox.closed().await;
            }
            let _ = reply.send(());
        });
    }

    /// Lets the workers finish what they were told, and waits for their threads.
    async fn stop(self) {
        let threads: Vec<_> = self.workers.into_iter().filter_map(Link::stop).collect();
        let _ = tasks::spawn_blocking(move || {
            for thread in threads {
                let _ = thread.join();
            }
        })
        .await;
    }

    fn worker_died(&mut self, worker: usize) {
        tracing::error!(
            worker,
            "a worker thread has died; its rooms start anew on another"
        );
        self.workers[worker].mark_dead();
        let there = |name: &RoomName| {
            let mut sessions = self.sessions.iter();
            sessions.any(|session| session.worker == worker && session.room == *name)
        };
        let rooms: Vec<RoomName> = self
            .rooms
            .iter()
            .filter(|(name, entry)| entry.worker == worker || there(name))
            .map(|(name, _)| name.clone())
            .collect();
        let replacement = self.least_loaded();
        for name in rooms {
            let reason = LeaveReason::StateMismatch;
            let close = Command::Moderate(Moderation::Close { reason });
            self.commands.push_back((name.clone(), close));
            if let Some(entry) = self.rooms.get_mut(&name)
                && entry.worker == worker
            {
                entry.worker = replacement;
            }
        }
    }
}

/// Effects.
impl Control {
    /// Applies commands until nothing follows any more.
    fn pump(&mut self, now: Instant) {
        loop {
            self.settle_trunks(now);
            let Some((room, command)) = self.commands.pop_front() else {
                return;
            };
            if let Some(entry) = self.rooms.get_mut(&room) {
                entry.room.handle(now, command);
                self.carry_out(now, &room);
            }
        }
    }

    fn carry_out(&mut self, now: Instant, room: &RoomName) {
        while let Some(effect) = self.rooms.get_mut(room).and_then(|e| e.room.poll_effect()) {
            self.effect(now, room, effect);
        }
        self.share(now, room);
        if let Some(entry) = self.rooms.get(room) {
            self.chronicle.changed(room, entry);
        }
        self.rooms.schedule(room);
    }

    fn effect(&mut self, now: Instant, room: &RoomName, effect: Effect) {
        match effect {
            Effect::Notify { to, notification } => self.notify(&to, notification),
            Effect::Disconnect {
                participant,
                reason,
            } => {
                if let Some(entry) = self.rooms.get(room) {
                    self.chronicle.gone(room, entry, &participant, reason);
                }
                self.disconnect(now, &participant, reason);
            }
            Effect::OpenConsumer {
                subscriber,
                publisher,
                track,
                shown,
                delivery,
            } => {
                if self.affords_subscription(room, &subscriber, &track) {
                    self.open_consumer(room, (&subscriber, &publisher), track, &shown, delivery);
                }
            }
            Effect::ConfigureConsumer {
                subscriber,
                track,
                delivery,
            } => self.configure_consumer(&subscriber, &track, delivery),
            Effect::CloseConsumer { subscriber, track } => {
                self.close_consumer(&subscriber, &track);
            }
            Effect::PauseProducer { track, paused } => self.pause_producer(&track, paused),
            Effect::QuietProducer { track, quiet } => self.quiet_producer(&track, quiet),
            Effect::CloseProducer { track } => self.close_producer(&track),
            Effect::SendData {
                to,
                reliability,
                payload,
            } => self.send_data(&to, reliability, &payload),
            Effect::Empty => self.emptied(now, room),
        }
    }

    /// The last one has left; unless somebody has come in the same breath, with the same identity.
    fn emptied(&mut self, now: Instant, room: &RoomName) {
        if self.rooms.get(room).is_some_and(|e| e.room.is_empty()) {
            self.rooms.emptied(room, now);
            // What the last one leaves behind is said before.
            self.share(now, room);
            self.trunks.mesh.use_room(now, room, false);
        }
    }

    fn notify(&mut self, to: &ParticipantId, notification: Notification) {
        // The end of a session says it, in the same order.
        if matches!(notification, Notification::Leave(_)) {
            return;
        }
        let Some(found) = self.sessions.of(to) else {
            return;
        };
        let session = found.id;
        if let Some(camera) = found.camera().map(str::to_owned) {
            self.tell_camera(&camera, notification);
            return;
        }
        let published = if let Notification::TrackPublished {
            client_id, track, ..
        } = &notification
        {
            Some((client_id.clone(), track.clone()))
        } else {
            None
        };
        self.tell(session, Event::Notify(notification));
        if let Some((client_id, track)) = published {
            self.announced(to, &client_id, &track);
        }
    }

    fn tell(&mut self, id: SessionId, event: Event) {
        let Some(session) = self.sessions.get(id) else {
            return;
        };
        let Some(outbox) = session.outbox() else {
            return;
        };
        if let Err(mpsc::error::TrySendError::Full(_)) = outbox.try_send(event) {
            self.metrics.events_dropped += 1;
            if !session.leaving {
                tracing::warn!(room = %session.room, identity = %session.identity,
                    "client does not read what it is sent");
            }
            self.give_up(id, LeaveReason::SignalLost);
        }
    }

    fn request(&mut self, worker: usize, request: Request) {
        self.workers[worker].push(request);
    }

    fn flush_workers(&mut self) {
        for worker in &mut self.workers {
            worker.flush();
        }
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
