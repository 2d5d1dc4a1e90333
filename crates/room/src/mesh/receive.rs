//! What neighbours say: what of it is believed, and what follows.

use std::time::Instant;

use crate::model::{NodeId, RoomName};

use super::link::LinkId;
use super::message::{Life, Message, Person, Route};
use super::origin::{self, Origin, Source};
use super::{Mesh, ORDER_HOPS, Surroundings};

impl Mesh {
    /// A neighbour has said something.
    pub fn receive(&mut self, now: Instant, link: LinkId, message: Message) {
        let Some(known) = self.links.get(&link) else {
            return;
        };
        // Of other rooms it has nothing to say, and nothing to hear.
        let allowed = |room: &RoomName| known.neighbour.rooms.allow(room.as_str());
        if !message.room().is_none_or(allowed) {
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
            Message::Follow {
                room,
                origin,
                data,
                number,
            } => self.change_origin(now, &room, &origin, |origin, around| {
                origin.add_follower(link, (number, data), around);
            }),
            Message::Followed {
                room,
                origin,
                number,
            } => self.with_origin(now, &room, &origin, |origin, _| {
                origin.followed(link, number);
            }),
            Message::Unfollow { room, origin } => {
                self.change_origin(now, &room, &origin, |origin, around| {
                    origin.unfollow(link, around)
                })
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
            } if known.neighbour.may_moderate || !order.is_moderation() => {
                let order = (participant, order, hops.min(ORDER_HOPS));
                self.order(now, &room, Some(link), &origin, order);
            }
            Message::Order { .. } => {}
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

    /// Does something to an origin that may change who is followed.
    fn change_origin(
        &mut self,
        now: Instant,
        room: &RoomName,
        origin: &NodeId,
        act: impl FnOnce(&mut Origin, &mut Surroundings<'_>),
    ) {
        self.with_origin(now, room, origin, act);
        self.settle_room(now, room);
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
            let mut new = Origin::new(room.clone(), origin.clone(), source);
            new.has_read(shared.read_of(&origin));
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
        let before = known.people.get(&person.view.id).map_or(0, Person::size);
        if shared.described().saturating_sub(before) + person.size() > limits.described {
            return;
        }
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
            | Message::Followed { .. }
            | Message::Unfollow { .. }
            | Message::Person { .. }
            | Message::Demand { .. }
            | Message::Order { .. }
            | Message::Node(_)
            | Message::State(_) => {}
        });
    }

    /// Takes away tracks that another origin publishes, and notes the others as this one's.
    pub(super) fn with_own_tracks(
        &mut self,
        room: &RoomName,
        origin: &NodeId,
        mut person: Person,
    ) -> Person {
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
