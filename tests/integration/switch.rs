//! Moving a domain from one tag to another: the reason for the product.

mod capacity;
mod commit;
mod drain;
mod left_streams;
mod several;
mod smoke;
mod undo;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::*;

const SOON: Duration = Duration::from_secs(20);

/// `example.com` on tag `a` (backend `a1`), with `b1` ready to take over.
struct Pair {
    vhost: Vhost,
    a: Backend,
    b: Backend,
}

impl Pair {
    fn start() -> Self {
        Self::start_with(|setup| setup)
    }

    fn start_with(more: impl FnOnce(Setup) -> Setup) -> Self {
        let (a, b) = (Backend::start("a1"), Backend::start("b1"));
        let setup = Setup::new()
            .domain("example.com", "a")
            .backend("a1", a.address(), &["a"])
            .backend("b1", b.address(), &["b"]);
        let vhost = more(setup).start();
        vhost.wait_for_health("a1", "healthy");
        vhost.wait_for_health("b1", "healthy");
        Self { vhost, a, b }
    }

    /// A request that `backend` holds.
    fn hold(&self, backend: &Backend) -> Client {
        let before = backend.held();
        let mut client = self.vhost.connect();
        client.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
        eventually("the request is held", SOON, || backend.held() == before + 1);
        client
    }

    #[track_caller]
    fn assert_served_by(&self, backend: &str) {
        let response = self.vhost.get("example.com", "/");
        assert_eq!(response.backend(), Some(backend), "status {}", response.status);
    }
}

#[test]
fn a_switch_moves_new_requests_also_on_connections_that_are_open() {
    let pair = Pair::start();
    let mut kept = pair.vhost.connect();
    assert_eq!(kept.get("example.com", "/").backend(), Some("a1"));
    let output = pair.vhost.ctl_ok(&["switch", "example.com", "b"]);
    assert!(output.stderr.contains("example.com") && output.stderr.contains('b'), "{output:?}");
    assert_eq!(kept.get("example.com", "/").backend(), Some("b1"));
    pair.assert_served_by("b1");
    assert_eq!(pair.vhost.live("example.com"), "b");
    let event = &pair.vhost.newest_event();
    assert_eq!((&event["kind"], &event["outcome"]["state"]), (&json!("switch"), &json!("done")));
    assert_eq!(event["steps"], json!([{"domain": "example.com", "from": "a", "to": "b"}]));
}

#[test]
fn a_switch_over_h2_moves_later_streams_of_the_same_connection() {
    let pair = Pair::start();
    in_runtime(async {
        let mut connection = H2::connect(pair.vhost.http()).await;
        let before = connection.get("example.com", "/").await.unwrap();
        assert_eq!(before.headers["x-backend"], "a1");
        pair.vhost.ctl_ok(&["switch", "example.com", "b"]);
        let after = connection.get("example.com", "/").await.unwrap();
        assert_eq!(after.headers["x-backend"], "b1");
    });
}

#[test]
fn a_gate_that_fails_changes_nothing_and_shows_each_backends_last_answer() {
    let pair = Pair::start_with(|setup| setup.backend("b2", refusing_address(), &["b"]));
    pair.b.set_health(500);
    let before = pair.vhost.rpc("state.get", json!({})).unwrap()["revision"].clone();
    let start = Instant::now();
    let output = pair.vhost.ctl(&["switch", "example.com", "b", "--timeout", "1s"]);
    assert_eq!(output.code, 6, "{output:?}");
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(output.stdout, "");
    for part in ["b1", "500", "b2", "refused", "nothing was changed"] {
        assert!(output.stderr.contains(part), "`{part}` in {}", output.stderr);
    }
    pair.assert_served_by("a1");
    assert_eq!(pair.vhost.live("example.com"), "a");
    assert_eq!(pair.vhost.rpc("state.get", json!({})).unwrap()["revision"], before);
    let event = &pair.vhost.newest_event();
    assert_eq!(event["outcome"]["state"], "gate_failed", "{event}");
}

