//! Requests that a new version must answer as expected, through all that a client's request goes through.

use serde_json::json;

use super::SOON;
use crate::harness::*;

/// What keeps strangers out, and what backends get to see.
const CLOSED: &str = r#"
allow = ["192.0.2.0/24"]
basic_auth = { users = { ann = "$2b$04$DQW8Ek0qqNwSEqmBLpdtoO8lj4CyYQDBTZZLPKN1g1BNoKVRDxN8u" } }
maintenance = { message = "back soon" }
rate_limit = { requests = 1, burst = 1 }
request_headers = { set = { X-Set = "by the proxy" } }
"#;

/// `example.com` on `a`, closed to everybody, with `b1` and `b2` ready to take over; and a file of smoke requests.
struct Site {
    vhost: Vhost,
    backends: Vec<Backend>,
}

impl Site {
    fn start() -> Self {
        let backends: Vec<_> = ["a1", "b1", "b2"].into_iter().map(Backend::start).collect();
        let mut setup = Setup::new().domain_with("example.com", "a", CLOSED);
        for (backend, tag) in backends.iter().zip(["a", "b", "b"]) {
            setup = setup.backend(backend.id(), backend.address(), &[tag]);
        }
        let vhost = setup.start();
        vhost.wait_until_healthy(3);
        Self { vhost, backends }
    }

    fn switch(&self, smoke: &str, more: &[&str]) -> CtlOutput {
        let file = self.vhost.directory().join("smoke.toml");
        std::fs::write(&file, smoke).unwrap();
        let file = file.to_str().unwrap();
        self.vhost.ctl(&[&["switch", "example.com", "b", "--smoke", file], more].concat())
    }

    fn requests(&self) -> Vec<usize> {
        self.backends.iter().map(Backend::requests).collect()
    }
}

#[test]
fn each_new_backend_is_tried_by_the_way_that_requests_take() {
    let site = Site::start();
    let switched = site.switch(
        r#"
        [[requests]]
        path = "/up?full=1"
        headers = { Accept = "application/json" }
        [requests.expect]
        headers = { Content-Type = "application/json" }
        text = "by the proxy"
        max_ms = 20000
        json = { "/method" = "GET", "/uri" = "/up?full=1" }

        [[requests]]
        method = "POST"
        path = "/status/201"
        host = "example.com"
        body = "half a dozen"
        expect = { status = 201, json = { "/length" = 12 } }
        "#,
        &[],
    );
    assert_eq!(switched.code, 0, "{}", switched.stderr);
    assert!(switched.stderr.contains("4 of 4 requests passed"), "{}", switched.stderr);
    assert_eq!(site.requests(), [0, 2, 2]);
    assert_eq!(site.vhost.live("example.com"), "b");
    // They are no traffic of the domain.
    let stats = site.vhost.rpc("stats.get", json!({})).unwrap();
    assert_eq!(stats["total"]["requests"], 0, "{stats}");
}

#[test]
fn a_version_that_answers_otherwise_is_not_switched_to() {
    let site = Site::start();
    site.backends[2].set_failing(100);
    let smoke =
        "[[requests]]\npath = \"/up\"\n[[requests]]\npath = \"/other\"\nexpect.status = 404\n";
    let refused = site.switch(smoke, &[]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    for part in [
        "3 of 4 smoke requests failed",
        "`b1` to GET /other of example.com: its status is 200, not 404",
        "`b2` to GET /up of example.com: its status is 500, not 200 to 299",
        "nothing was changed",
    ] {
        assert!(refused.stderr.contains(part), "no `{part}` in {}", refused.stderr);
    }
    assert_eq!(site.vhost.live("example.com"), "a");
    let event = site.vhost.newest_event().to_string();
    assert!(event.contains("3 of 4 smoke requests failed"), "{event}");
    // Neither do a share and a rollout begin.
    let file = site.vhost.directory().join("smoke.toml");
    let file = file.to_str().unwrap();
    for command in [
        &["split", "example.com", "b=10%", "--smoke", file][..],
        &["rollout", "start", "example.com", "b", "--steps", "1%:5m", "--smoke", file],
    ] {
        let refused = site.vhost.ctl(command);
        assert_eq!(refused.code, 6, "{}", refused.stderr);
        assert!(refused.stderr.contains("3 of 4 smoke requests failed"), "{}", refused.stderr);
    }
    site.backends[2].set_failing(0);
    assert_eq!(site.switch("[[requests]]\npath = \"/up\"\n", &[]).code, 0);
}

#[test]
fn a_backend_that_is_silent_or_gone_fails_in_time() {
    let site = Site::start();
    let smoke = "[[requests]]\npath = \"/hold\"\n[[requests]]\npath = \"/up\"\n";
    let refused = site.switch(smoke, &["--timeout", "2s"]);
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("GET /hold of example.com: there is no answer in time"),
        "{}",
        refused.stderr
    );
    eventually("nothing is held any more", SOON, || site.backends.iter().all(|b| b.held() == 0));
    let late = site.switch("[[requests]]\npath = \"/slow?ms=300\"\nexpect.max_ms = 100\n", &[]);
    assert_eq!(late.code, 6, "{}", late.stderr);
    assert!(late.stderr.contains("longer than 100"), "{}", late.stderr);
}

