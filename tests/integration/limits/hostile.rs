//! Clients that mean harm, each while normal traffic runs: that loses nothing, and memory stays within
//! the bounds that are stated here. How much slower it gets is printed, with `./dev test --soak` beside what
//! the same attack on another server does to it; docs/performance.md has it.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{refused, resident_kb, site};
use crate::harness::*;

const SOON: Duration = Duration::from_secs(30);

/// How long normal traffic runs alone, to compare with.
const ALONE: Duration = Duration::from_millis(1500);

/// Normal traffic: clients that each do one exchange after the other.
#[derive(Default)]
struct Traffic {
    ended: AtomicBool,
    times: Mutex<Vec<Duration>>,
    failures: Mutex<Vec<String>>,
}

impl Traffic {
    fn run(&self, address: SocketAddr) {
        let mut client = Client::connect(address);
        while !self.ended.load(Ordering::SeqCst) {
            let begun = Instant::now();
            match client.try_get("example.com", "/") {
                Ok(response) if response.status == 200 => {
                    self.times.lock().expect("no panic").push(begun.elapsed());
                }
                Ok(response) => self.failed(format!("status {}", response.status)),
                Err(error) => {
                    self.failed(error.to_string());
                    client = Client::connect(address);
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn failed(&self, why: String) {
        self.failures.lock().expect("no panic").push(why);
    }

    /// The 99th percentile of what has run since the last call.
    fn p99(&self) -> Duration {
        let mut times = std::mem::take(&mut *self.times.lock().expect("no panic"));
        times.sort_unstable();
        assert!(times.len() > 10, "hardly any traffic: {}", times.len());
        times[times.len() * 99 / 100]
    }
}

/// What an attack does to normal traffic.
struct Effect {
    /// The 99th percentile before it.
    alone: Duration,
    /// The same while it runs.
    under: Duration,
    /// How many kilobytes of memory more were used than the `before` it.
    grown: u64,
    before: u64,
}

impl Effect {
    /// Runs `attack` while normal traffic runs at `vhost`, which must lose nothing.
    fn of(vhost: &Vhost, attack: impl FnOnce()) -> Self {
        let traffic = Traffic::default();
        let peak = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| traffic.run(vhost.http()));
            }
            std::thread::sleep(ALONE);
            let (alone, before) = (traffic.p99(), resident_kb(vhost));
            scope.spawn(|| {
                while !traffic.ended.load(Ordering::SeqCst) {
                    peak.fetch_max(resident_kb(vhost), Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            let attacked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(attack));
            let enough = Instant::now() + SOON;
            while traffic.times.lock().expect("no panic").len() < 200 && Instant::now() < enough {
                std::thread::sleep(Duration::from_millis(10));
            }
            traffic.ended.store(true, Ordering::SeqCst);
            if let Err(panic) = attacked {
                std::panic::resume_unwind(panic);
            }
            let grown = peak.load(Ordering::SeqCst).saturating_sub(before);
            let failures = traffic.failures.lock().expect("no panic");
            assert!(
                failures.is_empty(),
                "normal traffic lost {}: {:?}",
                failures.len(),
                failures[0]
            );
            Self { alone, under: traffic.p99(), grown, before }
        })
    }
}

/// Attacks a server with `setup` while normal traffic runs there; its memory may grow by so many
/// kilobytes. Attackers take time from everybody on this machine, so what the attack costs normal
/// traffic is to be seen beside what the same one costs it at another server.
fn under_fire(
    what: &str,
    setup: impl Fn() -> Setup,
    most_kb: u64,
    attack: impl Fn(&Vhost),
) -> Vhost {
    let start = || {
        let vhost = setup().start();
        eventually("all are healthy", SOON, || {
            let state = vhost.rpc("state.get", json!({})).expect("state.get answers");
            state["backends"] == state["healthy"]
        });
        vhost
    };
    let vhost = start();
    let beside = std::env::var_os("VHOST_SOAK").map(|_| {
        let other = start();
        Effect::of(&vhost, || attack(&other)).under
    });
    let Effect { alone, under, grown, before } = Effect::of(&vhost, || attack(&vhost));
    println!(
        "{what}: p99 {under:?}, alone {alone:?}, beside it {beside:?}; memory grew by {grown} kB of {before} kB"
    );
    assert!(grown <= most_kb, "memory grew by {grown} kB");
    vhost
}

/// The site under attack. Its backend answers at once.
fn target(backend: &Backend) -> Setup {
    site(backend).lifetime(Duration::from_mins(5)).set("logging.level", "\"info\"")
}

fn connect(vhost: &Vhost) -> TcpStream {
    let stream = TcpStream::connect(vhost.http()).expect("the proxy accepts");
    stream.set_read_timeout(Some(SOON)).expect("a timeout can be set");
    stream.set_write_timeout(Some(SOON)).expect("a timeout can be set");
    stream
}

/// Opens so many connections; what else they do is the caller's.
fn many(vhost: &Vhost, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| connect(vhost)).collect()
}

#[test]
fn slow_heads() {
    let backend = Backend::start("web");
    let setup = || target(&backend).set("proxy.header_timeout_secs", 1);
    // 300 heads that drip: 64 MB is far above what they are.
    let vhost = under_fire("slow heads", setup, 64 * 1024, |vhost| {
        let mut dripping = many(vhost, 300);
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            for stream in &mut dripping {
                let _ = stream.write_all(b"G");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    eventually("all have been refused", SOON, || refused(&vhost, "head_timeout") == 300);
}

#[test]
fn slow_bodies() {
    let backend = Backend::start("web");
    let setup = || {
        target(&backend).set("proxy.min_body_bytes_per_sec", 1000).set("proxy.body_grace_secs", 1)
    };
    // 200 bodies that drip; each holds a connection to the backend, too.
    under_fire("slow bodies", setup, 64 * 1024, |vhost| {
        let mut dripping = many(vhost, 200);
        for stream in &mut dripping {
            let head = "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000000\r\n\r\n";
            stream.write_all(head.as_bytes()).expect("the proxy reads");
        }
        eventually("each is cut off", SOON, || {
            for stream in &mut dripping {
                let _ = stream.write_all(b"x");
            }
            refused(vhost, "body_timeout") == 200
        });
    });
}

#[test]
fn idle_connections() {
    let backend = Backend::start("web");
    let (_, most) = raise_file_limit();
    // The server needs as many as this process, and both need some for themselves.
    let count = usize::try_from(most.saturating_sub(2000)).unwrap_or(usize::MAX).min(10_000);
    if count < 10_000 {
        println!("this machine allows {most} open files: {count} connections instead of 10000");
    }
    let setup = || {
        target(&backend)
            .set("proxy.max_connections_per_client", 20_000)
            .set("proxy.max_silent_connections", 20_000)
    };
    // Twice the 3.4 KiB that docs/performance.md has for one that had an answer, and some of their own.
    let most_kb = 8 * count as u64 + 32 * 1024;
    under_fire("idle connections", setup, most_kb, |vhost| {
        let mut idle = many(vhost, count);
        for stream in idle.iter_mut().take(200) {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").expect("it is open");
            let mut byte = [0];
            assert!(stream.read(&mut byte).is_ok_and(|read| read == 1), "it is served");
        }
    });
}

fn raise_file_limit() -> (u64, u64) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    (soft, hard)
}

const GIB: usize = 1 << 30;

/// A backend that sends a gigabyte for each GET, and swallows whatever is posted. Holds none of it.
fn streaming_backend() -> SocketAddr {
    let listener = TcpListener::bind((free_ip(), 0)).expect("a free address");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || stream_gigabyte(stream));
        }
    });
    address
}

