//! Linked servers on a simulated network, against a reference model.
//!
//! - `shape` and `net`: who is linked to whom, and what links do to messages.
//! - `node` is a server whose rooms believe what the mesh tells them.
//! - `check` knows from plain facts (who is where, which links are up) who should know whom, what
//!   should be sent over which link, and how often.
//! - [`run`] plays: people come, go, publish, watch and talk; links come, break and stall; servers
//!   restart. Two seconds after the last change everything has to be right.

mod check;
mod mutation;
mod net;
mod node;
mod shape;

use std::fmt;
use std::time::Duration;

use umbrella_media::{Priority, Spatial, Temporal};
use umbrella_room::mesh::{LayerDemand, LayerWish, LinkId, Share};
use umbrella_room::model::{ParticipantId, RoomName, TrackId};

use crate::random::Random;
pub use mutation::Mutation;
use net::Net;
pub use shape::Shape;

/// How long servers may take to agree after the last change.
const CONVERGENCE: Duration = Duration::from_secs(2);

/// Messages that a change may cost at most, for each link and each origin of each room, times the
/// longest path: what explodes is far beyond that.
const MESSAGES: usize = 40;

/// What to play.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// How servers are linked at first.
    pub shape: Shape,
    /// How many servers, 2 to 16.
    pub nodes: usize,
    /// How often something changes before it is looked at whether everything is right.
    pub changes: usize,
    /// How often that is repeated.
    pub rounds: usize,
    /// Spoil messages, to see that it is noticed.
    pub mutation: Option<Mutation>,
}

/// What was seen in a play that went well.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// Messages that were delivered.
    pub messages: usize,
    /// The most participants at a time.
    pub people: usize,
    /// The most streams on links at a time.
    pub streams: usize,
}

/// Servers did what they should not, or did not what they should.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What was played.
    pub plan: Plan,
    /// In which round, counted from 0.
    pub round: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { plan, round, what } = self;
        let Plan {
            seed, shape, nodes, ..
        } = plan;
        write!(
            f,
            "seed {seed}, {shape:?} of {nodes}, round {round}: {what}"
        )
    }
}

/// All layers at full rate.
fn everything() -> LayerDemand {
    let layers = [Spatial::LOW, Spatial::MEDIUM, Spatial::HIGH];
    layers.into_iter().fold(LayerDemand::NONE, |all, layer| {
        let (temporal, priority) = (Temporal::ALL, Priority::Screen);
        all.join(LayerDemand::of(layer, LayerWish { temporal, priority }))
    })
}

/// Plays.
///
/// # Errors
///
/// What went wrong first.
pub fn run(plan: &Plan) -> Result<Seen, Failure> {
    let mut play = Play::new(plan);
    let mut seen = Seen::default();
    let begin = play.begin(plan);
    let failure = |round, what| Failure {
        plan: plan.clone(),
        round,
        what,
    };
    begin.map_err(|what| failure(0, what))?;
    for round in 0..plan.rounds {
        play.round(plan).map_err(|what| failure(round, what))?;
        seen.people = seen.people.max(play.people().len());
        let streams = play.net.nodes.iter().map(|node| node.carried.len()).sum();
        seen.streams = seen.streams.max(streams);
    }
    seen.messages = play.net.delivered;
    Ok(seen)
}

struct Play {
    net: Net,
    rooms: Vec<RoomName>,
    next: usize,
}

impl Play {
    fn new(plan: &Plan) -> Play {
        let rooms = ["a", "ab", "b"].map(RoomName::new);
        Play {
            net: Net::new(Random::new(plan.seed), plan.nodes, plan.mutation),
            rooms: rooms.into(),
            next: 0,
        }
    }

    fn begin(&mut self, plan: &Plan) -> Result<(), String> {
        let pairs = plan.shape.pairs(plan.nodes, &mut self.net.random);
        for (a, b) in pairs {
            self.link(a, b)?;
        }
        Ok(())
    }

