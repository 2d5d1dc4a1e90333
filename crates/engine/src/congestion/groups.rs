//! Packets that were sent together, and how their spacing changed on the way.

use std::time::{Duration, Instant};

/// How the spacing of two successive groups changed. Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Deltas {
    /// Between the last packets of both groups when they left.
    pub(super) sent: f64,
    /// And when they arrived.
    pub(super) arrived: f64,
}

/// Packets that left within this time of the first are one group (gcc-02 section 5.2: a pacer
/// sends bursts of about this length).
const LENGTH: Duration = Duration::from_millis(5);
/// A group does not grow beyond this by packets that arrive as a burst.
const LONGEST_BURST_US: i64 = 100_000;
/// Groups that arrive before their predecessor until the peer's clock is taken to have jumped.
const REORDERED: u32 = 3;
/// The peer's clock has jumped if it moves by so much more than ours.
const JUMP_US: i64 = 3_000_000;

#[derive(Debug, Clone, Copy)]
struct Group {
    first_sent: Instant,
    last_sent: Instant,
    first_arrival: i64,
    last_arrival: i64,
    /// When the feedback on its last packet came.
    told: Instant,
}

/// Collects packets into groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    previous: Option<Group>,
    current: Option<Group>,
    reordered: u32,
}

impl Groups {
    /// A packet has arrived at `arrival` (µs on the peer's clock), as feedback at `now` says.
    /// Gives the change between the last two complete groups whenever one is complete.
    pub(super) fn add(&mut self, now: Instant, sent: Instant, arrival: i64) -> Option<Deltas> {
        let Some(current) = &mut self.current else {
            self.current = Some(Group::new(now, sent, arrival));
            return None;
        };
        if sent < current.first_sent {
            return None; // overtaken by packets of the current group
        }
        if current.takes(sent, arrival) {
            current.last_sent = current.last_sent.max(sent);
            current.last_arrival = current.last_arrival.max(arrival);
            current.told = now;
            return None;
        }
        let complete = *current;
        self.current = Some(Group::new(now, sent, arrival));
        let previous = self.previous.replace(complete)?;
        self.change(&previous, &complete)
    }

    fn change(&mut self, previous: &Group, complete: &Group) -> Option<Deltas> {
        let arrived = complete.last_arrival.saturating_sub(previous.last_arrival);
        let ours = complete.told.saturating_duration_since(previous.told);
        if arrived.saturating_sub(ours.as_micros() as i64) >= JUMP_US {
            *self = Groups::default();
            return None;
        }
        if arrived < 0 {
            self.reordered += 1;
            if self.reordered >= REORDERED {
                *self = Groups::default();
            }
            return None;
        }
        self.reordered = 0;
        let sent = complete
            .last_sent
            .saturating_duration_since(previous.last_sent);
        Some(Deltas {
            sent: sent.as_secs_f64() * 1e3,
            arrived: arrived as f64 / 1e3,
        })
    }
}

impl Group {
    fn new(told: Instant, sent: Instant, arrival: i64) -> Group {
        Group {
            first_sent: sent,
            last_sent: sent,
            first_arrival: arrival,
            last_arrival: arrival,
            told,
        }
    }

    fn takes(&self, sent: Instant, arrival: i64) -> bool {
        if sent.saturating_duration_since(self.first_sent) <= LENGTH {
            return true;
        }
        // A queue on the way let go what it had held up: the spacing says nothing of the path.
        let after = arrival.saturating_sub(self.last_arrival);
        let apart = sent.saturating_duration_since(self.last_sent).as_micros() as i64;
        after < apart
            && after <= LENGTH.as_micros() as i64
            && arrival.saturating_sub(self.first_arrival) < LONGEST_BURST_US
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn spacing_is_that_of_the_last_packets_of_groups() {
        let start = Instant::now();
        let mut groups = Groups::default();
        let mut changes = vec![];
        // Groups of two packets every 20 ms; each group takes 1 ms longer than the one before.
        for n in 0..5u32 {
            for packet in 0..2u32 {
                let sent = start + MS * (20 * n + packet);
                let arrival = i64::from(21 * n + packet) * 1000;
                changes.extend(groups.add(sent, sent, arrival));
            }
        }
        let grows = Deltas {
            sent: 20.0,
            arrived: 21.0,
        };
        assert_eq!(changes, [grows; 3]);
    }

    #[test]
    fn what_a_queue_lets_go_at_once_is_one_group() {
        let start = Instant::now();
        let mut groups = Groups::default();
        for n in 0..5 {
            let sent = start + MS * (10 * n);
            assert_eq!(groups.add(sent, sent, 100_000 + i64::from(n) * 100), None);
        }
        assert!(groups.previous.is_none());
    }

    #[test]
    fn jump_of_the_peers_clock_is_taken_for_delay() {
        let start = Instant::now();
        let mut groups = Groups::default();
        for n in 0..20 {
            let sent = start + MS * (20 * n);
            let jump = if n < 10 { 0 } else { 60_000_000 };
            let change = groups.add(sent, sent, i64::from(n) * 20_000 + jump);
            assert!(change.is_none_or(|change| change.arrived == 20.0), "{n}");
        }
    }
}
