//! What the owner of the rooms is told of cameras, and what it tells of them.

use umbrella_media::Spatial;

use super::audio::AudioFormat;
use super::keeper::State;
use super::layers::Streams;
use super::session::{Note, VideoFormat};

/// A camera that is to be in a room.
#[derive(Debug, Clone)]
pub struct CameraSpec {
    /// `CA_…`: random, and the same for as long as the camera is set.
    pub id: String,
    /// Shown to people.
    pub name: String,
    /// Where it is to be seen.
    pub room: String,
    /// Where its pictures come from.
    pub streams: Streams,
}

/// How things stand with a camera.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraStatus {
    /// Of its [`CameraSpec`].
    pub id: String,
    /// Of its best layer.
    pub state: State,
    /// Each layer, from the lowest.
    pub layers: Vec<(Spatial, State)>,
    /// What the pictures are, if there are any.
    pub video: Option<VideoFormat>,
    /// What the sound is, if there is any.
    pub audio: Option<AudioFormat>,
    /// What is not as it should be.
    pub notes: Vec<Note>,
    /// Whether somebody watches.
    pub watched: bool,
    /// Bytes that are kept for those who come.
    pub cached_bytes: usize,
    /// Bits per second that come.
    pub bitrate: u64,
}
