//! A certificate of a public authority by ACME (RFC 8555), proved at the server's own TLS port
//! (TLS-ALPN-01, RFC 8737). See `docs/decisions/0017-acme.md`.
//!
//! Trouble here never stops the server: what it has stays in use until it expires, and the own
//! authority's certificate is served as long as there is no other.

mod client;
mod order;
mod shown;
mod state;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use instant_acme::Error;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::CertifiedKey;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::TlsError;
use crate::config::AcmeConfig;
use crate::mdns::Lan;
use crate::tasks;
use client::{Asked, Https};
pub(crate) use shown::{PROTOCOL, Shown};
pub use state::Report;
use state::{Issued, Kept, Served, unix};

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
    /// It has lost the account, or was made anew.
    #[error("the ACME server does not know this server any more, which introduces itself anew")]
    NoAccount,
    /// The authority said no. It counts that, so that the next try has to wait.
    #[error("the authority refuses: {0}")]
    Refused(String),
    /// The authority had work with it, and may do it all again.
    #[error("the order was not finished: {0}")]
    Unfinished(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let Error::Api(problem) = error else {
            return Failure::Unreachable(error.to_string());
        };
        match problem.r#type.as_deref() {
            Some("urn:ietf:params:acme:error:accountDoesNotExist") => Failure::NoAccount,
            Some(_) | None => Failure::Refused(problem.to_string()),
        }
    }
}

/// The admin's side: how things are, and that they be tried. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Desk(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    report: Mutex<Report>,
    hurry: Notify,
}

impl Desk {
    /// As it is now.
    pub fn report(&self) -> Report {
        let mut report = self.lock().clone();
        report.in_use = unix(SystemTime::now()) < report.valid_until.unwrap_or(0);
        report
    }

