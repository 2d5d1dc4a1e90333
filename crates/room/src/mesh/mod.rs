//! What servers that are linked share of their rooms.
//!
//! Every server that has somebody in a room is an *origin* there. Ways to origins are announced
//! from neighbour to neighbour, each with the whole path, so that a server never takes a way that
//! leads over itself, whatever the shape of the network. A server that has use for an origin, for
//! somebody here or for a neighbour, *follows* it at the neighbour that the best way leads over,
//! and hears of its participants from there alone. So there is one tree for each origin, along
//! which participants, data and media come and demands, orders and key frame requests go.
//!
//! A [`Mesh`] is one server's view of that. It does no I/O and has no clock; its owner hands it
//! what happens to links, what they bring, and what rooms here [`Share`].
//!
//! | question | file |
//! | --- | --- |
//! | which way leads to an origin | `route.rs` |
//! | who hears of its participants, what is wanted of their tracks | `origin.rs` |
//! | which links are up | `topology.rs` |
//! | what was read already | `data.rs` |
//! | which layers are wanted | `demand.rs` |
//! | which rooms a link carries | `rooms.rs` |
//! | what is said | `message.rs` |

mod data;
mod demand;
mod link;
mod message;
mod origin;
mod rooms;
mod route;
mod shared;
mod topology;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::command::{Reliability, Remote, TrackLoudness};
use crate::model::{Identity, LeaveReason, NodeId, ParticipantId, RoomName, TrackId, TrackView};
use crate::quality::QualityView;

pub use demand::{LayerDemand, LayerWish};
pub use link::{LinkId, Neighbour};
pub use message::{Data, DataNumber, Life, Message, Order, Person, PersonTrack, RoomState, Route};
pub use rooms::Rooms;
pub use topology::{NodeLink, NodeState, Published};

use link::Link;
use origin::{Origin, Source};
use shared::Shared;
use topology::Topology;

/// Servers that an order may pass.
const ORDER_HOPS: u32 = 16;

/// What a server is to its neighbours.
#[derive(Debug, Clone)]
pub struct MeshConfig {
    /// Its id.
    pub node: NodeId,
    /// This run of it; a later run has a greater number.
    pub incarnation: u64,
    /// Shown to people.
    pub name: String,
    /// Its software, shown to people.
    pub software: String,
    /// It carries media.
    pub media: bool,
    /// Bounds on what neighbours can make it keep.
    pub limits: MeshLimits,
}

impl Default for MeshConfig {
    /// A server that will never have a link.
    fn default() -> Self {
        MeshConfig {
            node: NodeId::new("ND_alone"),
            incarnation: 1,
            name: String::new(),
            software: String::new(),
            media: true,
            limits: MeshLimits::default(),
        }
    }
}

/// Bounds on what neighbours can make a server keep. What is beyond them is ignored.
#[derive(Debug, Clone)]
pub struct MeshLimits {
    /// Rooms that neighbours tell of.
    pub rooms: usize,
    /// Origins in a room.
    pub origins: usize,
    /// Participants elsewhere in a room.
    pub people: usize,
    /// Tracks of a participant.
    pub tracks: usize,
}

impl Default for MeshLimits {
    fn default() -> Self {
        MeshLimits {
            rooms: 4096,
            origins: 64,
            people: 5000,
            tracks: 64,
        }
    }
}

