//! Keeps the process below a bound on its memory by refusing new work in time.
//!
//! [`Memory`] is asked before anything begins that costs memory. It knows what is resident, once a second,
//! and what was let in since; see `docs/decisions/0018-memory-bound.md`. What is kept in caches is bounded
//! by [`Shares`].

mod ledger;
mod resident;
mod shares;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use umbrella_media::Kind;

use self::ledger::{Ledger, State};
use self::resident::Usage;

pub use self::shares::Shares;

pub(crate) const MIB: u64 = 1024 * 1024;
const KIB: u64 = 1024;

/// How often it is read what is resident.
const INTERVAL: Duration = Duration::from_secs(1);

/// The log says how it stands when that has changed, at most so often.
const QUIET: Duration = Duration::from_secs(30);

/// What things cost at most in rooms as people have them, in bytes; docs/openwrt.md says what was measured.
pub(crate) mod cost {
    use super::{KIB, Kind, MIB};

    /// A participant: its signalling connection, its peer connections, what is known of it.
    pub(crate) const PARTICIPANT: u64 = 192 * KIB;
    /// A track that somebody gets, without what is kept of it.
    pub(crate) const SUBSCRIPTION: u64 = 48 * KIB;
    /// A link to another server, without its tracks.
    pub(crate) const TRUNK: u64 = MIB;

    /// A track that somebody sends: what is kept of its packets.
    pub(crate) const fn track(kind: Kind) -> u64 {
        match kind {
            Kind::Audio => 64 * KIB,
            Kind::Video => 512 * KIB,
        }
    }
}

/// What is refused while memory is tight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Somebody comes into a room.
    Join,
    /// Somebody publishes a track.
    Track,
    /// Somebody gets a track; only where nothing at all is left.
    Subscription,
    /// A camera is connected, tested or added.
    Camera,
    /// Another server joins.
    Trunk,
}

impl Work {
    /// As labels say them, in order.
    const TEXTS: [&'static str; 5] = ["join", "track", "subscription", "camera", "trunk"];
}

/// There is no memory for it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server has no memory left for more; try again when others have left")]
pub struct NoMemory;

/// The bound on the process's memory, and what it has refused. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `None` without a bound.
    ledger: Option<Mutex<Ledger>>,
    bound: Option<u64>,
    refused: [AtomicU64; Work::TEXTS.len()],
    /// What the log said last, and when.
    told: Mutex<Option<(State, Instant)>>,
}

/// How it stands, for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Bytes that the process may have; `None` is unbounded.
    pub(crate) bound: Option<u64>,
    /// Newcomers are refused.
    pub(crate) tight: bool,
}

impl Memory {
    /// With a bound in bytes, or none. A bound is only kept while [`Memory::watch`] runs.
    pub fn new(bound: Option<u64>) -> Memory {
        Memory(Arc::new(Inner {
            ledger: bound.map(|bound| Mutex::new(Ledger::new(bound))),
            bound,
            refused: Default::default(),
            told: Mutex::default(),
        }))
    }

    /// Caches that go with the bound.
    pub fn shares(&self) -> Shares {
        Shares::of(self.0.bound)
    }

    /// Reads once a second what is occupied. Ends only if there is no bound, or the system does not say.
    pub async fn watch(self) {
        let mut due = tokio::time::interval(INTERVAL);
        // After a pause one reading is as good as many, and promises count for longer.
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while self.0.ledger.is_some() {
            due.tick().await;
            let Some(usage) = Usage::now() else {
                tracing::warn!(
                    "this system does not say how much memory is used: it is not bounded"
                );
                return;
            };
            self.sample(Instant::now(), usage);
        }
    }

    fn sample(&self, now: Instant, usage: Usage) {
        let Some(mut ledger) = self.ledger() else {
            return;
        };
        let before = ledger.state();
        ledger.sample(usage);
        let (after, again) = (ledger.state(), ledger.plenty_below());
        drop(ledger);
        // It may have been tight for less than a second.
        for state in [before, after] {
            if self.is_news(now, state) {
                self.tell(state, usage, again / MIB);
            }
        }
    }

    /// Whether the operator is to be told.
    fn is_news(&self, now: Instant, state: State) -> bool {
        let mut told = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        let news = match *told {
            None => state == State::Tight,
            Some((said, at)) => said != state && now.saturating_duration_since(at) >= QUIET,
        };
        if news {
            *told = Some((state, now));
        }
        news
    }

