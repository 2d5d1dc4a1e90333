//! Dialects in which clients talk to the server. Each translates between its own messages and
//! the rooms' commands and notifications, and knows nothing else.

pub mod livekit;
