//! Packages for Debian, by cargo-deb, which reads `package.metadata.deb` of the server.

use super::build::work_dir;
use super::target::Target;
use crate::cmd::{Cmd, cargo};
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// Of crates.io, as exactly this.
const CARGO_DEB: &str = "3.8.0";

/// Packs a binary that is where cargo has built it; `time`, in seconds since 1970, is that of all
/// files.
pub(crate) fn pack(target: &Target, built: &Path, time: u64, file: &Path) -> Result<()> {
    let mut above = built.ancestors().skip(1);
    let (profile, target_dir) = (above.next(), above.nth(1));
    let profile = profile.and_then(Path::file_name).context("no profile")?;
    let target_dir = target_dir.context("no build directory")?;
    let tools = work_dir().join("tools");
    let program = tools.join("bin/cargo-deb");
    let version = Cmd::new("cargo-deb", &program).arg("--version").probe();
    if version.is_none_or(|version| !version.ends_with(CARGO_DEB)) {
        cargo("cargo install cargo-deb")
            .args(["install", "cargo-deb", "--locked", "--force", "--quiet"])
            .args(["--version", CARGO_DEB, "--root"])
            .arg(&tools)
            .env("CARGO_TARGET_DIR", tools.join("build"))
            .run()?;
    }
    Cmd::new(format!("{}: package for Debian", target.name), &program)
        .args(["deb", "--package", "umbrella", "--no-build", "--no-strip"])
        .args(["--target", target.triple, "--profile"])
        .arg(profile)
        .arg("--output")
        .arg(file)
        .env("CARGO_TARGET_DIR", target_dir)
        .env("SOURCE_DATE_EPOCH", time.to_string())
        .quiet()?;
    ensure!(
        file.is_file(),
        "cargo-deb has not written {}",
        file.display()
    );
    Ok(())
}
