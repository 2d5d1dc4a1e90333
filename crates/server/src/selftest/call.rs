//! A call between two peers by way of a worker: one publishes, the other one watches, and between
//! them this is what the owner of the rooms would be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use umbrella_engine::selftest::{Peer, PeerError, PeerEvent, PeerOutput, Witness};
use umbrella_engine::{
    Channel, ConsumerId, Label, Negotiation, ProducerId, Protocol, Report, Request, TransportId,
};
use umbrella_media::{Delivery, Kind};

use super::wire::Wire;
use super::{Between, Hop, Step, text};
use crate::worker::{FromWorker, Link};

/// Packets in a row that show that a track flows.
const ENOUGH: u32 = 24;

/// What is sent, and the time between two packets of audio, or two pictures: the media's own.
const MEDIA: [(Kind, Duration); 2] = [
    (Kind::Audio, Duration::from_millis(10)),
    (Kind::Video, Duration::from_millis(25)),
];

/// How often a key frame is asked for, or what may be lost is sent again: less often than the worker
/// passes requests on.
const AGAIN: Duration = Duration::from_secs(1);

/// A peer is not asked more often than this, whatever it says.
const GRAIN: Duration = Duration::from_millis(1);

/// When a socket that was full is tried again.
const FULL: Duration = Duration::from_millis(5);

/// Data channels that are tried, and bytes of a message: the first is more than one packet.
const CHANNELS: [(Channel, usize); 2] = [(Channel::Reliable, 16_000), (Channel::Lossy, 900)];

/// Who publishes, and who watches.
const PUBLISHER: usize = 0;
const WATCHER: usize = 1;
const NAMES: [&str; 2] = ["the publishing peer", "the watching peer"];

/// One peer.
struct End {
    transport: TransportId,
    peer: Peer,
    wire: Wire,
    /// When it wants to be asked again.
    due: Instant,
    /// Why it does nothing any more: a matter of the next step, to which it was ahead of the other one.
    failure: Option<String>,
    /// By ICE, and by DTLS; and whether the worker agrees.
    found: bool,
    connected: bool,
    agreed: bool,
    /// Data channels that are open at its end, and at the worker's.
    open: Vec<Channel>,
    open_there: Vec<Channel>,
    /// Data channels by which it has got what the other one has sent.
    got: Vec<Channel>,
}

impl End {
    fn can_talk(&self) -> bool {
        let open = |channel| self.open.contains(channel) && self.open_there.contains(channel);
        CHANNELS.iter().all(|(channel, _)| open(channel))
    }
}

/// What has happened.
enum Heard {
    Report(Option<FromWorker>),
    Datagram(usize, std::io::Result<(SocketAddr, Vec<u8>)>),
    Time,
}

pub(super) struct Call<'a> {
    link: &'a mut Link,
    reports: &'a mut mpsc::Receiver<FromWorker>,
    between: Between,
    protocol: Protocol,
    server: SocketAddr,
    ends: [End; 2],
    step: Step,
    producers: Vec<(Kind, ProducerId)>,
    watched: bool,
    /// When the next of each of [`MEDIA`] goes, once they are to.
    media: Option<[Instant; MEDIA.len()]>,
    audio: Witness,
    video: Witness,
    /// When a key frame is to be asked for.
    asking: Option<Instant>,
    /// How often the publisher was asked for one since then.
    asked: u32,
    /// When messages are to be sent.
    talking: Option<Instant>,
    /// Why a datagram could not be sent.
    unsent: Option<String>,
}

