//! Peer connections in no room, by which a browser finds out which media ports it reaches.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use umbrella_engine::{Negotiation, Request, TransportId};

use super::Control;
use super::handle::{Handle, Message};

/// At a time. The page makes two for each port, of eight ports at most, and one for each relay.
const MOST: usize = 128;

/// Of them of one address, behind which there may be several people.
const MOST_OF_ONE: usize = MOST / 2;

/// How long each lives: a browser that has not connected by then does not reach the port.
const LIFETIME: Duration = Duration::from_secs(15);

/// What a browser offers to one worker.
#[derive(Debug)]
pub(super) struct Offer {
    client: IpAddr,
    worker: usize,
    sdp: String,
    reply: oneshot::Sender<Result<String, ProbeError>>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProbeError {
    /// As many as may are being made.
    #[error("too many checks are going on; try again in a few seconds")]
    TooMany,
    /// There is no such worker, or it has died.
    #[error("there is no such port")]
    NoWorker,
    /// The description could not be used.
    #[error("{0}")]
    Refused(String),
}

/// Those that are open, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Probes(VecDeque<Probe>);

#[derive(Debug)]
struct Probe {
    client: IpAddr,
    transport: TransportId,
    worker: usize,
    until: Instant,
    /// Who waits for our description.
    reply: Option<oneshot::Sender<Result<String, ProbeError>>>,
}

impl Probes {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.front().map(|probe| probe.until)
    }

    fn is_full(&self, client: IpAddr) -> bool {
        let theirs = self.0.iter().filter(|it| it.client == client);
        self.0.len() >= MOST || theirs.count() >= MOST_OF_ONE
    }

    fn get_mut(&mut self, transport: TransportId) -> Option<&mut Probe> {
        self.0.iter_mut().find(|it| it.transport == transport)
    }
}

impl Handle {
    /// The answer of a worker to a browser that only wants to know whether it reaches its port. What
    /// comes of it is in no room, and ends after 15 s.
    pub(crate) async fn probe(
        &self,
        client: IpAddr,
        worker: usize,
        sdp: String,
    ) -> Result<String, ProbeError> {
        let (reply, answer) = oneshot::channel();
        let offer = Offer {
            client,
            worker,
            sdp,
            reply,
        };
        self.tell(Message::Probe(offer)).await;
        answer.await.unwrap_or(Err(ProbeError::NoWorker))
    }
}

impl Control {
    pub(super) fn open_probe(&mut self, now: Instant, offer: Offer) {
        let Offer {
            client,
            worker,
            sdp,
            reply,
        } = offer;
        let is_there = self.workers.get(worker).is_some_and(|it| !it.is_dead());
        let problem = match (is_there, self.probes.is_full(client)) {
            (true, false) => None,
            (false, _) => Some(ProbeError::NoWorker),
            (true, true) => Some(ProbeError::TooMany),
        };
        if let Some(problem) = problem {
            // Who has asked may have gone.
            let _ = reply.send(Err(problem));
            return;
        }
        let transport = TransportId(self.names.next());
        self.probes.0.push_back(Probe {
            client,
            transport,
            worker,
            until: now + LIFETIME,
            reply: Some(reply),
        });
        let open = Request::OpenTransport {
            transport,
            negotiation: Negotiation::PeerOffers,
            channels: false,
        };
        self.request(worker, open);
        let offer = Request::RemoteOffer {
            transport,
            offer: 1,
            sdp,
            options: Vec::new(),
        };
        self.request(worker, offer);
    }

    /// Our description, or why there is none. False if it is not of a probe.
    pub(super) fn probe_answered(
        &mut self,
        transport: TransportId,
        answer: Result<&str, &str>,
    ) -> bool {
        let Some(probe) = self.probes.get_mut(transport) else {
            return false;
        };
        let worker = probe.worker;
        let reply = probe.reply.take();
        if answer.is_err() {
            self.probe_closed(transport);
            self.request(worker, Request::CloseTransport { transport });
        }
        if let Some(reply) = reply {
            let refused = |why: &str| ProbeError::Refused(why.to_owned());
            let _ = reply.send(answer.map(str::to_owned).map_err(refused));
        }
        true
    }

    /// The browser has closed it. False if it is not of a probe.
    pub(super) fn probe_closed(&mut self, transport: TransportId) -> bool {
        let before = self.probes.0.len();
        self.probes.0.retain(|it| it.transport != transport);
        self.probes.0.len() < before
    }

    pub(super) fn close_old_probes(&mut self, now: Instant) {
        while self.probes.deadline().is_some_and(|until| until <= now)
            && let Some(probe) = self.probes.0.pop_front()
        {
            let transport = probe.transport;
            self.request(probe.worker, Request::CloseTransport { transport });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_takes_all_checks() {
        let mut probes = Probes::default();
        let [greedy, other]: [IpAddr; 2] = ["10.0.0.1", "10.0.0.2"].map(|it| it.parse().unwrap());
        let open = |probes: &mut Probes, client| {
            let is_full = probes.is_full(client);
            if !is_full {
                probes.0.push_back(Probe {
                    client,
                    transport: TransportId(probes.0.len() as u64),
                    worker: 0,
                    until: Instant::now(),
                    reply: None,
                });
            }
            !is_full
        };
        let count = (0..MOST).filter(|_| open(&mut probes, greedy)).count();
        assert_eq!(count, MOST_OF_ONE);
        let count = (0..MOST).filter(|_| open(&mut probes, other)).count();
        assert_eq!(count, MOST - MOST_OF_ONE);
    }
}
