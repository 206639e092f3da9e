//! HTTP/2 connections that ask for much, and take none of it.

use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::crowd::Crowd;
use super::floods::beginning;
use super::sampler::buffered;
use super::{Attack, SOON};
use crate::harness::peer::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Peer, SETTINGS, WHOLE,
    WINDOW_UPDATE, block, frame,
};
use crate::harness::{RawBackend, RawConnection, eventually};

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
    let attack = attack.with_connections(0, connections).with_requests(100 * connections);
    attack.run(|attacker| {
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
        Attack::new("HTTP/2: open windows that nobody reads, one address").of_one_address(),
        8,
        &greeting,
    );
}

#[test]
fn open_windows_that_nobody_reads_of_many_addresses() {
    let greeting = [wide_open(), requests(50, "GET", "large.test", "/large")].concat();
    hoard(
        Attack::new("HTTP/2: open windows that nobody reads, 12 addresses").of_addresses(12),
        12,
        &greeting,
    );
}

/// So many that what is held for each must be little. `unread-streams` of `./dev bench` has what it costs the others.
#[test]
fn forty_connections_of_a_hundred_streams_that_nobody_reads() {
    const CONNECTIONS: usize = 40;
    // `max_buffered_bytes_per_connection`.
    const HELD: usize = 2 * 1024 * 1024;
    let greeting = [wide_open(), requests(100, "GET", "large.test", "/large")].concat();
    let attack = Attack::new("HTTP/2: 40 × 100 streams that nobody reads")
        .with_connections(0, CONNECTIONS)
        .with_requests(100 * CONNECTIONS);
    attack.run(|attacker| {
        let address = attacker.vhost.http();
        let crowd = Crowd::open_with(attacker, address, CONNECTIONS, &greeting, Some(2048));
        eventually("all of them run", SOON, || {
            attacker.vhost.in_flight() >= 100 * CONNECTIONS as u64
        });
        attacker.hold();
        let held = buffered(attacker.stage.metrics).and_then(|bytes| bytes.parse().ok());
        if held.is_none_or(|held: usize| held > CONNECTIONS * HELD) {
            attacker.complain(format!("{held:?} bytes are held"));
        }
        if attacker.vhost.in_flight() < 100 * CONNECTIONS as u64 {
            attacker.complain("they were not kept");
        }
        drop(crowd);
    });
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

/// As many streams as are taken, whether the client reads what it is answered or not.
fn far_beyond_the_limit(name: &'static str, reads: bool) {
    const CONNECTIONS: usize = 8;
    Attack::new(name).with_connections(0, CONNECTIONS).run(|attacker| {
        attacker.side_by_side(CONNECTIONS, |_| {
            while attacker.goes_on() {
                let Ok(mut stream) = attacker.connect(attacker.vhost.http()) else { return };
                let _ = stream.set_write_timeout(Some(Duration::from_secs(1)));
                let Ok(mut reading) = stream.try_clone() else { return };
                std::thread::scope(|scope| {
                    scope.spawn(move || {
                        let mut buffer = vec![0; 64 * 1024];
                        while reads && reading.read(&mut buffer).is_ok_and(|read| read > 0) {}
                    });
                    let mut written = stream.write_all(&beginning(&[(INITIAL_WINDOW_SIZE, 0)]));
                    let mut first = 1;
                    while written.is_ok() && attacker.goes_on() {
                        let many: Vec<u8> = (0..50)
                            .flat_map(|number| {
                                request(first + 2 * number, "GET", "large.test", "/large")
                            })
                            .collect();
                        first += 100;
                        written = stream.write_all(&many);
                    }
                    if !reads {
                        attacker.hold();
                    }
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                });
            }
        });
    });
}

#[test]
fn streams_far_beyond_the_limit() {
    far_beyond_the_limit("HTTP/2: streams far beyond the limit", true);
}

#[test]
fn streams_far_beyond_the_limit_by_who_does_not_read() {
    far_beyond_the_limit("HTTP/2: streams far beyond the limit, nothing read", false);
}

#[test]
fn uploads_on_all_streams_to_a_backend_that_takes_none() {
    const CONNECTIONS: usize = 10;
    let stalling = RawBackend::start(RawConnection::stall);
    let address = stalling.address();
    let attack = Attack::new("HTTP/2: uploads to a backend that takes none").on(|setup, _| {
        setup
            .tcp_probes()
            .set("upstream.write_timeout_secs", 3)
            .domain("stalled.test", "stalled")
            .backend("stalled", address, &["stalled"])
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
/// filled; and what it may get of each connection besides.
const MAX_EXPANSION: u64 = 40;
const MAX_METERED: u64 = 3 * 1024 * 1024;

#[test]
fn fields_that_expand() {
    /// Requests of one batch: fewer than may run at once.
    const BATCH: u32 = 80;
    const CONNECTIONS: usize = 4;
    Attack::new("HTTP/2: fields that expand").with_connections(0, CONNECTIONS).run(|attacker| {
        let sent = AtomicU64::new(0);
        let before = attacker.stage.large.received();
        // One field of nearly the table's size, and then fifteen times that one in as many bytes.
        let value = [&[0x40, 1, b'b', 127, 0xa1, 0x1e][..], &[b'x'; 4000]].concat();
        let host = [&[0x82, 0x86, 0x84, 0x01, 10][..], b"large.test"].concat();
        let head = |number: u32| {
            let fields = if number == 0 { value.clone() } else { vec![0xbe; 15] };
            frame(HEADERS, WHOLE, 2 * number + 1, &[&host[..], &fields].concat())
        };
        attacker.side_by_side(CONNECTIONS, |_| {
            let Ok(stream) = attacker.connect(attacker.vhost.http()) else { return };
            let mut peer = Peer::over(stream);
            peer.send(&beginning(&[]));
            let mut number = 0;
            while attacker.goes_on() {
                let batch: Vec<u8> = (number..number + BATCH).flat_map(&head).collect();
                number += BATCH;
                sent.fetch_add(batch.len() as u64, Ordering::SeqCst);
                peer.send(&batch);
                let mut answers = 0;
                while answers < BATCH {
                    let Ok(Some(answer)) = peer.read(Instant::now() + SOON) else { return };
                    answers += u32::from(
                        matches!(answer.kind, DATA | HEADERS) && answer.flags & END_STREAM != 0,
                    );
                }
            }
        });
        let (sent, got) = (sent.into_inner(), attacker.stage.large.received() - before);
        println!("{sent} bytes became {got}");
        if got > sent * MAX_EXPANSION + MAX_METERED * CONNECTIONS as u64 {
            attacker.complain(format!("{sent} bytes became {got} towards the backend"));
        }
        attacker.hold();
    });
}

#[test]
fn header_blocks_that_never_end() {
    const CONNECTIONS: usize = 1000;
    const THREADS: usize = 8;
    // Nearly as large as a block may be.
    let field = |length| block(&[("x-fill", &*"v".repeat(length))]);
    let frames = [
        beginning(&[]),
        frame(HEADERS, END_STREAM, 1, &block(&[(":method", "GET"), (":scheme", "http")])),
        frame(CONTINUATION, 0, 1, &field(15_700)).repeat(8),
    ]
    .concat();
    let attack = Attack::new("HTTP/2: header blocks that never end").of_one_address();
    attack.with_connections(0, CONNECTIONS).run(|attacker| {
        let open = Mutex::new(Vec::new());
        attacker.side_by_side(THREADS, |_| {
            for _ in 0..CONNECTIONS / THREADS {
                let Ok(mut stream) = attacker.connect(attacker.vhost.http()) else { return };
                // It fails where the server has had enough.
                let _ = stream.write_all(&frames);
                open.lock().unwrap().push(stream);
            }
        });
        attacker.hold();
        drop(open);
        if attacker.refused("h2_flood") == 0 {
            attacker.complain("all that one client sends of its heads is held");
        }
    });
}
