//! Trunks: the links to other servers.
//!
//! This is the door of a trunk as `signal` is that of a client: it dials and is dialled, proves
//! who is there, frames, times out and bounds. What the messages mean is for
//! [`control`](crate::control).

#[cfg_attr(
    not(any(test, fuzzing)),
    expect(dead_code, reason = "the owner of the rooms does not use it yet")
)]
pub(crate) mod decode;
#[cfg_attr(
    not(any(test, fuzzing)),
    expect(dead_code, reason = "the owner of the rooms does not use it yet")
)]
pub(crate) mod encode;
mod link;

pub use link::{LinkEnd, LinkEvent, LinkId, LinkInbox, LinkOutbox, Neighbour, link_outbox};
pub use umbrella_room::mesh::Rooms;
