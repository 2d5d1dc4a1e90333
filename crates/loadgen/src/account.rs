//! Which of the numbered packets came: loss, duplicates and reordering.

/// Packets behind the newest of which it is remembered whether they came. Later ones than that
/// are useless to any receiver.
const WINDOW: u64 = 2048;
const WORDS: usize = (WINDOW / 64) as usize;

/// What became of a run of numbered packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fate {
    /// Numbers from the first to the highest that was seen.
    pub expected: u64,
    /// Of these, how many came at least once.
    pub received: u64,
    /// Further copies.
    pub duplicates: u64,
    /// Came after one with a higher number.
    pub reordered: u64,
}

impl Fate {
    /// Never came.
    pub fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.received)
    }

    /// Both together.
    pub fn add(&mut self, other: &Fate) {
        self.expected += other.expected;
        self.received += other.received;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
    }
}

/// Follows one gapless numbering.
#[derive(Debug, Clone)]
pub struct Sequence {
    first: u64,
    highest: u64,
    seen: [u64; WORDS],
    received: u64,
    duplicates: u64,
    reordered: u64,
}

impl Sequence {
    /// Begins with the first packet that came.
    pub fn new(first: u64) -> Sequence {
        let mut sequence = Sequence {
            first,
            highest: first,
            seen: [0; WORDS],
            received: 1,
            duplicates: 0,
            reordered: 0,
        };
        sequence.mark(first);
        sequence
    }

    /// The highest number so far.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// One packet came. What is older than the first one is not part of the run.
    pub fn record(&mut self, number: u64) {
        if number > self.highest {
            for skipped in (self.highest + 1..=number).rev().take(WINDOW as usize) {
                self.clear(skipped);
            }
            self.highest = number;
            self.received += 1;
            self.mark(number);
        } else if number >= self.first {
            let remembered = self.highest - number < WINDOW;
            if remembered && self.is_marked(number) {
                self.duplicates += 1;
            } else if remembered {
                self.mark(number);
                self.received += 1;
                self.reordered += 1;
            }
        }
    }

    /// One packet came with the lower 16 bits of its number, as in RTP (RFC 3550, 5.1).
    pub fn record_rtp(&mut self, seq: u16) {
        let ahead = seq.wrapping_sub(self.highest as u16);
        if ahead < 0x8000 {
            self.record(self.highest + u64::from(ahead));
        } else if let Some(number) = self.highest.checked_sub(u64::from(ahead.wrapping_neg())) {
            self.record(number);
        }
    }

    /// What became of the packets so far.
    pub fn fate(&self) -> Fate {
        Fate {
            expected: self.highest - self.first + 1,
            received: self.received,
            duplicates: self.duplicates,
            reordered: self.reordered,
        }
    }

    fn mark(&mut self, number: u64) {
        self.seen[place(number)] |= 1 << (number % 64);
    }

    fn clear(&mut self, number: u64) {
        self.seen[place(number)] &= !(1 << (number % 64));
    }

    fn is_marked(&self, number: u64) -> bool {
        self.seen[place(number)] & (1 << (number % 64)) != 0
    }
}

fn place(number: u64) -> usize {
    ((number / 64) % WORDS as u64) as usize
}

/// Follows one track through its layers: what is skipped because another layer is shown meanwhile
/// is not lost.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    runs: [Option<Box<Sequence>>; 4],
    current: usize,
    ended: Fate,
    /// How often another layer was shown than before.
    pub switches: u64,
}

impl Layers {
    /// One packet of a layer came.
    pub fn record(&mut self, layer: u8, number: u32) {
        let layer = usize::from(layer) % self.runs.len();
        let number = u64::from(number);
        let returned = layer != self.current;
        let run = &mut self.runs[layer];
        match run {
            Some(known) if !returned || number <= known.highest() => known.record(number),
            Some(known) => {
                self.ended.add(&known.fate());
                **known = Sequence::new(number);
                self.moved(layer);
            }
            None => {
                *run = Some(Box::new(Sequence::new(number)));
                if returned {
                    self.moved(layer);
                }
            }
        }
    }

    fn moved(&mut self, layer: usize) {
        self.current = layer;
        self.switches += 1;
    }

    /// What became of all packets so far.
    pub fn fate(&self) -> Fate {
        let mut fate = self.ended;
        for run in self.runs.iter().flatten() {
            fate.add(&run.fate());
        }
        fate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(numbers: &[u64]) -> Fate {
        let mut sequence = Sequence::new(numbers[0]);
        for number in &numbers[1..] {
            sequence.record(*number);
        }
        sequence.fate()
    }

    #[test]
    fn a_gap_is_loss_until_it_is_filled() {
        assert_eq!(fate(&[5, 6, 8, 9]).lost(), 1);
        let filled = fate(&[5, 6, 8, 9, 7]);
        assert_eq!((filled.lost(), filled.reordered), (0, 1));
        assert_eq!((filled.expected, filled.received), (5, 5));
    }

    #[test]
    fn a_copy_does_not_make_up_for_a_loss() {
        let copied = fate(&[5, 6, 6, 8, 6]);
        assert_eq!((copied.lost(), copied.duplicates), (1, 2));
    }

    #[test]
    fn packets_from_before_the_measurement_are_no_gain() {
        assert_eq!(fate(&[100, 99, 98, 101]), fate(&[100, 101]));
    }

    #[test]
    fn a_hole_longer_than_the_window_is_counted_in_full() {
        let jump = fate(&[1, 10_001]);
        assert_eq!(jump.lost(), 9_999);
        // Old marks must not make the new ones look like copies.
        let mut sequence = Sequence::new(0);
        for number in 1..3 * WINDOW {
            sequence.record(number);
        }
        assert_eq!(sequence.fate().duplicates, 0);
        assert_eq!(sequence.fate().lost(), 0);
    }

    #[test]
    fn sixteen_bits_wrap_without_loss() {
        let mut sequence = Sequence::new(65_534);
        for seq in [65_535, 1, 0, 2] {
            sequence.record_rtp(seq);
        }
        let fate = sequence.fate();
        assert_eq!((fate.lost(), fate.reordered, fate.expected), (0, 1, 5));
    }

    #[test]
    fn the_time_spent_in_another_layer_is_not_loss() {
        let mut layers = Layers::default();
        for number in 0..10 {
            layers.record(2, number);
        }
        for number in 40..50 {
            layers.record(0, number);
        }
        layers.record(2, 9); // a late copy does not switch back
        for number in 200..210 {
            layers.record(2, number);
        }
        layers.record(2, 211);
        let fate = layers.fate();
        assert_eq!((fate.lost(), fate.received), (1, 31));
        assert_eq!(fate.duplicates, 1);
        assert_eq!(layers.switches, 3);
    }
}
