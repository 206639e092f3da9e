//! HTTP/2 connections that ask for much, and take none of it.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Attack;
use super::crowd::Crowd;
use super::floods::beginning;
use crate::harness::peer::{
    ACK, DATA, END_HEADERS, HEADERS, SETTINGS, WHOLE, WINDOW_UPDATE, block, frame,
};
use crate::harness::{RawBackend, RawConnection};

/// The most that a window may be.
const WIDE: u32 = 0x7fff_ffff;

/// The number of the setting `INITIAL_WINDOW_SIZE`.
const INITIAL_WINDOW_SIZE: u16 = 4;

/// A whole GET, or the head of a POST.
fn request(stream: u32, method: &str, host: &str, path: &str) -> Vec<u8> {
    let fields = [(":method", method), (":scheme", "http"), (":authority", host), (":path", path)];
    let flags = if method == "GET" { WHOLE } else { END_HEADERS };
    frame(HEADERS, flags, stream, &block(&fields))
}

/// The beginning of a connection whose windows are as wide as can be.
fn wide_open() -> Vec<u8> {
    let more = (WIDE - 65535).to_be_bytes();
    [beginning(&[(INITIAL_WINDOW_SIZE, WIDE)]), frame(WINDOW_UPDATE, 0, 0, &more)].concat()
}

/// So many requests, on streams of their own.
fn requests(count: u32, method: &str, host: &str, path: &str) -> Vec<u8> {
    (0..count).flat_map(|number| request(2 * number + 1, method, host, path)).collect()
}

/// Connections that send this and read nothing.
fn hoard(attack: Attack, connections: usize, greeting: &[u8]) {
    attack.with_connections(0, connections).run(|attacker| {
        let address = attacker.vhost.http();
        let crowd = Crowd::open_with(attacker, address, connections, greeting, Some(2048));
        attacker.hold();
        drop(crowd);
    });
}

#[test]
fn open_windows_that_nobody_reads() {
    let greeting = [wide_open(), requests(100, "GET", "large.test", "/large")].concat();
    hoard(
        Attack::new("HTTP/2: open windows that nobody reads, one address").from_one_address(),
        8,
        &greeting,
    );
}

#[test]
fn open_windows_that_nobody_reads_of_many_addresses() {
    let greeting = [wide_open(), requests(50, "GET", "large.test", "/large")].concat();
    hoard(
        Attack::new("HTTP/2: open windows that nobody reads, 12 addresses").from_addresses(12),
        12,
        &greeting,
    );
}

#[test]
fn open_windows_of_compressed_answers() {
    let attack = Attack::new("HTTP/2: compressed answers that nobody reads")
        .on(|setup, _| setup.domain_with("text.test", "large", "compression = [\"br\"]"));
    let asks = |stream| {
        let fields = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "text.test"),
            (":path", "/text"),
            ("accept-encoding", "br"),
        ];
        frame(HEADERS, WHOLE, stream, &block(&fields))
    };
    let asks: Vec<u8> = (0..40).flat_map(|number| asks(2 * number + 1)).collect();
    hoard(attack, 6, &[wide_open(), asks].concat());
}

#[test]
fn windows_of_zero() {
    let greeting =
        [beginning(&[(INITIAL_WINDOW_SIZE, 0)]), requests(100, "GET", "large.test", "/large")]
            .concat();
    hoard(Attack::new("HTTP/2: windows of zero"), 16, &greeting);
}

