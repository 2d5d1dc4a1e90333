//! A probe on its way out.

use std::time::{Duration, Instant};

use super::StreamId;
use crate::congestion::ProbeCluster;

/// A probe leaves in bursts of about this length.
const TICK: Duration = Duration::from_millis(2);

/// Sends probes at their rate.
#[derive(Debug, Default)]
pub(super) struct Probing {
    active: Option<Active>,
    /// The stream on whose RTX SSRC there may be padding, and its payload type there.
    padding: Option<(StreamId, u8)>,
}

#[derive(Debug)]
struct Active {
    cluster: ProbeCluster,
    began: Instant,
    flushed: Instant,
    sent: usize,
}

impl Probing {
    pub(super) fn may_pad(&mut self, stream: StreamId, payload_type: u8) {
        self.padding = Some((stream, payload_type));
    }

    pub(super) fn forget(&mut self, stream: StreamId) {
        self.padding = self.padding.filter(|(padded, _)| *padded != stream);
    }

    pub(super) fn padding(&self) -> Option<(StreamId, u8)> {
        self.padding
    }

    pub(super) fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// The probe of which a packet is due; `next` gives the one after the last.
    pub(super) fn due(
        &mut self,
        now: Instant,
        next: impl FnOnce() -> Option<ProbeCluster>,
    ) -> Option<u32> {
        if self.active.as_ref().is_none_or(Active::is_over) {
            self.active = next().map(|cluster| Active {
                cluster,
                began: now,
                flushed: now,
                sent: 0,
            });
        }
        let active = self.active.as_mut()?;
        active.flushed = now;
        (active.sent <= active.allowed(now)).then_some(active.cluster.id)
    }

    pub(super) fn spend(&mut self, bytes: usize) {
        if let Some(active) = &mut self.active {
            active.sent += bytes;
        }
    }

    /// There is nothing to send it with.
    pub(super) fn abandon(&mut self) {
        self.active = None;
    }

    /// When more of it is due.
    pub(super) fn next_tick(&self) -> Option<Instant> {
        self.active.as_ref().map(|active| active.flushed + TICK)
    }
}

impl Active {
    fn is_over(&self) -> bool {
        self.sent >= self.cluster.bytes
    }

    /// Bytes that may have left by now.
    fn allowed(&self, now: Instant) -> usize {
        let micros = now.saturating_duration_since(self.began).as_micros();
        let bytes = micros * u128::from(self.cluster.rate) / 8_000_000;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}
