//! The command line.

mod backup;
mod camera;
mod greeting;
mod health;
mod local;
mod log;
mod reload;
mod selftest;
mod serve;
mod trunk;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, default_toml, unknown_variables};
use backup::{BackupArgs, RestoreArgs};
use camera::CameraArgs;
use health::HealthArgs;
use local::{Answer, Request};
use reload::Origin;
use selftest::SelftestArgs;
use trunk::TrunkArgs;

/// Calls, cameras and trunks between sites in one binary.
///
/// Without a subcommand the server starts. Nothing needs to be configured: it prints the
/// addresses to open and, at a terminal until a password is set, a one-time link for the admin.
#[derive(Debug, Parser)]
#[command(name = "umbrella", version, max_term_width = 100)]
struct Cli {
    /// Configuration file [default: umbrella.toml in the working directory, if it is there].
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Data directory, in place of the configured one (UMBRELLA_DATA_DIR).
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print an access token with which a client can join a room.
    ///
    /// Asks the running server, which is found through the data directory.
    Token(TokenArgs),
    /// Print a one-time link with which the admin's password can be set.
    ///
    /// Valid for 15 minutes and for one use; earlier links are void. Asks the running server,
    /// which is found through the data directory, and waits ten seconds for it to come.
    AdminLink,
    /// Print how many rooms, participants, connections, tracks and tasks there are, as JSON.
    ///
    /// Asks the running server, which is found through the data directory.
    Status,
    /// Read the configuration again, and say what has changed and what needs a restart.
    ///
    /// Asks the running server, which is found through the data directory. No call ends by it; with
    /// a mistake in it, nothing changes.
    Reload,
    /// Say in one line whether the server is alive; the exit status is 0 or 1.
    ///
    /// Asks /healthz, or /readyz, at the port of the configuration on this machine. For probes of
    /// containers, where there is nothing else to ask with.
    Health(HealthArgs),
    /// Try on this machine all that calls need, in some seconds; the exit status is 0 or 1.
    ///
    /// Two clients inside of this process have a call through a worker as the server has it, over UDP
    /// and TCP of this machine's loopback interface; the page, TLS and the database are tried too.
    /// Needs neither a configuration nor a data directory, disturbs no server that is running, and
    /// sends nothing to the network.
    Selftest(SelftestArgs),
    /// Share rooms with other servers.
    Trunk(TrunkArgs),
    /// Have cameras in rooms.
    Camera(CameraArgs),
    /// Write everything that must outlive this machine into one file.
    ///
    /// Database, certificate authority, own certificate and configuration file, whether or not the
    /// server is running. The file holds secrets.
    Backup(BackupArgs),
    /// Bring a backup back into the data directory, while the server is stopped.
    Restore(RestoreArgs),
    /// Check the configuration, or print it with its defaults.
    Config(ConfigArgs),
}

#[derive(Debug, Args)]
struct TokenArgs {
    /// The room to join.
    #[arg(long)]
    room: String,
    /// Who joins; a second one with the same identity replaces the first.
    #[arg(long)]
    identity: String,
    /// The name that others see [default: the identity].
    #[arg(long)]
    name: Option<String>,
    /// Without the right to send camera, microphone and screen.
    #[arg(long)]
    watch_only: bool,
    /// How long the token can be used to join: a number with s, m, h or d.
    #[arg(long, default_value = "1h", value_parser = parse_duration)]
    ttl: Duration,
    /// The API key to sign with [default: the first configured one, else the newest one made on
    /// the page, else the server's own].
    #[arg(long)]
    key: Option<String>,
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// Print a documented umbrella.toml with every key at its default.
    #[arg(long)]
    print_defaults: bool,
}

/// Runs the program.
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; there is nobody else to tell.
            let _ = writeln!(io::stderr(), "umbrella: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    if let Some(Command::Config(ConfigArgs {
        print_defaults: true,
    })) = cli.command
    {
        return print(default_toml().trim_end());
    }
    if let Some(Command::Selftest(args)) = &cli.command {
        return selftest::run(args);
    }
    let mut env = Config::process_environment();
    if let Some(dir) = &cli.data_dir {
        env.insert(
            "UMBRELLA_DATA_DIR".to_owned(),
            dir.to_string_lossy().into_owned(),
        );
    }
    let config = Config::load(cli.config.as_deref(), &env);
    if let Some(Command::Health(args)) = &cli.command {
        return health::run(config, &env, args);
    }
    let config = config?;
    match cli.command {
        None => {
            let log = log::start(&config.log)?;
            for name in unknown_variables(&env) {
                tracing::warn!(name, "this environment variable means nothing to umbrella");
            }
            let file = cli.config;
            serve::serve(config, Origin { file, env, log })
        }
        Some(Command::Token(args)) => ask(&config, &args.into()),
        Some(Command::AdminLink) => ask(&config, &Request::AdminLink),
        Some(Command::Reload) => ask(&config, &Request::Reload),
        Some(Command::Status) => ask(&config, &Request::Status),
        Some(Command::Trunk(args)) => trunk::run(&config, args.command),
        Some(Command::Camera(args)) => camera::run(&config, args.command),
        Some(Command::Backup(args)) => backup::back_up(&config, &args),
        Some(Command::Restore(args)) => backup::restore(&config, &args),
        Some(Command::Config(_)) => print("The configuration is valid."),
        // Were answered above.
        Some(Command::Health(_) | Command::Selftest(_)) => Ok(()),
    }
}

impl From<TokenArgs> for Request {
    fn from(args: TokenArgs) -> Self {
        Self::Token {
            room: args.room,
            identity: args.identity,
            name: args.name.unwrap_or_default(),
            watch_only: args.watch_only,
            ttl_s: args.ttl.as_secs(),
            key: args.key,
        }
    }
}

fn ask(config: &Config, request: &Request) -> anyhow::Result<()> {
    match local::ask(&config.data_dir, request)? {
        Answer::Done(text) => print(&text),
        Answer::Refused(reason) => anyhow::bail!(reason),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        // `umbrella config --print-defaults | head` is no fault.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time; write a number with s, m, h or d, as 90m");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let seconds = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    match seconds {
        Some(seconds) if (1..=10 * 365 * 86_400).contains(&seconds) => {
            Ok(Duration::from_secs(seconds))
        }
        Some(_) => Err(format!("`{text}` is not between a second and ten years")),
        None => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn times_are_written_with_a_unit() {
        let seconds = |text: &str| parse_duration(text).map(|d| d.as_secs()).ok();
        assert_eq!(seconds("90"), Some(90));
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("2m"), Some(120));
        assert_eq!(seconds("1h"), Some(3600));
        assert_eq!(seconds("2d"), Some(172_800));
        for wrong in [
            "",
            "h",
            "1w",
            "-1s",
            "0s",
            "1.5h",
            "99999999999999999999d",
            "20000d",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
