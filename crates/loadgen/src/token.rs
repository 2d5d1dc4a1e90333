//! Access tokens for synthetic participants.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde::{Deserialize, Serialize};

/// Seconds for which a token is valid: longer than any run.
const VALID_S: u64 = 6 * 3600;

/// An API key of the server under test.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its name.
    pub key: String,
    /// What signs.
    pub secret: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    iss: String,
    sub: String,
    name: String,
    exp: u64,
    video: Grants,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grants {
    room_join: bool,
    room: String,
    can_publish: bool,
    can_subscribe: bool,
}

impl Key {
    /// A token that lets `identity` into `room` with all rights of a participant.
    ///
    /// # Errors
    ///
    /// The secret cannot sign.
    pub fn token(&self, room: &str, identity: &str) -> Result<String, jsonwebtoken::errors::Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let claims = Claims {
            iss: self.key.clone(),
            sub: identity.to_owned(),
            name: identity.to_owned(),
            exp: now.unwrap_or_default().as_secs() + VALID_S,
            video: Grants {
                room_join: true,
                room: room.to_owned(),
                can_publish: true,
                can_subscribe: true,
            },
        };
        let secret = EncodingKey::from_secret(self.secret.as_bytes());
        encode(&Header::default(), &claims, &secret)
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};

    use super::*;

    #[test]
    fn a_server_with_the_secret_lets_the_bearer_in() {
        let key = Key {
            key: "devkey".into(),
            secret: "a secret of a developer, long enough".into(),
        };
        let token = key.token("lab", "bot-1").unwrap();
        let secret = DecodingKey::from_secret(key.secret.as_bytes());
        let claims = decode::<Claims>(&token, &secret, &Validation::default()).unwrap();
        assert_eq!(claims.claims.iss, "devkey");
        assert_eq!(claims.claims.sub, "bot-1");
        assert_eq!(claims.claims.video.room, "lab");
        let other = DecodingKey::from_secret(b"another secret, as long as that");
        assert!(decode::<Claims>(&token, &other, &Validation::default()).is_err());
    }

    #[test]
    fn grants_are_written_as_servers_read_them() {
        let grants = Grants {
            room_join: true,
            room: "lab".into(),
            can_publish: true,
            can_subscribe: true,
        };
        let json = serde_json::to_string(&grants).unwrap();
        assert!(json.contains("\"roomJoin\":true") && json.contains("\"canSubscribe\":true"));
    }
}
