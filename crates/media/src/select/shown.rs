//! Which frames have been shown.

/// The latest frames that were shown, by frame number. A reference that is further back is taken
/// for one that was not: then a switch waits for a key frame.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shown {
    newest: u16,
    /// A bit for each frame, counted back from the newest.
    bits: u128,
}

impl Shown {
    pub(super) fn note(&mut self, number: u16) {
        if self.bits == 0 {
            self.newest = number;
        }
        let ahead = number.wrapping_sub(self.newest);
        match ahead < 0x8000 {
            true => {
                self.bits = self.bits.checked_shl(ahead.into()).unwrap_or(0) | 1;
                self.newest = number;
            }
            false => {
                let behind = self.newest.wrapping_sub(number);
                self.bits |= 1u128.checked_shl(behind.into()).unwrap_or(0);
            }
        }
    }

    pub(super) fn contains(&self, number: u16) -> bool {
        let behind = u32::from(self.newest.wrapping_sub(number));
        1u128
            .checked_shl(behind)
            .is_some_and(|bit| self.bits & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_remembered_over_the_end_of_their_numbers() {
        let mut shown = Shown::default();
        for number in [65_530, 65_534, 2, 65_535] {
            shown.note(number);
        }
        let found: Vec<u16> = (0..20)
            .map(|n| 65_526u16.wrapping_add(n))
            .filter(|n| shown.contains(*n))
            .collect();
        assert_eq!(found, [65_530, 65_534, 65_535, 2]);
        let mut late = Shown::default();
        late.note(40_000);
        assert!(late.contains(40_000) && !late.contains(39_999));
        shown.note(2000);
        assert!(shown.contains(2000) && !shown.contains(2));
    }
}
