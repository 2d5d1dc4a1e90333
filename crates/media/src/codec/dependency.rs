//! The dependency descriptor, appendix A of the AV1 RTP payload specification.

use crate::{Layer, Spatial, Temporal};

/// Which layers need a frame, and to which one can switch at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Targets {
    /// The frame number.
    pub frame_number: u16,
    needed: [u8; Spatial::COUNT],
    switch: [u8; Spatial::COUNT],
}

impl Targets {
    /// Whether somebody who is shown this layer needs the frame.
    pub fn needed(&self, layer: Layer) -> bool {
        self.needed[layer.spatial.index()] & bit(layer.temporal) != 0
    }

    /// Whether somebody can go on at this frame with this layer, whatever it was before.
    pub fn switch(&self, layer: Layer) -> bool {
        self.switch[layer.spatial.index()] & bit(layer.temporal) != 0
    }
}

fn bit(temporal: Temporal) -> u8 {
    1 << temporal.id()
}
