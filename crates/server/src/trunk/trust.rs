//! How the other server's certificate is judged: by the authorities that the system trusts, or by
//! one that the join secret or the operator vouches for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor, verify_server_name,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::secret::Pin;
use crate::tls::{Certificate, is_local_authority};

/// Whom the system trusts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Trust {
    system: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

/// What was found wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// Nobody vouches for this authority, and nobody has been asked.
    Unknown(Pin),
    /// It is not the one that was vouched for.
    Other,
}

/// What [`Judge`] has found, after a connection has failed.
pub(crate) type Finding = Arc<Mutex<Option<Stranger>>>;

impl Trust {
    /// By these authorities.
    ///
    /// # Errors
    ///
    /// If there are none.
    pub fn new(roots: RootCertStore) -> anyhow::Result<Trust> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let system =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()?;
        Ok(Trust { system, provider })
    }

    /// For one connection to a server that one of these pins vouches for, if there are any.
    pub(crate) fn client(&self, pins: Vec<Pin>) -> anyhow::Result<(ClientConfig, Finding)> {
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
        Ok((config, finding))
    }
}

/// Takes and empties a finding.
pub(crate) fn found(finding: &Finding) -> Option<Stranger> {
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
    /// A server's own authority vouches for that server only: under which name it is reached does
    /// not matter. Neither does what our clock says, which on many an access point is wrong until
    /// it has reached the internet: whoever could use an old certificate has the authority's key,
    /// too. Another authority may vouch for many.
    fn is_pinned(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> bool {
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
        let for_one = is_local_authority(anchor);
        let now = if for_one { within(leaf) } else { Some(now) };
        let Some(now) = now else {
            return false;
        };
        let algorithms = self.trust.provider.signature_verification_algorithms.all;
        let signed =
            verify_server_cert_signed_by_trust_anchor(&parsed, &roots, others, now, algorithms);
        signed.is_ok() && (for_one || verify_server_name(&parsed, name).is_ok())
    }
}

/// A time at which a certificate is valid, and with it the authority that has signed it.
fn within(certificate: &CertificateDer<'_>) -> Option<UnixTime> {
    let certificate = Certificate::read(certificate).ok()?;
    let (start, end) = (certificate.start(), certificate.end());
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
        if self.is_pinned(leaf, others, name, now) {
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
    // A wrong signature is one, too: an authority that was made anew has the name of the old one.
    !matches!(
        error,
        CertificateError::BadEncoding
            | CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
            | CertificateError::NotValidForName
            | CertificateError::NotValidForNameContext { .. }
            | CertificateError::Revoked
    )
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use rustls::pki_types::pem::PemObject as _;

    use super::*;
    use crate::tls::{LocalAuthority, Names};

    /// The certificate of a server by its own authority, and that.
    fn local(dir: &tempfile::TempDir) -> (CertificateDer<'static>, CertificateDer<'static>) {
        let mut authority = LocalAuthority::open(dir.path()).unwrap();
        let names = Names {
            hosts: ["box.local".to_owned()].into(),
            ..Names::default()
        };
        let files = authority
            .renew_if_needed(&names, SystemTime::now())
            .unwrap();
        let leaf = CertificateDer::from_pem_file(&files.certificate).unwrap();
        (leaf, authority.certificate())
    }

    /// A certificate by somebody else's authority, and that.
    fn foreign() -> (CertificateDer<'static>, CertificateDer<'static>) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = rcgen::Issuer::new(params, key);
        let leaf_key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(["box.local".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
        (leaf.der().clone(), authority.der().clone())
    }

    fn judge(
        pins: Vec<Pin>,
        (leaf, authority): &(CertificateDer<'static>, CertificateDer<'static>),
        name: &'static str,
        years: u64,
    ) -> (bool, Option<Stranger>) {
        // Somebody's, since there must be one.
        let mut roots = RootCertStore::empty();
        roots.add(foreign().1).unwrap();
        let judge = Judge {
            trust: Trust::new(roots).unwrap(),
            pins,
            finding: Finding::default(),
        };
        let now = UnixTime::now().as_secs() + years * 365 * 86_400;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let name = ServerName::try_from(name).unwrap();
        let verified =
            judge.verify_server_cert(leaf, std::slice::from_ref(authority), &name, &[], now);
        (verified.is_ok(), found(&judge.finding))
    }

    #[test]
    fn pinned_server_is_refused_for_its_name_or_for_our_clock() {
        let dir = tempfile::tempdir().unwrap();
        let server = local(&dir);
        let pin = Pin::of(&server.1);
        for (name, years) in [("box.local", 0), ("meet.example.org", 0), ("192.0.2.1", 30)] {
            assert_eq!(
                judge(vec![pin], &server, name, years),
                (true, None),
                "{name}"
            );
        }
        let other = judge(vec![Pin::of(b"x")], &server, "box.local", 0);
        assert_eq!(other, (false, Some(Stranger::Other)));
        let unknown = judge(Vec::new(), &server, "box.local", 0);
        assert_eq!(unknown, (false, Some(Stranger::Unknown(pin))));
    }

    #[test]
    fn pinned_authority_vouches_for_what_another_server_has_signed() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (a, b) = (local(&a), local(&b));
        // The right authority is shown along with somebody else's certificate.
        let mixed = (b.0, a.1.clone());
        assert!(!judge(vec![Pin::of(&a.1)], &mixed, "box.local", 0).0);
    }

    #[test]
    fn authority_of_many_vouches_for_any_of_them() {
        let server = foreign();
        let pin = Pin::of(&server.1);
        assert!(judge(vec![pin], &server, "box.local", 0).0);
        assert!(!judge(vec![pin], &server, "other.local", 0).0);
    }

    #[test]
    fn certificate_that_was_confirmed_itself_is_refused() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["box.local".to_owned()]).unwrap();
        let alone = params.self_signed(&key).unwrap().der().clone();
        let pin = Pin::of(&alone);
        let server = (alone.clone(), alone);
        let unknown = judge(Vec::new(), &server, "box.local", 0);
        assert_eq!(unknown, (false, Some(Stranger::Unknown(pin))));
        assert!(judge(vec![pin], &server, "box.local", 0).0);
    }
}
