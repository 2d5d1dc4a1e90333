//! What the admin can do about trunks.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::api::{
    AddTrunk, AllowServer, AllowedNow, ConfirmTrunk, Nearby, Topology, TrunkEntry, TrunkOverview,
};
use super::body::Body;
use super::error::Refusal;
use super::session::Admin;
use super::state::App;

type Answer<T> = Result<Json<T>, Refusal>;

pub(super) async fn list(_: Admin, State(app): State<App>) -> Json<TrunkOverview> {
    Json(app.trunks.overview())
}

pub(super) async fn nearby(_: Admin, State(app): State<App>) -> Json<Nearby> {
    Json(app.trunks.nearby())
}

pub(super) async fn topology(_: Admin, State(app): State<App>) -> Answer<Topology> {
    let topology = app.control.topology().await;
    let down = || Refusal::unavailable("The server is going down.");
    Ok(Json(topology.ok_or_else(down)?))
}

pub(super) async fn add(
    _: Admin,
    State(app): State<App>,
    Body(request): Body<AddTrunk>,
) -> Answer<TrunkEntry> {
    Ok(Json(app.trunks.add(&request).await?))
}

pub(super) async fn remove(
    _: Admin,
    State(app): State<App>,
    Path(key): Path<String>,
) -> Result<StatusCode, Refusal> {
    app.trunks.remove(&key).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn confirm(
    _: Admin,
    State(app): State<App>,
    Path(key): Path<String>,
    Body(request): Body<ConfirmTrunk>,
) -> Result<StatusCode, Refusal> {
    app.trunks.confirm(&key, Some(&request.fingerprint)).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn retry(
    _: Admin,
    State(app): State<App>,
    Path(key): Path<String>,
) -> Result<StatusCode, Refusal> {
    app.trunks.retry(&key)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn allow(
    _: Admin,
    State(app): State<App>,
    Body(request): Body<AllowServer>,
) -> Answer<AllowedNow> {
    let (server, secret) = app.trunks.allow(request).await?;
    let pages = app.addresses.urls();
    let urls = pages.iter().map(|url| {
        let url = url.strip_suffix("/sfu").unwrap_or(url);
        url.to_owned()
    });
    Ok(Json(AllowedNow {
        server,
        secret,
        urls: urls.collect(),
    }))
}

pub(super) async fn revoke(
    _: Admin,
    State(app): State<App>,
    Path(key): Path<String>,
) -> Result<StatusCode, Refusal> {
    app.trunks.revoke(&key).await?;
    Ok(StatusCode::NO_CONTENT)
}
