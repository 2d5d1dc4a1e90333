//! Where packets are sealed.

use std::slice;
use std::time::Instant;

use umbrella_media::Patch;

use super::StreamId;
use super::clock::{NtpClock, abs_send_time};
use super::feedback::Feedback;
use super::header::Fields;
use super::queue::Entry;
use super::report::Reports;
use super::stream::{Lane, Last};
use super::streams::Streams;
use crate::secure::{SealError, Sealer};

/// Sealed datagrams, one after another.
///
/// Whoever sends lends one to all the connections that it serves, one after the other: a slab of
/// its own for each would be memory that no cache holds when its turn comes.
#[derive(Debug, Default)]
pub struct Slab {
    bytes: Vec<u8>,
    /// Where each datagram ends.
    ends: Vec<usize>,
    /// Scratch for one header.
    header: Vec<u8>,
    /// Scratch for a payload that is not sent as it is.
    payload: Vec<u8>,
}

impl Slab {
    /// Forgets all datagrams, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Bytes of all datagrams.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends a datagram.
    pub fn push(&mut self, datagram: &[u8]) {
        self.bytes.extend_from_slice(datagram);
        self.close();
    }

    /// Seals a packet behind the others: the header in the scratch, and `payload` or the one in
    /// the scratch.
    fn seal(
        &mut self,
        sealer: &mut Sealer,
        lane: &mut Lane,
        seq: u64,
        payload: Option<&[u8]>,
    ) -> Result<(), SealError> {
        let payload = payload.unwrap_or(&self.payload);
        let index = lane.index(sealer)?;
        sealer.seal_rtp(index, seq, &self.header, payload, &mut self.bytes)
    }

    /// Ends a datagram whose bytes are there.
    fn close(&mut self) {
        self.ends.push(self.bytes.len());
    }

    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// The datagrams from one on.
    pub(super) fn since(&self, first: usize) -> Datagrams<'_> {
        let before = first.checked_sub(1).and_then(|last| self.ends.get(last));
        Datagrams {
            slab: &self.bytes,
            ends: self.ends.get(first..).unwrap_or_default().iter(),
            start: before.copied().unwrap_or(0),
        }
    }
}

/// Where packets are sealed.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Lent for the time of a flush.
    slab: Slab,
    feedback: Feedback,
    /// The probe that packets belong to that are sent now.
    cluster: Option<u32>,
    clock: NtpClock,
    /// What `abs-send-time` says in this flush.
    send_time: [u8; 3],
    reports: Reports,
    /// Streams that have sent and want to say so in a sender report.
    due: Vec<StreamId>,
}

/// Datagrams that are ready for the wire, in their order.
#[derive(Debug, Clone)]
pub struct Datagrams<'a> {
    slab: &'a [u8],
    ends: slice::Iter<'a, usize>,
    start: usize,
}

impl<'a> Iterator for Datagrams<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = *self.ends.next()?;
        let datagram = &self.slab[self.start..end];
        self.start = end;
        Some(datagram)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ends.size_hint()
    }
}

impl ExactSizeIterator for Datagrams<'_> {}

impl Outbox {
    pub(super) fn new(clock: NtpClock, now: Instant) -> Outbox {
        Outbox {
            slab: Slab::default(),
            feedback: Feedback::new(now),
            cluster: None,
            clock,
            send_time: [0; 3],
            reports: Reports::default(),
            due: Vec::new(),
        }
    }

    /// Borrows the slab into which packets are sealed that leave now.
    pub(super) fn begin(&mut self, now: Instant, slab: &mut Slab) {
        std::mem::swap(&mut self.slab, slab);
        self.send_time = abs_send_time(self.clock.ntp(now));
    }

    /// Gives the slab back.
    pub(super) fn end(&mut self, slab: &mut Slab) {
        std::mem::swap(&mut self.slab, slab);
    }

    pub(super) fn feedback(&self) -> &Feedback {
        &self.feedback
    }

    pub(super) fn feedback_mut(&mut self) -> &mut Feedback {
        &mut self.feedback
    }

    /// What is sent from now on belongs to this probe.
    pub(super) fn set_cluster(&mut self, cluster: Option<u32>) {
        self.cluster = cluster;
    }

    /// Sends a packet for the first time. Returns the size of the datagram; 0 if there is none.
    pub(super) fn send(
        &mut self,
        now: Instant,
        sealer: &mut Sealer,
        streams: &mut Streams,
        entry: &Entry,
    ) -> usize {
        let Some(stream) = streams.get_mut(entry.stream) else {
            return 0;
        };
        let fields = self.fields(entry, entry.format.payload_type);
        let slab = &mut self.slab;
        stream
            .template
            .write(&entry.packet, fields, &mut slab.header);
        let payload = &*entry.packet.payload;
        let seq = entry.outgoing.seq;
        let patched = patch_into(&mut slab.payload, payload, None, &entry.outgoing.patch);
        let payload = (!patched).then_some(payload);
        let start = slab.bytes.len();
        if slab.seal(sealer, &mut stream.lane, seq, payload).is_err() {
            stream.counts.dropped += 1;
            return 0;
        }
        let size = slab.bytes.len() - start;
        let received = entry.packet.received;
        let (timestamp, rate) = (entry.outgoing.timestamp, entry.format.clock_rate);
        let last = Last {
            timestamp,
            rate,
            received,
            sent: now,
        };
        let first = stream.counts.packets == 0;
        let bytes = entry.packet.payload.len();
        stream.lane.sent(bytes, last, first);
        stream.counts.packets += 1;
        stream.counts.bytes += bytes as u64;
        stream.rate.add(now, bytes);
        stream.throttle.sent(size);
        if let Some(ring) = &mut stream.sealed {
            ring.keep(seq, &self.slab.bytes[start..]);
        }
        if stream.report_due(now) {
            stream.reported = Some(now);
            self.due.push(entry.stream);
        }
        let numbered = stream.template.has_transport_cc();
        self.finish(now, size, numbered);
        size
    }

