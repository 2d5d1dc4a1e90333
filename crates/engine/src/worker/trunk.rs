//! Links to other servers: what comes over them, and what goes.

use std::time::Instant;

use umbrella_media::{GopLimits, Kind, Spatial};

use crate::api::{
    BranchStream, ConsumerError, FeedSource, FeedStream, ProducerId, Report, TransportId,
    TrunkParameters,
};
use crate::arena::Key;
use crate::consumer::{Berth, Consumer};
use crate::producer::{KeyFrameRequest, Origin, Producer, Source};
use crate::transport::Transport;
use crate::transport::trunk::TrunkError;

use super::Worker;

/// Connections.
impl Worker {
    /// How the other end of a trunk is reached.
    pub(super) fn meet(&mut self, now: Instant, id: TransportId, parameters: &TrunkParameters) {
        let Some(key) = self.transport_keys.get(&id).copied() else {
            return;
        };
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        if let Err(error) = transport.meet(parameters) {
            self.refuse_trunk(id, error);
        } else if let Err(error) = transport.connection.handle_timeout(now) {
            // An agent that is told no time says of none at which it wants to check.
            self.end_broken(key, &error);
        }
        self.touch(key);
    }

    /// An address of a peer. An ICE-lite agent has no use for it: the peer's checks tell its
    /// addresses.
    pub(super) fn remote_candidate(&mut self, id: TransportId, candidate: &str) {
        if let Some(key) = self.transport_keys.get(&id).copied()
            && let Some(transport) = self.transports.get_mut(key)
        {
            transport.add_remote_candidate(candidate);
            self.touch(key);
        }
    }

    fn refuse_trunk(&mut self, transport: TransportId, error: TrunkError) {
        let reason = error.to_string();
        self.reports
            .push_back(Report::Refused { transport, reason });
    }
}

/// What comes.
impl Worker {
    pub(super) fn open_feed(
        &mut self,
        id: ProducerId,
        kind: Kind,
        stereo: bool,
        cache: Option<GopLimits>,
    ) {
        if self.producer_keys.contains_key(&id) {
            return;
        }
        let (origin, history) = (Origin::Feed(None), self.config.limits.history);
        let producer = Producer::new(id, origin, kind, &[], stereo, history).keep(cache);
        let key = self.producers.insert(producer);
        self.producer_keys.insert(id, key);
    }

    /// Connects a feed, moves it, or takes its source away.
    pub(super) fn connect_feed(
        &mut self,
        now: Instant,
        id: ProducerId,
        source: Option<FeedSource>,
    ) {
        let Some(key) = self.producer_keys.get(&id).copied() else {
            return;
        };
        let found = match source {
            None => Ok(None),
            Some(source) => match self.find_source(key, &source) {
                Ok(found) => Ok(found),
                Err(error) => Err((source.transport, error)),
            },
        };
        match found {
            Ok(source) => self.change_source(now, key, source),
            Err((transport, error)) => self.refuse_trunk(transport, error),
        }
    }

    /// A trunk has ended. False if the producer is no feed.
    pub(super) fn lose_trunk(&mut self, key: Key<Producer>) -> bool {
        let producer = self.producers.get_mut(key).map(|it| &mut it.origin);
        let Some(Origin::Feed(source)) = producer else {
            return false;
        };
        *source = None;
        self.break_off(key, true, &[]);
        true
    }

    /// A source that can be used. One whose trunk has ended is none: the owner learns of that
    /// later than we do.
    fn find_source(
        &self,
        key: Key<Producer>,
        source: &FeedSource,
    ) -> Result<Option<Source>, TrunkError> {
        let transport = self.transport_keys.get(&source.transport).copied();
        let Some((transport, state)) =
            transport.and_then(|key| Some((key, self.transports.get(key)?)))
        else {
            return Ok(None);
        };
        let streams = source.streams.clone();
        state.check_feed(key, &streams, self.config.limits.sections)?;
        Ok(Some(Source { transport, streams }))
    }

