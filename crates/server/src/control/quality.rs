//! How good everybody's connection is: what the workers have counted since they were last asked.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use umbrella_engine::{ConsumerStatistics, Request, Statistics, TransportId};
use umbrella_media::Kind;
use umbrella_room::Command;
use umbrella_room::quality::Measured;

use super::Control;
use super::handle::SessionId;
use super::session::{Session, Signal};

/// How often connections are looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// Fewer packets than this in an interval say nothing about loss.
const TELLING: u64 = 20;

/// What was counted at the last look.
#[derive(Debug)]
pub(super) struct Qualities {
    /// The next look; `None` while nobody is connected.
    next: Option<Instant>,
    workers: Vec<Last>,
}

/// What one worker has said.
#[derive(Debug, Default)]
struct Last {
    /// It was asked, and has not answered.
    asked: bool,
    counted: HashMap<TransportId, Counted>,
}

/// What a peer connection has carried since its start.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    received: Way,
    sent: Way,
    round_trip: Option<Duration>,
    /// Layers that the peer wants and that could be sent; and how many of them are not.
    layers: (u32, u32),
}

/// Packets that arrived in one direction, and those that did not.
#[derive(Debug, Clone, Copy, Default)]
struct Way {
    arrived: u64,
    lost: u64,
}

impl Qualities {
    pub(super) fn new(workers: usize) -> Qualities {
        Qualities {
            next: None,
            workers: std::iter::repeat_with(Last::default)
                .take(workers)
                .collect(),
        }
    }

    /// Somebody is connected.
    pub(super) fn begin(&mut self, now: Instant) {
        self.next.get_or_insert(now + INTERVAL);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }
}

impl Control {
    /// Asks the workers, if it is time to.
    pub(super) fn look_at_qualities(&mut self, now: Instant) {
        if self.qualities.next.is_none_or(|at| at > now) {
            return;
        }
        let somebody = self.sessions.iter().next().is_some();
        self.qualities.next = somebody.then(|| now + INTERVAL);
        for worker in 0..self.workers.len() {
            self.qualities.workers[worker].asked = somebody;
            if somebody {
                self.request(worker, Request::Statistics);
            }
        }
    }

    /// Takes what a worker says, if it was asked for this.
    pub(super) fn measure_qualities(&mut self, worker: usize, statistics: &Statistics) {
        let last = &mut self.qualities.workers[worker];
        if !std::mem::take(&mut last.asked) {
            return;
        }
        let counted = count(statistics);
        let before = std::mem::replace(&mut last.counted, counted);
        let counted = &self.qualities.workers[worker].counted;
        let mut by_room: HashMap<_, Vec<_>> = HashMap::new();
        let sessions = self.sessions.iter();
        for session in sessions.filter(|session| session.worker == worker && session.active) {
            let measured = measure(session, counted, &before);
            let all = by_room.entry(session.room.clone()).or_default();
            all.push((session.participant.clone(), measured));
        }
        let measured = by_room.into_iter();
        self.commands
            .extend(measured.map(|(room, all)| (room, Command::Measured(all))));
    }

    /// Tells the room when nothing comes from a session's client any more, or comes again.
    pub(super) fn note_lost(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        let dark = session.transports.iter().any(|t| t.interrupted);
        let lost = dark || matches!(session.signal, Signal::Lost { .. });
        if std::mem::replace(&mut session.lost, lost) != lost {
            let participant = session.participant.clone();
            let command = Command::ConnectionLost { participant, lost };
            self.commands.push_back((session.room.clone(), command));
        }
    }
}

fn count(statistics: &Statistics) -> HashMap<TransportId, Counted> {
    let mut all: HashMap<TransportId, Counted> = HashMap::new();
    for transport in &statistics.transports {
        all.entry(transport.transport).or_default().round_trip = transport.rtt;
    }
    for producer in &statistics.producers {
        let Some(transport) = producer.transport else {
            continue;
        };
        let received = &mut all.entry(transport).or_default().received;
        for encoding in &producer.encodings {
            received.arrived += encoding.packets;
            received.lost += encoding.lost;
        }
    }
    for consumer in &statistics.consumers {
        let Some(transport) = consumer.transport else {
            continue;
        };
        let counted = all.entry(transport).or_default();
        counted.sent.arrived += consumer.packets.saturating_sub(consumer.lost);
        counted.sent.lost += consumer.lost;
        let (wanted, missing) = layers(consumer);
        counted.layers.0 += wanted;
        counted.layers.1 += missing;
    }
    all
}

/// The layers of a picture that its subscriber wants and that the publisher sends, and those of
/// them that it does not get.
fn layers(consumer: &ConsumerStatistics) -> (u32, u32) {
    let Some(possible) = consumer.possible.filter(|_| consumer.kind == Kind::Video) else {
        return (0, 0);
    };
    // What waits for its first key frame is not missing.
    if consumer.wanted.paused || consumer.layer.is_none() && !consumer.starved {
        return (0, 0);
    }
    let wanted = possible.index() as u32 + 1;
    let layer = consumer.layer.filter(|_| !consumer.starved);
    let got = layer.map_or(0, |layer| layer.spatial.index() as u32 + 1);
    (wanted, wanted.saturating_sub(got))
}

fn measure(
    session: &Session,
    counted: &HashMap<TransportId, Counted>,
    before: &HashMap<TransportId, Counted>,
) -> Measured {
    let mut measured = Measured {
        loss: 0.0,
        round_trip: None,
        missing: 0.0,
    };
    let (mut wanted, mut missing) = (0, 0);
    for transport in &session.transports {
        let Some(now) = counted.get(&transport.id) else {
            continue;
        };
        let last = before.get(&transport.id).copied().unwrap_or_default();
        let loss = now.received.loss_since(last.received);
        let loss = loss.max(now.sent.loss_since(last.sent));
        measured.loss = measured.loss.max(loss);
        measured.round_trip = measured.round_trip.max(now.round_trip);
        wanted += now.layers.0;
        missing += now.layers.1;
    }
    if wanted > 0 {
        measured.missing = missing as f32 / wanted as f32;
    }
    measured
}

impl Way {
    /// The share of packets that were lost since. Tracks that have ended meanwhile take what they
    /// had counted with them: then less than before was counted, and nothing is known.
    fn loss_since(self, before: Way) -> f32 {
        let (Some(arrived), Some(lost)) = (
            self.arrived.checked_sub(before.arrived),
            self.lost.checked_sub(before.lost),
        ) else {
            return 0.0;
        };
        if arrived + lost < TELLING {
            return 0.0;
        }
        lost as f32 / (arrived + lost) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(arrived: u64, lost: u64) -> Way {
        Way { arrived, lost }
    }

    #[test]
    fn loss_of_long_ago_spoils_a_good_connection() {
        assert_eq!(way(1_000, 500).loss_since(way(500, 500)), 0.0);
        assert_eq!(way(1_090, 510).loss_since(way(1_000, 500)), 0.1);
    }

    #[test]
    fn ended_track_looks_like_loss() {
        assert_eq!(way(100, 40).loss_since(way(1_000, 10)), 0.0);
        assert_eq!(way(1_000, 5).loss_since(way(900, 10)), 0.0);
    }

    #[test]
    fn single_lost_packet_of_few_ruins_a_connection() {
        assert_eq!(way(3, 3).loss_since(way(0, 0)), 0.0);
    }
}
