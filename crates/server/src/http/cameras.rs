//! What the admin can do about cameras.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::api::{
    CameraEntry, CameraSettings, CameraTested, ConfirmCamera, ImportCameras, ImportedCameras,
    TestCamera,
};
use super::body::Body;
use super::error::Refusal;
use super::session::Admin;
use super::state::App;
use crate::memory::Work;

type Answer<T> = Result<Json<T>, Refusal>;

pub(super) async fn list(_: Admin, State(app): State<App>) -> Json<Vec<CameraEntry>> {
    Json(app.cameras.list().await)
}

pub(super) async fn add(
    _: Admin,
    State(app): State<App>,
    Body(request): Body<CameraSettings>,
) -> Answer<CameraEntry> {
    Ok(Json(app.cameras.add(&request).await?))
}

pub(super) async fn change(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(request): Body<CameraSettings>,
) -> Answer<CameraEntry> {
    Ok(Json(app.cameras.change(&id, &request).await?))
}

pub(super) async fn remove(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    app.cameras.remove(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn retry(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    app.cameras.retry(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn confirm(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
    Body(request): Body<ConfirmCamera>,
) -> Result<StatusCode, Refusal> {
    app.cameras.confirm(&id, &request.fingerprint).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn test(
    _: Admin,
    State(app): State<App>,
    Body(request): Body<TestCamera>,
) -> Answer<CameraTested> {
    let memory = app.control.memory();
    memory.admit(Work::Camera, memory.shares().camera())?;
    Ok(Json(app.cameras.test(&request).await?))
}

pub(super) async fn import(
    _: Admin,
    State(app): State<App>,
    Body(request): Body<ImportCameras>,
) -> Answer<ImportedCameras> {
    Ok(Json(app.cameras.import(&request).await?))
}
