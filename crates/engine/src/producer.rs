//! One published track: its encodings, who gets it, and what its publisher is asked for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::media::{Mid, Rid};
use umbrella_media::{
    Codec, GopCache, GopLimits, History, HistoryLimits, Kind, Layers, LevelMeter, Liveness, Packet,
    Parser, Reports, SenderReport, Spatial,
};

use crate::allocation::LayerRates;
use crate::api::{EncodingStatistics, FeedStream, ProducerId, ProducerStatistics, TransportId};
use crate::arena::Key;
use crate::consumer::Consumer;
use crate::meter::Meter;
use crate::source::Local;
use crate::totals::Received;
use crate::transport::Transport;
use crate::worker::Mirror;

/// An encoding without packets for this long, while another one has some, counts as stopped.
pub(crate) const ENCODING_TIMEOUT: Duration = Duration::from_secs(1);
/// How often stopped encodings are looked for.
const LIVENESS_INTERVAL: Duration = Duration::from_millis(250);
/// A key frame that does not come is asked for so many times.
const KEY_FRAME_ATTEMPTS: u32 = 20;

/// One published track.
#[derive(Debug)]
pub(crate) struct Producer {
    pub(crate) id: ProducerId,
    pub(crate) origin: Origin,
    /// Workers that keep a mirror of it.
    pub(crate) mirrors: Vec<usize>,
    pub(crate) kind: Kind,
    pub(crate) stereo: bool,
    /// How much is kept of each encoding.
    history: HistoryLimits,
    pub(crate) paused: bool,
    /// What arrives is measured and goes no further.
    pub(crate) quiet: bool,
    /// What it sends; `None` before the first packet.
    pub(crate) codec: Option<Codec>,
    /// Who gets it.
    pub(crate) routes: Vec<Key<Consumer>>,
    /// What has arrived and was not yet forwarded.
    pub(crate) burst: Vec<Arc<Packet>>,
    /// The latest sender reports, on the publisher's clock.
    pub(crate) reports: Reports,
    pub(crate) meter: LevelMeter,
    /// The meter has something that was not reported.
    pub(crate) heard: bool,
    /// What its layers cost.
    pub(crate) rates: LayerRates,
    /// What has come since the last key frames, for those who begin to watch.
    pub(crate) cache: Option<GopCache>,
    rids: Vec<Rid>,
    encodings: [Option<Encoding>; Spatial::COUNT],
    /// What encodings have counted that were replaced.
    past: Received,
    liveness: Liveness,
    check_liveness_at: Option<Instant>,
}

/// Where its packets come from.
#[derive(Debug)]
pub(crate) enum Origin {
    /// From a peer of this worker.
    Peer {
        transport: Key<Transport>,
        /// The section that carries it.
        mid: Mid,
    },
    /// From the worker that it lives on.
    Mirror(Mirror),
    /// From another server, over the trunk that it is connected to now.
    Feed(Option<Source>),
    /// From the owner.
    Local(Local),
}

/// Where the media of a feed come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// A trunk.
    pub(crate) transport: Key<Transport>,
    pub(crate) streams: Vec<FeedStream>,
}

/// One encoding (simulcast layer) of a track.
#[derive(Debug)]
struct Encoding {
    rid: Option<Rid>,
    ssrc: u32,
    parser: Parser,
    history: History,
    ask: KeyFrameAsk,
    packets: u64,
    bytes: u64,
    key_frames: u64,
    /// The timestamp of the newest key frame, of which several packets may be the beginning.
    key_frame: Option<u32>,
    key_frame_requests: u64,
    first_seq: u64,
    highest_seq: u64,
    meter: Meter,
}

/// Whether the publisher owes us a key frame.
#[derive(Debug, Clone, Copy)]
enum KeyFrameAsk {
    /// Nobody needs one. It was last asked at this time.
    Idle { last: Option<Instant> },
    /// Somebody needs one; it is to be asked (again) at this time.
    Wanted { at: Instant, attempts: u32 },
}

/// A key frame request to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyFrameRequest {
    pub(crate) encoding: Spatial,
    pub(crate) rid: Option<Rid>,
}

