//! HTTP: the page, its API, and the listener on which signalling arrives too.

mod admin;
pub mod api;
mod assets;
mod body;
mod camera_api;
mod cameras;
mod check;
mod client;
mod connection;
mod error;
mod guest;
mod metrics;
mod router;
mod serve;
mod session;
mod state;
mod topology_api;
mod trunk_api;
mod trunks;
mod trust;

#[cfg(test)]
mod page_types;

pub use assets::Page;
pub(crate) use assets::check as check_page;
pub use client::ClientInfo;
pub use router::router;
pub use serve::{Service, bind, serve};
pub use state::{App, Phase};
