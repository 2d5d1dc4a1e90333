//! `umbrella trunk …`: shares rooms with other servers.

use std::io::Read as _;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::local::Request;
use super::{ask, parse_duration, print};
use crate::config::Config;
use crate::http::api::{
    AddTrunk, AllowServer, AllowedServer, Nearby, TrunkEntry, TrunkNeighbour, TrunkOverview,
    TrunkState,
};
use crate::store::{self, DataDir, Store};
use crate::trunk::{JoinSecret, Trunks};

/// How long a new join secret waits for its server unless something else is said.
const DEFAULT_EXPIRY: &str = "7d";

/// Bytes of standard input that a secret may have.
const MAX_SECRET: u64 = 4096;

#[derive(Debug, Args)]
pub(super) struct TrunkArgs {
    #[command(subcommand)]
    pub(super) command: TrunkCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum TrunkCommand {
    /// Let another server join: prints a join secret, once, to be entered there.
    Allow(AllowArgs),
    /// Join another server, by a join secret that was made there.
    Add(AddArgs),
    /// Show the servers that are dialled, and those that may join.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the servers that are announced on the local network.
    Nearby {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Dial a server no more.
    Remove {
        /// Its address, its name while it is connected, or the entry's key.
        server: String,
    },
    /// Revoke a join secret: servers that have joined by it are disconnected at once.
    Revoke {
        /// The name that was given to it, or its key.
        server: String,
    },
    /// Trust the certificate authority that a server shows.
    ///
    /// Prints its fingerprint. `umbrella trunk list` shows it before; the other server shows its own
    /// there, and on its page of servers.
    Confirm {
        /// Its address, or the entry's key.
        server: String,
        /// The expected fingerprint; another one is then not trusted.
        #[arg(long)]
        fingerprint: Option<String>,
    },
    /// Print a join secret for the configuration files of both servers.
    Secret,
    /// Give this server another id, because its data directory is a copy of another server's.
    ///
    /// The server must not be running.
    NewId,
}

#[derive(Debug, Args)]
pub(super) struct AllowArgs {
    /// What to call the server.
    #[arg(long)]
    name: String,
    /// Rooms that are shared, as patterns with * for any characters [default: all].
    #[arg(long, value_name = "PATTERN")]
    rooms: Vec<String>,
    /// Within which time it has to join for the first time: a number with s, m, h or d, or never.
    #[arg(long, default_value = DEFAULT_EXPIRY)]
    expires: String,
    /// Its moderators cannot mute or remove participants here.
    #[arg(long)]
    no_moderation: bool,
}

#[derive(Args)]
pub(super) struct AddArgs {
    /// The other server's address, as https://meet.example.org or wss://meet.example.org/wsb.
    url: String,
    /// The join secret; - reads it from standard input.
    #[arg(long)]
    secret: String,
    /// Rooms that are shared, as patterns with * for any characters [default: all].
    #[arg(long, value_name = "PATTERN")]
    rooms: Vec<String>,
    /// Its moderators cannot mute or remove participants here.
    #[arg(long)]
    no_moderation: bool,
    /// Allow http:// beyond this machine, where anybody on the way can listen.
    #[arg(long)]
    insecure: bool,
}

/// Without the secret.
impl std::fmt::Debug for AddArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AddArgs({})", self.url)
    }
}

/// What a subcommand asks the running server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TrunkRequest {
    Allow(AllowServer),
    Add(AddTrunk),
    List {
        json: bool,
    },
    Nearby {
        json: bool,
    },
    Remove {
        server: String,
    },
    Revoke {
        server: String,
    },
    Confirm {
        server: String,
        fingerprint: Option<String>,
    },
}

/// The subcommand's side.
pub(super) fn run(config: &Config, command: TrunkCommand) -> anyhow::Result<()> {
    let request = match command {
        TrunkCommand::Allow(args) => TrunkRequest::Allow(AllowServer {
            name: args.name,
            rooms: args.rooms,
            expires_in_s: expiry(&args.expires)?,
            moderate: !args.no_moderation,
        }),
        TrunkCommand::Add(args) => TrunkRequest::Add(AddTrunk {
            url: args.url,
            secret: secret(args.secret)?,
            rooms: args.rooms,
            moderate: !args.no_moderation,
            insecure: args.insecure,
        }),
        TrunkCommand::List { json } => TrunkRequest::List { json },
        TrunkCommand::Nearby { json } => TrunkRequest::Nearby { json },
        TrunkCommand::Remove { server } => TrunkRequest::Remove { server },
        TrunkCommand::Revoke { server } => TrunkRequest::Revoke { server },
        TrunkCommand::Confirm {
            server,
            fingerprint,
        } => TrunkRequest::Confirm {
            server,
            fingerprint,
        },
        TrunkCommand::Secret => return print(&JoinSecret::random(None).text()),
        TrunkCommand::NewId => return new_id(config),
    };
    ask(config, &Request::Trunk(request))
}

fn expiry(text: &str) -> anyhow::Result<Option<u64>> {
    if text == "never" {
        return Ok(None);
    }
    let time = parse_duration(text).map_err(|why| anyhow::anyhow!("{why}, or never"))?;
    Ok(Some(time.as_secs()))
}

