//! One core's WebRTC peers, sans-IO. The only crate that knows str0m.
//!
//! A [`Worker`] is driven like every state machine of this project: one mutation
//! ([`Worker::handle`]), then [`Worker::poll`] until it says [`Output::Timeout`], then
//! [`Worker::transmits`]. It has no sockets, no threads and no clock.

mod allocation;
pub mod api;
mod arena;
mod clock;
pub mod congestion;
mod consumer;
mod deadline;
mod demux;
pub mod egress;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod meter;
mod producer;
mod reflect;
pub mod secure;
pub mod selftest;
mod source;
mod totals;
mod transport;
mod worker;

pub use api::*;
pub use source::{SourceOptions, SourcePacket};
pub use totals::{Asked, BANDS, ByKind, Paths, Present, Received, Sent, Totals};
pub use worker::{Identity, Relay, Transmits, Worker, WorkerConfig};
