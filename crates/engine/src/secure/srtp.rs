//! The sending SRTP session, and the opening of the peer's SRTCP.
//!
//! # No nonce twice
//!
//! Every cipher of SRTP loses its secrecy, and GCM its authenticity too, as soon as one packet
//! index is used for two packets under one key. These rules together make that impossible:
//!
//! * str0m has null ciphers for sending, so [`Sealer`] is the only code that ever encrypts with
//!   our keys, and there is one per DTLS handshake. It is not `Clone`.
//! * The nonce of RTP is SSRC and extended sequence number. A [`Sealer`] hands out the
//!   [`RtpIndex`] of an SSRC once; it is not `Clone` either, so whoever removes a track keeps
//!   the index if the SSRC may come back. An index lets every sequence number be claimed once,
//!   and refuses what is too old to be sure of.
//! * The sealer itself writes SSRC and sequence number into the header, so header and nonce
//!   cannot disagree.
//! * An [`RtpIndex`] names its [`Epoch`], which is unique in the process, so that it cannot stray
//!   to the sealer of other keys.
//! * The nonce of RTCP is SSRC and a 31-bit index. One counter serves all SSRCs and all authors of
//!   RTCP (str0m's reports and ours), and refuses to wrap.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use rustc_hash::FxHashMap;
use str0m::crypto::CryptoProvider;

use super::keys::{Cipher, Direction, Keying, KeyingError, SLACK, Session};

/// One set of keys; unique in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    fn next() -> Epoch {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Epoch(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A packet was not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The handshake is not done.
    #[error("there are no keys yet")]
    NoKeys,
    /// A packet with this number was sent, or the number is too old to know.
    #[error("sequence number {sequence} of SSRC {ssrc} was used or is too old")]
    IndexUsed {
        /// The stream.
        ssrc: u32,
        /// The extended sequence number.
        sequence: u64,
    },
    /// 2^48 RTP or 2^31 RTCP packets have been sent: a new handshake is needed.
    #[error("the keys are used up")]
    Exhausted,
    /// The [`RtpIndex`] belongs to other keys.
    #[error("the index of SSRC {ssrc} belongs to other keys")]
    WrongEpoch {
        /// The stream.
        ssrc: u32,
    },
    /// This SSRC already has its [`RtpIndex`].
    #[error("SSRC {ssrc} has its index already")]
    SsrcTaken {
        /// The stream.
        ssrc: u32,
    },
    /// BYE was sent: no media may follow.
    #[error("the session has ended")]
    Ended,
    /// What should be sealed is no RTP header or no RTCP packet.
    #[error("malformed packet")]
    Malformed,
}

/// The packet index of one outgoing SSRC: which sequence numbers have been used.
#[derive(Debug)]
pub struct RtpIndex {
    ssrc: u32,
    epoch: Epoch,
    used: Window,
}

impl RtpIndex {
    /// The stream.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The keys that it belongs to.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
}

/// Encrypts everything that leaves one connection.
#[derive(Debug)]
pub struct Sealer {
    rtp: Cipher,
    rtcp: Cipher,
    epoch: Epoch,
    next_rtcp: u32,
    ssrcs: HashSet<u32>,
    ended: bool,
}

/// Sequence numbers have 16 bits and roll-over counters 32.
const RTP_INDEXES: u64 = 1 << 48;
const RTCP_INDEXES: u32 = 1 << 31;
const RTP_HEADER: usize = 12;
const RTCP_HEADER: usize = 8;

impl Sealer {
    /// `crypto` is the real provider, not the one with null ciphers.
    pub(super) fn new(
        crypto: &'static CryptoProvider,
        keying: &Keying,
    ) -> Result<Sealer, KeyingError> {
        Ok(Sealer {
            rtp: Cipher::derive(crypto, keying, Direction::Sending, Session::Rtp)?,
            rtcp: Cipher::derive(crypto, keying, Direction::Sending, Session::Rtcp)?,
            epoch: Epoch::next(),
            next_rtcp: 0,
            ssrcs: HashSet::new(),
            ended: false,
        })
    }

