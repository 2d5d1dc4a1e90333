//! What the self-check page asks for: whether a browser reaches the page, and the media ports.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::{Extension, Json};
use tokio::time::{Instant, timeout_at};

use super::api::{CheckAnswer, CheckOffer, CheckPlan, CheckServer};
use super::body::Body;
use super::client::ClientInfo;
use super::error::Refusal;
use super::session::Admin;
use super::state::App;
use crate::clock::unix_seconds;
use crate::turn::ice_servers;

/// What is sent back: so much of it, and for so long.
const ECHO_BYTES: usize = 64;
const ECHOES: usize = 8;
const ECHO_TIME: Duration = Duration::from_secs(10);

pub(super) async fn plan(State(app): State<App>, _admin: Admin) -> Json<CheckPlan> {
    Json(plan_of(&app))
}

pub(super) async fn offer(
    State(app): State<App>,
    _admin: Admin,
    Extension(client): Extension<ClientInfo>,
    Body(offer): Body<CheckOffer>,
) -> Result<Json<CheckAnswer>, Refusal> {
    answer(&app, &client, offer).await
}

pub(super) async fn echo(_admin: Admin, upgrade: WebSocketUpgrade) -> Response {
    open(upgrade)
}

pub(super) async fn guest_plan(
    State(app): State<App>,
    Extension(client): Extension<ClientInfo>,
    Path(token): Path<String>,
) -> Result<Json<CheckPlan>, Refusal> {
    app.invites.look(&token, client.ip).await?;
    Ok(Json(plan_of(&app)))
}

pub(super) async fn guest_offer(
    State(app): State<App>,
    Extension(client): Extension<ClientInfo>,
    Path(token): Path<String>,
    Body(offer): Body<CheckOffer>,
) -> Result<Json<CheckAnswer>, Refusal> {
    app.invites.look(&token, client.ip).await?;
    answer(&app, &client, offer).await
}

pub(super) async fn guest_echo(
    State(app): State<App>,
    Extension(client): Extension<ClientInfo>,
    Path(token): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    app.invites.look(&token, client.ip).await?;
    Ok(open(upgrade))
}

fn plan_of(app: &App) -> CheckPlan {
    let config = app.config.now();
    let relays = ice_servers(&config.turn, unix_seconds(), rand::random());
    let relays = relays.into_iter().filter(|it| !it.credential.is_empty());
    CheckPlan {
        ports: app.control.media_ports().to_vec(),
        udp: config.media.udp,
        tcp: config.media.tcp,
        relays: relays
            .map(|it| CheckServer {
                urls: it.urls,
                username: it.username,
                credential: it.credential,
            })
            .collect(),
    }
}

async fn answer(
    app: &App,
    client: &ClientInfo,
    offer: CheckOffer,
) -> Result<Json<CheckAnswer>, Refusal> {
    let CheckOffer { port, sdp } = offer;
    let mut ports = app.control.media_ports().iter();
    let worker = ports.position(|it| *it == port);
    let worker = worker.ok_or_else(|| Refusal::invalid("There is no such port."))?;
    match app.control.probe(client.ip, worker, sdp).await {
        Ok(sdp) => Ok(Json(CheckAnswer { sdp })),
        Err(error) => Err(Refusal::invalid(error.to_string())),
    }
}

fn open(upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .max_message_size(ECHO_BYTES)
        .max_frame_size(ECHO_BYTES)
        .on_upgrade(send_back)
}

async fn send_back(mut socket: WebSocket) {
    let end = Instant::now() + ECHO_TIME;
    for _ in 0..ECHOES {
        let Ok(Some(Ok(message))) = timeout_at(end, socket.recv()).await else {
            return;
        };
        let is_ours = matches!(message, Message::Text(_));
        if !is_ours || !matches!(timeout_at(end, socket.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}