fn secret(given: String) -> anyhow::Result<String> {
    if given != "-" {
        return Ok(given);
    }
    let mut text = String::new();
    let input = std::io::stdin().take(MAX_SECRET);
    std::io::BufReader::new(input)
        .read_to_string(&mut text)
        .context("cannot read the secret from standard input")?;
    Ok(text.trim().to_owned())
}

fn new_id(config: &Config) -> anyhow::Result<()> {
    // The lock shows whether a server is running, which has told others its old id already.
    let dir = DataDir::claim(&config.data_dir)
        .context("a server that is running cannot get another id: stop it first")?;
    let store = Store::open(&dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .context("cannot start the runtime")?;
    let id = runtime.block_on(store::node::renew(&store))?;
    print(&id)
}

/// The server's side.
pub(super) async fn answer(trunks: &Trunks, request: TrunkRequest) -> anyhow::Result<String> {
    match request {
        TrunkRequest::Allow(new) => Ok(trunks.allow(new).await?.1),
        TrunkRequest::Add(new) => {
            let entry = trunks.add(&new).await?;
            Ok(format!(
                "{} is dialled from now on; `umbrella trunk list` shows how that goes",
                entry.url
            ))
        }
        TrunkRequest::List { json } => {
            let overview = trunks.overview();
            if json {
                return Ok(serde_json::to_string_pretty(&overview)?);
            }
            Ok(list(&overview))
        }
        TrunkRequest::Nearby { json } => {
            let found = trunks.nearby();
            if json {
                return Ok(serde_json::to_string_pretty(&found)?);
            }
            Ok(nearby(&found))
        }
        TrunkRequest::Remove { server } => {
            trunks.remove(&server).await?;
            Ok(format!("{server} is dialled no more"))
        }
        TrunkRequest::Revoke { server } => {
            trunks.revoke(&server).await?;
            Ok(format!("the join secret of {server} is revoked"))
        }
        TrunkRequest::Confirm {
            server,
            fingerprint,
        } => {
            let pin = trunks.confirm(&server, fingerprint.as_deref()).await?;
            Ok(format!("{server} is trusted with the authority {pin}"))
        }
    }
}

fn list(overview: &TrunkOverview) -> String {
    let role = if overview.media {
        "media"
    } else {
        "signalling"
    };
    let mut lines = vec![format!(
        "This server: {} ({}, {role})",
        overview.name, overview.node
    )];
    if let Some(fingerprint) = &overview.fingerprint {
        lines.push(format!("Its authority's fingerprint: {fingerprint}"));
    }
    for entry in &overview.entries {
        lines.push(format!("to {}: {}", entry.url, stand(entry)));
    }
    for server in &overview.allowed {
        lines.push(format!("from {}: {}", server.name, there(server)));
    }
    for refusal in &overview.refusals {
        let name = refusal.name.as_deref().unwrap_or("somebody");
        lines.push(format!(
            "refused {name} from {}: {}",
            refusal.address, refusal.why
        ));
    }
    lines.join("\n")
}

fn nearby(found: &Nearby) -> String {
    if !found.listening {
        return "the local network is not listened to: see mdns.enabled".to_owned();
    }
    if found.servers.is_empty() {
        return "no other server is announced on the local network".to_owned();
    }
    let lines = found.servers.iter().map(|server| {
        let linked = if server.linked { ", linked" } else { "" };
        format!("{}: {} ({}{linked})", server.name, server.url, server.node)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn stand(entry: &TrunkEntry) -> String {
    let why = entry.why.as_deref().unwrap_or("no reason known");
    let wait = Duration::from_secs(entry.retry_in_s.unwrap_or(0)).as_secs();
    match entry.state {
        TrunkState::Connecting => "connecting".to_owned(),
        TrunkState::Connected => entry
            .neighbour
            .as_ref()
            .map_or_else(|| "connected".to_owned(), connected),
        TrunkState::Refused => format!("refused, tried again in {wait} s: {why}"),
        TrunkState::Reconnecting => format!("reconnecting in {wait} s: {why}"),
        TrunkState::Confirm => format!(
            "compare this fingerprint with the one that `umbrella trunk list` shows there, then run \
             `umbrella trunk confirm {}`: {}",
            entry.url,
            entry.fingerprint.as_deref().unwrap_or_default()
        ),
    }
}

fn connected(neighbour: &TrunkNeighbour) -> String {
    let rtt = neighbour
        .rtt_ms
        .map_or_else(String::new, |rtt| format!(", {rtt:.1} ms"));
    format!(
        "connected with {} ({}, {}{rtt})",
        neighbour.name, neighbour.node, neighbour.version
    )
}

fn there(server: &AllowedServer) -> String {
    if !server.connected.is_empty() {
        let all: Vec<_> = server.connected.iter().map(connected).collect();
        return all.join("; ");
    }
    let over = server
        .expires_at
        .is_some_and(|end| end <= crate::clock::unix_seconds());
    match (server.joined, over) {
        (true, _) => "not connected",
        (false, false) => "has not joined yet",
        (false, true) => "has not joined in time: the secret has expired",
    }
    .to_owned()
}