    /// Which keys these are.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Hands out the index of an SSRC, once.
    ///
    /// # Errors
    /// [`SealError::SsrcTaken`] the second time.
    pub fn open_ssrc(&mut self, ssrc: u32) -> Result<RtpIndex, SealError> {
        if !self.ssrcs.insert(ssrc) {
            return Err(SealError::SsrcTaken { ssrc });
        }
        Ok(RtpIndex {
            ssrc,
            epoch: self.epoch,
            used: Window::default(),
        })
    }

    /// BYE was sent: no RTP may follow.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// Appends one SRTP packet to `out`. `header` is a whole RTP header with its extensions;
    /// SSRC and sequence number are filled in from `index` and `sequence`, which is extended to
    /// 48 bits. On an error nothing is appended.
    ///
    /// # Errors
    /// See [`SealError`]; the number counts as used even if the cipher fails.
    pub fn seal_rtp(
        &mut self,
        index: &mut RtpIndex,
        sequence: u64,
        header: &[u8],
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let ssrc = index.ssrc;
        if self.ended {
            return Err(SealError::Ended);
        }
        if index.epoch != self.epoch {
            return Err(SealError::WrongEpoch { ssrc });
        }
        if header.len() < RTP_HEADER {
            return Err(SealError::Malformed);
        }
        if sequence >= RTP_INDEXES {
            return Err(SealError::Exhausted);
        }
        if !index.used.claim(sequence) {
            return Err(SealError::IndexUsed { ssrc, sequence });
        }
        let start = out.len();
        out.extend_from_slice(header);
        out.resize(start + header.len() + payload.len() + SLACK, 0);
        let packet = &mut out[start..];
        packet[2..4].copy_from_slice(&(sequence as u16).to_be_bytes());
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
        let sealed = self
            .rtp
            .seal_rtp(ssrc, sequence, packet, header.len(), payload);
        out.truncate(start + sealed.unwrap_or(0));
        sealed.map(|_| ()).map_err(|_| SealError::Malformed)
    }

    /// Appends one SRTCP packet to `out`: the compound packet `plain`, protected. On an error
    /// nothing is appended.
    ///
    /// # Errors
    /// [`SealError::Malformed`] for what is no RTCP, [`SealError::Exhausted`] after 2^31 packets.
    pub fn seal_rtcp(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        if plain.len() < RTCP_HEADER || !plain.len().is_multiple_of(4) {
            return Err(SealError::Malformed);
        }
        let index = self.next_rtcp;
        if index >= RTCP_INDEXES {
            return Err(SealError::Exhausted);
        }
        self.next_rtcp += 1;
        let start = out.len();
        out.resize(start + plain.len() + SLACK, 0);
        let sealed = self.rtcp.seal_rtcp(index, plain, &mut out[start..]);
        out.truncate(start + sealed.unwrap_or(0));
        sealed.map(|_| ()).map_err(|_| SealError::Malformed)
    }
}

/// Authenticates, replay-checks and decrypts the peer's SRTCP.
#[derive(Debug)]
pub(super) struct RtcpOpener {
    rtcp: Cipher,
    /// By sender SSRC: some peers keep one index per SSRC, others one per session.
    seen: FxHashMap<u32, Window>,
}

/// More SSRCs than any real peer sends RTCP from. Only authentic packets add one.
const MAX_SENDERS: usize = 4096;

/// An SRTCP packet was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenError {
    /// Forged, damaged, or not SRTCP at all.
    Forged,
    /// Seen before, or too old to know.
    Replayed,
    /// From more SSRCs than any peer has.
    TooManySenders,
}

impl RtcpOpener {
    pub(super) fn new(
        crypto: &'static CryptoProvider,
        keying: &Keying,
    ) -> Result<RtcpOpener, KeyingError> {
        let rtcp = Cipher::derive(crypto, keying, Direction::Receiving, Session::Rtcp)?;
        Ok(RtcpOpener {
            rtcp,
            seen: FxHashMap::default(),
        })
    }

