//! Where other servers dial in.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prost::Message as _;
use tokio::time::timeout;

use super::dial::HANDSHAKE;
use super::frame::MAX_MESSAGE;
use super::hello::{Accepted, Failure, Known, Listener, Own};
use super::registry::{Door, Inner, Newcomer, Trunks};
use super::socket::Socket;

type Address = Option<Extension<ConnectInfo<SocketAddr>>>;

/// The door's path, below the prefix.
pub fn router(trunks: Trunks) -> Router {
    Router::new().route("/wsb", get(connect)).with_state(trunks)
}

async fn connect(
    State(Trunks(inner)): State<Trunks>,
    address: Address,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let address = address.map_or(
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        |Extension(ConnectInfo(address))| address.ip(),
    );
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    if let Err(many) = inner.limit.attempt(address, Instant::now()) {
        tracing::debug!(%address, "a server tries to join too often");
        let after = [(header::RETRY_AFTER, many.retry_after_s.to_string())];
        return (StatusCode::TOO_MANY_REQUESTS, after, many.to_string()).into_response();
    }
    upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .read_buffer_size(16 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * MAX_MESSAGE)
        .on_failed_upgrade(|error| tracing::debug!(%error, "the WebSocket did not open"))
        .on_upgrade(move |socket| receive(inner, address, Socket::accepted(socket)))
}

/// Lets a server in, or tells it why not.
async fn receive(inner: Arc<Inner>, address: IpAddr, mut socket: Socket) {
    // Which secret was named, for the operator.
    let named = Mutex::new(None);
    let Ok(place) = inner.handshakes.try_acquire() else {
        return refuse(&inner, address, None, &Failure::TooMany, socket).await;
    };
    let shaken = timeout(HANDSHAKE, shake_hands(&inner, &mut socket, &named)).await;
    let key = named.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failure = match shaken {
        Ok(Ok(newcomer)) => {
            let key = key.as_deref().unwrap_or_default();
            match inner.join(newcomer, &Door::secret(key), socket).await {
                Ok(_) => {
                    inner.limit.refund(address);
                    return;
                }
                Err((failure, back)) => {
                    socket = back;
                    failure
                }
            }
        }
        Ok(Err(failure)) => failure,
        Err(_) => Failure::Malformed("it took too long"),
    };
    refuse(&inner, address, key.as_deref(), &failure, socket).await;
    drop(place);
}

async fn shake_hands(
    inner: &Inner,
    socket: &mut Socket,
    named: &Mutex<Option<String>>,
) -> Result<Newcomer, Failure> {
    if inner.is_stopping() {
        return Err(Failure::Shutdown);
    }
    let find = |key: &str| {
        let shown = super::hello::shown(key, 64);
        *named.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        inner.known(key)
    };
    let accepted = answer(inner.own.clone(), socket, find).await?;
    let key = named.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let key = key.unwrap_or_default();
    inner.in_time(&key, &accepted.peer.node).await?;
    Ok(Newcomer::Accepted(accepted))
}

/// Shakes hands from the side that is dialled.
pub(super) async fn answer(
    own: Own,
    socket: &mut Socket,
    find: impl FnOnce(&str) -> Option<Known>,
) -> Result<Accepted, Failure> {
    const GONE: Failure = Failure::Malformed("the connection broke");
    let hello = socket.next().await.map_err(|_| GONE)?;
    let hello = hello.ok_or(Failure::Malformed("it went away without a word"))?;
    let (listener, challenge) = Listener::hello(own, &hello, find)?;
    socket.send(challenge).await.map_err(|_| GONE)?;
    let Ok(Some(proof)) = socket.next().await else {
        return Err(listener.gone());
    };
    listener.proof(&proof)
}

/// Says why, unless the other side has said so itself.
pub(super) async fn part(socket: Socket, failure: &Failure) {
    if !matches!(failure, Failure::Refused { .. }) {
        socket.end(failure.refused().encode_to_vec()).await;
    }
}

async fn refuse(
    inner: &Inner,
    address: IpAddr,
    key: Option<&str>,
    failure: &Failure,
    socket: Socket,
) {
    match (key, failure) {
        // Whoever looks for open doors is no server, and would fill the operator's list.
        (None, Failure::Malformed(why)) => {
            tracing::info!(%address, why, "somebody who is no server was refused");
        }
        (key, failure) => inner.turn_away(address, key, &failure.to_string()),
    }
    part(socket, failure).await;
}
