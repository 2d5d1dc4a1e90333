//! `cargo xtask fuzz`: a short run of every fuzz target.

use crate::cmd::{Cmd, which};
use crate::workspace::root;
use anyhow::{Result, bail};

/// Runs the fuzz targets for a while, each in turn.
///
/// Needs a nightly toolchain and cargo-fuzz (`cargo install cargo-fuzz`).
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds for each target
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Only these targets; all of them when none is named
    targets: Vec<String>,
    /// Succeed when the tools are missing
    #[arg(long)]
    skip_missing: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(missing) = missing_tool() {
        if args.skip_missing {
            eprintln!("not fuzzing: {missing}");
            return Ok(());
        }
        bail!("{missing}");
    }
    let listed = fuzz("targets").arg("list").quiet()?;
    let targets: Vec<&str> = match args.targets.as_slice() {
        [] => listed.split_whitespace().collect(),
        named => named.iter().map(String::as_str).collect(),
    };
    for target in targets {
        fuzz(&format!("fuzzing {target} for {} s", args.seconds))
            .args(["run", target, "--"])
            .arg(format!("-max_total_time={}", args.seconds))
            .arg("-max_len=65536")
            .run()?;
    }
    Ok(())
}

fn missing_tool() -> Option<String> {
    if !root().join("fuzz/Cargo.toml").is_file() {
        return Some("there is no fuzz/ directory".into());
    }
    if which("cargo-fuzz").is_none() {
        return Some("cargo-fuzz is missing: cargo install cargo-fuzz".into());
    }
    let nightly = Cmd::new("nightly", "cargo")
        .args(["+nightly", "--version"])
        .probe();
    nightly
        .is_none()
        .then(|| "there is no nightly toolchain: rustup toolchain install nightly".into())
}

fn fuzz(label: &str) -> Cmd {
    // Not the cargo that runs us: `+nightly` is understood by rustup's.
    Cmd::new(label, "cargo").args(["+nightly", "fuzz"])
}