    fn change_source(&mut self, now: Instant, key: Key<Producer>, new: Option<Source>) {
        // What has come so far belongs before the change.
        self.forward_burst(now, key);
        let Some(producer) = self.producers.get_mut(key) else {
            return;
        };
        let kind = producer.kind;
        let Origin::Feed(source) = &mut producer.origin else {
            return;
        };
        let old = std::mem::replace(source, new.clone());
        let place = |source: &Option<Source>| source.as_ref().map(|source| source.transport);
        let moved = place(&old) != place(&new);
        let stays = |stream: &FeedStream, other: &Option<Source>| {
            let other = other.as_ref().filter(|_| !moved);
            other.is_some_and(|other| other.streams.contains(stream))
        };
        let mut gone = Vec::new();
        for stream in old.iter().flat_map(|old| &old.streams) {
            if !stays(stream, &new) {
                gone.push(stream.encoding);
                if let Some(transport) = place(&old).and_then(|key| self.transports.get_mut(key)) {
                    transport.leave(*stream);
                }
            }
        }
        for stream in new.iter().flat_map(|new| &new.streams) {
            if !stays(stream, &old)
                && let Some(transport) = place(&new).and_then(|key| self.transports.get_mut(key))
            {
                transport.expect(key, kind, *stream);
            }
        }
        self.break_off(key, moved, &gone);
        if let Some(live) = self.producers.get(key).map(Producer::live)
            && (moved || !gone.is_empty())
        {
            self.set_live(now, key, live);
        }
        for transport in [place(&old), place(&new)].into_iter().flatten() {
            self.touch(transport);
        }
    }

    /// What comes next of a feed, or of some of its encodings, does not go on where it was.
    fn break_off(&mut self, key: Key<Producer>, moved: bool, gone: &[Spatial]) {
        let Some(producer) = self.producers.get_mut(key) else {
            return;
        };
        if moved {
            producer.lose_source();
            self.restart_routes(key);
            for encoding in (0..).map_while(Spatial::new) {
                self.relay_restart(key, Some(encoding));
            }
            self.relay_restart(key, None);
        } else {
            gone.iter().for_each(|it| producer.lose_encoding(*it));
            for encoding in gone {
                self.restart_encoding(key, *encoding);
                self.relay_restart(key, Some(*encoding));
            }
        }
    }

    /// Asks the other server for key frames of a feed.
    pub(super) fn ask_source(
        &mut self,
        now: Instant,
        key: Key<Producer>,
        requests: &[KeyFrameRequest],
    ) {
        let Some(Producer {
            origin: Origin::Feed(Some(source)),
            ..
        }) = self.producers.get(key)
        else {
            return;
        };
        let to = source.transport;
        let Some(transport) = self.transports.get_mut(to) else {
            return;
        };
        for stream in &source.streams {
            if requests.iter().any(|it| it.encoding == stream.encoding) {
                transport.request_key_frame_of(stream.ssrc);
            }
        }
        self.pump(now, to);
        self.touch(to);
    }
}

/// What goes.
impl Worker {
    /// A consumer is to send over a trunk.
    pub(super) fn open_branch(
        &mut self,
        now: Instant,
        to: Key<Transport>,
        key: Key<Consumer>,
        stream: BranchStream,
    ) {
        let Some(transport) = self.transports.get(to) else {
            return;
        };
        let allotment = &transport.allotment;
        let branches = allotment.audio.len() + allotment.video.len();
        if transport.trunk.is_none() {
            self.fail_consumer(key, ConsumerError::StreamRefused);
        } else if branches > self.config.limits.sections {
            self.fail_consumer(key, ConsumerError::TooManySections);
        } else {
            if let Some(consumer) = self.consumers.get_mut(key) {
                consumer.be_exact();
            }
            self.bind_when_connected(now, to, key, Berth::Branch(stream));
        }
    }
}
