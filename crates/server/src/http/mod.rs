//! HTTP: the page, its API, and the listener on which signalling arrives too.

pub mod api;

#[cfg(test)]
mod page_types;