/// What a packet has brought about at its producer.
#[derive(Debug, Default)]
pub(crate) struct Arrival {
    /// The codec is new.
    pub(crate) codec: Option<Codec>,
    /// The set of live layers has changed.
    pub(crate) live: Option<Layers>,
}

impl Producer {
    pub(crate) fn new(
        id: ProducerId,
        origin: Origin,
        kind: Kind,
        rids: &[String],
        stereo: bool,
        history: HistoryLimits,
    ) -> Self {
        Producer {
            id,
            origin,
            mirrors: Vec::new(),
            kind,
            stereo,
            history,
            paused: false,
            quiet: false,
            codec: None,
            routes: Vec::new(),
            burst: Vec::new(),
            reports: Reports::default(),
            meter: LevelMeter::new(),
            heard: false,
            rates: LayerRates::new(),
            cache: None,
            rids: rids.iter().map(|rid| rid.as_str().into()).collect(),
            encodings: [None, None, None],
            past: Received::default(),
            liveness: Liveness::new(),
            check_liveness_at: None,
        }
    }

    /// It keeps its pictures since the last key frames.
    pub(crate) fn keep(mut self, limits: Option<GopLimits>) -> Self {
        let limits = limits.filter(|_| self.kind == Kind::Video);
        self.cache = limits.map(GopCache::new);
        self
    }

    /// The place of an encoding by its name; `None` for one that was not announced.
    pub(crate) fn encoding_of(&self, rid: Option<Rid>) -> Option<Spatial> {
        let Some(rid) = rid else {
            return Some(Spatial::LOW);
        };
        match self.rids.iter().position(|known| *known == rid) {
            Some(index) => Spatial::new(index as u8),
            None => self.rids.is_empty().then_some(Spatial::LOW),
        }
    }

    /// A parser for an encoding that sends `codec` on `ssrc`; a new one when either has changed.
    pub(crate) fn parser(
        &mut self,
        encoding: Spatial,
        rid: Option<Rid>,
        ssrc: u32,
        codec: Codec,
        now: Instant,
    ) -> &mut Parser {
        let (kind, history) = (self.kind, self.history);
        if self.is_replaced(encoding, ssrc, codec) {
            self.forget(encoding);
        }
        let slot = &mut self.encodings[encoding.index()];
        let known = slot.get_or_insert_with(|| Encoding {
            rid,
            ssrc,
            parser: Parser::new(codec),
            history: History::new(kind, history),
            ask: KeyFrameAsk::Idle { last: None },
            packets: 0,
            bytes: 0,
            key_frames: 0,
            key_frame: None,
            key_frame_requests: 0,
            first_seq: 0,
            highest_seq: 0,
            meter: Meter::new(now),
        });
        &mut known.parser
    }

    /// The peer that sends it; `None` for a mirror, for what the owner hands in, and for a feed
    /// without a source.
    pub(crate) fn transport(&self) -> Option<Key<Transport>> {
        match &self.origin {
            Origin::Peer { transport, .. } => Some(*transport),
            Origin::Feed(source) => source.as_ref().map(|source| source.transport),
            Origin::Mirror(_) | Origin::Local(_) => None,
        }
    }

    /// It lives on another worker.
    pub(crate) fn is_mirror(&self) -> bool {
        match &self.origin {
            Origin::Mirror(_) => true,
            Origin::Peer { .. } | Origin::Feed(_) | Origin::Local(_) => false,
        }
    }

    /// What it was and has sent comes no more, or from elsewhere.
    pub(crate) fn lose_source(&mut self) {
        for encoding in (0..).map_while(Spatial::new) {
            self.forget(encoding);
        }
        self.burst.clear();
        self.liveness = Liveness::new();
        self.check_liveness_at = None;
        // Whoever mirrors it is told again, with how it is announced now.
        self.codec = None;
    }

    /// An encoding comes no more, or from elsewhere.
    pub(crate) fn lose_encoding(&mut self, encoding: Spatial) {
        self.forget(encoding);
        self.liveness.forget(encoding);
    }

