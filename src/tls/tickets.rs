//! Session tickets: sealed with keys that are replaced every few hours, and that a successor takes over.
//!
//! They are those of rustls (`rustls::crypto::ring::Ticketer`): ChaCha20-Poly1305, a key for six hours and its tickets for
//! six more. That one keeps its keys for itself, so that each upgrade would end all sessions.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;
use subtle::ConstantTimeEq;

use crate::clock::now_ms;
use crate::model::{TicketSecret, TicketSecrets};

/// How long a key makes tickets; they are taken for as long again.
const KEY_SECS: u64 = 6 * 60 * 60;

/// How long clients may keep a ticket (RFC 8446 §4.6.1).
const TICKET_SECS: u32 = 12 * 60 * 60;

const NAME_LEN: usize = 16;

/// The keys of session tickets. Clones share them.
#[derive(Clone)]
pub(crate) struct Tickets {
    keys: Arc<Keys>,
}

struct Keys {
    state: RwLock<State>,
    /// Held by the one who makes a new key.
    rotating: Mutex<()>,
}

struct State {
    current: Arc<Key>,
    previous: Option<Arc<Key>>,
    /// In seconds since the Unix epoch.
    rotates: u64,
}

struct Key {
    secret: [u8; 32],
    name: [u8; NAME_LEN],
    sealing: LessSafeKey,
    /// The longest ticket made so far. Longer ones would help to guess keys (eprint 2020/1491).
    longest: AtomicUsize,
}

impl Tickets {
    /// New keys.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub(crate) fn new() -> Result<Self, rustls::Error> {
        let current = Arc::new(Key::new().ok_or(rustls::Error::FailedToGetRandomBytes)?);
        let state = State { current, previous: None, rotates: now_secs() + KEY_SECS };
        Ok(Self { keys: Arc::new(Keys { state: RwLock::new(state), rotating: Mutex::default() }) })
    }

    /// The keys as they are, for a successor alone.
    pub(crate) fn secrets(&self) -> TicketSecrets {
        let state = self.keys.state.read();
        let secret = |key: &Key| TicketSecret {
            name: key.name,
            key: key.secret,
            longest: key.longest.load(Ordering::Relaxed),
        };
        TicketSecrets {
            current: secret(&state.current),
            previous: state.previous.as_deref().map(secret),
            rotates_secs: state.rotates,
        }
    }

    /// Goes on with the keys of the server before, which are replaced when they would have been there.
    pub(crate) fn resume(&self, secrets: &TicketSecrets) {
        let key = |secret: &TicketSecret| Key::of(secret.key, secret.name, secret.longest);
        let Some(current) = key(&secrets.current) else { return };
        let previous = secrets.previous.as_ref().and_then(key);
        // Not for longer than a key of its own, whatever that clock said.
        let rotates = secrets.rotates_secs.min(now_secs() + KEY_SECS);
        *self.keys.state.write() =
            State { current: Arc::new(current), previous: previous.map(Arc::new), rotates };
    }

    /// The keys of this moment.
    fn at(&self, now: u64) -> (Arc<Key>, Option<Arc<Key>>) {
        let of = |state: &State| (Arc::clone(&state.current), state.previous.clone());
        {
            let state = self.keys.state.read();
            if now <= state.rotates {
                return of(&state);
            }
        }
        self.rotate(now);
        of(&self.keys.state.read())
    }

    fn rotate(&self, now: u64) {
        let _one = self.keys.rotating.lock();
        if now <= self.keys.state.read().rotates {
            return;
        }
        // Without randomness the key goes on, until the next try.
        let Some(next) = Key::new() else { return };
        let mut state = self.keys.state.write();
        let before = std::mem::replace(&mut state.current, Arc::new(next));
        // After a quiet time its tickets are too old as well.
        state.previous = (now <= state.rotates + KEY_SECS).then_some(before);
        state.rotates = now + KEY_SECS;
    }

    fn open_at(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        let (current, previous) = self.at(now);
        current.open(ticket).or_else(|| previous?.open(ticket))
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        TICKET_SECS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.at(now_secs()).0.seal(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open_at(cipher, now_secs())
    }
}

