//! Facts about media packets: the RTP fields we need, codec descriptors, layers, layer selection,
//! and the rewriting of sequence numbers and timestamps.
//!
//! Nothing in here has a clock, does I/O or knows a WebRTC engine. `Instant`s come in as
//! arguments and are only compared.

pub mod codec;
pub mod layer;
pub mod packet;

pub use codec::{Codec, Kind};
pub use layer::{Delivery, Layer, Spatial, Temporal};
pub use packet::{AudioLevel, Packet};
