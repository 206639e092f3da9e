//! What the server counts, as Prometheus reads it.

#![expect(clippy::float_cmp, reason = "counts are whole numbers, which floats hold exactly")]

mod names;
mod page;
mod promql;
mod scrape;
mod token;

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::harness::*;
use scrape::{Scrape, eventually_exported, promtool};

/// A setup that serves metrics, and where.
fn with_metrics(setup: Setup) -> (Setup, SocketAddr) {
    let address = free_address();
    let setup = setup
        .set("metrics.enabled", true)
        .set("metrics.listen_addr", format!("\"{address}\""))
        // The tests count what they send, so nothing else may.
        .set("health_check.unhealthy_threshold", 1000);
    (setup, address)
}

/// Requests that have ended.
fn requests(scrape: &Scrape, labels: &[(&str, &str)]) -> f64 {
    scrape.find("proxy_requests_total", labels).unwrap_or_default()
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("a small number"))
}

#[test]
fn during_a_switch_under_load_each_tag_has_counted_what_it_was_sent() {
    let (a, b) = (Backend::start("a1"), Backend::start("b1"));
    let (setup, metrics) = with_metrics(
        Setup::new().domain("example.com", "a").backend("a1", a.address(), &["a"]).backend(
            "b1",
            b.address(),
            &["b"],
        ),
    );
    let vhost = setup.start();
    vhost.wait_until_healthy(2);
    let stop = AtomicBool::new(false);
    let by_tag = [AtomicUsize::new(0), AtomicUsize::new(0)];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = vhost.connect();
                while !stop.load(Ordering::Relaxed) {
                    let response = client.get("example.com", "/");
                    assert_eq!(response.status, 200);
                    let tag = usize::from(response.backend() == Some("b1"));
                    by_tag[tag].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut before = Scrape::of(metrics);
        for (tag, count) in [("b", &by_tag[1]), ("a", &by_tag[0]), ("b", &by_tag[1])] {
            let sent = count.load(Ordering::Relaxed);
            vhost.ctl_ok(&["switch", "example.com", tag]);
            eventually("it is under load", Duration::from_secs(20), || {
                let now = Scrape::of(metrics);
                assert_eq!(now.fallen_since(&before), [""; 0]);
                before = now;
                count.load(Ordering::Relaxed) > sent + 100
            });
        }
        stop.store(true, Ordering::Relaxed);
    });
    let [on_a, on_b] = by_tag.map(|count| float(count.into_inner()));
    let scrape = eventually_exported("all have been counted", metrics, |scrape| {
        requests(scrape, &[]) >= on_a + on_b
    });
    for (tag, sent) in [("a", on_a), ("b", on_b)] {
        let labels = [("domain", "example.com"), ("tag", tag)];
        assert_eq!(requests(&scrape, &labels), sent, "{tag}");
        assert_eq!(requests(&scrape, &[labels[1], ("status_class", "2xx")]), sent, "{tag}");
        assert_eq!(scrape.value("proxy_request_duration_seconds_count", &labels), sent);
        let backend = [("backend", if tag == "a" { "a1" } else { "b1" })];
        assert_eq!(scrape.value("proxy_upstream_requests_total", &backend), sent);
    }
    assert_eq!(scrape.value("domain_live_tag", &[("domain", "example.com"), ("tag", "b")]), 1.0);
    assert_eq!(scrape.find("domain_live_tag", &[("tag", "a")]), None);
    assert_eq!(scrape.value("drain_remaining", &[("tag", "a")]), 0.0);
    assert_eq!(scrape.value("switches_total", &[("outcome", "done")]), 3.0);
    assert_eq!(scrape.value("switch_duration_seconds_count", &[]), 3.0);
}

