//! A thread that drives many peer connections: one wait for all sockets, one queue of deadlines.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};
use str0m::crypto::from_feature_flags;
use tokio::sync::oneshot;

use crate::loss::Loss;
use crate::media::Track;
use crate::peer::{Buffers, Common, Peer, PeerError};
use crate::tally::{Progress, Tally};

const WAKER: Token = Token(usize::MAX);

/// How long a thread sleeps after each round, so that datagrams are read in batches. Arrival is
/// taken from the kernel's time stamps, so this does not lengthen measured latencies.
const REST: Duration = Duration::from_millis(1);

/// A track to publish: its id in the session description, its number in stamps, what it is.
pub type Published = (String, u32, Track);

/// Names a connection: the participant's number, and which of its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    /// Unique in a run.
    pub participant: u32,
    /// The one that publishes.
    pub publishes: bool,
}

/// Whether the other side is told that a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goodbye {
    Said,
    Omitted,
}

type Reply<T> = oneshot::Sender<T>;

enum Command {
    Publish(
        ConnectionId,
        Instant,
        Vec<Published>,
        Reply<Result<String, PeerError>>,
    ),
    Answered(ConnectionId, String, Reply<Result<(), PeerError>>),
    Offered(
        ConnectionId,
        Instant,
        String,
        Reply<Result<String, PeerError>>,
    ),
    Close(ConnectionId, Goodbye, Reply<()>),
    Progress(Reply<Progress>),
    Missing(Reply<Vec<String>>),
    Begin(Reply<()>),
    Collect(Reply<Tally>),
}

/// Talks to the thread. The thread ends when all of these are gone.
#[derive(Clone)]
pub struct Driver {
    commands: mpsc::Sender<Command>,
    waker: Arc<Waker>,
}

impl Driver {
    /// Starts a thread whose sockets are bound to `local` and lose some of what goes through them.
    ///
    /// # Errors
    ///
    /// The system gives no thread or no poller.
    pub fn start(local: IpAddr, loss: Loss) -> io::Result<Driver> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (commands, inbox) = mpsc::channel();
        let crypto = from_feature_flags();
        let certificate = crypto.dtls_provider.generate_certificate();
        let certificate =
            certificate.ok_or_else(|| io::Error::other("cannot make a certificate"))?;
        let common = Common {
            local,
            loss,
            crypto: Arc::new(crypto),
            certificate,
        };
        let thread = std::thread::Builder::new().name("peers".into());
        thread.spawn(move || Thread::new(poll, inbox, common).run())?;
        Ok(Driver { commands, waker })
    }

    /// Makes a connection that publishes; its offer.
    ///
    /// # Errors
    ///
    /// No socket, or nothing to offer.
    pub async fn publish(
        &self,
        id: ConnectionId,
        started: Instant,
        tracks: Vec<Published>,
    ) -> Result<String, PeerError> {
        self.ask(|reply| Command::Publish(id, started, tracks, reply))
            .await?
    }

    /// Hands over the answer to an offer.
    ///
    /// # Errors
    ///
    /// The answer does not fit.
    pub async fn answered(&self, id: ConnectionId, sdp: String) -> Result<(), PeerError> {
        self.ask(|reply| Command::Answered(id, sdp, reply)).await?
    }

    /// Hands over an offer, the first one of which makes the connection; the answer to it.
    ///
    /// # Errors
    ///
    /// No socket, or the offer does not fit.
    pub async fn offered(
        &self,
        id: ConnectionId,
        started: Instant,
        sdp: String,
    ) -> Result<String, PeerError> {
        self.ask(|reply| Command::Offered(id, started, sdp, reply))
            .await?
    }

    /// Ends a connection, if there is one.
    pub async fn close(&self, id: ConnectionId) {
        // A thread that is gone has closed everything.
        let closed = self.ask(|reply| Command::Close(id, Goodbye::Said, reply));
        let _ = closed.await;
    }

    /// Ends a connection, if there is one, without telling the other side.
    pub async fn vanish(&self, id: ConnectionId) {
        // A thread that is gone has closed everything.
        let closed = self.ask(|reply| Command::Close(id, Goodbye::Omitted, reply));
        let _ = closed.await;
    }

    /// How far the connections have come.
    pub async fn progress(&self) -> Progress {
        self.ask(Command::Progress).await.unwrap_or_default()
    }

    /// The connections that are not up, each with what it waits for, and why the last one broke.
    pub async fn missing(&self) -> Vec<String> {
        self.ask(Command::Missing).await.unwrap_or_default()
    }

    /// Begins a measurement: everything counts from now on.
    pub async fn begin(&self) {
        // A thread that is gone is found out when it is asked for its figures.
        let _ = self.ask(Command::Begin).await;
    }

    /// What was counted since the measurement began.
    pub async fn collect(&self) -> Tally {
        self.ask(Command::Collect).await.unwrap_or_default()
    }

    fn send(&self, command: Command) {
        // A thread that is gone has dropped the reply, by which callers notice.
        let _ = self.commands.send(command);
        let _ = self.waker.wake();
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, PeerError> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply));
        answer.await.map_err(|_| PeerError::Unknown)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    /// str0m's timers.
    Timers,
    /// The next frame of a track.
    Frame(usize),
}

