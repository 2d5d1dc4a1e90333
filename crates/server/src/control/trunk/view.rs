//! What the operator and monitoring see of links.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use umbrella_engine::{ConsumerId, ConsumerStatistics, Protocol};
use umbrella_room::mesh::NodeState;
use umbrella_room::model::TrackId;

use super::super::Control;
use super::super::admin::{kind_name, source_name};
use super::Link;
use super::branches::Branch;
use super::feeds::Feed;
use super::flow::BothWays;
use crate::http::api::{
    Topology, TopologyLink, TopologyNode, TrunkFlow, TrunkLayer, TrunkMedia, TrunkTrack,
    TrunkTraffic,
};
use crate::metrics::TrunkSnapshot;
use crate::trunk::LinkId;

/// Tracks that are listed for each direction of a link.
const LISTED: usize = 200;

/// What the engine has told last of what is sent over links.
type Told<'a> = HashMap<ConsumerId, &'a ConsumerStatistics>;

impl Control {
    /// The network, and what flows over our own links.
    pub(in super::super) fn topology(&self, now: Instant) -> Topology {
        let consumers = self.statistics.consumers();
        let told: Told<'_> = consumers
            .filter(|it| self.trunks.branches.contains_key(&it.consumer))
            .map(|it| (it.consumer, it))
            .collect();
        let links = self.trunks.links.iter();
        let me = self.settings.mesh.node.to_string();
        let mut nodes: Vec<_> = self.trunks.mesh.nodes().map(node).collect();
        if let Some(own) = nodes.iter_mut().find(|node| node.node == me) {
            self.measure_own(own);
        }
        Topology {
            me,
            copied: self.trunks.mesh.is_copied(),
            nodes,
            links: links
                .map(|(id, link)| self.flow(now, *id, link, &told))
                .collect(),
        }
    }

    /// Servers tell whole milliseconds, and 0 also as long as they do not know. We know better of our
    /// own links.
    fn measure_own(&self, own: &mut TopologyNode) {
        for shown in &mut own.links {
            let mut links = self.trunks.links.values();
            let link = links.find(|link| *link.neighbour.node == *shown.node);
            let measured = link.and_then(|link| link.round_trip);
            shown.rtt_ms = measured.map(|it| (it.as_millis() as u32).max(1));
        }
    }

    fn flow(&self, now: Instant, id: LinkId, link: &Link, told: &Told<'_>) -> TrunkFlow {
        let introducer = link.neighbour.introducer.as_ref();
        let protocol = link.media.protocol();
        let off = !(link.neighbour.media && self.settings.mesh.media);
        let media = match protocol {
            _ if off => TrunkMedia::Off,
            Some(_) => TrunkMedia::Up,
            None if link.media.has_failed() => TrunkMedia::Failed,
            None => TrunkMedia::Down,
        };
        let ms = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
        let flows = self.trunks.flows.get(&link.neighbour.node);
        let BothWays { received, sent } = flows.copied().unwrap_or_default();
        let rates = link.flow.rates(now);
        let since = |at: Instant| now.saturating_duration_since(at).as_secs();
        let traffic = |of: umbrella_engine::Traffic, bitrate, (count, tracks)| TrunkTraffic {
            packets: of.datagrams,
            bytes: of.bytes,
            bitrate,
            count,
            tracks,
        };
        TrunkFlow {
            node: link.neighbour.node.to_string(),
            name: link.neighbour.name.clone(),
            dialled: link.neighbour.dialled,
            introducer: introducer.map(|it| it.name.clone()),
            media,
            protocol: protocol.map(|it| protocol_name(it).to_owned()),
            rtt_ms: link.round_trip.map(ms),
            media_rtt_ms: protocol.and(link.flow.round_trip()).map(ms),
            estimate: protocol.and(link.flow.estimate()),
            demand_changed_s: link.demand_at.map(since),
            received: traffic(received, rates.map(|it| it.0), self.tracks_in(id)),
            sent: traffic(sent, rates.map(|it| it.1), self.tracks_out(link, told)),
        }
    }

    fn tracks_in(&self, id: LinkId) -> (u32, Vec<TrunkTrack>) {
        let feeds = self.trunks.feeds.iter();
        let feeds = feeds.filter(|(_, feed)| feed.link() == Some(id));
        // In order, so that the list does not jump.
        let feeds: BTreeMap<&TrackId, &Feed> = feeds.collect();
        let listed = feeds.iter().take(LISTED);
        let listed = listed.map(|(track, feed)| {
            let measured = self.statistics.encodings(feed.producer);
            let layers = feed.layers().map(|(layer, encoding)| {
                let encoding = measured.get(encoding.index());
                let bitrate = encoding.map_or(0, |it| it.bitrate);
                (layer.index() as u8, bitrate)
            });
            self.trunk_track(track, layers, false)
        });
        (feeds.len() as u32, listed.collect())
    }

