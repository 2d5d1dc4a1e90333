//! What is sent over links.

use std::collections::HashMap;

use umbrella_engine::{BranchStream, ConsumerError, ConsumerId, Request};
use umbrella_media::{Delivery, Layer, Spatial};
use umbrella_room::mesh::{LayerDemand, LayerWish, Message};
use umbrella_room::model::TrackId;

use super::super::Control;
use super::WORKER;
use crate::memory::{Work, cost};
use crate::trunk::{LinkId, Stream};

/// Tracks that a neighbour can want at a time.
pub(super) const WANTED: usize = 4096;

/// One stream over a link.
#[derive(Debug)]
pub(super) struct Branch {
    consumer: ConsumerId,
    stream: Stream,
    starved: bool,
}

impl Branch {
    /// What it is for the engine.
    pub(super) fn consumer(&self) -> ConsumerId {
        self.consumer
    }

    /// The layer that is wanted of it.
    pub(super) fn wanted(&self) -> Spatial {
        self.stream.spatial
    }

    /// The link does not carry it.
    pub(super) fn is_starved(&self) -> bool {
        self.starved
    }
}

/// What streams carry.
pub(super) fn layers(streams: &[Stream]) -> LayerDemand {
    streams.iter().fold(LayerDemand::NONE, |all, stream| {
        let (temporal, priority) = (stream.temporal, stream.priority);
        all.join(LayerDemand::of(
            stream.spatial,
            LayerWish { temporal, priority },
        ))
    })
}

fn delivery(stream: &Stream) -> Delivery {
    Delivery {
        paused: false,
        layer: Layer {
            spatial: stream.spatial,
            temporal: stream.temporal,
        },
        priority: stream.priority,
        floor: stream.floor,
    }
}

impl Control {
    /// A link is to carry so much of a track.
    pub(super) fn carry(&mut self, id: LinkId, track: &TrackId, layers: LayerDemand) {
        let Some(link) = self.trunks.links.get_mut(&id) else {
            return;
        };
        if layers.is_none() {
            link.carried.remove(track);
        } else {
            link.carried.insert(track.clone());
        }
        self.cameras.listeners_changed = true;
        self.settle_branches(id, track);
    }

    /// Makes what is sent of a track over a link what is wanted there.
    pub(super) fn settle_branches(&mut self, id: LinkId, track: &TrackId) {
        let Some(link) = self.trunks.links.get_mut(&id) else {
            return;
        };
        let carried = link.carried.contains(track);
        let wanted = link.wanted.get(track).filter(|_| carried).cloned();
        let wanted = wanted.unwrap_or_default();
        let present = link.branches.remove(track).unwrap_or_default();
        let transport = link.media.transport();
        let mut kept: HashMap<u32, Branch> = HashMap::new();
        for branch in present {
            let ssrc = branch.stream.ssrc;
            let same = |stream: &&Stream| {
                stream.ssrc == ssrc && stream.repair_ssrc == branch.stream.repair_ssrc
            };
            if wanted.iter().any(|stream| same(&stream)) {
                kept.insert(ssrc, branch);
            } else {
                self.close_branch(branch.consumer);
            }
        }
        let Some(transport) = transport else {
            return;
        };
        let mut branches = Vec::new();
        for stream in wanted {
            let branch = match kept.remove(&stream.ssrc) {
                Some(branch) => self.configure_branch(branch, stream),
                None => match self.open_branch(id, track, transport, stream) {
                    Some(branch) => branch,
                    None => continue,
                },
            };
            branches.push(branch);
        }
        if let Some(link) = self.trunks.links.get_mut(&id)
            && !branches.is_empty()
        {
            link.branches.insert(track.clone(), branches);
        }
    }

    fn configure_branch(&mut self, branch: Branch, stream: Stream) -> Branch {
        if branch.stream != stream {
            self.request(
                WORKER,
                Request::ConfigureConsumer {
                    consumer: branch.consumer,
                    delivery: delivery(&stream),
                },
            );
        }
        Branch { stream, ..branch }
    }

    fn open_branch(
        &mut self,
        id: LinkId,
        track: &TrackId,
        transport: umbrella_engine::TransportId,
        stream: Stream,
    ) -> Option<Branch> {
        let memory = &self.settings.memory;
        let fits = memory.begin(Work::Subscription, cost::SUBSCRIPTION);
        fits.ok()?;
        let (producer, publishing) = self.producer_of(track)?;
        let consumer = ConsumerId(self.names.next());
        self.trunks.branches.insert(consumer, (id, track.clone()));
        self.request(
            WORKER,
            Request::OpenBranch {
                consumer,
                transport,
                producer,
                home: (publishing != WORKER).then_some(publishing),
                stream: BranchStream {
                    ssrc: stream.ssrc,
                    repair_ssrc: stream.repair_ssrc,
                },
                delivery: delivery(&stream),
            },
        );
        Some(Branch {
            consumer,
            stream,
            starved: false,
        })
    }

    fn close_branch(&mut self, consumer: ConsumerId) {
        self.trunks.branches.remove(&consumer);
        self.request(WORKER, Request::CloseConsumer { consumer });
    }

    /// The media connection of a link is there anew: everything begins there again.
    pub(super) fn connect_streams(&mut self, id: LinkId) {
        self.connect_feeds(id);
        let Some(link) = self.trunks.links.get(&id) else {
            return;
        };
        for track in link.carried.iter().cloned().collect::<Vec<_>>() {
            self.settle_branches(id, &track);
        }
    }

    /// The media connection of a link is gone, and with it what was sent over it.
    pub(super) fn forget_streams(&mut self, id: LinkId) {
        let Some(link) = self.trunks.links.get_mut(&id) else {
            return;
        };
        let branches: Vec<_> = link.branches.drain().flat_map(|(_, it)| it).collect();
        for branch in branches {
            self.trunks.branches.remove(&branch.consumer);
        }
    }

    /// Whether a consumer is a branch; its link does not carry it, or does so again.
    pub(in super::super) fn branch_starved(&mut self, consumer: ConsumerId, starved: bool) -> bool {
        let Some((id, track)) = self.trunks.branches.get(&consumer).cloned() else {
            return false;
        };
        let Some(link) = self.trunks.links.get_mut(&id) else {
            return true;
        };
        let branches = link.branches.get_mut(&track);
        let Some(branches) = branches else {
            return true;
        };
        let all = |of: &[Branch]| of.iter().all(|branch| branch.starved);
        let before = all(branches);
        for branch in branches.iter_mut().filter(|it| it.consumer == consumer) {
            branch.starved = starved;
        }
        let after = all(branches);
        if before != after {
            self.tell_starved(id, track, after);
        }
        true
    }

    fn tell_starved(&mut self, id: LinkId, track: TrackId, starved: bool) {
        let Some((room, origin)) = self.trunks.mesh.place_of(&track) else {
            return;
        };
        let message = Message::Starved {
            room,
            origin,
            track,
            starved,
        };
        self.trunks.mesh.say(id, message);
    }

    /// Whether a consumer is a branch; the engine has given it up.
    pub(in super::super) fn branch_failed(
        &mut self,
        consumer: ConsumerId,
        error: ConsumerError,
    ) -> bool {
        let Some((id, track)) = self.trunks.branches.remove(&consumer) else {
            return false;
        };
        if let Some(link) = self.trunks.links.get_mut(&id) {
            tracing::warn!(link = id.0, %track, ?error, "a trunk cannot carry a track");
            if let Some(branches) = link.branches.get_mut(&track) {
                branches.retain(|branch| branch.consumer != consumer);
            }
        }
        true
    }
}
