//! Clients that take nothing of what they have asked for: what is held for them has a bound, which is
//! stated here. The attackers' suite has the same beside honest traffic.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};

use super::{refused, site};
use crate::harness::*;

const SOON: Duration = Duration::from_mins(1);

/// What `proxy.max_buffered_bytes_per_connection` is by default, in kilobytes.
const BUDGET_KB: u64 = 2 * 1024;

/// What a request takes besides the bytes of its bodies: sessions on both sides, their heads, tasks.
const REQUEST_KB: u64 = 48;

/// What a debug build's allocator and threads may take on top.
const SLACK_KB: u64 = 24 * 1024;

const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const WINDOW_UPDATE: u8 = 0x8;

/// The largest window (RFC 9113 §6.9.1).
const MAX_WINDOW: u32 = 0x7fff_ffff;

/// A backend that has an answer of 8 MiB for each request, and takes whatever it is sent.
struct Large {
    address: SocketAddr,
    received: Arc<AtomicUsize>,
}

impl Large {
    fn start(kind: &'static str) -> Self {
        let listener = TcpListener::bind((free_ip(), 0)).expect("a free address");
        let address = listener.local_addr().expect("it is bound");
        let received = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // What the kernel keeps is nobody's to count; but there are hundreds of these.
                let _ = setsockopt(&stream, sockopt::SndBuf, &(64 * 1024));
                let counter = Arc::clone(&counter);
                let serve = move || serve_large(stream, kind, &counter);
                let _ = std::thread::Builder::new().stack_size(256 * 1024).spawn(serve);
            }
        });
        Self { address, received }
    }
}

fn serve_large(mut stream: TcpStream, kind: &str, received: &AtomicUsize) {
    // Text that no encoder makes much smaller.
    let mut random = 1_u32;
    let mut next = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'0' + u8::try_from(random >> 26).expect("six bits")
    };
    let piece: Vec<u8> = (0..64 * 1024).map(|_| next()).collect();
    let (mut head, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        received.fetch_add(read, Ordering::SeqCst);
        head.extend_from_slice(&buffer[..read]);
        while let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            head.drain(..end + 4);
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
                128 * piece.len()
            );
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
            for _ in 0..128 {
                if stream.write_all(&piece).is_err() {
                    return;
                }
            }
        }
    }
}

/// The site under attack, where the large answers are; and where its metrics are.
fn hoard(backend: &Backend, large: &Large) -> (Setup, SocketAddr) {
    let metrics = free_address();
    let setup = site(backend)
        .lifetime(Duration::from_mins(5))
        .domain("large.test", "large")
        .backend("large", large.address, &["large"])
        .set("metrics.enabled", true)
        .set("metrics.listen_addr", format!("\"{metrics}\""))
        .tcp_probes();
    (setup, metrics)
}

/// Runs an attack on a server of its own, whose memory may grow by so many kilobytes.
fn within(what: &str, setup: &Setup, max_kb: u64, attack: impl FnOnce(&Vhost)) {
    let vhost = setup.clone().start();
    vhost.wait_until_healthy(2);
    let before = vhost.memory_kb();
    attack(&vhost);
    let grown = vhost.memory_kb().saturating_sub(before);
    println!("{what}: {grown} KB more of {max_kb}");
    assert!(grown <= max_kb, "{what}: memory grew by {grown} KB, more than {max_kb}");
    assert_eq!(vhost.get("example.com", "/").status, 200);
}

fn connect(vhost: &Vhost) -> TcpStream {
    let stream = TcpStream::connect(vhost.http()).expect("the proxy accepts");
    stream.set_read_timeout(Some(SOON)).expect("a timeout can be set");
    stream.set_write_timeout(Some(SOON)).expect("a timeout can be set");
    stream
}

/// The beginning of an HTTP/2 connection: the preface and empty SETTINGS.
fn h2_hello() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("small").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Bytes that the server holds for its clients.
fn buffered(metrics: SocketAddr) -> u64 {
    let mut stream = TcpStream::connect(metrics).expect("it listens");
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {metrics}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    let line = text.lines().find_map(|line| line.strip_prefix("proxy_buffered_bytes "));
    line.expect("it is exported").parse().expect("a whole number")
}

/// Waits until so many requests run, and what is held for them has not changed for a while.
fn wait_until_full(vhost: &Vhost, metrics: SocketAddr, requests: u64) {
    eventually("all run", SOON, || vhost.in_flight() >= requests);
    let (mut last, mut same) = (0, 0);
    eventually("what is held stays the same", SOON, || {
        let now = buffered(metrics);
        same = if now == last && now > 0 { same + 1 } else { 0 };
        last = now;
        same == 50
    });
    println!("{requests} requests hold {last} bytes");
}

