//! What caches may take of a bounded memory.

use std::time::Duration;

use umbrella_media::{GopLimits, HistoryLimits};
use umbrella_room::mesh::MeshLimits;

use super::{KIB, MIB};

/// What a connection over HTTP or TLS takes before it is anybody's: the buffers of TLS, and half of the
/// longest head of a request.
const CONNECTION: u64 = 96 * KIB;

/// What a connection for media over TCP takes while its peer reads.
const MEDIA_CONNECTION: u64 = 32 * KIB;

/// Bounds of caches and of what comes before somebody is let in. Without a bound on memory they are what
/// they would be anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    bound: Option<u64>,
}

impl Shares {
    /// Those that go with a bound in bytes.
    pub(super) fn of(bound: Option<u64>) -> Shares {
        Shares { bound }
    }

    /// Connections over HTTP, of those that are configured: an eighth of the memory. Signalling connections are not among them any more once they are open.
    pub fn http_connections(self, configured: usize) -> usize {
        self.connections(configured, 8, CONNECTION)
    }

    /// Connections for media over TCP, of those that are configured, of each worker: a sixteenth.
    pub fn media_connections(self, configured: usize) -> usize {
        self.connections(configured, 16, MEDIA_CONNECTION)
    }

    fn connections(self, configured: usize, part: u64, each: u64) -> usize {
        let Some(bound) = self.bound else {
            return configured;
        };
        let most = usize::try_from(bound / part / each).unwrap_or(usize::MAX);
        configured.min(most.max(16))
    }

    /// Packets that are kept of each encoding, to be sent again: where memory is bounded, those of one
    /// second, and 256 of them.
    pub fn history(self) -> HistoryLimits {
        match self.bound {
            None => HistoryLimits::default(),
            Some(_) => HistoryLimits {
                video: 256,
                age: Duration::from_secs(1),
            },
        }
    }

    /// Pictures that are kept of each camera: a 64th of the memory.
    pub fn pictures(self) -> GopLimits {
        let unbounded = GopLimits::default();
        GopLimits {
            bytes: self.bytes(64, unbounded.bytes),
            ..unbounded
        }
    }

    /// What a camera that is connected takes, with those pictures.
    pub(crate) fn camera(self) -> u64 {
        MIB + self.pictures().bytes as u64
    }

    /// What those at other servers say of themselves, in each room in which somebody is here: a 32nd.
    pub fn mesh(self) -> MeshLimits {
        let unbounded = MeshLimits::default();
        MeshLimits {
            described: self.bytes(32, unbounded.described),
            ..unbounded
        }
    }

    /// Bytes that wait in the data channels of one connection, of so many without a bound: a 64th of the
    /// memory.
    pub fn channel(self, unbounded: usize) -> usize {
        self.bytes(64, unbounded)
    }

    /// A part of the memory, or less if so much is enough.
    fn bytes(self, part: u64, enough: usize) -> usize {
        let share = self.bound.map(|bound| bound / part);
        let share = share.and_then(|share| usize::try_from(share).ok());
        share.map_or(enough, |share| share.min(enough))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_shrink_although_nobody_has_set_a_bound() {
        let free = Shares::of(None);
        assert_eq!(free.http_connections(4096), 4096);
        assert_eq!(free.media_connections(500), 500);
        assert_eq!(free.history(), HistoryLimits::default());
        assert_eq!(free.pictures(), GopLimits::default());
        assert_eq!(free.channel(1 << 22), 1 << 22);
        assert_eq!(free.mesh().described, 64 << 20);
    }

    #[test]
    fn caches_take_more_than_there_is() {
        let small = Shares::of(Some(128 * MIB));
        assert_eq!(small.http_connections(4096), 170);
        assert_eq!(small.media_connections(500), 256);
        assert_eq!((small.pictures().bytes, small.camera()), (2 << 20, 3 << 20));
        assert_eq!(small.channel(1 << 22), 1 << 21);
        assert_eq!(small.mesh().described, 4 << 20);
        // What is configured counts if it is less, and a page is loaded over six connections.
        assert_eq!(small.http_connections(20), 20);
        assert_eq!(Shares::of(Some(MIB)).http_connections(4096), 16);
    }
}
