//! What security cameras cost, against the bars that they have to meet.

mod page;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::figures::Figures;
use super::load;
use super::threads::Threads;
use crate::server::{Binaries, Server};

/// How often everything is measured: ways take turns, so that what else the machine does hits all.
const ROUNDS: usize = 3;

/// As many cameras, and as many people who send as much.
const COUNT: u32 = 16;

/// Who watch all of them.
const WATCHERS: u32 = 10;

/// How long nobody watches.
const TIME: Duration = Duration::from_secs(20);
const QUICK_TIME: Duration = Duration::from_secs(5);

/// Caches fill within the time between two key frames.
const SETTLE: Duration = Duration::from_secs(5);

/// How long all cameras may take to be connected.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the server may take to hear from its workers what they keep.
const LOOK: Duration = Duration::from_secs(2);

/// The room of cameras, and that of synthetic participants unless they are told another one.
const ROOM: &str = "load";

/// What cameras send besides pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sound {
    None,
    Pcmu,
    Aac,
}

impl Sound {
    const fn name(self) -> &'static str {
        match self {
            Sound::None => "none",
            Sound::Pcmu => "pcmu",
            Sound::Aac => "aac",
        }
    }
}

/// Everything that is known of cameras; empty if that was not asked for.
pub(super) struct Cameras {
    rounds: Vec<Round>,
}

/// All ways, one after the other.
struct Round {
    /// Without sound, with G.711 and with AAC.
    unwatched: [Unwatched; 3],
    /// Without sound and with AAC, watched by one.
    heard: [Figures; 2],
    /// Without sound, watched by [`WATCHERS`].
    watched: Figures,
    /// People who send as much without sound, whom nobody watches, and whom as many do.
    people: [Figures; 2],
}

/// Cameras that are connected while nobody watches.
#[derive(Debug, Clone, Copy)]
struct Unwatched {
    /// Share of a core.
    cores: f64,
    /// Of all cameras, what is kept since the last key frame.
    cached: u64,
    /// Share of a core that the cameras themselves need.
    own: f64,
}

/// What the server says of a camera.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    state: String,
    cached_bytes: u64,
}

impl Cameras {
    /// Whether all was measured.
    pub(super) fn whole(&self) -> bool {
        !self.rounds.is_empty()
    }
}

/// Measures if it is wanted.
pub(super) fn measure(
    binaries: &Binaries,
    scratch: &Path,
    quick: bool,
    wanted: impl Fn(&str) -> bool,
) -> Result<Cameras> {
    let mut cameras = Cameras { rounds: Vec::new() };
    if wanted("cameras") {
        let dir = scratch.join("cameras");
        std::fs::create_dir_all(&dir)?;
        let bench = Bench {
            binaries,
            dir: &dir,
            quick,
        };
        let count = if quick { 1 } else { ROUNDS };
        for round in 1..=count {
            eprintln!("  → cameras, round {round} of {count}");
            cameras.rounds.push(bench.round()?);
        }
    }
    Ok(cameras)
}

struct Bench<'a> {
    binaries: &'a Binaries,
    dir: &'a Path,
    quick: bool,
}

