//! Peer connections in no room, by which a browser finds out which media ports it reaches.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use umbrella_engine::{Negotiation, Request, TransportId};

use super::Control;
use super::handle::{Handle, Message};

/// At a time. A browser makes two for each worker.
const MOST: usize = 128;

/// How long each lives: a browser that has not connected by then does not reach the port.
const LIFETIME: Duration = Duration::from_secs(15);

/// What a browser offers to one worker.
#[derive(Debug)]
pub(super) struct Offer {
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

    fn get_mut(&mut self, transport: TransportId) -> Option<&mut Probe> {
        self.0.iter_mut().find(|it| it.transport == transport)
    }
}

impl Handle {
    /// The answer of a worker to a browser that only wants to know whether it reaches its port. What
    /// comes of it is in no room, and ends after 15 s.
    pub(crate) async fn probe(&self, worker: usize, sdp: String) -> Result<String, ProbeError> {
        let (reply, answer) = oneshot::channel();
        let offer = Offer { worker, sdp, reply };
        self.tell(Message::Probe(offer)).await;
        answer.await.unwrap_or(Err(ProbeError::NoWorker))
    }
}

impl Control {
    pub(super) fn open_probe(&mut self, now: Instant, offer: Offer) {
        let Offer { worker, sdp, reply } = offer;
        let is_there = self.workers.get(worker).is_some_and(|it| !it.is_dead());
        if !is_there || self.probes.0.len() >= MOST {
            let is_full = self.probes.0.len() >= MOST;
            let error = if is_full {
                ProbeError::TooMany
            } else {
                ProbeError::NoWorker
            };
            // Who has asked may have gone.
            let _ = reply.send(Err(error));
            return;
        }
        let transport = TransportId(self.names.next());
        self.probes.0.push_back(Probe {
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
        if let Some(reply) = probe.reply.take() {
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
