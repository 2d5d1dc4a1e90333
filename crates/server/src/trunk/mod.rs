//! Trunks: the links to other servers.
//!
//! This is the door of a trunk as `signal` is that of a client: it dials and is dialled, proves
//! who is there, frames, times out and bounds. What the messages mean is for
//! [`control`](crate::control).

mod address;
mod dial;
mod door;
mod frame;
mod hello;
mod link;
mod operator;
mod pulse;
mod registry;
mod secret;
mod settings;
mod socket;
mod task;
mod trust;

#[cfg(test)]
mod tests;

pub use address::Address;
pub use door::router;
pub use frame::MAX_FRAME;
#[cfg(any(test, fuzzing))]
pub(crate) use hello::fuzzing;
pub use link::{LinkEnd, LinkEvent, LinkId, LinkInbox, LinkOutbox, Neighbour, Rooms, link_outbox};
pub use operator::TrunkError;
pub use registry::Trunks;
pub use secret::{BadSecret, JoinSecret, Pin, ProofKey};
pub use settings::{Entry, Permit, check_name, check_rooms};
