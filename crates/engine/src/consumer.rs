//! One track on its way to one subscriber.

use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::media::Mid;
use umbrella_media::{
    Codec, Delivery, Edge, GopCache, Kind, Layer, Layers, Outgoing, Packet, Reports, Rewriter,
    Selector, SequenceMap, Spatial, Verdict,
};

use crate::api::{BranchStream, ConsumerId, Label};
use crate::arena::Key;
use crate::egress::{Format, Opened, StreamId};
use crate::producer::Producer;
use crate::transport::Transport;
use crate::transport::replays::Extent;

/// Sent packets that can be sent again: as many as the history has, or fewer.
const SENT_VIDEO: usize = 1024;
const SENT_AUDIO: usize = 64;
/// The same pictures are sent anew twice at once: a browser drops what comes before it has read our
/// answer, and knows nothing of it afterwards. Then not before this time, the next time twice of it,
/// and so on: a decoder that cannot make anything of them asks for ever.
const AGAIN: Duration = Duration::from_secs(1);

/// One track on its way to one subscriber.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) id: ConsumerId,
    pub(crate) transport: Key<Transport>,
    pub(crate) producer: Key<Producer>,
    kind: Kind,
    /// Where the floor is what is wanted, nothing else will do.
    exact: bool,
    wanted: Delivery,
    grant: Grant,
    /// Somebody waits for more of it, until then at most.
    eager: Option<Instant>,
    selector: Selector,
    state: State,
    /// What it gets waited in a cache, and it has not come up to what is live.
    replay: Option<Replay>,
    /// The group of pictures that was sent anew last, or is.
    replayed: Option<Replayed>,
}

/// A place in the cache of a producer.
#[derive(Debug, Clone, Copy)]
struct Replay {
    encoding: Spatial,
    extent: Extent,
    /// The number of the first packet of its group of pictures.
    group: u64,
    /// The number from which on nothing was sent yet.
    next: u64,
    /// Of this group, by [`GopCache::cost`].
    sent: usize,
    began: Instant,
}

/// A group of pictures that was sent anew, or is.
#[derive(Debug, Clone, Copy)]
struct Replayed {
    encoding: Spatial,
    group: u64,
    /// How often it was begun.
    times: u32,
    /// When its key frame was sent last.
    shown: Option<Instant>,
    /// It was too much for the path.
    abandoned: bool,
}

/// How much of what is wanted the subscriber's path carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    /// All of it.
    Everything,
    /// No more than this layer.
    UpTo(Layer),
    /// Nothing.
    Nothing,
}

/// How a consumer is to reach its subscriber.
#[derive(Debug, Clone)]
pub(crate) enum Outlet {
    /// In a section that is still to be agreed on, under this name.
    Section(Label),
    /// Over a trunk, as this stream.
    Branch(BranchStream),
}

/// Where a consumer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Berth {
    /// In a section that both sides have agreed on.
    Section(Mid),
    /// Over a trunk, as this stream.
    Branch(BranchStream),
}

/// How far it has come.
#[derive(Debug)]
enum State {
    /// The subscriber has no section for it, or has not agreed to it yet.
    Waiting,
    /// It has a section and a stream.
    Bound(Box<Bound>),
}

#[derive(Debug)]
struct Bound {
    mid: Mid,
    stream: StreamId,
    rewriter: Rewriter,
    sent: SequenceMap,
    /// How what the publisher sends is announced to the subscriber.
    formats: Option<Formats>,
    /// Its first packet has been sent.
    started: bool,
}

/// How a codec is announced to a subscriber.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Formats {
    /// For this codec of the publisher.
    pub(crate) codec: Codec,
    /// This is what the subscriber expects.
    pub(crate) format: Format,
    /// Redundancy is to be taken off: the subscriber only knows plain Opus.
    pub(crate) strip: bool,
}

/// A packet that is to be sent.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) stream: StreamId,
    pub(crate) outgoing: Outgoing,
    pub(crate) formats: Formats,
    /// It is the first one.
    pub(crate) first: bool,
    /// An encoding begins with it, so what has come of it since must follow.
    pub(crate) begins: bool,
}

/// What became of a packet.
#[derive(Debug)]
pub(crate) enum Decision {
    /// It is to be sent.
    Send(Forward),
    /// It is not to be sent; perhaps because a key frame of an encoding is missing.
    Skip { needs: Option<Spatial> },
    /// It must first be told how the codec is announced to its subscriber.
    FormatUnknown,
}

