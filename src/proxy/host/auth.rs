//! Names and passwords (RFC 7617).
//!
//! A check of a password takes tens of milliseconds by design. So it is made off the threads of
//! traffic, a few at once, and what passed is known again for some minutes by a keyed digest.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderValue, header};
use pingora::http::RequestHeader;
use ring::{hmac, rand};
use tokio::sync::Semaphore;

use super::Host;
use crate::metrics::Reason;
use crate::model::{BasicAuth, PasswordHash, UserName};

/// For how long a password that passed is not checked again.
const REMEMBERED: Duration = Duration::from_mins(5);

/// Checks that may wait for others to end.
const MOST_WAITING: usize = 256;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

type Digest = [u8; 32];

/// Checks passwords, and knows those that passed.
pub(in crate::proxy) struct Passwords {
    /// Made anew by each process: digests are good for nothing elsewhere.
    key: hmac::Key,
    /// Replaced whole: it is read by every request, and grows by one for each check.
    passed: ArcSwap<HashMap<Digest, Instant>>,
    at_once: Semaphore,
    waiting: AtomicUsize,
}

/// What is known of the name and password that came with a request.
pub(in crate::proxy) enum Login {
    Passed,
    /// None came, or nothing that could be one.
    Missing,
    Unchecked(Attempt),
}

/// A name and password to be checked.
pub(in crate::proxy) struct Attempt {
    password: Vec<u8>,
    hash: PasswordHash,
    /// Whether the user exists. If not, the check is made all the same, so that it takes as long.
    user_exists: bool,
    digest: Digest,
}

impl Passwords {
    pub(super) fn new(key: hmac::Key) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            key,
            passed: ArcSwap::default(),
            // Half of them stay with traffic.
            at_once: Semaphore::new((cores / 2).max(1)),
            waiting: AtomicUsize::new(0),
        }
    }

    /// What is known without a check.
    pub(in crate::proxy) fn look(&self, auth: &BasicAuth, request: &RequestHeader) -> Login {
        let Some((user, password)) = credentials(request) else { return Login::Missing };
        let Some(any) = auth.users.values().next() else { return Login::Missing };
        let known = user.parse::<UserName>().ok().and_then(|user| auth.users.get(&user));
        let hash = known.unwrap_or(any);
        let mut context = hmac::Context::with_key(&self.key);
        for part in [hash.as_str().as_bytes(), user.as_bytes(), &password] {
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        let mut digest = Digest::default();
        digest.copy_from_slice(context.sign().as_ref());
        if known.is_some() && self.has_passed(&digest) {
            return Login::Passed;
        }
        let (hash, user_exists) = (hash.clone(), known.is_some());
        Login::Unchecked(Attempt { password, hash, user_exists, digest })
    }

    /// Checks a password, after those that came before.
    pub(in crate::proxy) async fn check(&self, attempt: Attempt) -> Result<(), Reason> {
        let waiting = Waiting::among(&self.waiting);
        if waiting.others >= MOST_WAITING {
            return Err(Reason::TooManyLogins);
        }
        let _turn = self.at_once.acquire().await.map_err(|_| Reason::Internal)?;
        drop(waiting);
        // Browsers send many requests at once; the first of them has done it for all.
        if attempt.user_exists && self.has_passed(&attempt.digest) {
            return Ok(());
        }
        let digest = attempt.digest;
        let checked = tokio::task::spawn_blocking(move || attempt.is_right()).await;
        if !checked.map_err(|_| Reason::Internal)? {
            return Err(Reason::Unauthorized);
        }
        // Not many: one for each user who came lately.
        self.passed.rcu(|passed| {
            let recent = passed.iter().filter(|(_, at)| at.elapsed() < REMEMBERED);
            let mut passed: HashMap<_, _> = recent.map(|(digest, at)| (*digest, *at)).collect();
            passed.insert(digest, Instant::now());
            passed
        });
        Ok(())
    }

    fn has_passed(&self, digest: &Digest) -> bool {
        self.passed.load().get(digest).is_some_and(|at| at.elapsed() < REMEMBERED)
    }
}

