//! What makes a backend healthy or unhealthy, and what follows from it.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::harness::*;

mod own;

const SOON: Duration = Duration::from_secs(20);

fn two_backends(one: &Backend, two: &Backend) -> Setup {
    Setup::new().domain("example.com", "a").backend(one.id(), one.address(), &["a"]).backend(
        two.id(),
        two.address(),
        &["a"],
    )
}

/// The backends that answer ten requests, each once, in order.
fn answering(vhost: &Vhost) -> Vec<String> {
    let mut client = vhost.connect();
    let mut ids: Vec<_> = (0..10)
        .map(|_| {
            let response = client.get("example.com", "/");
            response.backend().unwrap_or_else(|| panic!("{}", response.status)).to_owned()
        })
        .collect();
    ids.sort();
    ids.dedup();
    ids
}

#[test]
fn a_backend_whose_probes_fail_gets_no_traffic_until_they_succeed() {
    let (one, two) = (Backend::start("w1"), Backend::start("w2"));
    let vhost = two_backends(&one, &two).start();
    vhost.wait_until_healthy(2);
    assert_eq!(answering(&vhost), ["w1", "w2"]);
    one.set_health(503);
    let shown = vhost.wait_for_health("w1", "unhealthy");
    assert_eq!(shown["health"]["last_status"], 503);
    let reason = shown["health"]["last_error"].as_str().expect("why it is unhealthy");
    assert!(reason.contains("503"), "{reason}");
    assert!(shown["health"]["since_ms"].as_u64().is_some(), "{shown}");
    assert_eq!(answering(&vhost), ["w2"]);
    one.set_health(204);
    vhost.wait_for_health("w1", "healthy");
    assert_eq!(answering(&vhost), ["w1", "w2"]);
}

#[test]
fn a_backend_is_probed_when_an_operator_asks() {
    let backend = Backend::start("w1");
    let setup = Setup::new().domain("example.com", "a").backend("w1", backend.address(), &["a"]);
    let vhost = setup.set("health_check.interval_secs", 600).start();
    vhost.wait_for_health("w1", "healthy");
    let probes = backend.probes();
    let good = vhost.ctl_ok(&["backend", "probe", "w1"]);
    assert!(good.stdout.starts_with("w1: healthy, 200 in "), "{good:?}");
    assert_eq!(backend.probes(), probes + 1);
    backend.set_health(503);
    let bad = vhost.ctl(&["backend", "probe", "w1"]);
    assert_eq!((bad.code, bad.stdout.as_str()), (6, ""), "{bad:?}");
    assert!(bad.stderr.contains("the probe of `w1` failed"), "{bad:?}");
    assert!(bad.stderr.contains("503") && bad.stderr.contains("counts as healthy"), "{bad:?}");
    let report = vhost.rpc("backend.probe", json!({"id": "w1"})).unwrap();
    assert_eq!(
        (&report["succeeded"], &report["health"]["status"]),
        (&json!(false), &json!("unhealthy"))
    );
}

#[test]
fn each_transition_is_logged_once() {
    let (one, two) = (Backend::start("first"), Backend::start("second"));
    let vhost = two_backends(&one, &two).set("health_check.interval_secs", 0.1).start();
    vhost.wait_until_healthy(2);
    one.set_health(500);
    vhost.wait_for_health("first", "unhealthy");
    let probes = one.probes();
    eventually("it is probed on and on", SOON, || one.probes() > probes + 5);
    let said: Vec<_> = vhost
        .wait_for_log("unhealthy")
        .into_iter()
        .filter(|line| line.contains("first") && !line.contains("DEBUG"))
        .collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("500"), "{said:?}");
}

#[test]
fn why_a_backend_is_unhealthy_is_shown_to_people() {
    let good = Backend::start("good");
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend("good", good.address(), &["a"])
        .backend("gone", refusing_address(), &["a"])
        .start();
    vhost.wait_for_health("gone", "unhealthy");
    let shown = vhost.ctl_ok(&["backend", "show", "gone"]).stdout;
    assert!(shown.contains("unhealthy") && shown.contains("refused"), "{shown}");
}

#[test]
fn connects_that_fail_in_traffic_put_a_backend_out_before_the_next_probe() {
    let (one, two) = (Backend::start("w1"), Backend::start("w2"));
    let vhost = two_backends(&one, &two).set("health_check.interval_secs", 3).start();
    vhost.wait_until_healthy(2);
    let address = one.stop();
    let mut client = vhost.connect();
    eventually("traffic finds it unhealthy", SOON, || {
        assert_eq!(client.get("example.com", "/").status, 200, "no client notices");
        vhost.backend("w1")["health"]["status"] == "unhealthy"
    });
    let reason = vhost.backend("w1")["health"]["last_error"].as_str().unwrap().to_owned();
    assert!(reason.contains("refused"), "{reason}");
    assert_eq!(answering(&vhost), ["w2"]);
    let _one = Backend::builder("w1").at(address).start();
    vhost.wait_for_health("w1", "healthy");
    assert_eq!(answering(&vhost), ["w1", "w2"], "probes bring it back");
}

