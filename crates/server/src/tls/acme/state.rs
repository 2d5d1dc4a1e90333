//! What outlives a restart: a restart must not cost an order, nor forget that one has to wait.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

use super::super::TlsError;
use super::super::certificate::Certificate;
use super::super::local::write_private;
use super::{Failure, provider};
use crate::config::AcmeConfig;

/// After the first refusal. Let's Encrypt allows five failed validations of a name in an hour.
const REFUSED: (Duration, Duration) =
    (Duration::from_secs(15 * 60), Duration::from_secs(12 * 3600));

/// After the first time that the authority could not be asked, and at most. A machine that has just
/// started may be faster than its network.
const UNREACHABLE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3600));

/// An authority may ask for more patience than that, and gets it up to here: the longest of Let's
/// Encrypt's limits is for a week.
const LONGEST: Duration = Duration::from_secs(8 * 86_400);

/// Characters of an error that are kept and shown: the other side wrote some of them.
const ERROR_CHARS: usize = 600;

/// The file.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    /// For which ACME server all of this is.
    directory: String,
    /// What the failures below were about.
    domains: Vec<String>,
    /// Number, address and private key of the account.
    pub(super) account: Option<String>,
    /// What the authority was told.
    pub(super) email: Option<String>,
    /// The last one.
    certificate: Option<Issued>,
    /// Failures since the last success.
    failures: u32,
    /// Unix time in seconds before which nothing is tried.
    not_before: u64,
    /// The last failure since the last success.
    pub(super) last_error: Option<String>,
}

/// Without keys.
impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept({}, {} failures)", self.directory, self.failures)
    }
}

/// A certificate, as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Issued {
    /// PEM.
    pub(super) chain: String,
    /// PEM, secret.
    pub(super) private_key: String,
}

impl Issued {
    /// To be shown to those who ask for some of these names, if it fits its key.
    pub(super) fn read(&self, domains: &[String]) -> Option<(Served, CertifiedKey)> {
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes());
        let chain: Vec<_> = chain.collect::<Result<_, _>>().ok()?;
        let leaf = Certificate::read(chain.first()?).ok()?;
        let key = PrivateKeyDer::from_pem_slice(self.private_key.as_bytes()).ok()?;
        let key = CertifiedKey::from_der(chain, key, &provider()).ok()?;
        let hosts = leaf.names()?.hosts;
        let is_for = |name: &&String| hosts.iter().any(|host| host.eq_ignore_ascii_case(name));
        let names: Vec<String> = domains.iter().filter(is_for).cloned().collect();
        if names.is_empty() {
            return None;
        }
        let served = Served {
            issuer: for_people(leaf.issued_by()),
            for_all: names.len() == domains.len(),
            names,
            start: leaf.start(),
            end: leaf.end(),
        };
        Some((served, key))
    }
}

/// What is to be known of a certificate.
#[derive(Debug, Clone)]
pub(super) struct Served {
    /// Who has issued it.
    pub(super) issuer: String,
    /// Which of the wanted names it is for.
    pub(super) names: Vec<String>,
    /// Whether it is for all of them: some may have been added.
    pub(super) for_all: bool,
    /// Unix time in seconds.
    start: u64,
    /// Unix time in seconds.
    pub(super) end: u64,
}

impl Served {
    /// When the next one is to be asked for, in Unix time, in seconds: at two thirds of its life.
    pub(super) fn renewal(&self) -> u64 {
        match self.for_all {
            true => self.start + self.end.saturating_sub(self.start) / 3 * 2,
            false => 0,
        }
    }

    /// For how long it is still valid, if it is.
    pub(super) fn left(&self) -> Option<Duration> {
        let end = UNIX_EPOCH + Duration::from_secs(self.end);
        let left = end.duration_since(SystemTime::now()).ok()?;
        (!left.is_zero()).then_some(left)
    }
}

/// How things are with the certificate of a public authority.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The names that are wanted.
    pub domains: Vec<String>,
    /// Those of them that the one that there is is for.
    pub names: Vec<String>,
    /// Whether there is one that has not expired. Otherwise the server's own is served.
    pub in_use: bool,
    /// Who has issued the one that there is.
    pub issuer: Option<String>,
    /// Until when that is valid, Unix time in seconds.
    pub valid_until: Option<u64>,
    /// Why the last try to get one failed, if it did.
    pub last_error: Option<String>,
    /// When one is asked for next, Unix time in seconds. What is past is being done.
    pub next_try: u64,
}

