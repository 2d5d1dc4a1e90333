//! Between the names of rooms (participants, tracks) and those of the engine (transports,
//! producers, consumers).

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use umbrella_engine::{
    Channel, ConsumerError, ConsumerId, Label, OpenSection, ProducerId, Protocol, Report, Request,
    Statistics, TransportId,
};
use umbrella_media::{Codec, Delivery, Kind};
use umbrella_room::Command;
use umbrella_room::command::{Reliability, SubscriptionReport, TrackLoudness};
use umbrella_room::model::{LeaveReason, ParticipantId, RoomName, TrackId, TrackView};

use super::Control;
use super::data::{self, Sender};
use super::handle::{Links, SessionId};
use super::metrics::waited;
use super::session::{Announced, Event, Role, Session};
use super::trunk;

/// Sections that a client sends in and that no track was announced for.
const UNKNOWN_SECTIONS: usize = 64;

/// How long after its media a client may still say why it goes.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Longest stream name that is used as it is; the engine bounds the whole label.
const STREAM_NAME: usize = 24;

/// Who is what in the engine.
#[derive(Debug, Default)]
pub(super) struct Names {
    last: u64,
    producers: HashMap<ProducerId, (RoomName, TrackId)>,
    tracks: HashMap<TrackId, Published>,
    consumers: HashMap<ConsumerId, (ParticipantId, TrackId)>,
}

/// A track that was accepted.
#[derive(Debug)]
struct Published {
    by: SessionId,
    /// `None` until its section is there.
    producer: Option<ProducerId>,
}

impl Names {
    pub(super) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn add_producer(
        &mut self,
        by: SessionId,
        room: RoomName,
        track: TrackId,
    ) -> ProducerId {
        let producer = ProducerId(self.next());
        let published = Published {
            by,
            producer: Some(producer),
        };
        self.tracks.insert(track.clone(), published);
        self.producers.insert(producer, (room, track));
        producer
    }

    fn remove_track(&mut self, track: &TrackId) -> Option<Published> {
        let published = self.tracks.remove(track)?;
        if let Some(producer) = published.producer {
            self.producers.remove(&producer);
        }
        Some(published)
    }

    pub(super) fn producer(&self, track: &TrackId) -> Option<ProducerId> {
        self.tracks.get(track)?.producer
    }

    /// Whether somebody here receives a track.
    pub(super) fn is_received(&self, track: &TrackId) -> bool {
        self.consumers
            .values()
            .any(|(_, received)| received == track)
    }

    /// Which of these somebody here receives.
    pub(super) fn received_of(&self, tracks: &HashSet<TrackId>) -> HashSet<TrackId> {
        let received = self.consumers.values().map(|(_, track)| track);
        received.filter(|it| tracks.contains(it)).cloned().collect()
    }

    /// How many tracks are announced.
    pub(super) fn tracks(&self) -> usize {
        self.tracks.len().max(self.producers.len())
    }

    /// How many subscriptions there are.
    pub(super) fn subscriptions(&self) -> usize {
        self.consumers.len()
    }

    /// How many subscribers each track has.
    pub(super) fn subscribers(&self) -> HashMap<&TrackId, u32> {
        let mut counts = HashMap::new();
        for (_, track) in self.consumers.values() {
            *counts.entry(track).or_default() += 1;
        }
        counts
    }
}

/// Peer connections.
impl Control {
    /// The peer connection of a session for something, made if it does not exist.
    pub(super) fn transport(&mut self, session: SessionId, role: Role) -> Option<TransportId> {
        let found = self.sessions.get(session)?;
        if let Some(transport) = found.transport(role) {
            return Some(transport.id);
        }
        let (worker, links) = (found.worker, found.links);
        let transport = TransportId(self.names.next());
        let channels = matches!(
            links,
            Links::Two {
                subscriber_first: true
            }
        );
        self.sessions.add_transport(session, transport, role);
        self.request(
            worker,
            Request::OpenTransport {
                transport,
                negotiation: role.negotiation(),
                channels,
            },
        );
        Some(transport)
    }

