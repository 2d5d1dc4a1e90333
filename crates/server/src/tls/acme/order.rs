//! One order: from the account to the certificate (RFC 8555, section 7.4).

use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;

use super::client::Https;
use super::state::{Issued, Kept};
use super::{Failure, Shown, provider};
use crate::config::AcmeConfig;

/// How long the authority may take to look at the challenges, and then to issue.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_secs(90));

/// The account that is kept, or a new one, with what is to be kept of it if that has changed.
pub(super) async fn account(
    config: &AcmeConfig,
    kept: &Kept,
    http: Https,
) -> Result<(Account, Option<String>), Failure> {
    let builder = Account::builder_with_http(Box::new(http));
    let contact = config.email.as_ref().map(|email| format!("mailto:{email}"));
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    if let Some(text) = &kept.account
        && let Ok(credentials) = serde_json::from_str::<AccountCredentials>(text)
    {
        let account = builder.from_credentials(credentials).await?;
        if kept.email == config.email {
            return Ok((account, None));
        }
        account.update_contacts(&contact).await?;
        return Ok((account, Some(text.clone())));
    }
    let new = NewAccount {
        contact: &contact,
        // The configuration is not accepted without.
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let (account, credentials) = builder.create(&new, config.directory.clone(), None).await?;
    let kept = serde_json::to_string(&credentials).map_err(Error::from)?;
    Ok((account, Some(kept)))
}

/// Gets a certificate for all domains; whoever comes for a challenge is `shown` the answer.
pub(super) async fn certificate(
    account: &Account,
    domains: &[String],
    shown: &Shown,
) -> Result<Issued, Failure> {
    let names: Vec<Identifier> = domains.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    finish(&mut order, domains, shown)
        .await
        .map_err(|failure| match failure {
            // From here on the authority has had work.
            Failure::Unreachable(why) => Failure::Unfinished(why),
            Failure::NoAccount | Failure::Refused(_) | Failure::Unfinished(_) => failure,
        })
}

async fn finish(order: &mut Order, domains: &[String], shown: &Shown) -> Result<Issued, Failure> {
    prove(order, domains, shown).await?;
    let key = KeyPair::generate().map_err(local)?;
    let mut params = CertificateParams::new(domains.to_vec()).map_err(local)?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(local)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(Issued {
        chain,
        private_key: key.serialize_pem(),
    })
}

fn local(error: rcgen::Error) -> Failure {
    Failure::Unfinished(error.to_string())
}

async fn prove(order: &mut Order, domains: &[String], shown: &Shown) -> Result<(), Failure> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        // One that was proved lately need not be proved again.
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let domain = authorization.identifier().to_string();
        if !domains.contains(&domain) {
            let why = format!("a proof is wanted for {domain}, which was not asked for");
            return Err(Failure::Refused(why));
        }
        let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
            let why = "the ACME server does not offer the challenge tls-alpn-01";
            return Err(Failure::Refused(why.to_owned()));
        };
        let digest = challenge.key_authorization().digest();
        shown.answer(&domain, answer(&domain, digest.as_ref())?);
        challenge.set_ready().await?;
    }
    let why = match order.poll_ready(&PATIENCE).await {
        Ok(OrderStatus::Ready | OrderStatus::Valid) => return Ok(()),
        Ok(OrderStatus::Pending | OrderStatus::Processing | OrderStatus::Invalid) => {
            "the authority could not check the names".to_owned()
        }
        Err(Error::Api(problem)) => problem.to_string(),
        Err(error) => return Err(error.into()),
    };
    Err(Failure::Refused(why_not(order).await.unwrap_or(why)))
}

/// What the authority found when it looked, for each domain that is not proved.
async fn why_not(order: &mut Order) -> Option<String> {
    let mut found = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_err() {
            continue;
        }
        let domain = authorization.identifier().to_string();
        let errors = authorization.challenges.iter();
        for error in errors.filter_map(|challenge| challenge.error.as_ref()) {
            let detail = error.detail.as_deref().unwrap_or("no reason given");
            found.push(format!("{domain}: {detail}"));
        }
    }
    let names = found.join("; ");
    (!found.is_empty()).then(|| {
        format!("each name must lead to this server at port 443, which was not found ({names})")
    })
}

/// The certificate that answers a challenge (RFC 8737, section 3).
pub(super) fn answer(domain: &str, digest: &[u8]) -> Result<CertifiedKey, Failure> {
    let key = KeyPair::generate().map_err(local)?;
    let mut params = CertificateParams::new(vec![domain.to_owned()]).map_err(local)?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key).map_err(local)?;
    let private = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|error| Failure::Unfinished(error.to_owned()))?;
    // Its extension is critical and unknown to most: a check of the whole would refuse it.
    let private = provider()
        .key_provider
        .load_private_key(private)
        .map_err(|error| Failure::Unfinished(error.to_string()))?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], private))
}

#[cfg(test)]
mod tests {
    use x509_cert::der::Decode as _;

    use super::super::super::certificate::Certificate;
    use super::*;

    #[test]
    fn answer_to_a_challenge_is_refused_for_the_extension_that_it_must_have() {
        let digest = [7; 32];
        // Loading it as an ordinary certificate ends with `UnsupportedCriticalExtension`.
        let key = answer("a.example.org", &digest).unwrap();
        assert_eq!(key.cert.len(), 1);
        let names = Certificate::read(&key.cert[0]).unwrap().names().unwrap();
        assert_eq!(Vec::from_iter(names.hosts), ["a.example.org"]);
        assert!(names.addresses.is_empty());
        // id-pe-acmeIdentifier: critical, an octet string in an octet string.
        let parsed = x509_cert::Certificate::from_der(&key.cert[0]).unwrap();
        let mut extensions = parsed.tbs_certificate().extensions().unwrap().iter();
        let extension = extensions
            .find(|extension| extension.extn_id.to_string() == "1.3.6.1.5.5.7.1.31")
            .unwrap();
        assert!(extension.critical);
        let value = extension.extn_value.as_bytes();
        assert_eq!(value, [&[4, 32], &digest[..]].concat());
    }
}
