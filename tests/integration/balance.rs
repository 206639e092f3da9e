//! Which backend of a pool gets a request.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::harness::*;

/// How many of `count` requests each backend answered.
fn spread(vhost: &Vhost, count: usize) -> BTreeMap<String, usize> {
    let mut client = vhost.connect();
    let mut answers = BTreeMap::new();
    for _ in 0..count {
        let response = client.get("example.com", "/");
        let id = response.backend().unwrap_or_else(|| panic!("status {}", response.status));
        *answers.entry(id.to_owned()).or_default() += 1;
    }
    answers
}

fn counts<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    expected.into_iter().map(|(id, count)| (id.to_owned(), count)).collect()
}

#[test]
fn round_robin_takes_turns_exactly() {
    let backends: Vec<_> = ["w1", "w2", "w3"].iter().map(|id| Backend::start(id)).collect();
    let mut setup = Setup::new().domain("example.com", "a");
    for backend in &backends {
        setup = setup.backend(backend.id(), backend.address(), &["a"]);
    }
    let vhost = setup.start();
    vhost.wait_until_healthy(3);
    assert_eq!(spread(&vhost, 30), counts([("w1", 10), ("w2", 10), ("w3", 10)]));
}

#[test]
fn weights_are_shares_of_the_traffic() {
    let (heavy, one, two) = (Backend::start("w5"), Backend::start("w1"), Backend::start("w2"));
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend_with("w5", heavy.address(), &["a"], "weight = 50")
        .backend_with("w1", one.address(), &["a"], "weight = 10")
        .backend_with("w2", two.address(), &["a"], "weight = 10")
        .start();
    vhost.wait_until_healthy(3);
    assert_eq!(spread(&vhost, 70), counts([("w5", 50), ("w1", 10), ("w2", 10)]));
    vhost.ctl_ok(&["backend", "set", "w5", "--weight", "10"]);
    assert_eq!(spread(&vhost, 30), counts([("w5", 10), ("w1", 10), ("w2", 10)]));
}

#[test]
fn least_connections_prefers_the_idle_backend() {
    let (busy, idle) = (Backend::start("busy"), Backend::start("idle"));
    let vhost = Setup::new()
        .domain_with("example.com", "a", "balance = \"least-connections\"")
        .backend("busy", busy.address(), &["a"])
        .backend("idle", idle.address(), &["a"])
        .start();
    vhost.wait_until_healthy(2);
    let mut held = Vec::new();
    while busy.held() < 3 {
        let mut client = vhost.connect();
        client.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
        held.push(client);
        let count = held.len();
        eventually("it is held", Duration::from_secs(10), || busy.held() + idle.held() == count);
        assert!(count < 50, "nothing is sent to `busy`");
    }
    idle.release();
    eventually("`idle` is idle", Duration::from_secs(10), || {
        vhost.backend("idle")["in_flight"] == 0
    });
    let answers = spread(&vhost, 30);
    // Chance may draw the busy one twice, once in some hundred requests.
    assert!(answers["idle"] >= 27, "{answers:?}");
    busy.release();
}

#[test]
fn the_method_can_be_changed_while_serving() {
    let (one, two) = (Backend::start("w1"), Backend::start("w2"));
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend("w1", one.address(), &["a"])
        .backend("w2", two.address(), &["a"])
        .start();
    vhost.wait_until_healthy(2);
    vhost.ctl_ok(&["domain", "set", "example.com", "--balance", "least-connections"]);
    assert_eq!(vhost.ctl_json(&["domain", "show", "example.com"])["balance"], "least-connections");
    assert_eq!(spread(&vhost, 10).values().sum::<usize>(), 10);
    vhost.ctl_ok(&["domain", "set", "example.com", "--balance", "round-robin"]);
    assert_eq!(spread(&vhost, 10), counts([("w1", 5), ("w2", 5)]));
}

#[test]
fn a_backend_joins_and_leaves_its_pool_while_serving() {
    let (one, two) = (Backend::start("w1"), Backend::start("w2"));
    let vhost =
        Setup::new().domain("example.com", "a").backend("w1", one.address(), &["a"]).start();
    vhost.wait_until_healthy(1);
    assert_eq!(spread(&vhost, 4), counts([("w1", 4)]));
    vhost.ctl_ok(&["backend", "add", "w2", &two.address(), "--tag", "a"]);
    vhost.wait_until_healthy(2);
    assert_eq!(spread(&vhost, 4), counts([("w1", 2), ("w2", 2)]));
    vhost.ctl_ok(&["backend", "drain", "w1", "--wait"]);
    assert_eq!(spread(&vhost, 4), counts([("w2", 4)]));
    vhost.ctl_ok(&["backend", "ready", "w1", "--wait"]);
    assert_eq!(spread(&vhost, 4), counts([("w1", 2), ("w2", 2)]));
    vhost.ctl_ok(&["backend", "untag", "w2", "a"]);
    assert_eq!(spread(&vhost, 4), counts([("w1", 4)]));
    vhost.ctl_ok(&["backend", "tag", "w2", "a"]);
    vhost.ctl_ok(&["backend", "tag", "w1", "--remove", "a"]);
    assert_eq!(spread(&vhost, 4), counts([("w2", 4)]));
}
