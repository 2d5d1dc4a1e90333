//! What goes over links: counted by the engine for each connection, summed here for each neighbour.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use umbrella_engine::{Statistics, Traffic, TransportId};

use super::Trunks;

/// Neighbours whose sums are kept, also while they are away: a counter must not fall.
const NEIGHBOURS: usize = 256;

/// A bit rate is of so much time at least.
const SPAN: Duration = Duration::from_millis(500);

/// Figures that are older say nothing about now.
const FRESH: Duration = Duration::from_secs(3);

/// What has come and gone since the start, by the neighbour's id.
pub(super) type Flows = BTreeMap<Arc<str>, BothWays>;

/// What comes and what goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct BothWays {
    pub(super) received: Traffic,
    pub(super) sent: Traffic,
}

/// What is known of a link's media connection.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// The connection that the engine has told of last, and what it has counted there.
    last: Option<(TransportId, BothWays)>,
    /// From where on the next rates count, and since when.
    base: Option<(Instant, BothWays)>,
    /// Bits per second, received and sent, and of when they are.
    rates: Option<(Instant, u64, u64)>,
    /// As receiver reports say.
    round_trip: Option<Duration>,
    /// What the path carries, in bits per second.
    estimate: Option<u64>,
}

impl Flow {
    /// Takes what is counted for a connection; what is new of that.
    fn take(&mut self, now: Instant, transport: TransportId, counted: BothWays) -> BothWays {
        let last = self.last.replace((transport, counted));
        let before = match last {
            Some((of, before)) if of == transport => before,
            Some(_) | None => {
                self.base = None;
                self.rates = None;
                BothWays::default()
            }
        };
        match self.base {
            Some((since, base)) if now.saturating_duration_since(since) >= SPAN => {
                let span = now.saturating_duration_since(since);
                let new = counted.since(base);
                let rate = |it: Traffic| (it.bytes as f64 * 8.0 / span.as_secs_f64()) as u64;
                self.rates = Some((now, rate(new.received), rate(new.sent)));
                self.base = Some((now, counted));
            }
            Some(_) => {}
            None => self.base = Some((now, counted)),
        }
        counted.since(before)
    }

    /// Bits per second now, received and sent.
    pub(super) fn rates(&self, now: Instant) -> Option<(u64, u64)> {
        let (at, received, sent) = self.rates?;
        (now.saturating_duration_since(at) <= FRESH).then_some((received, sent))
    }

    /// The round-trip time of media.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// What the path to the neighbour carries, in bits per second.
    pub(super) fn estimate(&self) -> Option<u64> {
        self.estimate
    }
}

impl BothWays {
    fn since(self, before: BothWays) -> BothWays {
        let less = |now: Traffic, before: Traffic| Traffic {
            datagrams: now.datagrams.saturating_sub(before.datagrams),
            bytes: now.bytes.saturating_sub(before.bytes),
        };
        BothWays {
            received: less(self.received, before.received),
            sent: less(self.sent, before.sent),
        }
    }

    fn add(&mut self, other: BothWays) {
        for (sum, new) in [
            (&mut self.received, other.received),
            (&mut self.sent, other.sent),
        ] {
            sum.datagrams += new.datagrams;
            sum.bytes += new.bytes;
        }
    }
}

impl Trunks {
    /// The worker of links has told its figures.
    pub(in super::super) fn measure(&mut self, now: Instant, statistics: &Statistics) {
        if self.links.is_empty() {
            return;
        }
        for told in &statistics.transports {
            let id = self.transports.get(&told.transport);
            let Some(link) = id.and_then(|id| self.links.get_mut(id)) else {
                continue;
            };
            let counted = BothWays {
                received: told.received,
                sent: told.sent,
            };
            let new = link.flow.take(now, told.transport, counted);
            link.flow.round_trip = told.rtt;
            link.flow.estimate = told.bandwidth;
            let node = link.neighbour.node.clone();
            self.flows.entry(node).or_default().add(new);
        }
        if self.flows.len() > NEIGHBOURS {
            let links = &self.links;
            let is_there = |node: &Arc<str>| links.values().any(|it| it.neighbour.node == *node);
            self.flows.retain(|node, _| is_there(node));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(bytes: u64) -> BothWays {
        let traffic = Traffic {
            datagrams: bytes / 100,
            bytes,
        };
        BothWays {
            received: traffic,
            sent: Traffic::default(),
        }
    }

    #[test]
    fn new_connection_takes_away_what_the_old_one_has_counted() {
        let (start, mut flow, mut sum) = (Instant::now(), Flow::default(), BothWays::default());
        let at = |ms| start + Duration::from_millis(ms);
        for (ms, transport, bytes) in [
            (0, 1, 1000),
            (1000, 1, 5000),
            (2000, 2, 300),
            (3000, 2, 900),
        ] {
            sum.add(flow.take(at(ms), TransportId(transport), counted(bytes)));
        }
        assert_eq!(sum.received.bytes, 5900);
    }

    #[test]
    fn old_rate_passes_for_the_present_one() {
        let (start, mut flow) = (Instant::now(), Flow::default());
        let at = |ms| start + Duration::from_millis(ms);
        flow.take(at(0), TransportId(1), counted(0));
        assert_eq!(flow.rates(at(0)), None);
        flow.take(at(100), TransportId(1), counted(70_000));
        assert_eq!(flow.rates(at(100)), None, "of too short a time");
        flow.take(at(1000), TransportId(1), counted(125_000));
        assert_eq!(flow.rates(at(1000)), Some((1_000_000, 0)));
        assert_eq!(flow.rates(at(4001)), None);
        flow.take(at(5000), TransportId(2), counted(10));
        assert_eq!(flow.rates(at(5000)), None);
    }
}
