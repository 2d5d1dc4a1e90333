//! Who was turned away, and why.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$of])* $variant,)*
        }

        impl $name {
            /// As labels say them, in order.
            const TEXTS: &'static [&'static str] = &[$($text,)*];
        }
    };
}

closed_set! {
    /// Why somebody could not join a room.
    JoinRefusal {
        /// There was no token.
        NoToken = "no_token",
        /// The token is forged, old, or names nobody.
        BadToken = "bad_token",
        /// The token does not allow it.
        NotAllowed = "not_allowed",
        /// A moderator has removed the guest a moment ago.
        Removed = "removed",
        /// What was sent cannot be read, or is too large.
        BadRequest = "bad_request",
        /// There is no such room.
        NoSuchRoom = "no_such_room",
        /// As many as may are in.
        RoomFull = "room_full",
        /// As many rooms as may be exist.
        TooManyRooms = "too_many_rooms",
        /// As many signalling connections as may be are open.
        TooManyConnections = "too_many_connections",
        /// The server has no memory left for one more.
        NoMemory = "no_memory",
        /// The server is going down.
        ShuttingDown = "shutting_down",
    }
}

/// The statuses that are told apart; all others are `other`.
const STATUSES: [(u16, &str); 11] = [
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (409, "409"),
    (410, "410"),
    (413, "413"),
    (429, "429"),
    (500, "500"),
    (503, "503"),
];

/// Counts of who was turned away at any door of the server.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    joins: [AtomicU64; JoinRefusal::TEXTS.len()],
    statuses: [AtomicU64; STATUSES.len()],
    other_statuses: AtomicU64,
    connections: AtomicU64,
}

impl Doors {
    pub(crate) fn refuse_join(&self, why: JoinRefusal) {
        if let Some(count) = self.joins.get(why as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an answer with a status of 400 or above.
    pub(crate) fn answered(&self, status: u16) {
        if status < 400 {
            return;
        }
        let known = STATUSES.iter().position(|(of, _)| *of == status);
        let count = known.map_or(&self.other_statuses, |index| &self.statuses[index]);
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection that was closed at once: its address has as many as it may.
    pub(crate) fn refuse_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn joins(&self) -> impl Iterator<Item = (&'static str, u64)> {
        JoinRefusal::TEXTS.iter().copied().zip(read(&self.joins))
    }

    pub(super) fn statuses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let other = self.other_statuses.load(Ordering::Relaxed);
        let known = STATUSES.iter().map(|(_, text)| *text);
        known.zip(read(&self.statuses)).chain([("other", other)])
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

fn read(counts: &[AtomicU64]) -> impl Iterator<Item = u64> {
    counts.iter().map(|count| count.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reason_is_counted_as_another() {
        let doors = Doors::default();
        doors.refuse_join(JoinRefusal::ShuttingDown);
        doors.refuse_join(JoinRefusal::NoToken);
        for status in [200, 101, 304, 404, 418, 503, 404] {
            doors.answered(status);
        }
        let counted: Vec<_> = doors.joins().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("no_token", 1), ("shutting_down", 1)]);
        let counted: Vec<_> = doors.statuses().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("404", 2), ("503", 1), ("other", 1)]);
    }
}
