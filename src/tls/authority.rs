//! The server's own CA: for names that no public CA would sign, and for machines that trust it.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::PrivateKeyDer;
use time::OffsetDateTime;

use super::{Certificate, CertificateError};
use crate::atomic_file;
use crate::model::DomainName;
use crate::plain_file::{self, MAX_PEM_BYTES};

/// How long the root is valid.
const ROOT_LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);

/// How long a certificate is valid. They are not stored: each start makes new ones.
const LEAF_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// Clocks of clients may be behind by this much.
const MAX_CLOCK_SKEW: Duration = Duration::from_hours(1);

/// The names of the files.
const ROOT_FILE: &str = "root.pem";
const ROOT_WITH_KEY_FILE: &str = "root-with-key.pem";

/// Why the CA can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file can't be read or written.
    #[error("cannot use `{path}`")]
    File {
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The stored root is damaged.
    #[error("the root in `{path}` is damaged; move it elsewhere, and a new one is made")]
    Damaged {
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: CertificateError,
    },
    /// A certificate can't be made.
    #[error("cannot make a certificate")]
    Make(#[source] rcgen::Error),
    /// What was made can't be used.
    #[error("cannot use the new certificate")]
    Made(#[source] CertificateError),
}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        Self::Make(error)
    }
}

/// The server's own CA, with its root and key.
pub struct Authority {
    pem: String,
    root: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Reads the CA from `directory`, or makes one there. Works on a blocking thread.
    ///
    /// # Errors
    /// When it can't be read or written, or is damaged.
    pub fn open(directory: &Path) -> Result<Self, AuthorityError> {
        let path = directory.join(ROOT_WITH_KEY_FILE);
        match plain_file::read_text(&path, MAX_PEM_BYTES) {
            Ok(bundle) => Self::read(&bundle, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(directory),
            Err(source) => Err(AuthorityError::File { path, source }),
        }
    }

    fn read(bundle: &str, path: &Path) -> Result<Self, AuthorityError> {
        let damaged = |source| AuthorityError::Damaged { path: path.to_owned(), source };
        let root = Certificate::from_bundle(bundle).map_err(damaged)?;
        let text = |error: rcgen::Error| damaged(CertificateError::Damaged(error.to_string()));
        let key = KeyPair::from_pem(bundle).map_err(text)?;
        let start = bundle.find("-----BEGIN CERTIFICATE-----").unwrap_or(0);
        let pem = bundle[start..].to_owned();
        let issuer = Issuer::from_ca_cert_der(root.leaf(), key).map_err(text)?;
        Ok(Self { pem, root, issuer })
    }

    fn make(directory: &Path) -> Result<Self, AuthorityError> {
        let now = OffsetDateTime::now_utc();
        let mut parameters = CertificateParams::default();
        // Its own name: roots of several servers may be in one trust store.
        let name = format!("vhost local authority {:08x}", fastrand::u32(..));
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        parameters.not_before = now - MAX_CLOCK_SKEW;
        parameters.not_after = now + ROOT_LIFETIME;
        let key = KeyPair::generate()?;
        let pem = parameters.self_signed(&key)?.pem();
        // The bundle last: once it exists, no new root is made.
        let bundle = key.serialize_pem() + &pem;
        let files = [(ROOT_FILE, &pem), (ROOT_WITH_KEY_FILE, &bundle)];
        atomic_file::private_directory(directory)
            .and_then(|()| atomic_file::remove_unfinished(directory))
            .map_err(|source| AuthorityError::File { path: directory.to_owned(), source })?;
        for (name, content) in files {
            let path = directory.join(name);
            atomic_file::write(&path, content.as_bytes())
                .map_err(|source| AuthorityError::File { path, source })?;
        }
        Self::read(&bundle, &directory.join(ROOT_WITH_KEY_FILE))
    }

    /// The root certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub fn root(&self) -> &Certificate {
        &self.root
    }

    /// Makes a certificate for a name, with a new key.
    ///
    /// # Errors
    /// When the system has no random numbers, or the name can't be in a certificate.
    pub fn issue(&self, name: &DomainName) -> Result<Certificate, AuthorityError> {
        let text = name.to_string();
        let text = text.trim_start_matches('[').trim_end_matches(']').to_owned();
        let now = OffsetDateTime::now_utc();
        let mut parameters = CertificateParams::new([text.clone()])?;
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        if text.parse::<IpAddr>().is_err() && text.len() <= 64 {
            parameters.distinguished_name.push(DnType::CommonName, text);
        }
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        parameters.not_before = now - MAX_CLOCK_SKEW;
        parameters.not_after = now + LEAF_LIFETIME;
        let key = KeyPair::generate()?;
        let leaf = parameters.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|error| AuthorityError::Made(CertificateError::BadKey(error.to_owned())))?;
        Certificate::new(vec![leaf.der().clone()], key).map_err(AuthorityError::Made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_made_once_and_signs_what_it_is_asked_to() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("ca");
        let first = Authority::open(&place).unwrap();
        let again = Authority::open(&place).unwrap();
        assert_eq!(first.pem(), again.pem());
        assert!(!first.pem().contains("PRIVATE"));
        let mut roots = rustls::RootCertStore::empty();
        roots.add(first.root().leaf().clone()).unwrap();
        for name in ["localhost", "*.localhost", "127.0.0.1", "[::1]", "shop.localhost"] {
            let name: DomainName = name.parse().unwrap();
            let certificate = again.issue(&name).unwrap();
            assert!(certificate.covers(&name), "{name}: {:?}", certificate.facts());
            assert_eq!(certificate.facts().issuer, first.root().facts().issuer);
        }
    }

    #[test]
    fn a_damaged_root_is_told_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(ROOT_WITH_KEY_FILE), "nonsense").unwrap();
        let error = Authority::open(directory.path()).err().expect("it is damaged");
        assert!(error.to_string().contains("move it elsewhere"), "{error}");
        let left = std::fs::read_to_string(directory.path().join(ROOT_WITH_KEY_FILE)).unwrap();
        assert_eq!(left, "nonsense");
    }
}
