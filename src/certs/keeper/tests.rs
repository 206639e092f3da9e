use std::time::UNIX_EPOCH;

use http::header::HOST;

use super::super::context::CertSettings;
use super::super::entry::Work;
use super::super::plan::Plan;
use super::*;
use crate::acme::testing::{Scripted, answer, issuer};
use crate::acme::{AcmeError, Ca, Challenges, ErrorKind, Listeners, RenewalWindow, Storage};
use crate::clock::millis;
use crate::config::IssuerSettings;
use crate::state::publication;
use crate::tls::testing::{self_signed, self_signed_pem};
use crate::tls::{CertStore, Serving, Trust};

const CA: &str = "https://ca.test/dir";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A keeper with a CA that nobody talks to, and a folder for what it keeps.
fn keeper(folder: &tempfile::TempDir) -> Keeper {
    keeper_at(CA, folder)
}

fn keeper_at(directory_url: &str, folder: &tempfile::TempDir) -> Keeper {
    let storage = Storage::new(folder.path().join("certs"));
    // The system's may be missing where tests run.
    let ca_root = folder.path().join("root.pem");
    std::fs::write(&ca_root, self_signed_pem(&["ca.test"]).0).unwrap();
    let issuer = IssuerSettings { ca_root: Some(ca_root), ..issuer(directory_url) };
    let listeners = Listeners { http: true, tls: true };
    let ca = Ca::new(issuer, None, listeners, storage.clone(), Challenges::default());
    let settings = CertSettings {
        cas: vec![ca],
        on_demand: None,
        storage,
        authority_dir: folder.path().join("ca"),
        default_certificate: None,
    };
    let (_, reader) = publication(Snapshot::default());
    let serving = Serving::new().expect("random numbers");
    let shared = KeeperContext::new(settings, reader, CertStore::new().0, serving);
    let journal: Journal = Arc::new(|_, _, _| Box::pin(std::future::ready(())) as _);
    Keeper::open(Arc::new(shared), journal)
}

impl Keeper {
    /// Keeps an ACME certificate for a name; its life.
    fn serve(&mut self, name: &str) -> (SystemTime, SystemTime) {
        let certificate = self_signed(&[name]);
        let life = (certificate.not_before(), certificate.not_after());
        let served = Arc::new(self.shared.serving.serve(certificate, Trust::Public));
        let mut entry = Entry::new(name.parse().unwrap(), Plan::Acme);
        entry.served = Some((CertificateSource::Acme, served));
        entry.directory_url = Some(CA.to_owned());
        self.put(&name.parse().unwrap(), entry);
        life
    }

    /// Lets a name wait for its order.
    fn wait_for_order(&mut self, name: &str) {
        let name: DomainName = name.parse().unwrap();
        self.put(&name, Entry::new(name.clone(), Plan::Acme));
        self.queue(&name, true);
    }

    fn due_of(&self, name: &str) -> Option<SystemTime> {
        self.shared.table.read()[&name.parse().unwrap()].due()
    }

    async fn fail(&mut self, name: &str, kind: ErrorKind, retry_after: Option<SystemTime>) {
        let text = "too many of something".to_owned();
        let mut failure = AcmeError::new(kind, text);
        failure.retry_after = retry_after;
        let directory_url = CA.to_owned();
        // As if it had been ordered.
        self.ordering += 1;
        let ended = JobOutcome::Failed { directory_url, failure, log: Vec::new() };
        self.ended(&name.parse().unwrap(), ended).await;
    }
}

