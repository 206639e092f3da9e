//! What backends are asked: requests at once, the queue, the retry budget.

use std::sync::mpsc;
use std::time::Duration;

use super::{refused, site, wait_for_refused};
use crate::harness::*;

const SOON: Duration = Duration::from_secs(10);

/// Asks for `/hold?NUMBER` in a thread; the answer's status comes through the channel.
fn hold(vhost: &Vhost, number: usize, ended: &mpsc::Sender<(usize, u16)>) {
    let (address, ended) = (vhost.http(), ended.clone());
    std::thread::spawn(move || {
        let response = get(address, "example.com", &format!("/hold?{number}"));
        let _ = ended.send((number, response.status));
    });
}

#[test]
fn requests_wait_in_order_while_the_backend_has_as_many_as_it_may() {
    let backend = Backend::start("web");
    let vhost = site(&backend)
        .set("upstream.max_requests_per_backend", 1)
        .set("upstream.queue_size", 3)
        .set("upstream.queue_timeout_secs", 30)
        .start();
    vhost.wait_until_healthy(1);
    let (ended, ends) = mpsc::channel();
    for number in 0..4 {
        hold(&vhost, number, &ended);
        eventually("it has come", SOON, || vhost.in_flight() == number as u64 + 1);
    }
    assert_eq!(backend.held(), 1);
    // The queue is full.
    let response = vhost.get("example.com", "/");
    assert_eq!(response.status, 503);
    assert!(response.header("retry-after").is_some());
    let log = wait_for_refused(&vhost, "queue_full", 1);
    assert!(log.contains("status=503"), "{log}");
    for number in 0..4 {
        eventually("the next one runs", SOON, || backend.held() == 1);
        backend.release();
        assert_eq!(ends.recv_timeout(SOON), Ok((number, 200)), "in order");
    }
    assert_eq!(vhost.get("example.com", "/").status, 200);
    assert_eq!(backend.requests(), 5);
}

#[test]
fn a_request_waits_so_long_and_no_longer() {
    let backend = Backend::start("web");
    let vhost = site(&backend)
        .set("upstream.max_requests_per_backend", 1)
        .set("upstream.queue_timeout_secs", 0.2)
        .start();
    vhost.wait_until_healthy(1);
    let (ended, ends) = mpsc::channel();
    hold(&vhost, 0, &ended);
    eventually("it runs", SOON, || backend.held() == 1);
    let response = vhost.get("example.com", "/");
    assert_eq!(response.status, 503);
    assert!(response.header("retry-after").is_some());
    let log = wait_for_refused(&vhost, "queue_timeout", 1);
    assert!(log.contains("status=503"), "{log}");
    // Whoever goes away while it waits leaves its place.
    let mut gone = vhost.connect();
    gone.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
    drop(gone);
    backend.release();
    assert_eq!(ends.recv_timeout(SOON), Ok((0, 200)));
    eventually("nobody waits", SOON, || vhost.in_flight() == 0);
    assert_eq!(vhost.get("example.com", "/").status, 200);
}

#[test]
fn a_second_backend_takes_what_the_first_has_no_room_for() {
    let (one, two) = (Backend::start("w1"), Backend::start("w2"));
    let vhost = site(&one)
        .backend("w2", two.address(), &["a"])
        .set("upstream.max_requests_per_backend", 2)
        .set("upstream.queue_timeout_secs", 30)
        .start();
    vhost.wait_until_healthy(2);
    let (ended, ends) = mpsc::channel();
    for number in 0..4 {
        hold(&vhost, number, &ended);
    }
    eventually("each has two", SOON, || (one.held(), two.held()) == (2, 2));
    hold(&vhost, 4, &ended);
    eventually("the fifth waits", SOON, || vhost.in_flight() == 5);
    two.release();
    eventually("it goes where there is room", SOON, || (two.requests(), two.held()) == (3, 1));
    one.release();
    two.release();
    for _ in 0..5 {
        assert_eq!(ends.recv_timeout(SOON).expect("all end").1, 200);
    }
}

