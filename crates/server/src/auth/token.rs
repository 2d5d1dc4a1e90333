//! Access tokens: JWT signed with HMAC-SHA-256 by an API key.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};

use super::claims::are_few;
use super::{Bearer, Claims};
use crate::clock::unix_seconds;
use crate::config::ConfiguredKey;

/// Names of keys that the server makes for itself begin with this; nobody else's may.
pub const INTERNAL_KEY_PREFIX: &str = "umbrella-";

/// How far ahead the clock of whoever issues tokens may be. Issuers write `nbf` as their own
/// present time.
const CLOCK_SKEW_S: u64 = 60;

/// Longest token that is looked at: far above what grants, metadata and attributes need.
const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// Why a token is refused. The text is for the client's developer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a JWT with our claims.
    #[error("the token is malformed")]
    Malformed,
    /// Signed by a key that does not exist (any more).
    #[error("the token's API key is unknown")]
    UnknownKey,
    /// Not signed with the key's secret.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// Without `exp`.
    #[error("the token has no expiry (exp)")]
    NoExpiry,
    /// Too old.
    #[error("the token has expired")]
    Expired,
    /// Too new.
    #[error("the token is not valid yet (nbf)")]
    NotYetValid,
    /// It names more cameras than it may, or one by too long an identity.
    #[error(
        "the token names too many cameras (umbrella.cameras): 64 at most, of 1 to 64 characters each"
    )]
    TooManyCameras,
}

/// Verifies and issues access tokens with the API keys there are.
///
/// Keys come and go while the server runs. Looking one up takes a read lock; nothing waits for
/// the database.
#[derive(Debug)]
pub struct Authority {
    keys: RwLock<HashMap<String, Secret>>,
    internal: String,
}

struct Secret {
    decoding: DecodingKey,
    encoding: EncodingKey,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Authority {
    /// `internal` signs what the server issues for its own page; its name begins with
    /// [`INTERNAL_KEY_PREFIX`].
    pub fn new(internal: &ConfiguredKey, others: &[ConfiguredKey]) -> Self {
        let authority = Self {
            keys: RwLock::default(),
            internal: internal.key.clone(),
        };
        authority.add(internal);
        for key in others {
            authority.add(key);
        }
        authority
    }

    /// Checks signature, times and bounds, not what the token is good for.
    ///
    /// # Errors
    ///
    /// If the token proves nothing.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed);
        }
        let unproven: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token)
            .map_err(|_| TokenError::Malformed)?;
        let mut validation = Validation::new(Algorithm::HS256);
        // Times are checked below: the skew is granted to `nbf` only.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let secret = keys.get(&unproven.iss).ok_or(TokenError::UnknownKey)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &secret.decoding, &validation)
            .map_err(|_| TokenError::BadSignature)?
            .claims;
        drop(keys);
        check_times(&claims, unix_seconds())?;
        let own = claims.umbrella.as_ref();
        match own.and_then(|own| own.cameras.as_ref()) {
            Some(cameras) if !are_few(cameras) => Err(TokenError::TooManyCameras),
            Some(_) | None => Ok(claims),
        }
    }

    /// Signs claims with the key that `iss` names; an empty `iss` is the server's own key.
    ///
    /// # Errors
    ///
    /// [`TokenError::UnknownKey`] if the key does not exist any more.
    pub fn issue(&self, mut claims: Claims) -> Result<String, TokenError> {
        if claims.iss.is_empty() {
            claims.iss.clone_from(&self.internal);
        }
        self.sign(&claims.iss, &claims)
    }

    /// Signs any claims with a key.
    ///
    /// # Errors
    ///
    /// [`TokenError::UnknownKey`] if the key does not exist any more.
    pub(crate) fn sign<T: serde::Serialize>(
        &self,
        key: &str,
        claims: &T,
    ) -> Result<String, TokenError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let secret = keys.get(key).ok_or(TokenError::UnknownKey)?;
        let header = Header::new(Algorithm::HS256);
        jsonwebtoken::encode(&header, claims, &secret.encoding).map_err(|_| TokenError::Malformed)
    }

    /// Who stands behind a token that was verified.
    pub fn bearer(&self, claims: &Claims) -> Bearer {
        if claims.iss != self.internal {
            Bearer::Application
        } else if Bearer::Admin.names(&claims.sub) {
            Bearer::Admin
        } else {
            Bearer::Guest
        }
    }

    /// Whether a key exists.
    pub fn knows(&self, key: &str) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.contains_key(key)
    }

    /// Adds a key or gives it another secret.
    pub fn add(&self, key: &ConfiguredKey) {
        let secret = Secret {
            decoding: DecodingKey::from_secret(key.secret.as_bytes()),
            encoding: EncodingKey::from_secret(key.secret.as_bytes()),
        };
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(key.key.clone(), secret);
    }

    /// Forgets a key: its tokens are worth nothing from now on.
    pub fn remove(&self, key: &str) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.remove(key);
    }
}

