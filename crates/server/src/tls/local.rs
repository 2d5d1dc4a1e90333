//! A certificate authority of the server's own, and the server's certificate by it.
//!
//! The authority is made once and lives for ten years, so that a device has to be told to trust
//! it once. The server's certificate is made anew whenever names or addresses change.

use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{Certificate, Names, TlsError};
use crate::config::CertificateFiles;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long devices that trust the authority do so.
const AUTHORITY_LIFETIME: Duration = DAY.saturating_mul(3650);

/// The authority is replaced when it has less than this left: more than a server certificate of
/// its own would live.
const AUTHORITY_REMAINDER: Duration = DAY.saturating_mul(400);

/// Apple accepts at most 825 days of certificates by private authorities, and 398 of others.
const LEAF_LIFETIME: Duration = DAY.saturating_mul(396);

/// The certificate is replaced when it has less than this left.
const LEAF_REMAINDER: Duration = DAY.saturating_mul(60);

/// Certificates begin a little in the past, for clients whose clocks are behind.
const BACKDATED: Duration = DAY;

/// The organization in every authority of this kind.
const ORGANIZATION: &str = "Umbrella local certificate authority";

/// Whether a certificate is that of a server's own authority, which vouches for that server alone.
/// Anybody can make one that looks like it: it has to be known for another reason.
pub(crate) fn is_local_authority(certificate: &CertificateDer<'_>) -> bool {
    let Ok(certificate) = Certificate::read(certificate) else {
        return false;
    };
    certificate.organizations().any(|name| name == ORGANIZATION)
}

/// The server's own authority, kept in a directory.
#[derive(Debug)]
pub struct LocalAuthority {
    dir: PathBuf,
    certificate: CertificateDer<'static>,
}

impl LocalAuthority {
    /// Opens the authority in `dir`, or makes one if there is none or it is about to expire.
    ///
    /// # Errors
    ///
    /// If the directory cannot be used, or what is in it cannot be understood.
    pub fn open(dir: &Path) -> Result<Self, TlsError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| TlsError::file(dir, error))?;
        let path = dir.join("ca.crt");
        let now = SystemTime::now();
        if path.exists() && dir.join("ca.key").exists() {
            let certificate = CertificateDer::from_pem_file(&path)
                .map_err(|error| TlsError::file(&path, error))?;
            let read = Certificate::read(&certificate);
            let read = read.map_err(|error| TlsError::file(&path, error))?;
            if remaining(&read, now) > AUTHORITY_REMAINDER {
                return Ok(Self {
                    dir: dir.to_owned(),
                    certificate,
                });
            }
            tracing::warn!("the certificate authority expires: devices have to trust a new one");
        }
        let certificate = make_authority(dir, now)?;
        // What the old authority has signed is of no use any more.
        let _ = std::fs::remove_file(dir.join("server.crt"));
        Ok(Self {
            dir: dir.to_owned(),
            certificate,
        })
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// Makes a server certificate if there is none, or it is for other names, or expires soon.
    ///
    /// # Errors
    ///
    /// If it cannot be made or written.
    pub fn renew_if_needed(
        &mut self,
        names: &Names,
        now: SystemTime,
    ) -> Result<CertificateFiles, TlsError> {
        self.refresh(names, now)?;
        Ok(self.files())
    }

    /// The same; `None` if nothing had to be done.
    ///
    /// # Errors
    ///
    /// If it cannot be made or written.
    pub fn refresh(
        &mut self,
        names: &Names,
        now: SystemTime,
    ) -> Result<Option<CertificateFiles>, TlsError> {
        if self.is_current(names, now) {
            return Ok(None);
        }
        self.make_leaf(names, now)?;
        Ok(Some(self.files()))
    }

    fn files(&self) -> CertificateFiles {
        CertificateFiles {
            certificate: self.dir.join("server.crt"),
            private_key: self.dir.join("server.key"),
        }
    }

    fn is_current(&self, names: &Names, now: SystemTime) -> bool {
        let files = self.files();
        let Ok(leaf) = CertificateDer::from_pem_file(&files.certificate) else {
            return false;
        };
        let Ok(leaf) = Certificate::read(&leaf) else {
            return false;
        };
        let left = remaining(&leaf, now);
        files.private_key.exists()
            && left > LEAF_REMAINDER
            && left <= LEAF_LIFETIME
            && leaf.names().is_some_and(|found| found == *names)
    }

    fn make_leaf(&self, names: &Names, now: SystemTime) -> Result<(), TlsError> {
        let key_path = self.dir.join("ca.key");
        let text =
            std::fs::read_to_string(&key_path).map_err(|error| TlsError::file(&key_path, error))?;
        let key = KeyPair::from_pem(&text).map_err(|error| TlsError::file(&key_path, error))?;
        let issuer = issuer(&self.certificate, key)?;
        let (leaf, leaf_key) = leaf(names, now, &issuer)?;
        let files = self.files();
        write_private(&files.private_key, &leaf_key.serialize_pem())?;
        // The authority goes along: clients that were given it can show the whole chain.
        let authority = std::fs::read_to_string(self.dir.join("ca.crt"))
            .map_err(|error| TlsError::file(&self.dir.join("ca.crt"), error))?;
        write_private(&files.certificate, &format!("{}{authority}", leaf.pem()))
    }
}