fn wait_until_empty(vhost: &Vhost, metrics: SocketAddr) {
    eventually("the requests have ended", SOON, || vhost.in_flight() == 0);
    eventually("what was held is free", SOON, || buffered(metrics) == 0);
}

/// A stream socket that the kernel takes little for.
fn narrow(vhost: &Vhost) -> TcpStream {
    let stream = connect(vhost);
    setsockopt(&stream, sockopt::RcvBuf, &4096).expect("it can be set");
    stream
}

/// HEADERS of `GET / ` at a host, which end the stream.
fn get_frame(stream: u32, host: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x84, 0x41, u8::try_from(host.len()).expect("short")];
    block.extend(host.as_bytes());
    frame(HEADERS, 0x5, stream, &block)
}

/// Opens a connection with this initial window and asks for so many large answers.
fn hoarder(vhost: &Vhost, window: u32, streams: u32) -> TcpStream {
    let mut stream = narrow(vhost);
    let mut bytes = h2_hello()[..24].to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[&[0, 4][..], &window.to_be_bytes()].concat()));
    bytes.extend(frame(WINDOW_UPDATE, 0, 0, &(MAX_WINDOW - 65_535).to_be_bytes()));
    bytes.extend((0..streams).flat_map(|n| get_frame(2 * n + 1, "large.test")));
    stream.write_all(&bytes).expect("it reads");
    stream
}

#[test]
fn streams_whose_answers_nobody_reads_share_the_budget_of_their_connection() {
    const CONNECTIONS: u64 = 4;
    let (backend, large) = (Backend::start("web"), Large::start("application/octet-stream"));
    let (setup, metrics) = hoard(&backend, &large);
    let max_kb = CONNECTIONS * (BUDGET_KB + 100 * REQUEST_KB) + SLACK_KB;
    within("unread streams", &setup, max_kb, |vhost| {
        let hoarders: Vec<_> = (0..CONNECTIONS).map(|_| hoarder(vhost, MAX_WINDOW, 100)).collect();
        wait_until_full(vhost, metrics, 100 * CONNECTIONS);
        assert!(buffered(metrics) <= CONNECTIONS * BUDGET_KB * 1024);
        drop(hoarders);
        wait_until_empty(vhost, metrics);
    });
}

#[test]
fn streams_with_a_window_of_zero_hold_next_to_nothing() {
    let (backend, large) = (Backend::start("web"), Large::start("application/octet-stream"));
    let (setup, metrics) = hoard(&backend, &large);
    let max_kb = 2 * (BUDGET_KB + 100 * REQUEST_KB) + SLACK_KB;
    within("windows of zero", &setup, max_kb, |vhost| {
        let hoarders: Vec<_> = (0..2).map(|_| hoarder(vhost, 0, 100)).collect();
        wait_until_full(vhost, metrics, 200);
        drop(hoarders);
        wait_until_empty(vhost, metrics);
    });
}

#[test]
fn answers_that_nobody_reads_over_http1_are_read_no_further() {
    const CONNECTIONS: u64 = 50;
    let (backend, large) = (Backend::start("web"), Large::start("text/plain"));
    let (setup, metrics) = hoard(&backend, &large);
    within("unread answers", &setup, CONNECTIONS * 400 + SLACK_KB, |vhost| {
        let mut hoarders: Vec<_> = (0..CONNECTIONS).map(|_| narrow(vhost)).collect();
        for stream in &mut hoarders {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: large.test\r\n\r\n").expect("it reads");
        }
        wait_until_full(vhost, metrics, CONNECTIONS);
        drop(hoarders);
        wait_until_empty(vhost, metrics);
    });
}

#[test]
fn the_kernel_keeps_little_for_a_client_that_has_stopped_reading() {
    const MAX_KEPT: u64 = 256 * 1024;
    let (backend, large) = (Backend::start("web"), Large::start("text/plain"));
    let (setup, metrics) = hoard(&backend, &large);
    let vhost = setup.start();
    vhost.wait_until_healthy(2);
    let mut stream = connect(&vhost);
    setsockopt(&stream, sockopt::RcvBuf, &(128 * 1024)).expect("it can be set");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: large.test\r\n\r\n").expect("it reads");
    // What is read at speed makes the kernel widen the send buffer.
    let mut read = vec![0; 4 << 20];
    stream.read_exact(&mut read).expect("half of the answer");
    wait_until_full(&vhost, metrics, 1);
    let kept = unsent(vhost.http(), stream.local_addr().expect("it is connected"));
    assert!(kept > 0, "the client's own buffer is full");
    assert!(kept <= MAX_KEPT, "{kept} bytes");
}

