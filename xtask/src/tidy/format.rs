//! rustfmt, which prints the differences itself.

use crate::cmd::cargo;
use anyhow::Result;

pub(super) fn check() -> Result<Vec<String>> {
    cargo("cargo fmt --check")
        .args(["fmt", "--all", "--check"])
        .run()?;
    Ok(Vec::new())
}
