//! Signalling over real sockets: who is let in, what they are told, and what strangers cannot do
//! to them. Everything stays on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test may panic, and looks for what it waits for"
)]

mod client;
mod resuming;
#[allow(dead_code, reason = "a part of what cameras can do is enough here")]
#[path = "../../src/camera/tests/rig.rs"]
mod rig;
mod server;

mod bad_input;
mod cameras;
mod joining;
mod memory;
mod moderators;
mod service;
mod sight;
mod talking;
mod webhooks;
