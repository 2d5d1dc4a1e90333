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
//! | who hears of its participants | `origin.rs` |
//! | what is wanted of their tracks | `wanted.rs` |
//! | what of a neighbour's word is believed | `receive.rs` |
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
mod receive;
mod rooms;
mod route;
mod shared;
mod topology;
mod wanted;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::command::{Reliability, Remote, TrackLoudness};
use crate::model::{
    Identity, LeaveReason, NodeId, ParticipantId, ParticipantView, RoomName, TrackId, TrackView,
};
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
    /// Bytes of what participants elsewhere in a room say of themselves.
    pub described: usize,
}

impl Default for MeshLimits {
    fn default() -> Self {
        MeshLimits {
            rooms: 4096,
            origins: 64,
            people: 5000,
            tracks: 64,
            described: 64 * 1024 * 1024,
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
    /// Another server goes by the id of this one, and is called so; told once.
    Copied {
        /// The other one's name.
        name: String,
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
    /// [`Shared::due`] of all rooms that have it.
    due: BTreeSet<(Instant, RoomName)>,
    /// Where tracks are published: no other origin can claim to.
    tracks: HashMap<TrackId, (RoomName, NodeId)>,
    outputs: VecDeque<Output>,
    /// The last serial of a life, number of a data message, version of our own state, number of a
    /// `Follow`, and version of the state of a room.
    serial: u64,
    number: u64,
    version: u64,
    follows: u64,
    stated: u64,
    /// Another server goes by our id.
    copied: bool,
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
    /// The number of the last `Follow`.
    follows: &'a mut u64,
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
            due: BTreeSet::new(),
            tracks: HashMap::new(),
            outputs: VecDeque::new(),
            serial: 0,
            number: 0,
            version: 0,
            follows: 0,
            stated: 0,
            copied: false,
        }
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Mesh::handle_timeout`].
    pub fn next_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, room)) = self.due.first().cloned()
            && at <= now
        {
            self.due.remove(&(at, room.clone()));
            if let Some(shared) = self.rooms.get_mut(&room) {
                shared.scheduled = None;
            }
            self.settle_room(now, &room);
        }
    }

    /// Whether another server with the id of this one was heard of: somebody has copied its data. To
    /// others, only the one counts that was started last.
    pub fn is_copied(&self) -> bool {
        self.copied
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

    /// Whose such a track is.
    pub fn publisher(&self, track: &TrackId) -> Option<&Arc<ParticipantView>> {
        let (room, origin) = self.tracks.get(track)?;
        let origin = self.rooms.get(room)?.origins.get(origin)?;
        match origin.source {
            Source::Here { .. } => None,
            Source::Away(_) => origin.publisher(track),
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
                follows: &mut self.follows,
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
        let due = shared.due();
        let before = std::mem::replace(&mut shared.scheduled, due);
        if before != due {
            if let Some(at) = before {
                self.due.remove(&(at, room.clone()));
            }
            self.due.extend(due.map(|at| (at, room.clone())));
        }
        let depends = shared.dependencies();
        let before = std::mem::replace(&mut shared.depends, depends.clone());
        if shared.is_forgotten() {
            self.rooms.remove(room);
        }
        for link in depends.difference(&before) {
            self.depend(*link, |count| count + 1);
        }
        for link in before.difference(&depends) {
            self.depend(*link, |count| count - 1);
        }
    }

    fn settle_rooms(&mut self, now: Instant) {
        for room in self.room_names() {
            self.settle_room(now, &room);
        }
    }

    /// A room more or less depends on a link: those that any depends on are looked after.
    fn depend(&mut self, id: LinkId, change: impl FnOnce(usize) -> usize) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let attended = link.dependents > 0;
        link.dependents = change(link.dependents);
        let attend = link.dependents > 0;
        if attended != attend {
            self.outputs.push_back(Output::Attend { link: id, attend });
        }
    }
}
