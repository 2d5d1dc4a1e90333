//! What clients are shown: the certificate for its names, or the answer to a challenge.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::sign::CertifiedKey;

use super::state::unix;

/// What a validating authority asks for in TLS (RFC 8737, section 6.2).
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";

/// Changed by the one who gets the certificate, read at every handshake.
#[derive(Debug)]
pub(crate) struct Shown {
    domains: Vec<String>,
    /// The certificate, and its end in Unix time, in seconds.
    certificate: RwLock<Option<(Arc<CertifiedKey>, u64)>>,
    /// What is shown to an authority that comes for a challenge, by domain.
    answers: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl Shown {
    pub(super) fn new(domains: Vec<String>) -> Shown {
        Shown {
            domains,
            certificate: RwLock::default(),
            answers: Mutex::default(),
        }
    }

    /// From now on, and until its end (Unix time in seconds), this one.
    pub(super) fn set(&self, key: CertifiedKey, end: u64) {
        let mut certificate = self
            .certificate
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *certificate = Some((Arc::new(key), end));
    }

    /// For a client that asks for this name. None for other names, nor one that has expired: nobody
    /// would accept it, while some trust the server's own authority.
    pub(crate) fn certificate_for(&self, name: &str, now: SystemTime) -> Option<Arc<CertifiedKey>> {
        let mut domains = self.domains.iter();
        if !domains.any(|domain| name.eq_ignore_ascii_case(domain)) {
            return None;
        }
        let certificate = self
            .certificate
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let (key, end) = certificate.as_ref()?;
        (unix(now) < *end).then(|| Arc::clone(key))
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, Arc<CertifiedKey>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn answer(&self, domain: &str, key: CertifiedKey) {
        self.answers().insert(domain.to_owned(), Arc::new(key));
    }

    pub(super) fn clear_answers(&self) {
        self.answers().clear();
    }

    /// For an authority that comes for a challenge and asks for this name.
    pub(crate) fn answer_for(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.answers().get(&name.to_ascii_lowercase()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::order::answer;
    use super::*;

    #[test]
    fn expired_certificate_stays_in_use() {
        let shown = Shown::new(vec!["a.example.org".to_owned()]);
        let is_shown = |name, second| {
            let now = UNIX_EPOCH + Duration::from_secs(second);
            shown.certificate_for(name, now).is_some()
        };
        assert!(!is_shown("a.example.org", 0));
        shown.set(answer("a.example.org", &[0; 32]).unwrap(), 1_000);
        assert!(is_shown("A.example.org", 999));
        assert!(!is_shown("b.example.org", 999));
        assert!(!is_shown("a.example.org", 1_000));
    }
}
