//! What the operator sees and does, on the page and by subcommands.

use std::time::Instant;

use super::registry::{Dialled, Live, Stand, State, Trunks, Turned};
use super::secret::{BadSecret, JoinSecret, Pin};
use super::settings::{Entry, Permit, check_name, check_rooms};
use super::{Address, LinkId};
use crate::clock::unix_seconds;
use crate::http::api::{
    AddTrunk, AllowServer, AllowedServer, Nearby, NearbyServer, TrunkEntry, TrunkNeighbour,
    TrunkOverview, TrunkRefusal, TrunkState,
};
use crate::store::{self, StoreError};

/// Join secrets that are kept at most.
const MAX_PERMITS: usize = 1000;

/// Why something about a trunk cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum TrunkError {
    /// What was entered cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// There is no such server.
    #[error("there is no such server")]
    NotFound,
    /// Several are called so.
    #[error("several servers are called so; say which one by its key: {0}")]
    Ambiguous(String),
    /// It comes from the configuration.
    #[error("this server comes from the configuration and can only be removed there")]
    Configured,
    /// It is dialled already.
    #[error("this server is in the list already")]
    Exists,
    /// Each server needs a secret of its own.
    #[error("this join secret is used for another server; make a new one there")]
    SecretInUse,
    /// Too many.
    #[error("there are too many; remove some")]
    TooMany,
    /// Nothing is to be confirmed, or something else.
    #[error("this server shows another fingerprint now; look again")]
    NothingToConfirm,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// As labels say how trunks stand.
const STATES: [&str; 5] = [
    "connected",
    "connecting",
    "reconnecting",
    "refused",
    "confirm",
];

impl From<BadSecret> for TrunkError {
    fn from(error: BadSecret) -> Self {
        TrunkError::Invalid(error.to_string())
    }
}

impl Trunks {
    /// Everything that there is to see.
    pub fn overview(&self) -> TrunkOverview {
        let state = self.0.state();
        let entries = state.entries.values();
        let permits = state.permits.values();
        TrunkOverview {
            node: self.node().to_string(),
            name: self.name().to_owned(),
            media: self.media(),
            fingerprint: self.0.pin.map(|pin| pin.to_string()),
            entries: entries.map(|dialled| describe(&state, dialled)).collect(),
            allowed: permits.map(|permit| allowed(&state, permit)).collect(),
            refusals: state.refusals.iter().map(|t| refusal(&state, t)).collect(),
        }
    }

    /// Servers that are announced on the local network, but for this one.
    pub fn nearby(&self) -> Nearby {
        let state = self.0.state();
        let linked = |node: &str| state.links.values().any(|live| &*live.peer.node == node);
        let own = self.node();
        let others = self.0.lan.servers().into_iter();
        let others = others.filter(|found| found.node != *own);
        Nearby {
            listening: self.0.lan.is_on(),
            servers: others
                .map(|found| NearbyServer {
                    linked: linked(&found.node),
                    node: found.node,
                    name: found.name,
                    url: found.url,
                })
                .collect(),
        }
    }

