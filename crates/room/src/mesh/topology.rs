//! Which servers are linked to which: what each says of its own links.
//!
//! Ways are told from neighbour to neighbour, so word of a dead link comes late to those who know
//! many ways over it, and each would try them all, one after the other. What the two ends of a
//! link say of it comes straight from them, and ends all such ways at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::model::{NodeId, ParticipantView, RoomName, TrackId, TrackView};

use super::link::{Link, LinkId};
use super::message::{Message, Route};
use super::{Mesh, Output};

/// Servers that are remembered, and links of each.
const NODES: usize = 256;
const LINKS: usize = 128;
/// Bytes of a server's name or version.
const TEXT: usize = 256;

/// A server and its links, as it says itself. Of several, the one of the latest run with the
/// highest version counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeState {
    /// Which server.
    pub node: NodeId,
    /// Its run.
    pub incarnation: u64,
    /// Counted up with every change.
    pub version: u64,
    /// Shown to people.
    pub name: String,
    /// Its software, shown to people.
    pub software: String,
    /// It carries media.
    pub media: bool,
    /// Whom it is linked to.
    pub links: Vec<NodeLink>,
}

/// A link of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLink {
    /// To whom.
    pub node: NodeId,
    /// How long a round trip takes, in milliseconds.
    pub rtt_ms: u32,
    /// Media can pass.
    pub media: bool,
}

/// A track that is shared in some room, and its publisher.
#[derive(Debug)]
pub struct Published<'a> {
    /// In which room.
    pub room: &'a RoomName,
    /// At which server; perhaps here.
    pub origin: &'a NodeId,
    /// Who publishes it.
    pub by: &'a ParticipantView,
    /// The track, as its publisher describes it.
    pub view: &'a TrackView,
}

impl Mesh {
    /// What is known of a track, wherever it is published; also one that only passes here.
    pub fn published(&self, track: &TrackId) -> Option<Published<'_>> {
        let (room, node) = self.tracks.get(track)?;
        let origin = self.rooms.get(room)?.origins.get(node)?;
        let mut people = origin.people.values();
        people.find_map(|person| {
            let mut tracks = person.tracks.iter();
            let found = tracks.find(|it| it.view.id == *track)?;
            Some(Published {
                room,
                origin: node,
                by: &person.view,
                view: &found.view,
            })
        })
    }
}

/// What is known of all servers.
#[derive(Debug, Default)]
pub(super) struct Topology {
    nodes: BTreeMap<NodeId, NodeState>,
}

impl Topology {
    /// Takes in what a server says of itself. False if that is known, or makes no sense.
    pub(super) fn insert(&mut self, state: NodeState) -> bool {
        let known = self.nodes.get(&state.node);
        let is_new = known.is_none_or(|known| {
            (state.incarnation, state.version) > (known.incarnation, known.version)
        });
        let room = known.is_some() || self.nodes.len() < NODES;
        let sound = state.node.is_sound()
            && state.links.len() <= LINKS
            && state.links.iter().all(|link| link.node.is_sound())
            && state.name.len() <= TEXT
            && state.software.len() <= TEXT;
        let accepted = is_new && room && sound;
        if accepted {
            self.nodes.insert(state.node.clone(), state);
        }
        accepted
    }

    /// Everything that is known.
    pub(super) fn all(&self) -> impl Iterator<Item = &NodeState> {
        self.nodes.values()
    }

    /// Whether a way can lead to its origin: that is still the same run of itself, and linked. Word of
    /// the end of an earlier run comes from nobody but those who know of a later one.
    pub(super) fn leads(&self, way: &Route) -> bool {
        let origin = way.path.first().and_then(|origin| self.nodes.get(origin));
        let later = origin.is_some_and(|it| it.incarnation > way.life.incarnation);
        !later && self.is_up(&way.path)
    }

    /// Whether every link of a path is up, as far as its ends have said.
    fn is_up(&self, path: &[NodeId]) -> bool {
        path.windows(2).all(|pair| match pair {
            [a, b] => self.lists(a, b) && self.lists(b, a),
            _ => true,
        })
    }

    fn lists(&self, node: &NodeId, other: &NodeId) -> bool {
        let known = self.nodes.get(node);
        known.is_none_or(|known| known.links.iter().any(|link| link.node == *other))
    }

    /// The servers that can be reached over links that both ends know of.
    pub(super) fn reachable(&self, me: &NodeId) -> impl Iterator<Item = &NodeState> {
        let mut reached = BTreeSet::from([me.clone()]);
        let mut next = vec![me.clone()];
        while let Some(node) = next.pop() {
            let links = self.nodes.get(&node).into_iter().flat_map(|it| &it.links);
            for link in links {
                if self.lists(&link.node, &node) && reached.insert(link.node.clone()) {
                    next.push(link.node.clone());
                }
            }
        }
        let all = self.nodes.values();
        all.filter(move |state| reached.contains(&state.node))
    }

