//! One client's WebSocket.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, close_code};
use futures_util::SinkExt as _;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use umbrella_room::model::{LeaveReason, ParticipantId};
use umbrella_room::{Command, Notification};
use umbrella_wire::client::{SignalResponse, signal_response::Message};

use super::decode::{self, Request};
use super::door::{Guest, Refused};
use super::limits::Rates;
use super::{Shared, encode, follow};
use crate::auth::{Authority, Bearer, Claims};
use crate::clock::unix_seconds;
use crate::control::{
    Event, Handle, Joining, Links, Resuming, SessionId, SessionInput, SocketId, outbox,
};
use crate::turn::{IceServer, ice_servers};

/// A client from which nothing comes for so long is gone: it pings every five seconds.
const SILENCE: Duration = Duration::from_secs(20);

/// A client that does not take what it is sent for so long is gone.
const WRITE: Duration = Duration::from_secs(10);

/// How long a client has to answer a close.
const CLOSE: Duration = Duration::from_secs(1);

/// How often a client gets a fresh token.
const REFRESH: Duration = Duration::from_secs(5 * 60);

/// How long a fresh token is valid at least, in seconds: clients come back with it.
const REFRESHED_S: u64 = 10 * 60;

/// Events that are written together.
const BATCH: usize = 64;

/// Serves a client until it is gone.
pub(super) async fn run(mut socket: WebSocket, shared: Arc<Shared>, guest: Guest) {
    let (sender, events) = outbox();
    if let Some(stay) = guest.hello.resume {
        let resuming = Box::new(Resuming {
            room: guest.room,
            participant: stay.clone(),
            identity: guest.join.identity,
            links: guest.hello.links,
            outbox: sender,
        });
        let (links, bearer) = (guest.hello.links, guest.bearer);
        match shared.control.resume(resuming).await {
            Ok(line) => {
                let known = (guest.claims, bearer);
                let session = Session::new(line, stay, links, known, shared);
                session.serve(socket, events).await;
            }
            Err(reason) => {
                let _ = write(&mut socket, encode::leave(reason)).await;
                close(&mut socket, close_code::NORMAL, "").await;
            }
        }
        return;
    }
    let id = SessionId::next();
    let me = guest.join.id.clone();
    let line = SocketId::first(id);
    let known = (guest.claims, guest.bearer);
    let session = Session::new(line, me, guest.hello.links, known, shared);
    let joining = Box::new(Joining {
        room: guest.room,
        join: guest.join,
        bearer: guest.bearer,
        links: guest.hello.links,
        client: guest.hello.client(),
        stream_names: guest.hello.stream_names(),
        outbox: sender,
    });
    session.control.join(id, joining).await;
    // The tracks come first: the offer's sections are looked up among them.
    for track in guest.hello.add_tracks {
        if let Some(track) = decode::new_track(track) {
            session.publish(track).await;
        }
    }
    if let Some(offer) = guest.hello.offer {
        session
            .input(SessionInput::Offer {
                offer: offer.id,
                sdp: offer.sdp,
            })
            .await;
    }
    session.serve(socket, events).await;
}

struct Session {
    line: SocketId,
    me: ParticipantId,
    links: Links,
    control: Handle,
    rates: Rates,
    claims: Claims,
    bearer: Bearer,
    shared: Arc<Shared>,
    /// When anything last came from the client.
    heard: Instant,
}

/// How a session ends.
enum Over {
    /// The socket is gone, or of no use any more.
    Lost,
    /// The client said so.
    Asked,
    /// The client broke the protocol.
    Misbehaved(String),
    /// The owner of the rooms has ended it, and knows.
    Ended(LeaveReason),
    /// The owner of the rooms has not let the client in.
    NotAdmitted,
}

impl Session {
    fn new(
        line: SocketId,
        me: ParticipantId,
        links: Links,
        (claims, bearer): (Claims, Bearer),
        shared: Arc<Shared>,
    ) -> Session {
        let now = Instant::now();
        let rates = Rates::new(&shared.limits.borrow(), now.into_std());
        Session {
            line,
            me,
            links,
            control: shared.control.clone(),
            rates,
            claims,
            bearer,
            shared,
            heard: now,
        }
    }

