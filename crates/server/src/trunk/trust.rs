//! How the other server's certificate is judged: by the authorities that the system trusts, or by
//! one that the join secret or the operator vouches for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::secret::Pin;

/// Whom the system trusts. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    system: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

/// What was found wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stranger {
    /// Nobody vouches for this authority, and nobody has been asked.
    Unknown(Pin),
    /// It is not the one that was vouched for.
    Other,
}

/// What [`Judge`] has found, after a connection has failed.
pub(super) type Finding = Arc<Mutex<Option<Stranger>>>;

impl Trust {
    /// By these authorities.
    pub(super) fn new(roots: RootCertStore) -> anyhow::Result<Trust> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let system =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()?;
        Ok(Trust { system, provider })
    }

    /// For one connection to a server that one of these pins vouches for, if there are any.
    pub(super) fn client(&self, pins: Vec<Pin>) -> anyhow::Result<(Arc<ClientConfig>, Finding)> {
        let finding = Finding::default();
        let judge = Judge {
            trust: self.clone(),
            pins,
            finding: Arc::clone(&finding),
        };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(judge))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok((Arc::new(config), finding))
    }
}

/// Takes and empties a finding.
pub(super) fn found(finding: &Finding) -> Option<Stranger> {
    let mut finding = finding.lock().unwrap_or_else(PoisonError::into_inner);
    finding.take()
}

#[derive(Debug)]
struct Judge {
    trust: Trust,
    pins: Vec<Pin>,
    finding: Finding,
}

impl Judge {
    /// A pinned authority vouches for one server only: under which name that is reached does not
    /// matter. Neither does what our clock says, which on many an access point is wrong until it
    /// has reached the internet: whoever could use an old certificate has the authority's key, too.
    fn is_pinned(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> bool {
        if self.pins.contains(&Pin::of(leaf)) {
            return true;
        }
        let anchor = others.iter().find(|c| self.pins.contains(&Pin::of(c)));
        let Some(anchor) = anchor else {
            return false;
        };
        let mut roots = RootCertStore::empty();
        let (Ok(()), Ok(parsed)) = (
            roots.add(anchor.clone().into_owned()),
            ParsedCertificate::try_from(leaf),
        ) else {
            return false;
        };
        let Some(now) = within(leaf) else {
            return false;
        };
        let algorithms = self.trust.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, others, now, algorithms).is_ok()
    }
}

/// A time at which a certificate is valid, and with it the authority that has signed it.
fn within(certificate: &CertificateDer<'_>) -> Option<UnixTime> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let start = parsed.validity().not_before.timestamp();
    let start = u64::try_from(start).ok()?;
    let end = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
    let middle = start + end.saturating_sub(start) / 2;
    Some(UnixTime::since_unix_epoch(Duration::from_secs(middle)))
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let system = &self.trust.system;
        let error = match system.verify_server_cert(leaf, others, name, ocsp, now) {
            Ok(verified) => return Ok(verified),
            Err(error) => error,
        };
        if self.is_pinned(leaf, others) {
            return Ok(ServerCertVerified::assertion());
        }
        let stranger = if !self.pins.is_empty() {
            Some(Stranger::Other)
        } else if is_unknown(&error) {
            Some(Stranger::Unknown(Pin::of(others.last().unwrap_or(leaf))))
        } else {
            None
        };
        *self.finding.lock().unwrap_or_else(PoisonError::into_inner) = stranger;
        Err(error)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.system.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.system.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.system.supported_verify_schemes()
    }
}

/// Nobody known has signed it. Other faults, such as another name, are none that somebody could
/// confirm away.
fn is_unknown(error: &Error) -> bool {
    let Error::InvalidCertificate(error) = error else {
        return false;
    };
    // A certificate that signs itself is an authority where there should be none.
    matches!(error, CertificateError::UnknownIssuer)
        || matches!(error, CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity"))
}
