//! Cameras take part in rooms.

use tokio::sync::oneshot;

use super::Control;
use crate::camera::{CameraSpec, CameraStatus};

/// What is to be done about cameras.
#[derive(Debug)]
pub(super) enum CameraMessage {
    Set(Box<CameraSpec>),
    Remove(String),
    List(oneshot::Sender<Vec<CameraStatus>>),
}

impl Control {
    pub(super) fn camera(&mut self, message: CameraMessage) {
        match message {
            CameraMessage::Set(spec) => tracing::debug!(camera = spec.id, "not yet"),
            CameraMessage::Remove(id) => tracing::debug!(camera = id, "not yet"),
            // Who asked may be gone.
            CameraMessage::List(reply) => drop(reply.send(Vec::new())),
        }
    }
}
