//! Certificates as a public CA signs them: a leaf of P-256 with one intermediate, under one root.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pingora_vhost::acme::{Meta, Storage};
use pingora_vhost::model::{Attempt, ChallengeKind, DomainName};
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

/// Nobody listens there: whatever is ordered in spite of all fails, and is told.
pub(crate) const DIRECTORY_URL: &str = "https://127.0.0.1:9/directory";

const DAY: Duration = Duration::from_hours(24);

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

/// Makes a bundle for each name, on all cores.
pub(crate) fn sign_all(authority: &Authority, names: &[String]) -> Vec<Bundle> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let parts: Vec<_> = names
            .chunks(names.len().div_ceil(threads).max(1))
            .map(|part| scope.spawn(move || part.iter().map(|name| authority.sign(name)).collect()))
            .collect();
        parts.into_iter().flat_map(|part| -> Vec<Bundle> { part.join().expect("signed") }).collect()
    })
}

/// Puts bundles where the server looks for those of [`DIRECTORY_URL`]. The first is stored as the
/// server does it; the others are written beside it at once, without a wait for the disk after each.
/// Gives the files.
pub(crate) fn store(cache_dir: &Path, bundles: &[Bundle]) -> Vec<PathBuf> {
    let storage = Storage::new(cache_dir.to_owned());
    storage.prepare().expect("a directory");
    let first = &bundles[0];
    let name: DomainName = first.name.parse().expect("a name");
    storage.save(DIRECTORY_URL, &name, &text(first), &meta()).expect("it is stored");
    let mut directories = std::fs::read_dir(cache_dir).expect("a directory").flatten();
    let certs = directories.next().expect("the CA's").path().join("certs");
    let json = certs.join(format!("{name}.json"));
    assert!(json.exists(), "the layout is the one that is filled here");
    let mut files = vec![certs.join(format!("{name}.pem")), json];
    let meta = serde_json::to_vec_pretty(&meta()).expect("JSON");
    for bundle in &bundles[1..] {
        for (extension, content) in [("pem", text(bundle).as_bytes()), ("json", &meta)] {
            let path = certs.join(format!("{}.{extension}", bundle.name));
            std::fs::write(&path, content).expect("it is written");
            files.push(path);
        }
    }
    files
}

fn text(bundle: &Bundle) -> String {
    format!("{}{}", bundle.key, bundle.chain)
}

/// What is known of a certificate that was ordered once, without trouble.
fn meta() -> Meta {
    let millis = |at: SystemTime| {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        u64::try_from(since.as_millis()).expect("not so far away")
    };
    let (issued, start) = (SystemTime::now() - 10 * DAY, SystemTime::now() + 50 * DAY);
    Meta {
        account: Some("https://ca.example/acme/acct/1234567890".to_owned()),
        challenge: Some(ChallengeKind::TlsAlpn01),
        issued_ms: vec![millis(issued)],
        window_ms: Some((millis(start), millis(start + 2 * DAY))),
        renew_ms: Some(millis(start + DAY)),
        log: vec![Attempt {
            at_ms: millis(issued),
            directory_url: DIRECTORY_URL.to_owned(),
            error: None,
        }],
        ..Meta::default()
    }
}