/// Something that concerns other servers, in a room here.
#[derive(Debug, Clone, PartialEq)]
pub enum Share {
    /// A participant here, as it is now.
    Person(Box<Person>),
    /// It has left.
    Gone {
        /// Who.
        participant: ParticipantId,
        /// Why.
        reason: LeaveReason,
    },
    /// A data message of somebody here.
    Data {
        /// From whom; `None` from the server.
        from: Option<ParticipantId>,
        /// To whom; empty means everybody else.
        to: Vec<Identity>,
        /// Whether it may be lost.
        reliability: Reliability,
        /// The message as it goes out.
        payload: Arc<[u8]>,
    },
    /// How loud tracks here are.
    Levels(Arc<[TrackLoudness]>),
    /// How good connections here are.
    Qualities(Arc<[QualityView]>),
    /// What is wanted here of a track elsewhere.
    Demand {
        /// Where it is published.
        origin: NodeId,
        /// What.
        track: TrackId,
        /// How much of it.
        layers: LayerDemand,
    },
    /// Something that the server of a participant elsewhere has to do.
    Order {
        /// Where it takes part.
        origin: NodeId,
        /// Who.
        participant: ParticipantId,
        /// What.
        order: Order,
    },
    /// What belongs to the room as a whole has changed here.
    State {
        /// The application's own.
        metadata: String,
        /// At most so many participants that are not hidden; 0 leaves it to the limits.
        max_participants: u32,
        /// It was ended for everybody.
        closed: bool,
    },
}

/// What the owner of a [`Mesh`] has to do, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send something to a neighbour.
    Send {
        /// Over which link.
        link: LinkId,
        /// What.
        message: Message,
    },
    /// Tell the room here, as [`Command::Remote`](crate::Command::Remote).
    Room {
        /// Which room.
        room: RoomName,
        /// Whom it is about.
        origin: NodeId,
        /// What.
        remote: Box<Remote>,
    },
    /// Send a track over a link: these layers and no others.
    Carry {
        /// Over which link.
        link: LinkId,
        /// Which room.
        room: RoomName,
        /// Where it is published; perhaps here.
        origin: NodeId,
        /// Which track.
        track: TrackId,
        /// How much of it.
        layers: LayerDemand,
    },
    /// A track from elsewhere has ended, or can no longer be reached.
    Ended {
        /// Which track.
        track: TrackId,
    },
    /// Look after a link closely, or no longer.
    Attend {
        /// Which link.
        link: LinkId,
        /// Whether somebody depends on it.
        attend: bool,
    },
}

/// One server's view of what linked servers share.
#[derive(Debug)]
pub struct Mesh {
    config: MeshConfig,
    links: BTreeMap<LinkId, Link>,
    topology: Topology,
    rooms: BTreeMap<RoomName, Shared>,
    /// Where tracks are published: no other origin can claim to.
    tracks: HashMap<TrackId, (RoomName, NodeId)>,
    outputs: VecDeque<Output>,
    /// The last serial of a life, number of a data message, and version of our own state.
    serial: u64,
    number: u64,
    version: u64,
}

/// What an origin has to know when something happens to it, and where it says what follows.
struct Surroundings<'a> {
    now: Instant,
    me: &'a NodeId,
    media: bool,
    /// Somebody is in the room here.
    used: bool,
    links: &'a BTreeMap<LinkId, Link>,
    topology: &'a Topology,
    outputs: &'a mut VecDeque<Output>,
    /// What belongs to the room as a whole.
    state: Option<&'a RoomState>,
    /// Tracks that are published no longer.
    ended: &'a mut Vec<TrackId>,
}

impl Surroundings<'_> {
    /// Says something to a neighbour, if it is still there.
    fn send(&mut self, link: LinkId, message: Message) {
        if self.links.contains_key(&link) {
            self.outputs.push_back(Output::Send { link, message });
        }
    }
}

