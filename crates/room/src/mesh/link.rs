//! A link to a neighbour.

use std::time::Duration;

use crate::model::NodeId;

use super::rooms::Rooms;
use super::topology::NodeLink;

/// Names one connection to another server; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// Who is at the other end of a link.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// Its id, which it has proved to have.
    pub node: NodeId,
    /// Which rooms the link carries.
    pub rooms: Rooms,
    /// Whether moderators there may do something about participants here.
    pub may_moderate: bool,
}

/// A link that is up.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) neighbour: Neighbour,
    /// Nothing comes from there although it should.
    pub(super) silent: bool,
    /// Media can pass.
    pub(super) media: bool,
    /// Rooms that depend on it.
    pub(super) dependents: usize,
    rtt: Option<Duration>,
}

impl Link {
    pub(super) fn new(neighbour: Neighbour) -> Link {
        Link {
            neighbour,
            silent: false,
            media: false,
            dependents: 0,
            rtt: None,
        }
    }

    /// Takes in how long a round trip took. True if it has become quite another time.
    pub(super) fn round_trip(&mut self, time: Duration) -> bool {
        let Some(known) = self.rtt else {
            self.rtt = Some(time);
            return true;
        };
        let smooth = (known * 7 + time) / 8;
        let told = known.as_millis().max(4);
        self.rtt = Some(smooth);
        smooth.as_millis().abs_diff(told) > told / 4
    }

    /// As others are told of it.
    pub(super) fn described(&self) -> NodeLink {
        NodeLink {
            node: self.neighbour.node.clone(),
            rtt_ms: self.rtt_ms(),
            media: self.media,
        }
    }

    /// Milliseconds; 0 as long as nothing is known.
    pub(super) fn rtt_ms(&self) -> u32 {
        let ms = self.rtt.unwrap_or_default().as_millis();
        u32::try_from(ms).unwrap_or(u32::MAX)
    }
}