fn stream_gigabyte(mut stream: TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    let Ok(read) = stream.read(&mut buffer) else { return };
    let head = String::from_utf8_lossy(&buffer[..read]).into_owned();
    if head.starts_with("GET /large") {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes());
        for _ in 0..GIB / buffer.len() {
            if stream.write_all(&buffer).is_err() {
                return;
            }
        }
    } else if head.starts_with("POST") {
        // Slow to begin, so that whoever buffers has to.
        std::thread::sleep(Duration::from_secs(1));
        let mut left = GIB - (read - head.find("\r\n\r\n").map_or(read, |end| end + 4));
        while left > 0 {
            match stream.read(&mut buffer) {
                Ok(1..) if left < buffer.len() => break,
                Ok(count @ 1..) => left = left.saturating_sub(count),
                _ => return,
            }
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngot!");
    } else {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
}

#[test]
fn a_gigabyte_each_way_and_readers_that_are_slow() {
    let backend = Backend::start("web");
    let large = streaming_backend();
    let setup =
        || target(&backend).domain("large.test", "large").backend("large", large, &["large"]);
    // A gigabyte each way, and ten readers that take nothing: what is buffered is a few windows each.
    under_fire("a gigabyte each way", setup, 64 * 1024, |vhost| {
        let mut stalled = many(vhost, 10);
        for stream in &mut stalled {
            stream.write_all(b"GET /large HTTP/1.1\r\nHost: large.test\r\n\r\n").expect("it reads");
        }
        let download = || {
            let mut stream = connect(vhost);
            stream.write_all(b"GET /large HTTP/1.1\r\nHost: large.test\r\n\r\n").expect("it reads");
            std::thread::sleep(Duration::from_secs(1));
            let (mut buffer, mut total) = (vec![0; 256 * 1024], 0);
            while total < GIB {
                total += match stream.read(&mut buffer) {
                    Ok(count @ 1..) => count,
                    other => panic!("after {total}: {other:?}"),
                };
            }
        };
        let upload = || {
            let mut stream = connect(vhost);
            let head =
                format!("POST / HTTP/1.1\r\nHost: large.test\r\nContent-Length: {GIB}\r\n\r\n");
            stream.write_all(head.as_bytes()).expect("it reads");
            let piece = vec![0; 256 * 1024];
            for _ in 0..GIB / piece.len() {
                stream.write_all(&piece).expect("it reads on");
            }
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).expect("it answers");
            assert_eq!(&answer, b"HTTP/1.1 200");
        };
        std::thread::scope(|scope| {
            scope.spawn(download);
            scope.spawn(upload);
        });
    });
}

