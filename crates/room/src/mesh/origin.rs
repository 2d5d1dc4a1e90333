//! One origin in one room: its participants, the way to it, and who hears of it from here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::command::Remote;
use crate::model::{LeaveReason, NodeId, ParticipantId, RoomName, TrackId};
use crate::quality::QualityView;

use super::data::Backlog;
use super::demand::LayerDemand;
use super::link::LinkId;
use super::message::{Data, DataNumber, Life, Message, Person, Route};
use super::route::{self, Ways};
use super::wanted::TrackDemand;
use super::{Output, Surroundings};

/// How long the participants of an origin are kept that cannot be reached: another way may be
/// found, or the same one again.
pub(super) const HOLD: Duration = Duration::from_secs(1);

/// A longer way is told of only after this time. When an origin is cut off, servers that are
/// linked to each other would otherwise tell each other of longer and longer ways that all lead
/// nowhere.
pub(super) const BAD_NEWS: Duration = Duration::from_millis(40);

/// One origin in one room.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) room: RoomName,
    pub(super) node: NodeId,
    pub(super) source: Source,
    pub(super) people: BTreeMap<ParticipantId, Person>,
    /// Bytes of what they say of themselves.
    pub(super) described: usize,
    pub(super) tracks: BTreeSet<TrackId>,
    qualities: BTreeMap<ParticipantId, QualityView>,
    /// What neighbours were told of the way to it.
    told: BTreeMap<LinkId, Route>,
    /// When neighbours are to be told of a longer way.
    tell_at: Option<Instant>,
    pub(super) followers: BTreeMap<LinkId, Follower>,
    data: Backlog,
    pub(super) demands: BTreeMap<TrackId, TrackDemand>,
}

/// Where its participants are known from.
#[derive(Debug)]
pub(super) enum Source {
    /// They are here.
    Here { life: Life },
    /// From neighbours.
    Away(Away),
}

/// What is known of the way to an origin elsewhere.
#[derive(Debug, Default)]
pub(super) struct Away {
    ways: Ways,
    chosen: Option<LinkId>,
    /// The neighbour that was asked for its participants.
    pub(super) following: Option<LinkId>,
    /// The number by which it was asked, as long as it has not answered.
    unanswered: Option<u64>,
    /// The neighbour has named all of them.
    synced: bool,
    /// Those that it has not named since it was asked.
    stale: BTreeSet<ParticipantId>,
    /// When they are given up, as there is no way.
    give_up_at: Option<Instant>,
}

/// A neighbour that hears of an origin. It has been told of a way from here: one that was not, or
/// over which the way leads from here, does not follow.
#[derive(Debug, Default)]
pub(super) struct Follower {
    /// It was told that it knows all participants.
    synced: bool,
}

impl Origin {
    pub(super) fn new(room: RoomName, node: NodeId, source: Source) -> Origin {
        Origin {
            room,
            node,
            source,
            people: BTreeMap::new(),
            described: 0,
            tracks: BTreeSet::new(),
            qualities: BTreeMap::new(),
            told: BTreeMap::new(),
            tell_at: None,
            followers: BTreeMap::new(),
            data: Backlog::default(),
            demands: BTreeMap::new(),
        }
    }

    /// Another time that it was known, messages were read up to this one.
    pub(super) fn has_read(&mut self, last: Option<DataNumber>) {
        self.data = Backlog::read_to(last);
    }

    /// The last data message that was read.
    pub(super) fn last_read(&self) -> Option<DataNumber> {
        self.data.last()
    }

    /// Whether nothing is left to know of it.
    pub(super) fn is_forgotten(&self) -> bool {
        let unreachable = match &self.source {
            Source::Here { .. } => false,
            Source::Away(away) => away.ways.is_empty() && away.following.is_none(),
        };
        unreachable && self.people.is_empty() && self.told.is_empty() && self.tell_at.is_none()
    }

    /// When [`Origin::settle`] has something to do although nothing has happened.
    pub(super) fn due(&self) -> Option<Instant> {
        let give_up = match &self.source {
            Source::Here { .. } => None,
            Source::Away(away) => away.give_up_at,
        };
        [give_up, self.tell_at].into_iter().flatten().min()
    }