    /// Forgets everything of a session that has been removed, and closes its connections.
    pub(super) fn close_media(&mut self, session: &Session) {
        self.cameras.listeners_changed = true;
        for consumer in session.consumers.values() {
            self.names.consumers.remove(consumer);
        }
        for track in &session.tracks {
            self.names.remove_track(track);
        }
        for transport in &session.transports {
            let transport = transport.id;
            self.request(session.worker, Request::CloseTransport { transport });
        }
    }

    fn connected(&mut self, now: Instant, transport: TransportId, protocol: Protocol) {
        if self.trunk_connected(now, transport, Some(protocol)) {
            return;
        }
        let Some(session) = self.sessions.with_transport(transport) else {
            return;
        };
        if let Some(known) = session.transport_mut(transport) {
            known.connected = Some(protocol);
            known.interrupted = false;
        }
        let id = session.id;
        if std::mem::replace(&mut session.active, true) {
            self.note_lost(id);
            return;
        }
        self.metrics.connected(waited(now, session));
        let participant = session.participant.clone();
        let room = session.room.clone();
        tracing::info!(%room, identity = %session.identity, ?protocol, "media is up");
        self.commands
            .push_back((room, Command::MediaConnected { participant }));
    }
}

/// What is published.
impl Control {
    /// A track was accepted: it is opened with the section that carries it.
    pub(super) fn announced(&mut self, to: &ParticipantId, client_id: &str, track: &TrackView) {
        let Some(session) = self.sessions.of_mut(to) else {
            return;
        };
        session.announced.push_back(Announced {
            track: track.id.clone(),
            client_id: client_id.to_owned(),
            kind: track.kind,
            codec: track.codec.or(voice_codec(track)),
            dtx: !track.disable_dtx,
        });
        session.tracks.push(track.id.clone());
        let by = session.id;
        let published = Published { by, producer: None };
        self.names.tracks.insert(track.id.clone(), published);
        self.match_sections(by);
    }

    fn section_opened(&mut self, section: OpenSection) {
        let Some(session) = self.sessions.with_transport(section.transport) else {
            return;
        };
        session.sections.push_back(section);
        if session.sections.len() > UNKNOWN_SECTIONS {
            session.sections.pop_front();
        }
        let session = session.id;
        self.match_sections(session);
    }

    /// Opens every track whose section is known by now.
    fn match_sections(&mut self, session: SessionId) {
        while let Some(found) = self.sessions.get_mut(session) {
            let Some((announced, section)) = take_match(found) else {
                return;
            };
            let (worker, room) = (found.worker, found.room.clone());
            let track = announced.track.clone();
            let producer = self.names.add_producer(session, room.clone(), track);
            self.request(
                worker,
                Request::OpenProducer {
                    producer,
                    transport: section.transport,
                    mid: section.mid,
                },
            );
            let muted = self
                .rooms
                .get(&room)
                .and_then(|entry| entry.room.track(&announced.track))
                .is_some_and(|(_, track)| track.muted);
            if muted {
                self.request(
                    worker,
                    Request::PauseProducer {
                        producer,
                        paused: true,
                    },
                );
            }
            let codec = announced
                .codec
                .filter(|codec| section.codecs.contains(codec))
                .or(section.codecs.first().copied());
            let track = announced.track;
            self.commands
                .push_back((room, Command::TrackOpened { track, codec }));
        }
    }

    fn section_closed(&mut self, transport: TransportId, mid: &str, producer: Option<ProducerId>) {
        if let Some(session) = self.sessions.with_transport(transport) {
            session
                .sections
                .retain(|s| s.transport != transport || s.mid != mid);
        }
        let Some((room, track)) = producer.and_then(|p| self.names.producers.get(&p)).cloned()
        else {
            return;
        };
        self.forget_track(&track);
        self.commands
            .push_back((room, Command::Unpublish { track }));
    }

    /// Yields the track's producer, if it has one.
    fn forget_track(&mut self, track: &TrackId) -> Option<ProducerId> {
        let published = self.names.remove_track(track)?;
        if let Some(session) = self.sessions.get_mut(published.by) {
            session.announced.retain(|a| a.track != *track);
            session.tracks.retain(|t| t != track);
        }
        published.producer
    }

