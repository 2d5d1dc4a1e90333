//! The media connection of a link.
//!
//! The side that has dialled the link dials it as well, with a new number for every attempt; the
//! other side answers with the same number. What comes late carries an old number.

use std::time::{Duration, Instant};

use umbrella_engine::{Negotiation, Protocol, Request, TransportId, TrunkParameters};

use super::super::Control;
use super::WORKER;
use crate::trunk::{Introducer, LinkId, encode_media_candidate, encode_media_parameters};

/// How long after a media connection has failed it is tried again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The media connection of a link.
#[derive(Debug, Default)]
pub(super) struct Media {
    /// The number of the present attempt; 0 before the first.
    generation: u32,
    transport: Option<TransportId>,
    /// What it runs over, while it is up.
    connected: Option<Protocol>,
    failures: u32,
    /// How the other end is reached, as long as our own end is not ready.
    theirs: Option<TrunkParameters>,
    /// Further addresses of it that have come meanwhile.
    early: Vec<String>,
}

/// Addresses that are kept until our own end is ready.
const EARLY: usize = 16;

impl Media {
    /// The connection, perhaps not up yet.
    pub(super) fn transport(&self) -> Option<TransportId> {
        self.transport
    }

    /// Whether the last attempt has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// What it runs over, while it is up.
    pub(super) fn protocol(&self) -> Option<Protocol> {
        self.connected
    }
}

impl Control {
    /// Begins a media connection, if we have dialled the link and both ends carry media.
    pub(super) fn dial_media(&mut self, id: LinkId) {
        let Some(link) = self.trunks.links.get(&id) else {
            return;
        };
        let both = link.neighbour.media && self.settings.mesh.media;
        if link.neighbour.dialled && both && self.twin_of(id).is_none() {
            let generation = link.media.generation.wrapping_add(1).max(1);
            self.open_media(id, generation, true);
        }
    }

    /// Another link to the same server that has a media connection: the engine tells those of one
    /// server apart by its address, so there can be one only.
    fn twin_of(&self, id: LinkId) -> Option<LinkId> {
        let node = &self.trunks.links.get(&id)?.neighbour.node;
        let mut links = self.trunks.links.iter();
        let twin = links.find(|(other, link)| {
            **other != id && link.neighbour.node == *node && link.media.transport.is_some()
        });
        twin.map(|(twin, _)| *twin)
    }

    /// Whether our own media connection to the same server stays, and not the one that is offered
    /// over a link: when both dial each other at once, the one with the smaller id goes on.
    fn keeps_twin(&self, id: LinkId) -> bool {
        let twin = self
            .twin_of(id)
            .and_then(|twin| self.trunks.links.get(&twin));
        twin.is_some_and(|twin| {
            twin.neighbour.dialled && *self.settings.mesh.node.as_str() < *twin.neighbour.node
        })
    }

    fn open_media(&mut self, id: LinkId, generation: u32, dials: bool) {
        self.close_transport(id);
        let transport = TransportId(self.names.next());
        let Some(link) = self.trunks.links.get_mut(&id) else {
            return;
        };
        link.media.generation = generation;
        link.media.transport = Some(transport);
        link.media.early.clear();
        let introducer = link.neighbour.introducer.clone();
        self.trunks.transports.insert(transport, id);
        self.request(
            WORKER,
            Request::OpenTransport {
                transport,
                negotiation: Negotiation::Trunk {
                    dials,
                    introduced: introducer.is_some(),
                },
                channels: false,
            },
        );
        if let Some(Introducer { reflectors, .. }) = introducer {
            let request = Request::Reflect {
                transport,
                reflectors,
            };
            self.request(WORKER, request);
        }
    }

    /// Our end is ready.
    pub(in super::super) fn trunk_parameters(
        &mut self,
        transport: TransportId,
        parameters: TrunkParameters,
    ) {
        let Some(id) = self.trunks.transports.get(&transport).copied() else {
            return;
        };
        let Some(link) = self.trunks.links.get_mut(&id) else {
            return;
        };
        let generation = link.media.generation;
        let theirs = link.media.theirs.take();
        let early = std::mem::take(&mut link.media.early);
        let TrunkParameters {
            ufrag,
            password,
            fingerprint,
            candidates,
        } = parameters;
        let frame =
            encode_media_parameters(generation, &ufrag, &password, &fingerprint, &candidates);
        self.trunks.send(id, frame);
        if let Some(parameters) = theirs {
            self.request(
                WORKER,
                Request::TrunkParameters {
                    transport,
                    parameters,
                },
            );
            for candidate in early {
                self.remote_candidate(transport, candidate);
            }
        }
        self.connect_streams(id);
    }

    /// The introducer of a link has told how this end is seen from outside.
    pub(in super::super) fn trunk_candidate(&mut self, transport: TransportId, candidate: &str) {
        let Some(id) = self.trunks.transports.get(&transport).copied() else {
            return;
        };
        if let Some(link) = self.trunks.links.get(&id) {
            let frame = encode_media_candidate(link.media.generation, candidate);
            self.trunks.send(id, frame);
        }
    }