    /// Puts the plain compound packet into `plain`. On an error `plain` is worthless.
    pub(super) fn open(&mut self, packet: &[u8], plain: &mut Vec<u8>) -> Result<(), OpenError> {
        let (ssrc, index) = self
            .rtcp
            .rtcp_index(packet)
            .map_err(|_| OpenError::Forged)?;
        match self.seen.get(&ssrc) {
            Some(window) if !window.is_fresh(u64::from(index)) => return Err(OpenError::Replayed),
            None if self.seen.len() >= MAX_SENDERS => return Err(OpenError::TooManySenders),
            Some(_) | None => {}
        }
        self.rtcp
            .open_rtcp(packet, plain)
            .map_err(|_| OpenError::Forged)?;
        self.seen.entry(ssrc).or_default().claim(u64::from(index));
        Ok(())
    }
}

/// Which of the last [`Window::SIZE`] indexes have been used. Each is accepted once; older ones
/// never.
#[derive(Debug, Default)]
struct Window {
    highest: Option<u64>,
    /// Bit `index % SIZE`.
    bits: [u64; Window::WORDS],
}

impl Window {
    const WORDS: usize = 16;
    /// Room for packets that arrive at us late, resent by their publisher: half a second at
    /// 2000 packets per second.
    const SIZE: u64 = 64 * Window::WORDS as u64;

    fn is_fresh(&self, index: u64) -> bool {
        match self.highest {
            None => true,
            Some(highest) if index > highest => true,
            Some(highest) => highest - index < Window::SIZE && !self.bit(index),
        }
    }

    /// Marks an index as used; false if that cannot be done a first time.
    fn claim(&mut self, index: u64) -> bool {
        if !self.is_fresh(index) {
            return false;
        }
        match self.highest {
            Some(highest) if index <= highest => {}
            Some(highest) if index - highest < Window::SIZE => {
                for skipped in highest + 1..index {
                    self.set(skipped, false);
                }
                self.highest = Some(index);
            }
            Some(_) | None => {
                self.bits = [0; Window::WORDS];
                self.highest = Some(index);
            }
        }
        self.set(index, true);
        true
    }

    fn bit(&self, index: u64) -> bool {
        let (word, bit) = Window::place(index);
        self.bits[word] & bit != 0
    }

    fn set(&mut self, index: u64, used: bool) {
        let (word, bit) = Window::place(index);
        if used {
            self.bits[word] |= bit;
        } else {
            self.bits[word] &= !bit;
        }
    }

    fn place(index: u64) -> (usize, u64) {
        let place = index % Window::SIZE;
        ((place / 64) as usize, 1 << (place % 64))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use proptest::prelude::*;
    use str0m::crypto::dtls::SrtpProfile;
    use str0m::crypto::from_feature_flags;

    use super::*;

    fn crypto() -> &'static CryptoProvider {
        static CRYPTO: OnceLock<CryptoProvider> = OnceLock::new();
        CRYPTO.get_or_init(from_feature_flags)
    }

    fn keying(profile: SrtpProfile, active: bool) -> Keying {
        let length = profile.keying_material_len();
        Keying {
            material: (0..length as u8).collect(),
            profile,
            active,
        }
    }