#[tokio::test]
async fn the_window_that_a_ca_names_is_kept_and_followed() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = keeper(&folder);
    let (_, not_after) = keeper.serve("example.com");
    let name: DomainName = "example.com".parse().unwrap();
    let now = SystemTime::now();
    let window = |start, end| RenewalWindow {
        start,
        end,
        explanation_url: Some("https://ca.test/why".to_owned()),
        look_again: HOUR,
    };
    // In the past, as of a certificate that is to be revoked; soon; and long before it would be due.
    for (start, end, looks_again) in [
        (now - 2 * DAY, now - DAY, false),
        (now + HOUR / 4, now + HOUR / 2, false),
        (now + 2 * DAY, now + 3 * DAY, true),
    ] {
        assert!(end < not_after);
        keeper.ended(&name, JobOutcome::Window(Some(window(start, end)))).await;
        let table = keeper.shared.table.read();
        let meta = &table[&name].meta;
        assert_eq!(meta.window_ms, Some((millis(start), millis(end))));
        let renewal = UNIX_EPOCH + Duration::from_millis(meta.renew_ms.expect("it is chosen"));
        let slack = Duration::from_millis(1);
        assert!((start - slack..=end + slack).contains(&renewal), "{start:?} {renewal:?} {end:?}");
        let due = table[&name].due().expect("something is to be done");
        if looks_again {
            assert!(due <= now + 2 * HOUR, "the CA is asked again meanwhile");
        } else {
            assert!(due <= end + slack, "it is renewed then");
        }
        let stored = keeper.shared.settings.storage.of_ca(CA).load();
        assert_eq!(stored.tried[0].1, *meta, "a restart knows it");
    }
    let before = keeper.shared.table.read()[&name].meta.clone();
    keeper.ended(&name, JobOutcome::Window(None)).await;
    let after = keeper.shared.table.read()[&name].meta.clone();
    assert_eq!(after, before, "a CA that says nothing takes nothing back");
}

#[tokio::test]
async fn the_time_that_a_ca_names_is_when_a_name_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = keeper(&folder);
    keeper.wait_for_order("example.com");
    let limited = ErrorKind::RateLimited { whole_account: false };
    let asked = SystemTime::now() + 5 * HOUR;
    keeper.fail("example.com", limited, Some(asked)).await;
    let due = keeper.due_of("example.com").expect("it is tried again");
    assert!((asked..asked + HOUR).contains(&due), "{due:?} after {asked:?}");
    let stored = keeper.shared.settings.storage.of_ca(CA).load();
    assert_eq!(stored.tried[0].1.next_ms, Some(millis(due)), "a restart knows it");
    assert!(keeper.paused.is_empty(), "others may be ordered");
}

#[tokio::test]
async fn a_limit_of_the_whole_account_holds_up_every_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = keeper(&folder);
    keeper.wait_for_order("example.com");
    let limited = ErrorKind::RateLimited { whole_account: true };
    let asked = SystemTime::now() + 5 * HOUR;
    keeper.fail("example.com", limited, Some(asked)).await;
    keeper.wait_for_order("other.test");
    keeper.start_orders(SystemTime::now());
    let work = |keeper: &Keeper, name: &str| {
        keeper.shared.table.read()[&name.parse::<DomainName>().unwrap()].work.clone()
    };
    assert_eq!(work(&keeper, "other.test"), Work::Queued, "it waits");
    assert_eq!(keeper.ordering, 0);
    keeper.start_orders(asked - HOUR);
    assert_eq!(work(&keeper, "other.test"), Work::Queued, "until the time that the CA named");
    keeper.start_orders(asked + HOUR);
    assert!(matches!(work(&keeper, "other.test"), Work::Running(_)), "and no longer");
}

#[tokio::test]
async fn a_limit_of_one_name_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = keeper(&folder);
    keeper.wait_for_order("example.com");
    let limited = ErrorKind::RateLimited { whole_account: false };
    keeper.fail("example.com", limited, Some(SystemTime::now() + HOUR)).await;
    keeper.wait_for_order("other.test");
    keeper.start_orders(SystemTime::now());
    assert_eq!(keeper.ordering, 1, "it is ordered");
}

