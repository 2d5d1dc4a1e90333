//! What monitoring asks for: figures of all workers, gathered once for all who ask.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use umbrella_engine::{ByKind, Request, Totals};
use umbrella_room::model::LeaveReason;

use super::session::Session;
use super::{Control, trunk};
use crate::metrics::{Histogram, Snapshot, WorkerSnapshot};
use crate::worker::Link;

/// A worker that takes longer does not hold up the answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// For so long, figures are as good as new.
const FRESH: Duration = Duration::from_millis(250);

/// How many may wait for figures; a scraper gives up after some seconds and comes again.
const WAITING: usize = 64;

/// Counts since the start, and the figures of workers on their way.
#[derive(Debug)]
pub(super) struct Metrics {
    gathering: Gathering,
    /// What was answered last.
    latest: Snapshot,
    joined: u64,
    left: BTreeMap<&'static str, u64>,
    join_duration: Histogram,
    /// Events for sessions that do not read.
    pub(super) events_dropped: u64,
    /// Data messages for sessions whose channels do not open.
    pub(super) data_dropped: u64,
}

/// The totals of workers.
#[derive(Debug)]
struct Gathering {
    said: Vec<Said>,
    /// When all had answered; `None` if not all did.
    gathered: Option<Instant>,
    round: Option<Round>,
}

/// What a worker has said last, if anything.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    totals: Totals,
    /// In the last round.
    answered: bool,
}

/// Workers are being asked.
#[derive(Debug)]
struct Round {
    until: Instant,
    waiting: Vec<oneshot::Sender<Snapshot>>,
}

impl Metrics {
    pub(super) fn new(workers: usize) -> Metrics {
        Metrics {
            gathering: Gathering::new(workers),
            latest: Snapshot::default(),
            joined: 0,
            left: REASONS.map(|reason| (name(reason), 0)).into(),
            join_duration: Histogram::default(),
            events_dropped: 0,
            data_dropped: 0,
        }
    }

    pub(super) fn joined(&mut self) {
        self.joined += 1;
    }

    /// Media is up for the first time.
    pub(super) fn connected(&mut self, took: Duration) {
        self.join_duration.observe(took);
    }

    pub(super) fn left(&mut self, reason: LeaveReason) {
        *self.left.entry(name(reason)).or_default() += 1;
    }

    /// When to go on without those who have not answered.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.gathering.round.as_ref().map(|round| round.until)
    }
}

impl Gathering {
    fn new(workers: usize) -> Gathering {
        Gathering {
            said: vec![Said::default(); workers],
            gathered: None,
            round: None,
        }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        let passed = |at: Instant| now.saturating_duration_since(at);
        self.gathered.is_some_and(|at| passed(at) < FRESH)
    }

    /// Somebody waits. True if workers are to be asked: nobody had waited before.
    fn wait(&mut self, now: Instant, reply: oneshot::Sender<Snapshot>) -> bool {
        if let Some(round) = &mut self.round {
            // With the sender gone, whoever is one too many knows it.
            if round.waiting.len() < WAITING {
                round.waiting.push(reply);
            }
            return false;
        }
        for said in &mut self.said {
            said.answered = false;
        }
        self.round = Some(Round {
            until: now + PATIENCE,
            waiting: vec![reply],
        });
        true
    }

    fn take(&mut self, worker: usize, totals: Totals) {
        if let Some(said) = self.said.get_mut(worker) {
            let answered = true;
            *said = Said { totals, answered };
        }
    }

    /// Who is to be answered now: all have answered who live, or enough was waited.
    fn done(
        &mut self,
        now: Instant,
        dead: impl Iterator<Item = bool>,
    ) -> Vec<oneshot::Sender<Snapshot>> {
        let complete = { dead }
            .zip(&self.said)
            .all(|(dead, said)| dead || said.answered);
        let done = |round: &mut Round| complete || round.until <= now;
        let Some(round) = self.round.take_if(done) else {
            return Vec::new();
        };
        self.gathered = complete.then_some(now);
        round.waiting
    }
}

impl Control {
    /// Answers at once if the figures are fresh, otherwise when workers have told theirs.
    pub(super) fn scrape(&mut self, now: Instant, reply: oneshot::Sender<Snapshot>) {
        if self.metrics.gathering.is_fresh(now) {
            let _ = reply.send(self.metrics.latest.clone());
            return;
        }
        if self.metrics.gathering.wait(now, reply) {
            if self.has_trunks() {
                // It answers in order: this is there when its totals are.
                self.request(trunk::WORKER, Request::Statistics);
            }
            for worker in 0..self.workers.len() {
                self.request(worker, Request::Totals);
            }
        }
        self.answer_scrapes(now);
    }

    /// A worker has told its figures.
    pub(super) fn gathered(&mut self, now: Instant, worker: usize, totals: Totals) {
        self.metrics.gathering.take(worker, totals);
        self.answer_scrapes(now);
    }

    /// Answers those who wait if there is nothing more to wait for.
    pub(super) fn answer_scrapes(&mut self, now: Instant) {
        let dead = self.workers.iter().map(Link::is_dead);
        let waiting = self.metrics.gathering.done(now, dead);
        if waiting.is_empty() {
            return;
        }
        let snapshot = self.snapshot();
        for reply in waiting {
            // Who asked may be gone.
            let _ = reply.send(snapshot.clone());
        }
        self.metrics.latest = snapshot;
    }

