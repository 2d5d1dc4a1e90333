//! Who should receive what: rooms, participants, tracks, subscriptions, permissions.
//!
//! A [`Room`] takes a [`Command`], and [`Room::poll_effect`] then yields what follows from it.
//! It has no clock, does no I/O, and knows neither the WebRTC engine nor a client dialect:
//! whoever owns it carries its effects out.

pub mod command;
pub mod effect;
pub mod limits;
pub mod model;
pub mod room;

pub use command::Command;
pub use effect::{Effect, Notification};
pub use limits::Limits;
pub use room::{Reason, Room, RoomConfig};
