//! Cameras: whoever speaks RTSP becomes pictures and sound for a room.
//!
//! This is the door of a camera as `signal` is that of a client and `trunk` that of another server:
//! it connects and connects again, bounds what comes, and makes of it what browsers take. Rooms,
//! engine and database are unknown here.
//!
//! A [`Session`] is one connection. A [`Keeper`] has one for as long as it is wanted. A [`Camera`]
//! is one or two keepers: main stream and substream are layers of the same pictures. [`probe`]
//! looks once and tells.

mod address;
mod audio;
mod clock;
mod framing;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod gate;
mod keeper;
mod layers;
mod probe;
mod reason;
mod session;
mod spec;
mod start;

#[cfg(test)]
mod tests;

pub use address::{Address, BadAddress, Credentials};
pub use audio::{AudioFormat, Sound, Transcoder};
pub use keeper::{Keeper, Mode, Pace, Setup, State};
pub use layers::{Camera, Streams};
pub use probe::{Findings, probe, probe_until};
pub use reason::{Reason, Step};
pub use session::{After, Event, Limits, Note, Options, Picture, Session, Transport, VideoFormat};
pub use spec::{CameraSpec, CameraStatus, MAX_CAMERAS};

/// MiB of a picture at most.
const MAX_PICTURE_MIB: usize = umbrella_media::nal::MAX_PICTURE >> 20;