#[test]
fn the_gate_probes_now_and_waits_for_backends_that_are_still_starting() {
    let (a, b) = (Backend::start("a1"), Backend::start("b1"));
    b.set_health(503);
    let vhost = Setup::new()
        .set("health_check.interval_secs", 600)
        .domain("example.com", "a")
        .backend("a1", a.address(), &["a"])
        .backend("b1", b.address(), &["b"])
        .start();
    vhost.wait_for_health("a1", "healthy");
    eventually("it was probed", SOON, || b.probes() > 0);
    let switch = vhost.ctl_in_background(&["switch", "example.com", "b", "--timeout", "30s"]);
    let probes = b.probes();
    eventually("the gate probes without waiting for the interval", SOON, || b.probes() > probes);
    assert_eq!(vhost.get("example.com", "/").backend(), Some("a1"));
    b.set_health(200);
    let output = switch.wait();
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(vhost.get("example.com", "/").backend(), Some("b1"));
}

#[test]
fn the_gate_does_not_believe_an_old_verdict() {
    let pair = Pair::start_with(|setup| setup.set("health_check.interval_secs", 600));
    let dead = pair.b.stop();
    let output = pair.vhost.ctl(&["switch", "example.com", "b", "--timeout", "1s"]);
    assert_eq!(output.code, 6, "{output:?}");
    assert_eq!(pair.vhost.live("example.com"), "a");
    let _b = Backend::builder("b1").at(dead).start();
    pair.vhost.ctl_ok(&["switch", "example.com", "b"]);
}

#[test]
fn min_healthy_percent_says_how_many_are_enough() {
    for (percent, code) in [(50, 0), (60, 6)] {
        let pair = Pair::start_with(|setup| {
            setup.set("switch.min_healthy_percent", percent).backend(
                "b2",
                refusing_address(),
                &["b"],
            )
        });
        let output = pair.vhost.ctl(&["switch", "example.com", "b", "--timeout", "1s"]);
        assert_eq!(output.code, code, "{percent} %: {output:?}");
    }
}

#[test]
fn an_unknown_tag_or_domain_is_not_found() {
    let pair = Pair::start();
    let output = pair.vhost.ctl(&["switch", "example.com", "c"]);
    assert_eq!(output.code, 4, "{output:?}");
    assert!(output.stderr.contains("`c`"), "{output:?}");
    let output = pair.vhost.ctl(&["switch", "other.org", "b"]);
    assert_eq!(output.code, 4, "{output:?}");
    assert!(output.stderr.contains("other.org"), "{output:?}");
    assert_eq!(pair.vhost.live("example.com"), "a");
}

#[test]
fn of_two_switches_at_once_the_second_is_a_conflict() {
    let pair = Pair::start();
    let held = pair.hold(&pair.a);
    let first = pair.vhost.ctl_in_background(&["switch", "example.com", "b"]);
    eventually("it has switched", SOON, || pair.vhost.live("example.com") == "b");
    let second = pair.vhost.ctl(&["switch", "example.com", "a"]);
    assert_eq!(second.code, 5, "{second:?}");
    pair.a.release();
    assert_eq!(first.wait().code, 0);
    drop(held);
    pair.assert_served_by("b1");
}

#[test]
fn an_undo_takes_over_from_a_switch_that_only_drains_any_more() {
    let pair = Pair::start();
    let mut held = pair.hold(&pair.a);
    let mut connection = pair.vhost.rpc_connection();
    connection.send("switch.start", &json!({"domains": ["example.com"], "tag": "b"})).unwrap();
    let mut line = Value::Null;
    while line["params"]["progress"]["phase"] != "switched" {
        line = connection.read_line().unwrap().expect("progress");
    }
    // Going back must not have to wait for the drain of what goes wrong.
    pair.vhost.ctl_ok(&["undo", "example.com"]);
    pair.assert_served_by("a1");
    assert_eq!(pair.a.held(), 1, "what ran on `a` is at home again");
    while line["id"].is_null() {
        line = connection.read_line().unwrap().expect("the switch that was overtaken ends");
    }
    assert_eq!(line["result"]["outcome"]["state"], "superseded", "{line}");
    pair.a.release();
    assert_eq!(held.read_response().backend(), Some("a1"));
}

