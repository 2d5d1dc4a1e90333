//! A measurement from the first join to the last leave.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;

use crate::driver::Driver;
use crate::janus;
use crate::limit;
use crate::loss::Loss;
use crate::participant::{self, Participant, Server};
use crate::process::{Machine, Usage};
use crate::report::{Limits, Measured, Report};
use crate::scenario::{Plan, Scenario};
use crate::soak::{FullHouse, Phase, Seat, Turnover};
use crate::socket::Connector;
use crate::tally::{Progress, Tally};
use crate::token::Key;

/// How long everybody may take to be there, after the last one has begun to join.
const PATIENCE: Duration = Duration::from_secs(60);

/// The last one of a full house may take so long. A handshake whose datagrams are lost is repeated
/// after 1, 2, 4 and 8 s (RFC 6347, 4.2.4.1).
const STRAGGLERS: Duration = Duration::from_secs(30);

/// How long each kind of burst of the limit is measured.
const LIMIT_TIME: Duration = Duration::from_millis(1500);
/// How long the bursts are sent at their pace.
const PACE_TIME: Duration = Duration::from_secs(4);

/// How often memory is read while everybody is there.
const READINGS: u32 = 11;

/// How to speak with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// The client protocol: Umbrella, LiveKit.
    Livekit,
    /// The video room of Janus.
    Janus,
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// How to speak with it.
    pub dialect: Dialect,
    /// `ws://…` or `wss://…`.
    pub url: Url,
    /// Where those join who do not publish, if not there: another server, to which a trunk leads.
    pub watch_url: Option<Url>,
    /// Address of ours for media; without it the one from which the server is reached.
    pub bind: Option<IpAddr>,
    /// Take any certificate.
    pub insecure: bool,
    /// Signs tokens.
    pub key: Key,
    /// The room to join.
    pub room: String,
    /// Who joins.
    pub plan: Plan,
    /// Publishers join one after the other, so far apart, and so are their pictures: of 25 in a second,
    /// 50 ms bring those of each fourth together.
    pub publisher_spacing: Duration,
    /// How long to wait when all are there.
    pub warm_up: Duration,
    /// How long to measure.
    pub duration: Duration,
    /// The server's process.
    pub server_pid: Option<u32>,
    /// Threads that drive connections.
    pub threads: usize,
    /// Whether to measure the limit as well.
    pub limit: bool,
    /// What our own sockets lose.
    pub loss: Loss,
}

/// Carries it out.
///
/// # Errors
///
/// The server cannot be reached, or nobody can join.
pub async fn run(options: &Options) -> anyhow::Result<Report> {
    let local = match options.bind {
        Some(local) => local,
        None => local_address(&options.url)?,
    };
    let mut crowd = Crowd::new(options, local)?;
    let usage = || options.server_pid.and_then(Usage::of);
    let before = usage();
    if options.server_pid.is_some() && before.is_none() {
        bail!("there is no process {:?} to read", options.server_pid);
    }
    let plan = &options.plan;
    crowd.fill(options).await?;
    tokio::time::sleep(options.warm_up).await;

    crowd.begin().await;
    let (begun, machine) = (Instant::now(), Machine::now());
    let (begin, ours) = (usage(), Usage::of(std::process::id()));
    let mut full_houses = Vec::new();
    match plan.scenario {
        Scenario::Churn => crowd.churn(options).await,
        Scenario::Soak => full_houses = crowd.soak(options).await,
        Scenario::Broadcast | Scenario::Meeting | Scenario::Audio | Scenario::Idle => {
            tokio::time::sleep(options.duration).await;
        }
    }
    let (end, ours_end) = (usage(), Usage::of(std::process::id()));
    let duration = begun.elapsed();
    let machine_busy = Machine::now().busy_since(&machine);
    let tally = crowd.collect().await;
    let progress = crowd.progress().await;
    let (failures, turnover) = crowd.leave().await;
    if progress.joins.is_empty() {
        let why = progress.failure.as_ref().or(failures.first());
        bail!("nobody could join: {}", why.map_or("no reason", |why| why));
    }
    let limits = match options.limit {
        true => Some(Limits {
            tight_us: limit::measure(&plan.bursts(), LIMIT_TIME)?,
            paced_us: {
                let watching = plan.watching().0 as usize;
                limit::measure_at_pace(&plan.bursts(), watching, PACE_TIME)?
            },
        }),
        false => None,
    };
    let server = before.zip(begin).zip(end);
    Ok(Report::new(Measured {
        plan,
        tally,
        progress,
        failures,
        loss: options.loss.share,
        turnover: (plan.scenario == Scenario::Soak).then_some(turnover),
        full_houses,
        duration,
        server: server.map(|((before, begin), end)| (before, begin, end)),
        limits,
        machine_busy,
        loadgen: ours_end
            .unwrap_or_default()
            .since(&ours.unwrap_or_default()),
    }))
}

