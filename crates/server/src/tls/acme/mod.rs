//! A certificate of a public authority by ACME (RFC 8555), proved at the server's own TLS port
//! (TLS-ALPN-01, RFC 8737). See `docs/decisions/0016-acme.md`.
//!
//! Trouble here never stops the server: what it has stays in use, and the own authority's
//! certificate is served as long as there is no other.

mod client;
mod order;
mod state;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use instant_acme::Error;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::CertifiedKey;

use super::{Current, TlsError};
use crate::config::AcmeConfig;
pub use state::Report;
use state::{Kept, Served};

/// What a validating authority asks for in TLS (RFC 8737, section 6.2).
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";

/// The file in the data directory's `tls`: account, certificate, keys, and when to try again.
pub(crate) const FILE: &str = "acme.json";

/// How long one attempt may take as a whole.
const ATTEMPT: Duration = Duration::from_secs(300);

/// At least this often the clock is looked at, which may have been set meanwhile.
const LOOK: Duration = Duration::from_secs(60);

fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

/// Why there was no certificate.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The authority could not be asked: that costs it nothing, and may be over soon.
    #[error("the ACME server cannot be asked: {0}")]
    Unreachable(String),
    /// The authority said no. It counts that, so that the next try has to wait.
    #[error("the authority refuses: {0}")]
    Refused(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Error::Api(_) = error {
            Failure::Refused(error.to_string())
        } else {
            Failure::Unreachable(error.to_string())
        }
    }
}

/// What is shown to an authority that comes for a challenge, by domain.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<HashMap<String, Arc<CertifiedKey>>>);

impl Answers {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<CertifiedKey>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, domain: &str, key: CertifiedKey) {
        self.lock().insert(domain.to_owned(), Arc::new(key));
    }

    fn clear(&self) {
        self.lock().clear();
    }

    /// For the name that is asked for.
    pub(super) fn of(&self, domain: &str) -> Option<Arc<CertifiedKey>> {
        self.lock().get(domain).cloned()
    }
}

/// How things are, for the admin. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Reports(Arc<Mutex<Report>>);

impl Reports {
    /// As it is now.
    pub fn now(&self) -> Report {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, report: Report) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }
}

/// Gets the certificate and renews it.
#[derive(Debug)]
pub(super) struct Acme {
    config: AcmeConfig,
    path: PathBuf,
    kept: Kept,
    served: Option<Served>,
    reports: Reports,
}

impl Acme {
    /// Takes up what is kept in `dir`, the `tls` of the data directory.
    pub(super) fn open(
        config: &AcmeConfig,
        dir: &Path,
    ) -> Result<(Acme, Option<CertifiedKey>), TlsError> {
        let path = dir.join(FILE);
        let mut kept = Kept::read(&path)?;
        kept.adopt(config);
        let mut acme = Acme {
            config: config.clone(),
            path,
            kept,
            served: None,
            reports: Reports::default(),
        };
        let key = acme.take_up();
        acme.report();
        Ok((acme, key))
    }

    pub(super) fn config(&self) -> &AcmeConfig {
        &self.config
    }

    pub(super) fn reports(&self) -> Reports {
        self.reports.clone()
    }

    /// Uses the kept certificate, if it is for all domains and one can.
    fn take_up(&mut self) -> Option<CertifiedKey> {
        let (served, key) = self.kept.usable(&self.config.domains)?;
        self.served = Some(served);
        Some(key)
    }

    fn report(&self) {
        self.reports
            .set(Report::of(&self.config, self.served.as_ref(), &self.kept));
    }

    /// Gets and renews for as long as the server runs.
    pub(super) async fn keep_current(mut self, current: &Current) {
        loop {
            let now = SystemTime::now();
            let due = self.kept.due(self.served.as_ref());
            match due.duration_since(now) {
                Ok(left) if !left.is_zero() => {
                    tokio::time::sleep(left.min(LOOK)).await;
                    continue;
                }
                Ok(_) | Err(_) => {}
            }
            let attempt = tokio::time::timeout(ATTEMPT, self.attempt(current));
            let done = match attempt.await {
                Ok(done) => done,
                Err(_) => Err(Failure::Unreachable("it takes too long".to_owned())),
            };
            current.answers().clear();
            self.conclude(done, current);
        }
    }

    async fn attempt(&mut self, current: &Current) -> Result<(), Failure> {
        let kept = self.kept.account.as_deref();
        let (account, new) = order::account(&self.config, kept).await?;
        if let Some(new) = new {
            self.kept.account = Some(new);
            // Kept at once: an account for each try would be an abuse.
            self.save();
        }
        let domains = &self.config.domains;
        let issued = order::certificate(&account, domains, current.answers()).await?;
        self.kept.issued(issued.chain, issued.private_key);
        Ok(())
    }

    fn conclude(&mut self, done: Result<(), Failure>, current: &Current) {
        let done = done.and_then(|()| {
            self.take_up().ok_or_else(|| {
                Failure::Refused("it has issued a certificate that is of no use here".to_owned())
            })
        });
        match done {
            Ok(key) => {
                current.set_public(key);
                self.kept.succeeded();
                let (issuer, until) = self.served.as_ref().map_or(("", 0), Served::facts);
                tracing::info!(domains = ?self.config.domains, issuer, valid_until = until, "certificate obtained");
            }
            Err(failure) => {
                let wait = self.kept.failed(&failure, SystemTime::now());
                let error = self.kept.last_error.as_deref().unwrap_or_default();
                let serving = match &self.served {
                    Some(_) => "the certificate that is there stays in use",
                    None => "the server's own certificate, which browsers do not trust, is in use",
                };
                tracing::warn!(
                    domains = ?self.config.domains,
                    error,
                    next_try_s = wait.as_secs(),
                    "no certificate from the ACME server; {serving}"
                );
            }
        }
        self.save();
        self.report();
    }

    fn save(&self) {
        if let Err(error) = self.kept.write(&self.path) {
            tracing::error!(%error, "the certificate is in use, but a restart will ask for another one");
        }
    }
}
