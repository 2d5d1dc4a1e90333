//! `cargo xtask bench`: what forwarding costs, against the limit of the machine and against others.

mod cameras;
mod figures;
mod page;
mod plot;
mod runs;
mod threads;
mod trunks;

use crate::cmd::{Cmd, which};
use crate::server::{self, Binaries, Profile, Server};
use crate::workspace::{read, root, target_dir};
use anyhow::{Context, Result};
use cameras::Cameras;
use figures::Figures;
use page::{Section, Setting, markdown};
use plot::Line;
use runs::{BROADCAST, Run};
use std::path::{Path, PathBuf};
use trunks::Trunks;

/// Measures the server with synthetic participants on loopback, and writes docs/performance.md.
///
/// Builds server and load generator in release mode, which takes minutes the first time. Nothing
/// else should run meanwhile: the page says how busy the machine was. Where Janus is installed it
/// is measured too (apt-get install janus).
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fewer and shorter runs, under two minutes; the page goes to the build directory
    #[arg(long)]
    quick: bool,
    /// Only runs whose name contains this; the page goes to the build directory. With `trunk` only
    /// links between servers are measured, with `cameras` only those, and the page's section of
    /// them is written anew
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Leave out other servers
    #[arg(long)]
    alone: bool,
    /// Measure the release binaries that are there
    #[arg(long)]
    no_build: bool,
    /// Measures an idle link alone, writes the figures there and ends: how a bench calls itself in
    /// a network of its own
    #[arg(long, value_name = "FILE", hide = true)]
    idle_trunk: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let binaries = Binaries::make(Profile::Release, !args.no_build)?;
    let scratch = target_dir().join("bench");
    std::fs::create_dir_all(&scratch)?;
    let setting = setting(args)?;
    if let Some(file) = &args.idle_trunk {
        return trunks::idle_in_own_network(&binaries, &scratch, args.quick, file);
    }
    let wanted = |name: &str| {
        let only = args.only.as_deref();
        only.is_none_or(|text| name.contains(text))
    };
    let results = forwarding(args, &binaries, &scratch, setting.cores, wanted)?;
    let trunks = trunks::measure(&binaries, &scratch, args.quick, wanted)?;
    let cameras = cameras::measure(&binaries, &scratch, args.quick, wanted)?;
    let docs = root().join("docs");
    let alone = results.is_empty() && !args.quick;
    let section = match (trunks.whole(), cameras.whole()) {
        (true, false) => Some((Section::Trunks, trunks.section(&setting))),
        (false, true) => Some((Section::Cameras, cameras.section(&setting))),
        (true, true) | (false, false) => None,
    };
    if let Some((section, text)) = section.filter(|_| alone) {
        return replace(&docs.join("performance.md"), section, &text);
    }
    // A page of a part of the runs does not replace the real one.
    let whole = !args.quick && args.only.is_none();
    let dir = if whole { docs } else { scratch };
    write(&dir, &setting, &results, &trunks, &cameras)
}

