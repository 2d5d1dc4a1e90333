//! `umbrella-loadgen`: measures a server that speaks the client protocol.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks on the terminal"
)]

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use umbrella_loadgen::camera::{self, Cameras, Sound};
use umbrella_loadgen::loss::Loss;
use umbrella_loadgen::media::VideoCodec;
use umbrella_loadgen::report::Report;
use umbrella_loadgen::run::{Dialect, Options, run};
use umbrella_loadgen::token::Key;
use umbrella_loadgen::{Plan, Quality, Scenario, witness};
use url::Url;

/// Lets synthetic participants join a server and reports what that costs it.
#[derive(Debug, Parser)]
#[command(name = "umbrella-loadgen", version)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    load: Option<Args>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be security cameras: print their addresses, and send to whoever connects until ended
    Cameras(CameraArgs),
}

#[derive(Debug, clap::Args)]
struct CameraArgs {
    /// How many
    #[arg(long, default_value_t = 16)]
    count: u32,
    /// Where to listen; with port 0 at a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Bits per second of pictures of each, such as 800k or 1.5M
    #[arg(long, default_value = "2M", value_parser = bits)]
    bitrate: u64,
    /// Pictures per second
    #[arg(long, default_value_t = 25)]
    fps: u32,
    /// Seconds from one key frame to the next
    #[arg(long, default_value_t = 3.0)]
    key_frames: f64,
    /// What is to be heard
    #[arg(long, value_enum, default_value_t = Sound::Aac)]
    sound: Sound,
}