impl fmt::Debug for Tickets {
    /// The keys stay out of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl Key {
    fn new() -> Option<Self> {
        let (mut secret, mut name) = ([0; 32], [0; NAME_LEN]);
        let random = SystemRandom::new();
        random.fill(&mut secret).ok()?;
        random.fill(&mut name).ok()?;
        Self::of(secret, name, 0)
    }

    fn of(secret: [u8; 32], name: [u8; NAME_LEN], longest: usize) -> Option<Self> {
        let sealing = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &secret).ok()?);
        Some(Self { secret, name, sealing, longest: AtomicUsize::new(longest) })
    }

    /// A ticket: the name of the key, a random nonce, what is sealed, and its tag. A counter as the nonce would tell
    /// how many tickets there are.
    fn seal(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let (nonce_bytes, aad) = (nonce, Aad::from(self.name));
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.sealing.seal_in_place_append_tag(nonce, aad, &mut sealed).ok()?;
        let ticket = [&self.name[..], &nonce_bytes, &sealed].concat();
        self.longest.fetch_max(ticket.len(), Ordering::Relaxed);
        Some(ticket)
    }

    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > self.longest.load(Ordering::Relaxed) {
            return None;
        }
        let (name, rest) = ticket.split_at_checked(NAME_LEN)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        if !bool::from(self.name.ct_eq(name)) {
            return None;
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let length =
            self.sealing.open_in_place(nonce, Aad::from(self.name), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.secret.fill(0);
    }
}

fn now_secs() -> u64 {
    now_ms() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_opened_by_the_keys_that_made_it_and_as_long_as_they_live() {
        let tickets = Tickets::new().unwrap();
        let now = now_secs();
        let ticket = tickets.encrypt(b"a session").unwrap();
        assert_eq!(tickets.open_at(&ticket, now).as_deref(), Some(&b"a session"[..]));
        assert_eq!(Tickets::new().unwrap().decrypt(&ticket), None, "other keys");
        let mut wrong = ticket.clone();
        for place in 0..ticket.len() {
            wrong[place] ^= 1;
            assert_eq!(tickets.open_at(&wrong, now), None, "{place}");
            wrong[place] ^= 1;
        }
        assert_eq!(tickets.open_at(&[], now), None);
        assert_eq!(tickets.open_at(&ticket[..20], now), None);
        assert_eq!(tickets.open_at(&[&ticket[..], &[0]].concat(), now), None, "longer than any");
        assert!(tickets.open_at(&ticket, now + KEY_SECS + 1).is_some(), "the key before");
        assert!(tickets.open_at(&ticket, now + 2 * KEY_SECS + 3).is_none(), "two keys ago");
    }

    #[test]
    fn after_a_quiet_time_no_old_key_is_left() {
        let tickets = Tickets::new().unwrap();
        let ticket = tickets.encrypt(b"a session").unwrap();
        assert_eq!(tickets.open_at(&ticket, now_secs() + 2 * KEY_SECS + 1), None);
    }

    #[test]
    fn a_successor_goes_on_with_both_keys_and_replaces_them_when_they_would_have_been() {
        let before = Tickets::new().unwrap();
        let now = now_secs();
        let old = before.encrypt(b"old").unwrap();
        before.rotate(now + KEY_SECS + 1);
        let new = before.encrypt(b"new").unwrap();
        let mut secrets = before.secrets();
        let after = Tickets::new().unwrap();
        after.resume(&secrets);
        assert_eq!(after.open_at(&old, now).as_deref(), Some(&b"old"[..]));
        assert_eq!(after.open_at(&new, now).as_deref(), Some(&b"new"[..]));
        secrets.rotates_secs = now - 1;
        let due = Tickets::new().unwrap();
        due.resume(&secrets);
        assert!(due.open_at(&new, now).is_some());
        assert!(due.open_at(&old, now).is_none(), "it was replaced at once");
        secrets.rotates_secs = u64::MAX;
        due.resume(&secrets);
        assert!(due.secrets().rotates_secs <= now_secs() + KEY_SECS, "no key lives longer");
    }
}
