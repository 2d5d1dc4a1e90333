//! From an address to a camera that plays.

use std::time::Duration;

use retina::client::{
    Credentials, InitialSequenceNumberPolicy, InitialTimestampPolicy, PlayOptions, Playing,
    Session, SessionIdPolicy, SessionOptions, SetupOptions, Stream, TeardownPolicy,
};
use retina::codec::{ParametersRef, VideoParametersCodec};
use tokio::time::timeout;
use umbrella_media::Codec;
use umbrella_media::nal::{Coding, Packetizer};

use super::address::Address;
use super::audio::{AudioFormat, Transcoder};
use super::gate::Gate;
use super::reason::{Reason, Step};
use super::session::{Note, Options, Transport};

/// Streams in a description at most: cameras have up to five.
const MAX_STREAMS: usize = 16;

/// Characters of the library's words that are shown.
const MAX_WORDS: usize = 160;

/// A camera that plays.
pub(super) struct Started {
    pub(super) gate: Gate,
    pub(super) session: Session<Playing>,
    pub(super) video: usize,
    pub(super) coding: Coding,
    /// Knows what the description has said.
    pub(super) packetizer: Packetizer,
    pub(super) audio: Option<(usize, AudioFormat, Way)>,
    pub(super) notes: Vec<Note>,
}

/// What becomes of the sound.
pub(super) enum Way {
    Pass,
    Transcode(Box<Transcoder>),
}

/// Connects and plays. Follows one redirect, on the same host.
pub(super) async fn start(options: &Options) -> Result<Started, Reason> {
    let limits = &options.limits;
    let whole = async {
        let mut address = options.address.clone();
        let mut redirected = false;
        loop {
            match attempt(&address, options).await {
                Err(Failure::Redirect(location)) => {
                    let target = address.redirected(&location).ok();
                    let target = target.filter(|target| {
                        !redirected
                            && target.host() == address.host()
                            && (target.is_secure() || !address.is_secure())
                    });
                    redirected = true;
                    address = target.ok_or_else(|| Reason::Redirected(shown(&location)))?;
                }
                Err(Failure::Reason(reason)) => return Err(reason),
                Ok(started) => return Ok(started),
            }
        }
    };
    let silent = |_| Reason::Silent {
        step: Step::Play,
        seconds: limits.start.as_secs(),
    };
    timeout(limits.start, whole).await.map_err(silent)?
}

/// Of an address from the camera only what an address may show.
fn shown(location: &str) -> String {
    match Address::parse(location) {
        Ok(address) => address.to_string(),
        Err(_) => "to no address".to_owned(),
    }
}

enum Failure {
    Redirect(String),
    Reason(Reason),
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Failure {
        Failure::Reason(reason)
    }
}

/// One connection, on its way to play.
struct Attempt<'a> {
    address: &'a Address,
    options: &'a Options,
    gate: Gate,
}

async fn attempt(address: &Address, options: &Options) -> Result<Started, Failure> {
    let limits = &options.limits;
    let opening = Gate::open(address, options);
    let gate = timeout(limits.connect, opening).await;
    let gate = gate.map_err(|_| Reason::Silent {
        step: Step::Connect,
        seconds: limits.connect.as_secs(),
    })??;
    let attempt = Attempt {
        address,
        options,
        gate,
    };
    attempt.run().await
}

