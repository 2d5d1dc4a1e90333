//! One `Rtc` with a door of its own.

use std::collections::VecDeque;
use std::time::Instant;

use str0m::crypto::dtls::SrtpProfile;
use str0m::net::{Protocol as WireProtocol, Receive};
use str0m::{Event, Input, Output, Rtc, RtcConfig, RtcError};

use super::keys::{KeyingError, rtcp_trailer};
use super::provider::Crypto;
use super::rtcp_rewrite::{SenderInfo, rewrite};
use super::srtp::{Epoch, RtcpOpener, SealError, Sealer};
use super::tap::{KeySlot, with_key_slot};
use super::{DatagramKind, KeyingError as Keys};
use crate::api::{Path, Protocol};
use crate::totals::Asked;

/// What comes out of a [`Connection`].
#[expect(
    clippy::large_enum_variant,
    reason = "a box would be an allocation per media packet"
)]
#[derive(Debug)]
pub enum Out {
    /// Nothing more for now: call [`Connection::handle_timeout`] at this time.
    Timeout(Instant),
    /// Something that str0m has noticed.
    Event(Event),
    /// Bytes for the wire.
    Datagram(Datagram),
}

/// Bytes for the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// How they go.
    pub path: Path,
    /// The bytes.
    pub data: Vec<u8>,
}

/// Why a [`Connection`] could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// With it, str0m would send padding and probes, which never leave the process.
    #[error("str0m's bandwidth estimation is switched on")]
    BandwidthEstimation,
    /// The keys could not be copied.
    #[error("str0m made no DTLS instance")]
    NoDtls,
}

/// Why a [`Connection`] cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// str0m says so.
    #[error(transparent)]
    Engine(#[from] RtcError),
    /// The keys of the handshake cannot be used.
    #[error(transparent)]
    Keys(#[from] Keys),
}

/// What has passed a [`Connection`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// STUN datagrams out.
    pub stun: u64,
    /// DTLS datagrams out.
    pub dtls: u64,
    /// Compound RTCP packets of str0m out.
    pub rtcp: u64,
    /// Sender reports of str0m that were corrected.
    pub reports_corrected: u64,
    /// Sender reports of str0m for silent streams that became receiver reports.
    pub reports_demoted: u64,
    /// RTP that str0m wanted to send although nothing was written to it.
    pub rtp_dropped: u64,
    /// Output of str0m that was none of these or could not be sealed.
    pub out_refused: u64,
    /// RTCP packets in.
    pub rtcp_in: u64,
    /// RTCP packets in that were forged or replayed.
    pub rtcp_in_refused: u64,
    /// What the peer was asked for.
    pub asked: Asked,
}

/// One `Rtc` whose outgoing SRTP session is ours.
///
/// Driven as an `Rtc` is: one mutation, then [`Connection::poll`] until it says
/// [`Out::Timeout`].
#[derive(Debug)]
pub struct Connection {
    rtc: Rtc,
    crypto: Crypto,
    slot: KeySlot,
    keys: Option<SessionKeys>,
    path: Option<Path>,
    counters: Counters,
    /// Reused for the plain text of RTCP.
    plain: Vec<u8>,
    /// Once closing, DTLS waits here until all RTCP is out.
    held: VecDeque<Datagram>,
    closing: bool,
}

#[derive(Debug)]
struct SessionKeys {
    sealer: Sealer,
    opener: RtcpOpener,
    profile: SrtpProfile,
}

/// DTLS datagrams that are kept back while closing; a close_notify is one.
const MAX_HELD: usize = 16;

/// Who has got a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fed {
    /// str0m, which may have something to say now.
    All,
    /// Nobody but the reader of RTCP: str0m need not be asked.
    Egress,
}

impl Connection {
    /// Makes an `Rtc`. The crypto provider of `config` is replaced by `crypto`.
    ///
    /// # Errors
    /// If `config` switches bandwidth estimation on, or if no keys could ever be copied.
    pub fn build(
        config: RtcConfig,
        crypto: &Crypto,
        now: Instant,
    ) -> Result<Connection, BuildError> {
        if config.bwe_initial_bitrate().is_some() {
            return Err(BuildError::BandwidthEstimation);
        }
        let config = config.set_crypto_provider(crypto.wrapped());
        let (rtc, slot) = with_key_slot(|| config.build(now));
        Ok(Connection {
            rtc,
            crypto: crypto.clone(),
            slot: slot.ok_or(BuildError::NoDtls)?,
            keys: None,
            path: None,
            counters: Counters::default(),
            plain: Vec::new(),
            held: VecDeque::new(),
            closing: false,
        })
    }

