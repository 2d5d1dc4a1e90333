//! `umbrella camera …`: cameras in rooms.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::ask;
use super::local::Request;
use crate::cameras::{Cameras, MAX_IMPORT};
use crate::config::Config;
use crate::http::api::{
    CameraEntry, CameraFindings, CameraSettings, CameraState, CameraStream, CameraTested,
    CameraTransport, ImportCameras, ImportedCameras, TestCamera,
};

/// How long workers take to say what they carry.
const MEASURED: Duration = Duration::from_millis(200);

/// Bytes of standard input that an address may have.
const MAX_ADDRESS: u64 = 4096;

#[derive(Debug, Args)]
pub(super) struct CameraArgs {
    #[command(subcommand)]
    pub(super) command: CameraCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum CameraCommand {
    /// Have a camera in a room.
    Add(AddArgs),
    /// Show the cameras and how they stand.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have a camera in its room no more, and forget its password.
    Remove {
        /// Its name or its id.
        camera: String,
    },
    /// Look at a camera once, and say what is there.
    Test(TestArgs),
    /// Take cameras over from another program: the streams of a go2rtc.yaml.
    Import {
        /// The file; - reads it from standard input.
        file: PathBuf,
        /// The room in which they are to be seen.
        #[arg(long)]
        room: String,
    },
}

#[derive(Args)]
pub(super) struct AddArgs {
    /// As rtsp://user:password@192.168.1.20/stream1; - reads it from standard input, so that the
    /// password appears in no list of processes.
    url: String,
    /// What people see.
    #[arg(long)]
    name: String,
    /// The room in which it is to be seen.
    #[arg(long)]
    room: String,
    /// The address of its small stream.
    #[arg(long, value_name = "URL")]
    sub: Option<String>,
    #[command(flatten)]
    how: How,
    /// Stay connected also while nobody watches.
    #[arg(long)]
    always_on: bool,
}

#[derive(Args)]
pub(super) struct TestArgs {
    /// The name or the id of a camera that is set, or an address; - reads one from standard input.
    camera: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct How {
    /// Packets by UDP instead of within the connection.
    #[arg(long)]
    udp: bool,
    /// Without sound.
    #[arg(long)]
    no_audio: bool,
    /// SHA-256 of a certificate that is the camera's, for rtsps://.
    #[arg(long, value_name = "FINGERPRINT")]
    pin: Vec<String>,
}

/// Without addresses: they may hold a password.
impl std::fmt::Debug for AddArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AddArgs({})", self.name)
    }
}

/// Without the address: it may hold a password.
impl std::fmt::Debug for TestArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TestArgs(…)")
    }
}

impl How {
    fn transport(&self) -> CameraTransport {
        match self.udp {
            true => CameraTransport::Udp,
            false => CameraTransport::Tcp,
        }
    }
}

/// What a subcommand asks the running server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CameraRequest {
    Add(CameraSettings),
    List { json: bool },
    Remove { camera: String },
    Test(TestCamera),
    TestSet { camera: String },
    Import(ImportCameras),
}

/// The subcommand's side.
pub(super) fn run(config: &Config, command: CameraCommand) -> anyhow::Result<()> {
    let request = match command {
        CameraCommand::Add(args) => CameraRequest::Add(CameraSettings {
            transport: args.how.transport(),
            name: args.name,
            room: args.room,
            main: stream(args.url)?,
            sub: args.sub.map(stream).transpose()?,
            audio: !args.how.no_audio,
            always_on: args.always_on,
            pins: args.how.pin,
        }),
        CameraCommand::List { json } => CameraRequest::List { json },
        CameraCommand::Remove { camera } => CameraRequest::Remove { camera },
        CameraCommand::Test(args) if args.camera == "-" || args.camera.contains("://") => {
            CameraRequest::Test(TestCamera {
                id: None,
                transport: args.how.transport(),
                stream: stream(args.camera)?,
                audio: !args.how.no_audio,
                pins: args.how.pin,
            })
        }
        CameraCommand::Test(args) => CameraRequest::TestSet {
            camera: args.camera,
        },
        CameraCommand::Import { file, room } => CameraRequest::Import(ImportCameras {
            room,
            text: text(&file)?,
        }),
    };
    ask(config, &Request::Camera(request))
}

fn stream(given: String) -> anyhow::Result<CameraStream> {
    let mut address = given;
    if address == "-" {
        address.clear();
        let input = std::io::stdin().take(MAX_ADDRESS);
        std::io::BufReader::new(input)
            .read_to_string(&mut address)
            .context("cannot read the address from standard input")?;
    }
    Ok(CameraStream {
        address: address.trim().to_owned(),
        user: None,
        password: None,
    })
}

