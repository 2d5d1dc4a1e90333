//! Worker threads: one per core, each with sockets on a port of its own, driving one
//! [`umbrella_engine::Worker`]. Nothing is shared between them, and nothing in them waits for
//! anything but their sockets.

mod batch;
pub(crate) mod framing;
mod kernel;
mod link;
mod load;
mod ports;
mod relays;
mod tcp;
mod thread;
mod udp;

use std::net::IpAddr;
use std::time::{Instant, SystemTime};

use anyhow::Context as _;
use tokio::sync::mpsc;
use umbrella_engine::{Identity, Limits, Report, WorkerConfig};

use crate::config::MediaConfig;
use crate::net::{Advertised, media_addresses};

pub(crate) use self::kernel::Kernel;
pub(crate) use self::link::{Intake, Link};
pub(crate) use self::load::{Counts, Reading};
pub use self::ports::Reach;
use self::relays::Relays;
use self::thread::Seat;

/// Reports of all workers that wait for the owner of the rooms. When it is full a worker keeps
/// its reports for later, and drops what is stale by then: loudness and lossy data.
const REPORTS: usize = 4096;

/// How workers are set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many workers, on which ports, at which public addresses.
    pub media: MediaConfig,
    /// This machine's own addresses.
    pub interfaces: Vec<IpAddr>,
    /// Who can reach the workers.
    pub reach: Reach,
    /// Bounds on what a peer can make a worker do.
    pub limits: Limits,
    /// Bounds on connections over TCP.
    pub tcp: TcpLimits,
}

/// Bounds on a worker's connections over TCP.
#[derive(Debug, Clone, Copy)]
pub struct TcpLimits {
    /// At a time.
    pub connections: usize,
    /// At a time from one address.
    pub per_address: usize,
}

/// What a worker thread says.
#[derive(Debug)]
pub(crate) enum FromWorker {
    /// The engine reports something.
    Report {
        /// Which worker, counted from 0.
        worker: usize,
        /// What.
        report: Report,
    },
    /// The thread has ended by itself.
    Died {
        /// Which worker, counted from 0.
        worker: usize,
    },
}

/// Running workers, not yet in anybody's hands.
#[derive(Debug)]
pub struct Workers {
    links: Vec<Link>,
    reports: mpsc::Receiver<FromWorker>,
    advertised: Advertised,
}

/// Binds the ports and starts the threads.
///
/// # Errors
///
/// If there are not enough free ports between the bounds, or the system refuses a thread; the
/// text says what to do.
pub fn start(settings: &Settings) -> anyhow::Result<Workers> {
    let identity = Identity::generate().context("cannot make a DTLS certificate")?;
    let (reports, receiver) = mpsc::channel(REPORTS);
    let seats = (0..settings.media.worker_count()).map(|_| Seat::new());
    let seats: Vec<Seat> = seats.collect::<anyhow::Result<_>>()?;
    let addresses_of_all: Vec<_> = seats.iter().map(|seat| seat.address.clone()).collect();
    let mut links = Vec::new();
    let mut next_port = u32::from(settings.media.min_port);
    for (index, seat) in seats.into_iter().enumerate() {
        let last_port = settings.media.max_port;
        let sockets = ports::bind(next_port, last_port, &settings.interfaces, settings.reach)?;
        let port = sockets.port;
        next_port = u32::from(port) + 1;
        let addresses = media_addresses(&settings.media, &settings.interfaces, &[], port);
        anyhow::ensure!(
            !addresses.is_empty() || !settings.media.stun.is_empty(),
            "no address can be advertised for media: set media.public_ips (UMBRELLA_PUBLIC_IP) \
             or switch media.advertise_lan on"
        );
        let config = WorkerConfig {
            addresses,
            limits: settings.limits.clone(),
            identity: identity.clone(),
        };
        let engine = umbrella_engine::Worker::new(config, Instant::now(), SystemTime::now());
        let relays = Relays::new(index, &addresses_of_all);
        let outside = thread::Outside {
            index,
            sockets,
            relays,
            reports: reports.clone(),
        };
        let link = thread::spawn(engine, seat, outside, settings.tcp)?;
        links.push(link);
    }
    let ports: Vec<u16> = links.iter().map(Link::port).collect();
    let advertised = Advertised::new(&settings.media, &settings.interfaces, &[], &ports);
    Ok(Workers {
        links,
        reports: receiver,
        advertised,
    })
}

impl Workers {
    /// What is advertised for media.
    pub(crate) fn advertised(&self) -> Advertised {
        self.advertised.clone()
    }

    /// The workers one by one, and what they all say.
    pub(crate) fn split(self) -> (Vec<Link>, mpsc::Receiver<FromWorker>) {
        (self.links, self.reports)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use umbrella_engine::{Negotiation, Protocol, Request, TransportId, TrunkParameters};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn two_workers() -> Workers {
        let media = MediaConfig {
            workers: Some(2),
            min_port: 48_000,
            max_port: 48_999,
            public_ips: Vec::new(),
            stun: Vec::new(),
            advertise_lan: true,
            udp: true,
            tcp: true,
        };
        let tcp = TcpLimits {
            connections: 16,
            per_address: 16,
        };
        start(&Settings {
            media,
            interfaces: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            reach: Reach::ThisMachine,
            limits: Limits::default(),
            tcp,
        })
        .unwrap()
    }

    /// How this worker's end is reached, and what else is said until both are connected.
    struct Ends {
        links: Vec<Link>,
        said: [Option<TrunkParameters>; 2],
        connected: [Option<Protocol>; 2],
    }

    impl Ends {
        #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is to happen")]
        fn hear(&mut self, worker: usize, report: Report) {
            match report {
                Report::TrunkParameters { parameters, .. } => {
                    self.said[worker] = Some(parameters);
                }
                Report::Connected { protocol, .. } => self.connected[worker] = Some(protocol),
                other => panic!("{other:?}"),
            }
            if let [Some(first), Some(second)] = self.said.clone() {
                self.said = [None, None];
                self.tell(0, second);
                self.tell(1, first);
            }
        }

        /// UDP is kept from them.
        fn tell(&mut self, worker: usize, mut parameters: TrunkParameters) {
            parameters.candidates.retain(|it| it.contains(" tcp "));
            assert!(!parameters.candidates.is_empty());
            let transport = TransportId(1);
            self.ask(
                worker,
                Request::TrunkParameters {
                    transport,
                    parameters,
                },
            );
        }

        fn ask(&mut self, worker: usize, request: Request) {
            self.links[worker].push(request);
            self.links[worker].flush();
        }
    }

    #[test]
    fn servers_whose_network_blocks_udp_are_not_linked() {
        let (links, mut reports) = two_workers().split();
        let mut ends = Ends {
            links,
            said: [None, None],
            connected: [None, None],
        };
        for worker in 0..2 {
            let negotiation = Negotiation::Trunk {
                dials: worker == 0,
                introduced: false,
            };
            ends.ask(
                worker,
                Request::OpenTransport {
                    transport: TransportId(1),
                    negotiation,
                    channels: false,
                },
            );
        }
        let begin = Instant::now();
        while ends.connected != [Some(Protocol::Tcp); 2] {
            assert!(begin.elapsed() < LIMIT, "never connected");
            match reports.try_recv() {
                Ok(FromWorker::Report { worker, report }) => ends.hear(worker, report),
                Ok(FromWorker::Died { worker }) => panic!("worker {worker} has died"),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}
