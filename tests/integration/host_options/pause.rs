use serde_json::json;

use super::*;

/// Sends a GET without waiting for its answer.
fn ask(vhost: &Vhost, path: &str) -> Client {
    let mut client = vhost.connect();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: example.com\r\n\r\n"));
    client
}

/// Requests that wait.
fn waiting(vhost: &Vhost) -> u64 {
    let shown = vhost.rpc("domain.show", json!({"domain": "example.com"})).expect("domain.show");
    shown["waiting"].as_u64().unwrap_or_default()
}

#[test]
fn requests_wait_and_go_on_in_order_to_the_tag_that_is_live_then() {
    let (one, two) = (Backend::start("w1"), Backend::start("w2"));
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend("w1", one.address(), &["a"])
        .backend("w2", two.address(), &["b"])
        .start();
    vhost.wait_until_healthy(2);
    vhost.ctl_ok(&["domain", "pause", "example.com"]);
    let mut clients = Vec::new();
    for n in 0..20_u64 {
        clients.push(ask(&vhost, &format!("/{n}")));
        eventually("it waits", SOON, || waiting(&vhost) == n + 1);
    }
    // Nobody is in flight, so the switch has nothing to drain.
    vhost.ctl_ok(&["switch", "example.com", "b"]);
    assert_eq!((one.requests(), two.requests()), (0, 0));
    assert!(clients.iter().all(Client::is_idle));
    vhost.ctl_ok(&["domain", "resume", "example.com"]);
    for client in &mut clients {
        assert_eq!(client.read_response().backend(), Some("w2"));
    }
    assert_eq!(vhost.get("example.com", "/").backend(), Some("w2"));
    assert_eq!((one.requests(), two.requests()), (0, 21));
}

#[test]
fn they_wait_for_so_long_and_so_many_only() {
    let (backend, vhost) = with_options("pause = { max_wait_secs = 1, max_waiting = 1 }");
    let mut first = ask(&vhost, "/");
    eventually("it waits", SOON, || waiting(&vhost) == 1);
    let full = vhost.get("example.com", "/");
    assert_eq!((full.status, full.header("retry-after")), (503, Some("5")));
    let late = first.read_response();
    assert_eq!(late.status, 503);
    wait_for_refused(&vhost, "paused", 2);
    assert_eq!(backend.requests(), 0);
    let line = vhost.wait_for_log("reason=paused");
    assert!(line[0].contains("domain=example.com"), "{line:?}");
    // Who goes away makes room. One that only ends its side may wait for its answer still.
    vhost.ctl_ok(&["domain", "pause", "example.com", "--max-wait", "1m", "--max-waiting", "1"]);
    let gone = ask(&vhost, "/");
    eventually("it waits", SOON, || waiting(&vhost) == 1);
    gone.reset();
    eventually("it is gone", SOON, || waiting(&vhost) == 0);
    let mut next = ask(&vhost, "/");
    eventually("it waits", SOON, || waiting(&vhost) == 1);
    vhost.ctl_ok(&["domain", "resume", "example.com"]);
    assert_eq!(next.read_response().backend(), Some("w1"));
}

#[test]
fn a_body_waits_with_its_request() {
    let (_backend, vhost) = with_options("pause = {}");
    let mut client = vhost.connect();
    client.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello");
    eventually("it waits", SOON, || waiting(&vhost) == 1);
    vhost.ctl_ok(&["domain", "resume", "example.com"]);
    assert_eq!(client.read_response().echo()["length"], 5);
    // A domain that goes away leaves nobody waiting.
    vhost.ctl_ok(&["domain", "pause", "example.com"]);
    let mut client = ask(&vhost, "/");
    eventually("it waits", SOON, || waiting(&vhost) == 1);
    vhost.ctl_ok(&["domain", "remove", "example.com"]);
    assert_eq!(client.read_response().status, 404);
}
