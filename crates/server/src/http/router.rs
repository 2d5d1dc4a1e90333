//! Every path that is served.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};

use super::body::MAX_BODY_BYTES;
use super::error::Refusal;
use super::state::{App, Phase};
use super::{admin, assets, cameras, check, client, guest, metrics, session, trunks, trust};
use crate::net::Cidr;

/// Everything below the configured prefix. `signalling` brings its own paths.
pub fn router(app: App, signalling: Router) -> Router {
    let prefix = app.config.now().http.prefix.clone();
    let trusted: Arc<[Cidr]> = app.config.now().http.trusted_proxies.clone().into();
    let policy = policy(app.config.now().cloud);
    let doors = Arc::clone(app.control.doors());
    let inner = Router::new()
        .route("/sfu", get(assets::page))
        .route("/sfu/", get(assets::page))
        .route("/assets/{*path}", get(assets::asset))
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .route("/status", get(status))
        .route("/servers", get(servers))
        .route("/check", get(check_page))
        .route("/metrics", get(metrics::show))
        .route("/trust", get(trust::guide))
        .route("/ca.crt", get(trust::certificate))
        .route("/ca.mobileconfig", get(trust::profile))
        .nest("/api", api())
        .with_state(app.clone())
        .merge(signalling);
    // Both forms of the root: clients probe either.
    let root = get(assets::page);
    let all = if prefix.is_empty() {
        inner.route("/", root.with_state(app))
    } else {
        Router::new()
            .route(&prefix, root.clone().with_state(app.clone()))
            .route(&format!("{prefix}/"), root.with_state(app))
            .nest(&prefix, inner)
    };
    all.fallback(nothing_here)
        .layer(from_fn_with_state(doors, metrics::count))
        .layer(from_fn_with_state(policy, headers))
        .layer(from_fn_with_state(trusted, client::attach))
}

fn api() -> Router<App> {
    Router::new()
        .route("/session", get(session::show))
        .route("/setup", post(session::set_up))
        .route("/login", post(session::log_in))
        .route("/logout", post(session::log_out))
        .route("/invite/{token}", get(guest::look))
        .route("/invite/{token}/join", post(guest::join))
        .route(
            "/invite/{token}/check",
            get(check::guest_plan).post(check::guest_offer),
        )
        .route("/invite/{token}/check/echo", get(check::guest_echo))
        .nest("/admin", admin_api())
        .fallback(async || Refusal::not_found("There is no such call."))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(session::same_origin))
        .layer(from_fn(never_cached))
}

fn admin_api() -> Router<App> {
    Router::new()
        .route("/rooms", get(admin::rooms).post(admin::create_room))
        .route("/rooms/{room}", get(admin::room).delete(admin::delete_room))
        .route("/rooms/{room}/join", post(admin::join_room))
        .route(
            "/rooms/{room}/participants/{identity}",
            delete(admin::remove_participant),
        )
        .route("/rooms/{room}/tracks/{track}/mute", post(admin::mute_track))
        .route("/invites", get(admin::invites).post(admin::create_invite))
        .route("/invites/{id}", delete(admin::revoke_invite))
        .route("/keys", get(admin::keys).post(admin::create_key))
        .route("/keys/{key}", delete(admin::revoke_key))
        .route("/status", get(admin::status))
        .route("/certificate/retry", post(admin::retry_certificate))
        .route("/check", get(check::plan).post(check::offer))
        .route("/check/echo", get(check::echo))
        .route("/topology", get(trunks::topology))
        .route("/cameras", get(cameras::list).post(cameras::add))
        .route("/cameras/test", post(cameras::test))
        .route("/cameras/import", post(cameras::import))
        .route(
            "/cameras/{id}",
            post(cameras::change).delete(cameras::remove),
        )
        .route("/cameras/{id}/retry", post(cameras::retry))
        .route("/cameras/{id}/confirm", post(cameras::confirm))
        .route("/trunks", get(trunks::list).post(trunks::add))
        .route("/trunks/nearby", get(trunks::nearby))
        .route("/trunks/{key}", delete(trunks::remove))
        .route("/trunks/{key}/confirm", post(trunks::confirm))
        .route("/trunks/{key}/retry", post(trunks::retry))
        .route("/trunks/allowed", post(trunks::allow))
        .route("/trunks/allowed/{key}", delete(trunks::revoke))
}

/// Alive: the process answers.
async fn health() -> &'static str {
    "ok\n"
}

/// Accepting: clients may come.
async fn readiness(State(app): State<App>) -> Response {
    match *app.phase.borrow() {
        Phase::Running => "ready\n".into_response(),
        Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
        Phase::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
    }
}

/// For programs with a session the state as JSON, for people the page's own view of it.
async fn status(State(app): State<App>, headers: HeaderMap) -> Result<Response, Refusal> {
    let wants_json = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("application/json"));
    if !wants_json {
        let page = format!("{}/sfu#/admin/status", app.config.now().http.prefix);
        return Ok(Redirect::to(&page).into_response());
    }
    if session::session_of(&headers, &app).await?.is_none() {
        return Err(Refusal::unauthorized());
    }
    let mut response = Json(admin::current_status(&app).await).into_response();
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    Ok(response)
}

/// The page's view of other servers.
async fn servers(State(app): State<App>) -> Redirect {
    Redirect::to(&format!(
        "{}/sfu#/admin/servers",
        app.config.now().http.prefix
    ))
}

/// The page's view of what a browser reaches.
async fn check_page(State(app): State<App>) -> Redirect {
    Redirect::to(&format!("{}/sfu#/check", app.config.now().http.prefix))
}

async fn nothing_here() -> Response {
    (StatusCode::NOT_FOUND, "nothing here\n").into_response()
}

async fn never_cached(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}

/// The content security policy: nothing from elsewhere. `blob:` is what the browser itself
/// makes of camera pictures and workers. Inline styles are what the call's layout sets.
fn policy(cloud: bool) -> HeaderValue {
    // 'self' does not cover WebSockets in every browser.
    let connect = if cloud { "ws: wss:" } else { "wss:" };
    let text = format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data: blob:; media-src 'self' blob: mediastream:; font-src 'self'; \
         connect-src 'self' {connect}; worker-src 'self' blob:; manifest-src 'self'; \
         base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("default-src 'self'"))
}

async fn headers(State(policy): State<HeaderValue>, request: Request, next: Next) -> Response {
    const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(
        PERMISSIONS,
        HeaderValue::from_static(
            "camera=(self), microphone=(self), display-capture=(self), autoplay=(self), \
             fullscreen=(self), picture-in-picture=(self), screen-wake-lock=(self), \
             speaker-selection=(self), geolocation=(), payment=(), usb=()",
        ),
    );
    response
}
