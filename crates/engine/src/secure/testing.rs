//! Keys without a handshake.

use std::sync::OnceLock;

use str0m::crypto::dtls::SrtpProfile;
use str0m::crypto::{CryptoProvider, from_feature_flags};

use super::keys::Keying;
#[cfg(test)]
use super::keys::{Cipher, Direction, Session};
#[cfg(test)]
use super::srtp::RtcpOpener;
use super::srtp::Sealer;

pub(super) fn crypto() -> &'static CryptoProvider {
    static CRYPTO: OnceLock<CryptoProvider> = OnceLock::new();
    CRYPTO.get_or_init(from_feature_flags)
}

fn keying(active: bool) -> Keying {
    keying_of(SrtpProfile::AEAD_AES_128_GCM, active)
}

pub(super) fn keying_of(profile: SrtpProfile, active: bool) -> Keying {
    let length = profile.keying_material_len();
    Keying {
        material: (0..length as u8).collect(),
        profile,
        active,
    }
}

/// Every sealer has an epoch of its own, but the same keys.
pub(crate) fn sealer() -> Sealer {
    Sealer::new(crypto(), &keying(true)).expect("keys of the right length")
}

/// Reads what [`sealer`] has sealed.
#[cfg(test)]
pub(crate) struct Reader {
    rtp: Cipher,
    rtcp: RtcpOpener,
}

/// An opened RTP packet.
#[cfg(test)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rtp {
    pub(crate) payload_type: u8,
    pub(crate) marker: bool,
    pub(crate) seq: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    /// Id and value.
    pub(crate) extensions: Vec<(u8, Vec<u8>)>,
    pub(crate) payload: Vec<u8>,
}

#[cfg(test)]
impl Reader {
    pub(crate) fn new() -> Reader {
        let peer = keying(false);
        Reader {
            rtp: Cipher::derive(crypto(), &peer, Direction::Receiving, Session::Rtp).unwrap(),
            rtcp: RtcpOpener::new(crypto(), &peer).unwrap(),
        }
    }

    /// `roc` is the roll-over counter.
    pub(crate) fn rtp(&mut self, datagram: &[u8], roc: u32) -> Rtp {
        let word = |at: usize| u32::from_be_bytes(datagram[at..at + 4].try_into().unwrap());
        let (seq, ssrc) = (word(0) as u16, word(8));
        let (header, extensions) = extensions(datagram);
        let index = u64::from(roc) << 16 | u64::from(seq);
        let payload = self
            .rtp
            .open_rtp(ssrc, index, datagram, header)
            .expect("authentic");
        let (payload_type, marker) = (datagram[1] & 0x7f, datagram[1] & 0x80 != 0);
        Rtp {
            payload_type,
            marker,
            seq,
            timestamp: word(4),
            ssrc,
            extensions,
            payload,
        }
    }

    pub(crate) fn rtcp(&mut self, datagram: &[u8]) -> Vec<u8> {
        let mut plain = vec![];
        self.rtcp.open(datagram, &mut plain).unwrap();
        plain
    }
}

/// Length of the header, and its extensions (RFC 8285).
pub(crate) fn extensions(packet: &[u8]) -> (usize, Vec<(u8, Vec<u8>)>) {
    if packet[0] & 0x10 == 0 {
        return (12, vec![]);
    }
    let profile = u16::from_be_bytes([packet[12], packet[13]]);
    let end = 16 + 4 * usize::from(u16::from_be_bytes([packet[14], packet[15]]));
    let mut at = 16;
    let mut found = vec![];
    while at < end {
        if packet[at] == 0 {
            at += 1;
            continue;
        }
        let (id, len) = match profile {
            0xBEDE => (packet[at] >> 4, usize::from(packet[at] & 15) + 1),
            0x1000 => {
                at += 1;
                (packet[at - 1], usize::from(packet[at]))
            }
            other => panic!("profile {other:x}"),
        };
        at += 1;
        found.push((id, packet[at..at + len].to_vec()));
        at += len;
    }
    (end, found)
}
