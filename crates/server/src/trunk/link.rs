//! What the door of trunks and the owner of the rooms have in common.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use umbrella_room::mesh::{LinkId, Rooms};
use umbrella_wire::trunk::Frame;

/// Frames that wait for a link's socket. A neighbour that lets more pile up does not read, and
/// loses the link.
const OUTBOX: usize = 8192;

/// The server at the other end of a link, as it has proved to be.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// Its stable id.
    pub node: Arc<str>,
    /// This run of it.
    pub incarnation: u64,
    /// Shown to people.
    pub name: String,
    /// Its software, shown to people.
    pub version: String,
    /// It carries media.
    pub media: bool,
    /// We dialled it; otherwise it dialled us.
    pub dialled: bool,
    /// What rooms the link carries.
    pub rooms: Rooms,
    /// Whether moderators there may do something about participants here.
    pub may_moderate: bool,
    /// Who has introduced it; what it says comes by way of that one.
    pub introducer: Option<Introducer>,
}

/// A server in the middle that has put two others in touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introducer {
    /// Shown to people.
    pub name: String,
    /// Addresses that tell by STUN how they see us, for the media connection.
    pub reflectors: Vec<SocketAddr>,
}

/// What happens to links, in order for each link: `Up`, any number of others, `Down`.
#[derive(Debug)]
pub enum LinkEvent {
    /// A neighbour is there.
    Up {
        /// The new link.
        link: LinkId,
        /// Who is at the other end.
        neighbour: Box<Neighbour>,
        /// Where frames for it go.
        outbox: LinkOutbox,
    },
    /// It has sent something.
    Frame {
        /// Which link.
        link: LinkId,
        /// What.
        frame: Box<Frame>,
    },
    /// A ping was answered.
    RoundTrip {
        /// Which link.
        link: LinkId,
        /// How long that took.
        time: Duration,
    },
    /// Nothing comes from the neighbour although it should, or it is heard again. The link stays;
    /// it ends if this lasts.
    Silent {
        /// Which link.
        link: LinkId,
        /// Silent or heard.
        silent: bool,
    },
    /// It is gone.
    Down {
        /// Which link.
        link: LinkId,
    },
}

/// Why the owner of the rooms ends a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkEnd {
    /// For the neighbour and the operator.
    pub reason: String,
}

/// Where frames for a link go; the link ends when this is dropped.
#[derive(Debug, Clone)]
pub struct LinkOutbox {
    frames: mpsc::Sender<Result<Frame, LinkEnd>>,
    attention: Arc<watch::Sender<bool>>,
}

/// The other end of a [`LinkOutbox`].
#[derive(Debug)]
pub struct LinkInbox {
    /// What is to be sent, and why the link is to end.
    pub frames: mpsc::Receiver<Result<Frame, LinkEnd>>,
    /// Whether somebody depends on the link: see [`LinkOutbox::attend`].
    pub attention: watch::Receiver<bool>,
}

/// A way to a link's socket, and its end.
pub fn link_outbox() -> (LinkOutbox, LinkInbox) {
    let (sender, frames) = mpsc::channel(OUTBOX);
    let (attend, attention) = watch::channel(false);
    let outbox = LinkOutbox {
        frames: sender,
        attention: Arc::new(attend),
    };
    (outbox, LinkInbox { frames, attention })
}

impl LinkOutbox {
    /// Sends a frame. False if the neighbour does not read, or is gone.
    pub fn send(&self, frame: Frame) -> bool {
        self.frames.try_send(Ok(frame)).is_ok()
    }

    /// Whether somebody depends on the link now: it is then looked after so often that its silence
    /// is noticed within about a second, and otherwise so seldom that it costs next to nothing.
    pub fn attend(&self, attend: bool) {
        self.attention.send_replace(attend);
    }

    /// Ends the link.
    pub fn end(&self, reason: &str) {
        let end = LinkEnd {
            reason: reason.to_owned(),
        };
        // If it is full, it ends with the last sender.
        let _ = self.frames.try_send(Err(end));
    }
}
