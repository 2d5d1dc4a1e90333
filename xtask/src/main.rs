//! Every command of the README: `cargo xtask tidy`, `run`, `test`, `fuzz`, `soak`, `bench`,
//! `dist`.
//!
//! Each one stands alone, says what it is doing and how long that took, and is explained by
//! `--help`. Nothing goes through a shell.

#![expect(
    clippy::print_stderr,
    reason = "a command line tool talks on the terminal"
)]

mod bench;
mod cmd;
mod dist;
mod fuzz;
mod npm;
mod parts;
mod python;
mod run;
mod server;
mod soak;
mod test;
mod tidy;
mod workspace;

use clap::{Parser, Subcommand};

/// Builds, runs and checks Umbrella.
#[derive(Parser)]
#[command(name = "cargo xtask", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Bench(bench::Args),
    Dist(dist::Args),
    Fuzz(fuzz::Args),
    Run(run::Args),
    Soak(soak::Args),
    Test(test::Args),
    Tidy(tidy::Args),
}

fn main() -> std::process::ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::Dist(args) => dist::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Run(args) => run::run(args),
        Command::Tidy(args) => tidy::run(&args),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
