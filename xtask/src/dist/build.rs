//! Static binaries; zig is C compiler and linker.
//!
//! What is handed out brings a standard library of its own, compiled as small as the rest of it, from
//! the sources that rustup has for this compiler; elsewhere from Debian's, with Debian's compiler.
//! What is only tested takes the ready one where rustup has it.

use super::target::Target;
use crate::cmd::{Cmd, which};
use crate::python::environment;
use crate::workspace::{root, target_dir};
use anyhow::{Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// From PyPI, as exactly these.
const TOOLS: [&str; 2] = ["ziglang==0.15.2", "cargo-zigbuild==0.24.0"];

/// Start and end of the program are zig's, as the C library is.
const OWN_STD: &str = "-C link-self-contained=no";

/// What makes a binary small whose standard library is built with it, where the compiler knows it
/// (docs/decisions/0019-small-binaries.md).
const SMALL: [&[&str]; 4] = [
    // What panics in a destructor ends the process; so destructors need no tables for unwinding.
    &["-Z", "panic-in-drop=abort"],
    // Unwinding begins at calls, so tables need not say how things are between two instructions.
    &["-Z", "use-sync-unwind=yes"],
    // Each function that LLVM makes of equal lines, on aarch64, has an entry of some 36 bytes in the
    // tables, which it does not count.
    &["-C", "llvm-args=-outliner-benefit-threshold=40"],
    // File and line say where a panic was; without the column there are fewer places.
    &["-Z", "location-detail=file,line"],
];

/// Debian's compiler, which may build the standard library from its sources.
const DEBIAN: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Where Debian has the standard library's sources.
const DEBIAN_SOURCES: &str = "/usr/lib/rustlib/src";

/// Where Debian has its compiler.
const DEBIAN_BIN: &str = "/usr/bin";

/// Where the standard library comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Std {
    /// It is there for this target.
    Ready,
    /// It is built with the rest.
    Ours {
        /// Sources are below this directory.
        sources: PathBuf,
        /// The directory of a compiler and a cargo that are not those in use.
        others: Option<PathBuf>,
    },
}

impl Std {
    fn compiler(&self) -> OsString {
        match self.others() {
            Some(others) => others.join("rustc").into(),
            None => compiler_in_use(),
        }
    }

    fn others(&self) -> Option<&Path> {
        match self {
            Std::Ready => None,
            Std::Ours { others, .. } => others.as_deref(),
        }
    }
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

/// Finds a standard library for that target, and installs what it needs.
fn standard_library(target: &Target, ready_will_do: bool) -> Result<Std> {
    if ready_will_do {
        let is_there = || {
            let dir = rustc(&["--print", "target-libdir", "--target", target.triple]);
            dir.is_some_and(|dir| Path::new(&dir).is_dir())
        };
        if is_there() || rustup(&["target", "add", target.triple])? && is_there() {
            return Ok(Std::Ready);
        }
    }
    if let Some(sysroot) = rustc(&["--print", "sysroot"]) {
        let sources = Path::new(&sysroot).join("lib/rustlib/src");
        let is_there = || sources.join("rust/library/std/Cargo.toml").is_file();
        if is_there() || rustup(&["component", "add", "rust-src"])? && is_there() {
            return Ok(Std::Ours {
                sources,
                others: None,
            });
        }
    }
    eprintln!(
        "  ! this Rust is without the sources of its standard library: Debian's serve, with its Rust"
    );
    let (sources, others) = (PathBuf::from(DEBIAN_SOURCES), PathBuf::from(DEBIAN_BIN));
    if !sources.is_dir() || !others.join("cargo").is_file() {
        crate::parts::install_packages(&DEBIAN)?;
    }
    Ok(Std::Ours {
        sources,
        others: Some(others),
    })
}

fn compiler_in_use() -> OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

/// What the compiler in use says of itself.
fn rustc(args: &[&str]) -> Option<String> {
    Cmd::new("rustc", compiler_in_use()).args(args).probe()
}

/// The flags of [`SMALL`] that the compiler knows: most have no promise that they stay.
fn small(library: &Std) -> Vec<String> {
    let is_known = |flag: &&[&str]| {
        let probe = Cmd::new("rustc", library.compiler()).args(*flag);
        let probe = probe.args(["--print", "cfg"]).env("RUSTC_BOOTSTRAP", "1");
        let known = probe.probe().is_some();
        if !known {
            let flag = flag.join(" ");
            eprintln!("  ! this compiler does not know {flag}: the binary gets larger");
        }
        known
    };
    let known = SMALL.into_iter().filter(is_known);
    known.map(|flag| flag.join(" ")).collect()
}

/// Has rustup add something, where there is one. What it says of a network that has none is not a
/// mistake of anybody's.
fn rustup(args: &[&str]) -> Result<bool> {
    if which("rustup").is_none() {
        return Ok(false);
    }
    let added = Cmd::new("rustup", "rustup").args(args).watch()?.0;
    if added {
        eprintln!("  ✓ rustup {}", args.join(" "));
    }
    Ok(added)
}

/// Builds the server for a target; the binary's path. `quick` is for tests.
pub(crate) fn binary(target: &Target, quick: bool, time: u64) -> Result<PathBuf> {
    let profile = if quick { "dist-quick" } else { "dist" };
    let venv = tools()?;
    let library = standard_library(target, quick)?;
    let out = work_dir().join(match library {
        Std::Ready => "build",
        Std::Ours { .. } => "build-std",
    });
    eprintln!("  . zig says nothing for minutes when it links for the first time");
    let maps = prefixes(&out, &library)?;
    let mut flags = vec!["-C target-feature=+crt-static".to_owned()];
    flags.extend(maps.iter().map(|map| format!("--remap-path-prefix={map}")));
    let mut c_flags: Vec<_> = maps
        .iter()
        .map(|map| format!("-ffile-prefix-map={map}"))
        .collect();
    // No panic passes through C, and nobody looks at its stack.
    let bare = "-fno-asynchronous-unwind-tables -fno-unwind-tables -fomit-frame-pointer";
    c_flags.push(bare.to_owned());
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
    if library != Std::Ready {
        flags.push(OWN_STD.to_owned());
        flags.extend(small(&library));
        // Without the features that it has by itself: what prints the names of functions on the stack
        // is of no use in a binary that has none.
        cmd = cmd
            .arg("-Zbuild-std=std,panic_unwind")
            .arg("-Zbuild-std-features=optimize_for_size")
            .env("RUSTC_BOOTSTRAP", "1");
    }
    if let Some(others) = library.others() {
        path.push(others.into());
        cmd = cmd
            .env("RUSTC", library.compiler())
            .env("CARGO", others.join("cargo"));
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
fn prefixes(out: &Path, library: &Std) -> Result<Vec<String>> {
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
    if let Std::Ours { sources, .. } = library {
        maps.push((sources.clone(), "/rustc"));
    }
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
