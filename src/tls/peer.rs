//! What handshakes with backends need: read from files once, and shared by all connections.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pingora::protocols::tls::CaType;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use ring::digest::{Context, SHA256};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;

use super::certificate::{Certificate, CertificateError, certificates, parse, private_key};
use crate::model::{Backend, BackendAddr, BackendOptions};
use crate::plain_file::{self, MAX_PEM_BYTES};

/// The TLS of connections to a backend.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerTls {
    server_name: String,
    is_verified: bool,
    keys: PeerKeys,
}

/// What the files of a backend hold: whom to trust, and what the backend is shown.
#[derive(Clone, Default)]
pub struct PeerKeys {
    ca: Option<Arc<CaType>>,
    client: Option<Arc<CertKey>>,
    digest: [u8; 32],
}

/// Two are equal if their handshakes would be the same.
impl PartialEq for PeerKeys {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl fmt::Debug for PeerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerKeys")
            .field("has_own_ca", &self.ca.is_some())
            .field("has_client_certificate", &self.client.is_some())
            .finish_non_exhaustive()
    }
}

type KeysRead = Result<PeerKeys, Arc<TlsFileError>>;

/// The files of backends, each read once, however many backends name it.
#[derive(Debug, Clone, Default)]
pub struct PeerFiles(HashMap<Vec<(&'static str, PathBuf)>, KeysRead>);

impl PartialEq for PeerFiles {
    fn eq(&self, other: &Self) -> bool {
        let is_same = |one: &KeysRead, other: &KeysRead| match (one, other) {
            (Ok(one), Ok(other)) => one == other,
            (Err(one), Err(other)) => one.to_string() == other.to_string(),
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        };
        self.0.len() == other.0.len()
            && self.0.iter().all(|(key, one)| other.0.get(key).is_some_and(|it| is_same(one, it)))
    }
}

impl PeerFiles {
    /// Reads the files that the options name, unless they were read before. Blocks.
    ///
    /// # Errors
    /// When a file can't be read, or can't be used.
    pub fn read(&mut self, tls: &BackendOptions) -> Result<(), Arc<TlsFileError>> {
        if !tls.has_files() {
            return Ok(());
        }
        let read = || PeerKeys::read(tls).map_err(Arc::new);
        let read = self.0.entry(named(tls)).or_insert_with(read);
        read.as_ref().map(drop).map_err(Arc::clone)
    }

    /// What the files hold that the options name; `None` where they were not read.
    ///
    /// # Errors
    /// When a file could not be read, or can't be used.
    pub fn of(&self, tls: &BackendOptions) -> Option<Result<PeerKeys, Arc<TlsFileError>>> {
        if !tls.has_files() {
            return Some(Ok(PeerKeys::default()));
        }
        self.0.get(&named(tls)).cloned()
    }

    /// Takes in what `other` has read besides.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

fn named(tls: &BackendOptions) -> Vec<(&'static str, PathBuf)> {
    tls.files().map(|(key, path)| (key, path.to_owned())).collect()
}

/// Why a file of a backend's TLS can't be used.
#[derive(Debug, thiserror::Error)]
#[error("`{key}` `{}`: {cause}", path.display())]
pub struct TlsFileError {
    /// The key that names it.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub cause: TlsFileCause,
}

/// What can be wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileCause {
    /// It can't be read.
    #[error("{}", unreadable(.0))]
    Unreadable(io::Error),
    /// It has no usable certificate or key.
    #[error("{0}")]
    Unusable(CertificateError),
}

impl TlsFileError {
    /// The first file of `tls`, which nobody has read.
    pub fn not_read(tls: &BackendOptions) -> Self {
        let (key, path) = tls.files().next().unwrap_or((BackendOptions::CA_FILE, Path::new("")));
        let cause = TlsFileCause::Unreadable(io::Error::other("it was not read"));
        Self { key, path: path.to_owned(), cause }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match &self.cause {
            TlsFileCause::Unreadable(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "allow the user that runs vhost to read it".to_owned()
            }
            TlsFileCause::Unreadable(_) => "check the path; the server itself reads it".to_owned(),
            TlsFileCause::Unusable(CertificateError::Mismatch) => {
                format!("use the key of the certificate in `{}`", BackendOptions::CLIENT_CERT_FILE)
            }
            TlsFileCause::Unusable(_) if self.key == BackendOptions::CA_FILE => {
                "use the certificates of the CAs to trust, as PEM".to_owned()
            }
            TlsFileCause::Unusable(_) if self.key == BackendOptions::CLIENT_KEY_FILE => {
                "use the private key as PEM, without a passphrase".to_owned()
            }
            TlsFileCause::Unusable(_) => {
                "use the certificate first and then its chain, as PEM".to_owned()
            }
        }
    }
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "it cannot be read: permission denied".to_owned(),
        _ => format!("it cannot be read: {error}"),
    }
}

impl PeerKeys {
    fn read(options: &BackendOptions) -> Result<Self, TlsFileError> {
        let mut digest = Context::new(&SHA256);
        let mut content = |key, path: &Path| {
            let bytes = plain_file::read(path, MAX_PEM_BYTES).map_err(|error| TlsFileError {
                key,
                path: path.to_owned(),
                cause: TlsFileCause::Unreadable(error),
            })?;
            digest.update(&(bytes.len() as u64).to_be_bytes());
            digest.update(&bytes);
            Ok(bytes)
        };
        let ca = options.tls_ca_file.as_deref().map(|path| {
            let pem = content(BackendOptions::CA_FILE, path)?;
            authorities(&pem).map_err(|error| unusable(BackendOptions::CA_FILE, path, error))
        });
        let ca = ca.transpose()?;
        let client = match (&options.tls_client_cert_file, &options.tls_client_key_file) {
            (Some(cert), Some(key)) => {
                let chain = content(BackendOptions::CLIENT_CERT_FILE, cert)?;
                let secret = content(BackendOptions::CLIENT_KEY_FILE, key)?;
                Some(client((cert, &chain), (key, &secret))?)
            }
            _ => None,
        };
        let digest = digest.finish().as_ref().try_into().unwrap_or_default();
        Ok(Self { ca, client, digest })
    }

    /// What tells the contents of files apart.
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }
}

