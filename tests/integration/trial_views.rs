//! What people see of splits, rollouts, guards and previews.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

const HOST: &str = "example.com";

const SOON: Duration = Duration::from_secs(20);

fn site(options: &str, more: impl FnOnce(Setup) -> Setup) -> (Vhost, [Backend; 2]) {
    let backends = ["a1", "b1"].map(Backend::start);
    let setup = Setup::new()
        .domain_with(HOST, "a", &format!("http_to_https = false\n{options}"))
        .backend("a1", backends[0].address(), &["a"])
        .backend("b1", backends[1].address(), &["b"]);
    let vhost = more(setup).start();
    vhost.wait_until_healthy(2);
    (vhost, backends)
}

fn row<'t>(table: &'t str, name: &str) -> &'t str {
    let mut rows = table.lines().filter(|line| line.starts_with(name));
    rows.next().unwrap_or_else(|| panic!("no {name}:\n{table}"))
}

#[test]
fn a_domain_shows_its_shares_and_its_rollout_with_place_and_verdict() {
    let (vhost, _backends) = site("", |setup| setup);
    let at_rest = vhost.rpc("domain.show", json!({ "domain": HOST })).unwrap();
    for name in ["shares", "trial", "previews"] {
        assert_eq!(at_rest.get(name), None, "{at_rest:#}");
    }
    vhost.ctl_ok(&["preview", HOST, "b"]);
    vhost.ctl_ok(&["rollout", "start", HOST, "b", "--steps", "10%:1h,50%:1h", "--no-wait"]);
    let info = vhost.rpc("domain.show", json!({ "domain": HOST })).unwrap();
    assert_eq!(info["shares"], json!([{ "tag": "a", "share": 90 }, { "tag": "b", "share": 10 }]));
    let trial = &info["trial"];
    assert_eq!((&trial["kind"], &trial["step"]), (&json!("rollout"), &json!([1, 2])), "{info:#}");
    assert_eq!((&trial["finding"], &info["previews"]), (&json!("cannot_tell"), &json!(1)));
    let shown = vhost.ctl_ok(&["domain", "show", HOST]).stdout;
    assert!(row(&shown, "shares").contains("a 90%, b 10%"), "{shown}");
    let rollout = row(&shown, "rollout");
    assert!(rollout.contains("a → b at 10%, step 1 of 2,"), "{shown}");
    assert!(rollout.contains("can't tell"), "{shown}");
    assert!(row(&shown, "previews").ends_with('1'), "{shown}");
    let listed = vhost.ctl_ok(&["domain", "list"]).stdout;
    assert!(row(&listed, HOST).contains("a, b 10%"), "{listed}");
    assert!(row(&listed, HOST).contains("rollout"), "{listed}");

    assert_eq!(vhost.rpc("state.get", json!({})).unwrap()["trials"], 1);
    let status = vhost.ctl_ok(&["status", "--check"]).stdout;
    assert!(row(&status, "on trial").contains('1'), "{status}");
    vhost.ctl_ok(&["rollout", "pause", HOST]);
    let paused = vhost.ctl(&["status", "--check", "--quiet"]);
    assert_eq!(paused.code, 1, "{paused:?}");
    assert!(paused.stdout.contains("the rollout of `b` at `example.com` is paused"), "{paused:?}");
    assert!(vhost.ctl_ok(&["domain", "list"]).stdout.contains("rollout paused"));
    vhost.ctl_ok(&["rollout", "abort", HOST]);
    assert_eq!(vhost.ctl(&["status", "--check"]).code, 0);
}

#[test]
fn an_app_shows_its_shares_and_its_guard() {
    let (a, b) = (Backend::start("a1"), Backend::start("b1"));
    let vhost = Setup::new().start();
    vhost.ctl_ok(&["deploy", "shop", &a.address(), "--host", "shop.test"]);
    vhost.ctl_ok(&["deploy", "shop", &b.address(), "--guard", "1h", "--no-wait"]);
    let info = vhost.rpc("app.show", json!({ "app": "shop" })).unwrap();
    assert_eq!(info["trial"]["kind"], "guard", "{info:#}");
    let live = info["versions"].as_array().unwrap().iter().find(|of| of["live_domains"] == 1);
    assert_eq!(live.unwrap()["share"], 100);
    let shown = vhost.ctl_ok(&["app", "show", "shop"]).stdout;
    assert!(row(&shown, "guard").contains("left"), "{shown}");
}

fn explain(vhost: &Vhost, args: &[&str]) -> Value {
    vhost.ctl_json(&[&["explain", HOST], args].concat())
}

/// The backend and the reason of an explanation.
fn chosen(explained: &Value) -> [Value; 2] {
    [explained["backends"][0]["id"].clone(), explained["chosen"]["by"].clone()]
}

