//! Other servers with which rooms are shared.

use std::collections::BTreeSet;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::ConfigError;
use super::file::{Trunk, TrunkAllow as WrittenAllow, TrunkTo as WrittenTo};
use super::parse::Blame;
use crate::net::host_name;
use crate::trunk::{Address, JoinSecret, check_name, check_rooms};

/// Servers that are dialled at most: more links are not kept.
const MAX_TO: usize = 64;

/// Secrets by which servers may join.
const MAX_ALLOW: usize = 256;

/// Other servers with which rooms are shared.
#[derive(Debug, Clone)]
pub struct TrunkConfig {
    /// What others call this server.
    pub name: String,
    /// It carries media.
    pub media: bool,
    /// Neighbours of a server without media are linked directly.
    pub direct: bool,
    /// Whom to dial.
    pub to: Vec<TrunkTo>,
    /// Who may dial.
    pub allow: Vec<TrunkAllow>,
}

/// A server to dial.
#[derive(Debug, Clone)]
pub struct TrunkTo {
    /// Where it is.
    pub address: Address,
    /// One of its join secrets.
    pub secret: JoinSecret,
    /// Rooms that are shared, as patterns; none is all.
    pub rooms: Vec<String>,
    /// Whether moderators there may do something about participants here.
    pub moderate: bool,
}

/// A server that may dial.
#[derive(Debug, Clone)]
pub struct TrunkAllow {
    /// For the operator.
    pub name: String,
    /// What it has to know.
    pub secret: JoinSecret,
    /// Rooms that are shared, as patterns; none is all.
    pub rooms: Vec<String>,
    /// Whether moderators there may do something about participants here.
    pub moderate: bool,
    /// Seconds since the Unix epoch; `None` is never.
    pub expires_at: Option<u64>,
}

pub(super) fn check(written: &Trunk, blame: &Blame<'_>) -> Result<TrunkConfig, ConfigError> {
    let name = match written.name.trim() {
        "" => host_name().unwrap_or_else(|| "Umbrella".to_owned()),
        name => check_name(name).map_err(|problem| blame.error("trunk", "name", problem))?,
    };
    let media = match written.role.trim() {
        "media" => true,
        "signalling" => false,
        _ => {
            let problem = "expected \"media\" or \"signalling\"";
            return Err(blame.error("trunk", "role", problem));
        }
    };
    Ok(TrunkConfig {
        name,
        media,
        direct: written.direct,
        to: list(&written.to, MAX_TO, check_to).map_err(|why| blame.error("trunk", "to", why))?,
        allow: list(&written.allow, MAX_ALLOW, check_allow)
            .map_err(|why| blame.error("trunk", "allow", why))?,
    })
}

/// Reads all entries; the second of a pair is what must not appear twice.
fn list<W, T>(
    written: &[W],
    max: usize,
    read: fn(&W) -> Result<(T, String), String>,
) -> Result<Vec<T>, String> {
    if written.len() > max {
        return Err(format!("expected at most {max} entries"));
    }
    let mut keys = BTreeSet::new();
    let mut all = Vec::new();
    for (index, entry) in written.iter().enumerate() {
        let (entry, key) = read(entry).map_err(|why| format!("entry {}: {why}", index + 1))?;
        if !keys.insert(key) {
            return Err(format!(
                "entry {}: another entry has the same secret; each server needs one of its own",
                index + 1
            ));
        }
        all.push(entry);
    }
    Ok(all)
}

fn check_to(written: &WrittenTo) -> Result<(TrunkTo, String), String> {
    let address = Address::parse(&written.url, written.insecure);
    let secret = secret(&written.secret)?;
    let key = secret.key();
    let to = TrunkTo {
        address: address.map_err(|why| format!("url: {why}"))?,
        secret,
        rooms: check_rooms(&written.rooms)?,
        moderate: written.moderate,
    };
    Ok((to, key))
}

fn check_allow(written: &WrittenAllow) -> Result<(TrunkAllow, String), String> {
    let secret = secret(&written.secret)?;
    let key = secret.key();
    let allow = TrunkAllow {
        name: check_name(&written.name)?,
        secret,
        rooms: check_rooms(&written.rooms)?,
        moderate: written.moderate,
        expires_at: expiry(written.expires.trim())?,
    };
    Ok((allow, key))
}

fn secret(text: &str) -> Result<JoinSecret, String> {
    text.parse::<JoinSecret>()
        .map_err(|error| format!("secret: {error}"))
}

fn expiry(text: &str) -> Result<Option<u64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "expires: expected a time like 2030-12-31T00:00:00Z")?;
    Ok(Some(u64::try_from(time.unix_timestamp()).unwrap_or(0)))
}
