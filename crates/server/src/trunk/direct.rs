//! Direct links: servers that a neighbour without media has introduced to each other speak the
//! protocol of trunks by way of that one, and send their media straight.
//!
//! All that is said on such a link is what any trunk says, beginning with the handshake. Its secret
//! comes from the server in the middle, which could therefore pretend to be the other one; so it may
//! do no more than that server itself: the same rooms, and no moderation if that one has none.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use umbrella_wire::trunk::relayed::What;
use umbrella_wire::trunk::{Introduction, Relayed};

use super::LinkId;
use super::dial::{self, Backoff, GOOD, HANDSHAKE};
use super::door;
use super::hello::{self, Dialler, Failure, Known};
use super::link::Introducer;
use super::middle::OVER;
use super::registry::{Door, Inner, Newcomer, State};
use super::relayed;
use super::secret::ProofKey;
use super::settings::MAX_NAME;
use super::socket::Socket;
use crate::tasks;

/// Servers that one neighbour may introduce.
const MAX_INTRODUCED: usize = 64;

/// Lists of rooms that one may be bound by.
const MAX_LISTS: usize = 4;

/// Addresses that are asked how they see us.
const MAX_REFLECTORS: usize = 4;

/// How long a socket may be too full for the next piece: it ends then.
const ROOM: Duration = Duration::from_secs(1);

/// How often it is looked whether another link is still there, which makes this one needless.
const NEEDLESS: Duration = Duration::from_secs(5);

/// Attempts come no faster.
const SPACING: Duration = Duration::from_millis(200);

/// By the link to the server in the middle, and the node.
pub(super) type Introductions = BTreeMap<(LinkId, String), Introduced>;

/// A server that a neighbour has introduced.
#[derive(Debug)]
pub(super) struct Introduced {
    key: String,
    proof_key: ProofKey,
    /// Rooms that the server in the middle shares with it.
    rooms: Vec<Vec<String>>,
    moderates: bool,
    reflectors: Vec<SocketAddr>,
    /// Of the last attempt.
    channel: u64,
    began: Option<Instant>,
    /// Where what comes goes.
    socket: Option<mpsc::Sender<Bytes>>,
    /// Dials.
    task: Option<JoinHandle<()>>,
}

impl Drop for Introduced {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// What a link may do.
#[derive(Debug)]
pub(super) struct Terms {
    /// Which ones it may carry, besides what the other side says.
    pub(super) rooms: Vec<Vec<String>>,
    pub(super) may_moderate: bool,
    pub(super) introducer: Option<Introducer>,
}

impl State {
    /// Under which terms a server comes in that was introduced; `None` if that is no longer so.
    pub(super) fn introduction(&self, via: LinkId, node: &str) -> Option<Terms> {
        let middle = self.links.get(&via)?;
        let introduced = self.introductions.get(&(via, node.to_owned()))?;
        let own = middle.rooms.lists.iter().cloned();
        Some(Terms {
            rooms: own.chain(introduced.rooms.iter().cloned()).collect(),
            may_moderate: middle.may_moderate && introduced.moderates,
            introducer: Some(Introducer {
                name: middle.peer.name.clone(),
                reflectors: introduced.reflectors.clone(),
            }),
        })
    }

    fn introduced(&mut self, via: LinkId, node: &str) -> Option<&mut Introduced> {
        self.introductions.get_mut(&(via, node.to_owned()))
    }

    /// Whether there is a link to a node.
    fn is_linked(&self, node: &str) -> bool {
        self.links.values().any(|live| live.peer.node == node)
    }
}

impl Inner {
    /// A neighbour introduces a server.
    ///
    /// # Errors
    ///
    /// It must not, or says nonsense: its link ends.
    pub(super) fn meet(
        self: &Arc<Self>,
        via: LinkId,
        introduction: Introduction,
    ) -> Result<(), String> {
        let mut state = self.state();
        let Some(middle) = state.links.get(&via) else {
            return Ok(());
        };
        if middle.peer.media || middle.via.is_some() {
            return Err("a server introduces others that carries media itself".to_owned());
        }
        if !self.own.media || !self.direct {
            return Ok(());
        }
        let (node, dials) = (introduction.node.clone(), introduction.dials);
        let name = hello::shown(&introduction.name, MAX_NAME);
        let mut introduced = read(introduction)?;
        let place = (via, node.clone());
        let known = state.introductions.contains_key(&place);
        let of_link = state.introductions.keys().filter(|(link, _)| *link == via);
        if !known && of_link.count() >= MAX_INTRODUCED {
            return Err(format!(
                "more than {MAX_INTRODUCED} servers were introduced"
            ));
        }
        tracing::info!(link = via.0, node, name, dials, "a server was introduced");
        if dials {
            let task = keep(Arc::clone(self), via, node);
            introduced.task = Some(tasks::spawn(task));
        }
        // What was there of it ends.
        state.introductions.insert(place, introduced);
        Ok(())
    }