    /// The link over which its participants are heard of, or could be.
    pub(super) fn upstream(&self) -> Option<LinkId> {
        match &self.source {
            Source::Here { .. } => None,
            Source::Away(away) => away.following.or(away.chosen),
        }
    }

    /// The neighbours that know a way to it.
    pub(super) fn told_links(&self) -> impl Iterator<Item = LinkId> {
        self.told.keys().copied()
    }

    fn follows(&self, link: LinkId) -> bool {
        match &self.source {
            Source::Here { .. } => false,
            Source::Away(away) => away.following == Some(link),
        }
    }

    /// Whether a neighbour's word about its participants counts.
    pub(super) fn is_heard_from(&self, link: LinkId) -> bool {
        let answered = match &self.source {
            Source::Here { .. } => false,
            Source::Away(away) => away.unanswered.is_none(),
        };
        answered && self.follows(link)
    }

    /// Links over which its participants are heard of, or heard of there.
    pub(super) fn dependencies(&self) -> impl Iterator<Item = LinkId> {
        let following = match &self.source {
            Source::Here { .. } => None,
            Source::Away(away) => away.following,
        };
        self.followers.keys().copied().chain(following)
    }

    /// A neighbour begins to answer.
    pub(super) fn followed(&mut self, link: LinkId, number: u64) {
        if let Source::Away(away) = &mut self.source
            && away.following == Some(link)
            && away.unanswered == Some(number)
        {
            away.unanswered = None;
        }
    }

    /// Which life of it a neighbour has told of.
    pub(super) fn life_over(&self, link: LinkId) -> Option<Life> {
        match &self.source {
            Source::Here { .. } => None,
            Source::Away(away) => away.ways.get(link).map(|route| route.life),
        }
    }

    /// A neighbour has told of a way to it, or that there is none any more.
    pub(super) fn set_way(&mut self, link: LinkId, route: Option<Route>) {
        let Source::Away(away) = &mut self.source else {
            return;
        };
        match route {
            Some(route) => {
                away.ways.forget_before(route.life);
                away.ways.insert(link, route);
            }
            None => away.ways.remove(link),
        }
    }

    /// The origin has ended a life: no way leads to it any more, and nobody is there.
    pub(super) fn end(&mut self, ended: Life, around: &mut Surroundings<'_>) {
        let Source::Away(away) = &mut self.source else {
            return;
        };
        away.ways.forget_before(Life {
            serial: ended.serial.saturating_add(1),
            ..ended
        });
        if away.ways.is_empty() {
            self.give_everybody_up(LeaveReason::Asked, around);
            for (link, _) in std::mem::take(&mut self.told) {
                around.send(
                    link,
                    Message::Unroute {
                        room: self.room.clone(),
                        origin: self.node.clone(),
                        ended: Some(ended),
                    },
                );
            }
        }
    }

    /// A link is gone.
    pub(super) fn lose_link(&mut self, link: LinkId, around: &mut Surroundings<'_>) {
        self.unfollow(link, around);
        self.told.remove(&link);
        if let Source::Away(away) = &mut self.source {
            away.ways.remove(link);
        }
    }

    /// Brings everything in line with the ways that are known: which one is taken, what neighbours
    /// are told, and who is asked for the participants.
    pub(super) fn settle(&mut self, around: &mut Surroundings<'_>) {
        self.choose(around);
        self.tell_ways(around);
        self.follow(around);
    }

    fn choose(&mut self, around: &Surroundings<'_>) {
        if let Source::Away(away) = &mut self.source {
            away.chosen = away.ways.best(around.links, around.topology, away.chosen);
        }
    }

    fn is_wanted(&self, used: bool) -> bool {
        used || !self.followers.is_empty()
    }

    /// Asks the right neighbour for the participants.
    fn follow(&mut self, around: &mut Surroundings<'_>) {
        let wanted = self.is_wanted(around.used);
        let Source::Away(away) = &mut self.source else {
            return;
        };
        let target = away.chosen.filter(|_| wanted);
        if away.following != target {
            let old = std::mem::replace(&mut away.following, target);
            away.synced = false;
            let (room, origin) = (self.room.clone(), self.node.clone());
            if let Some(old) = old {
                around.send(old, Message::Unfollow { room, origin });
            }
            self.begin_to_follow(target, around);
        }
        let Source::Away(away) = &mut self.source else {
            return;
        };
        if !wanted {
            self.give_everybody_up(LeaveReason::ConnectionLost, around);
        } else if target.is_some() || self.people.is_empty() {
            away.give_up_at = None;
        } else if *away.give_up_at.get_or_insert(around.now + HOLD) <= around.now {
            self.give_everybody_up(LeaveReason::ConnectionLost, around);
        }
    }

