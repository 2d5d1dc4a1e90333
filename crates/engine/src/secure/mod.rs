//! A WebRTC connection whose outgoing SRTP session is ours.
//!
//! str0m does ICE, DTLS, SCTP and everything inbound. Everything outbound is encrypted here and
//! nowhere else, because str0m's own sending path costs several scans of all streams per packet.
//! Three parts make that safe without changing str0m:
//!
//! * [`Crypto`] is a crypto provider that gives str0m *null* ciphers for sending, so it cannot
//!   encrypt media at all, and that copies the keys which the DTLS handshake yields.
//! * [`Connection`] is the only way out of one `Rtc`: STUN and DTLS pass, RTCP is corrected and
//!   sealed, RTP is dropped.
//! * [`Sealer`] owns the sending half of the SRTP session and uses no nonce twice.

mod connection;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod keys;
mod provider;
mod rtcp_rewrite;
mod srtp;
mod tap;
#[cfg(any(test, fuzzing))]
pub(crate) mod testing;

pub use connection::{BuildError, Connection, ConnectionError, Counters, Datagram, Fed, Out};
pub use keys::KeyingError;
pub use provider::Crypto;
pub use rtcp_rewrite::SenderInfo;
pub use srtp::{Epoch, RtpIndex, SealError, Sealer};

/// What a datagram on a WebRTC path is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatagramKind {
    /// STUN: connectivity checks.
    Stun,
    /// DTLS: handshake and data channels.
    Dtls,
    /// SRTP.
    Rtp,
    /// SRTCP.
    Rtcp,
    /// Nothing that belongs here.
    Other,
}

impl DatagramKind {
    /// Sorts by RFC 7983 section 7, and RTCP from RTP by RFC 5761 section 4.
    pub fn of(datagram: &[u8]) -> DatagramKind {
        match (datagram.first(), datagram.get(1)) {
            (Some(0..=3), _) => DatagramKind::Stun,
            (Some(20..=63), _) => DatagramKind::Dtls,
            (Some(128..=191), Some(192..=223)) => DatagramKind::Rtcp,
            (Some(128..=191), Some(_)) => DatagramKind::Rtp,
            _ => DatagramKind::Other,
        }
    }
}
