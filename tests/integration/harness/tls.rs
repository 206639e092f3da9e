//! Certificates that are made on the spot, and what a TLS backend needs of them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use super::serial_of;

/// A certificate authority of one test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let mut parameters = CertificateParams::default();
        // Names of their own, lest one be taken for the other.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        parameters.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(parameters, key).expect("an authority"))
    }

    /// Writes its own certificate to a file in `directory`.
    pub(crate) fn write_to(&self, directory: &Path) -> PathBuf {
        let path = directory.join("authority.pem");
        std::fs::write(&path, self.pem()).expect("the certificate is written");
        path
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names, which may be IPs.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_in(2000..4000, names)
    }

    /// As [`Self::issue`], valid in these years only.
    pub(crate) fn issue_in(&self, years: Range<i32>, names: &[&str]) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut parameters = CertificateParams::new(names).expect("names or IPs");
        parameters.not_before = date_time_ymd(years.start, 1, 1);
        parameters.not_after = date_time_ymd(years.end, 1, 1);
        let certificate = parameters.signed_by(&key, &self.0).expect("a certificate");
        Issued { certificate, key }
    }

    /// TLS with a certificate for `name`, which may be an IP, that offers `protocols` by ALPN.
    pub(crate) fn serves(&self, name: &str, protocols: &[&str]) -> Arc<ServerConfig> {
        self.serves_in(2000..4000, name, protocols)
    }

    /// As [`Self::serves`], with a certificate that is valid in these years only.
    pub(crate) fn serves_in(
        &self,
        years: Range<i32>,
        name: &str,
        protocols: &[&str],
    ) -> Arc<ServerConfig> {
        let issued = self.issue_in(years, &[name]);
        tls_server(vec![issued.certificate.der().clone()], issued.private_key(), protocols)
    }

    /// As [`Self::serves`], for those alone that show a certificate of `clients`.
    pub(crate) fn serves_known(
        &self,
        name: &str,
        protocols: &[&str],
        clients: &Authority,
    ) -> Arc<ServerConfig> {
        let issued = self.issue(&[name]);
        let mut roots = rustls::RootCertStore::empty();
        roots.add(clients.0.der().clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.2 and 1.3")
            .with_client_cert_verifier(verifier.build().expect("there is a root"))
            .with_single_cert(vec![issued.certificate.der().clone()], issued.private_key())
            .expect("the key is the certificate's");
        config.alpn_protocols = wire(protocols);
        Arc::new(config)
    }
}

/// TLS with a certificate for `name` that signed itself, and its file in `directory`.
pub(crate) fn self_signed(directory: &Path, name: &str) -> (PathBuf, Arc<ServerConfig>) {
    let key = KeyPair::generate().expect("a key");
    let parameters = CertificateParams::new([name.to_owned()]).expect("a name");
    let issued = Issued { certificate: parameters.self_signed(&key).expect("it is signed"), key };
    let files = issued.write_to(directory, "self");
    let tls = tls_server(vec![issued.certificate.der().clone()], issued.private_key(), &[]);
    (files.cert, tls)
}

/// TLS with this certificate for whoever comes, that offers `protocols` by ALPN.
pub(crate) fn tls_server(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    protocols: &[&str],
) -> Arc<ServerConfig> {
    // Several crates of this build bring a provider, so none is the default.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the key is the certificate's");
    config.alpn_protocols = wire(protocols);
    Arc::new(config)
}

fn wire(protocols: &[&str]) -> Vec<Vec<u8>> {
    protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect()
}

/// A certificate and its key.
pub(crate) struct Issued {
    certificate: Certificate,
    key: KeyPair,
}

impl Issued {
    pub(crate) fn cert(&self) -> String {
        self.certificate.pem()
    }

    pub(crate) fn key(&self) -> String {
        self.key.serialize_pem()
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).expect("a key that rustls knows")
    }

    pub(crate) fn serial(&self) -> String {
        serial_of(std::slice::from_ref(self.certificate.der()))
    }

    /// Writes both to files `NAME.pem` and `NAME.key` in `directory`.
    pub(crate) fn write_to(&self, directory: &Path, name: &str) -> CertificateFiles {
        let [cert, key] = ["pem", "key"].map(|kind| directory.join(format!("{name}.{kind}")));
        let files = CertificateFiles { cert, key };
        files.replace(self);
        files
    }
}

/// A certificate and its key in two files, as operators have them.
pub(crate) struct CertificateFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl CertificateFiles {
    /// Puts others in their place, each at once, the key first.
    pub(crate) fn replace(&self, issued: &Issued) {
        replace(&self.key, &issued.key());
        replace(&self.cert, &issued.cert());
    }

    /// The line of a virtual host that names them.
    pub(crate) fn tls_line(&self) -> String {
        let [cert, key] = [&self.cert, &self.key].map(|path| path.display().to_string());
        format!("tls = {{ cert = {cert:?}, key = {key:?} }}")
    }
}

/// Replaces a file, so that nobody reads half of it.
pub(crate) fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).expect("the file is written");
    std::fs::rename(&beside, path).expect("the file is renamed");
}