impl Bench<'_> {
    fn round(&self) -> Result<Round> {
        let running = self.cameras(Sound::None)?;
        let silent = running.unwatched(self)?;
        let one = self.watch(&running.server, "16 cameras", 0, 1)?;
        let watched = self.watch(&running.server, "16 cameras", 0, WATCHERS)?;
        drop(running);
        let pcmu = self.cameras(Sound::Pcmu)?.unwatched(self)?;
        let running = self.cameras(Sound::Aac)?;
        let aac = running.unwatched(self)?;
        let hears = self.watch(&running.server, "16 cameras with AAC", 0, 1)?;
        drop(running);
        let server = Server::umbrella(&self.binaries.server, self.dir)?;
        let nobody = self.watch(&server, "16 people", COUNT, 0)?;
        let people = self.watch(&server, "16 people", COUNT, WATCHERS)?;
        Ok(Round {
            unwatched: [silent, pcmu, aac],
            heard: [one, hears],
            watched,
            people: [nobody, people],
        })
    }

    /// Starts cameras and a server that is always connected to all of them, and waits until it is.
    fn cameras(&self, sound: Sound) -> Result<Running> {
        let mut child = Command::new(&self.binaries.loadgen)
            .args(["cameras", "--count", &COUNT.to_string()])
            .args(["--sound", sound.name()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the cameras")?;
        let said = child.stdout.take().context("no output")?;
        let child = Ended(child);
        let urls = BufReader::new(said).lines().take(COUNT as usize);
        let urls: Vec<String> = urls.collect::<Result<_, _>>()?;
        let entry = |(url, number): (&String, u32)| {
            format!(
                "{{ name = \"Camera {number}\", room = \"{ROOM}\", url = \"{url}\", \
                 always_on = true }}"
            )
        };
        let entries: Vec<String> = urls.iter().zip(1..).map(entry).collect();
        let list = format!("[{}]", entries.join(", "));
        let server = Server::with_cameras(&self.binaries.server, self.dir, &list)?;
        let running = Running {
            cameras: child,
            server,
            sound,
        };
        running.connected(self)?;
        Ok(running)
    }

    /// What it costs that so many publish, or cameras do, and so many watch all of them.
    fn watch(
        &self,
        server: &Server,
        what: &str,
        publishers: u32,
        watchers: u32,
    ) -> Result<Figures> {
        let time = match self.quick {
            true => "--duration 3 --warm-up 2",
            false => "--duration 8 --warm-up 4",
        };
        let args = format!(
            "{PUBLISHED} --publishers {publishers} --subscribers {watchers} --room {ROOM} \
             --join-within 1 {time}"
        );
        let args: Vec<String> = args.split(' ').map(str::to_owned).collect();
        let label = format!("{what}, 2 Mbit/s each, watched by {watchers}");
        let to = &server.args;
        let (figures, table) = load(self.binaries, label, server, to, &args, "watch", self.dir)?;
        if figures.failed > 0 {
            bail!("{what} watched by {watchers}: somebody could not stay:\n{table}");
        }
        Ok(figures)
    }
}

/// People who send what cameras do, and whose pictures are as far apart: what comes from several at
/// once leaves by fewer system calls.
const PUBLISHED: &str = "--scenario broadcast --codec h264 --bitrate 2M --fps 25 \
                         --audio-bitrate 0 --publisher-spacing 52.5 --no-limit";

/// Cameras and the server that is connected to them.
struct Running {
    cameras: Ended,
    server: Server,
    sound: Sound,
}

impl Running {
    fn entries(&self, bench: &Bench<'_>) -> Result<Vec<Entry>> {
        let text = Server::ask(
            &bench.binaries.server,
            bench.dir,
            &["camera", "list", "--json"],
        )?;
        serde_json::from_str(&text).context("reading the list of cameras")
    }

    fn connected(&self, bench: &Bench<'_>) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        let is_live = |entry: &Entry| entry.state == "live";
        loop {
            let live = self.entries(bench)?.iter().filter(|it| is_live(it)).count();
            if live == COUNT as usize {
                break;
            }
            if Instant::now() > end {
                bail!("only {live} of {COUNT} cameras are live");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        std::thread::sleep(SETTLE);
        Ok(())
    }

    fn unwatched(&self, bench: &Bench<'_>) -> Result<Unwatched> {
        let time = if bench.quick { QUICK_TIME } else { TIME };
        let (server, cameras) = (self.server.pid(), self.cameras.0.id());
        let begun = Instant::now();
        let before = (Threads::of(server)?, Threads::of(cameras)?);
        std::thread::sleep(time);
        let after = (Threads::of(server)?, Threads::of(cameras)?);
        let seconds = begun.elapsed().as_secs_f64();
        let share = |used: Duration| used.as_secs_f64() / seconds;
        // Workers are asked while somebody looks: the first answer is from before that.
        self.entries(bench)?;
        std::thread::sleep(LOOK);
        let entries = self.entries(bench)?;
        let unwatched = Unwatched {
            cores: share(after.0.since(&before.0)),
            own: share(after.1.since(&before.1)),
            cached: entries.iter().map(|it| it.cached_bytes).sum(),
        };
        eprintln!(
            "  ✓ {COUNT} cameras, sound {}: {:.1} % of a core, the cameras {:.1} %",
            self.sound.name(),
            unwatched.cores * 100.0,
            unwatched.own * 100.0
        );
        Ok(unwatched)
    }
}

/// Cameras do not outlive the measurement.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // They may have ended by themselves.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
