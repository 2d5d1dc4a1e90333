//! Whether there is memory for something new: the state behind [`Memory`](super::Memory).

use super::MIB;
use super::resident::Usage;

/// How many samples a promise counts: until then what was let in has connected, and its packets of the
/// last seconds are kept, so that the next samples see it.
const SETTLING: usize = 6;

/// What a password that is hashed takes for a moment (Argon2's default). It has to fit at any time, or the
/// operator could not sign in when it matters.
const PASSWORD: u64 = 19 * MIB;

/// Whether new work is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// What fits is let in.
    Plenty,
    /// Nothing new is let in.
    Tight,
}

/// Counts what is occupied, by samples, and what was promised since and will be occupied soon.
///
/// It is tight from the first thing that does not fit, or when a sample says so, until a sample says that
/// a tenth of the bound is free again. What the allocator keeps is free, but only half of it is sure to be
/// used again, so that what is resident has to stay below the bound with the rest.
#[derive(Debug)]
pub(super) struct Ledger {
    bound: u64,
    usage: Usage,
    /// What those were estimated at who were let in before each of the last samples, with all that
    /// follows from it; the latest first.
    promised: [u64; SETTLING],
    /// Of what follows, what has begun.
    begun: [u64; SETTLING],
    state: State,
}

impl Ledger {
    /// `bound` and all else is in bytes.
    pub(super) fn new(bound: u64) -> Ledger {
        Ledger {
            bound,
            usage: Usage::default(),
            promised: [0; SETTLING],
            begun: [0; SETTLING],
            state: State::Plenty,
        }
    }

    /// Newcomers fill it up to here: nine tenths, less where a password needs more than a tenth.
    pub(super) fn tight_from(&self) -> u64 {
        (self.bound / 10 * 9).min(self.bound.saturating_sub(PASSWORD))
    }

