//! Refusals of the page's API.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::api::ApiError;
use crate::auth::{AccountError, InviteError, KeyError, TooMany};
use crate::cameras::CameraError;
use crate::control::AdminError;
use crate::memory::NoMemory;
use crate::store::StoreError;
use crate::trunk::TrunkError;

/// Why a call was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after_s: Option<u32>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after_s: None,
        }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Sign in first.")
    }

    /// As [`Refusal::unauthorized`], for programs.
    pub(super) fn needs_token(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(super) fn unavailable(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// For a guest whom a moderator has removed, and how long that holds.
    pub(super) fn removed(left: Duration) -> Self {
        Self {
            retry_after_s: u32::try_from(left.as_secs() + 1).ok(),
            ..Self::forbidden("A moderator has removed you from this room.")
        }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    fn gone(code: &'static str, error: &impl std::fmt::Display) -> Self {
        Self::new(StatusCode::GONE, code, sentence(error))
    }

    fn internal(error: &impl std::fmt::Display) -> Self {
        tracing::error!(%error, "a call failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The server could not do it; its log says why.",
        )
    }
}

/// An error's text as a sentence.
fn sentence(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), chars.as_str())
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = ApiError {
            code: self.code.to_owned(),
            message: self.message,
            retry_after_s: self.retry_after_s,
        };
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<TooMany> for Refusal {
    fn from(error: TooMany) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            code: "rate_limited",
            message: sentence(&error),
            retry_after_s: Some(error.retry_after_s),
        }
    }
}

impl From<NoMemory> for Refusal {
    fn from(error: NoMemory) -> Self {
        Self::unavailable(&sentence(&error))
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<AccountError> for Refusal {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::WrongPassword => {
                Self::new(StatusCode::UNAUTHORIZED, "unauthorized", sentence(&error))
            }
            AccountError::WrongCode => Self::gone("expired", &error),
            AccountError::UnfitPassword => Self::invalid(sentence(&error)),
            AccountError::TooMany(many) => many.into(),
            AccountError::Store(error) => error.into(),
            AccountError::Hashing => Self::internal(&error),
        }
    }
}

impl From<InviteError> for Refusal {
    fn from(error: InviteError) -> Self {
        match error {
            InviteError::NotFound => Self::not_found(sentence(&error)),
            InviteError::Expired => Self::gone("expired", &error),
            InviteError::UsedUp => Self::gone("used_up", &error),
            InviteError::TooManyInvites => {
                Self::new(StatusCode::CONFLICT, "conflict", sentence(&error))
            }
            InviteError::TooMany(many) => many.into(),
            InviteError::Store(error) => error.into(),
        }
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::NotFound => Self::not_found(sentence(&error)),
            KeyError::Configured | KeyError::TooMany => {
                Self::new(StatusCode::CONFLICT, "conflict", sentence(&error))
            }
            KeyError::Store(error) => error.into(),
        }
    }
}

impl From<TrunkError> for Refusal {
    fn from(error: TrunkError) -> Self {
        match error {
            TrunkError::Invalid(_) => Self::invalid(sentence(&error)),
            TrunkError::NotFound => Self::not_found(sentence(&error)),
            TrunkError::Ambiguous(_)
            | TrunkError::Configured
            | TrunkError::Exists
            | TrunkError::SecretInUse
            | TrunkError::TooMany
            | TrunkError::NothingToConfirm => {
                Self::new(StatusCode::CONFLICT, "conflict", sentence(&error))
            }
            TrunkError::Store(error) => error.into(),
        }
    }
}

impl From<CameraError> for Refusal {
    fn from(error: CameraError) -> Self {
        match error {
            CameraError::Invalid(_) => Self::invalid(sentence(&error)),
            CameraError::NotFound => Self::not_found(sentence(&error)),
            CameraError::Ambiguous(_)
            | CameraError::Configured
            | CameraError::Exists
            | CameraError::TooManyCameras
            | CameraError::NothingToConfirm => {
                Self::new(StatusCode::CONFLICT, "conflict", sentence(&error))
            }
            CameraError::Busy => Self {
                retry_after_s: Some(10),
                ..Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "rate_limited",
                    sentence(&error),
                )
            },
            CameraError::TooMany(many) => many.into(),
            CameraError::Store(error) => error.into(),
        }
    }
}

impl From<AdminError> for Refusal {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::NoSuchRoom | AdminError::NoSuchParticipant | AdminError::NoSuchTrack => {
                Self::not_found(sentence(&error))
            }
            AdminError::RoomExists | AdminError::TooManyRooms => {
                Self::new(StatusCode::CONFLICT, "conflict", sentence(&error))
            }
            AdminError::TooLarge => Self::invalid(sentence(&error)),
            AdminError::NotGranted => Self::forbidden(sentence(&error)),
            AdminError::ShuttingDown => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                sentence(&error),
            ),
        }
    }
}
