//! `vhost ctl compare`: two tags side by side, and which differences are real.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

const HOST: &str = "example.com";

const PATIENCE: Duration = Duration::from_secs(20);

/// Two versions, half of the clients on each.
fn halves() -> (Vhost, [Backend; 2]) {
    let backends = ["a1", "b1"].map(Backend::start);
    let vhost = Setup::new()
        .domain_with(HOST, "a", "http_to_https = false\nsplit = { testers = [\"127.0.0.0/8\"] }")
        .backend("a1", backends[0].address(), &["a"])
        .backend("b1", backends[1].address(), &["b"])
        .start();
    vhost.wait_until_healthy(2);
    vhost.ctl_ok(&["split", HOST, "b=50%"]);
    (vhost, backends)
}

/// Asks a tag, so often.
fn ask(vhost: &Vhost, tag: &str, path: &str, times: usize) {
    let mut client = vhost.connect();
    for _ in 0..times {
        let header = format!("X-Vhost-Tag: {tag}\r\n");
        client.get_with(HOST, path, &header);
    }
}

/// The comparison once all that was asked is counted.
fn compared(vhost: &Vhost, params: &Value, requests: u64) -> Value {
    eventually_some("everything is counted", PATIENCE, || {
        let report = vhost.rpc("stats.compare", params.clone()).unwrap();
        let count = |side: &str| report[side]["requests"].as_u64().unwrap();
        (count("old") + count("new") == requests).then_some(report)
    })
}

#[test]
fn a_version_that_fails_and_is_slow_really_differs() {
    let (vhost, _backends) = halves();
    ask(&vhost, "a", "/slow?ms=1", 150);
    ask(&vhost, "b", "/slow?ms=30", 120);
    ask(&vhost, "b", "/status/500", 30);
    ask(&vhost, "b", "/status/404", 10);
    let report = compared(&vhost, &json!({ "domain": HOST }), 310);
    assert_eq!((&report["old"]["tag"], &report["new"]["tag"]), (&json!("a"), &json!("b")));
    assert_eq!((&report["old"]["share"], &report["new"]["share"]), (&json!(50), &json!(50)));
    assert_eq!((&report["old"]["errors"], &report["new"]["errors"]), (&json!(0), &json!(30)));
    for difference in ["error_difference", "fault_difference"] {
        let difference = &report[difference];
        assert_eq!(difference["is_real"], true, "{report:#}");
        let of = |end: &str| difference[end].as_f64().unwrap();
        assert!(0.0 < of("low") && of("low") < of("points") && of("points") < of("high"));
    }
    assert_eq!(report["p50_differs"], true, "{report:#}");
    let p50 = &report["new"]["p50"];
    assert!(p50["low_ms"].as_f64() <= p50["ms"].as_f64(), "{p50}");
    assert!(p50["high_ms"].as_f64() >= p50["ms"].as_f64(), "{p50}");
    let statuses: Vec<_> = report["statuses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!([row["class"], row["old"], row["new"]]))
        .collect();
    assert_eq!(statuses, [json!(["2xx", 150, 120]), json!(["4xx", 0, 10]), json!(["5xx", 0, 30])]);

    let shown = vhost.ctl_ok(&["compare", HOST, "a", "b", "--last", "10m"]);
    let table = &shown.stdout;
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(row("FIGURE").contains('a') && row("FIGURE").contains('b'), "{table}");
    for name in ["errors", "faults", "p50", "5xx"] {
        assert!(row(name).contains("real"), "{name}: {table}");
    }
    assert!(!row("sent").contains("real"), "{table}");
    assert!(shown.stderr.contains("differences real"), "{}", shown.stderr);
}

#[test]
fn equal_versions_do_not_differ() {
    let (vhost, _backends) = halves();
    ask(&vhost, "a", "/slow?ms=5", 100);
    ask(&vhost, "b", "/slow?ms=5", 100);
    let report = compared(&vhost, &json!({ "domain": HOST, "last_ms": 60_000 }), 200);
    assert_eq!(report["error_difference"]["is_real"], false, "{report:#}");
    assert_eq!(report["last_ms"], 60_000);
    assert!(report["covered_ms"].as_f64().unwrap() > 0.0);
    let shown = vhost.ctl_ok(&["compare", HOST, "--last", "1m"]);
    assert!(!shown.stdout.lines().any(|line| line.starts_with("errors") && line.contains("real")));
}

#[test]
fn the_tags_are_those_that_are_meant() {
    let (vhost, _backends) = halves();
    let tags = |args: &[&str]| {
        let report = vhost.ctl_json(&[&["compare"], args].concat());
        format!("{} {}", report["old"]["tag"], report["new"]["tag"]).replace('"', "")
    };
    assert_eq!(tags(&[HOST]), "a b");
    assert_eq!(tags(&[HOST, "b"]), "b a");
    assert_eq!(tags(&[HOST, "b", "a"]), "b a");
    vhost.ctl_ok(&["promote", HOST]);
    assert_eq!(tags(&[HOST]), "b a", "the live one, and the one before");
    vhost.ctl_ok(&["switch", HOST, "a", "--guard", "1h", "--no-wait"]);
    assert_eq!(tags(&[HOST]), "b a", "the old one, and the one on trial");
    let same = vhost.ctl(&["compare", HOST, "a", "a"]);
    assert_eq!(same.code, 1, "{same:?}");
    let unknown = vhost.ctl(&["compare", HOST, "a", "nobody"]);
    assert_eq!(unknown.code, 4, "{unknown:?}");
    assert_eq!(vhost.ctl(&["compare", "nobody.test"]).code, 4);
}

#[test]
fn the_domains_of_an_app_are_taken_together() {
    let (a, b) = (Backend::start("a1"), Backend::start("b1"));
    let setup = Setup::new().lifetime(Duration::from_mins(2));
    let vhost = setup.start();
    let (a, b) = (a.address(), b.address());
    vhost.ctl_ok(&["deploy", "shop", &a, "--host", "shop.test", "--host", "www.shop.test"]);
    vhost.ctl_ok(&["deploy", "shop", &b]);
    for host in ["shop.test", "www.shop.test"] {
        for _ in 0..3 {
            assert_eq!(vhost.get(host, "/").status, 200);
        }
    }
    let report = compared(&vhost, &json!({ "domain": "shop" }), 6);
    assert_eq!(report["domains"], json!(["shop.test", "www.shop.test"]));
    assert_eq!(report["old"]["requests"], 6, "the live one");
}
