//! Data messages of an origin: each once, whatever way they come.

use std::collections::VecDeque;

use super::message::{Data, DataNumber};

/// What is kept of the latest messages, for a server that has changed its way to the origin.
const MESSAGES: usize = 128;
const BYTES: usize = 256 * 1024;

/// The latest data messages of an origin.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    last: Option<DataNumber>,
    recent: VecDeque<Data>,
    bytes: usize,
}

impl Backlog {
    /// Nothing is kept, but it is known what was read.
    pub(super) fn read_to(last: Option<DataNumber>) -> Backlog {
        Backlog {
            last,
            ..Backlog::default()
        }
    }

    /// The number of the last one.
    pub(super) fn last(&self) -> Option<DataNumber> {
        self.last
    }

    /// Takes a message in. False if it was here before.
    pub(super) fn admit(&mut self, data: &Data) -> bool {
        let Some(number) = data.number else {
            return true;
        };
        if self.last.is_some_and(|last| number <= last) {
            return false;
        }
        self.last = Some(number);
        self.bytes += data.payload.len();
        self.recent.push_back(data.clone());
        while self.recent.len() > MESSAGES || self.bytes > BYTES {
            let Some(oldest) = self.recent.pop_front() else {
                break;
            };
            self.bytes -= oldest.payload.len();
        }
        true
    }

    /// What came after a message.
    pub(super) fn after(&self, number: DataNumber) -> impl Iterator<Item = &Data> {
        let newer = move |data: &&Data| data.number.is_some_and(|it| it > number);
        self.recent.iter().filter(newer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(incarnation: u64, number: u64, size: usize) -> Data {
        Data {
            number: Some(DataNumber {
                incarnation,
                number,
            }),
            from: None,
            to: Vec::new(),
            payload: vec![0; size].into(),
        }
    }

    #[test]
    fn message_that_comes_on_two_ways_is_read_twice() {
        let mut backlog = Backlog::default();
        assert!(backlog.admit(&data(1, 1, 1)));
        assert!(backlog.admit(&data(1, 2, 1)));
        assert!(!backlog.admit(&data(1, 1, 1)));
        assert!(!backlog.admit(&data(1, 2, 1)));
        // A later run of the origin counts anew.
        assert!(backlog.admit(&data(2, 1, 1)));
        assert!(!backlog.admit(&data(1, 3, 1)));
    }

    #[test]
    fn large_messages_fill_the_memory() {
        let mut backlog = Backlog::default();
        for number in 1..1000 {
            assert!(backlog.admit(&data(1, number, 64 * 1024)));
            assert!(backlog.bytes <= BYTES);
        }
        let from = |number| DataNumber {
            incarnation: 1,
            number,
        };
        assert_eq!(backlog.after(from(997)).count(), 2);
        assert_eq!(backlog.after(from(0)).count(), BYTES / (64 * 1024));
    }
}