impl<'a> Call<'a> {
    /// Opens both ends. `number` is another one for each call through a worker.
    pub(super) async fn open(
        link: &'a mut Link,
        reports: &'a mut mpsc::Receiver<FromWorker>,
        (protocol, server): (Protocol, SocketAddr),
        between: Between,
        number: u64,
    ) -> Result<Call<'a>, String> {
        let publisher = end(protocol, server, 2 * number).await?;
        let watcher = end(protocol, server, 2 * number + 1).await?;
        let mut call = Call {
            link,
            reports,
            between,
            protocol,
            server,
            ends: [publisher, watcher],
            step: Step::Ice,
            producers: Vec::new(),
            watched: false,
            media: None,
            audio: Witness::default(),
            video: Witness::default(),
            asking: None,
            asked: 0,
            talking: None,
            unsent: None,
        };
        call.negotiate()?;
        Ok(call)
    }

    /// As clients of LiveKit do it: who publishes offers, and who watches is offered to.
    fn negotiate(&mut self) -> Result<(), String> {
        let sdp = self.ends[PUBLISHER].peer.offer().map_err(text)?;
        let [publisher, watcher] = [PUBLISHER, WATCHER].map(|end| self.ends[end].transport);
        let open = [
            (publisher, Negotiation::PeerOffers),
            (watcher, Negotiation::WeOffer),
        ];
        for (transport, negotiation) in open {
            self.ask(Request::OpenTransport {
                transport,
                negotiation,
                channels: true,
            });
        }
        self.ask(Request::RemoteOffer {
            transport: publisher,
            offer: 1,
            sdp,
            options: Vec::new(),
        });
        Ok(())
    }

    /// Goes on until a step is done.
    pub(super) async fn go(&mut self, step: Step) -> Result<(), String> {
        let now = Instant::now();
        self.step = step;
        if step != Step::Ice
            && let Some(why) = self.ends.iter_mut().find_map(|end| end.failure.take())
        {
            return Err(why);
        }
        match step {
            Step::Ice => self.until(|call| call.both(|end| end.found)).await,
            Step::Dtls => {
                let up = |end: &End| end.connected && end.agreed;
                self.until(|call| call.both(up)).await
            }
            Step::Audio => {
                self.media = Some([now; MEDIA.len()]);
                self.until(|call| call.audio.in_a_row >= ENOUGH).await
            }
            Step::Video => self.until(|call| call.video.in_a_row >= ENOUGH).await,
            Step::KeyFrame => {
                // The server has asked for the first one by itself.
                self.asked = 0;
                let came = self.video.key_frames;
                self.asking = Some(now);
                let done = |call: &Call<'_>| call.asked > 0 && call.video.key_frames > came;
                self.until(done).await?;
                self.asking = None;
                Ok(())
            }
            Step::Data => {
                self.until(|call| call.both(End::can_talk)).await?;
                self.talking = Some(Instant::now());
                let all = |end: &End| end.got.len() == CHANNELS.len();
                self.until(|call| call.both(all)).await?;
                self.talking = None;
                Ok(())
            }
        }
    }

    /// What there is to say of a step that is done.
    pub(super) fn detail(&self, step: Step) -> String {
        match step {
            Step::Ice | Step::Dtls | Step::KeyFrame => String::new(),
            Step::Audio => format!("{} packets", self.audio.packets),
            Step::Video => format!("{} packets", self.video.packets),
            Step::Data => {
                let bytes = CHANNELS.map(|(_, bytes)| bytes.to_string());
                format!("{} bytes, both ways", bytes.join(" and "))
            }
        }
    }

    /// How far a step has come that took too long.
    pub(super) fn progress(&self, step: Step) -> String {
        let without = |has: fn(&End) -> bool| {
            let ends = NAMES.iter().zip(&self.ends);
            let without = ends.filter(|(_, end)| !has(end)).map(|(name, _)| *name);
            without.collect::<Vec<_>>().join(" and ")
        };
        let unsent = self.unsent.as_deref();
        let unsent = unsent.map_or(String::new(), |why| format!(" (sending fails: {why})"));
        let track = |witness: &Witness| {
            let Witness {
                packets,
                holes,
                in_a_row,
                ..
            } = witness;
            format!(
                "{packets} packets came, {holes} of them out of order or after a hole, the last \
                 {in_a_row} in a row; {ENOUGH} in a row were waited for{unsent}"
            )
        };
        match step {
            Step::Ice => format!(
                "no answer from {} reaches {}{unsent}",
                self.server,
                without(|end| end.found)
            ),
            Step::Dtls => format!(
                "no connection came up for {}{unsent}",
                without(|end| end.connected && end.agreed)
            ),
            Step::Audio => track(&self.audio),
            Step::Video => track(&self.video),
            Step::KeyFrame => match self.asked {
                0 => "nobody asked the publishing peer for a key frame".to_owned(),
                _ => format!("no key frame came; {}", track(&self.video)),
            },
            Step::Data => match self.talking {
                None => format!("no data channels opened for {}", without(End::can_talk)),
                Some(_) => format!(
                    "messages did not reach {}{unsent}",
                    without(|end| end.got.len() == CHANNELS.len())
                ),
            },
        }
    }

    /// What an operator may want to know of a call that has worked.
    pub(super) fn remark(&self) -> Option<String> {
        let holes = self.audio.holes + self.video.holes;
        let all = self.audio.packets + self.video.packets;
        (holes > 0).then(|| {
            format!("{holes} of {all} packets of media came out of order or after a lost one")
        })
    }

    /// Ends it at the worker.
    pub(super) fn close(mut self) {
        for transport in self.ends.each_ref().map(|end| end.transport) {
            self.ask(Request::CloseTransport { transport });
        }
    }

    fn both(&self, is: impl Fn(&End) -> bool) -> bool {
        self.ends.iter().all(is)
    }

    fn ask(&mut self, request: Request) {
        self.link.push(request);
        self.link.flush();
    }

    async fn until(&mut self, done: impl Fn(&Call<'_>) -> bool) -> Result<(), String> {
        loop {
            self.act(Instant::now())?;
            if done(self) {
                return Ok(());
            }
            let due = self.due().into();
            let Self { reports, ends, .. } = self;
            let [publisher, watcher] = ends;
            let heard = tokio::select! {
                report = reports.recv() => Heard::Report(report),
                it = publisher.wire.receive() => Heard::Datagram(PUBLISHER, it),
                it = watcher.wire.receive() => Heard::Datagram(WATCHER, it),
                () = tokio::time::sleep_until(due) => Heard::Time,
            };
            match heard {
                Heard::Report(Some(FromWorker::Report { report, .. })) => self.hear(report)?,
                Heard::Report(Some(FromWorker::Died { .. }) | None) => {
                    return Err("the worker thread has ended".to_owned());
                }
                Heard::Datagram(end, Ok((from, data))) => self.deliver(end, from, &data)?,
                Heard::Datagram(end, Err(error)) => {
                    return Err(format!("{} cannot receive: {error}", NAMES[end]));
                }
                Heard::Time => {}
            }
        }
    }

    fn due(&self) -> Instant {
        let alive = self.ends.iter().filter(|end| end.failure.is_none());
        let peers = alive.map(|end| end.due);
        let full = self.ends.iter().any(|end| end.wire.is_full());
        let full = full.then(|| Instant::now() + FULL);
        let media = self.media.into_iter().flatten();
        let due = peers.chain(full).chain(media);
        let due = due.chain(self.asking).chain(self.talking).min();
        due.unwrap_or_else(Instant::now)
    }

    /// Does what it is time for.
    fn act(&mut self, now: Instant) -> Result<(), String> {
        for end in [PUBLISHER, WATCHER] {
            let wire = &mut self.ends[end].wire;
            let flushed = wire.flush();
            flushed.map_err(|error| format!("{} cannot send: {error}", NAMES[end]))?;
            if self.ends[end].due <= now {
                self.on(end, now, |peer| peer.handle_timeout(now))?;
            }
        }
        if let Some(mut media) = self.media {
            for (at, (kind, every)) in media.iter_mut().zip(MEDIA) {
                if *at <= now {
                    // What should have gone meanwhile does not: nobody is to be flooded.
                    *at = now + every;
                    self.on(PUBLISHER, now, |peer| peer.send_media(kind, now))?;
                }
            }
            self.media = Some(media);
            self.watch();
        }
        if self.asking.is_some_and(|at| at <= now) {
            self.asking = Some(now + AGAIN);
            self.on(WATCHER, now, |peer| {
                peer.request_key_frame();
                peer.handle_timeout(now)
            })?;
        }
        if self.talking.is_some_and(|at| at <= now) {
            self.talking = Some(now + AGAIN);
            self.talk(now)?;
        }
        Ok(())
    }

    /// Subscribes, once there is something to subscribe to.
    fn watch(&mut self) {
        if self.watched || self.producers.len() < 2 {
            return;
        }
        self.watched = true;
        let transport = self.ends[WATCHER].transport;
        for (kind, producer) in self.producers.clone() {
            self.ask(Request::OpenConsumer {
                consumer: ConsumerId(producer.0),
                transport,
                producer,
                home: None,
                label: Label {
                    stream: "selftest".to_owned(),
                    track: format!("{kind:?}"),
                },
                delivery: Delivery::FULL,
            });
        }
    }

    /// Sends what the other one has not got.
    fn talk(&mut self, now: Instant) -> Result<(), String> {
        for (from, to) in [(PUBLISHER, WATCHER), (WATCHER, PUBLISHER)] {
            for (channel, bytes) in CHANNELS {
                if !self.ends[to].got.contains(&channel) {
                    let message = message(from, channel, bytes);
                    self.on(from, now, |peer| {
                        peer.send_data(channel, &message)?;
                        peer.handle_timeout(now)
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Does something with a peer, and carries out what follows; nothing with one that has failed.
    fn on(
        &mut self,
        end: usize,
        now: Instant,
        act: impl FnOnce(&mut Peer) -> Result<(), PeerError>,
    ) -> Result<(), String> {
        if self.ends[end].failure.is_some() {
            return Ok(());
        }
        let done = self.carry_out(end, now, act);
        done.or_else(|why| self.fail(end, why))
    }

    /// A peer has failed, or its end at the server. One that has found the server while the other one
    /// is still looking has not failed at that.
    fn fail(&mut self, end: usize, why: String) -> Result<(), String> {
        if self.step == Step::Ice && self.ends[end].found {
            self.ends[end].failure.get_or_insert(why);
            return Ok(());
        }
        Err(why)
    }

    fn carry_out(
        &mut self,
        end: usize,
        now: Instant,
        act: impl FnOnce(&mut Peer) -> Result<(), PeerError>,
    ) -> Result<(), String> {
        let failed = |error: PeerError| format!("{} fails: {error}", NAMES[end]);
        act(&mut self.ends[end].peer).map_err(failed)?;
        loop {
            match self.ends[end].peer.poll().map_err(failed)? {
                PeerOutput::Transmit { to, data } => self.send(end, to, &data),
                PeerOutput::Event(event) => self.note(end, event)?,
                PeerOutput::Timeout(at) => {
                    self.ends[end].due = at.max(now + GRAIN);
                    return Ok(());
                }
            }
        }
    }

    fn send(&mut self, end: usize, to: SocketAddr, data: &[u8]) {
        let hop = [Hop::FromPublisher, Hop::FromWatcher][end];
        if (self.between.passes)(hop, data)
            && let Err(error) = self.ends[end].wire.send(to, data)
        {
            self.unsent = Some(format!("{to}: {error}"));
        }
    }

    fn deliver(&mut self, end: usize, from: SocketAddr, data: &[u8]) -> Result<(), String> {
        let hop = [Hop::ToPublisher, Hop::ToWatcher][end];
        if !(self.between.passes)(hop, data) {
            return Ok(());
        }
        let now = Instant::now();
        self.on(end, now, |peer| peer.receive(from, data, now))
    }

    fn note(&mut self, end: usize, event: PeerEvent) -> Result<(), String> {
        match event {
            PeerEvent::Found => self.ends[end].found = true,
            PeerEvent::Connected => self.ends[end].connected = true,
            PeerEvent::ChannelOpen(channel) => self.ends[end].open.push(channel),
            PeerEvent::Data(channel, data) => {
                let (_, bytes) = CHANNELS
                    .into_iter()
                    .find(|(known, _)| *known == channel)
                    .ok_or("a message came by a channel that nobody has used")?;
                if data != message(1 - end, channel, bytes) {
                    return Err(format!("a message by {channel:?} is not what was sent"));
                }
                let got = &mut self.ends[end].got;
                got.retain(|known| *known != channel);
                got.push(channel);
            }
            PeerEvent::Media(packet) => {
                let witness = match packet.kind {
                    Kind::Audio => &mut self.audio,
                    Kind::Video => &mut self.video,
                };
                witness.take(&packet);
                if witness.damaged > 0 {
                    let kind = packet.kind;
                    return Err(format!("a packet of {kind:?} is not what was sent"));
                }
            }
            PeerEvent::KeyFrameWanted => self.asked += 1,
            PeerEvent::Closed => return Err(format!("the server has closed {}", NAMES[end])),
        }
        Ok(())
    }

    /// What the owner of the rooms would do.
    fn hear(&mut self, report: Report) -> Result<(), String> {
        match report {
            Report::Answer { transport, sdp, .. } => self.tell(transport, None, &sdp),
            Report::Offer {
                transport,
                offer,
                sdp,
                ..
            } => self.tell(transport, Some(offer), &sdp),
            Report::SectionOpened(section) => {
                let producer = ProducerId(2 * section.transport.0 + self.producers.len() as u64);
                self.producers.push((section.kind, producer));
                self.ask(Request::OpenProducer {
                    producer,
                    transport: section.transport,
                    mid: section.mid,
                });
                Ok(())
            }
            Report::Connected {
                transport,
                protocol,
            } => {
                if protocol != self.protocol {
                    return Err(format!("it is connected over {protocol:?}"));
                }
                self.at(transport, |end| end.agreed = true);
                Ok(())
            }
            Report::ChannelOpen { transport, channel } => {
                self.at(transport, |end| end.open_there.push(channel));
                Ok(())
            }
            Report::Data {
                transport,
                channel,
                data,
            } => {
                self.pass_on(transport, channel, data.into());
                Ok(())
            }
            Report::Refused { transport, reason } | Report::Closed { transport, reason } => {
                // Those of an earlier call are of no concern.
                match self.index(transport) {
                    Some(end) => {
                        self.fail(end, format!("the server gives {} up: {reason}", NAMES[end]))
                    }
                    None => Ok(()),
                }
            }
            Report::ConsumerFailed { error, .. } => {
                Err(format!("the server cannot forward: {error:?}"))
            }
            Report::TrunkParameters { .. }
            | Report::Candidate { .. }
            | Report::SeenAs { .. }
            | Report::SectionsWanted { .. }
            | Report::SectionClosed { .. }
            | Report::Interrupted { .. }
            | Report::ProducerCodec { .. }
            | Report::KeyFrameWanted { .. }
            | Report::ConsumerStarted { .. }
            | Report::ConsumerStarved { .. }
            | Report::AudioLevels(_)
            | Report::Statistics(_)
            | Report::Totals(_) => Ok(()),
        }
    }

    /// Brings a peer a description: an answer, or an offer with its number.
    fn tell(
        &mut self,
        transport: TransportId,
        offer: Option<u32>,
        sdp: &str,
    ) -> Result<(), String> {
        let Some(end) = self.index(transport) else {
            return Ok(());
        };
        let (now, sdp) = (Instant::now(), (self.between.description)(sdp));
        let mut answer = None;
        self.on(end, now, |peer| {
            match offer {
                None => peer.take_answer(&sdp)?,
                Some(_) => answer = Some(peer.answer(&sdp)?),
            }
            peer.handle_timeout(now)
        })?;
        if let (Some(offer), Some(sdp)) = (offer, answer) {
            self.ask(Request::RemoteAnswer {
                transport,
                offer,
                sdp,
            });
        }
        Ok(())
    }

    fn pass_on(&mut self, from: TransportId, channel: Channel, data: Arc<[u8]>) {
        if let Some(end) = self.index(from) {
            let transport = self.ends[1 - end].transport;
            self.ask(Request::SendData {
                transport,
                channel,
                data,
            });
        }
    }

    fn index(&self, transport: TransportId) -> Option<usize> {
        self.ends.iter().position(|end| end.transport == transport)
    }

    fn at(&mut self, transport: TransportId, change: impl FnOnce(&mut End)) {
        if let Some(end) = self.index(transport) {
            change(&mut self.ends[end]);
        }
    }
}

async fn end(protocol: Protocol, server: SocketAddr, number: u64) -> Result<End, String> {
    let wire = Wire::open(protocol, server).await;
    let wire = wire.map_err(|error| format!("cannot connect to {server}: {error}"))?;
    let address = wire.address().map_err(text)?;
    let now = Instant::now();
    Ok(End {
        transport: TransportId(number + 1),
        peer: Peer::new(protocol, address, now).map_err(text)?,
        wire,
        due: now,
        failure: None,
        found: false,
        connected: false,
        agreed: false,
        open: Vec::new(),
        open_there: Vec::new(),
        got: Vec::new(),
    })
}

/// What a peer says by a channel.
fn message(from: usize, channel: Channel, bytes: usize) -> Vec<u8> {
    let channel = match channel {
        Channel::Reliable => 1,
        Channel::Lossy => 2,
        Channel::DataTrack => 3,
    };
    let seed = 7 * from + channel;
    (0..bytes)
        .map(|at| (at * 31 + at / 251 + seed) as u8)
        .collect()
}