struct Thread {
    poll: Poll,
    inbox: mpsc::Receiver<Command>,
    common: Common,
    /// Boxed, because places are not used again.
    peers: Vec<Option<Box<Peer>>>,
    ids: HashMap<ConnectionId, usize>,
    /// Deadlines; those of peers that are gone, or that were put off, are skipped.
    queue: BinaryHeap<Reverse<(Instant, usize, Job)>>,
    /// The earliest entry for each peer's timers.
    queued: Vec<Instant>,
    buffers: Buffers,
    tally: Tally,
    progress: Progress,
}

impl Thread {
    fn new(poll: Poll, inbox: mpsc::Receiver<Command>, common: Common) -> Thread {
        Thread {
            poll,
            inbox,
            common,
            peers: Vec::new(),
            ids: HashMap::new(),
            queue: BinaryHeap::new(),
            queued: Vec::new(),
            buffers: Buffers::new(),
            tally: Tally::default(),
            progress: Progress::default(),
        }
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        loop {
            let now = Instant::now();
            self.run_due(now);
            let next = self.queue.peek().map(|Reverse((at, ..))| *at);
            let wait = next.map(|at| at.saturating_duration_since(now));
            if self.poll.poll(&mut events, wait).is_err() {
                continue; // interrupted
            }
            let mut woken = false;
            for event in &events {
                match event.token() {
                    WAKER => woken = true,
                    Token(index) => {
                        self.with(index, |peer, buffers, tally| peer.receive(buffers, tally))
                    }
                }
            }
            if woken && !self.obey() {
                return;
            }
            std::thread::sleep(REST);
        }
    }

    fn run_due(&mut self, now: Instant) {
        while let Some(&Reverse((at, index, job))) = self.queue.peek() {
            if at > now {
                return;
            }
            self.queue.pop();
            match job {
                Job::Timers => {
                    self.queued[index] = now + Duration::from_secs(3600);
                    let due = self.peers[index].as_ref().map(|peer| peer.due);
                    match due {
                        Some(due) if due > now => self.queue_timers(index, due),
                        Some(_) => self.with(index, |peer, _, tally| peer.handle_timeout(tally)),
                        None => {}
                    }
                }
                Job::Frame(track) => self.frame(at, now, index, track),
            }
        }
    }

    fn frame(&mut self, at: Instant, now: Instant, index: usize, track: usize) {
        self.with(index, |peer, _, tally| peer.send_frame(track, tally));
        let Some(peer) = &self.peers[index] else {
            return;
        };
        if let Some(interval) = peer.intervals().get(track) {
            // Frames that are late by a whole interval are left out, as a camera would.
            let next = at + *interval;
            let next = if next + *interval < now { now } else { next };
            self.queue.push(Reverse((next, index, Job::Frame(track))));
        }
    }

