//! From the keys of a DTLS handshake to the session keys of one direction.

use std::fmt;

use str0m::crypto::dtls::SrtpProfile;
use str0m::crypto::{
    AeadAes128Gcm, AeadAes128GcmCipher, AeadAes256Gcm, AeadAes256GcmCipher, Aes128CmSha1_80,
    Aes128CmSha1_80Cipher, CryptoProvider,
};

/// Room behind a plain packet that any cipher may want: the largest tag, the SRTCP index, and
/// scratch bytes of some AES-CM back ends.
pub(super) const SLACK: usize = 36;
/// Bytes of the SRTCP index word (RFC 3711 section 3.4).
pub(super) const INDEX_LEN: usize = 4;
const GCM_TAG: usize = AeadAes128Gcm::TAG_LEN;
const CM_TAG: usize = Aes128CmSha1_80::HMAC_TAG_LEN;
/// The flag in the index word that says "encrypted".
const ENCRYPTED: u32 = 0x8000_0000;
/// The part of a compound RTCP packet that stays readable: first header and sender SSRC.
const RTCP_CLEAR: usize = 8;

/// What the DTLS handshake has agreed on.
#[derive(Clone)]
pub(super) struct Keying {
    /// Exported keying material (RFC 5764 section 4.2): keys of client and server, then salts.
    pub(super) material: Vec<u8>,
    pub(super) profile: SrtpProfile,
    /// Whether we are the DTLS client, whose keys come first.
    pub(super) active: bool,
}

/// Leaves the secret out.
impl fmt::Debug for Keying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keying({:?}, active: {})", self.profile, self.active)
    }
}

/// The keys of a handshake could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyingError {
    /// The handshake has agreed on a profile that we do not offer.
    #[error("SRTP profile {0:?} is not supported")]
    Profile(SrtpProfile),
    /// The keying material does not have the profile's length.
    #[error("{profile:?} needs {needed} bytes of keying material, the handshake gave {got}")]
    Length {
        /// The profile.
        profile: SrtpProfile,
        /// Bytes that it needs.
        needed: usize,
        /// Bytes that there are.
        got: usize,
    },
}

/// Whose keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Ours, to encrypt.
    Sending,
    /// The peer's, to decrypt.
    Receiving,
}

/// Which of the two sessions that share a master key; the value is the first label of
/// RFC 3711 section 4.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    Rtp = 0,
    Rtcp = 3,
}

/// Session keys of one direction, for RTP or for RTCP.
#[derive(Debug)]
pub(super) struct Cipher {
    kind: Kind,
    crypto: &'static CryptoProvider,
}

enum Kind {
    CounterMode {
        aes: Box<dyn Aes128CmSha1_80Cipher>,
        salt: [u8; 14],
        auth: [u8; 20],
    },
    Gcm128 {
        aes: Box<dyn AeadAes128GcmCipher>,
        salt: [u8; 12],
    },
    Gcm256 {
        aes: Box<dyn AeadAes256GcmCipher>,
        salt: [u8; 12],
    },
}

/// Leaves the secrets out.
impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::CounterMode { .. } => "CounterMode",
            Kind::Gcm128 { .. } => "Gcm128",
            Kind::Gcm256 { .. } => "Gcm256",
        })
    }
}

/// The cipher refused: the lengths did not fit or the tag was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CipherError;

impl Cipher {
    /// Derives the session keys (RFC 3711 section 4.3.1, key derivation rate 0). `crypto` is the
    /// real provider, not the one with the null ciphers.
    pub(super) fn derive(
        crypto: &'static CryptoProvider,
        keying: &Keying,
        direction: Direction,
        session: Session,
    ) -> Result<Cipher, KeyingError> {
        let master = Master::of(keying, direction)?;
        let sending = direction == Direction::Sending;
        let label = session as u8;
        let srtp = crypto.srtp_provider;
        let kind = match master.key.len() {
            Aes128CmSha1_80::KEY_LEN if master.salt.len() == Aes128CmSha1_80::SALT_LEN => {
                let key = master.expand(crypto, label);
                let aes = srtp.aes_128_cm_sha1_80().create_cipher(key, sending);
                let auth = master.expand(crypto, label + 1);
                Kind::CounterMode {
                    aes,
                    auth,
                    salt: master.expand(crypto, label + 2),
                }
            }
            AeadAes128Gcm::KEY_LEN => {
                let key = master.expand(crypto, label);
                let aes = srtp.aead_aes_128_gcm().create_cipher(key, sending);
                Kind::Gcm128 {
                    aes,
                    salt: master.expand(crypto, label + 2),
                }
            }
            _ => {
                let key = master.expand(crypto, label);
                let aes = srtp.aead_aes_256_gcm().create_cipher(key, sending);
                Kind::Gcm256 {
                    aes,
                    salt: master.expand(crypto, label + 2),
                }
            }
        };
        Ok(Cipher { kind, crypto })
    }