impl PeerTls {
    /// What handshakes with a backend need whose files hold `keys`.
    pub fn new(backend: &Backend, keys: PeerKeys) -> Self {
        let is_verified = !backend.options.tls_insecure_skip_verify;
        Self { server_name: server_name(backend), is_verified, keys }
    }

    /// The name for SNI and verification; never empty.
    pub fn server_name(&self) -> &str {
        &self.server_name
    }

    /// Whether the backend's certificate is verified.
    pub fn is_verified(&self) -> bool {
        self.is_verified
    }

    /// The trusted CAs, if not the system's.
    pub fn authorities(&self) -> Option<&Arc<CaType>> {
        self.keys.ca.as_ref()
    }

    /// The client certificate.
    pub fn client_certificate(&self) -> Option<&Arc<CertKey>> {
        self.keys.client.as_ref()
    }

    /// What its files hold.
    pub fn keys(&self) -> &PeerKeys {
        &self.keys
    }
}

/// The name for SNI and verification: never a client's Host, and never empty, because without a
/// name Pingora verifies nothing at all.
fn server_name(backend: &Backend) -> String {
    match (&backend.options.tls_server_name, &backend.address) {
        (Some(name), _) => name.to_string(),
        (None, BackendAddr::Ip(address)) => address.ip().to_string(),
        // A zone only has a meaning on this machine (RFC 4007 §6).
        (None, BackendAddr::Name { host, .. }) => {
            host.split_once('%').map_or(&**host, |(address, _)| address).to_owned()
        }
        (None, BackendAddr::Unix(_)) => "localhost".to_owned(),
    }
}

fn unusable(key: &'static str, path: &Path, error: CertificateError) -> TlsFileError {
    TlsFileError { key, path: path.to_owned(), cause: TlsFileCause::Unusable(error) }
}

fn authorities(pem: &[u8]) -> Result<Arc<CaType>, CertificateError> {
    let found = certificates(pem)?;
    if found.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    // As Pingora does at each connection, where it would be too late.
    let mut store = RootCertStore::empty();
    for der in &found {
        parse(der)?;
        let added = store.add(der.clone());
        added.map_err(|error| CertificateError::Damaged(error.to_string()))?;
    }
    Ok(found.iter().map(|der| WrappedX509::new(der.to_vec(), parse_x509)).collect())
}