    /// How many trunks stand how: those that are connected, whoever dialled, and those that are
    /// dialled and are not.
    pub fn states(&self) -> [(&'static str, u64); 5] {
        let state = self.0.state();
        let mut states = STATES.map(|name| (name, 0));
        states[0].1 = state.links.len() as u64;
        for dialled in state.entries.values() {
            let place = match dialled.stand {
                Stand::Connected(_) => continue,
                Stand::Connecting => 1,
                Stand::Reconnecting { .. } => 2,
                Stand::Refused { .. } => 3,
                Stand::Confirm { .. } => 4,
            };
            states[place].1 += 1;
        }
        states
    }

    /// Makes a join secret; the second is its text, which is not kept.
    ///
    /// # Errors
    ///
    /// If what was entered cannot be used, there are too many, or the database fails.
    pub async fn allow(&self, new: AllowServer) -> Result<(AllowedServer, String), TrunkError> {
        let name = check_name(&new.name).map_err(TrunkError::Invalid)?;
        let rooms = check_rooms(&new.rooms).map_err(TrunkError::Invalid)?;
        if self.0.state().permits.len() >= MAX_PERMITS {
            return Err(TrunkError::TooMany);
        }
        let secret = JoinSecret::random(self.0.pin);
        let now = unix_seconds();
        let permit = Permit {
            key: secret.key(),
            proof_key: secret.proof_key(),
            name,
            rooms,
            moderate: new.moderate,
            expires_at: new.expires_in_s.map(|seconds| now.saturating_add(seconds)),
            created_at: now,
            joined: std::collections::BTreeSet::new(),
            configured: false,
        };
        store::trunks::keep_permit(&self.0.store, permit.clone()).await?;
        let mut state = self.0.state();
        tracing::info!(key = permit.key, name = permit.name, "a server may join");
        let server = allowed(&state, &permit);
        state.permits.insert(permit.key.clone(), permit);
        Ok((server, secret.text()))
    }

    /// Revokes a join secret, named by its key or by the server's name: links that were made by it
    /// end.
    ///
    /// # Errors
    ///
    /// If there is none, or it comes from the configuration, or the database fails.
    pub async fn revoke(&self, which: &str) -> Result<(), TrunkError> {
        let key = {
            let state = self.0.state();
            let permits = state.permits.values();
            let named = permits.filter(|p| p.key == which || p.name == which);
            let key = one(named.map(|permit| permit.key.clone()))?;
            if state.permits.get(&key).is_some_and(|p| p.configured) {
                return Err(TrunkError::Configured);
            }
            key
        };
        store::trunks::forget_permit(&self.0.store, key.clone()).await?;
        let mut state = self.0.state();
        state.permits.remove(&key);
        state.end(&key, false, "the join secret was revoked");
        tracing::info!(key, "a join secret was revoked");
        Ok(())
    }

    /// Dials another server from now on, also after a restart.
    ///
    /// # Errors
    ///
    /// If what was entered cannot be used, or is there already, or the database fails.
    pub async fn add(&self, new: &AddTrunk) -> Result<TrunkEntry, TrunkError> {
        let address = Address::parse(&new.url, new.insecure).map_err(TrunkError::Invalid)?;
        let secret: JoinSecret = new.secret.parse()?;
        let entry = Entry {
            key: secret.key(),
            proof_key: secret.proof_key(),
            address,
            rooms: check_rooms(&new.rooms).map_err(TrunkError::Invalid)?,
            moderate: new.moderate,
            secret_pin: secret.pin(),
            confirmed_pin: None,
            configured: false,
        };
        let (key, url) = (entry.key.clone(), entry.address.to_string());
        {
            let state = self.0.state();
            if state.permits.contains_key(&key) {
                let why = "this join secret was made by this server: enter it on the other one";
                return Err(TrunkError::Invalid(why.to_owned()));
            }
            let mut others = state.entries.values();
            if others.any(|dialled| dialled.entry.address.to_string() == url) {
                return Err(TrunkError::Exists);
            }
            if state.entries.contains_key(&key) {
                return Err(TrunkError::SecretInUse);
            }
            if state.entries.len() >= super::registry::MAX_LINKS {
                return Err(TrunkError::TooMany);
            }
        }
        store::trunks::keep_entry(&self.0.store, entry.clone()).await?;
        if !self.0.dial(entry) {
            return Err(TrunkError::Exists);
        }
        tracing::info!(url, "a server is dialled from now on");
        let state = self.0.state();
        let dialled = state.entries.get(&key).ok_or(TrunkError::NotFound)?;
        Ok(describe(&state, dialled))
    }

    /// Dials a server no more, named by its key, its address, or its own name while it is there.
    ///
    /// # Errors
    ///
    /// If there is none, or it comes from the configuration, or the database fails.
    pub async fn remove(&self, which: &str) -> Result<(), TrunkError> {
        let key = self.find(which)?;
        if self.0.entry(&key).is_some_and(|entry| entry.configured) {
            return Err(TrunkError::Configured);
        }
        store::trunks::forget_entry(&self.0.store, key.clone()).await?;
        let mut state = self.0.state();
        if let Some(dialled) = state.entries.remove(&key) {
            tracing::info!(url = %dialled.entry.address, "a server is dialled no more");
            if let Some(task) = dialled.task {
                task.abort();
            }
        }
        state.end(
            &key,
            true,
            "the other server's operator has removed the trunk",
        );
        Ok(())
    }

    /// Says that the authority of a server is the right one. `fingerprint` is what the operator has
    /// seen; without it, it is what is shown now.
    ///
    /// # Errors
    ///
    /// If nothing or something else is to be confirmed, or the database fails.
    pub async fn confirm(
        &self,
        which: &str,
        fingerprint: Option<&str>,
    ) -> Result<String, TrunkError> {
        let key = self.find(which)?;
        let (entry, pin) = {
            let state = self.0.state();
            let dialled = state.entries.get(&key).ok_or(TrunkError::NotFound)?;
            let pin = to_confirm(&dialled.stand).ok_or(TrunkError::NothingToConfirm)?;
            (dialled.entry.clone(), pin)
        };
        let shown = pin.to_string();
        if fingerprint.is_some_and(|seen| !seen.trim().eq_ignore_ascii_case(&shown)) {
            return Err(TrunkError::NothingToConfirm);
        }
        store::trunks::confirm(&self.0.store, &entry, pin).await?;
        let mut state = self.0.state();
        let dialled = state.entries.get_mut(&key).ok_or(TrunkError::NotFound)?;
        dialled.entry.confirmed_pin = Some(pin);
        dialled.wake.notify_one();
        tracing::info!(url = %entry.address, %pin, "an authority was confirmed");
        Ok(shown)
    }

    /// Dials a server now rather than later.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn retry(&self, which: &str) -> Result<(), TrunkError> {
        let key = self.find(which)?;
        let state = self.0.state();
        let dialled = state.entries.get(&key).ok_or(TrunkError::NotFound)?;
        if !matches!(dialled.stand, Stand::Connected(_) | Stand::Connecting) {
            dialled.wake.notify_one();
        }
        Ok(())
    }

