//! Issuance at a real CA: Pebble, where it is installed.

mod pebble;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use self::pebble::{KID, MAC, Pebble, Wanted};
use super::order::Issued;
use super::{AcmeError, Ca, ErrorKind, Meta, OrderRequest};
use crate::config::EabSettings;
use crate::model::{ChallengeKind, DomainName, KeyType, RevocationReason};

fn request(name: &str) -> OrderRequest {
    OrderRequest { name: name.parse().unwrap(), replaces: None, prefer: None, avoid: None }
}

async fn issue(ca: &Ca, request: OrderRequest) -> Result<Issued, AcmeError> {
    ca.issue(request, &|_| {}).await
}

fn leaf(issued: &Issued) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(issued.bundle.as_bytes()).unwrap()
}

fn orders(pebble: &Pebble) -> usize {
    pebble.storage().orders(&pebble.issuer().directory_url).len()
}

fn save(pebble: &Pebble, name: &str, issued: &Issued) {
    let name: DomainName = name.parse().unwrap();
    let url = pebble.issuer().directory_url;
    pebble.storage().save(&url, &name, &issued.bundle, &Meta::default()).unwrap();
}

#[tokio::test]
async fn names_and_addresses_are_proven_by_either_challenge() {
    let Some(pebble) = Pebble::start(Wanted::default()).await else { return };
    for (n, key_type) in KeyType::ALL.into_iter().enumerate() {
        let mut settings = pebble.issuer();
        settings.key_type = key_type;
        let ca = pebble.ca(settings, None);
        for kind in [ChallengeKind::Http01, ChallengeKind::TlsAlpn01] {
            // Pebble uses a proof again every now and then, even when it is told not to.
            let nth = 2 * n + usize::from(kind == ChallengeKind::Http01) + 1;
            for name in [format!("a{nth}.test"), format!("127.0.0.{nth}")] {
                let wanted = OrderRequest { prefer: Some(kind), ..request(&name) };
                let issued = issue(&ca, wanted).await.unwrap();
                assert_eq!(issued.challenge, Some(kind), "{name}");
                assert_eq!(Some(issued.account.clone()), ca.account().uri);
                assert_eq!(orders(&pebble), 1, "until it is kept");
                save(&pebble, &name, &issued);
                assert_eq!(orders(&pebble), 0);
            }
        }
    }
    assert!(!pebble.challenges.is_empty(), "answered for a while longer");
}

