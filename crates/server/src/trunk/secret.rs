//! Join secrets: what one operator hands to the other, and what is kept of it.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore as _;

/// How the text of every join secret begins.
const LEAD: &str = "umbrella-join-v1.";

/// Bytes of the public half, which is text of 12 characters.
const KEY: usize = 9;
const SECRET: usize = 32;
const PIN: usize = 32;
/// Tells that something is missing or mistyped, and nothing else.
const CHECK: usize = 4;

/// Lets a server join another one. Its text is shown once, and not kept: see [`ProofKey`].
#[derive(Clone, PartialEq, Eq)]
pub struct JoinSecret {
    key: [u8; KEY],
    secret: [u8; SECRET],
    /// The authority of the server that made it, if that is the server's own.
    pin: Option<Pin>,
}

/// Why a text is no join secret. Does not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// Something else, or of another version.
    #[error("this is no join secret: they begin with umbrella-join-v1.")]
    Lead,
    /// Cut off or mistyped.
    #[error("this join secret is not complete: copy the whole line")]
    Incomplete,
}

impl JoinSecret {
    /// A new one. `pin` is that of the authority by which the server that makes it is known.
    pub fn random(pin: Option<Pin>) -> JoinSecret {
        let (mut key, mut secret) = ([0; KEY], [0; SECRET]);
        rand::rng().fill_bytes(&mut key);
        rand::rng().fill_bytes(&mut secret);
        JoinSecret { key, secret, pin }
    }

    /// The public half: which secret is meant. 12 characters.
    pub fn key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key)
    }

    /// The authority that the secret vouches for.
    pub fn pin(&self) -> Option<Pin> {
        self.pin
    }

    /// What is kept of the secret.
    pub fn proof_key(&self) -> ProofKey {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret);
        let text = [b"umbrella trunk proof key".as_slice(), &self.key].concat();
        ProofKey(bytes_of(hmac::sign(&key, &text).as_ref()))
    }

    /// The text that is handed on. Secret.
    pub fn text(&self) -> String {
        let mut bytes = self.key.to_vec();
        bytes.extend(self.secret);
        bytes.extend(self.pin.iter().flat_map(|pin| pin.0));
        bytes.extend(check(&bytes));
        format!("{LEAD}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for JoinSecret {
    type Err = BadSecret;

    fn from_str(text: &str) -> Result<JoinSecret, BadSecret> {
        let text = text.trim().strip_prefix(LEAD).ok_or(BadSecret::Lead)?;
        let bytes = URL_SAFE_NO_PAD.decode(text);
        let bytes = bytes.map_err(|_| BadSecret::Incomplete)?;
        let (content, sum) = bytes
            .split_last_chunk::<CHECK>()
            .ok_or(BadSecret::Incomplete)?;
        if check(content) != *sum {
            return Err(BadSecret::Incomplete);
        }
        let (key, rest) = content.split_first_chunk().ok_or(BadSecret::Incomplete)?;
        let (secret, rest) = rest.split_first_chunk().ok_or(BadSecret::Incomplete)?;
        let pin = match rest {
            [] => None,
            pin => Some(Pin::from_bytes(pin).ok_or(BadSecret::Incomplete)?),
        };
        Ok(JoinSecret {
            key: *key,
            secret: *secret,
            pin,
        })
    }
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let sum = digest(&SHA256, bytes);
    let mut check = [0; CHECK];
    check.copy_from_slice(&sum.as_ref()[..CHECK]);
    check
}

impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinSecret({})", self.key())
    }
}

/// What both servers keep of a join secret: enough to prove that they know it, and not enough to
/// write it down again.
#[derive(Clone, PartialEq, Eq)]
pub struct ProofKey([u8; SECRET]);

/// A proof, to be compared by [`ProofKey::verifies`] only.
pub(super) type Proof = [u8; 32];

