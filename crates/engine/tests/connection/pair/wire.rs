//! The network, and what an eavesdropper on it sees.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use str0m::crypto::dtls::SrtpProfile;
use umbrella_engine::secure::DatagramKind;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    Server,
    Client,
}

pub(crate) struct Wire {
    queue: BTreeMap<(Instant, u64), (To, Vec<u8>)>,
    sent: u64,
    random: u64,
    pub(crate) loss: f64,
    /// Where the SRTCP index is, counted from the end.
    index_at: usize,
    /// SRTCP indexes of ours.
    pub(crate) rtcp_indexes: HashSet<u32>,
    /// SSRC and sequence number of our media, with the bytes that were sent under it.
    pub(crate) rtp_indexes: HashMap<(u32, u16), Vec<u8>>,
    /// The same index with other bytes: what must never be.
    pub(crate) reused: usize,
    /// Media of ours that has arrived.
    pub(crate) delivered: HashSet<(u32, u16)>,
    /// The last RTCP of the client.
    pub(crate) last_rtcp: Option<Vec<u8>>,
    pub(crate) lost: usize,
}

const DELAY: Duration = Duration::from_millis(20);
/// Enough that packets overtake each other.
const JITTER_US: f64 = 3000.0;

impl Wire {
    pub(crate) fn new(seed: u64, profile: SrtpProfile) -> Wire {
        let counter_mode = profile == SrtpProfile::AES128_CM_SHA1_80;
        Wire {
            queue: BTreeMap::new(),
            sent: 0,
            random: 0x9E37_79B9_7F4A_7C15 ^ seed,
            loss: 0.0,
            index_at: if counter_mode { 14 } else { 4 },
            rtcp_indexes: HashSet::new(),
            rtp_indexes: HashMap::new(),
            reused: 0,
            delivered: HashSet::new(),
            last_rtcp: None,
            lost: 0,
        }
    }

    pub(crate) fn send(&mut self, now: Instant, to: To, data: Vec<u8>) {
        match to {
            To::Client => self.eavesdrop(&data),
            To::Server if DatagramKind::of(&data) == DatagramKind::Rtcp => {
                self.last_rtcp = Some(data.clone());
            }
            To::Server => {}
        }
        if self.random() < self.loss {
            self.lost += 1;
            return;
        }
        let jitter = Duration::from_micros((self.random() * JITTER_US) as u64);
        self.sent += 1;
        self.queue
            .insert((now + DELAY + jitter, self.sent), (to, data));
    }

    /// The next datagram that has arrived by `now`.
    pub(crate) fn arrival(&mut self, now: Instant) -> Option<(To, Vec<u8>)> {
        let first = self
            .queue
            .first_entry()
            .filter(|first| first.key().0 <= now)?;
        let (to, data) = first.remove();
        if to == To::Client && DatagramKind::of(&data) == DatagramKind::Rtp {
            self.delivered.insert(rtp_index(&data));
        }
        Some((to, data))
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    fn eavesdrop(&mut self, data: &[u8]) {
        match DatagramKind::of(data) {
            DatagramKind::Rtcp => {
                let at = data.len() - self.index_at;
                let index = u32::from_be_bytes(data[at..at + 4].try_into().unwrap());
                self.reused += usize::from(!self.rtcp_indexes.insert(index));
            }
            DatagramKind::Rtp => {
                let before = self.rtp_indexes.insert(rtp_index(data), data.to_vec());
                self.reused += usize::from(before.is_some_and(|before| before != data));
            }
            DatagramKind::Stun | DatagramKind::Dtls | DatagramKind::Other => {}
        }
    }

    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn rtp_index(data: &[u8]) -> (u32, u16) {
    let ssrc = u32::from_be_bytes(data[8..12].try_into().unwrap());
    (ssrc, u16::from_be_bytes([data[2], data[3]]))
}