fn client(cert: (&Path, &[u8]), key: (&Path, &[u8])) -> Result<Arc<CertKey>, TlsFileError> {
    let bad_cert = |error| unusable(BackendOptions::CLIENT_CERT_FILE, cert.0, error);
    let bad_key = |error| unusable(BackendOptions::CLIENT_KEY_FILE, key.0, error);
    let chain = certificates(cert.1).map_err(bad_cert)?;
    let secret = private_key(key.1).map_err(bad_key)?;
    Certificate::new(chain.clone(), secret.clone_key()).map_err(|error| match error {
        CertificateError::NoKey | CertificateError::BadKey(_) | CertificateError::Mismatch => {
            bad_key(error)
        }
        CertificateError::NoCertificate | CertificateError::Damaged(_) => bad_cert(error),
    })?;
    let der = secret.secret_der().to_vec();
    // Pingora guesses the kind of a key from its bytes, and panics where it can't.
    if let Err(error) = PrivateKeyDer::try_from(der.as_slice()) {
        return Err(bad_key(CertificateError::BadKey(error.to_owned())));
    }
    let chain = chain.iter().map(|der| der.to_vec()).collect();
    Ok(Arc::new(CertKey::new(chain, der)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::self_signed_pem;
    use super::*;
    use crate::model::{BackendState, Scheme};

    fn backend(address: &str, options: BackendOptions) -> Backend {
        Backend {
            id: "w1".parse().unwrap(),
            address: address.parse().unwrap(),
            tags: [].into(),
            options: BackendOptions { scheme: Scheme::Https, ..options },
            state: BackendState::Ready,
        }
    }

    #[test]
    fn there_is_always_a_name_to_verify() {
        for (address, own, name) in [
            ("127.0.0.1:3000", None, "127.0.0.1"),
            ("[::1]:3000", None, "::1"),
            ("web.internal:3000", None, "web.internal"),
            ("[fe80::1%eth0]:3000", None, "fe80::1"),
            ("unix:/run/app.sock", None, "localhost"),
            ("127.0.0.1:3000", Some("web.internal"), "web.internal"),
            ("web.internal:3000", Some("10.0.0.1"), "10.0.0.1"),
        ] {
            let tls_server_name = own.map(|name| name.parse().unwrap());
            let options = BackendOptions { tls_server_name, ..BackendOptions::default() };
            let read = PeerTls::new(&backend(address, options), PeerKeys::default());
            assert_eq!((read.server_name(), read.is_verified()), (name, true));
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_told_by_its_key_and_path() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let (cert, key) = self_signed_pem(&["client.test"]);
        let (_, other) = self_signed_pem(&["client.test"]);
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let good = file("cert.pem", &cert);
        let ca = |tls_ca_file| BackendOptions { tls_ca_file, ..BackendOptions::default() };
        let pair = |tls_client_cert_file, tls_client_key_file| BackendOptions {
            tls_client_cert_file,
            tls_client_key_file,
            ..BackendOptions::default()
        };
        for (tls, said) in [
            (
                ca(Some("/nowhere/ca.pem".into())),
                "`tls_ca_file` `/nowhere/ca.pem`: there is no such",
            ),
            (ca(file("empty.pem", "")), "empty.pem`: there is no certificate in it"),
            (ca(file("bad.pem", nonsense)), "bad.pem`: it is damaged"),
            (pair(file("no.pem", ""), file("k.pem", &key)), "`tls_client_cert_file`"),
            (pair(good.clone(), file("none.key", "")), "none.key`: there is no private key in it"),
            (pair(good.clone(), file("o.key", &other)), "`tls_client_key_file`"),
            (pair(good.clone(), Some("/nowhere/k.pem".into())), "`tls_client_key_file` `/nowhere"),
        ] {
            let error = PeerFiles::default().read(&tls).unwrap_err();
            assert!(error.to_string().contains(said), "{error} has no {said}");
            assert!(!error.hint().is_empty());
        }
        let read = |tls| {
            let mut files = PeerFiles::default();
            files.read(&tls).unwrap();
            let keys = files.of(&tls).unwrap().unwrap();
            PeerTls::new(&backend("127.0.0.1:1", tls), keys)
        };
        let one = read(pair(good.clone(), file("k.pem", &key)));
        assert!(one.client_certificate().is_some() && one.authorities().is_none());
        let two = read(ca(good));
        assert_eq!(two.authorities().map(|all| all.len()), Some(1));
        assert_ne!(one, two);
    }
}
