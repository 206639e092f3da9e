//! Names and passwords (RFC 7617).
//!
//! A check of a password takes tens of milliseconds by design. So it is made off the threads of
//! traffic, a few at once, clients and domains in turn; and what passed is known again by a keyed
//! digest, for as long as it is used.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderValue;
use parking_lot::Mutex;
use ring::{digest, hmac, rand};
use tokio::sync::watch;

use super::Host;
use crate::heads::names::AUTHORIZATION;
use crate::heads::{RequestHead, text_of};
use crate::model::Reason;
use crate::model::{BasicAuth, PasswordHash, UserName};
use crate::places::{Line, Who};

/// For how long a password that passed is not checked again after it was used last.
const REMEMBERED: Duration = Duration::from_mins(15);

/// Passwords that are remembered; beyond that whoever was away longest is checked again. Only right ones
/// are, so strangers add none.
const MAX_REMEMBERED: usize = 16_384;

/// Checks that wait for others to end, or run.
const MAX_CHECKS: usize = 256;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

type Digest = [u8; 32];

/// Checks passwords, and knows those that passed.
pub(crate) struct Passwords {
    /// Made anew by each process: digests are good for nothing elsewhere.
    key: hmac::Key,
    /// Replaced whole: it is read by every request, and grows by one for each check.
    passed: ArcSwap<HashMap<Digest, Arc<Used>>>,
    started: Instant,
    line: Arc<Line>,
    /// Checks that are waited for, by what they check: browsers send many requests at once.
    under_way: Mutex<HashMap<Digest, watch::Receiver<Checked>>>,
}

/// How a check ended; none while it has not.
type Checked = Option<Result<(), Reason>>;

/// When a password was used last, in seconds since the process began.
#[derive(Debug)]
struct Used(AtomicU64);

/// What is known of the name and password that came with a request.
pub(crate) enum Login {
    Passed,
    /// None came, or nothing that could be one.
    Missing,
    Unchecked(Attempt),
}

/// A name and password to be checked.
pub(crate) struct Attempt {
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
            started: Instant::now(),
            // Half of them stay with traffic.
            line: Arc::new(Line::new((cores / 2).max(1))),
            under_way: Mutex::default(),
        }
    }

    /// What is known without a check.
    pub(crate) fn look(&self, auth: &BasicAuth, request: &RequestHead) -> Login {
        let Some((user, password)) = credentials(request) else { return Login::Missing };
        let known = user.parse::<UserName>().ok().and_then(|user| auth.users.get(&user));
        let Some(hash) = known.or_else(|| decoy(auth, &user)) else { return Login::Missing };
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

    /// Checks a password when it is the turn of `who`. Browsers send many requests at once: what is
    /// being checked already is not checked again.
    pub(crate) async fn check(&self, attempt: Attempt, who: Who) -> Result<(), Reason> {
        let digest = attempt.digest;
        let says = loop {
            let mut is_checked = {
                let mut under_way = self.under_way.lock();
                if let Some(checked) = under_way.get(&digest) {
                    checked.clone()
                } else {
                    let (says, checked) = watch::channel(None);
                    under_way.insert(digest, checked);
                    break says;
                }
            };
            match is_checked.wait_for(Option::is_some).await.ok().and_then(|checked| *checked) {
                // Whoever made the check is gone, or has lost its place: that is no answer to others.
                None | Some(Err(Reason::TooManyLogins)) => {}
                Some(checked) => return checked,
            }
        };
        let under_way = UnderWay { passwords: self, digest };
        let checked = self.check_in_turn(attempt, who).await;
        // Whoever comes from now on finds what was remembered.
        drop(under_way);
        says.send_replace(Some(checked));
        checked
    }

    async fn check_in_turn(&self, attempt: Attempt, who: Who) -> Result<(), Reason> {
        let place = self.line.join(who, MAX_CHECKS);
        let mut place = place.map_err(|_| Reason::TooManyLogins)?;
        place.turn().await.map_err(|_| Reason::TooManyLogins)?;
        if attempt.user_exists && self.has_passed(&attempt.digest) {
            return Ok(());
        }
        let digest = attempt.digest;
        // The place goes with the check: it takes as long for whoever is gone.
        let checking = tokio::task::spawn_blocking(move || {
            let is_right = attempt.is_right();
            drop(place);
            is_right
        });
        if !checking.await.map_err(|_| Reason::Internal)? {
            return Err(Reason::Unauthorized);
        }
        self.remember(digest);
        Ok(())
    }

    fn remember(&self, digest: Digest) {
        let now = self.now();
        self.passed.rcu(|passed| remembered(passed, digest, now));
    }

    fn has_passed(&self, digest: &Digest) -> bool {
        let (passed, now) = (self.passed.load(), self.now());
        let Some(used) = passed.get(digest) else { return false };
        let before = used.0.load(Ordering::Relaxed);
        let is_fresh = is_remembered(before, now);
        // Written once a second at most: threads share it.
        if is_fresh && before < now {
            used.0.store(now, Ordering::Relaxed);
        }
        is_fresh
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_secs()
    }
}

