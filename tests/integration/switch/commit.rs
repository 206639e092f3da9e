//! What was proven is looked at again in the moment of the switch.

use serde_json::json;

use super::*;

/// `example.com` on `a`, and a switch to `b` whose gate has proven `b1` and waits for `b2`.
struct Waiting {
    pair: Pair,
    b2: Backend,
    switch: RpcConnection,
}

impl Waiting {
    fn start() -> Self {
        let b2 = Backend::start("b2");
        b2.set_health(500);
        let address = b2.address();
        let pair = Pair::start_with(|setup| {
            setup.set("switch.gate_timeout_secs", 50).backend("b2", address, &["b"]).backend(
                "a2",
                refusing_address(),
                &["a"],
            )
        });
        let mut switch = pair.vhost.rpc_connection();
        switch.send("switch.start", &json!({ "domains": ["example.com"], "tag": "b" })).unwrap();
        loop {
            let line = switch.read_line().unwrap().expect("progress");
            let progress = &line["params"]["progress"];
            assert_eq!(progress["phase"], "checking", "{line}");
            if progress["healthy"] == 1 {
                return Self { pair, b2, switch };
            }
        }
    }

    /// Lets the gate pass; the answer to the switch.
    fn end(&mut self) -> Value {
        self.b2.set_health(200);
        loop {
            let line = self.switch.read_line().unwrap().expect("an answer");
            if !line["id"].is_null() {
                return line;
            }
        }
    }

    #[track_caller]
    fn assert_refused(&mut self, why: &str) {
        let revision = self.revision();
        let line = self.end();
        assert_eq!(line["error"]["data"]["kind"], "conflict", "{why}: {line}");
        assert_eq!(self.pair.vhost.live("example.com"), "a", "{why}");
        self.pair.assert_served_by("a1");
        assert_eq!(self.revision(), revision, "{why}: nothing has changed");
    }

    fn revision(&self) -> Value {
        self.pair.vhost.rpc("state.get", json!({})).unwrap()["revision"].clone()
    }
}

#[test]
fn a_proven_backend_that_is_ready_no_more_is_not_switched_to() {
    for verb in ["drain", "disable"] {
        let mut waiting = Waiting::start();
        let another = Backend::start("b3");
        let address = another.address();
        // Ready, but nobody has proven it.
        waiting.pair.vhost.ctl_ok(&["backend", "add", "b3", &address, "--tag", "b"]);
        waiting.pair.vhost.ctl_ok(&["backend", verb, "b1"]);
        waiting.assert_refused(verb);
    }
}

#[test]
fn backends_that_nobody_has_proven_count_among_those_that_must_be() {
    let mut waiting = Waiting::start();
    let address = refusing_address().to_string();
    waiting.pair.vhost.ctl_ok(&["backend", "add", "b3", &address, "--tag", "b"]);
    waiting.assert_refused("one of three was never proven");
}

#[test]
fn a_tag_that_has_lost_every_backend_is_not_switched_to() {
    let mut waiting = Waiting::start();
    waiting.pair.vhost.ctl_ok(&["backend", "untag", "b1", "b"]);
    waiting.pair.vhost.ctl_ok(&["backend", "disable", "b2"]);
    let line = waiting.end();
    assert!(line["result"].is_null(), "{line}");
    assert_eq!(waiting.pair.vhost.live("example.com"), "a");
}

#[test]
fn what_is_still_proven_is_enough() {
    let mut waiting = Waiting::start();
    waiting.pair.vhost.ctl_ok(&["backend", "disable", "b1"]);
    let line = waiting.end();
    assert_eq!(line["result"]["outcome"]["state"], "done", "`b2` is all of it, and proven: {line}");
    assert_eq!(waiting.pair.vhost.get("example.com", "/").backend(), Some("b2"));
}

#[test]
fn a_domain_that_is_gone_when_the_gate_has_passed_is_not_switched() {
    let mut waiting = Waiting::start();
    waiting.pair.vhost.ctl_ok(&["domain", "remove", "example.com"]);
    let line = waiting.end();
    assert!(line["result"].is_null(), "{line}");
    assert_eq!(waiting.pair.vhost.rpc("domain.list", json!({})).unwrap()["domains"], json!([]));
}