    /// Sends a packet again on the RTX SSRC (RFC 4588 section 4): a new packet with a sequence
    /// number of its own, and the original one before the payload.
    pub(super) fn send_rtx(
        &mut self,
        now: Instant,
        sealer: &mut Sealer,
        streams: &mut Streams,
        entry: &Entry,
    ) -> usize {
        let Some(stream) = streams.get_mut(entry.stream) else {
            return 0;
        };
        let Some(payload_type) = stream.rtx_payload_type(entry.format) else {
            return 0;
        };
        let fields = self.fields(entry, payload_type);
        let slab = &mut self.slab;
        stream
            .template
            .write(&entry.packet, fields, &mut slab.header);
        let Some(lane) = &mut stream.rtx else {
            return 0;
        };
        let original = entry.outgoing.seq as u16;
        let (payload, patch) = (&entry.packet.payload, &entry.outgoing.patch);
        patch_into(&mut slab.payload, payload, Some(original), patch);
        let seq = lane.next_seq;
        // Before the cipher sees it, so that no failure can lead to the same number again.
        lane.next_seq += 1;
        let start = slab.bytes.len();
        if slab.seal(sealer, lane, seq, None).is_err() {
            return 0;
        }
        let size = slab.bytes.len() - start;
        stream.counts.resent += 1;
        let numbered = stream.template.has_transport_cc();
        self.finish(now, size, numbered);
        size
    }

    /// Sends a packet of nothing but padding on the RTX SSRC of a stream, for a probe when there
    /// is no media to be sent. It takes no number of the media. Returns the size of the datagram;
    /// 0 if the stream cannot.
    pub(super) fn send_padding(
        &mut self,
        now: Instant,
        sealer: &mut Sealer,
        streams: &mut Streams,
        (stream, payload_type): (StreamId, u8),
    ) -> usize {
        let Some(state) = streams.get_mut(stream) else {
            return 0;
        };
        let numbered = state.template.has_transport_cc();
        let (Some(lane), Some(last), true) = (&mut state.rtx, state.lane.last, numbered) else {
            return 0;
        };
        let fields = Fields {
            payload_type,
            marker: false,
            timestamp: last.timestamp,
            transport_cc: self.feedback.next_number(),
            abs_send_time: self.send_time,
            frame_number: None,
        };
        let slab = &mut self.slab;
        state.template.write_padding(fields, &mut slab.header);
        slab.payload.clear();
        slab.payload.resize(usize::from(u8::MAX) - 1, 0);
        slab.payload.push(u8::MAX);
        let seq = lane.next_seq;
        lane.next_seq += 1;
        let start = slab.bytes.len();
        if slab.seal(sealer, lane, seq, None).is_err() {
            return 0;
        }
        let size = slab.bytes.len() - start;
        self.finish(now, size, numbered);
        size
    }

    /// Sends the very bytes once more that were sent before. Its transport-wide number is the
    /// old one, so nothing is recorded.
    pub(super) fn send_sealed(
        &mut self,
        streams: &mut Streams,
        stream: StreamId,
        seq: u64,
    ) -> usize {
        let Some(stream) = streams.get_mut(stream) else {
            return 0;
        };
        let Some(bytes) = stream.sealed.as_ref().and_then(|ring| ring.get(seq)) else {
            return 0;
        };
        self.slab.push(bytes);
        stream.counts.resent += 1;
        bytes.len()
    }

    /// Sends a sender report for each stream that wants one.
    pub(super) fn send_reports(
        &mut self,
        now: Instant,
        sealer: &mut Sealer,
        streams: &mut Streams,
        cname: &str,
    ) {
        while let Some(id) = self.due.pop() {
            let Some(stream) = streams.get(id) else {
                continue;
            };
            let Some(info) = stream.sender_info(&self.clock, now) else {
                continue;
            };
            self.reports.add(stream.lane.ssrc(), info);
            if self.reports.is_full(cname) {
                self.seal_reports(sealer, cname);
            }
        }
        if !self.reports.is_empty() {
            self.seal_reports(sealer, cname);
        }
    }

    fn seal_reports(&mut self, sealer: &mut Sealer, cname: &str) {
        if sealer
            .seal_rtcp(self.reports.take(cname), &mut self.slab.bytes)
            .is_ok()
        {
            self.slab.close();
        }
        self.reports.clear();
    }

    fn fields(&self, entry: &Entry, payload_type: u8) -> Fields {
        Fields {
            payload_type,
            marker: entry.outgoing.marker,
            timestamp: entry.outgoing.timestamp,
            transport_cc: self.feedback.next_number(),
            abs_send_time: self.send_time,
            frame_number: entry.outgoing.frame_number,
        }
    }

    fn finish(&mut self, now: Instant, size: usize, numbered: bool) {
        self.slab.close();
        if numbered {
            self.feedback.sent(now, size, self.cluster);
        }
    }
}

/// Lays out a payload that differs from the shared one: with `original` before it, and patched.
/// False if there is no difference, and then nothing is laid out.
fn patch_into(out: &mut Vec<u8>, payload: &[u8], original: Option<u16>, patch: &Patch) -> bool {
    if original.is_none() && patch.bytes().is_empty() {
        return false;
    }
    out.clear();
    let start = match original {
        Some(original) => {
            out.extend_from_slice(&original.to_be_bytes());
            2
        }
        None => 0,
    };
    out.extend_from_slice(payload);
    patch.apply(&mut out[start..]);
    true
}
