//! Cameras take part in rooms: each is a participant that is always there, with its tracks, and is
//! connected while somebody wants it.
//!
//! Media do not come this way: a [`feeder`] brings them from the camera to the worker of its room,
//! and is only told where that is. What is said about a camera's connection comes by a [`watcher`].

mod feeder;
mod member;
mod publish;
mod watcher;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use umbrella_engine::{EncodingStatistics, ProducerId};
use umbrella_media::Spatial;
use umbrella_room::command::{Join, ParticipantChange};
use umbrella_room::model::{
    ClientFacts, Identity, LeaveReason, ParticipantId, ParticipantKind, Permission, RoomName,
    TrackId,
};
use umbrella_room::{Command, Sight};

use self::feeder::{Feeder, Outlet};
use self::member::{Member, Presence, Return, Source};
use self::watcher::{Said, Task, Watcher};
use super::handle::{Message, SessionId};
use super::session::Session;
use super::{Control, Phase, random_name};
use crate::camera::{Camera, CameraSpec, CameraStatus, MAX_CAMERAS, Pace, Streams};
use crate::tasks;

/// What the room waits until it tells that nobody watches, and what the camera waits then, are
/// together as long as a camera stays connected that nobody watches: ten seconds.
const LINGER: Duration = Duration::from_secs(6);

/// When a camera tries again that was not let into its room.
const COMES_BACK: Duration = Duration::from_secs(5);

/// Events of a camera that wait for its feeder.
const EVENTS: usize = 64;

/// What is to be done about cameras.
#[derive(Debug)]
pub(super) enum CameraMessage {
    Set(Box<CameraSpec>),
    Remove(String),
    Retry(String),
    List(oneshot::Sender<Vec<CameraStatus>>),
    /// How a camera gets on.
    Said {
        camera: String,
        /// Which source of it.
        run: u64,
        said: Said,
    },
}

/// All cameras of this server.
#[derive(Debug)]
pub(super) struct Cameras {
    by_id: BTreeMap<String, Member>,
    inbox: mpsc::WeakSender<Message>,
    pace: Pace,
    runs: u64,
    /// Somebody has begun or ceased to hear something.
    pub(super) listeners_changed: bool,
}

impl Cameras {
    pub(super) fn new(inbox: mpsc::WeakSender<Message>) -> Cameras {
        Cameras {
            by_id: BTreeMap::new(),
            inbox,
            pace: Pace {
                linger: LINGER,
                ..Pace::default()
            },
            runs: 0,
            listeners_changed: false,
        }
    }

    /// Whether an identity in a room belongs to one of them: nobody else may have it.
    pub(super) fn has(&self, room: &RoomName, identity: &Identity) -> bool {
        let member = self.by_id.get(identity.as_str());
        member.is_some_and(|member| member.spec.room == room.as_str())
    }

    /// When something has to be done although nothing has happened.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let each = self.by_id.values().flat_map(|member| {
            let back = match member.presence {
                Presence::Out(Return::At(at)) => Some(at),
                Presence::Out(Return::Changed | Return::Company) | Presence::In { .. } => None,
            };
            [back, member.patience]
        });
        each.flatten().min()
    }

    /// Somebody cannot decode a track, which may be the picture of one of them.
    pub(super) fn doubt(&mut self, track: &TrackId) {
        let of = |member: &&mut Member| member.video.as_ref().is_some_and(|it| it.track == *track);
        if let Some(member) = self.by_id.values_mut().find(of) {
            member.doubt();
        }
    }

    /// The server goes down.
    pub(super) fn close(&mut self) {
        self.by_id.clear();
    }
}

impl Control {
    pub(super) fn camera(&mut self, now: Instant, message: CameraMessage) {
        match message {
            CameraMessage::Set(spec) => self.set_camera(now, *spec),
            CameraMessage::Remove(id) => {
                self.camera_leaves(now, &id);
                self.cameras.by_id.remove(&id);
            }
            CameraMessage::Retry(id) => {
                let member = self.cameras.by_id.get(&id);
                if let Some(source) = member.and_then(|member| member.source.as_ref()) {
                    source.camera.retry();
                }
            }
            // Who asked may be gone.
            CameraMessage::List(reply) => drop(reply.send(self.list_cameras(now))),
            CameraMessage::Said { camera, run, said } => self.camera_said(now, &camera, run, said),
        }
    }

