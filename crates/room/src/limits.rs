//! Bounds on what one participant can make a room hold or relay.

use std::collections::BTreeMap;

use crate::effect::Refusal;

/// Bounds on what one participant can make a room hold or relay. What is beyond them is refused
/// with [`Refusal::LimitExceeded`](crate::effect::Refusal::LimitExceeded) or
/// [`Refusal::RoomFull`](crate::effect::Refusal::RoomFull).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Participants in a room, hidden ones included; 0 is unbounded. A room can have a lower
    /// bound of its own in [`RoomConfig`](crate::RoomConfig).
    pub participants: u32,
    /// Participants whose sound is forwarded at a time, the loudest; 0 is all.
    pub heard: usize,
    /// Tracks that one participant publishes at a time.
    pub tracks: usize,
    /// Bytes of a participant's or a room's metadata.
    pub metadata: usize,
    /// Bytes of all keys and values of a participant's attributes together.
    pub attributes: usize,
    /// Bytes of any name: a participant's, a track's, a stream's, and a client's own track id.
    pub name: usize,
    /// Entries of any list of numbers that is relayed unread.
    pub relayed: usize,
    /// Bytes of one data message.
    pub data_message: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            participants: 1000,
            heard: 50,
            tracks: 32,
            metadata: 64 * 1024,
            attributes: 64 * 1024,
            name: 256,
            relayed: 32,
            data_message: 64 * 1024,
        }
    }
}

impl Limits {
    pub(crate) fn check_name(&self, name: &str) -> Result<(), Refusal> {
        within(name.len(), self.name)
    }

    pub(crate) fn check_metadata(&self, metadata: &str) -> Result<(), Refusal> {
        within(metadata.len(), self.metadata)
    }

    pub(crate) fn check_attributes(
        &self,
        attributes: &BTreeMap<String, String>,
    ) -> Result<(), Refusal> {
        let bytes = attributes
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        within(bytes, self.attributes)
    }
}

fn within(size: usize, bound: usize) -> Result<(), Refusal> {
    if size <= bound {
        Ok(())
    } else {
        Err(Refusal::LimitExceeded)
    }
}
