//! The state of one core: transports, producers, consumers, and what is due when.

use std::fmt;
use std::time::{Instant, SystemTime};

use crate::api::{Input, Limits, LocalAddress, Output, Transmit};

/// What all workers of a process have in common: the DTLS certificate.
///
/// One certificate is enough: peers learn its fingerprint over signalling, and making one for
/// every peer connection would cost milliseconds each.
#[derive(Clone)]
pub struct Identity {
    certificate: str0m::config::DtlsCert,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It holds the private key.
        f.write_str("Identity")
    }
}

impl Identity {
    /// Makes a new self-signed certificate; `None` if the crypto library cannot.
    pub fn generate() -> Option<Identity> {
        let provider = str0m::crypto::from_feature_flags().dtls_provider;
        provider
            .generate_certificate()
            .map(|certificate| Identity { certificate })
    }
}

/// How a worker is set up.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Where peers reach it. All of them are written into SDP.
    pub addresses: Vec<LocalAddress>,
    /// Bounds on what a peer can make it do.
    pub limits: Limits,
    /// The certificate shared with the other workers.
    pub identity: Identity,
}

/// One core's peers.
#[derive(Debug)]
pub struct Worker {
    config: WorkerConfig,
}

impl Worker {
    /// An idle worker. `wall` is the time of day at `now`.
    pub fn new(config: WorkerConfig, now: Instant, wall: SystemTime) -> Worker {
        let _ = (now, wall);
        Worker { config }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        let _ = (now, input, &self.config.identity.certificate);
    }

    /// What the worker has to say; to be called until it is [`Output::Timeout`].
    pub fn poll(&mut self, now: Instant) -> Output {
        Output::Timeout(now + std::time::Duration::from_secs(3600))
    }

    /// Hands over every datagram that is to be sent, in order.
    pub fn drain_transmits(&mut self, send: impl FnMut(Transmit<'_>)) {
        let _ = send;
    }
}