    fn remote_candidate(&mut self, transport: TransportId, candidate: String) {
        let request = Request::RemoteCandidate {
            transport,
            candidate,
        };
        self.request(WORKER, request);
    }

    /// The other end is ready.
    pub(super) fn media_parameters(
        &mut self,
        id: LinkId,
        generation: u32,
        parameters: TrunkParameters,
    ) {
        let Some(link) = self.trunks.links.get_mut(&id) else {
            return;
        };
        if link.neighbour.dialled {
            if generation == link.media.generation
                && let Some(transport) = link.media.transport
            {
                self.request(
                    WORKER,
                    Request::TrunkParameters {
                        transport,
                        parameters,
                    },
                );
            }
        } else if self.settings.mesh.media && generation != link.media.generation {
            if self.keeps_twin(id) {
                return;
            }
            if let Some(twin) = self.twin_of(id) {
                self.close_transport(twin);
            }
            if let Some(link) = self.trunks.links.get_mut(&id) {
                link.media.theirs = Some(parameters);
            }
            self.open_media(id, generation, false);
        }
    }

    /// Another address of the other end.
    pub(super) fn media_candidate(&mut self, id: LinkId, generation: u32, candidate: String) {
        let Some(link) = self.trunks.links.get_mut(&id) else {
            return;
        };
        let media = &mut link.media;
        if media.generation != generation {
            return;
        }
        if media.theirs.is_none() {
            if let Some(transport) = media.transport {
                self.remote_candidate(transport, candidate);
            }
        } else if media.early.len() < EARLY {
            media.early.push(candidate);
        }
    }

    /// Whether a transport is a link's, and if so, what it runs over now, if it is up.
    pub(in super::super) fn trunk_connected(
        &mut self,
        now: Instant,
        transport: TransportId,
        protocol: Option<Protocol>,
    ) -> bool {
        let connected = protocol.is_some();
        let Some(id) = self.trunks.transports.get(&transport).copied() else {
            return false;
        };
        if let Some(link) = self.trunks.links.get_mut(&id) {
            link.media.connected = protocol;
            if connected {
                link.media.failures = 0;
            }
            tracing::info!(link = id.0, node = %link.neighbour.node, connected, ?protocol,
                "media of a trunk");
        }
        self.trunks.mesh.link_media(now, id, connected);
        true
    }

    /// Whether a transport is a link's; it has ended, and will be tried again.
    pub(in super::super) fn trunk_closed(
        &mut self,
        now: Instant,
        transport: TransportId,
        reason: &str,
    ) -> bool {
        let Some(id) = self.trunks.transports.remove(&transport) else {
            return false;
        };
        let Some(link) = self.trunks.links.get_mut(&id) else {
            return true;
        };
        if link.media.transport != Some(transport) {
            return true;
        }
        tracing::info!(link = id.0, node = %link.neighbour.node, reason, "media of a trunk has ended");
        link.media.transport = None;
        link.media.connected = None;
        let (first, most) = RETRY;
        let wait = first * 2u32.saturating_pow(link.media.failures.min(6));
        link.media.failures = link.media.failures.saturating_add(1);
        if link.neighbour.dialled {
            self.trunks.retries.insert((now + wait.min(most), id));
        }
        self.forget_streams(id);
        self.trunks.mesh.link_media(now, id, false);
        true
    }

    /// Tries media connections again whose time has come.
    pub(super) fn retry_media(&mut self, now: Instant) {
        while let Some((at, id)) = self.trunks.retries.first().copied()
            && at <= now
        {
            self.trunks.retries.remove(&(at, id));
            let link = self.trunks.links.get(&id);
            if link.is_some_and(|link| link.media.transport.is_none()) {
                self.dial_media(id);
            }
        }
    }

    /// Ends the media of a link that is gone.
    pub(super) fn close_link_media(&mut self, id: LinkId) {
        let node = self
            .trunks
            .links
            .get(&id)
            .map(|link| link.neighbour.node.clone());
        self.close_transport(id);
        self.trunks.retries.retain(|(_, link)| *link != id);
        // Another link to the same server had to do without.
        let others = self.trunks.links.iter();
        let others = others
            .filter(|(other, link)| **other != id && Some(&link.neighbour.node) == node.as_ref());
        for other in others.map(|(other, _)| *other).collect::<Vec<_>>() {
            self.dial_media(other);
        }
    }

    fn close_transport(&mut self, id: LinkId) {
        let link = self.trunks.links.get_mut(&id);
        let Some(transport) = link.and_then(|link| link.media.transport.take()) else {
            return;
        };
        if let Some(link) = self.trunks.links.get_mut(&id) {
            link.media.connected = None;
        }
        self.forget_streams(id);
        self.trunks.transports.remove(&transport);
        self.trunks.mesh.link_media(Instant::now(), id, false);
        self.request(WORKER, Request::CloseTransport { transport });
    }
}
