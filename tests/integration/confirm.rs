//! A change says what it changed, in words and in JSON; and what is paused or in maintenance is seen.

use serde_json::{Value, json};

use crate::harness::*;

fn site() -> (Backend, Vhost) {
    let backend = Backend::start("w1");
    let vhost = Setup::new()
        .domain_with("example.com", "a", "max_body_bytes = \"10MB\"")
        .backend("w1", backend.address(), &["a"])
        .backend("w2", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(2);
    (backend, vhost)
}

fn revision(vhost: &Vhost) -> u64 {
    vhost.rpc("state.get", json!({})).unwrap()["revision"].as_u64().unwrap()
}

/// Runs a change, which leaves nothing on stdout.
#[track_caller]
fn said(vhost: &Vhost, args: &[&str]) -> String {
    let output = vhost.ctl_ok(args);
    assert_eq!(output.stdout, "", "{args:?}");
    output.stderr
}

#[test]
fn a_change_is_confirmed_by_what_it_changed() {
    let (_backend, vhost) = site();
    let first = revision(&vhost);
    let paused = "example.com: pause off → on (requests wait up to 30s, at most 1000)";
    let steps: [(&[&str], &str); 14] = [
        (
            &["domain", "set", "example.com", "--option", "max_body_bytes=20MB"],
            "example.com: max_body_bytes 10MB → 20MB",
        ),
        (&["domain", "pause", "example.com"], paused),
        (&["domain", "resume", "example.com"], &{
            let (_, on) = paused.split_once(" off → ").unwrap();
            format!("example.com: pause {on} → off")
        }),
        (&["domain", "maintenance", "example.com", "on"], "example.com: maintenance off → on"),
        (
            &["domain", "maintenance", "example.com", "on", "--message", "at noon"],
            "example.com: maintenance on → on (message at noon)",
        ),
        // An earlier message does not come back.
        (
            &["domain", "maintenance", "example.com", "on"],
            "example.com: maintenance on (message at noon) → on",
        ),
        (&["domain", "maintenance", "example.com", "off"], "example.com: maintenance on → off"),
        (
            &[
                "domain",
                "set",
                "example.com",
                "--alias",
                "b.test",
                "--balance",
                "least-connections",
            ],
            "example.com: aliases none → b.test\nexample.com: balance round-robin → least-connections",
        ),
        (&["backend", "set", "w2", "--weight", "3"], "w2: weight 1 → 3"),
        (&["backend", "tag", "w2", "b,c"], "w2: tags a → a,b,c"),
        (&["backend", "untag", "w2", "b"], "w2: tags a,b,c → a,c"),
        (&["backend", "disable", "w2"], "w2: state ready → disabled"),
        (&["backend", "ready", "w2"], "w2: state disabled → ready"),
        (&["backend", "drain", "w2"], "w2: state ready → draining"),
    ];
    for (step, (args, expected)) in (1..).zip(steps) {
        let expected = format!("{expected} (revision {})\n", first + step);
        assert_eq!(said(&vhost, args), expected, "{args:?}");
    }
    let last = revision(&vhost);
    for args in [
        &["domain", "resume", "example.com"][..],
        &["domain", "maintenance", "example.com", "off"],
        &["domain", "set", "example.com", "--balance", "least-connections"],
    ] {
        let expected =
            format!("nothing to change: example.com is as requested (revision {last})\n");
        assert_eq!(said(&vhost, args), expected, "{args:?}");
    }
    let expected = format!("nothing to change: w2 is as requested (revision {last})\n");
    assert_eq!(said(&vhost, &["backend", "drain", "w2"]), expected);
    assert_eq!(revision(&vhost), last);

    let quiet = vhost.ctl_ok(&["--quiet", "domain", "pause", "example.com"]);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    let scripts = vhost.ctl_json(&["domain", "resume", "example.com"]);
    assert_eq!(scripts["changed"].as_array().map(Vec::len), Some(1), "{scripts}");
    assert_eq!(scripts["domain"], "example.com");
    let again = vhost.ctl_json(&["domain", "resume", "example.com"]);
    assert_eq!(again["changed"], json!([]));
    let shown = vhost.ctl_json(&["domain", "show", "example.com"]);
    assert_eq!(shown["changed"], Value::Null, "it is no change");
    let gone = format!("example.com: removed (revision {})\n", revision(&vhost) + 1);
    assert_eq!(
        said(&vhost, &["domain", "remove", "b.test"]).replace("b.test", "example.com"),
        gone
    );
}

#[test]
fn tokens_say_what_became_of_them() {
    let (_backend, vhost) = site();
    let added = vhost.ctl_ok(&["token", "add", "ci", "--read"]);
    assert_eq!(added.stdout.lines().count(), 1);
    assert_eq!(added.stderr, "ci: added, access read\nkeep its secret: it is never shown again\n");
    let rotated = vhost.ctl_ok(&["token", "rotate", "ci"]);
    assert_ne!(rotated.stdout, added.stdout);
    assert_eq!(rotated.stderr, "ci: new secret, the old one is refused\n");
    assert_eq!(said(&vhost, &["token", "remove", "ci"]), "ci: removed\n");
}

#[test]
fn what_is_paused_or_in_maintenance_is_seen_and_warned_of() {
    let backend = Backend::start("w1");
    let metrics = free_address();
    let vhost = Setup::new()
        .domain("paused.test", "a")
        .domain("closed.test", "a")
        .domain("open.test", "a")
        .backend("w1", backend.address(), &["a"])
        .set("metrics.enabled", true)
        .set("metrics.listen_addr", format!("\"{metrics}\""))
        .set("metrics.status_page", true)
        .start();
    vhost.wait_until_healthy(1);
    let check = || vhost.ctl(&["status", "--check", "--quiet"]);
    let fine = check();
    assert_eq!((fine.code, fine.stdout.as_str(), fine.stderr.as_str()), (0, "", ""));
    vhost.ctl_ok(&["domain", "pause", "paused.test"]);
    vhost.ctl_ok(&["domain", "maintenance", "closed.test", "on"]);
    let warned = check();
    assert_eq!(
        (warned.code, warned.stdout.as_str(), warned.stderr.as_str()),
        (
            1,
            "`closed.test` is in maintenance: `vhost ctl domain maintenance closed.test off` ends it\n\
             `paused.test` is paused, 0 requests waiting: `vhost ctl domain resume paused.test` ends it\n",
            ""
        )
    );
    let status = vhost.ctl_ok(&["status"]).stdout;
    assert!(status.contains("domains      3: 1 paused, 1 in maintenance\n"), "{status}");
    let list = vhost.ctl_ok(&["domain", "list"]).stdout;
    let shown: Vec<_> = list.lines().map(|line| line.split_whitespace().nth(3).unwrap()).collect();
    assert_eq!(shown, ["MODE", "maintenance", "-", "paused"]);
    assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
    let shown = vhost.ctl_ok(&["domain", "show", "paused.test"]).stdout;
    assert!(shown.contains("mode               paused\n"), "{shown}");
    assert!(shown.contains("on (requests wait up to 30s, at most 1000)\n"), "{shown}");
    let top = vhost.ctl_ok(&["top", "--once"]).stdout;
    let row = top.lines().find(|line| line.starts_with("closed.test")).expect("a row");
    assert!(row.contains(" maintenance "), "{top}");
    let json = Client::connect(metrics).get("localhost", "/status.json").text();
    let json: Value = serde_json::from_str(&json).unwrap();
    let mode = |domain: &str| {
        let domains = json["stats"]["domains"].as_array().unwrap();
        domains.iter().find(|of| of["domain"] == domain).unwrap()["mode"].clone()
    };
    assert_eq!((mode("paused.test"), mode("closed.test")), (json!("paused"), json!("maintenance")));
    // Maintenance is what clients see of a domain that is paused as well.
    vhost.ctl_ok(&["domain", "maintenance", "paused.test", "on"]);
    assert_eq!(vhost.ctl_json(&["domain", "show", "paused.test"])["mode"], "maintenance");
    for args in [["closed.test", "off"], ["paused.test", "off"]] {
        vhost.ctl_ok(&[&["domain", "maintenance"][..], &args].concat());
    }
    vhost.ctl_ok(&["domain", "resume", "paused.test"]);
    let fine = check();
    assert_eq!((fine.code, fine.stdout.as_str()), (0, ""));
}
