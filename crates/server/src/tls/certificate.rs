//! What a certificate says of itself (RFC 5280, section 4). Whether that is true, others check.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rcgen::string::{Ia5String, PrintableString};
use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, Issuer, KeyIdMethod, KeyPair};
use rustls::pki_types::CertificateDer;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode as _, Tag, Tagged as _};
use x509_cert::ext::pkix::name::{DirectoryString, GeneralName};
use x509_cert::ext::pkix::{SubjectAltName, SubjectKeyIdentifier};
use x509_cert::name::Name;

/// id-at-commonName.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// id-at-organizationName.
const ORGANIZATION_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");

/// It is not a certificate, or one with something in it that is not understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// It is not what RFC 5280 describes.
    #[error("not a certificate: {0}")]
    Malformed(#[from] x509_cert::der::Error),
    /// Certificates by this authority could not name it.
    #[error("the authority's name is of a kind that certificates by it cannot repeat")]
    Name,
}

/// What a certificate is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Host names.
    pub hosts: BTreeSet<String>,
    /// Addresses.
    pub addresses: BTreeSet<IpAddr>,
}

/// A certificate that has been read.
#[derive(Debug)]
pub(crate) struct Certificate(x509_cert::Certificate);

impl Certificate {
    /// Reads a certificate.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub(crate) fn read(der: &CertificateDer<'_>) -> Result<Self, Unreadable> {
        Ok(Self(x509_cert::Certificate::from_der(der)?))
    }

    /// The first moment at which it is valid; Unix time in seconds.
    pub(crate) fn start(&self) -> u64 {
        let validity = self.0.tbs_certificate().validity();
        validity.not_before.to_unix_duration().as_secs()
    }

    /// The last moment at which it is valid; Unix time in seconds.
    pub(crate) fn end(&self) -> u64 {
        let validity = self.0.tbs_certificate().validity();
        validity.not_after.to_unix_duration().as_secs()
    }

    /// All of it.
    #[cfg(test)]
    pub(super) fn as_written(&self) -> &x509_cert::Certificate {
        &self.0
    }

    /// The organizations that its subject is, or belongs to.
    pub(super) fn organizations(&self) -> impl Iterator<Item = String> {
        texts(self.0.tbs_certificate().subject(), ORGANIZATION_NAME)
    }

    /// The issuer's organization and common name.
    pub(super) fn issued_by(&self) -> (Option<String>, Option<String>) {
        let issuer = self.0.tbs_certificate().issuer();
        (
            texts(issuer, ORGANIZATION_NAME).next(),
            texts(issuer, COMMON_NAME).next(),
        )
    }

    /// The hosts and addresses that it is for; `None` if it does not say that, or not in a way that is
    /// understood.
    pub(super) fn names(&self) -> Option<Names> {
        let (_, SubjectAltName(found)) = self.0.tbs_certificate().get_extension().ok()??;
        let mut names = Names::default();
        for name in found {
            if let GeneralName::DnsName(host) = name {
                names.hosts.insert(host.as_str().to_owned());
            } else if let GeneralName::IpAddress(octets) = name {
                let octets = octets.as_bytes();
                let ip = <[u8; 4]>::try_from(octets)
                    .map(IpAddr::from)
                    .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from));
                names.addresses.insert(ip.ok()?);
            }
        }
        Some(names)
    }

    /// The same as an authority that signs with that key.
    ///
    /// # Errors
    ///
    /// If certificates could not name it as it names itself.
    pub(super) fn into_issuer(self, key: KeyPair) -> Result<Issuer<'static, KeyPair>, Unreadable> {
        let certificate = self.0.tbs_certificate();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for part in certificate.subject().iter_rdn() {
            let mut parts = part.iter();
            let (Some(part), None) = (parts.next(), parts.next()) else {
                return Err(Unreadable::Name);
            };
            let (kind, value) = dn_part(part).ok_or(Unreadable::Name)?;
            params.distinguished_name.push(kind, value);
        }
        if let Some((_, SubjectKeyIdentifier(id))) = certificate.get_extension()? {
            params.key_identifier_method = KeyIdMethod::PreSpecified(id.into_bytes().into());
        }
        Ok(Issuer::new(params, key))
    }
}

