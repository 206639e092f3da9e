//! The account at a CA: one for each directory, kept in a file.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::connection::ResponseFacts;
use super::context::{CaContext, blocking};
use super::error::AcmeError;
use super::storage;
use crate::atomic_file;
use crate::config::EabSettings;
use crate::model::AccountInfo;
use crate::plain_file::{self, MAX_PEM_BYTES};

/// A session with a CA under a known account.
pub(super) struct Session {
    pub(super) account: Account,
    pub(super) seen: ResponseFacts,
}

impl Session {
    pub(super) fn error(&self, error: instant_acme::Error) -> AcmeError {
        AcmeError::of(error, &self.seen)
    }
}

/// What is kept of an account. Not `Debug`: the credentials are its key.
#[derive(Serialize, Deserialize)]
struct AccountFile {
    directory_url: String,
    email: String,
    uri: String,
    thumbprint: String,
    /// The CA's name in DNS records, once known.
    #[serde(default)]
    issuer_domain: Option<String>,
    credentials: AccountCredentials,
}

impl CaContext {
    /// Starts a session; registers an account if there is none.
    pub(super) async fn session(&self) -> Result<Session, AcmeError> {
        if let Some(session) = self.known().await? {
            return Ok(session);
        }
        let _one_at_a_time = self.registering.lock().await;
        let path = self.account_path();
        let _one_process_at_a_time = {
            let path = path.with_extension("lock");
            blocking(move || lock(&path)).await.map_err(|error| cannot_keep(&error))?
        };
        match self.known().await? {
            Some(session) => Ok(session),
            None => self.register_at(path).await,
        }
    }

    /// The account as stored, without asking the CA.
    pub(super) fn account_info(&self) -> AccountInfo {
        let file = read(&self.account_path()).ok().flatten();
        let domain = self.issuer_domain(file.as_ref().and_then(|file| file.issuer_domain.clone()));
        let record = |rest: &dyn Fn(&str) -> String| file.as_ref().map(|file| rest(&file.uri));
        AccountInfo {
            directory_url: self.issuer.shown_url().to_owned(),
            email: match (&self.issuer.written_email, &file) {
                (Some(written), _) => written.clone(),
                (None, Some(file)) => file.email.clone(),
                (None, None) => self.issuer.email.clone(),
            },
            uri: file.as_ref().map(|file| file.uri.clone()),
            thumbprint: file.as_ref().map(|file| file.thumbprint.clone()),
            dns_persist: record(&|uri| format!("{domain}; accounturi={uri}; policy=wildcard")),
            caa: record(&|uri| format!("0 issue \"{domain}; accounturi={uri}\"")),
        }
    }

    /// Removes an account that the CA does not know, unless a new one has replaced it.
    pub(super) async fn forget_account(&self, uri: &str) -> Result<(), AcmeError> {
        let _one_at_a_time = self.registering.lock().await;
        warn!(directory_url = self.issuer.directory_url, uri, "the CA does not know the account");
        let (path, uri) = (self.account_path(), uri.to_owned());
        let forget = move || match read(&path)? {
            Some(file) if file.uri == uri => atomic_file::remove(&path),
            _ => Ok(()),
        };
        blocking(forget).await.map_err(|error| cannot_keep(&error))
    }

    /// Stores the CA's name in DNS records, once known.
    pub(super) async fn keep_issuer_domain(&self, seen: &ResponseFacts) {
        let Some(domain) = seen.issuer_domain() else { return };
        let path = self.account_path();
        let keep = move || match read(&path)? {
            Some(file) if file.issuer_domain.as_ref() != Some(&domain) => {
                write(&path, &AccountFile { issuer_domain: Some(domain), ..file })
            }
            _ => Ok(()),
        };
        // It is only shown to people.
        if let Err(error) = blocking(keep).await {
            warn!(directory_url = self.issuer.directory_url, %error, "the account cannot be saved");
        }
    }

    /// The account of the file, where there is one.
    async fn known(&self) -> Result<Option<Session>, AcmeError> {
        let path = self.account_path();
        let file = {
            let path = path.clone();
            blocking(move || read(&path)).await.map_err(|error| cannot_keep(&error))?
        };
        let Some(file) = file else { return Ok(None) };
        if file.directory_url != self.issuer.directory_url {
            let words = format!("`{}` is the account at `{}`", path.display(), file.directory_url);
            return Err(AcmeError::local(words)
                .with_hint("move the file elsewhere, or use another `cache_dir`"));
        }
        let (http, seen) = self.connection().await?.converse();
        let account = Account::builder_with_http(http).from_credentials(file.credentials).await;
        let account = account.map_err(|error| AcmeError::of(error, &seen).at_the_account())?;
        let session = Session { account, seen };
        if file.email != self.issuer.email {
            self.change_email(&session, path).await;
        }
        Ok(Some(session))
    }