fn making(error: rcgen::Error) -> TlsError {
    TlsError::Making(error.to_string())
}

/// An authority's certificate, and that of a server by it with its key. They are kept nowhere.
pub(super) fn in_memory(
    names: &Names,
    now: SystemTime,
) -> Result<
    (
        CertificateDer<'static>,
        CertificateDer<'static>,
        PrivateKeyDer<'static>,
    ),
    TlsError,
> {
    let (authority, key) = authority(now)?;
    let issuer = issuer(authority.der(), key)?;
    let (leaf, key) = leaf(names, now, &issuer)?;
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    Ok((authority.der().clone(), leaf.der().clone(), key.into()))
}

fn make_authority(dir: &Path, now: SystemTime) -> Result<CertificateDer<'static>, TlsError> {
    let (certificate, key) = authority(now)?;
    write_private(&dir.join("ca.key"), &key.serialize_pem())?;
    write_private(&dir.join("ca.crt"), &certificate.pem())?;
    Ok(certificate.der().clone())
}

fn authority(now: SystemTime) -> Result<(rcgen::Certificate, KeyPair), TlsError> {
    let key = KeyPair::generate().map_err(making)?;
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    let host = crate::net::host_name().unwrap_or_else(|| "this network".to_owned());
    name.push(DnType::CommonName, format!("Umbrella on {host}"));
    name.push(DnType::OrganizationName, ORGANIZATION);
    params.distinguished_name = name;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + AUTHORITY_LIFETIME).into();
    let certificate = params.self_signed(&key).map_err(making)?;
    Ok((certificate, key))
}

fn issuer(
    authority: &CertificateDer<'_>,
    key: KeyPair,
) -> Result<Issuer<'static, KeyPair>, TlsError> {
    let issuer = Certificate::read(authority).and_then(|authority| authority.into_issuer(key));
    issuer.map_err(|error| TlsError::Making(error.to_string()))
}

fn leaf(
    names: &Names,
    now: SystemTime,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<(rcgen::Certificate, KeyPair), TlsError> {
    let key = KeyPair::generate().map_err(making)?;
    let params = leaf_params(names, now)?;
    Ok((params.signed_by(&key, issuer).map_err(making)?, key))
}

fn leaf_params(names: &Names, now: SystemTime) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "Umbrella");
    params.distinguished_name = subject;
    for host in &names.hosts {
        let name = host.as_str().try_into().map_err(making)?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    for ip in &names.addresses {
        params.subject_alt_names.push(SanType::IpAddress(*ip));
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now - BACKDATED + LEAF_LIFETIME).into();
    Ok(params)
}

/// How long a certificate is still valid.
fn remaining(certificate: &Certificate, now: SystemTime) -> Duration {
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(certificate.end());
    end.duration_since(now).unwrap_or_default()
}

