//! The server: sockets, threads, files, real time. The binary is a thin shell around it.

pub mod auth;
pub mod backup;
pub mod camera;
pub mod cameras;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http;
pub mod mdns;
pub mod memory;
pub mod metrics;
pub mod net;
mod outside;
mod protobuf;
mod selftest;
pub mod signal;
pub mod store;
mod systemd;
mod tally;
mod tasks;
pub mod tls;
pub mod trunk;
pub mod turn;
pub mod webhook;
pub mod worker;
