//! Clients that send slowly, or never enough.

use std::io::Write;
use std::time::Duration;

use super::crowd::Crowd;
use super::{Attack, SOON};
use crate::harness::*;

#[test]
fn heads_that_drip() {
    const COUNT: usize = 300;
    Attack::new("heads that drip")
        .on(|setup, _| setup.set("proxy.header_timeout_secs", 1))
        .with_connections(COUNT, 0)
        .run(|attacker| {
            let mut crowd = Crowd::open(attacker, attacker.vhost.http(), COUNT, b"GE");
            while attacker.goes_on() {
                crowd.send(b"T");
                std::thread::sleep(Duration::from_millis(100));
            }
            eventually("all were refused", SOON, || {
                attacker.refused("head_timeout") == COUNT as u64
            });
        });
}

#[test]
fn bodies_that_drip() {
    const COUNT: usize = 200;
    Attack::new("bodies that drip")
        .on(|setup, _| {
            setup.set("proxy.min_body_bytes_per_sec", 1000).set("proxy.body_grace_secs", 1)
        })
        .with_connections(COUNT, 8)
        .run(|attacker| {
            let head = "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000000\r\n\r\n";
            let mut crowd = Crowd::open(attacker, attacker.vhost.http(), COUNT, head.as_bytes());
            eventually("all were cut off", SOON, || {
                crowd.send(b"x");
                std::thread::sleep(Duration::from_millis(50));
                attacker.refused("body_timeout") == COUNT as u64
            });
            attacker.hold();
        });
}

#[test]
fn chunks_of_one_byte() {
    // What has come by the end of the attack is worked off behind it.
    const COUNT: usize = 20;
    Attack::new("chunks of one byte").with_connections(COUNT, COUNT).run(|attacker| {
        let head = "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut crowd = Crowd::open(attacker, attacker.vhost.http(), COUNT, head.as_bytes());
        let chunks = b"1\r\nx\r\n".repeat(10);
        while attacker.goes_on() {
            crowd.send(&chunks);
            std::thread::sleep(Duration::from_millis(20));
        }
    });
}

#[test]
fn uploads_to_a_backend_that_takes_none() {
    const COUNT: usize = 40;
    let stalling = RawBackend::start(RawConnection::stall);
    let address = stalling.address();
    Attack::new("uploads to a backend that takes none")
        .on(|setup, _| {
            // Its probes would not be answered.
            setup
                .tcp_probes()
                .set("upstream.write_timeout_secs", 3)
                .domain("stalled.test", "stalled")
                .backend("stalled", address, &["stalled"])
        })
        .with_connections(0, COUNT)
        .run(|attacker| {
            let head =
                "POST / HTTP/1.1\r\nHost: stalled.test\r\nContent-Length: 99999999999\r\n\r\n";
            let mut crowd = Crowd::open(attacker, attacker.vhost.http(), COUNT, head.as_bytes());
            let piece = vec![0; 64 * 1024];
            while attacker.goes_on() {
                crowd.send(&piece);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
}

#[test]
fn whatever_is_too_large() {
    Attack::new("whatever is too large")
        .on(|setup, _| setup.domain_with("small.test", "a", "max_body_bytes = 1000000"))
        .with_connections(8, 8)
        .run(|attacker| {
            let fields = "x: y\r\n".repeat(5000);
            let (name, value) = ("n".repeat(100_000), "x".repeat(1_000_000));
            let requests = [
                format!("GET /{} HTTP/1.1\r\nHost: small.test\r\n\r\n", "x".repeat(20_000)),
                format!("GET / HTTP/1.1\r\nX: {value}\r\n\r\n"),
                format!("GET / HTTP/1.1\r\nHost: small.test\r\n{name}: x\r\n\r\n"),
                format!("GET / HTTP/1.1\r\n{fields}\r\n"),
                "POST / HTTP/1.1\r\nHost: small.test\r\nContent-Length: 99999999999\r\n\r\n".into(),
            ];
            while attacker.goes_on() {
                for request in &requests {
                    let Ok(stream) = attacker.connect(attacker.vhost.http()) else { continue };
                    let mut client = Client::over(stream);
                    // It may be closed before all is sent, and then the answer may be lost.
                    let _ = client.try_send(request);
                    if let Ok(head) = client.read_head()
                        && !matches!(head.status, 413 | 414 | 431)
                    {
                        attacker.complain(format!("status {}", head.status));
                    }
                }
            }
            for reason in ["uri_too_long", "head_too_large", "body_too_large"] {
                assert!(attacker.refused(reason) > 0, "{reason}");
            }
        });
}

#[test]
fn uploads_that_are_broken_off() {
    Attack::new("uploads that are broken off").with_connections(8, 8).run(|attacker| {
        attacker.side_by_side(3, |_| {
            while attacker.goes_on() {
                let Ok(mut stream) = attacker.connect(attacker.vhost.http()) else { continue };
                let head = "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 9999\r\n\r\nx";
                let _ = stream.write_all(head.as_bytes());
                Client::over(stream).reset();
                std::thread::sleep(Duration::from_millis(3));
            }
        });
    });
}
