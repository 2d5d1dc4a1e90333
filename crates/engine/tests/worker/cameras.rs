//! Cameras whose key frames are rare, and those who begin to watch them between two.

mod apart;
mod films;

use std::sync::Arc;
use std::time::{Duration, Instant};

use umbrella_engine::{ConsumerId, ProducerId, Report, Request, SourceOptions, SourcePacket};
use umbrella_media::{Codec, Delivery, GopLimits, Kind, Layer, Spatial};

use super::network::{Network, Track};
use super::peer::Got;
use super::{SECOND, assert_seamless, since};

/// How often the cameras are looked at.
const TICK: Duration = Duration::from_millis(1);
/// Bytes of a payload.
const PAYLOAD: usize = 1000;

/// A camera, as whoever reads its RTSP sees it.
pub(crate) struct Camera {
    pub(crate) producer: ProducerId,
    encodings: Vec<Film>,
}

/// One encoding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Film {
    /// Frames from one key frame to the next.
    pub(crate) group: u32,
    /// Packets of a key frame, and of any other.
    pub(crate) packets: (usize, usize),
    pub(crate) every: Duration,
    pub(crate) frame: u32,
    pub(crate) timestamp: u32,
    due: Instant,
}

impl Film {
    /// 25 frames a second, a key frame of 100 kB every ten seconds, 600 kbit/s otherwise.
    pub(crate) fn usual(net: &Network) -> Film {
        Film {
            group: 250,
            packets: (100, 3),
            every: Duration::from_millis(40),
            frame: 0,
            timestamp: 4_000_000_000,
            due: net.now,
        }
    }

    fn picture(&mut self, now: Instant, encoding: Spatial) -> Vec<SourcePacket> {
        let key = self.frame.is_multiple_of(self.group);
        let count = if key { self.packets.0 } else { self.packets.1 };
        let (frame, timestamp) = (self.frame, self.timestamp);
        self.frame += 1;
        let ticks = self.every.as_micros() as u32 * 9 / 100;
        self.timestamp = timestamp.wrapping_add(ticks);
        self.due += self.every;
        let packet = |index: usize| SourcePacket {
            encoding,
            timestamp,
            capture: now,
            marker: index + 1 == count,
            payload: payload(encoding, frame, (index, key)),
        };
        (0..count).map(packet).collect()
    }
}

/// H.264 (RFC 6184): parameters before a key frame, and a slice in fragments.
fn payload(encoding: Spatial, frame: u32, (index, key): (usize, bool)) -> Arc<[u8]> {
    let mut payload = match (index, key) {
        (0, true) => vec![
            24, 0, 9, 0x67, 0x42, 0xc0, 0x1f, 0xda, 0x01, 0x40, 0x16, 0xe9, 0, 4, 0x68, 0xce, 0x38,
            0x80, 0, 6, 6,
        ],
        (1, true) => vec![0x7c, 0x85, 0xb8],
        (_, true) => vec![0x7c, 0x05, 0xb8],
        (0, false) => vec![0x5c, 0x81, 0x9a],
        (_, false) => vec![0x5c, 0x01, 0x9a],
    };
    if (index, key) != (0, true) {
        payload.resize(PAYLOAD - 5, 0x11);
    }
    payload.push(encoding.index() as u8);
    payload.extend(frame.to_be_bytes());
    payload.into()
}

impl Camera {
    pub(crate) fn open(net: &mut Network, films: Vec<Film>, cache: GopLimits) -> Camera {
        let producer = ProducerId(net.id());
        let options = SourceOptions {
            codec: Codec::H264,
            encodings: films.len(),
            stereo: false,
            cache,
        };
        net.request(Request::OpenSource { producer, options });
        Camera {
            producer,
            encodings: films,
        }
    }

    /// Hands in what is due.
    pub(crate) fn film(&mut self, net: &mut Network) {
        let producer = self.producer;
        for (index, film) in self.encodings.iter_mut().enumerate() {
            let encoding = Spatial::new(index as u8).unwrap();
            while film.due <= net.now {
                let packets = film.picture(net.now, encoding);
                net.request(Request::SourcePackets { producer, packets });
            }
        }
    }

    pub(crate) fn track(&self) -> Track {
        Track {
            peer: 0,
            mid: String::new(),
            kind: Kind::Video,
            name: String::new(),
            codecs: Vec::new(),
            producer: self.producer,
            home: None,
        }
    }

    pub(crate) fn film_mut(&mut self, encoding: usize) -> &mut Film {
        &mut self.encodings[encoding]
    }
}

/// A worker, and a camera.
struct Street {
    net: Network,
    camera: Camera,
}

