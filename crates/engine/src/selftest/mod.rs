//! The far ends of a server's test of itself: a peer as a client has one, the media that it sends,
//! and a look at what arrives of them.
//!
//! A [`Peer`] is a stock str0m: it seals and sends by str0m's own code, and shares nothing with the
//! egress that it tests. It has no socket and no clock. It is here as no other crate of the server
//! knows str0m.

mod media;
mod peer;

pub use media::{MediaPacket, Witness};
pub use peer::{Peer, PeerError, PeerEvent, PeerOutput};
