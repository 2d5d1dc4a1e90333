//! Simulcast and SVC layers.

/// A spatial layer, 0 (smallest) to 2. In simulcast it is the index of the encoding (`q`, `h`,
/// `f`), in SVC the spatial id of the payload descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Spatial(u8);

impl Spatial {
    /// The smallest picture.
    pub const LOW: Spatial = Spatial(0);
    /// The middle one.
    pub const MEDIUM: Spatial = Spatial(1);
    /// The largest picture.
    pub const HIGH: Spatial = Spatial(2);
    /// How many spatial layers a track can have.
    pub const COUNT: usize = 3;

    /// `None` above 2.
    pub const fn new(index: u8) -> Option<Spatial> {
        if index < Self::COUNT as u8 {
            Some(Spatial(index))
        } else {
            None
        }
    }

    /// 0 to 2.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A temporal layer, 0 (lowest frame rate) to 7 (three bits in every descriptor).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Temporal(u8);

impl Temporal {
    /// Only the frames that every other frame builds upon.
    pub const BASE: Temporal = Temporal(0);
    /// Every frame.
    pub const ALL: Temporal = Temporal(7);

    /// Takes the low three bits.
    pub const fn new(id: u8) -> Temporal {
        Temporal(id & 7)
    }

    /// 0 to 7.
    pub const fn id(self) -> u8 {
        self.0
    }
}

/// The highest layer that somebody wants: spatial first, then temporal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Layer {
    /// Picture size.
    pub spatial: Spatial,
    /// Frame rate.
    pub temporal: Temporal,
}

impl Layer {
    /// Everything that the publisher sends.
    pub const TOP: Layer = Layer {
        spatial: Spatial::HIGH,
        temporal: Temporal::ALL,
    };
    /// The least that is still a moving picture.
    pub const BASE: Layer = Layer {
        spatial: Spatial::LOW,
        temporal: Temporal::BASE,
    };
}

/// Which pictures are served first where a subscriber's path does not carry all of them, least
/// first. Sound is always served before any picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Priority {
    /// One of many.
    #[default]
    Normal,
    /// Of somebody who speaks.
    Speaker,
    /// Shown large: chosen by whoever looks.
    Large,
    /// A shared screen: what is talked about, and unreadable when small.
    Screen,
}

/// How much of a track somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Nothing at all.
    pub paused: bool,
    /// For video, the highest layer that is wanted.
    pub layer: Layer,
    /// For video, what it is worth beside others.
    pub priority: Priority,
    /// For video, the lowest spatial layer that may be sent instead of the wanted one: where the
    /// path carries less than that, or less arrives, nothing is sent. A link may carry two
    /// encodings of one track at once, as two consumers; this keeps them apart. Above
    /// [`Spatial::LOW`] and equal to the wanted one, no other encoding is ever sent.
    pub floor: Spatial,
}

impl Delivery {
    /// Everything that there is.
    pub const FULL: Delivery = Delivery {
        paused: false,
        layer: Layer::TOP,
        priority: Priority::Normal,
        floor: Spatial::LOW,
    };
}
