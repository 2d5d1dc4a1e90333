//! Everything that is sent to one peer.
//!
//! One [`Egress`] belongs to one connection. Packets are written with the numbers that a
//! consumer's rewriter gave them, wait in a [queue](self) until the pacer lets them go, and are
//! sealed only then, into one slab: send time and transport-wide number are part of a packet.
//! The peer's RTCP comes back through [`Egress::handle_rtcp`].
//!
//! A packet costs no allocation once the buffers have grown to their size.

mod clock;
mod feedback;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod header;
mod outbox;
mod pacer;
mod probing;
mod queue;
mod rate;
mod report;
mod rtcp;
mod stream;
mod streams;
#[cfg(test)]
mod tests;
mod twcc;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use umbrella_media::{Kind, Outgoing, Packet};

use self::outbox::Outbox;
use self::pacer::Pacer;
use self::queue::{Entry, Paced, Queue, Resend};
use self::rtcp::Item;
use self::streams::Streams;
use crate::congestion::BandwidthEstimator;
use crate::secure::{Sealer, SenderInfo};
use crate::totals::{Asked, ByKind, Sent};

use self::probing::Probing;

pub use self::clock::{ClockPoint, NtpClock};
pub use self::feedback::{Feedback, FeedbackStatistics};
pub use self::header::ExtensionIds;
pub use self::outbox::{Datagrams, Slab};
pub use self::pacer::Pacing;
pub use self::stream::{Resends, StreamConfig};
pub use self::streams::{StreamError, StreamId};
pub use self::twcc::{Arrival, TwccReport};

/// How a packet's payload is announced to this receiver. It comes with every packet, because one
/// stream may alternate between formats (Opus with and without redundancy).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// The payload type.
    pub payload_type: u8,
    /// The payload type of its resends (RFC 4588), if negotiated.
    pub rtx_payload_type: Option<u8>,
    /// The RTP clock in Hz.
    pub clock_rate: u32,
}

/// A stream is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Its name.
    pub stream: StreamId,
    /// The extended sequence number that its first packet must have. If the SSRC was in use
    /// before, this goes on where that ended.
    pub next_seq: u64,
    /// The timestamp that its first packet should have.
    pub next_timestamp: u32,
}

/// What a peer's feedback asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedbackEvent {
    /// The receiver cannot go on without a key frame.
    KeyFrameWanted {
        /// Of this stream.
        stream: StreamId,
    },
    /// The receiver misses a packet: to be answered by [`Egress::resend`], if it can be found.
    Resend {
        /// Of this stream.
        stream: StreamId,
        /// The packet's extended sequence number, [`Outgoing::seq`].
        seq: u64,
    },
}

/// Figures of one stream since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StreamStatistics {
    /// Packets sent, resends not counted.
    pub packets: u64,
    /// Payload bytes sent, resends not counted.
    pub bytes: u64,
    /// Packets sent again.
    pub resent: u64,
    /// Packets that were written but never sent, because the queue was full or they came too
    /// late.
    pub dropped: u64,
    /// Packets lost on the way, as all receiver reports together say.
    pub lost: u64,
    /// Share lost on the way, 0 to 1, as the last receiver report says.
    pub loss: f32,
    /// Jitter, as the last receiver report says.
    pub jitter: Option<Duration>,
    /// Round-trip time, by the last receiver report.
    pub round_trip: Option<Duration>,
    /// Payload bits per second over the last two seconds.
    pub bitrate: u64,
}

/// Figures of a whole [`Egress`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EgressCounters {
    /// Compound packets of the peer whose lengths did not add up.
    pub rtcp_malformed: u64,
    /// Packets that the peer asked for again.
    pub nacked: u64,
    /// Of these, requests that came too often, too late, or for more than is allowed.
    pub nacks_ignored: u64,
    /// Key frames that the peer asked for by a picture loss indication (RFC 4585).
    pub picture_losses: u64,
    /// Key frames that the peer asked for by a full intra request (RFC 5104).
    pub full_intras: u64,
}

impl EgressCounters {
    pub(crate) fn asked(&self) -> Asked {
        Asked {
            packets: self.nacked,
            picture_losses: self.picture_losses,
            full_intras: self.full_intras,
        }
    }
}

/// How an [`Egress`] is set up.
#[derive(Debug, Clone)]
pub struct EgressConfig {
    /// The canonical name in source descriptions: the same for all streams of a connection, so
    /// that the receiver takes their clocks for one. At most 64 bytes are used.
    pub cname: String,
    /// The time of day.
    pub clock: NtpClock,
    /// Spreads the probes of connections over time.
    pub seed: u64,
}

