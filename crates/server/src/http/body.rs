//! Bodies of calls: JSON, small, and in time.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use super::error::Refusal;
use super::state::App;

/// Bytes of the largest body that any call needs, and some.
pub(super) const MAX_BODY_BYTES: usize = 32 * 1024;

/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// A JSON body. It must be declared as such, which a form of another site cannot do.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self, Refusal> {
        let read = Json::<T>::from_request(request, app);
        match tokio::time::timeout(BODY_DEADLINE, read).await {
            Ok(Ok(Json(value))) => Ok(Self(value)),
            Ok(Err(rejection)) => Err(refuse(&rejection)),
            Err(_) => Err(Refusal::invalid("The request took too long to arrive.")),
        }
    }
}

fn refuse(rejection: &JsonRejection) -> Refusal {
    // The text names fields and positions, never values of secrets: those are strings, and any
    // string fits them.
    Refusal::invalid(rejection.body_text())
}