#[test]
fn what_became_of_requests_is_counted_exactly() {
    let (dead, alive) = (Backend::start("dead"), Backend::start("alive"));
    let (setup, metrics) = with_metrics(
        Setup::new()
            .set("health_check.interval_secs", 600)
            .domain("example.com", "a")
            .domain("empty.example", "none")
            .backend_with("out", alive.address(), &["none"], "state = \"disabled\"")
            .backend("dead", dead.address(), &["a"])
            .backend("alive", alive.address(), &["a"]),
    );
    let vhost = setup.start();
    vhost.wait_until_healthy(2);
    dead.stop();
    let mut sent = 0;
    for status in [200, 201, 302, 404, 500, 503] {
        let body = vec![b'x'; 1000];
        let response = vhost.connect().post("example.com", &format!("/status/{status}"), &body);
        assert_eq!(response.status, status);
        sent += response.body.len();
    }
    assert_eq!(vhost.get("nobody.example", "/").status, 404);
    assert_eq!(vhost.get("empty.example", "/").status, 503);
    let domain = ("domain", "example.com");
    let scrape = eventually_exported("all have been counted", metrics, |scrape| {
        requests(scrape, &[]) >= 7.0 && scrape.value("proxy_refused_total", &[]) >= 2.0
    });
    for (class, count) in
        [("1xx", 0.0), ("2xx", 2.0), ("3xx", 1.0), ("4xx", 1.0), ("5xx", 2.0), ("none", 0.0)]
    {
        let labels = [domain, ("tag", "a"), ("status_class", class)];
        assert_eq!(scrape.value("proxy_requests_total", &labels), count, "{class}");
    }
    let bytes = |direction| scrape.value("proxy_bytes_total", &[domain, ("direction", direction)]);
    assert_eq!((bytes("received"), bytes("sent")), (6000.0, float(sent)));
    let refused = [("backend", "dead"), ("reason", "connect_refused")];
    let failures = scrape.value("proxy_upstream_failures_total", &refused);
    assert!(failures >= 1.0);
    assert_eq!(scrape.value("proxy_upstream_failures_total", &[]), failures, "no other reason");
    assert_eq!(scrape.value("proxy_retries_total", &[domain]), failures);
    assert_eq!(scrape.value("proxy_refused_total", &[("reason", "unknown_host")]), 1.0);
    assert_eq!(scrape.value("proxy_refused_total", &[]), 2.0);
    let empty = [("domain", "empty.example"), ("tag", "none"), ("status_class", "5xx")];
    assert_eq!(scrape.value("proxy_requests_total", &empty), 1.0);
    assert_eq!(scrape.values_of("proxy_requests_total", "domain").len(), 2, "no host of clients");
}

#[test]
fn what_is_under_way_is_told() {
    let (a, b) = (Backend::start("a1"), Backend::start("b1"));
    let (setup, metrics) = with_metrics(
        Setup::new().domain("example.com", "a").backend("a1", a.address(), &["a", "all"]).backend(
            "b1",
            b.address(),
            &["b"],
        ),
    );
    let vhost = setup.start();
    vhost.wait_until_healthy(2);
    let mut client = vhost.connect();
    client.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let on_a = [("domain", "example.com"), ("tag", "a")];
    let scrape = eventually_exported("it is in flight", metrics, |scrape| {
        scrape.value("proxy_requests_in_flight", &on_a) == 1.0 && a.held() == 1
    });
    assert_eq!(scrape.value("proxy_upstream_requests_in_flight", &[("backend", "a1")]), 1.0);
    let http = format!("http://{}", vhost.http());
    assert_eq!(scrape.value("proxy_active_connections", &[("listener", &http)]), 1.0);
    let https = format!("https://{}", vhost.https());
    assert_eq!(scrape.value("proxy_active_connections", &[("listener", &https)]), 0.0);
    assert_eq!(scrape.values_of("backend_tag", "tag"), ["a", "all", "b"].into());
    let revision = scrape.value("state_revision", &[]);

    let not_drained = vhost.ctl(&["switch", "example.com", "b", "--drain-timeout", "0.1s"]);
    assert_eq!(not_drained.code, 7, "{not_drained:?}");
    let scrape = Scrape::of(metrics);
    assert_eq!(scrape.value("drain_remaining", &on_a), 1.0);
    assert_eq!(scrape.value("switches_total", &[("outcome", "drain_timed_out")]), 1.0);
    assert_eq!(scrape.value("state_revision", &[]), revision + 1.0);
    a.release();
    assert_eq!(client.read_response().status, 200);
    eventually_exported("it has drained", metrics, |scrape| {
        scrape.value("drain_remaining", &on_a) == 0.0 && requests(scrape, &on_a) == 1.0
    });
}

#[test]
fn health_switches_that_fail_and_reloads_are_counted() {
    let (a, b) = (Backend::start("a1"), Backend::start("b1"));
    let (setup, metrics) = with_metrics(
        Setup::new().domain("example.com", "a").backend("a1", a.address(), &["a"]).backend(
            "b1",
            b.address(),
            &["b"],
        ),
    );
    let setup = setup.set("health_check.unhealthy_threshold", 1);
    let vhost = setup.start();
    vhost.wait_until_healthy(2);
    b.set_health(500);
    vhost.wait_for_health("b1", "unhealthy");
    assert_eq!(vhost.ctl(&["switch", "example.com", "b", "--timeout", "0.1s"]).code, 6);
    let scrape = Scrape::of(metrics);
    assert_eq!(scrape.value("switches_total", &[("outcome", "gate_failed")]), 1.0);
    assert_eq!(scrape.value("switch_duration_seconds_count", &[]), 0.0);
    assert_eq!(scrape.value("backend_healthy", &[("backend", "a1")]), 1.0);
    assert_eq!(scrape.value("backend_healthy", &[("backend", "b1")]), 0.0);
    let to = |to| [("backend", "b1"), ("to", to)];
    assert_eq!(scrape.value("backend_health_transitions_total", &to("unhealthy")), 1.0);
    assert_eq!(scrape.value("backend_health_transitions_total", &to("healthy")), 1.0);

    // Where it moves to, its counters go with it; what was known of its health does not.
    vhost.get("example.com", "/");
    eventually_exported("it was counted", metrics, |scrape| requests(scrape, &[]) == 1.0);
    let moved = Backend::start("a1");
    vhost.ctl_ok(&["backend", "set", "a1", "--address", &moved.address()]);
    vhost.wait_for_health("a1", "healthy");
    vhost.get("example.com", "/");
    let both = eventually_exported("both were", metrics, |scrape| requests(scrape, &[]) == 2.0);
    assert_eq!(both.value("proxy_upstream_requests_total", &[("backend", "a1")]), 2.0);
    assert_eq!(both.fallen_since(&scrape), [""; 0]);
    vhost.ctl_ok(&["backend", "disable", "b1", "--force"]);
    let scrape = eventually_exported("nobody knows", metrics, |scrape| {
        scrape.find("backend_healthy", &[("backend", "b1")]).is_none()
    });
    assert_eq!(scrape.find("backend_tag", &[("backend", "b1")]), None, "it is not ready");

    std::fs::write(vhost.config_file(), "no TOML").unwrap();
    assert_eq!(vhost.ctl(&["reload"]).code, 2);
    vhost.write_config(&setup.replace(&a.address(), &moved.address()));
    vhost.ctl_ok(&["reload"]);
    let scrape = Scrape::of(metrics);
    let reloads = |outcome| scrape.value("config_reloads_total", &[("outcome", outcome)]);
    assert_eq!((reloads("failed"), reloads("applied")), (1.0, 1.0));
}

