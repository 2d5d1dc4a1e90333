//! Session descriptions: what is read from a peer's, and what is changed in ours.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub(crate) mod parse;
pub(crate) mod write;