#[tokio::test]
async fn many_are_ordered_at_once_though_nonces_are_refused() {
    let wanted = Wanted { nonces_refused: 20, ..Wanted::default() };
    let Some(pebble) = Pebble::start(wanted).await else { return };
    let ca = pebble.ca(pebble.issuer(), None);
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let ca = ca.clone();
            tokio::spawn(async move { issue(&ca, request(&format!("{n}.test"))).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_earlier_proof_is_enough() {
    let Some(pebble) = Pebble::start(Wanted { reuse: 100, ..Wanted::default() }).await else {
        return;
    };
    let ca = pebble.ca(pebble.issuer(), None);
    for challenge in [Some(ChallengeKind::TlsAlpn01), None] {
        let issued = issue(&ca, request("a.test")).await.unwrap();
        assert_eq!(issued.challenge, challenge);
        save(&pebble, "a.test", &issued);
    }
}

#[tokio::test]
async fn an_external_account_is_bound() {
    let Some(pebble) = Pebble::start(Wanted { eab: true, ..Wanted::default() }).await else {
        return;
    };
    let missing = pebble.ca(pebble.issuer(), None).register().await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Blocked);
    assert!(missing.hint().unwrap().contains("eab_kid"), "{missing}");
    let file = pebble.files.path().join("eab.key");
    let with = |kid: &str, mac: &str| {
        fs::write(&file, format!("{mac}\n")).unwrap();
        let mut issuer = pebble.issuer();
        issuer.eab = Some(EabSettings { kid: kid.to_owned(), hmac_key_file: file.clone() });
        pebble.ca(issuer, None)
    };
    for (kid, mac) in [(KID, "AAAA"), ("kid-2", MAC), (KID, "not base64")] {
        let error = with(kid, mac).register().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Blocked, "{error}");
        eprintln!("{error}");
    }
    let ca = with(KID, MAC);
    assert!(ca.register().await.unwrap().uri.is_some());
    issue(&ca, request("a.test")).await.unwrap();
}

#[tokio::test]
async fn what_fails_is_told_in_the_cas_words() {
    let Some(pebble) = Pebble::start(Wanted { deaf: true, ..Wanted::default() }).await else {
        return;
    };
    let ca = pebble.ca(pebble.issuer(), None);
    for kind in [ChallengeKind::Http01, ChallengeKind::TlsAlpn01] {
        let error = issue(&ca, OrderRequest { prefer: Some(kind), ..request("a.test") }).await;
        let error = error.unwrap_err();
        eprintln!("{error} / {:?}", error.hint());
        assert_eq!(error.kind(), ErrorKind::Validation, "{error}");
        assert_eq!(error.challenge(), Some(kind));
        assert!(error.hint().is_some());
        assert_eq!(orders(&pebble), 0);
        assert!(pebble.challenges.is_empty());
    }
    let error = issue(&ca, request("blocked.test")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Blocked);
    assert!(error.to_string().starts_with("rejectedIdentifier: "), "{error}");
}

#[tokio::test]
async fn a_crash_at_any_step_costs_nothing() {
    let Some(pebble) = Pebble::start(Wanted::default()).await else { return };
    for (n, crash_at) in
        ["opening", "ordering", "answering", "waiting for the CA", "waiting for the cert"]
            .into_iter()
            .enumerate()
    {
        let name = format!("crash{n}.test");
        let (ca, of) = (pebble.ca(pebble.issuer(), None), request(&name));
        let successor = pebble.ca(pebble.issuer(), None);
        let starts = successor.clone();
        // Panics with whatever lives in the future, as near to a crash as it gets. Pebble looks at
        // once, so the successor must be there by then.
        let crashed = tokio::spawn(async move {
            let step = |step: &str| {
                if step.starts_with(crash_at) {
                    starts.restore();
                    panic!("as wanted");
                }
            };
            ca.issue(of, &step).await
        });
        assert!(crashed.await.unwrap_err().is_panic(), "{crash_at}");
        let placed = pebble.logged("Added order");
        let left = orders(&pebble);
        assert_eq!(left, usize::from(n > 1), "{crash_at}");
        let host = pebble.challenges.tls_alpn01(&name);
        assert_eq!(host.is_some(), n > 2, "{crash_at}: the CA may be looking");
        let issued = issue(&successor, request(&name)).await.unwrap();
        let again = pebble.logged("Added order") - placed;
        assert_eq!(again, usize::from(left == 0), "{crash_at}");
        save(&pebble, &name, &issued);
    }
}

#[tokio::test]
async fn a_certificate_that_was_not_kept_is_fetched_again() {
    let Some(pebble) = Pebble::start(Wanted::default()).await else { return };
    let ca = pebble.ca(pebble.issuer(), None);
    let first = issue(&ca, request("a.test")).await.unwrap();
    let again = issue(&pebble.ca(pebble.issuer(), None), request("a.test")).await.unwrap();
    assert_eq!(first.bundle, again.bundle);
    assert_eq!(pebble.logged("Issued certificate"), 1);
}

#[tokio::test]
async fn an_order_that_outlived_its_fulfilment_is_removed_at_the_next_start() {
    let Some(pebble) = Pebble::start(Wanted::default()).await else { return };
    let issued = issue(&pebble.ca(pebble.issuer(), None), request("a.test")).await.unwrap();
    let (storage, url) = (pebble.storage(), pebble.issuer().directory_url);
    let order = storage.orders(&url).pop().expect("the order is kept with its key");
    save(&pebble, "a.test", &issued);
    storage.save_order(&url, &order).unwrap();
    pebble.ca(pebble.issuer(), None).restore();
    assert_eq!(orders(&pebble), 0);
}

#[tokio::test]
async fn a_ca_that_lost_its_memory_is_met_anew() {
    let Some(mut pebble) = Pebble::start(Wanted::default()).await else { return };
    let ca = pebble.ca(pebble.issuer(), None);
    let first = issue(&ca, request("a.test")).await.unwrap();
    pebble.restart().await;
    // The order that was not kept is of the account that is gone.
    let second = issue(&ca, request("a.test")).await.unwrap();
    assert_ne!(first.bundle, second.bundle);
    assert_ne!(first.account, second.account);
    assert_eq!(ca.account().uri, Some(second.account));
}

#[tokio::test]
async fn a_ca_that_goes_away_is_come_back_to() {
    let Some(mut pebble) = Pebble::start(Wanted::default()).await else { return };
    let ca = pebble.ca(pebble.issuer(), None);
    let step = |step: &str| {
        if step == "waiting for the certificate" {
            pebble.kill();
        }
    };
    let error = ca.issue(request("a.test"), &step).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.to_string().starts_with("cannot reach `127."), "{error}");
    assert_eq!(orders(&pebble), 1);
    assert!(!pebble.challenges.is_empty(), "it may be looking still");
    pebble.restart().await;
    issue(&ca, request("a.test")).await.unwrap();
}

