//! The network between servers: links that take time, break, stall and come back.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use umbrella_room::mesh::{LinkId, Message, Neighbour, Rooms};
use umbrella_room::model::RoomName;

use crate::random::Random;

use super::mutation::Mutation;
use super::node::Node;

/// After so much silence a link is said to be silent.
const SILENCE: Duration = Duration::from_secs(1);

/// No play delivers so many messages.
const STORM: usize = 2_000_000;

/// Servers and the links between them.
#[derive(Debug)]
pub(super) struct Net {
    pub(super) now: Instant,
    pub(super) random: Random,
    pub(super) nodes: Vec<Node>,
    pub(super) links: BTreeMap<LinkId, Wire>,
    /// What happens when, in order.
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    mutation: Option<Mutation>,
    next: u64,
    /// Messages that were delivered.
    pub(super) delivered: usize,
}

/// A link that is up at both ends.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) ends: (usize, usize),
    delay: Duration,
    /// Nothing arrives for the time being.
    pub(super) stalled: bool,
    /// It carries only rooms that begin so.
    pub(super) prefix: String,
    /// Under way to the first and to the second end.
    queues: [VecDeque<Message>; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The oldest message of a link arrives at an end.
    Arrive { link: LinkId, end: usize },
    /// An end notices that nothing comes.
    Silence { link: LinkId },
    /// An end notices that a link is gone.
    Down { link: LinkId, node: usize },
}

impl Wire {
    /// Whether it carries a room.
    pub(super) fn carries(&self, room: &RoomName) -> bool {
        room.as_str().starts_with(&self.prefix)
    }

    /// The other end of a link.
    pub(super) fn other(&self, node: usize) -> usize {
        if self.ends.0 == node {
            self.ends.1
        } else {
            self.ends.0
        }
    }
}

impl Net {
    pub(super) fn new(random: Random, nodes: usize, mutation: Option<Mutation>) -> Net {
        Net {
            now: Instant::now(),
            random,
            nodes: (0..nodes).map(|number| Node::new(number, 1)).collect(),
            links: BTreeMap::new(),
            events: BinaryHeap::new(),
            mutation,
            next: 0,
            delivered: 0,
        }
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.next += 1;
        self.events
            .push(Reverse((self.now + after, self.next, event)));
    }

    /// Links two servers.
    pub(super) fn link(&mut self, a: usize, b: usize, prefix: &str) -> Result<(), String> {
        self.next += 1;
        let link = LinkId(self.next);
        let delay = Duration::from_millis(1 + self.random.below(40) as u64);
        let wire = Wire {
            ends: (a, b),
            delay,
            stalled: false,
            prefix: prefix.into(),
            queues: Default::default(),
        };
        self.links.insert(link, wire);
        for (node, other) in [(a, b), (b, a)] {
            let neighbour = Neighbour {
                node: self.nodes[other].id.clone(),
                rooms: Rooms {
                    lists: vec![vec![format!("{prefix}*")]],
                },
                may_moderate: true,
            };
            let mesh = &mut self.nodes[node].mesh;
            mesh.link_up(self.now, link, neighbour);
            mesh.round_trip(self.now, link, delay * 2);
            mesh.link_media(self.now, link, true);
        }
        self.carry_out(a)?;
        self.carry_out(b)
    }

    /// A link breaks; its ends notice that one after the other.
    pub(super) fn cut(&mut self, link: LinkId) {
        let Some(wire) = self.links.remove(&link) else {
            return;
        };
        for node in [wire.ends.0, wire.ends.1] {
            let after = Duration::from_millis(self.random.below(60) as u64);
            self.at(after, Event::Down { link, node });
        }
    }

