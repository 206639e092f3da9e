//! Certificates by ACME, from a real CA that really looks.

mod wishes;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use crate::harness::*;

const SOON: Duration = Duration::from_secs(10);

/// How long orders may take, on a slow and busy machine.
const ISSUANCE: Duration = Duration::from_mins(1);

/// A CA, a server that gets its certificates there, and a backend.
struct Site {
    pebble: Pebble,
    vhost: Vhost,
    backend: Backend,
}

impl Site {
    /// Serves these names, with a CA as `options` say and settings as `more` says.
    fn start(
        names: &[&str],
        options: impl FnOnce(PebbleOptions) -> PebbleOptions,
        more: impl FnOnce(Setup, &Pebble) -> Setup,
    ) -> Self {
        let setup = Setup::new().lifetime(Duration::from_mins(4));
        let pebble = Pebble::start(&options(PebbleOptions::validating(&setup)));
        Self::with(pebble, setup, names, more)
    }

    /// As [`Self::start`], with a CA that is there already.
    fn with(
        pebble: Pebble,
        setup: Setup,
        names: &[&str],
        more: impl FnOnce(Setup, &Pebble) -> Setup,
    ) -> Self {
        let backend = Backend::start("web");
        let mut setup = setup.acme(&pebble).backend("web", backend.address(), &["a"]);
        for name in names {
            setup = setup.domain(name, "a");
        }
        let vhost = more(setup, &pebble).start();
        vhost.wait_for_health("web", "healthy");
        Self { pebble, vhost, backend }
    }

    /// A connection of a client that trusts nobody but the CA.
    fn connect(&self, name: &str) -> std::io::Result<Client<TlsStream>> {
        self.pebble.trusting_client().connect(self.vhost.https(), Some(name))
    }

    /// The handshake of such a client.
    #[track_caller]
    fn shake(&self, name: &str) -> Handshake {
        self.connect(name).unwrap_or_else(|error| panic!("{name}: {error}")).handshake()
    }

    #[track_caller]
    fn assert_refused(&self, name: &str) {
        let refused = TlsClient::accepts_any().connect(self.vhost.https(), Some(name));
        let error = refused.err().unwrap_or_else(|| panic!("`{name}` is served"));
        assert!(alert_of(&error).is_some(), "{name}: no alert but {error}");
    }

    /// Has a certificate ordered, and waits until the new one is served.
    #[track_caller]
    fn renew(&self, name: &str) {
        self.vhost.ctl_ok(&["cert", "renew", name, "--force", "--wait"]);
    }

    /// Waits until a good certificate is served, and has it ordered again when that fails, as an
    /// operator would rather than wait for a minute.
    #[track_caller]
    fn wait_through_failures(&self, name: &str) {
        eventually(&format!("`{name}` has a certificate in the end"), ISSUANCE, || {
            let shown = self.vhost.certificate(name);
            if shown["state"] == "failed" {
                let attempts = shown["acme"]["log"].as_array().map_or(0, Vec::len);
                assert!(attempts < 4, "{shown}");
                let _ = self.vhost.rpc("cert.renew", json!({ "name": name }));
            }
            shown["state"] == "valid"
        });
    }

    /// The directory of the CA below `cache_dir`.
    fn ca_dir(&self) -> PathBuf {
        let dirs = directories(&self.vhost.cache_dir());
        let found: Vec<_> =
            dirs.into_iter().filter(|path| path.join("account.json").exists()).collect();
        assert_eq!(found.len(), 1, "one CA has an account: {found:?}");
        found.into_iter().next().expect("there is one")
    }
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

/// All files and directories below `path`, and it.
fn everything_in(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    let mut index = 0;
    while let Some(directory) = found.get(index).cloned() {
        if directory.is_dir() {
            found.extend(fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()));
        }
        index += 1;
    }
    found
}

/// Every file that is called as one of ours is whole.
#[track_caller]
fn assert_whole(cache_dir: &Path) {
    for path in everything_in(cache_dir) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() || name.starts_with('.') {
            continue;
        }
        let content = fs::read(&path).unwrap();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => {
                serde_json::from_slice::<Value>(&content)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            }
            Some("pem") => {
                PrivateKeyDer::from_pem_slice(&content)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let chain = CertificateDer::pem_slice_iter(&content);
                assert!(chain.map(Result::unwrap).count() > 0, "{}", path.display());
            }
            _ => {}
        }
    }
}

fn is_served(site: &Site, name: &str) {
    let handshake = site.shake(name);
    assert_eq!(names_of(&handshake.chain), [name]);
    let mut client = site.connect(name).unwrap();
    assert_eq!(client.get(name, "/").backend(), Some("web"));
}