#[test]
fn a_switch_that_is_still_checking_is_a_conflict_too() {
    let pair = Pair::start();
    pair.b.set_health(500);
    let probes = pair.b.probes();
    let first = pair.vhost.ctl_in_background(&["switch", "example.com", "b", "--timeout", "30s"]);
    eventually("the gate is at work", SOON, || pair.b.probes() > probes + 3);
    let second = eventually_some("a second one conflicts", SOON, || {
        let output = pair.vhost.ctl(&["switch", "example.com", "b", "--timeout", "1s"]);
        // Until the first has reached the server, the second is the first.
        (output.code != 6).then_some(output)
    });
    assert_eq!(second.code, 5, "{second:?}");
    pair.b.set_health(200);
    assert_eq!(first.wait().code, 0);
}

#[test]
fn switches_of_different_domains_do_not_wait_for_each_other() {
    let pair = Pair::start_with(|setup| setup.domain("other.org", "a"));
    let held = pair.hold(&pair.a);
    let first = pair.vhost.ctl_in_background(&["switch", "example.com", "b"]);
    eventually("it has switched", SOON, || pair.vhost.live("example.com") == "b");
    let start = Instant::now();
    pair.vhost.ctl_ok(&["switch", "other.org", "b"]);
    assert!(start.elapsed() < Duration::from_secs(5), "the drain counts its own domain only");
    pair.a.release();
    assert_eq!(first.wait().code, 0);
    drop(held);
}

#[test]
fn a_switch_returns_when_held_requests_have_ended_on_the_old_tag() {
    let pair = Pair::start();
    let mut held = pair.hold(&pair.a);
    let mut switch = pair.vhost.ctl_in_background(&["switch", "example.com", "b"]);
    eventually("it has switched", SOON, || pair.vhost.live("example.com") == "b");
    pair.assert_served_by("b1");
    assert!(!switch.has_ended(), "a request still runs on the old tag");
    let shown = pair.vhost.rpc("domain.show", json!({"domain": "example.com"})).unwrap();
    let old = shown["in_flight"].as_array().unwrap().iter().find(|entry| entry["tag"] == "a");
    assert_eq!(old.expect("the old tag is listed")["requests"], 1);
    pair.a.release();
    let response = held.read_response();
    assert_eq!((response.status, response.backend()), (200, Some("a1")));
    assert_eq!(switch.wait().code, 0);
}

#[test]
fn streams_and_web_sockets_stay_with_their_backend_and_are_drained() {
    let pair = Pair::start();
    let mut download = pair.vhost.connect();
    download.send("GET /stream?chunks=100&ms=10 HTTP/1.1\r\nHost: example.com\r\n\r\n");
    let head = download.read_head().unwrap();
    assert_eq!(head.backend(), Some("a1"));
    let mut socket = WebSocket::open(pair.vhost.http(), "example.com");
    assert_eq!(socket.backend, "a1");
    let mut switch = pair.vhost.ctl_in_background(&["switch", "example.com", "b"]);
    eventually("it has switched", SOON, || pair.vhost.live("example.com") == "b");
    let mut body = Vec::new();
    loop {
        let chunk = download.read_chunk().expect("the stream goes on");
        if chunk.is_empty() {
            break;
        }
        body.extend(chunk);
    }
    check_stream(&body, 100).unwrap();
    socket.echo("still on a").unwrap();
    assert!(!switch.has_ended(), "the WebSocket is still open");
    assert_eq!(WebSocket::open(pair.vhost.http(), "example.com").backend, "b1");
    socket.close().unwrap();
    assert_eq!(switch.wait().code, 0);
}

#[test]
fn an_upload_that_began_before_finishes_where_it_began() {
    let pair = Pair::start();
    let mut upload = pair.vhost.connect();
    upload.send("POST /upload HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n");
    upload.send("5\r\nhello\r\n");
    eventually("the upload has arrived", SOON, || pair.a.requests() == 1);
    let mut switch = pair.vhost.ctl_in_background(&["switch", "example.com", "b"]);
    eventually("it has switched", SOON, || pair.vhost.live("example.com") == "b");
    assert!(!switch.has_ended());
    upload.send("6\r\n world\r\n0\r\n\r\n");
    let response = upload.read_response();
    assert_eq!(response.backend(), Some("a1"));
    assert_eq!(response.echo()["checksum"], checksum(b"hello world"));
    assert_eq!(switch.wait().code, 0);
}

