//! Whether the other end of a link is alive: when to ask, and what to think of silence.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How often a neighbour is asked on whom nobody depends, and how long it may be silent.
const IDLE_EVERY: Duration = Duration::from_secs(10);
const IDLE_DEAD: Duration = Duration::from_secs(30);

/// The same for one on whom somebody depends. What was cut right after an answer is noticed by the
/// next ping, so this long adds to [`SILENT`], and pictures stand still for both.
const ATTENDED_EVERY: Duration = Duration::from_millis(250);
const ATTENDED_DEAD: Duration = Duration::from_secs(15);

/// For how long nothing may come after a ping from a neighbour on whom somebody depends.
const SILENT: Duration = Duration::from_secs(1);

/// Pings whose answers are still expected.
const OUTSTANDING: usize = 64;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// This ping is to be sent.
    Ping(u64),
    /// Nothing comes although it should.
    Silent,
    /// Nothing has come for too long.
    Dead,
}

/// The state of a link's life.
#[derive(Debug)]
pub(super) struct Pulse {
    attended: bool,
    /// When something last came.
    heard: Instant,
    /// When the first ping was sent that nothing has followed.
    asked: Option<Instant>,
    silent: bool,
    next: Instant,
    number: u64,
    sent: VecDeque<(u64, Instant)>,
}

impl Pulse {
    /// The link is new: the first ping is due at once.
    pub(super) fn new(now: Instant) -> Pulse {
        Pulse {
            attended: false,
            heard: now,
            asked: None,
            silent: false,
            next: now,
            number: 0,
            sent: VecDeque::new(),
        }
    }

    /// Whether somebody depends on the link.
    pub(super) fn attend(&mut self, now: Instant, attended: bool) {
        if attended && !self.attended {
            // What was not heard while nobody cared does not count.
            self.pardon(now);
            self.next = now;
        }
        self.attended = attended;
    }

    /// Asks at once.
    pub(super) fn ask(&mut self, now: Instant) {
        self.next = now;
    }

    /// Something has come. True if the neighbour had been silent.
    pub(super) fn heard(&mut self, now: Instant) -> bool {
        self.heard = now;
        self.asked = None;
        std::mem::take(&mut self.silent)
    }

    /// We have not listened until now: what was not heard meanwhile does not count. Whether the
    /// neighbour is silent stays as it was.
    pub(super) fn pardon(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
    }

    /// A ping was answered: how long that took. `None` if it was never sent.
    pub(super) fn answered(&mut self, now: Instant, number: u64) -> Option<Duration> {
        let at = self.sent.iter().position(|(sent, _)| *sent == number)?;
        let (_, sent) = self.sent[at];
        self.sent.drain(..=at);
        Some(now.saturating_duration_since(sent))
    }

    /// When [`Pulse::tick`] is to be called next.
    pub(super) fn deadline(&self) -> Instant {
        let mut deadline = self.next.min(self.heard + self.dead());
        if let Some(asked) = self.asked.filter(|_| self.attended && !self.silent) {
            deadline = deadline.min(asked + SILENT);
        }
        deadline
    }

    /// What is due now; to be called until there is nothing.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Beat> {
        if now >= self.heard + self.dead() {
            return Some(Beat::Dead);
        }
        let silent = self.asked.is_some_and(|asked| now >= asked + SILENT);
        if silent && self.attended && !self.silent {
            self.silent = true;
            return Some(Beat::Silent);
        }
        if now < self.next {
            return None;
        }
        self.next = now + self.every();
        self.number += 1;
        self.asked.get_or_insert(now);
        if self.sent.len() == OUTSTANDING {
            self.sent.pop_front();
        }
        self.sent.push_back((self.number, now));
        Some(Beat::Ping(self.number))
    }

    fn every(&self) -> Duration {
        if self.attended {
            ATTENDED_EVERY
        } else {
            IDLE_EVERY
        }
    }

    fn dead(&self) -> Duration {
        if self.attended {
            ATTENDED_DEAD
        } else {
            IDLE_DEAD
        }
    }
}

/// Bounds what a neighbour may make us read: so much at once, and so much per second.
#[derive(Debug)]
pub(super) struct Budget {
    frames: f64,
    bytes: f64,
    at: Instant,
}

const FRAMES: f64 = 8192.0;
const FRAMES_PER_SECOND: f64 = 4096.0;
const BYTES: f64 = 16.0 * 1024.0 * 1024.0;
const BYTES_PER_SECOND: f64 = 4.0 * 1024.0 * 1024.0;

impl Budget {
    /// A full one.
    pub(super) fn new(now: Instant) -> Budget {
        Budget {
            frames: FRAMES,
            bytes: BYTES,
            at: now,
        }
    }

    /// Takes a frame of so many bytes. `Some` is how long nothing is to be read.
    pub(super) fn take(&mut self, now: Instant, bytes: usize) -> Option<Duration> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.frames = (self.frames + passed * FRAMES_PER_SECOND).min(FRAMES) - 1.0;
        self.bytes = (self.bytes + passed * BYTES_PER_SECOND).min(BYTES) - bytes as f64;
        let wait = (-self.frames / FRAMES_PER_SECOND).max(-self.bytes / BYTES_PER_SECOND);
        // A little more than is missing: not a pause for each frame.
        (wait > 0.0).then(|| Duration::from_secs_f64(wait + 0.02))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Somebody depends on the link from its beginning.
    fn attended() -> (Instant, Pulse) {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.attend(start, true);
        (start, pulse)
    }