    /// Some links carry only some of the rooms.
    fn link(&mut self, a: usize, b: usize) -> Result<(), String> {
        let prefix = if self.net.random.one_in(5) { "a" } else { "" };
        self.net.link(a, b, prefix)
    }

    fn round(&mut self, plan: &Plan) -> Result<(), String> {
        let before = self.net.delivered;
        for _ in 0..plan.changes {
            self.change(plan)?;
            let pause = Duration::from_millis(self.net.random.below(300) as u64);
            self.net.run(pause)?;
        }
        if self.net.random.one_in(2) {
            let links: Vec<_> = self.net.links.keys().copied().collect();
            for link in links {
                self.net.stall(link, false)?;
            }
        }
        self.want_something()?;
        self.net.run(CONVERGENCE)?;
        check::check(&self.net, &self.rooms)?;
        self.talk()?;
        let links = self.net.links.len().max(plan.nodes);
        let most = MESSAGES * links * plan.nodes * self.rooms.len() * (plan.changes + 5);
        let delivered = self.net.delivered - before;
        if delivered > most {
            return Err(format!("{delivered} messages in one round"));
        }
        Ok(())
    }

    /// Everybody says something, and everybody who can be reached reads it once.
    fn talk(&mut self) -> Result<(), String> {
        let mut said = Vec::new();
        for room in self.rooms.clone() {
            for node in 0..self.net.nodes.len() {
                if self.net.nodes[node].rooms.contains_key(&room) {
                    self.next += 1;
                    let what = format!("{node} in {room}: {}", self.next).into_bytes();
                    self.net.nodes[node].say(self.net.now, &room, &what);
                    self.net.carry_out(node)?;
                    said.push((room.clone(), node, what));
                }
            }
        }
        self.net.run(Duration::from_millis(700))?;
        for (room, from, what) in said {
            check::check_heard(&self.net, &room, from, &what)?;
        }
        Ok(())
    }

    fn change(&mut self, plan: &Plan) -> Result<(), String> {
        match self.net.random.below(16) {
            0..=3 => self.come(),
            4 | 5 => self.go(),
            6 | 7 => self.publish(),
            8 | 9 => self.want_something(),
            10 => self.rename(),
            11 => {
                self.cut();
                Ok(())
            }
            12 | 13 => {
                let nodes = plan.nodes;
                let (a, b) = (self.net.random.below(nodes), self.net.random.below(nodes));
                let between = |wire: &net::Wire| wire.ends == (a, b) || wire.ends == (b, a);
                let most = 2; // also two links between the same servers
                let count = self.net.links.values().filter(|wire| between(wire)).count();
                if a != b && count < most {
                    self.link(a, b)
                } else {
                    Ok(())
                }
            }
            14 => self.stall(),
            _ if self.net.random.one_in(3) => {
                let node = self.net.random.below(plan.nodes);
                self.net.restart(node);
                Ok(())
            }
            _ => self.flap(),
        }
    }

    fn come(&mut self) -> Result<(), String> {
        self.next += 1;
        let node = self.net.random.below(self.net.nodes.len());
        let room = self.rooms[self.net.random.below(self.rooms.len())].clone();
        let id = format!("PA_{}", self.next);
        let tracks = self.new_tracks();
        let person = node::person(&id, &tracks, 1);
        self.net.nodes[node].person(self.net.now, &room, person);
        self.net.carry_out(node)
    }

    /// No track has the name of one that has ended.
    fn new_tracks(&mut self) -> Vec<String> {
        let count = self.net.random.below(3);
        let numbers = self.next + 1..self.next + 1 + count;
        self.next += count;
        numbers.map(|number| format!("TR_{number}")).collect()
    }

    /// Who is where.
    fn people(&self) -> Vec<(usize, RoomName, ParticipantId)> {
        let mut people = Vec::new();
        for (at, node) in self.net.nodes.iter().enumerate() {
            for (room, local) in &node.rooms {
                let here = local.here.keys();
                people.extend(here.map(|id| (at, room.clone(), id.clone())));
            }
        }
        people
    }

