//! What waits for one receiver, and when it is tried (again).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::event::Event;

/// Events that wait at most. With more, the oldest are dropped: the latest say how things are.
const EVENTS: usize = 4096;

/// Bytes of them at most, in all bodies together.
const BYTES: usize = 16 * 1024 * 1024;

/// Events older than this are dropped.
pub(super) const MAX_AGE: Duration = Duration::from_secs(120);

/// The longest wait after a first failure; each further one doubles it, up to the last.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(30);

/// Events of one receiver, in order: none is tried before the one ahead of it is done with.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// Attempts that have failed since the last one that did not.
    failures: u32,
    /// Nothing is tried before.
    not_before: Option<Instant>,
}

/// What to do now.
#[derive(Debug)]
pub(super) enum Next {
    /// Try this one, and say how it went.
    Try(Arc<Event>),
    /// Wait until then, or until there is an event.
    Wait(Option<Instant>),
}

impl Backlog {
    /// Adds an event, and yields how many were dropped for it.
    pub(super) fn push(&mut self, event: Arc<Event>) -> u64 {
        self.bytes += event.body.len();
        self.events.push_back(event);
        let mut dropped = 0;
        while self.events.len() > EVENTS || self.bytes > BYTES {
            dropped += u64::from(self.pop().is_some());
        }
        dropped
    }

    /// Drops what is too old, and yields how many that were.
    pub(super) fn expire(&mut self, now: Instant) -> u64 {
        let mut dropped = 0;
        while self.events.front().is_some_and(|e| now >= e.made + MAX_AGE) {
            dropped += u64::from(self.pop().is_some());
        }
        dropped
    }

    /// Takes out what is to be tried now.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        let waits = self.not_before.filter(|at| *at > now);
        if self.events.is_empty() || waits.is_some() {
            return Next::Wait(waits.filter(|_| !self.events.is_empty()));
        }
        self.pop().map_or(Next::Wait(None), Next::Try)
    }

    /// The receiver answers again, whatever it says; true if it did not before.
    pub(super) fn answered(&mut self) -> bool {
        self.not_before = None;
        std::mem::take(&mut self.failures) > 0
    }

    /// An event could not be delivered and is tried again later: after half to all of a wait that
    /// doubles, as `chance` (0 to 1) says, so that servers do not come back all at once. True if
    /// it is the first failure.
    pub(super) fn failed(&mut self, now: Instant, event: Arc<Event>, chance: f64) -> bool {
        self.bytes += event.body.len();
        self.events.push_front(event);
        let doubled = FIRST_WAIT * 2_u32.saturating_pow(self.failures.min(10));
        let longest = doubled.min(LAST_WAIT);
        self.not_before = Some(now + longest.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0));
        self.failures += 1;
        self.failures == 1
    }

    /// The server stops: what is left is tried once more at once.
    pub(super) fn hurry(&mut self) {
        self.not_before = None;
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    fn pop(&mut self) -> Option<Arc<Event>> {
        let event = self.events.pop_front()?;
        self.bytes -= event.body.len();
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(made: Instant, name: &str) -> Arc<Event> {
        let body = name.to_owned().into();
        Arc::new(Event { made, body })
    }

    fn tried(backlog: &mut Backlog, now: Instant) -> Option<Arc<Event>> {
        match backlog.next(now) {
            Next::Try(event) => Some(event),
            Next::Wait(_) => None,
        }
    }

    #[test]
    fn event_overtakes_one_that_failed() {
        let start = Instant::now();
        let mut backlog = Backlog::default();
        backlog.push(event(start, "a"));
        backlog.push(event(start, "b"));
        let first = tried(&mut backlog, start).unwrap();
        assert!(backlog.failed(start, first, 1.0));
        assert!(tried(&mut backlog, start).is_none());
        let later = start + FIRST_WAIT;
        assert_eq!(tried(&mut backlog, later).unwrap().body, "a");
        assert!(backlog.answered());
        assert_eq!(tried(&mut backlog, later).unwrap().body, "b");
    }

    #[test]
    fn receiver_that_is_down_is_hammered_or_given_up_too_early() {
        let start = Instant::now();
        for (chance, share) in [(0.0, 0.5), (1.0, 1.0)] {
            let mut backlog = Backlog::default();
            backlog.push(event(start, "a"));
            let mut now = start;
            let mut waits = Vec::new();
            while backlog.expire(now) == 0 {
                let event = tried(&mut backlog, now).unwrap();
                backlog.failed(now, event, chance);
                let Next::Wait(Some(until)) = backlog.next(now) else {
                    panic!("nothing is waited for");
                };
                waits.push((until - now).as_secs_f64() / share);
                now = until;
            }
            let doubling = [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0];
            assert_eq!(waits[..7], doubling);
            assert!(now - start >= MAX_AGE && now - start <= MAX_AGE + LAST_WAIT);
        }
    }

    #[test]
    fn dead_receiver_takes_up_memory_without_end() {
        let start = Instant::now();
        let mut backlog = Backlog::default();
        for index in 0..EVENTS {
            assert_eq!(backlog.push(event(start, &format!("{index}"))), 0);
        }
        assert_eq!(backlog.push(event(start, "last")), 1);
        assert_eq!(tried(&mut backlog, start).unwrap().body, "1");
        assert_eq!(backlog.push(event(start, &"x".repeat(BYTES))), 4095);
        assert_eq!(backlog.len(), 1, "the newest stay, as far as there is room");
        assert_eq!(backlog.expire(start + MAX_AGE), 1);
        assert_eq!(backlog.bytes, 0);
    }
}