#[tokio::test]
async fn wildcards_are_proven_by_the_hook() {
    let Some(pebble) = Pebble::start(Wanted::default()).await else { return };
    let hook = hook(&pebble);
    let ca = pebble.ca(pebble.issuer(), Some(hook));
    let dns = |name| OrderRequest { prefer: Some(ChallengeKind::Dns01), ..request(name) };
    // Two values at one name at once.
    let both = tokio::join!(issue(&ca, dns("*.a.test")), issue(&ca, dns("a.test")));
    for issued in [both.0.unwrap(), both.1.unwrap()] {
        assert_eq!(issued.challenge, Some(ChallengeKind::Dns01));
    }
    let log = fs::read_to_string(pebble.files.path().join("hook.log")).unwrap();
    assert_eq!(log.matches("present _acme-challenge.a.test").count(), 2);
    assert_eq!(log.matches("cleanup _acme-challenge.a.test").count(), 2);
    fs::write(pebble.files.path().join("fail"), "").unwrap();
    let error = issue(&ca, dns("*.b.test")).await.unwrap_err();
    assert!(error.to_string().contains("no such zone"), "{error}");
    assert_eq!(error.challenge(), Some(ChallengeKind::Dns01));
    let log = fs::read_to_string(pebble.files.path().join("hook.log")).unwrap();
    assert_eq!(log.matches("cleanup _acme-challenge.b.test").count(), 1, "always");
}

#[tokio::test]
async fn nothing_is_ordered_that_could_not_be_kept() {
    let Some(pebble) = Pebble::start(Wanted::default()).await else { return };
    let ca = pebble.ca(pebble.issuer(), None);
    ca.register().await.unwrap();
    let directory = fs::read_dir(pebble.files.path().join("cache")).unwrap().next().unwrap();
    fs::write(directory.unwrap().path().join("orders"), "a file in its place").unwrap();
    let error = issue(&ca, request("a.test")).await.unwrap_err();
    assert!(error.hint().unwrap().contains("cache_dir"), "{error}");
    assert_eq!(pebble.logged("Added order"), 0);
}

#[tokio::test]
async fn an_unfit_wildcard_is_not_even_ordered() {
    let Some(pebble) = Pebble::start(Wanted::default()).await else { return };
    let error = issue(&pebble.ca(pebble.issuer(), None), request("*.a.test")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Blocked);
    assert!(!pebble.files.path().join("cache").exists());
}

#[tokio::test]
async fn a_certificate_is_replaced_and_revoked() {
    let Some(pebble) = Pebble::start(Wanted::default()).await else { return };
    let ca = pebble.ca(pebble.issuer(), None);
    let first = issue(&ca, request("a.test")).await.unwrap();
    save(&pebble, "a.test", &first);
    // Whether or not this Pebble has renewal information.
    let window = ca.renewal_window(&leaf(&first)).await.unwrap();
    assert!(window.is_none_or(|window| window.start < window.end));
    for _ in 0..2 {
        // The second time it has been replaced already.
        let replaces = Some(leaf(&first));
        let second = issue(&ca, OrderRequest { replaces, ..request("a.test") }).await.unwrap();
        assert_ne!(first.bundle, second.bundle);
        save(&pebble, "a.test", &second);
    }
    for _ in 0..2 {
        ca.revoke(&leaf(&first), RevocationReason::Superseded).await.unwrap();
    }
    let window = ca.renewal_window(&leaf(&first)).await.unwrap();
    assert!(window.is_none_or(|window| window.start < SystemTime::now()), "revoked");
}

#[tokio::test]
async fn a_renewal_window_that_makes_no_sense_is_none() {
    let Some(pebble) = Pebble::start(Wanted::default()).await else { return };
    let ca = pebble.ca(pebble.issuer(), None);
    let issued = issue(&ca, request("a.test")).await.unwrap();
    let Some(window) = ca.renewal_window(&leaf(&issued)).await.unwrap() else {
        eprintln!("SKIPPED: this Pebble has no renewal information");
        return;
    };
    assert!(window.look_again.as_secs() >= 3000, "{window:?}");
    assert!(window.end > SystemTime::now(), "{window:?}");
    let certificate = issued.bundle.split_once("-----BEGIN CERT").unwrap().1;
    let certificate = format!("-----BEGIN CERT{certificate}");
    let certificate = certificate.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap();
    let at = |start: &str, end: &str| {
        let info = serde_json::json!({ "suggestedWindow": { "start": start, "end": end } });
        serde_json::json!({ "certificate": certificate, "ariResponse": info.to_string() })
    };
    let set = |body: serde_json::Value| pebble.manage("/set-renewal-info/", &body);
    set(at("2000-01-02T00:00:00Z", "2000-01-01T00:00:00Z"));
    assert_eq!(ca.renewal_window(&leaf(&issued)).await.unwrap(), None, "inverted");
    set(at("2000-01-01T00:00:00Z", "2000-01-02T00:00:00Z"));
    let past = ca.renewal_window(&leaf(&issued)).await.unwrap().expect("to be renewed at once");
    assert!(past.end < SystemTime::now());
    set(serde_json::json!({ "certificate": certificate, "ariResponse": "<garbage>" }));
    assert_eq!(ca.renewal_window(&leaf(&issued)).await.unwrap_err().kind(), ErrorKind::Transient);
}

