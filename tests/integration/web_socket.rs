//! `WebSockets` through the proxy.

use crate::harness::{Backend, Setup, WebSocket};

/// Without the cure in `upstream/upgrade.rs`, one in about twenty-five is closed as soon as it is open.
#[test]
fn a_backend_that_answers_at_once_does_not_end_its_web_socket() {
    let backend = Backend::start("a1");
    let vhost =
        Setup::new().domain("example.com", "a").backend("a1", backend.address(), &["a"]).start();
    vhost.wait_until_healthy(1);
    for number in 0..400 {
        let mut socket = WebSocket::try_open(vhost.http(), "example.com")
            .unwrap_or_else(|error| panic!("opening number {number}: {error}"));
        socket.echo("hello").unwrap_or_else(|error| panic!("in number {number}: {error}"));
        socket.close().unwrap_or_else(|error| panic!("closing number {number}: {error}"));
    }
}
