//! What goes into a worker and what comes out of it.

mod statistics;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use umbrella_media::{Codec, Delivery, GopLimits, HistoryLimits, Kind, Spatial};

use crate::source::{SourceOptions, SourcePacket};
use crate::totals::Totals;
use crate::worker::Relay;

pub use statistics::{
    ConsumerStatistics, EncodingStatistics, ProducerStatistics, Statistics, Traffic,
    TransportStatistics,
};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id!(
    /// One WebRTC peer connection. Chosen by the owner of the worker, never used twice.
    TransportId
);
id!(
    /// One published track on its transport. Chosen by the owner, never used twice.
    ProducerId
);
id!(
    /// One track on its way to one subscriber. Chosen by the owner, never used twice.
    ConsumerId
);

/// How a datagram or an RFC 4571 frame travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Plain UDP.
    Udp,
    /// ICE-TCP: the peer connected to us (we are passive), or, from [`ACTIVE_TCP_PORT`], we to it.
    Tcp,
}

/// The port of our address on paths over TCP for which a connection is to be made (RFC 6544
/// section 4.5: what port it really has is known only then, and tells nobody anything). Only the
/// end of a trunk that dials sends there, [`Negotiation::Trunk`]; what comes over such a connection
/// is to be handed in with that very path.
pub const ACTIVE_TCP_PORT: u16 = 9;

/// Over which transport protocol, from our address to the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path {
    /// UDP or TCP.
    pub protocol: Protocol,
    /// Our address: the [`LocalAddress::base`] at which it arrives or from which it leaves. Of an
    /// incoming datagram, [`LocalAddress::advertised`] is understood as well.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
}

/// An address at which peers reach this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LocalAddress {
    /// UDP or TCP.
    pub protocol: Protocol,
    /// The address that is written into SDP.
    pub advertised: SocketAddr,
    /// The address of the interface at which it arrives; differs from `advertised` behind 1:1 NAT.
    pub base: SocketAddr,
}

/// What enters a worker.
#[derive(Debug)]
pub enum Input<'a> {
    /// One datagram, or one frame from an ICE-TCP connection.
    Datagram {
        /// How it came.
        path: Path,
        /// Its bytes, from anybody: hostile until proven otherwise.
        data: &'a [u8],
        /// When it arrived, not after the `now` of the call. Publishers estimate their bandwidth by
        /// what we tell them of this, so it must not be blurred by the batch that it was read in.
        arrived: Instant,
    },
    /// An order of the owner.
    Request(Request),
    /// Something that another worker of the same owner has to say.
    Relay {
        /// Which worker, by the owner's numbers.
        from: usize,
        /// What [`Worker::poll_relay`](crate::Worker::poll_relay) has given there.
        relay: Relay,
    },
    /// A deadline has passed.
    Timeout,
}

/// What a worker says between two inputs.
#[derive(Debug)]
pub enum Output {
    /// Something that the owner wants to know.
    Report(Report),
    /// There is enough to be sent to make a batch of it, and there may be more: send
    /// [`Worker::transmits`](crate::Worker::transmits) and go on polling.
    Transmit,
    /// Nothing more for now: send what is left of [`Worker::transmits`](crate::Worker::transmits),
    /// and come back at this time, or with the next input.
    Timeout(Instant),
}

/// Datagrams for one path, back to back, so that one system call can send them all
/// (`UDP_SEGMENT`).
#[derive(Debug, Clone, Copy)]
pub struct Transmit<'a> {
    /// How they go.
    pub path: Path,
    /// The datagrams. Over TCP it is always one, which still needs its RFC 4571 length.
    pub data: &'a [u8],
    /// Bytes of each datagram; only the last may be shorter.
    pub segment: usize,
}

impl<'a> Transmit<'a> {
    /// The datagrams one by one.
    pub fn datagrams(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.data.chunks(self.segment.max(1))
    }
}

