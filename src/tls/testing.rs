//! Certificates for tests of this crate.

use rcgen::{CertificateParams, KeyPair};

use super::Certificate;

/// A certificate that signs itself, and its key, as PEM.
pub(crate) fn self_signed_pem(names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let key = KeyPair::generate().expect("a key");
    let parameters = CertificateParams::new(names).expect("names");
    (parameters.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

/// The same, of a certificate that has run out.
pub(crate) fn expired_pem(names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let key = KeyPair::generate().expect("a key");
    let mut parameters = CertificateParams::new(names).expect("names");
    parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2021, 1, 1);
    (parameters.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

/// The same, read.
pub(crate) fn self_signed(names: &[&str]) -> Certificate {
    let (chain, key) = self_signed_pem(names);
    Certificate::from_pem(chain.as_bytes(), key.as_bytes()).expect("they belong together")
}
