//! What a drain waits for, how long, and what the history says when it was cut short.

use nix::sys::signal::Signal;
use serde_json::json;

use super::*;

/// A server that would wait for ten minutes, so that a test in which the caller's time is not obeyed does not pass late.
fn patient() -> Pair {
    Pair::start_with(|setup| setup.set("switch.drain_timeout_secs", 600))
}

/// A server that waits for next to no time.
fn hasty() -> Pair {
    Pair::start_with(|setup| setup.set("switch.drain_timeout_secs", 0.001))
}

#[test]
fn a_drain_waits_for_web_sockets() {
    let pair = patient();
    let mut socket = WebSocket::open(pair.vhost.http(), "example.com");
    assert_eq!(socket.backend, "a1");
    let output = pair.vhost.ctl(&["switch", "example.com", "b", "--drain-timeout", "100ms"]);
    assert_eq!(output.code, 7, "{output:?}");
    let outcome = pair.vhost.newest_event()["outcome"].clone();
    assert_eq!(outcome, json!({ "state": "drain_timed_out", "remaining": 1 }));
    let shown = pair.vhost.rpc("domain.show", json!({ "domain": "example.com" })).unwrap();
    let old = shown["in_flight"].as_array().unwrap().iter().find(|entry| entry["tag"] == "a");
    assert_eq!(old.expect("the old tag is listed")["requests"], 1, "{shown}");
    socket.echo("still on a").unwrap();
    let wait = pair.vhost.ctl_in_background(&["wait", "example.com", "--until", "drained"]);
    socket.close().unwrap();
    assert_eq!(wait.wait().code, 0);
}

#[test]
fn a_backend_with_a_web_socket_is_not_removed() {
    let pair = patient();
    let mut socket = WebSocket::open(pair.vhost.http(), "example.com");
    pair.vhost.ctl_ok(&["switch", "example.com", "b", "--no-drain"]);
    let output = pair.vhost.ctl(&["backend", "remove", "a1", "--timeout", "100ms"]);
    assert_ne!(output.code, 0, "{output:?}");
    assert_eq!(pair.vhost.backend("a1")["state"], "draining");
    socket.echo("still there").unwrap();
    socket.close().unwrap();
    pair.vhost.ctl_ok(&["backend", "remove", "a1", "--timeout", "50s"]);
}

#[test]
fn a_callers_time_for_the_drain_goes_before_the_servers() {
    let pair = patient();
    let mut held = pair.hold(&pair.a);
    let output = pair.vhost.ctl(&["switch", "example.com", "b", "--drain-timeout", "100ms"]);
    assert_eq!(output.code, 7, "{output:?}");
    let output = pair.vhost.ctl(&["undo", "example.com", "--drain-timeout", "100ms"]);
    assert_eq!(output.code, 0, "no request runs on `b`: {output:?}");
    let output = pair.vhost.ctl(&["switch", "example.com", "b", "--drain-timeout", "100ms"]);
    assert_eq!(output.code, 7, "{output:?}");
    let mut more = pair.hold(&pair.b);
    let output = pair.vhost.ctl(&["undo", "example.com", "--drain-timeout", "100ms"]);
    assert_eq!(output.code, 7, "{output:?}");
    pair.a.release();
    pair.b.release();
    assert_eq!(held.read_response().backend(), Some("a1"));
    assert_eq!(more.read_response().backend(), Some("b1"));
}

#[test]
fn a_caller_may_wait_longer_than_the_server_would() {
    let pair = hasty();
    let mut held = pair.hold(&pair.a);
    let mut connection = pair.vhost.rpc_connection();
    let params = json!({
        "domains": ["example.com"],
        "tag": "b",
        "options": { "drain_timeout_ms": 50_000 },
    });
    connection.send("switch.start", &params).unwrap();
    let mut line = Value::Null;
    while line["params"]["progress"]["phase"] != "draining" {
        line = connection.read_line().unwrap().expect("progress");
        assert!(line["id"].is_null(), "it waits: {line}");
    }
    // The server's own time is long over.
    assert_eq!(pair.vhost.newest_event()["outcome"]["state"], "draining");
    pair.a.release();
    assert_eq!(held.read_response().backend(), Some("a1"));
    while line["id"].is_null() {
        line = connection.read_line().unwrap().expect("an answer");
    }
    assert_eq!(line["result"]["outcome"]["state"], "done", "{line}");
}

