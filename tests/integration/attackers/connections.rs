//! Connections, by the thousand, that only stand there.

use super::Attack;
use super::attacker::Attacker;
use super::crowd::Crowd;
use crate::harness::*;

/// As many as `max_connections_per_client` and `max_tls_handshakes` allow by default.
const BOUND: usize = 4096;

/// Keeps so many connections open that say no more than this.
fn stand(attacker: &Attacker<'_>, address: std::net::SocketAddr, count: usize, greeting: &[u8]) {
    let mut crowd = Crowd::open(attacker, address, count, greeting);
    while attacker.goes_on() {
        crowd.read_and_replace();
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn silent_connections_to_https_of_one_address() {
    Attack::new("silent connections to HTTPS, one address")
        .of_one_address()
        .with_connections(BOUND, 0)
        .run(|attacker| stand(attacker, attacker.vhost.https(), BOUND, b""));
}

#[test]
fn silent_connections_to_https_of_many_addresses() {
    Attack::new("silent connections to HTTPS, 16 addresses")
        .of_addresses(16)
        .with_connections(BOUND, 0)
        .run(|attacker| stand(attacker, attacker.vhost.https(), BOUND, b""));
}

#[test]
fn silent_connections_to_http_of_one_address() {
    Attack::new("silent connections to HTTP, one address")
        .of_one_address()
        .with_connections(BOUND, 0)
        .run(|attacker| stand(attacker, attacker.vhost.http(), BOUND, b""));
}

#[test]
fn connections_that_were_served_and_stand_idle() {
    // As many as the files allow that a process may have open, of this one and of the server.
    let (_, most) = raise_file_limit();
    let count = usize::try_from(most.saturating_sub(4000) / 2).unwrap_or(3000).min(3000);
    Attack::new("connections that were served and stand idle")
        .of_addresses(8)
        .with_connections(count, 0)
        .run(|attacker| {
            let request = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
            stand(attacker, attacker.vhost.http(), count, request);
        });
}

#[test]
fn one_address_that_wants_every_connection_of_the_server() {
    Attack::new("one address wants all connections")
        .of_one_address()
        .on(|setup, _| setup.set("proxy.max_connections", 500))
        .with_connections(500, 0)
        .run(|attacker| stand(attacker, attacker.vhost.http(), 1000, b""));
}

#[test]
fn one_address_that_opens_more_than_a_client_may() {
    Attack::new("one address opens more than a client may")
        .of_one_address()
        .on(|setup, _| setup.set("proxy.max_connections_per_client", 100))
        .with_connections(100, 0)
        .run(|attacker| {
            stand(attacker, attacker.vhost.http(), 500, b"");
            if attacker.refused("too_many_client_connections") == 0 {
                attacker.complain("none was refused");
            }
        });
}

#[test]
fn web_sockets_that_are_silent() {
    const COUNT: usize = 300;
    Attack::new("WebSockets that are silent").with_connections(COUNT, COUNT).run(|attacker| {
        let request = "GET /ws HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let crowd = Crowd::open(attacker, attacker.vhost.http(), COUNT, request.as_bytes());
        let backend = &attacker.stage.backend;
        eventually("all are open", super::SOON, || backend.web_sockets() == COUNT);
        attacker.hold();
        assert_eq!(crowd.open_members(), COUNT, "they are kept open");
    });
}

fn raise_file_limit() -> (u64, u64) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    (soft, hard)
}