    fn tracks_out(&self, link: &Link, told: &Told<'_>) -> (u32, Vec<TrunkTrack>) {
        let branches: BTreeMap<&TrackId, &Vec<Branch>> = link.branches.iter().collect();
        let listed = branches.iter().take(LISTED);
        let listed = listed.map(|(track, branches)| {
            let layers = branches.iter().map(|branch| {
                let told = told.get(&branch.consumer());
                let layer = told.and_then(|it| it.layer).map(|it| it.spatial);
                let layer = layer.unwrap_or(branch.wanted());
                (layer.index() as u8, told.map_or(0, |it| it.bitrate))
            });
            let starved = branches.iter().all(Branch::is_starved);
            self.trunk_track(track, layers, starved)
        });
        (branches.len() as u32, listed.collect())
    }

    fn trunk_track(
        &self,
        track: &TrackId,
        streams: impl Iterator<Item = (u8, u64)>,
        starved: bool,
    ) -> TrunkTrack {
        let known = self.trunks.mesh.published(track);
        let known = known.as_ref();
        let text = |text: Option<String>| text.unwrap_or_default();
        TrunkTrack {
            id: track.to_string(),
            room: text(known.map(|it| it.room.to_string())),
            identity: text(known.map(|it| it.by.identity.to_string())),
            name: text(known.map(|it| it.by.name.clone())),
            origin: text(known.map(|it| it.origin.to_string())),
            kind: text(known.map(|it| kind_name(it.view.kind).to_owned())),
            source: text(known.map(|it| source_name(it.view.source).to_owned())),
            layers: layers(streams),
            starved,
        }
    }

    /// Links for monitoring, one for each neighbour.
    pub(in super::super) fn trunk_snapshots(&self) -> Vec<TrunkSnapshot> {
        let mut tracks: HashMap<LinkId, u64> = HashMap::new();
        for link in self.trunks.feeds.values().filter_map(Feed::link) {
            *tracks.entry(link).or_default() += 1;
        }
        let mut all: BTreeMap<&str, TrunkSnapshot> = BTreeMap::new();
        for (id, link) in &self.trunks.links {
            let node: &str = &link.neighbour.node;
            let flows = self.trunks.flows.get(node);
            let BothWays { received, sent } = flows.copied().unwrap_or_default();
            let up = link.media.protocol().is_some();
            let snapshot = all.entry(node).or_default();
            // There are two while a new link takes the place of an old one: the new one counts.
            *snapshot = TrunkSnapshot {
                node: node.to_owned(),
                name: link.neighbour.name.clone(),
                media: up,
                round_trip: link.round_trip,
                media_round_trip: link.flow.round_trip().filter(|_| up),
                estimate: link.flow.estimate().filter(|_| up),
                received,
                sent,
                tracks: (
                    snapshot.tracks.0 + tracks.get(id).copied().unwrap_or(0),
                    snapshot.tracks.1 + link.branches.len() as u64,
                ),
            };
        }
        all.into_values().collect()
    }

    /// Frames for neighbours that do not read.
    pub(in super::super) fn trunk_frames_dropped(&self) -> u64 {
        self.trunks.frames_dropped
    }

    /// Whether there is a link.
    pub(in super::super) fn has_trunks(&self) -> bool {
        !self.trunks.links.is_empty()
    }
}

fn node(state: &NodeState) -> TopologyNode {
    let links = state.links.iter().map(|link| TopologyLink {
        node: link.node.to_string(),
        rtt_ms: Some(link.rtt_ms).filter(|ms| *ms > 0),
        media: link.media,
    });
    TopologyNode {
        node: state.node.to_string(),
        name: state.name.clone(),
        version: state.software.clone(),
        media: state.media,
        links: links.collect(),
    }
}

/// Layers with how often each is there, lowest first.
fn layers(streams: impl Iterator<Item = (u8, u64)>) -> Vec<TrunkLayer> {
    let mut layers: BTreeMap<u8, (u32, u64)> = BTreeMap::new();
    for (layer, bitrate) in streams {
        let (copies, sum) = layers.entry(layer).or_default();
        *copies += 1;
        *sum += bitrate;
    }
    let layers = layers.into_iter();
    let layers = layers.map(|(layer, (copies, bitrate))| TrunkLayer {
        layer,
        copies,
        bitrate,
    });
    layers.collect()
}

fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "udp",
        Protocol::Tcp => "tcp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_copy_of_a_layer_is_not_seen() {
        let layers = layers([(2, 900), (0, 100), (2, 800)].into_iter());
        let seen: Vec<_> = layers
            .iter()
            .map(|it| (it.layer, it.copies, it.bitrate))
            .collect();
        assert_eq!(seen, [(0, 1, 100), (2, 2, 1700)]);
    }
}