fn text(file: &std::path::Path) -> anyhow::Result<String> {
    let what = || format!("cannot read {}", file.display());
    let input: Box<dyn std::io::Read> = match file.as_os_str() == "-" {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(file).with_context(what)?),
    };
    let mut bytes = Vec::new();
    input
        .take(MAX_IMPORT as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(what)?;
    anyhow::ensure!(
        bytes.len() <= MAX_IMPORT,
        "{} has more than {} KiB",
        file.display(),
        MAX_IMPORT / 1024
    );
    String::from_utf8(bytes).with_context(what)
}

/// The server's side.
pub(super) async fn answer(cameras: &Cameras, request: CameraRequest) -> anyhow::Result<String> {
    match request {
        CameraRequest::Add(new) => {
            let entry = cameras.add(&new).await?;
            Ok(format!(
                "{} is in the room {} from now on; `umbrella camera list` shows how it stands",
                entry.name, entry.room
            ))
        }
        CameraRequest::List { json } => {
            // Rates are measured for who looks, and come with the second answer.
            cameras.list().await;
            tokio::time::sleep(MEASURED).await;
            let all = cameras.list().await;
            if json {
                return Ok(serde_json::to_string_pretty(&all)?);
            }
            if all.is_empty() {
                return Ok("There are no cameras.".to_owned());
            }
            let lines: Vec<_> = all.iter().map(line).collect();
            Ok(lines.join("\n"))
        }
        CameraRequest::Remove { camera } => {
            cameras.remove(&camera).await?;
            Ok(format!("{camera} is removed"))
        }
        CameraRequest::Test(what) => tested(&cameras.test(&what).await?),
        CameraRequest::TestSet { camera } => tested(&cameras.test_set(&camera).await?),
        CameraRequest::Import(what) => Ok(imported(&cameras.import(&what).await?)),
    }
}

fn line(entry: &CameraEntry) -> String {
    let mut text = format!(
        "{} in {} ({}, {}): {}",
        entry.name,
        entry.room,
        entry.main.address,
        entry.id,
        stand(entry)
    );
    if let Some(video) = &entry.video {
        let (width, height) = (video.width, video.height);
        text.push_str(&format!(", {} {width}×{height}", video.codec));
    }
    if let Some(sound) = &entry.sound {
        text.push_str(&format!(", sound {}", sound.source));
    }
    for note in &entry.notes {
        text.push_str(&format!("\n  note: {note}"));
    }
    if let Some(fingerprint) = &entry.fingerprint {
        text.push_str(&format!("\n  fingerprint: {fingerprint}"));
    }
    text
}

fn stand(entry: &CameraEntry) -> String {
    let why = entry.why.as_deref().unwrap_or("no reason known");
    let wait = entry.retry_in_s.unwrap_or(0);
    match entry.state {
        CameraState::Live => "live".to_owned(),
        CameraState::Connecting => "connecting".to_owned(),
        CameraState::Idle => "idle, nobody watches".to_owned(),
        CameraState::Reconnecting => format!("reconnecting in {wait} s: {why}"),
        CameraState::Refused => format!("refused, tried again in {wait} s: {why}"),
    }
}

/// What was found; a failure if there is nothing, or nothing more.
fn tested(tested: &CameraTested) -> anyhow::Result<String> {
    let why = tested.why.as_deref().unwrap_or("no reason known");
    let Some(found) = &tested.found else {
        anyhow::bail!("no picture: {why}");
    };
    let lines = findings(found).join("\n");
    anyhow::ensure!(tested.why.is_none(), "it ended early: {why}\n{lines}");
    Ok(lines)
}

fn findings(found: &CameraFindings) -> Vec<String> {
    let video = &found.video;
    let mut lines = vec![format!(
        "picture: {} {}, {}×{}",
        video.codec, video.profile, video.width, video.height,
    )];
    if let Some(rate) = found.frame_rate {
        let kbit = found.bitrate / 1000;
        lines.push(format!(
            "frame rate: {rate:.1} per second, with {kbit} kbit/s"
        ));
    }
    lines.push(match found.key_frame_interval_ms {
        Some(interval) => format!("key frames: every {:.1} s", interval as f64 / 1000.0),
        None => "key frames: only one was seen".to_owned(),
    });
    lines.push(match &found.sound {
        Some(sound) => format!("sound: {}, sent on as {}", sound.source, sound.codec),
        None => "sound: none".to_owned(),
    });
    lines.push(format!(
        "first picture after: {} ms",
        found.first_picture_ms
    ));
    let notes = found.notes.iter().map(|note| format!("note: {note}"));
    lines.extend(notes);
    lines
}

fn imported(imported: &ImportedCameras) -> String {
    let added = imported.added.iter().map(|name| format!("set: {name}"));
    let skipped = imported.skipped.iter();
    let skipped = skipped.map(|skipped| format!("left out: {} ({})", skipped.name, skipped.why));
    let lines: Vec<_> = added.chain(skipped).collect();
    match lines.is_empty() {
        true => "There are no streams in this file.".to_owned(),
        false => lines.join("\n"),
    }
}