    async fn register_at(&self, path: PathBuf) -> Result<Session, AcmeError> {
        let eab = match self.issuer.eab.clone() {
            Some(eab) => {
                Some(blocking(move || Ok(binding(&eab))).await.unwrap_or_else(|error| {
                    Err(AcmeError::file("the external account's key", &error))
                })?)
            }
            None => None,
        };
        let (http, seen) = self.connection().await?.converse();
        let contact = format!("mailto:{}", self.issuer.email);
        let contact = [contact.as_str()];
        let new = NewAccount {
            contact: if self.issuer.email.is_empty() { &[] } else { &contact },
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let url = self.issuer.directory_url.clone();
        let made = Account::builder_with_http(http).create(&new, url, eab.as_ref()).await;
        let (account, credentials) = made.map_err(|error| {
            let error = AcmeError::of(error, &seen).at_the_account();
            if eab.is_some() && error.is("unauthorized") {
                return error.with_hint("check `eab_kid`, and the key in `eab_hmac_key_file`");
            }
            error
        })?;
        let file = AccountFile {
            directory_url: self.issuer.directory_url.clone(),
            email: self.issuer.email.clone(),
            uri: account.id().to_owned(),
            thumbprint: account.key_thumbprint().to_owned(),
            issuer_domain: seen.issuer_domain(),
            credentials,
        };
        blocking(move || write(&path, &file)).await.map_err(|error| cannot_keep(&error))?;
        info!(
            directory_url = self.issuer.directory_url,
            uri = account.id(),
            "an account was made at the CA"
        );
        Ok(Session { account, seen })
    }

    /// Changes the e-mail address at the CA. A failure must not prevent orders.
    async fn change_email(&self, session: &Session, path: PathBuf) {
        let email = self.issuer.email.clone();
        let contact = format!("mailto:{email}");
        let contact = [contact.as_str()];
        let contacts: &[&str] = if email.is_empty() { &[] } else { &contact };
        let changed = session.account.update_contacts(contacts).await;
        let changed = match changed.map_err(|error| session.error(error).to_string()) {
            Ok(()) => {
                let keep = move || match read(&path)? {
                    Some(file) => write(&path, &AccountFile { email, ..file }),
                    None => Ok(()),
                };
                blocking(keep).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = changed {
            warn!(
                directory_url = self.issuer.directory_url,
                error, "the e-mail address cannot be changed at the CA"
            );
        }
    }

    fn account_path(&self) -> PathBuf {
        self.storage.account(&self.issuer.directory_url)
    }

    /// The CA's name in DNS records; `said` comes from the CA itself.
    fn issuer_domain(&self, said: Option<String>) -> String {
        if self.is_public() {
            return "letsencrypt.org".to_owned();
        }
        let host = || {
            let uri = self.issuer.directory_url.parse::<http::Uri>().ok();
            uri.and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default()
        };
        said.unwrap_or_else(host)
    }
}

fn cannot_keep(error: &io::Error) -> AcmeError {
    AcmeError::file("the account cannot be saved", error)
}

/// Reads the account. A damaged file is moved aside: its content is lost either way.
fn read(path: &Path) -> io::Result<Option<AccountFile>> {
    let json = match plain_file::read(path, MAX_PEM_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        json => json?,
    };
    match serde_json::from_slice(&json) {
        Ok(file) => Ok(Some(file)),
        Err(error) => {
            // The error's text could quote the key.
            warn!(path = %path.display(), line = error.line(), "the account's file is damaged");
            fs::rename(path, path.with_extension("json.bad"))?;
            Ok(None)
        }
    }
}

/// Whether a text is what is kept of an account.
pub(super) fn is_account(json: &[u8]) -> serde_json::Result<()> {
    serde_json::from_slice::<AccountFile>(json).map(drop)
}

fn write(path: &Path, file: &AccountFile) -> io::Result<()> {
    storage::write(path, &serde_json::to_vec_pretty(file)?)
}

/// Waits for a lock, which the kernel releases when the process ends.
fn lock(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        atomic_file::private_directory(directory)?;
    }
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(path)?;
    file.lock()?;
    Ok(file)
}

/// Reads the key of an external account.
pub(super) fn binding(eab: &EabSettings) -> Result<ExternalAccountKey, AcmeError> {
    let path = eab.hmac_key_file.display();
    let blocked = |why: &dyn std::fmt::Display| {
        AcmeError::local(format!("the external account's key `{path}`: {why}"))
            .with_hint("`eab_hmac_key_file` contains the key as the CA issued it, in base64url")
    };
    let text = plain_file::read_text(&eab.hmac_key_file, MAX_PEM_BYTES)
        .map_err(|error| blocked(&error))?;
    let key = decode(&text).filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| blocked(&"it is not base64url"))?;
    Ok(ExternalAccountKey::new(eab.kid.clone(), &key))
}

/// CAs give it out in either alphabet, with padding or without.
fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim().trim_end_matches('=').replace('+', "-").replace('/', "_");
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_cas_give_it_out() {
        for (text, bytes) in [
            ("", Some(&b""[..])),
            ("Zg==", Some(b"f")),
            ("Zm9v\n", Some(b"foo")),
            ("Zm9vYg", Some(b"foob")),
            ("-_-_", Some(&[0xfb, 0xff, 0xbf])),
            ("+/+/", Some(&[0xfb, 0xff, 0xbf])),
            ("Zm9v Yg", None),
            ("Z", None),
        ] {
            assert_eq!(decode(text).as_deref(), bytes, "{text}");
        }
    }

    #[test]
    fn a_broken_file_is_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("account.json");
        assert!(read(&path).unwrap().is_none());
        fs::write(&path, "{\"uri\":").unwrap();
        assert!(read(&path).unwrap().is_none());
        assert!(!path.exists());
        assert!(directory.path().join("account.json.bad").exists());
    }
}
