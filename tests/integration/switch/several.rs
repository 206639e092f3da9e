//! Several domains that move in one step: all are proven, all move at once, all are drained.

use serde_json::json;

use super::*;

/// `example.com` and `shop.test`, both on `a`; the tag before was `b` of the one and `c` of the other.
struct Trio {
    vhost: Vhost,
    a: Backend,
    b: Backend,
    c: Backend,
}

impl Trio {
    fn start() -> Self {
        let [a, b, c] = ["a1", "b1", "c1"].map(Backend::start);
        let vhost = Setup::new()
            .domain("example.com", "b")
            .domain("shop.test", "c")
            .backend("a1", a.address(), &["a"])
            .backend("b1", b.address(), &["b"])
            .backend("c1", c.address(), &["c"])
            .start();
        vhost.wait_until_healthy(3);
        vhost.ctl_ok(&["switch", "example.com", "a", "--also", "shop.test"]);
        Self { vhost, a, b, c }
    }

    fn live(&self) -> (String, String) {
        (self.vhost.live("example.com"), self.vhost.live("shop.test"))
    }

    fn revision(&self) -> u64 {
        self.vhost.rpc("state.get", json!({})).unwrap()["revision"].as_u64().unwrap()
    }
}

fn on(one: &str, other: &str) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

#[test]
fn each_tag_that_becomes_live_is_proven() {
    for sick in ["b", "c"] {
        let trio = Trio::start();
        if sick == "b" { &trio.b } else { &trio.c }.set_health(500);
        let revision = trio.revision();
        for command in [
            &["switch", "example.com", "--also", "shop.test", "--timeout", "500ms"][..],
            &["switch", "shop.test", "--also", "example.com", "--timeout", "500ms"],
        ] {
            let output = trio.vhost.ctl(command);
            assert_eq!(output.code, 6, "{sick} is sick: {output:?}");
            assert!(output.stderr.contains(&format!("{sick}1")), "{output:?}");
            assert_eq!(trio.live(), on("a", "a"), "{sick} is sick: nothing has moved");
        }
        assert_eq!(trio.revision(), revision);
    }
}

#[test]
fn each_domain_moves_to_its_own_tag_at_one_revision() {
    let trio = Trio::start();
    let before = trio.revision();
    let events = trio.vhost.newest_event()["id"].as_u64().unwrap();
    trio.vhost.ctl_ok(&["switch", "example.com", "--also", "shop.test"]);
    assert_eq!(trio.live(), on("b", "c"));
    assert_eq!(trio.revision(), before + 1, "one change");
    let event = trio.vhost.newest_event();
    assert_eq!(event["id"], events + 1, "one event");
    assert_eq!(event["revision"], before + 1);
    let steps = json!([
        { "domain": "example.com", "from": "a", "to": "b" },
        { "domain": "shop.test", "from": "a", "to": "c" },
    ]);
    assert_eq!(event["steps"], steps);
}

#[test]
fn each_domain_is_drained() {
    for (held, free) in [("example.com", "shop.test"), ("shop.test", "example.com")] {
        let trio = Trio::start();
        let mut client = trio.vhost.connect();
        client.send(format!("GET /hold HTTP/1.1\r\nHost: {held}\r\n\r\n"));
        eventually("the request is held", SOON, || trio.a.held() == 1);
        let command = ["switch", "example.com", "--also", "shop.test", "--drain-timeout", "100ms"];
        let output = trio.vhost.ctl(&command);
        assert_eq!(output.code, 7, "a request for {held} runs, none for {free}: {output:?}");
        let outcome = trio.vhost.newest_event()["outcome"].clone();
        assert_eq!(outcome, json!({ "state": "drain_timed_out", "remaining": 1 }), "{held}");
        trio.a.release();
        assert_eq!(client.read_response().backend(), Some("a1"));
    }
}

#[test]
fn a_domain_that_another_switch_holds_keeps_all_where_they_are() {
    let trio = Trio::start();
    trio.c.set_health(500);
    trio.vhost.wait_for_health("c1", "unhealthy");
    let first = trio.vhost.ctl_in_background(&["switch", "shop.test", "c", "--timeout", "50s"]);
    eventually("the first one holds its domain", SOON, || {
        let explained = trio.vhost.rpc("route.explain", json!({ "url": "http://shop.test/" }));
        explained.expect("it answers")["live"]["switching"] == "checking"
    });
    let second = trio.vhost.ctl(&["switch", "shop.test", "c", "--timeout", "1ms"]);
    assert_eq!(second.code, 5, "{second:?}");
    assert!(second.stderr.contains("shop.test"), "{second:?}");
    for command in [
        ["switch", "example.com", "--also", "shop.test"],
        ["switch", "shop.test", "--also", "example.com"],
    ] {
        let output = trio.vhost.ctl(&command);
        assert_eq!(output.code, 5, "{output:?}");
    }
    assert_eq!(trio.live(), on("a", "a"));
    // What was not taken hold of is free.
    trio.vhost.ctl_ok(&["switch", "example.com", "b"]);
    trio.c.set_health(200);
    assert_eq!(first.wait().code, 0);
    assert_eq!(trio.live(), on("b", "c"));
}
