//! Simulated nodes against reference models: everything random comes from a seed, and time is
//! a number that the simulation moves, so a failure can be replayed exactly.
//!
//! [`rooms`] drives rooms alone: random commands in, effects out to simulated clients and a
//! simulated engine. [`trunks`] drives linked servers on a network that loses them.

pub mod random;
pub mod rooms;
pub mod trunks;
