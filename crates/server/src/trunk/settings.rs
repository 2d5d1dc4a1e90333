//! What the operator has set: whom to dial and who may dial us.

use std::collections::BTreeSet;

use super::address::Address;
use super::secret::{Pin, ProofKey};
use crate::config::{TrunkAllow, TrunkTo};

/// Patterns of rooms in one list.
pub(super) const MAX_PATTERNS: usize = 64;

/// Bytes of a pattern.
pub(super) const MAX_PATTERN: usize = 256;

/// Characters of a name that is shown to people.
pub(super) const MAX_NAME: usize = 64;

/// A server that is dialled.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The public half of the join secret; names the entry.
    pub key: String,
    /// What is kept of the secret.
    pub proof_key: ProofKey,
    /// Where it is.
    pub address: Address,
    /// Rooms that are shared, as patterns; none is all.
    pub rooms: Vec<String>,
    /// Whether moderators there may do something about participants here.
    pub moderate: bool,
    /// The authority that the join secret vouches for.
    pub secret_pin: Option<Pin>,
    /// The authority that the operator has confirmed.
    pub confirmed_pin: Option<Pin>,
    /// It comes from the configuration and can only be removed there.
    pub configured: bool,
}

/// Servers that may dial us: those that know a secret.
#[derive(Debug, Clone)]
pub struct Permit {
    /// The public half of the join secret; names the permit.
    pub key: String,
    /// What is kept of the secret.
    pub proof_key: ProofKey,
    /// For the operator.
    pub name: String,
    /// Rooms that are shared, as patterns; none is all.
    pub rooms: Vec<String>,
    /// Whether moderators there may do something about participants here.
    pub moderate: bool,
    /// Until when a server can join that has not joined before, in seconds since the Unix epoch.
    pub expires_at: Option<u64>,
    /// Seconds since the Unix epoch; 0 for one of the configuration.
    pub created_at: u64,
    /// Nodes that have joined by it: they come back whenever they like.
    pub joined: BTreeSet<String>,
    /// It comes from the configuration and can only be removed there.
    pub configured: bool,
}

impl Permit {
    /// Whether a node that knows the secret is too late.
    pub(super) fn is_over(&self, node: &str, now: u64) -> bool {
        self.expires_at.is_some_and(|end| end <= now) && !self.joined.contains(node)
    }

    /// One of the configuration.
    pub(super) fn configured(allow: &TrunkAllow, joined: BTreeSet<String>) -> Permit {
        Permit {
            key: allow.secret.key(),
            proof_key: allow.secret.proof_key(),
            name: allow.name.clone(),
            rooms: allow.rooms.clone(),
            moderate: allow.moderate,
            expires_at: allow.expires_at,
            created_at: 0,
            joined,
            configured: true,
        }
    }
}

impl Entry {
    /// One of the configuration.
    pub(super) fn configured(to: &TrunkTo, confirmed_pin: Option<Pin>) -> Entry {
        Entry {
            key: to.secret.key(),
            proof_key: to.secret.proof_key(),
            address: to.address.clone(),
            rooms: to.rooms.clone(),
            moderate: to.moderate,
            secret_pin: to.secret.pin(),
            confirmed_pin,
            configured: true,
        }
    }
}

/// Checks patterns of rooms that somebody has written, and takes the empty ones out.
///
/// # Errors
///
/// What is wrong with them.
pub fn check_rooms(patterns: &[String]) -> Result<Vec<String>, String> {
    let patterns = patterns.iter().map(|pattern| pattern.trim().to_owned());
    let patterns: Vec<_> = patterns.filter(|pattern| !pattern.is_empty()).collect();
    if patterns.len() > MAX_PATTERNS {
        return Err(format!("at most {MAX_PATTERNS} patterns of rooms"));
    }
    for pattern in &patterns {
        if pattern.len() > MAX_PATTERN || pattern.chars().any(char::is_control) {
            return Err(format!(
                "a pattern of rooms has at most {MAX_PATTERN} bytes, on one line"
            ));
        }
    }
    Ok(patterns)
}

/// Checks a server's name that somebody has written.
///
/// # Errors
///
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<String, String> {
    let name = name.trim();
    let fits = (1..=MAX_NAME).contains(&name.chars().count());
    if !fits || name.chars().any(char::is_control) {
        return Err(format!("a server's name has 1 to {MAX_NAME} characters"));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns_grow_without_bound() {
        let many = vec!["a".to_owned(); MAX_PATTERNS + 1];
        assert!(check_rooms(&many).is_err());
        assert!(check_rooms(&["a".repeat(MAX_PATTERN + 1)]).is_err());
        assert!(check_rooms(&["a\nb".into()]).is_err());
        let kept = check_rooms(&[" site-* ".into(), String::new()]).unwrap();
        assert_eq!(kept, ["site-*"]);
        assert_eq!(check_name(" Hütte ").unwrap(), "Hütte");
        for wrong in ["", "  ", "a\nb", &"x".repeat(65)] {
            assert!(check_name(wrong).is_err(), "{wrong:?}");
        }
    }
}
