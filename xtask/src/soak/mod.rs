//! `cargo xtask soak`: hours of coming and going in a short time, and nothing may stay.

mod process;
mod verdict;

use crate::cmd::Cmd;
use crate::server::{self, Binaries, Profile, Server};
use crate::workspace::{read, root, target_dir};
use anyhow::{Context, Result, bail};
use process::{Open, Process, Rest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use verdict::{Counts, FullHouse, Growth, Sample, leaked, restless};

/// Lets participants come and go with packet loss, and fails if memory grows or anything stays.
///
/// Rooms begin and end; their participants publish, watch, leave with a goodbye or without one,
/// lose their media, fall silent, come back. Both directions lose packets. Every five minutes all
/// are there at once; memory may then be 2 % larger at most than after the first five minutes (in
/// shorter runs 10 % larger than the first time). Then all go, and rooms, sessions, peer
/// connections, tracks, subscriptions, deadlines, tasks, threads and file descriptors must be as
/// many as before, and the server must sleep as well as before.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long participants come and go, in minutes
    #[arg(long, default_value_t = 30.0, conflicts_with = "seconds")]
    minutes: f64,
    /// The same in seconds
    #[arg(long)]
    seconds: Option<f64>,
    /// The debug build, most of which the tests have made, and less load
    #[arg(long)]
    debug: bool,
    /// Take the binaries that are there
    #[arg(long)]
    no_build: bool,
    /// Share of the packets that are lost in each direction, 0 to 1
    #[arg(long, default_value_t = 0.02)]
    loss: f64,
    /// Rooms at a time; by default as many as keep half of two cores busy
    #[arg(long)]
    rooms: Option<u32>,
    /// Decides who goes when and which packets are lost
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to write the figures
    #[arg(long, value_name = "FILE", default_value = "artifacts/soak.json")]
    json: PathBuf,
}

/// Threads that wait for work end after ten seconds; so do questions to workers.
const SETTLED: Duration = Duration::from_secs(11);

/// How long a server at rest is watched.
const WATCH: Duration = Duration::from_secs(5);

/// How often memory is read.
const SAMPLE: Duration = Duration::from_secs(2);

/// How often the server is asked what it holds, and a line is printed.
const LOOK: Duration = Duration::from_secs(10);

/// How long the server may take to notice that the last ones are gone: 20 seconds for a silent
/// WebSocket, and 30 more for media that were interrupted.
const GRACE: Duration = Duration::from_secs(90);

/// Everybody is there at the end of each such time, for so many seconds. Memory is read in the
/// second half of them: by then the histories of all encodings are full.
const PERIOD_S: f64 = 300.0;
const FULL_HOUSE_S: f64 = 90.0;

/// Of all stays, so many may fail: with packet loss a connection may not come up in time.
const FAILED: f64 = 0.02;

/// How many come, and what they send.
struct Load {
    rooms: u32,
    publishers: u32,
    watchers: u32,
    bitrate: &'static str,
    stay_s: u32,
}

impl Load {
    fn of(args: &Args) -> Load {
        let mut load = if args.debug {
            Load {
                rooms: 8,
                publishers: 4,
                watchers: 4,
                bitrate: "600k",
                stay_s: 8,
            }
        } else {
            Load {
                rooms: 12,
                publishers: 6,
                watchers: 6,
                bitrate: "1M",
                stay_s: 20,
            }
        };
        load.rooms = args.rooms.unwrap_or(load.rooms).max(1);
        load
    }