/// Who writes the session descriptions of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Negotiation {
    /// The peer offers. Consumers use receive-only sections that the peer has offered; where
    /// there are too few, [`Report::SectionsWanted`] asks for more.
    PeerOffers,
    /// We offer, and open the data channels.
    WeOffer,
    /// Nobody: the other end is a server like this one, and all that is to be agreed on is fixed.
    /// Both ends say how they are reached by [`Report::TrunkParameters`]. It has no data channels
    /// and no sections, but feeds ([`Request::ConnectFeed`]) and branches
    /// ([`Request::OpenBranch`]). One worker should have one such connection to one other server
    /// at a time: a new one to the same address is not heard while the old one lives.
    Trunk {
        /// This end looks for the other one, which must be reachable. It believes the addresses
        /// that the other end tells, so that must be a server that the operator has chosen.
        dials: bool,
        /// A third server has brought the two together, and neither may be reachable from outside:
        /// both look for each other, as NATs let in only what comes from where they have sent to.
        /// So both believe a few of the addresses that the other end tells, and both can be told of
        /// reflectors, [`Request::Reflect`]. One that has not come up after 18 seconds is closed.
        introduced: bool,
    },
}

/// How one end of a trunk is reached, and known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkParameters {
    /// ICE user name, RFC 8839 section 5.4.
    pub ufrag: String,
    /// ICE password.
    pub password: String,
    /// Of its DTLS certificate: `sha-256 AA:BB:…`.
    pub fingerprint: String,
    /// `candidate:…`, RFC 8839 section 5.1, the best first. Of those of the end that is dialled a
    /// few are used, of the other end none; of introduced ends a few of both.
    /// [`Report::Candidate`] may add to them.
    pub candidates: Vec<String>,
}

/// Where the media of a feed come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedSource {
    /// A trunk of the same worker.
    pub transport: TransportId,
    /// What is expected, one stream for each encoding.
    pub streams: Vec<FeedStream>,
}

/// One encoding of a feed on its trunk. The receiver chooses the SSRCs: no two streams of a trunk
/// may have the same in one direction, and 0 is none. They may be used again when the stream has
/// ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedStream {
    /// Of simulcast which encoding; without simulcast, and for audio, [`Spatial::LOW`].
    pub encoding: Spatial,
    /// Of the media.
    pub ssrc: u32,
    /// Of the resends (RFC 4588). Video without it is not sent again; audio is never sent under it.
    pub repair_ssrc: Option<u32>,
}

/// A stream that is sent over a trunk, as the far end has chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BranchStream {
    /// Of the media.
    pub ssrc: u32,
    /// Of the resends (RFC 4588).
    pub repair_ssrc: Option<u32>,
}

