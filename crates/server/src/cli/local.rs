//! The socket in the data directory by which subcommands ask the running server: one line of
//! JSON there, one line back. Only this user can reach it.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as ClientStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::camera::CameraRequest;
use super::reload::Reloader;
use super::trunk::TrunkRequest;
use crate::auth::{Accounts, Claims, TokenError, room_grants};
use crate::clock::unix_seconds;
use crate::control;
use crate::http::App;
use crate::http::api::Role;
use crate::net::PageAddresses;
use crate::tasks;

const NAME: &str = "umbrella.sock";

/// Bytes of the longest request.
const MAX_LINE: u64 = 64 * 1024;

/// Bytes of the longest answer: what the server tells of all its rooms or trunks.
const MAX_ANSWER: u64 = 32 * 1024 * 1024;

/// How long either side waits for the other: a camera that is tested may take 12 s.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long the admin waits for a server that was started a moment ago, and how often is looked: guides have
/// the one command after the other, and a container counts as started before its server has opened the socket.
const START_PATIENCE: Duration = Duration::from_secs(10);
const START_LOOK: Duration = Duration::from_millis(50);

/// Subcommands that are answered at a time. More than that wait.
const AT_A_TIME: usize = 32;

/// How long workers that are busy may take to say what they hold, and how often they are asked.
const WORKERS_PATIENCE: Duration = Duration::from_secs(3);
const WORKERS_LOOKS: u32 = 60;

/// What a subcommand asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    AdminLink,
    Status,
    Reload,
    Token {
        room: String,
        identity: String,
        name: String,
        watch_only: bool,
        ttl_s: u64,
        key: Option<String>,
    },
    Trunk(TrunkRequest),
    Camera(CameraRequest),
}

/// What the server answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// To be printed.
    Done(String),
    /// Why not.
    Refused(String),
}

/// Asks the server that runs with this data directory.
pub(super) fn ask(data_dir: &Path, request: &Request) -> anyhow::Result<Answer> {
    let patience = match request {
        Request::AdminLink => START_PATIENCE,
        Request::Status
        | Request::Reload
        | Request::Token { .. }
        | Request::Trunk(_)
        | Request::Camera(_) => Duration::ZERO,
    };
    let mut stream =
        connect(&data_dir.join(NAME), patience).map_err(|error| no_server(data_dir, error))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream
        .write_all(line.as_bytes())
        .context("the server does not listen")?;
    let mut answer = String::new();
    BufReader::new(stream.take(MAX_ANSWER))
        .read_line(&mut answer)
        .context("the server does not answer")?;
    serde_json::from_str(&answer)
        .context("the server's answer makes no sense; is it another version?")
}

/// Reaches the server, which may take that long to come.
fn connect(path: &Path, patience: Duration) -> io::Result<ClientStream> {
    let end = Instant::now() + patience;
    loop {
        match ClientStream::connect(path) {
            Err(error) if is_not_there(&error) && Instant::now() < end => {
                std::thread::sleep(START_LOOK);
            }
            done => return done,
        }
    }
}

