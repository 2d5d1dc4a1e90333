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

/// Differences of round trips that nobody hears of.
const NOTICED: Duration = Duration::from_millis(4);

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
    /// The round trip when others were last told of it.
    told: Duration,
}

impl Link {
    pub(super) fn new(neighbour: Neighbour) -> Link {
        Link {
            neighbour,
            silent: false,
            media: false,
            dependents: 0,
            rtt: None,
            told: Duration::ZERO,
        }
    }

    /// Takes in how long a round trip took. True if it has become quite another time.
    pub(super) fn round_trip(&mut self, time: Duration) -> bool {
        let Some(known) = self.rtt else {
            self.rtt = Some(time);
            self.told = time;
            return true;
        };
        let smooth = (known * 7 + time) / 8;
        self.rtt = Some(smooth);
        let another = smooth.abs_diff(self.told) > (self.told / 4).max(NOTICED);
        if another {
            self.told = smooth;
        }
        another
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

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link::new(Neighbour {
            node: NodeId::new("a"),
            rooms: Rooms::default(),
            may_moderate: false,
        })
    }

    /// How often others are told of so many round trips.
    fn told(link: &mut Link, round_trips: impl IntoIterator<Item = u64>) -> usize {
        let times = round_trips.into_iter().map(Duration::from_micros);
        times.filter(|time| link.round_trip(*time)).count()
    }

    #[test]
    fn fast_link_tells_everybody_of_every_ping() {
        let mut link = link();
        assert_eq!(told(&mut link, [300]), 1);
        assert_eq!(told(&mut link, (0..100).map(|at| 200 + at * 31 % 2_000)), 0);
    }

    #[test]
    fn link_that_gets_slow_little_by_little_is_held_to_be_fast() {
        let mut link = link();
        told(&mut link, [20_000]);
        let times = told(&mut link, (0..400).map(|at| 20_000 + at * 500));
        assert!((5..20).contains(&times), "{times}");
        assert!(link.told > Duration::from_millis(150));
    }
}
