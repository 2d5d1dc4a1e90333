//! Figures for Prometheus.
//!
//! Nothing here is counted twice: packets are counted where they pass, by plain integers of the
//! worker that owns them, and summed when somebody asks ([`crate::control::Handle`] asks all
//! workers then, once for all who wait). So a server that nobody watches does nothing for it.
//!
//! The text is written by hand. The library for it, `prometheus-client`, is kept well, but its way
//! is to hold counters of its own that are touched when something happens, and it writes
//! OpenMetrics, which older scrapers do not read. What is left, lines of text, is shorter than the
//! adapters would be.
//!
//! Labels have values from closed sets only: never a room, an identity or an address. The exception
//! are neighbours of trunks, by their id: the operator has let each of them in, and only those that
//! are linked now are written, 64 at most.

mod doors;
mod families;
mod histogram;
mod page;
mod process;
mod text;

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use umbrella_engine::{ByKind, Totals, Traffic};

use crate::control::Handle;
use crate::memory::Memory;
use crate::tls::InUse;
use crate::trunk::Trunks;
use crate::worker::{Counts, Reading};

pub(crate) use self::doors::{Doors, JoinRefusal};
pub use self::families::reference;
pub(crate) use self::histogram::Histogram;
pub(crate) use self::process::resident_bytes;

/// The media type of [`scrape`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All figures in the text format of Prometheus, version 0.0.4; `None` if the server is going down
/// or too many ask at once. `trunks` and `certificates` are those of the server, if it has any;
/// `started_at` is when the process started.
pub async fn scrape(
    control: &Handle,
    trunks: Option<&Trunks>,
    certificates: Option<&InUse>,
    started_at: SystemTime,
) -> Option<String> {
    let snapshot = control.metrics().await?;
    let states = trunks.map(Trunks::states).unwrap_or_default();
    let process = Process {
        started_at,
        memory: control.memory(),
        certificates: certificates.map(InUse::ends).unwrap_or_default(),
    };
    Some(page::write(&snapshot, &states, control.doors(), &process))
}

/// What is known of the process apart from its rooms.
struct Process<'a> {
    started_at: SystemTime,
    memory: &'a Memory,
    /// Where each is from, and when it ends; Unix time in seconds.
    certificates: Vec<(&'static str, u64)>,
}

/// What the owner of the rooms knows, and what the workers have told it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) rooms: u64,
    pub(crate) participants: u64,
    pub(crate) sessions: u64,
    pub(crate) tracks: ByKind<u64>,
    /// Participants who have come in since the start.
    pub(crate) joined: u64,
    /// Participants who have gone since the start, by [`leave reason`](umbrella_room::model::LeaveReason).
    pub(crate) left: Vec<(&'static str, u64)>,
    /// From a join to media, in seconds.
    pub(crate) join_duration: Histogram,
    /// Events for sessions that do not read: each ended its session.
    pub(crate) events_dropped: u64,
    /// Data messages for sessions whose channels do not open.
    pub(crate) data_dropped: u64,
    /// Links to other servers, by node id.
    pub(crate) trunks: Vec<TrunkSnapshot>,
    /// Frames for neighbours that do not read: each ended its link.
    pub(crate) trunk_frames_dropped: u64,
    pub(crate) workers: Vec<WorkerSnapshot>,
}

/// A link to another server.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrunkSnapshot {
    /// The other server's id.
    pub(crate) node: String,
    /// Its name.
    pub(crate) name: String,
    /// The media connection is up.
    pub(crate) media: bool,
    /// How long a message takes there and back.
    pub(crate) round_trip: Option<Duration>,
    /// How long media takes.
    pub(crate) media_round_trip: Option<Duration>,
    /// What the path to it carries, in bits per second.
    pub(crate) estimate: Option<u64>,
    /// Datagrams of media connections since the start.
    pub(crate) received: Traffic,
    pub(crate) sent: Traffic,
    /// Tracks that come and that go.
    pub(crate) tracks: (u64, u64),
}

/// One worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct WorkerSnapshot {
    /// The last that it has said.
    pub(crate) totals: Totals,
    pub(crate) counts: Counts,
    pub(crate) load: Reading,
    /// Data messages that it had no room for.
    pub(crate) requests_dropped: u64,
    /// It has answered this time.
    pub(crate) answered: bool,
    /// Its UDP port.
    pub(crate) port: u16,
}