/// Everything that is sent to one peer.
#[derive(Debug)]
pub struct Egress {
    cname: String,
    clock: NtpClock,
    streams: Streams,
    queue: Queue,
    pacer: Pacer,
    outbox: Outbox,
    bandwidth: BandwidthEstimator,
    probing: Probing,
    events: VecDeque<FeedbackEvent>,
    /// Reused to read reports.
    report: TwccReport,
    round_trip: Option<Duration>,
    counters: EgressCounters,
    /// What streams have sent that are closed.
    closed: ByKind<Sent>,
    /// When something was put into the queue last.
    touched: Instant,
    resends: ResendBudget,
}

/// Events that wait to be polled; more requests for resends are ignored, the peer repeats them.
const MAX_EVENTS: usize = 2048;
/// Packets that are looked at in the NACKs of one compound packet.
const MAX_NACKS: u32 = 1024;
/// Transport-wide reports that are looked at in one compound packet.
const MAX_REPORTS: u32 = 8;
/// A packet is not sent again more often than this, whatever the round-trip time.
const RESEND_INTERVAL: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_millis(300));
/// The round-trip time until it is known.
const ROUND_TRIP_GUESS: Duration = Duration::from_millis(50);

impl Egress {
    /// Nothing to send yet.
    pub fn new(config: EgressConfig, now: Instant) -> Egress {
        let mut cname = config.cname;
        let end = (0..=report::MAX_CNAME.min(cname.len()))
            .rev()
            .find(|at| cname.is_char_boundary(*at));
        cname.truncate(end.unwrap_or(0));
        Egress {
            cname,
            clock: config.clock,
            streams: Streams::default(),
            queue: Queue::default(),
            pacer: Pacer::new(now),
            outbox: Outbox::new(config.clock, now),
            bandwidth: BandwidthEstimator::new(now, config.seed),
            probing: Probing::default(),
            events: VecDeque::new(),
            report: TwccReport::default(),
            round_trip: None,
            counters: EgressCounters::default(),
            closed: ByKind::default(),
            touched: now,
            resends: ResendBudget::new(now),
        }
    }

    /// Opens a stream. Keys are not needed yet.
    ///
    /// # Errors
    /// If one of its SSRCs is in use.
    pub fn open_stream(
        &mut self,
        now: Instant,
        config: &StreamConfig,
    ) -> Result<Opened, StreamError> {
        self.streams.open(now, config)
    }

    /// Closes a stream and forgets what it has in the queue. Its SSRCs may be opened again.
    pub fn close_stream(&mut self, stream: StreamId) {
        if let Some((kind, sent)) = self.streams.close(stream) {
            *self.closed.of_mut(kind) += sent;
            self.queue.remove_stream(stream);
            self.probing.forget(stream);
        }
    }

    /// Forgets how far closed SSRCs have come. They must not be opened again: packets that are sealed
    /// under one key need numbers of their own (RFC 3711 section 9.1).
    pub fn forget(&mut self, ssrc: u32, rtx: Option<u32>) {
        self.streams.forget(ssrc);
        if let Some(rtx) = rtx {
            self.streams.forget(rtx);
        }
    }

    /// Puts a packet into the queue; [`Egress::flush`] sends it. Sequence numbers may come out
    /// of order, but each only once.
    pub fn write(
        &mut self,
        now: Instant,
        stream: StreamId,
        packet: &Arc<Packet>,
        outgoing: Outgoing,
        format: Format,
    ) {
        let Some(state) = self.streams.get_mut(stream) else {
            return;
        };
        state.lane.next_seq = state.lane.next_seq.max(outgoing.seq.saturating_add(1));
        self.touched = now;
        let entry = Entry {
            stream,
            packet: packet.clone(),
            outgoing,
            format,
        };
        match state.kind {
            Kind::Audio => {
                if !self.queue.push_audio(entry) {
                    state.counts.dropped += 1;
                }
            }
            Kind::Video => {
                if let Some(payload_type) = state.rtx_payload_type(format) {
                    self.probing.may_pad(stream, payload_type);
                }
                let size = self.queue.push_video(entry);
                self.pacer.written(now, size);
                self.drop_excess();
            }
        }
    }

    /// Answers [`FeedbackEvent::Resend`]: puts a packet into the queue once more, as it was
    /// written. Without RTX nothing happens: such streams resend by themselves.
    pub fn resend(
        &mut self,
        now: Instant,
        stream: StreamId,
        packet: &Arc<Packet>,
        outgoing: Outgoing,
        format: Format,
    ) {
        let Some(state) = self.streams.get_mut(stream) else {
            return;
        };
        if state.rtx_payload_type(format).is_none() {
            return;
        }
        self.touched = now;
        let entry = Entry {
            stream,
            packet: packet.clone(),
            outgoing,
            format,
        };
        self.queue.push_resend(Resend::Rtx(entry));
    }

