//! The streams of one connection, open and parked.

use std::collections::HashMap;
use std::time::Instant;

use rustc_hash::FxHashMap;
use umbrella_media::Kind;

use super::Opened;
use super::stream::{Lane, Resends, Stream, StreamConfig};
use crate::totals::Sent;

/// An open stream of one [`super::Egress`]. A closed stream's name is never used again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct StreamId {
    slot: u32,
    /// From 1 in a name that was given out.
    generation: u32,
}

/// Why a stream could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Another stream of this connection has the SSRC.
    #[error("SSRC {ssrc} is in use")]
    SsrcInUse {
        /// The SSRC.
        ssrc: u32,
    },
}

/// The streams of one connection.
#[derive(Debug, Default)]
pub(super) struct Streams {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_ssrc: FxHashMap<u32, StreamId>,
    /// SSRCs without a stream: their sequence numbers go on if they come back. As many as the
    /// sections of the connection have, at most.
    parked: HashMap<u32, Lane>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    stream: Option<Box<Stream>>,
}

impl Streams {
    pub(super) fn open(
        &mut self,
        now: Instant,
        config: &StreamConfig,
    ) -> Result<Opened, StreamError> {
        let ssrc = config.ssrc;
        let rtx = match config.resends {
            Resends::Rtx { ssrc } => Some(ssrc),
            Resends::Never | Resends::Sealed => None,
        };
        if rtx == Some(ssrc) || self.by_ssrc.contains_key(&ssrc) {
            return Err(StreamError::SsrcInUse { ssrc });
        }
        if let Some(ssrc) = rtx.filter(|rtx| self.by_ssrc.contains_key(rtx)) {
            return Err(StreamError::SsrcInUse { ssrc });
        }
        let lane = self.unpark(ssrc);
        let rtx = rtx.map(|rtx| self.unpark(rtx));
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let place = &mut self.slots[slot as usize];
        place.generation += 1;
        let stream = StreamId {
            slot,
            generation: place.generation,
        };
        let (next_seq, next_timestamp) = (lane.next_seq, lane.next_timestamp(now));
        self.by_ssrc.insert(ssrc, stream);
        if let Some(rtx) = &rtx {
            self.by_ssrc.insert(rtx.ssrc(), stream);
        }
        place.stream = Some(Box::new(Stream::new(config, lane, rtx, now)));
        Ok(Opened {
            stream,
            next_seq,
            next_timestamp,
        })
    }

    /// What it has sent; `None` if there is no such stream.
    pub(super) fn close(&mut self, stream: StreamId) -> Option<(Kind, Sent)> {
        let slot = self.slots.get_mut(stream.slot as usize);
        let slot = slot.filter(|slot| slot.generation == stream.generation);
        let closed = slot.and_then(|slot| slot.stream.take())?;
        let sent = (closed.kind, closed.sent());
        for lane in [Some(closed.lane), closed.rtx].into_iter().flatten() {
            self.by_ssrc.remove(&lane.ssrc());
            self.parked.insert(lane.ssrc(), lane);
        }
        self.free.push(stream.slot);
        Some(sent)
    }

    /// An SSRC is not opened any more.
    pub(super) fn forget(&mut self, ssrc: u32) {
        self.parked.remove(&ssrc);
    }

    #[cfg(test)]
    pub(super) fn parked(&self) -> usize {
        self.parked.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.slots.iter().filter_map(|slot| slot.stream.as_deref())
    }

    pub(super) fn get(&self, stream: StreamId) -> Option<&Stream> {
        let slot = self.slots.get(stream.slot as usize)?;
        slot.stream
            .as_deref()
            .filter(|_| slot.generation == stream.generation)
    }

    pub(super) fn get_mut(&mut self, stream: StreamId) -> Option<&mut Stream> {
        let slot = self.slots.get_mut(stream.slot as usize)?;
        slot.stream
            .as_deref_mut()
            .filter(|_| slot.generation == stream.generation)
    }

    /// The stream whose media, not resends, have this SSRC.
    pub(super) fn by_ssrc(&mut self, ssrc: u32) -> Option<(StreamId, &mut Stream)> {
        let stream = *self.by_ssrc.get(&ssrc)?;
        let state = self.get_mut(stream)?;
        (state.lane.ssrc() == ssrc).then_some((stream, state))
    }

    fn unpark(&mut self, ssrc: u32) -> Lane {
        self.parked.remove(&ssrc).unwrap_or_else(|| Lane::new(ssrc))
    }
}
