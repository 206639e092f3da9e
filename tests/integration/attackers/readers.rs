//! Clients that ask for much over HTTP/1, and read nothing.

use std::time::Duration;

use super::Attack;
use super::crowd::Crowd;

/// The smallest receive buffer that the kernel gives.
const TINY: Option<usize> = Some(2048);

/// So many that ask for this and don't read.
fn stall(attack: Attack, count: usize, request: &str) {
    attack.with_connections(0, count).run(|attacker| {
        let address = attacker.vhost.http();
        let crowd = Crowd::open_with(attacker, address, count, request.as_bytes(), TINY);
        attacker.hold();
        drop(crowd);
    });
}

#[test]
fn large_answers_that_nobody_reads() {
    stall(
        Attack::new("large answers that nobody reads"),
        60,
        "GET /large HTTP/1.1\r\nHost: large.test\r\n\r\n",
    );
}

fn stall_compressed(name: &'static str, coding: &str) {
    let attack = Attack::new(name).on(|setup, _| {
        setup.domain_with("text.test", "large", &format!("compression = [\"{coding}\"]"))
    });
    let request =
        format!("GET /text HTTP/1.1\r\nHost: text.test\r\nAccept-Encoding: {coding}\r\n\r\n");
    stall(attack, 40, &request);
}

#[test]
fn answers_in_brotli_that_nobody_reads() {
    stall_compressed("answers in Brotli that nobody reads", "br");
}

#[test]
fn answers_in_zstandard_that_nobody_reads() {
    stall_compressed("answers in Zstandard that nobody reads", "zstd");
}

#[test]
fn answers_that_are_read_byte_by_byte() {
    const COUNT: usize = 40;
    Attack::new("large answers, read byte by byte").with_connections(0, COUNT).run(|attacker| {
        let address = attacker.vhost.http();
        let request = b"GET /large HTTP/1.1\r\nHost: large.test\r\n\r\n";
        let mut crowd = Crowd::open_with(attacker, address, COUNT, request, TINY);
        while attacker.goes_on() {
            crowd.read_one_byte();
            std::thread::sleep(Duration::from_millis(10));
        }
    });
}

/// Asks for the same again and again, and reads nothing.
fn pipeline(name: &'static str, host: &str, path: &str) {
    const COUNT: usize = 50;
    Attack::new(name).with_connections(0, COUNT).run(|attacker| {
        let address = attacker.vhost.http();
        let requests = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").repeat(200);
        let mut crowd = Crowd::open_with(attacker, address, COUNT, requests.as_bytes(), TINY);
        while attacker.goes_on() {
            crowd.send(requests.as_bytes());
            std::thread::sleep(Duration::from_millis(20));
        }
    });
}

#[test]
fn pipelines_of_small_answers_that_nobody_reads() {
    pipeline("pipelines of small answers that nobody reads", "example.com", "/");
}

#[test]
fn pipelines_of_large_answers_that_nobody_reads() {
    pipeline("pipelines of large answers that nobody reads", "large.test", "/large");
}
