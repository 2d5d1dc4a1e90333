//! How a receiver knows that an event is ours, and unchanged.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::auth::{Authority, TokenError};

/// How long a signature is valid, in seconds.
const LIFETIME_S: u64 = 5 * 60;

/// How far behind a receiver's clock may be, in seconds.
const CLOCK_SKEW_S: u64 = 60;

/// Signs with one API key.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    authority: Arc<Authority>,
    key: String,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    nbf: u64,
    exp: u64,
    sha256: String,
}

impl Signer {
    pub(super) fn new(authority: Arc<Authority>, key: String) -> Signer {
        Signer { authority, key }
    }

    /// The value of `Authorization` for a body: a JWT with the body's hash. `now_s` is in seconds
    /// since the Unix epoch.
    ///
    /// # Errors
    ///
    /// If the key was revoked.
    pub(super) fn sign(&self, body: &[u8], now_s: u64) -> Result<String, TokenError> {
        let claims = Claims {
            iss: &self.key,
            nbf: now_s.saturating_sub(CLOCK_SKEW_S),
            exp: now_s + LIFETIME_S,
            sha256: STANDARD.encode(digest(&SHA256, body)),
        };
        self.authority.sign(&self.key, &claims)
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    use serde_json::Value;

    use super::*;
    use crate::clock::unix_seconds;
    use crate::config::ConfiguredKey;

    const SECRET: &str = "a secret of an application";

    fn signer() -> (Arc<Authority>, Signer) {
        let key = |key: &str| ConfiguredKey {
            key: key.into(),
            secret: SECRET.into(),
        };
        let authority = Arc::new(Authority::new(&key("umbrella-page"), &[key("app")]));
        (Arc::clone(&authority), Signer::new(authority, "app".into()))
    }

    fn read(token: &str, secret: &str) -> Option<Value> {
        let key = DecodingKey::from_secret(secret.as_bytes());
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&["app"]);
        validation.validate_nbf = true;
        let read = jsonwebtoken::decode::<Value>(token, &key, &validation);
        read.ok().map(|token| token.claims)
    }

    #[test]
    fn receiver_cannot_tell_our_events_from_those_of_a_stranger() {
        let now_s = unix_seconds();
        let token = signer().1.sign(b"{}", now_s).unwrap();
        let claims = read(&token, SECRET).unwrap();
        // SHA-256 of `{}`.
        let hash = "RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=";
        assert_eq!(claims["sha256"], hash);
        assert_eq!(claims["exp"], now_s + 300);
        assert_eq!(read(&token, "a secret of a stranger"), None);
    }

    #[test]
    fn revoked_key_still_signs() {
        let (authority, signer) = signer();
        authority.remove("app");
        assert_eq!(signer.sign(b"{}", 1), Err(TokenError::UnknownKey));
    }
}
