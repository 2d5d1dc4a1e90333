//! Rooms whose participants come and go all the time, in all the ways in which people do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;

use crate::driver::Driver;
use crate::participant::{Participant, Server, Session};
use crate::random::Random;
use crate::scenario::Plan;

/// A room lasts for so many stays; then all go to a new one.
const STAYS_PER_ROOM: u32 = 4;

/// Reasons of failures that are kept.
const REASONS: usize = 20;

/// A session that the server should have noticed to be dead is given up after this time.
const GHOST: Duration = Duration::from_secs(120);

/// Somebody who could not come in tries again after this time.
const RETRY: Duration = Duration::from_millis(500);

/// How often what happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Turnover {
    /// Rooms that were begun.
    pub rooms: u64,
    /// Stays that have ended.
    pub stays: u64,
    /// Ended with a goodbye.
    pub polite: u64,
    /// Ended without a word, sockets closed.
    pub cut: u64,
    /// Ended without a word, the WebSocket open and silent.
    pub silent: u64,
    /// Lost their media and nothing else.
    pub media_lost: u64,
    /// Fell silent, and came back at once under the same identity.
    pub returned: u64,
    /// Stays that did not come about, or that the server ended.
    pub failed: u64,
    /// Why, of some.
    pub reasons: Vec<String>,
}

impl Turnover {
    /// Both together.
    pub(crate) fn add(&mut self, other: Turnover) {
        self.rooms += other.rooms;
        self.stays += other.stays;
        self.polite += other.polite;
        self.cut += other.cut;
        self.silent += other.silent;
        self.media_lost += other.media_lost;
        self.returned += other.returned;
        self.failed += other.failed;
        self.reasons.extend(other.reasons);
        self.reasons.truncate(REASONS);
    }
}

/// How somebody goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Farewell {
    Polite,
    Cut,
    Silent,
    MediaLost,
    Return,
}

impl Farewell {
    /// Half of them say goodbye.
    fn pick(random: &mut Random) -> Farewell {
        match (random.share() * 100.0) as u32 {
            0..50 => Farewell::Polite,
            50..65 => Farewell::Cut,
            65..75 => Farewell::Silent,
            75..85 => Farewell::MediaLost,
            _ => Farewell::Return,
        }
    }
}

/// What goes on in all rooms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Phase {
    /// Everybody who is there stays, everybody else comes. Their rooms' time stands still.
    FullHouse { at: Duration },
    /// They come and go. Their rooms' time was `before` at `since`.
    Turnover { since: Instant, before: Duration },
    /// All go.
    Over,
}

impl Phase {
    /// The rooms' time; `None` when it is over.
    pub(crate) fn time(self) -> Option<Duration> {
        match self {
            Phase::FullHouse { at } => Some(at),
            Phase::Turnover { since, before } => Some(before + since.elapsed()),
            Phase::Over => None,
        }
    }

    fn is_turnover(self) -> bool {
        matches!(self, Phase::Turnover { .. })
    }

    fn is_full_house(self) -> bool {
        matches!(self, Phase::FullHouse { .. })
    }
}

/// The server while everybody was there and nobody came or went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FullHouse {
    /// Seconds since the beginning.
    pub at_s: u64,
    /// Seconds until the last connection was up, or was waited for no longer.
    pub all_after_s: f64,
    /// Peer connections that were up.
    pub connections: usize,
    /// What is known of those that were not.
    pub missing: Vec<String>,
    /// Resident memory, KiB: a median.
    pub resident_kb: Option<u64>,
}

/// Somebody's place in one of the rooms. It is free again when the server has noticed that they
/// are gone, so that there are never more in a room than there are places.
pub(crate) struct Seat {
    pub(crate) server: Server,
    pub(crate) driver: Driver,
    pub(crate) plan: Arc<Plan>,
    /// Common part of the rooms' names.
    pub(crate) room: String,
    /// Which of the rooms.
    pub(crate) slot: u32,
    /// Unique in a run.
    pub(crate) number: u32,
    pub(crate) publishes: bool,
    pub(crate) seed: u64,
    /// Numbers of participants.
    pub(crate) numbers: Arc<AtomicU32>,
}