/// `http-01` and `tls-alpn-01`, each alone, at a CA that refuses every fifth nonce.
#[test]
fn each_challenge_is_enough() {
    for kind in ["http-01", "tls-alpn-01"] {
        let site = Site::start(
            &["shop.example.com"],
            |options| options.strict().nonce_reject(20),
            |setup, _| setup.challenges(&[kind]),
        );
        let shown = site.vhost.wait_for_certificate("shop.example.com", "valid");
        assert_eq!((&shown["source"], &shown["acme"]["challenge"]), (&json!("acme"), &json!(kind)));
        assert_eq!(shown["served"]["names"], json!(["shop.example.com"]));
        assert_eq!(shown["acme"]["directory_url"], json!(site.pebble.directory_url()));
        assert!(shown["acme"]["account"].as_str().is_some_and(|uri| uri.contains("/my-account/")));
        is_served(&site, "shop.example.com");
        let serial = site.shake("shop.example.com").serial();
        assert_eq!(shown["served"]["serial"], json!(serial));
        in_runtime(async {
            let client = site.pebble.trusting_client();
            let connected = client.connect_h2(site.vhost.https(), Some("shop.example.com")).await;
            let (mut connection, _) = connected.unwrap();
            assert_eq!(connection.get("shop.example.com", "/").await.unwrap().status, 200);
        });
        let news = site.vhost.certificate_news("shop.example.com");
        assert_eq!((&news[0]["news"], &news[0]["serial"]), (&json!("served"), &json!(serial)));
        assert_eq!((news[0]["renewed"].as_bool(), news.len()), (Some(false), 1), "{news:?}");
        assert_eq!((site.pebble.orders_made(), site.pebble.accounts_made()), (1, 1));
    }
}

#[test]
fn a_wildcard_is_proven_by_the_dns_hook() {
    let mut hook = None;
    let site = Site::start(
        &["*.example.com", "example.com"],
        |options| options,
        |setup, pebble| {
            let hook = hook.insert(DnsHook::new(pebble));
            setup.challenges(&["http-01", "dns-01"]).dns_hook(hook)
        },
    );
    let shown = site.vhost.wait_for_certificate("*.example.com", "valid");
    assert_eq!(shown["acme"]["challenge"], "dns-01");
    let other = site.vhost.wait_for_certificate("example.com", "valid");
    assert_eq!(other["acme"]["challenge"], "http-01");
    assert_eq!(names_of(&site.shake("any.example.com").chain), ["*.example.com"]);
    assert_eq!(site.connect("any.example.com").unwrap().get("any.example.com", "/").status, 200);
    is_served(&site, "example.com");
    let hook = hook.expect("the setup has one");
    eventually("the record is cleared", SOON, || hook.calls().len() == 2);
    let calls = hook.calls();
    let value = calls[0].strip_prefix("present _acme-challenge.example.com ").expect("present");
    assert_eq!(calls[1], format!("cleanup _acme-challenge.example.com {value}"));
}

#[test]
fn a_wildcard_without_a_dns_hook_is_blocked_and_says_what_to_do() {
    let site = Site::start(&["*.example.com"], |options| options, |setup, _| setup);
    let shown = site.vhost.wait_for_certificate("*.example.com", "blocked");
    assert!(shown["hint"].as_str().is_some_and(|hint| hint.contains("dns_hook")), "{shown}");
    assert_eq!(site.pebble.orders_made(), 0);
    let status = site.vhost.ctl(&["status", "--check"]);
    assert_eq!(status.code, 1, "{status:?}");
    let told = "there is no certificate for `*.example.com`";
    assert!(format!("{}{}", status.stdout, status.stderr).contains(told), "{status:?}");
}

/// Who wants to be rid of an import renews it, and it does not come back.
#[test]
fn an_import_gives_way_to_an_order_for_good() {
    let name = "shop.example.com";
    let mut site = Site::start(&[name], |options| options, |setup, _| setup);
    site.vhost.wait_for_certificate(name, "valid");
    let issued = Authority::new().issue(&[name]);
    assert_eq!(site.vhost.import(name, &issued.cert(), &issued.key()).code, 0);
    assert_eq!(site.vhost.certificate(name)["source"], "imported");
    let refused = site.vhost.ctl(&["cert", "renew", name]);
    assert_eq!(refused.code, 5, "{refused:?}");
    site.renew(name);
    let serial = site.shake(name).serial();
    site.vhost.kill();
    site.vhost.restart();
    assert_eq!(site.shake(name).serial(), serial, "what was ordered is served");
    assert_eq!(site.vhost.certificate(name)["source"], "acme");
}

#[test]
fn a_dns_hook_that_fails_is_told_in_its_own_words() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hook");
    fs::write(&path, "#!/bin/sh\necho 'the zone is frozen' >&2\nexit 3\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let site = Site::start(
        &["*.example.com"],
        |options| options,
        |setup, _| {
            let path = format!("{:?}", path.display().to_string());
            setup.challenges(&["dns-01"]).set("lets_encrypt.dns_hook", path)
        },
    );
    let shown = site.vhost.wait_for_certificate("*.example.com", "failed");
    let error = shown["last_error"].as_str().unwrap();
    assert!(error.contains("the zone is frozen"), "{shown}");
}

#[test]
fn a_ca_that_wants_a_binding_gets_it() {
    let name = "shop.example.com";
    let site = Site::start(&[name], PebbleOptions::eab, Setup::eab);
    site.vhost.wait_for_certificate(name, "valid");
    is_served(&site, name);
}