    /// Makes room for others: forgets servers that cannot be reached. Not sooner, as what has been
    /// forgotten would be taken for news when it comes once more.
    pub(super) fn tidy(&mut self, me: &NodeId) {
        if self.nodes.len() >= NODES {
            let reachable = self.reachable(me).map(|state| state.node.clone());
            let reachable: BTreeSet<_> = reachable.collect();
            self.nodes.retain(|node, _| reachable.contains(node));
        }
    }
}

/// Which servers are linked.
impl Mesh {
    /// Every server that can be reached, as it describes itself; this one is among them.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeState> {
        self.topology.reachable(&self.config.node)
    }

    /// Our own links have changed.
    pub(super) fn tell_links(&mut self) {
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
    pub(super) fn node(&mut self, now: Instant, from: LinkId, state: NodeState) {
        self.topology.tidy(&self.config.node);
        if state.node == self.config.node {
            // What comes back of our own earlier runs has a lower number.
            let later = state.incarnation > self.config.incarnation;
            if later && !std::mem::replace(&mut self.copied, true) {
                let name = state.name;
                self.outputs.push_back(Output::Copied { name });
            }
            return;
        }
        if !self.topology.insert(state.clone()) {
            return;
        }
        self.tell_node(&state, Some(from));
        self.settle_rooms(now);
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Life;
    use super::*;

    fn node(name: &str, version: u64, links: &[&str]) -> NodeState {
        NodeState {
            node: NodeId::new(name),
            incarnation: 1,
            version,
            name: name.to_owned(),
            software: String::new(),
            media: true,
            links: links
                .iter()
                .map(|link| NodeLink {
                    node: NodeId::new(*link),
                    rtt_ms: 1,
                    media: true,
                })
                .collect(),
        }
    }

    fn path(nodes: &[&str]) -> Vec<NodeId> {
        nodes.iter().map(|node| NodeId::new(*node)).collect()
    }

    #[test]
    fn ways_over_a_dead_link_are_tried_one_after_the_other() {
        let mut topology = Topology::default();
        assert!(topology.is_up(&path(&["a", "b", "c"])));
        assert!(topology.insert(node("b", 1, &["a", "c"])));
        assert!(topology.is_up(&path(&["a", "b", "c"])));
        assert!(topology.insert(node("b", 2, &["c"])));
        assert!(!topology.is_up(&path(&["a", "b", "c"])));
        assert!(topology.is_up(&path(&["b", "c"])));
        // What b has said before does not count any more.
        assert!(!topology.insert(node("b", 1, &["a", "c"])));
        assert!(!topology.is_up(&path(&["a", "b"])));
        assert!(topology.insert(NodeState {
            incarnation: 2,
            ..node("b", 1, &["a"])
        }));
        assert!(topology.is_up(&path(&["a", "b"])));
    }

    #[test]
    fn ways_to_a_server_as_it_was_before_it_was_started_again_are_tried_one_after_the_other() {
        let mut topology = Topology::default();
        topology.insert(node("a", 1, &["b"]));
        topology.insert(node("b", 1, &["a"]));
        let way = |incarnation| Route {
            room: RoomName::new("room"),
            life: Life {
                incarnation,
                serial: 1,
            },
            path: path(&["a", "b"]).into(),
            rtt_ms: 1,
            media: true,
            silent: false,
        };
        assert!(topology.leads(&way(1)));
        topology.insert(NodeState {
            incarnation: 2,
            ..node("a", 1, &["b"])
        });
        assert!(!topology.leads(&way(1)));
        // News of the server may be slower than news of the room.
        assert!(topology.leads(&way(2)) && topology.leads(&way(3)));
    }

    #[test]
    fn servers_that_are_gone_are_shown_for_ever() {
        let mut topology = Topology::default();
        topology.insert(node("me", 1, &["a"]));
        topology.insert(node("a", 1, &["me", "b"]));
        topology.insert(node("b", 1, &["a", "c"]));
        topology.insert(node("c", 1, &["b"]));
        let me = NodeId::new("me");
        assert_eq!(topology.reachable(&me).count(), 4);
        topology.insert(node("b", 2, &["c"]));
        let names: Vec<_> = topology.reachable(&me).map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["a", "me"]);
    }

    #[test]
    fn forgotten_server_is_news_again_and_again() {
        let (mut topology, me) = (Topology::default(), NodeId::new("me"));
        topology.insert(node("me", 1, &[]));
        topology.insert(node("a", 5, &["me"]));
        topology.tidy(&me);
        assert!(!topology.insert(node("a", 5, &["me"])));
        for number in 0..2 * NODES {
            topology.insert(node(&format!("n{number}"), 1, &[]));
            topology.tidy(&me);
        }
        assert!(topology.all().count() <= NODES);
        assert!(topology.all().any(|it| it.node == me));
    }
}
