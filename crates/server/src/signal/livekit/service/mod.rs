//! The server API: `POST /twirp/livekit.RoomService/METHOD` (Twirp, version 7 of its protocol) in
//! protobuf or in its JSON form, so that the existing server SDKs work.

mod calls;
mod failure;
mod json;
mod messages;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, Extension, Path, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use serde_json::Value;
use umbrella_room::model::{ParticipantView, TrackView};

use self::calls::Call;
use self::failure::{Code, Failure};
use self::json::ToJson as _;
use self::messages::Format;
use super::encode;
use crate::auth::{Authority, CallLimit, Claims};
use crate::control::{Handle, RoomState};

/// Bytes of the largest body: the largest metadata and attributes as JSON, and some.
const MAX_BODY_BYTES: usize = 512 * 1024;

/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

const SERVICE: &str = "livekit.RoomService";

/// What all calls share.
#[derive(Debug)]
struct Api {
    control: Handle,
    authority: Arc<Authority>,
    limit: CallLimit,
}

/// A room in the JSON form of protobuf.
pub(crate) fn room_json(state: &RoomState) -> Value {
    calls::room(state).to_json()
}

/// A participant in the JSON form of protobuf.
pub(crate) fn participant_json(view: &ParticipantView) -> Value {
    encode::participant(view).to_json()
}

/// A track in the JSON form of protobuf.
pub(crate) fn track_json(view: &TrackView) -> Value {
    encode::track_info(view, "").to_json()
}

/// The routes below `/twirp/`.
pub(super) fn router(control: Handle, authority: Arc<Authority>) -> Router {
    let api = Api {
        control,
        authority,
        limit: CallLimit::new(Instant::now()),
    };
    Router::new()
        .route("/twirp/{*path}", any(serve))
        .with_state(Arc::new(api))
}

/// What a trusted proxy says, or the other end of the connection.
type Address = Option<Extension<ConnectInfo<SocketAddr>>>;

async fn serve(
    State(api): State<Arc<Api>>,
    Path(path): Path<String>,
    address: Address,
    request: Request,
) -> Response {
    let address = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |a| a.0.0.ip());
    match answer(&api, &path, address, request).await {
        Ok((format, body)) => {
            ([(header::CONTENT_TYPE, format.content_type())], body).into_response()
        }
        Err(failure) => {
            tracing::debug!(
                path,
                code = failure.code(),
                "a call of the server API failed"
            );
            failure.into_response()
        }
    }
}

/// What costs least is looked at first; the body only with a valid token.
async fn answer(
    api: &Api,
    path: &str,
    address: IpAddr,
    request: Request,
) -> Result<(Format, Vec<u8>), Failure> {
    api.limit.attempt(address, Instant::now())?;
    let format = route(path, &request)?;
    let claims = authenticate(api, request.headers())?;
    let method = path.rsplit('/').next().unwrap_or_default();
    let body = axum::body::to_bytes(request.into_body(), MAX_BODY_BYTES);
    let body = match tokio::time::timeout(BODY_DEADLINE, body).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            let why = "the body broke off, or is larger than 512 KiB";
            return Err(Failure::new(Code::InvalidArgument, why));
        }
        Err(_) => {
            let why = "the body took too long to arrive";
            return Err(Failure::new(Code::InvalidArgument, why));
        }
    };
    let call = Call {
        control: api.control.seeing(claims.sight()),
        claims: &claims,
        bearer: api.authority.bearer(&claims),
        format,
        body: &body,
    };
    Ok((format, call.answer(method).await?))
}

/// In which form a call is written, if it is one.
fn route(path: &str, request: &Request) -> Result<Format, Failure> {
    let bad = |why: &str| Err(Failure::new(Code::BadRoute, why));
    let Some((SERVICE, method)) = path.split_once('/') else {
        return bad("there is no such service");
    };
    if method.is_empty() || method.contains('/') {
        return bad("write /twirp/livekit.RoomService/METHOD");
    }
    if request.method() != Method::POST {
        return bad("calls are POST requests");
    }
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    match content_type.and_then(Format::of) {
        Some(format) => Ok(format),
        None => bad("the Content-Type must be application/protobuf or application/json"),
    }
}

fn authenticate(api: &Api, headers: &HeaderMap) -> Result<Claims, Failure> {
    let header = headers.get(header::AUTHORIZATION);
    let token = header
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let Some(token) = token else {
        let why = "no access token: give it as Authorization: Bearer";
        return Err(Failure::new(Code::Unauthenticated, why));
    };
    let claims = api.authority.verify(token);
    claims.map_err(|error| Failure::new(Code::Unauthenticated, format!("invalid token: {error}")))
}