    pub(super) fn pause_producer(&mut self, track: &TrackId, paused: bool) {
        self.ask_of_producer(track, |producer| Request::PauseProducer {
            producer,
            paused,
        });
    }

    pub(super) fn quiet_producer(&mut self, track: &TrackId, quiet: bool) {
        self.ask_of_producer(track, |producer| Request::QuietProducer { producer, quiet });
    }

    fn ask_of_producer(&mut self, track: &TrackId, request: impl FnOnce(ProducerId) -> Request) {
        if let (Some(producer), Some(worker)) = (self.names.producer(track), self.worker_of(track))
        {
            self.request(worker, request(producer));
        }
    }

    pub(super) fn close_producer(&mut self, track: &TrackId) {
        let worker = self.worker_of(track);
        if let (Some(producer), Some(worker)) = (self.forget_track(track), worker) {
            self.request(worker, Request::CloseProducer { producer });
        }
    }

    /// The producer of a track, from here or elsewhere, and the worker that it lives on.
    pub(super) fn producer_of(&mut self, track: &TrackId) -> Option<(ProducerId, usize)> {
        match (self.names.producer(track), self.worker_of(track)) {
            (Some(producer), Some(worker)) => Some((producer, worker)),
            (_, _) => Some((self.feed(track)?, trunk::WORKER)),
        }
    }

    /// The worker that a track is published to.
    fn worker_of(&self, track: &TrackId) -> Option<usize> {
        let by = self.names.tracks.get(track)?.by;
        self.sessions.get(by).map(|session| session.worker)
    }

    fn producer_codec(&mut self, producer: ProducerId, codec: Codec) {
        if let Some((room, track)) = self.names.producers.get(&producer).cloned() {
            self.commands
                .push_back((room, Command::TrackCodec { track, codec }));
        }
    }
}

/// Sound survives the loss of single packets when each carries the one before it again (RFC 2198).
/// Inside end-to-end encryption it could not be taken apart for subscribers without it.
fn voice_codec(track: &TrackView) -> Option<Codec> {
    match track.kind {
        Kind::Video => None,
        Kind::Audio if track.disable_red || track.encryption != 0 => Some(Codec::Opus),
        Kind::Audio => Some(Codec::Red),
    }
}

/// Takes an announced track and the section that carries it: the section's track id is the
/// client's own name of the track, except with clients that make up track ids (Firefox), which
/// get the oldest track of that kind.
fn take_match(session: &mut Session) -> Option<(Announced, OpenSection)> {
    let named = session
        .sections
        .iter()
        .enumerate()
        .find_map(|(s, section)| {
            let a = session
                .announced
                .iter()
                .position(|a| a.kind == section.kind && a.client_id == section.track)?;
            Some((a, s))
        });
    let oldest = || {
        session
            .sections
            .iter()
            .enumerate()
            .find_map(|(s, section)| {
                let a = session
                    .announced
                    .iter()
                    .position(|a| a.kind == section.kind)?;
                Some((a, s))
            })
    };
    let (a, s) = named.or_else(oldest)?;
    Some((session.announced.remove(a)?, session.sections.remove(s)?))
}

/// What is subscribed to.
impl Control {
    pub(super) fn open_consumer(
        &mut self,
        room: &RoomName,
        (subscriber, publisher): (&ParticipantId, &ParticipantId),
        track: TrackId,
        shown: &TrackId,
        delivery: Delivery,
    ) {
        let Some((producer, publishing)) = self.producer_of(&track) else {
            return;
        };
        let Some(session) = self.sessions.of(subscriber) else {
            return;
        };
        let (id, role, worker) = (session.id, session.receiving_role(), session.worker);
        let stream = self
            .rooms
            .get(room)
            .and_then(|entry| entry.room.track(&track))
            .filter(|_| session.stream_names)
            .map(|(_, view)| view.stream.as_str());
        let label = label(publisher, stream, shown);
        let Some(transport) = self.transport(id, role) else {
            return;
        };
        self.cameras.listeners_changed = true;
        let consumer = ConsumerId(self.names.next());
        self.names
            .consumers
            .insert(consumer, (subscriber.clone(), track.clone()));
        let previous = self
            .sessions
            .get_mut(id)
            .and_then(|session| session.consumers.insert(track, consumer));
        if let Some(consumer) = previous {
            self.names.consumers.remove(&consumer);
            self.request(worker, Request::CloseConsumer { consumer });
        }
        self.request(
            worker,
            Request::OpenConsumer {
                consumer,
                transport,
                producer,
                home: (publishing != worker).then_some(publishing),
                label,
                delivery,
            },
        );
    }