#[test]
fn a_reload_tries_again_what_failed_for_a_missing_file() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("late.key");
    let name = "shop.example.com";
    let site = Site::start(&[name], PebbleOptions::eab, |setup, pebble| {
        let late = format!("{:?}", key.display().to_string());
        setup.eab(pebble).set("lets_encrypt.eab_hmac_key_file", late)
    });
    site.vhost.wait_for_certificate(name, "blocked");
    fs::copy(site.pebble.eab_key_file(), &key).unwrap();
    site.vhost.ctl_ok(&["reload"]);
    site.vhost.wait_for_certificate(name, "valid");
    is_served(&site, name);
}

#[test]
fn without_the_binding_that_the_ca_wants_a_person_has_to_act() {
    let name = "shop.example.com";
    let site = Site::start(&[name], PebbleOptions::eab, |setup, _| setup);
    let shown = site.vhost.wait_for_certificate(name, "blocked");
    assert!(shown["hint"].as_str().is_some_and(|hint| hint.contains("eab_kid")), "{shown}");
    assert_eq!((site.pebble.accounts_made(), site.pebble.orders_made()), (0, 0));
    site.assert_refused(name);
}

#[test]
fn a_binding_that_the_ca_does_not_know_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("wrong.key");
    fs::write(&wrong, "d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmc").unwrap();
    let name = "shop.example.com";
    let site = Site::start(&[name], PebbleOptions::eab, |setup, pebble| {
        let wrong = format!("{:?}", wrong.display().to_string());
        setup.eab(pebble).set("lets_encrypt.eab_hmac_key_file", wrong)
    });
    let shown = eventually_some("the attempt has failed", ISSUANCE, || {
        let shown = site.vhost.certificate(name);
        shown["last_error"].is_string().then_some(shown)
    });
    assert!(["failed", "blocked"].contains(&shown["state"].as_str().unwrap()), "{shown}");
    assert_eq!(site.pebble.orders_made(), 0);
    let log = site.vhost.log();
    assert!(!log.contains("d3Jvbmctd3Jvbmc"), "the key is not logged");
}

/// A CA that refuses every second nonce, takes its time, and hands out authorizations again.
#[test]
fn a_difficult_ca_is_put_up_with() {
    let names = ["a.example.com", "b.example.com", "c.example.com"];
    let site = Site::start(
        &names,
        |options| {
            let options = options.strict().nonce_reject(50).authz_reuse(100);
            options.validation_sleep(Duration::from_secs(3))
        },
        |setup, _| setup,
    );
    for name in names {
        site.wait_through_failures(name);
        is_served(&site, name);
    }
    // Its order is `ready` from the beginning.
    let before = site.shake("a.example.com").serial();
    site.renew("a.example.com");
    assert_ne!(site.shake("a.example.com").serial(), before);
}

