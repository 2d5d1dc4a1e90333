//! Why a call failed, as Twirp says it.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::auth::TooMany;
use crate::control::AdminError;

/// The codes of Twirp that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    InvalidArgument,
    Malformed,
    NotFound,
    BadRoute,
    AlreadyExists,
    PermissionDenied,
    Unauthenticated,
    ResourceExhausted,
    Unimplemented,
    Unavailable,
}

/// Why a call failed. The text is for the application's developer.
#[derive(Debug)]
pub(super) struct Failure {
    code: Code,
    message: String,
    retry_after_s: Option<u32>,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure {
            code,
            message: message.into(),
            retry_after_s: None,
        }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Failure {
        Failure::new(Code::InvalidArgument, message)
    }

    pub(super) fn code(&self) -> &'static str {
        self.code.both().0
    }
}

impl Code {
    /// The word and the status.
    fn both(self) -> (&'static str, StatusCode) {
        match self {
            Code::InvalidArgument => ("invalid_argument", StatusCode::BAD_REQUEST),
            Code::Malformed => ("malformed", StatusCode::BAD_REQUEST),
            Code::NotFound => ("not_found", StatusCode::NOT_FOUND),
            Code::BadRoute => ("bad_route", StatusCode::NOT_FOUND),
            Code::AlreadyExists => ("already_exists", StatusCode::CONFLICT),
            Code::PermissionDenied => ("permission_denied", StatusCode::FORBIDDEN),
            Code::Unauthenticated => ("unauthenticated", StatusCode::UNAUTHORIZED),
            Code::ResourceExhausted => ("resource_exhausted", StatusCode::TOO_MANY_REQUESTS),
            Code::Unimplemented => ("unimplemented", StatusCode::NOT_IMPLEMENTED),
            Code::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (code, status) = self.code.both();
        let body = serde_json::json!({ "code": code, "msg": self.message });
        let mut response = (status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Failure {
        let code = match error {
            AdminError::NoSuchRoom | AdminError::NoSuchParticipant | AdminError::NoSuchTrack => {
                Code::NotFound
            }
            AdminError::RoomExists => Code::AlreadyExists,
            AdminError::TooManyRooms => Code::ResourceExhausted,
            AdminError::TooLarge => Code::InvalidArgument,
            AdminError::NotGranted => Code::PermissionDenied,
            AdminError::ShuttingDown => Code::Unavailable,
        };
        Failure::new(code, error.to_string())
    }
}

impl From<TooMany> for Failure {
    fn from(error: TooMany) -> Failure {
        Failure {
            retry_after_s: Some(error.retry_after_s),
            ..Failure::new(Code::ResourceExhausted, error.to_string())
        }
    }
}
