//! `cargo xtask fuzz`: a short run of every fuzz target.
//!
//! Coverage instrumentation is LLVM's and stable, and without `unsafe` of our own a sanitizer has
//! nothing to find, so this needs neither a nightly compiler nor cargo-fuzz.
//!
//! Only our own crates are instrumented. So everything else is shared with the debug build: after
//! the tests, the targets are built in half a minute.

use crate::cmd::{Cmd, cargo};
use crate::workspace::{read, relative, root, target_dir};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Runs the fuzz targets for a while, one for each processor at a time.
///
/// Inputs that reach something new are kept in `fuzz/corpus`, those that crash in
/// `fuzz/artifacts`. One that is fixed belongs into `fuzz/seeds`, from where the tests repeat it.
/// Needs a C++ compiler.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds for each target
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Instead, one input for the one target that is named
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Only these targets; all of them when none is named
    targets: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let known = targets()?;
    if let Some(unknown) = args.targets.iter().find(|target| !known.contains(target)) {
        bail!(
            "there is no fuzz target {unknown}; there are {}",
            known.join(", ")
        );
    }
    let chosen = if args.targets.is_empty() {
        &known
    } else {
        &args.targets
    };
    build(chosen)?;
    if let Some(input) = &args.input {
        let [target] = &chosen[..] else {
            bail!("which target is the input for? cargo xtask fuzz TARGET --input FILE");
        };
        return Cmd::new(format!("{target} on one input"), binary(target))
            .arg(std::path::absolute(input)?)
            .run();
    }
    let failed = fuzz_all(chosen, args.seconds)?;
    if failed.is_empty() {
        return Ok(());
    }
    bail!("crashed: {}", failed.join(", "))
}

fn build(targets: &[String]) -> Result<()> {
    let binaries = targets.iter().flat_map(|target| ["--bin", target]);
    cargo("fuzz targets, instrumented build")
        // The whole workspace's features, so that what the tests have built serves here too.
        .args(["build", "--workspace", "--quiet"])
        .args(["--features", "umbrella-fuzz/run"])
        .args(binaries)
        .env("RUSTC_WORKSPACE_WRAPPER", root().join("fuzz/rustc.sh"))
        .env("CARGO_INCREMENTAL", "0")
        .run()
}

/// Those that have crashed.
fn fuzz_all(targets: &[String], seconds: u32) -> Result<Vec<&str>> {
    let next = AtomicUsize::new(0);
    let run = || -> Result<Vec<&str>> {
        let mut failed = Vec::new();
        while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !fuzz(target, seconds)? {
                failed.push(target.as_str());
            }
        }
        Ok(failed)
    };
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(run)).collect();
        let mut failed = Vec::new();
        for thread in threads {
            let Ok(crashed) = thread.join() else {
                bail!("a thread has panicked");
            };
            failed.extend(crashed?);
        }
        Ok(failed)
    })
}

/// False if it has crashed.
fn fuzz(target: &str, seconds: u32) -> Result<bool> {
    let fuzz = root().join("fuzz");
    let corpus = fuzz.join("corpus").join(target);
    let crashes = fuzz.join("artifacts").join(target);
    for dir in [&corpus, &crashes] {
        std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    }
    let seeds = fuzz.join("seeds").join(target);
    let dictionary = fuzz.join("dictionaries").join(target);
    let dictionary = dictionary
        .is_file()
        .then(|| format!("-dict={}", dictionary.display()));
    let start = Instant::now();
    let (passed, log) = Cmd::new(format!("fuzzing {target}"), binary(target))
        .arg(corpus)
        .args(seeds.is_dir().then_some(seeds))
        .args(dictionary)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .args(["-max_len=65536", "-timeout=10", "-print_final_stats=1"])
        .watch()?;
    let took = start.elapsed().as_secs_f32();
    let figures = Figures::read(&log);
    let (mark, state) = match passed {
        true => ("✓", "nothing found"),
        false => ("✗", "crashed"),
    };
    eprintln!("  {mark} {target}: {state} ({figures}, {took:.1} s)");
    if !passed {
        explain(target, &log);
    }
    Ok(passed)
}

/// What a person needs who wants to know more of a crash.
fn explain(target: &str, log: &str) {
    for line in log.lines().skip_while(|line| !is_complaint(line)).take(40) {
        eprintln!("    {line}");
    }
    let written = "Test unit written to ";
    let input = log.lines().find_map(|line| line.split_once(written));
    if let Some((_, input)) = input {
        let input = relative(Path::new(input.trim()));
        eprintln!("    the input: {input}");
        eprintln!("    to repeat: cargo xtask fuzz {target} --input {input}");
    }
}

/// A panic, or what libFuzzer itself says.
fn is_complaint(line: &str) -> bool {
    line.contains("panicked at") || line.contains("ERROR: libFuzzer")
}

/// The last figures in libFuzzer's log.
#[derive(Debug, PartialEq, Eq)]
struct Figures {
    executions: Option<u64>,
    /// Places in our code that were reached.
    reached: Option<u64>,
    megabytes: Option<u64>,
}

impl Figures {
    fn read(log: &str) -> Self {
        let last = |name: &str| {
            let found = log.lines().rev().find_map(|line| line.split_once(name));
            found?.1.split_whitespace().next()?.parse().ok()
        };
        Self {
            executions: last("stat::number_of_executed_units:"),
            reached: last(" cov: "),
            megabytes: last("stat::peak_rss_mb:"),
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let figure = |value: Option<u64>| value.map_or("?".to_owned(), |value| value.to_string());
        write!(
            f,
            "{} executions, {} places reached, {} MB",
            figure(self.executions),
            figure(self.reached),
            figure(self.megabytes)
        )
    }
}

fn binary(target: &str) -> PathBuf {
    target_dir().join("debug").join(target)
}

/// The names of the binaries in the manifest.
fn targets() -> Result<Vec<String>> {
    let manifest = root().join("fuzz/Cargo.toml");
    let table: toml::Table =
        toml::from_str(&read(&manifest)?).context("parsing fuzz/Cargo.toml")?;
    let binaries = table
        .get("bin")
        .and_then(toml::Value::as_array)
        .cloned()
        .unwrap_or_default();
    Ok(binaries
        .iter()
        .filter_map(|binary| binary.get("name").and_then(toml::Value::as_str))
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_the_last_of_the_log() {
        let log = "#2\tINITED cov: 3 ft: 4 corp: 1/1b\n\
            #9\tDONE   cov: 2144 ft: 6222 corp: 406/1294Kb\n\
            stat::number_of_executed_units: 13354\nstat::peak_rss_mb:              38\n";
        let text = Figures::read(log).to_string();
        assert_eq!(text, "13354 executions, 2144 places reached, 38 MB");
        let text = Figures::read("cannot start").to_string();
        assert_eq!(text, "? executions, ? places reached, ? MB");
    }
}
