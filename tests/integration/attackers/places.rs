//! Places in queues, of which there are not many.

use std::time::Duration;

use serde_json::json;

use super::crowd::Crowd;
use super::honest::asks;
use super::{Attack, SOON};
use crate::harness::*;

/// Keeps so many requests waiting that there is no place left but those that attackers have.
fn queue_up(attack: Attack) {
    const COUNT: usize = 200;
    attack
        .on(|setup, _| {
            setup.set("upstream.max_requests_per_backend", 4).set("upstream.queue_size", 40)
        })
        .with_connections(COUNT, COUNT / 2)
        .run(|attacker| {
            let request = b"GET /slow?ms=20 HTTP/1.1\r\nHost: example.com\r\n\r\n";
            let mut crowd = Crowd::open(attacker, attacker.vhost.http(), COUNT, request);
            while attacker.goes_on() {
                crowd.answer_with(request);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
}

#[test]
fn the_queue_of_a_busy_backend_wanted_by_one_address() {
    queue_up(Attack::new("queue places of a busy backend, one address").of_one_address());
}

#[test]
fn the_queue_of_a_busy_backend_wanted_by_several_addresses() {
    queue_up(Attack::new("queue places of a busy backend, 4 addresses"));
}

/// All places in the line of a paused domain; yet somebody else has one, and is served once there is no
/// pause any more.
fn wait_in_line(attack: Attack) {
    attack.on(|setup, _| setup.domain("paused.test", "a")).with_connections(200, 100).run(
        |attacker| {
            let pause =
                ["domain", "pause", "paused.test", "--max-wait", "1m", "--max-waiting", "40"];
            attacker.vhost.ctl_ok(&pause);
            let request = b"GET / HTTP/1.1\r\nHost: paused.test\r\n\r\n";
            let mut crowd = Crowd::open(attacker, attacker.vhost.http(), 200, request);
            let waiting = || {
                let shown = attacker.vhost.rpc("domain.show", json!({"domain": "paused.test"}));
                shown.expect("domain.show answers")["waiting"].as_u64().unwrap_or_default()
            };
            eventually("the line is full", SOON, || {
                crowd.answer_with(request);
                waiting() == 40
            });
            let mut client = attacker.vhost.connect();
            client.send(request);
            while attacker.goes_on() {
                crowd.answer_with(request);
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(client.is_idle(), "an honest client is refused");
            attacker.vhost.ctl_ok(&["domain", "resume", "paused.test"]);
            assert_eq!(client.read_response().status, 200, "it has waited");
        },
    );
}

#[test]
fn the_line_of_a_paused_domain_wanted_by_one_address() {
    wait_in_line(Attack::new("places of a paused domain, one address").of_one_address());
}

#[test]
fn the_line_of_a_paused_domain_wanted_by_several_addresses() {
    wait_in_line(Attack::new("places of a paused domain, 4 addresses"));
}

#[test]
fn requests_that_are_held_for_ever() {
    const COUNT: usize = 300;
    Attack::new("requests that the backend holds")
        // Who closes looks like who has ended only what it sends.
        .on(|setup, _| setup.set("proxy.half_close_timeout_secs", 1))
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
