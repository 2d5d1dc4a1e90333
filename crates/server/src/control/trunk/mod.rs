//! The links to other servers, as the owner of the rooms sees them: between [`Mesh`], which knows
//! who is where and what is wanted, the door of trunks, and the engine.

mod branches;
mod feeds;
mod flow;
mod media;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use umbrella_engine::{ConsumerId, TransportId};
use umbrella_room::Command;
use umbrella_room::command::{Reliability, Remote};
use umbrella_room::mesh::{self, Data, Mesh, MeshConfig, Message, Order, Output, Person};
use umbrella_room::model::{NodeId, ParticipantId, RoomName, TrackId};
use umbrella_wire::trunk::Frame;

use super::Control;
use super::data::{self, Sender};
use crate::auth::Bearer;
use crate::trunk::{Incoming, LinkEvent, LinkId, LinkOutbox, Neighbour, Stream, decode, encode};

use self::branches::Branch;
use self::feeds::Feed;
use self::flow::{Flow, Flows};
use self::media::Media;

/// The worker that all media between servers goes through: so a track can change its way without
/// changing the thread, and whoever watches it notices a key frame at most.
pub(super) const WORKER: usize = 0;

/// The attribute in which clients read which site somebody is at who is not here.
const SITE: &str = "umbrella.site";

/// The links to other servers.
#[derive(Debug)]
pub(super) struct Trunks {
    pub(super) mesh: Mesh,
    links: BTreeMap<LinkId, Link>,
    transports: HashMap<TransportId, LinkId>,
    /// Tracks that come from other servers, as far as somebody wants them.
    feeds: HashMap<TrackId, Feed>,
    branches: HashMap<ConsumerId, (LinkId, TrackId)>,
    /// The last SSRC that was chosen.
    ssrc: u32,
    /// Media connections that are to be tried again.
    retries: BTreeSet<(Instant, LinkId)>,
    /// What has gone to neighbours and come from them.
    flows: Flows,
    /// Frames for neighbours that do not read: each ended its link.
    frames_dropped: u64,
}

/// A link that is up.
#[derive(Debug)]
struct Link {
    neighbour: Neighbour,
    outbox: LinkOutbox,
    media: Media,
    /// What the neighbour wants of tracks, and where it expects it.
    wanted: HashMap<TrackId, Vec<Stream>>,
    /// Tracks of which that may be sent.
    carried: HashSet<TrackId>,
    branches: HashMap<TrackId, Vec<Branch>>,
    /// How long a message takes there and back.
    round_trip: Option<Duration>,
    /// When what is wanted over it, by either side, has changed last.
    demand_at: Option<Instant>,
    flow: Flow,
}

impl Trunks {
    pub(super) fn new(config: MeshConfig) -> Trunks {
        Trunks {
            mesh: Mesh::new(config),
            links: BTreeMap::new(),
            transports: HashMap::new(),
            feeds: HashMap::new(),
            branches: HashMap::new(),
            ssrc: rand::random(),
            retries: BTreeSet::new(),
            flows: Flows::default(),
            frames_dropped: 0,
        }
    }

    /// Whether a track goes to another server.
    pub(super) fn is_carried(&self, track: &TrackId) -> bool {
        self.links.values().any(|link| link.carried.contains(track))
    }

    /// When something has to be done although nothing has happened.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let retry = self.retries.first().map(|(at, _)| *at);
        [self.mesh.next_timeout(), retry]
            .into_iter()
            .flatten()
            .min()
    }

    /// Says something to a neighbour. One that does not read loses its link.
    fn send(&mut self, id: LinkId, frame: Frame) {
        if let Some(link) = self.links.get(&id)
            && !link.outbox.send(frame)
        {
            tracing::warn!(node = %link.neighbour.node, name = %link.neighbour.name,
                "a neighbour does not read what it is sent");
            self.frames_dropped += 1;
            link.outbox.end("this server does not read what it is sent");
        }
    }
}

