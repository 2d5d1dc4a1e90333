//! What the operator has set of a camera, and what is told of it.

use umbrella_media::Spatial;

use super::audio::AudioFormat;
use super::keeper::State;
use super::layers::Streams;
use super::session::{Note, VideoFormat};

/// Cameras of a server at most.
pub const MAX_CAMERAS: usize = 64;

/// A camera as the operator has set it.
#[derive(Debug, Clone)]
pub struct CameraSpec {
    /// `CA_…`: never changes, and is the identity under which it takes part.
    pub id: String,
    /// Shown to people.
    pub name: String,
    /// Where it takes part.
    pub room: String,
    /// Where its pictures and its sound come from, and when it is connected.
    pub streams: Streams,
}

/// How things stand with a camera. Holds no credentials.
#[derive(Debug, Clone)]
pub struct CameraStatus {
    /// [`CameraSpec::id`].
    pub id: String,
    /// Of all layers together: it is live if one of them is.
    pub state: State,
    /// Of each layer, the lowest first.
    pub layers: Vec<(Spatial, State)>,
    /// The best pictures that it has, or had when it was last connected.
    pub video: Option<VideoFormat>,
    /// The sound that it has, or had.
    pub audio: Option<AudioFormat>,
    /// What is not as it should be.
    pub notes: Vec<Note>,
    /// Whether somebody sees or hears it.
    pub watched: bool,
    /// Bytes that are kept for those who begin to watch.
    pub cached_bytes: usize,
    /// Bits per second that come from it.
    pub bitrate: u64,
}
