//! Cameras that the operator has set: what is kept of them, and what the page and subcommands do.
//!
//! A camera is set here, handed to the owner of the rooms ([`CameraPort`]), and connected by
//! [`crate::camera`]. Passwords come in, are kept in the database, and go to the camera they were
//! entered for: no answer, no log line and no `Debug` holds them.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod import;
mod operator;
mod port;
mod registry;
mod settings;
mod still;
mod trial;

#[cfg(test)]
mod tests;

pub use import::MAX_IMPORT;
pub use operator::CameraError;
pub use port::CameraPort;
pub use registry::{Cameras, StartError};
pub use settings::{Entry, Settings};
pub(crate) use settings::{check_name, check_room, pins};
