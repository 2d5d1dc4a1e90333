//! `umbrella selftest`: tries on this machine what calls need.

use anyhow::bail;
use clap::Args;

use super::{log, print};
use crate::selftest::{self, Report, Setup};

/// What goes wrong inside of a worker is for the operator to see; what a peer of the test says of its
/// keys is not.
const LOG: &str = "warn,str0m=error";

#[derive(Debug, Args)]
pub(super) struct SelftestArgs {
    /// Print one JSON object at the end instead of text.
    #[arg(long)]
    json: bool,
}

/// Fails unless everything has passed.
pub(super) fn run(args: &SelftestArgs) -> anyhow::Result<()> {
    log::start(LOG)?;
    let mut printed = Ok(());
    let mut say = |text: &str| {
        if !args.json && printed.is_ok() {
            printed = print(text);
        }
    };
    say(&Report::head(env!("CARGO_PKG_VERSION")));
    let report = selftest::run(&Setup::usual(), &mut |outcome| say(&outcome.to_string()))?;
    say(&format!("\n{}", report.summary()));
    printed?;
    if args.json {
        print(&serde_json::to_string_pretty(&report)?)?;
    }
    match report.failed() {
        failed if failed.is_empty() => Ok(()),
        failed => bail!("the test of itself has failed: {}", failed.join(", ")),
    }
}