/// What happens to links.
impl Control {
    /// Something has happened to a link.
    pub(super) fn link(&mut self, now: Instant, event: LinkEvent) {
        match event {
            LinkEvent::Up {
                link,
                neighbour,
                outbox,
            } => self.link_up(now, link, *neighbour, outbox),
            LinkEvent::Frame { link, frame } => self.frame(now, link, *frame),
            LinkEvent::RoundTrip { link, time } => {
                if let Some(link) = self.trunks.links.get_mut(&link) {
                    link.round_trip = Some(time);
                }
                self.trunks.mesh.round_trip(now, link, time);
            }
            LinkEvent::Silent { link, silent } => {
                self.trunks.mesh.silent(now, link, silent);
            }
            LinkEvent::Down { link } => self.link_down(now, link),
        }
    }

    fn link_up(&mut self, now: Instant, id: LinkId, neighbour: Neighbour, outbox: LinkOutbox) {
        tracing::info!(link = id.0, node = %neighbour.node, name = %neighbour.name, "trunk is up");
        let known = mesh::Neighbour {
            node: NodeId::new(neighbour.node.clone()),
            rooms: neighbour.rooms.clone(),
            may_moderate: neighbour.may_moderate,
        };
        let link = Link {
            neighbour,
            outbox,
            media: Media::default(),
            wanted: HashMap::new(),
            carried: HashSet::new(),
            branches: HashMap::new(),
            round_trip: None,
            demand_at: None,
            flow: Flow::default(),
        };
        self.trunks.links.insert(id, link);
        self.trunks.mesh.link_up(now, id, known);
        self.dial_media(id);
    }

    fn link_down(&mut self, now: Instant, id: LinkId) {
        self.close_link_media(id);
        if let Some(link) = self.trunks.links.remove(&id) {
            tracing::info!(link = id.0, node = %link.neighbour.node, "trunk is down");
        }
        self.cameras.listeners_changed = true;
        self.trunks.mesh.link_down(now, id);
    }

    fn frame(&mut self, now: Instant, id: LinkId, frame: Frame) {
        let Some(link) = self.trunks.links.get_mut(&id) else {
            return;
        };
        let incoming = match decode(frame) {
            Ok(Some(incoming)) => incoming,
            // Something that a newer server says.
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(node = %link.neighbour.node, %error, "a neighbour makes no sense");
                link.outbox.end(&error.to_string());
                return;
            }
        };
        match incoming {
            Incoming::Mesh(message) => self.trunks.mesh.receive(now, id, message),
            Incoming::Demand {
                room,
                origin,
                track,
                streams,
            } => {
                let layers = branches::layers(&streams);
                link.demand_at = Some(now);
                if streams.is_empty() {
                    link.wanted.remove(&track);
                } else if link.wanted.len() < branches::WANTED || link.wanted.contains_key(&track) {
                    link.wanted.insert(track.clone(), streams);
                }
                let message = Message::Demand {
                    room,
                    origin,
                    track: track.clone(),
                    layers,
                };
                self.trunks.mesh.receive(now, id, message);
                self.settle_trunks(now);
                self.settle_branches(id, &track);
            }
            Incoming::MediaParameters {
                generation,
                ufrag,
                password,
                fingerprint,
                candidates,
            } => {
                let parameters = umbrella_engine::TrunkParameters {
                    ufrag,
                    password,
                    fingerprint,
                    candidates,
                };
                self.media_parameters(id, generation, parameters);
            }
            Incoming::MediaCandidate {
                generation,
                candidate,
            } => self.media_candidate(id, generation, candidate),
        }
    }
}

/// What follows.
impl Control {
    /// Does what is due of links.
    pub(super) fn trunks_due(&mut self, now: Instant) {
        self.trunks.mesh.handle_timeout(now);
        self.retry_media(now);
    }

    /// Passes what rooms share on to other servers.
    pub(super) fn share(&mut self, now: Instant, room: &RoomName) {
        while let Some(share) = self.rooms.get_mut(room).and_then(|e| e.room.poll_share()) {
            self.trunks.mesh.share(now, room, share);
        }
    }