impl Mesh {
    /// A server without links.
    pub fn new(config: MeshConfig) -> Mesh {
        Mesh {
            config,
            links: BTreeMap::new(),
            topology: Topology::default(),
            rooms: BTreeMap::new(),
            tracks: HashMap::new(),
            outputs: VecDeque::new(),
            serial: 0,
            number: 0,
            version: 0,
        }
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Mesh::handle_timeout`].
    pub fn next_timeout(&self) -> Option<Instant> {
        self.rooms.values().filter_map(Shared::due).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |shared: &Shared| shared.due().is_some_and(|at| at <= now);
        let rooms = self.rooms.iter().filter(|(_, shared)| due(shared));
        for room in rooms.map(|(room, _)| room.clone()).collect::<Vec<_>>() {
            self.settle_room(now, &room);
        }
    }

    /// Whether there is no link.
    pub fn is_alone(&self) -> bool {
        self.links.is_empty()
    }

    /// A neighbour is there.
    pub fn link_up(&mut self, now: Instant, link: LinkId, neighbour: Neighbour) {
        self.links.insert(link, Link::new(neighbour));
        // Before any way over a link that they have not heard of.
        for state in self.topology.all().cloned() {
            let message = Message::Node(state);
            self.outputs.push_back(Output::Send { link, message });
        }
        self.tell_links();
        self.settle_rooms(now);
    }

    /// A neighbour is gone.
    pub fn link_down(&mut self, now: Instant, link: LinkId) {
        if self.links.remove(&link).is_none() {
            return;
        }
        self.tell_links();
        for room in self.room_names() {
            self.with_origins(now, &room, |origin, around| origin.lose_link(link, around));
        }
        self.settle_rooms(now);
    }

    /// Nothing comes from a neighbour although it should, or it is heard again: other ways are
    /// better than one over it.
    pub fn silent(&mut self, now: Instant, link: LinkId, silent: bool) {
        if let Some(known) = self.links.get_mut(&link)
            && std::mem::replace(&mut known.silent, silent) != silent
        {
            self.settle_rooms(now);
        }
    }

    /// Whether media can pass over a link; it cannot before this has been said.
    pub fn link_media(&mut self, now: Instant, link: LinkId, media: bool) {
        if let Some(known) = self.links.get_mut(&link)
            && std::mem::replace(&mut known.media, media) != media
        {
            self.tell_links();
            self.settle_rooms(now);
        }
    }

    /// Where a track is published.
    pub fn place_of(&self, track: &TrackId) -> Option<(RoomName, NodeId)> {
        self.tracks.get(track).cloned()
    }

    /// Says something to a neighbour that only the owner knows.
    pub fn say(&mut self, link: LinkId, message: Message) {
        if self.links.contains_key(&link) {
            self.outputs.push_back(Output::Send { link, message });
        }
    }

    /// A track at another server, as its publisher describes it.
    pub fn track(&self, track: &TrackId) -> Option<&TrackView> {
        let (room, origin) = self.tracks.get(track)?;
        let origin = self.rooms.get(room)?.origins.get(origin)?;
        match origin.source {
            Source::Here { .. } => None,
            Source::Away(_) => origin.track(track),
        }
    }

    /// How long a round trip over a link took.
    pub fn round_trip(&mut self, now: Instant, link: LinkId, time: Duration) {
        if let Some(known) = self.links.get_mut(&link)
            && known.round_trip(time)
        {
            self.tell_links();
            self.settle_rooms(now);
        }
    }

    /// Somebody is in a room here, or nobody any more. While somebody is, the room hears of
    /// everybody elsewhere.
    pub fn use_room(&mut self, now: Instant, room: &RoomName, used: bool) {
        if !used && !self.rooms.contains_key(room) {
            return;
        }
        let shared = self.rooms.entry(room.clone()).or_default();
        if std::mem::replace(&mut shared.used, used) == used {
            return;
        }
        if used {
            self.tell_state_here(room);
            self.with_origins(now, room, |origin, around| origin.introduce_here(around));
        } else {
            self.with_origins(now, room, |origin, around| origin.forget_here(around));
        }
        self.settle_room(now, room);
    }

    /// Something that concerns other servers.
    pub fn share(&mut self, now: Instant, room: &RoomName, share: Share) {
        match share {
            Share::Person(person) => self.share_person(now, room, *person),
            Share::Gone {
                participant,
                reason,
            } => self.share_gone(now, room, &participant, reason),
            Share::Data {
                from,
                to,
                reliability,
                payload,
            } => {
                let number = self.next_number(reliability);
                let data = Data {
                    number,
                    from,
                    to,
                    payload,
                };
                self.with_own(now, room, |origin, around| origin.data(data, around));
            }
            Share::Levels(levels) => {
                self.with_own(now, room, |origin, around| origin.levels(levels, around));
            }
            Share::Qualities(qualities) => {
                self.with_own(now, room, |origin, around| {
                    origin.qualities(qualities, around);
                });
            }
            Share::Demand {
                origin,
                track,
                layers,
            } => self.with_origin(now, room, &origin, |origin, around| {
                origin.demand_here(&track, layers, around);
            }),
            Share::Order {
                origin,
                participant,
                order,
            } => self.order(now, room, None, &origin, (participant, order, ORDER_HOPS)),
            Share::State {
                metadata,
                max_participants,
                closed,
            } => self.share_state(room, metadata, max_participants, closed),
        }
    }

    fn next_number(&mut self, reliability: Reliability) -> Option<DataNumber> {
        match reliability {
            Reliability::Lossy => None,
            Reliability::Reliable => {
                self.number += 1;
                Some(DataNumber {
                    incarnation: self.config.incarnation,
                    number: self.number,
                })
            }
        }
    }

    fn share_person(&mut self, now: Instant, room: &RoomName, person: Person) {
        let me = self.config.node.clone();
        let shared = self.rooms.entry(room.clone()).or_default();
        let is_new = !shared.origins.contains_key(&me);
        if is_new {
            self.serial += 1;
            let life = Life {
                incarnation: self.config.incarnation,
                serial: self.serial,
            };
            let origin = Origin::new(room.clone(), me.clone(), Source::Here { life });
            shared.origins.insert(me.clone(), origin);
        }
        let person = self.with_own_tracks(room, &me, person);
        self.with_own(now, room, |origin, around| origin.person(person, around));
        if is_new {
            self.settle_room(now, room);
        }
    }

    /// The last one who leaves ends this life of the origin.
    fn share_gone(
        &mut self,
        now: Instant,
        room: &RoomName,
        participant: &ParticipantId,
        reason: LeaveReason,
    ) {
        self.with_own(now, room, |origin, around| {
            origin.gone(participant, reason, around);
        });
        let me = self.config.node.clone();
        let Some(shared) = self.rooms.get_mut(room) else {
            return;
        };
        let empty = |origin: &Origin| origin.people.is_empty();
        if !shared.origins.get(&me).is_some_and(empty) {
            return;
        }
        let Some(origin) = shared.origins.remove(&me) else {
            return;
        };
        if let Source::Here { life } = origin.source {
            for link in origin.told_links() {
                let (room, origin) = (room.clone(), me.clone());
                let message = Message::Unroute {
                    room,
                    origin,
                    ended: Some(life),
                };
                self.outputs.push_back(Output::Send { link, message });
            }
        }
        self.settle_room(now, room);
    }

    /// An order goes one server further on its way to the participant, or has arrived.
    fn order(
        &mut self,
        now: Instant,
        room: &RoomName,
        from: Option<LinkId>,
        origin: &NodeId,
        (participant, order, hops): (ParticipantId, Order, u32),
    ) {
        self.with_origin(now, room, origin, |origin, around| {
            match origin.upstream() {
                Some(link) if Some(link) != from && hops > 0 => around.send(
                    link,
                    Message::Order {
                        room: origin.room.clone(),
                        origin: origin.node.clone(),
                        participant,
                        order,
                        hops: hops - 1,
                    },
                ),
                Some(_) => {}
                None => {
                    if matches!(origin.source, Source::Here { .. }) {
                        around.outputs.push_back(Output::Room {
                            room: origin.room.clone(),
                            origin: origin.node.clone(),
                            remote: Box::new(Remote::Order { participant, order }),
                        });
                    }
                }
            }
        });
    }
}

/// Which servers are linked.
impl Mesh {
    /// Every server that can be reached, as it describes itself; this one is among them.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeState> {
        self.topology.reachable(&self.config.node)
    }

    /// Our own links have changed.
    fn tell_links(&mut self) {
        self.version += 1;
        let mut links: Vec<_> = self.links.values().map(Link::described).collect();
        links.sort_by(|a, b| (&a.node, a.rtt_ms).cmp(&(&b.node, b.rtt_ms)));
        links.dedup_by(|a, b| a.node == b.node);
        let config = &self.config;
        let state = NodeState {
            node: config.node.clone(),
            incarnation: config.incarnation,
            version: self.version,
            name: config.name.clone(),
            software: config.software.clone(),
            media: config.media,
            links,
        };
        self.topology.insert(state.clone());
        self.tell_node(&state, None);
    }

    fn tell_node(&mut self, state: &NodeState, except: Option<LinkId>) {
        for link in self.links.keys().filter(|link| Some(**link) != except) {
            let message = Message::Node(state.clone());
            let link = *link;
            self.outputs.push_back(Output::Send { link, message });
        }
    }

    /// A server has said something of itself: what is new goes on.
    fn node(&mut self, now: Instant, from: LinkId, state: NodeState) {
        self.topology.tidy(&self.config.node);
        if state.node == self.config.node || !self.topology.insert(state.clone()) {
            return;
        }
        self.tell_node(&state, Some(from));
        self.settle_rooms(now);
    }
}

/// What neighbours say.
impl Mesh {
    /// A neighbour has said something.
    pub fn receive(&mut self, now: Instant, link: LinkId, message: Message) {
        let Some(known) = self.links.get(&link) else {
            return;
        };
        // Of other rooms it has nothing to say, and nothing to hear.
        let room = message.room();
        if room.is_some_and(|room| !known.neighbour.rooms.allow(room.as_str())) {
            return;
        }
        match message {
            Message::Node(state) => self.node(now, link, state),
            Message::Route(route) => self.route(now, link, route),
            Message::Unroute {
                room,
                origin,
                ended,
            } => self.unroute(now, link, &room, &origin, ended),
            Message::Follow { room, origin, data } => {
                self.with_origin(now, &room, &origin, |origin, around| {
                    origin.add_follower(link, data, around);
                });
                self.settle_room(now, &room);
            }
            Message::Unfollow { room, origin } => {
                self.with_origin(now, &room, &origin, |origin, around| {
                    origin.unfollow(link, around);
                });
                self.settle_room(now, &room);
            }
            Message::Demand {
                room,
                origin,
                track,
                layers,
            } => self.with_origin(now, &room, &origin, |origin, around| {
                origin.demand_from(link, &track, layers, around);
            }),
            Message::Order {
                room,
                origin,
                participant,
                order,
                hops,
            } => {
                if known.neighbour.may_moderate || !order.is_moderation() {
                    let order = (participant, order, hops.min(ORDER_HOPS));
                    self.order(now, &room, Some(link), &origin, order);
                }
            }
            Message::State(state) => self.state(link, state),
            Message::Person {
                room,
                origin,
                person,
            } => self.person(now, link, &room, &origin, *person),
            Message::Gone { .. }
            | Message::Synced { .. }
            | Message::Starved { .. }
            | Message::Data { .. }
            | Message::Levels { .. }
            | Message::Qualities { .. } => self.hear(now, link, message),
        }
    }

    fn route(&mut self, now: Instant, link: LinkId, route: Route) {
        let Some(known) = self.links.get(&link) else {
            return;
        };
        let (room, Some(origin)) = (route.room.clone(), route.origin().cloned()) else {
            return;
        };
        if !route.is_sound(&known.neighbour.node) {
            return;
        }
        let limits = &self.config.limits;
        let is_new = !self.rooms.contains_key(&room);
        if is_new && self.rooms.len() >= limits.rooms {
            return;
        }
        // A way that leads over here leads nowhere.
        let leads_here = route.path.contains(&self.config.node);
        let shared = self.rooms.entry(room.clone()).or_default();
        let void = shared
            .ended(now, &origin)
            .is_some_and(|ended| route.life <= ended);
        let there = shared.origins.contains_key(&origin);
        if !leads_here && !void && !there && shared.origins.len() < limits.origins {
            let source = Source::Away(origin::Away::default());
            let new = Origin::new(room.clone(), origin.clone(), source);
            shared.origins.insert(origin.clone(), new);
        }
        if let Some(known) = shared.origins.get_mut(&origin) {
            known.set_way(link, (!leads_here && !void).then_some(route));
        }
        self.settle_room(now, &room);
    }

    fn unroute(
        &mut self,
        now: Instant,
        link: LinkId,
        room: &RoomName,
        origin: &NodeId,
        ended: Option<Life>,
    ) {
        if *origin == self.config.node {
            return;
        }
        let Some(shared) = self.rooms.get_mut(room) else {
            return;
        };
        // Who has told of a life can tell of its end.
        let known = shared.origins.get(origin);
        let told = known.and_then(|origin| origin.life_over(link));
        let ended = ended.filter(|ended| Some(*ended) == told);
        if let Some(ended) = ended {
            shared.note_end(now, origin, ended);
        }
        self.with_origin(now, room, origin, |origin, around| {
            origin.set_way(link, None);
            if let Some(ended) = ended {
                origin.end(ended, around);
            }
        });
        self.settle_room(now, room);
    }

    fn person(
        &mut self,
        now: Instant,
        link: LinkId,
        room: &RoomName,
        origin: &NodeId,
        person: Person,
    ) {
        let limits = self.config.limits.clone();
        let Some(shared) = self.rooms.get(room) else {
            return;
        };
        let Some(known) = shared.origins.get(origin) else {
            return;
        };
        let is_new = !known.people.contains_key(&person.view.id);
        if !known.is_heard_from(link) || is_new && shared.people() >= limits.people {
            return;
        }
        let mut person = person;
        person.tracks.truncate(limits.tracks);
        let person = self.with_own_tracks(room, origin, person);
        self.with_origin(now, room, origin, |origin, around| {
            origin.person(person, around);
        });
    }

    /// What only the neighbour can say over which an origin is followed.
    fn hear(&mut self, now: Instant, link: LinkId, message: Message) {
        let (Some(room), Some(origin)) = (message.room().cloned(), message.origin().cloned())
        else {
            return;
        };
        let known = self.rooms.get(&room).and_then(|it| it.origins.get(&origin));
        if !known.is_some_and(|origin| origin.is_heard_from(link)) {
            return;
        }
        self.with_origin(now, &room, &origin, |origin, around| match message {
            Message::Gone {
                participant,
                reason,
                ..
            } => origin.gone(&participant, reason, around),
            Message::Synced { .. } => origin.all_named(around),
            Message::Starved { track, starved, .. } => origin.starved(&track, starved, around),
            Message::Data { data, .. } => origin.data(data, around),
            Message::Levels { levels, .. } => origin.levels(levels, around),
            Message::Qualities { qualities, .. } => origin.qualities(qualities, around),
            Message::Route(_)
            | Message::Unroute { .. }
            | Message::Follow { .. }
            | Message::Unfollow { .. }
            | Message::Person { .. }
            | Message::Demand { .. }
            | Message::Order { .. }
            | Message::Node(_)
            | Message::State(_) => {}
        });
    }

    /// Takes away tracks that another origin publishes, and notes the others as this one's.
    fn with_own_tracks(&mut self, room: &RoomName, origin: &NodeId, mut person: Person) -> Person {
        let place = (room.clone(), origin.clone());
        let tracks = &mut self.tracks;
        person.tracks.retain(|track| {
            let known = tracks
                .entry(track.view.id.clone())
                .or_insert_with(|| place.clone());
            *known == place
        });
        person
    }
}

/// Plumbing.
impl Mesh {
    fn room_names(&self) -> Vec<RoomName> {
        self.rooms.keys().cloned().collect()
    }

    /// Does something to an origin that is known.
    fn with_origin(
        &mut self,
        now: Instant,
        room: &RoomName,
        origin: &NodeId,
        act: impl FnOnce(&mut Origin, &mut Surroundings<'_>),
    ) {
        let Some(shared) = self.rooms.get_mut(room) else {
            return;
        };
        let (used, mut ended) = (shared.used, Vec::new());
        let (state, origins) = (shared.state.as_ref(), &mut shared.origins);
        let mut away = false;
        if let Some(origin) = origins.get_mut(origin) {
            away = matches!(origin.source, Source::Away(_));
            let mut around = Surroundings {
                now,
                me: &self.config.node,
                media: self.config.media,
                used,
                links: &self.links,
                topology: &self.topology,
                outputs: &mut self.outputs,
                state,
                ended: &mut ended,
            };
            act(origin, &mut around);
        }
        for track in ended {
            self.tracks.remove(&track);
            if away {
                self.outputs.push_back(Output::Ended { track });
            }
        }
    }

    fn with_own(
        &mut self,
        now: Instant,
        room: &RoomName,
        act: impl FnOnce(&mut Origin, &mut Surroundings<'_>),
    ) {
        let me = self.config.node.clone();
        self.with_origin(now, room, &me, act);
    }

    fn with_origins(
        &mut self,
        now: Instant,
        room: &RoomName,
        mut act: impl FnMut(&mut Origin, &mut Surroundings<'_>),
    ) {
        let shared = self.rooms.get(room);
        let origins = shared.into_iter().flat_map(|it| it.origins.keys());
        for origin in origins.cloned().collect::<Vec<_>>() {
            self.with_origin(now, room, &origin, &mut act);
        }
    }

    /// Brings a room in line with what is known, and forgets what nobody needs.
    fn settle_room(&mut self, now: Instant, room: &RoomName) {
        self.with_origins(now, room, |origin, around| origin.settle(around));
        let Some(shared) = self.rooms.get_mut(room) else {
            return;
        };
        shared.forget(now);
        if shared.is_forgotten(now) {
            self.rooms.remove(room);
        }
        self.settle_attention();
    }

    fn settle_rooms(&mut self, now: Instant) {
        for room in self.room_names() {
            self.settle_room(now, &room);
        }
    }

    /// Links that somebody depends on are looked after.
    fn settle_attention(&mut self) {
        let origins = || {
            self.rooms
                .values()
                .flat_map(|shared| shared.origins.values())
        };
        for (id, link) in &mut self.links {
            let attend = origins().any(|origin| origin.depends_on(*id));
            if std::mem::replace(&mut link.attended, attend) != attend {
                self.outputs.push_back(Output::Attend { link: *id, attend });
            }
        }
    }
}

impl Message {
    /// The room that it is about, if it is about one.
    pub fn room(&self) -> Option<&RoomName> {
        match self {
            Message::Node(_) => None,
            Message::Route(route) => Some(&route.room),
            Message::State(state) => Some(&state.room),
            Message::Unroute { room, .. }
            | Message::Follow { room, .. }
            | Message::Unfollow { room, .. }
            | Message::Person { room, .. }
            | Message::Gone { room, .. }
            | Message::Synced { room, .. }
            | Message::Demand { room, .. }
            | Message::Starved { room, .. }
            | Message::Data { room, .. }
            | Message::Levels { room, .. }
            | Message::Qualities { room, .. }
            | Message::Order { room, .. } => Some(room),
        }
    }

    /// The origin that it is about, if it is about one.
    pub fn origin(&self) -> Option<&NodeId> {
        match self {
            Message::Route(route) => route.origin(),
            Message::State(_) | Message::Node(_) => None,
            Message::Unroute { origin, .. }
            | Message::Follow { origin, .. }
            | Message::Unfollow { origin, .. }
            | Message::Person { origin, .. }
            | Message::Gone { origin, .. }
            | Message::Synced { origin, .. }
            | Message::Demand { origin, .. }
            | Message::Starved { origin, .. }
            | Message::Data { origin, .. }
            | Message::Levels { origin, .. }
            | Message::Qualities { origin, .. }
            | Message::Order { origin, .. } => Some(origin),
        }
    }
}
