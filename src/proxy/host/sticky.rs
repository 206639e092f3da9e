//! Clients that stay with their backend, by a cookie.
//!
//! The cookie is the backend's id, sealed: nobody but this server can read it or make one. It is bound
//! to the domain, so that it is worth nothing at another.

use std::fmt;
use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::{Cookie, SameSite};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::atomic_file;
use crate::heads::names::SET_COOKIE;
use crate::heads::{RequestHead, ResponseHead};
use crate::model::{BackendId, DomainName, Sticky};
use crate::plain_file;
use crate::proxy::wire::request::cookies;

/// The file of the key, in the state directory.
const FILE: &str = "sticky.key";

const KEY_LEN: usize = 32;

/// No more of the file is read: whatever is longer is no key.
const MAX_KEY_BYTES: u64 = 1024;

/// The key that cookies are sealed with.
pub(crate) struct StickyKey(LessSafeKey);

impl StickyKey {
    /// Reads the key, or makes one that stays, so that a restart moves nobody.
    pub(super) fn open(state_dir: &Path) -> io::Result<Self> {
        if let Some(key) = Self::read_from(state_dir)? {
            return Ok(key);
        }
        let mut key = [0; KEY_LEN];
        let filled = SystemRandom::new().fill(&mut key);
        filled.map_err(|_| io::Error::other("there is no randomness"))?;
        atomic_file::write(&state_dir.join(FILE), &key)?;
        Self::new(&key)
    }

    /// Reads the key, if one was made.
    pub(super) fn read_from(state_dir: &Path) -> io::Result<Option<Self>> {
        match plain_file::read(&state_dir.join(FILE), MAX_KEY_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => Self::new(&read?).map(Some),
        }
    }

    fn new(bytes: &[u8]) -> io::Result<Self> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, bytes).map_err(|_| {
            let message = format!("{FILE} is not a key of {KEY_LEN} bytes; remove it");
            io::Error::new(io::ErrorKind::InvalidData, message)
        })?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// The backend that a client of the domain had, by its cookie.
    pub(crate) fn backend_of(
        &self,
        request: &RequestHead,
        sticky: &Sticky,
        domain: &DomainName,
    ) -> Option<BackendId> {
        let mut read = cookies(request, sticky.cookie_name())
            .filter_map(|cookie| self.read(cookie.value(), domain));
        read.next()
    }

    fn read(&self, value: &str, domain: &DomainName) -> Option<BackendId> {
        String::from_utf8(self.unseal(value, &domain.to_string())?).ok()?.parse().ok()
    }

    fn write(&self, id: &BackendId, domain: &DomainName) -> Option<String> {
        self.seal(id.as_str().as_bytes(), &domain.to_string())
    }

    /// What was sealed for this purpose; nothing where `text` is not from this server, or for another one.
    pub(super) fn unseal(&self, text: &str, purpose: &str) -> Option<Vec<u8>> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let opened = self.0.open_in_place(nonce, Aad::from(purpose), &mut sealed).ok()?;
        Some(opened.to_vec())
    }

    /// Seals bytes, so that only this server can read them, and only for this purpose. As text that may stand in
    /// cookies and URLs.
    pub(super) fn seal(&self, bytes: &[u8], purpose: &str) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = bytes.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(unique, Aad::from(purpose), &mut sealed).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&nonce, &*sealed].concat()))
    }

    /// Gives the client a cookie for its backend.
    pub(crate) fn set(
        &self,
        response: &mut ResponseHead,
        sticky: &Sticky,
        domain: &DomainName,
        id: &BackendId,
        secure: bool,
    ) {
        let Some(value) = self.write(id, domain) else { return };
        let mut cookie = Cookie::build((sticky.cookie_name(), value))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(secure)
            .build();
        if let Some(secs) = sticky.max_age_secs {
            cookie.set_max_age(cookie::time::Duration::seconds(secs.get().into()));
        }
        // A header may have all that is in it: the name is a token, the value is base64.
        response.headers.append(SET_COOKIE, cookie.to_string());
    }
}

impl fmt::Debug for StickyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StickyKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_worth_something_only_unchanged_and_at_its_domain() {
        let directory = tempfile::tempdir().unwrap();
        let key = StickyKey::open(directory.path()).unwrap();
        let (id, domain) = ("web-1".parse().unwrap(), "example.com".parse().unwrap());
        let value = key.write(&id, &domain).unwrap();
        assert_ne!(value, key.write(&id, &domain).unwrap());
        let again = StickyKey::open(directory.path()).unwrap();
        assert_eq!(again.read(&value, &domain), Some(id));
        assert_eq!(key.read(&value, &"example.org".parse().unwrap()), None);
        for at in 0..value.len() {
            let mut forged = value.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(key.read(&forged, &domain), None, "{at}");
        }
        for other in ["", "AAAA", "web-1", "!"] {
            assert_eq!(key.read(other, &domain), None);
        }
        std::fs::write(directory.path().join(FILE), "short").unwrap();
        assert!(StickyKey::open(directory.path()).is_err());
    }
}