/// Writes a file that only this user may read, whole or not at all.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), TlsError> {
    use std::io::Write as _;
    let failed = |error| TlsError::file(path, error);
    let temporary = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use x509_cert::der::oid::ObjectIdentifier;
    use x509_cert::ext::pkix::{
        AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier,
    };

    use super::super::certificate::tests::verified_by;
    use super::*;

    /// id-kp-serverAuth.
    const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");

    fn names(addresses: &[&str]) -> Names {
        Names {
            hosts: ["localhost", "box", "box.local"].map(str::to_owned).into(),
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
        }
    }

    fn leaf(files: &CertificateFiles) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&files.certificate).unwrap()
    }

    #[test]
    fn certificates_are_such_as_phones_accept() {
        let dir = tempfile::tempdir().unwrap();
        let mut authority = LocalAuthority::open(dir.path()).unwrap();
        let wanted = names(&["127.0.0.1", "::1", "192.168.1.2"]);
        let now = SystemTime::now();
        let leaf = leaf(&authority.renew_if_needed(&wanted, now).unwrap());
        let parsed = Certificate::read(&leaf).unwrap();
        let lifetime = parsed.end() - parsed.start();
        assert!(lifetime <= 397 * 86_400, "{lifetime}");
        assert_eq!(parsed.names().unwrap(), wanted);
        let leaf_says = parsed.as_written().tbs_certificate();
        let (_, ExtendedKeyUsage(uses)) = leaf_says.get_extension().unwrap().unwrap();
        assert_eq!(uses, [SERVER_AUTH]);
        let (_, constraints) = leaf_says
            .get_extension::<BasicConstraints>()
            .unwrap()
            .unwrap();
        assert!(!constraints.ca);
        let der = authority.certificate();
        let ca = Certificate::read(&der).unwrap();
        let ca_says = ca.as_written().tbs_certificate();
        let (_, constraints) = ca_says
            .get_extension::<BasicConstraints>()
            .unwrap()
            .unwrap();
        assert!(constraints.ca);
        let (_, uses) = ca_says.get_extension::<KeyUsage>().unwrap().unwrap();
        assert!(uses.key_cert_sign());
        for name in ["box.local", "192.168.1.2", "::1"] {
            verified_by(&der, &leaf, name).unwrap();
        }
        assert_eq!(leaf_says.issuer(), ca_says.subject());
        let (_, by) = leaf_says
            .get_extension::<AuthorityKeyIdentifier>()
            .unwrap()
            .unwrap();
        let (_, own) = ca_says
            .get_extension::<SubjectKeyIdentifier>()
            .unwrap()
            .unwrap();
        assert_eq!(by.key_identifier.unwrap(), own.0);
        assert_eq!((ca.end() - ca.start()) / 31_536_000, 10);
    }

    #[test]
    fn a_new_address_brings_a_new_certificate_by_the_same_authority() {
        let dir = tempfile::tempdir().unwrap();
        let mut authority = LocalAuthority::open(dir.path()).unwrap();
        let now = SystemTime::now();
        let before = leaf(
            &authority
                .renew_if_needed(&names(&["10.0.0.1"]), now)
                .unwrap(),
        );
        assert!(
            authority
                .refresh(&names(&["10.0.0.1"]), now)
                .unwrap()
                .is_none()
        );
        let ca = authority.certificate();
        let mut authority = LocalAuthority::open(dir.path()).unwrap();
        assert_eq!(authority.certificate(), ca);
        let files = authority
            .refresh(&names(&["10.0.0.2"]), now)
            .unwrap()
            .unwrap();
        assert_ne!(leaf(&files), before);
    }

    #[test]
    fn a_certificate_is_renewed_before_it_expires() {
        let dir = tempfile::tempdir().unwrap();
        let mut authority = LocalAuthority::open(dir.path()).unwrap();
        let now = SystemTime::now();
        authority.renew_if_needed(&names(&[]), now).unwrap();
        assert!(
            authority
                .refresh(&names(&[]), now + DAY * 300)
                .unwrap()
                .is_none()
        );
        assert!(
            authority
                .refresh(&names(&[]), now + DAY * 340)
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn keys_are_readable_by_their_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut authority = LocalAuthority::open(dir.path()).unwrap();
        authority
            .renew_if_needed(&names(&[]), SystemTime::now())
            .unwrap();
        for name in ["ca.key", "server.key"] {
            let mode = std::fs::metadata(dir.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
