//! The private key of an order, the signing request, and the bundle of key and chain.

use std::net::IpAddr;
use std::time::SystemTime;

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::model::{DomainName, KeyType};

/// A new private key, PKCS#8 as PEM.
pub(super) fn new_key(kind: KeyType) -> Result<String, String> {
    let algorithm = match kind {
        KeyType::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        KeyType::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
    };
    let key = KeyPair::generate_for(algorithm).map_err(|error| error.to_string())?;
    Ok(key.serialize_pem())
}

/// The signing request for a name, DER: the name is its only content.
pub(super) fn signing_request(name: &DomainName, key: &str) -> Result<Vec<u8>, String> {
    let words = |error: rcgen::Error| error.to_string();
    let key = KeyPair::from_pem(key).map_err(words)?;
    let mut params = CertificateParams::new(vec![plain(name)]).map_err(words)?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(&key).map_err(words)?.der().to_vec())
}

/// The bundle of a key and the CA's chain, after a check that they can serve `name`.
pub(super) fn bundle(name: &DomainName, key: &str, chain: &str) -> Result<String, String> {
    if chain.contains("PRIVATE KEY") {
        return Err("the CA's answer contains a private key".to_owned());
    }
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let certificates = certificates.map_err(|error| format!("the chain is not PEM: {error}"))?;
    let leaf = certificates.first().ok_or("the CA sent no certificate")?.clone();
    let der = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| error.to_string())?;
    // Checks that the key belongs to the certificate.
    CertifiedKey::from_der(certificates, der, &ring::default_provider())
        .map_err(|error| format!("the certificate does not fit its key: {error}"))?;
    let (_, leaf) = X509Certificate::from_der(&leaf).map_err(|error| error.to_string())?;
    if !names(&leaf, name) {
        return Err(format!("the certificate is not for `{name}`"));
    }
    let ends = leaf.validity().not_after.timestamp();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if i128::from(ends) <= i128::from(now.as_secs()) {
        return Err("the certificate has already expired".to_owned());
    }
    Ok(format!("{}\n{}\n", key.trim_end(), chain.trim().replace("\r\n", "\n")))
}

/// The name as an IP address, if it is one.
pub(super) fn ip(name: &DomainName) -> Option<IpAddr> {
    plain(name).parse().ok()
}

/// A name without the brackets of IPv6 addresses.
pub(super) fn plain(name: &DomainName) -> String {
    name.to_string().trim_matches(['[', ']']).to_owned()
}

fn names(leaf: &X509Certificate<'_>, name: &DomainName) -> bool {
    let Ok(Some(all)) = leaf.subject_alternative_name() else { return false };
    let wanted = plain(name);
    all.value.general_names.iter().any(|one| match (one, ip(name)) {
        (GeneralName::IPAddress(bytes), Some(IpAddr::V4(ip))) => **bytes == ip.octets(),
        (GeneralName::IPAddress(bytes), Some(IpAddr::V6(ip))) => **bytes == ip.octets(),
        (GeneralName::DNSName(one), None) => one.eq_ignore_ascii_case(&wanted),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(name: &str, key: &str, days: i64) -> String {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let now = std::time::SystemTime::now();
        let day = std::time::Duration::from_hours(24);
        params.not_before = (now - day * 10).into();
        params.not_after = if days < 0 { (now - day).into() } else { (now + day).into() };
        params.self_signed(&KeyPair::from_pem(key).unwrap()).unwrap().pem()
    }

    #[test]
    fn a_bundle_is_a_key_and_its_certificate() {
        for kind in KeyType::ALL {
            for name in ["a.test", "*.a.test", "127.0.0.1", "[::1]"] {
                let key = new_key(kind).unwrap();
                let name: DomainName = name.parse().unwrap();
                assert!(!signing_request(&name, &key).unwrap().is_empty());
                let chain = signed(&plain(&name), &key, 1).replace('\n', "\r\n");
                let bundle = bundle(&name, &key, &chain).unwrap();
                assert!(bundle.starts_with("-----BEGIN PRIVATE KEY-----\n"));
                assert!(bundle.ends_with("\n-----END CERTIFICATE-----\n"));
                assert!(!bundle.contains('\r') && !bundle.contains("\n\n"));
            }
        }
    }

    #[test]
    fn what_does_not_serve_the_name_is_refused() {
        let (key, other) = (new_key(KeyType::P256).unwrap(), new_key(KeyType::P256).unwrap());
        let name: DomainName = "a.test".parse().unwrap();
        for (chain, why) in [
            (String::new(), "no certificate"),
            ("<html>".to_owned(), "no certificate"),
            (signed("a.test", &other, 1), "does not fit"),
            (signed("b.test", &key, 1), "not for `a.test`"),
            (signed("a.test", &key, -1), "expired"),
            (key.clone(), "private key"),
        ] {
            let error = bundle(&name, &key, &chain).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
