//! The types of the page's API that are about cameras; see [`super::api`].
//!
//! | call | body | answer |
//! | --- | --- | --- |
//! | `GET /api/admin/cameras` | | `Vec<CameraEntry>` |
//! | `POST /api/admin/cameras` | [`CameraSettings`] | [`CameraEntry`] |
//! | `POST /api/admin/cameras/{id}` | [`CameraSettings`] | [`CameraEntry`] |
//! | `DELETE /api/admin/cameras/{id}` | | 204 |
//! | `POST /api/admin/cameras/{id}/retry` | | 204 |
//! | `POST /api/admin/cameras/{id}/confirm` | [`ConfirmCamera`] | 204 |
//! | `POST /api/admin/cameras/test` | [`TestCamera`] | [`CameraTested`] |
//! | `POST /api/admin/cameras/import` | [`ImportCameras`] | [`ImportedCameras`] |
//!
//! No answer holds a password, nor what is behind a word such as `password=` in an address.

use std::fmt;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// A camera that is set, and how it stands.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct CameraEntry {
    /// `CA_…`.
    pub id: String,
    /// Shown to people.
    pub name: String,
    /// Where it is seen.
    pub room: String,
    /// Its better stream, or its only one.
    pub main: CameraSource,
    /// Its small one.
    pub sub: Option<CameraSource>,
    /// How packets come.
    pub transport: CameraTransport,
    /// Sound is wanted.
    pub audio: bool,
    /// Connected also while nobody watches.
    pub always_on: bool,
    /// Fingerprints of certificates that were confirmed.
    pub pins: Vec<String>,
    /// It comes from the configuration and can only be changed there.
    pub configured: bool,
    /// How it stands.
    pub state: CameraState,
    /// Why there is no picture, where that is known.
    pub why: Option<String>,
    /// Seconds until the next attempt.
    #[ts(type = "number | null")]
    pub retry_in_s: Option<u64>,
    /// Of a certificate that nobody vouches for, for the operator to confirm.
    pub fingerprint: Option<String>,
    /// What the pictures are.
    pub video: Option<CameraVideo>,
    /// What the sound is.
    pub sound: Option<CameraSound>,
    /// What is not as it should be.
    pub notes: Vec<String>,
    /// Somebody watches.
    pub watched: bool,
    /// Bits per second that come.
    #[ts(type = "number")]
    pub bitrate: u64,
    /// Bytes that are kept for those who come.
    #[ts(type = "number")]
    pub cached_bytes: u64,
}

/// Where a stream comes from, as far as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct CameraSource {
    /// Without user and password; what makers hide in a path is `…`.
    pub address: String,
    /// Who looks.
    pub user: Option<String>,
    /// There is a password.
    pub has_password: bool,
}

/// How packets come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum CameraTransport {
    /// Within the connection.
    Tcp,
    /// By themselves.
    Udp,
}

/// How a camera stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum CameraState {
    /// There are pictures.
    Live,
    /// It is being connected.
    Connecting,
    /// It cannot be reached, or was lost; tried again soon.
    Reconnecting,
    /// Nobody watches.
    Idle,
    /// Somebody has to do something first; tried again seldom.
    Refused,
}

/// What pictures are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct CameraVideo {
    /// `H264` or `H265`.
    pub codec: String,
    /// `High`, for instance.
    pub profile: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// What sound is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct CameraSound {
    /// What is sent to people: `opus`, for instance.
    pub codec: String,
    /// What the camera sends: `AAC, 16000 Hz, mono`.
    pub source: String,
}

/// Sets a camera, or changes one.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CameraSettings {
    /// 1 to 64 characters.
    pub name: String,
    /// Where it is to be seen.
    pub room: String,
    /// Its better stream, or its only one.
    pub main: CameraStream,
    /// Its small one.
    pub sub: Option<CameraStream>,
    /// How packets come.
    pub transport: CameraTransport,
    /// Sound is wanted.
    pub audio: bool,
    /// Connected also while nobody watches.
    pub always_on: bool,
    /// Fingerprints of certificates that are the camera's.
    pub pins: Vec<String>,
}

/// Where a stream comes from, as it is entered. As the address, what was shown means that it stays
/// as it is. A password that is not given stays, unless another host or port is given.
#[derive(Clone, Default, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CameraStream {
    /// May have user and password in it: `rtsp://user:password@192.168.1.20/stream1`.
    pub address: String,
    /// Who looks; empty is nobody, and no password.
    pub user: Option<String>,
    /// Secret.
    pub password: Option<String>,
}

/// Looks at a camera once.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestCamera {
    /// The camera whose password is used where none is given, on its own host and port only.
    pub id: Option<String>,
    /// What to look at.
    pub stream: CameraStream,
    /// How packets come.
    pub transport: CameraTransport,
    /// Sound is wanted.
    pub audio: bool,
    /// Fingerprints of certificates that are the camera's.
    pub pins: Vec<String>,
}

/// What a look at a camera has shown.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct CameraTested {
    /// What was found, if there are pictures.
    pub found: Option<CameraFindings>,
    /// Why there is nothing, or why it ended early.
    pub why: Option<String>,
    /// Of a certificate that nobody vouches for, for the operator to confirm.
    pub fingerprint: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct CameraFindings {
    /// What the pictures are.
    pub video: CameraVideo,
    /// What the sound is.
    pub sound: Option<CameraSound>,
    /// What is not as it should be.
    pub notes: Vec<String>,
    /// Milliseconds until the first picture.
    #[ts(type = "number")]
    pub first_picture_ms: u64,
    /// Pictures per second.
    pub frame_rate: Option<f64>,
    /// Milliseconds between key frames.
    #[ts(type = "number | null")]
    pub key_frame_interval_ms: Option<u64>,
    /// Bits per second of pictures.
    #[ts(type = "number")]
    pub bitrate: u64,
    /// The last key frame.
    pub still: Option<CameraStill>,
}

/// A key frame, for a decoder of the browser's.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct CameraStill {
    /// RFC 6381: `avc1.4D0029`, for instance.
    pub codec: String,
    /// With start codes and parameter sets, in base64.
    pub annex_b: String,
}

/// The operator says that a certificate is the camera's.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfirmCamera {
    /// The one that was shown: another one may have come meanwhile.
    pub fingerprint: String,
}

/// Sets the cameras of another program's configuration.
#[derive(Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportCameras {
    /// Where they are to be seen.
    pub room: String,
    /// The text of `go2rtc.yaml`.
    pub text: String,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ImportedCameras {
    /// Names of cameras that are set now.
    pub added: Vec<String>,
    /// What was left out.
    pub skipped: Vec<SkippedCamera>,
}

/// What was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct SkippedCamera {
    /// As it is called there.
    pub name: String,
    /// Why.
    pub why: String,
}

/// Without the address: it may hold a password.
impl fmt::Debug for CameraStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CameraStream(…)")
    }
}

/// Without the text: it may hold passwords.
impl fmt::Debug for ImportCameras {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImportCameras({})", self.room)
    }
}
