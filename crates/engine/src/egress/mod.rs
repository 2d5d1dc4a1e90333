//! Everything that is sent to one peer.