/// The address of ours from which the server is reached.
pub(crate) fn local_address(url: &Url) -> anyhow::Result<IpAddr> {
    let addresses = url
        .socket_addrs(|| None)
        .context("cannot find the server")?;
    let there = *addresses.first().context("the server has no address")?;
    let any: IpAddr = if there.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    // Connecting a datagram socket sends nothing: it only looks up the route.
    let probe = UdpSocket::bind((any, 0))?;
    probe.connect(there)?;
    Ok(probe.local_addr()?.ip())
}

/// All participants of a run.
struct Crowd {
    server: Server,
    /// Where those join who do not publish.
    watched_at: Server,
    dialect: Dialect,
    /// How many each subscriber watches.
    watched: u32,
    drivers: Vec<Driver>,
    sessions: JoinSet<anyhow::Result<()>>,
    /// Of a soak.
    seats: JoinSet<Turnover>,
    phase: watch::Sender<Phase>,
    leave: watch::Sender<bool>,
    failures: Vec<String>,
}

impl Crowd {
    fn new(options: &Options, local: IpAddr) -> anyhow::Result<Crowd> {
        let threads = 0..options.threads.max(1);
        let drivers: Result<Vec<_>, _> = threads
            .map(|thread| {
                let seed = options.loss.seed.wrapping_add(thread as u64);
                Driver::start(
                    local,
                    Loss {
                        seed,
                        ..options.loss
                    },
                )
            })
            .collect();
        let server = |url: &Url| -> anyhow::Result<Server> {
            Ok(Server {
                connector: Connector::new(url.clone(), options.insecure)?,
                key: options.key.clone(),
            })
        };
        Ok(Crowd {
            server: server(&options.url)?,
            watched_at: server(options.watch_url.as_ref().unwrap_or(&options.url))?,
            dialect: options.dialect,
            watched: options.plan.watching().1,
            drivers: drivers?,
            sessions: JoinSet::new(),
            seats: JoinSet::new(),
            phase: watch::Sender::new(Phase::FullHouse { at: Duration::ZERO }),
            leave: watch::Sender::new(false),
            failures: Vec::new(),
        })
    }

    /// Lets everybody come and waits for them.
    async fn fill(&mut self, options: &Options) -> anyhow::Result<()> {
        let plan = &options.plan;
        if plan.scenario == Scenario::Soak {
            self.seat(options).await;
            return Ok(());
        }
        for publisher in plan.publishers(&options.room) {
            self.add(publisher);
            tokio::time::sleep(options.publisher_spacing).await;
        }
        if plan.scenario == Scenario::Churn {
            return self.arrive(plan.publishers as usize, 0).await;
        }
        let subscribers = plan.subscribers(&options.room);
        let spacing = plan.join_within / (subscribers.len().max(1) as u32);
        for subscriber in subscribers {
            self.add(subscriber);
            tokio::time::sleep(spacing).await;
        }
        let (video, audio) = plan.subscriptions();
        let (connections, tracks) = (plan.connections(), video + audio);
        self.arrive(connections as usize, tracks as usize).await
    }

    /// Fills the rooms of a soak, whose seats look after themselves from then on.
    async fn seat(&mut self, options: &Options) {
        let plan = Arc::new(options.plan.clone());
        let seats = plan.publishers + plan.subscribers;
        let numbers = Arc::new(AtomicU32::new(0));
        for number in 0..plan.rooms * seats {
            let seat = Seat {
                server: self.server.clone(),
                driver: self.driver(number),
                plan: plan.clone(),
                room: options.room.clone(),
                slot: number / seats,
                number,
                publishes: number % seats < plan.publishers,
                seed: options.loss.seed,
                numbers: numbers.clone(),
            };
            self.seats.spawn(seat.run(self.phase.subscribe()));
            tokio::time::sleep(plan.join_within / (plan.rooms * seats)).await;
        }
    }

    fn driver(&self, number: u32) -> Driver {
        self.drivers[number as usize % self.drivers.len()].clone()
    }

    /// Lets one begin to join.
    fn add(&mut self, who: Participant) {
        let leave = self.leave.subscribe();
        self.add_until(who, leave);
    }

    fn add_until(&mut self, who: Participant, leave: watch::Receiver<bool>) {
        let server = match who.tracks.is_empty() {
            true => self.watched_at.clone(),
            false => self.server.clone(),
        };
        let driver = self.driver(who.number);
        let (dialect, watched) = (self.dialect, self.watched);
        self.sessions.spawn(async move {
            let number = who.number;
            let result = match dialect {
                Dialect::Livekit => participant::run(&server, who, driver, leave).await,
                Dialect::Janus => janus::run(&server.connector, who, watched, driver, leave).await,
            };
            result.with_context(|| format!("participant {number}"))
        });
    }