impl Attempt<'_> {
    async fn run(self) -> Result<Started, Failure> {
        let mut session = self.describe().await?;
        let streams = session.streams();
        if streams.len() > MAX_STREAMS {
            return Err(Reason::TooMuchText.into());
        }
        let (video, coding) = video(streams)?;
        let mut notes = Vec::new();
        if coding == Coding::H265 {
            notes.push(Note::H265);
        }
        let packetizer = packetizer(&streams[video], coding, self.options.max_payload);
        let sound = match self.options.audio {
            true => audio(streams, &mut notes),
            false => None,
        };
        self.setup(&mut session, video).await?;
        let mut audio = None;
        if let Some((index, format, way)) = sound {
            match self.setup(&mut session, index).await {
                Ok(()) => audio = Some((index, format, way)),
                // A camera that only says so has pictures all the same.
                Err(Failure::Reason(Reason::Status { .. } | Reason::NotFound)) => {
                    notes.push(Note::Silent("refused by the camera".to_owned()));
                }
                Err(failure) => return Err(failure),
            }
        }
        let session = self.play(session).await?;
        Ok(Started {
            gate: self.gate,
            session,
            video,
            coding,
            packetizer,
            audio,
            notes,
        })
    }

    async fn describe(&self) -> Result<Session<retina::client::Described>, Failure> {
        let url = self.address.url(Some(&self.gate.authority));
        let url = url.ok_or(Reason::Internal)?;
        let credentials = self.address.credentials().map(|who| Credentials {
            username: who.user.clone(),
            password: who.password.clone(),
        });
        let options = SessionOptions::default()
            .creds(credentials)
            .user_agent("Umbrella".to_owned())
            .session_id(SessionIdPolicy::UseFirst)
            .teardown(match self.options.transport {
                Transport::Tcp => TeardownPolicy::Auto,
                // It would dial again, to an address that the camera has named.
                Transport::Udp => TeardownPolicy::Never,
            });
        let describing = Session::describe(url, options);
        self.within(Step::Describe, self.options.limits.answer, describing)
            .await
    }

    async fn setup(
        &self,
        session: &mut Session<retina::client::Described>,
        stream: usize,
    ) -> Result<(), Failure> {
        use retina::client::Transport as Wanted;
        let transport = match self.options.transport {
            Transport::Tcp => Wanted::Tcp(Default::default()),
            Transport::Udp => Wanted::Udp(Default::default()),
        };
        let options = SetupOptions::default().transport(transport);
        let setup = session.setup(stream, options);
        self.within(Step::Setup, self.options.limits.answer, setup)
            .await
    }

    async fn play(
        &self,
        session: Session<retina::client::Described>,
    ) -> Result<Session<Playing>, Failure> {
        // Many cameras write nonsense into RTP-Info; reports of the clock come soon after.
        let options = PlayOptions::default()
            .initial_timestamp(InitialTimestampPolicy::Ignore)
            .initial_seq(InitialSequenceNumberPolicy::Ignore);
        let playing = session.play(options);
        self.within(Step::Play, self.options.limits.answer, playing)
            .await
    }

    async fn within<T>(
        &self,
        step: Step,
        limit: Duration,
        what: impl Future<Output = Result<T, retina::Error>>,
    ) -> Result<T, Failure> {
        match timeout(limit, what).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.failure(step, &error)),
            Err(_) => Err(match self.gate.fault() {
                Some(fault) => fault,
                None => Reason::Silent {
                    step,
                    seconds: limit.as_secs(),
                },
            }
            .into()),
        }
    }

    fn failure(&self, step: Step, error: &retina::Error) -> Failure {
        if let Some(location) = self.gate.redirect() {
            return Failure::Redirect(location);
        }
        Failure::Reason(failed(self.address, &self.gate, step, error))
    }
}

/// Why the library gave up, in our words.
pub(super) fn failed(address: &Address, gate: &Gate, step: Step, error: &retina::Error) -> Reason {
    if let Some(fault) = gate.fault() {
        return fault;
    }
    match error.status_code() {
        Some(status) if !(200..300).contains(&status) => {
            Reason::of_status(step, status, address.credentials().is_some())
        }
        status => {
            let text = error.to_string();
            if status.is_none() && (text.contains("EOF") || text.contains("reading from RTSP")) {
                return Reason::Closed;
            }
            if !gate.has_spoken() {
                return Reason::NotRtsp;
            }
            if text.contains("No parseable streams") {
                return Reason::NoVideo;
            }
            Reason::Protocol {
                step,
                what: words(&text),
            }
        }
    }
}