    fn set_camera(&mut self, now: Instant, mut spec: CameraSpec) {
        if self.phase == Phase::ShuttingDown {
            return;
        }
        let id = spec.id.clone();
        let Some(member) = self.cameras.by_id.get_mut(&id) else {
            // Whoever sets cameras has refused it before, see `server::cameras`.
            if self.cameras.by_id.len() >= MAX_CAMERAS {
                tracing::error!(camera = id, "more than {MAX_CAMERAS} cameras");
                return;
            }
            self.cameras.by_id.insert(id.clone(), Member::new(spec));
            self.start_camera(now, &id);
            self.camera_joins(now, &id);
            return;
        };
        let same = member.source.is_some() && is_same(&member.spec.streams, &spec.streams);
        if same {
            // Time goes on as it was.
            spec.streams = member.spec.streams.clone();
        }
        let moved = member.spec.room != spec.room;
        let renamed = (member.spec.name != spec.name).then(|| spec.name.clone());
        if moved {
            self.camera_leaves(now, &id);
        }
        let Some(member) = self.cameras.by_id.get_mut(&id) else {
            return;
        };
        member.spec = spec;
        if !same {
            self.start_camera(now, &id);
        }
        self.camera_joins(now, &id);
        if renamed.is_some() {
            let change = ParticipantChange {
                name: renamed,
                ..ParticipantChange::default()
            };
            self.change_camera(&id, change);
        }
    }

    /// Begins to have a camera, or to have it anew.
    fn start_camera(&mut self, now: Instant, id: &str) {
        self.cameras.runs += 1;
        let (run, pace) = (self.cameras.runs, self.cameras.pace);
        let (inbox, memory) = (self.cameras.inbox.clone(), self.settings.memory.clone());
        let Some(member) = self.cameras.by_id.get_mut(id) else {
            return;
        };
        let (sender, events) = mpsc::channel(EVENTS);
        let (outlet, outlets) = watch::channel(Outlet::default());
        let streams = member.spec.streams.clone();
        let feeder = Feeder::new(events, outlets, streams.main.options.epoch);
        let camera = Camera::start(streams, pace, memory, sender);
        let watcher = Watcher {
            camera: id.to_owned(),
            run,
            states: camera.states(),
            feeder: tasks::spawn(feeder.run()),
            inbox,
        };
        let states = camera.states().into_iter();
        member.states = states
            .map(|(layer, it)| (layer, it.borrow().clone()))
            .collect();
        member.formats.clear();
        (member.run, member.patience, member.outlet_due) = (run, None, true);
        member.source = Some(Source {
            camera,
            outlet,
            _watcher: Task(tasks::spawn(watcher.run())),
        });
        member.settle_wishes();
        self.show_camera(now, id);
    }

    fn camera_said(&mut self, now: Instant, id: &str, run: u64, said: Said) {
        let member = self.cameras.by_id.get_mut(id);
        let Some(member) = member.filter(|member| member.run == run) else {
            return;
        };
        match said {
            Said::States(states) => member.take(states),
            Said::Broken => {
                tracing::error!(camera = id, "a camera has broken inside");
                member.fail(now);
            }
        }
        self.settle_camera_tracks(now, id);
        self.show_camera(now, id);
        if let Some(member) = self.cameras.by_id.get(id) {
            member.settle_wishes();
        }
    }

    /// Tells the room how a camera is, if that is something else than before.
    fn show_camera(&mut self, now: Instant, id: &str) {
        let Some(member) = self.cameras.by_id.get_mut(id) else {
            return;
        };
        let Presence::In { participant, .. } = &member.presence else {
            return;
        };
        let (participant, room) = (participant.clone(), RoomName::new(&*member.spec.room));
        let lost = member.is_lost();
        if std::mem::replace(&mut member.lost, lost) != lost {
            let command = Command::ConnectionLost { participant, lost };
            self.commands.push_back((room, command));
        }
        let attributes = member.attributes(now);
        if member.told != attributes {
            member.told.clone_from(&attributes);
            let change = ParticipantChange {
                attributes,
                ..ParticipantChange::default()
            };
            self.change_camera(id, change);
        }
    }

