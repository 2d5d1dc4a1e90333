//! Which numbers have been given out.

/// Numbers remembered. What is later than this is too late for any receiver.
const WINDOW: u64 = 2048;
const WORDS: usize = (WINDOW / 64) as usize;

/// Gives each number out once, among the newest [`WINDOW`] ones.
#[derive(Debug, Clone)]
pub(super) struct Window {
    bits: [u64; WORDS],
    /// One above the highest number given out.
    end: u64,
}

impl Window {
    /// Numbers below `start` are never given out.
    pub(super) fn new(start: u64) -> Self {
        Window {
            bits: [u64::MAX; WORDS],
            end: start,
        }
    }

    /// Takes a number. False if it is taken already, or too old.
    pub(super) fn claim(&mut self, number: u64) -> bool {
        if number >= self.end {
            let fresh = (number - self.end).min(WINDOW);
            for freed in number - fresh..number {
                self.bits[word(freed)] &= !bit(freed);
            }
            self.bits[word(number)] |= bit(number);
            self.end = number + 1;
            return true;
        }
        let free = self.end - number <= WINDOW && self.bits[word(number)] & bit(number) == 0;
        if free {
            self.bits[word(number)] |= bit(number);
        }
        free
    }
}

fn word(number: u64) -> usize {
    (number / 64) as usize % WORDS
}

fn bit(number: u64) -> u64 {
    1 << (number % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_given_out_once() {
        let mut window = Window::new(1000);
        assert!(!window.claim(999), "before the start");
        assert!(window.claim(1000) && !window.claim(1000));
        assert!(window.claim(1005) && window.claim(1003) && !window.claim(1003));
        assert!(window.claim(1005 + WINDOW - 1));
        assert!(window.claim(1006), "just not too old");
        assert!(!window.claim(1004), "too old");
        assert!(window.claim(1_000_000) && window.claim(999_999) && !window.claim(1_000_000));
    }
}