    async fn serve(mut self, mut socket: WebSocket, mut events: mpsc::Receiver<Event>) {
        let over = self.exchange(&mut socket, &mut events).await;
        match over {
            Over::Lost => self.control.lost(self.line, self.heard.into_std()).await,
            Over::Asked => {
                self.hang_up(LeaveReason::Asked).await;
                close(&mut socket, close_code::NORMAL, "").await;
            }
            Over::Misbehaved(why) => {
                tracing::warn!(participant = %self.me, identity = self.claims.sub, why,
                    "client broke the protocol");
                self.hang_up(LeaveReason::Misbehaved).await;
                let _ = write(&mut socket, encode::leave(LeaveReason::Misbehaved)).await;
                close(&mut socket, close_code::POLICY, &why).await;
            }
            Over::Ended(reason) => {
                if reason != LeaveReason::Asked {
                    let _ = write(&mut socket, encode::leave(reason)).await;
                }
                close(&mut socket, close_code::NORMAL, "").await;
            }
            Over::NotAdmitted => {
                let _ = write(&mut socket, encode::not_admitted()).await;
                close(&mut socket, close_code::NORMAL, "").await;
            }
        }
        // From here on the owner of the rooms sees that the client was told.
        drop(events);
    }

    async fn hang_up(&self, reason: LeaveReason) {
        self.control.hangup(self.line, reason).await;
    }

    async fn exchange(
        &mut self,
        socket: &mut WebSocket,
        events: &mut mpsc::Receiver<Event>,
    ) -> Over {
        let mut refresh = Instant::now() + REFRESH;
        loop {
            let done = tokio::select! {
                frame = socket.recv() => {
                    self.heard = Instant::now();
                    match frame {
                        Some(Ok(frame)) => self.receive(socket, frame).await,
                        Some(Err(error)) => Err(broken(&error)),
                        None => Err(Over::Lost),
                    }
                }
                event = events.recv() => match event {
                    Some(event) => self.tell(socket, event, events).await,
                    None => Err(Over::Lost),
                },
                () = tokio::time::sleep_until(self.heard + SILENCE) => Err(Over::Lost),
                () = tokio::time::sleep_until(refresh) => {
                    refresh = Instant::now() + REFRESH;
                    self.refresh_token(socket).await
                }
            };
            if let Err(over) = done {
                return over;
            }
        }
    }

