//! What the workers last said of themselves, asked for only while somebody looks.

use std::time::{Duration, Instant};

use umbrella_engine::{ConsumerStatistics, EncodingStatistics, ProducerId, TransportId};

/// How often workers are asked while somebody looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long after the last look workers are still asked.
const ATTENTION: Duration = Duration::from_secs(10);

/// The workers' figures.
#[derive(Debug)]
pub(super) struct Statistics {
    workers: Vec<Option<umbrella_engine::Statistics>>,
    /// The next time to ask; `None` while nobody looks.
    next: Option<Instant>,
    watched_until: Option<Instant>,
}

/// How many things workers hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct HeldByWorkers {
    pub(super) transports: usize,
    pub(super) producers: usize,
    pub(super) consumers: usize,
}

impl Statistics {
    pub(super) fn new(workers: usize) -> Statistics {
        Statistics {
            workers: vec![None; workers],
            next: None,
            watched_until: None,
        }
    }

    /// Somebody looks: figures are kept fresh for a while.
    pub(super) fn look(&mut self, now: Instant) {
        self.watched_until = Some(now + ATTENTION);
        if self.next.is_none() {
            self.next = Some(now);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Whether the workers are to be asked now.
    pub(super) fn due(&mut self, now: Instant) -> bool {
        if self.next.is_none_or(|at| at > now) {
            return false;
        }
        let watched = self.watched_until.is_some_and(|until| until > now);
        self.next = watched.then(|| now + INTERVAL);
        if !watched {
            // Old figures would be taken for present ones.
            self.workers.fill(None);
        }
        watched
    }

    pub(super) fn take(
        &mut self,
        _now: Instant,
        worker: usize,
        statistics: umbrella_engine::Statistics,
    ) {
        // Others ask as well, and what nobody looks at is not kept.
        if self.next.is_none() {
            return;
        }
        if let Some(slot) = self.workers.get_mut(worker) {
            *slot = Some(statistics);
        }
    }

    /// How many things all workers hold together; `None` until each has said so.
    pub(super) fn held(&self) -> Option<HeldByWorkers> {
        let mut sum = HeldByWorkers::default();
        for worker in &self.workers {
            let worker = worker.as_ref()?;
            sum.transports += worker.transports.len();
            sum.producers += worker.producers.len();
            sum.consumers += worker.consumers.len();
        }
        Some(sum)
    }

    /// The strays of a worker since the start.
    pub(super) fn strays(&self, worker: usize) -> u64 {
        self.workers
            .get(worker)
            .and_then(Option::as_ref)
            .map_or(0, |statistics| statistics.strays)
    }

    /// The encodings of a producer, lowest first.
    pub(super) fn encodings(&self, producer: ProducerId) -> &[EncodingStatistics] {
        self.workers
            .iter()
            .flatten()
            .flat_map(|worker| &worker.producers)
            .find(|p| p.producer == producer)
            .map_or(&[], |p| &p.encodings)
    }

    /// Bytes that are kept of a producer, on all workers.
    pub(super) fn cached(&self, producer: ProducerId) -> usize {
        let producers = self.workers.iter().flatten().flat_map(|it| &it.producers);
        let same = producers.filter(|it| it.producer == producer);
        same.map(|it| it.cached).sum()
    }

    /// All consumers.
    pub(super) fn consumers(&self) -> impl Iterator<Item = &ConsumerStatistics> {
        self.workers.iter().flatten().flat_map(|it| &it.consumers)
    }

    /// The round-trip time of a peer connection.
    pub(super) fn rtt(&self, transport: TransportId) -> Option<Duration> {
        self.workers
            .iter()
            .flatten()
            .flat_map(|worker| &worker.transports)
            .find(|t| t.transport == transport)?
            .rtt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_left_alone_while_nobody_looks() {
        let start = Instant::now();
        let mut statistics = Statistics::new(1);
        assert_eq!(statistics.deadline(), None);
        statistics.look(start);
        assert!(statistics.due(start));
        assert!(!statistics.due(start));
        assert!(statistics.due(start + INTERVAL));
        assert!(!statistics.due(start + ATTENTION));
        assert_eq!(statistics.deadline(), None);
    }

    #[test]
    fn half_of_the_workers_pass_for_all_of_them() {
        let now = Instant::now();
        let mut statistics = Statistics::new(2);
        statistics.look(now);
        statistics.take(now, 1, umbrella_engine::Statistics::default());
        assert_eq!(statistics.held(), None);
        statistics.take(now, 0, umbrella_engine::Statistics::default());
        assert_eq!(statistics.held(), Some(HeldByWorkers::default()));
    }
}