    /// Tries again at once after a failure. Nothing happens while all is well, or while it is tried.
    pub fn try_now(&self) {
        self.0.hurry.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gets the certificate and renews it.
#[derive(Debug)]
pub(super) struct Acme {
    config: AcmeConfig,
    path: PathBuf,
    kept: Kept,
    served: Option<Served>,
    shown: Arc<Shown>,
    desk: Desk,
}

impl Acme {
    /// Takes up what is kept in `dir`, the `tls` of the data directory.
    pub(super) fn open(config: &AcmeConfig, dir: &Path) -> Result<Acme, TlsError> {
        let path = dir.join(FILE);
        let mut kept = Kept::read(&path)?;
        kept.adopt(config);
        let mut acme = Acme {
            config: config.clone(),
            path,
            kept,
            served: None,
            shown: Arc::default(),
            desk: Desk::default(),
        };
        if let Some((served, key)) = acme.kept.usable(&config.domains) {
            acme.show(served, key);
        }
        acme.report();
        Ok(acme)
    }

    pub(super) fn config(&self) -> &AcmeConfig {
        &self.config
    }

    pub(super) fn shown(&self) -> Arc<Shown> {
        Arc::clone(&self.shown)
    }

    pub(super) fn desk(&self) -> Desk {
        self.desk.clone()
    }

    fn show(&mut self, served: Served, key: CertifiedKey) {
        self.shown.set(key, &served);
        self.served = Some(served);
    }

    fn report(&self) {
        *self.desk.lock() = Report::of(&self.config, self.served.as_ref(), &self.kept);
    }

    /// Gets and renews for as long as the server runs.
    pub(super) async fn keep_current(mut self, lan: Lan) {
        let mut told = false;
        if let Some(error) = &self.kept.last_error {
            let next_try_s = self.left().as_secs();
            let served = self.serving();
            tracing::warn!(error, next_try_s, "the last try failed; {served}");
        }
        loop {
            let expired = self.served.as_ref().is_some_and(|it| it.left().is_none());
            if expired && !told {
                tracing::error!("the public certificate has expired; {}", self.serving());
            }
            told = expired;
            let left = self.left();
            if left.is_zero() {
                self.try_once(&lan).await;
                continue;
            }
            let valid = self.served.as_ref().and_then(Served::left);
            tokio::select! {
                () = sleep(left.min(valid.unwrap_or(LOOK)).min(LOOK)) => {}
                () = self.desk.0.hurry.notified() => self.hurry(),
            }
        }
    }

    fn hurry(&mut self) {
        self.kept.hurry();
        self.report();
    }

    /// How long until the next try.
    fn left(&self) -> Duration {
        let now = SystemTime::now();
        let due = self.kept.due(self.served.as_ref(), now);
        due.duration_since(now).unwrap_or_default()
    }

    fn serving(&self) -> &'static str {
        match self.served.as_ref().and_then(Served::left) {
            Some(_) => "the certificate that is there stays in use",
            None => "the server's own, which browsers do not trust, is in use",
        }
    }

    async fn try_once(&mut self, lan: &Lan) {
        let asked = Asked::default();
        let attempt = timeout(ATTEMPT, self.attempt(lan, &asked));
        let done = attempt
            .await
            .unwrap_or_else(|_| Err(Failure::Unfinished("it takes too long".to_owned())));
        self.shown.clear_answers();
        if let Err(failure) = done.and_then(|issued| self.accept(issued)) {
            self.failed(&failure, asked.wait());
        }
        self.save().await;
        self.report();
    }

    async fn attempt(&mut self, lan: &Lan, asked: &Asked) -> Result<Issued, Failure> {
        let http = Https::open(lan.clone(), self.config.ca_file.clone(), asked.clone());
        let unreachable = |error| Failure::Unreachable(format!("{error:#}"));
        let http = http.await.map_err(unreachable)?;
        let (account, new) = order::account(&self.config, &self.kept, http).await?;
        if let Some(new) = new {
            self.kept.introduced(new, &self.config);
            // Kept at once: an account for each try would be an abuse.
            self.save().await;
        }
        order::certificate(&account, &self.config.domains, &self.shown).await
    }

    /// One that is not better than what is there would be asked for again at once, for ever.
    fn accept(&mut self, issued: Issued) -> Result<(), Failure> {
        let unfit = |why| Failure::Unfinished(format!("the certificate that was issued {why}"));
        let (served, key) = issued
            .read(&self.config.domains)
            .ok_or_else(|| unfit("is of no use here"))?;
        if !served.for_all {
            return Err(unfit("is not for all names"));
        }
        if served.renewal() <= unix(SystemTime::now()) {
            return Err(unfit("is too old by the clock of this machine"));
        }
        let (issuer, valid_until) = (&served.issuer, served.end);
        tracing::info!(domains = ?served.names, issuer, valid_until, "certificate obtained");
        self.kept.succeeded(issued);
        self.show(served, key);
        Ok(())
    }

    fn failed(&mut self, failure: &Failure, asked: Option<Duration>) {
        let wait = self.kept.failed(failure, asked, SystemTime::now());
        tracing::warn!(
            domains = ?self.config.domains,
            error = self.kept.last_error.as_deref().unwrap_or_default(),
            next_try_s = wait.as_secs(),
            "no certificate from the ACME server; {}",
            self.serving(),
        );
    }

    async fn save(&self) {
        let (kept, path) = (self.kept.clone(), self.path.clone());
        let written = tasks::spawn_blocking(move || kept.write(&path)).await;
        if let Ok(Err(error)) = written {
            tracing::error!(%error, "what the ACME server gave is lost with a restart");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::state::tests::issued;
    use super::*;

    #[test]
    fn clock_that_is_ahead_orders_one_certificate_after_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let config = AcmeConfig {
            domains: vec!["a.example.org".to_owned()],
            email: None,
            directory: "https://a/dir".to_owned(),
            ca_file: None,
        };
        let mut acme = Acme::open(&config, dir.path()).unwrap();
        // Of 1970: as one of today's is to who lives in a hundred years.
        let why = acme.accept(issued(&["a.example.org"])).unwrap_err();
        assert!(matches!(why, Failure::Unfinished(_)), "{why}");
        acme.failed(&why, None);
        assert!(acme.left() > Duration::from_secs(600));
    }
}
