//! Why there is no picture, in words that say what to do.

use super::MAX_PICTURE_MIB;
use crate::memory::NoMemory;
use crate::trunk::Pin;

/// Why a session has ended, or never began. Holds no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The name has no address.
    #[error("nobody knows the name {0}; check it, or enter the camera's IP address")]
    UnknownName(String),
    /// No way to the host; the system's words.
    #[error("the camera cannot be reached ({0}); is it switched on and in this network?")]
    Unreachable(String),
    /// The host says that nobody listens.
    #[error(
        "the host is there, but nothing listens on port {0}; check the port, and that RTSP is switched on in the camera"
    )]
    PortClosed(u16),
    /// Nothing came in time.
    #[error("no answer to {step} within {seconds} s")]
    Silent {
        /// What was asked for.
        step: Step,
        /// How long was waited.
        seconds: u64,
    },
    /// Something else listens.
    #[error("what listens there does not speak RTSP; check the port (cameras mostly have 554)")]
    NotRtsp,
    /// The camera wants some, and there is none.
    #[error("the camera wants a user and a password: enter rtsp://user:password@…")]
    PasswordNeeded,
    /// They were refused.
    #[error("the camera refuses this user and password; some cameras have another one for RTSP")]
    WrongPassword,
    /// 403.
    #[error("the camera lets this user not see this stream")]
    Forbidden,
    /// 404.
    #[error("the camera has no stream at this path; look up the path in its manual")]
    NotFound,
    /// 453 and 503.
    #[error("the camera has no room for another viewer; close another one, or use its substream")]
    Busy,
    /// 461.
    #[error("the camera refuses this transport; choose the other one of TCP and UDP")]
    Transport,
    /// Any other status.
    #[error("the camera answers {step} with status {status}")]
    Status {
        /// What was asked for.
        step: Step,
        /// RTSP's number.
        status: u16,
    },
    /// To another host, or more than once.
    #[error("the camera sends us elsewhere ({0}); enter that address if it is right")]
    Redirected(String),
    /// What it says makes no sense.
    #[error("the camera breaks the rules of RTSP at {step}: {what}")]
    Protocol {
        /// What was asked for.
        step: Step,
        /// In the words of whoever noticed.
        what: String,
    },
    /// Sound only, or nothing.
    #[error("there is no video at this address")]
    NoVideo,
    /// MJPEG, for instance.
    #[error(
        "the camera sends {0}, which browsers do not play in calls; choose H.264 in the camera's settings, or its H.264 substream"
    )]
    VideoCodec(String),
    /// Pictures in another order.
    #[error(
        "the camera sends B-frames, which browsers do not show well; switch B-frames off in its settings, or choose profile Baseline, or Main without B-frames"
    )]
    BFrames,
    /// More than [`MAX_PICTURE_MIB`].
    #[error(
        "the camera sends pictures of more than {MAX_PICTURE_MIB} MiB; choose a lower resolution or bitrate"
    )]
    TooLarge,
    /// More than anybody needs for that.
    #[error("the camera's answers are too long")]
    TooMuchText,
    /// Nothing at all.
    #[error("the camera sends nothing for {0} s; with UDP, a firewall may be in the way: try TCP")]
    Frozen(u64),
    /// Packets, but none to begin with.
    #[error(
        "the camera sends no key frame for {0} s; choose a shorter key frame (I-frame) interval"
    )]
    NoKeyFrame(u64),
    /// It has hung up.
    #[error("the camera has closed the connection")]
    Closed,
    /// Nobody vouches for the certificate.
    #[error(
        "nobody vouches for the camera's certificate; confirm its fingerprint if it is the camera's: {0}"
    )]
    UnknownCertificate(Pin),
    /// Somebody else's certificate.
    #[error(
        "the camera has another certificate than the one that was confirmed; confirm it anew if the camera's was changed"
    )]
    OtherCertificate,
    /// What TLS says.
    #[error("TLS with the camera fails: {0}")]
    Tls(String),
    /// Ours is not enough.
    #[error("{NoMemory}")]
    NoMemory,
    /// Our mistake.
    #[error("reading from the camera failed; it is tried again")]
    Internal,
    /// Our mistake, and nobody is left who could try again.
    #[error("internal fault; change something about the camera, or restart the server")]
    Fault,
}

/// What was asked for when it went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// TCP, and TLS if there is any.
    Connect,
    /// What streams there are.
    Describe,
    /// One of them.
    Setup,
    /// All of them to begin.
    Play,
    /// Pictures and sound.
    Stream,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Step::Connect => "connecting",
            Step::Describe => "DESCRIBE",
            Step::Setup => "SETUP",
            Step::Play => "PLAY",
            Step::Stream => "the stream",
        })
    }
}

impl Reason {
    /// Whether somebody has to change something first: trying again soon helps nobody, and many
    /// cameras lock a user out who tries a wrong password.
    pub fn needs_person(&self) -> bool {
        match self {
            Reason::NotRtsp
            | Reason::PasswordNeeded
            | Reason::WrongPassword
            | Reason::Forbidden
            | Reason::NotFound
            | Reason::Transport
            | Reason::Redirected(_)
            | Reason::NoVideo
            | Reason::VideoCodec(_)
            | Reason::BFrames
            | Reason::TooLarge
            | Reason::UnknownCertificate(_)
            | Reason::OtherCertificate
            | Reason::Fault => true,
            Reason::UnknownName(_)
            | Reason::Unreachable(_)
            | Reason::PortClosed(_)
            | Reason::Silent { .. }
            | Reason::Busy
            | Reason::Status { .. }
            | Reason::Protocol { .. }
            | Reason::TooMuchText
            | Reason::Frozen(_)
            | Reason::NoKeyFrame(_)
            | Reason::Closed
            | Reason::Tls(_)
            | Reason::NoMemory
            | Reason::Internal => false,
        }
    }

    /// What a status means.
    pub(super) fn of_status(step: Step, status: u16, has_credentials: bool) -> Reason {
        match status {
            401 | 407 if has_credentials => Reason::WrongPassword,
            401 | 407 => Reason::PasswordNeeded,
            403 => Reason::Forbidden,
            404 => Reason::NotFound,
            453 | 503 => Reason::Busy,
            461 => Reason::Transport,
            _ => Reason::Status { step, status },
        }
    }
}
