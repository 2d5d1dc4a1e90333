//! One connection to a camera, from its address to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use retina::client::PacketItem;
use retina::rtcp::ReceivedCompoundPacket;
use retina::rtp::ReceivedPacket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout_at;
use umbrella_media::Codec;
use umbrella_media::codec::Size;
use umbrella_media::nal::{
    AccessUnit, Coding, DEFAULT_PAYLOAD, Depacketizer, Packetizer, Reordering, SequenceParameters,
    has_bidirectional_slices,
};

use super::address::Address;
use super::audio::{self, AccessUnits, AudioFormat, Sound};
use super::clock::{Placed, Track, Wall};
use super::reason::{Reason, Step};
use super::start::{Started, Way, failed, start};
use crate::mdns::Lan;
use crate::tasks;
use crate::trunk::{Pin, Trust};

/// Events that wait for whoever takes them. When so many wait, the camera has to.
const WAITING: usize = 256;

/// Pictures with B-frames after which nobody doubts it.
const ENOUGH_B_FRAMES: u32 = 2;

/// Seconds from 1900, when RTCP's time begins (RFC 3550 section 4), in units of 1/2^32 s.
const NTP_UNIT: u32 = 32;

/// How packets come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// Within the RTSP connection: passes firewalls, loses nothing.
    #[default]
    Tcp,
    /// By themselves.
    Udp,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For TCP and TLS.
    pub connect: Duration,
    /// For each answer.
    pub answer: Duration,
    /// From the address to the last answer.
    pub start: Duration,
    /// For the next packet of a picture.
    pub frozen: Duration,
    /// For the first key frame, once there are packets.
    pub key_frame: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(5),
            start: Duration::from_secs(10),
            frozen: Duration::from_secs(10),
            key_frame: Duration::from_secs(30),
        }
    }
}

/// What a session needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where, and who.
    pub address: Address,
    /// How packets come. With TLS always within the connection.
    pub transport: Transport,
    /// Whether sound is wanted.
    pub audio: bool,
    /// Whether somebody hears it now: none comes while nobody does. To make Opus of AAC is most of
    /// what a camera costs. All streams and connections of a camera share it, and it may change at
    /// any time.
    pub heard: Arc<AtomicBool>,
    /// Certificates or authorities that were confirmed, for rtsps.
    pub pins: Vec<Pin>,
    /// Whom the system trusts, for rtsps.
    pub trust: Trust,
    /// Looks up names.
    pub lan: Lan,
    /// Time 0 of what is captured. The same for all streams of a camera.
    pub epoch: Instant,
    /// Bytes of an RTP payload at most.
    pub max_payload: usize,
    /// How long to wait for what.
    pub limits: Limits,
    /// Where another connection has ended.
    pub after: After,
}

/// The last timestamps of a connection, so that the next one goes on after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct After {
    /// Of pictures.
    pub video: Option<u32>,
    /// Of sound.
    pub audio: Option<u32>,
}

impl Options {
    /// With everything as usual: TCP, with sound.
    pub fn new(address: Address, trust: Trust) -> Options {
        Options {
            address,
            transport: Transport::Tcp,
            audio: true,
            heard: Arc::new(AtomicBool::new(true)),
            pins: Vec::new(),
            trust,
            lan: Lan::default(),
            epoch: Instant::now(),
            max_payload: DEFAULT_PAYLOAD,
            limits: Limits::default(),
            after: After::default(),
        }
    }
}

/// What a camera's pictures are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VideoFormat {
    /// H.264 or H.265.
    pub codec: Codec,
    /// Pixels that are shown.
    pub size: Size,
    /// `High`, for instance.
    pub profile: &'static str,
    /// Everything else that the stream says of itself.
    pub parameters: SequenceParameters,
}

/// What is not as it should be, and yet plays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    /// Many browsers have no decoder for it.
    #[error(
        "the camera sends H.265, which many browsers do not play; choose H.264 or the camera's H.264 substream"
    )]
    H265,
    /// There is sound that cannot be sent on.
    #[error("there is no sound: {0}; choose AAC-LC or G.711 in the camera's settings")]
    Silent(String),
    /// The stream says that pictures may be shown in another order.
    #[error(
        "the camera may send B-frames, which browsers do not show well; switch them off if the picture jerks"
    )]
    MayReorder,
}