impl ProofKey {
    /// As the database keeps it.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<ProofKey> {
        Some(ProofKey(bytes.try_into().ok()?))
    }

    /// As the database keeps it. Secret.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// One that nobody knows.
    pub(super) fn random() -> ProofKey {
        let mut bytes = [0; SECRET];
        rand::rng().fill_bytes(&mut bytes);
        ProofKey(bytes)
    }

    /// Proves something about texts. The label keeps one proof from passing for another.
    pub(super) fn prove(&self, label: &str, texts: [&[u8]; 2]) -> Proof {
        bytes_of(hmac::sign(&self.hmac(), &joined(label, texts)).as_ref())
    }

    /// Whether somebody who knows the secret has made a proof. Takes as long for a wrong one.
    pub(super) fn verifies(&self, label: &str, texts: [&[u8]; 2], proof: &[u8]) -> bool {
        hmac::verify(&self.hmac(), &joined(label, texts), proof).is_ok()
    }

    fn hmac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }
}

/// Each with its length: no two different lists are the same bytes.
fn joined(label: &str, texts: [&[u8]; 2]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in [label.as_bytes(), texts[0], texts[1]] {
        all.extend((part.len() as u64).to_be_bytes());
        all.extend(part);
    }
    all
}

fn bytes_of(tag: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(&tag[..32]);
    bytes
}

impl fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProofKey(…)")
    }
}

/// SHA-256 of a certificate by which a server is known that no public authority vouches for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pin([u8; PIN]);

impl Pin {
    /// Of a certificate (DER).
    pub fn of(certificate: &[u8]) -> Pin {
        Pin(bytes_of(digest(&SHA256, certificate).as_ref()))
    }

    /// As it is shown: `AA:BB:…`; colons and spaces may be left out.
    pub fn parse(text: &str) -> Option<Pin> {
        let digits: Vec<u32> = text
            .chars()
            .filter(|char| *char != ':' && !char.is_whitespace())
            .map(|char| char.to_digit(16))
            .collect::<Option<_>>()?;
        let bytes: Vec<u8> = digits
            .chunks_exact(2)
            .filter_map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok())
            .collect();
        (digits.len() == 2 * PIN).then(|| Pin::from_bytes(&bytes))?
    }

    /// As the database keeps it.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Pin> {
        Some(Pin(bytes.try_into().ok()?))
    }

    /// As the database keeps it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// As browsers and `openssl x509 -fingerprint -sha256` show it.
impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_another_one_after_it_was_copied() {
        for pin in [None, Some(Pin::of(b"authority"))] {
            let secret = JoinSecret::random(pin);
            let text = secret.text();
            assert!(!text.contains(char::is_whitespace) && text.starts_with(LEAD));
            let copied: JoinSecret = format!(" {text}\n").parse().unwrap();
            assert!(copied == secret);
            assert_eq!(copied.pin(), pin);
            assert!(copied.proof_key() == secret.proof_key());
        }
    }

    #[test]
    fn secret_that_is_cut_off_is_only_noticed_by_the_other_server() {
        let text = JoinSecret::random(Some(Pin::of(b"authority"))).text();
        for length in LEAD.len()..text.len() {
            let read = text[..length].parse::<JoinSecret>();
            assert!(read == Err(BadSecret::Incomplete), "{length}");
        }
        let swapped = text.replace(&text[30..32], "--");
        assert!(swapped.parse::<JoinSecret>() == Err(BadSecret::Incomplete));
        assert!("hunter2".parse::<JoinSecret>() == Err(BadSecret::Lead));
    }

    #[test]
    fn secret_stands_in_a_log() {
        let secret = JoinSecret::random(None);
        let kept = secret.proof_key();
        let text = format!("{secret:?} {kept:?}");
        assert_eq!(text, format!("JoinSecret({}) ProofKey(…)", secret.key()));
    }

    #[test]
    fn proof_passes_for_another_one() {
        let key = JoinSecret::random(None).proof_key();
        let proof = key.prove("one", [b"ab", b"c"]);
        assert!(key.verifies("one", [b"ab", b"c"], &proof));
        assert!(!key.verifies("two", [b"ab", b"c"], &proof));
        assert!(!key.verifies("one", [b"a", b"bc"], &proof));
        assert!(!key.verifies("one", [b"ab", b"c"], &proof[..31]));
        assert!(!key.verifies("one", [b"ab", b"c"], &[]));
        assert!(!ProofKey::random().verifies("one", [b"ab", b"c"], &proof));
    }
}