/// Takes a check out of those that are waited for, however it ended.
struct UnderWay<'a> {
    passwords: &'a Passwords,
    digest: Digest,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.passwords.under_way.lock().remove(&self.digest);
    }
}

/// What is remembered once this has passed: without what nobody has used lately, and not too many.
fn remembered(
    passed: &HashMap<Digest, Arc<Used>>,
    digest: Digest,
    now: u64,
) -> HashMap<Digest, Arc<Used>> {
    let mut kept: Vec<_> = passed
        .iter()
        .map(|(digest, used)| (used.0.load(Ordering::Relaxed), *digest, Arc::clone(used)))
        .filter(|(at, ..)| is_remembered(*at, now))
        .collect();
    if kept.len() >= MAX_REMEMBERED {
        kept.sort_unstable_by_key(|(at, ..)| std::cmp::Reverse(*at));
        kept.truncate(MAX_REMEMBERED - 1);
    }
    let mut kept: HashMap<_, _> = kept.into_iter().map(|(_, of, used)| (of, used)).collect();
    kept.insert(digest, Arc::new(Used(AtomicU64::new(now))));
    kept
}

fn is_remembered(used: u64, now: u64) -> bool {
    now.saturating_sub(used) < REMEMBERED.as_secs()
}

/// The hash that the password of a user is checked against who does not exist: one of those that there
/// are, and for one name always the same. So what it costs says nothing of who exists, whatever the
/// parameters of each hash are.
fn decoy<'a>(auth: &'a BasicAuth, user: &str) -> Option<&'a PasswordHash> {
    // Nobody can tell which one it is who does not know the hashes.
    let mut context = digest::Context::new(&digest::SHA256);
    for hash in auth.users.values() {
        context.update(hash.as_str().as_bytes());
    }
    context.update(user.as_bytes());
    let digest = context.finish();
    let number = digest.as_ref().iter().take(8).fold(0, |n: u64, byte| n << 8 | u64::from(*byte));
    let place = number % u64::try_from(auth.users.len()).ok().filter(|users| *users > 0)?;
    auth.users.values().nth(usize::try_from(place).ok()?)
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

