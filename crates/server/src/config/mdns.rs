//! The local network without a name server.

use super::ConfigError;
use super::file::Mdns;
use super::parse::{Blame, is_host_name};
use crate::net::host_name;

/// Bytes of a name: a label has 63, and `-20` has to fit behind it.
const MAX_NAME: usize = 60;

/// The local network without a name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MdnsConfig {
    /// Announce this server, and listen for others. Never in cloud mode.
    pub enabled: bool,
    /// The name without `.local`: a label of small letters, digits and hyphens.
    pub name: String,
}

pub(super) fn check(
    written: &Mdns,
    cloud: bool,
    blame: &Blame<'_>,
) -> Result<MdnsConfig, ConfigError> {
    let written_name = written.name.trim().to_ascii_lowercase();
    let name = match written_name.strip_suffix(".local").unwrap_or(&written_name) {
        "" => {
            let mut name = host_name().unwrap_or_else(|| "umbrella".to_owned());
            name.truncate(MAX_NAME);
            name.trim_end_matches('-').to_owned()
        }
        name if is_label(name) => name.to_owned(),
        _ => {
            let problem = "expected 1 to 60 letters, digits and hyphens, as `meet`";
            return Err(blame.error("mdns", "name", problem));
        }
    };
    Ok(MdnsConfig {
        enabled: written.enabled && !cloud,
        name,
    })
}

fn is_label(name: &str) -> bool {
    name.len() <= MAX_NAME && !name.contains('.') && is_host_name(name)
}
