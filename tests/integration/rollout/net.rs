//! What the tag on trial fails, the old one answers.

use super::*;

/// A guard that never ends by itself: nobody has that many requests.
const GUARD: [&str; 4] = ["--guard", "1h", "--min-requests", "1000000"];

fn guarded() -> Site {
    let site = Site::start();
    site.vhost.ctl_ok(&[&["switch", HOST, "b", "--no-wait"], &GUARD[..]].concat());
    site
}

#[test]
fn a_get_that_the_new_tag_fails_is_answered_by_the_old_one() {
    let site = guarded();
    site.b.set_failing(100);
    let response = site.vhost.get(HOST, "/");
    assert_eq!((response.status, response.backend()), (200, Some("a1")));
    assert_eq!((site.a.requests(), site.b.requests()), (1, 1), "each was asked once");
    // A request is counted when its client has its answer.
    eventually("the new tag has the blame", SOON, || {
        let evidence = &site.trials()[0]["evidence"]["new"];
        (&evidence["requests"], &evidence["failures"]) == (&json!(1), &json!(1))
    });
}

#[test]
fn what_may_have_been_acted_on_is_not_sent_twice() {
    let site = guarded();
    site.b.set_failing(100);
    let response = site.vhost.connect().post(HOST, "/", b"order");
    assert_eq!((response.status, response.backend()), (500, Some("b1")));
    assert_eq!(site.a.requests(), 0);
}

#[test]
fn a_new_tag_that_is_gone_is_netted_for_any_method() {
    let Site { vhost, a, b } = guarded();
    b.stop();
    let response = vhost.connect().post(HOST, "/", b"order");
    assert_eq!((response.status, response.backend()), (200, Some("a1")), "nothing was sent yet");
    drop(a);
}

#[test]
fn nobody_meets_a_new_tag_that_has_no_healthy_backend_left() {
    let site = guarded();
    site.b.set_health(503);
    // Until the guard has seen it, and the domain is back on its old tag.
    eventually("it is rolled back", SOON, || {
        let response = site.vhost.get(HOST, "/");
        assert_eq!(response.status, 200, "{:?}", response.headers);
        let posted = site.vhost.connect().post(HOST, "/", b"order");
        assert_eq!(posted.status, 200, "{:?}", posted.headers);
        site.vhost.live(HOST) == "a"
    });
}

#[test]
fn without_a_guard_there_is_no_net() {
    let site = Site::start();
    site.vhost.ctl_ok(&["switch", HOST, "b"]);
    site.b.set_failing(100);
    let response = site.vhost.get(HOST, "/");
    assert_eq!((response.status, response.backend()), (500, Some("b1")));
}

#[test]
fn where_both_fail_the_client_gets_what_the_old_one_says() {
    let site = guarded();
    site.a.set_failing(100);
    site.b.set_failing(100);
    let response = site.vhost.get(HOST, "/");
    assert_eq!((response.status, response.backend()), (500, Some("a1")));
}

#[test]
fn a_backend_of_http2_has_the_same_net() {
    let (a, b) = (Backend::start("a1"), Backend::builder("b1").h2c().start());
    let vhost = Setup::new()
        .domain_with(HOST, "a", "http_to_https = false")
        .backend("a1", a.address(), &["a"])
        .backend_with("b1", b.address(), &["b"], "scheme = \"h2c\"")
        .start();
    vhost.wait_until_healthy(2);
    vhost.ctl_ok(&[&["switch", HOST, "b", "--no-wait"], &GUARD[..]].concat());
    assert_eq!(vhost.get(HOST, "/").backend(), Some("b1"));
    b.set_failing(100);
    let response = vhost.get(HOST, "/");
    assert_eq!((response.status, response.backend()), (200, Some("a1")));
}
