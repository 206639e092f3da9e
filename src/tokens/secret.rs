//! The secrets of tokens.

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use super::TokenError;

/// The prefix of tokens, so that secret scanners find them.
pub(super) const PREFIX: &str = "vhost_";

/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

pub(super) fn new_secret() -> Result<String, TokenError> {
    let mut bytes = [0; SECRET_BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| TokenError::NoRandomness)?;
    Ok(format!("{PREFIX}{}", hex(&bytes)))
}

pub(super) fn sha256(secret: &str) -> String {
    hex(digest(&SHA256, secret.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
