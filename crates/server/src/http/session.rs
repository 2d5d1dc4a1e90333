//! Sessions of the admin: cookie, CSRF token, and the calls that start and end them.

use axum::Json;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::api::{AdminSession, LoginRequest, SetupRequest};
use super::body::Body;
use super::client::ClientInfo;
use super::error::Refusal;
use super::state::App;
use crate::auth::{SESSION_LIFETIME_S, Session};

const COOKIE: &str = "umbrella_session";
const CSRF_HEADER: &str = "x-umbrella-csrf";

/// A request by the admin. Whatever changes something has proven that our own page sent it.
#[derive(Debug)]
pub(super) struct Admin;

impl FromRequestParts<App> for Admin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let session = session_of(&parts.headers, app)
            .await?
            .ok_or_else(Refusal::unauthorized)?;
        if !is_safe(&parts.method) {
            let given = parts.headers.get(CSRF_HEADER).and_then(|v| v.to_str().ok());
            if !given.is_some_and(|given| session.csrf_matches(given)) {
                return Err(Refusal::forbidden("Load the page again and retry."));
            }
        }
        Ok(Self)
    }
}

/// Refuses what another site's page makes a browser send. Programs other than browsers send no
/// `Origin`; they have no cookies of anybody either.
pub(super) async fn same_origin(request: Request, next: Next) -> Response {
    if is_safe(request.method()) {
        return next.run(request).await;
    }
    let host = request
        .extensions()
        .get::<ClientInfo>()
        .and_then(|client| client.host.clone());
    if let Some(origin) = request.headers().get(header::ORIGIN)
        && !origin_is_ours(origin, host.as_deref())
    {
        return Refusal::forbidden("This request came from another site.").into_response();
    }
    next.run(request).await
}

fn is_safe(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD || *method == Method::OPTIONS
}

fn origin_is_ours(origin: &HeaderValue, host: Option<&str>) -> bool {
    let authority = origin.to_str().ok().and_then(|o| {
        o.strip_prefix("https://")
            .or_else(|| o.strip_prefix("http://"))
    });
    match (authority, host) {
        (Some(authority), Some(host)) => {
            without_usual_port(authority).eq_ignore_ascii_case(without_usual_port(host))
        }
        (None, _) | (_, None) => false,
    }
}

fn without_usual_port(authority: &str) -> &str {
    authority
        .strip_suffix(":443")
        .or_else(|| authority.strip_suffix(":80"))
        .unwrap_or(authority)
}

pub(super) async fn show(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Json<AdminSession>, Refusal> {
    let session = session_of(&headers, &app).await?;
    Ok(Json(describe(&app, session.as_ref()).await?))
}

pub(super) async fn set_up(
    State(app): State<App>,
    axum::Extension(client): axum::Extension<ClientInfo>,
    Body(request): Body<SetupRequest>,
) -> Result<Response, Refusal> {
    let session = app
        .accounts
        .set_up(&request.code, request.password, client.ip)
        .await?;
    tracing::info!(client = %client.ip, "the admin's password was set by a one-time link");
    signed_in(&app, &session).await
}

pub(super) async fn log_in(
    State(app): State<App>,
    axum::Extension(client): axum::Extension<ClientInfo>,
    Body(request): Body<LoginRequest>,
) -> Result<Response, Refusal> {
    let session = match app.accounts.log_in(request.password, client.ip).await {
        Ok(session) => session,
        Err(error) => {
            tracing::warn!(client = %client.ip, %error, "the admin was not signed in");
            return Err(error.into());
        }
    };
    tracing::info!(client = %client.ip, "the admin signed in");
    signed_in(&app, &session).await
}

/// Needs no CSRF token: it only ever ends a session, and the origin is checked.
pub(super) async fn log_out(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    if let Some(session) = session_of(&headers, &app).await? {
        app.accounts.log_out(&session).await?;
    }
    let cookie = cookie(&app, "", 0)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

async fn signed_in(app: &App, session: &Session) -> Result<Response, Refusal> {
    let cookie = cookie(app, session.token(), SESSION_LIFETIME_S)?;
    let body = Json(describe(app, Some(session)).await?);
    Ok(([(header::SET_COOKIE, cookie)], body).into_response())
}

async fn describe(app: &App, session: Option<&Session>) -> Result<AdminSession, Refusal> {
    Ok(AdminSession {
        signed_in: session.is_some(),
        password_set: app.accounts.password_set().await?,
        csrf: session.map(Session::csrf).unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        server_name: app.config.now().name.clone(),
    })
}

pub(super) async fn session_of(headers: &HeaderMap, app: &App) -> Result<Option<Session>, Refusal> {
    for token in cookies(headers) {
        if let Some(session) = app.accounts.session(token).await? {
            return Ok(Some(session));
        }
    }
    Ok(None)
}

/// Every value under our name, a few at most: another path of the same host may have its own.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
        .take(4)
}

/// Always `Secure`: browsers make an exception for localhost only, and so do we.
fn cookie(app: &App, token: &str, max_age_s: u64) -> Result<HeaderValue, Refusal> {
    let config = app.config.now();
    let path = match config.http.prefix.as_str() {
        "" => "/",
        prefix => prefix,
    };
    let text = format!(
        "{COOKIE}={token}; Path={path}; Max-Age={max_age_s}; Secure; HttpOnly; SameSite=Strict"
    );
    HeaderValue::from_str(&text).map_err(|_| Refusal::invalid("The session cannot be kept."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_origin_passes() {
        let ours = |origin: &str, host: &str| {
            origin_is_ours(&HeaderValue::from_str(origin).unwrap(), Some(host))
        };
        assert!(ours("https://box.local:8081", "box.local:8081"));
        assert!(ours("https://meet.example.org", "meet.example.org:443"));
        assert!(ours("https://Meet.example.org", "meet.example.org"));
        assert!(!ours("https://evil.example", "meet.example.org"));
        assert!(!ours("https://meet.example.org:444", "meet.example.org"));
        assert!(!ours("null", "meet.example.org"));
        assert!(!origin_is_ours(
            &HeaderValue::from_static("https://x"),
            None
        ));
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::COOKIE,
            "a=b; umbrella_session=one; c".parse().unwrap(),
        );
        headers.append(header::COOKIE, "umbrella_session=two".parse().unwrap());
        assert_eq!(cookies(&headers).collect::<Vec<_>>(), ["one", "two"]);
    }
}
