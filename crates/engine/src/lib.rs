//! One core's WebRTC peers, sans-IO. The only crate that knows str0m.
//!
//! A [`Worker`] is driven like every state machine of this project: one mutation
//! ([`Worker::handle`]), then [`Worker::poll`] until it says [`Output::Timeout`], then
//! [`Worker::drain_transmits`]. It has no sockets, no threads and no clock.

pub mod api;
pub mod egress;
pub mod secure;
mod worker;

pub use api::*;
pub use worker::{Identity, Worker, WorkerConfig};
