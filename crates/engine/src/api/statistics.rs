//! Figures that a worker tells when it is asked.

use std::time::Duration;

use umbrella_media::{Codec, Delivery, Kind, Layer, Spatial};

use super::{ConsumerId, Path, ProducerId, TransportId};

/// Figures of one worker.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    /// Datagrams received and sent since the start.
    pub datagrams: (u64, u64),
    /// Bytes received and sent since the start.
    pub bytes: (u64, u64),
    /// Datagrams that belonged to nobody or did not parse.
    pub strays: u64,
    /// Every peer connection.
    pub transports: Vec<TransportStatistics>,
    /// Every producer.
    pub producers: Vec<ProducerStatistics>,
    /// Every consumer.
    pub consumers: Vec<ConsumerStatistics>,
}

/// Figures of one peer connection.
#[derive(Debug, Clone)]
pub struct TransportStatistics {
    /// Which one.
    pub transport: TransportId,
    /// Whether ICE and DTLS are up.
    pub connected: bool,
    /// The path in use.
    pub path: Option<Path>,
    /// Round-trip time as measured by receiver reports.
    pub rtt: Option<Duration>,
    /// What the path to the peer carries in bits per second, once its feedback has told.
    pub bandwidth: Option<u64>,
    /// Everything that has come from the peer since the start.
    pub received: Traffic,
    /// Everything that has gone to it since the start.
    pub sent: Traffic,
}

/// Datagrams, or frames over TCP, of all sorts: media, resends, reports, checks, data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many.
    pub datagrams: u64,
    /// Their bytes, without what UDP, TCP and IP add.
    pub bytes: u64,
}

impl Traffic {
    pub(crate) fn count(&mut self, bytes: usize) {
        self.datagrams += 1;
        self.bytes += bytes as u64;
    }
}

/// Figures of one producer.
#[derive(Debug, Clone)]
pub struct ProducerStatistics {
    /// Which one.
    pub producer: ProducerId,
    /// From which peer connection; `None` for one that has just ended, for a feed that is not
    /// connected, and for a source.
    pub transport: Option<TransportId>,
    /// Audio or video.
    pub kind: Kind,
    /// Bytes that its GOP cache holds, with what packets themselves take; 0 without one.
    pub cached: usize,
    /// Packets of a source that could not be used.
    pub refused: u64,
    /// Whether what arrives is dropped: a muted track.
    pub paused: bool,
    /// What it sends, once known.
    pub codec: Option<Codec>,
    /// Per encoding, lowest first.
    pub encodings: Vec<EncodingStatistics>,
}

/// Figures of one encoding of a producer, since its start.
#[derive(Debug, Clone, Default)]
pub struct EncodingStatistics {
    /// RTP packets received.
    pub packets: u64,
    /// Payload bytes received.
    pub bytes: u64,
    /// Packets that never came, resends included. Of `packets + lost` that were sent; it falls
    /// when one comes late.
    pub lost: u64,
    /// Key frame requests sent to the publisher.
    pub key_frame_requests: u64,
    /// Bits per second over the last seconds.
    pub bitrate: u64,
}

/// Figures of one consumer, since its start.
#[derive(Debug, Clone)]
pub struct ConsumerStatistics {
    /// Which one.
    pub consumer: ConsumerId,
    /// To which peer connection; `None` for one that has just ended.
    pub transport: Option<TransportId>,
    /// Of what; `None` for one that has just ended.
    pub producer: Option<ProducerId>,
    /// Audio or video.
    pub kind: Kind,
    /// RTP packets sent, resends not counted.
    pub packets: u64,
    /// Payload bytes sent, resends not counted.
    pub bytes: u64,
    /// Packets sent again.
    pub resent: u64,
    /// Packets lost on the way, as all receiver reports together say; what was sent again and
    /// arrived does not count, as far as the receiver knows. What the publisher's network has lost
    /// for good is missing here too: its numbers are left out.
    pub lost: u64,
    /// Fraction lost in the last receiver report, 0 to 1, with what the publisher's network lost.
    pub loss: f32,
    /// Jitter, as the last receiver report says.
    pub jitter: Option<Duration>,
    /// How much of it the subscriber wants.
    pub wanted: Delivery,
    /// The best spatial layer that the publisher sends and that is not above the wanted one;
    /// `None` while nothing arrives. Whoever gets this gets all that can be had.
    pub possible: Option<Spatial>,
    /// Nothing is sent because the path does not carry it.
    pub starved: bool,
    /// The layer that is being sent.
    pub layer: Option<Layer>,
    /// Bits per second over the last seconds.
    pub bitrate: u64,
}