    /// Lets time pass until `end`, and tells what was due when.
    fn run(pulse: &mut Pulse, start: Instant, end: Duration) -> Vec<(u64, Beat)> {
        let mut beats = Vec::new();
        loop {
            let now = pulse.deadline().max(start);
            if now > start + end {
                return beats;
            }
            while let Some(beat) = pulse.tick(now) {
                beats.push(((now - start).as_millis() as u64, beat));
                if beat == Beat::Dead {
                    return beats;
                }
            }
        }
    }

    #[test]
    fn idle_link_costs_more_than_a_ping_every_ten_seconds() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        assert_eq!(run(&mut pulse, start, ms(9_999)), [(0, Beat::Ping(1))]);
        assert_eq!(
            run(&mut pulse, start, ms(60_000)),
            [
                (10_000, Beat::Ping(2)),
                (20_000, Beat::Ping(3)),
                (30_000, Beat::Dead)
            ]
        );
    }

    #[test]
    fn silence_of_a_needed_neighbour_is_noticed_late() {
        let (start, mut pulse) = attended();
        let beats = run(&mut pulse, start, ms(20_000));
        let silent: Vec<_> = beats
            .iter()
            .filter(|(_, beat)| *beat == Beat::Silent)
            .collect();
        assert_eq!(silent, [&(1000, Beat::Silent)]);
        assert_eq!(beats.last(), Some(&(15_000, Beat::Dead)));
        assert_eq!(
            beats
                .iter()
                .filter(|(_, beat)| matches!(beat, Beat::Ping(_)))
                .count(),
            60
        );
    }

    #[test]
    fn cable_that_is_cut_after_an_answer_is_noticed_late() {
        let (start, mut pulse) = attended();
        run(&mut pulse, start, ms(0));
        pulse.heard(start + ms(1));
        let beats = run(&mut pulse, start, ms(5_000));
        assert!(beats.contains(&(1_250, Beat::Silent)), "{beats:?}");
    }

    #[test]
    fn neighbour_that_answers_is_called_silent() {
        let (start, mut pulse) = attended();
        for round in 0..100 {
            let now = start + ms(250 * round);
            let Some(Beat::Ping(number)) = pulse.tick(now) else {
                panic!("no ping in round {round}");
            };
            let answer = now + ms(225);
            assert_eq!(pulse.answered(answer, number), Some(ms(225)));
            assert!(!pulse.heard(answer));
            assert_eq!(pulse.answered(answer, number), None);
            assert_eq!(pulse.tick(answer), None);
        }
    }

    #[test]
    fn neighbour_far_away_is_called_silent() {
        let (start, mut pulse) = attended();
        let round_trip = ms(900);
        let mut answers = VecDeque::new();
        let mut now = start;
        while now < start + ms(30_000) {
            while let Some(beat) = pulse.tick(now) {
                let Beat::Ping(number) = beat else {
                    panic!("{beat:?} after {:?}", now - start);
                };
                answers.push_back((now + round_trip, number));
            }
            while let Some(&(at, number)) = answers.front().filter(|(at, _)| *at <= now) {
                answers.pop_front();
                pulse.heard(at);
                assert_eq!(pulse.answered(at, number), Some(round_trip));
            }
            now += ms(50);
        }
    }

    #[test]
    fn neighbour_stays_silent_that_is_heard_again() {
        let (start, mut pulse) = attended();
        run(&mut pulse, start, ms(1_200));
        assert!(pulse.heard(start + ms(1_300)));
        assert!(!pulse.heard(start + ms(1_400)));
        let next = run(&mut pulse, start, ms(2_600));
        assert!(next.contains(&(2_250, Beat::Silent)), "{next:?}");
    }

    #[test]
    fn neighbour_stays_silent_for_good_because_we_were_busy() {
        let (start, mut pulse) = attended();
        run(&mut pulse, start, ms(1_200));
        pulse.pardon(start + ms(1_300));
        assert!(
            pulse.heard(start + ms(1_400)),
            "nobody is told that it is back"
        );
    }

    #[test]
    fn link_dies_the_moment_somebody_depends_on_it() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        run(&mut pulse, start, ms(20_500));
        pulse.attend(start + ms(20_500), true);
        let beats = run(&mut pulse, start, ms(21_000));
        assert!(
            beats.iter().all(|(_, beat)| matches!(beat, Beat::Ping(_))),
            "{beats:?}"
        );
    }

    #[test]
    fn pings_that_nobody_answers_pile_up() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        for round in 0..1000 {
            let now = start + IDLE_EVERY * round;
            pulse.heard(now);
            pulse.tick(now);
        }
        assert_eq!(pulse.sent.len(), OUTSTANDING);
        assert_eq!(pulse.answered(start, 1), None);
        assert_eq!(pulse.answered(start, u64::MAX), None);
    }

    #[test]
    fn flood_is_read_as_fast_as_it_comes() {
        let start = Instant::now();
        for (size, per_second) in [(1, 4096.0_f64), (256 * 1024, 16.0)] {
            let mut budget = Budget::new(start);
            let mut now = start;
            let mut frames = 0.0;
            while now < start + Duration::from_secs(100) {
                frames += 1.0;
                if let Some(wait) = budget.take(now, size) {
                    now += wait;
                }
            }
            let most = 2.0 * per_second.max(64.0) + 101.0 * per_second;
            assert!(
                frames <= most && frames > 80.0 * per_second,
                "{frames} of {size}"
            );
        }
    }
}
