//! Looks at a camera once, and tells what is there.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};

use super::audio::AudioFormat;
use super::reason::Reason;
use super::session::{Event, Note, Options, Picture, Session, VideoFormat};

/// How long pictures are looked at.
const LOOK: Duration = Duration::from_secs(6);

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// What the pictures are.
    pub video: VideoFormat,
    /// What the sound is.
    pub audio: Option<AudioFormat>,
    /// What is not as it should be.
    pub notes: Vec<Note>,
    /// How long it took until the first picture.
    pub first_picture: Duration,
    /// Pictures per second, as they came. `None` if there were too few.
    pub frame_rate: Option<f64>,
    /// Between key frames; `None` if there was one only.
    pub key_frame_interval: Option<Duration>,
    /// Bits per second of pictures.
    pub bitrate: u64,
    /// The last key frame's NAL units, with its parameter sets.
    pub key_frame: Vec<Bytes>,
    /// Why it ended before it was looked at long enough.
    pub ended: Option<Reason>,
}

/// Connects, looks for about six seconds at most (less if there are two key frames before), and
/// hangs up.
///
/// # Errors
///
/// Why there is nothing.
pub async fn probe(options: Options) -> Result<Findings, Reason> {
    probe_for(options, LOOK).await
}

/// The same, and all of it within `whole`.
///
/// # Errors
///
/// Why there is nothing.
pub async fn probe_until(options: Options, whole: Duration) -> Result<Findings, Reason> {
    probe_within(options, LOOK, Some(whole)).await
}

pub(super) async fn probe_for(options: Options, look: Duration) -> Result<Findings, Reason> {
    probe_within(options, look, None).await
}

async fn probe_within(
    options: Options,
    look: Duration,
    whole: Option<Duration>,
) -> Result<Findings, Reason> {
    let begin = Instant::now();
    let start = options.limits.start;
    let mut session = Session::open(options);
    // Whoever has answered and is only waited for has sent no key frame.
    let late = whole.unwrap_or(Duration::MAX).max(start);
    let (video, audio, notes) = loop {
        let Ok(event) = timeout(late.saturating_sub(begin.elapsed()), session.next()).await else {
            return Err(Reason::NoKeyFrame(late.as_secs()));
        };
        match event {
            Some(Event::Connected {
                video,
                audio,
                notes,
            }) => break (video, audio, notes),
            Some(Event::Ended(reason)) => return Err(reason),
            Some(Event::Video(_) | Event::Audio(_) | Event::Changed(_)) => {}
            None => return Err(Reason::Internal),
        }
    };
    let mut findings = Findings {
        video,
        audio,
        notes,
        first_picture: begin.elapsed(),
        frame_rate: None,
        key_frame_interval: None,
        bitrate: 0,
        key_frame: Vec::new(),
        ended: None,
    };
    let mut seen = Seen::default();
    let look = look.min(late.saturating_sub(begin.elapsed()));
    let until = Instant::now() + look;
    // Half the time tells a rate; two key frames tell the rest.
    let enough = Instant::now() + look / 2;
    while let Ok(Some(event)) = timeout_at(until, session.next()).await {
        match event {
            Event::Video(picture) => seen.picture(picture),
            Event::Changed(video) => findings.video = video,
            Event::Ended(reason) => findings.ended = Some(reason),
            Event::Audio(_) | Event::Connected { .. } => {}
        }
        if seen.key_frames.len() > 2 && Instant::now() > enough {
            break;
        }
    }
    seen.tell(&mut findings);
    Ok(findings)
}

/// What is counted. Times are those of the camera: the first pictures come all at once from some.
#[derive(Debug, Default)]
struct Seen {
    times: Vec<Duration>,
    key_frames: Vec<Duration>,
    bytes: usize,
    last: Vec<Bytes>,
}

impl Seen {
    fn picture(&mut self, picture: Picture) {
        self.times.push(picture.captured);
        self.bytes += picture.payloads.iter().map(Bytes::len).sum::<usize>();
        if picture.key_frame {
            self.key_frames.push(picture.captured);
            self.last = picture.units;
        }
    }

    fn tell(self, findings: &mut Findings) {
        let span = |times: &[Duration]| match (times.first(), times.last()) {
            (Some(first), Some(last)) if last > first => Some(*last - *first),
            _ => None,
        };
        let gaps = |times: &[Duration]| times.len().saturating_sub(1);
        if let Some(whole) = span(&self.times) {
            let gaps = gaps(&self.times) as f64;
            let rate = gaps / whole.as_secs_f64();
            findings.frame_rate = Some(rate);
            // The last picture's own time belongs to its bytes.
            let seconds = whole.as_secs_f64() * (gaps + 1.0) / gaps;
            findings.bitrate = (self.bytes as f64 * 8.0 / seconds) as u64;
        }
        let keys = u32::try_from(gaps(&self.key_frames)).unwrap_or(1).max(1);
        findings.key_frame_interval = span(&self.key_frames).map(|whole| whole / keys);
        findings.key_frame = self.last;
    }
}
