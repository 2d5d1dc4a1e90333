//! TLS: the operator's own certificate, or one by a local authority that the server makes.

pub(crate) mod acme;
mod certificate;
mod local;
mod trust;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

use crate::config::{CertificateFiles, Config};
use crate::mdns::Lan;
use crate::tasks;

pub use acme::{Desk, Report};
pub(crate) use certificate::Certificate;
pub use certificate::Names;
pub use local::LocalAuthority;
pub(crate) use local::is_local_authority;
pub use trust::mobile_profile;

/// How often files are looked at.
const FILES_INTERVAL: Duration = Duration::from_secs(3);

/// How often names, addresses and expiry of the own certificate are looked at.
const LOCAL_INTERVAL: Duration = Duration::from_secs(30);

/// Files that are used without configuration if they are in the working directory.
const USUAL_CERTIFICATE: &str = "service.crt";
const USUAL_PRIVATE_KEY: &str = "service.key";

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be used.
    #[error("cannot use {path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Certificate and key do not belong together.
    #[error("{certificate} and {private_key} do not belong together: {problem}")]
    Mismatch {
        /// The chain's file.
        certificate: PathBuf,
        /// The key's file.
        private_key: PathBuf,
        /// What the library said.
        problem: String,
    },
    /// The own certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Making(String),
}

impl TlsError {
    fn file(path: &Path, problem: impl fmt::Display) -> Self {
        Self::File {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }
}

/// Where certificates come from.
#[derive(Debug)]
pub enum Source {
    /// Files of the operator.
    Files(CertificateFiles),
    /// The server's own authority.
    Local(Box<LocalAuthority>),
}

/// The certificates that are shown at the moment, for those who watch over them.
#[derive(Debug, Clone)]
pub struct InUse {
    current: Arc<Current>,
    /// Where the usual one is from.
    usual: &'static str,
}

impl InUse {
    /// Where each is from, and the last moment at which it is valid; Unix time in seconds.
    pub(crate) fn ends(&self) -> Vec<(&'static str, u64)> {
        let usual = self.current.usual();
        let usual = usual.cert.first().map(Certificate::read);
        let usual = usual.and_then(Result::ok).map(|it| (self.usual, it.end()));
        let public = self.current.public.as_ref().and_then(|it| it.end());
        usual
            .into_iter()
            .chain(public.map(|end| ("acme", end)))
            .collect()
    }
}

/// Serves with the current certificate and replaces it when it changes.
#[derive(Debug)]
pub struct Tls {
    source: Source,
    acme: Option<acme::Acme>,
    current: Arc<Current>,
    server_config: Arc<ServerConfig>,
}

impl Tls {
    /// Chooses the source and loads, or makes, the certificate.
    ///
    /// # Errors
    ///
    /// If files are there and cannot be used, or none can be made.
    pub fn start(config: &Config, data_dir: &Path, names: &Names) -> Result<Self, TlsError> {
        let files = match config.acme {
            Some(_) => None,
            None => operators_files(config)?,
        };
        let (source, key) = match files {
            Some(files) => {
                let key = load(&files)?;
                (Source::Files(files), key)
            }
            None => {
                let mut authority = LocalAuthority::open(&data_dir.join("tls"))?;
                let files = authority.renew_if_needed(names, SystemTime::now())?;
                let key = load(&files)?;
                (Source::Local(Box::new(authority)), key)
            }
        };
        let acme = config
            .acme
            .as_ref()
            .map(|acme| acme::Acme::open(acme, &data_dir.join("tls")))
            .transpose()?;
        let public = acme.as_ref().map(acme::Acme::shown);
        let current = Arc::new(Current::new(key, public));
        let server_config = server_config(Arc::clone(&current))?;
        Ok(Self {
            source,
            acme,
            current,
            server_config,
        })
    }

    /// What connections are accepted with.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server_config)
    }

    /// The own authority's certificate (DER), if there is one.
    pub fn authority_certificate(&self) -> Option<CertificateDer<'static>> {
        match &self.source {
            Source::Files(_) => None,
            Source::Local(authority) => Some(authority.certificate()),
        }
    }

    /// How things are with the certificate by ACME, if one is wanted.
    pub fn desk(&self) -> Option<Desk> {
        self.acme.as_ref().map(acme::Acme::desk)
    }

    /// What is shown.
    pub fn in_use(&self) -> InUse {
        let usual = match self.source {
            Source::Files(_) => "files",
            Source::Local(_) => "local",
        };
        InUse {
            current: Arc::clone(&self.current),
            usual,
        }
    }

    /// For the start message.
    pub fn describe(&self) -> String {
        if let Some(acme) = &self.acme {
            return format!(
                "ACME for {}; for other names and addresses: local certificate authority",
                acme.config().domains.join(", ")
            );
        }
        match &self.source {
            Source::Files(files) => format!("certificate {}", files.certificate.display()),
            Source::Local(_) => "local certificate authority".to_owned(),
        }
    }

    /// Replaces the certificate when it has changed, for as long as the server runs. `names` says
    /// what the own certificate should be for at the moment; an authority is reached by way of `lan`.
    pub async fn keep_current(self, lan: Lan, names: impl Fn() -> Names + Send + Sync + 'static) {
        let current = &self.current;
        let public = async {
            if let Some(acme) = self.acme {
                acme.keep_current(lan).await;
            }
        };
        let usual = async {
            match self.source {
                Source::Files(files) => watch_files(files, current).await,
                Source::Local(authority) => renew(authority, current, names).await,
            }
        };
        tokio::join!(public, usual);
    }
}

