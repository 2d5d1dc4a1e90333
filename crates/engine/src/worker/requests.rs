//! Orders of the owner, and what they and negotiations change.

use std::sync::Arc;
use std::time::Instant;

use umbrella_media::Delivery;

use crate::api::{
    Channel, ConsumerError, ConsumerId, Negotiation as Mode, OpenSection, ProducerId,
    PublishOptions, Report, Request, TransportId,
};
use crate::arena::Key;
use crate::consumer::{Berth, Consumer, Outlet};
use crate::producer::{Origin, Producer};
use crate::transport::Transport;
use crate::transport::negotiation::Change;
use crate::transport::sdp::parse::SdpError;
use crate::transport::trunk;

use super::Worker;
use super::mirror::Waiting;

impl Worker {
    pub(super) fn handle_request(&mut self, now: Instant, request: Request) {
        let Some(request) = self.handle_connection_request(now, request) else {
            return;
        };
        let Some(request) = self.handle_producer_request(now, request) else {
            return;
        };
        self.handle_consumer_request(now, request);
    }

    /// Gives back what is about something else.
    fn handle_connection_request(&mut self, now: Instant, request: Request) -> Option<Request> {
        match request {
            Request::OpenTransport {
                transport,
                negotiation,
                channels,
            } => self.open_transport(now, transport, negotiation, channels),
            Request::RemoteOffer {
                transport,
                offer,
                sdp,
                options,
            } => self.remote_offer(now, transport, offer, &sdp, options),
            Request::RemoteAnswer {
                transport,
                offer,
                sdp,
            } => self.remote_answer(now, transport, offer, &sdp),
            Request::TrunkParameters {
                transport,
                parameters,
            } => self.meet(now, transport, &parameters),
            Request::RemoteCandidate {
                transport,
                candidate,
            } => self.remote_candidate(transport, &candidate),
            Request::Reflect {
                transport,
                reflectors,
            } => self.reflect(now, transport, &reflectors),
            Request::LookOutside { local, reflector } => self.look_outside(now, local, reflector),
            Request::Advertise(addresses) => self.config.addresses = addresses,
            Request::RestartIce { transport } => self.restart_ice(transport),
            Request::CloseTransport { transport } => {
                if let Some(key) = self.transport_keys.get(&transport) {
                    self.remove_transport(*key);
                }
            }
            Request::SendData {
                transport,
                channel,
                data,
            } => self.send_data(now, transport, channel, &data),
            Request::Statistics => self.report_statistics(now),
            Request::Totals => self.report_totals(),
            other @ (Request::OpenProducer { .. }
            | Request::OpenFeed { .. }
            | Request::OpenSource { .. }
            | Request::SourcePackets { .. }
            | Request::SourceRestart { .. }
            | Request::ConnectFeed { .. }
            | Request::CloseProducer { .. }
            | Request::PauseProducer { .. }
            | Request::QuietProducer { .. }
            | Request::OpenConsumer { .. }
            | Request::OpenBranch { .. }
            | Request::ConfigureConsumer { .. }
            | Request::CloseConsumer { .. }) => return Some(other),
        }
        None
    }

    /// Gives back what is about something else.
    fn handle_producer_request(&mut self, now: Instant, request: Request) -> Option<Request> {
        match request {
            Request::OpenProducer {
                producer,
                transport,
                mid,
            } => self.open_producer(producer, transport, &mid),
            Request::OpenFeed {
                producer,
                kind,
                stereo,
                cache,
            } => self.open_feed(producer, kind, stereo, cache),
            Request::OpenSource { producer, options } => self.open_source(producer, &options),
            Request::SourcePackets { producer, packets } => {
                self.source_packets(now, producer, packets);
            }
            Request::SourceRestart { producer, encoding } => {
                self.restart_source(now, producer, encoding);
            }
            Request::ConnectFeed { producer, source } => self.connect_feed(now, producer, source),
            Request::CloseProducer { producer } => {
                if let Some(key) = self.producer_keys.get(&producer) {
                    self.close_producer(*key);
                }
            }
            Request::PauseProducer { producer, paused } => {
                self.pause_producer(now, producer, paused);
            }
            Request::QuietProducer { producer, quiet } => self.quiet_producer(now, producer, quiet),
            other @ (Request::OpenTransport { .. }
            | Request::RemoteOffer { .. }
            | Request::RemoteAnswer { .. }
            | Request::TrunkParameters { .. }
            | Request::RemoteCandidate { .. }
            | Request::Reflect { .. }
            | Request::LookOutside { .. }
            | Request::Advertise(_)
            | Request::RestartIce { .. }
            | Request::CloseTransport { .. }
            | Request::SendData { .. }
            | Request::Statistics
            | Request::Totals
            | Request::OpenConsumer { .. }
            | Request::OpenBranch { .. }
            | Request::ConfigureConsumer { .. }
            | Request::CloseConsumer { .. }) => return Some(other),
        }
        None
    }

