//! Figures for Prometheus, for who may read them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::Refusal;
use super::session::session_of;
use super::state::App;
use crate::auth::same;
use crate::metrics::{self, CONTENT_TYPE, Doors};

/// `/metrics`.
pub(super) async fn show(State(app): State<App>, headers: HeaderMap) -> Response {
    match figures(&app, &headers).await {
        Ok(text) => (
            [
                (header::CONTENT_TYPE, CONTENT_TYPE),
                (header::CACHE_CONTROL, "no-store"),
            ],
            text,
        )
            .into_response(),
        Err(refusal) => {
            let mut response = refusal.into_response();
            if response.status() == axum::http::StatusCode::UNAUTHORIZED {
                let bearer = HeaderValue::from_static("Bearer realm=\"metrics\"");
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, bearer);
            }
            response
        }
    }
}

async fn figures(app: &App, headers: &HeaderMap) -> Result<String, Refusal> {
    let config = app.config.now();
    let token = config.metrics.token.as_deref();
    let knows_token = bearer(headers)
        .zip(token)
        .is_some_and(|(given, token)| same(given, token));
    if !knows_token && session_of(headers, app).await?.is_none() {
        return Err(Refusal::needs_token(match token {
            Some(_) => "Give metrics.token as bearer token, or sign in as admin.",
            None => {
                "Only the admin may read this: set metrics.token (UMBRELLA_METRICS_TOKEN) for others."
            }
        }));
    }
    let text = metrics::scrape(
        &app.control,
        Some(&app.trunks),
        app.certificates.as_ref(),
        app.started_at,
    );
    text.await
        .ok_or_else(|| Refusal::unavailable("Too many ask at once, or the server is going down."))
}

/// RFC 6750, section 2.1; the name of the scheme is not case-sensitive (RFC 9110, section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Counts refusals of all kinds.
pub(super) async fn count(
    State(doors): State<Arc<Doors>>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    doors.answered(response.status().as_u16());
    response
}
