//! What the admin can call.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::api::{
    ApiKey, CreateInvite, CreateKey, CreateRoom, CreatedInvite, CreatedKey, Invite, JoinGrant,
    JoinRequest, MemoryRefusals, MemoryStatus, MuteRequest, Role, RoomDetail, RoomSummary, Status,
};
use super::body::Body;
use super::error::Refusal;
use super::guest::{check_join, grant};
use super::session::Admin;
use super::state::App;
use crate::auth::{
    Bearer, CAMERA_CHARS, Claims, MAX_CAMERAS, NewInvite, are_few, role_attribute, room_grants,
    stable_identity,
};
use crate::clock::unix_seconds;
use crate::control::AdminError;
use crate::memory::{Memory, Standing};
use crate::metrics::resident_bytes;
use crate::store;

/// How long the admin's own token to a room can be used to come in, in seconds.
const ADMIN_TOKEN_LIFETIME_S: u64 = 3600;

type Answer<T> = Result<Json<T>, Refusal>;

pub(super) async fn rooms(_: Admin, State(app): State<App>) -> Answer<Vec<RoomSummary>> {
    Ok(Json(app.control.rooms().await))
}

pub(super) async fn create_room(
    _: Admin,
    State(app): State<App>,
    Body(request): Body<CreateRoom>,
) -> Answer<RoomSummary> {
    let name = room_name(&request.name)?;
    let room = app.control.create_room(&name, true).await?;
    store::rooms::keep(&app.store, name.clone()).await?;
    tracing::info!(room = name, "room created");
    Ok(Json(room))
}

