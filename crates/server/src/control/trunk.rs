//! The links to other servers, as the owner of the rooms sees them.

use std::time::Instant;

use super::Control;
use crate::trunk::LinkEvent;

impl Control {
    /// Something has happened to a link.
    pub(super) fn link(&mut self, _now: Instant, event: LinkEvent) {
        match event {
            LinkEvent::Up {
                link, neighbour, ..
            } => {
                tracing::info!(link = link.0, node = %neighbour.node, name = %neighbour.name,
                    "trunk is up");
            }
            LinkEvent::Frame { .. } | LinkEvent::RoundTrip { .. } | LinkEvent::Silent { .. } => {}
            LinkEvent::Down { link } => tracing::info!(link = link.0, "trunk is down"),
        }
    }
}