#[test]
fn a_backend_may_have_a_limit_of_its_own() {
    let (one, two) = (Backend::start("w1"), Backend::start("w2"));
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend_with("w1", one.address(), &["a"], "max_requests = 1")
        .backend_with("w2", two.address(), &["a"], "max_requests = 2")
        .set("upstream.queue_timeout_secs", 30)
        .start();
    vhost.wait_until_healthy(2);
    let (ended, ends) = mpsc::channel();
    for number in 0..3 {
        hold(&vhost, number, &ended);
    }
    eventually("each has as many as it may", SOON, || (one.held(), two.held()) == (1, 2));
    for number in 3..5 {
        hold(&vhost, number, &ended);
        eventually("it waits", SOON, || vhost.in_flight() == number as u64 + 1);
    }
    let explained = vhost.ctl_ok(&["explain", "example.com"]).stdout;
    assert!(explained.contains("busy: it has 2 requests"), "{explained}");
    one.release();
    eventually("it goes where there is room", SOON, || (one.requests(), one.held()) == (2, 1));
    // What is lifted is lifted for those who wait.
    vhost.ctl_ok(&["backend", "set", "w2", "--option", "max_requests=0"]);
    eventually("nobody waits", SOON, || two.held() == 3);
    for number in 5..8 {
        hold(&vhost, number, &ended);
    }
    eventually("it has no limit", SOON, || two.held() == 6);
    one.release();
    two.release();
    for _ in 0..8 {
        assert_eq!(ends.recv_timeout(SOON).expect("all end").1, 200);
    }
}

#[test]
fn a_backend_without_a_limit_goes_before_the_one_for_all() {
    let backend = Backend::start("web");
    let vhost = Setup::new()
        .domain("example.com", "a")
        .backend_with("web", backend.address(), &["a"], "max_requests = 0")
        .set("upstream.max_requests_per_backend", 1)
        .set("upstream.queue_size", 1)
        .start();
    vhost.wait_until_healthy(1);
    let (ended, ends) = mpsc::channel();
    for number in 0..4 {
        hold(&vhost, number, &ended);
    }
    eventually("all run", SOON, || backend.held() == 4);
    let high = ["backend", "set", "web", "--option", "max_requests=1000001"];
    let output = vhost.ctl(&high);
    assert!(output.code == 1 && output.stderr.contains("use 1 to 1000000, or 0"), "{output:?}");
    backend.release();
    for _ in 0..4 {
        assert_eq!(ends.recv_timeout(SOON).expect("all end").1, 200);
    }
}

#[test]
fn tries_are_a_share_of_what_runs() {
    // A backend that takes connections at once and one that hangs in the connect: each try of the second
    // is counted until it ends.
    let (hanging, alive) = (FullBacklog::start(), Backend::start("alive"));
    let vhost = Setup::new()
        .set("health_check.interval_secs", 600)
        .set("health_check.unhealthy_threshold", 1000)
        .set("upstream.connect_timeout_secs", 0.3)
        .set("upstream.retry_budget_percent", 0)
        .domain("example.com", "a")
        .backend("hanging", hanging.address(), &["a"])
        .backend("alive", alive.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    // `alive` alone is healthy, so nothing is tried twice; make it the one that fails, slowly.
    let (ended, ends) = mpsc::channel();
    for number in 0..40 {
        hold(&vhost, number, &ended);
    }
    eventually("all run", SOON, || alive.held() == 40);
    drop(alive);
    for _ in 0..40 {
        let (_, status) = ends.recv_timeout(SOON).expect("all end");
        assert_eq!(status, 502, "what was sent is not sent again");
    }
    // Nobody listens at `alive`: all go to `hanging` as a second try. Ten may, the others get 502 at once.
    let before = vhost.backend("hanging")["requests"].as_u64().unwrap();
    for number in 0..40 {
        hold(&vhost, number, &ended);
    }
    for _ in 0..40 {
        let (_, status) = ends.recv_timeout(SOON).expect("all end");
        assert!([502, 504].contains(&status), "{status}");
    }
    let tries = vhost.backend("hanging")["requests"].as_u64().unwrap() - before;
    assert!((1..=30).contains(&tries), "{tries} of 40 were tried again");
    let log = vhost.wait_for_log("retry budget").concat();
    assert!(log.contains("reason=connect_refused"), "{log}");
    assert!(refused(&vhost, "connect_refused") > 0);
}