impl Report {
    pub(super) fn of(config: &AcmeConfig, served: Option<&Served>, kept: &Kept) -> Report {
        Report {
            domains: config.domains.clone(),
            in_use: served.and_then(Served::left).is_some(),
            names: served.map_or_else(Vec::new, |served| served.names.clone()),
            issuer: served.map(|served| served.issuer.clone()),
            valid_until: served.map(|served| served.end),
            last_error: kept.last_error.clone(),
            next_try: unix(kept.due(served, SystemTime::now())),
        }
    }
}

impl Kept {
    /// What is in the file; nothing if there is none.
    pub(super) fn read(path: &Path) -> Result<Kept, TlsError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(serde_json::from_str(&text).unwrap_or_else(|_| {
                tracing::warn!(file = %path.display(), "makes no sense and is begun anew");
                Kept::default()
            })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Kept::default()),
            Err(error) => Err(TlsError::file(path, error)),
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), TlsError> {
        let text = serde_json::to_string(self).map_err(|error| TlsError::file(path, error))?;
        write_private(path, &text)
    }

    /// Forgets what belongs to another ACME server, and failures with other names.
    pub(super) fn adopt(&mut self, config: &AcmeConfig) {
        if self.directory != config.directory {
            *self = Kept {
                directory: config.directory.clone(),
                ..Kept::default()
            };
        }
        if self.domains != config.domains {
            self.domains.clone_from(&config.domains);
            self.begin_anew();
        }
    }

    /// Notes a new account, or what has changed of the one that there is.
    pub(super) fn introduced(&mut self, account: String, config: &AcmeConfig) {
        self.account = Some(account);
        self.email.clone_from(&config.email);
    }

    /// Notes a new certificate, and that all is well.
    pub(super) fn succeeded(&mut self, issued: Issued) {
        self.certificate = Some(issued);
        self.begin_anew();
    }

    fn begin_anew(&mut self) {
        (self.failures, self.not_before, self.last_error) = (0, 0, None);
    }

    /// Whoever has mended something after a failure need not wait, and has not failed before.
    pub(super) fn hurry(&mut self) {
        (self.failures, self.not_before) = (0, 0);
    }

    /// Notes a failure, after which the authority may have asked for patience; how long to wait.
    pub(super) fn failed(
        &mut self,
        failure: &Failure,
        asked: Option<Duration>,
        now: SystemTime,
    ) -> Duration {
        let (first, most) = match failure {
            Failure::Unreachable(_) | Failure::NoAccount => UNREACHABLE,
            Failure::Refused(_) | Failure::Unfinished(_) => REFUSED,
        };
        if matches!(failure, Failure::NoAccount) {
            self.account = None;
        }
        let usual = first.saturating_mul(1 << self.failures.min(10)).min(most);
        let wait = usual.max(asked.unwrap_or_default()).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.not_before = unix(now).saturating_add(wait.as_secs());
        let text = failure.to_string();
        let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        self.last_error = Some(clean.take(ERROR_CHARS).collect());
        wait
    }

    /// When the next certificate is to be asked for.
    pub(super) fn due(&self, served: Option<&Served>, now: SystemTime) -> SystemTime {
        let renewal = served.map_or(0, Served::renewal);
        // Nobody waits for longer: the clock was wrong when that was noted.
        let possible = self.not_before <= unix(now).saturating_add(LONGEST.as_secs());
        let not_before = if possible { self.not_before } else { 0 };
        UNIX_EPOCH + Duration::from_secs(renewal.max(not_before))
    }

    /// The kept certificate, if it can be used for some of these names.
    pub(super) fn usable(&self, domains: &[String]) -> Option<(Served, CertifiedKey)> {
        self.certificate.as_ref()?.read(domains)
    }
}

/// Such as "Let's Encrypt (R11)".
fn for_people((organization, name): (Option<String>, Option<String>)) -> String {
    let clean = |text: String| -> String {
        let clean = text.chars().filter(|c| !c.is_control());
        clean.take(100).collect()
    };
    match (organization.map(clean), name.map(clean)) {
        (Some(organization), Some(name)) => format!("{organization} ({name})"),
        (Some(name), None) | (None, Some(name)) => name,
        (None, None) => "an authority without a name".to_owned(),
    }
}