fn is_not_there(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

fn no_server(data_dir: &Path, error: io::Error) -> anyhow::Error {
    let dir = data_dir.display();
    if error.kind() == io::ErrorKind::PermissionDenied {
        return anyhow::anyhow!(
            "the umbrella of {dir} belongs to another user; run this as that user"
        );
    }
    if is_not_there(&error) {
        return anyhow::anyhow!(
            "no umbrella is running with the data directory {dir}; start it, or say which one by \
             --data-dir or UMBRELLA_DATA_DIR"
        );
    }
    anyhow::Error::new(error).context(format!("cannot reach the umbrella of {dir}"))
}

/// The server's side.
#[derive(Debug)]
pub(super) struct Local {
    listener: UnixListener,
    path: PathBuf,
    desk: Arc<Desk>,
}

/// What answers are made of.
#[derive(Debug)]
struct Desk {
    app: App,
    reloader: Reloader,
}

impl Local {
    /// Opens the socket. What is left of a server that did not end well is removed; the data
    /// directory's lock has shown that none is running.
    pub(super) fn open(data_dir: &Path, app: App, reloader: Reloader) -> anyhow::Result<Self> {
        let path = data_dir.join(NAME);
        let what = || format!("cannot open the socket {}", path.display());
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(what);
            }
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path)
            .with_context(|| format!("{} (a path of more than 107 bytes is too long)", what()))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .with_context(what)?;
        Ok(Self {
            listener,
            path,
            desk: Arc::new(Desk { app, reloader }),
        })
    }

    /// Answers for as long as the server runs. Nobody waits for another one's test of a camera.
    pub(super) async fn serve(self) {
        let mut answering = JoinSet::new();
        loop {
            while answering.try_join_next().is_some() {}
            if answering.len() >= AT_A_TIME {
                answering.join_next().await;
            }
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let desk = Arc::clone(&self.desk);
                    tasks::spawn_in(&mut answering, async move {
                        // Who asked says itself that no answer came.
                        let _ = tokio::time::timeout(PATIENCE, desk.answer(stream)).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a subcommand could not be heard");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Desk {
    async fn answer(&self, stream: UnixStream) -> anyhow::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut line = String::new();
        tokio::io::BufReader::new(reader.take(MAX_LINE))
            .read_line(&mut line)
            .await?;
        let answer = match serde_json::from_str(&line) {
            Ok(request) => match self.handle(request).await {
                Ok(text) => Answer::Done(text),
                Err(error) => Answer::Refused(format!("{error:#}")),
            },
            Err(error) => Answer::Refused(format!("the server does not understand: {error}")),
        };
        let mut line = serde_json::to_string(&answer)?;
        line.push('\n');
        writer.write_all(line.as_bytes()).await?;
        Ok(())
    }

    async fn handle(&self, request: Request) -> anyhow::Result<String> {
        match request {
            Request::AdminLink => admin_link(&self.app.accounts, &self.app.addresses).await,
            Request::Status => held(&self.app.control).await,
            Request::Reload => self.reloader.reload().await,
            Request::Camera(request) => super::camera::answer(&self.app.cameras, request).await,
            Request::Trunk(request) => super::trunk::answer(&self.app.trunks, request).await,
            Request::Token {
                room,
                identity,
                name,
                watch_only,
                ttl_s,
                key,
            } => {
                anyhow::ensure!(!room.trim().is_empty(), "the room's name is empty");
                anyhow::ensure!(!identity.trim().is_empty(), "the identity is empty");
                let role = if watch_only { Role::Watch } else { Role::Talk };
                let mut video = room_grants(&room, role);
                video.can_update_own_metadata = Some(true);
                let key = match key {
                    Some(key) => key,
                    None => self.app.keys.preferred().await?.unwrap_or_default(),
                };
                let claims = Claims {
                    iss: key,
                    name: if name.is_empty() {
                        identity.clone()
                    } else {
                        name
                    },
                    sub: identity,
                    exp: unix_seconds().saturating_add(ttl_s),
                    video,
                    ..Claims::default()
                };
                self.app
                    .keys
                    .authority()
                    .issue(claims)
                    .map_err(|error| match error {
                        TokenError::UnknownKey => anyhow::anyhow!("there is no such API key"),
                        TokenError::Malformed
                        | TokenError::BadSignature
                        | TokenError::NoExpiry
                        | TokenError::Expired
                        | TokenError::NotYetValid
                        | TokenError::TooManyCameras => error.into(),
                    })
            }
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What the server holds, as JSON.
async fn held(control: &control::Handle) -> anyhow::Result<String> {
    let mut held = control.held().await;
    for _ in 0..WORKERS_LOOKS {
        if held.worker_transports.is_some() {
            break;
        }
        tokio::time::sleep(WORKERS_PATIENCE / WORKERS_LOOKS).await;
        held = control.held().await;
    }
    Ok(serde_json::to_string(&held)?)
}

/// A new one-time link for the admin.
pub(super) async fn admin_link(
    accounts: &Accounts,
    addresses: &PageAddresses,
) -> anyhow::Result<String> {
    let code = accounts.new_setup_code().await?;
    let page = addresses.urls().into_iter().next().unwrap_or_default();
    Ok(format!("{page}#/setup/{code}"))
}
