//! The server's test of itself, for machines that nobody has tried it on: everything of this binary
//! that a build for another processor, a small kernel or a strict firewall can break is done once,
//! as the server does it.
//!
//! Two peers ([`umbrella_engine::selftest`]) have a call through a worker with its thread and its
//! sockets. It reads no configuration, keeps nothing, and speaks with nobody beyond this machine.

mod call;
mod parts;
mod report;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt::Display;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::mpsc;
use umbrella_engine::{Limits, Protocol};

use self::call::Call;
pub(crate) use self::report::{Outcome, Report};
use crate::config::MediaConfig;
use crate::tasks;
use crate::worker::{self, FromWorker, Kernel, Link, Reach, Settings, TcpLimits};

/// How long a stage may take; an emulated processor is slow.
const STAGE: Duration = Duration::from_secs(20);

/// How long all of it may take.
const TOTAL: Duration = Duration::from_secs(60);

/// How long the worker may take to end.
const ENDING: Duration = Duration::from_secs(2);

/// Ports for private use (RFC 6335, section 6), away from those of a server that is running.
const PORTS: (u16, u16) = (49_152, 65_535);

/// How a call is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Udp,
    UdpOverV6,
    Tcp,
}

/// What a call shows, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Both peers have found the worker.
    Ice,
    /// Keys are agreed on, and both sides are who they said.
    Dtls,
    /// What one sends arrives at the other, in order and unchanged.
    Audio,
    Video,
    /// Who watches asks for a key frame, who publishes is asked, and it comes.
    KeyFrame,
    /// Data messages arrive, in both directions.
    Data,
}

const STEPS: [Step; 6] = [
    Step::Ice,
    Step::Dtls,
    Step::Audio,
    Step::Video,
    Step::KeyFrame,
    Step::Data,
];

/// One thing that is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// That a fault of something does not end everything.
    Faults,
    /// The page in the binary.
    Page,
    /// A certificate, and a TLS connection with it.
    Tls,
    /// SQLite.
    Database,
    /// A worker's thread and sockets.
    Worker,
    /// A call through the worker.
    Call(Route, Step),
}

/// What a stage that has passed has to say.
#[derive(Debug, Default)]
struct Passed {
    detail: String,
    remarks: Vec<String>,
}

impl Passed {
    fn with(detail: String) -> Passed {
        Passed {
            detail,
            remarks: Vec::new(),
        }
    }
}

/// What lies between peers and server; only tests have something there.
#[derive(Debug, Clone, Copy)]
struct Between {
    /// What a peer hears when the server sends it a session description.
    description: fn(&str) -> String,
    /// Whether a datagram passes.
    passes: fn(Hop, &[u8]) -> bool,
}

/// Which way a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hop {
    FromPublisher,
    ToPublisher,
    FromWatcher,
    ToWatcher,
}

/// How the test is done.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// Where temporary files go.
    place: PathBuf,
    patience: fn(Stage) -> Duration,
    between: Between,
}

impl Setup {
    /// What an operator gets.
    pub(crate) fn usual() -> Setup {
        Setup {
            place: std::env::temp_dir(),
            patience: |_| STAGE,
            between: Between {
                description: str::to_owned,
                passes: |_, _| true,
            },
        }
    }
}

/// Tests everything; `each` is told of every stage as it ends. After at most a minute there is a
/// report, whatever hangs.
///
/// # Errors
///
/// If the test cannot begin.
pub(crate) fn run(setup: &Setup, each: &mut dyn FnMut(&Outcome)) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let mut test = Test {
        setup,
        each,
        end: Instant::now() + TOTAL,
        report: Report::new(),
    };
    runtime.block_on(test.all());
    let report = test.report;
    // What hangs is not waited for.
    runtime.shutdown_background();
    Ok(report)
}

struct Test<'a> {
    setup: &'a Setup,
    each: &'a mut dyn FnMut(&Outcome),
    end: Instant,
    report: Report,
}

/// A worker at work.
struct Bench {
    link: Link,
    reports: mpsc::Receiver<FromWorker>,
    v6: bool,
}