    fn find(&self, which: &str) -> Result<String, TrunkError> {
        let address = Address::parse(which, true).map(|address| address.to_string());
        let state = self.0.state();
        let entries = state.entries.iter();
        let named = entries.filter(|(key, dialled)| {
            let there = match dialled.stand {
                Stand::Connected(link) => state.links.get(&link),
                Stand::Connecting
                | Stand::Refused { .. }
                | Stand::Reconnecting { .. }
                | Stand::Confirm { .. } => None,
            };
            *key == which
                || address.as_ref() == Ok(&dialled.entry.address.to_string())
                || there.is_some_and(|live| live.peer.name == which)
        });
        one(named.map(|(key, _)| key.clone()))
    }
}

/// The only one of several that are meant.
fn one(mut keys: impl Iterator<Item = String>) -> Result<String, TrunkError> {
    let first = keys.next().ok_or(TrunkError::NotFound)?;
    let others: Vec<_> = keys.collect();
    if others.is_empty() {
        return Ok(first);
    }
    let all = std::iter::once(first).chain(others).collect::<Vec<_>>();
    Err(TrunkError::Ambiguous(all.join(", ")))
}

impl State {
    /// Ends links that were made by a secret.
    pub(super) fn end(&mut self, key: &str, dialled: bool, why: &str) {
        for live in self.links.values() {
            if live.key == key && live.dialled == dialled {
                live.end(why);
            }
        }
    }
}

fn to_confirm(stand: &Stand) -> Option<Pin> {
    match stand {
        Stand::Confirm { pin, .. } => Some(*pin),
        Stand::Connecting
        | Stand::Connected(_)
        | Stand::Refused { .. }
        | Stand::Reconnecting { .. } => None,
    }
}

fn describe(state: &State, dialled: &Dialled) -> TrunkEntry {
    let entry = &dialled.entry;
    let left = |next: &Instant| {
        let left = next.saturating_duration_since(Instant::now());
        Some(left.as_millis().div_ceil(1000) as u64)
    };
    let (how, why, retry_in_s) = match &dialled.stand {
        Stand::Connecting => (TrunkState::Connecting, None, None),
        Stand::Connected(_) => (TrunkState::Connected, None, None),
        Stand::Refused { why, next } => (TrunkState::Refused, Some(why.clone()), left(next)),
        Stand::Reconnecting { why, next } => {
            (TrunkState::Reconnecting, Some(why.clone()), left(next))
        }
        Stand::Confirm { next, .. } => (TrunkState::Confirm, None, left(next)),
    };
    let link = match dialled.stand {
        Stand::Connected(link) => Some(link),
        Stand::Connecting
        | Stand::Refused { .. }
        | Stand::Reconnecting { .. }
        | Stand::Confirm { .. } => None,
    };
    TrunkEntry {
        key: entry.key.clone(),
        url: entry.address.to_string(),
        rooms: entry.rooms.clone(),
        moderate: entry.moderate,
        insecure: !entry.address.is_secure(),
        configured: entry.configured,
        state: how,
        why,
        retry_in_s,
        fingerprint: to_confirm(&dialled.stand).map(|pin| pin.to_string()),
        neighbour: link.and_then(|link: LinkId| Some(neighbour(state.links.get(&link)?))),
    }
}

fn neighbour(live: &Live) -> TrunkNeighbour {
    TrunkNeighbour {
        node: live.peer.node.clone(),
        name: live.peer.name.clone(),
        version: live.peer.version.clone(),
        media: live.peer.media,
        rtt_ms: live.round_trip.map(|time| time.as_secs_f64() * 1000.0),
        since: live.since,
    }
}

fn allowed(state: &State, permit: &Permit) -> AllowedServer {
    let links = state.links.values();
    let there = links.filter(|live| !live.dialled && live.key == permit.key);
    AllowedServer {
        key: permit.key.clone(),
        name: permit.name.clone(),
        rooms: permit.rooms.clone(),
        moderate: permit.moderate,
        expires_at: permit.expires_at,
        created_at: permit.created_at,
        joined: !permit.joined.is_empty(),
        configured: permit.configured,
        connected: there.map(neighbour).collect(),
    }
}

fn refusal(state: &State, turned: &Turned) -> TrunkRefusal {
    let key = turned.key.as_ref();
    let permit = key.and_then(|key| state.permits.get(key));
    TrunkRefusal {
        at: turned.at,
        address: turned.address.to_string(),
        name: permit.map(|permit| permit.name.clone()),
        why: turned.why.clone(),
    }
}
