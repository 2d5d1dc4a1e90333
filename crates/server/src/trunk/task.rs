//! One link while it is up: what goes in and out of its socket.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use umbrella_wire::trunk::frame::Message;
use umbrella_wire::trunk::{Bye, Frame, Ping, Pong, Relayed};

use super::LinkId;
use super::frame::{decode, most};
use super::hello::{self, frame, shown};
use super::link::{LinkEnd, LinkEvent, LinkInbox};
use super::pulse::{Beat, Budget, Pulse};
use super::registry::Inner;
use super::socket::{CLOSE, Incoming, Reader, Socket, WRITE, Writer};
use crate::tasks;

/// Frames that are written together.
const BATCH: usize = 64;

/// Pings and answers to pings that wait to be written. Somebody who sends more without reading
/// gets fewer answers.
const OWN: usize = 64;

/// What the registry wants of a link.
#[derive(Debug)]
pub(super) enum Order {
    /// Ends it; the neighbour is told why.
    End(String),
    /// Tells when the neighbour is next heard; it is asked at once.
    Ask(oneshot::Sender<()>),
}

/// What the registry has to say to a link.
#[derive(Debug)]
pub(super) struct Wires {
    pub(super) orders: mpsc::Receiver<Order>,
    /// Pieces of other links that are passed on to the neighbour.
    pub(super) relayed: mpsc::Receiver<Frame>,
}

/// What goes out besides the frames of the rooms' owner.
#[derive(Debug)]
enum Out {
    Frame(Box<Frame>),
    Bye(String),
}

/// Serves a link until it ends. Returns why, for the operator.
pub(super) async fn run(
    inner: Arc<Inner>,
    link: LinkId,
    socket: Socket,
    inbox: LinkInbox,
    wires: Wires,
) -> String {
    let (own, out) = mpsc::channel(OWN);
    let LinkInbox { frames, attention } = inbox;
    let sources = Sources {
        own: out,
        frames,
        relayed: wires.relayed,
    };
    let writing = tasks::spawn(write(socket.writer, sources));
    let now = Instant::now();
    let link = Running {
        inner,
        link,
        reader: socket.reader,
        attention: Some(attention),
        orders: wires.orders,
        own,
        pulse: Pulse::new(now),
        budget: Budget::new(now),
        asking: Vec::new(),
    };
    link.run(writing).await
}

struct Running {
    inner: Arc<Inner>,
    link: LinkId,
    reader: Reader,
    attention: Option<tokio::sync::watch::Receiver<bool>>,
    orders: mpsc::Receiver<Order>,
    own: mpsc::Sender<Out>,
    pulse: Pulse,
    budget: Budget,
    asking: Vec<oneshot::Sender<()>>,
}

/// How a link ends.
enum End {
    /// We end it: the neighbour is told.
    Ours(String),
    /// The neighbour has ended it, or is gone.
    Theirs(String),
}

impl Running {
    async fn run(mut self, mut writing: JoinHandle<String>) -> String {
        let end = loop {
            let deadline = tokio::time::Instant::from_std(self.pulse.deadline());
            let step = tokio::select! {
                incoming = self.reader.next() => self.incoming(incoming).await,
                order = self.orders.recv() => self.order(order),
                attended = changed(&mut self.attention) => {
                    self.attend(attended);
                    Ok(())
                }
                () = tokio::time::sleep_until(deadline) => self.tick().await,
                written = &mut writing => {
                    return written.unwrap_or_else(|_| "writing has failed".to_owned());
                }
            };
            if let Err(end) = step {
                break end;
            }
        };
        match end {
            End::Ours(why) => {
                let _ = timeout(CLOSE, self.own.send(Out::Bye(why.clone()))).await;
                if timeout(CLOSE, &mut writing).await.is_err() {
                    writing.abort();
                }
                why
            }
            End::Theirs(why) => {
                writing.abort();
                why
            }
        }
    }