    /// A piece has come from a server that was introduced, or for one that is to be told.
    ///
    /// # Errors
    ///
    /// It must not be sent: the link ends.
    pub(super) async fn relayed(
        self: &Arc<Self>,
        via: LinkId,
        piece: Relayed,
    ) -> Result<(), String> {
        let is_end = !matches!(piece.what, Some(What::Frame(_)));
        let (node, channel) = (piece.node.clone(), piece.channel);
        let taken = if self.is_middle() {
            self.pass_on(via, piece).await
        } else {
            self.take_in(via, piece).await
        };
        if !taken && !is_end {
            // Nobody is there.
            self.answer(via, &node, channel);
        }
        Ok(())
    }

    fn answer(&self, via: LinkId, node: &str, channel: u64) {
        if let Some(live) = self.state().links.get(&via) {
            let closed = relayed::relayed(node, channel, What::Closed(true));
            let _ = live.relay.try_send(closed);
        }
    }

    /// False if there is nobody for it.
    async fn take_in(self: &Arc<Self>, via: LinkId, piece: Relayed) -> bool {
        let Relayed {
            node,
            channel,
            what,
        } = piece;
        let bytes = match what {
            Some(What::Frame(bytes)) => Bytes::from(bytes),
            Some(What::Closed(_)) => {
                self.closed(via, &node, channel);
                return true;
            }
            None => return true,
        };
        let Some(socket) = self.socket_of(via, &node, channel) else {
            return false;
        };
        if matches!(timeout(ROOM, socket.send(bytes)).await, Ok(Ok(()))) {
            return true;
        }
        let mut state = self.state();
        if let Some(introduced) = state.introduced(via, &node)
            && introduced.channel == channel
        {
            introduced.socket = None;
        }
        false
    }

    fn closed(&self, via: LinkId, node: &str, channel: u64) {
        let mut state = self.state();
        if channel == OVER {
            state.introductions.remove(&(via, node.to_owned()));
        } else if let Some(introduced) = state.introduced(via, node)
            && introduced.channel == channel
        {
            introduced.socket = None;
        }
    }

    /// Where a piece goes. With the first one of an attempt of the other side, that begins here.
    fn socket_of(
        self: &Arc<Self>,
        via: LinkId,
        node: &str,
        channel: u64,
    ) -> Option<mpsc::Sender<Bytes>> {
        let mut state = self.state();
        let relay = state.links.get(&via)?.relay.clone();
        let introduced = state.introduced(via, node)?;
        if channel == introduced.channel {
            return introduced.socket.clone();
        }
        let soon = introduced.began.is_some_and(|at| at.elapsed() < SPACING);
        if introduced.task.is_some() || channel < introduced.channel || soon {
            return None;
        }
        let socket = introduced.open(node, channel, relay);
        let known = Known {
            proof_key: introduced.proof_key.clone(),
            rooms: Vec::new(),
        };
        let door = Door::introduction(&introduced.key, via, node);
        tasks::spawn(receive(Arc::clone(self), door, known, socket));
        introduced.socket.clone()
    }