    /// Bytes that protection adds to an RTCP packet: tag and index.
    pub(super) fn rtcp_trailer(&self) -> usize {
        INDEX_LEN
            + match self.kind {
                Kind::CounterMode { .. } => CM_TAG,
                Kind::Gcm128 { .. } | Kind::Gcm256 { .. } => GCM_TAG,
            }
    }

    /// Encrypts `payload` behind the header that is in the first `header` bytes of `packet`, and
    /// returns the length of the sealed packet. `packet` has [`SLACK`] bytes to spare.
    pub(super) fn seal_rtp(
        &mut self,
        ssrc: u32,
        index: u64,
        packet: &mut [u8],
        header: usize,
        payload: &[u8],
    ) -> Result<usize, CipherError> {
        let (roc, sequence) = ((index >> 16) as u32, index as u16);
        let plain = header + payload.len();
        let (head, body) = packet.split_at_mut(header);
        match &mut self.kind {
            Kind::Gcm128 { aes, salt } => {
                let iv = AeadAes128Gcm::rtp_iv(*salt, ssrc, roc, sequence);
                aes.encrypt(&iv, head, payload, body)
                    .map_err(|_| CipherError)?;
                Ok(plain + GCM_TAG)
            }
            Kind::Gcm256 { aes, salt } => {
                let iv = AeadAes256Gcm::rtp_iv(*salt, ssrc, roc, sequence);
                aes.encrypt(&iv, head, payload, body)
                    .map_err(|_| CipherError)?;
                Ok(plain + GCM_TAG)
            }
            Kind::CounterMode { aes, salt, auth } => {
                let iv = Aes128CmSha1_80::rtp_iv(*salt, ssrc, index);
                aes.encrypt(&iv, payload, body).map_err(|_| CipherError)?;
                let hmac = |key: &[u8], data: &[&[u8]]| {
                    self.crypto.sha1_hmac_provider.sha1_hmac(key, data)
                };
                Aes128CmSha1_80::rtp_hmac(hmac, auth, packet, index, plain);
                Ok(plain + CM_TAG)
            }
        }
    }

    /// Encrypts the compound packet `plain` into `packet`, which is [`SLACK`] bytes longer, and
    /// returns the length of the sealed packet. `plain` has at least [`RTCP_CLEAR`] bytes.
    pub(super) fn seal_rtcp(
        &mut self,
        index: u32,
        plain: &[u8],
        packet: &mut [u8],
    ) -> Result<usize, CipherError> {
        let ssrc = rtcp_ssrc(plain).ok_or(CipherError)?;
        let word = (ENCRYPTED | index).to_be_bytes();
        let (clear, secret) = plain.split_at(RTCP_CLEAR);
        let aad = rtcp_aad(clear, word);
        packet[..RTCP_CLEAR].copy_from_slice(clear);
        let body = &mut packet[RTCP_CLEAR..];
        let length = plain.len();
        match &mut self.kind {
            Kind::Gcm128 { aes, salt } => {
                let iv = AeadAes128Gcm::rtcp_iv(*salt, ssrc, index);
                aes.encrypt(&iv, &aad, secret, body)
                    .map_err(|_| CipherError)?;
                packet[length + GCM_TAG..][..INDEX_LEN].copy_from_slice(&word);
            }
            Kind::Gcm256 { aes, salt } => {
                let iv = AeadAes256Gcm::rtcp_iv(*salt, ssrc, index);
                aes.encrypt(&iv, &aad, secret, body)
                    .map_err(|_| CipherError)?;
                packet[length + GCM_TAG..][..INDEX_LEN].copy_from_slice(&word);
            }
            Kind::CounterMode { aes, salt, auth } => {
                let iv = Aes128CmSha1_80::rtp_iv(*salt, ssrc, u64::from(index));
                aes.encrypt(&iv, secret, body).map_err(|_| CipherError)?;
                packet[length..][..INDEX_LEN].copy_from_slice(&word);
                let hmac = |key: &[u8], data: &[&[u8]]| {
                    self.crypto.sha1_hmac_provider.sha1_hmac(key, data)
                };
                Aes128CmSha1_80::rtcp_hmac(hmac, auth, packet, length + INDEX_LEN);
            }
        }
        Ok(length + self.rtcp_trailer())
    }