    fn change_camera(&mut self, id: &str, change: ParticipantChange) {
        let Some(member) = self.cameras.by_id.get(id) else {
            return;
        };
        let Presence::In { participant, .. } = &member.presence else {
            return;
        };
        let update = Command::UpdateSelf {
            participant: participant.clone(),
            request: 0,
            change,
        };
        let room = RoomName::new(&*member.spec.room);
        self.commands.push_back((room, update));
    }

    /// What has to be done with time.
    pub(super) fn cameras_due(&mut self, now: Instant) {
        let ids: Vec<String> = self.cameras.by_id.keys().cloned().collect();
        for id in ids {
            let Some(member) = self.cameras.by_id.get(&id) else {
                continue;
            };
            if matches!(member.presence, Presence::Out(Return::At(at)) if at <= now) {
                self.camera_joins(now, &id);
            } else if member.patience.is_some_and(|at| at <= now) {
                self.settle_camera_tracks(now, &id);
            }
        }
    }

    fn list_cameras(&mut self, now: Instant) -> Vec<CameraStatus> {
        self.statistics.look(now);
        let members = self.cameras.by_id.values();
        members.map(|member| self.camera_status(member)).collect()
    }

    fn camera_status(&self, member: &Member) -> CameraStatus {
        let video = member.video.as_ref().map(|it| (&it.track, it.producer));
        let audio = member.audio.as_ref().map(|it| (&it.track, it.producer));
        let tracks = || video.into_iter().chain(audio);
        let producers = || tracks().filter_map(|(_, producer)| producer);
        let rate = |producer: ProducerId| {
            let encodings = self.statistics.encodings(producer).iter();
            encodings
                .map(|it: &EncodingStatistics| it.bitrate)
                .sum::<u64>()
        };
        let best = member.formats.values().next_back();
        let mut notes = Vec::new();
        for note in member.formats.values().flat_map(|format| &format.notes) {
            if !notes.contains(note) {
                notes.push(note.clone());
            }
        }
        CameraStatus {
            id: member.spec.id.clone(),
            state: member.state(),
            layers: member.states.clone(),
            video: best.map(|format| format.video),
            audio: member.sound().map(|(format, _)| format),
            notes,
            watched: tracks().any(|(track, _)| self.is_received(track)),
            cached_bytes: producers().map(|it| self.statistics.cached(it)).sum(),
            bitrate: producers().map(rate).sum(),
        }
    }
}

/// Coming and going.
impl Control {
    /// Brings a camera into its room, if it is not there.
    fn camera_joins(&mut self, now: Instant, id: &str) {
        let Some(member) = self.cameras.by_id.get(id) else {
            return;
        };
        if self.phase == Phase::ShuttingDown || matches!(member.presence, Presence::In { .. }) {
            return;
        }
        let room = RoomName::new(&*member.spec.room);
        let join = join(member, now);
        if self.rooms.get(&room).is_none() {
            self.make_room(now, &room, false);
        }
        let Some(entry) = self.rooms.get(&room) else {
            return;
        };
        let worker = self.worker_for(&room, entry.worker);
        let (session, participant) = (SessionId::next(), join.id.clone());
        tracing::info!(%room, camera = id, %participant, worker, "a camera takes part");
        let of_camera = Session::of_camera(session, now, worker, &room, &join);
        self.sessions.insert(of_camera);
        if let Some(member) = self.cameras.by_id.get_mut(id) {
            member.told.clone_from(&join.attributes);
            member.lost = false;
            member.presence = Presence::In {
                session,
                participant: participant.clone(),
            };
        }
        self.rooms.occupied(&room);
        self.trunks.mesh.use_room(now, &room, true);
        self.qualities.begin(now);
        let connected = Command::MediaConnected {
            participant: participant.clone(),
        };
        let join = Command::Join(Box::new(join));
        self.commands.push_back((room.clone(), join));
        self.commands.push_back((room.clone(), connected));
        self.pump(now);
        let entry = self.rooms.get(&room);
        if entry.is_none_or(|it| it.room.participant_by_id(&participant).is_none()) {
            self.disconnect(now, &participant, LeaveReason::Misbehaved);
            self.emptied(now, &room);
            return;
        }
        self.settle_camera_tracks(now, id);
        self.show_camera(now, id);
        if let Some(member) = self.cameras.by_id.get(id) {
            member.settle_wishes();
        }
    }

