//! Generated protobuf messages, nothing else.

/// The client protocol: what travels over the signalling WebSocket and the data channels. What
/// the messages and fields mean is written in `proto/client.proto`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::wildcard_enum_match_arm
)]
pub mod client {
    include!(concat!(env!("OUT_DIR"), "/umbrella.client.rs"));
}

/// The server API: what applications ask of rooms. What the messages and fields mean is written in
/// `proto/server.proto`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::wildcard_enum_match_arm
)]
pub mod server {
    include!(concat!(env!("OUT_DIR"), "/umbrella.server.rs"));
}

/// What the servers at both ends of a trunk tell each other. What the messages and fields mean is
/// written in `proto/trunk.proto`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::wildcard_enum_match_arm
)]
pub mod trunk {
    include!(concat!(env!("OUT_DIR"), "/umbrella.trunk.rs"));
}