#[test]
fn without_a_callers_time_the_servers_holds() {
    let pair = hasty();
    let mut held = pair.hold(&pair.a);
    let output = pair.vhost.ctl(&["switch", "example.com", "b"]);
    assert_eq!(output.code, 7, "{output:?}");
    pair.a.release();
    assert_eq!(held.read_response().backend(), Some("a1"));
}

#[test]
fn a_plan_keeps_the_callers_time_for_the_drain() {
    let pair = patient();
    let mut held = pair.hold(&pair.a);
    let plan = ["switch", "example.com", "b", "--plan", "--drain-timeout", "100ms"];
    let plan = pair.vhost.ctl_json(&plan);
    assert_eq!(plan["drain_timeout_ms"], 100, "{plan}");
    let output = pair.vhost.ctl(&["switch", "--apply", plan["token"].as_str().expect("a token")]);
    assert_eq!(output.code, 7, "{output:?}");
    pair.a.release();
    assert_eq!(held.read_response().backend(), Some("a1"));
}

#[test]
fn a_reload_has_a_callers_time_too() {
    let (a, b) = (Backend::start("a1"), Backend::start("b1"));
    let setup = Setup::new()
        .set("switch.drain_timeout_secs", 600)
        .domain("example.com", "a")
        .backend("a1", a.address(), &["a"])
        .backend("b1", b.address(), &["b"]);
    let vhost = setup.start();
    vhost.wait_until_healthy(2);
    let pair = Pair { vhost, a, b };
    let mut held = pair.hold(&pair.a);
    let moved = "enabled_backends_tag = \"b\"";
    pair.vhost.write_config(&setup.replace("enabled_backends_tag = \"a\"", moved));
    let output = pair.vhost.ctl(&["reload", "--drain-timeout", "100ms"]);
    assert_eq!(output.code, 7, "{output:?}");
    assert_eq!(pair.vhost.live("example.com"), "b");
    pair.a.release();
    assert_eq!(held.read_response().backend(), Some("a1"));
}

/// How the history says that the newest switch ended.
fn outcome(vhost: &Vhost) -> Value {
    let list = vhost.rpc("event.list", json!({ "limit": 10 })).unwrap();
    let events = list["events"].as_array().expect("a list");
    let switch = events.iter().find(|event| event["kind"] == "switch");
    switch.expect("there was a switch")["outcome"].clone()
}

#[test]
fn a_drain_that_a_stop_cuts_short_is_interrupted_in_the_history() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let mut pair = Pair::start_with(|setup| {
            setup.set("switch.drain_timeout_secs", 600).set("proxy.shutdown_timeout_secs", 1)
        });
        let held = pair.hold(&pair.a);
        let switch = pair.vhost.ctl_in_background(&["switch", "example.com", "b"]);
        eventually("it drains", SOON, || {
            pair.vhost.live("example.com") == "b" && outcome(&pair.vhost)["state"] == "draining"
        });
        let before = pair.vhost.newest_event();
        pair.vhost.signal(signal);
        pair.vhost.wait_for_exit(Duration::from_secs(30));
        drop((held, switch));
        pair.vhost.restart();
        assert_eq!(outcome(&pair.vhost), json!({ "state": "interrupted" }), "{signal}");
        assert_eq!(pair.vhost.live("example.com"), "b", "{signal}");
        let mut after = pair.vhost.newest_event();
        after["outcome"] = before["outcome"].clone();
        assert_eq!(after, before, "{signal}: only how it ended is new");
        pair.vhost.ctl_ok(&["undo", "example.com"]);
        assert_eq!(outcome(&pair.vhost), json!({ "state": "done" }), "{signal}");
    }
}