    fn begin_to_follow(&mut self, target: Option<LinkId>, around: &mut Surroundings<'_>) {
        let Source::Away(away) = &mut self.source else {
            return;
        };
        let Some(link) = target else {
            return;
        };
        away.stale = self.people.keys().cloned().collect();
        // Who comes anew does not want to read what was said before.
        let data = self.data.last().filter(|_| !self.people.is_empty());
        *around.follows += 1;
        let number = *around.follows;
        away.unanswered = Some(number);
        let (room, origin) = (self.room.clone(), self.node.clone());
        let follow = Message::Follow {
            room,
            origin,
            data,
            number,
        };
        around.send(link, follow);
        for (track, demand) in &self.demands {
            if !demand.asked.is_none() {
                around.send(link, self.demand_of(track, demand.asked));
            }
        }
    }

    /// Tells neighbours of the way from here, as far as they do not know it.
    fn tell_ways(&mut self, around: &mut Surroundings<'_>) {
        let way = match &self.source {
            Source::Here { life } => {
                let (me, media) = (around.me, around.media);
                Some((None, route::own(self.room.clone(), *life, me, media)))
            }
            Source::Away(away) => away.chosen.and_then(|chosen| {
                let over = around.links.get(&chosen)?;
                let route = away.ways.get(chosen)?;
                Some((Some(chosen), route.extended(around.me, over, around.media)))
            }),
        };
        let longer = |told: &Route| {
            let way = way.as_ref();
            way.is_some_and(|(_, way)| way.is_longer_than(told))
        };
        let bad = self.told.values().any(longer);
        let wait = bad && *self.tell_at.get_or_insert(around.now + BAD_NEWS) > around.now;
        if !wait {
            self.tell_at = None;
        }
        let links: Vec<_> = around.links.keys().copied().collect();
        for link in links {
            let may_know = |(over, way): &&(Option<LinkId>, Route)| {
                let neighbour = around.links.get(&link).map(|link| &link.neighbour);
                *over != Some(link)
                    && way.path.len() < route::MAX_PATH
                    && neighbour.is_some_and(|it| {
                        it.rooms.allow(self.room.as_str()) && !way.path.contains(&it.node)
                    })
            };
            let way = way.as_ref().filter(may_know).map(|(_, way)| way.clone());
            self.tell_way(link, way, wait, around);
        }
    }

    fn tell_way(
        &mut self,
        link: LinkId,
        way: Option<Route>,
        wait: bool,
        around: &mut Surroundings<'_>,
    ) {
        match (self.told.get(&link), way) {
            (None, None) => {}
            (Some(_), None) => {
                self.told.remove(&link);
                self.unfollow(link, around);
                let (room, origin) = (self.room.clone(), self.node.clone());
                let ended = None;
                around.send(
                    link,
                    Message::Unroute {
                        room,
                        origin,
                        ended,
                    },
                );
            }
            (Some(told), Some(way)) if !is_news(told, &way) => {}
            (Some(told), Some(way)) if wait && way.is_longer_than(told) => {}
            (known, Some(way)) => {
                let first = known.is_none_or(|told| told.life != way.life);
                self.told.insert(link, way.clone());
                around.send(link, Message::Route(way));
                // A neighbour that did not know of the room took no notice of its state before.
                if let Some(state) = around.state.filter(|_| first).cloned() {
                    around.send(link, Message::State(state));
                }
            }
        }
    }
}

/// Whether a neighbour has to know: not every millisecond matters.
fn is_news(told: &Route, now: &Route) -> bool {
    let close = now.rtt_ms.abs_diff(told.rtt_ms) <= (told.rtt_ms / 4).max(4);
    let same = Route {
        rtt_ms: now.rtt_ms,
        ..told.clone()
    };
    same != *now || !close
}