    /// Sender SSRC and index of a protected RTCP packet, not yet authenticated.
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Result<(u32, u32), CipherError> {
        let length = self.rtcp_plain_len(packet)?;
        let at = self.rtcp_word_at(packet, length);
        let word = packet
            .get(at..at + INDEX_LEN)
            .and_then(|word| word.try_into().ok());
        let word = u32::from_be_bytes(word.ok_or(CipherError)?);
        // Authenticated but not encrypted is legal SRTCP, but no WebRTC peer does that.
        if word & ENCRYPTED == 0 {
            return Err(CipherError);
        }
        Ok((rtcp_ssrc(packet).ok_or(CipherError)?, word & !ENCRYPTED))
    }

    /// Authenticates and decrypts a protected RTCP packet into `plain`, which is cleared first.
    pub(super) fn open_rtcp(
        &mut self,
        packet: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<(), CipherError> {
        let (ssrc, index) = self.rtcp_index(packet)?;
        let length = self.rtcp_plain_len(packet)?;
        let at = self.rtcp_word_at(packet, length);
        let clear = &packet[..RTCP_CLEAR];
        let aad = rtcp_aad(clear, (ENCRYPTED | index).to_be_bytes());
        plain.clear();
        plain.extend_from_slice(clear);
        plain.resize(length + SLACK, 0);
        let body = &mut plain[RTCP_CLEAR..];
        match &mut self.kind {
            Kind::Gcm128 { aes, salt } => {
                let iv = AeadAes128Gcm::rtcp_iv(*salt, ssrc, index);
                aes.decrypt(&iv, &[&aad], &packet[RTCP_CLEAR..at], body)
                    .map_err(|_| CipherError)?;
            }
            Kind::Gcm256 { aes, salt } => {
                let iv = AeadAes256Gcm::rtcp_iv(*salt, ssrc, index);
                aes.decrypt(&iv, &[&aad], &packet[RTCP_CLEAR..at], body)
                    .map_err(|_| CipherError)?;
            }
            Kind::CounterMode { aes, salt, auth } => {
                let (signed, tag) = packet.split_at(length + INDEX_LEN);
                let hmac = |key: &[u8], data: &[&[u8]]| {
                    self.crypto.sha1_hmac_provider.sha1_hmac(key, data)
                };
                if !Aes128CmSha1_80::rtcp_verify(hmac, auth, signed, tag) {
                    return Err(CipherError);
                }
                let iv = Aes128CmSha1_80::rtp_iv(*salt, ssrc, u64::from(index));
                aes.decrypt(&iv, &packet[RTCP_CLEAR..length], body)
                    .map_err(|_| CipherError)?;
            }
        }
        plain.truncate(length);
        Ok(())
    }

    /// The payload of an SRTP packet whose header has `header` bytes; only GCM with 128 bits.
    #[cfg(test)]
    pub(super) fn open_rtp(
        &mut self,
        ssrc: u32,
        index: u64,
        packet: &[u8],
        header: usize,
    ) -> Option<Vec<u8>> {
        let Kind::Gcm128 { aes, salt } = &mut self.kind else {
            return None;
        };
        let iv = AeadAes128Gcm::rtp_iv(*salt, ssrc, (index >> 16) as u32, index as u16);
        let (head, body) = packet.split_at(header);
        let mut plain = vec![0; body.len()];
        let len = aes.decrypt(&iv, &[head], body, &mut plain).ok()?;
        plain.truncate(len);
        Some(plain)
    }

    fn rtcp_plain_len(&self, packet: &[u8]) -> Result<usize, CipherError> {
        let length = packet
            .len()
            .checked_sub(self.rtcp_trailer())
            .ok_or(CipherError)?;
        if length < RTCP_CLEAR {
            Err(CipherError)
        } else {
            Ok(length)
        }
    }

    /// RFC 3711 puts the index word before the tag, RFC 7714 behind it.
    fn rtcp_word_at(&self, packet: &[u8], plain: usize) -> usize {
        match self.kind {
            Kind::CounterMode { .. } => plain,
            Kind::Gcm128 { .. } | Kind::Gcm256 { .. } => packet.len() - INDEX_LEN,
        }
    }
}

/// Length of what protection adds to RTCP, by profile; str0m adds as much with null ciphers.
pub(super) fn rtcp_trailer(profile: SrtpProfile) -> Option<usize> {
    match profile {
        SrtpProfile::AES128_CM_SHA1_80 => Some(INDEX_LEN + CM_TAG),
        SrtpProfile::AEAD_AES_128_GCM | SrtpProfile::AEAD_AES_256_GCM => Some(INDEX_LEN + GCM_TAG),
        _ => None, // the enum is not exhaustive: a profile of a later version
    }
}

fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(packet.get(4..8)?.try_into().ok()?))
}

