//! Looks at a camera once, for the operator.

use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::operator::CameraError;
use super::still::still;
use crate::auth::CameraLimit;
use crate::camera::{AudioFormat, Findings, Limits, Options, Reason, VideoFormat, probe_until};
use crate::http::api::{CameraFindings, CameraSound, CameraTested, CameraVideo};

/// Cameras that are looked at at a time.
const AT_ONCE: usize = 2;

/// How long a look takes at most.
const WHOLE: Duration = Duration::from_secs(12);

/// Bounds looks: an address that somebody enters must not make this server search a network.
#[derive(Debug)]
pub(super) struct Trials {
    limit: CameraLimit,
    room: Semaphore,
}

impl Trials {
    pub(super) fn new() -> Trials {
        Trials {
            limit: CameraLimit::new(Instant::now()),
            room: Semaphore::new(AT_ONCE),
        }
    }

    /// Looks at a camera.
    pub(super) async fn look(&self, mut options: Options) -> Result<CameraTested, CameraError> {
        let _place = self.room.try_acquire().map_err(|_| CameraError::Busy)?;
        self.limit.attempt(Instant::now())?;
        options.limits = Limits {
            connect: Duration::from_secs(4),
            answer: Duration::from_secs(4),
            start: Duration::from_secs(6),
            frozen: Duration::from_secs(5),
            key_frame: WHOLE,
        };
        Ok(match probe_until(options, WHOLE).await {
            Ok(findings) => {
                let ended = findings.ended.as_ref();
                CameraTested {
                    why: ended.map(ToString::to_string),
                    fingerprint: ended.and_then(fingerprint),
                    found: Some(describe(&findings)),
                }
            }
            Err(reason) => CameraTested {
                found: None,
                why: Some(reason.to_string()),
                fingerprint: fingerprint(&reason),
            },
        })
    }
}

/// Of the certificate that the operator may confirm, if that is what is missing.
pub(super) fn fingerprint(reason: &Reason) -> Option<String> {
    if let Reason::UnknownCertificate(pin) = reason {
        return Some(pin.to_string());
    }
    None
}

fn describe(findings: &Findings) -> CameraFindings {
    CameraFindings {
        video: video(&findings.video),
        sound: findings.audio.as_ref().map(sound),
        notes: findings.notes.iter().map(ToString::to_string).collect(),
        first_picture_ms: millis(findings.first_picture),
        frame_rate: findings.frame_rate,
        key_frame_interval_ms: findings.key_frame_interval.map(millis),
        bitrate: findings.bitrate,
        still: still(findings.video.codec, &findings.key_frame),
    }
}

/// As the page shows pictures.
pub(super) fn video(format: &VideoFormat) -> CameraVideo {
    CameraVideo {
        codec: short(format.codec.mime()),
        profile: format.profile.to_owned(),
        width: format.size.width,
        height: format.size.height,
    }
}

/// As the page shows sound.
pub(super) fn sound(format: &AudioFormat) -> CameraSound {
    CameraSound {
        codec: short(format.codec.mime()),
        source: format.source.clone(),
    }
}

fn short(mime: &str) -> String {
    mime.rsplit('/').next().unwrap_or(mime).to_owned()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
