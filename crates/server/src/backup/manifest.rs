//! What a backup says of itself.

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};

use super::Part;
use crate::store::schema;

/// The archive's first entry.
pub(super) const NAME: &str = "manifest.json";

/// Bytes that it may have.
pub(super) const MOST: u64 = 64 * 1024;

/// The version of the archive's form.
pub(super) const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// Version of the archive's form.
    pub(super) format: u32,
    /// Version of the database.
    pub(super) schema: i64,
    /// Version of the program that made it.
    pub(super) program: String,
    /// RFC 3339.
    pub(super) created_at: String,
    /// In the order in which they follow.
    pub(super) parts: Vec<Listed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    pub(super) name: String,
    /// Bytes.
    pub(super) size: u64,
    /// Hexadecimal digits.
    pub(super) sha256: String,
}

/// What manifests of all forms have.
#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

impl Manifest {
    /// Reads a manifest and checks that what it announces can be brought back here.
    pub(super) fn read(bytes: &[u8]) -> anyhow::Result<(Manifest, Vec<(Part, Listed)>)> {
        let any: AnyFormat =
            serde_json::from_slice(bytes).context("its manifest makes no sense")?;
        ensure!(
            any.format <= FORMAT,
            "it is of format {}, this umbrella knows {FORMAT}; use the newer umbrella",
            any.format
        );
        let manifest: Manifest =
            serde_json::from_slice(bytes).context("its manifest makes no sense")?;
        let known = schema::known();
        ensure!(
            manifest.schema <= known,
            "its database is of version {}, this umbrella knows {known}; use the newer umbrella \
             (it was made by {:?})",
            manifest.schema,
            manifest.program
        );
        let parts = manifest.check()?;
        Ok((manifest, parts))
    }

    fn check(&self) -> anyhow::Result<Vec<(Part, Listed)>> {
        let mut parts: Vec<(Part, Listed)> = Vec::new();
        for listed in &self.parts {
            let Some(part) = Part::named(&listed.name) else {
                bail!("it announces {:?}, which means nothing here", listed.name);
            };
            ensure!(
                parts.iter().all(|(other, _)| *other != part),
                "it announces {} twice",
                part.name()
            );
            ensure!(
                listed.size <= part.most(),
                "its {} has {} bytes, more than the {} that are read",
                part.name(),
                listed.size,
                part.most()
            );
            parts.push((part, listed.clone()));
        }
        let has = |wanted| parts.iter().any(|(part, _)| *part == wanted);
        ensure!(has(Part::Database), "it has no database");
        for (one, other) in [
            (Part::AuthorityCertificate, Part::AuthorityKey),
            (Part::Certificate, Part::PrivateKey),
        ] {
            ensure!(
                has(one) == has(other),
                "it has only one of {} and {}",
                one.name(),
                other.name()
            );
        }
        Ok(parts)
    }
}