impl Attempt {
    /// Takes long.
    fn is_right(&self) -> bool {
        let hash = self.hash.as_str();
        let fits = if self.hash.is_bcrypt() {
            bcrypt::verify(&self.password, hash).unwrap_or(false)
        } else {
            phc::PasswordHash::new(hash)
                .is_ok_and(|hash| Argon2::default().verify_password(&self.password, &hash).is_ok())
        };
        fits && self.user_exists
    }
}

/// One of those that wait; dropping it leaves.
struct Waiting<'a> {
    all: &'a AtomicUsize,
    others: usize,
}

impl<'a> Waiting<'a> {
    fn among(all: &'a AtomicUsize) -> Self {
        Self { all, others: all.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The name and the password of the request's only `Authorization`.
fn credentials(request: &RequestHeader) -> Option<(String, Vec<u8>)> {
    let mut all = request.headers.get_all(header::AUTHORIZATION).iter();
    let (only, None) = (all.next()?, all.next()) else { return None };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let mut decoded = BASE64.decode(token.trim_ascii()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let password = decoded.split_off(colon + 1);
    decoded.truncate(colon);
    Some((String::from_utf8(decoded).ok()?, password))
}

/// What asks for a name and a password.
pub(in crate::proxy) fn challenge(host: Host<'_>) -> Option<HeaderValue> {
    let realm = host.options()?.basic_auth.as_ref()?.realm.clone();
    let realm = realm.or_else(|| Some(host.domain?.virtual_host.domain.to_string()))?;
    let realm = realm.replace('\\', "\\\\").replace('"', "\\\"");
    HeaderValue::try_from(format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")).ok()
}

/// A key that nobody else has.
pub(super) fn fresh_key() -> Result<hmac::Key, ring::error::Unspecified> {
    hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new())
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

/// Shared by all requests.
pub(super) type SharedPasswords = Arc<Passwords>;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(authorization: &str) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.append_header(header::AUTHORIZATION, authorization).unwrap();
        request
    }

    #[test]
    fn credentials_are_read_as_they_come() {
        let read = |text: &str| credentials(&request(text));
        let ann = Some(("ann".to_owned(), b"a:b".to_vec()));
        assert_eq!(read("Basic YW5uOmE6Yg=="), ann);
        assert_eq!(read("bAsIc  YW5uOmE6Yg"), ann);
        for text in ["Bearer YW5uOmE6Yg==", "Basic", "Basic !", "Basic YW5u", "Basic /zph"] {
            assert_eq!(read(text), None, "{text}");
        }
        let mut two = request("Basic YW5uOmE6Yg==");
        two.append_header(header::AUTHORIZATION, "Basic YW5uOmE6Yg==").unwrap();
        assert_eq!(credentials(&two), None);
    }

    #[tokio::test]
    async fn what_passed_is_known_again_until_the_hash_changes() {
        let passwords = Passwords::new(fresh_key().unwrap());
        let auth = |hash: &str| BasicAuth {
            realm: None,
            users: [("ann".parse().unwrap(), hash.parse().unwrap())].into(),
        };
        // Of "secret", at the least cost.
        let one = bcrypt::hash("secret", 4).unwrap();
        let (one, other) = (auth(&one), auth(&bcrypt::hash("other", 4).unwrap()));
        let right = request("Basic YW5uOnNlY3JldA==");
        let Login::Unchecked(attempt) = passwords.look(&one, &right) else { panic!("new") };
        assert_eq!(passwords.check(attempt).await, Ok(()));
        assert!(matches!(passwords.look(&one, &right), Login::Passed));
        let Login::Unchecked(attempt) = passwords.look(&other, &right) else { panic!("changed") };
        assert_eq!(passwords.check(attempt).await, Err(Reason::Unauthorized));
        // Bob has Ann's password, but there is no Bob.
        let bob = request("Basic Ym9iOnNlY3JldA==");
        let Login::Unchecked(attempt) = passwords.look(&one, &bob) else { panic!("unknown") };
        assert_eq!(passwords.check(attempt).await, Err(Reason::Unauthorized));
    }
}