    fn handle_consumer_request(&mut self, now: Instant, request: Request) {
        match request {
            Request::OpenConsumer {
                consumer,
                transport,
                producer,
                home,
                label,
                delivery,
            } => {
                let route = (transport, producer, home);
                let outlet = Outlet::Section(label);
                self.open_consumer(now, consumer, route, outlet, delivery);
            }
            Request::OpenBranch {
                consumer,
                transport,
                producer,
                home,
                stream,
                delivery,
            } => {
                let route = (transport, producer, home);
                let outlet = Outlet::Branch(stream);
                self.open_consumer(now, consumer, route, outlet, delivery);
            }
            Request::ConfigureConsumer { consumer, delivery } => {
                self.configure_consumer(now, consumer, delivery);
            }
            Request::CloseConsumer { consumer } => self.close_consumer_named(consumer),
            // They were taken before.
            Request::OpenTransport { .. }
            | Request::RemoteOffer { .. }
            | Request::RemoteAnswer { .. }
            | Request::TrunkParameters { .. }
            | Request::RemoteCandidate { .. }
            | Request::Reflect { .. }
            | Request::LookOutside { .. }
            | Request::Advertise(_)
            | Request::RestartIce { .. }
            | Request::CloseTransport { .. }
            | Request::SendData { .. }
            | Request::Statistics
            | Request::Totals
            | Request::OpenProducer { .. }
            | Request::OpenFeed { .. }
            | Request::OpenSource { .. }
            | Request::SourcePackets { .. }
            | Request::SourceRestart { .. }
            | Request::ConnectFeed { .. }
            | Request::CloseProducer { .. }
            | Request::PauseProducer { .. }
            | Request::QuietProducer { .. } => {}
        }
    }

    /// Offers that are due, and requests for offers.
    pub(super) fn negotiate(&mut self, now: Instant, key: Key<Transport>) {
        let limits = &self.config.limits;
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        let id = transport.id;
        if let Some((audio, video)) = transport.negotiation.sections_wanted(now, limits) {
            self.reports.push_back(Report::SectionsWanted {
                transport: id,
                audio,
                video,
            });
        }
        let rtc = transport.connection.rtc();
        if let Some((offer, sdp)) = transport.negotiation.offer(rtc, now, limits) {
            let sections = transport.negotiation.report();
            let ufrag = transport.ufrag();
            self.demux.bind_ufrag(ufrag, key);
            self.reports.push_back(Report::Offer {
                transport: id,
                offer,
                sdp,
                sections,
            });
        }
        self.apply_changes(now, key);
    }

    /// A consumer may send.
    pub(super) fn bind_consumer(&mut self, now: Instant, key: Key<Consumer>, berth: Berth) {
        let Some(consumer) = self.consumers.get_mut(key) else {
            return;
        };
        let Some(transport) = self.transports.get_mut(consumer.transport) else {
            return;
        };
        let producer = self.producers.get(consumer.producer);
        let kind = consumer.kind();
        let (opened, mid, error) = match berth {
            Berth::Section(mid) => {
                let opened = transport.open_stream(now, mid, kind);
                (opened, mid, ConsumerError::SectionDeclined)
            }
            Berth::Branch(stream) => {
                let opened = transport.open_branch(now, stream, kind);
                (opened, trunk::section(kind), ConsumerError::StreamRefused)
            }
        };
        let (Some(opened), Some(producer)) = (opened, producer) else {
            self.fail_consumer(key, error);
            return;
        };
        transport.streams.insert(opened.stream, key);
        consumer.bind(mid, opened);
        consumer.set_live(producer.live());
        self.want_for(now, key);
    }

    pub(super) fn fail_consumer(&mut self, key: Key<Consumer>, error: ConsumerError) {
        if let Some(consumer) = self.consumers.get(key) {
            let consumer = consumer.id;
            self.reports
                .push_back(Report::ConsumerFailed { consumer, error });
            self.close_consumer(key);
        }
    }