impl Seat {
    /// Lets one after the other sit here, until it is over.
    pub(crate) async fn run(self, mut phases: watch::Receiver<Phase>) -> Turnover {
        let mut turnover = Turnover::default();
        let mut random = Random::of(self.seed, u64::from(self.number));
        let mut identity = None;
        let mut generation = None;
        loop {
            let phase = *phases.borrow();
            let Some(time) = phase.time() else {
                return turnover;
            };
            let (current, left) = generation_at(time, self.life(), self.phase());
            if generation.replace(current) != Some(current) {
                identity = None;
                // One of the seats counts for all of the room.
                turnover.rooms += u64::from(self.is_first());
            }
            let stay = self
                .plan
                .stay
                .mul_f64(0.25 + 1.5 * random.share())
                .min(left);
            let mut farewell = Farewell::pick(&mut random);
            if farewell == Farewell::Return && stay == left {
                // Nobody comes back to a room that has ended.
                farewell = Farewell::Silent;
            }
            let who = self.participant(current, identity.take());
            let known = who.identity.clone();
            match self.visit(who, stay, &mut phases).await {
                Ok(session) => {
                    turnover.stays += 1;
                    part(session, farewell, &mut turnover, &mut phases).await;
                    identity = (farewell == Farewell::Return).then_some(known);
                }
                Err(error) => {
                    turnover.failed += 1;
                    turnover.reasons.push(format!("{error:#}"));
                    turnover.reasons.truncate(REASONS);
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Joins and stays.
    async fn visit(
        &self,
        who: Participant,
        stay: Duration,
        phases: &mut watch::Receiver<Phase>,
    ) -> anyhow::Result<Session> {
        let mut session = Session::join(&self.server, who, self.driver.clone()).await?;
        let mut over = phases.clone();
        let left = async {
            tokio::time::sleep(stay).await;
            // A sender that is gone says that it is over.
            let _ = phases.wait_for(|phase| !phase.is_full_house()).await;
        };
        let over = tokio::select! {
            result = session.serve() => result,
            () = left => Ok(()),
            _ = over.wait_for(|phase| *phase == Phase::Over) => Ok(()),
        };
        match over {
            Ok(()) => Ok(session),
            Err(error) => {
                session.leave().await;
                Err(error)
            }
        }
    }

    fn participant(&self, generation: u32, identity: Option<String>) -> Participant {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let tracks = self.publishes.then(|| self.plan.tracks());
        Participant {
            number,
            identity: identity.unwrap_or_else(|| format!("load-{number}")),
            room: format!("{}-{}-{generation}", self.room, self.slot),
            tracks: tracks.unwrap_or_default(),
            subscribes: true,
            quality: self.plan.quality,
        }
    }

    fn is_first(&self) -> bool {
        let seats = self.plan.publishers + self.plan.subscribers;
        self.number.is_multiple_of(seats.max(1))
    }

    fn life(&self) -> Duration {
        (self.plan.stay * STAYS_PER_ROOM).max(Duration::from_secs(1))
    }

    /// Rooms do not all end at once.
    fn phase(&self) -> Duration {
        self.life() * self.slot / self.plan.rooms.max(1)
    }
}

/// Which of a slot's rooms it is, and how much longer it lasts.
fn generation_at(elapsed: Duration, life: Duration, phase: Duration) -> (u32, Duration) {
    let at = elapsed + phase;
    let generation = (at.as_nanos() / life.as_nanos().max(1)) as u32;
    (generation, life * (generation + 1) - at)
}

async fn part(
    mut session: Session,
    farewell: Farewell,
    turnover: &mut Turnover,
    phases: &mut watch::Receiver<Phase>,
) {
    match farewell {
        Farewell::Polite => {
            turnover.polite += 1;
            session.leave().await;
        }
        Farewell::Cut => {
            turnover.cut += 1;
            session.lose_media().await;
        }
        Farewell::Silent => {
            turnover.silent += 1;
            session.lose_media().await;
            haunt(session.closed(), phases).await;
        }
        Farewell::MediaLost => {
            turnover.media_lost += 1;
            session.lose_media().await;
            haunt(session.outlast(), phases).await;
        }
        Farewell::Return => {
            turnover.returned += 1;
            session.lose_media().await;
            // The server ends it when its successor comes.
            tokio::spawn(async move { tokio::time::timeout(GHOST, session.closed()).await });
        }
    }
}

/// Waits until the server has noticed that somebody is dead, or the place is needed.
async fn haunt(ghost: impl Future<Output = ()>, phases: &mut watch::Receiver<Phase>) {
    tokio::select! {
        _ = tokio::time::timeout(GHOST, ghost) => {}
        _ = phases.wait_for(|phase| !phase.is_turnover()) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_seats_of_a_room_move_on_at_once() {
        let seconds = Duration::from_secs;
        let at =
            |elapsed, slot: u32| generation_at(seconds(elapsed), seconds(80), seconds(20) * slot);
        assert_eq!(at(0, 0), (0, seconds(80)));
        assert_eq!(at(79, 0), (0, seconds(1)));
        assert_eq!(at(80, 0), (1, seconds(80)));
        // The third room ends earlier, and only the first time.
        assert_eq!(at(0, 2), (0, seconds(40)));
        assert_eq!(at(40, 2), (1, seconds(80)));
    }

    #[test]
    fn one_way_to_go_is_never_taken() {
        let mut random = Random::of(7, 0);
        let picks: Vec<Farewell> = (0..2000).map(|_| Farewell::pick(&mut random)).collect();
        let share = |which| picks.iter().filter(|pick| **pick == which).count();
        assert!((900..1100).contains(&share(Farewell::Polite)));
        for rare in [
            Farewell::Cut,
            Farewell::Silent,
            Farewell::MediaLost,
            Farewell::Return,
        ] {
            assert!(share(rare) > 50, "{rare:?}");
        }
    }
}
