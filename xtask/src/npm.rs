//! The JavaScript parts: the page in `ui/`, the tests in `e2e/`.

use crate::cmd::{Cmd, which};
use crate::workspace::{files, root};
use anyhow::{Result, bail};
use std::path::Path;
use std::time::SystemTime;

/// Oldest Node that the page's tools run on.
const NODE_AT_LEAST: u32 = 20;

/// Fails with a sentence when Node or npm is missing or too old.
pub(crate) fn check_tools() -> Result<()> {
    for tool in ["node", "npm"] {
        if which(tool).is_none() {
            bail!("`{tool}` is not in PATH: install Node.js {NODE_AT_LEAST} or newer");
        }
    }
    let version = Cmd::new("node version", "node")
        .arg("--version")
        .probe()
        .unwrap_or_default();
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .unwrap_or_default();
    match major.parse::<u32>() {
        Ok(major) if major >= NODE_AT_LEAST => Ok(()),
        _ => bail!("Node.js is {version:?}: {NODE_AT_LEAST} or newer is needed"),
    }
}

/// Installs what `dir`'s lock file asks for, unless that is what is installed.
pub(crate) fn install(dir: &str) -> Result<()> {
    let dir_path = root().join(dir);
    if !dir_path.join("package-lock.json").is_file() {
        bail!("{dir}/package-lock.json is missing: is this a whole clone?");
    }
    // npm writes this file last, so an interrupted installation is repeated.
    let installed = modified(&dir_path.join("node_modules/.package-lock.json"));
    let wanted = modified(&dir_path.join("package-lock.json"));
    if installed.is_some() && installed >= wanted {
        return Ok(());
    }
    Cmd::new(format!("{dir}: npm ci"), "npm")
        .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
        .dir(dir_path)
        .quiet()
        .map(drop)
}

/// Runs one of `dir`'s scripts.
pub(crate) fn script(dir: &str, name: &str) -> Result<()> {
    Cmd::new(format!("{dir}: npm run {name}"), "npm")
        .args(["run", "--silent", name])
        .dir(root().join(dir))
        .run()
}

/// Builds the page into `ui/dist`, if a source is newer than the last build.
pub(crate) fn build_page() -> Result<()> {
    check_tools()?;
    let built = modified(&root().join("ui/dist/index.html"));
    if built.is_some() && built >= newest_page_source()? {
        eprintln!("  ✓ ui: the page is up to date");
        return Ok(());
    }
    install("ui")?;
    script("ui", "build")
}

fn newest_page_source() -> Result<Option<SystemTime>> {
    let mut newest = ["ui/index.html", "ui/package-lock.json", "ui/package.json"]
        .iter()
        .filter_map(|path| modified(&root().join(path)))
        .max();
    let every = [
        "ts",
        "tsx",
        "css",
        "svg",
        "png",
        "html",
        "json",
        "webmanifest",
        "ico",
    ];
    for dir in ["ui/src", "ui/public"] {
        for file in files(dir, &every)? {
            newest = newest.max(modified(&file));
        }
    }
    for config in ["vite.config.ts", "vite.config.js", "tsconfig.json"] {
        newest = newest.max(modified(&root().join("ui").join(config)));
    }
    Ok(newest)
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path)
        .and_then(|meta| meta.modified())
        .ok()
}