/// Certificates of twenty seconds, renewed again and again while clients that check their dates come
/// without a pause.
#[test]
fn renewals_under_traffic_are_not_noticed() {
    let name = "shop.example.com";
    let site = Site::start(
        &[name],
        |options| options.validity(Duration::from_secs(20)).nonce_reject(5),
        |setup, _| setup,
    );
    site.vhost.wait_for_certificate(name, "valid");
    let (client, start) = (site.pebble.trusting_client(), Instant::now());
    let (ended, failures) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let (serials, handshakes) = (Mutex::new(Vec::<String>::new()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _end = EndOnDrop(&ended);
        for _ in 0..3 {
            scope.spawn(|| {
                while !ended.load(Ordering::SeqCst) {
                    let outcome =
                        client.connect(site.vhost.https(), Some(name)).and_then(|mut open| {
                            let serial = open.handshake().serial();
                            let response = open.try_get(name, "/")?;
                            Ok((serial, response.status))
                        });
                    match outcome {
                        Ok((serial, 200)) => {
                            let mut serials = serials.lock().unwrap();
                            if !serials.contains(&serial) {
                                serials.push(serial);
                            }
                        }
                        other => failures.lock().unwrap().push(format!("{other:?}")),
                    }
                    handshakes.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        eventually("four certificates were served", Duration::from_secs(90), || {
            assert!(failures.lock().unwrap().is_empty(), "{failures:?}");
            serials.lock().unwrap().len() >= 4
        });
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} failed: {failures:#?}", failures.len());
    assert!(handshakes.load(Ordering::SeqCst) > 100, "{handshakes:?}");
    // Three renewals, each when half the time is over.
    let (orders, took) = (site.pebble.orders_made(), start.elapsed());
    assert_eq!(orders, 4);
    assert!(took > Duration::from_secs(25), "{orders} orders in {took:?}");
    let news = site.vhost.certificate_news(name);
    assert!(news.iter().all(|news| news["news"] == "served"), "{news:#?}");
}

/// Ends the clients also when the test panics.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_restart_orders_nothing_and_serves_without_the_ca() {
    let names = ["a.example.com", "b.example.com"];
    let mut site = Site::start(&names, |options| options, |setup, _| setup);
    let before = names.map(|name| {
        site.vhost.wait_for_certificate(name, "valid");
        site.shake(name).serial()
    });
    let client = site.pebble.trusting_client();
    let account = fs::read(site.ca_dir().join("account.json")).unwrap();
    for round in 0..3 {
        site.vhost.kill();
        // The last time, nobody is there to be asked.
        if round == 2 {
            site.pebble.stop();
        }
        site.vhost.restart();
        for (name, serial) in names.iter().zip(&before) {
            let open = client.connect(site.vhost.https(), Some(name)).unwrap();
            assert_eq!(open.handshake().serial(), *serial, "{name}");
            site.vhost.wait_for_certificate(name, "valid");
        }
    }
    assert_eq!((site.pebble.orders_made(), site.pebble.accounts_made()), (2, 1));
    assert_eq!(fs::read(site.ca_dir().join("account.json")).unwrap(), account);
}

#[test]
fn a_ca_that_is_down_keeps_nobody_waiting_and_is_asked_again() {
    let name = "shop.example.com";
    let setup = Setup::new().lifetime(Duration::from_mins(4));
    let mut pebble = Pebble::start(&PebbleOptions::validating(&setup));
    pebble.stop();
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let files = authority.issue(&["files.example.com"]).write_to(directory.path(), "files");
    let start = Instant::now();
    let mut site = Site::with(pebble, setup, &[name], |setup, _| {
        setup.domain_with("files.example.com", "a", &files.tls_line())
    });
    assert!(start.elapsed() < SOON, "started after {:?}", start.elapsed());
    let others = TlsClient::trusting(&authority.pem());
    let mut open = others.connect(site.vhost.https(), Some("files.example.com")).unwrap();
    assert_eq!(open.get("files.example.com", "/").status, 200);
    let shown = site.vhost.wait_for_certificate(name, "failed");
    assert!(shown["last_error"].as_str().is_some_and(|error| !error.is_empty()), "{shown}");
    assert!(shown["next_ms"].is_u64(), "there will be another attempt: {shown}");
    assert_eq!(site.vhost.get(name, "/").status, 200, "plain HTTP is served meanwhile");
    site.assert_refused(name);
    site.pebble.restart();
    site.renew(name);
    is_served(&site, name);
    let news = site.vhost.certificate_news(name);
    assert_eq!(
        (&news[0]["news"], &news.last().unwrap()["news"]),
        (&json!("served"), &json!("failed"))
    );
}

/// The CA takes connections and says nothing.
#[test]
fn a_ca_that_hangs_holds_up_nobody_else() {
    let name = "shop.example.com";
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let files = authority.issue(&["files.example.com"]).write_to(directory.path(), "files");
    let setup = Setup::new().lifetime(Duration::from_mins(4));
    let pebble = Pebble::start(&PebbleOptions::validating(&setup));
    pebble.pause();
    let site = Site::with(pebble, setup, &[name], |setup, _| {
        setup.domain_with("files.example.com", "a", &files.tls_line())
    });
    let others = TlsClient::trusting(&authority.pem());
    let address = site.vhost.https();
    std::thread::scope(|scope| {
        let start = Instant::now();
        let held: Vec<_> = (0..5)
            .map(|_| scope.spawn(|| TlsClient::accepts_any().connect(address, Some(name)).err()))
            .collect();
        for _ in 0..20 {
            let start = Instant::now();
            let mut open = others.connect(address, Some("files.example.com")).unwrap();
            assert_eq!(open.get("files.example.com", "/").status, 200);
            assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        }
        for held in held {
            let error = held.join().unwrap().expect("there is no certificate");
            assert!(alert_of(&error).is_some(), "{error}");
        }
        assert!(start.elapsed() < Duration::from_secs(18), "held for {:?}", start.elapsed());
    });
    site.vhost.ctl_ok(&["status"]);
    site.pebble.resume();
    if site.vhost.certificate(name)["state"] == "failed" {
        site.renew(name);
    }
    site.vhost.wait_for_certificate(name, "valid");
    is_served(&site, name);
}

#[test]
fn a_name_that_leads_elsewhere_fails_alone_and_says_why() {
    let good: Vec<_> = (0..10).map(|number| format!("site-{number}.example.com")).collect();
    let (elsewhere, bad) =
        ("elsewhere.example.com", ["elsewhere.example.com", "blocked.example.com"]);
    let names: Vec<_> = bad.into_iter().chain(good.iter().map(String::as_str)).collect();
    let site = Site::start(
        &names,
        |options| options.blocked("blocked.example.com").nonce_reject(5),
        |setup, pebble| {
            pebble.add_a(elsewhere, free_ip());
            setup
        },
    );
    for name in &good {
        site.vhost.wait_for_certificate(name, "valid");
        is_served(&site, name);
    }
    let shown = site.vhost.wait_for_certificate(elsewhere, "failed");
    assert!(shown["last_error"].as_str().is_some_and(|error| error.len() > 10), "{shown}");
    assert!(shown["next_ms"].is_u64() && shown["attempts"] == 1, "{shown}");
    site.assert_refused(elsewhere);
    assert_eq!(site.vhost.get(elsewhere, "/").status, 200);
    let shown = site.vhost.wait_for_certificate("blocked.example.com", "blocked");
    assert!(shown["last_error"].is_string() && shown["hint"].is_string(), "{shown}");
    // A refused one is no order.
    let orders = site.pebble.orders_made();
    assert!((11..=12).contains(&orders), "{orders} orders");

    site.pebble.clear_a(elsewhere);
    site.renew(elsewhere);
    is_served(&site, elsewhere);
}

/// This CA calls it `malformed`, but it is no word on the request: a moment later all may be well.
#[test]
fn a_dns_that_fails_is_a_reason_to_try_again() {
    let name = "shop.example.com";
    let site = Site::start(
        &[name],
        |options| options,
        |setup, pebble| {
            pebble.set_servfail(name);
            setup
        },
    );
    let shown = site.vhost.wait_for_certificate(name, "failed");
    let next = shown["next_ms"].as_u64().expect("there will be another attempt");
    let soon = std::time::SystemTime::now() + Duration::from_mins(5);
    let soon = soon.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    assert!(u128::from(next) < soon, "{shown}");
}

#[test]
fn another_ca_is_another_account_and_another_certificate() {
    let name = "shop.example.com";
    let setup = Setup::new().lifetime(Duration::from_mins(4));
    let [first, second] = [(), ()].map(|()| Pebble::start(&PebbleOptions::validating(&setup)));
    let backend = Backend::start("web");
    let setup = setup.domain(name, "a").backend("web", backend.address(), &["a"]);
    let mut vhost = setup.clone().acme(&first).start();
    vhost.wait_for_certificate(name, "valid");
    first.trusting_client().connect(vhost.https(), Some(name)).expect("of the first");
    vhost.kill();
    vhost.write_config(&setup.clone().acme(&second));
    vhost.restart();
    let of_second = second.trusting_client();
    eventually("the second CA's is served", ISSUANCE, || {
        of_second.connect(vhost.https(), Some(name)).is_ok()
    });
    let accounts = directories(&vhost.cache_dir());
    let accounts: Vec<_> =
        accounts.iter().filter(|path| path.join("account.json").exists()).collect();
    assert_eq!(accounts.len(), 2, "{accounts:?}");
    assert_eq!((first.orders_made(), second.orders_made()), (1, 1));
    // And back again costs nothing.
    vhost.kill();
    vhost.write_config(&setup.acme(&first));
    vhost.restart();
    vhost.wait_for_certificate(name, "valid");
    first.trusting_client().connect(vhost.https(), Some(name)).expect("the one of before");
    assert_eq!((first.orders_made(), first.accounts_made()), (1, 1));
}

/// A certificate of forty seconds, and a CA that is gone when it is to be renewed.
#[test]
fn a_fallback_takes_over_before_the_certificate_runs_out() {
    let name = "shop.example.com";
    let setup = Setup::new().lifetime(Duration::from_mins(4));
    let options = PebbleOptions::validating(&setup);
    let first = Pebble::start(&options.clone().validity(Duration::from_secs(40)));
    let second = Pebble::start(&options);
    let fallback = format!(
        "[[lets_encrypt.fallback]]\ndirectory_url = {:?}\nca_root = {:?}\n",
        second.directory_url(),
        second.ca_root().display().to_string(),
    );
    let mut site = Site::with(first, setup, &[name], |setup, _| setup.entries(&fallback));
    site.vhost.wait_for_certificate(name, "valid");
    let (of_first, of_second) = (site.pebble.trusting_client(), second.trusting_client());
    site.pebble.stop();
    eventually("the fallback's is served", ISSUANCE, || {
        let open = of_second.connect(site.vhost.https(), Some(name));
        // Whom its clients trust does not matter here, only that there is no gap.
        let served = open.is_ok() || of_first.connect(site.vhost.https(), Some(name)).is_ok();
        assert!(served || of_second.connect(site.vhost.https(), Some(name)).is_ok());
        open.is_ok()
    });
    let shown = site.vhost.wait_for_certificate(name, "valid");
    assert_eq!(shown["acme"]["directory_url"], json!(second.directory_url()));
    assert_eq!((site.pebble.orders_made(), second.orders_made()), (1, 1));
}

#[test]
fn a_ca_that_has_forgotten_us_gets_a_new_account() {
    let name = "shop.example.com";
    let mut site = Site::start(&[name], |options| options, |setup, _| setup);
    site.vhost.wait_for_certificate(name, "valid");
    let before = fs::read(site.ca_dir().join("account.json")).unwrap();
    site.pebble.restart();
    site.renew(name);
    is_served(&site, name);
    assert_eq!(site.pebble.accounts_made(), 2);
    assert_ne!(fs::read(site.ca_dir().join("account.json")).unwrap(), before);
}

#[test]
fn first_visitors_of_a_name_that_is_allowed_wait_for_its_only_order() {
    let (allowed, denied) = ["allowed.example.com", "denied.example.com"].into();
    let ask = AskServer::start(&[allowed]);
    let mut site = Site::start(
        &["*"],
        |options| options.nonce_reject(5),
        |setup, _| setup.set("lets_encrypt.on_demand_ask", format!("{:?}", ask.url())),
    );
    for _ in 0..3 {
        site.assert_refused(denied);
    }
    assert_eq!((ask.asked_about(denied), site.pebble.orders_made()), (1, 0), "{:?}", ask.asked());
    let client = site.pebble.trusting_client();
    let address = site.vhost.https();
    let failures: Vec<_> = std::thread::scope(|scope| {
        let visitors: Vec<_> = (0..50)
            .map(|_| {
                scope.spawn(|| {
                    let mut open = client.connect(address, Some(allowed))?;
                    open.try_get(allowed, "/").map(|response| response.status)
                })
            })
            .collect();
        visitors
            .into_iter()
            .map(|visitor| visitor.join().unwrap().map_err(|error| error.to_string()))
            .filter(|outcome| *outcome != Ok(200))
            .collect()
    });
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!((ask.asked_about(allowed), site.pebble.orders_made()), (1, 1));
    // No addresses, no single labels; and nothing without a name.
    for name in ["intranet", "10.0.0.1.example.invalid"] {
        site.assert_refused(name);
    }
    let nameless = TlsClient::accepts_any().connect(address, None);
    nameless.err().expect("no name, no certificate");
    assert_eq!(site.pebble.orders_made(), 1);
    // That the domain moves to another tag is nothing to the certificates behind it.
    site.vhost.ctl_ok(&["backend", "tag", "web", "b"]);
    site.vhost.ctl_ok(&["switch", "*", "b"]);
    client.connect(address, Some(allowed)).expect("it is still there");
    assert_eq!((ask.asked_about(allowed), site.pebble.orders_made()), (1, 1));

    site.vhost.kill();
    site.vhost.restart();
    client.connect(site.vhost.https(), Some(allowed)).expect("it is still there");
    assert_eq!(site.pebble.orders_made(), 1);
}

#[test]
fn an_ask_server_that_is_down_allows_nothing() {
    let url = format!("{:?}", format!("http://{}/may", refusing_address()));
    let site = Site::start(
        &["*"],
        |options| options,
        |setup, _| setup.set("lets_encrypt.on_demand_ask", url),
    );
    let start = Instant::now();
    site.assert_refused("shop.example.com");
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert_eq!(site.pebble.orders_made(), 0);
}

#[test]
fn the_first_visitor_of_a_domain_that_was_just_added_is_held_until_its_certificate_is_there() {
    let site = Site::start(
        &["example.com"],
        |options| options.validation_sleep(Duration::from_secs(2)),
        |setup, _| setup,
    );
    site.vhost.wait_for_certificate("example.com", "valid");
    site.vhost.ctl_ok(&["domain", "add", "new.example.com", "--tag", "a"]);
    is_served(&site, "new.example.com");
    assert_eq!(site.pebble.orders_made(), 2);
}

#[test]
fn a_deployer_can_wait_for_the_certificate_of_a_new_domain() {
    let site = Site::start(
        &["example.com"],
        |options| options,
        |setup, pebble| {
            pebble.add_a("elsewhere.example.com", free_ip());
            setup
        },
    );
    let new = "new.example.com";
    let output = site.vhost.ctl_ok(&["domain", "add", new, "--tag", "a", "--wait-cert"]);
    assert!(output.stderr.contains(new), "{output:?}");
    assert_eq!(site.vhost.certificate(new)["state"], "valid");
    is_served(&site, new);
    let elsewhere = "elsewhere.example.com";
    let words = ["domain", "add", elsewhere, "--tag", "a", "--wait-cert", "--timeout", "4s"];
    let output = site.vhost.ctl(&words);
    assert!([1, 6].contains(&output.code), "{output:?}");
    assert!(output.stderr.contains("hint:"), "{output:?}");
    assert_eq!(site.vhost.get(elsewhere, "/").status, 200, "it was added all the same");
}

/// SIGKILL at any moment of the orders.
#[test]
fn whatever_moment_the_server_dies_at_the_orders_end_well() {
    const NAMES: usize = 4;
    const ROUNDS: usize = 8;
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let names: Vec<_> = (0..NAMES).map(|number| format!("site-{number}.example.com")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut site = Site::start(
        &names,
        |options| options.nonce_reject(5).validation_sleep(Duration::from_secs(1)),
        |setup, _| setup,
    );
    let mut account = None;
    for round in 0..ROUNDS {
        // An order is a dozen requests.
        let (before, more) = (requests_to(&site.pebble), random.usize(0..16));
        eventually("so many requests more were made", ISSUANCE, || {
            let is_over =
                || names.iter().all(|name| site.vhost.certificate(name)["state"] == "valid");
            requests_to(&site.pebble) >= before + more || is_over()
        });
        site.vhost.kill();
        assert_whole(&site.vhost.cache_dir());
        for directory in directories(&site.vhost.cache_dir()) {
            let Ok(found) = fs::read(directory.join("account.json")) else { continue };
            let kept = account.get_or_insert_with(|| found.clone());
            assert_eq!(*kept, found, "the account is another one in round {round}");
        }
        site.vhost.restart();
    }
    for name in &names {
        // The CA may have looked while nobody was there.
        site.wait_through_failures(name);
        is_served(&site, name);
    }
    assert_whole(&site.vhost.cache_dir());
    eventually("no order is left open", SOON, || {
        everything_in(&site.ca_dir().join("orders")).iter().all(|path| path.is_dir())
    });
    // The first account may have been made and not written down; an order made and not either.
    let (accounts, made) = (site.pebble.accounts_made(), site.pebble.orders_made());
    assert!(accounts <= 1 + ROUNDS, "{accounts} accounts");
    // Where a kill comes between the answer to a new order and the note of it, the order is lost, and
    // so it is where the CA looks before the restart; the names order side by side.
    assert!(made <= NAMES * (1 + ROUNDS), "{made} orders");
}

/// Requests that the CA has answered so far.
fn requests_to(pebble: &Pebble) -> usize {
    pebble.log().lines().filter(|line| line.contains("calling handler")).count()
}

#[test]
fn keys_are_private_on_disk_also_where_they_were_not() {
    let name = "shop.example.com";
    let mut site = Site::start(&[name], |options| options, |setup, _| setup);
    site.vhost.wait_for_certificate(name, "valid");
    let modes = |site: &Site| {
        everything_in(&site.vhost.cache_dir())
            .into_iter()
            .map(|path| {
                let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                (path.is_dir(), mode, path)
            })
            .collect::<Vec<_>>()
    };
    // What an order leaves is cleared away while the server runs.
    site.vhost.kill();
    let found = modes(&site);
    assert!(found.iter().any(|(.., path)| path.ends_with("account.json")), "{found:?}");
    assert!(found.iter().any(|(.., path)| path.ends_with("shop.example.com.pem")), "{found:?}");
    for (is_dir, mode, path) in &found {
        assert_eq!(*mode, if *is_dir { 0o700 } else { 0o600 }, "{}", path.display());
    }
    for (is_dir, _, path) in &found {
        let open = fs::Permissions::from_mode(if *is_dir { 0o755 } else { 0o664 });
        fs::set_permissions(path, open).unwrap();
    }
    site.vhost.restart();
    site.shake(name);
    for (is_dir, mode, path) in modes(&site) {
        assert_eq!(mode, if is_dir { 0o700 } else { 0o600 }, "{}", path.display());
    }
}

#[test]
fn a_bundle_that_is_damaged_is_ordered_again() {
    let name = "shop.example.com";
    let mut site = Site::start(&[name, "other.example.com"], |options| options, |setup, _| setup);
    for name in [name, "other.example.com"] {
        site.vhost.wait_for_certificate(name, "valid");
    }
    site.vhost.kill();
    let bundle = site.ca_dir().join("certs").join("shop.example.com.pem");
    let text = fs::read_to_string(&bundle).unwrap();
    fs::write(&bundle, &text[..text.len() / 3]).unwrap();
    site.vhost.restart();
    site.vhost.wait_for_certificate(name, "valid");
    is_served(&site, name);
    is_served(&site, "other.example.com");
    assert_eq!(site.pebble.orders_made(), 3);
}

#[test]
fn a_key_that_leaked_is_replaced_at_once() {
    let name = "shop.example.com";
    let site = Site::start(&[name], |options| options, |setup, _| setup);
    site.vhost.wait_for_certificate(name, "valid");
    let before = site.shake(name);
    let key = |handshake: &Handshake| {
        let (_, leaf) = x509_parser::parse_x509_certificate(&handshake.chain[0]).unwrap();
        leaf.public_key().raw.to_vec()
    };
    site.vhost.ctl_ok(&["cert", "revoke", name, "--reason", "key-compromise"]);
    assert_eq!(site.pebble.status_of(&before.serial()), "Revoked");
    eventually("another is served", ISSUANCE, || site.shake(name).serial() != before.serial());
    let after = site.shake(name);
    assert_ne!(key(&after), key(&before));
    assert_eq!(site.pebble.status_of(&after.serial()), "Valid");
    let news = site.vhost.certificate_news(name);
    let revoked = news.iter().find(|news| news["news"] == "revoked").expect("it is told");
    assert_eq!(revoked["reason"], "key-compromise");
    assert_eq!(site.pebble.orders_made(), 2);
}

#[test]
fn challenges_are_answered_only_while_somebody_is_to_be_convinced() {
    let name = "shop.example.com";
    // What was proven over TLS is still answered for a moment.
    let site = Site::start(&[name], |options| options, |setup, _| setup.challenges(&["http-01"]));
    site.vhost.wait_for_certificate(name, "valid");
    let ca = TlsClient::accepts_any().alpn(&["acme-tls/1"]);
    for name in [name, "unknown.example.com"] {
        let refused = ca.connect(site.vhost.https(), Some(name)).err();
        let error = refused.unwrap_or_else(|| panic!("`{name}` has no order"));
        assert!(alert_of(&error).is_some(), "{name}: {error}");
    }
    // RFC 8737 §3: who offers more is no CA.
    let client = site.pebble.trusting_client().alpn(&["acme-tls/1", "h2"]);
    let open = client.connect(site.vhost.https(), Some(name)).unwrap();
    assert_eq!(open.handshake().alpn.as_deref(), Some("h2"));
    let path = "/.well-known/acme-challenge/";
    let token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
    let response = site.vhost.get(name, &format!("{path}{token}"));
    assert_eq!((response.status, response.backend()), (404, None));
    // What is no token is a request like any other.
    for other in ["", "../../etc/passwd", "%2e%2e", "<script>"] {
        let response = site.vhost.get(name, &format!("{path}{other}"));
        assert!([308, 400].contains(&response.status), "{other}: {}", response.status);
        assert_eq!(response.backend(), None, "{other}");
    }
    assert_eq!(site.backend.requests(), 0);
}

/// Neither the log, nor the state, nor any answer that doesn't ask for it holds a key.
#[test]
fn keys_stay_where_they_are() {
    let name = "shop.example.com";
    let site = Site::start(
        &[name],
        |options| options.nonce_reject(20),
        |setup, _| setup.set("logging.level", "\"trace\""),
    );
    site.vhost.wait_for_certificate(name, "valid");
    site.renew(name);
    let mine = Authority::new().issue(&[name]);
    site.vhost.ctl_ok(&["domain", "add", "imported.example.com", "--tag", "a"]);
    let imported = Authority::new().issue(&["imported.example.com"]);
    site.vhost.import("imported.example.com", &imported.cert(), &imported.key());
    // An import that is refused has been read too.
    site.vhost.import("imported.example.com", &mine.cert(), &mine.key());

    let mut secrets = vec![body_of(&imported.key()), body_of(&mine.key())];
    for path in everything_in(&site.vhost.cache_dir()) {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("pem") => secrets.push(body_of(&fs::read_to_string(&path).unwrap())),
            Some("json") if path.ends_with("account.json") => {
                let account: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                let mut texts = Vec::new();
                collect_texts(&account, &mut texts);
                secrets.extend(texts.into_iter().filter(|text| text.len() > 100));
            }
            _ => {}
        }
    }
    assert!(secrets.len() >= 4, "{} secrets", secrets.len());

    let mut said = vec![("the log", site.vhost.log())];
    for (method, params) in [
        ("cert.list", json!({})),
        ("cert.show", json!({ "name": name })),
        ("cert.account", json!({})),
        ("cert.ca", json!({})),
        ("cert.export", json!({ "name": name })),
        ("event.list", json!({})),
        ("state.get", json!({})),
        ("config.show", json!({})),
        ("domain.list", json!({})),
    ] {
        if let Ok(answer) = site.vhost.rpc(method, params) {
            said.push((method, answer.to_string()));
        }
    }
    for path in everything_in(&site.vhost.state_dir()) {
        if path.is_file() && !path.starts_with(site.vhost.cache_dir()) {
            // The root of the server's own CA has its key beside it, for the owner alone.
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode & 0o077, 0, "{}", path.display());
            said.push((
                "the state",
                String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned(),
            ));
        }
    }
    for (place, text) in &said {
        let text = text.replace("\\n", "").replace('\n', "");
        for secret in &secrets {
            // A part of it would be too much.
            let inner = &secret[secret.len() / 4..secret.len() / 4 + 32];
            assert!(!text.contains(inner), "a key is in {place}");
        }
    }
    let exported = site.vhost.rpc("cert.export", json!({"name": name, "key": true})).unwrap();
    let key = exported["key"].as_str().expect("it was asked for");
    assert!(secrets.contains(&body_of(key)));
}

/// The base64 of the private key in a text, in one piece.
fn body_of(pem: &str) -> String {
    let (_, rest) = pem.split_once("PRIVATE KEY-----").expect("a private key");
    let (body, _) = rest.split_once("-----END").expect("its end");
    body.split_whitespace().collect()
}

/// All texts in a JSON value.
fn collect_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect_texts(value, texts)),
        Value::Object(values) => values.values().for_each(|value| collect_texts(value, texts)),
        _ => {}
    }
}

/// Plain HTTP is redirected once the certificate is there; the CA's look at http-01 never is.
#[test]
fn plain_http_is_redirected_once_the_certificate_is_there() {
    let name = "shop.example.com";
    let site = Site::start(
        &[name],
        |options| options.validation_sleep(Duration::from_secs(2)),
        |setup, _| setup.challenges(&["http-01"]),
    );
    assert_eq!(site.vhost.get(name, "/").status, 200, "before");
    site.vhost.wait_for_certificate(name, "valid");
    let response = site.vhost.get(name, "/path");
    let location = format!("https://{name}:{}/path", site.vhost.https().port());
    assert_eq!((response.status, response.header("location")), (308, Some(location.as_str())));
    let before = site.shake(name).serial();
    site.renew(name);
    assert_ne!(site.shake(name).serial(), before, "http-01 works behind the redirect");
}

/// An alias has a certificate of its own, so that one that fails takes nobody with it.
#[test]
fn aliases_have_certificates_of_their_own() {
    let (name, alias, bad) = ("example.com", "www.example.com", "bad.example.com");
    let site = Site::start(
        &[],
        |options| options,
        |setup, pebble| {
            pebble.add_a(bad, free_ip());
            setup.domain_with(name, "a", &format!("aliases = [\"{alias}\", \"{bad}\"]"))
        },
    );
    for name in [name, alias] {
        let shown = site.vhost.wait_for_certificate(name, "valid");
        assert_eq!(shown["domain"], "example.com");
        is_served(&site, name);
    }
    site.vhost.wait_for_certificate(bad, "failed");
    site.assert_refused(bad);
}
