//! The loop of a worker thread.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use umbrella_engine::{Channel, Input, Output, Protocol, Report, Request, Transmit, Worker};

use super::link::{Link, REQUESTS};
use super::load::{Counts, Load, Meter};
use super::ports::{Pair, Sockets};
use super::relays::{self, Address, Inbox, Relays};
use super::tcp::{Connections, Progress};
use super::udp::{Buffers, Datagram, Udp};
use super::{FromWorker, TcpLimits};

const UDP: [Token; 2] = [Token(0), Token(1)];
const TCP: [Token; 2] = [Token(2), Token(3)];
const WAKE: Token = Token(4);
const FIRST_CONNECTION: Token = Token(16);

/// Events that one poll yields at most.
const EVENTS: usize = 256;

/// Batches of datagrams that are read before requests and timers have their turn.
const BATCHES: usize = 8;

/// Requests that are taken before datagrams have their turn.
const REQUEST_BUDGET: usize = 256;

/// Relays that are taken before datagrams have their turn.
const RELAY_BUDGET: usize = 256;

/// Reports that wait here because the owner's queue is full. Loudness and lossy data are not
/// kept at all then; beyond this bound reliable data is dropped too.
const REPORT_BACKLOG: usize = 65_536;

/// When reports wait, how long until they are tried again.
const RETRY: Duration = Duration::from_millis(2);

/// How often silent TCP connections are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// Where a worker thread will wait; others can leave it something before it is there.
pub(super) struct Seat {
    poll: Poll,
    waker: Arc<Waker>,
    pub(super) address: Address,
    inbox: Inbox,
}

/// What a worker thread deals with outside.
pub(super) struct Outside {
    pub(super) index: usize,
    pub(super) sockets: Sockets,
    /// To the other workers.
    pub(super) relays: Relays,
    /// To the owner.
    pub(super) reports: mpsc::Sender<FromWorker>,
}

impl Seat {
    pub(super) fn new() -> anyhow::Result<Seat> {
        let poll = Poll::new().context("cannot make an event queue")?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (address, inbox) = relays::address(waker.clone());
        Ok(Seat {
            poll,
            waker,
            address,
            inbox,
        })
    }
}

/// Starts a worker thread.
pub(super) fn spawn(
    engine: Worker,
    seat: Seat,
    outside: Outside,
    tcp: TcpLimits,
) -> anyhow::Result<Link> {
    let Seat {
        poll, waker, inbox, ..
    } = seat;
    let Outside {
        index,
        sockets,
        relays,
        reports,
    } = outside;
    let (sender, requests) = sync_channel(REQUESTS);
    let load = Arc::new(Load::default());
    let port = sockets.port;
    let obituary = Obituary {
        worker: index,
        reports: reports.clone(),
    };
    let (ready, started) = sync_channel(1);
    let (own_load, own_waker) = (load.clone(), waker.clone());
    let run = move || {
        let now = Instant::now();
        // Made here, as buffers for system calls stay with their thread.
        let mut state = State {
            index,
            engine,
            poll,
            families: Vec::new(),
            connections: Connections::new(tcp, FIRST_CONNECTION),
            unread: VecDeque::new(),
            requests,
            more_requests: false,
            inbox,
            more_relays: false,
            relays,
            relays_wait: false,
            reports,
            backlog: VecDeque::new(),
            reports_dropped: 0,
            meter: Meter::new(now),
            load: own_load,
            _waker: own_waker,
            timeout: now,
            sweep: now + SWEEP,
        };
        let registered = state.register(sockets);
        let failed = registered.is_err();
        // Whoever waits for this lives.
        let _ = ready.send(registered);
        if failed {
            std::mem::forget(obituary);
            return;
        }
        match state.run() {
            Ok(()) => std::mem::forget(obituary),
            Err(error) => tracing::error!(worker = index, %error, "a worker has failed"),
        }
    };
    let thread = std::thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(run)
        .context("cannot start a worker thread")?;
    let registered = started.recv().context("a worker thread has failed")?;
    registered.context("cannot watch a socket")?;
    Ok(Link::new(sender, waker, load, port, thread))
}

/// Tells the owner when the thread ends otherwise than by being told to, also by a panic.
struct Obituary {
    worker: usize,
    reports: mpsc::Sender<FromWorker>,
}

impl Drop for Obituary {
    fn drop(&mut self) {
        // The thread serves nobody any more, so it may wait.
        let died = FromWorker::Died {
            worker: self.worker,
        };
        let _ = self.reports.blocking_send(died);
    }
}

/// The sockets of one address family.
struct Family {
    udp: Udp,
    udp_unread: bool,
    tcp: TcpListener,
}

