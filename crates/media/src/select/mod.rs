//! Which packets of a track one consumer gets.

mod live;
mod shown;

use crate::codec::dependency::Targets;
use crate::{Delivery, Detail, Kind, Layer, Packet, Spatial, Temporal};

use shown::Shown;

pub use live::{Layers, Liveness};

/// A key frame whose first packet comes late can still be used, if no more packets than this
/// have come after it: they are in the history and can be sent at once.
const MAX_CATCH_UP: u64 = 256;

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
///
/// A simulcast track has several encodings, of which one is forwarded; inside of an encoding
/// there may be spatial and temporal layers, of which the lower ones are forwarded. Another
/// encoding is taken up at its key frame, the old one goes on until then.
#[derive(Debug, Clone)]
pub struct Selector {
    kind: Kind,
    wanted: Delivery,
    /// The wanted encoding alone will do: see [`Selector::be_exact`].
    exact: bool,
    hurries: bool,
    live: Layers,
    state: State,
    shown: Shown,
    tails: [Option<Tail>; Spatial::COUNT],
    switches: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Nothing is forwarded: before the first key frame, and while paused.
    Waiting,
    /// One encoding is forwarded, up to a layer inside of it.
    Forwarding {
        encoding: Spatial,
        upto: Layer,
        model: Model,
    },
}

/// How the layers of an encoding depend on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Model {
    /// Lower layers never need higher ones.
    Numbered,
    /// As the dependency descriptor says: a lower layer may need frames that the shown one does
    /// not, and is then to be switched to like a higher one.
    Described,
}

/// The newest packet of an encoding.
#[derive(Debug, Clone, Copy)]
struct Tail {
    seq: u64,
    timestamp: u32,
    marker: bool,
}

impl Selector {
    /// Nothing is forwarded before the first key frame (video) or packet (audio).
    pub fn new(kind: Kind, wanted: Delivery) -> Self {
        let tails = [None; Spatial::COUNT];
        Selector {
            kind,
            wanted,
            exact: false,
            hurries: false,
            live: Layers::NONE,
            state: State::Waiting,
            shown: Shown::default(),
            tails,
            switches: 0,
        }
    }

    /// Changes what is wanted. A pause takes effect at once, lower layers at the next picture,
    /// higher ones where the stream allows it.
    pub fn configure(&mut self, wanted: Delivery) {
        self.wanted = wanted;
        if wanted.paused || self.is_below_floor() {
            self.state = State::Waiting;
        }
    }

    /// Where the floor is what is wanted, nothing else is forwarded, even at the lowest layer: the
    /// receiver gets the others by themselves.
    pub fn be_exact(&mut self) {
        self.exact = true;
    }

    /// As [`Selector::restart`], of one encoding.
    pub fn restart_encoding(&mut self, encoding: Spatial) {
        self.tails[encoding.index()] = None;
        if self.encoding() == Some(encoding) {
            self.state = State::Waiting;
        }
    }

    /// Nothing is forwarded any more until a key frame of what is wanted now.
    pub fn stop(&mut self) {
        self.state = State::Waiting;
    }

    /// Whether there is no time to wait for the key frame of a lower encoding, because the path is
    /// crowded: until it comes, the present encoding goes on at its lowest frame rate.
    pub fn hurry(&mut self, hurries: bool) {
        self.hurries = hurries;
    }

    /// Which layers are arriving; see [`Liveness::live`]. Layers of admitted packets are added
    /// without this. An encoding that has stopped is left at once if there is another one.
    pub fn set_live(&mut self, live: Layers) {
        self.live = live;
        if let State::Forwarding { encoding, .. } = self.state
            && !live.is_empty()
            && !live.has_encoding(encoding)
        {
            self.state = State::Waiting;
        }
    }

    /// The stream is interrupted (the publisher was muted, or sends anew with other sequence
    /// numbers): what comes next must begin with a key frame.
    pub fn restart(&mut self) {
        self.state = State::Waiting;
        self.tails = [None; Spatial::COUNT];
    }

    /// Decides about one packet. All packets of all encodings of the track come through here in
    /// the order of arrival, duplicates excepted.
    pub fn admit(&mut self, packet: &Packet) -> Verdict {
        if self.kind == Kind::Audio {
            return self.admit_audio(packet);
        }
        self.live.insert(packet.encoding, packet.descriptor.spatial);
        let tail = self.tails[packet.encoding.index()];
        let verdict = match self.state {
            // A publisher probes the network with packets that hold nothing.
            _ if self.wanted.paused || packet.payload.is_empty() => Verdict::Drop,
            State::Waiting if self.may_start(packet) => self.start(packet),
            State::Waiting => Verdict::Drop,
            State::Forwarding {
                encoding,
                upto,
                model,
            } if encoding == packet.encoding => self.go_on(packet, tail, upto, model),
            State::Forwarding { encoding, .. } if self.may_switch(packet, tail, encoding) => {
                self.switches += 1;
                self.start(packet)
            }
            State::Forwarding { .. } => Verdict::Drop,
        };
        let Packet {
            seq,
            timestamp,
            marker,
            ..
        } = *packet;
        if tail.is_none_or(|tail| seq > tail.seq) {
            self.tails[packet.encoding.index()] = Some(Tail {
                seq,
                timestamp,
                marker,
            });
        }
        verdict
    }