    /// Who publishes has one to publish and one to watch.
    fn connections(&self) -> u64 {
        u64::from(self.rooms * (2 * self.publishers + self.watchers))
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let profile = if args.debug {
        Profile::Debug
    } else {
        Profile::Release
    };
    let time = match args.seconds {
        Some(seconds) => Duration::try_from_secs_f64(seconds),
        None => Duration::try_from_secs_f64(args.minutes * 60.0),
    }
    .context("that is no length of time")?;
    let binaries = Binaries::make(profile, !args.no_build)?;
    let scratch = target_dir().join("soak");
    std::fs::create_dir_all(&scratch)?;
    let json = root().join(&args.json);
    let soak = Soak {
        load: Load::of(args),
        time,
        binaries,
        scratch,
    };
    let outcome = soak.carry_out(args)?;
    eprint!("{}", outcome.table());
    if let Some(dir) = json.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(&json, serde_json::to_string_pretty(&outcome)?)
        .with_context(|| format!("writing {}", json.display()))?;
    eprintln!("  ✓ {}", json.display());
    if outcome.faults.is_empty() {
        eprintln!("nothing grew and nothing stayed");
        return Ok(());
    }
    bail!("{}", outcome.faults.join("\n       "))
}

struct Soak {
    load: Load,
    time: Duration,
    binaries: Binaries,
    scratch: PathBuf,
}

/// Everything that is known of a run.
#[derive(Serialize)]
struct Outcome {
    seconds: f64,
    loss: f64,
    seed: u64,
    rooms: u32,
    participants: u32,
    /// With a full house.
    connections: u64,
    growth: Option<Growth>,
    /// Kibibytes of growth for each stay in between.
    kb_per_stay: Option<f64>,
    peak_kb: u64,
    resident_kb_before: u64,
    resident_kb_after: u64,
    before: Counts,
    most: Counts,
    after: Counts,
    /// Seconds until everything was back.
    back_after_s: f64,
    rest_before: Rest,
    rest_after: Rest,
    participants_report: Report,
    warnings: usize,
    samples: Vec<Sample>,
    faults: Vec<String>,
}

/// What the load generator reports, as far as it matters here.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Report {
    joined: usize,
    failed: usize,
    packets_in: u64,
    packets_out: u64,
    loss: f64,
    wire_loss: f64,
    key_frame_requests: u64,
    datagrams: Datagrams,
    turnover: Turnover,
    full_houses: Vec<FullHouse>,
    server_cores: Option<f64>,
    loadgen_cores: f64,
    machine_busy: f64,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Datagrams {
    sent: u64,
    sent_lost: u64,
    received: u64,
    received_lost: u64,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Turnover {
    rooms: u64,
    stays: u64,
    polite: u64,
    cut: u64,
    silent: u64,
    media_lost: u64,
    returned: u64,
    failed: u64,
    reasons: Vec<String>,
}

/// What was seen while participants came and went.
#[derive(Default)]
struct Seen {
    samples: Vec<Sample>,
    most: Counts,
    end_s: f64,
}

impl Soak {
    fn carry_out(&self, args: &Args) -> Result<Outcome> {
        let mut server = Server::soaked(&self.binaries.server, &self.scratch)?;
        let process = Process::new(server.pid());
        eprintln!("  → a server without participants");
        std::thread::sleep(SETTLED);
        let rest_before = process.rest(WATCH)?;
        let open_before = process.open()?;
        let before = self
            .counts(&open_before)
            .context("the server says nothing")?;
        let seen = self.churn(args, &mut server, &process)?;
        let report: Report = serde_json::from_str(&read(&self.figures())?)?;
        let (after, back_after) = self.drain(&before, &mut server, &process)?;
        let resident_after = process.open()?.resident_kb;
        std::thread::sleep(SETTLED);
        let rest_after = process.rest(WATCH)?;
        let growth = Growth::of(&report.full_houses);
        let log = read(&self.scratch.join("umbrella.log"))?;
        let mut outcome = Outcome {
            seconds: seen.end_s,
            loss: args.loss,
            seed: args.seed,
            rooms: self.load.rooms,
            participants: self.load.rooms * (self.load.publishers + self.load.watchers),
            connections: self.load.connections(),
            growth,
            kb_per_stay: growth.map(|growth| per_stay(&growth, &report, seen.end_s)),
            peak_kb: seen
                .samples
                .iter()
                .map(|it| it.resident_kb)
                .max()
                .unwrap_or(0),
            resident_kb_before: open_before.resident_kb,
            resident_kb_after: resident_after,
            before,
            most: seen.most,
            after,
            back_after_s: back_after.as_secs_f64(),
            rest_before,
            rest_after,
            participants_report: report,
            warnings: log.lines().filter(|line| line.contains(" WARN ")).count(),
            samples: seen.samples,
            faults: Vec::new(),
        };
        outcome.faults = outcome.judge(&log);
        Ok(outcome)
    }

    fn figures(&self) -> PathBuf {
        self.scratch.join("participants.json")
    }

    /// Starts the participants.
    fn participants(&self, args: &Args, server: &Server) -> Result<Child> {
        let Load {
            rooms,
            publishers,
            watchers,
            bitrate,
            stay_s,
        } = self.load;
        // All are there after one stay; that is part of the time.
        let fill = f64::from(stay_s).min(self.time.as_secs_f64() / 4.0);
        let rest = (self.time.as_secs_f64() - fill).max(1.0);
        let period = rest / (rest / PERIOD_S).ceil().max(2.0);
        let full_house = (period / 3.0).min(FULL_HOUSE_S);
        let mut command = Command::new(&self.binaries.loadgen);
        command
            .args(&server.args)
            .args(["--key", server::KEY, "--secret", server::SECRET])
            .args(["--scenario", "soak", "--quality", "medium", "--no-limit"])
            .args(["--server-pid", &server.pid().to_string()])
            .args(["--rooms", &rooms.to_string()])
            .args(["--publishers", &publishers.to_string()])
            .args(["--subscribers", &watchers.to_string()])
            .args(["--bitrate", bitrate])
            .args(["--stay", &stay_s.to_string()])
            .args(["--join-within", &fill.to_string(), "--warm-up", "0"])
            .args(["--duration", &rest.to_string()])
            .args(["--period", &period.to_string()])
            .args(["--full-house", &full_house.to_string()])
            .args(["--loss", &args.loss.to_string()])
            .args(["--seed", &args.seed.to_string()])
            .arg("--json")
            .arg(self.figures());
        let log = File::create(self.scratch.join("participants.log"))?;
        let _ = std::fs::remove_file(self.figures());
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting the participants")
    }

    /// Watches the server until the last participant has gone.
    fn churn(&self, args: &Args, server: &mut Server, process: &Process) -> Result<Seen> {
        let mut participants = Ended(self.participants(args, server)?);
        let (started, mut seen) = (Instant::now(), Seen::default());
        eprintln!(
            "  → {} rooms of {} for {:.0} s",
            self.load.rooms,
            self.load.publishers + self.load.watchers,
            self.time.as_secs_f64()
        );
        let mut look = started + LOOK;
        loop {
            std::thread::sleep(SAMPLE);
            if let Some(status) = participants.0.try_wait()? {
                if status.success() {
                    return Ok(seen);
                }
                let log = read(&self.scratch.join("participants.log"))?;
                bail!("the participants failed ({status}): {log}");
            }
            if !server.is_running() {
                bail!(
                    "the server ended: see {}/umbrella.log",
                    self.scratch.display()
                );
            }
            let open = process.open()?;
            let at_s = started.elapsed().as_secs_f64();
            if at_s <= self.time.as_secs_f64() {
                seen.end_s = at_s;
                seen.samples.push(Sample {
                    at_s,
                    resident_kb: open.resident_kb,
                });
            }
            if look <= Instant::now() {
                look += LOOK;
                self.look(at_s, &open, &mut seen);
            }
        }
    }

    /// Asks the server, and says how it is.
    fn look(&self, at_s: f64, open: &Open, seen: &mut Seen) {
        // A server that is too busy to answer is asked again.
        let Some(counts) = self.counts(open) else {
            eprintln!("    {at_s:5.0} s: no answer");
            return;
        };
        let of = |name: &str| counts.get(name).copied().unwrap_or(0);
        eprintln!(
            "    {at_s:5.0} s: {:6.1} MiB, {} sessions, {} peer connections, {} subscriptions, {} \
             tasks, {} descriptors",
            open.resident_kb as f64 / 1024.0,
            of("sessions"),
            of("workerTransports"),
            of("subscriptions"),
            of("tasks"),
            open.descriptors
        );
        for (name, count) in counts {
            let most = seen.most.entry(name).or_default();
            *most = count.max(*most);
        }
    }

    /// Waits until everything is back, but not for ever.
    fn drain(
        &self,
        before: &Counts,
        server: &mut Server,
        process: &Process,
    ) -> Result<(Counts, Duration)> {
        eprintln!("  → waiting until nothing of the participants is left");
        let started = Instant::now();
        loop {
            if !server.is_running() {
                bail!(
                    "the server ended: see {}/umbrella.log",
                    self.scratch.display()
                );
            }
            let after = self.counts(&process.open()?).unwrap_or_default();
            let took = started.elapsed();
            if leaked(before, &after).is_empty() || took > GRACE {
                return Ok((after, took));
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// All that can be counted: what the server says, and what the operating system knows.
    fn counts(&self, open: &Open) -> Option<Counts> {
        let said = Cmd::new("umbrella status", &self.binaries.server)
            .arg("--data-dir")
            .arg(self.scratch.join("data"))
            .arg("status")
            .probe()?;
        let said: BTreeMap<String, Option<u64>> = serde_json::from_str(&said).ok()?;
        let mut counts = Counts::new();
        for (name, count) in said {
            counts.insert(name, count?);
        }
        counts.insert("descriptors".to_owned(), open.descriptors);
        counts.insert("threads".to_owned(), open.threads);
        Some(counts)
    }
}

/// Ends when this is dropped, also when something else fails.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It has usually ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What each stay cost for good, if growth came of that.
fn per_stay(growth: &Growth, report: &Report, end_s: f64) -> f64 {
    let apart = (growth.to_s - growth.from_s) as f64;
    let stays = report.turnover.stays as f64 * apart / end_s;
    (growth.to_kb as f64 - growth.from_kb as f64) / stays.max(1.0)
}

impl Outcome {
    fn judge(&self, log: &str) -> Vec<String> {
        let mut faults = leaked(&self.before, &self.after);
        for fault in &mut faults {
            fault.insert_str(0, "leaked ");
        }
        faults.extend(restless(&self.rest_before, &self.rest_after));
        match self.growth {
            None => faults.push("too short a run to compare memory".to_owned()),
            Some(growth) if growth.share > growth.bound => faults.push(format!(
                "memory grew by {:.1} %, {:.0} % are allowed",
                growth.share * 100.0,
                growth.bound * 100.0
            )),
            Some(_) => {}
        }
        let Report {
            packets_out,
            turnover,
            ..
        } = &self.participants_report;
        let missing = |house: &&FullHouse| house.connections != self.connections;
        if let Some(house) = self.participants_report.full_houses.iter().find(missing) {
            let (up, all) = (house.connections, self.connections);
            let missing = house.missing.join("; ");
            faults.push(format!(
                "only {up} of {all} connections were up in a full house: {missing}"
            ));
        }
        // A run in which nothing happened proves nothing.
        if *packets_out == 0 || turnover.stays == 0 {
            faults.push("no media came through".to_owned());
        }
        if turnover.failed as f64 > FAILED * (turnover.stays + turnover.failed) as f64 {
            let reason = turnover.reasons.first().map_or("", |reason| reason);
            let (failed, stays) = (turnover.failed, turnover.stays);
            faults.push(format!("{failed} stays failed, {stays} did not: {reason}"));
        }
        if let Some(line) = log.lines().find(|line| is_fault(line)) {
            faults.push(format!("the server's log says: {line}"));
        }
        faults
    }

    fn table(&self) -> String {
        let mut rows = self.load_rows();
        let mib = |kb: u64| kb as f64 / 1024.0;
        rows.push((
            "resident MiB, before / peak / after",
            format!(
                "{:.1} / {:.1} / {:.1}",
                mib(self.resident_kb_before),
                mib(self.peak_kb),
                mib(self.resident_kb_after)
            ),
        ));
        if let Some(growth) = self.growth {
            rows.push((
                "MiB with a full house",
                format!(
                    "{:.1} at {} s, {:.1} at {} s: {:+.2} % (bound {:.0} %)",
                    mib(growth.from_kb),
                    growth.from_s,
                    mib(growth.to_kb),
                    growth.to_s,
                    growth.share * 100.0,
                    growth.bound * 100.0
                ),
            ));
            rows.push((
                "KiB a stay",
                format!("{:+.2}", self.kb_per_stay.unwrap_or(0.0)),
            ));
        }
        let houses = self.participants_report.full_houses.iter();
        let waits = houses.map(|house| format!("{:.1}", house.all_after_s));
        rows.push((
            "all were there after, s",
            waits.collect::<Vec<_>>().join(" / "),
        ));
        let (before, after) = (&self.rest_before, &self.rest_after);
        rows.push((
            "wake-ups a second at rest",
            format!("{:.1} / {:.1}", before.wake_ups, after.wake_ups),
        ));
        rows.push((
            "cores at rest",
            format!("{:.4} / {:.4}", before.cores, after.cores),
        ));
        rows.push((
            "everything back after, s",
            format!("{:.0}", self.back_after_s),
        ));
        rows.push(("warnings in the log", self.warnings.to_string()));
        let mut text = String::new();
        for (name, value) in rows {
            text.push_str(&format!("    {name:<38} {value}\n"));
        }
        text.push_str(&format!(
            "    {:<20} {:>8} {:>8} {:>8}\n",
            "", "before", "most", "after"
        ));
        for (name, before) in &self.before {
            let of = |counts: &Counts| counts.get(name).map_or("?".to_owned(), u64::to_string);
            let (most, after) = (of(&self.most), of(&self.after));
            text.push_str(&format!(
                "    {name:<20} {before:>8} {most:>8} {after:>8}\n"
            ));
        }
        text
    }

    fn load_rows(&self) -> Vec<(&'static str, String)> {
        let report = &self.participants_report;
        let (datagrams, turnover) = (&report.datagrams, &report.turnover);
        vec![
            (
                "rooms / stays / failed",
                format!(
                    "{} / {} / {}",
                    turnover.rooms, turnover.stays, turnover.failed
                ),
            ),
            (
                "polite / cut / silent / no media / back",
                format!(
                    "{} / {} / {} / {} / {}",
                    turnover.polite,
                    turnover.cut,
                    turnover.silent,
                    turnover.media_lost,
                    turnover.returned
                ),
            ),
            (
                "packets in / out",
                format!("{} / {}", report.packets_in, report.packets_out),
            ),
            (
                "datagrams lost to / from the server",
                format!(
                    "{} of {} / {} of {}",
                    datagrams.sent_lost,
                    datagrams.sent,
                    datagrams.received_lost,
                    datagrams.received
                ),
            ),
            (
                "lost after resends / on the wire, %",
                format!(
                    "{:.3} / {:.3}",
                    report.loss * 100.0,
                    report.wire_loss * 100.0
                ),
            ),
            (
                "cores of server / participants",
                format!(
                    "{:.2} / {:.2} (machine {:.0} % busy)",
                    report.server_cores.unwrap_or(0.0),
                    report.loadgen_cores,
                    report.machine_busy * 100.0
                ),
            ),
        ]
    }
}

/// What no load may bring about.
fn is_fault(line: &str) -> bool {
    line.contains("panicked at") || line.contains(" ERROR ")
}
