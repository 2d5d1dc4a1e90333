//! Virtual environments below the build directory.

use crate::cmd::{Cmd, which};
use anyhow::{Context, Result, bail};
use std::path::Path;

/// Makes an environment with what `pip install` gets as `packages`, unless `wanted`, which says what that
/// comes to, is in it already.
pub(crate) fn environment(venv: &Path, wanted: &str, packages: &[&str]) -> Result<()> {
    // Written last, so that an interrupted installation is repeated.
    let stamp = venv.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if which("python3").is_none() {
        bail!("`python3` is not in PATH: install Python 3.10 or newer with its venv module");
    }
    Cmd::new("Python environment", "python3")
        .args(["-m", "venv", "--clear"])
        .arg(venv)
        .quiet()?;
    let label = format!("pip install {}", packages.join(" "));
    Cmd::new(label, venv.join("bin/python3"))
        .args(["-m", "pip", "install", "--quiet"])
        .arg("--disable-pip-version-check")
        .args(packages)
        .quiet()?;
    std::fs::write(&stamp, wanted).with_context(|| format!("writing {}", stamp.display()))
}
