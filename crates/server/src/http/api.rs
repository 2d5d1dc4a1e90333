//! The types of the page's own HTTP API. The page's TypeScript is generated from them.
//!
//! All paths are below the configured prefix. Every answer that is not 2xx has an
//! [`ApiError`] as its body. Calls under `/api/admin/` need an admin session (cookie) and, when
//! they change something, the header `X-Umbrella-CSRF` with [`AdminSession::csrf`].
//!
//! | call | body | answer |
//! | --- | --- | --- |
//! | `GET /api/session` | | [`AdminSession`] |
//! | `POST /api/setup` | [`SetupRequest`] | [`AdminSession`], sets the cookie |
//! | `POST /api/login` | [`LoginRequest`] | [`AdminSession`], sets the cookie |
//! | `POST /api/logout` | | 204 |
//! | `GET /api/invite/{token}` | | [`InviteInfo`] |
//! | `POST /api/invite/{token}/join` | [`JoinRequest`] | [`JoinGrant`] |
//! | `GET /api/admin/rooms` | | `Vec<RoomSummary>` |
//! | `POST /api/admin/rooms` | [`CreateRoom`] | [`RoomSummary`] |
//! | `DELETE /api/admin/rooms/{room}` | | 204 |
//! | `GET /api/admin/rooms/{room}` | | [`RoomDetail`] |
//! | `POST /api/admin/rooms/{room}/join` | [`JoinRequest`] | [`JoinGrant`] |
//! | `DELETE /api/admin/rooms/{room}/participants/{identity}` | | 204 |
//! | `POST /api/admin/rooms/{room}/tracks/{track}/mute` | [`MuteRequest`] | 204 |
//! | `GET /api/admin/invites` | | `Vec<Invite>` |
//! | `POST /api/admin/invites` | [`CreateInvite`] | [`CreatedInvite`] |
//! | `DELETE /api/admin/invites/{id}` | | 204 |
//! | `GET /api/admin/keys` | | `Vec<ApiKey>` |
//! | `POST /api/admin/keys` | [`CreateKey`] | [`CreatedKey`] |
//! | `DELETE /api/admin/keys/{key}` | | 204 |
//! | `GET /api/admin/status` | | [`Status`] |
//! | `POST /api/admin/certificate/retry` | | 204 |
//!
//! Those of trunks and cameras are with their types: [`TrunkOverview`], [`Topology`],
//! [`CameraEntry`].

use serde::{Deserialize, Serialize};
use ts_rs::TS;

pub use super::camera_api::*;
pub use super::topology_api::*;
pub use super::trunk_api::*;

/// What went wrong, for people and for programs.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ApiError {
    /// A stable word: `unauthorized`, `forbidden`, `not_found`, `invalid`, `conflict`,
    /// `expired`, `used_up`, `rate_limited`, `unavailable`, `internal`.
    pub code: String,
    /// A sentence for the person who sees it.
    pub message: String,
    /// Seconds to wait, when rate-limited.
    pub retry_after_s: Option<u32>,
}

/// Who is looking at the page.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct AdminSession {
    /// Whether this browser is signed in as the admin.
    pub signed_in: bool,
    /// Whether an admin password has been set at all.
    pub password_set: bool,
    /// To be sent back in `X-Umbrella-CSRF`; empty when not signed in.
    pub csrf: String,
    /// The server's version.
    pub version: String,
    /// The server's name, shown in the page's head.
    pub server_name: String,
}

/// Sets the admin's password with the one-time link's code.
#[derive(Debug, Clone, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetupRequest {
    /// The code in the link `…/sfu#/setup/CODE`.
    pub code: String,
    /// The new password, 8 to 1024 characters.
    pub password: String,
}

/// Signs the admin in.
#[derive(Debug, Clone, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoginRequest {
    /// The admin's password.
    pub password: String,
}

/// What an invite allows whoever comes by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// See, hear and chat.
    Watch,
    /// And send camera, microphone and screen.
    Talk,
    /// And mute, forbid and remove others.
    Moderate,
}

/// What a guest sees before joining.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct InviteInfo {
    /// The room.
    pub room: String,
    /// Whether the guest may send camera, microphone and screen, or only watch.
    pub can_publish: bool,
    /// Whether the guest may mute, forbid and remove others.
    pub can_moderate: bool,
    /// Participants in the room now, as far as the guest will see them.
    pub participants: u32,
    /// The server's name.
    pub server_name: String,
}

/// A person wants to join.
#[derive(Debug, Clone, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JoinRequest {
    /// The name they gave, 1 to 64 characters after trimming.
    pub name: String,
    /// Kept by the browser's tab, so that a reload replaces the old self instead of joining
    /// as a second one. 8 to 64 characters of `[A-Za-z0-9_-]`.
    pub client_id: String,
}

/// What a client needs to connect.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct JoinGrant {
    /// The path to be put behind the page's own origin to get the WebSocket URL, e.g. `` or
    /// `/umbrella`.
    pub prefix: String,
    /// The access token.
    pub token: String,
    /// The room.
    pub room: String,
    /// The identity.
    pub identity: String,
    /// Whether camera, microphone and screen may be sent.
    pub can_publish: bool,
    /// Whether others may be muted, forbidden to send, and removed.
    pub can_moderate: bool,
}