/// Who hears of it.
impl Origin {
    /// A neighbour wants to hear of it.
    pub(super) fn add_follower(
        &mut self,
        link: LinkId,
        (number, data): (u64, Option<DataNumber>),
        around: &mut Surroundings<'_>,
    ) {
        // What it was not told of it cannot follow: it is void, or was never its to know.
        if !self.told.contains_key(&link) {
            return;
        }
        self.drop_demand_of(link, around);
        self.followers.insert(link, Follower::default());
        // Whoever had no use for the room may have forgotten its state since it was told.
        if let Some(state) = around.state.cloned() {
            around.send(link, Message::State(state));
        }
        let (room, origin) = (self.room.clone(), self.node.clone());
        let followed = Message::Followed {
            room,
            origin,
            number,
        };
        around.send(link, followed);
        self.introduce(link, data, around);
    }

    /// A neighbour does not want to hear of it any more.
    pub(super) fn unfollow(&mut self, link: LinkId, around: &mut Surroundings<'_>) {
        if self.followers.remove(&link).is_some() {
            self.drop_demand_of(link, around);
        }
    }

    /// Tells a follower everything.
    fn introduce(&mut self, link: LinkId, data: Option<DataNumber>, around: &mut Surroundings<'_>) {
        for person in self.people.values() {
            around.send(link, self.person_message(person));
        }
        if !self.qualities.is_empty() {
            let qualities = self.qualities.values().cloned().collect();
            around.send(link, self.quality_message(qualities));
        }
        for data in data.into_iter().flat_map(|data| self.data.after(data)) {
            around.send(link, self.data_message(data.clone()));
        }
        if self.is_synced() {
            self.tell_synced(link, around);
        }
    }

    pub(super) fn is_synced(&self) -> bool {
        match &self.source {
            Source::Here { .. } => true,
            Source::Away(away) => away.synced,
        }
    }

    fn tell_synced(&mut self, link: LinkId, around: &mut Surroundings<'_>) {
        if let Some(follower) = self.followers.get_mut(&link)
            && !std::mem::replace(&mut follower.synced, true)
        {
            let (room, origin) = (self.room.clone(), self.node.clone());
            around.send(link, Message::Synced { room, origin });
        }
    }

    fn person_message(&self, person: &Person) -> Message {
        Message::Person {
            room: self.room.clone(),
            origin: self.node.clone(),
            person: Box::new(person.clone()),
        }
    }

    fn quality_message(&self, qualities: std::sync::Arc<[QualityView]>) -> Message {
        Message::Qualities {
            room: self.room.clone(),
            origin: self.node.clone(),
            qualities,
        }
    }

    fn data_message(&self, data: Data) -> Message {
        Message::Data {
            room: self.room.clone(),
            origin: self.node.clone(),
            data,
        }
    }

    /// Tells all followers the same.
    fn tell_followers(&self, message: &Message, around: &mut Surroundings<'_>) {
        for link in self.followers.keys() {
            around.send(*link, message.clone());
        }
    }

    /// Tells the room here, if there is one and the origin is elsewhere.
    pub(super) fn tell_room(&self, remote: Remote, around: &mut Surroundings<'_>) {
        if around.used && matches!(self.source, Source::Away(_)) {
            around.outputs.push_back(Output::Room {
                room: self.room.clone(),
                origin: self.node.clone(),
                remote: Box::new(remote),
            });
        }
    }

    /// The room here has begun: it hears of everybody.
    pub(super) fn introduce_here(&self, around: &mut Surroundings<'_>) {
        for person in self.people.values() {
            self.tell_room(Remote::Person(Box::new(person.clone())), around);
        }
        if !self.qualities.is_empty() {
            let qualities = self.qualities.values().cloned().collect();
            self.tell_room(Remote::Qualities(qualities), around);
        }
    }

    /// The room here has ended, and with it what was wanted.
    pub(super) fn forget_here(&mut self, around: &mut Surroundings<'_>) {
        for track in self.demands.keys().cloned().collect::<Vec<_>>() {
            self.demand_here(&track, LayerDemand::NONE, around);
        }
    }
}