/// The library's words without addresses: makers hide passwords in them.
fn words(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let words = line.split_whitespace().map(|word| {
        let is_address = word.contains('/') || word.contains('=') || word.contains('@');
        if is_address { "…" } else { word }
    });
    let line = words.collect::<Vec<_>>().join(" ");
    line.chars().take(MAX_WORDS).collect()
}

/// The first one that can be forwarded.
fn video(streams: &[Stream]) -> Result<(usize, Coding), Reason> {
    let mut other = None;
    for (index, stream) in streams.iter().enumerate() {
        match (stream.media(), stream.encoding_name()) {
            ("video", "h264") => return Ok((index, Coding::H264)),
            ("video", "h265") => return Ok((index, Coding::H265)),
            ("video" | "image", "jpeg") => other = other.or(Some("MJPEG".to_owned())),
            ("video", name) => {
                let name = name.chars().take(20).collect::<String>();
                other = other.or(Some(name.to_ascii_uppercase()));
            }
            _ => {}
        }
    }
    Err(other.map_or(Reason::NoVideo, Reason::VideoCodec))
}

/// Knows the parameter sets of the description, if it has any.
fn packetizer(stream: &Stream, coding: Coding, max: usize) -> Packetizer {
    let mut packetizer = Packetizer::new(coding, max);
    if let Some(ParametersRef::Video(parameters)) = stream.parameters() {
        #[expect(clippy::wildcard_enum_match_arm, reason = "retina's enum, which grows")]
        match parameters.codec_params() {
            VideoParametersCodec::H264 { sps, pps } => {
                packetizer.learn(sps);
                packetizer.learn(pps);
            }
            VideoParametersCodec::H265 { vps, sps, pps } => {
                packetizer.learn(vps);
                packetizer.learn(sps);
                packetizer.learn(pps);
            }
            _ => {}
        }
    }
    packetizer
}

/// The first stream of sound that can be sent on, and how.
fn audio(streams: &[Stream], notes: &mut Vec<Note>) -> Option<(usize, AudioFormat, Way)> {
    let mut wrong = None;
    for (index, stream) in streams.iter().enumerate() {
        if stream.media() != "audio" {
            continue;
        }
        match sound(stream) {
            Ok((format, way)) => return Some((index, format, way)),
            Err(why) => wrong = wrong.or(Some(why)),
        }
    }
    notes.extend(wrong.map(Note::Silent));
    None
}

fn sound(stream: &Stream) -> Result<(AudioFormat, Way), String> {
    let (name, rate) = (stream.encoding_name(), stream.clock_rate_hz());
    let channels = stream.channels().map_or(1, |channels| channels.get());
    let passed = |codec: Codec, name: &str, channels: u8| {
        let format = AudioFormat {
            codec,
            channels,
            source: name.to_owned(),
        };
        Ok((format, Way::Pass))
    };
    match (name, rate, channels) {
        ("pcmu", 8000, 1) => passed(Codec::Pcmu, "G.711 µ-law", 1),
        ("pcma", 8000, 1) => passed(Codec::Pcma, "G.711 A-law", 1),
        ("g722", 8000, 1) => passed(Codec::G722, "G.722", 1),
        // RFC 7587 section 7: always said to be so, whatever is in it.
        ("opus", 48_000, _) => passed(Codec::Opus, "Opus", 2),
        ("mpeg4-generic", ..) => {
            let Some(ParametersRef::Audio(parameters)) = stream.parameters() else {
                return Err("AAC without its parameters".to_owned());
            };
            let transcoder = Transcoder::new(parameters.extra_data())?;
            let format = AudioFormat {
                codec: Codec::Opus,
                channels: transcoder.channels(),
                source: format!(
                    "AAC, {} Hz, {}",
                    transcoder.rate(),
                    if transcoder.channels() == 1 {
                        "mono"
                    } else {
                        "stereo"
                    }
                ),
            };
            Ok((format, Way::Transcode(Box::new(transcoder))))
        }
        _ => {
            let name = name
                .chars()
                .take(20)
                .collect::<String>()
                .to_ascii_uppercase();
            Err(format!("{name} with {rate} Hz and {channels} channels"))
        }
    }
}