    async fn incoming(&mut self, incoming: Option<Result<Incoming, String>>) -> Result<(), End> {
        let bytes = match incoming {
            Some(Ok(Incoming::Frame(bytes))) => bytes,
            Some(Ok(Incoming::Other)) => Bytes::new(),
            Some(Ok(Incoming::Closed)) | None => {
                return Err(End::Theirs("the connection was closed".to_owned()));
            }
            // Also what breaks the rules of WebSockets, such as a frame that is too long.
            Some(Err(error)) => return Err(End::Ours(error)),
        };
        let now = Instant::now();
        self.heard(now).await;
        if let Some(pause) = self.budget.take(now, bytes.len()) {
            // Nothing is read meanwhile: the network holds it back for us.
            tokio::time::sleep(pause).await;
            self.pulse.pardon(Instant::now());
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let frame = decode(&bytes).map_err(End::Ours)?;
        self.frame(now, frame).await
    }

    async fn heard(&mut self, now: Instant) {
        for asking in self.asking.drain(..) {
            // Whoever has asked may have given up.
            let _ = asking.send(());
        }
        if self.pulse.heard(now) {
            self.silent(false).await;
        }
    }

    async fn frame(&mut self, now: Instant, frame: Frame) -> Result<(), End> {
        match frame.message {
            // Of a newer server.
            None => Ok(()),
            Some(Message::Ping(ping)) => {
                let number = ping.number;
                self.send(Message::Pong(Pong { number }));
                Ok(())
            }
            Some(Message::Pong(pong)) => {
                if let Some(time) = self.pulse.answered(now, pong.number) {
                    let link = self.link;
                    self.inner.round_trip(link, time);
                    self.tell(LinkEvent::RoundTrip { link, time }).await;
                }
                Ok(())
            }
            Some(Message::Bye(bye)) => Err(End::Theirs(shown(&bye.text, 500))),
            Some(Message::Introduction(it)) => self.inner.meet(self.link, it).map_err(End::Ours),
            Some(Message::Relayed(piece)) => self.relayed(piece).await,
            Some(
                Message::Hello(_)
                | Message::Challenge(_)
                | Message::Proof(_)
                | Message::Welcome(_)
                | Message::Refused(_),
            ) => Err(End::Ours("a frame of the handshake came after it".into())),
            Some(
                message @ (Message::Route(_)
                | Message::Unroute(_)
                | Message::Follow(_)
                | Message::Unfollow(_)
                | Message::Person(_)
                | Message::Gone(_)
                | Message::Followed(_)
                | Message::Synced(_)
                | Message::Demand(_)
                | Message::Starved(_)
                | Message::Data(_)
                | Message::Levels(_)
                | Message::Qualities(_)
                | Message::Order(_)
                | Message::RoomState(_)
                | Message::Node(_)
                | Message::MediaParameters(_)
                | Message::MediaCandidate(_)),
            ) => {
                let (link, frame) = (self.link, Box::new(hello::frame(message)));
                self.tell(LinkEvent::Frame { link, frame }).await;
                Ok(())
            }
        }
    }

    fn order(&mut self, order: Option<Order>) -> Result<(), End> {
        match order {
            Some(Order::End(why)) => Err(End::Ours(why)),
            Some(Order::Ask(asking)) => {
                self.asking.push(asking);
                self.pulse.ask(Instant::now());
                Ok(())
            }
            None => Err(End::Ours("the server is going down".to_owned())),
        }
    }

    fn attend(&mut self, attended: Option<bool>) {
        match attended {
            Some(attended) => self.pulse.attend(Instant::now(), attended),
            // The link ends by its other channel.
            None => self.attention = None,
        }
    }

    async fn tick(&mut self) -> Result<(), End> {
        while let Some(beat) = self.pulse.tick(Instant::now()) {
            match beat {
                Beat::Ping(number) => self.send(Message::Ping(Ping { number })),
                Beat::Silent => self.silent(true).await,
                Beat::Dead => {
                    return Err(End::Ours("nothing was heard for too long".to_owned()));
                }
            }
        }
        Ok(())
    }

    async fn silent(&mut self, silent: bool) {
        let link = self.link;
        self.tell(LinkEvent::Silent { link, silent }).await;
    }

    /// Waits while the owner of the rooms is busy. What has come meanwhile lies in the socket: its
    /// sender is not to blame.
    async fn tell(&mut self, event: LinkEvent) {
        let before = Instant::now();
        let _ = self.inner.events.send(event).await;
        self.pardon(before);
    }

    /// Hands a piece of another trunk over, or passes it on. Waits while there is no room for it.
    async fn relayed(&mut self, piece: Relayed) -> Result<(), End> {
        let before = Instant::now();
        let taken = self.inner.relayed(self.link, piece).await;
        self.pardon(before);
        taken.map_err(End::Ours)
    }

    /// Nothing was read since then: that is not the neighbour's silence.
    fn pardon(&mut self, since: Instant) {
        let now = Instant::now();
        if now.duration_since(since) > Duration::from_millis(100) {
            self.pulse.pardon(now);
        }
    }

    /// What does not fit is not sent: pings come again.
    fn send(&self, message: Message) {
        let _ = self.own.try_send(Out::Frame(Box::new(frame(message))));
    }
}

/// The new attention; `None` if nobody can say any more.
async fn changed(attention: &mut Option<tokio::sync::watch::Receiver<bool>>) -> Option<bool> {
    match attention {
        Some(watch) => match watch.changed().await {
            Ok(()) => Some(*watch.borrow_and_update()),
            Err(_) => None,
        },
        None => std::future::pending().await,
    }
}

/// Where frames for the neighbour come from.
struct Sources {
    /// Of the link itself.
    own: mpsc::Receiver<Out>,
    /// Of the rooms' owner.
    frames: mpsc::Receiver<Result<Frame, LinkEnd>>,
    /// Pieces of other links that are passed on.
    relayed: mpsc::Receiver<Frame>,
}

impl Sources {
    /// What is to be written next: pings and answers to them first, so that they measure the path.
    async fn next(&mut self) -> Option<Out> {
        let rest = async {
            // In no order, so that neither keeps the other one waiting.
            tokio::select! {
                frame = self.frames.recv() => match frame {
                    Some(Ok(frame)) => Out::Frame(Box::new(frame)),
                    Some(Err(end)) => Out::Bye(end.reason),
                    None => Out::Bye("the link is not needed any more".to_owned()),
                },
                Some(piece) = self.relayed.recv() => Out::Frame(Box::new(piece)),
            }
        };
        tokio::select! {
            biased;
            out = self.own.recv() => out,
            out = rest => Some(out),
        }
    }
}

/// Writes until the link ends; returns why.
async fn write(mut writer: Writer, mut sources: Sources) -> String {
    loop {
        let Some(next) = sources.next().await else {
            return "the link was dropped".to_owned();
        };
        let batch = match next {
            Out::Frame(frame) => batch(&mut writer, *frame, &mut sources.frames),
            Out::Bye(why) => {
                bye(writer, &why).await;
                return why;
            }
        };
        match timeout(WRITE, batch).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(end))) => {
                bye(writer, &end.reason).await;
                return end.reason;
            }
            Ok(Err(error)) => return format!("writing has failed: {error}"),
            Err(_) => return "the other server does not read".to_owned(),
        }
    }
}

/// Writes a frame and those that wait behind it.
async fn batch(
    writer: &mut Writer,
    first: Frame,
    frames: &mut mpsc::Receiver<Result<Frame, LinkEnd>>,
) -> Result<Option<LinkEnd>, String> {
    feed(writer, &first).await?;
    for _ in 1..BATCH {
        match frames.try_recv() {
            Ok(Ok(frame)) => feed(writer, &frame).await?,
            Ok(Err(end)) => return Ok(Some(end)),
            Err(_) => break,
        }
    }
    writer.flush().await?;
    Ok(None)
}

async fn feed(writer: &mut Writer, frame: &Frame) -> Result<(), String> {
    if frame.encoded_len() > most(frame) {
        // The neighbour would end the link for it.
        tracing::error!(
            bytes = frame.encoded_len(),
            "a frame of a trunk is too long"
        );
        return Ok(());
    }
    writer.feed(frame.encode_to_vec().into()).await
}

async fn bye(mut writer: Writer, why: &str) {
    let text = why.to_owned();
    let bytes = frame(Message::Bye(Bye { text })).encode_to_vec();
    let end = async {
        writer.send(bytes.into()).await?;
        writer.close().await
    };
    let _ = timeout(CLOSE, end).await;
}
