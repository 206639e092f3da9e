//! A switch that is planned first, and made as planned or not at all.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::*;

const SOON: Duration = Duration::from_secs(20);

/// `example.com` and `shop.test` on `a` (two backends), with `b1` ready to take over.
fn pair() -> (Vhost, Vec<Backend>) {
    let backends: Vec<_> = ["a1", "a2", "b1"].iter().map(|id| Backend::start(id)).collect();
    let vhost = Setup::new()
        .domain("example.com", "a")
        .domain("shop.test", "a")
        .domain("other.test", "c")
        .backend("a1", backends[0].address(), &["a"])
        .backend_with("a2", backends[1].address(), &["a"], "weight = 2")
        .backend("b1", backends[2].address(), &["b"])
        .backend("b2", refusing_address(), &["b"])
        .backend("c1", backends[0].address(), &["c"])
        .set("switch.min_healthy_percent", 50)
        .set("switch.min_capacity_percent", 0)
        .start();
    vhost.wait_until_healthy(4);
    vhost.wait_for_health("b2", "unhealthy");
    (vhost, backends)
}

fn plan(vhost: &Vhost, args: &[&str]) -> Value {
    vhost.ctl_json(&[&["switch"], args, &["--plan"]].concat())
}

#[test]
fn a_plan_says_what_would_happen_and_changes_nothing() {
    let (vhost, backends) = pair();
    let mut held = vhost.connect();
    let taken = || backends[0].held() + backends[1].held();
    held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("the request is held", SOON, || taken() == 1);
    let mut socket = WebSocket::open(vhost.http(), "example.com");
    socket.echo("hello").unwrap();
    let (before, probes) = (vhost.newest_event(), vhost.backend("b1")["requests"].clone());

    let plan = plan(&vhost, &["example.com", "b", "--also", "shop.test"]);
    assert_eq!(
        plan["steps"],
        json!([
            {"domain": "example.com", "from": "a", "to": "b", "requests": 2, "web_sockets": 1},
            {"domain": "shop.test", "from": "a", "to": "b", "requests": 0, "web_sockets": 0},
        ])
    );
    assert_eq!(
        plan["capacity"],
        json!([
            {"tag": "a", "total": 2, "ready": 2, "healthy": 2, "weight": 3},
            {"tag": "b", "total": 2, "ready": 2, "healthy": 1, "weight": 1},
        ])
    );
    let health: Vec<_> = plan["backends"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| json!([one["id"], one["health"]["status"], one["health"]["last_error"]]))
        .collect();
    assert_eq!(
        health,
        [json!(["b1", "healthy", null]), json!(["b2", "unhealthy", "connection refused"])]
    );
    let warnings = plan["warnings"].to_string();
    assert!(warnings.contains("1 of 2 ready backends of `b` are healthy"), "{warnings}");
    assert!(warnings.contains("less capacity"), "{warnings}");
    assert_eq!(vhost.newest_event(), before, "nothing has happened");
    assert_eq!(vhost.live("example.com"), "a");
    assert_eq!(vhost.backend("b1")["requests"], probes);
    socket.close().unwrap();
    eventually("the socket is no longer counted", SOON, || {
        let plan = vhost.ctl_json(&["switch", "example.com", "b", "--plan"]);
        plan["steps"][0]["web_sockets"] == 0 && plan["steps"][0]["requests"] == 1
    });
    backends.iter().for_each(Backend::release);
}

