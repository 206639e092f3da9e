//! Connections that speak another protocol behind an upgrade: each side ends by itself, both are timed,
//! and they count until they have ended.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::*;

const SOON: Duration = Duration::from_secs(15);

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n\
                       Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const AGREED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                        Upgrade: websocket\r\n\r\n";

/// A backend that agrees to each upgrade, and then does this.
fn agreeing(script: impl Fn(&mut RawConnection) + Send + Sync + 'static) -> RawBackend {
    RawBackend::start(move |connection| {
        if connection.read_request().is_some() {
            connection.send(AGREED);
            script(connection);
        }
    })
}

fn serve(backend: &RawBackend, setup: impl FnOnce(Setup) -> Setup) -> Vhost {
    let vhost = setup(Setup::new())
        .tcp_probes()
        .set("health_check.interval_secs", 600)
        .domain_with("example.com", "a", "max_body_bytes = 1000")
        .backend("web", backend.address(), &["a"])
        .start();
    vhost.wait_until_healthy(1);
    vhost
}

/// A client past the answer to its upgrade.
fn open(vhost: &Vhost) -> TcpStream {
    let mut stream = vhost.connect().into_stream();
    stream.write_all(UPGRADE.as_bytes()).expect("it is open");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
    stream
}

/// All that comes up to the end.
fn read_to_end(mut client: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).expect("it ends in good order");
    bytes
}

fn is_reset(read: &std::io::Result<usize>) -> bool {
    matches!(read, Err(error) if error.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn a_client_that_has_ended_its_side_gets_what_still_comes() {
    let backend = agreeing(|connection| {
        connection.wait_for_close();
        // More than sockets hold.
        connection.send(&vec![b'x'; 200 * 50_000]);
        connection.send(b"the last words");
    });
    let vhost = serve(&backend, |setup| setup);
    let mut client = open(&vhost);
    client.write_all("the first words".as_bytes()).expect("it is open");
    client.shutdown(Shutdown::Write).expect("it is open");
    let bytes = read_to_end(&client);
    assert_eq!(bytes.len(), 200 * 50_000 + 14);
    assert!(bytes.ends_with(b"xthe last words"));
    eventually("all has arrived", SOON, || {
        backend.received_text().ends_with("\r\n\r\nthe first words")
    });
    eventually("it is counted no more", SOON, || vhost.in_flight() == 0);
}

#[test]
fn a_backend_that_has_ended_its_side_gets_what_still_comes() {
    let backend = agreeing(|connection| {
        connection.send(b"the last words");
        connection.end_side();
        connection.wait_for_close();
    });
    let vhost = serve(&backend, |setup| setup);
    let mut client = open(&vhost);
    assert_eq!(read_to_end(&client), b"the last words");
    assert_eq!(vhost.in_flight(), 1, "one side goes on");
    // More than the largest body of a request: it is none.
    client.write_all(&[b'x'; 5000]).expect("it is open");
    client.write_all("words behind the end".as_bytes()).expect("it is open");
    client.shutdown(Shutdown::Write).expect("it is open");
    eventually("it is counted no more", SOON, || vhost.in_flight() == 0);
    eventually("all has arrived", SOON, || {
        backend.received_text().ends_with("xwords behind the end")
    });
}

#[test]
fn a_side_that_is_left_alone_and_says_nothing_is_waited_for_a_time() {
    let backend = agreeing(RawConnection::stall);
    let vhost = serve(&backend, |setup| {
        setup
            .set("proxy.half_close_timeout_secs", 0.5)
            .set("proxy.websocket_idle_timeout_secs", 600)
            .set("upstream.read_timeout_secs", 600)
    });
    let client = open(&vhost);
    client.shutdown(Shutdown::Write).expect("it is open");
    let start = Instant::now();
    assert_eq!(read_to_end(&client), b"");
    assert!(start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());
    eventually("it is counted no more", SOON, || vhost.in_flight() == 0);
}

#[test]
fn a_tunnel_in_which_nobody_speaks_is_closed() {
    let backend = agreeing(RawConnection::wait_for_close);
    let vhost = serve(&backend, |setup| setup.set("proxy.websocket_idle_timeout_secs", 0.5));
    let client = open(&vhost);
    let start = Instant::now();
    assert_eq!(read_to_end(&client), b"");
    assert!(start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());
    eventually("it is counted no more", SOON, || vhost.in_flight() == 0);
}

#[test]
fn who_speaks_holds_the_tunnel_for_both() {
    // Eight words, which take longer together than either side may be silent.
    let backend = agreeing(|connection| {
        for _ in 0..8 {
            std::thread::sleep(Duration::from_millis(300));
            connection.send(b"word ");
        }
    });
    let vhost = serve(&backend, |setup| {
        setup.set("proxy.websocket_idle_timeout_secs", 1).set("upstream.read_timeout_secs", 1)
    });
    let client = open(&vhost);
    assert_eq!(read_to_end(&client), "word ".repeat(8).as_bytes());
}

#[test]
fn a_tunnel_of_which_one_side_has_ended_is_waited_for_in_a_drain() {
    let backend = agreeing(|connection| {
        connection.end_side();
        connection.wait_for_close();
    });
    let vhost = serve(&backend, |setup| setup.set("proxy.half_close_timeout_secs", 600));
    let mut client = open(&vhost);
    assert_eq!(read_to_end(&client), b"");
    let output =
        vhost.ctl(&["backend", "disable", "web", "--force", "--wait", "--timeout", "100ms"]);
    assert_ne!(output.code, 0, "it runs: {output:?}");
    let waiting = vhost.ctl_in_background(&[
        "backend",
        "disable",
        "web",
        "--force",
        "--wait",
        "--timeout",
        "50s",
    ]);
    client.write_all("still there".as_bytes()).expect("it is open");
    eventually("it passes", SOON, || backend.received_text().ends_with("still there"));
    drop(client);
    let output = waiting.wait();
    assert_eq!(output.code, 0, "{output:?}");
}

#[test]
fn a_tunnel_ends_at_once_when_either_end_is_reset() {
    let backend = agreeing(|connection| {
        if connection.take(4).is_some_and(|word| word == b"fail") {
            connection.reset();
        } else {
            connection.wait_for_close();
        }
    });
    let vhost = serve(&backend, |setup| setup);
    let mut client = open(&vhost);
    client.write_all("fail".as_bytes()).expect("it is open");
    let end = client.read(&mut [0]);
    assert!(matches!(&end, Ok(0)) || is_reset(&end), "{end:?}");
    let mut client = open(&vhost);
    client.write_all("wait".as_bytes()).expect("it is open");
    eventually("it passes", SOON, || backend.received_text().ends_with("wait"));
    Client::over(client).reset();
    eventually("none is left", SOON, || vhost.in_flight() == 0);
}