    /// Waits until so many connections are up and so many tracks come, or says what is missing
    /// and goes on: an overloaded server is measured too.
    async fn arrive(&mut self, connections: usize, tracks: usize) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            self.note_failures();
            let progress = self.progress().await;
            if progress.connected >= connections && progress.tracks >= tracks {
                return Ok(());
            }
            if self.sessions.is_empty() {
                bail!("nobody could join: {}", self.failures.join("; "));
            }
            if Instant::now() > end {
                self.failures.push(format!(
                    "only {} of {connections} connections and {} of {tracks} tracks came",
                    progress.connected, progress.tracks
                ));
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Lets subscribers come all the time, each of whom goes after a while, so that as many as
    /// planned are there at once.
    async fn churn(&mut self, options: &Options) {
        let plan = &options.plan;
        let spacing = plan.join_within / plan.subscribers.max(1);
        let end = Instant::now() + options.duration;
        let templates = plan.subscribers(&options.room);
        let mut next = plan.publishers;
        while Instant::now() < end {
            for template in &templates {
                let who = Participant {
                    number: next,
                    identity: format!("load-{next}"),
                    ..template.clone()
                };
                next += 1;
                let stay = plan.join_within;
                let leave = watch::Sender::new(false);
                self.add_until(who, leave.subscribe());
                tokio::spawn(async move {
                    tokio::time::sleep(stay).await;
                    // It may have gone by itself.
                    let _ = leave.send(true);
                });
                tokio::time::sleep(spacing).await;
                if Instant::now() >= end {
                    break;
                }
            }
        }
        self.note_failures();
    }

    /// Lets them come and go, and looks at the server whenever all are there.
    async fn soak(&self, options: &Options) -> Vec<FullHouse> {
        let plan = &options.plan;
        let (started, mut full_houses) = (Instant::now(), Vec::new());
        // Counted, not timed: one that waits for its last guest must not cost the next one.
        let houses = options.duration.div_duration_f64(plan.period).round() as u32;
        for _ in 0..houses {
            let before = self.phase.borrow().time().unwrap_or_default();
            let since = Instant::now();
            self.phase.send_replace(Phase::Turnover { since, before });
            tokio::time::sleep(plan.period.saturating_sub(plan.full_house)).await;
            let at = before + since.elapsed();
            self.phase.send_replace(Phase::FullHouse { at });
            let all_after = self.complete(plan.connections() as usize).await;
            // The server has noticed who has gone, and histories have filled.
            tokio::time::sleep(plan.full_house / 2).await;
            let resident_kb = self.resident(options, plan.full_house / 2).await;
            full_houses.push(FullHouse {
                at_s: started.elapsed().as_secs(),
                all_after_s: all_after.as_secs_f64(),
                connections: self.progress().await.connected,
                missing: self.missing().await,
                resident_kb,
            });
        }
        full_houses
    }

    /// Waits until so many connections are up, [`STRAGGLERS`] at most; how long that took.
    async fn complete(&self, connections: usize) -> Duration {
        let began = Instant::now();
        while began.elapsed() < STRAGGLERS && self.progress().await.connected < connections {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        began.elapsed()
    }

    /// What is known of connections that should be up and are not.
    async fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for driver in &self.drivers {
            missing.extend(driver.missing().await);
        }
        missing
    }

    /// The median of the server's resident memory within a time.
    async fn resident(&self, options: &Options, time: Duration) -> Option<u64> {
        let mut readings = Vec::new();
        for _ in 0..READINGS {
            tokio::time::sleep(time / READINGS).await;
            readings.push(options.server_pid.and_then(Usage::of)?.rss_kb);
        }
        readings.sort_unstable();
        readings.get(readings.len() / 2).copied()
    }

    async fn progress(&self) -> Progress {
        let mut progress = Progress::default();
        for driver in &self.drivers {
            progress.add(driver.progress().await);
        }
        progress
    }

    async fn begin(&self) {
        for driver in &self.drivers {
            driver.begin().await;
        }
    }

    async fn collect(&self) -> Tally {
        let mut tally = Tally::default();
        for driver in &self.drivers {
            tally.add(&driver.collect().await);
        }
        tally
    }

    fn note_failures(&mut self) {
        while let Some(ended) = self.sessions.try_join_next() {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.failures.push(format!("{error:#}")),
                Err(error) => self.failures.push(error.to_string()),
            }
        }
    }

    /// Lets all go; why some went before, and who came and went in a soak.
    async fn leave(mut self) -> (Vec<String>, Turnover) {
        self.note_failures();
        let failures = std::mem::take(&mut self.failures);
        // Nobody listens when all have gone already.
        let _ = self.leave.send(true);
        self.phase.send_replace(Phase::Over);
        let mut turnover = Turnover::default();
        let all = async {
            while self.sessions.join_next().await.is_some() {}
            while let Some(seat) = self.seats.join_next().await {
                turnover.add(seat.unwrap_or_default());
            }
        };
        // Whoever cannot say goodbye in time is cut off.
        let _ = tokio::time::timeout(Duration::from_secs(5), all).await;
        (failures, turnover)
    }
}