#[test]
fn a_plan_is_applied_as_it_was_made() {
    let (vhost, _backends) = pair();
    let plan = plan(&vhost, &["example.com", "b", "--also", "shop.test", "--reason", "release 2"]);
    let token = plan["token"].as_str().expect("there is something to do");
    assert_eq!(token.len(), 12, "it can be typed: {token}");
    assert!(token.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{token}");
    // What it does not depend on may change, and the server may forget all but its state.
    vhost.ctl_ok(&["backend", "set", "c1", "--weight", "7"]);
    let output = vhost.ctl_ok(&["switch", "--apply", token]);
    assert!(output.stderr.contains("example.com, shop.test a → b"), "{output:?}");
    assert_eq!((vhost.live("example.com"), vhost.live("shop.test")), ("b".into(), "b".into()));
    assert_eq!(vhost.newest_event()["reason"], "release 2");
    let again = vhost.ctl(&["switch", "--apply", token]);
    assert_eq!(again.code, 5, "it is not made twice: {again:?}");
}

#[test]
fn a_plan_outlives_a_restart() {
    let (mut vhost, _backends) = pair();
    let token = plan(&vhost, &["example.com", "b"])["token"].as_str().unwrap().to_owned();
    vhost.kill();
    vhost.restart();
    let applied = vhost.ctl_json(&["switch", "--apply", &token]);
    assert_eq!(applied["steps"], json!([{"domain": "example.com", "from": "a", "to": "b"}]));
}

#[test]
fn a_plan_is_refused_when_what_it_depends_on_has_changed() {
    for change in [
        &["backend", "set", "b1", "--weight", "7"][..],
        &["backend", "drain", "a2"],
        &["backend", "add", "b3", "127.0.0.1:9", "--tag", "b"],
        &["backend", "untag", "a2", "a"],
        &["domain", "set", "example.com", "--alias", "www.example.com"],
        &["switch", "example.com", "c", "--force"],
        &["domain", "remove", "example.com"],
    ] {
        let (vhost, _backends) = pair();
        let plan = plan(&vhost, &["example.com", "b"]);
        vhost.ctl_ok(change);
        let before = vhost.newest_event();
        let output = vhost.ctl(&["switch", "--apply", plan["token"].as_str().unwrap()]);
        let code = if change[1] == "remove" { 4 } else { 5 };
        assert_eq!((output.code, output.stdout.as_str()), (code, ""), "{change:?}: {output:?}");
        assert!(output.stderr.contains("hint: "), "{output:?}");
        assert_eq!(vhost.newest_event(), before, "{change:?}: nothing was done");
    }
}

#[test]
fn a_plan_warns_of_what_stands_in_its_way() {
    let (vhost, backends) = pair();
    backends[2].set_health(500);
    vhost.wait_for_health("b1", "unhealthy");
    let told = |args: &[&str]| plan(&vhost, args)["warnings"].to_string();
    let warnings = told(&["example.com", "b"]);
    assert!(warnings.contains("the gate would fail as it is now"), "{warnings}");
    assert!(told(&["example.com", "b", "--force"]).contains("the gate is skipped"));
    let nothing = plan(&vhost, &["example.com", "a"]);
    assert_eq!((&nothing["token"], &nothing["unchanged"]), (&Value::Null, &json!(["example.com"])));
    assert!(nothing["warnings"].to_string().contains("there already"), "{nothing}");
    let switch = vhost.ctl_in_background(&["switch", "example.com", "b", "--timeout", "30s"]);
    eventually("the other switch is told", SOON, || {
        told(&["example.com", "b"]).contains("another switch of `example.com` is under way")
    });
    backends[2].set_health(200);
    assert_eq!(switch.wait().code, 0);
    for id in ["b1", "b2"] {
        vhost.ctl_ok(&["backend", "disable", id, "--force"]);
    }
    let warnings = told(&["shop.test", "b"]);
    assert!(warnings.contains("no backend of `b` is ready"), "{warnings}");
}

#[test]
fn what_is_no_token_is_refused_and_a_token_stands_alone() {
    let (vhost, _backends) = pair();
    let token = plan(&vhost, &["example.com", "b"])["token"].as_str().unwrap().to_owned();
    let old = format!("eyJzdGVwcyI6{}", "W3siZG9tYWluIjoi".repeat(20));
    let shown_old = format!("{}…", &old[..32]);
    for (text, shown) in [
        ("nonsense", "nonsense"),
        (&token[..token.len() - 1], &token[..token.len() - 1]),
        (&old, &shown_old),
    ] {
        let output = vhost.ctl(&["switch", "--apply", text]);
        assert_eq!((output.code, output.stdout.as_str()), (4, ""), "{output:?}");
        let expected = format!(
            "error: cannot apply the plan\ncause: there is no plan `{shown}`\nhint: plan again, with \
             the same command and `--plan`; a plan is kept for 24 h, and the last 100 are\n"
        );
        assert_eq!(output.stderr, expected);
        let fault = vhost.rpc("switch.apply", json!({ "token": text })).unwrap_err();
        assert_eq!(fault.kind, "not_found");
    }
    for args in
        [&["--apply", &token, "example.com"][..], &["--apply", &token, "--force"], &["--plan"]]
    {
        let output = vhost.ctl(&[&["switch"], args].concat());
        assert_eq!(output.code, 2, "{args:?}: {output:?}");
    }
}

#[test]
fn the_plan_fits_a_terminal_and_ends_with_what_to_type() {
    let (vhost, _backends) = pair();
    let output = vhost.ctl_ok(&["switch", "example.com", "b", "--plan"]);
    for line in output.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    for part in ["example.com", "b2", "connection refused", "warning"] {
        assert!(output.stdout.contains(part), "no `{part}` in\n{}", output.stdout);
    }
    let (_, token) = output.stderr.split_once("vhost ctl switch --apply ").expect("what to type");
    vhost.ctl_ok(&["switch", "--apply", token.trim()]);
    assert_eq!(vhost.live("example.com"), "b");
}