    /// The engine inside, for everything but input and output. Each mutation is to be followed
    /// by [`Connection::poll`] until [`Out::Timeout`].
    pub fn rtc(&mut self) -> &mut Rtc {
        &mut self.rtc
    }

    /// Feeds one datagram that arrived at `arrived`, which may be before the last call: str0m's
    /// own time does not run backwards by that. `rtcp` sees the plain text of an authentic RTCP
    /// packet that was not seen before; str0m then gets the same packet, if it says anything of
    /// its receiving streams.
    ///
    /// # Errors
    /// If the connection cannot go on. What is merely wrong is dropped and counted.
    pub fn handle_datagram(
        &mut self,
        arrived: Instant,
        path: Path,
        data: &[u8],
        rtcp: &mut dyn FnMut(&[u8]),
    ) -> Result<Fed, ConnectionError> {
        if DatagramKind::of(data) == DatagramKind::Rtcp {
            // str0m has no replay check of RTCP, and without keys it could not read it either.
            let opened = match &mut self.keys {
                Some(keys) => keys.opener.open(data, &mut self.plain).is_ok(),
                None => false,
            };
            if !opened {
                self.counters.rtcp_in_refused += 1;
                return Ok(Fed::Egress);
            }
            self.counters.rtcp_in += 1;
            rtcp(&self.plain);
            if is_for_senders(&self.plain) {
                return Ok(Fed::Egress);
            }
        }
        let protocol = match path.protocol {
            Protocol::Udp => WireProtocol::Udp,
            Protocol::Tcp => WireProtocol::Tcp,
        };
        // What str0m cannot even sort is a stray, not a fault of the connection.
        if let Ok(receive) = Receive::new(protocol, path.remote, path.local, data) {
            self.rtc.handle_input(Input::Receive(arrived, receive))?;
        }
        Ok(Fed::All)
    }