fn rtcp_aad(clear: &[u8], word: [u8; INDEX_LEN]) -> [u8; RTCP_CLEAR + INDEX_LEN] {
    let mut aad = [0; RTCP_CLEAR + INDEX_LEN];
    aad[..RTCP_CLEAR].copy_from_slice(clear);
    aad[RTCP_CLEAR..].copy_from_slice(&word);
    aad
}

/// Master key and salt of one side.
struct Master<'a> {
    key: &'a [u8],
    salt: &'a [u8],
}

impl<'a> Master<'a> {
    fn of(keying: &'a Keying, direction: Direction) -> Result<Master<'a>, KeyingError> {
        let profile = keying.profile;
        let (key, salt) = match profile {
            SrtpProfile::AES128_CM_SHA1_80 => (Aes128CmSha1_80::KEY_LEN, Aes128CmSha1_80::SALT_LEN),
            SrtpProfile::AEAD_AES_128_GCM => (AeadAes128Gcm::KEY_LEN, AeadAes128Gcm::SALT_LEN),
            SrtpProfile::AEAD_AES_256_GCM => (AeadAes256Gcm::KEY_LEN, AeadAes256Gcm::SALT_LEN),
            _ => return Err(KeyingError::Profile(profile)),
        };
        let (needed, got) = (2 * (key + salt), keying.material.len());
        if got != needed {
            return Err(KeyingError::Length {
                profile,
                needed,
                got,
            });
        }
        let ours_first = keying.active;
        let second = usize::from(ours_first != (direction == Direction::Sending));
        Ok(Master {
            key: &keying.material[second * key..][..key],
            salt: &keying.material[2 * key + second * salt..][..salt],
        })
    }

    /// The AES-CM key stream of RFC 3711 section 4.3.3 under `label`.
    fn expand<const N: usize>(&self, crypto: &CryptoProvider, label: u8) -> [u8; N] {
        const BLOCK: usize = 16;
        let mut input = [0; BLOCK];
        input[..self.salt.len()].copy_from_slice(self.salt);
        input[7] ^= label;
        let mut out = [0; N];
        for (counter, part) in (0u16..).zip(out.chunks_mut(BLOCK)) {
            input[14..].copy_from_slice(&counter.to_be_bytes());
            let mut block = [0; 2 * BLOCK]; // the back ends append a block of padding
            if self.key.len() == AeadAes256Gcm::KEY_LEN {
                crypto
                    .srtp_provider
                    .srtp_aes_256_ecb_round(self.key, &input, &mut block);
            } else {
                crypto
                    .srtp_provider
                    .srtp_aes_128_ecb_round(self.key, &input, &mut block);
            }
            part.copy_from_slice(&block[..part.len()]);
        }
        out
    }
}
