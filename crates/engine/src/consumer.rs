//! One track on its way to one subscriber.

use std::sync::Arc;
use std::time::Instant;

use str0m::media::Mid;
use umbrella_media::{
    Codec, Delivery, Kind, Layer, Layers, Outgoing, Packet, Reports, Rewriter, Selector,
    SequenceMap, Spatial, Verdict,
};

use crate::api::{BranchStream, ConsumerId, Label};
use crate::arena::Key;
use crate::egress::{Format, Opened, StreamId};
use crate::producer::Producer;
use crate::transport::Transport;

/// Sent packets that can be sent again: as many as the history has, or fewer.
const SENT_VIDEO: usize = 1024;
const SENT_AUDIO: usize = 64;

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
    }

    /// As [`Consumer::restart`], of one encoding.
    pub(crate) fn restart_encoding(&mut self, encoding: Spatial) {
        self.selector.restart_encoding(encoding);
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
        let outgoing = bound.rewriter.rewrite(packet, verdict, reports);
        let Some(outgoing) = outgoing else {
            let needs = match verdict {
                Verdict::Drop => self.selector.needs_key_frame(),
                Verdict::Forward { .. } | Verdict::Start { .. } => None,
            };
            return Decision::Skip { needs };
        };
        bound.sent.insert(packet, &outgoing);
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