#[test]
fn answers_of_5xx_count_as_failures_only_where_the_config_says_so() {
    for count_5xx in [true, false] {
        let (one, two) = (Backend::start("w1"), Backend::start("w2"));
        let vhost = two_backends(&one, &two)
            .set("health_check.interval_secs", 600)
            .set("health_check.count_5xx", count_5xx)
            .start();
        vhost.wait_until_healthy(2);
        // A probe that follows a failure of traffic must not find it well again at once.
        one.set_health(500);
        two.set_health(500);
        let mut client = vhost.connect();
        for _ in 0..20 {
            let response = client.get("example.com", "/status/503");
            assert_eq!(response.status, 503, "the backend's answer is passed on");
        }
        if count_5xx {
            let shown = vhost.wait_for_health("w1", "unhealthy");
            assert!(shown["health"]["last_error"].is_string(), "{shown}");
        } else {
            assert_eq!(vhost.backend("w1")["health"]["status"], "healthy");
            assert_eq!(vhost.backend("w2")["health"]["status"], "healthy");
        }
    }
}

#[test]
fn a_lone_backend_that_one_probe_found_bad_still_serves() {
    let backend = Backend::start("web");
    let vhost = Setup::new()
        .set("health_check.unhealthy_threshold", 3)
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let probes = backend.probes();
    eventually("many probes are good", SOON, || backend.probes() >= probes + 5);
    backend.set_health(500);
    let probes = backend.probes();
    eventually("one probe is bad", SOON, || backend.probes() > probes);
    backend.set_health(200);
    let mut client = vhost.connect();
    let probes = backend.probes();
    eventually("probes go on", SOON, || {
        assert_eq!(client.get("example.com", "/").status, 200);
        backend.probes() > probes + 2
    });
    assert_eq!(vhost.backend("web")["health"]["status"], "healthy");
}

#[test]
fn unknown_backends_serve_only_while_none_is_healthy() {
    let (good, odd) = (Backend::start("good"), Backend::start("odd"));
    good.set_health(500);
    odd.set_health(500);
    let vhost = two_backends(&good, &odd).set("health_check.unhealthy_threshold", 1000).start();
    eventually("both were probed", SOON, || good.probes() > 0 && odd.probes() > 0);
    assert_eq!(vhost.backend("odd")["health"]["status"], "unknown");
    assert_eq!(answering(&vhost), ["good", "odd"]);
    good.set_health(200);
    vhost.wait_for_health("good", "healthy");
    assert_eq!(answering(&vhost), ["good"]);
}

#[test]
fn a_pool_that_is_all_unhealthy_answers_503() {
    let (one, two) = (Backend::start("w1"), Backend::start("w2"));
    one.set_health(500);
    two.set_health(500);
    let vhost = two_backends(&one, &two).start();
    vhost.wait_for_health("w1", "unhealthy");
    vhost.wait_for_health("w2", "unhealthy");
    let response = vhost.get("example.com", "/");
    assert_eq!(response.status, 503);
    assert!(response.header("retry-after").is_some());
    assert_eq!(one.requests() + two.requests(), 0);
}

#[test]
fn a_disabled_backend_is_not_probed() {
    let (one, two) = (Backend::start("w1"), Backend::start("w2"));
    let vhost = two_backends(&one, &two).start();
    vhost.wait_until_healthy(2);
    vhost.ctl_ok(&["backend", "disable", "w1", "--wait"]);
    // A probe may have begun before.
    let other = two.probes();
    eventually("the other is probed", SOON, || two.probes() > other + 1);
    let before = (one.probes(), two.probes());
    eventually("the other is probed on", SOON, || two.probes() > before.1 + 5);
    assert_eq!(one.probes(), before.0);
}

#[test]
fn a_backend_that_is_added_is_probed_at_once() {
    let backend = Backend::start("web");
    let vhost = Setup::new().set("health_check.interval_secs", 600).start();
    vhost.ctl_ok(&["backend", "add", "web", &backend.address(), "--tag", "a"]);
    vhost.wait_for_health("web", "healthy");
    assert!(backend.probes() >= 1);
}

#[test]
fn a_probe_asks_for_the_configured_path_and_status() {
    let backend = Backend::start("web");
    let vhost = Setup::new()
        .set("health_check.path", "\"/status/418\"")
        .set("health_check.expected_status", "\"418\"")
        .domain("example.com", "a")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    assert_eq!(vhost.backend("web")["health"]["last_status"], 418);
}

#[test]
fn a_name_is_resolved_again_when_its_records_change() {
    if mount_namespace().is_none() {
        eprintln!("skipped: this system permits no mount namespace, which `/etc/hosts` needs");
        return;
    }
    let before = Backend::start("before");
    let port = before.socket_addr().port();
    let after = Backend::builder("after").at((free_ip(), port).into()).start();
    let directory = tempfile::tempdir().unwrap();
    let hosts = directory.path().join("hosts");
    // In place: the mount holds the file, not its name.
    let points_to = |backend: &Backend| {
        let ip = backend.socket_addr().ip();
        std::fs::write(&hosts, format!("127.0.0.1 localhost\n{ip} app.test\n")).unwrap();
    };
    points_to(&before);
    let vhost = Setup::new()
        .hosts_file(&hosts)
        .set("upstream.resolve_interval_secs", 0.2)
        .domain("example.com", "a")
        .backend("web", format!("app.test:{port}"), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    let mut client = vhost.connect();
    assert_eq!(client.get("example.com", "/").backend(), Some("before"));
    points_to(&after);
    eventually("traffic follows the name", SOON, || {
        let response = client.get("example.com", "/");
        assert_eq!(response.status, 200, "no request fails while it moves");
        response.backend() == Some("after")
    });
    let resolved = vhost.backend("web")["resolved"].clone();
    assert_eq!(resolved, serde_json::json!([after.address()]));
    forget(&hosts);
    assert_eq!(client.get("example.com", "/").backend(), Some("after"));
}

/// A name that is not found for a while is kept where it was.
fn forget(hosts: &Path) {
    std::fs::write(hosts, "127.0.0.1 localhost\n").unwrap();
}