/// A picture, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// RTP payloads. The last one has the marker.
    pub payloads: Vec<Bytes>,
    /// Its NAL units as they are in the payloads: with parameter sets, if it is a key frame.
    pub units: Vec<Bytes>,
    /// Of a clock of 90 kHz that goes on from one connection to the next.
    pub timestamp: u32,
    /// Since the epoch, on the same clock as sound.
    pub captured: Duration,
    /// Whether decoding can begin here.
    pub key_frame: bool,
    /// Whether pictures before it are missing: their sequence numbers should be, too.
    pub after_loss: bool,
}

/// What a session tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// There are pictures, and perhaps sound. Comes once, before all others.
    Connected {
        /// What the pictures are.
        video: VideoFormat,
        /// What the sound is.
        audio: Option<AudioFormat>,
        /// What is not as it should be.
        notes: Vec<Note>,
    },
    /// A picture; the first one is a key frame.
    Video(Picture),
    /// A packet of sound.
    Audio(Sound),
    /// From the next picture on, another size or profile.
    Changed(VideoFormat),
    /// The last one.
    Ended(Reason),
}

/// A connection to a camera. Ends when it is dropped.
#[derive(Debug)]
pub struct Session {
    events: mpsc::Receiver<Event>,
    task: JoinHandle<Reason>,
    ended: bool,
}

impl Session {
    /// Begins to connect.
    pub fn open(mut options: Options) -> Session {
        if options.address.is_secure() {
            options.transport = Transport::Tcp;
        }
        let (sender, events) = mpsc::channel(WAITING);
        Session {
            events,
            task: tasks::spawn(run(options, sender)),
            ended: false,
        }
    }

