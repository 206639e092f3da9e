//! The trusted roots for HTTPS to a CA and to the on-demand service.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::plain_file::{self, MAX_PEM_BYTES};

/// A client's TLS that trusts all certificates of `ca_root`, or the system's roots. Reads files.
pub(super) fn client_config(ca_root: Option<&Path>) -> Result<ClientConfig, String> {
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
