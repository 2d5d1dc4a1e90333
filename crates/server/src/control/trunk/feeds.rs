//! Tracks that come from other servers.

use std::time::Instant;

use umbrella_engine::{FeedSource, FeedStream, ProducerId, Request};
use umbrella_media::{Codec, Kind, Spatial};
use umbrella_room::mesh::LayerDemand;
use umbrella_room::model::{NodeId, ParticipantKind, RoomName, TrackId, TrackView};

use super::super::Control;
use super::WORKER;
use crate::trunk::{LinkId, Stream, encode_demand};

/// A track that comes from another server, as far as somebody wants it.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) producer: ProducerId,
    /// Over which link it comes, and what of it.
    source: Option<(LinkId, Vec<Place>)>,
}

impl Feed {
    /// Over which link it comes, if any.
    pub(super) fn link(&self) -> Option<LinkId> {
        self.source.as_ref().map(|(link, _)| *link)
    }

    /// The layers that are expected, and as which encoding each is taken.
    pub(super) fn layers(&self) -> impl Iterator<Item = (Spatial, Spatial)> {
        let places = self.source.iter().flat_map(|(_, places)| places);
        places.map(|place| (place.stream.spatial, place.encoding))
    }
}

/// One stream of a feed.
#[derive(Debug, Clone)]
struct Place {
    /// As which encoding it is taken.
    encoding: Spatial,
    stream: Stream,
}

impl Control {
    /// Asks a neighbour for a track, and expects it.
    pub(super) fn demand(
        &mut self,
        link: LinkId,
        (room, origin, track): (RoomName, NodeId, TrackId),
        layers: LayerDemand,
    ) {
        let places = if layers.is_none() {
            Vec::new()
        } else if self.feed(&track).is_some() {
            self.places(link, &track, layers)
        } else {
            // It is asked for again once it is known.
            return;
        };
        let streams: Vec<_> = places.iter().map(|place| place.stream).collect();
        let frame = encode_demand(&room, &origin, &track, &streams);
        self.trunks.send(link, frame);
        if let Some(link) = self.trunks.links.get_mut(&link) {
            link.demand_at = Some(Instant::now());
        }
        if let Some(feed) = self.trunks.feeds.get_mut(&track) {
            feed.source = (!places.is_empty()).then_some((link, places));
            self.connect_feed(&track);
        }
    }

    /// The producer of a track that comes from another server; made if nobody has wanted it yet.
    pub(in super::super) fn feed(&mut self, track: &TrackId) -> Option<ProducerId> {
        if let Some(feed) = self.trunks.feeds.get(track) {
            return Some(feed.producer);
        }
        let view = self.trunks.mesh.track(track)?;
        let (kind, stereo) = (view.kind, view.stereo);
        let publisher = self.trunks.mesh.publisher(track);
        let brought_in = publisher.is_some_and(|it| it.kind == ParticipantKind::Ingress);
        // Nobody can ask a camera for a key frame.
        let cache = brought_in && kind == Kind::Video;
        let cache = cache.then(|| self.settings.memory.shares().pictures());
        let producer = ProducerId(self.names.next());
        let feed = Feed {
            producer,
            source: None,
        };
        self.trunks.feeds.insert(track.clone(), feed);
        self.request(
            WORKER,
            Request::OpenFeed {
                producer,
                kind,
                stereo,
                cache,
            },
        );
        Some(producer)
    }

    /// A track from elsewhere has ended.
    pub(super) fn close_feed(&mut self, track: &TrackId) {
        if let Some(Feed { producer, .. }) = self.trunks.feeds.remove(track) {
            self.request(WORKER, Request::CloseProducer { producer });
        }
    }

    /// The streams in which wanted layers are to come. A stream that is expected already keeps its
    /// place.
    fn places(&mut self, link: LinkId, track: &TrackId, layers: LayerDemand) -> Vec<Place> {
        let Some(view) = self.trunks.mesh.track(track) else {
            return Vec::new();
        };
        let (kind, single) = (view.kind, is_single(view));
        let layers = if single { layers.collapsed() } else { layers };
        let feed = self.trunks.feeds.get(track);
        let known = feed.and_then(|feed| feed.source.as_ref());
        let known = known.filter(|(over, _)| *over == link);
        let known: Vec<Place> = known.map(|(_, it)| it.clone()).unwrap_or_default();
        let mut floor = Spatial::LOW;
        let mut places = Vec::new();
        for (spatial, wish) in layers.layers() {
            let encoding = if single { Spatial::LOW } else { spatial };
            let same = known.iter().find(|place| place.encoding == encoding);
            let (ssrc, repair_ssrc) = match same {
                Some(place) => (place.stream.ssrc, place.stream.repair_ssrc),
                None => self.new_ssrcs(kind),
            };
            let stream = Stream {
                spatial,
                temporal: wish.temporal,
                floor,
                priority: wish.priority,
                ssrc,
                repair_ssrc,
            };
            places.push(Place { encoding, stream });
            // No layer comes twice.
            floor = Spatial::new(spatial.index() as u8 + 1).unwrap_or(Spatial::HIGH);
        }
        places
    }

    fn new_ssrcs(&mut self, kind: Kind) -> (u32, Option<u32>) {
        let mut next = || {
            self.trunks.ssrc = self.trunks.ssrc.wrapping_add(1).max(1);
            self.trunks.ssrc
        };
        let ssrc = next();
        (ssrc, (kind == Kind::Video).then(next))
    }

    /// Tells the engine where a feed comes from.
    fn connect_feed(&mut self, track: &TrackId) {
        let Some(feed) = self.trunks.feeds.get(track) else {
            return;
        };
        let producer = feed.producer;
        let source = feed.source.as_ref().and_then(|(link, places)| {
            let transport = self.trunks.links.get(link)?.media.transport()?;
            let streams = places.iter().map(|place| FeedStream {
                encoding: place.encoding,
                ssrc: place.stream.ssrc,
                repair_ssrc: place.stream.repair_ssrc,
            });
            Some(FeedSource {
                transport,
                streams: streams.collect(),
            })
        });
        self.request(WORKER, Request::ConnectFeed { producer, source });
    }

    /// The media connection of a link is there anew: what comes over it is expected there.
    pub(super) fn connect_feeds(&mut self, link: LinkId) {
        let comes =
            |(track, feed): (&TrackId, &Feed)| (feed.link() == Some(link)).then(|| track.clone());
        let feeds = self.trunks.feeds.iter().filter_map(comes);
        for track in feeds.collect::<Vec<_>>() {
            self.connect_feed(&track);
        }
    }
}

/// Whether the layers of a track come all in one stream: there is only one, or the codec has them
/// inside of it.
fn is_single(view: &TrackView) -> bool {
    let inside = match view.codec {
        Some(Codec::Vp9 | Codec::Av1) => true,
        Some(
            Codec::Vp8
            | Codec::H264
            | Codec::H265
            | Codec::Opus
            | Codec::Red
            | Codec::Pcmu
            | Codec::Pcma
            | Codec::G722,
        )
        | None => false,
    };
    view.kind == Kind::Audio || !view.simulcast || inside
}