    /// The next event; none after the end. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.events.recv().await {
            return Some(event);
        }
        if self.ended {
            return None;
        }
        // What breaks within a decoder is this session's end, and nobody else's.
        let reason = (&mut self.task).await.unwrap_or(Reason::Internal);
        self.ended = true;
        Some(Event::Ended(reason))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(options: Options, events: mpsc::Sender<Event>) -> Reason {
    let started = match start(&options).await {
        Ok(started) => started,
        Err(reason) => return reason,
    };
    let Started {
        gate,
        mut session,
        video,
        coding,
        packetizer,
        audio,
        notes,
    } = started;
    let (audio_format, audio) = match audio {
        Some((stream, format, way)) => {
            let hearing = Hearing::new(stream, &format, way, &options);
            (Some(format), Some(hearing))
        }
        None => (None, None),
    };
    let mut stream = Streaming {
        epoch: options.epoch,
        limits: options.limits,
        events,
        wall: Wall::default(),
        seeing: Seeing::new(video, coding, packetizer, options.after.video),
        hearing: audio,
        announced: Some((audio_format, notes)),
    };
    let mut last = tokio::time::Instant::now();
    let begin = last;
    loop {
        let waits = last + options.limits.frozen;
        let item = match timeout_at(waits, session.next()).await {
            Err(_) => return Reason::Frozen(options.limits.frozen.as_secs()),
            Ok(None) => return gate.fault().unwrap_or(Reason::Closed),
            Ok(Some(Err(error))) => {
                return failed(&options.address, &gate, Step::Stream, &error);
            }
            Ok(Some(Ok(item))) => item,
        };
        let done = match item {
            PacketItem::Rtp(packet) => {
                if packet.stream_id() == video {
                    last = tokio::time::Instant::now();
                }
                stream.packet(packet, begin).await
            }
            PacketItem::Rtcp(packet) => {
                stream.report(&packet);
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(reason) = done {
            return reason;
        }
    }
}

/// A camera that plays.
struct Streaming {
    epoch: Instant,
    limits: Limits,
    events: mpsc::Sender<Event>,
    wall: Wall,
    seeing: Seeing,
    hearing: Option<Hearing>,
    /// Until the first picture.
    announced: Option<(Option<AudioFormat>, Vec<Note>)>,
}

impl Streaming {
    fn since_epoch(&self, at: Instant) -> i64 {
        let since = at.saturating_duration_since(self.epoch);
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    async fn packet(
        &mut self,
        packet: ReceivedPacket,
        begin: tokio::time::Instant,
    ) -> Result<(), Reason> {
        let arrived = self.since_epoch(packet.ctx().received());
        if packet.stream_id() == self.seeing.stream {
            return self.picture(packet, arrived, begin).await;
        }
        let Some(hearing) = &mut self.hearing else {
            return Ok(());
        };
        // Nobody hears before somebody sees: they begin together.
        if hearing.stream != packet.stream_id() || self.announced.is_some() {
            return Ok(());
        }
        for sound in hearing.packet(packet, arrived, &mut self.wall) {
            self.send(Event::Audio(sound)).await?;
        }
        Ok(())
    }

    async fn picture(
        &mut self,
        packet: ReceivedPacket,
        arrived: i64,
        begin: tokio::time::Instant,
    ) -> Result<(), Reason> {
        let (timestamp, marker) = (packet.timestamp().timestamp(), packet.mark());
        let lost = packet.loss() > 0;
        let pushed =
            self.seeing
                .depacketizer
                .push(packet.into_payload_bytes(), timestamp, marker, lost);
        for unit in pushed.map_err(|_| Reason::TooLarge)? {
            for event in self.seeing.picture(unit, arrived, &mut self.wall)? {
                let event = match event {
                    Event::Changed(video) => self.announce(video),
                    other @ (Event::Connected { .. }
                    | Event::Video(_)
                    | Event::Audio(_)
                    | Event::Ended(_)) => other,
                };
                self.send(event).await?;
            }
        }
        if self.announced.is_some() && begin.elapsed() > self.limits.key_frame {
            return Err(Reason::NoKeyFrame(self.limits.key_frame.as_secs()));
        }
        Ok(())
    }

    /// The first format is that of the connection, later ones are changes.
    fn announce(&mut self, video: VideoFormat) -> Event {
        let Some((audio, mut notes)) = self.announced.take() else {
            return Event::Changed(video);
        };
        if matches!(video.parameters.reordering, Reordering::Announced(_)) {
            notes.push(Note::MayReorder);
        }
        Event::Connected {
            video,
            audio,
            notes,
        }
    }

    /// What the camera's clock shows.
    fn report(&mut self, packet: &ReceivedCompoundPacket) {
        let Some(raw) = packet.rtp_timestamp() else {
            return;
        };
        let Some(Ok(Some(report))) = packet.pkts().next().map(|first| first.as_sender_report())
        else {
            return;
        };
        let ntp = i128::from(report.ntp_timestamp().0);
        // Some cameras leave it out.
        if ntp == 0 {
            return;
        }
        let micros = ((ntp * 1_000_000) >> NTP_UNIT) as i64;
        let stream = packet.stream_id();
        if stream == self.seeing.stream {
            let track = &mut self.seeing.track;
            track.report(raw.timestamp(), micros, &mut self.wall);
        } else if let Some(hearing) = self.hearing.as_mut().filter(|h| h.stream == stream) {
            let track = &mut hearing.track;
            track.report(raw.timestamp(), micros, &mut self.wall);
        }
    }

    /// Waits while too many events do: the camera's packets then wait in the socket.
    async fn send(&self, event: Event) -> Result<(), Reason> {
        // Nobody is there to be told why.
        self.events.send(event).await.map_err(|_| Reason::Closed)
    }
}

/// The stream of pictures.
struct Seeing {
    stream: usize,
    coding: Coding,
    depacketizer: Depacketizer,
    packetizer: Packetizer,
    track: Track,
    format: Option<VideoFormat>,
    b_frames: u32,
}

impl Seeing {
    fn new(stream: usize, coding: Coding, packetizer: Packetizer, after: Option<u32>) -> Seeing {
        Seeing {
            stream,
            coding,
            depacketizer: Depacketizer::new(coding),
            packetizer,
            track: Track::new(coding.codec().clock_rate(), after),
            format: None,
            b_frames: 0,
        }
    }

    /// The events of a picture. `Changed` comes before the first one as well.
    fn picture(
        &mut self,
        unit: AccessUnit,
        arrived: i64,
        wall: &mut Wall,
    ) -> Result<Vec<Event>, Reason> {
        if has_bidirectional_slices(self.coding, &unit.units) {
            self.b_frames += 1;
        }
        if self.b_frames >= ENOUGH_B_FRAMES {
            return Err(Reason::BFrames);
        }
        let units = self.packetizer.complete(&unit.units);
        let placed = self.track.place(unit.timestamp, arrived, wall);
        let mut events = Vec::with_capacity(2);
        if unit.key_frame && self.packetizer.is_ready() {
            let format = self.read_format();
            if format.is_some() && format != self.format {
                events.extend(format.map(Event::Changed));
                self.format = format;
            }
        }
        // Nothing can be decoded before that.
        if self.format.is_none() {
            return Ok(Vec::new());
        }
        let payloads = self.packetizer.packetize(&units);
        if payloads.is_empty() {
            return Ok(events);
        }
        events.push(Event::Video(Picture {
            payloads,
            units,
            timestamp: placed.timestamp,
            captured: Placed::since_epoch(placed.captured),
            key_frame: unit.key_frame,
            after_loss: unit.after_loss,
        }));
        Ok(events)
    }

    fn read_format(&self) -> Option<VideoFormat> {
        let set = self.packetizer.sequence_parameter_set()?;
        let parameters = SequenceParameters::parse(self.coding, set)?;
        Some(VideoFormat {
            codec: self.coding.codec(),
            size: parameters.size,
            profile: parameters.profile_name(self.coding),
            parameters,
        })
    }
}

/// The stream of sound.
struct Hearing {
    stream: usize,
    codec: Codec,
    way: Way,
    units: AccessUnits,
    track: Track,
    begins: bool,
    heard: Arc<AtomicBool>,
    /// Nobody has heard the packets before this one.
    unheard: bool,
    max_payload: usize,
}

impl Hearing {
    fn new(stream: usize, format: &AudioFormat, mut way: Way, options: &Options) -> Hearing {
        let after = options.after.audio;
        let track = match (&mut way, after) {
            (Way::Pass, after) => Track::new(format.codec.clock_rate(), after),
            (Way::Transcode(transcoder), after) => {
                after.into_iter().for_each(|after| transcoder.resume(after));
                Track::new(transcoder.rate(), None)
            }
        };
        Hearing {
            stream,
            codec: format.codec,
            way,
            units: AccessUnits::default(),
            track,
            begins: true,
            heard: Arc::clone(&options.heard),
            unheard: false,
            max_payload: options.max_payload,
        }
    }

    fn packet(&mut self, packet: ReceivedPacket, arrived: i64, wall: &mut Wall) -> Vec<Sound> {
        let raw = packet.timestamp().timestamp();
        // The clock goes on meanwhile.
        let placed = self.track.place(raw, arrived, wall);
        if !self.heard.load(Ordering::Relaxed) {
            self.unheard = true;
            return Vec::new();
        }
        let lost = std::mem::take(&mut self.unheard) || packet.loss() > 0;
        let payload = packet.into_payload_bytes();
        match &mut self.way {
            Way::Pass => {
                let begins = std::mem::take(&mut self.begins) || lost;
                audio::pass(self.codec, &payload, placed, begins, self.max_payload)
            }
            Way::Transcode(transcoder) => {
                let rate = i64::from(transcoder.rate());
                let units = self.units.read(&payload, lost).unwrap_or_default();
                let each = units.iter().enumerate().flat_map(|(index, unit)| {
                    let later = index as i64 * audio::SAMPLES * 1_000_000 / rate;
                    transcoder.push(unit, placed.captured + later)
                });
                each.collect()
            }
        }
    }
}
