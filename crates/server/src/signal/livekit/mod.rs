//! The LiveKit client protocol: protobuf over a WebSocket at `/rtc` (two peer connections) and
//! `/rtc/v1` (one), so that the existing client SDKs work.

mod decode;
mod door;
mod encode;
mod follow;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod hello;
mod limits;
mod service;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use tokio::sync::watch;
use tower_http::cors::{Any, CorsLayer};

use self::limits::Sockets;
pub(crate) use self::service::{participant_json, room_json, track_json};
use crate::auth::Authority;
use crate::config::{LimitsConfig, TurnConfig};
use crate::control::Handle;

/// What all connections of this dialect share.
#[derive(Debug)]
struct Shared {
    control: Handle,
    authority: Arc<Authority>,
    limits: watch::Receiver<LimitsConfig>,
    turn: TurnConfig,
    sockets: Sockets,
}

/// The routes `/rtc`, `/rtc/v1` and their `validate`, and the server API below `/twirp`, to be
/// mounted below the prefix.
///
/// Requests should carry an [`axum::extract::ConnectInfo`] with the client's address as an
/// extension; without one all clients share the bounds of a single address.
///
/// `limits` may change at any time: counts are bounded by the current ones, messages and rates of a
/// client by those of when it came.
pub fn router(
    control: Handle,
    authority: Arc<Authority>,
    limits: watch::Receiver<LimitsConfig>,
    turn: TurnConfig,
) -> Router {
    // Not for pages of other origins: its tokens are for the servers of applications.
    let service = service::router(control.clone(), Arc::clone(&authority));
    let shared = Arc::new(Shared {
        sockets: Sockets::new(limits.clone()),
        control,
        authority,
        limits,
        turn,
    });
    // Pages of other origins must be able to read why they were refused. A token is no cookie:
    // other origins gain nothing by it.
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(Any)
        .allow_headers(Any);
    Router::new()
        .route("/rtc", get(door::connect_v0))
        .route("/rtc/validate", get(door::validate_v0))
        .route("/rtc/v1", get(door::connect_v1))
        .route("/rtc/v1/validate", get(door::validate_v1))
        .layer(cors)
        .with_state(shared)
        .merge(service)
}
