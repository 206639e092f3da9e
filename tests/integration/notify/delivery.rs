//! What targets get, and what one that fails does to others.

use std::time::{Duration, Instant};

use serde_json::json;

use super::receiver::{BUSY, GOOD, Receiver, SOON};
use super::{Site, notified};
use crate::harness::*;

#[test]
fn a_switch_is_delivered_signed_and_in_order() {
    let receiver = Receiver::answering(GOOD);
    let signed = notified("chat", &receiver, "secret = \"${NOTIFY_SECRET}\"");
    let site =
        Site::start_with(&signed, |setup| setup.env("NOTIFY_SECRET", "k3y-of-the-chat".into()));
    site.vhost.ctl_ok(&["switch", "example.com", "b", "--reason", "release 2"]);
    site.switch("a");
    site.vhost.ctl_ok(&["undo", "example.com"]);
    receiver.wait_for_tags(&["b", "a", "b"]);
    let events = site.vhost.rpc("event.list", json!({"limit": 1})).unwrap();
    let newest = receiver.taken().pop().unwrap();
    assert_eq!(newest["event"], events["events"][0], "it is the event of the history");
    assert_eq!(newest["at_ms"], newest["event"]["at_ms"]);
    assert_eq!((&newest["version"], &newest["event"]["undo"]), (&json!(1), &json!(true)));
    for post in receiver.posts() {
        assert!(post.is_signed_with("k3y-of-the-chat"), "{post:?}");
        assert!(!post.is_signed_with("another"), "{post:?}");
        assert_eq!(post.header("vhost-event"), Some("switch"));
        assert_eq!(post.header("content-type"), Some("application/json"));
        assert!(post.header("user-agent").unwrap().starts_with("vhost/"), "{post:?}");
        assert!(post.head.starts_with("POST /hook HTTP/1.1"), "{post:?}");
    }
    let shown = site.vhost.ctl_ok(&["notify", "list"]).stdout;
    assert!(shown.contains("chat") && !shown.contains("k3y"), "{shown}");
}

#[test]
fn a_target_that_is_busy_gets_the_event_at_last_and_once() {
    let receiver = Receiver::answering(BUSY);
    let site = Site::start(&notified("chat", &receiver, ""));
    site.switch("b");
    eventually("it has refused twice", SOON, || receiver.posts().len() >= 2);
    let failing = site.target("chat");
    assert_eq!(failing["last_error"], "it answered 503 Service Unavailable: busy");
    assert!(failing["failing_since_ms"].is_u64() && failing["waiting"] != 0, "{failing}");
    receiver.answer(GOOD);
    receiver.wait_for_tags(&["b"]);
    eventually("it has all", SOON, || site.target("chat")["waiting"] == 0);
    let target = site.target("chat");
    assert!(target["failed"].as_u64() >= Some(2) && target["dropped"] == 0, "{target}");
    assert_eq!(target["last_error"], json!(null));
    let first = receiver.posts().remove(0).id();
    let same = receiver.posts().iter().filter(|post| post.id() == first).count();
    assert!(same >= 3, "each try has the id of the event: {:?}", receiver.posts());
}

#[test]
fn what_is_refused_for_good_is_dropped_and_the_next_is_delivered() {
    let receiver = Receiver::answering("301 Moved\r\nLocation: /x\r\nConnection: close\r\n\r\n");
    let site = Site::start(&notified("chat", &receiver, ""));
    site.switch("b");
    eventually("it is dropped", SOON, || site.target("chat")["dropped"] != 0);
    eventually("none waits", SOON, || site.target("chat")["waiting"] == 0);
    assert!(receiver.posts().iter().all(|post| post.head.starts_with("POST /hook ")));
    receiver.answer(GOOD);
    site.switch("a");
    receiver.wait_for_tags(&["a"]);
}

#[test]
fn a_target_that_hangs_holds_up_neither_another_nor_a_switch() {
    let (slow, good) = (Receiver::hanging(), Receiver::answering(GOOD));
    let entries = notified("slow", &slow, "timeout_secs = 60")
        + &notified("good", &good, "timeout_secs = 60");
    let site = Site::start(&entries);
    let begun = Instant::now();
    site.switch("b");
    eventually("the slow one was asked", SOON, || !slow.posts().is_empty());
    site.switch("a");
    good.wait_for_tags(&["b", "a"]);
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(slow.posts().len(), 1, "one at a time, in order");
    assert!(site.target("slow")["waiting"].as_u64() >= Some(2), "{}", site.target("slow"));
}

