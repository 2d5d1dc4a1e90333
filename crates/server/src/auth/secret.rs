//! Random secrets, and what is kept of them.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore as _;

/// A secret of 256 random bits, in 43 characters that need no escaping in a URL.
pub(super) fn random_secret() -> String {
    random_text(32)
}

/// So many random bytes as URL-safe text.
pub(crate) fn random_text(bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    rand::rng().fill_bytes(&mut buffer);
    URL_SAFE_NO_PAD.encode(buffer)
}

/// What is kept of a random secret. `purpose` keeps the uses apart: what is kept for one cannot
/// be shown for another. A slow hash would add nothing, since the secret cannot be guessed.
pub(super) fn hash(purpose: &str, secret: &str) -> Vec<u8> {
    let text = format!("umbrella {purpose}\0{secret}");
    digest(&SHA256, text.as_bytes()).as_ref().to_vec()
}

/// A text that follows from a secret and does not tell it.
pub(crate) fn derive(purpose: &str, secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(hash(purpose, secret))
}

/// Whether two secrets are equal, in a time that does not tell where they differ.
pub(crate) fn same(a: &str, b: &str) -> bool {
    use subtle::ConstantTimeEq as _;
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