/// Whom the system trusts, so that a company's own authority counts; whom browsers trust where the
/// system has none.
pub(crate) fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "some certificates of the system cannot be read");
    }
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// The certificate of an authority made for this, and what a server with a certificate by it accepts
/// connections with. Nothing is kept.
///
/// # Errors
///
/// If they cannot be made.
pub(crate) fn in_memory(
    names: &Names,
) -> Result<(CertificateDer<'static>, Arc<ServerConfig>), TlsError> {
    let (authority, leaf, key) = local::in_memory(names, SystemTime::now())?;
    let chain = vec![leaf, authority.clone()];
    let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
        .map_err(|error| TlsError::Making(error.to_string()))?;
    let current = Arc::new(Current::new(key, None));
    Ok((authority, server_config(current)?))
}

/// The operator's own certificate, if there is one: what is configured, or what is in the working
/// directory.
pub(crate) fn operators_files(config: &Config) -> Result<Option<CertificateFiles>, TlsError> {
    match &config.tls.files {
        Some(files) => Ok(Some(files.clone())),
        None => usual_files(Path::new(".")),
    }
}

/// Checks that a certificate chain and a private key, both PEM, belong together.
///
/// # Errors
///
/// Says why they do not.
pub(crate) fn check_pair(certificate: &[u8], private_key: &[u8]) -> Result<(), String> {
    let chain = CertificateDer::pem_slice_iter(certificate);
    let chain: Vec<_> = chain
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(private_key).map_err(|error| error.to_string())?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
        .map(drop)
        .map_err(|error| error.to_string())
}

fn usual_files(dir: &Path) -> Result<Option<CertificateFiles>, TlsError> {
    let files = CertificateFiles {
        certificate: dir.join(USUAL_CERTIFICATE),
        private_key: dir.join(USUAL_PRIVATE_KEY),
    };
    match (files.certificate.exists(), files.private_key.exists()) {
        (true, true) => Ok(Some(files)),
        (false, false) => Ok(None),
        (true, false) => Err(TlsError::file(
            &files.private_key,
            "it is missing, though service.crt is in the working directory; add it or remove that",
        )),
        (false, true) => Err(TlsError::file(
            &files.certificate,
            "it is missing, though service.key is in the working directory; add it or remove that",
        )),
    }
}

fn load(files: &CertificateFiles) -> Result<CertifiedKey, TlsError> {
    let CertificateFiles {
        certificate,
        private_key,
    } = files;
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| TlsError::file(certificate, error))?;
    if chain.is_empty() {
        return Err(TlsError::file(
            certificate,
            "there is no certificate in it (PEM)",
        ));
    }
    let key = PrivateKeyDer::from_pem_file(private_key)
        .map_err(|error| TlsError::file(private_key, error))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| {
        TlsError::Mismatch {
            certificate: certificate.clone(),
            private_key: private_key.clone(),
            problem: error.to_string(),
        }
    })
}

fn server_config(current: Arc<Current>) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Making(error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if current.public.is_some() {
        config.alpn_protocols.push(acme::PROTOCOL.to_vec());
    }
    Ok(Arc::new(config))
}

/// The certificates in use.
#[derive(Debug)]
struct Current {
    usual: RwLock<Arc<CertifiedKey>>,
    /// That of a public authority, for its names.
    public: Option<Arc<acme::Shown>>,
}

impl Current {
    fn new(usual: CertifiedKey, public: Option<Arc<acme::Shown>>) -> Self {
        let usual = RwLock::new(Arc::new(usual));
        Self { usual, public }
    }

    fn usual(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.usual.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, key: CertifiedKey) {
        *self.usual.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(public) = &self.public {
            let name = hello.server_name();
            if hello
                .alpn()
                .is_some_and(|wanted| wanted.eq([acme::PROTOCOL]))
            {
                // An authority with a challenge, which gets nothing else (RFC 8737, section 3).
                return public.answer_for(name?);
            }
            if let Some(key) = name.and_then(|name| public.certificate_for(name, SystemTime::now()))
            {
                return Some(key);
            }
        }
        Some(self.usual())
    }
}

/// What tells that a file has changed.
type Stamp = (Option<SystemTime>, u64);

fn stamp(files: &CertificateFiles) -> [Stamp; 2] {
    [&files.certificate, &files.private_key]
        .map(|path| std::fs::metadata(path).map_or((None, 0), |m| (m.modified().ok(), m.len())))
}

