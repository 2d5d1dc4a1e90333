//! The types of the page's API that are about trunks; see [`super::api`].
//!
//! | call | body | answer |
//! | --- | --- | --- |
//! | `GET /api/admin/trunks` | | [`TrunkOverview`] |
//! | `GET /api/admin/trunks/nearby` | | [`Nearby`] |
//! | `POST /api/admin/trunks` | [`AddTrunk`] | [`TrunkEntry`] |
//! | `DELETE /api/admin/trunks/{key}` | | 204 |
//! | `POST /api/admin/trunks/{key}/confirm` | [`ConfirmTrunk`] | 204 |
//! | `POST /api/admin/trunks/{key}/retry` | | 204 |
//! | `POST /api/admin/trunks/allowed` | [`AllowServer`] | [`AllowedNow`] |
//! | `DELETE /api/admin/trunks/allowed/{key}` | | 204 |

use std::fmt;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// This server's trunks.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct TrunkOverview {
    /// This server's id.
    pub node: String,
    /// What other servers call this one.
    pub name: String,
    /// It carries media, not only messages.
    pub media: bool,
    /// SHA-256 of this server's own certificate authority, if it has one.
    pub fingerprint: Option<String>,
    /// Servers that are dialled.
    pub entries: Vec<TrunkEntry>,
    /// Servers that may dial.
    pub allowed: Vec<AllowedServer>,
    /// Who was refused lately, newest first.
    pub refusals: Vec<TrunkRefusal>,
}

/// A server that is dialled.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct TrunkEntry {
    /// Names the entry.
    pub key: String,
    /// The other server's address.
    pub url: String,
    /// Patterns of the rooms that are shared; none is all.
    pub rooms: Vec<String>,
    /// Moderators there may act on participants here.
    pub moderate: bool,
    /// It is reached without TLS.
    pub insecure: bool,
    /// It comes from the configuration and can only be removed there.
    pub configured: bool,
    /// How it stands.
    pub state: TrunkState,
    /// Why it is not connected, where that is known.
    pub why: Option<String>,
    /// Seconds until the next attempt.
    #[ts(type = "number | null")]
    pub retry_in_s: Option<u64>,
    /// What the operator is to compare with the other server's, when `state` is `confirm`.
    pub fingerprint: Option<String>,
    /// Who is there, when `state` is `connected`.
    pub neighbour: Option<TrunkNeighbour>,
}

/// How a server that is dialled stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum TrunkState {
    /// It is being dialled.
    Connecting,
    /// The trunk is up.
    Connected,
    /// The other server, or this one, does not want the trunk; tried again seldom.
    Refused,
    /// It cannot be reached, or was lost; tried again soon.
    Reconnecting,
    /// The operator has to say whether an unknown authority is the right one.
    Confirm,
}

/// A server at the other end of a trunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct TrunkNeighbour {
    /// Its id.
    pub node: String,
    /// Its name.
    pub name: String,
    /// Its software's version.
    pub version: String,
    /// It carries media, not only messages.
    pub media: bool,
    /// Milliseconds until a message is answered.
    pub rtt_ms: Option<f64>,
    /// Since when it is connected, in seconds since the Unix epoch.
    #[ts(type = "number")]
    pub since: u64,
}

/// Servers that may dial: those that know a join secret.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct AllowedServer {
    /// The public half of the secret.
    pub key: String,
    /// The operator's name for it.
    pub name: String,
    /// Patterns of the rooms that are shared; none is all.
    pub rooms: Vec<String>,
    /// Moderators there may act on participants here.
    pub moderate: bool,
    /// When a server that has not joined yet is refused, in seconds since the Unix epoch.
    #[ts(type = "number | null")]
    pub expires_at: Option<u64>,
    /// Seconds since the Unix epoch; 0 for one of the configuration.
    #[ts(type = "number")]
    pub created_at: u64,
    /// A server has joined by it.
    pub joined: bool,
    /// It comes from the configuration and can only be removed there.
    pub configured: bool,
    /// Who is there now.
    pub connected: Vec<TrunkNeighbour>,
}

/// Somebody who was refused.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct TrunkRefusal {
    /// Seconds since the Unix epoch.
    #[ts(type = "number")]
    pub at: u64,
    /// Its address.
    pub address: String,
    /// The operator's name for the secret that it named, if that is known.
    pub name: Option<String>,
    /// Why.
    pub why: String,
}

/// Servers of the local network.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Nearby {
    /// The local network is listened to.
    pub listening: bool,
    /// Those that are announced, at most 64, without this one.
    pub servers: Vec<NearbyServer>,
}

/// A server of the local network. What it says of itself is proved by nothing.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct NearbyServer {
    /// Its id.
    pub node: String,
    /// Its name.
    pub name: String,
    /// Its address, for a trunk.
    pub url: String,
    /// There is a trunk to it.
    pub linked: bool,
}

/// Dials another server from now on.
#[derive(Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddTrunk {
    /// The other server's address.
    pub url: String,
    /// A join secret of that server.
    pub secret: String,
    /// Patterns of the rooms that are shared; none is all.
    pub rooms: Vec<String>,
    /// Moderators there may act on participants here.
    pub moderate: bool,
    /// Without TLS, beyond this machine.
    pub insecure: bool,
}

/// The operator says that an authority is the right one.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfirmTrunk {
    /// The one that was shown: another one may have come meanwhile.
    pub fingerprint: String,
}

/// Makes a join secret.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowServer {
    /// The operator's name for the server.
    pub name: String,
    /// Patterns of the rooms that are shared; none is all.
    pub rooms: Vec<String>,
    /// Seconds from now within which a server has to join for the first time; none is any time.
    #[ts(type = "number | null")]
    pub expires_in_s: Option<u64>,
    /// Moderators there may act on participants here.
    pub moderate: bool,
}

/// A new join secret.
#[derive(Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct AllowedNow {
    /// What it allows.
    pub server: AllowedServer,
    /// The secret, shown this once.
    pub secret: String,
    /// Addresses under which other servers can dial this one.
    pub urls: Vec<String>,
}

/// Without the secret.
impl fmt::Debug for AddTrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddTrunk({})", self.url)
    }
}

/// Without the secret.
impl fmt::Debug for AllowedNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AllowedNow({:?})", self.server)
    }
}
