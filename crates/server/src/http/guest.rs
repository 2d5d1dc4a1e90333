//! What a guest with an invite link can call.

use axum::extract::{Path, State};
use axum::{Extension, Json};

use super::api::{InviteInfo, JoinGrant, JoinRequest, Role};
use super::body::Body;
use super::client::ClientInfo;
use super::error::Refusal;
use super::state::App;
use crate::auth::{Claims, sight};
use crate::memory::Work;

const NAME_CHARS: std::ops::RangeInclusive<usize> = 1..=64;
const CLIENT_ID_CHARS: std::ops::RangeInclusive<usize> = 8..=64;

pub(super) async fn look(
    State(app): State<App>,
    Extension(client): Extension<ClientInfo>,
    Path(token): Path<String>,
) -> Result<Json<InviteInfo>, Refusal> {
    let invite = app.invites.look(&token, client.ip).await?;
    let control = app.control.seeing(sight(invite.cameras.as_deref()));
    // There is no room before somebody is in.
    let inside = control.participants(&invite.room).await.unwrap_or_default();
    let seen = inside.iter().filter(|view| !view.permission.hidden);
    Ok(Json(InviteInfo {
        participants: u32::try_from(seen.count()).unwrap_or(u32::MAX),
        room: invite.room,
        can_publish: invite.role != Role::Watch,
        can_moderate: invite.role == Role::Moderate,
        server_name: app.config.now().name.clone(),
    }))
}

pub(super) async fn join(
    State(app): State<App>,
    Extension(client): Extension<ClientInfo>,
    Path(token): Path<String>,
    Body(request): Body<JoinRequest>,
) -> Result<Json<JoinGrant>, Refusal> {
    let (name, client_id) = check_join(&request)?;
    let claims = app.invites.join(&token, name, client_id, client.ip).await?;
    if let Some(left) = app.control.kept_out(&claims.video.room, &claims.sub).await {
        return Err(Refusal::removed(left));
    }
    Ok(Json(grant(&app, claims).await?))
}

pub(super) fn check_join(request: &JoinRequest) -> Result<(&str, &str), Refusal> {
    let name = request.name.trim();
    if !NAME_CHARS.contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(Refusal::invalid("A name has 1 to 64 characters."));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let id = request.client_id.as_str();
    if !CLIENT_ID_CHARS.contains(&id.len()) || !id.bytes().all(plain) {
        return Err(Refusal::invalid(
            "The client id has 8 to 64 letters, digits, - or _.",
        ));
    }
    Ok((name, id))
}

/// A token, unless whoever comes with it now would be refused for want of memory: clients do not show
/// that reason.
pub(super) async fn grant(app: &App, claims: Claims) -> Result<JoinGrant, Refusal> {
    let (room, identity) = (claims.video.room.clone(), claims.sub.clone());
    if let Err(error) = app.control.affords(&room, &identity).await {
        app.control.memory().count(Work::Join);
        return Err(error.into());
    }
    let can_publish = claims.video.can_publish.unwrap_or(true);
    let can_moderate = claims.video.room_admin;
    let token = app
        .keys
        .authority()
        .issue(claims)
        .map_err(|error| Refusal::forbidden(error.to_string()))?;
    Ok(JoinGrant {
        prefix: app.config.now().http.prefix.clone(),
        token,
        room,
        identity,
        can_publish,
        can_moderate,
    })
}
