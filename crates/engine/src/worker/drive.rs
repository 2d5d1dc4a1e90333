//! Driving one transport: str0m's output and events, what the peer asks for, what may leave.

use std::time::{Duration, Instant};

use str0m::{Event, IceConnectionState};

use crate::api::{Path, Protocol, Report};
use crate::arena::Key;
use crate::egress::FeedbackEvent;
use crate::secure::{ConnectionError, Datagram, DatagramKind, Fed, Out};
use crate::transport::{Life, NEVER_UP, Touched, Transport};

use super::{Outgoing, Worker};

/// str0m may want to be called again at once (a key frame request is sent so). More than a few
/// times in a row would be a fault; others must not starve.
const ROUNDS: usize = 4;
/// The next look at a transport that still wants to be called at once after that.
const PATIENCE: Duration = Duration::from_millis(1);

impl Worker {
    /// A datagram that belongs to a transport.
    pub(super) fn receive(
        &mut self,
        (now, arrived): (Instant, Instant),
        key: Key<Transport>,
        path: Path,
        data: &[u8],
    ) {
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        let Transport {
            connection,
            egress,
            received,
            ..
        } = transport;
        received.count(data.len());
        let mut on_rtcp = |rtcp: &[u8]| egress.handle_rtcp(arrived, rtcp);
        match connection.handle_datagram(arrived, path, data, &mut on_rtcp) {
            Ok(Fed::All) => {}
            Ok(Fed::Egress) => {
                self.take_feedback(now, key);
                self.touch_to_send(key);
                return;
            }
            Err(error) => {
                self.end(key, &error.to_string());
                return;
            }
        }
        // str0m keeps one received packet at a time.
        self.pump(now, key);
        self.touch(key);
    }

    /// Everything that is due for a transport.
    pub(super) fn drive(&mut self, now: Instant, key: Key<Transport>) {
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        let touched = std::mem::replace(&mut transport.touched, Touched::No);
        if touched == Touched::ToSend && transport.engine_at > now {
            self.take_feedback(now, key);
            self.allocate(now, key);
            self.replay(now, key);
            self.flush(now, key);
            self.schedule(now, key);
            return;
        }
        if let Some(reason) = transport.failure(now) {
            self.end(key, reason);
            return;
        }
        transport.forget_left(now);
        transport.try_tcp(now);
        self.negotiate(now, key);
        self.pump(now, key);
        for _ in 0..ROUNDS {
            let Some(transport) = self.transports.get_mut(key) else {
                return;
            };
            if transport.engine_at > now {
                break;
            }
            if let Err(error) = transport.connection.handle_timeout(now) {
                self.end_broken(key, &error);
                return;
            }
            self.pump(now, key);
        }
        self.allocate(now, key);
        self.replay(now, key);
        self.flush(now, key);
        self.schedule(now, key);
    }

    /// Takes all that str0m and the peer's feedback have to say.
    pub(super) fn pump(&mut self, now: Instant, key: Key<Transport>) {
        while let Some(transport) = self.transports.get_mut(key) {
            let Transport {
                connection, egress, ..
            } = transport;
            match connection.poll(&mut |ssrc| egress.sender_info(now, ssrc)) {
                Ok(Out::Timeout(at)) => {
                    transport.engine_at = at;
                    break;
                }
                Ok(Out::Event(event)) => self.on_event(now, key, event),
                Ok(Out::Datagram(datagram)) => self.emit(key, &datagram),
                Err(error) => self.end_broken(key, &error),
            }
        }
        self.take_feedback(now, key);
    }

    /// Takes what the peer's feedback asks for, and what the egress misses itself.
    fn take_feedback(&mut self, now: Instant, key: Key<Transport>) {
        while let Some(event) = self
            .transports
            .get_mut(key)
            .and_then(|t| t.egress.poll_event())
        {
            match event {
                FeedbackEvent::KeyFrameWanted { stream } => self.on_picture_loss(now, key, stream),
                FeedbackEvent::Resend { stream, seq } => self.resend(now, key, stream, seq),
            }
        }
    }

    /// A connection cannot go on. A handshake for which there was no path fails about when the
    /// search for one is given up.
    pub(super) fn end_broken(&mut self, key: Key<Transport>, error: &ConnectionError) {
        let path = self.transports.get(key).and_then(|it| it.connection.path());
        match path {
            Some(_) => self.end(key, &error.to_string()),
            None => self.end(key, NEVER_UP),
        }
    }

    /// A transport has ended by itself.
    pub(super) fn end(&mut self, key: Key<Transport>, reason: &str) {
        if let Some(transport) = self.transports.get(key) {
            let (transport, reason) = (transport.id, reason.to_owned());
            self.reports.push_back(Report::Closed { transport, reason });
            self.remove_transport(key);
        }
    }

    /// Lets a transport say goodbye.
    pub(super) fn say_goodbye(&mut self, key: Key<Transport>) {
        /// BYE, close_notify, and what was to be sent anyway.
        const LAST_WORDS: usize = 64;
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        if transport.connection.close().is_err() {
            return;
        }
        for _ in 0..LAST_WORDS {
            match transport.connection.poll(&mut |_| None) {
                Ok(Out::Datagram(datagram)) => {
                    self.counts
                        .sent(self.out.push(datagram.path, &datagram.data));
                }
                Ok(Out::Event(_)) => {}
                Ok(Out::Timeout(_)) | Err(_) => return,
            }
        }
    }

