//! The tokens of a server.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use super::TokenError;
use super::file::{self, Kept, KeptAdmin, KeptToken, TokenFacts};
use super::secret::{new_secret, sha256};
use crate::clock::now_ms;
use crate::model::{Access, TokenName};

/// The file in the state directory.
const FILE: &str = "tokens.json";

/// The tokens of a server. Cloned handles share them.
#[derive(Clone)]
pub(crate) struct Tokens {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    kept: ArcSwap<Kept>,
    /// Locked while the file is replaced, on a blocking thread.
    writer: Mutex<()>,
    /// Notifies about changes.
    changes: watch::Sender<()>,
}

impl Tokens {
    /// Reads the tokens of a state directory; there may be none.
    ///
    /// # Errors
    /// When the file is there and can't be read.
    pub(crate) fn open(state_dir: &std::path::Path) -> Result<Self, TokenError> {
        let path = state_dir.join(FILE);
        let kept = ArcSwap::from_pointee(file::read(&path)?);
        let (writer, changes) = (Mutex::default(), watch::Sender::new(()));
        Ok(Self { inner: Arc::new(Inner { path, kept, writer, changes }) })
    }

    /// Makes the server's own token, if there is none yet. Works on a blocking thread.
    ///
    /// # Errors
    /// When it can't be saved.
    pub(crate) fn prepare(&self) -> Result<(), TokenError> {
        self.inner.change(|kept| match &kept.admin {
            Some(_) => Ok(()),
            None => new_admin(kept).map(drop),
        })
    }

    /// The token of this secret, compared in constant time.
    pub(crate) fn holder(&self, secret: &str) -> Option<TokenFacts> {
        let hash = sha256(secret);
        let kept = self.inner.kept.load();
        let mut holder = None;
        for token in kept.all() {
            if bool::from(token.sha256.as_bytes().ct_eq(hash.as_bytes())) {
                holder = Some(token.facts());
            }
        }
        holder
    }

    /// Completes when this secret is no longer valid: at once if it is not valid now.
    pub(crate) async fn revoked(self, secret: String) {
        let mut changes = self.inner.changes.subscribe();
        // The sender is kept by `self`, so there is always one.
        while self.holder(&secret).is_some() && changes.changed().await.is_ok() {}
    }

    /// The server's own token, with its secret.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn admin(&self) -> Result<(TokenFacts, String), TokenError> {
        let kept = self.inner.kept.load();
        let admin = kept.admin.as_ref().ok_or(TokenError::NoAdmin)?;
        Ok((admin.token.facts(), admin.secret.clone()))
    }

    /// All tokens, by name.
    pub(crate) fn list(&self) -> Vec<TokenFacts> {
        let mut all: Vec<_> = self.inner.kept.load().all().map(KeptToken::facts).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Gives a token a new secret; without a name the server's own, which is made if it does not
    /// exist. The old secret is refused from now on.
    ///
    /// # Errors
    /// When there is no such token, or it can't be saved.
    pub(crate) async fn rotate(
        &self,
        name: Option<TokenName>,
    ) -> Result<(TokenFacts, String), TokenError> {
        let name = name.unwrap_or_else(TokenName::admin);
        self.changing(move |kept| {
            if name == TokenName::admin() {
                return new_admin(kept);
            }
            let token = kept.tokens.iter_mut().find(|token| token.name == name);
            let token = token.ok_or(TokenError::Unknown { name })?;
            let secret = new_secret()?;
            token.sha256 = sha256(&secret);
            token.created_ms = now_ms();
            Ok((token.facts(), secret))
        })
        .await
    }

    /// Makes a token.
    ///
    /// # Errors
    /// When there is one of that name, or it can't be saved.
    pub(crate) async fn add(
        &self,
        name: TokenName,
        access: Access,
    ) -> Result<(TokenFacts, String), TokenError> {
        self.changing(move |kept| {
            if name == TokenName::admin() || kept.all().any(|token| token.name == name) {
                return Err(TokenError::Exists { name });
            }
            let secret = new_secret()?;
            let token = KeptToken::new(name, access, &secret);
            let facts = token.facts();
            kept.tokens.push(token);
            Ok((facts, secret))
        })
        .await
    }

    /// Removes a token; its secret is refused from now on.
    ///
    /// # Errors
    /// When there is no such token, it is the server's own, or it can't be saved.
    pub(crate) async fn remove(&self, name: TokenName) -> Result<(), TokenError> {
        self.changing(move |kept| {
            if name == TokenName::admin() {
                return Err(TokenError::Fixed);
            }
            let before = kept.tokens.len();
            kept.tokens.retain(|token| token.name != name);
            if kept.tokens.len() == before {
                return Err(TokenError::Unknown { name });
            }
            Ok(())
        })
        .await
    }

    async fn changing<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Kept) -> Result<T, TokenError> + Send + 'static,
    ) -> Result<T, TokenError> {
        let inner = Arc::clone(&self.inner);
        let task = tokio::task::spawn_blocking(move || inner.change(change));
        task.await.map_err(|_| TokenError::Stopping)?
    }
}

