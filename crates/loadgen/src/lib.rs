//! Synthetic participants that speak the client protocol, and the figures of what a server needs
//! for them.
//!
//! A few threads drive all peer connections ([`Driver`]); nothing is encoded or decoded. Every
//! packet carries a [`stamp::Stamp`], from which loss and latency are known exactly. See
//! [`run::run`] for how a measurement goes.

pub mod account;
pub mod camera;
mod clock;
mod driver;
mod janus;
pub mod limit;
pub mod loss;
pub mod media;
mod participant;
mod peer;
pub mod process;
mod random;
pub mod report;
pub mod run;
pub mod scenario;
pub mod soak;
mod socket;
pub mod stamp;
pub mod tally;
pub mod token;
pub mod witness;

pub use driver::{ConnectionId, Driver, Published};
pub use participant::{Participant, Quality};
pub use peer::PeerError;
pub use scenario::{Plan, Scenario};
