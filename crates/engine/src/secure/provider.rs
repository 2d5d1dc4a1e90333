//! A crypto provider under which str0m can decrypt but not encrypt media.

use std::sync::Arc;

use str0m::crypto::{
    AeadAes128GcmCipher, AeadAes256GcmCipher, Aes128CmSha1_80Cipher, CryptoError, CryptoProvider,
    SrtpProvider, SupportedAeadAes128Gcm, SupportedAeadAes256Gcm, SupportedAes128CmSha1_80,
};

use super::tap::TapDtls;

/// The wrapped crypto provider. Make one per process: its parts live as long as the process,
/// because str0m takes them as `&'static`.
#[derive(Debug, Clone)]
pub struct Crypto {
    real: &'static CryptoProvider,
    wrapped: Arc<CryptoProvider>,
}

impl Crypto {
    /// Wraps a provider, such as `str0m::crypto::from_feature_flags()`.
    pub fn new(real: CryptoProvider) -> Crypto {
        let real: &'static CryptoProvider = Box::leak(Box::new(real));
        let ciphers: &'static NullSending = Box::leak(Box::new(NullSending(real.srtp_provider)));
        let wrapped = CryptoProvider {
            srtp_provider: Box::leak(Box::new(SendingRefused(ciphers))),
            dtls_provider: Box::leak(Box::new(TapDtls::new(real.dtls_provider))),
            ..real.clone()
        };
        Crypto {
            real,
            wrapped: Arc::new(wrapped),
        }
    }

    /// What really encrypts.
    pub(super) fn real(&self) -> &'static CryptoProvider {
        self.real
    }

    /// What an `Rtc` of ours gets.
    pub(super) fn wrapped(&self) -> Arc<CryptoProvider> {
        self.wrapped.clone()
    }
}

#[derive(Debug)]
struct SendingRefused(&'static NullSending);

impl SrtpProvider for SendingRefused {
    fn aes_128_cm_sha1_80(&self) -> &'static dyn SupportedAes128CmSha1_80 {
        self.0
    }

    fn aead_aes_128_gcm(&self) -> &'static dyn SupportedAeadAes128Gcm {
        self.0
    }

    fn aead_aes_256_gcm(&self) -> &'static dyn SupportedAeadAes256Gcm {
        self.0
    }

    fn srtp_aes_128_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        self.0.0.srtp_aes_128_ecb_round(key, input, output);
    }

    fn srtp_aes_256_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        self.0.0.srtp_aes_256_ecb_round(key, input, output);
    }
}

/// Cipher factories: null for sending, real for receiving. str0m makes both of both directions,
/// and uses the encrypting one of its sending and the decrypting one of its receiving context.
#[derive(Debug)]
struct NullSending(&'static dyn SrtpProvider);

impl SupportedAes128CmSha1_80 for NullSending {
    fn create_cipher(&self, key: [u8; 16], encrypt: bool) -> Box<dyn Aes128CmSha1_80Cipher> {
        if encrypt {
            return Box::new(Null);
        }
        self.0.aes_128_cm_sha1_80().create_cipher(key, false)
    }
}

impl SupportedAeadAes128Gcm for NullSending {
    fn create_cipher(&self, key: [u8; 16], encrypt: bool) -> Box<dyn AeadAes128GcmCipher> {
        if encrypt {
            return Box::new(Null);
        }
        self.0.aead_aes_128_gcm().create_cipher(key, false)
    }
}

impl SupportedAeadAes256Gcm for NullSending {
    fn create_cipher(&self, key: [u8; 32], encrypt: bool) -> Box<dyn AeadAes256GcmCipher> {
        if encrypt {
            return Box::new(Null);
        }
        self.0.aead_aes_256_gcm().create_cipher(key, false)
    }
}

/// Copies where a cipher would encrypt. What comes out never leaves the process: RTP is dropped,
/// RTCP is sealed again, see [`super::Connection::poll`].
#[derive(Debug)]
struct Null;

impl Aes128CmSha1_80Cipher for Null {
    fn encrypt(&mut self, _: &[u8; 16], input: &[u8], out: &mut [u8]) -> Result<(), CryptoError> {
        copy(input, out)
    }

    fn decrypt(&mut self, _: &[u8; 16], _: &[u8], _: &mut [u8]) -> Result<(), CryptoError> {
        Err(refused())
    }
}

impl AeadAes128GcmCipher for Null {
    fn encrypt(
        &mut self,
        _: &[u8; 12],
        _: &[u8],
        input: &[u8],
        out: &mut [u8],
    ) -> Result<(), CryptoError> {
        copy(input, out)
    }

    fn decrypt(
        &mut self,
        _: &[u8; 12],
        _: &[&[u8]],
        _: &[u8],
        _: &mut [u8],
    ) -> Result<usize, CryptoError> {
        Err(refused())
    }
}

impl AeadAes256GcmCipher for Null {
    fn encrypt(
        &mut self,
        _: &[u8; 12],
        _: &[u8],
        input: &[u8],
        out: &mut [u8],
    ) -> Result<(), CryptoError> {
        copy(input, out)
    }

    fn decrypt(
        &mut self,
        _: &[u8; 12],
        _: &[&[u8]],
        _: &[u8],
        _: &mut [u8],
    ) -> Result<usize, CryptoError> {
        Err(refused())
    }
}

fn copy(input: &[u8], out: &mut [u8]) -> Result<(), CryptoError> {
    match out.get_mut(..input.len()) {
        Some(out) => {
            out.copy_from_slice(input);
            Ok(())
        }
        None => Err(CryptoError::Other("output too small".into())),
    }
}

fn refused() -> CryptoError {
    CryptoError::Other("a sending cipher does not decrypt".into())
}

#[cfg(test)]
mod tests {
    use str0m::crypto::from_feature_flags;

    use super::*;

    #[test]
    fn a_sending_cipher_knows_no_key() {
        let crypto = Crypto::new(from_feature_flags());
        let provider = crypto.wrapped().srtp_provider;
        let mut out = [0; 24];
        provider
            .aead_aes_128_gcm()
            .create_cipher([7; 16], true)
            .encrypt(&[1; 12], &[2; 12], b"payload!", &mut out)
            .unwrap();
        assert_eq!(out[..8], *b"payload!");
        let mut cipher = provider.aead_aes_256_gcm().create_cipher([7; 32], true);
        assert!(
            cipher
                .decrypt(&[1; 12], &[&[2; 12]], &[0; 24], &mut out)
                .is_err()
        );
        let mut cipher = provider.aes_128_cm_sha1_80().create_cipher([7; 16], true);
        cipher.encrypt(&[1; 16], b"payload!", &mut out).unwrap();
        assert_eq!(out[..8], *b"payload!");
        assert!(cipher.encrypt(&[1; 16], &[0; 25], &mut out).is_err());
    }
}