impl Test<'_> {
    async fn all(&mut self) {
        let place = self.setup.place.clone();
        self.blocking(Stage::Faults, parts::faults).await;
        self.blocking(Stage::Page, parts::page).await;
        self.blocking(Stage::Tls, parts::tls).await;
        let database = move || parts::database(&place);
        self.blocking(Stage::Database, database).await;
        let (took, bench) = self.timed(Stage::Worker, blocking(Bench::open)).await;
        match bench {
            None => self.too_late(Stage::Worker, took),
            Some(Err(why)) => self.failed(Stage::Worker, took, why),
            Some(Ok(bench)) => {
                let passed = Passed::with(format!("port {} of this machine", bench.link.port()));
                self.passed(Stage::Worker, took, passed);
                self.calls(bench).await;
            }
        }
        self.kernel().await;
    }

    async fn calls(&mut self, mut bench: Bench) {
        let port = bench.link.port();
        let [v4, v6] = [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ];
        let routes = [
            (Route::Udp, Protocol::Udp, v4, true),
            (Route::UdpOverV6, Protocol::Udp, v6, bench.v6),
            (Route::Tcp, Protocol::Tcp, v4, true),
        ];
        for (number, (route, protocol, ip, possible)) in (0..).zip(routes) {
            if possible {
                let server = SocketAddr::new(ip, port);
                self.call(&mut bench, route, (protocol, server), number)
                    .await;
            }
        }
        self.report.ipv6(bench.v6);
        let ended = bench.link.stop();
        let ended = blocking(move || ended.map(std::thread::JoinHandle::join));
        // It has done what was to be tested; a thread that hangs ends with the process.
        let _ = tokio::time::timeout(ENDING, ended).await;
    }

    async fn call(
        &mut self,
        bench: &mut Bench,
        route: Route,
        way: (Protocol, SocketAddr),
        number: u64,
    ) {
        let between = self.setup.between;
        let first = Stage::Call(route, Step::Ice);
        let Bench { link, reports, .. } = bench;
        let opening = Call::open(link, reports, way, between, number);
        let (mut took, opened) = self.timed(first, opening).await;
        let mut call = match opened {
            None => return self.too_late(first, took),
            Some(Err(why)) => return self.failed(first, took, why),
            Some(Ok(call)) => call,
        };
        for step in STEPS {
            let stage = Stage::Call(route, step);
            let (here, gone) = self.timed(stage, call.go(step)).await;
            took += here;
            match gone {
                Some(Ok(())) => self.passed(stage, took, Passed::with(call.detail(step))),
                Some(Err(why)) => return self.failed(stage, took, why),
                None if self.end <= Instant::now() => return self.too_late(stage, took),
                None => return self.failed(stage, took, call.progress(step)),
            }
            took = Duration::ZERO;
        }
        self.report.remarks.extend(call.remark());
        call.close();
    }

    /// What the kernel lacks is no failure.
    async fn kernel(&mut self) {
        let left = self.end.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left.min(STAGE), Kernel::probe()).await {
            Ok(Ok(kernel)) => self.report.kernel(kernel),
            Ok(Err(error)) => {
                let remark = format!("What the kernel can do is not known: {error}.");
                self.report.remarks.push(remark);
            }
            Err(_) => {
                let remark = "What the kernel can do is not known: it took too long.";
                self.report.remarks.push(remark.to_owned());
            }
        }
    }

    /// A stage that keeps its thread busy.
    async fn blocking(
        &mut self,
        stage: Stage,
        work: impl FnOnce() -> Result<Passed, String> + Send + 'static,
    ) {
        match self.timed(stage, blocking(work)).await {
            (took, None) => self.too_late(stage, took),
            (took, Some(Ok(passed))) => self.passed(stage, took, passed),
            (took, Some(Err(why))) => self.failed(stage, took, why),
        }
    }

    /// How long something took, and what came of it; `None` if that was too long.
    async fn timed<T>(&self, stage: Stage, work: impl Future<Output = T>) -> (Duration, Option<T>) {
        let begin = Instant::now();
        let left = self.end.saturating_duration_since(begin);
        let limit = left.min((self.setup.patience)(stage));
        let done = tokio::time::timeout(limit, work).await;
        (begin.elapsed(), done.ok())
    }

    fn passed(&mut self, stage: Stage, took: Duration, passed: Passed) {
        self.report.remarks.extend(passed.remarks);
        self.note(Outcome::passed(stage, took, passed.detail));
    }

    fn failed(&mut self, stage: Stage, took: Duration, why: String) {
        self.note(Outcome::failed(stage, took, why));
    }

    fn too_late(&mut self, stage: Stage, took: Duration) {
        let why = match self.end <= Instant::now() {
            true => "there was no time left for it: the machine is very slow, or very busy",
            false => "it did not end in time",
        };
        self.failed(stage, took, why.to_owned());
    }

    fn note(&mut self, outcome: Outcome) {
        (self.each)(&outcome);
        self.report.stages.push(outcome);
    }
}

/// Why something failed, for the report.
fn text(error: impl Display) -> String {
    error.to_string()
}

/// Does something on a thread of its own. A panic there is as bad as never ending.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tasks::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => std::future::pending().await,
    }
}

impl Bench {
    /// Starts a worker that only this machine can reach.
    fn open() -> Result<Bench, String> {
        let v6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        let mut interfaces = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        if v6 {
            interfaces.push(IpAddr::V6(Ipv6Addr::LOCALHOST));
        }
        let workers = worker::start(&Settings {
            media: MediaConfig {
                workers: Some(1),
                min_port: PORTS.0,
                max_port: PORTS.1,
                public_ips: Vec::new(),
                stun: Vec::new(),
                advertise_lan: true,
                udp: true,
                tcp: true,
            },
            interfaces,
            reach: Reach::ThisMachine,
            limits: Limits::default(),
            tcp: TcpLimits {
                connections: 16,
                per_address: 16,
            },
        });
        let (mut links, reports) = workers.map_err(|error| format!("{error:#}"))?.split();
        let link = links.pop().ok_or("there is no worker")?;
        Ok(Bench { link, reports, v6 })
    }
}
