//! `cargo xtask dist`: what is handed to others.

mod archive;
mod bill;
mod build;
mod openwrt;
mod target;

use crate::cmd::{Cmd, which};
use crate::npm;
use crate::workspace::{root, target_dir};
use anyhow::{Context, Result, bail};
use archive::Tree;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::time::Instant;
use target::{TARGETS, Target};

/// Builds static binaries for x86-64, aarch64 and armv7, and packages of them.
///
/// For each there are the binary, an archive, packages for OpenWrt, a bill of materials (CycloneDX)
/// and the licences of others; SHA256SUMS names them all. A full build takes a quarter of an hour
/// of processor time for each target.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this target, by Rust's name; may be given more than once
    #[arg(long, value_parser = target::named)]
    target: Vec<&'static Target>,
    /// Built to be tested, not to be used: large, slow, and one package for OpenWrt
    #[arg(long)]
    quick: bool,
    /// Run each binary afterwards, under qemu where the processor is another one
    #[arg(long)]
    selftest: bool,
    /// Where to put the files
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Build the last commit once more in another directory, and compare all files
    #[arg(long)]
    check_reproducible: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let start = Instant::now();
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| target_dir().join("dist/out"));
    let out = std::path::absolute(out)?;
    std::fs::create_dir_all(&out)?;
    npm::build_page()?;
    let time = commit_time()?;
    let targets: Vec<_> = if args.target.is_empty() {
        TARGETS.iter().collect()
    } else {
        args.target.clone()
    };
    let mut sums = Vec::new();
    for target in &targets {
        one(target, args, &out, time, &mut sums)?;
    }
    sums.sort();
    std::fs::write(out.join("SHA256SUMS"), sums.concat())?;
    if args.check_reproducible {
        again(args, &sums)?;
    }
    let took = start.elapsed().as_secs_f32();
    eprintln!(
        "{} files in {} ({took:.0} s)",
        sums.len() + 1,
        out.display()
    );
    Ok(())
}

/// Everything of one target, with its lines for SHA256SUMS.
fn one(target: &Target, args: &Args, out: &Path, time: u64, sums: &mut Vec<String>) -> Result<()> {
    let profile = if args.quick { "dist-quick" } else { "dist" };
    let path = build::binary(target, profile, time)?;
    let binary = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let bill = bill::of(target)?;
    let stem = format!("umbrella-{}-{}", env!("CARGO_PKG_VERSION"), target.name);
    let mut keep = |name: String, bytes: &[u8], executable: bool| {
        let path = out.join(&name);
        std::fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
        if executable {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        }
        eprintln!("  ✓ {name}: {:.2} MB", bytes.len() as f64 / 1e6);
        sums.push(format!("{}  {name}\n", hex(&Sha256::digest(bytes))));
        anyhow::Ok(())
    };
    keep(stem.clone(), &binary, true)?;
    let licences = bill.licences()?;
    keep(
        format!("{stem}.cdx.json"),
        bill.cyclonedx()?.as_bytes(),
        false,
    )?;
    keep(format!("{stem}-licenses.txt"), licences.as_bytes(), false)?;
    let packed = archive(&binary, &licences)?.pack(&format!("{stem}/"), time)?;
    keep(format!("{stem}.tar.gz"), &packed, false)?;
    let contents = openwrt::contents(&binary, &licences)?;
    for architecture in target
        .openwrt
        .iter()
        .take(if args.quick { 1 } else { usize::MAX })
    {
        let name = format!(
            "umbrella_{}-r1_{architecture}.ipk",
            env!("CARGO_PKG_VERSION")
        );
        keep(name, &openwrt::ipk(&contents, architecture, time)?, false)?;
    }
    if args.selftest {
        selftest(target, &out.join(&stem))?;
    }
    Ok(())
}

fn archive(binary: &[u8], licences: &str) -> Result<Tree> {
    let mut tree = Tree::default();
    tree.add("umbrella", 0o755, binary);
    tree.add("THIRD-PARTY-LICENSES.txt", 0o644, licences);
    for (from, name) in [
        ("README.md", "README.md"),
        ("LICENSE-MIT", "LICENSE-MIT"),
        ("LICENSE-APACHE", "LICENSE-APACHE"),
        ("deploy/systemd/umbrella.service", "umbrella.service"),
    ] {
        let bytes = std::fs::read(root().join(from)).with_context(|| format!("reading {from}"))?;
        tree.add(name, 0o644, bytes);
    }
    Ok(tree)
}

/// The binary says who it is, and connects two peers of its own.
fn selftest(target: &Target, binary: &Path) -> Result<()> {
    let native = target.triple.starts_with(std::env::consts::ARCH);
    if !native && which(target.emulator).is_none() {
        crate::parts::install_packages(&["qemu-user-static"])?;
    }
    for words in [
        &["--version"][..],
        &["config", "--print-defaults"],
        &["selftest"],
    ] {
        let label = format!("{}: umbrella {}", target.name, words.join(" "));
        let cmd = if native {
            Cmd::new(label, binary)
        } else {
            Cmd::new(label, target.emulator).arg(binary)
        };
        cmd.args(words).quiet()?;
    }
    Ok(())
}

/// Builds a clone of the last commit, and compares.
fn again(args: &Args, sums: &[String]) -> Result<()> {
    let git = |words: &[&str]| Cmd::new("git", "git").args(words).probe();
    if git(&["status", "--porcelain"]).is_none_or(|changed| !changed.is_empty()) {
        bail!("there is something that is not committed, which another clone would not have");
    }
    let clone = build::work_dir().join("again");
    let _ = std::fs::remove_dir_all(&clone);
    Cmd::new("a clone of the last commit", "git")
        .args(["clone", "--quiet", "--no-hardlinks", "."])
        .arg(&clone)
        .quiet()?;
    let mut cmd = Cmd::new("the same build in another directory", "cargo")
        .dir(&clone)
        .env("CARGO_TARGET_DIR", clone.join("target"))
        .args(["run", "--quiet", "--package", "xtask", "--", "dist"]);
    for target in &args.target {
        cmd = cmd.args(["--target", target.triple]);
    }
    if args.quick {
        cmd = cmd.arg("--quick");
    }
    cmd.arg("--out").arg(clone.join("out")).run()?;
    let other = crate::workspace::read(&clone.join("out/SHA256SUMS"))?;
    let differ: Vec<_> = sums
        .iter()
        .filter(|line| !other.contains(line.as_str()))
        .collect();
    if !differ.is_empty() {
        bail!("not the same in {}: {differ:?}", clone.display());
    }
    eprintln!("  ✓ all files are the same");
    Ok(())
}

/// SOURCE_DATE_EPOCH, or the time of the last commit: seconds since 1970.
fn commit_time() -> Result<u64> {
    let text = std::env::var("SOURCE_DATE_EPOCH").ok().or_else(|| {
        let git = Cmd::new("git", "git");
        git.args(["log", "-1", "--format=%ct"]).probe()
    });
    let text = text.context("no git and no SOURCE_DATE_EPOCH: which time is it?")?;
    text.parse().with_context(|| format!("{text:?} is no time"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
