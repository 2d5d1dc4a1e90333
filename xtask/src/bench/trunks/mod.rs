//! What a link to another server costs, against the bars that it has to meet.

mod idle;
mod page;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::figures::Figures;
use super::load;
use crate::server::{self, Binaries, Pair};

use idle::Idle;
pub(super) use idle::in_own_network as idle_in_own_network;

/// How often each way is measured: they take turns, so that what else the machine does hits all.
const ROUNDS: usize = 7;
const QUICK_ROUNDS: usize = 2;

/// Those who are announced to a new link.
const CROWD: u32 = 1000;
const QUICK_CROWD: u32 = 300;

/// Ten publishers, and one who watches all of them or nobody.
const PUBLISHERS: &str = "--scenario broadcast --publishers 10 --bitrate 1M --no-limit";

/// How packets go from the publishers' server to the one who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Nobody watches: what remains is the cost of getting them.
    Nowhere,
    Direct,
    /// To a server at the other end of a link, which forwards them.
    Trunk,
}

/// Everything that is known of links; what was not asked for is empty.
pub(super) struct Trunks {
    rounds: Vec<[Figures; 3]>,
    idle: Option<Idle>,
    announced: Option<Announced>,
}

/// A full room, told to a new link.
struct Announced {
    count: u32,
    /// From the command that adds the link until the last one is known at the other side.
    time: Duration,
}

impl Trunks {
    /// Whether all was measured.
    pub(super) fn whole(&self) -> bool {
        !self.rounds.is_empty() && self.idle.is_some() && self.announced.is_some()
    }
}

/// Measures those whose name is wanted.
pub(super) fn measure(
    binaries: &Binaries,
    scratch: &Path,
    quick: bool,
    wanted: impl Fn(&str) -> bool,
) -> Result<Trunks> {
    let dir = scratch.join("trunks");
    let mut trunks = Trunks {
        rounds: Vec::new(),
        idle: None,
        announced: None,
    };
    if wanted("trunk-cost") {
        trunks.rounds = rounds(binaries, &dir, quick)?;
    }
    if wanted("trunk-idle") {
        trunks.idle = Some(idle::measure(binaries, &dir, quick)?);
    }
    if wanted("trunk-announce") {
        trunks.announced = Some(announce(binaries, &dir, quick)?);
    }
    Ok(trunks)
}

fn rounds(binaries: &Binaries, dir: &Path, quick: bool) -> Result<Vec<[Figures; 3]>> {
    let pair = Pair::start(&binaries.server, dir)?;
    pair.link()?;
    let count = if quick { QUICK_ROUNDS } else { ROUNDS };
    let mut rounds = Vec::new();
    for round in 1..=count {
        let run = |way| cost(binaries, &pair, way, dir, quick);
        eprintln!("  → links, round {round} of {count}");
        rounds.push([run(Way::Nowhere)?, run(Way::Direct)?, run(Way::Trunk)?]);
    }
    Ok(rounds)
}

/// The CPU time is that of the publishers' server.
fn cost(binaries: &Binaries, pair: &Pair, way: Way, dir: &Path, quick: bool) -> Result<Figures> {
    let (what, to, watching) = match way {
        Way::Nowhere => ("watched by nobody", pair.near.args.clone(), 0),
        Way::Direct => ("watched directly", pair.near.args.clone(), 1),
        Way::Trunk => ("watched over the link", pair.args(), 1),
    };
    let time = match quick {
        true => "--duration 2 --warm-up 1 --join-within 0",
        false => "--duration 5 --warm-up 2 --join-within 0",
    };
    let args = format!("{PUBLISHERS} --subscribers {watching} {time}");
    let args: Vec<String> = args.split(' ').map(str::to_owned).collect();
    let label = format!("10 publish 1 Mbit/s and sound, {what}");
    let (figures, table) = load(binaries, label, &pair.near, &to, &args, "cost", dir)?;
    if figures.failed > 0 || figures.flowing() < u64::from(figures.tracks_expected) {
        bail!("not all tracks came {what}:\n{table}");
    }
    Ok(figures)
}

fn announce(binaries: &Binaries, dir: &Path, quick: bool) -> Result<Announced> {
    let pair = Pair::start(&binaries.server, dir)?;
    let count = if quick { QUICK_CROWD } else { CROWD };
    let secret = pair.allow()?;
    eprintln!("  → {count} in a room, told to a new link");
    let crowd = Command::new(&binaries.loadgen)
        .args(pair.args())
        .args(["--key", server::KEY, "--secret", server::SECRET])
        .args(["--scenario", "idle", "--witness"])
        .args(["--subscribers", &count.to_string()])
        .args(["--join-within", if quick { "3" } else { "10" }])
        .args(["--warm-up", "3"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the participants")?;
    let mut crowd = Ended(crowd);
    let said = crowd.0.stdout.take().context("no output")?;
    let mut said = BufReader::new(said).lines();
    let mut hear = |expected: &str| match said.next().transpose()? {
        Some(line) if line == expected => Ok(()),
        other => bail!("instead of \"{expected}\" the participants say {other:?}"),
    };
    hear("all are there")?;
    let begun = Instant::now();
    pair.dial(&secret)?;
    hear("all are known")?;
    let time = begun.elapsed();
    eprintln!("  ✓ known after {:.3} s", time.as_secs_f64());
    Ok(Announced { count, time })
}

/// Participants do not outlive the measurement.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // They may have ended by themselves.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