    pub(super) fn configure_consumer(
        &mut self,
        subscriber: &ParticipantId,
        track: &TrackId,
        delivery: Delivery,
    ) {
        let Some(session) = self.sessions.of(subscriber) else {
            return;
        };
        if let Some(consumer) = session.consumers.get(track).copied() {
            let worker = session.worker;
            self.request(worker, Request::ConfigureConsumer { consumer, delivery });
        }
    }

    pub(super) fn close_consumer(&mut self, subscriber: &ParticipantId, track: &TrackId) {
        let Some(session) = self.sessions.of_mut(subscriber) else {
            return;
        };
        let worker = session.worker;
        if let Some(consumer) = session.consumers.remove(track) {
            self.names.consumers.remove(&consumer);
            self.cameras.listeners_changed = true;
            self.request(worker, Request::CloseConsumer { consumer });
        }
    }

    fn consumer_report(&mut self, consumer: ConsumerId, report: SubscriptionReport) {
        let Some((participant, track)) = self.names.consumers.get(&consumer).cloned() else {
            return;
        };
        if let Some(session) = self.sessions.of(&participant) {
            let room = session.room.clone();
            let command = Command::Subscription {
                participant,
                track,
                report,
            };
            self.commands.push_back((room, command));
        }
    }

    fn consumer_failed(&mut self, consumer: ConsumerId, error: ConsumerError) {
        if self.branch_failed(consumer, error) {
            return;
        }
        let Some((participant, track)) = self.names.consumers.remove(&consumer) else {
            return;
        };
        let codec = match error {
            ConsumerError::CodecUnsupported(codec) => Some(codec),
            ConsumerError::TooManySections
            | ConsumerError::SectionDeclined
            | ConsumerError::StreamRefused => None,
        };
        let Some(session) = self.sessions.of_mut(&participant) else {
            return;
        };
        session.consumers.remove(&track);
        self.cameras.listeners_changed = true;
        if codec.is_some() {
            self.cameras.doubt(&track);
        }
        let room = session.room.clone();
        tracing::info!(%room, identity = %session.identity, %track, ?error, "cannot subscribe");
        let command = Command::Subscription {
            participant,
            track,
            report: SubscriptionReport::Failed { codec },
        };
        self.commands.push_back((room, command));
    }
}

/// The stream's name begins with the publisher; what follows is the stream that the publisher
/// named, so that its tracks play in sync, or the track itself. The name is written into a
/// session description, so only harmless ones are used, and none that reads like a track's.
fn label(publisher: &ParticipantId, stream: Option<&str>, track: &TrackId) -> Label {
    let harmless = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let stream = stream
        .filter(|s| !s.is_empty() && s.len() <= STREAM_NAME)
        .filter(|s| s.chars().all(harmless) && !s.starts_with("TR"))
        .unwrap_or(track.as_str());
    Label {
        stream: format!("{publisher}|{stream}"),
        track: track.to_string(),
    }
}

