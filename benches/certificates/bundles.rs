//! Certificates, put where the server looks for those of its CA.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use vhost::acme::{Meta, Storage};
use vhost::model::{Attempt, ChallengeKind, DomainName};

use crate::common::authority::{Authority, Bundle, DAY};

/// Nobody listens there: whatever is ordered in spite of all fails, and is told.
pub(crate) const DIRECTORY_URL: &str = "https://127.0.0.1:9/directory";

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