    const HEADER: [u8; 12] = [0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    #[test]
    fn an_rtp_index_is_never_used_twice() {
        for profile in SrtpProfile::ALL {
            let mut sealer = Sealer::new(crypto(), &keying(*profile, true)).unwrap();
            let mut index = sealer.open_ssrc(9).unwrap();
            assert_eq!(
                sealer.open_ssrc(9).err(),
                Some(SealError::SsrcTaken { ssrc: 9 })
            );
            let mut out = vec![];
            let mut seal = |sealer: &mut Sealer, index: &mut RtpIndex, sequence| {
                sealer.seal_rtp(index, sequence, &HEADER, b"x", &mut out)
            };
            for sequence in [65_535, 65_538, 65_536, 65_537, 66_562, 65_539] {
                assert_eq!(
                    seal(&mut sealer, &mut index, sequence),
                    Ok(()),
                    "{sequence}"
                );
            }
            for sequence in [65_536, 65_538, 65_539, 66_562, 65_538, 1] {
                let used = Err(SealError::IndexUsed { ssrc: 9, sequence });
                assert_eq!(seal(&mut sealer, &mut index, sequence), used, "{sequence}");
            }
            let exhausted = seal(&mut sealer, &mut index, 1 << 48);
            assert_eq!(exhausted, Err(SealError::Exhausted));
            // New keys: the old index does not fit.
            let mut next = Sealer::new(crypto(), &keying(*profile, true)).unwrap();
            let stray = seal(&mut next, &mut index, 70_000);
            assert_eq!(stray, Err(SealError::WrongEpoch { ssrc: 9 }));
            sealer.end();
            assert_eq!(seal(&mut sealer, &mut index, 80_000), Err(SealError::Ended));
        }
    }

    #[test]
    fn a_refused_packet_leaves_nothing_in_the_slab() {
        let keying = keying(SrtpProfile::AEAD_AES_128_GCM, true);
        let mut sealer = Sealer::new(crypto(), &keying).unwrap();
        let mut index = sealer.open_ssrc(9).unwrap();
        let mut out = vec![1, 2, 3];
        sealer
            .seal_rtp(&mut index, 5, &HEADER[..8], b"x", &mut out)
            .unwrap_err();
        sealer
            .seal_rtcp(&[0x80, 201, 0, 1, 0, 0, 0], &mut out)
            .unwrap_err();
        assert_eq!(out, [1, 2, 3]);
    }

    #[test]
    fn the_rtcp_index_refuses_to_wrap() {
        let keying = keying(SrtpProfile::AES128_CM_SHA1_80, false);
        let mut sealer = Sealer::new(crypto(), &keying).unwrap();
        sealer.next_rtcp = RTCP_INDEXES - 1;
        let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
        assert_eq!(sealer.seal_rtcp(&report, &mut vec![]), Ok(()));
        assert_eq!(
            sealer.seal_rtcp(&report, &mut vec![]),
            Err(SealError::Exhausted)
        );
    }

    #[test]
    fn rtcp_opens_once_in_both_roles() {
        for profile in SrtpProfile::ALL {
            for active in [true, false] {
                let mut sealer = Sealer::new(crypto(), &keying(*profile, active)).unwrap();
                let mut opener = RtcpOpener::new(crypto(), &keying(*profile, !active)).unwrap();
                let plain = [0x80, 201, 0, 1, 1, 2, 3, 4, 0x80, 201, 0, 1, 5, 6, 7, 8];
                let mut opened = vec![];
                for _ in 0..1100 {
                    let mut sealed = vec![];
                    sealer.seal_rtcp(&plain, &mut sealed).unwrap();
                    assert_ne!(sealed[8..16], plain[8..]);
                    let mut forged = sealed.clone();
                    forged[9] ^= 1;
                    assert_eq!(opener.open(&forged, &mut opened), Err(OpenError::Forged));
                    assert_eq!(opener.open(&sealed, &mut opened), Ok(()));
                    assert_eq!(opened, plain);
                    assert_eq!(opener.open(&sealed, &mut opened), Err(OpenError::Replayed));
                }
            }
        }
    }

    #[test]
    fn keys_of_the_wrong_length_are_refused() {
        let mut keying = keying(SrtpProfile::AEAD_AES_256_GCM, true);
        keying.material.pop();
        assert!(matches!(
            Sealer::new(crypto(), &keying),
            Err(KeyingError::Length {
                needed: 88,
                got: 87,
                ..
            })
        ));
    }

    proptest! {
        #[test]
        fn the_window_accepts_each_index_at_most_once(
            indexes in proptest::collection::vec(0u64..5000, 1..2000),
        ) {
            let mut window = Window::default();
            let mut accepted = HashSet::new();
            let mut highest = 0;
            for index in indexes {
                let fresh = window.is_fresh(index);
                prop_assert_eq!(window.claim(index), fresh);
                if fresh {
                    prop_assert!(accepted.insert(index), "{} twice", index);
                } else {
                    let old = index + Window::SIZE <= highest;
                    prop_assert!(old || accepted.contains(&index), "{} lost", index);
                }
                highest = highest.max(index);
            }
        }

        #[test]
        fn rubbish_is_no_rtcp(packet in proptest::collection::vec(any::<u8>(), 0..200)) {
            for profile in SrtpProfile::ALL {
                let mut opener = RtcpOpener::new(crypto(), &keying(*profile, true)).unwrap();
                prop_assert!(opener.open(&packet, &mut vec![]).is_err());
                prop_assert!(opener.seen.is_empty());
            }
        }
    }
}