    fn emit(&mut self, key: Key<Transport>, datagram: &Datagram) {
        let path = datagram.path;
        if DatagramKind::of(&datagram.data) == DatagramKind::Stun {
            // An ICE-lite agent only ever answers, and str0m answers only those that know our
            // password. The end of a trunk that dials asks, at addresses of a server that its
            // operator has chosen; both ends of an introduced one ask, at a few addresses. One that
            // serves a living connection stays with it all the same.
            let taken = self.demux.owner(path).filter(|owner| *owner != key);
            let lives = taken.and_then(|owner| self.transports.get(owner));
            if !lives.is_some_and(Transport::is_connected) {
                self.demux.bind_address(path, key);
            }
        }
        let bytes = self.out.push(path, &datagram.data);
        self.counts.sent(bytes);
        if let Some(transport) = self.transports.get_mut(key) {
            transport.sent.count(bytes);
        }
    }

    fn flush(&mut self, now: Instant, key: Key<Transport>) {
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        let Transport {
            connection,
            egress,
            sent,
            ..
        } = transport;
        let path = connection.path();
        if let (Some(path), Some(sealer)) = (path, connection.sealer()) {
            let Outgoing { slab, datagrams } = &mut self.out;
            let mut start = slab.bytes().len();
            for datagram in egress.flush(now, sealer, slab) {
                let end = start + datagram.len();
                datagrams.push((path, start..end));
                self.counts.sent(datagram.len());
                sent.count(datagram.len());
                start = end;
            }
        }
    }

    fn schedule(&mut self, now: Instant, key: Key<Transport>) {
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        let has_keys = transport.connection.sealer().is_some();
        let egress_at = transport.egress.next_timeout().filter(|_| has_keys);
        let at = [
            Some(transport.engine_at),
            transport.replays.next_tick().filter(|_| has_keys),
            egress_at,
            transport.next_deadline(),
            transport.allotment.next_look().filter(|_| has_keys),
        ];
        let at = at
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(transport.engine_at);
        self.deadlines.set(key, at.max(now + PATIENCE));
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "str0m's enum, which grows")]
    fn on_event(&mut self, now: Instant, key: Key<Transport>, event: Event) {
        match event {
            Event::RtpPacket(packet) => self.on_rtp(now, key, packet),
            Event::SenderFeedback(feedback) => self.on_sender_report(key, &feedback),
            Event::Connected => self.on_connected(now, key),
            Event::IceConnectionStateChange(state) => self.on_ice(now, key, state),
            Event::Closed => self.end(key, "the peer has closed the connection"),
            Event::ChannelOpen(id, label) => {
                if let Some(transport) = self.transports.get_mut(key)
                    && let Some(channel) = transport.channels.opened(id, &label)
                {
                    let transport = transport.id;
                    self.reports
                        .push_back(Report::ChannelOpen { transport, channel });
                }
            }
            Event::ChannelClose(id) => {
                if let Some(transport) = self.transports.get_mut(key) {
                    transport.channels.closed(id);
                }
            }
            Event::ChannelData(message) => {
                let Some(transport) = self.transports.get(key) else {
                    return;
                };
                let channel = transport.channels.of(message.id);
                if let Some(channel) = channel
                    && message.data.len() <= self.config.limits.data_message
                {
                    let (transport, data) = (transport.id, message.data);
                    self.reports.push_back(Report::Data {
                        transport,
                        channel,
                        data,
                    });
                }
            }
            _ => {}
        }
    }

    fn on_connected(&mut self, now: Instant, key: Key<Transport>) {
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        transport.life = Life::Connected;
        let ready = std::mem::take(&mut transport.ready);
        let protocol = transport
            .connection
            .path()
            .map_or(Protocol::Udp, |path| path.protocol);
        let transport = transport.id;
        self.reports.push_back(Report::Connected {
            transport,
            protocol,
        });
        for (consumer, berth) in ready {
            self.bind_consumer(now, consumer, berth);
        }
    }

    fn on_ice(&mut self, now: Instant, key: Key<Transport>, state: IceConnectionState) {
        let until = now + self.config.limits.interrupted_timeout;
        let Some(transport) = self.transports.get_mut(key) else {
            return;
        };
        let id = transport.id;
        match (state, transport.life) {
            (_, Life::Connecting { .. }) => {} // until DTLS is up, too
            (IceConnectionState::New, _) => {}
            (IceConnectionState::Checking, Life::Connected) => {
                transport.life = Life::Restarting { until };
            }
            (IceConnectionState::Checking, Life::Restarting { .. } | Life::Interrupted { .. }) => {}
            (IceConnectionState::Connected | IceConnectionState::Completed, life) => {
                transport.life = Life::Connected;
                if let Life::Interrupted { .. } = life {
                    self.on_connected(now, key);
                }
            }
            (IceConnectionState::Disconnected, Life::Connected | Life::Restarting { .. }) => {
                transport.life = Life::Interrupted { until };
                self.reports
                    .push_back(Report::Interrupted { transport: id });
                // A NAT may see us under another address now.
                self.ask_reflectors(now, key);
            }
            (IceConnectionState::Disconnected, Life::Interrupted { .. }) => {}
        }
    }
}