    pub(super) fn remove_transport(&mut self, key: Key<Transport>) {
        self.close_streams(key);
        self.say_goodbye(key);
        self.forget_transport(key);
    }

    /// A peer's description could not be used.
    fn refuse(&mut self, key: Key<Transport>, error: &SdpError) {
        let Some(transport) = self.transports.get(key).map(|it| it.id) else {
            return;
        };
        let reason = error.to_string();
        if *error == SdpError::Contradiction {
            self.reports.push_back(Report::Closed { transport, reason });
            self.close_streams(key);
            self.forget_transport(key);
        } else {
            self.reports
                .push_back(Report::Refused { transport, reason });
        }
    }

    fn close_streams(&mut self, key: Key<Transport>) {
        let consumers = self.consumer_keys.values().copied();
        let theirs = |k: &Key<Consumer>| {
            self.consumers
                .get(*k)
                .is_some_and(|consumer| consumer.transport == key)
        };
        for consumer in consumers.filter(theirs).collect::<Vec<_>>() {
            self.close_consumer(consumer);
        }
        let producers = self.producer_keys.values().copied();
        let theirs = |k: &Key<Producer>| {
            self.producers
                .get(*k)
                .is_some_and(|producer| producer.transport() == Some(key))
        };
        for producer in producers.filter(theirs).collect::<Vec<_>>() {
            if !self.lose_trunk(producer) {
                self.close_producer(producer);
            }
        }
    }

    fn forget_transport(&mut self, key: Key<Transport>) {
        if let Some(transport) = self.transports.remove(key) {
            self.past.add_transport(&transport);
            self.transport_keys.remove(&transport.id);
            self.stop_waiting(|waiting| waiting.transport == transport.id);
        }
        self.demux.forget(key);
        self.reflection.forget(key);
        self.deadlines.forget(key);
    }

    fn open_transport(&mut self, now: Instant, id: TransportId, mode: Mode, channels: bool) {
        if self.transport_keys.contains_key(&id) {
            return;
        }
        let closed = |reason: String| Report::Closed {
            transport: id,
            reason,
        };
        if self.transports.len() >= self.config.limits.transports {
            self.reports.push_back(closed("the server is full".into()));
            return;
        }
        match Transport::new(id, mode, channels, &self.common(), now) {
            Ok(mut transport) => {
                let ufrag = transport.ufrag();
                if transport.trunk.is_some() {
                    let parameters = transport.trunk_parameters(&self.config.addresses);
                    self.reports.push_back(Report::TrunkParameters {
                        transport: id,
                        parameters,
                    });
                }
                let key = self.transports.insert(transport);
                self.transport_keys.insert(id, key);
                self.demux.bind_ufrag(ufrag, key);
                self.touch(key);
            }
            Err(error) => self.reports.push_back(closed(error.to_string())),
        }
    }

    fn restart_ice(&mut self, id: TransportId) {
        if let Some(key) = self.transport_keys.get(&id).copied()
            && let Some(transport) = self.transports.get_mut(key)
        {
            transport.negotiation.restart_ice();
            self.touch(key);
        }
    }

    fn remote_offer(
        &mut self,
        now: Instant,
        id: TransportId,
        offer: u32,
        sdp: &str,
        options: Vec<PublishOptions>,
    ) {
        let Some(key) = self.transport_keys.get(&id).copied() else {
            return;
        };
        let limits = &self.config.limits;
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        let rtc = transport.connection.rtc();
        match transport
            .negotiation
            .accept_offer(rtc, now, sdp, options, limits)
        {
            Ok(sdp) => {
                let sections = transport.negotiation.report();
                let ufrag = transport.ufrag();
                self.demux.bind_ufrag(ufrag, key);
                self.reports.push_back(Report::Answer {
                    transport: id,
                    offer,
                    sdp,
                    sections,
                });
            }
            Err(error) => self.refuse(key, &error),
        }
        self.apply_changes(now, key);
        self.touch(key);
    }

    fn remote_answer(&mut self, now: Instant, id: TransportId, offer: u32, sdp: &str) {
        let Some(key) = self.transport_keys.get(&id).copied() else {
            return;
        };
        let limits = &self.config.limits;
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        let rtc = transport.connection.rtc();
        let accepted = transport
            .negotiation
            .accept_answer(rtc, now, offer, sdp, limits);
        if let Err(error) = accepted {
            self.refuse(key, &error);
        }
        if let Some(transport) = self.transports.get_mut(key) {
            let ufrag = transport.ufrag();
            self.demux.bind_ufrag(ufrag, key);
        }
        self.apply_changes(now, key);
        self.touch(key);
    }