    /// The encoding whose key frame is being waited for.
    pub fn needs_key_frame(&self) -> Option<Spatial> {
        if self.wanted.paused || self.kind == Kind::Audio {
            return None;
        }
        let target = self.target()?;
        match self.state {
            State::Waiting => Some(target),
            State::Forwarding { encoding, .. } if encoding != target => Some(target),
            State::Forwarding {
                encoding,
                upto,
                model,
            } => {
                let top = self.live.top_spatial();
                let (wanted, shown) = (self.wanted.layer.spatial.min(top), upto.spatial.min(top));
                let waits = match model {
                    Model::Numbered => wanted > shown,
                    Model::Described => wanted != shown,
                };
                waits.then_some(encoding)
            }
        }
    }

    /// The encoding that is being forwarded: to which a subscriber's key frame request belongs.
    pub fn encoding(&self) -> Option<Spatial> {
        match self.state {
            State::Waiting => None,
            State::Forwarding { encoding, .. } => Some(encoding),
        }
    }

    /// The layer that is being forwarded: of simulcast the encoding, of SVC the spatial layer.
    pub fn layer(&self) -> Option<Layer> {
        match self.state {
            State::Waiting => None,
            State::Forwarding { encoding, upto, .. } => Some(Layer {
                spatial: encoding.max(upto.spatial.min(self.live.top_spatial())),
                temporal: upto.temporal,
            }),
        }
    }

    /// How often another layer was taken up without an interruption: another encoding, or more or
    /// fewer layers inside of one.
    pub fn switches(&self) -> u64 {
        self.switches
    }

    /// The encoding that should be forwarded.
    fn target(&self) -> Option<Spatial> {
        let (wanted, floor) = (self.wanted.layer.spatial, self.wanted.floor);
        let pinned = floor >= wanted && (self.exact || floor > Spatial::LOW);
        self.live.target(wanted, floor, pinned)
    }

    fn is_below_floor(&self) -> bool {
        match self.state {
            State::Waiting => false,
            State::Forwarding { encoding, .. } => !self.is_above_floor(encoding),
        }
    }

    fn is_above_floor(&self, encoding: Spatial) -> bool {
        encoding >= self.wanted.floor || self.live.is_scalable()
    }

    fn admit_audio(&mut self, packet: &Packet) -> Verdict {
        let marker = packet.marker;
        match self.state {
            _ if self.wanted.paused => Verdict::Drop,
            State::Waiting => self.start(packet),
            State::Forwarding { .. } => Verdict::Forward { marker },
        }
    }

    /// Any picture is better than none: while waiting, a lower encoding than the wanted one will
    /// do if its key frame is first.
    fn may_start(&self, packet: &Packet) -> bool {
        let target = self.target();
        let fits = target.is_some_and(|target| packet.encoding <= target)
            && self.is_above_floor(packet.encoding);
        let tail = self.tails[packet.encoding.index()];
        fits && (!packet.descriptor.understood || self.is_usable_key_frame(packet, tail))
    }

    fn may_switch(&self, packet: &Packet, tail: Option<Tail>, from: Spatial) -> bool {
        let target = self.target();
        if target != Some(packet.encoding) || target == Some(from) {
            return false;
        }
        if packet.descriptor.understood {
            return self.is_usable_key_frame(packet, tail);
        }
        // What cannot be understood is taken up at the beginning of a picture.
        tail.is_some_and(|tail| tail.marker && tail.seq + 1 == packet.seq)
    }

    fn is_usable_key_frame(&self, packet: &Packet, tail: Option<Tail>) -> bool {
        let late = tail.map_or(0, |tail| tail.seq.saturating_sub(packet.seq));
        packet.descriptor.key_frame && late <= MAX_CATCH_UP
    }

    fn start(&mut self, packet: &Packet) -> Verdict {
        let model = match &packet.descriptor.detail {
            Detail::Dependency(targets) => {
                self.shown = Shown::default();
                self.shown.note(targets.frame_number);
                Model::Described
            }
            Detail::None | Detail::Vp8(_) => Model::Numbered,
        };
        let upto = self.wanted.layer;
        self.state = State::Forwarding {
            encoding: packet.encoding,
            upto,
            model,
        };
        Verdict::Start {
            marker: marker(packet, upto),
        }
    }