    fn tell(&self, state: State, usage: Usage, again_below_mib: u64) {
        let bound_mib = self.0.bound.unwrap_or_default() / MIB;
        let used_mib = usage.occupied() / MIB;
        let resident_mib = usage.resident / MIB;
        match state {
            State::Tight => tracing::warn!(
                used_mib,
                resident_mib,
                bound_mib,
                again_below_mib,
                "memory is tight: new participants, tracks, cameras and servers are refused"
            ),
            State::Plenty => {
                let refused: u64 = self.refused().map(|(_, count)| count).sum();
                tracing::info!(
                    used_mib,
                    resident_mib,
                    bound_mib,
                    refused,
                    "memory suffices again"
                );
            }
        }
    }

    /// Whether there is memory for a newcomer of this cost.
    ///
    /// # Errors
    ///
    /// If there is not.
    pub(crate) fn look(&self, cost: u64) -> Result<(), NoMemory> {
        let fits = self.ledger().is_none_or(|mut ledger| ledger.fits(cost));
        if fits { Ok(()) } else { Err(NoMemory) }
    }

    /// The same, and counts the newcomer in, or its refusal.
    pub(crate) fn admit(&self, work: Work, cost: u64) -> Result<(), NoMemory> {
        let fits = self.look(cost);
        match fits {
            Ok(()) => self.promise(cost),
            Err(NoMemory) => self.count(work),
        }
        fits
    }

    /// Counts somebody in who is let in anyway.
    pub(crate) fn promise(&self, cost: u64) {
        if let Some(mut ledger) = self.ledger() {
            ledger.promise(cost);
        }
    }

    /// Whether there is memory for something that belongs to those who are in.
    pub(crate) fn begin(&self, work: Work, cost: u64) -> Result<(), NoMemory> {
        if self.ledger().is_none_or(|mut ledger| ledger.begin(cost)) {
            return Ok(());
        }
        self.count(work);
        Err(NoMemory)
    }

    /// Counts a refusal.
    pub(crate) fn count(&self, work: Work) {
        self.0.refused[work as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Refusals since the start, by what was asked for.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.0.refused.iter();
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        Work::TEXTS.into_iter().zip(counts)
    }

    pub(crate) fn standing(&self) -> Standing {
        let state = self.ledger().map(|ledger| ledger.state());
        Standing {
            bound: self.0.bound,
            tight: state == Some(State::Tight),
        }
    }

    fn ledger(&self) -> Option<MutexGuard<'_, Ledger>> {
        let ledger = self.0.ledger.as_ref()?;
        Some(ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident(resident: u64) -> Usage {
        Usage { resident, kept: 0 }
    }

    #[test]
    fn without_a_bound_somebody_is_refused() {
        let memory = Memory::new(None);
        memory.sample(Instant::now(), resident(u64::MAX));
        assert_eq!(memory.admit(Work::Join, u64::MAX), Ok(()));
        assert_eq!(memory.begin(Work::Subscription, u64::MAX), Ok(()));
        assert_eq!(memory.refused().map(|(_, count)| count).sum::<u64>(), 0);
        let (bound, tight) = (None, false);
        assert_eq!(memory.standing(), Standing { bound, tight });
    }

    #[test]
    fn the_log_is_full_of_changes() {
        let memory = Memory::new(Some(200 * MIB));
        let start = Instant::now();
        let told = |after: u64, state| memory.is_news(start + Duration::from_secs(after), state);
        assert!(!told(0, State::Plenty));
        assert!(told(1, State::Tight));
        assert!(!told(2, State::Plenty));
        assert!(!told(3, State::Tight));
        assert!(!told(40, State::Tight));
        assert!(told(41, State::Plenty));
        assert!(!told(42, State::Tight));
        assert!(told(80, State::Tight));
    }

    #[test]
    fn a_refusal_is_counted_as_another_or_twice() {
        let memory = Memory::new(Some(200 * MIB));
        memory.sample(Instant::now(), resident(179 * MIB));
        assert_eq!(memory.look(2 * MIB), Err(NoMemory));
        assert_eq!(memory.admit(Work::Camera, 2 * MIB), Err(NoMemory));
        assert_eq!(memory.begin(Work::Subscription, 30 * MIB), Err(NoMemory));
        let counted: Vec<_> = memory.refused().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("subscription", 1), ("camera", 1)]);
        assert!(memory.standing().tight);
    }
}