#[test]
fn streams_far_beyond_the_limit() {
    const CONNECTIONS: usize = 10;
    Attack::new("HTTP/2: streams far beyond the limit").with_connections(0, CONNECTIONS).run(
        |attacker| {
            let address = attacker.vhost.http();
            attacker.side_by_side(CONNECTIONS, |_| {
                let Ok(mut stream) = attacker.connect_with(address, Some(2048)) else { return };
                let _ = stream.set_write_timeout(Some(Duration::from_secs(1)));
                let _ = stream.write_all(&beginning(&[(INITIAL_WINDOW_SIZE, 0)]));
                // As many as it takes, until it is closed or takes none any more.
                for first in (1..200_000).step_by(400) {
                    let many: Vec<u8> = (0..200)
                        .flat_map(|number| {
                            request(first + 2 * number, "GET", "large.test", "/large")
                        })
                        .collect();
                    if stream.write_all(&many).is_err() {
                        break;
                    }
                }
                attacker.hold();
            });
        },
    );
}

#[test]
fn uploads_on_all_streams_to_a_backend_that_takes_none() {
    const CONNECTIONS: usize = 10;
    let stalling = RawBackend::start(RawConnection::stall);
    let address = stalling.address();
    let attack = Attack::new("HTTP/2: uploads to a backend that takes none").on(|setup, _| {
        setup.tcp_probes().domain("stalled.test", "stalled").backend(
            "stalled",
            address,
            &["stalled"],
        )
    });
    let body = vec![0; 16 * 1024];
    // As much as the connection's window was in the first version, on more streams than one's would take.
    let posts = [
        frame(SETTINGS, ACK, 0, &[]),
        requests(60, "POST", "stalled.test", "/"),
        (0..60).flat_map(|number| frame(DATA, 0, 2 * number + 1, &body)).collect(),
    ]
    .concat();
    attack.with_connections(0, CONNECTIONS).run(|attacker| {
        attacker.side_by_side(CONNECTIONS, |_| {
            let Ok(mut stream) = attacker.connect(attacker.vhost.http()) else { return };
            let _ = stream.set_write_timeout(Some(Duration::from_secs(1)));
            let _ = stream.write_all(&beginning(&[]));
            // The server's own settings, which are to be acknowledged.
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(&posts);
            attacker.hold();
        });
    });
}

/// How many bytes a backend may get for each that a client has sent, once the table of fields has been
/// filled.
const MAX_EXPANSION: u64 = 40;

#[test]
fn fields_that_expand() {
    Attack::new("HTTP/2: fields that expand").with_connections(0, 4).run(|attacker| {
        let sent = AtomicU64::new(0);
        let before = attacker.stage.large.received();
        attacker.side_by_side(4, |_| {
            let Ok(mut stream) = attacker.connect(attacker.vhost.http()) else { return };
            let Ok(mut reading) = stream.try_clone() else { return };
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    let mut buffer = vec![0; 64 * 1024];
                    while reading.read(&mut buffer).is_ok_and(|read| read > 0) {}
                });
                let write = |stream: &mut std::net::TcpStream, bytes: &[u8]| {
                    sent.fetch_add(bytes.len() as u64, Ordering::SeqCst);
                    stream.write_all(bytes).is_ok()
                };
                let mut goes_on = write(&mut stream, &beginning(&[]));
                // One field of nearly the table's size, then sixteen times itself in as many bytes.
                let value = [&[0x40, 1, b'b', 127, 0xa1, 0x1e][..], &[b'x'; 4000]].concat();
                for number in 0..2000_u32 {
                    if !goes_on || !attacker.goes_on() {
                        break;
                    }
                    let host = [&[0x82, 0x86, 0x84, 0x01, 10][..], b"large.test"].concat();
                    let fields = if number == 0 { value.clone() } else { vec![0xbe; 15] };
                    let head = frame(HEADERS, WHOLE, 2 * number + 1, &[host, fields].concat());
                    goes_on = write(&mut stream, &head);
                }
                let _ = stream.shutdown(std::net::Shutdown::Both);
            });
        });
        let (sent, got) = (sent.into_inner(), attacker.stage.large.received() - before);
        println!("{sent} bytes became {got}");
        if got > sent * MAX_EXPANSION + (1 << 20) {
            attacker.complain(format!("{sent} bytes became {got} towards the backend"));
        }
        attacker.hold();
    });
}
