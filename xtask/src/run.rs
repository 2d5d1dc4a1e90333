//! `cargo xtask run`: from a clone to a running server in one command.

use crate::cmd::{Cmd, cargo};
use crate::npm;
use crate::workspace::target_dir;
use anyhow::Result;
use std::ffi::OsString;

/// Builds the page and the server, then starts the server.
///
/// State goes to `target/run/data` unless UMBRELLA_DATA_DIR names another directory.
/// End it with Ctrl-C.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build quickly instead of well: no optimised server
    #[arg(long)]
    debug: bool,
    /// For the server itself, as in `cargo xtask run -- --config my.toml`
    #[arg(last = true)]
    server: Vec<OsString>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    npm::build_page()?;
    let (profile, folder) = if args.debug {
        ("dev", "debug")
    } else {
        ("release", "release")
    };
    cargo(format!(
        "umbrella, {folder} build (the first one takes minutes)"
    ))
    .args(["build", "--package", "umbrella", "--profile", profile])
    .run()?;
    let binary = target_dir()
        .join(folder)
        .join(format!("umbrella{}", std::env::consts::EXE_SUFFIX));
    let mut server = Cmd::new("umbrella", binary).args(args.server);
    if std::env::var_os("UMBRELLA_DATA_DIR").is_none() {
        let data = target_dir().join("run").join("data");
        std::fs::create_dir_all(&data)?;
        server = server.env("UMBRELLA_DATA_DIR", data);
    }
    server.run()
}
