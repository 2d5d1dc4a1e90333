//! What clients are shown: the certificate for its names, or the answer to a challenge.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::sign::CertifiedKey;

use super::state::{Served, unix};

/// What a validating authority asks for in TLS (RFC 8737, section 6.2).
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";

/// Changed by the one who gets the certificate, read at every handshake.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    certificate: RwLock<Option<Certificate>>,
    /// What is shown to an authority that comes for a challenge, by domain.
    answers: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

#[derive(Debug)]
struct Certificate {
    key: Arc<CertifiedKey>,
    names: Vec<String>,
    /// Unix time in seconds.
    end: u64,
}

impl Shown {
    /// From now on, and until its end, this one.
    pub(super) fn set(&self, key: CertifiedKey, served: &Served) {
        let mut certificate = self
            .certificate
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *certificate = Some(Certificate {
            key: Arc::new(key),
            names: served.names.clone(),
            end: served.end,
        });
    }

    /// For a client that asks for this name. None for other names, nor one that has expired: nobody
    /// would accept it, while some trust the server's own authority.
    pub(crate) fn certificate_for(&self, name: &str, now: SystemTime) -> Option<Arc<CertifiedKey>> {
        let certificate = self
            .certificate
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let Certificate { key, names, end } = certificate.as_ref()?;
        let mut names = names.iter();
        let is_for = names.any(|it| it.eq_ignore_ascii_case(name));
        (is_for && unix(now) < *end).then(|| Arc::clone(key))
    }

    /// The last moment of the certificate, if there is one; Unix time in seconds.
    pub(crate) fn end(&self) -> Option<u64> {
        let certificate = self
            .certificate
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        certificate.as_ref().map(|certificate| certificate.end)
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

    use super::super::state::tests::issued;
    use super::*;

    #[test]
    fn expired_certificate_stays_in_use() {
        let (served, key) = issued(&["a.example.org"])
            .read(&["a.example.org".to_owned()])
            .unwrap();
        let shown = Shown::default();
        let is_shown = |name, second| {
            let now = UNIX_EPOCH + Duration::from_secs(second);
            shown.certificate_for(name, now).is_some()
        };
        assert!(!is_shown("a.example.org", 0));
        assert_eq!(shown.end(), None);
        shown.set(key, &served);
        assert_eq!(shown.end(), Some(served.end));
        assert!(is_shown("A.example.org", served.end - 1));
        assert!(!is_shown("b.example.org", served.end - 1));
        assert!(!is_shown("a.example.org", served.end));
    }
}