/// What the engine reports.
impl Control {
    pub(super) fn report(&mut self, now: Instant, worker: usize, report: Report) {
        match report {
            Report::Answer {
                transport,
                offer,
                sdp,
                sections,
            } => {
                if !self.probe_answered(transport, Ok(&sdp)) {
                    self.event_for(transport, Event::answer(offer, sdp, sections));
                }
            }
            Report::Offer {
                transport,
                offer,
                sdp,
                sections,
            } => self.event_for(transport, Event::offer(offer, sdp, sections)),
            Report::SectionsWanted {
                transport,
                audio,
                video,
            } => self.event_for(transport, Event::SectionsWanted { audio, video }),
            Report::TrunkParameters {
                transport: at,
                parameters,
            } => self.trunk_parameters(at, parameters),
            Report::Candidate {
                transport,
                candidate,
            } => self.trunk_candidate(transport, &candidate),
            Report::SeenAs {
                local,
                reflector,
                seen_as,
            } => self.seen_as(local, reflector, seen_as),
            Report::Refused { transport, reason } => self.refused(transport, &reason),
            Report::Closed { transport, reason } => self.closed(now, transport, &reason),
            Report::SectionOpened(section) => self.section_opened(section),
            Report::SectionClosed {
                transport,
                mid,
                producer,
            } => self.section_closed(transport, &mid, producer),
            Report::Connected {
                transport,
                protocol,
            } => self.connected(now, transport, protocol),
            Report::Interrupted { transport } => self.interrupted(now, transport),
            Report::ProducerCodec { producer, codec } => self.producer_codec(producer, codec),
            Report::KeyFrameWanted { .. } => {} // a camera makes them when it likes
            Report::ConsumerStarted { consumer: id } => self.consumer_started(id),
            Report::ConsumerStarved { consumer, starved } => {
                self.consumer_starved(consumer, starved);
            }
            Report::ConsumerFailed { consumer, error } => self.consumer_failed(consumer, error),
            Report::Data {
                transport,
                channel,
                data,
            } => self.data_arrived(now, transport, channel, &data),
            Report::ChannelOpen { transport, channel } => self.channel_open(transport, channel),
            Report::AudioLevels(levels) => self.audio_levels(&levels),
            Report::Statistics(statistics) => self.measured(now, worker, *statistics),
            Report::Totals(totals) => self.gathered(now, worker, *totals),
        }
    }

    fn consumer_started(&mut self, consumer: ConsumerId) {
        self.consumer_report(consumer, SubscriptionReport::Started);
    }

    fn consumer_starved(&mut self, consumer: ConsumerId, starved: bool) {
        if !self.branch_starved(consumer, starved) {
            self.consumer_report(consumer, SubscriptionReport::Starved(starved));
        }
    }

    /// A worker has told its figures: everybody takes what it has asked for.
    fn measured(&mut self, now: Instant, worker: usize, statistics: Statistics) {
        self.measure_qualities(worker, &statistics);
        if worker == trunk::WORKER {
            self.trunks.measure(now, &statistics);
        }
        self.statistics.take(now, worker, statistics);
    }

    fn event_for(&mut self, transport: TransportId, event: Event) {
        if let Some(session) = self.sessions.with_transport(transport) {
            let session = session.id;
            self.tell(session, event);
        }
    }

    /// A description could not be used: both sides begin anew.
    fn refused(&mut self, transport: TransportId, reason: &str) {
        if self.probe_answered(transport, Err(reason)) {
            return;
        }
        let Some(session) = self.sessions.with_transport(transport) else {
            return;
        };
        let id = session.id;
        tracing::warn!(room = %session.room, identity = %session.identity, reason,
            "a session description could not be used");
        self.give_up(id, LeaveReason::StateMismatch);
    }

    /// A client that leaves closes its connections first and says so afterwards, so it is given
    /// a moment to say it.
    fn closed(&mut self, now: Instant, transport: TransportId, reason: &str) {
        if self.trunk_closed(now, transport, reason) || self.probe_closed(transport) {
            return;
        }
        let Some(session) = self.sessions.with_transport(transport) else {
            return;
        };
        tracing::info!(room = %session.room, identity = %session.identity, reason,
            "a peer connection has ended");
        self.closing.push_back((now + LAST_WORDS, session.id));
    }

    fn interrupted(&mut self, now: Instant, transport: TransportId) {
        if self.trunk_connected(now, transport, None) {
            return;
        }
        let Some(session) = self.sessions.with_transport(transport) else {
            return;
        };
        tracing::info!(room = %session.room, identity = %session.identity,
            "a peer connection is interrupted");
        if let Some(known) = session.transport_mut(transport) {
            known.interrupted = true;
        }
        let id = session.id;
        self.note_lost(id);
    }