#[test]
fn a_deploy_leaves_no_trace_where_its_smoke_requests_fail() {
    let (old, new) = (Backend::start("old"), Backend::start("new"));
    let vhost = Setup::new().start();
    let file = vhost.directory().join("smoke.toml");
    std::fs::write(&file, "[[requests]]\npath = \"/status/503\"\nhost = \"example.com\"\n")
        .unwrap();
    let file = file.to_str().unwrap();
    let first = ["deploy", "shop", &old.address(), "--host", "example.com"];
    let refused = vhost.ctl(&[&first[..], &["--smoke", file]].concat());
    assert_eq!(refused.code, 6, "the first version is tried too: {}", refused.stderr);
    vhost.ctl_ok(&first);
    let before = vhost.rpc("state.get", json!({})).unwrap()["revision"].clone();
    let deploy = || vhost.ctl(&["deploy", "shop", &new.address(), "--smoke", file]);
    let refused = deploy();
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("its status is 503"), "{}", refused.stderr);
    assert_eq!(vhost.rpc("state.get", json!({})).unwrap()["revision"], before);
    std::fs::write(file, "[[requests]]\npath = \"/up\"\n").unwrap();
    let deployed = deploy();
    assert_eq!(deployed.code, 0, "{}", deployed.stderr);
    assert!(deployed.stderr.contains("1 of 1 request passed"), "{}", deployed.stderr);
    assert_eq!((old.requests(), new.requests()), (1, 2));
    assert_eq!(vhost.get("example.com", "/").echo()["id"], "new");
}

#[test]
fn a_file_that_is_wrong_says_where_and_nothing_is_tried() {
    let site = Site::start();
    for (smoke, part) in [
        ("", "missing field `requests`"),
        ("requests = []", "there is no request"),
        (
            "[[requests]]\npath = \"up\"\n",
            "request 1 (GET up): `path`: `up` does not begin with `/`",
        ),
        ("[[requests]]\npath = \"/\"\nexpect.code = 200\n", "unknown field `code`"),
        ("[[requests]\n", "line 1"),
        (
            "[[requests]]\npath = \"/\"\nhost = \"other.test\"\n",
            "is for `other.test`, which is not among what moves",
        ),
    ] {
        let refused = site.switch(smoke, &[]);
        assert!(refused.code != 0 && refused.stderr.contains(part), "{smoke}: {}", refused.stderr);
    }
    let missing = site.vhost.ctl(&["switch", "example.com", "b", "--smoke", "/nowhere/smoke.toml"]);
    assert_eq!(missing.code, 2, "{}", missing.stderr);
    assert!(missing.stderr.contains("cannot read `/nowhere/smoke.toml`"), "{}", missing.stderr);
    // Over the socket it is checked too.
    let wrong = json!({"domains": ["example.com"], "options": {"smoke": [{"path": "up"}]}});
    let refused = site.vhost.rpc("switch.start", wrong).unwrap_err();
    assert!(refused.message.contains("does not begin with `/`"), "{refused:?}");
    assert_eq!(site.requests(), [0, 0, 0]);
    assert_eq!(site.vhost.live("example.com"), "a");
}