    /// What comes next of an encoding does not go on where it was.
    pub(crate) fn forget(&mut self, encoding: Spatial) {
        if let Some(replaced) = self.encodings[encoding.index()].take() {
            self.past += replaced.received();
        }
        self.reports[encoding.index()] = None;
        if let Some(cache) = &mut self.cache {
            cache.forget(encoding);
        }
    }

    /// Whether an encoding was replaced: its SSRC or codec is another than that of `ssrc`.
    pub(crate) fn is_replaced(&self, encoding: Spatial, ssrc: u32, codec: Codec) -> bool {
        let known = self.encodings[encoding.index()].as_ref();
        known.is_some_and(|e| e.ssrc != ssrc || e.parser.codec() != codec)
    }

    /// Notes a packet. `None` if it came twice.
    pub(crate) fn receive(&mut self, now: Instant, packet: &Arc<Packet>) -> Option<Arrival> {
        let encoding = self.encodings[packet.encoding.index()].as_mut()?;
        if !encoding.history.insert(packet.clone()) {
            return None;
        }
        if let Some(cache) = &mut self.cache {
            cache.insert(packet);
        }
        let bytes = packet.payload.len();
        if encoding.packets == 0 {
            encoding.first_seq = packet.seq;
        }
        encoding.packets += 1;
        encoding.bytes += bytes as u64;
        encoding.first_seq = encoding.first_seq.min(packet.seq);
        encoding.highest_seq = encoding.highest_seq.max(packet.seq);
        encoding.meter.add(now, bytes);
        self.rates.add(now, packet);
        if packet.descriptor.key_frame {
            encoding.note_key_frame(now, packet.timestamp);
        }
        if let Some(level) = packet.audio_level {
            self.meter.add(level);
        }
        let mut arrival = Arrival::default();
        if self.codec != Some(packet.codec) {
            self.codec = Some(packet.codec);
            arrival.codec = Some(packet.codec);
        }
        let new = self.liveness.note(packet, ENCODING_TIMEOUT);
        if new || self.check_liveness_at.is_none_or(|at| at <= now) {
            self.check_liveness_at = Some(now + LIVENESS_INTERVAL);
            arrival.live = Some(self.liveness.live(ENCODING_TIMEOUT));
        }
        Some(arrival)
    }

    /// The layers that are arriving. A mirror that has not had a packet yet believes its home.
    pub(crate) fn live(&self) -> Layers {
        let seen = self.liveness.live(ENCODING_TIMEOUT);
        match &self.origin {
            Origin::Mirror(mirror) if seen.is_empty() => mirror.live,
            Origin::Mirror(_) | Origin::Peer { .. } | Origin::Feed(_) | Origin::Local(_) => seen,
        }
    }

    /// Whether a packet of an encoding has come.
    pub(crate) fn has(&self, encoding: Spatial) -> bool {
        self.encodings[encoding.index()].is_some()
    }

    /// A packet for a resend.
    pub(crate) fn packet(&self, encoding: Spatial, seq: u64) -> Option<&Arc<Packet>> {
        let known = self.encodings[encoding.index()].as_ref();
        let cached = || self.cache.as_ref()?.get(encoding, seq);
        known.and_then(|it| it.history.get(seq)).or_else(cached)
    }

    /// The newest packets of an encoding after `seq`.
    pub(crate) fn after(&self, encoding: Spatial, seq: u64) -> impl Iterator<Item = &Arc<Packet>> {
        let encoding = self.encodings[encoding.index()].iter();
        encoding.flat_map(move |encoding| encoding.history.after(seq))
    }

    /// A sender report of the publisher for one encoding.
    pub(crate) fn report(&mut self, rid: Option<Rid>, report: SenderReport) {
        if let Some(encoding) = self.encoding_of(rid) {
            self.report_on(encoding, report);
        }
    }

    /// A sender report on one encoding.
    pub(crate) fn report_on(&mut self, encoding: Spatial, report: SenderReport) {
        self.reports[encoding.index()] = Some(report);
    }

