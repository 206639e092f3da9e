//! What every HTTP client of the server is made of, but those of backends: its connector, whom it trusts, and
//! its errors in words.

use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::plain_file::{self, MAX_PEM_BYTES};

pub(crate) const USER_AGENT_VALUE: &str = concat!("vhost/", env!("CARGO_PKG_VERSION"));

/// A connector for `http` and `https`; without TLS settings it trusts no certificate.
pub(crate) fn connector(
    tls: Option<ClientConfig>,
    connect_timeout: Duration,
) -> Result<HttpsConnector<HttpConnector>, String> {
    let tls = match tls {
        Some(tls) => tls,
        None => ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
    };
    let mut tcp = HttpConnector::new();
    tcp.set_connect_timeout(Some(connect_timeout));
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls);
    Ok(builder.https_or_http().enable_http1().wrap_connector(tcp))
}

/// The innermost cause of an error, which is the informative one.
pub(crate) fn words(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    let text = last.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// A client's TLS that trusts all certificates of `ca_root`, or the system's roots. Reads files.
pub(crate) fn client_config(ca_root: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match ca_root {
        Some(path) => add_file(&mut roots, path)?,
        None => pingora::tls::load_platform_certs_incl_env_into_store(&mut roots)
            .map_err(|error| format!("cannot load the system's root certificates: {error}"))?,
    }
    if roots.is_empty() {
        return Err("there are no root certificates to trust".to_owned());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let words = |error: &dyn std::fmt::Display| format!("`{}`: {error}", path.display());
    let pem = plain_file::read(path, MAX_PEM_BYTES).map_err(|error| words(&error))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| words(&error))?;
        roots.add(certificate).map_err(|error| words(&error))?;
    }
    if roots.is_empty() { Err(words(&"there is no certificate in it")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_certificate_of_a_file_is_trusted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("roots.pem");
        let pem = |name: &str| {
            rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap().cert.pem()
        };
        std::fs::write(&path, pem("a.test") + &pem("b.test")).unwrap();
        let mut roots = RootCertStore::empty();
        add_file(&mut roots, &path).unwrap();
        assert_eq!(roots.len(), 2);
        assert!(client_config(Some(&path)).is_ok());
        std::fs::write(&path, "nothing").unwrap();
        assert!(client_config(Some(&path)).unwrap_err().contains("no certificate"));
        assert!(client_config(Some(Path::new("/nowhere.pem"))).is_err());
    }
}
