//! Which way leads to an origin.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::NodeId;

use super::link::{Link, LinkId};
use super::message::Route;
use super::topology::Topology;

/// Servers that a way may lead over, both ends included. Longer ones are as good as none.
pub(super) const MAX_PATH: usize = 16;

/// A way is left for another one of as many links only when that is so much faster: round-trip
/// times tremble.
const FASTER: (u32, u32) = (5, 4); // at least 5 ms and a quarter

/// Every way to an origin that neighbours have told of.
#[derive(Debug, Default)]
pub(super) struct Ways {
    ways: BTreeMap<LinkId, Route>,
}

impl Ways {
    pub(super) fn insert(&mut self, link: LinkId, route: Route) {
        self.ways.insert(link, route);
    }

    pub(super) fn remove(&mut self, link: LinkId) {
        self.ways.remove(&link);
    }

    pub(super) fn get(&self, link: LinkId) -> Option<&Route> {
        self.ways.get(&link)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// Forgets those that lead to an earlier life than this.
    pub(super) fn forget_before(&mut self, life: super::message::Life) {
        self.ways.retain(|_, route| route.life >= life);
    }

    /// The best one: over a neighbour that is heard, carrying media, over the fewest servers, the
    /// fastest. `present` stays where nothing is really better.
    pub(super) fn best(
        &self,
        links: &BTreeMap<LinkId, Link>,
        topology: &Topology,
        present: Option<LinkId>,
    ) -> Option<LinkId> {
        let known = |(id, route): (&LinkId, &Route)| {
            let link = links.get(id).filter(|_| topology.leads(route))?;
            let rtt = route.rtt_ms.saturating_add(link.rtt_ms());
            let silent = link.silent || route.silent;
            let media = link.media && route.media;
            let rough = (silent, !media, route.path.len());
            Some((*id, rough, rtt, &link.neighbour.node))
        };
        let all = || self.ways.iter().filter_map(known);
        let (best, rough, rtt, _) =
            all().min_by_key(|(id, rough, rtt, node)| (*rough, *rtt, *node, *id))?;
        let present = all().find(|(id, ..)| Some(*id) == present);
        match present {
            Some((id, present_rough, present_rtt, _))
                if present_rough == rough && !is_faster(rtt, present_rtt) =>
            {
                Some(id)
            }
            Some(_) | None => Some(best),
        }
    }
}

fn is_faster(new: u32, old: u32) -> bool {
    let (least, part) = FASTER;
    old.saturating_sub(new) >= least.max(old / part)
}

impl Route {
    /// What is told of this way, which begins with a link, to a further server.
    pub(super) fn extended(&self, me: &NodeId, over: &Link, media: bool) -> Route {
        let path: Vec<_> = self.path.iter().chain([me]).cloned().collect();
        Route {
            path: path.into(),
            rtt_ms: self.rtt_ms.saturating_add(over.rtt_ms()),
            media: self.media && over.media && media,
            silent: self.silent || over.silent,
            ..self.clone()
        }
    }

    /// Whether it makes sense, coming from this neighbour.
    pub(super) fn is_sound(&self, from: &NodeId) -> bool {
        let path = &self.path;
        let twice = |(at, node): (usize, &NodeId)| path[..at].contains(node);
        path.last() == Some(from)
            && path.len() <= MAX_PATH
            && !path.iter().enumerate().any(twice)
            && path.iter().all(NodeId::is_sound)
    }

    /// Its origin.
    pub(super) fn origin(&self) -> Option<&NodeId> {
        self.path.first()
    }

    /// Whether it is a worse way than another one, by what everybody sees of it.
    pub(super) fn is_longer_than(&self, other: &Route) -> bool {
        self.path.len() > other.path.len()
    }
}

impl NodeId {
    /// Longest id of a server, in bytes.
    const MAX: usize = 64;

    /// Whether it can be the id of a server.
    pub fn is_sound(&self) -> bool {
        let text = self.as_str();
        !text.is_empty() && text.len() <= Self::MAX
    }
}

/// A way to oneself.
pub(super) fn own(
    room: crate::model::RoomName,
    life: super::message::Life,
    me: &NodeId,
    media: bool,
) -> Route {
    Route {
        room,
        life,
        path: Arc::new([me.clone()]),
        rtt_ms: 0,
        media,
        silent: false,
    }
}