#[test]
fn more_domains_than_wanted_are_counted_together() {
    let backend = Backend::start("w");
    let mut setup = Setup::new().backend("w", backend.address(), &["a", "b"]);
    for name in ["one.test", "two.test", "three.test", "four.test"] {
        setup = setup.domain(name, "a");
    }
    let (setup, metrics) = with_metrics(setup.set("metrics.per_domain_limit", 2));
    let vhost = setup.start();
    vhost.wait_until_healthy(1);
    let served = |counts: [usize; 4]| {
        for (name, count) in ["one.test", "two.test", "three.test", "four.test"].iter().zip(counts)
        {
            for _ in 0..count {
                assert_eq!(vhost.get(name, "/").status, 200);
            }
        }
        let all = vhost.rpc("state.get", serde_json::json!({})).unwrap()["requests"].clone();
        all.as_u64().unwrap()
    };
    served([1, 3, 0, 2]);
    eventually("all have been counted", Duration::from_secs(20), || served([0; 4]) == 6);
    let first = Scrape::of(metrics);
    let listed = ["four.test", "other", "two.test"];
    assert_eq!(first.values_of("proxy_requests_total", "domain"), listed.into());
    assert_eq!(first.values_of("domain_live_tag", "domain"), ["four.test", "two.test"].into());
    let other = [("domain", "other"), ("tag", "other")];
    assert_eq!(requests(&first, &other), 1.0);
    // What was decided holds; and what the others had counted stays when one of them goes.
    served([5, 0, 4, 0]);
    vhost.ctl_ok(&["switch", "one.test", "b"]);
    eventually_exported("all have", metrics, |scrape| requests(scrape, &other) == 10.0);
    vhost.ctl_ok(&["domain", "remove", "one.test"]);
    let last = Scrape::of(metrics);
    assert_eq!(last.values_of("proxy_requests_total", "domain"), listed.into());
    assert_eq!(requests(&last, &other), 10.0);
    assert_eq!(last.value("switches_total", &[("domain", "other"), ("outcome", "done")]), 1.0);
    assert_eq!(last.fallen_since(&first), [""; 0]);
}

#[test]
fn the_listener_speaks_http_as_scrapers_expect() {
    let (setup, metrics) = with_metrics(Setup::new());
    let _vhost = setup.start();
    let plain = get(metrics, "localhost", "/metrics");
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!((plain.status, plain.header("content-type")), (200, Some(kind)));
    promtool(&["check", "metrics"], &plain.text());
    // On one connection: a scraper keeps it.
    let mut client = Client::connect(metrics);
    let zipped = client.get_with("localhost", "/metrics", "Accept-Encoding: gzip\r\n");
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&zipped.body[..]).read_to_string(&mut text).unwrap();
    assert!(text.contains("\nvhost_build_info{version=\""), "{text}");
    assert_eq!(client.get("localhost", "/status.json").status, 404, "no page unless it is wanted");
    assert_eq!(client.get("localhost", "/").status, 404);
    let posted = client.post("localhost", "/metrics", b"");
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET,HEAD")));
}

#[test]
fn a_port_in_use_is_told() {
    let (setup, metrics) = with_metrics(Setup::new());
    let _taken = std::net::TcpListener::bind(metrics).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("vhost.toml");
    std::fs::write(&config, setup.text(directory.path())).unwrap();
    let output = serve_once(&config);
    assert_eq!(output.code, 1, "{output:?}");
    for part in
        [&metrics.to_string(), "metrics.listen_addr", "another process is listening on port"]
    {
        assert!(output.stderr.contains(part), "`{part}` in {}", output.stderr);
    }
}