    /// So much has to be left for newcomers to be let in again.
    pub(super) fn plenty_below(&self) -> u64 {
        self.tight_from().saturating_sub(self.bound / 10)
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Takes what is used now, once a second.
    pub(super) fn sample(&mut self, usage: Usage) {
        self.usage = usage;
        for ring in [&mut self.promised, &mut self.begun] {
            ring.rotate_right(1);
            ring[0] = 0;
        }
        let coming = self.coming();
        let occupied = self.usage.occupied().saturating_add(coming);
        let resident = self.resident_with(coming);
        if occupied >= self.tight_from() || resident >= self.bound {
            self.state = State::Tight;
        } else if occupied < self.plenty_below() && resident < self.bound / 20 * 19 {
            self.state = State::Plenty;
        }
    }

    /// Whether a newcomer of this cost may come in. It is tight from now on if it does not fit.
    pub(super) fn fits(&mut self, cost: u64) -> bool {
        let coming = self.coming().saturating_add(cost);
        let occupied = self.usage.occupied().saturating_add(coming);
        if occupied > self.tight_from() || self.resident_with(coming) > self.bound {
            self.state = State::Tight;
        }
        self.state == State::Plenty
    }

    /// Whether something that belongs to those who are in may begin: it has the rest of the memory too.
    pub(super) fn begin(&mut self, cost: u64) -> bool {
        let begun = sum(&self.begun).saturating_add(cost);
        if self.resident_with(begun) > self.bound {
            return false;
        }
        self.begun[0] = self.begun[0].saturating_add(cost);
        true
    }

    /// Somebody was let in.
    pub(super) fn promise(&mut self, cost: u64) {
        self.promised[0] = self.promised[0].saturating_add(cost);
    }

    /// What will be needed when all that was let in has begun. A promise contains what follows from it,
    /// so what has begun is not counted again.
    fn coming(&self) -> u64 {
        sum(&self.promised).max(sum(&self.begun))
    }

    /// What will be resident with so much more, less what will still be kept by then. So it may be below
    /// what is resident now: an allocator that gives nothing back would keep everybody out for ever after
    /// one storm that has filled it.
    fn resident_with(&self, more: u64) -> u64 {
        let Usage { resident, kept } = self.usage;
        resident.saturating_add(more).saturating_sub(kept / 2)
    }
}

fn sum(ring: &[u64; SETTLING]) -> u64 {
    ring.iter().copied().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 200 MiB: tight from 180, plenty below 160.
    fn ledger(occupied: u64) -> Ledger {
        let mut ledger = Ledger::new(200 * MIB);
        ledger.sample(used(occupied));
        ledger
    }

    /// Nothing is kept.
    fn used(resident: u64) -> Usage {
        let resident = resident * MIB;
        Usage { resident, kept: 0 }
    }

    fn let_in(ledger: &mut Ledger, cost: u64) -> bool {
        let fits = ledger.fits(cost);
        if fits {
            ledger.promise(cost);
        }
        fits
    }

    #[test]
    fn a_burst_between_two_samples_exceeds_the_bound() {
        let mut ledger = ledger(100);
        let admitted = (0..10_000).filter(|_| let_in(&mut ledger, MIB)).count();
        assert_eq!(admitted, 80);
        assert_eq!(ledger.state(), State::Tight);
    }

    #[test]
    fn promises_end_before_they_are_seen_in_memory() {
        let mut ledger = ledger(100);
        assert!(let_in(&mut ledger, 70 * MIB));
        for _ in 1..SETTLING {
            ledger.sample(used(100));
            assert!(!ledger.fits(20 * MIB));
        }
        // It was less than was feared.
        ledger.sample(used(110));
        assert!(ledger.fits(20 * MIB));
    }

    #[test]
    fn the_door_opens_and_closes_with_every_sample() {
        let mut ledger = ledger(179);
        assert_eq!(ledger.state(), State::Plenty);
        for (occupied, state) in [
            (180, State::Tight),
            (179, State::Tight),
            (160, State::Tight),
            (159, State::Plenty),
            (179, State::Plenty),
        ] {
            ledger.sample(used(occupied));
            assert_eq!(ledger.state(), state, "at {occupied} MiB");
        }
    }

    #[test]
    fn nobody_comes_in_ever_again_after_a_storm_that_has_filled_what_the_allocator_keeps() {
        for resident in [192 * MIB, 210 * MIB] {
            let mut ledger = ledger(180);
            assert_eq!(ledger.state(), State::Tight);
            // All have left.
            let kept = 100 * MIB;
            ledger.sample(Usage { resident, kept });
            assert_eq!(ledger.state(), State::Plenty);
            let admitted = (0..1000).filter(|_| let_in(&mut ledger, MIB)).count() as u64;
            assert_eq!(admitted * MIB, 200 * MIB - (resident - kept / 2));
        }
    }

    #[test]
    fn somebody_smaller_comes_in_after_somebody_was_refused() {
        let mut ledger = ledger(170);
        assert!(!ledger.fits(11 * MIB));
        assert!(!ledger.fits(1));
        ledger.sample(used(159));
        assert!(ledger.fits(1));
    }

    #[test]
    fn those_who_are_in_get_nothing_any_more_while_newcomers_are_refused() {
        let mut ledger = ledger(190);
        assert!(!ledger.fits(1));
        assert!(ledger.begin(6 * MIB));
        assert!(!ledger.begin(6 * MIB), "beyond the bound");
        assert!(ledger.begin(4 * MIB));
    }

    #[test]
    fn what_follows_from_a_join_is_counted_twice() {
        let mut ledger = ledger(100);
        assert!(let_in(&mut ledger, 40 * MIB));
        assert!(ledger.begin(30 * MIB));
        assert!(ledger.fits(40 * MIB));
        // Nobody has asked at the door for this.
        assert!(ledger.begin(30 * MIB));
        assert!(!ledger.fits(21 * MIB));
    }

    #[test]
    fn after_a_storm_nobody_comes_in_any_more_as_the_allocator_keeps_what_it_took() {
        let mut ledger = ledger(180);
        assert!(!ledger.fits(1));
        let (resident, kept) = (181 * MIB, 90 * MIB);
        ledger.sample(Usage { resident, kept });
        // As many as before, into what is kept.
        let admitted = (0..10_000).filter(|_| let_in(&mut ledger, MIB)).count();
        assert_eq!(admitted, 45 + 19);
    }

    #[test]
    fn what_is_kept_in_pieces_is_taken_for_room_until_the_bound_is_exceeded() {
        let mut ledger = ledger(100);
        let kept = 100 * MIB;
        let sample = |resident: u64| Usage {
            resident: resident * MIB,
            kept,
        };
        ledger.sample(sample(199));
        assert!(ledger.fits(50 * MIB));
        assert!(ledger.begin(51 * MIB));
        assert!(!ledger.begin(MIB));
        for resident in [200, 190] {
            ledger.sample(sample(resident));
            assert!(!ledger.fits(1), "at {resident} MiB");
        }
    }

    #[test]
    fn a_password_does_not_fit_into_a_small_bound() {
        let ledger = Ledger::new(64 * MIB);
        assert_eq!(ledger.tight_from(), 45 * MIB);
        assert!(ledger.plenty_below() < ledger.tight_from());
        // Where a tenth is enough for it, that counts.
        assert_eq!(Ledger::new(200 * MIB).tight_from(), 180 * MIB);
        assert_eq!(Ledger::new(200 * MIB).plenty_below(), 160 * MIB);
    }
}