/// Bytes that the kernel has of the connection from `local` to `peer`, as `/proc/net/tcp` has it.
fn unsent(local: SocketAddr, peer: SocketAddr) -> u64 {
    let written = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port()),
        IpAddr::V6(_) => panic!("{address} is in another table"),
    };
    let (local, peer) = (written(local), written(peer));
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let found = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = found.into_iter().find(|row| row[1] == local && row[2] == peer);
    let queues = row.expect("the connection is open")[4];
    u64::from_str_radix(queues.split_once(':').expect("both queues").0, 16).expect("a number")
}

#[test]
fn a_stream_that_takes_nothing_is_ended_and_its_connection_goes_on() {
    let (backend, large) = (Backend::start("web"), Large::start("application/octet-stream"));
    let (setup, metrics) = hoard(&backend, &large);
    let vhost = setup.set("proxy.write_timeout_secs", 1).start();
    vhost.wait_until_healthy(2);
    let mut stream = hoarder(&vhost, 0, 1);
    eventually("it is counted as the client's", SOON, || refused(&vhost, "client_gone") == 1);
    wait_until_empty(&vhost, metrics);
    let mut frames = Frames::default();
    frames.read_until(&mut stream, |(kind, id, _)| *kind == RST_STREAM && *id == 1);
    // The window stays at zero: an answer without a body needs none.
    stream.write_all(&get_frame(3, "example.com")).expect("it is open");
    frames.read_until(&mut stream, |(kind, id, _)| *kind == HEADERS && *id == 3);
}

#[test]
fn a_large_answer_arrives_whole_over_both_protocols() {
    let (backend, large) = (Backend::start("web"), Large::start("application/octet-stream"));
    let (setup, metrics) = hoard(&backend, &large);
    let vhost = setup.start();
    vhost.wait_until_healthy(2);
    let response = vhost.get("large.test", "/");
    assert_eq!((response.status, response.body.len()), (200, 8 << 20));
    in_runtime(async {
        let mut client = H2::connect(vhost.http()).await;
        for _ in 0..3 {
            let response = client.get("large.test", "/").await.expect("an answer");
            assert_eq!((response.status.as_u16(), response.body.len()), (200, 8 << 20));
        }
    });
    wait_until_empty(&vhost, metrics);
}

/// HEADERS whose block takes a field of almost 4 KiB into the table, or, from then on, names it sixteen
/// times: some 60 KiB for 30 bytes.
fn bomb(number: u32) -> Vec<u8> {
    // `:authority` stays out of the table.
    let mut block = vec![0x82, 0x86, 0x84, 0x01, 10];
    block.extend(b"large.test");
    if number == 0 {
        // Literal with incremental indexing, a new name; the length is 127 + 3673 (RFC 7541 §5.1).
        block.extend([0x40, 1, b'x', 0x7f, 0xd9, 0x1c]);
        block.extend([b'y'; 3800]);
    } else {
        block.extend([0xbe; 16]);
    }
    frame(HEADERS, 0x5, 2 * number + 1, &block)
}

#[test]
fn what_heads_expand_to_is_metered() {
    let (backend, large) = (Backend::start("web"), Large::start("application/octet-stream"));
    let (setup, metrics) = hoard(&backend, &large);
    within("bombs", &setup, 64 * 1024, |vhost| {
        let mut stream = connect(vhost);
        let mut reading = stream.try_clone().expect("a descriptor");
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while reading.read(&mut buffer).is_ok_and(|read| read > 0) {}
        });
        stream.write_all(&h2_hello()).expect("it reads");
        let sent = (0..1000).take_while(|number| stream.write_all(&bomb(*number)).is_ok()).count();
        eventually("it is counted", SOON, || refused(vhost, "h2_flood") > 0);
        drop(stream);
        let _ = reader.join();
        wait_until_empty(vhost, metrics);
        let received = large.received.load(Ordering::SeqCst);
        println!("{sent} bombs came, {received} bytes went on");
        assert!(received < 10 << 20, "{received} bytes went to the backend");
    });
}

/// Frames as they come.
#[derive(Default)]
struct Frames(Vec<u8>);

impl Frames {
    /// Reads until one is as it should be: its type, its stream, its flags.
    fn read_until(&mut self, stream: &mut TcpStream, is_it: impl Fn(&(u8, u32, u8)) -> bool) {
        loop {
            while let [a, b, c, kind, flags, d, e, f, g, ..] = self.0[..] {
                let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).expect("small");
                if self.0.len() < 9 + length {
                    break;
                }
                self.0.drain(..9 + length);
                if is_it(&(kind, u32::from_be_bytes([d, e, f, g]), flags)) {
                    return;
                }
            }
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).expect("it goes on");
            assert!(read > 0, "it has closed");
            self.0.extend_from_slice(&buffer[..read]);
        }
    }
}
