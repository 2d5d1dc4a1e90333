//! The links to other servers, as the owner of the rooms sees them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::Control;
use crate::trunk::{LinkEvent, LinkId, LinkOutbox};

/// Links stay up although nothing is said over them yet.
static LINKS: Mutex<BTreeMap<LinkId, LinkOutbox>> = Mutex::new(BTreeMap::new());

impl Control {
    /// Something has happened to a link.
    pub(super) fn link(&mut self, _now: Instant, event: LinkEvent) {
        let mut links = LINKS.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            LinkEvent::Up { link, outbox, .. } => {
                links.insert(link, outbox);
            }
            LinkEvent::Frame { .. } | LinkEvent::RoundTrip { .. } | LinkEvent::Silent { .. } => {}
            LinkEvent::Down { link } => {
                links.remove(&link);
            }
        }
    }
}
