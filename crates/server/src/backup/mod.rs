//! One file with everything of a server that must outlive its machine.
//!
//! It is a tar archive: first a manifest, then the parts in the order of that. Only names of
//! [`Part`] are ever read or written; a path that somebody else has written is never used.

mod file;
mod make;
mod manifest;
mod restore;

#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};

use aws_lc_rs::digest;

pub use file::{Target, write_file};
pub use make::{Made, make};
pub use restore::{Restored, restore};

/// The directory, in that of the data, of files that were elsewhere before: a restore writes nowhere
/// else.
const OPERATOR_DIR: &str = "operator";

/// The directory of the server's own authority.
const AUTHORITY_DIR: &str = "tls";

/// What a backup can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Rooms, invites, API keys, the admin's password, trunks, cameras.
    Database,
    /// What devices trust.
    AuthorityCertificate,
    AuthorityKey,
    /// Account, certificate and keys by ACME.
    Acme,
    /// The operator's own certificate.
    Certificate,
    PrivateKey,
    /// `umbrella.toml`.
    Configuration,
}

impl Part {
    const ALL: [Part; 7] = [
        Part::Database,
        Part::AuthorityCertificate,
        Part::AuthorityKey,
        Part::Acme,
        Part::Certificate,
        Part::PrivateKey,
        Part::Configuration,
    ];

    /// In the archive, and below the data directory.
    fn name(self) -> &'static str {
        match self {
            Part::Database => crate::store::FILE_NAME,
            Part::AuthorityCertificate => "tls/ca.crt",
            Part::AuthorityKey => "tls/ca.key",
            Part::Acme => "tls/acme.json",
            Part::Certificate => "operator/service.crt",
            Part::PrivateKey => "operator/service.key",
            Part::Configuration => "operator/umbrella.toml",
        }
    }

    fn named(name: &str) -> Option<Part> {
        Part::ALL.into_iter().find(|part| part.name() == name)
    }

    /// Bytes that it may have.
    fn most(self) -> u64 {
        match self {
            Part::Database => 4 << 30,
            Part::AuthorityCertificate
            | Part::AuthorityKey
            | Part::Acme
            | Part::Certificate
            | Part::PrivateKey
            | Part::Configuration => 1 << 20,
        }
    }

    /// For people.
    fn describe(self) -> &'static str {
        match self {
            Part::Database => "database",
            Part::AuthorityCertificate => "certificate of the authority",
            Part::AuthorityKey => "key of the authority",
            Part::Acme => "account, certificate and key by ACME",
            Part::Certificate => "own certificate",
            Part::PrivateKey => "key of the own certificate",
            Part::Configuration => "configuration file",
        }
    }
}

/// Copies all there is, and says how much that was and its SHA-256 in hexadecimal digits.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<(u64, String)> {
    let mut sum = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        sum.update(&buffer[..count]);
        to.write_all(&buffer[..count])?;
        size += count as u64;
    }
    let digits = sum.finish();
    let digits = digits.as_ref().iter().map(|byte| format!("{byte:02x}"));
    Ok((size, digits.collect()))
}
