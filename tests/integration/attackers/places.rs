//! Places in queues, of which there are not many.

use serde_json::json;

use super::crowd::Crowd;
use super::honest::asks;
use super::{Attack, SOON};
use crate::harness::*;

#[test]
fn the_queue_of_a_busy_backend() {
    Attack::new("queue places of a busy backend, one address")
        .from_one_address()
        .on(|setup, _| {
            setup.set("upstream.max_requests_per_backend", 4).set("upstream.queue_size", 40)
        })
        .with_connections(200, 100)
        .run(|attacker| {
            let request = b"GET /slow?ms=20 HTTP/1.1\r\nHost: example.com\r\n\r\n";
            let mut crowd = Crowd::open(attacker, attacker.vhost.http(), 200, request);
            while attacker.goes_on() {
                crowd.answer_with(request);
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
}

/// An honest client of a domain that is paused, and that answers as soon as it is not: it waits first in
/// line or last, but it has a place.
#[test]
fn the_line_of_a_paused_domain() {
    Attack::new("places of a paused domain, one address")
        .from_one_address()
        .on(|setup, _| setup.domain("paused.test", "a"))
        .with_connections(200, 100)
        .run(|attacker| {
            let pause =
                ["domain", "pause", "paused.test", "--max-wait", "1m", "--max-waiting", "40"];
            attacker.vhost.ctl_ok(&pause);
            let request = b"GET / HTTP/1.1\r\nHost: paused.test\r\n\r\n";
            let mut crowd = Crowd::open(attacker, attacker.vhost.http(), 200, request);
            let waiting = || {
                let shown = attacker.vhost.rpc("domain.show", json!({"domain": "paused.test"}));
                shown.expect("domain.show answers")["waiting"].as_u64().unwrap_or_default()
            };
            eventually("attackers wait", SOON, || waiting() > 0);
            crowd.answer_with(request);
            let before = waiting();
            let mut client = attacker.vhost.connect();
            client.send(request);
            eventually("an honest client waits, or is refused", SOON, || {
                crowd.answer_with(request);
                waiting() > before || !client.is_idle()
            });
            while attacker.goes_on() {
                crowd.answer_with(request);
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            attacker.vhost.ctl_ok(&["domain", "resume", "paused.test"]);
            assert_eq!(client.read_response().status, 200, "it has waited");
        });
}

#[test]
fn requests_that_are_held_for_ever() {
    const COUNT: usize = 300;
    Attack::new("requests that the backend holds")
        .beside("another domain", |_, vhost| asks("large.test", "", vhost))
        .with_connections(0, COUNT / 4)
        .run(|attacker| {
            let request = b"GET /hold HTTP/1.1\r\nHost: example.com\r\n\r\n";
            let crowd = Crowd::open(attacker, attacker.vhost.http(), COUNT, request);
            let backend = &attacker.stage.backend;
            eventually("the backend holds them", SOON, || backend.held() == COUNT);
            attacker.hold();
            drop(crowd);
            eventually("the backend is rid of them", SOON, || backend.held() == 0);
        });
}
