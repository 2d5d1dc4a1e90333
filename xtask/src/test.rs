//! `cargo xtask test`: everything that proves that Umbrella works.

use crate::cmd::{Cmd, cargo};
use crate::workspace::{root, target_dir};
use crate::{npm, parts};
use anyhow::{Result, bail};
use std::time::Instant;

/// Runs the tests: Rust, the page, and end to end with real browsers and SDKs.
///
/// Without a selection all of them run. What end-to-end tests need is installed first: npm
/// packages, a Python environment below the build directory, and, as root on Debian, browsers.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rust tests of the workspace
    #[arg(long)]
    unit: bool,
    /// Unit tests of the page
    #[arg(long)]
    ui: bool,
    /// Tests with real browsers and native clients; PATTERN picks test files by name
    #[arg(long, value_name = "PATTERN", num_args = 0..=1, default_missing_value = "")]
    e2e: Option<String>,
    /// Of the end-to-end tests only those whose name matches this regular expression
    #[arg(long, value_name = "REGEX", requires = "e2e")]
    name: Option<String>,
    /// Leave out end-to-end tests for which a part (a browser, Python) is missing, instead of
    /// failing
    #[arg(long)]
    skip_missing: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let start = Instant::now();
    let all = !args.unit && !args.ui && args.e2e.is_none();
    let mut failed = Vec::new();
    let mut suite = |name: &'static str, result: Result<()>| {
        if let Err(error) = result {
            eprintln!("  ✗ {error:#}");
            failed.push(name);
        }
    };
    if all {
        // The server under test carries the real page.
        suite("page", npm::build_page());
    }
    if all || args.unit {
        suite("unit", unit());
    }
    if all || args.ui {
        suite("ui", page());
    }
    if all || args.e2e.is_some() {
        suite("e2e", end_to_end(args, all));
    }
    let took = start.elapsed().as_secs_f32();
    if failed.is_empty() {
        eprintln!("tests passed ({took:.0} s)");
        return Ok(());
    }
    bail!("tests failed: {} ({took:.0} s)", failed.join(", "))
}

fn unit() -> Result<()> {
    cargo("Rust tests of the workspace")
        .args(["test", "--workspace", "--quiet"])
        .run()
}

fn page() -> Result<()> {
    npm::check_tools()?;
    npm::install("ui")?;
    npm::script("ui", "test")
}

fn end_to_end(args: &Args, all: bool) -> Result<()> {
    npm::check_tools()?;
    npm::install("e2e")?;
    let parts = parts::prepare(args.skip_missing)?;
    npm::build_page()?;
    // Tests of the binary need it: what they have built, with their features, serves here too. For
    // these tests alone that would be much too much.
    let what: &[&str] = if all {
        &["--tests"]
    } else {
        &["--bin", "umbrella"]
    };
    cargo("umbrella, debug build")
        .args(["build", "--workspace"])
        .args(what)
        .run()?;
    let binary = target_dir()
        .join("debug")
        .join(format!("umbrella{}", std::env::consts::EXE_SUFFIX));
    let mut tests = Cmd::new("end-to-end tests", "node")
        .arg("run.mjs")
        .dir(root().join("e2e"))
        .env("UMBRELLA_BIN", binary)
        .env("UMBRELLA_ARTIFACTS", root().join("artifacts"));
    for (name, value) in parts.environment() {
        tests = tests.env(name, value);
    }
    if let Some(pattern) = args.e2e.as_deref().filter(|pattern| !pattern.is_empty()) {
        tests = tests.arg(pattern);
    }
    if let Some(name) = &args.name {
        tests = tests.args(["--name", name]);
    }
    tests.run()
}
