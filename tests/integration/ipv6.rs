//! Clients and backends over IPv6.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};

use crate::harness::*;

/// A free address of IPv6's loopback; nothing, and a word about it, where the machine has none.
fn free_ipv6_address() -> Option<SocketAddr> {
    match TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        Ok(listener) => listener.local_addr().ok(),
        Err(error) => {
            eprintln!("SKIPPED: this machine has no ::1: {error}");
            None
        }
    }
}

#[test]
fn requests_come_in_and_go_out_over_ipv6() {
    let Some(listener) = free_ipv6_address() else { return };
    let backend = Backend::builder("six").at((Ipv6Addr::LOCALHOST, 0).into()).start();
    assert!(backend.address().starts_with("[::1]:"));
    let four = Backend::start("four");
    let vhost = Setup::new()
        .at(listener)
        .domain("six.test", "six")
        .domain("four.test", "four")
        .backend("six", backend.address(), &["six"])
        .backend("four", four.address(), &["four"])
        .start();
    vhost.wait_for_health("six", "healthy");
    vhost.wait_for_health("four", "healthy");
    let mut client = vhost.connect();
    for (host, id) in [("six.test", "six"), ("four.test", "four")] {
        let response = client.get(host, "/path");
        assert_eq!((response.status, response.backend()), (200, Some(id)));
        assert_eq!(response.sent("x-forwarded-for"), ["::1"], "{id}");
    }
    assert_eq!(vhost.backend("six")["address"], backend.address());
    let literal = client.get(&vhost.http().to_string(), "/");
    assert_eq!(literal.status, 404, "an address is nobody's domain, and no mistake either");
    assert_eq!(client.get("six.test", "/").status, 200);
    let mut socket = WebSocket::open(vhost.http(), "six.test");
    socket.echo("hello").unwrap();
    socket.close().unwrap();
}

#[test]
fn proxies_are_trusted_by_their_ipv6_network() {
    let Some(listener) = free_ipv6_address() else { return };
    let backend = Backend::start("web");
    for (trusted, expected) in [("::/64", "2001:db8::7, ::1"), ("2001:db8::/32", "::1")] {
        let vhost = Setup::new()
            .at(listener)
            .set("proxy.trusted_proxies", format!("[\"{trusted}\"]"))
            .domain("example.com", "a")
            .backend("web", backend.address(), &["a"])
            .start();
        vhost.wait_until_healthy(1);
        let headers = "X-Forwarded-For: 2001:db8::7\r\n";
        let response = vhost.connect().get_with("example.com", "/", headers);
        assert_eq!(response.sent("x-forwarded-for").join(", "), expected, "{trusted}");
    }
}
