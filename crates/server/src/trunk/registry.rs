//! All trunks of this server: whom it dials, who may dial it, and which links are up.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use umbrella_room::mesh::MeshConfig;
use umbrella_room::model::NodeId;
use umbrella_wire::trunk::Frame;

use super::dial;
use super::direct::{Introductions, Terms};
use super::hello::{Accepted, Failure, Known, Own, Peer};
use super::link::{LinkEvent, Neighbour, link_outbox};
use super::middle::Pairs;
use super::secret::Pin;
use super::settings::{Entry, Permit};
use super::socket::Socket;
use super::task::{self, Order, Wires};
use super::trust::Trust;
use super::{LinkId, Rooms};
use crate::auth::TrunkLimit;
use crate::clock::unix_seconds;
use crate::config::TrunkConfig;
use crate::mdns::Lan;
use crate::memory::{Memory, Work, cost};
use crate::store::{self, Store};
use crate::tasks;

/// Links at a time.
pub(super) const MAX_LINKS: usize = 64;

/// Strangers that are being asked who they are at a time.
const MAX_HANDSHAKES: usize = 64;

/// Nodes that are remembered for each secret.
const MAX_JOINED: usize = 64;

/// Refusals that are remembered for the operator.
const MAX_REFUSALS: usize = 16;

/// How long a link has to show that it is alive when its node seems to come a second time.
const ALIVE: Duration = Duration::from_secs(3);

/// Events that wait for the owner of the rooms. When it is full, links read nothing.
const EVENTS: usize = 256;

/// Pieces that wait for a link and are between others.
const RELAYED: usize = 256;

/// How long links have to end when the server does.
const GOODBYE: Duration = Duration::from_millis(1500);

/// All trunks of this server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Trunks(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) own: Own,
    /// The authority by which others know this server.
    pub(super) pin: Option<Pin>,
    pub(super) store: Store,
    pub(super) trust: Trust,
    pub(super) lan: Lan,
    memory: Memory,
    pub(super) limit: TrunkLimit,
    pub(super) handshakes: Semaphore,
    /// Neighbours of a server without media are linked directly.
    pub(super) direct: bool,
    /// Where this server answers STUN requests.
    pub(super) reflectors: Mutex<Vec<String>>,
    pub(super) events: mpsc::Sender<LinkEvent>,
    next: AtomicU64,
    stopping: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// By key.
    pub(super) entries: BTreeMap<String, Dialled>,
    /// By key.
    pub(super) permits: BTreeMap<String, Permit>,
    pub(super) links: BTreeMap<LinkId, Live>,
    /// Whom we have put in touch.
    pub(super) pairs: Pairs,
    /// With whom we were put in touch.
    pub(super) introductions: Introductions,
    /// The newest first.
    pub(super) refusals: VecDeque<Turned>,
}

/// A server that is dialled.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) entry: Entry,
    pub(super) stand: Stand,
    /// Ends a wait.
    pub(super) wake: Arc<Notify>,
    pub(super) task: Option<JoinHandle<()>>,
}

/// How a server that is dialled stands.
#[derive(Debug, Clone)]
pub(super) enum Stand {
    Connecting,
    Connected(LinkId),
    Refused { why: String, next: Instant },
    Reconnecting { why: String, next: Instant },
    Confirm { pin: Pin, next: Instant },
}

/// A link that is up.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) peer: Peer,
    pub(super) key: String,
    pub(super) dialled: bool,
    pub(super) round_trip: Option<Duration>,
    /// Seconds since the Unix epoch.
    pub(super) since: u64,
    /// What the link carries.
    pub(super) rooms: Rooms,
    pub(super) may_moderate: bool,
    /// The link by way of which it comes, of one that came about by an introduction.
    pub(super) via: Option<LinkId>,
    /// For pieces of other links.
    pub(super) relay: mpsc::Sender<Frame>,
    orders: mpsc::Sender<Order>,
}