    async fn receive(&mut self, socket: &mut WebSocket, frame: Frame) -> Result<(), Over> {
        let message = match frame {
            Frame::Binary(message) => message,
            Frame::Close(_) => return Err(Over::Lost),
            // Answered by the library.
            Frame::Ping(_) | Frame::Pong(_) => return self.count(),
            Frame::Text(_) => return Err(Over::Misbehaved("a text message".into())),
        };
        self.count()?;
        let request = decode::request(&message, &self.me);
        match request.map_err(|error| Over::Misbehaved(error.to_string()))? {
            Request::Input(input) => self.input(input).await,
            Request::Inputs(inputs) => {
                for input in inputs {
                    self.input(input).await;
                }
            }
            Request::Description(input) => {
                if !self.rates.offer(Instant::now().into_std()) {
                    return Err(Over::Misbehaved("too many session descriptions".into()));
                }
                self.input(input).await;
            }
            Request::OldPing => write(socket, encode::old_pong()).await?,
            Request::Ping(ping) => write(socket, encode::pong(&ping)).await?,
            Request::Refuse(response) => {
                write(socket, Message::RequestResponse(*response)).await?;
            }
            Request::Leave => return Err(Over::Asked),
            Request::Ignore => {}
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Over> {
        if self.rates.message(Instant::now().into_std()) {
            Ok(())
        } else {
            Err(Over::Misbehaved("too many messages".into()))
        }
    }

    async fn publish(&self, track: umbrella_room::command::NewTrack) {
        let publish = Command::Publish {
            participant: self.me.clone(),
            track: Box::new(track),
        };
        self.input(SessionInput::Command(Box::new(publish))).await;
    }

    async fn input(&self, input: SessionInput) {
        // Without an owner of the rooms, the outbox is closed and says so.
        self.control.input(self.line, input).await;
    }

    /// Writes an event and those that wait behind it.
    async fn tell(
        &mut self,
        socket: &mut WebSocket,
        first: Event,
        events: &mut mpsc::Receiver<Event>,
    ) -> Result<(), Over> {
        let mut next = Some(first);
        for left in (0..BATCH).rev() {
            let Some(event) = next.take() else { break };
            self.tell_one(socket, event).await?;
            if left > 0 {
                next = events.try_recv().ok();
            }
        }
        flush(socket).await
    }

    async fn tell_one(&mut self, socket: &mut WebSocket, event: Event) -> Result<(), Over> {
        let begins = matches!(
            event,
            Event::Notify(Notification::Joined(_)) | Event::Resumed { .. }
        );
        let changed = match &event {
            Event::Notify(news) => follow::follow(&mut self.claims, self.bearer, &self.me, news),
            Event::Answer { .. }
            | Event::Offer { .. }
            | Event::SectionsWanted { .. }
            | Event::Resumed { .. }
            | Event::Refused(_)
            | Event::End(_) => false,
        };
        if let Some(message) = self.encode(event)? {
            feed(socket, message).await?;
        }
        if (begins || changed)
            && let Some(message) = self.fresh_token()
        {
            feed(socket, message).await?;
        }
        Ok(())
    }

    fn encode(&self, event: Event) -> Result<Option<Message>, Over> {
        Ok(match event {
            Event::Notify(Notification::Joined(snapshot)) => {
                Some(encode::joined(&snapshot, self.links, self.ice_servers()))
            }
            Event::Notify(notification) => encode::notification(&notification),
            Event::Answer {
                offer,
                sdp,
                sections,
            } => Some(encode::answer(offer, sdp, sections)),
            Event::Offer {
                offer,
                sdp,
                sections,
            } => Some(encode::offer(offer, sdp, sections)),
            Event::SectionsWanted { audio, video } => Some(encode::sections_wanted(audio, video)),
            Event::Resumed { last_message } => {
                Some(encode::resumed(last_message, self.ice_servers()))
            }
            Event::Refused(refused) => {
                tracing::info!(identity = self.claims.sub, reason = %refused, "refused to join");
                Refused::from(refused).count(&self.control);
                return Err(Over::NotAdmitted);
            }
            Event::End(reason) => return Err(Over::Ended(reason)),
        })
    }

    /// Relays, with credentials that are as fresh as can be.
    fn ice_servers(&self) -> Vec<IceServer> {
        ice_servers(&self.shared.turn, unix_seconds(), rand::random())
    }

    async fn refresh_token(&self, socket: &mut WebSocket) -> Result<(), Over> {
        match self.fresh_token() {
            Some(message) => write(socket, message).await,
            None => Ok(()),
        }
    }

    fn fresh_token(&self) -> Option<Message> {
        fresh_token(&self.shared.authority, &self.claims).map(Message::RefreshToken)
    }
}

/// A token for the same, by the same key, that is valid for longer; `None` if the key has been
/// revoked.
fn fresh_token(authority: &Authority, claims: &Claims) -> Option<String> {
    let mut claims = claims.clone();
    claims.exp = claims.exp.max(unix_seconds() + REFRESHED_S);
    claims.nbf = None;
    authority.issue(claims).ok()
}

/// A frame that is too large, or that is none, is the client's fault; the rest is the network's.
fn broken(error: &axum::Error) -> Over {
    let text = error.to_string();
    if text.contains("too long") || text.contains("too big") {
        Over::Misbehaved("a message is too large".into())
    } else {
        Over::Lost
    }
}

async fn write(socket: &mut WebSocket, message: Message) -> Result<(), Over> {
    feed(socket, message).await?;
    flush(socket).await
}

async fn feed(socket: &mut WebSocket, message: Message) -> Result<(), Over> {
    let message = Some(message);
    let frame = Frame::Binary(SignalResponse { message }.encode_to_vec().into());
    match timeout(WRITE, socket.feed(frame)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Over::Lost),
    }
}

async fn flush(socket: &mut WebSocket) -> Result<(), Over> {
    match timeout(WRITE, socket.flush()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Over::Lost),
    }
}

/// Says good-bye, and gives the client time to read it before the connection ends.
async fn close(socket: &mut WebSocket, code: u16, reason: &str) {
    // A close frame has room for 123 bytes of reason (RFC 6455, section 5.5).
    let reason: String = reason.chars().filter(char::is_ascii).take(120).collect();
    let frame = Frame::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }));
    let farewell = async {
        if socket.send(frame).await.is_ok() {
            while let Some(Ok(frame)) = socket.recv().await {
                if matches!(frame, Frame::Close(_)) {
                    break;
                }
            }
        }
    };
    let _ = timeout(CLOSE, farewell).await;
}
