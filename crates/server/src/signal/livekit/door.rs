//! Who is let in: token, grants, limits, checked before the WebSocket opens, so that a refusal
//! has a status and a reason that the client can show.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{ConnectInfo, Extension, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use umbrella_room::command::Join;
use umbrella_room::model::{
    ClientFacts, Identity, ParticipantId, ParticipantKind, Permission, RoomName, Source,
};

use super::hello::{self, BadHello, Hello};
use super::limits::Counted;
use super::{Shared, session};
use crate::auth::{Authority, Bearer, Claims, Grants, TokenError};
use crate::control::{Admission, Handle, random_name};
use crate::memory::Work;
use crate::metrics::JoinRefusal;

/// Bytes of a room's name and of an identity.
pub(super) const NAME: usize = 256;

/// Room in the socket's buffer: above it a client that does not read is waited for.
const WRITE_BUFFER: usize = 64 * 1024;

/// What is read at a time. The library fills this with zeros before each read and keeps it for
/// as long as the socket lives: its own 128 KiB were more than all else of a silent participant.
const READ_BUFFER: usize = 4 * 1024;

type Parameters = Query<HashMap<String, String>>;
type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;
/// Unpacking what a client says of itself is not for strangers: it comes after the token.
type ReadHello = fn(&HashMap<String, String>) -> Result<Hello, BadHello>;
/// What a trusted proxy says, or the other end of the connection.
type Address = Option<Extension<ConnectInfo<SocketAddr>>>;

/// Somebody who may come in.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) claims: Claims,
    pub(super) room: RoomName,
    pub(super) hello: Hello,
    pub(super) join: Box<Join>,
    pub(super) bearer: Bearer,
}

