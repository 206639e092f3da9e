//! A certificate and its key in two files of the operator: read, and checked against the names that
//! they serve. One set of rules for `check`, the reload, commands and watched files.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::certificate::{Certificate, CertificateError, certificates, private_key};
use crate::clock::date;
use crate::model::{DomainName, Pattern};
use crate::plain_file::{self, MAX_PEM_BYTES};

/// Why a pair of files can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// A file can't be read.
    #[error("`{}`: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The files are swapped.
    #[error("`{}` holds the key and `{}` the certificate", cert.display(), key.display())]
    Swapped {
        /// What was given as the certificate.
        cert: PathBuf,
        /// What was given as its key.
        key: PathBuf,
    },
    /// They have no certificate or no key, or don't belong together.
    #[error("`{}` and `{}`: {source}", cert.display(), key.display())]
    Unusable { cert: PathBuf, key: PathBuf, source: CertificateError },
    /// The certificate is for other names.
    #[error("`{}`: the certificate is for {}, not for `{name}`", cert.display(), listed(names))]
    OtherName {
        cert: PathBuf,
        /// A name that it does not have.
        name: DomainName,
        /// The names that it is for.
        names: Vec<String>,
    },
    /// The certificate has run out.
    #[error("`{}`: the certificate expired on {until}", cert.display())]
    RanOut { cert: PathBuf, until: String },
}

impl PairError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "allow the user that runs vhost to read it".to_owned()
            }
            Self::Unreadable { .. } => "check the path; the server itself reads it".to_owned(),
            Self::Swapped { .. } => "swap `cert` and `key`".to_owned(),
            Self::Unusable { source: CertificateError::Mismatch, .. } => {
                "use the key of this certificate".to_owned()
            }
            Self::Unusable { .. } => "give the leaf first and then its chain as one PEM file, and \
                                      the leaf's key, without a passphrase, as another"
                .to_owned(),
            Self::OtherName { name, .. } => format!("get a certificate for `{name}`"),
            Self::RanOut { .. } => "replace the files".to_owned(),
        }
    }
}

/// Reads a pair of files. Blocks.
///
/// # Errors
/// When a file can't be read, or they don't belong together.
pub fn read_pair(cert: &Path, key: &Path) -> Result<Certificate, PairError> {
    let content = |path: &Path| {
        plain_file::read(path, MAX_PEM_BYTES)
            .map_err(|source| PairError::Unreadable { path: path.to_owned(), source })
    };
    let (chain, secret) = (content(cert)?, content(key)?);
    Certificate::from_pem(&chain, &secret).map_err(|source| {
        let (cert, key) = (cert.to_owned(), key.to_owned());
        let is_swapped = certificates(&chain).is_ok_and(|found| found.is_empty())
            && private_key(&chain).is_ok()
            && certificates(&secret).is_ok_and(|found| !found.is_empty());
        if is_swapped {
            PairError::Swapped { cert, key }
        } else {
            PairError::Unusable { cert, key, source }
        }
    })
}

/// Reads a pair of files that should serve `names` from now on. For the name `*` any certificate
/// fits. Blocks.
///
/// # Errors
/// As [`read_pair`], and when the certificate is not for one of the names, or has run out.
pub fn read_fitting_pair<'a>(
    cert: &Path,
    key: &Path,
    names: impl IntoIterator<Item = &'a DomainName>,
) -> Result<Certificate, PairError> {
    let certificate = read_pair(cert, key)?;
    let mut names = names.into_iter().filter(|name| name.pattern() != Pattern::Default);
    if let Some(name) = names.find(|name| !certificate.covers(name)) {
        let (cert, name) = (cert.to_owned(), name.clone());
        let names = certificate.facts().names.clone();
        return Err(PairError::OtherName { cert, name, names });
    }
    match expiry_error(cert, &certificate) {
        Some(error) => Err(error),
        None => Ok(certificate),
    }
}

/// An error if the certificate has expired.
pub fn expiry_error(cert: &Path, certificate: &Certificate) -> Option<PairError> {
    let until = certificate.not_after();
    (until <= SystemTime::now())
        .then(|| PairError::RanOut { cert: cert.to_owned(), until: date(until) })
}

/// Names, as many as fit a line.
pub(crate) fn listed(names: &[String]) -> String {
    const MAX_NAMES: usize = 5;
    let mut words: Vec<_> = names.iter().take(MAX_NAMES).map(|name| format!("`{name}`")).collect();
    if names.len() > MAX_NAMES {
        words.push(format!("{} more", names.len() - MAX_NAMES));
    }
    if words.is_empty() { "no name at all".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{expired_pem, self_signed_pem};
    use super::*;

    #[test]
    fn a_pair_fits_or_says_what_would() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let (cert, key) = self_signed_pem(&["a.test", "*.a.test"]);
        let (_, other) = self_signed_pem(&["a.test"]);
        let (old, old_key) = expired_pem(&["a.test"]);
        let (cert, key) = (file("cert", &cert), file("key", &key));
        let (old, old_key) = (file("old", &old), file("old-key", &old_key));
        let (other, empty) = (file("other", &other), file("empty", ""));
        let missing = directory.path().join("missing");
        let names = |names: &[&str]| -> Vec<DomainName> {
            names.iter().map(|name| name.parse().unwrap()).collect()
        };
        let fits = |cert: &Path, key: &Path, of: &[&str]| {
            read_fitting_pair(cert, key, &names(of)).map(drop)
        };
        assert!(fits(&cert, &key, &["a.test", "www.a.test", "*.a.test", "*"]).is_ok());
        for (cert, key, of, said) in [
            (&cert, &other, "a.test", "does not belong"),
            (&key, &cert, "a.test", "holds the key"),
            (&cert, &key, "b.test", "is for `a.test`, `*.a.test`, not for `b.test`"),
            (&cert, &key, "b.a.a.test", "not for"),
            (&old, &old_key, "a.test", "expired on"),
            (&missing, &key, "a.test", "missing`: No such file"),
            (&cert, &empty, "a.test", "no private key"),
            (&empty, &key, "a.test", "no certificate"),
            (&directory.path().to_owned(), &key, "a.test", "a directory"),
        ] {
            let error = fits(cert, key, &[of]).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert!(!error.hint().is_empty());
        }
    }
}
