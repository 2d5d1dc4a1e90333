//! A certificate of a public authority, by ACME.

use std::path::PathBuf;

use super::file::{Acme, Tls};
use super::parse::{Blame, is_host_name};
use super::{ConfigError, PublicHost};

/// Let's Encrypt, whose certificates browsers trust.
const PRODUCTION: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Let's Encrypt for trials: generous limits, certificates that nobody trusts.
const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// Names in one certificate: as many as Let's Encrypt allows in its smallest profile.
const MAX_DOMAINS: usize = 25;

/// What is asked of an ACME server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeConfig {
    /// Names for the certificate, lower case, at least one.
    pub domains: Vec<String>,
    /// Whom the authority may write to.
    pub email: Option<String>,
    /// URL of the directory (RFC 8555, section 7.1.1), `https://`.
    pub directory: String,
    /// Authorities that the ACME server itself is trusted by, besides the system's; PEM.
    pub ca_file: Option<PathBuf>,
}

impl AcmeConfig {
    /// Where people reach the page, as the authority does.
    pub(super) fn public_host(&self) -> PublicHost {
        PublicHost {
            host: self.domains.first().cloned().unwrap_or_default(),
            port: Some(443),
        }
    }
}

/// `None` without domains.
pub(super) fn check(
    written: &Acme,
    tls: &Tls,
    cloud: bool,
    blame: &Blame<'_>,
) -> Result<Option<AcmeConfig>, ConfigError> {
    let wrong = |name: &str, problem: &str| blame.error("acme", name, problem);
    if written.domains.is_empty() {
        return Ok(None);
    }
    if cloud {
        let problem = "a certificate is of no use in cloud mode, where the proxy in front has it; \
                       leave them out, or server.cloud off";
        return Err(wrong("domains", problem));
    }
    if !tls.certificate.trim().is_empty() {
        let problem = "tls.certificate is given as well; leave one of them out";
        return Err(wrong("domains", problem));
    }
    let domains = read_domains(&written.domains).map_err(|problem| wrong("domains", &problem))?;
    if !written.accept_terms {
        let problem = "must be true: a certificate is given only to those who accept the \
                       authority's terms (of Let's Encrypt: https://letsencrypt.org/repository/)";
        return Err(wrong("accept_terms", problem));
    }
    let email = match written.email.trim() {
        "" => None,
        text if is_email(text) => Some(text.to_owned()),
        _ => {
            let problem = "expected one address such as admin@example.org";
            return Err(wrong("email", problem));
        }
    };
    let directory = read_directory(written.directory.trim()).ok_or_else(|| {
        let problem = "expected letsencrypt, letsencrypt-staging or an address with https://";
        wrong("directory", problem)
    })?;
    let ca_file = Some(written.ca_file.trim()).filter(|path| !path.is_empty());
    Ok(Some(AcmeConfig {
        domains,
        email,
        directory,
        ca_file: ca_file.map(PathBuf::from),
    }))
}

fn read_domains(written: &[String]) -> Result<Vec<String>, String> {
    let mut domains = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let name = text.trim().trim_end_matches('.').to_ascii_lowercase();
        if !is_public_name(&name) {
            return Err(format!(
                "entry {} (`{text}`) is no name such as meet.example.org; addresses, *. and names \
                 of the local network get no certificate",
                index + 1
            ));
        }
        if !domains.contains(&name) {
            domains.push(name);
        }
    }
    match domains.len() {
        ..=MAX_DOMAINS => Ok(domains),
        _ => Err(format!("there are more than {MAX_DOMAINS}")),
    }
}

fn read_directory(text: &str) -> Option<String> {
    match text {
        "letsencrypt" => Some(PRODUCTION.to_owned()),
        "letsencrypt-staging" => Some(STAGING.to_owned()),
        text => {
            let url = url::Url::parse(text).ok()?;
            let plain = url.username().is_empty() && url.password().is_none();
            (url.scheme() == "https" && plain).then(|| url.into())
        }
    }
}

fn is_public_name(name: &str) -> bool {
    let numeric = name
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    is_host_name(name) && name.contains('.') && !numeric && !name.ends_with(".local")
}

fn is_email(text: &str) -> bool {
    let visible = text
        .bytes()
        .all(|b| b.is_ascii_graphic() && !b"?,;:<>\"\\".contains(&b));
    let parts = text.split_once('@');
    visible
        && text.len() <= 254
        && parts.is_some_and(|(who, host)| !who.is_empty() && is_host_name(host))
}