struct State {
    index: usize,
    engine: Worker,
    poll: Poll,
    /// IPv4 first.
    families: Vec<Family>,
    connections: Connections,
    /// TCP connections that may have more to read.
    unread: VecDeque<Token>,
    requests: Receiver<Request>,
    more_requests: bool,
    /// From the other workers, and to them.
    inbox: Inbox,
    more_relays: bool,
    relays: Relays,
    relays_wait: bool,
    reports: mpsc::Sender<FromWorker>,
    backlog: VecDeque<Report>,
    reports_dropped: u64,
    meter: Meter,
    load: Arc<Load>,
    /// A wake-up is lost when the last of its owners is gone before it is noticed.
    _waker: Arc<Waker>,
    timeout: Instant,
    sweep: Instant,
}

/// Whether the thread goes on.
#[derive(PartialEq, Eq)]
enum Next {
    GoOn,
    Stop,
}

impl State {
    fn register(&mut self, sockets: Sockets) -> io::Result<()> {
        let port = sockets.port;
        let pairs = [Some(sockets.v4), sockets.v6].into_iter().flatten();
        for (index, Pair { udp, tcp }) in pairs.enumerate() {
            let mut family = Family {
                udp: Udp::new(udp, port)?,
                udp_unread: false,
                tcp: TcpListener::from_std(tcp),
            };
            let registry = self.poll.registry();
            registry.register(&mut family.udp.socket, UDP[index], Interest::READABLE)?;
            registry.register(&mut family.tcp, TCP[index], Interest::READABLE)?;
            self.families.push(family);
        }
        Ok(())
    }

    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let mut buffers = Buffers::new();
        self.drain(Instant::now());
        loop {
            let wait = self.wait(Instant::now());
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            let woken = Instant::now();
            self.note(woken, &events);
            if self.take_requests(woken) == Next::Stop {
                return Ok(());
            }
            self.take_relays(woken);
            self.read_datagrams(&mut buffers)?;
            let now = Instant::now();
            self.read_connections(now);
            if self.timeout <= now {
                self.engine.handle(now, Input::Timeout);
                self.drain(now);
            }
            if self.sweep <= now {
                self.sweep = now + SWEEP;
                self.connections.sweep(now);
            }
            self.flush_reports();
            self.relays_wait = !self.relays.flush();
            self.meter.worked(woken, Instant::now(), &self.load);
        }
    }

    /// How long nothing is to be done if nothing arrives.
    fn wait(&self, now: Instant) -> Duration {
        let unread = self.families.iter().any(|family| family.udp_unread);
        if unread || self.more_requests || self.more_relays || !self.unread.is_empty() {
            return Duration::ZERO;
        }
        let mut until = self.timeout.min(self.sweep).min(self.meter.deadline());
        if !self.backlog.is_empty() || self.relays_wait {
            until = until.min(now + RETRY);
        }
        until.saturating_duration_since(now)
    }

    /// Notes what can be read; readiness is told once, until everything was read.
    fn note(&mut self, now: Instant, events: &Events) {
        for event in events {
            let token = event.token();
            let udp = UDP.iter().position(|t| *t == token);
            let tcp = TCP.iter().position(|t| *t == token);
            if let Some(family) = udp.and_then(|index| self.families.get_mut(index)) {
                family.udp_unread = true;
            } else if let Some(family) = tcp.and_then(|index| self.families.get(index)) {
                let registry = self.poll.registry();
                self.connections.accept(now, &family.tcp, registry);
            } else if token == WAKE {
                self.more_requests = true;
                self.more_relays = true;
            } else {
                if event.is_writable() {
                    self.connections.writable(token);
                }
                if event.is_readable() && !self.unread.contains(&token) {
                    self.unread.push_back(token);
                }
            }
        }
    }

    fn take_requests(&mut self, now: Instant) -> Next {
        if !self.more_requests {
            return Next::GoOn;
        }
        for _ in 0..REQUEST_BUDGET {
            match self.requests.try_recv() {
                Ok(request) => {
                    self.engine.handle(now, Input::Request(request));
                    self.drain(now);
                }
                Err(TryRecvError::Empty) => {
                    self.more_requests = false;
                    return Next::GoOn;
                }
                Err(TryRecvError::Disconnected) => return Next::Stop,
            }
        }
        Next::GoOn
    }

    /// Takes what other workers have said, and does what follows once for all of it.
    fn take_relays(&mut self, now: Instant) {
        if !self.more_relays {
            return;
        }
        let mut taken = 0;
        while taken < RELAY_BUDGET {
            // The others are gone only at the very end.
            let Ok((from, relay)) = self.inbox.try_recv() else {
                self.more_relays = false;
                break;
            };
            self.engine.handle(now, Input::Relay { from, relay });
            taken += 1;
        }
        if taken > 0 {
            self.drain(now);
        }
    }

    fn read_datagrams(&mut self, buffers: &mut Buffers) -> io::Result<()> {
        for index in 0..self.families.len() {
            for _ in 0..BATCHES {
                if !self.families[index].udp_unread {
                    break;
                }
                let Self {
                    engine,
                    families,
                    meter,
                    ..
                } = self;
                let mut read_at = None;
                let more = families[index].udp.receive(buffers, |datagram| {
                    let Datagram {
                        path,
                        data,
                        now,
                        arrived,
                    } = datagram;
                    meter.received += 1;
                    read_at = Some(now);
                    engine.handle(
                        now,
                        Input::Datagram {
                            path,
                            data,
                            arrived,
                        },
                    );
                })?;
                self.families[index].udp_unread = more;
                if let Some(now) = read_at {
                    self.drain(now);
                }
            }
        }
        Ok(())
    }

    fn read_connections(&mut self, now: Instant) {
        for _ in 0..self.unread.len() {
            let Some(token) = self.unread.pop_front() else {
                return;
            };
            let Self {
                engine,
                connections,
                meter,
                ..
            } = self;
            let progress = connections.receive(now, token, |path, data| {
                meter.received += 1;
                engine.handle(
                    now,
                    Input::Datagram {
                        path,
                        data,
                        arrived: now,
                    },
                );
            });
            if progress == Progress::More {
                self.unread.push_back(token);
            }
            self.drain(now);
        }
    }

    /// Carries out what follows from what was just put in.
    fn drain(&mut self, now: Instant) {
        loop {
            match self.engine.poll(now) {
                Output::Report(report) => self.report(report),
                Output::Transmit => self.transmit(now),
                Output::Timeout(at) => {
                    self.timeout = at;
                    break;
                }
            }
        }
        self.transmit(now);
        while let Some((to, relay)) = self.engine.poll_relay() {
            self.relays.push(to, relay);
        }
    }

    fn transmit(&mut self, now: Instant) {
        if self.engine.transmits().next().is_none() {
            return;
        }
        let Self {
            engine,
            poll,
            families,
            connections,
            meter,
            ..
        } = self;
        let udp = |t: &Transmit<'_>| t.path.protocol == Protocol::Udp;
        for (index, family) in families.iter_mut().enumerate() {
            let v6 = index > 0;
            let mine = |t: &Transmit<'_>| udp(t) && t.path.remote.is_ipv6() == v6;
            family.udp.send(engine.transmits().filter(mine));
        }
        for transmit in engine.transmits() {
            meter.sent += transmit.datagrams().len() as u64;
            if !udp(&transmit) {
                for datagram in transmit.datagrams() {
                    connections.send(now, transmit.path, datagram, poll.registry());
                }
            }
        }
        engine.forget_transmits();
    }

    fn report(&mut self, report: Report) {
        if let Report::Totals(_) = report {
            self.load.publish(self.counts());
        }
        if self.backlog.is_empty() {
            let worker = self.index;
            // Without an owner the thread is about to end.
            let sent = self.reports.try_send(FromWorker::Report { worker, report });
            if let Err(TrySendError::Full(FromWorker::Report { report, .. })) = sent {
                self.keep(report);
            }
        } else {
            self.keep(report);
        }
    }

    fn keep(&mut self, report: Report) {
        let stale_soon = match &report {
            Report::AudioLevels(_)
            | Report::Statistics(_)
            | Report::Totals(_)
            | Report::KeyFrameWanted { .. } => true,
            Report::Data { channel, .. } => {
                *channel != Channel::Reliable || self.backlog.len() >= REPORT_BACKLOG
            }
            Report::TrunkParameters { .. }
            | Report::Candidate { .. }
            | Report::SeenAs { .. }
            | Report::Answer { .. }
            | Report::Offer { .. }
            | Report::Refused { .. }
            | Report::SectionsWanted { .. }
            | Report::SectionOpened(_)
            | Report::SectionClosed { .. }
            | Report::Connected { .. }
            | Report::Interrupted { .. }
            | Report::Closed { .. }
            | Report::ProducerCodec { .. }
            | Report::ConsumerStarted { .. }
            | Report::ConsumerStarved { .. }
            | Report::ConsumerFailed { .. }
            | Report::ChannelOpen { .. } => false,
        };
        if stale_soon {
            self.reports_dropped += 1;
        } else {
            self.backlog.push_back(report);
        }
    }

    fn counts(&self) -> Counts {
        Counts {
            busy_us: self.meter.busy_us(),
            udp_dropped: self.families.iter().map(|it| it.udp.dropped).sum(),
            tcp_dropped: self.connections.dropped,
            tcp_refused: self.connections.refused,
            relays_dropped: self.relays.dropped,
            reports_dropped: self.reports_dropped,
        }
    }

    fn flush_reports(&mut self) {
        while let Some(report) = self.backlog.pop_front() {
            let worker = self.index;
            let sent = self.reports.try_send(FromWorker::Report { worker, report });
            if let Err(TrySendError::Full(FromWorker::Report { report, .. })) = sent {
                self.backlog.push_front(report);
                return;
            }
        }
    }
}