fn check_times(claims: &Claims, now: u64) -> Result<(), TokenError> {
    if claims.exp == 0 {
        return Err(TokenError::NoExpiry);
    }
    if claims.exp <= now {
        return Err(TokenError::Expired);
    }
    if claims.nbf.is_some_and(|nbf| nbf > now + CLOCK_SKEW_S) {
        return Err(TokenError::NotYetValid);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Grants;
    use umbrella_room::Sight;
    use umbrella_room::model::Identity;

    fn key(name: &str, secret: &str) -> ConfiguredKey {
        ConfiguredKey {
            key: name.to_owned(),
            secret: secret.to_owned(),
        }
    }

    fn authority() -> Authority {
        Authority::new(
            &key("umbrella-page", "the server's own secret"),
            &[key("devkey", "a secret of a developer")],
        )
    }

    fn claims(iss: &str) -> Claims {
        Claims {
            iss: iss.to_owned(),
            sub: "alice".to_owned(),
            exp: unix_seconds() + 60,
            video: Grants {
                room_join: true,
                room: "kitchen".to_owned(),
                ..Grants::default()
            },
            ..Claims::default()
        }
    }

    #[test]
    fn issued_token_is_accepted_and_says_what_was_issued() {
        let token = authority().issue(claims("devkey")).unwrap();
        let back = authority().verify(&token).unwrap();
        assert_eq!(
            (back.sub.as_str(), back.video.room.as_str()),
            ("alice", "kitchen")
        );
        assert_eq!(back.video.can_publish, None);
    }

    #[test]
    fn token_of_an_sdk_is_accepted() {
        // Signed by hand: header {"alg":"HS256"}, without `typ`, with claims we do not know.
        let header = jsonwebtoken::Header::new(Algorithm::HS256);
        let body = serde_json::json!({
            "iss": "devkey", "sub": "bob", "exp": unix_seconds() + 60, "nbf": unix_seconds() + 5,
            "jti": "bob", "aud": "x", "sip": {"admin": true},
            "video": {"roomJoin": true, "room": "r", "canPublish": false, "somethingNew": 1}
        });
        let secret = EncodingKey::from_secret(b"a secret of a developer");
        let token = jsonwebtoken::encode(&header, &body, &secret).unwrap();
        assert_eq!(
            authority().verify(&token).unwrap().video.can_publish,
            Some(false)
        );
    }

    fn signed(own: serde_json::Value) -> String {
        let mut body = serde_json::to_value(claims("devkey")).unwrap();
        body["umbrella"] = own;
        let secret = EncodingKey::from_secret(b"a secret of a developer");
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &body, &secret).unwrap()
    }

    fn cameras(own: serde_json::Value) -> Result<Option<Vec<String>>, TokenError> {
        let claims = authority().verify(&signed(own))?;
        Ok(claims.umbrella.and_then(|own| own.cameras))
    }

    #[test]
    fn token_opens_cameras_that_it_does_not_name() {
        use serde_json::json;
        assert_eq!(cameras(json!({"later": 1})), Ok(None));
        assert_eq!(cameras(json!({"cameras": []})), Ok(Some(Vec::new())));
        let named = Some(vec!["CA_a".to_owned()]);
        assert_eq!(cameras(json!({"cameras": ["CA_a"], "x": {}})), Ok(named));
        for unclear in [json!(null), json!("CA_a"), json!(["CA_a", 7])] {
            let refused = cameras(json!({"cameras": unclear}));
            assert_eq!(refused, Err(TokenError::Malformed));
        }
    }

    #[test]
    fn token_fills_the_memory_with_cameras() {
        use serde_json::json;
        let most = vec!["c".repeat(64); 64];
        assert_eq!(cameras(json!({"cameras": most})), Ok(Some(most.clone())));
        for too_many in [
            vec!["c".to_owned(); 65],
            vec!["c".repeat(65)],
            vec![String::new()],
        ] {
            let refused = cameras(json!({"cameras": too_many}));
            assert_eq!(refused, Err(TokenError::TooManyCameras));
        }
    }

    #[test]
    fn token_that_is_issued_anew_opens_all_cameras() {
        let verified = authority().verify(&signed(serde_json::json!({"cameras": ["CA_a"]})));
        let again = authority().issue(verified.unwrap()).unwrap();
        let sight = authority().verify(&again).unwrap().sight();
        assert_eq!(sight, Sight::only([Identity::new("CA_a")]));
        assert_eq!(claims("devkey").sight(), Sight::All);
    }

    #[test]
    fn worthless_tokens_are_refused_with_the_reason() {
        let a = authority();
        let expired = Claims {
            exp: unix_seconds() - 1,
            ..claims("devkey")
        };
        let early = Claims {
            nbf: Some(unix_seconds() + 1000),
            ..claims("devkey")
        };
        let endless = Claims {
            exp: 0,
            ..claims("devkey")
        };
        for (made, error) in [
            (expired, TokenError::Expired),
            (early, TokenError::NotYetValid),
            (endless, TokenError::NoExpiry),
        ] {
            assert_eq!(a.verify(&a.issue(made).unwrap()).unwrap_err(), error);
        }
        let stranger = Authority::new(&key("umbrella-page", "x"), &[key("devkey", "wrong secret")]);
        let forged = stranger.issue(claims("devkey")).unwrap();
        assert_eq!(a.verify(&forged).unwrap_err(), TokenError::BadSignature);
        for rubbish in ["", ".", "..", "a.b.c", "\u{1f600}", &"a".repeat(100_000)] {
            assert_eq!(a.verify(rubbish).unwrap_err(), TokenError::Malformed);
        }
    }

    #[test]
    fn token_without_signature_is_refused() {
        let token = authority().issue(claims("devkey")).unwrap();
        let body = token.split('.').nth(1).unwrap();
        // {"alg":"none"}
        let unsigned = format!("eyJhbGciOiJub25lIn0.{body}.");
        assert!(authority().verify(&unsigned).is_err());
    }

    #[test]
    fn application_does_not_pass_for_the_admin_by_a_name() {
        let a = authority();
        let named = |iss: &str, sub: &str| Claims {
            sub: sub.to_owned(),
            ..claims(iss)
        };
        for (claims, bearer) in [
            (named("devkey", "admin-0123"), Bearer::Application),
            (named("devkey", "guest-0123"), Bearer::Application),
            (named("umbrella-page", "admin-0123"), Bearer::Admin),
            (named("umbrella-page", "guest-0123"), Bearer::Guest),
            (named("umbrella-page", "administrator"), Bearer::Guest),
        ] {
            assert_eq!(a.bearer(&claims), bearer, "{}", claims.sub);
        }
    }

    #[test]
    fn token_of_a_revoked_key_is_refused() {
        let a = authority();
        let token = a.issue(claims("devkey")).unwrap();
        a.remove("devkey");
        assert_eq!(a.verify(&token).unwrap_err(), TokenError::UnknownKey);
        assert_eq!(
            a.issue(claims("devkey")).unwrap_err(),
            TokenError::UnknownKey
        );
    }
}