/// Why somebody may not.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("no access token: give it as access_token or as Authorization: Bearer")]
    NoToken,
    #[error("invalid token: {0}")]
    Token(#[from] TokenError),
    #[error("the token names no identity (sub)")]
    NoIdentity,
    #[error("the token does not allow to join a room (roomJoin)")]
    NoJoinGrant,
    #[error("the token names no room")]
    NoRoom,
    #[error("the names in the token are too long")]
    LongName,
    #[error("the token is for another room")]
    OtherRoom,
    #[error("{0}")]
    Hello(#[from] BadHello),
    #[error("{0}")]
    Admission(#[from] Admission),
    #[error("too many connections")]
    TooManySockets,
}

impl Refused {
    fn status(&self) -> StatusCode {
        match self {
            Refused::NoToken | Refused::Token(_) | Refused::NoIdentity => StatusCode::UNAUTHORIZED,
            Refused::NoJoinGrant | Refused::NoRoom | Refused::OtherRoom => StatusCode::FORBIDDEN,
            Refused::LongName | Refused::Hello(_) => StatusCode::BAD_REQUEST,
            Refused::TooManySockets => StatusCode::TOO_MANY_REQUESTS,
            Refused::Admission(admission) => match admission {
                Admission::NoSuchRoom => StatusCode::NOT_FOUND,
                Admission::NotAllowed | Admission::RoomFull | Admission::Removed => {
                    StatusCode::FORBIDDEN
                }
                Admission::LimitExceeded => StatusCode::BAD_REQUEST,
                Admission::TooManyRooms | Admission::NoMemory | Admission::ShuttingDown => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
            },
        }
    }
}

impl Refused {
    /// For figures.
    pub(super) fn count(&self, control: &Handle) {
        control.doors().refuse_join(self.reason());
        if matches!(self, Refused::Admission(Admission::NoMemory)) {
            control.memory().count(Work::Join);
        }
    }

    /// For figures, which tell fewer reasons apart.
    fn reason(&self) -> JoinRefusal {
        match self {
            Refused::NoToken => JoinRefusal::NoToken,
            Refused::Token(_) | Refused::NoIdentity => JoinRefusal::BadToken,
            Refused::NoJoinGrant | Refused::NoRoom | Refused::OtherRoom => JoinRefusal::NotAllowed,
            Refused::LongName | Refused::Hello(_) => JoinRefusal::BadRequest,
            Refused::TooManySockets => JoinRefusal::TooManyConnections,
            Refused::Admission(admission) => match admission {
                Admission::NoSuchRoom => JoinRefusal::NoSuchRoom,
                Admission::RoomFull => JoinRefusal::RoomFull,
                Admission::TooManyRooms => JoinRefusal::TooManyRooms,
                Admission::LimitExceeded => JoinRefusal::BadRequest,
                Admission::NotAllowed => JoinRefusal::NotAllowed,
                Admission::Removed => JoinRefusal::Removed,
                Admission::NoMemory => JoinRefusal::NoMemory,
                Admission::ShuttingDown => JoinRefusal::ShuttingDown,
            },
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status(), self.to_string()).into_response();
        if matches!(self, Refused::Admission(Admission::NoMemory)) {
            // An idle connection is memory too.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}

/// `/rtc`.
pub(super) async fn connect_v0(
    State(shared): State<Arc<Shared>>,
    Query(query): Parameters,
    headers: HeaderMap,
    address: Address,
    upgrade: Upgrade,
) -> Response {
    connect(shared, read_v0, &query, &headers, address, upgrade).await
}

/// `/rtc/v1`.
pub(super) async fn connect_v1(
    State(shared): State<Arc<Shared>>,
    Query(query): Parameters,
    headers: HeaderMap,
    address: Address,
    upgrade: Upgrade,
) -> Response {
    connect(shared, hello::v1, &query, &headers, address, upgrade).await
}

/// `/rtc/validate`: the reason for which `/rtc` would refuse.
pub(super) async fn validate_v0(
    State(shared): State<Arc<Shared>>,
    Query(query): Parameters,
    headers: HeaderMap,
) -> Response {
    validate(&shared, read_v0, &query, &headers).await
}

/// `/rtc/v1/validate`: the reason for which `/rtc/v1` would refuse.
pub(super) async fn validate_v1(
    State(shared): State<Arc<Shared>>,
    Query(query): Parameters,
    headers: HeaderMap,
) -> Response {
    // Some clients ask without the join request.
    let read = |query: &HashMap<String, String>| match hello::v1(query) {
        Err(BadHello::Missing) => read_v0(query),
        other => other,
    };
    validate(&shared, read, &query, &headers).await
}

fn read_v0(query: &HashMap<String, String>) -> Result<Hello, BadHello> {
    Ok(hello::v0(query))
}

async fn validate(
    shared: &Shared,
    read: ReadHello,
    query: &HashMap<String, String>,
    headers: &HeaderMap,
) -> Response {
    match admit(shared, read, query, headers, false).await {
        Ok(_) => (StatusCode::OK, "success").into_response(),
        Err(refused) => refused.into_response(),
    }
}

async fn connect(
    shared: Arc<Shared>,
    read: ReadHello,
    query: &HashMap<String, String>,
    headers: &HeaderMap,
    address: Address,
    upgrade: Upgrade,
) -> Response {
    let address = address.map_or(
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        |Extension(ConnectInfo(address))| address.ip(),
    );
    let Some(counted) = shared.sockets.count(address) else {
        tracing::warn!(%address, "too many signalling connections");
        let refused = Refused::TooManySockets;
        refused.count(&shared.control);
        return refused.into_response();
    };
    let guest = match admit(&shared, read, query, headers, true).await {
        Ok(guest) => guest,
        Err(refused) => {
            tracing::info!(%address, reason = %refused, "refused to join");
            refused.count(&shared.control);
            return refused.into_response();
        }
    };
    match upgrade {
        Ok(upgrade) => open(shared, guest, counted, upgrade),
        Err(rejection) => rejection.into_response(),
    }
}

fn open(
    shared: Arc<Shared>,
    guest: Guest,
    counted: Counted,
    upgrade: WebSocketUpgrade,
) -> Response {
    let bytes = shared.limits.borrow().message_bytes as usize;
    upgrade
        .max_message_size(bytes)
        .max_frame_size(bytes)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER.max(4 * bytes))
        .on_failed_upgrade(|error| tracing::debug!(%error, "the WebSocket did not open"))
        .on_upgrade(move |socket| async move {
            session::run(socket, shared, guest).await;
            drop(counted);
        })
}

async fn admit(
    shared: &Shared,
    read: ReadHello,
    query: &HashMap<String, String>,
    headers: &HeaderMap,
    comes: bool,
) -> Result<Guest, Refused> {
    let (claims, room, hello) = introduce(&shared.authority, read, query, headers)?;
    let join = Box::new(join(&claims, &hello));
    let bearer = shared.authority.bearer(&claims);
    let control = &shared.control;
    let (there, who) = (room.clone(), join.clone());
    control.check(there, who, bearer, comes).await?;
    Ok(Guest {
        claims,
        room,
        hello,
        join,
        bearer,
    })
}

fn introduce(
    authority: &Authority,
    read: ReadHello,
    query: &HashMap<String, String>,
    headers: &HeaderMap,
) -> Result<(Claims, RoomName, Hello), Refused> {
    let token = token(query, headers).ok_or(Refused::NoToken)?;
    let claims = authority.verify(token)?;
    let room = room_of(&claims, query)?;
    Ok((claims, room, read(query)?))
}

fn token<'a>(query: &'a HashMap<String, String>, headers: &'a HeaderMap) -> Option<&'a str> {
    let header = headers.get(header::AUTHORIZATION);
    let bearer = header
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let parameter = query.get("access_token").map(String::as_str);
    bearer.or(parameter).filter(|token| !token.is_empty())
}

fn room_of(claims: &Claims, query: &HashMap<String, String>) -> Result<RoomName, Refused> {
    if claims.sub.is_empty() {
        return Err(Refused::NoIdentity);
    }
    if !claims.video.room_join {
        return Err(Refused::NoJoinGrant);
    }
    let room = &claims.video.room;
    if room.is_empty() {
        return Err(Refused::NoRoom);
    }
    // Old clients name the room as well.
    if query.get("room").is_some_and(|named| named != room) {
        return Err(Refused::OtherRoom);
    }
    if room.len() > NAME || claims.sub.len() > NAME {
        return Err(Refused::LongName);
    }
    Ok(RoomName::new(room.as_str()))
}

fn join(claims: &Claims, hello: &Hello) -> Join {
    let permission = permission(&claims.video);
    let mut metadata = claims.metadata.clone();
    let mut attributes: BTreeMap<String, String> = claims.attributes.clone();
    if permission.update_own_metadata {
        if !hello.metadata.is_empty() {
            metadata.clone_from(&hello.metadata);
        }
        attributes.extend(hello.attributes.clone());
    }
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    Join {
        id: ParticipantId::new(random_name("PA_")),
        identity: Identity::new(claims.sub.as_str()),
        name: claims.name.clone(),
        metadata,
        attributes,
        kind: kind(&claims.kind),
        permission,
        sight: claims.sight(),
        joined_at_ms: since_epoch.map_or(0, |d| d.as_millis() as u64),
        auto_subscribe: hello.auto_subscribe,
        adaptive_stream: hello.adaptive_stream,
        client: ClientFacts {
            client_protocol: hello.client_protocol,
        },
        capabilities: hello.capabilities.clone(),
    }
}

pub(super) fn permission(grants: &Grants) -> Permission {
    let sources = grants.can_publish_sources.iter();
    Permission {
        subscribe: grants.can_subscribe.unwrap_or(true),
        publish: grants.can_publish.unwrap_or(true),
        publish_data: grants.can_publish_data.unwrap_or(true),
        sources: sources.map(|source| source_of(source)).collect(),
        update_own_metadata: grants.can_update_own_metadata.unwrap_or(false),
        hidden: grants.hidden,
        recorder: grants.recorder,
    }
}

/// A source that is not known allows only tracks without a known source, rather than all.
fn source_of(name: &str) -> Source {
    match name.to_ascii_lowercase().as_str() {
        "camera" => Source::Camera,
        "microphone" => Source::Microphone,
        "screen_share" => Source::ScreenShare,
        "screen_share_audio" => Source::ScreenShareAudio,
        _ => Source::Unknown,
    }
}

fn kind(name: &str) -> ParticipantKind {
    match name {
        "ingress" => ParticipantKind::Ingress,
        "egress" => ParticipantKind::Egress,
        "sip" => ParticipantKind::Sip,
        "agent" => ParticipantKind::Agent,
        _ => ParticipantKind::Standard,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfiguredKey;

    #[test]
    fn absent_grants_allow_what_people_expect() {
        let open = permission(&Grants::default());
        assert!(open.publish && open.subscribe && open.publish_data);
        assert!(!open.update_own_metadata && !open.hidden && open.sources.is_empty());
    }

    #[test]
    fn unknown_source_does_not_open_all_sources() {
        let grants = Grants {
            can_publish_sources: vec!["hologram".into()],
            ..Grants::default()
        };
        let permission = permission(&grants);
        assert!(!permission.may_publish(Source::Camera));
    }

    #[test]
    fn strangers_make_us_unpack_what_they_like() {
        let key = ConfiguredKey {
            key: "umbrella-test".into(),
            secret: "0123456789abcdef0123456789abcdef".into(),
        };
        let authority = Authority::new(&key, &[]);
        let introduce = |token: &str| {
            let query = HashMap::from([("access_token".to_owned(), token.to_owned())]);
            let read = |_: &HashMap<String, String>| panic!("unpacked");
            introduce(&authority, read, &query, &HeaderMap::new()).map(|_| ())
        };
        assert!(matches!(introduce(""), Err(Refused::NoToken)));
        assert!(matches!(introduce("a.b.c"), Err(Refused::Token(_))));
        let elsewhere = authority.issue(Claims {
            sub: "mallory".into(),
            ..Claims::default()
        });
        let refused = introduce(&elsewhere.unwrap());
        assert!(matches!(refused, Err(Refused::Token(TokenError::NoExpiry))));
    }

    #[test]
    fn reason_of_a_missing_room_is_the_one_that_clients_look_for() {
        // Other words make clients try the older protocol, and blame the server's version.
        let refused = Refused::from(Admission::NoSuchRoom);
        assert_eq!(refused.status(), StatusCode::NOT_FOUND);
        assert!(
            refused
                .to_string()
                .contains("requested room does not exist")
        );
    }
}