    /// Somebody needs a key frame of an encoding.
    pub(crate) fn want_key_frame(&mut self, now: Instant, encoding: Spatial, interval: Duration) {
        let Some(encoding) = &mut self.encodings[encoding.index()] else {
            return; // its first packet is a part of a key frame
        };
        if let KeyFrameAsk::Idle { last } = encoding.ask {
            let at = last.map_or(now, |last| now.max(last + interval));
            encoding.ask = KeyFrameAsk::Wanted { at, attempts: 0 };
        }
    }

    /// The key frame requests that are due.
    pub(crate) fn due_requests(
        &mut self,
        now: Instant,
        interval: Duration,
    ) -> impl Iterator<Item = KeyFrameRequest> {
        let places = (0..).map_while(Spatial::new);
        places
            .zip(&mut self.encodings)
            .filter_map(|(place, encoding)| Some((place, encoding.as_mut()?)))
            .filter_map(move |(place, encoding)| match encoding.ask {
                KeyFrameAsk::Wanted { at, attempts } if at <= now => {
                    encoding.ask = if attempts < KEY_FRAME_ATTEMPTS {
                        KeyFrameAsk::Wanted {
                            at: now + interval,
                            attempts: attempts + 1,
                        }
                    } else {
                        KeyFrameAsk::Idle { last: Some(now) }
                    };
                    encoding.key_frame_requests += 1;
                    Some(KeyFrameRequest {
                        encoding: place,
                        rid: encoding.rid,
                    })
                }
                KeyFrameAsk::Wanted { .. } | KeyFrameAsk::Idle { .. } => None,
            })
    }

    /// When [`Producer::due_requests`] has something to say.
    pub(crate) fn next_request(&self) -> Option<Instant> {
        let due = |encoding: &Encoding| match encoding.ask {
            KeyFrameAsk::Wanted { at, .. } => Some(at),
            KeyFrameAsk::Idle { .. } => None,
        };
        self.encodings.iter().flatten().filter_map(due).min()
    }

    /// What has arrived since it was opened, of all encodings together.
    pub(crate) fn received(&self) -> Received {
        let present = self.encodings.iter().flatten().map(Encoding::received);
        present.fold(self.past, |sum, received| sum + received)
    }

    pub(crate) fn statistics(
        &self,
        now: Instant,
        transport: Option<TransportId>,
    ) -> ProducerStatistics {
        let last = self
            .encodings
            .iter()
            .rposition(Option::is_some)
            .map_or(0, |last| last + 1);
        let encodings = self.encodings[..last]
            .iter()
            .map(|encoding| match encoding {
                Some(encoding) => EncodingStatistics {
                    packets: encoding.packets,
                    bytes: encoding.bytes,
                    lost: encoding.lost(),
                    key_frame_requests: encoding.key_frame_requests,
                    bitrate: encoding.meter.bits_per_second(now),
                },
                None => EncodingStatistics::default(),
            });
        let refused = match &self.origin {
            Origin::Local(local) => local.refused,
            Origin::Peer { .. } | Origin::Mirror(_) | Origin::Feed(_) => 0,
        };
        ProducerStatistics {
            producer: self.id,
            transport,
            kind: self.kind,
            cached: self.cache.as_ref().map_or(0, GopCache::bytes),
            refused,
            paused: self.paused,
            codec: self.codec,
            encodings: encodings.collect(),
        }
    }
}

impl Encoding {
    fn note_key_frame(&mut self, now: Instant, timestamp: u32) {
        if self.key_frame.replace(timestamp) != Some(timestamp) {
            self.key_frames += 1;
        }
        if let KeyFrameAsk::Wanted { .. } = self.ask {
            self.ask = KeyFrameAsk::Idle { last: Some(now) };
        }
    }

    /// Numbers that were sent, as far as is known, and have not come.
    fn lost(&self) -> u64 {
        let expected = match self.packets {
            0 => 0,
            _ => self.highest_seq - self.first_seq + 1,
        };
        expected.saturating_sub(self.packets)
    }

    fn received(&self) -> Received {
        Received {
            packets: self.packets,
            bytes: self.bytes,
            lost: self.lost(),
            key_frames: self.key_frames,
        }
    }
}