/// A room in a list.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct RoomSummary {
    /// Its name.
    pub name: String,
    /// Whether it was created by the admin and stays while empty.
    pub permanent: bool,
    /// Participants now.
    pub participants: u32,
    /// Of these, the ones that publish.
    pub publishers: u32,
    /// Seconds since the Unix epoch.
    #[ts(type = "number")]
    pub created_at: u64,
}

/// Creates a room.
#[derive(Debug, Clone, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateRoom {
    /// 1 to 64 characters after trimming, no control characters, no `/`.
    pub name: String,
}

/// A room with everybody in it.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct RoomDetail {
    /// The room.
    pub summary: RoomSummary,
    /// Who is in, oldest first.
    pub participants: Vec<ParticipantDetail>,
}

/// A participant as the admin sees it.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantDetail {
    /// Who.
    pub identity: String,
    /// Shown to people.
    pub name: String,
    /// `joined` or `active`.
    pub state: String,
    /// Not shown to the others.
    pub hidden: bool,
    /// A camera, of this server or of a linked one.
    pub camera: bool,
    /// Milliseconds since the Unix epoch.
    #[ts(type = "number")]
    pub joined_at_ms: u64,
    /// SDK and version, as the client says.
    pub client: String,
    /// `udp`, `tcp` or empty while not connected.
    pub protocol: String,
    /// Milliseconds.
    pub rtt_ms: Option<f32>,
    /// What it publishes.
    pub tracks: Vec<TrackDetail>,
    /// How many tracks it receives.
    pub subscriptions: u32,
}

/// A published track as the admin sees it.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct TrackDetail {
    /// `TR_…`.
    pub id: String,
    /// `audio` or `video`.
    pub kind: String,
    /// `camera`, `microphone`, `screen_share`, `screen_share_audio` or `unknown`.
    pub source: String,
    /// Its name.
    pub name: String,
    /// `video/VP8` and the like; empty while unknown.
    pub codec: String,
    /// Muted by its publisher or a moderator.
    pub muted: bool,
    /// Encodings, lowest first.
    pub layers: Vec<LayerDetail>,
    /// How many subscribers get it.
    pub subscribers: u32,
}

/// One encoding of a track.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct LayerDetail {
    /// Pixels, 0 if unknown.
    pub width: u32,
    /// Pixels, 0 if unknown.
    pub height: u32,
    /// Bits per second that arrive.
    #[ts(type = "number")]
    pub bitrate: u64,
    /// Packets that never came, since the start.
    #[ts(type = "number")]
    pub lost: u64,
}

/// Mutes or unmutes somebody's track.
#[derive(Debug, Clone, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MuteRequest {
    /// On or off.
    pub muted: bool,
}

/// An invite link without its secret.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Invite {
    /// For revoking it.
    pub id: String,
    /// The room.
    pub room: String,
    /// What it allows.
    pub role: Role,
    /// Seconds since the Unix epoch; `null` is never.
    #[ts(type = "number | null")]
    pub expires_at: Option<u64>,
    /// Joins that it still allows; `null` is unbounded.
    pub uses_left: Option<u32>,
    /// Joins so far.
    pub uses: u32,
    /// The cameras that whoever comes by it may see, by identity, some of which may be gone;
    /// `null` is all of the room.
    pub cameras: Option<Vec<String>>,
    /// Seconds since the Unix epoch.
    #[ts(type = "number")]
    pub created_at: u64,
}

/// Makes an invite link.
#[derive(Debug, Clone, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateInvite {
    /// The room; it is made if it does not exist.
    pub room: String,
    /// What it allows.
    pub role: Role,
    /// Seconds from now; `null` is never.
    #[ts(type = "number | null")]
    pub expires_in_s: Option<u64>,
    /// How many joins; `null` is unbounded.
    pub uses: Option<u32>,
    /// The cameras to be seen, by identity, 64 at most, of 1 to 64 characters each; `null` is all
    /// of the room, those included that are added later.
    pub cameras: Option<Vec<String>>,
}

/// A new invite with its link, shown once.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct CreatedInvite {
    /// The invite.
    pub invite: Invite,
    /// The page's path with the secret, below the page's own origin:
    /// `PREFIX/sfu#/join/TOKEN`. Behind `#`, so that it reaches no access log.
    pub path: String,
    /// Whole links, one for every address of this server.
    pub urls: Vec<String>,
}

/// An API key without its secret.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// The key.
    pub key: String,
    /// A note for people.
    pub note: String,
    /// Seconds since the Unix epoch.
    #[ts(type = "number")]
    pub created_at: u64,
    /// From configuration or environment: cannot be revoked here.
    pub configured: bool,
}

/// Makes an API key.
#[derive(Debug, Clone, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateKey {
    /// A note for people, at most 200 characters.
    pub note: String,
}

/// A new API key, with the secret for this once.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct CreatedKey {
    /// The key.
    pub key: ApiKey,
    /// The secret.
    pub secret: String,
}

