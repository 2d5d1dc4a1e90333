//! From the numbers of a source to numbers without the gaps that dropping makes.

use std::collections::VecDeque;

/// Ranges kept. Where three of four frames are dropped, a range is a frame: this is some seconds,
/// more than a resend from the publisher takes.
const MAX_RANGES: usize = 64;

/// Maps numbers of a source to outgoing ones. Numbers that are skipped leave no gap; numbers that
/// have not come leave one, into which they fit when they come late.
#[derive(Debug, Clone)]
pub(super) struct Ranges {
    /// In order of `start`, never empty. The numbers just before a range's start were skipped:
    /// as many as the offset fell from the range before.
    ranges: VecDeque<Range>,
    highest: u64,
}

/// From `start` on, outgoing numbers are those of the source plus `offset`, modulo 2⁶⁴.
#[derive(Debug, Clone, Copy)]
struct Range {
    start: u64,
    offset: u64,
}

/// What became of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// This is its outgoing one.
    Out(u64),
    /// It was skipped.
    Skipped,
    /// It is from before what is remembered.
    Forgotten,
}

impl Ranges {
    /// `start` becomes `out`, what is before it has no place.
    pub(super) fn new(start: u64, out: u64) -> Self {
        let first = Range {
            start,
            offset: out.wrapping_sub(start),
        };
        Ranges {
            ranges: VecDeque::from([first]),
            highest: start,
        }
    }

    /// The highest number noted or skipped.
    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// The outgoing number of one that is used.
    pub(super) fn place(&self, number: u64) -> Place {
        let mut later: Option<Range> = None;
        for range in self.ranges.iter().rev() {
            if number >= range.start {
                let skipped = later.is_some_and(|later| {
                    number >= later.start - range.offset.wrapping_sub(later.offset)
                });
                return match skipped {
                    true => Place::Skipped,
                    false => Place::Out(number.wrapping_add(range.offset)),
                };
            }
            later = Some(*range);
        }
        Place::Forgotten
    }

    /// A number is used.
    pub(super) fn note(&mut self, number: u64) {
        self.highest = self.highest.max(number);
    }

    /// A number is not used. Closes the gap that it leaves, unless higher ones have been used.
    pub(super) fn skip(&mut self, number: u64) {
        if number <= self.highest {
            return;
        }
        self.highest = number;
        let Some(last) = self.ranges.back_mut() else {
            return;
        };
        let next = Range {
            start: number + 1,
            offset: last.offset.wrapping_sub(1),
        };
        if last.start == number {
            *last = next;
            return;
        }
        if self.ranges.len() == MAX_RANGES {
            self.ranges.pop_front();
        }
        self.ranges.push_back(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_numbers_leave_no_gap_and_lost_ones_do() {
        let mut ranges = Ranges::new(10, 100);
        for number in [12, 13, 15] {
            ranges.skip(number);
        }
        ranges.note(17);
        let places = |numbers: [u64; 8]| numbers.map(|number| ranges.place(number));
        assert_eq!(
            places([9, 10, 11, 12, 13, 14, 15, 17]),
            [
                Place::Forgotten,
                Place::Out(100),
                Place::Out(101),
                Place::Skipped,
                Place::Skipped,
                Place::Out(102),
                Place::Skipped,
                Place::Out(104),
            ]
        );
        assert_eq!(ranges.place(16), Place::Out(103), "lost, and may come late");
    }

    #[test]
    fn skipping_late_changes_nothing() {
        let mut ranges = Ranges::new(10, 100);
        ranges.note(12);
        ranges.skip(11);
        assert_eq!(
            (ranges.place(11), ranges.place(12)),
            (Place::Out(101), Place::Out(102))
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut ranges = Ranges::new(0, 0);
        for number in (1..10_000).step_by(2) {
            ranges.skip(number);
            ranges.note(number + 1);
        }
        assert_eq!(ranges.ranges.len(), MAX_RANGES);
        assert_eq!(ranges.place(3), Place::Forgotten);
        assert_eq!(ranges.place(10_000), Place::Out(5_000));
    }
}