/// Unix time in seconds.
pub(super) fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn config(directory: &str, domains: &[&str]) -> AcmeConfig {
        AcmeConfig {
            domains: domains.iter().map(|name| (*name).to_owned()).collect(),
            email: None,
            directory: directory.to_owned(),
            ca_file: None,
        }
    }

    /// Valid from second 1,000,000 to 1,900,000.
    pub(in super::super) fn issued(names: &[&str]) -> Issued {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_before = (UNIX_EPOCH + Duration::from_secs(1_000_000)).into();
        params.not_after = (UNIX_EPOCH + Duration::from_secs(1_900_000)).into();
        Issued {
            chain: params.self_signed(&key).unwrap().pem(),
            private_key: key.serialize_pem(),
        }
    }

    fn holding(names: &[&str]) -> Kept {
        let mut kept = Kept::default();
        kept.succeeded(issued(names));
        kept
    }

    #[test]
    fn a_server_that_keeps_restarting_does_not_use_up_the_authoritys_patience() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("acme.json");
        let wanted = config("https://a/dir", &["a.example.org"]);
        let mut now = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let start = now;
        let mut tries_in_an_hour = 0;
        for _ in 0..20 {
            let mut kept = Kept::read(&path).unwrap();
            kept.adopt(&wanted);
            now = now.max(kept.due(None, now));
            if now < start + Duration::from_secs(3600) {
                tries_in_an_hour += 1;
            }
            let wait = kept.failed(&Failure::Refused("no\n".to_owned()), None, now);
            assert!(wait <= REFUSED.1);
            kept.write(&path).unwrap();
        }
        assert!(tries_in_an_hour < 5, "{tries_in_an_hour}");
        let mut kept = Kept::read(&path).unwrap();
        assert!(!kept.last_error.clone().unwrap().contains('\n'));
        // Whoever has corrected something need not wait.
        let mut hurried = kept.clone();
        hurried.hurry();
        assert_eq!(hurried.due(None, now), UNIX_EPOCH);
        kept.adopt(&config("https://a/dir", &["b.example.org"]));
        assert_eq!(kept.due(None, now), UNIX_EPOCH);
    }

    #[test]
    fn certificate_is_renewed_at_two_thirds_of_its_life() {
        let kept = holding(&["a.example.org"]);
        let (served, _) = kept.usable(&["a.example.org".to_owned()]).unwrap();
        assert_eq!(
            kept.due(Some(&served), UNIX_EPOCH),
            UNIX_EPOCH + Duration::from_secs(1_600_000)
        );
        assert_eq!(served.end, 1_900_000);
    }

    #[test]
    fn name_that_was_added_takes_the_certificate_of_the_others_away() {
        let kept = holding(&["A.example.org"]);
        let domains = ["a.example.org", "b.example.org"].map(str::to_owned);
        let (served, _) = kept.usable(&domains).unwrap();
        assert_eq!(served.names, ["a.example.org"]);
        // And it is not waited with the new one.
        assert_eq!(kept.due(Some(&served), UNIX_EPOCH), UNIX_EPOCH);
    }

    #[test]
    fn authority_that_asks_for_a_week_is_asked_again_in_a_quarter_of_an_hour() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let refused = Failure::Refused("rateLimited".to_owned());
        let week = Duration::from_secs(7 * 86_400);
        let mut kept = Kept::default();
        assert_eq!(kept.failed(&refused, Some(week), now), week);
        assert_eq!(kept.due(None, now), now + week);
        // Neither are wishes taken for more than that, nor for less than usual.
        let mut kept = Kept::default();
        assert_eq!(kept.failed(&refused, Some(Duration::MAX), now), LONGEST);
        let mut kept = Kept::default();
        assert_eq!(kept.failed(&refused, Some(Duration::ZERO), now), REFUSED.0);
    }

    #[test]
    fn clock_that_was_years_ahead_stops_renewal_for_years() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let mut kept = Kept::default();
        let ahead = now + Duration::from_secs(1_000_000_000);
        kept.failed(&Failure::Refused(String::new()), None, ahead);
        assert!(kept.due(None, now) <= now);
    }

    #[test]
    fn authority_that_was_made_anew_never_knows_the_account_again() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let mut kept = Kept::default();
        kept.introduced(
            "{}".to_owned(),
            &config("https://a/dir", &["a.example.org"]),
        );
        let wait = kept.failed(&Failure::NoAccount, None, now);
        assert_eq!((wait, kept.account), (UNREACHABLE.0, None));
    }

    #[test]
    fn certificate_for_other_names_or_of_another_authority_is_not_used() {
        let mut kept = holding(&["a.example.org"]);
        assert!(kept.usable(&["b.example.org".to_owned()]).is_none());
        kept.adopt(&config("https://staging/dir", &["a.example.org"]));
        assert!(kept.usable(&["a.example.org".to_owned()]).is_none());
    }
}