/// All that needs one server at a time.
fn forwarding(
    args: &Args,
    binaries: &Binaries,
    scratch: &Path,
    cores: usize,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<page::Result>> {
    let mut results = Vec::new();
    let wanted = |run: &Run| wanted(&run.name);
    for run in runs::all(args.quick).into_iter().filter(wanted) {
        let server = Server::umbrella(&binaries.server, scratch)?;
        results.push(measure(binaries, run, "Umbrella", &server, scratch)?);
    }
    let broadcast = results.iter().find(|it| it.run.name == BROADCAST);
    if let Some(broadcast) = broadcast.filter(|_| !args.quick) {
        let of = &broadcast.figures;
        let run = runs::half_load(of.subscribers, of.needed_share(cores));
        let server = Server::umbrella(&binaries.server, scratch)?;
        results.push(measure(binaries, run, "Umbrella", &server, scratch)?);
    }
    match which("janus") {
        _ if args.alone => {}
        None => eprintln!("  janus is not installed and is left out: apt-get install janus"),
        Some(janus) => {
            for run in runs::forwarding(args.quick).into_iter().filter(wanted) {
                let server = Server::janus(&janus, scratch)?;
                match measure(binaries, run, "Janus", &server, scratch) {
                    Ok(result) => results.push(result),
                    // What another server cannot do is no reason to lose the figures of ours.
                    Err(error) => eprintln!("  ✗ left out: {error:#}"),
                }
            }
        }
    }
    Ok(results)
}

/// Writes a section anew, and leaves the rest of the page as it is.
fn replace(path: &Path, section: Section, text: &str) -> Result<()> {
    let page = section
        .replaced(&read(path)?, text)
        .with_context(|| format!("{} has no place for {section:?}", path.display()))?;
    std::fs::write(path, page).with_context(|| format!("writing {}", path.display()))?;
    eprintln!("  ✓ {}", path.display());
    Ok(())
}

fn write(
    dir: &Path,
    setting: &Setting,
    results: &[page::Result],
    trunks: &Trunks,
    cameras: &Cameras,
) -> Result<()> {
    let points = |cost: fn(&Figures) -> Option<f64>| {
        let runs = page::grown(results).into_iter();
        runs.filter_map(move |of| Some((f64::from(of.subscribers), cost(of)?)))
            .collect()
    };
    let lines = [
        Line {
            name: "Umbrella",
            colour: "#0b57d0",
            points: points(|of| of.server_cpu_us_per_packet),
        },
        Line {
            name: "limit",
            colour: "#777",
            points: points(|of| of.limit_us_per_packet),
        },
    ];
    let svg = plot::svg("Microseconds of CPU per packet", &lines);
    let save = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        eprintln!("  ✓ {}", path.display());
        anyhow::Ok(())
    };
    save("performance.svg", &svg)?;
    save(
        "performance.md",
        &markdown(setting, results, trunks, cameras, "performance.svg"),
    )
}

fn measure(
    binaries: &Binaries,
    run: Run,
    name: &str,
    server: &Server,
    scratch: &Path,
) -> Result<page::Result> {
    let file = format!("{}-{}", run.name, name.to_lowercase());
    let label = format!("{name}: {}", run.what);
    let (figures, table) = load(
        binaries,
        label,
        server,
        &server.args,
        &run.args,
        &file,
        scratch,
    )?;
    eprintln!("{table}");
    Ok(page::Result {
        run,
        server: name.to_owned(),
        figures,
    })
}

/// What synthetic participants find out, as figures and as a table; `to` says where they join, and
/// the process that is watched is that of `server`.
fn load(
    binaries: &Binaries,
    label: String,
    server: &Server,
    to: &[String],
    args: &[String],
    file: &str,
    scratch: &Path,
) -> Result<(Figures, String)> {
    let json = scratch.join(file).with_extension("json");
    let table = Cmd::new(label, &binaries.loadgen)
        .args(to)
        .args(["--key", server::KEY, "--secret", server::SECRET])
        .args(["--server-pid", &server.pid().to_string()])
        .arg("--json")
        .arg(&json)
        .args(args)
        .quiet()?;
    let figures = serde_json::from_str(&read(&json)?)
        .with_context(|| format!("reading {}", json.display()))?;
    Ok((figures, table))
}

fn setting(args: &Args) -> Result<Setting> {
    let system = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let info = system("/proc/cpuinfo");
    let model = info.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == "model name").then(|| value.trim().to_owned())
    });
    let load = system("/proc/loadavg");
    let load: Vec<&str> = load.split(' ').take(3).collect();
    let say = |label: &str, program: &str, words: &[&str]| {
        let said = Cmd::new(label, program).args(words).probe();
        said.unwrap_or("unknown".to_owned())
    };
    let mut command = "cargo xtask bench".to_owned();
    for (set, flag) in [
        (args.quick, " --quick"),
        (args.alone, " --alone"),
        (args.no_build, " --no-build"),
    ] {
        command.push_str(if set { flag } else { "" });
    }
    if let Some(text) = &args.only {
        command.push_str(&format!(" --only {text}"));
    }
    Ok(Setting {
        date: say("date", "date", &["-u", "+%F"]),
        commit: say("commit", "git", &["rev-parse", "--short", "HEAD"]),
        processor: model.unwrap_or("unknown".to_owned()),
        cores: std::thread::available_parallelism()?.get(),
        kernel: say("kernel", "uname", &["-r"]),
        load_before: load.join(", "),
        command,
    })
}
