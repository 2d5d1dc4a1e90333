//! How much of a track is wanted over a link.

use umbrella_media::{Priority, Spatial, Temporal};

/// What is wanted of a track: for each spatial layer, whether somebody wants it and how much.
/// Sound has one layer, the lowest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct LayerDemand {
    layers: [Option<LayerWish>; Spatial::COUNT],
}

/// How one spatial layer is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct LayerWish {
    /// The highest frame rate.
    pub temporal: Temporal,
    /// What it is worth where not everything fits.
    pub priority: Priority,
}

impl LayerDemand {
    /// Nothing.
    pub const NONE: LayerDemand = LayerDemand {
        layers: [None; Spatial::COUNT],
    };

    /// One layer.
    pub fn of(layer: Spatial, wish: LayerWish) -> LayerDemand {
        let mut demand = LayerDemand::NONE;
        demand.layers[layer.index()] = Some(wish);
        demand
    }

    /// Whether nothing is wanted.
    pub fn is_none(&self) -> bool {
        self.layers.iter().all(Option::is_none)
    }

    /// How a layer is wanted.
    pub fn get(&self, layer: Spatial) -> Option<LayerWish> {
        self.layers[layer.index()]
    }

    /// The wanted layers, lowest first.
    pub fn layers(&self) -> impl Iterator<Item = (Spatial, LayerWish)> {
        let spatial = (0..).map_while(Spatial::new);
        spatial
            .zip(self.layers)
            .filter_map(|(layer, wish)| Some((layer, wish?)))
    }

    /// The highest layer that is wanted.
    pub fn highest(&self) -> Option<Spatial> {
        self.layers().last().map(|(layer, _)| layer)
    }

    /// What satisfies both.
    #[must_use]
    pub fn join(mut self, other: LayerDemand) -> LayerDemand {
        for (mine, theirs) in self.layers.iter_mut().zip(other.layers) {
            *mine = match (*mine, theirs) {
                (Some(a), Some(b)) => Some(LayerWish {
                    temporal: a.temporal.max(b.temporal),
                    priority: a.priority.max(b.priority),
                }),
                (one, other) => one.or(other),
            };
        }
        self
    }

    /// As one layer, the highest: of a track whose layers cannot be had one by one.
    #[must_use]
    pub fn collapsed(self) -> LayerDemand {
        let Some(highest) = self.highest() else {
            return LayerDemand::NONE;
        };
        let wish = self
            .layers()
            .fold(LayerWish::default(), |all, (_, wish)| LayerWish {
                temporal: all.temporal.max(wish.temporal),
                priority: all.priority.max(wish.priority),
            });
        LayerDemand::of(highest, wish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(temporal: u8, priority: Priority) -> LayerWish {
        LayerWish {
            temporal: Temporal::new(temporal),
            priority,
        }
    }

    #[test]
    fn one_viewer_takes_away_what_another_wants() {
        let thumbnail = LayerDemand::of(Spatial::LOW, wish(0, Priority::Normal));
        let smooth = LayerDemand::of(Spatial::LOW, wish(2, Priority::Speaker));
        let large = LayerDemand::of(Spatial::HIGH, wish(1, Priority::Large));
        let all = thumbnail.join(smooth).join(large);
        let layers: Vec<_> = all.layers().collect();
        assert_eq!(
            layers,
            [
                (Spatial::LOW, wish(2, Priority::Speaker)),
                (Spatial::HIGH, wish(1, Priority::Large))
            ]
        );
        assert_eq!(
            all.collapsed(),
            LayerDemand::of(Spatial::HIGH, wish(2, Priority::Large))
        );
        assert!(LayerDemand::NONE.collapsed().is_none());
    }
}
