//! Certificates as a public CA signs them: a leaf of P-256 with one intermediate, under one root.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

pub(crate) const DAY: Duration = Duration::from_hours(24);

/// A CA with its intermediate.
pub(crate) struct Authority {
    root: CertificateDer<'static>,
    intermediate: (String, CertificateDer<'static>),
    issuer: Issuer<'static, KeyPair>,
}

/// A leaf with its chain, and its key.
pub(crate) struct Bundle {
    pub(crate) name: String,
    pub(crate) chain: String,
    pub(crate) key: String,
    /// What there is of it in any case: the bytes of the leaf, the intermediate and the key, DER.
    pub(crate) material: usize,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = || KeyPair::generate().expect("a key");
        let (root_key, key) = (key(), key());
        let root = authority("Benchmark Root", 1);
        let certificate = root.self_signed(&root_key).expect("a root").der().clone();
        let root_issuer = Issuer::new(root, root_key);
        let mut parameters = authority("Benchmark Intermediate", 0);
        parameters.use_authority_key_identifier_extension = true;
        let signed = parameters.signed_by(&key, &root_issuer).expect("an intermediate");
        let intermediate = (signed.pem(), signed.der().clone());
        Self { root: certificate, intermediate, issuer: Issuer::new(parameters, key) }
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("a root");
        roots
    }

    /// Signs for a name, as Let's Encrypt does: the name alone, for 90 days, of which ten are over.
    pub(crate) fn sign(&self, name: &str) -> Bundle {
        let mut parameters = CertificateParams::new([name.to_owned()]).expect("a name");
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        let uri = "http://crl.ca.example/123.crl".to_owned();
        parameters.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![uri] }];
        let now = SystemTime::now();
        parameters.not_before = (now - 10 * DAY).into();
        parameters.not_after = (now + 80 * DAY).into();
        let key = KeyPair::generate().expect("a key");
        let leaf = parameters.signed_by(&key, &self.issuer).expect("a certificate");
        let (intermediate, intermediate_der) = &self.intermediate;
        Bundle {
            name: name.to_owned(),
            chain: leaf.pem() + intermediate,
            key: key.serialize_pem(),
            material: leaf.der().len() + intermediate_der.len() + key.serialize_der().len(),
        }
    }
}

fn authority(name: &str, below: u8) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CountryName, "US");
    parameters.distinguished_name.push(DnType::OrganizationName, "Benchmark CA");
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.not_before = (SystemTime::now() - 100 * DAY).into();
    parameters.not_after = (SystemTime::now() + 1000 * DAY).into();
    parameters
}
