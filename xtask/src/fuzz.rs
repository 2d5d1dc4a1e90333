//! `cargo xtask fuzz`: a short run of every fuzz target.
//!
//! Coverage instrumentation is LLVM's and stable, and without `unsafe` of our own a sanitizer has
//! nothing to find, so this needs neither a nightly compiler nor cargo-fuzz. `cargo fuzz` works on
//! the same targets.

use crate::cmd::{Cmd, cargo};
use crate::workspace::{read, root};
use anyhow::{Context, Result, bail};
use std::path::Path;

/// What cargo-fuzz passes as well, with assertions and overflow checks on.
const INSTRUMENT: [&str; 9] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks=on",
    "-Ccodegen-units=1",
];

/// Runs the fuzz targets for a while, each in turn.
///
/// Inputs that reach something new are kept in `fuzz/corpus`, those that crash in
/// `fuzz/artifacts`. Needs a C++ compiler.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds for each target
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Only these targets; all of them when none is named
    targets: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let fuzz = root().join("fuzz");
    let known = targets(&fuzz.join("Cargo.toml"))?;
    if let Some(unknown) = args.targets.iter().find(|target| !known.contains(target)) {
        bail!(
            "there is no fuzz target {unknown}; there are {}",
            known.join(", ")
        );
    }
    let chosen = if args.targets.is_empty() {
        &known
    } else {
        &args.targets
    };
    let host = host()?;
    // With an explicit target the flags do not reach build scripts, which have no fuzzer to link.
    cargo("fuzz targets, instrumented build")
        .args([
            "build",
            "--release",
            "--quiet",
            "--target",
            &host,
            "--target-dir",
            "fuzz/target",
        ])
        .args(["--manifest-path", "fuzz/Cargo.toml"])
        .env("RUSTFLAGS", INSTRUMENT.join(" "))
        .run()?;
    for target in chosen {
        fuzz_one(&fuzz, &host, target, args.seconds)?;
    }
    Ok(())
}

fn fuzz_one(fuzz: &Path, host: &str, target: &str, seconds: u32) -> Result<()> {
    let corpus = fuzz.join("corpus").join(target);
    let crashes = fuzz.join("artifacts").join(target);
    for dir in [&corpus, &crashes] {
        std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    }
    let seeds = fuzz.join("seeds").join(target);
    let binary = fuzz.join("target").join(host).join("release").join(target);
    Cmd::new(format!("fuzzing {target} for {seconds} s"), binary)
        .arg(corpus)
        .args(seeds.is_dir().then_some(seeds))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .args([
            "-max_len=65536",
            "-timeout=10",
            "-verbosity=0",
            "-print_final_stats=1",
        ])
        .run()
}

/// The names of the binaries in the manifest.
fn targets(manifest: &Path) -> Result<Vec<String>> {
    let table: toml::Table = toml::from_str(&read(manifest)?).context("parsing fuzz/Cargo.toml")?;
    let binaries = table
        .get("bin")
        .and_then(toml::Value::as_array)
        .cloned()
        .unwrap_or_default();
    Ok(binaries
        .iter()
        .filter_map(|binary| binary.get("name").and_then(toml::Value::as_str))
        .map(str::to_owned)
        .collect())
}

/// The triple of the machine we are on.
fn host() -> Result<String> {
    Cmd::new("rustc version", "rustc")
        .arg("-vV")
        .probe()
        .and_then(|text| {
            Some(
                text.lines()
                    .find_map(|line| line.strip_prefix("host: "))?
                    .to_owned(),
            )
        })
        .context("`rustc -vV` does not say which machine it is for")
}
