//! What clients are told of relays (TURN, RFC 8656), for networks that let nothing else through.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::{Credentials, IceUrl, TurnConfig};

/// Servers that a client may use to connect, with what they ask for.
#[derive(Clone, PartialEq, Eq)]
pub struct IceServer {
    /// Where they are.
    pub urls: Vec<String>,
    /// Empty for STUN servers.
    pub username: String,
    /// Empty for STUN servers.
    pub credential: String,
}

/// Without the credential.
impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IceServer({:?}, {})", self.urls, self.username)
    }
}

/// What a client is told now, in seconds since the Unix epoch; nothing if nothing is configured.
///
/// `guest` is a number by chance: it is part of the name under which the client comes to the
/// relay, so that the relay can count for each client what it uses, and knows of nobody who it is.
pub fn ice_servers(config: &TurnConfig, now_s: u64, guest: u64) -> Vec<IceServer> {
    let mut servers = Vec::new();
    if !config.stun.is_empty() {
        servers.push(IceServer {
            urls: texts(&config.stun),
            username: String::new(),
            credential: String::new(),
        });
    }
    if let Some(relays) = &config.relays {
        let (username, credential) = login(&relays.credentials, now_s, guest);
        servers.push(IceServer {
            urls: texts(&relays.urls),
            username,
            credential,
        });
    }
    servers
}

fn texts(urls: &[IceUrl]) -> Vec<String> {
    urls.iter().map(IceUrl::to_string).collect()
}

fn login(credentials: &Credentials, now_s: u64, guest: u64) -> (String, String) {
    match credentials {
        Credentials::Fixed { username, password } => (username.clone(), password.clone()),
        Credentials::Shared { secret, ttl_s } => {
            let expiry = now_s + u64::from(*ttl_s);
            let username = format!("{expiry}:{guest:016x}");
            let credential = credential(secret, &username);
            (username, credential)
        }
    }
}

/// draft-uberti-behave-turn-rest-00, section 2.2. SHA-1 is what relays know; as a MAC it still
/// holds.
fn credential(secret: &str, username: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    STANDARD.encode(hmac::sign(&key, username.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Relays;

    const SECRET: &str = "north-sea-oil-and-gas";

    fn config(credentials: Credentials) -> TurnConfig {
        TurnConfig {
            relays: Some(Relays {
                urls: vec![
                    IceUrl::turn("turn:relay.example.org").unwrap(),
                    IceUrl::turn("turns:relay.example.org:443").unwrap(),
                ],
                credentials,
            }),
            stun: Vec::new(),
        }
    }

    fn shared() -> TurnConfig {
        config(Credentials::Shared {
            secret: SECRET.to_owned(),
            ttl_s: 43_200,
        })
    }

    #[test]
    fn relays_find_the_credential_that_they_would_make_themselves() {
        // RFC 2202, section 3, test case 2.
        assert_eq!(
            credential("Jefe", "what do ya want for nothing?"),
            "7/zfauXrL6LSdBbV8YTfnCWafHk="
        );
        // printf '%s' "$username" | openssl dgst -sha1 -hmac "$secret" -binary | base64
        let servers = ice_servers(&shared(), 1_700_000_000, 0xabc);
        let [server] = &servers[..] else {
            panic!("{servers:?}")
        };
        assert_eq!(server.username, "1700043200:0000000000000abc");
        assert_eq!(server.credential, "mU+q8d681Yprm3X7/6ebHZ87Ug4=");
        assert_eq!(
            server.urls,
            ["turn:relay.example.org", "turns:relay.example.org:443"]
        );
    }

    #[test]
    fn credentials_end_when_they_are_said_to_and_those_of_two_clients_differ() {
        let told = |now, guest| ice_servers(&shared(), now, guest).remove(0);
        let [early, late, other] = [told(0, 1), told(60, 1), told(0, 2)];
        let expiry = |server: &IceServer| {
            let (expiry, _) = server.username.split_once(':').unwrap();
            expiry.parse::<u64>().unwrap()
        };
        assert_eq!((expiry(&early), expiry(&late)), (43_200, 43_260));
        assert!(early.credential != late.credential && early.credential != other.credential);
    }

    #[test]
    fn fixed_credentials_are_passed_on_and_stun_servers_get_none() {
        let mut config = config(Credentials::Fixed {
            username: "ana".to_owned(),
            password: "hunter2".to_owned(),
        });
        config.stun = vec![IceUrl::stun("stun:stun.example.org:3478").unwrap()];
        let servers = ice_servers(&config, 0, 1);
        assert_eq!(servers[0].urls, ["stun:stun.example.org:3478"]);
        assert!(servers[0].username.is_empty() && servers[0].credential.is_empty());
        assert_eq!(servers[1].username, "ana");
        assert_eq!(servers[1].credential, "hunter2");
        assert!(!format!("{servers:?} {config:?}").contains("hunter2"));
        assert!(!format!("{:?}", shared()).contains(SECRET));
    }

    #[test]
    fn nothing_is_said_of_servers_that_nobody_has_configured() {
        assert_eq!(ice_servers(&TurnConfig::default(), 0, 1), []);
    }
}
