//! The secure connection and the egress against a stock str0m client, on a seeded virtual
//! network.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that cannot go on should panic, and cares for few events of many"
)]

mod goodbye_is_not_heard;
mod ice_restart_interrupts_media;
mod media_does_not_arrive;
mod pair;
mod replayed_feedback_is_believed;
mod section_reused_by_another_consumer;
