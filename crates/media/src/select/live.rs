//! Which layers of a track are arriving.

use std::time::{Duration, Instant};

use crate::{Packet, Spatial};

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

    /// The encoding to show to somebody who wants `wanted`: the highest one up to it, else the
    /// lowest one above.
    pub fn best_encoding(self, wanted: Spatial) -> Option<Spatial> {
        let within = self.encodings & (u8::MAX >> (7 - wanted.index()));
        let index = match (within, self.encodings) {
            (0, 0) => return None,
            (0, above) => above.trailing_zeros() as u8,
            (within, _) => within.ilog2() as u8,
        };
        Spatial::new(index)
    }

    /// The encoding to show to somebody who wants no less than `floor`. `pinned` allows that one
    /// encoding alone. Where there are spatial layers inside of an encoding, they are what the
    /// floor is about.
    pub fn target(self, wanted: Spatial, floor: Spatial, pinned: bool) -> Option<Spatial> {
        let wanted = wanted.max(floor);
        if self.is_scalable() {
            return match floor <= self.top_spatial() {
                true => self.best_encoding(wanted),
                false => None,
            };
        }
        if pinned {
            return self.has_encoding(wanted).then_some(wanted);
        }
        let from_floor = Layers {
            encodings: self.encodings & (u8::MAX << floor.index()),
            ..self
        };
        from_floor.best_encoding(wanted)
    }

    /// Whether there are several spatial layers inside of an encoding.
    pub fn is_scalable(self) -> bool {
        self.top_spatial() > Spatial::LOW
    }

    /// The highest spatial layer inside of the encodings.
    pub fn top_spatial(self) -> Spatial {
        self.spatials
            .checked_ilog2()
            .and_then(|top| Spatial::new(top as u8))
            .unwrap_or_default()
    }

    /// Whether there is any encoding.
    pub fn is_empty(self) -> bool {
        self.encodings == 0
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

    /// An encoding comes from elsewhere from now on, or no more.
    pub fn forget(&mut self, encoding: Spatial) {
        self.encodings[encoding.index()] = None;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn live(encodings: u8) -> Layers {
        Layers {
            encodings,
            spatials: 1,
        }
    }

    #[test]
    fn best_encoding_is_the_highest_within_or_the_lowest_above() {
        let best = |bits, wanted| live(bits).best_encoding(wanted).map(Spatial::index);
        assert_eq!(best(0b000, Spatial::HIGH), None);
        assert_eq!(best(0b111, Spatial::HIGH), Some(2));
        assert_eq!(best(0b111, Spatial::MEDIUM), Some(1));
        assert_eq!(best(0b101, Spatial::MEDIUM), Some(0));
        assert_eq!(best(0b110, Spatial::LOW), Some(1));
        assert_eq!(best(0b100, Spatial::LOW), Some(2));
    }

    #[test]
    fn nothing_below_the_floor_is_shown() {
        let target = |bits, wanted, floor, pinned| {
            let target = live(bits).target(wanted, floor, pinned);
            target.map(Spatial::index)
        };
        let (low, medium, high) = (Spatial::LOW, Spatial::MEDIUM, Spatial::HIGH);
        assert_eq!(target(0b111, high, medium, false), Some(2));
        assert_eq!(target(0b011, high, medium, false), Some(1));
        assert_eq!(target(0b001, high, medium, false), None);
        assert_eq!(target(0b101, medium, medium, true), None);
        assert_eq!(target(0b110, low, low, true), None);
        assert_eq!(target(0b110, low, low, false), Some(1));
        let svc = Layers {
            encodings: 1,
            spatials: 0b11,
        };
        assert_eq!(svc.target(high, medium, false), Some(low));
        assert_eq!(svc.target(high, high, true), None);
    }
}