#[test]
fn the_oldest_are_dropped_and_counted_when_too_many_wait() {
    let slow = Receiver::hanging();
    let metrics = free_address();
    let entries = notified("slow", &slow, "timeout_secs = 600\nevents = [\"switch\"]");
    let site = Site::start_with(&entries, |setup| {
        setup.set("metrics.enabled", true).set("metrics.listen_addr", format!("\"{metrics}\""))
    });
    let mut connection = site.vhost.rpc_connection();
    for round in 0..300 {
        let share = 1 + round % 2;
        let shares = json!([{"tag": "b", "share": share}]);
        connection
            .call("split.set", &json!({"domains": ["example.com"], "shares": shares}))
            .unwrap();
    }
    // One is being delivered, and 256 wait.
    eventually("all have been queued", SOON, || site.target("slow")["dropped"] == 43);
    assert_eq!(site.target("slow")["waiting"], 257);
    assert_eq!(site.vhost.wait_for_log("too many events wait").len(), 1);
    let text = get(metrics, "localhost", "/metrics").text();
    for line in [
        "vhost_notify_deliveries_total{target=\"slow\",outcome=\"dropped\"} 43",
        "vhost_notify_waiting{target=\"slow\"} 257",
    ] {
        assert!(text.contains(line), "no `{line}` in {text}");
    }
}

#[test]
fn a_backend_that_dies_is_an_event_with_its_tags() {
    let receiver = Receiver::answering(GOOD);
    let dying = Backend::start("c1");
    let entries = notified("pager", &receiver, "events = [\"health\"]");
    let site = Site::start_with(&entries, |setup| setup.backend("c1", dying.address(), &["c"]));
    site.vhost.wait_for_health("c1", "healthy");
    dying.set_health(500);
    eventually("it is notified", SOON, || !receiver.posts().is_empty());
    dying.set_health(200);
    eventually("it is notified", SOON, || receiver.posts().len() >= 2);
    let events: Vec<_> = receiver.posts().iter().map(|post| post.json()["event"].clone()).collect();
    for (event, from, to) in
        [(&events[0], "healthy", "unhealthy"), (&events[1], "unhealthy", "healthy")]
    {
        assert_eq!((&event["kind"], &event["backend"]), (&json!("health"), &json!("c1")));
        assert_eq!((&event["from"], &event["to"]), (&json!(from), &json!(to)), "{event}");
        assert_eq!(event["tags"], json!(["c"]));
    }
    assert!(events[0]["reason"].as_str().unwrap().contains("500"), "{events:?}");
    assert_eq!(receiver.posts()[0].header("vhost-event"), Some("health"));
    site.switch("b");
    assert_eq!(receiver.posts().len(), 2, "it wants nothing else");
}

#[test]
fn a_test_is_sent_at_once_and_says_what_came_of_it() {
    let receiver = Receiver::answering(GOOD);
    let site = Site::start(&notified("chat", &receiver, ""));
    let sent = site.vhost.ctl_ok(&["notify", "test", "chat"]).stdout;
    assert!(sent.starts_with("chat: delivered in ") && sent.contains("204"), "{sent}");
    let post = receiver.posts().remove(0);
    assert_eq!(post.json()["event"], json!({"kind": "test"}));
    assert_eq!(post.header("vhost-event"), Some("test"));
    receiver
        .answer("403 Forbidden\r\nContent-Length: 9\r\nConnection: close\r\n\r\nno\u{1b}[2Jway");
    let refused = site.vhost.ctl(&["notify", "test", "chat"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("it answered 403 Forbidden: no\u{fffd}[2Jway"), "{refused:?}");
    let unknown = site.vhost.ctl(&["notify", "test", "chad"]);
    assert_eq!(unknown.code, 4, "{unknown:?}");
    assert!(unknown.stderr.contains("`chat`"), "{unknown:?}");
}

#[test]
fn a_reload_adds_targets_and_takes_them_away() {
    let (first, second) = (Receiver::answering(GOOD), Receiver::answering(GOOD));
    let entry = notified("first", &first, "");
    let site = Site::start(&entry);
    site.switch("b");
    first.wait_for_tags(&["b"]);
    let setup = site.setup.clone().replace(&entry, &notified("second", &second, ""));
    site.vhost.write_config(&setup);
    site.vhost.ctl_ok(&["reload"]);
    site.switch("a");
    second.wait_for_tags(&["a"]);
    assert_eq!(first.tags(), ["b"], "it is notified no more");
    let names = site.vhost.ctl_ok(&["notify", "list", "--no-headers"]).stdout;
    assert!(names.starts_with("second"), "{names}");
}