pub(super) async fn delete_room(
    _: Admin,
    State(app): State<App>,
    Path(room): Path<String>,
) -> Result<StatusCode, Refusal> {
    let kept = store::rooms::forget(&app.store, room.clone()).await?;
    app.invites.revoke_room(room.clone()).await?;
    match app.control.delete_room(&room).await {
        Err(AdminError::NoSuchRoom) if kept => {}
        result => result?,
    }
    tracing::info!(room, "room deleted");
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn room(
    _: Admin,
    State(app): State<App>,
    Path(room): Path<String>,
) -> Answer<RoomDetail> {
    let found = app.control.room(&room).await;
    found.map(Json).ok_or_else(|| AdminError::NoSuchRoom.into())
}

pub(super) async fn join_room(
    _: Admin,
    State(app): State<App>,
    Path(room): Path<String>,
    Body(request): Body<JoinRequest>,
) -> Answer<JoinGrant> {
    let room = room_name(&room)?;
    let (name, client_id) = check_join(&request)?;
    let mut video = room_grants(&room, Role::Moderate);
    video.can_update_own_metadata = Some(true);
    let claims = Claims {
        sub: stable_identity(Bearer::Admin.word(), &room, client_id),
        attributes: role_attribute(Role::Moderate),
        exp: unix_seconds() + ADMIN_TOKEN_LIFETIME_S,
        name: name.to_owned(),
        video,
        ..Claims::default()
    };
    Ok(Json(grant(&app, claims).await?))
}

pub(super) async fn remove_participant(
    _: Admin,
    State(app): State<App>,
    Path((room, identity)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    app.control.remove_participant(&room, &identity).await?;
    tracing::info!(room, identity, "participant removed");
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn mute_track(
    _: Admin,
    State(app): State<App>,
    Path((room, track)): Path<(String, String)>,
    Body(request): Body<MuteRequest>,
) -> Result<StatusCode, Refusal> {
    app.control.mute_track(&room, &track, request.muted).await?;
    tracing::info!(room, track, muted = request.muted, "track muted or unmuted");
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn invites(_: Admin, State(app): State<App>) -> Answer<Vec<Invite>> {
    Ok(Json(app.invites.list().await?))
}

pub(super) async fn create_invite(
    _: Admin,
    State(app): State<App>,
    Body(request): Body<CreateInvite>,
) -> Answer<CreatedInvite> {
    let room = room_name(&request.room)?;
    if request.uses == Some(0) {
        return Err(Refusal::invalid("An invite allows one join at least."));
    }
    let cameras = request.cameras.map(cameras).transpose()?;
    match app.control.create_room(&room, true).await {
        Ok(_) | Err(AdminError::RoomExists) => {}
        Err(error) => return Err(error.into()),
    }
    store::rooms::keep(&app.store, room.clone()).await?;
    let new = NewInvite {
        room,
        role: request.role,
        expires_in_s: request.expires_in_s,
        uses: request.uses,
        cameras,
    };
    let (invite, secret) = app.invites.create(new).await?;
    tracing::info!(room = invite.room, invite = invite.id, role = ?invite.role, "invite created");
    let fragment = format!("#/join/{secret}");
    Ok(Json(CreatedInvite {
        path: format!("{}/sfu{fragment}", app.config.now().http.prefix),
        urls: with_fragment(app.addresses.urls(), &fragment),
        invite,
    }))
}

/// The cameras of an invite, each once. That they exist is not checked: some are at other servers,
/// and come and go.
fn cameras(mut named: Vec<String>) -> Result<Vec<String>, Refusal> {
    let harmless = |id: &String| !id.chars().any(char::is_control);
    if !are_few(&named) || !named.iter().all(harmless) {
        return Err(Refusal::invalid(format!(
            "An invite names {MAX_CAMERAS} cameras at most, by identities of 1 to {CAMERA_CHARS} characters."
        )));
    }
    named.sort();
    named.dedup();
    Ok(named)
}

fn with_fragment(urls: Vec<String>, fragment: &str) -> Vec<String> {
    urls.into_iter().map(|url| url + fragment).collect()
}

pub(super) async fn revoke_invite(
    _: Admin,
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    if !app.invites.revoke(id.clone()).await? {
        return Err(Refusal::not_found("There is no such invite."));
    }
    tracing::info!(invite = id, "invite revoked");
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn keys(_: Admin, State(app): State<App>) -> Answer<Vec<ApiKey>> {
    Ok(Json(app.keys.list().await?))
}

pub(super) async fn create_key(
    _: Admin,
    State(app): State<App>,
    Body(request): Body<CreateKey>,
) -> Answer<CreatedKey> {
    let note = request.note.trim();
    if note.chars().count() > 200 || note.chars().any(char::is_control) {
        return Err(Refusal::invalid(
            "A note has at most 200 characters, on one line.",
        ));
    }
    let (key, secret) = app.keys.create(note.to_owned()).await?;
    tracing::info!(key = key.key, "API key created");
    Ok(Json(CreatedKey { key, secret }))
}

pub(super) async fn revoke_key(
    _: Admin,
    State(app): State<App>,
    Path(key): Path<String>,
) -> Result<StatusCode, Refusal> {
    app.keys.revoke(&key).await?;
    tracing::info!(key, "API key revoked");
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn status(_: Admin, State(app): State<App>) -> Answer<Status> {
    Ok(Json(current_status(&app).await))
}

pub(super) async fn retry_certificate(
    _: Admin,
    State(app): State<App>,
) -> Result<StatusCode, Refusal> {
    let unwanted = || Refusal::not_found("No certificate of a public authority is wanted.");
    app.certificate.as_ref().ok_or_else(unwanted)?.try_now();
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn current_status(app: &App) -> Status {
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_s: app.started.elapsed().as_secs(),
        page_urls: app.addresses.urls(),
        certificate: app.certificate.as_ref().map(|it| it.report().into()),
        media_addresses: app.control.advertised().texts(),
        workers: app.control.workers().await,
        memory: memory(app.control.memory()),
        held: app.control.held().await,
        rooms: app.control.details().await,
    }
}

fn memory(memory: &Memory) -> MemoryStatus {
    let Standing { bound, tight } = memory.standing();
    MemoryStatus {
        resident_bytes: resident_bytes(),
        bound_bytes: bound,
        tight,
        refused: memory
            .refused()
            .map(|(work, count)| MemoryRefusals {
                work: work.to_owned(),
                count,
            })
            .collect(),
    }
}

fn room_name(text: &str) -> Result<String, Refusal> {
    store::rooms::name(text)
        .ok_or_else(|| Refusal::invalid("A room's name has 1 to 64 characters and no slash."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invite_names_more_cameras_than_its_token_may() {
        let named = |ids: &[&str]| cameras(ids.iter().map(|id| (*id).to_owned()).collect());
        assert_eq!(named(&["b", "a", "b"]).unwrap(), ["a", "b"]);
        assert_eq!(named(&[]).unwrap(), [""; 0]);
        let long = "x".repeat(65);
        for wrong in [&[""][..], &["a\n"], &[&long], &["x"; 65]] {
            assert!(named(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn room_names_are_trimmed_and_bounded() {
        assert_eq!(room_name(" Küche ").unwrap(), "Küche");
        for wrong in ["", "  ", "a/b", "a\nb", &"x".repeat(65)] {
            assert!(room_name(wrong).is_err(), "{wrong:?}");
        }
    }
}