/// What a server comes in by.
#[derive(Debug)]
pub(super) struct Door {
    /// The public half of the secret.
    pub(super) key: String,
    /// The link to the server that has introduced it, and its node.
    introduction: Option<(LinkId, String)>,
}

impl Door {
    /// By a join secret.
    pub(super) fn secret(key: &str) -> Door {
        Door {
            key: key.to_owned(),
            introduction: None,
        }
    }

    /// By an introduction.
    pub(super) fn introduction(key: &str, via: LinkId, node: &str) -> Door {
        Door {
            key: key.to_owned(),
            introduction: Some((via, node.to_owned())),
        }
    }

    /// Who was introduced.
    pub(super) fn node(&self) -> Option<&str> {
        self.introduction.as_ref().map(|(_, node)| node.as_str())
    }

    fn via(&self) -> Option<LinkId> {
        self.introduction.as_ref().map(|(via, _)| *via)
    }
}

/// Somebody who was refused.
#[derive(Debug, Clone)]
pub(super) struct Turned {
    pub(super) at: u64,
    pub(super) address: IpAddr,
    pub(super) key: Option<String>,
    pub(super) why: String,
}

/// Somebody who has proved who they are.
#[derive(Debug)]
pub(super) enum Newcomer {
    /// The server of this entry.
    Dialled(Peer),
    /// A server that has dialled us.
    Accepted(Accepted),
}

impl Newcomer {
    fn peer(&self) -> &Peer {
        match self {
            Newcomer::Dialled(peer) => peer,
            Newcomer::Accepted(accepted) => &accepted.peer,
        }
    }
}

impl Trunks {
    /// A server that has no links yet. What happens to them comes out of the second.
    ///
    /// `pin` is the authority by which others know this server, if that is its own.
    ///
    /// # Errors
    ///
    /// If the database fails, or TLS cannot be set up.
    pub async fn new(
        config: &TrunkConfig,
        store: Store,
        pin: Option<Pin>,
        lan: Lan,
        memory: Memory,
    ) -> anyhow::Result<(Trunks, mpsc::Receiver<LinkEvent>)> {
        let (node, incarnation) = store::node::start(&store).await?;
        let roots = tasks::spawn_blocking(crate::tls::system_roots).await?;
        let (events, out) = mpsc::channel(EVENTS);
        let inner = Inner {
            own: Own {
                node: node.into(),
                incarnation,
                name: config.name.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                media: config.media,
            },
            pin,
            trust: Trust::new(roots)?,
            lan,
            memory,
            limit: TrunkLimit::new(Instant::now()),
            handshakes: Semaphore::new(MAX_HANDSHAKES),
            direct: config.direct,
            reflectors: Mutex::default(),
            events,
            next: AtomicU64::new(1),
            stopping: AtomicBool::new(false),
            state: Mutex::new(State::default()),
            store,
        };
        Ok((Trunks(Arc::new(inner)), out))
    }

    /// Sets the addresses at which this server answers STUN requests, for whom it puts in touch from
    /// now on.
    pub(crate) fn set_reflectors(&self, reflectors: &[SocketAddr]) {
        let texts = reflectors.iter().map(SocketAddr::to_string).collect();
        let known = self.0.reflectors.lock();
        *known.unwrap_or_else(PoisonError::into_inner) = texts;
    }