    fn somebody(&mut self) -> Option<(usize, RoomName, ParticipantId)> {
        let people = self.people();
        self.net.random.pick(&people).cloned()
    }

    fn go(&mut self) -> Result<(), String> {
        let Some((node, room, id)) = self.somebody() else {
            return Ok(());
        };
        self.net.nodes[node].leave(self.net.now, &room, &id);
        self.net.carry_out(node)
    }

    fn publish(&mut self) -> Result<(), String> {
        let Some((node, room, id)) = self.somebody() else {
            return Ok(());
        };
        let known = self.net.nodes[node].rooms.get(&room);
        let Some(known) = known.and_then(|it| it.here.get(&id)) else {
            return Ok(());
        };
        let version = known.view.version + 1;
        let tracks = known.tracks.iter().map(|it| it.view.id.to_string());
        let mut tracks: Vec<_> = tracks.collect();
        tracks.retain(|_| self.net.random.one_in(2));
        tracks.extend(self.new_tracks());
        let person = node::person(id.as_str(), &tracks, version);
        self.net.nodes[node].person(self.net.now, &room, person);
        self.net.carry_out(node)
    }

    /// Somebody somewhere looks at something, or away.
    fn want_something(&mut self) -> Result<(), String> {
        for _ in 0..4 {
            let Some((node, room, _)) = self.somebody() else {
                return Ok(());
            };
            let local = self.net.nodes[node].rooms.get(&room);
            let people = local.into_iter().flat_map(|local| local.elsewhere.values());
            let tracks = people.flat_map(|(_, person)| &person.tracks);
            let tracks: Vec<TrackId> = tracks.map(|track| track.view.id.clone()).collect();
            let Some(track) = self.net.random.pick(&tracks).cloned() else {
                continue;
            };
            let layers = (0..self.net.random.below(3)).fold(LayerDemand::NONE, |all, _| {
                let layer = Spatial::new(self.net.random.below(3) as u8).unwrap_or_default();
                let temporal = Temporal::new(self.net.random.below(3) as u8);
                let priority = Priority::Normal;
                all.join(LayerDemand::of(layer, LayerWish { temporal, priority }))
            });
            self.net.nodes[node].want(self.net.now, &room, &track, layers);
            self.net.carry_out(node)?;
        }
        Ok(())
    }

    fn rename(&mut self) -> Result<(), String> {
        let Some((node, room, _)) = self.somebody() else {
            return Ok(());
        };
        self.next += 1;
        let metadata = format!("{}", self.next);
        if let Some(local) = self.net.nodes[node].rooms.get_mut(&room) {
            local.metadata.clone_from(&metadata);
        }
        let share = Share::State {
            metadata,
            max_participants: 0,
            closed: false,
        };
        self.net.nodes[node].mesh.share(self.net.now, &room, share);
        self.net.carry_out(node)
    }

    fn a_link(&mut self) -> Option<LinkId> {
        let links: Vec<_> = self.net.links.keys().copied().collect();
        self.net.random.pick(&links).copied()
    }

    fn cut(&mut self) {
        if let Some(link) = self.a_link() {
            self.net.cut(link);
        }
    }

    fn stall(&mut self) -> Result<(), String> {
        let Some(link) = self.a_link() else {
            return Ok(());
        };
        let stalled = self.net.links.get(&link).is_some_and(|wire| wire.stalled);
        self.net.stall(link, !stalled)
    }

    /// A link goes and comes, again and again.
    fn flap(&mut self) -> Result<(), String> {
        let Some(mut link) = self.a_link() else {
            return Ok(());
        };
        for _ in 0..4 {
            let Some(wire) = self.net.links.get(&link) else {
                return Ok(());
            };
            let ((a, b), prefix) = (wire.ends, wire.prefix.clone());
            self.net.cut(link);
            let pause = Duration::from_millis(self.net.random.below(400) as u64);
            self.net.run(pause)?;
            self.net.link(a, b, &prefix)?;
            let Some(new) = self.net.links.keys().last() else {
                return Ok(());
            };
            link = *new;
        }
        Ok(())
    }
}