impl Inner {
    /// Changes the tokens: first on disk, then in memory.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Kept) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        // A panic can't leave its data half changed.
        let _writing = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.kept.load();
        let mut after = Kept::clone(&before);
        let changed = change(&mut after)?;
        if after != **before {
            file::write(&self.path, &after)?;
            self.kept.store(Arc::new(after));
            self.changes.send_replace(());
        }
        Ok(changed)
    }
}

fn new_admin(kept: &mut Kept) -> Result<(TokenFacts, String), TokenError> {
    let secret = new_secret()?;
    let token = KeptToken::new(TokenName::admin(), Access::Full, &secret);
    let facts = token.facts();
    kept.admin = Some(KeptAdmin { token, secret: secret.clone() });
    Ok((facts, secret))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::tokens::secret::PREFIX;

    fn name(text: &str) -> TokenName {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_token_is_its_holders_until_it_is_rotated_or_removed() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(directory.path()).unwrap();
        assert!(matches!(tokens.admin(), Err(TokenError::NoAdmin)));
        tokens.prepare().unwrap();
        let (facts, first) = tokens.admin().unwrap();
        assert_eq!(tokens.holder(&first), Some(facts));
        assert!(first.starts_with(PREFIX) && first.len() == PREFIX.len() + 64, "{first}");
        let (_, second) = tokens.rotate(None).await.unwrap();
        assert_eq!((tokens.holder(&first), tokens.admin().unwrap().1 == second), (None, true));
        let (ci, secret) = tokens.add(name("ci"), Access::Read).await.unwrap();
        assert_eq!(ci.access, Access::Read);
        for taken in ["ci", "admin"] {
            let refused = tokens.add(name(taken), Access::Full).await;
            assert!(matches!(refused, Err(TokenError::Exists { .. })), "{taken}");
        }
        // What was made outlives the process.
        let again = Tokens::open(directory.path()).unwrap();
        again.prepare().unwrap();
        assert_eq!(again.holder(&secret), Some(ci));
        assert_eq!(again.admin().unwrap().1, second);
        again.remove(name("ci")).await.unwrap();
        assert_eq!(again.holder(&secret), None);
        assert!(matches!(again.remove(name("ci")).await, Err(TokenError::Unknown { .. })));
        assert!(matches!(again.remove(name("admin")).await, Err(TokenError::Fixed)));
    }

    #[tokio::test]
    async fn the_file_is_the_owners_and_holds_no_secret_but_one() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(directory.path()).unwrap();
        tokens.prepare().unwrap();
        let (_, secret) = tokens.add(name("ci"), Access::Full).await.unwrap();
        let path = directory.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(&tokens.admin().unwrap().1) && !text.contains(&secret), "{text}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(Tokens::open(directory.path()), Err(TokenError::Unreadable { .. })));
    }
}
