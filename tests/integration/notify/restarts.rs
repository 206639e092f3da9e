//! No event is lost when the server ends, however it ends.

use super::receiver::{BUSY, GOOD, Receiver, SOON};
use super::{Site, notified};
use crate::harness::*;

#[test]
fn a_server_that_was_killed_goes_on_where_it_stood() {
    let receiver = Receiver::answering(GOOD);
    let mut site = Site::start(&notified("chat", &receiver, ""));
    site.switch("b");
    receiver.wait_for_tags(&["b"]);
    receiver.answer(BUSY);
    site.switch("a");
    site.switch("b");
    site.vhost.kill();
    receiver.answer(GOOD);
    site.vhost.restart();
    receiver.wait_for_tags(&["b", "a", "b"]);
    site.vhost.wait_until_healthy(2);
    site.switch("a");
    receiver.wait_for_tags(&["b", "a", "b", "a"]);
}

#[test]
fn the_process_that_takes_over_goes_on_and_the_old_one_stops() {
    let receiver = Receiver::answering(GOOD);
    let site = Site::start(&notified("chat", &receiver, ""));
    site.switch("b");
    receiver.wait_for_tags(&["b"]);
    receiver.answer(BUSY);
    site.switch("a");
    site.vhost.upgrade();
    site.switch("b");
    receiver.answer(GOOD);
    receiver.wait_for_tags(&["b", "a", "b"]);
    site.switch("a");
    receiver.wait_for_tags(&["b", "a", "b", "a"]);
    let ids: Vec<_> = receiver.posts().iter().map(super::receiver::Post::id).collect();
    let last = receiver.posts().last().unwrap().id();
    assert_eq!(ids.iter().filter(|id| **id == last).count(), 1, "only one process delivers");
}

#[test]
fn the_end_of_a_drain_is_delivered_also_by_another_process() {
    let receiver = Receiver::answering(GOOD);
    let backend = Backend::start("a1");
    let next = Backend::start("b1");
    let setup = Setup::new()
        .entries(&notified("chat", &receiver, ""))
        .set("switch.drain_timeout_secs", 30)
        .domain("example.com", "a")
        .backend("a1", backend.address(), &["a"])
        .backend("b1", next.address(), &["b"]);
    let vhost = setup.start();
    vhost.wait_until_healthy(2);
    let mut held = vhost.connect();
    held.send("GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n");
    eventually("the request is held", SOON, || backend.held() == 1);
    let switching = vhost.ctl_in_background(&["switch", "example.com", "b"]);
    eventually("it is notified that it drains", SOON, || !receiver.posts().is_empty());
    let first = receiver.posts().remove(0);
    assert!(first.id().ends_with("-draining"), "{first:?}");
    assert_eq!(first.json()["event"]["outcome"]["state"], "draining");
    vhost.upgrade();
    backend.release();
    receiver.wait_for_tags(&["b"]);
    assert_eq!(receiver.taken()[0]["event"]["outcome"]["state"], "done");
    assert_eq!(first.id(), format!("{}-draining", receiver.taken()[0]["id"].as_str().unwrap()));
    drop(switching);
}