/// The beginning of an HTTP/2 connection: the preface and empty SETTINGS.
fn h2_hello() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(0x4, 0, 0, &[]));
    bytes
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("small").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// HEADERS of `GET / ` at `example.com`, which end the stream.
fn get_frame(stream: u32) -> Vec<u8> {
    // Static: GET, http, `/`; then `:authority` with a literal.
    let mut block = vec![0x82, 0x86, 0x84, 0x41, 11];
    block.extend(b"example.com");
    frame(0x1, 0x5, stream, &block)
}

/// Floods until the proxy closes; `next` makes what is sent, by its number.
fn flood(vhost: &Vhost, mut next: impl FnMut(u32) -> Vec<u8>) {
    let mut stream = connect(vhost);
    let mut reading = stream.try_clone().expect("a descriptor");
    // Takes what the proxy answers, so that it is never stopped by us.
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while reading.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    stream.write_all(&h2_hello()).expect("it reads");
    let end = Instant::now() + SOON;
    for number in 0.. {
        if stream.write_all(&next(number)).is_err() {
            break;
        }
        assert!(Instant::now() < end, "the flood goes on");
    }
    let _ = reader.join();
}

/// Floods of eight connections at once, each of which must end and be counted.
fn floods(what: &str, next: fn(u32) -> Vec<u8>) {
    let backend = Backend::start("web");
    // A flood holds nothing: 32 MB is what a few more connections and their streams may take.
    let vhost = under_fire(
        what,
        || target(&backend),
        32 * 1024,
        |vhost| {
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| flood(vhost, next));
                }
            });
            eventually("each is counted", SOON, || refused(vhost, "h2_flood") == 8);
        },
    );
    assert!(!vhost.log_lines("reason=h2_flood").is_empty());
}

#[test]
fn resets() {
    floods("resets", |number| {
        let stream = number * 2 + 1;
        [get_frame(stream), frame(0x3, 0, stream, &8_u32.to_be_bytes())].concat()
    });
}

#[test]
fn pings() {
    floods("pings", |_| frame(0x6, 0, 0, &[0; 8]));
}

#[test]
fn settings() {
    floods("settings", |_| frame(0x4, 0, 0, &[]));
}

#[test]
fn empty_data() {
    floods("empty data", |number| match number {
        0 => {
            let block = [&[0x83, 0x86, 0x84, 0x41, 11][..], b"example.com"].concat();
            frame(0x1, 0x4, 1, &block)
        }
        _ => frame(0x0, 0, 1, &[]),
    });
}

#[test]
fn continuations() {
    floods("continuations", |number| {
        // A field that is never indexed, with a value of 100 bytes.
        let field = [&[0x10, 1, b'x', 100][..], &[b'x'; 100]].concat();
        match number {
            0 => frame(0x1, 0, 1, &[0x82, 0x86, 0x84]),
            _ => frame(0x9, 0, 1, &field),
        }
    });
}

#[test]
fn oversize_everything() {
    let backend = Backend::start("web");
    let setup = || super::site_with(&backend, "max_body_bytes = 1000000");
    let vhost = under_fire("oversize everything", setup, 64 * 1024, |vhost| {
        for _ in 0..20 {
            let mut long_name = String::from("GET / HTTP/1.1\r\nHost: example.com\r\n");
            let _ = write!(long_name, "{}: x\r\n\r\n", "n".repeat(100_000));
            for (text, status) in [
                (format!("GET /{} HTTP/1.1\r\nHost: example.com\r\n\r\n", "x".repeat(20_000)), 414),
                (format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1_000_000)), 431),
                (long_name, 431),
                (format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(5000)), 431),
                (
                    "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 99999999999\r\n\r\n"
                        .into(),
                    413,
                ),
            ] {
                let mut stream = connect(vhost);
                // It may be closed before all is sent.
                let _ = stream.write_all(text.as_bytes());
                let mut answer = [0; 12];
                if stream.read_exact(&mut answer).is_ok() {
                    assert_eq!(answer[9..], *status.to_string().as_bytes());
                }
            }
        }
    });
    for reason in ["uri_too_long", "head_too_large", "body_too_large"] {
        eventually(reason, SOON, || refused(&vhost, reason) >= 20);
    }
}
