//! The real binary, from the outside: files, sockets, signals, HTTP.

mod api;
mod harness;
mod startup;
mod tls;