/// An order of the owner. Orders for ids that are unknown or closed are ignored: the owner
/// learns of a closed transport later than the worker does.
#[derive(Debug)]
pub enum Request {
    /// Makes a peer connection.
    OpenTransport {
        /// Its name from now on.
        transport: TransportId,
        /// Who offers.
        negotiation: Negotiation,
        /// Whether data channels are wanted on an offering transport.
        channels: bool,
    },
    /// The peer's offer; answered by [`Report::Answer`] or [`Report::Refused`].
    RemoteOffer {
        /// For which peer connection.
        transport: TransportId,
        /// The peer's number of this offer, echoed in the answer.
        offer: u32,
        /// The text.
        sdp: String,
        /// How the peer has asked to send its new tracks.
        options: Vec<PublishOptions>,
    },
    /// The peer's answer to [`Report::Offer`].
    RemoteAnswer {
        /// For which peer connection.
        transport: TransportId,
        /// The number of the offer that is answered.
        offer: u32,
        /// The text.
        sdp: String,
    },
    /// How the other end of a trunk is reached, which can be said once. What cannot be used is
    /// answered by [`Report::Refused`].
    TrunkParameters {
        /// For which peer connection.
        transport: TransportId,
        /// What the other end says.
        parameters: TrunkParameters,
    },
    /// A trickled candidate (`candidate:…`). One that does not parse is ignored: browsers hide
    /// addresses behind `.local` names, and are then found by their peer-reflexive candidate. That
    /// of a trunk is of use only after [`Request::TrunkParameters`].
    RemoteCandidate {
        /// For which peer connection.
        transport: TransportId,
        /// The candidate attribute's text.
        candidate: String,
    },
    /// Some who can tell how an introduced end of a trunk is seen from outside: the UDP media
    /// addresses of other servers like this one, or any STUN server (RFC 8489). The first four that
    /// are named for a transport are asked, now and whenever it is interrupted. What they say comes
    /// as [`Report::Candidate`]; who does not answer is given up after 7.5 seconds.
    Reflect {
        /// For which peer connection.
        transport: TransportId,
        /// Who is asked.
        reflectors: Vec<SocketAddr>,
    },
    /// How does somebody outside see this worker? Asked from its UDP socket, by STUN (RFC 8489), and
    /// answered by [`Report::SeenAs`] after 7.5 seconds at the latest. Unless 16 such questions are
    /// open: more are not asked.
    LookOutside {
        /// From which of this machine's addresses, with the worker's port.
        local: SocketAddr,
        /// Who is asked: another server like this one at its media address, or any STUN server.
        reflector: SocketAddr,
    },
    /// From now on peers reach this worker at these addresses. Peer connections that exist go on
    /// with those that they began with.
    Advertise(Vec<LocalAddress>),
    /// The peer has lost its network, and perhaps our last offer: repeat that if its answer has
    /// not come, and offer again with new ICE credentials (only with [`Negotiation::WeOffer`]).
    RestartIce {
        /// Which peer connection.
        transport: TransportId,
    },
    /// Ends a peer connection with everything on it. Not reported back.
    CloseTransport {
        /// Which peer connection.
        transport: TransportId,
    },
    /// Turns a section announced by [`Report::SectionOpened`] into a producer.
    OpenProducer {
        /// Its name from now on.
        producer: ProducerId,
        /// On which peer connection.
        transport: TransportId,
        /// The section's `mid`.
        mid: String,
    },
    /// Makes a producer whose media come over trunks. It has no source yet, but it may have
    /// consumers.
    OpenFeed {
        /// Its name from now on.
        producer: ProducerId,
        /// Audio or video.
        kind: Kind,
        /// Its Opus has two channels.
        stereo: bool,
        /// For pictures whose key frames are rare and come when they like, as those of cameras: who
        /// begins to watch is sent what has come since the last one.
        cache: Option<GopLimits>,
    },
    /// Makes a producer whose packets its owner hands in. It is announced by
    /// [`Report::ProducerCodec`] at once.
    OpenSource {
        /// Its name from now on.
        producer: ProducerId,
        /// What it is.
        options: SourceOptions,
    },
    /// Media of a source, in the order of their sending. Packets that cannot be used (no payload,
    /// more than [`SourcePacket::LARGEST`], an encoding that was not announced) are left out and
    /// counted, [`ProducerStatistics::refused`].
    SourcePackets {
        /// Of which source.
        producer: ProducerId,
        /// An access unit, or a few. One that is cut is forwarded as it comes.
        packets: Vec<SourcePacket>,
    },
    /// What comes next of one encoding of a source does not go on where it was: the camera has
    /// connected anew, or its picture is another one. Its subscribers wait for a key frame, and
    /// their numbers and times go on.
    SourceRestart {
        /// Which source.
        producer: ProducerId,
        /// Which encoding.
        encoding: Spatial,
    },
    /// Connects a feed, changes its streams, moves it to another trunk, or takes its source away.
    /// Streams that stay as they are go on undisturbed. What its consumers see of a move is what
    /// they see when an encoder begins anew. If the source cannot be used nothing changes, and
    /// [`Report::Refused`] says why. When a trunk ends, its feeds are left without a source.
    ConnectFeed {
        /// Which feed.
        producer: ProducerId,
        /// Where its media come from now.
        source: Option<FeedSource>,
    },
    /// Ends a producer and all its consumers; its section may be used again.
    CloseProducer {
        /// Which producer.
        producer: ProducerId,
    },
    /// While paused, what arrives is dropped: a muted track, or one muted by a moderator.
    PauseProducer {
        /// Which producer.
        producer: ProducerId,
        /// Paused or running.
        paused: bool,
    },
    /// While quiet, what arrives is measured and not forwarded: others are louder.
    QuietProducer {
        /// Which producer.
        producer: ProducerId,
        /// Quiet or heard.
        quiet: bool,
    },
    /// Sends a producer to a subscriber, who lives on this worker.
    OpenConsumer {
        /// Its name from now on.
        consumer: ConsumerId,
        /// To which peer connection.
        transport: TransportId,
        /// What is sent.
        producer: ProducerId,
        /// The worker that the producer lives on, if it is another one, by the owner's numbers.
        home: Option<usize>,
        /// How the peer will see it.
        label: Label,
        /// How much of it at first.
        delivery: Delivery,
    },
    /// Sends a producer over a trunk to another server, which has chosen the SSRCs. From then on
    /// it is a consumer, but with `layer.spatial` equal to `floor` it sends that encoding and no
    /// other one, even at [`Spatial::LOW`].
    OpenBranch {
        /// Its name from now on.
        consumer: ConsumerId,
        /// Over which trunk.
        transport: TransportId,
        /// What is sent.
        producer: ProducerId,
        /// The worker that the producer lives on, if it is another one, by the owner's numbers.
        home: Option<usize>,
        /// As what.
        stream: BranchStream,
        /// How much of it at first.
        delivery: Delivery,
    },
    /// Changes how much of a producer a subscriber gets.
    ConfigureConsumer {
        /// Which consumer.
        consumer: ConsumerId,
        /// How much of it from now on.
        delivery: Delivery,
    },
    /// Ends a consumer; its section may be used again.
    CloseConsumer {
        /// Which consumer.
        consumer: ConsumerId,
    },
    /// Sends a data message.
    SendData {
        /// To which peer connection.
        transport: TransportId,
        /// On which channel.
        channel: Channel,
        /// The whole message.
        data: Arc<[u8]>,
    },
    /// Asks for one [`Report::Statistics`].
    Statistics,
    /// Asks for one [`Report::Totals`].
    Totals,
}