    /// Takes a camera out of its room, if it is there.
    fn camera_leaves(&mut self, now: Instant, id: &str) {
        let Some(member) = self.cameras.by_id.get(id) else {
            return;
        };
        if let Presence::In { participant, .. } = &member.presence {
            let leave = Command::Leave {
                participant: participant.clone(),
                reason: LeaveReason::Asked,
            };
            let room = RoomName::new(&*member.spec.room);
            self.commands.push_back((room, leave));
            self.pump(now);
        }
    }

    /// A camera's stay has ended, for whatever reason.
    pub(super) fn camera_left(
        &mut self,
        now: Instant,
        id: &str,
        session: SessionId,
        reason: LeaveReason,
    ) {
        let Some(member) = self.cameras.by_id.get_mut(id) else {
            return;
        };
        match member.presence {
            Presence::In { session: its, .. } if its == session => {}
            Presence::In { .. } | Presence::Out(_) => return,
        }
        member.presence = Presence::Out(match reason {
            LeaveReason::Asked
            | LeaveReason::Removed
            | LeaveReason::DuplicateIdentity
            | LeaveReason::ServerShutdown => Return::Changed,
            LeaveReason::RoomDeleted => Return::Company,
            // The room was full, or its worker has died.
            LeaveReason::ConnectionLost
            | LeaveReason::SignalLost
            | LeaveReason::Misbehaved
            | LeaveReason::StateMismatch => Return::At(now + COMES_BACK),
        });
        match reason {
            // It is not to be connected for nobody, not even one that always is.
            LeaveReason::Removed | LeaveReason::DuplicateIdentity => member.stop(),
            LeaveReason::Asked
            | LeaveReason::ServerShutdown
            | LeaveReason::RoomDeleted
            | LeaveReason::ConnectionLost
            | LeaveReason::SignalLost
            | LeaveReason::Misbehaved
            | LeaveReason::StateMismatch => {}
        }
        (member.video, member.audio, member.patience) = (None, None, None);
        member.outlet_due = true;
        member.settle_wishes();
    }

    /// Somebody has come into a room: its cameras are there, also if the room had been ended.
    pub(super) fn cameras_keep_company(&mut self, now: Instant, room: &RoomName) {
        let members = self.cameras.by_id.iter();
        let away = members.filter(|(_, member)| {
            let waits = matches!(member.presence, Presence::Out(Return::Company));
            waits && member.spec.room == room.as_str()
        });
        let away: Vec<String> = away.map(|(id, _)| id.clone()).collect();
        for id in away {
            self.camera_joins(now, &id);
        }
    }
}

fn join(member: &Member, now: Instant) -> Join {
    let mut attributes = member.attributes(now);
    attributes.retain(|_, value| !value.is_empty());
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since_epoch = since_epoch.unwrap_or_default().as_millis();
    Join {
        id: ParticipantId::new(random_name("PA_")),
        identity: Identity::new(&*member.spec.id),
        name: member.spec.name.clone(),
        metadata: String::new(),
        attributes,
        kind: ParticipantKind::Ingress,
        permission: Permission {
            subscribe: false,
            publish: true,
            publish_data: false,
            sources: Vec::new(),
            // It is how its attributes change.
            update_own_metadata: true,
            hidden: false,
            recorder: false,
        },
        // It is shown nothing.
        sight: Sight::default(),
        joined_at_ms: u64::try_from(since_epoch).unwrap_or_default(),
        auto_subscribe: false,
        adaptive_stream: false,
        client: ClientFacts::default(),
        capabilities: Vec::new(),
    }
}

/// Whether nothing has changed for which a camera has to be connected anew.
fn is_same(before: &Streams, after: &Streams) -> bool {
    let (old, new) = (&before.main.options, &after.main.options);
    before.sub == after.sub
        && before.main.mode == after.main.mode
        && old.address == new.address
        && old.transport == new.transport
        && old.audio == new.audio
        && old.pins == new.pins
}

/// The encoding that is the `index`th from below.
fn encoding(index: usize) -> Spatial {
    let index = u8::try_from(index).ok();
    index.and_then(Spatial::new).unwrap_or(Spatial::HIGH)
}
