//! How a device comes to trust the server: the authority's certificate, and a page that explains.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::state::App;
use crate::tls::mobile_profile;

const GUIDE: &str = include_str!("trust.html");

/// `/ca.crt`: the authority's certificate, DER, as browsers and phones install it.
pub(super) async fn certificate(State(app): State<App>) -> Response {
    match &app.authority {
        Some(authority) => (
            [
                (header::CONTENT_TYPE, "application/x-x509-ca-cert"),
                (
                    header::CONTENT_DISPOSITION,
                    "attachment; filename=\"umbrella-ca.crt\"",
                ),
                (header::CACHE_CONTROL, "no-cache"),
            ],
            authority.to_vec(),
        )
            .into_response(),
        None => missing(),
    }
}

/// `/ca.mobileconfig`: the same for Apple's devices.
pub(super) async fn profile(State(app): State<App>) -> Response {
    match &app.authority {
        Some(authority) => (
            [
                (header::CONTENT_TYPE, "application/x-apple-aspen-config"),
                (
                    header::CONTENT_DISPOSITION,
                    "attachment; filename=\"umbrella.mobileconfig\"",
                ),
                (header::CACHE_CONTROL, "no-cache"),
            ],
            mobile_profile(authority),
        )
            .into_response(),
        None => missing(),
    }
}

/// `/trust`: what to do with it.
pub(super) async fn guide(State(app): State<App>) -> Response {
    if app.authority.is_none() {
        return missing();
    }
    let prefix = &app.config.now().http.prefix;
    let public = app.certificate.map(|certificate| certificate.report());
    let public = public.filter(|report| report.in_use);
    let public = public.map_or_else(String::new, |report| not_needed(&report.names));
    let guide = GUIDE.replace("{prefix}", prefix);
    Html(guide.replace("{public}", &public)).into_response()
}

/// Names are letters, digits, dots and hyphens.
fn not_needed(names: &[String]) -> String {
    let names = names.join(", ");
    format!(
        "<p><b>Not needed at {names}:</b> there, devices trust this server already. The steps are \
         for its other names and addresses.</p>"
    )
}

fn missing() -> Response {
    let text = "This server has no certificate authority of its own: its certificate comes from \
                its operator or from a proxy, and needs no step on your device.\n";
    (StatusCode::NOT_FOUND, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_needs_nothing_from_elsewhere() {
        for part in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!GUIDE.contains(part), "{part}");
        }
        for system in ["iPhone", "Android", "Mac", "Windows", "Linux", "Firefox"] {
            assert!(GUIDE.contains(system), "{system}");
        }
    }
}