/// A section of a description in which the peer sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSection {
    /// Of which peer connection.
    pub transport: TransportId,
    /// Its `mid`.
    pub mid: String,
    /// Audio or video.
    pub kind: Kind,
    /// The track id of its `a=msid`, empty if there is none.
    pub track: String,
    /// The codecs that were agreed, the peer's favourite first.
    pub codecs: Vec<Codec>,
}

/// The names of a consumer in the peer's SDP: `a=msid:STREAM TRACK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The media stream; tracks with the same one are played in sync.
    pub stream: String,
    /// The track.
    pub track: String,
}

/// How a peer has asked to send a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishOptions {
    /// The track id in `a=msid`. Peers that make up other ids there (Firefox) are found by the
    /// kind, in the order of their sections.
    pub track: String,
    /// Audio or video.
    pub kind: Kind,
    /// With which codec; peers send with what the answer lists first.
    pub codec: Option<Codec>,
    /// Opus: whether it may stop while nobody speaks.
    pub dtx: bool,
}

/// The data channels of a peer connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channel {
    /// `_reliable`: ordered, resent until it arrives.
    Reliable,
    /// `_lossy`: unordered, sent once.
    Lossy,
    /// `_data_track`: unordered, sent once, framed by the clients among themselves.
    DataTrack,
}

