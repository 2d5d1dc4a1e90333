//! Facts about media packets: the RTP fields we need, codec descriptors, layers, layer selection,
//! and the rewriting of sequence numbers and timestamps.
//!
//! Nothing in here has a clock, does I/O or knows a WebRTC engine. `Instant`s come in as
//! arguments and are only compared.

pub mod codec;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod gop;
pub mod history;
pub mod layer;
pub mod levels;
pub mod nal;
pub mod packet;
pub mod rewrite;
pub mod select;

pub use codec::{Codec, Descriptor, Detail, Kind, Parser};
pub use gop::{GopCache, GopLimits};
pub use history::{History, HistoryLimits};
pub use layer::{Delivery, Layer, Priority, Spatial, Temporal};
pub use levels::{Level, LevelMeter};
pub use packet::{AudioLevel, Packet};
pub use rewrite::{Edge, Outgoing, Patch, Reports, Rewriter, SenderReport, Sent, SequenceMap};
pub use select::{Layers, Liveness, Selector, Verdict};