    /// Reads what is set, and dials.
    ///
    /// `reflectors` are the addresses at which this server answers STUN requests.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn start(
        &self,
        config: &TrunkConfig,
        reflectors: Vec<SocketAddr>,
    ) -> anyhow::Result<()> {
        self.set_reflectors(&reflectors);
        self.0.load(config).await
    }

    /// This server's id.
    pub fn node(&self) -> Arc<str> {
        Arc::clone(&self.0.own.node)
    }

    /// This run of the server: a greater number after each start.
    pub fn incarnation(&self) -> u64 {
        self.0.own.incarnation
    }

    /// What others call this server.
    pub fn name(&self) -> &str {
        &self.0.own.name
    }

    /// Whom the system trusts.
    pub fn trust(&self) -> Trust {
        self.0.trust.clone()
    }

    /// Whether this server carries media.
    pub fn media(&self) -> bool {
        self.0.own.media
    }

    /// What this server is to others, for the owner of the rooms.
    pub fn mesh(&self) -> MeshConfig {
        let own = &self.0.own;
        MeshConfig {
            node: NodeId::new(Arc::clone(&own.node)),
            incarnation: own.incarnation,
            name: own.name.clone(),
            software: own.version.clone(),
            media: own.media,
            limits: self.0.memory.shares().mesh(),
        }
    }

    /// Ends all links; neighbours are told.
    pub async fn shutdown(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
        {
            let mut state = self.0.state();
            for dialled in state.entries.values_mut() {
                if let Some(task) = dialled.task.take() {
                    task.abort();
                }
            }
            for live in state.links.values() {
                live.end("the server is going down");
            }
        }
        let end = Instant::now() + GOODBYE;
        while !self.0.state().links.is_empty() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Live {
    /// Ends it; the neighbour is told why.
    pub(super) fn end(&self, why: &str) {
        // If it is full, the link is ending already.
        let _ = self.orders.try_send(Order::End(why.to_owned()));
    }
}

impl Inner {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    async fn load(self: &Arc<Self>, config: &TrunkConfig) -> anyhow::Result<()> {
        let configured = self.wanted(config).await?;
        let permits = self.kept_permits().await?;
        // What is in both is as it is configured.
        let permits = permits.into_iter().chain(configured.permits);
        self.state().permits = permits.map(|permit| (permit.key.clone(), permit)).collect();
        let kept = store::trunks::entries(&self.store).await?;
        for entry in configured.entries.into_iter().chain(kept) {
            self.dial(entry);
        }
        Ok(())
    }

    /// Dials a server from now on. False if there is such an entry, or are too many.
    pub(super) fn dial(self: &Arc<Self>, entry: Entry) -> bool {
        let mut state = self.state();
        let key = entry.key.clone();
        let address = entry.address.to_string();
        let mut others = state.entries.values();
        let twice = others.any(|d| d.entry.address.to_string() == address);
        if twice || state.entries.contains_key(&key) || state.entries.len() >= MAX_LINKS {
            return false;
        }
        let wake = Arc::new(Notify::new());
        let task = dial::keep(Arc::clone(self), key.clone(), Arc::clone(&wake));
        let dialled = Dialled {
            entry,
            stand: Stand::Connecting,
            wake,
            task: Some(tasks::spawn(task)),
        };
        state.entries.insert(key, dialled);
        true
    }

    /// An entry as it is now.
    pub(super) fn entry(&self, key: &str) -> Option<Entry> {
        Some(self.state().entries.get(key)?.entry.clone())
    }

    pub(super) fn stand(&self, key: &str, stand: Stand) {
        if let Some(dialled) = self.state().entries.get_mut(key) {
            dialled.stand = stand;
        }
    }

    /// What is known of a key that somebody names.
    pub(super) fn known(&self, key: &str) -> Option<Known> {
        let state = self.state();
        let permit = state.permits.get(key)?;
        Some(Known {
            proof_key: permit.proof_key.clone(),
            rooms: permit.rooms.clone(),
        })
    }

    /// Whether a server that has proved that it knows a secret comes in time. It is remembered, so
    /// that it can come back later.
    pub(super) async fn in_time(&self, key: &str, node: &str) -> Result<(), Failure> {
        let first = {
            let mut state = self.state();
            let permit = state.permits.get_mut(key).ok_or(Failure::UnknownKey)?;
            if permit.is_over(node, unix_seconds()) {
                return Err(Failure::Expired);
            }
            // Whoever knows the secret could call itself what it likes, again and again.
            permit.joined.len() < MAX_JOINED && permit.joined.insert(node.to_owned())
        };
        if first {
            let kept = store::trunks::has_joined(&self.store, key.to_owned(), node.to_owned());
            if let Err(error) = kept.await {
                tracing::error!(%error, "a server that has joined is forgotten at the next start");
            }
        }
        Ok(())
    }

    /// Lets a server in, or does not. The task ends with the link, and says why.
    pub(super) async fn join(
        self: &Arc<Self>,
        newcomer: Newcomer,
        door: &Door,
        socket: Socket,
    ) -> Result<(LinkId, JoinHandle<String>), (Failure, Socket)> {
        let peer = newcomer.peer().clone();
        // Somebody else may come while others are being asked.
        for _ in 0..4 {
            if let Err(failure) = self.settle(&peer).await {
                return Err((failure, socket));
            }
            let mut state = self.state();
            if !state.others(&peer).is_empty() {
                continue;
            }
            return match self.admit(&mut state, &peer, door, &newcomer) {
                Ok((link, wires, neighbour)) => {
                    let inner = Arc::clone(self);
                    let task = live(inner, link, newcomer, socket, neighbour, wires);
                    Ok((link, tasks::spawn(task)))
                }
                Err(failure) => Err((failure, socket)),
            };
        }
        Err((Failure::Copied(peer.node), socket))
    }

    /// Two runs of one node: the older link is asked. If it lives, there are two servers; if it
    /// does not, its server has come back.
    async fn settle(&self, peer: &Peer) -> Result<(), Failure> {
        let others = self.state().others(peer);
        for (link, orders) in others {
            let (reply, answer) = oneshot::channel();
            let _ = orders.try_send(Order::Ask(reply));
            if let Ok(Ok(())) = tokio::time::timeout(ALIVE, answer).await {
                return Err(Failure::Copied(peer.node.clone()));
            }
            let _ = orders.try_send(Order::End("the server was started again".to_owned()));
            self.forget(link);
        }
        Ok(())
    }

    /// A link that is as good as gone.
    fn forget(&self, link: LinkId) {
        self.state().remove(link);
        self.part(link);
    }

    fn admit(
        &self,
        state: &mut State,
        peer: &Peer,
        door: &Door,
        newcomer: &Newcomer,
    ) -> Result<(LinkId, Wires, Neighbour), Failure> {
        if self.is_stopping() {
            return Err(Failure::Shutdown);
        }
        let dialled = matches!(newcomer, Newcomer::Dialled(_));
        let terms = state.terms_of(door, dialled)?;
        let before = state.links.len();
        let same = |live: &Live| live.peer.node == peer.node && live.key == door.key;
        state.links.retain(|_, live| {
            let replaced = same(live) && live.dialled == dialled;
            if replaced {
                live.end("a newer link takes its place");
            }
            !replaced
        });
        if state.links.len() >= MAX_LINKS {
            return Err(Failure::TooMany);
        }
        // One that takes the place of another needs no more than that had.
        if state.links.len() == before {
            self.memory.admit(Work::Trunk, cost::TRUNK)?;
        }
        let link = LinkId(self.next.fetch_add(1, Ordering::Relaxed));
        let (orders, taken) = mpsc::channel(16);
        let (relay, relayed) = mpsc::channel(RELAYED);
        let mut lists = terms.rooms;
        lists.push(peer.rooms.clone());
        let rooms = Rooms { lists };
        let neighbour = Neighbour {
            node: peer.node.as_str().into(),
            incarnation: peer.incarnation,
            name: peer.name.clone(),
            version: peer.version.clone(),
            media: peer.media,
            dialled,
            rooms: rooms.clone(),
            may_moderate: terms.may_moderate,
            introducer: terms.introducer,
        };
        let live = Live {
            peer: peer.clone(),
            key: door.key.clone(),
            dialled,
            round_trip: None,
            since: unix_seconds(),
            rooms,
            may_moderate: terms.may_moderate,
            via: door.via(),
            relay,
            orders,
        };
        state.links.insert(link, live);
        let orders = taken;
        Ok((link, Wires { orders, relayed }, neighbour))
    }

    pub(super) fn round_trip(&self, link: LinkId, time: Duration) {
        if let Some(live) = self.state().links.get_mut(&link) {
            live.round_trip = Some(time);
        }
    }

    /// Remembers who was refused, for the operator.
    pub(super) fn turn_away(&self, address: IpAddr, key: Option<&str>, why: &str) {
        let mut state = self.state();
        let name = key.and_then(|key| Some(state.permits.get(key)?.name.clone()));
        tracing::warn!(%address, secret = key, name, why, "a server was refused");
        state.refusals.truncate(MAX_REFUSALS - 1);
        state.refusals.push_front(Turned {
            at: unix_seconds(),
            address,
            key: key.map(str::to_owned),
            why: why.to_owned(),
        });
    }
}

impl State {
    /// What somebody may do who comes in.
    fn terms_of(&self, door: &Door, dialled: bool) -> Result<Terms, Failure> {
        if let Some((via, node)) = &door.introduction {
            return self.introduction(*via, node).ok_or(Failure::UnknownKey);
        }
        let (rooms, may_moderate) = if dialled {
            let dialled = self.entries.get(&door.key).ok_or(Failure::UnknownKey)?;
            (dialled.entry.rooms.clone(), dialled.entry.moderate)
        } else {
            let permit = self.permits.get(&door.key).ok_or(Failure::UnknownKey)?;
            (permit.rooms.clone(), permit.moderate)
        };
        Ok(Terms {
            rooms: vec![rooms],
            may_moderate,
            introducer: None,
        })
    }

    /// A link is gone, and with it what came by way of it.
    fn remove(&mut self, link: LinkId) {
        self.introductions.retain(|(via, _), _| *via != link);
        self.links.remove(&link);
    }

    /// Links to other runs of a node.
    fn others(&self, peer: &Peer) -> Vec<(LinkId, mpsc::Sender<Order>)> {
        let links = self.links.iter();
        let others = links.filter(|(_, live)| {
            live.peer.node == peer.node && live.peer.incarnation != peer.incarnation
        });
        others
            .map(|(link, live)| (*link, live.orders.clone()))
            .collect()
    }
}

/// A link from its first frame to its end; says why it has ended.
async fn live(
    inner: Arc<Inner>,
    link: LinkId,
    newcomer: Newcomer,
    mut socket: Socket,
    neighbour: Neighbour,
    wires: Wires,
) -> String {
    if let Newcomer::Accepted(accepted) = &newcomer
        && let Err(error) = socket.send(accepted.welcome()).await
    {
        inner.state().remove(link);
        return error;
    }
    let via = neighbour.introducer.as_ref().map(|it| it.name.clone());
    tracing::info!(link = link.0, node = %neighbour.node, name = neighbour.name,
        dialled = neighbour.dialled, via, "a trunk is up");
    let (outbox, inbox) = link_outbox();
    let up = LinkEvent::Up {
        link,
        neighbour: Box::new(neighbour),
        outbox,
    };
    let _ = inner.events.send(up).await;
    inner.introduce();
    // Whatever goes wrong there, the owner of the rooms has to hear that the link is down.
    let running = task::run(Arc::clone(&inner), link, socket, inbox, wires);
    let why = tasks::spawn(running)
        .await
        .unwrap_or_else(|_| "the link has failed".into());
    inner.forget(link);
    let _ = inner.events.send(LinkEvent::Down { link }).await;
    // Another link of the same server may take its place.
    inner.introduce();
    tracing::info!(link = link.0, why, "a trunk is down");
    why
}