impl Street {
    fn new(seed: u64) -> Street {
        Street::with(seed, GopLimits::default(), |_| {})
    }

    fn with(seed: u64, cache: GopLimits, change: impl Fn(&mut Film)) -> Street {
        let mut net = Network::new(seed);
        let mut film = Film::usual(&net);
        change(&mut film);
        let camera = Camera::open(&mut net, vec![film], cache);
        Street { net, camera }
    }

    fn until(&mut self, limit: Duration, done: impl Fn(&Network) -> bool) -> bool {
        let end = self.net.now + limit;
        while !done(&self.net) {
            if self.net.now >= end {
                return false;
            }
            self.camera.film(&mut self.net);
            self.net.run(TICK);
        }
        true
    }

    fn run(&mut self, time: Duration) {
        self.until(time, |_| false);
    }

    /// Viewers who are connected and watch nothing yet.
    fn viewers(&mut self, count: usize) -> Vec<usize> {
        let viewers: Vec<usize> = (0..count).map(|_| self.net.join(&[], 1, 1)).collect();
        let all = |net: &Network| net.peers.iter().all(|peer| peer.connected);
        assert!(self.until(5 * SECOND, all), "somebody does not connect");
        viewers
    }

    fn watch(&mut self, viewer: usize) -> ConsumerId {
        let track = self.camera.track();
        self.net.consume(viewer, &track, Delivery::FULL)
    }

    /// How long it takes until a viewer has a whole key frame.
    fn first_picture(&mut self, viewer: usize) -> Duration {
        let began = self.net.now;
        self.watch(viewer);
        let packets = self.camera.film_mut(0).packets.0;
        let shown = |net: &Network| key_packets(&since(&net.peers[viewer], began)) >= packets;
        assert!(self.until(11 * SECOND, shown), "no picture at all");
        self.net.now - began
    }

    /// Waits until a viewer has the newest picture.
    fn catch_up(&mut self, viewer: usize) -> Duration {
        let began = self.net.now;
        for _ in 0..3000 {
            let newest = self.camera.film_mut(0).frame.saturating_sub(2);
            let got = self.net.peers[viewer].got.last();
            if got.is_some_and(|got| got.stamp().1 >= newest) {
                return self.net.now - began;
            }
            self.run(TICK);
        }
        panic!("the viewer stays behind");
    }
}

fn is_key(got: &Got) -> bool {
    got.payload[0] == 24 || got.payload[0] == 0x7c
}

fn key_packets(got: &[Got]) -> usize {
    got.iter().filter(|got| is_key(got)).count()
}

/// The frames that have come, each once, in the order of their packets.
fn frames(got: &[Got]) -> Vec<u32> {
    let mut frames: Vec<u32> = got.iter().map(|got| got.stamp().1).collect();
    frames.dedup();
    frames
}

/// Checks that each frame came whole, once, and none is missing.
fn assert_film(got: &[Got], film: &Film) {
    let frames = frames(got);
    for pair in frames.windows(2) {
        assert_eq!(pair[1], pair[0] + 1, "a frame is missing or comes twice");
    }
    let [_, whole @ .., _] = &frames[..] else {
        panic!("too few frames: {frames:?}");
    };
    for frame in whole {
        let packets = got.iter().filter(|got| got.stamp().1 == *frame);
        let (key, other) = film.packets;
        let expected = match frame.is_multiple_of(film.group) {
            true => key,
            false => other,
        };
        assert_eq!(packets.count(), expected, "of frame {frame}");
    }
    for pair in got.windows(2) {
        let same = pair[0].stamp().1 == pair[1].stamp().1;
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert_eq!(step == 0, same, "one timestamp for each frame");
        assert!(step < 1 << 31, "timestamps run backwards");
    }
}

/// By how much frames are early or late, at most, beside the second: what a jitter buffer sees.
/// A key frame takes its time.
fn jitter(got: &[Got]) -> Duration {
    let last_packets = got
        .windows(2)
        .filter(|pair| pair[0].timestamp != pair[1].timestamp);
    let whole: Vec<&Got> = last_packets.map(|pair| &pair[0]).collect();
    let second = whole[1];
    let off = whole.iter().skip(1).filter(|got| !is_key(got)).map(|got| {
        let arrived = (got.at - second.at).as_micros() as i64;
        let ticks = i64::from(got.timestamp.wrapping_sub(second.timestamp));
        (arrived - ticks * 100 / 9).unsigned_abs()
    });
    Duration::from_micros(off.max().unwrap_or(0))
}

/// Bytes that packets of a viewer have.
fn bytes(got: &[Got]) -> usize {
    got.iter().map(|got| got.payload.len()).sum()
}
