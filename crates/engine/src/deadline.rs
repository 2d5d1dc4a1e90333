//! What is due when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::Hash;
use std::time::Instant;

use rustc_hash::FxHashMap;

/// One deadline for each of many owners; finding the next is cheap however many there are.
///
/// A deadline that is moved leaves its old entry in the heap, where it is skipped when its time
/// comes. So that owners which move theirs with every packet do not fill the heap, an entry that
/// is early enough is left alone: it only leads to one look at the owner too many.
#[derive(Debug)]
pub(crate) struct Deadlines<K> {
    heap: BinaryHeap<Reverse<(Instant, K)>>,
    /// The earliest entry in the heap for each owner.
    entries: FxHashMap<K, Instant>,
}

impl<K: Copy + Eq + Hash + Ord> Deadlines<K> {
    pub(crate) fn new() -> Self {
        Deadlines {
            heap: BinaryHeap::new(),
            entries: FxHashMap::default(),
        }
    }

    /// The owner wants to be called at `at`, or somewhat before.
    pub(crate) fn set(&mut self, owner: K, at: Instant) {
        if self.entries.get(&owner).is_some_and(|known| *known <= at) {
            return;
        }
        self.entries.insert(owner, at);
        self.heap.push(Reverse((at, owner)));
    }

    /// The owner is gone.
    pub(crate) fn forget(&mut self, owner: K) {
        self.entries.remove(&owner);
    }

    /// An owner whose time has come. It has no deadline any more until it sets one.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        while let Some(Reverse((at, owner))) = self.heap.peek().copied() {
            if at > now {
                return None;
            }
            self.heap.pop();
            if self.entries.get(&owner) == Some(&at) {
                self.entries.remove(&owner);
                return Some(owner);
            }
        }
        None
    }

    /// The next deadline of any owner.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        while let Some(Reverse((at, owner))) = self.heap.peek().copied() {
            if self.entries.get(&owner) == Some(&at) {
                return Some(at);
            }
            self.heap.pop();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moved_and_forgotten_deadlines_do_not_fire() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut deadlines = Deadlines::new();
        deadlines.set(1, at(30));
        deadlines.set(1, at(10));
        deadlines.set(2, at(20));
        deadlines.set(3, at(5));
        deadlines.forget(3);
        assert_eq!(deadlines.next(), Some(at(10)));
        assert_eq!(deadlines.pop_due(at(9)), None);
        assert_eq!(deadlines.pop_due(at(30)), Some(1));
        assert_eq!(deadlines.pop_due(at(30)), Some(2));
        assert_eq!(deadlines.pop_due(at(30)), None);
        assert_eq!(deadlines.next(), None);
    }

    #[test]
    fn pushing_a_deadline_out_with_every_packet_does_not_grow_the_heap() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new();
        for ms in 0..10_000 {
            deadlines.set(7, start + Duration::from_millis(50 + ms));
        }
        assert_eq!(deadlines.heap.len(), 1);
    }
}
