//! Static binaries: rustup's standard library where it has one for the target, Debian's sources of
//! it elsewhere; zig is C compiler and linker.

use super::target::Target;
use crate::cmd::{Cmd, which};
use crate::python::environment;
use crate::workspace::{root, target_dir};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// From PyPI, as exactly these.
const TOOLS: [&str; 2] = ["ziglang==0.15.2", "cargo-zigbuild==0.24.0"];

/// Debian's compiler, which may build the standard library from its sources.
const DEBIAN: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Where Debian has the standard library's sources.
const DEBIAN_SOURCES: &str = "/usr/lib/rustlib/src";

/// Which compiler makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Rustup,
    BuildStd,
}

/// The directory of everything here that is not handed out.
pub(crate) fn work_dir() -> PathBuf {
    target_dir().join("dist")
}

/// Installs zig and cargo-zigbuild below the build directory; the environment's directory.
pub(crate) fn tools() -> Result<PathBuf> {
    let venv = work_dir().join("python");
    environment(&venv, &TOOLS.join("\n"), &TOOLS)?;
    Ok(venv)
}

/// Finds a way to build for that target, and installs what it needs.
fn route(target: &Target) -> Result<Route> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let has_std = || {
        let probe = Cmd::new("standard library", &rustc);
        let dir = probe.args(["--print", "target-libdir", "--target", target.triple]);
        dir.probe().is_some_and(|dir| Path::new(&dir).is_dir())
    };
    if has_std() {
        return Ok(Route::Rustup);
    }
    if which("rustup").is_some() {
        // What it says of a network without this target is not a mistake of anybody's.
        let add = Cmd::new("rustup", "rustup");
        let added = add.args(["target", "add", target.triple]).watch()?.0;
        if added && has_std() {
            eprintln!("  ✓ rustup has added {}", target.triple);
            return Ok(Route::Rustup);
        }
    }
    eprintln!(
        "  ! rustup has no {}: its standard library is built from Debian's sources",
        target.triple
    );
    if !Path::new(DEBIAN_SOURCES).is_dir() || !Path::new("/usr/bin/cargo").is_file() {
        crate::parts::install_packages(&DEBIAN)?;
    }
    Ok(Route::BuildStd)
}

/// Builds the server for a target; the binary's path.
pub(crate) fn binary(target: &Target, profile: &str, time: u64) -> Result<PathBuf> {
    let venv = tools()?;
    let route = route(target)?;
    let out = work_dir().join(match route {
        Route::Rustup => "build",
        Route::BuildStd => "build-std",
    });
    eprintln!("  . zig says nothing for minutes when it links for the first time");
    let maps = prefixes(&out)?;
    let mut flags = vec!["-C target-feature=+crt-static".to_owned()];
    flags.extend(maps.iter().map(|map| format!("--remap-path-prefix={map}")));
    let mut c_flags: Vec<_> = maps
        .iter()
        .map(|map| format!("-ffile-prefix-map={map}"))
        .collect();
    // No panic passes through C.
    c_flags.push("-fno-asynchronous-unwind-tables -fno-unwind-tables".to_owned());
    let mut cmd = Cmd::new(
        format!("umbrella for {}, profile {profile}", target.triple),
        venv.join("bin/cargo-zigbuild"),
    )
    .args(["zigbuild", "--locked", "--package", "umbrella"])
    .args(["--target", target.triple, "--profile", profile])
    .arg("--target-dir")
    .arg(&out)
    .env("SOURCE_DATE_EPOCH", time.to_string())
    .env(
        &format!("CFLAGS_{}", target.triple.replace('-', "_")),
        c_flags.join(" "),
    );
    let mut path = vec![venv.join("bin")];
    match route {
        Route::Rustup => {}
        Route::BuildStd => {
            flags.push("-C link-self-contained=no".to_owned());
            path.push("/usr/bin".into());
            cmd = cmd
                .arg("-Zbuild-std=std,panic_unwind")
                .env("RUSTC_BOOTSTRAP", "1")
                .env("RUSTC", "/usr/bin/rustc")
                .env("CARGO", "/usr/bin/cargo");
        }
    }
    path.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    let variable = target.triple.to_uppercase().replace('-', "_");
    cmd.env(
        &format!("CARGO_TARGET_{variable}_RUSTFLAGS"),
        flags.join(" "),
    )
    .env("PATH", std::env::join_paths(path)?)
    .run()?;
    Ok(out.join(target.triple).join(profile).join("umbrella"))
}

/// `FROM=TO` for everything that names this machine; a later one counts before an earlier one.
fn prefixes(out: &Path) -> Result<Vec<String>> {
    let cargo_home = std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    );
    let mut maps = vec![(root().to_owned(), "/umbrella"), (out.to_owned(), "/build")];
    let registry = cargo_home.join("registry/src");
    maps.push((registry.clone(), "/cargo"));
    // One directory for each registry; their names differ by how it was reached.
    for entry in std::fs::read_dir(&registry).into_iter().flatten() {
        maps.push((entry?.path(), "/cargo"));
    }
    maps.push((DEBIAN_SOURCES.into(), "/rustc"));
    maps.into_iter()
        .map(|(from, to)| {
            let from = from.to_string_lossy().into_owned();
            if from.contains(char::is_whitespace) {
                bail!("{from} has a space in it, which compilers' flags cannot say");
            }
            Ok(format!("{from}={to}"))
        })
        .collect()
}