    /// Carries out what the mesh says; rooms hear of it as commands.
    pub(super) fn settle_trunks(&mut self, now: Instant) {
        while let Some(output) = self.trunks.mesh.poll_output() {
            match output {
                Output::Send { link, message } => self.send_message(link, message),
                Output::Room {
                    room,
                    origin,
                    remote,
                } => self.tell_room(now, room, origin, *remote),
                Output::Carry {
                    link,
                    track,
                    layers,
                    ..
                } => self.carry(link, &track, layers),
                Output::Ended { track } => self.close_feed(&track),
                Output::Copied { name } => tracing::error!(
                    name,
                    "another server with the id of this one is in the network: its data directory was \
                     copied; stop one of both, give it another id by `umbrella trunk new-id`, and start \
                     it again"
                ),
                Output::Attend { link, attend } => {
                    if let Some(link) = self.trunks.links.get(&link) {
                        link.outbox.attend(attend);
                    }
                }
            }
        }
    }

    fn send_message(&mut self, link: LinkId, message: Message) {
        if let Message::Demand {
            room,
            origin,
            track,
            layers,
        } = message
        {
            self.demand(link, (room, origin, track), layers);
        } else if let Some(frame) = encode(&message) {
            self.trunks.send(link, frame);
        }
    }

    fn tell_room(&mut self, now: Instant, room: RoomName, origin: NodeId, remote: Remote) {
        let remote = match remote {
            Remote::Order { participant, order } => {
                let order = self.within_grants(now, &room, &participant, order);
                Remote::Order { participant, order }
            }
            Remote::Person(person) => Remote::Person(Box::new(self.at_its_site(&origin, *person))),
            Remote::Data(data) => match self.checked(&room, *data) {
                Some(data) => Remote::Data(Box::new(data)),
                None => return,
            },
            other @ (Remote::Gone { .. }
            | Remote::Levels(_)
            | Remote::Qualities(_)
            | Remote::Demanded { .. }
            | Remote::Starved { .. }
            | Remote::State { .. }) => other,
        };
        self.commands
            .push_back((room, Command::Remote { origin, remote }));
    }

    /// Clients read in an attribute which site somebody is at.
    fn at_its_site(&self, origin: &NodeId, mut person: Person) -> Person {
        let mut nodes = self.trunks.mesh.nodes();
        let name = nodes.find(|node| node.node == *origin).map(|it| &it.name);
        let name = name.map_or(origin.as_str(), String::as_str);
        let view = Arc::make_mut(&mut person.view);
        view.attributes.insert(SITE.to_owned(), name.to_owned());
        person
    }

    /// Writes the sender's name on a message of somebody elsewhere once more: what another server
    /// has written there is only believed of its own people.
    fn checked(&self, room: &RoomName, data: Data) -> Option<Data> {
        let reliability = match data.number {
            Some(_) => Reliability::Reliable,
            None => Reliability::Lossy,
        };
        let sender = match &data.from {
            None => None,
            Some(id) => Some(self.rooms.get(room)?.room.participant_by_id(id)?),
        };
        let sender = sender.map(|view| Sender {
            sid: &view.id,
            identity: &view.identity,
        });
        let stamped = match sender {
            Some(sender) => data::stamp(&data.payload, sender, reliability),
            None => data::strip(&data.payload, reliability),
        };
        let payload = stamped.ok()?.payload;
        Some(Data { payload, ..data })
    }

    /// What a moderator elsewhere wants of somebody here, as far as a moderator here could have it;
    /// what such a one decides about guests is remembered.
    fn within_grants(
        &mut self,
        now: Instant,
        room: &RoomName,
        participant: &ParticipantId,
        order: Order,
    ) -> Order {
        let Some(session) = self.sessions.of(participant) else {
            return order;
        };
        let (guest, identity) = (session.bearer == Bearer::Guest, session.identity.clone());
        match order {
            Order::Remove => {
                if guest {
                    self.sanctions.keep_out(now, room, &identity);
                }
                Order::Remove
            }
            Order::Update {
                change,
                permission: Some(mut permission),
            } => {
                permission.publish &= session.may_publish;
                if permission.publish {
                    self.sanctions.lift(room, &identity);
                } else if guest {
                    self.sanctions.silence(now, room, &identity);
                }
                let permission = Some(permission);
                Order::Update { change, permission }
            }
            other @ (Order::Mute { .. } | Order::Update { .. } | Order::Undecodable { .. }) => {
                other
            }
        }
    }
}