#[test]
fn an_explanation_says_which_tag_a_client_gets_and_why() {
    let (vhost, _backends) =
        site("split = { by = \"header:x-user\", testers = [\"10.0.0.0/8\"] }", |setup| setup);
    assert_eq!(explain(&vhost, &[]).get("chosen"), None);
    vhost.ctl_ok(&["split", HOST, "b=50%"]);
    // Each client gets what is explained.
    let mut seen = std::collections::BTreeSet::new();
    for user in 0..20 {
        let header = format!("X-User: u{user}");
        let explained = explain(&vhost, &["-H", &header]);
        let response = vhost.connect().get_with(HOST, "/", &format!("{header}\r\n"));
        let backend = response.backend().unwrap().to_owned();
        assert_eq!(chosen(&explained), [json!(backend), json!("share")], "{explained:#}");
        seen.insert(backend);
    }
    assert_eq!(seen.len(), 2, "both serve");
    let asked = explain(&vhost, &["-H", "X-Vhost-Tag: b", "--client", "10.1.2.3"]);
    assert_eq!(chosen(&asked), [json!("b1"), json!("header")]);
    let table = vhost.ctl_ok(&["explain", HOST, "-H", "X-User: u1"]).stdout;
    let tag = row(&table, "tag ");
    assert!(tag.contains("by the header `x-user`; shares: a 50%, b 50%"), "{table}");

    let (vhost, _backends) = site("", |setup| setup);
    vhost.ctl_ok(&["split", HOST, "b=50%"]);
    let new = explain(&vhost, &[]);
    assert_eq!(chosen(&new), [json!("a1"), json!("chance")], "it is not drawn anew each time");
    vhost.ctl_ok(&["split", HOST, "b=0", "--no-drain"]);
    let link = vhost.ctl_ok(&["preview", HOST, "b"]).stdout;
    let path = &link.trim()[link.find("/?").unwrap()..];
    let pinned = vhost.get(HOST, path);
    let cookie = pinned.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let explained = explain(&vhost, &["-H", &format!("Cookie: {cookie}")]);
    assert_eq!(chosen(&explained), [json!("b1"), json!("preview")]);
    assert_eq!(chosen(&explain(&vhost, &[])), [json!("a1"), json!("live")]);
}

#[test]
fn a_link_over_plain_http_has_the_port_of_the_listener() {
    let (vhost, _backends) = site("tls = \"off\"", |setup| setup);
    let link = vhost.ctl_ok(&["preview", HOST, "b"]).stdout;
    assert!(link.starts_with(&format!("http://{HOST}:{}/?", vhost.http().port())), "{link}");
}

#[test]
fn metrics_and_the_access_log_have_shares_trials_and_what_was_netted() {
    let metrics = free_address();
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.log");
    let (vhost, backends) = site("", |setup| {
        setup
            .set("metrics.enabled", true)
            .set("metrics.listen_addr", format!("\"{metrics}\""))
            .set("access_log.enabled", true)
            .set("access_log.output", "\"file\"")
            .set("access_log.format", "\"json\"")
            .set("access_log.file_path", format!("\"{}\"", log.display()))
    });
    let exported = || get(metrics, "localhost", "/metrics").text();
    assert!(exported().contains("vhost_trials{kind=\"rollout\"} 0"));
    assert!(!exported().contains("vhost_split_share"), "the live tag has all");
    vhost.ctl_ok(&["rollout", "start", HOST, "b", "--steps", "25%:1h", "--no-wait"]);
    let text = exported();
    for line in [
        "vhost_split_share{domain=\"example.com\",tag=\"a\"} 0.75",
        "vhost_split_share{domain=\"example.com\",tag=\"b\"} 0.25",
        "vhost_trials{kind=\"rollout\"} 1",
        "vhost_trials{kind=\"guard\"} 0",
        "vhost_netted_requests_total 0",
    ] {
        assert!(text.contains(line), "no {line}:\n{text}");
    }
    vhost.ctl_ok(&["rollout", "abort", HOST]);
    eventually("the end is counted", SOON, || {
        exported().contains("vhost_trial_ends_total{kind=\"rollout\",end=\"aborted\"} 1")
    });

    vhost.ctl_ok(&["switch", HOST, "b", "--guard", "1h", "--min-requests", "100000", "--no-wait"]);
    assert_eq!(vhost.get(HOST, "/good").backend(), Some("b1"));
    backends[1].set_failing(100);
    let netted = vhost.get(HOST, "/bad");
    assert_eq!((netted.status, netted.backend()), (200, Some("a1")));
    eventually("it is counted", SOON, || exported().contains("vhost_netted_requests_total 1"));
    let lines = eventually_some("both are logged", SOON, || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (lines.len() == 2).then_some(lines)
    });
    let way = |line: &Value| json!([line["tag"], line["failed_tag"], line["backend_id"]]);
    assert_eq!(way(&lines[0]), json!(["b", null, "b1"]));
    assert_eq!(way(&lines[1]), json!(["a", "b", "a1"]), "the tag that served it");
}