    fn audio_levels(&mut self, levels: &[umbrella_engine::Loudness]) {
        let mut by_room: HashMap<&RoomName, Vec<TrackLoudness>> = HashMap::new();
        for loudness in levels {
            if let Some((room, track)) = self.names.producers.get(&loudness.producer) {
                by_room.entry(room).or_default().push(TrackLoudness {
                    track: track.clone(),
                    level: loudness.level,
                    voice: loudness.voice,
                });
            }
        }
        let commands = by_room
            .into_iter()
            .map(|(room, levels)| (room.clone(), Command::AudioLevels(levels)));
        self.commands.extend(commands);
    }
}

/// Data messages.
impl Control {
    fn data_arrived(
        &mut self,
        now: Instant,
        transport: TransportId,
        channel: Channel,
        message: &[u8],
    ) {
        let reliability = match channel {
            Channel::Reliable => Reliability::Reliable,
            Channel::Lossy => Reliability::Lossy,
            // Framed by clients who were given handles by a server that knows data tracks.
            Channel::DataTrack => return,
        };
        let Some(session) = self.sessions.with_transport(transport) else {
            return;
        };
        let id = session.id;
        if !session.data.budget.take(now) {
            if reliability == Reliability::Reliable {
                self.misbehaved(id, "too many data messages");
            }
            return;
        }
        let sender = Sender {
            sid: &session.participant,
            identity: &session.identity,
        };
        match data::stamp(message, sender, reliability) {
            // It was sent again after a loss of the network, to be sure.
            Ok(stamped) if !session.data.receive(reliability, stamped.sequence) => {}
            Ok(stamped) => {
                let command = Command::Data {
                    from: Some(session.participant.clone()),
                    to: stamped.to,
                    reliability,
                    payload: stamped.payload,
                };
                self.commands.push_back((session.room.clone(), command));
            }
            Err(error) => self.misbehaved(id, &error.to_string()),
        }
    }

    pub(super) fn send_data(
        &mut self,
        to: &[ParticipantId],
        reliability: Reliability,
        payload: &std::sync::Arc<[u8]>,
    ) {
        let channel = match reliability {
            Reliability::Reliable => Channel::Reliable,
            Reliability::Lossy => Channel::Lossy,
        };
        for participant in to {
            let Some(session) = self.sessions.of_mut(participant) else {
                continue;
            };
            let open = session.data.open.is_open(channel);
            let transport = session.transport(session.data_role()).map(|t| t.id);
            match (open, transport, reliability) {
                (true, Some(transport), _) => {
                    let (worker, data) = (session.worker, payload.clone());
                    self.request(
                        worker,
                        Request::SendData {
                            transport,
                            channel,
                            data,
                        },
                    );
                }
                (_, _, Reliability::Reliable) => {
                    self.metrics.data_dropped += session.data.keep(payload.clone());
                }
                (_, _, Reliability::Lossy) => {}
            }
        }
    }

    fn channel_open(&mut self, transport: TransportId, channel: Channel) {
        let Some(session) = self.sessions.with_transport(transport) else {
            return;
        };
        // The other connection of two carries only what the client sends.
        if session.transport(session.data_role()).map(|t| t.id) != Some(transport) {
            return;
        }
        let worker = session.worker;
        for data in session.data.opened(channel) {
            self.request(
                worker,
                Request::SendData {
                    transport,
                    channel,
                    data,
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(name: &str) -> String {
        label(
            &ParticipantId::new("PA_1"),
            Some(name),
            &TrackId::new("TR_1"),
        )
        .stream
    }

    #[test]
    fn tracks_of_one_stream_share_its_name() {
        assert_eq!(stream("camera"), "PA_1|camera");
        assert_eq!(stream(""), "PA_1|TR_1");
    }

    #[test]
    fn stream_name_cannot_write_into_somebody_elses_description() {
        for name in ["a b", "x\r\na=ice-lite", "TR_9", "ü", &"x".repeat(65)] {
            assert_eq!(stream(name), "PA_1|TR_1", "{name:?}");
        }
    }
}