/// The name and the password of the request's only `Authorization`.
fn credentials(request: &RequestHead) -> Option<(String, Vec<u8>)> {
    let mut all = request.headers.all(AUTHORIZATION);
    let (only, None) = (all.next()?, all.next()) else { return None };
    let (scheme, token) = text_of(only)?.split_once(' ')?;
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
pub(crate) fn challenge(host: Host<'_>) -> Option<HeaderValue> {
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
    use http::Method;

    use super::*;
    use crate::places::ClientKey;

    const WHO: Who = Who { client: ClientKey::UNKNOWN, group: 0 };

    fn request(authorization: &str) -> RequestHead {
        let mut request = RequestHead::new(Method::GET, b"/");
        request.headers.append(AUTHORIZATION, authorization);
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
        two.headers.append(AUTHORIZATION, "Basic YW5uOmE6Yg==");
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
        assert_eq!(passwords.check(attempt, WHO).await, Ok(()));
        assert!(matches!(passwords.look(&one, &right), Login::Passed));
        let Login::Unchecked(attempt) = passwords.look(&other, &right) else { panic!("changed") };
        assert_eq!(passwords.check(attempt, WHO).await, Err(Reason::Unauthorized));
        // Bob has Ann's password, but there is no Bob.
        let bob = request("Basic Ym9iOnNlY3JldA==");
        let Login::Unchecked(attempt) = passwords.look(&one, &bob) else { panic!("unknown") };
        assert_eq!(passwords.check(attempt, WHO).await, Err(Reason::Unauthorized));
    }

    fn basic(user: &str, password: &str) -> RequestHead {
        request(&format!("Basic {}", BASE64.encode(format!("{user}:{password}"))))
    }

    #[tokio::test]
    async fn a_flood_of_one_address_keeps_nobody_out() {
        let passwords = Arc::new(Passwords::new(fresh_key().unwrap()));
        let auth = Arc::new(BasicAuth {
            realm: None,
            users: [("ann".parse().unwrap(), bcrypt::hash("secret", 4).unwrap().parse().unwrap())]
                .into(),
        });
        let flooding = Who { client: ClientKey::of_uid(1), group: 1 };
        // Nobody's turn ends before all of them stand in the line.
        let mut turns = Vec::new();
        while let Ok(place) = passwords.line.join(flooding, MAX_CHECKS) {
            turns.push(place);
        }
        assert_eq!(turns.len(), MAX_CHECKS);
        let attempt =
            |user: &str, password: &str| match passwords.look(&auth, &basic(user, password)) {
                Login::Unchecked(attempt) => attempt,
                Login::Passed | Login::Missing => panic!("it is new"),
            };
        let more = passwords.check(attempt("ann", "wrong"), flooding).await;
        assert_eq!(more, Err(Reason::TooManyLogins));
        let own = attempt("ann", "secret");
        let other = Who { client: ClientKey::of_uid(2), group: 1 };
        let checking = passwords.check(own, other);
        tokio::pin!(checking);
        assert!(futures_util::poll!(&mut checking).is_pending(), "it has a place");
        // As many turns as there are end: the next is the other client's.
        turns.drain(..1);
        assert_eq!(checking.await, Ok(()));
    }

    #[tokio::test]
    async fn requests_with_the_same_password_wait_for_one_check() {
        let passwords = Passwords::new(fresh_key().unwrap());
        let auth = BasicAuth {
            realm: None,
            users: [("ann".parse().unwrap(), bcrypt::hash("secret", 4).unwrap().parse().unwrap())]
                .into(),
        };
        let attempts =
            (0..2 * MAX_CHECKS).map(|_| match passwords.look(&auth, &basic("ann", "secret")) {
                Login::Unchecked(attempt) => passwords.check(attempt, WHO),
                Login::Passed | Login::Missing => panic!("it is new"),
            });
        let checked = futures_util::future::join_all(attempts).await;
        assert!(checked.into_iter().all(|checked| checked.is_ok()));
        assert!(passwords.under_way.lock().is_empty());
    }

    #[test]
    fn what_passed_is_remembered_while_it_is_used_and_within_a_bound() {
        let used = |at| Arc::new(Used(AtomicU64::new(at)));
        let digest = |n: usize| {
            let mut digest = Digest::default();
            digest[..8].copy_from_slice(&n.to_le_bytes());
            digest
        };
        let all: HashMap<_, _> = (0..MAX_REMEMBERED).map(|n| (digest(n), used(n as u64))).collect();
        let newest = MAX_REMEMBERED as u64;
        let kept = remembered(&all, digest(usize::MAX), newest);
        assert_eq!(kept.len(), usize::try_from(REMEMBERED.as_secs()).unwrap());
        let all: HashMap<_, _> =
            (0..MAX_REMEMBERED).map(|n| (digest(n), used(n as u64 / 100))).collect();
        let kept = remembered(&all, digest(usize::MAX), newest / 100);
        assert_eq!(kept.len(), MAX_REMEMBERED);
        assert!(kept.contains_key(&digest(usize::MAX)) && kept.contains_key(&digest(5000)));
        assert_eq!((0..100).filter(|n| !kept.contains_key(&digest(*n))).count(), 1, "the oldest");
        let passwords = Passwords::new(fresh_key().unwrap());
        passwords.remember(digest(1));
        passwords.passed.load()[&digest(1)].0.store(0, Ordering::Relaxed);
        assert!(passwords.has_passed(&digest(1)));
    }

    #[test]
    fn unknown_users_cost_what_one_of_the_known_ones_costs_and_always_the_same() {
        let hash = |cost| bcrypt::hash("x", cost).unwrap().parse().unwrap();
        let auth = BasicAuth {
            realm: None,
            users: [("ann".parse().unwrap(), hash(4)), ("bob".parse().unwrap(), hash(5))].into(),
        };
        let decoys = |auth: &BasicAuth| {
            let names = (0..64).map(|n| format!("user{n}"));
            names.map(|name| decoy(auth, &name).unwrap().clone()).collect::<Vec<_>>()
        };
        let first = decoys(&auth);
        assert_eq!(first, decoys(&auth));
        assert!(auth.users.values().all(|hash| first.contains(hash)), "none is the unknown ones'");
        let nobody = BasicAuth { realm: None, users: [].into() };
        assert!(decoy(&nobody, "ann").is_none());
    }
}