#[tokio::test]
async fn one_record_proves_a_name_for_good() {
    let Some(pebble) = Pebble::start(Wanted::default()).await else { return };
    let mut settings = pebble.issuer();
    settings.challenges = vec![ChallengeKind::DnsPersist01];
    let ca = pebble.ca(settings, None);
    ca.register().await.unwrap();
    let failed = issue(&ca, request("*.a.test")).await.unwrap_err();
    if failed.kind() == ErrorKind::Blocked {
        assert!(failed.to_string().contains("only dns-01 as a proof"), "{failed}");
        eprintln!("SKIPPED: this Pebble has no dns-persist-01");
        return;
    }
    assert_eq!(failed.challenge(), Some(ChallengeKind::DnsPersist01), "{failed}");
    let value = ca.account().dns_persist.unwrap();
    let record = serde_json::json!({ "host": "_validation-persist.a.test.", "value": value });
    pebble.manage_dns("/set-txt", &record);
    for name in ["*.a.test", "a.test"] {
        let issued = issue(&ca, request(name)).await.unwrap();
        assert_eq!(issued.challenge, Some(ChallengeKind::DnsPersist01));
        save(&pebble, name, &issued);
    }
}

#[tokio::test]
async fn work_that_is_dropped_goes_on_later() {
    let Some(pebble) = Pebble::start(Wanted::default()).await else { return };
    let ca = pebble.ca(pebble.issuer(), None);
    for milliseconds in [5, 10, 20, 40, 60, 80, 100, 150, 200, 250, 300, 350] {
        let brief = Duration::from_millis(milliseconds);
        let _ = tokio::time::timeout(brief, issue(&ca, request("a.test"))).await;
    }
    let issued = issue(&ca, request("a.test")).await.unwrap();
    save(&pebble, "a.test", &issued);
    // The first may have been dropped between the CA's answer and the file.
    assert!(pebble.logged("Added order") <= 3, "{}", pebble.logged("Added order"));
    assert_eq!(pebble.logged("Issued certificate"), 1);
}

#[tokio::test]
async fn a_ca_is_told_another_address() {
    let Some(pebble) = Pebble::start(Wanted::default()).await else { return };
    let account = pebble.ca(pebble.issuer(), None).register().await.unwrap();
    let mut issuer = pebble.issuer();
    issuer.email = "other@example.com".to_owned();
    let changed = pebble.ca(issuer, None).register().await.unwrap();
    assert_eq!(changed.uri, account.uri);
    assert_eq!(changed.email, "other@example.com");
}

#[tokio::test]
async fn a_ca_is_trusted_by_its_root_only() {
    let Some(pebble) = Pebble::start(Wanted::default()).await else { return };
    let mut issuer = pebble.issuer();
    let other = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
    fs::write(pebble.files.path().join("other.pem"), other.cert.pem()).unwrap();
    issuer.ca_root = Some(pebble.files.path().join("other.pem"));
    let error = pebble.ca(issuer, None).register().await.unwrap_err();
    eprintln!("{error} / {:?}", error.hint());
    assert!(error.hint().unwrap().contains("ca_root"), "{error}");
}

#[tokio::test]
async fn steps_are_told() {
    let Some(pebble) = Pebble::start(Wanted::default()).await else { return };
    let ca = pebble.ca(pebble.issuer(), None);
    let steps = parking_lot::Mutex::new(Vec::new());
    ca.issue(request("a.test"), &|step| steps.lock().push(step.to_owned())).await.unwrap();
    assert_eq!(
        *steps.lock(),
        [
            "opening the account",
            "ordering",
            "answering tls-alpn-01",
            "waiting for the CA to check tls-alpn-01",
            "waiting for the certificate"
        ]
    );
}

/// A hook that speaks to Pebble's DNS, and fails when there is a file called `fail`.
fn hook(pebble: &Pebble) -> PathBuf {
    let path = pebble.files.path().join("hook");
    let url = format!("http://{}:{}", pebble.ip, pebble.dns_management);
    let script = format!(
        r#"#!/bin/sh
cd "{}"
echo "$@" >> hook.log
[ "$1" = present ] || exit 0
[ ! -e fail ] || {{ echo no such zone >&2; exit 1; }}
curl -sf -d "{{\"host\":\"$2.\",\"value\":\"$3\"}}" {url}/set-txt
"#,
        pebble.files.path().display()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}