    /// A packet of the encoding that is being forwarded.
    fn go_on(
        &mut self,
        packet: &Packet,
        tail: Option<Tail>,
        before: Layer,
        model: Model,
    ) -> Verdict {
        let mut wanted = self.wanted.layer;
        if self.hurries && self.target() < Some(packet.encoding) {
            wanted.temporal = Temporal::BASE;
        }
        let place = Place::of(packet, tail);
        let (upto, model, needed) = match &packet.descriptor.detail {
            Detail::Dependency(targets) => {
                let upto = described(packet, targets, (before, wanted), place, &self.shown);
                let needed = targets.needed(upto);
                if needed {
                    self.shown.note(targets.frame_number);
                }
                (upto, Model::Described, needed)
            }
            Detail::None | Detail::Vp8(_) => {
                let upto = numbered(packet, before, wanted, place);
                let found = &packet.descriptor;
                let within = found.spatial <= upto.spatial && found.temporal <= upto.temporal;
                (upto, model, within)
            }
        };
        let shown = self.layer();
        self.state = State::Forwarding {
            encoding: packet.encoding,
            upto,
            model,
        };
        // What is wanted of layers that do not exist is no difference.
        if upto != before && self.layer() != shown {
            self.switches += 1;
        }
        match needed || !packet.descriptor.understood {
            true => Verdict::Forward {
                marker: marker(packet, upto),
            },
            false => Verdict::Drop,
        }
    }
}

/// Where a packet is among those that came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It came late.
    Late,
    /// It goes on with the newest picture.
    SamePicture,
    /// It is the first that came of a picture.
    NewPicture,
}

impl Place {
    fn of(packet: &Packet, tail: Option<Tail>) -> Place {
        match tail {
            Some(tail) if packet.seq <= tail.seq => Place::Late,
            Some(tail) if packet.timestamp == tail.timestamp => Place::SamePicture,
            Some(_) | None => Place::NewPicture,
        }
    }
}

/// The last packet of a picture is marked. Where upper spatial layers are left out, that is the
/// last packet of the highest one that is not.
fn marker(packet: &Packet, upto: Layer) -> bool {
    let found = &packet.descriptor;
    let last = found.frame_end && found.spatial == upto.spatial && upto.spatial < Spatial::HIGH;
    packet.marker || last
}

/// The layers from this packet on, where lower ones never need higher ones. Layers are left out
/// from the beginning of a picture on, and added where the stream says that it is possible;
/// never at a packet that came late, because what followed it has been dropped.
fn numbered(packet: &Packet, before: Layer, wanted: Layer, place: Place) -> Layer {
    let mut upto = before;
    let found = &packet.descriptor;
    if place == Place::NewPicture {
        upto.spatial = upto.spatial.min(wanted.spatial);
        upto.temporal = upto.temporal.min(wanted.temporal);
    }
    if place == Place::Late || !found.frame_start {
        return upto;
    }
    if found.key_frame {
        return wanted;
    }
    let next_spatial = found.spatial.index() == upto.spatial.index() + 1;
    if found.spatial_switch && next_spatial && found.spatial <= wanted.spatial {
        upto.spatial = found.spatial;
    }
    if found.spatial == Spatial::LOW
        && let Some(temporal) = found.temporal_switch
    {
        upto.temporal = upto.temporal.max(temporal.min(wanted.temporal));
    }
    upto
}

/// The layers from this packet on, according to its dependency descriptor: it allows a switch
/// for those who can decode the frame, that is who were shown all that it refers to.
fn described(
    packet: &Packet,
    targets: &Targets,
    (before, wanted): (Layer, Layer),
    place: Place,
    shown: &Shown,
) -> Layer {
    let slower = before.spatial == wanted.spatial && before.temporal > wanted.temporal;
    match place {
        _ if before == wanted => return before,
        Place::Late => return before,
        Place::NewPicture if slower => return wanted,
        Place::SamePicture | Place::NewPicture => {}
    }
    let decodable = || {
        let number = targets.frame_number;
        targets
            .references
            .all(|distance| shown.contains(number.wrapping_sub(distance)))
    };
    if !packet.descriptor.frame_start || !decodable() {
        return before;
    }
    let spatial = wanted.spatial;
    let least = match before.spatial == spatial {
        true => before.temporal.id() + 1,
        false => 0,
    };
    (least..=wanted.temporal.id())
        .rev()
        .map(|temporal| Layer {
            spatial,
            temporal: Temporal::new(temporal),
        })
        .find(|layer| targets.switch(*layer))
        .unwrap_or(before)
}