/// Participants.
impl Origin {
    /// A participant, as it is now.
    pub(super) fn person(&mut self, person: Person, around: &mut Surroundings<'_>) {
        let id = person.view.id.clone();
        if let Source::Away(away) = &mut self.source {
            away.stale.remove(&id);
        }
        // A neighbour that has just begun to follow may know less than is known here.
        let known = self.people.get(&id);
        let is_old = |known: &Person| known.view.version > person.view.version;
        if known.is_some_and(|known| is_old(known) || *known == person) {
            return;
        }
        let has = |track: &TrackId| person.tracks.iter().any(|it| it.view.id == *track);
        let before = self.people.get(&id).map(|it| &it.tracks);
        let ended = before.into_iter().flatten().map(|it| it.view.id.clone());
        let ended: Vec<_> = ended.filter(|track| !has(track)).collect();
        self.tell_followers(&self.person_message(&person), around);
        self.tell_room(Remote::Person(Box::new(person.clone())), around);
        let new = person.tracks.iter().map(|it| &it.view.id);
        let new: Vec<_> = new
            .filter(|it| self.tracks.insert((*it).clone()))
            .cloned()
            .collect();
        self.described += person.size();
        if let Some(before) = self.people.insert(id, person) {
            self.described -= before.size();
        }
        for track in new {
            self.begin_track(&track, around);
        }
        for track in ended {
            self.end_track(&track, around);
        }
    }

    /// A participant has left.
    pub(super) fn gone(
        &mut self,
        id: &ParticipantId,
        reason: LeaveReason,
        around: &mut Surroundings<'_>,
    ) {
        if let Source::Away(away) = &mut self.source {
            away.stale.remove(id);
        }
        self.qualities.remove(id);
        let Some(person) = self.people.remove(id) else {
            return;
        };
        self.described -= person.size();
        for track in person.tracks {
            self.end_track(&track.view.id, around);
        }
        let gone = Message::Gone {
            room: self.room.clone(),
            origin: self.node.clone(),
            participant: id.clone(),
            reason,
        };
        self.tell_followers(&gone, around);
        let participant = id.clone();
        self.tell_room(
            Remote::Gone {
                participant,
                reason,
            },
            around,
        );
    }

    /// The neighbour has named everybody: whom it has not is gone.
    pub(super) fn all_named(&mut self, around: &mut Surroundings<'_>) {
        let Source::Away(away) = &mut self.source else {
            return;
        };
        away.synced = true;
        for id in std::mem::take(&mut away.stale) {
            self.gone(&id, LeaveReason::SignalLost, around);
        }
        let known = &self.tracks;
        self.demands.retain(|track, _| known.contains(track));
        let followers: Vec<_> = self.followers.keys().copied().collect();
        for link in followers {
            self.tell_synced(link, around);
        }
    }

    fn give_everybody_up(&mut self, reason: LeaveReason, around: &mut Surroundings<'_>) {
        if let Source::Away(away) = &mut self.source {
            away.give_up_at = None;
        }
        for id in self.people.keys().cloned().collect::<Vec<_>>() {
            self.gone(&id, reason, around);
        }
    }

    /// A data message.
    pub(super) fn data(&mut self, data: Data, around: &mut Surroundings<'_>) {
        if self.data.admit(&data) {
            self.tell_followers(&self.data_message(data.clone()), around);
            self.tell_room(Remote::Data(Box::new(data)), around);
        }
    }

    /// How loud its tracks are.
    pub(super) fn levels(
        &mut self,
        levels: std::sync::Arc<[crate::command::TrackLoudness]>,
        around: &mut Surroundings<'_>,
    ) {
        let message = Message::Levels {
            room: self.room.clone(),
            origin: self.node.clone(),
            levels: levels.clone(),
        };
        self.tell_followers(&message, around);
        self.tell_room(Remote::Levels(levels), around);
    }

    /// How good connections are.
    pub(super) fn qualities(
        &mut self,
        qualities: std::sync::Arc<[QualityView]>,
        around: &mut Surroundings<'_>,
    ) {
        let mine = qualities
            .iter()
            .filter(|it| self.people.contains_key(&it.participant));
        let mine: Vec<_> = mine.cloned().collect();
        if mine.is_empty() {
            return;
        }
        for quality in &mine {
            let id = quality.participant.clone();
            self.qualities.insert(id, quality.clone());
        }
        let mine: std::sync::Arc<[QualityView]> = mine.into();
        self.tell_followers(&self.quality_message(mine.clone()), around);
        self.tell_room(Remote::Qualities(mine), around);
    }
}
