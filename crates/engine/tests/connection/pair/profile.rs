//! DTLS that agrees on one SRTP profile: str0m offers all, and two str0m take the strongest.

use std::time::Instant;

use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, KeyingMaterial,
    ProtocolVersion, SrtpProfile,
};
use str0m::crypto::{CryptoError, CryptoProvider, from_feature_flags};

/// A provider for both ends of a connection.
pub(crate) fn forced(profile: SrtpProfile) -> CryptoProvider {
    let real = from_feature_flags();
    let dtls_provider = Box::leak(Box::new(Forced {
        real: real.dtls_provider,
        profile,
    }));
    CryptoProvider {
        dtls_provider,
        ..real
    }
}

#[derive(Debug)]
struct Forced {
    real: &'static dyn DtlsProvider,
    profile: SrtpProfile,
}

impl DtlsProvider for Forced {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.real.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let real = self.real.new_dtls(certificate, now, version, mtu)?;
        Ok(Box::new(ForcedInstance {
            real,
            profile: self.profile,
        }))
    }
}

#[derive(Debug)]
struct ForcedInstance {
    real: Box<dyn DtlsInstance>,
    profile: SrtpProfile,
}

impl DtlsInstance for ForcedInstance {
    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        match self.real.poll_output(buffer) {
            // Both ends shorten the same secret.
            DtlsOutput::KeyingMaterial(material, _) => {
                let material = &material[..self.profile.keying_material_len()];
                DtlsOutput::KeyingMaterial(KeyingMaterial::new(material), self.profile)
            }
            other => other,
        }
    }

    fn set_active(&mut self, active: bool) {
        self.real.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.real.handle_packet(packet)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.real.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.real.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.real.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.real.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.real.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.real.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.real.close()
    }
}