/// What a name says of this kind, as far as it is text.
fn texts(name: &Name, kind: ObjectIdentifier) -> impl Iterator<Item = String> {
    let of_kind = name.iter().filter(move |part| part.oid == kind);
    of_kind.filter_map(|part| {
        let text = DirectoryString::try_from(&part.value).ok()?;
        Some(text.value().into_owned())
    })
}

/// A part of a name, to be written as it was read: to be the same, two names have to be written alike
/// (RFC 5280, section 7.1, in the way that most compare them).
fn dn_part(part: &AttributeTypeAndValue) -> Option<(DnType, DnValue)> {
    let kind: Vec<u64> = part.oid.arcs().map(u64::from).collect();
    let text = std::str::from_utf8(part.value.value()).ok()?;
    let tag = part.value.tag();
    let value = if tag == Tag::Utf8String {
        DnValue::Utf8String(text.to_owned())
    } else if tag == Tag::PrintableString {
        DnValue::PrintableString(PrintableString::try_from(text).ok()?)
    } else if tag == Tag::Ia5String {
        DnValue::Ia5String(Ia5String::try_from(text).ok()?)
    } else {
        return None;
    };
    Some((DnType::from_oid(&kind), value))
}

#[cfg(test)]
pub(super) mod tests {
    use rcgen::{BasicConstraints, IsCa};

    use super::*;

    fn authority(name: DnValue) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let country = PrintableString::try_from("CH").unwrap();
        params
            .distinguished_name
            .push(DnType::CountryName, DnValue::PrintableString(country));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_identifier_method = KeyIdMethod::PreSpecified(vec![7; 20]);
        let certificate = params.self_signed(&key).unwrap();
        (certificate.der().clone(), key)
    }

    /// What a client says that trusts this authority alone.
    pub(in crate::tls) fn verified_by(
        authority: &CertificateDer<'static>,
        leaf: &CertificateDer<'_>,
        name: &'static str,
    ) -> Result<(), rustls::Error> {
        use rustls::client::danger::ServerCertVerifier as _;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.clone()).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
            std::sync::Arc::new(roots),
            std::sync::Arc::new(provider),
        );
        let name = name.try_into().unwrap();
        let now = rustls::pki_types::UnixTime::now();
        let verifier = verifier.build().unwrap();
        verifier
            .verify_server_cert(leaf, &[], &name, &[], now)
            .map(drop)
    }

    #[test]
    fn certificate_by_an_operators_own_authority_is_not_taken_for_anothers() {
        let (certificate, key) = authority("Käfer und Söhne".into());
        let read = Certificate::read(&certificate).unwrap();
        let subject = read.as_written().tbs_certificate().subject().clone();
        let issuer = read.into_issuer(key).unwrap();
        let mut params = CertificateParams::new(vec!["box.example.org".to_owned()]).unwrap();
        params.use_authority_key_identifier_extension = true;
        let leaf = params
            .signed_by(&KeyPair::generate().unwrap(), &issuer)
            .unwrap();
        verified_by(&certificate, leaf.der(), "box.example.org").unwrap();
        let (other, _) = authority("Käfer".into());
        assert!(verified_by(&other, leaf.der(), "box.example.org").is_err());
        let leaf = Certificate::read(leaf.der()).unwrap();
        let says = leaf.as_written().tbs_certificate();
        // Written alike, not only meaning the same.
        assert_eq!(*says.issuer(), subject);
        let (_, by) = says
            .get_extension::<x509_cert::ext::pkix::AuthorityKeyIdentifier>()
            .unwrap()
            .unwrap();
        assert_eq!(by.key_identifier.unwrap().as_bytes(), [7; 20]);
        let name = Some("Käfer und Söhne".to_owned());
        assert_eq!(leaf.issued_by(), (None, name));
    }

    #[test]
    fn authority_whose_name_cannot_be_repeated_is_refused_with_the_reason() {
        let name = rcgen::string::BmpString::try_from("Umbrella").unwrap();
        let (certificate, key) = authority(DnValue::BmpString(name));
        let read = Certificate::read(&certificate).unwrap();
        assert!(matches!(read.into_issuer(key), Err(Unreadable::Name)));
        let cut = CertificateDer::from(certificate[..certificate.len() - 1].to_vec());
        let error = Certificate::read(&cut).unwrap_err().to_string();
        assert!(error.starts_with("not a certificate: "), "{error}");
    }
}
