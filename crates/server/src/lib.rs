//! The server: sockets, threads, files, real time. The binary is a thin shell around it.

pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod http;
pub mod net;
pub mod signal;
pub mod store;
pub mod tls;
pub mod worker;