    /// Nothing arrives over a link any more, or what was held up and the rest.
    pub(super) fn stall(&mut self, link: LinkId, stalled: bool) -> Result<(), String> {
        let Some(wire) = self.links.get_mut(&link) else {
            return Ok(());
        };
        if std::mem::replace(&mut wire.stalled, stalled) == stalled {
            return Ok(());
        }
        if stalled {
            self.at(SILENCE, Event::Silence { link });
            return Ok(());
        }
        let (waiting, ends) = ([wire.queues[0].len(), wire.queues[1].len()], wire.ends);
        for (end, count) in waiting.into_iter().enumerate() {
            for _ in 0..count {
                self.at(Duration::ZERO, Event::Arrive { link, end });
            }
        }
        for node in [ends.0, ends.1] {
            self.nodes[node].mesh.silent(self.now, link, false);
            self.carry_out(node)?;
        }
        Ok(())
    }

    /// A server ends and is back as a new run of itself, with nobody in its rooms and no links.
    pub(super) fn restart(&mut self, node: usize) {
        let gone = |(link, wire): (&LinkId, &Wire)| {
            (wire.ends.0 == node || wire.ends.1 == node).then_some(*link)
        };
        for link in self.links.iter().filter_map(gone).collect::<Vec<_>>() {
            self.cut(link);
        }
        let incarnation = self.nodes[node].incarnation + 1;
        self.nodes[node] = Node::new(node, incarnation);
    }

    /// Sends what a server has to say.
    pub(super) fn carry_out(&mut self, node: usize) -> Result<(), String> {
        for (link, message) in self.nodes[node].carry_out()? {
            let Some(wire) = self.links.get_mut(&link) else {
                continue; // cut, which it has not noticed
            };
            let end = usize::from(wire.ends.0 == node);
            wire.queues[end].push_back(message);
            if !wire.stalled {
                let delay = wire.delay;
                self.at(delay, Event::Arrive { link, end });
            }
        }
        Ok(())
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, time: Duration) -> Result<(), String> {
        let until = self.now + time;
        loop {
            let event = self.events.peek().map(|Reverse((at, ..))| *at);
            let timers = self.nodes.iter().enumerate();
            let timers = timers.filter_map(|(node, it)| Some((it.mesh.next_timeout()?, node)));
            let timer = timers.min();
            match (event, timer) {
                (Some(at), _) if at <= until && timer.is_none_or(|(due, _)| at <= due) => {
                    self.now = self.now.max(at);
                    let Some(Reverse((_, _, event))) = self.events.pop() else {
                        continue;
                    };
                    self.happen(event)?;
                }
                (_, Some((due, node))) if due <= until => {
                    self.now = self.now.max(due);
                    self.nodes[node].mesh.handle_timeout(self.now);
                    self.carry_out(node)?;
                }
                (_, _) => break,
            }
        }
        self.now = until;
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Arrive { link, end } => {
                let Some(wire) = self.links.get_mut(&link) else {
                    return Ok(());
                };
                if wire.stalled {
                    return Ok(());
                }
                let Some(message) = wire.queues[end].pop_front() else {
                    return Ok(());
                };
                let node = if end == 0 { wire.ends.0 } else { wire.ends.1 };
                self.delivered += 1;
                if self.delivered > STORM {
                    return Err(format!("a storm: {} in the end", describe(&message)));
                }
                let message = match self.mutation {
                    Some(mutation) => mutation.spoil(message),
                    None => message,
                };
                self.nodes[node].mesh.receive(self.now, link, message);
                self.carry_out(node)
            }
            Event::Silence { link } => {
                let Some(wire) = self.links.get(&link).filter(|wire| wire.stalled) else {
                    return Ok(());
                };
                let ends = wire.ends;
                for node in [ends.0, ends.1] {
                    self.nodes[node].mesh.silent(self.now, link, true);
                    self.carry_out(node)?;
                }
                Ok(())
            }
            Event::Down { link, node } => {
                self.nodes[node].mesh.link_down(self.now, link);
                self.nodes[node].forget_link(link);
                self.carry_out(node)
            }
        }
    }
}

/// Says in short what a message is about.
fn describe(message: &Message) -> String {
    let text = format!("{message:?}");
    text.chars().take(200).collect()
}
