//! Trunks: the links to other servers.
//!
//! This is the door of a trunk as `signal` is that of a client: it dials and is dialled, proves
//! who is there, frames, times out and bounds. What the messages mean is for
//! [`control`](crate::control).

mod address;
mod configure;
mod decode;
mod dial;
mod direct;
mod door;
mod encode;
mod frame;
mod hello;
mod link;
mod middle;
mod operator;
mod pulse;
mod registry;
mod relayed;
mod secret;
mod settings;
mod socket;
mod task;
mod trust;

#[cfg(test)]
mod tests;

pub use address::Address;
pub(crate) use decode::{Incoming, Stream, decode};
pub use door::router;
pub(crate) use encode::{encode, encode_demand, encode_media_candidate, encode_media_parameters};
pub use frame::MAX_FRAME;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing {
    pub use super::decode::fuzzing::trunk_frame;
    pub use super::hello::fuzzing::handshake;
}
pub use link::{Introducer, LinkEnd, LinkEvent, LinkInbox, LinkOutbox, Neighbour, link_outbox};
pub use operator::TrunkError;
pub use registry::Trunks;
pub use secret::{BadSecret, JoinSecret, Pin, ProofKey};
pub use settings::{Entry, Permit, check_name, check_rooms};
pub use trust::Trust;
pub(crate) use trust::{Stranger, found};
pub use umbrella_room::mesh::{LinkId, Rooms};