impl Consumer {
    pub(crate) fn new(
        id: ConsumerId,
        transport: Key<Transport>,
        producer: Key<Producer>,
        kind: Kind,
        delivery: Delivery,
    ) -> Self {
        let selector = Selector::new(kind, delivery);
        let grant = Grant::Everything;
        Consumer {
            id,
            transport,
            producer,
            kind,
            exact: false,
            wanted: delivery,
            grant,
            eager: None,
            selector,
            state: State::Waiting,
            replay: None,
            replayed: None,
        }
    }

    /// Its receiver gets other layers of the same track by other consumers: see
    /// [`Selector::be_exact`].
    pub(crate) fn be_exact(&mut self) {
        self.exact = true;
        self.selector.be_exact();
    }

    /// It may send in a section from now on.
    pub(crate) fn bind(&mut self, mid: Mid, opened: Opened) {
        let capacity = match self.kind {
            Kind::Audio => SENT_AUDIO,
            Kind::Video => SENT_VIDEO,
        };
        self.selector.restart();
        (self.replay, self.replayed) = (None, None);
        self.state = State::Bound(Box::new(Bound {
            mid,
            stream: opened.stream,
            rewriter: Rewriter::new(opened.next_seq, opened.next_timestamp),
            sent: SequenceMap::new(capacity),
            formats: None,
            started: false,
        }));
    }

