//! Who should receive what: rooms, participants, tracks, subscriptions, permissions.
//!
//! A [`Room`] takes a [`Command`], and [`Room::poll_effect`] then yields what follows from it.
//! It has no clock, does no I/O, and knows neither the WebRTC engine nor a client dialect:
//! whoever owns it carries its effects out.
//!
//! Where a rule lives:
//!
//! | question | file |
//! | --- | --- |
//! | whom somebody may see at all | `sight.rs` |
//! | who may come in, who is told that somebody came or left | `participant.rs` |
//! | what may be published, when others learn of it | `track.rs` |
//! | who receives a track | `subscription.rs` |
//! | whom its publisher lets have it | `access.rs` |
//! | what they get who cannot decode it | `backup.rs` |
//! | how much of it they receive | `delivery.rs` |
//! | how much of it its publisher has to send | `dynacast.rs` |
//! | what somebody may have missed who comes back | `resume.rs` |
//! | who speaks | `speakers.rs` |
//! | whose picture comes first, whose sound is forwarded in a crowd | `floor.rs` |
//! | how good connections are | `quality.rs` |
//! | who gets a data message | `data.rs` |
//! | what moderators can do | `moderation.rs` |
//! | how large anything may be | `limits.rs` |
//! | who is at other servers, what those are told and tell | `remote.rs` |
//! | what is wanted of their tracks | `reach.rs` |
//! | how servers find each other's participants | `mesh` |

pub mod access;
mod backup;
pub mod command;
mod data;
pub mod delivery;
mod dynacast;
pub mod effect;
mod floor;
pub mod limits;
pub mod mesh;
pub mod model;
mod moderation;
mod participant;
pub mod quality;
mod reach;
mod remote;
mod resume;
pub mod room;
mod roster;
pub mod sight;
mod speakers;
mod subscription;
mod track;

pub use command::Command;
pub use effect::{Effect, Notification};
pub use limits::Limits;
pub use room::{Reason, Room, RoomConfig};
pub use sight::Sight;