    /// A consumer may send, as soon as there is a connection.
    pub(super) fn bind_when_connected(
        &mut self,
        now: Instant,
        key: Key<Transport>,
        consumer: Key<Consumer>,
        berth: Berth,
    ) {
        let transport = self.transports.get_mut(key);
        match transport.filter(|transport| !transport.is_connected()) {
            Some(transport) => transport.ready.push((consumer, berth)),
            None => self.bind_consumer(now, consumer, berth),
        }
    }

    fn apply_changes(&mut self, now: Instant, key: Key<Transport>) {
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        let id = transport.id;
        for change in transport.negotiation.take_changes() {
            match change {
                Change::Opened {
                    mid,
                    kind,
                    track,
                    codecs,
                } => {
                    let section = OpenSection {
                        transport: id,
                        mid,
                        kind,
                        track,
                        codecs,
                    };
                    self.reports.push_back(Report::SectionOpened(section));
                }
                Change::Closed { mid, producer } => {
                    let producer = producer.and_then(|key| {
                        let id = self.producers.get(key).map(|producer| producer.id);
                        self.close_producer(key);
                        id
                    });
                    self.reports.push_back(Report::SectionClosed {
                        transport: id,
                        mid,
                        producer,
                    });
                }
                Change::Ready { consumer, mid } => {
                    self.bind_when_connected(now, key, consumer, Berth::Section(mid));
                }
                Change::Lost { consumer } => self.unbind_consumer(consumer),
                Change::Renewed { ssrc, rtx } => {
                    if let Some(transport) = self.transports.get_mut(key) {
                        transport.egress.forget(ssrc, rtx);
                    }
                }
                Change::Failed { consumer, error } => self.fail_consumer(consumer, error),
            }
        }
    }

    fn open_producer(&mut self, id: ProducerId, transport: TransportId, mid: &str) {
        let Some(key) = self.transport_keys.get(&transport).copied() else {
            return;
        };
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        let known = self.producer_keys.contains_key(&id);
        let Some((inbound, kind)) = transport.negotiation.inbound(mid) else {
            return;
        };
        if known
            || inbound
                .producer
                .is_some_and(|old| self.producers.get(old).is_some())
        {
            return;
        }
        let origin = Origin::Peer {
            transport: key,
            mid: mid.into(),
        };
        let (stereo, history) = (inbound.stereo, self.config.limits.history);
        let producer = Producer::new(id, origin, kind, &inbound.rids, stereo, history);
        let producer = self.producers.insert(producer);
        inbound.producer = Some(producer);
        self.producer_keys.insert(id, producer);
    }

    pub(super) fn close_producer(&mut self, key: Key<Producer>) {
        let Some(producer) = self.producers.remove(key) else {
            return;
        };
        self.past.add_producer(&producer);
        self.producer_keys.remove(&producer.id);
        self.requests.forget(key);
        self.relay_end(&producer);
        let transport = producer.transport();
        if let Some(transport) = transport.and_then(|key| self.transports.get_mut(key)) {
            if let Origin::Feed(Some(source)) = &producer.origin {
                source.streams.iter().for_each(|it| transport.leave(*it));
            }
            transport.sources.retain(|_, source| source.producer != key);
        }
        for consumer in producer.routes {
            self.close_consumer(consumer);
        }
    }

    fn pause_producer(&mut self, now: Instant, id: ProducerId, paused: bool) {
        self.interrupt(now, id, |producer| {
            std::mem::replace(&mut producer.paused, paused) != paused
        });
    }

    fn quiet_producer(&mut self, now: Instant, id: ProducerId, quiet: bool) {
        self.interrupt(now, id, |producer| {
            std::mem::replace(&mut producer.quiet, quiet) != quiet
        });
    }

    /// Lets less or more through of a producer, if that is a change: what comes next does not go
    /// on where the last went.
    fn interrupt(
        &mut self,
        now: Instant,
        id: ProducerId,
        change: impl FnOnce(&mut Producer) -> bool,
    ) {
        let Some(key) = self.producer_keys.get(&id).copied() else {
            return;
        };
        let Some(producer) = self.producers.get_mut(key) else {
            return;
        };
        if !change(producer) {
            return;
        }
        // Who watches after a pause must not see what was before it.
        if let Some(cache) = &mut producer.cache {
            cache.clear();
        }
        for consumer in producer.routes.clone() {
            if let Some(consumer) = self.consumers.get_mut(consumer) {
                consumer.restart();
            }
            self.want_for(now, consumer);
        }
        self.relay_restart(key, None);
    }

