//! What a forwarder knows of one packet without decoding it.

use crate::{Spatial, Temporal};

use super::dependency::Targets;
use super::vp8::PictureIds;

/// What a forwarder knows of one packet without decoding it. Made by [`super::Parser`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// False if the payload could not be read, for example because it is encrypted end to end in
    /// a way that hides its structure. Such packets are forwarded as they are: the other fields
    /// then say "one layer, not a key frame".
    pub understood: bool,
    /// The packet is the beginning of a picture that needs no earlier one.
    pub key_frame: bool,
    /// First packet of a frame (of one spatial layer's part of a picture).
    pub frame_start: bool,
    /// Last packet of a frame (of one spatial layer's part of a picture).
    pub frame_end: bool,
    /// The spatial layer inside of the encoding; `LOW` if there is only one.
    pub spatial: Spatial,
    /// The temporal layer; `BASE` if there is only one.
    pub temporal: Temporal,
    /// From this frame on, temporal layers up to that one can be decoded by somebody who only had
    /// lower ones.
    pub temporal_switch: Option<Temporal>,
    /// The frame needs no earlier picture: from here on its spatial layer can be decoded by
    /// somebody who only has the next lower one of the same picture.
    pub spatial_switch: bool,
    /// No other frame needs this one.
    pub discardable: bool,
    /// Size of the picture, if this packet says it.
    pub size: Option<Size>,
    /// What only some codecs have.
    pub detail: Detail,
}

impl Descriptor {
    /// A packet of a single layer, as audio is.
    pub const PLAIN: Descriptor = Descriptor {
        understood: true,
        key_frame: false,
        frame_start: false,
        frame_end: false,
        spatial: Spatial::LOW,
        temporal: Temporal::BASE,
        temporal_switch: None,
        spatial_switch: false,
        discardable: false,
        size: None,
        detail: Detail::None,
    };

    /// A packet that could not be read.
    pub const OPAQUE: Descriptor = Descriptor {
        understood: false,
        ..Descriptor::PLAIN
    };
}

/// What only some codecs have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    None,
    /// The numbers in a VP8 payload descriptor, which must be continuous at the receiver.
    Vp8(PictureIds),
    /// Which layers need this frame, according to a dependency descriptor.
    Dependency(Targets),
}

/// Size of a picture in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}
