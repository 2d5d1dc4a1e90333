//! The types of the page's API that are about the network of servers; see [`super::api`].
//!
//! | call | body | answer |
//! | --- | --- | --- |
//! | `GET /api/admin/topology` | | [`Topology`] |

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The network of servers as this one knows it, and what flows over its own links.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Topology {
    /// This server's id; one of `nodes` as soon as there has been a link.
    pub me: String,
    /// Another server with the same id was heard of since this one was started.
    pub copied: bool,
    /// Every server that can be reached, by id; at most 256.
    pub nodes: Vec<TopologyNode>,
    /// This server's own links, the oldest first; at most 64.
    pub links: Vec<TrunkFlow>,
}

/// A server of the network, as it describes itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct TopologyNode {
    /// Its id.
    pub node: String,
    /// Its name.
    pub name: String,
    /// Its software's version.
    pub version: String,
    /// It carries media, not only messages.
    pub media: bool,
    /// Its links, by the other server's id; at most 128.
    pub links: Vec<TopologyLink>,
}

/// A link of a server, as that server describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct TopologyLink {
    /// The server at the other end.
    pub node: String,
    /// Milliseconds until a message is answered, once known.
    pub rtt_ms: Option<u32>,
    /// Media can pass.
    pub media: bool,
}

/// One of this server's own links, and what flows over it now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct TrunkFlow {
    /// The server at the other end.
    pub node: String,
    /// Its name.
    pub name: String,
    /// This server has dialled the link.
    pub dialled: bool,
    /// The server without media that has put both in touch, of a direct link.
    pub introducer: Option<String>,
    /// How the media connection stands.
    pub media: TrunkMedia,
    /// `udp` or `tcp`, while the media connection is up.
    pub protocol: Option<String>,
    /// Milliseconds until a message is answered.
    pub rtt_ms: Option<f64>,
    /// Round-trip time of media in milliseconds, once something was sent.
    pub media_rtt_ms: Option<f64>,
    /// What the path to the other server carries, in bits per second, once its reports have told.
    #[ts(type = "number | null")]
    pub estimate: Option<u64>,
    /// Seconds since what is wanted over the link has changed last.
    #[ts(type = "number | null")]
    pub demand_changed_s: Option<u64>,
    /// What comes.
    pub received: TrunkTraffic,
    /// What goes.
    pub sent: TrunkTraffic,
}

/// How the media connection of a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum TrunkMedia {
    /// One of the two servers carries no media.
    Off,
    /// It is not up yet.
    Down,
    /// It did not come up, or was lost, and is tried again.
    Failed,
    /// Media can pass.
    Up,
}

/// What flows over a link in one direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct TrunkTraffic {
    /// Datagrams of the media connection, since this server knows the other one.
    #[ts(type = "number")]
    pub packets: u64,
    /// Their bytes.
    #[ts(type = "number")]
    pub bytes: u64,
    /// Bits per second now; unknown until the page has asked for some seconds.
    #[ts(type = "number | null")]
    pub bitrate: Option<u64>,
    /// How many tracks.
    pub count: u32,
    /// The tracks by id, the first 200 of them.
    pub tracks: Vec<TrunkTrack>,
}

/// A track on a link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct TrunkTrack {
    /// Its id.
    pub id: String,
    /// In which room.
    pub room: String,
    /// Who publishes it.
    pub identity: String,
    /// Its publisher's name.
    pub name: String,
    /// Where it is published: a server's id.
    pub origin: String,
    /// `audio` or `video`.
    pub kind: String,
    /// `camera`, `microphone`, `screen_share`, `screen_share_audio` or `unknown`.
    pub source: String,
    /// What of it is on the link, lowest first.
    pub layers: Vec<TrunkLayer>,
    /// Nothing of it is sent, because the link does not carry it.
    pub starved: bool,
}

/// A layer of a track on a link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct TrunkLayer {
    /// 0 lowest to 2 highest; that of sound is 0.
    pub layer: u8,
    /// How often it is on the link: once.
    pub copies: u32,
    /// Bits per second of all copies.
    #[ts(type = "number")]
    pub bitrate: u64,
}