#[test]
fn a_drain_that_takes_too_long_says_how_many_remain() {
    let pair = Pair::start();
    let held: Vec<_> = (0..3).map(|_| pair.hold(&pair.a)).collect();
    let output = pair.vhost.ctl(&["switch", "example.com", "b", "--drain-timeout", "300ms"]);
    assert_eq!(output.code, 7, "{output:?}");
    assert!(output.stderr.contains('3'), "{output:?}");
    assert_eq!(pair.vhost.live("example.com"), "b", "it has switched all the same");
    let outcome = pair.vhost.newest_event()["outcome"].clone();
    assert_eq!(outcome, json!({"state": "drain_timed_out", "remaining": 3}));
    let waiting = pair.vhost.ctl(&["wait", "example.com", "--until", "drained", "--timeout", "1s"]);
    assert_ne!(waiting.code, 0, "{waiting:?}");
    pair.a.release();
    for mut client in held {
        assert_eq!(client.read_response().backend(), Some("a1"), "it was not cut");
    }
    pair.vhost.ctl_ok(&["wait", "example.com", "--until", "drained"]);
}

#[test]
fn no_drain_returns_at_once() {
    let pair = Pair::start();
    let mut held = pair.hold(&pair.a);
    let start = Instant::now();
    pair.vhost.ctl_ok(&["switch", "example.com", "b", "--no-drain"]);
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(pair.a.held(), 1);
    pair.assert_served_by("b1");
    assert_eq!(pair.vhost.newest_event()["outcome"]["state"], "not_drained");
    pair.a.release();
    assert_eq!(held.read_response().backend(), Some("a1"));
}

#[test]
fn force_skips_the_gate_and_history_says_so() {
    let pair = Pair::start();
    pair.b.set_health(500);
    pair.vhost.wait_for_health("b1", "unhealthy");
    pair.vhost.ctl_ok(&["switch", "example.com", "b", "--force", "--reason", "b is enough"]);
    assert_eq!(pair.vhost.live("example.com"), "b");
    let event = &pair.vhost.newest_event();
    assert_eq!((&event["forced"], &event["reason"]), (&json!(true), &json!("b is enough")));
    let shown = pair.vhost.ctl_ok(&["history", "example.com"]).stdout;
    assert!(shown.contains("b is enough"), "{shown}");
}

#[test]
fn undo_goes_back_through_the_same_gate() {
    let pair = Pair::start();
    pair.vhost.ctl_ok(&["switch", "example.com", "b"]);
    pair.a.set_health(500);
    let output = pair.vhost.ctl(&["undo", "example.com", "--timeout", "1s"]);
    assert_eq!(output.code, 6, "{output:?}");
    pair.assert_served_by("b1");
    pair.a.set_health(200);
    pair.vhost.ctl_ok(&["undo", "example.com"]);
    pair.assert_served_by("a1");
    assert_eq!(pair.vhost.newest_event()["undo"], true);
    pair.vhost.ctl_ok(&["undo", "example.com"]);
    pair.assert_served_by("b1");
}

#[test]
fn undo_of_a_domain_that_never_moved_is_refused() {
    let pair = Pair::start();
    let output = pair.vhost.ctl(&["undo", "example.com"]);
    assert_ne!(output.code, 0, "{output:?}");
    assert!(!output.stderr.is_empty());
    assert_eq!(pair.vhost.live("example.com"), "a");
}

#[test]
fn without_a_tag_it_moves_to_the_other_one() {
    let pair = Pair::start();
    pair.vhost.ctl_ok(&["switch", "example.com"]);
    assert_eq!(pair.vhost.live("example.com"), "b");
    pair.vhost.ctl_ok(&["switch", "example.com"]);
    assert_eq!(pair.vhost.live("example.com"), "a");
}