    /// Whether a server that was introduced is to be dialled now; the socket for it.
    fn attempt(&self, via: LinkId, node: &str) -> Option<(Door, ProofKey, Socket)> {
        let mut state = self.state();
        if state.is_linked(node) {
            return None;
        }
        let relay = state.links.get(&via)?.relay.clone();
        let introduced = state.introduced(via, node)?;
        let channel = introduced.channel + 1;
        let socket = introduced.open(node, channel, relay);
        let door = Door::introduction(&introduced.key, via, node);
        Some((door, introduced.proof_key.clone(), socket))
    }
}

impl Introduced {
    fn open(
        &mut self,
        node: &str,
        channel: u64,
        relay: mpsc::Sender<umbrella_wire::trunk::Frame>,
    ) -> Socket {
        let (came, socket) = relayed::socket(node, channel, relay);
        self.channel = channel;
        self.began = Some(Instant::now());
        self.socket = Some(came);
        socket
    }
}

fn read(introduction: Introduction) -> Result<Introduced, String> {
    let wrong = |what: &str| format!("an introduction makes no sense: {what}");
    if !hello::is_node(&introduction.node) {
        return Err(wrong("node"));
    }
    if introduction.key.is_empty() || introduction.key.len() > hello::MAX_ID {
        return Err(wrong("key"));
    }
    let proof_key = ProofKey::from_bytes(&introduction.secret).ok_or_else(|| wrong("secret"))?;
    let rooms: Vec<Vec<String>> = introduction.rooms.into_iter().map(|it| it.rooms).collect();
    let fit = |list: &Vec<String>| hello::check_patterns(list).is_ok();
    if rooms.len() > MAX_LISTS || !rooms.iter().all(fit) {
        return Err(wrong("rooms"));
    }
    // What is no address is of a newer server, and one more or less does not matter.
    let reflectors = introduction.reflectors.iter().take(MAX_REFLECTORS);
    Ok(Introduced {
        key: introduction.key,
        proof_key,
        rooms,
        moderates: introduction.moderates,
        reflectors: reflectors.filter_map(|it| it.parse().ok()).collect(),
        channel: 0,
        began: None,
        socket: None,
        task: None,
    })
}

/// Dials a server that was introduced, for as long as it is.
async fn keep(inner: Arc<Inner>, via: LinkId, node: String) {
    let mut backoff = Backoff::default();
    let mut said = String::new();
    loop {
        let Some((door, proof_key, socket)) = inner.attempt(via, &node) else {
            // There is another link to it.
            tokio::time::sleep(NEEDLESS).await;
            continue;
        };
        let shaken = dial(&inner, door, proof_key, socket);
        let why = match timeout(HANDSHAKE, shaken).await {
            Ok(Ok(running)) => {
                let start = Instant::now();
                let why = running.await.unwrap_or_else(|_| "the link failed".into());
                if start.elapsed() >= GOOD {
                    backoff = Backoff::default();
                }
                why
            }
            Ok(Err(why)) => why,
            Err(_) => format!("no answer within {} s", HANDSHAKE.as_secs()),
        };
        if why != said {
            tracing::info!(link = via.0, node, why, "no direct link");
            said = why;
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

async fn dial(
    inner: &Arc<Inner>,
    door: Door,
    proof_key: ProofKey,
    mut socket: Socket,
) -> Result<JoinHandle<String>, String> {
    let (dialler, hello) = Dialler::new(inner.own.clone(), &door.key, proof_key, &[]);
    let peer = dial::greet(&mut socket, dialler, hello).await;
    let peer = peer.map_err(|missed| missed.to_string())?;
    if Some(peer.node.as_str()) != door.node() {
        return Err("another server has answered than was introduced".to_owned());
    }
    match inner.join(Newcomer::Dialled(peer), &door, socket).await {
        Ok((_, running)) => Ok(running),
        Err((failure, socket)) => {
            door::part(socket, &failure).await;
            Err(failure.to_string())
        }
    }
}

/// Lets a server in that was introduced, or does not.
async fn receive(inner: Arc<Inner>, door: Door, known: Known, mut socket: Socket) {
    let shaken = timeout(HANDSHAKE, answer(&inner, &door, known, &mut socket)).await;
    let failure = match shaken {
        Ok(Ok(newcomer)) => match inner.join(newcomer, &door, socket).await {
            Ok(_) => return,
            Err((failure, back)) => {
                socket = back;
                failure
            }
        },
        Ok(Err(failure)) => failure,
        Err(_) => Failure::Malformed("it took too long"),
    };
    let node = door.node();
    tracing::info!(node, why = %failure, "a server that was introduced was refused");
    door::part(socket, &failure).await;
}

async fn answer(
    inner: &Arc<Inner>,
    door: &Door,
    known: Known,
    socket: &mut Socket,
) -> Result<Newcomer, Failure> {
    let find = |key: &str| (key == door.key).then_some(known);
    let accepted = door::answer(inner.own.clone(), socket, find).await?;
    if Some(accepted.peer.node.as_str()) != door.node() {
        return Err(Failure::Malformed(
            "it is not the server that was introduced",
        ));
    }
    Ok(Newcomer::Accepted(accepted))
}