/// What a worker tells its owner.
#[derive(Debug)]
pub enum Report {
    /// The answer to [`Request::RemoteOffer`].
    Answer {
        /// Of which peer connection.
        transport: TransportId,
        /// The number of the offer.
        offer: u32,
        /// The text.
        sdp: String,
        /// Every section that carries one of our consumers.
        sections: Vec<Section>,
    },
    /// Our offer; [`Request::RemoteAnswer`] is expected.
    Offer {
        /// Of which peer connection.
        transport: TransportId,
        /// Our number of it, counted from 1.
        offer: u32,
        /// The text.
        sdp: String,
        /// Every section that carries one of our consumers.
        sections: Vec<Section>,
    },
    /// How this end of a trunk is reached; once, when it was opened.
    TrunkParameters {
        /// Which peer connection.
        transport: TransportId,
        /// To be brought to the other end.
        parameters: TrunkParameters,
    },
    /// A further address under which this end of a trunk may be reached: its NAT's
    /// ([`Request::Reflect`]).
    Candidate {
        /// Which peer connection.
        transport: TransportId,
        /// `candidate:…`, to be brought to the other end as [`Request::RemoteCandidate`].
        candidate: String,
    },
    /// The answer to [`Request::LookOutside`].
    SeenAs {
        /// From where it was asked.
        local: SocketAddr,
        /// Who was asked.
        reflector: SocketAddr,
        /// As what that one sees us; `None` if it has not answered.
        seen_as: Option<SocketAddr>,
    },
    /// A session description, or what was said about a trunk, could not be used. The peer
    /// connection goes on as it was.
    Refused {
        /// Of which peer connection.
        transport: TransportId,
        /// Why, in words for the peer and the operator.
        reason: String,
    },
    /// The peer should offer again, with that many more receive-only sections; 0 and 0 mean
    /// that the present ones are enough.
    SectionsWanted {
        /// Of which peer connection.
        transport: TransportId,
        /// More sections for audio.
        audio: u32,
        /// More sections for video.
        video: u32,
    },
    /// The peer sends in a section that has no producer yet.
    SectionOpened(OpenSection),
    /// The peer no longer sends in a section; its producer, if any, was closed.
    SectionClosed {
        /// Of which peer connection.
        transport: TransportId,
        /// The section's `mid`.
        mid: String,
        /// What was closed with it.
        producer: Option<ProducerId>,
    },
    /// ICE and DTLS are up (for the first time, or again).
    Connected {
        /// Which peer connection.
        transport: TransportId,
        /// Over which path.
        protocol: Protocol,
    },
    /// ICE has lost the peer; it may come back.
    Interrupted {
        /// Which peer connection.
        transport: TransportId,
    },
    /// The peer connection has ended by itself; the owner need not close it.
    Closed {
        /// Which peer connection.
        transport: TransportId,
        /// Why, in words for the peer and the operator.
        reason: String,
    },
    /// The first media packet of a producer, and any change of its codec.
    ProducerCodec {
        /// Which producer.
        producer: ProducerId,
        /// What it sends.
        codec: Codec,
    },
    /// Somebody waits for a key frame of a source, or has lost the picture. Who can have its
    /// encoder make one may do so; cameras usually cannot be asked, and then nothing is lost.
    KeyFrameWanted {
        /// Of which source.
        producer: ProducerId,
        /// Of which encoding.
        encoding: Spatial,
    },
    /// A consumer's first packet is on its way.
    ConsumerStarted {
        /// Which consumer.
        consumer: ConsumerId,
    },
    /// The path of a subscriber does not carry even the least of a track, or does so again.
    ConsumerStarved {
        /// Which consumer.
        consumer: ConsumerId,
        /// Whether nothing is sent.
        starved: bool,
    },
    /// A consumer cannot work; it is closed.
    ConsumerFailed {
        /// Which consumer.
        consumer: ConsumerId,
        /// Why.
        error: ConsumerError,
    },
    /// A data message.
    Data {
        /// From which peer connection.
        transport: TransportId,
        /// On which channel.
        channel: Channel,
        /// The whole message, at most [`Limits::data_message`] bytes.
        data: Vec<u8>,
    },
    /// A data channel is open for sending.
    ChannelOpen {
        /// On which peer connection.
        transport: TransportId,
        /// Which channel.
        channel: Channel,
    },
    /// How loud the producers are that were heard in the last [`Limits::level_interval`].
    AudioLevels(Vec<Loudness>),
    /// The answer to [`Request::Statistics`].
    Statistics(Box<Statistics>),
    /// The answer to [`Request::Totals`].
    Totals(Box<Totals>),
}

/// A section of a session description that carries a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The section's `mid`.
    pub mid: String,
    /// [`Label::track`].
    pub track: String,
}

/// Why a consumer does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumerError {
    /// The subscriber cannot decode what the publisher sends.
    CodecUnsupported(Codec),
    /// More sections than [`Limits::sections`] would be needed.
    TooManySections,
    /// The subscriber has declined the section that was offered to it.
    SectionDeclined,
    /// It is no trunk, or an SSRC is 0 or in use on this trunk.
    StreamRefused,
}

/// The loudness of one producer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loudness {
    /// Who.
    pub producer: ProducerId,
    /// Mean level over the interval in -dBov, 0 (loud) to 127 (silent).
    pub level: u8,
    /// Share of the interval's packets that the encoder called voice, 0 to 1.
    pub voice: f32,
}

/// Bounds on what a peer can make a worker do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Media sections per peer connection.
    pub sections: usize,
    /// Bytes of one session description.
    pub sdp: usize,
    /// Bytes of one data message.
    pub data_message: usize,
    /// Bytes that may wait in the data channels of one connection. A peer that lets more than this
    /// pile up does not read.
    pub channel_buffer: usize,
    /// What is kept of every encoding, to be sent again.
    pub history: HistoryLimits,
    /// Peer connections per worker.
    pub transports: usize,
    /// At most one key frame request per encoding in this time.
    pub key_frame_interval: Duration,
    /// How often [`Report::AudioLevels`] comes while somebody is heard.
    pub level_interval: Duration,
    /// A peer connection that has not come up after this time is closed.
    pub connect_timeout: Duration,
    /// A peer connection that ICE has lost is closed after this time.
    pub interrupted_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            sections: 512,
            sdp: 512 * 1024,
            data_message: 64 * 1024,
            channel_buffer: 4 * 1024 * 1024,
            history: HistoryLimits::default(),
            transports: 4096,
            key_frame_interval: Duration::from_millis(500),
            level_interval: Duration::from_millis(200),
            connect_timeout: Duration::from_secs(30),
            interrupted_timeout: Duration::from_secs(30),
        }
    }
}