#[test]
fn without_a_tag_and_with_no_other_known_it_asks_for_one() {
    let a = Backend::start("a1");
    let vhost =
        Setup::new().domain("example.com", "blue").backend("a1", a.address(), &["blue"]).start();
    vhost.wait_until_healthy(1);
    let output = vhost.ctl(&["switch", "example.com"]);
    assert_ne!(output.code, 0, "{output:?}");
    assert_eq!(vhost.live("example.com"), "blue");
}

#[test]
fn several_domains_move_in_one_step_or_not_at_all() {
    let pair = Pair::start_with(|setup| setup.domain("shop.test", "a").domain("third.test", "a"));
    pair.vhost.ctl_ok(&["switch", "example.com", "b", "--also", "shop.test"]);
    assert_eq!(pair.vhost.live("example.com"), "b");
    assert_eq!(pair.vhost.live("shop.test"), "b");
    assert_eq!(pair.vhost.live("third.test"), "a");
    let event = &pair.vhost.newest_event();
    assert_eq!(event["steps"].as_array().map(Vec::len), Some(2), "one event: {event}");
    let output = pair.vhost.ctl(&["switch", "example.com", "a", "--also", "missing.test"]);
    assert_eq!(output.code, 4, "{output:?}");
    assert_eq!(pair.vhost.live("example.com"), "b");
}

#[test]
fn several_domains_are_never_seen_apart() {
    let pair = Pair::start_with(|setup| setup.domain("shop.test", "a"));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut connection = pair.vhost.rpc_connection();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let list = connection.call("domain.list", &json!({})).unwrap();
                let live: Vec<_> =
                    list["domains"].as_array().unwrap().iter().map(|d| d["live"].clone()).collect();
                assert_eq!(live[0], live[1], "half a switch: {list}");
            }
        });
        for _ in 0..10 {
            let params = json!({
                "domains": ["example.com", "shop.test"],
                "options": {"force": true, "no_drain": true},
            });
            pair.vhost.rpc("switch.start", params).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        reader.join().unwrap();
    });
}

#[test]
fn a_client_that_leaves_does_not_stop_the_switch() {
    let pair = Pair::start();
    let held = pair.hold(&pair.a);
    let switch = pair.vhost.ctl_in_background(&["switch", "example.com", "b"]);
    eventually("it has switched", SOON, || pair.vhost.live("example.com") == "b");
    switch.kill();
    assert_eq!(pair.vhost.newest_event()["outcome"]["state"], "draining");
    pair.a.release();
    eventually("history says how it ended", SOON, || {
        pair.vhost.newest_event()["outcome"]["state"] == "done"
    });
    drop(held);
    // It also completes when its client left while the gate was at work.
    pair.a.set_health(500);
    pair.vhost.wait_for_health("a1", "unhealthy");
    let mut connection = pair.vhost.rpc_connection();
    connection.send("switch.start", &json!({"domains": ["example.com"], "tag": "a"})).unwrap();
    connection.read_line().expect("progress").expect("progress");
    drop(connection);
    pair.a.set_health(200);
    eventually("it has switched", SOON, || pair.vhost.live("example.com") == "a");
    eventually("history says how it ended", SOON, || {
        pair.vhost.newest_event()["outcome"]["state"] == "done"
    });
}

#[test]
fn a_switch_to_the_tag_that_is_live_is_no_change() {
    let pair = Pair::start();
    let before = pair.vhost.rpc("state.get", json!({})).unwrap()["revision"].clone();
    let output = pair.vhost.ctl_ok(&["switch", "example.com", "a"]);
    assert!(output.stderr.contains("already"), "{output:?}");
    assert_eq!(pair.vhost.rpc("state.get", json!({})).unwrap()["revision"], before);
}

#[test]
fn progress_is_told_in_the_order_of_the_phases() {
    let pair = Pair::start();
    let held = pair.hold(&pair.a);
    let mut connection = pair.vhost.rpc_connection();
    let mut phases: Vec<Value> = Vec::new();
    let report = connection
        .try_call("switch.start", &json!({"domains": ["example.com"], "tag": "b"}), |progress| {
            if progress["phase"] == "draining" {
                pair.a.release();
            }
            phases.push(progress.clone());
        })
        .expect("an answer")
        .expect("a report");
    drop(held);
    let mut names: Vec<_> = phases.iter().map(|p| p["phase"].as_str().unwrap()).collect();
    names.dedup();
    assert_eq!(names, ["checking", "switched", "draining"], "{phases:?}");
    assert_eq!(report["outcome"]["state"], "done");
    assert!(report["switch_ms"].as_f64().is_some() && report["gate_ms"].as_u64().is_some());
}