/// A CA that has an account for everybody, and answers orders like this.
async fn ordering(headers: &'static [(&str, &str)], detail: &'static str) -> Scripted {
    Scripted::start(move |request| {
        let base = format!("http://{}", request.headers()[HOST].to_str().unwrap());
        let nonce = ("replay-nonce", "bm9uY2U");
        match request.uri().path() {
            "/dir" => {
                let directory = serde_json::json!({
                    "newNonce": format!("{base}/nonce"),
                    "newAccount": format!("{base}/account"),
                    "newOrder": format!("{base}/order"),
                });
                answer(200, &[("content-type", "application/json")], &directory.to_string())
            }
            "/nonce" => answer(200, &[nonce], ""),
            "/account" => answer(201, &[nonce, ("location", "http://ca.test/account/1")], "{}"),
            _ => {
                let kind = "urn:ietf:params:acme:error:rateLimited";
                let problem = serde_json::json!({ "type": kind, "detail": detail, "status": 429 });
                answer(429, &[&[nonce], headers].concat(), &problem.to_string())
            }
        }
    })
    .await
}

impl Keeper {
    /// Orders what waits, and takes in how it ends.
    async fn order(&mut self) {
        self.start_orders(SystemTime::now());
        while let Some(ended) = self.jobs.join_next().await {
            let (name, ended) = ended.expect("it does not break");
            self.ended(&name, ended).await;
        }
    }
}

fn orders(ca: &Scripted) -> usize {
    ca.requests().iter().filter(|request| *request == "POST /order").count()
}

#[tokio::test]
async fn what_a_ca_says_of_a_name_reaches_the_keeper_and_stops_no_other() {
    let detail = "too many certificates (5) already issued for this exact set of identifiers";
    let ca = ordering(&[("retry-after", "18000")], detail).await;
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = keeper_at(&ca.url("/dir"), &folder);
    let before = SystemTime::now();
    for (count, name) in ["example.com", "other.test"].into_iter().enumerate() {
        keeper.wait_for_order(name);
        keeper.order().await;
        assert_eq!(orders(&ca), count + 1);
        let due = keeper.due_of(name).expect("it is tried again");
        assert!((before + 5 * HOUR..before + 6 * HOUR).contains(&due), "{name}: {due:?}");
    }
}

#[tokio::test]
async fn what_a_ca_says_of_the_account_reaches_the_keeper_and_stops_every_name() {
    let detail = "too many new orders (300) from this account in the last 3h0m0s";
    let ca = ordering(&[("retry-after", "18000")], detail).await;
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = keeper_at(&ca.url("/dir"), &folder);
    for name in ["example.com", "other.test", "third.test"] {
        keeper.wait_for_order(name);
        keeper.order().await;
        assert_eq!(orders(&ca), 1, "only the first was asked for");
    }
    let until = *keeper.paused.values().next().expect("it is left alone");
    assert!(until > SystemTime::now() + 4 * HOUR, "for as long as it says");
}

#[tokio::test]
async fn what_failed_for_a_local_file_is_tried_again_by_a_reload_and_by_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut keeper = keeper(&folder);
    let (local, refused) = ("local.test", "refused.test");
    for name in [local, refused] {
        keeper.wait_for_order(name);
    }
    keeper.fail(refused, ErrorKind::Blocked, None).await;
    let failure = AcmeError::local("no such file");
    keeper.ordering += 1;
    let ended = JobOutcome::Failed { directory_url: CA.to_owned(), failure, log: Vec::new() };
    keeper.ended(&local.parse().unwrap(), ended).await;
    let soon = SystemTime::now() + HOUR;
    for name in [local, refused] {
        assert!(keeper.due_of(name).unwrap() > soon, "{name} is blocked");
    }
    let kept = |keeper: &Keeper, name: &str| {
        let table = keeper.shared.table.read();
        table[&name.parse().unwrap()].meta.next_ms.is_some()
    };
    assert!(kept(&keeper, refused) && !kept(&keeper, local), "a restart asks no CA sooner");
    keeper.try_local_failures_again();
    assert!(keeper.due_of(local).unwrap() <= SystemTime::now());
    assert!(keeper.due_of(refused).unwrap() > soon, "a reload asks no CA sooner either");
}
