//! Which packets of a track one consumer gets.

use std::time::{Duration, Instant};

use crate::{Delivery, Kind, Layer, Packet, Spatial};

/// A set of encodings (simulcast) and of spatial layers inside of encodings (SVC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layers {
    encodings: u8,
    spatials: u8,
}

impl Layers {
    /// Nothing.
    pub const NONE: Layers = Layers {
        encodings: 0,
        spatials: 0,
    };

    /// Adds an encoding and a spatial layer inside of it.
    pub fn insert(&mut self, encoding: Spatial, spatial: Spatial) {
        self.encodings |= 1 << encoding.index();
        self.spatials |= 1 << spatial.index();
    }

    /// Whether an encoding is in the set.
    pub fn has_encoding(self, encoding: Spatial) -> bool {
        self.encodings & (1 << encoding.index()) != 0
    }

    /// Whether a spatial layer inside of an encoding is in the set.
    pub fn has_spatial(self, spatial: Spatial) -> bool {
        self.spatials & (1 << spatial.index()) != 0
    }
}

/// Which layers of a producer are arriving. One per producer, shared by its consumers.
#[derive(Debug, Clone, Default)]
pub struct Liveness {
    encodings: [Option<Instant>; Spatial::COUNT],
    spatials: [Option<Instant>; Spatial::COUNT],
    newest: Option<Instant>,
}

impl Liveness {
    /// Nothing has arrived yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes an arrived packet. True if its layer is a new one, or was silent for `timeout`:
    /// consumers should then be told at once.
    pub fn note(&mut self, packet: &Packet, timeout: Duration) -> bool {
        let at = packet.received;
        let encoding = &mut self.encodings[packet.encoding.index()];
        let spatial = &mut self.spatials[packet.descriptor.spatial.index()];
        let new = [&*encoding, &*spatial]
            .into_iter()
            .any(|last| last.is_none_or(|last| at.saturating_duration_since(last) >= timeout));
        *encoding = Some(at);
        *spatial = Some(at);
        self.newest = self.newest.max(Some(at));
        new
    }

    /// The layers that have sent within `timeout` before the newest packet of any. So a track
    /// that is silent as a whole keeps its layers: a still screen is no reason to switch.
    pub fn live(&self, timeout: Duration) -> Layers {
        let Some(newest) = self.newest else {
            return Layers::NONE;
        };
        let bits = |last: &[Option<Instant>; Spatial::COUNT]| {
            last.iter().enumerate().fold(0u8, |bits, (index, last)| {
                let live = last.is_some_and(|l| newest.saturating_duration_since(l) < timeout);
                bits | (u8::from(live) << index)
            })
        };
        Layers {
            encodings: bits(&self.encodings),
            spatials: bits(&self.spatials),
        }
    }
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is not sent.
    Drop,
    /// It is sent.
    Forward {
        /// The marker bit that it gets.
        marker: bool,
    },
    /// It is sent, and is the first one: of the track, after a pause, or of another encoding.
    /// If [`crate::History`] has newer packets of that encoding (this one came late), they
    /// should be admitted again, in order, right after this one.
    Start {
        /// The marker bit that it gets.
        marker: bool,
    },
}

/// Decides for one consumer which packets it gets.
#[derive(Debug, Clone)]
pub struct Selector {
    kind: Kind,
    wanted: Delivery,
    live: Layers,
    current: Option<Layer>,
}

impl Selector {
    /// Nothing is forwarded before the first key frame (video) or packet (audio).
    pub fn new(kind: Kind, wanted: Delivery) -> Self {
        Selector {
            kind,
            wanted,
            live: Layers::NONE,
            current: None,
        }
    }

    /// Changes what is wanted. A pause takes effect at once, lower layers at the next picture,
    /// higher ones where the stream allows it.
    pub fn configure(&mut self, wanted: Delivery) {
        self.wanted = wanted;
        if wanted.paused {
            self.current = None;
        }
    }

    /// Which layers are arriving; see [`Liveness::live`]. Layers of admitted packets are added
    /// without this.
    pub fn set_live(&mut self, live: Layers) {
        self.live = live;
    }

    /// The stream is interrupted (the publisher was muted, or sends anew with other sequence
    /// numbers): what comes next must begin with a key frame.
    pub fn restart(&mut self) {
        self.current = None;
    }

    /// Decides about one packet. All packets of all encodings of the track come through here in
    /// the order of arrival, duplicates excepted.
    pub fn admit(&mut self, packet: &Packet) -> Verdict {
        self.live.insert(packet.encoding, packet.descriptor.spatial);
        let marker = packet.marker;
        match self.current {
            _ if self.wanted.paused => Verdict::Drop,
            Some(layer) if layer.spatial == packet.encoding => Verdict::Forward { marker },
            None if self.kind == Kind::Audio || packet.descriptor.key_frame => {
                let temporal = self.wanted.layer.temporal;
                self.current = Some(Layer {
                    spatial: packet.encoding,
                    temporal,
                });
                Verdict::Start { marker }
            }
            Some(_) | None => Verdict::Drop,
        }
    }

    /// The encoding whose key frame is being waited for.
    pub fn needs_key_frame(&self) -> Option<Spatial> {
        (!self.wanted.paused && self.current.is_none()).then_some(Spatial::LOW)
    }

    /// The encoding that is being forwarded: to which a subscriber's key frame request belongs.
    pub fn encoding(&self) -> Option<Spatial> {
        self.current.map(|layer| layer.spatial)
    }

    /// The layer that is being forwarded.
    pub fn layer(&self) -> Option<Layer> {
        self.current
    }
}
