//! `cargo xtask tidy`: the laws of the house, checked by machine.

mod bans;
mod destructors;
mod edges;
mod format;
mod lints;
mod size;
mod source;

use crate::cmd::cargo;
use crate::npm;
use anyhow::{Result, bail};
use std::time::Instant;

/// Checks everything that a machine can judge without running the product.
///
/// The cheap checks come first and all are carried out, so that one run shows all that is wrong.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which checks; all of them when none is named.
    #[arg(value_enum)]
    checks: Vec<Check>,
}

/// One check. Declared in the order in which they run: cheapest first.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Check {
    /// Which crate may depend on which, and on str0m
    Edges,
    /// Every crate inherits the workspace's lints and opts out of none that matter
    Lints,
    /// No clock, socket, thread, file or runtime in media, room and engine; one way to begin tasks in the server
    Bans,
    /// No destructor panics: it would end the server
    Destructors,
    /// Functions fit a screen (70 lines), files a sitting (800 lines)
    Size,
    /// rustfmt
    Format,
    /// The page and the tests: lint and type check
    Ui,
    /// clippy with warnings as errors: includes missing documentation
    Clippy,
}

const ALL: [Check; 8] = [
    Check::Edges,
    Check::Lints,
    Check::Bans,
    Check::Destructors,
    Check::Size,
    Check::Format,
    Check::Ui,
    Check::Clippy,
];

impl Check {
    fn name(self) -> &'static str {
        match self {
            Self::Edges => "edges",
            Self::Lints => "lints",
            Self::Bans => "bans",
            Self::Destructors => "destructors",
            Self::Size => "size",
            Self::Format => "format",
            Self::Ui => "ui",
            Self::Clippy => "clippy",
        }
    }

    /// What is wrong, one sentence each. `Err` when the check itself could not be carried out.
    fn findings(self) -> Result<Vec<String>> {
        match self {
            Self::Edges => edges::check(),
            Self::Lints => lints::check(),
            Self::Bans => bans::check(),
            Self::Destructors => destructors::check(),
            Self::Size => size::check(),
            Self::Format => format::check(),
            Self::Ui => ui().map(|()| Vec::new()),
            Self::Clippy => clippy().map(|()| Vec::new()),
        }
    }
}

/// Carries out the checks and fails if one of them found something.
pub(crate) fn run(args: &Args) -> Result<()> {
    let start = Instant::now();
    let mut failed = Vec::new();
    for check in ALL {
        if !args.checks.is_empty() && !args.checks.contains(&check) {
            continue;
        }
        if !carry_out(check) {
            failed.push(check.name());
        }
    }
    let took = start.elapsed().as_secs_f32();
    if failed.is_empty() {
        eprintln!("tidy ({took:.1} s)");
        return Ok(());
    }
    bail!("not tidy: {} ({took:.1} s)", failed.join(", "))
}

fn carry_out(check: Check) -> bool {
    let start = Instant::now();
    eprintln!("{}", check.name());
    match check.findings() {
        Ok(findings) if findings.is_empty() => {
            eprintln!(
                "  ✓ {} ({:.1} s)",
                check.name(),
                start.elapsed().as_secs_f32()
            );
            true
        }
        Ok(findings) => {
            for finding in findings {
                eprintln!("  ✗ {finding}");
            }
            false
        }
        Err(error) => {
            eprintln!("  ✗ {error:#}");
            false
        }
    }
}

fn clippy() -> Result<()> {
    cargo("clippy, warnings are errors")
        .args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ])
        .run()
}

fn ui() -> Result<()> {
    npm::check_tools()?;
    npm::install("ui")?;
    npm::script("ui", "lint")?;
    npm::script("ui", "typecheck")
}
