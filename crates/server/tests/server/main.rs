//! The real binary, from the outside: files, sockets, signals, HTTP.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod api;
mod cameras;
mod harness;
mod health;
mod metrics;
mod selftest;
mod startup;
mod systemd;
mod tls;
mod trunks;