/// Notices when files change.
#[derive(Debug)]
struct FileWatch {
    files: CertificateFiles,
    seen: [Stamp; 2],
}

impl FileWatch {
    fn new(files: CertificateFiles) -> Self {
        let seen = stamp(&files);
        Self { files, seen }
    }

    /// The new certificate if the files have changed since they were last loaded.
    fn look(&mut self) -> Result<Option<CertifiedKey>, TlsError> {
        let now = stamp(&self.files);
        if now == self.seen {
            return Ok(None);
        }
        // Perhaps half written: it is tried again until it fits.
        let key = load(&self.files)?;
        self.seen = now;
        Ok(Some(key))
    }
}

async fn watch_files(files: CertificateFiles, current: &Current) {
    let mut watch = FileWatch::new(files);
    loop {
        tokio::time::sleep(FILES_INTERVAL).await;
        match watch.look() {
            Ok(None) => {}
            Ok(Some(key)) => {
                current.replace(key);
                tracing::info!(file = %watch.files.certificate.display(), "certificate reloaded");
            }
            Err(error) => tracing::warn!(%error, "the old certificate stays in use"),
        }
    }
}

async fn renew(
    mut authority: Box<LocalAuthority>,
    current: &Current,
    names: impl Fn() -> Names + Send + Sync + 'static,
) {
    let names = Arc::new(names);
    loop {
        tokio::time::sleep(LOCAL_INTERVAL).await;
        let names = Arc::clone(&names);
        let done = tasks::spawn_blocking(move || {
            let result = authority.refresh(&names(), SystemTime::now());
            (authority, result)
        })
        .await;
        let Ok((back, result)) = done else {
            tracing::error!("the renewal of the certificate has ended");
            return;
        };
        authority = back;
        match result.and_then(|files| files.map(|files| load(&files)).transpose()) {
            Ok(None) => {}
            Ok(Some(key)) => {
                current.replace(key);
                tracing::info!("certificate renewed");
            }
            Err(error) => tracing::warn!(%error, "the old certificate stays in use"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_pair(dir: &Path, host: &str) -> CertificateFiles {
        write_pair_until(dir, host, 2_000_000_000)
    }

    fn write_pair_until(dir: &Path, host: &str, end: u64) -> CertificateFiles {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_after = (SystemTime::UNIX_EPOCH + Duration::from_secs(end)).into();
        let certificate = params.self_signed(&key).unwrap();
        let files = CertificateFiles {
            certificate: dir.join(USUAL_CERTIFICATE),
            private_key: dir.join(USUAL_PRIVATE_KEY),
        };
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.private_key, key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn files_in_the_working_directory_win() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(usual_files(dir.path()).unwrap(), None);
        let files = write_pair(dir.path(), "localhost");
        assert_eq!(usual_files(dir.path()).unwrap(), Some(files.clone()));
        load(&files).unwrap();
    }

    #[test]
    fn a_missing_half_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let files = write_pair(dir.path(), "localhost");
        std::fs::remove_file(&files.private_key).unwrap();
        let error = usual_files(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("service.key") && error.contains("missing"),
            "{error}"
        );
    }

    #[test]
    fn files_that_do_not_fit_are_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let files = write_pair(dir.path(), "localhost");
        let other = tempfile::tempdir().unwrap();
        let strange = write_pair(other.path(), "localhost");
        let mixed = CertificateFiles {
            certificate: files.certificate.clone(),
            private_key: strange.private_key,
        };
        assert!(matches!(load(&mixed), Err(TlsError::Mismatch { .. })));
        std::fs::write(&files.certificate, "rubbish").unwrap();
        let error = load(&files).unwrap_err().to_string();
        assert!(error.contains("service.crt"), "{error}");
    }

    #[test]
    fn the_end_that_is_told_is_that_of_a_certificate_that_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let key = load(&write_pair_until(dir.path(), "localhost", 2_000_000_000));
        let current = Arc::new(Current::new(key.unwrap(), None));
        let in_use = InUse {
            current: Arc::clone(&current),
            usual: "files",
        };
        assert_eq!(in_use.ends(), [("files", 2_000_000_000)]);
        let key = load(&write_pair_until(dir.path(), "localhost", 2_100_000_000));
        current.replace(key.unwrap());
        assert_eq!(in_use.ends(), [("files", 2_100_000_000)]);
    }

    #[test]
    fn a_changed_file_is_served_without_restart() {
        let dir = tempfile::tempdir().unwrap();
        let files = write_pair(dir.path(), "localhost");
        let old = load(&files).unwrap();
        let mut watch = FileWatch::new(files.clone());
        assert!(watch.look().unwrap().is_none());
        std::fs::write(&files.certificate, "half written").unwrap();
        assert!(watch.look().is_err());
        write_pair(dir.path(), "another-name-of-another-length.local");
        let new = watch.look().unwrap().unwrap();
        assert_ne!(old.cert[0], new.cert[0]);
        assert!(watch.look().unwrap().is_none());
    }
}
