//! A model of TCP: CUBIC (RFC 9438) with selective acknowledgements, of which each segment gets
//! one, and without HyStart, so that slow start overfills the queue. What was lost is not told
//! from what is new: only how many segments are under way matters to others.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::network::{Cargo, Packet};

const SEGMENT: usize = 1_500;
const INITIAL_WINDOW: f64 = 10.0;
/// CUBIC's decrease, and its growth in segments per cubic second.
const BETA: f64 = 0.7;
const CUBIC: f64 = 0.4;
/// A segment is lost when one sent so many later was acknowledged.
const REORDERING: u64 = 3;
const LEAST_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes of a short transfer, and the mean pause between two (RFC 8867 section 4.2.3).
const SHORT: (f64, f64) = (100e3, 1e6);
const PAUSE: f64 = 10.0;

pub(super) struct Tcp {
    window: f64,
    threshold: f64,
    /// The window at the last loss, when that was, and the window then left.
    last_loss: Option<(f64, Instant, f64)>,
    next_number: u64,
    /// Numbers and times of what is neither acknowledged nor given up.
    flying: VecDeque<(u64, Instant)>,
    /// Losses of what was sent before this are of the same event.
    recovered_at: u64,
    round_trip: Duration,
    heard: Instant,
    /// Segments that are still to be acknowledged; `None` is without end.
    left: Option<u64>,
    /// Of short transfers: when the next one begins.
    begins: Option<Instant>,
    short: bool,
}

impl Tcp {
    pub(super) fn long(now: Instant) -> Tcp {
        Tcp {
            window: INITIAL_WINDOW,
            threshold: f64::INFINITY,
            last_loss: None,
            next_number: 0,
            flying: VecDeque::new(),
            recovered_at: 0,
            round_trip: Duration::from_millis(100),
            heard: now,
            left: None,
            begins: None,
            short: false,
        }
    }

    pub(super) fn short(now: Instant) -> Tcp {
        Tcp {
            left: Some(0),
            short: true,
            ..Tcp::long(now)
        }
    }

    pub(super) fn tick(
        &mut self,
        now: Instant,
        active: bool,
        chance: &mut dyn FnMut() -> f64,
    ) -> Vec<Packet> {
        if self.short {
            self.begin(now, chance);
        }
        let timeout = LEAST_TIMEOUT.max(2 * self.round_trip);
        if !self.flying.is_empty() && now.saturating_duration_since(self.heard) > timeout {
            self.flying.clear();
            self.threshold = (self.window / 2.0).max(2.0);
            self.window = 1.0;
            self.last_loss = None;
            self.heard = now;
        }
        let mut out = Vec::new();
        while active && self.may_send() {
            if self.flying.is_empty() {
                self.heard = now;
            }
            self.flying.push_back((self.next_number, now));
            out.push(Packet {
                size: SEGMENT,
                cargo: Cargo::Data(self.next_number),
            });
            self.next_number += 1;
        }
        out
    }

    pub(super) fn acknowledged(&mut self, now: Instant, number: u64) {
        self.heard = now;
        if let Some(index) = self.flying.iter().position(|(n, _)| *n == number)
            && let Some((_, sent)) = self.flying.remove(index)
        {
            self.round_trip = (7 * self.round_trip + (now - sent)) / 8;
        }
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
        }
        let mut lost = None;
        while let Some((first, _)) = self.flying.front()
            && first + REORDERING <= number
        {
            lost = Some(*first);
            self.flying.pop_front();
        }
        match lost {
            Some(first) if first >= self.recovered_at => self.decrease(now),
            Some(_) | None if number >= self.recovered_at => self.increase(now),
            Some(_) | None => {}
        }
    }

    /// The next of several short transfers.
    fn begin(&mut self, now: Instant, chance: &mut dyn FnMut() -> f64) {
        if self.left != Some(0) {
            return;
        }
        let begins = *self.begins.get_or_insert_with(|| {
            // Exponential.
            now + Duration::from_secs_f64(-PAUSE * (1.0 - chance()).ln())
        });
        if now < begins {
            return;
        }
        let bytes = SHORT.0 + (SHORT.1 - SHORT.0) * chance();
        *self = Tcp {
            next_number: self.next_number,
            recovered_at: self.next_number,
            left: Some((bytes / SEGMENT as f64) as u64),
            ..Tcp::short(now)
        };
    }

    fn may_send(&self) -> bool {
        let flying = self.flying.len();
        self.left.is_none_or(|left| (flying as u64) < left) && (flying as f64) < self.window
    }

    fn decrease(&mut self, now: Instant) {
        self.recovered_at = self.next_number;
        let before = self.window;
        self.window = (self.window * BETA).max(2.0);
        self.threshold = self.window;
        self.last_loss = Some((before, now, self.window));
    }

    fn increase(&mut self, now: Instant) {
        if self.window < self.threshold {
            self.window += 1.0;
            return;
        }
        let (before, since, left) = *self
            .last_loss
            .get_or_insert((self.window, now, self.window));
        let time = (now - since).as_secs_f64();
        let plateau = ((before - left) / CUBIC).cbrt();
        let cubic = CUBIC * (time - plateau).powi(3) + before;
        // Where Reno would be by now (RFC 9438 section 4.3).
        let rounds = time / self.round_trip.as_secs_f64().max(1e-3);
        let reno = left + 3.0 * (1.0 - BETA) / (1.0 + BETA) * rounds;
        let wanted = cubic.max(reno).min(1.5 * self.window);
        self.window += ((wanted - self.window) / self.window).max(0.0);
    }
}