    /// What comes from `seq` on can be decoded without anything before it: that is not sent again
    /// any more. On a path that has got too slow for a large picture, resends of that would hold
    /// up the small one.
    pub fn forget_before(&mut self, stream: StreamId, seq: u64) {
        if let Some(state) = self.streams.get_mut(stream) {
            state.throttle.raise_floor(seq);
            let forgotten = self.queue.forget_resends(stream, seq);
            let size = state.throttle.mean_size();
            self.resends
                .give_back(size.saturating_mul(forgotten as i64));
        }
    }

    /// Says how the media time of a stream relates to the time of day, as the publisher's
    /// sender reports tell; to be called whenever one arrives and after a switch of encodings.
    /// Without it, arrival times serve.
    pub fn set_clock(&mut self, stream: StreamId, point: ClockPoint) {
        if let Some(state) = self.streams.get_mut(stream) {
            state.set_clock(point);
        }
    }

    /// What would be sent if the path carried it, in bits per second. Beyond the estimate there
    /// are probes.
    pub fn set_demand(&mut self, now: Instant, demand: u64) {
        self.bandwidth.set_demand(now, demand);
    }

    /// What the path carries.
    pub fn bandwidth(&self) -> &BandwidthEstimator {
        &self.bandwidth
    }

    /// Bytes of video that were written and have not left.
    pub fn waiting(&self) -> usize {
        self.queue.video_bytes()
    }

    /// How fast video and resends leave.
    pub fn set_pacing(&mut self, pacing: Pacing) {
        self.pacer.set(pacing);
    }