    /// It has lost its section; gives the stream that is to be closed.
    pub(crate) fn unbind(&mut self) -> Option<StreamId> {
        self.replay = None;
        match std::mem::replace(&mut self.state, State::Waiting) {
            State::Bound(bound) => Some(bound.stream),
            State::Waiting => None,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Its section.
    pub(crate) fn mid(&self) -> Option<Mid> {
        match &self.state {
            State::Bound(bound) => Some(bound.mid),
            State::Waiting => None,
        }
    }

    pub(crate) fn stream(&self) -> Option<StreamId> {
        match &self.state {
            State::Bound(bound) => Some(bound.stream),
            State::Waiting => None,
        }
    }

    /// How the codec of the publisher is announced.
    pub(crate) fn set_formats(&mut self, formats: Formats) {
        if let State::Bound(bound) = &mut self.state {
            bound.formats = Some(formats);
        }
    }

    /// Changes what is wanted.
    pub(crate) fn configure(&mut self, delivery: Delivery) {
        self.wanted = delivery;
        self.apply();
        let shown = self.selector.encoding();
        if self.is_pinned() && shown.is_some_and(|shown| shown > delivery.layer.spatial) {
            // Others may get it from another consumer by now.
            self.selector.stop();
        }
    }

    /// Changes how much of it is granted. True if that begins or ends a pause.
    pub(crate) fn grant(&mut self, grant: Grant) -> bool {
        let old = std::mem::replace(&mut self.grant, grant);
        if old != grant {
            self.apply();
        }
        (old == Grant::Nothing) != (grant == Grant::Nothing)
    }

    /// What the subscriber wants.
    pub(crate) fn wanted(&self) -> Delivery {
        self.wanted
    }

    pub(crate) fn granted(&self) -> Grant {
        self.grant
    }

    /// Somebody waits for more of it.
    pub(crate) fn be_eager(&mut self, until: Instant) {
        self.eager = Some(until);
    }

    pub(crate) fn is_eager(&self, now: Instant) -> bool {
        self.eager.is_some_and(|until| now < until)
    }

    fn apply(&mut self) {
        let wanted = self.wanted;
        self.selector.hurry(matches!(self.grant, Grant::UpTo(_)));
        self.selector.configure(match self.grant {
            Grant::Everything => wanted,
            Grant::UpTo(layer) => Delivery {
                layer: Layer {
                    spatial: wanted.layer.spatial.min(layer.spatial).max(wanted.floor),
                    temporal: match layer.spatial < wanted.layer.spatial {
                        true => layer.temporal,
                        false => wanted.layer.temporal.min(layer.temporal),
                    },
                },
                ..wanted
            },
            Grant::Nothing => Delivery {
                paused: true,
                ..wanted
            },
        });
    }

    /// The encoding of `live` that the subscriber should see where its path carries everything.
    pub(crate) fn target(&self, live: Layers) -> Option<Spatial> {
        let (wanted, floor) = (self.wanted.layer.spatial, self.wanted.floor);
        live.target(wanted, floor, self.is_pinned())
    }

    /// No other encoding than the wanted one will do.
    fn is_pinned(&self) -> bool {
        let (wanted, floor) = (self.wanted.layer.spatial, self.wanted.floor);
        floor >= wanted && (self.exact || floor > Spatial::LOW)
    }

    pub(crate) fn set_live(&mut self, live: Layers) {
        self.selector.set_live(live);
    }

    /// What comes next from the publisher does not go on where it was.
    pub(crate) fn restart(&mut self) {
        self.selector.restart();
        self.replay = None;
    }

    /// As [`Consumer::restart`], of one encoding.
    pub(crate) fn restart_encoding(&mut self, encoding: Spatial) {
        self.selector.restart_encoding(encoding);
        self.replay = self.replay.filter(|replay| replay.encoding != encoding);
    }

    /// The encoding whose key frame it waits for.
    pub(crate) fn needs_key_frame(&self) -> Option<Spatial> {
        match &self.state {
            State::Bound(_) => self.selector.needs_key_frame(),
            State::Waiting => None,
        }
    }

    /// The encoding that the subscriber sees.
    pub(crate) fn encoding(&self) -> Option<Spatial> {
        self.selector.encoding()
    }

    pub(crate) fn layer(&self) -> Option<umbrella_media::Layer> {
        self.selector.layer()
    }

    /// How often the subscriber has got another layer since it was opened.
    pub(crate) fn layer_switches(&self) -> u64 {
        self.selector.switches()
    }

    /// The encoding that is being sent and what is added to its timestamps.
    pub(crate) fn timestamp_offset(&self) -> Option<(StreamId, Spatial, u32)> {
        match &self.state {
            State::Bound(bound) => {
                let (encoding, offset) = bound.rewriter.timestamp_offset()?;
                Some((bound.stream, encoding, offset))
            }
            State::Waiting => None,
        }
    }

    /// Decides about one packet.
    pub(crate) fn admit(&mut self, packet: &Arc<Packet>, reports: &Reports) -> Decision {
        if self.is_replaying(packet.encoding) {
            return Decision::Skip { needs: None }; // it will come to it
        }
        let decision = self.decide(packet, reports, None);
        if let Decision::Send(Forward { begins: true, .. }) = &decision {
            self.replay = None; // another encoding was quicker
        }
        decision
    }

    /// Decides about one packet of a cache.
    pub(crate) fn admit_again(
        &mut self,
        packet: &Arc<Packet>,
        reports: &Reports,
        edge: Edge<'_>,
    ) -> Decision {
        if let Some(replay) = &mut self.replay {
            if let (0, Some(replayed)) = (replay.sent, &mut self.replayed) {
                replayed.shown = Some(edge.now);
            }
            replay.next = packet.seq + 1;
            replay.sent += GopCache::cost(packet);
        }
        self.decide(packet, reports, Some(edge))
    }

    fn decide(
        &mut self,
        packet: &Arc<Packet>,
        reports: &Reports,
        edge: Option<Edge<'_>>,
    ) -> Decision {
        let State::Bound(bound) = &mut self.state else {
            return Decision::Skip { needs: None };
        };
        let Some(formats) = bound
            .formats
            .filter(|formats| formats.codec == packet.codec)
        else {
            return Decision::FormatUnknown;
        };
        let verdict = self.selector.admit(packet);
        let outgoing = match edge {
            None => bound.rewriter.rewrite(packet, verdict, reports),
            Some(edge) => bound.rewriter.replay(packet, verdict, reports, edge),
        };
        let Some(outgoing) = outgoing else {
            let needs = match verdict {
                Verdict::Drop => self.selector.needs_key_frame(),
                Verdict::Forward { .. } | Verdict::Start { .. } => None,
            };
            return Decision::Skip { needs };
        };
        let now = edge.map_or(packet.received, |edge| edge.now);
        bound.sent.insert_at(packet, &outgoing, now);
        let first = !std::mem::replace(&mut bound.started, true);
        Decision::Send(Forward {
            stream: bound.stream,
            outgoing,
            formats,
            first,
            begins: matches!(verdict, Verdict::Start { .. }),
        })
    }

    /// Where a packet that is to be sent again came from.
    pub(crate) fn sent(&self, seq: u64) -> Option<(Spatial, u64, Outgoing, Format)> {
        let State::Bound(bound) = &self.state else {
            return None;
        };
        let sent = bound.sent.get(seq)?;
        Some((
            sent.encoding,
            sent.source,
            sent.outgoing,
            bound.formats?.format,
        ))
    }
}

/// What waited in a cache.
impl Consumer {
    /// Whether it has not come up to what is live of an encoding.
    pub(crate) fn is_replaying(&self, encoding: Spatial) -> bool {
        self.replay
            .is_some_and(|replay| replay.encoding == encoding)
    }

    /// Whether it may be sent a group of pictures. What was too much for its path once is not tried
    /// again, and what was sent is repeated now and then only: if it is lost nevertheless. What is
    /// said within `round_trip` of its key frame is said without knowing that.
    pub(crate) fn may_replay(
        &self,
        now: Instant,
        encoding: Spatial,
        group: u64,
        round_trip: Duration,
    ) -> bool {
        let same = |it: &Replayed| (it.encoding, it.group) == (encoding, group);
        self.replayed.filter(same).is_none_or(|replayed| {
            let rest = match replayed.times {
                0 | 1 => round_trip,
                times => AGAIN
                    .saturating_mul(1 << (times - 2).min(16))
                    .max(round_trip),
            };
            let passed = |at: Instant| now.saturating_duration_since(at) > rest;
            !replayed.abandoned && replayed.shown.is_some_and(passed)
        })
    }

    /// Whether it has been told how a codec is announced.
    pub(crate) fn knows(&self, codec: Codec) -> bool {
        match &self.state {
            State::Bound(bound) => bound.formats.is_some_and(|it| it.codec == codec),
            State::Waiting => false,
        }
    }

    /// It is to be sent a group of pictures from its first packet on.
    pub(crate) fn begin_replay(
        &mut self,
        now: Instant,
        encoding: Spatial,
        group: u64,
        extent: Extent,
    ) {
        self.selector.restart_encoding(encoding);
        let same = |it: &Replayed| (it.encoding, it.group) == (encoding, group);
        let before = self.replayed.filter(same).map_or(0, |it| it.times);
        self.replayed = Some(Replayed {
            encoding,
            group,
            times: before + 1,
            shown: None,
            abandoned: false,
        });
        self.replay = Some(Replay {
            encoding,
            extent,
            group,
            next: group,
            sent: 0,
            began: now,
        });
    }

    /// Whether it has been sent a picture, or needs none.
    pub(crate) fn has_begun(&self) -> bool {
        self.replay.is_none_or(|replay| replay.sent > 0)
    }

    /// What it is sent, and how many bytes of that it has been sent.
    pub(crate) fn replayed(&self) -> Option<(Spatial, usize)> {
        self.replay.map(|replay| (replay.encoding, replay.sent))
    }

    pub(crate) fn replays_since(&self, now: Instant, time: Duration) -> bool {
        let passed = |replay: Replay| now.saturating_duration_since(replay.began);
        self.replay.is_some_and(|replay| passed(replay) >= time)
    }

    /// What it is to be sent next: the encoding, and the number of the packet. Where another group
    /// of pictures has begun meanwhile, it goes on with that.
    pub(crate) fn next_of_replay(
        &mut self,
        cache: Option<&GopCache>,
    ) -> Option<(Spatial, u64, Extent)> {
        let replay = self.replay?;
        let cache = cache?;
        let first = cache.first(replay.encoding)?;
        if first.seq > replay.group && replay.next <= first.seq {
            self.begin_replay(replay.began, replay.encoding, first.seq, replay.extent);
        }
        let replay = self.replay?;
        match (cache.is_cut(replay.encoding), replay.sent) {
            (false, _) => Some((replay.encoding, replay.next, replay.extent)),
            (true, 0) => Some((replay.encoding, replay.next, Extent::KeyFrame)),
            // What would come next is gone.
            (true, _) => None,
        }
    }

    /// It has come up to what is live, or does not want it any more.
    pub(crate) fn end_replay(&mut self) {
        self.replay = None;
    }

    /// It gets nothing more of it, and waits for the next key frame.
    pub(crate) fn abandon_replay(&mut self) {
        if self.replay.take().is_some() {
            self.selector.stop();
            if let Some(replayed) = &mut self.replayed {
                replayed.abandoned = true;
            }
        }
    }
}