/// The state of the server.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The server's version.
    pub version: String,
    /// Seconds since the start.
    #[ts(type = "number")]
    pub uptime_s: u64,
    /// Addresses at which the page can be opened.
    pub page_urls: Vec<String>,
    /// Addresses that are advertised for media, as `udp 192.0.2.1:40000`.
    pub media_addresses: Vec<String>,
    /// The certificate by ACME, if one is wanted.
    pub certificate: Option<CertificateStatus>,
    /// The workers.
    pub workers: Vec<WorkerStatus>,
    /// Its memory.
    pub memory: MemoryStatus,
    /// What is held for clients.
    pub held: Held,
    /// Every room with everybody in it.
    pub rooms: Vec<RoomDetail>,
}

/// How things are with the certificate of a public authority.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// The names that are wanted.
    pub domains: Vec<String>,
    /// Whether there is one that has not expired. Otherwise the server's own is served.
    pub in_use: bool,
    /// Who has issued the one that there is.
    pub issuer: Option<String>,
    /// Until when that is valid, Unix time in seconds.
    #[ts(type = "number | null")]
    pub valid_until: Option<u64>,
    /// Why the last try to get one failed, if it did.
    pub last_error: Option<String>,
    /// When one is asked for next, Unix time in seconds. What is past is being done.
    #[ts(type = "number")]
    pub next_try: u64,
}

impl From<crate::tls::Report> for CertificateStatus {
    fn from(report: crate::tls::Report) -> Self {
        Self {
            domains: report.domains,
            in_use: report.in_use,
            issuer: report.issuer,
            valid_until: report.valid_until,
            last_error: report.last_error,
            next_try: report.next_try,
        }
    }
}

/// What a browser can try, to find out what it reaches.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct CheckPlan {
    /// The media ports.
    pub ports: Vec<u16>,
    /// Whether media go over UDP.
    pub udp: bool,
    /// Whether media go over TCP.
    pub tcp: bool,
    /// Relays.
    pub relays: Vec<CheckServer>,
}

/// A relay, as browsers are told.
#[derive(Clone, Serialize, TS)]
pub struct CheckServer {
    /// Its addresses, as `turn:turn.example.org:3478`.
    pub urls: Vec<String>,
    /// The user.
    pub username: String,
    /// The password.
    pub credential: String,
}

/// Without the credential.
impl std::fmt::Debug for CheckServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CheckServer({:?})", self.urls)
    }
}

/// A peer connection that only tells whether a port is reached.
#[derive(Debug, Clone, Deserialize, TS)]
pub struct CheckOffer {
    /// The media port.
    pub port: u16,
    /// The browser's description.
    pub sdp: String,
}

/// The server's end of it.
#[derive(Debug, Clone, Serialize, TS)]
pub struct CheckAnswer {
    /// The server's description.
    pub sdp: String,
}

/// How the server's memory stands.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct MemoryStatus {
    /// What the process occupies; `null` if the system does not say.
    #[ts(type = "number | null")]
    pub resident_bytes: Option<u64>,
    /// What it may occupy; `null` is unbounded.
    #[ts(type = "number | null")]
    pub bound_bytes: Option<u64>,
    /// Nothing new is let in.
    pub tight: bool,
    /// What was refused since the start, for want of memory.
    pub refused: Vec<MemoryRefusals>,
}

/// Refusals for want of memory.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct MemoryRefusals {
    /// Of what: `join`, `track`, `subscription`, `camera` or `trunk`.
    pub work: String,
    /// How many.
    #[ts(type = "number")]
    pub count: u64,
}

/// How many things the server holds for its clients. When all have gone, it is back at what it
/// was before they came; something that stays is a leak.
#[derive(Debug, Clone, Default, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// Rooms, permanent ones included.
    pub rooms: u32,
    /// Participants in them.
    pub participants: u32,
    /// Connected clients.
    pub sessions: u32,
    /// Their peer connections.
    pub transports: u32,
    /// Tracks that were announced.
    pub tracks: u32,
    /// Subscriptions.
    pub subscriptions: u32,
    /// Deadlines of rooms and of sessions that end.
    pub deadlines: u32,
    /// Peer connections in the workers; `null` until all workers have said so, a moment after
    /// the first look.
    pub worker_transports: Option<u32>,
    /// Published tracks in the workers.
    pub worker_producers: Option<u32>,
    /// Subscriptions in the workers.
    pub worker_consumers: Option<u32>,
    /// Asynchronous tasks: one for every connection, and a few of the server itself.
    pub tasks: u32,
}

/// One worker thread.
#[derive(Debug, Clone, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct WorkerStatus {
    /// Counted from 0.
    pub index: u32,
    /// UDP and TCP port.
    pub port: u16,
    /// Share of time spent working over the last seconds, 0 to 1.
    pub busy: f32,
    /// Peer connections.
    pub transports: u32,
    /// Datagrams per second received.
    pub datagrams_in: u32,
    /// Datagrams per second sent.
    pub datagrams_out: u32,
    /// Datagrams since the start that belonged to nobody.
    #[ts(type = "number")]
    pub strays: u64,
}