    /// Seals all that is due into a slab, and returns it: audio, then resends and video as far as
    /// the pacer lets them, then sender reports. To be called after writing, after
    /// [`Egress::handle_rtcp`], and at [`Egress::next_timeout`].
    pub fn flush<'s>(
        &mut self,
        now: Instant,
        sealer: &mut Sealer,
        slab: &'s mut Slab,
    ) -> Datagrams<'s> {
        let before = slab.count();
        self.outbox.begin(now, slab);
        let numbered = self.outbox.feedback().statistics().sent;
        while let Some(entry) = self.queue.pop_audio() {
            self.outbox.send(now, sealer, &mut self.streams, &entry);
        }
        self.bandwidth.handle_timeout(now);
        self.flush_probe(now, sealer);
        if self.queue.has_paced() && !self.probing.is_active() {
            self.pacer.fill(now, self.queue.video_bytes());
            self.flush_paced(now, sealer);
        }
        if self.outbox.feedback().statistics().sent != numbered {
            self.bandwidth.on_sent();
        }
        self.outbox
            .send_reports(now, sealer, &mut self.streams, &self.cname);
        self.outbox.end(slab);
        slab.since(before)
    }

    /// When [`Egress::flush`] has something to do; the past means at once. Only of use once
    /// there are keys.
    pub fn next_timeout(&self) -> Option<Instant> {
        let queue = match self.queue.is_empty() {
            true => None,
            false if self.queue.has_audio() || self.pacer.may_send() => Some(self.touched),
            false => Some(self.pacer.next_tick()),
        };
        let estimator = self.bandwidth.next_timeout();
        [queue, self.probing.next_tick(), estimator]
            .into_iter()
            .flatten()
            .min()
    }

    /// Reads a compound packet of the peer, decrypted. To be followed by
    /// [`Egress::poll_event`] until it is `None`.
    pub fn handle_rtcp(&mut self, now: Instant, compound: &[u8]) {
        let mut budget = Budget {
            nacks: MAX_NACKS,
            reports: MAX_REPORTS,
        };
        let read = rtcp::read(compound, &mut |item| {
            self.handle_item(now, item, &mut budget)
        });
        if read.is_err() {
            self.counters.rtcp_malformed += 1;
        }
    }

    /// What the peer's feedback asks for.
    pub fn poll_event(&mut self) -> Option<FeedbackEvent> {
        let event = self.events.pop_front()?;
        if let FeedbackEvent::KeyFrameWanted { stream } = event
            && let Some(state) = self.streams.get_mut(stream)
        {
            state.key_frame_wanted = false;
        }
        Some(event)
    }

    /// What a sender report says of an SSRC of ours at `now`; `None` if it is silent. Whoever
    /// asks sends the report, so the next one of our own is put off.
    pub fn sender_info(&mut self, now: Instant, ssrc: u32) -> Option<SenderInfo> {
        let (_, state) = self.streams.by_ssrc(ssrc)?;
        let info = state.sender_info(&self.clock, now)?;
        state.reported = Some(now);
        Some(info)
    }

    /// Figures of a stream; `None` if it is closed.
    pub fn statistics(&self, now: Instant, stream: StreamId) -> Option<StreamStatistics> {
        Some(self.streams.get(stream)?.statistics(now))
    }

    /// Round-trip time to the peer, by its receiver reports, smoothed.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// What became of what was sent.
    pub fn feedback(&self) -> &Feedback {
        self.outbox.feedback()
    }

    /// What all streams have sent, also those that are closed. A look at each open stream.
    pub fn sent(&self) -> ByKind<Sent> {
        let mut sum = self.closed;
        for stream in self.streams.iter() {
            *sum.of_mut(stream.kind) += stream.sent();
        }
        sum
    }

    /// Figures of the whole connection.
    pub fn counters(&self) -> EgressCounters {
        self.counters
    }

    fn flush_paced(&mut self, now: Instant, sealer: &mut Sealer) {
        while self.pacer.may_send() {
            let Some(bytes) = self.send_paced(now, sealer) else {
                return;
            };
            self.pacer.spend(bytes);
        }
    }

    /// Sends what waits longest; `None` if nothing does.
    fn send_paced(&mut self, now: Instant, sealer: &mut Sealer) -> Option<usize> {
        let streams = &mut self.streams;
        Some(match self.queue.pop_paced()? {
            Paced::Video(entry) => self.outbox.send(now, sealer, streams, &entry),
            Paced::Resend(Resend::Rtx(entry)) => self.outbox.send_rtx(now, sealer, streams, &entry),
            Paced::Resend(Resend::Sealed { stream, seq }) => {
                self.outbox.send_sealed(streams, stream, seq)
            }
        })
    }

    /// Sends what is due of a probe: media that waits, else padding.
    fn flush_probe(&mut self, now: Instant, sealer: &mut Sealer) {
        while let Some(cluster) = self.probing.due(now, || self.bandwidth.poll_probe()) {
            self.outbox.set_cluster(Some(cluster));
            let bytes = self.send_paced(now, sealer).or_else(|| {
                let pad = self.probing.padding()?;
                let streams = &mut self.streams;
                Some(self.outbox.send_padding(now, sealer, streams, pad))
            });
            self.outbox.set_cluster(None);
            match bytes {
                Some(bytes) if bytes > 0 => self.probing.spend(bytes),
                Some(_) | None => self.probing.abandon(),
            }
        }
    }

    fn drop_excess(&mut self) {
        while let Some(dropped) = self.queue.drop_excess() {
            if let Some(state) = self.streams.get_mut(dropped.stream) {
                state.counts.dropped += dropped.packets;
                // They will be missed, but without them only a key frame helps.
                state
                    .throttle
                    .raise_floor(dropped.last_seq.saturating_add(1));
            }
            self.want_key_frame(dropped.stream);
        }
    }

    fn want_key_frame(&mut self, stream: StreamId) {
        if let Some(state) = self.streams.get_mut(stream)
            && !state.key_frame_wanted
        {
            state.key_frame_wanted = true;
            self.events
                .push_back(FeedbackEvent::KeyFrameWanted { stream });
        }
    }

    fn handle_item(&mut self, now: Instant, item: Item<'_>, budget: &mut Budget) {
        match item {
            Item::Report(block) => {
                let ntp = self.clock.ntp(now);
                if let Some((_, state)) = self.streams.by_ssrc(block.ssrc)
                    && let Some(measured) = state.report_block(&block, ntp)
                {
                    let smoothed = |old: Duration| (old * 7 + measured) / 8;
                    self.round_trip = Some(self.round_trip.map_or(measured, smoothed));
                }
            }
            Item::Nack { ssrc, first, more } => self.handle_nack(now, ssrc, (first, more), budget),
            Item::PictureLoss { ssrc } => {
                self.counters.picture_losses += 1;
                if let Some((stream, _)) = self.streams.by_ssrc(ssrc) {
                    self.want_key_frame(stream);
                }
            }
            Item::FullIntra { ssrc, number } => {
                self.counters.full_intras += 1;
                if let Some((stream, state)) = self.streams.by_ssrc(ssrc)
                    && state.last_full_intra.replace(number) != Some(number)
                {
                    self.want_key_frame(stream);
                }
            }
            Item::TransportCc(packet) => {
                if budget.reports == 0 {
                    return;
                }
                budget.reports -= 1;
                match self.report.read(packet) {
                    Ok(()) => {
                        let results = self.outbox.feedback_mut().report(&self.report);
                        let round_trip = self.round_trip;
                        self.bandwidth.on_feedback(now, round_trip, results);
                    }
                    Err(twcc::Malformed) => self.counters.rtcp_malformed += 1,
                }
            }
            Item::Remb { bitrate } => {
                self.outbox.feedback_mut().remb(bitrate);
                self.bandwidth.on_remb(bitrate);
            }
        }
    }

    /// One entry of a NACK: a packet, and a bit for each of the next sixteen.
    fn handle_nack(
        &mut self,
        now: Instant,
        ssrc: u32,
        (first, more): (u16, u16),
        budget: &mut Budget,
    ) {
        let missing = u32::from(more) << 1 | 1;
        let (shortest, longest) = RESEND_INTERVAL;
        // A little less than the time in which a resend can be known to have failed.
        let round_trip = self.round_trip.unwrap_or(ROUND_TRIP_GUESS);
        let interval = (round_trip * 3 / 4).clamp(shortest, longest);
        // What is sent already the path has carried, whatever the estimate says.
        let path = self.bandwidth.estimate().max(self.pacer.written_rate(now));
        let informed = self.bandwidth.is_informed();
        self.resends.fill(now, informed.then_some(path));
        for offset in (0..17u16).filter(|bit| missing >> bit & 1 == 1) {
            if budget.nacks == 0 {
                return;
            }
            budget.nacks -= 1;
            self.counters.nacked += 1;
            let stream = self.streams.by_ssrc(ssrc);
            let stream = stream.filter(|_| self.resends.is_open());
            let granted = stream.and_then(|(stream, state)| {
                let seq = state.extend(first.wrapping_add(offset))?;
                let granted = state.throttle.admit(now, seq, interval);
                granted.then_some((stream, state, seq))
            });
            let Some((stream, state, seq)) = granted else {
                self.counters.nacks_ignored += 1;
                continue;
            };
            self.resends.spend(state.throttle.mean_size());
            if let Some(sealed) = &mut state.sealed {
                sealed.begin();
                self.touched = now;
                self.queue.push_resend(Resend::Sealed { stream, seq });
            } else if state.rtx.is_some() && self.events.len() < MAX_EVENTS {
                self.events.push_back(FeedbackEvent::Resend { stream, seq });
            } else {
                self.counters.nacks_ignored += 1;
            }
        }
    }
}

