//! Session descriptions: what is read from a peer's, and what is changed in ours.

pub(crate) mod parse;
pub(crate) mod write;
