//! Signalling over real sockets: who is let in, what they are told, and what strangers cannot do
//! to them. Everything stays on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test may panic, and looks for what it waits for"
)]

mod client;
mod resuming;
mod server;

mod bad_input;
mod joining;
mod moderators;
mod service;
mod talking;
mod webhooks;