#[test]
fn removing_a_backend_drains_it_first() {
    let a2 = Backend::start("a2");
    let pair = Pair::start_with(|setup| setup.backend("a2", a2.address(), &["a"]));
    pair.vhost.wait_for_health("a2", "healthy");
    let mut held = Vec::new();
    while pair.a.held() == 0 {
        let mut client = pair.vhost.connect();
        client.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
        held.push(client);
        let count = held.len();
        eventually("it is held", SOON, || pair.a.held() + a2.held() == count);
    }
    let mut remove = pair.vhost.ctl_in_background(&["backend", "remove", "a1"]);
    eventually("it drains", SOON, || pair.vhost.backend("a1")["state"] == "draining");
    for _ in 0..4 {
        assert_eq!(pair.vhost.get("example.com", "/").backend(), Some("a2"));
    }
    assert!(!remove.has_ended(), "a request still runs there");
    pair.a.release();
    a2.release();
    for mut client in held {
        assert_eq!(client.read_response().status, 200);
    }
    assert_eq!(remove.wait().code, 0);
    assert_eq!(pair.vhost.ctl(&["backend", "show", "a1"]).code, 4);
}

#[test]
fn taking_the_last_healthy_backend_of_a_live_tag_wants_force() {
    let pair = Pair::start();
    for args in [
        &["backend", "remove", "a1"][..],
        &["backend", "drain", "a1"],
        &["backend", "disable", "a1"],
        &["backend", "untag", "a1", "a"],
        &["backend", "tag", "a1", "--remove", "a"],
    ] {
        let output = pair.vhost.ctl(args);
        assert_eq!(output.code, 1, "{args:?}: {output:?}");
        assert!(output.stderr.contains("--force"), "{args:?}: {output:?}");
        pair.assert_served_by("a1");
    }
    for args in [&["backend", "drain", "b1"][..], &["backend", "remove", "b1"]] {
        pair.vhost.ctl_ok(args);
    }
    pair.vhost.ctl_ok(&["backend", "remove", "a1", "--force"]);
    assert_eq!(pair.vhost.get("example.com", "/").status, 503);
}

#[test]
fn a_switch_to_a_tag_without_ready_backends_fails_at_the_gate() {
    let pair = Pair::start();
    pair.vhost.ctl_ok(&["backend", "disable", "b1"]);
    let output = pair.vhost.ctl(&["switch", "example.com", "b", "--timeout", "1s"]);
    assert_eq!(output.code, 6, "{output:?}");
    assert!(output.stderr.contains("ready"), "{output:?}");
    assert_eq!(pair.vhost.live("example.com"), "a");
}

#[test]
fn waiting_for_healthy_ends_when_the_live_tag_is() {
    let pair = Pair::start();
    pair.vhost.ctl_ok(&["wait", "example.com", "--until", "healthy"]);
    pair.a.set_health(500);
    pair.vhost.wait_for_health("a1", "unhealthy");
    let output =
        pair.vhost.ctl(&["wait", "example.com", "--until", "healthy", "--timeout", "500ms"]);
    assert_eq!(output.code, 6, "{output:?}");
    let wait = pair.vhost.ctl_in_background(&["wait", "example.com", "--until", "healthy"]);
    pair.a.set_health(200);
    assert_eq!(wait.wait().code, 0);
}

#[test]
fn aliases_switch_with_their_domain() {
    let pair = Pair::start();
    pair.vhost.ctl_ok(&["domain", "add", "site.test", "--tag", "a", "--alias", "www.site.test"]);
    assert_eq!(pair.vhost.get("www.site.test", "/").backend(), Some("a1"));
    pair.vhost.ctl_ok(&["switch", "www.site.test", "b"]);
    assert_eq!(pair.vhost.get("site.test", "/").backend(), Some("b1"));
    assert_eq!(pair.vhost.get("www.site.test", "/").backend(), Some("b1"));
}