    pub(super) fn open_consumer(
        &mut self,
        now: Instant,
        id: ConsumerId,
        (transport, producer, home): (TransportId, ProducerId, Option<usize>),
        outlet: Outlet,
        delivery: Delivery,
    ) {
        if let Some(home) = home.filter(|_| !self.producer_keys.contains_key(&producer)) {
            let waiting = Waiting {
                id,
                transport,
                outlet,
                delivery,
            };
            self.await_mirror(now, producer, home, waiting);
            return;
        }
        let transport = self.transport_keys.get(&transport).copied();
        let producer = self.producer_keys.get(&producer).copied();
        let (Some(transport_key), Some(producer_key)) = (transport, producer) else {
            return;
        };
        let transport = self.transports.get_mut(transport_key);
        let producer = self.producers.get_mut(producer_key);
        let (Some(transport), Some(producer)) = (transport, producer) else {
            return;
        };
        if self.consumer_keys.contains_key(&id) {
            return;
        }
        let kind = producer.kind;
        let consumer = Consumer::new(id, transport_key, producer_key, kind, delivery);
        let key = self.consumers.insert(consumer);
        self.consumer_keys.insert(id, key);
        producer.routes.push(key);
        let branch = match outlet {
            Outlet::Section(label) => {
                let negotiation = &mut transport.negotiation;
                negotiation.want(key, label, kind, producer.codec, producer.stereo);
                None
            }
            Outlet::Branch(stream) => Some(stream),
        };
        self.begin_allocation(now, transport_key, key);
        if let Some(stream) = branch {
            self.open_branch(now, transport_key, key, stream);
        }
        self.touch(transport_key);
    }

    fn configure_consumer(&mut self, now: Instant, id: ConsumerId, delivery: Delivery) {
        if let Some(key) = self.consumer_keys.get(&id).copied()
            && let Some(consumer) = self.consumers.get_mut(key)
        {
            let old = consumer.wanted();
            consumer.configure(delivery);
            self.reallocate(now, key, old);
            self.want_for(now, key);
        } else if let Some(waiting) = self.waiting(id) {
            waiting.delivery = delivery;
        }
    }

    fn close_consumer_named(&mut self, id: ConsumerId) {
        match self.consumer_keys.get(&id) {
            Some(key) => self.close_consumer(*key),
            None => self.stop_waiting(|waiting| waiting.id == id),
        }
    }

    fn close_consumer(&mut self, key: Key<Consumer>) {
        let Some(mut consumer) = self.consumers.remove(key) else {
            return;
        };
        self.past.add_consumer(&consumer);
        self.consumer_keys.remove(&consumer.id);
        if let Some(producer) = self.producers.get_mut(consumer.producer) {
            producer.routes.retain(|route| *route != key);
        }
        self.end_if_unused(consumer.producer);
        let Some(transport) = self.transports.get_mut(consumer.transport) else {
            return;
        };
        if let Some(stream) = consumer.unbind() {
            transport.streams.remove(&stream);
            transport.egress.close_stream(stream);
        }
        transport.allotment.remove(key);
        transport.ready.retain(|(waiting, _)| *waiting != key);
        transport.negotiation.release(key);
        self.touch(consumer.transport);
    }

    fn unbind_consumer(&mut self, key: Key<Consumer>) {
        let Some(consumer) = self.consumers.get_mut(key) else {
            return;
        };
        let stream = consumer.unbind();
        if let (Some(transport), Some(stream)) =
            (self.transports.get_mut(consumer.transport), stream)
        {
            transport.streams.remove(&stream);
            transport.egress.close_stream(stream);
        }
    }

    fn send_data(&mut self, now: Instant, id: TransportId, channel: Channel, data: &Arc<[u8]>) {
        let Some(key) = self.transport_keys.get(&id).copied() else {
            return;
        };
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        let sent = transport
            .channels
            .send(transport.connection.rtc(), channel, data);
        match sent {
            Ok(()) => {
                self.pump(now, key);
                self.touch(key);
            }
            Err(_) => self.end(key, "the peer does not read its data channel"),
        }
    }
}
