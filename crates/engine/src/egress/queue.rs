//! What waits to be sent.

use std::collections::VecDeque;
use std::sync::Arc;

use umbrella_media::{Outgoing, Packet};

use super::{Format, StreamId};

/// A packet and the numbers under which it will leave. It is sealed only then, because
/// transport-wide number and send time are part of it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) stream: StreamId,
    pub(super) packet: Arc<Packet>,
    pub(super) outgoing: Outgoing,
    pub(super) format: Format,
}

impl Entry {
    fn size(&self) -> usize {
        self.packet.payload.len() + OVERHEAD
    }
}

/// Header, extensions, tag: what a packet has besides its payload, roughly.
const OVERHEAD: usize = 60;

/// A packet that is sent again.
#[derive(Debug, Clone)]
pub(super) enum Resend {
    /// In a packet of the RTX stream.
    Rtx(Entry),
    /// The bytes that were sent, from the stream's own ring.
    Sealed { stream: StreamId, seq: u64 },
}

/// What leaves at the pace of the pacer.
#[derive(Debug, Clone)]
pub(super) enum Paced {
    Resend(Resend),
    Video(Entry),
}

/// Three lines: audio goes at once, resends go before video, video waits for its pace.
///
/// All are bounded. Too much video drops the oldest whole frame; too many audio packets or
/// resends (nobody drains the queue) drop the oldest.
#[derive(Debug, Default)]
pub(super) struct Queue {
    audio: VecDeque<Entry>,
    resends: VecDeque<Resend>,
    video: VecDeque<Entry>,
    video_bytes: usize,
}

pub(super) const MAX_AUDIO: usize = 512;
pub(super) const MAX_RESENDS: usize = 1024;
/// A second at 32 Mbit/s; at the automatic pace it never comes to that.
pub(super) const MAX_VIDEO_BYTES: usize = 4 * 1024 * 1024;
/// Packets may be small.
pub(super) const MAX_VIDEO: usize = 16_384;

/// Video that had to give way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DroppedFrame {
    pub(super) stream: StreamId,
    pub(super) packets: u64,
    /// The highest sequence number that was dropped.
    pub(super) last_seq: u64,
}

impl Queue {
    /// False if an older packet had to go.
    pub(super) fn push_audio(&mut self, entry: Entry) -> bool {
        push_bounded(&mut self.audio, entry, MAX_AUDIO)
    }

    /// False if an older resend had to go.
    pub(super) fn push_resend(&mut self, resend: Resend) -> bool {
        push_bounded(&mut self.resends, resend, MAX_RESENDS)
    }

    /// To be followed by [`Queue::drop_excess`].
    pub(super) fn push_video(&mut self, entry: Entry) -> usize {
        let size = entry.size();
        self.video_bytes += size;
        self.video.push_back(entry);
        size
    }

    /// If there is too much video, takes the oldest frame out.
    pub(super) fn drop_excess(&mut self) -> Option<DroppedFrame> {
        if self.video_bytes <= MAX_VIDEO_BYTES && self.video.len() <= MAX_VIDEO {
            return None;
        }
        let oldest = self.video.front()?;
        let (stream, timestamp) = (oldest.stream, oldest.outgoing.timestamp);
        let mut dropped = DroppedFrame {
            stream,
            packets: 0,
            last_seq: 0,
        };
        let bytes = &mut self.video_bytes;
        self.video.retain(|entry| {
            let keep = entry.stream != stream || entry.outgoing.timestamp != timestamp;
            if !keep {
                *bytes -= entry.size();
                dropped.packets += 1;
                dropped.last_seq = dropped.last_seq.max(entry.outgoing.seq);
            }
            keep
        });
        Some(dropped)
    }

    pub(super) fn pop_audio(&mut self) -> Option<Entry> {
        self.audio.pop_front()
    }

    pub(super) fn pop_paced(&mut self) -> Option<Paced> {
        if let Some(resend) = self.resends.pop_front() {
            return Some(Paced::Resend(resend));
        }
        let entry = self.video.pop_front()?;
        self.video_bytes -= entry.size();
        Some(Paced::Video(entry))
    }

    /// Forgets what a stream has in the queue.
    pub(super) fn remove_stream(&mut self, stream: StreamId) {
        self.audio.retain(|entry| entry.stream != stream);
        self.resends.retain(|resend| match resend {
            Resend::Rtx(entry) => entry.stream != stream,
            Resend::Sealed { stream: other, .. } => *other != stream,
        });
        self.video.retain(|entry| entry.stream != stream);
        self.video_bytes = self.video.iter().map(Entry::size).sum();
    }

    /// Forgets resends of what came before a packet of a stream; how many.
    pub(super) fn forget_resends(&mut self, stream: StreamId, before: u64) -> usize {
        let waiting = self.resends.len();
        self.resends.retain(|resend| match resend {
            Resend::Rtx(entry) => entry.stream != stream || entry.outgoing.seq >= before,
            Resend::Sealed { stream: of, seq } => *of != stream || *seq >= before,
        });
        waiting - self.resends.len()
    }

    /// Nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.audio.is_empty() && !self.has_paced()
    }

    pub(super) fn has_audio(&self) -> bool {
        !self.audio.is_empty()
    }

    pub(super) fn has_paced(&self) -> bool {
        !self.resends.is_empty() || !self.video.is_empty()
    }

    /// Bytes of video that wait.
    pub(super) fn video_bytes(&self) -> usize {
        self.video_bytes
    }
}

fn push_bounded<T>(line: &mut VecDeque<T>, item: T, max: usize) -> bool {
    let room = line.len() < max;
    if !room {
        line.pop_front();
    }
    line.push_back(item);
    room
}