#[derive(Debug, clap::Args)]
struct Args {
    /// Address of the server: ws://HOST:PORT or wss://HOST:PORT
    #[arg(long)]
    url: Url,
    /// Address of another server, linked to that one, which those join who do not publish
    #[arg(long)]
    watch_url: Option<Url>,
    /// With --scenario idle: nobody opens a media connection; says when all are there, and when one
    /// more, at --watch-url, knows all of them
    #[arg(long, requires = "watch_url")]
    witness: bool,
    /// How to speak with the server
    #[arg(long, value_enum, default_value_t = Dialect::Livekit)]
    dialect: Dialect,
    /// API key that signs tokens
    #[arg(long, default_value = "devkey")]
    key: String,
    /// The key's secret
    #[arg(long, default_value = "secret")]
    secret: String,
    /// Address to send and get media at; by default the one from which the server is reached
    #[arg(long)]
    bind: Option<IpAddr>,
    /// Take any certificate
    #[arg(long)]
    insecure: bool,
    /// What happens
    #[arg(long, value_enum)]
    scenario: Scenario,
    /// Participants who publish; in a meeting all of them, in a soak those of each room
    #[arg(long, default_value_t = 1)]
    publishers: u32,
    /// Milliseconds between publishers who join, and between their pictures
    #[arg(long, default_value_t = 50.0)]
    publisher_spacing: f64,
    /// Participants who do not publish; in a soak those of each room
    #[arg(long, default_value_t = 10)]
    subscribers: u32,
    /// Rooms of a soak
    #[arg(long, default_value_t = 4)]
    rooms: u32,
    /// Seconds that participants of a soak stay on average
    #[arg(long, default_value_t = 20.0)]
    stay: f64,
    /// Everybody of a soak is there at the end of each period of so many seconds …
    #[arg(long, default_value_t = 60.0)]
    period: f64,
    /// … for so many seconds
    #[arg(long, default_value_t = 10.0)]
    full_house: f64,
    /// Share of all datagrams, 0 to 1, that our own sockets lose in each direction
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    loss: f64,
    /// Decides which datagrams are lost and who goes when
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Bits per second of pictures in the highest encoding, such as 800k or 1.5M; 0 is no pictures
    #[arg(long, default_value = "1M", value_parser = bits)]
    bitrate: u64,
    /// Bits per second of sound; 0 is no sound
    #[arg(long, default_value = "32k", value_parser = bits)]
    audio_bitrate: u64,
    /// Frames per second
    #[arg(long, default_value_t = 30)]
    fps: u32,
    /// How pictures are packed
    #[arg(long, value_enum, default_value_t = VideoCodec::Vp8)]
    codec: VideoCodec,
    /// Which encoding to ask for; the server decides if none is named
    #[arg(long, value_enum)]
    quality: Option<Quality>,
    /// Seconds to measure
    #[arg(long, default_value_t = 10.0)]
    duration: f64,
    /// Seconds to wait when all are there
    #[arg(long, default_value_t = 3.0)]
    warm_up: f64,
    /// Seconds within which the subscribers join
    #[arg(long, default_value_t = 5.0)]
    join_within: f64,
    /// The room to join
    #[arg(long, default_value = "load")]
    room: String,
    /// Process id of the server, to read its CPU time and memory
    #[arg(long)]
    server_pid: Option<u32>,
    /// Threads that drive connections
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Do not measure the limit
    #[arg(long)]
    no_limit: bool,
    /// Write the figures to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match (cli.command, cli.load) {
        (Some(Command::Cameras(args)), _) => be_cameras(&args),
        (None, Some(args)) => carry_out(args),
        (None, None) => Err(anyhow::anyhow!("nothing to do: --help says what there is")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn carry_out(args: Args) -> anyhow::Result<()> {
    allow_many_sockets();
    let json = args.json.clone();
    let witness = args.witness;
    let options = options(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if witness {
        let say = |what: &str| println!("{what}");
        return runtime.block_on(witness::run(&options, say));
    }
    let report: Report = runtime.block_on(run(&options))?;
    print!("{}", report.table());
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn be_cameras(args: &CameraArgs) -> anyhow::Result<()> {
    allow_many_sockets();
    let plan = camera::Plan {
        bitrate: args.bitrate,
        fps: args.fps,
        key_frames: seconds(args.key_frames)?,
        sound: args.sound,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let cameras = Cameras::open(args.listen, args.count, &plan).await?;
        for url in cameras.urls()? {
            println!("{url}");
        }
        cameras.serve().await;
        Ok(())
    })
}

/// Every participant needs up to three. Where that is not allowed, joining fails and says so.
fn allow_many_sockets() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

fn options(args: Args) -> anyhow::Result<Options> {
    Ok(Options {
        plan: Plan {
            scenario: args.scenario,
            publishers: args.publishers,
            subscribers: args.subscribers,
            rooms: args.rooms,
            stay: seconds(args.stay)?,
            period: seconds(args.period.max(1.0))?,
            full_house: seconds(args.full_house)?,
            bitrate: args.bitrate,
            audio_bitrate: args.audio_bitrate,
            fps: args.fps,
            codec: args.codec,
            quality: args.quality,
            join_within: seconds(args.join_within)?,
        },
        publisher_spacing: seconds(args.publisher_spacing / 1000.0)?,
        dialect: args.dialect,
        url: args.url,
        watch_url: args.watch_url,
        bind: args.bind,
        insecure: args.insecure,
        key: Key {
            key: args.key,
            secret: args.secret,
        },
        room: args.room,
        warm_up: seconds(args.warm_up)?,
        duration: seconds(args.duration)?,
        server_pid: args.server_pid,
        threads: args.threads,
        limit: !args.no_limit,
        loss: Loss {
            share: args.loss,
            seed: args.seed,
        },
    })
}

fn seconds(value: f64) -> anyhow::Result<Duration> {
    Duration::try_from_secs_f64(value).with_context(|| format!("{value} is no time in seconds"))
}

/// A part of a whole.
fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        Ok(_) | Err(_) => Err(format!("{text} is no share: write 0.02 for 2 %")),
    }
}

/// A number with `k` or `M` behind it.
fn bits(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1e3),
        None => match text.strip_suffix('M') {
            Some(digits) => (digits, 1e6),
            None => (text, 1.0),
        },
    };
    match digits.parse::<f64>() {
        Ok(number) if (0.0..1e6).contains(&number) || factor == 1.0 && number >= 0.0 => {
            Ok((number * factor) as u64)
        }
        Ok(_) | Err(_) => Err(format!("{text} is no bitrate: write 800k or 1.5M")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitrates_are_read_as_people_write_them() {
        assert_eq!(bits("800k"), Ok(800_000));
        assert_eq!(bits("1.5M"), Ok(1_500_000));
        assert_eq!(bits("64000"), Ok(64_000));
        assert!(bits("fast").is_err());
        assert!(bits("-1k").is_err());
    }

    #[test]
    fn two_percent_are_taken_for_everything() {
        assert_eq!(share("0.02"), Ok(0.02));
        assert!(share("2").is_err() && share("2%").is_err() && share("NaN").is_err());
    }
}
