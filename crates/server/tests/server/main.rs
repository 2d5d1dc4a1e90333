//! The real binary, from the outside: files, sockets, signals, HTTP.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod api;
mod harness;
mod startup;
mod tls;