    /// Does something with a peer, and then what follows from it.
    fn with(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Peer, &mut Buffers, &mut Tally) -> Result<(), PeerError>,
    ) {
        let Some(Some(peer)) = self.peers.get_mut(index) else {
            return;
        };
        let known = (peer.connected, peer.first_media);
        let result = act(peer, &mut self.buffers, &mut self.tally);
        if known.0.is_none() {
            self.progress.joins.extend(peer.connected);
        }
        if known.1.is_none() {
            self.progress.first_media.extend(peer.first_media);
        }
        // Never at once: a timer that does not move must not stop everything else.
        let due = peer.due.max(Instant::now() + Duration::from_micros(500));
        match result {
            Ok(()) => self.queue_timers(index, due),
            Err(error) => {
                self.progress.failed += 1;
                self.progress.failure = Some(error.to_string());
                self.remove(index, Goodbye::Said);
            }
        }
    }

    fn queue_timers(&mut self, index: usize, due: Instant) {
        if due < self.queued[index] {
            self.queued[index] = due;
            self.queue.push(Reverse((due, index, Job::Timers)));
        }
    }

    fn remove(&mut self, index: usize, goodbye: Goodbye) {
        if let Some(mut peer) = self.peers[index].take() {
            let (tracks, silent) = (self.tally.tracks, self.tally.silent_tracks);
            peer.account(Instant::now(), &mut self.tally);
            // Their packets count, but tracks are those of who is still there.
            (self.tally.tracks, self.tally.silent_tracks) = (tracks, silent);
            if goodbye == Goodbye::Said {
                peer.close(&mut self.tally);
            }
            // Closing the socket does the same.
            let _ = self.poll.registry().deregister(&mut peer.socket);
        }
        self.ids.retain(|_, known| *known != index);
    }

    /// Carries out what was asked for; false when nobody can ask any more.
    fn obey(&mut self) -> bool {
        loop {
            let command = match self.inbox.try_recv() {
                Ok(command) => command,
                Err(mpsc::TryRecvError::Empty) => return true,
                Err(mpsc::TryRecvError::Disconnected) => return false,
            };
            // Whoever does not wait for the reply any more has given up.
            match command {
                Command::Publish(id, started, tracks, reply) => {
                    let _ = reply.send(self.publish(id, started, &tracks));
                }
                Command::Answered(id, sdp, reply) => {
                    let _ = reply.send(self.answered(id, &sdp));
                }
                Command::Offered(id, started, sdp, reply) => {
                    let _ = reply.send(self.offered(id, started, &sdp));
                }
                Command::Close(id, goodbye, reply) => {
                    if let Some(index) = self.ids.get(&id).copied() {
                        self.remove(index, goodbye);
                    }
                    let _ = reply.send(());
                }
                Command::Progress(reply) => {
                    let _ = reply.send(self.report());
                }
                Command::Missing(reply) => {
                    let _ = reply.send(self.missing());
                }
                Command::Begin(reply) => {
                    let peers = self.peers.iter_mut().flatten();
                    peers.for_each(|peer| peer.forget());
                    self.tally = Tally::default();
                    let _ = reply.send(());
                }
                Command::Collect(reply) => {
                    let mut tally = self.tally.clone();
                    let now = Instant::now();
                    let peers = self.peers.iter().flatten();
                    peers.for_each(|peer| peer.account(now, &mut tally));
                    let _ = reply.send(tally);
                }
            }
        }
    }

    fn publish(
        &mut self,
        id: ConnectionId,
        started: Instant,
        tracks: &[Published],
    ) -> Result<String, PeerError> {
        let index = self.connection(id, started)?;
        let peer = self.peers[index].as_mut().ok_or(PeerError::Unknown)?;
        let offer = peer.offer(tracks)?;
        let now = Instant::now();
        for (track, interval) in peer.intervals().into_iter().enumerate() {
            // Not all at once: cameras are not in step with each other.
            let phase = (id.participant * 7 + track as u32 * 3) % 16;
            let first = now + interval * phase / 16;
            self.queue.push(Reverse((first, index, Job::Frame(track))));
        }
        Ok(offer)
    }

    fn answered(&mut self, id: ConnectionId, sdp: &str) -> Result<(), PeerError> {
        let index = *self.ids.get(&id).ok_or(PeerError::Unknown)?;
        let peer = self.peers[index].as_mut().ok_or(PeerError::Unknown)?;
        peer.take_answer(sdp)?;
        self.with(index, |peer, _, tally| peer.handle_timeout(tally));
        Ok(())
    }

    fn offered(
        &mut self,
        id: ConnectionId,
        started: Instant,
        sdp: &str,
    ) -> Result<String, PeerError> {
        let index = self.connection(id, started)?;
        let peer = self.peers[index].as_mut().ok_or(PeerError::Unknown)?;
        let answer = peer.answer(sdp)?;
        self.with(index, |peer, _, tally| peer.handle_timeout(tally));
        Ok(answer)
    }

    fn connection(&mut self, id: ConnectionId, started: Instant) -> Result<usize, PeerError> {
        if let Some(index) = self.ids.get(&id) {
            return Ok(*index);
        }
        // Places are not used again, so that deadlines of the dead never reach the living.
        let index = self.peers.len();
        let mut peer = Peer::new(&self.common, started, index as u64)?;
        let registry = self.poll.registry();
        registry.register(&mut peer.socket, Token(index), Interest::READABLE)?;
        self.queued.push(peer.due + Duration::from_secs(3600));
        self.peers.push(Some(Box::new(peer)));
        self.ids.insert(id, index);
        Ok(index)
    }

    fn missing(&self) -> Vec<String> {
        let waits = self.ids.iter().filter_map(|(id, index)| {
            let peer = self.peers.get(*index)?.as_ref()?;
            let side = if id.publishes { "sending" } else { "receiving" };
            let state = peer.waits_for()?;
            Some(format!("participant {} {side}: {state}", id.participant))
        });
        let broken = self.progress.failure.iter();
        waits
            .chain(broken.map(|why| format!("{} broke: {why}", self.progress.failed)))
            .collect()
    }

    fn report(&self) -> Progress {
        let peers = || self.peers.iter().flatten();
        Progress {
            connected: peers().filter(|peer| peer.connected.is_some()).count(),
            tracks: peers().map(|peer| peer.tracks()).sum(),
            ..self.progress.clone()
        }
    }
}