    /// To be called at the time of [`Out::Timeout`], or earlier.
    ///
    /// # Errors
    /// If the connection cannot go on.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), ConnectionError> {
        Ok(self.rtc.handle_input(Input::Timeout(now))?)
    }

    /// The next thing to do. `senders` answers for the SSRCs that we send on, with what a sender
    /// report should say now.
    ///
    /// # Errors
    /// If the connection cannot go on.
    pub fn poll(
        &mut self,
        senders: &mut dyn FnMut(u32) -> Option<SenderInfo>,
    ) -> Result<Out, ConnectionError> {
        loop {
            let output = self.rtc.poll_output();
            self.take_keys()?;
            let transmit = match output? {
                Output::Timeout(at) => match self.held.pop_front() {
                    Some(datagram) => return Ok(Out::Datagram(datagram)),
                    None => return Ok(Out::Timeout(at)),
                },
                Output::Event(event) => return Ok(Out::Event(event)),
                Output::Transmit(transmit) => transmit,
            };
            let protocol = match transmit.proto {
                WireProtocol::Tcp => Protocol::Tcp,
                // The others exist only for candidates that we never make.
                WireProtocol::Udp | WireProtocol::SslTcp | WireProtocol::Tls => Protocol::Udp,
            };
            let path = Path {
                protocol,
                local: transmit.source,
                remote: transmit.destination,
            };
            if let Some(datagram) = self.let_out(path, transmit.contents.into(), senders) {
                return Ok(Out::Datagram(datagram));
            }
        }
    }

    /// The path in use. The nominated pair is str0m's secret, but DTLS and RTCP go over it, and
    /// over other pairs nothing but STUN; so it is known once the handshake is done. Packets may
    /// well arrive over another path.
    pub fn path(&self) -> Option<Path> {
        self.path
    }

    /// Which keys are in use; `None` before the handshake is done.
    pub fn epoch(&self) -> Option<Epoch> {
        self.keys.as_ref().map(|keys| keys.sealer.epoch())
    }

    /// The protection that the handshake has agreed on.
    pub fn profile(&self) -> Option<SrtpProfile> {
        self.keys.as_ref().map(|keys| keys.profile)
    }

    /// Seals media for this connection; `None` before the handshake is done.
    pub fn sealer(&mut self) -> Option<&mut Sealer> {
        self.keys.as_mut().map(|keys| &mut keys.sealer)
    }

    /// Appends a compound RTCP packet of our own to `out`, sealed.
    ///
    /// # Errors
    /// Before the handshake is done, and as [`Sealer::seal_rtcp`].
    pub fn seal_rtcp(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        self.sealer()
            .ok_or(SealError::NoKeys)?
            .seal_rtcp(plain, out)
    }

    /// What has passed.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Says goodbye: [`Connection::poll`] then yields BYE, after that DTLS's close_notify, and no
    /// RTP can be sealed any more.
    ///
    /// # Errors
    /// If there is nothing to close.
    pub fn close(&mut self) -> Result<(), ConnectionError> {
        self.closing = true;
        if let Some(keys) = &mut self.keys {
            keys.sealer.end();
        }
        Ok(self.rtc.close()?)
    }

    fn take_keys(&mut self) -> Result<(), KeyingError> {
        if self.keys.is_some() {
            return Ok(()); // a second handshake would be a new `Rtc`
        }
        if let Some(keying) = self.slot.take() {
            self.keys = Some(SessionKeys {
                sealer: Sealer::new(self.crypto.real(), &keying)?,
                opener: RtcpOpener::new(self.crypto.real(), &keying)?,
                profile: keying.profile,
            });
        }
        Ok(())
    }

    /// The only way out of str0m.
    fn let_out(
        &mut self,
        path: Path,
        data: Vec<u8>,
        senders: &mut dyn FnMut(u32) -> Option<SenderInfo>,
    ) -> Option<Datagram> {
        match DatagramKind::of(&data) {
            DatagramKind::Stun => {
                self.counters.stun += 1;
                Some(Datagram { path, data })
            }
            DatagramKind::Dtls => {
                self.counters.dtls += 1;
                self.path = Some(path);
                let datagram = Datagram { path, data };
                if self.closing && self.held.len() < MAX_HELD {
                    // str0m polls DTLS before RTCP, but a peer that has read close_notify no
                    // longer reads the BYE.
                    self.held.push_back(datagram);
                    return None;
                }
                Some(datagram)
            }
            DatagramKind::Rtcp => {
                self.path = Some(path);
                let data = self.reseal(&data, senders);
                if data.is_none() {
                    self.counters.out_refused += 1;
                }
                Some(Datagram { path, data: data? })
            }
            DatagramKind::Rtp => {
                self.counters.rtp_dropped += 1;
                None
            }
            DatagramKind::Other => {
                self.counters.out_refused += 1;
                None
            }
        }
    }

    /// `null` is what str0m made of RTCP with a null cipher: plain text and a trailer of the
    /// profile's length.
    fn reseal(
        &mut self,
        null: &[u8],
        senders: &mut dyn FnMut(u32) -> Option<SenderInfo>,
    ) -> Option<Vec<u8>> {
        let keys = self.keys.as_mut()?;
        let plain = null.get(..null.len().checked_sub(rtcp_trailer(keys.profile)?)?)?;
        self.plain.clear();
        let done = rewrite(plain, &mut self.plain, senders).ok()?;
        let mut sealed = Vec::with_capacity(null.len() + 4);
        keys.sealer.seal_rtcp(&self.plain, &mut sealed).ok()?;
        if done.bye {
            // str0m says BYE only when all ends, for all SSRCs, perhaps in several packets: RTCP
            // may follow, RTP may not.
            keys.sealer.end();
        }
        self.counters.rtcp += 1;
        self.counters.reports_corrected += done.corrected;
        self.counters.reports_demoted += done.demoted;
        self.counters.asked += done.asked;
        Some(sealed)
    }
}
/// Whether a compound packet holds nothing but reports and feedback on what we send, of which
/// str0m knows nothing: receiver reports (RFC 3550 section 6.4.2), transport and payload feedback
/// (RFC 4585). Most RTCP of a subscriber is like that, and str0m takes ten times as long to read it.
fn is_for_senders(compound: &[u8]) -> bool {
    const RECEIVER_REPORT: u8 = 201;
    const FEEDBACK: [u8; 2] = [205, 206];
    let mut rest = compound;
    while let [_, kind, high, low, ..] = *rest {
        if kind != RECEIVER_REPORT && !FEEDBACK.contains(&kind) {
            return false;
        }
        let length = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        match rest.get(length..) {
            Some(next) => rest = next,
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_on_what_a_peer_sends_are_kept_from_its_receiving_side() {
        let packet = |kind: u8| [0x80, kind, 0, 1, 0, 0, 0, 9];
        let compound = |kinds: &[u8]| kinds.iter().copied().flat_map(packet).collect::<Vec<_>>();
        for theirs in [&[205][..], &[206], &[201], &[201, 205, 206]] {
            assert!(is_for_senders(&compound(theirs)), "{theirs:?}");
        }
        // Sender reports, descriptions, goodbyes, extended reports, and what is yet to come.
        for ours in [200, 202, 203, 204, 207, 208] {
            assert!(!is_for_senders(&compound(&[ours])), "{ours}");
            assert!(!is_for_senders(&compound(&[201, ours])), "{ours}");
        }
        let mut cut = compound(&[201, 205]);
        cut.pop();
        assert!(!is_for_senders(&cut));
        assert!(!is_for_senders(&[0x80, 201]));
    }
}
