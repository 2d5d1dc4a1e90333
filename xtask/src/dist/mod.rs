//! `cargo xtask dist`: what is handed to others.

mod archive;
mod bill;
mod build;
mod deb;
mod image;
mod openwrt;
mod target;

use crate::cmd::{Cmd, which};
use crate::npm;
use crate::workspace::{root, target_dir};
use anyhow::{Context, Result, bail};
use archive::{Gzip, Tree};
use image::Image;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::time::Instant;
use target::{TARGETS, Target};

/// Ours, which is in the names of files.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Builds static binaries for x86-64, aarch64 and armv7, and packages of them.
///
/// For each there are the binary, an archive, packages for OpenWrt and Debian, a bill of materials
/// (CycloneDX) and the licences of others; SHA256SUMS names them all. A full build takes a quarter of an hour
/// of processor time for each target.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this target, by Rust's name; may be given more than once
    #[arg(long, value_parser = target::named)]
    target: Vec<&'static Target>,
    /// Built to be tested, not to be used: large, slow, one package for OpenWrt, none for Debian
    #[arg(long)]
    quick: bool,
    /// Only the binary: no packages, and no lists of what is in it
    #[arg(long, conflicts_with = "check_reproducible")]
    bare: bool,
    /// Run each binary afterwards, under qemu where the processor is another one
    #[arg(long)]
    selftest: bool,
    /// Also build an image for containers, by buildah
    #[arg(long)]
    image: bool,
    /// Where to put the files
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Build the last commit once more in another directory, and compare all files
    #[arg(long)]
    check_reproducible: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let start = Instant::now();
    let out = match &args.out {
        Some(out) => std::path::absolute(out)?,
        None => target_dir().join("dist/out"),
    };
    std::fs::create_dir_all(&out)?;
    npm::build_page()?;
    let time = commit_time()?;
    let targets: Vec<_> = if args.target.is_empty() {
        TARGETS.iter().collect()
    } else {
        args.target.clone()
    };
    let mut hand_out = HandOut {
        out,
        sums: Vec::new(),
    };
    for target in &targets {
        one(target, args, time, &mut hand_out)?;
    }
    let HandOut { out, mut sums } = hand_out;
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

/// Where the files go.
struct HandOut {
    out: PathBuf,
    /// Lines of SHA256SUMS.
    sums: Vec<String>,
}

impl HandOut {
    fn keep(&mut self, name: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        let path = self.out.join(name);
        std::fs::write(&path, &bytes).with_context(|| format!("writing {}", path.display()))?;
        self.list(name, bytes.as_ref());
        Ok(())
    }

    /// One that is there; its bytes.
    fn note(&mut self, name: &str) -> Result<Vec<u8>> {
        let path = self.out.join(name);
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        self.list(name, &bytes);
        Ok(bytes)
    }

    fn list(&mut self, name: &str, bytes: &[u8]) {
        eprintln!("  ✓ {name}: {:.2} MB", bytes.len() as f64 / 1e6);
        self.sums
            .push(format!("{}  {name}\n", hex(&Sha256::digest(bytes))));
    }
}

/// Everything of one target.
fn one(target: &Target, args: &Args, time: u64, hand_out: &mut HandOut) -> Result<()> {
    let built = build::binary(target, args.quick, time)?;
    let stem = stem(target);
    let path = hand_out.out.join(&stem);
    std::fs::copy(&built, &path).with_context(|| format!("copying {}", built.display()))?;
    let binary = hand_out.note(&stem)?;
    if !args.bare {
        archives(target, args, time, &binary, hand_out)?;
        if !args.quick {
            let name = format!("umbrella_{VERSION}-1_{}.deb", target.debian);
            deb::pack(target, &built, time, &hand_out.out.join(&name))?;
            hand_out.note(&name)?;
        }
    }
    if args.selftest {
        selftest(target, &path)?;
    }
    if args.image {
        let name = format!("{stem}-image.tar");
        let image = Image::build(target, &path, time)?;
        image.write(&hand_out.out.join(&name))?;
        hand_out.note(&name)?;
        if args.selftest && is_native(target) {
            image.run(&["selftest"])?;
        }
    }
    Ok(())
}

/// What the names of a target's files begin with.
fn stem(target: &Target) -> String {
    format!("umbrella-{VERSION}-{}", target.name)
}

/// What is in a binary, an archive of it, and packages for OpenWrt.
fn archives(
    target: &Target,
    args: &Args,
    time: u64,
    binary: &[u8],
    hand_out: &mut HandOut,
) -> Result<()> {
    let stem = stem(target);
    let bill = bill::of(target)?;
    let licences = bill.licences()?;
    hand_out.keep(&format!("{stem}.cdx.json"), bill.cyclonedx()?)?;
    hand_out.keep(&format!("{stem}-licenses.txt"), &licences)?;
    let gzip = if args.quick { Gzip::Quick } else { Gzip::Small };
    let packed = archive(binary, &licences)?.pack(&format!("{stem}/"), time, gzip)?;
    hand_out.keep(&format!("{stem}.tar.gz"), packed)?;
    let contents = openwrt::contents(binary, &licences, gzip)?;
    let data = openwrt::Data::new(&contents, time, gzip)?;
    let packages = if args.quick { 1 } else { target.openwrt.len() };
    for architecture in target.openwrt.iter().take(packages) {
        let name = format!("umbrella_{VERSION}-r1_{architecture}.ipk");
        hand_out.keep(&name, data.ipk(architecture)?)?;
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

/// Whether it runs here as it is.
fn is_native(target: &Target) -> bool {
    target.triple.starts_with(std::env::consts::ARCH)
}

/// The binary says who it is, and connects two peers of its own.
fn selftest(target: &Target, binary: &Path) -> Result<()> {
    let native = is_native(target);
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
    for (wanted, flag) in [(args.quick, "--quick"), (args.image, "--image")] {
        if wanted {
            cmd = cmd.arg(flag);
        }
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