/// What resends may take of the path. On one that has just got slow, much is lost at once; to send
/// all of it again would keep the path full for seconds, and lose more.
///
/// A resend is paid for when it is granted, at the mean size of its stream's packets: paid for when
/// it leaves, a burst of requests would be granted whole, and what is lost afterwards would not be
/// sent again for seconds.
#[derive(Debug)]
struct ResendBudget {
    /// More than a packet below nothing it never is.
    bytes: i64,
    filled: Instant,
    /// Nothing is known of the path, so all is granted.
    boundless: bool,
}

impl ResendBudget {
    /// Share of what the path carries.
    const SHARE: u64 = 2;
    /// What may be sent at once, in time of that share, and at least.
    const BURST: (Duration, i64) = (Duration::from_millis(500), 20_000);

    fn new(now: Instant) -> ResendBudget {
        ResendBudget {
            bytes: ResendBudget::BURST.1,
            filled: now,
            boundless: true,
        }
    }

    /// For the time that has passed, on a path that carries so many bits per second.
    fn fill(&mut self, now: Instant, path: Option<u64>) {
        self.boundless = path.is_none();
        let Some(path) = path else {
            return;
        };
        let bytes_in = |time: Duration| {
            let bits = path / ResendBudget::SHARE * time.as_micros() as u64 / 1_000_000;
            i64::try_from(bits / 8).unwrap_or(i64::MAX)
        };
        let (longest, least) = ResendBudget::BURST;
        let passed = now.saturating_duration_since(self.filled).min(longest);
        let most = bytes_in(longest).max(least);
        self.bytes = self.bytes.saturating_add(bytes_in(passed)).min(most);
        self.filled = self.filled.max(now);
    }

    /// Whether something may be sent again.
    fn is_open(&self) -> bool {
        self.boundless || self.bytes > 0
    }

    fn spend(&mut self, bytes: i64) {
        if !self.boundless {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// What was granted is not sent after all.
    fn give_back(&mut self, bytes: i64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// What one compound packet may cost.
struct Budget {
    nacks: u32,
    reports: u32,
}