    fn snapshot(&self) -> Snapshot {
        let metrics = &self.metrics;
        let mut tracks = ByKind::default();
        let mut participants = 0;
        for (_, entry) in self.rooms.iter() {
            for participant in entry.room.participants() {
                participants += 1;
                for track in &participant.tracks {
                    *tracks.of_mut(track.kind) += 1;
                }
            }
        }
        let sessions = self.sessions.iter();
        let workers = self.workers.iter().zip(&metrics.gathering.said);
        Snapshot {
            rooms: self.rooms.len() as u64,
            participants,
            sessions: sessions.filter(|it| it.camera().is_none()).count() as u64,
            tracks,
            joined: metrics.joined,
            left: metrics.left.iter().map(|it| (*it.0, *it.1)).collect(),
            join_duration: metrics.join_duration.clone(),
            events_dropped: metrics.events_dropped,
            data_dropped: metrics.data_dropped,
            trunks: self.trunk_snapshots(),
            trunk_frames_dropped: self.trunk_frames_dropped(),
            workers: workers.map(|(link, said)| of_worker(link, *said)).collect(),
        }
    }
}

/// How long a session has waited for its media.
pub(super) fn waited(now: Instant, session: &Session) -> Duration {
    now.saturating_duration_since(session.joined)
}

fn of_worker(link: &Link, said: Said) -> WorkerSnapshot {
    WorkerSnapshot {
        totals: said.totals,
        counts: link.counts(),
        load: link.load(),
        requests_dropped: link.dropped(),
        answered: said.answered,
        port: link.port(),
    }
}

const REASONS: [LeaveReason; 9] = [
    LeaveReason::Asked,
    LeaveReason::DuplicateIdentity,
    LeaveReason::Removed,
    LeaveReason::RoomDeleted,
    LeaveReason::ServerShutdown,
    LeaveReason::ConnectionLost,
    LeaveReason::SignalLost,
    LeaveReason::Misbehaved,
    LeaveReason::StateMismatch,
];

/// As labels say it.
fn name(reason: LeaveReason) -> &'static str {
    match reason {
        LeaveReason::Asked => "asked",
        LeaveReason::DuplicateIdentity => "duplicate_identity",
        LeaveReason::Removed => "removed",
        LeaveReason::RoomDeleted => "room_deleted",
        LeaveReason::ServerShutdown => "server_shutdown",
        LeaveReason::ConnectionLost => "connection_lost",
        LeaveReason::SignalLost => "signal_lost",
        LeaveReason::Misbehaved => "misbehaved",
        LeaveReason::StateMismatch => "state_mismatch",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: [bool; 2] = [false, false];

    fn totals(strays: u64) -> Totals {
        Totals {
            strays,
            ..Totals::default()
        }
    }

    fn ask(gathering: &mut Gathering, now: Instant) -> (bool, oneshot::Receiver<Snapshot>) {
        let (reply, answer) = oneshot::channel();
        (gathering.wait(now, reply), answer)
    }

    #[test]
    fn each_scraper_asks_all_workers_for_itself() {
        let now = Instant::now();
        let mut gathering = Gathering::new(2);
        let (first, second) = (ask(&mut gathering, now), ask(&mut gathering, now));
        assert!(first.0 && !second.0);
        gathering.take(1, totals(1));
        assert!(gathering.done(now, LIVE.into_iter()).is_empty());
        gathering.take(0, totals(2));
        assert_eq!(gathering.done(now, LIVE.into_iter()).len(), 2);
        assert!(gathering.is_fresh(now) && !gathering.is_fresh(now + FRESH));
        assert!(ask(&mut gathering, now + FRESH).0);
        assert!(
            gathering.done(now + FRESH, LIVE.into_iter()).is_empty(),
            "old figures"
        );
    }

    #[test]
    fn dead_or_stuck_worker_holds_up_everybody() {
        let now = Instant::now();
        let mut gathering = Gathering::new(2);
        let _answer = ask(&mut gathering, now);
        gathering.take(0, totals(1));
        assert_eq!(gathering.done(now, [false, true].into_iter()).len(), 1);
        let later = now + FRESH;
        let _answer = ask(&mut gathering, later);
        gathering.take(0, totals(5));
        assert!(gathering.done(later, LIVE.into_iter()).is_empty());
        let late = later + PATIENCE;
        assert_eq!(gathering.done(late, LIVE.into_iter()).len(), 1);
        assert!(!gathering.is_fresh(late), "it may come back any moment");
        let said: Vec<_> = gathering.said.iter().map(|said| said.answered).collect();
        assert_eq!(said, [true, false]);
        assert_eq!(gathering.said[0].totals.strays, 5);
    }

    #[test]
    fn scrapers_that_never_end_fill_the_memory() {
        let now = Instant::now();
        let mut gathering = Gathering::new(1);
        let asked: Vec<_> = (0..1000).map(|_| ask(&mut gathering, now)).collect();
        let (waiting, refused): (Vec<_>, Vec<_>) = asked
            .into_iter()
            .map(|(_, mut answer)| answer.try_recv())
            .partition(|answer| matches!(answer, Err(oneshot::error::TryRecvError::Empty)));
        assert_eq!((waiting.len(), refused.len()), (WAITING, 1000 - WAITING));
    }

    #[test]
    fn reason_has_no_count() {
        let metrics = Metrics::new(1);
        assert_eq!(metrics.left.len(), REASONS.len());
    }
}
